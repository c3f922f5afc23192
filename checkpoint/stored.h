/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer's side of a stored run table: what is stored of one partition, and which records bring
 * that up to date. No I/O: the owner writes the records, in order, and says how it went.
 *
 * One plan at a time: stored_plan gives records, the owner produces them, stored_done ends it.
 * After a failure the next plan gives the same again, in its newest form; to write a record twice
 * is harmless.
 */
#ifndef FARSHORE_CHECKPOINT_STORED_H
#define FARSHORE_CHECKPOINT_STORED_H

#include "checkpoint/block.h"

struct stored;

/* Nothing is stored yet. NULL when out of memory. */
struct stored *stored_new(void);
void stored_free(struct stored *s);

/* Takes one record: both slices live during the call only; a null value deletes the key. An error
 * ends the plan. */
struct stored_sink {
	enum err (*put)(void *arg, struct bytes key, struct bytes value);
	void *arg;
};

/*
 * Give the sink all records to write now, in the order in which they must come to lie in the log:
 * closed blocks, the open one, then deletions of void blocks; none if all is stored already.
 * `info` gives topic, partition, topic id, leader epoch and producer; the rest comes from `r`
 * (whose cut mark is taken). `r == NULL`: delete all. `*records`: how many were given; if none
 * were, no stored_done is due. Must not be called between a plan with records and its stored_done.
 * ERR_NOMEM, ERR_LIMIT (topic name), or the sink's error: the plan is void, no stored_done is due.
 */
enum err stored_plan(struct stored *s, const struct block_info *info, struct runs *r,
		     const struct stored_sink *sink, size_t *records) ERR_MUST_USE;

/* The end of the plan: `ok` if every record of it is in the log for good. */
void stored_done(struct stored *s, bool ok);

/* True between a plan with records and stored_done. */
bool stored_busy(const struct stored *s);

/* Blocks that are stored, and keys that wait to be deleted. */
size_t stored_blocks(const struct stored *s);
size_t stored_voids(const struct stored *s);

/* For the reader of the log (chain.c), which tells a new `struct stored` what there is. ERR_NOMEM.
 */

/* A block of the table, by first offset; `good`: its newest record is as the table has it. */
enum err stored_saw_block(struct stored *s, int64_t first_src, bool good) ERR_MUST_USE;
/* A key whose block is void or damaged, to be deleted. */
enum err stored_saw_void(struct stored *s, int64_t first_src) ERR_MUST_USE;
/* All blocks were told; the table is `r`. `good`: there is nothing to write until it changes. */
void stored_saw_table(struct stored *s, const struct block_info *info, const struct runs *r,
		      bool good);

#endif
