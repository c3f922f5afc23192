/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table is open addressing over 128-bit hashes with offset + 1 (0: free), at most 3/4 full.
 *
 * A batch is read twice: once to see that all of it can be read, then to use it. So a batch that
 * only looks whole at its front neither displaces a record elsewhere nor loses one of its own.
 *
 * Invariants: an offset in the table is that of a record which phase 2 keeps, unless it is a
 * tombstone past its horizon; `end` only falls, from `until` to where the table was full; batches
 * come with rising offsets in each phase.
 */
#include "cluster/log/cleaner_pass.h"

#include <assert.h>
#include <inttypes.h>

#include "cluster/log/key_hash.h"
#include "lib/base/mem.h"
#include "lib/wire/records.h"
#include "lib/wire/varint.h"

struct slot {
	struct key_hash hash;
	int64_t offset_plus_1;
};

struct cleaner_pass {
	struct cleaner_pass_options o;
	struct cleaner_pass_stats stats;
	struct slot *slots;
	size_t cap;
	size_t keys_max;
	int64_t end;
	int64_t index_next;   /* the least offset that the next batch may have: phase 1 */
	int64_t rewrite_next; /* phase 2 */
	struct buf plain;     /* the present batch, without compression */
	struct buf records;   /* what is kept of it, encoded */
};

/* A batch that is being worked on. */
struct job {
	struct batch_head h;
	struct bytes whole;
	struct bytes plain; /* the same batch without compression, sealed; null if it is not to be
			       read record by record */
};

enum err cleaner_pass_new(const struct cleaner_pass_options *o, struct cleaner_pass **out)
{
	struct cleaner_pass *c = mem_zalloc(1, sizeof *c);

	assert(o->memory >= CLEANER_PASS_MEMORY_MIN && o->from < o->until);
	if (c == NULL)
		return ERR_NOMEM;
	c->o = *o;
	if (c->o.inflate_max > BATCH_PAYLOAD_MAX)
		c->o.inflate_max = BATCH_PAYLOAD_MAX;
	c->end = o->until;
	c->cap = o->memory / sizeof *c->slots;
	c->keys_max = c->cap - c->cap / 4;
	buf_init(&c->plain, BATCH_HEAD + c->o.inflate_max);
	buf_init(&c->records, BATCH_PAYLOAD_MAX);
	c->slots = mem_zalloc(c->cap, sizeof *c->slots);
	if (c->slots == NULL) {
		mem_free(c);
		return ERR_NOMEM;
	}
	*out = c;
	return ERR_OK;
}

void cleaner_pass_free(struct cleaner_pass *c)
{
	if (c == NULL)
		return;
	buf_fini(&c->plain);
	buf_fini(&c->records);
	mem_free(c->slots);
	mem_free(c);
}

int64_t cleaner_pass_end(const struct cleaner_pass *c)
{
	return c->end;
}

const struct cleaner_pass_stats *cleaner_pass_stats(const struct cleaner_pass *c)
{
	return &c->stats;
}

/* The slot of a key, or the free one where it would go: there always is one. */
static struct slot *slot_find(const struct cleaner_pass *c, struct key_hash hash)
{
	for (size_t i = hash.a % c->cap;; i = i + 1 == c->cap ? 0 : i + 1) {
		struct slot *s = &c->slots[i];
		if (s->offset_plus_1 == 0 || (s->hash.a == hash.a && s->hash.b == hash.b)) {
			return s;
		}
	}
}

/* Note a key's offset; false: the table is full. Offsets rise, so the last one wins. */
static bool slot_put(struct cleaner_pass *c, struct bytes key, int64_t offset)
{
	struct key_hash hash = key_hash_of(c->o.key, key);
	struct slot *s = slot_find(c, hash);

	if (s->offset_plus_1 == 0) {
		if (c->stats.keys == c->keys_max)
			return false;
		c->stats.keys++;
	}
	*s = (struct slot){.hash = hash, .offset_plus_1 = offset + 1};
	return true;
}

static enum err job_head(struct job *j, struct bytes batch, int64_t *next, struct errmsg *why)
{
	struct batch_walk w = {.left = batch};
	enum batch_walk_result found = batch_walk_next(&w, &j->h, &j->whole, why);

