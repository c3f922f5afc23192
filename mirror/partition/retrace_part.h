/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stretch of the target's records, by what they hold: which of them are copies of which source
 * records? Records are known by 64 bits of hash; a list of equal ones is kept in order. No I/O.
 *
 * Two ways to pair them with the source's records, which come in order:
 *
 *   follow   every source record must be there, behind the one before it: it takes the first equal
 *            record behind the last one taken. What is taken so is the longest beginning of the
 *            source's records that the stretch holds in order.
 *   assign   source records may be missing (compaction): each takes the first equal record that
 *            none has taken yet, wherever it stands.
 */
#ifndef FARSHORE_MIRROR_RETRACE_PART_H
#define FARSHORE_MIRROR_RETRACE_PART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

enum retrace_seen {
	RETRACE_SEEN = 1, /* the source holds it below the position, or the target before */
	RETRACE_ABORTED = 2 /* the source holds it in a transaction that was aborted */,
	RETRACE_AHEAD = 4, /* the source holds it beyond the position */
};

/* The records of one content. */
struct retrace_bucket {
	uint32_t rep;   /* the first of them, by index; UINT32_MAX: a free place */
	uint32_t first; /* the first that can still be taken; UINT32_MAX: none */
	uint8_t seen;
};

struct retrace_part {
	size_t n, cap, max;
	uint64_t *hash;
	int64_t *dst;   /* rising */
	int64_t *src;   /* -1: not taken */
	uint32_t *next; /* the next with the same content */
	struct retrace_bucket *buckets;
	size_t buckets_n; /* a power of two, above n */
	size_t taken_n;
	size_t from;   /* follow: what stands below was passed */
	size_t unseen; /* contents that were not seen, of those that count (retrace_part_settle) */
	size_t settled;
};

/* `max`: most records that it holds, at most 2^30. */
void retrace_part_init(struct retrace_part *p, size_t max);
void retrace_part_fini(struct retrace_part *p);
/* Begin anew with no records; keeps the memory. */
void retrace_part_clear(struct retrace_part *p);

/* Add the next record of the target. ERR_LIMIT: it is full. ERR_NOMEM. */
enum err retrace_part_add(struct retrace_part *p, uint64_t hash, int64_t dst) ERR_MUST_USE;

/* All are added: look-ups may begin. ERR_NOMEM. */
enum err retrace_part_index(struct retrace_part *p) ERR_MUST_USE;

/* The next source record. False: it is not there behind the last one taken. */
bool retrace_part_follow(struct retrace_part *p, uint64_t hash, int64_t src);
void retrace_part_assign(struct retrace_part *p, uint64_t hash, int64_t src);

/* A record that explains equal ones of the stretch. */
void retrace_part_see(struct retrace_part *p, uint64_t hash, enum retrace_seen how);

/* From now on `unseen` counts the contents of records from index `from` on. */
void retrace_part_settle(struct retrace_part *p, size_t from);

/* What was seen of record `i`'s content: bits of enum retrace_seen. */
unsigned retrace_part_seen(const struct retrace_part *p, size_t i);

/* True if an earlier record of the stretch is equal. */
bool retrace_part_repeats(const struct retrace_part *p, size_t i);

#endif
