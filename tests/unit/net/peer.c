/* SPDX-License-Identifier: Apache-2.0 */
/* See peer.h. */
#include "tests/unit/net/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/mem.h"

enum { PATIENCE_MS = 10000 };

static int64_t test_mono_ms(void *ctx)
{
	const struct test_clock *c = ctx;
	return clock_mono_ms(clock_system()) + c->ahead_ms;
}

static int64_t test_wall_ms(void *ctx)
{
	(void)ctx;
	return clock_wall_ms(clock_system());
}

static uint64_t test_random(void *ctx)
{
	(void)ctx;
	return 4; /* by a fair die */
}

void test_clock_init(struct test_clock *c)
{
	c->ahead_ms = 0;
	c->clock = (struct clock){test_mono_ms, test_wall_ms, test_random, c};
}

static void told(struct seen *s)
{
	assert_false(s->in_call);
	if (s->then != NULL)
		s->then(s);
}

static void on_open(void *arg)
{
	struct seen *s = arg;
	s->opened++;
	told(s);
}

static void on_frame(void *arg, struct frame *f)
{
	struct seen *s = arg;
	assert_true(s->frames_n < sizeof s->frames / sizeof s->frames[0]);
	s->frames[s->frames_n++] = f;
	told(s);
}

static void on_dead(void *arg, enum err e, const struct errmsg *why)
{
	struct seen *s = arg;
	s->dead++;
	s->e = e;
	s->why = *why;
	told(s);
}

const struct conn_events seen_events = {
	.on_open = on_open, .on_frame = on_frame, .on_dead = on_dead};

void seen_init(struct seen *s, struct loop *l)
{
	memset(s, 0, sizeof *s);
	s->loop = l;
}

void seen_fini(struct seen *s)
{
	conn_close(s->conn);
	s->conn = NULL;
	for (size_t i = 0; i < s->frames_n; i++)
		frame_unref(s->frames[i]);
	s->frames_n = 0;
}

void pump_until(struct loop *l, const unsigned *what, unsigned n)
{
	int64_t end = clock_mono_ms(clock_system()) + PATIENCE_MS;
	while (*what < n) {
		assert_true(clock_mono_ms(clock_system()) < end);
		loop_turn(l, 20);
	}
}

void pump_until_frames(struct seen *s, size_t n)
{
	int64_t end = clock_mono_ms(clock_system()) + PATIENCE_MS;
	while (s->frames_n < n) {
		assert_true(clock_mono_ms(clock_system()) < end);
		loop_turn(s->loop, 20);
	}
}

void pump_a_while(struct loop *l)
{
	for (int i = 0; i < 10; i++)
		loop_turn(l, 2);
}

int peer_listen(uint16_t *port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof sa;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&sa, sizeof sa), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &n), 0);
	*port = ntohs(sa.sin_port);
	return fd;
}

int peer_accept(struct loop *l, int listening)
{
	int64_t end = clock_mono_ms(clock_system()) + PATIENCE_MS;
	for (;;) {
		int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0)
			return fd;
		assert_true(clock_mono_ms(clock_system()) < end);
		loop_turn(l, 5);
	}
}

void peer_pair(int fds[2])
{
	struct sockaddr_in sa;
	socklen_t n = sizeof sa;
	uint16_t port;
	int listening = peer_listen(&port);
	assert_int_equal(getsockname(listening, (struct sockaddr *)&sa, &n), 0);
	fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fds[0], (const struct sockaddr *)&sa, sizeof sa), 0);
	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	fds[1] = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(fds[1] >= 0);
	close(listening);
}

void peer_send(struct loop *l, int fd, const void *p, size_t n)
{
	const uint8_t *at = p;
	while (n > 0) {
		ssize_t put = send(fd, at, n, MSG_NOSIGNAL);
		if (put < 0) {
			assert_int_equal(errno, EAGAIN);
			loop_turn(l, 1);
			continue;
		}
		at += put;
		n -= (size_t)put;
	}
}

void peer_recv(struct loop *l, int fd, void *p, size_t n)
{
	int64_t end = clock_mono_ms(clock_system()) + PATIENCE_MS;
	uint8_t *at = p;
	while (n > 0) {
		ssize_t got = recv(fd, at, n, 0);
		if (got < 0) {
			assert_int_equal(errno, EAGAIN);
			assert_true(clock_mono_ms(clock_system()) < end);
			loop_turn(l, 1);
			continue;
		}
		assert_true(got > 0);
		at += got;
		n -= (size_t)got;
	}
}

void peer_reset(int fd)
{
	const struct linger now = {.l_onoff = 1, .l_linger = 0};
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
	close(fd);
}

struct conn_options peer_options(void)
{
	return (struct conn_options){
		.frame_max = 32u << 20, .connect_timeout_ms = 30000, .user_timeout_ms = 30000};
}

void pattern_fill(uint8_t *p, size_t n, unsigned seed)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(seed + i * 31 + (i >> 8));
}

bool pattern_ok(const uint8_t *p, size_t n, unsigned seed)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != (uint8_t)(seed + i * 31 + (i >> 8)))
			return false;
	return true;
}

void send_pattern(struct seen *s, size_t n, unsigned seed)
{
	struct wire_out out;
	wire_out_init(&out, INT32_MAX, 0);
	uint8_t *p = buf_extend(&out.buf, n);
	assert_non_null(p);
	pattern_fill(p, n, seed);
	s->in_call = true;
	assert_int_equal(conn_send(s->conn, &out, NULL, NULL), ERR_OK);
	s->in_call = false;
	assert_int_equal(out.buf.len, 0);
	wire_out_fini(&out);
}

enum err send_file_range(struct seen *s, struct wire_file file, void (*done)(void *), void *arg)
{
	struct wire_out out;
	wire_out_init(&out, 1 << 20, 1);
	buf_put_str(&out.buf, "head");
	out.splices = mem_zalloc(1, sizeof *out.splices);
	out.splices[0] = (struct wire_splice){.at = 4, .file = file};
	out.splices_n = out.splices_cap = 1;
	out.splice_bytes = file.n;
	buf_put_str(&out.buf, "tail");
	enum err e = conn_send(s->conn, &out, done, arg);
	wire_out_fini(&out);
	return e;
}

int pattern_file(size_t skip, size_t n, unsigned seed)
{
	char name[] = "/tmp/farshore_test_conn_XXXXXX";
	uint8_t *body = mem_zalloc(1, skip + n);
	int fd = mkstemp(name);
	assert_true(fd >= 0);
	unlink(name);
	pattern_fill(body + skip, n, seed);
	assert_int_equal(write(fd, body, skip + n), skip + n);
	mem_free(body);
	return fd;
}
