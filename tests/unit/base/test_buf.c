/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/base/unit.h"

#include "lib/base/buf.h"
#include "tests/unit/base/fail_alloc.h"

static void numbers_are_big_endian(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 100);
	buf_put_u8(&b, 0x01);
	buf_put_be16(&b, 0x0203);
	buf_put_be32(&b, 0x04050607);
	buf_put_be64(&b, 0x08090a0b0c0d0e0fULL);
	assert_int_equal(b.err, ERR_OK);
	assert_int_equal(b.len, 15);
	for (uint8_t i = 0; i < 15; i++)
		assert_int_equal(b.p[i], i + 1);
	assert_int_equal(be16_get(b.p + 1), 0x0203);
	assert_int_equal(be32_get(b.p + 3), 0x04050607);
	assert_true(be64_get(b.p + 7) == 0x08090a0b0c0d0e0fULL);
	buf_fini(&b);
}

static void the_maximum_can_be_filled_and_not_passed(void **state)
{
	(void)state;
	for (size_t max = 0; max < 300; max++) {
		struct buf b;
		buf_init(&b, max);
		for (size_t i = 0; i < max; i++)
			buf_put_u8(&b, (uint8_t)i);
		assert_int_equal(b.err, ERR_OK);
		buf_put_u8(&b, 0);
		assert_int_equal(b.err, ERR_LIMIT);
		assert_int_equal(b.len, max);
		assert_true(b.cap <= max);
		buf_fini(&b);
	}
}

static void an_error_sticks_until_clear(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 8);
	buf_put_str(&b, "1234");
	buf_put_str(&b, "56789");
	assert_int_equal(b.err, ERR_LIMIT);
	buf_put_u8(&b, 'x');
	buf_printf(&b, "%d", 1);
	assert_null(buf_extend(&b, 1));
	assert_int_equal(b.len, 4);
	assert_true(bytes_eq_str(buf_bytes(&b), "1234"));
	buf_clear(&b);
	buf_put_str(&b, "12345678");
	assert_int_equal(b.err, ERR_OK);
	buf_fini(&b);
}

static void formatted_text_up_to_the_last_byte(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 10);
	buf_printf(&b, "%s", "");
	buf_printf(&b, "%05d", 42);
	buf_printf(&b, "%s", "67890");
	assert_int_equal(b.err, ERR_OK);
	assert_true(bytes_eq_str(buf_bytes(&b), "0004267890"));
	buf_printf(&b, "%s", "");
	assert_int_equal(b.err, ERR_OK);
	buf_printf(&b, "%c", 'x');
	assert_int_equal(b.err, ERR_LIMIT);
	buf_fini(&b);
}

static void huge_sizes_do_not_wrap(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, SIZE_MAX);
	buf_put_str(&b, "abc");
	assert_null(buf_extend(&b, SIZE_MAX));
	assert_int_equal(b.err, ERR_LIMIT);
	buf_clear(&b);
	buf_put_str(&b, "abc");
	assert_null(buf_extend(&b, SIZE_MAX - 3));
	assert_int_equal(b.err, ERR_NOMEM);
	assert_int_equal(b.len, 3);
	buf_fini(&b);
}

static void out_of_memory_sticks_and_keeps_the_content(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 1 << 20);
	buf_put_str(&b, "kept");
	fail_alloc_at(1);
	assert_null(buf_extend(&b, 1000));
	assert_true(fail_alloc_off());
	assert_int_equal(b.err, ERR_NOMEM);
	buf_put_str(&b, "more");
	assert_true(bytes_eq_str(buf_bytes(&b), "kept"));
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_big_endian),
		cmocka_unit_test(the_maximum_can_be_filled_and_not_passed),
		cmocka_unit_test(an_error_sticks_until_clear),
		cmocka_unit_test(formatted_text_up_to_the_last_byte),
		cmocka_unit_test(huge_sizes_do_not_wrap),
		cmocka_unit_test(out_of_memory_sticks_and_keeps_the_content),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
