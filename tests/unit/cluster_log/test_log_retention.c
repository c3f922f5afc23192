/* SPDX-License-Identifier: Apache-2.0 */
/* What goes from the front of a log, when, and that it stays gone. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/cluster_log/log_rig.h"

static int count_segments(const struct log_rig *r)
{
	int n = 0;
	char name[64];

	for (int64_t base = 0; base <= plog_end(r->plog); base++) {
		(void)snprintf(name, sizeof name, "%020lld.log", (long long)base);
		n += log_rig_size(r, name) >= 0;
	}
	return n;
}

static void by_size(void **state)
{
	struct log_rig *r = *state;

	r->config.retention_bytes = 10000;
	log_rig_open(r);
	log_rig_produce_many(r, 200, 3);
	int64_t before = plog_size(r->plog);
	log_rig_sleep(r, 300000);
	/* Whole segments, as many as there are too many bytes. */
	assert_true(plog_size(r->plog) >= 10000);
	assert_true(plog_size(r->plog) < 10000 + 4096);
	assert_true(before > plog_size(r->plog));
	assert_true(plog_start(r->plog) > 0);
	int64_t start = plog_start(r->plog);
	assert_int_equal(log_rig_read_all(r, start), 600);
	log_rig_kill(r);
	log_rig_open(r);
	assert_int_equal(plog_start(r->plog), start);
	assert_int_equal(log_rig_read_all(r, start), 600);
}

static void by_time(void **state)
{
	struct log_rig *r = *state;

	r->config.retention_ms = 1000000;
	log_rig_open(r);
	log_rig_produce_many(r, 100, 3);
	r->now_ms += 900000;
	log_rig_produce_many(r, 100, 3);
	log_rig_sleep(r, 300000);
	/* The first hundred are too old, but for those that share a segment with younger ones. */
	assert_true(plog_start(r->plog) > 200 && plog_start(r->plog) <= 300);
	assert_int_equal(log_rig_read_all(r, plog_start(r->plog)), 600);
	/* In the end the active segment, too, and a new one takes its place. */
	for (int i = 0; i < 5; i++)
		log_rig_sleep(r, 300000);
	assert_int_equal(plog_start(r->plog), 600);
	assert_int_equal(plog_size(r->plog), 0);
	assert_int_equal(count_segments(r), 1);
	log_rig_produce_many(r, 1, 3);
	assert_int_equal(log_rig_close(r), ERR_OK);
	log_rig_open(r);
	assert_int_equal(plog_start(r->plog), 600);
	assert_int_equal(log_rig_read_all(r, 600), 603);
}

/* Time counts by the largest timestamp, from the files after a start. */
static void by_time_after_a_start(void **state)
{
	struct log_rig *r = *state;

	log_rig_open(r);
	log_rig_produce_many(r, 100, 3);
	assert_int_equal(log_rig_close(r), ERR_OK);
	r->config.retention_ms = 1000000;
	log_rig_open(r);
	log_rig_sleep(r, 300000);
	assert_int_equal(plog_start(r->plog), 0);
	r->now_ms += 1000000;
	log_rig_sleep(r, 300000);
	assert_int_equal(plog_start(r->plog), 300);
}

static void delete_records(void **state)
{
	struct log_rig *r = *state;
	struct errmsg why = {{0}};
	struct plog_slice s;
	int64_t start = 0;

	log_rig_open(r);
	log_rig_produce_many(r, 100, 3);
	int before = count_segments(r);
	assert_int_equal(plog_delete_before(r->plog, 301, &start, &why),
			 ERR_KAFKA_OFFSET_OUT_OF_RANGE);
	assert_int_equal(plog_delete_before(r->plog, -2, &start, &why),
			 ERR_KAFKA_OFFSET_OUT_OF_RANGE);
	assert_int_equal(plog_delete_before(r->plog, 100, &start, &why), ERR_OK);
	assert_int_equal(start, 100);
	assert_true(count_segments(r) < before);
	/* A lower offset changes nothing. */
	assert_int_equal(plog_delete_before(r->plog, 50, &start, &why), ERR_OK);
	assert_int_equal(start, 100);
	assert_int_equal(plog_read(r->plog, 99, 1000, true, &s, &why),
			 ERR_KAFKA_OFFSET_OUT_OF_RANGE);
	/* The batch that holds 100 is given whole. */
	assert_int_equal(log_rig_read_all(r, 100), 300);
	for (int round = 0; round < 3; round++) {
		if (round == 0)
			log_rig_kill(r);
		else
			assert_int_equal(log_rig_close(r), ERR_OK);
		log_rig_open(r);
		assert_int_equal(plog_start(r->plog), 100);
		assert_int_equal(log_rig_read_all(r, 100), 300);
	}
	assert_int_equal(plog_delete_before(r->plog, -1, &start, &why), ERR_OK);
	assert_int_equal(start, 300);
	log_rig_kill(r);
	log_rig_open(r);
	assert_int_equal(plog_start(r->plog), 300);
	assert_int_equal(plog_end(r->plog), 300);
	log_rig_produce_many(r, 1, 3);
	assert_int_equal(log_rig_read_all(r, 300), 303);
	r->config.cleanup_delete = false;
	r->config.cleanup_compact = true;
	plog_configure(r->plog, &r->config);
	assert_int_equal(plog_delete_before(r->plog, 301, &start, &why),
			 ERR_KAFKA_POLICY_VIOLATION);
}

