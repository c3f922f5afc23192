/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The newest runs lie unpacked in `tail`; when it has CHUNK_RUNS of them and one more comes, they
 * are packed into a chunk. Look-ups find the chunk by its first offset (binary search), then unpack
 * at most one chunk.
 *
 * Invariants:
 *   - every chunk holds exactly CHUNK_RUNS runs; the first `skip` of chunk 0 are forgotten. So the
 *     run with index i stands at place i + skip, counted over all chunks and then the tail;
 *   - where runs are held, the tail is not empty, and once there is a chunk the tail has room for
 *     CHUNK_RUNS: a cut never has to allocate;
 *   - runs increase in both coordinates, neighbours that could be one run are one run, and
 *     src_end, dst_end are not below the last run's ends;
 *   - past.n + records held = records mirrored since the origin; a `before` counts from the origin.
 *
 * A packed run is varint(source gap * 2 + (target gap > 0)), varint(target gap) if that is > 0,
 * varint(n); gaps are those to the end of the run before, 0 for the first run of a chunk, whose
 * place stands in the index.
 */
#include "checkpoint/runs.h"

#include <assert.h>

#include "checkpoint/uvarint.h"
#include "lib/base/mem.h"

enum {
	CHUNK_RUNS = 64,
	PACKED_RUN_MAX = 3 * UVARINT_MAX,
	ALLOC_OVERHEAD = 16, /* what glibc's malloc adds to a block, on average */
	BUDGET_MIN = 4096,
};

struct chunk {
	int64_t src, dst; /* of its first run, forgotten or not */
	int64_t before;   /* records mirrored before its first run */
	uint8_t *packed;
	size_t packed_n;
};

struct runs {
	size_t budget;
	size_t memory;
	struct chunk *chunks;
	struct run *tail;
	uint32_t chunks_n, chunks_cap;
	uint16_t tail_n, tail_cap;
	uint16_t skip;
	int64_t src_end, dst_end;
	int64_t cut;
	int64_t tail_before;
	struct runs_past past;
};

/* The table of an idle partition must stay small: there are 10 000 of them in a process. */
static_assert(sizeof(struct runs) + sizeof(struct run) + 2 * ALLOC_OVERHEAD < 200,
	      "a table of one run takes less than 200 bytes");

static void runs_reset(struct runs *r)
{
	r->src_end = r->dst_end = -1;
	r->past = (struct runs_past){.src = -1, .dst = -1, .src_end = -1, .dst_end = -1};
	r->tail_before = 0;
}

struct runs *runs_new(size_t budget)
{
	struct runs *r = mem_zalloc(1, sizeof *r);
	if (r == NULL)
		return NULL;
	r->budget = budget < BUDGET_MIN ? BUDGET_MIN : budget;
	r->memory = sizeof *r + ALLOC_OVERHEAD;
	r->cut = 0;
	runs_reset(r);
	return r;
}

void runs_free(struct runs *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < r->chunks_n; i++)
		mem_free(r->chunks[i].packed);
	mem_free(r->chunks);
	mem_free(r->tail);
	mem_free(r);
}

static void chunk_free(struct runs *r, size_t i)
{
	r->memory -= r->chunks[i].packed_n + ALLOC_OVERHEAD;
	mem_free(r->chunks[i].packed);
}

void runs_clear(struct runs *r)
{
	while (r->chunks_n > 0)
		chunk_free(r, --r->chunks_n);
	r->tail_n = 0;
	r->skip = 0;
	r->cut = 0;
	runs_reset(r);
}

static bool runs_is_new(const struct runs *r)
{
	return r->src_end < 0 && r->dst_end < 0 && r->past.src < 0;
}

enum err runs_begin(struct runs *r, int64_t src, int64_t dst)
{
	return runs_restore(r, &(struct runs_past){src, dst, src, dst, 0});
}

