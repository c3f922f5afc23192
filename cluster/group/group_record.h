/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The records of __consumer_offsets: a key and a value, each with its version in front (two
 * bytes, big endian). The number in front of a key is the record's type
 * (GroupCoordinatorRecordSerde): 1 a committed offset (0 in logs of old), 2 a classic group; an
 * absent value deletes what the key names.
 */
#ifndef FARSHORE_CLUSTER_GROUP_GROUP_RECORD_H
#define FARSHORE_CLUSTER_GROUP_GROUP_RECORD_H

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/wire/messages.h"

/* Versions of the values as Kafka 4.1 writes them (GroupCoordinatorRecordHelpers). */
enum {
	GROUP_RECORD_GROUP_VERSION = 3,
	GROUP_RECORD_OFFSET_VERSION = 4,
	GROUP_RECORD_OFFSET_EXPIRES_VERSION = 1 /* has an expire timestamp of its own */
};

/* Append an encoded key or value to `out`; ERR_NOMEM, ERR_LIMIT. */
enum err group_record_put_group_key(struct bytes group, struct buf *out) ERR_MUST_USE;
enum err group_record_put_group(const struct group_metadata_value *v, struct buf *out) ERR_MUST_USE;
enum err group_record_put_offset_key(const struct offset_commit_key *k,
				     struct buf *out) ERR_MUST_USE;
enum err group_record_put_offset(const struct offset_commit_value *v, struct buf *out) ERR_MUST_USE;

enum group_record_type { GROUP_RECORD_OFFSET, GROUP_RECORD_GROUP, GROUP_RECORD_OTHER };

struct group_record {
	enum group_record_type type;
	bool deleted; /* there is no value */
	/* OFFSET */
	struct offset_commit_key offset_key;
	struct offset_commit_value offset;
	/* GROUP */
	struct bytes group; /* of both */
	struct group_metadata_value metadata;
	const char *kind; /* OTHER: its name, "ConsumerGroupMetadata" or "unknown" */
};

/* Decode a record that somebody wrote to disk: nothing in it is believed. Slices borrow from `key`
 * and `value`, arrays live in `a`. ERR_MALFORMED, ERR_UNSUPPORTED (a version that is newer than
 * ours) with `why`; ERR_NOMEM, ERR_LIMIT. */
enum err group_record_get(struct bytes key, struct bytes value, struct arena *a,
			  struct group_record *out, struct errmsg *why) ERR_MUST_USE;

#endif
