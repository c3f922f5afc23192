/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The alignment of a partition (align.h): feeds it what the source and the target hold, applies
 * what it found, names what does not fit. Runs in PHASE_ALIGN only.
 *
 * Two uses: the target is ahead of the run table, and the table grows by what is found; or, after a
 * start, both end at the same place and only the last batch is compared (align_check).
 */
#include <inttypes.h>

#include "mirror/partition/align.h"
#include "mirror/partition/partition_priv.h"

enum {
	ALIGN_RECORDS = 1 << 20, /* 8 bytes each */
	CHECK_BYTES = 64 << 10,  /* of a last batch that is compared at a start */
};

static void align_part(struct partition *p);

static void align_fault(struct partition *p, enum err e, const struct errmsg *why)
{
	const char *text = why->text[0] != '\0' ? why->text : err_text(e);
	align_free(p->align);
	p->align = NULL;
	if (p->align_check) {
		/* What cannot be compared is believed. */
		p->tail_checked = true;
		partition_begin_copy(p, p->src_acked, p->dst_acked);
		return;
	}
	partition_fault(p, STATE_TARGET_UNAVAILABLE, e,
			"finding the position after target offset %" PRId64 ": %s", p->dst_acked,
			text);
}

static void align_done(struct partition *p)
{
	if (p->align_check) {
		align_free(p->align);
		p->align = NULL;
		p->tail_checked = true;
		partition_begin_copy(p, p->src_acked, p->dst_acked);
		return;
	}
	if (p->align_recreated) {
		partition_policy_compared(p, true);
		return;
	}
	if (p->align_parting || p->align_rematch) {
		partition_policy_parted(p);
		return;
	}
	const struct align_result r = *align_result(p->align);
	if (p->align_from >= 0 || p->align_lost)
		runs_advance_source(p->runs, p->align_src);
	p->align_from = -1;
	enum err e = align_apply(p->align, p->runs);
	if (e != ERR_OK) {
		const struct errmsg why = {""};
		align_fault(p, e, &why);
		return;
	}
	if (r.records > 0)
		p->attempt = 0;
	align_free(p->align);
	p->align = NULL;
	p->last_epoch = p->next_epoch;
	p->src_acked = r.src;
	p->dst_acked = r.dst_end;
	if (r.dst_end < p->align_goal && !r.complete) {
		p->align_sequence = r.own ? r.own_next : p->align_sequence;
		align_part(p);
		return;
	}
	p->settle = false;
	/* The found part must be durable before it grows: a second crash would find the same again,
	 * but why wait for it. */
	if (!p->align_lost)
		p->env->host->store(p->env->host_ctx, p, false);
	if (p->shared)
		partition_shared_aligned(p, &r);
	else if (p->align_tail)
		partition_begin_copy(p, r.src, r.dst_end);
	else
		partition_take_producer(p, r.src, r.dst_end);
}

static void align_mismatch(struct partition *p)
{
	const struct align_result *r = align_result(p->align);
	if (p->align_recreated) {
		partition_policy_compared(p, false);
		return;
	}
	if (p->align_parting) {
		partition_policy_parted(p);
		return;
	}
	if (p->align_verify && r->parted && partition_acts(p, STATE_SOURCE_TRUNCATED)) {
		if (!p->align_check) {
			partition_policy_parted(p);
			return;
		}
		struct errmsg why;
		errmsg_set(&why, ERR_OK, "the last batch of %s-%d is not what %s has: %s",
			   p->env->target_topic, p->index, p->env->source_topic, r->detail.text);
		int64_t end = p->align_src;
		align_free(p->align);
		p->align = NULL;
		partition_policy_truncated(p, end, p->dst_acked, why.text);
		return;
	}
	if (p->align_verify && !r->foreign) {
		partition_fault(p, STATE_SOURCE_TRUNCATED, ERR_KAFKA_OFFSET_OUT_OF_RANGE,
				"what this link wrote to %s-%d from offset %" PRId64
				" on is not what %s has now from offset %" PRId64
				" on: %s: the source lost records (unclean leader election?); the "
				"target holds records that the source does not",
				p->env->target_topic, p->index, p->align_dst, p->env->source_topic,
				p->align_src, r->detail.text);
		return;
	}
	if (!p->align_check) {
		p->foreign_first = p->align_dst;
		p->foreign_end = p->align_goal;
	}
	partition_fault(p, STATE_FOREIGN_WRITE, ERR_KAFKA_INVALID_PRODUCER_ID_MAPPING,
			"what %s-%d holds from offset %" PRId64
			" on is no copy of %s from offset %" PRId64
			" on: %s; another writer is in the partition: stop it and delete the "
			"target topic to copy it afresh",
			p->env->target_topic, p->index, p->align_dst, p->env->source_topic,
			p->align_src, r->detail.text);
}

