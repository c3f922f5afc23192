/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A partition's log as an object: its segments, who waits for it, what it answers from memory.
 *
 * Waits and watches are called from one deferred function, plog_wake's. While it runs, a callback
 * may append, wait, watch, cancel, or delete the log: its own lists are taken off first, and the
 * object lives until the end of the turn.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#include "cluster/log/plog_impl.h"
#include "lib/base/mem.h"

void plog_config_init(struct plog_config *c)
{
	*c = (struct plog_config){
		.segment_bytes = 1024 * 1024 * 1024,
		.segment_ms = INT64_C(7) * 24 * 3600 * 1000,
		.segment_index_bytes = 10 * 1024 * 1024,
		.index_interval_bytes = 4096,
		.retention_ms = INT64_C(7) * 24 * 3600 * 1000,
		.retention_bytes = -1,
		.cleanup_delete = true,
		.delete_retention_ms = INT64_C(24) * 3600 * 1000,
		.max_compaction_lag_ms = INT64_MAX,
		.min_cleanable_dirty_ratio = 0.5,
		.max_message_bytes = 1024 * 1024 + 12,
		.timestamp_before_max_ms = INT64_MAX,
		.timestamp_after_max_ms = 3600 * 1000,
		.compression = -1,
		.flush_messages = INT64_MAX,
		.flush_ms = INT64_MAX,
	};
}

void plog_configure(struct plog *l, const struct plog_config *c)
{
	l->config = *c;
}

const char *plog_name(const struct plog *l)
{
	return l->name;
}

struct uuid plog_topic_id(const struct plog *l)
{
	return l->topic_id;
}

int64_t plog_start(const struct plog *l)
{
	return l->start;
}

int64_t plog_end(const struct plog *l)
{
	return l->end;
}

int64_t plog_size(const struct plog *l)
{
	return l->size;
}

struct plog_mark plog_mark_end(const struct plog *l)
{
	const struct segment *g = plog_active(l);

	return (struct plog_mark){.offset = l->end, .segment = g->base, .position = g->size};
}

struct plog_mark plog_mark_visible(const struct plog *l)
{
	return store_always(l->store) ? l->stored : plog_mark_end(l);
}

int64_t plog_high_watermark(const struct plog *l)
{
	return store_always(l->store) ? l->stored.offset : l->end;
}

enum err plog_health(const struct plog *l)
{
	return l->failed || l->refused ? ERR_KAFKA_KAFKA_STORAGE_ERROR : ERR_OK;
}

void plog_path_folder(const struct plog *l, char out[DISKIO_PATH])
{
	int n = snprintf(out, DISKIO_PATH, "%s/%s", l->store->dir, l->name);

	assert(n < DISKIO_PATH);
}

void plog_path_file(const struct plog *l, const char *file, char out[DISKIO_PATH])
{
	int n = snprintf(out, DISKIO_PATH, "%s/%s/%s", l->store->dir, l->name, file);

	assert(n < DISKIO_PATH);
}

void plog_path(const struct plog *l, int64_t base, const char *suffix, char out[DISKIO_PATH])
{
	int n = snprintf(out, DISKIO_PATH, "%s/%s/%020" PRId64 ".%s", l->store->dir, l->name, base,
			 suffix);

	assert(n < DISKIO_PATH);
}

/* ---- waits and watches ---- */

static void unlink_wait(struct plog_wait *w)
{
	assert(w->back != NULL);
	*w->back = w->next;
	if (w->next != NULL)
		w->next->back = w->back;
	w->next = NULL;
	w->back = NULL;
}

static void link_wait(struct plog_wait **head, struct plog_wait *w)
{
	w->next = *head;
	w->back = head;
	if (w->next != NULL)
		w->next->back = &w->next;
	*head = w;
}

void plog_wait_cancel(struct plog_wait *w)
{
	if (w->back != NULL)
		unlink_wait(w);
}

