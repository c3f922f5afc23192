/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gap records and dead letters of a whole link between scripted brokers: what is durable before
 * copying goes on, what a partition says while it cannot be written, what is read back, and what
 * becomes of records that are not ours. P1 to P5.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "mirror/link/gaps.h"
#include "tests/unit/mirror/model.h"

enum {
	STEP_MS = 20,
	LONG_MS = 200,
	UNKNOWN_TOPIC = 3,
	MESSAGE_TOO_LARGE = 10,
	TOPIC_AUTHORIZATION_FAILED = 29,
	POLICY_VIOLATION = 44,
	FOR_EVER = 1 << 30,
	BAD = 3, /* the record of "t" that the target refuses, by its number */
};

static const char GAPS[] = "east.gaps.internal";
static const char LETTERS[] = "east.dead-letters.internal";

struct rig {
	struct pair p; /* first: the waiting functions get a pair */
	/* What goes wrong at the target. */
	const char *not_made; /* a topic that cannot be created */
	int not_made_times;
	const char *not_seen; /* a topic that this user may not see */
	bool refuses_bad;
	int silent;        /* so many writes of gap records get no answer, */
	int good;          /* then so many are taken, */
	int refused;       /* then so many are refused */
	int letters_wrong; /* so many letters are refused with `error` */
	int16_t error;
};

/* ---- the brokers ---- */

static void look_for_bad(void *arg, const struct record *r)
{
	bool *found = arg;
	*found = *found || (r->value.n == 8 && be64_get(r->value.p) == BAD);
}

/* Is record BAD in the batch? The values are numbers (model_append). */
static bool has_bad(struct bytes batch)
{
	bool found = false;
	model_each_record(batch, look_for_bad, &found);
	return found;
}

static enum scripted_act on_produce(void *arg, struct scripted_request *q, void *answer)
{
	struct rig *r = arg;
	const struct produce_request *m = q->msg;
	struct produce_response *a = answer;
	int16_t *error = &a->responses[0].partition_responses[0].error_code;
	if (bytes_eq_str(m->topic_data[0].name, GAPS)) {
		if (r->silent > 0 && r->silent-- > 0)
			return SCRIPTED_SILENT;
		if (r->good > 0)
			r->good--;
		else if (r->refused > 0 && r->refused-- > 0)
			*error = POLICY_VIOLATION;
	} else if (bytes_eq_str(m->topic_data[0].name, LETTERS)) {
		if (r->letters_wrong > 0 && r->letters_wrong-- > 0)
			*error = r->error;
	} else if (bytes_eq_str(m->topic_data[0].name, "east.t") && r->refuses_bad &&
		   has_bad(m->topic_data[0].partition_data[0].records.data)) {
		*error = MESSAGE_TOO_LARGE;
	}
	return SCRIPTED_ANSWER;
}

static enum scripted_act on_create(void *arg, struct scripted_request *q, void *answer)
{
	struct rig *r = arg;
	struct create_topics_response *a = answer;
	(void)q;
	if (r->not_made == NULL || !bytes_eq_str(a->topics[0].name, r->not_made) ||
	    r->not_made_times-- <= 0)
		return SCRIPTED_ANSWER;
	a->topics[0].error_code = POLICY_VIOLATION;
	a->topics[0].error_message = bytes_str("not on a Monday");
	return SCRIPTED_ANSWER;
}

static enum scripted_act on_metadata(void *arg, struct scripted_request *q, void *answer)
{
	struct rig *r = arg;
	struct metadata_response *a = answer;
	(void)q;
	for (int32_t i = 0; i < a->topics_n; i++)
		if (r->not_seen != NULL && bytes_eq_str(a->topics[i].name, r->not_seen)) {
			a->topics[i].error_code = TOPIC_AUTHORIZATION_FAILED;
			a->topics[i].partitions_n = 0;
		}
	return SCRIPTED_ANSWER;
}

/* ---- the rig ---- */

