/* SPDX-License-Identifier: Apache-2.0 */
/* One end of one flow of an MM2 file: which of the many places that a client setting can stand in
 * counts for it, and how its value is put into the native settings. */
#ifndef FARSHORE_MIRROR_MM2_SIDE_H
#define FARSHORE_MIRROR_MM2_SIDE_H

#include <stdio.h>

#include "lib/base/config.h"
#include "lib/base/map.h"
#include "mirror/config/mm2_keys.h"
#include "mirror/config/mm2_properties.h"

/* What the whole translation works on. */
struct mm2 {
	struct config *c;
	struct arena *arena;
	FILE *warnings;
	const char *file;
	struct mm2_properties props;
	const char *const *aliases;
	size_t aliases_n;
	struct map *told; /* warnings that were written: flows share properties */
};

struct mm2_side {
	struct mm2 *m;
	const char *flow;    /* "A->B" */
	const char *alias;   /* of this end */
	const char *section; /* where it goes: "clusters" or "links" */
	const char *name;    /* and under which name */
	bool source;
};

/* The property that sets client key `key` for this end, by MM2's precedence; NULL: not set. */
const struct mm2_property *mm2_side_value(const struct mm2_side *s, const char *key);

/* The property that sets connector key `key` for the flow: its own, else the one at top level. */
const struct mm2_property *mm2_side_link_value(const struct mm2_side *s, const char *key);

/* Put `value`, which comes from property `p` (NULL: a default of MM2), as native setting `to`. */
void mm2_side_put(const struct mm2_side *s, const char *to, const char *value,
		  const struct mm2_property *p);

/* The same, after the change of form that the key asks for. */
void mm2_side_put_formed(const struct mm2_side *s, const struct mm2_key *key,
			 const struct mm2_property *p);

/* A fault or a warning about a property: "FILE:LINE: KEY: ...". */
void mm2_side_fault(struct mm2 *m, const struct mm2_property *p, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void mm2_side_warn(struct mm2 *m, const struct mm2_property *p, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
