/* SPDX-License-Identifier: Apache-2.0 */
/* A log that nothing happens to: append, read, roll, wait, watch, ask, delete, close, open. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/cluster_log/log_rig.h"

static void append_and_read(void **state)
{
	struct log_rig *r = *state;
	struct plog_appended a;

	log_rig_open(r);
	assert_int_equal(plog_end(r->plog), 0);
	assert_int_equal(log_rig_append(r, 3, &a), ERR_OK);
	assert_int_equal(a.base_offset, 0);
	assert_int_equal(a.last_offset, 2);
	assert_int_equal(a.append_time, -1);
	assert_false(a.duplicate);
	assert_int_equal(plog_end(r->plog), 3);
	/* fsync=always: not seen before it is on disk. */
	assert_int_equal(plog_high_watermark(r->plog), 0);
	assert_int_equal(log_rig_read_all(r, 0), 0);
	log_rig_settle(r);
	assert_int_equal(plog_high_watermark(r->plog), 3);
	assert_int_equal(log_rig_read_all(r, 0), 3);
	assert_int_equal(log_rig_read_all(r, 2), 3);
	assert_string_equal(plog_name(r->plog), "orders-0");
	assert_int_equal(plog_topic_id(r->plog).b[0], 7);
}

static void never_and_interval_show_what_is_written(void **state)
{
	struct log_rig *r = *state;
	struct plog_appended a;

	r->options.fsync = STORE_FSYNC_NEVER;
	log_rig_open(r);
	assert_int_equal(log_rig_append(r, 3, &a), ERR_OK);
	assert_int_equal(plog_high_watermark(r->plog), 3);
	assert_int_equal(log_rig_read_all(r, 0), 3);
	log_rig_sleep(r, 5000);
	assert_int_equal(log_rig_calls(r, CALL_FDATASYNC), 0);
	assert_int_equal(log_rig_close(r), ERR_OK);

	r->options.fsync = STORE_FSYNC_INTERVAL;
	log_rig_open(r);
	assert_int_equal(log_rig_append(r, 3, &a), ERR_OK);
	long before = log_rig_calls(r, CALL_FDATASYNC);
	log_rig_sleep(r, 999);
	assert_int_equal(log_rig_calls(r, CALL_FDATASYNC), before);
	log_rig_sleep(r, 1);
	assert_int_equal(log_rig_calls(r, CALL_FDATASYNC), before + 1);
	log_rig_sleep(r, 5000);
	assert_int_equal(log_rig_calls(r, CALL_FDATASYNC), before + 1);
}

static void flush_messages_and_ms(void **state)
{
	struct log_rig *r = *state;
	struct plog_appended a;

	r->options.fsync = STORE_FSYNC_NEVER;
	r->config.flush_messages = 10;
	log_rig_open(r);
	assert_int_equal(log_rig_append(r, 9, &a), ERR_OK);
	log_rig_settle(r);
	assert_int_equal(log_rig_calls(r, CALL_FDATASYNC), 0);
	assert_int_equal(log_rig_append(r, 1, &a), ERR_OK);
	log_rig_settle(r);
	assert_int_equal(log_rig_calls(r, CALL_FDATASYNC), 1);
	r->config.flush_messages = INT64_MAX;
	r->config.flush_ms = 3000;
	plog_configure(r->plog, &r->config);
	assert_int_equal(log_rig_append(r, 20, &a), ERR_OK);
	log_rig_sleep(r, 2000);
	assert_int_equal(log_rig_calls(r, CALL_FDATASYNC), 1);
	log_rig_sleep(r, 1000);
	log_rig_sleep(r, 1000);
	assert_int_equal(log_rig_calls(r, CALL_FDATASYNC), 2);
}

/* F3: whatever comes while a sync runs shares the next one. */
static void commits_are_shared(void **state)
{
	struct log_rig *r = *state;
	struct plog_appended a;

	log_rig_open(r);
	log_rig_settle(r);
	long before = log_rig_calls(r, CALL_FDATASYNC);
	log_rig_hold_sync(r, true);
	assert_int_equal(log_rig_append(r, 1, &a), ERR_OK);
	for (int i = 0; i < 5; i++)
		loop_turn(r->loop, 1);
	for (int i = 0; i < 20; i++)
		assert_int_equal(log_rig_append(r, 1, &a), ERR_OK);
	for (int i = 0; i < 5; i++)
		loop_turn(r->loop, 1);
	assert_int_equal(plog_high_watermark(r->plog), 0);
	log_rig_hold_sync(r, false);
	log_rig_settle(r);
	assert_int_equal(plog_high_watermark(r->plog), 21);
	assert_int_equal(log_rig_calls(r, CALL_FDATASYNC), before + 2);
}

