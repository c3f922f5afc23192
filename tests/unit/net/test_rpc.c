/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests over one connection: version negotiation from Kafka 2.1 to 4.1, order, deadlines, the
 * end of an rpc, and brokers that lie. Faults F9, F10, F11 and F32; attacks "framing", "malicious
 * broker".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "tests/unit/net/rpc_rig.h"

enum { LONG_MS = 60000 };

static int setup(void **state)
{
	struct rig *rig = mem_zalloc(1, sizeof *rig);
	rig_init(rig);
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	rig_fini(*state);
	mem_free(*state);
	return 0;
}

/* ---- version negotiation ---- */

static void test_kafka_4_1(void **state)
{
	struct rig *rig = *state;
	struct rig_call call = {0};
	rig_open_ready(rig);
	assert_int_equal(scripted_peer_seen(rig->peer, WIRE_API_API_VERSIONS), 1);
	assert_int_equal(scripted_peer_last_version(rig->peer, WIRE_API_API_VERSIONS), 3);
	assert_true(rpc_ready(rig->rpc));
	assert_int_equal(rpc_version(rig->rpc, WIRE_API_METADATA, INT16_MAX), 13);
	assert_int_equal(rpc_version(rig->rpc, WIRE_API_METADATA, 9), 9);
	assert_int_equal(rig_metadata(rig, &call, LONG_MS), ERR_OK);
	assert_int_equal(rpc_in_flight(rig->rpc), 1);
	rig_wait(rig, &call.done, 1);
	assert_int_equal(call.e, ERR_OK);
	assert_int_equal(call.version, 13);
	assert_int_equal(rpc_in_flight(rig->rpc), 0);
}

/* Kafka 2.1 knows ApiVersions 0-2 and answers version 3 with error 35 and an empty list. */
static void test_kafka_2_1(void **state)
{
	struct rig *rig = *state;
	struct rig_call call = {0};
	scripted_peer_versions(rig->peer, WIRE_API_API_VERSIONS, 0, 2);
	scripted_peer_versions(rig->peer, WIRE_API_METADATA, 0, 7);
	scripted_peer_versions(rig->peer, WIRE_API_FETCH, 0, 10);
	rig_open_ready(rig);
	assert_int_equal(scripted_peer_seen(rig->peer, WIRE_API_API_VERSIONS), 2);
	assert_int_equal(scripted_peer_last_version(rig->peer, WIRE_API_API_VERSIONS), 0);
	assert_int_equal(rpc_version(rig->rpc, WIRE_API_FETCH, INT16_MAX), 10);
	assert_int_equal(rig_metadata(rig, &call, LONG_MS), ERR_OK);
	rig_wait(rig, &call.done, 1);
	assert_int_equal(call.e, ERR_OK);
	assert_int_equal(call.version, 7);
}

/* A script for ApiVersions: what is answered to the first request; the second is normal. */
struct first_answer {
	struct scripted_peer *peer;
	int16_t error;
	int16_t min, max; /* of key 18 in the list; min > max: an empty list */
	const char *raw;  /* instead: the body after the error code */
	size_t raw_n;
	bool always;
	int16_t asked[4];
};

static enum scripted_act answer_first(void *arg, struct scripted_request *q, void *answer)
{
	struct first_answer *s = arg;
	struct api_versions_response *m = answer;
	if (q->n <= 4)
		s->asked[q->n - 1] = q->head.api_version;
	if (q->n > 1 && !s->always)
		return scripted_peer_api_versions(s->peer, q, answer);
	if (s->raw != NULL) {
		uint8_t *p = arena_zalloc(q->arena, 6 + s->raw_n, 1);
		be32_put(p, (uint32_t)q->head.correlation_id);
		be16_put(p + 4, (uint16_t)s->error);
		memcpy(p + 6, s->raw, s->raw_n);
		q->raw = bytes_of(p, 6 + s->raw_n);
		return SCRIPTED_RAW;
	}
	m->error_code = s->error;
	if (s->min <= s->max) {
		m->api_keys = wire_array_new(q->arena, &wire_api_versions_response_api_version, 1);
		m->api_keys_n = 1;
		m->api_keys[0].api_key = WIRE_API_API_VERSIONS;
		m->api_keys[0].min_version = s->min;
		m->api_keys[0].max_version = s->max;
	}
	return SCRIPTED_ANSWER;
}

