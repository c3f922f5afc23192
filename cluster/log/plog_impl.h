/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the log share about one partition. Not for use outside cluster/log.
 *
 * Invariants:
 * - There is at least one segment; they are ordered by base offset; the last is the active one. All
 *   bytes of a segment below `size` are whole batches (unless it was damaged on disk).
 * - start <= hw <= end, and stored.offset <= end. With fsync=always, hw is `stored`.
 * - Bytes above a segment's `size` do not count, whatever a failed write left there.
 */
#ifndef FARSHORE_CLUSTER_LOG_PLOG_IMPL_H
#define FARSHORE_CLUSTER_LOG_PLOG_IMPL_H

#include "cluster/log/diskio.h"
#include "cluster/log/epochs.h"
#include "cluster/log/files.h"
#include "cluster/log/index.h"
#include "cluster/log/plog.h"
#include "cluster/log/producers.h"
#include "cluster/log/scan.h"
#include "cluster/log/store_impl.h"

enum {
	PLOG_PRODUCERS_MAX = 20000, /* that one log remembers */
	PLOG_SEGMENTS_MAX = 1 << 20,
	PLOG_WINDOW = 4096, /* bytes read at once when heads are looked for */
	PLOG_SCAN_WINDOW = 256 * 1024
};

/* ---- segments (segment.c) ---- */

struct segment {
	int64_t base;
	int64_t next; /* behind its last batch; of older ones perhaps the next one's base */
	int64_t size; /* bytes of batches */
	struct plog_file *log_file;
	struct plog_file *index_file; /* only where `index` is NULL */
	struct index *index;   /* always of the active one that was used; and of those that are
					 not in the files yet */
	int64_t max_timestamp; /* -1: none; valid if times_known */
	int64_t max_timestamp_offset; /* last offset of the batch with it */
	int64_t first_timestamp;      /* of the first batch; -1: unknown */
	int64_t modified_ms;          /* when it was made or last written, wall clock */
	uint32_t entries_n;           /* of the index file; valid with index_file */
	bool times_known;
	bool times_hinted; /* they are from the files, which may be wrong */
	bool damage_told;  /* in a log line */
	bool dirty;        /* bytes, or a cut, are not synced */
	bool saved;        /* the index files are complete and synced */
	bool excess;       /* a failed write left bytes above `size` that have to go first */
};

struct plog_mark {
	int64_t offset;
	int64_t segment; /* base */
	int64_t position;
};

struct commit;

struct plog {
	struct store *store;
	struct plog *next, *prev; /* the store's */
	char *name;               /* the folder: "orders-3" */
	size_t topic_n;           /* bytes of the topic in it */
	int32_t partition;
	struct uuid topic_id;
	struct plog_config config;

	struct segment **segments;
	size_t segments_n, segments_cap;
	int64_t size; /* of all segments */
	int64_t start, end;
	bool start_kept;         /* the file of the starts may have an entry for this log */
	struct plog_mark stored; /* everything below is on disk; offset alone counts but with
				    fsync=always */
	int64_t recovery_point;  /* for the checkpoint: nothing below needs a look after a crash */
	int64_t risk_from, risk_until; /* offsets whose sync failed, fsync=interval or never; empty:
					  both 0 */
	uint64_t cuts;                 /* how often the end moved back */

	struct epochs epochs;
	bool epochs_loaded;
	uint32_t epochs_changed, epochs_saved; /* versions: equal when the file is right */
	struct producers *producers;           /* NULL: not loaded */
	uint64_t displaced_told;               /* producers that a log line told of */
	int64_t snapshot_at;                   /* offset of the latest snapshot file; -1: none */
	struct buf snapshot;                   /* to be written by the next commit... */
	int64_t snapshot_offset;               /* ...with this offset; -1: none */