/* Also bounds all that is computed from these numbers. */
bool runs_past_possible(const struct runs_past *p)
{
	if (p->src < 0 || p->dst < 0 || p->src_end < p->src || p->dst_end < p->dst)
		return false;
	if (p->n < 0)
		return p->n == RUNS_UNCOUNTED;
	int64_t src_span = p->src_end - p->src;
	int64_t dst_span = p->dst_end - p->dst;
	if (p->n <= 1)
		return src_span == p->n && dst_span == p->n;
	return src_span >= p->n && dst_span >= p->n;
}

enum err runs_restore(struct runs *r, const struct runs_past *past)
{
	if (!runs_is_new(r) || !runs_past_possible(past))
		return ERR_MALFORMED;
	r->past = *past;
	r->tail_before = past->n > 0 ? past->n : 0;
	r->src_end = past->src_end;
	r->dst_end = past->dst_end;
	return ERR_OK;
}

/* Packing */

static uint8_t *run_pack(uint8_t *p, const struct run *before, const struct run *run)
{
	uint64_t src_gap = 0;
	uint64_t dst_gap = 0;
	if (before != NULL) {
		src_gap = (uint64_t)(run->src - before->src - before->n);
		dst_gap = (uint64_t)(run->dst - before->dst - before->n);
	}
	p = uvarint_put(p, src_gap << 1 | (dst_gap > 0));
	if (dst_gap > 0)
		p = uvarint_put(p, dst_gap);
	return uvarint_put(p, (uint64_t)run->n);
}

/* `run` holds the run before (n == 0 and the index's offsets for a chunk's first). */
static const uint8_t *run_unpack(const uint8_t *p, struct run *run)
{
	uint64_t src_gap, n;
	uint64_t dst_gap = 0;
	p = uvarint_take(p, &src_gap);
	if (src_gap & 1)
		p = uvarint_take(p, &dst_gap);
	p = uvarint_take(p, &n);
	run->src += run->n + (int64_t)(src_gap >> 1);
	run->dst += run->n + (int64_t)dst_gap;
	run->n = (int64_t)n;
	return p;
}

/* Growth. Each of these leaves the table as it was when memory is out. */

static enum err tail_grow(struct runs *r)
{
	size_t cap = r->tail_cap == 0 ? 1 : 2 * (size_t)r->tail_cap;
	struct run *tail = mem_resize(r->tail, cap, sizeof *tail);
	if (tail == NULL)
		return ERR_NOMEM;
	r->memory += (cap - r->tail_cap) * sizeof *tail;
	if (r->tail_cap == 0)
		r->memory += ALLOC_OVERHEAD;
	r->tail = tail;
	r->tail_cap = (uint16_t)cap;
	return ERR_OK;
}

static enum err index_grow(struct runs *r)
{
	size_t cap = (size_t)r->chunks_cap + r->chunks_cap / 4 + 4;
	if (cap > UINT32_MAX)
		return ERR_NOMEM;
	struct chunk *chunks = mem_resize(r->chunks, cap, sizeof *chunks);
	if (chunks == NULL)
		return ERR_NOMEM;
	r->memory += (cap - r->chunks_cap) * sizeof *chunks;
	if (r->chunks_cap == 0)
		r->memory += ALLOC_OVERHEAD;
	r->chunks = chunks;
	r->chunks_cap = (uint32_t)cap;
	return ERR_OK;
}

/* Pack the full tail into a new chunk. */
static enum err tail_seal(struct runs *r)
{
	assert(r->tail != NULL && r->tail_n == CHUNK_RUNS);
	if (r->chunks_n == r->chunks_cap && index_grow(r) != ERR_OK)
		return ERR_NOMEM;
	uint8_t packed[CHUNK_RUNS * PACKED_RUN_MAX];
	uint8_t *p = packed;
	int64_t records = 0;
	for (size_t i = 0; i < CHUNK_RUNS; i++) {
		p = run_pack(p, i == 0 ? NULL : &r->tail[i - 1], &r->tail[i]);
		records += r->tail[i].n;
	}
	size_t n = (size_t)(p - packed);
	uint8_t *copy = mem_alloc(n);
	if (copy == NULL)
		return ERR_NOMEM;
	memcpy(copy, packed, n);
	r->chunks[r->chunks_n++] = (struct chunk){.src = r->tail[0].src,
						  .dst = r->tail[0].dst,
						  .before = r->tail_before,
						  .packed = copy,
						  .packed_n = n};
	r->memory += n + ALLOC_OVERHEAD;
	r->tail_before += records;
	r->tail_n = 0;
	return ERR_OK;
}