void plog_unwatch(struct plog_watch *w)
{
	if (w->back == NULL)
		return;
	*w->back = w->next;
	if (w->next != NULL)
		w->next->back = w->back;
	w->next = NULL;
	w->back = NULL;
}

void plog_watch(struct plog *l, struct plog_watch *w)
{
	assert(w->back == NULL);
	w->next = l->watches;
	w->back = &l->watches;
	if (w->next != NULL)
		w->next->back = &w->next;
	l->watches = w;
	if (l->deleted) {
		l->watch_due = true;
		plog_wake(l);
	}
}

void plog_wait_stored(struct plog *l, struct plog_wait *w)
{
	assert(w->back == NULL);
	link_wait(&l->waits, w);
	if (w->offset <= plog_high_watermark(l) || l->failed || l->deleted)
		plog_wake(l);
}

/* Those who are done go to `ready`, oldest first: new ones are linked at the front. */
static void take_ready(struct plog *l, bool all, struct plog_wait **ready)
{
	int64_t stored = plog_high_watermark(l);
	struct plog_wait *next;

	for (struct plog_wait *w = l->waits; w != NULL; w = next) {
		next = w->next;
		if (!all && w->offset > stored)
			continue;
		unlink_wait(w);
		link_wait(ready, w);
	}
}

static void wake(void *arg)
{
	struct plog *l = arg;
	struct plog_wait *ready = NULL;
	struct plog_watch *watches = NULL;
	int64_t stored = plog_high_watermark(l);
	enum err bad =
		l->deleted ? ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION : ERR_KAFKA_KAFKA_STORAGE_ERROR;

	take_ready(l, l->deleted || l->failed, &ready);
	if (l->watch_due && l->watches != NULL) {
		watches = l->watches;
		watches->back = &watches;
		l->watches = NULL;
	}
	l->watch_due = false;
	while (ready != NULL) {
		struct plog_wait *w = ready;
		unlink_wait(w);
		w->done(w, w->offset <= stored && !l->deleted ? ERR_OK : bad);
	}
	while (watches != NULL) {
		struct plog_watch *w = watches;
		plog_unwatch(w);
		w->fn(w);
	}
}

void plog_wake(struct plog *l)
{
	if (!l->wake.pending)
		loop_defer(l->store->loop, &l->wake);
}

/* ---- the object ---- */

enum err plog_new(struct store *s, const char *topic, int32_t partition,
		  const struct uuid *topic_id, const struct plog_config *config, struct plog **out)
{
	char name[STORE_NAME_MAX];
	struct plog *l = mem_zalloc(1, sizeof *l);

	if (l == NULL)
		return ERR_NOMEM;
	(void)snprintf(name, sizeof name, "%s-%" PRId32, topic, partition);
	l->name = mem_strdup(name);
	if (l->name == NULL) {
		mem_free(l);
		return ERR_NOMEM;
	}
	l->store = s;
	l->topic_n = strlen(topic);
	l->partition = partition;
	l->topic_id = *topic_id;
	l->config = *config;
	l->snapshot_at = l->snapshot_offset = -1;
	l->cleaned = -1;
	l->wake = (struct loop_deferred){.fn = wake, .arg = l};
	epochs_init(&l->epochs);
	buf_init(&l->snapshot, (size_t)PLOG_PRODUCERS_MAX * 64 + 1024);
	*out = l;
	return ERR_OK;
}

static void forget_waiters(struct plog *l)
{
	while (l->waits != NULL)
		unlink_wait(l->waits);
	while (l->watches != NULL)
		plog_unwatch(l->watches);
}

void plog_free(struct plog *l)
{
	if (l == NULL)
		return;
	loop_undefer(l->store->loop, &l->wake);
	loop_undefer(l->store->loop, &l->kick);
	loop_undefer(l->store->loop, &l->bury);
	forget_waiters(l);
	commit_orphan(l->commit);
	while (l->segments_n > 0)
		segment_free(l->segments[--l->segments_n]);
	mem_free(l->segments);
	epochs_fini(&l->epochs);
	producers_free(l->producers);
	buf_fini(&l->snapshot);
	mem_free(l->name);
	mem_free(l);
}

