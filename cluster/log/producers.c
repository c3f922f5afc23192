/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Producers by id, in a map and in two lists, each from the one that wrote longest ago to the
 * latest: those that wrote once since they are known, and those that came back ("proven"). When
 * there are too many, one of the first list goes before one of the second: a crowd of ids that
 * write once, which any client may send, does not push out the producers that work. The second list
 * leaves the first a quarter, so that new producers have the time to come back.
 *
 * Invariants: every producer of the map is in its list, but `fresh`, which producers_check made for
 * a batch that is not committed yet: that one is in the map alone and counts as unknown. The
 * batches of a producer are in the order of the log and of one epoch; there is none only where a
 * marker came last.
 */
#include "cluster/log/producers.h"

#include <assert.h>
#include <inttypes.h>

#include "lib/base/map.h"
#include "lib/base/mem.h"
#include "lib/wire/messages.h"

enum {
	SNAPSHOT_VERSION = 1,
	CRC_AT = 2,             /* behind the version */
	CHECKED_AT = 6,         /* what the checksum covers */
	SNAPSHOT_HEAD = 10,     /* version, checksum, count */
	SNAPSHOT_ENTRY = 46,    /* ProducerEntry */
	ARENA_SPARE = 64 * 1024 /* of the decoder, beside the entries */
};

/* A batch, as ProducerStateEntry's BatchMetadata keeps it. */
struct past {
	int32_t last_sequence;
	int32_t offset_delta;
	int64_t last_offset;
	int64_t timestamp;
};

struct producer {
	struct producer *older, *newer;
	int64_t id;
	int64_t last_timestamp;
	int64_t last_offset; /* of the last batch or marker */
	int16_t epoch;
	uint8_t n; /* of batches; the latest is the last */
	bool listed, proven;
	struct past batches[PRODUCERS_BATCHES];
};

struct list {
	struct producer *oldest, *latest;
	size_t n;
};

enum { ONCE, PROVEN, LISTS };

struct producers {
	struct map *by_id;
	struct list lists[LISTS];
	struct producer *fresh;
	size_t max;
	uint64_t displaced;
};

static_assert(sizeof(struct producer) <= 184, "PRODUCERS_BYTES_EACH counts on it");

struct producers *producers_new(size_t max)
{
	struct producers *p = mem_zalloc(1, sizeof *p);

	assert(max >= 1);
	if (p == NULL)
		return NULL;
	p->max = max;
	p->by_id = map_new();
	if (p->by_id == NULL) {
		mem_free(p);
		return NULL;
	}
	return p;
}

static struct bytes id_key(const int64_t *id)
{
	return bytes_of(id, sizeof *id);
}

static struct producer *find(const struct producers *p, int64_t id)
{
	struct producer *found = map_get(p->by_id, id_key(&id));

	return found != NULL && found->listed ? found : NULL;
}

static void unlist(struct producers *p, struct producer *x)
{
	struct list *l = &p->lists[x->proven];

	*(x->older != NULL ? &x->older->newer : &l->oldest) = x->newer;
	*(x->newer != NULL ? &x->newer->older : &l->latest) = x->older;
	x->listed = false;
	l->n--;
}

static void list_latest(struct producers *p, struct producer *x)
{
	struct list *l = &p->lists[x->proven];

	x->older = l->latest;
	x->newer = NULL;
	*(l->latest != NULL ? &l->latest->newer : &l->oldest) = x;
	l->latest = x;
	x->listed = true;
	l->n++;
}

/* All of them: the first, and the one behind `x`, which may be forgotten meanwhile. */
static struct producer *first(const struct producers *p)
{
	struct producer *x = p->lists[ONCE].oldest;

	return x != NULL ? x : p->lists[PROVEN].oldest;
}

static struct producer *behind(const struct producers *p, const struct producer *x)
{
	return x->newer != NULL || x->proven ? x->newer : p->lists[PROVEN].oldest;
}

static void forget(struct producers *p, struct producer *x)
{
	if (x->listed)
		unlist(p, x);
	map_take(p->by_id, id_key(&x->id));
	mem_free(x);
}

static void forget_fresh(struct producers *p)
{
	if (p->fresh != NULL)
		forget(p, p->fresh);
	p->fresh = NULL;
}

void producers_clear(struct producers *p)
{
	forget_fresh(p);
	for (struct producer *x = first(p); x != NULL; x = first(p))
		forget(p, x);
}

void producers_free(struct producers *p)
{
	if (p == NULL)
		return;
	producers_clear(p);
	map_free(p->by_id);
	mem_free(p);
}

size_t producers_count(const struct producers *p)
{
	return p->lists[ONCE].n + p->lists[PROVEN].n;
}

uint64_t producers_displaced(const struct producers *p)
{
	return p->displaced;
}

