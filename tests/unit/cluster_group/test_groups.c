/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The coordinator over a log in memory (cluster_metadata/fake_log.c), which syncs when the test
 * says so and tells waiters in the wrong order: commits, deletions, expiry, restarts, crashes,
 * damage, limits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cluster/group/group_record.h"
#include "cluster/group/groups_priv.h"
#include "lib/wire/records.h"
#include "tests/unit/cluster_metadata/rig.h"
#include "tests/unit/rng.h"

enum { DAY = 24 * 3600 * 1000, CHECK = 600000, PARTITIONS = 4 };

struct world {
	struct rig *r;
	struct groups *g;
	struct groups_options o;
};

static void on_topic_deleted(void *arg, const struct topic *t)
{
	struct world *w = arg;
	if (w->g != NULL)
		groups_topic_deleted(w->g, t);
}

/* As rig_start, but deletions come here. */
static void start_metadata(struct world *w)
{
	const struct metadata_options o = {.store = fake_disk_store(w->r->disk),
					   .loop = w->r->loop,
					   .node_id = 1,
					   .default_partitions = 1,
					   .log_defaults = &w->r->defaults,
					   .on_topic_deleted = on_topic_deleted,
					   .arg = w};
	assert_int_equal(metadata_open(&o, &w->r->m, &w->r->why), ERR_OK);
	rig_turns(w->r);
}

static void start(struct world *w)
{
	w->o.loop = w->r->loop;
	w->o.metadata = w->r->m;
	assert_int_equal(groups_new(&w->o, &w->g, &w->r->why), ERR_OK);
	for (int i = 0; i < 50 && !groups_ready(w->g); i++)
		loop_turn(w->r->loop, 1);
	assert_true(groups_ready(w->g));
}

static int setup(void **state)
{
	static struct world w;
	void *rig;
	rig_setup(&rig);
	w = (struct world){.r = rig};
	w.o = (struct groups_options){.offsets_partitions = PARTITIONS,
				      .offsets_retention_ms = 7 * (int64_t)DAY,
				      .offsets_retention_check_interval_ms = CHECK,
				      .offset_metadata_max = 10,
				      .initial_rebalance_delay_ms = 3000,
				      .min_session_timeout_ms = 6000,
				      .max_session_timeout_ms = 1800000,
				      .max_size = 100};
	start_metadata(&w);
	assert_int_equal(rig_create(w.r, "t", 8), ERR_OK);
	assert_int_equal(rig_create(w.r, "u", 8), ERR_OK);
	start(&w);
	*state = &w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	void *rig = w->r;
	groups_free(w->g);
	return rig_teardown(&rig);
}

/* The process is gone; `keep` batches of each log survive beyond what was synced. */
static void crash(struct world *w, size_t keep)
{
	groups_free(w->g);
	w->g = NULL;
	rig_crash(w->r, keep);
	start_metadata(w);
	start(w);
}

/* ---- calls ---- */

struct waiter {
	struct groups_wait wait;
	int calls;
	enum err e;
};

static void on_done(struct groups_wait *wait, enum err e)
{
	struct waiter *w = (struct waiter *)wait;
	w->calls++;
	w->e = e;
}

static struct waiter waiting(void)
{
	return (struct waiter){.wait.done = on_done};
}

static void create(struct world *w)
{
	struct waiter a = waiting();
	groups_create(w->g, &a.wait);
	assert_int_equal(a.calls, 0);
	rig_turns(w->r);
	assert_int_equal(a.calls, 1);
	assert_int_equal(a.e, ERR_OK);
}

static enum err begin_commit_as(struct world *w, const char *group, const char *topic,
				int32_t partition, int64_t offset, struct waiter *to)
{
	struct offset_commit_request q;
	wire_init(&wire_offset_commit_request, &q);
	q.group_id = bytes_str(group);
	q.generation_id_or_member_epoch = -1;
	const struct topic *t = metadata_topic(w->r->m, bytes_str(topic));
	struct groups_offset o = {.topic = bytes_str(topic),
				  .partition = partition,
				  .offset = offset,
				  .leader_epoch = 3,
				  .metadata = bytes_str("note")};
	if (t != NULL)
		o.topic_id = t->id;
	return groups_commit(w->g, &q, 8, &o, 1, &to->wait);
}

static enum err commit(struct world *w, const char *group, const char *topic, int32_t partition,
		       int64_t offset)
{
	struct waiter a = waiting();
	enum err e = begin_commit_as(w, group, topic, partition, offset, &a);
	assert_int_equal(a.calls, 0);
	rig_turns(w->r);
	assert_int_equal(a.calls, e == ERR_OK);
	return e == ERR_OK ? a.e : e;
}

/* -1: nothing is committed. */
static int64_t fetch(struct world *w, const char *group, const char *topic, int32_t partition)
{
	const struct offsets *o = groups_offsets(w->g, bytes_str(group));
	const struct committed_offset *c =
		o == NULL ? NULL : offsets_get(o, bytes_str(topic), partition);
	return c == NULL ? -1 : c->offset;
}

