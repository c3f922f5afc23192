/* SPDX-License-Identifier: Apache-2.0 */
/* The fetcher against a scripted broker that keeps fetch sessions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/client/fetch.h"
#include "tests/unit/client/cluster.h"

enum { PARTS = 3, SESSION = 4711 };

/* The broker: topic "t", partitions 0..2, each with one batch "data" at offset 10 and its end
 * at 20. What is asked at 20 has no records; a request without any records is parked. */
struct broker {
	/* script */
	int16_t top_error;    /* of the next answer */
	int16_t error[PARTS]; /* of the partition */
	bool declines;        /* keeps no sessions */
	bool silent;
	bool hint; /* with errors: node 1 leads now, epoch 9 */
	int32_t throttle_ms;
	int32_t answer_session; /* 0: SESSION */
	bool foreign;           /* names a partition that nobody asked for */
	/* state */
	bool held[PARTS];
	int64_t offset[PARTS];
	int32_t epoch;
	const struct frame *parked; /* to know a request that is asked again */
	/* what the last request was */
	unsigned requests;
	int16_t version;
	int32_t session_id, session_epoch, named, forgotten, max_bytes, max_wait_ms;
	int32_t leader_epoch, last_epoch;
	int8_t isolation;
	bool had_id, had_name;
	uint16_t port1;
};

/* The owner. */
struct owner {
	struct cluster t;
	struct broker b;
	struct fetcher *f;
	struct fetch_part *part[PARTS];
	unsigned results, rounds, errors;
	unsigned results_of[PARTS];
	enum err result_e, round_e;
	struct errmsg why;
	char data[8];
	int64_t next[PARTS]; /* where the owner goes on; -1: it pauses */
	struct frame *kept;
	void (*on_result)(struct owner *o, size_t part);
	void (*on_round)(struct owner *o);
};

struct part_arg {
	struct owner *o;
	size_t i;
};

static struct part_arg part_args[PARTS];

/* ---- the broker's side ---- */

static void note_request(struct broker *b, const struct scripted_request *q)
{
	const struct fetch_request *r = q->msg;
	b->requests++;
	b->version = q->head.api_version;
	b->session_id = r->session_id;
	b->session_epoch = r->session_epoch;
	b->max_bytes = r->max_bytes;
	b->max_wait_ms = r->max_wait_ms;
	b->isolation = r->isolation_level;
	b->named = 0;
	b->forgotten = 0;
	if (b->version >= 7 && r->session_epoch > 0)
		assert_int_equal(r->session_id, SESSION);
	else
		memset(b->held, 0, sizeof b->held);
	for (int32_t i = 0; i < r->topics_n; i++) {
		for (int32_t j = 0; j < r->topics[i].partitions_n; j++) {
			const struct fetch_request_fetch_partition *p = &r->topics[i].partitions[j];
			b->held[p->partition] = true;
			b->offset[p->partition] = p->fetch_offset;
			b->leader_epoch = p->current_leader_epoch;
			b->last_epoch = p->last_fetched_epoch;
			b->had_id = !uuid_is_zero(&r->topics[i].topic_id);
			b->had_name = r->topics[i].topic.n > 0;
			b->named++;
		}
	}
	for (int32_t i = 0; i < r->forgotten_topics_data_n; i++) {
		for (int32_t j = 0; j < r->forgotten_topics_data[i].partitions_n; j++) {
			b->held[r->forgotten_topics_data[i].partitions[j]] = false;
			b->forgotten++;
		}
	}
}

