/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state machine of one classic group, as Kafka's ClassicGroup and GroupMetadataManager have
 * it. No I/O: time, ids, the log and the answers' way back are the host's, so that a test drives
 * it with a virtual clock. What must outlive a restart is given to the host as a record first;
 * the machine goes on when the host says that it is stored.
 *
 *                    first join                 all joined, or time is up
 *      .--> EMPTY ---------------> PREPARING -------------------> COMPLETING
 *      |      |                      |   ^  ^                      |    |
 *      |      |   nobody is left     |   |  '----------------------'    | leader's assignment
 *      '------|----------------------'   |    join, leave, expiry,      | is stored
 *             |                          |    store failed              v
 *             |                          '--------------------------- STABLE
 *             '----> DEAD (from any state: deleted)
 */
#ifndef FARSHORE_CLUSTER_GROUP_GROUP_H
#define FARSHORE_CLUSTER_GROUP_GROUP_H

#include "lib/base/arena.h"
#include "lib/base/log.h"
#include "lib/base/map.h"
#include "lib/wire/messages.h"
#include "lib/wire/wire.h"

struct group;
struct group_member;

enum group_state { GROUP_EMPTY, GROUP_PREPARING, GROUP_COMPLETING, GROUP_STABLE, GROUP_DEAD };
enum { GROUP_STATES = GROUP_DEAD + 1 };

/* "Stable", as the protocol spells it. */
const char *group_state_name(enum group_state s);

/* Never, as a deadline. */
#define GROUP_NEVER INT64_MAX

enum { GROUP_UUID = 36 + 1 }; /* characters of an id's random part, with the NUL */

/* Somebody who waits for an answer. The memory is the caller's until `answered` or
 * group_waiter_cancel. */
struct group_waiter {
	void (*answered)(struct group_waiter *w); /* once, from the host's loop */
	/* The machine's and the host's. */
	struct group_waiter **slot;        /* where a member holds it */
	struct group_waiter *next, **back; /* in the host's queue of answers */
};

/* A JoinGroup request and its answer, which lives in `arena` and borrows nothing from the group. */
struct group_join {
	struct group_waiter waiter;
	const struct join_group_request *request;
	int16_t version;
	struct bytes client_id;   /* null counts as empty */
	struct bytes client_host; /* as Kafka writes it: "/127.0.0.1" */
	struct join_group_response answer;
	struct arena arena;
	enum err fault; /* ERR_NOMEM: there is no answer */
};

struct group_sync {
	struct group_waiter waiter;
	const struct sync_group_request *request;
	struct sync_group_response answer;
	struct arena arena;
	enum err fault;
};

/* Set up what the machine keeps in them; the caller sets `answered`, `request` and so on. */
void group_join_init(struct group_join *j);
void group_join_fini(struct group_join *j);
void group_sync_init(struct group_sync *s);
void group_sync_fini(struct group_sync *s);

/* The connection is gone: no answer. The member stays, and waits, until its session ends. */
void group_waiter_cancel(struct group_waiter *w);

/* A record on its way to the log. */
struct group_write {
	/* Once, from the host's loop. Errors are the log's (KAFKA_STORAGE_ERROR). */
	void (*done)(struct group_write *w, enum err e);
	/* The host's. */
	struct group_write *next;
	enum err result;
	size_t *pending; /* counted down after `done`; NULL: nothing is counted */
};

/* What the machine asks of the outside. */
struct group_host {
	int64_t (*mono_ms)(void *arg);
	int64_t (*wall_ms)(void *arg);
	/* 36 characters that no one else has, and a NUL. */
	void (*uuid)(void *arg, char out[GROUP_UUID]);
	/* Call group_tick at `deadline` (GROUP_NEVER: not at all). Replaces the last one. */
	void (*arm)(void *arg, int64_t deadline_ms);
	/* Append one record (both slices are the machine's and gone after the call), then `done`.
	 * Records are stored in the order of the calls. */
	void (*store)(void *arg, struct bytes key, struct bytes value, struct group_write *w);
	/* Call w->answered(w) soon. */
	void (*answer)(void *arg, struct group_waiter *w);
};

struct group_config {
	int64_t initial_rebalance_delay_ms;
	int64_t new_member_join_timeout_ms; /* of one that never got an answer */
	int32_t max_size;
	size_t member_bytes_max; /* of a member's subscriptions, and of its assignment */
	struct log *log;         /* may be NULL */
};

/* An empty group. `id` is copied; `config` and `host` outlive it. NULL when out of memory. */
struct group *group_new(struct bytes id, const struct group_config *config,
			const struct group_host *host, void *arg);

/* Waiters and writes are forgotten; the host must not complete a write afterwards. NULL is safe. */
void group_free(struct group *g);

/* ---- requests ---- */

/* Answers now (through the host) or when the rebalance is through. */
void group_join(struct group *g, struct group_join *j);
void group_sync(struct group *g, struct group_sync *s);

/* ERR_OK, or what to answer. */
enum err group_heartbeat(struct group *g, const struct heartbeat_request *q) ERR_MUST_USE;

/* One member of a LeaveGroup request; then, when all are done, group_left. */
enum err group_leave(struct group *g,
		     const struct leave_group_request_member_identity *who) ERR_MUST_USE;
void group_left(struct group *g);

/* May this member commit offsets now? It counts as a sign of life. */
enum err group_commit(struct group *g, const struct offset_commit_request *q) ERR_MUST_USE;

/* Fill in state, protocol and members, in `a`. ERR_NOMEM. */
enum err group_describe(const struct group *g, struct arena *a,
			struct describe_groups_response_described_group *out) ERR_MUST_USE;

/* It is deleted: everybody who waits is answered. */
void group_die(struct group *g);

/* ---- time and the log ---- */

/* The time that was armed has come. */
void group_tick(struct group *g);

/* Write the record of a group that was just made, so that a restart knows it. */
void group_store_new(struct group *g);

/* Take the state from a record (replay); the group is EMPTY or STABLE then and no time runs for it
 * before group_loaded. ERR_NOMEM: it is as before. ERR_MALFORMED: the record contradicts itself. */
enum err group_load(struct group *g, const struct group_metadata_value *v,
		    struct errmsg *why) ERR_MUST_USE;
void group_loaded(struct group *g);

/* ---- questions ---- */

struct bytes group_id(const struct group *g);
enum group_state group_state(const struct group *g);
int32_t group_generation(const struct group *g);
size_t group_members(const struct group *g);
size_t group_pending(const struct group *g); /* ids given out, not yet joined */
/* Null: a group that only stores offsets. */
struct bytes group_protocol_type(const struct group *g);
/* When it came into its state, ms since the epoch; -1: unknown (an old record). */
int64_t group_state_since(const struct group *g);
size_t group_bytes(const struct group *g);     /* of memory, about */
bool group_is_consumer(const struct group *g); /* its protocol type is "consumer" */

/* Add the topics that the members subscribe to; false: it cannot be told (another protocol, or a
 * subscription that cannot be read). ERR_NOMEM only counts as "cannot be told". */
bool group_subscribed(const struct group *g, struct map *topics);

/* Abort if something is inconsistent. For tests. */
void group_check(const struct group *g);

#endif
