/* SPDX-License-Identifier: Apache-2.0 */
/* The second pass over the schemas, message by message: what the codec takes for granted is made
 * sure here. */
#include <assert.h>
#include <string.h>

#include "lib/wire/gen/schema.h"

static enum err check_fail(const struct schema_field *f, struct errmsg *why, const char *what)
{
	return errmsg_set(why, ERR_MALFORMED, "line %u: %s: %s", f->line, f->name, what);
}

static enum err check_field(struct schema_message *m, struct schema_field *f, struct errmsg *why)
{
	if (f->type == WIRE_STRUCT) {
		for (struct schema_struct *s = m->structs; s != NULL && f->sub == NULL;
		     s = s->next) {
			if (s != m->structs && strcmp(s->name, f->type_name) == 0)
				f->sub = s;
		}
		if (f->sub == NULL)
			return check_fail(f, why, "unknown type");
	}
	bool nullable = f->nullable.min <= f->nullable.max;
	bool can_be_null = f->array || f->type >= WIRE_STRING;
	if ((nullable || f->null_default) && !can_be_null)
		return check_fail(f, why, "a number cannot be null");
	if (f->null_default && !nullable && f->type != WIRE_RECORDS)
		return check_fail(f, why, "null by default but never nullable");
	if (f->def != 0 && (can_be_null || f->type == WIRE_UUID || f->type == WIRE_FLOAT64))
		return check_fail(f, why, "only integers have a default other than zero");
	if (f->type == WIRE_RECORDS && f->array)
		return check_fail(f, why, "records in an array");
	if (f->tag >= 0 && f->versions.min < m->flexible_from)
		return check_fail(f, why, "tagged in a version that is not flexible");
	return ERR_OK;
}

static bool has_records(const struct schema_struct *s)
{
	for (const struct schema_field *f = s->fields; f != NULL; f = f->next) {
		if (f->type == WIRE_RECORDS || (f->sub != NULL && has_records(f->sub)))
			return true;
	}
	return false;
}

/* The encoder moves a tagged field to put its size before it: no splice may lie there. */
static enum err check_tags(const struct schema_struct *s, struct errmsg *why)
{
	for (const struct schema_field *f = s->fields; f != NULL; f = f->next) {
		if (f->tag >= 0 &&
		    (f->type == WIRE_RECORDS || (f->sub != NULL && has_records(f->sub))))
			return check_fail(f, why, "records in a tagged field");
	}
	return ERR_OK;
}

/* Positional fields first, as they stand; then the tagged ones by tag. */
static enum err sort_fields(struct schema_struct *s, struct errmsg *why)
{
	struct schema_field *positional = NULL, **end = &positional, *tagged = NULL;
	struct schema_field *next;

	for (struct schema_field *f = s->fields; f != NULL; f = next) {
		next = f->next;
		if (f->tag < 0) {
			*end = f;
			end = &f->next;
			continue;
		}
		s->tagged_n++;
		struct schema_field **at = &tagged;
		while (*at != NULL && (*at)->tag < f->tag)
			at = &(*at)->next;
		if (*at != NULL && (*at)->tag == f->tag)
			return check_fail(f, why, "this tag is taken");
		f->next = *at;
		*at = f;
	}
	*end = tagged;
	s->fields = positional != NULL ? positional : tagged;
	return ERR_OK;
}

static enum err check_names(const struct schema_struct *s, struct errmsg *why)
{
	for (const struct schema_field *f = s->fields; f != NULL; f = f->next) {
		size_t n = strlen(f->c_name);
		for (const struct schema_field *g = s->fields; g != NULL; g = g->next) {
			if (g == f || strncmp(g->c_name, f->c_name, n) != 0)
				continue;
			const char *rest = g->c_name + n;
			if (*rest == '\0' || strcmp(rest, "_n") == 0 ||
			    strcmp(rest, "_present") == 0)
				return check_fail(g, why, "its C name clashes");
		}
	}
	return ERR_OK;
}

