/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Out of memory (fault F20): the Nth allocation of a whole life of an rpc fails, N = 1, 2, ...
 * until the life passes untouched. Each ends well or with an error, completions come exactly once,
 * and nothing leaks (ASan). The peer runs in a process of its own, so that only the rpc's side
 * fails.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/net/sasl.h"
#include "tests/unit/net/rpc_rig.h"

/* ---- the Nth allocation fails (linked with --wrap) ---- */

static struct {
	long fail_at; /* 0: never */
	long count;
	bool failed;
} oom;

static bool oom_now(void)
{
	if (oom.fail_at == 0 || ++oom.count != oom.fail_at)
		return false;
	oom.failed = true;
	return true;
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t count, size_t n);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t count, size_t n);
void *__wrap_realloc(void *p, size_t n);

void *__wrap_malloc(size_t n)
{
	return oom_now() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t count, size_t n)
{
	return oom_now() ? NULL : __real_calloc(count, n);
}

void *__wrap_realloc(void *p, size_t n)
{
	return oom_now() ? NULL : __real_realloc(p, n);
}

static void oom_start(long fail_at)
{
	oom.fail_at = fail_at;
	oom.count = 0;
	oom.failed = false;
}

/* True if the Nth allocation was reached. */
static bool oom_stop(void)
{
	oom.fail_at = 0;
	return oom.failed;
}

/* ---- the peer's process ---- */

static enum scripted_act answer_default(void *arg, struct scripted_request *q, void *answer)
{
	(void)arg;
	(void)q;
	(void)answer;
	return SCRIPTED_ANSWER;
}

static void run_peer(int port_fd)
{
	static int topics = 40;
	struct loop *l;
	struct errmsg why;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (loop_new(1, clock_system(), NULL, &l, &why) != ERR_OK)
		_exit(1);
	struct scripted_peer *p = scripted_peer_new(l, NULL);
	scripted_peer_on(p, WIRE_API_METADATA, rig_answer_metadata, &topics);
	scripted_peer_on(p, WIRE_API_SASL_HANDSHAKE, answer_default, NULL);
	scripted_peer_on(p, WIRE_API_SASL_AUTHENTICATE, answer_default, NULL);
	uint16_t port = scripted_peer_port(p);
	if (write(port_fd, &port, sizeof port) != sizeof port)
		_exit(1);
	loop_run(l);
	_exit(0);
}

struct fixture {
	pid_t peer;
	uint16_t port;
	struct loop *loop;
};

static int setup(void **state)
{
	static struct fixture f;
	int pipe_fds[2];
	assert_int_equal(pipe(pipe_fds), 0);
	f.peer = fork();
	assert_true(f.peer >= 0);
	if (f.peer == 0)
		run_peer(pipe_fds[1]);
	assert_int_equal(read(pipe_fds[0], &f.port, sizeof f.port), sizeof f.port);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	struct errmsg why;
	assert_int_equal(loop_new(1, clock_system(), NULL, &f.loop, &why), ERR_OK);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	loop_free(f->loop);
	kill(f->peer, SIGKILL);
	waitpid(f->peer, NULL, 0);
	return 0;
}

/* ---- the life of an rpc ---- */

struct life {
	unsigned ready, dead, started, done, good;
};

static void life_ready(void *arg)
{
	((struct life *)arg)->ready++;
}

static void life_dead(void *arg, enum err e, const struct errmsg *why)
{
	((struct life *)arg)->dead++;
	assert_int_not_equal(e, ERR_OK);
	assert_string_not_equal(why->text, "");
}

static void life_done(void *arg, enum err e, const struct errmsg *why,
		      const struct rpc_reply *reply)
{
	struct life *life = arg;
	life->done++;
	life->good += e == ERR_OK;
	assert_true((e == ERR_OK) == (reply != NULL));
	assert_true(e == ERR_OK || why->text[0] != '\0');
}

static void life_turn(struct fixture *f, const struct life *life, int64_t end)
{
	(void)life;
	if (clock_mono_ms(clock_system()) > end)
		fail_msg("allocation %ld: stuck", oom.fail_at);
	loop_turn(f->loop, 20);
}

static bool life_run(struct fixture *f, const struct rpc_sasl *sasl, long fail_at)
{
	static const struct rpc_events events = {life_ready, life_dead};
	struct rpc_options o = {
		.conn = {.frame_max = 1 << 20, .connect_timeout_ms = 3000, .user_timeout_ms = 3000},
		.client_id = "oom",
		.sasl = *sasl};
	struct life life = {0};
	int64_t end = clock_mono_ms(clock_system()) + 10000;
	oom_start(fail_at);
	struct rpc *r = rpc_open(f->loop, "127.0.0.1", f->port, &o, &events, &life);
	while (r != NULL && life.ready + life.dead == 0)
		life_turn(f, &life, end);
	for (int i = 0; i < 3 && life.ready > 0; i++) {
		struct metadata_request m;
		struct errmsg why = {0};
		wire_init(&wire_metadata_request, &m);
		m.topics_n = -1;
		enum err e = rpc_call(r, WIRE_API_METADATA, 0, INT16_MAX, &m, 5000, life_done,
				      &life, &why);
		life.started += e == ERR_OK;
		assert_true(e == ERR_OK || why.text[0] != '\0');
	}
	while (life.done < life.started)
		life_turn(f, &life, end);
	rpc_close(r);
	for (int i = 0; i < 5; i++)
		loop_turn(f->loop, 0);
	bool failed = oom_stop();
	assert_int_equal(life.done, life.started);
	assert_true(life.ready <= 1 && life.dead <= 1);
	assert_true(failed || (life.ready == 1 && life.dead == 0 && life.good == 3));
	return failed;
}

static void run_lives(struct fixture *f, const struct rpc_sasl *sasl, long at_least)
{
	long n = 1;
	while (life_run(f, sasl, n))
		n++;
	print_message("%ld allocations\n", n - 1);
	assert_true(n > at_least);
}

static void test_plain_connection(void **state)
{
	run_lives(*state, &(struct rpc_sasl){NULL, NULL, NULL}, 20);
}

static void test_sasl_connection(void **state)
{
	run_lives(*state, &(struct rpc_sasl){"PLAIN", "alice", "secret"}, 30);
}

/* ---- a SCRAM exchange ---- */

static enum err scram_steps(struct sasl *s, struct buf *out)
{
	struct errmsg why = {0};
	enum err e = sasl_put(s, out);
	if (e == ERR_OK)
		e = sasl_take(s, bytes_str("r=abcdef,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"), &why);
	if (e == ERR_OK)
		e = sasl_compute(s);
	return e == ERR_OK ? sasl_put(s, out) : e;
}

static void test_scram(void **state)
{
	(void)state;
	const struct rpc_sasl c = {"SCRAM-SHA-512", "alice", "secret"};
	long n = 0;
	bool failed = true;
	while (failed) {
		struct errmsg why = {0};
		struct sasl *s = NULL;
		struct buf out;
		buf_init(&out, SASL_MESSAGE_MAX);
		oom_start(++n);
		enum err e = sasl_new(&c, "abc", &s, &why);
		if (e == ERR_OK)
			e = scram_steps(s, &out);
		failed = oom_stop();
		assert_int_equal(e, failed ? ERR_NOMEM : ERR_OK);
		sasl_free(s);
		buf_fini(&out);
	}
	assert_true(n > 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_plain_connection, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sasl_connection, setup, teardown),
		cmocka_unit_test(test_scram),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
