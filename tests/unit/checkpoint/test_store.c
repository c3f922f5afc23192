/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing run tables to a log and rebuilding them from it: after crashes between any two records,
 * after compaction, over truncation, pruning and re-creation of the topic. M2, M13 (a restart goes
 * on where the table ends, never with a wrong mapping), F1, F18 and F25.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "checkpoint/store.h"
#include "lib/base/mem.h"
#include "lib/wire/records.h"
#include "tests/unit/base/few_allocs.h"
#include "tests/unit/rng.h"

/* A log: what the target's topic holds */

struct entry {
	uint8_t key[BLOCK_KEY_MAX];
	size_t key_n;
	uint8_t *value; /* NULL: a deletion */
	size_t value_n;
};

enum { LOG_MAX = 4000 };

struct log_sim {
	struct entry *at;
	size_t n;
	size_t room; /* records that the sink still takes; then it fails, as a crash does */
	size_t puts;
};

static void log_init(struct log_sim *l)
{
	*l = (struct log_sim){.room = SIZE_MAX};
	l->at = mem_zalloc(LOG_MAX, sizeof *l->at);
}

static void log_fini(struct log_sim *l)
{
	for (size_t i = 0; i < l->n; i++)
		mem_free(l->at[i].value);
	mem_free(l->at);
}

static enum err log_put(void *arg, struct bytes key, struct bytes value)
{
	struct log_sim *l = arg;
	l->puts++;
	if (l->room == 0)
		return ERR_OK; /* given, but lost on the way */
	l->room--;
	assert_true(l->n < LOG_MAX);
	struct entry *e = &l->at[l->n++];
	memcpy(e->key, key.p, key.n);
	e->key_n = key.n;
	e->value = NULL;
	e->value_n = value.n;
	if (value.p != NULL) {
		e->value = mem_alloc(value.n);
		memcpy(e->value, value.p, value.n);
	}
	return ERR_OK;
}

/* What Kafka's cleaner may do to the records below `below`: of each key the newest of the whole log
 * stays; deletions may go as well. */
static void log_compact(struct log_sim *l, size_t below, bool deletions)
{
	size_t kept = 0;
	for (size_t i = 0; i < l->n; i++) {
		struct entry *e = &l->at[i];
		bool drop = i < below && deletions && e->value == NULL;
		for (size_t k = i + 1; k < l->n && i < below && !drop; k++)
			drop = l->at[k].key_n == e->key_n &&
			       memcmp(l->at[k].key, e->key, e->key_n) == 0;
		if (drop)
			mem_free(e->value);
		else
			l->at[kept++] = *e;
	}
	l->n = kept;
}

struct reports {
	int n;
	struct run_store_lost last;
	char what[512];
};

static void lost(void *arg, const struct run_store_lost *l)
{
	struct reports *r = arg;
	r->n++;
	r->last = *l;
	r->last.topic.n = l->topic.n;
	snprintf(r->what, sizeof r->what, "%s", l->what);
	if (getenv("FARSHORE_VERBOSE") != NULL)
		printf("lost: %s\n", l->what);
	assert_true(l->err != ERR_OK && l->what[0] != '\0');
}

static struct run_store *load(const struct log_sim *l, size_t budget, struct reports *reports)
{
	const struct run_store_config config = {
		.budget = budget, .max_partitions = 10, .lost = lost, .arg = reports};
	*reports = (struct reports){0};
	struct run_store *s = run_store_new(&config);
	for (size_t i = 0; i < l->n; i++)
		assert_int_equal(run_store_apply(s, bytes_of(l->at[i].key, l->at[i].key_n),
						 bytes_of(l->at[i].value, l->at[i].value_n)),
				 ERR_OK);
	return s;
}

/* One partition and its writer */

struct writer {
	struct log_sim log;
	struct block_info info;
	struct runs *runs;
	struct stored *stored;
};

static void writer_init(struct writer *w)
{
	*w = (struct writer){.info = {.topic = bytes_str("orders"),
				      .partition = 7,
				      .topic_id = {{1}},
				      .leader_epoch = 4,
				      .producer_id = 900,
				      .producer_epoch = 2}};
	log_init(&w->log);
	w->runs = runs_new(1 << 20);
	w->stored = stored_new();
}

static void writer_fini(struct writer *w)
{
	log_fini(&w->log);
	runs_free(w->runs);
	stored_free(w->stored);
}

static void writer_become(struct writer *w, const struct run_taken *taken)
{
	runs_free(w->runs);
	stored_free(w->stored);
	w->runs = taken->runs;
	w->stored = taken->stored;
}