/* ---- segments ---- */

void plog_set_stored(struct plog *l, struct plog_mark at)
{
	ptrdiff_t i = plog_segment_at(l, at.offset);

	/* The end of a rolled segment is the start of the next one. */
	if (i >= 0 && l->segments[i]->base != at.segment)
		at = (struct plog_mark){.offset = at.offset, .segment = l->segments[i]->base};
	l->stored = at;
}

ptrdiff_t plog_segment_at(const struct plog *l, int64_t offset)
{
	size_t lo = 0, hi = l->segments_n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (l->segments[mid]->base <= offset)
			lo = mid + 1;
		else
			hi = mid;
	}
	return (ptrdiff_t)lo - 1;
}

enum err plog_add_segment(struct plog *l, struct segment *g)
{
	if (l->segments_n == l->segments_cap) {
		size_t cap = l->segments_cap == 0 ? 1 : l->segments_cap * 2;
		struct segment **v = mem_resize(l->segments, cap, sizeof(struct segment *));
		if (v == NULL)
			return ERR_NOMEM;
		l->segments = v;
		l->segments_cap = cap;
	}
	l->segments[l->segments_n++] = g;
	l->size += g->size;
	return ERR_OK;
}

void plog_drop_segment(struct plog *l, size_t i)
{
	l->size -= l->segments[i]->size;
	segment_free(l->segments[i]);
	l->segments_n--;
	memmove(l->segments + i, l->segments + i + 1,
		(l->segments_n - i) * sizeof(struct segment *));
}

void plog_take_snapshot(struct plog *l)
{
	if (l->producers == NULL || l->snapshot_at == l->end)
		return;
	buf_clear(&l->snapshot);
	l->snapshot_offset = -1;
	/* Without a snapshot the state is replayed from an earlier one. */
	if (producers_encode(l->producers, &l->snapshot) == ERR_OK)
		l->snapshot_offset = l->end;
	else
		buf_clear(&l->snapshot);
}

enum err plog_roll(struct plog *l, struct errmsg *why)
{
	struct segment *old = plog_active(l);
	struct segment *g;

	if (old->base == l->end) { /* empty: a new file takes its place */
		char path[DISKIO_PATH];
		plog_path(l, old->base, "log", path);
		files_close(&old->log_file);
		enum err e = files_open(l->store->files, &old->log_file, path,
					O_RDWR | O_CREAT | O_TRUNC, why);
		if (e != ERR_OK)
			return e;
		old->excess = false;
		l->roll_due = false;
		return ERR_OK;
	}
	g = segment_new(l->end);
	if (g == NULL)
		return errmsg_set(why, ERR_NOMEM, "%s: out of memory", l->name);
	/* In the middle of the log a recovery would take it for its end. */
	enum err e = segment_drop_excess(l, old, why);
	if (e == ERR_OK)
		e = segment_load_index(l, old, why);
	if (e == ERR_OK)
		e = segment_load_times(l, old, why);
	if (e == ERR_OK && index_reserve(old->index) != ERR_OK)
		e = errmsg_set(why, ERR_NOMEM, "%s: out of memory", l->name);
	if (e == ERR_OK)
		e = segment_create(l, g, why);
	if (e == ERR_OK && plog_add_segment(l, g) != ERR_OK)
		e = errmsg_set(why, ERR_NOMEM, "%s: out of memory", l->name);
	if (e != ERR_OK) {
		segment_free(g);
		return e;
	}
	index_add_time(old->index, old->max_timestamp, old->max_timestamp_offset);
	old->next = l->end;
	old->saved = false;
	l->folder_dirty = true;
	l->roll_due = false;
	plog_set_stored(l, l->stored);
	plog_take_snapshot(l);
	commit_soon(l, COMMIT_ROLLED);
	return ERR_OK;
}

/* ---- leader epochs and producers, read when first needed ---- */

static enum err epochs_from_heads(struct plog *l, struct errmsg *why)
{
	uint8_t *window = mem_alloc(PLOG_SCAN_WINDOW);
	enum err e = ERR_OK;

