/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole link against scripted brokers: what topics.c, prober.c, sender.c, source.c and journal.c
 * make of answers that refuse, that are short, or that say what they must not. In each case the
 * trouble is told, nothing wrong is believed, and all is copied once the answers are good again.
 * F18, F22, M5; the order and number of requests of a start.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/mirror/model.h"

enum {
	UNKNOWN_SERVER_ERROR = -1,
	OFFSET_OUT_OF_RANGE = 1,
	CORRUPT_MESSAGE = 2,
	NOT_LEADER = 6,
	MESSAGE_TOO_LARGE = 10,
	COORDINATOR_LOADING = 14,
	TOPIC_AUTHORIZATION_FAILED = 29,
	POLICY_VIOLATION = 44,
	OUT_OF_ORDER = 45,
	STEP_MS = 20,
	LONG_MS = 200
};

/* What a twist does, and how often. */
struct spoil {
	int times; /* as often; then the answers are good */
	int16_t error;
	const char *topic; /* of these alone; NULL: all */
	bool slow;         /* the next try comes half a minute later */
};

static bool spoils(struct spoil *s)
{
	return s->times > 0 && s->times-- > 0;
}

static unsigned seen(const struct model *m, int16_t api)
{
	return scripted_peer_seen(m->peer, api);
}

/* Start with one partition and ten records, spoil an API of one side, and see it through: the log
 * says `says`, and in the end all is copied. */
static void see_through(struct pair *p, bool source, int16_t api, scripted_handler *fn,
			struct spoil *s, const char *says)
{
	pair_init(p, 1);
	model_append(&p->source, "t", 0, 10);
	struct model *m = source ? &p->source : &p->target;
	model_twist(m, api, fn, s);
	pair_start(p);
	if (says != NULL)
		pair_wait_logged(p, says, STEP_MS);
	pair_wait_copied(p, s->slow ? LONG_MS : STEP_MS);
	assert_true(m->twisted > 0);
	assert_int_equal(s->times, 0);
	assert_int_equal(pair_partition(p)->dst_acked, 10);
}

/* One partition, whose ten records are copied. */
static void begin(struct pair *p)
{
	pair_init(p, 1);
	model_append(&p->source, "t", 0, 10);
	pair_start(p);
	pair_wait_copied(p, STEP_MS);
}

/* ---- a start ---- */

/* The answer to the creation tells the configuration, so nobody asks for it; connections are open
 * before they are needed; and the bootstrap connection serves on. */
static void test_a_start_asks_little(void **state)
{
	(void)state;
	struct pair p;
	pair_init(&p, 2);
	model_append(&p.source, "t", 0, 10);
	model_append(&p.source, "t", 1, 5);
	p.config.sync_configs_ms = 1 << 30;
	pair_start(&p);
	pair_wait_copied(&p, STEP_MS);
	assert_int_equal(seen(&p.source, WIRE_API_DESCRIBE_CONFIGS), 1);
	assert_int_equal(seen(&p.target, WIRE_API_DESCRIBE_CONFIGS), 0);
	assert_int_equal(seen(&p.target, WIRE_API_CREATE_TOPICS), 2); /* the run tables' too */
	assert_int_equal(seen(&p.source, WIRE_API_LIST_OFFSETS), 2);
	assert_int_equal(scripted_peer_accepted(p.source.peer), 3); /* control, tail, bulk */
	assert_int_equal(scripted_peer_accepted(p.target.peer), 2); /* control, produce */
	pair_end(&p);
}

/* Before KIP-525 it must be asked for. */
static void test_creation_without_configs(void **state)
{
	(void)state;
	struct pair p;
	pair_init(&p, 1);
	model_append(&p.source, "t", 0, 10);
	scripted_peer_versions(p.target.peer, WIRE_API_CREATE_TOPICS, 2, 4);
	pair_start(&p);
	pair_wait_copied(&p, STEP_MS);
	assert_true(seen(&p.target, WIRE_API_DESCRIBE_CONFIGS) > 0);
	pair_end(&p);
}

static void test_empty_topic_then_records(void **state)
{
	(void)state;
	struct pair p;
	pair_init(&p, 1);
	pair_start(&p);
	pair_wait_copied(&p, STEP_MS);
	model_append(&p.source, "t", 0, 7);
	pair_wait_copied(&p, STEP_MS);
	assert_int_equal(pair_partition(&p)->dst_acked, 7);
	pair_end(&p);
}

