/* SPDX-License-Identifier: Apache-2.0 */
/* Names, and making, growing and deleting topics. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "rig.h"

static void test_names(void **state)
{
	char longest[251];
	(void)state;

	memset(longest, 'a', sizeof longest);
	longest[249] = 0;
	assert_null(metadata_name_fault(bytes_str(longest)));
	longest[249] = 'a';
	longest[250] = 0;
	assert_non_null(metadata_name_fault(bytes_str(longest)));
	assert_null(metadata_name_fault(bytes_str("a.B_9-")));
	assert_null(metadata_name_fault(bytes_str("...")));
	static const char *const bad[] = {"", ".", "..", "a b", "a/b", "\xc3\xa9", "a\n", "a\\b"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_non_null(metadata_name_fault(bytes_str(bad[i])));
	assert_non_null(metadata_name_fault(bytes_of(NULL, 0)));
	assert_non_null(metadata_name_fault(bytes_of("a\0b", 3)));
}

static enum err try_create(struct rig *g, int32_t partitions, int16_t factor)
{
	const struct metadata_new_topic t = {
		.name = bytes_str("t"), .partitions = partitions, .replication_factor = factor};

	return metadata_create_topic(g->m, &t, NULL, &g->why);
}

static void test_counts(void **state)
{
	struct rig *g = *state;

	rig_start(g);
	assert_int_equal(try_create(g, 0, 1), ERR_KAFKA_INVALID_PARTITIONS);
	assert_int_equal(try_create(g, -2, 1), ERR_KAFKA_INVALID_PARTITIONS);
	assert_int_equal(try_create(g, 10001, 1), ERR_KAFKA_POLICY_VIOLATION);
	assert_int_equal(try_create(g, INT32_MAX, 1), ERR_KAFKA_POLICY_VIOLATION);
	assert_int_equal(try_create(g, 1, 0), ERR_KAFKA_INVALID_REPLICATION_FACTOR);
	assert_int_equal(try_create(g, 1, -2), ERR_KAFKA_INVALID_REPLICATION_FACTOR);
	assert_int_equal(try_create(g, 1, 2), ERR_KAFKA_INVALID_REPLICATION_FACTOR);
	assert_string_equal(
		g->why.text,
		"Unable to replicate the partition 2 time(s): The target replication factor of 2 "
		"cannot be reached because only 1 broker(s) are registered.");
	assert_int_equal(try_create(g, 10000, 1), ERR_OK);
	assert_null(rig_topic(g, "t")); /* checked only */
}

static void test_create(void **state)
{
	struct rig *g = *state;
	struct topic const *const *all;
	size_t n;

	rig_start(g);
	assert_int_equal(rig_create(g, "m", -1), ERR_OK);
	assert_int_equal(rig_create(g, "z", 1), ERR_OK);
	assert_int_equal(rig_create(g, "a", 2), ERR_OK);
	assert_int_equal(rig_create(g, "__consumer_offsets", 2), ERR_OK);
	assert_int_equal(rig_create(g, "a", 2), ERR_KAFKA_TOPIC_ALREADY_EXISTS);
	all = metadata_topics(g->m, &n);
	assert_int_equal(n, 4);
	assert_string_equal(all[0]->name, "__consumer_offsets");
	assert_true(all[0]->internal);
	assert_string_equal(all[1]->name, "a");
	assert_string_equal(all[3]->name, "z");
	const struct topic *t = rig_topic(g, "m");
	assert_int_equal(t->partitions_n, 3); /* the default */
	assert_false(t->internal);
	assert_false(uuid_is_zero(&t->id));
	assert_ptr_equal(metadata_topic_by_id(g->m, &t->id), t);
	for (int32_t i = 0; i < 3; i++) {
		struct partition *p = metadata_partition(g->m, bytes_str("m"), i);
		assert_ptr_equal(p, metadata_partition_by_id(g->m, &t->id, i));
		assert_ptr_equal(p->topic, t);
		assert_int_equal(p->index, i);
		assert_int_equal(p->leader, 1);
		assert_int_equal(p->leader_epoch, 0);
		assert_non_null(p->log);
	}
	assert_null(metadata_partition(g->m, bytes_str("m"), 3));
	assert_null(metadata_partition(g->m, bytes_str("m"), -1));
	assert_null(metadata_partition(g->m, bytes_str("nope"), 0));
	assert_null(metadata_partition(g->m, bytes_of(NULL, 0), 0));
}

