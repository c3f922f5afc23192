/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Going on after a loss, where the policy says so. Always in this order:
 *
 *   a probe shows the loss -> the state that names it, PHASE_RECORD -> the gap record is durable ->
 *   another probe shows the same loss, or the record no longer says all of it (then again) -> the
 *   run table and the position move behind the loss -> STORE, COPY
 *
 * Nothing of the table moves before the record is durable, and nothing but the record is durable
 * before the table is stored: a crash anywhere between finds the loss again and records it under
 * the same key.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "lib/base/mem.h"
#include "mirror/partition/align.h"
#include "mirror/partition/partition_priv.h"

enum {
	PARTING_RECORDS = 1 << 20, /* most records that are compared to find where logs part */
	PARTING_WINDOW = 4096,     /* offsets before the supposed place that are compared too */
};

bool partition_acts(const struct partition *p, enum mirror_state s)
{
	const bool *acts = p->env->policy.acts;
	switch (s) {
	case STATE_DATA_LOSS:
		return acts[ON_DATA_LOSS];
	case STATE_TOPIC_RECREATED:
		return acts[ON_TOPIC_RECREATED];
	case STATE_SOURCE_TRUNCATED:
		/* Among records of others it cannot be told which of ours the source lost. */
		return acts[ON_SOURCE_TRUNCATED] && !p->shared;
	case STATE_REFUSED:
		return acts[ON_REFUSED];
	case STATE_FOREIGN_WRITE:
		return acts[ON_FOREIGN_WRITE] && p->foreign_first >= 0;
	case STATE_ACTIVE:
	case STATE_CATCHING_UP:
	case STATE_STARTING:
	case STATE_PAUSED:
	case STATE_TARGET_TRUNCATED:
	case STATE_SOURCE_UNAVAILABLE:
	case STATE_TARGET_UNAVAILABLE:
	case STATE_COUNT:
		break;
	}
	return false;
}

void partition_policy_forget(struct partition *p)
{
	mem_free(p->gap);
	p->gap = NULL;
	p->gap_durable = false;
}

/* ---- recording ---- */

static void ask_record(struct partition *p)
{
	struct gap g = *p->gap;
	g.reason = p->reason.text;
	p->env->host->record(p->env->host_ctx, p, &g);
}

void partition_policy_ask_again(struct partition *p)
{
	const struct errmsg why = {"out of memory"};
	if (partition_suspect_parking(p))
		partition_on_parked(p, ERR_NOMEM, &why);
	else if (p->gap != NULL && !p->gap_durable)
		ask_record(p);
}

/* Name the state and write the record; partition_on_recorded goes on. */
static void begin_record(struct partition *p, enum mirror_state state, const struct gap *g,
			 const char *why)
{
	struct gap *copy = mem_zalloc(1, sizeof *copy);
	if (copy == NULL && state == STATE_FOREIGN_WRITE)
		return; /* it stays stopped */
	if (copy == NULL) {
		partition_fault(p, state, ERR_NOMEM, "%s", why);
		return;
	}
	partition_policy_forget(p);
	*copy = *g;
	copy->topic_id = p->stored_id;
	p->gap = copy;
	p->counters.faults++;
	partition_set_state(p, state, why);
	p->phase = PHASE_RECORD;
	ask_record(p);
}

void partition_on_recorded(struct partition *p, enum err e, const struct errmsg *why)
{
	struct errmsg text;
	if (p->phase != PHASE_RECORD || p->gap == NULL)
		return;
	if (e != ERR_OK) {
		/* The first line of the reason stays; what is new is why it takes so long. */
		errmsg_set(&text, e,
			   "the gap record cannot be written: %.150s; copying waits: %.300s",
			   why->text, p->reason.text);
		if (strncmp(p->reason.text, "the gap record", 14) != 0)
			partition_set_state(p, p->state, text.text);
		return;
	}
	p->gap_durable = true;
	p->counters.gaps[p->gap->cause]++;
	if (p->gap->cause == ON_FOREIGN_WRITE) {
		partition_policy_forget(p);
		p->phase = PHASE_STOPPED;
		partition_share(p);
		return;
	}
	if (p->gap->cause == ON_REFUSED) {
		partition_suspect_recorded(p);
		return;
	}
	if (p->align != NULL) {
		partition_policy_parted(p);
		return;
	}
	partition_look_again(p, "the gap is recorded");
}

