/* SPDX-License-Identifier: Apache-2.0 */
/* Lookups by time inside a batch, with every codec and both kinds of timestamps; lies of
 * producers. */
#include "cluster/log/time_find.h"
#include "tests/unit/base/unit.h"
#include "tests/unit/cluster_log/batches.h"
#include "tests/unit/rng.h"

enum { LIMIT = 1 << 20 };

static const struct batches_record records[] = {
	{"a", "1", 1005, 0}, {"b", "2", 1003, 1}, {"c", "3", 1009, 3},
	{"d", "4", 1009, 4}, {"e", "5", 1001, 7},
};

static void expect(enum err e, const struct time_found *f, int64_t offset, int64_t timestamp)
{
	assert_int_equal(e, ERR_OK);
	assert_int_equal(f->offset, offset);
	assert_int_equal(f->timestamp, timestamp);
	assert_false(f->guessed);
}

static void test_create_time(void **state)
{
	(void)state;
	for (int codec = CODEC_NONE; codec <= CODEC_ZSTD; codec++) {
		struct batch_head h = batches_head();
		struct time_found f;
		struct buf b;
		buf_init(&b, LIMIT);
		h.base_offset = 100;
		h.attributes = (int16_t)codec;
		struct bytes w = batches_make(&b, &h, records, 5);
		expect(time_find_first(w, 0, -1, LIMIT, &f, NULL), &f, 100, 1005);
		expect(time_find_first(w, 0, 1005, LIMIT, &f, NULL), &f, 100, 1005);
		expect(time_find_first(w, 0, 1006, LIMIT, &f, NULL), &f, 103, 1009);
		expect(time_find_first(w, 101, 0, LIMIT, &f, NULL), &f, 101, 1003);
		expect(time_find_first(w, 105, 0, LIMIT, &f, NULL), &f, 107, 1001);
		assert_int_equal(time_find_first(w, 0, 1010, LIMIT, &f, NULL), ERR_NOT_FOUND);
		assert_int_equal(time_find_first(w, 105, 1002, LIMIT, &f, NULL), ERR_NOT_FOUND);
		assert_int_equal(time_find_first(w, 108, 0, LIMIT, &f, NULL), ERR_NOT_FOUND);
		expect(time_find_max(w, 0, LIMIT, &f, NULL), &f, 103, 1009);
		expect(time_find_max(w, 104, LIMIT, &f, NULL), &f, 104, 1009);
		expect(time_find_max(w, 105, LIMIT, &f, NULL), &f, 107, 1001);
		assert_int_equal(time_find_max(w, 108, LIMIT, &f, NULL), ERR_NOT_FOUND);
		buf_fini(&b);
	}
}

static void test_append_time(void **state)
{
	(void)state;
	struct batch_head h = batches_head();
	struct time_found f;
	struct buf b;
	buf_init(&b, LIMIT);
	struct bytes w = batches_make(&b, &h, records, 5);
	h.attributes = BATCH_LOG_APPEND_TIME;
	h.max_timestamp = 7777;
	batches_stamp(w, &h);
	expect(time_find_first(w, 0, 7777, LIMIT, &f, NULL), &f, 0, 7777);
	expect(time_find_first(w, 2, 2000, LIMIT, &f, NULL), &f, 3, 7777);
	assert_int_equal(time_find_first(w, 0, 7778, LIMIT, &f, NULL), ERR_NOT_FOUND);
	expect(time_find_max(w, 0, LIMIT, &f, NULL), &f, 0, 7777);
	buf_fini(&b);
}

/* The base timestamp is a horizon then, and deltas are relative to it. */
static void test_delete_horizon(void **state)
{
	(void)state;
	struct batch_head h = batches_head();
	struct time_found f;
	struct buf b;
	buf_init(&b, LIMIT);
	h.attributes = BATCH_DELETE_HORIZON;
	h.base_timestamp = 99999;
	struct bytes w = batches_make(&b, &h, records, 5);
	expect(time_find_first(w, 0, 1006, LIMIT, &f, NULL), &f, 3, 1009);
	buf_fini(&b);
}

static void test_empty_batch(void **state)
{
	(void)state;
	struct batch_head h = batches_head();
	struct time_found f;
	struct buf b;
	buf_init(&b, LIMIT);
	struct bytes w = batches_make(&b, &h, records, 0);
	assert_int_equal(time_find_first(w, 0, 0, LIMIT, &f, NULL), ERR_NOT_FOUND);
	assert_int_equal(time_find_max(w, 0, LIMIT, &f, NULL), ERR_NOT_FOUND);
	buf_fini(&b);
}

