/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing to topics of our own: order, one batch at a time, refusals, a topic that is deleted, what
 * may wait. The cluster is the target of a scripted pair.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "mirror/clusters/topic_writer.h"
#include "tests/unit/mirror/model.h"

enum { STEP_MS = 20, BATCH_BYTES = 4096, MESSAGE_TOO_LARGE = 10, POLICY_VIOLATION = 44 };

static const char NAME[] = "east.notes.internal";

struct rig {
	struct pair p; /* first: pair_wait's functions get it */
	struct topic_writer *w;
	uint64_t stored; /* as told */
	unsigned refused;
	int spoil;
};

static void on_stored(void *arg, uint64_t ticket)
{
	struct rig *r = arg;
	assert_true(ticket > r->stored);
	r->stored = ticket;
}

static void on_refused(void *arg, enum err e, const struct errmsg *why)
{
	struct rig *r = arg;
	assert_int_not_equal(e, ERR_OK);
	assert_true(why->text[0] != '\0');
	r->refused++;
}

static void rig_init(struct rig *r)
{
	*r = (struct rig){0};
	pair_init(&r->p, 1);
	pair_start(&r->p);
	pair_wait(&r->p, pair_copied, STEP_MS);
	const struct topic_writer_options o = {
		.topic = {.client = r->p.link->target_client,
			  .link = "east->west",
			  .name = NAME,
			  .replication_factor = 1,
			  .settings = own_topic_compacted,
			  .settings_n = OWN_TOPIC_COMPACTED_N,
			  .timeout_ms = 5000},
		.batch_bytes = BATCH_BYTES,
		.stored = on_stored,
		.refused = on_refused,
		.arg = r,
	};
	assert_int_equal(topic_writer_new(r->p.loop, &o, &r->w), ERR_OK);
	assert_true(topic_writer_idle(r->w));
	assert_string_equal(topic_writer_topic(r->w), NAME);
}

static void rig_fini(struct rig *r)
{
	topic_writer_stop(r->w);
	pair_stop(&r->p);
	topic_writer_free(r->w);
	pair_fini(&r->p);
}

static uint64_t put(struct rig *r, int n)
{
	char text[16];
	uint64_t ticket = 0;
	snprintf(text, sizeof text, "%d", n);
	assert_int_equal(topic_writer_put_pair(r->w, bytes_str("k"), bytes_str(text), &ticket),
			 ERR_OK);
	return ticket;
}

static bool all_stored(struct pair *p)
{
	return topic_writer_idle(((struct rig *)p)->w);
}

static bool twice_refused(struct pair *p)
{
	return ((struct rig *)p)->refused >= 2;
}

/* The topic holds the numbers 0..n-1 in this order. */
static void assert_log(struct rig *r, int n)
{
	const struct model_topic *t = model_topic(&r->p.target, NAME);
	assert_non_null(t);
	struct batch_walk walk = {.left = buf_bytes(&t->parts[0].bytes)};
	struct batch_head h;
	struct bytes whole;
	int next = 0;
	while (batch_walk_next(&walk, &h, &whole, NULL) == BATCH_WALK_BATCH) {
		struct records_reader *rr;
		struct record x;
		struct errmsg why;
		assert_int_equal(records_reader_open(whole, BATCH_BYTES, &rr, &why), ERR_OK);
		while (records_reader_next(rr, &x)) {
			char text[16];
			snprintf(text, sizeof text, "%d", next++);
			assert_true(bytes_eq_str(x.value, text));
			assert_true(x.timestamp > 0);
		}
		assert_int_equal(records_reader_error(rr, &why), ERR_OK);
		records_reader_free(rr);
	}
	assert_int_equal(next, n);
}

static void test_in_order(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r);
	for (int i = 0; i < 10; i++)
		assert_int_equal(put(&r, i), i + 1);
	assert_false(topic_writer_idle(r.w));
	pair_wait(&r.p, all_stored, STEP_MS);
	for (int i = 10; i < 15; i++)
		put(&r, i);
	pair_wait(&r.p, all_stored, STEP_MS);
	assert_int_equal(r.stored, 15);
	assert_int_equal(topic_writer_stored(r.w), 15);
	assert_int_equal(r.refused, 0);
	assert_log(&r, 15);
	rig_fini(&r);
}

static enum scripted_act refuse_notes(void *arg, struct scripted_request *q, void *answer)
{
	struct rig *r = arg;
	struct produce_response *a = answer;
	const struct produce_request *m = q->msg;
	if (r->spoil == 0 || !bytes_eq_str(m->topic_data[0].name, NAME))
		return SCRIPTED_ANSWER;
	r->spoil--;
	a->responses[0].partition_responses[0].error_code = MESSAGE_TOO_LARGE;
	return SCRIPTED_ANSWER;
}