/* Restart: the tables are loaded, nothing is copied again; the target's last batch is compared. */
static void test_restart(void **state)
{
	(void)state;
	struct pair p;
	begin(&p);
	pair_stop(&p);
	model_append(&p.source, "t", 0, 3);
	pair_start(&p);
	pair_wait_copied(&p, STEP_MS);
	assert_int_equal(pair_partition(&p)->counters.records, 3);
	pair_end(&p);
}

/* The run tables' topic was not compacted, and its oldest records are deleted: what it still holds
 * counts. */
static void test_restart_with_cut_tables(void **state)
{
	(void)state;
	struct pair p;
	begin(&p);
	pair_stop(&p);
	model_topic(&p.target, "east.offset-runs.internal")->parts[0].start = 1;
	model_append(&p.source, "t", 0, 3);
	pair_start(&p);
	pair_wait_logged(&p,
			 "event=run_tables_cut link=east->west stored_in=east.offset-runs.internal "
			 "begins_at=1 ",
			 STEP_MS);
	pair_wait_copied(&p, STEP_MS);
	assert_int_equal(pair_partition(&p)->counters.records, 3);
	pair_end(&p);
}

/* A link that copies both ways would take a topic without a table for one to be copied. */
static void test_cut_tables_both_ways(void **state)
{
	(void)state;
	struct pair p;
	begin(&p);
	pair_stop(&p);
	model_topic(&p.target, "east.offset-runs.internal")->parts[0].start = 1;
	p.config.two_way = true;
	pair_start(&p);
	pair_wait_logged(&p,
			 "event=run_tables_not_loaded link=east->west "
			 "error=KAFKA_OFFSET_OUT_OF_RANGE "
			 "reason=\"east.offset-runs.internal: its oldest records were deleted; ",
			 STEP_MS);
	assert_string_equal(mirror_state_name(p.link->state), "STARTING");
	assert_non_null(strstr(p.link->load_problem.text, "delete it to begin again"));
	pair_end(&p);
}

/* ---- topics.c ---- */

static enum scripted_act refuse_creation(void *arg, struct scripted_request *q, void *answer)
{
	struct spoil *s = arg;
	struct create_topics_response *a = answer;
	(void)q;
	for (int32_t i = 0; i < a->topics_n; i++) {
		if (s->topic == NULL || !bytes_eq_str(a->topics[i].name, s->topic) || !spoils(s))
			continue;
		a->topics[i].error_code = s->error;
		a->topics[i].error_message = bytes_str("not on a Monday");
	}
	return SCRIPTED_ANSWER;
}

static void test_topic_refused(void **state)
{
	(void)state;
	struct pair p;
	struct spoil s = {.times = 2, .error = POLICY_VIOLATION, .topic = "east.t"};
	see_through(&p, false, WIRE_API_CREATE_TOPICS, refuse_creation, &s,
		    "event=topic_not_ready link=east->west topic=t "
		    "error=KAFKA_POLICY_VIOLATION reason=\"creating it at the target: "
		    "KAFKA_POLICY_VIOLATION: not on a Monday\"");
	size_t n;
	struct topic_entry **list = link_topics_sorted(p.link, &n);
	assert_string_equal(list[0]->problem.text, "");
	mem_free(list);
	pair_end(&p);
}

static void test_internal_topic_refused(void **state)
{
	(void)state;
	struct pair p;
	struct spoil s = {
		.times = 2, .error = POLICY_VIOLATION, .topic = "east.offset-runs.internal"};
	see_through(&p, false, WIRE_API_CREATE_TOPICS, refuse_creation, &s,
		    "event=internal_topic_not_ready");
	pair_end(&p);
}

static enum scripted_act hang_up(void *arg, struct scripted_request *q, void *answer)
{
	struct spoil *s = arg;
	(void)q, (void)answer;
	return spoils(s) ? SCRIPTED_CLOSE : SCRIPTED_ANSWER;
}

static void test_connection_lost_while_creating(void **state)
{
	(void)state;
	struct pair p;
	struct spoil s = {.times = 2};
	see_through(&p, false, WIRE_API_CREATE_TOPICS, hang_up, &s, NULL);
	pair_end(&p);
}

