/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The native format is libconfig's. The tree is walked once and every scalar becomes a put with
 * "file:line: path" as its origin; the table decides what is known. libconfig itself does not check
 * its allocations; it is used at start and reload only.
 */
#include "lib/base/config_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libconfig.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH_MAX = 8, PATH_TEXT_MAX = 512, LIST_TEXT_MAX = 64 * 1024 };

static enum err read_all(int fd, const char *file, struct buf *out, struct errmsg *why)
{
	uint8_t chunk[4096];
	for (;;) {
		ssize_t n = read(fd, chunk, sizeof chunk);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errmsg_set(why, ERR_IO, "cannot read %s: %s", file, strerror(errno));
		if (n == 0)
			break;
		if (memchr(chunk, '\0', (size_t)n) != NULL)
			return errmsg_set(why, ERR_MALFORMED, "%s: not a text file (NUL byte)",
					  file);
		buf_put(out, chunk, (size_t)n);
		if (out->err != ERR_OK)
			break;
	}
	buf_put_u8(out, '\0');
	explicit_bzero(chunk, sizeof chunk);
	if (out->err == ERR_LIMIT)
		return errmsg_set(why, ERR_LIMIT, "%s: larger than %zu bytes", file, out->max - 1);
	if (out->err != ERR_OK)
		return errmsg_set(why, out->err, "%s: out of memory", file);
	out->len--;
	return ERR_OK;
}

/* Opens without waiting for the writer of a pipe that nobody writes. */
static int open_text(const char *file, struct errmsg *why)
{
	struct stat st;
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0) {
		errmsg_set(why, ERR_IO, "cannot read %s: %s", file, strerror(errno));
		return -1;
	}
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
		errmsg_set(why, ERR_IO, "cannot read %s: it is a directory", file);
		close(fd);
		return -1;
	}
	return fd;
}

enum err config_file_read(const char *file, struct buf *out, struct errmsg *why)
{
	int fd = open_text(file, why);
	if (fd < 0)
		return ERR_IO;
	enum err e = read_all(fd, file, out, why);
	close(fd);
	return e;
}

bool config_file_readable(const char *file, struct errmsg *why)
{
	struct stat st;
	if (stat(file, &st) != 0) {
		errmsg_set(why, ERR_IO, "cannot read %s: %s", file, strerror(errno));
		return false;
	}
	/* Opening a pipe could block, and would take it from its one reader. */
	if (S_ISFIFO(st.st_mode))
		return true;
	int fd = open_text(file, why);
	if (fd < 0)
		return false;
	close(fd);
	return true;
}

/* Where the walk is. */
struct walk {
	struct config *c;
	const struct config_schema *schema;
	const char *file;
	const char *section, *name;
	char key[PATH_TEXT_MAX];
	unsigned depth;
};

static const char *origin_of(const struct walk *w, const config_setting_t *s, struct buf *b)
{
	const char *file = config_setting_source_file(s);
	buf_clear(b);
	buf_printf(b, "%s:%u: ", file == NULL ? w->file : file, config_setting_source_line(s));
	if (*w->section != '\0')
		buf_printf(b, "%s.%s%s", w->section, w->name, *w->key == '\0' ? "" : ".");
	buf_put(b, w->key, strlen(w->key) + 1);
	return b->err == ERR_OK ? (const char *)b->p : w->file;
}

/* The text of a number, a truth value or a string; false for anything else. */
static bool scalar_text(const config_setting_t *s, struct buf *b)
{
	switch (config_setting_type(s)) {
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		buf_printf(b, "%" PRId64, (int64_t)config_setting_get_int64(s));
		return true;
	case CONFIG_TYPE_FLOAT:
		buf_printf(b, "%g", config_setting_get_float(s));
		return true;
	case CONFIG_TYPE_BOOL:
		buf_put_str(b, config_setting_get_bool(s) ? "true" : "false");
		return true;
	case CONFIG_TYPE_STRING:
		buf_put_str(b, config_setting_get_string(s));
		return true;
	default:
		return false;
	}
}

static bool list_text(const struct walk *w, const config_setting_t *s, struct buf *b,
		      const char *at)
{
	int n = config_setting_length(s);
	for (int i = 0; i < n; i++) {
		const config_setting_t *item = config_setting_get_elem(s, (unsigned)i);
		if (i > 0)
			buf_put_u8(b, ',');
		size_t from = b->len;
		if (!scalar_text(item, b)) {
			config_fault(w->c, "%s: only plain values are allowed in this list", at);
			return false;
		}
		if (b->err == ERR_OK && memchr(b->p + from, ',', b->len - from) != NULL) {
			config_fault(w->c, "%s: a comma inside an item: write one item for each",
				     at);
			return false;
		}
	}
	return true;
}

static void put_leaf(struct walk *w, const config_setting_t *s)
{
	struct buf value, origin;
	buf_init(&value, LIST_TEXT_MAX);
	buf_init(&origin, PATH_TEXT_MAX * 2);
	const char *at = origin_of(w, s, &origin);
	bool ok = config_setting_is_aggregate(s) ? list_text(w, s, &value, at)
						 : scalar_text(s, &value);
	buf_put_u8(&value, '\0');
	if (value.err == ERR_LIMIT)
		config_fault(w->c, "%s: longer than %d bytes", at, LIST_TEXT_MAX);
	else if (value.err != ERR_OK || origin.err != ERR_OK)
		config_fault(w->c, "%s: out of memory or too long", at);
	else if (ok)
		config_put(w->c, &(struct config_put){.section = w->section,
						      .name = w->name,
						      .key = w->key,
						      .value = (const char *)value.p,
						      .origin = at});
	if (value.cap > 0)
		explicit_bzero(value.p, value.cap);
	buf_fini(&value);
	buf_fini(&origin);
}