static void many_batches_over_segments(void **state)
{
	struct log_rig *r = *state;

	log_rig_open(r);
	for (int i = 0; i < 300; i++)
		assert_int_equal(log_rig_produce(r, 1 + i % 7), ERR_OK);
	assert_true(plog_size(r->plog) > 4 * 4096);
	for (int64_t at = 0; at <= plog_end(r->plog); at += 13)
		assert_int_equal(log_rig_read_all(r, at), plog_end(r->plog));
	int64_t end = plog_end(r->plog), size = plog_size(r->plog);

	assert_int_equal(log_rig_close(r), ERR_OK);
	long reads = log_rig_calls(r, CALL_PREAD);
	log_rig_open(r);
	/* meta.properties, three checkpoints, partition.metadata, each to its end: no data. */
	assert_true(log_rig_calls(r, CALL_PREAD) - reads <= 10);
	assert_int_equal(plog_end(r->plog), end);
	assert_int_equal(plog_size(r->plog), size);
	for (int64_t at = 0; at <= plog_end(r->plog); at += 13)
		assert_int_equal(log_rig_read_all(r, at), end);
	assert_int_equal(log_rig_produce(r, 5), ERR_OK);
	assert_int_equal(log_rig_read_all(r, end - 1), end + 5);
}

static void one_open_file_is_enough(void **state)
{
	struct log_rig *r = *state;

	r->options.open_files_max = 1;
	log_rig_open(r);
	log_rig_produce_many(r, 200, 4);
	for (int64_t at = 0; at <= plog_end(r->plog); at += 31)
		assert_int_equal(log_rig_read_all(r, at), plog_end(r->plog));
}

static void read_is_cheap(void **state)
{
	struct log_rig *r = *state;
	struct plog_slice s;

	log_rig_open(r);
	log_rig_produce_many(r, 100, 4);
	for (int64_t at = plog_end(r->plog) - 20; at < plog_end(r->plog); at++) {
		long before = log_rig_calls(r, CALL_ANY);
		assert_int_equal(plog_read(r->plog, at, 1 << 20, true, &s, NULL), ERR_OK);
		assert_true(s.n > 0);
		plog_file_unref(s.file);
		/* The index is in memory: one read of heads. */
		assert_int_equal(log_rig_calls(r, CALL_ANY) - before, 1);
	}
	long before = log_rig_calls(r, CALL_ANY);
	assert_int_equal(plog_read(r->plog, plog_end(r->plog), 100, true, &s, NULL), ERR_OK);
	assert_int_equal(s.n, 0);
	assert_int_equal(log_rig_calls(r, CALL_ANY), before);
}

static void read_limits(void **state)
{
	struct log_rig *r = *state;
	struct plog_slice s;
	struct errmsg why = {{0}};

	log_rig_open(r);
	log_rig_produce_many(r, 3, 10);
	/* The first batch is whole or missing; another may be cut off. */
	assert_int_equal(plog_read(r->plog, 0, 10, true, &s, &why), ERR_OK);
	assert_true(s.n > 500);
	assert_false(s.too_large);
	size_t first = s.n;
	plog_file_unref(s.file);
	for (size_t max = 1; max < first; max += first - 2) {
		assert_int_equal(plog_read(r->plog, 0, max, false, &s, &why), ERR_OK);
		assert_int_equal(s.n, 0);
		assert_true(s.too_large);
		assert_null(s.file);
	}
	for (size_t max = first; max < first + 2; max++) {
		assert_int_equal(plog_read(r->plog, 0, max, false, &s, &why), ERR_OK);
		assert_int_equal(s.n, max);
		assert_false(s.too_large);
		plog_file_unref(s.file);
	}
	assert_int_equal(plog_read(r->plog, 0, 0, false, &s, &why), ERR_OK);
	assert_int_equal(s.n, 0);
	assert_int_equal(plog_read(r->plog, -1, 10, true, &s, &why), ERR_KAFKA_OFFSET_OUT_OF_RANGE);
	assert_int_equal(plog_read(r->plog, 31, 10, true, &s, &why), ERR_KAFKA_OFFSET_OUT_OF_RANGE);
	assert_int_equal(plog_read(r->plog, 30, 10, true, &s, &why), ERR_OK);
	assert_int_equal(s.n, 0);
	assert_null(s.file);
	assert_int_equal(plog_bytes_from(r->plog, 0), plog_size(r->plog));
	assert_int_equal(plog_bytes_from(r->plog, 30), 0);
	assert_true(plog_bytes_from(r->plog, 25) > 0);
}

