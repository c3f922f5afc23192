/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers straight from the clusters of one link, for when no mirror runs: the run tables as they
 * are stored on the target, held against where both logs end now.
 *
 * The source may be gone (that is when this is asked): then it is not checked, and said so. All
 * calls wait, no longer than the deadline in all.
 */
#ifndef FARSHORE_TOOLS_DIRECT_H
#define FARSHORE_TOOLS_DIRECT_H

#include "checkpoint/store.h"
#include "checkpoint/translate.h"
#include "mirror/config/config.h"

struct direct;

/* A partition that has a table. Strings and table live as long as the struct direct. */
struct direct_partition {
	const char *topic, *target_topic;
	int32_t partition;
	const struct runs *runs;
	int64_t source_end, target_end; /* of the logs; -1 not known */
	const char *doubt;              /* "" none */
};

/* Connect to both clusters; `link` is borrowed. ERR_CONFIG, or what keeps us from the target. */
enum err direct_open(const struct link_config *link, int64_t timeout_ms, struct direct **out,
		     struct errmsg *why) ERR_MUST_USE;
void direct_close(struct direct *d); /* NULL is safe */

/* Why the source cannot be asked; "" if it can. */
const char *direct_source_problem(const struct direct *d);

/* Read the tables of this partition of the topic of either name, or of all (`topic` NULL). Once.
 * ERR_NOT_FOUND: the target has no run tables of this link. */
enum err direct_load(struct direct *d, const char *topic, int32_t partition,
		     struct errmsg *why) ERR_MUST_USE;

/* Stored blocks that could not be read: answers about what they held are bounds. */
unsigned direct_lost(const struct direct *d);

/* The partition of the topic that has this name at the target (`at_target`) or at the source, and
 * ask where its logs end. ERR_NOT_FOUND: there is no table. */
enum err direct_find(struct direct *d, const char *topic, bool at_target, int32_t partition,
		     struct direct_partition *out, struct errmsg *why) ERR_MUST_USE;

/* Translate one offset. */
void direct_translate(const struct direct *d, const struct direct_partition *p,
		      enum translate_direction direction, int64_t offset, struct translation *out);

/*
 * The committed offsets of a group, at the source or (back) at the target, each translated; those
 * that cannot be have no answer and say why. `list` is the caller's (mem_free), its strings are
 * not. ERR_NOT_FOUND: the group has no offsets there.
 */
enum err direct_group(struct direct *d, const char *group, enum translate_direction direction,
		      struct translation **list, size_t *n, struct errmsg *why) ERR_MUST_USE;

#endif
