/* SPDX-License-Identifier: Apache-2.0 */
/* Rows whose keys share a prefix up to a dot must stand together in the table: they become one
 * group of the sample. */
#include "lib/base/config_doc.h"

#include <inttypes.h>

#include "lib/base/config_value.h"

/* A string in libconfig's notation. */
static void put_quoted(FILE *out, const char *s)
{
	putc('"', out);
	for (; *s != '\0'; s++) {
		if (*s == '"' || *s == '\\')
			fprintf(out, "\\%c", *s);
		else if ((unsigned char)*s < ' ' || *s == 0x7f)
			fprintf(out, "\\x%02x", (unsigned)(unsigned char)*s);
		else
			putc(*s, out);
	}
	putc('"', out);
}

static bool is_bare(enum config_type type)
{
	return type == CONFIG_BOOL || type == CONFIG_INT;
}

static void put_buf(FILE *out, struct buf *b)
{
	if (b->err == ERR_OK)
		(void)fwrite(b->p, 1, b->len, out);
	buf_fini(b);
}

static void put_kind(FILE *out, const struct config_row *row)
{
	struct buf b;
	buf_init(&b, 512);
	config_value_describe(&b, row);
	put_buf(out, &b);
}

/* ---- sample ---- */

struct sample {
	const struct config_schema *schema;
	const struct config_doc_example *examples;
	size_t examples_n;
	FILE *out;
};

static void indent(FILE *out, unsigned depth)
{
	while (depth-- > 0)
		putc('\t', out);
}

static const char *example_of(const struct sample *s, const char *section, const char *name,
			      const char *key)
{
	for (size_t i = 0; i < s->examples_n; i++) {
		const struct config_doc_example *e = &s->examples[i];
		if (strcmp(e->section, section) == 0 && strcmp(e->name, name) == 0 &&
		    strcmp(e->key, key) == 0)
			return e->value;
	}
	return NULL;
}

static void sample_value(const struct sample *s, const struct config_row *row, unsigned depth,
			 const char *example)
{
	const char *dot = strrchr(row->key, '.');
	const char *leaf = dot == NULL ? row->key : dot + 1;
	const char *value = example != NULL ? example : row->def;
	if (value == NULL)
		value = row->type == CONFIG_FILE     ? "/path/to/file"
			: row->type == CONFIG_SECRET ? "${env:NAME}"
						     : "";
	indent(s->out, depth);
	fprintf(s->out, "%s%s = ", example == NULL ? "# " : "", leaf);
	if (is_bare(row->type))
		fputs(value, s->out);
	else
		put_quoted(s->out, value);
	fputs(";\n", s->out);
	if (row->type == CONFIG_SECRET) {
		indent(s->out, depth);
		fprintf(s->out, "# %s_file = \"/path/to/file\";\n", leaf);
	}
}

static void sample_row(const struct sample *s, const struct config_row *row, unsigned depth,
		       const char *example)
{
	indent(s->out, depth);
	fprintf(s->out, "# %s\n", row->help);
	indent(s->out, depth);
	fputs("# (", s->out);
	put_kind(s->out, row);
	fputs(row->reloads ? "; reloads)\n" : ")\n", s->out);
	sample_value(s, row, depth, example);
	putc('\n', s->out);
}

static size_t group_length(const char *key)
{
	const char *dot = strchr(key, '.');
	return dot == NULL ? 0 : (size_t)(dot - key);
}

/* All rows of a section for one object; `full` with help, else the examples alone. */
static void sample_rows(const struct sample *s, const char *section, const char *name,
			unsigned depth, bool full)
{
	const char *group = "";
	size_t group_n = 0;
	for (size_t i = 0; i < s->schema->rows_n; i++) {
		const struct config_row *row = &s->schema->rows[i];
		if (strcmp(row->section, section) != 0)
			continue;
		const char *example = example_of(s, section, name, row->key);
		if (example == NULL && !full)
			continue;
		size_t n = group_length(row->key);
		if (n != group_n || strncmp(row->key, group, n) != 0) {
			if (group_n > 0) {
				indent(s->out, depth);
				fputs("};\n\n", s->out);
			}
			if (n > 0) {
				indent(s->out, depth);
				fprintf(s->out, "%.*s:\n", (int)n, row->key);
				indent(s->out, depth);
				fputs("{\n", s->out);
			}
			group = row->key;
			group_n = n;
		}
		unsigned inner = depth + (n > 0);
		if (full)
			sample_row(s, row, inner, example);
		else
			sample_value(s, row, inner, example);
	}
	if (group_n > 0) {
		indent(s->out, depth);
		fputs("};\n\n", s->out);
	}
}

