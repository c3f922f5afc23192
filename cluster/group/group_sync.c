/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The assignment: the leader brings it, the log stores it, then each member gets its part. Nobody
 * is answered before it is stored, so that after a crash no member holds partitions that the
 * group knows nothing of.
 */
#include "cluster/group/group_priv.h"

enum { ANSWER_MAX = 64 << 20 };

void group_sync_init(struct group_sync *s)
{
	*s = (struct group_sync){.fault = ERR_OK};
	arena_init(&s->arena, ANSWER_MAX);
	wire_init(&wire_sync_group_response, &s->answer);
	s->answer.assignment = bytes_str("");
}

void group_sync_fini(struct group_sync *s)
{
	group_waiter_cancel(&s->waiter);
	arena_fini(&s->arena);
}

static struct bytes keep(struct group_sync *s, struct bytes b)
{
	if (b.p == NULL)
		return b;
	char *copy = arena_strndup(&s->arena, b);
	if (copy == NULL)
		s->fault = ERR_NOMEM;
	return copy == NULL ? bytes_str("") : bytes_of(copy, b.n);
}

static void answer_error(struct group *g, struct group_sync *s, enum err e)
{
	s->answer.error_code = err_to_kafka(e);
	g->host->answer(g->arg, &s->waiter);
}

static void answer_assignment(struct group *g, struct group_sync *s, const struct group_member *m)
{
	s->answer.protocol_type = keep(s, g->protocol_type);
	s->answer.protocol_name = keep(s, g->protocol);
	if (m->assignment.p != NULL)
		s->answer.assignment = keep(s, m->assignment);
	g->host->answer(g->arg, &s->waiter);
}

static struct group_sync *take_waiter(struct group_member *m)
{
	struct group_waiter *w = m->sync;
	m->awaiting_sync = false;
	m->sync = NULL;
	if (w != NULL)
		w->slot = NULL;
	return (struct group_sync *)w;
}

void group_sync_fail(struct group *g, struct group_member *m, enum err e)
{
	struct group_sync *s = take_waiter(m);
	if (s != NULL)
		answer_error(g, s, e);
}

/* Replace a slice of a member whose bytes are counted; false: no memory. */
static bool set_bytes(struct group *g, struct bytes *of, struct bytes value)
{
	size_t before = of->n;
	if (!member_set_bytes(of, value))
		return false;
	g->bytes = g->bytes - before + value.n;
	return true;
}

static void drop_next(struct group *g)
{
	for (struct group_member *m = g->first; m != NULL; m = m->next)
		set_bytes(g, &m->next_assignment, bytes_of(NULL, 0));
}

void group_sync_fail_all(struct group *g, enum err e)
{
	drop_next(g);
	for (struct group_member *m = g->first; m != NULL; m = m->next) {
		set_bytes(g, &m->assignment, bytes_of(NULL, 0));
		if (m->awaiting_sync)
			group_touch(g, m);
		group_sync_fail(g, m, e);
	}
}

/* ---- the leader's ---- */

static bool take_assignments(struct group *g, const struct sync_group_request *q)
{
	drop_next(g);
	for (int32_t i = 0; i < q->assignments_n; i++) {
		struct group_member *m = group_find(g, q->assignments[i].member_id);
		struct bytes a = q->assignments[i].assignment;
		if (m == NULL)
			continue; /* it left meanwhile */
		if (a.n > g->config->member_bytes_max || !set_bytes(g, &m->next_assignment, a))
			return false;
	}
	return true;
}

static void refuse(struct group *g, enum err e)
{
	group_sync_fail_all(g, e);
	group_join_prepare(g, "the assignment was not stored");
}

