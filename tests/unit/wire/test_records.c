/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record reader against batches of Kafka's own making and the records that Kafka finds in them;
 * damage of every kind; the builder; comparing and hashing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/wire/records.h"
#include "tests/unit/wire/batch_model.h"

enum { LIMIT = 1 << 20 };

static struct fixtures fixtures;

static int set_up(void **state)
{
	(void)state;
	fixtures = fixtures_load();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fixtures_free(&fixtures);
	return 0;
}

/* Read all records to the end: the error, and how many there were. */
static enum err read_all(struct bytes whole, size_t limit, int *count, struct errmsg *why)
{
	struct records_reader *rr;
	struct record r;
	struct bytes key, value;

	*count = 0;
	enum err e = records_reader_open(whole, limit, &rr, why);
	if (e != ERR_OK)
		return e;
	int64_t last = -1;
	while (records_reader_next(rr, &r)) {
		size_t at = 0;
		int32_t headers = 0;
		while (record_header_next(&r, &at, &key, &value))
			headers++;
		assert_int_equal(headers, r.headers_n);
		assert_int_equal(at, r.headers.n);
		assert_true(r.offset > last);
		last = r.offset;
		record_hash(&r);
		assert_true(record_equal(&r, &r));
		(*count)++;
	}
	e = records_reader_error(rr, why);
	assert_false(records_reader_next(rr, &r)); /* the end stays the end */
	records_reader_free(rr);
	return e;
}

static void test_fixtures(void **state)
{
	struct records_reader *rr;
	struct errmsg why = {0};
	struct record r;

	(void)state;
	assert_true(fixtures.n > 50);
	for (size_t i = 0; i < fixtures.n; i++) {
		const struct fixture_batch *b = &fixtures.v[i];
		enum err e = records_reader_open(b->whole, LIMIT, &rr, &why);
		if (e != ERR_OK)
			fail_msg("%s: %s", b->name, why.text);
		size_t n = 0;
		for (; records_reader_next(rr, &r); n++) {
			assert_true(n < b->records.n);
			const struct record *want = &b->records.v[n];
			if (r.offset != want->offset || !record_equal(&r, want))
				fail_msg("%s: record %zu differs", b->name, n);
			assert_int_equal(record_hash(&r), record_hash(want));
			assert_int_equal(r.body.p != NULL, strncmp(b->name, "magic2", 6) == 0);
		}
		assert_int_equal(n, b->records.n);
		assert_int_equal(records_reader_error(rr, &why), ERR_OK);
		records_reader_free(rr);
	}
	records_reader_free(NULL);
}

static uint8_t *copy_of(struct bytes b)
{
	uint8_t *p = malloc(b.n == 0 ? 1 : b.n);

	assert_non_null(p);
	memcpy(p, b.p, b.n);
	return p;
}

/* A re-stamp may clear the delete horizon's bit, and every record keeps its timestamp. Clearing the
 * bit of LogAppendTime changes them: that is why such batches are rebuilt. */
static void test_restamp_and_timestamps(void **state)
{
	struct records_reader *rr;
	struct record r;

	(void)state;
	for (size_t i = 0; i < fixtures.n; i++) {
		const struct fixture_batch *b = &fixtures.v[i];
		bool horizon = strstr(b->name, "-horizon") != NULL;
		struct batch_head h;
		if (b->whole.p[16] != 2 || (!horizon && strstr(b->name, "-logapp") == NULL))
			continue;
		uint8_t *p = copy_of(b->whole);
		batch_head_get(p, &h);
		assert_true((h.attributes & (BATCH_DELETE_HORIZON | BATCH_LOG_APPEND_TIME)) != 0);
		h.attributes &= BATCH_CODEC_MASK;
		h.producer_id = 5;
		batch_head_restamp(b->whole.p, b->whole.n - BATCH_HEAD, &h, p);
		assert_int_equal(records_reader_open(bytes_of(p, b->whole.n), LIMIT, &rr, NULL),
				 ERR_OK);
		for (size_t n = 0; n < b->records.n; n++) {
			assert_true(records_reader_next(rr, &r));
			assert_int_equal(r.timestamp == b->records.v[n].timestamp, horizon);
		}
		records_reader_free(rr);
		free(p);
	}
}

