/* SPDX-License-Identifier: Apache-2.0 */
/* SipHash-2-4-128. Words are read as little-endian, as the paper has it. */
#include "cluster/log/key_hash.h"

#include "lib/base/siphash.h"

static uint64_t word_get(const uint8_t *p, size_t n)
{
	uint64_t w = 0;

	for (size_t i = 0; i < n; i++)
		w |= (uint64_t)p[i] << (8 * i);
	return w;
}

enum { WORD_ROUNDS = 2, END_ROUNDS = 4 };

struct key_hash key_hash_of(const uint64_t key[2], struct bytes data)
{
	struct key_hash h;
	uint64_t v[4];
	size_t at = 0;

	siphash_begin(v, key);
	v[1] ^= 0xee;
	for (; data.n - at >= 8; at += 8)
		siphash_word(v, word_get(data.p + at, 8), WORD_ROUNDS);
	siphash_word(v, (uint64_t)data.n << 56 | word_get(data.p + at, data.n - at), WORD_ROUNDS);
	v[2] ^= 0xee;
	siphash_rounds(v, END_ROUNDS);
	h.a = v[0] ^ v[1] ^ v[2] ^ v[3];
	v[1] ^= 0xdd;
	siphash_rounds(v, END_ROUNDS);
	h.b = v[0] ^ v[1] ^ v[2] ^ v[3];
	return h;
}
