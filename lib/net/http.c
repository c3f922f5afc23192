/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP server. (Not libevent's evhttp: version 2.1 limits neither connections nor the time of a
 * request that trickles in, sends bodies to HEAD, and raises SIGPIPE.)
 *
 *   READING ---> REPLYING ---> READING (kept alive)
 *                    |
 *                    +-------> CLOSING (our side is shut; what the client still sends is dropped,
 *                              so that a reset does not take the reply from it) ---> freed
 *
 * Invariants:
 * - A connection reads nothing while it replies, so its input never exceeds `in`.
 * - Each event deals with one request at most: a pipeline of many cannot hold the loop.
 * - `s->pending` is the sum of all connections' `out.len`.
 * - A connection is freed in its own event, by the tick, or by an accept; functions that may free
 *   it say so and are called last.
 */
#include "lib/net/http.h"

#include <assert.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "lib/net/http_parse.h"
#include "lib/net/http_routes.h"
#include "lib/net/listener.h"
#include "lib/net/sock.h"

enum {
	TICK_MS = 500,
	CLOSING_MS = 2000,
	HEAD_ROOM = 1024, /* bytes of a reply's head, at most */
	HOST_MAX = 256,
	QUERY_MAX = 4 * HTTP_HEADER_MAX
};

struct http_conn {
	struct http_conn *next, **back;
	struct http_server *server;
	int fd;
	struct event readable, writable;
	enum { READING, REPLYING, CLOSING } state;
	bool keep_alive;
	bool local; /* the client is on this host */
	int64_t deadline_ms;
	size_t drained;
	struct buf out;  /* the reply's head, and its body if that is copied */
	struct buf body; /* else it follows from here */
	size_t out_at;   /* sent, of both */
	size_t in_n;
	uint8_t in[HTTP_HEADER_MAX];
};

struct http_server {
	struct loop *loop;
	struct listener *listener;
	struct loop_timer *tick;
	struct http_conn *conns; /* the newest first */
	unsigned conns_n;
	size_t pending;
	struct http_routes routes;
	bool loopback;
	char host[HOST_MAX]; /* as given, without brackets */
};

struct http_request {
	struct http_conn *conn;
	struct http_head head;
	struct bytes name; /* what stands for the route's "*" */
	const char *extra; /* header lines */
	bool replied;
	struct arena arena;
};

/* ---- replies ---- */

