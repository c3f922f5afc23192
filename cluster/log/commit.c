/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Group commit: one job per log at a time on the worker pool. What it syncs is fixed when it
 * starts; what is appended meanwhile waits for the next one, all of it together.
 *
 * Order inside a job: the bytes of the segments, oldest first; then the directories that name new
 * files; then the small files beside them (indexes of rolled segments, leader epochs, producers).
 * The first two are what an acknowledgement needs. The last only decides how far the recovery point
 * may move: after a failure there, commits do without them for a second.
 *
 * A failed sync is not tried again: the kernel may have dropped the pages and would say yes. See
 * failed_sync.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>

#include "cluster/log/plog_impl.h"
#include "lib/base/mem.h"

enum { COMMIT_FILES = 4, COMMIT_WRITES = 12 };

enum write_kind { WRITE_INDEX, WRITE_TIMES, WRITE_SNAPSHOT, WRITE_EPOCHS, WRITE_METADATA };

struct write {
	enum write_kind kind;
	int64_t base;   /* in the file's name */
	int64_t at;     /* in the file */
	size_t from, n; /* in the job's bytes */
};

struct commit_file {
	struct plog_file *file;
	int64_t base, size;
	bool index; /* its index is among the writes */
};

struct commit {
	struct worker_job job;
	struct plog *log; /* NULL: it went away */
	const struct disk *disk;
	char *folder;
	pthread_mutex_t lock; /* held while a small file is written */
	bool gone; /* the folder was renamed: its name may be another log's; under the lock */
	bool running;
	uint64_t cuts; /* of the log, when the job began */

	struct commit_file files[COMMIT_FILES];
	size_t files_n;
	int64_t indexed[COMMIT_FILES]; /* bases of segments whose index is written */
	uint32_t indexed_entries[COMMIT_FILES], indexed_times[COMMIT_FILES];
	size_t indexed_n;
	bool sync_folder, sync_parent;
	struct write writes[COMMIT_WRITES];
	size_t writes_n;
	struct buf bytes;
	struct plog_mark target;
	uint32_t epochs;  /* version that is written; 0: none */
	int64_t snapshot; /* offset; -1: none */
	bool metadata;
	bool whole; /* all that was dirty is in this job */
	enum err sync_error, write_error;
	struct errmsg why;
};

static void run(struct worker_job *job);
static void done(struct worker_job *job);
static void kick(void *arg);

enum err commit_prepare(struct plog *l)
{
	char folder[DISKIO_PATH];
	struct commit *c;

	if (l->commit != NULL)
		return ERR_OK;
	c = mem_zalloc(1, sizeof *c);
	if (c == NULL)
		return ERR_NOMEM;
	plog_path_folder(l, folder);
	c->folder = mem_strdup(folder);
	if (c->folder == NULL) {
		mem_free(c);
		return ERR_NOMEM;
	}
	if (pthread_mutex_init(&c->lock, NULL) != 0) {
		mem_free(c->folder);
		mem_free(c);
		return ERR_NOMEM;
	}
	c->job = (struct worker_job){.run = run, .done = done};
	c->log = l;
	c->disk = l->store->disk;
	buf_init(&c->bytes, SIZE_MAX / 4);
	l->kick = (struct loop_deferred){.fn = kick, .arg = l};
	l->commit = c;
	return ERR_OK;
}

static void drop_files(struct commit *c)
{
	for (size_t i = 0; i < c->files_n; i++)
		plog_file_unref(c->files[i].file);
	c->files_n = 0;
}

static void commit_free(struct commit *c)
{
	drop_files(c);
	buf_fini(&c->bytes);
	pthread_mutex_destroy(&c->lock);
	mem_free(c->folder);
	mem_free(c);
}

void commit_leave_folder(struct plog *l)
{
	struct commit *c = l->commit;

	if (c == NULL)
		return;
	pthread_mutex_lock(&c->lock);
	c->gone = true;
	pthread_mutex_unlock(&c->lock);
}

void commit_orphan(struct commit *c)
{
	if (c == NULL)
		return;
	c->log = NULL;
	if (!c->running)
		commit_free(c);
}

bool commit_running(const struct plog *l)
{
	return l->commit != NULL && l->commit->running;
}

bool commit_writes_index(const struct plog *l)
{
	return commit_running(l) && l->commit->indexed_n > 0;
}

