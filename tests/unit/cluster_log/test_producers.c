/* SPDX-License-Identifier: Apache-2.0 */
/* Kafka's sequence rules case by case, and against a model that keeps everything; snapshots. */
#include "cluster/log/producers.h"
#include "lib/base/mem.h"
#include "tests/unit/base/fail_alloc.h"
#include "tests/unit/base/unit.h"
#include "tests/unit/rng.h"

static struct batch_head head(int64_t id, int16_t epoch, int32_t sequence, int32_t n,
			      int64_t offset)
{
	return (struct batch_head){
		.base_offset = offset,
		.producer_id = id,
		.producer_epoch = epoch,
		.base_sequence = sequence,
		.last_offset_delta = n - 1,
		.count = n,
		.max_timestamp = 1000 + offset,
	};
}

struct rig {
	struct producers *p;
	int64_t end;
	struct producers_batch earlier;
	struct errmsg why;
};

enum { DUPLICATE = -1 };

/* Check and commit, as an append does: an error, or DUPLICATE. */
static int append(struct rig *r, int64_t id, int16_t epoch, int32_t sequence, int32_t n)
{
	struct batch_head h = head(id, epoch, sequence, n, r->end);
	bool duplicate;
	enum err e = producers_check(r->p, &h, &duplicate, &r->earlier, &r->why);

	if (e != ERR_OK)
		return (int)e;
	if (duplicate)
		return DUPLICATE;
	producers_commit(r->p, &h);
	r->end += n;
	return ERR_OK;
}

enum { ORDER = ERR_KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER, FENCED = ERR_KAFKA_INVALID_PRODUCER_EPOCH };

static void test_sequences(void **state)
{
	(void)state;
	struct rig r = {.p = producers_new(10)};
	assert_int_equal(append(&r, -1, -1, -1, 3), ERR_OK); /* no producer */
	assert_int_equal(producers_count(r.p), 0);
	assert_int_equal(append(&r, 1, 0, 5, 2), ERR_OK); /* not known: any sequence */
	assert_int_equal(append(&r, 1, 0, 7, 2), ERR_OK);
	assert_int_equal(append(&r, 1, 0, 7, 2), DUPLICATE);
	assert_int_equal(r.earlier.first_offset, 5);
	assert_int_equal(r.earlier.last_offset, 6);
	assert_int_equal(r.earlier.first_sequence, 7);
	assert_int_equal(r.earlier.timestamp, 1005);
	assert_int_equal(append(&r, 1, 0, 5, 2), DUPLICATE);
	assert_int_equal(r.earlier.first_offset, 3);
	assert_int_equal(append(&r, 1, 0, 5, 4), ORDER); /* two at once is not the same batch */
	assert_int_equal(append(&r, 1, 0, 10, 1), ORDER);
	assert_int_equal(append(&r, 1, 0, 8, 1), ORDER);
	assert_int_equal(append(&r, 1, 0, 9, 1), ERR_OK);
	producers_free(r.p);
}

static void test_epochs(void **state)
{
	(void)state;
	struct rig r = {.p = producers_new(10)};
	assert_int_equal(append(&r, 1, 4, 0, 2), ERR_OK);
	assert_int_equal(append(&r, 1, 3, 2, 1), FENCED);
	assert_int_equal(append(&r, 1, 5, 2, 1), ORDER); /* a new epoch begins at 0 */
	assert_int_equal(append(&r, 1, 4, 2, 1), ERR_OK);
	assert_int_equal(append(&r, 1, 5, 0, 1), ERR_OK);
	assert_int_equal(append(&r, 1, 4, 3, 1), FENCED);
	assert_int_equal(append(&r, 1, 4, 0, 2), FENCED); /* of the old epoch: no duplicate */
	assert_int_equal(append(&r, 1, 5, 0, 1), DUPLICATE);
	assert_int_equal(append(&r, 1, INT16_MAX, 0, 1), ERR_OK);
	producers_free(r.p);
}