	if (window == NULL)
		return errmsg_set(why, ERR_NOMEM, "%s: out of memory", l->name);
	for (size_t i = 0; i < l->segments_n && e == ERR_OK; i++) {
		struct segment *g = l->segments[i];
		struct scan s;
		struct batch_head h;
		bool changed;
		e = segment_open(l, g, why);
		if (e != ERR_OK)
			break;
		scan_init(&s, l->store->disk, files_fd(g->log_file), 0, g->size, g->base);
		scan_window(&s, window, PLOG_SCAN_WINDOW);
		s.limit = g->next;
		while ((e = scan_next(&s, &h, why)) == ERR_OK)
			if (h.leader_epoch > epochs_latest(&l->epochs) &&
			    (e = epochs_assign(&l->epochs, h.leader_epoch, h.base_offset,
					       &changed)) != ERR_OK)
				break;
		if (e == ERR_NOT_FOUND || e == ERR_MALFORMED || e == ERR_LIMIT)
			e = ERR_OK;
	}
	mem_free(window);
	return e;
}

enum err plog_load_epochs(struct plog *l, struct errmsg *why)
{
	char path[DISKIO_PATH];
	struct errmsg bad = {{0}};
	struct buf text;

	if (l->epochs_loaded)
		return ERR_OK;
	buf_init(&text, (size_t)EPOCHS_MAX * 32);
	plog_path_file(l, "leader-epoch-checkpoint", path);
	enum err e = diskio_read(l->store->disk, path, &text, &bad);
	if (e == ERR_OK)
		e = epochs_decode(&l->epochs, buf_bytes(&text), &bad);
	buf_fini(&text);
	if (e == ERR_NOMEM)
		return errmsg_set(why, e, "%s: out of memory", l->name);
	if (e != ERR_OK && l->size > 0) {
		log_event(l->store->log, LOG_WARN, "log_epochs_rebuilt",
			  LOG_S("partition", l->name), LOG_S("reason", bad.text));
		e = epochs_from_heads(l, why);
		if (e != ERR_OK) {
			epochs_fini(&l->epochs);
			epochs_init(&l->epochs);
			return e;
		}
		l->epochs_changed++;
	}
	if (epochs_truncate_end(&l->epochs, l->end))
		l->epochs_changed++;
	if (epochs_truncate_start(&l->epochs, l->start))
		l->epochs_changed++;
	l->epochs_loaded = true;
	return ERR_OK;
}

static enum err replay_segment(struct plog *l, struct segment *g, int64_t from, uint8_t *window,
			       struct errmsg *why)
{
	struct batch_head h;
	struct scan s;
	int64_t position = 0;
	enum err e = segment_find(l, g, from, &position, &h, why);

	if (e == ERR_NOT_FOUND)
		return ERR_OK;
	if (e != ERR_OK && e != ERR_CORRUPT)
		return e;
	e = segment_open(l, g, why);
	if (e != ERR_OK)
		return e;
	scan_init(&s, l->store->disk, files_fd(g->log_file), position, g->size, g->base);
	scan_window(&s, window, PLOG_SCAN_WINDOW);
	s.limit = g->next;
	while ((e = scan_next(&s, &h, why)) == ERR_OK) {
		e = producers_replay(l->producers, &h);
		if (e != ERR_OK)
			return errmsg_set(why, e, "%s: producers: %s", l->name, err_text(e));
	}
	/* Where a segment is damaged, what the rest of it says stays unknown. */
	return e == ERR_NOT_FOUND || e == ERR_MALFORMED ? ERR_OK : e;
}

static enum err replay_producers(struct plog *l, int64_t from, struct errmsg *why)
{
	uint8_t *window = mem_alloc(PLOG_SCAN_WINDOW);
	enum err e = ERR_OK;

