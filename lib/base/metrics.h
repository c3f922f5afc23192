/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A writer of Prometheus' text format (exposition format 0.0.4). There is no registry: who owns the
 * numbers walks over them when a page is asked for. Begin a family, then write its samples; a
 * family's samples must stand together.
 *
 * Names of families and labels are the program's own and are asserted; label values may be
 * anything: they are escaped, and bytes that are not UTF-8 become "?".
 */
#ifndef FARSHORE_BASE_METRICS_H
#define FARSHORE_BASE_METRICS_H

#include "lib/base/buf.h"

enum metrics_type { METRICS_COUNTER, METRICS_GAUGE, METRICS_HISTOGRAM };

/* A page in the making; `out` is borrowed and has the error (buf.h), if any. */
struct metrics {
	struct buf *out;
	const char *family;
	enum metrics_type type;
};

struct metrics_label {
	const char *name;
	const char *value;
};

/* Upper bounds of the buckets, growing; one more bucket counts all above the last. */
enum { METRICS_BUCKETS_MAX = 32 };
struct metrics_histogram {
	const double *bounds; /* borrowed, static */
	unsigned bounds_n;    /* up to METRICS_BUCKETS_MAX */
	uint64_t counts[METRICS_BUCKETS_MAX + 1];
	double sum;
};

void metrics_init(struct metrics *m, struct buf *out);

/* `name` lives until the next family; a counter's ends in "_total". */
void metrics_family(struct metrics *m, const char *name, enum metrics_type type, const char *help);

/* One sample of a counter or gauge. `labels` ends with an entry whose name is NULL, and may itself
 * be NULL. */
void metrics_int(struct metrics *m, const struct metrics_label *labels, int64_t value);
void metrics_double(struct metrics *m, const struct metrics_label *labels, double value);

/* The buckets, the sum and the count of one histogram. */
void metrics_histogram(struct metrics *m, const struct metrics_label *labels,
		       const struct metrics_histogram *h);

void metrics_histogram_init(struct metrics_histogram *h, const double *bounds, unsigned bounds_n);
void metrics_histogram_add(struct metrics_histogram *h, double value);

#define METRICS_LABELS(...) \
	((const struct metrics_label[]){__VA_ARGS__, {.name = NULL, .value = NULL}})

#endif
