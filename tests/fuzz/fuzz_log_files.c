/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A data directory as a broken disk may give it back, on a disk in memory: the input is its files.
 * It is opened, read in every way, written, stopped and opened again. What opening accepts must
 * hold together: reads end, what is appended is found, and a clean stop's next start says the same.
 *
 * Input: pieces of [which file (1)][length (2, big endian)][bytes].
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "cluster/log/disk.h"
#include "cluster/log/store.h"
#include "lib/base/buf.h"
#include "tests/unit/cluster_log/batches.h"

enum { FILES = 64, NAME = 160, FILE_MAX = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {
	"/d/t-0/00000000000000000000.log",
	"/d/t-0/00000000000000000000.index",
	"/d/t-0/00000000000000000000.timeindex",
	"/d/t-0/00000000000000000005.log",
	"/d/t-0/00000000000000000005.index",
	"/d/t-0/00000000000000000005.timeindex",
	"/d/t-0/00000000000000000009.log",
	"/d/t-0/00000000000000000005.snapshot",
	"/d/t-0/leader-epoch-checkpoint",
	"/d/t-0/partition.metadata",
	"/d/recovery-point-offset-checkpoint",
	"/d/log-start-offset-checkpoint",
	"/d/cleaner-offset-checkpoint",
	"/d/meta.properties",
	"/d/.kafka_cleanshutdown",
	"/d/t-0/00000000000000000000.log.swap",
	"/d/t-0/00000000000000000005.log.swap",
	"/d/t-0/00000000000000000005.index.swap",
	"/d/t-0/00000000000000000000.log.cleaned",
	"/d/t-0/00000000000000000009.snapshot",
};

/* ---- the disk ---- */

struct file {
	char name[NAME]; /* "": free */
	struct buf bytes;
	int opened;
	bool folder, gone;
};

struct memory {
	pthread_mutex_t lock; /* recursive: calls come from the loop and from its pool */
	struct file files[FILES];
};

static struct file *find(struct memory *m, const char *path)
{
	for (size_t i = 0; i < FILES; i++)
		if (strcmp(m->files[i].name, path) == 0 && !m->files[i].gone)
			return &m->files[i];
	errno = ENOENT;
	return NULL;
}

static struct file *make(struct memory *m, const char *path, bool folder)
{
	for (size_t i = 0; i < FILES; i++) {
		struct file *f = &m->files[i];
		if (f->name[0] != '\0')
			continue;
		(void)snprintf(f->name, sizeof f->name, "%s", path);
		buf_init(&f->bytes, FILE_MAX);
		f->opened = 0;
		f->folder = folder;
		f->gone = false;
		return f;
	}
	errno = ENOSPC;
	return NULL;
}

static void drop(struct file *f)
{
	if (!f->gone || f->opened > 0)
		return;
	buf_fini(&f->bytes);
	f->name[0] = '\0';
	f->gone = false;
}

static int mem_open(void *ctx, const char *path, int flags, mode_t mode)
{
	struct memory *m = ctx;
	struct file *f = find(m, path);

	(void)mode;
	if (f == NULL && (flags & O_CREAT) != 0)
		f = make(m, path, false);
	if (f == NULL)
		return -1;
	if ((flags & O_TRUNC) != 0)
		buf_clear(&f->bytes);
	f->opened++;
	return (int)(f - m->files) + 1000;
}

static struct file *by_fd(void *ctx, int fd)
{
	struct memory *m = ctx;

