/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Group sync of a whole link between scripted brokers: what is committed at the target and what is
 * left alone, when coordinators move, refuse, leave groups out or lose a race, when a partition is
 * in doubt, and over restarts. M7.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "checkpoint/mm2_records.h"
#include "lib/base/metrics.h"
#include "lib/wire/records.h"
#include "mirror/group/group_impl.h"
#include "tests/unit/mirror/model_groups.h"

enum { STEP_MS = 20, NOT_COORDINATOR = 16, GROUP_AUTHORIZATION_FAILED = 30, LOADING = 14 };

struct rig {
	struct pair p; /* first: the waiting functions get a pair */
	struct model_groups source, target;
	/* what is waited for */
	const char *group;
	int64_t offset;
	uint64_t rounds;
	enum group_skip skip;
};

/* ---- the rig ---- */

/* A topic with ten records, and the group "g" at `offset` of it. */
static void rig_init(struct rig *r, int64_t offset, const char *metadata)
{
	*r = (struct rig){.offset = -1};
	pair_init(&r->p, 1);
	model_groups_init(&r->source, &r->p.source);
	model_groups_init(&r->target, &r->p.target);
	r->p.config.groups = "g.*";
	r->p.config.groups_exclude = "g-not";
	r->p.config.refresh_groups = true;
	r->p.config.refresh_groups_ms = 100;
	r->p.config.sync_group_offsets = true;
	r->p.config.sync_groups_ms = 100;
	r->p.config.emit_checkpoints = true;
	r->p.config.emit_checkpoints_ms = 100;
	r->p.config.checkpoints_replication_factor = 1;
	model_append(&r->p.source, "t", 0, 10);
	model_groups_commit(&r->source, "g", "t", offset, metadata);
}

static void rig_start(struct rig *r)
{
	pair_start(&r->p);
	pair_wait_copied(&r->p, STEP_MS);
}

static void rig_fini(struct rig *r)
{
	if (r->p.link != NULL)
		pair_stop(&r->p);
	pair_fini(&r->p);
}

static bool is_committed(struct pair *p)
{
	struct rig *r = (struct rig *)p;
	return model_groups_offset(&r->target, r->group, "east.t") == r->offset;
}

static void wait_committed(struct rig *r, const char *group, int64_t offset)
{
	r->group = group;
	r->offset = offset;
	pair_wait(&r->p, is_committed, STEP_MS);
}

static bool rounds_done(struct pair *p)
{
	const struct rig *r = (const struct rig *)p;
	return p->link->groups->rounds >= r->rounds;
}

static void wait_rounds(struct rig *r, unsigned n)
{
	r->rounds = r->p.link->groups->rounds + n;
	pair_wait(&r->p, rounds_done, STEP_MS);
}

static struct group_position *position(struct rig *r, const char *group)
{
	struct group *g = group_table_find(r->p.link->groups, bytes_str(group));
	return g == NULL || g->positions_n == 0 ? NULL : &g->positions[0];
}

static bool is_skipped(struct pair *p)
{
	struct rig *r = (struct rig *)p;
	const struct group_position *x = position(r, r->group);
	return x != NULL && x->skip == r->skip;
}

static void wait_skipped(struct rig *r, const char *group, enum group_skip skip)
{
	r->group = group;
	r->skip = skip;
	pair_wait(&r->p, is_skipped, STEP_MS);
}

struct newest {
	const char *group;
	struct mm2_checkpoint found;
	char metadata[16];
};

static void keep_newest(void *arg, const struct record *r)
{
	struct newest *n = arg;
	struct mm2_checkpoint c;
	struct errmsg why = {""};
	assert_int_equal(mm2_records_decode_checkpoint(r->key, r->value, &c, &why), ERR_OK);
	if (!bytes_eq_str(c.group, n->group))
		return;
	assert_true(bytes_eq_str(c.topic, "east.t"));
	snprintf(n->metadata, sizeof n->metadata, "%.*s", (int)c.metadata.n,
		 (const char *)c.metadata.p);
	n->found.upstream = c.upstream;
	n->found.downstream = c.downstream;
}

/* The newest checkpoint of a group in the log; upstream -1: none. */
static struct newest checkpoint(struct rig *r, const char *group)
{
	struct newest n = {.group = group, .found.upstream = -1};
	const struct model_topic *t = model_topic(&r->p.target, "east.checkpoints.internal");
	if (t != NULL)
		model_each_record(buf_bytes(&t->parts[0].bytes), keep_newest, &n);
	return n;
}

