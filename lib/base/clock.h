/* SPDX-License-Identifier: Apache-2.0 */
/* Time and chance as a table of functions, so that tests drive both. */
#ifndef FARSHORE_BASE_CLOCK_H
#define FARSHORE_BASE_CLOCK_H

#include <stdint.h>

/* Where an object gets time and random numbers from. The table outlives the objects that hold it.
 */
struct clock {
	/* Monotonic milliseconds; never goes back. For deadlines. */
	int64_t (*mono_ms)(void *ctx);
	/* Milliseconds since the Unix epoch; may jump. For timestamps that people or Kafka see. */
	int64_t (*wall_ms)(void *ctx);
	/* 64 random bits, good enough for jitter, not for secrets. */
	uint64_t (*random)(void *ctx);
	void *ctx;
};

/* The system's clocks and getrandom(2). Static storage. */
const struct clock *clock_system(void);

static inline int64_t clock_mono_ms(const struct clock *c)
{
	return c->mono_ms(c->ctx);
}

static inline int64_t clock_wall_ms(const struct clock *c)
{
	return c->wall_ms(c->ctx);
}

/* Full-jitter exponential back-off: a wait in ms, uniform in [floor/2, w] where w doubles from
 * `floor_ms` with each `attempt` (0, 1, ...) up to `cap_ms`. (Brooker, "Exponential Backoff And
 * Jitter", AWS 2015.) */
int64_t clock_backoff_ms(const struct clock *c, unsigned attempt, int64_t floor_ms, int64_t cap_ms);

#endif
