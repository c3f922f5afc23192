/* SPDX-License-Identifier: Apache-2.0 */
/* Listening: addresses, ports in use, no descriptors left (F21), freeing from the callback. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <netinet/in.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "tests/unit/net/peer.h"

struct fixture {
	struct test_clock clock;
	struct loop *loop;
	struct listener *listener;
	int fds[16];
	unsigned accepted;
	bool free_at_once;
};

static void on_accept(void *arg, int fd)
{
	struct fixture *f = arg;
	assert_true(f->accepted < 16);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	f->fds[f->accepted++] = fd;
	if (f->free_at_once) {
		listener_free(f->listener);
		f->listener = NULL;
	}
}

static int setup(void **state)
{
	struct errmsg why = {0};
	struct fixture *f = mem_zalloc(1, sizeof *f);
	test_clock_init(&f->clock);
	assert_int_equal(loop_new(1, &f->clock.clock, NULL, &f->loop, &why), ERR_OK);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	for (unsigned i = 0; i < f->accepted; i++)
		close(f->fds[i]);
	listener_free(f->listener);
	loop_free(f->loop);
	mem_free(f);
	return 0;
}

static void must_listen(struct fixture *f, const char *host, uint16_t port)
{
	struct errmsg why = {0};
	enum err e = listener_new(f->loop, host, port, on_accept, f, &f->listener, &why);
	if (e != ERR_OK)
		print_error("%s\n", why.text);
	assert_int_equal(e, ERR_OK);
}

static int new_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	return fd;
}

static void start_connect(int fd, uint16_t port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	(void)connect(fd, (const struct sockaddr *)&sa, sizeof sa);
}

static void every_way_to_write_an_address(void **state)
{
	struct fixture *f = *state;
	static const char *const hosts[] = {"127.0.0.1", "", "0.0.0.0", "localhost", "[::]", "::"};
	for (unsigned i = 0; i < 6; i++) {
		int fd = new_socket();
		must_listen(f, hosts[i], 0);
		assert_true(listener_port(f->listener) != 0);
		if (strcmp(hosts[i], "localhost") != 0) { /* may be ::1 */
			start_connect(fd, listener_port(f->listener));
			pump_until(f->loop, &f->accepted, 1);
			close(f->fds[0]);
			f->accepted = 0;
		}
		close(fd);
		listener_free(f->listener);
		f->listener = NULL;
	}
}

static void port_in_use(void **state)
{
	struct fixture *f = *state;
	struct errmsg why = {0};
	struct listener *other = NULL;
	char text[128];
	must_listen(f, "127.0.0.1", 0);
	uint16_t port = listener_port(f->listener);
	assert_int_equal(listener_new(f->loop, "127.0.0.1", port, on_accept, f, &other, &why),
			 ERR_IO);
	snprintf(text, sizeof text, "cannot listen on 127.0.0.1:%u: Address already in use", port);
	assert_string_equal(why.text, text);
	assert_null(other);
}

static void not_an_address(void **state)
{
	struct fixture *f = *state;
	struct errmsg why = {0};
	assert_int_equal(listener_new(f->loop, "no such host", 1, on_accept, f, &f->listener, &why),
			 ERR_CONFIG);
	assert_non_null(strstr(why.text, "cannot listen on no such host:1: "));
	assert_int_equal(listener_new(f->loop, "192.0.2.1", 0, on_accept, f, &f->listener, &why),
			 ERR_IO);
	assert_null(f->listener);
}

/* F21: no descriptor is left. Accepting goes on when there is one again, and nothing spins. */
static void out_of_descriptors(void **state)
{
	struct fixture *f = *state;
	struct rlimit old, none;
	int fd = new_socket();
	must_listen(f, "127.0.0.1", 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	int next = dup(fd); /* the lowest free number */
	close(next);
	none = old;
	none.rlim_cur = (rlim_t)next;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	start_connect(fd, listener_port(f->listener));
	loop_turn(f->loop, 100);
	int64_t start = loop_now_ms(f->loop);
	loop_turn(f->loop, 30); /* waits: the socket is not looked at */
	assert_true(loop_now_ms(f->loop) - start >= 25);
	assert_int_equal(f->accepted, 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	f->clock.ahead_ms += 100;
	pump_until(f->loop, &f->accepted, 1);
	close(fd);
}

static void free_from_the_callback(void **state)
{
	struct fixture *f = *state;
	int a = new_socket(), b = new_socket();
	must_listen(f, "127.0.0.1", 0);
	f->free_at_once = true;
	start_connect(a, listener_port(f->listener));
	start_connect(b, listener_port(f->listener));
	pump_until(f->loop, &f->accepted, 1);
	pump_a_while(f->loop);
	assert_int_equal(f->accepted, 1);
	close(a);
	close(b);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(every_way_to_write_an_address),
		T(port_in_use),
		T(not_an_address),
		T(out_of_descriptors),
		T(free_from_the_callback),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
