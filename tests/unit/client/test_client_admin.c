/* SPDX-License-Identifier: Apache-2.0 */
/* The requests that the mirror sends through client_call, to a broker of Kafka 2.1's versions and
 * to one of 4.1: each finds a version that both know, and its fields fit in there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/client/cluster.h"

/* What `kafka-broker-api-versions` prints for 2.1, as far as it matters here. */
static const struct {
	int16_t key, min, max;
} kafka_2_1[] = {
	{WIRE_API_PRODUCE, 0, 7},          {WIRE_API_FETCH, 0, 10},
	{WIRE_API_LIST_OFFSETS, 0, 4},     {WIRE_API_METADATA, 0, 7},
	{WIRE_API_API_VERSIONS, 0, 2},     {WIRE_API_CREATE_TOPICS, 0, 3},
	{WIRE_API_INIT_PRODUCER_ID, 0, 1}, {WIRE_API_OFFSET_FOR_LEADER_EPOCH, 0, 2},
	{WIRE_API_DESCRIBE_CONFIGS, 0, 2}, {WIRE_API_CREATE_PARTITIONS, 0, 1},
	{WIRE_API_LIST_GROUPS, 0, 2},
};

static enum scripted_act answer(void *arg, struct scripted_request *q, void *out)
{
	(void)arg;
	(void)q;
	(void)out;
	return SCRIPTED_ANSWER;
}

struct rig {
	struct cluster t;
	struct arena arena;
	struct fate fate;
};

static void rig_init(struct rig *r, bool old)
{
	static const int16_t keys[] = {
		WIRE_API_PRODUCE,           WIRE_API_LIST_OFFSETS,
		WIRE_API_CREATE_TOPICS,     WIRE_API_INIT_PRODUCER_ID,
		WIRE_API_DESCRIBE_CONFIGS,  WIRE_API_OFFSET_FOR_LEADER_EPOCH,
		WIRE_API_CREATE_PARTITIONS, WIRE_API_INCREMENTAL_ALTER_CONFIGS};
	*r = (struct rig){0};
	cluster_init(&r->t, 1);
	arena_init(&r->arena, 1 << 20);
	struct scripted_peer *p = r->t.peers[0];
	if (old)
		scripted_peer_versions_none(p);
	for (size_t i = 0; old && i < sizeof kafka_2_1 / sizeof kafka_2_1[0]; i++)
		scripted_peer_versions(p, kafka_2_1[i].key, kafka_2_1[i].min, kafka_2_1[i].max);
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
		scripted_peer_on(p, keys[i], answer, NULL);
	cluster_client_ready(&r->t);
}

static void rig_fini(struct rig *r)
{
	arena_fini(&r->arena);
	cluster_fini(&r->t);
}

static void on_done(void *arg, enum err e, const struct errmsg *why, const struct rpc_reply *reply)
{
	struct fate *f = arg;
	f->done++;
	f->e = e;
	f->version = reply == NULL ? -1 : reply->version;
	if (why != NULL)
		f->why = *why;
}

static void call(struct rig *r, int16_t key, const void *msg)
{
	r->fate = (struct fate){0};
	client_call(r->t.client, &(struct client_call){.node = 0,
						       .channel = CLIENT_CHANNEL_PRODUCE,
						       .api_key = key,
						       .msg = msg,
						       .done = on_done,
						       .arg = &r->fate});
	cluster_wait(&r->t, &r->fate.done, 1);
}

static void expect(struct rig *r, int16_t key, const void *msg, int16_t version)
{
	call(r, key, msg);
	if (r->fate.e != ERR_OK)
		fail_msg("%s: %s", wire_api_name(key), r->fate.why.text);
	assert_int_equal(r->fate.version, version);
	assert_int_equal(client_version(r->t.client, 0, key), version);
	assert_int_equal(scripted_peer_unexpected(r->t.peers[0]), 0);
}

static void create_topics(struct rig *r, int16_t version)
{
	struct create_topics_request m;
	wire_init(&wire_create_topics_request, &m);
	m.topics = wire_array_new(&r->arena, &wire_create_topics_request_creatable_topic, 1);
	m.topics_n = 1;
	m.topics[0].name = bytes_str("t");
	m.topics[0].num_partitions = 3;
	m.topics[0].replication_factor = 1;
	m.topics[0].configs =
		wire_array_new(&r->arena, &wire_create_topics_request_creatable_topic_config, 1);
	m.topics[0].configs_n = 1;
	m.topics[0].configs[0].name = bytes_str("retention.ms");
	m.topics[0].configs[0].value = bytes_str("1000");
	m.timeout_ms = 1000;
	expect(r, WIRE_API_CREATE_TOPICS, &m, version);
}

