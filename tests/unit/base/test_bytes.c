/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/base/unit.h"

#include "lib/base/bytes.h"

static void null_is_not_empty(void **state)
{
	(void)state;
	struct bytes null = bytes_str(NULL), empty = bytes_str("");
	assert_true(bytes_eq(null, null));
	assert_true(bytes_eq(empty, empty));
	assert_false(bytes_eq(null, empty));
	assert_false(bytes_eq(empty, null));
	assert_true(bytes_eq_str(bytes_of("abc", 3), "abc"));
	assert_false(bytes_eq_str(bytes_of("abc", 2), "abc"));
	assert_false(bytes_eq_str(bytes_of("abd", 3), "abc"));
}

static void stores_and_loads(void **state)
{
	(void)state;
	uint8_t b[8];
	be64_put(b, 0xfedcba9876543210ULL);
	assert_int_equal(b[0], 0xfe);
	assert_int_equal(b[7], 0x10);
	assert_true(be64_get(b) == 0xfedcba9876543210ULL);
	be32_put(b, 0xffffffff);
	assert_true(be32_get(b) == 0xffffffff);
	be16_put(b, 0x8001);
	assert_int_equal(be16_get(b), 0x8001);
}

/* Values printed by org.apache.kafka.common.Uuid: ZERO_UUID, METADATA_TOPIC_ID, and all bits set.
 */
static void uuids_print_as_in_kafka(void **state)
{
	(void)state;
	struct uuid u = {{0}};
	char text[23];
	uuid_format(&u, text);
	assert_string_equal(text, "AAAAAAAAAAAAAAAAAAAAAA");
	assert_true(uuid_is_zero(&u));
	u.b[15] = 1;
	uuid_format(&u, text);
	assert_string_equal(text, "AAAAAAAAAAAAAAAAAAAAAQ");
	assert_false(uuid_is_zero(&u));
	memset(u.b, 0xff, sizeof u.b);
	uuid_format(&u, text);
	assert_string_equal(text, "_____________________w");
	for (uint8_t i = 0; i < 16; i++)
		u.b[i] = (uint8_t)(i * 17);
	uuid_format(&u, text);
	assert_string_equal(text, "ABEiM0RVZneImaq7zN3u_w");
}

/* The whole of three-byte and shorter sequences against the rule in words. */
static void utf8_accepts_what_the_standard_allows(void **state)
{
	(void)state;
	for (uint32_t c = 1; c < 0x11ffff; c += c < 0x10000 ? 1 : 97) {
		uint8_t s[4];
		size_t n;
		if (c < 0x80) {
			s[0] = (uint8_t)c;
			n = 1;
		} else if (c < 0x800) {
			s[0] = (uint8_t)(0xc0 | c >> 6);
			n = 2;
		} else if (c < 0x10000) {
			s[0] = (uint8_t)(0xe0 | c >> 12);
			n = 3;
		} else {
			s[0] = (uint8_t)(0xf0 | c >> 18);
			n = 4;
		}
		for (size_t i = 1; i < n; i++)
			s[i] = (uint8_t)(0x80 | (c >> 6 * (n - 1 - i) & 0x3f));
		bool valid = c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);
		assert_int_equal(bytes_utf8(bytes_of(s, n), 0), valid ? n : 0);
		assert_int_equal(bytes_utf8(bytes_of(s, n - 1), 0), 0);
	}
}

static void utf8_refuses_the_rest(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"\x80",
		"\xbf",
		"\xc0\x80",
		"\xc1\xbf",
		"\xe0\x80\x80",
		"\xed\xa0\x80",
		"\xf0\x80\x80\x80",
		"\xf4\x90\x80\x80",
		"\xf5\x80\x80\x80",
		"\xff",
		"\xc3\x28",
		"\xe2\x28\xa1",
		"\xe2\x82\x28",
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(bytes_utf8(bytes_str(bad[i]), 0), 0);
	assert_int_equal(bytes_utf8(bytes_str("ab"), 2), 0);
	assert_int_equal(bytes_utf8(bytes_str("ab"), 1), 1);
}

static void trims_as_java_does(void **state)
{
	(void)state;
	assert_true(bytes_eq_str(bytes_trim(bytes_str(" \t\r\n\x01 a \t b \x1f ")), "a \t b"));
	assert_true(bytes_eq_str(bytes_trim(bytes_str("\xc2\xa0")), "\xc2\xa0"));
	assert_true(bytes_eq_str(bytes_trim(bytes_str(" \t ")), ""));
	assert_true(bytes_eq_str(bytes_trim(bytes_str("")), ""));
	assert_null(bytes_trim(bytes_str(NULL)).p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(null_is_not_empty),
		cmocka_unit_test(stores_and_loads),
		cmocka_unit_test(uuids_print_as_in_kafka),
		cmocka_unit_test(utf8_accepts_what_the_standard_allows),
		cmocka_unit_test(utf8_refuses_the_rest),
		cmocka_unit_test(trims_as_java_does),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
