/* SPDX-License-Identifier: Apache-2.0 */
/* Walk over a segment's batches by their heads, through a window of the caller's. Payloads are read
 * only to check them. Any thread. */
#ifndef FARSHORE_CLUSTER_LOG_SCAN_H
#define FARSHORE_CLUSTER_LOG_SCAN_H

#include "cluster/log/disk.h"
#include "lib/wire/batch.h"

struct scan {
	const struct disk *disk;
	int fd;
	int64_t next;   /* position behind the last batch given */
	int64_t size;   /* bytes to look at */
	int64_t offset; /* the least that the next batch may begin with */
	int64_t limit;  /* every batch ends below: INT64_MAX unless the caller sets it */
	int64_t at;     /* position of the last batch given */
	uint8_t *window;
	size_t window_cap; /* at least BATCH_HEAD */
	size_t window_n;
	int64_t window_at;
};

/* From position `from`, where a batch with base offset >= `offset` starts. */
void scan_init(struct scan *s, const struct disk *d, int fd, int64_t from, int64_t size,
	       int64_t offset);
void scan_window(struct scan *s, void *p, size_t n);

/*
 * The next batch's head. ERR_NOT_FOUND: the end. ERR_MALFORMED: what is there is no batch that
 * could follow, or is cut off. ERR_IO. `s->next` stays where it is then.
 */
enum err scan_next(struct scan *s, struct batch_head *h, struct errmsg *why) ERR_MUST_USE;

/* Check the checksum of the batch that was given last. ERR_CORRUPT, ERR_IO. */
enum err scan_check(struct scan *s, const struct batch_head *h, struct errmsg *why) ERR_MUST_USE;

/* From `s->next` on, look byte by byte for the next batch that is whole, with its checksum right
 * and an offset that fits; s->next is there then. ERR_NOT_FOUND: none. ERR_IO. */
enum err scan_resync(struct scan *s, struct errmsg *why) ERR_MUST_USE;

#endif
