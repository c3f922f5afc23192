/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `blocks` are the stored blocks that make up the table, by first source offset; all but the last
 * are closed. `voids` are keys whose records stand in the log (or may) and belong to no table any
 * more: cut away, pruned, of an earlier topic, damaged. No key is in both.
 *
 * A block is `final` when its record in the log is the last that it will get: it is closed and its
 * write was confirmed. A cut makes the block that it falls into the open one again.
 *
 * Order matters: a reader takes the newest block of the log for the end of the table (chain.h). So
 * blocks go out by first offset, the open one always as the last, and before the deletions. A
 * reader that has seen only some of a plan's records then holds a table that is true, though it may
 * end early.
 */
#include "checkpoint/stored.h"

#include <assert.h>
#include <stdlib.h>

#include "lib/base/mem.h"

enum {
	/* Keys remembered for deletion; more are left in the log, which is untidy but harmless. */
	VOIDS_MAX = 4096,
	/* A table within its budget has some hundred blocks. This bounds what a log can make us
	 * hold; the oldest go. */
	BLOCKS_MAX = 65536,
};

struct stored_block {
	int64_t first;
	bool final;
};

/* What the open block's record was made from: if it is the same, there is nothing to write. */
struct stored_mark {
	bool valid;
	struct block_info info; /* topic unset */
	size_t runs;
};

struct stored {
	struct stored_block *blocks;
	int64_t *voids;
	size_t blocks_n, blocks_cap;
	size_t voids_n, voids_cap;
	size_t voids_sent; /* voids that the plan under way deletes: the first so many */
	struct uuid topic_id;
	int64_t cut;             /* the table's cut mark, until the blocks beyond it are in voids */
	struct stored_mark mark; /* in the log */
	struct stored_mark next; /* under way */
	bool busy;
};

struct stored *stored_new(void)
{
	struct stored *s = mem_zalloc(1, sizeof *s);
	if (s != NULL)
		s->cut = INT64_MAX;
	return s;
}

void stored_free(struct stored *s)
{
	if (s == NULL)
		return;
	mem_free(s->blocks);
	mem_free(s->voids);
	mem_free(s);
}

bool stored_busy(const struct stored *s)
{
	return s->busy;
}

size_t stored_blocks(const struct stored *s)
{
	return s->blocks_n;
}

size_t stored_voids(const struct stored *s)
{
	return s->voids_n;
}

