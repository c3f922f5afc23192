/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Borrowed slices, big-endian loads and stores, and topic ids: what every layer shares about raw
 * bytes.
 */
#ifndef FARSHORE_BASE_BYTES_H
#define FARSHORE_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * A borrowed slice. `p == NULL` is Kafka's null; an empty value has a non-NULL `p` and `n == 0`.
 * It is never NUL-terminated. Whoever hands one out says how long it lives.
 */
struct bytes {
	const uint8_t *p;
	size_t n;
};

/* Kafka's uuid: most significant byte first; all zero means none. */
struct uuid {
	uint8_t b[16];
};

static inline struct bytes bytes_of(const void *p, size_t n)
{
	return (struct bytes){.p = (const uint8_t *)p, .n = n};
}

/* The slice of a C string, without its NUL; NULL gives the null slice. */
static inline struct bytes bytes_str(const char *s)
{
	return (struct bytes){.p = (const uint8_t *)s, .n = s == NULL ? 0 : strlen(s)};
}

/* Equal content. Null equals only null. */
static inline bool bytes_eq(struct bytes a, struct bytes b)
{
	if (a.p == NULL || b.p == NULL)
		return a.p == b.p;
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool bytes_eq_str(struct bytes a, const char *s)
{
	return bytes_eq(a, bytes_str(s));
}

static inline bool uuid_eq(const struct uuid *a, const struct uuid *b)
{
	return memcmp(a->b, b->b, sizeof a->b) == 0;
}

static inline bool uuid_is_zero(const struct uuid *a)
{
	static const struct uuid zero;
	return uuid_eq(a, &zero);
}

static inline uint16_t be16_get(const uint8_t *p)
{
	return (uint16_t)((uint16_t)p[0] << 8 | p[1]);
}

static inline uint32_t be32_get(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint64_t be64_get(const uint8_t *p)
{
	return (uint64_t)be32_get(p) << 32 | be32_get(p + 4);
}

static inline void be16_put(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void be32_put(uint8_t *p, uint32_t v)
{
	be16_put(p, (uint16_t)(v >> 16));
	be16_put(p + 2, (uint16_t)v);
}

static inline void be64_put(uint8_t *p, uint64_t v)
{
	be32_put(p, (uint32_t)(v >> 32));
	be32_put(p + 4, (uint32_t)v);
}

/* Without what Java's String.trim takes off both ends: everything up to the blank. */
struct bytes bytes_trim(struct bytes s);

/* The length of the UTF-8 character at `at` (1 to 4), or 0 if there is none: a stray or overlong
 * sequence, a surrogate, beyond U+10FFFF, or cut off by the end (RFC 3629). */
size_t bytes_utf8(struct bytes s, size_t at);

/* 22 characters of url-safe base64 without padding, then NUL: how Kafka prints a uuid. */
void uuid_format(const struct uuid *u, char out[23]);

#endif