static void store_assignments(struct group *g, const struct sync_group_request *q)
{
	if (g->assignment_stored)
		return; /* the leader asks twice; the first one stands */
	if (!take_assignments(g, q)) {
		refuse(g, ERR_KAFKA_UNKNOWN_SERVER_ERROR);
		return;
	}
	struct group_store *s = group_state_store_new(g, STORE_ASSIGNMENT);
	if (s == NULL || group_state_store(g, s) != ERR_OK) {
		refuse(g, ERR_KAFKA_UNKNOWN_SERVER_ERROR);
		return;
	}
	g->assignment_stored = true;
}

void group_sync_stored(struct group *g, struct group_store *store, enum err e)
{
	/* Another member may have joined meanwhile; then all come again. */
	if (g->state != GROUP_COMPLETING || g->generation != store->generation)
		return;
	if (e != ERR_OK) {
		refuse(g, e);
		return;
	}
	for (struct group_member *m = g->first; m != NULL; m = m->next) {
		g->bytes -= m->assignment.n;
		member_set_bytes(&m->assignment, bytes_of(NULL, 0));
		m->assignment = m->next_assignment;
		m->next_assignment = bytes_of(NULL, 0);
		if (m->awaiting_sync)
			group_touch(g, m);
		struct group_sync *s = take_waiter(m);
		if (s != NULL)
			answer_assignment(g, s, m);
	}
	group_move(g, GROUP_STABLE);
	log_event(g->config->log, LOG_INFO, "group_stable", LOG_B("group", g->id),
		  LOG_I("generation", g->generation), LOG_I("members", g->members_n));
}

/* ---- who does not come ---- */

void group_sync_time_is_up(struct group *g)
{
	g->sync_deadline = GROUP_NEVER;
	if ((g->state != GROUP_COMPLETING && g->state != GROUP_STABLE) || g->pending_sync_n == 0)
		return;
	for (struct group_member *m = g->first, *next; m != NULL; m = next) {
		next = m->next;
		if (!m->pending_sync)
			continue;
		log_event(g->config->log, LOG_INFO, "group_member_no_sync", LOG_B("group", g->id),
			  LOG_B("member", m->id));
		group_remove(g, m);
	}
	group_join_prepare(g, "members did not ask for their assignment");
}

static void came(struct group *g, struct group_member *m)
{
	if (m->pending_sync)
		g->pending_sync_n--;
	m->pending_sync = false;
	if (g->pending_sync_n == 0)
		g->sync_deadline = GROUP_NEVER;
}

/* ---- the request ---- */

/* A client that does not say (before version 5) is believed. */
static bool differs(struct bytes said, struct bytes is)
{
	return said.p != NULL && is.p != NULL && !bytes_eq(said, is);
}

static enum err validate(const struct group *g, const struct sync_group_request *q)
{
	enum err e =
		group_validate_generation(g, q->member_id, q->group_instance_id, q->generation_id);
	if (e != ERR_OK)
		return e;
	if (differs(q->protocol_type, g->protocol_type) || differs(q->protocol_name, g->protocol))
		return ERR_KAFKA_INCONSISTENT_GROUP_PROTOCOL;
	return g->state == GROUP_PREPARING ? ERR_KAFKA_REBALANCE_IN_PROGRESS : ERR_OK;
}

static void park(struct group *g, struct group_member *m, struct group_sync *s)
{
	/* Another connection asked for the same member: it is told to come again. */
	group_sync_fail(g, m, ERR_KAFKA_REBALANCE_IN_PROGRESS);
	m->awaiting_sync = true;
	m->sync = &s->waiter;
	s->waiter.slot = &m->sync;
}

void group_sync(struct group *g, struct group_sync *s)
{
	const struct sync_group_request *q = s->request;
	enum err e = validate(g, q);
	if (e != ERR_OK) {
		answer_error(g, s, e);
		return;
	}
	struct group_member *m = group_find(g, q->member_id);
	came(g, m);
	if (g->state == GROUP_STABLE) {
		answer_assignment(g, s, m);
	} else {
		park(g, m, s);
		if (m == g->leader)
			store_assignments(g, q);
	}
	group_rearm(g);
}
