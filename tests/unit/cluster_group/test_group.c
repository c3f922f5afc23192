/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The group's state machine, rule by rule: joining (KIP-345 static members, KIP-394 member ids,
 * KIP-134 initial delay, KIP-814 skipped assignment), sync, heartbeat, leave, expiry, commit.
 * The rules are those of Kafka 4.1 (GroupMetadataManager.java, ClassicGroup.java).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/cluster_group/rig.h"

static int setup(void **state)
{
	static struct rig rig;
	rig_init(&rig);
	*state = &rig;
	return 0;
}

static int teardown(void **state)
{
	rig_fini(*state);
	return 0;
}

/* ---- joining ---- */

static void test_member_id_required(void **state)
{
	struct rig *r = *state;
	struct client c = {.name = "app"};
	client_join(r, &c);
	rig_turn(r);
	assert_int_equal(c.join_error, 79);
	assert_string_equal(c.id, "app-00000000-0000-4000-8000-000000000001");
	assert_int_equal(group_pending(r->group), 1);
	assert_int_equal(group_state(r->group), GROUP_EMPTY);
	client_join(r, &c);
	rig_turn(r);
	assert_true(c.joining);
	assert_int_equal(group_pending(r->group), 0);
	assert_int_equal(group_state(r->group), GROUP_PREPARING);
	client_cut(&c);
}

/* Old clients, and static members of any version, come in at once. */
static void test_no_id_needed(void **state)
{
	struct rig *r = *state;
	struct client old = {.version = 3}, fixed = {.instance = "i1"};
	client_join(r, &old);
	client_join(r, &fixed);
	rig_turn(r);
	assert_true(old.joining && fixed.joining);
	assert_int_equal(group_members(r->group), 2);
	rig_pass(r, 60000);
	assert_true(old.joined && fixed.joined);
	assert_int_equal(strncmp(fixed.id, "i1-", 3), 0);
}

static void test_pending_id_expires(void **state)
{
	struct rig *r = *state;
	struct client c = {.session_ms = 7000};
	client_join(r, &c);
	rig_turn(r);
	rig_pass(r, 6999);
	assert_int_equal(group_pending(r->group), 1);
	rig_pass(r, 1);
	assert_int_equal(group_pending(r->group), 0);
	client_join(r, &c);
	rig_turn(r);
	assert_int_equal(c.join_error, 25);
}

static void test_initial_delay(void **state)
{
	struct rig *r = *state;
	struct client a = {0}, b = {0};
	client_come(r, &a);
	rig_pass(r, 2999);
	assert_true(a.joining);
	rig_pass(r, 1);
	assert_true(a.joined);
	assert_int_equal(a.generation, 1);
	assert_true(client_leads(&a));
	assert_int_equal(a.members, 1);
	assert_string_equal(a.protocol, "range");
	(void)b;
}

/* Each newcomer extends the delay by another round, up to the rebalance timeout. */
static void test_initial_delay_is_extended(void **state)
{
	struct rig *r = *state;
	struct client c[5] = {{.rebalance_ms = 8000},
			      {.rebalance_ms = 8000},
			      {.rebalance_ms = 8000},
			      {.rebalance_ms = 8000},
			      {.rebalance_ms = 8000}};
	client_come(r, &c[0]);
	for (size_t i = 1; i < 4; i++) {
		rig_pass(r, 2000); /* at 2, 4 and 6 s */
		client_come(r, &c[i]);
		assert_true(c[0].joining);
	}
	rig_pass(r, 1999);
	assert_true(c[0].joining);
	rig_pass(r, 1); /* 8 s: the rebalance timeout */
	for (size_t i = 0; i < 4; i++) {
		assert_true(c[i].joined);
		assert_int_equal(c[i].generation, 1);
		assert_string_equal(c[i].leader, c[0].id);
		assert_int_equal(c[i].members, i == 0 ? 4 : 0);
	}
}

static void test_protocol_by_votes(void **state)
{
	struct rig *r = *state;
	struct client c[3] = {{.protocols = {{"roundrobin", "0"}, {"range", "a"}}},
			      {.protocols = {{"range", "b"}, {"roundrobin", "1"}, {"own", "x"}}},
			      {.protocols = {{"own", "y"}, {"range", "c"}, {"roundrobin", "2"}}}};
	rig_stable(r, c, 3);
	assert_string_equal(c[0].protocol, "range");
}

