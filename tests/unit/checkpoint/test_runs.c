/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The run table against a plain list of pairs. The list never forgets, so that also the inexact
 * answers of a table that forgot are held to their bound. Covers M7 (a translated offset never
 * skips a record and says how far behind it may be) and the table's part of F26, F27 and F28.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "checkpoint/runs.h"
#include "lib/base/mem.h"
#include "tests/unit/base/few_allocs.h"
#include "tests/unit/rng.h"

/* Fixed cases */

static struct runs_answer forward(const struct runs *r, int64_t o)
{
	struct runs_answer a;
	assert_true(runs_forward(r, o, &a));
	return a;
}

static struct runs_answer backward(const struct runs *r, int64_t t)
{
	struct runs_answer a;
	assert_true(runs_backward(r, t, &a));
	return a;
}

#define assert_answer(a, off, pend)                    \
	do {                                           \
		struct runs_answer got = (a);          \
		assert_int_equal(got.offset, (off));   \
		assert_true(got.exact);                \
		assert_int_equal(got.max_behind, 0);   \
		assert_int_equal(got.pending, (pend)); \
	} while (0)

static void test_empty(void **state)
{
	(void)state;
	struct runs *r = runs_new(0);
	struct runs_answer a;
	assert_int_equal(runs_take_cut(r), 0);
	assert_false(runs_forward(r, 0, &a));
	assert_false(runs_backward(r, 0, &a));
	assert_int_equal(runs_src_end(r), -1);
	assert_int_equal(runs_dst_end(r), -1);
	assert_int_equal(runs_src_start(r), -1);
	assert_int_equal(runs_dst_start(r), -1);
	assert_int_equal(runs_count(r), 0);
	runs_prune_below(r, 100);
	runs_truncate_target(r, 0);
	assert_int_equal(runs_take_cut(r), INT64_MAX);

	/* Looked at, nothing copied: the target's side is still unknown. */
	runs_advance_source(r, 50);
	assert_int_equal(runs_src_end(r), 50);
	assert_int_equal(runs_dst_end(r), -1);
	assert_false(runs_forward(r, 0, &a));
	runs_free(r);
	runs_free(NULL);
}

static void test_one_run_small(void **state)
{
	(void)state;
	struct runs *r = runs_new(256 << 10);
	for (int64_t i = 0; i < 100000; i++)
		assert_int_equal(runs_append(r, 7 + i, 100 + i, 1), ERR_OK);
	assert_int_equal(runs_count(r), 1);
	assert_in_range(runs_memory(r), 1, 199);
	assert_answer(forward(r, 0), 100, 0);
	assert_answer(forward(r, 7), 100, 0);
	assert_answer(forward(r, 1007), 1100, 0);
	assert_answer(forward(r, 100006), 100099, 0);
	assert_answer(forward(r, 100007), 100100, 0);
	assert_answer(forward(r, 100010), 100100, 3);
	assert_answer(backward(r, 99), 7, 0);
	assert_answer(backward(r, 100100), 100007, 0);
	assert_answer(backward(r, 100105), 100007, 5);
	runs_free(r);
}

static void test_gaps(void **state)
{
	(void)state;
	struct runs *r = runs_new(4096);
	assert_int_equal(runs_begin(r, 10, 5), ERR_OK);
	assert_int_equal(runs_begin(r, 10, 5), ERR_MALFORMED);
	assert_answer(forward(r, 3), 5, 0);
	assert_answer(forward(r, 12), 5, 2);
	assert_int_equal(runs_append(r, 12, 5, 3), ERR_OK);  /* 12..14 -> 5..7 */
	assert_int_equal(runs_append(r, 16, 8, 2), ERR_OK);  /* a marker at 15 */
	assert_int_equal(runs_append(r, 18, 20, 1), ERR_OK); /* others wrote 10..19 */
	runs_advance_source(r, 25);
	runs_advance_source(r, 24);
	assert_int_equal(runs_count(r), 3);
	assert_int_equal(runs_src_start(r), 12);
	assert_int_equal(runs_dst_start(r), 5);
	assert_int_equal(runs_src_end(r), 25);
	assert_int_equal(runs_dst_end(r), 21);
	assert_answer(forward(r, -1), 5, 0);
	assert_answer(forward(r, 14), 7, 0);
	assert_answer(forward(r, 15), 8, 0);
	assert_answer(forward(r, 18), 20, 0);
	assert_answer(forward(r, 19), 21, 0);
	assert_answer(forward(r, 25), 21, 0);
	assert_answer(forward(r, 27), 21, 2);
	assert_answer(backward(r, 10), 18, 0);
	assert_answer(backward(r, 19), 18, 0);
	assert_answer(backward(r, 21), 25, 0);
	assert_answer(backward(r, 22), 25, 1);
	runs_free(r);
}

