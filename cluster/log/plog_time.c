/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ListOffsets by time. The time index says where no earlier batch can have the timestamp; from
 * there the heads' largest timestamps lead to the batch, and the records inside it to the answer
 * (LogSegment.findOffsetByTimestamp, FileRecords.searchForTimestamp).
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>

#include "cluster/log/plog_impl.h"
#include "cluster/log/time_find.h"
#include "cluster/log/validate.h"

/* What is searched: the first record >= timestamp, or the one with the batch's largest. */
struct query {
	struct plog *log;
	int64_t timestamp;
	bool max;
	struct plog_mark hw;
	struct time_found found;
	int32_t epoch;
};

/* The offset below which no record has the timestamp. */
static int64_t time_floor(struct plog *l, struct segment *g, int64_t timestamp)
{
	const struct disk *d = l->store->disk;
	char path[DISKIO_PATH];
	struct disk_stat st;
	struct index_time t;

	if (g->index != NULL)
		return index_find_time(g->index, timestamp - 1);
	plog_path(l, g->base, "timeindex", path);
	if (d->stat(d->ctx, path, &st) != 0 || st.size % INDEX_TIME_ENTRY != 0 ||
	    st.size / INDEX_TIME_ENTRY > UINT32_MAX)
		return g->base;
	int fd = d->open(d->ctx, path, O_RDONLY, 0);
	if (fd < 0)
		return g->base;
	enum err e = index_file_find_time(d, fd, (uint32_t)(st.size / INDEX_TIME_ENTRY),
					  timestamp - 1, &t);
	d->close(d->ctx, fd);
	return e == ERR_OK ? g->base + t.offset : g->base;
}

static enum err look_inside(struct query *q, struct plog_file *file, const struct scan *s,
			    const struct batch_head *h, struct errmsg *why)
{
	struct plog *l = q->log;
	size_t inflate = validate_inflate_max(&l->config);
	struct buf b;

	buf_init(&b, batch_size(h));
	uint8_t *p = buf_extend(&b, batch_size(h));
	enum err e = p == NULL ? b.err : ERR_OK;
	if (e == ERR_OK)
		e = diskio_read_at(l->store->disk, files_fd(file), p, batch_size(h), s->at);
	if (e == ERR_OK && q->max)
		e = time_find_max(buf_bytes(&b), l->start, inflate, &q->found, why);
	else if (e == ERR_OK)
		e = time_find_first(buf_bytes(&b), l->start, q->timestamp, inflate, &q->found, why);
	buf_fini(&b);
	q->epoch = h->leader_epoch;
	return e;
}

static enum err search_segment(struct query *q, struct segment *g, int64_t from, struct errmsg *why)
{
	struct plog *l = q->log;
	uint8_t window[PLOG_WINDOW];
	struct batch_head h;
	struct scan s;
	int64_t position = 0;

	enum err e = segment_find(l, g, from, &position, &h, why);
	if (e != ERR_OK)
		return e;
	struct plog_file *file = files_ref(g->log_file);
	scan_init(&s, l->store->disk, files_fd(file), position, g->size, g->base);
	scan_window(&s, window, sizeof window);
	s.limit = g->next;
	while ((e = scan_next(&s, &h, why)) == ERR_OK) {
		if (h.base_offset >= q->hw.offset) {
			e = ERR_NOT_FOUND;
			break;
		}
		if (h.max_timestamp < q->timestamp || batch_last_offset(&h) < l->start ||
		    h.count == 0)
			continue;
		e = look_inside(q, file, &s, &h, why);
		if (e != ERR_NOT_FOUND)
			break;
	}
	plog_file_unref(file);
	return segment_scan_error(l, g, from, e, why);
}

static enum err answer(const struct query *q, enum err e, struct plog_found *out,
		       struct errmsg *why)
{
	*out = (struct plog_found){.offset = -1, .timestamp = -1, .leader_epoch = -1};
	if (e == ERR_NOT_FOUND)
		return ERR_OK;
	if (e == ERR_NOMEM)
		return errmsg_set(why, e, "%s: out of memory", q->log->name);
	if (e != ERR_OK)
		return ERR_KAFKA_KAFKA_STORAGE_ERROR;
	if (q->found.offset < q->hw.offset)
		*out = (struct plog_found){.offset = q->found.offset,
					   .timestamp = q->found.timestamp,
					   .leader_epoch = q->epoch};
	return ERR_OK;
}

enum err plog_find_time(struct plog *l, int64_t timestamp, struct plog_found *out,
			struct errmsg *why)
{
	struct query q = {.log = l, .timestamp = timestamp, .hw = plog_mark_visible(l)};
	enum err e = ERR_NOT_FOUND;

	for (size_t i = 0; i < l->segments_n && e == ERR_NOT_FOUND; i++) {
		struct segment *g = l->segments[i];
		if (g->next <= l->start && g->size > 0)
			continue;
		e = segment_load_times(l, g, why);
		if (e != ERR_OK)
			break;
		e = ERR_NOT_FOUND;
		if (g->size == 0 || g->max_timestamp < timestamp)
			continue;
		int64_t from = time_floor(l, g, timestamp);
		e = search_segment(&q, g, from > l->start ? from : l->start, why);
	}
	return answer(&q, e, out, why);
}

enum err plog_find_max_time(struct plog *l, struct plog_found *out, struct errmsg *why)
{
	struct query q = {.log = l, .max = true, .hw = plog_mark_visible(l)};
	struct segment *best = NULL;
	enum err e = ERR_OK;

	for (size_t i = 0; i < l->segments_n && e == ERR_OK; i++) {
		struct segment *g = l->segments[i];
		if (g->size == 0 || g->next <= l->start)
			continue;
		e = segment_load_times(l, g, why);
		if (e == ERR_OK && g->max_timestamp >= 0 &&
		    (best == NULL || g->max_timestamp > best->max_timestamp))
			best = g;
	}
	if (e == ERR_OK && best == NULL)
		e = ERR_NOT_FOUND;
	if (e == ERR_OK) {
		q.timestamp = best->max_timestamp;
		int64_t from = best->max_timestamp_offset;
		e = search_segment(&q, best, from > l->start ? from : l->start, why);
	}
	return answer(&q, e, out, why);
}
