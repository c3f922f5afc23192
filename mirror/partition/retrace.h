/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What another copier (MirrorMaker 2) wrote to a target partition: up to which source offset is
 * everything there, and which source offset became which target offset? No I/O: the owner feeds
 * what it fetched and asks what to fetch next. Memory is bounded whatever the size of the logs.
 *
 * Such a copier is at least once. Killed, it goes on at the place it had stored last, so the target
 * may hold source records 1..1000, then 501..700 again: the last record says 700, all up to 1000
 * is there. So the target's records are read in order, in parts, and each is one of
 *
 *   copied    the next source record: the position moves on
 *   doubled   equal to a source record below the position (or, where the source lost it, to an
 *             earlier record of the target)
 *   aborted   equal to a record of an aborted transaction: the copier read uncommitted
 *   ahead     equal to a source record beyond the position: the copier left something out
 *   gone      the source no longer has it (retention, compaction)
 *   foreign   none of these: another writer
 *
 * The position is the end of the longest beginning of the source's records that the target holds in
 * order. To go on there leaves out nothing, and doubles nothing that is not ahead. Runs are made of
 * what is copied, so each source offset has one target offset, the first where all before it is
 * there too; of doubled records no run speaks, and both coordinates rise.
 *
 * Compacted topics lack records on both sides. There the position is behind the furthest source
 * record that the target has; so it is where the copier's own word (`believed`) covers what the
 * target lacks.
 *
 * Records are known by 64 bits of hash over timestamp, key, value and headers; without timestamp if
 * the target stamps its records (LogAppendTime). Equal records need not be told apart: the target
 * holds as many of them, in order, as the source up to the position.
 */
#ifndef FARSHORE_MIRROR_RETRACE_H
#define FARSHORE_MIRROR_RETRACE_H

#include "checkpoint/runs.h"
#include "lib/base/bytes.h"
#include "lib/base/err.h"

struct retrace;
struct fetch_response_aborted_transaction;

enum {
	RETRACE_PART = 1 << 17, /* records of the target that are held, by default: 50 bytes each */
	RETRACE_RANGES = 8,
};

struct retrace_options {
	int64_t src_start;          /* the source's log start */
	int64_t dst_start, dst_end; /* the target's log */
	/* The copier says that all below this source offset is copied; -1: not known. */
	int64_t believed;
	/* A pair that is said to be true, to begin there: older records are not looked at, and the
	 * table gives bounds for them. -1: from the start. A pair that turns out wrong is not used.
	 */
	int64_t anchor_src, anchor_dst;
	bool compacted;    /* one of the topics is compacted */
	size_t decode_max; /* bytes that one decompressed batch may have */
	size_t part_max;   /* records held; 0: RETRACE_PART */
	size_t runs_budget;
};

enum retrace_need {
	RETRACE_TARGET,   /* read the target from retrace_target_next and feed it */
	RETRACE_SOURCE,   /* fetch the source from retrace_source_next and feed it */
	RETRACE_DONE,     /* the result is there */
	RETRACE_MISMATCH, /* a foreign record; `detail` of the result says where */
};

struct retrace_range {
	int64_t first, last; /* target offsets */
};

struct retrace_result {
	int64_t src;                  /* go on here; it will land at or after dst_end */
	int32_t epoch;                /* leader epoch of the last record copied; -1 unknown */
	int64_t copied, doubled;      /* records of the target, of those looked at */
	int64_t aborted, ahead, gone; /* likewise */
	struct retrace_range doubled_ranges[RETRACE_RANGES]; /* the first of them */
	size_t doubled_ranges_n;                             /* of all of them */
	bool from_start; /* all was looked at: the table is exact from the first record on */
	bool unverified; /* neither log has a record to compare: `believed` is all there is */
	struct errmsg detail;
};

/* 0 <= dst_start <= dst_end. ERR_NOMEM. */
enum err retrace_new(const struct retrace_options *o, struct retrace **out) ERR_MUST_USE;
void retrace_free(struct retrace *a);

enum retrace_need retrace_need(const struct retrace *a);
int64_t retrace_target_next(const struct retrace *a);
int64_t retrace_source_next(const struct retrace *a);
/* Target offsets below this have been judged. It may go back: see `anchor_src` and `believed`. */
int64_t retrace_done_to(const struct retrace *a);

/*
 * Feed what a read from retrace_target_next (or a fetch from retrace_source_next) gave, with the
 * answer's list of aborted transactions (n <= 0: none). Not all of it need be used: ask where to go
 * on. A cut-off last batch is passed over. ERR_MALFORMED, ERR_CORRUPT, ERR_UNSUPPORTED (codec),
 * ERR_LIMIT (a batch over decode_max), ERR_NOMEM: `why`; it is over, free it.
 */
enum err retrace_feed_target(struct retrace *a, struct bytes records,
			     const struct fetch_response_aborted_transaction *aborted,
			     int32_t aborted_n, struct errmsg *why) ERR_MUST_USE;
enum err retrace_feed_source(struct retrace *a, struct bytes records,
			     const struct fetch_response_aborted_transaction *aborted,
			     int32_t aborted_n, struct errmsg *why) ERR_MUST_USE;

/* There is nothing (committed) from where the next feed should begin. ERR_NOMEM. */
enum err retrace_end_target(struct retrace *a) ERR_MUST_USE;
enum err retrace_end_source(struct retrace *a) ERR_MUST_USE;

/* After RETRACE_DONE: the target has grown to `dst_end` meanwhile; look at that, too. */
void retrace_extend(struct retrace *a, int64_t dst_end);

/* Valid after RETRACE_DONE and RETRACE_MISMATCH. */
const struct retrace_result *retrace_result(const struct retrace *a);

/* After RETRACE_DONE: the table, now the caller's. Its ends may lie below the result's. */
struct runs *retrace_take_runs(struct retrace *a);

#endif
