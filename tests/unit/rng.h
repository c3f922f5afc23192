/* SPDX-License-Identifier: Apache-2.0 */
/* Random cases that replay: every property test prints its seed, and FARSHORE_SEED sets it. */
#ifndef FARSHORE_TESTS_UNIT_RNG_H
#define FARSHORE_TESTS_UNIT_RNG_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/clock.h"

/* SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014). */
struct rng {
	uint64_t s;
};

static inline uint64_t rng_u64(struct rng *g)
{
	uint64_t z = g->s += 0x9e3779b97f4a7c15ULL;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

/* Uniform enough in [lo, hi]. */
static inline int64_t rng_in(struct rng *g, int64_t lo, int64_t hi)
{
	return lo + (int64_t)(rng_u64(g) % ((uint64_t)(hi - lo) + 1));
}

/* True once in `n`. */
static inline int rng_one_in(struct rng *g, int64_t n)
{
	return rng_in(g, 1, n) == 1;
}

static inline uint64_t rng_seed(const char *test)
{
	const char *set = getenv("FARSHORE_SEED");
	const struct clock *clock = clock_system();
	uint64_t seed = set != NULL ? strtoull(set, NULL, 0) : clock->random(clock->ctx);
	printf("%s: FARSHORE_SEED=0x%llx\n", test, (unsigned long long)seed);
	return seed;
}

/* Sanitizers make everything some 10 times slower: a quarter of the work is the default there. */
#ifdef __SANITIZE_ADDRESS__
enum { RNG_PERCENT = 25 };
#else
enum { RNG_PERCENT = 100 };
#endif

/* How much of a property test's full work to do: FARSHORE_CASES sets the percentage. */
static inline int64_t rng_scale(int64_t full)
{
	const char *set = getenv("FARSHORE_CASES");
	int64_t percent = set != NULL ? strtoll(set, NULL, 10) : RNG_PERCENT;
	int64_t n = full * percent / 100;
	return n < 1 ? 1 : n;
}

#endif
