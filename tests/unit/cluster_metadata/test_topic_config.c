/* SPDX-License-Identifier: Apache-2.0 */
/* The table of topic configurations: values that Kafka takes and refuses, with its words, and what
 * comes out for the log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "cluster/metadata/topic_config.h"
#include "fake_log.h"

static const struct topic_config *row(const char *name)
{
	const struct topic_config *tc = topic_config_find(bytes_str(name));

	assert_non_null(tc);
	return tc;
}

static void test_table_is_sorted_and_whole(void **state)
{
	size_t n;
	const struct topic_config *all = topic_config_all(&n);
	(void)state;

	assert_int_equal(n, 33); /* as many as Kafka 4.1 describes */
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			assert_true(strcmp(all[i - 1].name, all[i].name) < 0);
		assert_ptr_equal(topic_config_find(bytes_str(all[i].name)), &all[i]);
		if (all[i].broker != NULL)
			assert_ptr_equal(topic_config_by_broker(bytes_str(all[i].broker)), &all[i]);
		assert_non_null(all[i].doc);
	}
	assert_null(topic_config_find(bytes_str("message.format.version")));
	assert_null(topic_config_find(bytes_of(NULL, 0)));
}

/* Kafka's defaults come back out of a log's configuration, and are valid. */
static void test_defaults_are_kafkas(void **state)
{
	size_t n;
	const struct topic_config *all = topic_config_all(&n);
	char text[TOPIC_CONFIG_TEXT];
	struct plog_config c, again;
	struct errmsg why = {0};
	(void)state;

	plog_config_init(&c);
	again = c;
	for (size_t i = 0; i < n; i++) {
		topic_config_show(&all[i], &c, text);
		assert_string_equal(text, all[i].def);
		assert_int_equal(topic_config_check(&all[i], all[i].name, bytes_str(text), &why),
				 ERR_OK);
		topic_config_apply(&all[i], bytes_str(text), &again);
	}
	assert_memory_equal(&c, &again, sizeof c);
}

static const struct {
	const char *name, *value, *refused; /* NULL: taken */
} values[] = {
	{"retention.ms", "5000", NULL},
	{"retention.ms", " 5 ", NULL},
	{"retention.ms", "+5", NULL},
	{"retention.ms", "-1", NULL},
	{"retention.ms", "9223372036854775807", NULL},
	{"retention.ms", "-2", "Value must be at least -1"},
	{"retention.ms", "x", "Not a number of type LONG"},
	{"retention.ms", "", "Not a number of type LONG"},
	{"retention.ms", "-", "Not a number of type LONG"},
	{"retention.ms", "5 5", "Not a number of type LONG"},
	{"retention.ms", "9223372036854775808", "Not a number of type LONG"},
	{"retention.bytes", "-9223372036854775808", NULL},
	{"retention.bytes", "-9223372036854775809", "Not a number of type LONG"},
	{"segment.bytes", "1048576", NULL},
	{"segment.bytes", "1048575", "Value must be at least 1048576"},
	{"segment.bytes", "2147483648", "Not a number of type INT"},
	{"segment.ms", "0", "Value must be at least 1"},
	{"cleanup.policy", "compact, delete", NULL},
	{"cleanup.policy", "compact,compact", NULL},
	{"cleanup.policy", "", NULL},
	{"cleanup.policy", "compact,foo", "String must be one of: compact, delete"},
	{"cleanup.policy", "DELETE", "String must be one of: compact, delete"},
	{"compression.type", "uncompressed", NULL},
	{"compression.type", "none",
	 "String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer"},
	{"compression.type", "",
	 "String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer"},
	{"compression.gzip.level", "-1", NULL},
	{"compression.gzip.level", "9", NULL},
	{"compression.gzip.level", "0", "Value must be between 1 and 9 or equal to -1"},
	{"compression.gzip.level", "10", "Value must be between 1 and 9 or equal to -1"},
	{"compression.zstd.level", "23", "Value must be no more than 22"},
	{"compression.zstd.level", "-131073", "Value must be at least -131072"},
	{"compression.lz4.level", "18", "Value must be no more than 17"},
	{"min.cleanable.dirty.ratio", "1e-1", NULL},
	{"min.cleanable.dirty.ratio", "2", "Value must be no more than 1"},
	{"min.cleanable.dirty.ratio", "-0.1", "Value must be at least 0"},
	{"min.cleanable.dirty.ratio", "NaN", "Not a number of type DOUBLE"},
	{"min.cleanable.dirty.ratio", "0x1", "Not a number of type DOUBLE"},
	{"min.cleanable.dirty.ratio", "1e999", "Not a number of type DOUBLE"},
	{"message.timestamp.type", "LogAppendTime", NULL},
	{"message.timestamp.type", "createtime",
	 "String must be one of: CreateTime, LogAppendTime"},
	{"min.insync.replicas", "2", NULL},
	{"min.insync.replicas", "0", "Value must be at least 1"},
	{"unclean.leader.election.enable", "TRUE", NULL},
	{"unclean.leader.election.enable", "yes", "Expected value to be either true or false"},
	{"preallocate", "false", NULL},
	{"preallocate", "true", "this broker does not offer it, only false is accepted"},
	{"leader.replication.throttled.replicas", "*", NULL},
	{"leader.replication.throttled.replicas", "0:1,1:1", NULL},
	{"leader.replication.throttled.replicas", "", NULL},
	{"leader.replication.throttled.replicas", "0:", "it must be the literal '*' or a list"},
	{"leader.replication.throttled.replicas", "x", "it must be the literal '*' or a list"},
	{"local.retention.bytes", "-3", "Value must be at least -2"},
	{"flush.messages", "0", "Value must be at least 1"},
};