/* Write what there is to write; `room` records reach the log. Returns how many were given. */
static size_t write_up_to(struct writer *w, size_t room)
{
	const struct stored_sink sink = {log_put, &w->log};
	w->log.room = room;
	w->log.puts = 0;
	size_t n;
	assert_int_equal(stored_plan(w->stored, &w->info, w->runs, &sink, &n), ERR_OK);
	assert_int_equal(n, w->log.puts);
	assert_int_equal(stored_busy(w->stored), n > 0);
	if (n > 0)
		stored_done(w->stored, n <= room);
	return n;
}

static size_t write_all(struct writer *w)
{
	return write_up_to(w, SIZE_MAX);
}

static void append(struct writer *w, int runs, int64_t n)
{
	for (int i = 0; i < runs; i++) {
		int64_t src = runs_src_end(w->runs) + 1;
		int64_t dst = runs_dst_end(w->runs);
		assert_int_equal(runs_append(w->runs, src, dst < 0 ? 0 : dst, n), ERR_OK);
	}
}

static bool runs_same(const struct runs *a, const struct runs *b)
{
	struct runs_past x, y;
	struct run run_a, run_b;
	struct runs_cursor i, j;
	runs_past_at(a, 0, &x);
	runs_past_at(b, 0, &y);
	if (runs_count(a) != runs_count(b) || x.n != y.n || runs_src_end(a) != runs_src_end(b) ||
	    runs_dst_end(a) != runs_dst_end(b))
		return false;
	runs_cursor_init(&i, a, 0);
	runs_cursor_init(&j, b, 0);
	while (runs_cursor_next(&i, &run_a))
		if (!runs_cursor_next(&j, &run_b) || memcmp(&run_a, &run_b, sizeof run_a) != 0)
			return false;
	return true;
}

/* A loader gets the writer's very table. */
static void check_loads(const struct writer *w)
{
	struct reports reports;
	struct run_store *s = load(&w->log, 1 << 20, &reports);
	assert_int_equal(reports.n, 0);
	const struct run_entry *e = run_store_get(s, w->info.topic, w->info.partition);
	assert_non_null(e);
	assert_true(runs_same(e->runs, w->runs));
	assert_int_equal(e->info.src_end, runs_src_end(w->runs));
	assert_int_equal(e->info.dst_end, runs_dst_end(w->runs));
	assert_int_equal(e->info.leader_epoch, w->info.leader_epoch);
	assert_int_equal(e->info.producer_id, w->info.producer_id);
	assert_true(uuid_eq(&e->info.topic_id, &w->info.topic_id));
	run_store_free(s);
}

/* Fixed cases */

static void test_grows_block_by_block(void **state)
{
	(void)state;
	struct writer w;
	writer_init(&w);
	assert_int_equal(write_all(&w), 0); /* nothing is known, nothing is stored */
	runs_advance_source(w.runs, 5);
	assert_int_equal(write_all(&w), 1);
	check_loads(&w);
	append(&w, 1, 10);
	assert_int_equal(write_all(&w), 1);
	assert_int_equal(write_all(&w), 0); /* unchanged */
	w.info.leader_epoch++;
	assert_int_equal(write_all(&w), 1);
	check_loads(&w);
	append(&w, BLOCK_RUNS_MAX - 1, 10);
	assert_int_equal(write_all(&w), 1);
	assert_int_equal(stored_blocks(w.stored), 1);
	append(&w, 1, 10);
	assert_int_equal(write_all(&w), 2); /* the closed one for the last time, and the next */
	append(&w, 1, 10);
	assert_int_equal(write_all(&w), 1);
	append(&w, 3 * BLOCK_RUNS_MAX, 10);
	assert_int_equal(write_all(&w), 4);
	check_loads(&w);
	log_compact(&w.log, w.log.n, true);
	assert_int_equal(w.log.n, stored_blocks(w.stored));
	check_loads(&w);
	/* Pruned to the very border of a block: that block is not needed any more. */
	runs_prune_below(w.runs, runs_at(w.runs, BLOCK_RUNS_MAX).src);
	append(&w, 1, 1);
	assert_int_equal(write_all(&w), 1 + 1);
	assert_int_equal(stored_blocks(w.stored), 4);
	check_loads(&w);
	runs_prune_below(w.runs, runs_src_end(w.runs));
	append(&w, 1, 1);
	assert_int_equal(write_all(&w), 1 + 3); /* the open block, three deletions */
	assert_int_equal(stored_blocks(w.stored), 1);
	assert_int_equal(stored_voids(w.stored), 0);
	check_loads(&w);
	writer_fini(&w);
}

