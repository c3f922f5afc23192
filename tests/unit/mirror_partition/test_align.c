/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exact resume against the truth. A random source log (codecs, holes, transactions with aborts,
 * markers) is copied to a target in other batches, the copy stops anywhere, the stored table lags
 * behind it; a compacted source loses records since. M2, M13 (no duplicate, none missing after
 * kill -9), F1, F27, F28.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/wire/messages.h"
#include "lib/wire/records.h"
#include "lib/wire/varint.h"
#include "mirror/partition/align.h"
#include "tests/unit/base/few_allocs.h"
#include "tests/unit/rng.h"

enum { RECORDS_MAX = 4000, BATCHES_MAX = 4000, TXNS_MAX = 600, DECODE_MAX = 1 << 20 };
enum { CONTROL = BATCH_TRANSACTIONAL | BATCH_CONTROL };

/* A record of the simulation: its content follows from `id`, or equals that of others. */
struct sim_record {
	int64_t offset;
	int64_t id;
	int64_t timestamp;
};

/* A log: batches as bytes, one after the other. */
struct sim_log {
	struct buf bytes;
	struct {
		size_t at;
		int64_t last;
	} batches[BATCHES_MAX];
	size_t n;
	struct fetch_response_aborted_transaction txns[TXNS_MAX]; /* aborted ones */
	int64_t markers[TXNS_MAX];                                /* where each ends */
	size_t txns_n;
	int64_t end;
};

static void sim_init(struct sim_log *l)
{
	l->n = l->txns_n = 0;
	l->end = 0;
	buf_init(&l->bytes, 64 << 20);
}

/* Encoding, by hand: a builder makes no holes */

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

static void put_record(struct buf *b, const struct sim_record *r, int64_t base, int64_t base_ts)
{
	struct buf body;
	buf_init(&body, 4096);
	buf_put_u8(&body, 0);
	put_varint(&body, r->timestamp - base_ts);
	put_varint(&body, r->offset - base);
	uint8_t key[8];
	be64_put(key, (uint64_t)(r->id % 97));
	put_bytes(&body, r->id % 5 == 0 ? (struct bytes){0} : bytes_of(key, sizeof key));
	uint8_t value[64];
	memset(value, (int)(r->id % 251), sizeof value);
	be64_put(value, (uint64_t)r->id);
	put_bytes(&body,
		  r->id % 11 == 0 ? (struct bytes){0} : bytes_of(value, 8 + (size_t)(r->id % 50)));
	put_varint(&body, r->id % 3);
	for (int64_t i = 0; i < r->id % 3; i++) {
		put_bytes(&body, bytes_str("h"));
		put_bytes(&body, bytes_of(value, 8));
	}
	put_varint(b, (int64_t)body.len);
	buf_put(b, body.p, body.len);
	buf_fini(&body);
}

/* Seal a batch of encoded records at the end of the log. */
static void add_batch(struct sim_log *l, struct batch_head *h, struct bytes payload, int64_t last)
{
	assert_true(l->n < BATCHES_MAX);
	struct buf packed;
	buf_init(&packed, 8 << 20);
	if (batch_codec(h) != CODEC_NONE && payload.n > 0)
		assert_int_equal(codec_compress(batch_codec(h), payload, &packed), ERR_OK);
	else
		buf_put(&packed, payload.p, payload.n);
	h->magic = 2;
	h->last_offset_delta = (int32_t)(last - h->base_offset);
	h->length = (int32_t)(BATCH_HEAD + packed.len - BATCH_OVERHEAD);
	size_t at = l->bytes.len;
	uint8_t head[BATCH_HEAD];
	batch_head_put(head, h);
	buf_put(&l->bytes, head, sizeof head);
	buf_put(&l->bytes, packed.p, packed.len);
	assert_int_equal(l->bytes.err, ERR_OK);
	h->crc = crc32c(0, l->bytes.p + at + 21, l->bytes.len - at - 21);
	batch_head_put(l->bytes.p + at, h);
	l->batches[l->n].at = at;
	l->batches[l->n++].last = last;
	l->end = last + 1;
	buf_fini(&packed);
}