static void test_wrap(void **state)
{
	(void)state;
	struct rig r = {.p = producers_new(10)};
	assert_int_equal(append(&r, 1, 0, INT32_MAX - 1, 2), ERR_OK);
	assert_int_equal(append(&r, 1, 0, 0, 1), ERR_OK);
	assert_int_equal(append(&r, 1, 0, INT32_MAX - 1, 2), DUPLICATE);
	assert_int_equal(append(&r, 1, 0, 0, 1), DUPLICATE);
	/* Inside a batch. */
	assert_int_equal(append(&r, 2, 0, INT32_MAX - 1, 4), ERR_OK); /* ends at 1 */
	assert_int_equal(append(&r, 2, 0, INT32_MAX - 1, 4), DUPLICATE);
	assert_int_equal(r.earlier.last_sequence, 1);
	assert_int_equal(append(&r, 2, 0, 2, 1), ERR_OK);
	producers_free(r.p);
}

static void test_five_are_remembered(void **state)
{
	(void)state;
	struct rig r = {.p = producers_new(10)};
	for (int32_t i = 0; i < 6; i++)
		assert_int_equal(append(&r, 1, 0, i, 1), ERR_OK);
	assert_int_equal(append(&r, 1, 0, 0, 1), ORDER);
	for (int32_t i = 1; i < 6; i++)
		assert_int_equal(append(&r, 1, 0, i, 1), DUPLICATE);
	producers_free(r.p);
}

/* A check that no commit follows leaves nothing. */
static void test_failed_append(void **state)
{
	(void)state;
	struct rig r = {.p = producers_new(10)};
	struct batch_head h = head(1, 0, 5, 2, 0);
	struct plog_producer seen;
	bool duplicate;
	size_t at = 0;
	assert_int_equal(producers_check(r.p, &h, &duplicate, &r.earlier, &r.why), ERR_OK);
	assert_int_equal(producers_count(r.p), 0);
	assert_false(producers_next(r.p, &at, &seen));
	assert_false(producers_is_last(r.p, &h));
	h.base_sequence = 9;
	assert_int_equal(producers_check(r.p, &h, &duplicate, &r.earlier, &r.why), ERR_OK);
	h.producer_id = 2;
	assert_int_equal(producers_check(r.p, &h, &duplicate, &r.earlier, &r.why), ERR_OK);
	assert_int_equal(append(&r, 1, 0, 77, 1), ERR_OK);
	assert_int_equal(producers_count(r.p), 1);
	assert_int_equal(producers_check(r.p, &h, &duplicate, &r.earlier, &r.why), ERR_OK);
	producers_free(r.p);
}

static void test_oldest_goes(void **state)
{
	(void)state;
	struct rig r = {.p = producers_new(3)};
	for (int64_t id = 1; id <= 3; id++)
		assert_int_equal(append(&r, id, 0, 0, 1), ERR_OK);
	assert_int_equal(append(&r, 1, 0, 1, 1), ERR_OK);
	assert_int_equal(append(&r, 4, 0, 0, 1), ERR_OK); /* 2 goes */
	assert_int_equal(producers_count(r.p), 3);
	assert_int_equal(append(&r, 1, 0, 9, 1), ORDER);
	assert_int_equal(append(&r, 3, 0, 9, 1), ORDER);
	assert_int_equal(append(&r, 2, 0, 9, 1), ERR_OK); /* 3 goes */
	assert_int_equal(append(&r, 3, 0, 9, 1), ERR_OK);
	assert_int_equal(producers_count(r.p), 3);
	producers_free(r.p);
}

