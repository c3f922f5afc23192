/* SPDX-License-Identifier: Apache-2.0 */
/* Bootstrap, connections, routing and calls of the client, against scripted brokers. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/client/cluster.h"

static void says(const struct errmsg *why, const char *part)
{
	if (strstr(why->text, part) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", why->text, part);
}

/* A loopback port that refuses connections. */
static uint16_t dead_port(int *hold)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t n = sizeof a;
	*hold = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(*hold, (struct sockaddr *)&a, n), 0);
	assert_int_equal(getsockname(*hold, (struct sockaddr *)&a, &n), 0);
	return ntohs(a.sin_port);
}

/* ---- bootstrap ---- */

static void test_bootstrap_bad_entry(void **state)
{
	(void)state;
	static const char *const bad[] = {"",     "nohost", "h:",    "h:0",  "h:65536",
					  "h:1x", ":9092",  "h h:1", "h:-1", "h: 1"};
	struct cluster t;
	cluster_init(&t, 1);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct errmsg why = {0};
		struct client *c;
		t.options.bootstrap = &bad[i];
		t.options.bootstrap_n = 1;
		assert_int_equal(client_new(t.loop, &t.options, &c, &why), ERR_CONFIG);
		says(&why, "cluster east: ");
		says(&why, bad[i]);
	}
	struct errmsg why = {0};
	struct client *c;
	t.options.bootstrap_n = 0;
	assert_int_equal(client_new(t.loop, &t.options, &c, &why), ERR_CONFIG);
	cluster_fini(&t);
}

/* F9: connection refused. */
static void test_bootstrap_first_dead(void **state)
{
	(void)state;
	struct cluster t;
	int hold;
	char dead[32], good[32];
	cluster_init(&t, 1);
	snprintf(dead, sizeof dead, "127.0.0.1:%u", dead_port(&hold));
	snprintf(good, sizeof good, "127.0.0.1:%u", scripted_peer_port(t.peers[0]));
	const char *const list[] = {dead, good};
	t.options.bootstrap = list;
	t.options.bootstrap_n = 2;
	struct fate f = {0};
	cluster_client(&t);
	/* Must not fail because of the dead one. */
	fate_call(&f, &t, CLIENT_ANY, 0, 0);
	cluster_wait(&t, &f.done, 1);
	assert_int_equal(f.e, ERR_OK);
	cluster_wait(&t, &t.applied, 1);
	assert_int_equal(client_down_since(t.client), 0);
	close(hold);
	cluster_fini(&t);
}

/* F9: a black hole. A listener whose queue is full drops the SYN. */
static void test_bootstrap_black_hole(void **state)
{
	(void)state;
	struct cluster t;
	int hold, fill[4];
	char dead[32], good[32];
	cluster_init(&t, 1);
	t.options.rpc.conn.connect_timeout_ms = 60000;
	t.options.rpc.conn.user_timeout_ms = 60000;
	uint16_t port = dead_port(&hold);
	assert_int_equal(listen(hold, 0), 0);
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons(port),
				.sin_addr = {htonl(INADDR_LOOPBACK)}};
	for (int i = 0; i < 4; i++) {
		fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)!connect(fill[i], (struct sockaddr *)&a, sizeof a);
	}
	snprintf(dead, sizeof dead, "127.0.0.1:%u", port);
	snprintf(good, sizeof good, "127.0.0.1:%u", scripted_peer_port(t.peers[0]));
	const char *const list[] = {dead, good};
	t.options.bootstrap = list;
	t.options.bootstrap_n = 2;
	cluster_client(&t);
	cluster_settle(&t);
	assert_int_equal(t.applied, 0);
	t.skew_ms += 1500; /* the next one joins long before this one times out */
	cluster_wait(&t, &t.applied, 1);
	for (int i = 0; i < 4; i++)
		close(fill[i]);
	close(hold);
	cluster_fini(&t);
}