static void test_create_with_configs(void **state)
{
	struct rig *g = *state;
	const struct metadata_config_value two[] = {{bytes_str("retention.ms"), bytes_str("1")},
						    {bytes_str("retention.ms"), bytes_str("2")}};
	const struct metadata_config_value null = {bytes_str("retention.ms"), bytes_of(NULL, 0)};
	struct metadata_new_topic t = {.name = bytes_str("t"),
				       .partitions = 1,
				       .replication_factor = 1,
				       .configs = two,
				       .configs_n = 2};
	struct wish w;

	rig_start(g);
	wish_init(&w);
	assert_int_equal(metadata_create_topic(g->m, &t, &w.change, &g->why), ERR_OK);
	rig_turns(g);
	const struct topic *made = rig_topic(g, "t");
	assert_string_equal(map_get(made->configs, bytes_str("retention.ms")), "2");
	assert_int_equal(made->log_config.retention_ms, 2);
	assert_int_equal(fake_log_config(made->partitions[0].log)->retention_ms, 2);
	t = (struct metadata_new_topic){.name = bytes_str("u"),
					.partitions = 1,
					.replication_factor = 1,
					.configs = &null,
					.configs_n = 1};
	assert_int_equal(metadata_create_topic(g->m, &t, NULL, &g->why), ERR_KAFKA_INVALID_CONFIG);
	assert_string_equal(g->why.text,
			    "Null value not supported for topic configs: retention.ms");
	assert_int_equal(rig_create_with(g, "u", "foo", "1"), ERR_KAFKA_INVALID_CONFIG);
	assert_string_equal(g->why.text, "Unknown topic config name: foo");
	assert_int_equal(rig_create_with(g, "u", "retention.ms", "x"), ERR_KAFKA_INVALID_CONFIG);
	assert_int_equal(rig_create_with(g, "u", "min.compaction.lag.ms", "9223372036854775807"),
			 ERR_OK); /* equal to the maximum's default */
}

static void test_grow(void **state)
{
	struct rig *g = *state;
	struct wish w;

	rig_start(g);
	assert_int_equal(rig_create(g, "t", 2), ERR_OK);
	assert_int_equal(rig_grow(g, "t", 2), ERR_KAFKA_INVALID_PARTITIONS);
	assert_string_equal(g->why.text, "Topic already has 2 partition(s).");
	assert_int_equal(rig_grow(g, "t", 1), ERR_KAFKA_INVALID_PARTITIONS);
	assert_int_equal(rig_grow(g, "t", -1), ERR_KAFKA_INVALID_PARTITIONS);
	assert_int_equal(rig_grow(g, "t", INT32_MAX), ERR_KAFKA_POLICY_VIOLATION);
	assert_int_equal(rig_grow(g, "t", 5), ERR_OK);
	assert_int_equal(rig_topic(g, "t")->partitions_n, 5);
	assert_true(fake_disk_has(g->disk, "t", 4));
	/* One on its way counts. */
	fake_disk_hold_syncs(g->disk, true);
	wish_init(&w);
	assert_int_equal(metadata_create_partitions(g->m, rig_topic(g, "t"), 7, &w.change, &g->why),
			 ERR_OK);
	assert_int_equal(rig_grow(g, "t", 7), ERR_KAFKA_INVALID_PARTITIONS);
	assert_string_equal(g->why.text, "Topic already has 7 partition(s).");
	fake_disk_hold_syncs(g->disk, false);
	assert_int_equal(rig_grow(g, "t", 8), ERR_OK);
	assert_int_equal(w.calls, 1);
	assert_int_equal(rig_topic(g, "t")->partitions_n, 8);
	assert_int_equal(rig_create(g, "__consumer_offsets", 1), ERR_OK);
	assert_int_equal(rig_grow(g, "__consumer_offsets", 2), ERR_KAFKA_INVALID_TOPIC_EXCEPTION);
}