static enum err delete_group(struct world *w, const char *group)
{
	struct waiter a = waiting();
	enum err e = groups_delete(w->g, bytes_str(group), &a.wait);
	rig_turns(w->r);
	assert_int_equal(a.calls, e == ERR_OK);
	return e == ERR_OK ? a.e : e;
}

/* A member that joined and got its assignment. */
struct member {
	struct group_join join;
	struct join_group_request join_request;
	struct join_group_request_join_group_request_protocol protocol;
	struct group_sync sync;
	struct sync_group_request sync_request;
	struct sync_group_request_sync_group_request_assignment assignment;
	char id[100];
	int32_t generation;
	int answers;
};

static void on_joined(struct group_waiter *w)
{
	struct member *m = (struct member *)w;
	const struct join_group_response *a = &m->join.answer;
	m->answers++;
	assert_int_equal(a->error_code, 0);
	snprintf(m->id, sizeof m->id, "%.*s", (int)a->member_id.n, (const char *)a->member_id.p);
	m->generation = a->generation_id;
	group_join_fini(&m->join);
}

static void on_synced(struct group_waiter *w)
{
	struct member *m = (struct member *)(void *)((char *)w - offsetof(struct member, sync));
	m->answers++;
	assert_int_equal(m->sync.answer.error_code, 0);
	group_sync_fini(&m->sync);
}

#define SUBSCRIBES_T "\0\0\0\0\0\1\0\1t\xff\xff\xff\xff"

static void send_join(struct world *w, struct member *m, const char *group)
{
	struct join_group_request *q = &m->join_request;
	wire_init(&wire_join_group_request, q);
	q->group_id = bytes_str(group);
	q->session_timeout_ms = 10000;
	q->rebalance_timeout_ms = 60000;
	q->protocol_type = bytes_str("consumer");
	m->protocol.name = bytes_str("range");
	m->protocol.metadata = bytes_of(SUBSCRIBES_T, sizeof SUBSCRIBES_T - 1);
	q->protocols = &m->protocol;
	q->protocols_n = 1;
	group_join_init(&m->join);
	m->join.request = q;
	m->join.version = 3;
	m->join.client_host = bytes_str("/h");
	m->join.waiter.answered = on_joined;
	assert_int_equal(groups_join(w->g, &m->join), ERR_OK);
}

static void join(struct world *w, struct member *m, const char *group)
{
	*m = (struct member){0};
	send_join(w, m, group);
	rig_turns(w->r);
	rig_sleep(w->r, 3000);
	assert_int_equal(m->answers, 1);
	wire_init(&wire_sync_group_request, &m->sync_request);
	m->sync_request.group_id = bytes_str(group);
	m->sync_request.generation_id = m->generation;
	m->sync_request.member_id = bytes_str(m->id);
	m->assignment.member_id = bytes_str(m->id);
	m->assignment.assignment = bytes_str("mine");
	m->sync_request.assignments = &m->assignment;
	m->sync_request.assignments_n = 1;
	group_sync_init(&m->sync);
	m->sync.request = &m->sync_request;
	m->sync.waiter.answered = on_synced;
	assert_int_equal(groups_sync(w->g, &m->sync), ERR_OK);
	rig_turns(w->r);
	assert_int_equal(m->answers, 2);
}

static enum err heartbeat(struct world *w, const struct member *m, const char *group)
{
	struct heartbeat_request q;
	wire_init(&wire_heartbeat_request, &q);
	q.group_id = bytes_str(group);
	q.member_id = bytes_str(m->id);
	q.generation_id = m->generation;
	return groups_heartbeat(w->g, &q);
}

static void leave(struct world *w, const struct member *m, const char *group)
{
	struct leave_group_request q;
	struct leave_group_request_member_identity who = {.member_id = bytes_str(m->id)};
	enum err e;
	wire_init(&wire_leave_group_request, &q);
	q.group_id = bytes_str(group);
	q.members = &who;
	q.members_n = 1;
	assert_int_equal(groups_leave(w->g, &q, &e), ERR_OK);
	assert_int_equal(e, ERR_OK);
	rig_turns(w->r);
}

static enum group_state state_of(struct world *w, const char *group)
{
	const struct group *g = groups_find(w->g, bytes_str(group));
	return g == NULL ? GROUP_DEAD : group_state(g);
}

/* ---- the topic ---- */

