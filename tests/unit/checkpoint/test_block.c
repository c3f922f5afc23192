/* SPDX-License-Identifier: Apache-2.0 */
/* The stored format of run tables: known bytes, round trips, and every kind of damage (F18). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "checkpoint/block.h"
#include "lib/wire/batch.h"
#include "tests/unit/rng.h"

struct made {
	struct block_info info;
	struct runs *runs;
	struct buf key, value;
};

struct got {
	struct block_info info;
	struct run runs[BLOCK_RUNS_MAX];
	size_t n;
	size_t stop_at; /* refuse the run after so many */
};

static enum err got_run(void *arg, struct run run)
{
	struct got *g = arg;
	if (g->n == g->stop_at)
		return ERR_LIMIT;
	g->runs[g->n++] = run;
	return ERR_OK;
}

static enum err decode(struct bytes key, struct bytes value, struct got *g)
{
	struct errmsg why = {""};
	g->n = 0;
	g->stop_at = BLOCK_RUNS_MAX;
	enum err e = block_decode_key(key, &g->info, &why);
	if (e == ERR_OK)
		e = block_decode_value(value, &g->info, got_run, g, &why);
	/* Whoever fails says why, and has given nothing. */
	if (e != ERR_OK) {
		assert_true(why.text[0] != '\0');
		assert_int_equal(g->n, 0);
	}
	return e;
}

static void encode(struct made *m, size_t first, size_t n)
{
	buf_init(&m->key, BLOCK_KEY_MAX);
	buf_init(&m->value, BLOCK_VALUE_MAX);
	assert_int_equal(block_encode_key(&m->info, &m->key), ERR_OK);
	assert_int_equal(block_encode_value(&m->info, m->runs, first, n, &m->value), ERR_OK);
}

static void made_free(struct made *m)
{
	buf_fini(&m->key);
	buf_fini(&m->value);
	runs_free(m->runs);
}

/* The table of docs/formats/offset-runs.md: change both or neither. */
static void make_example(struct made *m)
{
	*m = (struct made){.info = {.topic = bytes_str("orders"),
				    .partition = 3,
				    .first_src = 1000,
				    .leader_epoch = 5,
				    .producer_id = 4002,
				    .producer_epoch = 1,
				    .src_end = 1400,
				    .dst_end = 1290}};
	for (size_t i = 0; i < 16; i++)
		m->info.topic_id.b[i] = (uint8_t)(0xa0 + i);
	m->runs = runs_new(4096);
	assert_int_equal(runs_append(m->runs, 10, 0, 900), ERR_OK);
	assert_int_equal(runs_append(m->runs, 1000, 900, 200), ERR_OK);
	assert_int_equal(runs_append(m->runs, 1201, 1100, 100), ERR_OK);
	assert_int_equal(runs_append(m->runs, 1310, 1205, 85), ERR_OK);
	encode(m, 1, 3);
}

static void test_known_bytes(void **state)
{
	(void)state;
	struct made m;
	make_example(&m);
	const uint8_t key[] = {1, 1, 0,    0, 0, 3,   0,   0,   0,   0,   0,
			       0, 3, 0xe8, 0, 6, 'o', 'r', 'd', 'e', 'r', 's'};
	const uint8_t value[] = {
		0xfe, 0xf2, 0x8f, 0x7a,                                     /* checksum */
		1,    0,    0,    3,                                        /* version, runs */
		0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7,             /* topic id */
		0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf, 0, 0, 0, 5, /* leader epoch */
		0,    1,                                                    /* producer epoch */
		0,    0,    0,    0,    0,    0,    0x0f, 0xa2,             /* producer id */
		0,    0,    0,    0,    0,    0,    0x05, 0x78,             /* source end */
		0,    0,    0,    0,    0,    0,    0x05, 0x0a,             /* target end */
		0,    0,    0,    0,    0,    0,    0,    10,               /* past: source */
		0,    0,    0,    0,    0,    0,    0,    0,                /* target */
		0,    0,    0,    0,    0,    0,    0x03, 0x8e,             /* source end */
		0,    0,    0,    0,    0,    0,    0x03, 0x84,             /* target end */
		0,    0,    0,    0,    0,    0,    0x03, 0x84,             /* records */
		0x00, 0xc8, 0x01, 0x02, 0x64, 0x13, 0x05, 0x55,             /* runs */
	};
	assert_int_equal(m.key.len, sizeof key);
	assert_memory_equal(m.key.p, key, sizeof key);
	if (m.value.len != sizeof value || memcmp(m.value.p, value, sizeof value) != 0)
		for (size_t i = 0; i < m.value.len; i++)
			printf("%02x%s", m.value.p[i], i % 16 == 15 ? "\n" : " ");
	assert_int_equal(m.value.len, sizeof value);
	assert_memory_equal(m.value.p, value, sizeof value);

	struct got g;
	assert_int_equal(decode(buf_bytes(&m.key), buf_bytes(&m.value), &g), ERR_OK);
	assert_int_equal(g.n, 3);
	assert_int_equal(g.runs[2].src, 1310);
	assert_int_equal(g.runs[2].dst, 1205);
	assert_int_equal(g.runs[2].n, 85);
	assert_int_equal(g.info.past.src_end, 910);
	assert_int_equal(g.info.past.n, 900);
	assert_int_equal(g.info.src_end, 1400);
	assert_true(uuid_eq(&g.info.topic_id, &m.info.topic_id));
	made_free(&m);
}

