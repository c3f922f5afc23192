/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mirrored partition against the truth, in a simulated world (sim_world.h): random sources,
 * crashes, lost connections whose requests land late, refusals, elections on both sides. Each
 * record that lands is checked when it lands; the end state is checked here.
 *
 * M1 (no silent loss), M2 (no duplicate), M3 (order), M4 (fidelity), M6 (transactions), M7 (the
 * run table is exact), M13 (the same end after any kill); F1, F18, F23 to F28, F30, F31.
 *
 * Each run prints what replays it: FARSHORE_ONE=1 FARSHORE_SEED=0x... test_partition_sim <test>,
 * and FARSHORE_TRACE=1 tells what happens.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/mirror_partition/sim_world.h"

enum { RUNS = 9000 };

/* ---- the oracle ---- */

/* May the record stand at the target outside of all runs? Another writer's may, one that the source
 * had compacted away before the copy was known, one that the target had deleted before, and one of
 * which a gap record tells. */
static bool nameless(const struct sim_world *w, int64_t offset)
{
	int64_t id = w->target.copies[offset].id;
	if (id < 0 || w->truth.v[id].gone || (w->p->shared && offset < w->target.start))
		return true;
	return w->goes_on && (w->truth.v[id].lost || sim_world_is_told(w, id) ||
			      sim_world_is_told_extra(w, offset));
}

/* Every run is true: the target's record is the copy of the very source offset. */
static void check_table(const struct sim_world *w, const struct runs *r)
{
	int64_t next = runs_dst_start(r);
	for (size_t i = 0; i < runs_count(r); i++) {
		struct run run = runs_at(r, i);
		for (; next < run.dst; next++)
			if (next >= w->target.end || !nameless(w, next))
				fail_msg("target offset %" PRId64 " is in no run", next);
		for (int64_t k = 0; k < run.n; k++) {
			assert_true(run.dst + k < w->target.end);
			int64_t id = w->target.copies[run.dst + k].id;
			if (id < 0 || w->truth.v[id].offset != run.src + k)
				fail_msg("target offset %" PRId64 " is not source offset %" PRId64,
					 run.dst + k, run.src + k);
		}
		next = run.dst + run.n;
	}
}

/* Translation is exact both ways, for offsets of records and for those between. The runs themselves
 * were checked. */
static void check_translation(struct sim_world *w, const struct runs *r)
{
	for (int i = 0; i < 20 && runs_count(r) > 0; i++) {
		struct runs_answer a;
		size_t k = 0;
		int64_t o = rng_in(&w->g, runs_src_start(r), runs_src_end(r) - 1);
		while (k < runs_count(r) && runs_at(r, k).src + runs_at(r, k).n <= o)
			k++;
		assert_true(runs_forward(r, o, &a));
		assert_true(a.exact);
		if (k < runs_count(r)) {
			struct run run = runs_at(r, k);
			assert_int_equal(a.offset, o < run.src ? run.dst : run.dst + o - run.src);
		}
		int64_t t = rng_in(&w->g, runs_dst_start(r), runs_dst_end(r) - 1);
		for (k = 0; k < runs_count(r) && runs_at(r, k).dst + runs_at(r, k).n <= t;)
			k++;
		if (k == runs_count(r))
			continue;
		struct run run = runs_at(r, k);
		assert_true(runs_backward(r, t, &a));
		assert_true(a.exact);
		assert_int_equal(a.offset, t < run.dst ? run.src : run.src + t - run.dst);
	}
}

/* Nothing committed is missing at the target's end. (What stands there was checked when it
 * landed.) */
static void check_complete(const struct sim_world *w)
{
	int64_t at = w->target.end - 1;
	while (at >= 0 && (w->target.copies[at].id < 0 ||
			   (w->goes_on && w->truth.v[w->target.copies[at].id].lost)))
		at--;
	int64_t id = at < 0 ? -1 : w->target.copies[at].id;
	bool any = id >= 0;
	for (id++; id < (int64_t)w->truth.n; id++) {
		const struct sim_known *k = &w->truth.v[id];
		if (k->fate != SIM_COMMITTED || k->gone || k->lost ||
		    (w->goes_on && sim_world_is_told(w, id)))
			continue;
		if (!any && k->offset < w->source.start)
			continue;
		fail_msg("source offset %" PRId64 " was never copied", k->offset);
	}
}

/* After a truncation: the target without what is told to be extra is the source, in order, each
 * record once. */
