/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compaction: one log at a time, the one with the most to gain (LogCleanerManager.java,
 * grabFilthiestCompactedLog). Used on the loop's thread.
 */
#ifndef FARSHORE_CLUSTER_LOG_CLEANER_H
#define FARSHORE_CLUSTER_LOG_CLEANER_H

#include "cluster/log/store_impl.h"

/* Looks for work every cleaner_backoff_ms. NULL: out of memory. */
struct cleaner *cleaner_new(struct store *s);
/* At once, as a crash would; a job that runs frees itself. NULL is safe. */
void cleaner_free(struct cleaner *c);

/* Begin nothing more, and bring what runs to an end soon: store_timers_cleaner_idle tells. */
void cleaner_stop(struct cleaner *c);
bool cleaner_busy(const struct cleaner *c);

/* The log is deleted: what runs on it has no effect any more. */
void cleaner_abandon(struct cleaner *c, struct plog *l);

/* The log is about to be cut: a swap of its files that has begun is completed first. */
enum err cleaner_settle(struct cleaner *c, struct plog *l, struct errmsg *why) ERR_MUST_USE;

#endif
