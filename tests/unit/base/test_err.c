/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/base/unit.h"

#include "lib/base/err.h"

static void kafka_codes_go_there_and_back(void **state)
{
	(void)state;
	for (int code = -1; code <= 133; code++) {
		enum err e = err_from_kafka((int16_t)code);
		if (code == 0)
			assert_int_equal(e, ERR_OK);
		else
			assert_int_equal(strncmp(err_name(e), "KAFKA_", 6), 0);
		assert_int_equal(err_to_kafka(e), code);
	}
	assert_int_equal(err_from_kafka(3), ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
}

/* A peer's code must never come out as success, nor as an error of our own. */
static void every_other_code_is_an_unknown_error(void **state)
{
	(void)state;
	for (int code = INT16_MIN; code <= INT16_MAX; code++) {
		enum err e = err_from_kafka((int16_t)code);
		if (code != 0)
			assert_int_equal(strncmp(err_name(e), "KAFKA_", 6), 0);
		if (code < -1 || code > 133)
			assert_int_equal(e, ERR_KAFKA_UNKNOWN_SERVER_ERROR);
	}
}

static void the_table_is_whole(void **state)
{
	(void)state;
	for (int e = 0; e < ERR_COUNT; e++) {
		assert_true(strlen(err_name((enum err)e)) > 0);
		assert_true(strlen(err_text((enum err)e)) > 0);
	}
	assert_string_equal(err_name((enum err)9999), "?");
	assert_string_equal(err_text((enum err)9999), "?");
	assert_false(err_retriable((enum err)9999));
	assert_int_equal(err_to_kafka((enum err)9999), -1);
	assert_int_equal(err_to_kafka(ERR_TIMEOUT), -1);
	assert_true(err_retriable(ERR_KAFKA_NOT_LEADER_OR_FOLLOWER));
	assert_false(err_retriable(ERR_KAFKA_MESSAGE_TOO_LARGE));
	assert_false(err_retriable(ERR_CONFIG));
}

static void messages_are_set_and_wrapped(void **state)
{
	(void)state;
	struct errmsg m = {{0}};
	assert_int_equal(errmsg_set(&m, ERR_TIMEOUT, "after %d ms", 30), ERR_TIMEOUT);
	assert_int_equal(errmsg_wrap(&m, ERR_TIMEOUT, "broker %s", "b1"), ERR_TIMEOUT);
	assert_string_equal(m.text, "broker b1: after 30 ms");
	assert_int_equal(errmsg_set(NULL, ERR_IO, "x"), ERR_IO);
	assert_int_equal(errmsg_wrap(NULL, ERR_IO, "x"), ERR_IO);
}

static void long_messages_are_cut(void **state)
{
	(void)state;
	struct errmsg m;
	char longest[1000];
	memset(longest, 'x', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	errmsg_set(&m, ERR_IO, "%s", longest);
	assert_int_equal(strlen(m.text), sizeof m.text - 1);
	for (size_t prefix = sizeof m.text - 8; prefix < sizeof m.text + 8; prefix++) {
		errmsg_set(&m, ERR_IO, "%s", longest);
		errmsg_wrap(&m, ERR_IO, "%.*s", (int)prefix, longest);
		assert_true(strlen(m.text) < sizeof m.text);
	}
	for (int i = 0; i < 100; i++)
		errmsg_wrap(&m, ERR_IO, "again");
	assert_int_equal(strncmp(m.text, "again: again: ", 14), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kafka_codes_go_there_and_back),
		cmocka_unit_test(every_other_code_is_an_unknown_error),
		cmocka_unit_test(the_table_is_whole),
		cmocka_unit_test(messages_are_set_and_wrapped),
		cmocka_unit_test(long_messages_are_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
