/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One segment: its files, its indexes, and the way from an offset to a position.
 *
 * The indexes are hints. What they point to is held against the batch that is there; if it does not
 * fit they are made anew from the batch heads.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#include "cluster/log/plog_impl.h"
#include "lib/base/mem.h"

enum { INDEX_FILE_MAX = 256 * 1024 * 1024 };

struct segment *segment_new(int64_t base)
{
	struct segment *g = mem_zalloc(1, sizeof *g);

	if (g == NULL)
		return NULL;
	g->base = g->next = base;
	g->max_timestamp = g->max_timestamp_offset = g->first_timestamp = -1;
	return g;
}

void segment_free(struct segment *g)
{
	if (g == NULL)
		return;
	files_close(&g->log_file);
	files_close(&g->index_file);
	index_free(g->index);
	mem_free(g);
}

enum err segment_open(struct plog *l, struct segment *g, struct errmsg *why)
{
	char path[DISKIO_PATH];

	if (g->log_file != NULL) /* no path needed; notes the use */
		return files_open(l->store->files, &g->log_file, "", O_RDWR, why);
	plog_path(l, g->base, "log", path);
	enum err e = files_open(l->store->files, &g->log_file, path, O_RDWR, why);
	return e == ERR_NOT_FOUND ? ERR_IO : e;
}

enum err segment_drop_excess(struct plog *l, struct segment *g, struct errmsg *why)
{
	const struct disk *d = l->store->disk;

	if (!g->excess)
		return ERR_OK;
	enum err e = segment_open(l, g, why);
	if (e != ERR_OK)
		return e;
	if (d->ftruncate(d->ctx, files_fd(g->log_file), g->size) != 0)
		return errmsg_set(why, ERR_IO, "%s: truncate: %s", l->name, strerror(errno));
	g->excess = false;
	g->dirty = true;
	return ERR_OK;
}

enum err segment_create(struct plog *l, struct segment *g, struct errmsg *why)
{
	char path[DISKIO_PATH];

	/* Left from a cut or a crash: it belongs to nobody. */
	plog_path(l, g->base, "log", path);
	enum err e = diskio_remove(l->store->disk, path, why);
	if (e == ERR_OK)
		e = files_open(l->store->files, &g->log_file, path, O_RDWR | O_CREAT | O_TRUNC,
			       why);
	if (e != ERR_OK)
		return e == ERR_NOT_FOUND ? ERR_IO : e;
	g->index = index_new(g->base);
	if (g->index == NULL) {
		files_close(&g->log_file);
		(void)l->store->disk->unlink(l->store->disk->ctx, path);
		return errmsg_set(why, ERR_NOMEM, "%s: out of memory", path);
	}
	g->times_known = true;
	g->modified_ms = clock_wall_ms(loop_clock(l->store->loop));
	return ERR_OK;
}

void segment_tell_damage(struct plog *l, struct segment *g, int64_t offset, const char *reason)
{
	if (!g->damage_told)
		log_event(l->store->log, LOG_ERROR, "log_damaged", LOG_S("partition", l->name),
			  LOG_I("segment", g->base), LOG_I("offset", offset),
			  LOG_S("reason", reason));
	g->damage_told = true;
}

enum err segment_scan_error(struct plog *l, struct segment *g, int64_t offset, enum err e,
			    struct errmsg *why)
{
	if (e != ERR_MALFORMED && e != ERR_CORRUPT && e != ERR_IO)
		return e;
	segment_tell_damage(l, g, offset, why != NULL ? why->text : err_text(e));
	return errmsg_wrap(why, e == ERR_MALFORMED ? ERR_CORRUPT : e, "%s: %020" PRId64 ".log",
			   l->name, g->base);
}

static void note_time(struct segment *g, const struct batch_head *h)
{
	if (h->max_timestamp > g->max_timestamp) {
		g->max_timestamp = h->max_timestamp;
		g->max_timestamp_offset = batch_last_offset(h);
	}
}

/* LogSegment.append: the index entry, if due, points to this batch. */
static void index_batch(struct segment *g, const struct batch_head *h, int64_t position,
			int64_t interval)
{
	note_time(g, h);
	if (index_add(g->index, batch_last_offset(h), position, batch_size(h), interval))
		index_add_time(g->index, g->max_timestamp, g->max_timestamp_offset);
}