static void add_records(struct sim_log *l, struct batch_head *h, const struct sim_record *r,
			size_t n, int64_t last)
{
	struct buf payload;
	buf_init(&payload, 8 << 20);
	h->count = (int32_t)n;
	h->base_timestamp = n > 0 ? r[0].timestamp : 0;
	h->max_timestamp = h->base_timestamp;
	for (size_t i = 0; i < n; i++) {
		put_record(&payload, &r[i], h->base_offset, h->base_timestamp);
		if (r[i].timestamp > h->max_timestamp)
			h->max_timestamp = r[i].timestamp;
	}
	assert_int_equal(payload.err, ERR_OK);
	add_batch(l, h, buf_bytes(&payload), last);
	buf_fini(&payload);
}

static void add_marker(struct sim_log *l, int64_t producer, bool commit)
{
	const uint8_t record[] = {32, 0, 0, 0, 8, 0, 0, 0, commit, 12, 0, 0, 0, 0, 0, 0, 0};
	struct batch_head h = {.base_offset = l->end,
			       .attributes = CONTROL,
			       .producer_id = producer,
			       .base_sequence = -1,
			       .count = 1};
	add_batch(l, &h, bytes_of(record, sizeof record), l->end);
}

/* A random source */

struct source {
	struct sim_log log;
	struct sim_record committed[RECORDS_MAX]; /* what is to be copied, by offset */
	size_t n;
	int64_t next_id;
	int64_t ids; /* ids repeat after so many: equal records */
	bool holes;
};

struct open_txn {
	bool open;
	int64_t first;
	struct sim_record records[200];
	size_t n;
};

static int by_offset(const void *a, const void *b)
{
	const struct sim_record *x = a;
	const struct sim_record *y = b;
	return (x->offset > y->offset) - (x->offset < y->offset);
}

static void commit(struct source *s, const struct sim_record *r, size_t n)
{
	for (size_t i = 0; i < n && s->n < RECORDS_MAX; i++)
		s->committed[s->n++] = r[i];
}

static void txn_end(struct rng *g, struct source *s, struct open_txn *t, int64_t producer)
{
	bool keep = rng_one_in(g, 2);
	if (keep) {
		commit(s, t->records, t->n);
	} else if (t->n > 0) {
		s->log.txns[s->log.txns_n].producer_id = producer;
		s->log.txns[s->log.txns_n].first_offset = t->first;
		s->log.markers[s->log.txns_n++] = s->log.end;
	}
	add_marker(&s->log, producer, keep);
	t->open = false;
	t->n = 0;
}

static void source_batch(struct rng *g, struct source *s, struct open_txn *txns)
{
	int64_t producer = rng_in(g, -1, 3); /* 1..3 are transactional */
	struct open_txn *t = producer > 0 ? &txns[producer] : NULL;
	struct sim_record r[40];
	size_t n = (size_t)(rng_one_in(g, 20) ? 40 : rng_in(g, 1, 8));
	struct batch_head h = {.base_offset = s->log.end,
			       .attributes = (int16_t)rng_in(g, CODEC_NONE, CODEC_ZSTD),
			       .producer_id = producer,
			       .base_sequence = -1};
	if (rng_one_in(g, 3))
		h.attributes = CODEC_NONE;
	int64_t offset = s->log.end;
	for (size_t i = 0; i < n; i++) {
		if (s->holes && rng_one_in(g, 4))
			offset += rng_in(g, 1, 3);
		r[i] = (struct sim_record){offset++, s->next_id++ % s->ids, 1000};
		r[i].timestamp += r[i].id;
	}
	if (s->holes && rng_one_in(g, 3))
		offset += rng_in(g, 1, 3);
	if (t != NULL) {
		h.attributes |= BATCH_TRANSACTIONAL;
		if (!t->open)
			t->first = s->log.end;
		t->open = true;
	}
	if (s->holes && rng_one_in(g, 15))
		n = 0; /* compaction left an empty batch */
	add_records(&s->log, &h, r, n, offset - 1);
	if (t == NULL) {
		commit(s, r, n);
		return;
	}
	memcpy(t->records + t->n, r, n * sizeof *r);
	t->n += n;
	if (t->n > 150 || rng_one_in(g, 3))
		txn_end(g, s, t, producer);
}

