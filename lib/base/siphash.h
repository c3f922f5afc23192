/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core of SipHash (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012). How many
 * rounds a word and the end get, and how much comes out, is the variant's: map.c, key_hash.c.
 */
#ifndef FARSHORE_BASE_SIPHASH_H
#define FARSHORE_BASE_SIPHASH_H

#include <stdint.h>

static inline uint64_t siphash_rotl(uint64_t v, unsigned n)
{
	return v << n | v >> (64 - n);
}

static inline void siphash_begin(uint64_t v[4], const uint64_t key[2])
{
	v[0] = key[0] ^ 0x736f6d6570736575;
	v[1] = key[1] ^ 0x646f72616e646f6d;
	v[2] = key[0] ^ 0x6c7967656e657261;
	v[3] = key[1] ^ 0x7465646279746573;
}

static inline void siphash_rounds(uint64_t v[4], int n)
{
	for (; n > 0; n--) {
		v[0] += v[1];
		v[1] = siphash_rotl(v[1], 13) ^ v[0];
		v[0] = siphash_rotl(v[0], 32);
		v[2] += v[3];
		v[3] = siphash_rotl(v[3], 16) ^ v[2];
		v[0] += v[3];
		v[3] = siphash_rotl(v[3], 21) ^ v[0];
		v[2] += v[1];
		v[1] = siphash_rotl(v[1], 17) ^ v[2];
		v[2] = siphash_rotl(v[2], 32);
	}
}

static inline void siphash_word(uint64_t v[4], uint64_t word, int rounds)
{
	v[3] ^= word;
	siphash_rounds(v, rounds);
	v[0] ^= word;
}

#endif
