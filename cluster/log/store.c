/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data directory and the logs in it.
 *
 * Order at a start: the lock; meta.properties; the checkpoints; then the mark of a clean stop is
 * taken away and that is synced, so that no append can come before it. In a new directory
 * meta.properties is made last: a start that is cut short before that is begun anew by the next. No
 * log is made before it.
 */
#include "cluster/log/store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#include "cluster/log/checkpoints.h"
#include "cluster/log/cleaner.h"
#include "cluster/log/plog_impl.h"
#include "cluster/log/reaper.h"
#include "cluster/log/store_timers.h"
#include "lib/base/mem.h"

enum { META_MAX = 64 * 1024, TOPIC_MAX = 249 };

static void make_path(const struct store *s, const char *name, char path[DISKIO_PATH])
{
	(void)snprintf(path, DISKIO_PATH, "%s/%s", s->dir, name);
}

/* ---- opening ---- */

static enum err take_lock(struct store *s, struct errmsg *why)
{
	const struct disk *d = s->disk;
	char path[DISKIO_PATH];

	if (d->mkdir(d->ctx, s->dir, 0755) != 0 && errno != EEXIST)
		return errmsg_set(why, ERR_CONFIG, "cannot make the data directory %s: %s", s->dir,
				  strerror(errno));
	make_path(s, ".lock", path);
	s->lock_fd = d->open(d->ctx, path, O_RDWR | O_CREAT, 0644);
	if (s->lock_fd < 0)
		return errmsg_set(why, ERR_CONFIG, "the data directory %s cannot be used: %s",
				  s->dir, strerror(errno));
	if (d->lock(d->ctx, s->lock_fd) != 0)
		return errmsg_set(why, ERR_CONFIG,
				  "another process uses the data directory %s: stop it, or use "
				  "another directory",
				  s->dir);
	return ERR_OK;
}

static void random_uuid(const struct clock *c, struct uuid *out)
{
	do {
		be64_put(out->b, c->random(c->ctx));
		be64_put(out->b + 8, c->random(c->ctx));
		out->b[6] = (uint8_t)((out->b[6] & 0x0f) | 0x40); /* version 4, RFC 4122 */
		out->b[8] = (uint8_t)((out->b[8] & 0x3f) | 0x80);
	} while (uuid_is_zero(out));
}

static enum err write_meta(struct store *s, struct errmsg *why)
{
	char path[DISKIO_PATH];
	struct buf text;

	make_path(s, "meta.properties", path);
	buf_init(&text, META_MAX);
	meta_file_encode(&s->meta, &text);
	enum err e = text.err != ERR_OK ? errmsg_set(why, text.err, "%s: %s", path, "out of memory")
					: diskio_replace(s->disk, path, buf_bytes(&text), why);
	buf_fini(&text);
	return e == ERR_OK ? diskio_sync_dir(s->disk, s->dir, why) : e;
}

static void make_meta(struct store *s, const struct store_options *o)
{
	const struct clock *c = loop_clock(s->loop);
	struct uuid id;

	s->meta = (struct meta_file){.node_id = o->node_id};
	random_uuid(c, &s->meta.directory_id);
	if (o->cluster_id != NULL) {
		(void)snprintf(s->meta.cluster_id, sizeof s->meta.cluster_id, "%s", o->cluster_id);
	} else {
		random_uuid(c, &id);
		uuid_format(&id, s->meta.cluster_id);
	}
}

