/* SPDX-License-Identifier: Apache-2.0 */
/* MM2's internal records: the bytes of its own classes and of a running MM2; damage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "checkpoint/mm2_records.h"

enum { LINE_MAX_BYTES = 8192, WORD_MAX_BYTES = 2048, WORDS_MAX = 8 };

/* A line of mm2-records.txt: its kind, then words that are hex or numbers. */
struct line {
	char kind[16];
	char word[WORDS_MAX][WORD_MAX_BYTES];
	uint8_t raw[WORDS_MAX][WORD_MAX_BYTES / 2];
	size_t n;
};

static uint8_t nibble(char c)
{
	return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* The i-th word as bytes. */
static struct bytes raw_of(struct line *l, size_t i)
{
	size_t n = strcmp(l->word[i], ".") == 0 ? 0 : strlen(l->word[i]) / 2;
	for (size_t k = 0; k < n; k++)
		l->raw[i][k] =
			(uint8_t)(nibble(l->word[i][2 * k]) << 4 | nibble(l->word[i][2 * k + 1]));
	return bytes_of(l->raw[i], n);
}

static int64_t number_of(const struct line *l, size_t i)
{
	return strtoll(l->word[i], NULL, 10);
}

static bool next_line(FILE *f, struct line *l)
{
	char text[LINE_MAX_BYTES];
	do {
		if (fgets(text, sizeof text, f) == NULL)
			return false;
	} while (text[0] == '#');
	l->n = 0;
	int used = 0, more = 0;
	assert_int_equal(sscanf(text, "%15s%n", l->kind, &used), 1);
	while (l->n < WORDS_MAX && sscanf(text + used, "%2047s%n", l->word[l->n], &more) == 1) {
		used += more;
		l->n++;
	}
	return true;
}

static FILE *open_data(const char *name)
{
	char path[512];
	snprintf(path, sizeof path, "%s/%s", TEST_DATA, name);
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	return f;
}

static void assert_bytes(struct bytes got, struct bytes want)
{
	assert_int_equal(got.n, want.n);
	if (want.n > 0)
		assert_memory_equal(got.p, want.p, want.n);
}

struct made {
	struct buf key, value;
};

static void made_init(struct made *m)
{
	buf_init(&m->key, MM2_KEY_MAX);
	buf_init(&m->value, MM2_VALUE_MAX);
}

static void made_fini(struct made *m)
{
	buf_fini(&m->key);
	buf_fini(&m->value);
}

/* Key and value are as the line has them. */
static void check_made(struct made *m, struct line *l)
{
	assert_bytes(buf_bytes(&m->key), raw_of(l, 0));
	assert_bytes(buf_bytes(&m->value), raw_of(l, 1));
	made_fini(m);
}

static void check_heartbeat(struct line *l)
{
	const struct mm2_heartbeat want = {raw_of(l, 2), raw_of(l, 3), number_of(l, 4)};
	struct mm2_heartbeat got;
	struct errmsg why = {""};
	assert_int_equal(mm2_records_decode_heartbeat(raw_of(l, 0), raw_of(l, 1), &got, &why),
			 ERR_OK);
	assert_bytes(got.source, want.source);
	assert_bytes(got.target, want.target);
	assert_int_equal(got.timestamp_ms, want.timestamp_ms);
	struct made m;
	made_init(&m);
	assert_int_equal(mm2_records_encode_heartbeat(&want, &m.key, &m.value), ERR_OK);
	check_made(&m, l);
}

static void check_sync(struct line *l)
{
	const struct mm2_offset_sync want = {raw_of(l, 2), (int32_t)number_of(l, 3),
					     number_of(l, 4), number_of(l, 5)};
	struct mm2_offset_sync got;
	struct errmsg why = {""};
	assert_int_equal(mm2_records_decode_offset_sync(raw_of(l, 0), raw_of(l, 1), &got, &why),
			 ERR_OK);
	assert_bytes(got.topic, want.topic);
	assert_int_equal(got.partition, want.partition);
	assert_int_equal(got.upstream, want.upstream);
	assert_int_equal(got.downstream, want.downstream);
	struct made m;
	made_init(&m);
	assert_int_equal(mm2_records_encode_offset_sync(&want, &m.key, &m.value), ERR_OK);
	check_made(&m, l);
}

static void check_checkpoint(struct line *l)
{
	const struct mm2_checkpoint want = {
		raw_of(l, 2),    raw_of(l, 3),    (int32_t)number_of(l, 4),
		number_of(l, 5), number_of(l, 6), raw_of(l, 7)};
	struct mm2_checkpoint got;
	struct errmsg why = {""};
	assert_int_equal(mm2_records_decode_checkpoint(raw_of(l, 0), raw_of(l, 1), &got, &why),
			 ERR_OK);
	assert_bytes(got.group, want.group);
	assert_bytes(got.topic, want.topic);
	assert_int_equal(got.partition, want.partition);
	assert_int_equal(got.upstream, want.upstream);
	assert_int_equal(got.downstream, want.downstream);
	assert_bytes(got.metadata, want.metadata);
	struct made m;
	made_init(&m);
	assert_int_equal(mm2_records_encode_checkpoint(&want, &m.key, &m.value), ERR_OK);
	check_made(&m, l);
}

static void test_mm2_classes(void **state)
{
	(void)state;
	static struct line l;
	FILE *f = open_data("mm2-records.txt");
	int heartbeats = 0, syncs = 0, checkpoints = 0;
	while (next_line(f, &l)) {
		if (strcmp(l.kind, "heartbeat") == 0) {
			check_heartbeat(&l);
			heartbeats++;
		} else if (strcmp(l.kind, "sync") == 0) {
			check_sync(&l);
			syncs++;
		} else {
			assert_string_equal(l.kind, "checkpoint");
			check_checkpoint(&l);
			checkpoints++;
		}
	}
	fclose(f);
	assert_int_equal(heartbeats, 5);
	assert_int_equal(syncs, 4);
	assert_int_equal(checkpoints, 4);
}

/* What a running MM2 wrote; the file says in words what it means. */
static void test_running_mm2(void **state)
{
	(void)state;
	static struct line l[4];
	FILE *f = open_data("mm2-internal.txt");
	for (size_t i = 0; i < 4; i++) {
		/* The topic's name stands where the other file has the kind. */
		char text[LINE_MAX_BYTES];
		do {
			assert_non_null(fgets(text, sizeof text, f));
		} while (text[0] == '#');
		assert_int_equal(sscanf(text, "%*s %2047s %2047s", l[i].word[0], l[i].word[1]), 2);
	}
	fclose(f);
	struct errmsg why = {""};
	struct mm2_checkpoint c;
	assert_int_equal(
		mm2_records_decode_checkpoint(raw_of(&l[0], 0), raw_of(&l[0], 1), &c, &why),
		ERR_OK);
	assert_true(bytes_eq_str(c.group, "lat-1795393551"));
	assert_true(bytes_eq_str(c.topic, "east.lat"));
	assert_int_equal(c.partition, 0);
	assert_int_equal(c.upstream, 10000);
	assert_int_equal(c.downstream, 10000);
	assert_true(bytes_eq_str(c.metadata, ""));
	struct mm2_heartbeat h;
	assert_int_equal(mm2_records_decode_heartbeat(raw_of(&l[1], 0), raw_of(&l[1], 1), &h, &why),
			 ERR_OK);
	assert_true(bytes_eq_str(h.source, "east"));
	assert_true(bytes_eq_str(h.target, "west"));
	assert_int_equal(h.timestamp_ms, 0x01a205d0aa00);
	struct mm2_offset_sync s;
	assert_int_equal(
		mm2_records_decode_offset_sync(raw_of(&l[2], 0), raw_of(&l[2], 1), &s, &why),
		ERR_OK);
	assert_true(bytes_eq_str(s.topic, "lat"));
	assert_int_equal(s.upstream, 149985);
	assert_int_equal(s.downstream, 149985);
	assert_int_equal(
		mm2_records_decode_offset_sync(raw_of(&l[3], 0), raw_of(&l[3], 1), &s, &why),
		ERR_OK);
	assert_true(bytes_eq_str(s.topic, "heartbeats"));
	assert_int_equal(s.upstream, 415);
}

/* ---- damage ---- */

enum kind { HEARTBEAT, SYNC, CHECKPOINT, KINDS };

static enum err decode(enum kind kind, struct bytes key, struct bytes value, struct errmsg *why)
{
	struct mm2_heartbeat h;
	struct mm2_offset_sync s;
	struct mm2_checkpoint c;
	switch (kind) {
	case HEARTBEAT:
		return mm2_records_decode_heartbeat(key, value, &h, why);
	case SYNC:
		return mm2_records_decode_offset_sync(key, value, &s, why);
	case CHECKPOINT:
	case KINDS:
		break;
	}
	return mm2_records_decode_checkpoint(key, value, &c, why);
}

static void encode(enum kind kind, struct buf *key, struct buf *value)
{
	const struct mm2_heartbeat h = {bytes_str("east"), bytes_str("west"), 77};
	const struct mm2_offset_sync s = {bytes_str("orders"), 3, 1000, 900};
	const struct mm2_checkpoint c = {
		bytes_str("group"), bytes_str("east.orders"), 3, 1000, 900, bytes_str("note"),
	};
	enum err e = kind == HEARTBEAT ? mm2_records_encode_heartbeat(&h, key, value)
		     : kind == SYNC    ? mm2_records_encode_offset_sync(&s, key, value)
				       : mm2_records_encode_checkpoint(&c, key, value);
	assert_int_equal(e, ERR_OK);
}

/* A copy that ends where its memory ends, so that a read past it shows. */
static struct bytes exact(struct bytes b, size_t n)
{
	uint8_t *p = malloc(n == 0 ? 1 : n);
	assert_non_null(p);
	memcpy(p, b.p, n);
	return bytes_of(p, n);
}

static void test_cut_and_extended(void **state)
{
	(void)state;
	for (enum kind kind = HEARTBEAT; kind < KINDS; kind++) {
		struct made m;
		made_init(&m);
		encode(kind, &m.key, &m.value);
		struct bytes key = buf_bytes(&m.key), value = buf_bytes(&m.value);
		for (size_t n = 0; n < key.n; n++) {
			struct bytes cut = exact(key, n);
			struct errmsg why = {""};
			assert_int_equal(decode(kind, cut, value, &why), ERR_MALFORMED);
			assert_int_not_equal(why.text[0], '\0');
			free((void *)(uintptr_t)cut.p);
		}
		for (size_t n = 0; n < value.n; n++) {
			struct bytes cut = exact(value, n);
			struct errmsg why = {""};
			assert_int_equal(decode(kind, key, cut, &why), ERR_MALFORMED);
			assert_int_not_equal(why.text[0], '\0');
			free((void *)(uintptr_t)cut.p);
		}
		assert_int_equal(decode(kind, (struct bytes){0}, value, NULL), ERR_MALFORMED);
		assert_int_equal(decode(kind, key, (struct bytes){0}, NULL), ERR_NOT_FOUND);
		buf_put_u8(&m.key, 0);
		assert_int_equal(decode(kind, buf_bytes(&m.key), buf_bytes(&m.value), NULL),
				 ERR_MALFORMED);
		m.key.len--;
		buf_put_u8(&m.value, 0);
		assert_int_equal(decode(kind, buf_bytes(&m.key), buf_bytes(&m.value), NULL),
				 ERR_MALFORMED);
		made_fini(&m);
	}
}

/* One byte changed at a time: it decodes to something that encodes to the same, or is refused. */
static void test_rules(void **state)
{
	(void)state;
	const struct {
		enum kind kind;
		bool in_value;
		size_t at;
		uint8_t byte;
		enum err err;
	} cases[] = {
		{HEARTBEAT, false, 0, 0x80, ERR_MALFORMED},  /* a null string */
		{HEARTBEAT, false, 1, 200, ERR_MALFORMED},   /* longer than the key */
		{HEARTBEAT, true, 1, 1, ERR_UNSUPPORTED},    /* version 1 */
		{HEARTBEAT, true, 0, 0xff, ERR_UNSUPPORTED}, /* a negative version */
		{HEARTBEAT, true, 2, 0xff, ERR_OK},          /* any time */
		{SYNC, false, 8, 0x80, ERR_MALFORMED},       /* a negative partition */
		{SYNC, true, 0, 0x80, ERR_MALFORMED},        /* negative offsets */
		{SYNC, true, 8, 0x80, ERR_MALFORMED},
		{SYNC, true, 8, 0x7f, ERR_OK},
		{CHECKPOINT, true, 1, 1, ERR_UNSUPPORTED},
		{CHECKPOINT, true, 2, 0x80, ERR_MALFORMED},
		{CHECKPOINT, true, 10, 0x80, ERR_MALFORMED},
		{CHECKPOINT, true, 18, 0x80, ERR_MALFORMED}, /* null metadata */
		{CHECKPOINT, true, 19, 3, ERR_MALFORMED},    /* shorter: a byte is left */
		{CHECKPOINT, false, 20, 0x80, ERR_MALFORMED},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct made m;
		made_init(&m);
		encode(cases[i].kind, &m.key, &m.value);
		(cases[i].in_value ? m.value : m.key).p[cases[i].at] = cases[i].byte;
		enum err e = decode(cases[i].kind, buf_bytes(&m.key), buf_bytes(&m.value), NULL);
		if (e != cases[i].err)
			printf("case %zu: %s\n", i, err_name(e));
		assert_int_equal(e, cases[i].err);
		made_fini(&m);
	}
}

static void test_topic_names(void **state)
{
	(void)state;
	char name[MM2_TOPIC_MAX + 1];
	memset(name, 'x', sizeof name);
	for (size_t n = 0; n <= sizeof name; n += n == 0 ? 1 : MM2_TOPIC_MAX - 1) {
		if (n > sizeof name)
			break;
		const struct mm2_offset_sync s = {bytes_of(name, n), 0, 0, 0};
		struct mm2_offset_sync got;
		struct made m;
		made_init(&m);
		assert_int_equal(mm2_records_encode_offset_sync(&s, &m.key, &m.value), ERR_OK);
		assert_int_equal(mm2_records_decode_offset_sync(buf_bytes(&m.key),
								buf_bytes(&m.value), &got, NULL),
				 n == 1 || n == MM2_TOPIC_MAX ? ERR_OK : ERR_MALFORMED);
		made_fini(&m);
	}
}

/* The longest strings go through, one more is refused and nothing appended. */
static void test_longest(void **state)
{
	(void)state;
	static char long_text[MM2_STRING_MAX + 1];
	memset(long_text, 'y', sizeof long_text);
	struct bytes longest = bytes_of(long_text, MM2_STRING_MAX);
	struct bytes too_long = bytes_of(long_text, MM2_STRING_MAX + 1);
	struct made m;
	made_init(&m);
	struct mm2_heartbeat h = {longest, longest, 1};
	assert_int_equal(mm2_records_encode_heartbeat(&h, &m.key, &m.value), ERR_OK);
	assert_int_equal(m.key.len, MM2_KEY_MAX);
	struct mm2_heartbeat got;
	assert_int_equal(
		mm2_records_decode_heartbeat(buf_bytes(&m.key), buf_bytes(&m.value), &got, NULL),
		ERR_OK);
	assert_int_equal(got.target.n, MM2_STRING_MAX);
	buf_clear(&m.key);
	buf_clear(&m.value);
	struct mm2_checkpoint c = {longest, bytes_str("t"), 0, 0, 0, longest};
	assert_int_equal(mm2_records_encode_checkpoint(&c, &m.key, &m.value), ERR_OK);
	assert_int_equal(m.value.len, MM2_VALUE_MAX);
	buf_clear(&m.key);
	buf_clear(&m.value);
	struct bytes *fields[] = {&c.group, &c.topic, &c.metadata};
	for (size_t i = 0; i < 3; i++) {
		struct bytes was = *fields[i];
		*fields[i] = too_long;
		assert_int_equal(mm2_records_encode_checkpoint(&c, &m.key, &m.value), ERR_LIMIT);
		*fields[i] = was;
	}
	h.source = too_long;
	assert_int_equal(mm2_records_encode_heartbeat(&h, &m.key, &m.value), ERR_LIMIT);
	h = (struct mm2_heartbeat){longest, too_long, 1};
	assert_int_equal(mm2_records_encode_heartbeat(&h, &m.key, &m.value), ERR_LIMIT);
	const struct mm2_offset_sync s = {too_long, 0, 0, 0};
	assert_int_equal(mm2_records_encode_offset_sync(&s, &m.key, &m.value), ERR_LIMIT);
	assert_int_equal(m.key.len + m.value.len, 0);
	made_fini(&m);
}

/* A key alone, for a deletion; a buffer that is too small tells so. */
static void test_key_alone(void **state)
{
	(void)state;
	struct made m, alone;
	for (enum kind kind = HEARTBEAT; kind < KINDS; kind++) {
		made_init(&m);
		made_init(&alone);
		encode(kind, &m.key, &m.value);
		encode(kind, &alone.key, NULL);
		assert_bytes(buf_bytes(&alone.key), buf_bytes(&m.key));
		made_fini(&m);
		made_fini(&alone);
	}
	struct buf small;
	buf_init(&small, 4);
	made_init(&m);
	const struct mm2_heartbeat h = {bytes_str("east"), bytes_str("west"), 77};
	assert_int_equal(mm2_records_encode_heartbeat(&h, &small, NULL), ERR_LIMIT);
	buf_clear(&small);
	assert_int_equal(mm2_records_encode_heartbeat(&h, &m.key, &small), ERR_LIMIT);
	buf_fini(&small);
	made_fini(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mm2_classes),      cmocka_unit_test(test_running_mm2),
		cmocka_unit_test(test_cut_and_extended), cmocka_unit_test(test_rules),
		cmocka_unit_test(test_topic_names),      cmocka_unit_test(test_longest),
		cmocka_unit_test(test_key_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
