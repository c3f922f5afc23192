/* SPDX-License-Identifier: Apache-2.0 */
/* Files and folders that have their last name and are only to be removed: off the loop, since that
 * of a large file takes long. What cannot be removed is logged; the next start removes it. */
#ifndef FARSHORE_CLUSTER_LOG_REAPER_H
#define FARSHORE_CLUSTER_LOG_REAPER_H

#include "cluster/log/disk.h"
#include "lib/net/loop.h"

struct reaper;

/* NULL: out of memory. `folder`: the one that the names are in. */
struct reaper *reaper_new(struct loop *l, const struct disk *d, const char *folder);

/* A file in the folder. ERR_NOMEM: it is not noted. */
enum err reaper_add(struct reaper *r, const char *name) ERR_MUST_USE;

/* The folder itself, with all its files. Its parent is synced before. */
void reaper_add_folder(struct reaper *r);

/* Start; the reaper frees itself when it is done. `sync`: sync the folder first. NULL is safe. */
void reaper_start(struct reaper *r, bool sync);

#endif