/* "orders-3" into topic and partition; false for what is no partition's folder. */
static bool split_name(const char *name, char topic[TOPIC_MAX + 1], int32_t *partition)
{
	const char *dash = strrchr(name, '-');
	int64_t n = 0;

	if (dash == NULL || dash == name || dash - name > TOPIC_MAX || dash[1] == '\0' ||
	    (dash[1] == '0' && dash[2] != '\0'))
		return false;
	for (const char *p = dash + 1; *p != '\0'; p++) {
		if (*p < '0' || *p > '9' || n > INT32_MAX / 10)
			return false;
		n = n * 10 + (*p - '0');
	}
	if (n > INT32_MAX)
		return false;
	*partition = (int32_t)n;
	memcpy(topic, name, (size_t)(dash - name));
	topic[dash - name] = '\0';
	for (const char *p = topic; *p != '\0'; p++)
		if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-",
			   *p) == NULL)
			return false;
	return true;
}

static bool note_log(void *arg, const char *name)
{
	char topic[TOPIC_MAX + 1], *found = arg;
	int32_t partition;

	if (!split_name(name, topic, &partition))
		return true;
	(void)snprintf(found, STORE_NAME_MAX, "%s", name);
	return false;
}

/* With logs in it the directory is not new, and under a new cluster id their records would pass for
 * another cluster's. */
static enum err must_be_empty(const struct store *s, struct errmsg *why)
{
	char found[STORE_NAME_MAX] = "";

	if (s->disk->list(s->disk->ctx, s->dir, note_log, found) != 0)
		return errmsg_set(why, ERR_IO, "%s: %s", s->dir, strerror(errno));
	if (found[0] == '\0')
		return ERR_OK;
	return errmsg_set(
		why, ERR_CONFIG,
		"%s/meta.properties, which says whose data these are, is missing, but there "
		"is %s: restore it, or use an empty directory",
		s->dir, found);
}

/* *fresh: there is none; s->meta has what is to be written. */
static enum err read_meta(struct store *s, const struct store_options *o, bool *fresh,
			  struct errmsg *why)
{
	char path[DISKIO_PATH];
	struct buf text;

	make_path(s, "meta.properties", path);
	buf_init(&text, META_MAX);
	enum err e = diskio_read(s->disk, path, &text, why);
	if (e == ERR_NOT_FOUND) {
		buf_fini(&text);
		*fresh = true;
		make_meta(s, o);
		return must_be_empty(s, why);
	}
	if (e == ERR_OK) {
		e = meta_file_decode(&s->meta, buf_bytes(&text), why);
		if (e == ERR_MALFORMED || e == ERR_UNSUPPORTED)
			e = errmsg_wrap(why, ERR_CONFIG,
					"%s is damaged or of another version; restore it, or use "
					"another data directory",
					path);
	} else if (e == ERR_LIMIT) {
		e = ERR_CONFIG;
	}
	buf_fini(&text);
	if (e != ERR_OK)
		return e;
	if (s->meta.node_id != o->node_id)
		return errmsg_set(why, ERR_CONFIG,
				  "the data directory %s belongs to node %" PRId32
				  ", but node.id is %" PRId32,
				  s->dir, s->meta.node_id, o->node_id);
	if (!uuid_is_zero(&s->meta.directory_id))
		return ERR_OK;
	random_uuid(loop_clock(s->loop), &s->meta.directory_id);
	return write_meta(s, why);
}

/* Folders of deleted logs, whose removal a stop cut short. */
static bool reap_leftover(void *arg, const char *name)
{
	struct store *s = arg;
	char path[DISKIO_PATH];
	size_t n = strlen(name);
	static const char ending[] = "-delete";

	if (n < sizeof ending || n >= STORE_NAME_MAX ||
	    strcmp(name + n - (sizeof ending - 1), ending) != 0)
		return true;
	make_path(s, name, path);
	struct reaper *r = reaper_new(s->loop, s->disk, path);
	if (r != NULL)
		reaper_add_folder(r);
	reaper_start(r, false);
	return true;
}