static void test_bootstrap_all_dead(void **state)
{
	(void)state;
	struct cluster t;
	int hold;
	char dead[32];
	cluster_init(&t, 0);
	snprintf(dead, sizeof dead, "127.0.0.1:%u", dead_port(&hold));
	const char *const list[] = {dead};
	t.options.bootstrap = list;
	t.options.bootstrap_n = 1;
	struct fate any = {0}, controller = {0}, node = {0};
	struct errmsg why = {0};
	cluster_client(&t);
	assert_true(client_down_since(t.client) > 0);
	assert_int_equal(client_ready(t.client, &why), 0);
	says(&why, "no broker has answered yet");
	fate_call(&any, &t, CLIENT_ANY, 0, 0);
	fate_call(&controller, &t, CLIENT_CONTROLLER, 0, 0);
	fate_call(&node, &t, 7, 0, 0);
	cluster_wait(&t, &any.done, 1);
	cluster_wait(&t, &controller.done, 1);
	assert_int_equal(any.e, ERR_CONNECT);
	says(&any.why, dead);
	assert_int_equal(controller.e, ERR_CONNECT);
	assert_int_equal(node.e, ERR_CONNECT);
	says(&node.why, "broker 7 is not in the metadata of cluster east");
	assert_int_equal(client_ready(t.client, &why), 0);
	says(&why, dead);
	/* The next call waits for the next attempt, and fails with it. */
	fate_call(&any, &t, CLIENT_ANY, 0, 0);
	cluster_wait(&t, &any.done, 1);
	assert_int_equal(any.e, ERR_CONNECT);
	close(hold);
	cluster_fini(&t);
}

static void run_for(struct cluster *t, int64_t ms)
{
	int64_t end = clock_mono_ms(clock_system()) + ms;
	while (clock_mono_ms(clock_system()) < end)
		loop_turn(t->loop, 2);
}

/* While nothing answers there is one attempt per back-off after the first round, however long the
 * list is: not a storm (F9). */
static void test_bootstrap_backs_off(void **state)
{
	(void)state;
	enum { ENTRIES = 20 };
	struct cluster t;
	char address[32];
	const char *list[ENTRIES];
	cluster_init(&t, 1);
	snprintf(address, sizeof address, "127.0.0.1:%u", scripted_peer_port(t.peers[0]));
	for (size_t i = 0; i < ENTRIES; i++)
		list[i] = address;
	t.options.bootstrap = list;
	t.options.bootstrap_n = ENTRIES;
	scripted_peer_deaf(t.peers[0], true);
	t.options.backoff_min_ms = 40;
	t.options.backoff_max_ms = 40;
	cluster_client(&t);
	run_for(&t, 600);
	/* A wait is 20 to 40 ms. */
	assert_in_range(scripted_peer_accepted(t.peers[0]), ENTRIES + 5, ENTRIES + 600 / 20 + 1);
	scripted_peer_deaf(t.peers[0], false);
	cluster_wait(&t, &t.applied, 1);
	cluster_fini(&t);
}

/* The waits of one connection grow. */
static void test_back_off_grows(void **state)
{
	(void)state;
	struct cluster t;
	char address[32];
	cluster_init(&t, 1);
	snprintf(address, sizeof address, "127.0.0.1:%u", scripted_peer_port(t.peers[0]));
	const char *const list[] = {address};
	t.options.bootstrap = list;
	t.options.bootstrap_n = 1;
	t.options.backoff_min_ms = 10;
	t.options.backoff_max_ms = 5000;
	scripted_peer_deaf(t.peers[0], true);
	cluster_client(&t);
	run_for(&t, 800);
	/* 10, 20, 40, ... at most; half as much and less is a matter of luck. */
	assert_in_range(scripted_peer_accepted(t.peers[0]), 4, 25);
	cluster_fini(&t);
}

