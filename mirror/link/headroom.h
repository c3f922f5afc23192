/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long until retention at the source overtakes the copy of a partition, at the present rates:
 * the log's start comes nearer to the position by so much a second. Pure; fed with what is known.
 */
#ifndef FARSHORE_MIRROR_HEADROOM_H
#define FARSHORE_MIRROR_HEADROOM_H

#include <stdbool.h>
#include <stdint.h>

/* All zero: nothing is known yet. */
struct headroom {
	/* Two earlier moments: the rate is that since `past`, which becomes `mid` when that is old
	 * enough. (Retention takes whole segments, so a short look sees nothing or very much.) */
	struct headroom_at {
		int64_t ms, start, position;
	} past, mid;
	bool known, near;
	int64_t told_ms;
};

enum {
	HEADROOM_LEAST_MS = 2 * 1000,       /* no rate before */
	HEADROOM_WINDOW_MS = 5 * 60 * 1000, /* `mid` to now at most; `past` to now twice that */
};

/* Seconds, or -1 if it is not known or comes no nearer. `start`: the source's log start offset;
 * `position`: the next offset to copy; now in ms, monotonic. */
double headroom_update(struct headroom *h, int64_t now_ms, int64_t start, int64_t position);

/* Nothing waits to be copied: forget. */
void headroom_clear(struct headroom *h);

/* True if it is time to warn: `seconds` (of headroom_update) fell below `limit`, or is still below
 * it five minutes after the last warning. It has to rise to twice the limit before it counts as
 * falling again. */
bool headroom_warn(struct headroom *h, int64_t now_ms, double seconds, double limit);

#endif
