/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The encoder: walks the layout tables over a struct of the program's own.
 *
 * A field that the version lacks must be at its default or ignorable, else the message would
 * silently mean something else. A message that fails leaves the output as it was, but for a sticky
 * error of the buffer.
 */
#include <assert.h>

#include "lib/base/mem.h"
#include "lib/wire/layout.h"

struct writer {
	struct wire_out *out;
	struct buf *buf;
	int16_t version;
	bool flexible;
	struct errmsg *why;
};

/* What the buffer says, with a text for people. */
static enum err writer_result(struct writer *w)
{
	enum err e = w->buf->err;
	return e == ERR_OK ? ERR_OK : errmsg_set(w->why, e, "%s", err_text(e));
}

static void put_uvarint(struct buf *b, uint32_t v)
{
	for (; v >= 0x80; v >>= 7)
		buf_put_u8(b, (uint8_t)(v | 0x80));
	buf_put_u8(b, (uint8_t)v);
}

/* The mirror of reader_length: -1 is null. */
static void put_length(struct writer *w, const struct wire_field *f, int32_t n, bool narrow)
{
	if (w->flexible && !f->inflexible)
		put_uvarint(w->buf, (uint32_t)n + 1);
	else if (narrow)
		buf_put_be16(w->buf, (uint16_t)n);
	else
		buf_put_be32(w->buf, (uint32_t)n);
}

static enum err put_null(struct writer *w, const struct wire_field *f, bool narrow)
{
	if (!wire_versions_has(f->nullable, w->version))
		return errmsg_set(w->why, ERR_UNSUPPORTED, "null is not allowed in version %d",
				  w->version);
	put_length(w, f, -1, narrow);
	return writer_result(w);
}

static enum err encode_slice(struct writer *w, const struct wire_field *f, const struct bytes *s)
{
	bool narrow = f->type == WIRE_STRING;

	if (s->p == NULL)
		return put_null(w, f, narrow);
	if (s->n > (narrow ? INT16_MAX : INT32_MAX))
		return errmsg_set(w->why, ERR_LIMIT, "%zu bytes are too long", s->n);
	put_length(w, f, (int32_t)s->n, narrow);
	buf_put(w->buf, s->p, s->n);
	return writer_result(w);
}

/* Note a piece that is sent from where it lies: a slice, or a range of a file. */
static enum err put_splice(struct writer *w, struct bytes s, struct wire_file file)
{
	struct wire_out *o = w->out;

	if (o->splices_n == o->splices_cap) {
		size_t cap = o->splices_cap == 0 ? 16 : o->splices_cap * 2;
		struct wire_splice *p = mem_resize(o->splices, cap, sizeof *p);
		if (p == NULL)
			return errmsg_set(w->why, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
		o->splices = p;
		o->splices_cap = cap;
	}
	o->splices[o->splices_n++] =
		(struct wire_splice){.at = o->buf.len, .bytes = s, .file = file};
	o->splice_bytes += s.n + file.n;
	return ERR_OK;
}

static enum err put_payload(struct writer *w, struct bytes s)
{
	if (w->out->splice_min > 0 && s.n >= w->out->splice_min)
		return put_splice(w, s, (struct wire_file){0});
	buf_put(w->buf, s.p, s.n);
	return writer_result(w);
}

static enum err encode_records(struct writer *w, const struct wire_field *f,
			       const struct wire_records *v)
{
	if (v->file.n > 0) {
		assert(v->data.n == 0 && v->more.n == 0); /* they would be lost */
		if (v->file.n > INT32_MAX)
			return errmsg_set(w->why, ERR_LIMIT, "records are too long");
		put_length(w, f, (int32_t)v->file.n, false);
		return put_splice(w, (struct bytes){0}, v->file);
	}
	if (v->data.p == NULL) {
		assert(v->more.n == 0); /* records would be lost */
		return put_null(w, f, false);
	}
	if (v->data.n > INT32_MAX || v->more.n > INT32_MAX - v->data.n)
		return errmsg_set(w->why, ERR_LIMIT, "records are too long");
	put_length(w, f, (int32_t)(v->data.n + v->more.n), false);
	enum err e = put_payload(w, v->data);
	return e == ERR_OK ? put_payload(w, v->more) : e;
}

static enum err encode_struct(struct writer *w, const struct wire_struct *s, const void *base);

/* One value that is no array and no optional struct. */
static enum err encode_value(struct writer *w, const struct wire_field *f, const void *at)
{
	uint64_t v64;