/* ---- forward ---- */

static void moves_with_the_source(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, 3, "meta");
	model_groups_commit(&r.source, "g-not", "t", 3, "");
	model_groups_commit(&r.source, "other", "t", 3, "");
	rig_start(&r);
	wait_committed(&r, "g", 3);
	struct model_group *g = model_groups_find(&r.target, "g");
	assert_int_equal(g->at[0].epoch, -1); /* the source's is 7 */
	assert_string_equal(g->at[0].metadata, "meta");
	model_groups_commit(&r.source, "g", "t", 9, "");
	wait_committed(&r, "g", 9);
	assert_string_equal(g->at[0].metadata, "");
	/* The same offset with other metadata. */
	model_groups_commit(&r.source, "g", "t", 9, "late");
	wait_rounds(&r, 4);
	assert_string_equal(g->at[0].metadata, "late");
	assert_null(model_groups_find(&r.target, "g-not"));
	assert_null(model_groups_find(&r.target, "g-other"));
	/* Nothing is written again once all is in step. */
	unsigned commits = r.target.commits;
	wait_rounds(&r, 5);
	assert_int_equal(r.target.commits, commits);
	struct newest c = checkpoint(&r, "g");
	assert_int_equal(c.found.upstream, 9);
	assert_int_equal(c.found.downstream, 9);
	assert_string_equal(c.metadata, "late");
	rig_fini(&r);
}

/* Past the mirrored end: clamped, completed when the records arrive. */
static void clamps_and_completes(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, 15, "");
	rig_start(&r);
	wait_committed(&r, "g", 10);
	wait_rounds(&r, 2);
	assert_int_equal(checkpoint(&r, "g").found.downstream, 10);
	model_append(&r.p.source, "t", 0, 3);
	wait_committed(&r, "g", 13);
	model_append(&r.p.source, "t", 0, 10);
	wait_committed(&r, "g", 15);
	wait_rounds(&r, 2);
	assert_int_equal(checkpoint(&r, "g").found.downstream, 15);
	rig_fini(&r);
}

/* A topic that is mirrored later, and one that never is. */
static void topics_that_are_not_mirrored(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, 4, "");
	model_groups_commit(&r.source, "g", "u", 4, "");
	model_groups_commit(&r.source, "g-other", "u", 4, "");
	rig_start(&r);
	wait_committed(&r, "g", 4);
	wait_rounds(&r, 2);
	assert_int_equal(model_groups_find(&r.target, "g")->n, 1);
	assert_int_equal(group_table_find(r.p.link->groups, bytes_str("g"))->elsewhere, 1);
	assert_int_equal(group_table_find(r.p.link->groups, bytes_str("g-other"))->elsewhere, 1);
	assert_null(model_groups_find(&r.target, "g-other"));
	rig_fini(&r);
}

/* A link that starts with the latest records never has those before: that is told. */
static void before_the_copy(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, 4, "");
	r.p.config.start_latest = true;
	rig_start(&r);
	wait_committed(&r, "g", 0);
	model_append(&r.p.source, "t", 0, 5);
	pair_wait_copied(&r.p, STEP_MS);
	wait_rounds(&r, 2);
	struct groups_sums s;
	assert_true(groups_sum(r.p.link->groups, &s));
	assert_int_equal(s.lost, 6);
	assert_int_equal(model_groups_offset(&r.target, "g", "east.t"), 0);
	rig_fini(&r);
}

static void checkpoints_without_sync(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, 3, "");
	r.p.config.sync_group_offsets = false;
	rig_start(&r);
	wait_skipped(&r, "g", GROUP_SKIP_SYNC_OFF);
	wait_rounds(&r, 3);
	assert_int_equal(checkpoint(&r, "g").found.downstream, 3);
	assert_int_equal(r.target.commits, 0);
	rig_fini(&r);
}

/* ---- the target's own ---- */

static void members_are_left_alone(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, 8, "");
	model_groups_commit(&r.target, "g", "east.t", 2, "");
	model_groups_find(&r.target, "g")->state = "Stable";
	rig_start(&r);
	wait_skipped(&r, "g", GROUP_SKIP_TARGET_ACTIVE);
	wait_rounds(&r, 3);
	assert_int_equal(r.target.commits, 0);
	/* They leave. */
	model_groups_find(&r.target, "g")->state = "Empty";
	wait_rounds(&r, 3); /* not only when it is verified again */
	assert_int_equal(model_groups_offset(&r.target, "g", "east.t"), 8);
	rig_fini(&r);
}

