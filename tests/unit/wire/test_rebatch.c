/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The slow path against a plain list of records: whatever batches go in, the records that come out
 * are those of the list, in order, with the timestamps that consumers saw, in batches that a stock
 * broker accepts, and the spans say where each came from. Allocation failures are made by wrapping
 * malloc (link option --wrap).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/wire/rebatch.h"
#include "tests/unit/wire/batch_model.h"

enum { MAX_IN = 64 };

/* A source: batches in order, and the records that consumers find in them. */
struct source {
	struct arena arena;
	struct model_list want;
	struct bytes in[MAX_IN];
	size_t in_n;
};

static void source_add(struct source *s, const struct buf *b)
{
	uint8_t *own = malloc(b->len);

	assert_non_null(own);
	assert_true(s->in_n < MAX_IN);
	memcpy(own, b->p, b->len);
	s->in[s->in_n++] = bytes_of(own, b->len);
}

static void source_fini(struct source *s)
{
	for (size_t i = 0; i < s->in_n; i++)
		free((void *)(uintptr_t)s->in[i].p);
	model_list_free(&s->want);
	arena_fini(&s->arena);
}

/* Append one random batch (or old entries) whose offsets start at or after *offset. */
static void source_grow(struct source *s, struct rnd *rnd, int64_t *offset, int codec,
			uint32_t record_size)
{
	struct model_style style = {
		.magic = (int8_t)(rnd_one_in(rnd, 4) ? rnd_below(rnd, 2) : 2),
		.codec = codec >= 0 ? (enum batch_codec)codec : (enum batch_codec)rnd_below(rnd, 5),
		.log_append_time = rnd_one_in(rnd, 4),
		.append_time = 1800000000000 + rnd_below(rnd, 1000),
		.transactional = rnd_one_in(rnd, 3),
	};
	bool holes = rnd_one_in(rnd, 3);
	size_t first = s->want.n, n = 1 + rnd_below(rnd, rnd_one_in(rnd, 4) ? 100 : 5);
	struct buf b;

	if (style.magic < 2) {
		style.log_append_time = style.log_append_time && style.magic == 1;
		style.codec = style.codec == CODEC_ZSTD ? CODEC_GZIP : style.codec;
		style.broken_lz4 = style.magic == 0 && style.codec == CODEC_LZ4;
		n = style.codec == CODEC_NONE ? 1 : n;
	} else {
		style.horizon = rnd_one_in(rnd, 4) && !style.log_append_time;
		style.offsets_before = holes ? (int32_t)rnd_below(rnd, 3) : 0;
		style.offsets_behind = holes ? (int32_t)rnd_below(rnd, 3) : 0;
	}
	*offset += rnd_one_in(rnd, 4) ? rnd_below(rnd, 1000) : 0;
	*offset += style.offsets_before;
	for (size_t i = 0; i < n; i++) {
		struct record r = model_record(rnd, &s->arena, style.magic, record_size);
		*offset += holes && i > 0 ? rnd_below(rnd, 3) : 0;
		r.offset = (*offset)++;
		model_list_add(&s->want, &r);
	}
	*offset += style.offsets_behind;
	buf_init(&b, 1 << 26);
	model_encode(s->want.v + first, n, &style, &b);
	source_add(s, &b);
	buf_fini(&b);
	for (size_t i = first; i < s->want.n && style.log_append_time; i++)
		s->want.v[i].timestamp = style.append_time;
}

/* The offset of record `i` of a batch, by its spans. */
static int64_t span_offset(const struct rebatch *rb, const struct rebatch_batch *b, int32_t i)
{
	size_t at = b->spans_at;

	for (; i >= rb->spans[at].n; at++)
		i -= rb->spans[at].n;
	assert_true(at < b->spans_at + b->spans_n);
	return rb->spans[at].first + i;
}

static void check_spans(const struct rebatch *rb, const struct rebatch_batch *b)
{
	int32_t sum = 0;

	assert_true(b->spans_n > 0 && b->spans_at + b->spans_n <= rb->spans_n);
	for (size_t i = b->spans_at; i < b->spans_at + b->spans_n; i++) {
		assert_true(rb->spans[i].n > 0);
		if (i > b->spans_at)
			assert_true(rb->spans[i].first >
				    rb->spans[i - 1].first + rb->spans[i - 1].n);
		sum += rb->spans[i].n;
	}
	assert_int_equal(sum, b->count);
}

