/* SPDX-License-Identifier: Apache-2.0 */
/* Linear probing at a load of at most a half; nothing is ever taken out but all. */
#include "mirror/clusters/id_set.h"

#include <assert.h>
#include <string.h>

#include "lib/base/mem.h"

enum { CAP_MIN = 16 };

void id_set_init(struct id_set *s, size_t max, const struct clock *clock)
{
	*s = (struct id_set){.max = max, .key = clock->random(clock->ctx) | 1};
}

void id_set_fini(struct id_set *s)
{
	mem_free(s->ids);
	*s = (struct id_set){.max = s->max, .key = s->key};
}

void id_set_clear(struct id_set *s)
{
	id_set_fini(s);
}

/* Where `id` is, or the free place for it. (Multiplication by an odd key and a fold: the finisher
 * of MurmurHash3 with the key in front.) */
static size_t place(const struct id_set *s, int64_t id)
{
	uint64_t x = (uint64_t)id * s->key;
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;
	x ^= x >> 33;
	size_t at = (size_t)x & (s->cap - 1);
	while (s->ids[at] != -1 && s->ids[at] != id)
		at = (at + 1) & (s->cap - 1);
	return at;
}

bool id_set_has(const struct id_set *s, int64_t id)
{
	return s->n > 0 && id >= 0 && s->ids[place(s, id)] == id;
}

static enum err grow(struct id_set *s)
{
	struct id_set more = *s;
	more.cap = s->cap == 0 ? CAP_MIN : 2 * s->cap;
	more.ids = mem_zalloc(more.cap, sizeof *more.ids);
	if (more.ids == NULL)
		return ERR_NOMEM;
	memset(more.ids, 0xff, more.cap * sizeof *more.ids);
	for (size_t i = 0; i < s->cap; i++)
		if (s->ids[i] != -1)
			more.ids[place(&more, s->ids[i])] = s->ids[i];
	mem_free(s->ids);
	*s = more;
	return ERR_OK;
}

enum err id_set_add(struct id_set *s, int64_t id)
{
	assert(id >= 0);
	if (id_set_has(s, id))
		return ERR_OK;
	if (s->n == s->max)
		return ERR_LIMIT;
	if (2 * (s->n + 1) > s->cap) {
		enum err e = grow(s);
		if (e != ERR_OK)
			return e;
	}
	s->ids[place(s, id)] = id;
	s->n++;
	return ERR_OK;
}
