/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The group as a record (GroupMetadataValue), written and read, and as DescribeGroups shows it.
 *
 * A stored record has everything that a restart needs to go on without a rebalance: members with
 * their timeouts, the chosen protocol, its metadata and the assignments.
 */
#include <assert.h>

#include "cluster/group/group_priv.h"
#include "cluster/group/group_record.h"
#include "cluster/group/subscription.h"
#include "lib/base/mem.h"

enum {
	RECORD_MAX = 64 << 20, /* bytes of an encoded group; the host's limit is lower */
	ARENA_MAX = 64 << 20
};

/* ---- writing ---- */

static void stored(struct group_write *w, enum err e)
{
	struct group_store *s = (struct group_store *)w;
	struct group *g = s->group;
	if (e != ERR_OK)
		log_event(g->config->log, LOG_WARN, "group_not_stored", LOG_B("group", g->id),
			  LOG_I("generation", s->generation), LOG_S("error", err_text(e)));
	switch (s->kind) {
	case STORE_ASSIGNMENT:
		group_sync_stored(g, s, e);
		break;
	case STORE_STATIC:
		group_join_static_stored(g, s, e);
		break;
	case STORE_EMPTY:
	case STORE_NEW:
		break;
	}
	group_state_store_free(s);
	group_rearm(g);
}

struct group_store *group_state_store_new(struct group *g, enum group_store_kind kind)
{
	struct group_store *s = mem_zalloc(1, sizeof *s);
	if (s == NULL)
		return NULL;
	s->write.done = stored;
	s->group = g;
	s->kind = kind;
	s->generation = g->generation;
	s->next = g->stores;
	s->back = &g->stores;
	if (s->next != NULL)
		s->next->back = &s->next;
	g->stores = s;
	return s;
}

void group_state_store_free(struct group_store *s)
{
	if (s == NULL)
		return;
	*s->back = s->next;
	if (s->next != NULL)
		s->next->back = s->back;
	member_set_bytes(&s->old_id, bytes_of(NULL, 0));
	member_set_bytes(&s->new_id, bytes_of(NULL, 0));
	mem_free(s->old_protocols);
	mem_free(s);
}

static enum err fill_members(const struct group *g, bool next, struct arena *a,
			     struct group_metadata_value *v)
{
	v->members = wire_array_new(a, &wire_group_metadata_value_member_metadata,
				    (int32_t)g->members_n);
	if (v->members == NULL)
		return ERR_NOMEM;
	for (const struct group_member *m = g->first; m != NULL; m = m->next) {
		struct group_metadata_value_member_metadata *out = &v->members[v->members_n++];
		struct bytes assignment = next ? m->next_assignment : m->assignment;
		struct bytes subscription = protocols_metadata(m->protocols, g->protocol);
		out->member_id = m->id;
		out->group_instance_id = m->instance_id;
		out->client_id = m->client_id;
		out->client_host = m->client_host;
		out->rebalance_timeout = m->rebalance_timeout_ms;
		out->session_timeout = m->session_timeout_ms;
		out->subscription = subscription.p ? subscription : bytes_str("");
		out->assignment = assignment.p ? assignment : bytes_str("");
	}
	return ERR_OK;
}

static enum err encode(const struct group *g, const struct group_store *s, struct buf *key,
		       struct buf *value)
{
	struct arena a;
	struct group_metadata_value v;
	arena_init(&a, ARENA_MAX);
	wire_init(&wire_group_metadata_value, &v);
	enum err e = ERR_OK;
	v.protocol = v.leader = bytes_of(NULL, 0);
	v.current_state_timestamp = g->since_ms;
	/* A new group is stored as if nobody had come yet: there is no generation. */
	if (s->kind != STORE_NEW) {
		v.generation = g->generation;
		v.protocol_type = g->protocol_type.p ? g->protocol_type : bytes_str("");
		v.protocol = g->protocol;
		if (g->leader != NULL)
			v.leader = g->leader->id;
	}
	if (s->kind != STORE_NEW && g->members_n > 0)
		e = fill_members(g, s->kind == STORE_ASSIGNMENT, &a, &v);
	if (e == ERR_OK)
		e = group_record_put_group_key(g->id, key);
	if (e == ERR_OK)
		e = group_record_put_group(&v, value);
	arena_fini(&a);
	return e;
}