/* Check one output batch; `*next` counts through the wanted records. */
static void check_batch(const struct rebatch *rb, const struct rebatch_batch *b,
			const struct model_list *want, size_t *next, enum batch_codec codec)
{
	struct bytes whole = bytes_of(rb->bytes.p + b->at, b->size);
	struct records_reader *rr;
	struct batch_head h;
	struct record r;
	int64_t max_timestamp = INT64_MIN;
	size_t first = *next;

	batch_head_get(whole.p, &h);
	assert_int_equal(batch_size(&h), b->size);
	assert_int_equal(h.count, b->count);
	assert_int_equal(h.attributes, codec);
	assert_true(batch_is_dense(&h) && h.base_offset == 0 && h.leader_epoch == -1 &&
		    h.magic == 2 && h.producer_id == -1 && h.producer_epoch == -1 &&
		    h.base_sequence == -1);
	assert_int_equal(h.crc, model_crc32c(whole.p + 21, whole.n - 21));
	check_spans(rb, b);
	assert_int_equal(records_reader_open(whole, SIZE_MAX, &rr, NULL), ERR_OK);
	for (int32_t i = 0; records_reader_next(rr, &r); i++) {
		assert_true(*next < want->n);
		const struct record *w = &want->v[(*next)++];
		assert_int_equal(r.offset, i);
		assert_true(record_equal(&r, w));
		assert_int_equal(span_offset(rb, b, i), w->offset);
		max_timestamp = w->timestamp > max_timestamp ? w->timestamp : max_timestamp;
	}
	assert_int_equal(records_reader_error(rr, NULL), ERR_OK);
	records_reader_free(rr);
	assert_int_equal(*next - first, h.count);
	assert_int_equal(h.base_timestamp, want->v[first].timestamp);
	assert_int_equal(h.max_timestamp, max_timestamp);
}

/* Without compression batches are filled: the next record would not have fitted. */
static void check_full(const struct rebatch *rb, const struct model_list *want, size_t max)
{
	size_t next = 0;

	for (size_t i = 0; i + 1 < rb->batches_n; i++) {
		struct batch_builder b;
		batch_builder_init(&b, CODEC_NONE, SIZE_MAX);
		for (int32_t k = 0; k < rb->batches[i].count; k++)
			assert_int_equal(batch_builder_add(&b, &want->v[next++]), ERR_OK);
		assert_int_equal(b.payload.len + BATCH_HEAD, rb->batches[i].size);
		assert_int_equal(batch_builder_add(&b, &want->v[next]), ERR_OK);
		assert_true(b.payload.len + BATCH_HEAD > max);
		batch_builder_fini(&b);
	}
}

static void check_output(const struct rebatch *rb, const struct source *s,
			 const struct rebatch_options *o)
{
	struct model_list want = {0};
	enum batch_codec codec = batch_entry_codec(s->in[0]);
	size_t next = 0, at = 0, spans_at = 0;

	for (size_t i = 0; i < s->want.n; i++)
		if (s->want.v[i].offset >= o->trim_before && s->want.v[i].offset < o->trim_from)
			model_list_add(&want, &s->want.v[i]);
	for (size_t i = 0; i < rb->batches_n; i++) {
		assert_int_equal(rb->batches[i].at, at);
		assert_true(rb->batches[i].size <= o->max_batch_bytes);
		at += rb->batches[i].size;
		assert_int_equal(rb->batches[i].spans_at, spans_at);
		spans_at += rb->batches[i].spans_n;
		check_batch(rb, &rb->batches[i], &want, &next, codec);
	}
	assert_int_equal(at, rb->bytes.len);
	assert_int_equal(spans_at, rb->spans_n);
	assert_int_equal(next, want.n);
	if (codec == CODEC_NONE)
		check_full(rb, &want, o->max_batch_bytes);
	model_list_free(&want);
}

/* The largest batch that a single record makes alone, over all. */
static size_t largest_alone(const struct source *s, enum batch_codec codec)
{
	struct batch_builder b;
	struct buf out;
	size_t max = 0;

	batch_builder_init(&b, codec, SIZE_MAX);
	buf_init(&out, 1 << 26);
	for (size_t i = 0; i < s->want.n; i++) {
		buf_clear(&out);
		assert_int_equal(batch_builder_add(&b, &s->want.v[i]), ERR_OK);
		assert_int_equal(batch_builder_finish(&b, &out), ERR_OK);
		max = out.len > max ? out.len : max;
	}
	batch_builder_fini(&b);
	buf_fini(&out);
	return max;
}