	if (window == NULL)
		return errmsg_set(why, ERR_NOMEM, "%s: out of memory", l->name);
	ptrdiff_t at = plog_segment_at(l, from);
	for (size_t i = at < 0 ? 0 : (size_t)at; i < l->segments_n && e == ERR_OK; i++)
		e = replay_segment(l, l->segments[i], from, window, why);
	mem_free(window);
	return e;
}

struct snapshots {
	int64_t below;
	int64_t found; /* the largest offset <= below; -1 */
};

static bool note_snapshot(void *arg, const char *name)
{
	struct snapshots *s = arg;
	int64_t offset = 0;

	for (int i = 0; i < 20; i++) {
		if (name[i] < '0' || name[i] > '9' || offset > (INT64_MAX - 9) / 10)
			return true;
		offset = offset * 10 + (name[i] - '0');
	}
	if (strcmp(name + 20, ".snapshot") == 0 && offset <= s->below && offset > s->found)
		s->found = offset;
	return true;
}

/* The latest snapshot at or below `*from` that can be read; *from is its offset, or the first
 * segment's without one. */
static enum err load_snapshot(struct plog *l, int64_t *from, struct errmsg *why)
{
	const struct disk *d = l->store->disk;
	char path[DISKIO_PATH];
	struct buf b;
	enum err e;

	for (int64_t below = *from;;) {
		struct snapshots s = {.below = below, .found = -1};
		struct errmsg bad = {{0}};
		plog_path_folder(l, path);
		(void)d->list(d->ctx, path, note_snapshot, &s);
		if (s.found < l->segments[0]->base) {
			*from = l->segments[0]->base;
			return ERR_OK;
		}
		buf_init(&b, (size_t)64 * 1024 * 1024);
		plog_path(l, s.found, "snapshot", path);
		e = diskio_read(d, path, &b, &bad);
		if (e == ERR_OK)
			e = producers_decode(l->producers, buf_bytes(&b), &bad);
		buf_fini(&b);
		if (e == ERR_NOMEM)
			return errmsg_set(why, e, "%s: out of memory", l->name);
		if (e == ERR_OK) {
			*from = l->snapshot_at = s.found;
			return ERR_OK;
		}
		log_event(l->store->log, LOG_WARN, "log_snapshot_bad", LOG_S("partition", l->name),
			  LOG_I("offset", s.found), LOG_S("reason", bad.text));
		below = s.found - 1;
	}
}

enum err plog_load_producers(struct plog *l, struct errmsg *why)
{
	int64_t from = l->end;

	if (l->producers != NULL)
		return ERR_OK;
	l->producers = producers_new(PLOG_PRODUCERS_MAX);
	if (l->producers == NULL)
		return errmsg_set(why, ERR_NOMEM, "%s: out of memory", l->name);
	enum err e = load_snapshot(l, &from, why);
	if (e == ERR_OK)
		e = replay_producers(l, from, why);
	if (e != ERR_OK) {
		producers_free(l->producers);
		l->producers = NULL;
	}
	return e;
}

bool plog_producers(struct plog *l, size_t *at, struct plog_producer *out)
{
	if (plog_load_producers(l, NULL) != ERR_OK)
		return false;
	return producers_next(l->producers, at, out);
}

void plog_epoch_end(struct plog *l, int32_t epoch, int32_t current, int32_t *found, int64_t *end)
{
	*found = -1;
	*end = -1;
	if (plog_load_epochs(l, NULL) != ERR_OK)
		return;
	/* Partition.lastOffsetForLeaderEpoch: the leader's own epoch ends at the log's end, even if
	 * nothing was written in it. */
	if (epoch == current) {
		*found = current;
		*end = l->end;
		return;
	}
	epochs_end_for(&l->epochs, epoch, l->end, found, end);
}

int32_t plog_epoch_at(struct plog *l, int64_t offset)
{
	return plog_load_epochs(l, NULL) == ERR_OK ? epochs_at(&l->epochs, offset) : -1;
}

/* ---- cuts and repairs ---- */

