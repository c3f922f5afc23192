/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The run table of one partition: where did source offset N land on the target, and back.
 *
 * A run says: source offsets src .. src+n-1 are target offsets dst .. dst+n-1. The table holds its
 * runs in order; both coordinates strictly increase. A gap in the source (commit marker, compaction
 * hole, dropped record) or in the target starts the next run. No I/O, no event loop; not thread
 * safe.
 *
 * Memory: about 170 bytes for a table of one run, then some 3 bytes a run where runs and gaps are
 * short (a transactional topic: 256 KiB hold 87 000 transactions), at most 31 bytes.
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

/* What was mirrored before a place in the table: all that is kept of runs that were forgotten. */
struct runs_past {
	int64_t src, dst; /* n > 0: the first record ever mirrored; n == 0: where the copy began; -1
			     unknown. RUNS_UNCOUNTED: nothing was mirrored to below dst */
	int64_t src_end, dst_end; /* ends of the last run before the place, exclusive; n == 0: as
				     src, dst */
	int64_t n; /* records mirrored before the place; RUNS_UNCOUNTED: some, nobody knows which
		      (another program copied them): all between the starts and the ends is
		      possible */
};
enum { RUNS_UNCOUNTED = -1 };

struct runs;

/* `budget`: most bytes of memory that the table may take, at least 4 KiB (less is raised to that);
 * when it is full the oldest runs are dropped (see `exact`). NULL when out of memory. */
struct runs *runs_new(size_t budget);
void runs_free(struct runs *r);

/* Make it a new table again: nothing that was copied counts any more. */
void runs_clear(struct runs *r);

/* Say where the copy begins, in a new table: the first record at or after source offset `src` will
 * land at or after target offset `dst`. Optional: the first append says the same. ERR_MALFORMED: a
 * negative offset, or the table is not new. */
enum err runs_begin(struct runs *r, int64_t src, int64_t dst) ERR_MUST_USE;

/* Set up a new table whose older runs are forgotten. ERR_MALFORMED: no history can look like
 * `past`, or the table is not new. */
enum err runs_restore(struct runs *r, const struct runs_past *past) ERR_MUST_USE;

/* Could these numbers come from a copy? */
bool runs_past_possible(const struct runs_past *past);

/* Extend at the end. `src` and `dst` must not lie below the ends so far (ERR_MALFORMED: nothing is
 * changed). Adjacent ranges merge. ERR_NOMEM: nothing is changed. */
enum err runs_append(struct runs *r, int64_t src, int64_t dst, int64_t n) ERR_MUST_USE;

/* Source offsets up to here (exclusive) were looked at, though nothing after the last run was
 * copied (markers, aborted batches): the next record's source offset will not be below. Ignored if
 * it is not beyond the present end. */
void runs_advance_source(struct runs *r, int64_t src_end);

/* Target offsets up to here (exclusive) are not ours beyond the last run (others wrote them, or
 * they are markers): the next record will not land below. Ignored if it is not beyond the present
 * end. */
void runs_advance_target(struct runs *r, int64_t dst_end);

/* Ends, exclusive: the next source offset to copy and the target offset where it will land; -1
 * where not known (an empty table). */
int64_t runs_src_end(const struct runs *r);
int64_t runs_dst_end(const struct runs *r);
/* Offsets of the first run that is held, or the ends if none is; -1 when empty. From there on every
 * answer is exact. */
int64_t runs_src_start(const struct runs *r);
int64_t runs_dst_start(const struct runs *r);
size_t runs_count(const struct runs *r);
size_t runs_memory(const struct runs *r); /* bytes, the allocator's overhead included */

/* The i-th run, 0 <= i < runs_count. */
struct run runs_at(const struct runs *r, size_t i);

/* How many of the held runs lie wholly below source offset `src`: the index of the first that does
 * not. O(log runs). */
size_t runs_index(const struct runs *r, int64_t src);

/* What was mirrored before the i-th held run, 0 <= i <= runs_count. O(1). */
void runs_past_at(const struct runs *r, size_t i, struct runs_past *out);

/* Walks the held runs from the i-th on. The table must not change meanwhile. */
struct runs_cursor {
	const struct runs *r;
	size_t i; /* index of the next run, counted as the table's file does */
	const uint8_t *p;
	struct run last;
};
void runs_cursor_init(struct runs_cursor *c, const struct runs *r, size_t i);
bool runs_cursor_next(struct runs_cursor *c, struct run *out);

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

/* Cut the end so that the target end becomes `dst_end` (the target lost a tail); the source end
 * becomes that of the last record left. Beyond the end: nothing. A cut inside the range of
 * forgotten runs leaves an empty table: the place can no longer be told exactly (ask runs_backward
 * before). */
void runs_truncate_target(struct runs *r, int64_t dst_end);
/* The same by the source: what was copied from `src_end` on is void. */
void runs_truncate_source(struct runs *r, int64_t src_end);

/* The lowest source offset from which earlier content was cut away since the last call; INT64_MAX
 * if none was. For whoever stores the table: what is stored from there on is void. A new table says
 * 0: nothing that was stored before is its content. */
int64_t runs_take_cut(struct runs *r);

#endif
