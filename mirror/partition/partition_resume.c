/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where to go on: the decision after a probe. (The alignment, when the target is ahead of the run
 * table: partition_align.c.)
 *
 * S, T are the run table's ends (source, target); L is the target's end.
 *   nothing stored, L == 0   a new partition: begin at the source's start (or end)
 *   nothing stored, L > 0    others wrote there: FOREIGN_WRITE, or a takeover if that is asked for
 *   L == T                   go on at S; after a start, once the target's last batch was compared
 *   L >  T                   we wrote after the table was stored: count (or match) source records
 *                            from S until L is reached
 *   L == 0 < T               the target was emptied or made again: copy all that the source has
 *   L <  T                   the target lost its tail: TARGET_TRUNCATED, cut the table, go on at
 *                            what it maps back to
 *
 * Unless the target is empty, the source must first still be the log that the table speaks of
 * (topic id, leader epoch, range).
 */
#include <inttypes.h>
#include <stdio.h>

#include "mirror/partition/partition_priv.h"

enum {
	OUT_OF_RANGE_MAX = 3,
	/* A topic that was just made has leaders in the metadata before these know of it. A broker
	 * that makes thousands of logs takes its time. */
	COMING_TRIES = 20, /* half a minute */
	COMING_MIN_MS = 100,
	COMING_MAX_MS = 2000,
};

/* True if the source is not what the run table knows; the fault is set. */
static bool source_changed(struct partition *p, const struct probe_result *r)
{
	int64_t s = p->src_acked;

	if (partition_other_source(p) && partition_acts(p, STATE_TOPIC_RECREATED)) {
		partition_policy_recreated(p, r);
		return true;
	}
	partition_on_source_topic(p, true, &p->env->source_id);
	if (p->phase != PHASE_PROBE)
		return true;
	int64_t end = r->source_end;
	if (p->last_epoch >= 0 && r->epoch_end >= 0 && r->epoch_end < end)
		end = r->epoch_end;
	/* Once seen it stays true, although the source may have grown past it since. */
	if (p->parting_end >= 0 && p->parting_end < end)
		end = p->parting_end;
	if (end < s) {
		struct errmsg why;
		errmsg_set(&why, ERR_OK,
			   "records up to source offset %" PRId64
			   " were copied, but the source's log now ends (or parts from it) at "
			   "%" PRId64 ": the source lost records, or topic %s was made again; "
			   "the target holds records that the source does not",
			   s, end, p->env->source_topic);
		if (partition_acts(p, STATE_SOURCE_TRUNCATED))
			partition_policy_truncated(p, end, r->target_end, why.text);
		else
			partition_fault(p, STATE_SOURCE_TRUNCATED, ERR_KAFKA_OFFSET_OUT_OF_RANGE,
					"%s", why.text);
		return true;
	}
	if (p->last_epoch >= 0 && r->epoch_end < 0 && p->attempt > OUT_OF_RANGE_MAX &&
	    p->last_fault == ERR_KAFKA_OFFSET_OUT_OF_RANGE) {
		struct errmsg why;
		errmsg_set(&why, ERR_OK,
			   "the source does not know leader epoch %d, under which records up to "
			   "offset %" PRId64
			   " were copied: it was restored from elsewhere; delete target topic %s "
			   "to copy it afresh",
			   p->last_epoch, s, p->env->target_topic);
		if (partition_acts(p, STATE_SOURCE_TRUNCATED))
			partition_policy_truncated(p, s, r->target_end, why.text);
		else
			partition_fault(p, STATE_SOURCE_TRUNCATED, ERR_KAFKA_OFFSET_OUT_OF_RANGE,
					"%s", why.text);
		return true;
	}
	if (s < r->source_start && partition_acts(p, STATE_DATA_LOSS)) {
		partition_policy_data_loss(p, r);
		return true;
	}
	if (s < r->source_start) {
		partition_count_missing(p, s, r->source_start);
		partition_fault(
			p, STATE_DATA_LOSS, ERR_KAFKA_OFFSET_OUT_OF_RANGE,
			"source offsets %" PRId64 " to %" PRId64 " (%" PRId64
			" offsets) were deleted at the "
			"source before they were copied (retention or DeleteRecords); "
			"nothing is copied until you decide: delete target topic %s to copy "
			"afresh what the source still has",
			s, r->source_start - 1, r->source_start - s, p->env->target_topic);
		return true;
	}
	return false;
}

/* The end of the target's last batch; -1: there is none. */
static int64_t tail_end(const struct probe_result *r)
{
	if (r->tail.n < BATCH_HEAD)
		return -1;
	struct batch_head h;
	batch_head_get(r->tail.p, &h);
	return batch_last_offset(&h) + 1;
}

bool partition_sequence_from_tail(struct partition *p, const struct probe_result *r)
{
	if (tail_end(r) != r->target_end)
		return false;
	struct batch_head h;
	batch_head_get(r->tail.p, &h);
	if (h.producer_id != p->producer_id || h.producer_epoch < p->producer_epoch ||
	    h.base_sequence < 0)
		return false;
	/* A later epoch of the link's own producer: a dead process stored its position after the
	 * one that went on had stored its own. */
	p->producer_epoch = h.producer_epoch;
	p->sequence = batch_sequence_add(h.base_sequence, h.last_offset_delta + 1);
	p->writer_known = true;
	return true;
}

