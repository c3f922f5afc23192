/* SPDX-License-Identifier: Apache-2.0 */
/* Reads schemas.txt; its head describes the format. One pass over the lines, a stack of the structs
 * that are open by indentation. */
#include "lib/wire/gen/schema.h"

#include <stdlib.h>
#include <string.h>

#include "lib/wire/gen/names.h"

struct schema_reader {
	struct arena *a;
	struct errmsg *why;
	struct schema_message *first, *last;
	struct schema_struct *open[WIRE_DEPTH_MAX + 2]; /* by indentation of their fields */
	struct schema_field *parent[WIRE_DEPTH_MAX + 2];
	unsigned depth; /* deepest open indentation */
	unsigned line;
};

static const struct wire_versions none = {.min = 0, .max = -1};

static enum err reader_fail(struct schema_reader *r, const char *what, const char *word)
{
	return errmsg_set(r->why, ERR_MALFORMED, "line %u: %s '%s'", r->line, what, word);
}

static enum err reader_nomem(struct schema_reader *r)
{
	return errmsg_set(r->why, ERR_NOMEM, "line %u: out of memory", r->line);
}

/* Cut the next word off the line; NULL at its end. */
static char *word_next(char **at)
{
	char *p = *at;
	while (*p == ' ')
		p++;
	if (*p == '\0')
		return NULL;
	char *word = p;
	while (*p != ' ' && *p != '\0')
		p++;
	if (*p == ' ')
		*p++ = '\0';
	*at = p;
	return word;
}

/* If `word` is "key=value" for this key, the value; else NULL. */
static char *word_value(char *word, const char *key)
{
	size_t n = strlen(key);
	return strncmp(word, key, n) == 0 && word[n] == '=' ? word + n + 1 : NULL;
}

static bool parse_number(const char *s, int64_t min, int64_t max, int64_t *out)
{
	char *end;
	long long v = strtoll(s, &end, 0);
	*out = v;
	return end != s && *end == '\0' && v >= min && v <= max;
}

/* "3+", "1-4", "2", "none". */
static enum err parse_versions(struct schema_reader *r, const char *word, struct wire_versions *out)
{
	*out = none;
	if (strcmp(word, "none") == 0)
		return ERR_OK;
	char *end;
	long min = strtol(word, &end, 10), max = min;
	bool ok = end != word && min >= 0;
	if (end[0] == '+') {
		max = INT16_MAX;
		end++;
	} else if (end[0] == '-') {
		const char *second = end + 1;
		max = strtol(second, &end, 10);
		ok = ok && end != second;
	}
	if (!ok || *end != '\0' || min > max || max > INT16_MAX)
		return reader_fail(r, "not a version range:", word);
	*out = (struct wire_versions){.min = (int16_t)min, .max = (int16_t)max};
	return ERR_OK;
}

static bool has_suffix(const char *s, const char *suffix)
{
	size_t n = strlen(s), k = strlen(suffix);
	return n > k && strcmp(s + n - k, suffix) == 0;
}

static struct schema_struct *struct_new(struct schema_reader *r, const char *name)
{
	struct schema_message *m = r->last;
	struct schema_struct *s = arena_zalloc(r->a, 1, sizeof *s);
	char *own = names_snake(r->a, name);
	if (s == NULL || own == NULL)
		return NULL;
	s->name = name;
	s->c_name = m->structs == NULL ? own : names_join(r->a, m->structs->c_name, own);
	struct schema_struct **end = &m->structs;
	while (*end != NULL)
		end = &(*end)->next;
	*end = s;
	return s->c_name == NULL ? NULL : s;
}

/* Options of a head line; words in brackets are for people. */
static enum err parse_head_option(struct schema_reader *r, char *word)
{
	struct schema_message *m = r->last;
	struct wire_versions flexible;
	int64_t key;
	char *value = word_value(word, "key");

