/* SPDX-License-Identifier: Apache-2.0 */
/* Reads records of one partition outside any fetch session: of the target for the alignment after
 * a crash, of MM2's internal topics at a takeover. */
#ifndef FARSHORE_MIRROR_TARGET_READER_H
#define FARSHORE_MIRROR_TARGET_READER_H

#include "lib/client/client.h"

/* What a read gave; borrowed. */
struct target_records {
	struct bytes records; /* whole batches, perhaps a cut one at the end */
	/* Of a committed read: those of aborted transactions are among the records. */
	const struct fetch_response_aborted_transaction *aborted;
	int32_t aborted_n;
	int64_t start, stable, end; /* log start, last stable offset, high watermark; -1 unknown */
};

/* `r` is set with an error, too; then all it holds is, with ERR_KAFKA_OFFSET_OUT_OF_RANGE, the
 * log's `start`. */
typedef void target_read_done(void *arg, enum err e, const struct target_records *r);

/* One Fetch from `offset`. `done` comes once, from the loop. ERR_NOMEM: it will not come. */
enum err target_read(struct client *c, const char *topic, int32_t partition, int64_t offset,
		     target_read_done *done, void *arg) ERR_MUST_USE;

/* The same with read_committed: records end at the last stable offset. */
enum err target_read_committed(struct client *c, const char *topic, int32_t partition,
			       int64_t offset, target_read_done *done, void *arg) ERR_MUST_USE;

#endif
