/* SPDX-License-Identifier: Apache-2.0 */
/* Each rule of validate_batch by itself, the head that it makes, and damage at every byte. */
#include "cluster/log/validate.h"
#include "lib/wire/records.h"
#include "tests/unit/base/unit.h"
#include "tests/unit/cluster_log/batches.h"
#include "tests/unit/rng.h"

enum { NOW = 5000000 };

struct rig {
	struct plog_config c;
	struct validate_input in;
	struct validate_output out;
	struct batch_head h;
	struct buf bytes, scratch;
	struct errmsg why;
};

static struct rig *rig_new(void)
{
	struct rig *r = calloc(1, sizeof *r);

	r->c = (struct plog_config){
		.segment_bytes = 1 << 20,
		.max_message_bytes = 1 << 16,
		.timestamp_before_max_ms = INT64_MAX,
		.timestamp_after_max_ms = 3600000,
		.compression = -1,
	};
	r->in = (struct validate_input){.base_offset = 700, .leader_epoch = 9, .now_ms = NOW};
	r->h = batches_head();
	buf_init(&r->bytes, 1 << 20);
	buf_init(&r->scratch, 0);
	return r;
}

static void rig_free(struct rig *r)
{
	buf_fini(&r->bytes);
	buf_fini(&r->scratch);
	free(r);
}

static enum err run(struct rig *r, struct bytes batch)
{
	/* A block of its own, so that an overrun is seen. */
	uint8_t *copy = malloc(batch.n + 1);
	memcpy(copy, batch.p, batch.n);
	r->in.batch = bytes_of(copy, batch.n);
	r->why = (struct errmsg){0};
	enum err e = validate_batch(&r->c, &r->in, &r->scratch, &r->out, &r->why);
	if (e == ERR_OK) {
		/* What is written is a batch that the walk takes and whose checksum is right. */
		struct buf stored;
		struct batch_head h;
		struct bytes whole;
		buf_init(&stored, 1 << 24);
		buf_put(&stored, r->out.head, BATCH_HEAD);
		buf_put(&stored, r->out.payload.p, r->out.payload.n);
		struct batch_walk w = {.left = buf_bytes(&stored)};
		assert_int_equal(batch_walk_next(&w, &h, &whole, &r->why), BATCH_WALK_BATCH);
		assert_int_equal(w.left.n, 0);
		assert_true(batch_crc_ok(whole));
		uint8_t head[BATCH_HEAD];
		batch_head_put(head, &r->out.h);
		assert_memory_equal(head, whole.p, BATCH_HEAD);
		assert_int_equal(h.base_offset, r->in.base_offset);
		assert_int_equal(h.leader_epoch, r->in.leader_epoch);
		buf_clear(&r->bytes);
		buf_put(&r->bytes, stored.p, stored.len);
		buf_fini(&stored);
	} else {
		assert_true(r->why.text[0] != '\0');
	}
	free(copy);
	r->in.batch = (struct bytes){0};
	return e;
}

/* The head of `h` before the batch that stands in r->bytes. */
static enum err run_head(struct rig *r, const struct batch_head *h)
{
	struct bytes whole = buf_bytes(&r->bytes);

	batches_stamp(whole, h);
	return run(r, whole);
}

static void test_accepted(void **state)
{
	(void)state;
	for (int codec = CODEC_NONE; codec <= CODEC_ZSTD; codec++) {
		struct rig *r = rig_new();
		r->h.attributes = (int16_t)codec;
		assert_int_equal(run(r, batches_plain(&r->bytes, &r->h, 10)), ERR_OK);
		assert_int_equal(r->out.h.count, 10);
		assert_int_equal(r->out.h.max_timestamp, 1009);
		assert_int_equal(r->out.append_time, -1);
		assert_int_equal(r->out.bad_record, -1);
		rig_free(r);
	}
}

