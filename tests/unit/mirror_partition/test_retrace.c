/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking over against the truth. A random source (transactions with aborts, markers, equal records)
 * is copied by a copier that is killed again and again and goes back to the position that it stored
 * last; both logs lose records to retention and compaction; then the walk must find what a plain
 * list knows. Parts are small, so that everything happens across their borders, too.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/wire/messages.h"
#include "lib/wire/records.h"
#include "mirror/partition/retrace.h"
#include "tests/unit/rng.h"

enum { ITEMS_MAX = 6000, BATCHES_MAX = 6000, TXNS_MAX = 600, DECODE_MAX = 1 << 20 };
enum { CONTROL = BATCH_TRANSACTIONAL | BATCH_CONTROL };

enum kind { REC, ABORTED, MARKER };

struct item {
	int64_t offset;
	int64_t id; /* what it holds */
	enum kind kind;
	bool deleted;
};

/* A log: its items, and the same as bytes. */
struct log {
	struct item items[ITEMS_MAX];
	size_t n;
	int64_t start, end;
	bool append_time; /* from `append_from` on it has its own timestamps */
	int64_t append_from;
	struct buf bytes;
	struct {
		size_t at;
		int64_t last;
	} batches[BATCHES_MAX];
	size_t batches_n;
	struct fetch_response_aborted_transaction txns[TXNS_MAX];
	int64_t txn_ends[TXNS_MAX];
	size_t txns_n;
};

static struct log source, target;

static void log_clear(struct log *l)
{
	buf_fini(&l->bytes);
	memset(l, 0, sizeof *l);
}

static void put(struct log *l, int64_t id, enum kind kind)
{
	assert_true(l->n < ITEMS_MAX);
	l->items[l->n++] = (struct item){l->end++, id, kind, false};
}

/* ---- as bytes ---- */

static void add_batch(struct log *l, struct batch_head *h, size_t at, int64_t last)
{
	assert_true(l->batches_n < BATCHES_MAX);
	assert_int_equal(l->bytes.err, ERR_OK);
	h->magic = 2;
	h->last_offset_delta = (int32_t)(last - h->base_offset);
	batch_head_seal(l->bytes.p + at, l->bytes.len - at - BATCH_HEAD, h);
	l->batches[l->batches_n].at = at;
	l->batches[l->batches_n++].last = last;
}

static void add_marker(struct log *l, int64_t offset, bool commit)
{
	const uint8_t record[] = {32, 0, 0, 0, 8, 0, 0, 0, commit, 12, 0, 0, 0, 0, 0, 0, 0};
	struct batch_head h = {.base_offset = offset,
			       .attributes = CONTROL,
			       .producer_id = 9,
			       .base_sequence = -1,
			       .count = 1};
	size_t at = l->bytes.len;
	const uint8_t room[BATCH_HEAD] = {0};
	buf_put(&l->bytes, room, sizeof room);
	buf_put(&l->bytes, record, sizeof record);
	add_batch(l, &h, at, offset);
}

static void add_records(struct rng *g, struct log *l, size_t from, size_t n)
{
	struct batch_builder b;
	batch_builder_init(&b, (enum batch_codec)rng_in(g, CODEC_NONE, CODEC_ZSTD), 1 << 20);
	const struct item *first = &l->items[from];
	bool stamps = l->append_time && first->offset >= l->append_from;
	for (size_t i = 0; i < n; i++) {
		uint8_t value[8];
		be64_put(value, (uint64_t)first[i].id);
		const struct record r = {.timestamp = stamps ? 77 : 1000 + first[i].id,
					 .value = bytes_of(value, sizeof value)};
		assert_int_equal(batch_builder_add(&b, &r), ERR_OK);
	}
	size_t at = l->bytes.len;
	assert_int_equal(batch_builder_finish(&b, &l->bytes), ERR_OK);
	struct batch_head h;
	batch_head_get(l->bytes.p + at, &h);
	h.base_offset = first->offset;
	h.leader_epoch = (int32_t)(first->offset / 50);
	if (stamps)
		h.attributes |= BATCH_LOG_APPEND_TIME;
	if (first->kind == ABORTED) {
		h.attributes |= BATCH_TRANSACTIONAL;
		h.producer_id = 9;
		h.producer_epoch = 0;
		h.base_sequence = 0;
	}
	add_batch(l, &h, at, first[n - 1].offset);
	batch_builder_fini(&b);
}