/* Any client may send batches of ids that nobody has: those do not push out the ones that work. */
static void test_a_crowd_displaces_itself(void **state)
{
	(void)state;
	enum { MAX = 100, WORKING = 60, CROWD = 1000 };
	struct rig r = {.p = producers_new(MAX)}, s = {.p = producers_new(MAX)};
	struct errmsg why;
	struct buf b;
	buf_init(&b, 1 << 16);
	for (int32_t i = 0; i < 2; i++)
		for (int64_t id = 1; id <= WORKING; id++)
			assert_int_equal(append(&r, id, 0, i, 1), ERR_OK);
	assert_int_equal(producers_displaced(r.p), 0);
	for (int64_t id = CROWD; id < 2 * CROWD; id++)
		assert_int_equal(append(&r, id, 0, 0, 1), ERR_OK);
	assert_int_equal(producers_count(r.p), MAX);
	assert_int_equal(producers_displaced(r.p), WORKING + CROWD - MAX);
	/* A restart between two crowds. */
	assert_int_equal(producers_encode(r.p, &b), ERR_OK);
	assert_int_equal(producers_decode(s.p, buf_bytes(&b), &why), ERR_OK);
	s.end = r.end;
	for (int64_t id = 3 * CROWD; id < 4 * CROWD; id++)
		assert_int_equal(append(&s, id, 0, 0, 1), ERR_OK);
	for (int64_t id = 1; id <= WORKING; id++) {
		assert_int_equal(append(&r, id, 0, 1, 1), DUPLICATE);
		assert_int_equal(append(&s, id, 0, 9, 1), ORDER);
	}
	buf_fini(&b);
	producers_free(r.p);
	producers_free(s.p);
}

/* When all work there is room for new ones: those that wrote longest ago make it. */
static void test_new_ones_find_room(void **state)
{
	(void)state;
	enum { MAX = 40 };
	struct rig r = {.p = producers_new(MAX)};
	for (int32_t i = 0; i < 2; i++)
		for (int64_t id = 1; id <= MAX; id++)
			assert_int_equal(append(&r, id, 0, i, 1), ERR_OK);
	for (int32_t i = 0; i < 2; i++)
		for (int64_t id = 101; id <= 100 + MAX / 4; id++)
			assert_int_equal(append(&r, id, 0, i, 1), ERR_OK);
	for (int64_t id = 101; id <= 100 + MAX / 4; id++)
		assert_int_equal(append(&r, id, 0, 1, 1), DUPLICATE);
	for (int64_t id = MAX / 4 + 1; id <= MAX; id++)
		assert_int_equal(append(&r, id, 0, 1, 1), DUPLICATE);
	assert_int_equal(append(&r, 1, 0, 1, 1), ERR_OK); /* it is not known any more */
	producers_free(r.p);
}

static void test_replay_and_markers(void **state)
{
	(void)state;
	struct rig r = {.p = producers_new(3)};
	struct batch_head h = head(1, 2, 40, 2, 10);
	assert_int_equal(producers_replay(r.p, &h), ERR_OK);
	h = head(1, 2, 90, 1, 12); /* a gap: it is in the log */
	assert_int_equal(producers_replay(r.p, &h), ERR_OK);
	assert_int_equal(append(&r, 1, 2, 91, 1), ERR_OK);
	/* A marker of a higher epoch: no batches, and a client begins at 0. */
	h = head(1, 3, -1, 1, 20);
	h.attributes = BATCH_CONTROL;
	assert_int_equal(producers_replay(r.p, &h), ERR_OK);
	assert_true(producers_is_last(r.p, &h));
	assert_int_equal(append(&r, 1, 2, 92, 1), FENCED);
	assert_int_equal(append(&r, 1, 3, 92, 1), ORDER);
	assert_int_equal(append(&r, 1, 3, 0, 1), ERR_OK);
	assert_false(producers_is_last(r.p, &h));
	/* One of the same epoch keeps them; one that compaction emptied is none. */
	h.base_offset = 30;
	assert_int_equal(producers_replay(r.p, &h), ERR_OK);
	h.producer_epoch = 9;
	h.count = 0;
	assert_int_equal(producers_replay(r.p, &h), ERR_OK);
	assert_int_equal(append(&r, 1, 3, 1, 1), ERR_OK);
	producers_free(r.p);
}

