/* SPDX-License-Identifier: Apache-2.0 */
/* Names on the target and what is never mirrored. Expected values are those of MM2's policies,
 * where not said otherwise (DefaultReplicationPolicy, IdentityReplicationPolicy and their tests).
 */
#include "tests/unit/base/unit.h"

#include "mirror/config/naming.h"

static const struct cluster_config source = {.name = "us-west"}, target = {.name = "us-east"};

static struct link_config link_of(enum mirror_policy policy, const char *separator)
{
	return (struct link_config){.source = &source,
				    .target = &target,
				    .policy = policy,
				    .separator = separator,
				    .internal_separator = true};
}

static void assert_remote(enum mirror_policy policy, const char *separator, const char *topic,
			  const char *expected)
{
	struct link_config l = link_of(policy, separator);
	char out[TOPIC_NAME_MAX + 1];
	assert_int_equal(naming_remote(&l, topic, out), ERR_OK);
	assert_string_equal(out, expected);
}

static void remote_names(void **state)
{
	(void)state;
	assert_remote(POLICY_DEFAULT, ".", "orders", "us-west.orders");
	assert_remote(POLICY_DEFAULT, "__", "orders", "us-west__orders");
	assert_remote(POLICY_DEFAULT, ".", "eu.orders", "us-west.eu.orders");
	assert_remote(POLICY_DEFAULT, ".", "heartbeats", "us-west.heartbeats");
	assert_remote(POLICY_IDENTITY, ".", "orders", "orders");
	assert_remote(POLICY_IDENTITY, ".", "heartbeats", "us-west.heartbeats");
	assert_remote(POLICY_IDENTITY, ".", "eu.heartbeats", "us-west.eu.heartbeats");
	/* IdentityReplicationPolicy.looksLikeHeartbeat only looks at the end. */
	assert_remote(POLICY_IDENTITY, ".", "my-heartbeats", "us-west.my-heartbeats");
	assert_remote(POLICY_LEGACY, ".", "orders", "orders");
	assert_remote(POLICY_LEGACY, ".", "heartbeats", "us-west.heartbeats");
	assert_remote(POLICY_LEGACY, ".", "eu.heartbeats", "us-west.eu.heartbeats");
	assert_remote(POLICY_LEGACY, ".", "my-heartbeats", "my-heartbeats");
}

static void names_have_kafkas_limit(void **state)
{
	(void)state;
	struct link_config l = link_of(POLICY_DEFAULT, ".");
	char topic[300], out[TOPIC_NAME_MAX + 1];
	for (size_t n = 200; n < 299; n++) {
		memset(topic, 'x', n);
		topic[n] = '\0';
		enum err e = naming_remote(&l, topic, out);
		assert_int_equal(e, n + 8 <= 249 ? ERR_OK : ERR_LIMIT);
		assert_int_equal(strlen(out), e == ERR_OK ? n + 8 : 0);
	}
	l = link_of(POLICY_IDENTITY, ".");
	memset(topic, 'x', 249);
	topic[249] = '\0';
	assert_int_equal(naming_remote(&l, topic, out), ERR_OK);
}

static void internal_topics(void **state)
{
	(void)state;
	static const char *const internal[] = {
		"__consumer_offsets",
		"__transaction_state",
		".hidden",
		"mm2-offsets.a.internal",
		"us-west.checkpoints.internal",
		"mm2-offset-syncs.b.internal",
		"connect-internal",
		"us-west.offset-runs.internal",
		".internal",
		"-internal",
		"__",
	};
	static const char *const plain[] = {"internal",   "x_internal", "internal.x", "_schemas",
					    "heartbeats", "xinternal",  "a.internals"};
	struct link_config l = link_of(POLICY_DEFAULT, ".");
	for (size_t i = 0; i < sizeof internal / sizeof *internal; i++)
		assert_true(naming_is_internal(&l, internal[i]));
	for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
		assert_false(naming_is_internal(&l, plain[i]));
	/* KIP-949: with a separator of one's own the internal names have it too. */
	l = link_of(POLICY_DEFAULT, "_");
	assert_true(naming_is_internal(&l, "a_checkpoints_internal"));
	assert_true(naming_is_internal(&l, "a.checkpoints.internal"));
	assert_true(naming_is_internal(&l, "_internal"));
	l.internal_separator = false;
	assert_false(naming_is_internal(&l, "a_checkpoints_internal"));
	l = link_of(POLICY_LEGACY, "_");
	assert_false(naming_is_internal(&l, "a_checkpoints_internal"));
	l = link_of(POLICY_DEFAULT, "---------");
	assert_false(naming_is_internal(&l, "internal"));
	assert_true(naming_is_internal(&l, "---------internal"));
}

