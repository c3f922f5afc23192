/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MM2's offset syncs: records (topic, partition) -> (source offset, target offset) in
 * `mm2-offset-syncs.<alias>.internal`, at the source or the target (`offset_syncs_location`), for
 * tools that translate offsets as MM2's OffsetSyncStore does. Our own translation is exact and does
 * not read them.
 *
 * A sync is the last record that was copied. When it is written follows MM2's OffsetSyncWriter: the
 * first of a partition since the start, after `offset_lag_max` records, when the distance between
 * source and target offsets changed (a hole, a commit marker), when either went back; else after 10
 * s. Once a second at most for a partition, however many of these happened: every sync is true, so
 * fewer only make MM2's answers about old offsets a little earlier.
 *
 * While the topic cannot be written the partitions wait in a list; the newest positions are written
 * when it can be again.
 */
#ifndef FARSHORE_MIRROR_OFFSET_SYNCS_H
#define FARSHORE_MIRROR_OFFSET_SYNCS_H

#include <stdint.h>

#include "lib/base/err.h"

struct link;
struct slot;
struct offset_syncs;

/* What is kept of a partition; zero to begin with. */
struct offset_sync_state {
	struct slot *next;
	int64_t up, down; /* of the last sync; `known`: there was one since the start */
	int64_t since_ms; /* monotonic, when it was listed */
	bool known, listed;
};

/* `*out` NULL: the link writes none; all calls take that. ERR_NOMEM, ERR_LIMIT: the topic's name.
 */
enum err offset_syncs_new(struct link *k, struct offset_syncs **out) ERR_MUST_USE;

/* Before the link's clients are freed, and after. */
void offset_syncs_stop(struct offset_syncs *s);
void offset_syncs_free(struct offset_syncs *s);

/* The partition's position may have changed. O(1), asks nothing. */
void offset_syncs_mark(struct offset_syncs *s, struct slot *slot);
void offset_syncs_forget(struct offset_syncs *s, struct slot *slot);

/* The end: write what waits; true when there is nothing left, or when the cluster does not take it
 * now. */
bool offset_syncs_flush(struct offset_syncs *s);

void offset_syncs_on_metadata(struct offset_syncs *s, bool source);

/* Syncs that were written. */
uint64_t offset_syncs_count(const struct offset_syncs *s);

#endif
