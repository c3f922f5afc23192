/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compaction of a log with files: what is left, where readers find it, and that neither a crash nor
 * a failing disk at any call of it loses the last record of a key or brings an older one back.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/wire/records.h"
#include "tests/unit/cluster_log/log_rig.h"

enum { KEYS = 20 };

struct world {
	struct log_rig rig;
	struct rng g;
	int64_t latest[KEYS]; /* offset of the last record; -1: none; -2 - offset: a tombstone */
	int64_t batches;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof *w);

	assert_non_null(w);
	log_rig_init(&w->rig);
	w->g.s = rng_seed("log_cleaner");
	w->rig.config.cleanup_compact = true;
	w->rig.config.cleanup_delete = false;
	w->rig.config.delete_retention_ms = 1000000;
	for (int i = 0; i < KEYS; i++)
		w->latest[i] = -1;
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	log_rig_fini(&w->rig);
	free(w);
	return 0;
}

/* A batch of records with keys; some are tombstones. */
static enum err put(struct world *w, bool tombstones)
{
	enum { MOST = 6 };
	struct batches_record v[MOST];
	char keys[MOST][16], values[MOST][64];
	int which[MOST];
	const struct plog_append how = {.leader_epoch = 3};
	struct plog_appended a;
	struct batch_head h = batches_head();
	struct log_rig *r = &w->rig;
	size_t n = (size_t)rng_in(&w->g, 1, MOST);

	h.base_timestamp = r->now_ms += 5;
	h.attributes = rng_one_in(&w->g, 2) ? CODEC_LZ4 : CODEC_NONE;
	for (size_t i = 0; i < n; i++) {
		which[i] = (int)rng_in(&w->g, 0, KEYS - 1);
		(void)snprintf(keys[i], sizeof keys[i], "key-%d", which[i]);
		(void)snprintf(values[i], sizeof values[i], "value %" PRIu64 " of some length",
			       rng_u64(&w->g));
		bool gone = tombstones && rng_one_in(&w->g, 4);
		v[i] = (struct batches_record){.key = keys[i],
					       .value = gone ? NULL : values[i],
					       .timestamp = r->now_ms,
					       .offset_delta = (int32_t)i};
	}
	buf_clear(&r->batch);
	struct bytes batch = batches_make(&r->batch, &h, v, n);
	enum err e = plog_append(r->plog, batch, &how, &a, NULL);
	if (e != ERR_OK)
		return e;
	w->batches++;
	for (size_t i = 0; i < n; i++) {
		int64_t offset = a.base_offset + (int64_t)i;
		w->latest[which[i]] = v[i].value == NULL ? -2 - offset : offset;
	}
	return ERR_OK;
}

static void put_many(struct world *w, int batches, bool tombstones)
{
	for (int i = 0; i < batches; i++)
		assert_int_equal(put(w, tombstones), ERR_OK);
	log_rig_settle(&w->rig);
}

/* The number N in "key-N". */
static int key_number(struct bytes key)
{
	int n = 0;

	assert_true(key.n > 4);
	for (size_t i = 4; i < key.n; i++)
		n = n * 10 + (key.p[i] - '0');
	assert_in_range(n, 0, KEYS - 1);
	return n;
}

/* What a reader that starts at the front ends up with. */
static void check(struct world *w)
{
	struct plog *l = w->rig.plog;
	struct plog_reader *r;
	struct batch_head h;
	struct bytes whole;
	struct errmsg why = {{0}};
	int64_t last[KEYS];
	enum err e;

	for (int i = 0; i < KEYS; i++)
		last[i] = -1;
	assert_int_equal(plog_reader_open(l, plog_start(l), &r, &why), ERR_OK);
	while ((e = plog_reader_next(r, &h, &whole, &why)) == ERR_OK) {
		struct records_reader *rr;
		struct record x;
		assert_int_equal(records_reader_open(whole, 1 << 20, &rr, &why), ERR_OK);
		while (records_reader_next(rr, &x)) {
			int key = key_number(x.key);
			last[key] = x.value.p == NULL ? -2 - x.offset : x.offset;
		}
		records_reader_free(rr);
	}
	plog_reader_free(r);
	if (e != ERR_NOT_FOUND)
		fail_msg("%s: %s", err_name(e), why.text);
	for (int i = 0; i < KEYS; i++)
		if (last[i] != -1 || w->latest[i] >= 0) /* a tombstone may be gone by now */
			assert_int_equal(last[i], w->latest[i]);
	assert_int_equal(log_rig_read_all(&w->rig, plog_start(l)), plog_high_watermark(l));
}

static void clean(struct world *w)
{
	for (int i = 0; i < 4; i++)
		log_rig_sleep(&w->rig, 15000);
}

