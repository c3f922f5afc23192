/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An append: everything that can fail for want of memory or by the batch itself comes first; then
 * one write; then what cannot fail. So a refused batch changes nothing. (A roll, and the epoch's
 * entry, may come before a write that fails: both are right without the batch, too.)
 */
#include <errno.h>
#include <inttypes.h>

#include "cluster/log/plog_impl.h"
#include "cluster/log/validate.h"

enum { SCRATCH_KEEP = 1024 * 1024 };

/* Nothing was appended, and nothing is for a while. One line tells of it. */
static enum err refuse(struct plog *l, const struct errmsg *why)
{
	if (!l->refused)
		log_event(l->store->log, LOG_ERROR, "log_write_refused",
			  LOG_S("partition", l->name), LOG_S("reason", why->text),
			  LOG_I("offset", l->end));
	l->refused = true;
	l->refused_until = loop_now_ms(l->store->loop) + STORE_REPAIR_MS;
	return ERR_KAFKA_KAFKA_STORAGE_ERROR;
}

static enum err refuse_call(struct plog *l, const char *what, struct errmsg *why)
{
	errmsg_set(why, ERR_IO, "%s: %s: %s", l->name, what, strerror(errno));
	return refuse(l, why);
}

/* LogSegment.shouldRoll and timeWaitedForRoll. */
static enum err should_roll(struct plog *l, const struct batch_head *h, int64_t wall_ms, bool *roll,
			    struct errmsg *why)
{
	struct segment *g = plog_active(l);
	int64_t max = l->config.segment_bytes < INT32_MAX ? l->config.segment_bytes : INT32_MAX;
	int64_t waited;

	*roll = false;
	if (g->size == 0) {
		*roll = l->roll_due || h->base_offset - g->base > INT32_MAX - h->last_offset_delta;
		return ERR_OK;
	}
	enum err e = segment_load_first(l, g, why);
	if (e != ERR_OK)
		return e;
	waited = g->first_timestamp >= 0 ? h->max_timestamp - g->first_timestamp
					 : wall_ms - g->modified_ms;
	*roll = l->roll_due || g->size > max - (int64_t)batch_size(h) ||
		waited > l->config.segment_ms ||
		g->index->entries_n >= l->config.segment_index_bytes / INDEX_ENTRY ||
		g->index->times_n + 1 >= l->config.segment_index_bytes / INDEX_TIME_ENTRY ||
		h->base_offset - g->base > INT32_MAX - h->last_offset_delta;
	return ERR_OK;
}

/* Everything that the append needs is in memory. */
static enum err prepare(struct plog *l, struct errmsg *why)
{
	enum err e = commit_prepare(l);

	if (e != ERR_OK)
		return errmsg_set(why, e, "%s: out of memory", l->name);
	e = plog_load_epochs(l, why);
	if (e == ERR_OK)
		e = plog_load_producers(l, why);
	if (e == ERR_OK)
		e = segment_load_index(l, plog_active(l), why);
	return e;
}

static enum err storage_error(struct plog *l, enum err e, struct errmsg *why)
{
	return e == ERR_IO || e == ERR_CORRUPT || e == ERR_NOT_FOUND ? refuse(l, why) : e;
}

/* Out of memory: what this producer has in flight is refused with the batch, too. */
static enum err refuse_if_ordered(struct plog *l, struct bytes batch, enum err e,
				  struct errmsg *why)
{
	struct batch_head h;

	if (e != ERR_NOMEM || batch.n < BATCH_HEAD)
		return e;
	batch_head_get(batch.p, &h);
	return h.producer_id >= 0 ? refuse(l, why) : e;
}

/* Head and payload to the end of the active segment. What a failed write left is cut off, now or
 * before the next one. */
static enum err write_batch(struct plog *l, const struct validate_output *v, struct errmsg *why)
{
	struct segment *g = plog_active(l);
	const struct disk *d = l->store->disk;
	int fd = files_fd(g->log_file);
	struct iovec iov[2] = {
		/* A vector has no const; nothing is written through it. */
		{.iov_base = (void *)(uintptr_t)v->head, .iov_len = BATCH_HEAD},
		{.iov_base = (void *)(uintptr_t)v->payload.p, .iov_len = v->payload.n},
	};

	if (g->excess && d->ftruncate(d->ctx, fd, g->size) != 0)
		return refuse_call(l, "truncate", why);
	g->excess = false;
	g->dirty = true; /* the size of the file, even if the write fails */
	if (diskio_write_at(d, fd, iov, 2, g->size) == ERR_OK)
		return ERR_OK;
	enum err e = refuse_call(l, "write", why);
	g->excess = d->ftruncate(d->ctx, fd, g->size) != 0;
	return e;
}

