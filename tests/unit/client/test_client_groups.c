/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listing groups on all brokers, finding coordinators, reading committed offsets: against brokers
 * of Kafka 4.1's versions and of 2.1's, and against answers that are short, out of order or wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/client/coordinators.h"
#include "lib/client/group_list.h"
#include "lib/client/group_offsets.h"
#include "tests/unit/client/cluster.h"

enum { CHANNEL = CLIENT_CHANNEL_GROUPS, TOLD_MAX = 16, NOT_COORDINATOR = 16, LOADING = 14 };

static const char *const names[] = {"a", "b", "c"};

/* ---- what came back ---- */

struct told {
	struct cluster t;
	unsigned n, done;
	char text[TOLD_MAX][96];
	enum err e;
	struct errmsg why;
};

static char *told_next(struct told *r)
{
	assert_true(r->n < TOLD_MAX);
	assert_int_equal(r->done, 0);
	return r->text[r->n++];
}

static void told_done(void *arg, enum err e, const struct errmsg *why)
{
	struct told *r = arg;
	r->done++;
	r->e = e;
	if (why != NULL)
		r->why = *why;
}

static bool told_has(const struct told *r, const char *text)
{
	for (unsigned i = 0; i < r->n; i++)
		if (strcmp(r->text[i], text) == 0)
			return true;
	return false;
}

static void has(const struct told *r, const char *text)
{
	if (!told_has(r, text))
		fail_msg("\"%s\" was not told; the first of %u is \"%s\"", text, r->n, r->text[0]);
}

static void again(struct told *r)
{
	r->n = r->done = 0;
	r->e = ERR_OK;
	r->why.text[0] = '\0';
}

/* ---- listing ---- */

static void on_listed(void *arg, const struct group_list_entry *g)
{
	snprintf(told_next(arg), 96, "%d %.*s %.*s %.*s %.*s", g->node, (int)g->group.n, g->group.p,
		 (int)g->protocol_type.n, g->protocol_type.p, (int)g->state.n, g->state.p,
		 (int)g->type.n, g->type.p);
}

static const struct group_list_events list_events = {on_listed, told_done};

/* Each broker lists one group, named after it; `arg` is an error code or NULL. */
static enum scripted_act list_groups(void *arg, struct scripted_request *q, void *answer)
{
	static const char *const mine[] = {"zero", "one"};
	struct list_groups_response *a = answer;
	struct cluster *t = arg;
	a->groups = wire_array_new(q->arena, &wire_list_groups_response_listed_group, 1);
	a->groups_n = 1;
	a->groups[0].group_id = bytes_str(mine[q->peer == t->peers[1]]);
	a->groups[0].protocol_type = bytes_str("consumer");
	a->groups[0].group_state = bytes_str("Empty");
	a->groups[0].group_type = bytes_str("classic");
	if (t->error != 0 && q->peer == t->peers[1]) {
		a->error_code = t->error;
		a->groups_n = 0;
	}
	return SCRIPTED_ANSWER;
}

static void list(struct told *r)
{
	again(r);
	assert_int_equal(group_list(r->t.client, CHANNEL, &list_events, r), ERR_OK);
	cluster_wait(&r->t, &r->done, 1);
}

static void test_list(void **state)
{
	(void)state;
	struct told r = {.n = 0};
	cluster_init(&r.t, 2);
	for (int i = 0; i < 2; i++)
		scripted_peer_on(r.t.peers[i], WIRE_API_LIST_GROUPS, list_groups, &r.t);
	cluster_client(&r.t);
	assert_int_equal(client_brokers(r.t.client, NULL, 0), 0);
	assert_int_equal(group_list(r.t.client, CHANNEL, &list_events, &r), ERR_CONNECT);
	cluster_wait(&r.t, &r.t.applied, 1);
	int32_t ids[1] = {7};
	assert_int_equal(client_brokers(r.t.client, ids, 1), 2);
	assert_int_equal(ids[0], 0);
	list(&r);
	assert_int_equal(r.e, ERR_OK);
	assert_int_equal(r.n, 2);
	has(&r, "0 zero consumer Empty classic");
	has(&r, "1 one consumer Empty classic");

	/* One broker is still loading: what the other said stands, and all of it is not said to be
	 * the whole. */
	r.t.error = LOADING;
	list(&r);
	assert_int_equal(r.e, ERR_KAFKA_COORDINATOR_LOAD_IN_PROGRESS);
	assert_non_null(strstr(r.why.text, "listing groups: broker 1: "));
	assert_int_equal(r.n, 1);

	/* Before KIP-518 and KIP-848. */
	r.t.error = 0;
	for (int i = 0; i < 2; i++)
		scripted_peer_versions(r.t.peers[i], WIRE_API_LIST_GROUPS, 0, 3);
	for (int i = 0; i < 2; i++)
		scripted_peer_hang_up(r.t.peers[i]);
	cluster_settle(&r.t);
	list(&r);
	has(&r, "0 zero consumer  ");
	cluster_fini(&r.t);
}

