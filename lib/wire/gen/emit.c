/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the C of checked schemas. Children come before their users, so nothing is declared
 * twice. */
#include "lib/wire/gen/emit.h"

#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

static const char notice[] = "/* SPDX-License-Identifier: Apache-2.0 */\n"
			     "/* Generated from lib/wire/schemas.txt. Do not edit. */\n";

static bool field_optional(const struct schema_field *f)
{
	return f->type == WIRE_STRUCT && !f->array && f->nullable.min <= f->nullable.max;
}

static void emit_c_type(const struct schema_field *f, struct buf *out)
{
	static const char *const names[] = {
		[WIRE_BOOL] = "bool",          [WIRE_INT8] = "int8_t",
		[WIRE_INT16] = "int16_t",      [WIRE_UINT16] = "uint16_t",
		[WIRE_INT32] = "int32_t",      [WIRE_UINT32] = "uint32_t",
		[WIRE_INT64] = "int64_t",      [WIRE_FLOAT64] = "double",
		[WIRE_UUID] = "struct uuid",   [WIRE_STRING] = "struct bytes",
		[WIRE_BYTES] = "struct bytes", [WIRE_RECORDS] = "struct wire_records",
	};
	if (f->type == WIRE_STRUCT)
		buf_printf(out, "struct %s", f->sub->c_name);
	else
		buf_put_str(out, names[f->type]);
}

/* "4-18", "12+", "3", "none": for people. */
static void emit_versions(struct wire_versions v, struct buf *out)
{
	if (v.min > v.max)
		buf_put_str(out, "none");
	else if (v.max == INT16_MAX)
		buf_printf(out, "%d+", v.min);
	else if (v.min == v.max)
		buf_printf(out, "%d", v.min);
	else
		buf_printf(out, "%d-%d", v.min, v.max);
}

static void emit_member(const struct schema_field *f, struct buf *out)
{
	buf_put_u8(out, '\t');
	emit_c_type(f, out);
	buf_printf(out, " %s%s; /* ", f->array ? "*" : "", f->c_name);
	emit_versions(f->versions, out);
	if (f->nullable.min <= f->nullable.max) {
		buf_put_str(out, ", null in ");
		emit_versions(f->nullable, out);
	}
	if (f->tag >= 0)
		buf_printf(out, ", tag %d", f->tag);
	if (f->null_default)
		buf_put_str(out, ", default null");
	else if (f->def != 0)
		buf_printf(out, ", default %" PRId64, f->def);
	if (f->ignorable)
		buf_put_str(out, ", ignorable");
	buf_put_str(out, " */\n");
	if (f->array)
		buf_printf(out, "\tint32_t %s_n;\n", f->c_name);
	else if (field_optional(f))
		buf_printf(out, "\tbool %s_present;\n", f->c_name);
}

static void emit_struct(const struct schema_struct *s, struct buf *out)
{
	buf_printf(out, "struct %s {\n", s->c_name);
	for (const struct schema_field *f = s->fields; f != NULL; f = f->next)
		emit_member(f, out);
	if (s->fields == NULL)
		buf_put_str(out, "\tchar nothing; /* C has no empty struct */\n");
	buf_put_str(out, "};\n");
}

/* "FetchRequest" -> "FETCH": the API's constant. */
static void emit_api_key(const struct schema_message *m, struct buf *out)
{
	size_t n = strlen(m->structs->c_name) - strlen("_request");
	buf_put_str(out, "\tWIRE_API_");
	for (size_t i = 0; i < n; i++)
		buf_put_u8(out, (uint8_t)toupper((unsigned char)m->structs->c_name[i]));
	buf_printf(out, " = %d,\n", m->key);
}

