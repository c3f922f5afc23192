/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a link writes for tools of MM2: heartbeats and offset syncs, their content, their pace, and
 * what comes of clusters that do not take them. Between two scripted brokers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "checkpoint/mm2_records.h"
#include "mirror/link/heartbeats.h"
#include "tests/unit/mirror/model.h"

enum { STEP_MS = 20, SYNCS_MAX = 64, TOPIC_AUTHORIZATION_FAILED = 29 };

static const char AT_SOURCE[] = "mm2-offset-syncs.west.internal";
static const char AT_TARGET[] = "mm2-offset-syncs.east.internal";

/* ---- reading what was written ---- */

/* Each record of a topic's partition; how many. */
static size_t each_record(struct model *m, const char *topic, model_record_fn *fn, void *arg)
{
	const struct model_topic *t = model_topic(m, topic);
	return t == NULL ? 0 : model_each_record(buf_bytes(&t->parts[0].bytes), fn, arg);
}

static void ignore_record(void *arg, const struct record *r)
{
	(void)arg;
	(void)r;
}

static size_t count(struct model *m, const char *topic)
{
	return each_record(m, topic, ignore_record, NULL);
}

struct beats {
	const char *source, *target;
	int64_t last_ms, before_ms; /* the newest, and the one before it */
};

static void check_beat(void *arg, const struct record *r)
{
	struct beats *b = arg;
	struct mm2_heartbeat h;
	struct errmsg why = {""};
	assert_int_equal(mm2_records_decode_heartbeat(r->key, r->value, &h, &why), ERR_OK);
	assert_true(bytes_eq_str(h.source, b->source));
	assert_true(bytes_eq_str(h.target, b->target));
	assert_int_equal(h.timestamp_ms, r->timestamp);
	assert_true(h.timestamp_ms > b->last_ms);
	b->before_ms = b->last_ms;
	b->last_ms = h.timestamp_ms;
}

struct syncs {
	struct mm2_offset_sync v[SYNCS_MAX];
	size_t n;
};

static void keep_sync(void *arg, const struct record *r)
{
	struct syncs *s = arg;
	struct errmsg why = {""};
	assert_true(s->n < SYNCS_MAX);
	struct mm2_offset_sync *x = &s->v[s->n++];
	assert_int_equal(mm2_records_decode_offset_sync(r->key, r->value, x, &why), ERR_OK);
	assert_true(bytes_eq_str(x->topic, "t"));
}

static struct syncs read_syncs(struct model *m, const char *topic)
{
	struct syncs s = {.n = 0};
	each_record(m, topic, keep_sync, &s);
	return s;
}

/* ---- waiting ---- */

static size_t wanted;
static const char *wanted_topic;
static bool wanted_at_source;

static bool is_written(struct pair *p)
{
	return count(wanted_at_source ? &p->source : &p->target, wanted_topic) >= wanted;
}

static void wait_written(struct pair *p, bool at_source, const char *topic, size_t n)
{
	wanted = n;
	wanted_topic = topic;
	wanted_at_source = at_source;
	pair_wait(p, is_written, STEP_MS);
}

static void begin(struct pair *p, int32_t partitions)
{
	pair_init(p, partitions);
	p->config.emit_heartbeats_ms = 1000;
	p->config.offset_lag_max = 100;
	p->config.heartbeats_replication_factor = 1;
	p->config.offset_syncs_replication_factor = 1;
}

/* Ten records are copied, and told. */
static void begin_with_a_sync(struct pair *p)
{
	begin(p, 1);
	p->config.emit_offset_syncs = true;
	model_append(&p->source, "t", 0, 10);
	pair_start(p);
	wait_written(p, false, AT_TARGET, 1);
}

/* ---- heartbeats ---- */

static void test_heartbeats_at_both_ends(void **state)
{
	(void)state;
	struct pair p;
	begin(&p, 1);
	p.config.emit_heartbeats = p.config.emit_heartbeats_at_source = true;
	int64_t before = clock_wall_ms(&p.clock);
	pair_start(&p);
	wait_written(&p, false, "heartbeats", 5);
	wait_written(&p, true, "heartbeats", 5);
	int64_t passed = clock_wall_ms(&p.clock) - before;
	struct beats at_target = {"east", "west", before - 1, 0},
		     at_source = {"west", "east", before - 1, 0};
	size_t n = each_record(&p.target, "heartbeats", check_beat, &at_target);
	/* The answer to the last one may be on its way. */
	int64_t known_ms = heartbeats_last_ms(p.link->heartbeats, false);
	assert_true(known_ms == at_target.last_ms || known_ms == at_target.before_ms);
	/* One at once, then one a second. */
	assert_in_range(n, 5, passed / 1000 + 1);
	assert_true(each_record(&p.source, "heartbeats", check_beat, &at_source) >= 5);
	assert_int_equal(model_topic(&p.target, "heartbeats")->n, 1);
	pair_end(&p);
}