static void test_refused(void **state)
{
	(void)state;
	struct runs *r = runs_new(4096);
	assert_int_equal(runs_append(r, 10, 10, 5), ERR_OK);
	const struct run bad[] = {{14, 20, 1},         {20, 14, 1},       {-1, 20, 1},
				  {20, -1, 1},         {20, 20, 0},       {20, 20, -1},
				  {20, 20, INT64_MAX}, {INT64_MAX, 20, 1}};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(runs_append(r, bad[i].src, bad[i].dst, bad[i].n), ERR_MALFORMED);
	assert_int_equal(runs_src_end(r), 15);
	assert_int_equal(runs_count(r), 1);
	runs_advance_source(r, 20);
	assert_int_equal(runs_append(r, 19, 15, 1), ERR_MALFORMED);
	assert_int_equal(runs_append(r, INT64_MAX - 1, INT64_MAX - 1, 1), ERR_OK);
	assert_answer(forward(r, INT64_MAX), INT64_MAX, 0);
	runs_free(r);
}

static void test_restore(void **state)
{
	(void)state;
	const struct runs_past bad[] = {
		{-1, 0, 0, 0, 0},  {0, -1, 0, 0, 0},   {5, 5, 4, 5, 0},
		{5, 5, 5, 4, 0},   {0, 0, 10, 10, 11}, {0, 0, 10, 10, -2},
		{0, 0, 10, 10, 0}, {0, 0, 2, 1, 1},    {0, 0, 9, 10, 10},
	};
	struct runs *r = runs_new(4096);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(runs_restore(r, &bad[i]), ERR_MALFORMED);
	/* 100 records at 1000..1149, on the target at 0..99: 50 holes in the source. */
	const struct runs_past past = {1000, 0, 1150, 100, 100};
	assert_int_equal(runs_restore(r, &past), ERR_OK);
	assert_int_equal(runs_append(r, 1200, 100, 10), ERR_OK);
	assert_answer(forward(r, 1000), 0, 0);
	assert_answer(forward(r, 900), 0, 0);
	assert_answer(forward(r, 1150), 100, 0);
	assert_answer(forward(r, 1205), 105, 0);
	struct runs_answer a = forward(r, 1100); /* 50 to 99 records lie below: the last is above */
	assert_false(a.exact);
	assert_int_equal(a.offset, 50);
	assert_int_equal(a.max_behind, 49);
	a = backward(r, 40); /* record 40 lies at 1040 to 1090 */
	assert_false(a.exact);
	assert_int_equal(a.offset, 1040);
	assert_int_equal(a.max_behind, 50);
	runs_free(r);
}

/* Another program copied the beginning: whatever is asked about it, all of it is possible. */
static void test_uncounted(void **state)
{
	(void)state;
	struct runs *r = runs_new(4096);
	const struct runs_past past = {100, 5, 400, 305, RUNS_UNCOUNTED};
	assert_int_equal(runs_restore(r, &past), ERR_OK);
	assert_answer(forward(r, 400), 305, 0);
	assert_int_equal(runs_append(r, 402, 310, 10), ERR_OK);
	assert_answer(forward(r, 400), 310, 0);
	assert_answer(forward(r, 405), 313, 0);
	assert_answer(backward(r, 312), 404, 0);
	const int64_t below[] = {0, 100, 101, 399};
	for (size_t i = 0; i < 4; i++) {
		struct runs_answer a = forward(r, below[i]);
		assert_false(a.exact);
		assert_int_equal(a.offset, 5);
		assert_int_equal(a.max_behind, 305);
		assert_int_equal(a.pending, 0);
	}
	struct runs_answer a = backward(r, 304);
	assert_true(!a.exact && a.offset == 100 && a.max_behind == 302);
	/* What is forgotten later cannot be counted with it. */
	runs_prune_below(r, 412);
	struct runs_past have;
	runs_past_at(r, 0, &have);
	const struct runs_past all = {100, 5, 412, 320, RUNS_UNCOUNTED};
	assert_memory_equal(&have, &all, sizeof all);
	assert_int_equal(runs_append(r, 420, 320, 3), ERR_OK);
	assert_false(forward(r, 405).exact);
	/* A cut into it leaves nothing that can be told, one below it nothing at all. */
	runs_truncate_target(r, 100);
	assert_int_equal(runs_src_end(r), -1);
	runs_free(r);
}

