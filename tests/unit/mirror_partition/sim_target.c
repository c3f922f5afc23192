/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/mirror_partition/sim_target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lib/wire/records.h"

enum { BYTES_MAX = 4 << 20 };

static void *grow(void *p, size_t need, size_t *cap, size_t size)
{
	if (need <= *cap)
		return p;
	while (*cap < need)
		*cap = *cap == 0 ? 64 : 2 * *cap;
	p = realloc(p, *cap * size);
	assert_non_null(p);
	return p;
}

void sim_target_init(struct sim_target *t, struct rng *g, size_t max_batch)
{
	*t = (struct sim_target){.g = g, .max_batch = max_batch};
}

void sim_target_fini(struct sim_target *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->batches[i].p);
	free(t->batches);
	free(t->copies);
}

/* ---- the idempotent producer ---- */

static struct sim_writer *writer_of(struct sim_target *t, int64_t producer)
{
	for (size_t i = 0; i < t->writers_n; i++)
		if (t->writers[i].producer == producer)
			return &t->writers[i];
	return NULL;
}

/* ProducerAppendInfo.checkProducerEpoch and checkSequence. */
static enum err check_sequence(const struct sim_writer *w, const struct batch_head *h)
{
	if (w == NULL)
		return ERR_OK;
	if (h->producer_epoch < w->epoch)
		return ERR_KAFKA_INVALID_PRODUCER_EPOCH;
	if (h->producer_epoch > w->epoch)
		return h->base_sequence == 0 ? ERR_OK : ERR_KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER;
	return h->base_sequence == batch_sequence_add(w->last, 1)
		       ? ERR_OK
		       : ERR_KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER;
}

/* ProducerStateEntry.findDuplicateBatch. */
static bool duplicate(const struct sim_writer *w, const struct batch_head *h, int64_t *base)
{
	int32_t last = batch_sequence_add(h->base_sequence, h->count - 1);
	for (size_t i = 0; w != NULL && w->epoch == h->producer_epoch && i < w->n; i++) {
		if (w->cached[i].first != h->base_sequence || w->cached[i].last != last)
			continue;
		*base = w->cached[i].base;
		return true;
	}
	return false;
}

/* Is the batch at `base` another one than that with head `h`? */
static bool differs(const struct sim_target *t, int64_t base, const struct batch_head *h)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->batches[i].head.base_offset == base)
			return t->batches[i].head.crc != h->crc;
	return true;
}

static void remember(struct sim_target *t, const struct batch_head *h)
{
	if (h->producer_id < 0)
		return;
	struct sim_writer *w = writer_of(t, h->producer_id);
	if (w == NULL) {
		assert_true(t->writers_n < SIM_WRITERS);
		w = &t->writers[t->writers_n++];
		*w = (struct sim_writer){.producer = h->producer_id, .epoch = h->producer_epoch};
	}
	if (w->epoch != h->producer_epoch)
		w->n = 0;
	w->epoch = h->producer_epoch;
	w->last = batch_sequence_add(h->base_sequence, h->count - 1);
	if (w->n == SIM_CACHED)
		memmove(w->cached, w->cached + 1, --w->n * sizeof w->cached[0]);
	w->cached[w->n].first = h->base_sequence;
	w->cached[w->n].last = w->last;
	w->cached[w->n++].base = h->base_offset;
}

/* ---- appending ---- */

/* LogValidator: what a stock broker refuses from clients. */
static enum err validate(const struct sim_target *t, struct bytes batch, struct batch_head *h)
{
	struct batch_walk walk = {.left = batch};
	struct bytes whole;
	struct errmsg why;
	assert_int_equal(batch_walk_next(&walk, h, &whole, &why), BATCH_WALK_BATCH);
	assert_int_equal(whole.n, batch.n);
	if (batch.n > t->max_batch)
		return ERR_KAFKA_MESSAGE_TOO_LARGE;
	if (!batch_crc_ok(batch))
		return ERR_KAFKA_CORRUPT_MESSAGE;
	if (!batch_is_dense(h) || h->base_offset != 0 ||
	    (h->base_sequence < 0 && h->producer_id >= 0) || h->attributes & ~BATCH_CODEC_MASK)
		return ERR_KAFKA_INVALID_RECORD;
	return ERR_OK;
}

