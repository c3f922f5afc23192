/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An arena: many small allocations that die together (a decoded message, a parsed configuration).
 * It has a maximum, so that a hostile message cannot make a decoder allocate without bound.
 */
#ifndef FARSHORE_BASE_ARENA_H
#define FARSHORE_BASE_ARENA_H

#include "lib/base/bytes.h"

struct arena_block;

struct arena {
	struct arena_block *head;
	size_t used; /* bytes of all blocks */
	size_t max;  /* bytes */
};

/* An empty arena that may hold up to `max` bytes. Allocates nothing yet. */
void arena_init(struct arena *a, size_t max);

/* Free everything that was allocated; the arena may be used again. */
void arena_fini(struct arena *a);

/* Overwrite everything that was allocated; for an arena with secrets, before arena_fini. */
void arena_wipe(struct arena *a);

/* Zeroed memory for `count` items of `size` bytes, aligned for any type, alive until arena_fini.
 * NULL when out of memory, or over the maximum. */
void *arena_zalloc(struct arena *a, size_t count, size_t size);

/* A NUL-terminated copy of a slice; NULL as above. */
char *arena_strndup(struct arena *a, struct bytes s);

#endif
