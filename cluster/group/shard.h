/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One partition of __consumer_offsets as a log of records: what is added in one loop turn goes into
 * one batch, and who waits is told, in order, when it is stored.
 */
#ifndef FARSHORE_CLUSTER_GROUP_SHARD_H
#define FARSHORE_CLUSTER_GROUP_SHARD_H

#include "cluster/group/group.h"
#include "cluster/metadata/metadata.h"
#include "lib/net/loop.h"

#define SHARD_TOPIC "__consumer_offsets"

struct shard;

/* Partition `index`; the loop and the metadata are borrowed. NULL when out of memory. */
struct shard *shard_new(struct loop *l, struct metadata *m, int32_t index);

/* Writes that are under way are forgotten. NULL is safe. */
void shard_free(struct shard *s);

int32_t shard_index(const struct shard *s);

/* The log; NULL while it is offline. */
struct plog *shard_log(const struct shard *s);

/*
 * An operation: shard_begin, shard_add for each record, shard_end. Its records go into the log
 * together or not at all. `bytes` is at least the sum of the keys and values.
 * ERR_KAFKA_UNKNOWN_SERVER_ERROR: more than a batch may hold; nothing was begun.
 */
enum err shard_begin(struct shard *s, size_t bytes) ERR_MUST_USE;
/* A value of null is a tombstone. A failure shows at the end. Both are copied. */
void shard_add(struct shard *s, struct bytes key, struct bytes value);
/* Instead of the records, after an error of shard_begin: the end comes with that error. */
void shard_refuse(struct shard *s);
/*
 * `w->done` comes when the operation, and all before it, are stored; `w` lives until then. Without
 * a begin and without records it waits for what is under way. Errors are as the coordinator answers
 * them (appendGroupMetadataErrorToResponseError): NOT_COORDINATOR, COORDINATOR_NOT_AVAILABLE,
 * UNKNOWN_SERVER_ERROR.
 */
void shard_end(struct shard *s, struct group_write *w);

/* Records of the operations cost this much more than their keys and values. */
enum { SHARD_RECORD_OVERHEAD = 32 };

#endif
