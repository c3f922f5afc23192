/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The group's members, its moves and its time. Joining is in group_join.c, the assignment in
 * group_sync.c, the stored record in group_state.c.
 *
 * Invariants (group_check): the maps hold the members of the list, and only those; the counts are
 * the members' flags; a member that waits in a join does so in PREPARING alone (but for a static
 * one whose new id is on its way to the log), one that waits for its assignment in COMPLETING
 * alone; the votes count each protocol of each member once; an EMPTY group has no members.
 *
 * Time: deadlines are kept here, the host is told of the earliest. A heartbeat only
 * puts a deadline off, so the host's timer may fire early; group_tick then arms it anew.
 */
#include "cluster/group/group.h"

#include <assert.h>

#include "cluster/group/group_priv.h"
#include "lib/base/mem.h"

/* How many members follow a protocol. */
struct protocol_count {
	size_t n;
};

const char *group_state_name(enum group_state s)
{
	static const char *const names[GROUP_STATES] = {
		[GROUP_EMPTY] = "Empty",
		[GROUP_PREPARING] = "PreparingRebalance",
		[GROUP_COMPLETING] = "CompletingRebalance",
		[GROUP_STABLE] = "Stable",
		[GROUP_DEAD] = "Dead",
	};
	return names[s];
}

/* From row to column (ClassicGroupState.java). */
static const bool allowed[GROUP_STATES][GROUP_STATES] = {
	[GROUP_EMPTY] = {[GROUP_PREPARING] = true, [GROUP_DEAD] = true},
	[GROUP_PREPARING] = {[GROUP_EMPTY] = true, [GROUP_COMPLETING] = true, [GROUP_DEAD] = true},
	[GROUP_COMPLETING] = {[GROUP_PREPARING] = true, [GROUP_STABLE] = true, [GROUP_DEAD] = true},
	[GROUP_STABLE] = {[GROUP_PREPARING] = true, [GROUP_DEAD] = true},
	[GROUP_DEAD] = {[GROUP_DEAD] = false},
};

void group_move(struct group *g, enum group_state to)
{
	assert(allowed[g->state][to]);
	g->previous = g->state;
	g->state = to;
	g->since_ms = g->host->wall_ms(g->arg);
}

int64_t group_now(const struct group *g)
{
	return g->host->mono_ms(g->arg);
}

/* ---- life ---- */

struct group *group_new(struct bytes id, const struct group_config *config,
			const struct group_host *host, void *arg)
{
	struct group *g = mem_zalloc(1, sizeof *g);
	if (g == NULL)
		return NULL;
	if (!member_set_bytes(&g->id, id)) {
		mem_free(g);
		return NULL;
	}
	g->config = config;
	g->host = host;
	g->arg = arg;
	g->state = GROUP_EMPTY;
	g->previous = GROUP_DEAD;
	g->since_ms = host->wall_ms(arg);
	g->join_deadline = g->sync_deadline = g->armed = GROUP_NEVER;
	return g;
}

static void free_counts(struct map *m)
{
	size_t at = 0;
	struct bytes key;
	void *count;
	while (m != NULL && map_next(m, &at, &key, &count))
		mem_free(count);
	map_free(m);
}

/* Forget all members without a word. */
static void clear(struct group *g)
{
	while (g->first != NULL) {
		struct group_member *m = g->first;
		g->first = m->next;
		if (m->join != NULL)
			m->join->slot = NULL;
		if (m->sync != NULL)
			m->sync->slot = NULL;
		member_free(m);
	}
	g->last = g->leader = NULL;
	g->members_n = g->awaiting_join_n = g->pending_sync_n = 0;
	while (g->pending != NULL)
		group_remove_pending(g, g->pending);
	map_free(g->members);
	map_free(g->instances);
	free_counts(g->votes);
	g->members = g->instances = g->votes = NULL;
	g->bytes = 0;
}

void group_free(struct group *g)
{
	if (g == NULL)
		return;
	clear(g);
	while (g->stores != NULL)
		group_state_store_free(g->stores);
	member_set_bytes(&g->id, bytes_of(NULL, 0));
	member_set_bytes(&g->protocol_type, bytes_of(NULL, 0));
	member_set_bytes(&g->protocol, bytes_of(NULL, 0));
	mem_free(g);
}

