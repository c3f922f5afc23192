/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data directory: one folder per partition in Kafka's own file formats, the checkpoints beside
 * them, and what all logs share: the cap on open files, the pool that syncs, the periodic work
 * (retention, rolling by time, compaction).
 *
 * DIR/.lock                               one process per directory
 * DIR/meta.properties                     version=1, cluster.id, node.id, directory.id
 * DIR/.kafka_cleanshutdown                written by a clean stop, removed by the next start
 * DIR/recovery-point-offset-checkpoint    per partition: everything below is on disk
 * DIR/log-start-offset-checkpoint         per partition: where DeleteRecords moved the start to
 * DIR/TOPIC-N/                            partition N; partition.metadata has the topic id
 *
 * After a clean stop the recovery point is the end of the log, and a start reads no data. After a
 * crash each log is checked from its recovery point on, and cut at the first bad batch.
 */
#ifndef FARSHORE_CLUSTER_LOG_STORE_H
#define FARSHORE_CLUSTER_LOG_STORE_H

#include "cluster/log/plog.h"
#include "lib/net/loop.h"

struct store;
struct disk; /* cluster/log/disk.h: the system calls, as a table for tests */

/* When an append counts as stored. */
enum store_fsync {
	STORE_FSYNC_ALWAYS,   /* when fsync returned; readers see no record before that */
	STORE_FSYNC_INTERVAL, /* when written; synced every `fsync_interval_ms` */
	STORE_FSYNC_NEVER     /* when written; the system writes back when it likes */
};

struct store_options {
	const char *dir; /* made if it does not exist (its parent must) */
	enum store_fsync fsync;
	int64_t fsync_interval_ms;
	int open_files_max; /* log and index files held open, all partitions together */
	int64_t retention_check_interval_ms;
	int64_t cleaner_backoff_ms; /* wait between looks for a log to compact */
	size_t cleaner_memory;      /* bytes that one compaction may take for its key table */
	int64_t producer_id_expiration_ms; /* idle producers are forgotten after this */
	const struct disk *disk;           /* NULL: the system's */
	int32_t node_id;                   /* held against meta.properties */
	const char *cluster_id;            /* for a new directory; NULL: a random one */
};

/* Open or make the directory and take its lock; no partition is opened yet.
 * ERR_CONFIG: not a directory, locked by another process, of another node or version (`why` says
 * what to do). ERR_IO, ERR_NOMEM. */
enum err store_open(struct loop *l, const struct store_options *o, struct store **out,
		    struct errmsg *why) ERR_MUST_USE;

/* Stop at once, as a crash would, but free everything: for tests and failed starts. No plog may be
 * used afterwards. NULL is safe. */
void store_free(struct store *s);

/* Clean stop: sync all logs, write checkpoints, producer snapshots and the clean mark; then
 * `done(arg, e)`, from the loop. Nothing may be appended from this call on. Follow with
 * store_free. */
void store_close(struct store *s, void (*done)(void *arg, enum err e), void *arg);

/* 22 characters as in meta.properties. */
const char *store_cluster_id(const struct store *s);
struct uuid store_directory_id(const struct store *s);
const char *store_dir(const struct store *s);

/*
 * The log of a partition: opened (recovered first if the last stop was not clean), or made when it
 * is not on disk and `create` is true. `topic_id` zero: a log without one (__cluster_metadata).
 * The same partition gives the same object. It lives until store_delete or store_free.
 * ERR_NOT_FOUND: not on disk. ERR_MALFORMED: the folder belongs to another topic id. ERR_IO,
 * ERR_NOMEM.
 */
enum err store_log(struct store *s, const char *topic, int32_t partition,
		   const struct uuid *topic_id, const struct plog_config *config, bool create,
		   struct plog **out, struct errmsg *why) ERR_MUST_USE;

/* Delete a log: its folder is renamed at once (crash-safe) and removed off the loop. Waiters get
 * ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION; `log` is freed at the end of the loop turn; reads that are
 * on their way to a socket end well, since they hold the file. */
void store_delete(struct store *s, struct plog *log);

/* Call `fn` for every partition folder on disk that no store_log has opened, such as one that was
 * left by a crash between the metadata record and the removal. `fn` returns true to have it
 * deleted. */
void store_strays(struct store *s,
		  bool (*fn)(void *arg, const char *topic, int32_t partition,
			     const struct uuid *topic_id),
		  void *arg);

/* Iterate over the open logs: start with NULL. */
struct plog *store_next(const struct store *s, struct plog *after);

/* For metrics and DescribeLogDirs; bytes of the file system that holds the directory. -1:
 * unknown. */
void store_space(const struct store *s, int64_t *total, int64_t *usable);

#endif
