/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/base/unit.h"

#include <stdalign.h>

#include "lib/base/arena.h"
#include "tests/unit/base/fail_alloc.h"

static void items_are_zeroed_aligned_and_apart(void **state)
{
	(void)state;
	struct arena a;
	uint8_t *items[500];
	arena_init(&a, 1 << 20);
	for (size_t i = 0; i < 500; i++) {
		items[i] = arena_zalloc(&a, 1, i);
		assert_non_null(items[i]);
		assert_int_equal((uintptr_t)items[i] % alignof(max_align_t), 0);
		for (size_t k = 0; k < i; k++)
			assert_int_equal(items[i][k], 0);
		memset(items[i], (int)i, i);
	}
	for (size_t i = 0; i < 500; i++)
		for (size_t k = 0; k < i; k++)
			assert_int_equal(items[i][k], (uint8_t)i);
	arena_fini(&a);
}

static void the_maximum_holds(void **state)
{
	(void)state;
	struct arena a;
	arena_init(&a, 10 * 1000);
	size_t got = 0;
	while (arena_zalloc(&a, 1, 100) != NULL)
		got += 100;
	assert_in_range(got, 5000, 10 * 1000);
	assert_true(a.used <= 10 * 1000);
	assert_null(arena_zalloc(&a, 1, 9000));
	arena_fini(&a);
	assert_non_null(arena_zalloc(&a, 1, 9000));
	arena_fini(&a);
}

static void sizes_that_overflow_are_refused(void **state)
{
	(void)state;
	struct arena a;
	arena_init(&a, SIZE_MAX);
	assert_null(arena_zalloc(&a, SIZE_MAX / 2, 3));
	assert_null(arena_zalloc(&a, SIZE_MAX, 1));
	assert_null(arena_zalloc(&a, 1, SIZE_MAX - 64));
	/* The block's own head must not wrap the size around. */
	assert_null(arena_zalloc(&a, SIZE_MAX / 16 - 1, 16));
	assert_non_null(arena_zalloc(&a, 0, 16));
	arena_fini(&a);
}

static void large_items_beside_small_ones(void **state)
{
	(void)state;
	struct arena a;
	arena_init(&a, 10 << 20);
	char *small = arena_strndup(&a, bytes_str("small"));
	uint8_t *large = arena_zalloc(&a, 3 << 20, 1);
	char *after = arena_strndup(&a, bytes_str("after"));
	memset(large, 0xff, 3 << 20);
	assert_string_equal(small, "small");
	assert_string_equal(after, "after");
	arena_fini(&a);
}

static void strings(void **state)
{
	(void)state;
	struct arena a;
	arena_init(&a, 4096);
	assert_string_equal(arena_strndup(&a, (struct bytes){0}), "");
	assert_memory_equal(arena_strndup(&a, bytes_of("a\0b", 3)), "a\0b", 4);
	arena_fini(&a);
}

static void wipe_overwrites_and_keeps_the_memory(void **state)
{
	(void)state;
	struct arena a;
	arena_init(&a, 1 << 20);
	char *first = arena_strndup(&a, bytes_str("secret"));
	arena_zalloc(&a, 1, 100000);
	char *second = arena_strndup(&a, bytes_str("another"));
	arena_wipe(&a);
	for (int i = 0; i < 6; i++)
		assert_int_equal(first[i], 0);
	for (int i = 0; i < 7; i++)
		assert_int_equal(second[i], 0);
	arena_fini(&a);
}

static void out_of_memory_leaves_the_arena_usable(void **state)
{
	(void)state;
	struct arena a;
	arena_init(&a, 1 << 20);
	fail_alloc_at(1);
	assert_null(arena_zalloc(&a, 1, 10));
	assert_true(fail_alloc_off());
	char *s = arena_strndup(&a, bytes_str("x"));
	fail_alloc_at(1);
	assert_null(arena_zalloc(&a, 1, 100000));
	assert_true(fail_alloc_off());
	assert_string_equal(s, "x");
	assert_non_null(arena_zalloc(&a, 1, 100000));
	arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(items_are_zeroed_aligned_and_apart),
		cmocka_unit_test(the_maximum_holds),
		cmocka_unit_test(sizes_that_overflow_are_refused),
		cmocka_unit_test(large_items_beside_small_ones),
		cmocka_unit_test(strings),
		cmocka_unit_test(wipe_overwrites_and_keeps_the_memory),
		cmocka_unit_test(out_of_memory_leaves_the_arena_usable),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
