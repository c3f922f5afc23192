/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All groups of a cluster. A broker lists only the groups that it coordinates, so every broker is
 * asked, and a group's lister is its coordinator.
 */
#ifndef FARSHORE_CLIENT_GROUP_LIST_H
#define FARSHORE_CLIENT_GROUP_LIST_H

#include "lib/client/client.h"

/* Slices live during the callback. */
struct group_list_entry {
	struct bytes group;
	struct bytes protocol_type; /* "consumer"; "" of a group without members that never had any;
				       "connect", "share" ... */
	struct bytes state;         /* "Empty", "Stable" ...; "" before Kafka 2.6 (KIP-518) */
	struct bytes type;          /* "classic", "consumer" ...; "" before Kafka 3.8 (KIP-848) */
	int32_t node;               /* its coordinator */
};

struct group_list_events {
	void (*on_group)(void *arg, const struct group_list_entry *g);
	/* Once, after all on_group calls. ERR_OK: every broker that the metadata name has answered
	 * without an error. Groups that a dead broker coordinated may be missing even then, until
	 * another takes them over. Else the first error; what was listed stands. */
	void (*on_done)(void *arg, enum err e, const struct errmsg *why);
};

/* Callbacks come from the loop. ERR_CONNECT: there are no metadata yet. ERR_NOMEM. After an error
 * no callback comes. */
enum err group_list(struct client *c, uint8_t channel, const struct group_list_events *ev,
		    void *arg) ERR_MUST_USE;

#endif
