/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks that fail: full, broken, or refusing to sync. Every disk call of a script fails in turn.
 * Writes are refused, reads go on, nothing that was acknowledged is lost, and the log recovers.
 * (F3, F5, F6)
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/cluster_log/log_rig.h"

struct waiter {
	struct plog_wait wait;
	int done;
	enum err e;
};

static void on_done(struct plog_wait *w, enum err e)
{
	struct waiter *x = (struct waiter *)w;

	x->done++;
	x->e = e;
}

static bool exists(const struct log_rig *r, const char *name)
{
	char path[256];

	(void)snprintf(path, sizeof path, "%s/%s", r->dir, name);
	return access(path, F_OK) == 0;
}

/* The first start ends at every disk call: a directory that counts as made has the file of the log
 * starts, or the next start would tell of a loss. */
static void first_start_cut_short(void **state)
{
	struct errmsg why = {{0}};
	struct log_rig rig;
	enum err e = ERR_IO;
	long n = 1;

	(void)state;
	for (; e != ERR_OK; n++) {
		log_rig_init(&rig);
		log_rig_fail(&rig, CALL_ANY, n, EIO, true);
		e = log_rig_try_open(&rig, &why);
		log_rig_heal(&rig);
		if (exists(&rig, "meta.properties"))
			assert_true(exists(&rig, "log-start-offset-checkpoint"));
		if (e != ERR_OK)
			log_rig_open(&rig);
		assert_int_equal(log_rig_close(&rig), ERR_OK);
		log_rig_fini(&rig);
	}
	assert_true(n > 10);
}

static void disk_full(void **state)
{
	struct log_rig *r = *state;
	struct plog_appended a;

	log_rig_open(r);
	log_rig_produce_many(r, 3, 3);
	int64_t size = plog_size(r->plog);
	log_rig_fail(r, CALL_WRITE, 1, ENOSPC, true);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(log_rig_append(r, 3, &a), ERR_KAFKA_KAFKA_STORAGE_ERROR);
		assert_int_equal(plog_health(r->plog), ERR_KAFKA_KAFKA_STORAGE_ERROR);
		assert_int_equal(plog_end(r->plog), 9);
		assert_int_equal(plog_size(r->plog), size);
		/* Half a batch was written, and taken back. */
		assert_int_equal(log_rig_size(r, "00000000000000000000.log"), size);
		assert_int_equal(log_rig_read_all(r, 0), 9);
	}
	log_rig_heal(r);
	/* A second passes before the next try. */
	assert_int_equal(log_rig_append(r, 3, &a), ERR_KAFKA_KAFKA_STORAGE_ERROR);
	log_rig_sleep(r, 1000);
	log_rig_produce_many(r, 3, 3);
	assert_int_equal(plog_health(r->plog), ERR_OK);
	assert_int_equal(log_rig_read_all(r, 0), 18);
}

/* P2 of the fault tests: a new producer's second batch, in flight behind a first one that was
 * refused, is not taken for its first. */
static void what_is_in_flight_is_refused_too(void **state)
{
	struct log_rig *r = *state;
	struct plog_appended a;
	struct batch_head h = batches_head();

	log_rig_open(r);
	log_rig_produce_many(r, 1, 3);
	h.base_timestamp = r->now_ms;
	h.producer_id = 8;
	h.producer_epoch = 0;
	log_rig_fail(r, CALL_WRITE, 1, EIO, false);
	for (int round = 0; round < 2; round++) {
		enum err want = round == 0 ? ERR_KAFKA_KAFKA_STORAGE_ERROR : ERR_OK;
		for (int i = 0; i < 3; i++) {
			h.base_sequence = 3 * i;
			assert_int_equal(log_rig_append_head(r, &h, 3, &a), want);
		}
		log_rig_sleep(r, 1000);
	}
	assert_int_equal(log_rig_read_all(r, 0), 12);
}

