/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP server against raw sockets: routes, methods, DNS rebinding, sizes, slow clients and too
 * many of them. Fault F10; attacks "HTTP admin".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "lib/net/http.h"

enum { REPLY_MAX = 1 << 16, CLIENTS = HTTP_CONNECTIONS_MAX + 8 };

struct fixture {
	struct loop *loop;
	struct clock clock;
	int64_t skew_ms;
	struct http_server *server;
	unsigned served;
	char query[256];
	char reply[REPLY_MAX];
	size_t reply_n;
	size_t body_n; /* of /big */
};

static int64_t fixture_mono_ms(void *ctx)
{
	return clock_mono_ms(clock_system()) + ((const struct fixture *)ctx)->skew_ms;
}

static void serve_hello(void *arg, struct http_request *req)
{
	struct fixture *f = arg;
	const char *q = http_request_query(req, "q");
	const char *case_q = http_request_query(req, "Q");
	f->served++;
	snprintf(f->query, sizeof f->query, "%s|%s", q == NULL ? "null" : q,
		 case_q == NULL ? "null" : case_q);
	http_reply(req, 200, "application/json", bytes_str("{\"hello\":1}"));
}

static void serve_error(void *arg, struct http_request *req)
{
	(void)arg;
	http_reply(req, 503, "text/plain", bytes_of("", 0));
}

static void serve_big(void *arg, struct http_request *req)
{
	struct fixture *f = arg;
	char *body = mem_zalloc(1, f->body_n);
	memset(body, 'x', f->body_n);
	f->served++;
	http_reply(req, 200, "text/plain", bytes_of(body, f->body_n));
	mem_free(body);
}

/* Each byte tells its place. */
static char body_at(size_t i)
{
	return (char)('a' + i % 23);
}

static void serve_taken(void *arg, struct http_request *req)
{
	struct fixture *f = arg;
	struct buf body;
	buf_init(&body, f->body_n);
	for (size_t i = 0; i < f->body_n; i++)
		buf_put_u8(&body, (uint8_t)body_at(i));
	f->served++;
	http_reply_take(req, 200, "text/plain", &body);
	assert_null(body.p);
}

static void serve_action(void *arg, struct http_request *req)
{
	static const char *const names[] = {"q"};
	struct fixture *f = arg;
	const char *name = http_request_name(req);
	f->served++;
	snprintf(f->query, sizeof f->query, "%s|%d", name == NULL ? "null" : name,
		 (int)http_request_only(req, names, 1));
	http_reply(req, 200, "application/json", bytes_str("{}"));
}

static void start(struct fixture *f, const char *listen)
{
	struct errmsg why = {0};
	if (http_server_new(f->loop, listen, &f->server, &why) != ERR_OK)
		fail_msg("%s", why.text);
	assert_int_equal(http_server_route(f->server, "/hello", serve_hello, f), ERR_OK);
	assert_int_equal(http_server_route(f->server, "/error", serve_error, f), ERR_OK);
	assert_int_equal(http_server_route(f->server, "/big", serve_big, f), ERR_OK);
	assert_int_equal(http_server_route(f->server, "/taken", serve_taken, f), ERR_OK);
	assert_int_equal(http_server_action(f->server, "/act/*", serve_action, f), ERR_OK);
}

static int setup(void **state)
{
	struct errmsg why = {0};
	struct fixture *f = mem_zalloc(1, sizeof *f);
	f->clock = *clock_system();
	f->clock.mono_ms = fixture_mono_ms;
	f->clock.ctx = f;
	f->body_n = 1000;
	assert_int_equal(loop_new(1, &f->clock, NULL, &f->loop, &why), ERR_OK);
	start(f, "127.0.0.1:0");
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	http_server_free(f->server);
	loop_free(f->loop);
	mem_free(f);
	return 0;
}

/* ---- a client ---- */