	if (found == BATCH_WALK_MALFORMED)
		return ERR_MALFORMED;
	if (found != BATCH_WALK_BATCH || w.left.n != 0)
		return errmsg_set(why, ERR_MALFORMED, "not exactly one whole batch of magic 2");
	if (j->h.base_offset < *next)
		return errmsg_set(why, ERR_MALFORMED,
				  "batch at offset %" PRId64 " comes after offset %" PRId64,
				  j->h.base_offset, *next - 1);
	if (!batch_crc_ok(batch))
		return errmsg_set(why, ERR_CORRUPT, "batch at offset %" PRId64 ": wrong checksum",
				  j->h.base_offset);
	*next = batch_last_offset(&j->h) + 1;
	return ERR_OK;
}

/* Make the uncompressed form of a batch in c->plain. */
static enum err job_inflate(struct cleaner_pass *c, struct job *j)
{
	struct batch_head h = j->h;

	buf_clear(&c->plain);
	if (buf_extend(&c->plain, BATCH_HEAD) == NULL)
		return c->plain.err;
	enum err e = codec_decompress(batch_codec(&h), 2,
				      bytes_of(j->whole.p + BATCH_HEAD, j->whole.n - BATCH_HEAD),
				      &c->plain, NULL);
	if (e != ERR_OK)
		return e;
	h.attributes &= (int16_t)~BATCH_CODEC_MASK;
	batch_head_seal(c->plain.p, c->plain.len - BATCH_HEAD, &h);
	j->plain = buf_bytes(&c->plain);
	return ERR_OK;
}

/* Read a batch through once. */
static enum err read_through(struct bytes plain)
{
	struct records_reader *rr;
	struct record r;
	enum err e = records_reader_open(plain, 0, &rr, NULL);

	if (e != ERR_OK)
		return e;
	while (records_reader_next(rr, &r)) {
	}
	e = records_reader_error(rr, NULL);
	records_reader_free(rr);
	return e;
}

/* Check a batch, and make it ready to be read if its records are to be looked at. */
static enum err job_open(struct cleaner_pass *c, struct job *j, struct bytes batch, int64_t *next,
			 struct errmsg *why)
{
	enum err e = job_head(j, batch, next, why);

	if (e != ERR_OK || j->h.count == 0 ||
	    (j->h.attributes & (BATCH_CONTROL | BATCH_TRANSACTIONAL)) != 0)
		return e;
	if (batch_codec(&j->h) == CODEC_NONE)
		j->plain = j->whole;
	else
		e = job_inflate(c, j);
	if (e == ERR_OK)
		e = read_through(j->plain);
	if (e == ERR_NOMEM)
		return errmsg_set(why, e, "%s", err_text(e));
	if (e != ERR_OK)
		j->plain = (struct bytes){0};
	return ERR_OK;
}

static bool is_unreadable(const struct job *j)
{
	return j->plain.p == NULL && j->h.count > 0 &&
	       (j->h.attributes & (BATCH_CONTROL | BATCH_TRANSACTIONAL)) == 0;
}

/* A reader over a batch that was read through already: only memory can be lacking. */
static enum err job_reader(const struct job *j, struct records_reader **rr, struct errmsg *why)
{
	enum err e = records_reader_open(j->plain, 0, rr, why);

	assert(e == ERR_OK || e == ERR_NOMEM);
	return e;
}

enum err cleaner_pass_index(struct cleaner_pass *c, struct bytes batch, bool *full,
			    struct errmsg *why)
{
	struct records_reader *rr;
	struct job j = {0};
	struct record r;
	enum err e = job_open(c, &j, batch, &c->index_next, why);

	*full = false;
	if (e != ERR_OK)
		return e;
	if (batch_last_offset(&j.h) >= c->o.until)
		return errmsg_set(why, ERR_MALFORMED,
				  "batch at offset %" PRId64 " passes the end, %" PRId64,
				  j.h.base_offset, c->o.until);
	if (j.plain.p == NULL)
		return ERR_OK;
	e = job_reader(&j, &rr, why);
	if (e != ERR_OK)
		return e;
	while (!*full && records_reader_next(rr, &r)) {
		if (r.offset < c->o.from || r.key.p == NULL || slot_put(c, r.key, r.offset))
			continue;
		c->end = r.offset;
		*full = true;
	}
	records_reader_free(rr);
	return ERR_OK;
}

