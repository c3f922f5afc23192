/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a log. After a clean stop the recovery point is the end, and no data are read. After a
 * crash the segments from the recovery point on are read and checked, and the log ends before the
 * first batch that is not whole and right.
 *
 * Below the recovery point everything was on disk once; what is wrong there is damage, which nobody
 * but a reader can deal with: nothing is cut for it. If such damage hides the way to what follows,
 * that is searched for; if it is not found, writing goes on in a new segment at the recovery point.
 *
 * A crash while a compaction put its files in place leaves (as in Kafka's LogLoader.java)
 *   .cleaned   not complete: removed
 *   .swap      complete: the segments that it stands for are removed, then it is renamed. (Old ones
 *              behind its last batch stay as they were, to be compacted another time: what they
 *              hold is newer than all that the new one dropped a tombstone for.)
 *   .deleted   removed
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cluster/log/plog_impl.h"
#include "lib/base/mem.h"

struct bases {
	int64_t *v;
	size_t n, cap;
};

struct folder {
	struct bases logs, swaps, indexes;
	int64_t snapshot; /* the latest; -1 */
	bool leftovers;   /* .cleaned, .deleted, .tmp */
	enum err e;
};

static enum err add_base(struct bases *b, int64_t base)
{
	if (b->n >= PLOG_SEGMENTS_MAX)
		return ERR_LIMIT;
	if (b->n == b->cap) {
		size_t cap = b->cap == 0 ? 8 : b->cap * 2;
		int64_t *v = mem_resize(b->v, cap, sizeof *v);
		if (v == NULL)
			return ERR_NOMEM;
		b->v = v;
		b->cap = cap;
	}
	b->v[b->n++] = base;
	return ERR_OK;
}

/* The 20 digits in front of a segment file's name, and what follows the dot. */
static bool parse_name(const char *name, int64_t *base, const char **suffix)
{
	int64_t v = 0;

	for (int i = 0; i < 20; i++) {
		if (name[i] < '0' || name[i] > '9')
			return false;
		if (v > (INT64_MAX - (name[i] - '0')) / 10)
			return false;
		v = v * 10 + (name[i] - '0');
	}
	if (name[20] != '.')
		return false;
	*base = v;
	*suffix = name + 21;
	return v < INT64_MAX;
}

static bool ends_with(const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);

	return n >= m && strcmp(name + n - m, end) == 0;
}

