/* SPDX-License-Identifier: Apache-2.0 */
/* Which request is served: the rules alone, without a socket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/net/http_routes.h"

static void handler(void *arg, struct http_request *req)
{
	(void)arg;
	(void)req;
}

static struct http_routes routes(void)
{
	struct http_routes r;
	http_routes_init(&r);
	assert_int_equal(http_routes_add(&r, "/page", false, handler, NULL), ERR_OK);
	assert_int_equal(http_routes_add(&r, "/v1/*/go", true, handler, NULL), ERR_OK);
	assert_int_equal(http_routes_add(&r, "/act", true, handler, NULL), ERR_OK);
	return r;
}

static struct http_head head(enum http_method method, const char *path)
{
	return (struct http_head){
		.method = method, .path = bytes_str(path), .keep_alive = true, .marked = true};
}

static const struct http_asker good = {.named_us = true, .local = true};

static void test_what_is_served(void **state)
{
	(void)state;
	static const struct {
		int status;
		enum http_method method;
		const char *path;
		const char *name;
	} cases[] = {
		{200, HTTP_GET, "/page", NULL},
		{200, HTTP_HEAD, "/page", NULL},
		{200, HTTP_POST, "/act", NULL},
		{200, HTTP_POST, "/v1/a/go", "a"},
		{200, HTTP_POST, "/v1/a->b%2F/go", "a->b%2F"},
		{200, HTTP_POST, "/v1/go/go", "go"},
		{405, HTTP_POST, "/page", NULL},
		{405, HTTP_OTHER, "/page", NULL},
		{405, HTTP_GET, "/act", NULL},
		{405, HTTP_HEAD, "/v1/a/go", NULL},
		{405, HTTP_OTHER, "/act", NULL},
		{404, HTTP_GET, "/pag", NULL},
		{404, HTTP_GET, "/page/", NULL},
		{404, HTTP_GET, "/Page", NULL},
		{404, HTTP_POST, "/v1//go", NULL},
		{404, HTTP_POST, "/v1/go", NULL},
		{404, HTTP_POST, "/v1/a/b/go", NULL},
		{404, HTTP_POST, "/v1/a/go/", NULL},
		{404, HTTP_POST, "/v2/a/go", NULL},
		{404, HTTP_POST, "/v1/*", NULL},
	};
	struct http_routes r = routes();
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct http_head h = head(cases[i].method, cases[i].path);
		struct http_verdict v = http_routes_judge(&r, 200, &h, &good);
		if (v.status != cases[i].status)
			fail_msg("%d, not %d: %s", v.status, cases[i].status, cases[i].path);
		assert_true(v.status != 200 || v.route->fn == handler);
		if (cases[i].name != NULL)
			assert_true(bytes_eq_str(v.name, cases[i].name));
		assert_int_equal(v.hang_up, v.status != 200 && v.status != 404);
	}
	http_routes_fini(&r);
}

static void test_who_may_ask(void **state)
{
	(void)state;
	struct http_routes r = routes();
	const struct http_asker other_name = {.named_us = false, .local = true};
	const struct http_asker far = {.named_us = true, .local = false};
	struct http_head page = head(HTTP_GET, "/page"), act = head(HTTP_POST, "/act");
	assert_int_equal(http_routes_judge(&r, 200, &page, &far).status, 200);
	assert_int_equal(http_routes_judge(&r, 200, &page, &other_name).status, 403);
	assert_int_equal(http_routes_judge(&r, 200, &act, &good).status, 200);
	assert_int_equal(http_routes_judge(&r, 200, &act, &far).status, 403);
	assert_int_equal(http_routes_judge(&r, 200, &act, &other_name).status, 403);
	page.marked = act.marked = false;
	assert_int_equal(http_routes_judge(&r, 200, &page, &good).status, 200);
	struct http_verdict v = http_routes_judge(&r, 200, &act, &good);
	assert_int_equal(v.status, 403);
	assert_non_null(strstr(v.text, "X-Farshore: 1"));
	http_routes_fini(&r);
}

static void test_what_cannot_be_read(void **state)
{
	(void)state;
	struct http_routes r = routes();
	struct http_head h = {.method = HTTP_OTHER};
	static const int statuses[] = {400, 431, 505};
	for (size_t i = 0; i < 3; i++) {
		struct http_verdict v = http_routes_judge(&r, statuses[i], &h, &good);
		assert_int_equal(v.status, statuses[i]);
		assert_true(v.hang_up);
	}
	/* A body could hold what looks like the next request. */
	struct http_head body = head(HTTP_POST, "/act");
	body.has_body = true;
	assert_int_equal(http_routes_judge(&r, 200, &body, &good).status, 400);
	body.path = bytes_str("/nothing");
	struct http_verdict v = http_routes_judge(&r, 200, &body, &good);
	assert_int_equal(v.status, 404);
	assert_true(v.hang_up);
	http_routes_fini(&r);
}

static void test_list(void **state)
{
	(void)state;
	struct http_routes r = routes();
	struct buf b;
	buf_init(&b, 1024);
	http_routes_print(&r, &b);
	buf_put_u8(&b, 0);
	assert_non_null(strstr((const char *)b.p, "\n  /page\n  POST /v1/*/go\n  POST /act\n"));
	buf_fini(&b);
	http_routes_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_served),
		cmocka_unit_test(test_who_may_ask),
		cmocka_unit_test(test_what_cannot_be_read),
		cmocka_unit_test(test_list),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
