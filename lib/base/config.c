/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was put is kept as text under (section, name, key) and turned into values when an object is
 * filled, so that a later put simply replaces an earlier one. Faults are collected; running out of
 * memory is remembered in `nomem` and reported by config_result.
 */
#include "lib/base/config.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>

#include "lib/base/config_file.h"
#include "lib/base/config_secret.h"
#include "lib/base/config_value.h"
#include "lib/base/map.h"
#include "lib/base/mem.h"

enum { KEY_MAX = 1024, NAMES_MAX = 4096, SHOWN_MAX = 80 };

struct entry {
	const char *value;
	const char *origin;
	bool literal;
	bool hidden;
};

struct object {
	const char *section;
	const char *name;
	struct object *next;
};

struct config {
	const struct config_schema *schema;
	struct arena *arena;
	struct map *entries; /* section NUL name NUL key -> struct entry */
	struct object *objects;
	struct object **objects_end;
	const char *faults[CONFIG_FAULTS_MAX];
	unsigned faults_n;
	bool nomem;
};

enum err config_new(const struct config_schema *schema, struct arena *arena, struct config **out)
{
	struct config *c = mem_zalloc(1, sizeof *c);
	if (c == NULL)
		return ERR_NOMEM;
	c->entries = map_new();
	if (c->entries == NULL) {
		mem_free(c);
		return ERR_NOMEM;
	}
	c->schema = schema;
	c->arena = arena;
	c->objects_end = &c->objects;
	*out = c;
	return ERR_OK;
}

void config_free(struct config *c)
{
	if (c == NULL)
		return;
	map_free(c->entries);
	mem_free(c);
}

const struct config_schema *config_schema_of(const struct config *c)
{
	return c->schema;
}

struct arena *config_arena(const struct config *c)
{
	return c->arena;
}

unsigned config_faults(const struct config *c)
{
	return c->faults_n;
}

bool config_nomem(const struct config *c)
{
	return c->nomem;
}

void config_fault(struct config *c, const char *fmt, ...)
{
	char text[sizeof(struct errmsg)];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	/* An object that is filled for two users has its faults twice. */
	for (unsigned i = 0; i < c->faults_n && i < CONFIG_FAULTS_MAX; i++)
		if (strcmp(c->faults[i], text) == 0)
			return;
	if (c->faults_n++ >= CONFIG_FAULTS_MAX)
		return;
	const char *copy = arena_strndup(c->arena, bytes_str(text));
	if (copy == NULL)
		c->nomem = true;
	c->faults[c->faults_n - 1] = copy == NULL ? "out of memory" : copy;
}

static const char *keep(struct config *c, const char *s)
{
	const char *copy = arena_strndup(c->arena, bytes_str(s));
	if (copy == NULL)
		c->nomem = true;
	return copy;
}

/* The map's key; false when it is too long to be any known setting's. */
static bool entry_key(char out[KEY_MAX], size_t *n, const char *section, const char *name,
		      const char *key)
{
	const char *const parts[] = {section, name, key};
	*n = 0;
	for (size_t i = 0; i < 3; i++) {
		size_t len = strlen(parts[i]) + 1;
		if (len > KEY_MAX - *n)
			return false;
		memcpy(out + *n, parts[i], len);
		*n += len;
	}
	return true;
}

static struct entry *find(const struct config *c, const char *section, const char *name,
			  const char *key)
{
	char text[KEY_MAX];
	size_t n;
	if (!entry_key(text, &n, section, name, key))
		return NULL;
	return map_get(c->entries, bytes_of(text, n));
}

bool config_is_set(const struct config *c, const char *section, const char *name, const char *key)
{
	return find(c, section, name, key) != NULL;
}

/* A secret's key with "_file" added: the file that holds it. */
static bool is_file_of(const char *key, const char *secret)
{
	size_t n = strlen(secret);
	return strncmp(key, secret, n) == 0 && strcmp(key + n, "_file") == 0;
}

static const struct config_row *row_of(const struct config *c, const char *section, const char *key)
{
	for (size_t i = 0; i < c->schema->rows_n; i++) {
		const struct config_row *row = &c->schema->rows[i];
		if (strcmp(row->section, section) != 0)
			continue;
		if (strcmp(row->key, key) == 0 ||
		    (row->type == CONFIG_SECRET && is_file_of(key, row->key)))
			return row;
	}
	return NULL;
}

