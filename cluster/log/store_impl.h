/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the log share about the store. Not for use outside cluster/log. */
#ifndef FARSHORE_CLUSTER_LOG_STORE_IMPL_H
#define FARSHORE_CLUSTER_LOG_STORE_IMPL_H

#include "cluster/log/disk.h"
#include "cluster/log/files.h"
#include "cluster/log/meta_file.h"
#include "cluster/log/store.h"
#include "lib/base/map.h"

enum {
	STORE_DIR_MAX = 3072,  /* bytes of the directory's path */
	STORE_NAME_MAX = 300,  /* bytes of a partition folder's name, a deleted one's included */
	STORE_REPAIR_MS = 1000 /* between attempts to write again after a failed sync */
};

/* What the checkpoint files say about a partition that is not open yet. */
struct store_known {
	int64_t recovery_point; /* -1: nothing */
	int64_t start;
	int64_t cleaned;
};

struct cleaner;
struct store_closing;
struct checkpoints;

struct store {
	struct loop *loop;
	struct log *log;
	const struct disk *disk;
	struct store_options options; /* without its strings */
	char *dir;
	int lock_fd;
	struct meta_file meta;
	char cluster_id[META_FILE_CLUSTER_ID_MAX + 1];
	struct files *files;
	struct map *logs;  /* folder name -> struct plog */
	struct map *known; /* folder name -> struct store_known, of those not open */
	struct plog *first, *last;
	bool clean; /* the last stop was */
	bool closing;
	bool checkpoints_dirty;
	struct loop_timer *sync_timer;       /* fsync=interval; flush.ms */
	struct loop_timer *repair_timer;     /* logs that refuse appends */
	struct loop_timer *checkpoint_timer; /* the checkpoint files */
	struct loop_timer *retention_timer;
	struct loop_timer *expiry_timer; /* idle producers */
	struct checkpoints *checkpoints; /* the job that writes them */
	struct cleaner *cleaner;
	struct store_closing *close;
};

/* True if appends are acknowledged, and seen, only when they are on disk. */
static inline bool store_always(const struct store *s)
{
	return s->options.fsync == STORE_FSYNC_ALWAYS;
}

/* Look again soon at logs that refuse appends. */
void store_repair_soon(struct store *s);

/* A log's job ended, or it had nothing to do: a clean stop may go on. */
void store_log_settled(struct store *s);

/* Take a log out of the store's lists. */
void store_forget(struct store *s, struct plog *l);

#endif