/* Any byte that changes under the checksum is found by it, before anything else. */
static void test_damage_is_corrupt(void **state)
{
	struct errmsg why = {0};
	int count;

	(void)state;
	for (size_t i = 0; i < fixtures.n; i++) {
		struct bytes whole = fixtures.v[i].whole;
		uint8_t *p = copy_of(whole);
		for (size_t at = 0; at < whole.n; at++) {
			p[at] ^= 0x10;
			enum err e = read_all(bytes_of(p, whole.n), LIMIT, &count, &why);
			bool covered = whole.p[16] == 2 ? at >= 61 || (at >= 17 && at < 21)
							: at >= 18 || (at >= 12 && at < 16);
			if (covered)
				assert_true(e == ERR_CORRUPT || e == ERR_MALFORMED);
			if (covered && whole.p[16] == 2) {
				assert_int_equal(e, ERR_CORRUPT);
				assert_non_null(strstr(why.text, "batch at offset"));
			}
			p[at] ^= 0x10;
		}
		free(p);
	}
}

/* Cut off at any byte, with and without a head that fits. */
static void test_cut_anywhere(void **state)
{
	int count;

	(void)state;
	for (size_t i = 0; i < fixtures.n; i++) {
		struct bytes whole = fixtures.v[i].whole;
		for (size_t cut = 0; cut < whole.n; cut++) {
			uint8_t *p = copy_of(bytes_of(whole.p, cut));
			enum err e = read_all(bytes_of(p, cut), LIMIT, &count, NULL);
			assert_int_equal(e, ERR_MALFORMED);
			if (cut >= 18) {
				be32_put(p + 8, (uint32_t)cut - 12);
				model_seal(p, cut);
				e = read_all(bytes_of(p, cut), LIMIT, &count, NULL);
				assert_int_equal(e, ERR_MALFORMED);
			}
			free(p);
		}
	}
}

/* Any byte changed, with a checksum that fits, in batches of each format and codec: an error or
 * records, nothing else. */
static void test_change_anywhere(void **state)
{
	struct rnd rnd = rnd_new();
	int count;

	(void)state;
	for (size_t i = 0; i < fixtures.n; i++) {
		struct bytes whole = fixtures.v[i].whole;
		uint8_t *p = copy_of(whole);
		for (size_t at = 0; at < whole.n; at++) {
			for (int k = 0; k < 4; k++) {
				p[at] = k == 0 ? 0xff : k == 1 ? 0x80 : (uint8_t)rnd_next(&rnd);
				model_seal(p, whole.n);
				enum err e = read_all(bytes_of(p, whole.n), LIMIT, &count, NULL);
				assert_true(e == ERR_OK || e == ERR_MALFORMED || e == ERR_CORRUPT ||
					    e == ERR_UNSUPPORTED || e == ERR_LIMIT);
			}
			memcpy(p, whole.p, whole.n);
		}
		free(p);
	}
}

/* A batch of magic 2 around the given bytes. */
static enum err read_payload(const uint8_t *payload, size_t n, int32_t count, int32_t last_delta,
			     struct errmsg *why)
{
	struct batch_head h = {
		.base_offset = 1000, .count = count, .last_offset_delta = last_delta};
	uint8_t *p = malloc(BATCH_HEAD + n);
	int got;

	assert_non_null(p);
	memcpy(p + BATCH_HEAD, payload, n);
	batch_head_seal(p, n, &h);
	memset(why, 0, sizeof *why);
	enum err e = read_all(bytes_of(p, BATCH_HEAD + n), LIMIT, &got, why);
	free(p);
	return e;
}