static enum err new_store(struct loop *l, const struct store_options *o, struct store **out,
			  struct errmsg *why)
{
	if (strlen(o->dir) > STORE_DIR_MAX || o->dir[0] == '\0')
		return errmsg_set(why, ERR_CONFIG, "the path of the data directory is too long");
	struct store *s = mem_zalloc(1, sizeof *s);
	if (s == NULL)
		return errmsg_set(why, ERR_NOMEM, "store: out of memory");
	s->loop = l;
	s->log = loop_log(l);
	s->disk = o->disk != NULL ? o->disk : disk_system();
	s->options = *o;
	s->options.dir = s->options.cluster_id = NULL;
	s->lock_fd = -1;
	s->dir = mem_strdup(o->dir);
	s->files = files_new(s->disk, o->open_files_max);
	s->logs = map_new();
	s->known = map_new();
	if (s->dir == NULL || s->files == NULL || s->logs == NULL || s->known == NULL) {
		store_free(s);
		return errmsg_set(why, ERR_NOMEM, "store: out of memory");
	}
	*out = s;
	return ERR_OK;
}

enum err store_open(struct loop *l, const struct store_options *o, struct store **out,
		    struct errmsg *why)
{
	struct store *s = NULL;
	bool fresh = false;
	enum err e = new_store(l, o, &s, why);

	if (e != ERR_OK)
		return e;
	assert(s != NULL);
	e = take_lock(s, why);
	if (e == ERR_OK)
		e = read_meta(s, o, &fresh, why);
	if (e == ERR_OK)
		e = checkpoints_load(s, fresh, why);
	if (e == ERR_OK && fresh)
		e = write_meta(s, why);
	if (e == ERR_OK)
		e = checkpoints_take_mark(s, &s->clean, why);
	if (e != ERR_OK) {
		store_free(s);
		return e;
	}
	s->checkpoints = checkpoints_new(s);
	s->cleaner = cleaner_new(s);
	if (s->checkpoints == NULL || s->cleaner == NULL || store_timers_start(s) != ERR_OK) {
		store_free(s);
		return errmsg_set(why, ERR_NOMEM, "store: out of memory");
	}
	(void)s->disk->list(s->disk->ctx, s->dir, reap_leftover, s);
	*out = s;
	return ERR_OK;
}

static void free_known(struct store *s)
{
	struct bytes name;
	size_t at = 0;
	void *v;

	if (s->known == NULL)
		return;
	while (map_next(s->known, &at, &name, &v))
		mem_free(v);
	map_free(s->known);
}

void store_free(struct store *s)
{
	if (s == NULL)
		return;
	store_timers_stop(s);
	cleaner_free(s->cleaner);
	checkpoints_free(s->checkpoints);
	while (s->first != NULL) {
		struct plog *l = s->first;
		store_forget(s, l);
		plog_free(l);
	}
	map_free(s->logs);
	free_known(s);
	files_free(s->files);
	if (s->lock_fd >= 0)
		s->disk->close(s->disk->ctx, s->lock_fd);
	mem_free(s->dir);
	mem_free(s);
}

/* ---- logs ---- */

void store_forget(struct store *s, struct plog *l)
{
	if (!l->deleted)
		map_take(s->logs, bytes_str(l->name));
	*(l->prev != NULL ? &l->prev->next : &s->first) = l->next;
	*(l->next != NULL ? &l->next->prev : &s->last) = l->prev;
	l->next = l->prev = NULL;
}

static void link_log(struct store *s, struct plog *l)
{
	l->prev = s->last;
	l->next = NULL;
	*(s->last != NULL ? &s->last->next : &s->first) = l;
	s->last = l;
}

/* partition.metadata: ERR_OK with the id; ERR_NOT_FOUND without one that can be read. */
static enum err read_topic_id(const struct store *s, const char *folder, struct uuid *id)
{
	char path[DISKIO_PATH + 32];
	struct buf text;

	(void)snprintf(path, sizeof path, "%s/partition.metadata", folder);
	buf_init(&text, META_MAX);
	enum err e = diskio_read(s->disk, path, &text, NULL);
	if (e == ERR_OK)
		e = meta_file_decode_partition(id, buf_bytes(&text), NULL);
	buf_fini(&text);
	return e == ERR_OK || e == ERR_NOMEM ? e : ERR_NOT_FOUND;
}

