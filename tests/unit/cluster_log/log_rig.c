/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/cluster_log/log_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/wire/records.h"

enum { FILES = 4096, PATH = 256 };

struct durable {
	char path[PATH];
	int64_t size;
};

struct log_rig_disk {
	struct disk disk;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	long calls[CALL_KINDS];
	enum log_rig_call kind;
	long countdown; /* 0: nothing fails */
	int error;
	bool sticky, hit, hold;
	enum log_rig_call hold_kind;
	long hold_countdown; /* 0: none is held */
	bool held;
	struct durable files[FILES]; /* log files, by what a sync made sure of */
	size_t files_n;
	char open[1024][PATH]; /* by descriptor */
};

/* Under the lock. */
static void hold(struct log_rig_disk *d, enum log_rig_call kind)
{
	if (d->hold_kind != kind || d->hold_countdown == 0 || --d->hold_countdown > 0)
		return;
	d->held = true;
	while (d->held)
		pthread_cond_wait(&d->wake, &d->lock);
}

static bool fails(struct log_rig_disk *d, enum log_rig_call kind)
{
	bool now = false;

	pthread_mutex_lock(&d->lock);
	hold(d, kind);
	d->calls[kind]++;
	d->calls[CALL_ANY]++;
	if (d->countdown > 0 && (d->kind == CALL_ANY || d->kind == kind) &&
	    (d->countdown == 1 || --d->countdown == 0)) {
		now = true;
		d->hit = true;
		if (!d->sticky)
			d->countdown = 0;
		else
			d->countdown = 1;
	}
	pthread_mutex_unlock(&d->lock);
	if (now)
		errno = d->error;
	return now;
}

static struct durable *durable_of(struct log_rig_disk *d, const char *path, bool make)
{
	size_t n = strlen(path);

	if (n < 4 || strcmp(path + n - 4, ".log") != 0)
		return NULL;
	for (size_t i = 0; i < d->files_n; i++)
		if (strcmp(d->files[i].path, path) == 0)
			return &d->files[i];
	if (!make)
		return NULL;
	assert_true(d->files_n < FILES);
	struct durable *f = &d->files[d->files_n++];
	(void)snprintf(f->path, PATH, "%s", path);
	f->size = 0;
	return f;
}

static void forget_durable(struct log_rig_disk *d, const char *path)
{
	struct durable *f = durable_of(d, path, false);

	if (f != NULL)
		*f = d->files[--d->files_n];
}

static int rig_open(void *ctx, const char *path, int flags, mode_t mode)
{
	struct log_rig_disk *d = ctx;
	int fd;

	if (fails(d, CALL_OPEN))
		return -1;
	fd = open(path, flags | O_CLOEXEC, mode);
	if (fd < 0)
		return -1;
	pthread_mutex_lock(&d->lock);
	if (fd < 1024)
		(void)snprintf(d->open[fd], PATH, "%s", path);
	struct durable *f = durable_of(d, path, (flags & O_CREAT) != 0);
	if (f != NULL && (flags & O_TRUNC) != 0)
		f->size = 0;
	pthread_mutex_unlock(&d->lock);
	return fd;
}

static int rig_close(void *ctx, int fd)
{
	(void)ctx;
	return close(fd);
}

static ssize_t rig_pread(void *ctx, int fd, void *p, size_t n, int64_t at)
{
	return fails(ctx, CALL_PREAD) ? -1 : pread(fd, p, n, (off_t)at);
}

/* A write that fails has written a part. */
static ssize_t rig_pwritev(void *ctx, int fd, const struct iovec *iov, int iov_n, int64_t at)
{
	if (!fails(ctx, CALL_WRITE))
		return pwritev(fd, iov, iov_n, (off_t)at);
	int error = errno;
	(void)!pwrite(fd, iov[0].iov_base, iov[0].iov_len / 2, (off_t)at);
	errno = error;
	return -1;
}

static int rig_fsync(void *ctx, int fd)
{
	(void)fd;
	return fails(ctx, CALL_FSYNC) ? -1 : 0;
}