/* Make room for a producer that may be new. */
static enum err reserve(struct producers *p, int64_t id)
{
	if (p->fresh != NULL && p->fresh->id == id)
		return ERR_OK;
	forget_fresh(p);
	if (find(p, id) != NULL)
		return ERR_OK;
	struct producer *x = mem_zalloc(1, sizeof *x);
	if (x == NULL)
		return ERR_NOMEM;
	x->id = id;
	x->epoch = -1;
	if (map_put(p->by_id, id_key(&id), x) != ERR_OK) {
		mem_free(x);
		return ERR_NOMEM;
	}
	p->fresh = x;
	return ERR_OK;
}

/* The sequence `delta` before `last`, with Kafka's wrap (DefaultRecordBatch.decrementSequence). */
static int32_t sequence_before(int32_t last, int32_t delta)
{
	return last < 0 ? -1 : (int32_t)(((int64_t)last - delta) & INT32_MAX);
}

static int32_t sequence_last(const struct batch_head *h)
{
	return h->base_sequence < 0 ? -1
				    : batch_sequence_add(h->base_sequence, h->last_offset_delta);
}

/* ProducerStateEntry.findDuplicateBatch. */
static const struct past *find_duplicate(const struct producer *x, const struct batch_head *h)
{
	int32_t last = sequence_last(h);

	if (x->epoch != h->producer_epoch)
		return NULL;
	for (uint8_t i = 0; i < x->n; i++) {
		const struct past *b = &x->batches[i];
		if (b->last_sequence == last &&
		    sequence_before(last, b->offset_delta) == h->base_sequence)
			return b;
	}
	return NULL;
}

/* ProducerAppendInfo.checkProducerEpoch and checkSequence. */
static enum err check_next(const struct producer *x, const struct batch_head *h, struct errmsg *why)
{
	if (h->producer_epoch < x->epoch)
		return errmsg_set(why, ERR_KAFKA_INVALID_PRODUCER_EPOCH,
				  "producer %" PRId64 ": epoch %d is behind the last one, %d",
				  x->id, h->producer_epoch, x->epoch);
	/* No epoch stands in it: from a snapshot of Kafka's. */
	if (x->epoch < 0)
		return ERR_OK;
	if (h->producer_epoch != x->epoch) {
		if (h->base_sequence == 0)
			return ERR_OK;
		return errmsg_set(why, ERR_KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER,
				  "producer %" PRId64 ": the first sequence of epoch %d is "
				  "%" PRId32 ", not 0",
				  x->id, h->producer_epoch, h->base_sequence);
	}
	/* After a marker there are no batches, and the next one has to begin at 0. */
	int32_t last = x->n == 0 ? -1 : x->batches[x->n - 1].last_sequence;
	int32_t next = last == INT32_MAX ? 0 : last + 1;
	if (h->base_sequence == next)
		return ERR_OK;
	return errmsg_set(why, ERR_KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER,
			  "producer %" PRId64 ": sequence %" PRId32 " does not follow %" PRId32,
			  x->id, h->base_sequence, last);
}

enum err producers_check(struct producers *p, const struct batch_head *h, bool *duplicate,
			 struct producers_batch *earlier, struct errmsg *why)
{
	*duplicate = false;
	if (h->producer_id < 0)
		return ERR_OK;
	const struct producer *x = find(p, h->producer_id);
	const struct past *b = x == NULL ? NULL : find_duplicate(x, h);
	if (b != NULL) {
		*duplicate = true;
		*earlier = (struct producers_batch){
			.first_sequence = h->base_sequence,
			.last_sequence = b->last_sequence,
			.first_offset = b->last_offset - b->offset_delta,
			.last_offset = b->last_offset,
			.timestamp = b->timestamp,
		};
		return ERR_OK;
	}
	enum err e = x == NULL ? ERR_OK : check_next(x, h, why);
	if (e == ERR_OK && reserve(p, h->producer_id) != ERR_OK)
		e = errmsg_set(why, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	return e;
}

static void add_batch(struct producer *x, const struct past *b)
{
	if (x->n == PRODUCERS_BATCHES) {
		memmove(x->batches, x->batches + 1, sizeof x->batches - sizeof x->batches[0]);
		x->n--;
	}
	x->batches[x->n++] = *b;
}

/* One more is to be listed: forget one if there are too many. */
static void displace(struct producers *p)
{
	size_t once = p->lists[ONCE].n;

	if (producers_count(p) < p->max)
		return;
	p->displaced++;
	forget(p, once > p->max / 4 || p->lists[PROVEN].n == 0 ? p->lists[ONCE].oldest
							       : p->lists[PROVEN].oldest);
}

/* Take over a producer as the latest writer. */
static struct producer *touch(struct producers *p, int64_t id)
{
	struct producer *x = map_get(p->by_id, id_key(&id));