static void test_fall_back_to_what_error_35_names(void **state)
{
	struct rig *rig = *state;
	static const struct {
		int16_t min, max, next;
	} cases[] = {
		{0, 2, 2}, {0, 1, 1}, {1, 1, 1}, {0, 0, 0}, {0, -1, 0}, {0, 9, 2}, {4, 9, 0},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct first_answer s = {
			.peer = rig->peer, .error = 35, .min = cases[i].min, .max = cases[i].max};
		scripted_peer_free(rig->peer);
		rig->peer = scripted_peer_new(rig->loop, NULL);
		s.peer = rig->peer;
		scripted_peer_on(rig->peer, WIRE_API_API_VERSIONS, answer_first, &s);
		rig_open_ready(rig);
		assert_int_equal(s.asked[0], 3);
		assert_int_equal(s.asked[1], cases[i].next);
		rig_close(rig);
	}
}

static void test_error_35_with_an_unreadable_rest(void **state)
{
	struct rig *rig = *state;
	static const char *const bodies[] = {"", "\x01", "\x7f\xff\xff\xff",
					     "\x02\x00\x12\x00\x00"};
	static const size_t sizes[] = {0, 1, 4, 5};
	for (size_t i = 0; i < 4; i++) {
		scripted_peer_free(rig->peer);
		rig->peer = scripted_peer_new(rig->loop, NULL);
		struct first_answer s = {
			.peer = rig->peer, .error = 35, .raw = bodies[i], .raw_n = sizes[i]};
		scripted_peer_on(rig->peer, WIRE_API_API_VERSIONS, answer_first, &s);
		rig_open_ready(rig);
		assert_int_equal(s.asked[1], 0);
		rig_close(rig);
	}
}

static void test_no_common_version_of_api_versions(void **state)
{
	struct rig *rig = *state;
	struct first_answer s = {
		.peer = rig->peer, .error = 35, .min = 4, .max = 9, .always = true};
	scripted_peer_on(rig->peer, WIRE_API_API_VERSIONS, answer_first, &s);
	rig_open(rig);
	rig_wait(rig, &rig->dead, 1);
	assert_int_equal(rig->dead_e, ERR_UNSUPPORTED);
	rig_says(rig->dead_why.text, "127.0.0.1:");
	rig_says(rig->dead_why.text, "ApiVersions");
	assert_int_equal(scripted_peer_seen(rig->peer, WIRE_API_API_VERSIONS), 2);
}

static void test_api_versions_refused(void **state)
{
	struct rig *rig = *state;
	struct first_answer s = {.peer = rig->peer, .error = 42, .min = 0, .max = -1};
	scripted_peer_on(rig->peer, WIRE_API_API_VERSIONS, answer_first, &s);
	rig_open(rig);
	rig_wait(rig, &rig->dead, 1);
	assert_int_equal(rig->dead_e, ERR_KAFKA_INVALID_REQUEST);
	assert_int_equal(rig->ready, 0);
}

/* Ranges that hold nothing, keys that do not exist, a key named twice: no harm. */
static enum scripted_act answer_odd_list(void *arg, struct scripted_request *q, void *answer)
{
	static const int16_t rows[][3] = {
		{-1, 0, 5},
		{INT16_MAX, 0, 5},
		{127, 0, 5},
		{128, 0, 5},
		{1, 12, 4},
		{2, -5, 3},
		{3, 0, 2},
		{3, 0, 5},
		{20, 90, 99},
		{0, 0, INT16_MAX},
		{INT16_MIN, INT16_MIN, INT16_MAX},
	};
	enum { ROWS = sizeof rows / sizeof *rows };
	(void)arg;
	struct api_versions_response *m = answer;
	m->api_keys = wire_array_new(q->arena, &wire_api_versions_response_api_version, ROWS);
	m->api_keys_n = ROWS;
	for (int i = 0; i < ROWS; i++) {
		m->api_keys[i].api_key = rows[i][0];
		m->api_keys[i].min_version = rows[i][1];
		m->api_keys[i].max_version = rows[i][2];
	}
	return SCRIPTED_ANSWER;
}