static void source_make(struct rng *g, struct source *s, bool holes)
{
	sim_init(&s->log);
	s->n = 0;
	s->next_id = 0;
	s->ids = rng_one_in(g, 4) ? rng_in(g, 1, 50) : INT64_MAX;
	s->holes = holes;
	s->log.end = rng_in(g, 0, 1000);
	struct open_txn txns[4] = {{0}};
	int64_t batches = rng_in(g, 3, 120);
	for (int64_t i = 0; i < batches && s->n < RECORDS_MAX - 1000; i++)
		source_batch(g, s, txns);
	for (int64_t p = 1; p <= 3; p++)
		if (txns[p].open)
			txn_end(g, s, &txns[p], p);
	qsort(s->committed, s->n, sizeof *s->committed, by_offset);
}

/* The copy */

struct copy {
	struct sim_log log;
	int64_t dst0; /* target offset of committed[0] */
	size_t stored, copied;
	int64_t s, t;     /* the stored table's ends */
	bool append_time; /* the target sets its own timestamps */
	struct runs *table;
};

static void copy_make(struct rng *g, const struct source *s, struct copy *c)
{
	sim_init(&c->log);
	c->dst0 = rng_in(g, 0, 500);
	c->copied = (size_t)rng_in(g, 1, (int64_t)s->n);
	c->stored = (size_t)rng_in(g, 0, (int64_t)c->copied - 1);
	c->append_time = rng_one_in(g, 8);
	c->table = runs_new(1 << 20);
	c->log.end = c->dst0;
	assert_int_equal(runs_begin(c->table, 0, c->dst0), ERR_OK);
	for (size_t i = 0; i < c->copied;) {
		struct sim_record r[60];
		size_t n = (size_t)rng_in(g, 1, rng_one_in(g, 3) ? 60 : 10);
		if (n > c->copied - i)
			n = c->copied - i;
		struct batch_head h = {.base_offset = c->log.end,
				       .producer_id = 77,
				       .attributes = (int16_t)rng_in(g, CODEC_NONE, CODEC_ZSTD)};
		if (c->append_time)
			h.attributes |= BATCH_LOG_APPEND_TIME;
		for (size_t k = 0; k < n; k++) {
			r[k] = s->committed[i + k];
			r[k].offset = c->log.end + (int64_t)k;
		}
		add_records(&c->log, &h, r, n, c->log.end + (int64_t)n - 1);
		i += n;
	}
	for (size_t i = 0; i < c->stored; i++)
		assert_int_equal(
			runs_append(c->table, s->committed[i].offset, c->dst0 + (int64_t)i, 1),
			ERR_OK);
	if (c->stored < s->n && rng_one_in(g, 2))
		runs_advance_source(c->table, rng_in(g, 0, s->committed[c->stored].offset));
	c->s = runs_src_end(c->table);
	c->t = runs_dst_end(c->table);
}

static void copy_free(struct source *s, struct copy *c)
{
	buf_fini(&s->log.bytes);
	buf_fini(&c->log.bytes);
	runs_free(c->table);
}

/* A fetch from `offset`: whole batches from the one that holds it, the last perhaps cut off. */
static struct bytes fetch(struct rng *g, const struct sim_log *l, int64_t offset)
{
	size_t i = 0;
	while (i < l->n && l->batches[i].last < offset)
		i++;
	if (i == l->n)
		return bytes_of(l->bytes.p, 0);
	if (i > 0 && rng_one_in(g, 4))
		i--; /* more than was asked for does no harm */
	size_t at = l->batches[i].at;
	size_t asked = i;
	while (l->batches[asked].last < offset)
		asked++;
	size_t first_end = asked + 1 < l->n ? l->batches[asked + 1].at : l->bytes.len;
	size_t end = (size_t)rng_in(g, (int64_t)first_end, (int64_t)l->bytes.len);
	if (rng_one_in(g, 2) && end > first_end + 2000)
		end = first_end + (size_t)rng_in(g, 0, 2000);
	return bytes_of(l->bytes.p + at, end - at);
}

static enum err feed_source(struct align *a, const struct sim_log *l, struct bytes records,
			    struct errmsg *why)
{
	/* What a broker lists: aborted transactions that touch what was fetched. It may list more
	 * than that (an index entry for each), never less. */
	struct fetch_response_aborted_transaction list[TXNS_MAX];
	int32_t n = 0;
	for (size_t i = l->txns_n; i > 0; i--)
		if (l->markers[i - 1] >= align_source_next(a))
			list[n++] = l->txns[i - 1];
	return align_feed_source(a, records, list, n, why);
}

