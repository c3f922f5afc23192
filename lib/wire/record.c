/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be asked of one decoded record: its headers, whether it equals another, its hash.
 *
 * Headers are compared as keys and values, not as bytes, since writers may have encoded a length in
 * more bytes than it needs.
 */
#include "lib/wire/records.h"
#include "lib/wire/varint.h"

/* A length and that many bytes at `*at` of `from`. The reader has checked them; a record made by
 * hand that is wrong ends the iteration. */
static bool header_field(struct bytes from, size_t *at, struct bytes *field)
{
	const uint8_t *end = from.p + from.n;
	int32_t n;
	const uint8_t *p = varint_get_32(from.p + *at, end, &n);

	if (p == NULL || n < -1 || n > end - p)
		return false;
	*field = n < 0 ? (struct bytes){0} : bytes_of(p, (size_t)n);
	*at = (size_t)(p - from.p) + field->n;
	return true;
}

bool record_header_next(const struct record *r, size_t *at, struct bytes *key, struct bytes *value)
{
	if (*at >= r->headers.n)
		return false;
	return header_field(r->headers, at, key) && header_field(r->headers, at, value);
}

static bool record_headers_equal(const struct record *a, const struct record *b)
{
	struct bytes key_a, value_a, key_b, value_b;
	size_t at_a = 0, at_b = 0;

	if (a->headers_n != b->headers_n)
		return false;
	for (int32_t i = 0; i < a->headers_n; i++) {
		if (!record_header_next(a, &at_a, &key_a, &value_a) ||
		    !record_header_next(b, &at_b, &key_b, &value_b) || !bytes_eq(key_a, key_b) ||
		    !bytes_eq(value_a, value_b))
			return false;
	}
	return true;
}

bool record_equal(const struct record *a, const struct record *b)
{
	return a->timestamp == b->timestamp && bytes_eq(a->key, b->key) &&
	       bytes_eq(a->value, b->value) && record_headers_equal(a, b);
}

/* Two rounds of multiply and fold for each 8 bytes, big-endian so that machines agree. The
 * multiplier is the golden ratio's fraction, the finish that of splitmix64. */
static uint64_t hash_word(uint64_t h, uint64_t word)
{
	h = (h ^ word) * 0x9e3779b97f4a7c15;
	h ^= h >> 32;
	h *= 0xbf58476d1ce4e5b9;
	return h ^ h >> 29;
}

/* The length goes in first, null as a length that no field has, so that fields cannot run into one
 * another. */
static uint64_t hash_field(uint64_t h, struct bytes field)
{
	const uint8_t *p = field.p;
	size_t n = p == NULL ? 0 : field.n;
	uint8_t tail[8] = {0};

	h = hash_word(h, p == NULL ? UINT64_MAX : n);
	for (; n >= 8; p += 8, n -= 8)
		h = hash_word(h, be64_get(p));
	if (n == 0)
		return h;
	memcpy(tail, p, n);
	return hash_word(h, be64_get(tail));
}

uint64_t record_hash(const struct record *r)
{
	struct bytes key, value;
	size_t at = 0;
	uint64_t h = hash_word(UINT64_MAX, (uint64_t)r->timestamp);

	h = hash_field(h, r->key);
	h = hash_field(h, r->value);
	for (int32_t i = 0; i < r->headers_n && record_header_next(r, &at, &key, &value); i++) {
		h = hash_field(h, key);
		h = hash_field(h, value);
	}
	return h;
}
