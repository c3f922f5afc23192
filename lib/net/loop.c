/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop: a turn waits for descriptors (libevent), then fires the timers that are due, then
 * runs what was deferred.
 *
 * Invariants:
 * - Deferred work that is added while deferred work runs waits for the next turn, and a turn fires
 *   at most as many timers as were armed when it began: neither can starve the descriptors.
 * - The timers are a binary heap ordered by (deadline, order of arming). Its array has a slot for
 *   every timer that exists, so arming never allocates.
 * - libevent knows one timer only, `wake`, which ends a wait; it may fire early, never late.
 */
#include "lib/net/loop.h"

#include <assert.h>
#include <event2/event.h>
#include <event2/event_struct.h>

#include "lib/base/mem.h"

/* The longest single wait; a loop without timers wakes this often. */
enum { WAIT_MAX_MS = 60 * 60 * 1000 };

#define NOT_ARMED SIZE_MAX

struct loop_timer {
	struct loop *loop;
	void (*fn)(void *arg);
	void *arg;
	int64_t deadline_ms;
	uint64_t order;
	size_t slot; /* in the heap, or NOT_ARMED */
};

struct deferred_list {
	struct loop_deferred *head, **tail;
};

struct loop {
	struct event_base *base;
	const struct clock *clock;
	struct log *log;
	struct worker_pool *pool;
	struct event pool_event;
	struct event wake;
	int64_t wake_at_ms; /* INT64_MAX when not armed */
	struct deferred_list deferred;
	struct loop_deferred round_end; /* marker, see run_deferred */
	struct loop_timer **heap;
	size_t heap_n, heap_cap, timers;
	uint64_t order;
	bool stop;
};

/* Deferred work */

static void list_init(struct deferred_list *q)
{
	q->head = NULL;
	q->tail = &q->head;
}

static void list_remove(struct deferred_list *q, struct loop_deferred *d)
{
	*d->back = d->next;
	if (d->next != NULL)
		d->next->back = d->back;
	else
		q->tail = d->back;
	d->pending = false;
}

void loop_defer(struct loop *l, struct loop_deferred *d)
{
	assert(!d->pending);
	d->pending = true;
	d->next = NULL;
	d->back = l->deferred.tail;
	*l->deferred.tail = d;
	l->deferred.tail = &d->next;
}

void loop_undefer(struct loop *l, struct loop_deferred *d)
{
	if (d->pending)
		list_remove(&l->deferred, d);
}

/* A marker in the list ends the round, so that entries of this round can still be taken back and
 * later ones wait. */
static void run_deferred(struct loop *l)
{
	struct loop_deferred *end = &l->round_end;
	loop_defer(l, end);
	while (l->deferred.head != end && !l->stop) {
		struct loop_deferred *d = l->deferred.head;
		list_remove(&l->deferred, d);
		d->fn(d->arg);
	}
	list_remove(&l->deferred, end);
}

/* Timers */

static bool fires_before(const struct loop_timer *a, const struct loop_timer *b)
{
	if (a->deadline_ms != b->deadline_ms)
		return a->deadline_ms < b->deadline_ms;
	return a->order < b->order;
}

static void heap_place(struct loop *l, size_t i, struct loop_timer *t)
{
	l->heap[i] = t;
	t->slot = i;
}