static int dial(struct fixture *f)
{
	struct sockaddr_in sa = {.sin_family = AF_INET,
				 .sin_port = htons(http_server_port(f->server)),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

static void say(struct fixture *f, int fd, const char *text, size_t n)
{
	while (n > 0) {
		ssize_t did = send(fd, text, n, MSG_NOSIGNAL);
		if (did < 0)
			return; /* the server hung up */
		text += did;
		n -= (size_t)did;
		loop_turn(f->loop, 0);
	}
}

/* Read until the peer closes (true) or `ms` passed without that. */
static bool hear(struct fixture *f, int fd, int64_t ms)
{
	int64_t end = clock_mono_ms(clock_system()) + ms;
	f->reply_n = 0;
	for (;;) {
		char scratch[65536];
		ssize_t n = recv(fd, scratch, sizeof scratch, 0);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			return true;
		for (ssize_t i = 0; i < n && f->reply_n < REPLY_MAX - 1; i++)
			f->reply[f->reply_n++] = scratch[i];
		f->reply[f->reply_n] = '\0';
		if (n < 0 && clock_mono_ms(clock_system()) > end)
			return false;
		loop_turn(f->loop, 1);
	}
}

/* One request on a connection of its own, to the end of the reply. Returns the status, 0 if the
 * server just closed. */
static int ask_bytes(struct fixture *f, const char *request, size_t n)
{
	int fd = dial(f);
	f->reply[0] = '\0';
	say(f, fd, request, n);
	if (!hear(f, fd, 5000))
		fail_msg("no end of the reply to: %.60s", request);
	close(fd);
	loop_turn(f->loop, 1);
	return f->reply_n < 12 ? 0 : (int)strtol(f->reply + 9, NULL, 10);
}

static int ask(struct fixture *f, const char *request)
{
	return ask_bytes(f, request, strlen(request));
}

static int ask_line(struct fixture *f, const char *line, const char *host)
{
	char request[1024];
	snprintf(request, sizeof request, "%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
		 line, host);
	return ask(f, request);
}

static void reply_says(const struct fixture *f, const char *part)
{
	if (strstr(f->reply, part) == NULL)
		fail_msg("no \"%s\" in: %s", part, f->reply);
}

static const char *reply_body(const struct fixture *f)
{
	const char *end = strstr(f->reply, "\r\n\r\n");
	return end == NULL ? "" : end + 4;
}

/* ---- routes and methods ---- */

static void test_get(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(ask_line(f, "GET /hello", "localhost"), 200);
	assert_string_equal(reply_body(f), "{\"hello\":1}");
	reply_says(f, "Content-Type: application/json\r\n");
	reply_says(f, "Content-Length: 11\r\n");
	reply_says(f, "Cache-Control: no-store\r\n");
	reply_says(f, "X-Content-Type-Options: nosniff\r\n");
	reply_says(f, "Content-Security-Policy: default-src 'self'\r\n");
	assert_int_equal(ask_line(f, "GET /error", "localhost"), 503);
	assert_string_equal(reply_body(f), "");
}

static void test_head(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(ask_line(f, "HEAD /hello", "localhost"), 200);
	assert_string_equal(reply_body(f), "");
	reply_says(f, "Content-Length: 11\r\n");
	assert_null(strstr(strstr(f->reply, "Content-Length") + 1, "Content-Length"));
}

static void test_other_methods(void **state)
{
	struct fixture *f = *state;
	static const char *const lines[] = {
		"POST /hello",  "PUT /hello",   "DELETE /hello",   "OPTIONS /hello",
		"TRACE /hello", "PATCH /hello", "PROPFIND /hello",
	};
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		assert_int_equal(ask_line(f, lines[i], "localhost"), 405);
		reply_says(f, "Allow: GET, HEAD\r\n");
		reply_says(f, "X-Content-Type-Options: nosniff\r\n");
	}
	assert_int_equal(ask_line(f, "BREW /hello", "localhost"), 405);
	assert_int_equal(ask_line(f, "get /hello", "localhost"), 405);
	assert_int_equal(f->served, 0);
}

static void test_actions(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(ask_line(f, "POST /act/a", "localhost"), 403);
	reply_says(f, "X-Farshore: 1");
	assert_int_equal(ask_line(f, "GET /act/a", "localhost"), 405);
	reply_says(f, "Allow: POST\r\n");
	assert_int_equal(ask_line(f, "POST /act/a", "localhost\r\nX-Farshore: 2"), 403);
	assert_int_equal(ask_line(f, "POST /act/a", "evil.example\r\nX-Farshore: 1"), 403);
	assert_int_equal(f->served, 0);
	assert_int_equal(ask_line(f, "POST /act/a%3Eb?q=1", "localhost\r\nX-Farshore: 1"), 200);
	assert_string_equal(f->query, "a>b|1");
	assert_int_equal(ask_line(f, "POST /act/%00?x=1", "localhost\r\nX-Farshore: 1"), 200);
	assert_string_equal(f->query, "null|0");
	assert_int_equal(f->served, 2);
}

static void test_exact_paths(void **state)
{
	struct fixture *f = *state;
	static const char *const lines[] = {
		"GET /",
		"GET /hello/",
		"GET //hello",
		"GET /hello/..%2f",
		"GET /%68ello",
		"GET /x/../hello",
		"GET /HELLO",
		"GET /hello;x=1",
		"GET /hello%00",
		"GET hello",
		"GET *",
		"GET /hello%",
		"GET ?q=1",
		"GET /./hello",
		"CONNECT /nowhere:1",
	};
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		int status = ask_line(f, lines[i], "localhost");
		if (status != 404 && status != 400)
			fail_msg("%s: %d", lines[i], status);
	}
	assert_int_equal(f->served, 0);
	assert_int_equal(ask_line(f, "GET /nothing", "localhost"), 404);
	reply_says(f, "  /hello\n  /error\n");
	assert_int_equal(ask_line(f, "GET http://localhost/hello", "localhost"), 200);
}