void group_waiter_cancel(struct group_waiter *w)
{
	if (w->slot != NULL) {
		*w->slot = NULL;
		w->slot = NULL;
	}
	if (w->back != NULL) {
		*w->back = w->next;
		if (w->next != NULL)
			w->next->back = w->back;
		w->back = NULL;
	}
}

void group_die(struct group *g)
{
	while (g->first != NULL)
		group_remove(g, g->first);
	clear(g);
	group_move(g, GROUP_DEAD);
	g->join_deadline = g->sync_deadline = GROUP_NEVER;
	group_rearm(g);
}

/* ---- members ---- */

struct group_member *group_find(const struct group *g, struct bytes id)
{
	return g->members == NULL || id.p == NULL ? NULL : map_get(g->members, id);
}

struct group_member *group_find_instance(const struct group *g, struct bytes instance_id)
{
	return g->instances == NULL || instance_id.p == NULL ? NULL
							     : map_get(g->instances, instance_id);
}

struct group_pending *group_find_pending(const struct group *g, struct bytes id)
{
	struct group_pending *p = g->pending;
	while (p != NULL && !bytes_eq(p->id, id))
		p = p->next;
	return p;
}

enum err group_validate(const struct group *g, struct bytes id, struct bytes instance_id)
{
	if (instance_id.p != NULL) {
		const struct group_member *m = group_find_instance(g, instance_id);
		if (m == NULL)
			return ERR_KAFKA_UNKNOWN_MEMBER_ID;
		if (!bytes_eq(m->id, id))
			return ERR_KAFKA_FENCED_INSTANCE_ID;
	}
	return group_find(g, id) == NULL ? ERR_KAFKA_UNKNOWN_MEMBER_ID : ERR_OK;
}

enum err group_validate_generation(const struct group *g, struct bytes id, struct bytes instance_id,
				   int32_t generation)
{
	if (g->state == GROUP_DEAD)
		return ERR_KAFKA_COORDINATOR_NOT_AVAILABLE;
	enum err e = group_validate(g, id, instance_id);
	if (e != ERR_OK)
		return e;
	return generation == g->generation ? ERR_OK : ERR_KAFKA_ILLEGAL_GENERATION;
}

static void uncount_votes(struct group *g, const struct protocols *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct protocol_count *c = map_get(g->votes, p->items[i].name);
		if (--c->n == 0)
			mem_free(map_take(g->votes, p->items[i].name));
	}
}

static enum err count_vote(struct group *g, struct bytes name)
{
	struct protocol_count *c = map_get(g->votes, name);
	if (c == NULL) {
		c = mem_zalloc(1, sizeof *c);
		if (c == NULL || map_put(g->votes, name, c) != ERR_OK) {
			mem_free(c);
			return ERR_NOMEM;
		}
	}
	c->n++;
	return ERR_OK;
}

static enum err count_votes(struct group *g, const struct protocols *p)
{
	for (size_t i = 0; i < p->n; i++) {
		if (count_vote(g, p->items[i].name) == ERR_OK)
			continue;
		uncount_votes(g, p, i);
		return ERR_NOMEM;
	}
	return ERR_OK;
}

static bool need_maps(struct group *g)
{
	struct map **const maps[] = {&g->members, &g->instances, &g->votes};
	for (size_t i = 0; i < sizeof maps / sizeof maps[0]; i++) {
		if (*maps[i] == NULL)
			*maps[i] = map_new();
		if (*maps[i] == NULL)
			return false;
	}
	return true;
}

static void link_member(struct group *g, struct group_member *m)
{
	m->prev = g->last;
	m->next = NULL;
	if (g->last != NULL)
		g->last->next = m;
	else
		g->first = m;
	g->last = m;
	g->members_n++;
	g->bytes += member_bytes(m);
}

