/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A link whose topics are copied the other way, too: it waits for the other link's tables, leaves
 * out what that one wrote, asks once about each producer that it does not know, and writes among
 * the target's own writers. The cluster "east" is its source, so the other link stores there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "checkpoint/block.h"
#include "mirror/clusters/id_set.h"
#include "mirror/clusters/reverse.h"
#include "tests/unit/mirror/model.h"

enum { STEP_MS = 20, LIST_OFFSETS = 2, NOT_LEADER = 6, OTHER = 900, LATER = 901, LOCAL = 55 };

static const char TABLES[] = "west.offset-runs.internal";

/* ---- what the other link stores ---- */

static void store_link(struct pair *p, const char *member, int64_t producer)
{
	struct buf key, value;
	buf_init(&key, BLOCK_KEY_MAX);
	buf_init(&value, BLOCK_VALUE_MAX);
	const struct block_link l = {.member = bytes_str(member), .producer_id = producer};
	assert_int_equal(block_encode_link(&l, &key, &value), ERR_OK);
	model_append_pair(&p->source, TABLES, buf_bytes(&key), buf_bytes(&value));
	buf_fini(&key);
	buf_fini(&value);
}

/* Its records 0..n-1 of "t" stand at dst..dst+n-1 of ours; written by `producer`. */
static void store_run(struct pair *p, int64_t dst, int64_t n, int64_t producer)
{
	struct buf key, value;
	buf_init(&key, BLOCK_KEY_MAX);
	buf_init(&value, BLOCK_VALUE_MAX);
	struct runs *r = runs_new(1 << 16);
	assert_non_null(r);
	assert_int_equal(runs_append(r, 0, dst, n), ERR_OK);
	const struct block_info info = {.topic = bytes_str("t"),
					.producer_id = producer,
					.leader_epoch = -1,
					.src_end = n,
					.dst_end = dst + n};
	assert_int_equal(block_encode_key(&info, &key), ERR_OK);
	assert_int_equal(block_encode_value(&info, r, 0, 1, &value), ERR_OK);
	model_append_pair(&p->source, TABLES, buf_bytes(&key), buf_bytes(&value));
	runs_free(r);
	buf_fini(&key);
	buf_fini(&value);
}

/* ---- the link ---- */

static void begin(struct pair *p)
{
	pair_init(p, 1);
	p->config.two_way = true;
	p->config.policy = POLICY_IDENTITY;
}

/* The other link has stored its producer id already. */
static void begin_with_other_link(struct pair *p)
{
	begin(p);
	model_make(&p->source, TABLES);
	store_link(p, "", OTHER);
}

static int64_t wanted;

static bool landed(struct pair *p)
{
	const struct model_topic *t = model_topic(&p->target, "t");
	return t != NULL && t->n > 0 && t->parts[0].end >= wanted;
}

static bool at_end(struct pair *p)
{
	const struct partition *q = pair_partition(p);
	return q != NULL && q->phase == PHASE_COPY && q->state == STATE_ACTIVE &&
	       q->src_acked == model_topic(&p->source, "t")->parts[0].end;
}

static bool table_read(struct pair *p)
{
	const struct run_entry *x = reverse_entry(p->link->reverse, "t", 0);
	return x != NULL && runs_dst_end(x->runs) == wanted;
}

static struct slot *first_slot(struct pair *p)
{
	size_t n;
	struct topic_entry **topics = link_topics_sorted(p->link, &n);
	assert_int_equal(n, 1);
	struct slot *slot = topics[0]->slots[0];
	mem_free(topics);
	return slot;
}

static bool told_why(struct pair *p)
{
	const char *reason;
	int64_t since;
	return link_state(p->link, &reason, &since) == STATE_STARTING &&
	       strstr(reason, "waiting for the link in the other direction") != NULL;
}

/* ---- the tests ---- */