static void fault_unknown(struct config *c, const struct config_put *p)
{
	struct config_nearest near = {.word = p->key};
	for (size_t i = 0; i < c->schema->rows_n; i++)
		if (strcmp(c->schema->rows[i].section, p->section) == 0)
			config_value_nearest(&near, c->schema->rows[i].key);
	if (near.best != NULL) {
		config_fault(c, "%s: unknown setting; did you mean \"%s\"?", p->origin, near.best);
		return;
	}
	/* In the section "" the wrong name may be that of a section. */
	char first[64];
	snprintf(first, sizeof first, "%.*s", (int)strcspn(p->key, "."), p->key);
	near = (struct config_nearest){.word = first};
	for (size_t i = 0; *p->section == '\0' && i < c->schema->sections_n; i++)
		config_value_nearest(&near, c->schema->sections[i].name);
	if (near.best != NULL)
		config_fault(c, "%s: unknown setting; did you mean \"%s\"?", p->origin, near.best);
	else
		config_fault(c, "%s: unknown setting", p->origin);
}

void config_object(struct config *c, const char *section, const char *name)
{
	size_t n = 0;
	for (struct object *o = c->objects; o != NULL; o = o->next, n++)
		if (strcmp(o->section, section) == 0 && strcmp(o->name, name) == 0)
			return;
	if (n >= NAMES_MAX) {
		config_fault(c, "%s: more than %d objects", section, NAMES_MAX);
		return;
	}
	struct object *o = arena_zalloc(c->arena, 1, sizeof *o);
	if (o == NULL) {
		c->nomem = true;
		return;
	}
	*o = (struct object){.section = keep(c, section), .name = keep(c, name)};
	if (o->section == NULL || o->name == NULL)
		return;
	*c->objects_end = o;
	c->objects_end = &o->next;
}

void config_put(struct config *c, const struct config_put *p)
{
	char text[KEY_MAX];
	size_t n;
	if (!entry_key(text, &n, p->section, p->name, p->key)) {
		config_fault(c, "%s: the name is too long", p->origin);
		return;
	}
	if (row_of(c, p->section, p->key) == NULL) {
		fault_unknown(c, p);
		return;
	}
	if (*p->section != '\0')
		config_object(c, p->section, p->name);
	struct entry *e = map_get(c->entries, bytes_of(text, n));
	if (e == NULL) {
		e = arena_zalloc(c->arena, 1, sizeof *e);
		if (e == NULL || map_put(c->entries, bytes_of(text, n), e) != ERR_OK) {
			c->nomem = true;
			return;
		}
	}
	*e = (struct entry){.value = keep(c, p->value),
			    .origin = keep(c, p->origin),
			    .literal = p->literal,
			    .hidden = p->hidden};
}

size_t config_names(struct config *c, const char *section, const char *const **out)
{
	size_t n = 0;
	for (const struct object *o = c->objects; o != NULL; o = o->next)
		n += strcmp(o->section, section) == 0;
	const char **names = arena_zalloc(c->arena, n + 1, sizeof *names);
	*out = names;
	if (names == NULL) {
		c->nomem = true;
		return 0;
	}
	n = 0;
	for (const struct object *o = c->objects; o != NULL; o = o->next)
		if (strcmp(o->section, section) == 0)
			names[n++] = o->name;
	return n;
}

/* ---- the command line ---- */

/* Splits "east.tls.ca" behind the longest known key; an object's name may have dots itself. */
static const char *split_name(const struct config *c, const char *section, const char *rest)
{
	const char *dot = strchr(rest, '.');
	for (const char *p = dot; p != NULL; p = strchr(p + 1, '.'))
		if (row_of(c, section, p + 1) != NULL)
			return p;
	return dot;
}

/* An object that is named by two keys gets them from its name. */
static void put_name_keys(struct config *c, const struct config_section *in,
			  const struct config_put *like)
{
	const char *at = strstr(like->name, in->joiner);
	if (at == NULL || config_is_set(c, in->name, like->name, in->first))
		return;
	char first[KEY_MAX];
	snprintf(first, sizeof first, "%.*s", (int)(at - like->name), like->name);
	struct config_put p = *like;
	p.key = in->first;
	p.value = first;
	config_put(c, &p);
	p.key = in->second;
	p.value = at + strlen(in->joiner);
	config_put(c, &p);
}

