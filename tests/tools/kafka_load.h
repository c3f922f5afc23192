/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands of the load generator. Each prints one line of JSON and returns; a fault ends the
 * program.
 */
#ifndef FARSHORE_TESTS_KAFKA_LOAD_H
#define FARSHORE_TESTS_KAFKA_LOAD_H

#include "tests/tools/load_batches.h"
#include "tests/tools/load_frames.h"

struct load_options {
	struct load_shape shape;
	int64_t bytes; /* to produce, as stored */
	unsigned connections;
	unsigned in_flight;             /* requests on each connection */
	int32_t partitions_per_request; /* one batch for each */
	int64_t records;                /* to pace: seconds * rate */
	unsigned passes;                /* to consume */
	unsigned rate, seconds;
	int32_t max_wait_ms;
	int64_t first; /* number of the first paced record; lower ones are of earlier runs */
	char *far;     /* HOST:PORT of a second cluster to read from, or NULL ... */
	const char *far_topic; /* ... and the mirrored topic there */
};

/* Send the same few requests again and again, until so many bytes are acknowledged (acks=all). */
void load_produce(struct load_loop *l, const struct load_topic *t, const struct load_options *o);

/* Fetch all partitions from their start to their end, `passes` times. Heads of batches are read,
 * payloads are not. */
void load_consume(struct load_loop *l, const struct load_topic *t, const struct load_options *o);

/* One record each 1/rate s, and a consumer that waits for them: how long until the acknowledgement
 * and until the consumer has it, from the moment when the record was due. */
void load_pace(struct load_loop *l, const struct load_topic *t, const struct load_options *o);

/* `connections` consumers at the end of the log, each with one fetch that waits; for `seconds`. */
void load_idle(struct load_loop *l, const struct load_topic *t, const struct load_options *o);

/* CPU-seconds of this process so far. */
double load_cpu_s(void);

#endif
