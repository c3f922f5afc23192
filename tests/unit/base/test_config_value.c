/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/base/unit.h"

#include "lib/base/config_value.h"

static void whole_numbers(void **state)
{
	(void)state;
	int64_t v;
	assert_true(config_value_int("0", &v) && v == 0);
	assert_true(config_value_int(" -42 ", &v) && v == -42);
	assert_true(config_value_int("+7", &v) && v == 7);
	assert_true(config_value_int("9223372036854775807", &v) && v == INT64_MAX);
	assert_true(config_value_int("-9223372036854775808", &v) && v == INT64_MIN);
	static const char *const bad[] = {"",
					  " ",
					  "-",
					  "x",
					  "1x",
					  "1 2",
					  "0x10",
					  "1.5",
					  "1e3",
					  "--1",
					  "+-1",
					  "1,",
					  "9223372036854775808",
					  "- 1",
					  "\n",
					  "1 s"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(config_value_int(bad[i], &v));
}

static void durations(void **state)
{
	(void)state;
	int64_t v;
	assert_true(config_value_duration("1500", &v) && v == 1500);
	assert_true(config_value_duration("10 s", &v) && v == 10000);
	assert_true(config_value_duration("10s", &v) && v == 10000);
	assert_true(config_value_duration(" 5  min ", &v) && v == 300000);
	assert_true(config_value_duration("2 h", &v) && v == 7200000);
	assert_true(config_value_duration("1 d", &v) && v == 86400000);
	assert_true(config_value_duration("7 ms", &v) && v == 7);
	assert_true(config_value_duration("-1 s", &v) && v == -1000);
	static const char *const bad[] = {"10 sec",
					  "10 S",
					  "1 m",
					  "s",
					  "",
					  "10 s s",
					  "9223372036854775807 s",
					  "-9223372036854775808 ms s"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(config_value_duration(bad[i], &v));
}

static void sizes(void **state)
{
	(void)state;
	int64_t v;
	assert_true(config_value_bytes("64 MiB", &v) && v == 64 << 20);
	assert_true(config_value_bytes("1 TiB", &v) && v == 1LL << 40);
	assert_true(config_value_bytes("3 B", &v) && v == 3);
	assert_true(config_value_bytes("4096", &v) && v == 4096);
	/* MB could be either: not guessed. */
	static const char *const bad[] = {"1 MB", "1 mib", "1 M", "8388608 TiB", "one"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(config_value_bytes(bad[i], &v));
}

static void truth(void **state)
{
	(void)state;
	bool v;
	assert_true(config_value_bool("true", &v) && v);
	assert_true(config_value_bool("false", &v) && !v);
	assert_false(config_value_bool("True", &v));
	assert_false(config_value_bool("1", &v));
	assert_false(config_value_bool("", &v));
}

static void printed_values_read_back(void **state)
{
	(void)state;
	static const int64_t values[] = {0,     1,       999,      1000,     60000,
					 61000, 3600000, 86400000, INT64_MAX};
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		struct buf b;
		int64_t v;
		buf_init(&b, 100);
		config_value_put_duration(&b, values[i]);
		buf_put_u8(&b, '\0');
		assert_true(config_value_duration((char *)b.p, &v));
		assert_true(v == values[i]);
		buf_clear(&b);
		config_value_put_bytes(&b, values[i]);
		buf_put_u8(&b, '\0');
		assert_true(config_value_bytes((char *)b.p, &v));
		assert_true(v == values[i]);
		buf_fini(&b);
	}
}

static void lists(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		size_t n;
		const char *items[3];
	} cases[] = {
		{"", 0, {NULL}},
		{" , ,", 0, {NULL}},
		{"a", 1, {"a"}},
		{" a b , c", 2, {"a b", "c"}},
		{"a,,b\t,\nc,", 3, {"a", "b", "c"}},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct arena a;
		const char *const *items;
		size_t n;
		arena_init(&a, 4096);
		assert_true(config_value_split(&a, cases[i].text, &items, &n));
		assert_int_equal(n, cases[i].n);
		for (size_t k = 0; k < n; k++)
			assert_string_equal(items[k], cases[i].items[k]);
		arena_fini(&a);
	}
	struct arena small;
	const char *const *items;
	size_t n;
	arena_init(&small, 64);
	assert_false(config_value_split(&small, "a,b,c,d,e,f,g,h,i,j,k", &items, &n));
	arena_fini(&small);
}

static const char *nearest(const char *word, const char *const *candidates)
{
	struct config_nearest n = {.word = word};
	for (; *candidates != NULL; candidates++)
		config_value_nearest(&n, *candidates);
	return n.best;
}

static void nearest_names(void **state)
{
	(void)state;
	static const char *const keys[] = {"topics", "topics.exclude",    "tasks.max",
					   "groups", "bootstrap.servers", NULL};
	assert_string_equal(nearest("topcs", keys), "topics");
	assert_string_equal(nearest("tpoics", keys), "topics");
	assert_string_equal(nearest("topics.exclud", keys), "topics.exclude");
	assert_string_equal(nearest("bootstrap.server", keys), "bootstrap.servers");
	assert_string_equal(nearest("booststrap.servers", keys), "bootstrap.servers");
	assert_null(nearest("completely.different", keys));
	assert_null(nearest("", keys));
	char longest[5000];
	memset(longest, 'x', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	assert_null(nearest(longest, keys));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_numbers),
		cmocka_unit_test(durations),
		cmocka_unit_test(sizes),
		cmocka_unit_test(truth),
		cmocka_unit_test(printed_values_read_back),
		cmocka_unit_test(lists),
		cmocka_unit_test(nearest_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
