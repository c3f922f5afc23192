/* SPDX-License-Identifier: Apache-2.0 */
/* Compaction beside Apache Kafka's own: the same log in, the same log out
 * (tests/fixtures/compaction). */
#include "cluster/log/cleaner_pass.h"
#include "cluster/log/producers.h"
#include "lib/wire/records.h"
#include "tests/unit/base/unit.h"

enum { LIMIT = 1 << 20, RETENTION = 4000 };

struct round {
	const char *name;
	int64_t from, until; /* first dirty offset, start of the active segment */
};

static const struct round rounds[] = {
	{"create1", 0, 145},
	{"create2", 145, 292},
	{"append1", 0, 145},
	{"append2", 145, 292},
};

static struct buf load(const char *name, const char *suffix)
{
	char path[512];
	struct buf b;

	buf_init(&b, LIMIT);
	snprintf(path, sizeof path, "%s/compaction/%s.%s", TEST_DATA, name, suffix);
	FILE *f = fopen(path, "rb");
	assert_non_null(f);
	uint8_t *p = buf_extend(&b, LIMIT);
	assert_non_null(p);
	b.len = fread(p, 1, LIMIT, f);
	fclose(f);
	return b;
}

static bool next(struct batch_walk *w, struct batch_head *h, struct bytes *whole)
{
	return batch_walk_next(w, h, whole, NULL) == BATCH_WALK_BATCH;
}

static void replay(struct producers *p, const struct buf *b)
{
	struct batch_walk w = {.left = buf_bytes(b)};
	struct batch_head h;
	struct bytes whole;

	while (next(&w, &h, &whole))
		assert_int_equal(producers_replay(p, &h), ERR_OK);
	assert_int_equal(w.left.n, 0);
}

static bool is_last(void *arg, const struct batch_head *h)
{
	return producers_is_last(arg, h);
}

/* When Kafka's cleaner ran: it wrote so into the tombstones' batches. */
static int64_t time_of_cleaning(const struct buf *out)
{
	struct batch_walk w = {.left = buf_bytes(out)};
	struct batch_head h;
	struct bytes whole;

	while (next(&w, &h, &whole))
		if ((h.attributes & BATCH_DELETE_HORIZON) != 0)
			return h.base_timestamp - RETENTION;
	fail_msg("no tombstone");
	return 0;
}

static void clean(const struct round *r, const struct buf *in, const struct cleaner_pass_options *o,
		  struct buf *out)
{
	struct batch_walk w = {.left = buf_bytes(in)};
	struct errmsg why = {0};
	struct cleaner_pass *c;
	struct batch_head h, kept;
	struct bytes whole;
	bool full = false;

	assert_int_equal(cleaner_pass_new(o, &c), ERR_OK);
	while (next(&w, &h, &whole))
		if (batch_last_offset(&h) >= r->from)
			assert_int_equal(cleaner_pass_index(c, whole, &full, &why), ERR_OK);
	assert_false(full);
	w.left = buf_bytes(in);
	while (next(&w, &h, &whole))
		assert_int_equal(cleaner_pass_rewrite(c, whole, out, &kept, &why), ERR_OK);
	assert_int_equal(cleaner_pass_stats(c)->unreadable, 0);
	cleaner_pass_free(c);
}

static void same_records(struct bytes ours, struct bytes kafkas)
{
	struct records_reader *a, *b;
	struct record x, y;

	assert_int_equal(records_reader_open(ours, LIMIT, &a, NULL), ERR_OK);
	assert_int_equal(records_reader_open(kafkas, LIMIT, &b, NULL), ERR_OK);
	while (records_reader_next(b, &y)) {
		assert_true(records_reader_next(a, &x));
		assert_int_equal(x.offset, y.offset);
		assert_true(record_equal(&x, &y));
	}
	assert_false(records_reader_next(a, &x));
	assert_int_equal(records_reader_error(a, NULL), ERR_OK);
	assert_int_equal(records_reader_error(b, NULL), ERR_OK);
	records_reader_free(a);
	records_reader_free(b);
}

/* Byte by byte, but for how a codec packs. */
static void same_batches(const struct buf *ours, const struct buf *kafkas)
{
	struct batch_walk a = {.left = buf_bytes(ours)}, b = {.left = buf_bytes(kafkas)};
	struct batch_head x, y;
	struct bytes whole_x, whole_y;

	while (next(&b, &y, &whole_y)) {
		assert_true(next(&a, &x, &whole_x));
		same_records(whole_x, whole_y);
		if (batch_codec(&y) != CODEC_NONE) {
			x.length = y.length;
			x.crc = y.crc;
		} else {
			assert_true(bytes_eq(whole_x, whole_y));
		}
		uint8_t head_x[BATCH_HEAD], head_y[BATCH_HEAD];
		batch_head_put(head_x, &x);
		batch_head_put(head_y, &y);
		assert_memory_equal(head_x, head_y, BATCH_HEAD);
	}
	assert_false(next(&a, &x, &whole_x));
	assert_int_equal(a.left.n, 0);
	assert_int_equal(b.left.n, 0);
}

static void test_as_kafka_does(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rounds / sizeof *rounds; i++) {
		const struct round *r = &rounds[i];
		struct buf in = load(r->name, "in"), active = load(r->name, "active"),
			   expect = load(r->name, "out"), out;
		struct producers *p = producers_new(100);
		replay(p, &in);
		replay(p, &active);
		const struct cleaner_pass_options o = {
			.memory = CLEANER_PASS_MEMORY_MIN,
			.key = {5, 6},
			.from = r->from,
			.until = r->until,
			.now_ms = time_of_cleaning(&expect),
			.delete_retention_ms = RETENTION,
			.inflate_max = LIMIT,
			.is_last = is_last,
			.arg = p,
		};
		buf_init(&out, LIMIT);
		clean(r, &in, &o, &out);
		same_batches(&out, &expect);
		buf_fini(&in);
		buf_fini(&active);
		buf_fini(&expect);
		buf_fini(&out);
		producers_free(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_as_kafka_does)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