static void test_frame(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	struct bytes whole = batches_plain(&r->bytes, &r->h, 3);
	size_t n = whole.n;

	/* Every prefix, and none, and bytes behind it. */
	for (size_t i = 0; i < n; i++)
		assert_int_equal(run(r, bytes_of(whole.p, i)), ERR_KAFKA_INVALID_RECORD);
	buf_put(&r->bytes, "x", 1);
	assert_int_equal(run(r, buf_bytes(&r->bytes)), ERR_KAFKA_INVALID_RECORD);
	r->bytes.len = n;
	batches_plain(&r->bytes, &r->h, 3);
	assert_int_equal(run(r, buf_bytes(&r->bytes)), ERR_KAFKA_INVALID_RECORD);
	r->bytes.len = n;
	r->bytes.p[16] = 1;
	assert_int_equal(run(r, buf_bytes(&r->bytes)), ERR_KAFKA_INVALID_RECORD);
	r->bytes.p[16] = 3;
	assert_int_equal(run(r, buf_bytes(&r->bytes)), ERR_KAFKA_CORRUPT_MESSAGE);
	r->bytes.p[16] = 2;
	be32_put(r->bytes.p + 8, 13);
	assert_int_equal(run(r, buf_bytes(&r->bytes)), ERR_KAFKA_CORRUPT_MESSAGE);
	be32_put(r->bytes.p + 8, UINT32_MAX);
	assert_int_equal(run(r, buf_bytes(&r->bytes)), ERR_KAFKA_CORRUPT_MESSAGE);
	be32_put(r->bytes.p + 8, INT32_MAX);
	assert_int_equal(run(r, buf_bytes(&r->bytes)), ERR_KAFKA_INVALID_RECORD);
	/* Shorter than a head, but whole. */
	be32_put(r->bytes.p + 8, 20);
	assert_int_equal(run(r, bytes_of(r->bytes.p, 32)), ERR_KAFKA_CORRUPT_MESSAGE);
	rig_free(r);
}

/* A flipped bit anywhere is refused, but in the base offset's place with its own error, and but for
 * the leader epoch, which the broker sets. */
static void test_bit_flips(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	struct bytes whole = batches_plain(&r->bytes, &r->h, 2);

	for (size_t i = 0; i < whole.n; i++) {
		for (int bit = 0; bit < 8; bit++) {
			uint8_t *p = (uint8_t *)whole.p + i;
			*p ^= (uint8_t)(1 << bit);
			size_t len = r->bytes.len;
			struct buf kept = r->bytes;
			r->bytes = (struct buf){.max = 1 << 20};
			enum err e = run(r, bytes_of(kept.p, len));
			buf_fini(&r->bytes);
			r->bytes = kept;
			if (i >= 12 && i < 16)
				assert_int_equal(e, ERR_OK);
			else
				assert_int_not_equal(e, ERR_OK);
			if (i >= 17)
				assert_int_equal(e, ERR_KAFKA_CORRUPT_MESSAGE);
			*p ^= (uint8_t)(1 << bit);
		}
	}
	rig_free(r);
}

static void test_head(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	batches_plain(&r->bytes, &r->h, 4);
	const struct batch_head good = r->h;
	struct batch_head h = good;

	h.base_offset = 1;
	assert_int_equal(run_head(r, &h), ERR_KAFKA_INVALID_RECORD);
	h = good;
	h.last_offset_delta = 4;
	assert_int_equal(run_head(r, &h), ERR_KAFKA_INVALID_RECORD);
	h.last_offset_delta = -1;
	h.count = 0;
	assert_int_equal(run_head(r, &h), ERR_KAFKA_INVALID_RECORD);
	h.last_offset_delta = INT32_MIN;
	h.count = INT32_MIN + 1;
	assert_int_equal(run_head(r, &h), ERR_KAFKA_INVALID_RECORD);
	h = good;
	h.count = 3; /* a record more than it says */
	h.last_offset_delta = 2;
	assert_int_equal(run_head(r, &h), ERR_KAFKA_INVALID_RECORD);
	h.count = 5;
	h.last_offset_delta = 4;
	assert_int_equal(run_head(r, &h), ERR_KAFKA_INVALID_RECORD);
	h = good;
	h.attributes = BATCH_CONTROL;
	assert_int_equal(run_head(r, &h), ERR_KAFKA_INVALID_RECORD);
	h.attributes = BATCH_TRANSACTIONAL;
	assert_int_equal(run_head(r, &h), ERR_KAFKA_INVALID_TXN_STATE);
	for (int16_t codec = 5; codec < 8; codec++) {
		h.attributes = codec;
		assert_int_equal(run_head(r, &h), ERR_KAFKA_UNSUPPORTED_COMPRESSION_TYPE);
	}
	h = good;
	h.producer_id = 0;
	assert_int_equal(run_head(r, &h), ERR_KAFKA_INVALID_RECORD);
	h.base_sequence = 0;
	h.producer_epoch = 0;
	assert_int_equal(run_head(r, &h), ERR_OK);
	rig_free(r);
}