/* All ways to lay `n` records on `span` offsets, the first and the last of which have one: the
 * places of the records as a bit mask. */
static bool layout(unsigned mask, int span, int n)
{
	return (mask & 1) && (mask >> (span - 1) & 1) && __builtin_popcount(mask) == n;
}

static int nth_bit(unsigned mask, int n)
{
	for (int i = 0;; i++)
		if ((mask >> i & 1) && n-- == 0)
			return i;
}

/* The bounds of forgotten runs against all histories that can have been: none outside them, and
 * both are reached. */
static void test_bounds_are_tight(void **state)
{
	(void)state;
	for (int n = 2; n <= 6; n++)
		for (int src_span = n; src_span <= 8; src_span++)
			for (int dst_span = n; dst_span <= 8; dst_span++)
				for (int o = 1; o < src_span; o++) {
					struct runs *r = runs_new(0);
					const struct runs_past past = {100, 500, 100 + src_span,
								       500 + dst_span, n};
					assert_int_equal(runs_restore(r, &past), ERR_OK);
					int least = 99;
					int most = -1;
					for (unsigned s = 0; s < 1u << src_span; s++) {
						if (!layout(s, src_span, n))
							continue;
						int below = __builtin_popcount(s & ((1u << o) - 1));
						for (unsigned d = 0; d < 1u << dst_span; d++) {
							if (!layout(d, dst_span, n))
								continue;
							int at = nth_bit(d, below);
							least = at < least ? at : least;
							most = at > most ? at : most;
						}
					}
					struct runs_answer a = forward(r, 100 + o);
					assert_int_equal(a.offset, 500 + least);
					assert_int_equal(a.max_behind, most - least);
					assert_int_equal(a.exact, most == least);
					runs_free(r);
				}
}

/* Half a million short transactions: what the default budget holds of them. */
static void test_memory_of_transactions(void **state)
{
	(void)state;
	const size_t budget = 256 << 10;
	struct runs *r = runs_new(budget);
	int64_t src = 0;
	int64_t dst = 0;
	for (int i = 0; i < 200000; i++) {
		assert_int_equal(runs_append(r, src, dst, 100), ERR_OK);
		src += 101;
		dst += 100;
		assert_true(runs_memory(r) <= budget);
	}
	printf("%zu runs in %zu bytes: %.2f a run\n", runs_count(r), runs_memory(r),
	       (double)runs_memory(r) / (double)runs_count(r));
	assert_true(runs_count(r) > 65000);
	/* Forgotten: one hole in 101 offsets, so the bound is a hundredth of the range. */
	struct runs_answer a = forward(r, src / 4);
	assert_false(a.exact);
	int64_t truth = src / 4 - src / 4 / 101;
	assert_true(a.offset <= truth && truth <= a.offset + a.max_behind);
	assert_true(a.max_behind <= runs_src_start(r) / 101);
	runs_free(r);
}

static void test_cut_into_forgotten(void **state)
{
	(void)state;
	struct runs *r = runs_new(4096);
	for (int64_t i = 0; i < 10; i++)
		assert_int_equal(runs_append(r, 100 + 10 * i, 20 * i, 5), ERR_OK);
	runs_prune_below(r, 150);
	assert_int_equal(runs_src_start(r), 150);
	runs_take_cut(r);

	/* To the very end of what is forgotten: known. */
	runs_truncate_target(r, 85);
	assert_int_equal(runs_count(r), 0);
	assert_int_equal(runs_src_end(r), 145);
	assert_int_equal(runs_dst_end(r), 85);
	assert_int_equal(runs_take_cut(r), 145);
	assert_answer(forward(r, 145), 85, 0);

	/* Into it: the place is lost, and the table says so. */
	runs_truncate_target(r, 60);
	assert_int_equal(runs_src_end(r), -1);
	assert_int_equal(runs_dst_end(r), -1);
	assert_int_equal(runs_take_cut(r), 0);
	assert_int_equal(runs_append(r, 1, 1, 1), ERR_OK);
	runs_free(r);

	/* All of it: nothing was copied, so the place is the beginning. */
	r = runs_new(4096);
	assert_int_equal(runs_append(r, 100, 50, 5), ERR_OK);
	runs_prune_below(r, 200);
	runs_truncate_target(r, 50);
	assert_int_equal(runs_src_end(r), 100);
	assert_int_equal(runs_dst_end(r), 50);
	assert_int_equal(runs_append(r, 100, 50, 5), ERR_OK);
	runs_free(r);
}

