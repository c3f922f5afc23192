/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The blocks of one partition as they come from the log, and the table that they make. For store.c
 * only.
 *
 * The newest valid block is the end of the table. The block before it in the table is the one whose
 * runs end exactly where that block says that its past ends (offsets on both sides and number of
 * records), the newest if there are several; and so on, back to a block without a past, or to one
 * whose predecessor is not there: then the table begins with that block's past. Blocks that are not
 * reached so are void.
 */
#ifndef FARSHORE_CHECKPOINT_CHAIN_H
#define FARSHORE_CHECKPOINT_CHAIN_H

#include "checkpoint/stored.h"

struct chain;

/* `budget`: of the table; the blocks kept beside it are held to about twice as much, and the oldest
 * are forgotten. `topic` is copied. NULL when out of memory. */
struct chain *chain_new(struct bytes topic, int32_t partition, size_t budget);
void chain_free(struct chain *c);

/* The table and the newest block's head, with the ends of the table; owned by the chain. */
const struct runs *chain_runs(const struct chain *c);
const struct block_info *chain_info(const struct chain *c);

/* True if no block and no key is known that still stands in the log. */
bool chain_is_empty(const struct chain *c);

/* A valid block: its head, its runs, the value as it was. ERR_NOMEM: the chain is in no defined
 * state. */
enum err chain_add(struct chain *c, const struct block_info *info, const struct run *runs, size_t n,
		   struct bytes value) ERR_MUST_USE;
/* A block that cannot be read. What was known under its key before stays. */
void chain_damage(struct chain *c, int64_t first_src);
/* A deletion: of the newest block, all are void; else only that block is gone. ERR_NOMEM as above.
 */
enum err chain_delete(struct chain *c, int64_t first_src) ERR_MUST_USE;

/* Go on as the writer: what is stored, for a new `struct stored`. ERR_NOMEM. */
enum err chain_tell_stored(const struct chain *c, struct stored *s) ERR_MUST_USE;
/* Take the table out; the chain must only be freed then. */
struct runs *chain_take_runs(struct chain *c);

#endif
