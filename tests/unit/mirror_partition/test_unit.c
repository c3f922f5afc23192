/* SPDX-License-Identifier: Apache-2.0 */
/* Units: what is stamped, whose memory is held, the queue's counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lib/wire/records.h"
#include "mirror/partition/unit.h"

static struct frame *frame_with_batch(int records, struct batch_head *h)
{
	struct batch_builder b;
	struct buf out;
	batch_builder_init(&b, CODEC_NONE, 4096);
	buf_init(&out, 8192);
	for (int i = 0; i < records; i++) {
		const struct record r = {.timestamp = 1000 + i, .value = bytes_str("value")};
		assert_int_equal(batch_builder_add(&b, &r), ERR_OK);
	}
	assert_int_equal(batch_builder_finish(&b, &out), ERR_OK);
	struct frame *f = frame_new(out.len);
	assert_non_null(f);
	memcpy(f->data, out.p, out.len);
	batch_head_get(f->data, h);
	h->base_offset = 700;
	h->leader_epoch = 3;
	h->producer_id = 55;
	h->producer_epoch = 2;
	h->base_sequence = 9;
	h->attributes = BATCH_TRANSACTIONAL | BATCH_DELETE_HORIZON;
	batch_head_seal(f->data, out.len - BATCH_HEAD, h);
	batch_head_get(f->data, h);
	batch_builder_fini(&b);
	buf_fini(&out);
	return f;
}

static void stamps_without_touching_the_payload(void **state)
{
	(void)state;
	struct batch_head h, s;
	struct frame *f = frame_with_batch(4, &h);
	struct unit *u = unit_new(f, bytes_of(f->data, f->n), &h);
	assert_non_null(u);
	assert_int_equal(f->refs, 2);
	assert_int_equal(u->src_end, 704);
	assert_int_equal(u->leader_epoch, 3);
	assert_int_equal(u->spans_n, 1);
	assert_int_equal(u->spans[0].src, 700);
	assert_int_equal(u->spans[0].n, 4);

	unit_stamp(u, 4711, 6, 2147483646);
	batch_head_get(u->stamped, &s);
	assert_int_equal(s.base_offset, 0);
	assert_int_equal(s.leader_epoch, -1);
	assert_int_equal(s.attributes, 0);
	assert_int_equal(s.producer_id, 4711);
	assert_int_equal(s.producer_epoch, 6);
	assert_int_equal(s.base_sequence, 2147483646);
	assert_int_equal(s.base_timestamp, h.base_timestamp);
	assert_int_equal(s.max_timestamp, h.max_timestamp);
	memcpy(f->data, u->stamped, BATCH_HEAD);
	assert_true(batch_crc_ok(bytes_of(f->data, f->n)));

	/* A damaged payload stays damaged. */
	f->data[f->n - 1] ^= 1;
	assert_false(batch_crc_ok(bytes_of(f->data, f->n)));
	unit_free(u);
	assert_int_equal(f->refs, 1);
	frame_unref(f);
	unit_free(NULL);
}

static void spans_are_copied(void **state)
{
	(void)state;
	struct batch_head h;
	struct frame *f = frame_with_batch(6, &h);
	struct unit *u = unit_new(f, bytes_of(f->data, f->n), &h);
	struct unit_span many[3] = {{10, 1}, {20, 2}, {30, 3}}, one = {99, 6};
	assert_int_equal(unit_set_spans(u, many, 3), ERR_OK);
	many[2].src = 0;
	assert_int_equal(u->spans_n, 3);
	assert_int_equal(u->spans[2].src, 30);
	assert_int_equal(unit_set_spans(u, &one, 1), ERR_OK);
	assert_ptr_equal(u->spans, &u->one);
	assert_int_equal(u->one.src, 99);
	assert_int_equal(unit_set_spans(u, many, 3), ERR_OK);
	unit_free(u);
	frame_unref(f);
}

static void queue_counts(void **state)
{
	(void)state;
	struct batch_head h;
	struct frame *f = frame_with_batch(1, &h);
	struct unit_queue q;
	struct unit *u[3];
	unit_queue_init(&q);
	assert_null(unit_queue_pop(&q));
	for (int i = 0; i < 3; i++) {
		u[i] = unit_new(f, bytes_of(f->data, f->n), &h);
		unit_queue_push(&q, u[i]);
	}
	assert_int_equal(q.n, 3);
	assert_int_equal(q.bytes, 3 * f->n);
	assert_ptr_equal(unit_queue_pop(&q), u[0]);
	unit_queue_push(&q, u[0]);
	assert_ptr_equal(unit_queue_pop(&q), u[1]);
	assert_int_equal(q.bytes, 2 * f->n);
	unit_free(u[1]);
	unit_queue_clear(&q);
	assert_int_equal(q.n, 0);
	assert_int_equal(q.bytes, 0);
	unit_queue_push(&q, unit_new(f, bytes_of(f->data, f->n), &h));
	unit_queue_clear(&q);
	assert_int_equal(f->refs, 1);
	frame_unref(f);
}

static void causes_have_names(void **state)
{
	(void)state;
	assert_string_equal(unit_cause_name(UNIT_FORWARDED), "forwarded");
	assert_string_equal(unit_cause_name(UNIT_COALESCED), "coalesced");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stamps_without_touching_the_payload),
		cmocka_unit_test(spans_are_copied),
		cmocka_unit_test(queue_counts),
		cmocka_unit_test(causes_have_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