/*
 * The sequence for the next batch. False: a new producer is needed.
 *
 * When the target's last batch is not of our producer, the producer may be one that was taken and
 * not yet used: its first sequence is 0. If it was used, the target will refuse that, and only
 * when it has refused for so long that nothing of ours can still be on its way, a new producer is
 * safe.
 */
static bool find_sequence(struct partition *p, const struct probe_result *r)
{
	int64_t refused =
		p->sequence_fault_ms == 0 ? 0 : clock_mono_ms(p->env->clock) - p->sequence_fault_ms;

	p->writer_known = false;
	if (p->producer_id < 0 || refused > PARTITION_LATE_MS)
		return false;
	if (partition_sequence_from_tail(p, r))
		return true;
	/* An emptied log: what was written has outlived its retention, nothing is on its way. */
	if (r->tail.n == 0 && r->target_end > 0)
		return false;
	p->sequence = 0;
	return true;
}

void partition_take_producer(struct partition *p, int64_t src, int64_t dst)
{
	p->sequence_fault_ms = 0;
	if (p->producer_id >= 0 && p->producer_epoch < INT16_MAX) {
		/* As the Java client does (KIP-360): a broker takes a higher epoch from sequence 0
		 * on, and nothing of lower ones after that. */
		p->producer_epoch++;
		p->sequence = 0;
		p->writer_known = false;
		p->stored_once = false;
		partition_begin_copy(p, src, dst);
		return;
	}
	p->src_next = p->src_acked = src;
	p->dst_next = p->dst_acked = dst;
	p->phase = PHASE_STORE;
	p->producer_asked = true;
	p->env->host->new_producer(p->env->host_ctx, p);
}

void partition_continue_at(struct partition *p, int64_t src, int64_t dst,
			   const struct probe_result *r)
{
	if (find_sequence(p, r)) {
		partition_begin_copy(p, src, dst);
		return;
	}
	partition_take_producer(p, src, dst);
}

static void begin_new(struct partition *p, const struct probe_result *r)
{
	if (p->shared) {
		p->stored_id = p->env->source_id;
		partition_shared_begin(p, p->env->start_latest ? r->source_end : r->source_start,
				       r->target_end);
		return;
	}
	if (r->target_end > 0 && p->env->take_over) {
		partition_takeover_begin(p, r);
		return;
	}
	if (r->target_end > 0) {
		partition_fault(p, STATE_FOREIGN_WRITE, ERR_KAFKA_INVALID_PRODUCER_ID_MAPPING,
				"%s-%d already ends at offset %" PRId64
				", and no run table of this link says where its "
				"records came from: another writer (or MirrorMaker 2) filled it; "
				"take over what MirrorMaker 2 copied (--take-over), delete the "
				"target topic to copy it afresh, or mirror to another name",
				p->env->target_topic, p->index, r->target_end);
		return;
	}
	p->stored_id = p->env->source_id;
	p->attempt = 0;
	partition_continue_at(p, p->env->start_latest ? r->source_end : r->source_start, 0, r);
}

/* The target is empty: whatever the run table says is void. Copy all that the source still has, and
 * say so. */
static void begin_again(struct partition *p, const struct probe_result *r)
{
	char why[200];
	snprintf(why, sizeof why,
		 "the target partition is empty, it had %" PRId64
		 " records: it was emptied or made again; copying from source offset %" PRId64
		 " on",
		 p->dst_acked, r->source_start);
	bool same_source = uuid_eq(&p->stored_id, &p->env->source_id);
	if (!same_source && mirror_state_allowed(p->state, STATE_TARGET_TRUNCATED) &&
	    partition_policy_late(p, STATE_TARGET_TRUNCATED, why))
		return;
	struct runs *runs = runs_new(p->runs_budget);
	if (runs == NULL) {
		partition_fault(p, STATE_TARGET_UNAVAILABLE, ERR_NOMEM, "run table: out of memory");
		return;
	}
	p->counters.faults++;
	if (mirror_state_allowed(p->state, STATE_TARGET_TRUNCATED))
		partition_set_state(p, STATE_TARGET_TRUNCATED, why);
	runs_free(p->runs);
	p->runs = runs;
	partition_suspect_free(p);
	p->parting_end = -1;
	if (!same_source)
		p->missing_end = 0;
	p->stored_once = false;
	p->stored_id = p->env->source_id;
	p->last_epoch = -1;
	p->target_made_again = false;
	/* A batch of the old source topic that is still on its way may have the very sequence of
	 * the new one's first batch, which would then be taken for its repetition. */
	if (same_source)
		partition_continue_at(p, r->source_start, 0, r);
	else
		partition_take_producer(p, r->source_start, 0);
}