	if (fd < 1000 || fd >= 1000 + FILES)
		abort();
	return &m->files[fd - 1000];
}

static int mem_close(void *ctx, int fd)
{
	struct file *f = by_fd(ctx, fd);

	f->opened--;
	drop(f);
	return 0;
}

static ssize_t mem_pread(void *ctx, int fd, void *p, size_t n, int64_t at)
{
	const struct buf *b = &by_fd(ctx, fd)->bytes;

	if (at < 0)
		abort();
	if ((uint64_t)at >= b->len)
		return 0;
	if (n > b->len - (size_t)at)
		n = b->len - (size_t)at;
	memcpy(p, b->p + at, n);
	return (ssize_t)n;
}

static int set_size(struct buf *b, int64_t size)
{
	if (size < 0 || size > FILE_MAX) {
		errno = ENOSPC;
		return -1;
	}
	if ((size_t)size > b->len) {
		size_t more = (size_t)size - b->len;
		uint8_t *p = buf_extend(b, more);
		if (p == NULL)
			return -1;
		memset(p, 0, more);
	}
	b->len = (size_t)size;
	return 0;
}

static ssize_t mem_pwritev(void *ctx, int fd, const struct iovec *iov, int iov_n, int64_t at)
{
	struct buf *b = &by_fd(ctx, fd)->bytes;
	ssize_t put = 0;

	for (int i = 0; i < iov_n; i++) {
		int64_t end = at + (int64_t)iov[i].iov_len;
		if (end > (int64_t)b->len && set_size(b, end) != 0)
			return -1;
		if (iov[i].iov_len > 0)
			memcpy(b->p + at, iov[i].iov_base, iov[i].iov_len);
		at = end;
		put += (ssize_t)iov[i].iov_len;
	}
	return put;
}

static int mem_sync(void *ctx, int fd)
{
	(void)by_fd(ctx, fd);
	return 0;
}

static int mem_ftruncate(void *ctx, int fd, int64_t size)
{
	return set_size(&by_fd(ctx, fd)->bytes, size);
}

static int mem_stat(void *ctx, const char *path, struct disk_stat *out)
{
	const struct file *f = find(ctx, path);

	if (f == NULL)
		return -1;
	*out = (struct disk_stat){
		.size = (int64_t)f->bytes.len, .modified_ms = 1000, .directory = f->folder};
	return 0;
}

static int mem_unlink(void *ctx, const char *path)
{
	struct file *f = find(ctx, path);

	if (f == NULL)
		return -1;
	f->gone = true;
	drop(f);
	return 0;
}

static int mem_rename(void *ctx, const char *from, const char *to)
{
	struct file *f = find(ctx, from);

	if (f == NULL)
		return -1;
	(void)mem_unlink(ctx, to);
	(void)snprintf(f->name, sizeof f->name, "%s", to);
	return 0;
}

static int mem_mkdir(void *ctx, const char *path, mode_t mode)
{
	(void)mode;
	if (find(ctx, path) != NULL) {
		errno = EEXIST;
		return -1;
	}
	return make(ctx, path, true) != NULL ? 0 : -1;
}

static int mem_lock(void *ctx, int fd)
{
	return mem_sync(ctx, fd);
}

static int mem_list(void *ctx, const char *path, bool (*fn)(void *arg, const char *name), void *arg)
{
	struct memory *m = ctx;
	char list[FILES][NAME];
	size_t n = 0, under = strlen(path);

	for (size_t i = 0; i < FILES; i++) {
		const struct file *f = &m->files[i];
		if (f->name[0] != '\0' && !f->gone && strncmp(f->name, path, under) == 0 &&
		    f->name[under] == '/' && strchr(f->name + under + 1, '/') == NULL)
			memcpy(list[n++], f->name + under + 1, NAME - under - 1);
	}
	for (size_t i = 0; i < n; i++)
		if (!fn(arg, list[i]))
			break;
	return 0;
}

static int mem_space(void *ctx, const char *path, int64_t *total, int64_t *usable)
{
	(void)ctx;
	(void)path;
	*total = *usable = FILE_MAX;
	return 0;
}

/* The same, one at a time. */

static void lock(void *ctx)
{
	pthread_mutex_lock(&((struct memory *)ctx)->lock);
}

static void unlock(void *ctx)
{
	int error = errno;

	pthread_mutex_unlock(&((struct memory *)ctx)->lock);
	errno = error;
}

static int safe_open(void *ctx, const char *path, int flags, mode_t mode)
{
	lock(ctx);
	int rc = mem_open(ctx, path, flags, mode);
	unlock(ctx);
	return rc;
}

static int safe_close(void *ctx, int fd)
{
	lock(ctx);
	int rc = mem_close(ctx, fd);
	unlock(ctx);
	return rc;
}

static ssize_t safe_pread(void *ctx, int fd, void *p, size_t n, int64_t at)
{
	lock(ctx);
	ssize_t rc = mem_pread(ctx, fd, p, n, at);
	unlock(ctx);
	return rc;
}

static ssize_t safe_pwritev(void *ctx, int fd, const struct iovec *iov, int iov_n, int64_t at)
{
	lock(ctx);
	ssize_t rc = mem_pwritev(ctx, fd, iov, iov_n, at);
	unlock(ctx);
	return rc;
}

static int safe_ftruncate(void *ctx, int fd, int64_t size)
{
	lock(ctx);
	int rc = mem_ftruncate(ctx, fd, size);
	unlock(ctx);
	return rc;
}

static int safe_stat(void *ctx, const char *path, struct disk_stat *out)
{
	lock(ctx);
	int rc = mem_stat(ctx, path, out);
	unlock(ctx);
	return rc;
}

static int safe_unlink(void *ctx, const char *path)
{
	lock(ctx);
	int rc = mem_unlink(ctx, path);
	unlock(ctx);
	return rc;
}

static int safe_rename(void *ctx, const char *from, const char *to)
{
	lock(ctx);
	int rc = mem_rename(ctx, from, to);
	unlock(ctx);
	return rc;
}

static int safe_mkdir(void *ctx, const char *path, mode_t mode)
{
	lock(ctx);
	int rc = mem_mkdir(ctx, path, mode);
	unlock(ctx);
	return rc;
}

static int safe_list(void *ctx, const char *path, bool (*fn)(void *arg, const char *name),
		     void *arg)
{
	lock(ctx);
	int rc = mem_list(ctx, path, fn, arg);
	unlock(ctx);
	return rc;
}

/* ---- the run ---- */

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void fill(struct memory *m, const uint8_t *p, size_t n)
{
	(void)make(m, "/d", true);
	(void)make(m, "/d/t-0", true);
	while (n >= 3) {
		const char *name = names[p[0] % (sizeof names / sizeof *names)];
		size_t size = be16_get(p + 1);
		p += 3;
		n -= 3;
		if (size > n)
			size = n;
		struct file *f = find(m, name);
		if (f == NULL)
			f = make(m, name, false);
		must(f != NULL);
		buf_put(&f->bytes, p, size);
		p += size;
		n -= size;
	}
}

static void settle(struct loop *l)
{
	for (int quiet = 0; quiet < 3;) {
		loop_turn(l, worker_pool_pending(loop_pool(l)) > 0 ? 10 : 0);
		quiet = worker_pool_pending(loop_pool(l)) > 0 ? 0 : quiet + 1;
	}
}

static void look(struct plog *l)
{
	struct plog_reader *r;
	struct plog_found f;
	struct plog_producer p;
	struct batch_head h;
	struct bytes whole;
	struct plog_slice s;
	int64_t last = -1, start = plog_start(l), end = plog_end(l);
	int32_t epoch;
	size_t at = 0;

	must(start >= 0 && start <= plog_high_watermark(l) && plog_high_watermark(l) <= end);
	if (plog_reader_open(l, start, &r, NULL) == ERR_OK) {
		while (plog_reader_next(r, &h, &whole, NULL) == ERR_OK) {
			must(h.base_offset > last && batch_last_offset(&h) < end);
			last = batch_last_offset(&h);
		}
		plog_reader_free(r);
	}
	for (int i = 0; i <= 16; i++) {
		int64_t offset = start + (end - start) / 16 * i;
		if (plog_read(l, offset, 100, true, &s, NULL) == ERR_OK && s.n > 0)
			plog_file_unref(s.file);
		(void)plog_bytes_from(l, offset);
		(void)plog_epoch_at(l, offset);
		plog_epoch_end(l, i, 3, &epoch, &end);
		end = plog_end(l);
	}
	if (plog_find_time(l, 1000, &f, NULL) == ERR_OK)
		must(f.offset < end);
	if (plog_find_max_time(l, &f, NULL) == ERR_OK)
		must(f.offset < end);
	while (plog_producers(l, &at, &p))
		must(p.producer_id >= 0);
}

static void write_some(struct plog *l)
{
	const struct plog_append how = {.leader_epoch = 4};
	struct batch_head h = batches_head();
	struct plog_appended a;
	struct plog_slice s;
	struct buf b;
	int64_t start;

	buf_init(&b, 1 << 16);
	struct bytes batch = batches_plain(&b, &h, 3);
	int64_t end = plog_end(l);
	if (end < INT64_MAX - 100 && plog_append(l, batch, &how, &a, NULL) == ERR_OK) {
		must(a.base_offset == end && plog_end(l) == end + 3);
		/* Damage before it, which a clean start does not look for, may hide it. */
		if (plog_read(l, end, 1 << 16, true, &s, NULL) == ERR_OK) {
			must(s.n == batch.n);
			plog_file_unref(s.file);
		}
	}
	buf_fini(&b);
	if (plog_delete_before(l, plog_start(l) + 1, &start, NULL) == ERR_OK)
		must(plog_start(l) == start);
	end = plog_end(l) - 1;
	if (end >= plog_start(l) && plog_truncate(l, end, NULL) == ERR_OK)
		must(plog_end(l) <= end);
}

static void closed(void *arg, enum err e)
{
	(void)e;
	*(bool *)arg = true;
}

static void run(const struct disk *d, struct loop *loop, bool stop)
{
	const struct store_options o = {
		.dir = "/d",
		.fsync = STORE_FSYNC_NEVER,
		.open_files_max = 4,
		.retention_check_interval_ms = 1 << 30,
		.cleaner_backoff_ms = 1 << 30,
		.cleaner_memory = 1 << 16,
		.producer_id_expiration_ms = INT64_MAX,
		.disk = d,
		.node_id = 1,
	};
	static const struct uuid id = {{1}};
	struct plog_config c;
	struct errmsg why = {{0}};
	struct store *s;
	struct plog *l;
	bool done = false;

	plog_config_init(&c);
	c.index_interval_bytes = 64;
	c.segment_bytes = 4096;
	enum err e = store_open(loop, &o, &s, &why);
	if (e != ERR_OK) {
		must(why.text[0] != '\0');
		return;
	}
	e = store_log(s, "t", 0, &id, &c, true, &l, &why);
	if (e == ERR_OK) {
		look(l);
		write_some(l);
		settle(loop);
		look(l);
	} else {
		must(why.text[0] != '\0');
	}
	if (stop) {
		store_close(s, closed, &done);
		while (!done)
			loop_turn(loop, 10);
	}
	store_free(s);
	settle(loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct memory *m = calloc(1, sizeof *m);
	struct loop *loop = NULL;

	pthread_mutexattr_t recursive;

	must(m != NULL);
	pthread_mutexattr_init(&recursive);
	pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&m->lock, &recursive);
	const struct disk d = {
		.ctx = m,
		.open = safe_open,
		.close = safe_close,
		.pread = safe_pread,
		.pwritev = safe_pwritev,
		.fsync = mem_sync,
		.fdatasync = mem_sync,
		.ftruncate = safe_ftruncate,
		.stat = safe_stat,
		.rename = safe_rename,
		.unlink = safe_unlink,
		.mkdir = safe_mkdir,
		.rmdir = safe_unlink,
		.lock = mem_lock,
		.list = safe_list,
		.space = mem_space,
	};
	must(loop_new(1, clock_system(), NULL, &loop, NULL) == ERR_OK);
	fill(m, data, size);
	run(&d, loop, false);
	run(&d, loop, true);
	run(&d, loop, false);
	loop_free(loop);
	for (size_t i = 0; i < FILES; i++)
		if (m->files[i].name[0] != '\0')
			buf_fini(&m->files[i].bytes);
	pthread_mutex_destroy(&m->lock);
	free(m);
	return 0;
}