void partition_on_policy(struct partition *p)
{
	if (!partition_acts(p, p->state))
		return;
	if (p->phase == PHASE_STOPPED && p->state == STATE_FOREIGN_WRITE) {
		/* Ours may have landed behind theirs, and a probe would find nothing wrong. */
		partition_policy_foreign(p);
	} else if (p->phase == PHASE_STOPPED && mirror_state_needs_person(p->state)) {
		partition_look_again(p, "the policy changed");
	} else if (p->phase == PHASE_WAIT) {
		p->env->host->retry_in(p->env->host_ctx, p, 0);
	}
}

/* Is just this durable? */
static bool is_recorded(const struct partition *p, const struct gap *g)
{
	const struct gap *was = p->gap;
	return was != NULL && p->gap_durable && was->cause == g->cause &&
	       was->source_first == g->source_first && was->source_end == g->source_end &&
	       was->target_next == g->target_next && uuid_eq(&was->new_topic_id, &g->new_topic_id);
}

/* Requests of a dead process number records that are passed over now: one that comes late may land
 * between ours, and what is in flight behind it may fit again. So nothing is, for as long. */
static void go_alone(struct partition *p)
{
	p->go_alone = true;
	p->alone_until_ms = clock_mono_ms(p->env->clock) + PARTITION_LATE_MS;
}

/* What follows is about another position: stored before a record is sent there. */
static void moved(struct partition *p)
{
	p->stored_once = false;
	p->last_epoch = -1;
	p->tail_checked = true;
	go_alone(p);
	partition_policy_forget(p);
}

/*
 * Behind a loss the sequences are others than those that the same records had before. A request of
 * a dead process or connection that lands then can fit between ours, and its records would stand
 * twice; and a position that a dead process stored may replace ours. So nothing is passed before
 * whatever was sent has arrived, or never will. True: not yet; the state says so, and the loss is
 * looked at again then.
 */
bool partition_policy_late(struct partition *p, enum mirror_state state, const char *why)
{
	struct errmsg text;
	int64_t left = p->unsure_ms + p->env->request_lifetime_ms - clock_mono_ms(p->env->clock);
	if (left <= 0)
		return false;
	errmsg_set(&text, ERR_OK,
		   "%.400s; before that it waits %" PRId64
		   " s for requests from before that may be on their way",
		   why, left / 1000 + 1);
	p->counters.faults++;
	partition_set_state(p, state, text.text);
	p->phase = PHASE_WAIT;
	p->env->host->retry_in(p->env->host_ctx, p, left);
	return true;
}

/* ---- DATA_LOSS ---- */

/*
 * The source begins at B > S. If the target ends at T, what is missing is S..B-1. If it is ahead of
 * the table (a crash), some of that was copied, and its source is gone: the alignment matches what
 * the source has left with what the target holds, as after a compaction.
 *
 * The table stays at S, T until the first record from B on has landed (align_lost): batches from
 * before the loss may stand above the target's high watermark, or come late, and a process that
 * starts after a crash can explain them only if it finds the loss too.
 */
void partition_policy_data_loss(struct partition *p, const struct probe_result *r)
{
	int64_t s = p->src_acked, from = r->source_start, ahead = r->target_end - p->dst_acked;
	struct gap g;
	struct errmsg why;

	gap_init(&g, ON_DATA_LOSS, p->index);
	g.source_first = s;
	g.source_end = g.source_next = from;
	g.target_next = r->target_end;
	g.count = from - s;
	g.unmapped = ahead > 0 && !p->shared ? ahead : 0;
	if (!is_recorded(p, &g)) {
		errmsg_set(
			&why, ERR_OK,
			"source offsets %" PRId64 " to %" PRId64 " (%" PRId64
			" offsets) were deleted at the source before they were copied (retention "
			"or DeleteRecords); copying goes on at %" PRId64
			" when this is recorded, as the policy says",
			s, from - 1, from - s, from);
		if (!partition_policy_late(p, STATE_DATA_LOSS, why.text))
			begin_record(p, STATE_DATA_LOSS, &g, why.text);
		return;
	}
	partition_count_missing(p, s, from);
	if (p->shared) {
		/* What of ours stands behind the table is compared with what the source has. */
		moved(p);
		p->src_acked = from;
		runs_advance_source(p->runs, from);
		partition_shared_probed(p, r);
		return;
	}
	p->align_lost = p->passed_loss = true;
	go_alone(p);
	if (ahead != 0) {
		/* The table moves when it is known what the target holds; ahead < 0 is found
		 * again by the probe that follows. */
		p->align_from = from;
		partition_policy_forget(p);
		if (ahead > 0)
			partition_align_begin(p, r);
		else
			partition_target_truncated(p, r);
		return;
	}
	p->last_epoch = -1;
	p->tail_checked = true;
	partition_policy_forget(p);
	partition_continue_at(p, from, p->dst_acked, r);
}

