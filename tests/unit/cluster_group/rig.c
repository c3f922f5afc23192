/* SPDX-License-Identifier: Apache-2.0 */
/* The host of one group for tests. */
#include "tests/unit/cluster_group/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "cluster/group/group_record.h"

enum { WALL = 1700000000, RECORD_MAX = 1 << 20 };

/* ---- the host ---- */

static int64_t mono(void *arg)
{
	return ((struct rig *)arg)->now;
}

static int64_t wall(void *arg)
{
	return WALL * INT64_C(1000) + ((struct rig *)arg)->now;
}

static void uuid(void *arg, char out[GROUP_UUID])
{
	struct rig *r = arg;
	snprintf(out, GROUP_UUID, "00000000-0000-4000-8000-%012llu", (unsigned long long)++r->ids);
}

static void arm(void *arg, int64_t deadline)
{
	((struct rig *)arg)->armed = deadline;
}

static void store(void *arg, struct bytes key, struct bytes value, struct group_write *w)
{
	struct rig *r = arg;
	assert_true(r->writes_n < RIG_WRITES);
	struct rig_write *to = &r->writes[r->writes_n++];
	to->write = w;
	buf_init(&to->key, RECORD_MAX);
	buf_init(&to->value, RECORD_MAX);
	buf_put(&to->key, key.p, key.n);
	buf_put(&to->value, value.p, value.n);
}

static void answer(void *arg, struct group_waiter *w)
{
	struct rig *r = arg;
	assert_null(w->back);
	w->next = r->answers;
	w->back = &r->answers;
	if (w->next != NULL)
		w->next->back = &w->next;
	r->answers = w;
}

static const struct group_host host = {.mono_ms = mono,
				       .wall_ms = wall,
				       .uuid = uuid,
				       .arm = arm,
				       .store = store,
				       .answer = answer};

void rig_init(struct rig *r)
{
	*r = (struct rig){.now = 1000, .armed = GROUP_NEVER};
	r->config = (struct group_config){.initial_rebalance_delay_ms = 3000,
					  .new_member_join_timeout_ms = 300000,
					  .max_size = 1000,
					  .member_bytes_max = 1 << 20};
	r->group = group_new(bytes_str("g"), &r->config, &host, r);
	assert_non_null(r->group);
	buf_init(&r->key, RECORD_MAX);
	buf_init(&r->value, RECORD_MAX);
}

void rig_fini(struct rig *r)
{
	while (r->answers != NULL)
		group_waiter_cancel(r->answers);
	group_free(r->group);
	for (size_t i = 0; i < r->writes_n; i++) {
		buf_fini(&r->writes[i].key);
		buf_fini(&r->writes[i].value);
	}
	buf_fini(&r->key);
	buf_fini(&r->value);
}

void rig_store(struct rig *r, size_t n, enum err e)
{
	while (n-- > 0) {
		assert_true(r->writes_n > 0);
		struct rig_write w = r->writes[0];
		r->writes_n--;
		memmove(&r->writes[0], &r->writes[1], r->writes_n * sizeof w);
		if (e == ERR_OK) {
			buf_fini(&r->key);
			buf_fini(&r->value);
			r->key = w.key;
			r->value = w.value;
			r->stored_n++;
		} else {
			buf_fini(&w.key);
			buf_fini(&w.value);
		}
		w.write->done(w.write, e);
		group_check(r->group);
	}
}

void rig_turn(struct rig *r)
{
	if (!r->hold)
		while (r->writes_n > 0)
			rig_store(r, 1, ERR_OK);
	while (r->answers != NULL) {
		struct group_waiter *w = r->answers;
		group_waiter_cancel(w);
		w->answered(w);
	}
	group_check(r->group);
}

void rig_pass(struct rig *r, int64_t ms)
{
	int64_t until = r->now + ms;
	int at_once = 0; /* a group must not spin */
	while (r->armed <= until) {
		at_once = r->armed > r->now ? 0 : at_once + 1;
		assert_true(at_once < 10);
		if (r->armed > r->now)
			r->now = r->armed;
		r->armed = GROUP_NEVER;
		group_tick(r->group);
		rig_turn(r);
	}
	r->now = until;
}

/* ---- clients ---- */

static void copy(char *to, size_t n, struct bytes b)
{
	assert_true(b.n < n);
	if (b.n > 0)
		memcpy(to, b.p, b.n);
	to[b.n] = '\0';
}

