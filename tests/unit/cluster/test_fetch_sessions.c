/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of fetch sessions (KIP-227), as FetchSessionTest.scala has them for Kafka. */
#include "tests/unit/base/unit.h"

#include "cluster/fetch_sessions.h"

enum { V_NAMES = 12, V_IDS = 13, SLOTS = 3, MINUTES_2 = 120 * 1000, PARTS_MAX = 16 };

struct fixture {
	int64_t now;
	uint64_t random;
	struct clock clock;
	struct fetch_sessions *all;
	/* The request in the making: one topic. */
	struct fetch_request in;
	struct fetch_request_fetch_topic topic;
	struct fetch_request_fetch_partition parts[PARTS_MAX];
	struct fetch_request_forgotten_topic forgotten;
	int32_t forgets[PARTS_MAX];
};

static int64_t fake_ms(void *ctx)
{
	return ((struct fixture *)ctx)->now;
}

static uint64_t fake_random(void *ctx)
{
	/* Zero and twins must be skipped. */
	return ((struct fixture *)ctx)->random++ / 2;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	f->now = 1000000;
	f->clock = (struct clock){fake_ms, fake_ms, fake_random, f};
	f->all = fetch_sessions_new(&f->clock, SLOTS);
	assert_non_null(f->all);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	fetch_sessions_free(f->all);
	free(f);
	return 0;
}

/* A request for partitions first .. first+n-1 of "t". */
static const struct fetch_request *want(struct fixture *f, int32_t session, int32_t epoch,
					int32_t first, int32_t n)
{
	wire_init(wire_request(WIRE_API_FETCH), &f->in);
	f->in.session_id = session;
	f->in.session_epoch = epoch;
	f->in.topics = &f->topic;
	f->in.topics_n = n > 0;
	f->topic = (struct fetch_request_fetch_topic){
		.topic = bytes_str("t"), .partitions = f->parts, .partitions_n = n};
	f->topic.topic_id.b[3] = 7;
	for (int32_t i = 0; i < n; i++)
		f->parts[i] = (struct fetch_request_fetch_partition){.partition = first + i,
								     .current_leader_epoch = -1,
								     .last_fetched_epoch = -1,
								     .fetch_offset = 100 + i,
								     .partition_max_bytes = 10};
	return &f->in;
}

static void forget(struct fixture *f, int32_t partition)
{
	if (f->in.forgotten_topics_data_n == 0)
		f->forgotten = (struct fetch_request_forgotten_topic){.topic = bytes_str("t"),
								      .topic_id = f->topic.topic_id,
								      .partitions = f->forgets};
	f->in.forgotten_topics_data = &f->forgotten;
	f->in.forgotten_topics_data_n = 1;
	f->forgets[f->forgotten.partitions_n++] = partition;
}

/* A session with n partitions, at high watermark 5 and start 0 each; 0: none was made. */
static int32_t make(struct fixture *f, int32_t n, int16_t version)
{
	struct fetch_context c;
	struct fetch_outcome told[PARTS_MAX];
	const struct fetch_request *in = want(f, 0, 0, 0, n);
	fetch_sessions_begin(f->all, in, version, &c);
	assert_int_equal(c.kind, FETCH_FULL);
	for (int32_t i = 0; i < n; i++)
		told[i] = (struct fetch_outcome){.high_watermark = 5, .start = 0};
	int32_t id = fetch_sessions_end(f->all, &c, in, version, told);
	fetch_context_fini(&c);
	return id;
}

static enum err refused(struct fixture *f, const struct fetch_request *in, int16_t version)
{
	struct fetch_context c;
	fetch_sessions_begin(f->all, in, version, &c);
	enum err e = c.kind == FETCH_REFUSED ? c.error : ERR_OK;
	fetch_context_fini(&c);
	return e;
}

/* One incremental request without changes: the partitions in order, as digits. */
static void expect_order(struct fixture *f, int32_t id, int32_t epoch, const char *order)
{
	struct fetch_context c;
	fetch_sessions_begin(f->all, want(f, id, epoch, 0, 0), V_NAMES, &c);
	assert_int_equal(c.kind, FETCH_INCREMENTAL);
	for (struct fetch_wish *w = fetch_sessions_first(&c); w != NULL; w = w->next)
		assert_int_equal(w->partition, *order++ - '0');
	assert_int_equal(*order, '\0');
	fetch_context_fini(&c);
}

static size_t sessions(const struct fixture *f)
{
	struct fetch_sessions_count n;
	fetch_sessions_count(f->all, &n);
	return n.sessions;
}

