/* SPDX-License-Identifier: Apache-2.0 */
/* The heads of HTTP requests: what is read, what is refused, and every prefix and change of one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/net/http_parse.h"

static void test_a_whole_head(void **state)
{
	(void)state;
	struct http_head h;
	static const char text[] = "GET /v1/links?topic=a%20b&x= HTTP/1.1\r\n"
				   "Host: localhost:8080\r\n"
				   "Accept: */*\r\n"
				   "X-Empty:\r\n"
				   "X-Blank:  \t \r\n"
				   "\r\n"
				   "GET /next";
	assert_int_equal(http_parse_head(bytes_str(text), &h), 200);
	assert_int_equal(h.method, HTTP_GET);
	assert_true(bytes_eq_str(h.path, "/v1/links"));
	assert_true(bytes_eq_str(h.query, "topic=a%20b&x="));
	assert_true(bytes_eq_str(h.host, "localhost:8080"));
	assert_true(h.keep_alive);
	assert_false(h.has_body);
	assert_int_equal(h.n, sizeof text - 1 - strlen("GET /next"));
}

static void test_statuses(void **state)
{
	(void)state;
	static const struct {
		int status;
		const char *text;
	} cases[] = {
		{0, ""},
		{0, "GET / HTTP/1.1\r\nHost: a\r\n"},
		{0, "GET / HTTP/1.1\nHost: a\n\n"},
		{200, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{200, "GET / HTTP/1.0\r\n\r\n"},
		{200, "BREW / HTTP/1.0\r\n\r\n"},
		{200, "GET http://a/ HTTP/1.0\r\n\r\n"},
		{200, "GET / HTTP/1.1\r\nhOsT: a\r\nX: \xc3\xa9\r\n\r\n"},
		{505, "GET / HTTP/2.0\r\n\r\n"},
		{505, "GET / HTTP/1.10\r\n\r\n"},
		{505, "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"},
		{400, "\r\n\r\n"},
		{400, "GET /\r\n\r\n"},
		{400, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{400, " GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{400, "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"},
		{400, "G(T / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{400, "GET / http/1.1\r\nHost: a\r\n\r\n"},
		{400, "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"},
		{400, "GET /#f HTTP/1.1\r\nHost: a\r\n\r\n"},
		{400, "GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n"},
		{400, "GET x HTTP/1.1\r\nHost: a\r\n\r\n"},
		{400, "GET * HTTP/1.1\r\nHost: a\r\n\r\n"},
		{400, "GET http:// HTTP/1.1\r\nHost: a\r\n\r\n"},
		{400, "GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n"},
		{400, "GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n"},
		/* no Host, two Hosts */
		{400, "GET / HTTP/1.1\r\n\r\n"},
		{400, "GET http://a/ HTTP/1.1\r\n\r\n"},
		{400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"},
		/* lines and fields */
		{400, "GET / HTTP/1.1\nHost: a\r\n\r\n"},
		{400, "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n"},
		{400, "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n"},
		{400, "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n"},
		{400, "GET / HTTP/1.1\r\nHost : a\r\n\r\n"},
		{400, "GET / HTTP/1.1\r\n: a\r\n\r\n"},
		{400, "GET / HTTP/1.1\r\nHost\r\n\r\n"},
		{400, "GET / HTTP/1.1\r\nHost: a\x01\r\n\r\n"},
		{400, "GET / HTTP/1.1\r\nHost: a\x7f\r\n\r\n"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct http_head h;
		int status = http_parse_head(bytes_str(cases[i].text), &h);
		if (status != cases[i].status)
			fail_msg("%d, not %d: %s", status, cases[i].status, cases[i].text);
	}
	struct http_head h;
	static const char nul[] = "GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n";
	assert_int_equal(http_parse_head(bytes_of(nul, sizeof nul - 1), &h), 400);
}

static void test_connection_and_body(void **state)
{
	(void)state;
	static const struct {
		const char *version, *fields;
		bool keep_alive, has_body;
	} cases[] = {
		{"1.1", "", true, false},
		{"1.0", "", false, false},
		{"1.0", "Connection: Keep-Alive\r\n", true, false},
		{"1.1", "Connection: CLOSE\r\n", false, false},
		{"1.1", "Connection: upgrade , close\r\n", false, false},
		{"1.1", "Connection: closed\r\n", true, false},
		{"1.1", "Connection:\r\n", true, false},
		{"1.1", "Content-Length: 0\r\n", true, false},
		{"1.1", "Content-Length: 1\r\n", true, true},
		{"1.1", "Content-Length: 0\r\nContent-Length: 5\r\n", true, true},
		{"1.1", "Content-Length: 5\r\nContent-Length: 0\r\n", true, true},
		{"1.1", "content-length:\r\n", true, true},
		{"1.1", "Content-Length: +0\r\n", true, true},
		{"1.1", "Transfer-Encoding: identity\r\n", true, true},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct http_head h;
		char text[256];
		snprintf(text, sizeof text, "HEAD / HTTP/%s\r\nHost: a\r\n%s\r\n", cases[i].version,
			 cases[i].fields);
		assert_int_equal(http_parse_head(bytes_str(text), &h), 200);
		assert_int_equal(h.method, HTTP_HEAD);
		assert_int_equal(h.keep_alive, cases[i].keep_alive);
		assert_int_equal(h.has_body, cases[i].has_body);
	}
}

/* What a web page cannot say without asking first. */
static void test_mark(void **state)
{
	(void)state;
	static const struct {
		const char *fields;
		bool marked;
	} cases[] = {
		{"", false},
		{"X-Farshore: 1\r\n", true},
		{"x-farshore:1\r\n", true},
		{"X-Farshore: \r\n", false},
		{"X-Farshore: 11\r\n", false},
		{"X-Farshore: true\r\n", false},
		{"X-Farshore: 1\r\nX-Farshore: 0\r\n", false},
		{"X-Farshore-: 1\r\n", false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct http_head h;
		char text[256];
		snprintf(text, sizeof text, "POST / HTTP/1.1\r\nHost: a\r\n%s\r\n",
			 cases[i].fields);
		assert_int_equal(http_parse_head(bytes_str(text), &h), 200);
		assert_int_equal(h.method, HTTP_POST);
		assert_int_equal(h.marked, cases[i].marked);
	}
}

static void test_segments(void **state)
{
	(void)state;
	struct arena a;
	arena_init(&a, 4096);
	assert_string_equal(http_parse_segment(bytes_str("a->b"), &a), "a->b");
	assert_string_equal(http_parse_segment(bytes_str("a+b%2D%3Ec%2f"), &a), "a+b->c/");
	assert_null(http_parse_segment(bytes_str("a%00"), &a));
	assert_null(http_parse_segment(bytes_str("a%3"), &a));
	assert_null(http_parse_segment(bytes_str("%xx"), &a));
	arena_fini(&a);
}

static bool only(const char *query)
{
	static const char *const names[] = {"topic", "q"};
	struct arena a;
	arena_init(&a, 4096);
	bool good = http_parse_query_only(bytes_str(query), names, 2, &a);
	arena_fini(&a);
	return good;
}

static void test_only_these_parameters(void **state)
{
	(void)state;
	assert_true(only(NULL));
	assert_true(only("q=1"));
	assert_true(only("topic=a%20b&q"));
	assert_true(only("%71=1"));
	assert_false(only(""));
	assert_false(only("q=1&"));
	assert_false(only("x=1"));
	assert_false(only("q=1&topics=a"));
	assert_false(only("q=1&q=1"));
	assert_false(only("q=1&%71=1"));
	assert_false(only("q=%zz"));
	assert_false(only("%zz=1"));
	assert_false(only("q=a%00"));
}

static void test_host_of_the_target_counts(void **state)
{
	(void)state;
	struct http_head h;
	assert_int_equal(
		http_parse_head(bytes_str("GET http://b:1/x?q HTTP/1.1\r\nHost: a\r\n\r\n"), &h),
		200);
	assert_true(bytes_eq_str(h.host, "b:1"));
	assert_true(bytes_eq_str(h.path, "/x"));
	assert_true(bytes_eq_str(h.query, "q"));
	assert_int_equal(http_parse_head(bytes_str("GET / HTTP/1.0\r\n\r\n"), &h), 200);
	assert_null(h.host.p);
	assert_int_equal(http_parse_head(bytes_str("GET / HTTP/1.0\r\nHost:\r\n\r\n"), &h), 200);
	assert_non_null(h.host.p);
	assert_int_equal(h.host.n, 0);
}

static void test_hosts(void **state)
{
	(void)state;
	static const char *const names[] = {"localhost", "::1", ""};
	static const char *const good[] = {
		"localhost", "LOCALHOST:80", "localhost:", "[::1]", "[::1]:1", ""};
	static const char *const bad[] = {"localhos", "localhost.",  "localhost:8o", "::1", "[::1",
					  "[::1]a",   "[localhost]", "a@localhost",  "[]"};
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		assert_true(http_parse_host_is(bytes_str(good[i]), names, 3));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (http_parse_host_is(bytes_str(bad[i]), names, 3))
			fail_msg("%s", bad[i]);
	assert_false(http_parse_host_is(bytes_str("b"), names, 0));
}

static void expect_query(const char *query, const char *value)
{
	struct arena a;
	arena_init(&a, 4096);
	const char *got = http_parse_query(bytes_str(query), "q", &a);
	if (value == NULL)
		assert_null(got);
	else if (got == NULL)
		fail_msg("%s: null", query);
	else
		assert_string_equal(got, value);
	arena_fini(&a);
}

static void test_queries(void **state)
{
	(void)state;
	expect_query("q=1", "1");
	expect_query("a=2&q=1&q=3", "1");
	expect_query("q=a+b%20c%2Bd%26", "a b c+d&");
	expect_query("%71=x", "x");
	expect_query("q", "");
	expect_query("q=", "");
	expect_query("q=a=b", "a=b");
	expect_query("Q=1", NULL);
	expect_query("qq=1", NULL);
	expect_query("", NULL);
	expect_query(NULL, NULL);
	expect_query("&&=&%&", NULL);
	expect_query("q=%", NULL);
	expect_query("q=%4", NULL);
	expect_query("q=%4g", NULL);
	expect_query("q=%00", NULL);
	expect_query("q=a%00b", NULL);
	struct arena tiny;
	arena_init(&tiny, 0);
	assert_null(http_parse_query(bytes_str("q=1"), "q", &tiny));
}

/* In a block of its exact size, so that ASan sees a read past the end. */
static int parse_copy(const char *text, size_t n)
{
	struct http_head h;
	char *copy = malloc(n == 0 ? 1 : n);
	memcpy(copy, text, n);
	int status = http_parse_head(bytes_of(copy, n), &h);
	assert_true(status == 0 || status == 200 || status == 400 || status == 505);
	assert_true(h.n <= n);
	assert_true(status != 200 || (h.path.n > 0 && h.path.p[0] == '/'));
	free(copy);
	return status;
}

static void test_every_prefix_and_change(void **state)
{
	(void)state;
	static const char text[] = "GET http://h/p?q=1 HTTP/1.1\r\nHost: localhost:1\r\n"
				   "Connection: close, x\r\nContent-Length: 0\r\n\r\n";
	size_t n = sizeof text - 1;
	for (size_t i = 0; i < n; i++)
		assert_int_equal(parse_copy(text, i), 0);
	assert_int_equal(parse_copy(text, n), 200);
	for (size_t i = 0; i < n; i++)
		for (int c = 0; c < 256; c++) {
			char changed[sizeof text];
			memcpy(changed, text, sizeof text);
			changed[i] = (char)c;
			parse_copy(changed, n);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_whole_head),
		cmocka_unit_test(test_statuses),
		cmocka_unit_test(test_connection_and_body),
		cmocka_unit_test(test_mark),
		cmocka_unit_test(test_segments),
		cmocka_unit_test(test_only_these_parameters),
		cmocka_unit_test(test_host_of_the_target_counts),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_queries),
		cmocka_unit_test(test_every_prefix_and_change),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