static bool note_file(void *arg, const char *name)
{
	struct folder *f = arg;
	const char *suffix;
	int64_t base;

	if (ends_with(name, ".cleaned") || ends_with(name, ".deleted") || ends_with(name, ".tmp")) {
		f->leftovers = true;
		return true;
	}
	if (!parse_name(name, &base, &suffix))
		return true;
	if (strcmp(suffix, "log") == 0)
		f->e = add_base(&f->logs, base);
	else if (strcmp(suffix, "index") == 0)
		f->e = add_base(&f->indexes, base);
	else if (strcmp(suffix, "log.swap") == 0)
		f->e = add_base(&f->swaps, base);
	else if (strcmp(suffix, "snapshot") == 0 && base > f->snapshot)
		f->snapshot = base;
	return f->e == ERR_OK;
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static void folder_fini(struct folder *f)
{
	mem_free(f->logs.v);
	mem_free(f->swaps.v);
	mem_free(f->indexes.v);
}

static enum err list_folder(struct plog *l, struct folder *f, struct errmsg *why)
{
	const struct disk *d = l->store->disk;
	char path[DISKIO_PATH];

	*f = (struct folder){.snapshot = -1};
	plog_path_folder(l, path);
	int rc = d->list(d->ctx, path, note_file, f);
	if (rc == 0 && f->e == ERR_OK) {
		if (f->logs.n > 1)
			qsort(f->logs.v, f->logs.n, sizeof *f->logs.v, compare);
		if (f->swaps.n > 1)
			qsort(f->swaps.v, f->swaps.n, sizeof *f->swaps.v, compare);
		return ERR_OK;
	}
	enum err e = f->e != ERR_OK ? errmsg_set(why, f->e, "%s: %s", path, err_text(f->e))
				    : errmsg_set(why, ERR_IO, "%s: %s", path, strerror(errno));
	folder_fini(f);
	return e;
}

/* ---- what a compaction left ---- */

struct leftovers {
	struct plog *log;
	bool again; /* names changed under the list: look once more */
};

static bool remove_leftover(void *arg, const char *name)
{
	struct leftovers *x = arg;
	char path[DISKIO_PATH];
	struct errmsg why = {{0}};

	if (!ends_with(name, ".cleaned") && !ends_with(name, ".deleted") &&
	    !ends_with(name, ".tmp"))
		return true;
	if (strlen(name) > 255)
		return true;
	plog_path_file(x->log, name, path);
	if (diskio_remove(x->log->store->disk, path, &why) != ERR_OK)
		log_event(x->log->store->log, LOG_WARN, "log_file_left", LOG_S("reason", why.text));
	return true;
}

/* Where a swap file's batches end. */
static enum err swap_end(struct plog *l, int64_t base, int64_t *end, struct errmsg *why)
{
	const struct disk *d = l->store->disk;
	char path[DISKIO_PATH];
	struct disk_stat st;
	struct batch_head h;
	struct scan s;
	uint8_t *window;

	plog_path(l, base, "log.swap", path);
	int fd = d->open(d->ctx, path, 0, 0);
	if (fd < 0 || d->stat(d->ctx, path, &st) != 0) {
		enum err e = errmsg_set(why, ERR_IO, "%s: %s", path, strerror(errno));
		if (fd >= 0)
			d->close(d->ctx, fd);
		return e;
	}
	enum err e = ERR_NOMEM;
	window = mem_alloc(PLOG_SCAN_WINDOW);
	if (window != NULL) {
		scan_init(&s, d, fd, 0, st.size, base);
		scan_window(&s, window, PLOG_SCAN_WINDOW);
		while ((e = scan_next(&s, &h, why)) == ERR_OK)
			;
		*end = s.offset;
		mem_free(window);
	}
	d->close(d->ctx, fd);
	if (e == ERR_NOMEM)
		return errmsg_set(why, e, "%s: out of memory", path);
	return e == ERR_NOT_FOUND || e == ERR_MALFORMED ? ERR_OK : e;
}

static enum err finish_swap(struct plog *l, const struct folder *f, int64_t base,
			    struct errmsg *why)
{
	static const char *const suffixes[] = {"index", "timeindex", "log"};
	const struct disk *d = l->store->disk;
	char from[DISKIO_PATH], to[DISKIO_PATH];
	int64_t end = base;

	enum err e = swap_end(l, base, &end, why);
	if (e != ERR_OK)
		return e;
	plog_path_folder(l, from);
	for (size_t i = 0; i < f->logs.n && e == ERR_OK; i++)
		if (f->logs.v[i] > base && f->logs.v[i] < end)
			e = segment_remove_files(d, from, f->logs.v[i], why);
	if (e != ERR_OK)
		return e;
	for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
		char swap[32];
		(void)snprintf(swap, sizeof swap, "%s.swap", suffixes[i]);
		plog_path(l, base, swap, from);
		plog_path(l, base, suffixes[i], to);
		if (d->rename(d->ctx, from, to) != 0 && errno != ENOENT)
			return errmsg_set(why, ERR_IO, "%s: %s", from, strerror(errno));
	}
	plog_path_folder(l, from);
	return diskio_sync_dir(d, from, why);
}

/* The log goes last wherever a segment is removed, so an index alone says that it was lost. */
static void tell_missing(struct plog *l, const struct folder *f)
{
	for (size_t i = 0; i < f->indexes.n; i++)
		if (f->logs.n == 0 || bsearch(&f->indexes.v[i], f->logs.v, f->logs.n,
					      sizeof *f->logs.v, compare) == NULL)
			log_event(l->store->log, LOG_ERROR, "log_damaged",
				  LOG_S("partition", l->name), LOG_I("segment", f->indexes.v[i]),
				  LOG_S("reason", "the .log file is missing"));
}

