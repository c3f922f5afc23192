/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of __consumer_offsets as Apache Kafka 4.1 writes them (the hex lines are from its own
 * MessageUtil), subscriptions, and Java's strings.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "cluster/group/group_record.h"
#include "cluster/group/subscription.h"
#include "cluster/group/table.h"
#include "cluster/group/utf16.h"
#include "lib/wire/wire.h"

#define OFFSET_KEY "0001000567726f757000066f726465727300000007"
#define OFFSET_V4                                                                    \
	"000400000000075bcd1500000005046dc3a90000018bcfe568000100100102030405060708" \
	"090a0b0c0d0e0f10"
#define GROUP_KEY "0002000567726f7570"
#define GROUP_V3                                                                             \
	"00030008636f6e73756d657200000003000572616e676500036d2d310000018bcfe568010000000200" \
	"036d2d3100016900016300092f31302e302e302e310000ea6000002710000000020102000000010300" \
	"036d2d32ffff0000000000000001000000020000000000000000"

struct hex {
	uint8_t b[512];
	size_t n;
};

static int digit(char c)
{
	return c <= '9' ? c - '0' : c - 'a' + 10;
}

static struct bytes unhex(struct hex *h, const char *text)
{
	h->n = strlen(text) / 2;
	assert_true(h->n <= sizeof h->b);
	for (size_t i = 0; i < h->n; i++)
		h->b[i] = (uint8_t)(digit(text[2 * i]) << 4 | digit(text[2 * i + 1]));
	return bytes_of(h->b, h->n);
}

static void assert_hex(const struct buf *b, const char *text)
{
	struct hex h;
	unhex(&h, text);
	assert_int_equal(b->len, h.n);
	assert_memory_equal(b->p, h.b, h.n);
}

struct parsed {
	struct arena arena;
	struct group_record r;
	struct errmsg why;
	enum err e;
	struct hex key, value;
};

static struct parsed *parse(const char *key, const char *value)
{
	static struct parsed p; /* until the next call */
	arena_fini(&p.arena);
	arena_init(&p.arena, 1 << 20);
	p.why.text[0] = '\0';
	p.e = group_record_get(unhex(&p.key, key),
			       value == NULL ? bytes_of(NULL, 0) : unhex(&p.value, value), &p.arena,
			       &p.r, &p.why);
	return &p;
}

/* ---- offsets ---- */

static void test_offset_golden(void **state)
{
	(void)state;
	struct buf b;
	struct offset_commit_key k = {
		.group = bytes_str("group"), .topic = bytes_str("orders"), .partition = 7};
	struct offset_commit_value v;
	buf_init(&b, 1000);
	assert_int_equal(group_record_put_offset_key(&k, &b), ERR_OK);
	assert_hex(&b, OFFSET_KEY);
	wire_init(&wire_offset_commit_value, &v);
	v.offset = 123456789;
	v.leader_epoch = 5;
	v.metadata = bytes_str("m\xc3\xa9");
	v.commit_timestamp = 1700000000000;
	for (uint8_t i = 0; i < 16; i++)
		v.topic_id.b[i] = (uint8_t)(i + 1);
	buf_clear(&b);
	assert_int_equal(group_record_put_offset(&v, &b), ERR_OK);
	assert_hex(&b, OFFSET_V4);
	/* An expiry of its own needs version 1, which has no leader epoch. */
	wire_init(&wire_offset_commit_value, &v);
	v.offset = 1;
	v.leader_epoch = 4;
	v.metadata = bytes_str("x");
	v.commit_timestamp = 2;
	v.expire_timestamp = 3;
	buf_clear(&b);
	assert_int_equal(group_record_put_offset(&v, &b), ERR_OK);
	assert_hex(&b, "0001000000000000000100017800000000000000020000000000000003");
	buf_fini(&b);
}