static void test_internal(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	r->in.internal = true;
	r->h.attributes = BATCH_CONTROL;
	r->c.max_message_bytes = 1;
	r->c.timestamp_after_max_ms = 0;
	r->in.now_ms = 0;
	assert_int_equal(run(r, batches_plain(&r->bytes, &r->h, 1)), ERR_OK);
	r->c.segment_bytes = 10;
	assert_int_equal(run_head(r, &r->h), ERR_KAFKA_RECORD_LIST_TOO_LARGE);
	rig_free(r);
}

static void test_sizes(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	struct bytes whole = batches_plain(&r->bytes, &r->h, 8);

	r->c.max_message_bytes = (int64_t)whole.n;
	r->c.segment_bytes = (int64_t)whole.n;
	assert_int_equal(run_head(r, &r->h), ERR_OK);
	r->c.segment_bytes--;
	assert_int_equal(run_head(r, &r->h), ERR_KAFKA_RECORD_LIST_TOO_LARGE);
	r->c.max_message_bytes--;
	assert_int_equal(run_head(r, &r->h), ERR_KAFKA_MESSAGE_TOO_LARGE);
	rig_free(r);
}

static enum err run_records(struct rig *r, const struct batches_record *v, size_t n)
{
	buf_clear(&r->bytes);
	return run(r, batches_make(&r->bytes, &r->h, v, n));
}

static void test_offsets_of_records(void **state)
{
	(void)state;
	const struct batches_record doubled[] = {
		{"a", "1", 1000, 0}, {"b", "2", 1000, 0}, {"c", "3", 1000, 2}};
	const struct batches_record turned[] = {{"a", "1", 1000, 1}, {"b", "2", 1000, 0}};
	struct rig *r = rig_new();

	assert_int_equal(run_records(r, doubled, 3), ERR_KAFKA_INVALID_RECORD);
	assert_int_equal(run_records(r, turned, 2), ERR_KAFKA_INVALID_RECORD);
	assert_int_equal(r->out.bad_record, -1);
	/* Seen through compression only where records are read. */
	r->h.attributes = CODEC_LZ4;
	assert_int_equal(run_records(r, turned, 2), ERR_OK);
	r->c.cleanup_compact = true;
	assert_int_equal(run_records(r, turned, 2), ERR_KAFKA_INVALID_RECORD);
	rig_free(r);
}

static void test_keys_of_compacted_topics(void **state)
{
	(void)state;
	const struct batches_record v[] = {{"a", "1", 1000, 0},
					   {NULL, "2", 1000, 1},
					   {"", "3", 1000, 2},
					   {NULL, "4", 1000, 3}};

	for (int codec = CODEC_NONE; codec <= CODEC_ZSTD; codec++) {
		struct rig *r = rig_new();
		r->h.attributes = (int16_t)codec;
		assert_int_equal(run_records(r, v, 4), ERR_OK);
		r->c.cleanup_compact = true;
		assert_int_equal(run_records(r, v, 4), ERR_KAFKA_INVALID_RECORD);
		assert_int_equal(r->out.bad_record, 1);
		assert_int_equal(run_records(r, v, 1), ERR_OK);
		rig_free(r);
	}
}