static void cycles(void **state)
{
	(void)state;
	struct link_config l = link_of(POLICY_DEFAULT, ".");
	assert_true(naming_is_cycle(&l, "us-east.orders"));
	assert_true(naming_is_cycle(&l, "eu.us-east.orders"));
	assert_true(naming_is_cycle(&l, "us-west.us-east.orders"));
	assert_false(naming_is_cycle(&l, "us-west.orders"));
	assert_false(naming_is_cycle(&l, "orders"));
	assert_false(naming_is_cycle(&l, "us-east"));
	assert_false(naming_is_cycle(&l, "orders.us-east"));
	assert_false(naming_is_cycle(&l, "us-east2.orders"));
	assert_false(naming_is_cycle(&l, "us-eas.orders"));
	/* String.split drops empty strings at the end: no remote topics. */
	assert_false(naming_is_cycle(&l, "us-east."));
	assert_false(naming_is_cycle(&l, "us-east..."));
	assert_true(naming_is_cycle(&l, "us-east..x"));
	assert_true(naming_is_cycle(&l, ".us-east.x"));
	l = link_of(POLICY_DEFAULT, "__");
	assert_true(naming_is_cycle(&l, "us-east__orders"));
	assert_false(naming_is_cycle(&l, "us-east.orders"));
	assert_true(naming_is_cycle(&l, "us-east___x"));
	/* These policies cannot know a cycle but by heartbeats. */
	l = link_of(POLICY_IDENTITY, ".");
	assert_false(naming_is_cycle(&l, "us-east.orders"));
	assert_true(naming_is_cycle(&l, "us-east.heartbeats"));
	assert_true(naming_is_cycle(&l, "eu.us-east.heartbeats"));
	assert_false(naming_is_cycle(&l, "heartbeats"));
	l = link_of(POLICY_LEGACY, ".");
	assert_false(naming_is_cycle(&l, "us-east.orders"));
	assert_true(naming_is_cycle(&l, "us-east.heartbeats"));
	assert_false(naming_is_cycle(&l, "us-east.my-heartbeats"));
}

static void all_rules_together(void **state)
{
	(void)state;
	struct topic_filter *f;
	struct link_config l = link_of(POLICY_DEFAULT, ".");
	assert_int_equal(
		topic_filter_new("orders.*, us-east.*, .*internal", "orders-secret", &f, NULL),
		ERR_OK);
	assert_true(naming_should_mirror(&l, f, "orders"));
	assert_false(naming_should_mirror(&l, f, "orders-secret"));
	assert_false(naming_should_mirror(&l, f, "payments"));
	/* Internal topics and cycles whatever the filter says. */
	assert_false(naming_should_mirror(&l, f, "us-east.orders"));
	assert_false(naming_should_mirror(&l, f, "x.internal"));
	/* heartbeats.replication.enabled (KIP-1089) */
	assert_false(naming_should_mirror(&l, f, "heartbeats"));
	l.heartbeats = true;
	assert_true(naming_should_mirror(&l, f, "heartbeats"));
	assert_true(naming_should_mirror(&l, f, "eu.heartbeats"));
	assert_false(naming_should_mirror(&l, f, "us-east.heartbeats"));
	assert_false(naming_should_mirror(&l, f, "my-heartbeats"));
	topic_filter_free(f);
}

