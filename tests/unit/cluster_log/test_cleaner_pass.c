/* SPDX-License-Identifier: Apache-2.0 */
/* Compaction batch by batch: each rule of Cleaner.java, and whole logs against a plain model. */
#include "cluster/log/cleaner_pass.h"
#include "lib/wire/records.h"
#include "tests/unit/base/unit.h"
#include "tests/unit/cluster_log/batches.h"
#include "tests/unit/rng.h"

enum { LIMIT = 1 << 20, NOW = 100000, RETENTION = 500 };

/* A log as one stretch of batches. */
struct log {
	struct buf bytes;
	int64_t end;
};

static void log_init(struct log *l)
{
	*l = (struct log){0};
	buf_init(&l->bytes, 1 << 26);
}

static void log_add(struct log *l, struct batch_head *h, const struct batches_record *v, size_t n)
{
	h->base_offset = l->end;
	batches_make(&l->bytes, h, v, n);
	l->end += h->last_offset_delta + 1;
}

static bool never(void *arg, const struct batch_head *h)
{
	(void)arg;
	(void)h;
	return false;
}

static struct cleaner_pass_options options(const struct log *l)
{
	return (struct cleaner_pass_options){
		.memory = CLEANER_PASS_MEMORY_MIN,
		.key = {1, 2},
		.until = l->end,
		.now_ms = NOW,
		.delete_retention_ms = RETENTION,
		.inflate_max = LIMIT,
		.is_last = never,
	};
}

static bool log_next(struct batch_walk *w, struct batch_head *h, struct bytes *whole)
{
	struct errmsg why;
	enum batch_walk_result found = batch_walk_next(w, h, whole, &why);
	if (found == BATCH_WALK_END)
		assert_int_equal(w->left.n, 0);
	else
		assert_int_equal(found, BATCH_WALK_BATCH);
	return found == BATCH_WALK_BATCH;
}

/* Run both phases over `l`; the result replaces it. Gives the pass's end. */
static int64_t clean(struct log *l, const struct cleaner_pass_options *o,
		     struct cleaner_pass_stats *stats)
{
	struct batch_walk w = {.left = buf_bytes(&l->bytes)};
	struct cleaner_pass *c;
	struct batch_head h, kept;
	struct bytes whole;
	struct errmsg why = {0};
	struct log out;
	bool full = false;

	log_init(&out);
	assert_int_equal(cleaner_pass_new(o, &c), ERR_OK);
	while (!full && log_next(&w, &h, &whole))
		if (batch_last_offset(&h) >= o->from && batch_last_offset(&h) < o->until)
			assert_int_equal(cleaner_pass_index(c, whole, &full, &why), ERR_OK);
	int64_t end = cleaner_pass_end(c);
	assert_true(full ? end < o->until : end == o->until);
	w.left = buf_bytes(&l->bytes);
	while (log_next(&w, &h, &whole)) {
		size_t at = out.bytes.len;
		assert_int_equal(cleaner_pass_rewrite(c, whole, &out.bytes, &kept, &why), ERR_OK);
		assert_int_equal(kept.length == 0, out.bytes.len == at);
		if (kept.length == 0)
			continue;
		assert_int_equal(batch_size(&kept), out.bytes.len - at);
		assert_true(batch_crc_ok(bytes_of(out.bytes.p + at, out.bytes.len - at)));
		assert_int_equal(kept.base_offset, h.base_offset);
		assert_int_equal(kept.last_offset_delta, h.last_offset_delta);
		assert_int_equal(kept.leader_epoch, h.leader_epoch);
		assert_int_equal(kept.producer_id, h.producer_id);
		assert_int_equal(kept.producer_epoch, h.producer_epoch);
		assert_int_equal(kept.base_sequence, h.base_sequence);
	}
	*stats = *cleaner_pass_stats(c);
	assert_int_equal(stats->bytes_read, l->bytes.len);
	assert_int_equal(stats->bytes_kept, out.bytes.len);
	cleaner_pass_free(c);
	buf_fini(&l->bytes);
	l->bytes = out.bytes;
	return end;
}

