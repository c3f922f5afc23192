/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checkpoint files of the data directory, and the mark of a clean stop.
 *
 * The recovery points and the cleaner's offsets are hints that may lag behind: they are written now
 * and then, by a job. A log start offset is a promise to whoever deleted records: it is written at
 * once.
 */
#ifndef FARSHORE_CLUSTER_LOG_CHECKPOINTS_H
#define FARSHORE_CLUSTER_LOG_CHECKPOINTS_H

#include "cluster/log/store_impl.h"

/* Read the files into s->known; what cannot be read is logged and left out. `fresh`: the directory
 * was made just now. ERR_NOMEM, ERR_IO. */
enum err checkpoints_load(struct store *s, bool fresh, struct errmsg *why) ERR_MUST_USE;

/* NULL: out of memory. */
struct checkpoints *checkpoints_new(struct store *s);
/* A running job frees itself. NULL is safe. */
void checkpoints_free(struct checkpoints *c);

bool checkpoints_running(const struct checkpoints *c);

/* Start to write recovery points and the cleaner's offsets; with `clean`, then the mark of a clean
 * stop. `done(s, e)`, from the loop, if not NULL. ERR_NOMEM: not started. No job may run. */
enum err checkpoints_write(struct checkpoints *c, bool clean,
			   void (*done)(struct store *s, enum err e)) ERR_MUST_USE;

/* Write the log start offsets and sync, now. */
enum err checkpoints_write_starts(struct store *s, struct errmsg *why) ERR_MUST_USE;

/* The log of that name was deleted: what the files say about it must not meet a later log. */
void checkpoints_forget(struct store *s, const char *name);

/* Before a log of that name is made: rewrite the files now, if they may know an earlier one. */
enum err checkpoints_settle(struct store *s, const char *name, struct errmsg *why) ERR_MUST_USE;

/* Take the mark of a clean stop away, and sync. *was: there was one. */
enum err checkpoints_take_mark(struct store *s, bool *was, struct errmsg *why) ERR_MUST_USE;

#endif