static bool index_due(const struct plog *l, const struct segment *g, enum commit_scope scope)
{
	return g->index != NULL && !g->saved && (g != plog_active(l) || scope == COMMIT_FINAL);
}

/* Bytes or names that are not on disk. */
static bool syncs_left(const struct plog *l, enum commit_scope scope)
{
	for (size_t i = l->segments_n; i-- > 0;) {
		const struct segment *g = l->segments[i];
		if (g->dirty && (g != plog_active(l) || scope > COMMIT_ROLLED))
			return true;
	}
	return l->folder_dirty || l->parent_dirty;
}

/* Small files to write. */
static bool writes_left(const struct plog *l, enum commit_scope scope)
{
	for (size_t i = l->segments_n; i-- > 0;)
		if (index_due(l, l->segments[i], scope))
			return true;
	return l->epochs_changed != l->epochs_saved || l->snapshot_offset >= 0 ||
	       l->metadata_dirty ||
	       (scope == COMMIT_FINAL && l->producers != NULL && l->snapshot_at != l->end);
}

bool commit_settled(const struct plog *l, enum commit_scope scope)
{
	return !syncs_left(l, scope) && !writes_left(l, scope);
}

static bool work_left(const struct plog *l, enum commit_scope scope)
{
	return syncs_left(l, scope) || (!l->writes_failed && writes_left(l, scope));
}

void commit_soon(struct plog *l, enum commit_scope scope)
{
	if (l->deleted || commit_prepare(l) != ERR_OK)
		return;
	if ((int)scope > l->kick_scope)
		l->kick_scope = (int)scope;
	if (!l->commit->running && !l->kick.pending)
		loop_defer(l->store->loop, &l->kick);
}

/* ---- what a job has to do ---- */

static struct write *add_write(struct commit *c, enum write_kind kind, int64_t base, int64_t at)
{
	assert(c->writes_n < COMMIT_WRITES);
	struct write *w = &c->writes[c->writes_n++];

	*w = (struct write){.kind = kind, .base = base, .at = at, .from = c->bytes.len};
	return w;
}

/* Bytes ran out: the write is for another time. */
static bool seal_write(struct commit *c, struct write *w)
{
	w->n = c->bytes.len - w->from;
	if (c->bytes.err == ERR_OK)
		return true;
	c->bytes.err = ERR_OK;
	c->bytes.len = w->from;
	c->writes_n--;
	c->write_error = ERR_NOMEM;
	return false;
}

static void plan_index(struct commit *c, const struct segment *g)
{
	const struct index *ix = g->index;
	size_t i = c->indexed_n;

	if (i == COMMIT_FILES) {
		c->whole = false;
		return;
	}
	/* The times first: recovery takes it that they reach as far as the offsets do. */
	struct write *w =
		add_write(c, WRITE_TIMES, g->base, (int64_t)ix->times_saved * INDEX_TIME_ENTRY);
	index_encode_times(ix, &c->bytes);
	if (!seal_write(c, w))
		return;
	w = add_write(c, WRITE_INDEX, g->base, (int64_t)ix->entries_saved * INDEX_ENTRY);
	index_encode(ix, &c->bytes);
	if (!seal_write(c, w))
		return;
	c->indexed[i] = g->base;
	c->indexed_entries[i] = ix->entries_n;
	c->indexed_times[i] = ix->times_n;
	c->indexed_n = i + 1;
}

static void plan_small_files(struct plog *l, struct commit *c, enum commit_scope scope)
{
	struct write *w;

	if (scope == COMMIT_FINAL)
		plog_take_snapshot(l);
	if (l->snapshot_offset >= 0) {
		w = add_write(c, WRITE_SNAPSHOT, l->snapshot_offset, 0);
		buf_put(&c->bytes, l->snapshot.p, l->snapshot.len);
		if (seal_write(c, w))
			c->snapshot = l->snapshot_offset;
	}
	if (l->epochs_changed != l->epochs_saved) {
		w = add_write(c, WRITE_EPOCHS, 0, 0);
		epochs_encode(&l->epochs, &c->bytes);
		if (seal_write(c, w))
			c->epochs = l->epochs_changed;
	}
	if (l->metadata_dirty) {
		w = add_write(c, WRITE_METADATA, 0, 0);
		meta_file_encode_partition(&l->topic_id, &c->bytes);
		c->metadata = seal_write(c, w);
	}
}