/* Ask for what the alignment needs next. */
void partition_align_step(struct partition *p)
{
	switch (align_need(p->align)) {
	case ALIGN_TARGET:
		/* What an alignment that was left has asked for does not fit this one. */
		p->target_stale = p->target_reading;
		if (p->target_reading)
			return;
		p->target_reading =
			p->env->host->read_target(p->env->host_ctx, p, align_target_next(p->align));
		return;
	case ALIGN_SOURCE:
		p->src_next = align_source_next(p->align);
		if (p->origin_waits)
			return;
		p->fetching = true;
		p->env->host->fetch(p->env->host_ctx, p, p->src_next, true);
		return;
	case ALIGN_DONE:
		align_done(p);
		return;
	case ALIGN_LOST:
		align_free(p->align);
		p->align = NULL;
		partition_shared_lost(p);
		return;
	case ALIGN_STALE:
		align_free(p->align);
		p->align = NULL;
		partition_shared_stale(p);
		return;
	case ALIGN_MISMATCH:
		align_mismatch(p);
		return;
	}
}

/* The alignment went on: next_epoch is that of the batch in or after which it stands. After a gap
 * (compaction) an epoch may have ended in between: unknown. */
static void follow_epoch(struct partition *p, struct bytes records)
{
	int64_t next = align_source_next(p->align);
	struct batch_walk walk = {.left = records};
	struct batch_head h;
	struct bytes whole;
	p->next_epoch = -1;
	while (batch_walk_next(&walk, &h, &whole, NULL) == BATCH_WALK_BATCH && h.base_offset < next)
		if (batch_last_offset(&h) + 1 >= next)
			p->next_epoch = h.leader_epoch;
}

void partition_align_feed(struct partition *p, const struct fetch_result *r)
{
	int64_t before = align_source_next(p->align);
	struct errmsg why = {""};
	enum err e =
		align_feed_source(p->align, partition_known(p, r), r->aborted, r->aborted_n, &why);
	if (e != ERR_OK) {
		align_fault(p, e, &why);
		return;
	}
	if (align_source_next(p->align) != before)
		follow_epoch(p, r->records);
	if (align_need(p->align) == ALIGN_SOURCE && align_source_next(p->align) == before &&
	    before >= p->source_lso && !p->origin_waits)
		align_end_source(p->align);
	partition_align_step(p);
}

void partition_on_target_read(struct partition *p, enum err e, struct bytes records, int64_t end)
{
	bool stale = p->target_stale;
	p->target_reading = p->target_stale = false;
	if (p->phase == PHASE_TAKEOVER && stale) {
		p->target_stale = true;
		partition_on_takeover_read(p, e, NULL);
		return;
	}
	if (p->phase != PHASE_ALIGN)
		return;
	if (stale) {
		partition_align_step(p);
		return;
	}
	struct errmsg why = {""};
	int64_t before = align_target_next(p->align);
	if (p->shared && e == ERR_OK && end < p->align_goal) {
		/* A leader that does not know yet how far it is; behind it may be more of ours. */
		errmsg_set(&why, e, "its end went back from %" PRId64 " to %" PRId64, p->align_goal,
			   end);
		align_fault(p, ERR_KAFKA_OFFSET_NOT_AVAILABLE, &why);
		return;
	}
	if (e == ERR_KAFKA_OFFSET_OUT_OF_RANGE && !p->shared) {
		align_end_target(p->align);
	} else {
		if (e == ERR_OK)
			e = align_feed_target(p->align, records, &why);
		if (e != ERR_OK) {
			align_fault(p, e, &why);
			return;
		}
		if (align_need(p->align) == ALIGN_TARGET && align_target_next(p->align) == before &&
		    before >= end)
			align_end_target(p->align);
	}
	partition_align_step(p);
}

/* Behind the last record that the table knows; 0: it knows none. */
static int64_t own_end(const struct partition *p)
{
	size_t n = runs_count(p->runs);
	if (n == 0)
		return 0;
	struct run last = runs_at(p->runs, n - 1);
	return last.dst + last.n;
}

/* Align from where the table ends. What is compared record by record comes in parts, to bound the
 * memory. */