static enum err check_topic_id(struct plog *l, struct errmsg *why)
{
	char folder[DISKIO_PATH];
	struct uuid id = {{0}};

	plog_path_folder(l, folder);
	enum err e = read_topic_id(l->store, folder, &id);
	if (e == ERR_NOMEM)
		return errmsg_set(why, e, "%s: out of memory", l->name);
	if (e != ERR_OK) {
		l->metadata_dirty = !uuid_is_zero(&l->topic_id);
		return ERR_OK;
	}
	if (uuid_is_zero(&l->topic_id))
		l->topic_id = id;
	if (!uuid_eq(&id, &l->topic_id)) {
		char has[23], want[23];
		uuid_format(&id, has);
		uuid_format(&l->topic_id, want);
		return errmsg_set(why, ERR_MALFORMED, "%s belongs to topic id %s, not to %s",
				  folder, has, want);
	}
	return ERR_OK;
}

/* The folder of a new log. Its names are synced by the first commit, before anything in it is
 * acknowledged. */
static enum err make_folder(struct plog *l, struct errmsg *why)
{
	const struct disk *d = l->store->disk;
	char path[DISKIO_PATH];

	plog_path_folder(l, path);
	if (d->mkdir(d->ctx, path, 0755) != 0)
		return errmsg_set(why, ERR_IO, "%s: %s", path, strerror(errno));
	l->parent_dirty = l->folder_dirty = true;
	l->metadata_dirty = !uuid_is_zero(&l->topic_id);
	if (!l->metadata_dirty)
		return ERR_OK;
	struct buf text;
	buf_init(&text, META_MAX);
	meta_file_encode_partition(&l->topic_id, &text);
	plog_path_file(l, "partition.metadata", path);
	int fd = d->open(d->ctx, path, O_WRONLY | O_CREAT, 0644);
	struct iovec iov = {.iov_base = text.p, .iov_len = text.len};
	enum err e = ERR_OK;
	if (text.err != ERR_OK || fd < 0 || diskio_write_at(d, fd, &iov, 1, 0) != ERR_OK)
		e = errmsg_set(why, text.err != ERR_OK ? text.err : ERR_IO, "%s: %s", path,
			       text.err != ERR_OK ? "out of memory" : strerror(errno));
	if (fd >= 0)
		d->close(d->ctx, fd);
	buf_fini(&text);
	return e;
}

/* What the checkpoints kept for a folder that is not there is about another log: it must not come
 * back to this one. */
static enum err forget_known(struct store *s, const char *name, struct errmsg *why)
{
	struct store_known *k = map_get(s->known, bytes_str(name));

	if (k == NULL)
		return ERR_OK;
	int64_t start = k->start;
	k->start = 0;
	if (start > 0) {
		enum err e = checkpoints_write_starts(s, why);
		if (e != ERR_OK) {
			k->start = start;
			return e;
		}
	}
	mem_free(map_take(s->known, bytes_str(name)));
	checkpoints_forget(s, name);
	return ERR_OK;
}

static enum err open_log(struct store *s, struct plog *l, bool create, struct errmsg *why)
{
	char folder[DISKIO_PATH];
	struct disk_stat st;
	enum err e;

	plog_path_folder(l, folder);
	bool there = s->disk->stat(s->disk->ctx, folder, &st) == 0;
	if (!there && errno != ENOENT)
		return errmsg_set(why, ERR_IO, "%s: %s", folder, strerror(errno));
	if (!there && !create)
		return errmsg_set(why, ERR_NOT_FOUND, "%s: no such log", folder);
	if (there) {
		e = check_topic_id(l, why);
		if (e == ERR_OK)
			e = recovery_open(l, map_get(s->known, bytes_str(l->name)), s->clean, why);
		return e;
	}
	e = forget_known(s, l->name, why);
	if (e == ERR_OK)
		e = checkpoints_settle(s, l->name, why);
	if (e == ERR_OK)
		e = make_folder(l, why);
	return e == ERR_OK ? recovery_open(l, NULL, false, why) : e;
}