/* What a failed write left cannot be cut off: then nothing is written until it can be. */
static void disk_full_and_no_way_back(void **state)
{
	struct log_rig *r = *state;
	struct plog_appended a;

	log_rig_open(r);
	log_rig_produce_many(r, 3, 3);
	int64_t size = plog_size(r->plog);
	log_rig_fail(r, CALL_ANY, 1, EIO, true);
	assert_int_equal(log_rig_append(r, 3, &a), ERR_KAFKA_KAFKA_STORAGE_ERROR);
	assert_int_equal(log_rig_append(r, 3, &a), ERR_KAFKA_KAFKA_STORAGE_ERROR);
	log_rig_heal(r);
	assert_true(log_rig_size(r, "00000000000000000000.log") > size);
	assert_int_equal(log_rig_read_all(r, 0), 9);
	log_rig_kill(r);
	log_rig_open(r);
	assert_int_equal(log_rig_size(r, "00000000000000000000.log"), size);
	log_rig_fail(r, CALL_ANY, 1, EIO, true);
	assert_int_equal(log_rig_append(r, 3, &a), ERR_KAFKA_KAFKA_STORAGE_ERROR);
	log_rig_heal(r);
	log_rig_sleep(r, 1000);
	log_rig_produce_many(r, 1, 1);
	assert_int_equal(log_rig_read_all(r, 0), 10);
	assert_int_equal(log_rig_size(r, "00000000000000000000.log"), plog_size(r->plog));
}

/* fsync=always: what was not synced was never seen; it is cut off, and writing goes on
 * elsewhere. */
static void failed_sync_always(void **state)
{
	struct log_rig *r = *state;
	struct plog_appended a;
	struct waiter old = {.wait = {.done = on_done, .offset = 9}},
		      x = {.wait = {.done = on_done, .offset = 12}};
	struct batch_head h = batches_head();

	log_rig_open(r);
	log_rig_produce_many(r, 3, 3);
	int64_t size = plog_size(r->plog);
	long syncs = log_rig_calls(r, CALL_FDATASYNC);
	log_rig_fail(r, CALL_FDATASYNC, 1, EIO, false);
	h.base_timestamp = r->now_ms;
	h.producer_id = 8;
	h.producer_epoch = 0;
	h.base_sequence = 0;
	assert_int_equal(log_rig_append_head(r, &h, 3, &a), ERR_OK);
	plog_wait_stored(r->plog, &old.wait);
	plog_wait_stored(r->plog, &x.wait);
	log_rig_settle(r);
	assert_true(log_rig_heal(r));
	assert_int_equal(old.e, ERR_OK);
	assert_int_equal(x.done, 1);
	assert_int_equal(x.e, ERR_KAFKA_KAFKA_STORAGE_ERROR);
	assert_int_equal(plog_high_watermark(r->plog), 9);
	assert_int_equal(plog_health(r->plog), ERR_KAFKA_KAFKA_STORAGE_ERROR);
	assert_int_equal(log_rig_append(r, 3, &a), ERR_KAFKA_KAFKA_STORAGE_ERROR);
	assert_int_equal(log_rig_read_all(r, 0), 9);
	/* A wait of now hears of it, too. */
	struct waiter late = {.wait = {.done = on_done, .offset = 12}};
	plog_wait_stored(r->plog, &late.wait);
	log_rig_settle(r);
	assert_int_equal(late.e, ERR_KAFKA_KAFKA_STORAGE_ERROR);
	/* The failed range was not synced again as if that had worked. */
	assert_int_equal(log_rig_calls(r, CALL_FDATASYNC), syncs + 1);
	log_rig_sleep(r, 1000);
	assert_int_equal(plog_health(r->plog), ERR_OK);
	assert_int_equal(plog_end(r->plog), 9);
	assert_int_equal(log_rig_size(r, "00000000000000000000.log"), size);
	assert_int_equal(log_rig_size(r, "00000000000000000009.log"), 0);
	/* The producer's batch is gone, so that its retry is no duplicate. */
	assert_int_equal(log_rig_append_head(r, &h, 3, &a), ERR_OK);
	assert_false(a.duplicate);
	assert_int_equal(a.base_offset, 9);
	log_rig_settle(r);
	assert_int_equal(log_rig_read_all(r, 0), 12);
	log_rig_kill(r);
	log_rig_open(r);
	assert_int_equal(log_rig_read_all(r, 0), 12);
}

/* A stop before the repair does not take a second sync for a first one: what was not stored is not
 * there afterwards, or was looked at. */
static void failed_sync_then_close(void **state)
{
	struct log_rig *r = *state;
	struct plog_appended a;

	log_rig_open(r);
	log_rig_produce_many(r, 3, 3);
	log_rig_fail(r, CALL_FDATASYNC, 1, EIO, false);
	assert_int_equal(log_rig_append(r, 3, &a), ERR_OK);
	log_rig_settle(r);
	assert_true(log_rig_heal(r));
	assert_int_equal(plog_health(r->plog), ERR_KAFKA_KAFKA_STORAGE_ERROR);
	(void)log_rig_close(r);
	log_rig_open(r);
	assert_int_equal(plog_end(r->plog), 9);
	log_rig_produce_many(r, 1, 1);
	assert_int_equal(log_rig_read_all(r, 0), 10);
}

