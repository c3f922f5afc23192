/* SPDX-License-Identifier: Apache-2.0 */
/* See cluster.h. */
#include "tests/unit/client/cluster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/mem.h"

static int64_t cluster_mono_ms(void *ctx)
{
	const struct cluster *t = ctx;
	return clock_mono_ms(clock_system()) + t->skew_ms;
}

static int64_t cluster_wall_ms(void *ctx)
{
	(void)ctx;
	return clock_wall_ms(clock_system());
}

static uint64_t cluster_random(void *ctx)
{
	struct cluster *t = ctx;
	return rng_u64(&t->rng);
}

static void answer_brokers(const struct cluster *t, struct scripted_request *q,
			   struct metadata_response *m)
{
	m->brokers = wire_array_new(q->arena, &wire_metadata_response_metadata_response_broker,
				    BROKERS_MAX);
	m->brokers_n = 0;
	for (size_t i = 0; i < t->peers_n; i++) {
		if (t->hidden[i])
			continue;
		struct metadata_response_metadata_response_broker *b = &m->brokers[m->brokers_n++];
		b->node_id = (int32_t)i;
		b->host = bytes_str("127.0.0.1");
		b->port = t->advertised[i];
		if (b->port == 0)
			b->port = scripted_peer_port(t->peers[i]);
	}
}

static void answer_topic(const struct test_topic *from, struct scripted_request *q,
			 struct metadata_response_metadata_response_topic *to)
{
	to->name = bytes_str(from->name);
	to->error_code = from->error;
	if (q->head.api_version >= 10)
		to->topic_id.b[0] = from->id;
	to->partitions = wire_array_new(
		q->arena, &wire_metadata_response_metadata_response_partition, PARTS_MAX);
	to->partitions_n = from->n;
	for (int32_t i = 0; i < from->n; i++) {
		to->partitions[i].partition_index = i + from->index[i];
		to->partitions[i].leader_id = from->leader[i];
		if (q->head.api_version >= 7)
			to->partitions[i].leader_epoch = from->epoch[i];
	}
}

static bool is_asked(const struct metadata_request *r, const char *name)
{
	if (r->topics_n < 0)
		return true;
	for (int32_t i = 0; i < r->topics_n; i++) {
		if (bytes_eq_str(r->topics[i].name, name))
			return true;
	}
	return false;
}

static enum scripted_act answer_metadata(void *arg, struct scripted_request *q, void *answer)
{
	struct cluster *t = arg;
	struct metadata_response *m = answer;
	const struct metadata_request *r = q->msg;
	t->asked_n = r->topics_n;
	t->asked_auto_create = r->allow_auto_topic_creation;
	for (int32_t i = 0; i < r->topics_n && i < TOPICS_MAX; i++)
		snprintf(t->asked[i], sizeof t->asked[i], "%.*s", (int)r->topics[i].name.n,
			 (const char *)r->topics[i].name.p);
	answer_brokers(t, q, m);
	m->controller_id = t->controller;
	if (q->head.api_version >= 2)
		m->cluster_id = bytes_str(t->id);
	if (q->head.api_version >= 13)
		m->error_code = t->error;
	m->topics = wire_array_new(q->arena, &wire_metadata_response_metadata_response_topic,
				   TOPICS_MAX);
	m->topics_n = 0;
	for (size_t i = 0; i < TOPICS_MAX && t->topics[i].name != NULL; i++) {
		if (is_asked(r, t->topics[i].name))
			answer_topic(&t->topics[i], q, &m->topics[m->topics_n++]);
	}
	return SCRIPTED_ANSWER;
}

static enum scripted_act answer_list_groups(void *arg, struct scripted_request *q, void *answer)
{
	(void)arg;
	(void)q;
	(void)answer;
	return SCRIPTED_ANSWER;
}

static void cluster_start(struct cluster *t, size_t i, uint16_t port)
{
	struct scripted_options o = {.port = port, .tls = t->server_tls};
	t->peers[i] = scripted_peer_new(t->loop, &o);
	scripted_peer_on(t->peers[i], WIRE_API_METADATA, answer_metadata, t);
	scripted_peer_on(t->peers[i], WIRE_API_LIST_GROUPS, answer_list_groups, t);
}

