/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Nth allocation fails, N = 1, 2, ..., over a member's life, commits, deletions and a
 * restart. Every request is answered once, nothing leaks, and afterwards the coordinator works:
 * no offset that it told of is lost in a replay.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "cluster/group/groups.h"
#include "tests/unit/base/fail_alloc.h"
#include "tests/unit/cluster_metadata/rig.h"

struct waiter {
	struct groups_wait wait;
	int calls;
	enum err e;
};

struct world {
	struct rig *r;
	struct groups *g;
	struct group_join join;
	struct join_group_request join_request;
	struct join_group_request_join_group_request_protocol protocol;
	struct group_sync sync;
	struct sync_group_request sync_request;
	struct sync_group_request_sync_group_request_assignment assignment;
	char id[100];
	int32_t generation;
	int joins, syncs; /* answers */
	int16_t error;
};

static void on_done(struct groups_wait *wait, enum err e)
{
	struct waiter *w = (struct waiter *)wait;
	w->calls++;
	w->e = e;
}

static enum err start(struct world *w)
{
	const struct groups_options o = {.loop = w->r->loop,
					 .metadata = w->r->m,
					 .offsets_partitions = 2,
					 .offsets_retention_ms = 1000000,
					 .offsets_retention_check_interval_ms = 1000000,
					 .offset_metadata_max = 10,
					 .min_session_timeout_ms = 1,
					 .max_session_timeout_ms = 1800000,
					 .max_size = 100};
	return groups_new(&o, &w->g, &w->r->why);
}

static void pass(struct world *w, int64_t ms)
{
	w->r->now += ms;
	loop_turn(w->r->loop, 1);
	rig_turns(w->r);
}

static void wait_ready(struct world *w)
{
	/* A partition that failed for want of memory is tried again after 10 s. */
	for (int i = 0; i < 20 && !groups_ready(w->g); i++)
		pass(w, 0);
	pass(w, 10001);
	assert_true(groups_ready(w->g));
}

static enum err ended(struct world *w, struct waiter *a, enum err e)
{
	assert_int_equal(a->calls, 0);
	rig_turns(w->r);
	assert_int_equal(a->calls, e == ERR_OK);
	return e == ERR_OK ? a->e : e;
}

/* The last `n` of three positions; the last one is what fetch() reads. */
static enum err commit_some(struct world *w, const char *group, int64_t offset, size_t n)
{
	struct waiter a = {.wait.done = on_done};
	struct offset_commit_request q;
	struct groups_offset o[3] = {
		{.topic = bytes_str("t"), .offset = offset, .metadata = bytes_str("note")},
		{.topic = bytes_str("t"), .partition = 1, .offset = offset},
		{.topic = bytes_str("u"), .offset = offset}};
	wire_init(&wire_offset_commit_request, &q);
	q.group_id = bytes_str(group);
	q.generation_id_or_member_epoch = w->generation > 0 ? w->generation : -1;
	q.member_id = bytes_str(w->generation > 0 ? w->id : "");
	return ended(w, &a, groups_commit(w->g, &q, 8, &o[3 - n], n, &a.wait));
}

static enum err commit(struct world *w, const char *group, int64_t offset)
{
	return commit_some(w, group, offset, 3);
}

static int64_t fetch(const struct world *w, const char *group)
{
	const struct offsets *o = groups_offsets(w->g, bytes_str(group));
	const struct committed_offset *c = o == NULL ? NULL : offsets_get(o, bytes_str("u"), 0);
	return c == NULL ? -1 : c->offset;
}

static void on_joined(struct group_waiter *waiter)
{
	struct world *w =
		(struct world *)(void *)((char *)waiter - offsetof(struct world, join.waiter));
	const struct join_group_response *a = &w->join.answer;
	w->joins++;
	w->error = w->join.fault == ERR_OK ? a->error_code : -1;
	if (w->error == 0) {
		assert_true(a->member_id.n < sizeof w->id);
		memcpy(w->id, a->member_id.p, a->member_id.n);
		w->id[a->member_id.n] = '\0';
		w->generation = a->generation_id;
	}
	group_join_fini(&w->join);
}

static void on_synced(struct group_waiter *waiter)
{
	struct world *w =
		(struct world *)(void *)((char *)waiter - offsetof(struct world, sync.waiter));
	w->syncs++;
	group_sync_fini(&w->sync);
}

static void join(struct world *w, const char *instance)
{
	struct join_group_request *q = &w->join_request;
	wire_init(&wire_join_group_request, q);
	q->group_id = bytes_str("g");
	q->group_instance_id = bytes_str(instance);
	q->session_timeout_ms = 1000000;
	q->rebalance_timeout_ms = 1000;
	q->protocol_type = bytes_str("consumer");
	w->protocol.name = bytes_str("range");
	w->protocol.metadata = bytes_of("\0\0\0\0\0\1\0\1t\xff\xff\xff\xff", 13);
	q->protocols = &w->protocol;
	q->protocols_n = 1;
	group_join_init(&w->join);
	w->join.request = q;
	w->join.version = 3;
	w->join.client_host = bytes_str("/h");
	w->join.waiter.answered = on_joined;
	w->joins = 0;
	if (groups_join(w->g, &w->join) != ERR_OK) {
		group_join_fini(&w->join);
		return;
	}
	/* A rebalance that had no memory is tried again after the rebalance timeout. */
	for (int i = 0; i < 8 && w->joins == 0; i++)
		pass(w, i == 0 ? 0 : 1001);
	assert_int_equal(w->joins, 1);
}

