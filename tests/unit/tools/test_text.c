/* SPDX-License-Identifier: Apache-2.0 */
/* Text from peers is harmless on a terminal; tables fit into its width. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tools/text.h"

static void assert_clean(const char *in, const char *want)
{
	struct buf out;
	buf_init(&out, 1000);
	text_clean(&out, in);
	if (!bytes_eq_str(buf_bytes(&out), want) && want[0] != '\0')
		fail_msg("\"%.*s\" instead of \"%s\"", (int)out.len, (const char *)out.p, want);
	assert_int_equal(out.len, strlen(want));
	buf_fini(&out);
}

static void names_cannot_steer_a_terminal(void **state)
{
	(void)state;
	assert_clean("", "");
	assert_clean("orders.v1_x-y", "orders.v1_x-y");
	assert_clean("caf\xc3\xa9 \xe6\x97\xa5 \xf0\x9f\x98\x80",
		     "caf\xc3\xa9 \xe6\x97\xa5 \xf0\x9f\x98\x80");
	assert_clean("a\x1b[2Jb\r\nc\x7f\x08\t", "a?[2Jb??c???");
	assert_clean("\xc2\x9b"
		     "31m \xc2\x85 \xc2\xa0",
		     "?31m ? \xc2\xa0");
	assert_clean("\xe2\x80\xae\xe2\x80\x8f\xe2\x80\xa8\xe2\x81\xa6\xef\xbb\xbf\xd8\x9c",
		     "??????");
	assert_clean("\xe2\x80\x93\xe2\x82\xac", "\xe2\x80\x93\xe2\x82\xac"); /* a dash, a euro */
	assert_clean("\xff\xc3 \xed\xa0\x80\xc0\x80", "?? ?????");
}

static void ages_are_words(void **state)
{
	(void)state;
	static const struct {
		int64_t ms;
		const char *want;
	} cases[] = {{-1, "?"},
		     {0, "0 s"},
		     {119999, "119 s"},
		     {120000, "2 min"},
		     {7199999, "119 min"},
		     {7200000, "2 h"},
		     {172800000, "2 d"},
		     {INT64_MAX, "106751991167 d"}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char age[TEXT_AGE_MAX];
		text_age(cases[i].ms, age);
		assert_string_equal(age, cases[i].want);
	}
}

static const struct table_column columns[] = {
	{"NAME", false, true}, {"N", true, false}, {"LAST", false, false}};

static char *printed(size_t width, const char *const *names, size_t n)
{
	struct table t;
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);
	assert_non_null(f);
	table_init(&t, columns, 3);
	for (size_t i = 0; i < n; i++) {
		table_add(&t, names[i]);
		table_add_number(&t, i == 0 ? -1 : 100);
		table_add(&t, "x");
	}
	assert_int_equal(table_print(&t, width, f), ERR_OK);
	table_fini(&t);
	fclose(f);
	return text;
}

static void tables_are_aligned(void **state)
{
	(void)state;
	static const char *const names[] = {"a\x1b", "caf\xc3\xa9s", "topic"};
	char *text = printed(0, names, 3);
	assert_string_equal(text, "NAME     N  LAST\n"
				  "a?       ?  x\n"
				  "caf\xc3\xa9s  100  x\n"
				  "topic  100  x\n");
	free(text);
}

static void long_names_are_cut_in_the_middle(void **state)
{
	(void)state;
	static const char *const names[] = {
		"a-very-long-name-of-a-topic-with-its-end",
		"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
		"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
		"end"};
	char *text = printed(24, names, 2);
	assert_string_equal(text, "NAME             N  LAST\n"
				  "a-very..s-end    ?  x\n"
				  "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9.."
				  "\xc3\xa9\xc3\xa9"
				  "end  100  x\n");
	free(text);
}

static void text_wraps(void **state)
{
	(void)state;
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);
	assert_non_null(f);
	text_wrapped(f, bytes_str("one two three four"), 2, 11);
	text_wrapped(f, bytes_str("one two"), 1, 0);
	text_wrapped(f, bytes_str("averyverylongword b"), 2, 10);
	fclose(f);
	assert_string_equal(text, "  one two\n  three\n  four\n"
				  " one two\n"
				  "  averyverylongword\n  b\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_cannot_steer_a_terminal),
		cmocka_unit_test(ages_are_words),
		cmocka_unit_test(tables_are_aligned),
		cmocka_unit_test(long_names_are_cut_in_the_middle),
		cmocka_unit_test(text_wraps),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
