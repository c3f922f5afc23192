/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hash map from byte strings to pointers. Keys are copied; values stay the caller's. The hash is
 * SipHash with a random key, since keys come from peers.
 */
#ifndef FARSHORE_BASE_MAP_H
#define FARSHORE_BASE_MAP_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"

struct map;

/* An empty map; NULL when out of memory. */
struct map *map_new(void);

/* Frees the map and its keys, not the values. */
void map_free(struct map *m);

size_t map_count(const struct map *m);

/* The value, or NULL. */
void *map_get(const struct map *m, struct bytes key);

/* Insert or replace; `value` is not NULL. ERR_NOMEM leaves the map as it was. */
enum err map_put(struct map *m, struct bytes key, void *value) ERR_MUST_USE;

/* Take out and return the value, or NULL. */
void *map_take(struct map *m, struct bytes key);

/* Iterate: start with *at = 0; true gives the next entry, in no particular order. The map must not
 * change meanwhile, but for map_take of the entry just given. */
bool map_next(const struct map *m, size_t *at, struct bytes *key, void **value);

#endif
