/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls and their waiting queues. Invariants: a call completes once, because completing frees it;
 * a completion made here always goes through the loop, so it never runs inside the user's call.
 */
#include "lib/client/call.h"

#include <inttypes.h>

#include "lib/base/mem.h"

struct call *call_new(struct loop *l, const struct client_call *spec)
{
	struct call *call = mem_zalloc(1, sizeof *call);
	if (call == NULL)
		return NULL;
	call->spec = *spec;
	call->deadline = loop_now_ms(l) + spec->timeout_ms;
	call->loop = l;
	return call;
}

static void call_fail_now(void *arg)
{
	struct call *call = arg;
	call->spec.done(call->spec.arg, call->err, &call->why, NULL);
	mem_free(call);
}

void call_fail(struct call *call, enum err e, const struct errmsg *why)
{
	call->err = e;
	if (why != NULL)
		call->why = *why;
	if (call->why.text[0] == '\0')
		errmsg_set(&call->why, e, "%s", err_text(e));
	call->deferred = (struct loop_deferred){.fn = call_fail_now, .arg = call};
	loop_defer(call->loop, &call->deferred);
}

void call_list_add(struct call_list *q, struct call *call)
{
	call->prev = q->tail;
	call->next = NULL;
	if (q->tail == NULL)
		q->head = call;
	else
		q->tail->next = call;
	q->tail = call;
	q->n++;
}

void call_list_remove(struct call_list *q, struct call *call)
{
	if (call->prev == NULL)
		q->head = call->next;
	else
		call->prev->next = call->next;
	if (call->next == NULL)
		q->tail = call->prev;
	else
		call->next->prev = call->prev;
	call->prev = NULL;
	call->next = NULL;
	q->n--;
}

static void call_queue_arm(struct call_queue *q, int64_t deadline)
{
	if (deadline >= q->expires)
		return;
	int64_t left = deadline - loop_now_ms(q->loop);
	q->expires = deadline;
	loop_timer_set(q->timer, left > 0 ? left : 0);
}

static void call_expire(struct call_queue *q, struct call *call)
{
	const char *reason = q->reason->text;
	struct errmsg why;
	errmsg_set(&why, ERR_TIMEOUT, "no connection within %" PRId64 " ms%s%s",
		   call->spec.timeout_ms, reason[0] == '\0' ? "" : ": ", reason);
	call_list_remove(&q->list, call);
	call_fail(call, ERR_TIMEOUT, &why);
}

static void call_queue_on_timer(void *arg)
{
	struct call_queue *q = arg;
	int64_t now = loop_now_ms(q->loop);
	q->expires = INT64_MAX;
	for (struct call *call = q->list.head, *next; call != NULL; call = next) {
		next = call->next;
		if (call->deadline <= now)
			call_expire(q, call);
		else
			call_queue_arm(q, call->deadline);
	}
}

enum err call_queue_init(struct call_queue *q, struct loop *l, const struct errmsg *reason)
{
	*q = (struct call_queue){.loop = l, .expires = INT64_MAX, .reason = reason};
	q->timer = loop_timer_new(l, call_queue_on_timer, q);
	return q->timer == NULL ? ERR_NOMEM : ERR_OK;
}

void call_queue_fini(struct call_queue *q)
{
	loop_timer_free(q->timer);
	q->timer = NULL;
}

void call_queue_add(struct call_queue *q, struct call *call)
{
	call_list_add(&q->list, call);
	call_queue_arm(q, call->deadline);
}

struct call *call_queue_take(struct call_queue *q)
{
	struct call *call = q->list.head;
	if (call == NULL)
		return NULL;
	call_list_remove(&q->list, call);
	if (q->list.n == 0) {
		loop_timer_stop(q->timer);
		q->expires = INT64_MAX;
	}
	return call;
}

void call_queue_fail(struct call_queue *q, enum err e, const struct errmsg *why)
{
	for (struct call *call = call_queue_take(q); call != NULL; call = call_queue_take(q))
		call_fail(call, e, why);
}
