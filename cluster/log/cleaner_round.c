/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs on a pool thread: touches nothing but its round and files of its own opening. A round that
 * is told to stop ends with ERR_CANCELED, between two batches.
 */
#include "cluster/log/cleaner_round.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#include "lib/base/mem.h"

enum { OUT_FLUSH = 1024 * 1024 };

void cleaner_round_path(const struct cleaner_round *r, int64_t base, const char *suffix,
			char out[DISKIO_PATH])
{
	(void)snprintf(out, DISKIO_PATH, "%s/%020" PRId64 ".%s", r->folder, base, suffix);
}

/* What a phase does with a batch. `enough`: no more of them. */
typedef enum err batch_fn(struct cleaner_round *r, struct bytes whole, bool *enough);

static enum err read_batch(struct cleaner_round *r, const struct scan *s,
			   const struct batch_head *h, struct bytes *whole)
{
	buf_clear(&r->batch);
	uint8_t *p = buf_extend(&r->batch, batch_size(h));
	if (p == NULL)
		return errmsg_set(&r->why, r->batch.err, "a batch of %zu bytes: %s", batch_size(h),
				  err_text(r->batch.err));
	if (diskio_read_at(s->disk, s->fd, p, batch_size(h), s->at) != ERR_OK)
		return errmsg_set(&r->why, ERR_IO, "read: %s", strerror(errno));
	*whole = buf_bytes(&r->batch);
	return ERR_OK;
}

/* Every batch of a source that ends at or after `from`. */
static enum err walk_open(struct cleaner_round *r, const struct cleaner_source *x, int fd,
			  int64_t from, batch_fn *fn, bool *enough)
{
	uint8_t window[PLOG_WINDOW];
	struct batch_head h;
	struct bytes whole = {0};
	struct scan s;
	enum err e;

	scan_init(&s, r->disk, fd, 0, x->size, x->base);
	scan_window(&s, window, sizeof window);
	s.limit = x->next;
	while (!*enough && (e = scan_next(&s, &h, &r->why)) == ERR_OK) {
		if (atomic_load(&r->stop))
			return errmsg_set(&r->why, ERR_CANCELED, "stopped");
		if (batch_last_offset(&h) < from)
			continue;
		e = read_batch(r, &s, &h, &whole);
		if (e != ERR_OK)
			return e;
		e = fn(r, whole, enough);
		if (e != ERR_OK)
			return e;
	}
	return *enough || e == ERR_NOT_FOUND ? ERR_OK : e;
}

static enum err walk(struct cleaner_round *r, const struct cleaner_source *x, int64_t from,
		     batch_fn *fn, bool *enough)
{
	char path[DISKIO_PATH];

	cleaner_round_path(r, x->base, "log", path);
	int fd = r->disk->open(r->disk->ctx, path, O_RDONLY, 0);
	if (fd < 0)
		return errmsg_set(&r->why, ERR_IO, "%s: %s", path, strerror(errno));
	enum err e = walk_open(r, x, fd, from, fn, enough);
	r->disk->close(r->disk->ctx, fd);
	return e;
}

static enum err index_batch(struct cleaner_round *r, struct bytes whole, bool *enough)
{
	return cleaner_pass_index(r->pass, whole, enough, &r->why);
}

static enum err run_index(struct cleaner_round *r)
{
	bool full = false;

	r->group = r->group_n = 0;
	for (size_t i = 0; i < r->sources_n && !full; i++) {
		if (r->sources[i].next <= r->from)
			continue;
		r->group_n = i + 1;
		enum err e = walk(r, &r->sources[i], r->from, index_batch, &full);
		if (e != ERR_OK)
			return e;
	}
	return ERR_OK;
}

/* ---- writing ---- */

static enum err flush(struct cleaner_round *r)
{
	struct iovec iov = {.iov_base = r->out.p, .iov_len = r->out.len};

	if (diskio_write_at(r->disk, r->out_fd, &iov, 1, r->written) != ERR_OK)
		return errmsg_set(&r->why, ERR_IO, "write: %s", strerror(errno));
	r->written += (int64_t)r->out.len;
	buf_clear(&r->out);
	return ERR_OK;
}

static enum err note_kept(struct cleaner_round *r, const struct batch_head *h)
{
	enum err e = index_reserve(r->index);

