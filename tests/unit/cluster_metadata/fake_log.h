/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store in memory in place of cluster/log: what the metadata need of it, with every failure at
 * the test's command. A `struct fake_disk` outlives the store, so that a test can crash and start
 * again: what was not synced may be lost, from some batch on.
 */
#ifndef FARSHORE_TESTS_FAKE_LOG_H
#define FARSHORE_TESTS_FAKE_LOG_H

#include "cluster/log/store.h"

struct fake_disk;

struct fake_disk *fake_disk_new(struct loop *l);
void fake_disk_free(struct fake_disk *d);

/* The store on it, as if just opened; gone with fake_disk_crash. */
struct store *fake_disk_store(struct fake_disk *d);

/* Syncs complete at the next turn of the loop (the default), or when fake_disk_sync says how. */
void fake_disk_hold_syncs(struct fake_disk *d, bool hold);
/* All that is appended is on disk, or none of what was not; waiters are told, last one first. */
void fake_disk_sync(struct fake_disk *d, bool ok);

/* The next call fails. */
void fake_disk_fail_append(struct fake_disk *d, bool fail);
void fake_disk_fail_truncate(struct fake_disk *d, bool fail);
/* Partitions other than the metadata's cannot be opened. */
void fake_disk_fail_open(struct fake_disk *d, bool fail);

/* The process is gone. Of each log's batches that were not synced `keep` survive. */
void fake_disk_crash(struct fake_disk *d, size_t keep);

/* Batches of the metadata log that are not synced. */
size_t fake_disk_unsynced(struct fake_disk *d);

/* Folders "topic-N" that are there. */
size_t fake_disk_folders(const struct fake_disk *d);
bool fake_disk_has(const struct fake_disk *d, const char *topic, int32_t partition);
/* Make one that no metadata know. */
void fake_disk_add_folder(struct fake_disk *d, const char *topic, int32_t partition,
			  const struct uuid *id);

/* Append a batch to the metadata log behind everybody's back, as it is but for its offsets. */
void fake_disk_plant(struct fake_disk *d, struct bytes batch);
/* Flip one bit of its last batch's last byte. */
void fake_disk_damage(struct fake_disk *d);

/* The configuration that a log was given last. */
const struct plog_config *fake_log_config(const struct plog *l);

#endif
