/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Batches in memory, one after the other. The reader holds its file, so a segment that is removed
 * meanwhile is read to its end.
 */
#include <errno.h>
#include <inttypes.h>

#include "cluster/log/plog_impl.h"
#include "lib/base/mem.h"

struct plog_reader {
	struct plog *log;
	const struct disk *disk;
	struct plog_file *file; /* NULL: the segment of `offset` is to be opened */
	struct scan scan;
	int64_t base;   /* of the segment that is open */
	int64_t offset; /* give batches that end at or after it */
	int64_t end;
	struct buf whole;
	uint8_t window[PLOG_WINDOW];
};

enum err plog_reader_open(struct plog *l, int64_t from, struct plog_reader **out,
			  struct errmsg *why)
{
	struct plog_reader *r;

	if (from < l->start || from > l->end)
		return errmsg_set(why, ERR_KAFKA_OFFSET_OUT_OF_RANGE,
				  "%s: offset %" PRId64 " is not in %" PRId64 "..%" PRId64, l->name,
				  from, l->start, l->end);
	r = mem_zalloc(1, sizeof *r);
	if (r == NULL)
		return errmsg_set(why, ERR_NOMEM, "%s: out of memory", l->name);
	r->log = l;
	r->disk = l->store->disk;
	r->offset = from;
	r->end = l->end;
	buf_init(&r->whole, (size_t)INT32_MAX + BATCH_OVERHEAD);
	*out = r;
	return ERR_OK;
}

void plog_reader_free(struct plog_reader *r)
{
	if (r == NULL)
		return;
	plog_file_unref(r->file);
	buf_fini(&r->whole);
	mem_free(r);
}

/* The file and the position of the first batch at or after r->offset. ERR_NOT_FOUND: the end. */
static enum err open_segment(struct plog_reader *r, struct errmsg *why)
{
	struct plog *l = r->log;
	ptrdiff_t at = plog_segment_at(l, r->offset);

	for (size_t i = at < 0 ? 0 : (size_t)at; i < l->segments_n; i++) {
		struct segment *g = l->segments[i];
		struct batch_head h;
		int64_t position = 0;
		enum err e = segment_find(l, g, r->offset, &position, &h, why);
		if (e == ERR_NOT_FOUND)
			continue;
		if (e != ERR_OK)
			return e;
		r->file = files_ref(g->log_file);
		r->base = g->base;
		scan_init(&r->scan, r->disk, files_fd(r->file), position, g->size, g->base);
		scan_window(&r->scan, r->window, sizeof r->window);
		r->scan.limit = g->next;
		return ERR_OK;
	}
	return errmsg_set(why, ERR_NOT_FOUND, "%s: the end", l->name);
}

/* The segment was read to its end: go on in the one behind it, if there is one. */
static bool next_segment(struct plog_reader *r)
{
	struct plog *l = r->log;
	ptrdiff_t at = plog_segment_at(l, r->base);

	plog_file_unref(r->file);
	r->file = NULL;
	if (at + 1 >= (ptrdiff_t)l->segments_n)
		return false;
	if (r->offset < l->segments[at + 1]->base)
		r->offset = l->segments[at + 1]->base;
	return true;
}

static enum err read_whole(struct plog_reader *r, const struct batch_head *h, struct bytes *whole,
			   struct errmsg *why)
{
	buf_clear(&r->whole);
	uint8_t *p = buf_extend(&r->whole, batch_size(h));
	if (p == NULL)
		return errmsg_set(why, r->whole.err, "%s: a batch of %zu bytes: %s", r->log->name,
				  batch_size(h), err_text(r->whole.err));
	if (diskio_read_at(r->disk, files_fd(r->file), p, batch_size(h), r->scan.at) != ERR_OK)
		return errmsg_set(why, ERR_IO, "%s: read at offset %" PRId64 ": %s", r->log->name,
				  h->base_offset, strerror(errno));
	*whole = buf_bytes(&r->whole);
	if (!batch_crc_ok(*whole))
		return errmsg_set(why, ERR_CORRUPT,
				  "%s: the batch at offset %" PRId64 " is damaged", r->log->name,
				  h->base_offset);
	return ERR_OK;
}

enum err plog_reader_next(struct plog_reader *r, struct batch_head *head, struct bytes *whole,
			  struct errmsg *why)
{
	for (;;) {
		if (r->offset >= r->end)
			return errmsg_set(why, ERR_NOT_FOUND, "%s: the end", r->log->name);
		enum err e = r->file != NULL ? ERR_OK : open_segment(r, why);
		if (e != ERR_OK)
			return e;
		e = scan_next(&r->scan, head, why);
		if (e == ERR_NOT_FOUND) {
			if (!next_segment(r))
				return e;
			continue;
		}
		if (e == ERR_MALFORMED)
			return errmsg_wrap(why, ERR_CORRUPT, "%s", r->log->name);
		if (e != ERR_OK)
			return e;
		if (head->base_offset >= r->end)
			return errmsg_set(why, ERR_NOT_FOUND, "%s: the end", r->log->name);
		e = read_whole(r, head, whole, why);
		if (e == ERR_OK)
			r->offset = batch_last_offset(head) + 1;
		return e;
	}
}
