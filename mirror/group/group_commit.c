/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes at the target: commits as a consumer that is no member (member "", generation -1), which a
 * coordinator takes only while the group has no members, and deletions. A commit is refused with
 * UNKNOWN_MEMBER_ID if somebody joined since the group was looked at: then it is theirs.
 */
#include <assert.h>

#include "lib/base/mem.h"
#include "mirror/group/group_impl.h"

enum {
	COMMITS_OUT = 32,
	LANES = CLIENT_CHANNELS_MAX - CLIENT_CHANNEL_GROUPS,
	LANES_FROM = 64, /* groups to write: for fewer one connection does */
	DELETES_OUT = 8,
	NAMES_UP_TO = 9, /* later versions of OffsetCommit name topics by id */
	REQUEST_MAX = 64 << 20,
	REFUSED_MS = 60 * 1000, /* before what was refused is tried again */
	GROUP_TEXT_MAX = 160
};

static void next(struct groups *g);

/* ---- commit ---- */

struct commit {
	struct groups *g;
	struct group *group;
	struct arena arena;
	struct offset_commit_request msg;
	int64_t *sent; /* for each of the group's positions; -1: not in the request */
};

static void commit_free(struct commit *c)
{
	arena_fini(&c->arena);
	mem_free(c);
}

/* What is planned, as request. The positions of a topic lie together. ERR_NOT_FOUND: nothing. */
static enum err commit_fill(struct commit *c)
{
	struct group *group = c->group;
	struct offset_commit_request *m = &c->msg;
	size_t n = (size_t)group->positions_n;
	wire_init(&wire_offset_commit_request, m);
	m->group_id = bytes_str(group->name);
	m->topics = wire_array_new(
		&c->arena, &wire_offset_commit_request_offset_commit_request_topic, (int32_t)n);
	struct offset_commit_request_offset_commit_request_partition *parts = wire_array_new(
		&c->arena, &wire_offset_commit_request_offset_commit_request_partition, (int32_t)n);
	c->sent = arena_zalloc(&c->arena, n, sizeof *c->sent);
	if (m->topics == NULL || parts == NULL || c->sent == NULL)
		return ERR_NOMEM;
	const struct group_topic *last = NULL;
	size_t used = 0;
	for (size_t i = 0; i < n; i++) {
		struct group_position *p = &group->positions[i];
		struct group_translation t;
		group_translate(c->g, p->topic, p->partition, p->source, &t);
		struct group_plan plan = group_plan(p, &t, c->g->config->follow_rewinds, false);
		/* What the target has there was not told: nothing is written over it. */
		bool commit = plan.commit && p->target != GROUP_UNSEEN;
		c->sent[i] = commit ? t.offset : -1;
		if (!commit)
			continue;
		if (p->topic != last) {
			m->topics[m->topics_n].name = bytes_str(p->topic->target);
			m->topics[m->topics_n++].partitions = &parts[used];
		}
		last = p->topic;
		m->topics[m->topics_n - 1].partitions_n++;
		parts[used].partition_index = p->partition;
		parts[used].committed_offset = t.offset;
		/* The source's leader epoch means nothing here. */
		parts[used].committed_leader_epoch = -1;
		parts[used++].committed_metadata =
			bytes_str(p->metadata == NULL ? "" : p->metadata);
	}
	return used == 0 ? ERR_NOT_FOUND : ERR_OK;
}

