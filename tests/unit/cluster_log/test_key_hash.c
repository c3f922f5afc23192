/* SPDX-License-Identifier: Apache-2.0 */
/* SipHash-2-4-128 against the first vectors of its authors (key 00..0f, input 00, 00 01, ...). */
#include "cluster/log/key_hash.h"
#include "tests/unit/base/unit.h"

static void test_vectors(void **state)
{
	(void)state;
	static const uint8_t expect[][16] = {
		{0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6, 0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55,
		 0x02, 0x93},
		{0xda, 0x87, 0xc1, 0xd8, 0x6b, 0x99, 0xaf, 0x44, 0x34, 0x76, 0x59, 0x11, 0x9b, 0x22,
		 0xfc, 0x45},
	};
	const uint64_t key[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
	for (size_t n = 0; n < sizeof expect / sizeof *expect; n++) {
		static const uint8_t in[] = {0, 1, 2};
		struct key_hash h = key_hash_of(key, bytes_of(in, n));
		for (size_t i = 0; i < 8; i++) {
			assert_int_equal((uint8_t)(h.a >> (8 * i)), expect[n][i]);
			assert_int_equal((uint8_t)(h.b >> (8 * i)), expect[n][8 + i]);
		}
	}
}

static void test_all_lengths_differ(void **state)
{
	(void)state;
	enum { N = 64 };
	static const uint8_t zeros[N];
	const uint64_t key[2] = {1, 2}, other[2] = {1, 3};
	struct key_hash seen[N];
	for (size_t n = 0; n < N; n++) {
		seen[n] = key_hash_of(key, bytes_of(zeros, n));
		assert_true(seen[n].a != key_hash_of(other, bytes_of(zeros, n)).a);
		for (size_t i = 0; i < n; i++)
			assert_true(seen[i].a != seen[n].a && seen[i].b != seen[n].b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_all_lengths_differ),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
