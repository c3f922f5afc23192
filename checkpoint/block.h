/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Storage of run tables: records of `<source>.offset-runs.internal` on the target (compacted). Two
 * kinds: a partition's blocks of runs, and the link's producer. The byte layout is described at the
 * head of block.c and in docs/formats/offset-runs.md.
 *
 * A partition's table is the sequence of its blocks by first source offset. Only the last ("open")
 * block is rewritten, under the same key, as it grows; at BLOCK_RUNS_MAX runs it is closed and the
 * next one begins where it ended. Who reads or writes whole tables uses store.h and stored.h.
 */
#ifndef FARSHORE_CHECKPOINT_BLOCK_H
#define FARSHORE_CHECKPOINT_BLOCK_H

#include "checkpoint/runs.h"
#include "lib/base/buf.h"

enum { BLOCK_FORMAT = 1, BLOCK_RUNS_MAX = 512, BLOCK_NAME_MAX = 249 };

/* Bounds of an encoded key and value, for buffers. */
enum { BLOCK_KEY_MAX = 16 + BLOCK_NAME_MAX, BLOCK_VALUE_MAX = 94 + BLOCK_RUNS_MAX * 30 };

enum block_kind { BLOCK_LINK = 0, BLOCK_PARTITION = 1 };

/* Everything that the stored head says about the partition. */
struct block_info {
	struct bytes topic; /* source topic, 1 to BLOCK_NAME_MAX bytes; borrowed */
	int32_t partition;
	int64_t first_src;    /* part of the key: first source offset of the block */
	struct uuid topic_id; /* of the source topic; zero if unknown */
	int32_t leader_epoch; /* of the last record copied; -1 unknown */
	int64_t producer_id;  /* what wrote the target's records; -1 unknown */
	int16_t producer_epoch;
	int64_t src_end; /* source offsets below this were looked at (exclusive); -1 unknown */
	int64_t dst_end; /* the table is complete through this target offset (exclusive); -1
			    unknown */
	struct runs_past past; /* what was mirrored before the block's first run */
};

/* The producer of a link, or of one process of it. */
struct block_link {
	struct bytes member; /* which process; empty where there is only one; borrowed */
	int64_t producer_id;
	int16_t producer_epoch;
};

/* What kind of record is it? ERR_UNSUPPORTED: a newer format version, or a kind that is not known;
 * such a record is to be left alone. ERR_MALFORMED: `why`. */
enum err block_key_kind(struct bytes key, enum block_kind *kind, struct errmsg *why) ERR_MUST_USE;

/* Key and value bytes of the block of `r` that holds runs [first, first+n), n <= BLOCK_RUNS_MAX (n
 * may be 0: an empty partition's position). Appended to the buffer, whose error is returned.
 * ERR_LIMIT: the topic's name is too long. `info->past` is not looked at: it comes from `r`. */
enum err block_encode_key(const struct block_info *info, struct buf *key) ERR_MUST_USE;
enum err block_encode_value(const struct block_info *info, const struct runs *r, size_t first,
			    size_t n, struct buf *value) ERR_MUST_USE;

/* Decode a stored record (hostile input: bounded, checksummed). ERR_UNSUPPORTED: a newer format
 * version. ERR_CORRUPT, ERR_MALFORMED: `why`. */
enum err block_decode_key(struct bytes key, struct block_info *info,
			  struct errmsg *why) ERR_MUST_USE;
/* `info` holds the key's fields; the value's are filled in; the runs are given to `each` in order,
 * after all of the value was found to be valid: they follow `info->past` and each other. An error
 * of `each` ends the call. */
enum err block_decode_value(struct bytes value, struct block_info *info,
			    enum err (*each)(void *arg, struct run run), void *arg,
			    struct errmsg *why) ERR_MUST_USE;

/* The same for a link's record. */
enum err block_encode_link(const struct block_link *link, struct buf *key,
			   struct buf *value) ERR_MUST_USE;
enum err block_decode_link_key(struct bytes key, struct block_link *link,
			       struct errmsg *why) ERR_MUST_USE;
/* `link` holds the key's fields. */
enum err block_decode_link_value(struct bytes value, struct block_link *link,
				 struct errmsg *why) ERR_MUST_USE;

#endif