static void on_joined(struct group_waiter *w)
{
	struct client *c =
		(struct client *)(void *)((char *)w - offsetof(struct client, join.waiter));
	const struct join_group_response *a = &c->join.answer;
	assert_true(c->joining);
	assert_int_equal(c->join.fault, ERR_OK);
	c->joining = false;
	c->joined = true;
	c->join_error = a->error_code;
	copy(c->id, sizeof c->id, a->member_id);
	copy(c->leader, sizeof c->leader, a->leader);
	copy(c->protocol, sizeof c->protocol, a->protocol_name);
	c->skip = a->skip_assignment;
	c->members = a->members_n;
	for (int32_t i = 0; i < a->members_n && i < 16; i++)
		copy(c->listed[i], sizeof c->listed[i], a->members[i].member_id);
	if (a->error_code == 0)
		c->generation = a->generation_id;
	group_join_fini(&c->join);
}

static void on_synced(struct group_waiter *w)
{
	struct client *c =
		(struct client *)(void *)((char *)w - offsetof(struct client, sync.waiter));
	assert_true(c->syncing);
	assert_int_equal(c->sync.fault, ERR_OK);
	c->syncing = false;
	c->synced = true;
	c->sync_error = c->sync.answer.error_code;
	copy(c->assignment, sizeof c->assignment, c->sync.answer.assignment);
	group_sync_fini(&c->sync);
}

void client_join(struct rig *r, struct client *c)
{
	struct join_group_request *q = &c->join_request;
	assert_false(c->joining);
	wire_init(&wire_join_group_request, q);
	q->group_id = bytes_str("g");
	q->member_id = bytes_str(c->id);
	q->group_instance_id = bytes_str(c->instance);
	q->protocol_type = bytes_str(c->type != NULL ? c->type : "consumer");
	q->session_timeout_ms = c->session_ms == 0 ? 10000 : c->session_ms;
	q->rebalance_timeout_ms = c->rebalance_ms == 0 ? 60000 : c->rebalance_ms;
	q->protocols = c->list;
	q->protocols_n = 0;
	for (int i = 0; i < RIG_PROTOCOLS && c->protocols[i][0] != NULL; i++, q->protocols_n++) {
		c->list[i].name = bytes_str(c->protocols[i][0]);
		c->list[i].metadata = bytes_str(c->protocols[i][1] ? c->protocols[i][1] : "");
	}
	if (q->protocols_n == 0) {
		c->list[0].name = bytes_str("range");
		c->list[0].metadata = bytes_str("m");
		q->protocols_n = 1;
	}
	group_join_init(&c->join);
	c->join.request = q;
	c->join.version = c->version_zero ? 0 : c->version == 0 ? 9 : c->version;
	c->join.client_id = bytes_str(c->name != NULL ? c->name : "c");
	c->join.client_host = bytes_str("/127.0.0.1");
	c->join.waiter.answered = on_joined;
	c->joining = true;
	c->joined = false;
	group_join(r->group, &c->join);
	if (!r->known && (group_members(r->group) > 0 || group_pending(r->group) > 0)) {
		group_store_new(r->group);
		r->known = true;
	}
	group_check(r->group);
}

void client_come(struct rig *r, struct client *c)
{
	client_join(r, c);
	rig_turn(r);
	if (c->joined && c->join_error == 79) {
		client_join(r, c);
		rig_turn(r);
	}
}

bool client_leads(const struct client *c)
{
	return strcmp(c->id, c->leader) == 0;
}

void client_sync(struct rig *r, struct client *c)
{
	struct sync_group_request *q = &c->sync_request;
	assert_false(c->syncing);
	wire_init(&wire_sync_group_request, q);
	q->group_id = bytes_str("g");
	q->member_id = bytes_str(c->id);
	q->group_instance_id = bytes_str(c->instance);
	q->generation_id = c->generation;
	q->assignments = c->assignments;
	for (int32_t i = 0; client_leads(c) && i < c->members; i++, q->assignments_n++) {
		char text[sizeof c->assigned[i]];
		snprintf(text, sizeof text, "%d:%s", c->generation, c->listed[i]);
		memcpy(c->assigned[i], text, sizeof text);
		c->assignments[i].member_id = bytes_str(c->listed[i]);
		c->assignments[i].assignment = bytes_str(c->assigned[i]);
	}
	group_sync_init(&c->sync);
	c->sync.request = q;
	c->sync.waiter.answered = on_synced;
	c->syncing = true;
	c->synced = false;
	group_sync(r->group, &c->sync);
	group_check(r->group);
}