/* What readers see, in one line: "offset:key=value@timestamp ". */
static void show(const struct log *l, char *text, size_t size)
{
	struct batch_walk w = {.left = buf_bytes(&l->bytes)};
	struct records_reader *rr;
	struct batch_head h;
	struct bytes whole;
	struct record r;
	size_t at = 0;

	text[0] = '\0';
	while (log_next(&w, &h, &whole)) {
		assert_int_equal(records_reader_open(whole, LIMIT, &rr, NULL), ERR_OK);
		if (h.count == 0)
			at += (size_t)snprintf(text + at, size - at, "[%d-%d] ", (int)h.base_offset,
					       (int)batch_last_offset(&h));
		while (records_reader_next(rr, &r))
			at += (size_t)snprintf(text + at, size - at, "%d:%.*s=%.*s@%d ",
					       (int)r.offset, (int)r.key.n,
					       r.key.p == NULL ? "" : (const char *)r.key.p,
					       r.value.p == NULL ? 1 : (int)r.value.n,
					       r.value.p == NULL ? "-" : (const char *)r.value.p,
					       (int)r.timestamp);
		assert_int_equal(records_reader_error(rr, NULL), ERR_OK);
		records_reader_free(rr);
	}
}

static void expect_log(const struct log *l, const char *expect)
{
	char text[4096];
	show(l, text, sizeof text);
	assert_string_equal(text, expect);
}

static void test_last_of_a_key_stays(void **state)
{
	(void)state;
	const struct batches_record first[] = {{"a", "1", 1, 0},
					       {"b", "2", 2, 1},
					       {"c", "3", 3, 2}},
				    second[] = {
					    {"a", "4", 4, 0}, {"d", "5", 5, 1}, {"a", "6", 6, 2}};
	for (int codec = CODEC_NONE; codec <= CODEC_ZSTD; codec++) {
		struct cleaner_pass_stats s;
		struct log l;
		log_init(&l);
		struct batch_head h = batches_head();
		h.attributes = (int16_t)codec;
		h.producer_id = 9;
		h.producer_epoch = 1;
		h.base_sequence = 4;
		h.leader_epoch = 3;
		log_add(&l, &h, first, 3);
		log_add(&l, &h, second, 3);
		struct cleaner_pass_options o = options(&l);
		assert_int_equal(clean(&l, &o, &s), 6);
		expect_log(&l, "1:b=2@2 2:c=3@3 4:d=5@5 5:a=6@6 ");
		assert_int_equal(s.records_read, 6);
		assert_int_equal(s.records_kept, 4);
		assert_int_equal(s.keys, 4);
		batch_head_get(l.bytes.p, &h);
		assert_int_equal(batch_codec(&h), codec);
		assert_int_equal(h.base_timestamp, 2); /* of the first that is kept */
		assert_int_equal(h.max_timestamp, 3);
		assert_int_equal(h.count, 2);
		/* Once more: nothing changes, not a byte. */
		uint8_t *before = malloc(l.bytes.len);
		size_t n = l.bytes.len;
		memcpy(before, l.bytes.p, n);
		clean(&l, &o, &s);
		assert_int_equal(l.bytes.len, n);
		assert_memory_equal(l.bytes.p, before, n);
		free(before);
		buf_fini(&l.bytes);
	}
}

static void test_max_timestamp_of_what_is_kept(void **state)
{
	(void)state;
	const struct batches_record v[] = {
		{"a", "1", 900, 0}, {"b", "2", 20, 1}, {"a", "3", 30, 2}};
	struct cleaner_pass_stats s;
	struct log l;
	log_init(&l);
	struct batch_head h = batches_head();
	log_add(&l, &h, v, 3);
	struct cleaner_pass_options o = options(&l);
	clean(&l, &o, &s);
	batch_head_get(l.bytes.p, &h);
	assert_int_equal(h.max_timestamp, 30);
	buf_fini(&l.bytes);
}

