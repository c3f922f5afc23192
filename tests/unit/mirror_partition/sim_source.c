/* SPDX-License-Identifier: Apache-2.0 */
/* Batches are encoded by hand, since lib/wire's builder makes no holes; each is decoded again by
 * lib/wire's reader, whose hashes are the truth that a copy is held against. */
#include "tests/unit/mirror_partition/sim_source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lib/base/buf.h"
#include "lib/wire/records.h"
#include "lib/wire/varint.h"

enum { BATCH_RECORDS = 24, BYTES_MAX = 1 << 20 };

static void *grow(void *p, size_t n, size_t *cap, size_t size)
{
	if (n < *cap)
		return p;
	*cap = *cap == 0 ? 64 : 2 * *cap;
	p = realloc(p, *cap * size);
	assert_non_null(p);
	return p;
}

void sim_source_init(struct sim_source *s, struct rng *g, struct sim_truth *truth, int64_t start)
{
	*s = (struct sim_source){.g = g, .start = start, .end = start, .truth = truth};
	s->value_max = 40;
	s->keys = 1000000;
	for (size_t i = 0; i < sizeof s->id.b; i++)
		s->id.b[i] = (uint8_t)rng_in(g, 1, 255);
	s->epochs[s->epochs_n].epoch = 0;
	s->epochs[s->epochs_n++].start = start;
}

static void batch_fini(struct sim_batch *b)
{
	free(b->p);
	free(b->records);
}

void sim_source_fini(struct sim_source *s)
{
	for (size_t i = 0; i < s->n; i++)
		batch_fini(&s->batches[i]);
	free(s->batches);
}

/* ---- encoding ---- */

static void put_varint(struct buf *b, int64_t v)
{
	uint8_t p[VARINT_MAX_64];
	buf_put(b, p, (size_t)(varint_put_64(p, v) - p));
}

static void put_bytes(struct buf *b, struct bytes s)
{
	put_varint(b, s.p == NULL ? -1 : (int64_t)s.n);
	buf_put(b, s.p, s.n);
}

static void put_record(const struct sim_source *s, struct buf *out, const struct sim_record *r,
		       const struct batch_head *h)
{
	struct buf body;
	uint8_t key[8], id[8], filler[4096];
	be64_put(key, (uint64_t)(r->id % s->keys));
	be64_put(id, (uint64_t)r->id);
	size_t n = (size_t)((uint64_t)r->id * 2654435761U % ((uint64_t)s->value_max + 1));
	memset(filler, (int)(r->id % 251), sizeof filler);
	memcpy(filler, id, sizeof id);
	buf_init(&body, BYTES_MAX);
	buf_put_u8(&body, 0);
	put_varint(&body, r->timestamp - h->base_timestamp);
	put_varint(&body, r->offset - h->base_offset);
	put_bytes(&body, bytes_of(key, sizeof key));
	put_bytes(&body, bytes_of(filler, sizeof id + n));
	put_varint(&body, r->id % 5 == 0);
	if (r->id % 5 == 0) {
		put_bytes(&body, bytes_str("h"));
		put_bytes(&body, bytes_of(id, sizeof id));
	}
	put_varint(out, (int64_t)body.len);
	buf_put(out, body.p, body.len);
	buf_fini(&body);
}

/* Take the truth from the encoded batch. */
static void read_back(const struct sim_source *s, struct sim_batch *b)
{
	struct records_reader *rr;
	struct record r;
	struct errmsg why;
	assert_int_equal(records_reader_open(bytes_of(b->p, b->n), BYTES_MAX, &rr, &why), ERR_OK);
	for (size_t i = 0; i < b->records_n; i++) {
		assert_true(records_reader_next(rr, &r));
		assert_int_equal(r.offset, b->records[i].offset);
		s->truth->v[b->records[i].id].hash = record_hash(&r);
	}
	assert_false(records_reader_next(rr, &r));
	records_reader_free(rr);
}

