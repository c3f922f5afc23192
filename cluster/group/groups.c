/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The coordinator's life and its members' requests; offsets are in groups_offsets.c, the replay in
 * groups_load.c, expiry in groups_expire.c.
 *
 * It is the host of the groups: their time is a timer of the loop each, their records go to the
 * partition that their id hashes to, their answers are given at the end of the loop turn, so that
 * no handler is called from inside a group.
 */
#include "cluster/group/groups.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "cluster/group/groups_priv.h"
#include "lib/base/mem.h"

enum {
	GROUPS_MAX = 100000,
	MEMBER_BYTES_MAX = 1 << 20,
	BYTES_MAX = 256 << 20,
	MEMBERS_MAX = 10000,
	NEW_MEMBER_JOIN_TIMEOUT = 5 * 60 * 1000, /* GroupCoordinatorConfig */
	SEGMENT_BYTES = 100 << 20                /* offsets.topic.segment.bytes */
};

/* ---- the host of the groups ---- */

static int64_t host_mono(void *arg)
{
	const struct entry *e = arg;
	return loop_now_ms(e->groups->loop);
}

static int64_t host_wall(void *arg)
{
	const struct entry *e = arg;
	return clock_wall_ms(loop_clock(e->groups->loop));
}

/* Version 4, as java.util.UUID.randomUUID prints it. */
static void host_uuid(void *arg, char out[GROUP_UUID])
{
	const struct entry *e = arg;
	const struct clock *c = loop_clock(e->groups->loop);
	uint64_t hi = (c->random(c->ctx) & ~UINT64_C(0xf000)) | 0x4000;
	uint64_t lo = (c->random(c->ctx) >> 2) | UINT64_C(1) << 63;
	snprintf(out, GROUP_UUID,
		 "%08" PRIx64 "-%04" PRIx64 "-%04" PRIx64 "-%04" PRIx64 "-%012" PRIx64, hi >> 32,
		 hi >> 16 & 0xffff, hi & 0xffff, lo >> 48, lo & UINT64_C(0xffffffffffff));
}

static void host_arm(void *arg, int64_t deadline)
{
	struct entry *e = arg;
	if (deadline == GROUP_NEVER) {
		if (e->timer != NULL)
			loop_timer_stop(e->timer);
		return;
	}
	assert(e->timer != NULL); /* need_timer, before anything that takes time */
	loop_timer_set(e->timer, deadline - loop_now_ms(e->groups->loop));
}

static void host_store(void *arg, struct bytes key, struct bytes value, struct group_write *w)
{
	struct entry *e = arg;
	struct shard *s = e->groups->parts[e->shard].shard;
	w->pending = &e->pending;
	e->pending++;
	if (shard_begin(s, key.n + value.n + SHARD_RECORD_OVERHEAD) == ERR_OK)
		shard_add(s, key, value);
	else
		shard_refuse(s);
	shard_end(s, w);
}

static void host_answer(void *arg, struct group_waiter *w)
{
	struct entry *e = arg;
	struct groups *g = e->groups;
	w->next = g->answers;
	w->back = &g->answers;
	if (w->next != NULL)
		w->next->back = &w->next;
	g->answers = w;
	if (!g->turn.pending)
		loop_defer(g->loop, &g->turn);
}

static const struct group_host host = {
	.mono_ms = host_mono,
	.wall_ms = host_wall,
	.uuid = host_uuid,
	.arm = host_arm,
	.store = host_store,
	.answer = host_answer,
};

static void give_answers(void *arg)
{
	struct groups *g = arg;
	while (g->answers != NULL) {
		struct group_waiter *w = g->answers;
		group_waiter_cancel(w); /* out of the queue */
		w->answered(w);
	}
}

static void on_timer(void *arg)
{
	struct entry *e = arg;
	group_tick(e->group);
	table_count(e->groups->table, e);
}

enum err groups_need_timer(struct entry *e)
{
	if (e->timer == NULL)
		e->timer = loop_timer_new(e->groups->loop, on_timer, e);
	return e->timer == NULL ? ERR_NOMEM : ERR_OK;
}

static void forget(struct entry *e)
{
	loop_timer_free(e->timer);
	e->timer = NULL;
}

/* ---- life ---- */