/* A range that is on its way to a socket survives everything that happens to its segment. */
static void slices_outlive_segments(void **state)
{
	struct log_rig *r = *state;
	struct plog_slice s;
	uint8_t bytes[100];
	int64_t start;

	log_rig_open(r);
	log_rig_produce_many(r, 100, 4);
	assert_int_equal(plog_read(r->plog, 0, 100, true, &s, NULL), ERR_OK);
	assert_int_equal(plog_delete_before(r->plog, -1, &start, NULL), ERR_OK);
	assert_int_equal(start, 400);
	log_rig_settle(r);
	assert_int_equal(log_rig_size(r, "00000000000000000000.log"), -1);
	log_rig_kill(r);
	assert_int_equal(pread(s.fd, bytes, sizeof bytes, (off_t)s.position), 100);
	plog_file_unref(s.file);
}

static void killed_and_opened(void **state)
{
	struct log_rig *r = *state;

	log_rig_open(r);
	for (int round = 0; round < 5; round++) {
		int64_t end = plog_end(r->plog);
		log_rig_produce_many(r, 40, 3);
		log_rig_kill(r);
		log_rig_open(r);
		assert_int_equal(plog_end(r->plog), end + 120);
		assert_int_equal(plog_high_watermark(r->plog), end + 120);
		assert_int_equal(log_rig_read_all(r, 0), end + 120);
	}
}

/* ---- waits and watches ---- */

struct waiter {
	struct plog_wait wait;
	struct plog_watch watch;
	struct log_rig *rig;
	int done, watched;
	enum err e;
	bool again;
};

static void on_done(struct plog_wait *w, enum err e)
{
	struct waiter *x = (struct waiter *)w;

	x->done++;
	x->e = e;
	if (x->again) {
		x->again = false;
		plog_wait_stored(x->rig->plog, &x->wait);
		assert_int_equal(x->done, 1);
	}
}

static void on_watch(struct plog_watch *w)
{
	struct waiter *x = (struct waiter *)((char *)w - offsetof(struct waiter, watch));

	x->watched++;
}

static struct waiter waiter(struct log_rig *r, int64_t offset)
{
	return (struct waiter){
		.wait = {.offset = offset, .done = on_done}, .watch = {.fn = on_watch}, .rig = r};
}

static void waits_come_once(void **state)
{
	struct log_rig *r = *state;
	struct plog_appended a;

	log_rig_open(r);
	assert_int_equal(log_rig_append(r, 5, &a), ERR_OK);
	struct waiter now = waiter(r, 0), soon = waiter(r, 5), later = waiter(r, 6),
		      gone = waiter(r, 5);
	now.again = true;
	plog_wait_stored(r->plog, &now.wait);
	plog_wait_stored(r->plog, &soon.wait);
	plog_wait_stored(r->plog, &later.wait);
	plog_wait_stored(r->plog, &gone.wait);
	plog_wait_cancel(&gone.wait);
	plog_wait_cancel(&gone.wait);
	plog_watch(r->plog, &now.watch);
	plog_watch(r->plog, &gone.watch);
	plog_unwatch(&gone.watch);
	plog_unwatch(&gone.watch);
	assert_int_equal(now.done + soon.done + now.watched, 0);
	log_rig_settle(r);
	assert_int_equal(now.done, 2);
	assert_int_equal(soon.done, 1);
	assert_int_equal(soon.e, ERR_OK);
	assert_int_equal(later.done + gone.done + gone.watched, 0);
	assert_int_equal(now.watched, 1);
	assert_int_equal(log_rig_append(r, 5, &a), ERR_OK);
	log_rig_settle(r);
	assert_int_equal(later.done, 1);
	assert_int_equal(now.watched, 1);
}

/* A wait for what is stored already says nothing new to those who watch. */
static void watches_hear_of_movement_only(void **state)
{
	struct log_rig *r = *state;
	struct waiter x = waiter(r, 0), y = waiter(r, 0);

	log_rig_open(r);
	plog_watch(r->plog, &x.watch);
	plog_wait_stored(r->plog, &y.wait);
	log_rig_settle(r);
	assert_int_equal(y.done, 1);
	assert_int_equal(x.watched, 0);
	plog_unwatch(&x.watch);
}