static enum err clear_leftovers(struct plog *l, struct folder *f, struct errmsg *why)
{
	struct leftovers x = {.log = l};
	char path[DISKIO_PATH];
	enum err e = ERR_OK;

	if (f->swaps.n == 0 && !f->leftovers)
		return ERR_OK;
	for (size_t i = 0; i < f->swaps.n && e == ERR_OK; i++)
		e = finish_swap(l, f, f->swaps.v[i], why);
	if (e != ERR_OK)
		return e;
	plog_path_folder(l, path);
	(void)l->store->disk->list(l->store->disk->ctx, path, remove_leftover, &x);
	folder_fini(f);
	return list_folder(l, f, why);
}

/* ---- segments ---- */

/* Only compaction leaves nothing of a segment, and then its time index has no entry either. */
static bool may_be_empty(const struct plog *l, int64_t base)
{
	const struct disk *d = l->store->disk;
	char path[DISKIO_PATH];
	struct disk_stat st;

	if (!l->config.cleanup_compact && l->cleaned < 0)
		return false;
	plog_path(l, base, "timeindex", path);
	return d->stat(d->ctx, path, &st) != 0 || st.size == 0;
}

static enum err add_segments(struct plog *l, const struct folder *f, struct errmsg *why)
{
	const struct disk *d = l->store->disk;
	char path[DISKIO_PATH];

	for (size_t i = 0; i < f->logs.n; i++) {
		struct disk_stat st;
		plog_path(l, f->logs.v[i], "log", path);
		if (d->stat(d->ctx, path, &st) != 0)
			return errmsg_set(why, ERR_IO, "%s: %s", path, strerror(errno));
		struct segment *g = segment_new(f->logs.v[i]);
		if (g == NULL)
			return errmsg_set(why, ERR_NOMEM, "%s: out of memory", path);
		g->size = st.size;
		g->modified_ms = st.modified_ms;
		g->saved = true;
		if (i + 1 < f->logs.n)
			g->next = f->logs.v[i + 1];
		if (st.size == 0 && i + 1 < f->logs.n && !may_be_empty(l, g->base))
			segment_tell_damage(l, g, g->base, "the .log file is empty");
		if (plog_add_segment(l, g) != ERR_OK) {
			segment_free(g);
			return errmsg_set(why, ERR_NOMEM, "%s: out of memory", path);
		}
	}
	return ERR_OK;
}

/* A log without any file starts where it once was. */
static enum err add_first(struct plog *l, int64_t base, struct errmsg *why)
{
	struct segment *g = segment_new(base);

	if (g == NULL)
		return errmsg_set(why, ERR_NOMEM, "%s: out of memory", l->name);
	enum err e = segment_create(l, g, why);
	if (e == ERR_OK && plog_add_segment(l, g) != ERR_OK)
		e = errmsg_set(why, ERR_NOMEM, "%s: out of memory", l->name);
	if (e != ERR_OK) {
		segment_free(g);
		return e;
	}
	/* It need not stay open until something is written. */
	files_close(&g->log_file);
	l->end = base;
	l->folder_dirty = true;
	return ERR_OK;
}

static void set_open(struct plog *l, int64_t end)
{
	struct segment *g = plog_active(l);

	l->end = end;
	g->next = end;
	if (l->start < l->segments[0]->base)
		l->start = l->segments[0]->base;
	l->stored = plog_mark_end(l);
	l->recovery_point = end;
}

/* ---- after a crash ---- */

struct check {
	struct plog *log;
	int64_t point; /* the recovery point */
	int64_t end;   /* behind the last good batch */
	struct scan scan;
	uint8_t *window;
	bool damaged; /* below the recovery point, and the way is lost */
};

/* Where to begin in the segment of the recovery point: at its last index entry below, if the batch
 * there says so too; else at the front. */