static void test_append_time_stays(void **state)
{
	(void)state;
	const struct batches_record v[] = {
		{"a", "1", 900, 0}, {"b", NULL, 20, 1}, {"a", "3", 30, 2}};
	struct cleaner_pass_stats s;
	struct log l;
	log_init(&l);
	struct batch_head h = batches_head();
	h.attributes = BATCH_LOG_APPEND_TIME;
	log_add(&l, &h, v, 3);
	h.max_timestamp = 7000;
	batches_stamp(buf_bytes(&l.bytes), &h);
	struct cleaner_pass_options o = options(&l);
	clean(&l, &o, &s);
	expect_log(&l, "1:b=-@7000 2:a=3@7000 ");
	batch_head_get(l.bytes.p, &h);
	assert_int_equal(h.max_timestamp, 7000);
	assert_int_equal(h.attributes, BATCH_LOG_APPEND_TIME | BATCH_DELETE_HORIZON);
	buf_fini(&l.bytes);
}

static void test_no_key_goes(void **state)
{
	(void)state;
	const struct batches_record v[] = {{NULL, "1", 1, 0}, {"", "2", 2, 1}, {NULL, NULL, 3, 2}};
	struct cleaner_pass_stats s;
	struct log l;
	log_init(&l);
	struct batch_head h = batches_head();
	log_add(&l, &h, v, 3);
	struct cleaner_pass_options o = options(&l);
	clean(&l, &o, &s);
	expect_log(&l, "1:=2@2 ");
	assert_int_equal(s.no_key, 2);
	buf_fini(&l.bytes);
}

/* KIP-534: the first pass sets the horizon, and a pass after it drops the tombstone. */
static void test_tombstones(void **state)
{
	(void)state;
	const struct batches_record v[] = {
		{"a", "1", 10, 0}, {"a", NULL, 20, 1}, {"b", "2", 30, 2}};
	for (int codec = CODEC_NONE; codec <= CODEC_ZSTD; codec++) {
		struct cleaner_pass_stats s;
		struct log l;
		log_init(&l);
		struct batch_head h = batches_head();
		h.attributes = (int16_t)codec;
		log_add(&l, &h, v, 3);
		struct cleaner_pass_options o = options(&l);
		clean(&l, &o, &s);
		expect_log(&l, "1:a=-@20 2:b=2@30 ");
		batch_head_get(l.bytes.p, &h);
		assert_true((h.attributes & BATCH_DELETE_HORIZON) != 0);
		assert_int_equal(h.base_timestamp, NOW + RETENTION);
		assert_int_equal(h.max_timestamp, 30);
		o.now_ms = NOW + RETENTION - 1; /* not yet; the horizon does not move */
		clean(&l, &o, &s);
		expect_log(&l, "1:a=-@20 2:b=2@30 ");
		batch_head_get(l.bytes.p, &h);
		assert_int_equal(h.base_timestamp, NOW + RETENTION);
		o.now_ms++;
		clean(&l, &o, &s);
		expect_log(&l, "2:b=2@30 ");
		assert_int_equal(s.tombstones, 1);
		/* What remains of the batch keeps the horizon, and its timestamps. */
		batch_head_get(l.bytes.p, &h);
		assert_true((h.attributes & BATCH_DELETE_HORIZON) != 0);
		assert_int_equal(h.base_timestamp, NOW + RETENTION);
		buf_fini(&l.bytes);
	}
}

/* A tombstone alone in a batch has its batch rewritten to set the horizon. */
static void test_tombstone_alone(void **state)
{
	(void)state;
	const struct batches_record v[] = {{"a", NULL, 20, 0}}, w[] = {{"z", "1", 1, 0}};
	struct cleaner_pass_stats s;
	struct log l;
	log_init(&l);
	struct batch_head h = batches_head();
	log_add(&l, &h, v, 1);
	log_add(&l, &h, w, 1);
	struct cleaner_pass_options o = options(&l);
	o.now_ms = INT64_MAX - 1;
	clean(&l, &o, &s);
	batch_head_get(l.bytes.p, &h);
	assert_true(h.base_timestamp == INT64_MAX); /* no overflow */
	expect_log(&l, "0:a=-@20 1:z=1@1 ");
	buf_fini(&l.bytes);
}