/* The next segment's bytes: false when the job is full or the file cannot be opened. */
static bool plan_segment(struct plog *l, struct commit *c, struct segment *g)
{
	if (c->files_n == COMMIT_FILES)
		return false;
	c->sync_error = segment_open(l, g, &c->why);
	if (c->sync_error != ERR_OK)
		return false;
	c->files[c->files_n++] = (struct commit_file){
		.file = files_ref(g->log_file), .base = g->base, .size = g->size};
	return true;
}

static void plan_begin(struct plog *l, struct commit *c)
{
	c->cuts = l->cuts;
	c->indexed_n = c->writes_n = 0;
	buf_clear(&c->bytes);
	c->target = l->stored;
	c->epochs = 0;
	c->snapshot = -1;
	c->metadata = false;
	c->whole = true;
	c->sync_error = c->write_error = ERR_OK;
	c->sync_folder = l->folder_dirty;
	c->sync_parent = l->parent_dirty;
}

static void plan(struct plog *l, struct commit *c, enum commit_scope scope)
{
	size_t first = l->segments_n;

	plan_begin(l, c);
	/* What needs work is at the end, a handful of segments at most, but after a recovery. */
	for (size_t i = 0; i < l->segments_n; i++)
		if (l->segments[i]->dirty ||
		    (!l->writes_failed && index_due(l, l->segments[i], scope))) {
			first = i;
			break;
		}
	for (size_t i = first; i < l->segments_n; i++) {
		struct segment *g = l->segments[i];
		if (g->dirty && g == plog_active(l) && scope == COMMIT_ROLLED)
			break;
		if (g->dirty && !plan_segment(l, c, g)) {
			c->whole = false;
			break;
		}
		if (g->next > c->target.offset)
			c->target = (struct plog_mark){
				.offset = g->next, .segment = g->base, .position = g->size};
		if (!l->writes_failed && index_due(l, g, scope))
			plan_index(c, g);
	}
	if (!l->writes_failed)
		plan_small_files(l, c, scope);
}

static void kick(void *arg)
{
	struct plog *l = arg;
	struct commit *c = l->commit;
	enum commit_scope scope = (enum commit_scope)l->kick_scope;

	assert(!c->running);
	l->kick_scope = COMMIT_NONE;
	/* What failed to sync is cut off by the repair before anything is synced again. */
	bool cut_due = l->failed && l->end != l->stored.offset;
	if (cut_due || !work_left(l, scope)) {
		store_log_settled(l->store);
		return;
	}
	plan(l, c, scope);
	if (!c->whole)
		l->kick_scope = (int)scope;
	l->folder_dirty = l->parent_dirty = false;
	c->running = true;
	worker_pool_submit(loop_pool(l->store->loop), &c->job);
}

/* ---- on the pool ---- */

static void write_path(const struct commit *c, const struct write *w, char path[DISKIO_PATH])
{
	static const char *const suffixes[] = {[WRITE_INDEX] = "index",
					       [WRITE_TIMES] = "timeindex",
					       [WRITE_SNAPSHOT] = "snapshot"};

	if (w->kind == WRITE_EPOCHS || w->kind == WRITE_METADATA)
		(void)snprintf(path, DISKIO_PATH, "%s/%s", c->folder,
			       w->kind == WRITE_EPOCHS ? "leader-epoch-checkpoint"
						       : "partition.metadata");
	else
		(void)snprintf(path, DISKIO_PATH, "%s/%020" PRId64 ".%s", c->folder, w->base,
			       suffixes[w->kind]);
}

static enum err run_syncs(struct commit *c)
{
	const struct disk *d = c->disk;

	for (size_t i = 0; i < c->files_n; i++)
		if (d->fdatasync(d->ctx, files_fd(c->files[i].file)) != 0)
			return errmsg_set(&c->why, ERR_IO, "sync: %s", strerror(errno));
	if (c->sync_folder) {
		enum err e = diskio_sync_dir(d, c->folder, &c->why);
		if (e != ERR_OK)
			return e;
	}
	if (!c->sync_parent)
		return ERR_OK;
	char parent[DISKIO_PATH];
	(void)snprintf(parent, sizeof parent, "%s", c->folder);
	*strrchr(parent, '/') = '\0';
	return diskio_sync_dir(d, parent, &c->why);
}

