/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The run table of one partition: where did source offset N land on the target, and back.
 *
 * A run says: source offsets src .. src+n-1 are target offsets dst .. dst+n-1. The table holds its
 * runs in order; both coordinates strictly increase. A gap in the source (commit marker, compaction
 * hole, dropped record) or in the target starts the next run. No I/O, no event loop; not thread
 * safe.
 */
#ifndef FARSHORE_CHECKPOINT_RUNS_H
#define FARSHORE_CHECKPOINT_RUNS_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"

struct run {
	int64_t src;
	int64_t dst;
	int64_t n; /* > 0 */
};

struct runs;

/* `budget`: most bytes of memory that the table may take; when it is full the oldest runs are
 * dropped (see `exact`). */
struct runs *runs_new(size_t budget);
void runs_free(struct runs *r);

/* Extend at the end. `src` and `dst` must not lie below the ends so far (ERR_MALFORMED: nothing is
 * changed). Adjacent ranges merge. */
enum err runs_append(struct runs *r, int64_t src, int64_t dst, int64_t n) ERR_MUST_USE;

/* Source offsets up to here (exclusive) were looked at, though nothing after the last run was
 * copied (markers, aborted batches): the next record's source offset will not be below. Ignored if
 * it is not beyond the present end. */
void runs_advance_source(struct runs *r, int64_t src_end);

/* Ends, exclusive: the next source offset to copy and the target offset where it will land; -1 in
 * an empty table. */
int64_t runs_src_end(const struct runs *r);
int64_t runs_dst_end(const struct runs *r);
/* First offsets that the table covers exactly; -1 when empty. */
int64_t runs_src_start(const struct runs *r);
int64_t runs_dst_start(const struct runs *r);
size_t runs_count(const struct runs *r);
size_t runs_memory(const struct runs *r); /* bytes */

/* The i-th run, 0 <= i < runs_count. */
struct run runs_at(const struct runs *r, size_t i);

struct runs_answer {
	int64_t offset;     /* in the other log */
	bool exact;         /* false: the true answer is at `offset` or later, */
	int64_t max_behind; /* by at most this many offsets (0 when exact) */
	int64_t pending; /* offsets asked about beyond the mirrored end: "not yet mirrored"; 0 when
			    within */
};

/* The target offset of the first mirrored record with source offset >= o. Past the end: the target
 * end, pending = o - source end. false: the table is empty. O(log runs). */
bool runs_forward(const struct runs *r, int64_t o, struct runs_answer *out);
/* The source offset of the first mirrored record with target offset >= t. */
bool runs_backward(const struct runs *r, int64_t t, struct runs_answer *out);

/* Forget runs that lie wholly below `src` (retention on both sides): they count as dropped, not as
 * unknown. */
void runs_prune_below(struct runs *r, int64_t src);

/* Cut the end so that the target end becomes `dst_end` (the target lost a tail). Beyond the end:
 * nothing. */
void runs_truncate_target(struct runs *r, int64_t dst_end);

#endif
