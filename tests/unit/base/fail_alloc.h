/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lets the Nth allocation fail. A test program that includes this is linked with
 * --wrap=malloc,--wrap=calloc,--wrap=realloc; each such program includes it once.
 */
#ifndef FARSHORE_TESTS_FAIL_ALLOC_H
#define FARSHORE_TESTS_FAIL_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

void *__real_malloc(size_t n);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *p, size_t n);

/* Allocations until the one that fails; negative: none fails. */
static long fail_alloc_in = -1;

/* Arm for the Nth allocation from now, N from 1. */
static inline void fail_alloc_at(long n)
{
	fail_alloc_in = n;
}

/* Disarm; true if the failure was delivered. */
static inline bool fail_alloc_off(void)
{
	bool hit = fail_alloc_in == 0;
	fail_alloc_in = -1;
	return hit;
}

static inline bool fail_alloc_now(void)
{
	return fail_alloc_in > 0 && --fail_alloc_in == 0;
}

void *__wrap_malloc(size_t n)
{
	return fail_alloc_now() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fail_alloc_now() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fail_alloc_now() ? NULL : __real_realloc(p, n);
}

#endif
