/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What MM2 measures of a mirrored partition (MirrorSourceMetrics.java), from the heads of the
 * batches that were copied: how old the records were when they came from the source, and when the
 * target had them; how many came a second.
 *
 * MM2 looks at every record. A batch's head has the time of its first and of its newest record: the
 * least is that of the newest, the greatest that of the first, and the mean of the two counts for
 * each of its records. Where timestamps rise within a batch, as they do unless producers set their
 * own, least and greatest are exact, and the mean is between them.
 *
 * As with Kafka's own sensors (SampledStat, two samples of 30 s), what is told is that of the last
 * 30 to 60 s.
 */
#ifndef FARSHORE_MIRROR_METER_H
#define FARSHORE_MIRROR_METER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"

enum { METER_SAMPLE_MS = 30 * 1000, METER_SAMPLES = 2 };

struct meter_stat {
	int64_t min, max; /* ms */
	double sum;       /* over records */
	int64_t n;        /* records */
};

/* 30 s. */
struct meter_sample {
	int64_t began_ms; /* monotonic */
	int64_t records, bytes;
	struct meter_stat age, latency;
};

struct meter {
	struct meter_sample samples[METER_SAMPLES]; /* [0] is the present one */
	int64_t age, latency;                       /* ms, of the newest record; `timed` */
	bool timed;                                 /* a record had a time */
};

/* A batch that the target has. */
struct meter_batch {
	int64_t records, bytes;
	int64_t first_timestamp, max_timestamp; /* wall clock ms; negative: none */
	int64_t fetched_ms, acked_ms;           /* wall clock */
};

/* `*m` NULL: it is made. Out of memory, the batch is not measured. */
void meter_add(struct meter **m, int64_t mono_ms, const struct meter_batch *b);
void meter_free(struct meter *m);

/* Averages of the last 30 to 60 s; `n` 0: there was nothing. */
struct meter_view {
	double records_per_s, bytes_per_s;
	struct meter_stat age, latency;
};
struct meter_view meter_read(const struct meter *m, int64_t mono_ms);

#endif