static bool is_producer_7(void *arg, const struct batch_head *h)
{
	return h->producer_id == 7 && batch_last_offset(h) == *(int64_t *)arg;
}

static void test_empty_batches(void **state)
{
	(void)state;
	const struct batches_record a[] = {{"a", "1", 10, 0}, {"a", "2", 11, 1}};
	struct cleaner_pass_stats s;
	int64_t last_of_7 = 3;
	struct log l;
	log_init(&l);
	struct batch_head h = batches_head();
	h.producer_id = 7;
	h.base_sequence = 0;
	h.attributes = CODEC_LZ4;
	log_add(&l, &h, a, 2); /* 0 - 1 */
	h.base_sequence = 2;
	log_add(&l, &h, a, 2); /* 2 - 3: the last of 7 */
	h.producer_id = -1;
	log_add(&l, &h, a, 2); /* 4 - 5 */
	struct cleaner_pass_options o = options(&l);
	o.is_last = is_producer_7;
	o.arg = &last_of_7;
	clean(&l, &o, &s);
	expect_log(&l, "[2-3] 5:a=2@11 ");
	batch_head_get(l.bytes.p, &h);
	assert_int_equal(h.producer_id, 7);
	assert_int_equal(h.base_sequence, 2);
	assert_int_equal(h.attributes, 0);
	assert_int_equal(h.base_timestamp, -1);
	assert_int_equal(h.max_timestamp, 11);
	/* When the producer is gone, so is its batch. */
	o.is_last = never;
	clean(&l, &o, &s);
	expect_log(&l, "5:a=2@11 ");
	/* The last batch of the pass stays, empty, so that the offset is known. */
	h = batches_head();
	const struct batches_record keyless[] = {{NULL, "1", 10, 0}};
	log_add(&l, &h, keyless, 1);
	o = options(&l);
	clean(&l, &o, &s);
	expect_log(&l, "5:a=2@11 [6-6] ");
	log_add(&l, &h, a, 2);
	o = options(&l);
	clean(&l, &o, &s);
	expect_log(&l, "8:a=2@11 ");
	buf_fini(&l.bytes);
}

static void test_control_and_transactional(void **state)
{
	(void)state;
	const struct batches_record a[] = {{"a", "1", 10, 0}},
				    marker[] = {{"\1\1\1\1", "x", 10, 0}};
	struct cleaner_pass_stats s;
	struct log l;
	log_init(&l);
	struct batch_head h = batches_head();
	log_add(&l, &h, a, 1);
	h.producer_id = 3;
	h.attributes = BATCH_TRANSACTIONAL;
	log_add(&l, &h, a, 1); /* perhaps aborted: displaces nothing */
	h.attributes = BATCH_TRANSACTIONAL | BATCH_CONTROL;
	log_add(&l, &h, marker, 1);
	h.attributes = BATCH_CONTROL;
	log_add(&l, &h, marker, 0); /* one that was emptied before goes */
	h = batches_head();
	log_add(&l, &h, marker, 1);
	struct cleaner_pass_options o = options(&l);
	size_t n = l.bytes.len;
	clean(&l, &o, &s);
	assert_int_equal(l.bytes.len, n - BATCH_HEAD);
	assert_int_equal(s.batches_kept, 4);
	assert_int_equal(s.unreadable, 0);
	buf_fini(&l.bytes);
}