static void test_heartbeats_at_one_end(void **state)
{
	(void)state;
	for (int at_source = 0; at_source < 2; at_source++) {
		struct pair p;
		begin(&p, 1);
		p.config.emit_heartbeats = at_source == 0;
		p.config.emit_heartbeats_at_source = at_source == 1;
		pair_start(&p);
		wait_written(&p, at_source == 1, "heartbeats", 2);
		assert_null(model_topic(at_source == 1 ? &p.target : &p.source, "heartbeats"));
		assert_int_equal(heartbeats_last_ms(p.link->heartbeats, at_source == 0), -1);
		pair_end(&p);
	}
}

static void test_nothing_unasked(void **state)
{
	(void)state;
	struct pair p;
	begin(&p, 1);
	model_append(&p.source, "t", 0, 10);
	pair_start(&p);
	pair_wait_copied(&p, STEP_MS);
	pair_pass(&p, 15000, STEP_MS);
	assert_null(model_topic(&p.target, "heartbeats"));
	assert_null(model_topic(&p.source, "heartbeats"));
	assert_null(model_topic(&p.source, AT_SOURCE));
	assert_null(model_topic(&p.target, AT_TARGET));
	pair_end(&p);
}

struct refusal {
	const char *topic;
	int times; /* -1: for ever */
};

static enum scripted_act refuse_writes(void *arg, struct scripted_request *q, void *answer)
{
	struct refusal *f = arg;
	struct produce_response *a = answer;
	const struct produce_request *m = q->msg;
	if (f->times == 0 || !bytes_eq_str(m->topic_data[0].name, f->topic))
		return SCRIPTED_ANSWER;
	f->times--;
	a->responses[0].partition_responses[0].error_code = TOPIC_AUTHORIZATION_FAILED;
	return SCRIPTED_ANSWER;
}

/* While they are refused none piles up; the records of the link are copied meanwhile. */
static void test_heartbeats_refused(void **state)
{
	(void)state;
	struct pair p;
	struct refusal f = {"heartbeats", 4};
	begin(&p, 1);
	p.config.emit_heartbeats = true;
	model_append(&p.source, "t", 0, 10);
	model_twist(&p.target, WIRE_API_PRODUCE, refuse_writes, &f);
	pair_start(&p);
	pair_wait_copied(&p, STEP_MS);
	wait_written(&p, false, "heartbeats", 2);
	assert_int_equal(f.times, 0);
	assert_int_equal(pair_logged(&p, "event=internal_topic_not_written"), 4);
	struct beats b = {"east", "west", 0, 0};
	assert_true(each_record(&p.target, "heartbeats", check_beat, &b) <= 3);
	pair_end(&p);
}

/* ---- offset syncs ---- */

static void test_sync_of_each_partition(void **state)
{
	(void)state;
	for (int at_source = 0; at_source < 2; at_source++) {
		struct pair p;
		begin(&p, 3);
		p.config.emit_offset_syncs = true;
		p.config.offset_syncs_at_source = at_source == 1;
		model_append(&p.source, "t", 0, 10);
		model_append(&p.source, "t", 2, 7);
		pair_start(&p);
		pair_wait_copied(&p, STEP_MS);
		struct model *m = at_source == 1 ? &p.source : &p.target;
		const char *topic = at_source == 1 ? AT_SOURCE : AT_TARGET;
		wait_written(&p, at_source == 1, topic, 2);
		pair_pass(&p, 15000, STEP_MS);
		struct syncs s = read_syncs(m, topic);
		assert_int_equal(s.n, 2); /* none for the empty partition */
		for (size_t i = 0; i < 2; i++) {
			assert_true(s.v[i].partition == 0 || s.v[i].partition == 2);
			assert_int_equal(s.v[i].upstream, s.v[i].partition == 0 ? 9 : 6);
			assert_int_equal(s.v[i].downstream, s.v[i].upstream);
		}
		assert_int_not_equal(s.v[0].partition, s.v[1].partition);
		assert_int_equal(offset_syncs_count(p.link->syncs), 2);
		assert_null(model_topic(at_source == 1 ? &p.target : &p.source, topic));
		pair_end(&p);
	}
}

/* Small steps wait, a large one does not: offset.lag.max. */
static void test_pace(void **state)
{
	(void)state;
	struct pair p;
	begin_with_a_sync(&p);
	model_append(&p.source, "t", 0, 100); /* 100 behind the sync: 9 -> 109 */
	pair_wait_copied(&p, STEP_MS);
	pair_pass(&p, 3000, STEP_MS);
	assert_int_equal(count(&p.target, AT_TARGET), 1);
	model_append(&p.source, "t", 0, 1);
	pair_wait_copied(&p, STEP_MS);
	pair_pass(&p, 2000, STEP_MS);
	struct syncs s = read_syncs(&p.target, AT_TARGET);
	assert_int_equal(s.n, 2);
	assert_int_equal(s.v[1].upstream, 110);
	/* One more record: not before 10 s. */
	model_append(&p.source, "t", 0, 1);
	pair_wait_copied(&p, STEP_MS);
	pair_pass(&p, 6000, STEP_MS);
	assert_int_equal(count(&p.target, AT_TARGET), 2);
	pair_pass(&p, 6000, STEP_MS);
	s = read_syncs(&p.target, AT_TARGET);
	assert_int_equal(s.n, 3);
	assert_int_equal(s.v[2].upstream, 111);
	/* Nothing moves: nothing is written. */
	pair_pass(&p, 30000, STEP_MS);
	assert_int_equal(count(&p.target, AT_TARGET), 3);
	pair_end(&p);
}

