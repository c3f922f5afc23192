/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Topics that are deleted at the source, of a whole link between scripted brokers: when the copy is
 * deleted, and all the cases in which it is not. P1, P5.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/base/map.h"
#include "tests/unit/mirror/model.h"

enum {
	STEP_MS = 50,
	WAIT_MS = 2000,
	TOPIC_AUTHORIZATION_FAILED = 29,
	POLICY_VIOLATION = 44,
};

struct rig {
	struct pair p;     /* first: the waiting functions get a pair */
	bool hidden;       /* the source shows "t" to nobody who lists, and says so who asks */
	bool asks_fail;    /* every third question by name fails */
	unsigned asks;     /* questions by name */
	int deletes_wrong; /* deletions that the target refuses */
	bool ends_wrong;   /* the target does not say where "east.t" ends */
};

/* ---- the brokers ---- */

static enum scripted_act on_source_metadata(void *arg, struct scripted_request *q, void *answer)
{
	struct rig *r = arg;
	const struct metadata_request *m = q->msg;
	struct metadata_response *a = answer;
	if (m->topics_n > 0 && r->asks++ % 3 == 2 && r->asks_fail)
		return SCRIPTED_CLOSE;
	for (int32_t i = 0; r->hidden && i < a->topics_n; i++) {
		if (!bytes_eq_str(a->topics[i].name, "t"))
			continue;
		if (m->topics_n < 0) {
			a->topics[i] = a->topics[--a->topics_n];
			break;
		}
		a->topics[i].error_code = TOPIC_AUTHORIZATION_FAILED;
		a->topics[i].partitions_n = 0;
	}
	return SCRIPTED_ANSWER;
}

static enum scripted_act on_delete(void *arg, struct scripted_request *q, void *answer)
{
	struct rig *r = arg;
	struct delete_topics_response *a = answer;
	(void)q;
	if (r->deletes_wrong > 0 && r->deletes_wrong-- > 0)
		a->responses[0].error_code = POLICY_VIOLATION;
	return SCRIPTED_ANSWER;
}

static enum scripted_act on_ends(void *arg, struct scripted_request *q, void *answer)
{
	const struct rig *r = arg;
	struct list_offsets_response *a = answer;
	(void)q;
	for (int32_t i = 0; r->ends_wrong && i < a->topics_n; i++)
		a->topics[i].partitions[0].error_code = TOPIC_AUTHORIZATION_FAILED;
	return SCRIPTED_ANSWER;
}

/* ---- the rig ---- */

/* Ten records are copied. */
static void rig_start(struct rig *r, int32_t partitions)
{
	*r = (struct rig){.hidden = false};
	pair_init(&r->p, partitions);
	r->p.config.on[ON_TOPIC_DELETED] = true;
	r->p.config.topic_deleted_wait_ms = WAIT_MS;
	model_twist(&r->p.source, WIRE_API_METADATA, on_source_metadata, r);
	model_twist(&r->p.target, WIRE_API_DELETE_TOPICS, on_delete, r);
	model_twist(&r->p.target, WIRE_API_LIST_OFFSETS, on_ends, r);
	model_append(&r->p.source, "t", 0, 10);
	pair_start(&r->p);
	pair_wait_copied(&r->p, STEP_MS);
}

static bool is_deleted(struct pair *p)
{
	return model_topic(&p->target, "east.t") == NULL;
}

static void assert_stays(struct rig *r, const char *reason)
{
	pair_wait_reason(&r->p, reason, STEP_MS);
	pair_pass(&r->p, 3 * WAIT_MS, STEP_MS);
	assert_false(is_deleted(&r->p));
	assert_true(pair_has_reason(&r->p, reason));
	assert_int_equal(pair_partition(&r->p)->state, STATE_SOURCE_UNAVAILABLE);
}

/* ---- deleted ---- */

static void deleted_after_a_wait(void **state)
{
	(void)state;
	struct rig r;
	rig_start(&r, 2);
	model_remove(&r.p.source, "t");
	pair_wait_reason(&r.p, "topic t was deleted at the source; waiting for it", STEP_MS);
	pair_pass(&r.p, WAIT_MS / 2, STEP_MS);
	assert_false(is_deleted(&r.p));
	pair_wait(&r.p, is_deleted, STEP_MS);
	pair_wait_reason(&r.p, "and its copy east.t too, as the policy says; waiting for it",
			 STEP_MS);
	pair_pass(&r.p, 2 * WAIT_MS, STEP_MS);
	assert_true(pair_has_reason(&r.p, r.p.wanted));
	assert_int_equal(pair_logged(&r.p, "event=topic_deleted link=east->west topic=t "
					   "target_topic=east.t"),
			 1);
	assert_int_equal(scripted_peer_seen(r.p.target.peer, WIRE_API_DELETE_TOPICS), 1);
	assert_string_equal(mirror_state_name(r.p.link->state), "ACTIVE");
	/* It comes back. */
	model_make(&r.p.source, "t");
	model_append(&r.p.source, "t", 0, 3);
	pair_wait_copied(&r.p, STEP_MS);
	assert_int_equal(model_topic(&r.p.target, "east.t")->parts[0].end, 3);
	pair_end(&r.p);
}

