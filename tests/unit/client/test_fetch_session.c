/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The delta logic of fetch sessions against a model of a broker's session (KIP-227, as in Kafka's
 * FetchSession.scala): after every request the broker must hold exactly what is wanted, whatever
 * was added, moved, paused and removed, and whatever went wrong before. Answers must find exactly
 * the parts that are still where they were asked for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/client/fetch_session.h"
#include "tests/unit/rng.h"

/* Topics: the last two have the same name and different ids (deleted and made again); in some cases
 * the first has no id. */
enum { TOPICS = 4, PARTS = 5, CELLS = TOPICS * PARTS };

static const char *const names[TOPICS] = {"alpha", "beta", "alphabet", "alphabet"};

/* What the user side knows of a partition. */
struct cell {
	struct fetch_part *part; /* NULL: not added */
	bool wanted;
	struct fetch_want want;
	unsigned life; /* counts removals */
	/* when the request was built */
	bool asked;
	unsigned asked_life;
	struct fetch_want asked_want;
};

/* What the broker holds. */
struct held {
	bool held;
	int64_t offset;
	int32_t leader_epoch;
	int32_t last_epoch;
	int32_t max_bytes;
};

struct model {
	struct rng rng;
	struct fetch_session *session;
	struct cell cells[CELLS];
	struct uuid ids[TOPICS];
	/* the broker */
	bool keeps_sessions;
	int16_t max_version;
	int32_t id;
	int32_t epoch;
	bool by_id;
	struct held held[CELLS];
	/* the request that is out */
	struct arena arena;
	struct fetch_request req;
	int16_t version;
	bool quiet;           /* nothing changed while the request was out */
	unsigned incremental; /* requests that were, for the statistics */
	unsigned found;
};

static bool chance(struct model *m, int64_t one_in)
{
	return rng_one_in(&m->rng, one_in) != 0;
}

/* ---- the user's side ---- */

/* Of two topics of one name only one may be wanted: what a deleted topic leaves is paused or
 * removed. */
static bool namesake_wanted(const struct model *m, int topic)
{
	for (int t = 0; t < TOPICS; t++) {
		for (int p = 0; p < PARTS && t != topic; p++) {
			if (strcmp(names[t], names[topic]) == 0 && m->cells[t * PARTS + p].wanted)
				return true;
		}
	}
	return false;
}

static void change(struct model *m)
{
	int i = (int)rng_in(&m->rng, 0, CELLS - 1), topic = i / PARTS;
	struct cell *c = &m->cells[i];
	if (c->part == NULL) {
		c->part = fetch_session_add(m->session, names[topic], &m->ids[topic], i % PARTS, c);
		assert_non_null(c->part);
		assert_ptr_equal(fetch_session_arg(c->part), c);
	} else if (chance(m, 6)) {
		fetch_session_remove(c->part);
		c->part = NULL;
		c->wanted = false;
		c->life++;
	} else if (chance(m, 3)) {
		fetch_session_pause(c->part);
		c->wanted = false;
	} else if (!namesake_wanted(m, topic)) {
		c->want.offset = rng_in(&m->rng, 0, 3);
		c->want.leader_epoch = (int32_t)rng_in(&m->rng, -1, 1);
		c->want.last_epoch = (int32_t)rng_in(&m->rng, -1, 1);
		c->want.max_bytes = (int32_t)rng_in(&m->rng, 1, 2);
		c->wanted = true;
		fetch_session_want(c->part, &c->want);
	}
}

static void check_counts(const struct model *m)
{
	size_t parts = 0, wanted = 0;
	for (int i = 0; i < CELLS; i++) {
		parts += m->cells[i].part != NULL;
		wanted += m->cells[i].wanted;
	}
	assert_int_equal(fetch_session_parts(m->session), parts);
	assert_int_equal(fetch_session_wanted(m->session), wanted);
}

/* ---- the broker's side ---- */

static int find_cell(const struct model *m, struct bytes name, const struct uuid *id, int32_t part)
{
	for (int t = 0; t < TOPICS; t++) {
		bool same = m->by_id ? uuid_eq(&m->ids[t], id) : bytes_eq_str(name, names[t]);
		/* By name a namesake is the same topic for the broker: the first cell stands for
		 * both. */
		if (same)
			return t * PARTS + part;
	}
	fail_msg("unknown topic in a request");
	return 0;
}