/* Batches end at holes and where the kind changes; an aborted stretch ends with its marker. */
static void encode(struct rng *g, struct log *l)
{
	buf_fini(&l->bytes);
	buf_init(&l->bytes, 64 << 20);
	l->batches_n = l->txns_n = 0;
	bool aborting = false;
	for (size_t i = 0; i < l->n;) {
		const struct item *x = &l->items[i];
		if (x->kind == MARKER) {
			if (aborting)
				l->txn_ends[l->txns_n - 1] = x->offset;
			add_marker(l, x->offset, !aborting);
			aborting = false;
			i++;
			continue;
		}
		if (x->kind == ABORTED && !aborting) {
			aborting = true;
			l->txns[l->txns_n].producer_id = 9;
			l->txns[l->txns_n].first_offset = x->offset;
			l->txn_ends[l->txns_n++] = x->offset;
		}
		size_t n = 0;
		size_t most = (size_t)rng_in(g, 1, 20);
		while (i + n < l->n && n < most && !x[n].deleted && x[n].kind == x->kind &&
		       x[n].offset == x->offset + (int64_t)n)
			n++;
		if (n > 0)
			add_records(g, l, i, n);
		i += n > 0 ? n : 1;
	}
}

/* ---- the walk ---- */

static struct bytes fetch(struct rng *g, const struct log *l, int64_t offset)
{
	size_t i = 0;
	while (i < l->batches_n && l->batches[i].last < offset)
		i++;
	if (i == l->batches_n)
		return bytes_of(l->bytes.p, 0);
	size_t at = l->batches[i].at;
	size_t first = i + 1 < l->batches_n ? l->batches[i + 1].at : l->bytes.len;
	size_t end = (size_t)rng_in(g, (int64_t)first, (int64_t)l->bytes.len);
	if (end > first + 3000)
		end = first + (size_t)rng_in(g, 0, 3000);
	return bytes_of(l->bytes.p + at, end - at);
}

static int32_t aborted_from(const struct log *l, int64_t offset,
			    struct fetch_response_aborted_transaction out[TXNS_MAX])
{
	int32_t n = 0;
	for (size_t i = 0; i < l->txns_n; i++)
		if (l->txn_ends[i] >= offset)
			out[n++] = l->txns[i];
	return n;
}

static void feed(struct rng *g, struct retrace *a)
{
	static struct fetch_response_aborted_transaction txns[TXNS_MAX];
	struct errmsg why = {""};
	bool of_target = retrace_need(a) == RETRACE_TARGET;
	const struct log *l = of_target ? &target : &source;
	int64_t next = of_target ? retrace_target_next(a) : retrace_source_next(a);
	assert_true(next >= l->start);
	struct bytes b = fetch(g, l, next);
	int32_t n = aborted_from(l, next, txns);
	enum err e;
	if (b.n == 0)
		e = of_target ? retrace_end_target(a) : retrace_end_source(a);
	else
		e = of_target ? retrace_feed_target(a, b, txns, n, &why)
			      : retrace_feed_source(a, b, txns, n, &why);
	if (e != ERR_OK)
		printf("%s\n", why.text);
	assert_int_equal(e, ERR_OK);
}

static enum retrace_need walk(struct rng *g, const struct retrace_options *o, struct retrace **out)
{
	assert_int_equal(retrace_new(o, out), ERR_OK);
	int64_t feeds = 0;
	for (;;) {
		enum retrace_need need = retrace_need(*out);
		if (need == RETRACE_DONE || need == RETRACE_MISMATCH)
			return need;
		feed(g, *out);
		assert_true(++feeds < 200000);
	}
}

/* ---- the copier ---- */

static struct item *visible[ITEMS_MAX];
static size_t visible_n;

