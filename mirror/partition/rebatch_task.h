/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The slow path: batches that a stock broker would refuse or change, or that are too small to
 * travel alone, are rebuilt on a worker thread (lib/wire/rebatch.h). A task owns the units that it
 * rebuilds.
 */
#ifndef FARSHORE_MIRROR_REBATCH_TASK_H
#define FARSHORE_MIRROR_REBATCH_TASK_H

#include "lib/base/worker.h"
#include "mirror/partition/partition.h"

struct rebatch_task;

/* If the head of `p`'s queue must be rebuilt, or is worth coalescing, take those units into a new
 * task; NULL: send the head as it is. ERR_NOMEM in `*e` leaves the queue as it was. */
struct rebatch_task *rebatch_task_of_queue(struct partition *p, enum err *e);

/* The head of `p`'s queue alone, its records from the position to `trim_from` (exclusive), in one
 * batch of any size. NULL when out of memory. */
struct rebatch_task *rebatch_task_trial(struct partition *p, int64_t trim_from);

/* Run it on `pool`; partition_on_rebatched follows, from the loop, unless it was cancelled. */
void rebatch_task_start(struct rebatch_task *task, struct worker_pool *pool);

/* The first source offset that the task rebuilds. */
int64_t rebatch_task_offset(const struct rebatch_task *task);

/* Where what it takes in ends, exclusive. */
int64_t rebatch_task_end(const struct rebatch_task *task);

/* The frame that holds what was rebuilt; NULL after an error. */
struct frame *rebatch_task_frame(const struct rebatch_task *task);

/* Put the rebuilt batches in front of `queue`. Returns the worker's error (see rebatch_encode), or
 * ERR_NOMEM. */
enum err rebatch_task_result(struct rebatch_task *task, struct unit_queue *queue,
			     struct errmsg *why) ERR_MUST_USE;

/* How many batches it rebuilds together. */
size_t rebatch_task_inputs(const struct rebatch_task *task);

/* Put the batches that it took back in front of `queue`, as they were. */
void rebatch_task_give_back(struct rebatch_task *task, struct unit_queue *queue);

/* The partition does not want it any more: it frees itself when the worker is done. */
void rebatch_task_cancel(struct rebatch_task *task);

/* After rebatch_task_result. */
void rebatch_task_free(struct rebatch_task *task);

#endif