enum err group_state_store(struct group *g, struct group_store *s)
{
	struct buf key, value;
	buf_init(&key, RECORD_MAX);
	buf_init(&value, RECORD_MAX);
	enum err e = encode(g, s, &key, &value);
	if (e == ERR_OK)
		g->host->store(g->arg, buf_bytes(&key), buf_bytes(&value), &s->write);
	else
		group_state_store_free(s);
	buf_fini(&key);
	buf_fini(&value);
	return e;
}

static void store_alone(struct group *g, enum group_store_kind kind)
{
	struct group_store *s = group_state_store_new(g, kind);
	/* A restart would bring back the generation before, whose members are gone: they expire. */
	if (s == NULL || group_state_store(g, s) != ERR_OK)
		log_event(g->config->log, LOG_WARN, "group_not_stored", LOG_B("group", g->id),
			  LOG_I("generation", g->generation), LOG_S("error", "out of memory"));
}

void group_state_store_empty(struct group *g)
{
	store_alone(g, STORE_EMPTY);
}

void group_store_new(struct group *g)
{
	store_alone(g, STORE_NEW);
}

/* ---- reading ---- */

static enum err load_member(struct group *g, const struct group_metadata_value *v, int32_t i,
			    struct errmsg *why)
{
	const struct group_metadata_value_member_metadata *from = &v->members[i];
	struct join_group_request_join_group_request_protocol protocol = {
		.name = v->protocol, .metadata = from->subscription};
	if (from->member_id.n == 0 || group_find(g, from->member_id) != NULL ||
	    group_find_instance(g, from->group_instance_id) != NULL)
		return errmsg_set(why, ERR_MALFORMED, "two members with one id, or one with none");
	struct protocols *p = protocols_new(&protocol, 1);
	if (p == NULL)
		return ERR_NOMEM;
	int32_t session = from->session_timeout < 0 ? 0 : from->session_timeout;
	struct group_member *m = member_new(
		&(struct member_options){.id = from->member_id,
					 .instance_id = from->group_instance_id,
					 .client_id = from->client_id,
					 .client_host = from->client_host,
					 .session_timeout_ms = session,
					 .rebalance_timeout_ms = from->rebalance_timeout < 0
									 ? session
									 : from->rebalance_timeout},
		p);
	if (m == NULL) {
		mem_free(p);
		return ERR_NOMEM;
	}
	if (!member_set_bytes(&m->assignment, from->assignment) ||
	    group_add(g, m, v->protocol_type) != ERR_OK) {
		member_free(m);
		return ERR_NOMEM;
	}
	return ERR_OK;
}

static enum err load(struct group *g, const struct group_metadata_value *v, struct errmsg *why)
{
	if (v->members_n > 0 && (v->protocol.p == NULL || v->protocol_type.n == 0))
		return errmsg_set(why, ERR_MALFORMED, "members without a protocol");
	if (v->generation < 0)
		return errmsg_set(why, ERR_MALFORMED, "generation %d", v->generation);
	struct bytes type = v->protocol_type.n == 0 ? bytes_of(NULL, 0) : v->protocol_type;
	if (!member_set_bytes(&g->protocol_type, type) ||
	    !member_set_bytes(&g->protocol, v->protocol))
		return ERR_NOMEM;
	for (int32_t i = 0; i < v->members_n; i++) {
		enum err e = load_member(g, v, i, why);
		if (e != ERR_OK)
			return e;
	}
	struct group_member *leader = v->leader.p == NULL ? NULL : group_find(g, v->leader);
	if (leader != NULL)
		g->leader = leader;
	g->generation = v->generation;
	g->since_ms = v->current_state_timestamp;
	g->previous = GROUP_DEAD;
	g->state = v->members_n == 0 ? GROUP_EMPTY : GROUP_STABLE;
	return ERR_OK;
}