static void test_query(void **state)
{
	struct fixture *f = *state;
	static const char *const cases[][2] = {
		{"GET /hello", "null|null"},
		{"GET /hello?", "null|null"},
		{"GET /hello?q=a%20b%26c", "a b&c|null"},
		{"GET /hello?x=1&q=two&Q=three", "two|three"},
		{"GET /hello?q=", "|null"},
		{"GET /hello?q=1&q=2", "1|null"},
		{"GET /hello?q=%zz", "null|null"},
		{"GET /hello?q", "|null"},
		{"GET /hello?=&=&", "null|null"},
		{"GET /hello?q=%00secret", "null|null"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(ask_line(f, cases[i][0], "localhost"), 200);
		assert_string_equal(f->query, cases[i][1]);
	}
}

static void test_keep_alive(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);
	static const char one[] = "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n";
	for (int i = 0; i < 3; i++) {
		say(f, fd, one, sizeof one - 1);
		assert_false(hear(f, fd, 30));
		assert_string_equal(reply_body(f), "{\"hello\":1}");
		reply_says(f, "Connection: keep-alive\r\n");
	}
	assert_int_equal(f->served, 3);
	assert_int_equal(http_server_connections(f->server), 1);
	close(fd);
	assert_int_equal(ask(f, "GET /hello HTTP/1.0\r\n\r\n"), 200);
	reply_says(f, "Connection: close\r\n");
}

static void test_pipelined_requests(void **state)
{
	struct fixture *f = *state;
	struct buf b;
	buf_init(&b, 1 << 16);
	for (int i = 0; i < 100; i++)
		buf_put_str(&b, "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n");
	buf_put_str(&b, "GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
	buf_put_str(&b, "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"); /* not served */
	int fd = dial(f);
	say(f, fd, (const char *)b.p, b.len);
	assert_true(hear(f, fd, 3000));
	assert_int_equal(f->served, 101);
	close(fd);
	buf_fini(&b);
}

/* ---- DNS rebinding ---- */

static void test_host_check_on_loopback(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *host;
		int status;
	} cases[] = {
		{"localhost", 200},
		{"LocalHost:8080", 200},
		{"127.0.0.1", 200},
		{"127.0.0.1:1", 200},
		{"[::1]", 200},
		{"[::1]:9090", 200},
		{"evil.example", 403},
		{"evil.example:80", 403},
		{"localhost.evil.example", 403},
		{"127.0.0.1.nip.io", 403},
		{"127.0.0.2", 403},
		{"[::2]", 403},
		{"[::1", 403},
		{"[::1]x", 403},
		{"localhost:80x", 403},
		{"localhost:80:80", 403},
		{"user@localhost", 403},
		{":80", 403},
		{"localhost, evil", 403},
		{"0.0.0.0", 403},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int status = ask_line(f, "GET /hello", cases[i].host);
		if (status != cases[i].status)
			fail_msg("Host %s: %d", cases[i].host, status);
	}
	assert_int_equal(ask_line(f, "GET /nothing", "evil.example"), 403);
	assert_null(strstr(f->reply, "/hello"));
	/* The target's host counts, not the header's. */
	assert_int_equal(ask_line(f, "GET http://evil.example/hello", "localhost"), 403);
	assert_int_equal(ask_line(f, "GET http://localhost:1/hello", "evil.example"), 200);
}