enum err group_add(struct group *g, struct group_member *m, struct bytes protocol_type)
{
	if (!need_maps(g) || count_votes(g, m->protocols) != ERR_OK)
		return ERR_NOMEM;
	if (map_put(g->members, m->id, m) != ERR_OK)
		goto err_after_votes;
	if (m->instance_id.p != NULL && map_put(g->instances, m->instance_id, m) != ERR_OK)
		goto err_after_member;
	if (g->members_n == 0 && !member_set_bytes(&g->protocol_type, protocol_type))
		goto err_after_instance;
	link_member(g, m);
	if (g->leader == NULL)
		g->leader = m;
	struct group_pending *p = group_find_pending(g, m->id);
	if (p != NULL)
		group_remove_pending(g, p);
	return ERR_OK;

err_after_instance:
	if (m->instance_id.p != NULL)
		map_take(g->instances, m->instance_id);
err_after_member:
	map_take(g->members, m->id);
err_after_votes:
	uncount_votes(g, m->protocols, m->protocols->n);
	return ERR_NOMEM;
}

static void unlink_member(struct group *g, struct group_member *m)
{
	if (m->prev != NULL)
		m->prev->next = m->next;
	else
		g->first = m->next;
	if (m->next != NULL)
		m->next->prev = m->prev;
	else
		g->last = m->prev;
	g->members_n--;
	g->bytes -= member_bytes(m);
}

void group_remove(struct group *g, struct group_member *m)
{
	group_join_fail(g, m, ERR_KAFKA_UNKNOWN_MEMBER_ID, bytes_str(""));
	group_sync_fail(g, m, ERR_KAFKA_UNKNOWN_MEMBER_ID);
	if (m->pending_sync)
		g->pending_sync_n--;
	map_take(g->members, m->id);
	if (m->instance_id.p != NULL)
		map_take(g->instances, m->instance_id);
	uncount_votes(g, m->protocols, m->protocols->n);
	unlink_member(g, m);
	if (g->leader == m)
		g->leader = g->first;
	member_free(m);
}

enum err group_add_pending(struct group *g, struct bytes id, int64_t deadline)
{
	struct group_pending *p = mem_zalloc(1, sizeof *p);
	if (p == NULL || !member_set_bytes(&p->id, id)) {
		mem_free(p);
		return ERR_NOMEM;
	}
	p->deadline = deadline;
	p->next = g->pending;
	g->pending = p;
	g->pending_n++;
	g->bytes += sizeof *p + id.n;
	return ERR_OK;
}

void group_remove_pending(struct group *g, struct group_pending *p)
{
	struct group_pending **at = &g->pending;
	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	g->pending_n--;
	g->bytes -= sizeof *p + p->id.n;
	member_set_bytes(&p->id, bytes_of(NULL, 0));
	mem_free(p);
}

enum err group_set_protocols(struct group *g, struct group_member *m, struct protocols *p)
{
	if (count_votes(g, p) != ERR_OK)
		return ERR_NOMEM;
	uncount_votes(g, m->protocols, m->protocols->n);
	g->bytes -= member_bytes(m);
	mem_free(m->protocols);
	m->protocols = p;
	g->bytes += member_bytes(m);
	return ERR_OK;
}

enum err group_rename(struct group *g, struct group_member *m, struct bytes id)
{
	struct bytes copy = {NULL, 0};
	if (!member_set_bytes(&copy, id))
		return ERR_NOMEM;
	if (map_put(g->members, copy, m) != ERR_OK) {
		member_set_bytes(&copy, bytes_of(NULL, 0));
		return ERR_NOMEM;
	}
	map_take(g->members, m->id);
	g->bytes -= member_bytes(m);
	member_set_bytes(&m->id, bytes_of(NULL, 0));
	m->id = copy;
	g->bytes += member_bytes(m);
	return ERR_OK;
}

/* ---- protocols ---- */

static bool all_support(const struct group *g, struct bytes name)
{
	const struct protocol_count *c = map_get(g->votes, name);
	return c != NULL && c->n == g->members_n;
}

bool group_supports(const struct group *g, const struct join_group_request *q)
{
	if (g->state == GROUP_EMPTY)
		return q->protocol_type.n > 0 && q->protocols_n > 0;
	if (!bytes_eq(g->protocol_type, q->protocol_type))
		return false;
	for (int32_t i = 0; i < q->protocols_n; i++) {
		/* All members may have left in the middle of a rebalance; then all are content. */
		if (g->members_n > 0 && all_support(g, q->protocols[i].name))
			return true;
	}
	return false;
}

