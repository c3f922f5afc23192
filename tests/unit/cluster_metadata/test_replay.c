/* SPDX-License-Identifier: Apache-2.0 */
/* Starts: what a replay gives back, what stops one, and what happens to folders that nobody
 * wants. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "cluster/metadata/record_frame.h"
#include "lib/wire/messages.h"
#include "lib/wire/records.h"
#include "lib/wire/wire.h"
#include "rig.h"

static void restart(struct rig *g)
{
	rig_crash(g, 0);
	rig_start(g);
}

static void test_everything_comes_back(void **state)
{
	struct rig *g = *state;

	rig_start(g);
	assert_int_equal(rig_create(g, "a", 3), ERR_OK);
	assert_int_equal(rig_create_with(g, "b", "retention.ms", "77"), ERR_OK);
	assert_int_equal(rig_create(g, "gone", 2), ERR_OK);
	assert_int_equal(rig_grow(g, "a", 5), ERR_OK);
	assert_int_equal(rig_alter(g, 2, "b", "segment.ms", "5"), ERR_OK);
	assert_int_equal(rig_alter(g, 2, "b", "segment.ms", NULL), ERR_OK);
	assert_int_equal(rig_delete(g, "gone"), ERR_OK);
	struct uuid id = rig_topic(g, "a")->id;
	restart(g);
	size_t n;
	metadata_topics(g->m, &n);
	assert_int_equal(n, 2);
	assert_int_equal(rig_topic(g, "a")->partitions_n, 5);
	assert_true(uuid_eq(&rig_topic(g, "a")->id, &id));
	assert_string_equal(map_get(rig_topic(g, "b")->configs, bytes_str("retention.ms")), "77");
	assert_null(map_get(rig_topic(g, "b")->configs, bytes_str("segment.ms")));
	assert_int_equal(fake_log_config(rig_topic(g, "b")->partitions[0].log)->retention_ms, 77);
	assert_int_equal(g->deleted, 1); /* the replay does not tell again */
	assert_null(rig_topic(g, "gone"));
}

/* ---- folders ---- */

/* A crash between the record and the removal. */
static void test_stray_of_deleted_topic_goes(void **state)
{
	struct rig *g = *state;

	rig_start(g);
	assert_int_equal(rig_create(g, "a", 2), ERR_OK);
	struct uuid id = rig_topic(g, "a")->id;
	assert_int_equal(rig_delete(g, "a"), ERR_OK);
	fake_disk_add_folder(g->disk, "a", 0, &id);
	restart(g);
	assert_false(fake_disk_has(g->disk, "a", 0));
	/* Also if the name was taken again. */
	assert_int_equal(rig_create(g, "b", 1), ERR_OK);
	id = rig_topic(g, "b")->id;
	assert_int_equal(rig_delete(g, "b"), ERR_OK);
	fake_disk_hold_syncs(g->disk, true);
	const struct metadata_new_topic t = {
		.name = bytes_str("b"), .partitions = 1, .replication_factor = 1};
	struct wish w;
	wish_init(&w);
	assert_int_equal(metadata_create_topic(g->m, &t, &w.change, &g->why), ERR_OK);
	rig_crash(g, 100); /* the batch survives, its folder was never made */
	fake_disk_add_folder(g->disk, "b", 0, &id);
	fake_disk_hold_syncs(g->disk, false);
	rig_start(g);
	assert_non_null(metadata_partition(g->m, bytes_str("b"), 0)->log);
}

/* What no record ever spoke of is somebody's data. */
static void test_unknown_folder_stays(void **state)
{
	struct rig *g = *state;
	const struct uuid other = {{9, 9, 9}};
	static const struct uuid none;

	fake_disk_add_folder(g->disk, "theirs", 0, &other);
	fake_disk_add_folder(g->disk, "no_id", 0, &none);
	rig_start(g);
	assert_true(fake_disk_has(g->disk, "theirs", 0));
	assert_true(fake_disk_has(g->disk, "no_id", 0));
	/* Its name can be taken, but not its folder: the partition is offline and says so. */
	assert_int_equal(rig_create(g, "theirs", 1), ERR_OK);
	assert_null(metadata_partition(g->m, bytes_str("theirs"), 0)->log);
	assert_int_equal(metadata_partition(g->m, bytes_str("theirs"), 0)->log_error,
			 ERR_MALFORMED);
	restart(g);
	assert_true(fake_disk_has(g->disk, "theirs", 0));
}