static void test_no_host_check_elsewhere(void **state)
{
	struct fixture *f = *state;
	http_server_free(f->server);
	start(f, "0.0.0.0:0");
	assert_int_equal(ask_line(f, "GET /hello", "metrics.example:9090"), 200);
}

static void test_listen_addresses(void **state)
{
	struct fixture *f = *state;
	struct errmsg why = {0};
	struct http_server *s = NULL;
	static const char *const good[] = {"localhost:0", "[::1]:0", ":0", "[::]:0", "127.0.0.2:0"};
	static const char *const bad[] = {
		"",         "8080",           "127.0.0.1",     "127.0.0.1:",
		"::1:8080", "127.0.0.1:x",    "1.2.3.4:-1",    "1.2.3.4:65536",
		"[::1]",    "no such name:1", "1.2.3.4:999999"};
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		if (http_server_new(f->loop, good[i], &s, &why) != ERR_OK)
			fail_msg("%s: %s", good[i], why.text);
		assert_true(http_server_port(s) > 0);
		http_server_free(s);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		enum err e = http_server_new(f->loop, bad[i], &s, &why);
		if (e != ERR_CONFIG)
			fail_msg("%s: %s", bad[i], err_name(e));
		assert_non_null(strstr(why.text, bad[i]));
	}
	char taken[64];
	snprintf(taken, sizeof taken, "127.0.0.1:%u", http_server_port(f->server));
	assert_int_equal(http_server_new(f->loop, taken, &s, &why), ERR_IO);
	assert_non_null(strstr(why.text, taken));
	assert_non_null(strstr(why.text, "in use"));
	http_server_free(NULL);
}

/* ---- hostile clients ---- */

static void test_bodies(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(ask(f,
			     "GET /hello HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n"
			     "GET /hello HTTP/1.1\r\n"),
			 400);
	assert_int_equal(ask(f, "GET /hello HTTP/1.1\r\nHost: localhost\r\n"
				"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
			 400);
	assert_int_equal(ask(f, "POST /hello HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n"
				"\r\nabc"),
			 405);
	assert_int_equal(ask(f, "POST /hello HTTP/1.1\r\nHost: localhost\r\n"
				"Content-Length: 99999999999\r\n\r\nabc"),
			 405);
	/* What follows a refused body is never taken for a request. */
	assert_int_equal(ask(f, "GET /nothing HTTP/1.1\r\nHost: localhost\r\n"
				"Content-Length: 45\r\n\r\n"
				"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"),
			 404);
	assert_int_equal(f->served, 0);
}

static void test_huge_headers(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *head, *fill;
		int times;
	} cases[] = {
		{"GET /hello HTTP/1.1\r\nHost: localhost\r\nX: ", "a", 20000},
		{"GET /hello HTTP/1.1\r\nHost: localhost\r\n", "A: b\r\n", 5000},
		{"GET /hello?q=", "a", 20000},
		{"", "G", 20000},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf b;
		buf_init(&b, 1 << 20);
		buf_put_str(&b, cases[i].head);
		for (int k = 0; k < cases[i].times; k++)
			buf_put_str(&b, cases[i].fill);
		buf_put_str(&b, " HTTP/1.1\r\n\r\n");
		assert_int_equal(ask_bytes(f, (char *)b.p, b.len), 431);
		buf_fini(&b);
	}
	assert_int_equal(f->served, 0);
	assert_int_equal(ask_line(f, "GET /hello", "localhost"), 200);
}

