/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random clients against one group: they join, sync, heartbeat, leave, crash, lose answers and come
 * back; writes take their time and fail; the broker restarts from what was stored. Held to:
 *
 * - in a generation there is one leader, and a member gets what that leader gave to it, or nothing;
 * - what a member was given was stored before, so that a restart knows it;
 * - the generation rises while the broker runs; a restart finds what was stored last;
 * - every request is answered once (rig.c), the group's books balance (group_check);
 * - when the faults end, all clients come together in one generation.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "cluster/group/group_record.h"
#include "tests/unit/cluster_group/rig.h"
#include "tests/unit/rng.h"

enum { CLIENTS = 7, LEADERS = 4096 };

struct sim {
	struct rig rig;
	struct rng rng;
	struct client clients[CLIENTS];
	struct client zombies[CLIENTS]; /* their former selves, still waiting */
	int64_t restarts;
	/* Who led generation i since the last restart. */
	char leaders[LEADERS][128];
	int32_t generation; /* seen last */
	bool calm;
	bool twins; /* two connections may use one member id, so that a leader may lose its list */
	uint64_t rounds, assigned;
};

static void set_client(struct sim *s, size_t i)
{
	static const char *const instances[CLIENTS] = {"s0", "s1", "s2", NULL, NULL, NULL, NULL};
	struct client *c = &s->clients[i];
	*c = (struct client){.instance = instances[i],
			     .version = (int16_t)rng_in(&s->rng, 1, 9),
			     .session_ms = (int32_t)rng_in(&s->rng, 6000, 30000),
			     .rebalance_ms = (int32_t)rng_in(&s->rng, 1000, 60000)};
	c->protocols[0][0] = rng_one_in(&s->rng, 3) ? "sticky" : "range";
	c->protocols[1][0] = "common";
	c->protocols[0][1] = c->protocols[1][1] = rng_one_in(&s->rng, 4) ? "x" : "y";
}

/* ---- what must hold ---- */

static bool is_static_self(const struct client *c, const char *id)
{
	size_t n = c->instance == NULL ? 0 : strlen(c->instance);
	return n > 0 && strncmp(id, c->instance, n) == 0 && id[n] == '-';
}

static void check_joined(struct sim *s, struct client *c)
{
	if (!c->joined || c->join_error != 0)
		return;
	assert_in_range(c->generation, 1, LEADERS - 1);
	char *leader = s->leaders[c->generation];
	if (leader[0] == '\0')
		memcpy(leader, c->leader, sizeof c->leader);
	if (strcmp(leader, c->leader) != 0) {
		/* Only a static member may lead under another id. */
		char *dash = strchr(leader, '-');
		assert_non_null(dash);
		assert_int_equal(strncmp(leader, c->leader, (size_t)(dash - leader) + 1), 0);
		assert_true(leader[0] == 's');
	}
	assert_true(c->members == 0 || strcmp(c->id, c->leader) == 0);
}

/* What the log knows of this member, in the generation that was stored last. */
static void check_stored(struct sim *s, const struct client *c)
{
	struct group *stored = rig_replay(&s->rig);
	assert_true(group_generation(stored) >= c->generation);
	const struct group_member *m = group_find(stored, bytes_str(c->id));
	if (group_generation(stored) == c->generation && m != NULL)
		assert_true(bytes_eq_str(m->assignment.p ? m->assignment : bytes_str(""),
					 c->assignment));
	group_free(stored);
}

static void check_synced(struct sim *s, struct client *c)
{
	bool got = c->synced && c->sync_error == 0;
	c->synced = false;
	if (!got)
		return;
	if (c->assignment[0] == '\0') {
		/* A static member that came back under a new id, in an old client's words. */
		assert_true(s->twins || c->instance != NULL);
		return;
	}
	char *colon = strchr(c->assignment, ':');
	assert_int_equal(strtol(c->assignment, NULL, 10), c->generation);
	assert_true(strcmp(colon + 1, c->id) == 0 || is_static_self(c, colon + 1));
	check_stored(s, c);
	s->assigned++;
}

static void check(struct sim *s)
{
	int32_t now = group_generation(s->rig.group);
	assert_true(now >= s->generation);
	s->generation = now;
	for (size_t i = 0; i < CLIENTS; i++) {
		check_joined(s, &s->clients[i]);
		check_synced(s, &s->clients[i]);
	}
}

/* ---- what happens ---- */

static void restart(struct sim *s)
{
	struct rig *r = &s->rig;
	if (r->stored_n == 0)
		return;
	while (r->answers != NULL)
		group_waiter_cancel(r->answers);
	for (size_t i = 0; i < CLIENTS; i++) {
		client_cut(&s->clients[i]);
		client_cut(&s->zombies[i]);
	}
	/* Some of what was under way may have reached the disk. */
	size_t lucky = r->writes_n == 0 ? 0 : (size_t)rng_in(&s->rng, 0, (int64_t)r->writes_n);
	for (size_t i = 0; i < r->writes_n; i++) {
		if (i + 1 == lucky) {
			buf_fini(&r->key);
			buf_fini(&r->value);
			r->key = r->writes[i].key;
			r->value = r->writes[i].value;
			continue;
		}
		buf_fini(&r->writes[i].key);
		buf_fini(&r->writes[i].value);
	}
	r->writes_n = 0;
	struct group *again = rig_replay(r);
	group_free(r->group);
	r->group = again;
	r->armed = GROUP_NEVER;
	group_loaded(again);
	memset(s->leaders, 0, sizeof s->leaders);
	s->generation = 0;
	s->restarts++;
	for (size_t i = 0; i < CLIENTS; i++)
		s->clients[i].joined = s->clients[i].synced = false;
}

