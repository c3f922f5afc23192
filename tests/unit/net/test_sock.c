/* SPDX-License-Identifier: Apache-2.0 */
/* Socket options and names, on TCP and on what is not TCP. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/net/sock.h"
#include "tests/unit/net/peer.h"

static int get_int(int fd, int level, int name)
{
	int value = -1;
	socklen_t n = sizeof value;
	assert_int_equal(getsockopt(fd, level, name, &value, &n), 0);
	return value;
}

/* F8: whatever the budget, probes start well before it ends and fill it. */
static void keepalive_fits_the_budget(void **state)
{
	(void)state;
	static const int64_t budgets[] = {1000, 2000, 5000, 10000, 30000, 60000, 600000};
	int fds[2];
	peer_pair(fds);
	for (size_t i = 0; i < sizeof budgets / sizeof budgets[0]; i++) {
		int64_t ms = budgets[i];
		sock_tune(fds[0], &(struct sock_options){.user_timeout_ms = ms});
		int idle = get_int(fds[0], IPPROTO_TCP, TCP_KEEPIDLE);
		int interval = get_int(fds[0], IPPROTO_TCP, TCP_KEEPINTVL);
		int probes = get_int(fds[0], IPPROTO_TCP, TCP_KEEPCNT);
		assert_int_equal(get_int(fds[0], SOL_SOCKET, SO_KEEPALIVE), 1);
		assert_int_equal(get_int(fds[0], IPPROTO_TCP, TCP_USER_TIMEOUT), ms);
		assert_int_equal(get_int(fds[0], IPPROTO_TCP, TCP_NODELAY), 1);
		assert_true(idle >= 1 && interval >= 1 && probes >= 1);
		int64_t whole = 1000 * (idle + (int64_t)interval * probes);
		assert_true(whole <= ms + 1000);
		assert_true(ms < 3000 || whole >= ms * 2 / 3);
	}
	close(fds[0]);
	close(fds[1]);
}

static void no_budget_leaves_the_system_alone(void **state)
{
	(void)state;
	int fds[2];
	peer_pair(fds);
	sock_tune(fds[0], &(struct sock_options){.buffer = 0});
	assert_int_equal(get_int(fds[0], SOL_SOCKET, SO_KEEPALIVE), 0);
	assert_int_equal(get_int(fds[0], IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
	sock_tune(fds[0], &(struct sock_options){.buffer = 100000});
	assert_true(get_int(fds[0], SOL_SOCKET, SO_SNDBUF) >= 100000);
	assert_true(get_int(fds[0], SOL_SOCKET, SO_RCVBUF) >= 100000);
	close(fds[0]);
	close(fds[1]);
}

/* Loopback is near; nothing is nearer than 0; a Unix socket has no round trip. */
static void only_near_peers_are_tuned_for_it(void **state)
{
	(void)state;
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof in;
	int fds[2], listener = socket(AF_INET, SOCK_STREAM, 0),
		    client = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&in, sizeof in), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&in, &n), 0);
	assert_int_equal(connect(client, (struct sockaddr *)&in, sizeof in), 0);
	int fd = accept(listener, NULL, NULL);
	int before = get_int(fd, SOL_SOCKET, SO_SNDBUF);
	assert_false(sock_tune_near(fd, 12345, 0));
	assert_int_equal(get_int(fd, SOL_SOCKET, SO_SNDBUF), before);
	assert_true(sock_tune_near(fd, 12345, 1000000));
	assert_int_equal(get_int(fd, SOL_SOCKET, SO_SNDBUF), 2 * 12345); /* socket(7) */
	char control[16] = "";
	n = sizeof control;
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, control, &n), 0);
	assert_string_equal(control, "reno");
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_false(sock_tune_near(fds[0], 12345, 1000000));
	close(fd);
	close(client);
	close(listener);
	close(fds[0]);
	close(fds[1]);
}

static void a_local_socket_carries_frames_too(void **state)
{
	(void)state;
	static const uint8_t frame[] = {0, 0, 0, 2, 7, 8};
	struct errmsg why = {0};
	struct loop *l;
	struct seen s;
	struct conn_options o = peer_options();
	int fds[2];
	assert_int_equal(loop_new(1, clock_system(), NULL, &l, &why), ERR_OK);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	seen_init(&s, l);
	s.conn = conn_accepted(l, fds[0], &o, &seen_events, &s);
	assert_string_equal(conn_name(s.conn), "local socket");
	peer_send(l, fds[1], frame, sizeof frame);
	pump_until_frames(&s, 1);
	assert_int_equal(s.frames[0]->n, 2);
	close(fds[1]);
	pump_until(l, &s.dead, 1);
	seen_fini(&s);
	loop_free(l);
}

/* SIGPIPE would end this program. */
static void writing_to_nobody_is_an_error(void **state)
{
	(void)state;
	int fds[2];
	size_t n;
	char byte = 'x';
	struct iovec iov = {&byte, 1};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	close(fds[1]);
	assert_int_equal(sock_writev(fds[0], &iov, 1, false, &n), SOCK_FAILED);
	assert_int_equal(errno, EPIPE);
	assert_int_equal(sock_readv(fds[0], &iov, 1, &n), SOCK_EOF);
	close(fds[0]);
}

static void addresses_have_names(void **state)
{
	(void)state;
	char text[64];
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(9092)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(9093)};
	inet_pton(AF_INET, "10.1.2.3", &in.sin_addr);
	inet_pton(AF_INET6, "fd00::1", &in6.sin6_addr);
	sock_format_addr((const struct sockaddr *)&in, true, text, sizeof text);
	assert_string_equal(text, "10.1.2.3:9092");
	sock_format_addr((const struct sockaddr *)&in6, true, text, sizeof text);
	assert_string_equal(text, "[fd00::1]:9093");
	sock_format_addr((const struct sockaddr *)&in6, false, text, sizeof text);
	assert_string_equal(text, "fd00::1");
	sock_format_peer(-1, text, sizeof text);
	assert_string_equal(text, "unknown peer");
}

static void reasons_of_failures(void **state)
{
	(void)state;
	struct errmsg why = {0};
	assert_int_equal(sock_reason(ETIMEDOUT, &why), ERR_TIMEOUT);
	assert_non_null(strstr(why.text, "fell silent"));
	assert_int_equal(sock_reason(ECONNRESET, &why), ERR_CLOSED);
	assert_non_null(strstr(why.text, "reset"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keepalive_fits_the_budget),
		cmocka_unit_test(no_budget_leaves_the_system_alone),
		cmocka_unit_test(only_near_peers_are_tuned_for_it),
		cmocka_unit_test(a_local_socket_carries_frames_too),
		cmocka_unit_test(writing_to_nobody_is_an_error),
		cmocka_unit_test(addresses_have_names),
		cmocka_unit_test(reasons_of_failures),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