static int64_t begin_at(struct check *k, struct segment *g)
{
	struct batch_head h;
	const struct index *ix;

	if (g->base >= k->point || segment_load_index(k->log, g, NULL) != ERR_OK)
		return 0;
	ix = g->index;
	uint32_t entries = ix->entries_n, times = ix->times_n;
	index_truncate(g->index, k->point, g->size);
	if (ix->entries_n != entries || ix->times_n != times)
		segment_discard_index(k->log, g);
	if (ix->entries_n == 0 || segment_open(k->log, g, NULL) != ERR_OK)
		return 0;
	int64_t at = ix->entries[ix->entries_n - 1].position;
	scan_init(&k->scan, k->log->store->disk, files_fd(g->log_file), at, g->size, g->base);
	scan_window(&k->scan, k->window, PLOG_SCAN_WINDOW);
	if (scan_next(&k->scan, &h, NULL) != ERR_OK ||
	    batch_last_offset(&h) != ix->base + ix->entries[ix->entries_n - 1].offset)
		return 0;
	return at;
}

/* The index up to `at`, where the check begins. The batch there has its entries already: they say
 * the largest timestamp up to it, too. */
static enum err prepare_index(struct segment *g, int64_t at)
{
	if (at == 0) {
		index_free(g->index);
		g->index = index_new(g->base);
		if (g->index == NULL)
			return ERR_NOMEM;
	}
	const struct index *ix = g->index;
	g->index->since = 0;
	g->max_timestamp = g->max_timestamp_offset = -1;
	if (ix->times_n > 0) {
		g->max_timestamp = ix->times[ix->times_n - 1].timestamp;
		g->max_timestamp_offset = ix->base + ix->times[ix->times_n - 1].offset;
	}
	g->times_known = true;
	g->saved = false;
	return ERR_OK;
}

/* One batch that the scan gave: is it good? Then it counts. */
static enum err take_batch(struct check *k, struct segment *g, const struct batch_head *h,
			   struct errmsg *why)
{
	struct plog *l = k->log;
	bool changed = false;

	if (batch_last_offset(h) >= k->point) {
		enum err e = scan_check(&k->scan, h, why);
		if (e != ERR_OK)
			return e;
	}
	enum err e = index_reserve(g->index);
	if (e == ERR_OK && h->leader_epoch > epochs_latest(&l->epochs))
		e = epochs_assign(&l->epochs, h->leader_epoch, h->base_offset, &changed);
	if (e != ERR_OK)
		return e == ERR_LIMIT ? ERR_MALFORMED : e;
	if (changed)
		l->epochs_changed++;
	int64_t size = g->size;
	g->size = k->scan.at; /* segment_add notes it behind the others */
	segment_add(g, h, l->config.index_interval_bytes);
	g->size = size;
	k->end = batch_last_offset(h) + 1;
	return ERR_OK;
}

/* ERR_OK: the whole segment is good, or damaged where nothing is cut. ERR_CORRUPT: cut it at
 * k->scan.at. */
static enum err check_segment(struct check *k, struct segment *g, int64_t limit, struct errmsg *why)
{
	struct plog *l = k->log;
	struct batch_head h;
	int64_t at = begin_at(k, g);

	enum err e = prepare_index(g, at);
	if (e == ERR_OK)
		e = segment_open(l, g, why);
	if (e != ERR_OK)
		return e;
	scan_init(&k->scan, l->store->disk, files_fd(g->log_file), at, g->size,
		  at > 0             ? g->base
		  : k->end > g->base ? k->end
				     : g->base);
	scan_window(&k->scan, k->window, PLOG_SCAN_WINDOW);
	k->scan.limit = limit;
	for (;;) {
		e = scan_next(&k->scan, &h, why);
		if (e == ERR_NOT_FOUND)
			return ERR_OK;
		if (e == ERR_MALFORMED)
			k->scan.at = k->scan.next;
		if (e == ERR_OK)
			e = take_batch(k, g, &h, why);
		if (e == ERR_OK)
			continue;
		if (e != ERR_MALFORMED && e != ERR_CORRUPT)
			return e;
		if (k->scan.offset >= k->point || e == ERR_CORRUPT)
			return ERR_CORRUPT;
		log_event(l->store->log, LOG_ERROR, "log_damaged", LOG_S("partition", l->name),
			  LOG_I("segment", g->base), LOG_I("offset", k->scan.offset),
			  LOG_S("reason", why->text));
		k->scan.next = k->scan.at + 1;
		e = scan_resync(&k->scan, why);
		if (e == ERR_IO)
			return e;
		if (e != ERR_OK) {
			k->damaged = true;
			return ERR_OK;
		}
	}
}