/* The table of a partition whose beginning another program copied. */
static void test_uncounted_past(void **state)
{
	(void)state;
	struct writer w;
	writer_init(&w);
	const struct runs_past past = {100, 5, 400, 305, RUNS_UNCOUNTED};
	assert_int_equal(runs_restore(w.runs, &past), ERR_OK);
	assert_int_equal(write_all(&w), 1);
	check_loads(&w);
	for (int i = 0; i < 4; i++) {
		append(&w, BLOCK_RUNS_MAX / 2 + 1, 10);
		write_all(&w);
		check_loads(&w);
	}
	assert_int_equal(stored_blocks(w.stored), 3);
	log_compact(&w.log, w.log.n, true);
	check_loads(&w);
	struct reports reports;
	struct run_store *s = load(&w.log, 1 << 20, &reports);
	const struct run_entry *e = run_store_get(s, w.info.topic, w.info.partition);
	struct runs_answer a;
	assert_true(runs_forward(e->runs, 300, &a) && !a.exact && a.offset == 5);
	run_store_free(s);
	runs_prune_below(w.runs, runs_at(w.runs, BLOCK_RUNS_MAX).src);
	append(&w, 1, 1);
	write_all(&w);
	check_loads(&w);
	writer_fini(&w);
}

static void test_takes_over(void **state)
{
	(void)state;
	struct writer w;
	writer_init(&w);
	append(&w, 700, 3);
	write_all(&w);
	struct reports reports;
	struct run_store *s = load(&w.log, 1 << 20, &reports);
	struct run_taken taken;
	assert_int_equal(run_store_take(s, w.info.topic, 8, &taken), ERR_NOT_FOUND);
	assert_int_equal(run_store_take(s, bytes_str("order"), 7, &taken), ERR_NOT_FOUND);
	assert_int_equal(run_store_take(s, w.info.topic, 7, &taken), ERR_OK);
	assert_null(run_store_get(s, w.info.topic, 7));
	size_t at = 0;
	assert_null(run_store_next(s, &at));
	run_store_free(s);

	/* The new writer has nothing to say, then only the open block. */
	writer_become(&w, &taken);
	assert_int_equal(write_all(&w), 0);
	append(&w, 1, 3);
	assert_int_equal(write_all(&w), 1);
	check_loads(&w);
	writer_fini(&w);
}

static void test_target_truncated(void **state)
{
	(void)state;
	struct writer w;
	writer_init(&w);
	append(&w, 3 * BLOCK_RUNS_MAX, 10); /* blocks at 0, 512 and 1024 runs */
	write_all(&w);
	int64_t border = runs_at(w.runs, BLOCK_RUNS_MAX).dst;
	runs_truncate_target(w.runs, border); /* exactly block 0 is left: it is open again */
	assert_int_equal(write_up_to(&w, 1), 3);
	check_loads(&w); /* the deletions are not needed for truth */
	assert_int_equal(write_all(&w), 3);
	check_loads(&w);

	append(&w, 1, 5);
	runs_truncate_target(w.runs, runs_at(w.runs, 100).dst + 4); /* inside a run */
	assert_int_equal(write_all(&w), 1);
	check_loads(&w);
	append(&w, 10, 7);
	write_all(&w);
	check_loads(&w);
	runs_truncate_target(w.runs, 0);
	write_all(&w);
	check_loads(&w);
	writer_fini(&w);
}

static void test_topic_made_again(void **state)
{
	(void)state;
	struct writer w;
	writer_init(&w);
	append(&w, 1000, 10);
	write_all(&w);
	assert_int_equal(stored_blocks(w.stored), 2);
	w.info.topic_id.b[0] = 2;
	int64_t dst = runs_dst_end(w.runs);
	runs_free(w.runs);
	w.runs = runs_new(1 << 20);
	assert_int_equal(runs_begin(w.runs, 40, dst), ERR_OK);
	assert_int_equal(write_up_to(&w, 1), 3);
	check_loads(&w); /* the first record of the new topic voids all of the old */
	assert_int_equal(write_all(&w), 3);
	check_loads(&w);
	log_compact(&w.log, w.log.n, true);
	assert_int_equal(w.log.n, 1);
	check_loads(&w);
	writer_fini(&w);
}

