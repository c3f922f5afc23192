/* SPDX-License-Identifier: Apache-2.0 */
/* A partition of a topic that was just made: its leader may be named before it knows of it. And of
 * one that was made again: its log may be seen before its new id. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "mirror/partition/partition.h"

/* What the partition asked of its host. */
struct host {
	unsigned probes, stores, refreshes;
	int64_t retry_ms; /* -1: no retry is due */
	struct partition_env env;
	struct partition *p;
};

static void on_probe(void *h, struct partition *p, int32_t epoch)
{
	(void)p;
	(void)epoch;
	((struct host *)h)->probes++;
}

static void on_store(void *h, struct partition *p, bool now)
{
	(void)p;
	(void)now;
	((struct host *)h)->stores++;
}

static void on_retry(void *h, struct partition *p, int64_t ms)
{
	(void)p;
	((struct host *)h)->retry_ms = ms;
}

static void on_refresh(void *h, struct partition *p, bool source)
{
	(void)p;
	(void)source;
	((struct host *)h)->refreshes++;
}

static void on_changed(void *h, struct partition *p, enum mirror_state from)
{
	(void)h;
	(void)p;
	(void)from;
}

static const struct partition_host calls = {
	.probe = on_probe,
	.store = on_store,
	.retry_in = on_retry,
	.refresh = on_refresh,
	.changed = on_changed,
};

static void begin(struct host *h)
{
	*h = (struct host){.retry_ms = -1};
	h->env = (struct partition_env){
		.source_topic = "t",
		.target_topic = "east.t",
		.clock = clock_system(),
		.host = &calls,
		.host_ctx = h,
	};
	h->p = partition_new(&h->env, 0, 4096);
	assert_non_null(h->p);
	partition_start(h->p, NULL, 1, 0);
	assert_int_equal(h->probes, 1);
}

/* The answer to the probe that is out; then the retry that it asked for. */
static void refuse(struct host *h, enum err source, enum err target)
{
	struct probe_result r = {.source_err = source, .target_err = target, .epoch_end = -1};
	errmsg_set(&r.why, target, "asking: %s", err_text(target));
	unsigned probes = h->probes;
	h->retry_ms = -1;
	partition_on_probe(h->p, &r);
	assert_true(h->retry_ms >= 0);
	assert_int_equal(h->probes, probes);
	partition_on_timer(h->p);
	assert_int_equal(h->probes, probes + 1);
}

static void test_leader_that_is_coming(void **state)
{
	(void)state;
	struct host h;
	begin(&h);
	for (int i = 0; i < 15; i++) {
		refuse(&h, ERR_OK, ERR_KAFKA_NOT_LEADER_OR_FOLLOWER);
		assert_int_equal(h.p->state, STATE_STARTING);
		assert_true(h.retry_ms <= 2000); /* it will be there any moment */
	}
	assert_string_equal(h.p->reason.text, "asking: not leader or follower");
	assert_int_equal(h.p->counters.faults, 0);
	assert_int_equal(h.refreshes, 15);
	struct probe_result r = {.source_end = 3, .epoch_end = -1};
	partition_on_probe(h.p, &r);
	assert_int_equal(h.stores, 1);
	assert_int_equal(h.p->phase, PHASE_STORE);
	assert_int_equal(h.p->attempt, 0);
	partition_free(h.p);
}

static void test_leader_that_does_not_come(void **state)
{
	(void)state;
	struct host h;
	begin(&h);
	for (int i = 0; i < 25; i++)
		refuse(&h, ERR_OK, ERR_NO_LEADER);
	assert_int_equal(h.p->state, STATE_TARGET_UNAVAILABLE);
	assert_true(h.p->counters.faults > 0);
	partition_free(h.p);
}

static void test_other_errors_are_faults(void **state)
{
	(void)state;
	struct host h;
	begin(&h);
	refuse(&h, ERR_OK, ERR_KAFKA_TOPIC_AUTHORIZATION_FAILED);
	assert_int_equal(h.p->state, STATE_TARGET_UNAVAILABLE);
	partition_free(h.p);
	begin(&h);
	refuse(&h, ERR_TIMEOUT, ERR_KAFKA_NOT_LEADER_OR_FOLLOWER);
	assert_int_equal(h.p->state, STATE_SOURCE_UNAVAILABLE);
	partition_free(h.p);
}

/* One whose table says that 100 records of the topic with id 1 were copied. */
static void begin_stored(struct host *h)
{
	*h = (struct host){.retry_ms = -1};
	h->env = (struct partition_env){
		.source_topic = "t",
		.target_topic = "east.t",
		.source_id = {{1}},
		.clock = clock_system(),
		.host = &calls,
		.host_ctx = h,
	};
	struct partition_stored stored = {
		.runs = runs_new(4096),
		.topic_id = {{1}},
		.leader_epoch = -1,
		.producer_id = 7,
		.src_end = 100,
		.dst_end = 100,
	};
	assert_non_null(stored.runs);
	assert_int_equal(runs_append(stored.runs, 0, 0, 100), ERR_OK);
	h->p = partition_new(&h->env, 0, 4096);
	assert_non_null(h->p);
	partition_start(h->p, &stored, 1, 0);
}

static void test_made_again_before_its_id_is_known(void **state)
{
	(void)state;
	const struct probe_result shorter = {.source_end = 20, .target_end = 100, .epoch_end = -1};
	const struct probe_result later = {
		.source_start = 150, .source_end = 200, .target_end = 100, .epoch_end = -1};
	const struct probe_result *seen[] = {&shorter, &later};
	const enum mirror_state taken_for[] = {STATE_SOURCE_TRUNCATED, STATE_DATA_LOSS};
	for (size_t i = 0; i < 2; i++) {
		struct host h;
		begin_stored(&h);
		partition_on_probe(h.p, seen[i]);
		assert_int_equal(h.p->state, taken_for[i]);
		assert_int_equal(h.p->phase, PHASE_STOPPED);
		partition_on_source_topic(h.p, true, &h.env.source_id);
		assert_int_equal(h.probes, 1); /* nothing new */
		h.env.source_id = (struct uuid){{2}};
		partition_on_source_topic(h.p, true, &h.env.source_id);
		assert_int_equal(h.probes, 2);
		partition_on_probe(h.p, seen[i]);
		assert_int_equal(h.p->state, STATE_TOPIC_RECREATED);
		partition_on_source_topic(h.p, true, &h.env.source_id);
		assert_int_equal(h.probes, 2);
		partition_free(h.p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_leader_that_is_coming),
		cmocka_unit_test(test_leader_that_does_not_come),
		cmocka_unit_test(test_other_errors_are_faults),
		cmocka_unit_test(test_made_again_before_its_id_is_known),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