static void broker_update(struct model *m)
{
	bool seen[CELLS] = {false};
	for (int32_t i = 0; i < m->req.topics_n; i++) {
		const struct fetch_request_fetch_topic *t = &m->req.topics[i];
		assert_true(t->partitions_n > 0);
		for (int32_t j = 0; j < t->partitions_n; j++) {
			const struct fetch_request_fetch_partition *p = &t->partitions[j];
			int c = find_cell(m, t->topic, &t->topic_id, p->partition);
			assert_false(seen[c]);
			seen[c] = true;
			m->held[c] = (struct held){true, p->fetch_offset, p->current_leader_epoch,
						   p->last_fetched_epoch, p->partition_max_bytes};
		}
	}
	/* Forgetting comes after adding. */
	for (int32_t i = 0; i < m->req.forgotten_topics_data_n; i++) {
		const struct fetch_request_forgotten_topic *t = &m->req.forgotten_topics_data[i];
		assert_true(t->partitions_n > 0);
		for (int32_t j = 0; j < t->partitions_n; j++) {
			int c = find_cell(m, t->topic, &t->topic_id, t->partitions[j]);
			assert_true(m->held[c].held);
			m->held[c].held = false;
		}
	}
}

static int16_t broker_take(struct model *m, bool *full)
{
	const struct fetch_request *q = &m->req;
	*full = q->session_epoch <= 0;
	if (*full) {
		assert_int_equal(q->forgotten_topics_data_n, 0);
		memset(m->held, 0, sizeof m->held);
		m->by_id = m->version >= 13;
		m->id = m->keeps_sessions && m->version >= 7 ? (int32_t)rng_in(&m->rng, 1, 1000)
							     : 0;
		m->epoch = 1;
		broker_update(m);
		return 0;
	}
	m->incremental++;
	if (m->id == 0 || q->session_id != m->id)
		return 70;
	if (q->session_epoch != m->epoch)
		return 71;
	if (m->by_id != (m->version >= 13))
		return 106;
	m->epoch++;
	broker_update(m);
	return 0;
}

/* The property: the session is what is wanted. */
static void check_held(const struct model *m)
{
	bool expected[CELLS] = {false};
	for (int i = 0; i < CELLS; i++) {
		const struct cell *c = &m->cells[i];
		if (!c->asked)
			continue;
		int at = find_cell(m, bytes_str(names[i / PARTS]), &m->ids[i / PARTS], i % PARTS);
		const struct held *h = &m->held[at];
		expected[at] = true;
		assert_true(h->held);
		assert_int_equal(h->offset, c->asked_want.offset);
		assert_int_equal(h->leader_epoch, c->asked_want.leader_epoch);
		assert_int_equal(h->last_epoch, c->asked_want.last_epoch);
		assert_int_equal(h->max_bytes, c->asked_want.max_bytes);
	}
	for (int i = 0; i < CELLS; i++)
		assert_int_equal(m->held[i].held, expected[i]);
}

/* ---- a round ---- */

static void build(struct model *m)
{
	bool ids = false;
	arena_init(&m->arena, 1 << 20);
	wire_init(&wire_fetch_request, &m->req);
	assert_int_equal(fetch_session_build(m->session, &m->arena, &m->req, &ids), ERR_OK);
	m->version = !ids && m->max_version > 12 ? 12 : m->max_version;
	for (int i = 0; i < CELLS; i++) {
		struct cell *c = &m->cells[i];
		c->asked = c->wanted;
		c->asked_life = c->life;
		c->asked_want = c->want;
	}
}

static void name_part(struct model *m, struct fetch_response *r, int topic, int32_t partition)
{
	struct fetch_response_fetchable_topic_response *t = &r->responses[r->responses_n++];
	if (m->version >= 13)
		t->topic_id = m->ids[topic];
	else
		t->topic = bytes_str(names[topic]);
	t->partitions = wire_array_new(&m->arena, &wire_fetch_response_partition_data, 1);
	t->partitions_n = 1;
	t->partitions[0].partition_index = partition;
}

static void fill_answer(struct model *m, struct fetch_response *r, bool full)
{
	wire_init(&wire_fetch_response, r);
	r->session_id = m->id;
	r->responses =
		wire_array_new(&m->arena, &wire_fetch_response_fetchable_topic_response, CELLS);
	r->responses_n = 0;
	for (int i = 0; i < CELLS; i++) {
		if (m->cells[i].asked && (full || chance(m, 2)))
			name_part(m, r, i / PARTS, i % PARTS);
	}
}