static void the_runs_topic(void **state)
{
	(void)state;
	char out[TOPIC_NAME_MAX + 1];
	struct link_config l = link_of(POLICY_DEFAULT, ".");
	assert_int_equal(naming_runs_topic(&l, out), ERR_OK);
	assert_string_equal(out, "us-west.offset-runs.internal");
	assert_true(naming_is_internal(&l, out));
	l = link_of(POLICY_DEFAULT, "_");
	assert_int_equal(naming_runs_topic(&l, out), ERR_OK);
	assert_string_equal(out, "us-west.offset-runs.internal");
	assert_true(naming_is_internal(&l, out));
	l.internal_separator = false;
	assert_int_equal(naming_runs_topic(&l, out), ERR_OK);
	assert_string_equal(out, "us-west.offset-runs.internal");
	char name[300];
	memset(name, 'x', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	const struct cluster_config longest = {.name = name};
	l.source = &longest;
	assert_int_equal(naming_runs_topic(&l, out), ERR_LIMIT);
}

/* As Kafka 4.1's classes answer for "us-east". */
static void the_offset_syncs_topic(void **state)
{
	(void)state;
	static const struct {
		enum mirror_policy policy;
		const char *separator;
		bool internal;
		const char *expected;
	} cases[] = {
		{POLICY_DEFAULT, ".", true, "mm2-offset-syncs.us-east.internal"},
		{POLICY_DEFAULT, "_", true, "mm2-offset-syncs_us-east_internal"},
		{POLICY_DEFAULT, "_", false, "mm2-offset-syncs.us-east.internal"},
		{POLICY_DEFAULT, "-x-", true, "mm2-offset-syncs-x-us-east-x-internal"},
		{POLICY_IDENTITY, "_", true, "mm2-offset-syncs_us-east_internal"},
		{POLICY_IDENTITY, "-x-", false, "mm2-offset-syncs.us-east.internal"},
		{POLICY_LEGACY, "_", true, "mm2-offset-syncs.us-east.internal"},
	};
	char out[TOPIC_NAME_MAX + 1], alias[TOPIC_NAME_MAX];
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct link_config l = link_of(cases[i].policy, cases[i].separator);
		l.internal_separator = cases[i].internal;
		assert_int_equal(naming_offset_syncs_topic(&l, "us-east", out), ERR_OK);
		assert_string_equal(out, cases[i].expected);
		/* Never copied. */
		assert_true(naming_is_internal(&l, out));
	}
	struct link_config l = link_of(POLICY_DEFAULT, ".");
	memset(alias, 'x', sizeof alias);
	alias[sizeof alias - 1] = '\0';
	assert_int_equal(naming_offset_syncs_topic(&l, alias, out), ERR_LIMIT);
}

static void the_checkpoints_topic(void **state)
{
	(void)state;
	struct link_config l = link_of(POLICY_DEFAULT, ".");
	char out[TOPIC_NAME_MAX + 1];
	assert_int_equal(naming_checkpoints_topic(&l, out), ERR_OK);
	assert_string_equal(out, "us-west.checkpoints.internal");
	l.separator = "__";
	assert_int_equal(naming_checkpoints_topic(&l, out), ERR_OK);
	assert_string_equal(out, "us-west__checkpoints__internal");
	l.internal_separator = false;
	assert_int_equal(naming_checkpoints_topic(&l, out), ERR_OK);
	assert_string_equal(out, "us-west.checkpoints.internal");
}

/* A copy of the target's own topic, by its name. */
static void originals(void **state)
{
	(void)state;
	struct link_config l = link_of(POLICY_DEFAULT, ".");
	assert_string_equal(naming_original(&l, "us-east.orders"), "orders");
	assert_string_equal(naming_original(&l, "us-east.eu.orders"), "eu.orders");
	assert_null(naming_original(&l, "orders"));
	assert_null(naming_original(&l, "us-west.orders"));
	/* It came over a third cluster: the target has it under another name, if at all. */
	assert_null(naming_original(&l, "eu.us-east.orders"));
	/* One of the link's own, which is there when both clusters are one. */
	assert_string_equal(naming_own(&l, "us-west.orders"), "orders");
	assert_string_equal(naming_own(&l, "us-west.us-west.orders"), "us-west.orders");
	assert_null(naming_own(&l, "us-east.orders"));
	assert_null(naming_own(&l, "orders"));
	l = link_of(POLICY_IDENTITY, ".");
	assert_null(naming_original(&l, "us-east.orders"));
	assert_null(naming_own(&l, "us-west.orders"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(remote_names),
		cmocka_unit_test(names_have_kafkas_limit),
		cmocka_unit_test(internal_topics),
		cmocka_unit_test(cycles),
		cmocka_unit_test(all_rules_together),
		cmocka_unit_test(the_runs_topic),
		cmocka_unit_test(the_offset_syncs_topic),
		cmocka_unit_test(the_checkpoints_topic),
		cmocka_unit_test(originals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
