/* SPDX-License-Identifier: Apache-2.0 */
/* A bounded set of producer ids: 8 bytes each, open addressing. The ids come from brokers, so the
 * place of an id depends on a key that is drawn for each set. */
#ifndef FARSHORE_MIRROR_ID_SET_H
#define FARSHORE_MIRROR_ID_SET_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/clock.h"
#include "lib/base/err.h"

struct id_set {
	int64_t *ids; /* -1: free */
	size_t cap;   /* 0, or a power of two */
	size_t n, max;
	uint64_t key;
};

/* An empty set of at most `max` ids; takes no memory yet. */
void id_set_init(struct id_set *s, size_t max, const struct clock *clock);
void id_set_fini(struct id_set *s);
void id_set_clear(struct id_set *s);

bool id_set_has(const struct id_set *s, int64_t id);
/* `id` >= 0. ERR_LIMIT: it is full. ERR_NOMEM. Both leave it as it was. */
enum err id_set_add(struct id_set *s, int64_t id) ERR_MUST_USE;

#endif