/* Memory runs out at each allocation: the table stays as it was and goes on afterwards (F20). */
static void test_no_memory(void **state)
{
	(void)state;
	for (long n = 0;; n++) {
		few_allocs = n;
		struct runs *r = runs_new(1 << 20);
		bool failed = r == NULL;
		for (int64_t i = 0; r != NULL && i < 1000; i++) {
			enum err e = runs_append(r, 3 * i, 2 * i, 1);
			if (e == ERR_OK)
				continue;
			assert_int_equal(e, ERR_NOMEM);
			assert_int_equal(runs_src_end(r), i == 0 ? -1 : 3 * i - 2);
			assert_int_equal(runs_count(r), i);
			failed = true;
			few_allocs = -1;
			assert_int_equal(runs_append(r, 3 * i, 2 * i, 1), ERR_OK);
		}
		few_allocs = -1;
		for (int64_t i = 0; r != NULL && i < 1000; i++)
			assert_answer(forward(r, 3 * i), 2 * i, 0);
		runs_free(r);
		if (!failed)
			return;
	}
}

/* The model: every pair since the origin */

enum { PAIRS_MAX = 40000 };

struct model {
	int64_t src[PAIRS_MAX], dst[PAIRS_MAX];
	size_t n;
	int64_t src_end, dst_end; /* -1: empty */
	int64_t begin_src, begin_dst;
	bool lost; /* a cut into what the table forgot emptied it */
};

static void model_reset(struct model *m)
{
	m->n = 0;
	m->src_end = m->dst_end = m->begin_src = m->begin_dst = -1;
}

/* First index with a[i] >= x. */
static size_t lower(const int64_t *a, size_t n, int64_t x)
{
	size_t lo = 0;
	while (n > 0) {
		size_t half = n / 2;
		if (a[lo + half] < x) {
			lo += half + 1;
			n -= half + 1;
		} else {
			n = half;
		}
	}
	return lo;
}

static int64_t look_ups;

static void check_answer(const struct model *m, const struct runs *r, bool back, int64_t x)
{
	const int64_t *own = back ? m->dst : m->src;
	const int64_t *other = back ? m->src : m->dst;
	int64_t own_end = back ? m->dst_end : m->src_end;
	int64_t other_end = back ? m->src_end : m->dst_end;
	struct runs_answer a;
	bool some = back ? runs_backward(r, x, &a) : runs_forward(r, x, &a);
	look_ups++;
	if (m->src_end < 0 || m->dst_end < 0) {
		assert_false(some);
		return;
	}
	assert_true(some);
	size_t i = lower(own, m->n, x);
	int64_t truth = i < m->n && x < own_end ? other[i] : other_end;
	int64_t held = back ? runs_dst_start(r) : runs_src_start(r);
	/* cmocka's asserts are slow: one for the lot. */
	bool ok = a.pending == (x > own_end ? x - own_end : 0) && a.exact == (a.max_behind == 0) &&
		  a.max_behind >= 0 && a.offset <= truth && truth - a.offset <= a.max_behind &&
		  (x < held || a.exact);
	if (!ok)
		printf("%s(%lld): truth %lld, got %lld exact %d behind %lld pending %lld\n",
		       back ? "backward" : "forward", (long long)x, (long long)truth,
		       (long long)a.offset, a.exact, (long long)a.max_behind, (long long)a.pending);
	assert_true(ok);
}

/* Every offset from before the origin to beyond the end, both ways; where gaps are large, only the
 * offsets around the records. */
static void check_all(const struct model *m, const struct runs *r, int64_t step)
{
	for (int back = 0; back <= 1; back++) {
		const int64_t *own = back ? m->dst : m->src;
		int64_t end = back ? m->dst_end : m->src_end;
		int64_t first = m->n > 0 ? own[0] : end;
		for (int64_t x = first - 3; x < first; x++)
			check_answer(m, r, back, x);
		for (size_t i = 0; i < m->n; i += (size_t)step) {
			int64_t next = i + 1 < m->n ? own[i + 1] : end;
			check_answer(m, r, back, own[i]);
			for (int64_t x = own[i] + 1; x < next && x < own[i] + 4; x++)
				check_answer(m, r, back, x);
			if (next - 1 > own[i])
				check_answer(m, r, back, next - 1);
		}
		for (int64_t x = end; x < end + 3; x++)
			check_answer(m, r, back, x);
	}
}