static void deleted_by_id(void **state)
{
	(void)state;
	struct rig r;
	rig_start(&r, 1);
	pair_stop(&r.p);
	model_topic(&r.p.target, "east.t")->id.b[0] = 7;
	pair_start(&r.p);
	pair_wait_copied(&r.p, STEP_MS);
	model_remove(&r.p.source, "t");
	pair_wait(&r.p, is_deleted, STEP_MS);
	assert_int_equal(scripted_peer_last_version(r.p.target.peer, WIRE_API_DELETE_TOPICS), 6);
	pair_end(&r.p);
}

static void deleted_when_the_target_lets_it(void **state)
{
	(void)state;
	struct rig r;
	rig_start(&r, 1);
	r.deletes_wrong = 2;
	model_remove(&r.p.source, "t");
	pair_wait_reason(&r.p, "its copy is not deleted, as the policy would have it: ", STEP_MS);
	assert_int_equal(pair_logged(&r.p, "event=topic_not_deleted link=east->west topic=t "
					   "target_topic=east.t error=KAFKA_POLICY_VIOLATION "),
			 1);
	pair_pass(&r.p, WAIT_MS / 2, STEP_MS);
	assert_true(pair_has_reason(&r.p, r.p.wanted));
	pair_wait(&r.p, is_deleted, STEP_MS);
	pair_wait_reason(&r.p, "as the policy says; waiting for it", STEP_MS);
	pair_end(&r.p);
}

/* ---- kept ---- */

static void kept_without_a_policy(void **state)
{
	(void)state;
	struct rig r;
	rig_start(&r, 1);
	pair_stop(&r.p);
	r.p.config.on[ON_TOPIC_DELETED] = false;
	pair_start(&r.p);
	pair_wait_copied(&r.p, STEP_MS);
	model_remove(&r.p.source, "t");
	assert_stays(&r, "topic t was deleted at the source; waiting for it");
	pair_end(&r.p);
}

/* What waited there to be copied waits no more. */
static void ready_though_some_was_not_copied(void **state)
{
	(void)state;
	struct rig r;
	struct partition *p;
	rig_start(&r, 1);
	model_remove(&r.p.source, "t");
	pair_wait_reason(&r.p, "topic t was deleted at the source; waiting for it", STEP_MS);
	model_append(&r.p.target, "east.t", 0, 1); /* it stays */
	p = ((struct topic_entry *)map_get(r.p.link->entries, bytes_str("t")))->slots[0]->p;
	p->source_hw = p->source_lso = 20;
	assert_true(partition_behind(p));
	pair_pass(&r.p, 10 * 60 * 1000, STEP_MS);
	assert_true(partition_behind(p));
	assert_true(link_ready(r.p.link));
	assert_string_equal(mirror_state_name(r.p.link->state), "SOURCE_UNAVAILABLE");
	pair_end(&r.p);
}

/* Who may not see it any more cannot know that it is gone. */
static void kept_when_hidden(void **state)
{
	(void)state;
	struct rig r;
	rig_start(&r, 1);
	r.hidden = true;
	assert_stays(&r,
		     "the source does not show topic t to this user (TOPIC_AUTHORIZATION_FAILED)");
	r.hidden = false;
	pair_wait_copied(&r.p, STEP_MS);
	pair_end(&r.p);
}

/* After a failover the copy is what producers use. */
static void kept_when_others_wrote(void **state)
{
	(void)state;
	struct rig r;
	rig_start(&r, 2);
	model_remove(&r.p.source, "t");
	model_append(&r.p.target, "east.t", 0, 2);
	assert_stays(&r,
		     "its copy is not deleted, as the policy would have it: others wrote to it: "
		     "partition 0 ends at 12, and this link wrote up to 10");
	assert_int_equal(
		pair_logged(&r.p, "event=topic_not_deleted link=east->west topic=t "
				  "target_topic=east.t error=\"\" reason=\"others wrote to it: "),
		1);
	pair_end(&r.p);
}

