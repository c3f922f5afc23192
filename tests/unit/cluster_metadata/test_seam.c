/* SPDX-License-Identifier: Apache-2.0 */
/* The seam: when changes are applied and told, and what failing appends and syncs leave behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "rig.h"

static void create(struct rig *g, struct wish *w, const char *name)
{
	const struct metadata_new_topic t = {
		.name = bytes_str(name), .partitions = 1, .replication_factor = 1};

	wish_init(w);
	assert_int_equal(metadata_create_topic(g->m, &t, &w->change, &g->why), ERR_OK);
	assert_int_equal(w->calls, 0);
}

/* Nothing shows before it is stored. */
static void test_applied_when_stored(void **state)
{
	struct rig *g = *state;
	struct wish w;

	rig_start(g);
	fake_disk_hold_syncs(g->disk, true);
	create(g, &w, "a");
	rig_turns(g);
	assert_int_equal(w.calls, 0);
	assert_null(rig_topic(g, "a"));
	assert_false(fake_disk_has(g->disk, "a", 0));
	fake_disk_sync(g->disk, true);
	assert_int_equal(w.calls, 0); /* not from inside the log's call */
	rig_turns(g);
	assert_int_equal(w.calls, 1);
	assert_int_equal(w.e, ERR_OK);
	assert_non_null(rig_topic(g, "a"));
	assert_true(fake_disk_has(g->disk, "a", 0));
}

/* Several on their way: one sync ends them all, in order. */
static void test_several_in_flight(void **state)
{
	struct rig *g = *state;
	struct wish w[3];

	rig_start(g);
	fake_disk_hold_syncs(g->disk, true);
	int64_t before = metadata_offset(g->m);
	create(g, &w[0], "a");
	create(g, &w[1], "b");
	create(g, &w[2], "c");
	fake_disk_sync(g->disk, true); /* tells the last waiter first */
	rig_turns(g);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(w[i].calls, 1);
		assert_int_equal(w[i].e, ERR_OK);
	}
	assert_int_equal(metadata_offset(g->m), before + 6); /* topic and partition each */
}

static void test_same_name_twice(void **state)
{
	struct rig *g = *state;
	const struct metadata_new_topic t = {
		.name = bytes_str("a"), .partitions = 1, .replication_factor = 1};
	const struct metadata_new_topic like = {
		.name = bytes_str("a.b"), .partitions = 1, .replication_factor = 1};
	struct wish w, other;

	rig_start(g);
	fake_disk_hold_syncs(g->disk, true);
	create(g, &w, "a");
	wish_init(&other);
	assert_int_equal(metadata_create_topic(g->m, &t, &other.change, &g->why),
			 ERR_KAFKA_TOPIC_ALREADY_EXISTS);
	assert_string_equal(g->why.text, "Topic 'a' already exists.");
	create(g, &other, "a_b");
	struct wish third;
	wish_init(&third);
	assert_int_equal(metadata_create_topic(g->m, &like, &third.change, &g->why),
			 ERR_KAFKA_INVALID_TOPIC_EXCEPTION);
	assert_string_equal(g->why.text, "Topic 'a.b' collides with existing topic: a_b");
	/* The first fails: the name is free again. */
	fake_disk_sync(g->disk, false);
	rig_turns(g);
	assert_int_equal(w.e, ERR_KAFKA_KAFKA_STORAGE_ERROR);
	fake_disk_hold_syncs(g->disk, false);
	assert_int_equal(rig_create(g, "a", 1), ERR_OK);
	assert_int_equal(rig_create(g, "a.b", 1), ERR_OK);
}

static void test_failed_append_changes_nothing(void **state)
{
	struct rig *g = *state;

	rig_start(g);
	int64_t before = metadata_offset(g->m);
	fake_disk_fail_append(g->disk, true);
	assert_int_equal(rig_create(g, "a", 1), ERR_KAFKA_KAFKA_STORAGE_ERROR);
	assert_null(rig_topic(g, "a"));
	assert_int_equal(metadata_offset(g->m), before);
	fake_disk_fail_append(g->disk, false);
	assert_int_equal(rig_create(g, "a", 1), ERR_OK);
}