static void test_each_may_stop(void **state)
{
	(void)state;
	struct made m;
	make_example(&m);
	struct got g = {.stop_at = 1};
	struct errmsg why = {""};
	assert_int_equal(block_decode_key(buf_bytes(&m.key), &g.info, &why), ERR_OK);
	assert_int_equal(block_decode_value(buf_bytes(&m.value), &g.info, got_run, &g, &why),
			 ERR_LIMIT);
	assert_int_equal(g.n, 1);
	made_free(&m);
}

static void test_empty_tables(void **state)
{
	(void)state;
	struct made m = {.info = {.topic = bytes_str("t"),
				  .first_src = 50,
				  .leader_epoch = -1,
				  .producer_id = -1,
				  .producer_epoch = -1,
				  .src_end = 50,
				  .dst_end = -1}};
	struct got g;
	m.runs = runs_new(0);
	runs_advance_source(m.runs, 50); /* nothing of the target is known */
	encode(&m, 0, 0);
	assert_int_equal(decode(buf_bytes(&m.key), buf_bytes(&m.value), &g), ERR_OK);
	assert_int_equal(g.n, 0);
	assert_int_equal(g.info.past.src, -1);
	assert_int_equal(g.info.dst_end, -1);
	assert_int_equal(g.info.leader_epoch, -1);
	made_free(&m);

	m.runs = runs_new(0);
	assert_int_equal(runs_begin(m.runs, 50, 7), ERR_OK);
	m.info.dst_end = 7;
	encode(&m, 0, 0);
	assert_int_equal(decode(buf_bytes(&m.key), buf_bytes(&m.value), &g), ERR_OK);
	assert_int_equal(g.info.past.dst, 7);
	assert_int_equal(g.info.producer_id, -1);
	made_free(&m);
}

static void test_names(void **state)
{
	(void)state;
	char name[BLOCK_NAME_MAX + 2];
	memset(name, 'n', sizeof name);
	struct made m = {
		.info = {.topic = bytes_of(name, BLOCK_NAME_MAX), .src_end = 0, .dst_end = 0}};
	m.runs = runs_new(0);
	assert_int_equal(runs_begin(m.runs, 0, 0), ERR_OK);
	encode(&m, 0, 0);
	struct got g;
	assert_int_equal(decode(buf_bytes(&m.key), buf_bytes(&m.value), &g), ERR_OK);
	assert_int_equal(g.info.topic.n, BLOCK_NAME_MAX);
	struct bytes bad[] = {bytes_of(name, BLOCK_NAME_MAX + 1), bytes_of(name, 0), {NULL, 0}};
	for (size_t i = 0; i < 3; i++) {
		m.info.topic = bad[i];
		assert_int_equal(block_encode_key(&m.info, &m.key), ERR_LIMIT);
		assert_int_equal(block_encode_value(&m.info, m.runs, 0, 0, &m.value), ERR_LIMIT);
	}
	made_free(&m);
}