static enum err run_write(struct commit *c, const struct write *w)
{
	char path[DISKIO_PATH];
	/* All files of a job may be empty: then there is no buffer. */
	struct bytes b = w->n == 0 ? bytes_str("") : bytes_of(c->bytes.p + w->from, w->n);
	bool part = w->kind == WRITE_INDEX || w->kind == WRITE_TIMES;

	if (c->gone)
		return errmsg_set(&c->why, ERR_CANCELED, "the log was deleted");
	write_path(c, w, path);
	return part ? diskio_store(c->disk, path, b, w->at, &c->why)
		    : diskio_replace(c->disk, path, b, &c->why);
}

static enum err run_writes(struct commit *c)
{
	bool replaced = false;

	for (size_t i = 0; i < c->writes_n; i++) {
		pthread_mutex_lock(&c->lock);
		enum err e = run_write(c, &c->writes[i]);
		pthread_mutex_unlock(&c->lock);
		if (e != ERR_OK)
			return e;
		replaced = true;
	}
	return replaced ? diskio_sync_dir(c->disk, c->folder, &c->why) : ERR_OK;
}

static void run(struct worker_job *job)
{
	struct commit *c = (struct commit *)job;

	if (c->sync_error == ERR_OK)
		c->sync_error = run_syncs(c);
	if (c->sync_error == ERR_OK && c->write_error == ERR_OK)
		c->write_error = run_writes(c);
}

/* ---- back on the loop ---- */

static void settle_files(struct plog *l, const struct commit *c)
{
	for (size_t i = 0; i < c->files_n; i++) {
		ptrdiff_t at = plog_segment_at(l, c->files[i].base);
		struct segment *g = at < 0 ? NULL : l->segments[at];
		if (g != NULL && g->base == c->files[i].base && g->size == c->files[i].size)
			g->dirty = false;
	}
}

/* The one that a clean stop left between two segments is of no use any more; those at a segment's
 * edge go with the segment. */
static void drop_old_snapshot(const struct plog *l, int64_t now)
{
	ptrdiff_t at = plog_segment_at(l, l->snapshot_at);
	char path[DISKIO_PATH];

	if (l->snapshot_at < 0 || l->snapshot_at == now ||
	    (at >= 0 && l->segments[at]->base == l->snapshot_at))
		return;
	plog_path(l, l->snapshot_at, "snapshot", path);
	(void)l->store->disk->unlink(l->store->disk->ctx, path);
}

static void settle_writes(struct plog *l, const struct commit *c)
{
	for (size_t i = 0; i < c->indexed_n; i++) {
		ptrdiff_t at = plog_segment_at(l, c->indexed[i]);
		struct segment *g = at < 0 ? NULL : l->segments[at];
		if (g == NULL || g->base != c->indexed[i] || g->index == NULL)
			continue;
		g->index->entries_saved = c->indexed_entries[i];
		g->index->times_saved = c->indexed_times[i];
		g->saved = g->index->entries_saved == g->index->entries_n &&
			   g->index->times_saved == g->index->times_n;
		if (g->saved && g != plog_active(l)) {
			index_free(g->index);
			g->index = NULL;
		}
	}
	if (c->epochs != 0)
		l->epochs_saved = c->epochs;
	if (c->metadata)
		l->metadata_dirty = false;
	if (c->snapshot >= 0) {
		drop_old_snapshot(l, c->snapshot);
		l->snapshot_at = c->snapshot;
		if (l->snapshot_offset == c->snapshot) {
			l->snapshot_offset = -1;
			buf_fini(&l->snapshot);
			buf_init(&l->snapshot, l->snapshot.max);
		}
	}
}

/* Everything below needs no look after a crash: it is on disk, and so is what was made from it. */
static void move_recovery_point(struct plog *l, int64_t to)
{
	if (l->epochs_changed != l->epochs_saved)
		return;
	for (size_t i = 0; i < l->segments_n; i++) {
		const struct segment *g = l->segments[i];
		if (g->base >= to)
			break;
		if (index_due(l, g, COMMIT_ROLLED)) {
			to = g->base;
			break;
		}
	}
	if (l->risk_until > l->segments[0]->base) {
		if (to > l->risk_from)
			to = l->risk_from;
	} else {
		l->risk_from = l->risk_until = 0;
	}
	if (to > l->recovery_point) {
		l->recovery_point = to;
		l->store->checkpoints_dirty = true;
	}
}