static void test_lies_in_records(void **state)
{
	/* length, attributes, timestamp delta, offset delta, key length, value length, headers */
	static const struct {
		uint8_t bytes[24];
		size_t n;
		int32_t count;
		int32_t last_delta;
		const char *why; /* NULL: a good one */
	} cases[] = {
		{{12, 0, 0, 0, 1, 1, 0}, 7, 1, 0, NULL},
		{{12, 0, 0, 0, 1, 1, 0, 12, 0, 0, 2, 1, 1, 0}, 14, 2, 1, NULL},
		{{12, 0, 0, 0, 1, 1, 0, 12, 0, 0, 2, 1, 1, 0}, 14, 1, 1, "after the last"},
		{{12, 0, 0, 0, 1, 1, 0, 12, 0, 0, 0, 1, 1, 0}, 14, 2, 1, "out of order"},
		{{12, 0, 0, 2, 1, 1, 0, 12, 0, 0, 0, 1, 1, 0}, 14, 2, 1, "out of order"},
		{{12, 0, 0, 4, 1, 1, 0}, 7, 1, 1, "out of order or range"},
		{{12, 0, 0, 1, 1, 1, 0}, 7, 1, 0, "out of order or range"},     /* delta -1 */
		{{11, 0, 0, 0, 1, 1, 0}, 7, 1, 0, "does not fit in the batch"}, /* length -6 */
		{{14, 0, 0, 0, 1, 1, 0}, 7, 1, 0, "does not fit in the batch"},
		{{10, 0, 0, 0, 1, 1, 0}, 7, 1, 0, "header count"},
		{{0, 0, 0, 0, 1, 1, 0}, 7, 1, 0, "too short"},
		{{2, 0, 0, 0, 1, 1, 0}, 7, 1, 0, "too short"},
		{{4, 0, 0, 0, 1, 1, 0}, 7, 1, 0, "too short"},
		{{0xff, 0xff, 0xff, 0xff, 0x1f, 1, 0}, 7, 1, 0, "does not fit in the batch"},
		{{12, 0, 0, 0, 3, 1, 0}, 7, 1, 0, "the key"}, /* key length -2 */
		{{12, 0, 0, 0, 6, 1, 0}, 7, 1, 0, "the key"},
		{{12, 0, 0, 0, 1, 3, 0}, 7, 1, 0, "the value"},
		{{12, 0, 0, 0, 1, 4, 0}, 7, 1, 0, "the value"},
		{{12, 0, 0, 0, 1, 1, 1}, 7, 1, 0, "header count"}, /* -1 */
		{{12, 0, 0, 0, 1, 1, 2}, 7, 1, 0, "header count"},
		{{20, 0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f}, 11, 1, 0, "header count"},
		{{16, 0, 0, 0, 1, 1, 2, 0, 1}, 9, 1, 0, NULL},
		{{16, 0, 0, 0, 1, 1, 2, 1, 1}, 9, 1, 0, "the headers"}, /* null header key */
		{{16, 0, 0, 0, 1, 1, 2, 4, 1}, 9, 1, 0, "the headers"},
		{{16, 0, 0, 0, 1, 1, 2, 0, 3}, 9, 1, 0, "the headers"},
		{{18, 0, 0, 0, 1, 1, 2, 0, 1, 0}, 10, 1, 0, "the headers"},
		{{14, 0, 0, 0, 1, 1, 0, 0}, 8, 1, 0, "the headers"}, /* one byte too many */
		/* varints of more bytes than they need are read; of more than they may have not */
		{{14, 0, 0x80, 0, 0, 1, 1, 0}, 8, 1, 0, NULL},
		{{32, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 0, 1, 1, 0, 0},
		 17,
		 1,
		 0,
		 "the headers"},
		{{32, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2, 0, 1, 1, 0, 0},
		 17,
		 1,
		 0,
		 "too short"},
		{{22, 0, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 1, 1, 0}, 12, 1, 0, "too short"},
	};
	struct errmsg why;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		enum err e = read_payload(cases[i].bytes, cases[i].n, cases[i].count,
					  cases[i].last_delta, &why);
		if (cases[i].why == NULL
			    ? e != ERR_OK
			    : e != ERR_MALFORMED || strstr(why.text, cases[i].why) == NULL)
			fail_msg("case %zu: %s: %s", i, err_name(e), why.text);
	}
}

/* The head's record count against what the payload has, in each codec. */
static void test_count_lies(void **state)
{
	struct errmsg why;
	int count;

	(void)state;
	for (size_t i = 0; i < fixtures.n; i++) {
		struct bytes whole = fixtures.v[i].whole;
		if (whole.p[16] != 2 || fixtures.v[i].records.n < 2)
			continue;
		uint8_t *p = copy_of(whole);
		int32_t n = (int32_t)be32_get(p + 57);
		for (int32_t lie = n - 1; lie <= n + 1; lie++) {
			be32_put(p + 23, 1000);
			be32_put(p + 57, (uint32_t)lie);
			model_seal(p, whole.n);
			enum err e = read_all(bytes_of(p, whole.n), LIMIT, &count, &why);
			assert_int_equal(e, lie == n ? ERR_OK : ERR_MALFORMED);
			assert_true(count <= n);
		}
		free(p);
	}
}

static struct record text_record(int64_t offset, int64_t timestamp, const char *key,
				 const char *value)
{
	return (struct record){.offset = offset,
			       .timestamp = timestamp,
			       .key = bytes_str(key),
			       .value = bytes_str(value)};
}