/* The same for a channel that calls are made on again and again. */
static void test_channel_backs_off(void **state)
{
	(void)state;
	struct cluster t;
	cluster_init(&t, 2);
	t.options.backoff_min_ms = 10;
	t.options.backoff_max_ms = 5000;
	cluster_client_ready(&t);
	scripted_peer_deaf(t.peers[1], true);
	unsigned before = scripted_peer_accepted(t.peers[1]);
	struct fate f = {0};
	int64_t end = clock_mono_ms(clock_system()) + 800;
	f.done = 1;
	while (clock_mono_ms(clock_system()) < end) {
		if (f.done == 1)
			fate_call(&f, &t, 1, CLIENT_CHANNEL_PRODUCE, 60000);
		loop_turn(t.loop, 2);
	}
	assert_in_range(scripted_peer_accepted(t.peers[1]) - before, 4, 25);
	cluster_fini(&t);
}

/* A broker that is advertised at the bootstrap address is known by the connection that is there. */
static void test_seed_is_the_broker(void **state)
{
	(void)state;
	struct cluster t;
	cluster_init(&t, 1);
	cluster_client_ready(&t);
	assert_true(client_connected(t.client, 0, CLIENT_CHANNEL_CONTROL));
	struct fate f = {0};
	fate_call(&f, &t, 0, CLIENT_CHANNEL_CONTROL, 0);
	cluster_wait(&t, &f.done, 1);
	cluster_refresh(&t);
	assert_int_equal(f.e, ERR_OK);
	assert_int_equal(scripted_peer_accepted(t.peers[0]), 1);
	/* The list has the address still: it leads back when the broker was away. */
	cluster_kill(&t, 0);
	cluster_settle(&t);
	assert_int_equal(client_ready(t.client, NULL), 0);
	cluster_restart(&t, 0);
	unsigned n = t.applied;
	cluster_wait(&t, &t.applied, n + 1);
	cluster_fini(&t);
}

/* Once a known broker is connected the bootstrap connection goes. */
static bool one_connection(struct cluster *t)
{
	return scripted_peer_connections(t->peers[0]) == 1 &&
	       scripted_peer_accepted(t->peers[0]) == 2;
}

static void test_seed_is_released(void **state)
{
	(void)state;
	struct cluster t;
	char alias[32];
	cluster_init(&t, 1);
	snprintf(alias, sizeof alias, "127.1:%u", scripted_peer_port(t.peers[0]));
	const char *const list[] = {alias};
	t.options.bootstrap = list;
	t.options.bootstrap_n = 1;
	cluster_client_ready(&t);
	cluster_wait_for(&t, one_connection);
	assert_true(client_connected(t.client, 0, CLIENT_CHANNEL_CONTROL));
	assert_int_equal(client_ready(t.client, NULL), 1);
	cluster_fini(&t);
}

/* F12: the advertised address is of no use: the bootstrap connection serves on. */
static void test_advertised_wrong(void **state)
{
	(void)state;
	struct cluster t;
	int hold;
	cluster_init(&t, 1);
	t.advertised[0] = dead_port(&hold);
	cluster_client_ready(&t);
	struct fate f = {0};
	fate_call(&f, &t, 0, CLIENT_CHANNEL_PRODUCE, 0);
	cluster_wait(&t, &f.done, 1);
	assert_int_equal(f.e, ERR_CONNECT);
	fate_call(&f, &t, CLIENT_ANY, 0, 0);
	cluster_wait(&t, &f.done, 1);
	assert_int_equal(f.e, ERR_OK);
	close(hold);
	cluster_fini(&t);
}