/* KIP-534: what stands where the base timestamp was. */
static bool has_horizon(const struct batch_head *h)
{
	return (h->attributes & BATCH_DELETE_HORIZON) != 0;
}

enum fate { FATE_KEPT, FATE_SUPERSEDED, FATE_NO_KEY, FATE_TOMBSTONE, FATES };

/* Cleaner.shouldRetainRecord. */
static enum fate record_fate(const struct cleaner_pass *c, const struct batch_head *h,
			     const struct record *r)
{
	if (r->offset >= c->end)
		return FATE_KEPT;
	if (r->key.p == NULL)
		return FATE_NO_KEY;
	if (slot_find(c, key_hash_of(c->o.key, r->key))->offset_plus_1 > r->offset + 1)
		return FATE_SUPERSEDED;
	if (r->value.p == NULL && has_horizon(h) && c->o.now_ms >= h->base_timestamp)
		return FATE_TOMBSTONE;
	return FATE_KEPT;
}

struct kept {
	int32_t n;
	bool tombstones;
	int64_t first_timestamp;
	int64_t max_timestamp;
};

/* Which records stay? */
static enum err look(struct cleaner_pass *c, const struct job *j, struct kept *k,
		     struct errmsg *why)
{
	struct records_reader *rr;
	uint64_t fates[FATES] = {0};
	struct record r;
	enum err e = job_reader(j, &rr, why);

	if (e != ERR_OK)
		return e;
	*k = (struct kept){.max_timestamp = -1};
	while (records_reader_next(rr, &r)) {
		enum fate fate = record_fate(c, &j->h, &r);
		fates[fate]++;
		if (fate != FATE_KEPT)
			continue;
		if (k->n++ == 0)
			k->first_timestamp = r.timestamp;
		if (r.timestamp > k->max_timestamp)
			k->max_timestamp = r.timestamp;
		k->tombstones = k->tombstones || r.value.p == NULL;
	}
	records_reader_free(rr);
	c->stats.records_read += (uint64_t)j->h.count;
	c->stats.records_kept += fates[FATE_KEPT];
	c->stats.no_key += fates[FATE_NO_KEY];
	c->stats.tombstones += fates[FATE_TOMBSTONE];
	return ERR_OK;
}

static void record_put(struct buf *b, const struct record *r, const struct batch_head *h)
{
	uint8_t front[3 * VARINT_MAX_64 + 1];
	/* Wraps as in Java, and back in the reader. */
	int64_t time_delta = (int64_t)((uint64_t)r->timestamp - (uint64_t)h->base_timestamp);
	int64_t offset_delta = r->offset - h->base_offset;
	size_t n = 1 + varint_size(time_delta) + varint_size(offset_delta) + r->body.n;
	uint8_t *p = varint_put_64(front, (int64_t)n);

	*p++ = 0; /* attributes: none are defined */
	p = varint_put_64(p, time_delta);
	p = varint_put_64(p, offset_delta);
	buf_put(b, front, (size_t)(p - front));
	buf_put(b, r->body.p, r->body.n);
}

/* The head of the batch with fewer records (MemoryRecords.buildRetainedRecordsInto). */
static struct batch_head kept_head(const struct cleaner_pass *c, const struct batch_head *old,
				   const struct kept *k)
{
	struct batch_head h = *old;

	h.count = k->n;
	if ((old->attributes & BATCH_LOG_APPEND_TIME) == 0)
		h.max_timestamp = k->max_timestamp;
	if (has_horizon(old))
		return h;
	h.base_timestamp = k->first_timestamp;
	if (!k->tombstones)
		return h;
	h.attributes |= BATCH_DELETE_HORIZON;
	h.base_timestamp = c->o.now_ms > INT64_MAX - c->o.delete_retention_ms
				   ? INT64_MAX
				   : c->o.now_ms + c->o.delete_retention_ms;
	return h;
}

