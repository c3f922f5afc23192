/* SPDX-License-Identifier: Apache-2.0 */
/* Gap records as they are written: the very bytes, what is left out, and what cannot be forged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "mirror/partition/gap.h"

static const struct gap_place place = {.link = "east->west",
				       .source_topic = "orders",
				       .target_topic = "east.orders",
				       .time_ms = 1764360000123};

static void is_text(struct buf *b, const char *want)
{
	assert_int_equal(b->err, ERR_OK);
	if (!bytes_eq_str(buf_bytes(b), want))
		fail_msg("%.*s\nis not\n%s", (int)b->len, (const char *)b->p, want);
	buf_fini(b);
}

static void data_loss(void **state)
{
	(void)state;
	struct gap g;
	struct buf b;
	gap_init(&g, ON_DATA_LOSS, 3);
	g.topic_id.b[0] = 4;
	g.source_first = 1000;
	g.source_end = g.source_next = 1500;
	g.target_next = 990;
	g.count = 500;
	g.reason = "retention";
	buf_init(&b, GAP_KEY_MAX);
	assert_int_equal(gap_key(&g, &place, &b), ERR_OK);
	is_text(&b, "{\"topic\":\"orders\",\"partition\":3,\"cause\":\"DATA_LOSS\",\"topic_id\":"
		    "\"BAAAAAAAAAAAAAAAAAAAAA\",\"source_first\":1000}");
	buf_init(&b, GAP_VALUE_MAX);
	assert_int_equal(gap_value(&g, &place, &b), ERR_OK);
	is_text(&b, "{\"version\":1,\"cause\":\"DATA_LOSS\",\"time\":\"2025-11-28T20:00:00Z\","
		    "\"time_ms\":1764360000123,\"link\":\"east->west\",\"topic\":\"orders\","
		    "\"partition\":3,\"target_topic\":\"east.orders\",\"topic_id\":"
		    "\"BAAAAAAAAAAAAAAAAAAAAA\",\"source_first\":1000,\"source_last\":1499,"
		    "\"count\":500,\"source_next\":1500,\"target_next\":990,"
		    "\"reason\":\"retention\"}");
}

static json_t *value_of(const struct gap *g)
{
	struct buf b;
	json_error_t why;
	buf_init(&b, GAP_VALUE_MAX);
	assert_int_equal(gap_value(g, &place, &b), ERR_OK);
	json_t *o = json_loadb((const char *)b.p, b.len, 0, &why);
	assert_non_null(o);
	buf_fini(&b);
	return o;
}

static void ranges(void **state)
{
	(void)state;
	struct gap g;
	gap_init(&g, ON_SOURCE_TRUNCATED, 0);
	g.source_first = g.source_end = 7; /* empty: no range */
	g.target_first = 10;
	g.target_end = 12;
	json_t *o = value_of(&g);
	assert_null(json_object_get(o, "source_first"));
	assert_int_equal(json_integer_value(json_object_get(o, "target_first")), 10);
	assert_int_equal(json_integer_value(json_object_get(o, "target_last")), 11);
	json_decref(o);
	g.source_end = -1; /* its end is not known */
	o = value_of(&g);
	assert_int_equal(json_integer_value(json_object_get(o, "source_first")), 7);
	assert_null(json_object_get(o, "source_last"));
	assert_null(json_object_get(o, "count"));
	assert_null(json_object_get(o, "unmapped"));
	json_decref(o);
}

/* What a broker said stands in the reason, and cannot become a field. */
static void hostile_text(void **state)
{
	(void)state;
	struct gap g;
	char text[4000];
	gap_init(&g, ON_REFUSED, 0);
	g.error = ERR_KAFKA_INVALID_RECORD;
	g.reason = "\xff\",\"count\":1,\"x\":\"\n";
	json_t *o = value_of(&g);
	assert_null(json_object_get(o, "count"));
	assert_string_equal(json_string_value(json_object_get(o, "reason")),
			    "?\",\"count\":1,\"x\":\"\n");
	assert_string_equal(json_string_value(json_object_get(o, "error")), "KAFKA_INVALID_RECORD");
	json_decref(o);
	memset(text, '"', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	g.reason = text;
	json_decref(value_of(&g));
}

static void same_gap_same_key(void **state)
{
	(void)state;
	struct gap g;
	struct buf a, b;
	gap_init(&g, ON_DATA_LOSS, 3);
	g.source_first = 5;
	g.source_end = 9;
	buf_init(&a, GAP_KEY_MAX);
	buf_init(&b, GAP_KEY_MAX);
	assert_int_equal(gap_key(&g, &place, &a), ERR_OK);
	g.source_end = 12;
	g.count = 7;
	assert_int_equal(gap_key(&g, &place, &b), ERR_OK);
	assert_true(bytes_eq(buf_bytes(&a), buf_bytes(&b)));
	g.partition = 4;
	buf_clear(&b);
	assert_int_equal(gap_key(&g, &place, &b), ERR_OK);
	assert_false(bytes_eq(buf_bytes(&a), buf_bytes(&b)));
	buf_fini(&b);
	buf_init(&b, 10);
	assert_int_equal(gap_key(&g, &place, &b), ERR_LIMIT);
	buf_fini(&a);
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(data_loss),
		cmocka_unit_test(ranges),
		cmocka_unit_test(hostile_text),
		cmocka_unit_test(same_gap_same_key),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
