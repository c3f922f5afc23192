/* SPDX-License-Identifier: Apache-2.0 */
/* Reader of Java .properties text (java.util.Properties.load). */
#ifndef FARSHORE_MIRROR_MM2_PROPERTIES_H
#define FARSHORE_MIRROR_MM2_PROPERTIES_H

#include "lib/base/arena.h"
#include "lib/base/err.h"

struct mm2_property {
	const char *key;   /* UTF-8 */
	const char *value; /* UTF-8, blanks at both ends removed (as ConfigDef.parseType does) */
	unsigned line;     /* where it starts, from 1 */
	bool repeated;     /* an earlier line had the same key; this value counts */
	bool hidden;       /* comes from a config provider: not to be shown */
};

struct mm2_properties {
	struct mm2_property *items; /* in the order of the keys' first lines */
	size_t n;
	const struct mm2_property **index; /* sorted by key */
};

enum { MM2_PROPERTIES_MAX = 20000 }; /* keys in one file */

/*
 * Java reads property files as ISO 8859-1 (mm2.properties itself) or as UTF-8 (those of
 * FileConfigProvider). Everything lives in the arena. ERR_MALFORMED with the line in `why` (a
 * broken \uXXXX, text that is not UTF-8), ERR_LIMIT (too many keys), ERR_NOMEM.
 */
enum mm2_encoding { MM2_LATIN1, MM2_UTF8 };
enum err mm2_properties_parse(struct bytes text, enum mm2_encoding encoding, struct arena *a,
			      struct mm2_properties *out, struct errmsg *why) ERR_MUST_USE;

/* The entry of a key, or NULL. */
const struct mm2_property *mm2_properties_find(const struct mm2_properties *p, const char *key);

#endif
