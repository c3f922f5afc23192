/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/base/unit.h"

#include "lib/base/mem.h"
#include "tests/unit/base/fail_alloc.h"

static void zero_bytes_give_a_pointer(void **state)
{
	(void)state;
	void *a = mem_alloc(0), *b = mem_zalloc(0, 8), *c = mem_zalloc(8, 0);
	assert_non_null(a);
	assert_non_null(b);
	assert_non_null(c);
	a = mem_resize(a, 0, 4);
	assert_non_null(a);
	mem_free(a);
	mem_free(b);
	mem_free(c);
	mem_free(NULL);
}

static void products_that_overflow_are_refused(void **state)
{
	(void)state;
	assert_null(mem_zalloc(SIZE_MAX / 2, 3));
	assert_null(mem_zalloc(3, SIZE_MAX / 2));
	char *p = mem_strdup("kept");
	assert_null(mem_resize(p, SIZE_MAX / 4, 5));
	assert_string_equal(p, "kept");
	mem_free(p);
}

static void zalloc_zeroes_and_resize_keeps(void **state)
{
	(void)state;
	uint8_t *p = mem_zalloc(100, 3);
	for (size_t i = 0; i < 300; i++)
		assert_int_equal(p[i], 0);
	memset(p, 7, 300);
	p = mem_resize(p, 1000, 3);
	for (size_t i = 0; i < 300; i++)
		assert_int_equal(p[i], 7);
	mem_free(p);
}

static void copies_of_text(void **state)
{
	(void)state;
	char *a = mem_strdup("topic"), *b = mem_strndup(bytes_of("topic", 3));
	char *c = mem_strndup((struct bytes){0}), *d = mem_strndup(bytes_of("a\0b", 3));
	assert_string_equal(a, "topic");
	assert_string_equal(b, "top");
	assert_string_equal(c, "");
	assert_memory_equal(d, "a\0b", 4);
	mem_free(a);
	mem_free(b);
	mem_free(c);
	mem_free(d);
}

static void out_of_memory_is_null(void **state)
{
	(void)state;
	char *kept = mem_strdup("kept");
	fail_alloc_at(1);
	assert_null(mem_alloc(1));
	fail_alloc_at(1);
	assert_null(mem_zalloc(1, 1));
	fail_alloc_at(1);
	assert_null(mem_strdup("x"));
	fail_alloc_at(1);
	assert_null(mem_resize(kept, 100, 1));
	assert_true(fail_alloc_off());
	assert_string_equal(kept, "kept");
	mem_free(kept);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(zero_bytes_give_a_pointer),
		cmocka_unit_test(products_that_overflow_are_refused),
		cmocka_unit_test(zalloc_zeroes_and_resize_keeps),
		cmocka_unit_test(copies_of_text),
		cmocka_unit_test(out_of_memory_is_null),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