/* A topic with ten records. */
static void rig_init(struct rig *r)
{
	*r = (struct rig){.not_made = NULL};
	pair_init(&r->p, 1);
	r->p.config.on[ON_DATA_LOSS] = r->p.config.on[ON_REFUSED] = true;
	model_twist(&r->p.target, WIRE_API_PRODUCE, on_produce, r);
	model_twist(&r->p.target, WIRE_API_CREATE_TOPICS, on_create, r);
	model_twist(&r->p.target, WIRE_API_METADATA, on_metadata, r);
	model_append(&r->p.source, "t", 0, 10);
}

static void rig_start(struct rig *r)
{
	pair_start(&r->p);
	pair_wait_copied(&r->p, STEP_MS);
}

static void hold(struct rig *r, bool on)
{
	size_t n;
	assert_int_equal(link_hold(r->p.link, NULL, -1, on ? "a test" : NULL, &n), ERR_OK);
}

/* The source loses all below `start` while the link cannot look. */
static void lose(struct rig *r, int64_t start)
{
	hold(r, true);
	while (model_topic(&r->p.source, "t")->parts[0].end < start + 5)
		model_append(&r->p.source, "t", 0, 5);
	model_topic(&r->p.source, "t")->parts[0].start = start;
	hold(r, false);
}

static int64_t end_of(struct rig *r, const char *topic)
{
	const struct model_topic *t = model_topic(&r->p.target, topic);
	return t == NULL ? 0 : t->parts[0].end;
}

static void assert_gap(struct rig *r, size_t i, const char *part)
{
	struct bytes value = gaps_at(r->p.link->gaps, i);
	char text[GAP_VALUE_MAX + 1];
	snprintf(text, sizeof text, "%.*s", (int)value.n, (const char *)value.p);
	if (strstr(text, part) == NULL)
		fail_msg("%s is not in %s", part, text);
}

/* ---- gap records ---- */

static void recorded_and_read_back(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r);
	rig_start(&r);
	assert_true(gaps_loaded(r.p.link->gaps));
	lose(&r, 15);
	pair_wait_logged(&r.p,
			 "event=gap_recorded link=east->west topic=t partition=0 cause=DATA_LOSS "
			 "source_first=10 source_last=14 count=5",
			 STEP_MS);
	pair_wait_copied(&r.p, STEP_MS);
	assert_int_equal(pair_partition(&r.p)->counters.gaps[ON_DATA_LOSS], 1);
	assert_int_equal(end_of(&r, GAPS), 1);
	assert_int_equal(gaps_count(r.p.link->gaps), 1);
	pair_stop(&r.p);
	/* Somebody else's words are kept as they are (the API leaves out what is no JSON); what is
	 * no object at all is not. */
	model_append_pair(&r.p.target, GAPS, bytes_str("x"), bytes_str("{\"topic\":\"t\"}"));
	model_append_pair(&r.p.target, GAPS, bytes_str("y"), bytes_str("no JSON"));
	model_append_pair(&r.p.target, GAPS, bytes_str("x"), bytes_str("{\"topic\":\"u\"}"));
	rig_start(&r);
	assert_true(gaps_loaded(r.p.link->gaps));
	assert_false(gaps_more(r.p.link->gaps));
	assert_int_equal(gaps_count(r.p.link->gaps), 2);
	assert_gap(&r, 0, "\"source_last\":14");
	assert_gap(&r, 1, "{\"topic\":\"u\"}"); /* of equal keys the last */
	pair_end(&r.p);
}

/* The oldest records are gone; another cannot be read. */
static void read_what_is_left(void **state)
{
	(void)state;
	struct rig r;
	struct model_topic *t;
	rig_init(&r);
	rig_start(&r);
	pair_stop(&r.p);
	model_make(&r.p.target, GAPS);
	t = model_topic(&r.p.target, GAPS);
	for (int i = 0; i < 4; i++) {
		char key[8];
		size_t at = t->parts[0].bytes.len;
		snprintf(key, sizeof key, "%d", i);
		model_append_pair(&r.p.target, GAPS, bytes_str(key),
				  bytes_str("{\"topic\":\"t\"}"));
		if (i == 2) /* a codec that there is not */
			t->parts[0].bytes.p[at + 22] = 7;
	}
	t->parts[0].start = 1;
	rig_start(&r);
	pair_pass(&r.p, 50 * STEP_MS, STEP_MS);
	assert_true(gaps_loaded(r.p.link->gaps));
	assert_true(gaps_more(r.p.link->gaps));
	assert_int_equal(gaps_count(r.p.link->gaps), 2);
	assert_int_equal(pair_logged(&r.p, "event=gap_records_not_read link=east->west "
					   "topic=east.gaps.internal offset=2 "),
			 1);
	pair_end(&r.p);
}