/* Index of the first block with first offset >= `first`. */
static size_t block_find(const struct stored *s, int64_t first)
{
	size_t lo = 0;
	size_t hi = s->blocks_n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (s->blocks[mid].first < first)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static enum err void_add(struct stored *s, int64_t first)
{
	if (s->voids_n == VOIDS_MAX)
		return ERR_OK;
	if (s->voids_n == s->voids_cap) {
		size_t cap = s->voids_cap == 0 ? 4 : 2 * s->voids_cap;
		int64_t *voids = mem_resize(s->voids, cap, sizeof *voids);
		if (voids == NULL)
			return ERR_NOMEM;
		s->voids = voids;
		s->voids_cap = cap;
	}
	s->voids[s->voids_n++] = first;
	return ERR_OK;
}

/* The key is written (or gone): it needs no deletion. */
static void void_remove(struct stored *s, int64_t first)
{
	for (size_t i = 0; i < s->voids_n; i++) {
		if (s->voids[i] != first)
			continue;
		s->voids[i] = s->voids[--s->voids_n];
		return;
	}
}

/* Blocks [from, to) are void. */
static enum err blocks_void(struct stored *s, size_t from, size_t to)
{
	if (from >= to)
		return ERR_OK;
	s->mark.valid = false;
	enum err e = ERR_OK;
	size_t at = from;
	for (; at < to && e == ERR_OK; at++)
		e = void_add(s, s->blocks[at].first);
	if (e != ERR_OK)
		at--;
	memmove(s->blocks + from, s->blocks + at, (s->blocks_n - at) * sizeof *s->blocks);
	s->blocks_n -= at - from;
	return e;
}

/* Add at the end. */
static enum err block_add(struct stored *s, int64_t first)
{
	assert(s->blocks_n == 0 || s->blocks[s->blocks_n - 1].first < first);
	if (s->blocks_n == s->blocks_cap) {
		size_t cap = s->blocks_cap == 0 ? 1 : 2 * s->blocks_cap;
		struct stored_block *blocks = mem_resize(s->blocks, cap, sizeof *blocks);
		if (blocks == NULL)
			return ERR_NOMEM;
		s->blocks = blocks;
		s->blocks_cap = cap;
	}
	s->blocks[s->blocks_n++] = (struct stored_block){.first = first};
	void_remove(s, first);
	return s->blocks_n > BLOCKS_MAX ? blocks_void(s, 0, s->blocks_n - BLOCKS_MAX) : ERR_OK;
}

/* Planning */

static bool same_topic(const struct uuid *a, const struct uuid *b)
{
	return uuid_is_zero(a) || uuid_is_zero(b) || uuid_eq(a, b);
}

static struct stored_mark mark_of(const struct block_info *info, const struct runs *r)
{
	struct stored_mark m = {.valid = true, .info = *info, .runs = runs_count(r)};
	m.info.topic = (struct bytes){0};
	m.info.src_end = runs_src_end(r);
	m.info.dst_end = runs_dst_end(r);
	runs_past_at(r, m.runs, &m.info.past);
	return m;
}

static bool mark_eq(const struct stored_mark *a, const struct stored_mark *b)
{
	const struct block_info *x = &a->info;
	const struct block_info *y = &b->info;
	return a->valid && b->valid && a->runs == b->runs && uuid_eq(&x->topic_id, &y->topic_id) &&
	       x->leader_epoch == y->leader_epoch && x->producer_id == y->producer_id &&
	       x->producer_epoch == y->producer_epoch && x->src_end == y->src_end &&
	       x->dst_end == y->dst_end && x->past.n == y->past.n;
}

/* Take over what became of the table: blocks that are void go, blocks to write again are opened. */
static enum err blocks_follow(struct stored *s, const struct block_info *info, struct runs *r)
{
	enum err e = ERR_OK;
	if (!same_topic(&s->topic_id, &info->topic_id))
		e = blocks_void(s, 0, s->blocks_n);
	if (e == ERR_OK && !uuid_is_zero(&info->topic_id))
		s->topic_id = info->topic_id;

	int64_t cut = runs_take_cut(r);
	s->cut = cut < s->cut ? cut : s->cut;
	if (e == ERR_OK && s->cut != INT64_MAX) {
		s->mark.valid = false;
		e = blocks_void(s, block_find(s, s->cut), s->blocks_n);
	}
	if (e == ERR_OK)
		s->cut = INT64_MAX;
	/* What lies wholly below the first run that is held was pruned, or dropped for the budget.
	 */
	size_t below = 0;
	while (below + 1 < s->blocks_n && s->blocks[below + 1].first <= runs_src_start(r))
		below++;
	if (e == ERR_OK)
		e = blocks_void(s, 0, below);

	/* A log that others wrote may have blocks whose border lies inside one run. */
	while (e == ERR_OK && s->blocks_n > 0) {
		int64_t first = s->blocks[s->blocks_n - 1].first;
		size_t i = runs_index(r, first);
		if (i == runs_count(r) || runs_at(r, i).src >= first)
			break;
		e = blocks_void(s, s->blocks_n - 1, s->blocks_n);
	}
	if (s->blocks_n > 0)
		s->blocks[s->blocks_n - 1].final = false;
	return e;
}

/* Make sure that there is an open block, and that it holds no more runs than a block may. */
static enum err blocks_extend(struct stored *s, const struct runs *r)
{
	if (runs_src_end(r) < 0)
		return blocks_void(s, 0, s->blocks_n);
	enum err e = ERR_OK;
	if (s->blocks_n == 0)
		e = block_add(s, runs_src_start(r));
	if (e != ERR_OK)
		return e;
	size_t at = runs_index(r, s->blocks[s->blocks_n - 1].first);
	while (e == ERR_OK && runs_count(r) - at > BLOCK_RUNS_MAX) {
		at += BLOCK_RUNS_MAX;
		e = block_add(s, runs_at(r, at).src);
	}
	return e;
}

/* Room for one record at a time. */
struct plan {
	struct stored *s;
	struct block_info info;
	const struct stored_sink *sink;
	struct buf key, value;
	size_t records;
};

static enum err plan_put(struct plan *p, bool delete)
{
	enum err e = p->key.err != ERR_OK ? p->key.err : p->value.err;
	if (e == ERR_OK)
		e = p->sink->put(p->sink->arg, buf_bytes(&p->key),
				 delete ? (struct bytes){0} : buf_bytes(&p->value));
	p->records += e == ERR_OK;
	buf_clear(&p->key);
	buf_clear(&p->value);
	return e;
}

static enum err plan_block(struct plan *p, const struct runs *r, size_t i)
{
	const struct stored *s = p->s;
	bool open = i + 1 == s->blocks_n;
	size_t from = runs_index(r, s->blocks[i].first);
	size_t to = open ? runs_count(r) : runs_index(r, s->blocks[i + 1].first);
	p->info.first_src = s->blocks[i].first;
	if (open) {
		p->info.src_end = runs_src_end(r);
		p->info.dst_end = runs_dst_end(r);
	} else {
		struct runs_past past;
		runs_past_at(r, to, &past);
		p->info.src_end = s->blocks[i + 1].first;
		p->info.dst_end = past.dst_end;
	}
	enum err e = block_encode_key(&p->info, &p->key);
	if (e == ERR_OK)
		e = block_encode_value(&p->info, r, from, to - from, &p->value);
	return e == ERR_OK ? plan_put(p, false) : e;
}

static enum err plan_blocks(struct plan *p, const struct runs *r)
{
	struct stored *s = p->s;
	enum err e = ERR_OK;
	s->next = mark_of(&p->info, r);
	for (size_t i = 0; i < s->blocks_n && e == ERR_OK; i++) {
		bool open = i + 1 == s->blocks_n;
		/* The open one follows whatever else is written: the newest record ends the table.
		 */
		bool same =
			open ? p->records == 0 && mark_eq(&s->mark, &s->next) : s->blocks[i].final;
		if (!same)
			e = plan_block(p, r, i);
	}
	return e;
}

static int offset_compare(const void *a, const void *b)
{
	const int64_t *x = a;
	const int64_t *y = b;
	return (*x > *y) - (*x < *y);
}

/* From the first to the last: where all of a table goes, a reader sees the old one, with fewer and
 * fewer runs at its front, until the last deletion. */
static enum err plan_deletes(struct plan *p)
{
	struct stored *s = p->s;
	enum err e = ERR_OK;
	if (s->voids_n > 1)
		qsort(s->voids, s->voids_n, sizeof *s->voids, offset_compare);
	for (size_t i = 0; i < s->voids_n && e == ERR_OK; i++) {
		p->info.first_src = s->voids[i];
		e = block_encode_key(&p->info, &p->key);
		if (e == ERR_OK)
			e = plan_put(p, true);
	}
	s->voids_sent = s->voids_n;
	return e;
}

enum err stored_plan(struct stored *s, const struct block_info *info, struct runs *r,
		     const struct stored_sink *sink, size_t *records)
{
	assert(!s->busy);
	struct plan p = {.s = s, .info = *info, .sink = sink};
	buf_init(&p.key, BLOCK_KEY_MAX);
	buf_init(&p.value, BLOCK_VALUE_MAX);
	s->next.valid = false;
	*records = 0;
	enum err e;
	if (r == NULL) {
		e = blocks_void(s, 0, s->blocks_n);
	} else {
		e = blocks_follow(s, info, r);
		if (e == ERR_OK)
			e = blocks_extend(s, r);
		if (e == ERR_OK)
			e = plan_blocks(&p, r);
	}
	if (e == ERR_OK)
		e = plan_deletes(&p);
	if (e == ERR_OK) {
		*records = p.records;
		s->busy = p.records > 0;
	}
	buf_fini(&p.key);
	buf_fini(&p.value);
	return e;
}

void stored_done(struct stored *s, bool ok)
{
	assert(s->busy);
	s->busy = false;
	s->mark.valid = false;
	if (!ok)
		return;
	for (size_t i = 0; i + 1 < s->blocks_n; i++)
		s->blocks[i].final = true;
	s->mark = s->next;
	if (s->voids_sent == 0)
		return;
	s->voids_n -= s->voids_sent;
	memmove(s->voids, s->voids + s->voids_sent, s->voids_n * sizeof *s->voids);
}

/* What the reader of the log found */

enum err stored_saw_block(struct stored *s, int64_t first_src, bool good)
{
	enum err e = block_add(s, first_src);
	if (e == ERR_OK)
		s->blocks[s->blocks_n - 1].final = good;
	return e;
}

enum err stored_saw_void(struct stored *s, int64_t first_src)
{
	return void_add(s, first_src);
}

void stored_saw_table(struct stored *s, const struct block_info *info, const struct runs *r,
		      bool good)
{
	s->topic_id = info->topic_id;
	s->mark = mark_of(info, r);
	s->mark.valid = good;
}