void cluster_init(struct cluster *t, size_t n)
{
	struct errmsg why = {0};
	*t = (struct cluster){.id = "cluster-1"};
	t->clock = (struct clock){cluster_mono_ms, cluster_wall_ms, cluster_random, t};
	t->log_fd = memfd_create("log", 0);
	t->log = log_new(t->log_fd, LOG_DEBUG, clock_system());
	assert_true(t->log_fd >= 0 && t->log != NULL);
	assert_int_equal(loop_new(2, &t->clock, t->log, &t->loop, &why), ERR_OK);
	t->peers_n = n;
	for (size_t i = 0; i < n; i++)
		cluster_start(t, i, 0);
	t->options = (struct client_options){
		.name = "east",
		.rpc = {.conn = {.frame_max = 64 << 20,
				 .connect_timeout_ms = 5000,
				 .user_timeout_ms = 5000},
			.client_id = "test"},
		.request_timeout_ms = 5000,
		.metadata_max_age_ms = 300000,
		.backoff_min_ms = 10,
		.backoff_max_ms = 100,
		.metadata_max = 1 << 20,
	};
}

void cluster_fini(struct cluster *t)
{
	client_free(t->client);
	for (size_t i = 0; i < t->peers_n; i++)
		scripted_peer_free(t->peers[i]);
	loop_free(t->loop);
	log_free(t->log);
	close(t->log_fd);
}

static void cluster_on_metadata(void *arg)
{
	struct cluster *t = arg;
	t->applied++;
}

void cluster_client(struct cluster *t)
{
	struct errmsg why = {0};
	if (t->options.bootstrap == NULL) {
		for (size_t i = 0; i < t->peers_n; i++) {
			snprintf(t->bootstrap[i], sizeof t->bootstrap[i], "127.0.0.1:%u",
				 scripted_peer_port(t->peers[i]));
			t->bootstrap_list[i] = t->bootstrap[i];
		}
		t->options.bootstrap = t->bootstrap_list;
		t->options.bootstrap_n = t->peers_n;
	}
	enum err e = client_new(t->loop, &t->options, &t->client, &why);
	if (e != ERR_OK)
		fail_msg("%s", why.text);
	client_on_metadata(t->client, cluster_on_metadata, t);
}

void cluster_client_ready(struct cluster *t)
{
	cluster_client(t);
	cluster_wait(t, &t->applied, 1);
}

void cluster_kill(struct cluster *t, size_t broker)
{
	if (t->advertised[broker] == 0)
		t->advertised[broker] = scripted_peer_port(t->peers[broker]);
	scripted_peer_free(t->peers[broker]);
	t->peers[broker] = NULL;
}

void cluster_restart(struct cluster *t, size_t broker)
{
	cluster_start(t, broker, t->advertised[broker]);
}

static void cluster_wait_until(struct cluster *t, const unsigned *what, unsigned n,
			       bool (*fn)(struct cluster *t))
{
	int64_t end = clock_mono_ms(clock_system()) + 10000;
	while (fn == NULL ? *what < n : !fn(t)) {
		if (clock_mono_ms(clock_system()) > end)
			fail_msg("nothing happened in 10 s");
		loop_turn(t->loop, 5);
	}
}

void cluster_wait(struct cluster *t, const unsigned *what, unsigned n)
{
	cluster_wait_until(t, what, n, NULL);
}

void cluster_wait_for(struct cluster *t, bool (*fn)(struct cluster *t))
{
	cluster_wait_until(t, NULL, 0, fn);
}

void cluster_settle(struct cluster *t)
{
	int64_t end = clock_mono_ms(clock_system()) + 60;
	while (clock_mono_ms(clock_system()) < end)
		loop_turn(t->loop, 2);
}

unsigned cluster_logged(const struct cluster *t, const char *part)
{
	char text[64 * 1024];
	ssize_t n = pread(t->log_fd, text, sizeof text - 1, 0);
	unsigned hits = 0;
	assert_true(n >= 0);
	text[n] = '\0';
	for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part))
		hits++;
	return hits;
}

void cluster_refresh(struct cluster *t)
{
	unsigned n = t->applied;
	client_metadata_refresh(t->client);
	cluster_wait(t, &t->applied, n + 1);
}

static void fate_done(void *arg, enum err e, const struct errmsg *why,
		      const struct rpc_reply *reply)
{
	struct fate *f = arg;
	f->done++;
	f->e = e;
	if (why != NULL)
		f->why = *why;
	assert_true((e == ERR_OK) == (reply != NULL));
	if (reply != NULL)
		f->version = reply->version;
	if (f->then != NULL)
		f->then(f);
}

void fate_call(struct fate *f, struct cluster *t, int32_t node, uint8_t channel, int64_t timeout_ms)
{
	f->t = t;
	f->done = 0;
	wire_init(&wire_list_groups_request, &f->msg);
	client_call(t->client, &(struct client_call){.node = node,
						     .channel = channel,
						     .api_key = WIRE_API_LIST_GROUPS,
						     .msg = &f->msg,
						     .timeout_ms = timeout_ms,
						     .done = fate_done,
						     .arg = f});
	assert_int_equal(f->done, 0);
}