/*
 * The target lost records that it had acknowledged: forget them, copy them again. Or its topic was
 * made again and others wrote to it; so the last batch that is there is held against the source:
 * the table is cut back to where it begins, and the alignment decides.
 */
void partition_target_truncated(struct partition *p, const struct probe_result *r)
{
	int64_t had = p->dst_acked;
	struct batch_head h = {.base_offset = -1};
	struct runs_answer at;

	if (r->tail.n >= BATCH_HEAD)
		batch_head_get(r->tail.p, &h);
	bool known = partition_sequence_from_tail(p, r) &&
		     runs_backward(p->runs, h.base_offset, &at) && at.exact && at.pending == 0;
	if (!known) {
		partition_fault(
			p, STATE_FOREIGN_WRITE, ERR_KAFKA_OFFSET_OUT_OF_RANGE,
			"%s-%d ends at offset %" PRId64 ", this link had written up to %" PRId64
			", and the last batch there is not one that it knows: the target topic "
			"was made again and others wrote to it; delete it to copy it afresh",
			p->env->target_topic, p->index, r->target_end, had);
		return;
	}
	char why[200];
	snprintf(why, sizeof why,
		 "the target ends at offset %" PRId64 ", it had acknowledged up to %" PRId64
		 ": copying again from about source offset %" PRId64,
		 r->target_end, had, at.offset);
	p->counters.faults++;
	runs_truncate_target(p->runs, h.base_offset);
	runs_advance_source(p->runs, at.offset);
	runs_advance_target(p->runs, h.base_offset);
	p->src_acked = at.offset;
	p->dst_acked = h.base_offset;
	p->stored_once = false; /* the cut table must be durable before it grows again */
	p->last_epoch = -1;
	partition_set_state(p, STATE_TARGET_TRUNCATED, why);
	if (!source_changed(p, r))
		partition_align_begin(p, r);
}

static bool is_coming(enum err e)
{
	return e == ERR_OK || e == ERR_NO_LEADER || e == ERR_KAFKA_NOT_LEADER_OR_FOLLOWER ||
	       e == ERR_KAFKA_LEADER_NOT_AVAILABLE || e == ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
}

/* A new partition that its leader does not know of yet is no fault: look again soon. */
static bool wait_for_leader(struct partition *p, const struct probe_result *r)
{
	if (p->state != STATE_STARTING || p->src_acked >= 0 || p->attempt >= COMING_TRIES ||
	    !is_coming(r->source_err) || !is_coming(r->target_err))
		return false;
	partition_set_state(p, STATE_STARTING, r->why.text);
	p->phase = PHASE_WAIT;
	p->env->host->retry_in(
		p->env->host_ctx, p,
		clock_backoff_ms(p->env->clock, p->attempt++, COMING_MIN_MS, COMING_MAX_MS));
	return true;
}

void partition_on_probe(struct partition *p, const struct probe_result *asked)
{
	if (p->phase != PHASE_PROBE)
		return;
	/* The tail was read after the end: what landed in between (a late request, or a batch that
	 * had not been replicated) counts, else end and sequence would not belong together. */
	p->align_from = -1;
	struct probe_result seen = *asked;
	const struct probe_result *r = &seen;
	if (tail_end(r) > seen.target_end)
		seen.target_end = tail_end(r);
	if (r->source_err != ERR_OK || r->target_err != ERR_OK) {
		bool source = r->source_err != ERR_OK;
		/* While the target is away nothing is fetched: from here the lag is known. */
		if (!source && r->source_end > p->source_hw && !partition_other_source(p))
			p->source_hw = r->source_end;
		p->env->host->refresh(p->env->host_ctx, p, source);
		if (wait_for_leader(p, r))
			return;
		partition_fault(p, source ? STATE_SOURCE_UNAVAILABLE : STATE_TARGET_UNAVAILABLE,
				source ? r->source_err : r->target_err, "%s",
				source && partition_trouble(p)[0] != '\0' ? partition_trouble(p)
									  : r->why.text);
		return;
	}
	if (!partition_other_source(p))
		p->source_hw = p->source_lso = r->source_end;
	p->source_start = r->source_start;
	if (mirror_state_needs_person(p->state) && p->state != STATE_REFUSED)
		partition_set_state(p, STATE_STARTING, "looking again, as the policy says");
	if (p->src_acked < 0) {
		begin_new(p, r);
		return;
	}
	bool emptied = r->target_end == 0 || (p->shared && p->target_made_again);
	if (emptied && (p->dst_acked > 0 || p->target_made_again ||
			!uuid_eq(&p->stored_id, &p->env->source_id))) {
		begin_again(p, r);
		return;
	}
	if (source_changed(p, r))
		return;
	if (p->shared) {
		partition_shared_probed(p, r);
		return;
	}
	if (r->target_end == p->dst_acked && partition_align_check(p, r))
		return;
	p->tail_checked = true;
	if (r->target_end == p->dst_acked)
		partition_continue_at(p, p->src_acked, p->dst_acked, r);
	else if (r->target_end < p->dst_acked)
		partition_target_truncated(p, r);
	else
		partition_align_begin(p, r);
}