static void test_erase(void **state)
{
	(void)state;
	struct writer w;
	writer_init(&w);
	append(&w, 1000, 10);
	write_all(&w);
	const struct stored_sink sink = {log_put, &w.log};
	size_t n;
	w.log.room = SIZE_MAX;
	assert_int_equal(stored_plan(w.stored, &w.info, NULL, &sink, &n), ERR_OK);
	assert_int_equal(n, 2);
	stored_done(w.stored, true);
	struct reports reports;
	struct run_store *s = load(&w.log, 1 << 20, &reports);
	assert_null(run_store_get(s, w.info.topic, 7));
	assert_int_equal(reports.n, 0);
	run_store_free(s);

	/* Up to the last deletion it is the old table, with a part of it forgotten; then it is
	 * gone, whatever else of it stands in the log. */
	w.log.n--;
	s = load(&w.log, 1 << 20, &reports);
	assert_int_equal(runs_src_end(run_store_get(s, w.info.topic, 7)->runs),
			 runs_src_end(w.runs));
	run_store_free(s);
	w.log.at[w.log.n - 1] = w.log.at[w.log.n];
	s = load(&w.log, 1 << 20, &reports);
	struct run_taken taken;
	assert_int_equal(run_store_take(s, w.info.topic, 7, &taken), ERR_OK);
	run_store_free(s);
	assert_int_equal(runs_src_end(taken.runs), -1);
	assert_int_equal(taken.info.src_end, -1);
	assert_int_equal(stored_voids(taken.stored), 1); /* block 0 waits to be deleted */
	writer_become(&w, &taken);
	assert_int_equal(write_all(&w), 1);
	writer_fini(&w);
}

/* Two blocks end where a third begins: the newer one of them is the one that it follows. */
static void test_newest_predecessor(void **state)
{
	(void)state;
	struct run_store *s =
		run_store_new(&(struct run_store_config){.budget = 4096, .max_partitions = 1});
	/* The fourth follows nothing: what comes after it makes the table be built anew. */
	const struct runs_past pasts[] = {
		{0, 0, 0, 0, 0}, {0, 0, 50, 50, 50}, {0, 0, 100, 100, 100}, {0, 0, 190, 190, 190}};
	const int64_t firsts[] = {0, 50, 101, 200};
	const int64_t lens[] = {100, 50, 10, 10};
	const int order[] = {0, 1, 2, 3, 2, 0, 3, 2};
	const int64_t starts[] = {0, 50, 50, 200, 50, 0, 200, 0};
	for (int i = 0; i < 8; i++) {
		int b = order[i];
		struct block_info info = {.topic = bytes_str("t"),
					  .first_src = firsts[b],
					  .src_end = firsts[b] + lens[b],
					  .dst_end = pasts[b].dst_end + lens[b]};
		struct runs *r = runs_new(0);
		struct buf key, value;
		buf_init(&key, BLOCK_KEY_MAX);
		buf_init(&value, BLOCK_VALUE_MAX);
		assert_int_equal(runs_restore(r, &pasts[b]), ERR_OK);
		assert_int_equal(runs_append(r, firsts[b], pasts[b].dst_end, lens[b]), ERR_OK);
		assert_int_equal(block_encode_key(&info, &key), ERR_OK);
		assert_int_equal(block_encode_value(&info, r, 0, 1, &value), ERR_OK);
		assert_int_equal(run_store_apply(s, buf_bytes(&key), buf_bytes(&value)), ERR_OK);
		assert_int_equal(runs_src_start(run_store_get(s, info.topic, 0)->runs), starts[i]);
		buf_fini(&key);
		buf_fini(&value);
		runs_free(r);
	}
	run_store_free(s);
}

static void flip(struct log_sim *l, size_t i)
{
	l->at[i].value[l->at[i].value_n - 1] ^= 1;
}

static void test_damaged_open_block(void **state)
{
	(void)state;
	struct writer w;
	writer_init(&w);
	append(&w, 5, 10);
	write_all(&w);
	append(&w, 1, 10);
	write_all(&w);
	flip(&w.log, 1);
	struct reports reports;
	struct run_store *s = load(&w.log, 1 << 20, &reports);
	assert_int_equal(reports.n, 1);
	assert_int_equal(reports.last.err, ERR_CORRUPT);
	assert_int_equal(reports.last.partition, 7);
	assert_int_equal(reports.last.first_src, 0);
	/* The table ends where it ended before; whoever goes on from it writes the block again. */
	struct run_taken taken;
	assert_int_equal(run_store_take(s, w.info.topic, 7, &taken), ERR_OK);
	run_store_free(s);
	writer_become(&w, &taken);
	assert_int_equal(runs_count(w.runs), 5);
	assert_int_equal(write_all(&w), 1);
	s = load(&w.log, 1 << 20, &reports);
	assert_int_equal(runs_count(run_store_get(s, w.info.topic, 7)->runs), 5);
	run_store_free(s);
	writer_fini(&w);
}