void segment_add(struct segment *g, const struct batch_head *h, int64_t interval)
{
	if (g->size == 0)
		g->first_timestamp = h->max_timestamp;
	index_batch(g, h, g->size, interval);
	g->size += (int64_t)batch_size(h);
	g->next = batch_last_offset(h) + 1;
	g->saved = false;
	g->dirty = true;
}

/* Index the batches from `position` on; what follows damage stays without entries. */
static enum err index_from(struct plog *l, struct segment *g, int64_t position, bool add,
			   struct errmsg *why)
{
	struct scan s;
	struct batch_head h;
	uint8_t *window;
	enum err e = segment_open(l, g, why);

	if (e != ERR_OK)
		return e;
	window = mem_alloc(PLOG_SCAN_WINDOW);
	if (window == NULL)
		return errmsg_set(why, ERR_NOMEM, "%s: out of memory", l->name);
	scan_init(&s, l->store->disk, files_fd(g->log_file), position, g->size, g->base);
	scan_window(&s, window, PLOG_SCAN_WINDOW);
	s.limit = g->next;
	while ((e = scan_next(&s, &h, why)) == ERR_OK) {
		if (!add) {
			note_time(g, &h);
			continue;
		}
		e = index_reserve(g->index);
		if (e != ERR_OK)
			break;
		index_batch(g, &h, s.at, l->config.index_interval_bytes);
	}
	mem_free(window);
	/* Where a recovery is under way, `next` is not known yet, and a torn end is nothing
	 * special. */
	bool active = g == plog_active(l);
	bool shorter = e == ERR_NOT_FOUND && active && g->size > 0 && s.offset < g->next;
	if (g->next != INT64_MAX && (e == ERR_MALFORMED || shorter)) {
		segment_tell_damage(l, g, s.offset,
				    shorter ? "records are missing at the end" : "no batch");
		/* What is written from now on shall not stand behind that. */
		l->roll_due |= active;
	}
	return e == ERR_NOT_FOUND || e == ERR_MALFORMED ? ERR_OK : e;
}

static enum err decode_files(struct plog *l, struct segment *g, struct buf *entries,
			     struct buf *times)
{
	char path[DISKIO_PATH];

	plog_path(l, g->base, "index", path);
	enum err e = diskio_read(l->store->disk, path, entries, NULL);
	if (e != ERR_OK)
		return e;
	plog_path(l, g->base, "timeindex", path);
	e = diskio_read(l->store->disk, path, times, NULL);
	if (e != ERR_OK)
		return e;
	return index_decode(g->index, buf_bytes(entries), buf_bytes(times), g->size, g->next);
}

static void times_from_index(struct segment *g)
{
	const struct index *ix = g->index;

	g->max_timestamp = g->max_timestamp_offset = -1;
	if (ix->times_n > 0) {
		g->max_timestamp = ix->times[ix->times_n - 1].timestamp;
		g->max_timestamp_offset = ix->base + ix->times[ix->times_n - 1].offset;
	}
}

void segment_discard_index(struct plog *l, struct segment *g)
{
	const struct disk *d = l->store->disk;
	char path[DISKIO_PATH];

	plog_path(l, g->base, "index", path);
	(void)d->unlink(d->ctx, path);
	plog_path(l, g->base, "timeindex", path);
	(void)d->unlink(d->ctx, path);
	files_close(&g->index_file);
	if (g->index != NULL)
		g->index->entries_saved = g->index->times_saved = 0;
	g->saved = false;
	l->folder_dirty = true;
}

enum err segment_build_index(struct plog *l, struct segment *g, struct errmsg *why)
{
	struct index *ix = index_new(g->base), *old = g->index;

