/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The committed offsets of one group: topic and partition to offset. They change only by what was
 * stored in the log. No I/O.
 */
#ifndef FARSHORE_CLUSTER_GROUP_OFFSETS_H
#define FARSHORE_CLUSTER_GROUP_OFFSETS_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"

struct offsets;

struct committed_offset {
	int64_t offset;
	int32_t leader_epoch; /* -1: unknown */
	struct bytes metadata;
	int64_t commit_timestamp; /* ms since the epoch */
	int64_t expire_timestamp; /* -1: by the group's retention */
	struct uuid topic_id;     /* zero: the record did not say */
};

/* NULL when out of memory. */
struct offsets *offsets_new(void);
/* NULL is safe. */
void offsets_free(struct offsets *o);

/* Insert or replace; the metadata are copied. ERR_NOMEM leaves all as it was. */
enum err offsets_put(struct offsets *o, struct bytes topic, int32_t partition,
		     const struct committed_offset *c) ERR_MUST_USE;

/* False: nothing was there. */
bool offsets_remove(struct offsets *o, struct bytes topic, int32_t partition);

/* NULL: none. Valid until the next change. */
const struct committed_offset *offsets_get(const struct offsets *o, struct bytes topic,
					   int32_t partition);

size_t offsets_count(const struct offsets *o); /* partitions */
size_t offsets_topics(const struct offsets *o);
size_t offsets_bytes(const struct offsets *o); /* of memory, about */

/* Iterate over the topics: start with *at = 0; no change meanwhile. */
struct offsets_topic;
const struct offsets_topic *offsets_next_topic(const struct offsets *o, size_t *at,
					       struct bytes *name);
/* NULL: nothing is committed for the topic. */
const struct offsets_topic *offsets_topic(const struct offsets *o, struct bytes name);
/* Its partitions in ascending order: i = 0, 1, ...; NULL at the end. */
size_t offsets_topic_count(const struct offsets_topic *t);
const struct committed_offset *offsets_topic_at(const struct offsets_topic *t, size_t i,
						int32_t *partition);

/*
 * When offsets of a group go (OffsetExpirationConditionImpl.java, ClassicGroup
 * .offsetExpirationCondition): a time of their own wins (OffsetCommit v2-4); else the retention
 * runs from `base` (when the group became empty), or, where that is -1, from the commit.
 */
struct offsets_expiry {
	int64_t now, retention_ms, base; /* ms since the epoch */
};
bool offsets_expired(const struct committed_offset *c, const struct offsets_expiry *x);

#endif