/* Run an alignment to its end. */
static void drive(struct rng *g, struct align *a, const struct sim_log *source,
		  const struct sim_log *target)
{
	struct errmsg why = {""};
	for (int round = 0; round < 100000; round++) {
		enum align_need need = align_need(a);
		if (need == ALIGN_DONE || need == ALIGN_MISMATCH)
			return;
		enum err e;
		if (need == ALIGN_TARGET) {
			struct bytes b = fetch(g, target, align_target_next(a));
			if (b.n == 0) {
				align_end_target(a);
				continue;
			}
			e = align_feed_target(a, b, &why);
		} else {
			struct bytes b = fetch(g, source, align_source_next(a));
			if (b.n == 0) {
				align_end_source(a);
				continue;
			}
			e = feed_source(a, source, b, &why);
		}
		if (e != ERR_OK)
			printf("%s: %s\n", err_name(e), why.text);
		assert_int_equal(e, ERR_OK);
	}
	fail_msg("the alignment does not end");
}

static struct align *start(const struct copy *c, bool match)
{
	const struct align_options o = {.src = c->s,
					.dst = c->t,
					.dst_end = c->log.end,
					.match = match,
					.decode_max = DECODE_MAX};
	struct align *a;
	assert_int_equal(align_new(&o, &a), ERR_OK);
	return a;
}

/* Every copied record's place, through the table that the alignment completed. */
static void check_table(const struct source *s, const struct copy *c, const struct align *a,
			const bool *gone)
{
	assert_int_equal(align_apply(a, c->table), ERR_OK);
	assert_int_equal(runs_src_end(c->table), align_result(a)->src);
	assert_int_equal(runs_dst_end(c->table), c->log.end);
	for (size_t i = 0; i < c->copied; i++) {
		struct runs_answer f;
		assert_true(runs_forward(c->table, s->committed[i].offset, &f));
		if (gone == NULL || !gone[i])
			assert_int_equal(f.offset, c->dst0 + (int64_t)i);
	}
	assert_int_equal(align_apply(a, c->table), ERR_MALFORMED);
}

static void test_count_random(void **state)
{
	(void)state;
	uint64_t seed = rng_seed("count");
	static struct source s;
	static struct copy c;
	int64_t verified = 0;
	for (int64_t round = 0; round < rng_scale(1500); round++) {
		struct rng g = {seed + (uint64_t)round};
		source_make(&g, &s, rng_one_in(&g, 3));
		if (s.n == 0) {
			buf_fini(&s.log.bytes);
			continue;
		}
		copy_make(&g, &s, &c);
		struct align *a = start(&c, false);
		drive(&g, a, &s.log, &c.log);
		assert_int_equal(align_need(a), ALIGN_DONE);
		const struct align_result *r = align_result(a);
		assert_true(r->src > s.committed[c.copied - 1].offset);
		if (c.copied < s.n)
			assert_true(r->src <= s.committed[c.copied].offset);
		assert_int_equal(r->records, c.copied - c.stored);
		assert_true(r->verified > 0 && r->verified <= r->records);
		assert_false(r->holes);
		verified += r->verified;
		check_table(&s, &c, a, NULL);
		align_free(a);
		copy_free(&s, &c);
	}
	printf("%lld records verified\n", (long long)verified);
}

static struct align *start_verify(const struct copy *c, int64_t producer)
{
	const struct align_options o = {.src = c->s,
					.dst = c->t,
					.dst_end = c->log.end,
					.verify = true,
					.producer_id = producer,
					.decode_max = DECODE_MAX};
	struct align *a;
	assert_int_equal(align_new(&o, &a), ERR_OK);
	return a;
}

/* Verified: every record is compared, and the result is that of counting. A batch of another
 * producer is told from a changed record, wherever they are. */