static void check_results(struct model *m, const struct fetch_response *r)
{
	for (int32_t i = 0; i < r->responses_n; i++) {
		const struct fetch_response_fetchable_topic_response *t = &r->responses[i];
		int32_t partition = t->partitions[0].partition_index;
		const struct cell *expect = NULL;
		for (int k = 0; k < CELLS; k++) {
			const struct cell *c = &m->cells[k];
			bool same = m->version >= 13 ? uuid_eq(&m->ids[k / PARTS], &t->topic_id)
						     : bytes_eq_str(t->topic, names[k / PARTS]);
			if (same && k % PARTS == partition && c->asked && c->wanted &&
			    c->life == c->asked_life && c->want.offset == c->asked_want.offset &&
			    c->want.leader_epoch == c->asked_want.leader_epoch &&
			    c->want.last_epoch == c->asked_want.last_epoch)
				expect = c;
		}
		struct fetch_part *found = fetch_session_find(m->session, m->version, t, partition);
		/* Moved away and back is stale too, by the generation: then NULL is right. */
		if (m->quiet)
			assert_true((found == NULL) == (expect == NULL));
		if (found != NULL) {
			assert_non_null(expect);
			assert_ptr_equal(found, expect->part);
			m->found++;
		}
	}
}

static void answer(struct model *m)
{
	bool full;
	struct fetch_response r;
	struct errmsg why = {0};
	int16_t error = broker_take(m, &full);
	if (error == 0)
		check_held(m);
	fill_answer(m, &r, full);
	if (error != 0 || (m->version >= 7 && chance(m, 30))) {
		r.error_code = error != 0 ? error : 100;
		r.responses_n = 0;
		enum err e = fetch_session_accept(m->session, m->version, &r, &why);
		assert_int_equal(e, err_from_kafka(r.error_code));
		return;
	}
	enum err e = fetch_session_accept(m->session, m->version, &r, &why);
	if (e != ERR_OK)
		fail_msg("%s", why.text);
	check_results(m, &r);
}

static void one_round(struct model *m)
{
	for (int64_t n = rng_in(&m->rng, 0, 6); n > 0; n--)
		change(m);
	check_counts(m);
	build(m);
	m->quiet = !chance(m, 3);
	for (int64_t n = m->quiet ? 0 : rng_in(&m->rng, 1, 4); n > 0; n--)
		change(m);
	if (chance(m, 15)) {
		/* Lost, before or after the broker saw it. */
		bool full;
		if (chance(m, 2))
			(void)broker_take(m, &full);
		fetch_session_reset(m->session);
	} else if (m->version < 7 && m->req.session_epoch != 0) {
		/* An incremental request met a broker that no longer knows sessions: it reads the
		 * request as a full one. The next one is. */
		struct fetch_response r;
		struct errmsg why = {0};
		wire_init(&wire_fetch_response, &r);
		assert_int_equal(fetch_session_accept(m->session, m->version, &r, &why), ERR_OK);
	} else {
		answer(m);
	}
	if (chance(m, 25))
		m->id = 0; /* evicted */
	if (chance(m, 60)) {
		static const int16_t versions[] = {4, 6, 7, 10, 12, 13, 18};
		m->id = 0; /* another broker program */
		m->max_version = versions[rng_in(&m->rng, 0, 6)];
		m->keeps_sessions = !chance(m, 5);
	}
	arena_fini(&m->arena);
}

static void test_model(void **state)
{
	(void)state;
	struct rng seeds = {rng_seed("test_fetch_session")};
	unsigned incremental = 0, found = 0;
	for (int64_t n = rng_scale(400); n > 0; n--) {
		struct model m = {
			.rng = {rng_u64(&seeds)}, .max_version = 18, .keeps_sessions = true};
		m.session = fetch_session_new(&m);
		for (int t = 0; t < TOPICS; t++)
			m.ids[t].b[15] = (uint8_t)(t + 1);
		if (chance(&m, 3))
			m.ids[0].b[15] = 0;
		for (int i = 0; i < 300; i++)
			one_round(&m);
		incremental += m.incremental;
		found += m.found;
		fetch_session_free(m.session);
	}
	/* The test must not have passed for want of anything to check. */
	assert_true(incremental > 1000 && found > 10000);
}

/* ---- single cases ---- */

struct fixture {
	struct fetch_session *s;
	struct arena a;
	struct fetch_request req;
	struct fetch_part *part[3];
	struct uuid id;
	bool ids;
};

