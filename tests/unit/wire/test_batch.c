/* SPDX-License-Identifier: Apache-2.0 */
/* Heads, the walk over a record set, and re-stamping without the payload. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/wire/batch.h"
#include "tests/unit/wire/batch_model.h"

static struct fixtures fixtures;

static int set_up(void **state)
{
	(void)state;
	fixtures = fixtures_load();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fixtures_free(&fixtures);
	return 0;
}

/* A batch with `count` records of `payload` bytes in all, in a block that the caller frees. */
static uint8_t *make_batch(struct rnd *rnd, size_t payload, struct batch_head *h)
{
	uint8_t *p = malloc(BATCH_HEAD + payload);

	assert_non_null(p);
	rnd_fill(rnd, p, BATCH_HEAD + payload);
	*h = (struct batch_head){
		.base_offset = (int64_t)(rnd_next(rnd) >> 2),
		.leader_epoch = (int32_t)rnd_next(rnd),
		.attributes = (int16_t)rnd_next(rnd),
		.last_offset_delta = (int32_t)rnd_below(rnd, 1000),
		.base_timestamp = (int64_t)rnd_next(rnd),
		.max_timestamp = (int64_t)rnd_next(rnd),
		.producer_id = (int64_t)rnd_next(rnd),
		.producer_epoch = (int16_t)rnd_next(rnd),
		.base_sequence = (int32_t)rnd_next(rnd),
		.count = 1,
	};
	batch_head_seal(p, payload, h);
	return p;
}

static void test_head_layout(void **state)
{
	const struct fixture_batch *b = fixtures_find(&fixtures, "magic2-control");
	struct batch_head h;
	uint8_t again[BATCH_HEAD];

	(void)state;
	batch_head_get(b->whole.p, &h);
	assert_int_equal(h.base_offset, 900);
	assert_int_equal(batch_size(&h), b->whole.n);
	assert_int_equal(h.leader_epoch, 4);
	assert_int_equal(h.magic, 2);
	assert_int_equal(h.attributes, BATCH_TRANSACTIONAL | BATCH_CONTROL);
	assert_int_equal(h.last_offset_delta, 0);
	assert_int_equal(h.base_timestamp, 1700000000000);
	assert_int_equal(h.max_timestamp, 1700000000000);
	assert_int_equal(h.producer_id, 77);
	assert_int_equal(h.producer_epoch, 3);
	assert_int_equal(h.base_sequence, -1);
	assert_int_equal(h.count, 1);
	assert_true(batch_is_dense(&h));
	assert_int_equal(batch_last_offset(&h), 900);
	batch_head_put(again, &h);
	assert_memory_equal(again, b->whole.p, BATCH_HEAD);
}

/* All fixtures as one record set, and cut off after every byte: whole batches come out, then the
 * end, and nothing is read behind the cut (ASan). */
static void test_walk_cut_anywhere(void **state)
{
	struct buf set;

	(void)state;
	buf_init(&set, 1 << 20);
	for (size_t i = 0; i < fixtures.n; i++)
		buf_put(&set, fixtures.v[i].whole.p, fixtures.v[i].whole.n);
	for (size_t cut = 0; cut <= set.len; cut++) {
		uint8_t *own = malloc(cut == 0 ? 1 : cut);
		assert_non_null(own);
		memcpy(own, set.p, cut);
		struct batch_walk w = {.left = bytes_of(own, cut)};
		struct batch_head h;
		struct bytes whole;
		enum batch_walk_result found;
		size_t i = 0, used = 0;
		while ((found = batch_walk_next(&w, &h, &whole, NULL)) != BATCH_WALK_END) {
			assert_true(found == BATCH_WALK_BATCH || found == BATCH_WALK_OLD);
			assert_int_equal(found == BATCH_WALK_BATCH, h.magic == 2);
			assert_int_equal(whole.n, fixtures.v[i].whole.n);
			assert_memory_equal(whole.p, fixtures.v[i].whole.p, whole.n);
			assert_int_equal(batch_entry_codec(whole), batch_codec(&h));
			used += whole.n;
			i++;
		}
		assert_int_equal(used + w.left.n, cut);
		if (i < fixtures.n)
			assert_true(w.left.n < fixtures.v[i].whole.n);
		else
			assert_int_equal(w.left.n, 0);
		free(own);
	}
	buf_fini(&set);
}