/* What a failed write left in the file is not taken for records by the next start. */
static void leftover_bytes_then_close(void **state)
{
	struct log_rig *r = *state;
	struct plog_appended a;

	log_rig_open(r);
	log_rig_produce_many(r, 3, 3);
	int64_t size = plog_size(r->plog);
	log_rig_fail(r, CALL_ANY, 1, EIO, true);
	assert_int_equal(log_rig_append(r, 3, &a), ERR_KAFKA_KAFKA_STORAGE_ERROR);
	log_rig_heal(r);
	assert_true(log_rig_size(r, "00000000000000000000.log") > size);
	(void)log_rig_close(r);
	log_rig_open(r);
	log_rig_produce_many(r, 2, 3);
	assert_int_equal(log_rig_read_all(r, 0), 15);
}

/* Nor may it stay in the middle of the log when a new segment begins: a recovery would cut
 * there. */
static void leftover_bytes_then_roll(void **state)
{
	struct log_rig *r = *state;
	struct plog_appended a;

	log_rig_open(r);
	log_rig_produce_many(r, 3, 3);
	log_rig_fail(r, CALL_ANY, 1, EIO, true);
	assert_int_equal(log_rig_append(r, 3, &a), ERR_KAFKA_KAFKA_STORAGE_ERROR);
	log_rig_heal(r);
	r->config.segment_ms = 1000;
	plog_configure(r->plog, &r->config);
	r->now_ms += 5000;
	log_rig_produce_many(r, 3, 3);
	assert_int_equal(log_rig_read_all(r, 0), 18);
	log_rig_kill(r);
	log_rig_open(r);
	assert_int_equal(plog_end(r->plog), 18);
	assert_int_equal(log_rig_read_all(r, 0), 18);
}

/* What a deleted log still had on its way to the disk does not get into the folder of the next one
 * with its name. */
static void delete_while_writing(void **state)
{
	struct log_rig *r = *state;
	const struct uuid id = {{9}};
	struct batch_head h = batches_head();
	struct plog_appended a;
	struct errmsg why = {{0}};
	char name[64];

	log_rig_open(r);
	h.producer_id = 8;
	h.producer_epoch = 0;
	h.base_timestamp = r->now_ms;
	log_rig_hold_sync(r, true);
	for (int i = 0; i < 60; i++) {
		h.base_sequence = 3 * i;
		assert_int_equal(log_rig_append_head(r, &h, 3, &a), ERR_OK);
	}
	for (int i = 0; i < 5; i++)
		loop_turn(r->loop, 1);
	store_delete(r->store, r->plog);
	assert_int_equal(store_log(r->store, "orders", 0, &id, &r->config, true, &r->plog, &why),
			 ERR_OK);
	log_rig_hold_sync(r, false);
	log_rig_settle(r);
	for (int i = 0; i < 181; i++) {
		static const char *const suffixes[] = {"snapshot", "index", "timeindex"};
		for (size_t k = 0; k < sizeof suffixes / sizeof *suffixes; k++) {
			(void)snprintf(name, sizeof name, "%020d.%s", i, suffixes[k]);
			if (log_rig_size(r, name) >= 0)
				fail_msg("%s is not of this log", name);
		}
	}
	assert_int_equal(log_rig_size(r, "leader-epoch-checkpoint"), -1);
}

/* A failed sync over several segments, and with a disk that stays broken for a while. */
static void failed_sync_over_segments(void **state)
{
	struct log_rig *r = *state;
	struct plog_appended a;

	log_rig_open(r);
	log_rig_produce_many(r, 5, 3);
	log_rig_hold_sync(r, true);
	for (int i = 0; i < 40; i++) {
		assert_int_equal(log_rig_append(r, 3, &a), ERR_OK);
		loop_turn(r->loop, 0);
	}
	log_rig_fail(r, CALL_FDATASYNC, 1, EIO, true);
	log_rig_hold_sync(r, false);
	log_rig_settle(r);
	int64_t stored = plog_high_watermark(r->plog);
	assert_true(stored < 135);
	for (int i = 0; i < 3; i++) {
		log_rig_sleep(r, 1000);
		assert_int_equal(plog_health(r->plog), ERR_KAFKA_KAFKA_STORAGE_ERROR);
		assert_int_equal(plog_high_watermark(r->plog), stored);
		assert_int_equal(log_rig_read_all(r, 0), stored);
	}
	log_rig_heal(r);
	log_rig_sleep(r, 1000);
	assert_int_equal(plog_health(r->plog), ERR_OK);
	assert_int_equal(plog_end(r->plog), stored);
	log_rig_produce_many(r, 20, 3);
	assert_int_equal(log_rig_read_all(r, 0), stored + 60);
	assert_int_equal(log_rig_close(r), ERR_OK);
	log_rig_open(r);
	assert_int_equal(log_rig_read_all(r, 0), stored + 60);
}