/* F12: all known brokers are gone, the bootstrap name leads to new ones. */
static void test_falls_back_to_bootstrap(void **state)
{
	(void)state;
	struct cluster t;
	cluster_init(&t, 2);
	char first[32];
	snprintf(first, sizeof first, "127.0.0.1:%u", scripted_peer_port(t.peers[0]));
	const char *const list[] = {first};
	t.options.bootstrap = list;
	t.options.bootstrap_n = 1;
	t.hidden[0] = true; /* only node 1 is known */
	cluster_client_ready(&t);
	struct fate f = {0};
	fate_call(&f, &t, 1, 0, 0);
	cluster_wait(&t, &f.done, 1);
	assert_int_equal(f.e, ERR_OK);
	cluster_kill(&t, 1);
	t.hidden[0] = false;
	t.hidden[1] = true;
	unsigned n = t.applied;
	cluster_wait(&t, &t.applied, n + 1);
	fate_call(&f, &t, 0, 0, 0);
	cluster_wait(&t, &f.done, 1);
	assert_int_equal(f.e, ERR_OK);
	fate_call(&f, &t, 1, 0, 0);
	cluster_wait(&t, &f.done, 1);
	assert_int_equal(f.e, ERR_CONNECT);
	cluster_restart(&t, 1);
	cluster_fini(&t);
}

/* KIP-1102 */
static void test_rebootstrap_required(void **state)
{
	(void)state;
	struct cluster t;
	cluster_init(&t, 1);
	cluster_client_ready(&t);
	t.error = 129;
	client_metadata_refresh(t.client);
	while (scripted_peer_accepted(t.peers[0]) < 2)
		loop_turn(t.loop, 5);
	t.error = 0;
	unsigned n = t.applied;
	cluster_wait(&t, &t.applied, n + 1);
	cluster_fini(&t);
}

/* One line when it cannot be reached, one more when the reason changes, one when it can again. */
static void test_log_lines(void **state)
{
	(void)state;
	struct cluster t;
	cluster_init(&t, 1);
	cluster_client_ready(&t);
	cluster_refresh(&t); /* so that the connection has been of use */
	cluster_kill(&t, 0);
	for (int i = 0; i < 20; i++)
		cluster_settle(&t);
	assert_int_equal(cluster_logged(&t, "event=broker_unreachable cluster=east"), 2);
	assert_int_equal(cluster_logged(&t, "node=0 reason="), 1); /* the other is the seed */
	assert_int_equal(cluster_logged(&t, "refused"), 2);
	cluster_restart(&t, 0);
	while (!client_connected(t.client, 0, CLIENT_CHANNEL_CONTROL))
		loop_turn(t.loop, 5);
	assert_int_equal(cluster_logged(&t, "event=broker_reachable cluster=east"),
			 cluster_logged(&t, "node=0 reason=connected") +
				 cluster_logged(&t, "node=-1 reason=connected"));
	assert_int_equal(cluster_logged(&t, "node=0 reason=connected"), 1);
	assert_int_equal(client_down_since(t.client), 0);
	cluster_fini(&t);
}

static void test_log_membership(void **state)
{
	(void)state;
	struct cluster t;
	cluster_init(&t, 2);
	t.hidden[1] = true;
	cluster_client_ready(&t);
	assert_int_equal(cluster_logged(&t, "broker_joined"), 0);
	t.hidden[1] = false;
	cluster_refresh(&t);
	assert_int_equal(cluster_logged(&t, "event=broker_joined cluster=east"), 1);
	t.hidden[1] = true;
	cluster_refresh(&t);
	assert_int_equal(cluster_logged(&t, "event=broker_left cluster=east"), 1);
	cluster_fini(&t);
}

/* ---- calls ---- */

static void test_call_routes(void **state)
{
	(void)state;
	struct cluster t;
	cluster_init(&t, 3);
	t.controller = 2;
	cluster_client_ready(&t);
	struct fate f[4] = {0};
	fate_call(&f[0], &t, 0, CLIENT_CHANNEL_PRODUCE, 0);
	fate_call(&f[1], &t, 1, CLIENT_CHANNEL_FETCH, 0);
	fate_call(&f[2], &t, CLIENT_CONTROLLER, CLIENT_CHANNEL_CONTROL, 0);
	for (int i = 0; i < 3; i++) {
		cluster_wait(&t, &f[i].done, 1);
		assert_int_equal(f[i].e, ERR_OK);
		assert_int_equal(scripted_peer_seen(t.peers[i], WIRE_API_LIST_GROUPS), 1);
	}
	assert_true(client_connected(t.client, 0, CLIENT_CHANNEL_PRODUCE));
	assert_false(client_connected(t.client, 0, CLIENT_CHANNEL_FETCH));
	assert_int_equal(client_version(t.client, 0, WIRE_API_LIST_GROUPS), f[0].version);
	assert_int_equal(client_version(t.client, 9, WIRE_API_LIST_GROUPS), -1);
	cluster_fini(&t);
}

