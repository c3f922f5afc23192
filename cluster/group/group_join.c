/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The join phase: who may come in, when the phase ends, who leads. Follows GroupMetadataManager's
 * classicGroupJoin* and prepareRebalance line by line; where two clients fight for one member id
 * (Kafka forgets the earlier request then) the earlier one is told to rejoin.
 */
#include <assert.h>

#include "cluster/group/group_priv.h"
#include "lib/base/mem.h"

enum { ANSWER_MAX = 256 << 20 }; /* the leader's answer holds every member's metadata */

void group_join_init(struct group_join *j)
{
	*j = (struct group_join){.fault = ERR_OK};
	arena_init(&j->arena, ANSWER_MAX);
	wire_init(&wire_join_group_response, &j->answer);
}

void group_join_fini(struct group_join *j)
{
	group_waiter_cancel(&j->waiter);
	arena_fini(&j->arena);
}

/* ---- answers ---- */

/* A copy in the answer's arena; a fault sticks. */
static struct bytes keep(struct group_join *j, struct bytes b)
{
	if (b.p == NULL)
		return b;
	char *copy = arena_strndup(&j->arena, b);
	if (copy == NULL)
		j->fault = ERR_NOMEM;
	return copy == NULL ? bytes_str("") : bytes_of(copy, b.n);
}

static void answer_error(struct group *g, struct group_join *j, enum err e, struct bytes member_id)
{
	j->answer.error_code = err_to_kafka(e);
	j->answer.member_id = keep(j, member_id);
	/* Versions that allow no null get "" from the handler. */
	j->answer.protocol_name = bytes_of(NULL, 0);
	g->host->answer(g->arg, &j->waiter);
}

/* All members with what they said for the protocol that was chosen. */
static void answer_members(struct group *g, struct group_join *j)
{
	struct join_group_response_join_group_response_member *list =
		wire_array_new(&j->arena, &wire_join_group_response_join_group_response_member,
			       (int32_t)g->members_n);
	if (list == NULL) {
		j->fault = ERR_NOMEM;
		return;
	}
	int32_t n = 0;
	for (const struct group_member *m = g->first; m != NULL; m = m->next, n++) {
		list[n].member_id = keep(j, m->id);
		list[n].group_instance_id = keep(j, m->instance_id);
		list[n].metadata = keep(j, protocols_metadata(m->protocols, g->protocol));
		if (list[n].metadata.p == NULL)
			list[n].metadata = bytes_str("");
	}
	j->answer.members = list;
	j->answer.members_n = n;
}

static void fill_generation(struct group *g, struct group_join *j, const struct group_member *m,
			    bool members)
{
	j->answer.member_id = keep(j, m->id);
	j->answer.generation_id = g->generation;
	j->answer.protocol_name = keep(j, g->protocol);
	j->answer.protocol_type = keep(j, g->protocol_type);
	j->answer.leader = g->leader == NULL ? bytes_str("") : keep(j, g->leader->id);
	if (members)
		answer_members(g, j);
}

/* The present generation. */
static void answer_generation(struct group *g, struct group_join *j, const struct group_member *m,
			      bool members)
{
	fill_generation(g, j, m, members);
	g->host->answer(g->arg, &j->waiter);
}

/* The member waits no more; its request, if the client is still there. */
static struct group_join *take_waiter(struct group *g, struct group_member *m)
{
	struct group_waiter *w = m->join;
	if (m->awaiting_join)
		g->awaiting_join_n--;
	m->awaiting_join = false;
	m->join = NULL;
	if (w != NULL)
		w->slot = NULL;
	return (struct group_join *)w;
}

static void park(struct group *g, struct group_member *m, struct group_join *j)
{
	/* Another connection asked for the same member: it is told to come again. */
	group_join_fail(g, m, ERR_KAFKA_REBALANCE_IN_PROGRESS, m->id);
	m->awaiting_join = true;
	g->awaiting_join_n++;
	m->join = &j->waiter;
	j->waiter.slot = &m->join;
}

void group_join_fail(struct group *g, struct group_member *m, enum err e, struct bytes member_id)
{
	struct group_join *j = take_waiter(g, m);
	if (j != NULL)
		answer_error(g, j, e, member_id);
}

/* ---- the phase ---- */

static bool all_joined(const struct group *g)
{
	return g->awaiting_join_n == g->members_n && g->pending_n == 0;
}