static void create_partitions(struct rig *r, int16_t version)
{
	struct create_partitions_request m;
	wire_init(&wire_create_partitions_request, &m);
	m.topics = wire_array_new(&r->arena,
				  &wire_create_partitions_request_create_partitions_topic, 1);
	m.topics_n = 1;
	m.topics[0].name = bytes_str("t");
	m.topics[0].count = 4;
	m.topics[0].assignments_n = -1;
	m.timeout_ms = 1000;
	expect(r, WIRE_API_CREATE_PARTITIONS, &m, version);
}

static void list_offsets(struct rig *r, int16_t version)
{
	struct list_offsets_request m;
	wire_init(&wire_list_offsets_request, &m);
	m.replica_id = -1;
	m.isolation_level = 1;
	m.topics = wire_array_new(&r->arena, &wire_list_offsets_request_list_offsets_topic, 1);
	m.topics_n = 1;
	m.topics[0].name = bytes_str("t");
	m.topics[0].partitions =
		wire_array_new(&r->arena, &wire_list_offsets_request_list_offsets_partition, 1);
	m.topics[0].partitions_n = 1;
	m.topics[0].partitions[0].current_leader_epoch = 3;
	m.topics[0].partitions[0].timestamp = -1;
	expect(r, WIRE_API_LIST_OFFSETS, &m, version);
}

static void offset_for_leader_epoch(struct rig *r, int16_t version)
{
	struct offset_for_leader_epoch_request m;
	wire_init(&wire_offset_for_leader_epoch_request, &m);
	m.replica_id = -1;
	m.topics = wire_array_new(&r->arena,
				  &wire_offset_for_leader_epoch_request_offset_for_leader_topic, 1);
	m.topics_n = 1;
	m.topics[0].topic = bytes_str("t");
	m.topics[0].partitions = wire_array_new(
		&r->arena, &wire_offset_for_leader_epoch_request_offset_for_leader_partition, 1);
	m.topics[0].partitions_n = 1;
	m.topics[0].partitions[0].current_leader_epoch = 3;
	m.topics[0].partitions[0].leader_epoch = 2;
	expect(r, WIRE_API_OFFSET_FOR_LEADER_EPOCH, &m, version);
}

static void init_producer_id(struct rig *r, int16_t version)
{
	struct init_producer_id_request m;
	wire_init(&wire_init_producer_id_request, &m);
	m.transactional_id = (struct bytes){.p = NULL};
	m.transaction_timeout_ms = INT32_MAX;
	expect(r, WIRE_API_INIT_PRODUCER_ID, &m, version);
}

static void describe_configs(struct rig *r, int16_t version)
{
	struct describe_configs_request m;
	wire_init(&wire_describe_configs_request, &m);
	m.resources = wire_array_new(&r->arena,
				     &wire_describe_configs_request_describe_configs_resource, 1);
	m.resources_n = 1;
	m.resources[0].resource_type = 2;
	m.resources[0].resource_name = bytes_str("t");
	m.resources[0].configuration_keys_n = -1;
	expect(r, WIRE_API_DESCRIBE_CONFIGS, &m, version);
}

static void produce(struct rig *r, int16_t version)
{
	struct produce_request m;
	wire_init(&wire_produce_request, &m);
	m.transactional_id = (struct bytes){.p = NULL};
	m.acks = -1;
	m.timeout_ms = 1000;
	m.topic_data = wire_array_new(&r->arena, &wire_produce_request_topic_produce_data, 1);
	m.topic_data_n = 1;
	m.topic_data[0].name = bytes_str("t");
	m.topic_data[0].topic_id.b[0] = 1;
	m.topic_data[0].partition_data =
		wire_array_new(&r->arena, &wire_produce_request_partition_produce_data, 1);
	m.topic_data[0].partition_data_n = 1;
	m.topic_data[0].partition_data[0].records.data = bytes_str("batch");
	expect(r, WIRE_API_PRODUCE, &m, version);
}

static void test_kafka_2_1(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, true);
	assert_int_equal(scripted_peer_last_version(r.t.peers[0], WIRE_API_METADATA), 7);
	create_topics(&r, 3);
	create_partitions(&r, 1);
	list_offsets(&r, 4);
	offset_for_leader_epoch(&r, 2);
	init_producer_id(&r, 1);
	describe_configs(&r, 2);
	produce(&r, 7);
	/* It came with 2.3. */
	struct incremental_alter_configs_request m;
	wire_init(&wire_incremental_alter_configs_request, &m);
	call(&r, WIRE_API_INCREMENTAL_ALTER_CONFIGS, &m);
	assert_int_equal(r.fate.e, ERR_UNSUPPORTED);
	assert_int_equal(client_version(r.t.client, 0, WIRE_API_INCREMENTAL_ALTER_CONFIGS), -1);
	rig_fini(&r);
}

static void test_kafka_4_1(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, false);
	create_topics(&r, 7);
	create_partitions(&r, 3);
	list_offsets(&r, 10);
	offset_for_leader_epoch(&r, 4);
	describe_configs(&r, 4);
	produce(&r, 13);
	rig_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kafka_2_1),
		cmocka_unit_test(test_kafka_4_1),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