/* A failed sync: all on their way fail, the log is cut, and the next change takes their place. */
static void test_failed_sync_changes_nothing(void **state)
{
	struct rig *g = *state;
	struct wish w[2];

	rig_start(g);
	assert_int_equal(rig_create(g, "before", 1), ERR_OK);
	int64_t before = metadata_offset(g->m);
	fake_disk_hold_syncs(g->disk, true);
	create(g, &w[0], "a");
	create(g, &w[1], "b");
	fake_disk_sync(g->disk, false);
	rig_turns(g);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(w[i].calls, 1);
		assert_int_equal(w[i].e, ERR_KAFKA_KAFKA_STORAGE_ERROR);
	}
	assert_null(rig_topic(g, "a"));
	assert_int_equal(metadata_offset(g->m), before);
	/* While it cannot be cut back nothing goes in. */
	fake_disk_fail_truncate(g->disk, true);
	fake_disk_hold_syncs(g->disk, false);
	assert_int_equal(rig_create(g, "c", 1), ERR_KAFKA_KAFKA_STORAGE_ERROR);
	fake_disk_fail_truncate(g->disk, false);
	assert_int_equal(rig_create(g, "c", 1), ERR_OK);
	assert_int_equal(metadata_offset(g->m), before + 2);
	rig_crash(g, 0);
	rig_start(g);
	assert_null(rig_topic(g, "a"));
	assert_null(rig_topic(g, "b"));
	assert_non_null(rig_topic(g, "c"));
}

/* The proposer goes away: the change goes on, nobody is called. */
static void test_cancel(void **state)
{
	struct rig *g = *state;
	struct wish w;

	rig_start(g);
	fake_disk_hold_syncs(g->disk, true);
	create(g, &w, "a");
	metadata_change_cancel(&w.change);
	metadata_change_cancel(&w.change); /* safe */
	fake_disk_sync(g->disk, true);
	rig_turns(g);
	assert_int_equal(w.calls, 0);
	assert_non_null(rig_topic(g, "a"));
}

static void test_free_ends_what_runs(void **state)
{
	struct rig *g = *state;
	struct wish w;

	rig_start(g);
	fake_disk_hold_syncs(g->disk, true);
	create(g, &w, "a");
	metadata_free(g->m);
	g->m = NULL;
	assert_int_equal(w.calls, 1);
	assert_int_equal(w.e, ERR_CANCELED);
}

/* A proposer that proposes again from `done`. */
struct chain {
	struct metadata_change change;
	struct rig *g;
	struct wish next;
	enum err e;
};

static void on_first(struct metadata_change *c, enum err e)
{
	struct chain *ch = (struct chain *)c;
	const struct metadata_new_topic t = {
		.name = bytes_str("second"), .partitions = 1, .replication_factor = 1};

	ch->e = e;
	wish_init(&ch->next);
	assert_int_equal(metadata_create_topic(ch->g->m, &t, &ch->next.change, &ch->g->why),
			 ERR_OK);
}

static void test_propose_from_done(void **state)
{
	struct rig *g = *state;
	const struct metadata_new_topic t = {
		.name = bytes_str("first"), .partitions = 1, .replication_factor = 1};
	struct chain ch = {.change.done = on_first, .g = g};

	rig_start(g);
	fake_disk_hold_syncs(g->disk, true);
	assert_int_equal(metadata_create_topic(g->m, &t, &ch.change, &g->why), ERR_OK);
	fake_disk_sync(g->disk, false);
	rig_turns(g);
	/* The second one was proposed after the failure and is not part of it. */
	assert_int_equal(ch.e, ERR_KAFKA_KAFKA_STORAGE_ERROR);
	assert_int_equal(ch.next.calls, 0);
	fake_disk_sync(g->disk, true);
	rig_turns(g);
	assert_int_equal(ch.next.calls, 1);
	assert_int_equal(ch.next.e, ERR_OK);
	assert_null(rig_topic(g, "first"));
	assert_non_null(rig_topic(g, "second"));
}

