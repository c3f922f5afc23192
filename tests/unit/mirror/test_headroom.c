/* SPDX-License-Identifier: Apache-2.0 */
/* How near retention is, from rates; when to warn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "mirror/link/headroom.h"

static void rates(void **state)
{
	(void)state;
	struct headroom h = {.known = false};
	/* The start moves 100 a second, the copy 20: 80 nearer, 8 000 are left. */
	assert_true(headroom_update(&h, 1000, 0, 8000) < 0);
	assert_true(headroom_update(&h, 2000, 100, 8020) < 0); /* too short a look */
	assert_float_equal(headroom_update(&h, 6000, 500, 8100), 95, 0.01);
	/* The copy is the faster one. */
	assert_true(headroom_update(&h, 7000, 500, 9000) < 0);
	/* Overtaken. */
	assert_float_equal(headroom_update(&h, 8000, 9500, 9000), 0, 0);
}

static void a_standing_copy(void **state)
{
	(void)state;
	struct headroom h = {.known = false};
	double s = -1;
	/* Whole segments go, once a minute: 6 000 each; 60 000 are left, 600 s. */
	for (int64_t t = 0; t <= 20 * 60; t++)
		s = headroom_update(&h, t * 1000, t / 60 * 6000, 180000);
	assert_true(s > 500 && s < 700);
	/* Retention stands still from now on: no danger after two windows. */
	for (int64_t t = 20 * 60; t <= 31 * 60; t++)
		s = headroom_update(&h, t * 1000, 120000, 180000);
	assert_true(s < 0);
}

static void another_log(void **state)
{
	(void)state;
	struct headroom h = {.known = false};
	headroom_update(&h, 0, 1000, 2000);
	assert_true(headroom_update(&h, 10000, 1500, 2000) > 0);
	assert_true(headroom_update(&h, 20000, 0, 2000) < 0);
	assert_true(headroom_update(&h, 30000, 100, 2000) > 0);
	assert_true(headroom_update(&h, 30000, -1, 2000) < 0); /* not known */
	assert_true(headroom_update(&h, 40000, 100, 2000) < 0);
}

static void warnings(void **state)
{
	(void)state;
	struct headroom h = {.known = false};
	assert_false(headroom_warn(&h, 0, -1, 600));
	assert_false(headroom_warn(&h, 0, 601, 600));
	assert_true(headroom_warn(&h, 1000, 600, 600));
	assert_false(headroom_warn(&h, 2000, 300, 600));
	assert_false(headroom_warn(&h, 3000, 700, 600));
	assert_false(headroom_warn(&h, 4000, 500, 600));  /* it wavers */
	assert_true(headroom_warn(&h, 302000, 500, 600)); /* five minutes later */
	assert_false(headroom_warn(&h, 303000, 1300, 600));
	assert_true(headroom_warn(&h, 304000, 0, 600));
	headroom_clear(&h);
	assert_true(headroom_warn(&h, 305000, 0, 600));
	assert_false(headroom_warn(&h, 306000, 0, 0)); /* switched off */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rates),
		cmocka_unit_test(a_standing_copy),
		cmocka_unit_test(another_log),
		cmocka_unit_test(warnings),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
