/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Storage of run tables: blocks, as records of `<source>.offset-runs.internal` on the target
 * (compacted). The byte layout is described at the head of block.c and in
 * docs/formats/offset-runs.md.
 *
 * A partition's table is the sequence of its blocks by first source offset. Only the last ("open")
 * block is rewritten, under the same key, as it grows; at BLOCK_RUNS_MAX runs it is closed and the
 * next one begins where it ended.
 */
#ifndef FARSHORE_CHECKPOINT_BLOCK_H
#define FARSHORE_CHECKPOINT_BLOCK_H

#include "checkpoint/runs.h"
#include "lib/base/buf.h"

enum { BLOCK_FORMAT = 1, BLOCK_RUNS_MAX = 512 };

/* Everything that the stored head says about the partition. */
struct block_info {
	struct bytes topic; /* source topic; borrowed */
	int32_t partition;
	int64_t first_src;    /* part of the key: first source offset of the block */
	struct uuid topic_id; /* of the source topic; zero if unknown */
	int32_t leader_epoch; /* of the last record copied; -1 unknown */
	int64_t producer_id;  /* what wrote the target's records; -1 unknown */
	int16_t producer_epoch;
	int64_t src_end; /* source offsets below this were looked at (exclusive) */
	int64_t dst_end; /* the table is complete through this target offset (exclusive) */
};

/* Key and value bytes of the block of `r` that holds runs [first, first+n) (n may be 0: an empty
 * partition's position). */
enum err block_encode_key(const struct block_info *info, struct buf *key) ERR_MUST_USE;
enum err block_encode_value(const struct block_info *info, const struct runs *r, size_t first,
			    size_t n, struct buf *value) ERR_MUST_USE;

/* Decode a stored record (hostile input: bounded, checksummed). ERR_UNSUPPORTED: a newer format
 * version. ERR_CORRUPT, ERR_MALFORMED: `why`. */
enum err block_decode_key(struct bytes key, struct block_info *info,
			  struct errmsg *why) ERR_MUST_USE;
/* `info` holds the key's fields; the value's are filled in; the runs are given to `each` in order.
 */
enum err block_decode_value(struct bytes value, struct block_info *info,
			    enum err (*each)(void *arg, struct run run), void *arg,
			    struct errmsg *why) ERR_MUST_USE;

#endif
