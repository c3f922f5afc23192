/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A message is one block: its head, then the pieces. They are laid out once, when it is queued;
 * writing moves the first unfinished one forward. None has length zero.
 */
#include "lib/net/outq.h"

#include <assert.h>

#include "lib/base/mem.h"

enum { PREFIX = 4 };

/* Bytes in memory, or, where `p` is NULL, at `position` of the file `fd`. */
struct piece {
	const uint8_t *p;
	size_t n;
	int fd;
	int64_t position;
};

struct outq_msg {
	struct outq_msg *next;
	void (*release)(void *arg);
	void *arg;
	struct wire_out out;
	uint8_t prefix[PREFIX];
	size_t at, n; /* first unwritten piece, and how many there are */
	struct piece pieces[];
};

void outq_init(struct outq *q)
{
	q->head = NULL;
	q->tail = &q->head;
	q->done = NULL;
	q->done_tail = &q->done;
	q->bytes = 0;
}

static void add_memory(struct outq_msg *m, const uint8_t *p, size_t n)
{
	if (n > 0)
		m->pieces[m->n++] = (struct piece){.p = p, .n = n};
}

static void add_file(struct outq_msg *m, const struct wire_file *f)
{
	m->pieces[m->n++] = (struct piece){.n = f->n, .fd = f->fd, .position = f->position};
}

static void lay_out(struct outq_msg *m)
{
	const struct wire_out *o = &m->out;
	size_t at = 0;
	add_memory(m, m->prefix, PREFIX);
	for (size_t i = 0; i < o->splices_n; i++) {
		const struct wire_splice *s = &o->splices[i];
		assert(s->at >= at && s->at <= o->buf.len);
		add_memory(m, o->buf.p + at, s->at - at);
		if (s->file.n > 0)
			add_file(m, &s->file);
		else
			add_memory(m, s->bytes.p, s->bytes.n);
		at = s->at;
	}
	add_memory(m, o->buf.p + at, o->buf.len - at);
}

enum err outq_push(struct outq *q, struct wire_out *out, void (*release)(void *arg), void *arg)
{
	if (out->buf.err != ERR_OK)
		return out->buf.err;
	if (out->splice_bytes > INT32_MAX || out->buf.len > INT32_MAX - out->splice_bytes)
		return ERR_LIMIT;
	if (out->splices_n > INT32_MAX)
		return ERR_LIMIT;
	size_t pieces = 2 + 2 * out->splices_n;
	struct outq_msg *m = mem_alloc(sizeof *m + pieces * sizeof m->pieces[0]);
	if (m == NULL)
		return ERR_NOMEM;
	size_t n = out->buf.len + out->splice_bytes;
	m->next = NULL;
	m->release = release;
	m->arg = arg;
	m->out = *out;
	m->at = 0;
	m->n = 0;
	be32_put(m->prefix, (uint32_t)n);
	lay_out(m);
	wire_out_init(out, m->out.buf.max, m->out.splice_min);
	*q->tail = m;
	q->tail = &m->next;
	q->bytes += PREFIX + n;
	return ERR_OK;
}

size_t outq_peek(const struct outq *q, struct iovec *iov, size_t max)
{
	size_t n = 0;
	for (const struct outq_msg *m = q->head; m != NULL && n < max; m = m->next) {
		for (size_t i = m->at; i < m->n && n < max; i++) {
			const struct piece *piece = &m->pieces[i];
			if (piece->p == NULL)
				return n;
			iov[n++] = (struct iovec){.iov_base = (void *)(uintptr_t)piece->p,
						  .iov_len = piece->n};
		}
	}
	return n;
}

bool outq_peek_file(const struct outq *q, struct wire_file *out)
{
	if (q->head == NULL)
		return false;
	const struct piece *piece = &q->head->pieces[q->head->at];
	*out = (struct wire_file){.fd = piece->fd, .position = piece->position, .n = piece->n};
	return piece->p == NULL;
}

static void finish_head(struct outq *q)
{
	struct outq_msg *m = q->head;
	q->head = m->next;
	if (q->head == NULL)
		q->tail = &q->head;
	m->next = NULL;
	*q->done_tail = m;
	q->done_tail = &m->next;
}

void outq_advance(struct outq *q, size_t n)
{
	assert(n <= q->bytes);
	q->bytes -= n;
	while (n > 0) {
		struct outq_msg *m = q->head;
		struct piece *piece = &m->pieces[m->at];
		size_t step = n < piece->n ? n : piece->n;
		if (piece->p != NULL)
			piece->p += step;
		else
			piece->position += (int64_t)step;
		piece->n -= step;
		n -= step;
		if (piece->n == 0 && ++m->at == m->n)
			finish_head(q);
	}
}

void outq_abort(struct outq *q)
{
	while (q->head != NULL)
		finish_head(q);
	q->bytes = 0;
}

void outq_release_done(struct outq *q)
{
	while (q->done != NULL) {
		struct outq_msg *m = q->done;
		q->done = m->next;
		if (q->done == NULL)
			q->done_tail = &q->done;
		wire_out_fini(&m->out);
		if (m->release != NULL)
			m->release(m->arg);
		mem_free(m);
	}
}