	if (value != NULL) {
		if (!parse_number(value, 0, INT16_MAX, &key))
			return reader_fail(r, "not a key:", value);
		m->key = (int)key;
		return ERR_OK;
	}
	if ((value = word_value(word, "v")) != NULL)
		return parse_versions(r, value, &m->versions);
	if ((value = word_value(word, "flex")) != NULL) {
		enum err e = parse_versions(r, value, &flexible);
		m->flexible_from = flexible.min > flexible.max ? INT16_MAX : flexible.min;
		return e;
	}
	if (strcmp(word, "LATEST_UNSTABLE") == 0) {
		m->latest_unstable = true;
		return ERR_OK;
	}
	return word_value(word, "on") != NULL ? ERR_OK : reader_fail(r, "unknown option", word);
}

static enum err parse_head(struct schema_reader *r, char *line)
{
	char *note = strchr(line, '[');
	char *note_end = note == NULL ? NULL : strchr(note, ']');
	if (note_end != NULL)
		memset(note, ' ', (size_t)(note_end + 1 - note));

	struct schema_message *m = arena_zalloc(r->a, 1, sizeof *m);
	if (m == NULL)
		return reader_nomem(r);
	m->name = word_next(&line);
	m->key = -1;
	m->versions = none;
	m->flexible_from = INT16_MAX;
	m->line = r->line;
	m->kind = SCHEMA_DATA;
	if (r->last == NULL)
		r->first = m;
	else
		r->last->next = m;
	r->last = m;

	char *word;
	while ((word = word_next(&line)) != NULL) {
		enum err e = parse_head_option(r, word);
		if (e != ERR_OK)
			return e;
	}
	if (note == NULL && m->key >= 0)
		m->kind = has_suffix(m->name, "Request") ? SCHEMA_REQUEST : SCHEMA_RESPONSE;
	r->open[1] = struct_new(r, m->name);
	r->parent[1] = NULL;
	r->depth = 1;
	return r->open[1] == NULL ? reader_nomem(r) : ERR_OK;
}

/* "N@VERSIONS". A field without versions of its own has the tag's. */
static enum err parse_tag(struct schema_reader *r, char *value, struct schema_field *f)
{
	char *at = strchr(value, '@');
	int64_t tag;
	struct wire_versions tagged;

	if (at == NULL)
		return reader_fail(r, "not a tag:", value);
	*at = '\0';
	if (!parse_number(value, 0, INT16_MAX, &tag))
		return reader_fail(r, "not a tag:", value);
	f->tag = (int)tag;
	enum err e = parse_versions(r, at + 1, &tagged);
	if (e != ERR_OK)
		return e;
	if (f->versions.min > f->versions.max)
		f->versions = tagged;
	if (f->versions.min != tagged.min || f->versions.max != tagged.max)
		return reader_fail(r, "tagged in some versions only:", f->name);
	return ERR_OK;
}

static enum err parse_default(struct schema_reader *r, const char *value, struct schema_field *f)
{
	if (strcmp(value, "null") == 0)
		f->null_default = true;
	else if (strcmp(value, "true") == 0)
		f->def = 1;
	else if (strcmp(value, "false") != 0 && strcmp(value, "\"\"") != 0 &&
		 !parse_number(value, INT64_MIN, INT64_MAX, &f->def))
		return reader_fail(r, "not a default:", value);
	return ERR_OK;
}

static enum err parse_field_option(struct schema_reader *r, char *word, struct schema_field *f)
{
	char *value = word_value(word, "null");
	if (value != NULL)
		return parse_versions(r, value, &f->nullable);
	if ((value = word_value(word, "tag")) != NULL)
		return parse_tag(r, value, f);
	if ((value = word_value(word, "def")) != NULL)
		return parse_default(r, value, f);
	if ((value = word_value(word, "flex")) != NULL) {
		f->inflexible = true;
		return strcmp(value, "none") == 0 ? ERR_OK
						  : reader_fail(r, "only flex=none, not", value);
	}
	if (strcmp(word, "ign") == 0) {
		f->ignorable = true;
		return ERR_OK;
	}
	return strcmp(word, "key") == 0 || strcmp(word, "zc") == 0
		       ? ERR_OK
		       : reader_fail(r, "unknown option", word);
}