static void fixture_init(struct fixture *f, uint8_t id)
{
	*f = (struct fixture){.s = fetch_session_new(f), .id = {{id}}};
	arena_init(&f->a, 4 << 20);
	for (int32_t i = 0; i < 3; i++) {
		struct fetch_want w = {
			.offset = 10, .leader_epoch = 1, .last_epoch = 1, .max_bytes = 100};
		f->part[i] = fetch_session_add(f->s, "t", &f->id, i, NULL);
		fetch_session_want(f->part[i], &w);
	}
}

static void fixture_fini(struct fixture *f)
{
	fetch_session_free(f->s);
	arena_fini(&f->a);
}

static void fixture_build(struct fixture *f)
{
	wire_init(&wire_fetch_request, &f->req);
	assert_int_equal(fetch_session_build(f->s, &f->a, &f->req, &f->ids), ERR_OK);
}

/* An answer naming partitions 0..n-1, in a version with ids. */
static enum err fixture_accept(struct fixture *f, int32_t n, int32_t session, struct errmsg *why)
{
	struct fetch_response r;
	wire_init(&wire_fetch_response, &r);
	r.session_id = session;
	r.responses = wire_array_new(&f->a, &wire_fetch_response_fetchable_topic_response, 1);
	r.responses_n = 1;
	r.responses[0].topic_id = f->id;
	r.responses[0].topic = bytes_str("t");
	r.responses[0].partitions = wire_array_new(&f->a, &wire_fetch_response_partition_data, 8);
	r.responses[0].partitions_n = n;
	for (int32_t i = 0; i < n; i++)
		r.responses[0].partitions[i].partition_index = i;
	return fetch_session_accept(f->s, 17, &r, why);
}

static void test_incremental_is_empty_when_nothing_changed(void **state)
{
	(void)state;
	struct fixture f;
	struct errmsg why = {0};
	fixture_init(&f, 1);
	fixture_build(&f);
	assert_true(f.ids);
	assert_int_equal(f.req.session_epoch, 0);
	assert_int_equal(f.req.topics[0].partitions_n, 3);
	assert_int_equal(fixture_accept(&f, 3, 77, &why), ERR_OK);
	fixture_build(&f);
	assert_int_equal(f.req.session_id, 77);
	assert_int_equal(f.req.session_epoch, 1);
	assert_int_equal(f.req.topics_n, 0);
	assert_int_equal(f.req.forgotten_topics_data_n, 0);
	assert_int_equal(fixture_accept(&f, 0, 77, &why), ERR_OK);
	fetch_session_pause(f.part[1]);
	fixture_build(&f);
	assert_int_equal(f.req.session_epoch, 2);
	assert_int_equal(f.req.topics_n, 0);
	assert_int_equal(f.req.forgotten_topics_data_n, 1);
	assert_int_equal(f.req.forgotten_topics_data[0].partitions_n, 1);
	assert_int_equal(f.req.forgotten_topics_data[0].partitions[0], 1);
	fixture_fini(&f);
}

/* A broker that declines sessions gets full fetches. */
static void test_declined(void **state)
{
	(void)state;
	struct fixture f;
	struct errmsg why = {0};
	fixture_init(&f, 1);
	for (int i = 0; i < 3; i++) {
		fixture_build(&f);
		assert_int_equal(f.req.session_id, 0);
		assert_int_equal(f.req.session_epoch, 0);
		assert_int_equal(f.req.topics[0].partitions_n, 3);
		assert_int_equal(fixture_accept(&f, 3, 0, &why), ERR_OK);
	}
	fixture_fini(&f);
}

static void test_answers_that_do_not_fit(void **state)
{
	(void)state;
	struct fixture f;
	struct errmsg why = {0};
	fixture_init(&f, 1);
	fixture_build(&f);
	/* Too few, too many, and then a session that is not ours. */
	assert_int_equal(fixture_accept(&f, 2, 7, &why), ERR_MALFORMED);
	fixture_build(&f);
	assert_int_equal(fixture_accept(&f, 4, 7, &why), ERR_MALFORMED);
	fixture_build(&f);
	assert_int_equal(fixture_accept(&f, 3, 7, &why), ERR_OK);
	fixture_build(&f);
	assert_int_equal(f.req.session_epoch, 1);
	assert_int_equal(fixture_accept(&f, 1, 8, &why), ERR_MALFORMED);
	/* The old session is dropped by name, the new one begins in full. */
	fixture_build(&f);
	assert_int_equal(f.req.session_id, 7);
	assert_int_equal(f.req.session_epoch, 0);
	assert_int_equal(f.req.topics[0].partitions_n, 3);
	fixture_fini(&f);
}

