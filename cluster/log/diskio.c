/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole files. A file that matters as a whole is replaced (write beside, sync, rename), so that a
 * crash leaves the old one or the new one.
 */
#include "cluster/log/diskio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "lib/base/mem.h"

static enum err failed(struct errmsg *why, const char *what, const char *path)
{
	int error = errno;
	enum err e = errmsg_set(why, ERR_IO, "%s: %s: %s", path, what, strerror(error));

	errno = error;
	return e;
}

enum err diskio_read_at(const struct disk *d, int fd, void *p, size_t n, int64_t at)
{
	uint8_t *to = p;

	while (n > 0) {
		ssize_t got = d->pread(d->ctx, fd, to, n, at);
		if (got <= 0) {
			if (got == 0)
				errno = ENODATA;
			return ERR_IO;
		}
		to += got;
		at += got;
		n -= (size_t)got;
	}
	return ERR_OK;
}

enum err diskio_write_at(const struct disk *d, int fd, struct iovec *iov, int iov_n, int64_t at)
{
	while (iov_n > 0) {
		if (iov->iov_len == 0) {
			iov++;
			iov_n--;
			continue;
		}
		ssize_t put = d->pwritev(d->ctx, fd, iov, iov_n, at);
		if (put <= 0) {
			if (put == 0)
				errno = ENOSPC;
			return ERR_IO;
		}
		at += put;
		for (; iov_n > 0 && (size_t)put >= iov->iov_len; iov++, iov_n--)
			put -= (ssize_t)iov->iov_len;
		if (iov_n > 0) {
			iov->iov_base = (uint8_t *)iov->iov_base + put;
			iov->iov_len -= (size_t)put;
		}
	}
	return ERR_OK;
}

enum err diskio_read(const struct disk *d, const char *path, struct buf *out, struct errmsg *why)
{
	enum { CHUNK = 4096 };
	int fd = d->open(d->ctx, path, O_RDONLY, 0);

	if (fd < 0 && errno == ENOENT)
		return errmsg_set(why, ERR_NOT_FOUND, "%s: not found", path);
	if (fd < 0)
		return failed(why, "open", path);
	enum err e = ERR_OK;
	size_t start = out->len;
	int64_t at = 0;
	for (;;) {
		size_t room = out->max - out->len;
		uint8_t *p = buf_extend(out, room < CHUNK ? room : CHUNK);
		if (p == NULL) {
			e = errmsg_set(why, out->err, "%s: %s", path, err_text(out->err));
			break;
		}
		size_t asked = room < CHUNK ? room : CHUNK;
		uint8_t probe;
		ssize_t got =
			d->pread(d->ctx, fd, asked > 0 ? p : &probe, asked > 0 ? asked : 1, at);
		if (got < 0) {
			e = failed(why, "read", path);
			break;
		}
		if (asked == 0 && got > 0) {
			e = errmsg_set(why, ERR_LIMIT, "%s: larger than %zu bytes", path, out->max);
			break;
		}
		out->len -= asked - (asked > 0 ? (size_t)got : 0);
		at += got;
		if (got == 0)
			break;
	}
	if (e != ERR_OK)
		out->len = start;
	d->close(d->ctx, fd);
	return e;
}

enum err diskio_store(const struct disk *d, const char *path, struct bytes b, int64_t at,
		      struct errmsg *why)
{
	int fd = d->open(d->ctx, path, O_WRONLY | O_CREAT, 0644);

	if (fd < 0)
		return failed(why, "open", path);
	/* The cast drops a const that the vector of a write cannot have. */
	struct iovec iov = {.iov_base = (void *)(uintptr_t)b.p, .iov_len = b.n};
	enum err e = ERR_OK;
	if (diskio_write_at(d, fd, &iov, 1, at) != ERR_OK)
		e = failed(why, "write", path);
	else if (d->ftruncate(d->ctx, fd, at + (int64_t)b.n) != 0)
		e = failed(why, "truncate", path);
	else if (d->fsync(d->ctx, fd) != 0)
		e = failed(why, "sync", path);
	if (d->close(d->ctx, fd) != 0 && e == ERR_OK)
		e = failed(why, "close", path);
	return e;
}

enum err diskio_replace(const struct disk *d, const char *path, struct bytes b, struct errmsg *why)
{
	char tmp[DISKIO_PATH + 8];

	(void)snprintf(tmp, sizeof tmp, "%s.tmp", path);
	enum err e = diskio_store(d, tmp, b, 0, why);
	if (e == ERR_OK && d->rename(d->ctx, tmp, path) != 0)
		e = failed(why, "rename", tmp);
	if (e != ERR_OK)
		(void)d->unlink(d->ctx, tmp);
	return e;
}

enum err diskio_sync_dir(const struct disk *d, const char *path, struct errmsg *why)
{
	int fd = d->open(d->ctx, path, O_RDONLY | O_DIRECTORY, 0);
	enum err e = ERR_OK;

	if (fd < 0)
		return failed(why, "open", path);
	if (d->fsync(d->ctx, fd) != 0)
		e = failed(why, "sync", path);
	d->close(d->ctx, fd);
	return e;
}

enum err diskio_remove(const struct disk *d, const char *path, struct errmsg *why)
{
	if (d->unlink(d->ctx, path) != 0 && errno != ENOENT)
		return failed(why, "remove", path);
	return ERR_OK;
}

struct removal {
	const struct disk *d;
	const char *path;
	enum err e;
	struct errmsg *why;
};

static bool remove_one(void *arg, const char *name)
{
	struct removal *r = arg;
	char path[DISKIO_PATH + 256];

	(void)snprintf(path, sizeof path, "%s/%s", r->path, name);
	r->e = diskio_remove(r->d, path, r->why);
	return r->e == ERR_OK;
}

enum err diskio_remove_folder(const struct disk *d, const char *path, struct errmsg *why)
{
	struct removal r = {.d = d, .path = path, .why = why};

	if (d->list(d->ctx, path, remove_one, &r) != 0)
		return errno == ENOENT ? ERR_OK : failed(why, "list", path);
	if (r.e == ERR_OK && d->rmdir(d->ctx, path) != 0 && errno != ENOENT)
		return failed(why, "remove", path);
	return r.e;
}
