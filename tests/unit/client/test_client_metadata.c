/* SPDX-License-Identifier: Apache-2.0 */
/* When the client asks for metadata, what it asks for, and what it does with bad answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/client/cluster.h"

static unsigned asked(const struct cluster *t)
{
	unsigned n = 0;
	for (size_t i = 0; i < t->peers_n; i++)
		n += scripted_peer_seen(t->peers[i], WIRE_API_METADATA);
	return n;
}

static void two_topics(struct cluster *t)
{
	t->topics[0] = (struct test_topic){.name = "a", .id = 1, .n = 2, .epoch = {5, 5}};
	t->topics[1] = (struct test_topic){.name = "b", .id = 2, .n = 1};
}

/* A client that knows them. */
static void follow_two_topics(struct cluster *t, size_t brokers)
{
	cluster_init(t, brokers);
	two_topics(t);
	cluster_client(t);
	client_follow_all(t->client);
	cluster_wait(t, &t->applied, 1);
}

static void test_follow_list(void **state)
{
	(void)state;
	struct cluster t;
	cluster_init(&t, 1);
	two_topics(&t);
	cluster_client_ready(&t);
	const struct client_topic *const *list;
	assert_int_equal(t.asked_n, 0); /* none, not all */
	assert_int_equal(client_topics(t.client, &list), 0);
	assert_int_equal(client_follow_topic(t.client, "a"), ERR_OK);
	assert_int_equal(client_follow_topic(t.client, "a"), ERR_OK);
	cluster_wait(&t, &t.applied, 2);
	assert_int_equal(t.asked_n, 1);
	assert_string_equal(t.asked[0], "a");
	assert_false(t.asked_auto_create);
	assert_int_equal(client_topics(t.client, &list), 1);
	assert_int_equal(client_topic(t.client, "a")->partitions_n, 2);
	assert_null(client_topic(t.client, "b"));
	client_unfollow_topic(t.client, "a");
	cluster_refresh(&t);
	assert_int_equal(t.asked_n, 0);
	assert_null(client_topic(t.client, "a"));
	assert_int_equal(client_metadata_version(t.client), t.applied);
	cluster_fini(&t);
}

static void test_follow_all(void **state)
{
	(void)state;
	struct cluster t;
	follow_two_topics(&t, 1);
	const struct client_topic *const *list;
	struct uuid id = {{2}};
	assert_int_equal(t.asked_n, -1);
	assert_int_equal(client_topics(t.client, &list), 2);
	assert_string_equal(client_topic_by_id(t.client, &id)->name, "b");
	cluster_fini(&t);
}

