/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Positions in a topic that two links copy both ways under one name, against brute force: random
 * writers and copiers fill two logs, and for each offset of one the answer must leave out no record
 * that was not read, and repeat none that was if it calls itself exact. M7.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mirror/group/group_impl.h"
#include "tests/unit/rng.h"

enum { SIDES = 2, LOG_MAX = 400, WORLDS = 400, STEPS = 150 };

/* A record of a log: which side wrote it first, and its offset there. */
struct entry {
	int origin;
	int64_t at;
};

struct world {
	struct rng rng;
	struct entry log[SIDES][LOG_MAX];
	int64_t end[SIDES];
	struct runs *runs[SIDES]; /* of the link that copies from this side to the other */
	int64_t copied[SIDES];    /* that link has looked at the source's offsets below */
};

static void world_init(struct world *w, uint64_t seed)
{
	*w = (struct world){.end = {0}};
	w->rng.s = seed;
	for (int s = 0; s < SIDES; s++) {
		w->runs[s] = runs_new(64 << 10);
		assert_non_null(w->runs[s]);
		runs_advance_source(w->runs[s], 0);
		runs_advance_target(w->runs[s], 0);
	}
}

static void world_fini(struct world *w)
{
	for (int s = 0; s < SIDES; s++)
		runs_free(w->runs[s]);
}

static void append(struct world *w, int side, int origin, int64_t at)
{
	assert_true(w->end[side] < LOG_MAX);
	w->log[side][w->end[side]++] = (struct entry){origin, at};
}

/* The link from `side` looks at its next record: copies it, or passes over what the other wrote. */
static void copy(struct world *w, int side)
{
	int64_t at = w->copied[side];
	int other = 1 - side;
	if (at == w->end[side])
		return;
	const struct entry *e = &w->log[side][at];
	if (e->origin == side) {
		assert_int_equal(runs_append(w->runs[side], at, w->end[other], 1), ERR_OK);
		append(w, other, side, at);
	}
	w->copied[side] = at + 1;
	runs_advance_source(w->runs[side], at + 1);
}

static void step(struct world *w)
{
	int side = (int)rng_in(&w->rng, 0, SIDES - 1);
	switch (rng_in(&w->rng, 0, 4)) {
	case 0:
	case 1:
		append(w, side, side, w->end[side]);
		return;
	case 2: /* a marker */
		append(w, side, -1, w->end[side]);
		return;
	default:
		copy(w, side);
	}
}

/* Has a group that stands at `offset` of side 0 read the record `e` of side 1? */
static bool was_read(const struct world *w, const struct entry *e, int64_t mine, int64_t offset)
{
	if (e->origin == 0)
		return e->at < offset;
	/* It is of side 1: its copy at side 0, if there is one, tells. */
	for (int64_t i = 0; i < w->end[0]; i++)
		if (w->log[0][i].origin == 1 && w->log[0][i].at == mine)
			return i < offset;
	return false;
}

static unsigned check(const struct world *w, int64_t offset)
{
	struct group_translation t = {.offset = -1};
	assert_true(group_translate_both(w->runs[0], w->runs[1], true, offset, &t));
	int64_t repeated = 0, first = w->end[1];
	for (int64_t i = 0; i < w->end[1]; i++) {
		const struct entry *e = &w->log[1][i];
		if (e->origin < 0)
			continue;
		bool is_read = was_read(w, e, i, offset);
		if (!is_read && i < t.offset)
			fail_msg("offset %lld: record %lld is passed over by %lld",
				 (long long)offset, (long long)i, (long long)t.offset);
		repeated += is_read && i >= t.offset;
		if (!is_read && i < first)
			first = i;
	}
	/* The best place is where the first record that was not read lies; more is repeated behind
	 * it if the two logs have their records in another order, by whatever position. */
	int64_t unavoidable = 0;
	for (int64_t i = first; i < w->end[1]; i++)
		unavoidable += w->log[1][i].origin >= 0 && was_read(w, &w->log[1][i], i, offset);
	if (t.exact && repeated > unavoidable)
		fail_msg("offset %lld: %lld repeated, called exact", (long long)offset,
			 (long long)repeated);
	if (repeated > unavoidable + t.max_behind)
		fail_msg("offset %lld: %lld repeated, at most %lld told", (long long)offset,
			 (long long)repeated, (long long)t.max_behind);
	return t.exact;
}

static void both_ways(void **state)
{
	(void)state;
	uint64_t seed = rng_seed("both_ways");
	/* Of links that lag, and of such that keep up. */
	unsigned exact[2] = {0}, all[2] = {0};
	for (int n = 0; n < rng_scale(WORLDS); n++) {
		struct world w;
		world_init(&w, seed + (uint64_t)n);
		for (int i = 0; i < STEPS; i++) {
			step(&w);
			for (int k = 0; n % 2 == 1 && k < 4; k++)
				copy(&w, k % 2);
		}
		for (int64_t o = 0; o <= w.end[0]; o++, all[n % 2]++)
			exact[n % 2] += check(&w, o);
		world_fini(&w);
	}
	print_message("exact: %u of %u, %u of %u\n", exact[0], all[0], exact[1], all[1]);
	/* It does not help itself by never being sure. */
	assert_true(exact[0] > 0 && exact[1] > all[1] / 2);
}

/* Where the first record of side 1 lies that a group at `offset` of side 0 has not read; the end
 * if there is none. */
static int64_t first_unread(const struct world *w, int64_t offset)
{
	for (int64_t i = 0; i < w->end[1]; i++)
		if (w->log[1][i].origin >= 0 && !was_read(w, &w->log[1][i], i, offset))
			return i;
	return w->end[1];
}

static int64_t next_record(const struct world *w, int64_t offset)
{
	while (offset < w->end[1] && w->log[1][offset].origin < 0)
		offset++;
	return offset;
}

/* All is copied: each group is told the best place, wherever it stands; at the end: the end. */
static void all_copied(void **state)
{
	(void)state;
	uint64_t seed = rng_seed("all_copied");
	for (int n = 0; n < rng_scale(WORLDS); n++) {
		struct world w;
		world_init(&w, seed + (uint64_t)n);
		for (int i = 0; i < STEPS; i++)
			step(&w);
		/* Each side's last records may be the other's, which lie there in one stretch. */
		for (int s = n % 2; w.copied[0] < w.end[0] || w.copied[1] < w.end[1]; s = 1 - s)
			while (w.copied[s] < w.end[s])
				copy(&w, s);
		for (int i = 0; i < 5; i++)
			append(&w, 1, 1, w.end[1]);
		while (w.copied[0] < w.end[0] || w.copied[1] < w.end[1])
			copy(&w, w.copied[0] < w.end[0] ? 0 : 1);
		struct group_translation t = {.offset = -1};
		for (int64_t o = 0; o <= w.end[0]; o++) {
			assert_true(group_translate_both(w.runs[0], w.runs[1], true, o, &t));
			/* Markers may lie between. */
			assert_int_equal(next_record(&w, t.offset), first_unread(&w, o));
			assert_int_equal(t.pending, 0);
		}
		assert_true(t.exact);
		assert_int_equal(t.offset, w.end[1]);
		world_fini(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ways),
		cmocka_unit_test(all_copied),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