static enum scripted_act spoil_configs(void *arg, struct scripted_request *q, void *answer)
{
	struct spoil *s = arg;
	struct describe_configs_response *a = answer;
	(void)q;
	if (!spoils(s))
		return SCRIPTED_ANSWER;
	if (s->error == 0)
		a->results_n = 0; /* the answer is short */
	else
		a->results[0].error_code = s->error;
	return SCRIPTED_ANSWER;
}

static void test_source_config_refused(void **state)
{
	(void)state;
	struct pair p;
	struct spoil s = {.times = 1, .error = TOPIC_AUTHORIZATION_FAILED};
	see_through(&p, true, WIRE_API_DESCRIBE_CONFIGS, spoil_configs, &s,
		    "describing its configuration at the source");
	pair_end(&p);
}

/* What is not answered is asked again. */
static void test_source_config_left_out(void **state)
{
	(void)state;
	struct pair p;
	struct spoil s = {.times = 3};
	see_through(&p, true, WIRE_API_DESCRIBE_CONFIGS, spoil_configs, &s, NULL);
	pair_end(&p);
}

static bool described_twice(struct pair *p)
{
	return p->target.twisted >= 2;
}

/* A failed look at the configuration later disturbs no copy. */
static void test_target_config_refused_later(void **state)
{
	(void)state;
	struct pair p;
	struct spoil s = {.times = 1, .error = TOPIC_AUTHORIZATION_FAILED};
	begin(&p);
	model_twist(&p.target, WIRE_API_DESCRIBE_CONFIGS, spoil_configs, &s);
	pair_wait_logged(&p, "describing its configuration at the target", STEP_MS);
	pair_wait(&p, described_twice, STEP_MS);
	model_append(&p.source, "t", 0, 5);
	pair_wait_copied(&p, STEP_MS);
	assert_int_equal(pair_logged(&p, "event=partition_state"),
			 pair_logged(&p, "state=CATCHING_UP") +
				 pair_logged(&p, "state=ACTIVE from") -
				 pair_logged(&p, "event=link_state"));
	pair_end(&p);
}

static enum scripted_act other_config(void *arg, struct scripted_request *q, void *answer)
{
	struct describe_configs_response *a = answer;
	(void)arg, (void)q;
	for (int32_t i = 0; i < a->results_n; i++) {
		a->results[i].configs[1].value = bytes_str("2000000");
		a->results[i].configs[1].config_source = CONFIG_FROM_TOPIC;
	}
	return SCRIPTED_ANSWER;
}

static enum scripted_act refuse_alter(void *arg, struct scripted_request *q, void *answer)
{
	struct spoil *s = arg;
	struct incremental_alter_configs_response *a = answer;
	(void)q;
	if (spoils(s))
		a->responses[0].error_code = s->error;
	return SCRIPTED_ANSWER;
}

/* A change that was refused is not told as made. */
static void test_alter_refused(void **state)
{
	(void)state;
	struct pair p;
	struct spoil s = {.times = 1, .error = POLICY_VIOLATION};
	pair_init(&p, 1);
	pair_start(&p);
	pair_wait_copied(&p, STEP_MS);
	model_twist(&p.source, WIRE_API_DESCRIBE_CONFIGS, other_config, NULL);
	model_twist(&p.target, WIRE_API_INCREMENTAL_ALTER_CONFIGS, refuse_alter, &s);
	pair_wait_logged(&p, "changing its configuration at the target: policy violation", STEP_MS);
	assert_int_equal(pair_logged(&p, "event=topic_config_changed"), 0);
	pair_wait_logged(&p, "event=topic_config_changed", STEP_MS);
	pair_end(&p);
}

static enum scripted_act refuse_growth(void *arg, struct scripted_request *q, void *answer)
{
	struct spoil *s = arg;
	struct create_partitions_response *a = answer;
	(void)q;
	if (spoils(s))
		a->results[0].error_code = s->error;
	return SCRIPTED_ANSWER;
}