static void test_damaged_middle_block(void **state)
{
	(void)state;
	struct writer w;
	writer_init(&w);
	append(&w, 3 * BLOCK_RUNS_MAX, 10);
	write_all(&w);
	log_compact(&w.log, w.log.n, true);
	flip(&w.log, 1);
	struct reports reports;
	struct run_store *s = load(&w.log, 1 << 20, &reports);
	assert_int_equal(reports.n, 1);
	assert_int_equal(reports.last.err, ERR_CORRUPT);
	struct run_taken taken;
	assert_int_equal(run_store_take(s, w.info.topic, 7, &taken), ERR_OK);
	run_store_free(s);
	assert_int_equal(runs_count(taken.runs), BLOCK_RUNS_MAX);
	assert_int_equal(runs_src_end(taken.runs), runs_src_end(w.runs));
	/* What is lost is known to be lost: bounds, not wrong answers. */
	for (int64_t o = -1; o < runs_src_end(w.runs) + 2; o++) {
		struct runs_answer have, truth;
		assert_true(runs_forward(taken.runs, o, &have));
		assert_true(runs_forward(w.runs, o, &truth));
		assert_true(have.offset <= truth.offset &&
			    truth.offset <= have.offset + have.max_behind);
		assert_int_equal(have.pending, truth.pending);
	}
	/* A writer deletes what lies before, the damaged block too. */
	writer_become(&w, &taken);
	assert_int_equal(write_all(&w), 3);
	log_compact(&w.log, w.log.n, true);
	assert_int_equal(w.log.n, 1);
	check_loads(&w);
	writer_fini(&w);
}

/* Old blocks that a cut made void stand before what they followed, which was written anew. */
static void test_void_block_first(void **state)
{
	(void)state;
	struct writer w;
	writer_init(&w);
	append(&w, 3 * BLOCK_RUNS_MAX, 10);
	write_all(&w);
	runs_truncate_target(w.runs, runs_at(w.runs, 2 * BLOCK_RUNS_MAX - 10).dst);
	assert_int_equal(write_up_to(&w, 1), 2); /* the deletion is lost */
	log_compact(&w.log, w.log.n, true);
	assert_int_equal(w.log.n, 3); /* block 0, void block 2, block 1 */
	check_loads(&w);
	struct reports reports;
	struct run_store *s = load(&w.log, 1 << 20, &reports);
	struct run_taken taken;
	assert_int_equal(run_store_take(s, w.info.topic, 7, &taken), ERR_OK);
	run_store_free(s);
	assert_int_equal(stored_blocks(taken.stored), 2);
	assert_int_equal(stored_voids(taken.stored), 1);
	writer_become(&w, &taken);
	append(&w, 1, 10);
	assert_int_equal(write_all(&w), 2);
	log_compact(&w.log, w.log.n, true);
	assert_int_equal(w.log.n, 2);
	check_loads(&w);
	writer_fini(&w);
}

static void test_damaged_keys_and_newer_records(void **state)
{
	(void)state;
	struct writer w;
	writer_init(&w);
	append(&w, 3, 10);
	write_all(&w);
	struct reports reports;
	struct run_store *s = load(&w.log, 1 << 20, &reports);
	const struct entry *e = &w.log.at[0];
	const uint8_t newer[] = {9, 1, 2, 3};
	const struct bytes keys[] = {
		{NULL, 0}, bytes_of(newer, 4), bytes_of(newer, 0), bytes_of(e->key, e->key_n - 1)};
	const enum err errs[] = {ERR_MALFORMED, ERR_UNSUPPORTED, ERR_MALFORMED, ERR_MALFORMED};
	for (int i = 0; i < 4; i++) {
		assert_int_equal(run_store_apply(s, keys[i], bytes_of(e->value, e->value_n)),
				 ERR_OK);
		assert_int_equal(reports.n, i + 1);
		assert_int_equal(reports.last.err, errs[i]);
		assert_null(reports.last.topic.p);
	}
	assert_true(runs_same(run_store_get(s, w.info.topic, 7)->runs, w.runs));
	run_store_free(s);
	writer_fini(&w);
}

static bool want_even(void *arg, struct bytes topic, int32_t partition)
{
	(void)arg;
	(void)topic;
	return partition % 2 == 0;
}

static void test_wants_and_limits(void **state)
{
	(void)state;
	struct writer w;
	writer_init(&w);
	append(&w, 3, 10);
	for (int32_t p = 0; p < 10; p++) {
		w.info.partition = p;
		stored_free(w.stored);
		w.stored = stored_new();
		write_all(&w);
	}
	struct reports reports = {0};
	const struct run_store_config config = {
		.budget = 0, .max_partitions = 3, .want = want_even, .lost = lost, .arg = &reports};
	struct run_store *s = run_store_new(&config);
	for (size_t i = 0; i < w.log.n; i++)
		assert_int_equal(run_store_apply(s, bytes_of(w.log.at[i].key, w.log.at[i].key_n),
						 bytes_of(w.log.at[i].value, w.log.at[i].value_n)),
				 ERR_OK);
	size_t n = 0;
	for (size_t at = 0; run_store_next(s, &at) != NULL;)
		n++;
	assert_int_equal(n, 3);
	assert_int_equal(reports.n, 2);
	assert_int_equal(reports.last.err, ERR_LIMIT);
	run_store_free(s);
	writer_fini(&w);
}

