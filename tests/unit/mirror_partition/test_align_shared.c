/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The alignment where others write to the target too: what counts is told by producer and sequence.
 * (The simulated world, test_partition_sim.c, has the same under crashes and late requests.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lib/base/buf.h"
#include "lib/wire/batch.h"
#include "lib/wire/records.h"
#include "mirror/partition/align.h"

enum { OWN = 7, OTHER = 8, COPIER = 9, LOG_BYTES = 1 << 20, DECODE = 1 << 20 };

struct log_of {
	struct buf bytes;
	int64_t end;
};

static struct log_of source, target;

static int setup(void **state)
{
	(void)state;
	buf_init(&source.bytes, LOG_BYTES);
	buf_init(&target.bytes, LOG_BYTES);
	source.end = target.end = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	buf_fini(&source.bytes);
	buf_fini(&target.bytes);
	return 0;
}

/* `n` records with ids from `id` on; by `producer` (-1: none), from `sequence` on. */
static void put(struct log_of *l, int64_t id, int n, int64_t producer, int16_t epoch,
		int32_t sequence)
{
	struct batch_builder b;
	struct buf out;
	uint8_t value[8], head[BATCH_HEAD];
	batch_builder_init(&b, CODEC_NONE, 4096);
	buf_init(&out, LOG_BYTES);
	for (int i = 0; i < n; i++) {
		be64_put(value, (uint64_t)(id + i));
		const struct record r = {.timestamp = 100 + id + i,
					 .value = bytes_of(value, sizeof value)};
		assert_int_equal(batch_builder_add(&b, &r), ERR_OK);
	}
	assert_int_equal(batch_builder_finish(&b, &out), ERR_OK);
	struct batch_head h;
	batch_head_get(out.p, &h);
	h.producer_id = producer;
	h.producer_epoch = epoch;
	h.base_sequence = sequence;
	batch_head_restamp(out.p, out.len - BATCH_HEAD, &h, head);
	h.base_offset = l->end;
	h.crc = be32_get(head + 17);
	batch_head_put(head, &h);
	buf_put(&l->bytes, head, sizeof head);
	buf_put(&l->bytes, out.p + BATCH_HEAD, out.len - BATCH_HEAD);
	l->end += n;
	batch_builder_fini(&b);
	buf_fini(&out);
}

static void own(int64_t id, int n, int32_t sequence)
{
	put(&target, id, n, OWN, 0, sequence);
}

static void local(int n)
{
	put(&target, 5000, n, OTHER, 0, 0);
}

static struct align_options options(int64_t src, int64_t dst)
{
	return (struct align_options){
		.src = src,
		.dst = dst,
		.dst_end = target.end,
		.producer_id = OWN,
		.decode_max = DECODE,
		.shared = true,
		.anchor = -1,
		.sequence = -1,
	};
}

/* All batches of the log that begin at or behind `from`, or hold it. */
static struct bytes from(const struct log_of *l, int64_t offset)
{
	struct batch_walk w = {.left = buf_bytes(&l->bytes)};
	struct batch_head h;
	struct bytes whole;
	while (batch_walk_next(&w, &h, &whole, NULL) == BATCH_WALK_BATCH)
		if (batch_last_offset(&h) >= offset)
			return bytes_of(whole.p, (size_t)(l->bytes.p + l->bytes.len - whole.p));
	return bytes_of("", 0);
}

static struct align *run(const struct align_options *o)
{
	struct align *a;
	struct errmsg why = {""};
	assert_int_equal(align_new(o, &a), ERR_OK);
	for (int turn = 0; turn < 100; turn++) {
		enum align_need need = align_need(a);
		int64_t at;
		if (need == ALIGN_TARGET) {
			at = align_target_next(a);
			assert_int_equal(align_feed_target(a, from(&target, at), &why), ERR_OK);
			assert_true(align_need(a) != ALIGN_TARGET || align_target_next(a) > at);
		} else if (need == ALIGN_SOURCE) {
			at = align_source_next(a);
			assert_int_equal(align_feed_source(a, from(&source, at), NULL, 0, &why),
					 ERR_OK);
			if (align_need(a) == ALIGN_SOURCE && align_source_next(a) == at)
				align_end_source(a);
		} else {
			return a;
		}
	}
	fail_msg("it does not end");
	return NULL;
}

/* It ends well: go on at `src`, explained up to `dst_end`, `next` is the sequence then. */
static void ends(const struct align_options *o, int64_t src, int64_t dst_end, int32_t next)
{
	struct align *a = run(o);
	assert_int_equal(align_need(a), ALIGN_DONE);
	const struct align_result *r = align_result(a);
	assert_int_equal(r->src, src);
	assert_int_equal(r->dst_end, dst_end);
	assert_int_equal(r->own, next >= 0);
	if (next >= 0)
		assert_int_equal(r->own_next, next);
	align_free(a);
}

static void ends_in(const struct align_options *o, enum align_need need)
{
	struct align *a = run(o);
	assert_int_equal(align_need(a), need);
	align_free(a);
}

/* ---- the cases ---- */

static void others_are_passed_over(void **state)
{
	(void)state;
	put(&source, 0, 10, -1, -1, -1);
	own(0, 3, 0);
	local(4);
	own(3, 2, 3);
	put(&target, 5000, 2, -1, -1, -1);
	own(5, 1, 5);
	local(3);
	struct align_options o = options(0, 0);
	o.sequence = 0;
	struct align *a = run(&o);
	assert_int_equal(align_need(a), ALIGN_DONE);
	assert_int_equal(align_result(a)->src, 6);
	assert_int_equal(align_result(a)->verified, 6);
	assert_int_equal(align_result(a)->own_next, 6);
	struct runs *table = runs_new(1 << 16);
	assert_int_equal(runs_begin(table, 0, 0), ERR_OK);
	assert_int_equal(align_apply(a, table), ERR_OK);
	assert_int_equal(runs_count(table), 3);
	const struct run want[] = {{0, 0, 3}, {3, 7, 2}, {5, 11, 1}};
	for (size_t i = 0; i < 3; i++) {
		struct run found = runs_at(table, i);
		assert_memory_equal(&found, &want[i], sizeof found);
	}
	assert_int_equal(runs_dst_end(table), 15);
	runs_free(table);
	align_free(a);
}

static void the_last_batch_below_tells_the_sequence(void **state)
{
	(void)state;
	put(&source, 0, 10, -1, -1, -1);
	own(0, 5, 40);
	struct align_options o = options(5, 5);
	o.anchor = 4;
	ends(&o, 5, 5, 45); /* nothing behind it at all */
	local(6);
	o.dst_end = target.end;
	ends(&o, 5, 11, 45); /* only others */
	own(5, 2, 45);
	o.dst_end = target.end;
	ends(&o, 7, 13, 47);
	/* The table knew already that the others' six are not ours. */
	o.dst = 11;
	ends(&o, 7, 13, 47);
}

static void the_target_that_lost_its_tail(void **state)
{
	(void)state;
	put(&source, 0, 10, -1, -1, -1);
	own(0, 2, 0);
	local(8);
	struct align_options o = options(5, 5);
	o.anchor = 4;
	ends_in(&o, ALIGN_LOST);
	/* What stands across the place where a batch of ours had ended is another one. */
	own(2, 4, 2);
	o = options(2, 12);
	o.anchor = 1;
	o.dst_end = target.end;
	ends_in(&o, ALIGN_LOST);
}

static void records_that_are_gone_are_counted(void **state)
{
	(void)state;
	put(&source, 0, 20, -1, -1, -1);
	local(10);
	own(6, 3, 6); /* 0..5 were deleted by retention */
	local(1);
	own(11, 2, 11); /* 9 and 10 by compaction */
	struct align_options o = options(0, 0);
	o.sequence = 0;
	o.target_start = 10;
	ends(&o, 13, target.end, 13);
	/* Not known from a sequence: what is left is looked for. */
	o.sequence = -1;
	ends(&o, 13, target.end, 13);
	/* A last batch of which compaction has left the head. */
	uint8_t head[BATCH_HEAD];
	struct batch_head h = {.base_offset = target.end,
			       .last_offset_delta = 2,
			       .producer_id = OWN,
			       .base_sequence = 13};
	batch_head_seal(head, 0, &h);
	buf_put(&target.bytes, head, sizeof head);
	target.end += 3;
	o.dst_end = target.end;
	ends(&o, 16, target.end, 16);
}

static void epochs_begin_with_sequence_zero(void **state)
{
	(void)state;
	put(&source, 0, 20, -1, -1, -1);
	own(0, 5, 40);
	put(&target, 5, 2, OWN, 1, 0);
	struct align_options o = options(5, 5);
	o.anchor = 4;
	struct align *a = run(&o);
	assert_int_equal(align_result(a)->src, 7);
	assert_int_equal(align_result(a)->own_epoch, 1);
	assert_int_equal(align_result(a)->own_next, 2);
	align_free(a);
}

static void ours_below_the_tables_end(void **state)
{
	(void)state;
	put(&source, 0, 20, -1, -1, -1);
	own(0, 5, 0);
	own(5, 2, 5);
	local(3);
	own(7, 2, 7);
	struct align_options o = options(5, 10);
	o.anchor = 4;
	ends_in(&o, ALIGN_STALE);
	o.dst = 5;
	ends(&o, 9, target.end, 9);
}

static void stops_at_the_newest(void **state)
{
	(void)state;
	put(&source, 0, 20, -1, -1, -1);
	own(0, 5, 0);
	own(5, 2, 5);
	local(30);
	own(7, 1, 7);
	struct align_options o = options(5, 5);
	o.anchor = 4;
	o.last_known = true;
	o.last_sequence = 6;
	struct align *a = run(&o);
	assert_int_equal(align_result(a)->src, 7);
	assert_int_equal(align_result(a)->dst_end, 7);
	assert_true(align_result(a)->complete);
	align_free(a);
	o = options(7, 7);
	o.anchor = 6;
	o.last_known = true;
	o.last_sequence = 6;
	ends(&o, 7, 7, 7);
	/* An older epoch's says nothing. */
	o.last_epoch = 1;
	ends(&o, 8, target.end, 8);
}

static void what_differs_is_told(void **state)
{
	(void)state;
	put(&source, 0, 20, -1, -1, -1);
	own(0, 2, 0);
	own(77, 1, 2);
	struct align_options o = options(0, 0);
	o.sequence = 0;
	struct align *a = run(&o);
	assert_int_equal(align_need(a), ALIGN_MISMATCH);
	assert_false(align_result(a)->foreign);
	assert_non_null(strstr(align_result(a)->detail.text, "target offset 2 is not the one"));
	align_free(a);
	/* More than the source has. */
	teardown(state);
	setup(state);
	put(&source, 0, 2, -1, -1, -1);
	own(0, 2, 0);
	own(2, 1, 2);
	o = options(0, 0);
	o.sequence = 0;
	ends_in(&o, ALIGN_MISMATCH);
}

static bool is_copy(void *arg, const struct batch_head *h)
{
	++*(int *)arg;
	return h->producer_id == COPIER;
}

static void the_sources_copies_are_passed_over(void **state)
{
	int asked = 0;
	(void)state;
	put(&source, 0, 2, -1, -1, -1);
	put(&source, 900, 5, COPIER, 0, 0);
	put(&source, 2, 2, OTHER, 0, 0);
	put(&source, 905, 5, COPIER, 0, 5);
	own(0, 3, 0);
	struct align_options o = options(0, 0);
	o.sequence = 0;
	o.is_copy = is_copy;
	o.arg = &asked;
	ends(&o, 8, 3, 3);
	assert_true(asked > 0);
}

static void too_many_come_in_parts(void **state)
{
	(void)state;
	put(&source, 0, 20, -1, -1, -1);
	for (int i = 0; i < 10; i++) {
		own(2 * i, 2, 2 * i);
		local(1);
	}
	struct align_options o = options(0, 0);
	o.sequence = 0;
	o.records_max = 5;
	struct align *a = run(&o);
	assert_int_equal(align_need(a), ALIGN_DONE);
	assert_int_equal(align_result(a)->src, 4);
	assert_int_equal(align_result(a)->dst_end, 6); /* before the batch that did not fit */
	assert_int_equal(align_result(a)->own_next, 4);
	assert_false(align_result(a)->complete);
	align_free(a);
}

static void a_compacted_source_is_matched(void **state)
{
	(void)state;
	put(&source, 0, 1, -1, -1, -1);
	put(&source, 3, 4, -1, -1, -1); /* 1 and 2 were compacted away since */
	own(0, 3, 0);
	local(5);
	own(3, 2, 3);
	struct align_options o = options(0, 0);
	o.match = true;
	o.sequence = 0;
	ends(&o, 3, target.end, 5);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(others_are_passed_over),
		CASE(the_last_batch_below_tells_the_sequence),
		CASE(the_target_that_lost_its_tail),
		CASE(records_that_are_gone_are_counted),
		CASE(epochs_begin_with_sequence_zero),
		CASE(ours_below_the_tables_end),
		CASE(stops_at_the_newest),
		CASE(what_differs_is_told),
		CASE(the_sources_copies_are_passed_over),
		CASE(too_many_come_in_parts),
		CASE(a_compacted_source_is_matched),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