/* ---- TOPIC_RECREATED ---- */

/*
 * The target is ahead of the table. If a position of a dead process was stored after that of the
 * next one, which copied the new topic already, this is the new topic's: look. False: it is not, or
 * cannot be known.
 */
static bool compare_with_new(struct partition *p, const struct probe_result *r, const char *why)
{
	struct align_options o = {
		.src = r->source_start,
		.dst = p->dst_acked,
		.dst_end = r->target_end,
		.verify = true,
		.any_producer = true,
		.decode_max = p->env->decode_max,
		.records_max = PARTING_RECORDS,
	};
	if (p->shared || p->env->compacted || r->target_end <= p->dst_acked ||
	    p->compared_end == r->target_end)
		return false;
	if (o.dst_end - o.dst > PARTING_RECORDS)
		o.dst_end = o.dst + PARTING_RECORDS;
	partition_policy_forget(p);
	partition_set_state(p, STATE_TOPIC_RECREATED, why);
	p->align_goal = r->target_end;
	p->align_recreated = p->align_verify = true;
	p->align_parting = p->align_rematch = p->align_check = false;
	p->next_epoch = -1;
	partition_align_with(p, &o);
	return true;
}

void partition_policy_compared(struct partition *p, bool equal)
{
	struct runs *runs = equal ? runs_new(p->runs_budget) : NULL;
	enum err e = equal && runs == NULL ? ERR_NOMEM : ERR_OK;
	if (runs != NULL) {
		runs_advance_source(runs, p->align_src);
		runs_advance_target(runs, p->align_dst);
		e = align_apply(p->align, runs);
	}
	if (e != ERR_OK) {
		runs_free(runs);
		partition_fault(p, STATE_TARGET_UNAVAILABLE, e, "run table: %s", err_text(e));
		return;
	}
	const struct align_result r = *align_result(p->align);
	align_free(p->align);
	p->align = NULL;
	p->align_recreated = false;
	if (!equal) {
		p->compared_end = p->align_goal;
		partition_probe(p);
		return;
	}
	/* It is the new topic's table that was lost. */
	runs_free(p->runs);
	p->runs = runs;
	p->stored_id = p->env->source_id;
	p->src_acked = r.src;
	p->dst_acked = r.dst_end;
	p->stored_once = false;
	p->last_epoch = -1;
	partition_look_again(p, "the target holds a copy of the new topic already");
}

/* The new topic is copied from its start, behind what the target holds of the old one. A new
 * producer, since a batch of the old topic that is still on its way must not pass for one of the
 * new. */