	assert(x != NULL);
	if (x == p->fresh)
		p->fresh = NULL;
	if (x->listed) {
		unlist(p, x);
		x->proven = true;
	}
	displace(p);
	list_latest(p, x);
	return x;
}

void producers_commit(struct producers *p, const struct batch_head *h)
{
	if (h->producer_id < 0)
		return;
	bool control = (h->attributes & BATCH_CONTROL) != 0;
	/* An empty control batch: the transaction was cleaned away (ProducerAppendInfo.append). */
	if (control && h->count == 0)
		return;
	struct producer *x = touch(p, h->producer_id);
	if (x->epoch != h->producer_epoch)
		x->n = 0;
	x->epoch = h->producer_epoch;
	x->last_timestamp = h->max_timestamp;
	x->last_offset = batch_last_offset(h);
	if (control)
		return;
	const struct past b = {
		.last_sequence = sequence_last(h),
		.offset_delta = h->last_offset_delta,
		.last_offset = batch_last_offset(h),
		.timestamp = h->max_timestamp,
	};
	add_batch(x, &b);
}

enum err producers_replay(struct producers *p, const struct batch_head *h)
{
	if (h->producer_id < 0)
		return ERR_OK;
	enum err e = reserve(p, h->producer_id);
	if (e == ERR_OK)
		producers_commit(p, h);
	return e;
}

size_t producers_expire(struct producers *p, int64_t now_ms, int64_t idle_ms)
{
	struct producer *next;
	size_t n = 0;

	/* All of them: timestamps are the producers', and need not rise with a list. */
	for (struct producer *x = first(p); x != NULL; x = next) {
		next = behind(p, x);
		bool idle = now_ms > x->last_timestamp &&
			    (uint64_t)now_ms - (uint64_t)x->last_timestamp >= (uint64_t)idle_ms;
		if (!idle)
			continue;
		forget(p, x);
		n++;
	}
	return n;
}

bool producers_truncate(struct producers *p, int64_t offset)
{
	struct producer *next;
	bool known = true;

	forget_fresh(p);
	for (struct producer *x = first(p); x != NULL; x = next) {
		next = behind(p, x);
		if (x->last_offset < offset)
			continue;
		while (x->n > 0 && x->batches[x->n - 1].last_offset >= offset)
			x->n--;
		if (x->n == 0) {
			forget(p, x);
			known = false;
			continue;
		}
		x->last_offset = x->batches[x->n - 1].last_offset;
		x->last_timestamp = x->batches[x->n - 1].timestamp;
	}
	return known;
}

void producers_remove_below(struct producers *p, int64_t offset)
{
	struct producer *next;

	for (struct producer *x = first(p); x != NULL; x = next) {
		next = behind(p, x);
		if (x->last_offset < offset)
			forget(p, x);
	}
}

bool producers_next(const struct producers *p, size_t *at, struct plog_producer *out)
{
	void *value;

	while (map_next(p->by_id, at, NULL, &value)) {
		const struct producer *x = value;
		if (!x->listed)
			continue;
		*out = (struct plog_producer){
			.producer_id = x->id,
			.epoch = x->epoch,
			.last_sequence = x->n == 0 ? -1 : x->batches[x->n - 1].last_sequence,
			.last_timestamp = x->last_timestamp,
		};
		return true;
	}
	return false;
}

bool producers_is_last(const struct producers *p, const struct batch_head *h)
{
	const struct producer *x = h->producer_id < 0 ? NULL : find(p, h->producer_id);

	if (x == NULL)
		return false;
	if (x->n > 0)
		return batch_last_offset(h) == x->batches[x->n - 1].last_offset;
	return (h->attributes & BATCH_CONTROL) != 0 && h->producer_epoch == x->epoch;
}

static struct producer_snapshot_producer_entry snapshot_entry(const struct producer *x)
{
	const struct past none = {.last_sequence = -1, .last_offset = -1};
	const struct past *b = x->n == 0 ? &none : &x->batches[x->n - 1];

	return (struct producer_snapshot_producer_entry){
		.producer_id = x->id,
		.epoch = x->epoch,
		.last_sequence = b->last_sequence,
		.last_offset = b->last_offset,
		.offset_delta = b->offset_delta,
		.timestamp = x->last_timestamp,
		.coordinator_epoch = -1,
		.current_txn_first_offset = -1,
	};
}

static enum err snapshot_write(const struct producers *p, struct arena *a, struct wire_out *o)
{
	struct producer_snapshot s;