	if (ix == NULL)
		return errmsg_set(why, ERR_NOMEM, "%s: out of memory", l->name);
	g->index = ix;
	g->max_timestamp = g->max_timestamp_offset = -1;
	g->times_known = g->times_hinted = false;
	enum err e = index_from(l, g, 0, true, why);
	if (e == ERR_OK && index_reserve(ix) != ERR_OK)
		e = errmsg_set(why, ERR_NOMEM, "%s: out of memory", l->name);
	if (e == ERR_OK) /* as at a roll: the last entry has the largest timestamp */
		index_add_time(ix, g->max_timestamp, g->max_timestamp_offset);
	if (e != ERR_OK) {
		index_free(ix);
		g->index = old;
		return e;
	}
	index_free(old);
	segment_discard_index(l, g);
	g->times_known = true;
	return ERR_OK;
}

enum err segment_load_index(struct plog *l, struct segment *g, struct errmsg *why)
{
	struct buf entries, times;

	if (g->index != NULL)
		return ERR_OK;
	g->index = index_new(g->base);
	if (g->index == NULL)
		return errmsg_set(why, ERR_NOMEM, "%s: out of memory", l->name);
	buf_init(&entries, INDEX_FILE_MAX);
	buf_init(&times, INDEX_FILE_MAX);
	enum err e = decode_files(l, g, &entries, &times);
	buf_fini(&entries);
	buf_fini(&times);
	if (e == ERR_OK) {
		int64_t last = 0;
		times_from_index(g);
		if (g->index->entries_n > 0)
			last = g->index->entries[g->index->entries_n - 1].position;
		e = index_from(l, g, last, false, why);
		g->times_known = g->times_hinted = g->saved = e == ERR_OK;
		if (e == ERR_OK)
			return ERR_OK;
	}
	index_free(g->index);
	g->index = NULL;
	if (e == ERR_NOMEM)
		return errmsg_set(why, e, "%s: out of memory", l->name);
	return segment_build_index(l, g, why);
}

/* The number of entries in the index file, which is open then. ERR_MALFORMED: not a number. */
static enum err open_index_file(struct plog *l, struct segment *g)
{
	char path[DISKIO_PATH];
	struct disk_stat st;

	if (g->index_file != NULL)
		return files_open(l->store->files, &g->index_file, "", O_RDONLY, NULL);
	plog_path(l, g->base, "index", path);
	if (l->store->disk->stat(l->store->disk->ctx, path, &st) != 0)
		return ERR_NOT_FOUND;
	if (st.size % INDEX_ENTRY != 0 || st.size > INDEX_FILE_MAX)
		return ERR_MALFORMED;
	g->entries_n = (uint32_t)(st.size / INDEX_ENTRY);
	return files_open(l->store->files, &g->index_file, path, O_RDONLY, NULL);
}

/* Where to begin to look. ERR_MALFORMED: the index file is of no use. */
static enum err lookup(struct plog *l, struct segment *g, int64_t offset, int64_t *position)
{
	struct index_entry found;
	int64_t relative = offset - g->base;

	*position = 0;
	if (relative <= 0)
		return ERR_OK;
	if (g->index != NULL) {
		*position = index_find(g->index, offset);
		return ERR_OK;
	}
	enum err e = open_index_file(l, g);
	if (e == ERR_OK)
		e = index_file_find(l->store->disk, files_fd(g->index_file), g->entries_n,
				    relative > UINT32_MAX ? UINT32_MAX : (uint32_t)relative,
				    &found);
	if (e == ERR_NOMEM)
		return e;
	if (e != ERR_OK || found.position >= g->size)
		return ERR_MALFORMED;
	*position = found.position;
	return ERR_OK;
}

static enum err find_from(struct plog *l, struct segment *g, int64_t offset, int64_t *position,
			  struct batch_head *h, struct errmsg *why)
{
	uint8_t window[PLOG_WINDOW];
	struct scan s;
	int64_t from = *position;

	scan_init(&s, l->store->disk, files_fd(g->log_file), from, g->size, g->base);
	scan_window(&s, window, sizeof window);
	s.limit = g->next;
	for (;;) {
		enum err e = scan_next(&s, h, why);
		if (e != ERR_OK)
			return e;
		/* An index entry's batch ends at or before what is looked for. */
		if (s.at == from && from > 0 && batch_last_offset(h) > offset)
			return errmsg_set(why, ERR_MALFORMED, "wrong index");
		if (batch_last_offset(h) >= offset) {
			*position = s.at;
			return ERR_OK;
		}
	}
}