/* Never past the high watermark: what is not on disk yet is not old. */
static void not_past_the_high_watermark(void **state)
{
	struct log_rig *r = *state;
	struct plog_appended a;
	int64_t start;

	r->config.retention_ms = 1000;
	log_rig_open(r);
	log_rig_produce_many(r, 3, 3);
	log_rig_hold_sync(r, true);
	for (int i = 0; i < 60; i++)
		assert_int_equal(log_rig_append(r, 3, &a), ERR_OK);
	for (int i = 0; i < 5; i++)
		loop_turn(r->loop, 1);
	r->now_ms += 300000;
	loop_turn(r->loop, 0);
	assert_int_equal(plog_high_watermark(r->plog), 9);
	assert_true(plog_start(r->plog) <= 9);
	assert_int_equal(plog_delete_before(r->plog, 10, &start, NULL),
			 ERR_KAFKA_OFFSET_OUT_OF_RANGE);
	log_rig_hold_sync(r, false);
	log_rig_settle(r);
	log_rig_sleep(r, 300000);
	assert_int_equal(plog_start(r->plog), 189);
}

/* A deleted log's start does not come back to one that is made with its name later. The start at a
 * segment's edge is the case that can be seen from the files, too, but not from the new ones. */
/* A commit that writes a segment's index would make the file anew behind the back of what takes the
 * segment away: an index without its log looks like a loss. */
static void a_commit_ends_before_files_go(void **state)
{
	struct log_rig *r = *state;
	struct plog_appended at;
	int64_t start = -1;

	log_rig_open(r);
	while (count_segments(r) == 1) {
		log_rig_hold_sync(r, false);
		log_rig_settle(r);
		log_rig_hold_sync(r, true);
		assert_int_equal(log_rig_append(r, 1, &at), ERR_OK);
		loop_turn(r->loop, 1);
	}
	assert_int_equal(plog_delete_before(r->plog, -1, &start, NULL), ERR_OK);
	assert_int_equal(start, at.base_offset);
	log_rig_hold_sync(r, false);
	log_rig_settle(r);
	assert_int_equal(log_rig_size(r, "00000000000000000000.log"), -1);
	assert_int_equal(log_rig_size(r, "00000000000000000000.index"), -1);
	assert_int_equal(log_rig_size(r, "00000000000000000000.timeindex"), -1);
	assert_int_equal(log_rig_read_all(r, start), start + 1);
}

static void deleted_start_is_forgotten(void **state)
{
	struct log_rig *r = *state;
	struct errmsg why = {{0}};
	const struct uuid id = {{7}};
	char name[64];
	int64_t start = 0, edge = 1;

	log_rig_open(r);
	log_rig_produce_many(r, 100, 3);
	for (;; edge++) {
		(void)snprintf(name, sizeof name, "%020lld.log", (long long)edge);
		if (log_rig_size(r, name) >= 0)
			break;
	}
	assert_int_equal(plog_delete_before(r->plog, edge, &start, &why), ERR_OK);
	assert_int_equal(start, edge);
	store_delete(r->store, r->plog);
	log_rig_settle(r);
	assert_int_equal(store_log(r->store, "orders", 0, &id, &r->config, true, &r->plog, &why),
			 ERR_OK);
	log_rig_produce_many(r, 2, 3);
	assert_true(plog_end(r->plog) < edge);
	assert_int_equal(log_rig_close(r), ERR_OK);
	struct store_options o = r->options;
	o.dir = r->dir;
	assert_int_equal(store_open(r->loop, &o, &r->store, &why), ERR_OK);
	assert_int_equal(store_log(r->store, "orders", 0, &id, &r->config, true, &r->plog, &why),
			 ERR_OK);
	assert_int_equal(plog_start(r->plog), 0);
	assert_int_equal(log_rig_read_all(r, 0), 6);
}

static void truncates(void **state)
{
	struct log_rig *r = *state;
	struct plog_appended a;
	struct errmsg why = {{0}};

	log_rig_open(r);
	struct batch_head h = batches_head();
	h.producer_id = 4;
	h.producer_epoch = 0;
	for (int i = 0; i < 100; i++) {
		h.base_sequence = 3 * i;
		h.base_timestamp = r->now_ms += 10;
		assert_int_equal(log_rig_append_head(r, &h, 3, &a), ERR_OK);
	}
	log_rig_settle(r);
	static const int64_t at[] = {400, 299, 297, 200, 150, 101, 4, 3, 0};
	static const int64_t want[] = {300, 297, 297, 198, 150, 99, 3, 3, 0};
	for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
		assert_int_equal(plog_truncate(r->plog, at[i], &why), ERR_OK);
		log_rig_settle(r);
		assert_int_equal(plog_end(r->plog), want[i]);
		assert_int_equal(plog_high_watermark(r->plog), want[i]);
		assert_int_equal(log_rig_read_all(r, 0), want[i]);
		if (i % 2 == 1) {
			log_rig_kill(r);
			log_rig_open(r);
			assert_int_equal(plog_end(r->plog), want[i]);
		}
		/* The producer goes on where the log ends now. */
		h.base_sequence = (int32_t)want[i];
		h.base_timestamp = r->now_ms;
		assert_int_equal(log_rig_append_head(r, &h, 3, &a), ERR_OK);
		assert_false(a.duplicate);
		assert_int_equal(a.base_offset, want[i]);
		assert_int_equal(plog_truncate(r->plog, want[i], &why), ERR_OK);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_RIG_TEST(by_size),
		LOG_RIG_TEST(by_time),
		LOG_RIG_TEST(by_time_after_a_start),
		LOG_RIG_TEST(delete_records),
		LOG_RIG_TEST(not_past_the_high_watermark),
		LOG_RIG_TEST(a_commit_ends_before_files_go),
		LOG_RIG_TEST(deleted_start_is_forgotten),
		LOG_RIG_TEST(truncates),
	};

	return cmocka_run_group_tests_name("log_retention", tests, NULL, NULL);
}
