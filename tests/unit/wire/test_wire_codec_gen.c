/* SPDX-License-Identifier: Apache-2.0 */
/* The generator: names, the model of a schema, and schemas that it must refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/base/buf.h"
#include "lib/wire/gen/emit.h"
#include "lib/wire/gen/names.h"
#include "lib/wire/gen/schema.h"

static void test_names(void **state)
{
	(void)state;
	static const char *const pairs[][2] = {
		{"TopicId", "topic_id"},
		{"ThrottleTimeMs", "throttle_time_ms"},
		{"KRaftVersion", "kraft_version"},
		{"UpdateKRaftVersionFeature", "update_kraft_version_feature"},
		{"KRaft", "kraft"},
		{"KRed", "k_red"},
		{"Enable2Pc", "enable2_pc"},
		{"V3AndBelowTopics", "v3_and_below_topics"},
		{"HTTPPort", "http_port"},
		{"ClientID", "client_id"},
		{"groupInstanceId", "group_instance_id"},
		{"X", "x"},
	};
	struct arena a;
	arena_init(&a, 1 << 16);
	for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
		assert_string_equal(names_snake(&a, pairs[i][0]), pairs[i][1]);
	assert_string_equal(names_member(&a, "Default"), "default_");
	assert_string_equal(names_member(&a, "Int"), "int_");
	assert_string_equal(names_member(&a, "DefaultValue"), "default_value");
	assert_string_equal(names_join(&a, "fetch_request", "topic"), "fetch_request_topic");
	arena_fini(&a);
}

/* Parse and check `text`; the model is the arena's. */
static enum err load(const char *text, struct arena *a, struct schema_message **out,
		     struct errmsg *why)
{
	char *copy = arena_strndup(a, bytes_str(text));
	assert_non_null(copy);
	enum err e = schema_parse(copy, a, out, why);
	for (struct schema_message *m = *out; e == ERR_OK && m != NULL; m = m->next)
		e = schema_check(m, why);
	return e;
}

static void test_model(void **state)
{
	(void)state;
	struct arena a;
	struct errmsg why = {{0}};
	struct schema_message *m;
	arena_init(&a, 1 << 20);
	enum err e = load("# a comment\n\n"
			  "ThingRequest key=7 v=1-4 flex=3+ LATEST_UNSTABLE on=broker\n"
			  " Items []Item 0+ null=2+ ign\n"
			  "  Name string 0+ key\n"
			  "  Late uuid 4+ tag=1@4+\n"
			  "  Early int32 3+ tag=0@3+ def=-1\n"
			  "  Where Place 0+\n"
			  " Rest records 2-3 null=2+\n"
			  " struct Place 0+\n"
			  "  X int64 0+ def=0x7f\n"
			  "ThingValue [data; somewhere] key=3 v=0 flex=none\n"
			  " On bool 0 def=true\n",
			  &a, &m, &why);
	if (e != ERR_OK)
		fail_msg("%s", why.text);
	assert_int_equal(m->kind, SCHEMA_REQUEST);
	assert_int_equal(m->key, 7);
	assert_int_equal(m->flexible_from, 3);
	assert_true(m->latest_unstable);
	assert_string_equal(m->first->c_name, "thing_request_place"); /* used, so first */
	assert_string_equal(m->first->order->c_name, "thing_request_item");
	assert_string_equal(m->first->order->order->c_name, "thing_request");

	const struct schema_struct *item = m->first->order;
	assert_int_equal(item->fields_n, 4);
	assert_int_equal(item->tagged_n, 2);
	assert_string_equal(item->fields->next->c_name, "where");
	assert_string_equal(item->fields->next->next->c_name, "early"); /* tags by number */
	assert_int_equal(item->fields->next->next->def, -1);
	/* name 2 and place 8 bytes in version 1; less than compact 1 + 8 + two sets of tags */
	assert_int_equal(item->min_wire, 10);
	assert_int_equal(m->next->kind, SCHEMA_DATA);
	assert_int_equal(m->next->key, 3);
	assert_int_equal(m->next->structs->fields->def, 1);
	arena_fini(&a);
}