/* fsync=never or interval: readers saw it; it stays, the next records go to a new file, and after a
 * crash the range is looked at. */
static void failed_sync_interval(void **state)
{
	struct log_rig *r = *state;
	struct plog_appended a;
	struct rng g = {.s = 1};

	r->options.fsync = STORE_FSYNC_INTERVAL;
	log_rig_open(r);
	for (int i = 0; i < 3; i++)
		assert_int_equal(log_rig_append(r, 3, &a), ERR_OK);
	log_rig_sleep(r, 1000);
	for (int i = 0; i < 3; i++)
		assert_int_equal(log_rig_append(r, 3, &a), ERR_OK);
	log_rig_fail(r, CALL_FDATASYNC, 1, EIO, false);
	log_rig_sleep(r, 1000);
	assert_true(log_rig_heal(r));
	assert_int_equal(plog_health(r->plog), ERR_OK);
	assert_int_equal(plog_high_watermark(r->plog), 18);
	for (int i = 0; i < 3; i++)
		assert_int_equal(log_rig_append(r, 3, &a), ERR_OK);
	assert_true(log_rig_size(r, "00000000000000000018.log") > 0);
	log_rig_sleep(r, 1000);
	assert_int_equal(log_rig_read_all(r, 0), 27);
	log_rig_sleep(r, 60000);
	log_rig_power_cut(r, &g);
	log_rig_open(r);
	/* What was synced before is there; what came after the lost range cannot be kept. */
	assert_true(plog_end(r->plog) >= 9);
	assert_int_equal(log_rig_read_all(r, 0), plog_end(r->plog));
	/* A stop that knows of such a range is not clean. */
	int64_t end = plog_end(r->plog);
	assert_int_equal(log_rig_append(r, 3, &a), ERR_OK);
	log_rig_fail(r, CALL_FDATASYNC, 1, EIO, false);
	log_rig_sleep(r, 1000);
	log_rig_heal(r);
	assert_int_equal(log_rig_close(r), ERR_IO);
	char path[256];
	(void)snprintf(path, sizeof path, "%s/.kafka_cleanshutdown", r->dir);
	assert_int_equal(access(path, F_OK), -1);
	log_rig_open(r);
	assert_int_equal(plog_end(r->plog), end + 3);
}

static void close_that_cannot_write(void **state)
{
	struct log_rig *r = *state;

	log_rig_open(r);
	log_rig_produce_many(r, 20, 3);
	log_rig_fail(r, CALL_WRITE, 1, ENOSPC, true);
	assert_int_equal(log_rig_close(r), ERR_IO);
	log_rig_heal(r);
	log_rig_open(r);
	assert_int_equal(log_rig_read_all(r, 0), 60);
}

static void delete_records_needs_the_disk(void **state)
{
	struct log_rig *r = *state;
	int64_t start;
	struct errmsg why = {{0}};

	log_rig_open(r);
	log_rig_produce_many(r, 20, 3);
	log_rig_fail(r, CALL_FSYNC, 1, EIO, false);
	assert_int_equal(plog_delete_before(r->plog, 30, &start, &why),
			 ERR_KAFKA_KAFKA_STORAGE_ERROR);
	assert_int_equal(plog_start(r->plog), 0);
	assert_int_equal(plog_delete_before(r->plog, 30, &start, &why), ERR_OK);
	log_rig_kill(r);
	log_rig_open(r);
	assert_int_equal(plog_start(r->plog), 30);
}

/* A deleted log's recovery point does not vouch for the next log of its name: after a power cut
 * that one is checked from its front. */
