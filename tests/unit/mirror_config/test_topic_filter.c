/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns as java.util.regex reads them (expected values come from Pattern.matches), and patterns
 * made to burn time. */
#include "tests/unit/base/unit.h"

#include <time.h>

#include "mirror/config/naming.h"
#include "tests/unit/base/fail_alloc.h"

#define MM2_EXCLUDE ".*[\\-\\.]internal, .*\\.replica, __.*"

static struct topic_filter *filter(const char *include, const char *exclude)
{
	struct topic_filter *f = NULL;
	struct errmsg why = {{0}};
	if (topic_filter_new(include, exclude, &f, &why) != ERR_OK)
		fail_msg("%s", why.text);
	return f;
}

static bool matches(const char *include, const char *exclude, const char *name)
{
	struct topic_filter *f = filter(include, exclude);
	bool ok = topic_filter_match(f, name);
	assert_int_equal(topic_filter_exceeded(f), 0);
	topic_filter_free(f);
	return ok;
}

static void the_whole_name_must_match(void **state)
{
	(void)state;
	static const struct {
		const char *pattern, *name;
		bool expected;
	} cases[] = {
		{"orders", "orders", true},
		{"orders", "orders2", false},
		{"orders", "my-orders", false},
		{"orders.*", "orders", true},
		{"orders.*", "orders-eu", true},
		{"o|orders", "orders", true},
		{"orders|o", "o", true},
		{"o.*, x", "x", true},
		{"o.* ,, x ,", "", false},
		{"", "anything", false},
		{"", "", false},
		{"a?", "", true},
		{"(?i)ORDERS", "orders", true},
		{"(?i)a, B", "b", true},
		{"[a-c]+[0-9]", "abc1", true},
		{"[^.]+", "a.b", false},
		{"[^.]+", "ab", true},
		{"a{2}", "aa", true},
		{"^orders$", "orders", true},
		{"orders$x", "orders", false},
		{"(a|ab)(c|bcd)(d*)", "abcd", true},
		{"a*+b", "aaab", true},
		{"a*+ab", "aaab", false},
		{"(?!internal).*", "internal-x", false},
		{"(?!internal).*", "x-internal", true},
		{"(?<=x).*", "x", false},
		{"\\w+\\.\\d", "topic.1", true},
		{"(a)\\1", "aa", true},
		{".*", "a-name.with_all", true},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (matches(cases[i].pattern, "", cases[i].name) != cases[i].expected)
			fail_msg("%s against %s", cases[i].pattern, cases[i].name);
}

static void the_exclude_list_wins(void **state)
{
	(void)state;
	assert_true(matches(".*", MM2_EXCLUDE, "orders"));
	assert_false(matches(".*", MM2_EXCLUDE, "x.internal"));
	assert_false(matches(".*", MM2_EXCLUDE, "x-internal"));
	assert_true(matches(".*", MM2_EXCLUDE, "internal"));
	assert_true(matches(".*", MM2_EXCLUDE, "x.internal.y"));
	assert_false(matches(".*", MM2_EXCLUDE, "a.replica"));
	assert_false(matches(".*", MM2_EXCLUDE, "__consumer_offsets"));
	assert_true(matches(".*", MM2_EXCLUDE, "_schemas"));
	assert_false(matches("a, b", "b", "b"));
}

static void refused(const char *pattern, const char *expected)
{
	struct topic_filter *f = NULL;
	struct errmsg why = {{0}};
	assert_int_equal(topic_filter_new(pattern, "", &f, &why), ERR_CONFIG);
	if (strstr(why.text, expected) == NULL)
		fail_msg("%s: %s", pattern, why.text);
	assert_int_equal(topic_filter_new(".*", pattern, &f, &why), ERR_CONFIG);
}

static void bad_patterns_are_refused(void **state)
{
	(void)state;
	refused("a(b", "pattern \"a(b\": missing closing parenthesis");
	refused("good, *bad", "pattern \"*bad\": quantifier does not follow a repeatable item");
	refused("[a-", "pattern \"[a-\": ");
	refused("a\\", "pattern \"a\\\": ");
	refused("(a, b)", "pattern \"(a\": ");
}

/* What PCRE2 would take with another meaning than Java. */
static void what_java_reads_otherwise_is_refused(void **state)
{
	(void)state;
	refused("[a-z&&[^b]]", "is not supported");
	refused("[a[bc]]", "a \"[\" inside [...] is not supported");
	refused("(*LIMIT_MATCH=1)a", "is not a Java pattern");
	refused("a(*FAIL)", "is not a Java pattern");
	refused("[]a]", "is not supported");
	refused("\\Qa.b\\E", "is not supported");
	refused("a\\Cb", "pattern \"a\\Cb\": ");
	assert_true(matches("[\\[a]", "", "["));
	assert_true(matches("a&&b", "", "a&&b"));
	assert_true(matches("\\(*", "", "(("));
}

static double seconds(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Catastrophic backtracking: no match, counted, and quick. */
static void hostile_patterns_end_in_time(void **state)
{
	(void)state;
	static const char *const patterns[] = {
		"(a+)+$",
		"(a|a)*b",
		"(a*)*b",
		"([a-z]+)*x1",
		"(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)z",
		"((a{1,30}){1,30}){1,30}b",
		"(?:a?){200}a{200}b",
	};
	char name[250];
	memset(name, 'a', sizeof name - 1);
	name[sizeof name - 2] = '!';
	name[sizeof name - 1] = '\0';
	for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
		struct topic_filter *f;
		struct errmsg why;
		if (topic_filter_new(patterns[i], "", &f, &why) != ERR_OK)
			continue;
		double from = seconds();
		assert_false(topic_filter_match(f, name));
		double took = seconds() - from;
		if (took > 0.05)
			fail_msg("%s took %.0f ms", patterns[i], took * 1000);
		topic_filter_free(f);
	}
	struct topic_filter *f = filter("(a+)+$", "");
	assert_false(topic_filter_match(f, name));
	assert_false(topic_filter_match(f, name));
	assert_int_equal(topic_filter_exceeded(f), 2);
	assert_true(topic_filter_match(f, "aaaa"));
	topic_filter_free(f);
}

/* An exclude list that gives up must not let the topic through. */
static void an_exclude_list_over_the_limit_excludes(void **state)
{
	(void)state;
	char name[250];
	memset(name, 'a', sizeof name - 1);
	name[sizeof name - 2] = '!';
	name[sizeof name - 1] = '\0';
	struct topic_filter *f = filter(".*", "(a+)+$");
	assert_false(topic_filter_match(f, name));
	assert_int_equal(topic_filter_exceeded(f), 1);
	assert_true(topic_filter_match(f, "b"));
	topic_filter_free(f);
}

static void long_lists(void **state)
{
	(void)state;
	struct errmsg why;
	struct topic_filter *f;
	char *list = malloc(200000);
	size_t n = 0;
	for (int i = 0; n < 60000; i++)
		n += (size_t)snprintf(list + n, 32, "topic-%d, ", i);
	f = filter(list, "");
	assert_true(topic_filter_match(f, "topic-4000"));
	assert_false(topic_filter_match(f, "topic-x"));
	topic_filter_free(f);
	memset(list, 'a', 199999);
	list[199999] = '\0';
	assert_int_equal(topic_filter_new(list, "", &f, &why), ERR_CONFIG);
	free(list);
}

static void out_of_memory(void **state)
{
	(void)state;
	for (long n = 1;; n++) {
		struct topic_filter *f = NULL;
		struct errmsg why = {{0}};
		fail_alloc_at(n);
		enum err e = topic_filter_new("a.*, b", "c", &f, &why);
		bool hit = fail_alloc_off();
		if (e == ERR_OK) {
			assert_false(hit);
			assert_true(topic_filter_match(f, "b"));
			topic_filter_free(f);
			break;
		}
		assert_true(hit);
		assert_int_equal(e, ERR_NOMEM);
	}
	topic_filter_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_whole_name_must_match),
		cmocka_unit_test(the_exclude_list_wins),
		cmocka_unit_test(bad_patterns_are_refused),
		cmocka_unit_test(what_java_reads_otherwise_is_refused),
		cmocka_unit_test(hostile_patterns_end_in_time),
		cmocka_unit_test(an_exclude_list_over_the_limit_excludes),
		cmocka_unit_test(long_lists),
		cmocka_unit_test(out_of_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
