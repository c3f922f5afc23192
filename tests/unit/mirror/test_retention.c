/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The warning before the source's retention overtakes the copy, of a whole link between scripted
 * brokers, where partitions wait and no fetch tells them where their logs start. P4.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/mirror/model.h"

enum { STEP_MS = 50, LONG_MS = 500, POLL_MS = 5000, PARTITIONS = 1050 };

struct rig {
	struct pair p;     /* first: the waiting functions get a pair */
	int fails;         /* questions where logs start that are not answered */
	unsigned starts_n; /* questions where logs start */
};

static enum scripted_act on_list(void *arg, struct scripted_request *q, void *answer)
{
	struct rig *r = arg;
	const struct list_offsets_request *m = q->msg;
	(void)answer;
	if (m->topics_n == 0 || m->topics[0].partitions[0].timestamp != -2)
		return SCRIPTED_ANSWER;
	r->starts_n++;
	return r->fails > 0 && r->fails-- > 0 ? SCRIPTED_CLOSE : SCRIPTED_ANSWER;
}

static void hold(struct rig *r, bool on)
{
	size_t n;
	assert_int_equal(link_hold(r->p.link, NULL, -1, on ? "a test" : NULL, &n), ERR_OK);
}

/* A record is copied of each partition, then the link is held and the source goes on. */
static void rig_start(struct rig *r, int32_t partitions)
{
	*r = (struct rig){.fails = 0};
	pair_init(&r->p, partitions);
	r->p.config.retention_warning_ms = 60 * 1000;
	model_twist(&r->p.source, WIRE_API_LIST_OFFSETS, on_list, r);
	for (int32_t i = 0; i < partitions; i++)
		model_append(&r->p.source, "t", i, 1);
	pair_start(&r->p);
	pair_wait_copied(&r->p, STEP_MS);
	pair_pass(&r->p, 3000, STEP_MS);
}

/* What fetches saw last is that many records wait; from then on the start moves. */
static void fall_behind(struct rig *r)
{
	struct topic_entry **list;
	size_t n;
	list = link_topics_sorted(r->p.link, &n);
	assert_int_equal(n, 1);
	for (int32_t i = 0; i < list[0]->slots_n; i++) {
		model_append(&r->p.source, "t", i, 100);
		list[0]->slots[i]->p->source_hw = list[0]->slots[i]->p->source_lso = 101;
	}
	mem_free(list);
}

static void move_start(struct rig *r, int32_t partition, int64_t to)
{
	model_topic(&r->p.source, "t")->parts[partition].start = to;
}

static void warned_while_paused(void **state)
{
	(void)state;
	struct rig r;
	rig_start(&r, 1);
	hold(&r, true);
	fall_behind(&r);
	pair_pass(&r.p, 2 * POLL_MS, STEP_MS);
	assert_int_equal(pair_logged(&r.p, "event=retention_near"), 0);
	r.fails = 2;
	move_start(&r, 0, 1);
	pair_wait_logged(&r.p,
			 "event=retention_near link=east->west topic=t partition=0 seconds=0 "
			 "source_position=1 source_start=1 source_end=101 state=PAUSED ",
			 STEP_MS);
	pair_pass(&r.p, 10 * POLL_MS, LONG_MS);
	assert_int_equal(pair_logged(&r.p, "event=retention_near"), 1);
	hold(&r, false);
	pair_wait_copied(&r.p, STEP_MS);
	pair_pass(&r.p, 2 * POLL_MS, STEP_MS);
	unsigned before = r.starts_n;
	pair_pass(&r.p, 10 * POLL_MS, LONG_MS);
	assert_int_equal(r.starts_n, before); /* nothing waits: nothing is asked */
	pair_end(&r.p);
}

/* More partitions of one leader than a request asks about. */
static void warned_of_each(void **state)
{
	(void)state;
	struct rig r;
	char line[128];
	rig_start(&r, PARTITIONS);
	hold(&r, true);
	fall_behind(&r);
	pair_pass(&r.p, 2 * POLL_MS, STEP_MS);
	move_start(&r, 0, 1);
	move_start(&r, PARTITIONS - 1, 1);
	for (int i = 0; i < 2; i++) {
		snprintf(line, sizeof line,
			 "event=retention_near link=east->west topic=t partition=%d ",
			 i == 0 ? 0 : PARTITIONS - 1);
		pair_wait_logged(&r.p, line, STEP_MS);
	}
	pair_end(&r.p);
}

static void off(void **state)
{
	(void)state;
	struct rig r;
	rig_start(&r, 1);
	pair_stop(&r.p);
	r.p.config.retention_warning_ms = 0;
	pair_start(&r.p);
	pair_wait_copied(&r.p, STEP_MS);
	hold(&r, true);
	fall_behind(&r);
	unsigned before = r.starts_n;
	pair_pass(&r.p, 10 * POLL_MS, LONG_MS);
	assert_int_equal(r.starts_n, before);
	pair_end(&r.p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(warned_while_paused),
		cmocka_unit_test(warned_of_each),
		cmocka_unit_test(off),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