/* The metadata log is gone, the data are not: nothing is deleted. */
static void test_lost_metadata_delete_nothing(void **state)
{
	struct rig *g = *state;
	const struct uuid id = {{7}};

	for (int32_t i = 0; i < 5; i++)
		fake_disk_add_folder(g->disk, "orders", i, &id);
	rig_start(g);
	assert_int_equal(fake_disk_folders(g->disk), 6); /* and the new metadata log */
}

/* ---- records that stop a start ---- */

static void plant(struct rig *g, const struct metadata_record *r, size_t n)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	assert_int_equal(record_frame_batch(r, n, 1, &b, &g->why), ERR_OK);
	fake_disk_plant(g->disk, buf_bytes(&b));
	buf_fini(&b);
}

/* A record made of raw bytes. */
static void plant_raw(struct rig *g, const void *p, size_t n)
{
	struct batch_builder bb;
	struct buf b;

	batch_builder_init(&bb, CODEC_NONE, 1 << 20);
	buf_init(&b, 1 << 20);
	assert_int_equal(batch_builder_add(&bb, &(struct record){.value = bytes_of(p, n)}), ERR_OK);
	assert_int_equal(batch_builder_finish(&bb, &b), ERR_OK);
	fake_disk_plant(g->disk, buf_bytes(&b));
	buf_fini(&b);
	batch_builder_fini(&bb);
}

/* The start is refused, says at which offset, where, and what to do. */
static void check_refused(struct rig *g, const char *what, const char *advice)
{
	assert_int_equal(rig_open(g), ERR_CONFIG);
	assert_null(g->m);
	if (strstr(g->why.text, "metadata record 0: ") == NULL ||
	    strstr(g->why.text, what) == NULL || strstr(g->why.text, advice) == NULL ||
	    strstr(g->why.text, "/fake/__cluster_metadata-0") == NULL)
		fail_msg("%s", g->why.text);
}

static const char *const restore = "restore the folder from a copy";
static const char *const newer = "start the version that wrote it";

static void test_unknown_type(void **state)
{
	plant_raw(*state, "\x01\x63\x00", 3);
	check_refused(*state, "record type 99 is not known to this version", newer);
}

static void test_feature_that_is_not_offered(void **state)
{
	struct access_control_entry_record r;

	wire_init(&wire_access_control_entry_record, &r);
	plant(*state, &(struct metadata_record){&wire_access_control_entry_record, 0, &r}, 1);
	check_refused(*state, "record type 18 is not known", newer);
}

static void test_newer_version_of_a_record(void **state)
{
	plant_raw(*state, "\x01\x02\x07\x00", 4);
	check_refused(*state, "TopicRecord version 7; this version knows 0 to 0", newer);
}

static void test_newer_frame(void **state)
{
	plant_raw(*state, "\x02\x02\x00", 3);
	check_refused(*state, "frame version 2", newer);
}

static void test_newer_metadata_version(void **state)
{
	struct feature_level_record r;

	wire_init(&wire_feature_level_record, &r);
	r.name = bytes_str("metadata.version");
	r.feature_level = 28;
	plant(*state, &(struct metadata_record){&wire_feature_level_record, 0, &r}, 1);
	check_refused(*state, "metadata.version 28; this version knows 7 to 27", newer);
}

static void test_cut_record(void **state)
{
	plant_raw(*state, "\x01\x02\x00\x05", 4);
	check_refused(*state, "TopicRecord", restore);
}

static void test_empty_record(void **state)
{
	plant_raw(*state, "", 0);
	check_refused(*state, "the record is empty", restore);
}