static void put_part(struct broker *b, struct scripted_request *q, int32_t i,
		     struct fetch_response *r)
{
	struct fetch_response_fetchable_topic_response *t = &r->responses[r->responses_n++];
	if (b->version >= 13)
		t->topic_id.b[0] = 1;
	else
		t->topic = bytes_str("t");
	t->partitions = wire_array_new(q->arena, &wire_fetch_response_partition_data, 1);
	t->partitions_n = 1;
	struct fetch_response_partition_data *p = &t->partitions[0];
	p->partition_index = i;
	p->error_code = i < PARTS ? b->error[i] : 0;
	p->high_watermark = 20;
	if (b->version >= 12 && b->hint && p->error_code != 0) {
		p->current_leader.leader_id = 1;
		p->current_leader.leader_epoch = 9;
		r->node_endpoints = wire_array_new(q->arena, &wire_fetch_response_node_endpoint, 1);
		r->node_endpoints_n = 1;
		r->node_endpoints[0].node_id = 1;
		r->node_endpoints[0].host = bytes_str("127.0.0.1");
		r->node_endpoints[0].port = b->port1;
	}
	p->records.data = bytes_of("data", i < PARTS && b->offset[i] == 10 ? 4 : 0);
}

static enum scripted_act answer_fetch(void *arg, struct scripted_request *q, void *answer)
{
	struct broker *b = arg;
	struct fetch_response *r = answer;
	if (b->parked != q->frame)
		note_request(b, q);
	b->parked = NULL;
	if (b->silent)
		return SCRIPTED_SILENT;
	bool full = b->version < 7 || b->session_epoch <= 0 || b->declines;
	bool sessions = b->version >= 7 && !b->declines;
	r->responses = wire_array_new(q->arena, &wire_fetch_response_fetchable_topic_response, 8);
	r->responses_n = 0;
	bool something = false;
	for (int32_t i = 0; i < PARTS; i++) {
		bool news = b->held[i] && (b->offset[i] == 10 || b->error[i] != 0);
		something |= news;
		if (news || (full && b->held[i]))
			put_part(b, q, i, r);
	}
	if (b->foreign)
		put_part(b, q, PARTS, r);
	if (!something && b->top_error == 0 && !b->foreign && !full) {
		b->parked = q->frame;
		return SCRIPTED_PARK;
	}
	if (sessions)
		r->session_id = b->answer_session == 0 ? SESSION : b->answer_session;
	if (b->version >= 7)
		r->error_code = b->top_error;
	if (b->top_error != 0)
		r->responses_n = 0;
	b->top_error = 0;
	r->throttle_time_ms = b->throttle_ms;
	return SCRIPTED_ANSWER;
}

/* ---- the owner's side ---- */

static void on_result(void *arg, const struct fetch_result *r)
{
	const struct part_arg *a = arg;
	struct owner *o = a->o;
	o->results++;
	o->results_of[a->i]++;
	o->result_e = r->error;
	assert_int_equal(r->high_watermark, 20);
	snprintf(o->data, sizeof o->data, "%.*s", (int)r->records.n,
		 r->records.n == 0 ? "" : (const char *)r->records.p);
	if (r->records.n > 0 && o->kept == NULL)
		o->kept = frame_ref(r->frame);
	if (o->on_result != NULL)
		o->on_result(o, a->i);
	else if (r->error == ERR_OK && o->next[a->i] < 0)
		fetch_part_pause(o->part[a->i]);
	else if (r->error == ERR_OK)
		fetch_part_resume(o->part[a->i], o->next[a->i], 3, 3, 1000);
}

static void on_round(void *arg, enum err e, const struct errmsg *why, size_t bytes)
{
	struct owner *o = arg;
	assert_true((e == ERR_OK) == (why == NULL));
	assert_true(e != ERR_OK || bytes > 0);
	o->rounds++;
	o->errors += e != ERR_OK;
	o->round_e = e;
	if (why != NULL)
		o->why = *why;
	if (o->on_round != NULL)
		o->on_round(o);
}

static void owner_fetcher(struct owner *o, uint8_t id)
{
	static const struct fetch_events events = {on_result, on_round};
	const struct fetcher_options options = {.node = 0,
						.channel = CLIENT_CHANNEL_FETCH,
						.max_wait_ms = 500,
						.min_bytes = 1,
						.max_bytes = 5000,
						.read_committed = true};
	struct uuid uuid = {{id}};
	o->f = fetcher_new(o->t.client, &options, &events, o);
	assert_non_null(o->f);
	for (size_t i = 0; i < PARTS; i++) {
		part_args[i] = (struct part_arg){o, i};
		o->part[i] = fetcher_add(o->f, "t", &uuid, (int32_t)i, &part_args[i]);
		assert_non_null(o->part[i]);
		o->next[i] = 20;
	}
}

