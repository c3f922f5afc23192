/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon says, read strictly and printed the worst first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tools/report.h"

#define PARTITION(n, state, person, reason, lag)                                  \
	"{\"partition\":" #n ",\"state\":\"" state "\",\"needs_person\":" #person \
	",\"reason\":\"" reason                                                   \
	"\",\"since_ms\":1000,\"source_position\":5,\"target_position\":5,"       \
	"\"source_end\":9,\"lag_records\":" #lag ",\"lag_seconds\":61.5,\"records\":5}"

static const char good[] =
	"{\"program\":\"farshore-mirror\",\"version\":\"1\",\"now_ms\":181000,\"links\":["
	"{\"name\":\"a->b\",\"source\":\"a\",\"target\":\"b\",\"state\":\"DATA_LOSS\","
	"\"needs_person\":true,\"reason\":\"t-1: gone\",\"ready\":true,\"paused\":false,"
	"\"since_ms\":1000,\"lag_records\":14,\"topics\":["
	"{\"source\":\"t\",\"target\":\"a.t\",\"problem\":\"\",\"partitions\":[" PARTITION(
		0, "ACTIVE", false, "",
		4) "," PARTITION(1, "DATA_LOSS", true, "offsets 5 to 8 are \\u001b gone",
				 2) "," PARTITION(2, "CATCHING_UP", false, "",
						  8) "," PARTITION(3, "STARTING", false, "",
								   -1) "]},"
								       "{\"source\":\"u\","
								       "\"target\":\"a.u\","
								       "\"problem\":\"no "
								       "room\",\"partitions\":[]}]}"
								       "]}";

static json_t *parsed(const char *text)
{
	json_error_t bad;
	json_t *root = json_loads(text, 0, &bad);
	if (root == NULL)
		fail_msg("%s", bad.text);
	return root;
}

typedef enum err reporter(const struct report *r, struct intake *in, int *code);

static enum err lag_of_all(const struct report *r, struct intake *in, int *code)
{
	return report_lag(r, in, NULL, code);
}

static enum err lag_of_target_name(const struct report *r, struct intake *in, int *code)
{
	return report_lag(r, in, "a.t", code);
}

static enum err lag_of_nothing(const struct report *r, struct intake *in, int *code)
{
	return report_lag(r, in, "nothing", code);
}

/* What is printed for `good`; the caller frees it. */
static char *report(reporter *fn, bool as_json, int want)
{
	char *text = NULL;
	size_t n = 0;
	int code = -1;
	struct intake in;
	struct errmsg why = {""};
	struct report r = {.out = open_memstream(&text, &n), .width = 80, .json = as_json};
	assert_non_null(r.out);
	if (intake_links(parsed(good), &in, &why) != ERR_OK)
		fail_msg("%s", why.text);
	assert_int_equal(fn(&r, &in, &code), ERR_OK);
	assert_int_equal(code, want);
	intake_fini(&in);
	fclose(r.out);
	return text;
}

static void status_shows_what_is_wrong(void **state)
{
	(void)state;
	char *text = report(report_links, false, EXIT_ATTENTION);
	assert_string_equal(text, "LINK  STATE      SINCE  LAG  TOPICS  PARTITIONS  READY\n"
				  "a->b  DATA_LOSS  3 min   14       2           4  yes\n"
				  "  a->b: t-1: gone\n"
				  "    topic u: no room\n"
				  "    t-1 DATA_LOSS for 3 min: offsets 5 to 8 are ? gone\n"
				  "    t-3 STARTING for 3 min\n");
	free(text);
}

static void lag_is_sorted(void **state)
{
	(void)state;
	char *text = report(lag_of_all, false, EXIT_OK);
	assert_string_equal(text, "LINK  TOPIC  PART  LAG   AGE  STATE\n"
				  "a->b  t         1    2  61 s  DATA_LOSS\n"
				  "a->b  t         3    ?     ?  STARTING\n"
				  "a->b  t         2    8  61 s  CATCHING_UP\n"
				  "a->b  t         0    4  61 s  ACTIVE\n"
				  "4 partitions, 14 records behind in all\n");
	free(text);
	text = report(lag_of_target_name, false, EXIT_OK);
	assert_non_null(strstr(text, "4 partitions"));
	free(text);
	text = report(lag_of_nothing, false, EXIT_NOT_FOUND);
	assert_string_equal(text, "");
	free(text);
}

static void json_is_for_programs(void **state)
{
	(void)state;
	char *text = report(lag_of_all, true, EXIT_OK);
	json_t *root = parsed(text);
	const json_t *rows = json_object_get(root, "partitions");
	assert_int_equal(json_array_size(rows), 4);
	assert_int_equal(
		json_integer_value(json_object_get(json_array_get(rows, 1), "lag_records")), -1);
	json_decref(root);
	free(text);
	text = report(report_links, true, EXIT_ATTENTION);
	root = parsed(text);
	json_t *want = parsed(good);
	assert_true(json_equal(root, want));
	json_decref(root);
	json_decref(want);
	free(text);
}

