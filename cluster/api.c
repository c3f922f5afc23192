/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The versions are Kafka 4.1's, but for those that need what this broker does not have: Fetch 18 (a
 * follower's hint), OffsetCommit and OffsetFetch 10 (not stable).
 */
#include "cluster/api.h"

#include "lib/wire/messages.h"

#define SERVES(name, lowest, highest, handler)                                       \
	{                                                                            \
		.key = WIRE_API_##name, .min = (lowest), .advertised_min = (lowest), \
		.max = (highest), .handle = (handler)                                \
	}

/* clang-format off */
static const struct api apis[] = {
	/* librdkafka before 2.11 compresses nothing unless Produce v0 is offered (KAFKA-18659). */
	{.key = WIRE_API_PRODUCE, .min = 3, .advertised_min = 0, .max = 13, .handle = api_produce},
	SERVES(FETCH, 4, 17, api_fetch),
	SERVES(LIST_OFFSETS, 1, 10, api_list_offsets),
	SERVES(METADATA, 0, 13, api_metadata),
	SERVES(OFFSET_COMMIT, 2, 9, api_offset_commit),
	SERVES(OFFSET_FETCH, 1, 9, api_offset_fetch),
	SERVES(FIND_COORDINATOR, 0, 6, api_find_coordinator),
	SERVES(JOIN_GROUP, 0, 9, api_join_group),
	SERVES(HEARTBEAT, 0, 4, api_heartbeat),
	SERVES(LEAVE_GROUP, 0, 5, api_leave_group),
	SERVES(SYNC_GROUP, 0, 5, api_sync_group),
	SERVES(DESCRIBE_GROUPS, 0, 6, api_describe_groups),
	SERVES(LIST_GROUPS, 0, 5, api_list_groups),
	SERVES(API_VERSIONS, 0, 4, api_api_versions),
	SERVES(CREATE_TOPICS, 2, 7, api_create_topics),
	SERVES(DELETE_TOPICS, 1, 6, api_delete_topics),
	SERVES(DELETE_RECORDS, 0, 2, api_delete_records),
	SERVES(INIT_PRODUCER_ID, 0, 5, api_init_producer_id),
	SERVES(OFFSET_FOR_LEADER_EPOCH, 2, 4, api_offset_for_leader_epoch),
	SERVES(DESCRIBE_ACLS, 1, 3, api_describe_acls),
	SERVES(CREATE_ACLS, 1, 3, api_create_acls),
	SERVES(DELETE_ACLS, 1, 3, api_delete_acls),
	SERVES(DESCRIBE_CONFIGS, 1, 4, api_describe_configs),
	SERVES(ALTER_CONFIGS, 0, 2, api_alter_configs),
	SERVES(DESCRIBE_LOG_DIRS, 1, 4, api_describe_log_dirs),
	SERVES(CREATE_PARTITIONS, 0, 3, api_create_partitions),
	SERVES(DELETE_GROUPS, 0, 2, api_delete_groups),
	SERVES(ELECT_LEADERS, 0, 2, api_elect_leaders),
	SERVES(INCREMENTAL_ALTER_CONFIGS, 0, 1, api_incremental_alter_configs),
	SERVES(LIST_PARTITION_REASSIGNMENTS, 0, 0, api_list_partition_reassignments),
	SERVES(OFFSET_DELETE, 0, 0, api_offset_delete),
	SERVES(DESCRIBE_CLUSTER, 0, 2, api_describe_cluster),
	SERVES(DESCRIBE_PRODUCERS, 0, 0, api_describe_producers),
	SERVES(LIST_CONFIG_RESOURCES, 0, 1, api_list_config_resources),
	SERVES(DESCRIBE_TOPIC_PARTITIONS, 0, 0, api_describe_topic_partitions),
};
/* clang-format on */

enum { APIS = sizeof apis / sizeof *apis };

const struct api *api_find(int16_t key)
{
	for (size_t i = 0; i < APIS && apis[i].key <= key; i++)
		if (apis[i].key == key)
			return &apis[i];
	return NULL;
}

const struct api *api_all(size_t *n)
{
	*n = APIS;
	return apis;
}