void partition_policy_recreated(struct partition *p, const struct probe_result *r)
{
	struct gap g;
	struct errmsg why;
	char was[23], is[23];

	gap_init(&g, ON_TOPIC_RECREATED, p->index);
	g.new_topic_id = p->env->source_id;
	g.source_first = p->src_acked;
	if (p->source_hw >= p->src_acked) {
		g.source_end = p->source_hw;
		g.count = p->source_hw - p->src_acked;
	}
	g.source_next = r->source_start;
	g.target_next = r->target_end;
	g.unmapped = r->target_end > p->dst_acked ? r->target_end - p->dst_acked : 0;
	if (!is_recorded(p, &g)) {
		uuid_format(&p->stored_id, was);
		uuid_format(&p->env->source_id, is);
		errmsg_set(
			&why, ERR_OK,
			"source topic %s was deleted and made again (id %s, was %s): the new one "
			"is copied from its start, behind offset %" PRId64
			" of %s-%d, when this is recorded, as the policy says",
			p->env->source_topic, is, was, r->target_end, p->env->target_topic,
			p->index);
		if (!partition_policy_late(p, STATE_TOPIC_RECREATED, why.text) &&
		    !compare_with_new(p, r, why.text))
			begin_record(p, STATE_TOPIC_RECREATED, &g, why.text);
		return;
	}
	struct runs *runs = runs_new(p->runs_budget);
	if (runs == NULL) {
		partition_fault(p, STATE_TARGET_UNAVAILABLE, ERR_NOMEM, "run table: out of memory");
		return;
	}
	runs_free(p->runs);
	p->runs = runs;
	p->stored_id = p->env->source_id;
	p->source_hw = p->source_lso = r->source_end;
	p->align_from = -1;
	p->missing_end = 0;
	p->compared_end = -1;
	p->align_lost = p->settle = false;
	p->parting_end = -1;
	partition_suspect_free(p);
	moved(p);
	partition_take_producer(p, r->source_start, r->target_end);
}

/* ---- FOREIGN_WRITE ---- */

/* From here on the partition is shared with whoever writes there (partition_shared.c). Another
 * process begins with the thought that it is alone, and records what it finds then. */
void partition_policy_foreign(struct partition *p)
{
	struct gap g;
	struct errmsg why;
	gap_init(&g, ON_FOREIGN_WRITE, p->index);
	g.target_first = p->foreign_first;
	g.target_end = p->foreign_end;
	g.source_next = p->src_acked;
	g.count = p->foreign_end - p->foreign_first;
	errmsg_set(
		&why, ERR_OK,
		"%" PRId64 " records that this link did not write stand in %s-%d at offset %" PRId64
		"; copying goes on among those of others when this is recorded, as the policy says",
		g.count, p->env->target_topic, p->index, g.target_first);
	begin_record(p, STATE_FOREIGN_WRITE, &g, why.text);
}

/* ---- SOURCE_TRUNCATED ---- */

/*
 * Where do the logs part? At `end` or before it: leader epochs give an upper bound (KIP-101: the
 * end of the last epoch that both know may lie behind where ours ended). So the records before it
 * are compared too, as far as one run reaches back.
 */
static bool parting_begin(const struct partition *p, int64_t end, int64_t *src, int64_t *dst)
{
	size_t n = runs_count(p->runs);
	size_t i = runs_index(p->runs, end);
	if (i == n || runs_at(p->runs, i).src >= end) {
		if (i == 0)
			return false;
		i--;
	}
	struct run run = runs_at(p->runs, i);
	int64_t last = run.src + run.n < end ? run.src + run.n : end;
	*src = last - PARTING_WINDOW > run.src ? last - PARTING_WINDOW : run.src;
	if (*src < p->source_start)
		*src = p->source_start;
	if (*src >= last)
		return false;
	*dst = run.dst + (*src - run.src);
	return true;
}

void partition_policy_truncated(struct partition *p, int64_t end, int64_t target_end,
				const char *why)
{
	struct align_options o = {
		.dst_end = target_end,
		.verify = true,
		.any_producer = true,
		.decode_max = p->env->decode_max,
		.records_max = PARTING_RECORDS,
	};
	if (!parting_begin(p, end, &o.src, &o.dst) || o.dst >= target_end || p->env->compacted) {
		partition_fault(
			p, STATE_SOURCE_TRUNCATED, ERR_KAFKA_OFFSET_OUT_OF_RANGE,
			"%s; the policy cannot go on, since nothing before that place can be "
			"compared: delete target topic %s to copy it afresh",
			why, p->env->target_topic);
		return;
	}
	if (o.dst_end - o.dst > PARTING_RECORDS)
		o.dst_end = o.dst + PARTING_RECORDS;
	partition_policy_forget(p);
	p->parting_end = end;
	p->counters.faults++;
	partition_set_state(p, STATE_SOURCE_TRUNCATED, why);
	p->align_goal = target_end;
	p->align_parting = true;
	p->align_rematch = p->align_recreated = false;
	p->align_verify = true;
	p->align_check = false;
	p->next_epoch = -1;
	partition_align_with(p, &o);
}

