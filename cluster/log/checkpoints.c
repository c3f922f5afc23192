/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/log/checkpoints.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>

#include "cluster/log/checkpoint_file.h"
#include "cluster/log/plog_impl.h"
#include "lib/base/mem.h"

enum { FILE_MAX = 64 * 1024 * 1024 };

enum kind { KIND_RECOVERY, KIND_START, KIND_CLEANED, KINDS };

static const char *const names[KINDS] = {
	[KIND_RECOVERY] = "recovery-point-offset-checkpoint",
	[KIND_START] = "log-start-offset-checkpoint",
	[KIND_CLEANED] = "cleaner-offset-checkpoint",
};

static const char mark[] = ".kafka_cleanshutdown";

struct checkpoints {
	struct worker_job job;
	struct store *store; /* NULL: it went away */
	const struct disk *disk;
	char *dir;
	struct buf recovery, cleaned;
	/* Names of deleted logs that the files may still have, each with the count of deletions
	 * at its own; those up to `written` are not in what the job writes. */
	struct map *stale;
	uintptr_t deletions, written;
	bool stale_unknown;   /* a name could not be kept: any may be stale */
	pthread_mutex_t lock; /* held while files are written */
	bool superseded;      /* newer files were written than the job has; under the lock */
	bool clean;
	bool running;
	void (*done)(struct store *s, enum err e);
	struct errmsg why;
	enum err e;
};

static void make_path(const char *dir, const char *name, char path[DISKIO_PATH])
{
	(void)snprintf(path, DISKIO_PATH, "%s/%s", dir, name);
}

/* ---- reading ---- */

static enum err note(struct store *s, enum kind kind, const struct checkpoint_file_entry *x)
{
	char name[STORE_NAME_MAX];

	(void)snprintf(name, sizeof name, "%.*s-%" PRId32, (int)x->topic.n,
		       (const char *)x->topic.p, x->partition);
	struct store_known *k = map_get(s->known, bytes_str(name));
	if (k == NULL) {
		k = mem_zalloc(1, sizeof *k);
		if (k == NULL || map_put(s->known, bytes_str(name), k) != ERR_OK) {
			mem_free(k);
			return ERR_NOMEM;
		}
		*k = (struct store_known){.recovery_point = -1, .cleaned = -1};
	}
	if (kind == KIND_RECOVERY)
		k->recovery_point = x->offset;
	else if (kind == KIND_START)
		k->start = x->offset;
	else
		k->cleaned = x->offset;
	return ERR_OK;
}

static enum err load(struct store *s, enum kind kind, struct errmsg *why)
{
	struct checkpoint_file_entry x;
	char path[DISKIO_PATH];
	struct errmsg bad = {{0}};
	struct buf text;
	size_t at = 0;

	buf_init(&text, FILE_MAX);
	make_path(s->dir, names[kind], path);
	enum err e = diskio_read(s->disk, path, &text, &bad);
	if (e == ERR_OK)
		e = checkpoint_file_check(buf_bytes(&text), &bad);
	if (e == ERR_OK) {
		while (e == ERR_OK && checkpoint_file_next(buf_bytes(&text), &at, &x))
			e = note(s, kind, &x);
	} else if (e != ERR_NOT_FOUND && e != ERR_NOMEM) {
		log_event(s->log, LOG_ERROR, "checkpoint_unreadable", LOG_S("file", names[kind]),
			  LOG_S("reason", bad.text));
		e = ERR_OK;
	}
	buf_fini(&text);
	if (e == ERR_NOMEM)
		return errmsg_set(why, e, "%s: out of memory", path);
	return ERR_OK;
}

/* The file of the starts is made with the directory: a later start that does not find it, or cannot
 * read it, knows that records may come back that were deleted, and says so. */
static enum err keep_starts(struct store *s, bool fresh, struct errmsg *why)
{
	struct disk_stat st;
	char path[DISKIO_PATH];

	make_path(s->dir, names[KIND_START], path);
	if (s->disk->stat(s->disk->ctx, path, &st) == 0 && st.size > 0)
		return ERR_OK;
	if (!fresh)
		log_event(s->log, LOG_ERROR, "checkpoint_missing", LOG_S("file", names[KIND_START]),
			  LOG_S("reason", "deleted records may be seen again"));
	return checkpoints_write_starts(s, why);
}

enum err checkpoints_load(struct store *s, bool fresh, struct errmsg *why)
{
	for (enum kind kind = 0; kind < KINDS; kind++) {
		enum err e = load(s, kind, why);
		if (e != ERR_OK)
			return e;
	}
	return keep_starts(s, fresh, why);
}

enum err checkpoints_take_mark(struct store *s, bool *was, struct errmsg *why)
{
	struct disk_stat st;
	char path[DISKIO_PATH];

