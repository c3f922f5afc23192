/* SPDX-License-Identifier: Apache-2.0 */
/* What the log does with whole files: read, write, replace, sync a directory, remove a folder.
 * Works on any thread. Errors are ERR_IO with the path and the system's reason in `why` (may be
 * NULL). */
#ifndef FARSHORE_CLUSTER_LOG_DISKIO_H
#define FARSHORE_CLUSTER_LOG_DISKIO_H

#include "cluster/log/disk.h"
#include "lib/base/buf.h"

/* Longest path that is made: a directory, a partition's folder, a file. */
enum { DISKIO_PATH = 4096 };

/* Append a file's content. ERR_NOT_FOUND: there is none. ERR_LIMIT: larger than out->max. */
enum err diskio_read(const struct disk *d, const char *path, struct buf *out,
		     struct errmsg *why) ERR_MUST_USE;

/* `n` bytes at `at`, all of them; a file that ends before gives ERR_IO. */
enum err diskio_read_at(const struct disk *d, int fd, void *p, size_t n, int64_t at) ERR_MUST_USE;

/* All bytes of the vector, at `at`; the vector is used up. errno has the reason after ERR_IO. */
enum err diskio_write_at(const struct disk *d, int fd, struct iovec *iov, int iov_n,
			 int64_t at) ERR_MUST_USE;

/* Write at `at` into a file, which is made if there is none, cut what stands behind, and sync. */
enum err diskio_store(const struct disk *d, const char *path, struct bytes b, int64_t at,
		      struct errmsg *why) ERR_MUST_USE;

/* Write a new file with `path` and ".tmp", sync it, and rename it into place. The directory is not
 * synced. */
enum err diskio_replace(const struct disk *d, const char *path, struct bytes b,
			struct errmsg *why) ERR_MUST_USE;

enum err diskio_sync_dir(const struct disk *d, const char *path, struct errmsg *why) ERR_MUST_USE;

/* Remove a file; one that is not there is fine. */
enum err diskio_remove(const struct disk *d, const char *path, struct errmsg *why) ERR_MUST_USE;

/* Remove a folder and the files in it (it has no folders). */
enum err diskio_remove_folder(const struct disk *d, const char *path,
			      struct errmsg *why) ERR_MUST_USE;

#endif