#define POSITION(n, target, problem)                                                            \
	"{\"topic\":\"t\",\"partition\":" #n ",\"source_position\":7,\"source_end\":9,"         \
	"\"target_topic\":\"a.t\",\"target_position\":" #target ",\"exact\":false,"             \
	"\"max_behind\":3,\"pending\":0,\"target_committed\":4,\"checkpoint\":null,\"lost\":2," \
	"\"repeated\":1,\"skipped\":0,\"problem\":\"" problem "\",\"reason\":\"" problem        \
	"\",\"detail\":null}"

#define GROUP(name, unknown, lost, repeated, problem, positions)                               \
	"{\"link\":\"a->b\",\"group\":\"" name "\",\"source_state\":\"active\",\"sync\":true," \
	"\"target_state\":\"empty\",\"synced_ms\":121000,\"problem\":\"" problem               \
	"\",\"partitions\":2,\"not_mirrored\":0,\"unknown\":" #unknown                         \
	",\"inexact\":0,\"waiting\":0,\"lost\":" #lost ",\"repeated\":" #repeated              \
	",\"skipped\":0" positions "}"

#define PAGE(groups) \
	"{\"program\":\"farshore-mirror\",\"now_ms\":181000,\"links\":[],\"groups\":[" groups "]}"

static char *groups_text(const char *page, const char *group, int want)
{
	char *text = NULL;
	size_t n = 0;
	int code = -1;
	struct intake_groups in;
	struct errmsg why = {""};
	struct report r = {.out = open_memstream(&text, &n), .width = 80};
	assert_non_null(r.out);
	if (intake_groups(parsed(page), &in, &why) != ERR_OK)
		fail_msg("%s", why.text);
	assert_int_equal(report_groups(&r, &in, group, &code), ERR_OK);
	assert_int_equal(code, want);
	intake_groups_fini(&in);
	fclose(r.out);
	return text;
}

static void groups_are_sorted(void **state)
{
	(void)state;
	char *text = groups_text(
		PAGE(GROUP("fine", 0, 0, 0, "", "") "," GROUP("loses", 0, 5, 0, "", "") "," GROUP(
			"unknown", 1, 0, 0, "no leave", "")),
		NULL, EXIT_ATTENTION);
	assert_string_equal(
		text,
		"LINK  GROUP    PARTITIONS  LOST  REPEATED  SKIPPED  UNKNOWN  SYNCED  THERE\n"
		"a->b  unknown           2     0         0        0        1    60 s  empty\n"
		"a->b  loses             2     5         0        0        0    60 s  empty\n"
		"a->b  fine              2     0         0        0        0    60 s  empty\n"
		"  unknown: no leave\n"
		"3 groups, 2 of them would lose, skip or repeat records, or it cannot be told\n");
	free(text);
	text = groups_text(PAGE(GROUP("fine", 0, 0, 0, "", "")), NULL, EXIT_OK);
	free(text);
	text = groups_text(PAGE(""), "g", EXIT_NOT_FOUND);
	assert_string_equal(text, "");
	free(text);
}

static void positions_of_a_group(void **state)
{
	(void)state;
	char *text = groups_text(PAGE(GROUP("g", 1, 2, 1, "",
					    ",\"positions\":[" POSITION(0, 6, "") "," POSITION(
						    1, null, "not ready") "]")),
				 "g", EXIT_ATTENTION);
	assert_string_equal(
		text, "a->b, group g: at the source active, at the target empty\n"
		      "TOPIC  PART  OFFSET  THERE  COMMITTED  LOST  REPEATED  SKIPPED  PROBLEM\n"
		      "t         0       7      6          4     2         1        0  \n"
		      "t         1       7      ?          4     2         1        0  not ready\n"
		      "  t-0: the position there is up to 3 early\n"
		      "  t-1: not ready\n");
	free(text);
}

