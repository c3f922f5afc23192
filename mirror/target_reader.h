/* SPDX-License-Identifier: Apache-2.0 */
/* Reads records of one partition outside any fetch session: of the target for the alignment after
 * a crash, of MM2's internal topics at a takeover. */
#ifndef FARSHORE_MIRROR_TARGET_READER_H
#define FARSHORE_MIRROR_TARGET_READER_H

#include "lib/client/client.h"

/* One Fetch from `offset`. `done` comes once, from the loop: the record set (borrowed; whole
 * batches, perhaps a cut one at the end) and the partition's high watermark. ERR_NOMEM: `done` will
 * not come. */
enum err target_read(struct client *c, const char *topic, int32_t partition, int64_t offset,
		     void (*done)(void *arg, enum err e, struct bytes records, int64_t end),
		     void *arg) ERR_MUST_USE;

/* What a read of committed records gave; borrowed. */
struct target_records {
	struct bytes records; /* those of aborted transactions are among them */
	const struct fetch_response_aborted_transaction *aborted;
	int32_t aborted_n;
	int64_t start, stable, end; /* log start, last stable offset, high watermark; -1 unknown */
};

/* The same with read_committed: records end at the last stable offset. `r` is set with an error,
 * too; then all it may hold is `start`. */
enum err target_read_committed(struct client *c, const char *topic, int32_t partition,
			       int64_t offset,
			       void (*done)(void *arg, enum err e, const struct target_records *r),
			       void *arg) ERR_MUST_USE;

#endif
