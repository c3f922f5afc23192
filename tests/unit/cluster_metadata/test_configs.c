/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of configurations: of topics and of the broker, and what reaches the logs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "rig.h"

enum { TOPIC = 2, BROKER = 4, SET = 0, DELETE = 1, APPEND = 2, SUBTRACT = 3 };

/* One operation; ERR_OK means stored and applied, or nothing to do. */
static enum err op(struct rig *g, int8_t how, const char *name, const char *value)
{
	const struct metadata_alter_op o = {bytes_str(name), bytes_str(value), how};
	const struct metadata_alter a = {
		.resource_type = TOPIC, .resource = bytes_str("t"), .ops = &o, .ops_n = 1};
	bool unchanged;
	struct wish w;

	wish_init(&w);
	enum err e = metadata_alter_configs(g->m, &a, &w.change, &unchanged, &g->why);
	if (e != ERR_OK || unchanged)
		return e;
	rig_turns(g);
	assert_int_equal(w.calls, 1);
	return w.e;
}

static const char *set_for(struct rig *g, const char *name)
{
	return map_get(rig_topic(g, "t")->configs, bytes_str(name));
}

static const struct plog_config *log_config(struct rig *g)
{
	return fake_log_config(rig_topic(g, "t")->partitions[0].log);
}

static void start(struct rig *g)
{
	rig_start(g);
	assert_int_equal(rig_create(g, "t", 1), ERR_OK);
}

static void test_set_and_delete(void **state)
{
	struct rig *g = *state;

	start(g);
	assert_int_equal(op(g, SET, "retention.ms", "7"), ERR_OK);
	assert_string_equal(set_for(g, "retention.ms"), "7");
	assert_int_equal(log_config(g)->retention_ms, 7);
	int64_t offset = metadata_offset(g->m);
	assert_int_equal(op(g, SET, "retention.ms", "7"), ERR_OK); /* nothing to write */
	assert_int_equal(op(g, DELETE, "segment.ms", NULL), ERR_OK);
	assert_int_equal(op(g, DELETE, "no.such", NULL), ERR_OK);
	assert_int_equal(metadata_offset(g->m), offset);
	assert_int_equal(op(g, DELETE, "retention.ms", NULL), ERR_OK);
	assert_null(set_for(g, "retention.ms"));
	assert_int_equal(log_config(g)->retention_ms, 604800000);
	assert_int_equal(op(g, SET, "min.insync.replicas", "2"), ERR_OK); /* stored only */
	assert_string_equal(set_for(g, "min.insync.replicas"), "2");
}

