/* SPDX-License-Identifier: Apache-2.0 */
/* One walk over the characters serves both. */
#include "cluster/group/utf16.h"

static uint32_t character(const uint8_t *p, size_t n)
{
	switch (n) {
	case 1:
		return p[0];
	case 2:
		return (uint32_t)(p[0] & 0x1f) << 6 | (p[1] & 0x3f);
	case 3:
		return (uint32_t)(p[0] & 0x0f) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
	case 4:
		return (uint32_t)(p[0] & 0x07) << 18 | (uint32_t)(p[1] & 0x3f) << 12 |
		       (uint32_t)(p[2] & 0x3f) << 6 | (p[3] & 0x3f);
	default:
		return 0xfffd;
	}
}

static void walk(struct bytes s, size_t *length, uint32_t *hash)
{
	*length = 0;
	*hash = 0;
	for (size_t at = 0; at < s.n;) {
		size_t n = bytes_utf8(s, at);
		uint32_t c = character(s.p + at, n);
		at += n == 0 ? 1 : n;
		if (c > 0xffff) {
			*hash = *hash * 31 + (0xd800 + ((c - 0x10000) >> 10));
			*length += 1;
			c = 0xdc00 + ((c - 0x10000) & 0x3ff);
		}
		*hash = *hash * 31 + c;
		*length += 1;
	}
}

size_t utf16_length(struct bytes s)
{
	size_t length;
	uint32_t hash;
	walk(s, &length, &hash);
	return length;
}

int32_t utf16_hash(struct bytes s)
{
	size_t length;
	uint32_t hash;
	walk(s, &length, &hash);
	return (int32_t)hash;
}