	struct commit *commit; /* NULL: nothing was written yet */
	bool folder_dirty;     /* names in the folder are not synced */
	bool parent_dirty;     /* the folder's own name */
	bool metadata_dirty;   /* partition.metadata is to be written */
	bool roll_due;         /* the next append goes to a new segment */
	int64_t refused_until; /* monotonic: no new attempt before */
	bool refused;          /* the last write failed, and that was logged */
	bool failed;           /* a sync failed: no appends until repaired; fsync=always */
	bool writes_failed;    /* of small files: not to be tried again for a second */
	bool deleted;
	bool watch_due;   /* the high watermark moved */
	int64_t flush_at; /* flush.ms: when the oldest unsynced append was; wall clock, 0: none */

	bool retention_due; /* the end of a commit applies it */

	bool cleaning;    /* the cleaner works on it: its segments must stay */
	bool uncleanable; /* it met damage in there */
	int64_t cleaned;  /* below is compacted; -1: never */

	struct plog_wait *waits;
	struct plog_watch *watches;
	struct loop_deferred wake; /* call waits and watches */
	struct loop_deferred kick; /* start a commit */
	int kick_scope;            /* enum commit_scope */
	struct loop_deferred bury; /* free, after a delete */
};

static inline struct segment *plog_active(const struct plog *l)
{
	return l->segments[l->segments_n - 1];
}

/* The mark at the end of the log. */
struct plog_mark plog_mark_end(const struct plog *l);
/* What is on disk: the mark is moved to the segment that its offset belongs to now. */
void plog_set_stored(struct plog *l, struct plog_mark at);
/* Readers see what is below. */
struct plog_mark plog_mark_visible(const struct plog *l);

/* DIR/NAME/BASE.suffix, DIR/NAME/file, DIR/NAME */
void plog_path(const struct plog *l, int64_t base, const char *suffix, char out[DISKIO_PATH]);
void plog_path_file(const struct plog *l, const char *file, char out[DISKIO_PATH]);
void plog_path_folder(const struct plog *l, char out[DISKIO_PATH]);

/* A log object without files; ERR_NOMEM. */
enum err plog_new(struct store *s, const char *topic, int32_t partition,
		  const struct uuid *topic_id, const struct plog_config *config,
		  struct plog **out) ERR_MUST_USE;
void plog_free(struct plog *l); /* forgets waits and watches; a running commit is orphaned */

/* The high watermark or the log's health changed: waits and watches hear of it, from the loop. */
void plog_wake(struct plog *l);

/* Index of the segment that holds `offset` (or the gap before the next batch); -1: below all. */
ptrdiff_t plog_segment_at(const struct plog *l, int64_t offset);

enum err plog_add_segment(struct plog *l, struct segment *g) ERR_MUST_USE;
/* Take segment `i` out, its memory too; its files are left. */
void plog_drop_segment(struct plog *l, size_t i);
/* Start a new, empty active segment at the end. */
enum err plog_roll(struct plog *l, struct errmsg *why) ERR_MUST_USE;
/* Cut the log at a batch's edge: files, indexes, producers, epochs. */
enum err plog_cut(struct plog *l, const struct plog_mark *at, struct errmsg *why) ERR_MUST_USE;

enum err plog_load_epochs(struct plog *l, struct errmsg *why) ERR_MUST_USE;
enum err plog_load_producers(struct plog *l, struct errmsg *why) ERR_MUST_USE;
/* Keep the producers' state as of the end for the next commit's snapshot file. */
void plog_take_snapshot(struct plog *l);

/* The sync failed with fsync=always: refuse appends, tell those who wait, try to repair. */
void plog_fail(struct plog *l);
void plog_repair(struct plog *l);

struct segment *segment_new(int64_t base); /* NULL: out of memory */
void segment_free(struct segment *g);      /* closes its files; NULL is safe */

/* Make the file of a new segment. */
enum err segment_create(struct plog *l, struct segment *g, struct errmsg *why) ERR_MUST_USE;
/* The log file is open. */
enum err segment_open(struct plog *l, struct segment *g, struct errmsg *why) ERR_MUST_USE;