static void test_no_common_protocol(void **state)
{
	struct rig *r = *state;
	struct client a = {.protocols = {{"range", ""}}}, b = {.protocols = {{"sticky", ""}}},
		      other = {.type = "connect"}, known;
	client_come(r, &a);
	client_join(r, &b);
	client_join(r, &other);
	rig_turn(r);
	assert_int_equal(b.join_error, 23);
	assert_int_equal(other.join_error, 23);
	rig_pass(r, 6000);
	client_sync(r, &a);
	rig_turn(r);
	known = a;
	known.protocols[0][0] = "sticky";
	client_join(r, &known);
	rig_turn(r);
	/* Alone it may change its mind: its own old protocols count. */
	assert_int_equal(known.join_error, 23);
}

static void test_no_protocols(void **state)
{
	struct rig *r = *state;
	struct client c = {.type = ""};
	client_join(r, &c);
	rig_turn(r);
	assert_int_equal(c.join_error, 23);
	assert_int_equal(group_pending(r->group), 0);
}

static void test_unknown_member(void **state)
{
	struct rig *r = *state;
	struct client a = {0}, stranger = {.id = "who"};
	rig_stable(r, &a, 1);
	client_join(r, &stranger);
	rig_turn(r);
	assert_int_equal(stranger.join_error, 25);
	stranger.generation = a.generation;
	client_sync(r, &stranger);
	rig_turn(r);
	assert_int_equal(stranger.sync_error, 25);
	assert_int_equal(client_heartbeat(r, &stranger), ERR_KAFKA_UNKNOWN_MEMBER_ID);
	assert_int_equal(client_leave(r, &stranger), ERR_KAFKA_UNKNOWN_MEMBER_ID);
}

static void test_group_is_full(void **state)
{
	struct rig *r = *state;
	struct client c[3] = {{0}, {0}, {0}};
	r->config.max_size = 2;
	client_come(r, &c[0]);
	client_come(r, &c[1]);
	client_come(r, &c[2]);
	assert_int_equal(c[2].join_error, 81);
	rig_pass(r, 6000);
	client_sync(r, &c[0]);
	client_sync(r, &c[1]);
	rig_turn(r);
	c[2].id[0] = '\0';
	client_come(r, &c[2]);
	assert_int_equal(c[2].join_error, 81);
	/* A member may always rejoin. */
	client_join(r, &c[1]);
	rig_turn(r);
	assert_int_equal(c[1].join_error, 0);
}

static void test_too_much_metadata(void **state)
{
	struct rig *r = *state;
	struct client c = {.protocols = {{"range", "0123456789abcdef"}}};
	r->config.member_bytes_max = 20;
	client_join(r, &c);
	rig_turn(r);
	assert_int_equal(c.join_error, 42);
}

/* ---- rejoining ---- */

static void test_follower_with_same_metadata_stays(void **state)
{
	struct rig *r = *state;
	struct client c[2] = {{0}, {0}};
	rig_stable(r, c, 2);
	client_join(r, &c[1]);
	rig_turn(r);
	assert_true(c[1].joined);
	assert_int_equal(c[1].generation, 1);
	assert_int_equal(c[1].members, 0);
	assert_int_equal(group_state(r->group), GROUP_STABLE);
	client_sync(r, &c[1]);
	rig_turn(r);
	assert_int_equal(c[1].sync_error, 0);
	assert_int_equal(strncmp(c[1].assignment, "1:", 2), 0);
}

static void test_follower_with_other_metadata_rebalances(void **state)
{
	struct rig *r = *state;
	struct client c[2] = {{0}, {0}};
	rig_stable(r, c, 2);
	c[1].protocols[0][0] = "range";
	c[1].protocols[0][1] = "other";
	client_join(r, &c[1]);
	rig_turn(r);
	assert_true(c[1].joining);
	assert_int_equal(group_state(r->group), GROUP_PREPARING);
	assert_int_equal(client_heartbeat(r, &c[0]), ERR_KAFKA_REBALANCE_IN_PROGRESS);
	client_join(r, &c[0]);
	rig_turn(r);
	assert_true(c[0].joined && c[1].joined);
	assert_int_equal(c[0].generation, 2);
	assert_true(client_leads(&c[0])); /* it stays */
}