/* ---- producer ids ---- */

struct id {
	struct metadata_producer_id p;
	int calls;
	enum err e;
	int64_t id;
};

static void on_id(struct metadata_producer_id *p, enum err e, int64_t id)
{
	struct id *i = (struct id *)p;

	i->calls++;
	i->e = e;
	i->id = id;
}

static void ask_id(struct rig *g, struct id *i)
{
	*i = (struct id){.p.done = on_id};
	metadata_producer_id(g->m, &i->p);
	assert_int_equal(i->calls, 0);
}

static int64_t get_id(struct rig *g)
{
	struct id i;

	ask_id(g, &i);
	rig_turns(g);
	assert_int_equal(i.calls, 1);
	assert_int_equal(i.e, ERR_OK);
	return i.id;
}

static void test_producer_ids(void **state)
{
	struct rig *g = *state;

	rig_start(g);
	for (int64_t want = 0; want < 2100; want++)
		assert_int_equal(get_id(g), want);
	/* What is left of a block is lost with the process. */
	rig_crash(g, 0);
	rig_start(g);
	assert_int_equal(get_id(g), 3000);
}

/* No id before its block is stored; a failure reaches all who wait, and the next try works. */
static void test_producer_ids_fail(void **state)
{
	struct rig *g = *state;
	struct id a, b, gone;

	rig_start(g);
	fake_disk_hold_syncs(g->disk, true);
	ask_id(g, &a);
	ask_id(g, &gone);
	ask_id(g, &b);
	rig_turns(g);
	assert_int_equal(a.calls, 0);
	metadata_producer_id_cancel(g->m, &gone.p);
	fake_disk_sync(g->disk, false);
	rig_turns(g);
	assert_int_equal(a.e, ERR_KAFKA_KAFKA_STORAGE_ERROR);
	assert_int_equal(b.e, ERR_KAFKA_KAFKA_STORAGE_ERROR);
	assert_int_equal(gone.calls, 0);
	fake_disk_hold_syncs(g->disk, false);
	fake_disk_fail_append(g->disk, true);
	ask_id(g, &a);
	rig_turns(g);
	assert_int_equal(a.calls, 1);
	assert_int_equal(a.e, ERR_KAFKA_KAFKA_STORAGE_ERROR);
	fake_disk_fail_append(g->disk, false);
	assert_int_equal(get_id(g), 0);
}

/* ---- the registration ---- */

static void test_registration(void **state)
{
	struct rig *g = *state;

	rig_start(g);
	/* FeatureLevelRecord, RegisterBrokerRecord, BrokerRegistrationChangeRecord. */
	assert_int_equal(metadata_version(g->m), 27);
	assert_int_equal(metadata_broker_epoch(g->m), 1);
	assert_int_equal(metadata_offset(g->m), 2);
	rig_crash(g, 0);
	rig_start(g);
	assert_int_equal(metadata_broker_epoch(g->m), 3);
	assert_int_equal(metadata_offset(g->m), 4);
}

/* A full disk does not stop a start; the broker registers when there is room. */
static void test_registration_waits_for_room(void **state)
{
	struct rig *g = *state;

	fake_disk_fail_append(g->disk, true);
	assert_int_equal(rig_open(g), ERR_OK);
	rig_turns(g);
	assert_int_equal(metadata_broker_epoch(g->m), -1);
	fake_disk_fail_append(g->disk, false);
	rig_sleep(g, 1001);
	assert_int_equal(metadata_broker_epoch(g->m), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
		T(test_applied_when_stored),
		T(test_several_in_flight),
		T(test_same_name_twice),
		T(test_failed_append_changes_nothing),
		T(test_failed_sync_changes_nothing),
		T(test_cancel),
		T(test_free_ends_what_runs),
		T(test_propose_from_done),
		T(test_producer_ids),
		T(test_producer_ids_fail),
		T(test_registration),
		T(test_registration_waits_for_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
