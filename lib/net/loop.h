/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop of a process: libevent, the clock, the log and the worker pool in one handle. An
 * object belongs to one loop and is used on its thread only.
 */
#ifndef FARSHORE_NET_LOOP_H
#define FARSHORE_NET_LOOP_H

#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/worker.h"

struct event_base;
struct loop;

/* `threads` of the worker pool; `clock` and `log` are borrowed and outlive the loop; `log` may be
 * NULL. */
enum err loop_new(unsigned threads, const struct clock *clock, struct log *log, struct loop **out,
		  struct errmsg *why) ERR_MUST_USE;

/* All objects of the loop must be gone. Runs what was deferred, completes the pool's jobs. */
void loop_free(struct loop *l);

/* Run until loop_break. A break from before the call is forgotten. */
void loop_run(struct loop *l);

/* Make loop_run return after the current callback; what else was ready waits for the next turn. */
void loop_break(struct loop *l);

/* Run one turn; waits for at most `wait_ms` for something to happen (0: not at all). For tests. */
void loop_turn(struct loop *l, int64_t wait_ms);

struct event_base *loop_base(struct loop *l);
const struct clock *loop_clock(const struct loop *l);
struct log *loop_log(const struct loop *l);
struct worker_pool *loop_pool(struct loop *l);
int64_t loop_now_ms(const struct loop *l); /* monotonic */

/* Run `fn(arg)` once, soon, after the callback that is running now returned. `d` is the caller's
 * (zero but for `fn` and `arg`) and must live until then; a pending `d` may not be deferred again.
 * This is how completions are kept out of the call that caused them. */
struct loop_deferred {
	void (*fn)(void *arg);
	void *arg;
	bool pending;
	struct loop_deferred *next, **back; /* the loop's */
};
void loop_defer(struct loop *l, struct loop_deferred *d);

/* Take it back; safe if it is not pending. */
void loop_undefer(struct loop *l, struct loop_deferred *d);

/* A one-shot timer, driven by the loop's clock (so a test that moves the clock moves the timers).
 * It never fires from inside loop_timer_set. Equal deadlines fire in the order they were set. */
struct loop_timer;
/* NULL when out of memory; setting a timer later cannot fail. */
struct loop_timer *loop_timer_new(struct loop *l, void (*fn)(void *arg), void *arg);
/* NULL is safe; stops it. Allowed inside its own callback. */
void loop_timer_free(struct loop_timer *t);
/* (Re)arm. Less than 0 counts as 0. */
void loop_timer_set(struct loop_timer *t, int64_t in_ms);
void loop_timer_stop(struct loop_timer *t);
bool loop_timer_armed(const struct loop_timer *t);

#endif