/* Nothing is copied before the record is durable, and the partition says why. */
static void record_refused(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r);
	r.refused = FOR_EVER;
	rig_start(&r);
	lose(&r, 15);
	pair_wait_reason(&r.p, "the gap record cannot be written: east.gaps.internal: ", STEP_MS);
	pair_pass(&r.p, 200 * STEP_MS, STEP_MS);
	assert_int_equal(pair_partition(&r.p)->state, STATE_DATA_LOSS);
	assert_int_equal(end_of(&r, "east.t"), 10);
	r.refused = 0;
	pair_wait_copied(&r.p, LONG_MS);
	assert_int_equal(gaps_count(r.p.link->gaps), 1);
	pair_end(&r.p);
}

static void topic_not_made(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r);
	r.not_made = GAPS;
	r.not_made_times = 3;
	rig_start(&r);
	lose(&r, 15);
	pair_wait_reason(
		&r.p,
		"the gap record cannot be written: east.gaps.internal: not ready: not on a "
		"Monday",
		STEP_MS);
	assert_int_equal(end_of(&r, "east.t"), 10);
	pair_wait_copied(&r.p, LONG_MS);
	pair_end(&r.p);
}

/* Kafka does not say whether a topic is there that the user may not see. */
static void topic_not_seen(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r);
	r.not_seen = GAPS;
	rig_start(&r);
	lose(&r, 15);
	pair_wait_logged(&r.p,
			 "event=internal_topic_not_ready link=east->west cluster=west "
			 "topic=east.gaps.internal error=KAFKA_TOPIC_AUTHORIZATION_FAILED",
			 STEP_MS);
	pair_wait_reason(&r.p,
			 "the gap record cannot be written: east.gaps.internal: not ready: "
			 "TOPIC_AUTHORIZATION_FAILED: this user needs ",
			 STEP_MS);
	assert_int_equal(end_of(&r, "east.t"), 10);
	r.not_seen = NULL;
	pair_wait_copied(&r.p, LONG_MS);
	pair_end(&r.p);
}

static bool no_answer_given(struct pair *p)
{
	return ((struct rig *)p)->silent == 0;
}

/* A record that was on its way when the partition was held says nothing of the one that comes
 * after. */
static void an_older_answer_does_not_count(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r);
	r.silent = r.good = 1;
	r.refused = FOR_EVER;
	rig_start(&r);
	lose(&r, 15);
	pair_wait(&r.p, no_answer_given, 0);
	assert_int_equal(pair_partition(&r.p)->phase, PHASE_RECORD);
	lose(&r, 25);
	pair_wait_reason(&r.p, "source offsets 10 to 24", 0);
	/* The first is answered at the second try, the second is refused. */
	pair_wait_logged(
		&r.p,
		"event=internal_topic_not_written link=east->west topic=east.gaps.internal "
		"error=KAFKA_POLICY_VIOLATION",
		LONG_MS);
	pair_pass(&r.p, 100 * STEP_MS, STEP_MS);
	assert_int_equal(end_of(&r, GAPS), 1);
	assert_int_equal(pair_partition(&r.p)->phase, PHASE_RECORD);
	assert_int_equal(end_of(&r, "east.t"), 10);
	assert_int_equal(pair_partition(&r.p)->counters.gaps[ON_DATA_LOSS], 0);
	r.refused = 0;
	pair_wait_copied(&r.p, LONG_MS);
	assert_int_equal(gaps_count(r.p.link->gaps), 1);
	assert_gap(&r, 0, "\"source_last\":24");
	pair_end(&r.p);
}

/* ---- dead letters ---- */