static void test_offset_versions(void **state)
{
	(void)state;
	struct parsed *p = parse(OFFSET_KEY, OFFSET_V4);
	assert_int_equal(p->e, ERR_OK);
	assert_int_equal(p->r.type, GROUP_RECORD_OFFSET);
	assert_true(bytes_eq_str(p->r.group, "group"));
	assert_true(bytes_eq_str(p->r.offset_key.topic, "orders"));
	assert_int_equal(p->r.offset_key.partition, 7);
	assert_int_equal(p->r.offset.offset, 123456789);
	assert_int_equal(p->r.offset.leader_epoch, 5);
	assert_int_equal(p->r.offset.topic_id.b[15], 16);
	static const struct {
		const char *hex;
		int32_t epoch;
		int64_t expire;
	} olds[] = {
		{"000000000000000000010001780000000000000002", -1, -1},
		{"0001000000000000000100017800000000000000020000000000000003", -1, 3},
		{"00030000000000000001000000090001780000000000000002", 9, -1},
	};
	for (size_t i = 0; i < 3; i++) {
		/* Key 0 is how it was numbered at first. */
		p = parse("0000000567726f757000066f726465727300000007", olds[i].hex);
		assert_int_equal(p->e, ERR_OK);
		assert_int_equal(p->r.offset.offset, 1);
		assert_true(bytes_eq_str(p->r.offset.metadata, "x"));
		assert_int_equal(p->r.offset.leader_epoch, olds[i].epoch);
		assert_int_equal(p->r.offset.expire_timestamp, olds[i].expire);
		assert_int_equal(p->r.offset.commit_timestamp, 2);
	}
	p = parse(OFFSET_KEY, NULL);
	assert_int_equal(p->e, ERR_OK);
	assert_true(p->r.deleted);
}

/* ---- groups ---- */

static void test_group_golden(void **state)
{
	(void)state;
	struct parsed *p = parse(GROUP_KEY, GROUP_V3);
	struct buf b;
	assert_int_equal(p->e, ERR_OK);
	assert_int_equal(p->r.type, GROUP_RECORD_GROUP);
	assert_int_equal(p->r.metadata.generation, 3);
	assert_int_equal(p->r.metadata.members_n, 2);
	assert_true(bytes_eq_str(p->r.metadata.members[0].group_instance_id, "i"));
	assert_null(p->r.metadata.members[1].group_instance_id.p);
	buf_init(&b, 1000);
	assert_int_equal(group_record_put_group(&p->r.metadata, &b), ERR_OK);
	assert_hex(&b, GROUP_V3);
	buf_clear(&b);
	assert_int_equal(group_record_put_group_key(bytes_str("group"), &b), ERR_OK);
	assert_hex(&b, GROUP_KEY);
	buf_fini(&b);
}

static void test_group_versions(void **state)
{
	(void)state;
	static const char *const olds[] = {
		"00000008636f6e73756d657200000003000572616e676500036d2d310000000200036d2d3100"
		"016300092f31302e302e302e3100002710000000020102000000010300036d2d320000000000"
		"0000020000000000000000",
		"00010008636f6e73756d657200000003000572616e676500036d2d310000000200036d2d3100"
		"016300092f31302e302e302e310000ea6000002710000000020102000000010300036d2d3200"
		"00000000000001000000020000000000000000",
		"00020008636f6e73756d657200000003000572616e676500036d2d310000018bcfe568010000"
		"000200036d2d3100016300092f31302e302e302e310000ea6000002710000000020102000000"
		"010300036d2d320000000000000001000000020000000000000000",
		"00030008636f6e73756d657200000003000572616e676500036d2d310000018bcfe568010000"
		"000200036d2d3100016900016300092f31302e302e302e310000ea6000002710000000020102"
		"000000010300036d2d32ffff0000000000000001000000020000000000000000",
		"000409636f6e73756d6572000000030672616e6765046d2d310000018bcfe5680103046d2d31"
		"026902630a2f31302e302e302e310000ea6000002710030102020300046d2d32000101000000"
		"010000000201010000",
	};
	for (int v = 0; v < 5; v++) {
		struct parsed *p = parse(GROUP_KEY, olds[v]);
		assert_int_equal(p->e, ERR_OK);
		assert_true(bytes_eq_str(p->r.metadata.protocol, "range"));
		assert_int_equal(p->r.metadata.current_state_timestamp, v < 2 ? -1 : 1700000000001);
		assert_int_equal(p->r.metadata.members[0].rebalance_timeout, v < 1 ? -1 : 60000);
	}
}

/* ---- what is not ours, or nobody's ---- */