static void test_wrong_key(void **state)
{
	(void)state;
	struct made m;
	make_example(&m);
	struct got g;
	struct bytes value = buf_bytes(&m.value);
	for (size_t n = 0; n < m.key.len; n++)
		assert_int_not_equal(decode(bytes_of(m.key.p, n), value, &g), ERR_OK);
	/* A value under another block's key is not taken for its own. */
	for (size_t i = 0; i < m.key.len; i++)
		for (int bit = 0; bit < 8; bit++) {
			m.key.p[i] ^= (uint8_t)(1 << bit);
			assert_int_not_equal(decode(buf_bytes(&m.key), value, &g), ERR_OK);
			m.key.p[i] ^= (uint8_t)(1 << bit);
		}
	buf_put_u8(&m.key, 0);
	assert_int_equal(decode(buf_bytes(&m.key), value, &g), ERR_MALFORMED);
	assert_int_equal(decode((struct bytes){0}, value, &g), ERR_MALFORMED);
	made_free(&m);
}

static void reseal(struct made *m)
{
	be32_put(m->value.p,
		 crc32c(crc32c(0, m->key.p, m->key.len), m->value.p + 4, m->value.len - 4));
}

/* What a decoder gives is a table, whatever the bytes were. */
static void check_is_table(const struct got *g)
{
	struct runs *r = runs_new(1 << 20);
	if (g->info.past.src >= 0)
		assert_int_equal(runs_restore(r, &g->info.past), ERR_OK);
	for (size_t i = 0; i < g->n; i++)
		assert_int_equal(runs_append(r, g->runs[i].src, g->runs[i].dst, g->runs[i].n),
				 ERR_OK);
	assert_true(g->info.src_end >= runs_src_end(r) && g->info.dst_end >= runs_dst_end(r));
	runs_free(r);
}

static void test_damaged_value(void **state)
{
	(void)state;
	struct made m;
	make_example(&m);
	struct got g;
	struct bytes key = buf_bytes(&m.key);
	for (size_t n = 0; n < m.value.len; n++)
		assert_int_not_equal(decode(key, bytes_of(m.value.p, n), &g), ERR_OK);
	int valid = 0;
	for (size_t i = 0; i < m.value.len; i++)
		for (int bit = 0; bit < 8; bit++) {
			m.value.p[i] ^= (uint8_t)(1 << bit);
			assert_int_equal(decode(key, buf_bytes(&m.value), &g), ERR_CORRUPT);
			reseal(&m); /* as if it had been written so */
			if (decode(key, buf_bytes(&m.value), &g) == ERR_OK) {
				check_is_table(&g);
				valid++;
			}
			m.value.p[i] ^= (uint8_t)(1 << bit);
			reseal(&m);
		}
	assert_true(valid > 100); /* ids, epochs, numbers that are as good as others */
	assert_int_equal(decode(key, (struct bytes){0}, &g), ERR_MALFORMED);
	buf_fini(&m.value);
	buf_init(&m.value, 1 << 20);
	made_free(&m);
}