/* Somebody joins after the look: the coordinator refuses, and that is that. */
static void a_member_joins_meanwhile(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, 8, "");
	model_groups_commit(&r.target, "g", "east.t", 2, "");
	r.target.loses_race = true;
	rig_start(&r);
	wait_skipped(&r, "g", GROUP_SKIP_TARGET_ACTIVE);
	assert_int_equal(r.target.commits, 1);
	assert_int_equal(model_groups_offset(&r.target, "g", "east.t"), 2);
	assert_int_equal(r.p.link->groups->refused, 0);
	rig_fini(&r);
}

static void never_back(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, 5, "");
	model_groups_commit(&r.target, "g", "east.t", 7, "");
	rig_start(&r);
	wait_skipped(&r, "g", GROUP_SKIP_TARGET_AHEAD);
	wait_rounds(&r, 3);
	model_groups_commit(&r.source, "g", "t", 9, "");
	wait_committed(&r, "g", 9);
	/* Reset at the source, and not told to follow. */
	model_groups_commit(&r.source, "g", "t", 1, "");
	wait_skipped(&r, "g", GROUP_SKIP_REWOUND);
	wait_rounds(&r, 3);
	assert_int_equal(model_groups_offset(&r.target, "g", "east.t"), 9);
	rig_fini(&r);
}

static void follows_rewinds(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, 9, "");
	r.p.config.follow_rewinds = true;
	rig_start(&r);
	wait_committed(&r, "g", 9);
	model_groups_commit(&r.source, "g", "t", 1, "");
	wait_committed(&r, "g", 1);
	/* But not what somebody moved at the target. */
	model_groups_commit(&r.source, "g", "t", 8, "");
	wait_committed(&r, "g", 8);
	model_groups_commit(&r.target, "g", "east.t", 9, "");
	model_groups_commit(&r.source, "g", "t", 2, "");
	wait_skipped(&r, "g", GROUP_SKIP_TARGET_MOVED);
	assert_int_equal(model_groups_offset(&r.target, "g", "east.t"), 9);
	rig_fini(&r);
}

/* The checkpoints remember over a restart what was put where. */
static void rewind_while_stopped(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, 9, "");
	r.p.config.follow_rewinds = true;
	rig_start(&r);
	wait_committed(&r, "g", 9);
	wait_rounds(&r, 2);
	pair_stop(&r.p);
	model_groups_commit(&r.source, "g", "t", 1, "");
	rig_start(&r);
	wait_committed(&r, "g", 1);
	rig_fini(&r);
}

/* An unchanged group is not told again after a restart. */
static void restart_tells_nothing_twice(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, 9, "m");
	rig_start(&r);
	wait_committed(&r, "g", 9);
	wait_rounds(&r, 2);
	pair_stop(&r.p);
	int64_t end = model_topic(&r.p.target, "east.checkpoints.internal")->parts[0].end;
	unsigned commits = r.target.commits;
	rig_start(&r);
	wait_rounds(&r, 4);
	assert_int_equal(model_topic(&r.p.target, "east.checkpoints.internal")->parts[0].end, end);
	assert_int_equal(r.target.commits, commits);
	rig_fini(&r);
}

/* Somebody deleted the oldest checkpoints: a memory that is lost, no more. */
static void checkpoints_that_were_deleted(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, 5, "m");
	rig_start(&r);
	wait_committed(&r, "g", 5);
	wait_rounds(&r, 2);
	pair_stop(&r.p);
	struct model_log *l = &model_topic(&r.p.target, "east.checkpoints.internal")->parts[0];
	l->start = l->end;
	model_groups_commit(&r.source, "g", "t", 9, "m");
	rig_start(&r);
	wait_committed(&r, "g", 9);
	rig_fini(&r);
}

