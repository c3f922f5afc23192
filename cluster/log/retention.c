/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes from the front of a log: by time, by size, by DeleteRecords
 * (UnifiedLog.deleteOldSegments).
 *
 * The log start moves first, then the files. Files are renamed to .deleted at once and removed off
 * the loop. Nothing at or above the high watermark goes. While a commit writes indexes the files
 * stay: it would make one anew whose log is gone.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "cluster/log/checkpoints.h"
#include "cluster/log/cleaner.h"
#include "cluster/log/plog_impl.h"
#include "cluster/log/reaper.h"

/* False: the file is there still, under its name. */
static bool retire_file(const struct plog *l, struct reaper *r, int64_t base, const char *suffix)
{
	const struct disk *d = l->store->disk;
	char from[DISKIO_PATH], to[DISKIO_PATH], name[64], ending[32];

	(void)snprintf(ending, sizeof ending, "%s.deleted", suffix);
	(void)snprintf(name, sizeof name, "%020" PRId64 ".%s", base, ending);
	plog_path(l, base, suffix, from);
	plog_path(l, base, ending, to);
	if (d->rename(d->ctx, from, to) != 0)
		return errno == ENOENT;
	/* Without a reaper the next start removes it. */
	if (r != NULL && reaper_add(r, name) != ERR_OK)
		(void)d->unlink(d->ctx, to);
	return true;
}

/* The log last: without it the others mean nothing. */
static bool retire_segment(const struct plog *l, struct reaper *r, int64_t base)
{
	static const char *const suffixes[] = {"index", "timeindex", "txnindex", "snapshot"};

	for (size_t k = 0; k < sizeof suffixes / sizeof *suffixes; k++)
		(void)retire_file(l, r, base, suffixes[k]);
	return retire_file(l, r, base, "log");
}

/* Take the first `n` segments out. */
static void retire(struct plog *l, size_t n, const char *reason)
{
	char folder[DISKIO_PATH];
	int64_t bytes = 0;
	size_t gone = 0;

	if (n == 0)
		return;
	int64_t from = l->segments[0]->base;
	if (l->start < l->segments[n]->base)
		l->start = l->segments[n]->base;
	plog_path_folder(l, folder);
	struct reaper *r = reaper_new(l->store->loop, l->store->disk, folder);
	for (; gone < n && retire_segment(l, r, l->segments[0]->base); gone++) {
		bytes += l->segments[0]->size;
		plog_drop_segment(l, 0);
	}
	reaper_start(r, false);
	if (l->stored.offset < l->segments[0]->base)
		l->stored.offset = l->stored.segment = l->segments[0]->base;
	plog_set_stored(l, l->stored);
	if (l->epochs_loaded && epochs_truncate_start(&l->epochs, l->start))
		l->epochs_changed++;
	l->folder_dirty = true;
	if (gone < n)
		log_event(l->store->log, LOG_WARN, "log_file_left", LOG_S("partition", l->name),
			  LOG_I("segment", l->segments[0]->base), LOG_S("reason", strerror(errno)));
	if (gone > 0)
		log_event(l->store->log, LOG_INFO, "log_segments_deleted",
			  LOG_S("partition", l->name), LOG_I("segments", gone),
			  LOG_I("bytes", bytes), LOG_I("from", from), LOG_I("start", l->start),
			  LOG_S("reason", reason));
}

/* How many segments at the front end at or below `offset`, the active one not counted. */
static size_t count_below(const struct plog *l, int64_t offset)
{
	size_t n = 0;

	while (n + 1 < l->segments_n && l->segments[n + 1]->base <= offset)
		n++;
	return n;
}

static bool expired(struct plog *l, struct segment *g, int64_t wall_ms)
{
	/* What cannot be read is kept: somebody will have to look at it. */
	if (g->size == 0 || segment_load_times(l, g, NULL) != ERR_OK)
		return false;
	int64_t newest = g->max_timestamp >= 0 ? g->max_timestamp : g->modified_ms;
	if (wall_ms - newest <= l->config.retention_ms)
		return false;
	/* An index alone does not decide that records go; and where a segment is damaged, the time
	 * of its file counts too. */
	if (segment_check_times(l, g, NULL) != ERR_OK)
		return false;
	newest = g->max_timestamp >= 0 && !(g->damage_told && g->modified_ms > g->max_timestamp)
			 ? g->max_timestamp
			 : g->modified_ms;
	return wall_ms - newest > l->config.retention_ms;
}

