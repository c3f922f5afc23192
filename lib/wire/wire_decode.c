/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decoder: walks the layout tables over bytes that a peer chose.
 *
 * Invariants. reader.p <= reader.end always, and both stay inside the input; lengths are compared
 * with the bytes left before they are used. The first fault sticks: it empties the reader, so that
 * every later read gives zero. An array is allocated only after its count was found to fit into the
 * bytes left. Recursion follows the tables, at most WIRE_DEPTH_MAX deep.
 */
#include <inttypes.h>
#include <stdalign.h>

#include "lib/wire/layout.h"

struct reader {
	const uint8_t *start;
	const uint8_t *p;
	const uint8_t *end;
	size_t fault_at; /* offset of the item that could not be read */
	int16_t version;
	bool flexible;
	struct arena *arena;
	enum err err;
	struct errmsg *why;
};

/* Strings are at most this long in every version (MessageGenerator, "had invalid length"). */
enum { STRING_MAX = INT16_MAX };

static size_t reader_left(const struct reader *r)
{
	return (size_t)(r->end - r->p);
}

/* Note the first fault. */
static void reader_fail(struct reader *r, enum err e, const char *what, uint64_t number)
{
	if (r->err != ERR_OK)
		return;
	r->err = e;
	r->fault_at = (size_t)(r->p - r->start);
	errmsg_set(r->why, e, "%s (%" PRIu64 ", %zu bytes left)", what, number, reader_left(r));
	r->end = r->p;
}

/* The next n bytes; NULL after a fault. */
static const uint8_t *reader_take(struct reader *r, size_t n)
{
	if (n > reader_left(r)) {
		reader_fail(r, ERR_MALFORMED, "cut short", n);
		return NULL;
	}
	const uint8_t *p = r->p;
	r->p += n;
	return p;
}

static uint8_t reader_u8(struct reader *r)
{
	const uint8_t *p = reader_take(r, 1);
	return p == NULL ? 0 : *p;
}

static uint16_t reader_u16(struct reader *r)
{
	const uint8_t *p = reader_take(r, 2);
	return p == NULL ? 0 : be16_get(p);
}

static uint32_t reader_u32(struct reader *r)
{
	const uint8_t *p = reader_take(r, 4);
	return p == NULL ? 0 : be32_get(p);
}

static uint64_t reader_u64(struct reader *r)
{
	const uint8_t *p = reader_take(r, 8);
	return p == NULL ? 0 : be64_get(p);
}

/* KIP-482: groups of 7 bits, least first; at most five bytes and 32 bits. */
static uint32_t reader_uvarint(struct reader *r)
{
	uint32_t v = 0;
	for (unsigned shift = 0; shift < 35; shift += 7) {
		uint8_t b = reader_u8(r);
		if (shift == 28 && b > 0x0f) {
			reader_fail(r, ERR_MALFORMED, "varint over 32 bits", b);
			return 0;
		}
		v |= (uint32_t)(b & 0x7f) << shift;
		if ((b & 0x80) == 0)
			break;
	}
	return r->err == ERR_OK ? v : 0;
}

/* The length or count before a string, bytes, records or array: -1 is null. In compact form it is
 * stored plus one, else as int16 (strings) or int32. */
static int64_t reader_length(struct reader *r, const struct wire_field *f, bool narrow)
{
	if (r->flexible && !f->inflexible)
		return (int64_t)reader_uvarint(r) - 1;
	return narrow ? (int16_t)reader_u16(r) : (int32_t)reader_u32(r);
}

/* True if null may stand here; else the reader failed. */
static bool reader_null(struct reader *r, const struct wire_field *f, int64_t n)
{
	if (r->err != ERR_OK || n != -1)
		return false;
	if (wire_versions_has(f->nullable, r->version))
		return true;
	reader_fail(r, ERR_MALFORMED, "null is not allowed", 0);
	return false;
}

static struct bytes decode_slice(struct reader *r, const struct wire_field *f)
{
	bool narrow = f->type == WIRE_STRING;
	int64_t n = reader_length(r, f, narrow);