static void test_is_last(void **state)
{
	(void)state;
	struct rig r = {.p = producers_new(3)};
	struct batch_head first = head(1, 0, 0, 2, 0), second = head(1, 0, 2, 2, 2);
	assert_int_equal(append(&r, 1, 0, 0, 2), ERR_OK);
	assert_true(producers_is_last(r.p, &first));
	assert_int_equal(append(&r, 1, 0, 2, 2), ERR_OK);
	assert_false(producers_is_last(r.p, &first));
	assert_true(producers_is_last(r.p, &second));
	second.producer_id = -1;
	assert_false(producers_is_last(r.p, &second));
	producers_free(r.p);
}

static void test_expire(void **state)
{
	(void)state;
	struct rig r = {.p = producers_new(9)};
	for (int64_t id = 1; id <= 4; id++)
		assert_int_equal(append(&r, id, 0, 0, 1), ERR_OK); /* timestamps 1000 to 1003 */
	assert_int_equal(producers_expire(r.p, 1100, 99), 2);
	assert_int_equal(producers_count(r.p), 2);
	assert_int_equal(append(&r, 1, 0, 7, 1), ERR_OK);
	assert_int_equal(append(&r, 3, 0, 7, 1), ORDER);
	assert_int_equal(producers_expire(r.p, 500, 0), 0); /* a clock that went back */
	assert_int_equal(producers_expire(r.p, INT64_MAX, INT64_MAX), 0);
	assert_int_equal(producers_expire(r.p, INT64_MAX, 1), 3);
	producers_free(r.p);
}

static void test_truncate(void **state)
{
	(void)state;
	struct rig r = {.p = producers_new(9)};
	assert_int_equal(append(&r, 1, 0, 0, 2), ERR_OK); /* 0 - 1 */
	assert_int_equal(append(&r, 2, 0, 0, 2), ERR_OK); /* 2 - 3 */
	assert_int_equal(append(&r, 1, 0, 2, 2), ERR_OK); /* 4 - 5 */
	assert_true(producers_truncate(r.p, 6));
	assert_true(producers_truncate(r.p, 5));
	r.end = 4;
	assert_int_equal(append(&r, 1, 0, 3, 1), ORDER);
	assert_int_equal(append(&r, 1, 0, 2, 2), ERR_OK);
	assert_false(producers_truncate(r.p, 2)); /* what 2 was before is not known */
	assert_int_equal(producers_count(r.p), 1);
	r.end = 2;
	assert_int_equal(append(&r, 1, 0, 2, 1), ERR_OK);
	producers_remove_below(r.p, 2);
	assert_int_equal(producers_count(r.p), 1);
	producers_remove_below(r.p, 3);
	assert_int_equal(producers_count(r.p), 0);
	producers_free(r.p);
}

static void test_snapshot(void **state)
{
	(void)state;
	struct rig r = {.p = producers_new(9)}, s = {.p = producers_new(2)};
	struct errmsg why;
	struct buf b;
	buf_init(&b, 1 << 16);
	assert_int_equal(producers_encode(r.p, &b), ERR_OK);
	assert_int_equal(b.len, 10);
	assert_int_equal(producers_decode(s.p, buf_bytes(&b), &why), ERR_OK);
	assert_int_equal(producers_count(s.p), 0);
	for (int32_t i = 0; i < 3; i++)
		for (int64_t id = 1; id <= 3; id++)
			assert_int_equal(append(&r, id, 7, i * 2, 2), ERR_OK);
	buf_clear(&b);
	assert_int_equal(producers_encode(r.p, &b), ERR_OK);
	assert_int_equal(b.len, 10 + 3 * 46);
	assert_int_equal(producers_decode(s.p, buf_bytes(&b), &why), ERR_OK);
	assert_int_equal(producers_count(s.p), 2); /* its maximum: the latest */
	s.end = r.end;
	assert_int_equal(append(&s, 3, 7, 4, 2), DUPLICATE);
	assert_int_equal(s.earlier.first_offset, 16);
	assert_int_equal(append(&s, 3, 7, 2, 2), ORDER); /* only the last one is kept */
	assert_int_equal(append(&s, 2, 7, 6, 1), ERR_OK);
	assert_int_equal(append(&s, 2, 6, 7, 1), FENCED);
	assert_int_equal(append(&s, 1, 0, 99, 1), ERR_OK);
	buf_fini(&b);
	producers_free(r.p);
	producers_free(s.p);
}