enum err segment_find(struct plog *l, struct segment *g, int64_t offset, int64_t *position,
		      struct batch_head *h, struct errmsg *why)
{
	enum err e = segment_open(l, g, why);

	if (e != ERR_OK)
		return e;
	e = lookup(l, g, offset, position);
	if (e == ERR_NOMEM)
		return errmsg_set(why, e, "%s: out of memory", l->name);
	bool hinted = e != ERR_OK || *position > 0;
	if (e == ERR_OK && g->log_file == NULL) /* opening the index took its place */
		e = segment_open(l, g, why);
	if (e == ERR_OK)
		e = find_from(l, g, offset, position, h, why);
	if (e == ERR_MALFORMED && hinted && (g->index == NULL || !g->index->built)) {
		e = segment_build_index(l, g, why);
		if (e == ERR_OK)
			e = segment_open(l, g, why);
		if (e == ERR_OK) {
			*position = index_find(g->index, offset);
			e = find_from(l, g, offset, position, h, why);
		}
	}
	return segment_scan_error(l, g, offset, e, why);
}

enum err segment_load_times(struct plog *l, struct segment *g, struct errmsg *why)
{
	uint8_t last[INDEX_TIME_ENTRY];
	char path[DISKIO_PATH];
	struct disk_stat st;
	const struct disk *d = l->store->disk;

	if (g->times_known)
		return ERR_OK;
	if (g == plog_active(l) || g->index != NULL)
		return g->index != NULL ? segment_build_index(l, g, why)
					: segment_load_index(l, g, why);
	/* A rolled segment's time index ends with its largest timestamp. */
	plog_path(l, g->base, "timeindex", path);
	if (d->stat(d->ctx, path, &st) != 0 || st.size == 0 || st.size % INDEX_TIME_ENTRY != 0)
		return segment_build_index(l, g, why);
	int fd = d->open(d->ctx, path, O_RDONLY, 0);
	if (fd < 0)
		return segment_build_index(l, g, why);
	enum err e = diskio_read_at(d, fd, last, sizeof last, st.size - INDEX_TIME_ENTRY);
	d->close(d->ctx, fd);
	int64_t timestamp = (int64_t)be64_get(last), offset = g->base + be32_get(last + 8);
	if (e != ERR_OK || timestamp < 0 || offset >= g->next)
		return segment_build_index(l, g, why);
	g->max_timestamp = timestamp;
	g->max_timestamp_offset = offset;
	g->times_known = g->times_hinted = true;
	return ERR_OK;
}

enum err segment_check_times(struct plog *l, struct segment *g, struct errmsg *why)
{
	enum err e = segment_load_times(l, g, why);

	if (e != ERR_OK || !g->times_hinted)
		return e;
	g->max_timestamp = g->max_timestamp_offset = -1;
	g->times_hinted = false;
	return index_from(l, g, 0, false, why);
}

enum err segment_load_first(struct plog *l, struct segment *g, struct errmsg *why)
{
	uint8_t head[BATCH_HEAD];
	struct batch_head h;

	if (g->first_timestamp >= 0 || g->size < BATCH_HEAD)
		return ERR_OK;
	enum err e = segment_open(l, g, why);
	if (e != ERR_OK)
		return e;
	if (diskio_read_at(l->store->disk, files_fd(g->log_file), head, sizeof head, 0) != ERR_OK)
		return errmsg_set(why, ERR_IO, "%s: %020" PRId64 ".log: %s", l->name, g->base,
				  strerror(errno));
	batch_head_get(head, &h);
	g->first_timestamp = h.max_timestamp;
	return ERR_OK;
}

enum err segment_remove_files(const struct disk *d, const char *folder, int64_t base,
			      struct errmsg *why)
{
	static const char *const suffixes[] = {"index", "timeindex", "txnindex", "snapshot", "log"};
	enum err e = ERR_OK;

	for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
		char path[DISKIO_PATH + 32];
		(void)snprintf(path, sizeof path, "%s/%020" PRId64 ".%s", folder, base,
			       suffixes[i]);
		e = diskio_remove(d, path, why);
	}
	return e; /* of the log: the others mean nothing without it */
}