/* A batch and a record that cannot be read are lost, and counted; those around them are not. */
static void checkpoints_that_are_damaged(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, 5, "m");
	r.p.config.follow_rewinds = true;
	rig_start(&r);
	wait_committed(&r, "g", 5);
	model_groups_commit(&r.source, "g", "t", 9, "m");
	wait_committed(&r, "g", 9);
	wait_rounds(&r, 2);
	pair_stop(&r.p);
	struct model_log *l = &model_topic(&r.p.target, "east.checkpoints.internal")->parts[0];
	l->bytes.p[BATCH_HEAD] ^= 1; /* not what the checksum says any more */
	model_append_pair(&r.p.target, "east.checkpoints.internal", bytes_of("\0", 1),
			  bytes_str("?"));
	/* That the last one is remembered shows by the rewind that is followed. */
	model_groups_commit(&r.source, "g", "t", 1, "m");
	rig_start(&r);
	wait_committed(&r, "g", 1);
	assert_int_equal(pair_logged(&r.p, "event=checkpoint_not_read"), 1);
	assert_int_equal(pair_logged(&r.p, "error=CORRUPT"), 1);
	assert_int_equal(pair_logged(&r.p, "event=checkpoints_not_read"), 1);
	assert_int_equal(pair_logged(&r.p, "east.checkpoints.internal records=2"), 1);
	assert_int_equal(pair_logged(&r.p, "event=checkpoints_not_loaded"), 0);
	rig_fini(&r);
}

/* ---- trouble ---- */

static void doubtful_tables(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, 3, "");
	rig_start(&r);
	wait_committed(&r, "g", 3);
	/* Another writer in the target's topic. */
	model_append(&r.p.target, "east.t", 0, 1);
	model_append(&r.p.source, "t", 0, 1);
	pair_wait_logged(&r.p, "state=FOREIGN_WRITE", STEP_MS);
	model_groups_commit(&r.source, "g", "t", 6, "");
	wait_skipped(&r, "g", GROUP_SKIP_DOUBTFUL);
	wait_rounds(&r, 3);
	assert_int_equal(model_groups_offset(&r.target, "g", "east.t"), 3);
	rig_fini(&r);
}

static void coordinators_move(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, 3, "");
	r.source.error = r.target.error = NOT_COORDINATOR;
	r.source.fetch_errors = 2;
	r.target.fetch_errors = 2;
	r.target.commit_errors = 2;
	rig_start(&r);
	wait_committed(&r, "g", 3);
	assert_true(scripted_peer_seen(r.p.source.peer, WIRE_API_FIND_COORDINATOR) > 0);
	rig_fini(&r);
}

static void listings_fail(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, 3, "");
	r.source.error = r.target.error = LOADING;
	r.source.list_errors = 2;
	r.target.list_errors = 2;
	rig_start(&r);
	wait_committed(&r, "g", 3);
	assert_true(pair_logged(&r.p, "event=groups_not_synced") > 0);
	pair_wait_logged(&r.p, "event=groups_synced_again", STEP_MS);
	assert_string_equal(r.p.link->groups->problem.text, "");
	rig_fini(&r);
}

static void commit_refused(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, 3, "");
	r.target.error = GROUP_AUTHORIZATION_FAILED;
	r.target.commit_errors = 1;
	rig_start(&r);
	wait_skipped(&r, "g", GROUP_SKIP_REFUSED);
	assert_int_equal(pair_logged(&r.p, "event=group_commit_refused"), 1);
	assert_non_null(group_table_find(r.p.link->groups, bytes_str("g"))->problem);
	/* Not again at once, but in the end. */
	unsigned commits = r.target.commits;
	wait_rounds(&r, 5);
	assert_int_equal(r.target.commits, commits);
	/* And it stays to be seen. */
	assert_non_null(group_table_find(r.p.link->groups, bytes_str("g"))->problem);
	r.p.skew_ms += 61 * 1000;
	wait_committed(&r, "g", 3);
	wait_rounds(&r, 1);
	assert_null(group_table_find(r.p.link->groups, bytes_str("g"))->problem);
	rig_fini(&r);
}

/* What the target's look did not bring is not guessed. */
static void target_not_readable(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, 3, "");
	model_groups_commit(&r.target, "g", "east.t", 7, "");
	r.target.error = GROUP_AUTHORIZATION_FAILED;
	r.target.fetch_errors = 1000;
	rig_start(&r);
	wait_rounds(&r, 5);
	assert_int_equal(r.target.commits, 0);
	assert_int_equal(model_groups_offset(&r.target, "g", "east.t"), 7);
	rig_fini(&r);
}

