/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of the load generator as ready frames, in the highest versions that the broker and the
 * schemas have in common, and what its answers say.
 */
#ifndef FARSHORE_TESTS_LOAD_FRAMES_H
#define FARSHORE_TESTS_LOAD_FRAMES_H

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/wire/messages.h"
#include "lib/wire/records.h"
#include "tests/tools/load_conn.h"

/* A topic of one broker as the broker describes it, and the versions to speak. */
struct load_topic {
	const char *name;
	struct uuid id;
	int32_t partitions;
	int16_t produce, fetch, metadata; /* versions */
};

/* Ask the broker, over a connection of its own. */
void load_topic_find(struct load_loop *l, const char *name, struct load_topic *t);

/* One batch for each of `n` partitions from `first` on (modulo their number), acks=all; the frame
 * replaces what `out` holds. */
void load_produce_frame(const struct load_topic *t, int32_t first, int32_t n,
			const struct bytes *batches, struct buf *out);

/* What to fetch: partitions first, first + step, ... from these offsets on. */
struct load_fetch {
	int32_t first, step;
	const int64_t *offsets; /* by partition */
	int32_t max_wait_ms, max_bytes, partition_max_bytes;
};
void load_fetch_frame(const struct load_topic *t, const struct load_fetch *f, struct buf *out);

/* Dies unless every partition in the answer is without error. `a` is scratch. */
void load_produce_check(const struct load_topic *t, struct bytes answer, struct arena *a);

/* What is to be done with an answer. */
struct load_reader {
	/* For each batch; its bytes live as long as the answer does. */
	void (*on_batch)(void *arg, int32_t partition, const struct batch_head *h,
			 struct bytes whole);
	void *arg;
	int64_t *high; /* high watermarks by partition are put here; may be NULL */
};
void load_fetch_read(const struct load_topic *t, struct bytes answer, struct arena *a,
		     const struct load_reader *to);

#endif
