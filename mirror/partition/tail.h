/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of the target, from its tail, as a list of hashes in the order of their offsets: what an
 * alignment holds of the target (align.c), to compare the source's records with.
 */
#ifndef FARSHORE_MIRROR_TAIL_H
#define FARSHORE_MIRROR_TAIL_H

#include <stdbool.h>

#include "lib/wire/records.h"

struct tail_break;

/* Before list index `at` this many records are gone from the target; -1: it is not known how many.
 */
struct tail_skip {
	size_t at;
	int64_t n;
};

/* Zero but for `max` is an empty one. */
struct tail {
	uint64_t *hashes;
	size_t n, cap, max;
	struct tail_break *breaks; /* where offsets do not run on */
	size_t breaks_n, breaks_cap;
	struct tail_skip *skips;
	size_t skips_n, skips_cap;
	bool no_timestamps; /* some hash is without timestamp */
};

/* A source record's hashes, to compare with the list's. */
struct tail_hashes {
	uint64_t with, without; /* the timestamp */
};

void tail_fini(struct tail *t);

/* Add a record at the end. `no_timestamp`: the target has its own (LogAppendTime), so the record's
 * does not count. ERR_LIMIT: `max` are held. ERR_NOMEM. */
enum err tail_add(struct tail *t, const struct record *r, bool no_timestamp) ERR_MUST_USE;

/* Note that `n` records are gone before the next that is added. ERR_NOMEM. */
enum err tail_add_skip(struct tail *t, int64_t n) ERR_MUST_USE;

/* The offset of the record at index `i` of the list. */
int64_t tail_offset(const struct tail *t, size_t i);

/* The list index of the record at `offset`; false: none is held there. */
bool tail_find(const struct tail *t, int64_t offset, size_t *i);

struct tail_hashes tail_hashes_of(const struct tail *t, const struct record *r);

/* Is the record at index `i` the one with these hashes? */
bool tail_is(const struct tail *t, size_t i, const struct tail_hashes *h);

#endif