static void test_timestamps(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	struct batches_record v[] = {{"a", "1", NOW, 0}, {NULL, "2", NOW, 1}, {"c", "3", NOW, 2}};

	r->c.timestamp_before_max_ms = 100;
	r->c.timestamp_after_max_ms = 10;
	assert_int_equal(run_records(r, v, 3), ERR_OK);
	v[1].timestamp = NOW + 10;
	v[2].timestamp = NOW - 100;
	assert_int_equal(run_records(r, v, 3), ERR_OK);
	assert_int_equal(r->out.h.max_timestamp, NOW + 10);
	v[1].timestamp = NOW + 11;
	assert_int_equal(run_records(r, v, 3), ERR_KAFKA_INVALID_TIMESTAMP);
	assert_int_equal(r->out.bad_record, 1);
	v[1].timestamp = -1; /* none */
	assert_int_equal(run_records(r, v, 3), ERR_OK);
	v[2].timestamp = NOW - 101;
	assert_int_equal(run_records(r, v, 3), ERR_KAFKA_INVALID_TIMESTAMP);
	assert_int_equal(r->out.bad_record, 2);
	/* A timestamp outranks a key. */
	r->c.cleanup_compact = true;
	assert_int_equal(run_records(r, v, 3), ERR_KAFKA_INVALID_TIMESTAMP);
	assert_int_equal(r->out.bad_record, 2);
	v[2].timestamp = INT64_MIN;
	assert_int_equal(run_records(r, v, 3), ERR_KAFKA_INVALID_TIMESTAMP);
	v[2].timestamp = INT64_MAX;
	assert_int_equal(run_records(r, v, 3), ERR_KAFKA_INVALID_TIMESTAMP);
	/* A topic of append times takes them all. */
	r->c.log_append_time = true;
	r->c.cleanup_compact = false;
	assert_int_equal(run_records(r, v, 3), ERR_OK);
	rig_free(r);
}

/* What cannot be seen in the records is checked by what the head promises. */
static void test_timestamps_of_compressed(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	struct batches_record v[] = {{"a", "1", NOW, 0}, {"b", "2", NOW, 1}};

	r->h.attributes = CODEC_ZSTD;
	r->h.base_timestamp = NOW;
	r->c.timestamp_after_max_ms = 10;
	r->c.timestamp_before_max_ms = 10;
	assert_int_equal(run_records(r, v, 2), ERR_OK);
	v[1].timestamp = NOW + 11;
	assert_int_equal(run_records(r, v, 2), ERR_KAFKA_INVALID_TIMESTAMP);
	assert_int_equal(r->out.bad_record, -1);
	r->h.base_timestamp = v[0].timestamp = NOW - 11;
	v[1].timestamp = NOW;
	assert_int_equal(run_records(r, v, 2), ERR_KAFKA_INVALID_TIMESTAMP);
	r->c.cleanup_compact = true;
	assert_int_equal(run_records(r, v, 2), ERR_KAFKA_INVALID_TIMESTAMP);
	assert_int_equal(r->out.bad_record, 0);
	rig_free(r);
}

static void test_log_append_time(void **state)
{
	(void)state;
	for (int codec = CODEC_NONE; codec <= CODEC_ZSTD; codec++) {
		struct rig *r = rig_new();
		struct records_reader *rr;
		struct record rec;
		r->c.log_append_time = true;
		r->h.attributes = (int16_t)codec;
		assert_int_equal(run(r, batches_plain(&r->bytes, &r->h, 5)), ERR_OK);
		assert_int_equal(r->out.append_time, NOW);
		assert_int_equal(r->out.h.max_timestamp, NOW);
		assert_int_equal(r->out.h.base_timestamp, 1000);
		assert_int_equal(records_reader_open(buf_bytes(&r->bytes), 1 << 20, &rr, NULL), 0);
		assert_true(records_reader_next(rr, &rec));
		assert_int_equal(rec.timestamp, NOW);
		records_reader_free(rr);
		/* A producer may not set the bit, in either kind of topic. */
		struct batch_head h = r->h;
		buf_clear(&r->bytes);
		batches_plain(&r->bytes, &h, 5);
		h.attributes |= BATCH_LOG_APPEND_TIME;
		assert_int_equal(run_head(r, &h), ERR_KAFKA_INVALID_TIMESTAMP);
		r->c.log_append_time = false;
		assert_int_equal(run_head(r, &h), ERR_KAFKA_INVALID_TIMESTAMP);
		rig_free(r);
	}
}