static void sync(struct world *w)
{
	wire_init(&wire_sync_group_request, &w->sync_request);
	w->sync_request.group_id = bytes_str("g");
	w->sync_request.generation_id = w->generation;
	w->sync_request.member_id = bytes_str(w->id);
	w->assignment.member_id = bytes_str(w->id);
	w->assignment.assignment = bytes_str("mine");
	w->sync_request.assignments = &w->assignment;
	w->sync_request.assignments_n = 1;
	group_sync_init(&w->sync);
	w->sync.request = &w->sync_request;
	w->sync.waiter.answered = on_synced;
	w->syncs = 0;
	if (groups_sync(w->g, &w->sync) != ERR_OK) {
		group_sync_fini(&w->sync);
		return;
	}
	for (int i = 0; i < 3 && w->syncs == 0; i++)
		rig_turns(w->r);
	assert_int_equal(w->syncs, 1);
}

static void leave(struct world *w)
{
	struct leave_group_request q;
	struct leave_group_request_member_identity who = {.member_id = bytes_str(w->id)};
	enum err e;
	wire_init(&wire_leave_group_request, &q);
	q.group_id = bytes_str("g");
	q.members = &who;
	q.members_n = 1;
	(void)!groups_leave(w->g, &q, &e);
	rig_turns(w->r);
}

static void script(struct world *w)
{
	struct waiter a = {.wait.done = on_done}, b = a, c = a;
	struct groups_offset gone = {.topic = bytes_str("u")};
	(void)!commit(w, "simple", 1);
	(void)!ended(w, &a, groups_delete_offsets(w->g, bytes_str("simple"), &gone, 1, &a.wait));
	(void)!commit(w, "simple", 2);
	join(w, NULL);
	sync(w);
	(void)!commit(w, "g", 3);
	leave(w);
	join(w, "i");
	sync(w);
	join(w, "i"); /* a static member that comes back */
	leave(w);
	w->generation = 0;
	(void)!ended(w, &b, groups_delete(w->g, bytes_str("g"), &b.wait));
	groups_topic_deleted(w->g, rig_topic(w->r, "t"));
	rig_turns(w->r);
	(void)!ended(w, &c, groups_settle(w->g, bytes_str("g"), &c.wait));
}

static void restart(struct world *w)
{
	groups_free(w->g);
	w->g = NULL;
	if (start(w) != ERR_OK) {
		assert_true(fail_alloc_off());
		assert_int_equal(start(w), ERR_OK);
	}
	wait_ready(w);
}

static void set_up(struct world *w)
{
	void *rig;
	*w = (struct world){0};
	rig_setup(&rig);
	w->r = rig;
	rig_start(w->r);
	assert_int_equal(rig_create(w->r, "t", 2), ERR_OK);
	assert_int_equal(rig_create(w->r, "u", 2), ERR_OK);
	assert_int_equal(start(w), ERR_OK);
	struct waiter a = {.wait.done = on_done};
	groups_create(w->g, &a.wait);
	assert_int_equal(ended(w, &a, ERR_OK), ERR_OK);
}

static void tear_down(struct world *w)
{
	void *rig = w->r;
	groups_free(w->g);
	rig_teardown(&rig);
}

static void check_works(struct world *w)
{
	/* A commit that was stored when there was no memory to note it was not acknowledged, but
	 * the replay finds it: offsets only move on. */
	int64_t simple = fetch(w, "simple");
	restart(w);
	assert_true(fetch(w, "simple") >= simple);
	assert_int_equal(commit(w, "after", 9), ERR_OK);
	assert_int_equal(fetch(w, "after"), 9);
}

static void test_run_time(void **state)
{
	(void)state;
	bool hit = true;
	for (long n = 1; hit; n++) {
		struct world w;
		set_up(&w);
		fail_alloc_at(n);
		script(&w);
		hit = fail_alloc_off();
		w.generation = 0;
		check_works(&w);
		tear_down(&w);
	}
}

/* What was acknowledged is there, also where the only record of a commit found no memory. */
static void test_acknowledged(void **state)
{
	(void)state;
	bool hit = true;
	for (long n = 1; hit; n++) {
		struct world w;
		set_up(&w);
		assert_int_equal(commit_some(&w, "one", 16, 1), ERR_OK);
		fail_alloc_at(n);
		enum err e = commit_some(&w, "one", 21, 1);
		hit = fail_alloc_off();
		if (e == ERR_OK)
			assert_int_equal(fetch(&w, "one"), 21);
		tear_down(&w);
	}
}

static void test_start(void **state)
{
	(void)state;
	bool hit = true;
	for (long n = 1; hit; n++) {
		struct world w;
		set_up(&w);
		assert_int_equal(commit(&w, "simple", 5), ERR_OK);
		join(&w, NULL);
		sync(&w);
		w.generation = 0;
		fail_alloc_at(n);
		restart(&w);
		hit = fail_alloc_off();
		wait_ready(&w);
		assert_int_equal(fetch(&w, "simple"), 5);
		const struct group *g = groups_find(w.g, bytes_str("g"));
		assert_non_null(g);
		assert_int_equal(group_state(g), GROUP_STABLE);
		tear_down(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_run_time),
					   cmocka_unit_test(test_acknowledged),
					   cmocka_unit_test(test_start)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