/* Each with what the message must contain. */
static void test_refused_schemas(void **state)
{
	(void)state;
#define HEAD "M key=1 v=0-1 flex=1+\n"
	static const char *const bad[][2] = {
		{"M key=x v=0 flex=none\n", "line 1: not a key: 'x'"},
		{"M v=3-1 flex=none\n", "not a version range: '3-1'"},
		{"M v=0 flex=none what=1\n", "unknown option 'what=1'"},
		{" Field int8 0+\n", "line 1: too deep"},
		{HEAD " A int8\n", "line 2: a field has a name, a type and versions: 'A'"},
		{HEAD " A int9 0+\n", "line 2: A: unknown type"},
		{HEAD " A int8 zero\n", "not a version range"},
		{HEAD " A int8 0+ def=many\n", "not a default: 'many'"},
		{HEAD " A int8 0+ null=0+\n", "a number cannot be null"},
		{HEAD " A string 0+ def=null\n", "null by default but never nullable"},
		{HEAD " A float64 0+ def=1\n", "only integers have a default"},
		{HEAD " A []records 0+\n", "records in an array"},
		{HEAD " A records 1+ tag=0@1+\n", "records in a tagged field"},
		{HEAD " A []S 1+ tag=0@1+\n  B records 1+\n", "records in a tagged field"},
		{HEAD " A int8 1+ tag=0\n", "not a tag: '0'"},
		{HEAD " A int8 0+ tag=0@1+\n", "tagged in some versions only"},
		{HEAD " A int8 0+ tag=0@0+\n", "tagged in a version that is not flexible"},
		{HEAD " A int8 1+ tag=0@1+\n B int8 1+ tag=0@1+\n", "this tag is taken"},
		{HEAD " A int8 0+\n a int8 0+\n", "its C name clashes"},
		{HEAD " A []int8 0+\n AN int8 0+\n", NULL},
		{HEAD " A_n int8 0+\n A []int8 0+\n", "its C name clashes"},
		{HEAD " A string 0+ flex=2+\n", "only flex=none"},
		{HEAD " A int8 0+\n  B int8 0+\n", "no struct to belong to"},
		{HEAD "  B int8 0+\n", "no struct to belong to"},
		{HEAD " A []A 0+\n  B []A 0+\n", "A is recursive"},
		{HEAD " A S 0+\n  B int8 0+\n C S 0+\n  D int8 0+\n", "two structs S"},
		{HEAD " A []S1 0+\n  A []S2 0+\n   A []S3 0+\n    A []S4 0+\n     A []S5 0+\n"
		      "      A []S6 0+\n       A []S7 0+\n        A []S8 0+\n"
		      "         A int8 0+\n",
		 "too deep"},
	};
#undef HEAD
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct arena a;
		struct errmsg why = {{0}};
		struct schema_message *m;
		arena_init(&a, 1 << 20);
		enum err e = load(bad[i][0], &a, &m, &why);
		if (bad[i][1] == NULL)
			assert_int_equal(e, ERR_OK);
		else if (e != ERR_MALFORMED || strstr(why.text, bad[i][1]) == NULL)
			fail_msg("schema %zu: %s (%s), wanted '%s'", i, err_name(e), why.text,
				 bad[i][1]);
		arena_fini(&a);
	}
}

/* Each byte of memory less is an error, never a crash. */
static void test_out_of_memory(void **state)
{
	(void)state;
	static const char text[] = "FooRequest key=0 v=0 flex=none\n A []S 0+\n  B int8 0+\n";
	enum err e = ERR_NOMEM;
	size_t max;
	for (max = sizeof text + 16; e != ERR_OK; max += 8) {
		struct arena a;
		struct errmsg why = {{0}};
		struct schema_message *m;
		arena_init(&a, max);
		e = load(text, &a, &m, &why);
		assert_true(e == ERR_OK || e == ERR_NOMEM);
		arena_fini(&a);
	}
	assert_true(max > 300);
}

static void test_emitted_text(void **state)
{
	(void)state;
	struct arena a;
	struct errmsg why = {{0}};
	struct schema_message *m;
	struct buf out;
	arena_init(&a, 1 << 20);
	buf_init(&out, 1 << 20);
	assert_int_equal(load("FooBarRequest key=9 v=0-2 flex=2+\n"
			      " Int int8 0+ ign\n Where Place 1+ null=1+ def=null\n  X int64 1+\n",
			      &a, &m, &why),
			 ERR_OK);
	emit_header(m, &out);
	buf_put_u8(&out, '\0');
	const char *text = (const char *)out.p;
	assert_non_null(strstr(text, "WIRE_API_FOO_BAR = 9,"));
	assert_non_null(strstr(text, "struct foo_bar_request_place {\n\tint64_t x; /* 1+ */\n};"));
	assert_non_null(strstr(text, "\tint8_t int_; /* 0+, ignorable */\n"));
	assert_non_null(strstr(text, "\tstruct foo_bar_request_place where; /* 1+, null in 1+, "
				     "default null */\n\tbool where_present;\n"));
	assert_non_null(
		strstr(text, "extern const struct wire_struct wire_foo_bar_request_place;"));
	buf_clear(&out);
	emit_source(m, &out);
	buf_put_u8(&out, '\0');
	text = (const char *)out.p;
	assert_non_null(strstr(text, "[9] = &wire_foo_bar_request,"));
	assert_non_null(
		strstr(text, ".aux_offset = offsetof(struct foo_bar_request, where_present)"));
	buf_fini(&out);
	arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),           cmocka_unit_test(test_model),
		cmocka_unit_test(test_refused_schemas), cmocka_unit_test(test_out_of_memory),
		cmocka_unit_test(test_emitted_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