	wire_init(&wire_producer_snapshot, &s);
	s.producer_entries_n = (int32_t)producers_count(p);
	s.producer_entries =
		wire_array_new(a, &wire_producer_snapshot_producer_entry, s.producer_entries_n);
	if (s.producer_entries == NULL)
		return ERR_NOMEM;
	/* In the order of writing. */
	const struct producer *once = p->lists[ONCE].oldest, *proven = p->lists[PROVEN].oldest;
	for (size_t i = 0; once != NULL || proven != NULL; i++) {
		bool take =
			proven == NULL || (once != NULL && once->last_offset < proven->last_offset);
		const struct producer *x = take ? once : proven;
		s.producer_entries[i] = snapshot_entry(x);
		*(take ? &once : &proven) = x->newer;
	}
	buf_put_be16(&o->buf, SNAPSHOT_VERSION);
	enum err e = wire_encode(&wire_producer_snapshot, SNAPSHOT_VERSION, &s, o, NULL);
	if (e != ERR_OK)
		return e;
	be32_put(o->buf.p + CRC_AT, crc32c(0, o->buf.p + CHECKED_AT, o->buf.len - CHECKED_AT));
	return ERR_OK;
}

enum err producers_encode(const struct producers *p, struct buf *out)
{
	struct arena a;
	struct wire_out o;
	size_t n = producers_count(p);

	if (n > INT32_MAX / SNAPSHOT_ENTRY)
		return ERR_LIMIT;
	arena_init(&a, n * sizeof(struct producer_snapshot_producer_entry) + ARENA_SPARE);
	wire_out_init(&o, SNAPSHOT_HEAD + n * SNAPSHOT_ENTRY, 0);
	enum err e = snapshot_write(p, &a, &o);
	if (e == ERR_OK) {
		buf_put(out, o.buf.p, o.buf.len);
		e = out->err;
	}
	wire_out_fini(&o);
	arena_fini(&a);
	return e;
}

/* Entries come in the order of writing, so that those over the maximum are the oldest. An id that
 * is there twice counts as it stands last, as in Kafka. */
static enum err snapshot_add(struct producers *p, const struct producer_snapshot_producer_entry *s)
{
	if (s->producer_id < 0 || s->epoch < -1 || s->last_sequence < -1 || s->last_offset < -1 ||
	    s->last_offset == INT64_MAX || s->offset_delta < 0 ||
	    s->offset_delta > s->last_offset + 1)
		return ERR_MALFORMED;
	if (reserve(p, s->producer_id) != ERR_OK)
		return ERR_NOMEM;
	struct producer *x = map_get(p->by_id, id_key(&s->producer_id));
	/* A sequence above 0: it had written before. */
	if (!x->listed)
		x->proven = s->last_sequence > s->offset_delta;
	x = touch(p, s->producer_id);
	x->epoch = s->epoch;
	x->last_timestamp = s->timestamp;
	x->last_offset = s->last_offset;
	x->n = 0;
	if (s->last_offset < 0)
		return ERR_OK;
	const struct past b = {
		.last_sequence = s->last_sequence,
		.offset_delta = s->offset_delta,
		.last_offset = s->last_offset,
		.timestamp = s->timestamp,
	};
	add_batch(x, &b);
	return ERR_OK;
}

static enum err snapshot_read(struct producers *p, struct arena *a, struct bytes file,
			      struct errmsg *why)
{
	struct producer_snapshot s;

	if (file.n < SNAPSHOT_HEAD)
		return errmsg_set(why, ERR_MALFORMED, "%zu bytes are too few", file.n);
	if (be16_get(file.p) != SNAPSHOT_VERSION)
		return errmsg_set(why, ERR_UNSUPPORTED, "version %d is not known",
				  (int)be16_get(file.p));
	if (be32_get(file.p + CRC_AT) != crc32c(0, file.p + CHECKED_AT, file.n - CHECKED_AT))
		return errmsg_set(why, ERR_CORRUPT, "%s", err_text(ERR_CORRUPT));
	enum err e = wire_decode(&wire_producer_snapshot, SNAPSHOT_VERSION,
				 bytes_of(file.p + CRC_AT, file.n - CRC_AT), a, &s, why);
	for (int32_t i = 0; e == ERR_OK && i < s.producer_entries_n; i++) {
		e = snapshot_add(p, &s.producer_entries[i]);
		if (e != ERR_OK)
			errmsg_set(why, e, "producer %" PRId32 ": %s", i, err_text(e));
	}
	return e;
}

enum err producers_decode(struct producers *p, struct bytes file, struct errmsg *why)
{
	struct arena a;

	producers_clear(p);
	arena_init(&a, file.n < SIZE_MAX / 4 ? file.n * 2 + ARENA_SPARE : SIZE_MAX / 2);
	enum err e = snapshot_read(p, &a, file, why);
	arena_fini(&a);
	if (e == ERR_OK)
		return e;
	producers_clear(p);
	return errmsg_wrap(why, e, "producer snapshot");
}
