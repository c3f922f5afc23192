/* SPDX-License-Identifier: Apache-2.0 */
/* A list in the order of time. Most waits of one kind are equally long, so a new one belongs at the
 * end, and the search for its place starts there. */
#include "cluster/deadline.h"

#include <assert.h>

#include "lib/base/mem.h"

struct deadlines {
	struct loop *loop;
	struct loop_timer *timer;
	struct deadline *head, *tail;
};

static void arm(struct deadlines *all)
{
	if (all->head == NULL)
		loop_timer_stop(all->timer);
	else
		loop_timer_set(all->timer, all->head->at_ms - loop_now_ms(all->loop));
}

static void on_timer(void *arg)
{
	struct deadlines *all = arg;
	int64_t now = loop_now_ms(all->loop);
	while (all->head != NULL && all->head->at_ms <= now) {
		struct deadline *d = all->head;
		deadline_clear(d);
		d->fn(d);
	}
	arm(all);
}

struct deadlines *deadlines_new(struct loop *l)
{
	struct deadlines *all = mem_zalloc(1, sizeof *all);
	if (all == NULL)
		return NULL;
	all->loop = l;
	all->timer = loop_timer_new(l, on_timer, all);
	if (all->timer == NULL) {
		mem_free(all);
		return NULL;
	}
	return all;
}

void deadlines_free(struct deadlines *all)
{
	if (all == NULL)
		return;
	for (struct deadline *d = all->head; d != NULL; d = d->next)
		d->of = NULL;
	loop_timer_free(all->timer);
	mem_free(all);
}

void deadline_set(struct deadlines *all, struct deadline *d, int64_t in_ms)
{
	assert(d->of == NULL);
	d->of = all;
	d->at_ms = loop_now_ms(all->loop) + (in_ms < 0 ? 0 : in_ms);
	struct deadline *before = all->tail;
	while (before != NULL && before->at_ms > d->at_ms)
		before = before->prev;
	d->prev = before;
	d->next = before == NULL ? all->head : before->next;
	*(before == NULL ? &all->head : &before->next) = d;
	*(d->next == NULL ? &all->tail : &d->next->prev) = d;
	if (all->head == d)
		arm(all);
}

void deadline_clear(struct deadline *d)
{
	struct deadlines *all = d->of;
	if (all == NULL)
		return;
	*(d->prev == NULL ? &all->head : &d->prev->next) = d->next;
	*(d->next == NULL ? &all->tail : &d->next->prev) = d->prev;
	d->of = NULL;
	d->prev = d->next = NULL;
	/* The timer may now be early; it looks again. */
}

void deadlines_expire(struct deadlines *all)
{
	for (struct deadline *d = all->head; d != NULL; d = d->next)
		d->at_ms = 0;
	arm(all);
}
