/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The records of MM2's internal topics, byte for byte as MirrorMaker 2 writes and reads them
 * (Heartbeat.java and Checkpoint.java of Kafka's connect/mirror-client, OffsetSync.java of
 * connect/mirror). The layout stands at the head of mm2_records.c.
 *
 *   heartbeats                          one for each pair of aliases: "this flow is alive"
 *   mm2-offset-syncs.<alias>.internal   pairs of offsets of one source partition
 *   <source>.checkpoints.internal       a group's committed offset, and its translation
 *
 * Strings are UTF-8, at most MM2_STRING_MAX bytes, never null.
 */
#ifndef FARSHORE_CHECKPOINT_MM2_RECORDS_H
#define FARSHORE_CHECKPOINT_MM2_RECORDS_H

#include "lib/base/buf.h"

enum { MM2_STRING_MAX = INT16_MAX, MM2_TOPIC_MAX = 249 };

/* Bounds of an encoded key and value of any of the three, for buffers. */
enum {
	MM2_KEY_MAX = 2 + MM2_STRING_MAX + 2 + MM2_STRING_MAX,
	MM2_VALUE_MAX = 2 + 8 + 8 + 2 + MM2_STRING_MAX,
};

struct mm2_heartbeat {
	struct bytes source, target; /* aliases */
	int64_t timestamp_ms;        /* since 1970, of the emitter's clock */
};

struct mm2_offset_sync {
	struct bytes topic; /* its name on the source */
	int32_t partition;
	int64_t upstream, downstream; /* the record at `upstream` of the source is the record at
					 `downstream` of the target */
};

struct mm2_checkpoint {
	struct bytes group;
	struct bytes topic; /* its name on the target */
	int32_t partition;
	int64_t upstream, downstream; /* the offset that the group committed, and its translation:
					 the next record that it is to read */
	struct bytes metadata;        /* of the commit */
};

/*
 * Append the key and, if `value` is not NULL, the value. ERR_LIMIT: a string is too long (nothing
 * is appended); else the error of a buffer. A null string is written as an empty one.
 */
enum err mm2_records_encode_heartbeat(const struct mm2_heartbeat *h, struct buf *key,
				      struct buf *value) ERR_MUST_USE;
enum err mm2_records_encode_offset_sync(const struct mm2_offset_sync *s, struct buf *key,
					struct buf *value) ERR_MUST_USE;
enum err mm2_records_encode_checkpoint(const struct mm2_checkpoint *c, struct buf *key,
				       struct buf *value) ERR_MUST_USE;

/*
 * Decode a record that anybody may have written. Slices of `out` point into `key` and `value`.
 * ERR_NOT_FOUND: the value is null (a deletion); the fields of the key are filled in.
 * ERR_UNSUPPORTED: another format version (MM2 has only 0); ERR_MALFORMED: cut off, bytes left
 * over, a topic without a name or with one longer than Kafka's, a negative partition or offset.
 * `why` tells, with both.
 */
enum err mm2_records_decode_heartbeat(struct bytes key, struct bytes value,
				      struct mm2_heartbeat *out, struct errmsg *why) ERR_MUST_USE;
enum err mm2_records_decode_offset_sync(struct bytes key, struct bytes value,
					struct mm2_offset_sync *out,
					struct errmsg *why) ERR_MUST_USE;
enum err mm2_records_decode_checkpoint(struct bytes key, struct bytes value,
				       struct mm2_checkpoint *out, struct errmsg *why) ERR_MUST_USE;

#endif