static void reseal(struct buf *b)
{
	be32_put(b->p + 2, crc32c(0, b->p + 6, b->len - 6));
}

static void test_hostile_snapshots(void **state)
{
	(void)state;
	struct rig r = {.p = producers_new(9)};
	struct errmsg why;
	struct buf b;
	buf_init(&b, 1 << 16);
	assert_int_equal(append(&r, 1, 7, 2, 2), ERR_OK);
	assert_int_equal(producers_encode(r.p, &b), ERR_OK);
	for (size_t n = 0; n < b.len; n++) {
		uint8_t *copy = malloc(n + 1);
		memcpy(copy, b.p, n);
		assert_int_not_equal(producers_decode(r.p, bytes_of(copy, n), &why), ERR_OK);
		assert_int_equal(producers_count(r.p), 0);
		free(copy);
	}
	for (size_t i = 0; i < b.len; i++) {
		b.p[i] ^= 1;
		assert_int_not_equal(producers_decode(r.p, buf_bytes(&b), &why), ERR_OK);
		b.p[i] ^= 1;
	}
	be32_put(b.p + 6, 2); /* an entry too many */
	reseal(&b);
	assert_int_equal(producers_decode(r.p, buf_bytes(&b), &why), ERR_MALFORMED);
	be32_put(b.p + 6, INT32_MAX);
	reseal(&b);
	assert_int_equal(producers_decode(r.p, buf_bytes(&b), &why), ERR_MALFORMED);
	be32_put(b.p + 6, UINT32_MAX);
	reseal(&b);
	assert_int_not_equal(producers_decode(r.p, buf_bytes(&b), &why), ERR_OK);
	be32_put(b.p + 6, 1);
	uint8_t offset[8];
	memcpy(offset, b.p + 24, 8);
	be64_put(b.p + 24, INT64_MAX); /* no log has a record there */
	reseal(&b);
	assert_int_equal(producers_decode(r.p, buf_bytes(&b), &why), ERR_MALFORMED);
	memcpy(b.p + 24, offset, 8);
	static const size_t at[] = {10, 20, 24, 32}; /* id, sequence, offset, delta */
	for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
		uint8_t kept[8];
		memcpy(kept, b.p + at[i], 8);
		memset(b.p + at[i], 0x80, i == 1 || i == 3 ? 4 : 8);
		reseal(&b);
		assert_int_equal(producers_decode(r.p, buf_bytes(&b), &why), ERR_MALFORMED);
		memcpy(b.p + at[i], kept, 8);
	}
	reseal(&b);
	assert_int_equal(producers_decode(r.p, buf_bytes(&b), &why), ERR_OK);
	be16_put(b.p, 2);
	assert_int_equal(producers_decode(r.p, buf_bytes(&b), &why), ERR_UNSUPPORTED);
	buf_fini(&b);
	producers_free(r.p);
}

