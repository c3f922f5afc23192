/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory that batches in transit may take, in one number for the process: fetch answers count
 * from when they are asked for (at their limit) until their last batch is acknowledged. Whoever
 * wants to fetch asks first; who must wait is called when there is room.
 */
#ifndef FARSHORE_MIRROR_MEMORY_H
#define FARSHORE_MIRROR_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

struct frame;
struct frame_pool;
struct loop;
struct memory;

/* Wait-list entry, embedded in whoever waits. */
struct memory_waiter {
	void (*wake)(void *arg);
	void *arg;
	struct memory_waiter *next;
	bool listed;
};

/* Where received frames come from: its limit is `max` and a little more, so that what was granted
 * always fits and a peer that sends more than it was asked for is stopped. */
struct frame_pool *memory_pool(struct memory *m);

/* `max` in bytes. NULL when out of memory. */
struct memory *memory_new(struct loop *l, size_t max);
void memory_free(struct memory *m);
void memory_set_max(struct memory *m, size_t max);

/* Take `n` bytes; false: not now, and `w` is woken (once, from the loop) when some were given back.
 * A caller that holds nothing is always served, so that one answer larger than all cannot block for
 * ever. */
bool memory_take(struct memory *m, size_t n, struct memory_waiter *w);
/* From now on the frame's memory counts until its last reference goes. NULL, and a frame that is
 * counted already, are left alone. */
void memory_count(struct memory *m, struct frame *frame);
/* Set aside for good, for answers that may come at any time (parked requests). */
void memory_stand(struct memory *m, size_t n);
void memory_unstand(struct memory *m, size_t n);
void memory_give(struct memory *m, size_t n);
void memory_unwait(struct memory *m, struct memory_waiter *w);

/* Give unused blocks back to the system if nothing is in transit. */
void memory_trim(struct memory *m);

size_t memory_used(const struct memory *m);
size_t memory_max(const struct memory *m);

#endif
