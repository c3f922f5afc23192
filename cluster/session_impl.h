/* SPDX-License-Identifier: Apache-2.0 */
/* What session.c (one connection) and sessions.c (all of them) share. */
#ifndef FARSHORE_CLUSTER_SESSION_IMPL_H
#define FARSHORE_CLUSTER_SESSION_IMPL_H

#include "cluster/session.h"
#include "lib/net/conn.h"

enum { SESSION_HOST_MAX = 48, SESSION_APIS_MAX = 128 };

struct session {
	struct sessions *all;
	struct session *prev, *next; /* the list of all */
	struct conn *conn;
	const struct endpoint *endpoint;
	unsigned refs; /* one of its own, one for each answer that the connection holds */
	struct request *head, **tail;
	unsigned in_flight; /* requests in the list */
	unsigned others;    /* those that are not Produce */
	size_t in_flight_bytes;
	size_t arriving; /* bytes of a frame that is not complete */
	size_t parked;   /* bytes of a request other than Produce that its handler keeps */
	struct frame *waiting;
	struct loop_deferred work;
	bool busy;    /* a handler is being called */
	bool trusted; /* a valid request came */
	bool paused;
	bool closing;
	/* The sweep's notes. */
	int64_t active_ms; /* the last frame */
	int64_t taken_ms;  /* since when the client has taken nothing of what is unsent */
	uint64_t taken_out;
	int64_t begun_ms; /* since when the frame that arrives has not got on */
	uint64_t begun_in;
	uint64_t swept_in; /* bytes received at the last sweep */
	unsigned still;    /* sweeps in which the frame that arrives hardly grew */
	char host[SESSION_HOST_MAX];
};

struct sessions {
	struct sessions_options options;
	struct session *head;
	struct frame_pool *pool;
	struct map *by_ip; /* host -> struct ip_count */
	struct loop_timer *sweep;
	int64_t swept_ms;
	struct sessions_count count; /* but for `open` of what is open now */
	size_t queued;               /* bytes of frames that are complete and not answered */
	size_t arriving;             /* of those that are not complete */
	size_t parked; /* of requests that wait for something to happen, with their arenas */
	const struct api *apis; /* the first of all */
	uint64_t requests[SESSION_APIS_MAX];
	bool throttled; /* over the high mark of memory */
	bool draining;
};

/* NULL when out of memory (the socket is closed). */
struct session *session_new(struct sessions *all, int fd, const struct endpoint *at,
			    const char *host);

/* Look again what may be begun or read, soon. */
void session_wake(struct session *s);

/* Log, and close from the loop. */
void session_end(struct session *s, enum log_level level, const char *event, const char *why);

/* Close now; from outside of all requests. */
void session_close(struct session *s);

/* The memory of requests in flight may have crossed a mark. */
void sessions_check_memory(struct sessions *all);

/* So many bytes of an incomplete frame are there. */
void sessions_arrived(struct sessions *all, struct session *s, size_t bytes);

/* Requests that wait may have become too large together. */
void sessions_check_parked(struct sessions *all);

/* The session is closed. */
void sessions_remove(struct sessions *all, struct session *s);

#endif
