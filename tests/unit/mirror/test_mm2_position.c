/* SPDX-License-Identifier: Apache-2.0 */
/* Positions as Kafka Connect stores them for MirrorMaker 2, and what else may stand there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "mirror/link/mm2_position.h"

static enum err decode(const char *key, const char *value, struct mm2_position *p)
{
	struct errmsg why = {""};
	struct bytes v = value == NULL ? (struct bytes){NULL, 0} : bytes_str(value);
	enum err e = mm2_position_decode(bytes_str(key), v, p, &why);
	assert_int_equal(e == ERR_OK, why.text[0] == '\0');
	return e;
}

/* Written by MirrorMaker 2 of Apache Kafka 4.1.0, flow east->west. */
static void as_mm2_writes_them(void **state)
{
	(void)state;
	struct mm2_position p;
	const char *key = "[\"MirrorSourceConnector\",{\"cluster\":\"east\",\"partition\":3,"
			  "\"topic\":\"a.b\"}]";
	assert_int_equal(decode(key, "{\"offset\":1233}", &p), ERR_OK);
	assert_string_equal(p.cluster, "east");
	assert_string_equal(p.topic, "a.b");
	assert_int_equal(p.partition, 3);
	assert_int_equal(p.offset, 1233);
	/* Deleted: by a tombstone, or by a null in Connect's words. */
	assert_int_equal(decode(key, NULL, &p), ERR_OK);
	assert_int_equal(p.offset, -1);
	assert_string_equal(p.topic, "a.b");
	assert_int_equal(decode(key, "null", &p), ERR_OK);
	assert_int_equal(p.offset, -1);
	/* Under an operator's name for the connector, as in a Connect cluster. */
	key = "[\"east->west.MirrorSourceConnector\",{\"topic\":\"t\",\"cluster\":\"east\","
	      "\"partition\":0}]";
	assert_int_equal(decode(key, "{\"offset\":0}", &p), ERR_OK);
	assert_int_equal(p.offset, 0);
}

static void of_other_connectors(void **state)
{
	(void)state;
	struct mm2_position p;
	assert_int_equal(decode("[\"MirrorHeartbeatConnector\",{\"sourceClusterAlias\":\"east\","
				"\"targetClusterAlias\":\"west\"}]",
				"{\"offset\":0}", &p),
			 ERR_NOT_FOUND);
	assert_int_equal(decode("[\"MirrorCheckpointConnector\",{\"group\":\"g\",\"cluster\":"
				"\"east\",\"partition\":0,\"topic\":\"t\"}]",
				"{\"offset\":0}", &p),
			 ERR_NOT_FOUND);
	assert_int_equal(decode("[\"jdbc\",{\"table\":\"x\"}]", "{\"ts\":1}", &p), ERR_NOT_FOUND);
}

static void refused(void **state)
{
	(void)state;
	static const char good_key[] =
		"[\"c\",{\"cluster\":\"e\",\"partition\":0,\"topic\":\"t\"}]";
	static const char *const keys[] = {
		"",
		"[",
		"{}",
		"[]",
		"7",
		"[\"c\"]",
		"[1,{\"cluster\":\"e\",\"partition\":0,\"topic\":\"t\"}]",
		"[\"c\",{\"cluster\":\"e\",\"partition\":0,\"topic\":\"t\"},1]",
		"[\"c\",{\"cluster\":7,\"partition\":0,\"topic\":\"t\"}]",
		"[\"c\",{\"cluster\":\"\",\"partition\":0,\"topic\":\"t\"}]",
		"[\"c\",{\"cluster\":\"e\",\"partition\":-1,\"topic\":\"t\"}]",
		"[\"c\",{\"cluster\":\"e\",\"partition\":2147483648,\"topic\":\"t\"}]",
		"[\"c\",{\"cluster\":\"e\",\"partition\":\"0\",\"topic\":\"t\"}]",
		"[\"c\",{\"cluster\":\"e\",\"partition\":0.5,\"topic\":\"t\"}]",
		"[\"c\",{\"cluster\":\"e\",\"partition\":0}]",
		"[\"c\",{\"cluster\":\"e\",\"partition\":0,\"topic\":\"a\\u0000b\"}]",
		"[\"c\",{\"cluster\":\"e\",\"cluster\":\"f\",\"partition\":0,\"topic\":\"t\"}]",
	};
	static const char *const values[] = {
		"",
		"7",
		"[]",
		"{}",
		"{\"offset\":\"7\"}",
		"{\"offset\":-1}",
		"{\"offset\":1.5}",
		"{\"offset\":9223372036854775807}",
		"{\"offset\":9223372036854775808}",
		"{\"offset\":null}",
		"{\"offset\":1",
	};
	struct mm2_position p;
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		assert_int_equal(decode(keys[i], "{\"offset\":1}", &p), ERR_MALFORMED);
	for (size_t i = 0; i < sizeof values / sizeof *values; i++)
		assert_int_equal(decode(good_key, values[i], &p), ERR_MALFORMED);
	char name[400];
	memset(name, 'x', sizeof name);
	name[sizeof name - 1] = '\0';
	char key[600];
	snprintf(key, sizeof key, "[\"c\",{\"cluster\":\"e\",\"partition\":0,\"topic\":\"%s\"}]",
		 name);
	assert_int_equal(decode(key, "{\"offset\":1}", &p), ERR_MALFORMED);
	static char huge[10 << 10];
	memset(huge, '[', sizeof huge - 1);
	assert_int_equal(decode(huge, "{\"offset\":1}", &p), ERR_LIMIT);
	huge[2000] = '\0';
	assert_int_equal(decode(huge, "{\"offset\":1}", &p), ERR_MALFORMED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_mm2_writes_them),
		cmocka_unit_test(of_other_connectors),
		cmocka_unit_test(refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