struct copier {
	bool uncommitted;
	size_t furthest, stored; /* places in `visible` */
	struct {
		int64_t src, dst;
	} pairs[ITEMS_MAX];
	size_t pairs_n;
};

static void copier_run(struct rng *g, struct copier *c)
{
	size_t at = c->stored;
	size_t left = visible_n - at;
	size_t n = left == 0 ? 0 : (size_t)rng_in(g, 0, (int64_t)left);
	if (n > 200 && !rng_one_in(g, 4))
		n = (size_t)rng_in(g, 0, 200);
	for (size_t i = 0; i < n; i++, at++) {
		if (rng_one_in(g, 20)) {
			c->pairs[c->pairs_n].src = visible[at]->offset;
			c->pairs[c->pairs_n++].dst = target.end;
		}
		put(&target, visible[at]->id, REC);
	}
	if (at > c->furthest)
		c->furthest = at;
	if (at > c->stored && rng_one_in(g, 3))
		c->stored = (size_t)rng_in(g, (int64_t)c->stored, (int64_t)at);
}

static void source_make(struct rng *g, int64_t ids)
{
	log_clear(&source);
	source.start = source.end = rng_one_in(g, 2) ? 0 : rng_in(g, 1, 500);
	int64_t next_id = 1;
	int64_t steps = rng_in(g, 1, 150);
	for (int64_t s = 0; s < steps && source.n < 1500; s++) {
		bool aborts = rng_one_in(g, 8);
		int64_t n = rng_in(g, 1, rng_one_in(g, 5) ? 40 : 5);
		for (int64_t i = 0; i < n; i++)
			put(&source, ids == 0 ? next_id++ : rng_in(g, 1, ids),
			    aborts ? ABORTED : REC);
		if (aborts || rng_one_in(g, 8))
			put(&source, 0, MARKER);
	}
	source.start = source.items[0].offset;
}

static void world_make(struct rng *g, struct copier *c, int64_t ids)
{
	source_make(g, ids);
	log_clear(&target);
	memset(c, 0, sizeof *c);
	c->uncommitted = rng_one_in(g, 4);
	visible_n = 0;
	for (size_t i = 0; i < source.n; i++)
		if (source.items[i].kind == REC ||
		    (c->uncommitted && source.items[i].kind == ABORTED))
			visible[visible_n++] = &source.items[i];
	int64_t sessions = rng_in(g, 1, 6);
	for (int64_t i = 0; i < sessions && target.n + visible_n < ITEMS_MAX - 100; i++) {
		copier_run(g, c);
		if (rng_one_in(g, 6)) { /* exactly once: what was open is aborted */
			for (int64_t k = rng_in(g, 1, 9); k > 0; k--)
				put(&target, 1, ABORTED);
			put(&target, 0, MARKER);
		}
	}
	target.append_time = rng_one_in(g, 8);
	target.append_from = rng_in(g, 0, target.end);
}

static void drop_before(struct log *l, int64_t offset)
{
	size_t keep = 0;
	while (keep < l->n && l->items[keep].offset < offset)
		keep++;
	memmove(l->items, l->items + keep, (l->n - keep) * sizeof *l->items);
	l->n -= keep;
	l->start = offset;
}

static void drop_some(struct rng *g, struct log *l, int64_t one_in)
{
	size_t n = 0;
	for (size_t i = 0; i < l->n; i++)
		if (l->items[i].kind != REC || !rng_one_in(g, one_in))
			l->items[n++] = l->items[i];
	l->n = n;
}

/* ---- what a plain list knows ---- */

struct truth {
	int64_t src[ITEMS_MAX]; /* pairs that the table must hold */
	int64_t dst[ITEMS_MAX];
	size_t n;
	int64_t position;
	int64_t records; /* of the target */
};
static struct truth truth;