/* The leader stays if it came, else the first who did. */
static bool elect(struct group *g)
{
	if (g->leader != NULL && g->leader->awaiting_join)
		return true;
	for (struct group_member *m = g->first; m != NULL; m = m->next) {
		if (!m->awaiting_join)
			continue;
		g->leader = m;
		return true;
	}
	return false;
}

/* Dynamic members that did not come are out; static ones keep their place (KIP-345). */
static void remove_absent(struct group *g)
{
	for (struct group_member *m = g->first, *next; m != NULL; m = next) {
		next = m->next;
		if (m->awaiting_join || m->instance_id.p != NULL)
			continue;
		log_event(g->config->log, LOG_INFO, "group_member_absent", LOG_B("group", g->id),
			  LOG_B("member", m->id));
		group_remove(g, m);
	}
}

static enum err next_generation(struct group *g)
{
	struct bytes vote = g->members_n == 0 ? bytes_of(NULL, 0) : group_vote(g);
	if (!member_set_bytes(&g->protocol, vote))
		return ERR_NOMEM;
	g->generation = g->generation == INT32_MAX ? 1 : g->generation + 1;
	g->pending_sync_n = 0;
	g->assignment_stored = false;
	group_move(g, g->members_n == 0 ? GROUP_EMPTY : GROUP_COMPLETING);
	return ERR_OK;
}

static void answer_all(struct group *g)
{
	for (struct group_member *m = g->first; m != NULL; m = m->next) {
		struct group_join *j = take_waiter(g, m);
		if (j != NULL)
			answer_generation(g, j, m, m == g->leader);
		m->is_new = false;
		m->pending_sync = true;
		g->pending_sync_n++;
		group_touch(g, m);
	}
}

static void complete(struct group *g)
{
	g->join_deadline = GROUP_NEVER;
	g->initial = g->member_added = false;
	remove_absent(g);
	/* Static members alone, none of them there; or no memory: wait another round, until their
	 * sessions end. */
	if ((!elect(g) && g->members_n > 0) || next_generation(g) != ERR_OK) {
		g->join_deadline = group_now(g) + group_rebalance_timeout(g);
		return;
	}
	log_event(g->config->log, LOG_INFO, "group_generation", LOG_B("group", g->id),
		  LOG_I("generation", g->generation), LOG_I("members", g->members_n),
		  LOG_B("protocol", g->protocol));
	if (g->state == GROUP_EMPTY) {
		group_state_store_empty(g);
		return;
	}
	answer_all(g);
	g->sync_deadline = group_now(g) + group_rebalance_timeout(g);
}

void group_join_complete_if_all(struct group *g)
{
	if (g->state == GROUP_PREPARING && all_joined(g))
		complete(g);
}

static void begin_initial(struct group *g)
{
	int64_t delay = g->config->initial_rebalance_delay_ms;
	int64_t left = group_rebalance_timeout(g) - delay;
	g->initial = true;
	g->member_added = false;
	g->initial_delay_ms = delay;
	g->initial_left_ms = left > 0 ? left : 0;
	g->join_deadline = group_now(g) + delay;
}

void group_join_prepare(struct group *g, const char *why)
{
	bool initial = g->state == GROUP_EMPTY;
	if (g->state == GROUP_COMPLETING)
		group_sync_fail_all(g, ERR_KAFKA_REBALANCE_IN_PROGRESS);
	for (struct group_member *m = g->first; m != NULL; m = m->next)
		m->pending_sync = false;
	g->pending_sync_n = 0;
	g->sync_deadline = GROUP_NEVER;
	group_move(g, GROUP_PREPARING);
	log_event(g->config->log, LOG_INFO, "group_rebalance", LOG_B("group", g->id),
		  LOG_I("generation", g->generation), LOG_S("why", why));
	if (initial) {
		begin_initial(g);
	} else if (all_joined(g)) {
		complete(g);
	} else {
		g->join_deadline = group_now(g) + group_rebalance_timeout(g);
	}
}

void group_join_proceed(struct group *g, const char *why)
{
	switch (g->state) {
	case GROUP_EMPTY:
	case GROUP_COMPLETING:
	case GROUP_STABLE:
		group_join_prepare(g, why);
		break;
	case GROUP_PREPARING:
		/* The first rebalance ends by time alone. */
		if (!g->initial)
			group_join_complete_if_all(g);
		break;
	case GROUP_DEAD:
		break;
	}
}