static void apply_time(struct plog *l, int64_t wall_ms)
{
	size_t n = 0, most = count_below(l, plog_high_watermark(l));

	while (n < most && (l->segments[n]->size == 0 || expired(l, l->segments[n], wall_ms)))
		n++;
	/* The active segment goes when all of it has expired: a new one takes its place. */
	if (n + 1 == l->segments_n && plog_high_watermark(l) == l->end &&
	    expired(l, plog_active(l), wall_ms) && commit_prepare(l) == ERR_OK &&
	    plog_roll(l, NULL) == ERR_OK)
		n++;
	retire(l, n, "retention.ms");
}

static void apply_size(struct plog *l)
{
	size_t n = 0, most = count_below(l, plog_high_watermark(l));
	int64_t excess = l->size - l->config.retention_bytes;

	while (n < most && excess >= l->segments[n]->size)
		excess -= l->segments[n++]->size;
	retire(l, n, "retention.bytes");
}

/* If not, the end of the commit applies it. */
static bool may_retire(struct plog *l)
{
	l->retention_due = commit_writes_index(l);
	return !l->deleted && !l->failed && !l->cleaning && !l->retention_due;
}

void retention_apply(struct plog *l, int64_t wall_ms)
{
	if (!may_retire(l))
		return;
	retire(l, count_below(l, l->start), "log start");
	if (l->config.cleanup_delete && l->config.retention_ms >= 0)
		apply_time(l, wall_ms);
	if (l->config.cleanup_delete && l->config.retention_bytes >= 0)
		apply_size(l);
	/* Indexes that were made anew, names that went. */
	if (!commit_settled(l, COMMIT_ROLLED))
		commit_soon(l, COMMIT_ROLLED);
}

enum err plog_delete_before(struct plog *l, int64_t offset, int64_t *start, struct errmsg *why)
{
	int64_t hw = plog_high_watermark(l), before = l->start;

	if (!l->config.cleanup_delete)
		return errmsg_set(why, ERR_KAFKA_POLICY_VIOLATION,
				  "%s: the cleanup policy is not delete", l->name);
	if (offset == -1)
		offset = hw;
	if (offset < 0 || offset > hw)
		return errmsg_set(why, ERR_KAFKA_OFFSET_OUT_OF_RANGE,
				  "%s: offset %" PRId64 " is above the high watermark %" PRId64,
				  l->name, offset, hw);
	*start = l->start;
	if (offset <= l->start)
		return ERR_OK;
	l->start = offset;
	enum err e = checkpoints_write_starts(l->store, why);
	if (e != ERR_OK) {
		l->start = before;
		return e == ERR_NOMEM ? e : ERR_KAFKA_KAFKA_STORAGE_ERROR;
	}
	*start = offset;
	if (l->epochs_loaded && epochs_truncate_start(&l->epochs, l->start))
		l->epochs_changed++;
	if (may_retire(l))
		retire(l, count_below(l, l->start), "delete records");
	return ERR_OK;
}

enum err plog_truncate(struct plog *l, int64_t offset, struct errmsg *why)
{
	struct plog_mark at = plog_mark_end(l);
	struct batch_head h;

	if (offset >= l->end)
		return ERR_OK;
	if (offset < l->start)
		offset = l->start;
	enum err e = cleaner_settle(l->store->cleaner, l, why);
	if (e != ERR_OK)
		return ERR_KAFKA_KAFKA_STORAGE_ERROR;
	for (ptrdiff_t i = plog_segment_at(l, offset); i >= 0 && (size_t)i < l->segments_n; i++) {
		struct segment *g = l->segments[i];
		int64_t position = 0;
		e = segment_find(l, g, offset, &position, &h, why);
		if (e == ERR_NOT_FOUND)
			continue;
		if (e != ERR_OK)
			return e == ERR_NOMEM ? e : ERR_KAFKA_KAFKA_STORAGE_ERROR;
		at = (struct plog_mark){.offset = h.base_offset > offset ? offset : h.base_offset,
					.segment = g->base,
					.position = position};
		break;
	}
	e = plog_cut(l, &at, why);
	if (e != ERR_OK)
		return e == ERR_NOMEM ? e : ERR_KAFKA_KAFKA_STORAGE_ERROR;
	l->watch_due = true;
	plog_wake(l);
	commit_soon(l, COMMIT_ALL);
	return ERR_OK;
}