static void written(struct plog *l, const struct validate_output *v, int64_t wall_ms)
{
	struct segment *g = plog_active(l);

	segment_add(g, &v->h, l->config.index_interval_bytes);
	g->modified_ms = wall_ms;
	l->size += (int64_t)batch_size(&v->h);
	l->end = batch_last_offset(&v->h) + 1;
	producers_commit(l->producers, &v->h);
	if (l->refused) {
		l->refused = false;
		log_event(l->store->log, LOG_INFO, "log_write_recovered",
			  LOG_S("partition", l->name), LOG_I("offset", l->end));
	}
	l->store->checkpoints_dirty = true;
	if (store_always(l->store)) {
		commit_soon(l, COMMIT_ALL);
		return;
	}
	l->watch_due = true;
	plog_wake(l);
	if (l->flush_at == 0)
		l->flush_at = wall_ms;
	if (l->end - l->stored.offset >= l->config.flush_messages)
		commit_soon(l, COMMIT_ALL);
}

static enum err append_checked(struct plog *l, const struct validate_output *v, int64_t wall_ms,
			       struct errmsg *why)
{
	bool roll, changed = false;
	enum err e = should_roll(l, &v->h, wall_ms, &roll, why);

	if (e == ERR_OK && roll)
		e = plog_roll(l, why);
	if (e != ERR_OK)
		return storage_error(l, e, why);
	if (index_reserve(plog_active(l)->index) != ERR_OK)
		return errmsg_set(why, ERR_NOMEM, "%s: out of memory", l->name);
	e = segment_open(l, plog_active(l), why);
	if (e == ERR_OK && v->h.leader_epoch > epochs_latest(&l->epochs))
		e = epochs_assign(&l->epochs, v->h.leader_epoch, v->h.base_offset, &changed);
	if (changed)
		l->epochs_changed++;
	if (e != ERR_OK)
		return storage_error(l, e, why);
	return write_batch(l, v, why);
}

static void fill_duplicate(const struct producers_batch *earlier, struct plog_appended *out)
{
	*out = (struct plog_appended){
		.base_offset = earlier->first_offset,
		.last_offset = earlier->last_offset,
		/* Of any topic, as in Kafka: it is how a producer can tell a repetition. */
		.append_time = earlier->timestamp,
		.duplicate = true,
		.bad_record = -1,
	};
}

static enum err append(struct plog *l, const struct validate_input *in, struct buf *scratch,
		       struct plog_appended *out, struct errmsg *why)
{
	struct validate_output v;
	struct producers_batch earlier;
	bool duplicate = false;

	enum err e = validate_batch(&l->config, in, scratch, &v, why);
	if (e != ERR_OK) {
		out->bad_record = v.bad_record;
		return e;
	}
	e = producers_check(l->producers, &v.h, &duplicate, &earlier, why);
	if (e != ERR_OK)
		return e;
	if (duplicate) {
		fill_duplicate(&earlier, out);
		return ERR_OK;
	}
	e = append_checked(l, &v, in->now_ms, why);
	if (e != ERR_OK)
		return e;
	out->base_offset = v.h.base_offset;
	out->last_offset = batch_last_offset(&v.h);
	out->append_time = v.append_time;
	written(l, &v, in->now_ms);
	return ERR_OK;
}

enum err plog_append(struct plog *l, struct bytes batch, const struct plog_append *how,
		     struct plog_appended *out, struct errmsg *why)
{
	struct errmsg own;
	struct buf scratch;

	if (why == NULL)
		why = &own;
	*out = (struct plog_appended){
		.base_offset = -1, .last_offset = -1, .append_time = -1, .bad_record = -1};
	if (l->failed || l->deleted || l->store->closing)
		return errmsg_set(why, ERR_KAFKA_KAFKA_STORAGE_ERROR, "%s: %s", l->name,
				  l->failed ? "the disk failed to sync; the log is being repaired"
					    : "the log is being closed");
	/* What a producer has in flight behind a batch that was refused is refused with it, and
	 * comes again in order; else the second batch of a new producer would be taken for its
	 * first. */
	if (l->refused && loop_now_ms(l->store->loop) < l->refused_until)
		return errmsg_set(why, ERR_KAFKA_KAFKA_STORAGE_ERROR,
				  "%s: the last write failed; the next try is soon", l->name);
	enum err e = prepare(l, why);
	if (e != ERR_OK)
		return refuse_if_ordered(l, batch, storage_error(l, e, why), why);
	const struct validate_input in = {
		.batch = batch,
		.base_offset = l->end,
		.leader_epoch = how->leader_epoch,
		.now_ms = clock_wall_ms(loop_clock(l->store->loop)),
		.internal = how->internal,
	};
	buf_init(&scratch, SCRATCH_KEEP);
	e = append(l, &in, &scratch, out, why);
	buf_fini(&scratch);
	return refuse_if_ordered(l, batch, e, why);
}
