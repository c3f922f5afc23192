/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records run from a reader into a builder; a full builder becomes an output batch.
 *
 * How much is full? Without compression that is exact. With it, the builder holds plain bytes while
 * the limit counts compressed ones, so the inputs' own compression rates tell how much is likely to
 * fit, and a batch that came out too large is cut in two, each of which is tried in turn. A cut
 * near the middle halves the bytes, but for a record larger than all others, which two cuts make a
 * batch of its own: so the recursion stays under 64 levels for 2^31 bytes.
 *
 * Invariants: spans of the batch being built are the tail of rb->spans from job->spans_at on, and
 * their sum is builder.count; source offsets rise strictly through the whole call.
 */
#include "lib/wire/rebatch.h"

#include <assert.h>
#include <inttypes.h>

#include "lib/base/mem.h"
#include "lib/wire/records_impl.h"

struct rebatch_job {
	struct rebatch *rb;
	const struct rebatch_options *options;
	struct records_reader reader;
	struct batch_builder builder;
	size_t spans_at;
	size_t goal;    /* bytes after the head to aim at */
	size_t full_at; /* payload.len that the builder should not pass */
	size_t packed;  /* compressed size of the payload's first packed_upto bytes, estimated */
	size_t packed_upto;
	double rate;         /* compressed size / plain size of the present input */
	size_t inflate_left; /* of inflate_limit */
	int64_t next_offset; /* the least source offset that may come */
	struct errmsg *why;
};

void rebatch_init(struct rebatch *rb, size_t max)
{
	*rb = (struct rebatch){0};
	buf_init(&rb->bytes, max);
}

void rebatch_fini(struct rebatch *rb)
{
	buf_fini(&rb->bytes);
	mem_free(rb->batches);
	mem_free(rb->spans);
	*rb = (struct rebatch){.bytes = rb->bytes};
}

static void rebatch_clear(struct rebatch *rb)
{
	buf_clear(&rb->bytes);
	rb->batches_n = 0;
	rb->spans_n = 0;
}

/* Make room for one more element of `size` bytes in an array. */
static enum err array_grow(void **array, size_t n, size_t *cap, size_t size)
{
	if (n < *cap)
		return ERR_OK;
	size_t more = *cap == 0 ? 16 : *cap * 2;
	void *grown = mem_resize(*array, more, size);
	if (grown == NULL)
		return ERR_NOMEM;
	*array = grown;
	*cap = more;
	return ERR_OK;
}

static enum err spans_reserve(struct rebatch *rb)
{
	void *array = rb->spans;
	enum err e = array_grow(&array, rb->spans_n, &rb->spans_cap, sizeof *rb->spans);

	rb->spans = array;
	return e;
}

static enum err batches_reserve(struct rebatch *rb)
{
	void *array = rb->batches;
	enum err e = array_grow(&array, rb->batches_n, &rb->batches_cap, sizeof *rb->batches);

	rb->batches = array;
	return e;
}

/* Note the source offset of the record just added. There is room for a span. */
static void spans_add(struct rebatch_job *job, int64_t offset)
{
	struct rebatch *rb = job->rb;

	if (rb->spans_n > job->spans_at) {
		struct rebatch_span *last = &rb->spans[rb->spans_n - 1];
		if (offset == last->first + last->n) {
			last->n++;
			return;
		}
	}
	rb->spans[rb->spans_n++] = (struct rebatch_span){.first = offset, .n = 1};
}

static enum err job_fail(struct rebatch_job *job, enum err e)
{
	return errmsg_set(job->why, e, "re-encoding a batch: %s", err_text(e));
}

static enum err job_too_large(struct rebatch_job *job, int64_t offset, size_t size)
{
	return errmsg_set(job->why, ERR_LIMIT,
			  "record at offset %" PRId64
			  " makes a batch of %zu bytes, the target takes %zu",
			  offset, size, job->options->max_batch_bytes);
}