/* Append `s` to the message's order, after all structs that it uses; sets its height. */
static enum err place(struct schema_message *m, struct schema_struct *s, struct errmsg *why)
{
	if (s->visit == SCHEMA_PLACED)
		return ERR_OK;
	if (s->visit == SCHEMA_OPEN)
		return errmsg_set(why, ERR_MALFORMED, "%s: %s is recursive", m->name, s->name);
	s->visit = SCHEMA_OPEN;
	s->height = 1;
	for (struct schema_field *f = s->fields; f != NULL; f = f->next) {
		if (f->sub == NULL)
			continue;
		enum err e = place(m, f->sub, why);
		if (e != ERR_OK)
			return e;
		if (f->sub->height >= s->height)
			s->height = f->sub->height + 1;
	}
	if (s->height > WIRE_DEPTH_MAX)
		return errmsg_set(why, ERR_MALFORMED, "%s: %s is too deep", m->name, s->name);
	s->visit = SCHEMA_PLACED;
	struct schema_struct **end = &m->first;
	while (*end != NULL)
		end = &(*end)->order;
	*end = s;
	return ERR_OK;
}

static size_t struct_wire_size(const struct schema_struct *s, int16_t version, bool flexible);

/* Least bytes of a field on the wire: an empty or null value. */
static size_t field_wire_size(const struct schema_field *f, int16_t version, bool flexible)
{
	static const size_t sizes[] = {
		[WIRE_BOOL] = 1,   [WIRE_INT8] = 1,   [WIRE_INT16] = 2, [WIRE_UINT16] = 2,
		[WIRE_INT32] = 4,  [WIRE_UINT32] = 4, [WIRE_INT64] = 8, [WIRE_FLOAT64] = 8,
		[WIRE_UUID] = 16,  [WIRE_STRING] = 2, [WIRE_BYTES] = 4, [WIRE_RECORDS] = 4,
		[WIRE_STRUCT] = 0,
	};
	bool compact = flexible && !f->inflexible;
	if (f->array)
		return compact ? 1 : 4;
	if (f->type == WIRE_STRUCT) {
		bool optional = f->nullable.min <= f->nullable.max;
		return optional ? 1 : struct_wire_size(f->sub, version, flexible);
	}
	return compact && f->type >= WIRE_STRING ? 1 : sizes[f->type];
}

static size_t struct_wire_size(const struct schema_struct *s, int16_t version, bool flexible)
{
	size_t n = flexible ? 1 : 0;
	for (const struct schema_field *f = s->fields; f != NULL; f = f->next) {
		if (f->tag < 0 && wire_versions_has(f->versions, version))
			n += field_wire_size(f, version, flexible);
	}
	return n;
}

/* Lower min_wire of `s` and of what it uses in this version. */
static void measure(struct schema_struct *s, int16_t version, bool flexible)
{
	size_t n = struct_wire_size(s, version, flexible);
	if (n < s->min_wire)
		s->min_wire = n;
	for (struct schema_field *f = s->fields; f != NULL; f = f->next) {
		if (f->sub != NULL && wire_versions_has(f->versions, version))
			measure(f->sub, version, flexible);
	}
}

static enum err check_struct(struct schema_message *m, struct schema_struct *s, struct errmsg *why)
{
	for (struct schema_struct *t = s->next; t != NULL; t = t->next) {
		if (strcmp(s->c_name, t->c_name) == 0)
			return errmsg_set(why, ERR_MALFORMED, "%s: two structs %s", m->name,
					  s->name);
	}
	for (struct schema_field *f = s->fields; f != NULL; f = f->next) {
		enum err e = check_field(m, f, why);
		if (e != ERR_OK)
			return e;
	}
	enum err e = sort_fields(s, why);
	return e == ERR_OK ? check_names(s, why) : e;
}

enum err schema_check(struct schema_message *m, struct errmsg *why)
{
	struct schema_struct *root = m->structs;
	assert(root != NULL);
	for (struct schema_struct *s = m->structs; s != NULL; s = s->next) {
		enum err e = check_struct(m, s, why);
		if (e != ERR_OK)
			return e;
		s->min_wire = SIZE_MAX;
	}
	enum err e = place(m, root, why);
	if (e != ERR_OK)
		return e;
	for (const struct schema_struct *s = m->structs; s != NULL; s = s->next) {
		e = check_tags(s, why);
		if (e != ERR_OK)
			return e;
	}
	for (int v = m->versions.min; v <= m->versions.max; v++)
		measure(root, (int16_t)v, v >= m->flexible_from);
	/* A struct that no version uses, or one without bytes, still counts as a byte. */
	for (struct schema_struct *s = m->structs; s != NULL; s = s->next) {
		if (s->min_wire == 0 || s->min_wire == SIZE_MAX)
			s->min_wire = 1;
	}
	return ERR_OK;
}