	if (e != ERR_OK)
		return errmsg_set(&r->why, e, "out of memory");
	if (r->size == 0)
		r->first_timestamp = h->max_timestamp;
	if (h->max_timestamp > r->max_timestamp) {
		r->max_timestamp = h->max_timestamp;
		r->max_timestamp_offset = batch_last_offset(h);
	}
	if (index_add(r->index, batch_last_offset(h), r->size, batch_size(h),
		      r->config.index_interval_bytes))
		index_add_time(r->index, r->max_timestamp, r->max_timestamp_offset);
	r->size += (int64_t)batch_size(h);
	return ERR_OK;
}

static enum err rewrite_batch(struct cleaner_round *r, struct bytes whole, bool *enough)
{
	struct batch_head kept;
	size_t before = r->out.len;

	(void)enough;
	enum err e = cleaner_pass_rewrite(r->pass, whole, &r->out, &kept, &r->why);
	if (e != ERR_OK)
		return e;
	if (r->out.len - before != whole.n || memcmp(r->out.p + before, whole.p, whole.n) != 0)
		r->changed = true;
	if (kept.length != 0)
		e = note_kept(r, &kept);
	if (e == ERR_OK && r->out.len >= OUT_FLUSH)
		e = flush(r);
	return e;
}

static enum err store_indexes(struct cleaner_round *r, int64_t base)
{
	char path[DISKIO_PATH];

	if (index_reserve(r->index) != ERR_OK)
		return errmsg_set(&r->why, ERR_NOMEM, "out of memory");
	index_add_time(r->index, r->max_timestamp, r->max_timestamp_offset);
	buf_clear(&r->out);
	index_encode(r->index, &r->out);
	size_t n = r->out.len;
	index_encode_times(r->index, &r->out);
	if (r->out.err != ERR_OK)
		return errmsg_set(&r->why, r->out.err, "index: %s", err_text(r->out.err));
	cleaner_round_path(r, base, "index.cleaned", path);
	enum err e = diskio_store(r->disk, path, bytes_of(r->out.p, n), 0, &r->why);
	if (e != ERR_OK)
		return e;
	cleaner_round_path(r, base, "timeindex.cleaned", path);
	struct bytes times =
		r->out.len == n ? bytes_str("") : bytes_of(r->out.p + n, r->out.len - n);
	return diskio_store(r->disk, path, times, 0, &r->why);
}

static enum err write_group(struct cleaner_round *r)
{
	enum err e = ERR_OK;
	bool enough = false;

	for (size_t i = 0; i < r->group_n && e == ERR_OK; i++)
		e = walk(r, &r->sources[r->group + i], 0, rewrite_batch, &enough);
	if (e == ERR_OK)
		e = flush(r);
	if (e == ERR_OK && r->disk->fsync(r->disk->ctx, r->out_fd) != 0)
		e = errmsg_set(&r->why, ERR_IO, "sync: %s", strerror(errno));
	return e;
}

void cleaner_round_discard(const struct cleaner_round *r)
{
	static const char *const suffixes[] = {"log.cleaned", "index.cleaned", "timeindex.cleaned"};
	int64_t base = r->sources[r->group].base;
	char path[DISKIO_PATH];

	for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
		cleaner_round_path(r, base, suffixes[i], path);
		(void)r->disk->unlink(r->disk->ctx, path);
	}
}

static enum err run_write(struct cleaner_round *r)
{
	int64_t base = r->sources[r->group].base;
	char path[DISKIO_PATH];

	r->changed = r->group_n > 1;
	r->size = r->written = 0;
	r->max_timestamp = r->max_timestamp_offset = r->first_timestamp = -1;
	index_free(r->index);
	r->index = index_new(base);
	if (r->index == NULL)
		return errmsg_set(&r->why, ERR_NOMEM, "out of memory");
	buf_clear(&r->out);
	cleaner_round_path(r, base, "log.cleaned", path);
	r->out_fd = r->disk->open(r->disk->ctx, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (r->out_fd < 0)
		return errmsg_set(&r->why, ERR_IO, "%s: %s", path, strerror(errno));
	enum err e = write_group(r);
	r->disk->close(r->disk->ctx, r->out_fd);
	if (e == ERR_OK && r->changed)
		e = store_indexes(r, base);
	/* The names must be there before any of them changes. */
	if (e == ERR_OK && r->changed)
		e = diskio_sync_dir(r->disk, r->folder, &r->why);
	if (e != ERR_OK || !r->changed)
		cleaner_round_discard(r);
	return e;
}

void cleaner_round_run(struct cleaner_round *r)
{
	switch (r->step) {
	case CLEANER_INDEX:
		r->e = run_index(r);
		break;
	case CLEANER_WRITE:
		r->e = run_write(r);
		break;
	case CLEANER_SYNC:
		r->e = diskio_sync_dir(r->disk, r->folder, &r->why);
		break;
	}
}
