/* SPDX-License-Identifier: Apache-2.0 */
/* Batches for the tests of cluster/log, with any head and any records, also wrong ones. */
#ifndef FARSHORE_TESTS_CLUSTER_LOG_BATCHES_H
#define FARSHORE_TESTS_CLUSTER_LOG_BATCHES_H

#include "lib/base/buf.h"
#include "lib/wire/batch.h"

struct batches_record {
	const char *key;   /* NULL: null */
	const char *value; /* NULL: null */
	int64_t timestamp;
	int32_t offset_delta;
};

/* A head as a producer without an id sends it: base timestamp 1000. */
struct batch_head batches_head(void);

/*
 * Append a batch with these records. Of `h`: base offset, epoch, attributes (the codec is used),
 * base timestamp, producer fields. Last offset delta, count and max timestamp are computed from the
 * records (also in *h) and can be changed with batches_stamp. Gives the whole batch, in `out`.
 */
struct bytes batches_make(struct buf *out, struct batch_head *h, const struct batches_record *v,
			  size_t n);

/* A batch of `n` records with keys and values, offset deltas 0..n-1, timestamps from the base
 * on. */
struct bytes batches_plain(struct buf *out, struct batch_head *h, int32_t n);

/* Put another head before a payload; the checksum is right. */
void batches_stamp(struct bytes whole, const struct batch_head *h);

/* Make the checksum right after the payload was changed. */
void batches_seal(struct bytes whole);

#endif