/* Somebody else's answer than "done". */
static void refused(struct groups *g, struct group *group, struct group_position *p, enum err e)
{
	char text[GROUP_TEXT_MAX];
	group->open = true;
	switch (e) {
	case ERR_KAFKA_UNKNOWN_MEMBER_ID:
	case ERR_KAFKA_ILLEGAL_GENERATION:
	case ERR_KAFKA_REBALANCE_IN_PROGRESS:
	case ERR_KAFKA_STALE_MEMBER_EPOCH:
		group->target_state = GROUP_TARGET_ACTIVE;
		p->skip = GROUP_SKIP_TARGET_ACTIVE;
		return;
	case ERR_KAFKA_NOT_COORDINATOR:
	case ERR_KAFKA_COORDINATOR_NOT_AVAILABLE:
		group->target_node = -1;
		return;
	case ERR_KAFKA_COORDINATOR_LOAD_IN_PROGRESS:
		return;
	default:
		break;
	}
	p->skip = GROUP_SKIP_REFUSED;
	g->refused++;
	group->hold_ms = loop_now_ms(g->link->loop) + REFUSED_MS;
	snprintf(text, sizeof text, "committing %.60s-%d at the target: %.60s", p->topic->target,
		 p->partition, err_text(e));
	if (group->problem == NULL || strcmp(group->problem, text) != 0)
		log_event(loop_log(g->link->loop), LOG_WARN, "group_commit_refused",
			  LOG_S("link", g->config->name), LOG_S("group", group->name),
			  LOG_S("topic", p->topic->target), LOG_I("partition", p->partition),
			  LOG_S("error", err_name(e)), LOG_S("reason", err_text(e)));
	group_set_problem(group, GROUP_AT_COMMIT, text);
}

/* True: nothing was refused. */
static bool take_answer(struct commit *c, const struct offset_commit_response *r)
{
	struct group *group = c->group;
	uint64_t before = c->g->refused;
	for (int32_t i = 0; i < r->topics_n; i++) {
		for (int32_t k = 0; k < r->topics[i].partitions_n; k++) {
			struct group_position *p =
				group_table_target(c->g, group, r->topics[i].name,
						   r->topics[i].partitions[k].partition_index);
			if (p == NULL || c->sent[p - group->positions] < 0)
				continue;
			int64_t sent = c->sent[p - group->positions];
			c->sent[p - group->positions] = -1;
			enum err e = err_from_kafka(r->topics[i].partitions[k].error_code);
			if (e != ERR_OK) {
				refused(c->g, group, p, e);
				continue;
			}
			if (group->target_state == GROUP_TARGET_ABSENT)
				group->target_state = GROUP_TARGET_EMPTY;
			p->target = p->placed = sent;
			p->metadata_differs = false;
			p->skip = GROUP_SKIP_NONE;
			c->g->committed++;
		}
	}
	return c->g->refused == before;
}

static void on_committed(void *arg, enum err e, const struct errmsg *why,
			 const struct rpc_reply *reply)
{
	struct commit *c = arg;
	struct groups *g = c->g;
	struct group *group = c->group;
	if (e == ERR_OK) {
		if (take_answer(c, reply->msg))
			group_clear_problem(group, GROUP_AT_COMMIT);
		for (int32_t i = 0; i < group->positions_n && e == ERR_OK; i++)
			e = c->sent[i] >= 0 ? ERR_MALFORMED : ERR_OK;
	}
	if (e != ERR_OK) {
		/* It may have been carried out: look again. */
		group->open = true;
		group->verify_ms = 0;
		group->target_node = -1;
		group_sync_problem(g, e, "committing offsets at the target",
				   why == NULL ? err_text(e) : why->text);
	} else {
		log_event(loop_log(g->link->loop), LOG_DEBUG, "group_committed",
			  LOG_S("link", g->config->name), LOG_S("group", group->name));
	}
	commit_free(c);
	g->due_out--;
	next(g);
}

/* A broker takes the requests of a connection one by one, and a commit waits in the coordinator for
 * others to share its write (group.coordinator.append.linger.ms): many groups go over several
 * connections. */
static uint8_t lane(const struct groups *g)
{
	return (uint8_t)(CLIENT_CHANNEL_GROUPS + (g->due_n < LANES_FROM ? 0 : g->due_at % LANES));
}

