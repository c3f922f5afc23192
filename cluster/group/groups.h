/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The group coordinator: classic consumer groups (join, sync, heartbeat, leave) and committed
 * offsets, kept as Kafka's own records in __consumer_offsets. Every change that must outlive a
 * restart is stored there before anybody is told of it; a start is a replay.
 *
 * Errors are the protocol's, as a response has them: NOT_COORDINATOR while there is no
 * __consumer_offsets or it cannot be written, COORDINATOR_LOAD_IN_PROGRESS while it is read,
 * COORDINATOR_NOT_AVAILABLE where the same request may succeed later.
 */
#ifndef FARSHORE_CLUSTER_GROUP_GROUPS_H
#define FARSHORE_CLUSTER_GROUP_GROUPS_H

#include "cluster/group/group.h"
#include "cluster/group/offsets.h"
#include "cluster/metadata/metadata.h"

struct groups;

struct groups_options {
	struct loop *loop;
	struct metadata *metadata; /* borrowed, outlives the coordinator */

	int32_t offsets_partitions; /* of __consumer_offsets, when it is made */
	int64_t offsets_retention_ms;
	int64_t offsets_retention_check_interval_ms;
	int32_t offset_metadata_max; /* UTF-16 units of a committed text */
	int64_t initial_rebalance_delay_ms;
	int64_t min_session_timeout_ms, max_session_timeout_ms;
	int32_t max_size; /* members of a group; more than 10 000 count as 10 000 */

	/* Bounds of our own; 0: the default. */
	size_t groups_max;       /* groups in memory (100 000) */
	size_t member_bytes_max; /* of one member's subscriptions, and of one assignment (1 MiB) */
	size_t bytes_max;        /* of all groups together (256 MiB) */
};

/* Makes the coordinator and begins to load what __consumer_offsets holds, a slice per loop turn;
 * until a partition is read its groups answer COORDINATOR_LOAD_IN_PROGRESS. ERR_NOMEM. */
enum err groups_new(const struct groups_options *o, struct groups **out,
		    struct errmsg *why) ERR_MUST_USE;

/* All is loaded: for readiness. */
bool groups_ready(const struct groups *g);

/* Stop: requests that wait are forgotten without a callback (their connections are closed before).
 * NULL is safe. */
void groups_free(struct groups *g);

/* Call it from metadata's on_topic_deleted: committed offsets of the topic are tombstoned. */
void groups_topic_deleted(struct groups *g, const struct topic *t);

/* For metrics. */
struct groups_count {
	size_t groups, members, offsets;
	size_t bytes;
	size_t by_state[GROUP_STATES]; /* enum group_state */
	uint64_t commits;              /* of one partition each */
	uint64_t expired;              /* offsets */
};
void groups_count(const struct groups *g, struct groups_count *out);

/* ---- waiting ---- */

/* Somebody who waits for something to be stored. The memory is the caller's until `done`, which
 * comes once, from the loop, or groups_wait_cancel. */
struct groups_wait {
	void (*done)(struct groups_wait *w, enum err e);
	/* The coordinator's. */
	struct groups_wait **slot, *next;
};

/* The client is gone; what was asked for happens all the same. Safe if nothing waits. */
void groups_wait_cancel(struct groups_wait *w);

/* ---- the coordinator ---- */

/* Make __consumer_offsets if it is not there; then `done`. */
void groups_create(struct groups *g, struct groups_wait *w);

/* Does this broker coordinate the group now? ERR_OK, or what to answer. */
enum err groups_check(const struct groups *g, struct bytes group_id) ERR_MUST_USE;

/* Wait until all that was begun for the group's partition is stored. */
enum err groups_settle(struct groups *g, struct bytes group_id, struct groups_wait *w) ERR_MUST_USE;

/* ---- members ---- */

/* ERR_OK: the answer comes by the waiter. Else it is this error, and nothing was begun. */
enum err groups_join(struct groups *g, struct group_join *j) ERR_MUST_USE;
enum err groups_sync(struct groups *g, struct group_sync *s) ERR_MUST_USE;

enum err groups_heartbeat(struct groups *g, const struct heartbeat_request *q) ERR_MUST_USE;

/* An error per member in `errors` (members_n of them), if ERR_OK. */
enum err groups_leave(struct groups *g, const struct leave_group_request *q,
		      enum err *errors) ERR_MUST_USE;

/* NULL: there is no such group (see groups_check first). */
const struct group *groups_find(const struct groups *g, struct bytes group_id);

/* Iterate: start with *at = 0; no change meanwhile. Groups that are still being read count, too. */
const struct group *groups_next(const struct groups *g, size_t *at);

/* ---- offsets ---- */

/* One offset to be committed. The handler sets `error` where it refuses one itself; those are left
 * alone. */
struct groups_offset {
	struct bytes topic;
	struct uuid topic_id; /* of the topic as it is now */
	int32_t partition;
	int64_t offset;
	int32_t leader_epoch;
	struct bytes metadata; /* may be null */
	enum err error;        /* ERR_KAFKA_OFFSET_METADATA_TOO_LARGE is set here */
};

/* ERR_OK: `w->done` comes when all are stored, and fetches see them. Else nothing was begun. */
enum err groups_commit(struct groups *g, const struct offset_commit_request *q, int16_t version,
		       struct groups_offset *offsets, size_t n, struct groups_wait *w) ERR_MUST_USE;

/* NULL: nothing is committed. Valid until the loop turns. */
const struct offsets *groups_offsets(const struct groups *g, struct bytes group_id);

/* Delete offsets: `error` is set for topics that the group subscribes to
 * (ERR_KAFKA_GROUP_SUBSCRIBED_TO_TOPIC). As groups_commit; GROUP_ID_NOT_FOUND, NON_EMPTY_GROUP. */
enum err groups_delete_offsets(struct groups *g, struct bytes group_id,
			       struct groups_offset *offsets, size_t n,
			       struct groups_wait *w) ERR_MUST_USE;

/* Delete a group with its offsets. As groups_commit; GROUP_ID_NOT_FOUND, NON_EMPTY_GROUP. */
enum err groups_delete(struct groups *g, struct bytes group_id, struct groups_wait *w) ERR_MUST_USE;

#endif
