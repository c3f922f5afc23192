/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CRC-32C (Castagnoli; RFC 3720 appendix B.4) over ISA-L, and the arithmetic that moves a checksum
 * over bytes that are not at hand.
 *
 * A CRC is the remainder of the message, read as a polynomial over GF(2). To put n bytes behind a
 * message multiplies it by x^(8n), so the checksum of A then B is crc(A) * x^(8n) + crc(B); the
 * constants that the usual form puts in front and behind cancel out. Polynomials are kept bit
 * reversed, as the checksum itself: bit 31 is the coefficient of x^0.
 */
#include <isa-l/crc.h>
#include <limits.h>

#include "lib/wire/batch.h"

enum { CRC32C_CYCLE = 31 };

static const uint32_t crc32c_poly = 0x82f63b78;

/* x^(2^k) mod the polynomial. Its order is 2^31 - 1, so from k = 31 on the values come again. */
static const uint32_t crc32c_power[CRC32C_CYCLE] = {
	0x40000000, 0x20000000, 0x08000000, 0x00800000, 0x00008000, 0x82f63b78, 0x6ea2d55c,
	0x18b8ea18, 0x510ac59a, 0xb82be955, 0xb8fdb1e7, 0x88e56f72, 0x74c360a4, 0xe4172b16,
	0x0d65762a, 0x35d73a62, 0x28461564, 0xbf455269, 0xe2ea32dc, 0xfe7740e6, 0xf946610b,
	0x3c204f8f, 0x538586e3, 0x59726915, 0x734d5309, 0xbc1ac763, 0x7d0722cc, 0xd289cabe,
	0xe94ca9bc, 0x05b74f3f, 0xa51e1f42,
};

/* ISA-L takes a length of type int. */
static const size_t crc32c_piece = INT_MAX;

uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
	/* ISA-L never writes to the buffer; its prototype of this one function lacks the const. */
	union {
		const uint8_t *in;
		unsigned char *out;
	} at = {.in = p};

	crc = ~crc;
	while (n > 0) {
		size_t piece = n < crc32c_piece ? n : crc32c_piece;
		crc = crc32_iscsi(at.out, (int)piece, crc);
		at.in += piece;
		n -= piece;
	}
	return ~crc;
}

/* a * b mod the polynomial. */
static uint32_t crc32c_multiply(uint32_t a, uint32_t b)
{
	uint32_t product = 0;

	for (int i = 0; i < 32; i++) {
		product ^= b & (0 - (a >> 31));
		a <<= 1;
		b = b >> 1 ^ (crc32c_poly & (0 - (b & 1)));
	}
	return product;
}

uint32_t crc32c_shift(uint32_t crc, size_t n)
{
	/* 8n = the sum of 2^(k+3) over the bits k of n. */
	for (unsigned k = 3; n > 0 && crc != 0; n >>= 1, k++)
		if ((n & 1) != 0)
			crc = crc32c_multiply(crc32c_power[k % CRC32C_CYCLE], crc);
	return crc;
}

uint32_t crc32c_combine(uint32_t crc_a, uint32_t crc_b, size_t n_b)
{
	return crc32c_shift(crc_a, n_b) ^ crc_b;
}