enum err store_log(struct store *s, const char *topic, int32_t partition,
		   const struct uuid *topic_id, const struct plog_config *config, bool create,
		   struct plog **out, struct errmsg *why)
{
	char name[STORE_NAME_MAX];
	struct plog *l;

	assert(strlen(topic) <= TOPIC_MAX && topic[0] != '\0' && partition >= 0);
	(void)snprintf(name, sizeof name, "%s-%" PRId32, topic, partition);
	l = map_get(s->logs, bytes_str(name));
	if (l != NULL) {
		if (!uuid_is_zero(topic_id) && !uuid_eq(topic_id, &l->topic_id))
			return errmsg_set(why, ERR_MALFORMED, "%s belongs to another topic id",
					  name);
		*out = l;
		return ERR_OK;
	}
	enum err e = plog_new(s, topic, partition, topic_id, config, &l);
	if (e != ERR_OK)
		return errmsg_set(why, e, "%s: out of memory", name);
	e = open_log(s, l, create, why);
	if (e == ERR_OK && map_put(s->logs, bytes_str(name), l) != ERR_OK)
		e = errmsg_set(why, ERR_NOMEM, "%s: out of memory", name);
	if (e != ERR_OK) {
		plog_free(l);
		return e == ERR_CORRUPT ? ERR_IO : e;
	}
	mem_free(map_take(s->known, bytes_str(name)));
	link_log(s, l);
	*out = l;
	return ERR_OK;
}

static void bury(void *arg)
{
	struct plog *l = arg;

	if (l->wake.pending) { /* somebody waits since: he hears of it first */
		loop_defer(l->store->loop, &l->bury);
		return;
	}
	store_forget(l->store, l);
	plog_free(l);
}

/* As Kafka names it, TOPIC-N.RANDOM-delete, cut to what a file name may have. */
static void deleted_name(const struct store *s, const char *name, char out[STORE_NAME_MAX])
{
	const struct clock *c = loop_clock(s->loop);
	const int tail = 1 + 32 + 7, most = 255;

	(void)snprintf(out, STORE_NAME_MAX, "%.*s.%016" PRIx64 "%016" PRIx64 "-delete", most - tail,
		       name, c->random(c->ctx), c->random(c->ctx));
}

static void rename_away(struct store *s, const char *name)
{
	const struct disk *d = s->disk;
	char from[DISKIO_PATH], to[DISKIO_PATH], gone[STORE_NAME_MAX];

	deleted_name(s, name, gone);
	make_path(s, name, from);
	make_path(s, gone, to);
	if (d->rename(d->ctx, from, to) != 0) {
		/* The metadata do not know it any more: the next start finds a stray. */
		log_event(s->log, LOG_WARN, "log_folder_left", LOG_S("partition", name),
			  LOG_S("reason", strerror(errno)));
		return;
	}
	struct reaper *r = reaper_new(s->loop, d, to);
	if (r != NULL)
		reaper_add_folder(r);
	reaper_start(r, false);
}

/* A start that was kept must not meet a later log of that name, even if the file cannot be written
 * now: forget_known sees to it when such a log is made. */
static void forget_start(struct store *s, const char *name, int64_t start)
{
	struct store_known *k;

	if (start <= 0 || checkpoints_write_starts(s, NULL) == ERR_OK)
		return;
	k = mem_zalloc(1, sizeof *k);
	if (k == NULL || map_put(s->known, bytes_str(name), k) != ERR_OK) {
		mem_free(k);
		return;
	}
	*k = (struct store_known){.recovery_point = -1, .start = start, .cleaned = -1};
}