static void test_growth_refused(void **state)
{
	(void)state;
	struct pair p;
	struct spoil s = {.times = 1, .error = POLICY_VIOLATION};
	begin(&p);
	model_twist(&p.target, WIRE_API_CREATE_PARTITIONS, refuse_growth, &s);
	struct model_topic *t = model_topic(&p.source, "t");
	buf_init(&t->parts[1].bytes, MODEL_LOG_BYTES);
	t->n = 2;
	model_append(&p.source, "t", 1, 4);
	pair_wait_logged(&p, "adding partitions at the target", STEP_MS);
	pair_wait_copied(&p, STEP_MS);
	pair_end(&p);
}

/* ---- prober.c ---- */

static enum scripted_act spoil_list(void *arg, struct scripted_request *q, void *answer)
{
	struct spoil *s = arg;
	struct list_offsets_response *a = answer;
	(void)q;
	if (!spoils(s))
		return SCRIPTED_ANSWER;
	if (s->error == UNKNOWN_SERVER_ERROR)
		a->topics[0].partitions[0].offset = -1;
	else if (s->error != 0)
		a->topics[0].partitions[0].error_code = s->error;
	else if (s->topic != NULL)
		a->topics[0].name = bytes_str(s->topic);
	else
		a->topics[0].partitions_n = 0;
	return SCRIPTED_ANSWER;
}

static void test_ends_left_out(void **state)
{
	(void)state;
	struct pair p;
	struct spoil s = {.times = 2};
	see_through(&p, true, WIRE_API_LIST_OFFSETS, spoil_list, &s,
		    "the answer does not name the partition");
	pair_end(&p);
}

static void test_ends_of_another_topic(void **state)
{
	(void)state;
	struct pair p;
	struct spoil s = {.times = 2, .topic = "u"};
	see_through(&p, true, WIRE_API_LIST_OFFSETS, spoil_list, &s,
		    "the answer does not name the partition");
	pair_end(&p);
}

static void test_ends_refused(void **state)
{
	(void)state;
	struct pair p;
	struct spoil s = {.times = 3, .error = NOT_LEADER};
	see_through(&p, false, WIRE_API_LIST_OFFSETS, spoil_list, &s, "asking the target: ");
	pair_end(&p);
}

static void test_ends_below_zero(void **state)
{
	(void)state;
	struct pair p;
	struct spoil s = {.times = 2, .error = UNKNOWN_SERVER_ERROR};
	see_through(&p, true, WIRE_API_LIST_OFFSETS, spoil_list, &s, "asking the source: ");
	pair_end(&p);
}

static enum scripted_act hide_tail(void *arg, struct scripted_request *q, void *answer)
{
	struct spoil *s = arg;
	struct fetch_response *a = answer;
	(void)q;
	for (int32_t i = 0; i < a->responses_n; i++) {
		if (!bytes_eq_str(a->responses[i].topic, "east.t") || !spoils(s))
			continue;
		if (s->error == 0)
			a->responses[i].partitions[0].records.data = bytes_of("", 0);
		else
			a->responses[i].partitions[0].error_code = s->error;
	}
	return SCRIPTED_ANSWER;
}

/* After a restart the target's last batch is asked for; answers without it, or with an error. */
static void restart_with_bad_tail(int16_t error, const char *says)
{
	struct pair p;
	struct spoil s = {.times = 2, .error = error};
	begin(&p);
	pair_stop(&p);
	model_append(&p.source, "t", 0, 3);
	model_twist(&p.target, WIRE_API_FETCH, hide_tail, &s);
	pair_start(&p);
	pair_wait_logged(&p, says, STEP_MS);
	pair_wait_copied(&p, STEP_MS);
	assert_int_equal(s.times, 0);
	pair_end(&p);
}

static void test_tail_left_out(void **state)
{
	(void)state;
	restart_with_bad_tail(0, "the answer does not name the partition");
}

static void test_tail_refused(void **state)
{
	(void)state;
	restart_with_bad_tail(NOT_LEADER, "asking the target: ");
}

static enum scripted_act refuse_epoch(void *arg, struct scripted_request *q, void *answer)
{
	struct spoil *s = arg;
	struct offset_for_leader_epoch_response *a = answer;
	(void)q;
	if (spoils(s))
		a->topics[0].partitions[0].error_code = s->error;
	return SCRIPTED_ANSWER;
}

