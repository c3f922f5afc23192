/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small pool of threads for work that would block the event loop: host name look-ups, re-encoding
 * a batch.
 *
 * `run` is called on a pool thread and must touch only what its job owns; `done` is called later on
 * the loop's thread, from worker_pool_reap. Every job that was accepted is completed exactly once,
 * cancelled ones included.
 */
#ifndef FARSHORE_BASE_WORKER_H
#define FARSHORE_BASE_WORKER_H

#include "lib/base/err.h"

struct worker_pool;

/* Embed this first in the job's own struct. The job must live until `done`. */
struct worker_job {
	void (*run)(struct worker_job *job);
	void (*done)(struct worker_job *job);
	struct worker_job *next; /* the pool's */
};

/* `threads` in 1..16. ERR_NOMEM, or ERR_IO with the system's reason in `why`. */
enum err worker_pool_new(unsigned threads, struct worker_pool **out,
			 struct errmsg *why) ERR_MUST_USE;

/* Waits for the running jobs, then completes all that are left (their `run` may be skipped: such a
 * job gets only `done`). */
void worker_pool_free(struct worker_pool *p);

/* Hand over a job. Jobs start in order. */
void worker_pool_submit(struct worker_pool *p, struct worker_job *job);

/* A descriptor that is readable when finished jobs wait for worker_pool_reap. Owned by the pool. */
int worker_pool_fd(const struct worker_pool *p);

/* Call `done` of every finished job. */
void worker_pool_reap(struct worker_pool *p);

/* Jobs submitted and not yet reaped. */
unsigned worker_pool_pending(const struct worker_pool *p);

#endif
