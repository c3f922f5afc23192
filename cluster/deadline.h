/* SPDX-License-Identifier: Apache-2.0 */
/* Many deadlines on one timer of the loop: for requests that wait. */
#ifndef FARSHORE_CLUSTER_DEADLINE_H
#define FARSHORE_CLUSTER_DEADLINE_H

#include "lib/net/loop.h"

struct deadlines;

/* The memory is the caller's; zero but for `fn`. */
struct deadline {
	void (*fn)(struct deadline *d); /* from the loop, once for each deadline_set */
	int64_t at_ms;
	struct deadlines *of; /* NULL: not set */
	struct deadline *prev, *next;
};

/* NULL when out of memory. */
struct deadlines *deadlines_new(struct loop *l);
/* All that are set are forgotten. NULL is safe. */
void deadlines_free(struct deadlines *all);

/* `d` is not set. Less than 0 counts as 0. Cheap when it is among the last. */
void deadline_set(struct deadlines *all, struct deadline *d, int64_t in_ms);
/* Safe if it is not set. */
void deadline_clear(struct deadline *d);

/* Let all be over, soon. */
void deadlines_expire(struct deadlines *all);

#endif
