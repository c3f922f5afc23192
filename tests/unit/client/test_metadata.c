/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots of metadata answers: hostile entries, leader epochs, topics made again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/client/metadata.h"

enum { TOPICS = 8, PARTS = 8, SNAPSHOT_MAX = 1 << 20 };

/* An answer under construction. */
struct answer {
	struct arena arena;
	struct metadata_response r;
};

static void answer_init(struct answer *a)
{
	arena_init(&a->arena, 1 << 24);
	wire_init(&wire_metadata_response, &a->r);
	a->r.brokers =
		wire_array_new(&a->arena, &wire_metadata_response_metadata_response_broker, 8);
	a->r.topics =
		wire_array_new(&a->arena, &wire_metadata_response_metadata_response_topic, TOPICS);
	a->r.brokers_n = 0;
	a->r.topics_n = 0;
	a->r.controller_id = 1;
}

static void answer_fini(struct answer *a)
{
	arena_fini(&a->arena);
}

static void add_broker(struct answer *a, int32_t id, const char *host, int32_t port)
{
	struct metadata_response_metadata_response_broker *b = &a->r.brokers[a->r.brokers_n++];
	b->node_id = id;
	b->host = bytes_str(host);
	b->port = port;
}

static struct metadata_response_metadata_response_topic *
add_topic(struct answer *a, const char *name, uint8_t id, int32_t parts)
{
	struct metadata_response_metadata_response_topic *t = &a->r.topics[a->r.topics_n++];
	t->name = bytes_str(name);
	t->topic_id.b[0] = id;
	t->partitions = wire_array_new(&a->arena,
				       &wire_metadata_response_metadata_response_partition, PARTS);
	t->partitions_n = parts;
	for (int32_t i = 0; i < parts; i++) {
		t->partitions[i].partition_index = i;
		t->partitions[i].leader_id = 1;
		t->partitions[i].leader_epoch = 5;
	}
	return t;
}

/* The usual answer: two brokers. */
static void answer_two(struct answer *a)
{
	answer_init(a);
	add_broker(a, 2, "b2", 9092);
	add_broker(a, 1, "b1", 9092);
}

static struct metadata *take(struct answer *a, const struct metadata *old)
{
	struct metadata *m = NULL;
	struct errmsg why = {0};
	enum err e = metadata_new(&a->r, old, SNAPSHOT_MAX, &m, &why);
	if (e != ERR_OK)
		fail_msg("%s", why.text);
	answer_fini(a);
	return m;
}

static void test_names(void **state)
{
	(void)state;
	static const char *const good[] = {"a", "A.b_c-9", "...", ".a", "-"};
	static const char *const bad[] = {"", ".", "..", "a b", "a/b", "a\n", "\xc3\xa4", "a:b"};
	char longest[251];
	memset(longest, 'x', sizeof longest);
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		assert_true(metadata_topic_name_valid(bytes_str(good[i])));
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(metadata_topic_name_valid(bytes_str(bad[i])));
	assert_true(metadata_topic_name_valid(bytes_of(longest, 249)));
	assert_false(metadata_topic_name_valid(bytes_of(longest, 250)));
	assert_false(metadata_topic_name_valid(bytes_of("a\0b", 3)));
	assert_false(metadata_topic_name_valid((struct bytes){.p = NULL}));
}

static void test_sorted_and_found(void **state)
{
	(void)state;
	struct answer a;
	answer_two(&a);
	add_topic(&a, "zebra", 1, 1);
	add_topic(&a, "ant", 2, 3);
	add_topic(&a, "old", 0, 1);
	struct metadata *m = take(&a, NULL);
	const struct client_topic *const *list;
	assert_int_equal(metadata_topics(m, &list), 3);
	assert_string_equal(list[0]->name, "ant");
	assert_string_equal(list[2]->name, "zebra");
	assert_ptr_equal(metadata_topic(m, "ant"), list[0]);
	assert_null(metadata_topic(m, "an"));
	struct uuid id = {{1}}, none = {{0}};
	assert_ptr_equal(metadata_topic_by_id(m, &id), list[2]);
	assert_null(metadata_topic_by_id(m, &none));
	const struct endpoint *brokers;
	assert_int_equal(metadata_brokers(m, &brokers), 2);
	assert_int_equal(brokers[0].id, 1);
	assert_int_equal(metadata_controller(m), 1);
	assert_int_equal(metadata_skipped_topics(m), 0);
	metadata_free(m);
}