static void waits_until_the_other_link_has_begun(void **state)
{
	struct pair p;
	(void)state;
	begin(&p);
	model_append(&p.source, "t", 0, 5);
	pair_start(&p);
	pair_wait(&p, told_why, STEP_MS);
	assert_false(p.link->started);
	/* A topic without the producer is not enough. */
	model_make(&p.source, TABLES);
	store_link(&p, "another process", OTHER);
	for (int i = 0; i < 100; i++)
		loop_turn(p.loop, 1);
	assert_false(p.link->started);
	store_link(&p, "", OTHER);
	pair_wait(&p, at_end, STEP_MS);
	wanted = 5;
	assert_true(landed(&p));
	pair_end(&p);
}

static void leaves_out_what_the_other_link_wrote(void **state)
{
	struct pair p;
	(void)state;
	begin_with_other_link(&p);
	model_append(&p.source, "t", 0, 5);
	model_append_by(&p.source, "t", 0, 7, OTHER);
	model_append_by(&p.source, "t", 0, 2, LOCAL);
	model_append_by(&p.source, "t", 0, 3, LOCAL + 1);
	model_append_by(&p.source, "t", 0, 7, OTHER);
	pair_start(&p);
	pair_wait(&p, at_end, STEP_MS);
	wanted = 10;
	assert_true(landed(&p));
	assert_int_equal(model_topic(&p.target, "t")->parts[0].end, 10);
	const struct partition *q = pair_partition(&p);
	assert_int_equal(q->counters.copy_batches, 2);
	assert_int_equal(runs_src_end(q->runs), 24);
	pair_end(&p);
}

/* Answers of ListOffsets about the tables' topic. */
struct asks {
	unsigned n;
	unsigned refuse;
	unsigned reads; /* of the batches that wait for the answer */
	/* While it is asked: the other link takes a producer. */
	struct pair *takes;
};

static enum scripted_act count_asks(void *arg, struct scripted_request *q, void *answer)
{
	struct asks *s = arg;
	const struct list_offsets_request *r = q->msg;
	struct list_offsets_response *a = answer;
	for (int32_t i = 0; i < r->topics_n; i++) {
		if (!bytes_eq_str(r->topics[i].name, TABLES))
			continue;
		s->n++;
		if (s->refuse > 0) {
			s->refuse--;
			a->topics[i].partitions[0].error_code = NOT_LEADER;
		} else if (s->takes != NULL) {
			store_run(s->takes, 0, 4, LATER);
			a->topics[i].partitions[0].offset++;
			s->takes = NULL;
		}
	}
	return SCRIPTED_ANSWER;
}

static enum scripted_act count_waiting(void *arg, struct scripted_request *q, void *answer)
{
	struct asks *s = arg;
	const struct fetch_request *r = q->msg;
	(void)answer;
	for (int32_t i = 0; i < r->topics_n; i++)
		s->reads += bytes_eq_str(r->topics[i].topic, "t") &&
			    r->topics[i].partitions_n > 0 &&
			    r->topics[i].partitions[0].fetch_offset == 0;
	return SCRIPTED_ANSWER;
}

static void asks_once_about_a_producer(void **state)
{
	struct pair p;
	struct asks s = {.refuse = 3};
	(void)state;
	begin_with_other_link(&p);
	model_twist(&p.source, LIST_OFFSETS, count_asks, &s);
	model_twist(&p.source, WIRE_API_FETCH, count_waiting, &s);
	for (int i = 0; i < 20; i++)
		model_append_by(&p.source, "t", 0, 1, LOCAL);
	pair_start(&p);
	pair_wait(&p, at_end, STEP_MS);
	assert_int_equal(s.n, 4);     /* the refused ones are asked again */
	assert_int_equal(s.reads, 2); /* nothing is fetched meanwhile */
	for (int i = 0; i < 20; i++)
		model_append_by(&p.source, "t", 0, 1, LOCAL);
	model_append(&p.source, "t", 0, 1); /* has none to ask about */
	wanted = 41;
	pair_wait(&p, landed, STEP_MS);
	assert_int_equal(s.n, 4);
	pair_end(&p);
}