/* The longest beginning of the source's records, from `from` on, that the target holds in order. */
static void truth_follow(int64_t from, int64_t dst_from)
{
	size_t at = 0;
	truth = (struct truth){.position = from};
	for (size_t i = 0; i < source.n; i++) {
		const struct item *s = &source.items[i];
		if (s->kind != REC || s->offset < from)
			continue;
		while (at < target.n &&
		       (target.items[at].kind != REC || target.items[at].id != s->id ||
			target.items[at].offset < dst_from))
			at++;
		if (at == target.n)
			break;
		truth.src[truth.n] = s->offset;
		truth.dst[truth.n++] = target.items[at++].offset;
		truth.position = s->offset + 1;
	}
	for (size_t i = 0; i < target.n; i++)
		truth.records += target.items[i].kind == REC && target.items[i].offset >= dst_from;
}

static int64_t offset_of(int64_t id)
{
	for (size_t i = 0; i < source.n; i++)
		if (source.items[i].kind == REC && source.items[i].id == id)
			return source.items[i].offset;
	return -1;
}

/* Records that are all different: those of the target that lie beyond all before them. */
static void truth_maxima(void)
{
	truth = (struct truth){.position = source.start};
	for (size_t i = 0; i < target.n; i++) {
		if (target.items[i].kind != REC)
			continue;
		truth.records++;
		int64_t src = offset_of(target.items[i].id);
		if (src < truth.position)
			continue;
		truth.src[truth.n] = src;
		truth.dst[truth.n++] = target.items[i].offset;
		truth.position = src + 1;
	}
}

static struct retrace_options options(struct rng *g, bool compacted)
{
	return (struct retrace_options){
		.src_start = source.start,
		.dst_start = target.start,
		.dst_end = target.end,
		.believed = -1,
		.anchor_src = -1,
		.anchor_dst = -1,
		.compacted = compacted,
		.decode_max = DECODE_MAX,
		.part_max = (size_t)rng_in(g, 1, rng_one_in(g, 3) ? 2000 : 60),
		.runs_budget = 1 << 20,
	};
}

static void check_table(struct retrace *a)
{
	const struct retrace_result *r = retrace_result(a);
	assert_int_equal(r->src, truth.position);
	assert_int_equal(r->copied, truth.n);
	assert_int_equal(r->copied + r->doubled + r->aborted + r->ahead + r->gone, truth.records);
	struct runs *runs = retrace_take_runs(a);
	struct runs_answer x;
	for (size_t i = 0; i < truth.n; i++) {
		assert_true(runs_forward(runs, truth.src[i], &x));
		assert_true(x.exact && x.pending == 0);
		assert_int_equal(x.offset, truth.dst[i]);
		assert_true(runs_backward(runs, truth.dst[i], &x));
		assert_true(x.exact);
		assert_int_equal(x.offset, truth.src[i]);
	}
	runs_free(runs);
}

/* ---- cases ---- */

static void all_is_there(struct rng *g)
{
	static struct copier c;
	world_make(g, &c, rng_one_in(g, 3) ? rng_in(g, 1, 40) : 0);
	encode(g, &source);
	encode(g, &target);
	if (target.end == 0)
		return;
	truth_follow(source.start, 0);
	struct retrace_options o = options(g, false);
	struct retrace *a;
	if (rng_one_in(g, 2) && c.stored > 0)
		o.believed = visible[c.stored - 1]->offset + 1;
	enum retrace_need need = walk(g, &o, &a);
	/* Aborted records of the target alone: nothing was copied, nothing explains nothing. */
	if (need == RETRACE_MISMATCH)
		printf("%s\n", retrace_result(a)->detail.text);
	assert_int_equal(need, RETRACE_DONE);
	const struct retrace_result *r = retrace_result(a);
	assert_int_equal(r->ahead, 0);
	assert_int_equal(r->gone, 0);
	assert_true(r->from_start && !r->unverified);
	/* The position is at least what was copied: nothing is missing, nothing more is doubled. */
	if (c.furthest > 0)
		assert_true(c.uncommitted || r->src > visible[c.furthest - 1]->offset);
	assert_int_equal(r->doubled > 0, r->doubled_ranges_n > 0);
	check_table(a);
	retrace_free(a);
}

