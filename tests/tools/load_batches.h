/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Record batches for the load generator.
 */
#ifndef FARSHORE_TESTS_LOAD_BATCHES_H
#define FARSHORE_TESTS_LOAD_BATCHES_H

#include "lib/base/buf.h"
#include "lib/wire/records.h"

enum load_values { LOAD_VALUES_RANDOM, LOAD_VALUES_JSON };

/* What one batch is made of. */
struct load_shape {
	enum load_values values;
	enum batch_codec codec;
	size_t record_bytes; /* of the value; keys are null */
	int32_t records;     /* in a batch */
};

/* A new batch for each `seed`; it replaces what `out` holds. */
void load_batch_make(const struct load_shape *s, uint64_t seed, struct buf *out);

/* One record, whose value starts with the number `stamp`. The base of a batch is always 0. */
void load_batch_stamped(size_t record_bytes, uint64_t stamp, struct buf *out);

/* The next stamp of an uncompressed batch behind `*at` (0 at first), which moves on: a mirror may
 * have put several such records into one batch. False if there is none. */
bool load_batch_stamp(struct bytes whole, size_t *at, uint64_t *stamp);

#endif