static void test_epoch_refused(void **state)
{
	(void)state;
	struct pair p;
	struct spoil s = {.times = 2, .error = NOT_LEADER};
	begin(&p);
	pair_stop(&p);
	model_append(&p.source, "t", 0, 3);
	model_twist(&p.source, WIRE_API_OFFSET_FOR_LEADER_EPOCH, refuse_epoch, &s);
	pair_start(&p);
	pair_wait_logged(&p, "asking the source: ", STEP_MS);
	pair_wait_copied(&p, STEP_MS);
	assert_int_equal(s.times, 0);
	pair_end(&p);
}

/* ---- sender.c ---- */

static enum scripted_act spoil_produce(void *arg, struct scripted_request *q, void *answer)
{
	struct spoil *s = arg;
	struct produce_response *a = answer;
	(void)q;
	if (!bytes_eq_str(a->responses[0].name, "east.t") || !spoils(s))
		return SCRIPTED_ANSWER;
	if (s->error != 0)
		a->responses[0].partition_responses[0].error_code = s->error;
	else
		a->responses_n = 0;
	return SCRIPTED_ANSWER;
}

/* Not appended either. */
static void test_produce_answer_left_out(void **state)
{
	(void)state;
	struct pair p;
	struct spoil s = {.times = 2};
	see_through(&p, false, WIRE_API_PRODUCE, spoil_produce, &s,
		    "the answer does not name east.t-0");
	pair_end(&p);
}

static void test_produce_refused_for_a_while(void **state)
{
	(void)state;
	static const struct {
		int16_t error;
		const char *says;
	} cases[] = {
		{NOT_LEADER, "state=TARGET_UNAVAILABLE"},
		{CORRUPT_MESSAGE, "CORRUPT_MESSAGE: its bytes changed"},
		{MESSAGE_TOO_LARGE, "state=REFUSED"},
		{OUT_OF_ORDER, NULL},
		{UNKNOWN_SERVER_ERROR, "state=TARGET_UNAVAILABLE"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct pair p;
		struct spoil s = {.times = 2,
				  .error = cases[i].error,
				  .slow = cases[i].error == MESSAGE_TOO_LARGE};
		see_through(&p, false, WIRE_API_PRODUCE, spoil_produce, &s, cases[i].says);
		pair_end(&p);
	}
}

static bool is_refused(struct pair *p)
{
	const struct partition *x = pair_partition(p);
	return x != NULL && x->state == STATE_REFUSED && x->phase == PHASE_WAIT;
}

/* Not at the next half minute, but when the target's configuration is another one. */
static void test_refused_until_the_config_changes(void **state)
{
	(void)state;
	struct pair p;
	struct spoil s = {.times = 1000000, .error = POLICY_VIOLATION};
	pair_init(&p, 1);
	model_append(&p.source, "t", 0, 10);
	model_twist(&p.target, WIRE_API_PRODUCE, spoil_produce, &s);
	pair_start(&p);
	pair_wait(&p, is_refused, STEP_MS);
	model_twist(&p.target, WIRE_API_PRODUCE, NULL, NULL);
	pair_pass(&p, 10000, 2 * STEP_MS);
	assert_true(is_refused(&p));
	snprintf(model_topic(&p.target, "east.t")->max_batch, 16, "%d", 2000000);
	int64_t before = p.skew_ms;
	pair_wait_copied(&p, STEP_MS);
	assert_true(p.skew_ms - before < 10000);
	pair_end(&p);
}

static enum scripted_act call_repeated(void *arg, struct scripted_request *q, void *answer)
{
	struct spoil *s = arg;
	struct produce_response *a = answer;
	(void)q;
	if (bytes_eq_str(a->responses[0].name, "east.t") && spoils(s))
		a->responses[0].partition_responses[0].log_append_time_ms = 1009;
	return SCRIPTED_ANSWER;
}

/* A repetition is looked at before it counts; here it turns out to be the copy. */
static void test_repetition_is_looked_at(void **state)
{
	(void)state;
	struct pair p;
	struct spoil s = {.times = 1};
	see_through(&p, false, WIRE_API_PRODUCE, call_repeated, &s, NULL);
	assert_int_equal(pair_partition(&p)->counters.faults, 1);
	assert_int_equal(pair_partition(&p)->counters.records, 0); /* found, not copied by us */
	pair_end(&p);
}

/* ---- source.c ---- */

static enum scripted_act spoil_fetch(void *arg, struct scripted_request *q, void *answer)
{
	struct spoil *s = arg;
	struct fetch_response *a = answer;
	(void)q;
	if (a->responses_n == 0 || !spoils(s))
		return SCRIPTED_ANSWER;
	if (s->error == 0)
		a->responses[0].partitions[0].preferred_read_replica = 77;
	else
		a->responses[0].partitions[0].error_code = s->error;
	return SCRIPTED_ANSWER;
}

static void test_fetch_refused(void **state)
{
	(void)state;
	static const int16_t errors[] = {NOT_LEADER, UNKNOWN_SERVER_ERROR, OFFSET_OUT_OF_RANGE,
					 TOPIC_AUTHORIZATION_FAILED};
	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
		struct pair p;
		struct spoil s = {.times = 3, .error = errors[i]};
		see_through(&p, true, WIRE_API_FETCH, spoil_fetch, &s, NULL);
		assert_true(pair_partition(&p)->counters.faults > 0);
		pair_end(&p);
	}
}