static void test_lag_zero(void **state)
{
	(void)state;
	struct pair p;
	begin(&p, 1);
	p.config.emit_offset_syncs = true;
	p.config.offset_lag_max = 0;
	model_append(&p.source, "t", 0, 1);
	pair_start(&p);
	wait_written(&p, false, AT_TARGET, 1);
	for (size_t n = 2; n < 5; n++) {
		model_append(&p.source, "t", 0, 1);
		pair_wait_copied(&p, STEP_MS);
		pair_pass(&p, 2000, STEP_MS);
		assert_int_equal(count(&p.target, AT_TARGET), n);
	}
	pair_end(&p);
}

/* A hole in the source changes the distance: told within a second or two. */
static void test_gap(void **state)
{
	(void)state;
	struct pair p;
	begin_with_a_sync(&p);
	model_topic(&p.source, "t")->parts[0].end += 5; /* as compaction leaves it */
	model_append(&p.source, "t", 0, 1);
	pair_wait_copied(&p, STEP_MS);
	pair_pass(&p, 2000, STEP_MS);
	struct syncs s = read_syncs(&p.target, AT_TARGET);
	assert_int_equal(s.n, 2);
	assert_int_equal(s.v[1].upstream, 15);
	assert_int_equal(s.v[1].downstream, 10);
	pair_end(&p);
}

/* What waits is written at the end. */
static void test_flushed_at_the_end(void **state)
{
	(void)state;
	struct pair p;
	begin_with_a_sync(&p);
	model_append(&p.source, "t", 0, 3);
	pair_wait_copied(&p, STEP_MS);
	pair_stop(&p);
	struct syncs s = read_syncs(&p.target, AT_TARGET);
	assert_int_equal(s.n, 2);
	assert_int_equal(s.v[1].upstream, 12);
	pair_fini(&p);
}

/* The first after a start, though nothing is copied. */
static void test_again_after_a_start(void **state)
{
	(void)state;
	struct pair p;
	begin_with_a_sync(&p);
	pair_stop(&p);
	pair_start(&p);
	pair_wait_copied(&p, STEP_MS);
	wait_written(&p, false, AT_TARGET, 2);
	struct syncs s = read_syncs(&p.target, AT_TARGET);
	assert_int_equal(s.v[1].upstream, 9);
	pair_end(&p);
}

/* Refused for a while: then the newest position comes, not each between. For ever: the end does not
 * wait for them. */
static void test_syncs_refused(void **state)
{
	(void)state;
	struct pair p;
	struct refusal f = {AT_TARGET, 3};
	begin(&p, 1);
	p.config.emit_offset_syncs = true;
	p.config.offset_lag_max = 0;
	model_append(&p.source, "t", 0, 10);
	model_twist(&p.target, WIRE_API_PRODUCE, refuse_writes, &f);
	pair_start(&p);
	for (int i = 0; i < 5; i++) {
		model_append(&p.source, "t", 0, 1);
		pair_wait_copied(&p, STEP_MS);
		pair_pass(&p, 1000, STEP_MS);
	}
	wait_written(&p, false, AT_TARGET, 2);
	assert_int_equal(f.times, 0);
	struct syncs s = read_syncs(&p.target, AT_TARGET);
	assert_true(s.n < 6);
	pair_pass(&p, 3000, STEP_MS);
	s = read_syncs(&p.target, AT_TARGET);
	assert_int_equal(s.v[s.n - 1].upstream, 14);
	f.times = -1;
	model_append(&p.source, "t", 0, 1);
	pair_wait_copied(&p, STEP_MS);
	pair_pass(&p, 3000, STEP_MS);
	pair_end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_heartbeats_at_both_ends),
		cmocka_unit_test(test_heartbeats_at_one_end),
		cmocka_unit_test(test_nothing_unasked),
		cmocka_unit_test(test_heartbeats_refused),
		cmocka_unit_test(test_sync_of_each_partition),
		cmocka_unit_test(test_pace),
		cmocka_unit_test(test_lag_zero),
		cmocka_unit_test(test_gap),
		cmocka_unit_test(test_flushed_at_the_end),
		cmocka_unit_test(test_again_after_a_start),
		cmocka_unit_test(test_syncs_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