/* Each rule of validity, by one value that breaks only it. */
static void test_rules(void **state)
{
	(void)state;
	const struct {
		size_t at;
		size_t n;
		uint8_t bytes[10];
		enum err err;
	} cases[] = {
		{4, 1, {2}, ERR_UNSUPPORTED},  /* a newer version */
		{4, 1, {0}, ERR_MALFORMED},    /* no such version */
		{5, 1, {1}, ERR_MALFORMED},    /* not zero */
		{6, 2, {0, 4}, ERR_MALFORMED}, /* more runs than there are */
		{6, 2, {0, 2}, ERR_MALFORMED}, /* fewer */
		{6, 2, {2, 1}, ERR_MALFORMED}, /* 513 */
		{38,
		 8,
		 {0, 0, 0, 0, 0, 0, 0x05, 0x72},
		 ERR_MALFORMED}, /* source end in the last run */
		{46,
		 8,
		 {0, 0, 0, 0, 0, 0, 0x05, 0x09},
		 ERR_MALFORMED}, /* target end in the last run */
		{54,
		 8,
		 {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		 ERR_MALFORMED}, /* half a past */
		{86,
		 8,
		 {0, 0, 0, 0, 0, 0, 0x03, 0x85},
		 ERR_MALFORMED}, /* more records than offsets */
		{86, 8, {0xff, 0, 0, 0, 0, 0, 0, 0}, ERR_MALFORMED},
		{94, 1, {1}, ERR_MALFORMED},     /* odd: another number is read, bytes are left */
		{96, 1, {0x81}, ERR_MALFORMED},  /* a number not in its shortest form */
		{101, 1, {0}, ERR_MALFORMED},    /* a run of no records */
		{101, 1, {0xd5}, ERR_MALFORMED}, /* a number that does not end */
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct made m;
		make_example(&m);
		memcpy(m.value.p + cases[i].at, cases[i].bytes, cases[i].n);
		reseal(&m);
		struct got g;
		enum err e = decode(buf_bytes(&m.key), buf_bytes(&m.value), &g);
		if (e != cases[i].err)
			printf("case %zu: %s\n", i, err_name(e));
		assert_int_equal(e, cases[i].err);
		made_free(&m);
	}
}

/* Runs that end at or beyond the largest offset. */
static void test_overflow(void **state)
{
	(void)state;
	struct made m = {
		.info = {.topic = bytes_str("t"), .src_end = INT64_MAX, .dst_end = INT64_MAX}};
	m.runs = runs_new(0);
	assert_int_equal(runs_append(m.runs, 0, 0, 5), ERR_OK);
	assert_int_equal(runs_append(m.runs, INT64_MAX - 3, INT64_MAX - 2, 2), ERR_OK);
	runs_advance_source(m.runs, INT64_MAX);
	encode(&m, 0, 2);
	struct got g;
	assert_int_equal(decode(buf_bytes(&m.key), buf_bytes(&m.value), &g), ERR_OK);
	assert_int_equal(g.runs[1].src, INT64_MAX - 3);
	assert_int_equal(g.runs[1].n, 2);
	m.value.p[m.value.len - 1] = 3;
	reseal(&m);
	assert_int_equal(decode(buf_bytes(&m.key), buf_bytes(&m.value), &g), ERR_MALFORMED);

	/* The largest gaps that can be written, in the source and in the target. */
	const uint8_t src_gap[] = {0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1};
	const uint8_t dst_gap[] = {3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 1};
	m.value.len = 94 + 2; /* the first run */
	buf_put(&m.value, src_gap, sizeof src_gap);
	reseal(&m);
	assert_int_equal(decode(buf_bytes(&m.key), buf_bytes(&m.value), &g), ERR_MALFORMED);
	m.value.len = 94 + 2;
	buf_put(&m.value, dst_gap, sizeof dst_gap);
	reseal(&m);
	assert_int_equal(decode(buf_bytes(&m.key), buf_bytes(&m.value), &g), ERR_MALFORMED);
	made_free(&m);
}

/* A block whose first runs were pruned begins at its past's end, not at its key's offset. */
static void test_pruned_front(void **state)
{
	(void)state;
	struct made m;
	make_example(&m);
	buf_fini(&m.key);
	buf_fini(&m.value);
	runs_prune_below(m.runs, 1210); /* 1000..1199 of the block are gone */
	encode(&m, 0, 2);
	struct got g;
	assert_int_equal(decode(buf_bytes(&m.key), buf_bytes(&m.value), &g), ERR_OK);
	assert_int_equal(g.info.first_src, 1000);
	assert_int_equal(g.info.past.src_end, 1200);
	assert_int_equal(g.runs[0].src, 1201);
	assert_int_equal(m.value.p[94], 2); /* source gap 1, doubled */
	made_free(&m);
}

static void test_random_round_trips(void **state)
{
	(void)state;
	struct rng g = {rng_seed("block round trips")};
	for (int64_t round = 0; round < rng_scale(4000); round++) {
		struct made m = {.runs = runs_new(1 << 20)};
		m.info.topic = bytes_str("a-topic");
		m.info.partition = (int32_t)rng_in(&g, 0, INT32_MAX);
		int64_t gap = rng_one_in(&g, 3) ? (int64_t)1 << rng_in(&g, 0, 51) : 2;
		for (int64_t n = rng_in(&g, 1, 900); n > 0; n--) {
			int64_t src = runs_src_end(m.runs) + rng_in(&g, 1, gap);
			int64_t dst =
				runs_dst_end(m.runs) + (rng_one_in(&g, 2) ? rng_in(&g, 1, gap) : 0);
			assert_int_equal(
				runs_append(m.runs, src, dst < 0 ? 0 : dst, rng_in(&g, 1, gap)),
				ERR_OK);
		}
		size_t count = runs_count(m.runs);
		size_t first = (size_t)rng_in(&g, 0, (int64_t)count - 1);
		size_t n = (size_t)rng_in(&g, 0, (int64_t)(count - first));
		n = n > BLOCK_RUNS_MAX ? BLOCK_RUNS_MAX : n;
		m.info.first_src = runs_at(m.runs, first).src;
		m.info.src_end = runs_src_end(m.runs);
		m.info.dst_end = runs_dst_end(m.runs);
		encode(&m, first, n);
		struct got got;
		assert_int_equal(decode(buf_bytes(&m.key), buf_bytes(&m.value), &got), ERR_OK);
		assert_int_equal(got.n, n);
		for (size_t i = 0; i < n; i++) {
			struct run run = runs_at(m.runs, first + i);
			assert_memory_equal(&got.runs[i], &run, sizeof run);
		}
		struct runs_past past;
		runs_past_at(m.runs, first, &past);
		assert_memory_equal(&got.info.past, &past, sizeof past);
		made_free(&m);
	}
}

static void test_link(void **state)
{
	(void)state;
	const char *members[] = {"", "mirror-2"};
	for (size_t i = 0; i < 2; i++) {
		struct block_link link = {bytes_str(members[i]), 77, 3};
		struct buf key, value;
		buf_init(&key, BLOCK_KEY_MAX);
		buf_init(&value, 64);
		assert_int_equal(block_encode_link(&link, &key, &value), ERR_OK);
		enum block_kind kind;
		struct errmsg why = {""};
		assert_int_equal(block_key_kind(buf_bytes(&key), &kind, &why), ERR_OK);
		assert_int_equal(kind, BLOCK_LINK);
		struct block_link got;
		assert_int_equal(block_decode_link_key(buf_bytes(&key), &got, &why), ERR_OK);
		assert_int_equal(block_decode_link_value(buf_bytes(&value), &got, &why), ERR_OK);
		assert_int_equal(got.producer_id, 77);
		assert_int_equal(got.producer_epoch, 3);
		assert_true(bytes_eq(got.member, link.member));
		for (size_t n = 0; n < key.len; n++)
			assert_int_not_equal(block_decode_link_key(bytes_of(key.p, n), &got, &why),
					     ERR_OK);
		assert_int_equal(block_decode_link_key(buf_bytes(&key), &got, &why), ERR_OK);
		for (size_t n = 0; n < value.len; n++) {
			assert_int_not_equal(
				block_decode_link_value(bytes_of(value.p, n), &got, &why), ERR_OK);
			value.p[n] ^= 1;
			assert_int_equal(block_decode_link_value(buf_bytes(&value), &got, &why),
					 ERR_CORRUPT);
			value.p[n] ^= 1;
		}
		buf_fini(&key);
		buf_fini(&value);
	}
}

static void test_kinds(void **state)
{
	(void)state;
	enum block_kind kind;
	struct errmsg why;
	const uint8_t newer[] = {2, 1, 0};
	const uint8_t other[] = {1, 2, 0};
	const uint8_t zero[] = {0, 0};
	assert_int_equal(block_key_kind(bytes_of(newer, 3), &kind, &why), ERR_UNSUPPORTED);
	assert_int_equal(block_key_kind(bytes_of(other, 3), &kind, &why), ERR_UNSUPPORTED);
	assert_int_equal(block_key_kind(bytes_of(zero, 2), &kind, &why), ERR_MALFORMED);
	assert_int_equal(block_key_kind(bytes_of(newer, 1), &kind, &why), ERR_MALFORMED);
	assert_int_equal(block_key_kind((struct bytes){0}, &kind, &why), ERR_MALFORMED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_bytes),  cmocka_unit_test(test_each_may_stop),
		cmocka_unit_test(test_empty_tables), cmocka_unit_test(test_names),
		cmocka_unit_test(test_wrong_key),    cmocka_unit_test(test_damaged_value),
		cmocka_unit_test(test_rules),        cmocka_unit_test(test_overflow),
		cmocka_unit_test(test_pruned_front), cmocka_unit_test(test_random_round_trips),
		cmocka_unit_test(test_link),         cmocka_unit_test(test_kinds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
