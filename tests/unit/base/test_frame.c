/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/base/unit.h"

#include "lib/base/frame.h"
#include "tests/unit/base/fail_alloc.h"

static void count_free(void *arg, size_t n)
{
	*(size_t *)arg += n;
}

static void the_last_reference_frees(void **state)
{
	(void)state;
	size_t freed = 0;
	struct frame *f = frame_new(100);
	f->on_free = count_free;
	f->arg = &freed;
	memset(f->data, 1, 100);
	assert_int_equal(f->n, 100);
	assert_ptr_equal(frame_ref(f), f);
	frame_ref(f);
	frame_unref(f);
	frame_unref(f);
	assert_int_equal(freed, 0);
	frame_unref(f);
	assert_int_equal(freed, 100);
}

static void null_and_empty(void **state)
{
	(void)state;
	frame_unref(NULL);
	struct frame *f = frame_new(0);
	assert_non_null(f);
	frame_unref(f);
}

static void sizes_that_cannot_be(void **state)
{
	(void)state;
	assert_null(frame_new(SIZE_MAX));
	assert_null(frame_new(SIZE_MAX - sizeof(struct frame) + 1));
	fail_alloc_at(1);
	assert_null(frame_new(10));
	assert_true(fail_alloc_off());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_reference_frees),
		cmocka_unit_test(null_and_empty),
		cmocka_unit_test(sizes_that_cannot_be),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