/* KIP-392: sent to a replica that nobody knows: back to the leader. */
static void test_unknown_replica(void **state)
{
	(void)state;
	struct pair p;
	struct spoil s = {.times = 2};
	see_through(&p, true, WIRE_API_FETCH, spoil_fetch, &s, NULL);
	pair_end(&p);
}

static enum scripted_act shorten_fetch(void *arg, struct scripted_request *q, void *answer)
{
	struct spoil *s = arg;
	struct fetch_response *a = answer;
	(void)q;
	if (a->responses_n > 0 && a->responses[0].partitions[0].records.data.n > 30 && spoils(s))
		a->responses[0].partitions[0].records.data.n = 30;
	return SCRIPTED_ANSWER;
}

static void test_half_a_batch(void **state)
{
	(void)state;
	struct pair p;
	struct spoil s = {.times = 4};
	see_through(&p, true, WIRE_API_FETCH, shorten_fetch, &s, NULL);
	pair_end(&p);
}

/* ---- journal.c ---- */

static enum scripted_act spoil_producer(void *arg, struct scripted_request *q, void *answer)
{
	struct spoil *s = arg;
	struct init_producer_id_response *a = answer;
	(void)q;
	if (!spoils(s))
		return SCRIPTED_ANSWER;
	if (s->error != 0)
		a->error_code = s->error;
	else
		a->producer_id = -1;
	return SCRIPTED_ANSWER;
}

static void test_no_producer_id(void **state)
{
	(void)state;
	for (int16_t i = 0; i < 2; i++) {
		struct pair p;
		struct spoil s = {.times = 2, .error = i == 0 ? COORDINATOR_LOADING : 0};
		see_through(&p, false, WIRE_API_INIT_PRODUCER_ID, spoil_producer, &s,
			    "event=run_tables_not_loaded");
		assert_true(pair_partition(&p)->producer_id >= 4000);
		pair_end(&p);
	}
}

static enum scripted_act refuse_store(void *arg, struct scripted_request *q, void *answer)
{
	struct spoil *s = arg;
	struct produce_response *a = answer;
	(void)q;
	if (bytes_eq_str(a->responses[0].name, "east.t") || !spoils(s))
		return SCRIPTED_ANSWER;
	if (s->error != 0)
		a->responses[0].partition_responses[0].error_code = s->error;
	else
		a->responses[0].partition_responses_n = 0;
	return SCRIPTED_ANSWER;
}

/* The first write is the link's producer id, the next are positions: no record before these. */
static void test_positions_cannot_be_stored(void **state)
{
	(void)state;
	for (int16_t i = 0; i < 2; i++) {
		struct pair p;
		struct spoil s = {.times = 4, .error = i == 0 ? NOT_LEADER : 0};
		see_through(&p, false, WIRE_API_PRODUCE, refuse_store, &s,
			    "event=run_tables_not_loaded");
		pair_end(&p);
	}
}

static enum scripted_act spoil_table(void *arg, struct scripted_request *q, void *answer)
{
	struct spoil *s = arg;
	struct fetch_response *a = answer;
	(void)q;
	if (a->responses_n == 0 ||
	    !bytes_eq_str(a->responses[0].topic, "east.offset-runs.internal") || !spoils(s))
		return SCRIPTED_ANSWER;
	if (s->error == 0)
		a->responses_n = 0;
	else
		a->responses[0].partitions[0].error_code = s->error;
	return SCRIPTED_ANSWER;
}