static void test_hostile_entries(void **state)
{
	(void)state;
	struct answer a;
	char longest[300];
	memset(longest, 'h', sizeof longest);
	longest[299] = '\0';
	answer_two(&a);
	add_broker(&a, -1, "neg", 9092);
	add_broker(&a, 3, "port", 0);
	add_broker(&a, 4, "port", 65536);
	add_broker(&a, 5, "sp ace", 9092);
	add_broker(&a, 6, longest, 9092);
	add_broker(&a, 1, "twin", 9092);
	add_topic(&a, "fine", 1, 1);
	add_topic(&a, "fine", 2, 1); /* a second of the name */
	add_topic(&a, "../../etc/passwd", 3, 1);
	add_topic(&a, "x\nlevel=error", 4, 1);
	add_topic(&a, "samid", 1, 1); /* a second of the id */
	a.r.topics[a.r.topics_n++].name = (struct bytes){.p = NULL};
	struct metadata *m = take(&a, NULL);
	const struct client_topic *const *list;
	const struct endpoint *brokers;
	assert_int_equal(metadata_brokers(m, &brokers), 2);
	assert_int_equal(metadata_skipped_brokers(m), 6);
	assert_int_equal(metadata_topics(m, &list), 2);
	assert_int_equal(metadata_skipped_topics(m), 4);
	metadata_free(m);
}

static void test_no_brokers(void **state)
{
	(void)state;
	struct answer a;
	struct metadata *m = NULL;
	struct errmsg why = {0};
	answer_init(&a);
	assert_int_equal(metadata_new(&a.r, NULL, SNAPSHOT_MAX, &m, &why), ERR_MALFORMED);
	a.r.brokers_n = -1;
	a.r.topics_n = -1;
	assert_int_equal(metadata_new(&a.r, NULL, SNAPSHOT_MAX, &m, &why), ERR_MALFORMED);
	answer_fini(&a);
}

static void test_limit(void **state)
{
	(void)state;
	struct answer a;
	struct metadata *m = NULL;
	struct errmsg why = {0};
	answer_two(&a);
	add_topic(&a, "t", 1, PARTS);
	assert_int_equal(metadata_new(&a.r, NULL, 200, &m, &why), ERR_LIMIT);
	answer_fini(&a);
}

static void test_partition_indexes(void **state)
{
	(void)state;
	struct answer a;
	answer_two(&a);
	add_topic(&a, "hole", 1, 3)->partitions[2].partition_index = 3;
	add_topic(&a, "twice", 2, 3)->partitions[2].partition_index = 0;
	add_topic(&a, "negative", 3, 1)->partitions[0].partition_index = -1;
	add_topic(&a, "none", 4, 0);
	struct metadata_response_metadata_response_topic *t = add_topic(&a, "shuffled", 5, 2);
	t->partitions[0].partition_index = 1;
	t->partitions[1].partition_index = 0;
	t->partitions[1].leader_id = 2;
	struct metadata *m = take(&a, NULL);
	static const char *const bad[] = {"hole", "twice", "negative", "none"};
	for (size_t i = 0; i < 4; i++) {
		const struct client_topic *b = metadata_topic(m, bad[i]);
		assert_int_equal(b->error, ERR_MALFORMED);
		assert_int_equal(b->partitions_n, 0);
	}
	const struct client_topic *s = metadata_topic(m, "shuffled");
	assert_int_equal(s->error, ERR_OK);
	assert_int_equal(s->partitions[0].leader, 2);
	assert_int_equal(s->partitions[1].leader, 1);
	metadata_free(m);
}

static void test_leader_not_among_brokers(void **state)
{
	(void)state;
	struct answer a;
	answer_two(&a);
	add_topic(&a, "t", 1, 1)->partitions[0].leader_id = 9;
	a.r.controller_id = 9;
	struct metadata *m = take(&a, NULL);
	assert_int_equal(metadata_topic(m, "t")->partitions[0].leader, -1);
	assert_int_equal(metadata_controller(m), -1);
	metadata_free(m);
}

/* Two answers about one partition; gives the leader and the epoch in the end. */
static struct client_partition after(uint8_t id1, int32_t epoch1, uint8_t id2, int32_t epoch2)
{
	struct answer a;
	answer_two(&a);
	add_topic(&a, "t", id1, 1)->partitions[0].leader_epoch = epoch1;
	struct metadata *old = take(&a, NULL);
	answer_two(&a);
	struct metadata_response_metadata_response_topic *t = add_topic(&a, "t", id2, 1);
	t->partitions[0].leader_epoch = epoch2;
	t->partitions[0].leader_id = 2;
	struct metadata *m = take(&a, old);
	struct client_partition p = metadata_topic(m, "t")->partitions[0];
	metadata_free(old);
	metadata_free(m);
	return p;
}

