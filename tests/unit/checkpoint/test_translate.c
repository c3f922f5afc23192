/* SPDX-License-Identifier: Apache-2.0 */
/* What is said of a translated position: never better than it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "checkpoint/translate.h"
#include "tests/unit/rng.h"

static const struct translate_facts sure = {
	.settled = true, .other_end = -1, .doubt = "", .state = "ACTIVE"};

/* 10..19 -> 0..9, 25..29 -> 10..14; looked at up to 31. */
static struct runs *table(void)
{
	struct runs *r = runs_new(4096);
	assert_non_null(r);
	assert_int_equal(runs_append(r, 10, 0, 10), ERR_OK);
	assert_int_equal(runs_append(r, 25, 10, 5), ERR_OK);
	runs_advance_source(r, 31);
	return r;
}

static struct translation ask(const struct runs *r, enum translate_direction d, int64_t offset,
			      const struct translate_facts *facts)
{
	struct translation t = {
		.link = "a->b", .topic = "t", .target_topic = "a.t", .partition = 3};
	assert_true(translate_offset(r, d, offset, facts, &t));
	assert_int_equal(t.direction, d);
	assert_int_equal(t.offset, offset);
	assert_ptr_equal(t.state, facts->state);
	return t;
}

static void assert_is(struct translation t, int64_t translated, int64_t max_behind, int64_t pending)
{
	assert_int_equal(t.translated, translated);
	assert_int_equal(t.exact, max_behind == 0);
	assert_int_equal(t.max_behind, max_behind);
	assert_int_equal(t.pending, pending);
}

static void assert_words(struct translation t, const char *want, enum translate_quality quality)
{
	char words[TRANSLATE_WORDS_MAX];
	translate_words(&t, words);
	assert_string_equal(words, want);
	assert_int_equal(translate_judge(&t), quality);
}

static void settled_tables_are_exact(void **state)
{
	(void)state;
	struct runs *r = table();
	assert_is(ask(r, TRANSLATE_FORWARD, 0, &sure), 0, 0, 0);
	assert_is(ask(r, TRANSLATE_FORWARD, 22, &sure), 10, 0, 0);
	assert_is(ask(r, TRANSLATE_FORWARD, 31, &sure), 15, 0, 0);
	assert_is(ask(r, TRANSLATE_FORWARD, 40, &sure), 15, 0, 9);
	assert_is(ask(r, TRANSLATE_BACK, 12, &sure), 27, 0, 0);
	assert_is(ask(r, TRANSLATE_BACK, 17, &sure), 31, 0, 2);
	assert_words(ask(r, TRANSLATE_FORWARD, 22, &sure), "exact", TRANSLATE_EXACT);
	assert_words(ask(r, TRANSLATE_FORWARD, 40, &sure), "exact, 9 not mirrored yet",
		     TRANSLATE_PENDING);
	runs_free(r);
}

/* Beyond the end of a table that may lag, the truth lies before the end of the other log. */
static void unsettled_ends_are_bounds(void **state)
{
	(void)state;
	struct runs *r = table();
	struct translate_facts f = sure;
	f.settled = false;
	f.other_end = 18;
	assert_is(ask(r, TRANSLATE_FORWARD, 22, &f), 10, 0, 0);
	assert_is(ask(r, TRANSLATE_FORWARD, 31, &f), 15, 0, 0);
	assert_is(ask(r, TRANSLATE_FORWARD, 40, &f), 15, 3, 9);
	assert_words(ask(r, TRANSLATE_FORWARD, 40, &f), "up to 3 early, 9 not mirrored yet",
		     TRANSLATE_EARLY);
	/* The log ends where the table does: there is no more. */
	f.other_end = 15;
	assert_is(ask(r, TRANSLATE_FORWARD, 40, &f), 15, 0, 9);
	/* Not known, or shorter than the table: nothing can be said. */
	f.other_end = 9;
	assert_is(ask(r, TRANSLATE_FORWARD, 40, &f), 15, -1, 9);
	f.other_end = -1;
	assert_is(ask(r, TRANSLATE_FORWARD, 40, &f), 15, -1, 9);
	assert_words(ask(r, TRANSLATE_FORWARD, 40, &f),
		     "early, not known by how much, 9 not mirrored yet", TRANSLATE_EARLY);
	f.other_end = 40;
	assert_is(ask(r, TRANSLATE_BACK, 17, &f), 31, 9, 2);
	runs_free(r);
}

static void doubts_are_never_exact(void **state)
{
	(void)state;
	struct runs *r = table();
	struct translate_facts f = sure;
	f.doubt = "the topic was made again";
	struct translation t = ask(r, TRANSLATE_FORWARD, 12, &f);
	assert_is(t, 2, -1, 0);
	assert_string_equal(t.problem, f.doubt);
	assert_words(t, "early, not known by how much", TRANSLATE_EARLY);
	runs_free(r);
}

