/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Consumer groups of a link: their committed offsets are read at the source, translated through the
 * run tables, committed at the target (`sync_group_offsets`) and told in MM2's checkpoints topic
 * (`emit_checkpoints`).
 *
 * Rules. At the target a group is only written to while it has no members. Its position never goes
 * back there, unless the source's went back, the link is told to follow (`follow_rewinds`), and the
 * target still stands where this link put it. A position past the mirrored end is clamped to the
 * end and completed when the records have arrived. No position is translated through a run table
 * that is not verified, or of a partition whose state is in doubt.
 */
#ifndef FARSHORE_MIRROR_GROUPS_H
#define FARSHORE_MIRROR_GROUPS_H

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "mirror/link/link.h"

struct groups;
struct slot;

/* clang-format off */
/* Why a position is not on the target as it should be. X(name, word, what it means) */
#define GROUP_SKIPS(X) \
	X(NONE,             "", "") \
	X(NOT_READY,        "not_ready", "the partition is not copied yet, or its run table is not verified yet") \
	X(DOUBTFUL,         "doubtful", "the partition is in a state in which its run table may be wrong") \
	X(REVERSE_UNKNOWN,  "reverse_unknown", "the target writes to the topic too (or it is a copy from there), and the reverse link's run table is not known") \
	X(TARGET_ACTIVE,    "target_active", "the group has members at the target: it is theirs") \
	X(TARGET_AHEAD,     "target_ahead", "the group is further at the target; it never goes back") \
	X(REWOUND,          "rewound", "the group went back at the source, and follow_rewinds is off") \
	X(TARGET_MOVED,     "target_moved", "the group went back at the source, but at the target somebody else moved it") \
	X(REFUSED,          "refused", "the target refused the commit") \
	X(SYNC_OFF,         "sync_off", "sync_group_offsets is off")

enum group_skip {
#define X(name, word, text) GROUP_SKIP_##name,
	GROUP_SKIPS(X)
#undef X
	GROUP_SKIPS_N
};
/* clang-format on */

/* Static storage. */
const char *group_skip_word(enum group_skip s);
const char *group_skip_text(enum group_skip s);

/* ERR_CONFIG: a pattern of `groups` (`why`); ERR_NOMEM. `*out` is NULL if the link's settings name
 * no groups; all functions take that. */
enum err groups_new(struct link *k, struct groups **out, struct errmsg *why) ERR_MUST_USE;
/* After the link's clients were freed and the loop turned. */
void groups_free(struct groups *g);

/* The run tables are loaded: begin. */
void groups_start(struct groups *g);
void groups_on_metadata(struct groups *g);
/* Begin nothing more. */
void groups_stop(struct groups *g);
/* Before the link's clients are freed: nothing more is asked of them. */
void groups_halt(struct groups *g);
/* Nothing is under way any more. */
bool groups_stopped(struct groups *g);

/* Append the link's groups as JSON objects, each with a comma before it unless `*first`. `only`:
 * one group; NULL: all. `positions`: with every partition. */
void groups_json(struct groups *g, const char *only, bool positions, bool *first, struct buf *out);

/* Append the link's summary in the same way. */
void groups_summary_json(const struct groups *g, bool *first, struct buf *out);

/* All groups of a link together: positions, and what consumers that move now would meet. */
struct groups_sums {
	size_t groups, positions;
	size_t unknown; /* positions without a translation now */
	size_t waiting; /* positions that are not on the target as they should be */
	int64_t lost, repeated, skipped; /* offsets; see /v1/groups in docs/operating.md */
	int64_t done_ms;                 /* wall: end of the last round without a fault; 0 never */
	const char *problem; /* of the last round; "" none; lives as long as the link's groups */
};
/* False: the link follows no groups. */
bool groups_sum(struct groups *g, struct groups_sums *out);

struct metrics;
/* The families farshore_group*, over all links. */
void groups_metrics(struct link *const *links, size_t n, struct metrics *m);
/* MM2's checkpoint-latency-ms, for the checkpoints of the last minutes. */
void groups_mm2_metrics(struct link *const *links, size_t n, struct metrics *m);

#endif