/* A connection that is opened ahead is the one that the first call takes. */
static bool all_open(struct cluster *t)
{
	return client_connected(t->client, 0, CLIENT_CHANNEL_PRODUCE) &&
	       client_connected(t->client, 1, CLIENT_CHANNEL_FETCH);
}

static void test_open_ahead(void **state)
{
	(void)state;
	struct cluster t;
	cluster_init(&t, 2);
	cluster_client_ready(&t);
	client_open(t.client, 0, CLIENT_CHANNEL_PRODUCE);
	client_open(t.client, 0, CLIENT_CHANNEL_PRODUCE);
	client_open(t.client, 1, CLIENT_CHANNEL_FETCH);
	client_open(t.client, 7, CLIENT_CHANNEL_FETCH);
	client_open(t.client, -1, CLIENT_CHANNEL_FETCH);
	cluster_wait_for(&t, all_open);
	unsigned before = scripted_peer_accepted(t.peers[0]);
	client_open(t.client, 0, CLIENT_CHANNEL_PRODUCE);
	struct fate f = {0};
	fate_call(&f, &t, 0, CLIENT_CHANNEL_PRODUCE, 0);
	cluster_wait(&t, &f.done, 1);
	assert_int_equal(f.e, ERR_OK);
	assert_int_equal(scripted_peer_accepted(t.peers[0]), before);
	cluster_fini(&t);
}

static void test_controller_unknown_asks_any(void **state)
{
	(void)state;
	struct cluster t;
	cluster_init(&t, 1);
	t.controller = -1;
	struct fate f = {0};
	cluster_client(&t);
	fate_call(&f, &t, CLIENT_CONTROLLER, 0, 0);
	cluster_wait(&t, &f.done, 1);
	assert_int_equal(f.e, ERR_OK);
	cluster_fini(&t);
}

/* A parked answer on one channel does not hold up another. */
static enum scripted_act never(void *arg, struct scripted_request *q, void *answer)
{
	(void)arg;
	(void)q;
	(void)answer;
	return SCRIPTED_SILENT;
}

static void test_call_times_out(void **state)
{
	(void)state;
	struct cluster t;
	cluster_init(&t, 1);
	cluster_client_ready(&t);
	struct fate f = {0};
	scripted_peer_on(t.peers[0], WIRE_API_LIST_GROUPS, never, NULL);
	fate_call(&f, &t, 0, CLIENT_CHANNEL_PRODUCE, 50);
	cluster_wait(&t, &f.done, 1);
	assert_int_equal(f.e, ERR_TIMEOUT);
	cluster_fini(&t);
}

/* F8: accepted, and then never a word. */
static void test_call_times_out_waiting(void **state)
{
	(void)state;
	struct cluster t;
	int hold;
	char dead[32];
	cluster_init(&t, 0);
	uint16_t port = dead_port(&hold);
	assert_int_equal(listen(hold, 8), 0);
	snprintf(dead, sizeof dead, "127.0.0.1:%u", port);
	const char *const list[] = {dead};
	t.options.bootstrap = list;
	t.options.bootstrap_n = 1;
	cluster_client(&t);
	struct fate slow = {0}, quick = {0};
	fate_call(&slow, &t, CLIENT_ANY, 0, 200);
	fate_call(&quick, &t, CLIENT_ANY, 0, 50);
	cluster_wait(&t, &quick.done, 1);
	assert_int_equal(quick.e, ERR_TIMEOUT);
	says(&quick.why, "no connection within 50 ms");
	assert_int_equal(slow.done, 0);
	cluster_wait(&t, &slow.done, 1);
	assert_int_equal(slow.e, ERR_TIMEOUT);
	close(hold);
	cluster_fini(&t);
}