/* Nor what it says of one partition alone. */
static void target_partition_not_readable(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, 3, "");
	model_groups_commit(&r.target, "g", "east.t", 7, "");
	r.target.part_error = 29;
	rig_start(&r);
	wait_rounds(&r, 5);
	assert_int_equal(r.target.commits, 0);
	assert_int_equal(model_groups_offset(&r.target, "g", "east.t"), 7);
	rig_fini(&r);
}

static void other_kinds_are_named_once(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, 3, "");
	model_groups_commit(&r.source, "g-share", "t", 3, "");
	model_groups_find(&r.source, "g-share")->type = "share";
	model_groups_commit(&r.source, "g-workers", "t", 3, "");
	model_groups_find(&r.source, "g-workers")->protocol = "connect";
	rig_start(&r);
	wait_committed(&r, "g", 3);
	wait_rounds(&r, 3);
	assert_int_equal(pair_logged(&r.p, "event=group_not_synced link=east->west group=g-share "
					   "kind=share"),
			 1);
	assert_int_equal(pair_logged(&r.p, "event=group_not_synced link=east->west "
					   "group=g-workers kind=connect"),
			 1);
	assert_null(model_groups_find(&r.target, "g-share"));
	assert_null(model_groups_find(&r.target, "g-workers"));
	rig_fini(&r);
}

/* ---- deletion ---- */

static void begin_deletion(struct rig *r, bool delete)
{
	rig_init(r, 3, "");
	r->p.config.delete_groups = delete;
	rig_start(r);
	wait_committed(r, "g", 3);
	wait_rounds(r, 2);
}

static void kept_when_gone(void **state)
{
	(void)state;
	struct rig r;
	begin_deletion(&r, false);
	model_groups_remove(&r.source, "g");
	pair_wait_logged(&r.p, "event=group_gone link=east->west group=g at_target=kept", STEP_MS);
	assert_int_equal(model_groups_offset(&r.target, "g", "east.t"), 3);
	assert_int_equal(r.target.deletes, 0);
	assert_int_equal(r.p.link->groups->all_n, 0);
	/* And it comes back. */
	model_groups_commit(&r.source, "g", "t", 5, "");
	wait_committed(&r, "g", 5);
	rig_fini(&r);
}

static void deleted_when_gone(void **state)
{
	(void)state;
	struct rig r;
	begin_deletion(&r, true);
	/* A listing that leaves it out is no proof, nor is a coordinator that is not there. */
	r.source.hide = true;
	wait_rounds(&r, 4);
	assert_int_equal(r.target.deletes, 0);
	model_groups_remove(&r.source, "g");
	r.source.silent = true;
	wait_rounds(&r, 4);
	assert_int_equal(r.target.deletes, 0);
	r.source.silent = r.source.hide = false;
	pair_wait_logged(&r.p, "event=group_deleted link=east->west group=g", STEP_MS);
	assert_null(model_groups_find(&r.target, "g"));
	pair_wait_logged(&r.p, "event=group_gone link=east->west group=g at_target=gone", STEP_MS);
	assert_int_equal(r.p.link->groups->deleted, 1);
	rig_fini(&r);
}

static void deleted_while_stopped(void **state)
{
	(void)state;
	struct rig r;
	begin_deletion(&r, true);
	pair_stop(&r.p);
	model_groups_remove(&r.source, "g");
	rig_start(&r);
	pair_wait_logged(&r.p, "event=group_deleted link=east->west group=g", STEP_MS);
	assert_null(model_groups_find(&r.target, "g"));
	rig_fini(&r);
}

/* Groups are listed more rarely than their offsets are read: what is between says nothing. */
static void gone_by_rare_listings(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, 3, "");
	r.p.config.delete_groups = true;
	r.p.config.refresh_groups_ms = 1500;
	rig_start(&r);
	wait_committed(&r, "g", 3);
	model_groups_remove(&r.source, "g");
	pair_wait_logged(&r.p, "event=group_deleted link=east->west group=g", STEP_MS);
	pair_wait_logged(&r.p, "event=group_gone link=east->west group=g at_target=gone", STEP_MS);
	assert_int_equal(r.p.link->groups->all_n, 0);
	rig_fini(&r);
}

/* Somebody used the group at the target: it is theirs. */
static void not_deleted_when_moved(void **state)
{
	(void)state;
	struct rig r;
	begin_deletion(&r, true);
	model_groups_commit(&r.target, "g", "east.t", 4, "");
	model_groups_remove(&r.source, "g");
	pair_wait_logged(&r.p, "event=group_gone link=east->west group=g at_target=kept", STEP_MS);
	assert_int_equal(r.target.deletes, 0);
	assert_int_equal(model_groups_offset(&r.target, "g", "east.t"), 4);
	rig_fini(&r);
}

