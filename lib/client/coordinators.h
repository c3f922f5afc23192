/* SPDX-License-Identifier: Apache-2.0 */
/* Which broker coordinates a group. Many groups in one request where the broker can (KIP-699, Kafka
 * 3.0), else one after the other. */
#ifndef FARSHORE_CLIENT_COORDINATORS_H
#define FARSHORE_CLIENT_COORDINATORS_H

#include "lib/client/client.h"

struct coordinators_events {
	/* Once at most for each group, by its place in the list. ERR_OK: `node` >= 0. */
	void (*on_group)(void *arg, size_t index, enum err e, int32_t node);
	/* Once, after that. With an error some groups were not told. */
	void (*on_done)(void *arg, enum err e, const struct errmsg *why);
};

/* `groups` (n > 0) are borrowed until on_done. Callbacks come from the loop. ERR_NOMEM: none comes.
 */
enum err coordinators_find(struct client *c, uint8_t channel, const char *const *groups, size_t n,
			   const struct coordinators_events *ev, void *arg) ERR_MUST_USE;

#endif
