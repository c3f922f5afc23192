/* SPDX-License-Identifier: Apache-2.0 */
/* The Nth allocation fails, N = 1, 2, ...: each part says so, loses nothing, and works the next
 * time. */
#include "cluster/log/cleaner_pass.h"
#include "cluster/log/epochs.h"
#include "cluster/log/time_find.h"
#include "cluster/log/validate.h"
#include "tests/unit/base/fail_alloc.h"
#include "tests/unit/base/unit.h"
#include "tests/unit/cluster_log/batches.h"

enum { LIMIT = 1 << 20 };

static struct bytes make(struct buf *b, enum batch_codec codec)
{
	struct batch_head h = batches_head();

	buf_init(b, LIMIT);
	h.attributes = (int16_t)codec;
	return batches_plain(b, &h, 30);
}

static void test_validate(void **state)
{
	(void)state;
	const struct plog_config c = {
		.segment_bytes = LIMIT,
		.max_message_bytes = LIMIT,
		.timestamp_before_max_ms = INT64_MAX,
		.compression = CODEC_LZ4,
	};
	struct validate_input in = {.now_ms = 5000};
	struct buf b, scratch;
	bool hit = true;
	in.batch = make(&b, CODEC_SNAPPY);
	for (long n = 1; hit; n++) {
		struct validate_output out;
		struct errmsg why;
		buf_init(&scratch, 0);
		fail_alloc_at(n);
		enum err e = validate_batch(&c, &in, &scratch, &out, &why);
		hit = fail_alloc_off();
		assert_int_equal(e, hit ? ERR_NOMEM : ERR_OK);
		assert_int_equal(out.bad_record, -1);
		buf_fini(&scratch);
	}
	buf_fini(&b);
}

static void test_time_find(void **state)
{
	(void)state;
	struct time_found found;
	struct buf b;
	bool hit = true;
	struct bytes whole = make(&b, CODEC_SNAPPY);
	for (long n = 1; hit; n++) {
		fail_alloc_at(n);
		enum err e = time_find_max(whole, 0, LIMIT, &found, NULL);
		hit = fail_alloc_off();
		assert_int_equal(e, hit ? ERR_NOMEM : ERR_OK);
		assert_true(hit || !found.guessed);
	}
	buf_fini(&b);
}

static bool never(void *arg, const struct batch_head *h)
{
	(void)arg;
	(void)h;
	return false;
}

/* Both phases on one batch. */
static enum err clean(const struct cleaner_pass_options *o, struct bytes batch, struct buf *out)
{
	struct cleaner_pass *c;
	struct batch_head h;
	bool full;
	enum err e = cleaner_pass_new(o, &c);

	if (e != ERR_OK)
		return e;
	e = cleaner_pass_index(c, batch, &full, NULL);
	if (e == ERR_OK)
		e = cleaner_pass_rewrite(c, batch, out, &h, NULL);
	/* Out of memory is never taken for a fault of the batch. */
	assert_int_equal(cleaner_pass_stats(c)->unreadable, 0);
	cleaner_pass_free(c);
	return e;
}

static void test_cleaner(void **state)
{
	(void)state;
	static const struct batches_record v[] = {{"a", "1", 1, 0}, {"a", NULL, 2, 1}};
	const struct cleaner_pass_options o = {
		.memory = CLEANER_PASS_MEMORY_MIN,
		.until = 2,
		.inflate_max = LIMIT,
		.is_last = never,
	};
	struct batch_head h = batches_head();
	struct buf b, out;
	bool hit = true;
	buf_init(&b, LIMIT);
	h.attributes = CODEC_SNAPPY;
	struct bytes batch = batches_make(&b, &h, v, 2);
	for (long n = 1; hit; n++) {
		buf_init(&out, LIMIT);
		fail_alloc_at(n);
		enum err e = clean(&o, batch, &out);
		hit = fail_alloc_off();
		assert_int_equal(e, hit ? ERR_NOMEM : ERR_OK);
		assert_int_equal(out.len > 0, !hit);
		buf_fini(&out);
	}
	buf_fini(&b);
}

static void test_epochs(void **state)
{
	(void)state;
	bool hit = true;
	for (long n = 1; hit; n++) {
		struct epochs e;
		epochs_init(&e);
		fail_alloc_at(n);
		for (int32_t i = 0; i < 20; i++) {
			bool changed;
			size_t before = e.n;
			enum err err = epochs_assign(&e, i, i, &changed);
			if (err == ERR_OK)
				continue;
			assert_int_equal(err, ERR_NOMEM);
			assert_false(changed);
			assert_int_equal(e.n, before);
			assert_int_equal(epochs_assign(&e, i, i, &changed), ERR_OK);
		}
		hit = fail_alloc_off();
		assert_int_equal(e.n, 20);
		epochs_fini(&e);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_validate),
		cmocka_unit_test(test_time_find),
		cmocka_unit_test(test_cleaner),
		cmocka_unit_test(test_epochs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