static void test_refusals(void **state)
{
	struct rig *g = *state;

	start(g);
	assert_int_equal(op(g, SET, "foo", "7"), ERR_KAFKA_INVALID_CONFIG);
	assert_string_equal(g->why.text, "Unknown topic config name: foo");
	assert_int_equal(op(g, SET, "retention.ms", NULL), ERR_KAFKA_INVALID_REQUEST);
	assert_string_equal(g->why.text, "Null value not supported for : retention.ms");
	assert_int_equal(op(g, APPEND, "retention.ms", "2"), ERR_KAFKA_INVALID_CONFIG);
	assert_string_equal(g->why.text,
			    "Can't APPEND to key retention.ms because its type is not LIST.");
	assert_int_equal(op(g, 9, "retention.ms", "2"), ERR_KAFKA_INVALID_REQUEST);
	assert_int_equal(rig_alter(g, TOPIC, "nope", "retention.ms", "1"),
			 ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	assert_string_equal(g->why.text, "The topic 'nope' does not exist.");
	assert_int_equal(rig_alter(g, TOPIC, "", "retention.ms", "1"), ERR_KAFKA_INVALID_REQUEST);
	assert_int_equal(rig_alter(g, TOPIC, "a b", "retention.ms", "1"),
			 ERR_KAFKA_INVALID_TOPIC_EXCEPTION);
	assert_int_equal(rig_alter(g, 9, "t", "retention.ms", "1"), ERR_KAFKA_INVALID_REQUEST);
	assert_string_equal(g->why.text, "Unknown resource type 9");
	assert_int_equal(op(g, SET, "retention.ms", "9"), ERR_OK);
	assert_int_equal(op(g, SET, "min.compaction.lag.ms", "10"), ERR_OK);
	assert_int_equal(op(g, SET, "max.compaction.lag.ms", "5"), ERR_KAFKA_INVALID_CONFIG);
	assert_int_equal(op(g, DELETE, "min.compaction.lag.ms", NULL), ERR_OK);
	assert_int_equal(op(g, SET, "max.compaction.lag.ms", "5"), ERR_OK);
}

static void test_key_twice(void **state)
{
	struct rig *g = *state;
	const struct metadata_alter_op o[] = {{bytes_str("retention.ms"), bytes_str("1"), SET},
					      {bytes_str("retention.ms"), bytes_str("2"), SET}};
	const struct metadata_alter a = {
		.resource_type = TOPIC, .resource = bytes_str("t"), .ops = o, .ops_n = 2};
	bool unchanged;

	start(g);
	assert_int_equal(metadata_alter_configs(g->m, &a, NULL, &unchanged, &g->why),
			 ERR_KAFKA_INVALID_REQUEST);
	assert_string_equal(g->why.text, "Error due to duplicate config keys");
}

static void test_lists(void **state)
{
	struct rig *g = *state;

	start(g);
	assert_int_equal(op(g, APPEND, "cleanup.policy", "compact"), ERR_OK);
	assert_string_equal(set_for(g, "cleanup.policy"), "delete,compact");
	assert_int_equal(op(g, SUBTRACT, "cleanup.policy", "delete"), ERR_OK);
	assert_string_equal(set_for(g, "cleanup.policy"), "compact");
	assert_true(log_config(g)->cleanup_compact);
	assert_false(log_config(g)->cleanup_delete);
	assert_int_equal(op(g, APPEND, "cleanup.policy", "foo"), ERR_KAFKA_INVALID_CONFIG);
	assert_int_equal(op(g, SUBTRACT, "cleanup.policy", "compact"), ERR_OK);
	assert_string_equal(set_for(g, "cleanup.policy"), "");
}

/* Two appends at the same time: the second builds on the first, which is not applied yet. */
static void test_lists_in_flight(void **state)
{
	struct rig *g = *state;
	const struct metadata_alter_op one = {bytes_str("leader.replication.throttled.replicas"),
					      bytes_str("0:1"), APPEND};
	const struct metadata_alter_op two = {bytes_str("leader.replication.throttled.replicas"),
					      bytes_str("1:1"), APPEND};
	struct metadata_alter a = {
		.resource_type = TOPIC, .resource = bytes_str("t"), .ops = &one, .ops_n = 1};
	bool unchanged;
	struct wish w[2];

	start(g);
	fake_disk_hold_syncs(g->disk, true);
	wish_init(&w[0]);
	wish_init(&w[1]);
	assert_int_equal(metadata_alter_configs(g->m, &a, &w[0].change, &unchanged, &g->why),
			 ERR_OK);
	a.ops = &two;
	assert_int_equal(metadata_alter_configs(g->m, &a, &w[1].change, &unchanged, &g->why),
			 ERR_OK);
	fake_disk_sync(g->disk, true);
	rig_turns(g);
	assert_string_equal(set_for(g, "leader.replication.throttled.replicas"), "0:1,1:1");
}

/* AlterConfigs: what is not named goes back to its default. */
static void test_replace(void **state)
{
	struct rig *g = *state;
	const struct metadata_alter_op o = {bytes_str("segment.ms"), bytes_str("5"), SET};
	const struct metadata_alter a = {.resource_type = TOPIC,
					 .resource = bytes_str("t"),
					 .replace = true,
					 .ops = &o,
					 .ops_n = 1};
	bool unchanged;
	struct wish w;

	start(g);
	assert_int_equal(op(g, SET, "retention.ms", "7"), ERR_OK);
	assert_int_equal(op(g, SET, "segment.ms", "3"), ERR_OK);
	wish_init(&w);
	assert_int_equal(metadata_alter_configs(g->m, &a, &w.change, &unchanged, &g->why), ERR_OK);
	assert_false(unchanged);
	rig_turns(g);
	assert_int_equal(w.e, ERR_OK);
	assert_null(set_for(g, "retention.ms"));
	assert_string_equal(set_for(g, "segment.ms"), "5");
	assert_int_equal(metadata_alter_configs(g->m, &a, &w.change, &unchanged, &g->why), ERR_OK);
	assert_true(unchanged);
}

static void test_check_only(void **state)
{
	struct rig *g = *state;
	const struct metadata_alter_op o = {bytes_str("retention.ms"), bytes_str("5"), SET};
	const struct metadata_alter a = {
		.resource_type = TOPIC, .resource = bytes_str("t"), .ops = &o, .ops_n = 1};
	bool unchanged;

	start(g);
	assert_int_equal(metadata_alter_configs(g->m, &a, NULL, &unchanged, &g->why), ERR_OK);
	rig_turns(g);
	assert_null(set_for(g, "retention.ms"));
}

/* ---- the broker ---- */

static void test_broker_defaults_reach_topics(void **state)
{
	struct rig *g = *state;

	start(g);
	assert_int_equal(rig_alter(g, BROKER, "", "log.retention.ms", "100"), ERR_OK);
	assert_int_equal(log_config(g)->retention_ms, 100);
	assert_int_equal(rig_alter(g, BROKER, "1", "log.retention.ms", "200"), ERR_OK);
	assert_int_equal(log_config(g)->retention_ms, 200);
	assert_int_equal(op(g, SET, "retention.ms", "300"), ERR_OK);
	assert_int_equal(log_config(g)->retention_ms, 300);
	assert_int_equal(rig_create(g, "new", 1), ERR_OK);
	assert_int_equal(rig_topic(g, "new")->log_config.retention_ms, 200);
	rig_crash(g, 0);
	rig_start(g);
	assert_int_equal(log_config(g)->retention_ms, 300);
	assert_int_equal(rig_topic(g, "new")->log_config.retention_ms, 200);
	assert_string_equal(
		map_get(metadata_broker_configs(g->m, true), bytes_str("log.retention.ms")), "100");
	assert_int_equal(op(g, DELETE, "retention.ms", NULL), ERR_OK);
	assert_int_equal(rig_alter(g, BROKER, "1", "log.retention.ms", NULL), ERR_OK);
	assert_int_equal(log_config(g)->retention_ms, 100);
	assert_int_equal(rig_alter(g, BROKER, "", "log.retention.ms", NULL), ERR_OK);
	assert_int_equal(log_config(g)->retention_ms, 604800000);
}

/* The codec may come from the broker and its level from the topic, or the other way round. */
static void test_compression_level_layers(void **state)
{
	struct rig *g = *state;

	start(g);
	assert_int_equal(rig_alter(g, BROKER, "", "compression.type", "zstd"), ERR_OK);
	assert_int_equal(op(g, SET, "compression.zstd.level", "9"), ERR_OK);
	assert_int_equal(log_config(g)->compression_level, 9);
	assert_int_equal(rig_alter(g, BROKER, "", "compression.gzip.level", "4"), ERR_OK);
	assert_int_equal(op(g, SET, "compression.type", "gzip"), ERR_OK);
	assert_int_equal(log_config(g)->compression_level, 4);
}

static void test_broker_refusals(void **state)
{
	struct rig *g = *state;

	start(g);
	assert_int_equal(rig_alter(g, BROKER, "1", "num.partitions", "3"),
			 ERR_KAFKA_INVALID_REQUEST);
	assert_string_equal(g->why.text,
			    "Cannot update these configs dynamically: Set(num.partitions)");
	assert_int_equal(rig_alter(g, BROKER, "", "log.retention.ms", "x"),
			 ERR_KAFKA_INVALID_REQUEST);
	assert_string_equal(g->why.text, "Invalid value x for configuration log.retention.ms: Not "
					 "a number of type LONG");
	assert_int_equal(rig_alter(g, BROKER, "2", "log.retention.ms", "1"),
			 ERR_KAFKA_INVALID_REQUEST);
	assert_string_equal(g->why.text, "Unexpected broker id, expected 1, but received 2");
	assert_int_equal(rig_alter(g, BROKER, "x", "log.retention.ms", "1"),
			 ERR_KAFKA_INVALID_REQUEST);
	assert_string_equal(g->why.text, "Node id must be an integer, but it is: x");
	assert_int_equal(rig_alter(g, BROKER, "99999999999", "log.retention.ms", "1"),
			 ERR_KAFKA_INVALID_REQUEST);
	/* A topic's name for it is not the broker's. */
	assert_int_equal(rig_alter(g, BROKER, "", "retention.ms", "1"), ERR_KAFKA_INVALID_REQUEST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
		T(test_set_and_delete),
		T(test_refusals),
		T(test_key_twice),
		T(test_lists),
		T(test_lists_in_flight),
		T(test_replace),
		T(test_check_only),
		T(test_broker_defaults_reach_topics),
		T(test_compression_level_layers),
		T(test_broker_refusals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