/* Forgetting and cutting */

static void past_add(struct runs *r, const struct run *run)
{
	if (r->past.n == 0) {
		r->past.src = run->src;
		r->past.dst = run->dst;
	}
	r->past.src_end = run->src + run->n;
	r->past.dst_end = run->dst + run->n;
	if (r->past.n != RUNS_UNCOUNTED)
		r->past.n += run->n;
}

/* Forget runs from the front until the index moves on to chunk `n`. */
static void chunks_forget(struct runs *r, size_t n)
{
	if (n == 0)
		return;
	struct runs_cursor c;
	struct run run;
	runs_cursor_init(&c, r, 0);
	while (c.i < n * CHUNK_RUNS && runs_cursor_next(&c, &run))
		past_add(r, &run);
	for (size_t i = 0; i < n; i++)
		chunk_free(r, i);
	r->chunks_n -= (uint32_t)n;
	memmove(r->chunks, r->chunks + n, r->chunks_n * sizeof *r->chunks);
	r->skip = 0;
}

enum err runs_append(struct runs *r, int64_t src, int64_t dst, int64_t n)
{
	if (src < 0 || dst < 0 || n <= 0 || n > INT64_MAX - src || n > INT64_MAX - dst)
		return ERR_MALFORMED;
	if (src < r->src_end || dst < r->dst_end)
		return ERR_MALFORMED;
	struct run *last = r->tail_n == 0 ? NULL : &r->tail[r->tail_n - 1];
	if (last != NULL && last->src + last->n == src && last->dst + last->n == dst) {
		last->n += n;
	} else {
		if (r->tail_n == CHUNK_RUNS && tail_seal(r) != ERR_OK)
			return ERR_NOMEM;
		if (r->tail_n == r->tail_cap && tail_grow(r) != ERR_OK)
			return ERR_NOMEM;
		assert(r->tail != NULL);
		r->tail[r->tail_n++] = (struct run){.src = src, .dst = dst, .n = n};
		if (r->past.src < 0)
			r->past = (struct runs_past){src, dst, src, dst, 0};
	}
	r->src_end = src + n;
	r->dst_end = dst + n;
	while (r->memory > r->budget && r->chunks_n > 0)
		chunks_forget(r, 1);
	return ERR_OK;
}

void runs_advance_source(struct runs *r, int64_t src_end)
{
	if (src_end > r->src_end)
		r->src_end = src_end;
}

void runs_advance_target(struct runs *r, int64_t dst_end)
{
	if (dst_end > r->dst_end)
		r->dst_end = dst_end;
}

void runs_prune_below(struct runs *r, int64_t src)
{
	/* Chunks that end below are seen by where the next one begins. */
	size_t whole = 0;
	while (whole < r->chunks_n) {
		bool last = whole + 1 == r->chunks_n;
		if ((last ? r->tail[0].src : r->chunks[whole + 1].src) > src)
			break;
		whole++;
	}
	chunks_forget(r, whole);

	size_t n = runs_index(r, src);
	struct runs_cursor c;
	struct run run;
	runs_cursor_init(&c, r, 0);
	for (size_t i = 0; i < n && runs_cursor_next(&c, &run); i++) {
		past_add(r, &run);
		if (r->chunks_n == 0)
			r->tail_before += run.n;
	}
	if (r->chunks_n == 0) {
		if (n == 0)
			return;
		r->tail_n = (uint16_t)(r->tail_n - n);
		memmove(r->tail, r->tail + n, r->tail_n * sizeof *r->tail);
	} else if (r->skip + n < CHUNK_RUNS) {
		r->skip = (uint16_t)(r->skip + n);
	} else {
		/* All of chunk 0, which ends below `src` though the next run begins above. Its
		 * runs were added to the past just now. */
		chunk_free(r, 0);
		r->chunks_n--;
		memmove(r->chunks, r->chunks + 1, r->chunks_n * sizeof *r->chunks);
		r->skip = 0;
	}
}