void emit_header(const struct schema_message *first, struct buf *out)
{
	buf_put_str(out, notice);
	buf_put_str(out, "#ifndef FARSHORE_WIRE_MESSAGES_H\n#define FARSHORE_WIRE_MESSAGES_H\n\n"
			 "#include \"lib/wire/wire.h\"\n\n/* API keys. */\nenum {\n");
	for (const struct schema_message *m = first; m != NULL; m = m->next) {
		if (m->kind == SCHEMA_REQUEST)
			emit_api_key(m, out);
	}
	buf_put_str(out, "};\n");
	for (const struct schema_message *m = first; m != NULL; m = m->next) {
		buf_printf(out, "\n/* %s, versions ", m->name);
		emit_versions(m->versions, out);
		if (m->flexible_from != INT16_MAX)
			buf_printf(out, ", flexible from %d", m->flexible_from);
		buf_put_str(out, " */\n");
		assert(m->first != NULL);
		for (const struct schema_struct *s = m->first; s != NULL; s = s->order)
			emit_struct(s, out);
		buf_printf(out, "extern const struct wire_message wire_%s;\n", m->structs->c_name);
		for (const struct schema_struct *s = m->first; s->order != NULL; s = s->order)
			buf_printf(out, "extern const struct wire_struct wire_%s;\n", s->c_name);
	}
	buf_put_str(out, "\n#endif\n");
}

static void emit_field(const struct schema_struct *s, const struct schema_field *f, struct buf *out)
{
	static const char *const types[] = {
		[WIRE_BOOL] = "WIRE_BOOL",     [WIRE_INT8] = "WIRE_INT8",
		[WIRE_INT16] = "WIRE_INT16",   [WIRE_UINT16] = "WIRE_UINT16",
		[WIRE_INT32] = "WIRE_INT32",   [WIRE_UINT32] = "WIRE_UINT32",
		[WIRE_INT64] = "WIRE_INT64",   [WIRE_FLOAT64] = "WIRE_FLOAT64",
		[WIRE_UUID] = "WIRE_UUID",     [WIRE_STRING] = "WIRE_STRING",
		[WIRE_BYTES] = "WIRE_BYTES",   [WIRE_RECORDS] = "WIRE_RECORDS",
		[WIRE_STRUCT] = "WIRE_STRUCT",
	};
	buf_printf(out,
		   "\t{.name = \"%s\", .type = %s, .tag = %d, .versions = {%d, %d}, "
		   ".nullable = {%d, %d}, .offset = offsetof(struct %s, %s)",
		   f->name, types[f->type], f->tag, f->versions.min, f->versions.max,
		   f->nullable.min, f->nullable.max, s->c_name, f->c_name);
	if (f->array)
		buf_printf(out, ", .array = true, .aux_offset = offsetof(struct %s, %s_n)",
			   s->c_name, f->c_name);
	else if (field_optional(f))
		buf_printf(out, ", .aux_offset = offsetof(struct %s, %s_present)", s->c_name,
			   f->c_name);
	if (f->ignorable)
		buf_put_str(out, ", .ignorable = true");
	if (f->inflexible)
		buf_put_str(out, ", .inflexible = true");
	if (f->null_default)
		buf_put_str(out, ", .null_default = true");
	if (f->def == INT64_MIN)
		buf_put_str(out, ", .def = INT64_MIN");
	else if (f->def != 0)
		buf_printf(out, ", .def = INT64_C(%" PRId64 ")", f->def);
	if (f->sub != NULL)
		buf_printf(out, ", .sub = &wire_%s", f->sub->c_name);
	buf_put_str(out, "},\n");
}

/* The body's table is private to messages.c: a message's own name is that of its wire_message. */
static void emit_struct_table(const struct schema_struct *s, bool body, struct buf *out)
{
	if (s->fields != NULL) {
		buf_printf(out, "static const struct wire_field fields_%s[] = {\n", s->c_name);
		for (const struct schema_field *f = s->fields; f != NULL; f = f->next)
			emit_field(s, f, out);
		buf_put_str(out, "};\n");
	}
	buf_printf(out,
		   "%s%s = {.name = \"%s\", .size = sizeof(struct %s), .min_wire = %zu, "
		   ".fields_n = %zu, .tagged_n = %zu, .fields = ",
		   body ? "static const struct wire_struct body_"
			: "const struct wire_struct wire_",
		   s->c_name, s->name, s->c_name, s->min_wire, s->fields_n, s->tagged_n);
	if (s->fields != NULL)
		buf_printf(out, "fields_%s};\n", s->c_name);
	else
		buf_put_str(out, "NULL};\n");
}