static void keeps_the_last_of_each_key(void **state)
{
	struct world *w = *state;

	log_rig_open(&w->rig);
	put_many(w, 300, false);
	int64_t before = plog_size(w->rig.plog), end = plog_end(w->rig.plog);
	clean(w);
	assert_true(plog_size(w->rig.plog) < before / 3);
	assert_int_equal(plog_end(w->rig.plog), end);
	check(w);
	/* Every offset that was there can be asked for. */
	for (int64_t at = 0; at < end; at += 3)
		assert_int_equal(log_rig_read_all(&w->rig, at), end);
	put_many(w, 100, true);
	clean(w);
	check(w);
	assert_int_equal(log_rig_close(&w->rig), ERR_OK);
	log_rig_open(&w->rig);
	check(w);
	put_many(w, 100, true);
	clean(w);
	log_rig_kill(&w->rig);
	log_rig_open(&w->rig);
	check(w);
}

static void tombstones_go_in_the_end(void **state)
{
	struct world *w = *state;
	int64_t tombstones = 0, left = 0;

	w->rig.config.min_cleanable_dirty_ratio = 0;
	log_rig_open(&w->rig);
	put_many(w, 200, true);
	clean(w);
	check(w);
	for (int i = 0; i < KEYS; i++)
		tombstones += w->latest[i] < -1;
	assert_true(tombstones > 0);
	/* Past the horizon that the first pass set, the next one drops them. */
	w->rig.now_ms += 2000000;
	put_many(w, 100, false);
	clean(w);
	check(w);
	struct plog_reader *r;
	struct batch_head h;
	struct bytes whole;
	assert_int_equal(plog_reader_open(w->rig.plog, 0, &r, NULL), ERR_OK);
	while (plog_reader_next(r, &h, &whole, NULL) == ERR_OK) {
		struct records_reader *rr;
		struct record x;
		assert_int_equal(records_reader_open(whole, 1 << 20, &rr, NULL), ERR_OK);
		while (records_reader_next(rr, &x))
			left += x.value.p == NULL;
		records_reader_free(rr);
	}
	plog_reader_free(r);
	assert_int_equal(left, 0);
}

static void lag_and_ratio(void **state)
{
	struct world *w = *state;

	w->rig.config.min_compaction_lag_ms = 1000000;
	log_rig_open(&w->rig);
	put_many(w, 200, false);
	int64_t size = plog_size(w->rig.plog);
	clean(w);
	assert_int_equal(plog_size(w->rig.plog), size);
	w->rig.now_ms += 1000000;
	clean(w);
	assert_true(plog_size(w->rig.plog) < size);
	check(w);
	/* Mostly clean: left alone, until it is overdue. */
	w->rig.config.min_compaction_lag_ms = 0;
	w->rig.config.min_cleanable_dirty_ratio = 0.99;
	plog_configure(w->rig.plog, &w->rig.config);
	put_many(w, 100, false);
	size = plog_size(w->rig.plog);
	clean(w);
	assert_int_equal(plog_size(w->rig.plog), size);
	w->rig.config.max_compaction_lag_ms = 100000;
	plog_configure(w->rig.plog, &w->rig.config);
	w->rig.now_ms += 200000;
	clean(w);
	assert_true(plog_size(w->rig.plog) < size);
	check(w);
}

/* Producers go on after a compaction and a crash. */
static void sequences_survive(void **state)
{
	struct world *w = *state;
	struct log_rig *r = &w->rig;
	struct plog_appended a;
	struct batch_head h = batches_head();

	log_rig_open(r);
	h.producer_id = 9;
	h.producer_epoch = 2;
	for (int i = 0; i < 100; i++) {
		h.base_sequence = 5 * i;
		h.base_timestamp = r->now_ms += 10;
		assert_int_equal(log_rig_append_head(r, &h, 5, &a), ERR_OK);
	}
	int64_t last = a.base_offset;
	put_many(w, 300, false);
	clean(w);
	log_rig_kill(r);
	log_rig_open(r);
	assert_int_equal(log_rig_append_head(r, &h, 5, &a), ERR_OK);
	assert_true(a.duplicate);
	assert_int_equal(a.base_offset, last);
}

static void deleted_and_cut_meanwhile(void **state)
{
	struct world *w = *state;
	static const struct uuid id = {{7, 7, 7}};

	for (int turns = 0; turns < 12; turns++) {
		log_rig_open(&w->rig);
		for (int i = 0; i < KEYS; i++)
			w->latest[i] = -1;
		put_many(w, 150, false);
		w->rig.now_ms += 15000;
		for (int i = 0; i < turns; i++)
			loop_turn(w->rig.loop, 1);
		if (turns % 3 == 0) {
			log_rig_kill(&w->rig);
			log_rig_open(&w->rig);
			check(w);
		} else if (turns % 3 == 1) {
			struct errmsg why = {{0}};
			enum err e = plog_truncate(w->rig.plog, 100, &why);
			assert_true(e == ERR_OK || e == ERR_KAFKA_KAFKA_STORAGE_ERROR);
			log_rig_settle(&w->rig);
			if (e == ERR_OK)
				assert_true(plog_end(w->rig.plog) <= 100);
			/* Compaction may have left nothing below. */
			assert_true(log_rig_read_all(&w->rig, 0) <= plog_end(w->rig.plog));
		} else {
			assert_int_equal(log_rig_close(&w->rig), ERR_OK);
			log_rig_open(&w->rig);
			check(w);
		}
		store_delete(w->rig.store, w->rig.plog);
		log_rig_settle(&w->rig);
		assert_int_equal(store_log(w->rig.store, "orders", 0, &id, &w->rig.config, true,
					   &w->rig.plog, NULL),
				 ERR_OK);
		store_delete(w->rig.store, w->rig.plog);
		log_rig_settle(&w->rig);
		log_rig_kill(&w->rig);
	}
}

