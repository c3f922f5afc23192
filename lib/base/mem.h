/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocation: every allocation of Farshore goes through here. Out of memory is an error that the
 * caller handles (NULL, or ERR_NOMEM one level up), never an abort. Sizes are multiplied with an
 * overflow check.
 */
#ifndef FARSHORE_BASE_MEM_H
#define FARSHORE_BASE_MEM_H

#include <stddef.h>

#include "lib/base/bytes.h"

/* Uninitialised memory of `n` bytes; NULL when out of memory. `n == 0` gives a unique pointer. */
void *mem_alloc(size_t n) __attribute__((malloc, warn_unused_result));

/* Zeroed memory for `count` items of `size` bytes; NULL when out of memory or the product
 * overflows. */
void *mem_zalloc(size_t count, size_t size) __attribute__((malloc, warn_unused_result));

/* Resize to `count * size` bytes; on NULL the old block stands. */
void *mem_resize(void *p, size_t count, size_t size) __attribute__((warn_unused_result));

/* mem_free(NULL) is safe. */
void mem_free(void *p);

/* A NUL-terminated copy; NULL when out of memory. */
char *mem_strdup(const char *s) __attribute__((malloc, warn_unused_result));

/* A NUL-terminated copy of a slice (the null slice gives ""); NULL when out of memory. */
char *mem_strndup(struct bytes s) __attribute__((malloc, warn_unused_result));

#endif