void store_delete(struct store *s, struct plog *l)
{
	int64_t start = l->start_kept ? l->start : 0;

	if (l->deleted)
		return;
	map_take(s->logs, bytes_str(l->name));
	l->deleted = true;
	cleaner_abandon(s->cleaner, l);
	loop_undefer(s->loop, &l->kick);
	commit_leave_folder(l);
	rename_away(s, l->name);
	/* Out of the list, so that no checkpoint names it. */
	store_forget(s, l);
	forget_start(s, l->name, start);
	link_log(s, l);
	checkpoints_forget(s, l->name);
	log_event(s->log, LOG_INFO, "log_deleted", LOG_S("partition", l->name));
	l->watch_due = true;
	plog_wake(l);
	l->bury = (struct loop_deferred){.fn = bury, .arg = l};
	loop_defer(s->loop, &l->bury);
}

struct plog *store_next(const struct store *s, struct plog *after)
{
	struct plog *l = after == NULL ? s->first : after->next;

	while (l != NULL && l->deleted)
		l = l->next;
	return l;
}

/* ---- strays ---- */

struct strays {
	struct store *store;
	struct buf names; /* each with its NUL */
};

static bool note_stray(void *arg, const char *name)
{
	struct strays *x = arg;
	char topic[TOPIC_MAX + 1], path[DISKIO_PATH];
	struct disk_stat st;
	int32_t partition;

	if (!split_name(name, topic, &partition) ||
	    map_get(x->store->logs, bytes_str(name)) != NULL)
		return true;
	make_path(x->store, name, path);
	if (x->store->disk->stat(x->store->disk->ctx, path, &st) == 0 && st.directory)
		buf_put(&x->names, name, strlen(name) + 1);
	return true;
}

/* All logs are open: where a name in the file was changed, another log lost its start. */
static void tell_unknown_starts(const struct store *s)
{
	struct bytes name;
	size_t at = 0;
	void *v;

	while (map_next(s->known, &at, &name, &v)) {
		const struct store_known *k = v;
		if (k->start > 0)
			log_event(s->log, LOG_WARN, "checkpoint_of_no_log",
				  LOG_S("file", "log-start-offset-checkpoint"),
				  LOG_B("partition", name), LOG_I("start", k->start),
				  LOG_S("reason",
					"no log of that name is open; if it is another's, "
					"records that were deleted are seen again"));
	}
}

void store_strays(struct store *s,
		  bool (*fn)(void *arg, const char *topic, int32_t partition,
			     const struct uuid *topic_id),
		  void *arg)
{
	struct strays x = {.store = s};
	char topic[TOPIC_MAX + 1], path[DISKIO_PATH];
	int32_t partition;

	tell_unknown_starts(s);
	buf_init(&x.names, (size_t)256 * 1024 * 1024);
	(void)s->disk->list(s->disk->ctx, s->dir, note_stray, &x);
	for (size_t at = 0; at < x.names.len;) {
		const char *name = (const char *)x.names.p + at;
		struct uuid id = {{0}};
		at += strlen(name) + 1;
		if (!split_name(name, topic, &partition))
			continue;
		make_path(s, name, path);
		if (read_topic_id(s, path, &id) != ERR_OK)
			id = (struct uuid){{0}};
		if (fn(arg, topic, partition, &id))
			rename_away(s, name);
	}
	buf_fini(&x.names);
}

/* ---- the rest ---- */

const char *store_cluster_id(const struct store *s)
{
	return s->meta.cluster_id;
}

struct uuid store_directory_id(const struct store *s)
{
	return s->meta.directory_id;
}

const char *store_dir(const struct store *s)
{
	return s->dir;
}

void store_space(const struct store *s, int64_t *total, int64_t *usable)
{
	if (s->disk->space(s->disk->ctx, s->dir, total, usable) != 0)
		*total = *usable = -1;
}
