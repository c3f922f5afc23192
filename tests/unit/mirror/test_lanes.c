/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The source's lanes where many partitions wait: those that records come to are fetched apart, and
 * go back when they are quiet; the request for the many parks longer; and who comes while that is
 * out does not wait for it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/mirror/model.h"

enum {
	MANY = 250,
	STEP_MS = 20,
	PASS_MS = 5 * STEP_MS, /* in one turn, where much time passes: no timeout is as short */
	CROWD_WAIT_MS = 5000,
	LONG_MS = 3000 * STEP_MS,
	QUIET_MS = 31 * 1000,
};

/* Which requests the source saw. */
struct seen {
	int32_t parts;        /* in the last request that parks for long */
	unsigned live;        /* requests that park and are not for the many */
	int32_t live_parts;   /* in the last of them */
	int32_t live_first;   /* its first partition */
	int64_t hold_long_ms; /* answer the long ones so late */
	unsigned held;        /* requests of which that was done */
};

static enum scripted_act watch(void *arg, struct scripted_request *q, void *answer)
{
	struct seen *s = arg;
	const struct fetch_request *r = q->msg;
	(void)answer;
	/* Reads of the mirror's own topics do not park, nor does the bulk lane. */
	if (r->max_wait_ms == 0)
		return SCRIPTED_ANSWER;
	int32_t n = 0;
	for (int32_t i = 0; i < r->topics_n; i++)
		n += r->topics[i].partitions_n;
	if (r->max_wait_ms == CROWD_WAIT_MS) {
		s->parts = n;
		q->delay_ms = s->hold_long_ms > 0 ? s->hold_long_ms : q->delay_ms;
		s->held += s->hold_long_ms > 0;
	} else if (n < MANY / 2) {
		s->live++;
		s->live_parts = n;
		s->live_first = r->topics[0].partitions[0].partition;
	}
	return SCRIPTED_ANSWER;
}

static struct seen seen;

static bool many_wait(struct pair *p)
{
	return pair_copied(p) && seen.parts == MANY;
}

static bool one_is_live(struct pair *p)
{
	return pair_copied(p) && seen.parts == MANY - 1 && seen.live_parts == 1;
}

static void begin(struct pair *p)
{
	seen = (struct seen){0};
	pair_init(p, MANY);
	model_twist(&p->source, WIRE_API_FETCH, watch, &seen);
	pair_start(p);
	pair_wait(p, many_wait, STEP_MS);
	assert_int_equal(seen.live, 0);
}

static void test_live_apart(void **state)
{
	(void)state;
	struct pair p;
	begin(&p);
	model_append(&p.source, "t", 7, 1);
	pair_wait(&p, one_is_live, STEP_MS);
	assert_int_equal(seen.live_first, 7);
	/* Records come on: it stays. */
	for (int i = 0; i < 4; i++) {
		pair_pass(&p, QUIET_MS / 2, PASS_MS);
		model_append(&p.source, "t", 7, 1);
		pair_wait_copied(&p, STEP_MS);
		pair_wait(&p, one_is_live, STEP_MS);
	}
	assert_int_equal(scripted_peer_accepted(p.source.peer), 4); /* control and three lanes */
	/* None come: it goes back. */
	pair_pass(&p, QUIET_MS, PASS_MS);
	pair_wait(&p, many_wait, STEP_MS);
	model_append(&p.source, "t", 7, 1);
	pair_wait(&p, one_is_live, STEP_MS);
	pair_end(&p);
}

static bool one_is_held(struct pair *p)
{
	(void)p;
	return seen.held == 1;
}

static bool newcomer_is_there(struct pair *p)
{
	return pair_copied(p) && seen.live_parts == 1 && seen.live_first == MANY;
}

static bool all_together(struct pair *p)
{
	return pair_copied(p) && seen.parts == MANY + 1;
}

static void test_newcomer_does_not_wait(void **state)
{
	(void)state;
	struct pair p;
	begin(&p);
	seen.hold_long_ms = LONG_MS;
	pair_wait(&p, one_is_held, STEP_MS);
	int64_t began = p.skew_ms;
	struct model_topic *t = model_topic(&p.source, "t");
	buf_init(&t->parts[MANY].bytes, MODEL_LOG_BYTES);
	t->n++;
	model_append(&p.source, "t", MANY, 3);
	pair_wait(&p, newcomer_is_there, STEP_MS);
	assert_true(p.skew_ms - began < CROWD_WAIT_MS);
	seen.hold_long_ms = 0;
	pair_pass(&p, LONG_MS, PASS_MS);
	pair_wait(&p, all_together, STEP_MS);
	pair_end(&p);
}

/* Few partitions: one lane for the caught-up, as always. */
static void test_few_stay_together(void **state)
{
	(void)state;
	struct pair p;
	seen = (struct seen){0};
	pair_init(&p, 3);
	model_twist(&p.source, WIRE_API_FETCH, watch, &seen);
	pair_start(&p);
	pair_wait_copied(&p, STEP_MS);
	for (int i = 0; i < 5; i++) {
		model_append(&p.source, "t", 1, 1);
		pair_wait_copied(&p, STEP_MS);
	}
	assert_int_equal(scripted_peer_accepted(p.source.peer), 3); /* control, tail, bulk */
	assert_int_equal(seen.parts, 0);
	pair_end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_live_apart),
		cmocka_unit_test(test_newcomer_does_not_wait),
		cmocka_unit_test(test_few_stay_together),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
