/* SPDX-License-Identifier: Apache-2.0 */
/* From an offset to a range of a file: an index look-up and a walk over the heads behind it. */
#include <errno.h>
#include <inttypes.h>

#include "cluster/log/plog_impl.h"

/* Bytes of a segment that readers may see. */
static int64_t visible_bytes(const struct segment *g, const struct plog_mark *hw)
{
	if (g->base < hw->segment)
		return g->size;
	return g->base == hw->segment ? hw->position : 0;
}

static enum err read_error(enum err e)
{
	return e == ERR_NOMEM ? e : ERR_KAFKA_KAFKA_STORAGE_ERROR;
}

static void fill_slice(struct segment *g, int64_t position, int64_t n, struct plog_slice *out)
{
	*out = (struct plog_slice){
		.file = files_ref(g->log_file),
		.fd = files_fd(g->log_file),
		.position = position,
		.n = (size_t)n,
	};
}

enum err plog_read(struct plog *l, int64_t offset, size_t max, bool whole_first,
		   struct plog_slice *out, struct errmsg *why)
{
	struct plog_mark hw = plog_mark_visible(l);

	*out = (struct plog_slice){.fd = -1};
	if (offset < l->start || offset > l->end)
		return errmsg_set(why, ERR_KAFKA_OFFSET_OUT_OF_RANGE,
				  "%s: offset %" PRId64 " is not in %" PRId64 "..%" PRId64, l->name,
				  offset, l->start, l->end);
	if (offset >= hw.offset || (max == 0 && !whole_first))
		return ERR_OK;
	ptrdiff_t at = plog_segment_at(l, offset);
	for (size_t i = at < 0 ? 0 : (size_t)at; i < l->segments_n; i++) {
		struct segment *g = l->segments[i];
		int64_t visible = visible_bytes(g, &hw), position = 0;
		struct batch_head h;
		if (g->base > hw.segment)
			break;
		if (visible == 0)
			continue; /* compaction left nothing of it */
		enum err e = segment_find(l, g, offset, &position, &h, why);
		if (e == ERR_NOT_FOUND)
			continue; /* compaction left nothing up to its end */
		if (e != ERR_OK)
			return read_error(e);
		if (position >= visible)
			break;
		if (max < batch_size(&h)) {
			out->too_large = !whole_first;
			max = whole_first ? batch_size(&h) : 0;
		}
		int64_t n = visible - position;
		if ((uint64_t)n > max)
			n = (int64_t)max;
		if (n > 0)
			fill_slice(g, position, n, out);
		return ERR_OK;
	}
	return ERR_OK;
}

int64_t plog_bytes_from(struct plog *l, int64_t offset)
{
	struct plog_mark hw = plog_mark_visible(l);
	ptrdiff_t at = plog_segment_at(l, offset);
	int64_t n = 0;

	if (offset >= hw.offset)
		return 0;
	for (size_t i = at < 0 ? 0 : (size_t)at; i < l->segments_n; i++)
		n += visible_bytes(l->segments[i], &hw);
	if (at >= 0 && l->segments[at]->index != NULL)
		n -= index_find(l->segments[at]->index, offset);
	return n > 0 ? n : 0;
}
