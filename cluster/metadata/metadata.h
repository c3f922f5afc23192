/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cluster's metadata: topics, partitions, configurations, this broker's registration, blocks of
 * producer ids. All of it is what the records of __cluster_metadata-0 say (Kafka's own records, so
 * that kafka-dump-log --cluster-metadata-decoder reads them), applied in order.
 *
 * One seam: metadata_propose. A change is a list of records; it is appended and stored as one
 * batch, then applied, then the proposer is told. Today the quorum is one node; what proposes and
 * what applies will not change when there are more.
 *
 * The objects below are the applied image. They are the metadata's, change only in apply, and may
 * be held over a loop turn only by name or id.
 */
#ifndef FARSHORE_CLUSTER_METADATA_METADATA_H
#define FARSHORE_CLUSTER_METADATA_METADATA_H

#include "cluster/log/store.h"
#include "lib/base/map.h"

struct metadata;
struct topic;

struct partition {
	struct topic *topic;
	int32_t index;
	int32_t leader; /* node id; -1: none */
	int32_t leader_epoch;
	int32_t partition_epoch;
	struct plog *log; /* NULL: it could not be opened (offline); `log_error` says why */
	enum err log_error;
};

struct topic {
	const char *name;
	struct uuid id;
	bool internal; /* __consumer_offsets, __transaction_state */
	int32_t partitions_n;
	struct partition *partitions;
	struct map *configs; /* name -> char *: what was set for it */
	struct plog_config log_config;
};

/* Replay the log; topics' partitions are opened through the store. */
struct metadata_options {
	struct store *store;
	struct loop *loop;
	int32_t node_id;
	const char *rack;           /* NULL: none */
	int32_t default_partitions; /* num.partitions: of topics that ask for no number; 0: 1 */
	const struct plog_config *log_defaults; /* what topics get that set nothing */
	/* listeners for RegisterBrokerRecord */
	struct metadata_listener {
		const char *name, *host;
		uint16_t port;
		bool tls;
	} * listeners;
	size_t listeners_n;
	/* A topic is about to be deleted (its offsets are tombstoned then), or was changed. */
	void (*on_topic_deleted)(void *arg, const struct topic *t);
	void *arg;
};
enum err metadata_open(const struct metadata_options *o, struct metadata **out,
		       struct errmsg *why) ERR_MUST_USE;
void metadata_free(struct metadata *m);

/* ---- the image ---- */

const struct topic *metadata_topic(const struct metadata *m, struct bytes name);
const struct topic *metadata_topic_by_id(const struct metadata *m, const struct uuid *id);
/* NULL: no such topic or partition. */
struct partition *metadata_partition(const struct metadata *m, struct bytes name, int32_t index);
struct partition *metadata_partition_by_id(const struct metadata *m, const struct uuid *id,
					   int32_t index);
/* All topics in the order of their names; valid until the next apply. */
const struct topic *const *metadata_topics(const struct metadata *m, size_t *n);
/* What was set for the broker (dynamic broker configs): name -> char *; "" is the cluster
 * default. */
const struct map *metadata_broker_configs(const struct metadata *m, bool cluster_default);
int64_t metadata_broker_epoch(const struct metadata *m);
/* Offset of the last applied record. */
int64_t metadata_offset(const struct metadata *m);
/* The level of the feature metadata.version; 0: none yet. */
int16_t metadata_version(const struct metadata *m);
/* What topics get that set nothing, dynamic broker settings included. */
void metadata_log_defaults(const struct metadata *m, struct plog_config *out);

/* ---- changes ---- */

/* One record: a message of wire (its table and struct), in `version`. */
struct metadata_record {
	const struct wire_message *message; /* &wire_topic_record ... */
	int16_t version;
	const void *body;
};

struct proposal;

/* The proposer; its memory lives until `done` or metadata_change_cancel. */
struct metadata_change {
	/* ERR_OK: stored and applied. ERR_KAFKA_KAFKA_STORAGE_ERROR and others: nothing was
	 * changed. ERR_CANCELED: the metadata were freed first. */
	void (*done)(struct metadata_change *c, enum err e);
	struct proposal *proposal; /* the metadata's */
};