/* A file that Kafka 4.1.0 wrote at offset 40: read, carried on as Kafka would, written again. */
static void test_kafkas_snapshot(void **state)
{
	(void)state;
	static const uint8_t file[] = {
		0x00, 0x01, 0xf0, 0x09, 0x6a, 0x51, 0x00, 0x00, 0x00, 0x05, 0x00, 0x00, 0x00, 0x00,
		0x00, 0x00, 0x00, 0x64, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
		0x00, 0x00, 0x00, 0x20, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0xa2, 0x07, 0xf6,
		0x58, 0x46, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x65, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
		0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x23, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
		0x01, 0xa2, 0x07, 0xf6, 0x58, 0x46, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x66, 0x00, 0x00,
		0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x27, 0x00, 0x00,
		0x00, 0x00, 0x00, 0x00, 0x01, 0xa2, 0x07, 0xf6, 0x58, 0x46, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
		0x00, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0a, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
		0x00, 0x09, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x01, 0xa2, 0x07, 0xf6, 0x58, 0x46,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00,
		0x00, 0x00, 0x00, 0x00, 0x00, 0x09, 0xff, 0xff, 0x00, 0x00, 0x00, 0x04, 0x00, 0x00,
		0x00, 0x00, 0x00, 0x00, 0x00, 0x0b, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x01, 0xa2,
		0x07, 0xf6, 0x58, 0x46, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff};
	struct rig r = {.p = producers_new(9), .end = 40};
	struct buf b;
	buf_init(&b, 1 << 16);
	assert_int_equal(producers_decode(r.p, bytes_of(file, sizeof file), &r.why), ERR_OK);
	assert_int_equal(producers_count(r.p), 5);
	assert_int_equal(producers_encode(r.p, &b), ERR_OK);
	assert_int_equal(b.len, sizeof file);
	assert_memory_equal(b.p, file, sizeof file);
	assert_int_equal(append(&r, 100, 1, 0, 1), DUPLICATE);
	assert_int_equal(r.earlier.first_offset, 32);
	assert_int_equal(append(&r, 100, 0, 1, 1), FENCED);
	assert_int_equal(append(&r, 100, 1, 1, 1), ERR_OK);
	assert_int_equal(append(&r, 8, 0, 9, 2), DUPLICATE);
	assert_int_equal(append(&r, 8, 0, 10, 1), ORDER);
	assert_int_equal(append(&r, 8, 0, 11, 1), ERR_OK);
	assert_int_equal(append(&r, 9, -1, 77, 1), ERR_OK); /* it never had an epoch */
	buf_fini(&b);
	producers_free(r.p);
}

/* Every allocation fails once; the state stays right. */
static void test_no_memory(void **state)
{
	(void)state;
	bool hit = true;
	for (long n = 1; hit; n++) {
		fail_alloc_at(n);
		struct rig r = {.p = producers_new(40)};
		if (r.p != NULL) {
			for (int64_t id = 0; id < 30; id++) {
				int e = append(&r, id, 0, 0, 1);
				assert_true(e == ERR_OK || e == ERR_NOMEM);
				if (e == ERR_NOMEM)
					assert_int_equal(append(&r, id, 0, 0, 1), ERR_OK);
			}
			assert_int_equal(producers_count(r.p), 30);
			struct buf b;
			buf_init(&b, 1 << 16);
			enum err e = producers_encode(r.p, &b);
			assert_true(e == ERR_OK || e == ERR_NOMEM);
			if (e == ERR_OK) {
				e = producers_decode(r.p, buf_bytes(&b), &r.why);
				assert_true(e == ERR_OK || e == ERR_NOMEM);
				assert_int_equal(producers_count(r.p), e == ERR_OK ? 30 : 0);
			}
			buf_fini(&b);
		}
		producers_free(r.p);
		hit = fail_alloc_off();
	}
}

/* The model: all batches that were ever appended, and the rules said in words. */
enum { MODEL_BATCHES = 400, MODEL_IDS = 4 };

struct model {
	struct batch_head v[MODEL_BATCHES];
	size_t n;
};

