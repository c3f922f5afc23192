/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an HTTP server serves, and who may ask for it; no I/O. Two kinds of routes: pages are read
 * (GET, HEAD), actions change something (POST).
 *
 * An action is carried out only for a request with the header "X-Farshore: 1" from this host. A
 * browser sends that header to another site only after a preflight, which is never granted, so no
 * web page can ask for an action; and there is no login that would tell a good stranger from a bad
 * one.
 */
#ifndef FARSHORE_NET_HTTP_ROUTES_H
#define FARSHORE_NET_HTTP_ROUTES_H

#include "lib/base/buf.h"
#include "lib/net/http.h"
#include "lib/net/http_parse.h"

struct http_route {
	struct http_route *next;
	char *path; /* one segment may be "*": any name */
	bool action;
	http_handler *fn;
	void *arg;
};

struct http_routes {
	struct http_route *first, **tail;
};

void http_routes_init(struct http_routes *r);
void http_routes_fini(struct http_routes *r);
enum err http_routes_add(struct http_routes *r, const char *path, bool action, http_handler *fn,
			 void *arg) ERR_MUST_USE;

/* Who asks. */
struct http_asker {
	bool named_us; /* the Host header is one of ours, or does not matter */
	bool local;    /* the connection comes from this host */
};

/* Status 200: call `route`, whose "*" stands for `name` (as sent; null: the route has none). Else
 * refuse with this text. */
struct http_verdict {
	int status;
	const char *text;
	const char *extra; /* header lines */
	bool hang_up;      /* what follows on the connection is not to be trusted */
	const struct http_route *route;
	struct bytes name;
};

/* `parsed` is what http_parse_head said (or 431). The text for 404 is http_routes_print's. */
struct http_verdict http_routes_judge(const struct http_routes *r, int parsed,
				      const struct http_head *h, const struct http_asker *asker);

/* The text of a 404: what there is instead. */
void http_routes_print(const struct http_routes *r, struct buf *out);

#endif