static void test_topic_is_made_on_demand(void **state)
{
	struct world *w = *state;
	assert_int_equal(commit(w, "g", "t", 0, 1), ERR_KAFKA_NOT_COORDINATOR);
	struct waiter a = waiting(), b = waiting(), gone = waiting();
	groups_create(w->g, &a.wait);
	groups_create(w->g, &gone.wait);
	groups_create(w->g, &b.wait);
	groups_wait_cancel(&gone.wait);
	rig_turns(w->r);
	assert_int_equal(a.calls + b.calls, 2);
	assert_int_equal(gone.calls, 0);
	assert_int_equal(a.e, ERR_OK);
	const struct topic *t = rig_topic(w->r, SHARD_TOPIC);
	assert_non_null(t);
	assert_int_equal(t->partitions_n, PARTITIONS);
	assert_true(t->log_config.cleanup_compact && !t->log_config.cleanup_delete);
	assert_int_equal(t->log_config.segment_bytes, 100 << 20);
	assert_int_equal(groups_check(w->g, bytes_str("g")), ERR_OK);
	create(w); /* once more: it is there */
}

static void test_topic_cannot_be_made(void **state)
{
	struct world *w = *state;
	struct waiter a = waiting();
	fake_disk_fail_append(w->r->disk, true);
	groups_create(w->g, &a.wait);
	rig_turns(w->r);
	assert_int_equal(a.calls, 1);
	assert_int_equal(a.e, ERR_KAFKA_COORDINATOR_NOT_AVAILABLE);
	fake_disk_fail_append(w->r->disk, false);
	create(w);
}

/* ---- commits ---- */

static void test_commit_and_restart(void **state)
{
	struct world *w = *state;
	create(w);
	for (int32_t p = 0; p < 8; p++)
		assert_int_equal(commit(w, "g", "t", p, 100 + p), ERR_OK);
	assert_int_equal(commit(w, "g", "t", 3, 7), ERR_OK); /* backwards, on purpose */
	assert_int_equal(commit(w, "h", "u", 0, 5), ERR_OK);
	crash(w, 0);
	assert_int_equal(fetch(w, "g", "t", 0), 100);
	assert_int_equal(fetch(w, "g", "t", 3), 7);
	assert_int_equal(fetch(w, "h", "u", 0), 5);
	assert_int_equal(fetch(w, "h", "u", 1), -1);
	const struct committed_offset *c =
		offsets_get(groups_offsets(w->g, bytes_str("h")), bytes_str("u"), 0);
	assert_int_equal(c->leader_epoch, 3);
	assert_true(bytes_eq_str(c->metadata, "note"));
}

/* An offset is seen when it is on disk, not before. */
static void test_commit_waits_for_the_disk(void **state)
{
	struct world *w = *state;
	create(w);
	struct waiter a = waiting(), settled = waiting();
	fake_disk_hold_syncs(w->r->disk, true);
	assert_int_equal(begin_commit_as(w, "g", "t", 0, 9, &a), ERR_OK);
	rig_turns(w->r);
	assert_int_equal(a.calls, 0);
	assert_int_equal(fetch(w, "g", "t", 0), -1);
	/* Who asks for stable offsets waits with it. */
	assert_int_equal(groups_settle(w->g, bytes_str("g"), &settled.wait), ERR_OK);
	rig_turns(w->r);
	assert_int_equal(settled.calls, 0);
	fake_disk_sync(w->r->disk, true);
	assert_int_equal(a.calls, 1);
	assert_int_equal(settled.calls, 1);
	assert_int_equal(fetch(w, "g", "t", 0), 9);
	fake_disk_hold_syncs(w->r->disk, false);
}

/* Two batches under way; the log tells of the second one first. */
static void test_commits_stay_in_order(void **state)
{
	struct world *w = *state;
	create(w);
	struct waiter a = waiting(), b = waiting();
	fake_disk_hold_syncs(w->r->disk, true);
	assert_int_equal(begin_commit_as(w, "g", "t", 0, 1, &a), ERR_OK);
	rig_turns(w->r);
	assert_int_equal(begin_commit_as(w, "g", "t", 0, 2, &b), ERR_OK);
	rig_turns(w->r);
	fake_disk_sync(w->r->disk, true);
	assert_int_equal(a.calls + b.calls, 2);
	assert_int_equal(fetch(w, "g", "t", 0), 2);
	fake_disk_hold_syncs(w->r->disk, false);
	crash(w, 0);
	assert_int_equal(fetch(w, "g", "t", 0), 2);
}

static void test_client_goes_while_committing(void **state)
{
	struct world *w = *state;
	create(w);
	struct waiter a = waiting();
	assert_int_equal(begin_commit_as(w, "g", "t", 0, 9, &a), ERR_OK);
	groups_wait_cancel(&a.wait);
	rig_turns(w->r);
	assert_int_equal(a.calls, 0);
	assert_int_equal(fetch(w, "g", "t", 0), 9); /* it stands in the log, so it counts */
}