/* The checksum is right, the payload is not: kept as it is, and its keys displace nothing. */
static void test_unreadable(void **state)
{
	(void)state;
	const struct batches_record a[] = {{"a", "1", 10, 0}, {"b", "1", 10, 1}};
	struct cleaner_pass_stats s;
	struct log l;
	log_init(&l);
	struct batch_head h = batches_head();
	log_add(&l, &h, a, 2);
	size_t at = l.bytes.len;
	log_add(&l, &h, a, 2);
	l.bytes.p[l.bytes.len - 1] ^=
		0x40; /* the header count of the last record: "a" reads well */
	batches_seal(bytes_of(l.bytes.p + at, l.bytes.len - at));
	at = l.bytes.len;
	h.attributes = CODEC_ZSTD;
	log_add(&l, &h, a, 2);
	h.attributes = CODEC_GZIP; /* it is not */
	batches_stamp(bytes_of(l.bytes.p + at, l.bytes.len - at), &h);
	struct cleaner_pass_options o = options(&l);
	size_t n = l.bytes.len;
	clean(&l, &o, &s);
	assert_int_equal(l.bytes.len, n);
	assert_int_equal(s.unreadable, 2);
	/* Over the limit. */
	buf_clear(&l.bytes);
	l.end = 0;
	h.attributes = CODEC_ZSTD;
	log_add(&l, &h, a, 2);
	log_add(&l, &h, a, 2);
	o = options(&l);
	o.inflate_max = 10;
	clean(&l, &o, &s);
	assert_int_equal(s.unreadable, 2);
	buf_fini(&l.bytes);
}

static void test_corrupt_stops(void **state)
{
	(void)state;
	const struct batches_record a[] = {{"a", "1", 10, 0}, {"b", "1", 10, 1}};
	struct cleaner_pass *c;
	struct batch_head h = batches_head(), kept;
	struct errmsg why;
	struct buf out;
	struct log l;
	bool full;
	buf_init(&out, 1 << 20);
	log_init(&l);
	log_add(&l, &h, a, 2);
	struct cleaner_pass_options o = options(&l);
	for (size_t i = 17; i < l.bytes.len; i++) {
		l.bytes.p[i] ^= 1;
		assert_int_equal(cleaner_pass_new(&o, &c), ERR_OK);
		enum err e = cleaner_pass_index(c, buf_bytes(&l.bytes), &full, &why);
		assert_true(e == ERR_CORRUPT || e == ERR_MALFORMED);
		e = cleaner_pass_rewrite(c, buf_bytes(&l.bytes), &out, &kept, &why);
		assert_true(e == ERR_CORRUPT || e == ERR_MALFORMED);
		assert_int_equal(out.len, 0);
		cleaner_pass_free(c);
		l.bytes.p[i] ^= 1;
	}
	/* Offsets that do not rise, a batch past the end, not one batch. */
	assert_int_equal(cleaner_pass_new(&o, &c), ERR_OK);
	assert_int_equal(cleaner_pass_index(c, buf_bytes(&l.bytes), &full, &why), ERR_OK);
	assert_int_equal(cleaner_pass_index(c, buf_bytes(&l.bytes), &full, &why), ERR_MALFORMED);
	size_t at = l.bytes.len;
	log_add(&l, &h, a, 2);
	assert_int_equal(
		cleaner_pass_index(c, bytes_of(l.bytes.p + at, l.bytes.len - at), &full, &why),
		ERR_MALFORMED);
	assert_int_equal(cleaner_pass_rewrite(c, buf_bytes(&l.bytes), &out, &kept, &why),
			 ERR_MALFORMED);
	cleaner_pass_free(c);
	buf_fini(&l.bytes);
	buf_fini(&out);
}

static void test_output_limit(void **state)
{
	(void)state;
	const struct batches_record a[] = {{"a", "1", 10, 0}, {"a", "2", 10, 1}};
	struct cleaner_pass *c;
	struct batch_head h = batches_head(), kept;
	struct errmsg why;
	struct buf out;
	struct log l;
	bool full;
	log_init(&l);
	log_add(&l, &h, a, 2);
	struct cleaner_pass_options o = options(&l);
	assert_int_equal(cleaner_pass_new(&o, &c), ERR_OK);
	assert_int_equal(cleaner_pass_index(c, buf_bytes(&l.bytes), &full, &why), ERR_OK);
	buf_init(&out, 20);
	assert_int_equal(cleaner_pass_rewrite(c, buf_bytes(&l.bytes), &out, &kept, &why),
			 ERR_LIMIT);
	assert_int_equal(out.len, 0);
	buf_fini(&out);
	cleaner_pass_free(c);
	buf_fini(&l.bytes);
}

/* ---- whole logs ---- */