static void check_without_extras(const struct sim_world *w)
{
	int64_t next = 0;
	for (int64_t t = 0; t < w->p->dst_acked; t++) {
		if (sim_world_is_told_extra(w, t))
			continue;
		const struct sim_copy *c = &w->target.copies[t];
		if (c->id < next)
			fail_msg("target offset %" PRId64 " stands twice, or in the wrong order",
				 t);
		if (c->hash != w->truth.v[c->id].hash || w->truth.v[c->id].lost)
			fail_msg("target offset %" PRId64 " is no copy, and not told", t);
		for (; next < c->id; next++) {
			const struct sim_known *k = &w->truth.v[next];
			if (k->fate == SIM_COMMITTED && !k->lost && !k->gone &&
			    k->offset >= w->source.start)
				fail_msg("source offset %" PRId64 " is missing, and not told",
					 k->offset);
		}
		next = c->id + 1;
	}
}

static void check_no_lost(const struct sim_world *w)
{
	if (w->seen & 1U << STATE_FOREIGN_WRITE)
		return; /* it was said; a restart goes on */
	/* The target looked empty, and the new topic is copied afresh: what the old one had under
	 * way is not looked for. */
	if (w->goes_on && w->mode == SIM_RECREATED && w->seen & 1U << STATE_TARGET_TRUNCATED)
		return;
	/* A request from before that lands at the very end shows with the next batch. */
	int64_t end = w->goes_on ? w->p->dst_acked : w->target.end;
	for (int64_t t = 0; t < end; t++)
		if (w->target.copies[t].id >= 0 && w->truth.v[w->target.copies[t].id].lost &&
		    !(w->goes_on && sim_world_is_told_extra(w, t)))
			fail_msg("ACTIVE, but target offset %" PRId64
				 " holds a record that the source lost",
				 t);
}

static bool may_end_in(const struct sim_world *w, enum mirror_state s)
{
	switch (w->mode) {
	case SIM_EXACT:
	case SIM_REFUSED:
	case SIM_COMPACTED:
	case SIM_TARGET_LOSES:
	case SIM_TARGET_EMPTIED:
	case SIM_SHARED:
	case SIM_SHARED_LOSES:
	case SIM_MODES:
		return false;
	case SIM_RETENTION:
		/* A late batch of what was deleted, among new ones. */
		return s == STATE_DATA_LOSS || (w->goes_on && s == STATE_FOREIGN_WRITE);
	case SIM_SOURCE_LOSES:
		return s == STATE_SOURCE_TRUNCATED || s == STATE_FOREIGN_WRITE;
	case SIM_RECREATED:
		return s == STATE_TOPIC_RECREATED || s == STATE_SOURCE_TRUNCATED ||
		       s == STATE_FOREIGN_WRITE;
	case SIM_FOREIGN:
		return s == STATE_FOREIGN_WRITE;
	}
	return false;
}

static bool foreign_stands(const struct sim_world *w)
{
	for (int64_t t = 0; t < w->target.end; t++)
		if (w->target.copies[t].id < 0)
			return true;
	return false;
}

static void check_end(struct sim_world *w)
{
	if (w->goes_on || (w->mode != SIM_SOURCE_LOSES && w->mode != SIM_RECREATED))
		assert_true(!w->mixed);
	enum mirror_state s = w->p->state;
	check_table(w, w->p->runs);
	check_translation(w, w->p->runs);
	struct run_taken taken;
	if (sim_world_load(w, &taken) == ERR_OK) {
		check_table(w, taken.runs);
		runs_free(taken.runs);
		stored_free(taken.stored);
	}
	if (s == STATE_ACTIVE) {
		check_no_lost(w);
		if (w->goes_on && w->mode == SIM_SOURCE_LOSES)
			check_without_extras(w);
		check_complete(w);
		if (w->p->shared) {
			assert_true(runs_dst_end(w->p->runs) <= w->target.end);
			return;
		}
		if (!w->goes_on || w->mode == SIM_REFUSED)
			assert_int_equal(runs_dst_end(w->p->runs), w->target.end);
		if (foreign_stands(w))
			assert_true(w->seen & 1U << STATE_FOREIGN_WRITE);
		return;
	}
	if (!may_end_in(w, s))
		fail_msg("ended in %s: %s", mirror_state_name(s), w->p->reason.text);
	if (s == STATE_DATA_LOSS)
		assert_true(w->source.start > w->p->src_acked);
}

/* ---- runs ---- */

struct totals {
	uint64_t gaps, parked;
	uint64_t crashes, zombies, duplicates, steps, faults, records, out_of_order;
	uint64_t ends[STATE_COUNT];
	uint64_t batches[UNIT_CAUSES_N];
};