/* Broker restart: calls in flight fail with a reason, those made after it go to the new life. */
static void test_broker_restart(void **state)
{
	(void)state;
	struct cluster t;
	cluster_init(&t, 2);
	cluster_client_ready(&t);
	struct fate f = {0}, g = {0};
	fate_call(&f, &t, 1, CLIENT_CHANNEL_PRODUCE, 0);
	cluster_wait(&t, &f.done, 1);
	assert_int_equal(f.e, ERR_OK);
	scripted_peer_on(t.peers[1], WIRE_API_LIST_GROUPS, never, NULL);
	fate_call(&f, &t, 1, CLIENT_CHANNEL_PRODUCE, 0);
	cluster_settle(&t);
	cluster_kill(&t, 1);
	cluster_wait(&t, &f.done, 1);
	assert_int_equal(f.e, ERR_CLOSED);
	/* Nobody listens: this one fails with the attempt. */
	fate_call(&f, &t, 1, CLIENT_CHANNEL_PRODUCE, 0);
	cluster_wait(&t, &f.done, 1);
	assert_int_equal(f.e, ERR_CONNECT);
	cluster_restart(&t, 1);
	do {
		fate_call(&g, &t, 1, CLIENT_CHANNEL_PRODUCE, 0);
		cluster_wait(&t, &g.done, 1);
	} while (g.e == ERR_CONNECT);
	assert_int_equal(g.e, ERR_OK);
	cluster_fini(&t);
}

/* A call made from the completion of one that the dying connection failed is not lost. */
static struct fate again;

static void call_again(struct fate *f)
{
	fate_call(&again, f->t, 0, CLIENT_CHANNEL_PRODUCE, 0);
}

static void test_call_from_completion(void **state)
{
	(void)state;
	struct cluster t;
	cluster_init(&t, 1);
	cluster_client_ready(&t);
	struct fate f = {0};
	fate_call(&f, &t, 0, CLIENT_CHANNEL_PRODUCE, 0);
	cluster_wait(&t, &f.done, 1);
	scripted_peer_on(t.peers[0], WIRE_API_LIST_GROUPS, never, NULL);
	f.then = call_again;
	again = (struct fate){0};
	fate_call(&f, &t, 0, CLIENT_CHANNEL_PRODUCE, 0);
	cluster_settle(&t);
	cluster_kill(&t, 0);
	cluster_restart(&t, 0);
	cluster_wait(&t, &again.done, 1);
	assert_int_equal(f.e, ERR_CLOSED);
	assert_int_equal(again.e, ERR_OK);
	cluster_fini(&t);
}

static void test_free_cancels(void **state)
{
	(void)state;
	struct cluster t;
	cluster_init(&t, 2);
	cluster_client_ready(&t);
	struct fate sent = {0}, waiting = {0}, gone = {0};
	scripted_peer_on(t.peers[1], WIRE_API_LIST_GROUPS, never, NULL);
	fate_call(&sent, &t, 1, CLIENT_CHANNEL_PRODUCE, 0);
	cluster_settle(&t);
	fate_call(&waiting, &t, 1, CLIENT_CHANNEL_FETCH, 0);
	fate_call(&gone, &t, 99, 0, 0);
	client_free(t.client);
	t.client = NULL;
	assert_int_equal(sent.done + waiting.done + gone.done, 0);
	cluster_settle(&t);
	assert_int_equal(sent.done, 1);
	assert_int_equal(sent.e, ERR_CANCELED);
	assert_int_equal(waiting.done, 1);
	assert_int_equal(waiting.e, ERR_CANCELED);
	assert_int_equal(gone.done, 1);
	cluster_fini(&t);
}

/* client_free from inside a completion, and from inside the watcher. */
static void free_client(struct fate *f)
{
	client_free(f->t->client);
	f->t->client = NULL;
}

