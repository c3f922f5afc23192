/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Nth allocation fails, N = 1, 2, ... until none does: a change is refused and leaves
 * nothing, or it happens, if need be a little later; a start fails with ERR_NOMEM and leaves
 * nothing, or works.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "rig.h"
#include "tests/unit/base/fail_alloc.h"

/* Until the loop has nothing left to do; memory comes back meanwhile. */
static void wait_for(struct rig *g, const struct wish *w)
{
	for (int i = 0; i < 10 && w->calls == 0; i++) {
		rig_turns(g);
		if (w->calls == 0)
			rig_sleep(g, 200);
	}
	assert_int_equal(w->calls, 1);
}

static enum err create(struct rig *g, struct wish *w)
{
	const struct metadata_config_value v = {bytes_str("retention.ms"), bytes_str("5")};
	const struct metadata_new_topic t = {.name = bytes_str("t"),
					     .partitions = 3,
					     .replication_factor = 1,
					     .configs = &v,
					     .configs_n = 1};

	return metadata_create_topic(g->m, &t, &w->change, &g->why);
}

static enum err alter(struct rig *g, struct wish *w)
{
	const struct metadata_alter_op ops[] = {
		{bytes_str("retention.ms"), bytes_str("6"), 0},
		{bytes_str("cleanup.policy"), bytes_str("compact"), 2}};
	const struct metadata_alter a = {
		.resource_type = 2, .resource = bytes_str("t"), .ops = ops, .ops_n = 2};
	bool unchanged;

	return metadata_alter_configs(g->m, &a, &w->change, &unchanged, &g->why);
}

static enum err grow(struct rig *g, struct wish *w)
{
	return metadata_create_partitions(g->m, rig_topic(g, "t"), 9, &w->change, &g->why);
}

static enum err delete (struct rig *g, struct wish *w) {
	return metadata_delete_topic(g->m, rig_topic(g, "t"), &w->change, &g->why);
}

static void check_there(struct rig *g)
{
	const struct topic *t = rig_topic(g, "t");

	assert_non_null(t);
	assert_string_equal(map_get(t->configs, bytes_str("retention.ms")), "6");
	assert_string_equal(map_get(t->configs, bytes_str("cleanup.policy")), "delete,compact");
	assert_int_equal(t->partitions_n, 9);
}

/* Let one change meet the failure; then it is made without. True if the failure was met. */
static bool disturb(struct rig *g, enum err (*change)(struct rig *g, struct wish *w), long nth)
{
	int64_t before = metadata_offset(g->m);
	struct wish w;

	wish_init(&w);
	fail_alloc_at(nth);
	enum err e = change(g, &w);
	if (e == ERR_OK)
		wait_for(g, &w);
	bool hit = fail_alloc_off();
	if (e == ERR_OK) {
		assert_int_equal(w.e, ERR_OK);
		return hit;
	}
	assert_true(hit);
	assert_int_equal(e, ERR_NOMEM);
	assert_int_equal(w.calls, 0);
	assert_int_equal(metadata_offset(g->m), before);
	wish_init(&w);
	assert_int_equal(change(g, &w), ERR_OK);
	wait_for(g, &w);
	assert_int_equal(w.e, ERR_OK);
	return true;
}

static void test_changes(void **state)
{
	bool hit = true;
	long n = 1;
	(void)state;

	for (; hit; n++) {
		void *rig;
		rig_setup(&rig);
		struct rig *g = rig;
		rig_start(g);
		hit = disturb(g, create, n);
		hit = disturb(g, alter, n) || hit;
		hit = disturb(g, grow, n) || hit;
		check_there(g);
		rig_crash(g, 0);
		rig_start(g);
		check_there(g);
		hit = disturb(g, delete, n) || hit;
		assert_null(rig_topic(g, "t"));
		rig_teardown(&rig);
	}
	assert_true(n > 20);
}

static void test_start(void **state)
{
	bool hit = true;
	long n = 1;
	(void)state;

	for (; hit; n++) {
		void *rig;
		struct wish w;
		rig_setup(&rig);
		struct rig *g = rig;
		rig_start(g);
		wish_init(&w);
		assert_int_equal(create(g, &w), ERR_OK);
		rig_turns(g);
		rig_crash(g, 0);
		fail_alloc_at(n);
		enum err e = rig_open(g);
		hit = fail_alloc_off();
		if (e != ERR_OK) {
			assert_true(hit);
			assert_int_equal(e, ERR_NOMEM);
			assert_int_equal(rig_open(g), ERR_OK);
		}
		rig_turns(g);
		rig_sleep(g, 1100);
		assert_int_equal(rig_topic(g, "t")->partitions_n, 3);
		assert_true(metadata_broker_epoch(g->m) > 2);
		rig_teardown(&rig);
	}
	assert_true(n > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_start),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