static void test_values(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		const struct topic_config *tc = row(values[i].name);
		struct errmsg why = {0};
		enum err e = topic_config_check(tc, tc->name, bytes_str(values[i].value), &why);
		if (values[i].refused == NULL) {
			if (e != ERR_OK)
				fail_msg("%s=%s: %s", tc->name, values[i].value, why.text);
			continue;
		}
		if (e != ERR_KAFKA_INVALID_CONFIG || strstr(why.text, values[i].refused) == NULL)
			fail_msg("%s=%s: %s", tc->name, values[i].value, why.text);
	}
}

static void test_words_are_kafkas(void **state)
{
	struct errmsg why = {0};
	(void)state;

	assert_int_equal(
		topic_config_check(row("retention.ms"), "log.retention.ms", bytes_str("x"), &why),
		ERR_KAFKA_INVALID_CONFIG);
	assert_string_equal(why.text, "Invalid value x for configuration log.retention.ms: Not a "
				      "number of type LONG");
	assert_int_equal(topic_config_check(row("remote.storage.enable"), "remote.storage.enable",
					    bytes_str("true"), &why),
			 ERR_KAFKA_INVALID_CONFIG);
	assert_string_equal(why.text, "Tiered Storage functionality is disabled in the broker. "
				      "Topic cannot be configured with remote log storage.");
	/* Only the wrong item of a list is shown. */
	assert_int_equal(topic_config_check(row("cleanup.policy"), "cleanup.policy",
					    bytes_str("delete, foo"), &why),
			 ERR_KAFKA_INVALID_CONFIG);
	assert_string_equal(why.text, "Invalid value foo for configuration cleanup.policy: String "
				      "must be one of: compact, delete");
}

/* Hostile text never makes a message that is not plain ASCII. */
static void test_hostile_value(void **state)
{
	uint8_t bad[300];
	struct errmsg why = {0};
	(void)state;

	for (size_t i = 0; i < sizeof bad; i++)
		bad[i] = (uint8_t)(i * 7 + 128);
	assert_int_equal(topic_config_check(row("retention.ms"), "retention.ms",
					    bytes_of(bad, sizeof bad), &why),
			 ERR_KAFKA_INVALID_CONFIG);
	for (const char *p = why.text; *p != 0; p++)
		assert_in_range(*p, ' ', '~');
}

