/* SPDX-License-Identifier: Apache-2.0 */
/* Policies: which entry counts, what is inherited from the link, what is refused and how. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "mirror/config/policy.h"

static const bool none[ON_EVENTS];

static struct policies *make(const bool link[ON_EVENTS], const char *list)
{
	struct policies *p = NULL;
	struct errmsg why = {""};
	if (policies_new(link, list, &p, &why) != ERR_OK)
		fail_msg("%s: %s", list, why.text);
	return p;
}

static void refused(const char *list, const char *says)
{
	struct policies *p = NULL;
	struct errmsg why = {""};
	assert_int_equal(policies_new(none, list, &p, &why), ERR_CONFIG);
	assert_null(p);
	if (strstr(why.text, says) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", why.text, says);
}

static void without_entries_the_link_decides(void **state)
{
	(void)state;
	bool link[ON_EVENTS] = {[ON_DATA_LOSS] = true};
	struct policies *p = make(link, "");
	link[ON_REFUSED] = true; /* it was copied */
	struct policy t = policies_of(p, "orders");
	for (int ev = 0; ev < ON_EVENTS; ev++)
		assert_int_equal(t.acts[ev], ev == ON_DATA_LOSS);
	assert_false(t.asked);
	policies_free(p);
	policies_free(NULL);
}

static void the_first_entry_that_names_the_state_counts(void **state)
{
	(void)state;
	const bool link[ON_EVENTS] = {[ON_REFUSED] = true};
	struct policies *p =
		make(link, "pay.* data_loss=stop refused=stop,"
			   "  pay-log  topic_recreated=restart ,"
			   ".*-log data_loss=record_and_continue,"
			   "pay.* topic_recreated=stop source_truncated=record_and_continue");
	struct policy t = policies_of(p, "pay-log");
	assert_false(t.acts[ON_DATA_LOSS]);
	assert_false(t.acts[ON_REFUSED]);
	assert_true(t.acts[ON_TOPIC_RECREATED]);
	assert_true(t.acts[ON_SOURCE_TRUNCATED]);
	t = policies_of(p, "web-log");
	assert_true(t.acts[ON_DATA_LOSS]);
	assert_true(t.acts[ON_REFUSED]);
	assert_false(t.acts[ON_TOPIC_RECREATED]);
	t = policies_of(p, "pay");
	assert_false(t.acts[ON_TOPIC_RECREATED]);
	t = policies_of(p, "a-log-b");
	assert_false(t.acts[ON_DATA_LOSS]);
	policies_free(p);
}

static void deletion_tells_whether_it_was_asked_for_by_topic(void **state)
{
	(void)state;
	const bool link[ON_EVENTS] = {[ON_TOPIC_DELETED] = true};
	struct policies *p = make(link, "tmp-.* topic_deleted=delete, keep-.* topic_deleted=keep");
	struct policy t = policies_of(p, "tmp-1");
	assert_true(t.acts[ON_TOPIC_DELETED] && t.asked);
	t = policies_of(p, "keep-1");
	assert_true(!t.acts[ON_TOPIC_DELETED] && t.asked);
	t = policies_of(p, "other");
	assert_true(t.acts[ON_TOPIC_DELETED] && !t.asked);
	policies_free(p);
}

static void mistakes_are_named(void **state)
{
	(void)state;
	refused("orders", "\"orders\": no STATE=ACTION follows the pattern");
	refused(" ", "no pattern of topics");
	refused("a data_loss=stop, , b refused=stop", "no pattern of topics");
	refused("orders data_loss", "\"data_loss\" is not STATE=ACTION");
	refused("orders data_los=stop", "there is no state \"data_los\"; there are: data_loss, ");
	refused("orders data_loss=restart",
		"data_loss can be stop or record_and_continue, not \"restart\"");
	refused("orders data_loss=", "not \"\"");
	refused("orders data_loss=stop data_loss=stop", "stands there twice");
	refused("or(ders data_loss=stop", "or(ders");
}

/* Whatever stands there, it is taken or refused with a reason. */
static void any_text_is_judged(void **state)
{
	(void)state;
	static const char parts[] = "a.*()= ,data_loss=stop refused";
	uint32_t x = 1;
	for (int i = 0; i < 20000; i++) {
		char text[40];
		size_t n = (x = x * 1664525U + 1013904223U) >> 16 & 31;
		for (size_t k = 0; k < n; k++)
			text[k] = parts[((x = x * 1664525U + 1013904223U) >> 16) %
					(sizeof parts - 1)];
		text[n] = '\0';
		struct policies *p = NULL;
		struct errmsg why = {""};
		enum err e = policies_new(none, text, &p, &why);
		assert_true(e == ERR_OK || (e == ERR_CONFIG && why.text[0] != '\0'));
		policies_free(e == ERR_OK ? p : NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_entries_the_link_decides),
		cmocka_unit_test(the_first_entry_that_names_the_state_counts),
		cmocka_unit_test(deletion_tells_whether_it_was_asked_for_by_topic),
		cmocka_unit_test(mistakes_are_named),
		cmocka_unit_test(any_text_is_judged),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
