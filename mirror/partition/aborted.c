/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two sorted arrays in one block: the starts by first offset (Kafka's priority queue) and the
 * producers by id with a flag (Kafka's set of aborted producer ids). A producer may stand there
 * several times; the search finds the same one every time. A response may list as many transactions
 * as its bytes hold, so every step is O(log n).
 */
#include "mirror/partition/aborted.h"

#include <stdlib.h>

#include "lib/base/mem.h"
#include "lib/wire/messages.h"
#include "lib/wire/varint.h"

struct aborted_start {
	int64_t first_offset;
	int64_t producer_id;
};

struct aborted_producer {
	int64_t id;
	bool active;
};

/* ControlRecordType.java: the key is version int16, type int16. */
enum { CONTROL_KEY_MIN = 4, CONTROL_ABORT = 0 };

static int start_compare(const void *a, const void *b)
{
	const struct aborted_start *x = a;
	const struct aborted_start *y = b;
	return (x->first_offset > y->first_offset) - (x->first_offset < y->first_offset);
}

static int producer_compare(const void *a, const void *b)
{
	const struct aborted_producer *x = a;
	const struct aborted_producer *y = b;
	return (x->id > y->id) - (x->id < y->id);
}

enum err aborted_filter_init(struct aborted_filter *f,
			     const struct fetch_response_aborted_transaction *list, int32_t n)
{
	*f = (struct aborted_filter){0};
	if (n <= 0)
		return ERR_OK;
	size_t count = (size_t)n;
	struct aborted_start *starts = mem_zalloc(count, sizeof *f->starts + sizeof *f->producers);
	if (starts == NULL)
		return ERR_NOMEM;
	struct aborted_producer *producers = (struct aborted_producer *)(starts + count);
	for (size_t i = 0; i < count; i++) {
		starts[i].first_offset = list[i].first_offset;
		starts[i].producer_id = list[i].producer_id;
		producers[i].id = list[i].producer_id;
	}
	qsort(starts, count, sizeof *starts, start_compare);
	qsort(producers, count, sizeof *producers, producer_compare);
	f->starts = starts;
	f->starts_n = count;
	f->producers = producers;
	return ERR_OK;
}

void aborted_filter_fini(struct aborted_filter *f)
{
	mem_free(f->starts);
	*f = (struct aborted_filter){0};
}

static struct aborted_producer *producer_find(const struct aborted_filter *f, int64_t id)
{
	if (f->starts_n == 0)
		return NULL;
	const struct aborted_producer key = {.id = id};
	return bsearch(&key, f->producers, f->starts_n, sizeof key, producer_compare);
}

/* Transactions that began at or before this offset are on from here. */
static void filter_consume_up_to(struct aborted_filter *f, int64_t offset)
{
	for (; f->at < f->starts_n && f->starts[f->at].first_offset <= offset; f->at++)
		producer_find(f, f->starts[f->at].producer_id)->active = true;
}

/* The key of the first record of an uncompressed batch. False: it cannot be read. */
static bool first_key(struct bytes whole, struct bytes *key)
{
	const uint8_t *p = whole.p + BATCH_HEAD;
	const uint8_t *end = whole.p + whole.n;
	int32_t length, offset_delta, key_n;
	int64_t timestamp_delta;
	p = varint_get_32(p, end, &length);
	if (p == NULL || length < 1 || (size_t)length > (size_t)(end - p))
		return false;
	end = p + length;
	p++; /* attributes, unused */
	if ((p = varint_get_64(p, end, &timestamp_delta)) == NULL ||
	    (p = varint_get_32(p, end, &offset_delta)) == NULL ||
	    (p = varint_get_32(p, end, &key_n)) == NULL)
		return false;
	if (key_n < 0 || (size_t)key_n > (size_t)(end - p))
		return false;
	*key = bytes_of(p, (size_t)key_n);
	return true;
}

/* Read a control batch: does it say that its producer's transaction was aborted? */
static enum err marker_is_abort(const struct batch_head *h, struct bytes whole, bool *abort,
				struct errmsg *why)
{
	*abort = false;
	/* A damaged marker would turn aborted data into committed data. */
	if (whole.n < BATCH_HEAD || !batch_crc_ok(whole))
		return errmsg_set(why, ERR_CORRUPT, "control batch at offset %lld: wrong checksum",
				  (long long)h->base_offset);
	/* Compaction keeps the empty batch of a marker that it removed. */
	if (h->count == 0)
		return ERR_OK;
	struct bytes key;
	if (batch_codec(h) != CODEC_NONE || !first_key(whole, &key) || key.n < CONTROL_KEY_MIN ||
	    (int16_t)be16_get(key.p) < 0)
		return errmsg_set(why, ERR_MALFORMED,
				  "control batch at offset %lld: its record has no control key",
				  (long long)h->base_offset);
	*abort = be16_get(key.p + 2) == CONTROL_ABORT;
	return ERR_OK;
}

enum aborted_verdict aborted_filter_next(struct aborted_filter *f, const struct batch_head *h,
					 struct bytes whole, struct errmsg *why)
{
	bool control = h->attributes & BATCH_CONTROL;
	if (h->producer_id >= 0 && f->starts_n > 0) {
		filter_consume_up_to(f, batch_last_offset(h));
		struct aborted_producer *producer = producer_find(f, h->producer_id);
		bool abort = false;
		if (control && marker_is_abort(h, whole, &abort, why) != ERR_OK)
			return ABORTED_MALFORMED;
		if (abort && producer != NULL)
			producer->active = false;
		if (!control && producer != NULL && producer->active &&
		    (h->attributes & BATCH_TRANSACTIONAL))
			return ABORTED_DROP;
	}
	return control ? ABORTED_DROP_CONTROL : ABORTED_KEEP;
}