static size_t or_default(size_t set, size_t value)
{
	return set == 0 ? value : set;
}

static void created(void *arg);

enum err groups_new(const struct groups_options *o, struct groups **out, struct errmsg *why)
{
	struct groups *g = mem_zalloc(1, sizeof *g);
	if (g == NULL)
		return errmsg_set(why, ERR_NOMEM, "out of memory");
	g->o = *o;
	g->loop = o->loop;
	g->log = loop_log(o->loop);
	g->turn = (struct loop_deferred){.fn = give_answers, .arg = g};
	g->created = (struct loop_deferred){.fn = created, .arg = g};
	g->config = (struct group_config){
		.initial_rebalance_delay_ms = o->initial_rebalance_delay_ms,
		.new_member_join_timeout_ms = NEW_MEMBER_JOIN_TIMEOUT,
		.max_size = o->max_size > MEMBERS_MAX ? MEMBERS_MAX : o->max_size,
		.member_bytes_max = or_default(o->member_bytes_max, MEMBER_BYTES_MAX),
		.log = g->log,
	};
	enum err e = groups_expire_begin(g);
	if (e == ERR_OK)
		e = groups_open(g);
	if (e != ERR_OK) {
		groups_free(g);
		return errmsg_set(why, e, "out of memory");
	}
	*out = g;
	return ERR_OK;
}

/* Let go of all partitions; who waits is forgotten. */
static void close_parts(struct groups *g)
{
	groups_load_free(g->load);
	g->load = NULL;
	while (g->changes != NULL)
		change_free(g->changes);
	assert(g->parts != NULL || g->parts_n == 0);
	for (int32_t i = 0; i < g->parts_n; i++)
		shard_free(g->parts[i].shard);
	mem_free(g->parts);
	g->parts = NULL;
	g->parts_n = 0;
	table_free(g->table);
	g->table = NULL;
}

void groups_free(struct groups *g)
{
	if (g == NULL)
		return;
	while (g->answers != NULL)
		group_waiter_cancel(g->answers);
	while (g->creators != NULL)
		groups_wait_cancel(g->creators);
	loop_undefer(g->loop, &g->turn);
	loop_undefer(g->loop, &g->created);
	loop_timer_free(g->expiry);
	close_parts(g);
	mem_free(g);
}

static struct table *make_table(struct groups *g, int32_t shards)
{
	return table_new(&(struct table_options){
		.config = &g->config,
		.host = &host,
		.groups = g,
		.forget = forget,
		.shards = shards,
		.groups_max = or_default(g->o.groups_max, GROUPS_MAX),
		.bytes_max = or_default(g->o.bytes_max, BYTES_MAX),
	});
}

enum err groups_open(struct groups *g)
{
	const struct topic *t = metadata_topic(g->o.metadata, bytes_str(SHARD_TOPIC));
	if (t == NULL || g->parts != NULL)
		return ERR_OK;
	g->table = make_table(g, t->partitions_n);
	g->parts = mem_zalloc((size_t)t->partitions_n, sizeof *g->parts);
	if (g->table == NULL || g->parts == NULL)
		goto err;
	/* It stays so until a restart, even if partitions are added. */
	g->parts_n = t->partitions_n;
	for (int32_t i = 0; i < g->parts_n; i++) {
		g->parts[i].shard = shard_new(g->loop, g->o.metadata, i);
		if (g->parts[i].shard == NULL)
			goto err;
	}
	if (groups_load_begin(g) == ERR_OK)
		return ERR_OK;
err:
	close_parts(g);
	return ERR_NOMEM;
}

bool groups_ready(const struct groups *g)
{
	for (int32_t i = 0; i < g->parts_n; i++)
		if (g->parts[i].state == PART_LOADING)
			return false;
	return true;
}

void groups_topic_deleted(struct groups *g, const struct topic *t)
{
	/* Never __consumer_offsets itself: the metadata do not let internal topics go. */
	if (g->table != NULL)
		groups_expire_topic(g, bytes_str(t->name));
}

void groups_count(const struct groups *g, struct groups_count *out)
{
	size_t at = 0;
	const struct entry *e;
	*out = (struct groups_count){.commits = g->commits, .expired = g->expired};
	if (g->table == NULL)
		return;
	out->groups = table_groups(g->table);
	out->members = table_members(g->table);
	out->offsets = table_offsets(g->table);
	out->bytes = table_bytes(g->table);
	while ((e = table_next(g->table, &at)) != NULL)
		out->by_state[group_state(e->group)]++;
}

