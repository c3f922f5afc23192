/* SPDX-License-Identifier: Apache-2.0 */
/* The read_committed filter: M6 (no aborted record in the target), F27 (transactions with aborts).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lib/wire/messages.h"
#include "mirror/partition/aborted.h"
#include "tests/unit/rng.h"

enum { TXN = BATCH_TRANSACTIONAL, CONTROL = BATCH_TRANSACTIONAL | BATCH_CONTROL };
enum { ABORT = 0, COMMIT = 1, NO_RECORD = -1 };

/* A batch whose only record has a 4-byte control key (version, type), or none. */
struct made {
	uint8_t bytes[BATCH_HEAD + 32];
	size_t n;
	struct batch_head head;
};

static void make_sealed(struct made *m)
{
	m->head.length = (int32_t)(m->n - BATCH_OVERHEAD);
	batch_head_put(m->bytes, &m->head);
	m->head.crc = crc32c(0, m->bytes + 21, m->n - 21);
	batch_head_put(m->bytes, &m->head);
}

static void make(struct made *m, int16_t attributes, int64_t producer, int64_t base, int type)
{
	*m = (struct made){.head = {.base_offset = base,
				    .magic = 2,
				    .attributes = attributes,
				    .producer_id = producer,
				    .count = type == NO_RECORD ? 0 : 1}};
	uint8_t *p = m->bytes + BATCH_HEAD;
	if (type != NO_RECORD) {
		/* length 16 (zigzag 32), attributes, deltas, key length 4, key, value length 6,
		 * value, headers */
		const uint8_t record[] = {32, 0, 0, 0, 8, 0, 0, 0, (uint8_t)type,
					  12, 0, 0, 0, 0, 0, 0, 0};
		memcpy(p, record, sizeof record);
		p += sizeof record;
	}
	m->n = (size_t)(p - m->bytes);
	make_sealed(m);
}

static enum aborted_verdict ask(struct aborted_filter *f, const struct made *m)
{
	struct errmsg why = {""};
	enum aborted_verdict v = aborted_filter_next(f, &m->head, bytes_of(m->bytes, m->n), &why);
	assert_int_equal(v == ABORTED_MALFORMED, why.text[0] != '\0');
	return v;
}

static enum aborted_verdict next(struct aborted_filter *f, int16_t attributes, int64_t producer,
				 int64_t base, int type)
{
	struct made m;
	make(&m, attributes, producer, base, type);
	return ask(f, &m);
}

static void test_no_list(void **state)
{
	(void)state;
	struct aborted_filter f;
	assert_int_equal(aborted_filter_init(&f, NULL, -1), ERR_OK);
	assert_int_equal(next(&f, 0, -1, 0, COMMIT), ABORTED_KEEP);
	assert_int_equal(next(&f, TXN, 5, 1, COMMIT), ABORTED_KEEP);
	assert_int_equal(next(&f, CONTROL, 5, 2, COMMIT), ABORTED_DROP_CONTROL);
	assert_int_equal(next(&f, CONTROL, 5, 3, ABORT), ABORTED_DROP_CONTROL);
	aborted_filter_fini(&f);
}

static void test_one_transaction(void **state)
{
	(void)state;
	const struct fetch_response_aborted_transaction list[] = {
		{.producer_id = 5, .first_offset = 11}};
	struct aborted_filter f;
	assert_int_equal(aborted_filter_init(&f, list, 1), ERR_OK);
	assert_int_equal(next(&f, TXN, 5, 10, COMMIT), ABORTED_KEEP); /* an earlier transaction */
	assert_int_equal(next(&f, TXN, 5, 11, COMMIT), ABORTED_DROP);
	assert_int_equal(next(&f, TXN, 6, 12, COMMIT), ABORTED_KEEP); /* another producer */
	assert_int_equal(next(&f, 0, 5, 13, COMMIT), ABORTED_KEEP);   /* not transactional */
	assert_int_equal(next(&f, 0, -1, 14, COMMIT), ABORTED_KEEP);
	assert_int_equal(next(&f, CONTROL, 6, 15, ABORT), ABORTED_DROP_CONTROL);
	assert_int_equal(next(&f, TXN, 5, 16, COMMIT), ABORTED_DROP); /* 6's marker is not 5's */
	assert_int_equal(next(&f, CONTROL, 5, 17, ABORT), ABORTED_DROP_CONTROL);
	assert_int_equal(next(&f, TXN, 5, 18, COMMIT), ABORTED_KEEP); /* the next transaction */
	aborted_filter_fini(&f);
}

/* Only an abort marker ends it: Kafka's consumer ignores a commit of a producer that is aborted,
 * and a marker that compaction emptied. */
static void test_other_markers(void **state)
{
	(void)state;
	const struct fetch_response_aborted_transaction list[] = {
		{.producer_id = 5, .first_offset = 0}};
	struct aborted_filter f;
	assert_int_equal(aborted_filter_init(&f, list, 1), ERR_OK);
	assert_int_equal(next(&f, TXN, 5, 0, COMMIT), ABORTED_DROP);
	assert_int_equal(next(&f, CONTROL, 5, 1, COMMIT), ABORTED_DROP_CONTROL);
	assert_int_equal(next(&f, CONTROL, 5, 2, NO_RECORD), ABORTED_DROP_CONTROL);
	assert_int_equal(next(&f, CONTROL, 5, 3, 7), ABORTED_DROP_CONTROL); /* unknown type */
	assert_int_equal(next(&f, TXN, 5, 4, COMMIT), ABORTED_DROP);
	aborted_filter_fini(&f);
}