static void test_verify_random(void **state)
{
	(void)state;
	uint64_t seed = rng_seed("verify");
	static struct source s;
	static struct copy c;
	for (int64_t round = 0; round < rng_scale(1000); round++) {
		struct rng g = {seed + (uint64_t)round};
		source_make(&g, &s, rng_one_in(&g, 3));
		s.ids = INT64_MAX;
		if (s.n == 0) {
			buf_fini(&s.log.bytes);
			continue;
		}
		copy_make(&g, &s, &c);
		struct align *a = start_verify(&c, 78);
		drive(&g, a, &s.log, &c.log);
		assert_int_equal(align_need(a), ALIGN_MISMATCH);
		assert_true(align_result(a)->foreign);
		align_free(a);
		a = start_verify(&c, 77);
		drive(&g, a, &s.log, &c.log);
		assert_int_equal(align_need(a), ALIGN_DONE);
		const struct align_result *r = align_result(a);
		assert_int_equal(r->records, c.copied - c.stored);
		assert_int_equal(r->verified, r->records);
		assert_true(r->src > s.committed[c.copied - 1].offset);
		check_table(&s, &c, a, NULL);
		align_free(a);
		copy_free(&s, &c);
	}
}

/* One record of what was copied after the table was stored is not the source's any more. */
static void test_verify_finds_a_changed_record(void **state)
{
	(void)state;
	uint64_t seed = rng_seed("verify changed");
	static struct source s, changed;
	static struct copy c;
	for (int64_t round = 0; round < rng_scale(500); round++) {
		struct rng g = {seed + (uint64_t)round};
		source_make(&g, &s, false);
		if (s.n == 0) {
			buf_fini(&s.log.bytes);
			continue;
		}
		copy_make(&g, &s, &c);
		/* The same log again, but for the ids from some record on. */
		size_t bad = (size_t)rng_in(&g, (int64_t)c.stored, (int64_t)c.copied - 1);
		sim_init(&changed.log);
		changed.log.end = s.committed[0].offset;
		for (size_t i = 0; i < s.n; i++) {
			struct sim_record r = s.committed[i];
			struct batch_head h = {
				.base_offset = r.offset, .producer_id = -1, .base_sequence = -1};
			r.id += i >= bad ? 1 << 20 : 0;
			add_records(&changed.log, &h, &r, 1, r.offset);
		}
		struct align *a = start_verify(&c, 77);
		drive(&g, a, &changed.log, &c.log);
		assert_int_equal(align_need(a), ALIGN_MISMATCH);
		assert_false(align_result(a)->foreign);
		char at[64];
		snprintf(at, sizeof at, "target offset %" PRId64 " ", c.dst0 + (int64_t)bad);
		assert_non_null(strstr(align_result(a)->detail.text, at));
		align_free(a);
		buf_fini(&changed.log.bytes);
		copy_free(&s, &c);
	}
}

/* The source as compaction left it: records gone, whole batches too. Transactions are compacted
 * like other records once they are decided; aborted ones and markers go first. */
static void compact(struct rng *g, const struct source *s, struct sim_log *out, bool *gone)
{
	sim_init(out);
	out->end = 0;
	int64_t drop = rng_in(g, 1, 6); /* one in so many is gone; 1: nearly all */
	for (size_t i = 0; i < s->n; i++)
		gone[i] = drop == 1 ? !rng_one_in(g, 30) : rng_one_in(g, drop);
	for (size_t i = 0; i < s->n;) {
		struct sim_record r[30];
		size_t n = 0;
		int64_t base = s->committed[i].offset;
		size_t upto = i + (size_t)rng_in(g, 1, 30);
		int64_t last = base;
		for (; i < s->n && i < upto; i++) {
			last = s->committed[i].offset;
			if (!gone[i])
				r[n++] = s->committed[i];
		}
		struct batch_head h = {.base_offset = base,
				       .producer_id = -1,
				       .base_sequence = -1,
				       .attributes = (int16_t)rng_in(g, CODEC_NONE, CODEC_ZSTD)};
		if (n > 0 || rng_one_in(g, 3))
			add_records(out, &h, r, n, last);
	}
}