static int rig_fdatasync(void *ctx, int fd)
{
	struct log_rig_disk *d = ctx;
	struct stat st;

	if (fails(d, CALL_FDATASYNC))
		return -1;
	pthread_mutex_lock(&d->lock);
	/* What is written while the sync runs is not in it. */
	assert_int_equal(fstat(fd, &st), 0);
	while (d->hold)
		pthread_cond_wait(&d->wake, &d->lock);
	struct durable *f = fd < 1024 ? durable_of(d, d->open[fd], false) : NULL;
	if (f != NULL && f->size < st.st_size)
		f->size = st.st_size;
	pthread_mutex_unlock(&d->lock);
	return 0;
}

static int rig_ftruncate(void *ctx, int fd, int64_t size)
{
	struct log_rig_disk *d = ctx;

	if (fails(d, CALL_TRUNCATE))
		return -1;
	pthread_mutex_lock(&d->lock);
	struct durable *f = fd < 1024 ? durable_of(d, d->open[fd], false) : NULL;
	if (f != NULL && f->size > size)
		f->size = size;
	pthread_mutex_unlock(&d->lock);
	return ftruncate(fd, (off_t)size);
}

static int rig_stat(void *ctx, const char *path, struct disk_stat *out)
{
	return fails(ctx, CALL_STAT) ? -1 : disk_system()->stat(NULL, path, out);
}

static int rig_rename(void *ctx, const char *from, const char *to)
{
	struct log_rig_disk *d = ctx;

	if (fails(d, CALL_RENAME))
		return -1;
	pthread_mutex_lock(&d->lock);
	forget_durable(d, from);
	forget_durable(d, to);
	pthread_mutex_unlock(&d->lock);
	return rename(from, to);
}

static int rig_unlink(void *ctx, const char *path)
{
	struct log_rig_disk *d = ctx;

	if (fails(d, CALL_UNLINK))
		return -1;
	pthread_mutex_lock(&d->lock);
	forget_durable(d, path);
	pthread_mutex_unlock(&d->lock);
	return unlink(path);
}

static int rig_mkdir(void *ctx, const char *path, mode_t mode)
{
	return fails(ctx, CALL_MKDIR) ? -1 : mkdir(path, mode);
}

static int rig_rmdir(void *ctx, const char *path)
{
	return fails(ctx, CALL_UNLINK) ? -1 : rmdir(path);
}

static int rig_lock(void *ctx, int fd)
{
	(void)ctx;
	return disk_system()->lock(NULL, fd);
}

static int rig_list(void *ctx, const char *path, bool (*fn)(void *arg, const char *name), void *arg)
{
	return fails(ctx, CALL_LIST) ? -1 : disk_system()->list(NULL, path, fn, arg);
}

static int rig_space(void *ctx, const char *path, int64_t *total, int64_t *usable)
{
	(void)ctx;
	return disk_system()->space(NULL, path, total, usable);
}

static struct log_rig_disk *disk_new(void)
{
	struct log_rig_disk *d = calloc(1, sizeof *d);

	assert_non_null(d);
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->wake, NULL);
	d->disk = (struct disk){
		.ctx = d,
		.open = rig_open,
		.close = rig_close,
		.pread = rig_pread,
		.pwritev = rig_pwritev,
		.fsync = rig_fsync,
		.fdatasync = rig_fdatasync,
		.ftruncate = rig_ftruncate,
		.stat = rig_stat,
		.rename = rig_rename,
		.unlink = rig_unlink,
		.mkdir = rig_mkdir,
		.rmdir = rig_rmdir,
		.lock = rig_lock,
		.list = rig_list,
		.space = rig_space,
	};
	return d;
}

void log_rig_fail(struct log_rig *r, enum log_rig_call kind, long n, int error, bool sticky)
{
	struct log_rig_disk *d = r->faults;

	pthread_mutex_lock(&d->lock);
	d->kind = kind;
	d->countdown = n;
	d->error = error;
	d->sticky = sticky;
	d->hit = false;
	pthread_mutex_unlock(&d->lock);
}