/* Work out how much the builder may hold, after its records or the rate have changed. */
static void job_aim(struct rebatch_job *job)
{
	if (job->builder.codec == CODEC_NONE) {
		job->builder.aim = job->goal;
		return;
	}
	size_t left = job->goal > job->packed ? job->goal - job->packed : 0;
	double plain = (double)left / job->rate;

	left = plain < BATCH_PAYLOAD_MAX ? (size_t)plain : BATCH_PAYLOAD_MAX;
	job->builder.aim = job->packed_upto + left;
}

/* Begin the next output batch. */
static void job_begin(struct rebatch_job *job)
{
	batch_builder_clear(&job->builder);
	job->spans_at = job->rb->spans_n;
	job->packed = 0;
	job->packed_upto = 0;
	job_aim(job);
}

static enum err job_flush(struct rebatch_job *job);

/* Add a record if the builder takes it. */
static enum err job_put(struct rebatch_job *job, const struct record *r)
{
	enum err e = spans_reserve(job->rb);

	if (e == ERR_OK)
		e = batch_builder_add(&job->builder, r);
	if (e == ERR_OK)
		spans_add(job, r->offset);
	return e;
}

/* Add a record; flush before it if the builder is full. Whether a record that is alone fits is for
 * job_flush to see. */
static enum err job_add(struct rebatch_job *job, const struct record *r)
{
	enum err e = job_put(job, r);

	if (e == ERR_OK)
		return e;
	if (e != ERR_LIMIT || job->builder.count == 0)
		return job_fail(job, e);
	e = job_flush(job);
	if (e != ERR_OK)
		return e;
	e = job_put(job, r);
	return e == ERR_OK ? e : job_fail(job, e);
}

/* Put the records of `payload`, whose offsets are in `spans`, into two batches. The cut is in front
 * of the record over the middle, but never before the first record or behind the last. */
static enum err job_halve(struct rebatch_job *job, struct records_reader *payload,
			  const struct rebatch_span *spans)
{
	const uint8_t *middle = payload->p + (payload->end - payload->p) / 2;
	struct record r;
	enum err e = ERR_OK;
	int32_t used = 0;
	bool cut = false;

	for (;;) {
		const uint8_t *start = payload->p;
		if (!records_reader_next(payload, &r))
			break;
		if (!cut && job->builder.count > 0 && start + (payload->p - start) / 2 >= middle) {
			cut = true;
			e = job_flush(job);
		}
		r.offset = spans->first + used;
		if (e == ERR_OK)
			e = job_add(job, &r);
		if (e != ERR_OK)
			return e;
		if (++used == spans->n) {
			spans++;
			used = 0;
		}
	}
	/* It reads what we wrote. */
	assert(records_reader_error(payload, NULL) == ERR_OK && cut);
	return job_flush(job);
}

/* The batch just built came out too large: take it back and try its halves. */
static enum err job_split(struct rebatch_job *job)
{
	struct rebatch *rb = job->rb;
	size_t spans_n = rb->spans_n - job->spans_at;
	struct rebatch_span *spans = mem_zalloc(spans_n, sizeof *spans);
	struct batch_builder whole = job->builder;
	struct records_reader payload;

	if (spans == NULL)
		return job_fail(job, ERR_NOMEM);
	memcpy(spans, rb->spans + job->spans_at, spans_n * sizeof *spans);
	rb->spans_n = job->spans_at;
	batch_builder_init(&job->builder, whole.codec, BATCH_PAYLOAD_MAX);
	job_begin(job);
	records_reader_init(&payload);
	records_reader_start_bare(&payload, buf_bytes(&whole.payload), whole.count,
				  whole.first_timestamp);
	enum err e = job_halve(job, &payload, spans);
	records_reader_fini(&payload);
	batch_builder_fini(&whole);
	mem_free(spans);
	return e;
}

/* Make an output batch of what was built, or several if one is too large. */
static enum err job_flush(struct rebatch_job *job)
{
	struct rebatch *rb = job->rb;
	size_t at = rb->bytes.len;

