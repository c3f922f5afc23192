/* SPDX-License-Identifier: Apache-2.0 */
/* What is shown of a partition's takeover: in /v1/links and in the metrics. */
#ifndef FARSHORE_MIRROR_TAKEOVER_STATUS_H
#define FARSHORE_MIRROR_TAKEOVER_STATUS_H

#include <jansson.h>

#include "mirror/partition/partition.h"

enum { TAKEOVER_COUNTS = 5 };

struct takeover_count {
	const char *kind;
	int64_t records;
};

/* The records that were compared, by kind; none if this process did not take it over. */
size_t takeover_status_counts(const struct partition *p,
			      struct takeover_count out[TAKEOVER_COUNTS]);

/* The object "takeover", the caller's; NULL: there is nothing to show (or no memory). */
json_t *takeover_status_json(const struct partition *p);

#endif
