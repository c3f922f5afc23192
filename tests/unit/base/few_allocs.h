/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lets memory run out: after some allocations all fail (fail_alloc.h: one fails). A test program
 * that includes this is linked with --wrap=mem_alloc,--wrap=mem_zalloc,--wrap=mem_resize; each such
 * program includes it once.
 */
#ifndef FARSHORE_TESTS_FEW_ALLOCS_H
#define FARSHORE_TESTS_FEW_ALLOCS_H

#include <stdbool.h>
#include <stddef.h>

void *__real_mem_alloc(size_t n);
void *__real_mem_zalloc(size_t count, size_t size);
void *__real_mem_resize(void *p, size_t count, size_t size);
void *__wrap_mem_alloc(size_t n);
void *__wrap_mem_zalloc(size_t count, size_t size);
void *__wrap_mem_resize(void *p, size_t count, size_t size);

/* So many are granted from now on; negative: all. */
static long few_allocs = -1;

static inline bool few_allocs_granted(void)
{
	return few_allocs < 0 || (few_allocs > 0 && few_allocs-- > 0);
}

void *__wrap_mem_alloc(size_t n)
{
	return few_allocs_granted() ? __real_mem_alloc(n) : NULL;
}

void *__wrap_mem_zalloc(size_t count, size_t size)
{
	return few_allocs_granted() ? __real_mem_zalloc(count, size) : NULL;
}

void *__wrap_mem_resize(void *p, size_t count, size_t size)
{
	return few_allocs_granted() ? __real_mem_resize(p, count, size) : NULL;
}

#endif