	if (job->builder.count == 0)
		return ERR_OK;
	enum err e = batches_reserve(rb);
	if (e == ERR_OK)
		e = batch_builder_encode(&job->builder, &rb->bytes);
	if (e != ERR_OK)
		return job_fail(job, e);
	size_t size = rb->bytes.len - at;
	if (size > job->options->max_batch_bytes) {
		rb->bytes.len = at;
		if (job->builder.count == 1)
			return job_too_large(job, rb->spans[job->spans_at].first, size);
		return job_split(job);
	}
	rb->batches[rb->batches_n++] = (struct rebatch_batch){
		.at = at,
		.size = size,
		.count = job->builder.count,
		.spans_at = job->spans_at,
		.spans_n = rb->spans_n - job->spans_at,
	};
	job_begin(job);
	return ERR_OK;
}

/* From here on the builder's records come from an input of `packed` bytes. A guess from start to
 * end, which job_split puts right. */
static void job_rate(struct rebatch_job *job, size_t packed)
{
	size_t built = job->builder.payload.len, plain = job->reader.plain.len;

	job->packed += (size_t)((double)(built - job->packed_upto) * job->rate);
	job->packed_upto = built;
	job->rate = plain == 0 ? 1 : (double)packed / (double)plain;
	job_aim(job);
}

/* Go on to the next input: check it, and learn how it is compressed. */
static enum err job_open(struct rebatch_job *job, struct bytes in)
{
	struct records_reader *rr = &job->reader;
	enum err e = records_reader_start(rr, in, job->inflate_left, job->why);

	if (e != ERR_OK)
		return e;
	if (rr->magic == 2 && (rr->attributes & BATCH_CONTROL) != 0)
		return errmsg_set(job->why, ERR_UNSUPPORTED,
				  "batch at offset %" PRId64 ": a control batch has no records to "
				  "re-encode",
				  rr->next_offset);
	job->inflate_left -= rr->plain.len;
	if (job->builder.codec != CODEC_NONE)
		job_rate(job, in.n);
	return ERR_OK;
}

static enum err job_input(struct rebatch_job *job)
{
	struct record r;
	enum err e = ERR_OK;

	while (e == ERR_OK && records_reader_next(&job->reader, &r)) {
		if (r.offset < job->next_offset)
			return errmsg_set(job->why, ERR_MALFORMED,
					  "record at offset %" PRId64
					  " comes after offset %" PRId64,
					  r.offset, job->next_offset - 1);
		job->next_offset = r.offset + 1;
		if (r.offset >= job->options->trim_before && r.offset < job->options->trim_from)
			e = job_add(job, &r);
	}
	return e == ERR_OK ? records_reader_error(&job->reader, job->why) : e;
}

/* Inputs that come to less than the limit are taken to fit. Of more, batches are aimed a little
 * under it, since a miss costs a second compression. */
static size_t job_goal(const struct bytes *in, size_t in_n, enum batch_codec codec, size_t max)
{
	size_t sum = 0, room = max - BATCH_HEAD;

	if (codec == CODEC_NONE)
		return room;
	for (size_t i = 0; i < in_n && sum <= max; i++)
		sum += in[i].n;
	return sum <= max ? room : room - room / 8;
}

enum err rebatch_encode(struct rebatch *rb, const struct bytes *in, size_t in_n,
			const struct rebatch_options *options, struct errmsg *why)
{
	struct rebatch_job job = {
		.rb = rb,
		.options = options,
		.rate = 1,
		.inflate_left = options->inflate_limit,
		.why = why,
	};
	enum err e = ERR_OK;

	assert(in_n > 0 && options->max_batch_bytes > BATCH_HEAD);
	rebatch_clear(rb);
	enum batch_codec codec = batch_entry_codec(in[0]);
	job.goal = job_goal(in, in_n, codec, options->max_batch_bytes);
	records_reader_init(&job.reader);
	batch_builder_init(&job.builder, codec, BATCH_PAYLOAD_MAX);
	job_begin(&job);
	for (size_t i = 0; i < in_n && e == ERR_OK; i++) {
		e = job_open(&job, in[i]);
		if (e == ERR_OK)
			e = job_input(&job);
	}
	if (e == ERR_OK)
		e = job_flush(&job);
	batch_builder_fini(&job.builder);
	records_reader_fini(&job.reader);
	if (e != ERR_OK)
		rebatch_clear(rb);
	return e;
}