/* A growth that fails is forgotten. */
static void test_grow_fails(void **state)
{
	struct rig *g = *state;
	struct wish w;

	rig_start(g);
	assert_int_equal(rig_create(g, "t", 1), ERR_OK);
	fake_disk_hold_syncs(g->disk, true);
	wish_init(&w);
	assert_int_equal(metadata_create_partitions(g->m, rig_topic(g, "t"), 3, &w.change, &g->why),
			 ERR_OK);
	fake_disk_sync(g->disk, false);
	rig_turns(g);
	assert_int_equal(w.e, ERR_KAFKA_KAFKA_STORAGE_ERROR);
	fake_disk_hold_syncs(g->disk, false);
	assert_int_equal(rig_grow(g, "t", 2), ERR_OK);
	assert_int_equal(rig_topic(g, "t")->partitions_n, 2);
}

static void test_delete(void **state)
{
	struct rig *g = *state;
	struct wish w, again;

	rig_start(g);
	assert_int_equal(rig_create(g, "a", 3), ERR_OK);
	assert_int_equal(rig_create(g, "b", 1), ERR_OK);
	struct uuid id = rig_topic(g, "a")->id;
	fake_disk_hold_syncs(g->disk, true);
	wish_init(&w);
	wish_init(&again);
	assert_int_equal(metadata_delete_topic(g->m, rig_topic(g, "a"), &w.change, &g->why),
			 ERR_OK);
	/* Still there, but nothing can be done with it any more. */
	assert_non_null(rig_topic(g, "a"));
	assert_int_equal(metadata_delete_topic(g->m, rig_topic(g, "a"), &again.change, &g->why),
			 ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	assert_int_equal(rig_grow(g, "a", 9), ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	assert_int_equal(rig_alter(g, 2, "a", "retention.ms", "1"),
			 ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	fake_disk_sync(g->disk, true);
	rig_turns(g);
	assert_int_equal(w.e, ERR_OK);
	assert_null(rig_topic(g, "a"));
	assert_null(metadata_topic_by_id(g->m, &id));
	assert_int_equal(g->deleted, 1);
	assert_string_equal(g->deleted_name, "a");
	assert_true(g->on_disk_when_deleted);
	assert_false(fake_disk_has(g->disk, "a", 0));
	assert_false(fake_disk_has(g->disk, "a", 2));
	assert_true(fake_disk_has(g->disk, "b", 0));
	/* The same name is another topic. */
	fake_disk_hold_syncs(g->disk, false);
	assert_int_equal(rig_create(g, "a", 1), ERR_OK);
	assert_false(uuid_eq(&rig_topic(g, "a")->id, &id));
	assert_int_equal(rig_create(g, "__consumer_offsets", 1), ERR_OK);
	assert_int_equal(rig_delete(g, "__consumer_offsets"), ERR_KAFKA_INVALID_TOPIC_EXCEPTION);
}

/* A deletion that fails leaves a topic that works. */
static void test_delete_fails(void **state)
{
	struct rig *g = *state;
	struct wish w;

	rig_start(g);
	assert_int_equal(rig_create(g, "a", 1), ERR_OK);
	fake_disk_hold_syncs(g->disk, true);
	wish_init(&w);
	assert_int_equal(metadata_delete_topic(g->m, rig_topic(g, "a"), &w.change, &g->why),
			 ERR_OK);
	fake_disk_sync(g->disk, false);
	rig_turns(g);
	assert_int_equal(w.e, ERR_KAFKA_KAFKA_STORAGE_ERROR);
	assert_int_equal(g->deleted, 0);
	assert_true(fake_disk_has(g->disk, "a", 0));
	fake_disk_hold_syncs(g->disk, false);
	assert_int_equal(rig_grow(g, "a", 2), ERR_OK);
	assert_int_equal(rig_delete(g, "a"), ERR_OK);
}

/* The disk has no room for a partition's folder: it is offline, and comes back by itself. */
static void test_offline_partition(void **state)
{
	struct rig *g = *state;

	rig_start(g);
	fake_disk_fail_open(g->disk, true);
	assert_int_equal(rig_create(g, "a", 2), ERR_OK);
	struct partition *p = metadata_partition(g->m, bytes_str("a"), 1);
	assert_null(p->log);
	assert_int_equal(p->log_error, ERR_IO);
	rig_sleep(g, 5001);
	assert_null(metadata_partition(g->m, bytes_str("a"), 1)->log);
	fake_disk_fail_open(g->disk, false);
	rig_sleep(g, 5001);
	assert_non_null(metadata_partition(g->m, bytes_str("a"), 1)->log);
	assert_int_equal(metadata_partition(g->m, bytes_str("a"), 0)->log_error, ERR_OK);
	/* A topic can be deleted while it is offline. */
	fake_disk_fail_open(g->disk, true);
	assert_int_equal(rig_create(g, "b", 1), ERR_OK);
	assert_int_equal(rig_delete(g, "b"), ERR_OK);
}

/* A large topic is made in slices: it is announced when all of it is there. */
static void test_large_topic(void **state)
{
	struct rig *g = *state;
	const struct metadata_new_topic t = {
		.name = bytes_str("big"), .partitions = 1000, .replication_factor = 1};
	struct wish w, other;
	int turns = 0;

	rig_start(g);
	wish_init(&w);
	wish_init(&other);
	assert_int_equal(metadata_create_topic(g->m, &t, &w.change, &g->why), ERR_OK);
	const struct metadata_new_topic small = {
		.name = bytes_str("small"), .partitions = 1, .replication_factor = 1};
	assert_int_equal(metadata_create_topic(g->m, &small, &other.change, &g->why), ERR_OK);
	size_t most = 0, before = fake_disk_folders(g->disk);
	for (; w.calls == 0 && turns < 100; turns++) {
		assert_int_equal(other.calls, 0); /* changes are over in order */
		loop_turn(g->loop, 1);
		size_t now = fake_disk_folders(g->disk);
		most = now - before > most ? now - before : most;
		before = now;
	}
	assert_int_equal(w.e, ERR_OK);
	assert_in_range(turns, 8, 99);
	assert_in_range(most, 1, 200);
	for (int32_t i = 0; i < 1000; i++)
		assert_non_null(metadata_partition(g->m, bytes_str("big"), i)->log);
	rig_turns(g);
	assert_int_equal(other.calls, 1);
	/* And so it goes. Its name can be taken again at once. */
	wish_init(&w);
	wish_init(&other);
	assert_int_equal(metadata_delete_topic(g->m, rig_topic(g, "big"), &w.change, &g->why),
			 ERR_OK);
	rig_turns(g);
	assert_null(rig_topic(g, "big"));
	assert_int_equal(w.calls, 0);
	assert_int_equal(metadata_create_topic(g->m, &t, &other.change, &g->why), ERR_OK);
	for (turns = 0; other.calls == 0 && turns < 100; turns++)
		loop_turn(g->loop, 1);
	assert_int_equal(w.e, ERR_OK);
	assert_int_equal(other.e, ERR_OK);
	for (int32_t i = 0; i < 1000; i++)
		assert_non_null(metadata_partition(g->m, bytes_str("big"), i)->log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
		cmocka_unit_test(test_names),
		T(test_counts),
		T(test_create),
		T(test_create_with_configs),
		T(test_grow),
		T(test_grow_fails),
		T(test_delete),
		T(test_delete_fails),
		T(test_offline_partition),
		T(test_large_topic),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
