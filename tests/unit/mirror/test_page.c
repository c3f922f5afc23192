/* SPDX-License-Identifier: Apache-2.0 */
/* The page for people: text of peers cannot become markup; a daemon without links has a page. (What
 * the page says of real links is in tests/interop/test_operating.py.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mirror/http/page.h"

static void expect(const char *text, const char *html)
{
	struct buf out;
	buf_init(&out, 1000);
	page_text(&out, text);
	assert_int_equal(out.err, ERR_OK);
	assert_true(bytes_eq_str(buf_bytes(&out), html));
	buf_fini(&out);
}

static void text_is_escaped(void **state)
{
	(void)state;
	expect("orders", "orders");
	expect("<script>alert('x' & \"y\")</script>",
	       "&lt;script&gt;alert(&#39;x&#39; &amp; &quot;y&quot;)&lt;/script&gt;");
	expect("caf\xc3\xa9", "caf\xc3\xa9");
	expect("a\xff<\xc3", "a?&lt;?");
}

static void page_without_links(void **state)
{
	(void)state;
	struct buf out;
	struct loop *loop;
	struct errmsg why;
	assert_int_equal(loop_new(1, clock_system(), NULL, &loop, &why), ERR_OK);
	struct memory *memory = memory_new(loop, 64 << 20);
	assert_non_null(memory);
	const struct status_source s = {.memory = memory, .clock = clock_system()};
	buf_init(&out, 1 << 16);
	page_html(&s, &out);
	buf_put_u8(&out, '\0');
	assert_int_equal(out.err, ERR_OK);
	assert_non_null(strstr((char *)out.p, "Farshore mirror"));
	assert_non_null(strstr((char *)out.p, "</html>"));
	assert_true(page_css().n > 100);
	memory_free(memory);
	loop_free(loop);
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_is_escaped),
		cmocka_unit_test(page_without_links),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
