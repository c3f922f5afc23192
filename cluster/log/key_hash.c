/* SPDX-License-Identifier: Apache-2.0 */
/* SipHash-2-4-128. Words are read as little-endian, as the paper has it. */
#include "cluster/log/key_hash.h"

static uint64_t rotl(uint64_t v, unsigned n)
{
	return v << n | v >> (64 - n);
}

static void sip_rounds(uint64_t v[4], int n)
{
	for (; n > 0; n--) {
		v[0] += v[1];
		v[1] = rotl(v[1], 13) ^ v[0];
		v[0] = rotl(v[0], 32);
		v[2] += v[3];
		v[3] = rotl(v[3], 16) ^ v[2];
		v[0] += v[3];
		v[3] = rotl(v[3], 21) ^ v[0];
		v[2] += v[1];
		v[1] = rotl(v[1], 17) ^ v[2];
		v[2] = rotl(v[2], 32);
	}
}

static uint64_t word_get(const uint8_t *p, size_t n)
{
	uint64_t w = 0;

	for (size_t i = 0; i < n; i++)
		w |= (uint64_t)p[i] << (8 * i);
	return w;
}

static void sip_word(uint64_t v[4], uint64_t w)
{
	v[3] ^= w;
	sip_rounds(v, 2);
	v[0] ^= w;
}

struct key_hash key_hash_of(const uint64_t key[2], struct bytes data)
{
	uint64_t v[4] = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d ^ 0xee,
			 key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573};
	struct key_hash h;
	size_t at = 0;

	for (; data.n - at >= 8; at += 8)
		sip_word(v, word_get(data.p + at, 8));
	sip_word(v, (uint64_t)data.n << 56 | word_get(data.p + at, data.n - at));
	v[2] ^= 0xee;
	sip_rounds(v, 4);
	h.a = v[0] ^ v[1] ^ v[2] ^ v[3];
	v[1] ^= 0xdd;
	sip_rounds(v, 4);
	h.b = v[0] ^ v[1] ^ v[2] ^ v[3];
	return h;
}