static void deleting_tells_everybody(void **state)
{
	struct log_rig *r = *state;
	struct plog_appended a;
	struct plog_slice s;
	static const struct uuid id = {{7, 7, 7}}, other = {{8}};

	log_rig_open(r);
	log_rig_produce_many(r, 30, 3);
	log_rig_hold_sync(r, true);
	assert_int_equal(log_rig_append(r, 5, &a), ERR_OK);
	for (int i = 0; i < 3; i++)
		loop_turn(r->loop, 1);
	struct waiter x = waiter(r, 95);
	plog_wait_stored(r->plog, &x.wait);
	plog_watch(r->plog, &x.watch);
	assert_int_equal(plog_read(r->plog, 0, 100, true, &s, NULL), ERR_OK);
	store_delete(r->store, r->plog);
	assert_int_equal(x.done + x.watched, 0);
	assert_null(store_next(r->store, NULL));
	log_rig_hold_sync(r, false);
	log_rig_settle(r);
	assert_int_equal(x.done, 1);
	assert_int_equal(x.e, ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	assert_int_equal(x.watched, 1);
	plog_file_unref(s.file);
	assert_int_equal(log_rig_size(r, ""), -1);
	/* The name is free. */
	assert_int_equal(store_log(r->store, "orders", 0, &id, &r->config, false, &r->plog, NULL),
			 ERR_NOT_FOUND);
	assert_int_equal(store_log(r->store, "orders", 0, &other, &r->config, true, &r->plog, NULL),
			 ERR_OK);
	assert_int_equal(plog_end(r->plog), 0);
	struct plog *same;
	assert_int_equal(store_log(r->store, "orders", 0, &other, &r->config, false, &same, NULL),
			 ERR_OK);
	assert_ptr_equal(same, r->plog);
	assert_int_equal(store_log(r->store, "orders", 0, &id, &r->config, true, &same, NULL),
			 ERR_MALFORMED);
}

/* ---- questions ---- */

static void find_by_time(void **state)
{
	struct log_rig *r = *state;
	struct plog_found f;
	int64_t t0;

	log_rig_open(r);
	t0 = r->now_ms;
	assert_int_equal(plog_find_time(r->plog, 0, &f, NULL), ERR_OK);
	assert_int_equal(f.offset, -1);
	assert_int_equal(plog_find_max_time(r->plog, &f, NULL), ERR_OK);
	assert_int_equal(f.offset, -1);
	log_rig_produce_many(r, 200, 5); /* batch i at t0 + 10 * (i + 1), its records one apart */
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 200; i += 7) {
			for (int k = 0; k < 5; k++) {
				assert_int_equal(
					plog_find_time(r->plog, t0 + 10 * (i + 1) + k, &f, NULL),
					ERR_OK);
				assert_int_equal(f.offset, 5 * i + k);
				assert_int_equal(f.timestamp, t0 + 10 * (i + 1) + k);
				assert_int_equal(f.leader_epoch, 3);
			}
			assert_int_equal(plog_find_time(r->plog, t0 + 10 * i + 5, &f, NULL),
					 ERR_OK);
			assert_int_equal(f.offset, 5 * i);
		}
		assert_int_equal(plog_find_time(r->plog, t0 + 3000, &f, NULL), ERR_OK);
		assert_int_equal(f.offset, -1);
		assert_int_equal(plog_find_max_time(r->plog, &f, NULL), ERR_OK);
		assert_int_equal(f.offset, 999);
		assert_int_equal(f.timestamp, t0 + 2004);
		/* The same from the files. */
		assert_int_equal(log_rig_close(r), ERR_OK);
		log_rig_open(r);
	}
}

