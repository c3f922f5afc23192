/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The slow path: source batches in, batches that any broker accepts out. One call renumbers batches
 * with holes, turns LogAppendTime batches and old formats into CreateTime batches of magic 2 with
 * the timestamps that consumers saw, splits what is too large, trims the front when a copy resumes
 * inside a batch, and makes one batch of many neighbours. Which of these happens follows from the
 * input and the options.
 *
 * Output batches have dense offsets, base offset 0, leader epoch -1 and no producer; stamp them
 * with batch_head_restamp. Key, value and headers of a record of magic 2 are copied as they are
 * encoded. Pure functions: safe on worker threads, one struct rebatch per call.
 */
#ifndef FARSHORE_WIRE_REBATCH_H
#define FARSHORE_WIRE_REBATCH_H

#include "lib/wire/records.h"

struct rebatch_options {
	int64_t trim_before;    /* drop records with a smaller source offset; 0: none */
	int64_t trim_from;      /* drop records from this source offset on; INT64_MAX: none */
	size_t max_batch_bytes; /* of a whole output batch, as the target counts for
				   max.message.bytes; more than BATCH_HEAD */
	size_t inflate_limit;   /* bytes that all decompressed inputs may have together */
};

/* Source offsets first .. first + n - 1. */
struct rebatch_span {
	int64_t first;
	int32_t n;
};

/* One output batch. Its records came from the source offsets of its spans, in order. */
struct rebatch_batch {
	size_t at; /* where it starts in the output bytes */
	size_t size;
	int32_t count; /* the sum of the spans' n */
	size_t spans_at;
	size_t spans_n; /* at least 1; neighbours are joined */
};

/* The result. Read the arrays after rebatch_encode; they live until the next call or
 * rebatch_fini. */
struct rebatch {
	struct buf bytes;
	struct rebatch_batch *batches;
	size_t batches_n;
	size_t batches_cap;
	struct rebatch_span *spans;
	size_t spans_n;
	size_t spans_cap;
};

/* `max` bounds the output bytes of one call; codec_compress wants 80 KiB more than what it writes.
 * Allocates nothing yet. */
void rebatch_init(struct rebatch *rb, size_t max);
void rebatch_fini(struct rebatch *rb);

/*
 * Re-encode `in_n` >= 1 whole source batches (magic 2) or old message-set entries, in source order.
 * The output has the codec of the first one. Batches without records and records outside the trim
 * range are left out, so there may be no output batch at all.
 *
 * The checksum of each input is checked: nothing is signed that was not verified. Memory: the
 * output, one decompressed input, and the records of one output batch before compression (twice
 * where it has to be split).
 *
 * ERR_CORRUPT: a checksum is wrong.
 * ERR_MALFORMED: an input cannot be read, or offsets do not rise from input to input.
 * ERR_UNSUPPORTED: an unknown codec, or a control batch (a marker is not a record).
 * ERR_LIMIT: one record alone makes a batch of more than max_batch_bytes; or inflate_limit or `max`
 * was passed (then fewer inputs at a time may do).
 * ERR_NOMEM.
 * `why` names the offset and the sizes. After an error there are no output batches.
 */
enum err rebatch_encode(struct rebatch *rb, const struct bytes *in, size_t in_n,
			const struct rebatch_options *options, struct errmsg *why) ERR_MUST_USE;

#endif