static void test_odd_version_lists(void **state)
{
	struct rig *rig = *state;
	struct rig_call call = {0};
	scripted_peer_on(rig->peer, WIRE_API_API_VERSIONS, answer_odd_list, NULL);
	rig_open_ready(rig);
	assert_int_equal(rpc_version(rig->rpc, WIRE_API_FETCH, INT16_MAX), -1);
	assert_int_equal(rpc_version(rig->rpc, WIRE_API_LIST_OFFSETS, INT16_MAX), -1);
	assert_int_equal(rpc_version(rig->rpc, WIRE_API_METADATA, INT16_MAX), 5);
	assert_int_equal(rpc_version(rig->rpc, WIRE_API_DELETE_TOPICS, INT16_MAX), -1);
	assert_int_equal(rpc_version(rig->rpc, WIRE_API_PRODUCE, INT16_MAX), 13);
	assert_int_equal(rpc_version(rig->rpc, WIRE_API_HEARTBEAT, INT16_MAX), -1);
	assert_int_equal(rpc_version(rig->rpc, -1, INT16_MAX), -1);
	assert_int_equal(rpc_version(rig->rpc, 128, INT16_MAX), -1);
	assert_int_equal(rpc_version(rig->rpc, INT16_MIN, INT16_MAX), -1);
	assert_int_equal(rig_metadata(rig, &call, LONG_MS), ERR_OK);
	rig_wait(rig, &call.done, 1);
	assert_int_equal(call.version, 5);
}

struct seen_client {
	char id[64], name[64], version[64];
	bool id_null;
};

static enum scripted_act note_client(void *arg, struct scripted_request *q, void *answer)
{
	struct seen_client *s = arg;
	const struct api_versions_request *m = q->msg;
	s->id_null = q->head.client_id.p == NULL;
	snprintf(s->id, sizeof s->id, "%.*s", (int)q->head.client_id.n,
		 (const char *)q->head.client_id.p);
	snprintf(s->name, sizeof s->name, "%.*s", (int)m->client_software_name.n,
		 (const char *)m->client_software_name.p);
	snprintf(s->version, sizeof s->version, "%.*s", (int)m->client_software_version.n,
		 (const char *)m->client_software_version.p);
	return scripted_peer_api_versions(q->peer, q, answer);
}

static void test_who_we_say_we_are(void **state)
{
	struct rig *rig = *state;
	struct seen_client seen = {0};
	scripted_peer_on(rig->peer, WIRE_API_API_VERSIONS, note_client, &seen);
	rig_open_ready(rig);
	assert_string_equal(seen.id, "test");
	assert_string_equal(seen.name, "farshore");
	assert_string_equal(seen.version, FARSHORE_VERSION);
	/* KIP-511: [a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])? */
	size_t n = strlen(seen.version);
	assert_int_equal(strspn(seen.version, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					      "0123456789-."),
			 n);
	assert_null(strchr("-.", seen.version[0]));
	assert_null(strchr("-.", seen.version[n - 1]));
	rig_close(rig);

	rig->options.client_id = "";
	rig_open_ready(rig);
	assert_false(seen.id_null);
	assert_string_equal(seen.id, "");
	rig_close(rig);

	rig->options.client_id = NULL;
	rig_open_ready(rig);
	assert_true(seen.id_null);
}

/* ---- calls ---- */

static void never_done(void *arg, enum err e, const struct errmsg *why,
		       const struct rpc_reply *reply)
{
	(void)arg;
	(void)e;
	(void)why;
	(void)reply;
	fail_msg("a refused call completed");
}

static void test_refused_calls(void **state)
{
	struct rig *rig = *state;
	struct rig_call call = {0};
	struct errmsg why = {0};
	struct metadata_request m;
	wire_init(&wire_metadata_request, &m);

	scripted_peer_versions(rig->peer, WIRE_API_METADATA, 0, 3);
	scripted_peer_versions(rig->peer, WIRE_API_FETCH, 0, -1);
	rig_open(rig);
	assert_int_equal(rig_metadata(rig, &call, LONG_MS), ERR_CLOSED);
	rig_says(call.why.text, "not connected");
	rig_wait(rig, &rig->ready, 1);

	assert_int_equal(rpc_call(rig->rpc, WIRE_API_METADATA, 4, INT16_MAX, &m, LONG_MS,
				  never_done, NULL, &why),
			 ERR_UNSUPPORTED);
	rig_says(why.text, "Metadata");
	struct fetch_request f;
	wire_init(&wire_fetch_request, &f);
	assert_int_equal(rpc_call(rig->rpc, WIRE_API_FETCH, 0, INT16_MAX, &f, LONG_MS, never_done,
				  NULL, &why),
			 ERR_UNSUPPORTED);
	assert_int_equal(rpc_call(rig->rpc, 999, 0, INT16_MAX, &f, LONG_MS, never_done, NULL, NULL),
			 ERR_UNSUPPORTED);

	/* A field that version 3 does not have. */
	m.allow_auto_topic_creation = false;
	assert_int_equal(rpc_call(rig->rpc, WIRE_API_METADATA, 0, INT16_MAX, &m, LONG_MS,
				  never_done, NULL, &why),
			 ERR_UNSUPPORTED);
	rig_says(why.text, "Metadata v3");
	assert_int_equal(rpc_in_flight(rig->rpc), 0);
	rig_settle(rig);
	assert_int_equal(scripted_peer_seen(rig->peer, WIRE_API_METADATA), 0);
	assert_int_equal(rig->dead, 0);
}