bool log_rig_heal(struct log_rig *r)
{
	struct log_rig_disk *d = r->faults;

	pthread_mutex_lock(&d->lock);
	d->countdown = 0;
	bool hit = d->hit;
	d->hit = false;
	pthread_mutex_unlock(&d->lock);
	return hit;
}

long log_rig_calls(struct log_rig *r, enum log_rig_call kind)
{
	pthread_mutex_lock(&r->faults->lock);
	long n = r->faults->calls[kind];
	pthread_mutex_unlock(&r->faults->lock);
	return n;
}

void log_rig_hold_sync(struct log_rig *r, bool hold)
{
	pthread_mutex_lock(&r->faults->lock);
	r->faults->hold = hold;
	pthread_cond_broadcast(&r->faults->wake);
	pthread_mutex_unlock(&r->faults->lock);
}

void log_rig_hold_at(struct log_rig *r, enum log_rig_call kind, long n)
{
	pthread_mutex_lock(&r->faults->lock);
	r->faults->hold_kind = kind;
	r->faults->hold_countdown = n;
	pthread_mutex_unlock(&r->faults->lock);
}

bool log_rig_held(struct log_rig *r)
{
	pthread_mutex_lock(&r->faults->lock);
	bool held = r->faults->held;
	pthread_mutex_unlock(&r->faults->lock);
	return held;
}

void log_rig_release(struct log_rig *r)
{
	pthread_mutex_lock(&r->faults->lock);
	r->faults->hold_countdown = 0;
	r->faults->held = false;
	pthread_cond_broadcast(&r->faults->wake);
	pthread_mutex_unlock(&r->faults->lock);
}

/* ---- the rig ---- */

static int64_t clock_now(void *ctx)
{
	return ((struct log_rig *)ctx)->now_ms;
}

static uint64_t clock_chance(void *ctx)
{
	struct rng g = {.s = ((struct log_rig *)ctx)->random++};

	return rng_u64(&g);
}

void log_rig_init(struct log_rig *r)
{
	const char *tmp = getenv("TMPDIR");

	memset(r, 0, sizeof *r);
	(void)snprintf(r->dir, sizeof r->dir, "%s/farshore-log-XXXXXX", tmp != NULL ? tmp : "/tmp");
	assert_non_null(mkdtemp(r->dir));
	r->now_ms = 1700000000000;
	r->clock = (struct clock){clock_now, clock_now, clock_chance, r};
	r->log_fd = open(getenv("LOG_RIG_VERBOSE") != NULL ? "/dev/stderr" : "/dev/null", O_WRONLY);
	r->log = log_new(r->log_fd, LOG_DEBUG, &r->clock);
	assert_non_null(r->log);
	assert_int_equal(loop_new(2, &r->clock, r->log, &r->loop, NULL), ERR_OK);
	r->faults = disk_new();
	r->options = (struct store_options){
		.dir = r->dir,
		.fsync = STORE_FSYNC_ALWAYS,
		.fsync_interval_ms = 1000,
		.open_files_max = 64,
		.retention_check_interval_ms = 300000,
		.cleaner_backoff_ms = 15000,
		.cleaner_memory = 1024 * 1024,
		.producer_id_expiration_ms = 86400000,
		.disk = &r->faults->disk,
		.node_id = 1,
		.cluster_id = "rig-cluster",
	};
	plog_config_init(&r->config);
	r->config.segment_bytes = 4096;
	r->config.index_interval_bytes = 256;
	r->config.timestamp_after_max_ms = INT64_MAX;
	buf_init(&r->batch, 16 * 1024 * 1024);
	buf_init(&r->seen, 64 * 1024 * 1024);
}

static bool remove_in(void *arg, const char *name)
{
	char path[512];
	struct stat st;

	(void)snprintf(path, sizeof path, "%s/%s", (const char *)arg, name);
	if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
		(void)disk_system()->list(NULL, path, remove_in, path);
		(void)rmdir(path);
	} else {
		(void)unlink(path);
	}
	return true;
}

