/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system calls that the log makes, as a table, so that tests let the Nth one fail, stop the
 * world there, or make a sync slow. Each call behaves as the one it is named after: -1 with errno.
 * They are made from the loop's thread and from the pool's.
 */
#ifndef FARSHORE_CLUSTER_LOG_DISK_H
#define FARSHORE_CLUSTER_LOG_DISK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct disk_stat {
	int64_t size;
	int64_t modified_ms; /* wall clock */
	bool directory;
};

struct disk {
	void *ctx; /* the first argument of each */
	int (*open)(void *ctx, const char *path, int flags, mode_t mode); /* with O_CLOEXEC */
	int (*close)(void *ctx, int fd);
	ssize_t (*pread)(void *ctx, int fd, void *p, size_t n, int64_t at);
	ssize_t (*pwritev)(void *ctx, int fd, const struct iovec *iov, int iov_n, int64_t at);
	int (*fsync)(void *ctx, int fd);
	int (*fdatasync)(void *ctx, int fd);
	int (*ftruncate)(void *ctx, int fd, int64_t size);
	int (*stat)(void *ctx, const char *path, struct disk_stat *out);
	int (*rename)(void *ctx, const char *from, const char *to);
	int (*unlink)(void *ctx, const char *path);
	int (*mkdir)(void *ctx, const char *path, mode_t mode);
	int (*rmdir)(void *ctx, const char *path);
	int (*lock)(void *ctx, int fd); /* flock(2): exclusive, without waiting */
	/* Every name in a directory but "." and ".."; `fn` gives false to stop. */
	int (*list)(void *ctx, const char *path, bool (*fn)(void *arg, const char *name),
		    void *arg);
	/* Bytes of the file system, and those free to users. */
	int (*space)(void *ctx, const char *path, int64_t *total, int64_t *usable);
};

/* The system's own calls. Static storage. */
const struct disk *disk_system(void);

#endif