static void test_many_in_flight_complete_in_order(void **state)
{
	struct rig *rig = *state;
	enum { CALLS = 300 };
	static struct rig_call calls[CALLS];
	memset(calls, 0, sizeof calls);
	rig_open_ready(rig);
	for (int i = 0; i < CALLS; i++)
		assert_int_equal(rig_metadata(rig, &calls[i], LONG_MS), ERR_OK);
	assert_int_equal(rpc_in_flight(rig->rpc), CALLS);
	rig_wait(rig, &calls[CALLS - 1].done, 1);
	for (int i = 0; i < CALLS; i++) {
		assert_int_equal(calls[i].done, 1);
		assert_int_equal(calls[i].e, ERR_OK);
		assert_int_equal(calls[i].order, calls[0].order + (unsigned)i);
	}
}

static void call_again(struct rig_call *call)
{
	if (call->e == ERR_OK) {
		struct rig *rig = call->rig;
		unsigned done = call->done;
		assert_int_equal(rig_metadata(rig, call, LONG_MS), ERR_OK);
		call->done = done;
	}
}

static void test_calls_from_completions(void **state)
{
	struct rig *rig = *state;
	struct rig_call call = {.then = call_again};
	rig_open_ready(rig);
	assert_int_equal(rig_metadata(rig, &call, LONG_MS), ERR_OK);
	rig_wait(rig, &call.done, 20);
	assert_int_equal(call.e, ERR_OK);
	rig_close(rig); /* `call` is on this stack */
	assert_int_equal(call.e, ERR_CANCELED);
}

/* The reply's frame may be kept, the slices in it live on. */
struct kept {
	unsigned done;
	struct frame *frame;
	struct bytes name;
};

static void keep_name(void *arg, enum err e, const struct errmsg *why,
		      const struct rpc_reply *reply)
{
	struct kept *k = arg;
	(void)why;
	assert_int_equal(e, ERR_OK);
	k->done++;
	k->frame = frame_ref(reply->frame);
	k->name = ((const struct metadata_response *)reply->msg)->topics[0].name;
}

static void test_slices_live_with_the_frame(void **state)
{
	struct rig *rig = *state;
	int topics = 1;
	struct kept kept = {0};
	struct metadata_request m;
	wire_init(&wire_metadata_request, &m);
	scripted_peer_on(rig->peer, WIRE_API_METADATA, rig_answer_metadata, &topics);
	rig_open_ready(rig);
	assert_int_equal(rpc_call(rig->rpc, WIRE_API_METADATA, 0, INT16_MAX, &m, LONG_MS, keep_name,
				  &kept, NULL),
			 ERR_OK);
	rig_wait(rig, &kept.done, 1);
	rig_close(rig);
	assert_true(bytes_eq_str(kept.name, "topic"));
	frame_unref(kept.frame);
}

static void test_an_answer_over_decode_max_fails_alone(void **state)
{
	struct rig *rig = *state;
	int topics = 1000;
	struct rig_call big = {0}, small = {0};
	scripted_peer_on(rig->peer, WIRE_API_METADATA, rig_answer_metadata, &topics);
	rig->options.decode_max = 20000;
	rig_open_ready(rig);
	assert_int_equal(rig_metadata(rig, &big, LONG_MS), ERR_OK);
	rig_wait(rig, &big.done, 1);
	assert_true(big.e == ERR_LIMIT || big.e == ERR_NOMEM);
	rig_says(big.why.text, "answer to Metadata v13");
	topics = 3;
	assert_int_equal(rig_metadata(rig, &small, LONG_MS), ERR_OK);
	rig_wait(rig, &small.done, 1);
	assert_int_equal(small.e, ERR_OK);
	assert_int_equal(small.topics, 3);
	assert_int_equal(rig->dead, 0);
}

/* ---- deadlines ---- */

static enum scripted_act say_nothing(void *arg, struct scripted_request *q, void *answer)
{
	(void)arg;
	(void)q;
	(void)answer;
	return SCRIPTED_SILENT;
}