/* ---- the topic ---- */

void groups_wait_cancel(struct groups_wait *w)
{
	if (w->slot == NULL)
		return;
	*w->slot = w->next;
	if (w->next != NULL)
		w->next->slot = w->slot;
	w->slot = NULL;
	w->next = NULL;
}

static void created(void *arg)
{
	struct groups *g = arg;
	enum err e = g->creation_error;
	g->creating = false;
	/* Made before, or by somebody else in the meantime. */
	if (e == ERR_KAFKA_TOPIC_ALREADY_EXISTS)
		e = ERR_OK;
	if (e == ERR_OK)
		e = groups_open(g);
	if (e == ERR_OK && g->parts == NULL)
		e = ERR_KAFKA_COORDINATOR_NOT_AVAILABLE;
	while (g->creators != NULL) {
		struct groups_wait *w = g->creators;
		groups_wait_cancel(w);
		w->done(w, e == ERR_OK ? ERR_OK : ERR_KAFKA_COORDINATOR_NOT_AVAILABLE);
	}
}

static void on_created(struct metadata_change *c, enum err e)
{
	struct groups *g = (struct groups *)(void *)((char *)c - offsetof(struct groups, creation));
	g->creation_error = e;
	created(g);
}

static void create(struct groups *g)
{
	char segment[16];
	struct errmsg why = {{0}};
	snprintf(segment, sizeof segment, "%d", SEGMENT_BYTES);
	/* GroupCoordinatorService.groupMetadataTopicConfigs */
	const struct metadata_config_value configs[] = {
		{bytes_str("cleanup.policy"), bytes_str("compact")},
		{bytes_str("compression.type"), bytes_str("producer")},
		{bytes_str("segment.bytes"), bytes_str(segment)},
	};
	struct metadata_new_topic topic = {.name = bytes_str(SHARD_TOPIC),
					   .partitions = g->o.offsets_partitions,
					   .replication_factor = 1,
					   .configs = configs,
					   .configs_n = sizeof configs / sizeof configs[0]};
	g->creating = true;
	g->creation = (struct metadata_change){.done = on_created};
	enum err e = metadata_create_topic(g->o.metadata, &topic, &g->creation, &why);
	if (e == ERR_OK)
		return;
	if (e != ERR_KAFKA_TOPIC_ALREADY_EXISTS)
		log_event(g->log, LOG_ERROR, "groups_topic_not_made", LOG_S("topic", SHARD_TOPIC),
			  LOG_S("error", err_text(e)), LOG_S("why", why.text));
	g->creation_error = e;
	loop_defer(g->loop, &g->created);
}

void groups_create(struct groups *g, struct groups_wait *w)
{
	w->next = g->creators;
	w->slot = &g->creators;
	if (w->next != NULL)
		w->next->slot = &w->next;
	g->creators = w;
	if (g->creating)
		return;
	if (g->parts == NULL) {
		create(g);
		return;
	}
	g->creating = true;
	g->creation_error = ERR_OK;
	loop_defer(g->loop, &g->created);
}

struct groups_part *groups_part(const struct groups *g, struct bytes group_id)
{
	return g->parts_n == 0 ? NULL : &g->parts[table_shard(group_id, g->parts_n)];
}

enum err groups_check(const struct groups *g, struct bytes group_id)
{
	const struct groups_part *p = groups_part(g, group_id);
	if (p == NULL)
		return ERR_KAFKA_NOT_COORDINATOR;
	switch (p->state) {
	case PART_LOADING:
		return ERR_KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
	case PART_READY:
		return ERR_OK;
	case PART_FAILED:
		return ERR_KAFKA_COORDINATOR_NOT_AVAILABLE;
	}
	return ERR_KAFKA_NOT_COORDINATOR;
}

/* ---- members ---- */

/* A request that names a group: the entry, which may not be there (NULL). */
static enum err find(const struct groups *g, struct bytes group_id, struct entry **out)
{
	*out = NULL;
	if (group_id.n == 0)
		return ERR_KAFKA_INVALID_GROUP_ID;
	enum err e = groups_check(g, group_id);
	if (e != ERR_OK)
		return e;
	*out = table_find(g->table, group_id);
	return *out != NULL && (*out)->deleting ? ERR_KAFKA_COORDINATOR_NOT_AVAILABLE : ERR_OK;
}