static void test_leader_join_rebalances(void **state)
{
	struct rig *r = *state;
	struct client c[2] = {{0}, {0}};
	rig_stable(r, c, 2);
	client_join(r, &c[0]);
	rig_turn(r);
	assert_true(c[0].joining);
	assert_int_equal(group_state(r->group), GROUP_PREPARING);
	client_cut(&c[0]);
}

/* An answer to JoinGroup got lost. */
static void test_join_again_while_completing(void **state)
{
	struct rig *r = *state;
	struct client c[2] = {{0}, {0}};
	client_come(r, &c[0]);
	client_come(r, &c[1]);
	rig_pass(r, 6000);
	assert_int_equal(group_state(r->group), GROUP_COMPLETING);
	client_join(r, &c[0]);
	client_join(r, &c[1]);
	rig_turn(r);
	assert_int_equal(c[0].members, 2);
	assert_int_equal(c[1].members, 0);
	assert_int_equal(c[0].generation, 1);
	assert_int_equal(group_state(r->group), GROUP_COMPLETING);
}

static void test_absent_member_is_removed(void **state)
{
	struct rig *r = *state;
	struct client c[2] = {{.session_ms = 300000}, {.session_ms = 300000}};
	rig_stable(r, c, 2);
	client_join(r, &c[1]); /* same metadata, but: */
	rig_turn(r);
	client_join(r, &c[0]);
	rig_turn(r);
	rig_pass(r, 59999);
	assert_true(c[0].joining);
	rig_pass(r, 1);
	assert_true(c[0].joined);
	assert_int_equal(c[0].generation, 2);
	assert_int_equal(group_members(r->group), 1);
	assert_int_equal(client_heartbeat(r, &c[1]), ERR_KAFKA_UNKNOWN_MEMBER_ID);
}

static void test_leader_does_not_come(void **state)
{
	struct rig *r = *state;
	struct client c[3] = {{.session_ms = 300000}, {.session_ms = 300000}, {0}};
	rig_stable(r, c, 2);
	client_come(r, &c[2]);
	client_join(r, &c[1]);
	rig_turn(r);
	rig_pass(r, 60000);
	assert_true(c[1].joined && c[2].joined);
	assert_true(client_leads(&c[1]));
	assert_string_equal(c[2].leader, c[1].id);
}

/* The rebalance waits for an id that was given out, and goes on when it is taken back. */
static void test_pending_id_holds_the_rebalance(void **state)
{
	struct rig *r = *state;
	struct client c[2] = {{0}, {.session_ms = 6000}};
	rig_stable(r, c, 1);
	client_join(r, &c[1]);
	rig_turn(r);
	assert_int_equal(c[1].join_error, 79);
	client_join(r, &c[0]);
	rig_turn(r);
	assert_true(c[0].joining);
	rig_pass(r, 6000);
	assert_true(c[0].joined);
	assert_int_equal(c[0].generation, 2);
}

/* The connection ends while it waits: the member stays, and counts as having come. */
static void test_cut_while_joining(void **state)
{
	struct rig *r = *state;
	struct client c[2] = {{0}, {0}};
	client_come(r, &c[0]);
	client_come(r, &c[1]);
	client_cut(&c[1]);
	rig_pass(r, 6000);
	assert_true(c[0].joined);
	assert_int_equal(c[0].members, 2);
	/* It comes back with its id and gets the same generation. */
	c[1].joined = false;
	client_join(r, &c[1]);
	rig_turn(r);
	assert_int_equal(c[1].join_error, 0);
	assert_int_equal(c[1].generation, 1);
}

/* Two connections use one member id: the first is told to come again, both are answered. */
static void test_two_requests_of_one_member(void **state)
{
	struct rig *r = *state;
	struct client a = {0}, twin;
	client_come(r, &a);
	twin = (struct client){0};
	memcpy(twin.id, a.id, sizeof twin.id);
	client_join(r, &twin);
	rig_turn(r);
	assert_true(a.joined);
	assert_int_equal(a.join_error, 27);
	rig_pass(r, 6000);
	assert_int_equal(twin.join_error, 0);
	client_sync(r, &twin);
	client_cut(&twin);
}

/* ---- sync ---- */