void log_rig_fini(struct log_rig *r)
{
	log_rig_heal(r);
	log_rig_hold_sync(r, false);
	log_rig_release(r);
	if (r->store != NULL)
		log_rig_kill(r);
	loop_free(r->loop);
	log_free(r->log);
	close(r->log_fd);
	pthread_cond_destroy(&r->faults->wake);
	pthread_mutex_destroy(&r->faults->lock);
	free(r->faults);
	(void)disk_system()->list(NULL, r->dir, remove_in, r->dir);
	(void)rmdir(r->dir);
	buf_fini(&r->batch);
	buf_fini(&r->seen);
}

int log_rig_setup(void **state)
{
	static struct log_rig r;

	log_rig_init(&r);
	*state = &r;
	return 0;
}

int log_rig_teardown(void **state)
{
	log_rig_fini(*state);
	return 0;
}

enum err log_rig_try_open(struct log_rig *r, struct errmsg *why)
{
	static const struct uuid id = {{7, 7, 7}};

	assert_null(r->store);
	enum err e = store_open(r->loop, &r->options, &r->store, why);
	if (e != ERR_OK) {
		r->store = NULL;
		return e;
	}
	e = store_log(r->store, "orders", 0, &id, &r->config, true, &r->plog, why);
	if (e != ERR_OK) {
		store_free(r->store);
		r->store = NULL;
		r->plog = NULL;
	}
	return e;
}

void log_rig_open(struct log_rig *r)
{
	struct errmsg why = {{0}};
	enum err e = log_rig_try_open(r, &why);

	if (e != ERR_OK)
		fail_msg("%s: %s", err_name(e), why.text);
}

void log_rig_settle(struct log_rig *r)
{
	/* Work that is done leads to more, from the next turn on. */
	for (int quiet = 0; quiet < 3;) {
		bool busy = worker_pool_pending(loop_pool(r->loop)) > 0;
		loop_turn(r->loop, busy ? 10 : 0);
		quiet = worker_pool_pending(loop_pool(r->loop)) > 0 ? 0 : quiet + 1;
	}
}

void log_rig_kill(struct log_rig *r)
{
	store_free(r->store);
	r->store = NULL;
	r->plog = NULL;
	log_rig_settle(r);
}

static void lose(struct rng *g, const struct durable *f)
{
	struct stat st;
	int fd = open(f->path, O_RDWR);

	if (fd < 0)
		return;
	assert_int_equal(fstat(fd, &st), 0);
	if (st.st_size > f->size) {
		int64_t keep = rng_in(g, f->size, st.st_size);
		if (rng_one_in(g, 2)) {
			assert_int_equal(ftruncate(fd, (off_t)keep), 0);
		} else { /* a page that was never written back reads as zeroes */
			assert_int_equal(ftruncate(fd, (off_t)keep), 0);
			assert_int_equal(ftruncate(fd, st.st_size), 0);
		}
	}
	close(fd);
}

void log_rig_power_cut(struct log_rig *r, struct rng *g)
{
	log_rig_kill(r);
	for (size_t i = 0; i < r->faults->files_n; i++)
		lose(g, &r->faults->files[i]);
}

struct ending {
	bool done;
	enum err e;
};

static void on_closed(void *arg, enum err e)
{
	struct ending *x = arg;

	assert_false(x->done);
	x->done = true;
	x->e = e;
}

enum err log_rig_close(struct log_rig *r)
{
	struct ending x = {0};

	store_close(r->store, on_closed, &x);
	assert_false(x.done);
	if (log_rig_held(r)) {
		/* All the rest gets as far as it can. */
		while (worker_pool_pending(loop_pool(r->loop)) > 1)
			loop_turn(r->loop, 10);
		for (int i = 0; i < 3; i++)
			loop_turn(r->loop, 0);
		log_rig_release(r);
	}
	for (int i = 0; i < 10000 && !x.done; i++)
		loop_turn(r->loop, 10);
	assert_true(x.done);
	log_rig_kill(r);
	return x.e;
}