static void epochs_go_up_by_one(void **state)
{
	struct fixture *f = *state;
	int32_t id = make(f, 2, V_NAMES);
	assert_int_not_equal(id, 0);
	expect_order(f, id, 1, "01");
	expect_order(f, id, 2, "01");
	assert_int_equal(refused(f, want(f, id, 2, 0, 0), V_NAMES),
			 ERR_KAFKA_INVALID_FETCH_SESSION_EPOCH);
	assert_int_equal(refused(f, want(f, id, 4, 0, 0), V_NAMES),
			 ERR_KAFKA_INVALID_FETCH_SESSION_EPOCH);
	assert_int_equal(refused(f, want(f, id + 77, 3, 0, 0), V_NAMES),
			 ERR_KAFKA_FETCH_SESSION_ID_NOT_FOUND);
	expect_order(f, id, 3, "01");
}

static void ids_and_names_do_not_mix(void **state)
{
	struct fixture *f = *state;
	int32_t names = make(f, 1, V_NAMES), ids = make(f, 1, V_IDS);
	assert_int_equal(refused(f, want(f, names, 1, 0, 0), V_IDS),
			 ERR_KAFKA_FETCH_SESSION_TOPIC_ID_ERROR);
	assert_int_equal(refused(f, want(f, ids, 1, 0, 0), V_NAMES),
			 ERR_KAFKA_FETCH_SESSION_TOPIC_ID_ERROR);
	assert_int_equal(refused(f, want(f, ids, 1, 0, 0), V_IDS), ERR_OK);
}

static void without_a_session_nothing_is_kept(void **state)
{
	struct fixture *f = *state;
	struct fetch_context c;
	const struct fetch_request *in = want(f, 0, -1, 0, 2);
	fetch_sessions_begin(f->all, in, V_NAMES, &c);
	assert_int_equal(c.kind, FETCH_SESSIONLESS);
	assert_int_equal(fetch_sessions_end(f->all, &c, in, V_NAMES, NULL), 0);
	assert_int_equal(sessions(f), 0);
}

static void a_full_request_ends_the_session_that_it_names(void **state)
{
	struct fixture *f = *state;
	int32_t a = make(f, 1, V_NAMES), b = make(f, 1, V_NAMES);
	struct fetch_context c;
	fetch_sessions_begin(f->all, want(f, a, -1, 0, 0), V_NAMES, &c);
	assert_int_equal(c.kind, FETCH_SESSIONLESS);
	fetch_sessions_begin(f->all, want(f, b, 0, 0, 1), V_NAMES, &c);
	assert_int_equal(c.kind, FETCH_FULL);
	assert_int_equal(sessions(f), 0);
}

static void partitions_come_and_go(void **state)
{
	struct fixture *f = *state;
	int32_t id = make(f, 3, V_NAMES);
	struct fetch_context c;
	want(f, id, 1, 2, 3); /* 2 anew, with another offset; 3 and 4 */
	forget(f, 0);
	forget(f, 9);
	fetch_sessions_begin(f->all, &f->in, V_NAMES, &c);
	assert_int_equal(fetch_sessions_size(&c), 4);
	struct fetch_wish *w = fetch_sessions_first(&c)->next;
	assert_int_equal(w->partition, 2);
	assert_int_equal(w->offset, 100);
	assert_int_equal(w->high_watermark, 5);        /* as told by the full answer */
	assert_int_equal(w->next->high_watermark, -1); /* new: not told yet */
	fetch_context_fini(&c);
	expect_order(f, id, 2, "1234");
	/* All gone: the session ends, and the request is one without. */
	want(f, id, 3, 0, 0);
	for (int32_t i = 1; i <= 4; i++)
		forget(f, i);
	fetch_sessions_begin(f->all, &f->in, V_NAMES, &c);
	assert_int_equal(c.kind, FETCH_SESSIONLESS);
	assert_int_equal(sessions(f), 0);
}

/* CachedPartition.maybeUpdateResponseData */
static void an_answer_has_what_changed(void **state)
{
	struct fixture *f = *state;
	int32_t id = make(f, 3, V_NAMES);
	struct fetch_context c;
	fetch_sessions_begin(f->all, want(f, id, 1, 0, 0), V_NAMES, &c);
	struct fetch_wish *w = fetch_sessions_first(&c);
	struct fetch_outcome o = {.high_watermark = 5, .start = 0};
	assert_false(fetch_sessions_tell(&c, w, &o));
	o.high_watermark = 6;
	assert_true(fetch_sessions_tell(&c, w, &o));
	assert_false(fetch_sessions_tell(&c, w, &o));
	o.start = 1;
	assert_true(fetch_sessions_tell(&c, w, &o));
	assert_false(fetch_sessions_tell(&c, w, &o));
	o.diverging = true;
	assert_true(fetch_sessions_tell(&c, w, &o));
	o.diverging = false;
	/* An error is told each time, and its end, too. */
	struct fetch_outcome bad = {
		.error = ERR_KAFKA_KAFKA_STORAGE_ERROR, .high_watermark = -1, .start = -1};
	assert_true(fetch_sessions_tell(&c, w, &bad));
	assert_true(fetch_sessions_tell(&c, w, &bad));
	assert_true(fetch_sessions_tell(&c, w, &o));
	assert_false(fetch_sessions_tell(&c, w, &o));
	fetch_context_fini(&c);
}