static const char *http_phrase(int status)
{
	static const struct {
		int status;
		const char *phrase;
	} rows[] = {
		{200, "OK"},
		{204, "No Content"},
		{400, "Bad Request"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{409, "Conflict"},
		{429, "Too Many Requests"},
		{431, "Request Header Fields Too Large"},
		{500, "Internal Server Error"},
		{503, "Service Unavailable"},
		{505, "HTTP Version Not Supported"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (rows[i].status == status)
			return rows[i].phrase;
	return "Status";
}

static void http_put_head(const struct http_request *req, int status, const char *type,
			  size_t body_n)
{
	struct http_conn *c = req->conn;
	time_t now = (time_t)(clock_wall_ms(loop_clock(c->server->loop)) / 1000);
	struct tm tm;
	char date[40] = "";
	if (gmtime_r(&now, &tm) != NULL)
		strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
	buf_printf(&c->out,
		   "HTTP/1.1 %d %s\r\n"
		   "Date: %s\r\n"
		   "Content-Type: %.100s\r\n"
		   "Content-Length: %zu\r\n"
		   "Cache-Control: no-store\r\n"
		   "X-Content-Type-Options: nosniff\r\n"
		   "Content-Security-Policy: default-src 'self'\r\n"
		   "Connection: %s\r\n"
		   "%s\r\n",
		   status, http_phrase(status), date, type, body_n,
		   c->keep_alive ? "keep-alive" : "close", req->extra);
}

/* Bytes of the reply. */
static size_t http_conn_pending(const struct http_conn *c)
{
	return c->out.len + c->body.len;
}

/* `take`: NULL, or the buffer that `body` is the content of, to be taken over. */
static void http_put_reply(const struct http_request *req, int status, const char *type,
			   struct bytes body, struct buf *take)
{
	struct http_conn *c = req->conn;
	buf_init(&c->out, HEAD_ROOM + (take == NULL ? body.n : 0));
	http_put_head(req, status, type, body.n);
	if (req->head.method == HTTP_HEAD || c->out.err != ERR_OK)
		return;
	if (take == NULL) {
		buf_put(&c->out, body.p, body.n);
		return;
	}
	c->body = *take;
	buf_init(take, take->max);
}

static void http_answer(struct http_request *req, int status, const char *type, struct bytes body,
			struct buf *take)
{
	struct http_conn *c = req->conn;
	struct http_server *s = c->server;
	assert(!req->replied && status >= 200 && status <= 599);
	req->replied = true;
	bool fits = s->pending == 0 ||
		    (body.n <= HTTP_PENDING_MAX && s->pending <= HTTP_PENDING_MAX - body.n);
	if (fits)
		http_put_reply(req, status, type, body, take);
	if (!fits || c->out.err != ERR_OK) {
		buf_fini(&c->out);
		http_put_reply(req, 503, "text/plain; charset=utf-8",
			       bytes_str("Short of memory: try again.\n"), NULL);
	}
	/* Not even that: an empty reply, and the connection closes. */
	if (c->out.err != ERR_OK) {
		buf_fini(&c->out);
		c->keep_alive = false;
	}
	s->pending += http_conn_pending(c);
}

void http_reply(struct http_request *req, int status, const char *type, struct bytes body)
{
	http_answer(req, status, type, body, NULL);
}

void http_reply_text(struct http_request *req, int status, const char *text)
{
	http_reply(req, status, "text/plain; charset=utf-8", bytes_str(text));
}

void http_reply_take(struct http_request *req, int status, const char *type, struct buf *body)
{
	http_answer(req, status, type, buf_bytes(body), body);
	buf_fini(body);
}

/* 404, with what there is instead. */
static void http_reply_not_found(const struct http_server *s, struct http_request *req)
{
	struct buf b;
	buf_init(&b, 16 * 1024);
	http_routes_print(&s->routes, &b);
	http_reply(req, 404, "text/plain; charset=utf-8", buf_bytes(&b));
	buf_fini(&b);
}

/* ---- requests ---- */

/* Does the request name us? A browser always says whom it asks, so a request that does not say (as
 * HTTP/1.0 allows) comes from no page that was bound to our address. */
static bool http_host_good(const struct http_server *s, struct bytes host)
{
	const char *const ours[] = {"localhost", "127.0.0.1", "::1", s->host};
	return !s->loopback || host.p == NULL ||
	       http_parse_host_is(host, ours, sizeof ours / sizeof *ours);
}

static void http_dispatch(const struct http_server *s, struct http_request *req, int parsed)
{
	const struct http_asker asker = {.named_us = http_host_good(s, req->head.host),
					 .local = req->conn->local};
	const struct http_verdict v = http_routes_judge(&s->routes, parsed, &req->head, &asker);
	req->conn->keep_alive = req->conn->keep_alive && !v.hang_up;
	req->extra = v.extra;
	req->name = v.name;
	if (v.status == 200)
		v.route->fn(v.route->arg, req);
	else if (v.status == 404)
		http_reply_not_found(s, req);
	else
		http_reply_text(req, v.status, v.text);
}

/* Answer the request at the start of the input, if it is whole. */
static void http_take_request(struct http_conn *c)
{
	struct http_server *s = c->server;
	struct http_request req = {.conn = c, .extra = ""};
	int status = http_parse_head(bytes_of(c->in, c->in_n), &req.head);
	if (status == 0 && c->in_n < sizeof c->in)
		return;
	if (status == 0)
		status = 431;
	c->keep_alive = req.head.keep_alive;
	c->state = REPLYING;
	c->deadline_ms = loop_now_ms(s->loop) + HTTP_REPLY_MS;
	arena_init(&req.arena, QUERY_MAX);
	http_dispatch(s, &req, status);
	assert(req.replied);
	arena_fini(&req.arena);
	/* The head's slices were in use until here. */
	c->in_n -= req.head.n;
	memmove(c->in, c->in + req.head.n, c->in_n);
}

const char *http_request_name(struct http_request *req)
{
	return req->name.p == NULL ? NULL : http_parse_segment(req->name, &req->arena);
}

const char *http_request_query(struct http_request *req, const char *name)
{
	return http_parse_query(req->head.query, name, &req->arena);
}

bool http_request_only(struct http_request *req, const char *const *names, size_t n)
{
	return http_parse_query_only(req->head.query, names, n, &req->arena);
}

/* ---- connections ---- */

static void http_conn_free(struct http_conn *c)
{
	struct http_server *s = c->server;
	*c->back = c->next;
	if (c->next != NULL)
		c->next->back = c->back;
	s->conns_n--;
	s->pending -= http_conn_pending(c);
	event_del(&c->readable);
	event_del(&c->writable);
	close(c->fd);
	buf_fini(&c->out);
	buf_fini(&c->body);
	mem_free(c);
}

/* Wait for what the state needs. May free `c`. */
static void http_conn_wait(struct http_conn *c)
{
	/* A pipelined request is already here: be called soon. */
	bool out = c->state == REPLYING || (c->state == READING && c->in_n > 0);
	bool in = c->state != REPLYING;
	int failed = in ? event_add(&c->readable, NULL) : event_del(&c->readable);
	failed |= out ? event_add(&c->writable, NULL) : event_del(&c->writable);
	if (failed != 0)
		http_conn_free(c);
}

/* Write what can be written. False: the client is gone. */
static bool http_conn_write(struct http_conn *c)
{
	while (c->out_at < http_conn_pending(c)) {
		size_t head = c->out_at < c->out.len ? c->out.len - c->out_at : 0;
		size_t sent = head > 0 ? 0 : c->out_at - c->out.len; /* of the body */
		struct iovec iov[2] = {{c->out.p + c->out_at, head},
				       {c->body.p + sent, c->body.len - sent}};
		size_t first = head == 0, n = 0;
		size_t count = (c->body.len > 0 ? 2U : 1U) - first;
		enum sock_io io = sock_writev(c->fd, iov + first, count, false, &n);
		if (io == SOCK_WANT_WRITE)
			return true;
		if (io != SOCK_OK)
			return false;
		c->out_at += n;
	}
	int64_t now = loop_now_ms(c->server->loop);
	c->server->pending -= http_conn_pending(c);
	buf_fini(&c->out);
	buf_fini(&c->body);
	c->out_at = 0;
	if (c->keep_alive) {
		c->state = READING;
		c->deadline_ms = now + HTTP_REQUEST_MS;
	} else {
		c->state = CLOSING;
		c->deadline_ms = now + CLOSING_MS;
		(void)shutdown(c->fd, SHUT_WR);
	}
	return true;
}

/* Read once. False: the connection has ended. */
static bool http_conn_read(struct http_conn *c)
{
	if (c->state == CLOSING) {
		c->in_n = 0;
		if (c->drained > HTTP_BODY_MAX)
			return false;
	}
	struct iovec iov = {c->in + c->in_n, sizeof c->in - c->in_n};
	size_t n = 0;
	enum sock_io io = sock_readv(c->fd, &iov, 1, &n);
	if (io == SOCK_WANT_READ)
		return true;
	if (io != SOCK_OK)
		return false;
	c->in_n += n;
	c->drained += c->state == CLOSING ? n : 0;
	return true;
}

static void http_on_event(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	struct http_conn *c = arg;
	bool alive = true;
	if (what & EV_READ && c->state != REPLYING)
		alive = http_conn_read(c);
	if (alive && c->state == READING && c->in_n > 0)
		http_take_request(c);
	if (alive && c->state == REPLYING)
		alive = http_conn_write(c);
	if (alive)
		http_conn_wait(c);
	else
		http_conn_free(c);
}

static void http_tick(void *arg)
{
	struct http_server *s = arg;
	int64_t now = loop_now_ms(s->loop);
	for (struct http_conn *c = s->conns, *next; c != NULL; c = next) {
		next = c->next;
		if (now >= c->deadline_ms)
			http_conn_free(c);
	}
	if (s->conns != NULL)
		loop_timer_set(s->tick, TICK_MS);
}

static bool http_is_loopback(const struct sockaddr *sa)
{
	if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)sa;
		return ntohl(in->sin_addr.s_addr) >> 24 == 127;
	}
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sa;
	if (sa->sa_family != AF_INET6)
		return false;
	const uint8_t *a = in6->sin6_addr.s6_addr;
	/* On a socket for both families, IPv4 comes as ::ffff:127.0.0.1. */
	return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr) ||
	       (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr) && a[12] == 127);
}