static void test_max_timestamp_is_put_right(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	batches_plain(&r->bytes, &r->h, 5);
	struct batch_head h = r->h;

	h.max_timestamp = 999999999999;
	assert_int_equal(run_head(r, &h), ERR_OK);
	assert_int_equal(r->out.h.max_timestamp, 1004);
	rig_free(r);
}

static void test_delete_horizon_is_the_cleaners(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	batches_plain(&r->bytes, &r->h, 5);
	struct batch_head h = r->h;

	h.attributes |= BATCH_DELETE_HORIZON;
	assert_int_equal(run_head(r, &h), ERR_OK);
	assert_int_equal(r->out.h.attributes, 0);
	assert_int_equal(r->out.h.base_timestamp, 1000);
	r->in.internal = true;
	assert_int_equal(run_head(r, &h), ERR_OK);
	assert_int_equal(r->out.h.attributes, BATCH_DELETE_HORIZON);
	rig_free(r);
}

/* Bytes behind the headers, inside the length of the record. */
static void test_record_is_filled(void **state)
{
	(void)state;
	static const uint8_t records[] = {
		/* length, attributes, timestamp, offset, key "a", value "b", no headers; a byte too
		 * many */
		9 << 1, 0, 0, 0, 1 << 1, 'a', 1 << 1, 'b', 0, 0,
	};
	struct rig *r = rig_new();
	buf_extend(&r->bytes, BATCH_HEAD);
	buf_put(&r->bytes, records, sizeof records);
	r->h.count = 1;
	assert_int_equal(run_head(r, &r->h), ERR_KAFKA_INVALID_RECORD);
	r->bytes.p[BATCH_HEAD] = 8 << 1;
	r->bytes.len--;
	assert_int_equal(run_head(r, &r->h), ERR_OK);
	rig_free(r);
}

/* Every codec to every other; the records stay the same. */
static void test_recompress(void **state)
{
	(void)state;
	for (int from = CODEC_NONE; from <= CODEC_ZSTD; from++) {
		for (int to = CODEC_NONE; to <= CODEC_ZSTD; to++) {
			struct rig *r = rig_new();
			struct records_reader *rr;
			struct record rec;
			int n = 0;
			r->c.compression = (int8_t)to;
			r->h.attributes = (int16_t)from;
			r->h.producer_id = 77;
			r->h.producer_epoch = 3;
			r->h.base_sequence = 8;
			assert_int_equal(run(r, batches_plain(&r->bytes, &r->h, 20)), ERR_OK);
			assert_int_equal(batch_codec(&r->out.h), to);
			assert_int_equal(r->out.h.producer_id, 77);
			assert_int_equal(r->out.h.base_sequence, 8);
			assert_int_equal(
				records_reader_open(buf_bytes(&r->bytes), 1 << 20, &rr, NULL), 0);
			for (; records_reader_next(rr, &rec); n++) {
				assert_int_equal(rec.offset, 700 + n);
				assert_int_equal(rec.timestamp, 1000 + n);
			}
			assert_int_equal(records_reader_error(rr, NULL), ERR_OK);
			assert_int_equal(n, 20);
			records_reader_free(rr);
			rig_free(r);
		}
	}
}

static void test_recompress_too_large(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	r->h.attributes = CODEC_ZSTD;
	struct bytes whole = batches_plain(&r->bytes, &r->h, 60);

	r->c.max_message_bytes = (int64_t)whole.n;
	r->c.compression = CODEC_NONE;
	assert_int_equal(run_head(r, &r->h), ERR_KAFKA_MESSAGE_TOO_LARGE);
	rig_free(r);
}

/* A batch that decompresses to very much. */
static void test_bomb(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	size_t n = 33 * 1024 * 1024;
	uint8_t *zeros = calloc(n, 1);

	buf_extend(&r->bytes, BATCH_HEAD);
	assert_int_equal(codec_compress(CODEC_ZSTD, bytes_of(zeros, n), &r->bytes), ERR_OK);
	free(zeros);
	r->h.attributes = CODEC_ZSTD;
	r->h.count = 1;
	r->h.max_timestamp = 1000;
	assert_int_equal(run_head(r, &r->h), ERR_OK); /* not looked into */
	r->c.cleanup_compact = true;
	assert_int_equal(run_head(r, &r->h), ERR_KAFKA_MESSAGE_TOO_LARGE);
	r->c.max_message_bytes = 4 << 20; /* allows for 64 MiB */
	assert_int_equal(run_head(r, &r->h), ERR_KAFKA_INVALID_RECORD);
	rig_free(r);
}

