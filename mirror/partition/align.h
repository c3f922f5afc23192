/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exact resume: the target is ahead of the stored run table, and the source's records tell where to
 * go on. No I/O: the owner feeds what it fetched and asks what to fetch next.
 *
 * Known are S and T, the ends of the stored table, and L > T, the target's end. What lies at T..L-1
 * on the target was copied from source offsets at or beyond S, in order. Two ways:
 *
 *   count   the source keeps what it has: each record of a kept batch takes one target offset,
 *           until L is reached. That may be inside a batch (they are coalesced and split on the
 *           way). Then the target's last batch is held against the source's records that must have
 *           become it; or, to verify, all of the target's.
 *   match   the source is compacted: some of what was copied is gone, so what the source has left
 *           is a subsequence of what was copied. Each source record is looked for among the
 *           target's that remain; the first that is not there was not copied.
 *
 * Where others may write to the target too (a *shared* partition, partition_shared.c), offsets say
 * nothing about how much was copied: of T..L-1 only the batches of this link's producer count, all
 * others are passed over, and all of the link's own records are compared. The sequences of these
 * batches count the records that this link ever sent, so what retention or compaction has removed
 * of them at the target is known by number: as many records of the source are passed over. L may be
 * T: then only the link's last batch below T is looked at, which every shared alignment does first.
 * It tells the sequence to go on with, and if the target lost it.
 *
 * Records are compared by 63 bits of hash over timestamp, key, value and headers. Records that
 * differ by chance have equal hashes with a probability of 2^-63 a comparison; somebody who makes
 * collisions on purpose spoils only the copy of his own records.
 *
 * Limits of "match". A record that was not copied but equals, timestamp and all, one that was,
 * whose source is gone, is taken for that one: what the target then lacks is a second copy of an
 * equal record. A record whose copy the target's own compaction has removed is taken for the first
 * that was not copied, and all from there on is copied again: never less than what is needed.
 * `holes` in the result says when that can be.
 */
#ifndef FARSHORE_MIRROR_ALIGN_H
#define FARSHORE_MIRROR_ALIGN_H

#include "checkpoint/runs.h"
#include "lib/base/bytes.h"
#include "lib/base/err.h"

struct align;
struct batch_head;
struct fetch_response_aborted_transaction;

/* Most target records that are held, by default: 8 bytes each. */
enum { ALIGN_RECORDS_MAX = 4 << 20 };

struct align_options {
	int64_t src, dst; /* S, T */
	int64_t dst_end;  /* L */
	bool match;       /* the source is compacted */
	/* Count: compare every record. All batches must then be of this producer. */
	bool verify;
	bool any_producer; /* verify: batches may be of others */
	int64_t producer_id;
	int16_t producer_epoch;
	/* Others write to the target too. Their batches are passed over, `verify` is meant (unless
	 * `match`), and dst == dst_end is allowed. A batch is ours by its producer id alone: its
	 * epoch may be an earlier one of ours. */
	bool shared;
	int64_t anchor; /* shared: offset of the last record that we know to be ours; -1 none */
	int64_t target_start; /* shared: the target has nothing below */
	int32_t sequence;     /* shared: that of our first record behind T, in `producer_epoch`; -1:
				 not known but from the batch at the anchor */
	/* shared: the target says that our newest batch is the one that ends with this sequence.
	 * There is nothing of ours to look for behind it. */
	bool last_known;
	int32_t last_sequence;
	int16_t last_epoch;
	/* The source holds copies that are not to be copied back: is this batch one? NULL: none. */
	bool (*is_copy)(void *arg, const struct batch_head *h);
	void *arg;
	size_t decode_max;  /* bytes that one decompressed batch may have */
	size_t records_max; /* target records to hold; 0: ALIGN_RECORDS_MAX */
};

