/* SPDX-License-Identifier: Apache-2.0 */
/* See rpc_rig.h. */
#include "tests/unit/net/rpc_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static int64_t rig_mono_ms(void *ctx)
{
	const struct rig *rig = ctx;
	return clock_mono_ms(clock_system()) + rig->skew_ms;
}

static int64_t rig_wall_ms(void *ctx)
{
	(void)ctx;
	return clock_wall_ms(clock_system());
}

static uint64_t rig_random(void *ctx)
{
	(void)ctx;
	return 4;
}

void rig_init(struct rig *rig)
{
	struct errmsg why = {0};
	*rig = (struct rig){0};
	rig->clock = (struct clock){rig_mono_ms, rig_wall_ms, rig_random, rig};
	assert_int_equal(loop_new(2, &rig->clock, NULL, &rig->loop, &why), ERR_OK);
	rig->peer = scripted_peer_new(rig->loop, NULL);
	rig->options.conn = (struct conn_options){
		.frame_max = 64 << 20, .connect_timeout_ms = 5000, .user_timeout_ms = 5000};
	rig->options.client_id = "test";
	scripted_peer_on(rig->peer, WIRE_API_METADATA, rig_answer_metadata, NULL);
}

void rig_fini(struct rig *rig)
{
	if (rig->rpc != NULL)
		rig_close(rig);
	scripted_peer_free(rig->peer);
	loop_free(rig->loop);
}

static void rig_on_ready(void *arg)
{
	struct rig *rig = arg;
	rig->ready++;
	if (rig->on_ready != NULL)
		rig->on_ready(rig);
}

static void rig_on_dead(void *arg, enum err e, const struct errmsg *why)
{
	struct rig *rig = arg;
	rig->dead++;
	rig->dead_e = e;
	rig->dead_why = *why;
}

void rig_open(struct rig *rig)
{
	static const struct rpc_events events = {rig_on_ready, rig_on_dead};
	rig->ready = rig->dead = 0;
	rig->rpc = rpc_open(rig->loop, "127.0.0.1", scripted_peer_port(rig->peer), &rig->options,
			    &events, rig);
	assert_non_null(rig->rpc);
	assert_int_equal(rig->ready + rig->dead, 0);
}

void rig_open_ready(struct rig *rig)
{
	rig_open(rig);
	rig_wait(rig, &rig->ready, 1);
}

void rig_close(struct rig *rig)
{
	rpc_close(rig->rpc);
	rig->rpc = NULL;
	for (int i = 0; i < 3; i++)
		loop_turn(rig->loop, 0);
}

void rig_wait(struct rig *rig, const unsigned *flag, unsigned n)
{
	int64_t end = clock_mono_ms(clock_system()) + 10000;
	while (*flag < n) {
		if (clock_mono_ms(clock_system()) > end)
			fail_msg("nothing happened in 10 s (dead: %s)", rig->dead_why.text);
		loop_turn(rig->loop, 10);
	}
}

void rig_settle(struct rig *rig)
{
	for (int i = 0; i < 10; i++)
		loop_turn(rig->loop, 1);
}

static void rig_done(void *arg, enum err e, const struct errmsg *why, const struct rpc_reply *reply)
{
	static unsigned order;
	struct rig_call *call = arg;
	call->done++;
	call->order = ++order;
	call->e = e;
	if (why != NULL)
		call->why = *why;
	assert_true((e == ERR_OK) == (reply != NULL));
	if (reply != NULL) {
		call->version = reply->version;
		assert_int_equal(reply->api_key, WIRE_API_METADATA);
		call->topics = ((const struct metadata_response *)reply->msg)->topics_n;
	}
	if (call->then != NULL)
		call->then(call);
}

enum err rig_metadata(struct rig *rig, struct rig_call *call, int64_t timeout_ms)
{
	struct metadata_request m;
	void (*then)(struct rig_call *) = call->then;
	*call = (struct rig_call){.rig = rig, .then = then};
	wire_init(&wire_metadata_request, &m);
	m.topics_n = -1; /* all */
	enum err e = rpc_call(rig->rpc, WIRE_API_METADATA, 1, INT16_MAX, &m, timeout_ms, rig_done,
			      call, &call->why);
	assert_int_equal(call->done, 0);
	return e;
}

enum scripted_act rig_answer_metadata(void *arg, struct scripted_request *q, void *answer)
{
	struct metadata_response *m = answer;
	int n = arg == NULL ? 0 : *(const int *)arg;
	m->topics = wire_array_new(q->arena, &wire_metadata_response_metadata_response_topic, n);
	m->topics_n = n;
	for (int i = 0; i < n; i++)
		m->topics[i].name = bytes_str("topic");
	return SCRIPTED_ANSWER;
}

void rig_says(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", text, part);
}