static void emit_message_table(const struct schema_message *m, struct buf *out)
{
	int api_key = m->kind == SCHEMA_DATA ? -1 : m->key;
	int record_type = m->kind == SCHEMA_DATA ? m->key : -1;
	buf_printf(out,
		   "const struct wire_message wire_%s = {.name = \"%s\", .api_key = %d, "
		   ".record_type = %d, .min_version = %d, .max_version = %d, "
		   ".flexible_from = %d, .latest_unstable = %s, .body = &body_%s};\n",
		   m->structs->c_name, m->name, api_key, record_type, m->versions.min,
		   m->versions.max, m->flexible_from, m->latest_unstable ? "true" : "false",
		   m->structs->c_name);
}

static void emit_lookup(const struct schema_message *first, enum schema_kind kind, const char *name,
			struct buf *out)
{
	buf_printf(out,
		   "\nconst struct wire_message *wire_%s(int16_t api_key)\n{\n"
		   "\tstatic const struct wire_message *const table[] = {\n",
		   name);
	for (const struct schema_message *m = first; m != NULL; m = m->next) {
		if (m->kind == kind)
			buf_printf(out, "\t\t[%d] = &wire_%s,\n", m->key, m->structs->c_name);
	}
	buf_put_str(out, "\t};\n"
			 "\tif (api_key < 0 || (size_t)api_key >= sizeof table / sizeof table[0])\n"
			 "\t\treturn NULL;\n"
			 "\treturn table[api_key];\n}\n");
}

/* "FetchRequest" -> "Fetch". */
static void emit_api_names(const struct schema_message *first, struct buf *out)
{
	buf_put_str(out, "\nconst char *wire_api_name(int16_t api_key)\n{\n"
			 "\tstatic const char *const table[] = {\n");
	for (const struct schema_message *m = first; m != NULL; m = m->next) {
		int n = (int)(strlen(m->name) - strlen("Request"));
		if (m->kind == SCHEMA_REQUEST)
			buf_printf(out, "\t\t[%d] = \"%.*s\",\n", m->key, n, m->name);
	}
	buf_put_str(out, "\t};\n\treturn wire_request(api_key) == NULL ? \"unknown\" : "
			 "table[api_key];\n}\n");
}

/* The list that tests walk. */
static void emit_list(const struct schema_message *first, struct buf *out)
{
	buf_put_str(out, "\nconst struct wire_message *wire_message_at(size_t i)\n{\n"
			 "\tstatic const struct wire_message *const table[] = {\n");
	for (const struct schema_message *m = first; m != NULL; m = m->next)
		buf_printf(out, "\t\t&wire_%s,\n", m->structs->c_name);
	buf_put_str(out,
		    "\t};\n\treturn i < sizeof table / sizeof table[0] ? table[i] : NULL;\n}\n");
}

void emit_source(const struct schema_message *first, struct buf *out)
{
	buf_put_str(out, notice);
	buf_put_str(out, "#include \"lib/wire/messages.h\"\n\n#include \"lib/wire/layout.h\"\n");
	for (const struct schema_message *m = first; m != NULL; m = m->next) {
		buf_put_u8(out, '\n');
		for (const struct schema_struct *s = m->first; s != NULL; s = s->order)
			emit_struct_table(s, s->order == NULL, out);
		emit_message_table(m, out);
	}
	emit_lookup(first, SCHEMA_REQUEST, "request", out);
	emit_lookup(first, SCHEMA_RESPONSE, "response", out);
	emit_api_names(first, out);
	emit_list(first, out);
}