/* A type that is no struct; false if there is none of this name. */
static bool parse_type(const char *name, enum wire_type *out)
{
	static const char *const names[] = {
		[WIRE_BOOL] = "bool",     [WIRE_INT8] = "int8",       [WIRE_INT16] = "int16",
		[WIRE_UINT16] = "uint16", [WIRE_INT32] = "int32",     [WIRE_UINT32] = "uint32",
		[WIRE_INT64] = "int64",   [WIRE_FLOAT64] = "float64", [WIRE_UUID] = "uuid",
		[WIRE_STRING] = "string", [WIRE_BYTES] = "bytes",     [WIRE_RECORDS] = "records",
	};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (strcmp(name, names[i]) == 0) {
			*out = (enum wire_type)i;
			return true;
		}
	}
	return false;
}

static enum err parse_field(struct schema_reader *r, struct schema_struct *s, char *line)
{
	struct schema_field *f = arena_zalloc(r->a, 1, sizeof *f);
	if (f == NULL)
		return reader_nomem(r);
	f->name = word_next(&line);
	char *type = word_next(&line);
	char *versions = word_next(&line);
	if (versions == NULL)
		return reader_fail(r, "a field has a name, a type and versions:", f->name);
	f->c_name = names_member(r->a, f->name);
	if (f->c_name == NULL)
		return reader_nomem(r);
	f->array = strncmp(type, "[]", 2) == 0;
	f->type_name = f->array ? type + 2 : type;
	f->type = WIRE_STRUCT;
	parse_type(f->type_name, &f->type);
	f->tag = -1;
	f->nullable = none;
	f->line = r->line;
	if (f->type == WIRE_RECORDS)
		f->null_default = true; /* as the Java classes have it */

	enum err e =
		strcmp(versions, "-") == 0 ? ERR_OK : parse_versions(r, versions, &f->versions);
	if (strcmp(versions, "-") == 0)
		f->versions = none;
	char *word;
	while (e == ERR_OK && (word = word_next(&line)) != NULL)
		e = parse_field_option(r, word, f);

	struct schema_field **end = &s->fields;
	while (*end != NULL)
		end = &(*end)->next;
	*end = f;
	s->fields_n++;
	r->parent[r->depth + 1] = f;
	return e;
}

/* A line of `depth` leading spaces belongs to the struct that is open there. */
static enum err parse_member(struct schema_reader *r, unsigned depth, char *line)
{
	if (r->last == NULL || depth > r->depth + 1 || depth > WIRE_DEPTH_MAX)
		return reader_fail(r, "too deep:", line);
	if (depth == r->depth + 1) {
		/* The first field of an inline struct: the field above names its type. */
		struct schema_field *owner = r->parent[depth];
		if (owner == NULL || owner->type != WIRE_STRUCT)
			return reader_fail(r, "no struct to belong to:", line);
		r->open[depth] = struct_new(r, owner->type_name);
		if (r->open[depth] == NULL)
			return reader_nomem(r);
	}
	r->depth = depth;
	r->parent[depth + 1] = NULL;
	if (depth == 1 && strncmp(line, "struct ", 7) == 0) {
		line += 7;
		r->open[2] = struct_new(r, word_next(&line));
		r->depth = 2;
		return r->open[2] == NULL ? reader_nomem(r) : ERR_OK;
	}
	return parse_field(r, r->open[depth], line);
}

enum err schema_parse(char *text, struct arena *a, struct schema_message **out, struct errmsg *why)
{
	struct schema_reader r = {.a = a, .why = why};
	enum err e = ERR_OK;

	while (e == ERR_OK && *text != '\0') {
		char *line = text;
		char *end = strchr(line, '\n');
		text = end == NULL ? line + strlen(line) : end + 1;
		if (end != NULL)
			*end = '\0';
		r.line++;
		size_t depth = strspn(line, " ");
		if (line[depth] == '\0' || line[depth] == '#')
			continue;
		e = depth == 0 ? parse_head(&r, line)
			       : parse_member(&r, (unsigned)depth, line + depth);
	}
	*out = r.first;
	return e;
}