/* `max_version` of Fetch at the broker. */
static void owner_init(struct owner *o, int16_t max_version)
{
	*o = (struct owner){0};
	cluster_init(&o->t, 2);
	o->b.port1 = scripted_peer_port(o->t.peers[1]);
	scripted_peer_on(o->t.peers[0], WIRE_API_FETCH, answer_fetch, &o->b);
	scripted_peer_versions(o->t.peers[0], WIRE_API_FETCH, 4, max_version);
	o->t.topics[0] = (struct test_topic){.name = "t", .id = 1, .n = PARTS};
	cluster_client(&o->t);
	client_follow_all(o->t.client);
	cluster_wait(&o->t, &o->t.applied, 1);
	owner_fetcher(o, 1);
}

static void owner_fini(struct owner *o)
{
	fetcher_free(o->f);
	frame_unref(o->kept);
	cluster_fini(&o->t);
}

static void resume(struct owner *o, size_t i, int64_t offset)
{
	fetch_part_resume(o->part[i], offset, 3, 3, 1000);
}

static void resume_all(struct owner *o, int64_t offset)
{
	for (size_t i = 0; i < PARTS; i++)
		resume(o, i, offset);
}

/* Until the broker has seen `n` requests and dealt with the last. */
static void wait_requests(struct owner *o, unsigned n)
{
	cluster_wait(&o->t, &o->b.requests, n);
	cluster_settle(&o->t);
	assert_int_equal(o->b.requests, n);
}

/* ---- tests ---- */

static void test_session(void **state)
{
	(void)state;
	struct owner o;
	owner_init(&o, 18);
	cluster_settle(&o.t);
	assert_int_equal(o.b.requests, 0); /* nothing is wanted */
	assert_int_equal(fetcher_parts(o.f), 3);
	resume_all(&o, 10);
	/* One full fetch with data for all, then an incremental one that moves all, then parked. */
	wait_requests(&o, 2);
	assert_int_equal(o.results, 3);
	assert_int_equal(o.rounds, 1);
	assert_string_equal(o.data, "data");
	assert_int_equal(o.b.version, 18);
	assert_true(o.b.had_id);
	assert_int_equal(o.b.isolation, 1);
	assert_int_equal(o.b.max_wait_ms, 500);
	assert_int_equal(o.b.max_bytes, 5000);
	assert_int_equal(o.b.session_epoch, 1);
	assert_int_equal(o.b.named, 3);
	assert_int_equal(o.b.leader_epoch, 3);
	assert_int_equal(o.b.last_epoch, 3);
	/* The frame outlives the callback. */
	assert_non_null(memmem(o.kept->data, o.kept->n, "data", 4));
	owner_fini(&o);
}

static void test_resumes_are_one_request(void **state)
{
	(void)state;
	struct owner o;
	owner_init(&o, 18);
	resume(&o, 0, 10);
	resume(&o, 1, 10);
	fetch_part_pause(o.part[1]);
	resume(&o, 2, 10);
	resume(&o, 2, 10);
	o.next[0] = o.next[2] = -1;
	wait_requests(&o, 1);
	assert_int_equal(o.b.named, 2);
	assert_int_equal(o.results, 2);
	/* All paused: silence, until one is resumed; then the other is forgotten. */
	resume(&o, 0, 10);
	wait_requests(&o, 2);
	assert_int_equal(o.b.session_epoch, 1);
	assert_int_equal(o.b.named, 0); /* same place as before: the session has it */
	assert_int_equal(o.b.forgotten, 1);
	fetcher_set_max_bytes(o.f, 777);
	resume(&o, 1, 10);
	o.next[1] = -1;
	wait_requests(&o, 3);
	assert_int_equal(o.b.max_bytes, 777);
	owner_fini(&o);
}