enum { KEYS = 60, MODEL_MAX = 20000 };

struct model_record {
	int64_t offset, timestamp;
	int key;   /* -1: none */
	int value; /* -1: tombstone */
	int batch;
};

struct model {
	struct model_record v[MODEL_MAX];
	size_t n;
	int64_t horizon[MODEL_MAX]; /* by batch; -1 */
	int batches;
};

static void model_clean(struct model *m, int64_t from, int64_t end, int64_t now)
{
	int64_t last[KEYS];
	bool tombstone[MODEL_MAX] = {0};
	size_t n = 0;

	for (int k = 0; k < KEYS; k++)
		last[k] = -1;
	for (size_t i = 0; i < m->n; i++)
		if (m->v[i].key >= 0 && m->v[i].offset < end && m->v[i].offset >= from)
			last[m->v[i].key] = m->v[i].offset;
	for (size_t i = 0; i < m->n; i++) {
		const struct model_record *r = &m->v[i];
		int64_t horizon = m->horizon[r->batch];
		bool keep = r->offset >= end || (r->key >= 0 && last[r->key] <= r->offset &&
						 !(r->value < 0 && horizon >= 0 && now >= horizon));
		if (!keep)
			continue;
		if (r->value < 0)
			tombstone[r->batch] = true;
		m->v[n++] = *r;
	}
	m->n = n;
	for (int b = 0; b < m->batches; b++)
		if (tombstone[b] && m->horizon[b] < 0)
			m->horizon[b] = now + RETENTION;
}

static void model_compare(const struct model *m, const struct log *l)
{
	struct batch_walk w = {.left = buf_bytes(&l->bytes)};
	struct records_reader *rr;
	struct batch_head h;
	struct bytes whole;
	struct record r;
	char key[16], value[16];
	size_t i = 0;

	while (log_next(&w, &h, &whole)) {
		assert_int_equal(records_reader_open(whole, LIMIT, &rr, NULL), ERR_OK);
		for (; records_reader_next(rr, &r); i++) {
			assert_true(i < m->n);
			const struct model_record *x = &m->v[i];
			snprintf(key, sizeof key, "key%d", x->key);
			snprintf(value, sizeof value, "%d", x->value);
			assert_int_equal(r.offset, x->offset);
			assert_int_equal(r.timestamp, x->timestamp);
			assert_true(bytes_eq(r.key, bytes_str(x->key < 0 ? NULL : key)));
			assert_true(bytes_eq(r.value, bytes_str(x->value < 0 ? NULL : value)));
		}
		assert_int_equal(records_reader_error(rr, NULL), ERR_OK);
		records_reader_free(rr);
	}
	assert_int_equal(i, m->n);
}

static void model_grow(struct model *m, struct log *l, struct rng *g)
{
	enum { N = 8 };
	char keys[N][16], values[N][16];
	struct batches_record v[N];
	struct batch_head h = batches_head();
	int n = (int)rng_in(g, 1, N);

	h.attributes = rng_one_in(g, 4) ? (int16_t)rng_in(g, CODEC_NONE, CODEC_ZSTD) : 0;
	for (int i = 0; i < n; i++) {
		struct model_record *r = &m->v[m->n++];
		*r = (struct model_record){
			.offset = l->end + i,
			.timestamp = rng_in(g, 0, 2000),
			.key = rng_one_in(g, 30) ? -1 : (int)rng_in(g, 0, KEYS - 1),
			.value = rng_one_in(g, 5) ? -1 : (int)rng_in(g, 0, 99999),
			.batch = m->batches,
		};
		snprintf(keys[i], sizeof keys[i], "key%d", r->key);
		snprintf(values[i], sizeof values[i], "%d", r->value);
		v[i] = (struct batches_record){r->key < 0 ? NULL : keys[i],
					       r->value < 0 ? NULL : values[i], r->timestamp, i};
	}
	m->horizon[m->batches++] = -1;
	log_add(l, &h, v, (size_t)n);
}