static enum batch_walk_result walk_one(uint8_t *p, size_t n, struct errmsg *why)
{
	struct batch_walk w = {.left = bytes_of(p, n)};
	struct batch_head h;
	struct bytes whole;

	return batch_walk_next(&w, &h, &whole, why);
}

/* Heads that lie. */
static void test_walk_malformed(void **state)
{
	static const struct {
		size_t at;
		size_t n;
		int64_t value;
		const char *why;
	} lies[] = {
		{16, 1, 3, "no such format"},
		{16, 1, -1, "no such format"},
		{8, 4, 48, "length is less"},
		{8, 4, -1, "length is less"},
		{8, 4, INT32_MIN, "length is less"},
		{0, 8, -1, "out of range"},
		{0, 8, INT64_MAX, "out of range"},
		{0, 8, INT64_MAX - 9, "does not fit"},
		{23, 4, -1, "delta is negative"},
		{23, 4, 8, "more records than offsets"},
		{57, 4, -1, "count is negative"},
		{57, 4, 0, "no records"},
		{57, 4, 11, "more records than offsets"},
		{57, 4, INT32_MAX, "more records than offsets"},
	};
	const struct fixture_batch *b = fixtures_find(&fixtures, "magic2-none");
	uint8_t *p = malloc(b->whole.n);
	struct errmsg why;

	(void)state;
	assert_non_null(p);
	for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
		memcpy(p, b->whole.p, b->whole.n);
		for (size_t k = 0; k < lies[i].n; k++)
			p[lies[i].at + k] =
				(uint8_t)((uint64_t)lies[i].value >> 8 * (lies[i].n - 1 - k));
		assert_int_equal(walk_one(p, b->whole.n, &why), BATCH_WALK_MALFORMED);
		if (strstr(why.text, lies[i].why) == NULL)
			fail_msg("lie %zu: %s", i, why.text);
	}
	/* More offsets than records is what compaction leaves; more records than bytes is not. */
	memcpy(p, b->whole.p, b->whole.n);
	be32_put(p + 23, INT32_MAX);
	assert_int_equal(walk_one(p, b->whole.n, &why), BATCH_WALK_BATCH);
	be32_put(p + 57, (uint32_t)(b->whole.n - 61) / 7 + 1);
	assert_int_equal(walk_one(p, b->whole.n, &why), BATCH_WALK_MALFORMED);
	assert_non_null(strstr(why.text, "fit in the bytes"));
	assert_non_null(strstr(why.text, "offset 100"));
	/* A batch of 2 GiB is not there; it is not believed either. */
	memcpy(p, b->whole.p, b->whole.n);
	be32_put(p + 8, INT32_MAX);
	assert_int_equal(walk_one(p, b->whole.n, &why), BATCH_WALK_END);
	free(p);

	b = fixtures_find(&fixtures, "magic2-empty");
	p = malloc(b->whole.n);
	assert_non_null(p);
	memcpy(p, b->whole.p, b->whole.n);
	assert_int_equal(walk_one(p, b->whole.n, &why), BATCH_WALK_BATCH);
	be32_put(p + 57, 1);
	assert_int_equal(walk_one(p, b->whole.n, &why), BATCH_WALK_MALFORMED);
	free(p);
}

static void test_walk_old_lengths(void **state)
{
	uint8_t p[64] = {0};
	struct errmsg why;

	(void)state;
	for (uint8_t magic = 0; magic < 2; magic++) {
		uint32_t min = magic == 0 ? 14 : 22;
		p[16] = magic;
		be32_put(p + 8, min);
		assert_int_equal(walk_one(p, sizeof p, &why), BATCH_WALK_OLD);
		be32_put(p + 8, min - 1);
		assert_int_equal(walk_one(p, sizeof p, &why), BATCH_WALK_MALFORMED);
	}
}