void log_rig_sleep(struct log_rig *r, int64_t ms)
{
	r->now_ms += ms;
	loop_turn(r->loop, 0);
	log_rig_settle(r);
}

enum err log_rig_append_head(struct log_rig *r, struct batch_head *h, int32_t n,
			     struct plog_appended *out)
{
	const struct plog_append how = {.leader_epoch = 3};
	struct errmsg why = {{0}};

	buf_clear(&r->batch);
	struct bytes batch = batches_plain(&r->batch, h, n);
	enum err e = plog_append(r->plog, batch, &how, out, &why);
	if (e != ERR_OK)
		assert_true(why.text[0] != '\0');
	return e;
}

enum err log_rig_append(struct log_rig *r, int32_t n, struct plog_appended *out)
{
	struct batch_head h = batches_head();

	h.base_timestamp = r->now_ms;
	return log_rig_append_head(r, &h, n, out);
}

struct stored {
	struct plog_wait wait;
	bool done;
	enum err e;
};

static void on_stored(struct plog_wait *w, enum err e)
{
	struct stored *s = (struct stored *)w;

	assert_false(s->done);
	s->done = true;
	s->e = e;
}

enum err log_rig_produce(struct log_rig *r, int32_t n)
{
	struct plog_appended a;
	struct stored s = {.wait = {.done = on_stored}};
	enum err e = log_rig_append(r, n, &a);

	if (e != ERR_OK)
		return e;
	s.wait.offset = a.last_offset + 1;
	plog_wait_stored(r->plog, &s.wait);
	assert_false(s.done);
	for (int i = 0; i < 10000 && !s.done; i++)
		loop_turn(r->loop, 10);
	assert_true(s.done);
	return s.e;
}

void log_rig_produce_many(struct log_rig *r, int batches, int32_t n)
{
	for (int i = 0; i < batches; i++) {
		r->now_ms += 10;
		assert_int_equal(log_rig_produce(r, n), ERR_OK);
	}
}

static int64_t check_batches(struct bytes all, int64_t offset, int64_t *next)
{
	struct batch_walk w = {.left = all};
	struct batch_head h;
	struct bytes whole;
	struct errmsg why = {{0}};

	for (;;) {
		enum batch_walk_result found = batch_walk_next(&w, &h, &whole, &why);
		if (found == BATCH_WALK_END)
			return (int64_t)(all.n - w.left.n);
		assert_int_equal(found, BATCH_WALK_BATCH);
		assert_true(batch_crc_ok(whole));
		assert_true(batch_last_offset(&h) >= offset);
		if (*next >= 0)
			assert_true(h.base_offset >= *next);
		*next = batch_last_offset(&h) + 1;
	}
}

int64_t log_rig_read_all(struct log_rig *r, int64_t offset)
{
	struct errmsg why = {{0}};
	int64_t next = -1;

	for (;;) {
		struct plog_slice s;
		enum err e = plog_read(r->plog, offset, 3000, true, &s, &why);
		if (e != ERR_OK)
			fail_msg("read at %lld: %s: %s", (long long)offset, err_name(e), why.text);
		if (s.n == 0) {
			assert_null(s.file);
			break;
		}
		buf_clear(&r->seen);
		uint8_t *p = buf_extend(&r->seen, s.n);
		assert_non_null(p);
		assert_int_equal(pread(s.fd, p, s.n, (off_t)s.position), (ssize_t)s.n);
		plog_file_unref(s.file);
		int64_t used = check_batches(bytes_of(p, s.n), offset, &next);
		assert_true(used > 0);
		offset = next;
	}
	return offset;
}

void log_rig_path(const struct log_rig *r, const char *name, char out[256])
{
	(void)snprintf(out, 256, "%s/orders-0/%s", r->dir, name);
}

int64_t log_rig_size(const struct log_rig *r, const char *name)
{
	char path[256];
	struct stat st;

	log_rig_path(r, name, path);
	return stat(path, &st) == 0 ? st.st_size : -1;
}