static void test_same_partition_twice(void **state)
{
	(void)state;
	struct fixture f;
	struct errmsg why = {0};
	struct fetch_response r;
	fixture_init(&f, 1);
	fixture_build(&f);
	assert_int_equal(fixture_accept(&f, 3, 7, &why), ERR_OK);
	fixture_build(&f);
	wire_init(&wire_fetch_response, &r);
	r.session_id = 7;
	r.responses = wire_array_new(&f.a, &wire_fetch_response_fetchable_topic_response, 2);
	r.responses_n = 2;
	for (int i = 0; i < 2; i++) {
		r.responses[i].topic_id = f.id;
		r.responses[i].partitions =
			wire_array_new(&f.a, &wire_fetch_response_partition_data, 1);
		r.responses[i].partitions_n = 1;
	}
	assert_int_equal(fetch_session_accept(f.s, 17, &r, &why), ERR_MALFORMED);
	fixture_fini(&f);
}

/* One topic without an id turns the whole session to names, by a new session. */
static void test_topic_without_id(void **state)
{
	(void)state;
	struct fixture f;
	struct errmsg why = {0};
	static const struct uuid none;
	struct fetch_want w = {.max_bytes = 1};
	fixture_init(&f, 1);
	fixture_build(&f);
	assert_int_equal(fixture_accept(&f, 3, 7, &why), ERR_OK);
	struct fetch_part *p = fetch_session_add(f.s, "old", &none, 0, NULL);
	fixture_build(&f);
	assert_true(f.ids); /* not wanted yet */
	assert_int_equal(fixture_accept(&f, 0, 7, &why), ERR_OK);
	fetch_session_want(p, &w);
	fixture_build(&f);
	assert_false(f.ids);
	assert_int_equal(f.req.session_id, 7);
	assert_int_equal(f.req.session_epoch, 0);
	assert_int_equal(f.req.topics_n, 2);
	fixture_fini(&f);
}

/* Removed and added again at the same place while the request is out: another part. */
static void test_removed_and_added(void **state)
{
	(void)state;
	struct fixture f;
	struct errmsg why = {0};
	struct fetch_want w = {.offset = 10, .leader_epoch = 1, .last_epoch = 1, .max_bytes = 100};
	struct fetch_response_fetchable_topic_response t;
	fixture_init(&f, 1);
	fixture_build(&f);
	fetch_session_remove(f.part[1]);
	f.part[1] = fetch_session_add(f.s, "t", &f.id, 1, NULL);
	fetch_session_want(f.part[1], &w);
	assert_int_equal(fixture_accept(&f, 3, 7, &why), ERR_OK);
	memset(&t, 0, sizeof t);
	t.topic_id = f.id;
	assert_ptr_equal(fetch_session_find(f.s, 17, &t, 0), f.part[0]);
	assert_null(fetch_session_find(f.s, 17, &t, 1));
	fixture_build(&f);
	assert_int_equal(f.req.topics_n, 0); /* the broker has it already */
	assert_int_equal(fixture_accept(&f, 2, 7, &why), ERR_OK);
	assert_ptr_equal(fetch_session_find(f.s, 17, &t, 1), f.part[1]);
	fixture_fini(&f);
}

static void test_epoch_counts(void **state)
{
	(void)state;
	struct fixture f;
	struct errmsg why = {0};
	fixture_init(&f, 1);
	fixture_build(&f);
	assert_int_equal(fixture_accept(&f, 3, 7, &why), ERR_OK);
	for (int32_t i = 1; i < 1000; i++) {
		fixture_build(&f);
		assert_int_equal(f.req.session_epoch, i);
		assert_int_equal(fixture_accept(&f, 0, 7, &why), ERR_OK);
	}
	fixture_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_incremental_is_empty_when_nothing_changed),
		cmocka_unit_test(test_declined),
		cmocka_unit_test(test_answers_that_do_not_fit),
		cmocka_unit_test(test_same_partition_twice),
		cmocka_unit_test(test_topic_without_id),
		cmocka_unit_test(test_removed_and_added),
		cmocka_unit_test(test_epoch_counts),
		cmocka_unit_test(test_model),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
