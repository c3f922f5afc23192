/* SPDX-License-Identifier: Apache-2.0 */
/* The system clock behind the table, and back-off on top of any table. */
#include "lib/base/clock.h"

#include <stddef.h>
#include <sys/random.h>
#include <time.h>

static int64_t now_ms(clockid_t id)
{
	struct timespec ts;
	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int64_t system_mono_ms(void *ctx)
{
	(void)ctx;
	return now_ms(CLOCK_MONOTONIC);
}

static int64_t system_wall_ms(void *ctx)
{
	(void)ctx;
	return now_ms(CLOCK_REALTIME);
}

static uint64_t system_random(void *ctx)
{
	(void)ctx;
	uint64_t v = 0;
	/* Without entropy the jitter is worse, nothing else: the result is still a valid wait. */
	if (getrandom(&v, sizeof v, GRND_NONBLOCK) != (ssize_t)sizeof v)
		v = (uint64_t)now_ms(CLOCK_MONOTONIC) * 0x9e3779b97f4a7c15ULL;
	return v;
}

const struct clock *clock_system(void)
{
	static const struct clock system = {system_mono_ms, system_wall_ms, system_random, NULL};
	return &system;
}

int64_t clock_backoff_ms(const struct clock *c, unsigned attempt, int64_t floor_ms, int64_t cap_ms)
{
	int64_t w = floor_ms < cap_ms ? floor_ms : cap_ms;
	for (; attempt > 0 && w > 0 && w < cap_ms; attempt--)
		w = w > cap_ms / 2 ? cap_ms : w * 2;
	int64_t low = floor_ms / 2 < w ? floor_ms / 2 : w;
	return low + (int64_t)(c->random(c->ctx) % (uint64_t)(w - low + 1));
}
