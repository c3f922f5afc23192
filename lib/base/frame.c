/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reference-counted blocks, and the pool of large ones. Pool blocks are mapped pages, rounded up to
 * BLOCK_STEP so that answers of about the same size fit into each other's blocks. Small frames are
 * plain memory, but counted by the pool as well.
 *
 * Invariant: used + kept <= max after every get, but for frames that were in use when max shrank.
 */
#include "lib/base/frame.h"

#include <assert.h>
#include <sys/mman.h>

#include "lib/base/mem.h"

enum { BLOCK_LEAST = 256 << 10, BLOCK_STEP = 256 << 10 };

/* A freed block, kept: the link lies in the block itself. */
struct kept {
	struct kept *next;
	size_t block;
};

struct frame_pool {
	size_t max, keep;
	size_t used, kept_bytes;
	struct kept *kept;
};

static struct frame *frame_init(void *block, size_t n)
{
	struct frame *f = block;
	f->refs = 1;
	f->n = n;
	f->on_free = NULL;
	f->arg = NULL;
	f->pool = NULL;
	f->block = 0;
	return f;
}

struct frame *frame_new(size_t n)
{
	if (n > SIZE_MAX - sizeof(struct frame))
		return NULL;
	void *block = mem_alloc(sizeof(struct frame) + n);
	return block == NULL ? NULL : frame_init(block, n);
}

struct frame_pool *frame_pool_new(size_t max, size_t keep)
{
	struct frame_pool *p = mem_zalloc(1, sizeof *p);
	if (p == NULL)
		return NULL;
	p->max = max;
	p->keep = keep;
	return p;
}

void frame_pool_set_max(struct frame_pool *p, size_t max)
{
	p->max = max;
}

size_t frame_pool_used(const struct frame_pool *p)
{
	return p->used;
}

/* Unmap kept blocks until at most `bytes` are left. */
static void keep_at_most(struct frame_pool *p, size_t bytes)
{
	while (p->kept != NULL && p->kept_bytes > bytes) {
		struct kept *k = p->kept;
		p->kept = k->next;
		p->kept_bytes -= k->block;
		munmap(k, k->block);
	}
}

void frame_pool_trim(struct frame_pool *p)
{
	keep_at_most(p, 0);
}

void frame_pool_free(struct frame_pool *p)
{
	if (p == NULL)
		return;
	assert(p->used == 0);
	frame_pool_trim(p);
	mem_free(p);
}

/* The smallest kept block of at least `block` bytes, but none of more than twice that. */
static void *take_kept(struct frame_pool *p, size_t *block)
{
	struct kept **best = NULL;
	for (struct kept **at = &p->kept; *at != NULL; at = &(*at)->next)
		if ((*at)->block >= *block && (*at)->block / 2 <= *block &&
		    (best == NULL || (*at)->block < (*best)->block))
			best = at;
	if (best == NULL)
		return NULL;
	struct kept *k = *best;
	*best = k->next;
	*block = k->block;
	p->kept_bytes -= k->block;
	return k;
}

static void *map_block(struct frame_pool *p, size_t block)
{
	keep_at_most(p, p->max - p->used - block);
	void *m = mmap(NULL, block, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return m == MAP_FAILED ? NULL : m;
}

static struct frame *get_small(struct frame_pool *p, size_t n)
{
	struct frame *f = frame_new(n);
	if (f == NULL)
		return NULL;
	f->pool = p;
	p->used += n;
	return f;
}

struct frame *frame_pool_get(struct frame_pool *p, size_t n)
{
	if (p == NULL)
		return frame_new(n);
	if (p->used >= p->max || n > p->max - p->used)
		return NULL;
	if (n < BLOCK_LEAST)
		return get_small(p, n);
	size_t block = (n + sizeof(struct frame) + BLOCK_STEP - 1) / BLOCK_STEP * BLOCK_STEP;
	void *m = take_kept(p, &block);
	if (m == NULL && block > p->max - p->used)
		return NULL;
	if (m == NULL)
		m = map_block(p, block);
	if (m == NULL)
		return NULL;
	struct frame *f = frame_init(m, n);
	f->pool = p;
	f->block = block;
	p->used += block;
	return f;
}

static void give_block(struct frame_pool *p, void *m, size_t block)
{
	struct kept *k = m;
	assert(p != NULL);
	k->block = block;
	k->next = p->kept;
	p->kept = k;
	p->kept_bytes += block;
	keep_at_most(p, p->keep);
}

void frame_unref(struct frame *f)
{
	if (f == NULL || --f->refs > 0)
		return;
	if (f->on_free != NULL)
		f->on_free(f->arg, f->n);
	struct frame_pool *p = f->pool;
	size_t block = f->block;
	if (p != NULL)
		p->used -= block > 0 ? block : f->n;
	if (block > 0)
		give_block(p, f, block);
	else
		mem_free(f);
}