enum err client_heartbeat(struct rig *r, const struct client *c)
{
	struct heartbeat_request q;
	wire_init(&wire_heartbeat_request, &q);
	q.member_id = bytes_str(c->id);
	q.group_instance_id = bytes_str(c->instance);
	q.generation_id = c->generation;
	return group_heartbeat(r->group, &q);
}

enum err client_leave(struct rig *r, const struct client *c)
{
	struct leave_group_request_member_identity who = {
		.member_id = bytes_str(c->id), .group_instance_id = bytes_str(c->instance)};
	enum err e = group_leave(r->group, &who);
	if (e == ERR_OK)
		group_left(r->group);
	rig_turn(r);
	return e;
}

enum err client_commit(struct rig *r, const struct client *c)
{
	struct offset_commit_request q;
	wire_init(&wire_offset_commit_request, &q);
	q.member_id = bytes_str(c->id);
	q.group_instance_id = bytes_str(c->instance);
	q.generation_id_or_member_epoch = c->generation;
	return group_commit(r->group, &q);
}

void client_cut(struct client *c)
{
	if (c->joining)
		group_join_fini(&c->join);
	if (c->syncing)
		group_sync_fini(&c->sync);
	c->joining = c->syncing = false;
}

void rig_stable(struct rig *r, struct client *clients, size_t n)
{
	for (size_t i = 0; i < n; i++)
		client_come(r, &clients[i]);
	for (int64_t waited = 0; clients[0].joining && waited < 60000; waited += 1000)
		rig_pass(r, 1000);
	for (size_t i = 0; i < n; i++) {
		assert_true(clients[i].joined);
		assert_int_equal(clients[i].join_error, 0);
		client_sync(r, &clients[i]);
	}
	rig_turn(r);
	for (size_t i = 0; i < n; i++) {
		assert_true(clients[i].synced);
		assert_int_equal(clients[i].sync_error, 0);
	}
	assert_int_equal(group_state(r->group), GROUP_STABLE);
}

/* ---- replay ---- */

struct group *rig_replay(struct rig *r)
{
	struct arena a;
	struct group_record record;
	struct errmsg why = {{0}};
	struct group *g = group_new(bytes_str("g"), &r->config, &host, r);
	int64_t armed = r->armed;
	assert_non_null(g);
	arena_init(&a, RECORD_MAX);
	assert_int_equal(
		group_record_get(buf_bytes(&r->key), buf_bytes(&r->value), &a, &record, &why),
		ERR_OK);
	assert_int_equal(record.type, GROUP_RECORD_GROUP);
	assert_int_equal(group_load(g, &record.metadata, &why), ERR_OK);
	arena_fini(&a);
	group_check(g);
	r->armed = armed;
	return g;
}

static void same_bytes(struct bytes a, struct bytes b)
{
	assert_int_equal(a.n, b.n);
	if (a.n > 0)
		assert_memory_equal(a.p, b.p, a.n);
}

void rig_assert_same(const struct group *a, const struct group *b)
{
	assert_int_equal(a->generation, b->generation);
	assert_int_equal(a->members_n, b->members_n);
	same_bytes(a->protocol, b->protocol);
	same_bytes(a->protocol_type, b->protocol_type);
	if (a->leader != NULL)
		same_bytes(a->leader->id, b->leader->id);
	for (const struct group_member *m = a->first; m != NULL; m = m->next) {
		const struct group_member *o = group_find(b, m->id);
		assert_non_null(o);
		same_bytes(m->instance_id, o->instance_id);
		same_bytes(m->client_id, o->client_id);
		same_bytes(m->client_host, o->client_host);
		same_bytes(m->assignment, o->assignment);
		same_bytes(protocols_metadata(m->protocols, a->protocol),
			   protocols_metadata(o->protocols, a->protocol));
		assert_int_equal(m->session_timeout_ms, o->session_timeout_ms);
		assert_int_equal(m->rebalance_timeout_ms, o->rebalance_timeout_ms);
	}
}