static void align_part(struct partition *p)
{
	struct align_options o = {
		.src = p->align_from >= 0 ? p->align_from : p->src_acked,
		.dst = p->dst_acked,
		.dst_end = p->align_goal,
		.match = p->env->compacted || p->align_lost,
		.verify = p->align_verify,
		.producer_id = p->producer_id,
		.producer_epoch = p->producer_epoch,
		.decode_max = p->env->decode_max,
		.records_max = ALIGN_RECORDS,
		.shared = p->shared,
		.anchor = p->shared ? own_end(p) - 1 : -1,
		.target_start = p->align_target_start,
		.sequence = p->align_sequence,
		.last_known = p->align_last_known,
		.last_sequence = p->align_last_sequence,
		.last_epoch = p->align_last_epoch,
		.is_copy = p->env->two_way ? partition_is_copy : NULL,
		.arg = p,
	};
	if (o.verify && !o.shared && o.dst_end - o.dst > ALIGN_RECORDS)
		o.dst_end = o.dst + ALIGN_RECORDS;
	p->next_epoch = p->align_from >= 0 ? -1 : p->last_epoch;
	partition_align_with(p, &o);
}

void partition_align_with(struct partition *p, const struct align_options *o)
{
	enum err e = align_new(o, &p->align);
	if (e != ERR_OK) {
		partition_fault(p, STATE_TARGET_UNAVAILABLE, e, "finding the position: %s",
				err_text(e));
		return;
	}
	p->align_src = o->src;
	p->align_dst = o->dst;
	p->phase = PHASE_ALIGN;
	partition_align_step(p);
}

void partition_align_shared(struct partition *p, const struct probe_result *r, int32_t sequence)
{
	p->align_verify = !p->env->compacted;
	p->align_check = p->align_recreated = false;
	p->align_target_start = r->target_start;
	p->align_goal = r->target_end;
	p->align_sequence = sequence;
	p->align_last_known = r->own_known;
	p->align_last_sequence = r->own_sequence;
	p->align_last_epoch = r->own_epoch;
	align_part(p);
}

void partition_align_begin(struct partition *p, const struct probe_result *r)
{
	p->align_tail = partition_sequence_from_tail(p, r);
	if (!p->align_tail && r->tail.n > 0) {
		p->foreign_first = p->dst_acked;
		p->foreign_end = r->target_end;
		partition_fault(p, STATE_FOREIGN_WRITE, ERR_KAFKA_INVALID_PRODUCER_ID_MAPPING,
				"%s-%d has %" PRId64 " records after offset %" PRId64
				" and the last was not written by this link: another writer is in "
				"the partition; stop it "
				"and delete the target topic to copy it afresh",
				p->env->target_topic, p->index, r->target_end - p->dst_acked,
				p->dst_acked);
		return;
	}
	/* Up to the end of its epoch the source's log is what it was; what comes behind it,
	 * after an election, may stand where there was something else when we copied. */
	bool same = p->last_epoch >= 0 && r->epoch_end >= r->source_end;
	p->align_verify =
		!p->env->compacted && !p->align_lost && (p->settle || p->passed_loss || !same);
	p->align_check = false;
	p->align_parting = p->align_rematch = p->align_recreated = false;
	p->align_goal = r->target_end;
	align_part(p);
}

bool partition_align_check(struct partition *p, const struct probe_result *r)
{
	struct batch_head h;
	struct runs_answer at, back;
	struct errmsg why;
	if (p->tail_checked || p->env->compacted || r->tail.n < BATCH_HEAD ||
	    r->tail.n > CHECK_BYTES || !partition_sequence_from_tail(p, r))
		return false;
	/* What was recorded as a gap at the end is in no run, and nothing can be said of it. */
	size_t n = runs_count(p->runs);
	struct run last = n > 0 ? runs_at(p->runs, n - 1) : (struct run){.dst = -1};
	if (last.dst + last.n != p->dst_acked)
		return false;
	batch_head_get(r->tail.p, &h);
	if (!runs_backward(p->runs, h.base_offset, &at) || !at.exact || at.pending > 0 ||
	    at.offset < r->source_start)
		return false;
	/* Nor of a batch that begins with what has no run. */
	if (!runs_forward(p->runs, at.offset, &back) || back.offset != h.base_offset)
		return false;
	const struct align_options o = {.src = at.offset,
					.dst = h.base_offset,
					.dst_end = p->dst_acked,
					.decode_max = p->env->decode_max};
	if (align_new(&o, &p->align) != ERR_OK)
		return false;
	if (align_feed_target(p->align, r->tail, &why) != ERR_OK) {
		align_free(p->align);
		p->align = NULL;
		return false;
	}
	p->align_src = o.src;
	p->align_dst = o.dst;
	p->align_check = true;
	p->align_parting = p->align_rematch = p->align_recreated = false;
	p->align_verify = p->last_epoch < 0 || r->epoch_end < r->source_end;
	p->next_epoch = -1;
	p->phase = PHASE_ALIGN;
	partition_align_step(p);
	return true;
}