static void test_commit_is_not_written(void **state)
{
	struct world *w = *state;
	create(w);
	assert_int_equal(commit(w, "g", "t", 0, 1), ERR_OK);
	fake_disk_fail_append(w->r->disk, true);
	assert_int_equal(commit(w, "g", "t", 0, 2), ERR_KAFKA_NOT_COORDINATOR);
	assert_int_equal(commit(w, "new", "t", 0, 2), ERR_KAFKA_NOT_COORDINATOR);
	assert_int_equal(state_of(w, "new"), GROUP_DEAD);
	fake_disk_fail_append(w->r->disk, false);
	assert_int_equal(fetch(w, "g", "t", 0), 1);
	/* A sync that fails acknowledges nothing, either. */
	struct waiter a = waiting();
	fake_disk_hold_syncs(w->r->disk, true);
	assert_int_equal(begin_commit_as(w, "g", "t", 0, 3, &a), ERR_OK);
	rig_turns(w->r);
	fake_disk_sync(w->r->disk, false);
	assert_int_equal(a.e, ERR_KAFKA_NOT_COORDINATOR);
	assert_int_equal(fetch(w, "g", "t", 0), 1);
	fake_disk_hold_syncs(w->r->disk, false);
	assert_int_equal(commit(w, "g", "t", 0, 4), ERR_OK);
}

static void test_metadata_too_large(void **state)
{
	struct world *w = *state;
	create(w);
	struct offset_commit_request q;
	struct waiter a = waiting();
	wire_init(&wire_offset_commit_request, &q);
	q.group_id = bytes_str("g");
	q.generation_id_or_member_epoch = -1;
	struct groups_offset o[3] = {
		{.topic = bytes_str("t"), .offset = 1, .metadata = bytes_str("01234567890")},
		{.topic = bytes_str("t"), .partition = 1, .offset = 1},
		/* ten characters of two bytes each are within the limit of ten */
		{.topic = bytes_str("t"),
		 .partition = 2,
		 .offset = 1,
		 .metadata = bytes_str("\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
				       "\xc3\xa9\xc3\xa9\xc3\xa9")},
	};
	assert_int_equal(groups_commit(w->g, &q, 8, o, 3, &a.wait), ERR_OK);
	rig_turns(w->r);
	assert_int_equal(o[0].error, ERR_KAFKA_OFFSET_METADATA_TOO_LARGE);
	assert_int_equal(o[1].error, ERR_OK);
	assert_int_equal(o[2].error, ERR_OK);
	assert_int_equal(fetch(w, "g", "t", 0), -1);
	assert_int_equal(fetch(w, "g", "t", 1), 1);
}

/* ---- groups over a restart ---- */

static void test_stable_group_survives(void **state)
{
	struct world *w = *state;
	struct member m;
	create(w);
	join(w, &m, "g");
	assert_int_equal(state_of(w, "g"), GROUP_STABLE);
	crash(w, 0);
	assert_int_equal(state_of(w, "g"), GROUP_STABLE);
	assert_int_equal(heartbeat(w, &m, "g"), ERR_OK);
	rig_sleep(w->r, 9000);
	assert_int_equal(heartbeat(w, &m, "g"), ERR_OK);
	rig_sleep(w->r, 1001); /* the timer of before fires, and is put off */
	rig_sleep(w->r, 9000);
	assert_int_equal(heartbeat(w, &m, "g"), ERR_KAFKA_UNKNOWN_MEMBER_ID);
	assert_int_equal(state_of(w, "g"), GROUP_EMPTY);
	crash(w, 0);
	assert_int_equal(state_of(w, "g"), GROUP_EMPTY);
	assert_int_equal(group_generation(groups_find(w->g, bytes_str("g"))), 2);
}

static void test_session_timeout_bounds(void **state)
{
	struct world *w = *state;
	struct member m = {0};
	create(w);
	struct join_group_request *q = &m.join_request;
	wire_init(&wire_join_group_request, q);
	q->group_id = bytes_str("g");
	m.join.request = q;
	q->session_timeout_ms = 5999;
	assert_int_equal(groups_join(w->g, &m.join), ERR_KAFKA_INVALID_SESSION_TIMEOUT);
	q->session_timeout_ms = 1800001;
	assert_int_equal(groups_join(w->g, &m.join), ERR_KAFKA_INVALID_SESSION_TIMEOUT);
	q->group_id = bytes_str("");
	assert_int_equal(groups_join(w->g, &m.join), ERR_KAFKA_INVALID_GROUP_ID);
	assert_int_equal(state_of(w, "g"), GROUP_DEAD);
}

/* ---- deleting ---- */

static void test_delete_group(void **state)
{
	struct world *w = *state;
	struct member m;
	create(w);
	assert_int_equal(delete_group(w, "g"), ERR_KAFKA_GROUP_ID_NOT_FOUND);
	join(w, &m, "g");
	assert_int_equal(delete_group(w, "g"), ERR_KAFKA_NON_EMPTY_GROUP);
	leave(w, &m, "g");
	assert_int_equal(commit(w, "g", "t", 0, 4), ERR_OK);
	assert_int_equal(delete_group(w, "g"), ERR_OK);
	assert_int_equal(state_of(w, "g"), GROUP_DEAD);
	crash(w, 0);
	assert_int_equal(state_of(w, "g"), GROUP_DEAD);
	assert_int_equal(fetch(w, "g", "t", 0), -1);
}

