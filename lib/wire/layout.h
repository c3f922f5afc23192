/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layout tables that the generated messages.c fills and the codec walks. Private to lib/wire.
 *
 * Invariants that the generator checks: structs are not recursive and nest at most
 * WIRE_DEPTH_MAX deep, so the codec may recurse along them; a field is either positional in all its
 * versions or tagged in all its versions; tagged fields hold no records.
 */
#ifndef FARSHORE_WIRE_LAYOUT_H
#define FARSHORE_WIRE_LAYOUT_H

#include "lib/wire/wire.h"

enum { WIRE_DEPTH_MAX = 8 };

enum wire_type {
	WIRE_BOOL,
	WIRE_INT8,
	WIRE_INT16,
	WIRE_UINT16,
	WIRE_INT32,
	WIRE_UINT32,
	WIRE_INT64,
	WIRE_FLOAT64,
	WIRE_UUID,
	WIRE_STRING,
	WIRE_BYTES,
	WIRE_RECORDS,
	WIRE_STRUCT
};

/* min > max: none. */
struct wire_versions {
	int16_t min;
	int16_t max;
};

struct wire_field {
	const char *name;
	enum wire_type type; /* of the element, for an array */
	bool array;
	bool ignorable;    /* dropped without an error in versions that lack it */
	bool null_default; /* the default is null */
	bool inflexible;   /* never in the compact form (RequestHeader.ClientId) */
	int16_t tag;       /* -1: positional */
	struct wire_versions versions;
	struct wire_versions nullable;
	size_t offset;
	size_t aux_offset; /* of name_n (array) or name_present (nullable struct) */
	int64_t def;       /* of numbers and bool */
	const struct wire_struct *sub;
};

struct wire_struct {
	const char *name;
	size_t size;     /* of the C struct, bytes */
	size_t min_wire; /* least bytes that one takes on the wire, over all versions that use it */
	size_t fields_n;
	size_t tagged_n; /* the last of the fields, by ascending tag */
	const struct wire_field *fields;
};

static inline bool wire_versions_has(struct wire_versions v, int16_t version)
{
	return version >= v.min && version <= v.max;
}

/* A struct field that may be null in some version: it has a name_present. */
static inline bool wire_field_optional(const struct wire_field *f)
{
	return f->type == WIRE_STRUCT && !f->array && f->nullable.min <= f->nullable.max;
}

/* All messages of schemas.txt, i = 0, 1, ...; NULL at the end. For tests that walk them. */
const struct wire_message *wire_message_at(size_t i);

/* The type's size in memory, bytes. */
size_t wire_type_size(const struct wire_field *f);

/* Set one field of the struct at `base` to its default. Structs recursively. */
void wire_field_init(const struct wire_field *f, void *base);

/* True if the field of the struct at `base` has its default value. */
bool wire_field_is_default(const struct wire_field *f, const void *base);

#endif
