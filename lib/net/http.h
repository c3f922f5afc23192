/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small HTTP/1.1 server for metrics, health and the JSON API (libevent's evhttp underneath):
 * exact routes, GET and HEAD unless a route says otherwise, limits on header and body sizes and on
 * connections, a Host check against DNS rebinding when it listens on loopback.
 */
#ifndef FARSHORE_NET_HTTP_H
#define FARSHORE_NET_HTTP_H

#include "lib/base/buf.h"
#include "lib/net/loop.h"

struct http_server;
struct http_request;

/* Answer at once by http_reply, exactly once, before returning. */
typedef void http_handler(void *arg, struct http_request *req);

/* `listen` is "host:port" ("127.0.0.1:8080", "[::1]:8080", port 0 picks one). ERR_CONFIG for a bad
 * address, ERR_IO when it cannot be bound; `why` says which address and why. */
enum err http_server_new(struct loop *l, const char *listen, struct http_server **out,
			 struct errmsg *why) ERR_MUST_USE;
void http_server_free(struct http_server *s);
uint16_t http_server_port(const struct http_server *s);

/* Serve `path` (exact, without query). ERR_NOMEM. */
enum err http_server_route(struct http_server *s, const char *path, http_handler *fn,
			   void *arg) ERR_MUST_USE;

/* The value of a query parameter, decoded; NULL if absent. Lives as long as the request. */
const char *http_request_query(struct http_request *req, const char *name);

/* `status` 100..599; `type` such as "application/json". The body is copied. */
void http_reply(struct http_request *req, int status, const char *type, struct bytes body);

#endif