static void empty_tables_have_no_answer(void **state)
{
	(void)state;
	struct runs *r = runs_new(4096);
	struct translation t = {.topic = "t"};
	assert_false(translate_offset(r, TRANSLATE_FORWARD, 5, &sure, &t));
	assert_int_equal(t.translated, -1);
	assert_false(t.exact);
	assert_int_not_equal(strlen(t.problem), 0);
	assert_words(t, "no answer", TRANSLATE_NONE);
	runs_free(r);
}

/* A table that forgot its oldest runs: what it says of them holds the truth. */
static void forgotten_runs_are_bounded(void **state)
{
	(void)state;
	struct rng rng = {rng_seed("forgotten_runs_are_bounded")};
	struct runs *r = runs_new(4096);
	enum { RUNS = 4000 };
	static int64_t src[RUNS], dst[RUNS];
	int64_t s = 0, d = 0;
	for (int i = 0; i < RUNS; i++) {
		s += rng_in(&rng, 1, 4);
		src[i] = s++;
		dst[i] = d++;
		assert_int_equal(runs_append(r, src[i], dst[i], 1), ERR_OK);
	}
	assert_true(runs_src_start(r) > src[RUNS / 2]);
	int inexact = 0;
	for (int i = 0; i < RUNS; i++) {
		struct translation t = ask(r, TRANSLATE_FORWARD, src[i], &sure);
		struct translation b = ask(r, TRANSLATE_BACK, dst[i], &sure);
		assert_in_range(dst[i] - t.translated, 0, t.max_behind);
		assert_in_range(src[i] - b.translated, 0, b.max_behind);
		assert_true(t.exact == (t.max_behind == 0) && b.exact == (b.max_behind == 0));
		inexact += !t.exact + !b.exact;
	}
	assert_true(inexact > RUNS);
	runs_free(r);
}

static void json_comes_back(void **state)
{
	(void)state;
	const struct translation cases[] = {
		{"a->b", "t", "a.t", "ACTIVE", "", 0, TRANSLATE_FORWARD, 0, 0, true, 0, 0},
		{"a->b", "t", "t", "", "made again", INT32_MAX, TRANSLATE_BACK, INT64_MAX,
		 INT64_MAX, false, -1, INT64_MAX},
		{"a->b", "t", "a.t", "STARTING", "nothing", 7, TRANSLATE_FORWARD, 9, -1, false, -1,
		 0},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct errmsg why;
		struct translation back;
		json_t *json = translate_to_json(&cases[i]);
		assert_non_null(json);
		assert_int_equal(translate_from_json(json, &back, &why), ERR_OK);
		assert_string_equal(back.link, cases[i].link);
		assert_string_equal(back.topic, cases[i].topic);
		assert_string_equal(back.target_topic, cases[i].target_topic);
		assert_string_equal(back.state, cases[i].state);
		assert_string_equal(back.problem, cases[i].problem);
		assert_int_equal(back.partition, cases[i].partition);
		assert_int_equal(back.direction, cases[i].direction);
		assert_int_equal(back.offset, cases[i].offset);
		assert_is(back, cases[i].translated, cases[i].max_behind, cases[i].pending);
		json_decref(json);
	}
}

/* Each field missing, or of another kind, is named. */
static void bad_json_is_refused(void **state)
{
	(void)state;
	static const char *const fields[] = {"link",       "topic",     "target_topic", "state",
					     "problem",    "partition", "direction",    "offset",
					     "translated", "exact",     "max_behind",   "pending"};
	const struct translation good = {"a->b", "t", "a.t", "ACTIVE", "", 0, TRANSLATE_FORWARD,
					 0,      0,   true,  0,        0};
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
		for (int kind = 0; kind < 3; kind++) {
			struct errmsg why = {""};
			struct translation out;
			json_t *json = translate_to_json(&good);
			if (kind == 0)
				json_object_del(json, fields[i]);
			else
				json_object_set_new(json, fields[i],
						    kind == 1 ? json_array() : json_real(0.5));
			assert_int_equal(translate_from_json(json, &out, &why), ERR_MALFORMED);
			assert_non_null(strstr(why.text, fields[i]));
			json_decref(json);
		}
	}
	struct errmsg why;
	struct translation out;
	json_t *array = json_array();
	assert_int_equal(translate_from_json(array, &out, &why), ERR_MALFORMED);
	json_decref(array);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(settled_tables_are_exact),
		cmocka_unit_test(unsettled_ends_are_bounds),
		cmocka_unit_test(doubts_are_never_exact),
		cmocka_unit_test(empty_tables_have_no_answer),
		cmocka_unit_test(forgotten_runs_are_bounded),
		cmocka_unit_test(json_comes_back),
		cmocka_unit_test(bad_json_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
