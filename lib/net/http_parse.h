/* SPDX-License-Identifier: Apache-2.0 */
/* The head of an HTTP/1 request (RFC 9112), strictly read; no I/O. */
#ifndef FARSHORE_NET_HTTP_PARSE_H
#define FARSHORE_NET_HTTP_PARSE_H

#include "lib/base/arena.h"
#include "lib/base/bytes.h"

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_OTHER };

/* Slices of the input. */
struct http_head {
	enum http_method method;
	struct bytes path;  /* as sent, not decoded; starts with "/" */
	struct bytes query; /* after "?", not decoded; null: none */
	struct bytes host;  /* whom the client means to talk to, with port; null: not said */
	bool keep_alive;
	bool has_body; /* or says that it has */
	bool marked;   /* has the header "X-Farshore: 1" */
	size_t n;      /* bytes of the head, its empty line included */
};

/* Returns 0: the head is not complete; 200: `*h` is filled in; otherwise the status to refuse with,
 * 400 or 505, and to close the connection after (`h->method` is set as far as known). */
int http_parse_head(struct bytes in, struct http_head *h);

/* Is `host` (a name or address, perhaps with a port) one of the `n` `names`? Case is ignored, an
 * IPv6 address in `host` is in brackets, in `names` it is not. */
bool http_parse_host_is(struct bytes host, const char *const *names, size_t n);

/* A part of the path with its escapes decoded ("%20"; "+" is itself), in the arena; NULL if
 * malformed, with a NUL in it, or when out of memory. */
const char *http_parse_segment(struct bytes segment, struct arena *a);

/* The value of the first parameter `name` in a query, decoded ("+" and "%20" are blanks), in the
 * arena; NULL if absent, malformed, with a NUL in it, or when out of memory. */
const char *http_parse_query(struct bytes query, const char *name, struct arena *a);

/* True if the query, taken apart as above, has parameters of these names alone, none twice, and
 * each can be decoded. At most 32 names. */
bool http_parse_query_only(struct bytes query, const char *const *names, size_t n, struct arena *a);

#endif
