/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MM2's heartbeats (MirrorHeartbeatTask): a record each interval in the topic `heartbeats`, with
 * the pair of aliases as its key and the time as its value.
 *
 * A link east->west writes (east, west) at west if `emit_heartbeats` is set, and (west, east) at
 * east if `emit_heartbeats_at_source` is. The topic at east is copied to west as `east.heartbeats`
 * (naming.h), from whose name Java's MirrorClient learns that west has east upstream, and how far
 * away it is.
 *
 * A heartbeat that cannot be written is not kept: the next one says more.
 */
#ifndef FARSHORE_MIRROR_HEARTBEATS_H
#define FARSHORE_MIRROR_HEARTBEATS_H

#include <stdint.h>

#include "lib/base/err.h"

struct link;
struct heartbeats;

/* Begins at once. ERR_NOMEM. */
enum err heartbeats_new(struct link *k, struct heartbeats **out) ERR_MUST_USE;

/* No more from now on; before the link's clients are freed. NULL is safe. */
void heartbeats_stop(struct heartbeats *h);

/* After the link's clients were freed. NULL is safe. */
void heartbeats_free(struct heartbeats *h);

/* New metadata of the source or the target. */
void heartbeats_on_metadata(struct heartbeats *h, bool source);

/* Of one end: wall clock ms of the newest heartbeat that the cluster has; 0: none yet; -1: none is
 * to be written there. */
int64_t heartbeats_last_ms(const struct heartbeats *h, bool source);

#endif