	switch (f->type) {
	case WIRE_BOOL:
		buf_put_u8(w->buf, *(const bool *)at ? 1 : 0);
		break;
	case WIRE_INT8:
		buf_put_u8(w->buf, *(const uint8_t *)at);
		break;
	case WIRE_INT16:
	case WIRE_UINT16:
		buf_put_be16(w->buf, *(const uint16_t *)at);
		break;
	case WIRE_INT32:
	case WIRE_UINT32:
		buf_put_be32(w->buf, *(const uint32_t *)at);
		break;
	case WIRE_INT64:
	case WIRE_FLOAT64:
		memcpy(&v64, at, sizeof v64);
		buf_put_be64(w->buf, v64);
		break;
	case WIRE_UUID:
		buf_put(w->buf, at, sizeof(struct uuid));
		break;
	case WIRE_STRING:
	case WIRE_BYTES:
		return encode_slice(w, f, at);
	case WIRE_RECORDS:
		return encode_records(w, f, at);
	case WIRE_STRUCT:
		return encode_struct(w, f->sub, at);
	}
	return writer_result(w);
}

static enum err encode_array(struct writer *w, const struct wire_field *f, const void *at,
			     int32_t n)
{
	const uint8_t *items;
	size_t size = wire_type_size(f);

	assert(n >= -1);
	memcpy(&items, at, sizeof items);
	if (n < 0)
		return put_null(w, f, false);
	put_length(w, f, n, false);
	enum err e = writer_result(w);
	for (int32_t i = 0; i < n && e == ERR_OK; i++, items += size)
		e = encode_value(w, f, items);
	return e;
}

static enum err encode_optional(struct writer *w, const struct wire_field *f, const void *at,
				bool present)
{
	bool marked = wire_versions_has(f->nullable, w->version);
	if (!present && !marked)
		return errmsg_set(w->why, ERR_UNSUPPORTED, "null is not allowed in version %d",
				  w->version);
	if (marked)
		buf_put_u8(w->buf, present ? 1 : 0xff);
	return present ? encode_value(w, f, at) : writer_result(w);
}

static enum err encode_field(struct writer *w, const struct wire_field *f, const void *base)
{
	const uint8_t *at = (const uint8_t *)base + f->offset;
	const uint8_t *aux = (const uint8_t *)base + f->aux_offset;
	enum err e;

	if (f->array)
		e = encode_array(w, f, at, *(const int32_t *)(const void *)aux);
	else if (wire_field_optional(f))
		e = encode_optional(w, f, at, *(const bool *)aux);
	else
		e = encode_value(w, f, at);
	return e == ERR_OK ? ERR_OK : errmsg_wrap(w->why, e, "%s", f->name);
}

/* Put the size of what was written since `start` before it. No splices lie there: tagged fields
 * hold no records. */
static void insert_size(struct buf *b, size_t start)
{
	size_t n = b->len - start;
	if (b->err != ERR_OK)
		return;
	put_uvarint(b, (uint32_t)n);
	if (b->err != ERR_OK)
		return;
	uint8_t head[5];
	size_t head_n = b->len - start - n;
	memcpy(head, b->p + start + n, head_n);
	memmove(b->p + start + head_n, b->p + start, n);
	memcpy(b->p + start, head, head_n);
}

static bool tag_is_sent(const struct writer *w, const struct wire_field *f, const void *base)
{
	return wire_versions_has(f->versions, w->version) && !wire_field_is_default(f, base);
}

/* KIP-482: a tagged field at its default is not sent. */
static enum err encode_tagged(struct writer *w, const struct wire_struct *s, const void *base)
{
	const size_t first = s->fields_n - s->tagged_n;
	uint32_t n = 0;

	for (size_t i = first; i < s->fields_n; i++)
		n += tag_is_sent(w, &s->fields[i], base);
	put_uvarint(w->buf, n);
	for (size_t i = first; i < s->fields_n; i++) {
		const struct wire_field *f = &s->fields[i];
		if (!tag_is_sent(w, f, base))
			continue;
		put_uvarint(w->buf, (uint32_t)f->tag);
		size_t start = w->buf->len;
		enum err e = encode_field(w, f, base);
		if (e != ERR_OK)
			return e;
		insert_size(w->buf, start);
	}
	return writer_result(w);
}

static enum err encode_struct(struct writer *w, const struct wire_struct *s, const void *base)
{
	for (size_t i = 0; i < s->fields_n; i++) {
		const struct wire_field *f = &s->fields[i];
		enum err e = ERR_OK;
		if (!wire_versions_has(f->versions, w->version)) {
			if (!f->ignorable && !wire_field_is_default(f, base))
				return errmsg_set(w->why, ERR_UNSUPPORTED,
						  "%s: set, but version %d does not have it",
						  f->name, w->version);
		} else if (f->tag < 0) {
			e = encode_field(w, f, base);
		}
		if (e != ERR_OK)
			return e;
	}
	return w->flexible ? encode_tagged(w, s, base) : writer_result(w);
}

enum err wire_encode(const struct wire_message *m, int16_t version, const void *msg,
		     struct wire_out *out, struct errmsg *why)
{
	if (out->buf.err != ERR_OK)
		return errmsg_set(why, out->buf.err, "%s", err_text(out->buf.err));
	if (version < m->min_version || version > m->max_version)
		return errmsg_set(why, ERR_UNSUPPORTED, "%s has no version %d", m->name, version);
	struct errmsg unused, *text = why == NULL ? &unused : why;
	struct writer w = {
		.out = out,
		.buf = &out->buf,
		.version = version,
		.flexible = version >= m->flexible_from,
		.why = text,
	};
	const size_t len = out->buf.len, splices_n = out->splices_n, bytes = out->splice_bytes;

	enum err e = encode_struct(&w, m->body, msg);
	if (e == ERR_OK && out->splice_bytes > INT32_MAX - (size_t)4 - out->buf.len)
		e = errmsg_set(text, ERR_LIMIT, "longer than a frame can be");
	if (e == ERR_OK)
		return ERR_OK;
	out->buf.len = len;
	out->splices_n = splices_n;
	out->splice_bytes = bytes;
	return errmsg_wrap(text, e, "%s v%d", m->name, version);
}