/* So that a busy partition does not starve the others. */
static void partitions_with_records_go_to_the_end(void **state)
{
	struct fixture *f = *state;
	int32_t id = make(f, 4, V_NAMES);
	struct fetch_context c;
	fetch_sessions_begin(f->all, want(f, id, 1, 0, 0), V_NAMES, &c);
	struct fetch_wish *w = fetch_sessions_first(&c), *second = w->next;
	struct fetch_outcome o = {.high_watermark = 9, .start = 0, .records = true};
	assert_true(fetch_sessions_tell(&c, w, &o));
	o.records = false;
	assert_true(fetch_sessions_tell(&c, second, &o));
	fetch_context_fini(&c);
	expect_order(f, id, 2, "1230");
}

static void a_parked_request_notices_another_one(void **state)
{
	struct fixture *f = *state;
	int32_t id = make(f, 1, V_NAMES);
	struct fetch_context parked, other;
	fetch_sessions_begin(f->all, want(f, id, 1, 0, 0), V_NAMES, &parked);
	assert_true(fetch_sessions_current(&parked));
	fetch_sessions_begin(f->all, want(f, id, 2, 0, 0), V_NAMES, &other);
	assert_false(fetch_sessions_current(&parked));
	assert_true(fetch_sessions_current(&other));
	fetch_context_fini(&parked);
	/* Thrown out meanwhile: it lives on for the one who uses it. */
	fetch_sessions_begin(f->all, want(f, id, -1, 0, 0), V_NAMES, &parked);
	assert_int_equal(sessions(f), 0);
	assert_true(fetch_sessions_current(&other));
	assert_int_equal(fetch_sessions_first(&other)->partition, 0);
	assert_int_equal(fetch_sessions_end(f->all, &other, &f->in, V_NAMES, NULL), id);
	fetch_context_fini(&other);
	/* The other one drops the last partition, and the session ends. */
	id = make(f, 1, V_NAMES);
	fetch_sessions_begin(f->all, want(f, id, 1, 0, 0), V_NAMES, &parked);
	want(f, id, 2, 0, 0);
	forget(f, 0);
	fetch_sessions_begin(f->all, &f->in, V_NAMES, &other);
	assert_int_equal(other.kind, FETCH_SESSIONLESS);
	assert_false(fetch_sessions_current(&parked));
	fetch_context_fini(&parked);
}

/* FetchSessionCache.tryEvict */
static void who_makes_room(void **state)
{
	struct fixture *f = *state;
	int32_t a = make(f, 2, V_NAMES), b = make(f, 1, V_NAMES), c = make(f, 3, V_NAMES);
	/* All are young: nobody goes, whatever the size. */
	assert_int_equal(make(f, 9, V_NAMES), 0);
	f->now += MINUTES_2;
	expect_order(f, b, 1, "0");
	expect_order(f, c, 1, "012");
	f->now++;
	/* `a` was not used for over two minutes: it goes even for a smaller one. */
	int32_t d = make(f, 1, V_NAMES);
	assert_int_not_equal(d, 0);
	assert_int_equal(refused(f, want(f, a, 1, 0, 0), V_NAMES),
			 ERR_KAFKA_FETCH_SESSION_ID_NOT_FOUND);
	/* `b` and `c` have now lived for long: the smallest of them goes for a larger one only. */
	expect_order(f, b, 2, "0");
	expect_order(f, c, 2, "012");
	assert_int_equal(make(f, 1, V_NAMES), 0);
	assert_int_not_equal(make(f, 2, V_NAMES), 0);
	assert_int_equal(refused(f, want(f, b, 3, 0, 0), V_NAMES),
			 ERR_KAFKA_FETCH_SESSION_ID_NOT_FOUND);
	expect_order(f, c, 3, "012");
	expect_order(f, d, 1, "0");
}

static void names_that_cannot_be_make_no_session(void **state)
{
	struct fixture *f = *state;
	char name[251];
	memset(name, 'x', sizeof name);
	struct fetch_context c;
	struct fetch_outcome told = {.high_watermark = 5};
	want(f, 0, 0, 0, 1);
	f->topic.topic = bytes_of(name, 250);
	fetch_sessions_begin(f->all, &f->in, V_NAMES, &c);
	assert_int_equal(fetch_sessions_end(f->all, &c, &f->in, V_NAMES, &told), 0);
	assert_int_equal(sessions(f), 0);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(epochs_go_up_by_one),
		TEST(ids_and_names_do_not_mix),
		TEST(without_a_session_nothing_is_kept),
		TEST(a_full_request_ends_the_session_that_it_names),
		TEST(partitions_come_and_go),
		TEST(an_answer_has_what_changed),
		TEST(partitions_with_records_go_to_the_end),
		TEST(a_parked_request_notices_another_one),
		TEST(who_makes_room),
		TEST(names_that_cannot_be_make_no_session),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