static void test_deadline_kills_the_rpc(void **state)
{
	struct rig *rig = *state;
	struct rig_call first = {0}, second = {0}, late = {0};
	scripted_peer_on(rig->peer, WIRE_API_METADATA, say_nothing, NULL);
	rig_open_ready(rig);
	assert_int_equal(rig_metadata(rig, &first, 50000), ERR_OK);
	assert_int_equal(rig_metadata(rig, &second, 3000), ERR_OK);
	rig_settle(rig);
	rig->skew_ms += 2900;
	rig_settle(rig);
	assert_int_equal(first.done + second.done, 0);
	rig->skew_ms += 200;
	rig_wait(rig, &rig->dead, 1);
	assert_int_equal(rig->dead_e, ERR_TIMEOUT);
	assert_int_equal(first.e, ERR_TIMEOUT);
	assert_int_equal(second.e, ERR_TIMEOUT);
	assert_int_equal(first.done + second.done, 2);
	rig_says(first.why.text, "no answer to Metadata v13 within 3000 ms");
	assert_int_equal(rpc_in_flight(rig->rpc), 0);
	assert_null(rpc_conn(rig->rpc));
	assert_int_equal(rig_metadata(rig, &late, 1000), ERR_CLOSED);
}

/* The timer of an answered request finds nothing to do, or re-arms for the next. */
static void test_deadline_of_an_answered_request(void **state)
{
	struct rig *rig = *state;
	struct rig_call quick = {0}, slow = {0};
	rig_open_ready(rig);
	assert_int_equal(rig_metadata(rig, &quick, 1000), ERR_OK);
	rig_wait(rig, &quick.done, 1);
	scripted_peer_on(rig->peer, WIRE_API_METADATA, say_nothing, NULL);
	assert_int_equal(rig_metadata(rig, &slow, 5000), ERR_OK);
	rig->skew_ms += 2000;
	rig_settle(rig);
	assert_int_equal(rig->dead, 0);
	rig->skew_ms += 3100;
	rig_wait(rig, &rig->dead, 1);
	assert_int_equal(slow.e, ERR_TIMEOUT);
}

static void test_deadline_of_the_opening_talk(void **state)
{
	struct rig *rig = *state;
	scripted_peer_on(rig->peer, WIRE_API_API_VERSIONS, say_nothing, NULL);
	rig->options.setup_timeout_ms = 100;
	rig_open(rig);
	rig_wait(rig, &rig->dead, 1);
	assert_int_equal(rig->dead_e, ERR_TIMEOUT);
	rig_says(rig->dead_why.text, "no answer to ApiVersions v3 within 100 ms");
}

static enum scripted_act answer_late(void *arg, struct scripted_request *q, void *answer)
{
	(void)arg;
	(void)answer;
	q->delay_ms = 100;
	return SCRIPTED_ANSWER;
}

static void test_extreme_timeouts(void **state)
{
	struct rig *rig = *state;
	struct rig_call call = {0};
	rig_open_ready(rig);
	assert_int_equal(rig_metadata(rig, &call, INT64_MAX), ERR_OK);
	rig_wait(rig, &call.done, 1);
	assert_int_equal(call.e, ERR_OK);
	scripted_peer_on(rig->peer, WIRE_API_METADATA, answer_late, NULL);
	assert_int_equal(rig_metadata(rig, &call, INT64_MIN), ERR_OK);
	rig_wait(rig, &call.done, 1);
	assert_int_equal(call.e, ERR_TIMEOUT);
}

/* ---- the end ---- */

static void test_close_completes_from_the_loop(void **state)
{
	struct rig *rig = *state;
	struct rig_call calls[3] = {0};
	scripted_peer_on(rig->peer, WIRE_API_METADATA, say_nothing, NULL);
	rig_open_ready(rig);
	for (int i = 0; i < 3; i++)
		assert_int_equal(rig_metadata(rig, &calls[i], LONG_MS), ERR_OK);
	rpc_close(rig->rpc);
	rig->rpc = NULL;
	assert_int_equal(calls[0].done, 0);
	rig_wait(rig, &calls[2].done, 1);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(calls[i].done, 1);
		assert_int_equal(calls[i].e, ERR_CANCELED);
	}
	assert_int_equal(rig->dead, 0);
	rpc_close(NULL);
}

static void close_rpc(struct rig_call *call)
{
	if (call->rig->rpc == NULL)
		return;
	rpc_close(call->rig->rpc);
	call->rig->rpc = NULL;
}