static void bad_groups_are_refused(void **state)
{
	(void)state;
	static const char *const fields[] = {
		"program",      "now_ms",          "groups",       "link",    "group",
		"source_state", "problem",         "target_state", "unknown", "lost",
		"repeated",     "skipped",         "inexact",      "waiting", "exact",
		"pending",      "topic",           "target_topic", "reason",  "target_position",
		"partition",    "source_position", "synced_ms"};
	static const char page[] =
		PAGE(GROUP("g", 1, 2, 1, "", ",\"positions\":[" POSITION(0, 6, "") "]"));
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
		char quoted[64], *text = strdup(page), *at = NULL;
		struct errmsg why = {""};
		struct intake_groups in;
		assert_non_null(text);
		snprintf(quoted, sizeof quoted, "\"%s\":", fields[i]);
		for (char *found = text; (found = strstr(found, quoted)) != NULL; found++)
			at = found;
		assert_non_null(at);
		at[1] = 'X';
		if (intake_groups(parsed(text), &in, &why) == ERR_OK)
			fail_msg("taken without %s", fields[i]);
		free(text);
	}
	struct errmsg why = {""};
	struct intake_groups in;
	/* Of a position that is exact, all that makes it so. */
	char *text =
		strdup(PAGE(GROUP("g", 1, 2, 1, "", ",\"positions\":[" POSITION(0, null, "") "]")));
	char *exact = strstr(text, "\"exact\":false");
	memcpy(exact, "\"exact\":true ", 13);
	assert_int_equal(intake_groups(parsed(text), &in, &why), ERR_MALFORMED);
	free(text);
}

/* Every field that is used: without it, and with a value of another kind. */
static void bad_answers_are_refused(void **state)
{
	(void)state;
	static const char *const fields[] = {
		"program",      "now_ms",    "links",       "name",      "state",
		"needs_person", "reason",    "ready",       "paused",    "since_ms",
		"lag_records",  "topics",    "source",      "target",    "problem",
		"partitions",   "partition", "lag_seconds", "source_end"};
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
		char quoted[64], *text = strdup(good);
		struct errmsg why = {""};
		struct intake in;
		assert_non_null(text);
		snprintf(quoted, sizeof quoted, "\"%s\":", fields[i]);
		/* The last one in the text, which is the innermost. */
		char *at = NULL;
		for (char *found = text; (found = strstr(found, quoted)) != NULL; found++)
			at = found;
		assert_non_null(at);
		at[1] = 'X';
		if (intake_links(parsed(text), &in, &why) == ERR_OK) {
			/* The link's own "source" and "target" are not used. */
			fail_msg("taken without %s", fields[i]);
		}
		assert_int_not_equal(strlen(why.text), 0);
		free(text);
	}
	static const char *const others[] = {
		"{}",
		"{\"program\":\"farshore-broker\"}",
		"{\"program\":\"farshore-mirror\",\"now_ms\":1,\"links\":{}}",
		"{\"program\":\"farshore-mirror\",\"now_ms\":-2,\"links\":[]}",
		"{\"program\":\"farshore-mirror\",\"now_ms\":1.5,\"links\":[]}",
		"{\"program\":\"farshore-mirror\",\"now_ms\":1,\"links\":[5]}"};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		struct errmsg why = {""};
		struct intake in;
		assert_int_equal(intake_links(parsed(others[i]), &in, &why), ERR_MALFORMED);
	}
}

static void translations_tell_how_good_they_are(void **state)
{
	(void)state;
	static const struct translation list[] = {
		{"a->b", "t", "a.t", "ACTIVE", "", 0, TRANSLATE_FORWARD, 7, 6, true, 0, 0},
		{"a->b", "t", "a.t", "ACTIVE", "", 0, TRANSLATE_FORWARD, 9, 6, true, 0, 2},
		{"a->b", "t", "a.t", "", "old", 1, TRANSLATE_FORWARD, 9, 6, false, -1, 0},
		{"a->b", "t", "a.t", "", "none", 1, TRANSLATE_FORWARD, 9, -1, false, -1, 0},
	};
	static const int codes[] = {EXIT_OK, EXIT_PENDING, EXIT_ATTENTION, EXIT_NOT_FOUND};
	for (size_t n = 1; n <= 4; n++) {
		char *text = NULL;
		size_t size = 0;
		int code;
		struct report r = {.out = open_memstream(&text, &size)};
		assert_int_equal(report_translations(&r, NULL, list, n, &code), ERR_OK);
		assert_int_equal(code, codes[n - 1]);
		fclose(r.out);
		if (n == 4)
			assert_string_equal(
				text,
				"TOPIC  PART  OFFSET  ON  TOPIC  OFFSET  ANSWER\n"
				"t         0       7  b   a.t         6  exact\n"
				"t         0       9  b   a.t         6  exact, 2 not mirrored "
				"yet\n"
				"t         1       9  b   a.t         6  early, not known by how "
				"much\n"
				"t         1       9  b   a.t         ?  no answer\n"
				"  t-1: old\n"
				"  t-1: none\n");
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(status_shows_what_is_wrong),
		cmocka_unit_test(lag_is_sorted),
		cmocka_unit_test(json_is_for_programs),
		cmocka_unit_test(bad_answers_are_refused),
		cmocka_unit_test(translations_tell_how_good_they_are),
		cmocka_unit_test(groups_are_sorted),
		cmocka_unit_test(positions_of_a_group),
		cmocka_unit_test(bad_groups_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