/* Whoever goes on sending after the refusal is cut off. */
static void test_endless_body(void **state)
{
	struct fixture *f = *state;
	static const char head[] =
		"POST /hello HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n";
	static const char junk[4096];
	int fd = dial(f);
	size_t sent = 0;
	say(f, fd, head, sizeof head - 1);
	while (sent < 64 << 20) {
		ssize_t n = send(fd, junk, sizeof junk, MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			break;
		sent += n > 0 ? (size_t)n : 0;
		loop_turn(f->loop, 0);
	}
	assert_true(sent < 16 << 20); /* the kernel's buffers, and HTTP_BODY_MAX */
	for (int i = 0; i < 50 && http_server_connections(f->server) > 0; i++)
		loop_turn(f->loop, 1);
	assert_int_equal(http_server_connections(f->server), 0);
	close(fd);
}

static void test_junk(void **state)
{
	struct fixture *f = *state;
	static const char *const junk[] = {
		"\r\n\r\n\r\n\r\n",
		"GET\r\n\r\n",
		"GET /hello\r\n\r\n",
		"GET /hello HTTP/9.9\r\n\r\n",
		"GET /hello HTTP/1.1\r\nno colon\r\n\r\n",
		"GET /hello HTTP/1.1\r\n: empty\r\n\r\n",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
		"GET http://[::1/hello HTTP/1.1\r\n\r\n",
	};
	for (size_t i = 0; i < sizeof junk / sizeof *junk; i++) {
		int fd = dial(f);
		say(f, fd, junk[i], strlen(junk[i]));
		shutdown(fd, SHUT_WR);
		assert_true(hear(f, fd, 3000));
		close(fd);
	}
	/* Every prefix of a good request, then the end. */
	static const char good[] = "GET /hello?q=1 HTTP/1.1\r\nHost: localhost\r\n\r\n";
	for (size_t n = 0; n < sizeof good - 1; n++) {
		int fd = dial(f);
		say(f, fd, good, n);
		shutdown(fd, SHUT_WR);
		assert_true(hear(f, fd, 3000));
		close(fd);
	}
	assert_int_equal(ask_line(f, "GET /hello", "localhost"), 200);
}

/* One byte now and then does not keep a connection alive: the whole request has 10 s. */
static void test_slow_request(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);
	static const char request[] = "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n";
	for (int i = 0; i < 4; i++) {
		say(f, fd, request + i, 1);
		f->skew_ms += 2400;
		assert_false(hear(f, fd, 20));
	}
	assert_int_equal(http_server_connections(f->server), 1);
	f->skew_ms += 2400;
	assert_true(hear(f, fd, 3000));
	assert_int_equal(f->reply_n, 0);
	assert_int_equal(http_server_connections(f->server), 0);
	close(fd);
}

/* A connection that is kept alive and says nothing ends too; one that asks again does not. */
static void test_idle_connection(void **state)
{
	struct fixture *f = *state;
	static const char request[] = "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n";
	int fd = dial(f);
	for (int i = 0; i < 4; i++) {
		say(f, fd, request, sizeof request - 1);
		assert_false(hear(f, fd, 20));
		f->skew_ms += 8000;
		assert_false(hear(f, fd, 20));
	}
	assert_int_equal(f->served, 4);
	f->skew_ms += 4000;
	assert_true(hear(f, fd, 3000));
	close(fd);
}

/* A client that does not read its reply. */
static void test_slow_reader(void **state)
{
	struct fixture *f = *state;
	static const char request[] = "GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n";
	f->body_n = 32 << 20;
	int fd = dial(f);
	say(f, fd, request, sizeof request - 1);
	for (int i = 0; i < 50; i++)
		loop_turn(f->loop, 1);
	assert_int_equal(f->served, 1);
	assert_int_equal(http_server_connections(f->server), 1);
	f->skew_ms += HTTP_REPLY_MS + 2000;
	for (int i = 0; i < 3000 && http_server_connections(f->server) > 0; i++)
		loop_turn(f->loop, 1);
	assert_int_equal(http_server_connections(f->server), 0);
	close(fd);
}

/* A body that is taken over comes whole, in pieces if need be, and the connection goes on. */
static void test_taken_body(void **state)
{
	struct fixture *f = *state;
	static const char request[] = "GET /taken HTTP/1.1\r\nHost: localhost\r\n\r\n";
	f->body_n = 8 << 20;
	int fd = dial(f);
	for (int turn = 0; turn < 2; turn++) {
		size_t at = 0, head = 0;
		char last[4] = {0};
		say(f, fd, request, sizeof request - 1);
		int64_t end = clock_mono_ms(clock_system()) + 10000;
		while (at < f->body_n && clock_mono_ms(clock_system()) < end) {
			char piece[4096];
			ssize_t n = recv(fd, piece, sizeof piece, 0);
			for (ssize_t i = 0; i < n; i++) {
				if (head == 0) {
					memmove(last, last + 1, 3);
					last[3] = piece[i];
					head = memcmp(last, "\r\n\r\n", 4) == 0;
				} else if (piece[i] != body_at(at++)) {
					fail_msg("byte %zu is another", at - 1);
				}
			}
			loop_turn(f->loop, 0);
		}
		assert_int_equal(at, f->body_n);
	}
	assert_int_equal(f->served, 2);
	close(fd);
	f->body_n = 5;
	assert_int_equal(ask_line(f, "HEAD /taken", "localhost"), 200);
	reply_says(f, "Content-Length: 5\r\n");
	assert_string_equal(reply_body(f), "");
	f->body_n = 0;
	assert_int_equal(ask_line(f, "GET /taken", "localhost"), 200);
	reply_says(f, "Content-Length: 0\r\n");
	assert_string_equal(reply_body(f), "");
}