static void test_close_from_a_completion(void **state)
{
	struct rig *rig = *state;
	struct rig_call first = {.then = close_rpc}, second = {.then = close_rpc};
	rig_open_ready(rig);
	assert_int_equal(rig_metadata(rig, &first, LONG_MS), ERR_OK);
	assert_int_equal(rig_metadata(rig, &second, LONG_MS), ERR_OK);
	rig_wait(rig, &second.done, 1);
	rig_settle(rig);
	assert_int_equal(first.e, ERR_OK);
	assert_int_equal(second.e, ERR_CANCELED);
	assert_int_equal(rig->dead, 0);
}

/* The rpc dies, the first completion closes it: the others still come, on_dead does not. */
static void test_close_from_a_failed_completion(void **state)
{
	struct rig *rig = *state;
	struct rig_call first = {.then = close_rpc}, second = {0};
	scripted_peer_on(rig->peer, WIRE_API_METADATA, say_nothing, NULL);
	rig_open_ready(rig);
	assert_int_equal(rig_metadata(rig, &first, LONG_MS), ERR_OK);
	assert_int_equal(rig_metadata(rig, &second, LONG_MS), ERR_OK);
	rig_settle(rig);
	scripted_peer_hang_up(rig->peer);
	rig_wait(rig, &second.done, 1);
	rig_settle(rig);
	assert_int_equal(first.e, ERR_CLOSED);
	assert_int_equal(second.e, ERR_CLOSED);
	assert_int_equal(rig->dead, 0);
}

static void close_on_ready(struct rig *rig)
{
	rpc_close(rig->rpc);
	rig->rpc = NULL;
}

static void test_close_from_on_ready(void **state)
{
	struct rig *rig = *state;
	rig->on_ready = close_on_ready;
	rig_open_ready(rig);
	rig_settle(rig);
	assert_int_equal(rig->dead, 0);
}

static void test_close_at_once(void **state)
{
	struct rig *rig = *state;
	rig_open(rig);
	rig_close(rig);
	assert_int_equal(rig->ready + rig->dead, 0);
}

static enum scripted_act act(void *arg, struct scripted_request *q, void *answer)
{
	(void)q;
	(void)answer;
	return *(const enum scripted_act *)arg;
}

static void test_a_broker_that_hangs_up_at_once(void **state)
{
	struct rig *rig = *state;
	scripted_peer_deaf(rig->peer, true);
	rig_open(rig);
	rig_wait(rig, &rig->dead, 1);
	assert_int_equal(rig->dead_e, ERR_CLOSED);
	rig_says(rig->dead_why.text,
		 ": closed by the peer before it answered a request; do TLS and SASL");
}

/* A SASL listener answers ApiVersions to anyone, and closes on the first request. */
static void test_a_sasl_listener_without_sasl(void **state)
{
	struct rig *rig = *state;
	enum scripted_act close_it = SCRIPTED_CLOSE;
	struct rig_call call = {0};
	scripted_peer_on(rig->peer, WIRE_API_METADATA, act, &close_it);
	rig_open_ready(rig);
	assert_int_equal(rig_metadata(rig, &call, LONG_MS), ERR_OK);
	rig_wait(rig, &rig->dead, 1);
	rig_says(call.why.text, "closed by the peer before it answered a request; do TLS and SASL");
	rig_close(rig);

	/* Once it has answered, it is no matter of settings. */
	scripted_peer_on(rig->peer, WIRE_API_METADATA, rig_answer_metadata, NULL);
	rig_open_ready(rig);
	assert_int_equal(rig_metadata(rig, &call, LONG_MS), ERR_OK);
	rig_wait(rig, &call.done, 1);
	scripted_peer_hang_up(rig->peer);
	rig_wait(rig, &rig->dead, 1);
	assert_null(strstr(rig->dead_why.text, "TLS"));
}

/* ---- brokers that lie ---- */