/* A commit is on its way to the disk when the group is deleted: it goes, too. */
static void test_delete_group_while_committing(void **state)
{
	struct world *w = *state;
	create(w);
	assert_int_equal(commit(w, "g", "t", 0, 4), ERR_OK);
	struct waiter a = waiting(), d = waiting(), late = waiting();
	fake_disk_hold_syncs(w->r->disk, true);
	assert_int_equal(begin_commit_as(w, "g", "t", 1, 5, &a), ERR_OK);
	rig_turns(w->r);
	assert_int_equal(groups_delete(w->g, bytes_str("g"), &d.wait), ERR_OK);
	assert_int_equal(begin_commit_as(w, "g", "t", 2, 6, &late),
			 ERR_KAFKA_COORDINATOR_NOT_AVAILABLE);
	for (int i = 0; i < 3; i++) {
		rig_turns(w->r);
		fake_disk_sync(w->r->disk, true);
	}
	assert_int_equal(a.calls + d.calls, 2);
	assert_int_equal(d.e, ERR_OK);
	assert_int_equal(state_of(w, "g"), GROUP_DEAD);
	fake_disk_hold_syncs(w->r->disk, false);
	crash(w, 0);
	assert_int_equal(state_of(w, "g"), GROUP_DEAD);
	assert_int_equal(commit(w, "g", "t", 2, 6), ERR_OK);
}

static void test_delete_group_fails(void **state)
{
	struct world *w = *state;
	create(w);
	assert_int_equal(commit(w, "g", "t", 0, 4), ERR_OK);
	fake_disk_fail_append(w->r->disk, true);
	assert_int_equal(delete_group(w, "g"), ERR_KAFKA_NOT_COORDINATOR);
	fake_disk_fail_append(w->r->disk, false);
	assert_int_equal(fetch(w, "g", "t", 0), 4);
	assert_int_equal(commit(w, "g", "t", 0, 5), ERR_OK);
	assert_int_equal(delete_group(w, "g"), ERR_OK);
}

static enum err delete_offsets(struct world *w, const char *group, struct groups_offset *o,
			       size_t n)
{
	struct waiter a = waiting();
	enum err e = groups_delete_offsets(w->g, bytes_str(group), o, n, &a.wait);
	rig_turns(w->r);
	assert_int_equal(a.calls, e == ERR_OK);
	return e == ERR_OK ? a.e : e;
}

static void test_delete_offsets(void **state)
{
	struct world *w = *state;
	struct member m;
	struct groups_offset o[2] = {{.topic = bytes_str("t")}, {.topic = bytes_str("u")}};
	create(w);
	assert_int_equal(delete_offsets(w, "g", o, 2), ERR_KAFKA_GROUP_ID_NOT_FOUND);
	assert_int_equal(commit(w, "g", "t", 0, 4), ERR_OK);
	assert_int_equal(commit(w, "g", "u", 0, 4), ERR_OK);
	join(w, &m, "g"); /* consumes t */
	assert_int_equal(delete_offsets(w, "g", o, 2), ERR_OK);
	assert_int_equal(o[0].error, ERR_KAFKA_GROUP_SUBSCRIBED_TO_TOPIC);
	assert_int_equal(o[1].error, ERR_OK);
	assert_int_equal(fetch(w, "g", "t", 0), 4);
	assert_int_equal(fetch(w, "g", "u", 0), -1);
	leave(w, &m, "g");
	o[0].error = ERR_OK;
	assert_int_equal(delete_offsets(w, "g", o, 1), ERR_OK);
	assert_int_equal(fetch(w, "g", "t", 0), -1);
	crash(w, 0);
	assert_int_equal(fetch(w, "g", "t", 0), -1);
	assert_int_equal(state_of(w, "g"), GROUP_EMPTY);
}

static void test_topic_is_deleted(void **state)
{
	struct world *w = *state;
	create(w);
	assert_int_equal(commit(w, "g", "t", 0, 4), ERR_OK);
	assert_int_equal(commit(w, "g", "u", 0, 5), ERR_OK);
	assert_int_equal(commit(w, "h", "t", 7, 6), ERR_OK);
	struct waiter a = waiting();
	fake_disk_hold_syncs(w->r->disk, true);
	assert_int_equal(begin_commit_as(w, "late", "t", 1, 1, &a), ERR_OK);
	rig_turns(w->r);
	fake_disk_hold_syncs(w->r->disk, false);
	assert_int_equal(rig_delete(w->r, "t"), ERR_OK);
	rig_turns(w->r);
	assert_int_equal(a.calls, 1);
	assert_int_equal(fetch(w, "g", "t", 0), -1);
	assert_int_equal(fetch(w, "h", "t", 7), -1);
	assert_int_equal(fetch(w, "g", "u", 0), 5);
	rig_turns(w->r);
	assert_int_equal(fetch(w, "late", "t", 1), -1);
	crash(w, 0);
	assert_int_equal(fetch(w, "g", "t", 0), -1);
	assert_int_equal(fetch(w, "late", "t", 1), -1);
	assert_int_equal(fetch(w, "g", "u", 0), 5);
}