static enum err read_style(const struct record *v, size_t n, const struct model_style *s,
			   int64_t *first, struct errmsg *why)
{
	struct records_reader *rr;
	struct record r;
	struct buf b;

	buf_init(&b, LIMIT);
	model_encode(v, n, s, &b);
	enum err e = records_reader_open(buf_bytes(&b), LIMIT, &rr, why);
	if (e == ERR_OK) {
		*first = records_reader_next(rr, &r) ? r.offset : -1;
		while (records_reader_next(rr, &r))
			;
		e = records_reader_error(rr, why);
		records_reader_free(rr);
	}
	buf_fini(&b);
	return e;
}

/* Wrappers of old sets: relative offsets with holes, the wrapper at 0 that some producers left, and
 * sets that are wrong. */
static void test_old_wrappers(void **state)
{
	struct record v[2] = {text_record(50, 5, "a", "b"), text_record(58, 6, "c", "d")};
	struct model_style s = {.magic = 1, .codec = CODEC_GZIP};
	struct errmsg why = {0};
	int64_t first;

	(void)state;
	assert_int_equal(read_style(v, 2, &s, &first, &why), ERR_OK);
	assert_int_equal(first, 50);
	v[0].offset = -8;
	v[1].offset = 0;
	assert_int_equal(read_style(v, 2, &s, &first, &why), ERR_OK);
	assert_int_equal(first, 0);
	v[0].offset = 3; /* inner offsets 0 and 9, the wrapper says 5: 9 does not fit */
	v[1].offset = 12;
	struct buf b;
	buf_init(&b, LIMIT);
	model_encode(v, 2, &s, &b);
	be64_put(b.p, 5);
	int count;
	assert_int_equal(read_all(buf_bytes(&b), LIMIT, &count, &why), ERR_MALFORMED);
	assert_non_null(strstr(why.text, "inner offsets"));
	buf_fini(&b);

	s.magic = 0;
	v[0].offset = 9; /* not in order */
	v[1].offset = 8;
	assert_int_equal(read_style(v, 2, &s, &first, &why), ERR_MALFORMED);
	s.codec = CODEC_ZSTD;
	assert_int_equal(read_style(v, 2, &s, &first, &why), ERR_UNSUPPORTED);
}

/* A set in a set in an entry, a set of another format, an empty set, a null set, a set with
 * garbage at its end, and a record inside with a wrong checksum. */
static void test_old_nesting(void **state)
{
	struct record leaf = text_record(4, 7, "k", "v");
	struct model_style plain = {.magic = 1}, packed = {.magic = 1, .codec = CODEC_GZIP};
	struct errmsg why = {0};
	struct buf inner, set, outer;
	int count;

	(void)state;
	buf_init(&inner, LIMIT);
	buf_init(&set, LIMIT);
	buf_init(&outer, LIMIT);
	for (int i = 0; i < 6; i++) {
		static const enum err want[] = {ERR_MALFORMED, ERR_MALFORMED, ERR_MALFORMED,
						ERR_MALFORMED, ERR_MALFORMED, ERR_CORRUPT};
		buf_clear(&inner);
		buf_clear(&set);
		buf_clear(&outer);
		plain.magic = i == 1 ? 0 : 1;
		model_encode(&leaf, 1, i == 0 ? &packed : &plain, &inner);
		if (i == 2)
			buf_clear(&inner);
		if (i == 4)
			buf_put_str(&inner, "garbage");
		if (i == 5)
			inner.p[inner.len - 1] ^= 1;
		assert_int_equal(codec_compress(CODEC_GZIP, buf_bytes(&inner), &set), ERR_OK);
		struct record wrapper = {.offset = 4, .timestamp = 7};
		if (i != 3)
			wrapper.value = buf_bytes(&set);
		struct model_style one = {.magic = 1};
		model_encode(&wrapper, 1, &one, &outer);
		outer.p[17] = CODEC_GZIP;
		model_seal(outer.p, outer.len);
		enum err e = read_all(buf_bytes(&outer), LIMIT, &count, &why);
		if (e != want[i])
			fail_msg("case %d: %s: %s", i, err_name(e), why.text);
		assert_int_equal(count, 0);
	}
	buf_fini(&inner);
	buf_fini(&set);
	buf_fini(&outer);
}