static void heads_are_gone(struct rng *g)
{
	static struct copier c;
	world_make(g, &c, 0);
	if (c.furthest < 2 || c.uncommitted)
		return;
	int64_t end = visible[c.furthest - 1]->offset;
	bool of_target = rng_one_in(g, 2);
	if (rng_one_in(g, 2) || !of_target)
		drop_before(&source, rng_in(g, source.start, end));
	if (of_target)
		drop_before(&target, rng_in(g, 0, target.end - 1));
	truth_maxima();
	encode(g, &source);
	encode(g, &target);
	struct retrace_options o = options(g, false);
	struct retrace *a;
	o.believed = c.stored > 0 ? visible[c.stored - 1]->offset + 1 : -1;
	enum retrace_need need = walk(g, &o, &a);
	/* What is doubled may stand alone, its source and its first copy both deleted. */
	if (need == RETRACE_MISMATCH) {
		assert_true(source.start > 0);
		retrace_free(a);
		return;
	}
	assert_int_equal(need, RETRACE_DONE);
	/* If a copy from the source's beginning on stands behind a lost head, either will do. */
	int64_t position = truth.position;
	if (truth.n > 0 && retrace_result(a)->copied != (int64_t)truth.n) {
		truth_follow(source.start, target.start);
		assert_int_equal(truth.position, position);
	}
	if (truth.n > 0)
		check_table(a);
	retrace_free(a);
}

static void compaction(struct rng *g)
{
	static struct copier c;
	world_make(g, &c, 0);
	drop_some(g, &source, rng_in(g, 2, 10));
	drop_some(g, &target, rng_in(g, 2, 10));
	truth_maxima();
	if (truth.n == 0)
		return;
	encode(g, &source);
	encode(g, &target);
	struct retrace_options o = options(g, true);
	struct retrace *a;
	assert_int_equal(walk(g, &o, &a), RETRACE_DONE);
	check_table(a);
	retrace_free(a);
}

static void anchors(struct rng *g)
{
	static struct copier c;
	world_make(g, &c, rng_one_in(g, 3) ? rng_in(g, 1, 40) : 0);
	if (c.stored == 0 || c.pairs_n == 0)
		return;
	encode(g, &source);
	encode(g, &target);
	struct retrace_options o = options(g, false);
	struct retrace *a;
	o.believed = visible[c.stored - 1]->offset + 1;
	size_t i = (size_t)rng_in(g, 0, (int64_t)c.pairs_n - 1);
	bool lie = rng_one_in(g, 4);
	o.anchor_src = c.pairs[i].src;
	o.anchor_dst = c.pairs[i].dst + (lie ? rng_in(g, -3, 3) : 0);
	if (o.anchor_src >= o.believed)
		return;
	assert_int_equal(walk(g, &o, &a), RETRACE_DONE);
	const struct retrace_result *r = retrace_result(a);
	bool anchored = !r->from_start;
	assert_true(lie || anchored || c.uncommitted);
	truth_follow(anchored ? o.anchor_src : source.start, anchored ? o.anchor_dst : 0);
	int64_t from = truth.dst[0];
	check_table(a);
	retrace_free(a);
	if (!anchored)
		return;
	/* Older offsets: a bound that leaves nothing out. */
	assert_int_equal(walk(g, &o, &a), RETRACE_DONE);
	struct runs *runs = retrace_take_runs(a);
	struct runs_answer x;
	for (int64_t s = source.start; s < o.anchor_src; s++) {
		assert_true(runs_forward(runs, s, &x));
		assert_true(x.exact == (from == target.start) && x.offset == target.start);
		assert_true(x.offset + x.max_behind == from);
	}
	for (int64_t t = target.start; t < o.anchor_dst; t++) {
		assert_true(runs_backward(runs, t, &x));
		assert_true(!x.exact || o.anchor_src == source.start);
		assert_int_equal(x.offset, source.start);
	}
	runs_free(runs);
	retrace_free(a);
}