/* The broker goes down between the topic's deletion and the tombstones; the topic is made anew. */
static void test_topic_was_made_anew(void **state)
{
	struct world *w = *state;
	create(w);
	assert_int_equal(commit(w, "g", "t", 0, 4), ERR_OK);
	assert_int_equal(commit(w, "g", "u", 0, 5), ERR_OK);
	groups_free(w->g);
	w->g = NULL;
	assert_int_equal(rig_delete(w->r, "t"), ERR_OK);
	assert_int_equal(rig_create(w->r, "t", 8), ERR_OK);
	start(w);
	rig_turns(w->r);
	assert_int_equal(fetch(w, "g", "t", 0), -1);
	assert_int_equal(fetch(w, "g", "u", 0), 5);
}

/* The same, and the topic is made anew only when the groups are there again. */
static void test_topic_is_made_anew_later(void **state)
{
	struct world *w = *state;
	create(w);
	assert_int_equal(commit(w, "g", "t", 0, 4), ERR_OK);
	assert_int_equal(commit(w, "g", "u", 0, 5), ERR_OK);
	groups_free(w->g);
	w->g = NULL;
	assert_int_equal(rig_delete(w->r, "t"), ERR_OK);
	start(w);
	rig_turns(w->r);
	assert_int_equal(rig_create(w->r, "t", 8), ERR_OK);
	assert_int_equal(fetch(w, "g", "t", 0), -1);
	assert_int_equal(fetch(w, "g", "u", 0), 5);
	crash(w, 0);
	assert_int_equal(fetch(w, "g", "t", 0), -1);
	assert_int_equal(fetch(w, "g", "u", 0), 5);
}

/* ---- expiry ---- */

static void test_simple_offsets_expire(void **state)
{
	struct world *w = *state;
	create(w);
	assert_int_equal(commit(w, "g", "t", 0, 4), ERR_OK);
	rig_sleep(w->r, 4 * (int64_t)DAY);
	assert_int_equal(commit(w, "g", "t", 1, 4), ERR_OK);
	rig_sleep(w->r, 3 * (int64_t)DAY + CHECK);
	rig_turns(w->r);
	assert_int_equal(fetch(w, "g", "t", 0), -1);
	assert_int_equal(fetch(w, "g", "t", 1), 4);
	rig_sleep(w->r, 4 * (int64_t)DAY);
	rig_sleep(w->r, CHECK);
	rig_turns(w->r);
	assert_int_equal(state_of(w, "g"), GROUP_DEAD);
	crash(w, 0);
	assert_int_equal(state_of(w, "g"), GROUP_DEAD);
}

/* A group's offsets are kept while it has members that consume, and 7 days from then on. */
static void test_group_offsets_expire(void **state)
{
	struct world *w = *state;
	struct member m;
	create(w);
	assert_int_equal(commit(w, "g", "t", 0, 4), ERR_OK);
	assert_int_equal(commit(w, "g", "u", 0, 4), ERR_OK);
	join(w, &m, "g");
	for (int64_t at = 0; at < 8 * (int64_t)DAY; at += DAY) {
		/* As if it had sent heartbeats all day. */
		struct entry *e = table_find(w->g->table, bytes_str("g"));
		w->r->now += DAY;
		loop_timer_stop(e->timer);
		assert_int_equal(heartbeat(w, &m, "g"), ERR_OK);
		rig_sleep(w->r, 0);
	}
	rig_turns(w->r);
	assert_int_equal(fetch(w, "g", "t", 0), 4);
	assert_int_equal(fetch(w, "g", "u", 0), -1); /* nobody consumes it */
	leave(w, &m, "g");
	rig_sleep(w->r, 6 * (int64_t)DAY);
	assert_int_equal(fetch(w, "g", "t", 0), 4);
	rig_sleep(w->r, DAY + CHECK);
	rig_turns(w->r);
	assert_int_equal(state_of(w, "g"), GROUP_DEAD);
}

/* ---- what is on the disk is not believed ---- */

static void plant(struct world *w, const char *group, struct bytes key, struct bytes value)
{
	struct batch_builder b;
	struct buf whole;
	struct record r = {.timestamp = 1, .key = key, .value = value};
	struct plog_append how = {.internal = true};
	struct plog_appended out;
	const struct topic *t = rig_topic(w->r, SHARD_TOPIC);
	struct plog *log = t->partitions[table_shard(bytes_str(group), t->partitions_n)].log;
	batch_builder_init(&b, CODEC_NONE, 1 << 20);
	buf_init(&whole, 1 << 20);
	assert_int_equal(batch_builder_add(&b, &r), ERR_OK);
	assert_int_equal(batch_builder_finish(&b, &whole), ERR_OK);
	assert_int_equal(plog_append(log, buf_bytes(&whole), &how, &out, &w->r->why), ERR_OK);
	batch_builder_fini(&b);
	buf_fini(&whole);
}