static void keep_copies(struct sim_target *t, const struct sim_landed *b)
{
	struct records_reader *rr;
	struct record r;
	struct errmsg why;
	t->copies = grow(t->copies, (size_t)(b->head.base_offset + b->head.count), &t->copies_cap,
			 sizeof *t->copies);
	assert_int_equal(records_reader_open(bytes_of(b->p, b->n), BYTES_MAX, &rr, &why), ERR_OK);
	int64_t at = b->head.base_offset;
	while (records_reader_next(rr, &r)) {
		assert_int_equal(r.offset, at);
		assert_true(r.value.n >= 8);
		t->copies[at].id = (int64_t)be64_get(r.value.p);
		t->copies[at++].hash = record_hash(&r);
	}
	assert_int_equal(records_reader_error(rr, &why), ERR_OK);
	assert_int_equal(at, b->head.base_offset + b->head.count);
	records_reader_free(rr);
}

static void land(struct sim_target *t, struct bytes batch, struct batch_head *h)
{
	t->batches = grow(t->batches, t->n + 1, &t->cap, sizeof *t->batches);
	struct sim_landed *b = &t->batches[t->n++];
	b->p = malloc(batch.n);
	assert_non_null(b->p);
	memcpy(b->p, batch.p, batch.n);
	b->n = batch.n;
	h->base_offset = t->end;
	h->leader_epoch = 0;
	b->head = *h;
	batch_head_put(b->p, h); /* these two are not under the checksum */
	t->end += h->count;
	keep_copies(t, b);
	remember(t, h);
}

enum err sim_target_append(struct sim_target *t, struct bytes batch, int64_t *base)
{
	struct batch_head h;
	enum err e = validate(t, batch, &h);
	struct sim_writer *w = h.producer_id < 0 ? NULL : writer_of(t, h.producer_id);
	if (e == ERR_OK && duplicate(w, &h, base)) {
		t->duplicates++;
		t->collisions += differs(t, *base, &h);
		return ERR_OK;
	}
	if (e == ERR_OK)
		e = check_sequence(w, &h);
	if (e != ERR_OK) {
		t->refused[err_to_kafka(e)]++;
		return e;
	}
	*base = t->end;
	land(t, batch, &h);
	return ERR_OK;
}

void sim_target_truncate(struct sim_target *t, int64_t end)
{
	while (t->n > 0 &&
	       t->batches[t->n - 1].head.base_offset + t->batches[t->n - 1].head.count > end) {
		t->end = t->batches[t->n - 1].head.base_offset;
		free(t->batches[--t->n].p);
	}
	if (t->replicated > t->end)
		t->replicated = t->end;
	if (t->acknowledged > t->end)
		t->acknowledged = t->end;
	t->writers_n = 0;
	for (size_t i = 0; i < t->n; i++)
		remember(t, &t->batches[i].head);
	/* A snapshot of the writers' states holds only the last batch of each. */
	for (size_t i = 0; i < t->writers_n; i++) {
		struct sim_writer *w = &t->writers[i];
		size_t keep = (size_t)rng_in(t->g, 1, (int64_t)w->n);
		memmove(w->cached, w->cached + (w->n - keep), keep * sizeof w->cached[0]);
		w->n = keep;
	}
}

void sim_target_retain(struct sim_target *t, int64_t start)
{
	if (start > t->start)
		t->start = start;
}

struct frame *sim_target_read(const struct sim_target *t, int64_t offset, size_t batches)
{
	size_t first = 0, bytes = 0;
	while (first < t->n &&
	       t->batches[first].head.base_offset + t->batches[first].head.count <= offset)
		first++;
	size_t last = first;
	while (last < t->n && batches-- > 0 && t->batches[last].head.base_offset < t->replicated)
		bytes += t->batches[last++].n;
	if (last == first)
		return NULL;
	struct frame *f = frame_new(bytes);
	assert_non_null(f);
	uint8_t *p = f->data;
	for (size_t i = first; i < last; i++) {
		memcpy(p, t->batches[i].p, t->batches[i].n);
		p += t->batches[i].n;
	}
	return f;
}
