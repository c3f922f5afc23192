/* SPDX-License-Identifier: Apache-2.0 */
/*
 * At which offset each leader epoch starts (Kafka's LeaderEpochFileCache; KIP-101, KIP-279), and
 * the file leader-epoch-checkpoint:
 *
 *	0               version
 *	2               entries
 *	0 0             epoch, start offset
 *	3 1042
 *
 * Invariant: epochs and start offsets both rise strictly.
 */
#ifndef FARSHORE_CLUSTER_LOG_EPOCHS_H
#define FARSHORE_CLUSTER_LOG_EPOCHS_H

#include "lib/base/buf.h"

enum { EPOCHS_MAX = 1 << 20 }; /* entries; a file with more is refused */

struct epochs_entry {
	int32_t epoch;
	int64_t start;
};

struct epochs {
	struct epochs_entry *v;
	size_t n;
	size_t cap;
};

void epochs_init(struct epochs *e);
void epochs_fini(struct epochs *e);

/*
 * The batch about to be written at `start` has this epoch. *changed: the entry is new, write the
 * file before the batch. Entries that contradict it (a higher or equal epoch, or a start behind it)
 * are dropped, as in Kafka. Both arguments >= 0. ERR_NOMEM, ERR_LIMIT: nothing changed.
 */
enum err epochs_assign(struct epochs *e, int32_t epoch, int64_t start, bool *changed) ERR_MUST_USE;

/* The latest epoch, or -1. */
int32_t epochs_latest(const struct epochs *e);

/* OffsetForLeaderEpoch: the largest epoch <= `epoch` and where it ends; -1 and -1: undefined. A
 * request below the first known epoch gives itself and the first start. `log_end` is where the
 * latest epoch ends. */
void epochs_end_for(const struct epochs *e, int32_t epoch, int64_t log_end, int32_t *found,
		    int64_t *end);

/* The epoch of the record at `offset`; -1: unknown. */
int32_t epochs_at(const struct epochs *e, int64_t offset);

/* Drop what starts at `end` or later. True: something was dropped. */
bool epochs_truncate_end(struct epochs *e, int64_t end);

/* The log starts at `start` now: drop older epochs; the one that `start` is in starts there. True:
 * something changed. */
bool epochs_truncate_start(struct epochs *e, int64_t start);

/* The file's text, appended. Errors stick to the buffer. */
void epochs_encode(const struct epochs *e, struct buf *out);

/* Replace the content by a file's; an empty file has no entries. ERR_UNSUPPORTED: version.
 * ERR_MALFORMED. ERR_NOMEM. After an error there are no entries. */
enum err epochs_decode(struct epochs *e, struct bytes file, struct errmsg *why) ERR_MUST_USE;

#endif