static void test_assignment_is_stored_first(void **state)
{
	struct rig *r = *state;
	struct client c[2] = {{0}, {0}};
	client_come(r, &c[0]);
	client_come(r, &c[1]);
	rig_pass(r, 6000);
	r->hold = true;
	client_sync(r, &c[1]);
	client_sync(r, &c[0]);
	rig_turn(r);
	assert_true(c[0].syncing && c[1].syncing);
	assert_int_equal(group_state(r->group), GROUP_COMPLETING);
	assert_int_equal(client_heartbeat(r, &c[1]), ERR_OK);
	assert_int_equal(client_commit(r, &c[1]), ERR_KAFKA_REBALANCE_IN_PROGRESS);
	rig_store(r, 1, ERR_OK);
	rig_turn(r);
	assert_int_equal(group_state(r->group), GROUP_STABLE);
	char expect[160];
	snprintf(expect, sizeof expect, "1:%s", c[1].id);
	assert_string_equal(c[1].assignment, expect);
	assert_int_equal(client_commit(r, &c[1]), ERR_OK);
	struct group *again = rig_replay(r);
	rig_assert_same(r->group, again);
	assert_int_equal(group_state(again), GROUP_STABLE);
	group_free(again);
}

static void test_assignment_is_not_stored(void **state)
{
	struct rig *r = *state;
	struct client c[2] = {{0}, {0}};
	client_come(r, &c[0]);
	client_come(r, &c[1]);
	rig_pass(r, 6000);
	r->hold = true;
	client_sync(r, &c[0]);
	client_sync(r, &c[1]);
	rig_store(r, 1, ERR_KAFKA_NOT_COORDINATOR);
	rig_turn(r);
	assert_int_equal(c[0].sync_error, 16);
	assert_int_equal(c[1].sync_error, 16);
	assert_string_equal(c[1].assignment, "");
	assert_int_equal(group_state(r->group), GROUP_PREPARING);
}

/* Somebody joins while the assignment is on its way to the log: all come again. */
static void test_overtaken_assignment(void **state)
{
	struct rig *r = *state;
	struct client c[2] = {{0}, {0}};
	client_come(r, &c[0]);
	rig_pass(r, 6000);
	r->hold = true;
	client_sync(r, &c[0]);
	client_come(r, &c[1]);
	assert_int_equal(c[0].sync_error, 27);
	assert_int_equal(group_state(r->group), GROUP_PREPARING);
	rig_store(r, 1, ERR_OK);
	assert_int_equal(group_state(r->group), GROUP_PREPARING);
	client_join(r, &c[0]);
	rig_turn(r);
	assert_int_equal(c[0].generation, 2);
	client_sync(r, &c[0]);
	client_sync(r, &c[1]);
	rig_store(r, 1, ERR_OK);
	rig_turn(r);
	assert_int_equal(strncmp(c[1].assignment, "2:", 2), 0);
}

static void test_sync_errors(void **state)
{
	struct rig *r = *state;
	struct client c[2] = {{0}, {0}};
	rig_stable(r, c, 2);
	c[1].generation = 7;
	client_sync(r, &c[1]);
	rig_turn(r);
	assert_int_equal(c[1].sync_error, 22);
	c[1].generation = 1;
	client_join(r, &c[0]); /* the leader: a rebalance */
	client_sync(r, &c[1]);
	rig_turn(r);
	assert_int_equal(c[1].sync_error, 27);
	client_cut(&c[0]);
}

static void test_sync_with_wrong_protocol(void **state)
{
	struct rig *r = *state;
	struct client c = {0};
	rig_stable(r, &c, 1);
	struct group_sync s;
	group_sync_init(&s);
	struct sync_group_request q;
	wire_init(&wire_sync_group_request, &q);
	q.member_id = bytes_str(c.id);
	q.generation_id = 1;
	q.protocol_type = bytes_str("consumer");
	q.protocol_name = bytes_str("sticky");
	s.request = &q;
	group_sync(r->group, &s);
	assert_int_equal(s.answer.error_code, 23);
	group_sync_fini(&s);
}