static void test_misbehaviour(void **state)
{
	struct rig *rig = *state;
	static const struct {
		enum scripted_act act;
		enum err call, dead;
		const char *says;
	} cases[] = {
		{SCRIPTED_WRONG_ID, ERR_MALFORMED, ERR_MALFORMED, "correlation id 2, expected 1"},
		{SCRIPTED_GARBAGE, ERR_MALFORMED, ERR_MALFORMED,
		 "answer to Metadata v13: bad header"},
		{SCRIPTED_TWICE, ERR_OK, ERR_MALFORMED, "nobody asked for"},
		{SCRIPTED_CUT, ERR_CLOSED, ERR_CLOSED, "in the middle of a frame"},
		{SCRIPTED_CLOSE, ERR_CLOSED, ERR_CLOSED, "closed by the peer"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct rig_call call = {0};
		enum scripted_act what = cases[i].act;
		scripted_peer_on(rig->peer, WIRE_API_METADATA, act, &what);
		rig_open_ready(rig);
		assert_int_equal(rig_metadata(rig, &call, LONG_MS), ERR_OK);
		rig_wait(rig, &rig->dead, 1);
		assert_int_equal(call.done, 1);
		assert_int_equal(call.e, cases[i].call);
		assert_int_equal(rig->dead_e, cases[i].dead);
		rig_says(rig->dead_why.text, cases[i].says);
		rig_says(rig->dead_why.text, rpc_name(rig->rpc));
		rig_close(rig);
	}
}

/* A raw answer to Metadata; the script changes it. */
struct raw {
	struct bytes good; /* of the first answer, ours */
	size_t cut;        /* send so many bytes */
	size_t flip_at;    /* change this byte */
	uint8_t flip;
};

static enum scripted_act answer_raw(void *arg, struct scripted_request *q, void *answer)
{
	struct raw *s = arg;
	int topics = 2;
	rig_answer_metadata(&topics, q, answer);
	struct wire_out out;
	scripted_encode(q, answer, &out);
	if (s->good.p == NULL)
		s->good = bytes_of(mem_strndup(buf_bytes(&out.buf)), out.buf.len);
	size_t n = s->cut < out.buf.len ? s->cut : out.buf.len;
	uint8_t *p = arena_zalloc(q->arena, out.buf.len, 1);
	memcpy(p, out.buf.p, out.buf.len);
	if (s->flip_at < n)
		p[s->flip_at] ^= s->flip;
	q->raw = bytes_of(p, n);
	wire_out_fini(&out);
	return SCRIPTED_RAW;
}

/* One request against a changed answer: exactly one completion, and the rpc is dead or well. */
static enum err try_raw(struct rig *rig)
{
	struct rig_call call = {0};
	if (rig->rpc == NULL || !rpc_ready(rig->rpc)) {
		if (rig->rpc != NULL)
			rig_close(rig);
		rig_open_ready(rig);
	}
	assert_int_equal(rig_metadata(rig, &call, LONG_MS), ERR_OK);
	rig_wait(rig, &call.done, 1);
	assert_int_equal(call.done, 1);
	if (call.e != ERR_OK)
		rig_says(call.why.text, rpc_name(rig->rpc));
	assert_int_equal(rpc_in_flight(rig->rpc), 0);
	assert_int_equal(rig->dead, rpc_ready(rig->rpc) ? 0 : 1);
	return call.e;
}

static void test_every_prefix_and_changed_byte_of_an_answer(void **state)
{
	struct rig *rig = *state;
	struct raw s = {.cut = SIZE_MAX, .flip_at = SIZE_MAX};
	scripted_peer_on(rig->peer, WIRE_API_METADATA, answer_raw, &s);
	assert_int_equal(try_raw(rig), ERR_OK);
	size_t n = s.good.n;
	for (s.cut = 0; s.cut < n; s.cut++)
		assert_int_equal(try_raw(rig), ERR_MALFORMED);
	s.cut = SIZE_MAX;
	for (s.flip_at = 0; s.flip_at < n; s.flip_at++)
		for (unsigned k = 0; k < 3; k++) {
			s.flip = (uint8_t[]){0x01, 0x80, 0xff}[k];
			enum err e = try_raw(rig);
			assert_true(e == ERR_OK || e == ERR_MALFORMED || e == ERR_LIMIT ||
				    e == ERR_NOMEM);
			assert_true(s.flip_at >= 4 || e == ERR_MALFORMED);
		}
	mem_free((void *)(uintptr_t)s.good.p);
}

static void test_malformed_answer_names_field_and_byte(void **state)
{
	struct rig *rig = *state;
	struct raw s = {.cut = 20, .flip_at = SIZE_MAX};
	struct rig_call call = {0};
	scripted_peer_on(rig->peer, WIRE_API_METADATA, answer_raw, &s);
	rig_open_ready(rig);
	assert_int_equal(rig_metadata(rig, &call, LONG_MS), ERR_OK);
	rig_wait(rig, &rig->dead, 1);
	rig_says(call.why.text, "answer to Metadata v13 did not decode: ");
	rig_says(call.why.text, "byte");
	mem_free((void *)(uintptr_t)s.good.p);
}

/* The answer to a request that does not exist yet lies in wait: were it taken for the answer, the
 * request's records would be freed while they are being sent. */
static enum scripted_act answer_ahead(void *arg, struct scripted_request *q, void *answer)
{
	(void)arg;
	struct wire_out out[2];
	struct produce_response m;
	struct scripted_request ahead = *q;
	ahead.head.api_key = WIRE_API_PRODUCE;
	ahead.head.api_version = 9;
	ahead.head.correlation_id = 1;
	wire_init(&wire_produce_response, &m);
	scripted_peer_api_versions(q->peer, q, answer);
	scripted_encode(q, answer, &out[0]);
	scripted_encode(&ahead, &m, &out[1]);
	size_t n = 0;
	uint8_t *p = arena_zalloc(q->arena, 8 + out[0].buf.len + out[1].buf.len, 1);
	for (int i = 0; i < 2; i++) {
		be32_put(p + n, (uint32_t)out[i].buf.len);
		memcpy(p + n + 4, out[i].buf.p, out[i].buf.len);
		n += 4 + out[i].buf.len;
		wire_out_fini(&out[i]);
	}
	q->raw = bytes_of(p, n);
	return SCRIPTED_BYTES;
}

struct produce_fate {
	unsigned done;
	enum err e;
	struct errmsg why;
	uint8_t *records;
};

static void produce_done(void *arg, enum err e, const struct errmsg *why,
			 const struct rpc_reply *reply)
{
	struct produce_fate *f = arg;
	assert_null(reply);
	f->done++;
	f->e = e;
	f->why = *why;
	mem_free(f->records); /* with ASan: who reads them now is caught */
}

static struct produce_fate early;

static void produce_on_ready(struct rig *rig)
{
	enum { RECORDS = 1 << 20 };
	struct produce_request_partition_produce_data part;
	struct produce_request_topic_produce_data topic;
	struct produce_request m;
	memset(&part, 0, sizeof part);
	memset(&topic, 0, sizeof topic);
	wire_init(&wire_produce_request, &m);
	early.records = mem_zalloc(1, RECORDS);
	part.records.data = bytes_of(early.records, RECORDS);
	topic.name = bytes_str("t");
	topic.partition_data = &part;
	topic.partition_data_n = 1;
	m.topic_data = &topic;
	m.topic_data_n = 1;
	m.acks = -1;
	assert_int_equal(
		rpc_call(rig->rpc, WIRE_API_PRODUCE, 9, 9, &m, LONG_MS, produce_done, &early, NULL),
		ERR_OK);
}

static void test_an_answer_before_its_request(void **state)
{
	struct rig *rig = *state;
	early = (struct produce_fate){0};
	rig->on_ready = produce_on_ready;
	scripted_peer_on(rig->peer, WIRE_API_API_VERSIONS, answer_ahead, NULL);
	rig_open(rig);
	rig_wait(rig, &rig->dead, 1);
	rig_settle(rig);
	assert_int_equal(early.done, 1);
	assert_int_equal(early.e, ERR_MALFORMED);
	rig_says(early.why.text, "answered before it was sent");
}

int main(void)
{
#define RIG(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		RIG(test_kafka_4_1),
		RIG(test_kafka_2_1),
		RIG(test_fall_back_to_what_error_35_names),
		RIG(test_error_35_with_an_unreadable_rest),
		RIG(test_no_common_version_of_api_versions),
		RIG(test_api_versions_refused),
		RIG(test_odd_version_lists),
		RIG(test_who_we_say_we_are),
		RIG(test_refused_calls),
		RIG(test_many_in_flight_complete_in_order),
		RIG(test_calls_from_completions),
		RIG(test_slices_live_with_the_frame),
		RIG(test_an_answer_over_decode_max_fails_alone),
		RIG(test_deadline_kills_the_rpc),
		RIG(test_deadline_of_an_answered_request),
		RIG(test_deadline_of_the_opening_talk),
		RIG(test_extreme_timeouts),
		RIG(test_close_completes_from_the_loop),
		RIG(test_close_from_a_completion),
		RIG(test_close_from_a_failed_completion),
		RIG(test_close_from_on_ready),
		RIG(test_close_at_once),
		RIG(test_a_broker_that_hangs_up_at_once),
		RIG(test_a_sasl_listener_without_sasl),
		RIG(test_misbehaviour),
		RIG(test_every_prefix_and_changed_byte_of_an_answer),
		RIG(test_malformed_answer_names_field_and_byte),
		RIG(test_an_answer_before_its_request),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