/* What a fetch gives: whole batches and the begin of one more. */
static void test_record_sets(void **state)
{
	(void)state;
	struct writer w;
	struct reports reports;
	struct batch_builder b;
	struct buf set;
	struct errmsg why = {""};
	writer_init(&w);
	append(&w, 700, 3);
	write_all(&w);
	batch_builder_init(&b, CODEC_LZ4, 1 << 20);
	buf_init(&set, 4 << 20);
	for (size_t i = 0; i < w.log.n; i++) {
		const struct entry *e = &w.log.at[i];
		size_t begin = set.len;
		const struct record r = {.key = bytes_of(e->key, e->key_n),
					 .value = bytes_of(e->value, e->value_n)};
		assert_int_equal(batch_builder_add(&b, &r), ERR_OK);
		assert_int_equal(batch_builder_finish(&b, &set), ERR_OK);
		be64_put(set.p + begin, i);
	}
	assert_true(w.log.n > 1);

	/* Cut anywhere: what is whole is taken, and it goes on behind that. */
	for (size_t cut = 0; cut <= set.len; cut += cut < 200 ? 1 : 997) {
		struct log_sim none = {.n = 0};
		struct run_store *s = load(&none, 1 << 20, &reports);
		int64_t next = 0;
		assert_int_equal(run_store_apply_records(s, bytes_of(set.p, cut), &next, &why),
				 ERR_OK);
		assert_in_range(next, 0, (int64_t)w.log.n - 1 + (cut == set.len));
		run_store_free(s);
	}
	struct log_sim none = {.n = 0};
	struct run_store *s = load(&none, 1 << 20, &reports);
	int64_t next = 0;
	assert_int_equal(run_store_apply_records(s, buf_bytes(&set), &next, &why), ERR_OK);
	assert_int_equal(next, w.log.n);
	const struct run_entry *e = run_store_get(s, w.info.topic, w.info.partition);
	assert_non_null(e);
	assert_int_equal(runs_count(e->runs), 700);
	run_store_free(s);

	/* A batch that was damaged is an error, not an end. */
	set.p[set.len - 1] ^= 1;
	s = load(&none, 1 << 20, &reports);
	assert_int_equal(run_store_apply_records(s, buf_bytes(&set), &next, &why), ERR_CORRUPT);
	set.p[16] = 9;
	assert_int_equal(run_store_apply_records(s, buf_bytes(&set), &next, &why), ERR_MALFORMED);
	run_store_free(s);
	batch_builder_fini(&b);
	buf_fini(&set);
	writer_fini(&w);
}

static void test_links(void **state)
{
	(void)state;
	struct reports reports;
	struct log_sim log;
	log_init(&log);
	struct run_store *s = load(&log, 0, &reports);
	struct block_link link = {bytes_str(""), 5, 1};
	struct buf key, value;
	buf_init(&key, BLOCK_KEY_MAX);
	buf_init(&value, 64);
	assert_false(run_store_link(s, bytes_str(""), &link));
	assert_int_equal(block_encode_link(&link, &key, &value), ERR_OK);
	assert_int_equal(run_store_apply(s, buf_bytes(&key), buf_bytes(&value)), ERR_OK);
	struct block_link got;
	assert_true(run_store_link(s, bytes_str(""), &got));
	assert_int_equal(got.producer_id, 5);
	assert_int_equal(got.producer_epoch, 1);
	value.p[9] ^= 1;
	assert_int_equal(run_store_apply(s, buf_bytes(&key), buf_bytes(&value)), ERR_OK);
	assert_int_equal(reports.n, 1);
	assert_true(run_store_link(s, bytes_str(""), &got));
	assert_int_equal(run_store_apply(s, buf_bytes(&key), (struct bytes){0}), ERR_OK);
	assert_false(run_store_link(s, bytes_str(""), &got));
	buf_fini(&key);
	buf_fini(&value);
	run_store_free(s);
	log_fini(&log);
}

static enum err discard(void *arg, struct bytes key, struct bytes value)
{
	(void)arg;
	(void)key;
	(void)value;
	return ERR_OK;
}

