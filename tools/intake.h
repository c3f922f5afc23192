/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon says (/v1/links), read field by field: nothing is believed that is not of the
 * right kind. */
#ifndef FARSHORE_TOOLS_INTAKE_H
#define FARSHORE_TOOLS_INTAKE_H

#include <jansson.h>

#include "lib/base/arena.h"
#include "lib/base/err.h"

/* How bad a state is; the order counts. */
enum intake_care {
	CARE_NONE,   /* records flow */
	CARE_WAITS,  /* it will end by itself, or an operator wished it */
	CARE_PERSON, /* it stays so until somebody acts */
};

/* Strings are borrowed from the JSON. */
struct intake_partition {
	const char *state, *reason;
	const struct intake_topic *topic;
	int64_t since_ms; /* daemon's clock */
	int64_t source_position, source_end, target_position;
	int64_t lag_records; /* -1 unknown */
	double lag_seconds;
	enum intake_care care;
	int32_t partition;
};

struct intake_topic {
	const char *source, *target, *problem;
	const struct intake_link *link;
	struct intake_partition *partitions;
	size_t partitions_n;
};

struct intake_link {
	const char *name, *state, *reason;
	struct intake_topic *topics;
	size_t topics_n;
	size_t partitions_n;
	int64_t since_ms;
	int64_t lag_records;
	enum intake_care care;
	bool ready, paused;
};

struct intake {
	struct intake_link *links;
	size_t links_n;
	int64_t now_ms; /* the daemon's clock */
	struct arena arena;
	json_t *root;
};

/* ---- groups (/v1/groups) ---- */

/* One committed offset of a group. -1: not known. */
struct intake_position {
	const char *topic, *target_topic;
	const char *problem, *reason, *detail; /* why it is not at the target as it should be; "" */
	int64_t source_position, source_end;
	int64_t target_position, target_committed;
	int64_t max_behind, pending;
	int64_t lost, repeated, skipped; /* for a consumer that moved now */
	int32_t partition;
	bool exact;
};

struct intake_group {
	const char *link, *group, *source_state, *target_state, *problem;
	struct intake_position *positions; /* if they were asked for */
	size_t positions_n;
	int64_t synced_ms; /* daemon's clock; -1 never */
	int64_t partitions, not_mirrored, unknown, inexact, waiting;
	int64_t lost, repeated, skipped;
};

struct intake_groups {
	struct intake_group *groups;
	size_t groups_n;
	int64_t now_ms;
	struct arena arena;
	json_t *root;
};

/* As intake_links. */
enum err intake_groups(json_t *root, struct intake_groups *out, struct errmsg *why) ERR_MUST_USE;
void intake_groups_fini(struct intake_groups *in);

/* The worst first: whose positions are not known, then by what would be lost, then repeated. */
void intake_groups_sort(struct intake_groups *in);

/* The JSON object that `text` is; NULL if it is none, or one that says a thing twice. */
json_t *intake_parse(struct bytes text);

/* Takes over `root`, whatever comes of it. ERR_MALFORMED: `why` names what is missing, or that this
 * is no mirror; ERR_NOMEM. After an error nothing needs intake_fini. */
enum err intake_links(json_t *root, struct intake *out, struct errmsg *why) ERR_MUST_USE;
void intake_fini(struct intake *in);

/* All partitions of all links, the worst first: by care, then unknown lag, then lag; NULL when out
 * of memory or there are none. Lives as long as the intake. */
const struct intake_partition **intake_worst_first(struct intake *in, size_t *n);

#endif