/* Cut segment `i` at `position` and drop what follows; what went is in the log line. */
static enum err cut_at(struct check *k, size_t i, int64_t position, const char *reason,
		       struct errmsg *why)
{
	struct plog *l = k->log;
	const struct disk *d = l->store->disk;
	struct segment *g = l->segments[i];
	int64_t bytes = g->size - position;
	char folder[DISKIO_PATH];

	if (d->ftruncate(d->ctx, files_fd(g->log_file), position) != 0)
		return errmsg_set(why, ERR_IO, "%s: truncate: %s", l->name, strerror(errno));
	l->size -= g->size - position;
	g->size = position;
	g->next = k->end;
	g->dirty = true;
	segment_discard_index(l, g);
	plog_path_folder(l, folder);
	size_t segments = l->segments_n - 1 - i;
	while (l->segments_n > i + 1) {
		int64_t base = plog_active(l)->base;
		bytes += plog_active(l)->size;
		enum err e = segment_remove_files(d, folder, base, why);
		if (e != ERR_OK)
			return e;
		plog_drop_segment(l, l->segments_n - 1);
		l->folder_dirty = true;
	}
	log_event(l->store->log, LOG_WARN, "log_truncated", LOG_S("partition", l->name),
		  LOG_I("bytes", bytes), LOG_I("offset", k->end), LOG_I("recovery_point", k->point),
		  LOG_I("segments", segments), LOG_S("reason", reason));
	return ERR_OK;
}

/* With fsync=always what a log shows is on disk: make sure of it, since the process that wrote it
 * may have been killed before its sync. */
static enum err sync_checked(struct plog *l, struct errmsg *why)
{
	const struct disk *d = l->store->disk;
	char folder[DISKIO_PATH];

	if (!store_always(l->store))
		return ERR_OK;
	for (size_t i = 0; i < l->segments_n; i++) {
		struct segment *g = l->segments[i];
		if (!g->dirty)
			continue;
		enum err e = segment_open(l, g, why);
		if (e != ERR_OK)
			return e;
		if (d->fdatasync(d->ctx, files_fd(g->log_file)) != 0)
			return errmsg_set(why, ERR_IO, "%s: sync: %s", l->name, strerror(errno));
		g->dirty = false;
	}
	plog_path_folder(l, folder);
	enum err e = diskio_sync_dir(d, folder, why);
	if (e == ERR_OK)
		l->folder_dirty = false;
	return e;
}

/* Offsets without gaps: only compaction makes them, and it may be ahead of its checkpoint. */
static bool is_dense(const struct plog *l)
{
	return !l->config.cleanup_compact && l->cleaned < 0;
}

static enum err check_all(struct check *k, struct errmsg *why)
{
	struct plog *l = k->log;
	ptrdiff_t at = plog_segment_at(l, k->point);
	size_t first = at < 0 ? 0 : (size_t)at;

	k->end = l->segments[first]->base;
	for (size_t i = first; i < l->segments_n; i++) {
		struct segment *g = l->segments[i];
		int64_t limit = i + 1 < l->segments_n ? l->segments[i + 1]->base : INT64_MAX;
		struct errmsg reason = {{0}};
		k->damaged = false;
		enum err e = check_segment(k, g, limit, &reason);
		if (e == ERR_CORRUPT)
			return cut_at(k, i, k->scan.at, reason.text, why);
		if (e != ERR_OK)
			return errmsg_set(why, e, "%s: %s", l->name,
					  reason.text[0] != '\0' ? reason.text : err_text(e));
		if (limit != INT64_MAX && is_dense(l) && !k->damaged && k->end >= k->point &&
		    k->end < limit)
			return cut_at(k, i, g->size, "records are missing before the next segment",
				      why);
		if (index_reserve(g->index) != ERR_OK)
			return errmsg_set(why, ERR_NOMEM, "%s: out of memory", l->name);
		index_add_time(g->index, g->max_timestamp, g->max_timestamp_offset);
		g->next = limit != INT64_MAX ? limit : k->end;
		if (k->damaged && k->end < k->point)
			k->end = limit < k->point ? limit : k->point;
	}
	return ERR_OK;
}

