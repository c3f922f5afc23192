/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A frame: one received message in one block of memory, counted references. Slices of its bytes
 * live as long as a reference is held, so that a batch goes from a fetch response to a produce
 * request without a copy. The counter is not atomic: frames belong to the loop's thread. (A worker
 * job holds a reference that the loop took before and drops after.)
 */
#ifndef FARSHORE_BASE_FRAME_H
#define FARSHORE_BASE_FRAME_H

#include "lib/base/bytes.h"

struct frame {
	uint32_t refs;
	size_t n; /* bytes of data */
	/* Called with the frame's size when the last reference goes, for whoever counts memory; may
	 * be NULL. */
	void (*on_free)(void *arg, size_t n);
	void *arg;
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

#endif
