/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A group on a table: virtual time, a log that stores when the test says so, clients that join and
 * sync. What was stored last can be replayed into another group and compared.
 */
#ifndef FARSHORE_TESTS_UNIT_CLUSTER_GROUP_RIG_H
#define FARSHORE_TESTS_UNIT_CLUSTER_GROUP_RIG_H

#include "cluster/group/group.h"
#include "cluster/group/group_priv.h"

enum { RIG_PROTOCOLS = 4, RIG_WRITES = 64 };

struct rig {
	int64_t now;
	uint64_t ids;
	int64_t armed;
	struct group_config config;
	struct group *group;
	struct group_waiter *answers;
	/* Writes that are under way, the oldest first, and what they hold. */
	struct rig_write {
		struct group_write *write;
		struct buf key, value;
	} writes[RIG_WRITES];
	size_t writes_n;
	struct buf key, value; /* stored last; value.len == 0: nothing yet */
	size_t stored_n;
	bool known; /* the group's first record was written */
	bool hold;  /* keep writes under way until rig_store */
};

/* A group "g" with Kafka's defaults: 3 s of delay, no limit on members that matters. */
void rig_init(struct rig *r);
void rig_fini(struct rig *r);

/* Give the answers; unless writes are held, store them first. */
void rig_turn(struct rig *r);
/* Complete the oldest `n` writes. */
void rig_store(struct rig *r, size_t n, enum err e);
/* Let time pass, with everything that happens meanwhile. */
void rig_pass(struct rig *r, int64_t ms);

/* A client's view. Zero it, or set: id, instance, protocols (name, metadata pairs), timeouts. */
struct client {
	const char *name; /* client id */
	char id[128];
	const char *instance;
	const char *type; /* NULL: "consumer" */
	const char *protocols[RIG_PROTOCOLS][2];
	int16_t version; /* of JoinGroup; 0 counts as 9 */
	bool version_zero;
	int32_t session_ms, rebalance_ms; /* 0: 10 s, 60 s */

	struct group_join join;
	struct join_group_request join_request;
	struct join_group_request_join_group_request_protocol list[RIG_PROTOCOLS];
	bool joining, joined;
	int16_t join_error;
	int32_t generation;
	char leader[128], protocol[64];
	bool skip;
	int32_t members;      /* listed to it */
	char listed[16][128]; /* their ids */

	struct group_sync sync;
	struct sync_group_request sync_request;
	struct sync_group_request_sync_group_request_assignment assignments[16];
	char assigned[16][160];
	bool syncing, synced;
	int16_t sync_error;
	char assignment[160];
};

/* Send JoinGroup with what the client knows (its id); rig_turn shows the answer. */
void client_join(struct rig *r, struct client *c);
/* The same, and again after MEMBER_ID_REQUIRED. */
void client_come(struct rig *r, struct client *c);
/* Send SyncGroup; a leader (with members listed) assigns "<generation>:<id>" to each. */
void client_sync(struct rig *r, struct client *c);
enum err client_heartbeat(struct rig *r, const struct client *c);
enum err client_leave(struct rig *r, const struct client *c);
enum err client_commit(struct rig *r, const struct client *c);
/* Take back what waits (the connection is gone). */
void client_cut(struct client *c);
bool client_leads(const struct client *c);

/* Join all, let the first rebalance pass, sync all: a stable group. */
void rig_stable(struct rig *r, struct client *clients, size_t n);

/* A group made from what was stored last; free it with group_free. */
struct group *rig_replay(struct rig *r);
/* Equal generation, protocol, leader, members and assignments. */
void rig_assert_same(const struct group *a, const struct group *b);

#endif