static enum err recover(struct plog *l, int64_t point, struct errmsg *why)
{
	struct check k = {.log = l, .point = point};

	/* What the cache file says is right below the recovery point. */
	l->end = plog_active(l)->next = INT64_MAX;
	enum err e = plog_load_epochs(l, why);
	if (e != ERR_OK)
		return e;
	if (epochs_truncate_end(&l->epochs, point))
		l->epochs_changed++;
	k.window = mem_alloc(PLOG_SCAN_WINDOW);
	if (k.window == NULL)
		return errmsg_set(why, ERR_NOMEM, "%s: out of memory", l->name);
	e = check_all(&k, why);
	if (e == ERR_OK && k.end < point) {
		/* The log is shorter than that: so the point is not to be trusted (it may be that
		 * of an earlier topic of the same name), and all is checked. */
		log_event(l->store->log, LOG_WARN, "log_damaged", LOG_S("partition", l->name),
			  LOG_I("end", k.end), LOG_I("recovery_point", point),
			  LOG_S("reason", "the log ends before its recovery point"));
		k.point = point = 0;
		e = check_all(&k, why);
	}
	mem_free(k.window);
	if (e != ERR_OK)
		return e;
	set_open(l, k.end);
	if (k.damaged)
		l->roll_due = true;
	if (!store_always(l->store))
		l->recovery_point = point < k.end ? point : k.end;
	return sync_checked(l, why);
}

/* The start that was kept is beyond everything there is: as in Kafka, begin anew there. */
static enum err start_beyond_end(struct plog *l, struct errmsg *why)
{
	char folder[DISKIO_PATH];
	int64_t start = l->start;

	log_event(l->store->log, LOG_WARN, "log_truncated", LOG_S("partition", l->name),
		  LOG_I("bytes", l->size), LOG_I("offset", start), LOG_I("end", l->end),
		  LOG_S("reason", "the log ends before its start"));
	plog_path_folder(l, folder);
	while (l->segments_n > 0) {
		int64_t base = plog_active(l)->base;
		enum err e = segment_remove_files(l->store->disk, folder, base, why);
		if (e != ERR_OK)
			return e;
		plog_drop_segment(l, l->segments_n - 1);
	}
	enum err e = add_first(l, start, why);
	if (e == ERR_OK)
		set_open(l, start);
	return e;
}

enum err recovery_open(struct plog *l, const struct store_known *known, bool clean,
		       struct errmsg *why)
{
	struct folder f;
	int64_t point = known != NULL && known->recovery_point > 0 ? known->recovery_point : 0;
	bool kept = known != NULL && known->recovery_point >= 0;

	l->start = known != NULL && known->start > 0 ? known->start : 0;
	l->start_kept = l->start > 0;
	l->cleaned = known != NULL ? known->cleaned : -1;
	enum err e = list_folder(l, &f, why);
	if (e != ERR_OK)
		return e;
	e = clear_leftovers(l, &f, why);
	if (e == ERR_OK) {
		tell_missing(l, &f);
		e = add_segments(l, &f, why);
	}
	l->snapshot_at = f.snapshot;
	if (e != ERR_OK)
		goto out;
	if (l->segments_n == 0) {
		e = add_first(l, l->start > point ? l->start : point, why);
		if (e == ERR_OK)
			set_open(l, l->end);
		goto out;
	}
	const struct segment *g = plog_active(l);
	if (clean && kept && point >= g->base && (g->size > 0) == (point > g->base))
		set_open(l, point);
	else
		e = recover(l, point, why);
	if (e == ERR_OK && l->start > l->end)
		e = start_beyond_end(l, why);
	if (l->snapshot_at > l->end)
		l->snapshot_at = -1;
out:
	folder_fini(&f);
	return e;
}
