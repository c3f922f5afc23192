/* SPDX-License-Identifier: Apache-2.0 */
/* M9: which settings follow the source (MM2's rules), and only real differences. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "mirror/clusters/topic_configs.h"

enum { ROWS = 16 };

static struct topic_filter *exclude_make(const char *pattern)
{
	struct topic_filter *f;
	struct errmsg why;
	assert_int_equal(topic_filter_new(pattern, "", &f, &why), ERR_OK);
	return f;
}

static size_t diff(const struct topic_config *s, size_t s_n, const struct topic_config *t,
		   size_t t_n, bool defaults, struct config_change *out)
{
	struct topic_filter *f = exclude_make("follower\\..*,unclean\\.leader\\.election\\.enable");
	const struct config_rules rules = {.exclude = f, .defaults_from_source = defaults};
	const struct topic_configs source = {(struct topic_config *)(uintptr_t)s, s_n};
	const struct topic_configs target = {(struct topic_config *)(uintptr_t)t, t_n};
	size_t n = topic_configs_diff(&source, t == NULL ? NULL : &target, &rules, out);
	topic_filter_free(f);
	return n;
}

static void a_new_topic_gets_what_was_set(void **state)
{
	(void)state;
	const struct topic_config s[] = {
		{.name = "retention.ms", .value = "1000", .from = CONFIG_FROM_TOPIC},
		{.name = "cleanup.policy", .value = "delete", .from = CONFIG_FROM_DEFAULT},
		{.name = "segment.bytes", .value = "1", .from = CONFIG_FROM_STATIC_BROKER},
		{.name = "follower.x", .value = "1", .from = CONFIG_FROM_TOPIC},
		{.name = "secret", .value = "1", .from = CONFIG_FROM_TOPIC, .sensitive = true},
		{.name = "fixed", .value = "1", .from = CONFIG_FROM_TOPIC, .read_only = true},
		{.name = "nothing", .value = NULL, .from = CONFIG_FROM_TOPIC},
	};
	struct config_change out[ROWS];
	assert_int_equal(diff(s, 7, NULL, 0, false, out), 1);
	assert_string_equal(out[0].name, "retention.ms");
	assert_string_equal(out[0].value, "1000");
	assert_int_equal(out[0].op, CONFIG_OP_SET);
	/* use.defaults.from=source: its defaults are set, too. */
	assert_int_equal(diff(s, 7, NULL, 0, true, out), 2);
	assert_string_equal(out[1].name, "cleanup.policy");
}

static void only_differences_are_changed(void **state)
{
	(void)state;
	const struct topic_config s[] = {
		{.name = "same", .value = "1", .from = CONFIG_FROM_TOPIC},
		{.name = "other", .value = "1", .from = CONFIG_FROM_TOPIC},
		{.name = "by_default", .value = "1", .from = CONFIG_FROM_TOPIC},
		{.name = "unset", .value = "7", .from = CONFIG_FROM_DEFAULT},
		{.name = "never_set", .value = "7", .from = CONFIG_FROM_DEFAULT},
	};
	const struct topic_config t[] = {
		{.name = "same", .value = "1", .from = CONFIG_FROM_TOPIC},
		{.name = "other", .value = "2", .from = CONFIG_FROM_TOPIC},
		/* Equal by luck: the broker's default may change. */
		{.name = "by_default", .value = "1", .from = CONFIG_FROM_DEFAULT},
		{.name = "unset", .value = "7", .from = CONFIG_FROM_TOPIC},
		{.name = "never_set", .value = "8", .from = CONFIG_FROM_DEFAULT},
		{.name = "only_here", .value = "8", .from = CONFIG_FROM_TOPIC},
	};
	struct config_change out[ROWS];
	assert_int_equal(diff(s, 5, t, 6, false, out), 3);
	assert_string_equal(out[0].name, "other");
	assert_int_equal(out[0].op, CONFIG_OP_SET);
	assert_string_equal(out[1].name, "by_default");
	assert_int_equal(out[1].op, CONFIG_OP_SET);
	assert_string_equal(out[2].name, "unset");
	assert_int_equal(out[2].op, CONFIG_OP_DELETE);
	/* With the source's defaults: what differs from them is set, what is equal is let alone. */
	assert_int_equal(diff(s, 5, t, 6, true, out), 3);
	assert_string_equal(out[2].name, "never_set");
	assert_string_equal(out[2].value, "7");
}

