/* SPDX-License-Identifier: Apache-2.0 */
/* The .properties grammar; expected values are what java.util.Properties (17) gives. */
#include "tests/unit/base/unit.h"

#include "mirror/config/mm2_properties.h"
#include "tests/unit/base/fail_alloc.h"

static struct arena arena;
static struct mm2_properties props;

static enum err parse(struct bytes text, enum mm2_encoding encoding, struct errmsg *why)
{
	arena_fini(&arena);
	arena_init(&arena, 8 << 20);
	return mm2_properties_parse(text, encoding, &arena, &props, why);
}

static void parse_ok(const char *text)
{
	struct errmsg why = {{0}};
	if (parse(bytes_str(text), MM2_LATIN1, &why) != ERR_OK)
		fail_msg("%s", why.text);
}

static void expect(const char *key, const char *value)
{
	const struct mm2_property *p = mm2_properties_find(&props, key);
	if (p == NULL)
		fail_msg("no key %s", key);
	else
		assert_string_equal(p->value, value);
}

static void one(const char *line, const char *key, const char *value)
{
	parse_ok(line);
	assert_int_equal(props.n, 1);
	expect(key, value);
}

static void separators(void **state)
{
	(void)state;
	one("k=v", "k", "v");
	one("k:v", "k", "v");
	one("k v", "k", "v");
	one("k\tv", "k", "v");
	one("  k  =  v  ", "k", "v");
	one("k = = v", "k", "= v");
	one("k : = v", "k", "= v");
	one("k==v", "k", "=v");
	one("k", "k", "");
	one("k=", "k", "");
	one("=v", "", "v");
	one(":", "", "");
	one("A->B.enabled = true", "A->B.enabled", "true");
	one("k\\ 1\\=2\\:3 = v", "k 1=2:3", "v");
	one("k=a b  c", "k", "a b  c");
	one("k=v#no comment", "k", "v#no comment");
}

static void lines_and_comments(void **state)
{
	(void)state;
	parse_ok("# c\n! c\n\n  \t\n  # c \\\na=1\r\nb=2\rc=3\n\n#d=4");
	assert_int_equal(props.n, 3);
	expect("a", "1");
	expect("b", "2");
	expect("c", "3");
	assert_int_equal(mm2_properties_find(&props, "a")->line, 6);
	assert_int_equal(mm2_properties_find(&props, "b")->line, 7);
	assert_int_equal(mm2_properties_find(&props, "c")->line, 8);
	parse_ok("");
	assert_int_equal(props.n, 0);
	assert_null(mm2_properties_find(&props, "a"));
}

static void continuation_lines(void **state)
{
	(void)state;
	one("fruits = apple, banana, \\\n         pear", "fruits", "apple, banana, pear");
	one("k = a\\\r\n\t b", "k", "ab");
	one("k = a\\\\\n", "k", "a\\");
	one("k = a\\\\\\\n b", "k", "a\\b");
	one("k\\\n  ey = v", "key", "v");
	one("k\\\n= v", "k", "v");
	one("k = a\\\n# b", "k", "a# b");
	one("k = a\\\n\\\n b", "k", "ab");
	one("k = a\\", "k", "a");
	/* Behind a backslash alone the line is still a new one: a comment may begin there. */
	one("\\\n# c\nk=v", "k", "v");
	one("\\\n \\\r\n\nk=v", "k", "v");
	one("k=v\n\\\n", "k", "v");
	parse_ok("k = a\\\n\nb = 2");
	assert_int_equal(props.n, 2);
	expect("k", "a");
	expect("b", "2");
	assert_int_equal(mm2_properties_find(&props, "b")->line, 3);
}

static void escapes(void **state)
{
	(void)state;
	one("k = a\\tb\\nc\\rd\\fe", "k", "a\tb\nc\rd\fe");
	one("k = \\q\\\"\\'\\:", "k", "q\"':");
	one("k = .*[\\\\-\\\\.]internal", "k", ".*[\\-\\.]internal");
	one("k = .*[\\-\\.]internal", "k", ".*[-.]internal");
	one("k = \\u0041\\u00e9\\u20AC", "k", "A\xc3\xa9\xe2\x82\xac");
	one("k = \\uD83D\\uDE00", "k", "\xf0\x9f\x98\x80");
	one("\\u006b = v", "k", "v");
	one("k\\u003dx = v", "k=x", "v");
}

static void encodings(void **state)
{
	(void)state;
	struct errmsg why;
	/* Properties.load(InputStream) reads ISO 8859-1, also where the bytes are UTF-8. */
	one("k = \xe9", "k", "\xc3\xa9");
	one("k = \xc3\xa9", "k", "\xc3\x83\xc2\xa9");
	assert_int_equal(parse(bytes_str("k = \xc3\xa9"), MM2_UTF8, &why), ERR_OK);
	expect("k", "\xc3\xa9");
	assert_int_equal(parse(bytes_str("k = \\\xc3\xa9"), MM2_UTF8, &why), ERR_OK);
	expect("k", "\xc3\xa9");
	assert_int_equal(parse(bytes_str("a=1\nk = \xc3("), MM2_UTF8, &why), ERR_MALFORMED);
	assert_string_equal(why.text, "line 2: not UTF-8");
}

