/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A frame: one received message in one block of memory, with counted references. Slices of its
 * bytes live as long as a reference is held, so that a batch goes from a fetch response to a
 * produce request without a copy. The counter is not atomic: frames belong to the loop's thread. (A
 * worker job holds a reference that the loop took before and drops after.)
 *
 * Large frames can come from a pool, which keeps a few freed blocks (fresh pages from the system
 * cost more than the copy into them) and has a hard limit: it is what stands between a hostile peer
 * and the process's memory.
 */
#ifndef FARSHORE_BASE_FRAME_H
#define FARSHORE_BASE_FRAME_H

#include "lib/base/bytes.h"

struct frame_pool;

struct frame {
	uint32_t refs;
	size_t n; /* bytes of data */
	/* Called with the frame's size when the last reference goes, for whoever counts memory; may
	 * be NULL. */
	void (*on_free)(void *arg, size_t n);
	void *arg;
	struct frame_pool *pool; /* NULL: plain memory */
	size_t block;            /* bytes of the pool's block */
	uint8_t data[];
};

/* A frame of `n` uninitialised bytes with one reference; NULL when out of memory. */
struct frame *frame_new(size_t n);

static inline struct frame *frame_ref(struct frame *f)
{
	f->refs++;
	return f;
}

/* Drop a reference; the last one frees. NULL is safe. */
void frame_unref(struct frame *f);

/* A pool of at most `max` bytes in use, of which freed blocks up to `keep` bytes are kept. NULL
 * when out of memory. */
struct frame_pool *frame_pool_new(size_t max, size_t keep);

/* All frames of it must be gone. NULL is safe. */
void frame_pool_free(struct frame_pool *p);

/* Change the limit; what is in use stays. */
void frame_pool_set_max(struct frame_pool *p, size_t max);

/* A frame of `n` bytes; NULL when out of memory or over the limit. `p == NULL`: as frame_new. */
struct frame *frame_pool_get(struct frame_pool *p, size_t n);

/* Give the kept blocks back to the system. */
void frame_pool_trim(struct frame_pool *p);

/* Bytes in frames that are in use. */
size_t frame_pool_used(const struct frame_pool *p);

#endif