static void takes_an_answer(void **state)
{
	(void)state;
	struct describe_configs_response_describe_configs_resource_result rows[] = {
		{.name = bytes_str("a"), .value = bytes_str("1"), .config_source = 1},
		{.name = bytes_str("b"), .value = {NULL, 0}, .config_source = 5, .read_only = true},
		{.name = bytes_str("c"), .value = bytes_str(""), .is_sensitive = true},
	};
	const struct describe_configs_response_describe_configs_result r = {.configs = rows,
									    .configs_n = 3};
	struct topic_configs c;
	struct arena a;
	arena_init(&a, 1 << 16);
	assert_int_equal(topic_configs_take(&c, &r, &a), ERR_OK);
	assert_int_equal(c.n, 3);
	assert_string_equal(topic_configs_value(&c, "a"), "1");
	assert_null(topic_configs_value(&c, "b"));
	assert_string_equal(topic_configs_value(&c, "c"), "");
	assert_null(topic_configs_value(&c, "d"));
	assert_true(c.v[1].read_only && c.v[2].sensitive && !c.v[0].read_only);
	assert_int_equal(c.v[0].from, CONFIG_FROM_TOPIC);
	arena_fini(&a);
	arena_init(&a, 16);
	assert_int_not_equal(topic_configs_take(&c, &r, &a), ERR_OK);
	arena_fini(&a);
}

/* KIP-525: what a new topic was made with. */
static void takes_the_answer_to_a_creation(void **state)
{
	(void)state;
	struct create_topics_response_creatable_topic_configs rows[] = {
		{.name = bytes_str("a"), .value = bytes_str("1"), .config_source = 1},
		{.name = bytes_str("b"), .value = {NULL, 0}, .is_sensitive = true},
	};
	struct create_topics_response_creatable_topic_result r = {.configs = rows, .configs_n = 2};
	struct topic_configs c;
	struct arena a;
	arena_init(&a, 4096);
	assert_int_equal(topic_configs_take_created(&c, &r, &a), ERR_OK);
	assert_int_equal(c.n, 2);
	assert_string_equal(topic_configs_value(&c, "a"), "1");
	assert_null(topic_configs_value(&c, "b"));
	assert_true(c.v[1].sensitive && c.v[0].from == CONFIG_FROM_TOPIC);
	/* A broker that does not tell. */
	r.configs_n = -1;
	assert_int_equal(topic_configs_take_created(&c, &r, &a), ERR_OK);
	assert_int_equal(c.n, 0);
	arena_fini(&a);
	r.configs_n = 2;
	arena_init(&a, 16);
	assert_int_not_equal(topic_configs_take_created(&c, &r, &a), ERR_OK);
	arena_fini(&a);
}

static uint64_t print_of(const struct topic_config *v, size_t n)
{
	const struct topic_configs c = {(struct topic_config *)(uintptr_t)v, n};
	return topic_configs_print(&c);
}

static void a_print_tells_a_change(void **state)
{
	(void)state;
	const struct topic_config v[] = {
		{.name = "a", .value = "1"}, {.name = "b", .value = "2"}, {.name = "c"}};
	const struct topic_config turned[] = {v[2], v[0], v[1]};
	const struct topic_config others[][3] = {
		{{.name = "a", .value = "2"}, v[1], v[2]},
		{{.name = "a"}, v[1], v[2]},
		{{.name = "a1", .value = ""}, v[1], v[2]},
		{{.name = "a", .value = "2"}, {.name = "b", .value = "1"}, v[2]},
	};
	assert_int_equal(print_of(v, 3), print_of(turned, 3));
	assert_int_not_equal(print_of(v, 3), print_of(v, 2));
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		assert_int_not_equal(print_of(v, 3), print_of(others[i], 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_topic_gets_what_was_set),
		cmocka_unit_test(only_differences_are_changed),
		cmocka_unit_test(takes_an_answer),
		cmocka_unit_test(takes_the_answer_to_a_creation),
		cmocka_unit_test(a_print_tells_a_change),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