/*
 * With fsync=always nothing above `stored` was seen or acknowledged: it is cut off and the log
 * takes no appends until that is done. Otherwise it was seen, and is left: it may be on disk or
 * not. The next append goes to a new file, and after a crash the range is looked at.
 */
static void failed_sync(struct plog *l, const struct commit *c)
{
	l->folder_dirty |= c->sync_folder;
	l->parent_dirty |= c->sync_parent;
	if (store_always(l->store)) {
		if (!l->failed)
			log_event(l->store->log, LOG_ERROR, "log_sync_failed",
				  LOG_S("partition", l->name), LOG_S("reason", c->why.text),
				  LOG_I("stored", l->stored.offset), LOG_I("end", l->end));
		plog_fail(l);
		return;
	}
	log_event(l->store->log, LOG_ERROR, "log_sync_failed", LOG_S("partition", l->name),
		  LOG_S("reason", c->why.text), LOG_I("at_risk_from", l->stored.offset),
		  LOG_I("at_risk_until", l->end));
	if (l->risk_until <= l->segments[0]->base)
		l->risk_from = l->recovery_point;
	l->risk_until = l->end;
	settle_files(l, c);
	l->roll_due = true;
}

static void synced(struct plog *l, const struct commit *c)
{
	settle_files(l, c);
	if (c->target.offset > l->stored.offset) {
		plog_set_stored(l, c->target);
		l->watch_due |= store_always(l->store);
	}
	if (l->stored.offset == l->end)
		l->flush_at = 0;
	if (c->write_error == ERR_OK) {
		settle_writes(l, c);
		move_recovery_point(l, l->stored.offset);
	} else {
		log_event(l->store->log, LOG_WARN, "log_side_file_failed",
			  LOG_S("partition", l->name), LOG_S("reason", c->why.text));
	}
	if (l->failed && c->whole && l->stored.offset == l->end) {
		l->failed = false;
		log_event(l->store->log, LOG_INFO, "log_write_recovered",
			  LOG_S("partition", l->name), LOG_I("offset", l->end));
	}
	plog_wake(l);
}

/* The log was cut while its producers' state was written: that file tells of batches that are
 * gone. */
static void drop_stale_snapshot(const struct plog *l, const struct commit *c)
{
	char path[DISKIO_PATH];

	if (c->snapshot < 0)
		return;
	plog_path(l, c->snapshot, "snapshot", path);
	(void)l->store->disk->unlink(l->store->disk->ctx, path);
}

/* What came of the job, told to the log. */
static void settle(struct plog *l, struct commit *c)
{
	if (c->sync_error == ERR_NOMEM) {
		l->folder_dirty |= c->sync_folder;
		l->parent_dirty |= c->sync_parent;
		l->kick_scope = COMMIT_ALL;
		store_repair_soon(l->store);
		return;
	}
	if (c->sync_error != ERR_OK)
		failed_sync(l, c);
	else if (c->cuts == l->cuts)
		synced(l, c);
	if (c->cuts != l->cuts)
		drop_stale_snapshot(l, c);
	if (c->write_error != ERR_OK) {
		l->writes_failed = true;
		store_repair_soon(l->store);
	}
	if (store_always(l->store) && work_left(l, COMMIT_ALL) && l->kick_scope < COMMIT_ALL)
		l->kick_scope = COMMIT_ALL;
}

static void done(struct worker_job *job)
{
	struct commit *c = (struct commit *)job;
	struct plog *l = c->log;

	c->running = false;
	if (l == NULL) {
		commit_free(c);
		return;
	}
	if (!l->deleted)
		settle(l, c);
	drop_files(c);
	if (l->deleted)
		return;
	if (l->retention_due && !l->store->closing)
		retention_apply(l, clock_wall_ms(loop_clock(l->store->loop)));
	if (l->kick_scope != COMMIT_NONE && c->sync_error == ERR_OK)
		commit_soon(l, (enum commit_scope)l->kick_scope);
	else
		store_log_settled(l->store);
}
