/* SPDX-License-Identifier: Apache-2.0 */
/* One member of a group: who it is, what it can do, what it was given, what it waits for. */
#ifndef FARSHORE_CLUSTER_GROUP_MEMBER_H
#define FARSHORE_CLUSTER_GROUP_MEMBER_H

#include "cluster/group/group.h"

struct protocol {
	struct bytes name, metadata;
};

/* The protocols that a member can follow, the one that it likes best first; names are unique. One
 * block of memory. */
struct protocols {
	size_t n;
	size_t bytes; /* of the block */
	struct protocol items[];
};

enum { PROTOCOLS_MAX = 64 };

/* A copy of a request's list, without repeated names. NULL when out of memory. */
struct protocols *protocols_new(const struct join_group_request_join_group_request_protocol *list,
				int32_t n);

/* Null: not among them. */
struct bytes protocols_metadata(const struct protocols *p, struct bytes name);

/* The same names with the same metadata in the same order (ClassicGroupMember.matches). */
bool protocols_match(const struct protocols *p,
		     const struct join_group_request_join_group_request_protocol *list, int32_t n);

struct group_member {
	/* Owned. They may hold any byte: a client chose them. */
	struct bytes id;
	struct bytes instance_id; /* null: a dynamic member */
	struct bytes client_id, client_host;
	int32_t session_timeout_ms, rebalance_timeout_ms;
	struct protocols *protocols;
	struct bytes assignment;      /* owned; empty: none */
	struct bytes next_assignment; /* owned; on its way to the log */

	/* The member is in the phase, even if the connection that asked is gone and nobody waits.
	 */
	bool awaiting_join, awaiting_sync;
	struct group_waiter *join, *sync;
	bool is_new;       /* never had an answer to a join */
	bool pending_sync; /* of this generation */
	int64_t deadline;  /* monotonic; the end of its session */

	struct group_member *prev, *next; /* in the order they joined */
};

struct member_options {
	struct bytes id, instance_id, client_id, client_host; /* instance_id may be null */
	int32_t session_timeout_ms, rebalance_timeout_ms;
};

/* Takes `protocols` if it succeeds. NULL when out of memory. */
struct group_member *member_new(const struct member_options *o, struct protocols *protocols);
/* Its waiters must be gone. */
void member_free(struct group_member *m);
size_t member_bytes(const struct group_member *m);

/* Replace an owned slice by a copy (of null: null); false when out of memory, and it is as before.
 */
bool member_set_bytes(struct bytes *owned, struct bytes value);

#endif