/* The batch was fetched before the table that names its writer was read. */
static void a_producer_that_was_taken_just_now(void **state)
{
	struct pair p;
	(void)state;
	begin(&p);
	struct asks s = {.takes = &p};
	model_make(&p.source, TABLES);
	store_link(&p, "", OTHER);
	model_twist(&p.source, LIST_OFFSETS, count_asks, &s);
	model_append_by(&p.source, "t", 0, 4, LATER);
	model_append_by(&p.source, "t", 0, 2, LOCAL);
	pair_start(&p);
	pair_wait(&p, at_end, STEP_MS);
	assert_int_equal(model_topic(&p.target, "t")->parts[0].end, 2);
	assert_int_equal(pair_partition(&p)->counters.copy_batches, 1);
	pair_end(&p);
}

/* A table that was made by other means than by a known producer (a mirror that was taken over):
 * its runs tell, and what lies between them is local. */
static void runs_tell_as_well(void **state)
{
	struct pair p;
	struct asks s = {0};
	(void)state;
	begin_with_other_link(&p);
	store_run(&p, 0, 4, OTHER);
	model_twist(&p.source, LIST_OFFSETS, count_asks, &s);
	model_append_by(&p.source, "t", 0, 4, LATER); /* in the run */
	pair_start(&p);
	pair_wait(&p, at_end, STEP_MS);
	assert_int_equal(s.n, 0);
	assert_int_equal(model_topic(&p.target, "t")->parts[0].end, 0);
	pair_end(&p);
}

static void writes_among_others(void **state)
{
	struct pair p;
	(void)state;
	begin_with_other_link(&p);
	model_append(&p.source, "t", 0, 5);
	/* The target has records of its own before, between and behind. */
	model_make(&p.target, "t");
	model_append(&p.target, "t", 0, 3);
	pair_start(&p);
	pair_wait(&p, at_end, STEP_MS);
	for (int i = 0; i < 5; i++) {
		model_append(&p.target, "t", 0, 2);
		model_append(&p.source, "t", 0, 1);
		pair_wait(&p, at_end, STEP_MS);
	}
	const struct partition *q = pair_partition(&p);
	assert_int_equal(q->counters.records, 10);
	assert_int_equal(q->counters.faults, 0);
	assert_int_equal(model_topic(&p.target, "t")->parts[0].end, 23);
	assert_int_equal(runs_count(q->runs), 6);
	pair_stop(&p);
	/* The next process finds its place among them. */
	model_append(&p.target, "t", 0, 2);
	model_append(&p.source, "t", 0, 1);
	pair_start(&p);
	pair_wait(&p, at_end, STEP_MS);
	assert_int_equal(pair_partition(&p)->counters.records, 1);
	assert_int_equal(runs_dst_end(pair_partition(&p)->runs), 26);
	pair_end(&p);
}

static enum scripted_act count_reads(void *arg, struct scripted_request *q, void *answer)
{
	const struct fetch_request *r = q->msg;
	(void)answer;
	for (int32_t i = 0; i < r->topics_n; i++)
		for (int32_t k = 0;
		     bytes_eq_str(r->topics[i].topic, "t") && k < r->topics[i].partitions_n; k++)
			if (r->topics[i].partitions[k].fetch_offset > *(int64_t *)arg)
				*(int64_t *)arg = r->topics[i].partitions[k].fetch_offset;
	return SCRIPTED_ANSWER;
}

/* What the target remembers of our producer spares the look at all that others wrote since. */
static void reads_no_more_of_the_target_than_needed(void **state)
{
	for (int asked = 0; asked < 2; asked++) {
		struct pair p;
		int64_t furthest = -1;
		(void)state;
		begin(&p);
		model_make(&p.source, TABLES);
		store_link(&p, "", OTHER);
		model_append(&p.source, "t", 0, 5);
		model_make(&p.target, "t");
		pair_start(&p);
		pair_wait(&p, at_end, STEP_MS);
		pair_stop(&p);
		for (int i = 0; i < 50; i++)
			model_append(&p.target, "t", 0, 2);
		if (asked == 0) /* a broker that does not have DescribeProducers */
			scripted_peer_versions(p.target.peer, WIRE_API_DESCRIBE_PRODUCERS, 1, 0);
		/* The last batch of all, and ours at 0..4; and from where the table ends. */
		model_twist(&p.target, WIRE_API_FETCH, count_reads, &furthest);
		pair_start(&p);
		pair_wait(&p, at_end, STEP_MS);
		assert_int_equal(furthest, 104);
		assert_int_equal(runs_dst_end(pair_partition(&p)->runs), asked == 0 ? 105 : 5);
		model_append(&p.source, "t", 0, 1);
		wanted = 106;
		pair_wait(&p, landed, STEP_MS);
		pair_wait(&p, at_end, STEP_MS);
		assert_int_equal(pair_partition(&p)->counters.records, 1);
		pair_end(&p);
	}
}