static void test_members_that_do_not_sync(void **state)
{
	struct rig *r = *state;
	struct client c[2] = {{.session_ms = 300000, .rebalance_ms = 20000},
			      {.session_ms = 300000, .rebalance_ms = 20000}};
	client_come(r, &c[0]);
	client_come(r, &c[1]);
	rig_pass(r, 6000);
	assert_int_equal(group_state(r->group), GROUP_COMPLETING);
	client_sync(r, &c[1]);
	rig_turn(r);
	rig_pass(r, 20000);
	/* The leader brought nothing and is out; the other was told to come again. */
	assert_int_equal(c[1].sync_error, 27);
	assert_int_equal(group_members(r->group), 1);
	assert_int_equal(client_heartbeat(r, &c[0]), ERR_KAFKA_UNKNOWN_MEMBER_ID);
	client_join(r, &c[1]);
	rig_turn(r);
	assert_int_equal(c[1].join_error, 0);
	assert_int_equal(c[1].generation, 2);
}

/* ---- sessions ---- */

static void test_session_expires(void **state)
{
	struct rig *r = *state;
	struct client c[2] = {{.session_ms = 10000}, {.session_ms = 10000}};
	rig_stable(r, c, 2);
	for (int i = 0; i < 5; i++) {
		rig_pass(r, 9000);
		assert_int_equal(client_heartbeat(r, &c[0]),
				 i == 0 ? ERR_OK : ERR_KAFKA_REBALANCE_IN_PROGRESS);
	}
	assert_int_equal(group_members(r->group), 1);
	assert_int_equal(client_heartbeat(r, &c[1]), ERR_KAFKA_UNKNOWN_MEMBER_ID);
}

/* The broker was stopped for a while: who was alive before gets a moment to say so. */
static void test_broker_stood_still(void **state)
{
	struct rig *r = *state;
	struct client c[2] = {{.session_ms = 10000}, {.session_ms = 10000}};
	rig_stable(r, c, 2);
	r->now += 60000;
	r->armed = GROUP_NEVER;
	group_tick(r->group);
	assert_int_equal(client_heartbeat(r, &c[0]), ERR_OK);
	rig_pass(r, 2999);
	assert_int_equal(group_members(r->group), 2);
	rig_pass(r, 1);
	assert_int_equal(group_members(r->group), 1);
	assert_int_equal(client_heartbeat(r, &c[1]), ERR_KAFKA_UNKNOWN_MEMBER_ID);
}

/* A commit is a sign of life, too. */
static void test_commit_keeps_the_session(void **state)
{
	struct rig *r = *state;
	struct client c = {.session_ms = 10000};
	rig_stable(r, &c, 1);
	for (int i = 0; i < 5; i++) {
		rig_pass(r, 9000);
		assert_int_equal(client_commit(r, &c), ERR_OK);
	}
	rig_pass(r, 10000);
	assert_int_equal(client_commit(r, &c), ERR_KAFKA_UNKNOWN_MEMBER_ID);
	assert_int_equal(group_state(r->group), GROUP_EMPTY);
}

/* Who waits for a rebalance does not expire; one that never had an answer does after 5 minutes. */
static void test_waiting_members_do_not_expire(void **state)
{
	struct rig *r = *state;
	struct client c[2] = {{.session_ms = 10000},
			      {.session_ms = 400000, .rebalance_ms = 350000}};
	struct client late = {.session_ms = 10000};
	rig_stable(r, c, 2);
	client_join(r, &c[0]);
	rig_turn(r);
	client_come(r, &late);
	rig_pass(r, 299999);
	assert_true(c[0].joining && late.joining);
	rig_pass(r, 1);
	assert_true(c[0].joining);
	assert_int_equal(late.join_error, 25);
	assert_string_equal(late.id, "");
	client_cut(&c[0]);
}

static void test_last_member_leaves(void **state)
{
	struct rig *r = *state;
	struct client c = {0};
	rig_stable(r, &c, 1);
	assert_int_equal(client_leave(r, &c), ERR_OK);
	assert_int_equal(group_state(r->group), GROUP_EMPTY);
	assert_int_equal(group_generation(r->group), 2);
	struct group *again = rig_replay(r);
	rig_assert_same(r->group, again);
	assert_int_equal(group_state(again), GROUP_EMPTY);
	assert_int_equal(group_state_since(again), group_state_since(r->group));
	group_free(again);
	assert_int_equal(client_heartbeat(r, &c), ERR_KAFKA_UNKNOWN_MEMBER_ID);
}