static void test_match_random(void **state)
{
	(void)state;
	uint64_t seed = rng_seed("match");
	static struct source s;
	static struct copy c;
	static struct sim_log compacted;
	static bool gone[RECORDS_MAX];
	for (int64_t round = 0; round < rng_scale(1500); round++) {
		struct rng g = {seed + (uint64_t)round};
		source_make(&g, &s, true);
		if (s.n == 0) {
			buf_fini(&s.log.bytes);
			continue;
		}
		copy_make(&g, &s, &c);
		compact(&g, &s, &compacted, gone);
		struct align *a = start(&c, true);
		drive(&g, a, &compacted, &c.log);
		assert_int_equal(align_need(a), ALIGN_DONE);
		const struct align_result *r = align_result(a);
		if (s.ids == INT64_MAX) {
			/* Not one record more, not one less. */
			int64_t left = 0;
			for (size_t i = c.stored; i < c.copied; i++) {
				left += !gone[i];
				if (!gone[i])
					assert_true(r->src > s.committed[i].offset);
			}
			for (size_t i = c.copied; i < s.n; i++)
				if (!gone[i])
					assert_true(r->src <= s.committed[i].offset);
			assert_int_equal(r->records, left);
			assert_int_equal(r->compacted_away, (int64_t)(c.copied - c.stored) - left);
			check_table(&s, &c, a, gone);
		}
		align_free(a);
		copy_free(&s, &c);
		buf_fini(&compacted.bytes);
	}
}

/* Equal records: what is passed over as copied must be there in the copy, in order. */
static void test_match_equal_records(void **state)
{
	(void)state;
	uint64_t seed = rng_seed("match equal records");
	static struct source s;
	static struct copy c;
	static struct sim_log compacted;
	static bool gone[RECORDS_MAX];
	for (int64_t round = 0; round < rng_scale(1000); round++) {
		struct rng g = {seed + (uint64_t)round};
		source_make(&g, &s, true);
		if (s.n == 0) {
			buf_fini(&s.log.bytes);
			continue;
		}
		for (size_t i = 0; i < s.n; i++) {
			s.committed[i].id = rng_in(&g, 0, 5);
			s.committed[i].timestamp = 5;
		}
		copy_make(&g, &s, &c);
		compact(&g, &s, &compacted, gone);
		struct align *a = start(&c, true);
		drive(&g, a, &compacted, &c.log);
		const struct align_result *r = align_result(a);
		size_t at = c.stored;
		for (size_t i = c.stored; i < s.n && s.committed[i].offset < r->src; i++) {
			if (gone[i])
				continue;
			while (at < c.copied && s.committed[at].id != s.committed[i].id)
				at++;
			assert_true(at++ < c.copied);
		}
		/* And nothing that was copied and is still there comes again. */
		for (size_t i = c.stored; i < c.copied; i++)
			if (!gone[i])
				assert_true(r->src > s.committed[i].offset);
		align_free(a);
		copy_free(&s, &c);
		buf_fini(&compacted.bytes);
	}
}

/* Another writer, or another log: one record of the target's last batch differs, and count says so.
 */
static void test_count_finds_foreign_records(void **state)
{
	(void)state;
	uint64_t seed = rng_seed("foreign");
	static struct source s;
	static struct copy c;
	for (int64_t round = 0; round < rng_scale(500); round++) {
		struct rng g = {seed + (uint64_t)round};
		source_make(&g, &s, rng_one_in(&g, 2));
		s.ids = INT64_MAX;
		if (s.n == 0) {
			buf_fini(&s.log.bytes);
			continue;
		}
		copy_make(&g, &s, &c);
		/* The last batch anew, with one record changed. */
		struct sim_log *l = &c.log;
		struct batch_head h;
		batch_head_get(l->bytes.p + l->batches[l->n - 1].at, &h);
		size_t n = (size_t)h.count;
		size_t first = c.copied - n;
		struct sim_record r[60];
		for (size_t k = 0; k < n; k++) {
			r[k] = s.committed[first + k];
			r[k].offset = h.base_offset + (int64_t)k;
		}
		size_t lo = first < c.stored ? c.stored - first : 0;
		struct sim_record *bad = &r[rng_in(&g, (int64_t)lo, (int64_t)n - 1)];
		if (rng_one_in(&g, 2) && !c.append_time)
			bad->timestamp++;
		else
			bad->id += 1 << 20;
		l->bytes.len = l->batches[--l->n].at;
		add_records(l, &h, r, n, h.base_offset + (int64_t)n - 1);
		struct align *a = start(&c, false);
		drive(&g, a, &s.log, l);
		assert_int_equal(align_need(a), ALIGN_MISMATCH);
		char at[64];
		snprintf(at, sizeof at, "target offset %lld ", (long long)bad->offset);
		assert_non_null(strstr(align_result(a)->detail.text, at));
		align_free(a);
		copy_free(&s, &c);
	}
}