struct bytes group_vote(const struct group *g)
{
	/* The member who came first lists the candidates in its own order: ties go to what it
	 * prefers. (In Kafka ties fall as the hash table has it.) */
	const struct protocols *ballot = g->first->protocols;
	size_t counts[PROTOCOLS_MAX] = {0}, best = 0;
	for (const struct group_member *m = g->first; m != NULL; m = m->next) {
		size_t i = 0;
		while (i < m->protocols->n && !all_support(g, m->protocols->items[i].name))
			i++;
		assert(i < m->protocols->n);
		size_t at = 0;
		while (!bytes_eq(ballot->items[at].name, m->protocols->items[i].name))
			at++;
		counts[at]++;
	}
	for (size_t i = 1; i < ballot->n; i++)
		if (counts[i] > counts[best])
			best = i;
	return ballot->items[best].name;
}

/* ---- time ---- */

int32_t group_rebalance_timeout(const struct group *g)
{
	int32_t longest = 0;
	for (const struct group_member *m = g->first; m != NULL; m = m->next)
		if (m->rebalance_timeout_ms > longest)
			longest = m->rebalance_timeout_ms;
	return longest;
}

void group_touch(struct group *g, struct group_member *m)
{
	group_expect(g, m, m->session_timeout_ms);
}

void group_expect(struct group *g, struct group_member *m, int64_t within_ms)
{
	m->deadline = group_now(g) + within_ms;
	if (m->deadline < g->armed) {
		g->armed = m->deadline;
		g->host->arm(g->arg, g->armed);
	}
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t next_deadline(const struct group *g)
{
	int64_t next = earlier(g->join_deadline, g->sync_deadline);
	for (const struct group_member *m = g->first; m != NULL; m = m->next)
		next = earlier(next, m->deadline);
	for (const struct group_pending *p = g->pending; p != NULL; p = p->next)
		next = earlier(next, p->deadline);
	return next;
}

void group_rearm(struct group *g)
{
	int64_t next = next_deadline(g);
	if (next == g->armed)
		return;
	g->armed = next;
	g->host->arm(g->arg, next);
}

static void expire_member(struct group *g, struct group_member *m)
{
	/* Who waits for a rebalance is alive; only one that never had an answer may be gone for
	 * good (its connection is not read while it waits). */
	if (!m->is_new && (m->awaiting_join || m->awaiting_sync)) {
		m->deadline = GROUP_NEVER;
		return;
	}
	log_event(g->config->log, LOG_INFO, "group_member_expired", LOG_B("group", g->id),
		  LOG_B("member", m->id));
	group_remove(g, m);
	if (g->state == GROUP_STABLE || g->state == GROUP_COMPLETING)
		group_join_proceed(g, "a member's session ended");
	else
		group_join_complete_if_all(g);
}

static bool expire_one(struct group *g, int64_t now)
{
	for (struct group_pending *p = g->pending; p != NULL; p = p->next) {
		if (p->deadline > now)
			continue;
		group_remove_pending(g, p);
		group_join_complete_if_all(g);
		return true;
	}
	for (struct group_member *m = g->first; m != NULL; m = m->next) {
		if (m->deadline > now)
			continue;
		expire_member(g, m);
		return true;
	}
	return false;
}

/* The broker itself stood still (a suspended machine): the heartbeats of that time wait in the
 * sockets. What would be due waits for them, once. */
static bool put_off(struct group *g, int64_t now)
{
	enum { LATE_MS = 1000, GRACE_MS = 3000 };
	bool late = g->armed != GROUP_NEVER && now - g->armed > LATE_MS && !g->put_off;
	g->put_off = late;
	if (!late)
		return false;
	for (struct group_member *m = g->first; m != NULL; m = m->next)
		if (m->deadline <= now)
			m->deadline = now + GRACE_MS;
	for (struct group_pending *p = g->pending; p != NULL; p = p->next)
		if (p->deadline <= now)
			p->deadline = now + GRACE_MS;
	if (g->join_deadline <= now)
		g->join_deadline = now + GRACE_MS;
	if (g->sync_deadline <= now)
		g->sync_deadline = now + GRACE_MS;
	return true;
}

void group_tick(struct group *g)
{
	int64_t now = group_now(g);
	bool late = put_off(g, now);
	g->armed = GROUP_NEVER;
	if (late) {
		group_rearm(g);
		return;
	}
	while (expire_one(g, now))
		;
	if (g->join_deadline <= now)
		group_join_time_is_up(g);
	if (g->sync_deadline <= now)
		group_sync_time_is_up(g);
	group_rearm(g);
}

/* ---- requests that change little ---- */

enum err group_heartbeat(struct group *g, const struct heartbeat_request *q)
{
	enum err e =
		group_validate_generation(g, q->member_id, q->group_instance_id, q->generation_id);
	if (e != ERR_OK)
		return e;
	group_touch(g, group_find(g, q->member_id));
	return g->state == GROUP_PREPARING ? ERR_KAFKA_REBALANCE_IN_PROGRESS : ERR_OK;
}

enum err group_leave(struct group *g, const struct leave_group_request_member_identity *who)
{
	struct group_member *m;
	if (g->state == GROUP_DEAD)
		return ERR_KAFKA_COORDINATOR_NOT_AVAILABLE;
	if (who->member_id.n == 0) {
		/* An administrator removes a static member by its instance id. */
		m = group_find_instance(g, who->group_instance_id);
		if (m == NULL)
			return ERR_KAFKA_UNKNOWN_MEMBER_ID;
	} else {
		struct group_pending *p = group_find_pending(g, who->member_id);
		if (p != NULL) {
			group_remove_pending(g, p);
			return ERR_OK;
		}
		enum err e = group_validate(g, who->member_id, who->group_instance_id);
		if (e != ERR_OK)
			return e;
		m = group_find(g, who->member_id);
	}
	log_event(g->config->log, LOG_INFO, "group_member_left", LOG_B("group", g->id),
		  LOG_B("member", m->id), LOG_B("reason", who->reason));
	group_remove(g, m);
	return ERR_OK;
}

void group_left(struct group *g)
{
	switch (g->state) {
	case GROUP_STABLE:
	case GROUP_COMPLETING:
	case GROUP_PREPARING:
		group_join_proceed(g, "members left");
		break;
	case GROUP_EMPTY:
	case GROUP_DEAD:
		break;
	}
	group_rearm(g);
}

enum err group_commit(struct group *g, const struct offset_commit_request *q)
{
	if (g->state == GROUP_DEAD)
		return ERR_KAFKA_COORDINATOR_NOT_AVAILABLE;
	/* An administrator, or a consumer that is assigned by hand. */
	if (q->generation_id_or_member_epoch < 0 && g->state == GROUP_EMPTY)
		return ERR_OK;
	if (q->generation_id_or_member_epoch < 0 && q->member_id.n == 0 &&
	    q->group_instance_id.p == NULL)
		return ERR_KAFKA_UNKNOWN_MEMBER_ID;
	enum err e = group_validate_generation(g, q->member_id, q->group_instance_id,
					       q->generation_id_or_member_epoch);
	if (e != ERR_OK)
		return e;
	/* It knows of the new generation, but not yet of its assignment. */
	if (g->state == GROUP_COMPLETING)
		return ERR_KAFKA_REBALANCE_IN_PROGRESS;
	group_touch(g, group_find(g, q->member_id));
	return ERR_OK;
}

/* ---- questions ---- */

struct bytes group_id(const struct group *g)
{
	return g->id;
}

enum group_state group_state(const struct group *g)
{
	return g->state;
}

int32_t group_generation(const struct group *g)
{
	return g->generation;
}

size_t group_members(const struct group *g)
{
	return g->members_n;
}

size_t group_pending(const struct group *g)
{
	return g->pending_n;
}

struct bytes group_protocol_type(const struct group *g)
{
	return g->protocol_type;
}

int64_t group_state_since(const struct group *g)
{
	return g->since_ms;
}

size_t group_bytes(const struct group *g)
{
	return sizeof *g + g->bytes + 2 * g->id.n;
}

bool group_is_consumer(const struct group *g)
{
	return bytes_eq_str(g->protocol_type, "consumer");
}