/* Encode a batch from its head and records. */
static void seal(const struct sim_source *s, struct sim_batch *b)
{
	struct buf payload, whole;
	struct batch_head *h = &b->head;
	buf_init(&payload, BYTES_MAX);
	buf_init(&whole, 2 * BYTES_MAX);
	h->base_offset = b->base;
	h->last_offset_delta = (int32_t)(b->last - b->base);
	h->count = (int32_t)b->records_n;
	h->base_timestamp = b->records_n > 0 ? b->records[0].timestamp : 0;
	if (!(h->attributes & BATCH_LOG_APPEND_TIME))
		h->max_timestamp = h->base_timestamp;
	for (size_t i = 0; i < b->records_n; i++) {
		put_record(s, &payload, &b->records[i], h);
		if (b->records[i].timestamp > h->max_timestamp)
			h->max_timestamp = b->records[i].timestamp;
	}
	uint8_t head[BATCH_HEAD] = {0};
	buf_put(&whole, head, sizeof head);
	if (batch_codec(h) == CODEC_NONE || payload.len == 0)
		buf_put(&whole, payload.p, payload.len);
	else
		assert_int_equal(codec_compress(batch_codec(h), buf_bytes(&payload), &whole),
				 ERR_OK);
	assert_int_equal(payload.err, ERR_OK);
	assert_int_equal(whole.err, ERR_OK);
	batch_head_seal(whole.p, whole.len - BATCH_HEAD, h);
	batch_head_get(whole.p, h);
	buf_fini(&payload);
	free(b->p);
	b->p = whole.p;
	b->n = whole.len;
	if (b->records_n > 0)
		read_back(s, b);
}

static struct sim_batch *add(struct sim_source *s)
{
	s->batches = grow(s->batches, s->n, &s->cap, sizeof *s->batches);
	struct sim_batch *b = &s->batches[s->n++];
	*b = (struct sim_batch){.base = s->end, .last = s->end, .producer = -1};
	b->head.leader_epoch = s->epochs[s->epochs_n - 1].epoch;
	b->head.producer_id = -1;
	b->head.producer_epoch = -1;
	b->head.base_sequence = -1;
	return b;
}

static void end_txn(struct sim_source *s, int64_t producer, bool commit)
{
	const uint8_t record[] = {32, 0, 0, 0, 8, 0, 0, 0, commit, 12, 0, 0, 0, 0, 0, 0, 0};
	int64_t first = s->txns[producer].first;
	for (size_t i = 0; i < s->n; i++) {
		struct sim_batch *open = &s->batches[i];
		if (open->producer != producer || open->fate != SIM_OPEN)
			continue;
		open->fate = commit ? SIM_COMMITTED : SIM_ABORTED;
		for (size_t k = 0; k < open->records_n; k++)
			s->truth->v[open->records[k].id].fate = open->fate;
	}
	if (!commit && s->aborted_n < SIM_TXNS)
		s->aborted[s->aborted_n++] = (struct sim_txn){producer, first, s->end};
	struct sim_batch *b = add(s);
	b->fate = SIM_MARKER;
	b->head.attributes = BATCH_TRANSACTIONAL | BATCH_CONTROL;
	b->head.producer_id = producer;
	b->head.producer_epoch = 0;
	b->head.count = 1;
	b->n = BATCH_HEAD + sizeof record;
	b->p = malloc(b->n);
	assert_non_null(b->p);
	memcpy(b->p + BATCH_HEAD, record, sizeof record);
	b->head.base_offset = b->base;
	batch_head_seal(b->p, sizeof record, &b->head);
	batch_head_get(b->p, &b->head);
	s->txns[producer].open = false;
	s->end++;
}

static void fill(struct sim_source *s, struct sim_batch *b)
{
	size_t n = (size_t)(rng_one_in(s->g, 3) ? 1 : rng_in(s->g, 1, BATCH_RECORDS));
	b->records = calloc(n, sizeof *b->records);
	assert_non_null(b->records);
	b->records_n = n;
	bool holes = s->holes && rng_one_in(s->g, 3);
	int64_t offset = b->base;
	for (size_t i = 0; i < n; i++) {
		if (holes && rng_one_in(s->g, 3))
			offset += rng_in(s->g, 1, 3);
		struct sim_truth *t = s->truth;
		int64_t id = (int64_t)t->n;
		t->v = grow(t->v, t->n, &t->cap, sizeof *t->v);
		t->v[t->n++] =
			(struct sim_known){.offset = offset, .fate = b->fate, .topic = t->topic};
		b->records[i] = (struct sim_record){
			.offset = offset++, .id = id, .timestamp = 1000000 + id};
	}
	if (holes && rng_one_in(s->g, 3))
		offset += rng_in(s->g, 1, 3);
	b->last = offset - 1;
	s->end = offset;
}