static void test_unknown_topic_keeps_its_error(void **state)
{
	(void)state;
	struct cluster t;
	cluster_init(&t, 1);
	t.topics[0] = (struct test_topic){.name = "a", .error = 3};
	cluster_client(&t);
	assert_int_equal(client_follow_topic(t.client, "a"), ERR_OK);
	cluster_wait(&t, &t.applied, 1);
	assert_int_equal(client_topic(t.client, "a")->error, ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	cluster_fini(&t);
}

/* Many asks in a turn make one request; asks while one is out make one more. */
static void test_asks_are_one(void **state)
{
	(void)state;
	struct cluster t;
	cluster_init(&t, 1);
	cluster_client_ready(&t);
	cluster_settle(&t);
	unsigned n = asked(&t), applied = t.applied;
	for (int i = 0; i < 100; i++)
		client_metadata_refresh(t.client);
	cluster_wait(&t, &t.applied, applied + 1);
	cluster_settle(&t);
	assert_int_equal(asked(&t), n + 1);
	client_metadata_refresh(t.client);
	while (asked(&t) == n + 1)
		loop_turn(t.loop, 0);
	for (int i = 0; i < 100; i++)
		client_metadata_refresh(t.client);
	cluster_wait(&t, &t.applied, applied + 3);
	cluster_settle(&t);
	assert_int_equal(asked(&t), n + 3);
	cluster_fini(&t);
}

static void test_asks_are_spaced(void **state)
{
	(void)state;
	struct cluster t;
	cluster_init(&t, 1);
	t.options.backoff_min_ms = 50;
	cluster_client_ready(&t);
	unsigned n = asked(&t);
	int64_t end = clock_mono_ms(clock_system()) + 300;
	while (clock_mono_ms(clock_system()) < end) {
		client_metadata_refresh(t.client);
		loop_turn(t.loop, 1);
	}
	assert_in_range(asked(&t) - n, 2, 8);
	cluster_fini(&t);
}

static void test_refreshed_by_age(void **state)
{
	(void)state;
	struct cluster t;
	cluster_init(&t, 1);
	cluster_client_ready(&t);
	cluster_settle(&t);
	unsigned n = t.applied;
	t.skew_ms += 299000;
	cluster_settle(&t);
	assert_int_equal(t.applied, n);
	t.skew_ms += 2000;
	cluster_wait(&t, &t.applied, n + 1);
	cluster_fini(&t);
}

/* F23 */
static void test_leader_change(void **state)
{
	(void)state;
	struct cluster t;
	follow_two_topics(&t, 2);
	assert_int_equal(client_topic(t.client, "a")->partitions[0].leader, 0);
	t.topics[0].leader[0] = 1;
	t.topics[0].epoch[0] = 6;
	cluster_refresh(&t);
	assert_int_equal(client_topic(t.client, "a")->partitions[0].leader, 1);
	/* A broker that lags behind. */
	t.topics[0].leader[0] = 0;
	t.topics[0].epoch[0] = 5;
	cluster_refresh(&t);
	assert_int_equal(client_topic(t.client, "a")->partitions[0].leader, 1);
	cluster_fini(&t);
}

static void test_leader_hint(void **state)
{
	(void)state;
	struct cluster t;
	cluster_init(&t, 3);
	two_topics(&t);
	t.hidden[2] = true;
	cluster_client(&t);
	client_leader_hint(t.client, "a", 0, 1, 9, NULL, 0); /* too early */
	client_follow_all(t.client);
	cluster_wait(&t, &t.applied, 1);
	client_leader_hint(t.client, "a", 0, 1, 6, NULL, 0);
	assert_int_equal(client_topic(t.client, "a")->partitions[0].leader, 1);
	client_leader_hint(t.client, "a", 0, 0, 6, NULL, 0); /* not newer */
	client_leader_hint(t.client, "a", 0, 2, 7, NULL, 0); /* nobody knows where it is */
	client_leader_hint(t.client, "a", 0, 2, 7, "bad host", 9092);
	assert_int_equal(client_topic(t.client, "a")->partitions[0].leader, 1);
	client_leader_hint(t.client, "a", 0, 2, 7, "127.0.0.1", scripted_peer_port(t.peers[2]));
	assert_int_equal(client_topic(t.client, "a")->partitions[0].leader, 2);
	struct fate f = {0};
	fate_call(&f, &t, 2, CLIENT_CHANNEL_FETCH, 0);
	cluster_wait(&t, &f.done, 1);
	assert_int_equal(f.e, ERR_OK);
	cluster_fini(&t);
}

/* Topics stay readable until the turn ends, although the watcher's answer replaced them. */
struct holder {
	struct cluster *t;
	const struct client_topic *before;
	char name[8];
};

static void read_old_topic(void *arg)
{
	struct holder *h = arg;
	h->t->applied++;
	if (h->before != NULL)
		snprintf(h->name, sizeof h->name, "%s", h->before->name);
	h->before = client_topic(h->t->client, "a");
}

static void test_topics_live_through_the_turn(void **state)
{
	(void)state;
	struct cluster t;
	follow_two_topics(&t, 1);
	struct holder h = {.t = &t, .before = client_topic(t.client, "a")};
	client_on_metadata(t.client, read_old_topic, &h);
	client_metadata_refresh(t.client);
	while (h.name[0] == '\0')
		loop_turn(t.loop, 5);
	assert_string_equal(h.name, "a");
	cluster_fini(&t);
}

/* ---- bad answers ---- */

static enum scripted_act garbage(void *arg, struct scripted_request *q, void *answer)
{
	(void)arg;
	(void)q;
	(void)answer;
	return SCRIPTED_GARBAGE;
}

/* One broker answers so, then the other one is asked. */
static void other_is_asked_after(scripted_handler *bad)
{
	struct cluster t;
	cluster_init(&t, 2);
	t.hidden[0] = true;
	scripted_peer_on(t.peers[0], WIRE_API_METADATA, bad, NULL);
	cluster_client_ready(&t);
	assert_true(asked(&t) >= 2);
	cluster_fini(&t);
}

static void test_garbage(void **state)
{
	(void)state;
	other_is_asked_after(garbage);
}

/* A frame that says it is 2 GiB long. */
static enum scripted_act endless(void *arg, struct scripted_request *q, void *answer)
{
	(void)arg;
	(void)answer;
	q->raw = bytes_of("\x7f\xff\xff\xff", 4);
	return SCRIPTED_BYTES;
}

static void test_endless_frame(void **state)
{
	(void)state;
	other_is_asked_after(endless);
}

/* More topics than metadata_max holds. */
static enum scripted_act huge(void *arg, struct scripted_request *q, void *answer)
{
	(void)arg;
	struct metadata_response *m = answer;
	m->topics =
		wire_array_new(q->arena, &wire_metadata_response_metadata_response_topic, 20000);
	m->topics_n = 20000;
	for (int32_t i = 0; i < m->topics_n; i++)
		m->topics[i].name = bytes_str("a");
	return SCRIPTED_ANSWER;
}

static void test_huge_answer(void **state)
{
	(void)state;
	other_is_asked_after(huge);
}

/* An answer with an error, without brokers: what is known stays, and it is asked again. */
static void test_useless_answers(void **state)
{
	(void)state;
	struct cluster t;
	follow_two_topics(&t, 1);
	unsigned n = t.applied, before = asked(&t);
	t.hidden[0] = true;
	client_metadata_refresh(t.client);
	while (asked(&t) < before + 3)
		loop_turn(t.loop, 5);
	assert_int_equal(t.applied, n);
	assert_non_null(client_topic(t.client, "a"));
	t.hidden[0] = false;
	t.error = -1;
	before = asked(&t);
	while (asked(&t) < before + 3)
		loop_turn(t.loop, 5);
	assert_int_equal(t.applied, n);
	t.error = 0;
	cluster_wait(&t, &t.applied, n + 1);
	cluster_fini(&t);
}

static enum scripted_act never(void *arg, struct scripted_request *q, void *answer)
{
	(void)arg;
	(void)q;
	(void)answer;
	return SCRIPTED_SILENT;
}

/* F12: the address now belongs to another cluster. */
static void test_other_cluster(void **state)
{
	(void)state;
	struct cluster t;
	follow_two_topics(&t, 1);
	while (!client_connected(t.client, 0, CLIENT_CHANNEL_CONTROL))
		loop_turn(t.loop, 5);
	struct fate f = {0};
	scripted_peer_on(t.peers[0], WIRE_API_LIST_GROUPS, never, NULL);
	unsigned n = t.applied, before = asked(&t);
	t.id = "cluster-2";
	/* Out in one turn, the metadata first. */
	cluster_settle(&t);
	client_metadata_refresh(t.client);
	loop_turn(t.loop, 0);
	fate_call(&f, &t, 0, CLIENT_CHANNEL_CONTROL, 0);
	while (asked(&t) < before + 2)
		loop_turn(t.loop, 5);
	/* What was in flight there is told why, not that somebody canceled it. */
	assert_int_equal(f.done, 1);
	assert_int_equal(f.e, ERR_CLOSED);
	assert_non_null(strstr(f.why.text, "this is cluster cluster-2"));
	assert_non_null(client_topic(t.client, "a"));
	assert_int_equal(t.applied, n);
	t.id = "cluster-1";
	cluster_wait(&t, &t.applied, n + 1);
	cluster_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_follow_list),
		cmocka_unit_test(test_follow_all),
		cmocka_unit_test(test_unknown_topic_keeps_its_error),
		cmocka_unit_test(test_asks_are_one),
		cmocka_unit_test(test_asks_are_spaced),
		cmocka_unit_test(test_refreshed_by_age),
		cmocka_unit_test(test_leader_change),
		cmocka_unit_test(test_leader_hint),
		cmocka_unit_test(test_topics_live_through_the_turn),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_endless_frame),
		cmocka_unit_test(test_huge_answer),
		cmocka_unit_test(test_useless_answers),
		cmocka_unit_test(test_other_cluster),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