/* Memory runs out at each allocation: an error, no leak, and the writer goes on (F20). */
static void test_no_memory(void **state)
{
	(void)state;
	struct writer w;
	writer_init(&w);
	append(&w, 3 * BLOCK_RUNS_MAX, 10);
	const struct stored_sink sink = {discard, NULL};
	size_t n;
	enum err e = ERR_NOMEM;
	for (long i = 0; e != ERR_OK; i++) {
		few_allocs = i;
		e = stored_plan(w.stored, &w.info, w.runs, &sink, &n);
		few_allocs = -1;
		assert_true(e == ERR_OK || e == ERR_NOMEM);
	}
	stored_done(w.stored, false);
	assert_int_equal(write_all(&w), 3);
	runs_truncate_target(w.runs, 100);
	for (long i = 0, failed = ERR_NOMEM; failed != ERR_OK; i++) {
		few_allocs = i;
		failed = stored_plan(w.stored, &w.info, w.runs, &sink, &n);
		few_allocs = -1;
	}
	stored_done(w.stored, false);
	assert_int_equal(write_all(&w), 3);
	check_loads(&w);

	for (long i = 0;; i++) {
		few_allocs = i;
		struct run_store *s = run_store_new(
			&(struct run_store_config){.budget = 1 << 20, .max_partitions = 9});
		e = s == NULL ? ERR_NOMEM : ERR_OK;
		for (size_t k = 0; k < w.log.n && e == ERR_OK; k++)
			e = run_store_apply(s, bytes_of(w.log.at[k].key, w.log.at[k].key_n),
					    bytes_of(w.log.at[k].value, w.log.at[k].value_n));
		few_allocs = -1;
		run_store_free(s);
		if (e == ERR_OK)
			break;
		assert_int_equal(e, ERR_NOMEM);
	}
	writer_fini(&w);
}

/* Random histories */

static void change(struct rng *g, struct writer *w)
{
	int64_t what = rng_in(g, 0, 99);
	int64_t src = runs_src_end(w->runs) < 0 ? 0 : runs_src_end(w->runs);
	int64_t dst = runs_dst_end(w->runs) < 0 ? 0 : runs_dst_end(w->runs);
	if (what < 70) {
		for (int64_t n = rng_in(g, 1, rng_one_in(g, 10) ? 1500 : 60); n > 0; n--) {
			src += rng_in(g, 0, 2);
			dst += rng_one_in(g, 4) ? rng_in(g, 0, 3) : 0;
			int64_t len = rng_in(g, 1, 5);
			assert_int_equal(runs_append(w->runs, src, dst, len), ERR_OK);
			src += len;
			dst += len;
		}
	} else if (what < 80) {
		runs_advance_source(w->runs, src + rng_in(g, 0, 9));
	} else if (what < 86) {
		int64_t start = runs_src_start(w->runs);
		runs_prune_below(
			w->runs,
			rng_in(g, 0, start + (src - start) / (rng_one_in(g, 8) ? 1 : 3) + 3));
	} else if (what < 97) {
		int64_t start = runs_dst_start(w->runs);
		if (start >= 0 && dst > start)
			runs_truncate_target(
				w->runs, rng_one_in(g, 5) ? rng_in(g, start, dst)
							  : dst - rng_in(g, 0, (dst - start) / 8));
	} else if (what < 98) {
		w->info.topic_id.b[0]++;
		runs_clear(w->runs);
		if (rng_one_in(g, 2))
			assert_int_equal(runs_begin(w->runs, rng_in(g, 0, 50), dst), ERR_OK);
	} else {
		runs_clear(w->runs); /* a target made again */
	}
}

/* Every pair that `part` holds is a pair of `whole`. */
static bool runs_within(const struct runs *part, const struct runs *whole)
{
	struct runs_cursor c;
	struct run run;
	runs_cursor_init(&c, part, 0);
	while (runs_cursor_next(&c, &run)) {
		struct runs_answer a, b;
		int64_t last = run.src + run.n - 1;
		if (!runs_forward(whole, run.src, &a) || !runs_forward(whole, last, &b))
			return false;
		/* Below what `whole` holds, its answers are bounds. */
		if (run.src >= runs_src_start(whole) && (a.offset != run.dst || a.pending > 0))
			return false;
		if (last >= runs_src_start(whole) &&
		    (b.offset != run.dst + run.n - 1 || b.pending > 0))
			return false;
	}
	return true;
}

static struct runs *runs_copy(const struct runs *r)
{
	struct runs *copy = runs_new(1 << 20);
	struct runs_past past;
	struct runs_cursor c;
	struct run run;
	runs_past_at(r, 0, &past);
	if (past.src >= 0)
		assert_int_equal(runs_restore(copy, &past), ERR_OK);
	runs_cursor_init(&c, r, 0);
	while (runs_cursor_next(&c, &run))
		assert_int_equal(runs_append(copy, run.src, run.dst, run.n), ERR_OK);
	runs_advance_source(copy, runs_src_end(r));
	runs_advance_target(copy, runs_dst_end(r));
	return copy;
}

