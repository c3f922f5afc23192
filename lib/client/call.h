/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call of the client's user on its way to a connection, and queues of calls that wait for one.
 * A call is in one place at a time: a waiting queue, a channel's list of sent calls, or the loop's
 * list of deferred completions.
 */
#ifndef FARSHORE_CLIENT_CALL_H
#define FARSHORE_CLIENT_CALL_H

#include "lib/client/client.h"

struct channel;

struct call {
	struct client_call spec; /* as the user gave it, the timeout resolved */
	int16_t min_version;
	int64_t deadline;        /* monotonic ms */
	struct channel *channel; /* that sent it; NULL: not sent, or cut loose */
	struct call *prev;
	struct call *next;
	struct loop *loop;
	struct loop_deferred deferred;
	enum err err;
	struct errmsg why;
};

struct call_list {
	struct call *head;
	struct call *tail;
	size_t n;
};

/* A copy of `spec`; `spec->timeout_ms` is the real timeout. NULL when out of memory. */
struct call *call_new(struct loop *l, const struct client_call *spec);

/* Complete with an error from the loop, soon, and free. The call is in no list. `why` is copied and
 * may be NULL. */
void call_fail(struct call *call, enum err e, const struct errmsg *why);

void call_list_add(struct call_list *q, struct call *call);
void call_list_remove(struct call_list *q, struct call *call);

/* Calls that wait, each until its deadline. */
struct call_queue {
	struct call_list list;
	struct loop_timer *timer;
	struct loop *loop;
	int64_t expires;             /* monotonic ms when the timer fires; INT64_MAX: not set */
	const struct errmsg *reason; /* why there is no connection; borrowed; may be empty */
};

/* ERR_NOMEM. `reason` lives as long as the queue. */
enum err call_queue_init(struct call_queue *q, struct loop *l,
			 const struct errmsg *reason) ERR_MUST_USE;

/* All calls must be gone (call_queue_fail). Safe on a zeroed queue. */
void call_queue_fini(struct call_queue *q);

void call_queue_add(struct call_queue *q, struct call *call);
struct call *call_queue_take(struct call_queue *q); /* the oldest; NULL when empty */

/* Fail all of them. */
void call_queue_fail(struct call_queue *q, enum err e, const struct errmsg *why);

#endif