static void test_bad_records_are_left_out(void **state)
{
	struct world *w = *state;
	static const char group_key[] = "\0\2\0\1g", other_key[] = "\0\3\0\1g";
	static const char offset_key[] = "\0\1\0\1g\0\1t\xff\xff\xff\xff";
	static const char offset_value[] = "\0\4\0\0\0\0\0\0\0\1\0\0\0\0\1\0\0\0\0\0\0\0\1\0";
	static const char foreign_key[] = "\0\2\0\1h";
	create(w);
	assert_int_equal(commit(w, "g", "t", 0, 4), ERR_OK);
	plant(w, "g", bytes_of(group_key, 5), bytes_str("rubbish"));
	plant(w, "g", bytes_of(NULL, 0), bytes_str("x"));
	plant(w, "g", bytes_str("x"), bytes_of(NULL, 0));
	plant(w, "g", bytes_of(other_key, 5), bytes_of("\0\0\0\0\0\1\0", 7));
	plant(w, "g", bytes_of(offset_key, 12), bytes_of(offset_value, 24)); /* partition -1 */
	assert_int_not_equal(table_shard(bytes_str("g"), 4), table_shard(bytes_str("h"), 4));
	plant(w, "g", bytes_of(foreign_key, 5),
	      bytes_of("\0\3\0\0\0\0\0\0\xff\xff\xff\xff\0\0\0\0\0\0\0\0\0\0\0\0", 24));
	assert_int_equal(commit(w, "g", "t", 1, 5), ERR_OK);
	crash(w, 100);
	assert_int_equal(fetch(w, "g", "t", 0), 4);
	assert_int_equal(fetch(w, "g", "t", 1), 5);
	assert_int_equal(fetch(w, "g", "t", -1), -1);
	assert_int_equal(state_of(w, "h"), GROUP_DEAD);
}

/* ---- bounds ---- */

static void test_bounds(void **state)
{
	struct world *w = *state;
	groups_free(w->g);
	w->o.groups_max = 2;
	start(w);
	create(w);
	assert_int_equal(commit(w, "a", "t", 0, 1), ERR_OK);
	assert_int_equal(commit(w, "b", "t", 0, 1), ERR_OK);
	assert_int_equal(commit(w, "c", "t", 0, 1), ERR_KAFKA_COORDINATOR_NOT_AVAILABLE);
	assert_int_equal(commit(w, "a", "t", 0, 2), ERR_OK);
	assert_int_equal(delete_group(w, "b"), ERR_OK);
	assert_int_equal(commit(w, "c", "t", 0, 1), ERR_OK);
	struct groups_count n;
	groups_count(w->g, &n);
	assert_int_equal(n.groups, 2);
	assert_int_equal(n.offsets, 2);
	assert_int_equal(n.by_state[GROUP_EMPTY], 2);
	groups_free(w->g);
	w->o.groups_max = 0;
	w->o.bytes_max = n.bytes;
	start(w);
	assert_int_equal(commit(w, "c", "t", 1, 1), ERR_KAFKA_COORDINATOR_NOT_AVAILABLE);
	assert_int_equal(delete_group(w, "c"), ERR_OK);
	assert_int_equal(commit(w, "a", "t", 1, 1), ERR_OK);
}

/* Commits that were under way when memory ended are in the log: a restart reads all that was
 * acknowledged, nevertheless. */
static void test_bounds_and_restart(void **state)
{
	struct world *w = *state;
	struct waiter a[16];
	struct groups_count n;
	create(w);
	assert_int_equal(commit(w, "g", "t", 0, 4), ERR_OK);
	groups_count(w->g, &n);
	groups_free(w->g);
	w->o.bytes_max = n.bytes + 400;
	start(w);
	for (int i = 0; i < 16; i++) {
		a[i] = waiting();
		enum err e = begin_commit_as(w, "g", i < 8 ? "t" : "u", i % 8, 100 + i, &a[i]);
		assert_int_equal(e, ERR_OK);
	}
	rig_turns(w->r);
	groups_count(w->g, &n);
	assert_true(n.bytes > w->o.bytes_max);
	assert_int_equal(commit(w, "h", "t", 0, 1), ERR_KAFKA_COORDINATOR_NOT_AVAILABLE);
	crash(w, 0);
	assert_int_equal(groups_check(w->g, bytes_str("g")), ERR_OK);
	for (int i = 0; i < 16; i++) {
		assert_int_equal(a[i].e, ERR_OK);
		assert_int_equal(fetch(w, "g", i < 8 ? "t" : "u", i % 8), 100 + i);
	}
	assert_int_equal(commit(w, "h", "t", 0, 1), ERR_KAFKA_COORDINATOR_NOT_AVAILABLE);
}