/* Where a record came from is in its headers. */
static void check_letter(void *arg, const struct record *r)
{
	const char *offset = arg;
	char headers[1024];
	size_t n = 0;
	assert_int_equal(be64_get(r->value.p), BAD);
	assert_int_equal(r->headers_n, 7);
	for (size_t i = 0; i < r->headers.n && n < sizeof headers - 1; i++)
		if (r->headers.p[i] >= ' ')
			headers[n++] = (char)r->headers.p[i];
	headers[n] = '\0';
	if (strstr(headers, offset) == NULL)
		fail_msg("%s is not in %s", offset, headers);
}

static void assert_letters(struct rig *r, size_t n)
{
	const struct model_topic *t = model_topic(&r->p.target, LETTERS);
	char offset[] = "farshore.offset3";
	assert_int_equal(model_each_record(buf_bytes(&t->parts[0].bytes), check_letter, offset), n);
}

static void parked(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r);
	r.refuses_bad = true;
	rig_start(&r);
	assert_int_equal(end_of(&r, "east.t"), 9);
	assert_letters(&r, 1);
	assert_int_equal(gaps_count(r.p.link->gaps), 1);
	assert_gap(&r, 0, "\"error\":\"KAFKA_MESSAGE_TOO_LARGE\"");
	assert_int_equal(pair_partition(&r.p)->counters.dead_letters, 1);
	assert_int_equal(pair_logged(&r.p, "event=dead_letter link=east->west topic=t partition=0 "
					   "offset=3"),
			 1);
	pair_end(&r.p);
}

/* The gap record of a letter proves nothing once the offset holds another record. */
static void parked_again_when_it_is_another(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r);
	r.refuses_bad = true;
	rig_start(&r);
	assert_letters(&r, 1);
	pair_stop(&r.p);
	/* Both topics are made anew (there are no topic ids to tell), with as many records. */
	struct model_topic *t = model_topic(&r.p.target, "east.t");
	buf_clear(&t->parts[0].bytes);
	t->parts[0].end = 0;
	rig_start(&r);
	assert_int_equal(end_of(&r, "east.t"), 9);
	assert_letters(&r, 2);
	pair_end(&r.p);
}

static void letter_refused(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r);
	r.refuses_bad = true;
	r.letters_wrong = 1;
	r.error = MESSAGE_TOO_LARGE;
	pair_start(&r.p);
	pair_wait_logged(&r.p, "and it cannot be parked: east.dead-letters.internal: ", STEP_MS);
	assert_int_equal(pair_partition(&r.p)->state, STATE_REFUSED);
	pair_wait_copied(&r.p, LONG_MS);
	assert_letters(&r, 1);
	pair_end(&r.p);
}

/* What passes by itself is not made a matter of 30 s. */
static void letter_refused_for_a_moment(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r);
	r.refuses_bad = true;
	r.letters_wrong = 1;
	r.error = UNKNOWN_TOPIC;
	rig_start(&r);
	assert_letters(&r, 1);
	assert_int_equal(pair_logged(&r.p, "and it cannot be parked"), 0);
	pair_end(&r.p);
}

static void letters_topic_not_made(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r);
	r.refuses_bad = true;
	r.not_made = LETTERS;
	r.not_made_times = 1;
	pair_start(&r.p);
	pair_wait_logged(&r.p,
			 "and it cannot be parked: east.dead-letters.internal: not ready: not on a "
			 "Monday",
			 STEP_MS);
	assert_int_equal(end_of(&r, "east.t"), 3);
	pair_wait_copied(&r.p, LONG_MS);
	assert_letters(&r, 1);
	pair_end(&r.p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recorded_and_read_back),
		cmocka_unit_test(read_what_is_left),
		cmocka_unit_test(record_refused),
		cmocka_unit_test(topic_not_made),
		cmocka_unit_test(topic_not_seen),
		cmocka_unit_test(an_older_answer_does_not_count),
		cmocka_unit_test(parked),
		cmocka_unit_test(parked_again_when_it_is_another),
		cmocka_unit_test(letter_refused),
		cmocka_unit_test(letter_refused_for_a_moment),
		cmocka_unit_test(letters_topic_not_made),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
