/* SPDX-License-Identifier: Apache-2.0 */
/* What decoder and encoder share: defaults of fields, and the output buffer. Recursion follows the
 * layout tables, which are finite (layout.h). */
#include "lib/wire/wire.h"

#include "lib/base/mem.h"
#include "lib/wire/layout.h"

/* What an empty string or an empty bytes field points to: not null, no bytes. */
static const uint8_t nothing[1];

size_t wire_type_size(const struct wire_field *f)
{
	static const size_t sizes[] = {
		[WIRE_BOOL] = sizeof(bool),
		[WIRE_INT8] = 1,
		[WIRE_INT16] = 2,
		[WIRE_UINT16] = 2,
		[WIRE_INT32] = 4,
		[WIRE_UINT32] = 4,
		[WIRE_INT64] = 8,
		[WIRE_FLOAT64] = sizeof(double),
		[WIRE_UUID] = sizeof(struct uuid),
		[WIRE_STRING] = sizeof(struct bytes),
		[WIRE_BYTES] = sizeof(struct bytes),
		[WIRE_RECORDS] = sizeof(struct wire_records),
	};
	return f->type == WIRE_STRUCT ? f->sub->size : sizes[f->type];
}

static void struct_init(const struct wire_struct *s, void *base)
{
	for (size_t i = 0; i < s->fields_n; i++)
		wire_field_init(&s->fields[i], base);
}

static void number_init(const struct wire_field *f, void *at)
{
	int16_t v16 = (int16_t)f->def;
	int32_t v32 = (int32_t)f->def;

	switch (f->type) {
	case WIRE_BOOL:
		*(bool *)at = f->def != 0;
		break;
	case WIRE_INT8:
		*(int8_t *)at = (int8_t)f->def;
		break;
	case WIRE_INT16:
	case WIRE_UINT16:
		memcpy(at, &v16, sizeof v16);
		break;
	case WIRE_INT32:
	case WIRE_UINT32:
		memcpy(at, &v32, sizeof v32);
		break;
	case WIRE_INT64:
		memcpy(at, &f->def, sizeof f->def);
		break;
	case WIRE_FLOAT64: /* only zero is a default, says the generator */
	case WIRE_UUID:
	case WIRE_STRING:
	case WIRE_BYTES:
	case WIRE_RECORDS:
	case WIRE_STRUCT:
		memset(at, 0, wire_type_size(f));
		break;
	}
}

void wire_field_init(const struct wire_field *f, void *base)
{
	uint8_t *at = (uint8_t *)base + f->offset;
	uint8_t *aux = (uint8_t *)base + f->aux_offset;

	if (f->array) {
		memset(at, 0, sizeof(void *));
		*(int32_t *)(void *)aux = f->null_default ? -1 : 0;
	} else if (f->type == WIRE_STRUCT) {
		if (wire_field_optional(f))
			*(bool *)aux = !f->null_default;
		struct_init(f->sub, at);
	} else if (f->type == WIRE_STRING || f->type == WIRE_BYTES) {
		*(struct bytes *)(void *)at = bytes_of(f->null_default ? NULL : nothing, 0);
	} else {
		number_init(f, at);
	}
}

static bool struct_is_default(const struct wire_struct *s, const void *base)
{
	for (size_t i = 0; i < s->fields_n; i++) {
		if (!wire_field_is_default(&s->fields[i], base))
			return false;
	}
	return true;
}

bool wire_field_is_default(const struct wire_field *f, const void *base)
{
	const uint8_t *at = (const uint8_t *)base + f->offset;
	const uint8_t *aux = (const uint8_t *)base + f->aux_offset;
	const struct bytes *slice = (const void *)at;
	/* A default number or uuid, to compare bytes with. */
	union {
		uint8_t b[16];
		int64_t align;
	} def = {{0}};

	if (f->array)
		return *(const int32_t *)(const void *)aux == (f->null_default ? -1 : 0);
	switch (f->type) {
	case WIRE_STRUCT:
		if (wire_field_optional(f) && !*(const bool *)aux)
			return f->null_default;
		if (wire_field_optional(f) && f->null_default)
			return false;
		return struct_is_default(f->sub, at);
	case WIRE_STRING:
	case WIRE_BYTES:
		return f->null_default ? slice->p == NULL : slice->p != NULL && slice->n == 0;
	case WIRE_RECORDS:
		return slice->p == NULL;
	case WIRE_BOOL:
	case WIRE_INT8:
	case WIRE_INT16:
	case WIRE_UINT16:
	case WIRE_INT32:
	case WIRE_UINT32:
	case WIRE_INT64:
	case WIRE_FLOAT64:
	case WIRE_UUID:
		break;
	}
	number_init(f, def.b);
	return memcmp(at, def.b, wire_type_size(f)) == 0;
}

void wire_init(const struct wire_message *m, void *msg)
{
	memset(msg, 0, m->body->size);
	struct_init(m->body, msg);
}

void *wire_array_new(struct arena *a, const struct wire_struct *s, int32_t n)
{
	if (n < 0)
		return NULL;
	uint8_t *items = arena_zalloc(a, (size_t)n, s->size);
	for (size_t i = 0; items != NULL && i < (size_t)n; i++)
		struct_init(s, items + i * s->size);
	return items;
}

void wire_out_init(struct wire_out *o, size_t max, size_t splice_min)
{
	*o = (struct wire_out){.splice_min = splice_min};
	buf_init(&o->buf, max);
}

void wire_out_fini(struct wire_out *o)
{
	mem_free(o->splices);
	buf_fini(&o->buf);
	wire_out_init(o, o->buf.max, o->splice_min);
}
