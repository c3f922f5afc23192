/* SPDX-License-Identifier: Apache-2.0 */
/* A counter and a first-come list of those who wait. Waiters are woken from the loop, never from
 * inside memory_give. */
#include "mirror/link/memory.h"

#include <assert.h>

#include "lib/base/frame.h"
#include "lib/base/mem.h"
#include "lib/net/loop.h"

enum {
	POOL_EXTRA = 6 << 20, /* answers that are not batches: metadata, tails, refusals */
};

struct memory {
	struct loop *loop;
	struct frame_pool *pool;
	size_t max, used, standing;
	struct memory_waiter *head, **tail;
	struct loop_deferred wake;
};

static void wake_waiters(void *arg)
{
	struct memory *m = arg;
	size_t n = 0;
	for (struct memory_waiter *w = m->head; w != NULL; w = w->next)
		n++;
	/* Each asks again; who still finds no room lists itself anew, at the end. One at a time
	 * from the list itself, since a waiter may take another one off. */
	while (n-- > 0 && m->head != NULL) {
		struct memory_waiter *w = m->head;
		m->head = w->next;
		if (m->head == NULL)
			m->tail = &m->head;
		w->listed = false;
		w->wake(w->arg);
	}
}

struct memory *memory_new(struct loop *l, size_t max)
{
	struct memory *m = mem_zalloc(1, sizeof *m);
	if (m == NULL)
		return NULL;
	m->pool = frame_pool_new(max + POOL_EXTRA, max);
	if (m->pool == NULL) {
		mem_free(m);
		return NULL;
	}
	m->loop = l;
	m->max = max;
	m->tail = &m->head;
	m->wake = (struct loop_deferred){.fn = wake_waiters, .arg = m};
	return m;
}

void memory_free(struct memory *m)
{
	if (m == NULL)
		return;
	loop_undefer(m->loop, &m->wake);
	frame_pool_free(m->pool);
	mem_free(m);
}

void memory_set_max(struct memory *m, size_t max)
{
	m->max = max;
	frame_pool_set_max(m->pool, max + POOL_EXTRA);
}

struct frame_pool *memory_pool(struct memory *m)
{
	return m->pool;
}

bool memory_take(struct memory *m, size_t n, struct memory_waiter *w)
{
	size_t max = m->max > m->standing ? m->max - m->standing : 0;
	if (m->used > 0 && (m->used >= max || n > max - m->used)) {
		if (!w->listed) {
			w->listed = true;
			w->next = NULL;
			*m->tail = w;
			m->tail = &w->next;
		}
		return false;
	}
	m->used += n;
	return true;
}

void memory_stand(struct memory *m, size_t n)
{
	m->standing += n;
}

void memory_unstand(struct memory *m, size_t n)
{
	assert(n <= m->standing);
	m->standing -= n;
}

static void frame_counted(void *arg, size_t n)
{
	memory_give(arg, n);
}

void memory_count(struct memory *m, struct frame *frame)
{
	if (frame == NULL || frame->on_free != NULL)
		return;
	m->used += frame->n;
	frame->on_free = frame_counted;
	frame->arg = m;
}

void memory_give(struct memory *m, size_t n)
{
	assert(n <= m->used);
	m->used -= n;
	if (m->head != NULL && !m->wake.pending)
		loop_defer(m->loop, &m->wake);
}

void memory_unwait(struct memory *m, struct memory_waiter *w)
{
	if (!w->listed)
		return;
	for (struct memory_waiter **at = &m->head; *at != NULL; at = &(*at)->next) {
		if (*at != w)
			continue;
		*at = w->next;
		if (w->next == NULL)
			m->tail = at;
		break;
	}
	w->listed = false;
}

void memory_trim(struct memory *m)
{
	if (frame_pool_used(m->pool) == 0)
		frame_pool_trim(m->pool);
}

size_t memory_used(const struct memory *m)
{
	return m->used + m->standing;
}

size_t memory_max(const struct memory *m)
{
	return m->max;
}