/* Fixed cases */

static void plain(struct sim_log *l, int64_t base, int batches, int per_batch)
{
	sim_init(l);
	l->end = base;
	int64_t id = 0;
	for (int i = 0; i < batches; i++) {
		struct sim_record r[50];
		struct batch_head h = {
			.base_offset = l->end, .producer_id = -1, .base_sequence = -1};
		for (int k = 0; k < per_batch; k++, id++)
			r[k] = (struct sim_record){l->end + k, id, id};
		add_records(l, &h, r, (size_t)per_batch, l->end + per_batch - 1);
	}
}

static struct align *align_of(int64_t src, int64_t dst, int64_t dst_end, bool match)
{
	const struct align_options o = {.src = src,
					.dst = dst,
					.dst_end = dst_end,
					.match = match,
					.decode_max = DECODE_MAX};
	struct align *a;
	assert_int_equal(align_new(&o, &a), ERR_OK);
	return a;
}

static void test_target_has_more(void **state)
{
	(void)state;
	static struct sim_log source, target;
	struct rng g = {1};
	plain(&source, 100, 3, 10);
	plain(&target, 0, 4, 10);
	struct align *a = align_of(100, 0, 40, false);
	drive(&g, a, &source, &target);
	assert_int_equal(align_need(a), ALIGN_MISMATCH);
	assert_non_null(strstr(align_result(a)->detail.text, "40 records"));
	align_free(a);

	/* Matched: the ten that the source lacks were compacted away. */
	a = align_of(100, 0, 40, true);
	drive(&g, a, &source, &target);
	assert_int_equal(align_need(a), ALIGN_DONE);
	assert_int_equal(align_result(a)->src, 130);
	assert_int_equal(align_result(a)->records, 30);
	assert_int_equal(align_result(a)->compacted_away, 10);
	align_free(a);
	buf_fini(&source.bytes);
	buf_fini(&target.bytes);
}

static void test_nothing_to_verify(void **state)
{
	(void)state;
	static struct sim_log source;
	struct rng g = {1};
	plain(&source, 100, 3, 10);
	struct align *a = align_of(105, 50, 62, false);
	assert_int_equal(align_target_next(a), 61);
	align_end_target(a); /* retention took it */
	drive(&g, a, &source, NULL);
	assert_int_equal(align_need(a), ALIGN_DONE);
	assert_int_equal(align_result(a)->src, 117);
	assert_int_equal(align_result(a)->records, 12);
	assert_int_equal(align_result(a)->verified, 0);
	align_free(a);
	buf_fini(&source.bytes);
}

static void test_marker_in_target(void **state)
{
	(void)state;
	static struct sim_log source, target;
	struct rng g = {1};
	plain(&source, 100, 3, 10);
	for (int match = 0; match <= 1; match++) {
		plain(&target, 0, 1, 10);
		add_marker(&target, 5, true);
		struct align *a = align_of(100, 0, 11, match);
		drive(&g, a, &source, &target);
		assert_int_equal(align_need(a), ALIGN_MISMATCH);
		assert_non_null(strstr(align_result(a)->detail.text, "marker"));
		align_free(a);
		buf_fini(&target.bytes);
	}
	buf_fini(&source.bytes);
}

/* The target was compacted as well: the first record that is not found is copied again. */
static void test_holes_in_target(void **state)
{
	(void)state;
	static struct sim_log source, target;
	struct rng g = {1};
	plain(&source, 100, 2, 10);
	sim_init(&target);
	const struct sim_record r[] = {{0, 0, 0}, {1, 1, 1}, {5, 2, 2}, {7, 4, 4}};
	struct batch_head h = {.base_offset = 0, .producer_id = -1};
	add_records(&target, &h, r, 4, 7);
	struct align *a = align_of(100, 0, 8, true);
	drive(&g, a, &source, &target);
	assert_int_equal(align_need(a), ALIGN_DONE);
	assert_true(align_result(a)->holes);
	assert_int_equal(align_result(a)->src, 103);
	assert_int_equal(align_result(a)->records, 3);
	struct runs *table = runs_new(0);
	assert_int_equal(runs_begin(table, 100, 0), ERR_OK);
	assert_int_equal(align_apply(a, table), ERR_OK);
	struct runs_answer f;
	assert_true(runs_forward(table, 102, &f));
	assert_int_equal(f.offset, 5);
	assert_int_equal(runs_dst_end(table), 8);
	runs_free(table);
	align_free(a);
	buf_fini(&source.bytes);
	buf_fini(&target.bytes);
}