/* Replies that nobody reads do not pile up in memory. */
static void test_pending_replies_are_bounded(void **state)
{
	struct fixture *f = *state;
	static const char request[] = "GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n";
	enum { READERS = 12 };
	int fds[READERS];
	f->body_n = 6 << 20;
	for (int i = 0; i < READERS; i++) {
		fds[i] = dial(f);
		say(f, fds[i], request, sizeof request - 1);
		for (int k = 0; k < 5; k++)
			loop_turn(f->loop, 1);
	}
	assert_int_equal(f->served, READERS);
	assert_false(hear(f, fds[READERS - 1], 100));
	reply_says(f, " 503 ");
	reply_says(f, "try again");
	for (int i = 0; i < READERS; i++)
		close(fds[i]);
}

/* One connection too many: the one that waited longest for a request makes room. */
static void test_too_many_connections(void **state)
{
	struct fixture *f = *state;
	static const char request[] =
		"GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
	int fds[CLIENTS];
	for (int i = 0; i < CLIENTS; i++) {
		f->skew_ms += 10;
		fds[i] = dial(f);
		loop_turn(f->loop, 1);
	}
	assert_int_equal(http_server_connections(f->server), HTTP_CONNECTIONS_MAX);
	for (int i = 0; i < CLIENTS - HTTP_CONNECTIONS_MAX; i++)
		assert_true(hear(f, fds[i], 1000));
	for (int i = CLIENTS - HTTP_CONNECTIONS_MAX; i < CLIENTS; i++) {
		say(f, fds[i], request, sizeof request - 1);
		assert_true(hear(f, fds[i], 1000));
		reply_says(f, " 200 ");
	}
	for (int i = 0; i < CLIENTS; i++)
		close(fds[i]);
	for (int i = 0; i < 50; i++)
		loop_turn(f->loop, 1);
	assert_int_equal(http_server_connections(f->server), 0);
}

/* F21: no descriptor is left for accept(2). */
static void test_no_descriptors(void **state)
{
	struct fixture *f = *state;
	struct rlimit old, tight;
	int fd = dial(f);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	tight = old;
	tight.rlim_cur = (rlim_t)fd + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	static const char request[] = "GET /hello HTTP/1.0\r\n\r\n";
	say(f, fd, request, sizeof request - 1);
	int64_t cpu = clock();
	assert_false(hear(f, fd, 300));
	cpu = clock() - cpu;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_true(cpu < CLOCKS_PER_SEC / 5); /* it does not spin */
	assert_true(hear(f, fd, 3000));
	reply_says(f, " 200 ");
	close(fd);
}

static void test_free_with_open_connections(void **state)
{
	struct fixture *f = *state;
	static const char request[] = "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n";
	int idle = dial(f), kept = dial(f), half = dial(f);
	say(f, kept, request, sizeof request - 1);
	say(f, half, request, 20);
	assert_false(hear(f, kept, 30));
	assert_int_equal(http_server_connections(f->server), 3);
	http_server_free(f->server);
	f->server = NULL;
	assert_true(hear(f, kept, 1000));
	close(idle);
	close(kept);
	close(half);
}

int main(void)
{
#define SERVER(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		SERVER(test_get),
		SERVER(test_head),
		SERVER(test_other_methods),
		SERVER(test_actions),
		SERVER(test_exact_paths),
		SERVER(test_query),
		SERVER(test_keep_alive),
		SERVER(test_pipelined_requests),
		SERVER(test_host_check_on_loopback),
		SERVER(test_no_host_check_elsewhere),
		SERVER(test_listen_addresses),
		SERVER(test_bodies),
		SERVER(test_huge_headers),
		SERVER(test_endless_body),
		SERVER(test_junk),
		SERVER(test_slow_request),
		SERVER(test_idle_connection),
		SERVER(test_slow_reader),
		SERVER(test_taken_body),
		SERVER(test_pending_replies_are_bounded),
		SERVER(test_too_many_connections),
		SERVER(test_no_descriptors),
		SERVER(test_free_with_open_connections),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