void group_join_time_is_up(struct group *g)
{
	if (!g->initial || !g->member_added || g->initial_left_ms == 0) {
		complete(g);
		return;
	}
	/* Somebody came meanwhile: wait for more, while the rebalance timeout allows. */
	int64_t delay = g->config->initial_rebalance_delay_ms;
	int64_t before = g->initial_delay_ms;
	g->member_added = false;
	g->initial_delay_ms = delay < g->initial_left_ms ? delay : g->initial_left_ms;
	g->initial_left_ms = g->initial_left_ms > before ? g->initial_left_ms - before : 0;
	g->join_deadline = group_now(g) + g->initial_delay_ms;
}

/* ---- coming in ---- */

static bool accepts(const struct group *g, const struct group_member *m)
{
	size_t max = (size_t)g->config->max_size;
	switch (g->state) {
	case GROUP_EMPTY:
	case GROUP_DEAD:
		return true;
	case GROUP_PREPARING:
		/* Counted by who came: the last to rejoin a group that is too large are out. */
		return (m != NULL && m->awaiting_join) || g->awaiting_join_n < max;
	case GROUP_COMPLETING:
	case GROUP_STABLE:
		return m != NULL || g->members_n < max;
	}
	return false;
}

/* Version 0 had one timeout for both. */
static int32_t rebalance_timeout(const struct group_join *j)
{
	int32_t ms =
		j->version == 0 ? j->request->session_timeout_ms : j->request->rebalance_timeout_ms;
	return ms < 0 ? 0 : ms;
}

static void add_member(struct group *g, struct group_join *j, struct bytes id)
{
	const struct join_group_request *q = j->request;
	struct protocols *p = protocols_new(q->protocols, q->protocols_n);
	if (p == NULL)
		goto err;
	struct group_member *m = member_new(
		&(struct member_options){.id = id,
					 .instance_id = q->group_instance_id,
					 .client_id = j->client_id.p ? j->client_id : bytes_str(""),
					 .client_host = j->client_host,
					 .session_timeout_ms = q->session_timeout_ms,
					 .rebalance_timeout_ms = rebalance_timeout(j)},
		p);
	if (m == NULL)
		goto err_after_protocols;
	if (group_add(g, m, q->protocol_type) != ERR_OK)
		goto err_after_member;
	if (g->state == GROUP_PREPARING && g->initial)
		g->member_added = true;
	m->is_new = true;
	park(g, m, j);
	/* It has no id yet and sends no heartbeats. Its connection is not read meanwhile, so that a
	 * client that gave up would stay: it is asked to come again after a while. */
	group_expect(g, m, g->config->new_member_join_timeout_ms);
	group_join_proceed(g, "a member joins");
	return;

err_after_member:
	m->protocols = NULL;
	member_free(m);
err_after_protocols:
	mem_free(p);
err:
	answer_error(g, j, ERR_KAFKA_COORDINATOR_NOT_AVAILABLE, bytes_str(""));
}

/* Take over what a member says now. False: no memory, and it is answered. */
static bool update_member(struct group *g, struct group_join *j, struct group_member *m)
{
	const struct join_group_request *q = j->request;
	struct protocols *p = protocols_new(q->protocols, q->protocols_n);
	if (p == NULL || group_set_protocols(g, m, p) != ERR_OK) {
		mem_free(p);
		answer_error(g, j, ERR_KAFKA_COORDINATOR_NOT_AVAILABLE, m->id);
		return false;
	}
	m->session_timeout_ms = q->session_timeout_ms;
	m->rebalance_timeout_ms = rebalance_timeout(j);
	park(g, m, j);
	return true;
}

static void make_id(struct group *g, const struct group_join *j, struct buf *out)
{
	char uuid[GROUP_UUID];
	struct bytes prefix = j->request->group_instance_id.p != NULL
				      ? j->request->group_instance_id
				      : j->client_id;
	g->host->uuid(g->arg, uuid);
	buf_put(out, prefix.p, prefix.n);
	buf_put_str(out, "-");
	buf_put_str(out, uuid);
}

/* ---- a static member that lost its id ---- */

