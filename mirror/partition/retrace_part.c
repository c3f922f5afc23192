/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arrays by index, and an open-addressed table from content to the list of records that have it.
 * Lists are in order of index, since records are linked from the last to the first.
 */
#include "mirror/partition/retrace_part.h"

#include <string.h>

#include "lib/base/mem.h"

enum { FIRST_CAP = 1024 };

#define NONE UINT32_MAX

void retrace_part_init(struct retrace_part *p, size_t max)
{
	*p = (struct retrace_part){.max = max};
}

void retrace_part_fini(struct retrace_part *p)
{
	mem_free(p->hash);
	mem_free(p->dst);
	mem_free(p->src);
	mem_free(p->next);
	mem_free(p->buckets);
	retrace_part_init(p, p->max);
}

void retrace_part_clear(struct retrace_part *p)
{
	p->n = p->taken_n = p->from = p->unseen = p->settled = 0;
}

static bool resize(void **a, size_t n, size_t size)
{
	void *q = mem_resize(*a, n, size);
	if (q == NULL)
		return false;
	*a = q;
	return true;
}

static enum err part_grow(struct retrace_part *p)
{
	size_t cap = p->cap == 0 ? FIRST_CAP : 2 * p->cap;
	if (cap > p->max)
		cap = p->max;
	if (!resize((void **)&p->hash, cap, sizeof *p->hash) ||
	    !resize((void **)&p->dst, cap, sizeof *p->dst) ||
	    !resize((void **)&p->src, cap, sizeof *p->src) ||
	    !resize((void **)&p->next, cap, sizeof *p->next))
		return ERR_NOMEM;
	p->cap = cap;
	return ERR_OK;
}

enum err retrace_part_add(struct retrace_part *p, uint64_t hash, int64_t dst)
{
	if (p->n == p->max)
		return ERR_LIMIT;
	enum err e = p->n == p->cap ? part_grow(p) : ERR_OK;
	if (e != ERR_OK)
		return e;
	p->hash[p->n] = hash;
	p->dst[p->n] = dst;
	p->src[p->n] = -1;
	p->n++;
	return ERR_OK;
}

/* The place of a content: its bucket, or the free one where it belongs. */
static struct retrace_bucket *bucket_of(const struct retrace_part *p, uint64_t hash)
{
	size_t mask = p->buckets_n - 1;
	size_t at = (size_t)(hash ^ hash >> 32) & mask;
	while (p->buckets[at].rep != NONE && p->hash[p->buckets[at].rep] != hash)
		at = (at + 1) & mask;
	return &p->buckets[at];
}

/* NULL: no record has this content. */
static struct retrace_bucket *bucket_find(const struct retrace_part *p, uint64_t hash)
{
	struct retrace_bucket *b = p->n == 0 ? NULL : bucket_of(p, hash);
	return b == NULL || b->rep == NONE ? NULL : b;
}

enum err retrace_part_index(struct retrace_part *p)
{
	size_t want = 16;
	while (want < p->n + p->n / 2)
		want *= 2;
	if (want > p->buckets_n) {
		if (!resize((void **)&p->buckets, want, sizeof *p->buckets))
			return ERR_NOMEM;
		p->buckets_n = want;
	}
	for (size_t i = 0; i < p->buckets_n; i++)
		p->buckets[i] = (struct retrace_bucket){.rep = NONE, .first = NONE};
	for (size_t i = p->n; i-- > 0;) {
		struct retrace_bucket *b = bucket_of(p, p->hash[i]);
		p->next[i] = b->first;
		b->rep = b->first = (uint32_t)i;
	}
	retrace_part_settle(p, 0);
	return ERR_OK;
}

void retrace_part_settle(struct retrace_part *p, size_t from)
{
	p->settled = from;
	p->unseen = 0;
	for (size_t i = 0; i < p->buckets_n; i++) {
		const struct retrace_bucket *b = &p->buckets[i];
		if (b->rep != NONE && b->rep >= from && b->seen == 0)
			p->unseen++;
	}
}

static void bucket_see(struct retrace_part *p, struct retrace_bucket *b, enum retrace_seen how)
{
	if (b->seen == 0 && b->rep >= p->settled)
		p->unseen--;
	b->seen |= (uint8_t)how;
}

void retrace_part_see(struct retrace_part *p, uint64_t hash, enum retrace_seen how)
{
	struct retrace_bucket *b = bucket_find(p, hash);
	if (b != NULL)
		bucket_see(p, b, how);
}

static void take(struct retrace_part *p, struct retrace_bucket *b, int64_t src)
{
	p->src[b->first] = src;
	p->taken_n++;
	b->first = p->next[b->first];
}

bool retrace_part_follow(struct retrace_part *p, uint64_t hash, int64_t src)
{
	struct retrace_bucket *b = bucket_find(p, hash);
	if (b == NULL)
		return false;
	while (b->first != NONE && b->first < p->from)
		b->first = p->next[b->first];
	if (b->first == NONE)
		return false;
	bucket_see(p, b, RETRACE_SEEN);
	p->from = (size_t)b->first + 1;
	take(p, b, src);
	return true;
}

void retrace_part_assign(struct retrace_part *p, uint64_t hash, int64_t src)
{
	struct retrace_bucket *b = bucket_find(p, hash);
	if (b == NULL)
		return;
	bucket_see(p, b, RETRACE_SEEN);
	if (b->first != NONE)
		take(p, b, src);
}

unsigned retrace_part_seen(const struct retrace_part *p, size_t i)
{
	const struct retrace_bucket *b = bucket_find(p, p->hash[i]);
	return b == NULL ? 0 : b->seen;
}

bool retrace_part_repeats(const struct retrace_part *p, size_t i)
{
	const struct retrace_bucket *b = bucket_find(p, p->hash[i]);
	return b != NULL && b->rep < i;
}