	make_path(s->dir, mark, path);
	*was = s->disk->stat(s->disk->ctx, path, &st) == 0;
	if (!*was)
		return ERR_OK;
	enum err e = diskio_remove(s->disk, path, why);
	return e == ERR_OK ? diskio_sync_dir(s->disk, s->dir, why) : e;
}

/* ---- writing ---- */

static int64_t offset_of(enum kind kind, const struct plog *l)
{
	if (l->deleted)
		return -1;
	switch (kind) {
	case KIND_RECOVERY:
		return l->recovery_point;
	case KIND_START:
		/* A start at a segment's edge can be seen from the files, once their names are
		 * synced. */
		if (l->start > l->segments[0]->base || l->folder_dirty || commit_running(l))
			return l->start > 0 ? l->start : -1;
		return -1;
	case KIND_CLEANED:
		return l->cleaned;
	case KINDS:
		break;
	}
	return -1;
}

static int64_t known_offset(enum kind kind, const struct store_known *k)
{
	if (kind == KIND_START)
		return k->start > 0 ? k->start : -1;
	return kind == KIND_RECOVERY ? k->recovery_point : k->cleaned;
}

/* "orders-3" into its two fields; the name came from a checkpoint or made a log. */
static void put_name(struct buf *out, struct bytes name, int64_t offset)
{
	size_t n = name.n;

	while (n > 0 && name.p[n - 1] != '-')
		n--;
	buf_put(out, name.p, n - 1);
	buf_put_u8(out, ' ');
	buf_put(out, name.p + n, name.n - n);
	buf_printf(out, " %" PRId64 "\n", offset);
}

static enum err encode(const struct store *s, enum kind kind, struct buf *out)
{
	size_t n = 0, at;
	struct bytes name;
	void *v;

	buf_clear(out);
	for (int pass = 0; pass < 2; pass++) {
		if (pass == 1)
			checkpoint_file_put_head(out, n);
		for (const struct plog *l = s->first; l != NULL; l = l->next) {
			int64_t offset = offset_of(kind, l);
			if (offset < 0)
				continue;
			n++;
			if (pass == 1)
				put_name(out, bytes_str(l->name), offset);
		}
		at = 0;
		while (map_next(s->known, &at, &name, &v)) {
			int64_t offset = known_offset(kind, v);
			if (offset < 0)
				continue;
			n++;
			if (pass == 1)
				put_name(out, name, offset);
		}
	}
	return out->err;
}

enum err checkpoints_write_starts(struct store *s, struct errmsg *why)
{
	char path[DISKIO_PATH];
	struct buf text;

	buf_init(&text, FILE_MAX);
	make_path(s->dir, names[KIND_START], path);
	enum err e = encode(s, KIND_START, &text);
	if (e != ERR_OK) {
		buf_fini(&text);
		return errmsg_set(why, e, "%s: %s", path, err_text(e));
	}
	for (struct plog *l = s->first; l != NULL; l = l->next)
		l->start_kept |= offset_of(KIND_START, l) >= 0;
	e = diskio_replace(s->disk, path, buf_bytes(&text), why);
	if (e == ERR_OK)
		e = diskio_sync_dir(s->disk, s->dir, why);
	buf_fini(&text);
	if (e == ERR_OK)
		for (struct plog *l = s->first; l != NULL; l = l->next)
			l->start_kept = offset_of(KIND_START, l) >= 0;
	return e;
}

static enum err write_hints(struct checkpoints *c, struct buf *recovery, struct buf *cleaned,
			    struct errmsg *why)
{
	char path[DISKIO_PATH];

	make_path(c->dir, names[KIND_RECOVERY], path);
	enum err e = diskio_replace(c->disk, path, buf_bytes(recovery), why);
	if (e == ERR_OK) {
		make_path(c->dir, names[KIND_CLEANED], path);
		e = diskio_replace(c->disk, path, buf_bytes(cleaned), why);
	}
	return e == ERR_OK ? diskio_sync_dir(c->disk, c->dir, why) : e;
}

static void run(struct worker_job *job)
{
	struct checkpoints *c = (struct checkpoints *)job;
	static const char json[] = "{\"version\":0,\"brokerEpoch\":-1}";
	char path[DISKIO_PATH];

	pthread_mutex_lock(&c->lock);
	c->e = c->superseded ? ERR_OK : write_hints(c, &c->recovery, &c->cleaned, &c->why);
	pthread_mutex_unlock(&c->lock);
	if (c->e != ERR_OK || !c->clean)
		return;
	/* What it vouches for is on disk: CleanShutdownFileHandler.java. */
	make_path(c->dir, mark, path);
	c->e = diskio_replace(c->disk, path, bytes_str(json), &c->why);
	if (c->e == ERR_OK)
		c->e = diskio_sync_dir(c->disk, c->dir, &c->why);
}