/* KIP-320 */
static void test_epochs_do_not_go_back(void **state)
{
	(void)state;
	assert_int_equal(after(1, 5, 1, 4).leader, 1);
	assert_int_equal(after(1, 5, 1, 4).leader_epoch, 5);
	assert_int_equal(after(1, 5, 1, 5).leader, 2);
	assert_int_equal(after(1, 5, 1, 6).leader, 2);
	/* Made again: another topic. */
	assert_int_equal(after(1, 5, 2, 0).leader, 2);
	assert_int_equal(after(1, 5, 2, 0).leader_epoch, 0);
	/* No ids: believed. No epochs: believed. */
	assert_int_equal(after(0, 5, 0, 4).leader, 2);
	assert_int_equal(after(1, 5, 1, -1).leader, 2);
}

/* F25: a lagging broker does not take partitions away. */
static void test_partitions_do_not_shrink(void **state)
{
	(void)state;
	struct answer a;
	answer_two(&a);
	add_topic(&a, "t", 1, 4)->partitions[3].leader_epoch = -1;
	struct metadata *old = take(&a, NULL);
	answer_two(&a);
	add_topic(&a, "t", 1, 2);
	struct metadata *m = take(&a, old);
	assert_int_equal(metadata_topic(m, "t")->partitions_n, 4);
	assert_int_equal(metadata_topic(m, "t")->partitions[2].leader, 1);
	assert_int_equal(metadata_topic(m, "t")->partitions[3].leader, 1);
	assert_int_equal(metadata_topic(m, "t")->partitions[3].leader_epoch, -1);
	metadata_free(old);
	/* But a topic made again may have fewer. */
	answer_two(&a);
	add_topic(&a, "t", 2, 2);
	old = m;
	m = take(&a, old);
	assert_int_equal(metadata_topic(m, "t")->partitions_n, 2);
	metadata_free(old);
	metadata_free(m);
}

static void test_error_keeps_what_is_known(void **state)
{
	(void)state;
	struct answer a;
	struct uuid id = {{1}};
	answer_two(&a);
	add_topic(&a, "t", 1, 4);
	struct metadata *old = take(&a, NULL);
	answer_two(&a);
	add_topic(&a, "t", 0, 0)->error_code = 3;
	struct metadata *m = take(&a, old);
	const struct client_topic *t = metadata_topic(m, "t");
	assert_int_equal(t->error, ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	assert_int_equal(t->partitions_n, 4);
	assert_true(uuid_eq(&t->id, &id));
	metadata_free(old);
	/* And after the error the epoch of before still counts. */
	answer_two(&a);
	add_topic(&a, "t", 1, 4)->partitions[0].leader_epoch = 1;
	old = m;
	m = take(&a, old);
	assert_int_equal(metadata_topic(m, "t")->error, ERR_OK);
	assert_int_equal(metadata_topic(m, "t")->partitions[0].leader_epoch, 5);
	metadata_free(old);
	metadata_free(m);
}

static void test_hint(void **state)
{
	(void)state;
	struct answer a;
	answer_two(&a);
	add_topic(&a, "t", 1, 2);
	struct metadata *m = take(&a, NULL);
	const struct client_topic *t = metadata_topic(m, "t");
	metadata_set_leader(m, "t", 1, 2, 6);
	assert_int_equal(t->partitions[1].leader, 2);
	assert_int_equal(t->partitions[1].leader_epoch, 6);
	metadata_set_leader(m, "t", 1, 1, 6);
	assert_int_equal(t->partitions[1].leader, 2);
	metadata_set_leader(m, "t", 2, 1, 9);
	metadata_set_leader(m, "t", -1, 1, 9);
	metadata_set_leader(m, "u", 0, 1, 9);
	assert_int_equal(t->partitions[0].leader_epoch, 5);
	metadata_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_sorted_and_found),
		cmocka_unit_test(test_hostile_entries),
		cmocka_unit_test(test_no_brokers),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_partition_indexes),
		cmocka_unit_test(test_leader_not_among_brokers),
		cmocka_unit_test(test_epochs_do_not_go_back),
		cmocka_unit_test(test_partitions_do_not_shrink),
		cmocka_unit_test(test_error_keeps_what_is_known),
		cmocka_unit_test(test_hint),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
