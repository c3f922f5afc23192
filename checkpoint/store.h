/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader's side of `<source>.offset-runs.internal`: takes its records in log order and gives
 * the run table of every partition, as of the last record taken. No I/O. It may follow the log for
 * ever.
 *
 * The order of a partition's records counts, so they must lie in one partition of the topic.
 */
#ifndef FARSHORE_CHECKPOINT_STORE_H
#define FARSHORE_CHECKPOINT_STORE_H

#include "checkpoint/block.h"
#include "checkpoint/stored.h"

struct run_store;

/* A record that could not be used. */
struct run_store_lost {
	struct bytes topic; /* null: the key itself cannot be read */
	int32_t partition;
	int64_t first_src; /* of the block */
	enum err err;      /* ERR_UNSUPPORTED: written by a newer version, which may know better */
	const char *what;  /* what is lost, for people; valid during the call */
};

struct run_store_config {
	size_t budget;         /* bytes of one partition's table, see runs_new */
	size_t max_partitions; /* records of further ones are refused (ERR_LIMIT to `lost`) */
	/* Is this partition wanted? NULL: all are. */
	bool (*want)(void *arg, struct bytes topic, int32_t partition);
	/* NULL: nobody is told. */
	void (*lost)(void *arg, const struct run_store_lost *lost);
	void *arg;
};

/* What is stored of one partition. Where the newest records say that nothing is known, the table is
 * empty. */
struct run_entry {
	struct block_info info; /* of the newest block; ends as in `runs` */
	const struct runs *runs;
};

/* The same, to go on as its writer. */
struct run_taken {
	struct block_info info; /* topic: as in the call */
	struct runs *runs;
	struct stored *stored;
};

/* NULL when out of memory. `config` is copied. */
struct run_store *run_store_new(const struct run_store_config *config);
void run_store_free(struct run_store *s);

/* Take the next record of the log; a null value deletes. A record that is not valid is skipped and
 * reported, never fatal. ERR_NOMEM: the record's partition is in no defined state, give up. */
enum err run_store_apply(struct run_store *s, struct bytes key, struct bytes value) ERR_MUST_USE;

/* The same with what a fetch gives: a record set of whole batches, perhaps with a cut one at its
 * end. `*next`: the offset behind the last batch taken; left as it is if there is none.
 * ERR_CORRUPT, ERR_MALFORMED, ERR_UNSUPPORTED (codec), ERR_LIMIT: a batch that cannot be read,
 * `why`. ERR_NOMEM. */
enum err run_store_apply_records(struct run_store *s, struct bytes records, int64_t *next,
				 struct errmsg *why) ERR_MUST_USE;

/* The partition's entry; NULL: nothing stored. Valid until the next record is taken. */
const struct run_entry *run_store_get(const struct run_store *s, struct bytes topic,
				      int32_t partition);

/* Walk all entries: *at starts at 0; NULL at the end. The store must not change meanwhile. */
const struct run_entry *run_store_next(const struct run_store *s, size_t *at);

/* Take it out of the store: the caller owns `runs` and `stored`. ERR_NOT_FOUND: nothing stored.
 * ERR_NOMEM: it is still there. */
enum err run_store_take(struct run_store *s, struct bytes topic, int32_t partition,
			struct run_taken *out) ERR_MUST_USE;

/* The stored producer of a member of the link (an empty name where there is only one). False: none.
 */
bool run_store_link(const struct run_store *s, struct bytes member, struct block_link *link);

#endif