static void deleted_recovery_point_is_forgotten(void **state)
{
	struct log_rig *r = *state;
	const struct uuid id = {{7, 7, 7}};
	struct plog_appended a;
	struct errmsg why = {{0}};

	for (uint64_t seed = 1; seed < 20; seed++) {
		struct rng g = {.s = seed};
		log_rig_open(r);
		log_rig_produce_many(r, 40, 3);
		assert_int_equal(log_rig_close(r), ERR_OK);
		log_rig_open(r);
		store_delete(r->store, r->plog);
		if (seed % 2 == 0)
			log_rig_settle(r);
		assert_int_equal(
			store_log(r->store, "orders", 0, &id, &r->config, true, &r->plog, &why),
			ERR_OK);
		log_rig_produce_many(r, 3, 3);
		log_rig_hold_sync(r, true);
		for (int i = 0; i < 3; i++)
			assert_int_equal(log_rig_append(r, 3, &a), ERR_OK);
		/* The job that was started is not waited for: a power cut does not, either. */
		log_rig_hold_sync(r, false);
		log_rig_power_cut(r, &g);
		log_rig_open(r);
		assert_in_range(plog_end(r->plog), 9, 18);
		assert_int_equal(log_rig_read_all(r, 0), plog_end(r->plog));
		store_delete(r->store, r->plog);
		log_rig_settle(r);
		assert_int_equal(log_rig_close(r), ERR_OK);
	}
}

/* ---- every call of a script, in turn ---- */

/* Opens, writes over several segments, deletes, cleans up, closes. Returns the offset that was
 * promised last. Errors are fine; what was promised must hold. */
static int64_t script(struct log_rig *r, bool clean)
{
	struct errmsg why = {{0}};
	int64_t acked = 0, start;

	enum err e = log_rig_try_open(r, &why);
	if (e != ERR_OK) {
		assert_true(e == ERR_IO || e == ERR_CONFIG);
		assert_true(why.text[0] != '\0');
		return 0;
	}
	for (int i = 0; i < 30; i++) {
		if (log_rig_produce(r, 5) == ERR_OK)
			acked = plog_high_watermark(r->plog);
		if (i == 15)
			log_rig_sleep(r, 61000);
	}
	if (plog_delete_before(r->plog, 20, &start, &why) == ERR_OK)
		assert_int_equal(start, 20);
	log_rig_sleep(r, 300000);
	log_rig_sleep(r, 1000);
	if (clean)
		(void)log_rig_close(r);
	else
		log_rig_kill(r);
	return acked;
}

static void every_call_fails(struct log_rig *r, int error, bool sticky, bool clean)
{
	for (long n = 1;; n++) {
		log_rig_fail(r, CALL_ANY, n, error, sticky);
		int64_t acked = script(r, clean);
		if (!log_rig_heal(r))
			break;
		log_rig_open(r);
		assert_true(plog_end(r->plog) >= acked);
		assert_int_equal(log_rig_read_all(r, plog_start(r->plog)), plog_end(r->plog));
		log_rig_produce_many(r, 2, 5);
		store_delete(r->store, r->plog);
		log_rig_settle(r);
		assert_int_equal(log_rig_close(r), ERR_OK);
		/* The whole script has about 500 calls; under sanitizers a part will do. */
		n += rng_scale(100) < 100 ? 2 : 0;
	}
}

static void nth_call_fails(void **state)
{
	every_call_fails(*state, EIO, false, true);
}

static void nth_call_fails_then_killed(void **state)
{
	every_call_fails(*state, ENOSPC, false, false);
}

static void nth_call_and_all_after_fail(void **state)
{
	every_call_fails(*state, EIO, true, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_start_cut_short),
		LOG_RIG_TEST(disk_full),
		LOG_RIG_TEST(what_is_in_flight_is_refused_too),
		LOG_RIG_TEST(disk_full_and_no_way_back),
		LOG_RIG_TEST(failed_sync_always),
		LOG_RIG_TEST(failed_sync_then_close),
		LOG_RIG_TEST(leftover_bytes_then_close),
		LOG_RIG_TEST(leftover_bytes_then_roll),
		LOG_RIG_TEST(delete_while_writing),
		LOG_RIG_TEST(failed_sync_over_segments),
		LOG_RIG_TEST(failed_sync_interval),
		LOG_RIG_TEST(close_that_cannot_write),
		LOG_RIG_TEST(delete_records_needs_the_disk),
		LOG_RIG_TEST(deleted_recovery_point_is_forgotten),
		LOG_RIG_TEST(nth_call_fails),
		LOG_RIG_TEST(nth_call_fails_then_killed),
		LOG_RIG_TEST(nth_call_and_all_after_fail),
	};

	return cmocka_run_group_tests_name("log_faults", tests, NULL, NULL);
}