static void test_list_dead_broker(void **state)
{
	(void)state;
	struct told r = {.n = 0};
	cluster_init(&r.t, 2);
	for (int i = 0; i < 2; i++)
		scripted_peer_on(r.t.peers[i], WIRE_API_LIST_GROUPS, list_groups, &r.t);
	cluster_client_ready(&r.t);
	cluster_kill(&r.t, 1);
	list(&r);
	assert_int_not_equal(r.e, ERR_OK);
	has(&r, "0 zero consumer Empty classic");
	cluster_fini(&r.t);
}

/* ---- coordinators ---- */

static void on_coordinator(void *arg, size_t index, enum err e, int32_t node)
{
	snprintf(told_next(arg), 96, "%s %s %d", names[index], err_name(e), node);
}

static const struct coordinators_events coordinator_events = {on_coordinator, told_done};

/* "c" has no coordinator. Keys come back in reverse order, the last of them twice. */
static enum scripted_act find_coordinators(void *arg, struct scripted_request *q, void *answer)
{
	const struct find_coordinator_request *m = q->msg;
	struct find_coordinator_response *a = answer;
	(void)arg;
	a->node_id = bytes_eq_str(m->key, "c") ? -1 : 0;
	a->error_code = bytes_eq_str(m->key, "c") ? 15 : 0;
	if (q->head.api_version < 4)
		return SCRIPTED_ANSWER;
	int32_t n = m->coordinator_keys_n;
	a->coordinators =
		wire_array_new(q->arena, &wire_find_coordinator_response_coordinator, n + 1);
	a->coordinators_n = n + 1;
	a->node_id = 0;
	a->error_code = 0;
	for (int32_t i = 0; i <= n; i++) {
		struct bytes key = m->coordinator_keys[i < n ? n - 1 - i : 0];
		bool none = bytes_eq_str(key, "c");
		a->coordinators[i].key = key;
		a->coordinators[i].node_id = none ? -1 : 0;
		a->coordinators[i].error_code = none ? 15 : 0;
	}
	return SCRIPTED_ANSWER;
}

static enum scripted_act find_nothing(void *arg, struct scripted_request *q, void *answer)
{
	(void)arg, (void)q, (void)answer;
	return SCRIPTED_ANSWER;
}

static void find(struct told *r)
{
	again(r);
	assert_int_equal(coordinators_find(r->t.client, CHANNEL, names, 3, &coordinator_events, r),
			 ERR_OK);
	cluster_wait(&r->t, &r->done, 1);
}

static void check_found(const struct told *r)
{
	assert_int_equal(r->e, ERR_OK);
	assert_int_equal(r->n, 3);
	has(r, "a OK 0");
	has(r, "b OK 0");
	has(r, "c KAFKA_COORDINATOR_NOT_AVAILABLE -1");
}

static void test_coordinators(void **state)
{
	(void)state;
	struct told r = {.n = 0};
	cluster_init(&r.t, 1);
	struct scripted_peer *p = r.t.peers[0];
	scripted_peer_on(p, WIRE_API_FIND_COORDINATOR, find_coordinators, NULL);
	cluster_client_ready(&r.t);
	find(&r);
	check_found(&r);
	assert_int_equal(scripted_peer_seen(p, WIRE_API_FIND_COORDINATOR), 1);

	/* One by one (before KIP-699). */
	scripted_peer_versions(p, WIRE_API_FIND_COORDINATOR, 0, 3);
	scripted_peer_hang_up(p);
	cluster_settle(&r.t);
	find(&r);
	check_found(&r);
	assert_int_equal(scripted_peer_seen(p, WIRE_API_FIND_COORDINATOR), 4);
	cluster_fini(&r.t);
}

