/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ListOffsets by time, inside one batch. The caller finds the batch by the time index and the
 * heads' max timestamps.
 */
#ifndef FARSHORE_CLUSTER_LOG_TIME_FIND_H
#define FARSHORE_CLUSTER_LOG_TIME_FIND_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"

struct time_found {
	int64_t offset;
	int64_t timestamp; /* of that record */
	/* The payload cannot be read though the checksum is right (only its producer can have made
	 * it so): the batch's first offset and the head's max timestamp, so that nothing is passed
	 * over. */
	bool guessed;
};

/*
 * The first record at or after offset `from` with a timestamp >= `timestamp`. `inflate_max`: most
 * bytes that it may decompress to (validate_inflate_max); a larger one is guessed.
 * ERR_NOT_FOUND: there is none in this batch (its head may promise one: producers may lie); go on
 * with the next. ERR_CORRUPT: checksum. ERR_MALFORMED: not one batch. ERR_NOMEM.
 */
enum err time_find_first(struct bytes batch, int64_t from, int64_t timestamp, size_t inflate_max,
			 struct time_found *out, struct errmsg *why) ERR_MUST_USE;

/* The record with the largest timestamp, the first of equals (KIP-734). Errors as above;
 * ERR_NOT_FOUND: no record at or after `from`. */
enum err time_find_max(struct bytes batch, int64_t from, size_t inflate_max, struct time_found *out,
		       struct errmsg *why) ERR_MUST_USE;

#endif