static void free_now(struct checkpoints *c)
{
	buf_fini(&c->recovery);
	buf_fini(&c->cleaned);
	map_free(c->stale);
	pthread_mutex_destroy(&c->lock);
	mem_free(c->dir);
	mem_free(c);
}

/* The files were written without the names of the first `deletions` logs that were deleted. */
static void forget_stale(struct checkpoints *c, uintptr_t deletions)
{
	struct bytes name;
	size_t at = 0;
	void *stamp;

	while (map_next(c->stale, &at, &name, &stamp))
		if ((uintptr_t)stamp <= deletions)
			map_take(c->stale, name);
}

void checkpoints_forget(struct store *s, const char *name)
{
	struct checkpoints *c = s->checkpoints;

	/* The count is never 0, so it can stand for a pointer. */
	c->deletions++;
	if (map_put(c->stale, bytes_str(name), (void *)c->deletions) != ERR_OK)
		c->stale_unknown = true;
	s->checkpoints_dirty = true;
}

static enum err encode_hints(const struct store *s, struct buf *recovery, struct buf *cleaned);

/* A job that runs is waited for; one that waits for its thread has nothing to write any more. */
enum err checkpoints_settle(struct store *s, const char *name, struct errmsg *why)
{
	struct checkpoints *c = s->checkpoints;
	struct buf recovery, cleaned;

	if (!c->stale_unknown && map_get(c->stale, bytes_str(name)) == NULL)
		return ERR_OK;
	buf_init(&recovery, FILE_MAX);
	buf_init(&cleaned, FILE_MAX);
	enum err e = encode_hints(s, &recovery, &cleaned);
	if (e == ERR_OK) {
		pthread_mutex_lock(&c->lock);
		e = write_hints(c, &recovery, &cleaned, why);
		c->superseded |= e == ERR_OK;
		pthread_mutex_unlock(&c->lock);
	} else {
		errmsg_set(why, e, "checkpoints: %s", err_text(e));
	}
	buf_fini(&recovery);
	buf_fini(&cleaned);
	if (e == ERR_OK) {
		forget_stale(c, c->deletions);
		c->stale_unknown = false;
	}
	return e;
}

static void done(struct worker_job *job)
{
	struct checkpoints *c = (struct checkpoints *)job;

	c->running = false;
	if (c->store == NULL) {
		free_now(c);
		return;
	}
	if (c->e != ERR_OK) {
		c->store->checkpoints_dirty = true;
		log_event(c->store->log, LOG_WARN, "checkpoint_failed",
			  LOG_S("reason", c->why.text));
	} else {
		forget_stale(c, c->written);
	}
	if (c->done != NULL)
		c->done(c->store, c->e);
}

struct checkpoints *checkpoints_new(struct store *s)
{
	struct checkpoints *c = mem_zalloc(1, sizeof *c);

	if (c == NULL)
		return NULL;
	c->dir = mem_strdup(s->dir);
	c->stale = map_new();
	if (c->dir == NULL || c->stale == NULL || pthread_mutex_init(&c->lock, NULL) != 0) {
		map_free(c->stale);
		mem_free(c->dir);
		mem_free(c);
		return NULL;
	}
	c->job = (struct worker_job){.run = run, .done = done};
	c->store = s;
	c->disk = s->disk;
	buf_init(&c->recovery, FILE_MAX);
	buf_init(&c->cleaned, FILE_MAX);
	return c;
}

void checkpoints_free(struct checkpoints *c)
{
	if (c == NULL)
		return;
	c->store = NULL;
	if (!c->running)
		free_now(c);
}

bool checkpoints_running(const struct checkpoints *c)
{
	return c->running;
}

static enum err encode_hints(const struct store *s, struct buf *recovery, struct buf *cleaned)
{
	enum err e = encode(s, KIND_RECOVERY, recovery);

	return e == ERR_OK ? encode(s, KIND_CLEANED, cleaned) : e;
}

enum err checkpoints_write(struct checkpoints *c, bool clean,
			   void (*on_done)(struct store *s, enum err e))
{
	struct store *s = c->store;

	assert(!c->running);
	enum err e = encode_hints(s, &c->recovery, &c->cleaned);
	if (e != ERR_OK)
		return e;
	s->checkpoints_dirty = false;
	c->written = c->deletions;
	c->superseded = false;
	c->clean = clean;
	c->done = on_done;
	c->running = true;
	worker_pool_submit(loop_pool(s->loop), &c->job);
	return ERR_OK;
}