static int model_expect(const struct model *m, const struct batch_head *h)
{
	const struct batch_head *same_epoch[MODEL_BATCHES];
	size_t n = 0;
	int16_t epoch = -1;

	for (size_t i = 0; i < m->n; i++)
		if (m->v[i].producer_id == h->producer_id)
			epoch = m->v[i].producer_epoch;
	if (epoch < 0)
		return ERR_OK;
	for (size_t i = 0; i < m->n; i++)
		if (m->v[i].producer_id == h->producer_id && m->v[i].producer_epoch == epoch)
			same_epoch[n++] = &m->v[i];
	if (h->producer_epoch < epoch)
		return FENCED;
	if (h->producer_epoch > epoch)
		return h->base_sequence == 0 ? ERR_OK : ORDER;
	for (size_t i = n > 5 ? n - 5 : 0; i < n; i++)
		if (same_epoch[i]->base_sequence == h->base_sequence &&
		    same_epoch[i]->count == h->count)
			return DUPLICATE;
	int64_t next = (int64_t)same_epoch[n - 1]->base_sequence + same_epoch[n - 1]->count;
	return h->base_sequence == next % ((int64_t)INT32_MAX + 1) ? ERR_OK : ORDER;
}

static void test_random(void **state)
{
	(void)state;
	struct rng g = {rng_seed("producers")};
	int seen[4] = {0};
	for (int64_t run = rng_scale(300); run > 0; run--) {
		static struct model m;
		struct rig r = {.p = producers_new(MODEL_IDS)};
		int32_t next[MODEL_IDS];
		int16_t epoch[MODEL_IDS] = {0};
		m.n = 0;
		for (int i = 0; i < MODEL_IDS; i++)
			next[i] = rng_one_in(&g, 2) ? 0 : (int32_t)(INT32_MAX - rng_in(&g, 0, 20));
		while (m.n < MODEL_BATCHES && !rng_one_in(&g, 300)) {
			int64_t id = rng_in(&g, 0, MODEL_IDS - 1);
			struct batch_head h =
				head(id, epoch[id], next[id], (int32_t)rng_in(&g, 1, 4), r.end);
			if (rng_one_in(&g, 20)) {
				h.producer_epoch = (int16_t)(epoch[id] + rng_in(&g, -1, 1));
				h.producer_epoch = h.producer_epoch < 0 ? 0 : h.producer_epoch;
				if (rng_one_in(&g, 2))
					h.base_sequence = 0;
			} else if (rng_one_in(&g, 3) && m.n > 0) {
				/* An earlier one again, as a retry does. */
				size_t back = (size_t)rng_in(&g, 1, 12);
				const struct batch_head *old = &m.v[back > m.n ? 0 : m.n - back];
				h = *old;
				h.base_offset = r.end;
				id = h.producer_id;
			} else if (rng_one_in(&g, 10)) {
				h.base_sequence =
					(int32_t)((h.base_sequence + rng_in(&g, 1, 3)) & INT32_MAX);
			}
			int expect = model_expect(&m, &h);
			assert_int_equal(append(&r, id, h.producer_epoch, h.base_sequence, h.count),
					 expect);
			seen[expect == ERR_OK      ? 0
			     : expect == DUPLICATE ? 1
			     : expect == ORDER     ? 2
						   : 3]++;
			if (expect != ERR_OK)
				continue;
			h.base_offset = r.end - h.count;
			m.v[m.n++] = h;
			epoch[id] = h.producer_epoch;
			next[id] = batch_sequence_add(h.base_sequence, h.count);
		}
		producers_free(r.p);
	}
	for (size_t i = 0; i < 4; i++)
		assert_true(seen[i] > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sequences),
		cmocka_unit_test(test_epochs),
		cmocka_unit_test(test_wrap),
		cmocka_unit_test(test_five_are_remembered),
		cmocka_unit_test(test_failed_append),
		cmocka_unit_test(test_oldest_goes),
		cmocka_unit_test(test_a_crowd_displaces_itself),
		cmocka_unit_test(test_new_ones_find_room),
		cmocka_unit_test(test_replay_and_markers),
		cmocka_unit_test(test_is_last),
		cmocka_unit_test(test_expire),
		cmocka_unit_test(test_truncate),
		cmocka_unit_test(test_snapshot),
		cmocka_unit_test(test_hostile_snapshots),
		cmocka_unit_test(test_kafkas_snapshot),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_random),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