/* Encode the kept records behind a new head. */
static enum err rebuild(struct cleaner_pass *c, const struct job *j, const struct batch_head *h,
			struct buf *out, struct errmsg *why)
{
	struct records_reader *rr;
	struct record r;
	size_t start = out->len;
	enum err e = job_reader(j, &rr, why);

	if (e != ERR_OK)
		return e;
	buf_clear(&c->records);
	while (records_reader_next(rr, &r))
		if (record_fate(c, &j->h, &r) == FATE_KEPT)
			record_put(&c->records, &r, h);
	records_reader_free(rr);
	e = c->records.err;
	if (e == ERR_OK && buf_extend(out, BATCH_HEAD) == NULL)
		e = out->err;
	if (e == ERR_OK)
		e = codec_compress(batch_codec(h), buf_bytes(&c->records), out);
	if (e == ERR_OK && out->len - start - BATCH_HEAD > BATCH_PAYLOAD_MAX)
		e = ERR_LIMIT;
	if (e != ERR_OK) {
		out->len = start;
		return errmsg_set(why, e, "batch at offset %" PRId64 ": %s", h->base_offset,
				  err_text(e));
	}
	batch_head_seal(out->p + start, out->len - start - BATCH_HEAD, h);
	return ERR_OK;
}

static enum err keep_bytes(struct buf *out, struct bytes b, struct errmsg *why)
{
	buf_put(out, b.p, b.n);
	return out->err == ERR_OK ? ERR_OK : errmsg_set(why, out->err, "%s", err_text(out->err));
}

/* Does a batch stay although it has no records? Its producer's last one, for the sequence, and the
 * last one of the pass, so that the log's end is known (Cleaner.java, checkBatchRetention). */
static bool is_kept_empty(const struct cleaner_pass *c, const struct batch_head *h)
{
	if (h->producer_id >= 0 && c->o.is_last(c->o.arg, h))
		return true;
	return batch_last_offset(h) + 1 == c->o.until;
}

/* DefaultRecordBatch.writeEmptyHeader: no codec, no base timestamp, no horizon. */
static enum err empty(const struct batch_head *old, struct buf *out, struct errmsg *why)
{
	uint8_t head[BATCH_HEAD];
	struct batch_head h = *old;

	h.attributes &= (int16_t) ~(BATCH_CODEC_MASK | BATCH_DELETE_HORIZON);
	h.base_timestamp = -1;
	h.count = 0;
	batch_head_seal(head, 0, &h);
	return keep_bytes(out, bytes_of(head, sizeof head), why);
}

static enum err rewrite_job(struct cleaner_pass *c, const struct job *j, struct buf *out,
			    struct errmsg *why)
{
	struct kept k = {0};

	if (j->h.count == 0)
		return is_kept_empty(c, &j->h) ? empty(&j->h, out, why) : ERR_OK;
	if (j->plain.p == NULL) {
		c->stats.unreadable += is_unreadable(j);
		return keep_bytes(out, j->whole, why);
	}
	enum err e = look(c, j, &k, why);
	if (e != ERR_OK)
		return e;
	if (k.n == 0)
		return is_kept_empty(c, &j->h) ? empty(&j->h, out, why) : ERR_OK;
	if (k.n == j->h.count && (!k.tombstones || has_horizon(&j->h)))
		return keep_bytes(out, j->whole, why);
	const struct batch_head h = kept_head(c, &j->h, &k);
	return rebuild(c, j, &h, out, why);
}

enum err cleaner_pass_rewrite(struct cleaner_pass *c, struct bytes batch, struct buf *out,
			      struct batch_head *h, struct errmsg *why)
{
	struct job j = {0};
	size_t start = out->len;
	enum err e = job_open(c, &j, batch, &c->rewrite_next, why);

	h->length = 0;
	if (e == ERR_OK)
		e = rewrite_job(c, &j, out, why);
	if (e != ERR_OK)
		return e;
	c->stats.batches_read++;
	c->stats.bytes_read += batch.n;
	if (out->len == start)
		return ERR_OK;
	c->stats.batches_kept++;
	c->stats.bytes_kept += out->len - start;
	batch_head_get(out->p + start, h);
	return ERR_OK;
}