/* Cut the table where the alignment began, add what it found equal, and leave out the rest. */
static void cut_at_parting(struct partition *p)
{
	const struct align_result *r = align_result(p->align);
	int64_t src = r->src;
	/* As far as it is known: without it the next truncation shows by the log's length only. */
	int32_t epoch = r->inside ? -1 : p->next_epoch;
	runs_truncate_source(p->runs, p->align_src);
	runs_advance_source(p->runs, p->align_src);
	runs_advance_target(p->runs, p->align_dst);
	enum err e = align_apply(p->align, p->runs);
	align_free(p->align);
	p->align = NULL;
	if (e != ERR_OK) {
		/* The table is cut, which is true; the next probe finds the rest again. */
		src = p->align_src;
		p->dst_acked = p->align_dst;
	} else {
		runs_advance_target(p->runs, p->align_goal);
		p->dst_acked = p->align_goal;
	}
	p->src_acked = src;
	p->settle = false;
	p->parting_end = -1;
	moved(p);
	p->last_epoch = e == ERR_OK ? epoch : -1;
	partition_look_again(p, "the gap is recorded");
}

/*
 * From the table's end on the very first record at the target is none of the source's. Late batches
 * may stand there, from before a loss, and copies behind them: look which of the source's records
 * are in it at all. False: no.
 */
static bool rematch(struct partition *p)
{
	struct align_options o = {
		.src = p->align_src,
		.dst = p->align_dst,
		.dst_end = p->align_goal,
		.match = true,
		.decode_max = p->env->decode_max,
		.records_max = PARTING_RECORDS,
	};
	if (p->align_parting || p->align_rematch ||
	    align_result(p->align)->dst_end != p->align_dst || o.dst_end - o.dst > PARTING_RECORDS)
		return false;
	align_free(p->align);
	p->align = NULL;
	p->align_rematch = true;
	partition_set_state(p, STATE_SOURCE_TRUNCATED,
			    "what the target holds behind the run table is not what the source "
			    "has; looking for what of it is");
	p->next_epoch = -1;
	partition_align_with(p, &o);
	return true;
}

static bool parting_unknown(const struct partition *p, const struct align_result *r)
{
	if (!p->align_parting)
		return false;
	return align_need(p->align) == ALIGN_DONE ? r->verified == 0
						  : !r->parted || r->dst_end == p->align_dst;
}

void partition_policy_parted(struct partition *p)
{
	const struct align_result *r = align_result(p->align);
	struct gap g;
	struct errmsg why;

	if (p->gap_durable) {
		cut_at_parting(p);
		return;
	}
	if (parting_unknown(p, r)) {
		partition_fault(
			p, STATE_SOURCE_TRUNCATED, ERR_KAFKA_OFFSET_OUT_OF_RANGE,
			"the source lost records, and from target offset %" PRId64
			" on nothing of %s-%d is what the source has from %" PRId64
			" on: where they part cannot be told; delete target topic %s to copy "
			"it afresh",
			p->align_dst, p->env->target_topic, p->index, p->align_src,
			p->env->target_topic);
		return;
	}
	if (rematch(p))
		return;
	if (p->align_parting && align_need(p->align) == ALIGN_DONE && r->dst_end == p->align_goal) {
		/* All that the target holds is at the source (written again, say): no gap. */
		cut_at_parting(p);
		return;
	}
	gap_init(&g, ON_SOURCE_TRUNCATED, p->index);
	g.source_first = p->align_rematch ? p->src_acked : r->src;
	g.source_end = p->src_acked;
	g.target_first = p->align_rematch ? p->align_dst : r->dst_end;
	g.target_end = g.target_next = p->align_goal;
	g.count = p->align_rematch ? r->compacted_away : p->align_goal - r->dst_end;
	g.source_next = r->src;
	errmsg_set(&why, ERR_OK,
		   "the source lost records that were copied: from offset %" PRId64
		   " on %s-%d holds %" PRId64
		   " records that the source does not have; copying goes on at source offset "
		   "%" PRId64 " when this is recorded, as the policy says%s%s",
		   g.target_first, p->env->target_topic, p->index, g.count, r->src,
		   r->detail.text[0] != '\0' ? ": " : "", r->detail.text);
	begin_record(p, STATE_SOURCE_TRUNCATED, &g, why.text);
}