static void walk_group(struct walk *w, const config_setting_t *group);

/* One setting below an object or the root: a group opens one more level of the key. */
static void walk_setting(struct walk *w, const config_setting_t *s)
{
	size_t n = strlen(w->key);
	const char *name = config_setting_name(s);
	if (strlen(name) + 2 > sizeof w->key - n || w->depth >= DEPTH_MAX) {
		config_fault(w->c, "%s:%u: nested too deep, or the name is too long", w->file,
			     config_setting_source_line(s));
		return;
	}
	snprintf(w->key + n, sizeof w->key - n, "%s%s", n == 0 ? "" : ".", name);
	if (config_setting_is_group(s))
		walk_group(w, s);
	else
		put_leaf(w, s);
	w->key[n] = '\0';
}

static void walk_group(struct walk *w, const config_setting_t *group)
{
	int n = config_setting_length(group);
	w->depth++;
	for (int i = 0; i < n; i++)
		walk_setting(w, config_setting_get_elem(group, (unsigned)i));
	w->depth--;
}

/* "clusters: { east: { ... }; west: { ... }; };" */
static void walk_named(struct walk *w, const config_setting_t *s)
{
	int n = config_setting_is_group(s) ? config_setting_length(s) : -1;
	if (n < 0)
		config_fault(w->c, "%s:%u: %s: write %s: { NAME: { ... }; };", w->file,
			     config_setting_source_line(s), w->section, w->section);
	for (int i = 0; i < n; i++) {
		const config_setting_t *object = config_setting_get_elem(s, (unsigned)i);
		w->name = config_setting_name(object);
		config_object(w->c, w->section, w->name);
		if (config_setting_is_group(object))
			walk_group(w, object);
		else
			config_fault(w->c, "%s:%u: %s.%s: write %s: { ... };", w->file,
				     config_setting_source_line(object), w->section, w->name,
				     w->name);
	}
}

/* "links: ( { source = ...; target = ...; }, ... );" */
static void walk_listed(struct walk *w, const config_setting_t *s, const struct config_section *in)
{
	int n = config_setting_is_list(s) ? config_setting_length(s) : -1;
	if (n < 0)
		config_fault(w->c, "%s:%u: %s: write %s: ( { ... }, { ... } );", w->file,
			     config_setting_source_line(s), w->section, w->section);
	for (int i = 0; i < n; i++) {
		const config_setting_t *object = config_setting_get_elem(s, (unsigned)i);
		const char *first, *second;
		if (!config_setting_is_group(object) ||
		    !config_setting_lookup_string(object, in->first, &first) ||
		    !config_setting_lookup_string(object, in->second, &second)) {
			config_fault(w->c,
				     "%s:%u: %s: each is a group { %s = \"...\"; %s = \"...\"; }",
				     w->file, config_setting_source_line(object), w->section,
				     in->first, in->second);
			continue;
		}
		char name[PATH_TEXT_MAX];
		snprintf(name, sizeof name, "%s%s%s", first, in->joiner, second);
		if (config_is_set(w->c, w->section, name, in->first)) {
			config_fault(w->c, "%s:%u: %s.%s is there twice", w->file,
				     config_setting_source_line(object), w->section, name);
			continue;
		}
		w->name = name;
		walk_group(w, object);
		w->name = "";
	}
}

static void walk_root(struct walk *w, const config_setting_t *root)
{
	int n = config_setting_length(root);
	for (int i = 0; i < n; i++) {
		const config_setting_t *s = config_setting_get_elem(root, (unsigned)i);
		const struct config_section *in = NULL;
		for (size_t k = 0; k < w->schema->sections_n; k++)
			if (strcmp(w->schema->sections[k].name, config_setting_name(s)) == 0)
				in = &w->schema->sections[k];
		w->section = in == NULL ? "" : in->name;
		w->name = "";
		w->key[0] = '\0';
		w->depth = 0;
		if (in == NULL)
			walk_setting(w, s);
		else if (in->first == NULL)
			walk_named(w, s);
		else
			walk_listed(w, s, in);
	}
}

static enum err parse(config_t *cfg, const char *file, const char *text, struct errmsg *why)
{
	char dir[PATH_TEXT_MAX];
	const char *slash = strrchr(file, '/');
	int n = slash == NULL ? 0 : (int)(slash - file) + (slash == file);
	if (slash != NULL && n < (int)sizeof dir) {
		snprintf(dir, sizeof dir, "%.*s", n, file);
		config_set_include_dir(cfg, dir);
	}
	if (config_read_string(cfg, text) == CONFIG_TRUE)
		return ERR_OK;
	const char *in = config_error_file(cfg);
	return errmsg_set(why, ERR_CONFIG, "%s:%d: %s", in == NULL ? file : in,
			  config_error_line(cfg), config_error_text(cfg));
}

enum err config_file_load(struct config *c, const char *file, struct errmsg *why)
{
	struct buf text;
	config_t cfg;
	buf_init(&text, CONFIG_FILE_MAX);
	enum err e = config_file_read(file, &text, why);
	if (e != ERR_OK)
		goto err_after_text;
	config_init(&cfg);
	e = parse(&cfg, file, (const char *)text.p, why);
	if (e == ERR_OK) {
		struct walk w = {.c = c, .schema = config_schema_of(c), .file = file};
		walk_root(&w, config_root_setting(&cfg));
	}
	config_destroy(&cfg);
err_after_text:
	if (text.cap > 0)
		explicit_bzero(text.p, text.cap);
	buf_fini(&text);
	return e;
}