/* The process dies when `room` of `given` records are in the log; another takes over what it finds.
 */
static void crash(struct rng *g, struct writer *w, struct runs *before, size_t room, size_t given)
{
	struct reports reports;
	size_t budget = rng_one_in(g, 4) ? 5000 : 1 << 20;
	struct run_store *s = load(&w->log, budget, &reports);
	struct run_taken e;
	enum err found = run_store_take(s, w->info.topic, 7, &e);
	run_store_free(s);
	assert_int_equal(reports.n, 0);
	if (found == ERR_NOT_FOUND) {
		assert_true(runs_src_end(w->runs) < 0 || runs_src_end(before) < 0 || room == 0);
		runs_clear(w->runs);
		stored_free(w->stored);
		w->stored = stored_new();
		return;
	}
	assert_int_equal(found, ERR_OK);
	/* None of the plan, or not all of the deletion of a whole table: the table is as before it.
	 * Some: every pair is true now. All: the ends are those of now. */
	bool old = room == 0 || (runs_src_end(w->runs) < 0 && room < given);
	bool gone = runs_src_end(e.runs) < 0 && runs_src_end(w->runs) < 0;
	bool ok = gone || runs_within(e.runs, old ? before : w->runs);
	if (old && !gone)
		ok = ok && runs_src_end(e.runs) == runs_src_end(before) &&
		     runs_dst_end(e.runs) == runs_dst_end(before);
	if (room >= given)
		ok = ok && runs_src_end(e.runs) == runs_src_end(w->runs) &&
		     runs_dst_end(e.runs) == runs_dst_end(w->runs);
	if (room >= given && budget > 5000)
		ok = ok && runs_count(e.runs) >= runs_count(w->runs);
	if (!ok)
		printf("%zu of %zu records: ends %lld, %lld; %zu runs; before %lld, %lld; %zu; now "
		       "%lld, "
		       "%lld; %zu\n",
		       room, given, (long long)runs_src_end(e.runs),
		       (long long)runs_dst_end(e.runs), runs_count(e.runs),
		       (long long)runs_src_end(before), (long long)runs_dst_end(before),
		       runs_count(before), (long long)runs_src_end(w->runs),
		       (long long)runs_dst_end(w->runs), runs_count(w->runs));
	assert_true(ok);
	writer_become(w, &e);
	if (old)
		w->info.topic_id = e.info.topic_id;
}

static void one_history(struct rng *g)
{
	struct writer w;
	writer_init(&w);
	if (rng_one_in(g, 3)) {
		runs_free(w.runs);
		w.runs = runs_new(5000); /* drops runs of its own accord */
	}
	struct runs *before = runs_copy(w.runs);
	for (int64_t i = rng_in(g, 1, 60); i > 0; i--) {
		for (int64_t k = rng_in(g, 1, 3); k > 0; k--)
			change(g, &w);
		bool dies = rng_one_in(g, 6);
		size_t room = dies || rng_one_in(g, 8) ? (size_t)rng_in(g, 0, 4) : SIZE_MAX;
		size_t n = write_up_to(&w, room);
		if (rng_one_in(g, 4))
			log_compact(&w.log, (size_t)rng_in(g, 0, (int64_t)w.log.n),
				    rng_one_in(g, 2));
		if (dies) {
			crash(g, &w, before, n == 0 ? 0 : room, n == 0 ? 1 : n);
		} else if (n > room) {
			/* A failed plan: all of it comes again. */
			assert_true(write_all(&w) > 0);
		}
		if (!dies || n > 0) {
			runs_free(before);
			before = runs_copy(w.runs);
		}
	}
	writer_fini(&w);
	runs_free(before);
}

static void test_random_histories(void **state)
{
	(void)state;
	uint64_t seed = rng_seed("store histories");
	for (int64_t i = 0; i < rng_scale(1500); i++) {
		struct rng g = {seed + (uint64_t)i};
		one_history(&g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grows_block_by_block),
		cmocka_unit_test(test_uncounted_past),
		cmocka_unit_test(test_takes_over),
		cmocka_unit_test(test_target_truncated),
		cmocka_unit_test(test_topic_made_again),
		cmocka_unit_test(test_erase),
		cmocka_unit_test(test_newest_predecessor),
		cmocka_unit_test(test_damaged_open_block),
		cmocka_unit_test(test_damaged_middle_block),
		cmocka_unit_test(test_void_block_first),
		cmocka_unit_test(test_damaged_keys_and_newer_records),
		cmocka_unit_test(test_wants_and_limits),
		cmocka_unit_test(test_record_sets),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_random_histories),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