static void test_names(void **state)
{
	(void)state;
	struct owner o;
	owner_init(&o, 12);
	resume_all(&o, 10);
	wait_requests(&o, 2);
	assert_int_equal(o.results, 3);
	assert_true(o.b.had_name);
	assert_int_equal(o.b.last_epoch, 3);
	owner_fini(&o);
}

/* Kafka 2.1: no last_fetched_epoch in the protocol. */
static void test_old_broker(void **state)
{
	(void)state;
	struct owner o;
	owner_init(&o, 10);
	resume_all(&o, 10);
	wait_requests(&o, 2);
	assert_int_equal(o.results, 3);
	assert_int_equal(o.b.version, 10);
	assert_int_equal(o.b.last_epoch, -1);
	assert_int_equal(o.b.leader_epoch, 3);
	owner_fini(&o);
}

/* Before 1.1: no sessions. */
static void test_no_sessions(void **state)
{
	(void)state;
	struct owner o;
	owner_init(&o, 4);
	resume_all(&o, 10);
	o.next[0] = o.next[1] = o.next[2] = -1;
	wait_requests(&o, 1);
	assert_int_equal(o.results, 3);
	resume(&o, 1, 10);
	wait_requests(&o, 2);
	assert_int_equal(o.b.named, 1);
	assert_int_equal(o.results, 4);
	owner_fini(&o);
}

static void test_declined_sessions(void **state)
{
	(void)state;
	struct owner o;
	owner_init(&o, 18);
	o.b.declines = true;
	o.next[0] = o.next[1] = o.next[2] = -1;
	for (unsigned i = 1; i <= 3; i++) {
		resume_all(&o, 10);
		wait_requests(&o, i);
		assert_int_equal(o.b.session_epoch, 0);
		assert_int_equal(o.b.named, 3);
		assert_int_equal(o.results, 3 * i);
	}
	owner_fini(&o);
}

/* A topic without an id: versions with names only. */
static void test_topic_without_id(void **state)
{
	(void)state;
	struct owner o;
	owner_init(&o, 18);
	fetcher_free(o.f);
	owner_fetcher(&o, 0);
	resume_all(&o, 10);
	wait_requests(&o, 2);
	assert_int_equal(o.b.version, 12);
	assert_int_equal(o.results, 3);
	owner_fini(&o);
}

/* ---- errors ---- */

static void test_session_errors(void **state)
{
	(void)state;
	static const int16_t codes[] = {70, 71, 106, 100, -1};
	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
		struct owner o;
		owner_init(&o, 18);
		o.next[0] = o.next[1] = o.next[2] = -1;
		resume_all(&o, 10);
		wait_requests(&o, 1);
		o.b.top_error = codes[i];
		resume_all(&o, 10);
		wait_requests(&o, 3);
		assert_int_equal(o.errors, 1);
		assert_int_equal(o.results, 6);
		assert_int_equal(o.b.session_epoch, 0);
		/* 70 says that there is nothing to drop. */
		assert_int_equal(o.b.session_id, codes[i] == 70 ? 0 : SESSION);
		assert_int_equal(o.b.named, 3);
		owner_fini(&o);
	}
}

static void test_partition_error_pauses(void **state)
{
	(void)state;
	struct owner o;
	owner_init(&o, 18);
	o.b.error[1] = 6;
	o.b.hint = true;
	resume_all(&o, 20);
	/* The others go on without it. */
	wait_requests(&o, 2);
	assert_int_equal(o.results_of[1], 1);
	assert_int_equal(o.b.forgotten, 1);
	assert_int_equal(o.round_e, ERR_OK);
	/* The new leader is in the cache (KIP-951). */
	const struct client_partition *p = &client_topic(o.t.client, "t")->partitions[1];
	assert_int_equal(p->leader, 1);
	assert_int_equal(p->leader_epoch, 9);
	owner_fini(&o);
}