static void test_random(void **state)
{
	struct rnd rnd = rnd_new();
	struct rebatch rb;

	(void)state;
	rebatch_init(&rb, 1 << 26);
	for (int round = 0; round < 1500; round++) {
		struct source s = {0};
		struct errmsg why = {0};
		int64_t offset = rnd_below(&rnd, 1000);
		int codec = rnd_one_in(&rnd, 2) ? (int)rnd_below(&rnd, 5) : -1;
		uint32_t size = rnd_one_in(&rnd, 10) ? 5000 : 120;
		arena_init(&s.arena, 1 << 26);
		int batches = 1 + (int)rnd_below(&rnd, rnd_one_in(&rnd, 3) ? 30 : 3);
		while (batches-- > 0)
			source_grow(&s, &rnd, &offset, codec, size);
		struct rebatch_options o = {
			.trim_from = INT64_MAX,
			.max_batch_bytes = 1 << 20,
			.inflate_limit = 1 << 26,
		};
		if (rnd_one_in(&rnd, 3))
			o.trim_before = rnd_below(&rnd, (uint32_t)offset + 2);
		if (rnd_one_in(&rnd, 3))
			o.trim_from = rnd_below(&rnd, (uint32_t)offset + 2);
		if (rnd_one_in(&rnd, 2))
			o.max_batch_bytes = largest_alone(&s, batch_entry_codec(s.in[0])) +
					    rnd_below(&rnd, 2000);
		enum err e = rebatch_encode(&rb, s.in, s.in_n, &o, &why);
		if (e != ERR_OK)
			fail_msg("round %d: %s: %s", round, err_name(e), why.text);
		check_output(&rb, &s, &o);
		source_fini(&s);
	}
	rebatch_fini(&rb);
}

/* Batches of Kafka's own making, one by one and each kind together. */
static void test_fixtures(void **state)
{
	struct fixtures f = fixtures_load();
	struct rebatch_options o = {
		.trim_from = INT64_MAX, .max_batch_bytes = 1 << 20, .inflate_limit = 1 << 20};
	struct errmsg why = {0};
	struct rebatch rb;

	(void)state;
	rebatch_init(&rb, 1 << 20);
	for (size_t i = 0; i < f.n; i++) {
		struct source s = {.want = f.v[i].records, .in = {f.v[i].whole}, .in_n = 1};
		enum err e = rebatch_encode(&rb, s.in, 1, &o, &why);
		if (strcmp(f.v[i].name, "magic2-control") == 0) {
			assert_int_equal(e, ERR_UNSUPPORTED);
			assert_non_null(strstr(why.text, "offset 900"));
			continue;
		}
		if (e != ERR_OK)
			fail_msg("%s: %s", f.v[i].name, why.text);
		check_output(&rb, &s, &o);
		assert_int_equal(rb.batches_n, f.v[i].records.n > 0 ? 1 : 0);
	}
	rebatch_fini(&rb);
	fixtures_free(&f);
}

static struct source one_batch(struct rnd *rnd, enum batch_codec codec, size_t n, uint32_t size)
{
	struct source s = {0};
	struct model_style style = {.magic = 2, .codec = codec};
	struct buf b;

	arena_init(&s.arena, 1 << 26);
	for (size_t i = 0; i < n; i++) {
		struct record r = model_record(rnd, &s.arena, 2, size);
		r.offset = 500 + (int64_t)i;
		model_list_add(&s.want, &r);
	}
	buf_init(&b, 1 << 26);
	model_encode(s.want.v, n, &style, &b);
	source_add(&s, &b);
	buf_fini(&b);
	return s;
}