/* Any head may be put in front of any payload: the checksum is right if it was right before, and
 * wrong if the payload was damaged, which the re-stamp never reads. */
static void test_restamp(void **state)
{
	struct rnd rnd = rnd_new();

	(void)state;
	for (int i = 0; i < 3000; i++) {
		size_t payload = rnd_one_in(&rnd, 50) ? 100000 + rnd_below(&rnd, 100000)
						      : rnd_below(&rnd, 2000);
		struct batch_head h, want, got;
		uint8_t *p = make_batch(&rnd, payload, &h);
		uint8_t old[BATCH_HEAD];
		assert_true(batch_crc_ok(bytes_of(p, BATCH_HEAD + payload)));
		bool damage = payload > 0 && rnd_one_in(&rnd, 3);
		if (damage)
			p[BATCH_HEAD + rnd_below(&rnd, (uint32_t)payload)] ^=
				(uint8_t)(1 + rnd_below(&rnd, 255));
		memcpy(old, p, BATCH_HEAD);
		want = h;
		want.base_offset = 0;
		want.leader_epoch = -1;
		want.attributes = (int16_t)rnd_next(&rnd);
		want.producer_id = (int64_t)rnd_next(&rnd);
		want.base_sequence = (int32_t)rnd_next(&rnd);
		batch_head_restamp(old, payload, &want, p);
		assert_int_equal(batch_crc_ok(bytes_of(p, BATCH_HEAD + payload)), !damage);
		batch_head_get(p, &got);
		assert_int_equal(batch_size(&got), BATCH_HEAD + payload);
		assert_int_equal(got.magic, 2);
		want.length = got.length;
		want.magic = got.magic;
		want.crc = got.crc;
		uint8_t again[BATCH_HEAD];
		batch_head_put(again, &want);
		assert_memory_equal(again, p, BATCH_HEAD);
		free(p);
	}
}

/* Each single byte of a real batch that changes under the checksum is seen after a re-stamp. */
static void test_restamp_every_byte(void **state)
{
	const struct fixture_batch *b = fixtures_find(&fixtures, "magic2-lz4");
	uint8_t *p = malloc(b->whole.n);
	uint8_t old[BATCH_HEAD];

	(void)state;
	assert_non_null(p);
	for (size_t i = 0; i < b->whole.n; i++) {
		memcpy(p, b->whole.p, b->whole.n);
		p[i] ^= 0x20;
		memcpy(old, p, BATCH_HEAD);
		struct batch_head h;
		batch_head_get(b->whole.p, &h);
		h.producer_id = 1234;
		batch_head_restamp(old, b->whole.n - BATCH_HEAD, &h, p);
		/* What the old checksum did not cover cannot be vouched for, nor spoils it. */
		bool covered = i >= 17;
		assert_int_equal(batch_crc_ok(bytes_of(p, b->whole.n)), !covered);
	}
	free(p);
	assert_false(batch_crc_ok(bytes_of(b->whole.p, BATCH_HEAD - 1)));
}

static void test_sequence(void **state)
{
	(void)state;
	assert_int_equal(batch_sequence_add(0, 1), 1);
	assert_int_equal(batch_sequence_add(INT32_MAX - 1, 1), INT32_MAX);
	assert_int_equal(batch_sequence_add(INT32_MAX, 1), 0);
	assert_int_equal(batch_sequence_add(INT32_MAX - 2, 10), 7);
	assert_int_equal(batch_sequence_add(INT32_MAX, INT32_MAX), INT32_MAX - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_head_layout),    cmocka_unit_test(test_walk_cut_anywhere),
		cmocka_unit_test(test_walk_malformed), cmocka_unit_test(test_walk_old_lengths),
		cmocka_unit_test(test_restamp),        cmocka_unit_test(test_restamp_every_byte),
		cmocka_unit_test(test_sequence),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