static void give_up(struct sim *s, size_t i)
{
	struct client *c = &s->clients[i];
	client_cut(c);
	if (rng_one_in(&s->rng, 2)) {
		set_client(s, i); /* another process */
		return;
	}
	c->joined = c->synced = false;
	if (rng_one_in(&s->rng, 3))
		c->id[0] = '\0';
}

/* As clients do: what the last answer said decides. */
static void act(struct sim *s, size_t i)
{
	struct client *c = &s->clients[i];
	struct rig *r = &s->rig;
	if (c->joining || c->syncing)
		return;
	if (c->joined && (c->join_error == 25 || c->join_error == 82)) {
		c->id[0] = '\0';
		c->joined = false;
	}
	if (!c->joined || c->join_error != 0) {
		if (c->protocols[0][0] == NULL)
			set_client(s, i);
		client_join(r, c);
		return;
	}
	if (c->assignment[0] == '\0' && c->sync_error == 0) {
		client_sync(r, c);
		return;
	}
	enum err e = client_heartbeat(r, c);
	if (e == ERR_OK && c->sync_error == 0)
		return;
	c->joined = false;
	c->assignment[0] = '\0';
	c->sync_error = 0;
	if (e == ERR_KAFKA_UNKNOWN_MEMBER_ID || e == ERR_KAFKA_FENCED_INSTANCE_ID)
		c->id[0] = '\0';
}

static void fault(struct sim *s)
{
	size_t i = (size_t)rng_in(&s->rng, 0, CLIENTS - 1);
	struct client *c = &s->clients[i];
	switch (rng_in(&s->rng, 0, 7)) {
	case 0:
		give_up(s, i);
		break;
	case 1:
		if (c->joined && c->join_error == 0)
			(void)!client_leave(&s->rig, c);
		break;
	case 2:
		if (rng_one_in(&s->rng, 5))
			restart(s);
		break;
	case 3:
		if (s->rig.writes_n > 0)
			rig_store(&s->rig, 1, ERR_KAFKA_NOT_COORDINATOR);
		break;
	case 4: /* the same id on a second connection */
		if (s->twins && !s->zombies[i].joining && c->id[0] != '\0') {
			s->zombies[i] = *c;
			s->zombies[i].joining = s->zombies[i].syncing = false;
			client_join(&s->rig, &s->zombies[i]);
		}
		break;
	case 5:
		client_cut(&s->zombies[i]);
		break;
	case 6: /* a leader has seen new partitions */
		if (!c->joining && !c->syncing && c->joined && c->join_error == 0) {
			c->assignment[0] = '\0';
			c->sync_error = 0;
			client_join(&s->rig, c);
		}
		break;
	case 7:
		if (c->joined && c->join_error == 0)
			(void)!client_commit(&s->rig, c);
		break;
	}
}

static void step(struct sim *s)
{
	struct rig *r = &s->rig;
	int32_t before = group_generation(r->group);
	act(s, (size_t)rng_in(&s->rng, 0, CLIENTS - 1));
	if (!s->calm && rng_one_in(&s->rng, 12))
		fault(s);
	if (rng_one_in(&s->rng, 20))
		r->hold = !r->hold; /* the disk stalls for a while */
	r->hold = r->hold && !s->calm && r->writes_n < RIG_WRITES / 2;
	rig_turn(r);
	check(s);
	if (rng_one_in(&s->rng, 2))
		rig_pass(r, rng_in(&s->rng, 1, rng_one_in(&s->rng, 20) ? 20000 : 800));
	check(s);
	s->rounds += group_generation(r->group) != before;
}

static bool together(const struct sim *s)
{
	for (size_t i = 0; i < CLIENTS; i++) {
		const struct client *c = &s->clients[i];
		if (!c->joined || c->join_error != 0 || c->assignment[0] == '\0' ||
		    c->generation != group_generation(s->rig.group))
			return false;
	}
	return group_state(s->rig.group) == GROUP_STABLE;
}

static void run(uint64_t seed, int64_t steps)
{
	static struct sim s;
	memset(&s, 0, sizeof s);
	s.rng.s = seed;
	s.twins = rng_one_in(&s.rng, 2);
	rig_init(&s.rig);
	for (size_t i = 0; i < CLIENTS; i++)
		set_client(&s, i);
	for (int64_t i = 0; i < steps; i++)
		step(&s);
	s.calm = true;
	for (size_t i = 0; i < CLIENTS; i++)
		client_cut(&s.zombies[i]);
	for (int64_t i = 0; i < 20000 && !together(&s); i++)
		step(&s);
	if (!together(&s))
		fail_msg("seed 0x%llx: the clients did not come together",
			 (unsigned long long)seed);
	assert_true(s.rounds > 0 && s.assigned > 0);
	for (size_t i = 0; i < CLIENTS; i++)
		client_cut(&s.clients[i]);
	rig_fini(&s.rig);
}

static void test_random_clients(void **state)
{
	(void)state;
	struct rng g = {.s = rng_seed("test_group_sim")};
	int64_t runs = rng_scale(400);
	for (int64_t i = 0; i < runs; i++)
		run(rng_u64(&g), 600);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_clients)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