static void test_partition_error_codes(void **state)
{
	(void)state;
	static const struct {
		int16_t code;
		enum err e;
	} cases[] = {{1, ERR_KAFKA_OFFSET_OUT_OF_RANGE},
		     {3, ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION},
		     {29, ERR_KAFKA_TOPIC_AUTHORIZATION_FAILED},
		     {56, ERR_KAFKA_KAFKA_STORAGE_ERROR},
		     {74, ERR_KAFKA_FENCED_LEADER_EPOCH},
		     {75, ERR_KAFKA_UNKNOWN_LEADER_EPOCH},
		     {100, ERR_KAFKA_UNKNOWN_TOPIC_ID}};
	struct owner o;
	owner_init(&o, 18);
	for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		o.b.error[0] = cases[i].code;
		resume(&o, 0, 20);
		cluster_wait(&o.t, &o.results, i + 1);
		assert_int_equal(o.result_e, cases[i].e);
		cluster_settle(&o.t);
		assert_int_equal(o.results, i + 1);
	}
	owner_fini(&o);
}

/* F8: no answer: the request times out, and is made anew on another connection. */
static void test_timeout(void **state)
{
	(void)state;
	struct owner o;
	owner_init(&o, 18);
	o.b.silent = true;
	resume_all(&o, 10);
	wait_requests(&o, 1);
	o.t.skew_ms += 5000; /* the request timeout, but not yet max_wait_ms more */
	cluster_settle(&o.t);
	assert_int_equal(o.rounds, 0);
	o.t.skew_ms += 600;
	o.b.silent = false;
	cluster_wait(&o.t, &o.results, 3);
	assert_int_equal(o.errors, 1);
	owner_fini(&o);
}

static void test_broker_restart(void **state)
{
	(void)state;
	struct owner o;
	owner_init(&o, 18);
	resume_all(&o, 20);
	wait_requests(&o, 2);
	cluster_kill(&o.t, 0);
	cluster_wait(&o.t, &o.errors, 3);
	assert_int_equal(o.round_e, ERR_CONNECT);
	cluster_restart(&o.t, 0);
	scripted_peer_on(o.t.peers[0], WIRE_API_FETCH, answer_fetch, &o.b);
	unsigned n = o.b.requests;
	wait_requests(&o, n + 2);
	assert_int_equal(o.b.session_epoch, 1);
	resume(&o, 1, 10); /* while the request is parked: with the next one */
	cluster_settle(&o.t);
	assert_int_equal(o.b.requests, n + 2);
	owner_fini(&o);
}

/* Accept, then close, again and again (F9): paced by the back-off. */
static void test_backs_off(void **state)
{
	(void)state;
	struct owner o;
	owner_init(&o, 18);
	o.b.answer_session = 1; /* fine for the first, nonsense for the second */
	o.b.foreign = true;
	resume_all(&o, 10);
	int64_t end = clock_mono_ms(clock_system()) + 400;
	while (clock_mono_ms(clock_system()) < end)
		loop_turn(o.t.loop, 5);
	assert_int_equal(o.results, 0);
	assert_int_equal(o.round_e, ERR_MALFORMED);
	assert_in_range(o.b.requests, 4, 60);
	assert_int_equal(o.errors, o.rounds);
	o.b.foreign = false;
	o.b.answer_session = 0;
	cluster_wait(&o.t, &o.results, 3);
	owner_fini(&o);
}

static void test_throttled(void **state)
{
	(void)state;
	struct owner o;
	owner_init(&o, 18);
	o.b.throttle_ms = 10000;
	resume_all(&o, 10);
	wait_requests(&o, 1);
	assert_int_equal(o.results, 3);
	resume_all(&o, 10);
	cluster_settle(&o.t);
	assert_int_equal(o.b.requests, 1);
	o.b.throttle_ms = 0;
	o.t.skew_ms += 10000;
	cluster_wait(&o.t, &o.b.requests, 2);
	owner_fini(&o);
}

/* ---- results that are no longer wanted ---- */