static void test_coordinators_left_out(void **state)
{
	(void)state;
	struct told r = {.n = 0};
	cluster_init(&r.t, 1);
	scripted_peer_on(r.t.peers[0], WIRE_API_FIND_COORDINATOR, find_nothing, NULL);
	cluster_client_ready(&r.t);
	find(&r);
	assert_int_equal(r.e, ERR_OK);
	assert_int_equal(r.n, 3);
	has(&r, "b MALFORMED -1");
	cluster_fini(&r.t);
}

/* ---- offsets ---- */

static void on_offsets(void *arg, size_t index, enum err e, struct group_offsets *o)
{
	char *text = told_next(arg);
	int n = snprintf(text, 96, "%s %s", names[index], err_name(e));
	struct group_offset x;
	while (e == ERR_OK && group_offsets_next(o, &x))
		n += snprintf(text + n, 96 - (size_t)n, " %.*s-%d=%lld(%.*s)%s", (int)x.topic.n,
			      x.topic.p, x.partition, (long long)x.offset, (int)x.metadata.n,
			      x.metadata.p, x.err == ERR_OK ? "" : err_name(x.err));
}

static const struct group_offsets_events offsets_events = {on_offsets, told_done};

/* Group "a" has two topics (one without partitions), "b" none, "c" is coordinated elsewhere. */
static enum scripted_act fetch_offsets(void *arg, struct scripted_request *q, void *answer)
{
	const struct offset_fetch_request *m = q->msg;
	struct offset_fetch_response *a = answer;
	(void)arg;
	if (q->head.api_version < 8) {
		assert_int_equal(m->topics_n, -1);
		a->error_code = bytes_eq_str(m->group_id, "c") ? NOT_COORDINATOR : 0;
		if (!bytes_eq_str(m->group_id, "a"))
			return SCRIPTED_ANSWER;
		a->topics = wire_array_new(
			q->arena, &wire_offset_fetch_response_offset_fetch_response_topic, 2);
		a->topics_n = 2;
		a->topics[0].name = bytes_str("none");
		a->topics[1].name = bytes_str("t");
		a->topics[1].partitions = wire_array_new(
			q->arena, &wire_offset_fetch_response_offset_fetch_response_partition, 2);
		a->topics[1].partitions_n = 2;
		a->topics[1].partitions[0].committed_offset = 5;
		a->topics[1].partitions[0].metadata = bytes_str("m");
		a->topics[1].partitions[1].partition_index = 1;
		a->topics[1].partitions[1].committed_offset = -1;
		a->topics[1].partitions[1].error_code = 88;
		return SCRIPTED_ANSWER;
	}
	int32_t n = m->groups_n;
	a->groups = wire_array_new(q->arena,
				   &wire_offset_fetch_response_offset_fetch_response_group, n);
	a->groups_n = n;
	for (int32_t i = 0; i < n; i++) {
		assert_int_equal(m->groups[i].topics_n, -1);
		struct offset_fetch_response_offset_fetch_response_group *g = &a->groups[n - 1 - i];
		g->group_id = m->groups[i].group_id;
		g->error_code = bytes_eq_str(g->group_id, "c") ? NOT_COORDINATOR : 0;
		if (!bytes_eq_str(g->group_id, "a"))
			continue;
		g->topics = wire_array_new(
			q->arena, &wire_offset_fetch_response_offset_fetch_response_topics, 2);
		g->topics_n = 2;
		g->topics[0].name = bytes_str("none");
		g->topics[1].name = bytes_str("t");
		g->topics[1].partitions = wire_array_new(
			q->arena, &wire_offset_fetch_response_offset_fetch_response_partitions, 2);
		g->topics[1].partitions_n = 2;
		g->topics[1].partitions[0].committed_offset = 5;
		g->topics[1].partitions[0].metadata = bytes_str("m");
		g->topics[1].partitions[1].partition_index = 1;
		g->topics[1].partitions[1].committed_offset = -1;
		g->topics[1].partitions[1].error_code = 88;
	}
	return SCRIPTED_ANSWER;
}

