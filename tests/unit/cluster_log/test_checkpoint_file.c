/* SPDX-License-Identifier: Apache-2.0 */
/* Offset checkpoints: round trips, what Kafka writes, and what it would refuse. */
#include "cluster/log/checkpoint_file.h"
#include "tests/unit/base/unit.h"

static void test_round_trip(void **state)
{
	(void)state;
	struct checkpoint_file_entry x;
	struct buf b;
	size_t at = 0;
	buf_init(&b, 1 << 12);
	checkpoint_file_put_head(&b, 3);
	checkpoint_file_put(&b, "orders", 0, 1042);
	checkpoint_file_put(&b, "a.b_c-D9", INT32_MAX, INT64_MAX);
	checkpoint_file_put(&b, "orders", 1, 0);
	assert_int_equal(checkpoint_file_check(buf_bytes(&b), NULL), ERR_OK);
	assert_true(checkpoint_file_next(buf_bytes(&b), &at, &x));
	assert_true(bytes_eq_str(x.topic, "orders"));
	assert_int_equal(x.partition, 0);
	assert_int_equal(x.offset, 1042);
	assert_true(checkpoint_file_next(buf_bytes(&b), &at, &x));
	assert_true(bytes_eq_str(x.topic, "a.b_c-D9"));
	assert_int_equal(x.partition, INT32_MAX);
	assert_true(x.offset == INT64_MAX);
	assert_true(checkpoint_file_next(buf_bytes(&b), &at, &x));
	assert_false(checkpoint_file_next(buf_bytes(&b), &at, &x));
	assert_false(checkpoint_file_next(buf_bytes(&b), &at, &x));
	buf_fini(&b);
}

static void test_empty(void **state)
{
	(void)state;
	struct checkpoint_file_entry x;
	const char *empty[] = {"", "0\n0\n", "0\r\n0\r\n"};
	for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
		size_t at = 0;
		assert_int_equal(checkpoint_file_check(bytes_str(empty[i]), NULL), ERR_OK);
		assert_false(checkpoint_file_next(bytes_str(empty[i]), &at, &x));
	}
}

static void test_blanks(void **state)
{
	(void)state;
	struct checkpoint_file_entry x;
	size_t at = 0;
	struct bytes file = bytes_str("0\n1\nt \t 5  6\n");
	assert_int_equal(checkpoint_file_check(file, NULL), ERR_OK);
	assert_true(checkpoint_file_next(file, &at, &x));
	assert_int_equal(x.offset, 6);
	assert_false(checkpoint_file_next(file, &at, &x));
}

static void test_hostile(void **state)
{
	(void)state;
	const char *bad[] = {
		"0\n1\n",
		"0\n2\na 0 0\n",
		"0\n1\na 0 0\nb 0 0\n",
		"0\n1\na 0\n",
		"0\n1\na 0 0 0\n",
		"0\n1\n.. 0 0\n",
		"0\n1\na/b 0 0\n",
		"0\n1\na 2147483648 0\n",
		"0\n1\na -1 0\n",
		"0\n1\na 0 -1\n",
		"0\n1\na 0 9223372036854775808\n",
		"0\n1\n\n",
		"0\n1\n 0 0\n",
		"0\n99999999999\n",
		"0\n1000000\na 0 0\n",
		"zero\n",
		"0 0\n",
		"0\n1\na 0x 0\n",
		"0\n1\n\xff 0 0\n",
		"\n",
		"-1\n",
		"0\n1\na 0 0\n\n",
		"0\n",
		"0\n0",
		"0\n1\na 0 0", /* who knows how many digits there were */
	};
	struct errmsg why;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(checkpoint_file_check(bytes_str(bad[i]), &why), ERR_MALFORMED);
	assert_int_equal(checkpoint_file_check(bytes_str("1\n0\n"), &why), ERR_UNSUPPORTED);
	/* A byte of zero is not the end. */
	assert_int_equal(checkpoint_file_check(bytes_of("0\n1\na 0 0\n\0", 11), &why),
			 ERR_MALFORMED);
	char name[300] = "0\n1\n";
	memset(name + 4, 'a', 250);
	memcpy(name + 254, " 0 0\n", 6);
	assert_int_equal(checkpoint_file_check(bytes_str(name), &why), ERR_MALFORMED);
	assert_int_equal(checkpoint_file_check(bytes_of("0\n1\na 0 0\n", 10), &why), ERR_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_blanks),
		cmocka_unit_test(test_hostile),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