static void test_limits_and_damage(void **state)
{
	(void)state;
	static struct sim_log source, target;
	struct errmsg why = {""};
	struct align *a;
	struct align_options o = {
		.dst_end = 11, .match = true, .decode_max = DECODE_MAX, .records_max = 10};
	assert_int_equal(align_new(&o, &a), ERR_LIMIT);
	assert_null(a);
	plain(&source, 0, 1, 20);
	plain(&target, 0, 1, 20);
	o.match = false;
	o.dst_end = 20;
	assert_int_equal(align_new(&o, &a), ERR_OK);
	assert_int_equal(align_feed_target(a, buf_bytes(&target.bytes), &why), ERR_LIMIT);
	assert_true(why.text[0] != '\0');
	align_free(a);

	struct {
		struct sim_log *log;
		bool source;
	} sides[] = {{&target, false}, {&source, true}};
	for (int i = 0; i < 2; i++) {
		/* A flipped byte in the payload, then a head that cannot be. */
		for (int what = 0; what < 2; what++) {
			uint8_t *p = sides[i].log->bytes.p + (what == 0 ? 80 : 16);
			a = align_of(0, 0, 20, false);
			if (sides[i].source)
				assert_int_equal(
					align_feed_target(a, buf_bytes(&target.bytes), &why),
					ERR_OK);
			*p ^= 0x40;
			why.text[0] = '\0';
			enum err e = sides[i].source
					     ? align_feed_source(a, buf_bytes(&source.bytes), NULL,
								 -1, &why)
					     : align_feed_target(a, buf_bytes(&target.bytes), &why);
			assert_int_equal(e, what == 0 ? ERR_CORRUPT : ERR_MALFORMED);
			assert_true(why.text[0] != '\0');
			*p ^= 0x40;
			align_free(a);
		}
	}
	align_free(NULL);
	buf_fini(&source.bytes);
	buf_fini(&target.bytes);
}

/* Memory runs out at each allocation (F20). */
static void test_no_memory(void **state)
{
	(void)state;
	static struct source s;
	static struct copy c;
	struct rng g = {12345};
	do {
		source_make(&g, &s, true);
		copy_make(&g, &s, &c);
		if (s.n > 50 && c.copied - c.stored > 20)
			break;
		copy_free(&s, &c);
	} while (true);
	for (int match = 0; match <= 1; match++) {
		enum err e = ERR_NOMEM;
		for (long i = 0; e != ERR_OK; i++) {
			struct errmsg why = {""};
			struct align *a = NULL;
			const struct align_options o = {.src = c.s,
							.dst = c.t,
							.dst_end = c.log.end,
							.match = match,
							.decode_max = DECODE_MAX};
			few_allocs = i;
			e = align_new(&o, &a);
			if (e == ERR_OK)
				e = align_feed_target(a, buf_bytes(&c.log.bytes), &why);
			if (e == ERR_OK)
				e = feed_source(a, &s.log, buf_bytes(&s.log.bytes), &why);
			if (e == ERR_OK && align_need(a) == ALIGN_DONE && match) {
				e = align_apply(a, c.table);
				if (e != ERR_OK) {
					assert_int_equal(runs_src_end(c.table), c.s);
					assert_int_equal(runs_dst_end(c.table), c.t);
				}
			}
			few_allocs = -1;
			assert_true(e == ERR_OK || e == ERR_NOMEM);
			align_free(a);
		}
	}
	copy_free(&s, &c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_count_random),
		cmocka_unit_test(test_verify_random),
		cmocka_unit_test(test_verify_finds_a_changed_record),
		cmocka_unit_test(test_match_random),
		cmocka_unit_test(test_match_equal_records),
		cmocka_unit_test(test_count_finds_foreign_records),
		cmocka_unit_test(test_target_has_more),
		cmocka_unit_test(test_nothing_to_verify),
		cmocka_unit_test(test_marker_in_target),
		cmocka_unit_test(test_holes_in_target),
		cmocka_unit_test(test_limits_and_damage),
		cmocka_unit_test(test_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
