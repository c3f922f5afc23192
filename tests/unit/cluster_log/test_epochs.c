/* SPDX-License-Identifier: Apache-2.0 */
/* The leader epochs by LeaderEpochFileCache's rules, held to a plain model; its file. */
#include "cluster/log/epochs.h"
#include "tests/unit/base/unit.h"
#include "tests/unit/rng.h"

static void put(struct epochs *e, int32_t epoch, int64_t start)
{
	bool changed;
	assert_int_equal(epochs_assign(e, epoch, start, &changed), ERR_OK);
}

static void expect_end(const struct epochs *e, int32_t epoch, int32_t found, int64_t end)
{
	int32_t got;
	int64_t got_end;
	epochs_end_for(e, epoch, 500, &got, &got_end);
	assert_int_equal(got, found);
	assert_int_equal(got_end, end);
}

static void test_lookups(void **state)
{
	(void)state;
	struct epochs e;
	epochs_init(&e);
	assert_int_equal(epochs_latest(&e), -1);
	assert_int_equal(epochs_at(&e, 0), -1);
	expect_end(&e, 0, -1, -1);
	expect_end(&e, -1, -1, -1);
	put(&e, 2, 10);
	put(&e, 3, 20);
	put(&e, 7, 100);
	expect_end(&e, -1, -1, -1);
	expect_end(&e, 1, 1, 10); /* older than all: itself, and where the log begins */
	expect_end(&e, 2, 2, 20);
	expect_end(&e, 3, 3, 100);
	expect_end(&e, 5, 3, 100); /* between: the one before */
	expect_end(&e, 7, 7, 500);
	expect_end(&e, 8, -1, -1); /* not known yet */
	assert_int_equal(epochs_at(&e, 9), -1);
	assert_int_equal(epochs_at(&e, 10), 2);
	assert_int_equal(epochs_at(&e, 19), 2);
	assert_int_equal(epochs_at(&e, 20), 3);
	assert_int_equal(epochs_at(&e, INT64_MAX), 7);
	epochs_fini(&e);
}

static void test_assign(void **state)
{
	(void)state;
	struct epochs e;
	bool changed;
	epochs_init(&e);
	assert_int_equal(epochs_assign(&e, 0, 0, &changed), ERR_OK);
	assert_true(changed);
	assert_int_equal(epochs_assign(&e, 0, 50, &changed), ERR_OK);
	assert_false(changed);
	put(&e, 4, 60);
	put(&e, 5, 60); /* nothing was written in 4 */
	assert_int_equal(e.n, 2);
	assert_int_equal(epochs_latest(&e), 5);
	put(&e, 3, 70); /* contradicts 5 */
	assert_int_equal(e.n, 2);
	assert_int_equal(epochs_at(&e, 65), 0);
	put(&e, 3, 30); /* earlier than known */
	assert_int_equal(e.n, 2);
	assert_int_equal(epochs_at(&e, 30), 3);
	put(&e, 9, 0);
	assert_int_equal(e.n, 1);
	epochs_fini(&e);
}

static void test_truncate(void **state)
{
	(void)state;
	struct epochs e;
	epochs_init(&e);
	put(&e, 0, 0);
	put(&e, 1, 10);
	put(&e, 2, 20);
	assert_false(epochs_truncate_end(&e, 21));
	assert_true(epochs_truncate_end(&e, 20));
	assert_int_equal(epochs_latest(&e), 1);
	assert_false(epochs_truncate_start(&e, 0));
	assert_true(epochs_truncate_start(&e, 5));
	assert_int_equal(e.n, 2);
	assert_int_equal(e.v[0].start, 5);
	assert_true(epochs_truncate_start(&e, 10));
	assert_int_equal(e.n, 1);
	assert_false(epochs_truncate_start(&e, 10));
	assert_true(epochs_truncate_start(&e, 99));
	assert_int_equal(e.v[0].epoch, 1);
	assert_int_equal(e.v[0].start, 99);
	assert_true(epochs_truncate_end(&e, 0));
	assert_int_equal(e.n, 0);
	assert_false(epochs_truncate_start(&e, 3));
	epochs_fini(&e);
}