static void free_in_watcher(void *arg)
{
	struct cluster *t = arg;
	t->applied++;
	client_free(t->client);
	t->client = NULL;
}

static void test_free_from_callbacks(void **state)
{
	(void)state;
	struct cluster t;
	cluster_init(&t, 1);
	cluster_client_ready(&t);
	struct fate f = {.then = free_client}, waits = {0};
	fate_call(&f, &t, 0, CLIENT_CHANNEL_PRODUCE, 0);
	fate_call(&waits, &t, 0, CLIENT_CHANNEL_PRODUCE, 0);
	cluster_wait(&t, &f.done, 1);
	cluster_wait(&t, &waits.done, 1);
	assert_int_equal(f.e, ERR_OK);
	t.options.bootstrap = NULL;
	t.applied = 0;
	cluster_client(&t);
	client_on_metadata(t.client, free_in_watcher, &t);
	cluster_wait(&t, &t.applied, 1);
	cluster_settle(&t);
	cluster_fini(&t);
}

static void test_unsupported_api(void **state)
{
	(void)state;
	struct cluster t;
	cluster_init(&t, 1);
	scripted_peer_versions(t.peers[0], WIRE_API_LIST_GROUPS, 0, -1);
	cluster_client_ready(&t);
	struct fate f = {0};
	fate_call(&f, &t, 0, 0, 0);
	cluster_wait(&t, &f.done, 1);
	assert_int_equal(f.e, ERR_UNSUPPORTED);
	cluster_fini(&t);
}

/* Versions of Kafka 2.1. */
static void test_old_broker(void **state)
{
	(void)state;
	struct cluster t;
	cluster_init(&t, 1);
	scripted_peer_versions(t.peers[0], WIRE_API_API_VERSIONS, 0, 2);
	scripted_peer_versions(t.peers[0], WIRE_API_METADATA, 0, 7);
	scripted_peer_versions(t.peers[0], WIRE_API_LIST_GROUPS, 0, 2);
	t.topics[0] = (struct test_topic){.name = "t", .id = 1, .n = 1, .epoch = {3}};
	cluster_client(&t);
	client_follow_all(t.client);
	cluster_wait(&t, &t.applied, 1);
	assert_int_equal(scripted_peer_last_version(t.peers[0], WIRE_API_METADATA), 7);
	assert_false(t.asked_auto_create);
	const struct client_topic *topic = client_topic(t.client, "t");
	assert_non_null(topic);
	assert_true(uuid_is_zero(&topic->id));
	assert_int_equal(topic->partitions[0].leader_epoch, 3);
	struct fate f = {0};
	fate_call(&f, &t, 0, 0, 0);
	cluster_wait(&t, &f.done, 1);
	assert_int_equal(f.version, 2);
	cluster_fini(&t);
}

/* ---- brokers come, go and move ---- */

static bool second_closed(struct cluster *t)
{
	return scripted_peer_connections(t->peers[1]) == 0;
}

static void test_broker_leaves(void **state)
{
	(void)state;
	struct cluster t;
	cluster_init(&t, 2);
	cluster_client_ready(&t);
	struct fate sent = {0}, late = {0};
	scripted_peer_on(t.peers[1], WIRE_API_LIST_GROUPS, never, NULL);
	fate_call(&sent, &t, 1, CLIENT_CHANNEL_PRODUCE, 300);
	cluster_settle(&t);
	t.hidden[1] = true;
	cluster_refresh(&t);
	fate_call(&late, &t, 1, CLIENT_CHANNEL_PRODUCE, 0);
	cluster_wait(&t, &late.done, 1);
	assert_int_equal(late.e, ERR_CONNECT);
	/* What was in flight ends in its own way, then the connection goes. */
	assert_int_equal(sent.done, 0);
	assert_true(scripted_peer_connections(t.peers[1]) > 0);
	cluster_wait(&t, &sent.done, 1);
	assert_int_equal(sent.e, ERR_TIMEOUT);
	cluster_wait_for(&t, second_closed);
	cluster_fini(&t);
}