/* ---- random commits, deletions and crashes, against a model ---- */

enum { GROUPS = 6 };

/* What a client knows: an offset that was acknowledged, and those whose outcome is open, in order.
 */
struct known {
	int64_t acked;
	int64_t open[64];
	size_t open_n;
};

struct try_ {
	struct waiter w;
	struct known *k;
	int64_t offset; /* -1: a deletion */
};

static void settle_tries(struct try_ *tries, size_t *n)
{
	size_t left = 0;
	for (size_t i = 0; i < *n; i++) {
		struct try_ *t = &tries[i];
		if (t->w.calls > 0 && t->w.e == ERR_OK) {
			/* Everything that was begun before it is over. */
			size_t at = 0;
			while (at < t->k->open_n && t->k->open[at] != t->offset)
				at++;
			if (at < t->k->open_n) {
				t->k->open_n -= at + 1;
				memmove(t->k->open, t->k->open + at + 1,
					t->k->open_n * sizeof t->k->open[0]);
			}
			t->k->acked = t->offset;
		} else if (t->w.calls == 0) {
			left++;
		}
	}
	if (left == 0)
		*n = 0;
}

static bool is_known(const struct known *k, int64_t offset)
{
	bool found = k->acked == offset;
	for (size_t i = 0; i < k->open_n; i++)
		found = found || k->open[i] == offset;
	return found;
}

static void test_random(void **state)
{
	struct world *w = *state;
	struct rng g = {.s = rng_seed("test_groups")};
	static struct try_ tries[64];
	static struct known known[GROUPS][8];
	size_t n = 0;
	int64_t next = 1;
	char name[8];
	create(w);
	for (size_t i = 0; i < GROUPS; i++)
		for (size_t p = 0; p < 8; p++)
			known[i][p] = (struct known){.acked = -1};
	for (int64_t i = 0; i < rng_scale(6000); i++) {
		int64_t group = rng_in(&g, 0, GROUPS - 1), p = rng_in(&g, 0, 7);
		struct known *k = &known[group][p];
		snprintf(name, sizeof name, "g%d", (int)group);
		if (n < 64 && k->open_n < 64 && !rng_one_in(&g, 6)) {
			struct try_ *t = &tries[n];
			*t = (struct try_){.w = waiting(), .k = k, .offset = next++};
			if (begin_commit_as(w, name, "t", (int32_t)p, t->offset, &t->w) == ERR_OK) {
				k->open[k->open_n++] = t->offset;
				n++;
			}
		} else if (rng_one_in(&g, 4)) {
			fake_disk_fail_append(w->r->disk, rng_one_in(&g, 4));
		}
		fake_disk_hold_syncs(w->r->disk, true);
		if (rng_one_in(&g, 2))
			loop_turn(w->r->loop, 0);
		if (rng_one_in(&g, 5) || n == 64) {
			rig_turns(w->r);
			fake_disk_sync(w->r->disk, true);
			rig_turns(w->r);
		}
		settle_tries(tries, &n);
		if (rng_one_in(&g, 60)) {
			fake_disk_hold_syncs(w->r->disk, false);
			crash(w, (size_t)rng_in(&g, 0, 3));
			n = 0;
		}
		for (size_t a = 0; a < GROUPS; a++) {
			for (int32_t b = 0; b < 8; b++) {
				snprintf(name, sizeof name, "g%zu", a);
				int64_t now = fetch(w, name, "t", b);
				struct known *of = &known[a][b];
				assert_true(is_known(of, now));
				if (n == 0) { /* nothing is under way: what is there, stays */
					of->acked = now;
					of->open_n = 0;
				}
			}
		}
	}
	fake_disk_hold_syncs(w->r->disk, false);
	fake_disk_fail_append(w->r->disk, false);
	rig_turns(w->r);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_topic_is_made_on_demand),
		T(test_topic_cannot_be_made),
		T(test_commit_and_restart),
		T(test_commit_waits_for_the_disk),
		T(test_commits_stay_in_order),
		T(test_client_goes_while_committing),
		T(test_commit_is_not_written),
		T(test_metadata_too_large),
		T(test_stable_group_survives),
		T(test_session_timeout_bounds),
		T(test_delete_group),
		T(test_delete_group_while_committing),
		T(test_delete_group_fails),
		T(test_delete_offsets),
		T(test_topic_is_deleted),
		T(test_topic_was_made_anew),
		T(test_topic_is_made_anew_later),
		T(test_simple_offsets_expire),
		T(test_group_offsets_expire),
		T(test_bad_records_are_left_out),
		T(test_bounds),
		T(test_bounds_and_restart),
		T(test_random),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