static void epochs_and_producers(void **state)
{
	struct log_rig *r = *state;
	struct plog_appended a;
	struct plog_producer p;
	int32_t epoch;
	int64_t end;
	size_t at = 0;

	log_rig_open(r);
	log_rig_produce_many(r, 4, 5);
	struct batch_head h = batches_head();
	h.producer_id = 77;
	h.producer_epoch = 1;
	h.base_sequence = 0;
	h.base_timestamp = r->now_ms;
	assert_int_equal(log_rig_append_head(r, &h, 5, &a), ERR_OK);
	assert_int_equal(log_rig_append_head(r, &h, 5, &a), ERR_OK);
	assert_true(a.duplicate);
	assert_int_equal(a.base_offset, 20);
	assert_true(a.append_time > 0); /* so a producer sees that it is a repetition */
	h.base_sequence = 6;
	assert_int_equal(log_rig_append_head(r, &h, 5, &a), ERR_KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER);
	for (int round = 0; round < 3; round++) {
		plog_epoch_end(r->plog, 3, 9, &epoch, &end);
		assert_int_equal(epoch, 3);
		assert_int_equal(end, 25);
		plog_epoch_end(r->plog, 9, 9, &epoch, &end);
		assert_int_equal(epoch, 9);
		assert_int_equal(end, 25);
		assert_int_equal(plog_epoch_at(r->plog, 7), 3);
		at = 0;
		assert_true(plog_producers(r->plog, &at, &p));
		assert_int_equal(p.producer_id, 77);
		assert_int_equal(p.last_sequence, 4);
		assert_false(plog_producers(r->plog, &at, &p));
		if (round == 0) {
			assert_int_equal(log_rig_close(r), ERR_OK);
		} else {
			log_rig_settle(r);
			log_rig_kill(r);
		}
		log_rig_open(r);
	}
}

static void appends_are_validated(void **state)
{
	struct log_rig *r = *state;
	const struct plog_append how = {.leader_epoch = 3};
	struct plog_appended a;
	struct errmsg why = {{0}};
	struct batch_head h = batches_head();

	log_rig_open(r);
	struct bytes b = batches_plain(&r->batch, &h, 3);
	r->batch.p[70] ^= 1;
	assert_int_equal(plog_append(r->plog, b, &how, &a, &why), ERR_KAFKA_CORRUPT_MESSAGE);
	assert_true(why.text[0] != '\0');
	assert_int_equal(plog_end(r->plog), 0);
	assert_int_equal(plog_size(r->plog), 0);
	r->config.max_message_bytes = 100;
	plog_configure(r->plog, &r->config);
	assert_int_equal(log_rig_append(r, 3, &a), ERR_KAFKA_MESSAGE_TOO_LARGE);
	assert_int_equal(plog_health(r->plog), ERR_OK);
}

static void rolls(void **state)
{
	struct log_rig *r = *state;

	r->config.segment_bytes = 1 << 20;
	r->config.segment_ms = 5000;
	log_rig_open(r);
	log_rig_produce_many(r, 3, 2);
	r->now_ms += 5000;
	log_rig_produce_many(r, 1, 2);
	assert_true(log_rig_size(r, "00000000000000000006.log") > 0);
	/* The index is full. */
	r->config.segment_ms = INT64_MAX;
	r->config.segment_index_bytes = 24;
	r->config.index_interval_bytes = 0;
	plog_configure(r->plog, &r->config);
	log_rig_produce_many(r, 4, 2);
	log_rig_settle(r);
	assert_true(log_rig_size(r, "00000000000000000010.log") > 0);
	/* What is rolled has its files; the time index ends with the largest timestamp. */
	assert_int_equal(log_rig_size(r, "00000000000000000000.index"), 8);
	assert_true(log_rig_size(r, "00000000000000000000.timeindex") >= 12);
	assert_int_equal(log_rig_size(r, "00000000000000000006.index") % 8, 0);
	assert_true(log_rig_size(r, "00000000000000000010.snapshot") > 0);
	assert_true(log_rig_size(r, "leader-epoch-checkpoint") > 0);
	assert_true(log_rig_size(r, "partition.metadata") > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_RIG_TEST(append_and_read),
		LOG_RIG_TEST(never_and_interval_show_what_is_written),
		LOG_RIG_TEST(flush_messages_and_ms),
		LOG_RIG_TEST(commits_are_shared),
		LOG_RIG_TEST(many_batches_over_segments),
		LOG_RIG_TEST(one_open_file_is_enough),
		LOG_RIG_TEST(read_is_cheap),
		LOG_RIG_TEST(read_limits),
		LOG_RIG_TEST(slices_outlive_segments),
		LOG_RIG_TEST(killed_and_opened),
		LOG_RIG_TEST(waits_come_once),
		LOG_RIG_TEST(watches_hear_of_movement_only),
		LOG_RIG_TEST(deleting_tells_everybody),
		LOG_RIG_TEST(find_by_time),
		LOG_RIG_TEST(epochs_and_producers),
		LOG_RIG_TEST(appends_are_validated),
		LOG_RIG_TEST(rolls),
	};

	return cmocka_run_group_tests_name("plog", tests, NULL, NULL);
}
