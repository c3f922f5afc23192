/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of doubling size, the newest first; only the newest has room left. */
#include "lib/base/arena.h"

#include <stdalign.h>

#include "lib/base/mem.h"

struct arena_block {
	struct arena_block *next;
	size_t cap;
	size_t len;
	alignas(max_align_t) uint8_t data[];
};

enum { FIRST_BLOCK = 1024, LARGEST_BLOCK = 256 * 1024 };

void arena_init(struct arena *a, size_t max)
{
	*a = (struct arena){.max = max};
}

void arena_fini(struct arena *a)
{
	while (a->head != NULL) {
		struct arena_block *next = a->head->next;
		mem_free(a->head);
		a->head = next;
	}
	a->used = 0;
}

void arena_wipe(struct arena *a)
{
	for (struct arena_block *b = a->head; b != NULL; b = b->next)
		explicit_bzero(b->data, b->len);
}

static struct arena_block *arena_grow(struct arena *a, size_t need)
{
	size_t cap = a->head == NULL ? FIRST_BLOCK : a->head->cap * 2;
	if (cap > LARGEST_BLOCK)
		cap = LARGEST_BLOCK;
	if (cap < need)
		cap = need;
	if (need > a->max - a->used || need > SIZE_MAX / 2)
		return NULL;
	if (cap > a->max - a->used)
		cap = need;
	struct arena_block *b = mem_alloc(sizeof *b + cap);
	if (b == NULL)
		return NULL;
	b->cap = cap;
	b->len = 0;
	b->next = a->head;
	a->head = b;
	a->used += cap;
	return b;
}

void *arena_zalloc(struct arena *a, size_t count, size_t size)
{
	const size_t align = alignof(max_align_t);
	if (size != 0 && count > (SIZE_MAX - align) / size)
		return NULL;
	size_t n = (count * size + align - 1) / align * align;
	struct arena_block *b = a->head;
	if (b == NULL || n > b->cap - b->len) {
		b = arena_grow(a, n);
		if (b == NULL)
			return NULL;
	}
	void *p = b->data + b->len;
	b->len += n;
	memset(p, 0, n);
	return p;
}

char *arena_strndup(struct arena *a, struct bytes s)
{
	char *out = arena_zalloc(a, s.n + 1, 1);
	if (out != NULL && s.n > 0)
		memcpy(out, s.p, s.n);
	return out;
}