/* The table's own listing: ordered, merged, and the pairs that the model has. */
static void check_listing(const struct model *m, const struct runs *r)
{
	assert_int_equal(runs_src_end(r), m->src_end);
	assert_int_equal(runs_dst_end(r), m->dst_end);
	size_t at = lower(m->src, m->n, runs_src_start(r));
	struct runs_past past;
	runs_past_at(r, 0, &past);
	if (m->n > 0) {
		assert_int_equal(past.n, at);
		assert_int_equal(past.n == 0 ? m->src[0] : past.src, m->src[0]);
	}
	struct runs_cursor c;
	struct run run;
	struct run last = {-1, -1, 0};
	size_t i = 0;
	runs_cursor_init(&c, r, 0);
	while (runs_cursor_next(&c, &run)) {
		bool ok = run.n > 0 && run.src >= last.src + last.n &&
			  run.dst >= last.dst + last.n &&
			  (run.src > last.src + last.n || run.dst > last.dst + last.n);
		for (int64_t k = 0; k < run.n; k++, at++)
			ok = ok && at < m->n && m->src[at] == run.src + k &&
			     m->dst[at] == run.dst + k;
		assert_true(ok);
		last = run;
		i++;
	}
	assert_int_equal(i, runs_count(r));
	assert_int_equal(at, m->n);
}

static void check_places(struct rng *g, const struct model *m, const struct runs *r)
{
	size_t n = runs_count(r);
	for (int k = 0; n > 0 && k < 5; k++) {
		size_t i = (size_t)rng_in(g, 0, (int64_t)n - 1);
		struct run run = runs_at(r, i);
		assert_int_equal(runs_index(r, run.src), i);
		assert_int_equal(runs_index(r, run.src + run.n - 1), i);
		assert_int_equal(runs_index(r, run.src + run.n), i + 1);
		struct runs_past past;
		runs_past_at(r, i + 1, &past);
		assert_int_equal(past.src, m->src[0]);
		assert_int_equal(past.dst, m->dst[0]);
		assert_int_equal(past.src_end, run.src + run.n);
		assert_int_equal(past.dst_end, run.dst + run.n);
		assert_int_equal(past.n, lower(m->src, m->n, run.src + run.n));
	}
}

struct shape {
	int64_t run_max;     /* records in a run */
	int64_t src_gap_max; /* markers, holes, drops */
	int64_t dst_gap_max; /* other writers */
	int64_t merge;       /* once in so many appends follows without a gap */
};

static void step_append(struct rng *g, const struct shape *s, struct model *m, struct runs *r)
{
	bool merge = rng_one_in(g, s->merge);
	int64_t n = rng_in(g, 1, s->run_max);
	if (m->n + (size_t)n > PAIRS_MAX)
		return;
	int64_t src =
		(m->src_end < 0 ? 0 : m->src_end) + (merge ? 0 : rng_in(g, 0, s->src_gap_max));
	int64_t dst =
		(m->dst_end < 0 ? 0 : m->dst_end) + (merge ? 0 : rng_in(g, 0, s->dst_gap_max));
	assert_int_equal(runs_append(r, src, dst, n), ERR_OK);
	if (m->begin_src < 0) {
		m->begin_src = src;
		m->begin_dst = dst;
	}
	for (int64_t k = 0; k < n; k++, m->n++) {
		m->src[m->n] = src + k;
		m->dst[m->n] = dst + k;
	}
	m->src_end = src + n;
	m->dst_end = dst + n;
}

static void model_cut(struct model *m, bool by_dst, int64_t end, bool forgot,
		      const struct runs_past *p)
{
	int64_t have = by_dst ? m->dst_end : m->src_end;
	if (have < 0 || end >= have)
		return;
	size_t keep = lower(by_dst ? m->dst : m->src, m->n, end);
	if (forgot && keep > 0 && end < (by_dst ? p->dst_end : p->src_end)) {
		model_reset(m);
		m->lost = true;
		return;
	}
	if (keep == 0 && m->n > 0 && forgot) {
		m->begin_src = m->src[0];
		m->begin_dst = m->dst[0];
	}
	m->n = keep;
	if (keep == 0) {
		int64_t *own = by_dst ? &m->begin_dst : &m->begin_src;
		if (*own >= 0 && end < *own)
			*own = end;
	}
	m->src_end = by_dst ? (keep > 0 ? m->src[keep - 1] + 1 : m->begin_src) : end;
	m->dst_end = by_dst ? end : keep > 0 ? m->dst[keep - 1] + 1 : m->begin_dst;
}