/* Tried again until it is taken; what comes meanwhile goes out behind it. */
static void test_refused_and_tried_again(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r);
	r.spoil = 2;
	model_twist(&r.p.target, WIRE_API_PRODUCE, refuse_notes, &r);
	put(&r, 0);
	pair_wait(&r.p, twice_refused, STEP_MS);
	assert_int_equal(r.stored, 0);
	put(&r, 1);
	pair_wait(&r.p, all_stored, STEP_MS);
	assert_int_equal(r.stored, 2);
	assert_int_equal(pair_logged(&r.p, "event=internal_topic_not_written"), 2);
	assert_log(&r, 2);
	rig_fini(&r);
}

static enum scripted_act refuse_creation(void *arg, struct scripted_request *q, void *answer)
{
	struct rig *r = arg;
	struct create_topics_response *a = answer;
	(void)q;
	if (r->spoil > 0) {
		r->spoil--;
		a->topics[0].error_code = POLICY_VIOLATION;
		a->topics[0].error_message = bytes_str("not on a Monday");
	}
	return SCRIPTED_ANSWER;
}

static void test_creation_refused(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r);
	r.spoil = 2;
	model_twist(&r.p.target, WIRE_API_CREATE_TOPICS, refuse_creation, &r);
	put(&r, 0);
	pair_wait(&r.p, all_stored, STEP_MS);
	assert_int_equal(pair_logged(&r.p, "event=internal_topic_not_ready link=east->west "
					   "cluster=west topic=east.notes.internal "
					   "error=KAFKA_POLICY_VIOLATION "
					   "reason=\"not on a Monday\""),
			 2);
	assert_log(&r, 1);
	rig_fini(&r);
}

/* A topic that was deleted is made again for the next record. */
static void test_deleted(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r);
	put(&r, 0);
	pair_wait(&r.p, all_stored, STEP_MS);
	struct model_topic *t = model_topic(&r.p.target, NAME);
	t->name[0] = '\0';
	buf_clear(&t->parts[0].bytes);
	t->parts[0].end = 0;
	put(&r, 0);
	pair_wait(&r.p, all_stored, STEP_MS);
	assert_int_equal(r.stored, 2);
	assert_log(&r, 1);
	rig_fini(&r);
}

static void test_limits(void **state)
{
	(void)state;
	static const uint8_t large[BATCH_BYTES + 1];
	struct rig r;
	rig_init(&r);
	assert_int_equal(
		topic_writer_put_pair(r.w, bytes_str("k"), bytes_of(large, sizeof large), NULL),
		ERR_LIMIT);
	assert_true(topic_writer_idle(r.w));
	/* What does not fit beside the others waits for them. */
	assert_int_equal(topic_writer_put_pair(r.w, bytes_str("k"), bytes_of(large, 3000), NULL),
			 ERR_OK);
	assert_int_equal(topic_writer_put_pair(r.w, bytes_str("k"), bytes_of(large, 3000), NULL),
			 ERR_LIMIT);
	pair_wait(&r.p, all_stored, STEP_MS);
	assert_int_equal(topic_writer_put_pair(r.w, bytes_str("k"), bytes_of(large, 3000), NULL),
			 ERR_OK);
	topic_writer_drop(r.w);
	assert_true(topic_writer_idle(r.w));
	/* Tickets go on behind what was dropped. */
	uint64_t ticket = put(&r, 0);
	assert_int_equal(ticket, 3);
	pair_wait(&r.p, all_stored, STEP_MS);
	assert_int_equal(r.stored, ticket);
	rig_fini(&r);
}

/* Freed in the middle of a write, after the client: nothing comes any more, nothing leaks. */
static void test_freed_while_busy(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r);
	put(&r, 0);
	loop_turn(r.p.loop, 0);
	loop_turn(r.p.loop, 0);
	rig_fini(&r);
	assert_int_equal(r.stored, 0);
}

/* Stopped with a repetition due: it does not come to a client that is gone. */
static void test_stopped_while_refused(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r);
	r.spoil = 1000;
	model_twist(&r.p.target, WIRE_API_PRODUCE, refuse_notes, &r);
	put(&r, 0);
	pair_wait(&r.p, twice_refused, STEP_MS);
	r.p.skew_ms += 60 * 1000;
	rig_fini(&r);
	assert_int_equal(r.stored, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_order),
		cmocka_unit_test(test_refused_and_tried_again),
		cmocka_unit_test(test_creation_refused),
		cmocka_unit_test(test_deleted),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_freed_while_busy),
		cmocka_unit_test(test_stopped_while_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