/* What the owner does next. */
enum align_need {
	ALIGN_TARGET,   /* read the target from align_target_next and feed it */
	ALIGN_SOURCE,   /* fetch the source from align_source_next and feed it */
	ALIGN_DONE,     /* the result is there */
	ALIGN_STALE,    /* shared: some of ours are missing behind T, and may stand between `anchor`
			   and T: align from the anchor on */
	ALIGN_LOST,     /* shared: another batch than ours stands at `anchor`: the target lost its
			   tail, and others wrote since */
	ALIGN_MISMATCH, /* what the target holds is no copy of the source: another writer, or not
			   the log that it was; `detail` of the result says what was found */
};

struct align_result {
	int64_t src;            /* go on here; ALIGN_MISMATCH with `parted`: the source offset from
				   which the logs differ, and dst_end the target's */
	bool parted;            /* ALIGN_MISMATCH: records were compared, and equal up to there */
	bool inside;            /* that place is inside a batch of the source */
	int64_t records;        /* records known to be copied: counted, or matched */
	int64_t verified;       /* of these, how many were compared by content */
	int64_t compacted_away; /* match: target records whose source is gone */
	int64_t dst_end; /* what was explained: L; shared: or less, and then, unless `complete`,
				   there were too many records to hold: align again from there */
	bool complete;   /* shared: nothing of ours stands behind dst_end */
	bool own;        /* shared: a batch of ours was seen; the last of them: */
	int16_t own_epoch;
	int32_t own_next;     /* the sequence that follows it */
	bool holes;           /* the target's tail has offsets without a record */
	bool foreign;         /* verify: a batch of another producer is the mismatch */
	struct errmsg detail; /* of ALIGN_MISMATCH */
};

/* 0 <= src, 0 <= dst < dst_end (shared: <=). ERR_NOMEM. ERR_LIMIT: matching (or verifying) needs
 * more records than may be held. Begins with ALIGN_TARGET (shared: or it is done). */
enum err align_new(const struct align_options *o, struct align **out) ERR_MUST_USE;
void align_free(struct align *a);

enum align_need align_need(const struct align *a);
/* Match, verify: the target offset to read next. Count: dst_end - 1, the batch that holds it is
 * wanted. */
int64_t align_target_next(const struct align *a);
int64_t align_source_next(const struct align *a);

/*
 * Feed a record set of the target: match and verify, what follows align_target_next; count, the
 * last batch (and any before it). What lies below T or at and beyond L is passed over; so is a
 * cut-off last batch. ERR_MALFORMED, ERR_CORRUPT, ERR_UNSUPPORTED (codec), ERR_LIMIT (a batch over
 * decode_max, too many records), ERR_NOMEM: `why`; the alignment is over, free it.
 */
enum err align_feed_target(struct align *a, struct bytes records, struct errmsg *why) ERR_MUST_USE;

/* The target has no more to give (deleted by retention or compaction): go on with the source. In
 * count nothing is verified then. */
void align_end_target(struct align *a);

/* Feed what a fetch of the source from align_source_next gave, with the response's list of aborted
 * transactions (n <= 0: none). Errors as above. The slices are not needed after the call. */
enum err align_feed_source(struct align *a, struct bytes records,
			   const struct fetch_response_aborted_transaction *aborted,
			   int32_t aborted_n, struct errmsg *why) ERR_MUST_USE;

/* The source has nothing (committed) beyond align_source_next. Match: that is where to go on.
 * Count: the target holds more than the source can explain, ALIGN_MISMATCH. */
void align_end_source(struct align *a);

/* Valid when the need is ALIGN_DONE or ALIGN_MISMATCH. */
const struct align_result *align_result(const struct align *a);

/* Add what was found to the table that ends at S, T: its ends are then the place to go on and L.
 * After ALIGN_DONE; or after ALIGN_MISMATCH with `parted`, then up to there.
 * ERR_MALFORMED: another table. ERR_NOMEM: the table is cut back to S, T. */
enum err align_apply(const struct align *a, struct runs *table) ERR_MUST_USE;

#endif
