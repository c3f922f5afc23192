/* SPDX-License-Identifier: Apache-2.0 */
/*
 * F20: the Nth allocation of the client fails, for N = 1, 2, ... until a run needs fewer than N.
 * Whatever fails: no crash, no leak, each call completes once, and since one failure is all there
 * is, the client gets its metadata and its records in the end.
 *
 * The broker runs in a child process, which has memory enough.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/client/fetch.h"
#include "tests/unit/base/fail_alloc.h"
#include "tests/unit/client/cluster.h"

/* ---- the broker ---- */

static enum scripted_act answer_fetch(void *arg, struct scripted_request *q, void *answer)
{
	(void)arg;
	const struct fetch_request *r = q->msg;
	struct fetch_response *a = answer;
	/* No sessions: each request names all partitions. */
	a->responses = wire_array_new(q->arena, &wire_fetch_response_fetchable_topic_response,
				      r->topics_n);
	a->responses_n = r->topics_n;
	for (int32_t i = 0; i < r->topics_n; i++) {
		int32_t n = r->topics[i].partitions_n;
		a->responses[i].topic_id = r->topics[i].topic_id;
		a->responses[i].partitions =
			wire_array_new(q->arena, &wire_fetch_response_partition_data, n);
		a->responses[i].partitions_n = n;
		for (int32_t j = 0; j < n; j++) {
			a->responses[i].partitions[j].partition_index =
				r->topics[i].partitions[j].partition;
			a->responses[i].partitions[j].records.data = bytes_of("data", 4);
		}
	}
	return SCRIPTED_ANSWER;
}

/* Serve in a child until it is killed; gives its process id and the port. */
static pid_t broker_start(uint16_t *port)
{
	int fds[2];
	assert_int_equal(pipe(fds), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid > 0) {
		assert_int_equal(read(fds[0], port, sizeof *port), sizeof *port);
		close(fds[0]);
		close(fds[1]);
		return pid;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	static struct cluster t;
	cluster_init(&t, 1);
	scripted_peer_on(t.peers[0], WIRE_API_FETCH, answer_fetch, NULL);
	t.topics[0] = (struct test_topic){.name = "t", .id = 1, .n = 2};
	uint16_t p = scripted_peer_port(t.peers[0]);
	if (write(fds[1], &p, sizeof p) != sizeof p)
		_exit(1);
	loop_run(t.loop);
	_exit(0);
}

/* ---- the client's life ---- */

struct life {
	struct cluster t; /* without brokers of its own */
	char bootstrap[32];
	const char *list[1];
	struct fetcher *fetcher;
	struct fetch_part *part;
	unsigned results;
	struct fate fate;
};

static void on_result(void *arg, const struct fetch_result *r)
{
	struct life *l = arg;
	assert_int_equal(r->error, ERR_OK);
	assert_true(bytes_eq_str(r->records, "data"));
	l->results++;
	fetch_part_pause(l->part);
}

static void on_round(void *arg, enum err e, const struct errmsg *why, size_t bytes)
{
	(void)arg;
	(void)e;
	(void)why;
	(void)bytes;
}

/* Calls again until one succeeds. */
static void call_until_ok(struct life *l)
{
	do {
		fate_call(&l->fate, &l->t, 0, CLIENT_CHANNEL_PRODUCE, 0);
		cluster_wait(&l->t, &l->fate.done, 1);
		assert_int_equal(l->fate.done, 1);
	} while (l->fate.e != ERR_OK);
}

static void fetch_once(struct life *l)
{
	static const struct fetch_events events = {on_result, on_round};
	const struct fetcher_options o = {
		.node = 0, .channel = CLIENT_CHANNEL_FETCH, .max_bytes = 1000};
	const struct uuid id = {{1}};
	do
		l->fetcher = fetcher_new(l->t.client, &o, &events, l);
	while (l->fetcher == NULL);
	do
		l->part = fetcher_add(l->fetcher, "t", &id, 0, l);
	while (l->part == NULL);
	fetch_part_resume(l->part, 0, -1, -1, 100);
	cluster_wait(&l->t, &l->results, 1);
	fetcher_free(l->fetcher);
}

static void on_metadata(void *arg)
{
	((struct cluster *)arg)->applied++;
}

/* True: the nth allocation failed, there was one. */
static bool live(struct life *l, uint16_t port, long nth)
{
	cluster_init(&l->t, 0);
	snprintf(l->bootstrap, sizeof l->bootstrap, "127.0.0.1:%u", port);
	l->list[0] = l->bootstrap;
	l->t.options.bootstrap = l->list;
	l->t.options.bootstrap_n = 1;
	l->t.options.backoff_min_ms = 1;
	l->t.options.backoff_max_ms = 2;
	fail_alloc_at(nth);
	enum err e;
	do
		e = client_new(l->t.loop, &l->t.options, &l->t.client, &l->fate.why);
	while (e == ERR_NOMEM);
	assert_int_equal(e, ERR_OK);
	client_on_metadata(l->t.client, on_metadata, &l->t);
	do
		e = client_follow_topic(l->t.client, "t");
	while (e == ERR_NOMEM);
	call_until_ok(l);
	while (client_topic(l->t.client, "t") == NULL)
		cluster_wait(&l->t, &l->t.applied, l->t.applied + 1);
	fetch_once(l);
	cluster_fini(&l->t);
	return fail_alloc_off();
}

/* fate_call to node 0 fails until the metadata have come. */
static void test_each_allocation(void **state)
{
	(void)state;
	uint16_t port = 0;
	pid_t pid = broker_start(&port);
	long n = 0;
	bool failed;
	do {
		struct life l = {0};
		failed = live(&l, port, ++n);
	} while (failed);
	/* The test must have had something to fail. */
	assert_true(n > 50);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* Calls that find no memory at all complete with ERR_NOMEM, from the loop. */
static void test_starved_calls(void **state)
{
	(void)state;
	uint16_t port = 0;
	pid_t pid = broker_start(&port);
	struct life l = {0};
	static struct fate fates[100];
	cluster_init(&l.t, 0);
	snprintf(l.bootstrap, sizeof l.bootstrap, "127.0.0.1:%u", port);
	l.list[0] = l.bootstrap;
	l.t.options.bootstrap = l.list;
	l.t.options.bootstrap_n = 1;
	assert_int_equal(client_new(l.t.loop, &l.t.options, &l.t.client, NULL), ERR_OK);
	for (size_t i = 0; i < 100; i++) {
		fail_alloc_at(1);
		fate_call(&fates[i], &l.t, CLIENT_ANY, 0, 0);
		assert_true(fail_alloc_off());
	}
	for (size_t i = 0; i < 100; i++) {
		cluster_wait(&l.t, &fates[i].done, 1);
		assert_int_equal(fates[i].e, ERR_NOMEM);
	}
	/* And when the client goes in between. */
	fail_alloc_at(1);
	fate_call(&fates[0], &l.t, CLIENT_ANY, 0, 0);
	assert_true(fail_alloc_off());
	cluster_fini(&l.t);
	assert_int_equal(fates[0].done, 1);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_allocation),
		cmocka_unit_test(test_starved_calls),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