/* The place where one side of a run or a past lies. */
static int64_t side(bool by_dst, int64_t src, int64_t dst)
{
	return by_dst ? dst : src;
}

/* Bring the last chunk back into the tail, but for runs of it that are forgotten. */
static void chunk_reopen(struct runs *r)
{
	assert(r->tail_n == 0 && r->tail_cap == CHUNK_RUNS);
	size_t at = --r->chunks_n;
	size_t skip = at == 0 ? r->skip : 0;
	const struct chunk *chunk = &r->chunks[at];
	const uint8_t *p = chunk->packed;
	struct run run = {.src = chunk->src, .dst = chunk->dst};
	r->tail_before = chunk->before;
	for (size_t i = 0; i < CHUNK_RUNS; i++) {
		p = run_unpack(p, &run);
		if (i < skip)
			r->tail_before += run.n;
		else
			r->tail[r->tail_n++] = run;
	}
	chunk_free(r, at);
	if (at == 0)
		r->skip = 0;
}

/* Take away what lies at or beyond `end` on one side. */
static void runs_cut_runs(struct runs *r, bool by_dst, int64_t end)
{
	while (r->tail_n > 0) {
		struct run *last = &r->tail[r->tail_n - 1];
		int64_t at = side(by_dst, last->src, last->dst);
		if (at < end) {
			if (last->n > end - at)
				last->n = end - at;
			return;
		}
		if (--r->tail_n > 0 || r->chunks_n == 0)
			continue;
		/* Chunks that begin beyond the cut need not be unpacked. */
		while (r->chunks_n > 1) {
			struct chunk *chunk = &r->chunks[r->chunks_n - 1];
			if (side(by_dst, chunk->src, chunk->dst) < end)
				break;
			r->tail_before = chunk->before;
			chunk_free(r, --r->chunks_n);
		}
		chunk_reopen(r);
	}
}

/* Set the ends after a cut that left no run: what is known comes from the past. */
static void runs_cut_past(struct runs *r, bool by_dst, int64_t end)
{
	struct runs_past *p = &r->past;
	if (p->n != 0 && end > side(by_dst, p->src, p->dst) &&
	    end < side(by_dst, p->src_end, p->dst_end)) {
		runs_reset(r);
		return;
	}
	if (end < side(by_dst, p->src_end, p->dst_end)) {
		/* Nothing is left of the copy. */
		int64_t *own = by_dst ? &p->dst : &p->src;
		*own = end < *own ? end : *own;
		p->src_end = p->src;
		p->dst_end = p->dst;
		p->n = 0;
		r->tail_before = 0;
	}
	r->src_end = by_dst ? p->src_end : end;
	r->dst_end = by_dst ? end : p->dst_end;
}

static void runs_cut(struct runs *r, bool by_dst, int64_t end)
{
	int64_t have = side(by_dst, r->src_end, r->dst_end);
	if (end < 0)
		end = 0;
	if (have < 0 || end >= have)
		return;
	runs_cut_runs(r, by_dst, end);
	if (r->tail_n > 0) {
		const struct run *last = &r->tail[r->tail_n - 1];
		r->src_end = by_dst ? last->src + last->n : end;
		r->dst_end = by_dst ? end : last->dst + last->n;
	} else {
		runs_cut_past(r, by_dst, end);
	}
	int64_t cut = r->src_end < 0 ? 0 : r->src_end;
	r->cut = cut < r->cut ? cut : r->cut;
}

void runs_truncate_target(struct runs *r, int64_t dst_end)
{
	runs_cut(r, true, dst_end);
}

void runs_truncate_source(struct runs *r, int64_t src_end)
{
	runs_cut(r, false, src_end);
}

int64_t runs_take_cut(struct runs *r)
{
	int64_t cut = r->cut;
	r->cut = INT64_MAX;
	return cut;
}

/* Reading */

int64_t runs_src_end(const struct runs *r)
{
	return r->src_end;
}