enum err group_load(struct group *g, const struct group_metadata_value *v, struct errmsg *why)
{
	/* Built beside, so that a bad record changes nothing; then the insides are exchanged. */
	struct group *fresh = group_new(g->id, g->config, g->host, g->arg);
	if (fresh == NULL)
		return ERR_NOMEM;
	enum err e = load(fresh, v, why);
	if (e == ERR_OK) {
		assert(g->stores == NULL && g->awaiting_join_n == 0);
		struct group old = *g;
		*g = *fresh;
		*fresh = old;
	}
	group_free(fresh);
	return e;
}

void group_loaded(struct group *g)
{
	for (struct group_member *m = g->first; m != NULL; m = m->next)
		group_touch(g, m);
	if (g->members_n > (size_t)g->config->max_size)
		group_join_prepare(g, "the group is larger than group.max.size");
	group_rearm(g);
}

/* ---- telling ---- */

static void describe_member(const struct group *g, const struct group_member *m,
			    struct describe_groups_response_described_group_member *out)
{
	out->member_id = m->id;
	out->group_instance_id = m->instance_id;
	out->client_id = m->client_id;
	out->client_host = m->client_host;
	out->member_assignment = m->assignment.p ? m->assignment : bytes_str("");
	out->member_metadata = bytes_str("");
	/* Only a stable group has a protocol that everybody has agreed on. */
	struct bytes metadata = protocols_metadata(m->protocols, g->protocol);
	if (g->state == GROUP_STABLE && metadata.p != NULL)
		out->member_metadata = metadata;
}

enum err group_describe(const struct group *g, struct arena *a,
			struct describe_groups_response_described_group *out)
{
	out->members = wire_array_new(a, &wire_describe_groups_response_described_group_member,
				      (int32_t)g->members_n);
	if (out->members == NULL)
		return ERR_NOMEM;
	out->group_state = bytes_str(group_state_name(g->state));
	if (g->protocol_type.p != NULL)
		out->protocol_type = g->protocol_type;
	if (g->state == GROUP_STABLE)
		out->protocol_data = g->protocol;
	for (const struct group_member *m = g->first; m != NULL; m = m->next)
		describe_member(g, m, &out->members[out->members_n++]);
	return ERR_OK;
}

bool group_subscribed(const struct group *g, struct map *topics)
{
	if (!group_is_consumer(g))
		return false;
	for (const struct group_member *m = g->first; m != NULL; m = m->next) {
		struct bytes metadata = protocols_metadata(m->protocols, g->protocol);
		if (subscription_topics(metadata, topics) != ERR_OK)
			return false;
	}
	return true;
}

void group_check(const struct group *g)
{
	size_t members = 0, joining = 0, pending_sync = 0, instances = 0, bytes = 0;
	bool leader = false;
	for (const struct group_member *m = g->first; m != NULL; m = m->next) {
		assert(group_find(g, m->id) == m);
		assert(m->instance_id.p == NULL || group_find_instance(g, m->instance_id) == m);
		assert(m->join == NULL || (m->awaiting_join && m->join->slot == &m->join));
		assert(m->sync == NULL || (m->awaiting_sync && m->sync->slot == &m->sync));
		assert(!m->awaiting_join || g->state == GROUP_PREPARING ||
		       (g->state == GROUP_STABLE && m->instance_id.p != NULL));
		assert(!m->awaiting_sync || g->state == GROUP_COMPLETING);
		members++;
		joining += m->awaiting_join;
		pending_sync += m->pending_sync;
		instances += m->instance_id.p != NULL;
		leader = leader || m == g->leader;
		bytes += member_bytes(m);
	}
	for (const struct group_pending *p = g->pending; p != NULL; p = p->next)
		bytes += sizeof *p + p->id.n;
	assert(members == g->members_n && joining == g->awaiting_join_n);
	assert(pending_sync == g->pending_sync_n && bytes == g->bytes);
	assert(g->members == NULL || map_count(g->members) == members);
	assert(g->instances == NULL || map_count(g->instances) == instances);
	assert(leader == (members > 0) && (members == 0 || g->leader != NULL));
	assert(g->state != GROUP_EMPTY || members == 0);
	assert((g->state == GROUP_PREPARING) == (g->join_deadline != GROUP_NEVER));
}