static void test_leave_while_joining(void **state)
{
	struct rig *r = *state;
	struct client c[2] = {{0}, {0}};
	rig_stable(r, c, 2);
	client_join(r, &c[0]);
	rig_turn(r);
	/* The other leaves: all that remain have joined. */
	assert_int_equal(client_leave(r, &c[1]), ERR_OK);
	assert_true(c[0].joined);
	assert_int_equal(c[0].members, 1);
	/* A member that waits is told that it is unknown. */
	client_join(r, &c[0]);
	assert_int_equal(client_leave(r, &c[0]), ERR_OK);
	assert_int_equal(group_state(r->group), GROUP_EMPTY);
}

static void test_pending_id_leaves(void **state)
{
	struct rig *r = *state;
	struct client c = {0};
	client_join(r, &c);
	rig_turn(r);
	assert_int_equal(client_leave(r, &c), ERR_OK);
	assert_int_equal(group_pending(r->group), 0);
}

/* ---- static members (KIP-345) ---- */

static void test_static_member_comes_back(void **state)
{
	struct rig *r = *state;
	struct client c[2] = {{.instance = "a"}, {.instance = "b"}};
	rig_stable(r, c, 2);
	struct client back = {.instance = "b"};
	r->hold = true;
	client_join(r, &back);
	rig_turn(r);
	assert_true(back.joining); /* until the new id is stored */
	rig_store(r, 1, ERR_OK);
	rig_turn(r);
	assert_int_equal(back.join_error, 0);
	assert_int_equal(back.generation, 1);
	assert_string_not_equal(back.id, c[1].id);
	char before[160];
	memcpy(before, c[1].assignment, sizeof before);
	assert_int_equal(group_state(r->group), GROUP_STABLE);
	/* It has the assignment of before; its former self is fenced. */
	client_sync(r, &back);
	client_sync(r, &c[1]);
	rig_turn(r);
	assert_string_equal(back.assignment, before);
	assert_int_equal(c[1].sync_error, 82);
	assert_int_equal(client_heartbeat(r, &c[1]), ERR_KAFKA_FENCED_INSTANCE_ID);
	assert_int_equal(client_commit(r, &c[1]), ERR_KAFKA_FENCED_INSTANCE_ID);
	assert_int_equal(client_leave(r, &c[1]), ERR_KAFKA_FENCED_INSTANCE_ID);
	struct group *again = rig_replay(r);
	rig_assert_same(r->group, again);
	group_free(again);
}

static void test_static_leader_comes_back(void **state)
{
	struct rig *r = *state;
	struct client c[2] = {{.instance = "a"}, {.instance = "b"}};
	rig_stable(r, c, 2);
	struct client back = {.instance = "a"};
	client_join(r, &back);
	rig_turn(r);
	/* KIP-814: it leads, but is not to assign. */
	assert_true(back.skip && client_leads(&back));
	assert_int_equal(back.members, 2);
	struct client old = {.instance = "a", .version = 8};
	client_join(r, &old);
	rig_turn(r);
	assert_false(old.skip);
	assert_string_equal(old.leader, back.id);
	assert_int_equal(old.members, 0);
}

static void test_static_member_is_not_stored(void **state)
{
	struct rig *r = *state;
	struct client c = {.instance = "a"};
	rig_stable(r, &c, 1);
	struct client back = {.instance = "a", .protocols = {{"range", "m2"}}};
	r->hold = true;
	client_join(r, &back);
	rig_store(r, 1, ERR_KAFKA_COORDINATOR_NOT_AVAILABLE);
	rig_turn(r);
	assert_int_equal(back.join_error, 15);
	assert_int_equal(client_heartbeat(r, &c), ERR_OK);
	client_join(r, &c); /* the leader's join */
	rig_turn(r);
	assert_int_equal(c.generation, 2);
}

static void test_static_member_with_other_protocol(void **state)
{
	struct rig *r = *state;
	struct client c = {.instance = "a", .protocols = {{"range", ""}, {"sticky", ""}}};
	rig_stable(r, &c, 1);
	struct client back = {.instance = "a", .protocols = {{"sticky", ""}, {"range", ""}}};
	client_join(r, &back);
	rig_turn(r);
	assert_int_equal(back.join_error, 0);
	assert_int_equal(back.generation, 2);
	assert_string_equal(back.protocol, "sticky");
}

