/* SPDX-License-Identifier: Apache-2.0 */
/* The part of a compaction that runs on the pool: reads segments, writes new ones. */
#ifndef FARSHORE_CLUSTER_LOG_CLEANER_ROUND_H
#define FARSHORE_CLUSTER_LOG_CLEANER_ROUND_H

#include <stdatomic.h>

#include "cluster/log/cleaner_pass.h"
#include "cluster/log/plog_impl.h"

/* A segment as it was when the round began. */
struct cleaner_source {
	int64_t base, next, size;
};

enum cleaner_step {
	CLEANER_INDEX, /* read the dirty part: the last offset of each key */
	CLEANER_WRITE, /* write what a group of segments becomes */
	CLEANER_SYNC   /* sync the folder, after the new files got their next names */
};

struct cleaner_round {
	struct worker_job job;
	struct cleaner *owner; /* NULL: it went away */
	struct plog *log;      /* NULL: it was deleted */
	struct loop *loop;
	const struct disk *disk;
	char *folder;
	uint64_t cuts; /* of the log, when the round began */
	_Atomic bool stop;

	struct plog_config config;
	struct cleaner_pass *pass;
	struct producers *producers; /* a copy */
	struct cleaner_source *sources;
	size_t sources_n;
	int64_t from; /* first dirty offset */

	enum cleaner_step step;
	bool swapping; /* the group's new files are .swap, its old ones still in place */
	bool synced;   /* those names are on disk */
	bool running;

	/* The group at work: sources group .. group + group_n - 1. */
	size_t group, group_n;
	bool changed; /* some batch of it is not as it was */
	struct index *index;
	int64_t size, max_timestamp, max_timestamp_offset, first_timestamp;
	struct buf out, batch;
	int out_fd;
	int64_t written; /* of `out`'s file */

	enum err e;
	struct errmsg why;
};

/* The job's work for the step; sets r->e. */
void cleaner_round_run(struct cleaner_round *r);

/* Remove what was written for the group and did not get its next name. Any thread. */
void cleaner_round_discard(const struct cleaner_round *r);

/* FOLDER/BASE.suffix */
void cleaner_round_path(const struct cleaner_round *r, int64_t base, const char *suffix,
			char out[DISKIO_PATH]);

#endif
