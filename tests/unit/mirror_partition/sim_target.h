/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model of a target partition: takes produced batches by the rules of a Kafka leader
 * (LogValidator, ProducerStateManager, ProducerAppendInfo: checksum, dense offsets, the idempotent
 * producer's sequence with the last five batches of a producer kept to recognise duplicates), and
 * loses its tail in elections.
 */
#ifndef FARSHORE_TESTS_SIM_TARGET_H
#define FARSHORE_TESTS_SIM_TARGET_H

#include "lib/base/frame.h"
#include "lib/wire/batch.h"
#include "tests/unit/rng.h"

enum { SIM_CACHED = 5, SIM_WRITERS = 64 };

struct sim_landed {
	uint8_t *p;
	size_t n;
	struct batch_head head; /* base_offset: where it lies */
};

struct sim_writer {
	int64_t producer;
	int16_t epoch;
	int32_t last; /* sequence */
	size_t n;     /* of the newest batches, newest last */
	struct {
		int32_t first, last;
		int64_t base;
	} cached[SIM_CACHED];
};

struct sim_target {
	struct rng *g;
	size_t max_batch;
	struct sim_landed *batches;
	size_t n, cap;
	int64_t start, end;
	int64_t replicated; /* high watermark */
	int64_t acknowledged;
	struct sim_copy {
		uint64_t hash;
		int64_t id; /* as the record's value says */
	} * copies;         /* of the records, by offset */
	size_t copies_cap;
	struct sim_writer writers[SIM_WRITERS];
	size_t writers_n;
	/* Batches that were taken for the repetition of one with other records: nothing in the
	 * protocol tells them apart. */
	uint64_t collisions;
	uint64_t duplicates, refused[128]; /* counters, by Kafka's code */
};

void sim_target_init(struct sim_target *t, struct rng *g, size_t max_batch);
void sim_target_fini(struct sim_target *t);

/* Append what a producer sent: `*base` and ERR_OK, or the refusal. */
enum err sim_target_append(struct sim_target *t, struct bytes batch, int64_t *base);

/* The log loses what lies at and after `end`, to the next batch's beginning at or below it; the
 * writers' states are read again from what is left. */
void sim_target_truncate(struct sim_target *t, int64_t end);

/* Retention: what lies wholly below `start` cannot be read any more. What its writers wrote last
 * stays known (ProducerStateManager forgets by time alone). */
void sim_target_retain(struct sim_target *t, int64_t start);

/* Up to `batches` whole batches from the one that holds `offset`, below the high watermark; a new
 * frame, NULL if there is none. */
struct frame *sim_target_read(const struct sim_target *t, int64_t offset, size_t batches);

#endif