static void run_one(enum sim_mode mode, bool goes_on, uint64_t seed, struct totals *t)
{
	struct sim_world w;
	sim_world_init(&w, mode, seed);
	if (goes_on)
		sim_world_goes_on(&w);
	w.trace = getenv("FARSHORE_TRACE") != NULL;
	sim_world_run(&w);
	check_end(&w);
	t->crashes += w.crashes;
	t->zombies += w.zombies;
	t->steps += w.steps;
	t->faults += w.faults;
	t->duplicates += w.target.duplicates;
	t->out_of_order += w.target.refused[45];
	t->records += (uint64_t)w.target.end;
	t->ends[w.p->state]++;
	t->gaps += w.gaps_n;
	for (size_t i = 0; i < w.parked_n; i++)
		t->parked += w.parked[i];
	for (int c = 0; c < UNIT_CAUSES_N; c++)
		t->batches[c] += w.p->counters.batches[c];
	sim_world_fini(&w);
}

static void test_mode(enum sim_mode mode, bool goes_on, const char *name, int64_t runs)
{
	struct totals t = {0};
	struct rng g = {rng_seed(name)};
	bool one = getenv("FARSHORE_ONE") != NULL;
	for (int64_t i = 0; i < (one ? 1 : rng_scale(runs)); i++) {
		uint64_t seed = one ? g.s : rng_u64(&g);
		printf("%s FARSHORE_ONE=1 FARSHORE_SEED=0x%" PRIx64 "\n", name, seed);
		run_one(mode, goes_on, seed, &t);
	}
	printf("%s: %" PRIu64 " records, %" PRIu64 " crashes, %" PRIu64 " landed late, %" PRIu64
	       " duplicates and %" PRIu64 " out of order refused by the target; ended",
	       name, t.records, t.crashes, t.zombies, t.duplicates, t.out_of_order);
	for (int s = 0; s < STATE_COUNT; s++)
		if (t.ends[s] > 0)
			printf(" %s %" PRIu64, mirror_state_name((enum mirror_state)s), t.ends[s]);
	printf("; %" PRIu64 " gap records, %" PRIu64 " parked; batches", t.gaps, t.parked);
	for (int c = 0; c < UNIT_CAUSES_N; c++)
		printf(" %s %" PRIu64, unit_cause_name((enum unit_cause)c), t.batches[c]);
	printf("\n");
}

#define RUN(mode, goes_on, name, runs)                 \
	static void name(void **state)                 \
	{                                              \
		(void)state;                           \
		test_mode(mode, goes_on, #name, runs); \
	}
#define MODE(mode, name)    RUN(mode, false, name, RUNS / SIM_MODES)
#define GOES_ON(mode, name) RUN(mode, true, name, RUNS / SIM_MODES / 2)

MODE(SIM_EXACT, exact_after_crashes_and_refusals)
MODE(SIM_COMPACTED, exact_while_the_source_is_compacted)
MODE(SIM_TARGET_LOSES, copies_again_what_the_target_loses)
MODE(SIM_TARGET_EMPTIED, copies_all_again_into_an_emptied_target)
MODE(SIM_RETENTION, stops_when_retention_overtakes)
MODE(SIM_SOURCE_LOSES, stops_when_the_source_loses_records)
MODE(SIM_RECREATED, stops_when_the_source_topic_is_made_again)
MODE(SIM_FOREIGN, stops_when_others_write)
MODE(SIM_SHARED, exact_among_other_writers_and_without_copies)
MODE(SIM_SHARED_LOSES, copies_again_what_a_shared_target_loses)
GOES_ON(SIM_EXACT, a_policy_changes_nothing_without_need)
GOES_ON(SIM_COMPACTED, nor_while_the_source_is_compacted)
GOES_ON(SIM_RETENTION, goes_on_after_retention)
GOES_ON(SIM_RECREATED, goes_on_with_a_new_topic)
GOES_ON(SIM_SOURCE_LOSES, goes_on_after_the_source_lost_records)
GOES_ON(SIM_REFUSED, parks_what_is_refused)
GOES_ON(SIM_FOREIGN, shares_with_others)

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exact_after_crashes_and_refusals),
		cmocka_unit_test(exact_while_the_source_is_compacted),
		cmocka_unit_test(copies_again_what_the_target_loses),
		cmocka_unit_test(copies_all_again_into_an_emptied_target),
		cmocka_unit_test(stops_when_retention_overtakes),
		cmocka_unit_test(stops_when_the_source_loses_records),
		cmocka_unit_test(stops_when_the_source_topic_is_made_again),
		cmocka_unit_test(stops_when_others_write),
		cmocka_unit_test(exact_among_other_writers_and_without_copies),
		cmocka_unit_test(copies_again_what_a_shared_target_loses),
		cmocka_unit_test(a_policy_changes_nothing_without_need),
		cmocka_unit_test(nor_while_the_source_is_compacted),
		cmocka_unit_test(goes_on_after_retention),
		cmocka_unit_test(goes_on_with_a_new_topic),
		cmocka_unit_test(goes_on_after_the_source_lost_records),
		cmocka_unit_test(parks_what_is_refused),
		cmocka_unit_test(shares_with_others),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