static void not_deleted_with_members(void **state)
{
	(void)state;
	struct rig r;
	begin_deletion(&r, true);
	model_groups_find(&r.target, "g")->state = "Stable";
	model_groups_remove(&r.source, "g");
	wait_rounds(&r, 6);
	assert_int_equal(r.target.deletes, 0);
	model_groups_find(&r.target, "g")->state = "Empty";
	r.p.skew_ms += 61 * 1000;
	pair_wait_logged(&r.p, "event=group_deleted link=east->west group=g", STEP_MS);
	rig_fini(&r);
}

/* ---- what is shown ---- */

static void shown(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, 12, "");
	model_groups_commit(&r.source, "g2", "t", 4, "");
	rig_start(&r);
	wait_committed(&r, "g", 10);
	wait_committed(&r, "g2", 4);
	wait_rounds(&r, 2);
	struct buf out;
	bool first = true;
	buf_init(&out, 1 << 20);
	groups_json(r.p.link->groups, "g", true, &first, &out);
	buf_put_u8(&out, '\0');
	assert_int_equal(out.err, ERR_OK);
	const char *text = (const char *)out.p;
	static const char *const parts[] = {
		"\"group\":\"g\"",         "\"source_position\":12", "\"target_topic\":\"east.t\"",
		"\"target_position\":10",  "\"exact\":true",         "\"pending\":2",
		"\"target_committed\":10", "\"repeated\":0",         "\"source_end\":10",
	};
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		if (strstr(text, parts[i]) == NULL)
			fail_msg("%s is not in %s", parts[i], text);
	assert_null(strstr(text, "g2"));
	buf_clear(&out);
	struct metrics m;
	metrics_init(&m, &out);
	groups_metrics(&r.p.link, 1, &m);
	buf_put_u8(&out, '\0');
	assert_non_null(strstr((const char *)out.p,
			       "farshore_groups{source=\"east\",target=\"west\"} 2\n"));
	buf_clear(&out);
	metrics_init(&m, &out);
	groups_mm2_metrics(&r.p.link, 1, &m);
	buf_put_u8(&out, '\0');
	assert_non_null(strstr((const char *)out.p,
			       "checkpointconnector_checkpoint_latency_ms_max{source=\"east\","
			       "target=\"west\",group=\"g2\",topic=\"east.t\",partition=\"0\"} "));
	struct groups_sums s;
	assert_true(groups_sum(r.p.link->groups, &s));
	assert_int_equal(s.groups, 2);
	assert_int_equal(s.positions, 2);
	assert_int_equal(s.waiting + s.unknown, 0);
	assert_int_equal(s.lost, 0);
	assert_int_equal(s.repeated, 0);
	buf_fini(&out);
	rig_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(moves_with_the_source),
		cmocka_unit_test(clamps_and_completes),
		cmocka_unit_test(topics_that_are_not_mirrored),
		cmocka_unit_test(before_the_copy),
		cmocka_unit_test(checkpoints_without_sync),
		cmocka_unit_test(members_are_left_alone),
		cmocka_unit_test(a_member_joins_meanwhile),
		cmocka_unit_test(never_back),
		cmocka_unit_test(follows_rewinds),
		cmocka_unit_test(rewind_while_stopped),
		cmocka_unit_test(restart_tells_nothing_twice),
		cmocka_unit_test(checkpoints_that_were_deleted),
		cmocka_unit_test(checkpoints_that_are_damaged),
		cmocka_unit_test(doubtful_tables),
		cmocka_unit_test(coordinators_move),
		cmocka_unit_test(listings_fail),
		cmocka_unit_test(commit_refused),
		cmocka_unit_test(target_not_readable),
		cmocka_unit_test(target_partition_not_readable),
		cmocka_unit_test(other_kinds_are_named_once),
		cmocka_unit_test(kept_when_gone),
		cmocka_unit_test(deleted_when_gone),
		cmocka_unit_test(deleted_while_stopped),
		cmocka_unit_test(gone_by_rare_listings),
		cmocka_unit_test(not_deleted_when_moved),
		cmocka_unit_test(not_deleted_with_members),
		cmocka_unit_test(shown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