/* F12: the same node id at another address. */
static void test_broker_moves(void **state)
{
	(void)state;
	struct cluster t;
	cluster_init(&t, 3);
	t.hidden[2] = true;
	cluster_client_ready(&t);
	struct fate f = {0};
	fate_call(&f, &t, 1, CLIENT_CHANNEL_PRODUCE, 0);
	cluster_wait(&t, &f.done, 1);
	assert_int_equal(scripted_peer_seen(t.peers[1], WIRE_API_LIST_GROUPS), 1);
	t.advertised[1] = scripted_peer_port(t.peers[2]);
	cluster_refresh(&t);
	fate_call(&f, &t, 1, CLIENT_CHANNEL_PRODUCE, 0);
	cluster_wait(&t, &f.done, 1);
	assert_int_equal(f.e, ERR_OK);
	assert_int_equal(scripted_peer_seen(t.peers[1], WIRE_API_LIST_GROUPS), 1);
	assert_int_equal(scripted_peer_seen(t.peers[2], WIRE_API_LIST_GROUPS), 1);
	cluster_fini(&t);
}

/* Moves while an answer is out: it is awaited at the old address, the next call uses the new. */
static enum scripted_act later(void *arg, struct scripted_request *q, void *answer)
{
	(void)arg;
	(void)answer;
	q->delay_ms = 100;
	return SCRIPTED_ANSWER;
}

static void test_broker_moves_in_flight(void **state)
{
	(void)state;
	struct cluster t;
	cluster_init(&t, 3);
	t.hidden[2] = true;
	cluster_client_ready(&t);
	struct fate f = {0}, g = {0};
	scripted_peer_on(t.peers[1], WIRE_API_LIST_GROUPS, later, NULL);
	fate_call(&f, &t, 1, CLIENT_CHANNEL_PRODUCE, 0);
	cluster_settle(&t);
	t.advertised[1] = scripted_peer_port(t.peers[2]);
	cluster_refresh(&t);
	fate_call(&g, &t, 1, CLIENT_CHANNEL_PRODUCE, 0);
	cluster_wait(&t, &g.done, 1);
	assert_int_equal(f.done, 1);
	assert_int_equal(f.e, ERR_OK);
	assert_int_equal(g.e, ERR_OK);
	assert_int_equal(scripted_peer_seen(t.peers[2], WIRE_API_LIST_GROUPS), 1);
	cluster_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bootstrap_bad_entry),
		cmocka_unit_test(test_bootstrap_first_dead),
		cmocka_unit_test(test_bootstrap_black_hole),
		cmocka_unit_test(test_bootstrap_all_dead),
		cmocka_unit_test(test_bootstrap_backs_off),
		cmocka_unit_test(test_back_off_grows),
		cmocka_unit_test(test_channel_backs_off),
		cmocka_unit_test(test_seed_is_the_broker),
		cmocka_unit_test(test_seed_is_released),
		cmocka_unit_test(test_advertised_wrong),
		cmocka_unit_test(test_falls_back_to_bootstrap),
		cmocka_unit_test(test_rebootstrap_required),
		cmocka_unit_test(test_log_lines),
		cmocka_unit_test(test_log_membership),
		cmocka_unit_test(test_call_routes),
		cmocka_unit_test(test_open_ahead),
		cmocka_unit_test(test_controller_unknown_asks_any),
		cmocka_unit_test(test_call_times_out),
		cmocka_unit_test(test_call_times_out_waiting),
		cmocka_unit_test(test_broker_restart),
		cmocka_unit_test(test_call_from_completion),
		cmocka_unit_test(test_free_cancels),
		cmocka_unit_test(test_free_from_callbacks),
		cmocka_unit_test(test_unsupported_api),
		cmocka_unit_test(test_old_broker),
		cmocka_unit_test(test_broker_leaves),
		cmocka_unit_test(test_broker_moves),
		cmocka_unit_test(test_broker_moves_in_flight),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
