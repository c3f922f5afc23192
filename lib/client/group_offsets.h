/* SPDX-License-Identifier: Apache-2.0 */
/* All committed offsets of groups, from their coordinator. Many groups in one request where the
 * broker can (KIP-709, Kafka 3.0), else one after the other. */
#ifndef FARSHORE_CLIENT_GROUP_OFFSETS_H
#define FARSHORE_CLIENT_GROUP_OFFSETS_H

#include "lib/client/client.h"

/* Slices live during the callback. */
struct group_offset {
	struct bytes topic;
	int32_t partition;
	int64_t offset; /* -1: none is committed */
	int32_t leader_epoch;
	struct bytes metadata; /* may be null */
	enum err err;          /* of this partition alone; then the offset says nothing */
};

/* A walk over one group's offsets, in the broker's order. */
struct group_offsets {
	const void *msg; /* the answer */
	int32_t group;   /* -1: an answer about one group only (before version 8) */
	int32_t topic, partition;
};
bool group_offsets_next(struct group_offsets *o, struct group_offset *out);

struct group_offsets_events {
	/* Once at most for each group, by its place in the list. Without offsets: the group has
	 * none, or there is no such group. */
	void (*on_group)(void *arg, size_t index, enum err e, struct group_offsets *o);
	/* Once, after that. With an error some groups were not told. */
	void (*on_done)(void *arg, enum err e, const struct errmsg *why);
};

/* `groups` (n > 0) are borrowed until on_done. Callbacks come from the loop. ERR_NOMEM: none comes.
 */
enum err group_offsets_fetch(struct client *c, uint8_t channel, int32_t node,
			     const char *const *groups, size_t n,
			     const struct group_offsets_events *ev, void *arg) ERR_MUST_USE;

#endif