static bool http_is_local(int fd)
{
	struct sockaddr_storage peer = {0};
	socklen_t n = sizeof peer;
	return getpeername(fd, (struct sockaddr *)&peer, &n) == 0 &&
	       http_is_loopback((struct sockaddr *)&peer);
}

/* At the limit: let go of the connection that has been without a request for longest. */
static bool http_make_room(struct http_server *s)
{
	struct http_conn *victim = NULL;
	for (struct http_conn *c = s->conns; c != NULL; c = c->next)
		if (c->state != REPLYING &&
		    (victim == NULL || c->deadline_ms <= victim->deadline_ms))
			victim = c;
	if (victim != NULL)
		http_conn_free(victim);
	return victim != NULL;
}

static void http_on_accept(void *arg, int fd)
{
	static const char busy[] = "HTTP/1.1 503 Service Unavailable\r\n"
				   "Content-Length: 0\r\nConnection: close\r\n\r\n";
	struct http_server *s = arg;
	struct http_conn *c = NULL;
	if (s->conns_n < HTTP_CONNECTIONS_MAX || http_make_room(s))
		c = mem_alloc(sizeof *c);
	if (c == NULL) {
		(void)!send(fd, busy, sizeof busy - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
		close(fd);
		return;
	}
	memset(c, 0, offsetof(struct http_conn, in));
	c->server = s;
	c->fd = fd;
	c->local = http_is_local(fd);
	c->state = READING;
	c->deadline_ms = loop_now_ms(s->loop) + HTTP_REQUEST_MS;
	event_assign(&c->readable, loop_base(s->loop), fd, EV_READ, http_on_event, c);
	event_assign(&c->writable, loop_base(s->loop), fd, EV_WRITE, http_on_event, c);
	c->next = s->conns;
	c->back = &s->conns;
	if (c->next != NULL)
		c->next->back = &c->next;
	s->conns = c;
	s->conns_n++;
	if (!loop_timer_armed(s->tick))
		loop_timer_set(s->tick, TICK_MS);
	http_conn_wait(c);
}

/* ---- the server ---- */

/* Cut "host:port" into s->host and `*port`. */
static bool http_parse_listen(struct http_server *s, const char *listen, uint16_t *port)
{
	const char *colon = strrchr(listen, ':');
	if (colon == NULL)
		return false;
	size_t n = (size_t)(colon - listen);
	bool brackets = n >= 2 && listen[0] == '[' && listen[n - 1] == ']';
	const char *host = brackets ? listen + 1 : listen;
	n -= brackets ? 2 : 0;
	if (n >= sizeof s->host || (!brackets && memchr(host, ':', n) != NULL))
		return false;
	memcpy(s->host, host, n);
	s->host[n] = '\0';
	size_t digits = strspn(colon + 1, "0123456789");
	if (digits == 0 || digits > 5 || colon[1 + digits] != '\0')
		return false;
	unsigned long value = strtoul(colon + 1, NULL, 10);
	*port = (uint16_t)value;
	return value <= UINT16_MAX;
}

/* Is every address of `host` on loopback? */
static bool http_host_is_loopback(const char *host)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *list = NULL;
	if (host[0] == '\0' || getaddrinfo(host, NULL, &hints, &list) != 0)
		return false;
	bool all = true;
	for (const struct addrinfo *a = list; a != NULL; a = a->ai_next)
		all = all && http_is_loopback(a->ai_addr);
	freeaddrinfo(list);
	return all;
}