static void test_limits_and_codecs(void **state)
{
	const struct fixture_batch *b = fixtures_find(&fixtures, "magic2-zstd");
	struct errmsg why = {0};
	int count;

	(void)state;
	assert_int_equal(read_all(b->whole, 100, &count, &why), ERR_LIMIT);
	assert_non_null(strstr(why.text, "batch at offset 100: zstd: "));
	b = fixtures_find(&fixtures, "magic1-gzip");
	assert_int_equal(read_all(b->whole, 100, &count, &why), ERR_LIMIT);
	/* Nothing to decompress, nothing to limit. */
	b = fixtures_find(&fixtures, "magic2-none");
	assert_int_equal(read_all(b->whole, 0, &count, &why), ERR_OK);
	uint8_t *p = copy_of(b->whole);
	for (uint8_t codec = 5; codec < 8; codec++) {
		p[22] = codec;
		model_seal(p, b->whole.n);
		enum err e = read_all(bytes_of(p, b->whole.n), LIMIT, &count, &why);
		assert_int_equal(e, ERR_UNSUPPORTED);
	}
	free(p);
	/* Two batches are not one. */
	struct buf two;
	buf_init(&two, LIMIT);
	buf_put(&two, b->whole.p, b->whole.n);
	buf_put(&two, b->whole.p, b->whole.n);
	assert_int_equal(read_all(buf_bytes(&two), LIMIT, &count, &why), ERR_MALFORMED);
	buf_fini(&two);
}

/* Random records through the builder and back; records given by parts and by body. */
static void test_builder(void **state)
{
	struct rnd rnd = rnd_new();

	(void)state;
	for (int round = 0; round < 300; round++) {
		struct model_list list = {0};
		struct batch_builder b;
		struct arena a;
		struct buf out;
		size_t n = 1 + rnd_below(&rnd, 60);
		int64_t max_timestamp = INT64_MIN;
		enum batch_codec codec = (enum batch_codec)rnd_below(&rnd, 5);
		arena_init(&a, 1 << 24);
		buf_init(&out, 1 << 20);
		batch_builder_init(&b, codec, 1 << 20);
		for (size_t i = 0; i < n; i++) {
			struct record r = model_record(&rnd, &a, 2, 300);
			assert_int_equal(batch_builder_add(&b, &r), ERR_OK);
			r.offset = (int64_t)i;
			model_list_add(&list, &r);
			max_timestamp = r.timestamp > max_timestamp ? r.timestamp : max_timestamp;
		}
		assert_int_equal(batch_builder_finish(&b, &out), ERR_OK);
		assert_int_equal(b.count, 0);
		struct batch_head h;
		batch_head_get(out.p, &h);
		assert_int_equal(batch_size(&h), out.len);
		assert_true(h.base_offset == 0 && h.leader_epoch == -1 && h.producer_id == -1 &&
			    h.producer_epoch == -1 && h.base_sequence == -1 && batch_is_dense(&h));
		assert_int_equal(h.attributes, codec);
		assert_int_equal(h.base_timestamp, list.v[0].timestamp);
		assert_int_equal(h.max_timestamp, max_timestamp);
		struct records_reader *rr;
		struct record r;
		assert_int_equal(records_reader_open(buf_bytes(&out), 1 << 20, &rr, NULL), ERR_OK);
		for (size_t i = 0; i < n; i++) {
			assert_true(records_reader_next(rr, &r));
			assert_true(r.offset == (int64_t)i && record_equal(&r, &list.v[i]));
			assert_int_equal(batch_builder_add(&b, &r), ERR_OK); /* by body */
		}
		assert_false(records_reader_next(rr, &r));
		size_t first = out.len;
		assert_int_equal(batch_builder_encode(&b, &out), ERR_OK);
		assert_int_equal(out.len, 2 * first);
		assert_memory_equal(out.p, out.p + first, first);
		records_reader_free(rr);
		batch_builder_fini(&b);
		buf_fini(&out);
		arena_fini(&a);
		model_list_free(&list);
	}
}