	if (reader_null(r, f, n))
		return (struct bytes){NULL, 0};
	if (n < 0 || n > (narrow ? STRING_MAX : INT32_MAX))
		reader_fail(r, ERR_MALFORMED, "bad length", (uint64_t)n);
	if (r->err != ERR_OK)
		return (struct bytes){NULL, 0};
	const uint8_t *p = reader_take(r, (size_t)n);
	return bytes_of(p, p == NULL ? 0 : (size_t)n);
}

static void decode_struct(struct reader *r, const struct wire_struct *s, void *base);

/* One value that is no array and no optional struct. */
static void decode_value(struct reader *r, const struct wire_field *f, void *at)
{
	uint64_t v64;
	const uint8_t *p;

	switch (f->type) {
	case WIRE_BOOL:
		*(bool *)at = reader_u8(r) != 0;
		break;
	case WIRE_INT8:
		*(uint8_t *)at = reader_u8(r);
		break;
	case WIRE_INT16:
	case WIRE_UINT16:
		*(uint16_t *)at = reader_u16(r);
		break;
	case WIRE_INT32:
	case WIRE_UINT32:
		*(uint32_t *)at = reader_u32(r);
		break;
	case WIRE_INT64:
	case WIRE_FLOAT64:
		v64 = reader_u64(r);
		memcpy(at, &v64, sizeof v64);
		break;
	case WIRE_UUID:
		p = reader_take(r, sizeof(struct uuid));
		if (p != NULL)
			memcpy(at, p, sizeof(struct uuid));
		break;
	case WIRE_STRING:
	case WIRE_BYTES:
		*(struct bytes *)at = decode_slice(r, f);
		break;
	case WIRE_RECORDS:
		*(struct wire_records *)at = (struct wire_records){.data = decode_slice(r, f)};
		break;
	case WIRE_STRUCT:
		decode_struct(r, f->sub, at);
		break;
	}
}

/* Least bytes of one element on the wire; never 0. */
static size_t element_min(const struct reader *r, const struct wire_field *f)
{
	if (f->type == WIRE_STRUCT)
		return f->sub->min_wire;
	if (f->type == WIRE_STRING || f->type == WIRE_BYTES)
		return r->flexible ? 1 : 2;
	return wire_type_size(f);
}

/* Why the arena gave nothing for `n` bytes: it rounds sizes up to its alignment. */
static enum err arena_fault(const struct arena *a, size_t n)
{
	return n + alignof(max_align_t) - 1 > a->max - a->used ? ERR_LIMIT : ERR_NOMEM;
}

static void decode_array(struct reader *r, const struct wire_field *f, void *at, int32_t *count)
{
	int64_t n = reader_length(r, f, false);
	size_t size = wire_type_size(f);

	*count = -1;
	memset(at, 0, sizeof(void *));
	if (reader_null(r, f, n))
		return;
	if (n < 0 || n > INT32_MAX || (uint64_t)n > reader_left(r) / element_min(r, f))
		reader_fail(r, ERR_MALFORMED, "bad count", (uint64_t)n);
	if (r->err != ERR_OK)
		return;
	*count = (int32_t)n;
	if (n == 0)
		return;
	uint8_t *items = arena_zalloc(r->arena, (size_t)n, size);
	if (items == NULL) {
		enum err e = arena_fault(r->arena, (size_t)n * size);
		reader_fail(r, e, "no memory for an array", (uint64_t)n);
		return;
	}
	memcpy(at, &items, sizeof items);
	for (int64_t i = 0; i < n && r->err == ERR_OK; i++, items += size)
		decode_value(r, f, items);
}

static void decode_field(struct reader *r, const struct wire_field *f, uint8_t *base)
{
	void *at = base + f->offset, *aux = base + f->aux_offset;

	if (f->array) {
		decode_array(r, f, at, aux);
	} else if (wire_field_optional(f)) {
		/* KIP-893: a marker byte, negative for null. */
		bool marked = wire_versions_has(f->nullable, r->version);
		bool present = !marked || (int8_t)reader_u8(r) >= 0;
		if (present)
			decode_value(r, f, at);
		else
			wire_field_init(f, base);
		*(bool *)aux = present;
	} else {
		decode_value(r, f, at);
	}
	if (r->err != ERR_OK)
		errmsg_wrap(r->why, r->err, "%s", f->name);
}