static void test_stale_results_are_dropped(void **state)
{
	(void)state;
	struct owner o;
	owner_init(&o, 18);
	resume_all(&o, 20);
	wait_requests(&o, 2);
	unsigned before = o.results;
	/* All three answers come in one frame when the request is let go. */
	for (int i = 0; i < PARTS; i++)
		o.b.offset[i] = 10;
	fetch_part_pause(o.part[0]);
	resume(&o, 1, 21);
	fetcher_remove(o.f, o.part[2]);
	o.part[2] = NULL;
	scripted_peer_unpark(o.t.peers[0]);
	wait_requests(&o, 3);
	assert_int_equal(o.results, before);
	assert_int_equal(o.b.named, 1);
	assert_int_equal(o.b.forgotten, 2);
	assert_int_equal(o.b.offset[1], 21);
	assert_int_equal(fetcher_parts(o.f), 2);
	owner_fini(&o);
}

/* A callback may change what the rest of the answer is about. */
static void remove_next(struct owner *o, size_t part)
{
	size_t next = (part + 1) % PARTS;
	fetch_part_pause(o->part[part]);
	if (o->part[next] != NULL)
		fetcher_remove(o->f, o->part[next]);
	o->part[next] = NULL;
}

static void test_removed_in_callback(void **state)
{
	(void)state;
	struct owner o;
	owner_init(&o, 18);
	o.on_result = remove_next;
	resume_all(&o, 10);
	cluster_wait(&o.t, &o.rounds, 1);
	/* 0 removes 1; 2 removes 0. */
	assert_int_equal(o.results, 2);
	assert_int_equal(fetcher_parts(o.f), 1);
	owner_fini(&o);
}

static void free_in_result(struct owner *o, size_t part)
{
	(void)part;
	fetcher_free(o->f);
	o->f = NULL;
}

static void free_in_round(struct owner *o)
{
	free_in_result(o, 0);
}

static void test_freed_in_callbacks(void **state)
{
	(void)state;
	struct owner o;
	owner_init(&o, 18);
	o.on_result = free_in_result;
	resume_all(&o, 10);
	cluster_wait(&o.t, &o.results, 1);
	cluster_settle(&o.t);
	assert_int_equal(o.results, 1);
	assert_int_equal(o.rounds, 0);
	o.on_result = NULL;
	o.on_round = free_in_round;
	owner_fetcher(&o, 1);
	resume_all(&o, 10);
	cluster_wait(&o.t, &o.rounds, 1);
	cluster_settle(&o.t);
	assert_null(o.f);
	owner_fini(&o);
}

static void test_freed_in_flight(void **state)
{
	(void)state;
	struct owner o;
	owner_init(&o, 18);
	resume_all(&o, 20);
	wait_requests(&o, 2);
	unsigned rounds = o.rounds;
	fetcher_free(o.f);
	o.f = NULL;
	for (int i = 0; i < PARTS; i++)
		o.b.offset[i] = 10;
	scripted_peer_unpark(o.t.peers[0]);
	cluster_settle(&o.t);
	assert_int_equal(o.rounds, rounds);
	/* A pending send is taken back, too. */
	owner_fetcher(&o, 1);
	resume_all(&o, 10);
	fetcher_free(o.f);
	o.f = NULL;
	wait_requests(&o, 2);
	owner_fini(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_session),
		cmocka_unit_test(test_resumes_are_one_request),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_old_broker),
		cmocka_unit_test(test_no_sessions),
		cmocka_unit_test(test_declined_sessions),
		cmocka_unit_test(test_topic_without_id),
		cmocka_unit_test(test_session_errors),
		cmocka_unit_test(test_partition_error_pauses),
		cmocka_unit_test(test_partition_error_codes),
		cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_broker_restart),
		cmocka_unit_test(test_backs_off),
		cmocka_unit_test(test_throttled),
		cmocka_unit_test(test_stale_results_are_dropped),
		cmocka_unit_test(test_removed_in_callback),
		cmocka_unit_test(test_freed_in_callbacks),
		cmocka_unit_test(test_freed_in_flight),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