static void apply(struct plog_config *c, const char *name, const char *value)
{
	topic_config_apply(row(name), bytes_str(value), c);
}

static void test_apply(void **state)
{
	struct plog_config c;
	char text[TOPIC_CONFIG_TEXT];
	(void)state;

	plog_config_init(&c);
	apply(&c, "retention.ms", " 42");
	assert_int_equal(c.retention_ms, 42);
	apply(&c, "retention.bytes", "-7");
	assert_int_equal(c.retention_bytes, -1);
	apply(&c, "cleanup.policy", "compact");
	assert_true(c.cleanup_compact && !c.cleanup_delete);
	topic_config_show(row("cleanup.policy"), &c, text);
	assert_string_equal(text, "compact");
	apply(&c, "cleanup.policy", "");
	assert_true(!c.cleanup_compact && !c.cleanup_delete);
	apply(&c, "message.timestamp.type", "LogAppendTime");
	assert_true(c.log_append_time);
	apply(&c, "min.cleanable.dirty.ratio", "0.25");
	topic_config_show(row("min.cleanable.dirty.ratio"), &c, text);
	assert_string_equal(text, "0.25");
	apply(&c, "compression.type", "zstd");
	assert_int_equal(c.compression, CODEC_ZSTD);
	apply(&c, "compression.type", "uncompressed");
	assert_int_equal(c.compression, CODEC_NONE);
	apply(&c, "compression.type", "producer");
	assert_int_equal(c.compression, -1);
}

static void test_level_of_the_codec(void **state)
{
	struct plog_config c;
	struct map *set = map_new();
	char lz4[] = "lz4", five[] = "5", seven[] = "7";
	(void)state;

	plog_config_init(&c);
	assert_int_equal(map_put(set, bytes_str("compression.type"), lz4), ERR_OK);
	assert_int_equal(map_put(set, bytes_str("compression.lz4.level"), five), ERR_OK);
	assert_int_equal(map_put(set, bytes_str("compression.zstd.level"), seven), ERR_OK);
	topic_config_apply_map(set, false, &c);
	topic_config_apply_level(set, &c);
	assert_int_equal(c.compression, CODEC_LZ4);
	assert_int_equal(c.compression_level, 5);
	map_free(set);
}

static void test_rules_over_several(void **state)
{
	struct plog_config c;
	struct errmsg why = {0};
	(void)state;

	plog_config_init(&c);
	assert_int_equal(topic_config_check_all(&c, &why), ERR_OK);
	c.min_compaction_lag_ms = 10;
	c.max_compaction_lag_ms = 5;
	assert_int_equal(topic_config_check_all(&c, &why), ERR_KAFKA_INVALID_CONFIG);
	assert_string_equal(why.text, "conflict topic config setting min.compaction.lag.ms (10) > "
				      "max.compaction.lag.ms (5)");
}

static void check_list(bool append, const char *value, const char *change, const char *want)
{
	struct buf b;

	buf_init(&b, 1000);
	if (append)
		topic_config_list_append(bytes_str(value), bytes_str(change), &b);
	else
		topic_config_list_subtract(bytes_str(value), bytes_str(change), &b);
	assert_true(bytes_eq(bytes_of(b.p == NULL ? (const uint8_t *)"" : b.p, b.len),
			     bytes_str(want)));
	buf_fini(&b);
}

static void test_lists(void **state)
{
	(void)state;
	check_list(true, "delete", "compact", "delete,compact");
	check_list(true, "delete", "delete, compact", "delete,compact");
	check_list(true, "", "compact", "compact");
	check_list(false, "delete,compact", "delete", "compact");
	check_list(false, "delete", "delete", "");
	check_list(false, "delete", "compact", "delete");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table_is_sorted_and_whole),
		cmocka_unit_test(test_defaults_are_kafkas),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_words_are_kafkas),
		cmocka_unit_test(test_hostile_value),
		cmocka_unit_test(test_apply),
		cmocka_unit_test(test_level_of_the_codec),
		cmocka_unit_test(test_rules_over_several),
		cmocka_unit_test(test_lists),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