static void test_other_kinds(void **state)
{
	(void)state;
	struct parsed *p = parse("0003000567726f7570", "0000");
	assert_int_equal(p->e, ERR_OK);
	assert_int_equal(p->r.type, GROUP_RECORD_OTHER);
	assert_string_equal(p->r.kind, "ConsumerGroupMetadata");
	p = parse("7fff", NULL);
	assert_int_equal(p->e, ERR_OK);
	assert_string_equal(p->r.kind, "unknown");
}

static void test_damaged(void **state)
{
	(void)state;
	static const char *const keys[] = {
		"", "00", "0001", "0001000567726f7570", "0002000567726f757000", "0002ffff"};
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
		assert_int_equal(parse(keys[i], "0003")->e, ERR_MALFORMED);
	assert_int_equal(parse(OFFSET_KEY, "")->e, ERR_MALFORMED);
	assert_int_equal(parse(OFFSET_KEY, "0009")->e, ERR_UNSUPPORTED);
	assert_int_equal(parse(OFFSET_KEY, "ffff")->e, ERR_UNSUPPORTED);
	/* Every prefix of a good value. */
	char cut[sizeof GROUP_V3];
	for (size_t n = 4; n < sizeof GROUP_V3 - 1; n += 2) {
		memcpy(cut, GROUP_V3, n);
		cut[n] = '\0';
		struct parsed *p = parse(GROUP_KEY, cut);
		assert_int_equal(p->e, ERR_MALFORMED);
	}
}

/* ---- subscriptions ---- */

static bool subscribes(const char *hex, enum err expect)
{
	struct hex h;
	struct map *m = map_new();
	enum err e = subscription_topics(unhex(&h, hex), m);
	bool has = map_get(m, bytes_str("t")) != NULL;
	map_free(m);
	assert_int_equal(e, expect);
	return has;
}

static void test_subscription(void **state)
{
	(void)state;
	assert_true(subscribes("0000"
			       "00000001000174"
			       "ffffffff",
			       ERR_OK));
	/* Version 3, with owned partitions, generation and rack after what counts. */
	assert_true(subscribes("0003"
			       "00000002000173000174"
			       "ffffffff"
			       "00000000ffffffffffff",
			       ERR_OK));
	assert_true(subscribes("7fff00000001000174ffffffffdeadbeef", ERR_OK));
	assert_false(subscribes("000000000000ffffffff", ERR_OK));
	assert_false(subscribes("", ERR_MALFORMED));
	assert_false(subscribes("0000", ERR_MALFORMED));
	assert_false(subscribes("ffff00000001000174ffffffff", ERR_MALFORMED));
	assert_false(subscribes("00007fffffff000174", ERR_MALFORMED));
	assert_false(subscribes("000000000001ffff", ERR_MALFORMED));
	struct map *m = map_new();
	assert_int_equal(subscription_topics(bytes_of(NULL, 0), m), ERR_MALFORMED);
	map_free(m);
}

/* ---- Java's strings (the values are Java's own) ---- */

static void test_partition_for(void **state)
{
	(void)state;
	static const struct {
		const char *id;
		int32_t hash, partition;
	} cases[] = {
		{"a", 97, 47},
		{"my-group", -1906497762, 12},
		{"polygenelubricants", INT32_MIN, 0},
		{"gr\xc3\xb6\xc3\x9f"
		 "e",
		 98762257, 7},
		{"\xf0\x9f\x98\x80-group", -1198440043, 43},
		{"console-consumer-123", 26980497, 47},
		{"", 0, 0},
		{"grp\xff"
		 "x",
		 100658112, 12},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_int_equal(utf16_hash(bytes_str(cases[i].id)), cases[i].hash);
		assert_int_equal(table_shard(bytes_str(cases[i].id), 50), cases[i].partition);
	}
	assert_int_equal(utf16_length(bytes_str("\xf0\x9f\x98\x80-group")), 8);
	assert_int_equal(utf16_length(bytes_str("m\xc3\xa9")), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_offset_golden), cmocka_unit_test(test_offset_versions),
		cmocka_unit_test(test_group_golden),  cmocka_unit_test(test_group_versions),
		cmocka_unit_test(test_other_kinds),   cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_subscription),  cmocka_unit_test(test_partition_for),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	parse("", NULL);
	return failed;
}