static void step_cut(struct rng *g, struct model *m, struct runs *r)
{
	struct runs_past past;
	runs_past_at(r, 0, &past);
	bool by_dst = rng_one_in(g, 2);
	int64_t have = by_dst ? m->dst_end : m->src_end;
	int64_t start = by_dst ? runs_dst_start(r) : runs_src_start(r);
	int64_t end = rng_one_in(g, 60) ? rng_in(g, 0, have < 0 ? 1 : have + 2)
					: have - rng_in(g, 0, 1 + (have - start) / 4);
	if (by_dst)
		runs_truncate_target(r, end);
	else
		runs_truncate_source(r, end);
	model_cut(m, by_dst, end < 0 ? 0 : end, past.n > 0, &past);
	int64_t cut = runs_take_cut(r);
	assert_int_equal(cut, have < 0 || end >= have ? INT64_MAX
			      : m->src_end < 0        ? 0
						      : m->src_end);
}

static void step(struct rng *g, const struct shape *s, struct model *m, struct runs *r)
{
	int64_t what = rng_in(g, 0, 199);
	if (what < 180) {
		step_append(g, s, m, r);
	} else if (what < 194) {
		int64_t to = m->src_end + rng_in(g, 0, 5);
		runs_advance_source(r, to);
		m->src_end = to > m->src_end ? to : m->src_end;
	} else if (what < 197) {
		runs_prune_below(r, runs_src_start(r) + rng_in(g, -2, 60 * s->run_max));
	} else {
		step_cut(g, m, r);
	}
}

static void one_history(struct rng *g, struct model *m)
{
	const struct shape shapes[] = {
		{1, 2, 0, 10}, {4, 1, 0, 3}, {3, 3, 3, 5}, {30, 2, 1, 2}, {2, 1000000, 50000000, 4},
	};
	const struct shape *s = &shapes[rng_in(g, 0, 4)];
	const int64_t budgets[] = {0, 5000, 8000, 1 << 20};
	size_t budget = (size_t)budgets[rng_in(g, 0, 3)];
	struct runs *r = runs_new(budget);
	assert_int_equal(runs_take_cut(r), 0);
	model_reset(m);
	m->lost = false;
	if (rng_one_in(g, 3)) {
		m->begin_src = m->src_end = rng_in(g, 0, 100);
		m->begin_dst = m->dst_end = rng_in(g, 0, 100);
		assert_int_equal(runs_begin(r, m->src_end, m->dst_end), ERR_OK);
	}
	int64_t steps = rng_in(g, 1, 3000);
	for (int64_t i = 0; i < steps; i++) {
		step(g, s, m, r);
		assert_true(runs_memory(r) <= (budget < 4096 ? 4096 : budget));
		if (i % 64 == 0) {
			check_places(g, m, r);
			check_listing(m, r);
			check_all(m, r, 1 + (int64_t)m->n / 20);
		}
	}
	check_places(g, m, r);
	check_listing(m, r);
	check_all(m, r, 1);
	runs_free(r);
}

static void test_random_histories(void **state)
{
	(void)state;
	uint64_t seed = rng_seed("random_histories");
	static struct model m;
	int64_t want = rng_scale(6000000);
	int64_t histories = 0;
	int64_t lost = 0;
	for (look_ups = 0; look_ups < want; histories++) {
		/* Each history can be replayed alone: its seed is the test's plus its number. */
		struct rng g = {seed + (uint64_t)histories};
		one_history(&g, &m);
		lost += m.lost;
	}
	printf("%lld histories, %lld look-ups, %lld lost their place\n", (long long)histories,
	       (long long)look_ups, (long long)lost);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_one_run_small),
		cmocka_unit_test(test_gaps),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_restore),
		cmocka_unit_test(test_uncounted),
		cmocka_unit_test(test_bounds_are_tight),
		cmocka_unit_test(test_memory_of_transactions),
		cmocka_unit_test(test_cut_into_forgotten),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_random_histories),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