static void test_static_member_while_completing(void **state)
{
	struct rig *r = *state;
	struct client c[2] = {{.instance = "a"}, {.instance = "b"}};
	client_come(r, &c[0]);
	client_come(r, &c[1]);
	rig_pass(r, 6000);
	client_sync(r, &c[1]);
	struct client back = {.instance = "b"};
	client_join(r, &back);
	rig_turn(r);
	assert_int_equal(c[1].sync_error, 82);
	assert_int_equal(group_state(r->group), GROUP_PREPARING);
	client_cut(&back);
}

/* A static member that waits in the join is replaced: its former self is fenced. */
static void test_static_member_while_preparing(void **state)
{
	struct rig *r = *state;
	struct client c = {.instance = "a"}, back = {.instance = "a"};
	client_come(r, &c);
	client_join(r, &back);
	rig_turn(r);
	assert_int_equal(c.join_error, 82);
	rig_pass(r, 6000);
	assert_int_equal(back.join_error, 0);
	assert_int_equal(group_members(r->group), 1);
}

/* Absent static members keep their place until their session ends. */
static void test_absent_static_member_stays(void **state)
{
	struct rig *r = *state;
	struct client c[2] = {{.instance = "a", .session_ms = 300000},
			      {.instance = "b", .session_ms = 100000}};
	rig_stable(r, c, 2);
	client_join(r, &c[0]);
	rig_turn(r);
	rig_pass(r, 60000);
	assert_int_equal(c[0].generation, 2);
	assert_int_equal(c[0].members, 2);
}

static void test_static_member_removed_by_instance(void **state)
{
	struct rig *r = *state;
	struct client c[2] = {{.instance = "a"}, {.instance = "b"}};
	rig_stable(r, c, 2);
	struct client admin = {.instance = "b"};
	assert_int_equal(client_leave(r, &admin), ERR_OK);
	assert_int_equal(group_members(r->group), 1);
	admin.instance = "x";
	assert_int_equal(client_leave(r, &admin), ERR_KAFKA_UNKNOWN_MEMBER_ID);
	admin.instance = NULL;
	assert_int_equal(client_leave(r, &admin), ERR_KAFKA_UNKNOWN_MEMBER_ID);
}

/* Nobody comes back but their sessions last: the rebalance is postponed, round by round. */
static void test_only_absent_static_members(void **state)
{
	struct rig *r = *state;
	struct client c[3] = {{.instance = "a", .session_ms = 400000},
			      {.instance = "b", .session_ms = 400000},
			      {0}};
	rig_stable(r, c, 3);
	assert_int_equal(client_leave(r, &c[2]), ERR_OK);
	rig_pass(r, 150000);
	assert_int_equal(group_state(r->group), GROUP_PREPARING);
	assert_int_equal(group_members(r->group), 2);
	client_join(r, &c[1]);
	rig_turn(r);
	rig_pass(r, 60000);
	assert_int_equal(c[1].join_error, 0);
	assert_true(client_leads(&c[1]));
}

/* ---- commits ---- */

static void test_commit_rules(void **state)
{
	struct rig *r = *state;
	struct client simple = {.generation = -1}, c = {0};
	assert_int_equal(client_commit(r, &simple), ERR_OK);
	simple.generation = 3;
	assert_int_equal(client_commit(r, &simple), ERR_KAFKA_UNKNOWN_MEMBER_ID);
	rig_stable(r, &c, 1);
	simple.generation = -1;
	assert_int_equal(client_commit(r, &simple), ERR_KAFKA_UNKNOWN_MEMBER_ID);
	assert_int_equal(client_commit(r, &c), ERR_OK);
	c.generation = 5;
	assert_int_equal(client_commit(r, &c), ERR_KAFKA_ILLEGAL_GENERATION);
	c.generation = 1;
	client_join(r, &c);
	rig_turn(r);
	assert_int_equal(client_commit(r, &c), ERR_KAFKA_REBALANCE_IN_PROGRESS);
}

/* Members that give up their partitions may still commit. */
static void test_commit_while_preparing(void **state)
{
	struct rig *r = *state;
	struct client c[2] = {{0}, {0}};
	rig_stable(r, c, 1);
	client_come(r, &c[1]);
	assert_int_equal(group_state(r->group), GROUP_PREPARING);
	assert_int_equal(client_commit(r, &c[0]), ERR_OK);
	client_cut(&c[1]);
}

/* ---- after a restart ---- */