/* The model: the epoch of each offset, written one by one. */
enum { OFFSETS = 200 };

static void check_model(const struct epochs *e, const int32_t *epoch, int64_t start, int64_t end)
{
	for (int64_t o = start; o < end; o++)
		assert_int_equal(epochs_at(e, o), epoch[o]);
	for (size_t i = 1; i < e->n; i++)
		assert_true(e->v[i - 1].epoch < e->v[i].epoch && e->v[i - 1].start < e->v[i].start);
	for (int32_t asked = 0; e->n > 0 && asked <= epochs_latest(e); asked++) {
		int32_t found;
		int64_t at;
		epochs_end_for(e, asked, end, &found, &at);
		int64_t expect = start;
		while (expect < end && epoch[expect] <= asked)
			expect++;
		assert_int_equal(at, expect);
	}
}

static void test_random(void **state)
{
	(void)state;
	struct rng g = {rng_seed("epochs")};
	for (int64_t run = rng_scale(400); run > 0; run--) {
		struct epochs e;
		int32_t epoch[OFFSETS], now = 0;
		int64_t start = 0, end = 0;
		epochs_init(&e);
		for (int step = 0; step < 150 && end < OFFSETS; step++) {
			int64_t act = rng_in(&g, 0, 9);
			if (act == 0) {
				now += (int32_t)rng_in(&g, 1, 3);
			} else if (act == 1 && end > start) {
				end = rng_in(&g, start, end);
				epochs_truncate_end(&e, end);
				now++; /* a new leader writes on */
			} else if (act == 2 && end > start) {
				start = rng_in(&g, start, end - 1);
				epochs_truncate_start(&e, start);
			} else {
				put(&e, now, end);
				epoch[end++] = now;
			}
			check_model(&e, epoch, start, end);
		}
		/* And through the file. */
		struct buf file;
		struct epochs back;
		buf_init(&file, 1 << 16);
		epochs_init(&back);
		epochs_encode(&e, &file);
		assert_int_equal(epochs_decode(&back, buf_bytes(&file), NULL), ERR_OK);
		assert_int_equal(back.n, e.n);
		for (size_t i = 0; i < e.n; i++) {
			assert_int_equal(back.v[i].epoch, e.v[i].epoch);
			assert_int_equal(back.v[i].start, e.v[i].start);
		}
		epochs_fini(&back);
		buf_fini(&file);
		epochs_fini(&e);
	}
}

static void test_file(void **state)
{
	(void)state;
	struct epochs e;
	struct errmsg why;
	epochs_init(&e);
	assert_int_equal(epochs_decode(&e, bytes_str("0\n2\n0 0\n3 1042\n"), &why), ERR_OK);
	assert_int_equal(e.n, 2);
	assert_int_equal(e.v[1].start, 1042);
	assert_int_equal(epochs_decode(&e, bytes_str(""), &why), ERR_OK);
	assert_int_equal(e.n, 0);
	assert_int_equal(epochs_decode(&e, bytes_str("0\r\n1\r\n5 6\r\n"), &why), ERR_OK);
	assert_int_equal(e.n, 1);
	assert_int_equal(epochs_decode(&e, bytes_str("1\n0\n"), &why), ERR_UNSUPPORTED);
	const char *bad[] = {
		"0\n1\n",
		"0\n1\n1 2\n3 4\n",
		"0\n2\n1 2\n",
		"0\n1\n1\n",
		"0\n1\n1 2 3\n",
		"0\n1\nx 2\n",
		"0\n1\n-1 2\n",
		"0\n1\n1 -2\n",
		"0\n1\n2147483648 2\n",
		"0\n1\n1 9223372036854775808\n",
		"0\n-1\n",
		"0\nx\n",
		"x",
		"0\n1\n\n",
		"0\n999\n1 1\n",
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(epochs_decode(&e, bytes_str(bad[i]), &why), ERR_MALFORMED);
		assert_int_equal(e.n, 0);
	}
	epochs_fini(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lookups),  cmocka_unit_test(test_assign),
		cmocka_unit_test(test_truncate), cmocka_unit_test(test_random),
		cmocka_unit_test(test_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