static void sample_section(const struct sample *s, const struct config_section *in)
{
	bool list = in->first != NULL, first = true;
	fprintf(s->out, "# %s\n%s:\n%c\n", in->help, in->name, list ? '(' : '{');
	const char *last = "";
	for (size_t i = 0; i < s->examples_n; i++) {
		const struct config_doc_example *e = &s->examples[i];
		if (strcmp(e->section, in->name) != 0 || strcmp(e->name, last) == 0)
			continue;
		last = e->name;
		if (!first && list)
			fputs("\t,\n", s->out);
		if (list)
			fputs("\t{\n", s->out);
		else
			fprintf(s->out, "\t%s:\n\t{\n", e->name);
		sample_rows(s, in->name, e->name, 2, first);
		fputs(list ? "\t}\n" : "\t};\n", s->out);
		first = false;
	}
	fprintf(s->out, "%c;\n\n", list ? ')' : '}');
}

void config_doc_sample(const struct config_schema *s, const struct config_doc_example *examples,
		       size_t examples_n, FILE *out)
{
	const struct sample w = {s, examples, examples_n, out};
	for (size_t i = 0; i < s->sections_n; i++)
		sample_section(&w, &s->sections[i]);
	sample_rows(&w, "", "", 0, true);
}

/* ---- manual ---- */

/* Table cells: a bar would end the cell. */
static void put_cell(FILE *out, const char *s)
{
	for (; *s != '\0'; s++) {
		if (*s == '|')
			putc('\\', out);
		putc(*s, out);
	}
}

static void manual_row(const struct config_row *row, FILE *out)
{
	fprintf(out, "| `%s` | ", row->key);
	put_kind(out, row);
	if (row->def == NULL)
		fputs(" | | ", out);
	else if (*row->def == '\0')
		fputs(" | empty | ", out);
	else {
		fputs(" | `", out);
		put_cell(out, row->def);
		fputs("` | ", out);
	}
	fputs(row->reloads ? "yes | " : "no | ", out);
	put_cell(out, row->help);
	if (row->type == CONFIG_SECRET)
		fprintf(out, " Or `%s_file`: the file whose first line it is.", row->key);
	fputs(" |\n", out);
}

static void manual_table(const struct config_schema *s, const char *section, FILE *out)
{
	fputs("| setting | value | default | reloads | meaning |\n", out);
	fputs("|---|---|---|---|---|\n", out);
	for (size_t i = 0; i < s->rows_n; i++)
		if (strcmp(s->rows[i].section, section) == 0)
			manual_row(&s->rows[i], out);
	putc('\n', out);
}

void config_doc_manual(const struct config_schema *s, FILE *out)
{
	fputs("### The program\n\n", out);
	manual_table(s, "", out);
	for (size_t i = 0; i < s->sections_n; i++) {
		fprintf(out, "### %s\n\n%s\n\n", s->sections[i].name, s->sections[i].help);
		manual_table(s, s->sections[i].name, out);
	}
}

/* ---- dump ---- */

static void dump_array(const struct config_row *row, const void *object, FILE *out)
{
	const char *const *items;
	size_t n;
	memcpy(&items, (const uint8_t *)object + row->offset, sizeof items);
	memcpy(&n, (const uint8_t *)object + row->count_offset, sizeof n);
	putc('[', out);
	for (size_t i = 0; i < n; i++) {
		fputs(i == 0 ? "" : ", ", out);
		put_quoted(out, items[i]);
	}
	putc(']', out);
}

static void dump_unit(void (*put)(struct buf *, int64_t), int64_t v, FILE *out)
{
	struct buf b;
	buf_init(&b, 64);
	put(&b, v);
	putc('"', out);
	put_buf(out, &b);
	putc('"', out);
}

static void dump_value(const struct config_row *row, const void *object, FILE *out)
{
	switch (row->type) {
	case CONFIG_BOOL:
		fputs(config_value_get_int(row, object) != 0 ? "true" : "false", out);
		break;
	case CONFIG_INT:
		fprintf(out, "%" PRId64, config_value_get_int(row, object));
		break;
	case CONFIG_DURATION:
		dump_unit(config_value_put_duration, config_value_get_int(row, object), out);
		break;
	case CONFIG_BYTES:
		dump_unit(config_value_put_bytes, config_value_get_int(row, object), out);
		break;
	case CONFIG_ENUM:
		put_quoted(out, row->words[config_value_get_int(row, object)]);
		break;
	case CONFIG_ARRAY:
		dump_array(row, object, out);
		break;
	case CONFIG_SECRET:
		fputs("\"(secret)\"", out);
		break;
	case CONFIG_STRING:
	case CONFIG_FILE:
	case CONFIG_LIST:
		put_quoted(out, config_value_get_str(row, object));
		break;
	}
}

static bool is_text(enum config_type type)
{
	return type == CONFIG_STRING || type == CONFIG_FILE || type == CONFIG_LIST ||
	       type == CONFIG_SECRET;
}

void config_doc_dump(const struct config_schema *s, const char *section, const char *name,
		     const void *object, FILE *out)
{
	for (size_t i = 0; i < s->rows_n; i++) {
		const struct config_row *row = &s->rows[i];
		if (strcmp(row->section, section) != 0)
			continue;
		if (is_text(row->type) && config_value_get_str(row, object) == NULL)
			continue;
		if (*section != '\0')
			fprintf(out, "%s.%s.", section, name);
		fprintf(out, "%s = ", row->key);
		dump_value(row, object, out);
		putc('\n', out);
	}
}
