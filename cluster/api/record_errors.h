/* SPDX-License-Identifier: Apache-2.0 */
/* Which records of a batch that was refused are wrong (KIP-467). */
#ifndef FARSHORE_CLUSTER_API_RECORD_ERRORS_H
#define FARSHORE_CLUSTER_API_RECORD_ERRORS_H

#include "cluster/log/plog.h"
#include "lib/base/arena.h"

enum { RECORD_ERRORS_MAX = 1000 }; /* named in one answer */

/*
 * The indexes of the records that are wrong as record `first` is, which is the first of them:
 * without a key (ERR_KAFKA_INVALID_RECORD), or with a time out of range
 * (ERR_KAFKA_INVALID_TIMESTAMP; `now` in ms since the epoch). `*list` lives in the arena; at least
 * `first` is in it. NULL: out of memory.
 */
const int32_t *record_errors_list(struct arena *a, struct bytes batch, enum err e, int32_t first,
				  const struct plog_config *c, int64_t now, int32_t *n);

#endif
