/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The zigzag variable-length integers inside records (KIP-98; Kafka's ByteUtils.java). Readers take
 * at most 5 or 10 bytes and refuse values that do not fit in the type.
 */
#ifndef FARSHORE_WIRE_VARINT_H
#define FARSHORE_WIRE_VARINT_H

#include <stddef.h>
#include <stdint.h>

enum { VARINT_MAX_64 = 10 };

static inline uint64_t varint_zigzag_64(int64_t v)
{
	return (uint64_t)v << 1 ^ (0 - ((uint64_t)v >> 63));
}

/* Read a signed integer of at most 64 bits from [p, end): the byte behind it, or NULL. */
static inline const uint8_t *varint_get_64(const uint8_t *p, const uint8_t *end, int64_t *v)
{
	uint64_t u = 0;

	if (p < end && *p < 0x80) {
		*v = (int64_t)(*p >> 1) ^ -(int64_t)(*p & 1);
		return p + 1;
	}

	for (unsigned shift = 0; shift < 64 && p < end; shift += 7) {
		uint8_t b = *p++;
		if (shift == 63 && b > 1)
			return NULL;
		u |= (uint64_t)(b & 0x7f) << shift;
		if (b < 0x80) {
			*v = (int64_t)(u >> 1 ^ (0 - (u & 1)));
			return p;
		}
	}
	return NULL;
}

/* The same for 32 bits. */
static inline const uint8_t *varint_get_32(const uint8_t *p, const uint8_t *end, int32_t *v)
{
	uint32_t u = 0;

	if (p < end && *p < 0x80) {
		*v = (*p >> 1) ^ -(*p & 1);
		return p + 1;
	}

	for (unsigned shift = 0; shift < 35 && p < end; shift += 7) {
		uint8_t b = *p++;
		if (shift == 28 && b > 0x0f)
			return NULL;
		u |= (uint32_t)(b & 0x7f) << shift;
		if (b < 0x80) {
			*v = (int32_t)(u >> 1 ^ (0 - (u & 1)));
			return p;
		}
	}
	return NULL;
}

/* Write at `p` (also a 32-bit value: it has the same bytes), which has room for VARINT_MAX_64
 * bytes: the byte behind it. */
static inline uint8_t *varint_put_64(uint8_t *p, int64_t v)
{
	uint64_t u = varint_zigzag_64(v);

	for (; u >= 0x80; u >>= 7)
		*p++ = (uint8_t)(u | 0x80);
	*p++ = (uint8_t)u;
	return p;
}

/* Bytes that varint_put_64 writes: 7 bits in each. */
static inline size_t varint_size(int64_t v)
{
	return (size_t)(70 - __builtin_clzll(varint_zigzag_64(v) | 1)) / 7;
}

#endif