/* The first record of a group says that it is there, and no more. */
static void test_new_group_is_stored_empty(void **state)
{
	struct rig *r = *state;
	struct client c = {.instance = "a"};
	client_join(r, &c);
	rig_turn(r);
	assert_int_equal(r->stored_n, 1);
	struct group *again = rig_replay(r);
	assert_int_equal(group_state(again), GROUP_EMPTY);
	assert_int_equal(group_generation(again), 0);
	assert_null(group_protocol_type(again).p);
	group_free(again);
	client_cut(&c);
}

static void test_loaded_group_goes_on(void **state)
{
	struct rig *r = *state;
	struct client c[2] = {{0}, {0}};
	rig_stable(r, c, 2);
	struct group *again = rig_replay(r);
	group_free(r->group);
	r->group = again;
	r->armed = GROUP_NEVER;
	group_loaded(again);
	assert_int_equal(client_heartbeat(r, &c[0]), ERR_OK);
	assert_int_equal(client_commit(r, &c[1]), ERR_OK);
	client_sync(r, &c[1]);
	rig_turn(r);
	assert_int_equal(strncmp(c[1].assignment, "1:", 2), 0);
	/* Who does not come back expires. */
	rig_pass(r, 10000);
	assert_int_equal(group_state(r->group), GROUP_EMPTY);
}

static void test_loaded_group_is_too_large(void **state)
{
	struct rig *r = *state;
	struct client c[3] = {{0}, {0}, {0}};
	rig_stable(r, c, 3);
	struct group *again = rig_replay(r);
	group_free(r->group);
	r->group = again;
	r->config.max_size = 2;
	group_loaded(again);
	assert_int_equal(group_state(again), GROUP_PREPARING);
	client_join(r, &c[0]);
	client_join(r, &c[1]);
	client_join(r, &c[2]);
	rig_turn(r);
	assert_int_equal(c[2].join_error, 81);
	assert_int_equal(c[0].join_error, 0);
	assert_int_equal(group_members(again), 2);
}

static void test_die(void **state)
{
	struct rig *r = *state;
	struct client c = {0};
	client_come(r, &c);
	group_die(r->group);
	rig_turn(r);
	assert_int_equal(c.join_error, 25);
	assert_int_equal(client_heartbeat(r, &c), ERR_KAFKA_COORDINATOR_NOT_AVAILABLE);
	client_join(r, &c);
	rig_turn(r);
	assert_int_equal(c.join_error, 15);
	rig_pass(r, 600000);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_member_id_required),
		T(test_no_id_needed),
		T(test_pending_id_expires),
		T(test_initial_delay),
		T(test_initial_delay_is_extended),
		T(test_protocol_by_votes),
		T(test_no_common_protocol),
		T(test_no_protocols),
		T(test_unknown_member),
		T(test_group_is_full),
		T(test_too_much_metadata),
		T(test_follower_with_same_metadata_stays),
		T(test_follower_with_other_metadata_rebalances),
		T(test_leader_join_rebalances),
		T(test_join_again_while_completing),
		T(test_absent_member_is_removed),
		T(test_leader_does_not_come),
		T(test_pending_id_holds_the_rebalance),
		T(test_cut_while_joining),
		T(test_two_requests_of_one_member),
		T(test_assignment_is_stored_first),
		T(test_assignment_is_not_stored),
		T(test_overtaken_assignment),
		T(test_sync_errors),
		T(test_sync_with_wrong_protocol),
		T(test_members_that_do_not_sync),
		T(test_session_expires),
		T(test_broker_stood_still),
		T(test_commit_keeps_the_session),
		T(test_waiting_members_do_not_expire),
		T(test_last_member_leaves),
		T(test_leave_while_joining),
		T(test_pending_id_leaves),
		T(test_static_member_comes_back),
		T(test_static_leader_comes_back),
		T(test_static_member_is_not_stored),
		T(test_static_member_with_other_protocol),
		T(test_static_member_while_completing),
		T(test_static_member_while_preparing),
		T(test_absent_static_member_stays),
		T(test_static_member_removed_by_instance),
		T(test_only_absent_static_members),
		T(test_commit_rules),
		T(test_commit_while_preparing),
		T(test_new_group_is_stored_empty),
		T(test_loaded_group_goes_on),
		T(test_loaded_group_is_too_large),
		T(test_die),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
