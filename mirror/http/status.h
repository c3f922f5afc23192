/* SPDX-License-Identifier: Apache-2.0 */
/* What the mirror shows of itself: Prometheus metrics and the JSON of /v1/links. */
#ifndef FARSHORE_MIRROR_STATUS_H
#define FARSHORE_MIRROR_STATUS_H

#include "lib/base/buf.h"
#include "mirror/link/link.h"
#include "mirror/link/memory.h"

struct status_source {
	struct link *const *links;
	size_t links_n;
	const struct memory *memory;
	const struct clock *clock;
	int64_t started_ms; /* wall clock */
	bool mm2;           /* MM2's metrics, too */
};

/* The page of /metrics, appended to `out` (whose error says if it did not fit). */
void status_metrics(const struct status_source *s, struct buf *out);

/* {program, version, now_ms, links:[{name, state, reason, since_ms, partitions:{state: how many},
 * topics:[{source, target, problem, partitions:[...]}]}]}; `only` NULL: all links; without `topics`
 * only their sums. Times are the daemon's clock. */
void status_links(const struct status_source *s, const char *only, bool topics, struct buf *out);

#endif
