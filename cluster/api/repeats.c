/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that name the same thing twice; see repeats.h. */
#include "cluster/api/repeats.h"

#include "lib/base/map.h"

static struct bytes key_at(const struct bytes *keys, size_t i)
{
	return keys[i].p == NULL ? bytes_str("") : keys[i];
}

const enum repeat *repeats_find(struct arena *a, const struct bytes *keys, size_t n)
{
	enum repeat *out = arena_zalloc(a, n, sizeof *out);
	struct map *first = map_new();
	enum err e = out == NULL || first == NULL ? ERR_NOMEM : ERR_OK;

	for (size_t i = 0; i < n && e == ERR_OK; i++) {
		struct bytes key = key_at(keys, i);
		enum repeat *before = map_get(first, key);
		if (before != NULL) {
			*before = REPEAT_FIRST;
			out[i] = REPEAT_AGAIN;
		} else {
			e = map_put(first, key, &out[i]);
		}
	}
	map_free(first);
	return e == ERR_OK ? out : NULL;
}

const uint32_t *repeats_first(struct arena *a, const struct bytes *keys, size_t n)
{
	uint32_t *out = arena_zalloc(a, n, sizeof *out);
	struct map *first = map_new();
	enum err e = out == NULL || first == NULL ? ERR_NOMEM : ERR_OK;

	for (size_t i = 0; i < n && e == ERR_OK; i++) {
		const uint32_t *before = map_get(first, key_at(keys, i));
		out[i] = before != NULL ? *before : (uint32_t)i;
		if (before == NULL)
			e = map_put(first, key_at(keys, i), &out[i]);
	}
	map_free(first);
	return e == ERR_OK ? out : NULL;
}