/* False: nothing was sent. */
static bool commit_send(struct groups *g, struct group *group)
{
	if (group->gone > 0 || !group->fresh || group->target_node < 0 || group->positions_n == 0 ||
	    !group_sync_judge(g, group))
		return false;
	struct commit *c = mem_zalloc(1, sizeof *c);
	if (c == NULL) {
		group_sync_problem(g, ERR_NOMEM, "committing offsets", err_text(ERR_NOMEM));
		return false;
	}
	c->g = g;
	c->group = group;
	arena_init(&c->arena, REQUEST_MAX);
	enum err e = commit_fill(c);
	if (e != ERR_OK) {
		if (e != ERR_NOT_FOUND)
			group_sync_problem(g, e, "committing offsets", err_text(e));
		commit_free(c);
		return false;
	}
	const struct client_call call = {
		.node = group->target_node,
		.channel = lane(g),
		.api_key = WIRE_API_OFFSET_COMMIT,
		.max_version = NAMES_UP_TO,
		.msg = &c->msg,
		.done = on_committed,
		.arg = c,
	};
	client_call(g->link->target_client, &call);
	return true;
}

void group_commit_start(struct groups *g)
{
	g->phase = GROUPS_COMMITTING;
	g->due_at = g->due_out = 0;
	next(g);
}

/* ---- delete ---- */

struct deletion {
	struct groups *g;
	struct group *group;
	struct bytes name;
	struct delete_groups_request msg;
};

static void on_deleted(void *arg, enum err e, const struct errmsg *why,
		       const struct rpc_reply *reply)
{
	struct deletion *d = arg;
	struct groups *g = d->g;
	if (e == ERR_OK) {
		const struct delete_groups_response *r = reply->msg;
		e = r->results_n == 1 ? err_from_kafka(r->results[0].error_code) : ERR_MALFORMED;
		why = NULL;
	}
	if (e == ERR_OK || e == ERR_KAFKA_GROUP_ID_NOT_FOUND) {
		g->deleted++;
		d->group->target_state = GROUP_TARGET_ABSENT;
		log_event(loop_log(g->link->loop), LOG_INFO, "group_deleted",
			  LOG_S("link", g->config->name), LOG_S("group", d->group->name),
			  LOG_S("reason", "it was deleted at the source, and group_deletion is "
					  "delete"));
	} else {
		d->group->target_node = -1;
		log_event(loop_log(g->link->loop), LOG_WARN, "group_not_deleted",
			  LOG_S("link", g->config->name), LOG_S("group", d->group->name),
			  LOG_S("error", err_name(e)),
			  LOG_S("reason", why == NULL ? err_text(e) : why->text));
	}
	mem_free(d);
	g->due_out--;
	next(g);
}

static bool delete_send(struct groups *g, struct group *group)
{
	if (group->gone == 0 || !group->fresh || !group->ours ||
	    group->target_state != GROUP_TARGET_EMPTY || group->target_node < 0)
		return false;
	struct deletion *d = mem_zalloc(1, sizeof *d);
	if (d == NULL)
		return false;
	d->g = g;
	d->group = group;
	d->name = bytes_str(group->name);
	wire_init(&wire_delete_groups_request, &d->msg);
	d->msg.groups_names = &d->name;
	d->msg.groups_names_n = 1;
	const struct client_call call = {
		.node = group->target_node,
		.channel = CLIENT_CHANNEL_GROUPS,
		.api_key = WIRE_API_DELETE_GROUPS,
		.msg = &d->msg,
		.done = on_deleted,
		.arg = d,
	};
	client_call(g->link->target_client, &call);
	return true;
}

void group_delete_start(struct groups *g)
{
	g->phase = GROUPS_DELETING;
	g->due_at = g->due_out = 0;
	next(g);
}

/* ---- both ---- */

static void next(struct groups *g)
{
	bool commits = g->phase == GROUPS_COMMITTING;
	while (!g->stopping && g->due_at < g->due_n &&
	       g->due_out < (commits ? COMMITS_OUT : DELETES_OUT)) {
		struct group *group = g->due[g->due_at++];
		g->due_out += commits ? commit_send(g, group) : delete_send(g, group);
	}
	if (g->due_out == 0)
		group_sync_written(g);
}
