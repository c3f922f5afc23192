/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small HTTP/1.1 server for metrics, health and the JSON API: pages by GET and HEAD, actions by
 * POST without a body, limits on sizes, on connections, on memory and on the time that each step
 * may take, a Host check against DNS rebinding when it listens on loopback. Who may ask for an
 * action: http_routes.h.
 *
 * It never answers with anything that a cache may keep or a browser may run from elsewhere:
 * Cache-Control, X-Content-Type-Options and Content-Security-Policy are set on every reply.
 */
#ifndef FARSHORE_NET_HTTP_H
#define FARSHORE_NET_HTTP_H

#include "lib/base/buf.h"
#include "lib/net/loop.h"

struct http_server;
struct http_request;

enum {
	HTTP_HEADER_MAX = 8 * 1024,  /* bytes of request line and headers; more gives 431 */
	HTTP_BODY_MAX = 64 * 1024,   /* bytes of a refused body that are read before hanging up */
	HTTP_CONNECTIONS_MAX = 64,   /* one more pushes out the one that waited longest for a
					request, or is told 503 if all are being answered */
	HTTP_PENDING_MAX = 8 << 20,  /* bytes of all replies not yet sent; over it a reply becomes
					503, but for the only one */
	HTTP_REQUEST_MS = 10 * 1000, /* from the accept, or the last reply, to a whole request */
	HTTP_REPLY_MS = 60 * 1000    /* to send a whole reply */
};

/* Answer at once by http_reply or http_reply_take, exactly once, before returning. */
typedef void http_handler(void *arg, struct http_request *req);

/* `listen` is "host:port" ("127.0.0.1:8080", "[::1]:8080", ":8080" for all addresses; port 0 picks
 * one). A name is looked up at once. On loopback only requests for localhost, 127.0.0.1, [::1] or
 * the host of `listen` are served. ERR_CONFIG for a bad address, ERR_IO when it cannot be bound,
 * ERR_NOMEM; `why` says which address and why. */
enum err http_server_new(struct loop *l, const char *listen, struct http_server **out,
			 struct errmsg *why) ERR_MUST_USE;
/* Closes all connections. NULL is safe; not from inside a handler. */
void http_server_free(struct http_server *s);
uint16_t http_server_port(const struct http_server *s);

/* Open connections. */
unsigned http_server_connections(const struct http_server *s);

/* Serve `path` (exact, without query; starts with "/"; kept as a copy). A second route of the same
 * path is not reached. ERR_NOMEM. */
enum err http_server_route(struct http_server *s, const char *path, http_handler *fn,
			   void *arg) ERR_MUST_USE;

/* The same for an action. One segment of `path` may be "*": any name, see http_request_name. */
enum err http_server_action(struct http_server *s, const char *path, http_handler *fn,
			    void *arg) ERR_MUST_USE;

/* What stands in the request's path where the route's has "*", decoded; NULL if malformed, or if
 * the route has none. Lives as long as the request. */
const char *http_request_name(struct http_request *req);

/* The value of the first query parameter of that name, decoded; NULL if absent or malformed. Lives
 * as long as the request. */
const char *http_request_query(struct http_request *req, const char *name);

/* True if the query has no other parameters than these, and all of it can be decoded. */
bool http_request_only(struct http_request *req, const char *const *names, size_t n);

/* `status` 200..599; `type` such as "application/json". The body is copied; HEAD gets its length
 * only. */
void http_reply(struct http_request *req, int status, const char *type, struct bytes body);
/* The same with text for people. */
void http_reply_text(struct http_request *req, int status, const char *text);

/* The same for a body that may be large: it is taken over, not copied, and `body` is empty then. */
void http_reply_take(struct http_request *req, int status, const char *type, struct buf *body);

#endif