static void test_bad_name(void **state)
{
	struct topic_record r;

	wire_init(&wire_topic_record, &r);
	r.name = bytes_str("../../etc");
	r.topic_id.b[0] = 1;
	plant(*state, &(struct metadata_record){&wire_topic_record, 0, &r}, 1);
	check_refused(*state, "the topic's name is not allowed", restore);
}

static void test_partition_of_nothing(void **state)
{
	struct partition_record r;

	wire_init(&wire_partition_record, &r);
	plant(*state, &(struct metadata_record){&wire_partition_record, 2, &r}, 1);
	check_refused(*state, "the partition's topic does not exist", restore);
}

static void test_other_replicas(void **state)
{
	struct rig *g = *state;
	struct topic_record t;
	struct partition_record p;
	int32_t nodes[] = {1, 2};

	wire_init(&wire_topic_record, &t);
	t.name = bytes_str("a");
	t.topic_id.b[0] = 1;
	wire_init(&wire_partition_record, &p);
	p.partition_id = 0;
	p.topic_id = t.topic_id;
	p.replicas = p.isr = nodes;
	p.replicas_n = p.isr_n = 2;
	p.leader = 1;
	p.leader_epoch = p.partition_epoch = 0;
	plant(g,
	      (const struct metadata_record[]){{&wire_topic_record, 0, &t},
					       {&wire_partition_record, 2, &p}},
	      2);
	assert_int_equal(rig_open(g), ERR_CONFIG);
	assert_non_null(strstr(g->why.text, "metadata record 1: PartitionRecord: partition a-0 has "
					    "other replicas than node 1"));
}

static void test_damaged_batch(void **state)
{
	struct rig *g = *state;

	rig_start(g);
	rig_crash(g, 0);
	fake_disk_damage(g->disk);
	check_refused(g, "checksum", restore);
}

/* Control batches belong to the quorum and have offsets, but say nothing about the cluster. */
static void test_control_batch_is_passed_over(void **state)
{
	struct rig *g = *state;
	uint8_t batch[BATCH_HEAD + 7] = {0};
	struct batch_head h = {.attributes = BATCH_CONTROL,
			       .producer_id = -1,
			       .producer_epoch = -1,
			       .base_sequence = -1,
			       .count = 1};

	memcpy(batch + BATCH_HEAD, "\x0c\x00\x00\x00\x01\x01\x00", 7);
	batch_head_seal(batch, 7, &h);
	fake_disk_plant(g->disk, bytes_of(batch, sizeof batch));
	rig_start(g);
	assert_int_equal(metadata_broker_epoch(g->m), 2);
}

/* A leader that is set anew raises the epoch, as in Kafka. */
static void test_partition_change(void **state)
{
	struct rig *g = *state;
	struct partition_change_record r;

	rig_start(g);
	assert_int_equal(rig_create(g, "a", 1), ERR_OK);
	wire_init(&wire_partition_change_record, &r);
	r.partition_id = 0;
	r.topic_id = rig_topic(g, "a")->id;
	r.leader = 1;
	rig_crash(g, 0);
	plant(g, &(struct metadata_record){&wire_partition_change_record, 2, &r}, 1);
	rig_start(g);
	struct partition *p = metadata_partition(g->m, bytes_str("a"), 0);
	assert_int_equal(p->leader_epoch, 1);
	assert_int_equal(p->partition_epoch, 1);
	assert_int_equal(p->leader, 1);
	rig_crash(g, 0);
	r.leader = 5;
	plant(g, &(struct metadata_record){&wire_partition_change_record, 2, &r}, 1);
	assert_int_equal(rig_open(g), ERR_CONFIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
		T(test_everything_comes_back),
		T(test_stray_of_deleted_topic_goes),
		T(test_unknown_folder_stays),
		T(test_lost_metadata_delete_nothing),
		T(test_unknown_type),
		T(test_feature_that_is_not_offered),
		T(test_newer_version_of_a_record),
		T(test_newer_frame),
		T(test_newer_metadata_version),
		T(test_cut_record),
		T(test_empty_record),
		T(test_bad_name),
		T(test_partition_of_nothing),
		T(test_other_replicas),
		T(test_damaged_batch),
		T(test_control_batch_is_passed_over),
		T(test_partition_change),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