/* A stop at every sync of a compaction, which ends after all else did: it is a clean one. */
static void stop_at_nth_sync(void **state)
{
	struct world *w = *state;
	bool held = true;

	w->rig.config.min_cleanable_dirty_ratio = 0;
	for (long n = 1; held; n++) {
		log_rig_open(&w->rig);
		put_many(w, 60, true);
		log_rig_hold_at(&w->rig, CALL_FSYNC, n);
		w->rig.now_ms += 15000;
		/* Until it is held, or nothing is left to do. */
		for (int quiet = 0; quiet < 3 && !(held = log_rig_held(&w->rig));) {
			loop_turn(w->rig.loop, 1);
			quiet = worker_pool_pending(loop_pool(w->rig.loop)) > 0 ? 0 : quiet + 1;
		}
		if (!held)
			log_rig_release(&w->rig);
		enum err e = log_rig_close(&w->rig);
		if (e != ERR_OK)
			fail_msg("a stop at sync %ld: %s", n, err_name(e));
		log_rig_open(&w->rig);
		check(w);
		assert_int_equal(log_rig_close(&w->rig), ERR_OK);
		assert_true(n > 3 || held);
	}
}

/* Every disk call of a compaction fails, or is the last before a crash. */
static void every_call(struct world *w, bool crash)
{
	w->rig.config.min_cleanable_dirty_ratio = 0;
	for (long n = 1;; n++) {
		struct errmsg why = {{0}};
		log_rig_open(&w->rig);
		w->rig.config.segment_bytes = 1500;
		plog_configure(w->rig.plog, &w->rig.config);
		put_many(w, 60, true);
		/* Many segments become one. */
		w->rig.config.segment_bytes = 100000;
		plog_configure(w->rig.plog, &w->rig.config);
		log_rig_fail(&w->rig, CALL_ANY, n, EIO, crash);
		if (crash) {
			log_rig_sleep(&w->rig, 15000);
			log_rig_kill(&w->rig);
		} else {
			clean(w);
		}
		bool hit = log_rig_heal(&w->rig);
		if (crash)
			log_rig_open(&w->rig);
		check(w);
		clean(w);
		check(w);
		log_rig_kill(&w->rig);
		log_rig_open(&w->rig);
		check(w);
		if (log_rig_close(&w->rig) != ERR_OK)
			fail_msg("close: %s", why.text);
		if (!hit)
			break;
		n += rng_scale(100) < 100 ? 1 : 0;
	}
}

static void nth_call_fails(void **state)
{
	every_call(*state, false);
}

static void crash_at_nth_call(void **state)
{
	every_call(*state, true);
}

/* Segments of which nothing is left stand in a row: readers go on behind them. */
static void empty_segments_are_passed(void **state)
{
	struct world *w = *state;
	struct plog_slice slice;
	struct errmsg why = {{0}};

	log_rig_open(&w->rig);
	put_many(w, 400, false);
	int64_t before = plog_size(w->rig.plog);
	clean(w);
	assert_true(plog_size(w->rig.plog) < before / 4);
	assert_int_equal(plog_start(w->rig.plog), 0);
	assert_int_equal(plog_read(w->rig.plog, 0, 1 << 20, true, &slice, &why), ERR_OK);
	assert_true(slice.n > 0);
	plog_file_unref(slice.file);
	check(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(keeps_the_last_of_each_key, setup, teardown),
		cmocka_unit_test_setup_teardown(empty_segments_are_passed, setup, teardown),
		cmocka_unit_test_setup_teardown(tombstones_go_in_the_end, setup, teardown),
		cmocka_unit_test_setup_teardown(lag_and_ratio, setup, teardown),
		cmocka_unit_test_setup_teardown(sequences_survive, setup, teardown),
		cmocka_unit_test_setup_teardown(deleted_and_cut_meanwhile, setup, teardown),
		cmocka_unit_test_setup_teardown(stop_at_nth_sync, setup, teardown),
		cmocka_unit_test_setup_teardown(nth_call_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(crash_at_nth_call, setup, teardown),
	};

	return cmocka_run_group_tests_name("log_cleaner", tests, NULL, NULL);
}
