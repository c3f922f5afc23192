/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C: the vectors of RFC 3720 B.4, a bit by bit model, and the arithmetic of combine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/wire/batch.h"
#include "tests/unit/wire/batch_model.h"

static void test_vectors(void **state)
{
	static const uint8_t read_pdu[48] = {
		0x01, 0xc0, [16] = 0x14, [22] = 0x04, [27] = 0x14, [31] = 0x18, 0x28, [40] = 0x02,
	};
	uint8_t b[32];

	(void)state;
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(crc32c(0, NULL, 0), 0);
	memset(b, 0, sizeof b);
	assert_int_equal(crc32c(0, b, sizeof b), 0x8a9136aa);
	memset(b, 0xff, sizeof b);
	assert_int_equal(crc32c(0, b, sizeof b), 0x62a8ab43);
	for (size_t i = 0; i < sizeof b; i++)
		b[i] = (uint8_t)i;
	assert_int_equal(crc32c(0, b, sizeof b), 0x46dd794e);
	for (size_t i = 0; i < sizeof b; i++)
		b[i] = (uint8_t)(31 - i);
	assert_int_equal(crc32c(0, b, sizeof b), 0x113fdb5c);
	assert_int_equal(crc32c(0, read_pdu, sizeof read_pdu), 0xd9963a56);
}

static void test_against_model(void **state)
{
	struct rnd rnd = rnd_new();
	uint8_t b[600];

	(void)state;
	rnd_fill(&rnd, b, sizeof b);
	for (int i = 0; i < 3000; i++) {
		size_t at = rnd_below(&rnd, 64), n = rnd_below(&rnd, sizeof b - 64);
		size_t cut = rnd_below(&rnd, (uint32_t)n + 1);
		uint32_t whole = crc32c(0, b + at, n);
		assert_int_equal(whole, model_crc32c(b + at, n));
		uint32_t front = crc32c(0, b + at, cut);
		assert_int_equal(crc32c(front, b + at + cut, n - cut), whole);
		uint32_t back = crc32c(0, b + at + cut, n - cut);
		assert_int_equal(crc32c_combine(front, back, n - cut), whole);
	}
}

/* Every power in the table: lengths with one bit against the bytes themselves where that is quick,
 * and larger ones by adding exponents. */
static void test_shift(void **state)
{
	static uint8_t zeros[1 << 20];
	struct rnd rnd = rnd_new();

	(void)state;
	for (size_t n = 1; n <= sizeof zeros; n *= 2) {
		uint32_t a = crc32c(0, "a", 1), b = crc32c(0, "b", 1);
		uint32_t after = crc32c(a, zeros, n) ^ crc32c(b, zeros, n);
		assert_int_equal(crc32c_shift(a ^ b, n), after);
	}
	for (int i = 0; i < 20000; i++) {
		uint32_t d = (uint32_t)rnd_next(&rnd);
		size_t a = rnd_next(&rnd) >> (2 + rnd_below(&rnd, 60));
		size_t b = rnd_next(&rnd) >> (2 + rnd_below(&rnd, 60));
		assert_int_equal(crc32c_shift(crc32c_shift(d, a), b), crc32c_shift(d, a + b));
	}
	assert_int_equal(crc32c_shift(0, SIZE_MAX), 0);
	assert_int_equal(crc32c_shift(0x12345678, 0), 0x12345678);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_against_model),
		cmocka_unit_test(test_shift),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