void config_assign(struct config *c, const char *path, const char *value, const char *origin)
{
	struct config_put p = {
		.section = "", .name = "", .key = path, .value = value, .origin = origin};
	char name[KEY_MAX];
	for (size_t i = 0; i < c->schema->sections_n; i++) {
		const struct config_section *in = &c->schema->sections[i];
		size_t n = strlen(in->name);
		if (strncmp(path, in->name, n) != 0 || path[n] != '.')
			continue;
		const char *rest = path + n + 1;
		const char *dot = split_name(c, in->name, rest);
		if (dot == NULL || dot == rest) {
			config_fault(c, "%s: write %s.NAME.KEY=VALUE", origin, in->name);
			return;
		}
		snprintf(name, sizeof name, "%.*s", (int)(dot - rest), rest);
		p.section = in->name;
		p.name = name;
		p.key = dot + 1;
		if (in->first != NULL && strstr(name, in->joiner) == NULL) {
			config_fault(c, "%s: write %s.%s%s%s.KEY=VALUE", origin, in->name,
				     in->first, in->joiner, in->second);
			return;
		}
		if (in->first != NULL)
			put_name_keys(c, in, &p);
	}
	config_put(c, &p);
}

void config_override(struct config *c, const char *assignment)
{
	char path[KEY_MAX], origin[KEY_MAX + 8];
	const char *eq = strchr(assignment, '=');
	if (eq == NULL || eq == assignment || eq - assignment >= KEY_MAX) {
		config_fault(c, "--set %.60s: write PATH=VALUE", assignment);
		return;
	}
	snprintf(path, sizeof path, "%.*s", (int)(eq - assignment), assignment);
	snprintf(origin, sizeof origin, "--set %s", path);
	config_assign(c, path, eq + 1, origin);
}

/* ---- filling ---- */

static void fault_value(struct config *c, const struct config_row *row, const struct entry *e)
{
	struct buf want;
	buf_init(&want, 512);
	config_value_describe(&want, row);
	buf_put_u8(&want, '\0');
	const char *text = want.err == ERR_OK ? (const char *)want.p : "another value";
	bool hide = e->hidden || row->type == CONFIG_SECRET;
	if (hide)
		config_fault(c, "%s: the value is not valid; expected %s", e->origin, text);
	else
		config_fault(c, "%s: \"%.*s\" is not valid; expected %s", e->origin, SHOWN_MAX,
			     e->value, text);
	buf_fini(&want);
}

/* BOOL, INT, DURATION, BYTES and ENUM; false if the text is none or out of range. */
static bool parse_number(const struct config_row *row, const char *text, int64_t *out)
{
	bool flag;
	switch (row->type) {
	case CONFIG_BOOL:
		if (!config_value_bool(text, &flag))
			return false;
		*out = flag;
		return true;
	case CONFIG_ENUM:
		for (*out = 0; row->words[*out] != NULL; ++*out)
			if (strcmp(row->words[*out], text) == 0)
				return true;
		return false;
	case CONFIG_INT:
		return config_value_int(text, out) && *out >= row->min && *out <= row->max;
	case CONFIG_DURATION:
		return config_value_duration(text, out) && *out >= row->min && *out <= row->max;
	default:
		return config_value_bytes(text, out) && *out >= row->min && *out <= row->max;
	}
}

/* The value of a list in one form, "a,b". */
static const char *join(struct config *c, const char *const *items, size_t n)
{
	size_t size = 1;
	for (size_t i = 0; i < n; i++)
		size += strlen(items[i]) + 1;
	char *out = arena_zalloc(c->arena, size, 1);
	if (out == NULL) {
		c->nomem = true;
		return NULL;
	}
	char *p = out;
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(items[i]);
		if (i > 0)
			*p++ = ',';
		memcpy(p, items[i], len);
		p += len;
	}
	return out;
}

static void fill_list(struct config *c, const struct config_row *row, const char *text,
		      void *object)
{
	const char *const *items;
	size_t n;
	if (!config_value_split(c->arena, text, &items, &n)) {
		c->nomem = true;
		return;
	}
	if (row->type == CONFIG_LIST) {
		config_value_set_str(row, object, join(c, items, n));
		return;
	}
	memcpy((uint8_t *)object + row->offset, &items, sizeof items);
	memcpy((uint8_t *)object + row->count_offset, &n, sizeof n);
}

