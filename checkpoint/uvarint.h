/* SPDX-License-Identifier: Apache-2.0 */
/* Unsigned LEB128 of 64 bits: seven bits a byte, the lowest first, bit 7 set on all but the last.
 * Runs are packed with it in memory (runs.c) and in stored blocks (block.c). */
#ifndef FARSHORE_CHECKPOINT_UVARINT_H
#define FARSHORE_CHECKPOINT_UVARINT_H

#include "lib/base/bytes.h"

enum { UVARINT_MAX = 10 };

/* Write to `p`, which has room for UVARINT_MAX bytes; returns the place after. */
static inline uint8_t *uvarint_put(uint8_t *p, uint64_t v)
{
	while (v >= 0x80) {
		*p++ = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	*p++ = (uint8_t)v;
	return p;
}

/* Read what uvarint_put wrote, from memory of our own: no bounds are checked. */
static inline const uint8_t *uvarint_take(const uint8_t *p, uint64_t *v)
{
	uint64_t out = *p & 0x7f;
	for (unsigned shift = 7; *p++ & 0x80; shift += 7)
		out |= (uint64_t)(*p & 0x7f) << shift;
	*v = out;
	return p;
}

/* Read from bytes that may say anything, and move past them. False: cut off, longer than 64 bits,
 * or not in the shortest form. */
static inline bool uvarint_get(struct bytes *in, uint64_t *v)
{
	uint64_t out = 0;
	for (size_t i = 0; i < in->n && i < UVARINT_MAX; i++) {
		uint64_t b = in->p[i];
		if (i == UVARINT_MAX - 1 && b > 1)
			return false;
		out |= (b & 0x7f) << (7 * i);
		if (b & 0x80)
			continue;
		if (b == 0 && i > 0)
			return false;
		*v = out;
		in->p += i + 1;
		in->n -= i + 1;
		return true;
	}
	return false;
}

#endif
