/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Invariant: `next` is never past `size`, and the offset behind a batch that was given fits in 63
 * bits; so positions and offsets add up without overflow, whatever the file holds.
 */
#include "cluster/log/scan.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>

#include "cluster/log/diskio.h"

enum {
	CRC_AT = 17,
	MAGIC_AT = 16,
	CHECKED_AT = 21 /* where the bytes begin that the checksum covers */
};

void scan_init(struct scan *s, const struct disk *d, int fd, int64_t from, int64_t size,
	       int64_t offset)
{
	*s = (struct scan){.disk = d,
			   .fd = fd,
			   .next = from,
			   .size = size,
			   .offset = offset,
			   .limit = INT64_MAX,
			   .at = from};
}

void scan_window(struct scan *s, void *p, size_t n)
{
	assert(n >= BATCH_HEAD);
	s->window = p;
	s->window_cap = n;
	s->window_n = 0;
}

/* The window holds `n` bytes (at most its size) at `position`, which lie inside the file. */
static enum err fill(struct scan *s, int64_t position, size_t n, struct errmsg *why)
{
	int64_t left = s->size - position;
	size_t want = left < (int64_t)s->window_cap ? (size_t)left : s->window_cap;

	if (position >= s->window_at && position - s->window_at <= (int64_t)s->window_n &&
	    n <= s->window_n - (size_t)(position - s->window_at))
		return ERR_OK;
	s->window_n = 0;
	if (diskio_read_at(s->disk, s->fd, s->window, want, position) != ERR_OK)
		return errmsg_set(why, ERR_IO, "read at position %" PRId64 ": %s", position,
				  strerror(errno));
	s->window_at = position;
	s->window_n = want;
	return ERR_OK;
}

enum err scan_next(struct scan *s, struct batch_head *h, struct errmsg *why)
{
	int64_t left = s->size - s->next;
	const char *fault;

	if (left <= 0)
		return errmsg_set(why, ERR_NOT_FOUND, "the end");
	if (left < BATCH_HEAD)
		return errmsg_set(why, ERR_MALFORMED, "position %" PRId64 ": cut off in a head",
				  s->next);
	enum err e = fill(s, s->next, BATCH_HEAD, why);
	if (e != ERR_OK)
		return e;
	batch_head_get(s->window + (s->next - s->window_at), h);
	fault = batch_head_fault(h);
	if (fault == NULL && (int64_t)batch_size(h) > left)
		fault = "cut off";
	if (fault == NULL && h->base_offset < s->offset)
		fault = "the offset is lower than the one before";
	if (fault == NULL && batch_last_offset(h) >= s->limit)
		fault = "the offset is higher than those that follow";
	if (fault != NULL)
		return errmsg_set(why, ERR_MALFORMED, "position %" PRId64 ": %s", s->next, fault);
	s->at = s->next;
	s->next += (int64_t)batch_size(h);
	s->offset = batch_last_offset(h) + 1;
	return ERR_OK;
}

enum err scan_check(struct scan *s, const struct batch_head *h, struct errmsg *why)
{
	int64_t at = s->at + CHECKED_AT, end = s->at + (int64_t)batch_size(h);
	uint32_t crc = 0;

	while (at < end) {
		enum err e = fill(s, at, 1, why);
		if (e != ERR_OK)
			return e;
		int64_t n = s->window_at + (int64_t)s->window_n - at;
		if (n > end - at)
			n = end - at;
		crc = crc32c(crc, s->window + (at - s->window_at), (size_t)n);
		at += n;
	}
	if (crc != h->crc)
		return errmsg_set(why, ERR_CORRUPT, "position %" PRId64 ": wrong checksum", s->at);
	return ERR_OK;
}

enum err scan_resync(struct scan *s, struct errmsg *why)
{
	for (; s->next <= s->size - BATCH_HEAD; s->next++) {
		enum err e = fill(s, s->next, BATCH_HEAD, why);
		if (e != ERR_OK)
			return e;
		if (s->window[s->next - s->window_at + MAGIC_AT] != 2)
			continue;
		struct scan tried = *s;
		struct batch_head h = {0};
		e = scan_next(&tried, &h, why);
		if (e == ERR_OK)
			e = scan_check(&tried, &h, why);
		s->window_at = tried.window_at;
		s->window_n = tried.window_n;
		if (e == ERR_OK || e == ERR_IO)
			return e;
	}
	return errmsg_set(why, ERR_NOT_FOUND, "no batch behind position %" PRId64, s->next);
}