/* A partition that the source never had. */
static void kept_when_others_grew_it(void **state)
{
	(void)state;
	struct rig r;
	rig_start(&r, 1);
	pair_stop(&r.p);
	struct model_topic *t = model_topic(&r.p.target, "east.t");
	buf_init(&t->parts[1].bytes, MODEL_LOG_BYTES);
	t->n = 2;
	model_append(&r.p.target, "east.t", 1, 1);
	pair_start(&r.p);
	pair_wait_copied(&r.p, STEP_MS);
	model_remove(&r.p.source, "t");
	assert_stays(&r, "others wrote to it: partition 1 ends at 1, and this link wrote up to 0");
	pair_end(&r.p);
}

static void kept_when_that_cannot_be_told(void **state)
{
	(void)state;
	struct rig r;
	rig_start(&r, 1);
	r.ends_wrong = true;
	model_remove(&r.p.source, "t");
	assert_stays(&r, "it cannot be told whether others wrote to it: ");
	r.ends_wrong = false;
	pair_wait(&r.p, is_deleted, STEP_MS);
	pair_end(&r.p);
}

static bool other_id_seen(struct pair *p)
{
	const struct client_topic *t = client_topic(p->link->target_client, "east.t");
	return t != NULL && t->id.b[0] == 8;
}

static void kept_when_it_is_another(void **state)
{
	(void)state;
	struct rig r;
	rig_start(&r, 1);
	pair_stop(&r.p);
	model_topic(&r.p.target, "east.t")->id.b[0] = 7;
	pair_start(&r.p);
	pair_wait_copied(&r.p, STEP_MS);
	model_remove(&r.p.source, "t");
	pair_wait_reason(&r.p, "topic t was deleted at the source; waiting for it", STEP_MS);
	model_topic(&r.p.target, "east.t")->id.b[0] = 8;
	client_metadata_refresh(r.p.link->target_client);
	pair_wait(&r.p, other_id_seen, 0);
	assert_stays(&r, "it is not the topic that this link filled");
	pair_end(&r.p);
}

static void kept_when_nothing_was_copied(void **state)
{
	(void)state;
	struct rig r;
	rig_start(&r, 1);
	pair_stop(&r.p);
	model_remove(&r.p.source, "t");
	model_remove(&r.p.target, "east.t");
	model_remove(&r.p.target, "east.offset-runs.internal");
	model_make(&r.p.source, "t");
	pair_start(&r.p);
	pair_wait_copied(&r.p, STEP_MS);
	model_remove(&r.p.source, "t");
	assert_stays(&r, "this link wrote nothing there");
	pair_end(&r.p);
}

/* The wait begins anew when somebody ends the pause. */
static void kept_while_paused(void **state)
{
	(void)state;
	struct rig r;
	size_t n;
	rig_start(&r, 2);
	assert_int_equal(link_hold(r.p.link, "t", 1, "a test", &n), ERR_OK);
	model_remove(&r.p.source, "t");
	pair_wait_reason(&r.p, "topic t was deleted at the source; waiting for it", STEP_MS);
	pair_pass(&r.p, 3 * WAIT_MS, STEP_MS);
	assert_false(is_deleted(&r.p));
	assert_int_equal(link_hold(r.p.link, "t", 1, NULL, &n), ERR_OK);
	pair_pass(&r.p, WAIT_MS / 2, STEP_MS);
	assert_false(is_deleted(&r.p));
	pair_wait(&r.p, is_deleted, STEP_MS);
	pair_end(&r.p);
}

/* "Reachable all the time": a question without an answer begins the wait anew. */
static void kept_while_the_source_is_unsure(void **state)
{
	(void)state;
	struct rig r;
	rig_start(&r, 1);
	r.asks_fail = true;
	model_remove(&r.p.source, "t");
	pair_wait_reason(&r.p, "topic t was deleted at the source; waiting for it", STEP_MS);
	pair_pass(&r.p, 5 * WAIT_MS, STEP_MS);
	assert_false(is_deleted(&r.p));
	assert_true(r.asks > 6);
	r.asks_fail = false;
	pair_wait(&r.p, is_deleted, STEP_MS);
	pair_end(&r.p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(deleted_after_a_wait),
		cmocka_unit_test(deleted_by_id),
		cmocka_unit_test(deleted_when_the_target_lets_it),
		cmocka_unit_test(kept_without_a_policy),
		cmocka_unit_test(ready_though_some_was_not_copied),
		cmocka_unit_test(kept_when_hidden),
		cmocka_unit_test(kept_when_others_wrote),
		cmocka_unit_test(kept_when_others_grew_it),
		cmocka_unit_test(kept_when_that_cannot_be_told),
		cmocka_unit_test(kept_when_it_is_another),
		cmocka_unit_test(kept_when_nothing_was_copied),
		cmocka_unit_test(kept_while_paused),
		cmocka_unit_test(kept_while_the_source_is_unsure),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