/* The list may be unsorted, name a producer twice, and begin before the response. */
static void test_list_order(void **state)
{
	(void)state;
	const struct fetch_response_aborted_transaction list[] = {
		{.producer_id = 5, .first_offset = 30},
		{.producer_id = 7, .first_offset = 20},
		{.producer_id = 5, .first_offset = -4},
	};
	struct aborted_filter f;
	assert_int_equal(aborted_filter_init(&f, list, 3), ERR_OK);
	assert_int_equal(next(&f, TXN, 5, 10, COMMIT), ABORTED_DROP);
	assert_int_equal(next(&f, CONTROL, 5, 11, ABORT), ABORTED_DROP_CONTROL);
	assert_int_equal(next(&f, TXN, 5, 12, COMMIT), ABORTED_KEEP);
	assert_int_equal(next(&f, CONTROL, 5, 13, COMMIT), ABORTED_DROP_CONTROL);
	assert_int_equal(next(&f, TXN, 7, 19, COMMIT), ABORTED_KEEP);
	assert_int_equal(next(&f, TXN, 7, 20, COMMIT), ABORTED_DROP);
	assert_int_equal(next(&f, TXN, 5, 30, COMMIT), ABORTED_DROP);
	aborted_filter_fini(&f);
}

/* What counts is the batch's last offset, as in Kafka: a batch never holds two transactions. */
static void test_last_offset_counts(void **state)
{
	(void)state;
	const struct fetch_response_aborted_transaction list[] = {
		{.producer_id = 5, .first_offset = 12}};
	struct aborted_filter f;
	assert_int_equal(aborted_filter_init(&f, list, 1), ERR_OK);
	struct made m;
	make(&m, TXN, 5, 10, COMMIT);
	m.head.last_offset_delta = 2;
	make_sealed(&m);
	assert_int_equal(ask(&f, &m), ABORTED_DROP);
	aborted_filter_fini(&f);
}

static void test_bad_markers(void **state)
{
	(void)state;
	const struct fetch_response_aborted_transaction list[] = {
		{.producer_id = 5, .first_offset = 0}};
	struct made good, m;
	make(&good, CONTROL, 5, 8, ABORT);
	struct aborted_filter f;
	assert_int_equal(aborted_filter_init(&f, list, 1), ERR_OK);
	for (size_t i = 21; i < good.n; i++) { /* a flipped bit anywhere under the checksum */
		m = good;
		m.bytes[i] ^= 0x40;
		assert_int_equal(ask(&f, &m), ABORTED_MALFORMED);
	}
	for (size_t n = BATCH_HEAD; n < BATCH_HEAD + 9; n++) { /* cut off inside the key */
		m = good;
		m.n = n;
		make_sealed(&m);
		assert_int_equal(ask(&f, &m), ABORTED_MALFORMED);
	}
	const struct {
		size_t at;
		uint8_t byte;
	} bad[] = {{0, 1}, {0, 0}, {0, 127}, {4, 1}, {4, 6}, {4, 126}, {5, 0x80}};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		m = good;
		m.bytes[BATCH_HEAD + bad[i].at] = bad[i].byte;
		make_sealed(&m);
		assert_int_equal(ask(&f, &m), ABORTED_MALFORMED);
	}
	m = good;
	m.head.attributes |= CODEC_GZIP;
	make_sealed(&m);
	assert_int_equal(ask(&f, &m), ABORTED_MALFORMED);
	aborted_filter_fini(&f);
}

/* A plain reading of the consumer's rule, for random lists and batches: linear, no sorting. */
struct model {
	const struct fetch_response_aborted_transaction *list;
	int32_t n;
	bool consumed[64];
	bool active[8];
};

static enum aborted_verdict model_next(struct model *m, const struct made *b, int type)
{
	const struct batch_head *h = &b->head;
	bool control = h->attributes & BATCH_CONTROL;
	if (h->producer_id >= 0) {
		for (int32_t i = 0; i < m->n; i++) {
			if (m->consumed[i] || m->list[i].first_offset > batch_last_offset(h))
				continue;
			m->consumed[i] = true;
			m->active[m->list[i].producer_id] = true;
		}
		if (control && type == ABORT)
			m->active[h->producer_id] = false;
		else if (!control && (h->attributes & BATCH_TRANSACTIONAL) &&
			 m->active[h->producer_id])
			return ABORTED_DROP;
	}
	return control ? ABORTED_DROP_CONTROL : ABORTED_KEEP;
}

static void test_random(void **state)
{
	(void)state;
	struct rng g = {rng_seed("aborted random")};
	for (int64_t round = 0; round < rng_scale(20000); round++) {
		struct fetch_response_aborted_transaction list[64];
		int32_t n = (int32_t)rng_in(&g, 0, 64);
		for (int32_t i = 0; i < n; i++) {
			list[i].producer_id = rng_in(&g, 0, 7);
			list[i].first_offset = rng_in(&g, 0, 300);
		}
		struct model model = {.list = list, .n = n};
		struct aborted_filter f;
		assert_int_equal(aborted_filter_init(&f, list, n), ERR_OK);
		int64_t base = 0;
		for (int64_t i = rng_in(&g, 1, 100); i > 0; i--) {
			const int16_t attributes[] = {0, TXN, TXN, CONTROL};
			struct made m;
			int type = (int)rng_in(&g, -1, 2);
			make(&m, attributes[rng_in(&g, 0, 3)], rng_in(&g, -1, 7), base, type);
			assert_int_equal(ask(&f, &m), model_next(&model, &m, type));
			base += rng_in(&g, 1, 9);
		}
		aborted_filter_fini(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_list),
		cmocka_unit_test(test_one_transaction),
		cmocka_unit_test(test_other_markers),
		cmocka_unit_test(test_list_order),
		cmocka_unit_test(test_last_offset_counts),
		cmocka_unit_test(test_bad_markers),
		cmocka_unit_test(test_random),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