/* Where others write although nobody said so, until somebody says so. */
static void a_partition_can_be_shared_later(void **state)
{
	struct pair p;
	(void)state;
	pair_init(&p, 1);
	model_append(&p.source, "t", 0, 5);
	pair_start(&p);
	pair_wait(&p, pair_copied, STEP_MS);
	model_append(&p.target, "east.t", 0, 2);
	model_append(&p.source, "t", 0, 1);
	struct partition *q = first_slot(&p)->p;
	for (int i = 0; i < 1000 && q->state != STATE_FOREIGN_WRITE; i++)
		loop_turn(p.loop, 1);
	assert_int_equal(q->state, STATE_FOREIGN_WRITE);
	partition_share(q);
	model_append(&p.source, "t", 0, 1);
	pair_wait(&p, at_end, STEP_MS);
	model_append(&p.target, "east.t", 0, 1);
	model_append(&p.source, "t", 0, 1);
	pair_wait(&p, at_end, STEP_MS);
	assert_int_equal(model_topic(&p.target, "east.t")->parts[0].end, 11);
	assert_int_equal(q->counters.records, 8);
	pair_end(&p);
}

static void follows_the_tables(void **state)
{
	struct pair p;
	(void)state;
	begin_with_other_link(&p);
	pair_start(&p);
	pair_wait(&p, at_end, STEP_MS);
	assert_null(reverse_entry(p.link->reverse, "t", 0));
	for (int64_t n = 1; n < 5; n++) {
		store_run(&p, 10, n, OTHER);
		wanted = 10 + n;
		pair_wait(&p, table_read, STEP_MS);
	}
	/* A record that is not valid is told, and changes nothing. */
	model_append_pair(&p.source, TABLES, bytes_str("\1\1rubbish"), bytes_str("x"));
	store_run(&p, 10, 5, OTHER);
	wanted = 15;
	pair_wait(&p, table_read, STEP_MS);
	assert_true(pair_logged(&p, "run_table_damaged") > 0);
	assert_true(reverse_wrote(p.link->reverse, OTHER));
	assert_false(reverse_wrote(p.link->reverse, LATER));
	assert_false(reverse_wrote(p.link->reverse, -1));
	pair_end(&p);
}

static void id_sets(void **state)
{
	struct id_set s;
	(void)state;
	id_set_init(&s, 1000, clock_system());
	assert_false(id_set_has(&s, 0));
	for (int64_t i = 0; i < 1000; i++)
		assert_int_equal(id_set_add(&s, i * i), ERR_OK);
	assert_int_equal(id_set_add(&s, 9), ERR_OK); /* is there */
	assert_int_equal(id_set_add(&s, 2), ERR_LIMIT);
	assert_int_equal(s.n, 1000);
	for (int64_t i = 0; i < 1000; i++)
		assert_true(id_set_has(&s, i * i));
	assert_false(id_set_has(&s, 2));
	assert_false(id_set_has(&s, -1));
	assert_false(id_set_has(&s, INT64_MAX));
	id_set_clear(&s);
	assert_false(id_set_has(&s, 9));
	assert_int_equal(id_set_add(&s, 2), ERR_OK);
	id_set_fini(&s);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(waits_until_the_other_link_has_begun),
		cmocka_unit_test(leaves_out_what_the_other_link_wrote),
		cmocka_unit_test(asks_once_about_a_producer),
		cmocka_unit_test(a_producer_that_was_taken_just_now),
		cmocka_unit_test(runs_tell_as_well),
		cmocka_unit_test(writes_among_others),
		cmocka_unit_test(reads_no_more_of_the_target_than_needed),
		cmocka_unit_test(a_partition_can_be_shared_later),
		cmocka_unit_test(follows_the_tables),
		cmocka_unit_test(id_sets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
