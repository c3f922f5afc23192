/* SPDX-License-Identifier: Apache-2.0 */
/* Random messages and their comparison. */
#include "tests/unit/wire/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

uint64_t message_random(struct message_rng *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

uint64_t message_seed(void)
{
	const char *given = getenv("FARSHORE_SEED");
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	uint64_t seed = given != NULL ? strtoull(given, NULL, 0)
				      : (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	printf("FARSHORE_SEED=%llu\n", (unsigned long long)seed);
	return seed;
}

struct filler {
	struct message_rng *rng;
	struct arena *a;
	int16_t version;
	bool full; /* the arena */
};

/* True once in `n`. */
static bool filler_chance(struct filler *f, uint64_t n)
{
	return message_random(f->rng) % n == 0;
}

/* Often a value at an edge. */
static uint64_t filler_number(struct filler *f)
{
	static const uint64_t edges[] = {
		0, 1, UINT64_MAX, 127, 128, 255, INT16_MAX, INT32_MAX, INT64_MAX, 1ull << 63,
	};
	uint64_t v = message_random(f->rng);
	return v % 3 == 0 ? edges[v / 3 % (sizeof edges / sizeof edges[0])] : v;
}

/* Lengths around the edges of the compact form (one or two bytes of varint) as well. */
static struct bytes filler_slice(struct filler *f)
{
	size_t n = (size_t)(message_random(f->rng) % 12);
	if (filler_chance(f, 20))
		n = (size_t)(120 + message_random(f->rng) % 16);
	uint8_t *p = arena_zalloc(f->a, n + 1, 1);
	f->full = f->full || p == NULL;
	for (size_t i = 0; p != NULL && i < n; i++)
		p[i] = (uint8_t)message_random(f->rng);
	return bytes_of(p, n);
}

static void fill_struct(struct filler *f, const struct wire_struct *s, uint8_t *base);

static void fill_value(struct filler *f, const struct wire_field *field, uint8_t *at, bool null)
{
	uint64_t v = filler_number(f);

	switch (field->type) {
	case WIRE_BOOL:
		*(bool *)at = v % 2 == 1;
		break;
	case WIRE_INT8:
	case WIRE_INT16:
	case WIRE_UINT16:
	case WIRE_INT32:
	case WIRE_UINT32:
	case WIRE_INT64:
	case WIRE_FLOAT64:
		memcpy(at, &v, wire_type_size(field)); /* little end first: the low bytes */
		break;
	case WIRE_UUID:
		for (size_t i = 0; i < sizeof(struct uuid); i++)
			at[i] = (uint8_t)message_random(f->rng);
		break;
	case WIRE_STRING:
	case WIRE_BYTES:
		*(struct bytes *)(void *)at = null ? bytes_of(NULL, 0) : filler_slice(f);
		break;
	case WIRE_RECORDS:
		*(struct wire_records *)(void *)at = (struct wire_records){
			.data = null ? bytes_of(NULL, 0) : filler_slice(f),
		};
		break;
	case WIRE_STRUCT:
		fill_struct(f, field->sub, at);
		break;
	}
}

/* Gives the count; -1 is null. */
static int32_t fill_array(struct filler *f, const struct wire_field *field, uint8_t *at, bool null)
{
	size_t n = (size_t)(message_random(f->rng) % 4), size = wire_type_size(field);
	if (field->type != WIRE_STRUCT && filler_chance(f, 20))
		n = 130; /* a count of two varint bytes */
	uint8_t *items = null || n == 0 ? NULL : arena_zalloc(f->a, n, size);
	f->full = f->full || (items == NULL && !null && n > 0);
	memcpy(at, &items, sizeof items);
	for (size_t i = 0; items != NULL && i < n; i++)
		fill_value(f, field, items + i * size, false);
	return null ? -1 : items == NULL ? 0 : (int32_t)n;
}

static void fill_field(struct filler *f, const struct wire_field *field, uint8_t *base)
{
	uint8_t *at = base + field->offset, *aux = base + field->aux_offset;
	bool null = wire_versions_has(field->nullable, f->version) && filler_chance(f, 4);

	if (field->array) {
		*(int32_t *)(void *)aux = fill_array(f, field, at, null);
	} else if (!wire_field_optional(field)) {
		fill_value(f, field, at, null);
	} else {
		if (!null)
			fill_value(f, field, at, false);
		*(bool *)aux = !null;
	}
}

static void fill_struct(struct filler *f, const struct wire_struct *s, uint8_t *base)
{
	for (size_t i = 0; i < s->fields_n; i++) {
		const struct wire_field *field = &s->fields[i];
		wire_field_init(field, base);
		bool skip = field->tag >= 0 && filler_chance(f, 2);
		if (wire_versions_has(field->versions, f->version) && !skip)
			fill_field(f, field, base);
	}
}

void *message_new(const struct wire_message *m, int16_t version, struct arena *a,
		  struct message_rng *rng)
{
	struct filler f = {.rng = rng, .a = a, .version = version};
	void *msg = arena_zalloc(a, 1, m->body->size);
	if (msg == NULL)
		return NULL;
	fill_struct(&f, m->body, msg);
	return f.full ? NULL : msg;
}

static bool struct_eq(const struct wire_struct *s, const uint8_t *a, const uint8_t *b);

static bool value_eq(const struct wire_field *f, const uint8_t *a, const uint8_t *b)
{
	/* Records start with their data; `more` is the encoder's only. */
	if (f->type == WIRE_STRING || f->type == WIRE_BYTES || f->type == WIRE_RECORDS)
		return bytes_eq(*(const struct bytes *)(const void *)a,
				*(const struct bytes *)(const void *)b);
	if (f->type == WIRE_STRUCT)
		return struct_eq(f->sub, a, b);
	return memcmp(a, b, wire_type_size(f)) == 0;
}

static bool array_eq(const struct wire_field *f, const uint8_t *a, const uint8_t *b)
{
	const uint8_t *x, *y;
	int32_t n = *(const int32_t *)(const void *)(a + f->aux_offset);
	size_t size = wire_type_size(f);

	if (n != *(const int32_t *)(const void *)(b + f->aux_offset))
		return false;
	memcpy(&x, a + f->offset, sizeof x);
	memcpy(&y, b + f->offset, sizeof y);
	for (int32_t i = 0; i < n; i++, x += size, y += size) {
		if (!value_eq(f, x, y))
			return false;
	}
	return true;
}

static bool field_eq(const struct wire_field *f, const uint8_t *a, const uint8_t *b)
{
	if (f->array)
		return array_eq(f, a, b);
	if (wire_field_optional(f)) {
		bool x = *(const bool *)(a + f->aux_offset), y = *(const bool *)(b + f->aux_offset);
		if (!x || !y)
			return x == y;
	}
	return value_eq(f, a + f->offset, b + f->offset);
}

static bool struct_eq(const struct wire_struct *s, const uint8_t *a, const uint8_t *b)
{
	for (size_t i = 0; i < s->fields_n; i++) {
		if (!field_eq(&s->fields[i], a, b))
			return false;
	}
	return true;
}

bool message_eq(const struct wire_message *m, const void *a, const void *b)
{
	return struct_eq(m->body, a, b);
}

void message_spoil(const struct wire_field *f, void *base, struct arena *a)
{
	uint8_t *at = (uint8_t *)base + f->offset, *aux = (uint8_t *)base + f->aux_offset;
	void *item;

	if (f->array) {
		item = f->type == WIRE_STRUCT ? wire_array_new(a, f->sub, 1)
					      : arena_zalloc(a, 1, wire_type_size(f));
		memcpy(at, &item, sizeof item);
		*(int32_t *)(void *)aux = 1;
	} else if (f->type == WIRE_STRING || f->type == WIRE_BYTES || f->type == WIRE_RECORDS) {
		*(struct bytes *)(void *)at = bytes_str("x");
	} else if (wire_field_optional(f)) {
		*(bool *)aux = f->null_default;
	} else if (f->type == WIRE_BOOL) {
		*(bool *)at = f->def == 0;
	} else {
		*at ^= 0x55;
	}
}
