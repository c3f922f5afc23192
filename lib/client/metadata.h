/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a cluster said about itself, as one immutable snapshot per answer (but for leader hints).
 * Pure: no I/O, no loop.
 */
#ifndef FARSHORE_CLIENT_METADATA_H
#define FARSHORE_CLIENT_METADATA_H

#include "lib/client/broker.h"

struct metadata;

enum {
	METADATA_TOPIC_NAME_MAX = 249, /* org.apache.kafka.common.internals.Topic */
	METADATA_CLUSTER_ID_MAX = 255
};

/*
 * Check an answer and make a snapshot of it, following `old` (may be NULL), with all copied. `max`
 * bounds the snapshot's bytes.
 *
 * Topics whose name no Kafka would give are left out, so are brokers without a usable address; both
 * are counted. A topic whose partitions are not 0..n-1 has error ERR_MALFORMED and none. A leader
 * that is not among the brokers counts as none. A partition's leader and epoch stay as they are in
 * `old` if the answer has an older epoch for the same topic id (KIP-320). Without topic ids
 * (before 2.8) an older epoch is taken: it may be a topic made again, and an old leader costs one
 * refused request.
 *
 * ERR_MALFORMED (no brokers), ERR_LIMIT, ERR_NOMEM.
 */
enum err metadata_new(const struct metadata_response *r, const struct metadata *old, size_t max,
		      struct metadata **out, struct errmsg *why) ERR_MUST_USE;

/* Frees what it keeps, too. NULL is safe. */
void metadata_free(struct metadata *m);

/* Keep a former snapshot (may be NULL) alive until metadata_drop: users may hold topics of it. */
void metadata_keep(struct metadata *m, struct metadata *former);
void metadata_drop(struct metadata *m);

/* Sorted by id, without duplicates; borrowed. */
size_t metadata_brokers(const struct metadata *m, const struct endpoint **out);
int32_t metadata_controller(const struct metadata *m);     /* -1 unknown */
const char *metadata_cluster_id(const struct metadata *m); /* NULL unknown */

/* Entries of the answer that were left out. */
size_t metadata_skipped_topics(const struct metadata *m);
size_t metadata_skipped_brokers(const struct metadata *m);

const struct client_topic *metadata_topic(const struct metadata *m, const char *name);
const struct client_topic *metadata_topic_by_id(const struct metadata *m, const struct uuid *id);
size_t metadata_topics(const struct metadata *m, const struct client_topic *const **out);

/* A newer leader of a partition; ignored if there is no such partition or `epoch` is not newer. */
void metadata_set_leader(struct metadata *m, const char *topic, int32_t partition, int32_t leader,
			 int32_t epoch);

/* Whether Kafka would accept the name: 1..249 of [a-zA-Z0-9._-], not "." or "..". */
bool metadata_topic_name_valid(struct bytes name);

#endif