static void test_tables_cannot_be_read(void **state)
{
	(void)state;
	for (int16_t i = 0; i < 2; i++) {
		struct pair p;
		struct spoil s = {.times = 2, .error = i == 0 ? NOT_LEADER : 0};
		see_through(&p, false, WIRE_API_FETCH, spoil_table, &s,
			    "event=run_tables_not_loaded");
		pair_end(&p);
	}
}

/* ---- holding ---- */

static bool is_held(struct pair *p)
{
	const struct partition *x = pair_partition(p);
	return x != NULL && x->state == STATE_PAUSED && x->in_flight.n == 0;
}

static void test_hold(void **state)
{
	(void)state;
	struct pair p;
	size_t n;
	pair_init(&p, 2);
	model_append(&p.source, "t", 0, 10);
	p.config.paused = true;
	pair_start(&p);
	pair_wait(&p, is_held, STEP_MS);
	pair_pass(&p, 4000, 2 * STEP_MS);
	assert_int_equal(model_topic(&p.target, "east.t")->parts[0].end, 0);
	assert_true(link_ready(p.link));
	assert_true(link_held(p.link));
	assert_int_equal(link_hold(p.link, "u", -1, NULL, &n), ERR_NOT_FOUND);
	assert_int_equal(link_hold(p.link, "t", 2, NULL, &n), ERR_NOT_FOUND);
	assert_int_equal(link_hold(p.link, "t", 1, NULL, &n), ERR_OK);
	assert_int_equal(n, 1);
	assert_false(link_held(p.link));
	pair_pass(&p, 4000, 2 * STEP_MS);
	assert_int_equal(model_topic(&p.target, "east.t")->parts[0].end, 0);
	assert_int_equal(link_hold(p.link, NULL, -1, NULL, &n), ERR_OK);
	assert_int_equal(n, 2);
	pair_wait_copied(&p, STEP_MS);
	assert_int_equal(link_hold(p.link, "t", -1, "test", &n), ERR_OK);
	assert_int_equal(n, 2);
	model_append(&p.source, "t", 1, 5);
	pair_pass(&p, 4000, 2 * STEP_MS);
	assert_int_equal(model_topic(&p.target, "east.t")->parts[1].end, 0);
	assert_int_equal(link_hold(p.link, "t", -1, NULL, &n), ERR_OK);
	pair_wait_copied(&p, STEP_MS);
	pair_end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_start_asks_little),
		cmocka_unit_test(test_creation_without_configs),
		cmocka_unit_test(test_empty_topic_then_records),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_restart_with_cut_tables),
		cmocka_unit_test(test_cut_tables_both_ways),
		cmocka_unit_test(test_topic_refused),
		cmocka_unit_test(test_internal_topic_refused),
		cmocka_unit_test(test_connection_lost_while_creating),
		cmocka_unit_test(test_source_config_refused),
		cmocka_unit_test(test_source_config_left_out),
		cmocka_unit_test(test_target_config_refused_later),
		cmocka_unit_test(test_alter_refused),
		cmocka_unit_test(test_growth_refused),
		cmocka_unit_test(test_ends_left_out),
		cmocka_unit_test(test_ends_of_another_topic),
		cmocka_unit_test(test_ends_refused),
		cmocka_unit_test(test_ends_below_zero),
		cmocka_unit_test(test_tail_left_out),
		cmocka_unit_test(test_tail_refused),
		cmocka_unit_test(test_epoch_refused),
		cmocka_unit_test(test_produce_answer_left_out),
		cmocka_unit_test(test_produce_refused_for_a_while),
		cmocka_unit_test(test_refused_until_the_config_changes),
		cmocka_unit_test(test_repetition_is_looked_at),
		cmocka_unit_test(test_fetch_refused),
		cmocka_unit_test(test_unknown_replica),
		cmocka_unit_test(test_half_a_batch),
		cmocka_unit_test(test_no_producer_id),
		cmocka_unit_test(test_positions_cannot_be_stored),
		cmocka_unit_test(test_tables_cannot_be_read),
		cmocka_unit_test(test_hold),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