/* A payload that nobody can read, or that is too large, is not passed over. */
static void test_guess(void **state)
{
	(void)state;
	struct batch_head h = batches_head();
	struct time_found f;
	struct buf b;
	buf_init(&b, LIMIT);
	h.base_offset = 100;
	struct bytes w = batches_make(&b, &h, records, 5);
	h.attributes = CODEC_GZIP; /* it is not */
	batches_stamp(w, &h);
	assert_int_equal(time_find_first(w, 0, 1000, LIMIT, &f, NULL), ERR_OK);
	assert_true(f.guessed);
	assert_int_equal(f.offset, 100);
	assert_int_equal(f.timestamp, 1009);
	assert_int_equal(time_find_first(w, 103, 1000, LIMIT, &f, NULL), ERR_OK);
	assert_int_equal(f.offset, 103);
	assert_int_equal(time_find_first(w, 0, 1010, LIMIT, &f, NULL), ERR_NOT_FOUND);
	assert_int_equal(time_find_max(w, 0, LIMIT, &f, NULL), ERR_OK);
	assert_true(f.guessed);
	buf_clear(&b);
	h = batches_head();
	h.attributes = CODEC_ZSTD;
	w = batches_make(&b, &h, records, 5);
	assert_int_equal(time_find_max(w, 0, 10, &f, NULL), ERR_OK);
	assert_true(f.guessed);
	expect(time_find_max(w, 0, 1000, &f, NULL), &f, 3, 1009);
	buf_fini(&b);
}

static void test_corrupt(void **state)
{
	(void)state;
	struct batch_head h = batches_head();
	struct time_found f;
	struct errmsg why;
	struct buf b;
	buf_init(&b, LIMIT);
	struct bytes w = batches_make(&b, &h, records, 5);
	for (size_t i = 0; i < w.n; i++)
		assert_int_equal(time_find_first(bytes_of(w.p, i), 0, 0, LIMIT, &f, &why),
				 ERR_MALFORMED);
	b.p[w.n - 1] ^= 1;
	assert_int_equal(time_find_first(w, 0, 0, LIMIT, &f, &why), ERR_CORRUPT);
	buf_put_u8(&b, 0);
	assert_int_equal(time_find_first(buf_bytes(&b), 0, 0, LIMIT, &f, &why), ERR_MALFORMED);
	buf_fini(&b);
}

static void test_random(void **state)
{
	(void)state;
	struct rng g = {rng_seed("time_find")};
	for (int64_t run = rng_scale(2000); run > 0; run--) {
		enum { N = 12 };
		struct batches_record v[N];
		struct batch_head h = batches_head();
		struct time_found f;
		struct buf b;
		int32_t delta = 0;
		buf_init(&b, LIMIT);
		for (int i = 0; i < N; i++) {
			delta += (int32_t)rng_in(&g, 1, 3);
			v[i] = (struct batches_record){"k", "v", rng_in(&g, 990, 1010), delta};
		}
		h.attributes = (int16_t)rng_in(&g, CODEC_NONE, CODEC_ZSTD);
		struct bytes w = batches_make(&b, &h, v, N);
		int64_t from = rng_in(&g, 0, 40), t = rng_in(&g, 985, 1012);
		int first = -1, max = -1;
		for (int i = 0; i < N; i++) {
			if (v[i].offset_delta < from)
				continue;
			if (first < 0 && v[i].timestamp >= t)
				first = i;
			if (max < 0 || v[i].timestamp > v[max].timestamp)
				max = i;
		}
		enum err e = time_find_first(w, from, t, LIMIT, &f, NULL);
		if (first < 0)
			assert_int_equal(e, ERR_NOT_FOUND);
		else
			expect(e, &f, v[first].offset_delta, v[first].timestamp);
		e = time_find_max(w, from, LIMIT, &f, NULL);
		if (max < 0)
			assert_int_equal(e, ERR_NOT_FOUND);
		else
			expect(e, &f, v[max].offset_delta, v[max].timestamp);
		buf_fini(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create_time),    cmocka_unit_test(test_append_time),
		cmocka_unit_test(test_delete_horizon), cmocka_unit_test(test_empty_batch),
		cmocka_unit_test(test_guess),          cmocka_unit_test(test_corrupt),
		cmocka_unit_test(test_random),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