/* One record over the target's limit is refused by name; all others pass at exactly the limit. */
static void test_record_too_large(void **state)
{
	struct rnd rnd = rnd_new();
	struct rebatch_options o = {.trim_from = INT64_MAX, .inflate_limit = 1 << 26};
	struct errmsg why = {0};
	struct rebatch rb;

	(void)state;
	rebatch_init(&rb, 1 << 26);
	for (int codec = 0; codec < 5; codec++) {
		struct source s = one_batch(&rnd, (enum batch_codec)codec, 40, 2000);
		o.max_batch_bytes = largest_alone(&s, (enum batch_codec)codec);
		assert_int_equal(rebatch_encode(&rb, s.in, 1, &o, &why), ERR_OK);
		check_output(&rb, &s, &o);
		o.max_batch_bytes--;
		assert_int_equal(rebatch_encode(&rb, s.in, 1, &o, &why), ERR_LIMIT);
		assert_int_equal(rb.batches_n, 0);
		assert_non_null(strstr(why.text, "record at offset 5"));
		char size[64];
		snprintf(size, sizeof size, "%zu bytes, the target takes %zu",
			 o.max_batch_bytes + 1, o.max_batch_bytes);
		assert_non_null(strstr(why.text, size));
		source_fini(&s);
	}
	rebatch_fini(&rb);
}

/* Nothing is signed that was not verified: any damaged byte in any input is found. */
static void test_corrupt_input(void **state)
{
	struct rnd rnd = rnd_new();
	struct rebatch_options o = {
		.trim_from = INT64_MAX, .max_batch_bytes = 1 << 20, .inflate_limit = 1 << 26};
	struct rebatch rb;

	(void)state;
	rebatch_init(&rb, 1 << 26);
	for (int codec = 0; codec < 5; codec++) {
		struct source s = one_batch(&rnd, (enum batch_codec)codec, 5, 60);
		struct buf second;
		buf_init(&second, 1 << 20);
		buf_put(&second, s.in[0].p, s.in[0].n);
		be64_put(second.p, 600);
		for (size_t at = BATCH_HEAD; at < second.len; at++) {
			struct errmsg why = {0};
			second.p[at] ^= 0x04;
			struct bytes in[2] = {s.in[0], buf_bytes(&second)};
			assert_int_equal(rebatch_encode(&rb, in, 2, &o, &why), ERR_CORRUPT);
			assert_non_null(strstr(why.text, "batch at offset 600: wrong checksum"));
			assert_int_equal(rb.batches_n, 0);
			second.p[at] ^= 0x04;
		}
		buf_fini(&second);
		source_fini(&s);
	}
	rebatch_fini(&rb);
}

static void test_refusals(void **state)
{
	struct rnd rnd = rnd_new();
	struct source s = one_batch(&rnd, CODEC_ZSTD, 20, 200);
	struct rebatch_options o = {
		.trim_from = INT64_MAX, .max_batch_bytes = 1 << 20, .inflate_limit = 1 << 26};
	struct errmsg why = {0};
	struct rebatch rb;

	(void)state;
	rebatch_init(&rb, 1 << 26);
	struct bytes twice[2] = {s.in[0], s.in[0]};
	assert_int_equal(rebatch_encode(&rb, twice, 2, &o, &why), ERR_MALFORMED);
	assert_non_null(strstr(why.text, "comes after offset 519"));
	struct bytes shorter = bytes_of(s.in[0].p, s.in[0].n - 1);
	assert_int_equal(rebatch_encode(&rb, &shorter, 1, &o, &why), ERR_MALFORMED);
	shorter.n = 0;
	assert_int_equal(rebatch_encode(&rb, &shorter, 1, &o, &why), ERR_MALFORMED);
	o.inflate_limit = 100;
	assert_int_equal(rebatch_encode(&rb, s.in, 1, &o, &why), ERR_LIMIT);
	o.inflate_limit = 1 << 26;
	struct rebatch small;
	rebatch_init(&small, 300);
	assert_int_equal(rebatch_encode(&small, s.in, 1, &o, &why), ERR_LIMIT);
	rebatch_fini(&small);
	/* And after all of these it works. */
	assert_int_equal(rebatch_encode(&rb, s.in, 1, &o, &why), ERR_OK);
	check_output(&rb, &s, &o);
	rebatch_fini(&rb);
	source_fini(&s);
}