void sim_source_append(struct sim_source *s)
{
	int64_t producer = s->plain ? -1 : rng_in(s->g, -3, SIM_PRODUCERS - 1);
	if (producer >= 0 && s->txns[producer].open && rng_one_in(s->g, 2)) {
		end_txn(s, producer, !rng_one_in(s->g, 3));
		return;
	}
	struct sim_batch *b = add(s);
	b->fate = SIM_COMMITTED;
	if (rng_one_in(s->g, 6))
		b->head.attributes = (int16_t)(rng_one_in(s->g, 2) ? CODEC_LZ4 : CODEC_SNAPPY);
	if (producer >= 0) {
		b->producer = producer;
		b->fate = SIM_OPEN;
		b->head.attributes |= BATCH_TRANSACTIONAL;
		b->head.producer_id = producer;
		b->head.producer_epoch = 0;
		b->head.base_sequence = 0;
		if (!s->txns[producer].open)
			s->txns[producer].first = s->end;
		s->txns[producer].open = true;
	}
	if (s->copies && producer < 0 && rng_one_in(s->g, 2)) {
		b->fate = SIM_ABORTED;
		b->head.producer_id = SIM_COPIER;
		b->head.producer_epoch = 0;
		b->head.base_sequence = 0;
	}
	if (s->append_time && rng_one_in(s->g, 3)) {
		b->head.attributes |= BATCH_LOG_APPEND_TIME;
		b->head.max_timestamp = 2000000 + (int64_t)s->truth->n;
	}
	fill(s, b);
	seal(s, b);
}

void sim_source_settle(struct sim_source *s)
{
	for (int64_t p = 0; p < SIM_PRODUCERS; p++)
		if (s->txns[p].open)
			end_txn(s, p, rng_one_in(s->g, 2));
}

int64_t sim_source_stable(const struct sim_source *s)
{
	int64_t end = s->end;
	for (int64_t p = 0; p < SIM_PRODUCERS; p++)
		if (s->txns[p].open && s->txns[p].first < end)
			end = s->txns[p].first;
	return end;
}

/* ---- what happens to a log ---- */

void sim_source_elect(struct sim_source *s)
{
	if (s->epochs_n == SIM_EPOCHS)
		return;
	int32_t epoch = s->newest_epoch += (int32_t)rng_in(s->g, 1, 2);
	if (s->epochs[s->epochs_n - 1].start == s->end)
		s->epochs_n--;
	s->epochs[s->epochs_n].epoch = epoch;
	s->epochs[s->epochs_n++].start = s->end;
}

void sim_source_truncate(struct sim_source *s, int64_t end)
{
	while (s->n > 0 && s->batches[s->n - 1].last >= end) {
		struct sim_batch *b = &s->batches[--s->n];
		s->end = b->base;
		for (size_t k = 0; k < b->records_n; k++)
			s->truth->v[b->records[k].id].lost = true;
		batch_fini(b);
	}
	while (s->epochs_n > 1 && s->epochs[s->epochs_n - 1].start > s->end)
		s->epochs_n--;
	sim_source_elect(s);
}

void sim_source_retain(struct sim_source *s, int64_t start)
{
	size_t drop = 0;
	s->start = start;
	while (drop < s->n && s->batches[drop].last < start)
		batch_fini(&s->batches[drop++]);
	memmove(s->batches, s->batches + drop, (s->n - drop) * sizeof *s->batches);
	s->n -= drop;
}

static bool comes_again(const struct sim_source *s, size_t at, const struct sim_record *r,
			int64_t stable)
{
	for (size_t i = at; i < s->n && s->batches[i].last < stable; i++)
		for (size_t k = 0;
		     s->batches[i].fate == SIM_COMMITTED && k < s->batches[i].records_n; k++)
			if (s->batches[i].records[k].offset > r->offset &&
			    s->batches[i].records[k].id % s->keys == r->id % s->keys)
				return true;
	return false;
}