static void test_builder_full(void **state)
{
	struct record r = text_record(0, 1, "key", "value");
	struct batch_builder b;
	struct buf out;

	(void)state;
	const size_t cost = 15;
	batch_builder_init(&b, CODEC_NONE, 40);
	assert_int_equal(batch_builder_add(&b, &r), ERR_OK);
	assert_int_equal(batch_builder_add(&b, &r), ERR_OK);
	assert_int_equal(batch_builder_add(&b, &r), ERR_LIMIT);
	assert_int_equal(b.count, 2);
	buf_init(&out, 61 + 2 * cost - 1);
	assert_int_equal(batch_builder_encode(&b, &out), ERR_LIMIT);
	assert_int_equal(out.len, 0);
	buf_fini(&out);
	buf_init(&out, 61 + 2 * cost);
	assert_int_equal(batch_builder_finish(&b, &out), ERR_OK);
	assert_int_equal(batch_builder_add(&b, &r), ERR_OK);
	r.value = bytes_of(out.p, 40);
	assert_int_equal(batch_builder_add(&b, &r), ERR_LIMIT);
	batch_builder_clear(&b);
	assert_int_equal(batch_builder_add(&b, &r), ERR_LIMIT);
	/* The first record may pass the aim, no other. */
	b.aim = 5;
	r.value = bytes_str("value");
	assert_int_equal(batch_builder_add(&b, &r), ERR_OK);
	assert_int_equal(batch_builder_add(&b, &r), ERR_LIMIT);
	b.aim = 2 * cost;
	assert_int_equal(batch_builder_add(&b, &r), ERR_OK);
	assert_int_equal(batch_builder_add(&b, &r), ERR_LIMIT);
	b.aim = SIZE_MAX;
	assert_int_equal(batch_builder_add(&b, &r), ERR_LIMIT);
	batch_builder_fini(&b);
	buf_fini(&out);
}

/* What is equal and what is not; null is not empty, and fields do not run into one another. */
static void test_equal_and_hash(void **state)
{
	struct record base = text_record(1, 10, "key", "value"), other[9];

	(void)state;
	base.headers = bytes_of("\x02"
				"a\x01\x02"
				"b\x02x",
				7);
	base.headers_n = 2;
	for (size_t i = 0; i < 9; i++)
		other[i] = base;
	other[0].timestamp = 11;
	other[1].key = bytes_str("kez");
	other[2].key = (struct bytes){0};
	other[3].key = bytes_str("");
	other[4].value = bytes_str("valu");
	other[5].key = bytes_str("keyv"), other[5].value = bytes_str("alue");
	other[6].headers_n = 1, other[6].headers.n = 3;
	other[7].headers = bytes_of("\x02"
				    "a\x00\x02"
				    "b\x02x",
				    7); /* an empty value, not a null one */
	other[8].headers = bytes_of("\x02"
				    "b\x02x\x02"
				    "a\x01",
				    7); /* another order */
	for (size_t i = 0; i < 9; i++) {
		assert_false(record_equal(&base, &other[i]));
		assert_false(record_equal(&other[i], &base));
		assert_true(record_hash(&base) != record_hash(&other[i]));
		for (size_t k = 0; k < i; k++)
			assert_true(record_hash(&other[k]) != record_hash(&other[i]));
	}
	struct record same = base;
	same.offset = 99;
	same.headers = bytes_of("\x82\x00"
				"a\x01\x02"
				"b\x82\x00x",
				9); /* lengths written in two bytes */
	assert_true(record_equal(&base, &same));
	assert_int_equal(record_hash(&base), record_hash(&same));
	/* The hash may be stored: it must never change. */
	assert_int_equal(record_hash(&base), 0x58715757e1a50d45);
	struct record none = {.timestamp = -1};
	assert_int_equal(record_hash(&none), 0x2c10b6e800985aab);
}

/* Hashes of many records that differ little are all different. */
static int hash_order(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void test_hash_spread(void **state)
{
	enum { N = 200000 };
	uint64_t *v = malloc(N * sizeof *v);

	(void)state;
	assert_non_null(v);
	for (uint32_t i = 0; i < N; i++) {
		uint8_t key[4];
		be32_put(key, i / 2);
		struct record r = {.timestamp = i % 2, .key = bytes_of(key, 4)};
		v[i] = record_hash(&r);
	}
	qsort(v, N, sizeof *v, hash_order);
	for (size_t i = 1; i < N; i++)
		assert_true(v[i] != v[i - 1]);
	free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fixtures),
		cmocka_unit_test(test_restamp_and_timestamps),
		cmocka_unit_test(test_damage_is_corrupt),
		cmocka_unit_test(test_cut_anywhere),
		cmocka_unit_test(test_change_anywhere),
		cmocka_unit_test(test_lies_in_records),
		cmocka_unit_test(test_count_lies),
		cmocka_unit_test(test_old_wrappers),
		cmocka_unit_test(test_old_nesting),
		cmocka_unit_test(test_limits_and_codecs),
		cmocka_unit_test(test_builder),
		cmocka_unit_test(test_builder_full),
		cmocka_unit_test(test_equal_and_hash),
		cmocka_unit_test(test_hash_spread),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