static void another_writer(struct rng *g)
{
	static struct copier c;
	world_make(g, &c, 0);
	size_t records = 0, pick;
	for (size_t i = 0; i < target.n; i++)
		records += target.items[i].kind == REC;
	if (records == 0)
		return;
	do
		pick = (size_t)rng_in(g, 0, (int64_t)target.n - 1);
	while (target.items[pick].kind != REC);
	target.items[pick].id += 1000000;
	source.start = 0; /* nothing was deleted */
	encode(g, &source);
	encode(g, &target);
	struct retrace_options o = options(g, false);
	struct retrace *a;
	assert_int_equal(walk(g, &o, &a), RETRACE_MISMATCH);
	char want[40];
	snprintf(want, sizeof want, "offset %" PRId64 " ", target.items[pick].offset);
	assert_non_null(strstr(retrace_result(a)->detail.text, want));
	retrace_free(a);
}

static void run_cases(const char *name, void (*fn)(struct rng *g))
{
	struct rng g = {rng_seed(name)};
	for (int64_t i = 0; i < rng_scale(200); i++)
		fn(&g);
}

#define CASES(name)                             \
	static void random_##name(void **state) \
	{                                       \
		(void)state;                    \
		run_cases(#name, name);         \
	}
CASES(all_is_there)
CASES(heads_are_gone)
CASES(compaction)
CASES(anchors)
CASES(another_writer)

/* ---- by hand ---- */

static void copy_ids(struct log *l, int64_t from, int64_t to)
{
	for (int64_t id = from; id <= to; id++)
		put(l, id, REC);
}

static void logs_new(void)
{
	log_clear(&source);
	log_clear(&target);
}

/* Killed at 1000 and at 700, the position stored was 500. */
static void doubles_are_counted(void **state)
{
	(void)state;
	struct rng g = {1};
	struct retrace *a;
	logs_new();
	copy_ids(&source, 1, 1200);
	copy_ids(&target, 1, 1000);
	copy_ids(&target, 501, 700);
	copy_ids(&target, 301, 310);
	encode(&g, &source);
	encode(&g, &target);
	struct retrace_options o = options(&g, false);
	o.part_max = 64;
	assert_int_equal(walk(&g, &o, &a), RETRACE_DONE);
	const struct retrace_result *r = retrace_result(a);
	assert_int_equal(r->src, 1000);
	assert_int_equal(r->copied, 1000);
	assert_int_equal(r->doubled, 210);
	assert_int_equal(r->doubled_ranges_n, 1);
	assert_int_equal(r->doubled_ranges[0].first, 1000);
	assert_int_equal(r->doubled_ranges[0].last, 1209);
	assert_int_equal(r->epoch, 999 / 50);
	/* A reader in the doubled range has read all up to 1000. */
	struct runs *runs = retrace_take_runs(a);
	struct runs_answer x;
	runs_advance_source(runs, 1000);
	runs_advance_target(runs, 1210);
	assert_true(runs_backward(runs, 1100, &x) && x.exact && x.offset == 1000);
	runs_free(runs);
	retrace_free(a);
}

/* The copier failed at a record that it could not copy, and others were on their way already. What
 * it left out is copied, and what stands beyond it again. */
static void left_out_is_not_passed_over(void **state)
{
	(void)state;
	struct rng g = {2};
	struct retrace *a;
	logs_new();
	copy_ids(&source, 1, 100);
	copy_ids(&target, 1, 49);
	copy_ids(&target, 51, 60);
	encode(&g, &source);
	encode(&g, &target);
	struct retrace_options o = options(&g, false);
	o.believed = 40;
	assert_int_equal(walk(&g, &o, &a), RETRACE_DONE);
	assert_int_equal(retrace_result(a)->src, 49);
	assert_int_equal(retrace_result(a)->ahead, 10);
	retrace_free(a);
	/* But if it says that it was done with it, that counts. */
	o.believed = 55;
	assert_int_equal(walk(&g, &o, &a), RETRACE_DONE);
	assert_int_equal(retrace_result(a)->src, 60);
	assert_int_equal(retrace_result(a)->ahead, 0);
	retrace_free(a);
}

/* Retention emptied one side or both. */
static void empty_logs(void **state)
{
	(void)state;
	struct rng g = {3};
	struct retrace *a;
	logs_new();
	copy_ids(&source, 1, 100);
	encode(&g, &source);
	struct retrace_options o = options(&g, false);
	o.dst_start = o.dst_end = 80;
	assert_int_equal(walk(&g, &o, &a), RETRACE_MISMATCH);
	retrace_free(a);
	o.believed = 80;
	assert_int_equal(walk(&g, &o, &a), RETRACE_DONE);
	assert_int_equal(retrace_result(a)->src, 80);
	assert_true(retrace_result(a)->unverified);
	struct runs *runs = retrace_take_runs(a);
	assert_int_equal(runs_src_end(runs), 80);
	assert_int_equal(runs_dst_end(runs), 80);
	runs_free(runs);
	retrace_free(a);
	/* The source has nothing left, the target has. */
	copy_ids(&target, 1, 100);
	encode(&g, &target);
	drop_before(&source, 100);
	encode(&g, &source);
	o = options(&g, false);
	o.believed = 100;
	assert_int_equal(walk(&g, &o, &a), RETRACE_DONE);
	assert_int_equal(retrace_result(a)->src, 100);
	assert_true(retrace_result(a)->unverified);
	retrace_free(a);
	o.believed = -1;
	assert_int_equal(walk(&g, &o, &a), RETRACE_MISMATCH);
	retrace_free(a);
}

/* The target grew while it was looked at. */
static void growth(void **state)
{
	(void)state;
	struct rng g = {4};
	struct retrace *a;
	logs_new();
	copy_ids(&source, 1, 100);
	copy_ids(&target, 1, 50);
	copy_ids(&target, 41, 60);
	encode(&g, &source);
	encode(&g, &target);
	struct retrace_options o = options(&g, false);
	o.dst_end = 45;
	assert_int_equal(walk(&g, &o, &a), RETRACE_DONE);
	assert_int_equal(retrace_result(a)->src, 45);
	retrace_extend(a, target.end);
	while (retrace_need(a) != RETRACE_DONE)
		feed(&g, a);
	assert_int_equal(retrace_result(a)->src, 60);
	assert_int_equal(retrace_result(a)->doubled, 10);
	retrace_free(a);
}

/* Equal records by the thousand cost no more than others. */
static void equal_records(void **state)
{
	(void)state;
	struct rng g = {5};
	struct retrace *a;
	logs_new();
	for (int i = 0; i < 5000; i++)
		put(&source, 7, REC);
	for (int i = 0; i < 4000; i++)
		put(&target, 7, REC);
	encode(&g, &source);
	encode(&g, &target);
	struct retrace_options o = options(&g, false);
	o.part_max = 0;
	assert_int_equal(walk(&g, &o, &a), RETRACE_DONE);
	assert_int_equal(retrace_result(a)->src, 4000);
	retrace_free(a);
}

static void damage_is_an_error(void **state)
{
	(void)state;
	struct rng g = {6};
	struct retrace *a;
	struct errmsg why = {""};
	logs_new();
	copy_ids(&source, 1, 20);
	copy_ids(&target, 1, 20);
	encode(&g, &source);
	encode(&g, &target);
	struct retrace_options o = options(&g, false);
	target.bytes.p[target.bytes.len - 1] ^= 1;
	assert_int_equal(retrace_new(&o, &a), ERR_OK);
	assert_int_equal(retrace_feed_target(a, buf_bytes(&target.bytes), NULL, 0, &why),
			 ERR_CORRUPT);
	assert_non_null(strstr(why.text, "target"));
	retrace_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(doubles_are_counted),
		cmocka_unit_test(left_out_is_not_passed_over),
		cmocka_unit_test(empty_logs),
		cmocka_unit_test(growth),
		cmocka_unit_test(equal_records),
		cmocka_unit_test(damage_is_an_error),
		cmocka_unit_test(random_all_is_there),
		cmocka_unit_test(random_heads_are_gone),
		cmocka_unit_test(random_compaction),
		cmocka_unit_test(random_anchors),
		cmocka_unit_test(random_another_writer),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	buf_fini(&source.bytes);
	buf_fini(&target.bytes);
	return failed;
}