static void fetch(struct told *r)
{
	again(r);
	assert_int_equal(group_offsets_fetch(r->t.client, CHANNEL, 0, names, 3, &offsets_events, r),
			 ERR_OK);
	cluster_wait(&r->t, &r->done, 1);
}

static void check_offsets(const struct told *r)
{
	assert_int_equal(r->e, ERR_OK);
	assert_int_equal(r->n, 3);
	has(r, "a OK t-0=5(m) t-1=-1()KAFKA_UNSTABLE_OFFSET_COMMIT");
	has(r, "b OK");
	has(r, "c KAFKA_NOT_COORDINATOR");
}

static void test_offsets(void **state)
{
	(void)state;
	struct told r = {.n = 0};
	cluster_init(&r.t, 1);
	struct scripted_peer *p = r.t.peers[0];
	scripted_peer_on(p, WIRE_API_OFFSET_FETCH, fetch_offsets, NULL);
	cluster_client_ready(&r.t);
	fetch(&r);
	check_offsets(&r);
	/* Later versions name topics by id. */
	assert_int_equal(scripted_peer_last_version(p, WIRE_API_OFFSET_FETCH), 9);
	assert_int_equal(scripted_peer_seen(p, WIRE_API_OFFSET_FETCH), 1);

	/* One by one (before KIP-709). */
	scripted_peer_versions(p, WIRE_API_OFFSET_FETCH, 1, 7);
	scripted_peer_hang_up(p);
	cluster_settle(&r.t);
	fetch(&r);
	check_offsets(&r);
	assert_int_equal(scripted_peer_seen(p, WIRE_API_OFFSET_FETCH), 4);
	cluster_fini(&r.t);
}

static void test_offsets_left_out(void **state)
{
	(void)state;
	struct told r = {.n = 0};
	cluster_init(&r.t, 1);
	scripted_peer_on(r.t.peers[0], WIRE_API_OFFSET_FETCH, find_nothing, NULL);
	cluster_client_ready(&r.t);
	fetch(&r);
	assert_int_equal(r.n, 3);
	has(&r, "b MALFORMED");

	/* Brokers that cannot be asked for all topics (before 0.10.2) are told apart from groups
	 * without offsets. */
	scripted_peer_versions(r.t.peers[0], WIRE_API_OFFSET_FETCH, 1, 1);
	scripted_peer_hang_up(r.t.peers[0]);
	cluster_settle(&r.t);
	fetch(&r);
	has(&r, "a UNSUPPORTED");
	cluster_fini(&r.t);
}

/* The client goes while calls are out: each ends once. */
static void test_cancel(void **state)
{
	(void)state;
	struct told l = {.n = 0}, f = {.n = 0}, o = {.n = 0};
	cluster_init(&l.t, 1);
	scripted_peer_on(l.t.peers[0], WIRE_API_LIST_GROUPS, list_groups, &l.t);
	scripted_peer_on(l.t.peers[0], WIRE_API_FIND_COORDINATOR, find_coordinators, NULL);
	scripted_peer_on(l.t.peers[0], WIRE_API_OFFSET_FETCH, fetch_offsets, NULL);
	cluster_client_ready(&l.t);
	struct client *c = l.t.client;
	assert_int_equal(group_list(c, CHANNEL, &list_events, &l), ERR_OK);
	assert_int_equal(coordinators_find(c, CHANNEL, names, 3, &coordinator_events, &f), ERR_OK);
	assert_int_equal(group_offsets_fetch(c, CHANNEL, 0, names, 3, &offsets_events, &o), ERR_OK);
	client_free(c);
	l.t.client = NULL;
	cluster_wait(&l.t, &o.done, 1);
	cluster_settle(&l.t);
	assert_int_equal(l.e, ERR_CANCELED);
	assert_int_equal(f.e, ERR_CANCELED);
	assert_int_equal(o.e, ERR_CANCELED);
	assert_int_equal(l.done + f.done + o.done, 3);
	cluster_fini(&l.t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list),         cmocka_unit_test(test_list_dead_broker),
		cmocka_unit_test(test_coordinators), cmocka_unit_test(test_coordinators_left_out),
		cmocka_unit_test(test_offsets),      cmocka_unit_test(test_offsets_left_out),
		cmocka_unit_test(test_cancel),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
