/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration from one table. A program lists its settings as rows (section, key, type, range,
 * default, help) and says where in its own structs each value goes. The reader of native files, the
 * overrides of the command line, the sample file, the manual page and the dump all work from that
 * table, so that they cannot drift apart.
 *
 * A load has three steps: values are put (from a file, from another format, from --set), objects
 * are filled (text becomes a checked value; what is not set gets its default), and the faults found
 * on the way are reported all together.
 *
 * Sections. The section "" holds the program's own settings ("http.listen"). Any other section
 * holds named objects: a group of groups ("clusters.east.bootstrap"), or, when the section says by
 * which two keys an object is named, a list of groups ("links.east->west.topics").
 */
#ifndef FARSHORE_BASE_CONFIG_H
#define FARSHORE_BASE_CONFIG_H

#include <stddef.h>
#include <stdio.h>

#include "lib/base/arena.h"
#include "lib/base/err.h"

/*
 * How a value is written, and the field that it fills:
 *
 *   BOOL      true or false                                bool
 *   INT       a whole number                               integer of 1, 2, 4 or 8 bytes
 *   DURATION  milliseconds, or "10 s" (ms s min h d)       integer, milliseconds
 *   BYTES     bytes, or "64 MiB" (B KiB MiB GiB TiB)       integer, bytes
 *   ENUM      one of the row's words                       integer or bool: index of the word
 *   STRING    text                                         const char *
 *   FILE      name of a file that can be read              const char *
 *   SECRET    text, "${env:NAME}", or in a file that the   const char *
 *             key with "_file" added names
 *   LIST      "a, b" or ["a", "b"]                         const char *: "a,b"
 *   ARRAY     the same                                     const char *const *, and its count
 *
 * An integer field must be able to hold the row's whole range. Text fields are NULL when the row
 * has no default and nothing was set.
 */
enum config_type {
	CONFIG_BOOL,
	CONFIG_INT,
	CONFIG_DURATION,
	CONFIG_BYTES,
	CONFIG_ENUM,
	CONFIG_STRING,
	CONFIG_FILE,
	CONFIG_SECRET,
	CONFIG_LIST,
	CONFIG_ARRAY,
};

struct config_row {
	const char *section;
	const char *key; /* within the section, with dots: "tls.ca" */
	enum config_type type;
	int64_t min, max;         /* INT, DURATION, BYTES */
	const char *def;          /* as a user would write it; NULL: not set */
	const char *const *words; /* ENUM; ends with NULL */
	size_t offset, size;      /* of the field, see CONFIG_FIELD */
	size_t count_offset;      /* ARRAY: of the size_t with the number of items */
	bool reloads;             /* taken over by a reload of the running program */
	const char *help;         /* one line */
};

#define CONFIG_FIELD(type, field) \
	.offset = offsetof(type, field), .size = sizeof(((type *)NULL)->field)

struct config_section {
	const char *name;
	const char *first, *second; /* a list of groups: the two keys that name one; else NULL */
	const char *joiner;         /* between the two in the name: "->" */
	const char *help;           /* one line */
};

struct config_schema {
	const struct config_row *rows;
	size_t rows_n;
	const struct config_section *sections;
	size_t sections_n;
};

struct config;

/* One value as it was written. */
struct config_put {
	const char *section;
	const char *name; /* of the object; "" in the section "" */
	const char *key;
	const char *value;
	const char *origin; /* where from, for messages: "mirror.conf:12: clusters.east.rack" */
	bool literal;       /* a SECRET's value as it is: no "${env:...}" in it */
	bool hidden;        /* never show the value in a message */
};

/* `schema` must outlive the object; all text and every value filled in live in `arena`. */
enum err config_new(const struct config_schema *schema, struct arena *arena,
		    struct config **out) ERR_MUST_USE;
void config_free(struct config *c); /* NULL is safe */

const struct config_schema *config_schema_of(const struct config *c);
struct arena *config_arena(const struct config *c);

/* Set one value; the last put of a key counts. All strings are copied. An unknown key is a fault
 * that names the nearest one. */
void config_put(struct config *c, const struct config_put *p);

/* Make an object known that may have no settings of its own. */
void config_object(struct config *c, const char *section, const char *name);

/* One "path=value" of the command line: a put, after all files. An object of a section that is a
 * list is made if there is none yet. */
void config_override(struct config *c, const char *assignment);

/* The same for a source that has split path and value itself; `origin` as in config_put. */
void config_assign(struct config *c, const char *path, const char *value, const char *origin);

/* The names of a section's objects, in the order of their first put; valid until the next put. */
size_t config_names(struct config *c, const char *section, const char *const **out);

/* True if this key was put. */
bool config_is_set(const struct config *c, const char *section, const char *name, const char *key);

/* Fill the fields of `object` that belong to the section's rows: with what was put for `name`, else
 * with the defaults. */
void config_fill(struct config *c, const char *section, const char *name, void *object);

/* Fill only what was put, and leave the other fields as they are. */
void config_fill_set(struct config *c, const char *section, const char *name, void *object);

/* Note a fault found by the caller; a whole sentence without the end mark. The same text counts
 * once. */
void config_fault(struct config *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * ERR_OK if no fault was noted. Else ERR_CONFIG: `why` has the fault, or if there are more than one
 * their number and the first, and then all of them (up to CONFIG_FAULTS_MAX) are written to `out`,
 * a line each. ERR_NOMEM when memory or the arena ran out on the way.
 */
enum { CONFIG_FAULTS_MAX = 20 };
enum err config_result(struct config *c, FILE *out, struct errmsg *why) ERR_MUST_USE;

/* Number of faults so far. */
unsigned config_faults(const struct config *c);

/* True once memory ran out: objects are then filled in part only, and must not be looked at. */
bool config_nomem(const struct config *c);

/* True if both objects hold the same values in all rows of the section. */
bool config_equal(const struct config_schema *schema, const char *section, const void *a,
		  const void *b);

#endif
