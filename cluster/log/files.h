/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open files, up to a cap: where one more is wanted, the one that was used longest ago is closed.
 * An owner has a slot (a pointer) for each of its files; the slot becomes NULL when its file is
 * closed for room. Whoever needs a file beyond the present call takes a reference.
 *
 * References are counted without locks, on the loop's thread; a job on the pool holds one that the
 * loop took before and drops after.
 */
#ifndef FARSHORE_CLUSTER_LOG_FILES_H
#define FARSHORE_CLUSTER_LOG_FILES_H

#include "cluster/log/disk.h"
#include "cluster/log/plog.h"

struct files;

struct files *files_new(const struct disk *d, int max); /* NULL: out of memory */

/* Files that are still referenced live on. NULL is safe. */
void files_free(struct files *f);

/* The file in `*slot`, opened with `flags` if it is NULL. It is in the slot until the next call for
 * another slot, or files_close. ERR_NOT_FOUND, ERR_IO, ERR_NOMEM. */
enum err files_open(struct files *f, struct plog_file **slot, const char *path, int flags,
		    struct errmsg *why) ERR_MUST_USE;

/* Empty the slot; the file closes when its last reference goes. */
void files_close(struct plog_file **slot);

int files_count(const struct files *f); /* open ones, but for those that only references hold */

int files_fd(const struct plog_file *f);
struct plog_file *files_ref(struct plog_file *f);

#endif
