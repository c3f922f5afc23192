/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clients' connections. A session takes frames, begins their requests in order and sends the
 * answers in order (request.h has the rules for handlers); `struct sessions` is all of them and
 * what bounds them:
 *
 *   connections   in all, and from one address; one more is closed
 *   frames        `request_max`; until a first valid request came a frame over 64 KiB must begin
 *                 like one; a frame that does not get on ends the connection
 *   memory        requests in flight per connection and in all: reading stops at a high mark and
 *                 goes on at a low one
 *   time          idle connections are closed, and those whose client takes no answers
 */
#ifndef FARSHORE_CLUSTER_SESSION_H
#define FARSHORE_CLUSTER_SESSION_H

#include "cluster/request.h"
#include "lib/net/loop.h"

struct session;
struct sessions;
struct tls_ctx;

/* What a listener gives its connections; lives as long as they. */
struct endpoint {
	const char *name;
	const char *host; /* advertised */
	uint16_t port;
	struct tls_ctx *tls; /* NULL: plain */
};

struct sessions_options {
	struct loop *loop;
	struct broker *broker;
	int32_t max, max_per_ip;
	int64_t idle_ms, slow_reader_ms;
	size_t request_max; /* bytes of a frame */
	size_t queued_max;  /* high mark of requests in flight, all together */
};

/* ERR_NOMEM. */
enum err sessions_new(const struct sessions_options *o, struct sessions **out) ERR_MUST_USE;

/* Close all connections, and free. NULL is safe. */
void sessions_free(struct sessions *all);

/* Serve a socket from a listener; owns it from now on. */
void sessions_accept(struct sessions *all, int fd, const struct endpoint *at);

/* From now on no request is begun; a connection ends when what it began is answered and sent. */
void sessions_drain(struct sessions *all);

/* For metrics. */
struct sessions_count {
	size_t open;
	uint64_t accepted, refused; /* by a limit */
	uint64_t closed_idle, closed_slow, closed_malformed;
	uint64_t bytes_in, bytes_out;
	size_t queued_bytes;  /* of requests in flight */
	size_t waiting_bytes; /* of requests that wait, such as fetches */
};
void sessions_count(const struct sessions *all, struct sessions_count *out);
/* Requests begun of the API at this index of api_all. */
uint64_t sessions_requests(const struct sessions *all, size_t api);

/* For request.c: the answer stands in `r->answer` (or there is none: an empty one); sends it in its
 * turn and lets go of the request. */
void session_answered(struct session *s, struct request *r);

/* For request.c: end the connection soon; the request is let go of. */
void session_hang_up(struct session *s, struct request *r, const char *why);

const char *session_host(const struct session *s);
const struct endpoint *session_endpoint(const struct session *s);

#endif