/* The proposer goes away: `done` is not called. What was proposed goes on. */
void metadata_change_cancel(struct metadata_change *c);

/* Append the records as one batch. An error is returned at once, and `done` is not called; else
 * `done` comes, from the loop. Changes are applied in the order of the calls. What a proposal holds
 * must be right for the image as it will be then: propose through the functions below, which check
 * it. */
enum err metadata_propose(struct metadata *m, const struct metadata_record *records, size_t n,
			  struct metadata_change *c, struct errmsg *why) ERR_MUST_USE;

/* ---- what the APIs share (topics.c, topic_config.c) ---- */

/* NULL, or what is wrong with the name (Topic.validate). */
const char *metadata_name_fault(struct bytes name);
/* The same as an error: ERR_KAFKA_INVALID_TOPIC_EXCEPTION with Kafka's text. */
enum err metadata_check_name(struct bytes name, struct errmsg *why) ERR_MUST_USE;

/* The broker's own topics: __consumer_offsets, __transaction_state, __cluster_metadata. */
bool metadata_is_internal(struct bytes name);

/* Most partitions that one request may make, as in Kafka. */
enum { METADATA_PARTITIONS_MAX = 10000 };

/* A topic to be made. Counts of -1: the broker's default. */
struct metadata_new_topic {
	struct bytes name;
	int32_t partitions;
	int16_t replication_factor;
	const struct metadata_config_value {
		struct bytes name, value; /* value.p == NULL: not set */
	} * configs;
	size_t configs_n;
};

/* Check and propose; `done` as for metadata_propose, and the topic is there then. Errors as
 * CreateTopics gives them (TOPIC_ALREADY_EXISTS, INVALID_TOPIC_EXCEPTION, INVALID_PARTITIONS,
 * INVALID_REPLICATION_FACTOR, INVALID_CONFIG), with the text in `why`. A topic of the same
 * name that is on its way counts as there. With `c` NULL it is checked only. */
enum err metadata_create_topic(struct metadata *m, const struct metadata_new_topic *t,
			       struct metadata_change *c, struct errmsg *why) ERR_MUST_USE;

/* Delete a topic. ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION: a deletion is on its way already;
 * ERR_KAFKA_INVALID_TOPIC_EXCEPTION: not for the broker's own topics. */
enum err metadata_delete_topic(struct metadata *m, const struct topic *t, struct metadata_change *c,
			       struct errmsg *why) ERR_MUST_USE;

/* Have `count` partitions instead of fewer. With `c` NULL it is checked only.
 * ERR_KAFKA_INVALID_PARTITIONS: not an increase; ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION: it is being
 * deleted. */
enum err metadata_create_partitions(struct metadata *m, const struct topic *t, int32_t count,
				    struct metadata_change *c, struct errmsg *why) ERR_MUST_USE;

/* Change of the configuration of a topic or of the broker, as IncrementalAlterConfigs has it. */
struct metadata_alter {
	int8_t resource_type;  /* ConfigResource.Type: 2 topic, 4 broker */
	struct bytes resource; /* a topic, a node id, or "" for all brokers */
	/* AlterConfigs: what is not named goes back to its default. */
	bool replace;
	const struct metadata_alter_op {
		struct bytes name, value;
		int8_t op; /* AlterConfigOp.OpType: 0 set, 1 delete, 2 append, 3 subtract */
	} * ops;
	size_t ops_n;
};

/* Check and propose. `*unchanged`: there was nothing to change, and `done` does not come. With `c`
 * NULL it is checked only. Errors as Kafka gives them. */
enum err metadata_alter_configs(struct metadata *m, const struct metadata_alter *a,
				struct metadata_change *c, bool *unchanged,
				struct errmsg *why) ERR_MUST_USE;

/* A block of producer ids was used up to `*next`: gives one id that no one else gets, stored before
 * it is given (a block of 1000 per record, ProducerIdsRecord). */
struct metadata_producer_id {
	void (*done)(struct metadata_producer_id *p, enum err e, int64_t id);
	struct metadata_producer_id *next;
};
void metadata_producer_id(struct metadata *m, struct metadata_producer_id *p);
/* Take it back (the client went away). */
void metadata_producer_id_cancel(struct metadata *m, struct metadata_producer_id *p);

#endif