void sim_source_compact(struct sim_source *s)
{
	int64_t stable = sim_source_stable(s);
	size_t out = 0;
	for (size_t i = 0; i < s->n; i++) {
		struct sim_batch *b = &s->batches[i];
		size_t left = 0;
		bool clean = b->last < stable && b->fate == SIM_COMMITTED && i + 1 < s->n;
		for (size_t k = 0; clean && k < b->records_n; k++)
			if (comes_again(s, i, &b->records[k], stable))
				s->truth->v[b->records[k].id].gone = true;
			else
				b->records[left++] = b->records[k];
		if (clean && left < b->records_n) {
			b->records_n = left;
			if (left == 0 && !rng_one_in(s->g, 4)) {
				batch_fini(b);
				continue;
			}
			seal(s, b);
		}
		s->batches[out++] = *b;
	}
	s->n = out;
}

/* ---- reading ---- */

int64_t sim_source_epoch_end(const struct sim_source *s, int32_t epoch, int32_t *found)
{
	/* LeaderEpochFileCache.endOffsetFor: an epoch before all that are known ends where they
	 * begin, one after them is not known. */
	*found = epoch;
	if (epoch < s->epochs[0].epoch)
		return s->epochs[0].start;
	*found = -1;
	if (epoch > s->epochs[s->epochs_n - 1].epoch)
		return -1;
	for (size_t i = s->epochs_n; i-- > 0;) {
		if (s->epochs[i].epoch > epoch)
			continue;
		*found = s->epochs[i].epoch;
		return i + 1 < s->epochs_n ? s->epochs[i + 1].start : s->end;
	}
	return -1;
}

static bool diverges(const struct sim_source *s, int64_t offset, int32_t epoch,
		     struct fetch_result *r)
{
	int32_t found;
	int64_t end = sim_source_epoch_end(s, epoch, &found);
	if (epoch < 0 || end < 0 || (found >= epoch && end >= offset))
		return false;
	r->diverging_epoch = found;
	r->diverging_end = end;
	return true;
}

static void list_aborted(const struct sim_source *s, int64_t from, int64_t to,
			 struct fetch_result *r)
{
	struct fetch_response_aborted_transaction *list = calloc(SIM_TXNS, sizeof *list);
	assert_non_null(list);
	for (size_t i = 0; i < s->aborted_n; i++) {
		if (s->aborted[i].last < from || s->aborted[i].first >= to)
			continue;
		list[r->aborted_n].producer_id = s->aborted[i].producer;
		list[r->aborted_n++].first_offset = s->aborted[i].first;
	}
	r->aborted = list;
}

void sim_source_fetch(struct sim_source *s, int64_t offset, int32_t last_epoch, int64_t batches,
		      struct fetch_result *r)
{
	*r = (struct fetch_result){.high_watermark = s->end,
				   .last_stable_offset = sim_source_stable(s),
				   .log_start_offset = s->start,
				   .diverging_epoch = -1,
				   .diverging_end = -1,
				   .preferred_read_replica = -1};
	if (diverges(s, offset, last_epoch, r))
		return;
	if (offset < s->start || offset > s->end) {
		r->error = ERR_KAFKA_OFFSET_OUT_OF_RANGE;
		return;
	}
	size_t first = 0, bytes = 0, cut = 0;
	while (first < s->n && s->batches[first].last < offset)
		first++;
	size_t last = first;
	while (last < s->n && batches-- > 0 && s->batches[last].base < r->last_stable_offset)
		bytes += s->batches[last++].n;
	if (last == first)
		return;
	if (last < s->n && rng_one_in(s->g, 3))
		cut = (size_t)rng_in(s->g, 0, (int64_t)s->batches[last].n - 1);
	r->frame = frame_new(bytes + cut);
	assert_non_null(r->frame);
	uint8_t *p = r->frame->data;
	for (size_t i = first; i < last; i++) {
		memcpy(p, s->batches[i].p, s->batches[i].n);
		p += s->batches[i].n;
	}
	if (cut > 0)
		memcpy(p, s->batches[last].p, cut);
	r->records = bytes_of(r->frame->data, bytes + cut);
	list_aborted(s, offset, s->batches[last - 1].last + 1, r);
}

void sim_source_fetched(struct fetch_result *r)
{
	frame_unref(r->frame);
	free((void *)(uintptr_t)r->aborted);
}
