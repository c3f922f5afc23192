/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that name the same thing twice. */
#ifndef FARSHORE_CLUSTER_API_REPEATS_H
#define FARSHORE_CLUSTER_API_REPEATS_H

#include "lib/base/arena.h"

enum repeat {
	REPEAT_NONE,  /* named once */
	REPEAT_FIRST, /* the first of several */
	REPEAT_AGAIN, /* named before */
};

/* What each of the `n` keys is, in the arena; NULL when out of memory. The null key counts as
 * empty. */
const enum repeat *repeats_find(struct arena *a, const struct bytes *keys, size_t n);

/* For each key the index where it is there first; in the arena. NULL when out of memory. */
const uint32_t *repeats_first(struct arena *a, const struct bytes *keys, size_t n);

#endif