int64_t runs_dst_end(const struct runs *r)
{
	return r->dst_end;
}

size_t runs_count(const struct runs *r)
{
	return (size_t)r->chunks_n * CHUNK_RUNS + r->tail_n - r->skip;
}

size_t runs_memory(const struct runs *r)
{
	return r->memory;
}

int64_t runs_src_start(const struct runs *r)
{
	return runs_count(r) == 0 ? r->src_end : runs_at(r, 0).src;
}

int64_t runs_dst_start(const struct runs *r)
{
	return runs_count(r) == 0 ? r->dst_end : runs_at(r, 0).dst;
}

void runs_cursor_init(struct runs_cursor *c, const struct runs *r, size_t i)
{
	i += r->skip;
	*c = (struct runs_cursor){.r = r, .i = i};
	size_t at = i / CHUNK_RUNS;
	if (at >= r->chunks_n)
		return;
	c->i = at * CHUNK_RUNS;
	struct run skipped;
	while (c->i < i)
		runs_cursor_next(c, &skipped);
}

bool runs_cursor_next(struct runs_cursor *c, struct run *out)
{
	const struct runs *r = c->r;
	size_t at = c->i / CHUNK_RUNS;
	size_t in = c->i % CHUNK_RUNS;
	if (at < r->chunks_n) {
		if (in == 0) {
			const struct chunk *chunk = &r->chunks[at];
			c->p = chunk->packed;
			c->last = (struct run){.src = chunk->src, .dst = chunk->dst};
		}
		assert(c->p != NULL);
		c->p = run_unpack(c->p, &c->last);
	} else {
		in = c->i - (size_t)r->chunks_n * CHUNK_RUNS;
		if (in >= r->tail_n)
			return false;
		c->last = r->tail[in];
	}
	c->i++;
	*out = c->last;
	return true;
}

struct run runs_at(const struct runs *r, size_t i)
{
	assert(i < runs_count(r));
	struct runs_cursor c;
	struct run run = {0};
	runs_cursor_init(&c, r, i);
	runs_cursor_next(&c, &run);
	return run;
}

/* A cursor at the last chunk (or the tail) that begins at or below `x`, else at the first run. */
static void cursor_seek(struct runs_cursor *c, const struct runs *r, bool by_dst, int64_t x)
{
	size_t lo = 0; /* chunks [0, lo) begin at or below x, chunks [hi, ..) above */
	size_t hi = r->chunks_n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (side(by_dst, r->chunks[mid].src, r->chunks[mid].dst) <= x)
			lo = mid + 1;
		else
			hi = mid;
	}
	bool in_tail = r->chunks_n == 0 || (lo == r->chunks_n && r->tail_n > 0 &&
					    side(by_dst, r->tail[0].src, r->tail[0].dst) <= x);
	size_t place = in_tail   ? (size_t)r->chunks_n * CHUNK_RUNS
		       : lo == 0 ? 0
				 : (lo - 1) * CHUNK_RUNS;
	runs_cursor_init(c, r, place < r->skip ? 0 : place - r->skip);
}

size_t runs_index(const struct runs *r, int64_t src)
{
	struct runs_cursor c;
	struct run run;
	cursor_seek(&c, r, false, src);
	while (runs_cursor_next(&c, &run))
		if (run.src > src || run.n > src - run.src)
			return c.i - 1 - r->skip;
	return runs_count(r);
}

void runs_past_at(const struct runs *r, size_t i, struct runs_past *out)
{
	assert(i <= runs_count(r));
	*out = r->past;
	if (i == 0)
		return;
	size_t at = (i + r->skip - 1) / CHUNK_RUNS;
	size_t first = at < r->chunks_n ? at * CHUNK_RUNS : (size_t)r->chunks_n * CHUNK_RUNS;
	out->n = at < r->chunks_n ? r->chunks[at].before : r->tail_before;
	if (r->past.n == 0) {
		struct run run = runs_at(r, 0);
		out->src = run.src;
		out->dst = run.dst;
	}
	/* Forgotten runs of chunk 0 are counted in the past, not in a `before`. */
	struct runs_cursor c;
	struct run run = {0};
	if (first < r->skip) {
		first = r->skip;
		out->n = r->past.n;
	}
	runs_cursor_init(&c, r, first - r->skip);
	while (c.i < i + r->skip && runs_cursor_next(&c, &run))
		out->n += run.n;
	out->src_end = run.src + run.n;
	out->dst_end = run.dst + run.n;
	if (r->past.n == RUNS_UNCOUNTED) {
		out->src = r->past.src;
		out->dst = r->past.dst;
		out->n = RUNS_UNCOUNTED;
	}
}