static void test_random(void **state)
{
	(void)state;
	struct rng g = {rng_seed("cleaner_pass")};
	static struct model m;
	for (int64_t run = rng_scale(120); run > 0; run--) {
		struct cleaner_pass_stats s;
		int64_t from = 0, now = NOW;
		struct log l;
		log_init(&l);
		m.n = 0;
		m.batches = 0;
		for (int round = 0; round < 6; round++) {
			for (int64_t i = rng_in(&g, 5, 60); i > 0; i--)
				model_grow(&m, &l, &g);
			struct cleaner_pass_options o = options(&l);
			o.from = from;
			o.now_ms = now;
			int64_t end = clean(&l, &o, &s);
			model_clean(&m, from, end, now);
			model_compare(&m, &l);
			from = end;
			now += rng_in(&g, 0, 2 * RETENTION);
		}
		buf_fini(&l.bytes);
	}
}

/* More keys than the table holds: it takes several passes, each makes headway, and in the end the
 * log is as clean as with one table that holds all. */
static void test_full_table(void **state)
{
	(void)state;
	enum { MANY = 5000, EACH = 50 };
	struct cleaner_pass_stats s;
	struct log l;
	char keys[EACH][16];
	struct batches_record v[EACH];
	int passes = 0;
	log_init(&l);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < MANY; i += EACH) {
			struct batch_head h = batches_head();
			for (int k = 0; k < EACH; k++) {
				snprintf(keys[k], sizeof keys[k], "key-%d", i + k);
				v[k] = (struct batches_record){keys[k], "v", 1, k};
			}
			log_add(&l, &h, v, EACH);
		}
	}
	int64_t from = 0;
	for (; from < l.end; passes++) {
		struct cleaner_pass_options o = options(&l);
		o.from = from;
		int64_t end = clean(&l, &o, &s);
		assert_true(end > from);
		assert_true(s.keys <= CLEANER_PASS_MEMORY_MIN / 32 + 1);
		from = end;
	}
	assert_true(passes > 1);
	int64_t count = 0;
	struct batch_walk w = {.left = buf_bytes(&l.bytes)};
	struct batch_head h;
	struct bytes whole;
	while (log_next(&w, &h, &whole)) {
		assert_true(h.base_offset >= MANY);
		count += h.count;
	}
	assert_int_equal(count, MANY);
	buf_fini(&l.bytes);
}

/* One batch with more keys than the table holds: the pass ends inside it, and what lies behind that
 * stays, whatever it is; the next pass begins there. */
static void test_batch_larger_than_table(void **state)
{
	(void)state;
	enum { MANY = 6000 };
	static char keys[MANY][16];
	static struct batches_record v[MANY];
	struct cleaner_pass_stats s;
	struct log l;
	int passes = 0;
	log_init(&l);
	for (int k = 0; k < MANY; k++) {
		snprintf(keys[k], sizeof keys[k], "key-%d", k);
		v[k] = (struct batches_record){keys[k], "v", 1, k};
	}
	v[MANY - 2].key = NULL;
	v[MANY - 1].key = keys[0];
	struct batch_head h = batches_head();
	log_add(&l, &h, v, MANY);
	int64_t from = 0;
	for (; from < l.end; passes++) {
		struct cleaner_pass_options o = options(&l);
		o.from = from;
		int64_t end = clean(&l, &o, &s);
		assert_true(end > from);
		from = end;
		batch_head_get(l.bytes.p, &h);
		assert_int_equal(h.count, from < l.end ? MANY : MANY - 2);
	}
	assert_int_equal(passes, 3);
	buf_fini(&l.bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_last_of_a_key_stays),
		cmocka_unit_test(test_max_timestamp_of_what_is_kept),
		cmocka_unit_test(test_append_time_stays),
		cmocka_unit_test(test_no_key_goes),
		cmocka_unit_test(test_tombstones),
		cmocka_unit_test(test_tombstone_alone),
		cmocka_unit_test(test_empty_batches),
		cmocka_unit_test(test_control_and_transactional),
		cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_corrupt_stops),
		cmocka_unit_test(test_output_limit),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_full_table),
		cmocka_unit_test(test_batch_larger_than_table),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