/* Move `t`, whose place is slot `i`, up or down to where it belongs. */
static void heap_settle(struct loop *l, size_t i, struct loop_timer *t)
{
	while (i > 0 && fires_before(t, l->heap[(i - 1) / 2])) {
		heap_place(l, i, l->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	for (;;) {
		size_t child = 2 * i + 1;
		if (child + 1 < l->heap_n && fires_before(l->heap[child + 1], l->heap[child]))
			child++;
		if (child >= l->heap_n || !fires_before(l->heap[child], t))
			break;
		heap_place(l, i, l->heap[child]);
		i = child;
	}
	heap_place(l, i, t);
}

struct loop_timer *loop_timer_new(struct loop *l, void (*fn)(void *arg), void *arg)
{
	if (l->timers == l->heap_cap) {
		size_t cap = l->heap_cap == 0 ? 16 : l->heap_cap * 2;
		struct loop_timer **heap = mem_resize(l->heap, cap, sizeof(struct loop_timer *));
		if (heap == NULL)
			return NULL;
		l->heap = heap;
		l->heap_cap = cap;
	}
	struct loop_timer *t = mem_zalloc(1, sizeof *t);
	if (t == NULL)
		return NULL;
	t->loop = l;
	t->fn = fn;
	t->arg = arg;
	t->slot = NOT_ARMED;
	l->timers++;
	return t;
}

void loop_timer_free(struct loop_timer *t)
{
	if (t == NULL)
		return;
	loop_timer_stop(t);
	t->loop->timers--;
	mem_free(t);
}

void loop_timer_set(struct loop_timer *t, int64_t in_ms)
{
	struct loop *l = t->loop;
	int64_t now = loop_now_ms(l);
	if (in_ms < 0)
		in_ms = 0;
	t->deadline_ms = in_ms > INT64_MAX - now ? INT64_MAX : now + in_ms;
	t->order = l->order++;
	if (t->slot == NOT_ARMED)
		heap_settle(l, l->heap_n++, t);
	else
		heap_settle(l, t->slot, t);
}

void loop_timer_stop(struct loop_timer *t)
{
	struct loop *l = t->loop;
	if (t->slot == NOT_ARMED)
		return;
	struct loop_timer *last = l->heap[--l->heap_n];
	if (last != t)
		heap_settle(l, t->slot, last);
	t->slot = NOT_ARMED;
}

bool loop_timer_armed(const struct loop_timer *t)
{
	return t->slot != NOT_ARMED;
}

static void fire_timers(struct loop *l)
{
	if (l->heap_n == 0)
		return;
	int64_t now = loop_now_ms(l);
	for (size_t n = l->heap_n; n > 0 && l->heap_n > 0 && !l->stop; n--) {
		struct loop_timer *t = l->heap[0];
		if (t->deadline_ms > now)
			break;
		loop_timer_stop(t);
		t->fn(t->arg);
	}
}

/* The loop */

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct loop *l = arg;
	l->wake_at_ms = INT64_MAX;
}

static void on_pool(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct loop *l = arg;
	worker_pool_reap(l->pool);
}

/* Make the wait end after `wait_ms` or at the first timer's deadline. An earlier wake-up that is
 * armed already stays: it costs one idle turn, less than arming anew each turn. */
static void arm_wake(struct loop *l, int64_t wait_ms)
{
	int64_t now = loop_now_ms(l);
	int64_t at = now + wait_ms;
	if (l->heap_n > 0 && l->heap[0]->deadline_ms < at)
		at = l->heap[0]->deadline_ms > now ? l->heap[0]->deadline_ms : now;
	if (l->wake_at_ms <= at && l->wake_at_ms > now)
		return;
	const struct timeval tv = {.tv_sec = (at - now) / 1000,
				   .tv_usec = (at - now) % 1000 * 1000};
	event_add(&l->wake, &tv);
	l->wake_at_ms = at;
}

static void turn(struct loop *l, int64_t wait_ms)
{
	int flags = EVLOOP_ONCE;
	if (wait_ms <= 0 || l->deferred.head != NULL)
		flags |= EVLOOP_NONBLOCK;
	else
		arm_wake(l, wait_ms < WAIT_MAX_MS ? wait_ms : WAIT_MAX_MS);
	event_base_loop(l->base, flags);
	fire_timers(l);
	run_deferred(l);
}

void loop_run(struct loop *l)
{
	l->stop = false;
	while (!l->stop)
		turn(l, WAIT_MAX_MS);
}

void loop_break(struct loop *l)
{
	l->stop = true;
	event_base_loopbreak(l->base);
}

void loop_turn(struct loop *l, int64_t wait_ms)
{
	l->stop = false;
	turn(l, wait_ms);
}

static struct event_base *base_new(void)
{
	struct event_config *config = event_config_new();
	if (config == NULL)
		return NULL;
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	struct event_base *base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

enum err loop_new(unsigned threads, const struct clock *clock, struct log *log, struct loop **out,
		  struct errmsg *why)
{
	enum err e = errmsg_set(why, ERR_NOMEM, "event loop: out of memory");
	struct loop *l = mem_zalloc(1, sizeof *l);
	if (l == NULL)
		return e;
	l->clock = clock;
	l->log = log;
	l->wake_at_ms = INT64_MAX;
	list_init(&l->deferred);
	l->base = base_new();
	if (l->base == NULL) {
		e = errmsg_set(why, ERR_IO, "event loop: libevent cannot start (epoll)");
		goto err_after_loop;
	}
	e = worker_pool_new(threads, &l->pool, why);
	if (e != ERR_OK)
		goto err_after_base;
	event_assign(&l->wake, l->base, -1, 0, on_wake, l);
	event_assign(&l->pool_event, l->base, worker_pool_fd(l->pool), EV_READ | EV_PERSIST,
		     on_pool, l);
	if (event_add(&l->pool_event, NULL) != 0) {
		e = errmsg_set(why, ERR_NOMEM, "event loop: out of memory");
		goto err_after_pool;
	}
	*out = l;
	return ERR_OK;

err_after_pool:
	worker_pool_free(l->pool);
err_after_base:
	event_base_free(l->base);
err_after_loop:
	mem_free(l);
	return e;
}

void loop_free(struct loop *l)
{
	if (l == NULL)
		return;
	l->stop = false;
	while (l->deferred.head != NULL)
		run_deferred(l);
	event_del(&l->pool_event);
	worker_pool_free(l->pool);
	while (l->deferred.head != NULL)
		run_deferred(l);
	assert(l->timers == 0);
	event_del(&l->wake);
	event_base_free(l->base);
	mem_free(l->heap);
	mem_free(l);
}

struct event_base *loop_base(struct loop *l)
{
	return l->base;
}

const struct clock *loop_clock(const struct loop *l)
{
	return l->clock;
}

struct log *loop_log(const struct loop *l)
{
	return l->log;
}

struct worker_pool *loop_pool(struct loop *l)
{
	return l->pool;
}

int64_t loop_now_ms(const struct loop *l)
{
	return clock_mono_ms(l->clock);
}