/* Below the end of a past that nobody counted: anywhere from its start on, up to the first record
 * that is known. */
static void answer_uncounted(const struct runs *r, bool by_dst, struct runs_answer *out)
{
	bool any = runs_count(r) > 0;
	struct run first = any ? runs_at(r, 0) : (struct run){.src = r->src_end, .dst = r->dst_end};
	out->offset = side(by_dst, r->past.dst, r->past.src);
	out->max_behind = side(by_dst, first.dst, first.src) - out->offset;
	out->exact = out->max_behind == 0;
}

/*
 * An offset x strictly inside the forgotten range, of which is known: n records in all, the first
 * and the last at the ends of the range on both sides. So k records lie below x, where k is at
 * least 1 (the first) and n less the offsets from x on, and at most n - 1 (the last is not below)
 * and the offsets below x. The answer is where record k lies on the other side: k records stand
 * before it, n - 1 - k after it, and the last one at the very end.
 */
static void answer_from_past(const struct runs *r, bool by_dst, int64_t x, struct runs_answer *out)
{
	const struct runs_past *p = &r->past;
	int64_t below = x - side(by_dst, p->src, p->dst);
	int64_t from = side(by_dst, p->src_end, p->dst_end) - x;
	int64_t start = side(by_dst, p->dst, p->src);
	int64_t span = side(by_dst, p->dst_end, p->src_end) - start;
	int64_t k_min = p->n - from > 1 ? p->n - from : 1;
	int64_t k_max = below < p->n - 1 ? below : p->n - 1;
	int64_t low = k_min == p->n - 1 ? span - 1 : k_min;
	int64_t high = span - p->n + k_max;

	out->offset = start + low;
	out->max_behind = high - low;
	out->exact = out->max_behind == 0;
}

static bool runs_lookup(const struct runs *r, bool by_dst, int64_t x, struct runs_answer *out)
{
	if (r->src_end < 0 || r->dst_end < 0)
		return false;
	int64_t x_end = side(by_dst, r->src_end, r->dst_end);
	*out = (struct runs_answer){.offset = side(by_dst, r->dst_end, r->src_end), .exact = true};
	if (x >= x_end) {
		out->pending = x - x_end;
		return true;
	}
	const struct runs_past *p = &r->past;
	if (p->n == RUNS_UNCOUNTED && x < side(by_dst, p->src_end, p->dst_end)) {
		answer_uncounted(r, by_dst, out);
		return true;
	}
	if (p->n > 0 && x <= side(by_dst, p->src, p->dst)) {
		out->offset = side(by_dst, p->dst, p->src);
		return true;
	}
	if (p->n > 0 && x < side(by_dst, p->src_end, p->dst_end)) {
		answer_from_past(r, by_dst, x, out);
		return true;
	}
	struct runs_cursor c;
	struct run run;
	cursor_seek(&c, r, by_dst, x);
	while (runs_cursor_next(&c, &run)) {
		int64_t own = side(by_dst, run.src, run.dst);
		int64_t other = side(by_dst, run.dst, run.src);
		if (x >= own && run.n <= x - own)
			continue;
		out->offset = x <= own ? other : other + (x - own);
		return true;
	}
	return true;
}

bool runs_forward(const struct runs *r, int64_t o, struct runs_answer *out)
{
	return runs_lookup(r, false, o, out);
}

bool runs_backward(const struct runs *r, int64_t t, struct runs_answer *out)
{
	return runs_lookup(r, true, t, out);
}