static void values_are_trimmed(void **state)
{
	(void)state;
	one("k = true \t ", "k", "true");
	one("k = \\ \\ x\\ ", "k", "x");
}

static void the_last_value_counts(void **state)
{
	(void)state;
	parse_ok("a=1\nb=2\na=3\n");
	assert_int_equal(props.n, 2);
	expect("a", "3");
	assert_true(mm2_properties_find(&props, "a")->repeated);
	assert_int_equal(mm2_properties_find(&props, "a")->line, 3);
	assert_false(mm2_properties_find(&props, "b")->repeated);
}

static void what_is_broken(void **state)
{
	(void)state;
	static const struct {
		const char *text, *why;
	} cases[] = {
		{"a=1\nk = \\u00", "line 2: \\u needs four hexadecimal digits"},
		{"k = \\u00g0", "line 1: \\u needs four hexadecimal digits"},
		{"k = \\ud83d", "line 1: half of a surrogate pair"},
		{"k = \\ude00\\ud83d", "line 1: half of a surrogate pair"},
		{"k = \\ud83d\\u0041", "line 1: half of a surrogate pair"},
		{"k = \\u0000", "line 1: \\u0000 is not allowed"},
	};
	struct errmsg why;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(parse(bytes_str(cases[i].text), MM2_LATIN1, &why), ERR_MALFORMED);
		assert_string_equal(why.text, cases[i].why);
	}
	assert_int_equal(parse(bytes_of("k=\0", 3), MM2_LATIN1, &why), ERR_MALFORMED);
}

static void too_many_keys(void **state)
{
	(void)state;
	struct errmsg why;
	char *text = malloc(400000);
	size_t n = 0;
	for (int i = 0; i < MM2_PROPERTIES_MAX + 5; i++)
		n += (size_t)snprintf(text + n, 16, "k%d=v\n", i);
	assert_int_equal(parse(bytes_of(text, n), MM2_LATIN1, &why), ERR_LIMIT);
	assert_non_null(strstr(why.text, "line 20001: too long, or more than 20000 keys"));
	free(text);
}

/* Any bytes end in a table or a clean error; keys and values are valid UTF-8. */
static void random_bytes(void **state)
{
	(void)state;
	static const char alphabet[] = "ab=: \t\\\\\n\r#!u0d8cx\xe9\xc3\xa9";
	uint32_t seed = 12345;
	for (int round = 0; round < 20000; round++) {
		char text[64];
		size_t n = 0;
		struct errmsg why = {{0}};
		for (; n < sizeof text; n++) {
			seed = seed * 1103515245 + 12345;
			text[n] = alphabet[(seed >> 16) % (sizeof alphabet - 1)];
		}
		enum mm2_encoding encoding = round % 2 == 0 ? MM2_LATIN1 : MM2_UTF8;
		if (parse(bytes_of(text, n), encoding, &why) != ERR_OK) {
			assert_int_equal(strncmp(why.text, "line ", 5), 0);
			continue;
		}
		for (size_t i = 0; i < props.n; i++) {
			struct bytes v = bytes_str(props.items[i].value);
			for (size_t at = 0, k; at < v.n; at += k) {
				k = bytes_utf8(v, at);
				assert_true(k > 0);
			}
			assert_ptr_equal(mm2_properties_find(&props, props.items[i].key),
					 &props.items[i]);
		}
	}
}

static void out_of_memory(void **state)
{
	(void)state;
	for (long n = 1;; n++) {
		struct errmsg why = {{0}};
		arena_fini(&arena);
		arena_init(&arena, 1 << 20);
		fail_alloc_at(n);
		enum err e = mm2_properties_parse(bytes_str("a=1\nb=2\na=3\n"), MM2_LATIN1, &arena,
						  &props, &why);
		bool hit = fail_alloc_off();
		if (e == ERR_OK) {
			assert_false(hit);
			break;
		}
		assert_true(hit);
		assert_int_equal(e, ERR_NOMEM);
	}
}

static int done(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(separators),
		cmocka_unit_test(lines_and_comments),
		cmocka_unit_test(continuation_lines),
		cmocka_unit_test(escapes),
		cmocka_unit_test(encodings),
		cmocka_unit_test(values_are_trimmed),
		cmocka_unit_test(the_last_value_counts),
		cmocka_unit_test(what_is_broken),
		cmocka_unit_test(too_many_keys),
		cmocka_unit_test(random_bytes),
		cmocka_unit_test(out_of_memory),
	};
	return cmocka_run_group_tests(tests, NULL, done);
}