/* A secret stands under its own key, or its file under KEY_file. */
static void fill_secret(struct config *c, const struct config_row *row, const char *name,
			void *object)
{
	char file_key[KEY_MAX];
	snprintf(file_key, sizeof file_key, "%s_file", row->key);
	const struct entry *direct = find(c, row->section, name, row->key);
	const struct entry *file = find(c, row->section, name, file_key);
	if (direct != NULL && file != NULL) {
		config_fault(c, "%s: set either this or %s, not both", file->origin, row->key);
		return;
	}
	const struct entry *e = direct != NULL ? direct : file;
	if (e == NULL)
		return;
	struct errmsg why = {{0}};
	const char *value = NULL;
	enum err rc = ERR_OK;
	if (file != NULL)
		rc = config_secret_read(c->arena, e->value, &value, &why);
	else if (e->literal)
		value = e->value;
	else
		rc = config_secret_resolve(c->arena, e->value, &value, &why);
	if (rc == ERR_NOMEM)
		c->nomem = true;
	else if (rc != ERR_OK)
		config_fault(c, "%s: %s", e->origin, why.text);
	else
		config_value_set_str(row, object, value);
}

static void fill_row(struct config *c, const struct config_row *row, const struct entry *e,
		     void *object)
{
	const char *text = e != NULL ? e->value : row->def;
	struct errmsg why;
	int64_t v = 0;
	if (text == NULL)
		return;
	switch (row->type) {
	case CONFIG_FILE:
		if (e != NULL && !config_file_readable(text, &why))
			config_fault(c, "%s: %s", e->origin, why.text);
		config_value_set_str(row, object, text);
		break;
	case CONFIG_STRING:
		config_value_set_str(row, object, text);
		break;
	case CONFIG_LIST:
	case CONFIG_ARRAY:
		fill_list(c, row, text, object);
		break;
	case CONFIG_SECRET:
		break;
	case CONFIG_BOOL:
	case CONFIG_INT:
	case CONFIG_DURATION:
	case CONFIG_BYTES:
	case CONFIG_ENUM:
		if (parse_number(row, text, &v))
			config_value_set_int(row, object, v);
		else if (e != NULL)
			fault_value(c, row, e);
		else
			assert(false && "a default of the table is not valid");
	}
}

static void fill(struct config *c, const char *section, const char *name, void *object,
		 bool defaults)
{
	for (size_t i = 0; i < c->schema->rows_n && !c->nomem; i++) {
		const struct config_row *row = &c->schema->rows[i];
		if (strcmp(row->section, section) != 0)
			continue;
		if (row->type == CONFIG_SECRET) {
			fill_secret(c, row, name, object);
			continue;
		}
		const struct entry *e = find(c, section, name, row->key);
		if (e != NULL || defaults)
			fill_row(c, row, e, object);
	}
}

void config_fill(struct config *c, const char *section, const char *name, void *object)
{
	fill(c, section, name, object, true);
}

void config_fill_set(struct config *c, const char *section, const char *name, void *object)
{
	fill(c, section, name, object, false);
}

enum err config_result(struct config *c, FILE *out, struct errmsg *why)
{
	if (c->nomem)
		return errmsg_set(why, ERR_NOMEM, "configuration: out of memory, or too large");
	if (c->faults_n == 0)
		return ERR_OK;
	if (c->faults_n == 1)
		return errmsg_set(why, ERR_CONFIG, "%s", c->faults[0]);
	unsigned shown = c->faults_n < CONFIG_FAULTS_MAX ? c->faults_n : CONFIG_FAULTS_MAX;
	for (unsigned i = 0; i < shown; i++)
		fprintf(out, "error: %s\n", c->faults[i]);
	if (shown < c->faults_n)
		fprintf(out, "error: and %u more\n", c->faults_n - shown);
	return errmsg_set(why, ERR_CONFIG, "%u errors; the first: %s", c->faults_n, c->faults[0]);
}

/* ---- filled objects ---- */

bool config_equal(const struct config_schema *schema, const char *section, const void *a,
		  const void *b)
{
	for (size_t i = 0; i < schema->rows_n; i++)
		if (strcmp(schema->rows[i].section, section) == 0 &&
		    !config_value_same(&schema->rows[i], a, b))
			return false;
	return true;
}