/* The limit on decompressed bytes is for all inputs together: a queue of bombs is one bomb. */
static void test_many_bombs(void **state)
{
	static uint8_t zeros[100000];
	struct rebatch_options o = {
		.trim_from = INT64_MAX, .max_batch_bytes = 1 << 20, .inflate_limit = 1 << 20};
	struct errmsg why = {0};
	struct source s = {0};
	struct rebatch rb;
	struct buf b;

	(void)state;
	arena_init(&s.arena, 1 << 20);
	buf_init(&b, 1 << 20);
	for (int64_t i = 0; i < 12; i++) {
		struct record r = {.offset = i, .value = bytes_of(zeros, sizeof zeros)};
		struct model_style style = {.magic = 2, .codec = CODEC_ZSTD};
		buf_clear(&b);
		model_encode(&r, 1, &style, &b);
		source_add(&s, &b);
		model_list_add(&s.want, &r);
	}
	rebatch_init(&rb, 1 << 26);
	assert_int_equal(rebatch_encode(&rb, s.in, s.in_n, &o, &why), ERR_LIMIT);
	assert_non_null(strstr(why.text, "batch at offset 10: zstd"));
	o.inflate_limit *= 2;
	assert_int_equal(rebatch_encode(&rb, s.in, s.in_n, &o, &why), ERR_OK);
	check_output(&rb, &s, &o);
	assert_int_equal(rb.batches_n, 1); /* the estimate knows that they compress well */
	rebatch_fini(&rb);
	buf_fini(&b);
	source_fini(&s);
}

/* A large compressed batch for a target that takes less: few batches more than needed. */
static void test_split_is_tight(void **state)
{
	struct rnd rnd = rnd_new();

	(void)state;
	for (int codec = 0; codec < 5; codec++) {
		struct source s = one_batch(&rnd, (enum batch_codec)codec, 5000, 200);
		struct rebatch_options o = {.trim_from = INT64_MAX,
					    .max_batch_bytes = s.in[0].n / 10,
					    .inflate_limit = 1 << 26};
		struct rebatch rb;
		rebatch_init(&rb, 1 << 26);
		assert_int_equal(rebatch_encode(&rb, s.in, 1, &o, NULL), ERR_OK);
		check_output(&rb, &s, &o);
		assert_in_range(rb.batches_n, 10, 14);
		rebatch_fini(&rb);
		source_fini(&s);
	}
}

/* malloc, realloc and calloc of our own objects go through these (link option --wrap). */
void *__real_malloc(size_t n);
void *__real_realloc(void *p, size_t n);
void *__real_calloc(size_t count, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_calloc(size_t count, size_t n);

static int fail_at; /* the Nth allocation from now fails; 0: none */

static bool failing(void)
{
	return fail_at > 0 && --fail_at == 0;
}

void *__wrap_malloc(size_t n)
{
	return failing() ? NULL : __real_malloc(n);
}

void *__wrap_realloc(void *p, size_t n)
{
	return failing() ? NULL : __real_realloc(p, n);
}

void *__wrap_calloc(size_t count, size_t n)
{
	return failing() ? NULL : __real_calloc(count, n);
}

/* Let the Nth allocation fail, N = 1, 2, ... until the call passes untouched. */
static void test_out_of_memory(void **state)
{
	struct rnd rnd = rnd_new();

	(void)state;
	for (int codec = 0; codec < 5; codec++) {
		struct source s = one_batch(&rnd, (enum batch_codec)codec, 300, 100);
		struct rebatch_options o = {.trim_from = INT64_MAX,
					    .max_batch_bytes = s.in[0].n / 3,
					    .inflate_limit = 1 << 26};
		enum err e = ERR_NOMEM;
		int n = 0;
		while (e != ERR_OK) {
			struct errmsg why = {0};
			struct rebatch rb;
			rebatch_init(&rb, 1 << 26);
			fail_at = ++n;
			e = rebatch_encode(&rb, s.in, 1, &o, &why);
			bool passed = fail_at > 0;
			fail_at = 0;
			assert_int_equal(e, passed ? ERR_OK : ERR_NOMEM);
			if (e == ERR_OK)
				check_output(&rb, &s, &o);
			else
				assert_non_null(strstr(why.text, "out of memory"));
			rebatch_fini(&rb);
		}
		assert_true(n > 8);
		source_fini(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fixtures),         cmocka_unit_test(test_random),
		cmocka_unit_test(test_record_too_large), cmocka_unit_test(test_corrupt_input),
		cmocka_unit_test(test_refusals),         cmocka_unit_test(test_many_bombs),
		cmocka_unit_test(test_split_is_tight),   cmocka_unit_test(test_out_of_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