static enum err make_entry(struct groups *g, struct bytes group_id, struct entry **out)
{
	enum err e = table_add(g->table, group_id, out);
	if (e == ERR_OK)
		return ERR_OK;
	log_event(g->log, LOG_WARN, "group_refused", LOG_B("group", group_id),
		  LOG_S("why", err_text(e)), LOG_I("groups", table_groups(g->table)),
		  LOG_I("bytes", table_bytes(g->table)));
	return ERR_KAFKA_COORDINATOR_NOT_AVAILABLE;
}

enum err groups_join(struct groups *g, struct group_join *j)
{
	const struct join_group_request *q = j->request;
	struct entry *entry;
	enum err e = find(g, q->group_id, &entry);
	if (e == ERR_KAFKA_INVALID_GROUP_ID)
		return e;
	if (q->session_timeout_ms < g->o.min_session_timeout_ms ||
	    q->session_timeout_ms > g->o.max_session_timeout_ms)
		return ERR_KAFKA_INVALID_SESSION_TIMEOUT;
	if (e != ERR_OK)
		return e;
	bool fresh = entry == NULL;
	if (fresh && q->member_id.n > 0)
		return ERR_KAFKA_UNKNOWN_MEMBER_ID;
	if (table_room(g->table) != ERR_OK)
		return ERR_KAFKA_COORDINATOR_NOT_AVAILABLE;
	if (fresh && (e = make_entry(g, q->group_id, &entry)) != ERR_OK)
		return e;
	if (groups_need_timer(entry) != ERR_OK) {
		table_remove_unused(g->table, entry);
		return ERR_KAFKA_COORDINATOR_NOT_AVAILABLE;
	}
	group_join(entry->group, j);
	if (fresh && (group_members(entry->group) > 0 || group_pending(entry->group) > 0))
		group_store_new(entry->group);
	table_count(g->table, entry);
	if (fresh)
		table_remove_unused(g->table, entry);
	return ERR_OK;
}

enum err groups_sync(struct groups *g, struct group_sync *s)
{
	struct entry *entry;
	enum err e = find(g, s->request->group_id, &entry);
	if (e != ERR_OK)
		return e;
	if (entry == NULL || group_state(entry->group) == GROUP_EMPTY)
		return ERR_KAFKA_UNKNOWN_MEMBER_ID;
	group_sync(entry->group, s);
	table_count(g->table, entry);
	return ERR_OK;
}

enum err groups_heartbeat(struct groups *g, const struct heartbeat_request *q)
{
	struct entry *entry;
	enum err e = find(g, q->group_id, &entry);
	/* A member that is alive need not know that it is not known yet. */
	if (e == ERR_KAFKA_COORDINATOR_LOAD_IN_PROGRESS)
		return ERR_OK;
	if (e != ERR_OK)
		return e;
	return entry == NULL ? ERR_KAFKA_UNKNOWN_MEMBER_ID : group_heartbeat(entry->group, q);
}

enum err groups_leave(struct groups *g, const struct leave_group_request *q, enum err *errors)
{
	struct entry *entry;
	bool left = false;
	enum err e = find(g, q->group_id, &entry);
	if (e != ERR_OK)
		return e;
	for (int32_t i = 0; i < q->members_n; i++) {
		errors[i] = entry == NULL ? ERR_KAFKA_UNKNOWN_MEMBER_ID
					  : group_leave(entry->group, &q->members[i]);
		left = left || errors[i] == ERR_OK;
	}
	if (left)
		group_left(entry->group);
	if (entry != NULL)
		table_count(g->table, entry);
	return ERR_OK;
}

const struct group *groups_find(const struct groups *g, struct bytes group_id)
{
	const struct entry *e = g->table == NULL ? NULL : table_find(g->table, group_id);
	return e == NULL ? NULL : e->group;
}

const struct group *groups_next(const struct groups *g, size_t *at)
{
	const struct entry *e = g->table == NULL ? NULL : table_next(g->table, at);
	return e == NULL ? NULL : e->group;
}