/* One tagged field of `size` bytes; `f` is NULL if its tag is unknown. */
static void decode_tag(struct reader *r, const struct wire_field *f, uint8_t *base, uint32_t size)
{
	if (size > reader_left(r)) {
		reader_fail(r, ERR_MALFORMED, "tagged field too long", size);
		return;
	}
	const uint8_t *end = r->end, *field_end = r->p + size;
	if (f == NULL) {
		r->p = field_end;
		return;
	}
	r->end = field_end;
	decode_field(r, f, base);
	if (r->err != ERR_OK)
		return;
	r->end = end;
	if (r->p != field_end)
		reader_fail(r, ERR_MALFORMED, "tagged field longer than its value", size);
}

/* KIP-482: the tags ascend. Each takes at least two bytes. */
static void decode_tagged(struct reader *r, const struct wire_struct *s, uint8_t *base)
{
	size_t at = s->fields_n - s->tagged_n; /* in the table: its tags ascend as well */
	uint32_t n = reader_uvarint(r);
	int64_t before = -1;

	if (n > reader_left(r) / 2)
		reader_fail(r, ERR_MALFORMED, "bad count of tags", n);
	for (uint32_t i = 0; i < n && r->err == ERR_OK; i++) {
		uint32_t tag = reader_uvarint(r);
		uint32_t size = reader_uvarint(r);
		if (tag <= before)
			reader_fail(r, ERR_MALFORMED, "tags do not ascend", tag);
		if (r->err != ERR_OK)
			return;
		before = tag;
		while (at < s->fields_n && (uint32_t)s->fields[at].tag < tag)
			at++;
		const struct wire_field *f = NULL;
		if (at < s->fields_n && (uint32_t)s->fields[at].tag == tag &&
		    wire_versions_has(s->fields[at].versions, r->version))
			f = &s->fields[at];
		decode_tag(r, f, base, size);
	}
}

static void decode_struct(struct reader *r, const struct wire_struct *s, void *base)
{
	for (size_t i = 0; i < s->fields_n && r->err == ERR_OK; i++) {
		const struct wire_field *f = &s->fields[i];
		if (f->tag < 0 && wire_versions_has(f->versions, r->version))
			decode_field(r, f, base);
		else
			wire_field_init(f, base);
	}
	if (r->flexible && r->err == ERR_OK)
		decode_tagged(r, s, base);
}

enum err wire_decode_prefix(const struct wire_message *m, int16_t version, struct bytes in,
			    struct arena *a, void *msg, size_t *used, struct errmsg *why)
{
	*used = 0;
	if (version < m->min_version || version > m->max_version)
		return errmsg_set(why, ERR_UNSUPPORTED, "%s has no version %d", m->name, version);
	static const uint8_t empty[1];
	const uint8_t *start = in.p == NULL ? empty : in.p;
	struct reader r = {
		.start = start,
		.p = start,
		.end = start + (in.p == NULL ? 0 : in.n),
		.version = version,
		.flexible = version >= m->flexible_from,
		.arena = a,
		.why = why,
	};
	decode_struct(&r, m->body, msg);
	if (r.err != ERR_OK)
		return errmsg_wrap(why, r.err, "%s v%d, byte %zu", m->name, version, r.fault_at);
	*used = (size_t)(r.p - r.start);
	return ERR_OK;
}

enum err wire_decode(const struct wire_message *m, int16_t version, struct bytes in,
		     struct arena *a, void *msg, struct errmsg *why)
{
	size_t used = 0;
	enum err e = wire_decode_prefix(m, version, in, a, msg, &used, why);
	if (e != ERR_OK)
		return e;
	if (used != in.n)
		return errmsg_set(why, ERR_MALFORMED, "%s v%d, byte %zu: %zu bytes left over",
				  m->name, version, used, in.n - used);
	return ERR_OK;
}
