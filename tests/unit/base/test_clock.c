/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/base/unit.h"

#include <limits.h>

#include "lib/base/clock.h"

static uint64_t next_random(void *ctx)
{
	uint64_t *v = ctx;
	return *v;
}

static int64_t no_time(void *ctx)
{
	(void)ctx;
	return 0;
}

static int64_t backoff(uint64_t random, unsigned attempt, int64_t floor, int64_t cap)
{
	const struct clock c = {no_time, no_time, next_random, &random};
	return clock_backoff_ms(&c, attempt, floor, cap);
}

static void doubles_up_to_the_cap(void **state)
{
	(void)state;
	/* The window of attempt n is [50, 100 * 2^n]: its last value comes from a random number
	 * that is the window's size less one. */
	for (unsigned n = 0; n < 7; n++) {
		int64_t w = 100 << n;
		assert_int_equal(backoff((uint64_t)(w - 50), n, 100, 10000), w);
		assert_int_equal(backoff((uint64_t)(w - 50 + 1), n, 100, 10000), 50);
		assert_int_equal(backoff(0, n, 100, 10000), 50);
	}
	assert_int_equal(backoff(9950, 7, 100, 10000), 10000);
	assert_int_equal(backoff(9950, 1000, 100, 10000), 10000);
}

static void odd_limits_are_safe(void **state)
{
	(void)state;
	/* No doubling without end, no overflow. */
	int64_t from = clock_mono_ms(clock_system());
	for (int i = 0; i < 100; i++)
		assert_int_equal(backoff(5, UINT_MAX, 0, 1000), 0);
	assert_true(clock_mono_ms(clock_system()) - from < 1000);
	assert_int_equal(backoff(0, UINT_MAX, 100, 50), 50);
	assert_int_equal(backoff(7, 3, 0, 0), 0);
	int64_t v = backoff(UINT64_MAX, UINT_MAX, 1000, INT64_MAX);
	assert_true(v >= 500);
	for (unsigned n = 0; n < 100; n++) {
		v = backoff(0x123456789abcdefULL * n, n, 1, INT64_MAX / 2 + 1);
		assert_true(v >= 0);
	}
}

static void the_system_clock(void **state)
{
	(void)state;
	const struct clock *c = clock_system();
	int64_t a = clock_mono_ms(c), b = clock_mono_ms(c);
	assert_true(b >= a);
	/* 2020-01-01: a wall clock, not the monotonic one. */
	assert_true(clock_wall_ms(c) > 1577836800000);
	uint64_t r = c->random(c->ctx);
	bool differs = false;
	for (int i = 0; i < 8; i++)
		differs = differs || c->random(c->ctx) != r;
	assert_true(differs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(doubles_up_to_the_cap),
		cmocka_unit_test(odd_limits_are_safe),
		cmocka_unit_test(the_system_clock),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