/* What the record is to undo if it cannot be stored. */
static struct group_store *remember(struct group *g, const struct group_member *m,
				    struct bytes new_id)
{
	struct group_store *s = group_state_store_new(g, STORE_STATIC);
	if (s == NULL)
		return NULL;
	size_t bytes = m->protocols->bytes;
	s->old_protocols = mem_alloc(bytes);
	if (s->old_protocols == NULL || !member_set_bytes(&s->old_id, m->id) ||
	    !member_set_bytes(&s->new_id, new_id)) {
		group_state_store_free(s);
		return NULL;
	}
	/* The copy's slices must point into the copy. */
	memcpy(s->old_protocols, m->protocols, bytes);
	for (size_t i = 0; i < s->old_protocols->n; i++) {
		struct protocol *item = &s->old_protocols->items[i];
		const uint8_t *from = (const uint8_t *)m->protocols;
		const uint8_t *to = (const uint8_t *)s->old_protocols;
		item->name.p = to + (item->name.p - from);
		item->metadata.p = to + (item->metadata.p - from);
	}
	s->old_session_timeout_ms = m->session_timeout_ms;
	s->old_rebalance_timeout_ms = m->rebalance_timeout_ms;
	return s;
}

/* KIP-345: the member takes the place of its former self, whose requests are fenced. In a stable
 * group whose protocol stays, nobody else is disturbed. */
static void replace_static(struct group *g, struct group_join *j, struct group_member *m,
			   struct bytes id)
{
	struct group_store *s = remember(g, m, id);
	if (s == NULL || group_rename(g, m, id) != ERR_OK) {
		group_state_store_free(s);
		answer_error(g, j, ERR_KAFKA_COORDINATOR_NOT_AVAILABLE, bytes_str(""));
		return;
	}
	group_join_fail(g, m, ERR_KAFKA_FENCED_INSTANCE_ID, s->old_id);
	group_sync_fail(g, m, ERR_KAFKA_FENCED_INSTANCE_ID);
	m->is_new = false;
	if (!update_member(g, j, m)) {
		group_state_store_free(s);
		return;
	}
	group_touch(g, m);
	switch (g->state) {
	case GROUP_STABLE:
		if (!bytes_eq(group_vote(g), g->protocol)) {
			group_state_store_free(s);
			group_join_proceed(g, "a static member came back with other protocols");
		} else if (group_state_store(g, s) != ERR_OK) {
			group_join_fail(g, m, ERR_KAFKA_COORDINATOR_NOT_AVAILABLE, bytes_str(""));
		}
		return;
	case GROUP_COMPLETING:
		/* The leader may be giving an assignment to the old id. */
		group_state_store_free(s);
		group_join_prepare(g, "a static member came back");
		return;
	case GROUP_PREPARING:
	case GROUP_EMPTY:
	case GROUP_DEAD:
		group_state_store_free(s);
		group_join_proceed(g, "a static member came back");
		return;
	}
}

static void undo_static(struct group *g, struct group_store *s, struct group_member *m)
{
	if (group_rename(g, m, s->old_id) != ERR_OK ||
	    group_set_protocols(g, m, s->old_protocols) != ERR_OK)
		return; /* the new id stands; a restart would bring back the old one */
	s->old_protocols = NULL;
	m->session_timeout_ms = s->old_session_timeout_ms;
	m->rebalance_timeout_ms = s->old_rebalance_timeout_ms;
	group_touch(g, m);
}

void group_join_static_stored(struct group *g, struct group_store *s, enum err e)
{
	struct group_member *m = group_find(g, s->new_id);
	if (m == NULL || g->state != GROUP_STABLE || g->generation != s->generation)
		return; /* overtaken: the rebalance answers */
	struct group_join *j = take_waiter(g, m);
	if (e != ERR_OK) {
		if (j != NULL) {
			j->answer.generation_id = g->generation;
			answer_error(g, j, e, bytes_str(""));
		}
		undo_static(g, s, m);
		return;
	}
	if (j == NULL)
		return;
	/* KIP-814: from version 9 on the leader is told who it leads, and not to assign anew.
	 * Before that it must not think that it leads, so that it gets the old leader's name: its
	 * own of before. */
	bool leads = g->leader == m, skip = j->version >= 9;
	fill_generation(g, j, m, leads && skip);
	j->answer.skip_assignment = leads && skip;
	if (leads && !skip)
		j->answer.leader = keep(j, s->old_id);
	g->host->answer(g->arg, &j->waiter);
}

/* ---- the request ---- */