static enum err cut_producers(struct plog *l, struct errmsg *why)
{
	if (l->snapshot_at > l->end)
		l->snapshot_at = -1;
	if (l->snapshot_offset > l->end)
		l->snapshot_offset = -1;
	if (l->producers == NULL || producers_truncate(l->producers, l->end))
		return ERR_OK;
	producers_free(l->producers);
	l->producers = NULL;
	return plog_load_producers(l, why);
}

static void remove_snapshots_above(struct plog *l)
{
	const struct disk *d = l->store->disk;
	char path[DISKIO_PATH];

	for (int i = 0; i < PLOG_SEGMENTS_MAX; i++) {
		struct snapshots s = {.below = INT64_MAX, .found = l->end};
		plog_path_folder(l, path);
		if (d->list(d->ctx, path, note_snapshot, &s) != 0 || s.found <= l->end)
			return;
		plog_path(l, s.found, "snapshot", path);
		if (diskio_remove(d, path, NULL) != ERR_OK)
			return;
	}
}

enum err plog_cut(struct plog *l, const struct plog_mark *at, struct errmsg *why)
{
	const struct disk *d = l->store->disk;
	char folder[DISKIO_PATH];
	ptrdiff_t i = plog_segment_at(l, at->segment);
	struct segment *g = l->segments[i];
	enum err e;

	assert(i >= 0 && g->base == at->segment && at->position <= g->size);
	e = segment_load_index(l, g, why);
	if (e == ERR_OK)
		e = segment_open(l, g, why);
	if (e != ERR_OK)
		return e;
	/* The last first: whatever fails, what is left is a log. */
	plog_path_folder(l, folder);
	while (l->segments_n > (size_t)i + 1) {
		int64_t base = plog_active(l)->base;
		e = segment_remove_files(d, folder, base, why);
		if (e != ERR_OK)
			return e;
		plog_drop_segment(l, l->segments_n - 1);
		l->folder_dirty = true;
		l->end = base;
	}
	e = segment_open(l, g, why);
	if (e != ERR_OK)
		return e;
	if (d->ftruncate(d->ctx, files_fd(g->log_file), at->position) != 0)
		return errmsg_set(why, ERR_IO, "%s: truncate: %s", l->name, strerror(errno));
	l->size -= g->size - at->position;
	g->size = at->position;
	g->next = at->offset;
	g->excess = false;
	g->dirty = true;
	g->saved = false;
	g->times_known = false;
	if (g->size == 0)
		g->first_timestamp = -1;
	index_truncate(g->index, at->offset, at->position);
	segment_discard_index(l, g);
	l->end = at->offset;
	l->cuts++;
	if (l->stored.offset >= l->end)
		l->stored = *at;
	if (l->recovery_point > l->end)
		l->recovery_point = l->end;
	if (l->start > l->end)
		l->start = l->end;
	if (l->epochs_loaded && epochs_truncate_end(&l->epochs, l->end))
		l->epochs_changed++;
	remove_snapshots_above(l);
	e = segment_load_times(l, g, why);
	if (e == ERR_OK)
		e = cut_producers(l, why);
	return e;
}

void plog_fail(struct plog *l)
{
	l->failed = true;
	l->watch_due = true;
	plog_wake(l);
	store_repair_soon(l->store);
}

/* What was not known to be on disk is cut off, since nobody can tell how much of it is there, and
 * writing goes on in a new file. Appends are taken again when that is on disk (commit.c). */
void plog_repair(struct plog *l)
{
	struct errmsg why = {{0}};
	enum err e = ERR_OK;

	if (commit_running(l) || l->deleted)
		return;
	if (l->end > l->stored.offset || plog_active(l)->excess)
		e = plog_cut(l, &l->stored, &why);
	if (e == ERR_OK)
		e = plog_roll(l, &why);
	if (e != ERR_OK) {
		log_event(l->store->log, LOG_WARN, "log_repair_failed", LOG_S("partition", l->name),
			  LOG_S("reason", why.text));
		store_repair_soon(l->store);
		return;
	}
	l->folder_dirty = true;
	commit_soon(l, COMMIT_ALL);
}
