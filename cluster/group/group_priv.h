/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a group, for group.c, group_join.c, group_sync.c and group_state.c alone. */
#ifndef FARSHORE_CLUSTER_GROUP_GROUP_PRIV_H
#define FARSHORE_CLUSTER_GROUP_GROUP_PRIV_H

#include "cluster/group/group.h"
#include "cluster/group/member.h"

/* An id that was given out with MEMBER_ID_REQUIRED; the client is to come back with it. */
struct group_pending {
	struct bytes id; /* owned */
	int64_t deadline;
	struct group_pending *next;
};

/* What a stored record was for. Lives until the host says that it is stored. */
struct group_store {
	struct group_write write;
	struct group *group;
	enum group_store_kind { STORE_NEW, STORE_EMPTY, STORE_ASSIGNMENT, STORE_STATIC } kind;
	int32_t generation;
	/* STORE_STATIC: what to go back to if it fails. */
	struct bytes old_id, new_id; /* owned */
	struct protocols *old_protocols;
	int32_t old_session_timeout_ms, old_rebalance_timeout_ms;
	struct group_store *next, **back; /* the group's list */
};

struct group {
	struct bytes id; /* owned */
	const struct group_config *config;
	const struct group_host *host;
	void *arg;

	enum group_state state, previous;
	int64_t since_ms; /* wall clock; -1: unknown */
	int32_t generation;
	struct bytes protocol_type; /* owned; null: none */
	struct bytes protocol;      /* owned; null: none chosen */

	struct group_member *first, *last;
	struct group_member *leader;
	size_t members_n, awaiting_join_n, pending_sync_n;
	struct map *members;   /* id -> struct group_member; NULL while there is none */
	struct map *instances; /* instance id -> struct group_member */
	struct map *votes;     /* protocol -> struct protocol_count */
	struct group_pending *pending;
	size_t pending_n;

	/* Timers; GROUP_NEVER: not armed. */
	int64_t join_deadline; /* the end of the join phase */
	int64_t sync_deadline; /* until then each member asks for its assignment */
	int64_t armed;         /* what the host knows */
	bool put_off;          /* the last tick came late, and was put off */
	/* The first rebalance waits a little for more members (KIP-134). */
	bool initial, member_added;
	int64_t initial_delay_ms, initial_left_ms;

	bool assignment_stored; /* of this generation: it is on its way to the log */
	struct group_store *stores;
	size_t bytes; /* of members and pending ids */
};

/* ---- group.c ---- */

void group_move(struct group *g, enum group_state to);
/* Tell the host of the next deadline. Every entry point ends with it. */
void group_rearm(struct group *g);
int64_t group_now(const struct group *g);

struct group_member *group_find(const struct group *g, struct bytes id);
struct group_member *group_find_instance(const struct group *g, struct bytes instance_id);
struct group_pending *group_find_pending(const struct group *g, struct bytes id);

/* Is this member one of the group (ClassicGroup.validateMember)? */
enum err group_validate(const struct group *g, struct bytes id, struct bytes instance_id);
/* Is it one of this generation, and has the group a life? */
enum err group_validate_generation(const struct group *g, struct bytes id, struct bytes instance_id,
				   int32_t generation);

/* Takes `m` if it succeeds: ERR_NOMEM. The first one sets the group's protocol type. */
enum err group_add(struct group *g, struct group_member *m, struct bytes protocol_type);
/* Answers what it waits for with UNKNOWN_MEMBER_ID, and frees it. */
void group_remove(struct group *g, struct group_member *m);
enum err group_add_pending(struct group *g, struct bytes id, int64_t deadline);
void group_remove_pending(struct group *g, struct group_pending *p);

/* Replace the protocols of a member (takes them). */
enum err group_set_protocols(struct group *g, struct group_member *m, struct protocols *p);
/* Give a member another id (a static member that came back). */
enum err group_rename(struct group *g, struct group_member *m, struct bytes id);

/* Does every member know one of these protocols (ClassicGroup.supportsProtocols)? */
bool group_supports(const struct group *g, const struct join_group_request *q);
/* The protocol that the members would vote for now; borrowed from a member. */
struct bytes group_vote(const struct group *g);

int32_t group_rebalance_timeout(const struct group *g);
void group_touch(struct group *g, struct group_member *m); /* its session begins anew */
void group_expect(struct group *g, struct group_member *m, int64_t within_ms);

/* ---- group_join.c ---- */

/* A new rebalance, from any state that allows it; `why` is for the log. */
void group_join_prepare(struct group *g, const char *why);
/* Start a rebalance, or end the one that runs if this was the last to come. */
void group_join_proceed(struct group *g, const char *why);
void group_join_complete_if_all(struct group *g);
void group_join_time_is_up(struct group *g);
/* Answer a member that is waiting, and the answer to one that is not (a static member's). */
void group_join_fail(struct group *g, struct group_member *m, enum err e, struct bytes member_id);
/* Its record is stored, or not: answer the static member that came back. */
void group_join_static_stored(struct group *g, struct group_store *s, enum err e);

/* ---- group_sync.c ---- */

void group_sync_fail(struct group *g, struct group_member *m, enum err e);
void group_sync_fail_all(struct group *g, enum err e);
void group_sync_time_is_up(struct group *g);
void group_sync_stored(struct group *g, struct group_store *s, enum err e);

/* ---- group_state.c ---- */

/* Write the group's record: with the members' next assignments, or the present ones. `done` comes
 * to the kind's function. ERR_NOMEM: nothing is on its way. Takes `s`. */
struct group_store *group_state_store_new(struct group *g, enum group_store_kind kind);
void group_state_store_free(struct group_store *s);
enum err group_state_store(struct group *g, struct group_store *s);
/* The same for a group without members, where nobody waits for it. */
void group_state_store_empty(struct group *g);

#endif
