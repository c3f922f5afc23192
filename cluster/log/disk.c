/* SPDX-License-Identifier: Apache-2.0 */
/* The system's calls behind the table of disk.h. Interrupted calls are made again. */
#include "cluster/log/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int sys_open(void *ctx, const char *path, int flags, mode_t mode)
{
	int fd;

	(void)ctx;
	do
		fd = open(path, flags | O_CLOEXEC, mode);
	while (fd < 0 && errno == EINTR);
	return fd;
}

static int sys_close(void *ctx, int fd)
{
	(void)ctx;
	return close(fd);
}

static ssize_t sys_pread(void *ctx, int fd, void *p, size_t n, int64_t at)
{
	ssize_t got;

	(void)ctx;
	do
		got = pread(fd, p, n, (off_t)at);
	while (got < 0 && errno == EINTR);
	return got;
}

static ssize_t sys_pwritev(void *ctx, int fd, const struct iovec *iov, int iov_n, int64_t at)
{
	ssize_t put;

	(void)ctx;
	do
		put = pwritev(fd, iov, iov_n, (off_t)at);
	while (put < 0 && errno == EINTR);
	return put;
}

static int sys_fsync(void *ctx, int fd)
{
	(void)ctx;
	return fsync(fd);
}

static int sys_fdatasync(void *ctx, int fd)
{
	(void)ctx;
	return fdatasync(fd);
}

static int sys_ftruncate(void *ctx, int fd, int64_t size)
{
	int rc;

	(void)ctx;
	do
		rc = ftruncate(fd, (off_t)size);
	while (rc < 0 && errno == EINTR);
	return rc;
}

static int sys_stat(void *ctx, const char *path, struct disk_stat *out)
{
	struct stat st;

	(void)ctx;
	if (stat(path, &st) != 0)
		return -1;
	*out = (struct disk_stat){
		.size = st.st_size,
		.modified_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000,
		.directory = S_ISDIR(st.st_mode),
	};
	return 0;
}

static int sys_rename(void *ctx, const char *from, const char *to)
{
	(void)ctx;
	return rename(from, to);
}

static int sys_unlink(void *ctx, const char *path)
{
	(void)ctx;
	return unlink(path);
}

static int sys_mkdir(void *ctx, const char *path, mode_t mode)
{
	(void)ctx;
	return mkdir(path, mode);
}

static int sys_rmdir(void *ctx, const char *path)
{
	(void)ctx;
	return rmdir(path);
}

static int sys_lock(void *ctx, int fd)
{
	(void)ctx;
	return flock(fd, LOCK_EX | LOCK_NB);
}

static int sys_list(void *ctx, const char *path, bool (*fn)(void *arg, const char *name), void *arg)
{
	DIR *d = opendir(path);
	const struct dirent *entry;

	(void)ctx;
	if (d == NULL)
		return -1;
	errno = 0;
	while ((entry = readdir(d)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (!fn(arg, entry->d_name))
			break;
		errno = 0;
	}
	int error = entry == NULL ? errno : 0;
	closedir(d);
	errno = error;
	return error == 0 ? 0 : -1;
}

static int sys_space(void *ctx, const char *path, int64_t *total, int64_t *usable)
{
	struct statvfs st;

	(void)ctx;
	if (statvfs(path, &st) != 0)
		return -1;
	*total = (int64_t)(st.f_blocks * st.f_frsize);
	*usable = (int64_t)(st.f_bavail * st.f_frsize);
	return 0;
}

const struct disk *disk_system(void)
{
	static const struct disk system = {
		.open = sys_open,
		.close = sys_close,
		.pread = sys_pread,
		.pwritev = sys_pwritev,
		.fsync = sys_fsync,
		.fdatasync = sys_fdatasync,
		.ftruncate = sys_ftruncate,
		.stat = sys_stat,
		.rename = sys_rename,
		.unlink = sys_unlink,
		.mkdir = sys_mkdir,
		.rmdir = sys_rmdir,
		.lock = sys_lock,
		.list = sys_list,
		.space = sys_space,
	};
	return &system;
}