/* Put `segment->index` in memory: from the files, or, if they are missing or wrong, from the
 * heads. */
enum err segment_load_index(struct plog *l, struct segment *g, struct errmsg *why) ERR_MUST_USE;
/* From the heads, whatever the files say. */
enum err segment_build_index(struct plog *l, struct segment *g, struct errmsg *why) ERR_MUST_USE;
/* The index files say what is no longer so: away with them, before the recovery point moves past
 * it. What is in memory has to be written anew. */
void segment_discard_index(struct plog *l, struct segment *g);
/* max_timestamp and max_timestamp_offset are known. */
enum err segment_load_times(struct plog *l, struct segment *g, struct errmsg *why) ERR_MUST_USE;
/* The same, but the batch heads have said so: before something is deleted for it. */
enum err segment_check_times(struct plog *l, struct segment *g, struct errmsg *why) ERR_MUST_USE;
/* first_timestamp is known, if there is a batch. */
enum err segment_load_first(struct plog *l, struct segment *g, struct errmsg *why) ERR_MUST_USE;

/* Cut off what a failed write left behind the last batch. */
enum err segment_drop_excess(struct plog *l, struct segment *g, struct errmsg *why) ERR_MUST_USE;

/* Note a batch that was written behind the others; index_reserve was called. */
void segment_add(struct segment *g, const struct batch_head *h, int64_t interval);

/*
 * The first batch with a last offset >= `offset`: its position and head. ERR_NOT_FOUND: none below
 * `size`. ERR_CORRUPT: what stands there is no batch. ERR_IO, ERR_NOMEM.
 */
enum err segment_find(struct plog *l, struct segment *g, int64_t offset, int64_t *position,
		      struct batch_head *h, struct errmsg *why) ERR_MUST_USE;

/* A damaged segment is named in one log line: it has to be looked at by a person. */
void segment_tell_damage(struct plog *l, struct segment *g, int64_t offset, const char *reason);

/* ERR_CORRUPT for a scan's ERR_MALFORMED: the disk's fault, not a peer's. Tells of the damage. */
enum err segment_scan_error(struct plog *l, struct segment *g, int64_t offset, enum err e,
			    struct errmsg *why) ERR_MUST_USE;

/* Unlink all files of a segment, the log last. ERR_IO: that is still there. */
enum err segment_remove_files(const struct disk *d, const char *folder, int64_t base,
			      struct errmsg *why) ERR_MUST_USE;

/* ---- syncs (commit.c) ---- */

enum commit_scope {
	COMMIT_NONE,
	COMMIT_ROLLED, /* what is behind the active segment */
	COMMIT_ALL,    /* and the active one */
	COMMIT_FINAL   /* and its index, and a producer snapshot: a clean stop */
};

/* Before the first write: what a commit needs is there, so that starting one cannot fail for
 * memory. */
enum err commit_prepare(struct plog *l) ERR_MUST_USE;
/* Start one soon, unless everything in the scope is on disk. */
void commit_soon(struct plog *l, enum commit_scope scope);
bool commit_running(const struct plog *l);
/* A running commit writes the index of some segment. */
bool commit_writes_index(const struct plog *l);
/* True if a commit of that scope has nothing to do. */
bool commit_settled(const struct plog *l, enum commit_scope scope);
/* The folder is about to be renamed: a running job writes no more files by their names. */
void commit_leave_folder(struct plog *l);
/* The log goes away; a running job frees itself. */
void commit_orphan(struct commit *c);

/* ---- opening (recovery.c) ---- */

/* Read the folder and fill in the log; `known` is what the checkpoints say (or NULL). */
enum err recovery_open(struct plog *l, const struct store_known *known, bool clean,
		       struct errmsg *why) ERR_MUST_USE;

/* ---- retention.c ---- */

/* Remove what the configuration and the log start allow to. */
void retention_apply(struct plog *l, int64_t wall_ms);

#endif