static void test_garbage_payload(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	struct bytes whole = batches_plain(&r->bytes, &r->h, 4);

	for (int16_t codec = CODEC_GZIP; codec <= CODEC_ZSTD; codec++) {
		struct batch_head h = r->h;
		h.attributes = codec;
		r->c.cleanup_compact = true;
		assert_int_equal(run_head(r, &h), ERR_KAFKA_INVALID_RECORD);
		/* Not a byte of payload. */
		r->c.cleanup_compact = false;
		batch_head_seal((uint8_t *)whole.p, 0, &h);
		assert_int_equal(run(r, bytes_of(whole.p, BATCH_HEAD)), ERR_KAFKA_INVALID_RECORD);
	}
	rig_free(r);
}

/* Records whose every byte is damaged behind a right checksum: never accepted with another meaning
 * than the reader's. */
static void test_damaged_records(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	struct rng g = {rng_seed("damaged_records")};
	struct buf original;
	int accepted = 0;

	buf_init(&original, 1 << 20);
	batches_plain(&original, &r->h, 5);
	for (int64_t i = rng_scale(40000); i > 0; i--) {
		buf_clear(&r->bytes);
		buf_put(&r->bytes, original.p, original.len);
		for (int64_t hits = rng_in(&g, 1, 3); hits > 0; hits--)
			r->bytes.p[rng_in(&g, BATCH_HEAD, (int64_t)original.len - 1)] =
				(uint8_t)rng_u64(&g);
		batches_seal(buf_bytes(&r->bytes));
		if (run(r, buf_bytes(&r->bytes)) != ERR_OK)
			continue;
		struct records_reader *rr;
		struct record rec;
		int64_t n = 0, max = -1;
		assert_int_equal(records_reader_open(buf_bytes(&r->bytes), 0, &rr, NULL), ERR_OK);
		for (; records_reader_next(rr, &rec); n++) {
			assert_int_equal(rec.offset, 700 + n);
			max = rec.timestamp > max ? rec.timestamp : max;
		}
		assert_int_equal(records_reader_error(rr, NULL), ERR_OK);
		assert_int_equal(n, 5);
		assert_int_equal(max, r->out.h.max_timestamp);
		records_reader_free(rr);
		accepted++;
	}
	assert_true(accepted > 0);
	buf_fini(&original);
	rig_free(r);
}

static void test_inflate_max(void **state)
{
	(void)state;
	struct plog_config c = {.max_message_bytes = 1};
	assert_int_equal(validate_inflate_max(&c), 32 << 20);
	c.max_message_bytes = 4 << 20;
	assert_int_equal(validate_inflate_max(&c), 64 << 20);
	c.max_message_bytes = INT32_MAX;
	assert_int_equal(validate_inflate_max(&c), 1 << 30);
	c.max_message_bytes = INT64_MAX;
	assert_int_equal(validate_inflate_max(&c), 1 << 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_frame),
		cmocka_unit_test(test_bit_flips),
		cmocka_unit_test(test_head),
		cmocka_unit_test(test_internal),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_offsets_of_records),
		cmocka_unit_test(test_keys_of_compacted_topics),
		cmocka_unit_test(test_timestamps),
		cmocka_unit_test(test_timestamps_of_compressed),
		cmocka_unit_test(test_log_append_time),
		cmocka_unit_test(test_max_timestamp_is_put_right),
		cmocka_unit_test(test_delete_horizon_is_the_cleaners),
		cmocka_unit_test(test_record_is_filled),
		cmocka_unit_test(test_recompress),
		cmocka_unit_test(test_recompress_too_large),
		cmocka_unit_test(test_bomb),
		cmocka_unit_test(test_garbage_payload),
		cmocka_unit_test(test_damaged_records),
		cmocka_unit_test(test_inflate_max),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
