/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host names (F12), with getaddrinfo replaced at link time: names that do not exist, several
 * addresses, look-ups that take long while the connection is closed or the loop is freed.
 */
#include <netdb.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "tests/unit/net/peer.h"

int __wrap_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
		       struct addrinfo **out);
int __real_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
		       struct addrinfo **out);

/* What the names of this test stand for. */
static sem_t entered, leave;
static uint16_t ports[2]; /* "two.test" is 127.0.0.1 at each, "slow.test" at the second */

static int loopback(uint16_t port, struct addrinfo **out)
{
	char service[8];
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
				       .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
	snprintf(service, sizeof service, "%u", port);
	return __real_getaddrinfo("127.0.0.1", service, &hints, out);
}

int __wrap_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
		       struct addrinfo **out)
{
	if (host == NULL || strstr(host, ".test") == NULL || hints->ai_flags & AI_NUMERICHOST)
		return __real_getaddrinfo(host, service, hints, out);
	if (strcmp(host, "nowhere.test") == 0)
		return EAI_NONAME;
	if (strcmp(host, "slow.test") == 0) {
		sem_post(&entered);
		sem_wait(&leave);
		return loopback(ports[1], out);
	}
	int rc = loopback(ports[0], out);
	return rc != 0 ? rc : loopback(ports[1], &(*out)->ai_next);
}

struct fixture {
	struct test_clock clock;
	struct loop *loop;
	struct seen seen;
};

static int setup(void **state)
{
	struct errmsg why = {0};
	struct fixture *f = mem_zalloc(1, sizeof *f);
	sem_init(&entered, 0, 0);
	sem_init(&leave, 0, 0);
	test_clock_init(&f->clock);
	assert_int_equal(loop_new(1, &f->clock.clock, NULL, &f->loop, &why), ERR_OK);
	seen_init(&f->seen, f->loop);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	seen_fini(&f->seen);
	loop_free(f->loop);
	sem_destroy(&entered);
	sem_destroy(&leave);
	mem_free(f);
	return 0;
}

static void start(struct fixture *f, const char *host)
{
	struct conn_options o = peer_options();
	f->seen.in_call = true;
	f->seen.conn = conn_connect(f->loop, host, 9092, &o, &seen_events, &f->seen);
	f->seen.in_call = false;
	assert_non_null(f->seen.conn);
}

static void no_such_name(void **state)
{
	struct fixture *f = *state;
	start(f, "nowhere.test");
	pump_until(f->loop, &f->seen.dead, 1);
	assert_int_equal(f->seen.e, ERR_DNS);
	assert_string_equal(
		f->seen.why.text,
		"nowhere.test:9092: host name look-up failed: Name or service not known");
}

static void second_address_is_tried(void **state)
{
	struct fixture *f = *state;
	close(peer_listen(&ports[0])); /* refuses */
	int listening = peer_listen(&ports[1]);
	start(f, "two.test");
	pump_until(f->loop, &f->seen.opened, 1);
	assert_string_equal(conn_name(f->seen.conn), "two.test:9092");
	close(listening);
}

static void all_addresses_refuse(void **state)
{
	struct fixture *f = *state;
	close(peer_listen(&ports[0]));
	close(peer_listen(&ports[1]));
	start(f, "two.test");
	pump_until(f->loop, &f->seen.dead, 1);
	assert_int_equal(f->seen.e, ERR_CONNECT);
	assert_string_equal(f->seen.why.text, "two.test:9092: 127.0.0.1: Connection refused; is a "
					      "broker listening there?");
}

/* F9: the first address is a black hole; it may take its share of the time, not all of it. */
static void a_silent_address_leaves_time_for_the_next(void **state)
{
	struct fixture *f = *state;
	int hole = peer_listen(&ports[0]), listening = peer_listen(&ports[1]), fill[2];
	struct sockaddr_in sa = {.sin_family = AF_INET,
				 .sin_port = htons(ports[0]),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_int_equal(listen(hole, 0), 0);
	for (int i = 0; i < 2; i++) {
		fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)connect(fill[i], (const struct sockaddr *)&sa, sizeof sa);
	}
	start(f, "two.test");
	for (int i = 0; i < 10; i++)
		loop_turn(f->loop, 5);
	assert_int_equal(f->seen.opened + f->seen.dead, 0);
	f->clock.ahead_ms += 15000;
	pump_until(f->loop, &f->seen.opened, 1);
	close(fill[0]);
	close(fill[1]);
	close(hole);
	close(listening);
}

static void close_during_the_look_up(void **state)
{
	struct fixture *f = *state;
	start(f, "slow.test");
	loop_turn(f->loop, 0);
	sem_wait(&entered);
	conn_close(f->seen.conn);
	f->seen.conn = NULL;
	pump_a_while(f->loop); /* the connection is gone, the job is not */
	assert_int_equal(worker_pool_pending(loop_pool(f->loop)), 1);
	sem_post(&leave);
	while (worker_pool_pending(loop_pool(f->loop)) > 0)
		loop_turn(f->loop, 5);
	assert_int_equal(f->seen.opened + f->seen.dead, 0);
}

static void free_the_loop_during_the_look_up(void **state)
{
	struct fixture *f = *state;
	start(f, "slow.test");
	loop_turn(f->loop, 0);
	sem_wait(&entered);
	conn_close(f->seen.conn);
	f->seen.conn = NULL;
	sem_post(&leave);
	/* teardown frees the loop with the job in it */
}

static void look_up_times_out(void **state)
{
	struct fixture *f = *state;
	start(f, "slow.test");
	loop_turn(f->loop, 0);
	sem_wait(&entered);
	f->clock.ahead_ms += 30000;
	pump_until(f->loop, &f->seen.dead, 1);
	assert_int_equal(f->seen.e, ERR_TIMEOUT);
	assert_string_equal(f->seen.why.text,
			    "slow.test:9092: no answer within 30000 ms (host name look-up)");
	sem_post(&leave);
}

static void slow_look_up_connects(void **state)
{
	struct fixture *f = *state;
	int listening = peer_listen(&ports[1]);
	start(f, "slow.test");
	loop_turn(f->loop, 0);
	sem_wait(&entered);
	sem_post(&leave);
	pump_until(f->loop, &f->seen.opened, 1);
	close(listening);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(no_such_name),
		T(second_address_is_tried),
		T(all_addresses_refuse),
		T(a_silent_address_leaves_time_for_the_next),
		T(close_during_the_look_up),
		T(free_the_loop_during_the_look_up),
		T(look_up_times_out),
		T(slow_look_up_connects),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
