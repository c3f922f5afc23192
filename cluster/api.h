/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of the APIs that this broker serves: what it advertises is what is in it. Each handler
 * stands in a file of its own under cluster/api/.
 */
#ifndef FARSHORE_CLUSTER_API_H
#define FARSHORE_CLUSTER_API_H

#include "cluster/request.h"

struct api {
	int16_t key;
	int16_t min, max; /* versions that are served */
	/* The lowest version advertised, where it is lower than `min` (Produce: KAFKA-18659). */
	int16_t advertised_min;
	/* Takes the request over: answers it with one of request.h's functions, now or later. */
	void (*handle)(struct request *r);
};

/* NULL: not served. */
const struct api *api_find(int16_t key);

/* All, ordered by key. */
const struct api *api_all(size_t *n);

/* The handlers, one file each. */
void api_produce(struct request *r);
void api_fetch(struct request *r);
void api_list_offsets(struct request *r);
void api_metadata(struct request *r);
void api_offset_commit(struct request *r);
void api_offset_fetch(struct request *r);
void api_find_coordinator(struct request *r);
void api_join_group(struct request *r);
void api_heartbeat(struct request *r);
void api_leave_group(struct request *r);
void api_sync_group(struct request *r);
void api_describe_groups(struct request *r);
void api_list_groups(struct request *r);
void api_api_versions(struct request *r);
void api_create_topics(struct request *r);
void api_delete_topics(struct request *r);
void api_delete_records(struct request *r);
void api_init_producer_id(struct request *r);
void api_offset_for_leader_epoch(struct request *r);
/* One file, acls.c: there is no authorizer. */
void api_describe_acls(struct request *r);
void api_create_acls(struct request *r);
void api_delete_acls(struct request *r);
void api_describe_configs(struct request *r);
void api_alter_configs(struct request *r);
void api_describe_log_dirs(struct request *r);
void api_create_partitions(struct request *r);
void api_delete_groups(struct request *r);
void api_elect_leaders(struct request *r);
void api_incremental_alter_configs(struct request *r);
void api_list_partition_reassignments(struct request *r);
void api_offset_delete(struct request *r);
void api_describe_cluster(struct request *r);
void api_describe_producers(struct request *r);
void api_list_config_resources(struct request *r);
void api_describe_topic_partitions(struct request *r);

#endif