/* KIP-394: who gives up without ever having its id leaves no member behind. */
static void offer_id(struct group *g, struct group_join *j, struct bytes id)
{
	int64_t until = group_now(g) + j->request->session_timeout_ms;
	if (g->pending_n >= (size_t)g->config->max_size)
		answer_error(g, j, ERR_KAFKA_GROUP_MAX_SIZE_REACHED, bytes_str(""));
	else if (group_add_pending(g, id, until) != ERR_OK)
		answer_error(g, j, ERR_KAFKA_COORDINATOR_NOT_AVAILABLE, bytes_str(""));
	else
		answer_error(g, j, ERR_KAFKA_MEMBER_ID_REQUIRED, id);
}

static void join_new(struct group *g, struct group_join *j)
{
	const struct join_group_request *q = j->request;
	if (!group_supports(g, q)) {
		answer_error(g, j, ERR_KAFKA_INCONSISTENT_GROUP_PROTOCOL, bytes_str(""));
		return;
	}
	struct buf text;
	buf_init(&text, INT16_MAX);
	make_id(g, j, &text);
	struct bytes id = buf_bytes(&text);
	struct group_member *same = group_find_instance(g, q->group_instance_id);
	if (text.err != ERR_OK) {
		answer_error(g, j, ERR_KAFKA_COORDINATOR_NOT_AVAILABLE, bytes_str(""));
	} else if (same != NULL) {
		replace_static(g, j, same, id);
	} else if (q->group_instance_id.p != NULL || j->version < 4) {
		add_member(g, j, id);
	} else {
		offer_id(g, j, id);
	}
	buf_fini(&text);
}

static void rejoin(struct group *g, struct group_join *j, struct group_member *m, const char *why)
{
	if (update_member(g, j, m))
		group_join_proceed(g, why);
}

static void join_known(struct group *g, struct group_join *j)
{
	const struct join_group_request *q = j->request;
	if (!group_supports(g, q)) {
		answer_error(g, j, ERR_KAFKA_INCONSISTENT_GROUP_PROTOCOL, q->member_id);
		return;
	}
	if (q->group_instance_id.p == NULL && group_find_pending(g, q->member_id) != NULL) {
		add_member(g, j, q->member_id);
		return;
	}
	enum err e = group_validate(g, q->member_id, q->group_instance_id);
	if (e != ERR_OK) {
		answer_error(g, j, e, q->member_id);
		return;
	}
	struct group_member *m = group_find(g, q->member_id);
	bool same = protocols_match(m->protocols, q->protocols, q->protocols_n);
	switch (g->state) {
	case GROUP_PREPARING:
		rejoin(g, j, m, "a member joins");
		break;
	case GROUP_COMPLETING:
		/* It may not have got the answer: the same once more. */
		if (same)
			answer_generation(g, j, m, m == g->leader);
		else
			rejoin(g, j, m, "a member has other metadata");
		break;
	case GROUP_STABLE:
		/* A leader asks for a rebalance like this: it has seen new partitions. */
		if (m == g->leader)
			rejoin(g, j, m, "the leader joins");
		else if (same)
			answer_generation(g, j, m, false);
		else
			rejoin(g, j, m, "a member has other metadata");
		break;
	case GROUP_EMPTY:
	case GROUP_DEAD:
		answer_error(g, j, ERR_KAFKA_UNKNOWN_MEMBER_ID, q->member_id);
		break;
	}
}

static bool within_bounds(const struct group *g, const struct join_group_request *q)
{
	size_t bytes = q->protocol_type.n + q->group_instance_id.n;
	if (q->protocols_n > PROTOCOLS_MAX)
		return false;
	for (int32_t i = 0; i < q->protocols_n; i++)
		bytes += q->protocols[i].name.n + q->protocols[i].metadata.n;
	return bytes <= g->config->member_bytes_max;
}

void group_join(struct group *g, struct group_join *j)
{
	const struct join_group_request *q = j->request;
	struct group_member *m = group_find(g, q->member_id);
	if (g->state == GROUP_DEAD) {
		answer_error(g, j, ERR_KAFKA_COORDINATOR_NOT_AVAILABLE, q->member_id);
	} else if (!within_bounds(g, q)) {
		answer_error(g, j, ERR_KAFKA_INVALID_REQUEST, q->member_id);
	} else if (!accepts(g, m)) {
		if (m != NULL)
			group_remove(g, m);
		answer_error(g, j, ERR_KAFKA_GROUP_MAX_SIZE_REACHED, bytes_str(""));
	} else if (q->member_id.n == 0) {
		join_new(g, j);
	} else {
		join_known(g, j);
	}
	group_rearm(g);
}
