/* SPDX-License-Identifier: Apache-2.0 */
/* What MirrorMaker 2 (MM2) says of each partition: its stored position and a pair of offsets to
 * begin the comparison at, gathered from the records of its internal topics. No I/O. */
#ifndef FARSHORE_MIRROR_TAKEOVER_BOOK_H
#define FARSHORE_MIRROR_TAKEOVER_BOOK_H

#include <stdint.h>

#include "lib/base/bytes.h"
#include "lib/base/err.h"

struct takeover_book;

enum {
	TAKEOVER_PARTITIONS_MAX = 1 << 20,
	/* Target offsets that are compared below the last pair, if there are pairs enough: from
	 * half of that to all of it. */
	TAKEOVER_COMPARED_MAX = 1 << 20,
};

/* `src`, `dst` -1: no pair. */
struct takeover_word {
	int64_t believed; /* one above the stored position; -1: none */
	int64_t src, dst; /* a pair of offsets at or below it: begin there */
};

/* `alias` is the source's, borrowed. NULL when out of memory. */
struct takeover_book *takeover_book_new(const char *alias);
void takeover_book_free(struct takeover_book *b);

/* A record of MM2's stored positions. Those of other connectors and of other sources are passed
 * over. Errors as mm2_position_decode, and ERR_LIMIT: too many partitions. */
enum err takeover_book_position(struct takeover_book *b, struct bytes key, struct bytes value,
				struct errmsg *why) ERR_MUST_USE;

/* A record of its offset syncs, after all positions, in the order of the log: a pair counts if it
 * lies at or below the partition's position. Errors as mm2_records_decode_offset_sync. */
enum err takeover_book_sync(struct takeover_book *b, struct bytes key, struct bytes value,
			    struct errmsg *why) ERR_MUST_USE;

/* What is known; nothing: all -1. */
struct takeover_word takeover_book_find(const struct takeover_book *b, const char *topic,
					int32_t partition);

/* How many partitions have a position. */
size_t takeover_book_positions(const struct takeover_book *b);

#endif