enum err http_server_new(struct loop *l, const char *listen, struct http_server **out,
			 struct errmsg *why)
{
	uint16_t port = 0;
	enum err e = errmsg_set(why, ERR_NOMEM, "http: %s", err_text(ERR_NOMEM));
	struct http_server *s = mem_zalloc(1, sizeof *s);
	if (s == NULL)
		return e;
	s->loop = l;
	http_routes_init(&s->routes);
	s->tick = loop_timer_new(l, http_tick, s);
	if (s->tick == NULL)
		goto err_after_new;
	if (!http_parse_listen(s, listen, &port)) {
		e = errmsg_set(why, ERR_CONFIG,
			       "http: \"%.100s\" is not an address to listen on: use host:port, "
			       "such as 127.0.0.1:8080 or [::1]:8080",
			       listen);
		goto err_after_new;
	}
	e = listener_new(l, s->host, port, http_on_accept, s, &s->listener, why);
	if (e != ERR_OK) {
		errmsg_wrap(why, e, "http");
		goto err_after_new;
	}
	s->loopback = http_host_is_loopback(s->host);
	*out = s;
	return ERR_OK;

err_after_new:
	http_server_free(s);
	return e;
}

void http_server_free(struct http_server *s)
{
	if (s == NULL)
		return;
	listener_free(s->listener);
	while (s->conns != NULL)
		http_conn_free(s->conns);
	loop_timer_free(s->tick);
	http_routes_fini(&s->routes);
	mem_free(s);
}

enum err http_server_route(struct http_server *s, const char *path, http_handler *fn, void *arg)
{
	assert(path[0] == '/' && strchr(path, '*') == NULL);
	return http_routes_add(&s->routes, path, false, fn, arg);
}

enum err http_server_action(struct http_server *s, const char *path, http_handler *fn, void *arg)
{
	assert(path[0] == '/');
	return http_routes_add(&s->routes, path, true, fn, arg);
}

uint16_t http_server_port(const struct http_server *s)
{
	return listener_port(s->listener);
}

unsigned http_server_connections(const struct http_server *s)
{
	return s->conns_n;
}
