/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A target partition that others write to as well: where two links copy a topic both ways under
 * equal names, or where an operator allows it (partition_share).
 *
 * What carries over from a partition of our own (partition.h, docs/adr/0001-*) and what does not:
 *
 *   The sequence is a compare-and-swap on *our* last batch. A broker keeps it for each producer
 *   (ProducerStateManager), so batches of others between ours do not disturb it: a late request of
 *   a dead process still stands where ours would go, or makes ours fail.
 *
 *   Offsets do not tell what landed. Only an answer does, and after a fault the log: all batches of
 *   our producer from where the table is complete (T) to the target's end, which stands still below
 *   its high watermark. Their records are compared with the source's, one by one (align.h, shared).
 *   An answer counts only for the batch that is next by its sequence: one behind a batch whose end
 *   is not known says nothing.
 *
 *   The last batch that is ours gives the sequence. If none stands behind T it is the one that
 *   holds the table's last record, and that must still be ours: else the target lost its tail and
 *   others wrote in its place, and the table is cut back to what still stands.
 *
 *   The target remembers our newest sequence (DescribeProducers, KIP-664). That spares the look at
 *   what others wrote behind it; it is never taken for the sequence to go on with, since the batch
 *   may not be replicated yet and then was not compared.
 *
 *   If retention has removed our last batch, the sequence is the one after the last answer of this
 *   process. A new process does not know it: when nothing of the old one can be on its way any more
 *   it takes the next producer epoch, whose sequences begin at 0, stored before it is used.
 */
#include <inttypes.h>
#include <stdio.h>

#include "mirror/partition/align.h"
#include "mirror/partition/partition_priv.h"

/* Records in the table, those of forgotten runs included. */
static int64_t mirrored(const struct partition *p)
{
	struct runs_past all;
	runs_past_at(p->runs, runs_count(p->runs), &all);
	return all.n;
}

void partition_shared_begin(struct partition *p, int64_t src, int64_t dst)
{
	p->sequence = 0;
	p->writer_known = false;
	partition_begin_copy(p, src, dst);
}

/* ---- what the target lost ---- */

static void told_truncated(struct partition *p, const char *why)
{
	p->counters.faults++;
	if (mirror_state_allowed(p->state, STATE_TARGET_TRUNCATED))
		partition_set_state(p, STATE_TARGET_TRUNCATED, why);
}

/* What was copied to `dst_end` and beyond is void. The cut table must be durable before it grows.
 */
static void cut(struct partition *p, int64_t dst_end)
{
	bool none = mirrored(p) == 0;
	runs_truncate_target(p->runs, dst_end);
	runs_advance_target(p->runs, dst_end);
	if (none) /* what was looked at stays so, though the table has nothing to say it by */
		runs_advance_source(p->runs, p->src_acked);
	p->src_acked = runs_src_end(p->runs);
	p->dst_acked = runs_dst_end(p->runs);
	p->last_epoch = -1;
	p->stored_once = false;
	p->ack_known = false;
}

bool partition_shared_in_order(struct partition *p, const struct unit *u, int64_t base)
{
	struct batch_head h;
	batch_head_get(u->stamped, &h);
	if (h.base_sequence != p->ack_sequence)
		return false;
	/* It stands below what the log had: the target lost all from there on. */
	if (base < p->dst_acked)
		cut(p, base);
	return base >= p->dst_acked && p->ack_known;
}

/* The target offset of the record that was copied `back` records before the last. -1: the table
 * does not hold so many. */
static int64_t own_before(const struct partition *p, int64_t back)
{
	for (size_t i = runs_count(p->runs); i-- > 0;) {
		struct run run = runs_at(p->runs, i);
		if (back < run.n)
			return run.dst + run.n - 1 - back;
		back -= run.n;
	}
	return -1;
}

/* None of the records that the table holds stands there any more. */
static void lost_all(struct partition *p)
{
	struct runs_past past;
	runs_past_at(p->runs, 0, &past);
	if (past.n > 0 || runs_count(p->runs) == 0) {
		partition_fault(p, STATE_FOREIGN_WRITE, ERR_KAFKA_OFFSET_OUT_OF_RANGE,
				"nothing of the last %" PRId64
				" records that this link wrote to %s-%d stands there any more, and "
				"the run table does not reach further back: the target topic was "
				"made again and others wrote to it; delete it to copy it afresh",
				mirrored(p) - past.n, p->env->target_topic, p->index);
		return;
	}
	struct run first = runs_at(p->runs, 0);
	runs_clear(p->runs);
	p->src_acked = first.src;
	/* A new table takes any place at which the copy began. */
	(void)!runs_begin(p->runs, first.src, first.dst);
	cut(p, first.dst);
	partition_probe(p);
}

void partition_shared_lost(struct partition *p)
{
	char why[200];
	snprintf(why, sizeof why,
		 "another batch stands where this link had written up to offset %" PRId64
		 ": the target lost its tail and others wrote since; looking for what is left",
		 p->dst_acked);
	told_truncated(p, why);
	/* Step by step further back: what is left is a prefix of what was there. */
	p->own_back = p->own_back == 0 ? 1 : 2 * p->own_back;
	int64_t anchor = own_before(p, p->own_back);
	if (anchor < 0) {
		lost_all(p);
		return;
	}
	cut(p, anchor + 1);
	partition_probe(p);
}

void partition_shared_stale(struct partition *p)
{
	p->settle = true;
	partition_probe(p);
}

/* ---- where to go on ---- */

/* The sequence of the next batch, from what the alignment saw. False: a new producer is needed. */
static bool find_sequence(struct partition *p, const struct align_result *r)
{
	int64_t now = clock_mono_ms(p->env->clock);
	p->writer_known = false;
	if (p->sequence_fault_ms != 0 && now - p->sequence_fault_ms > PARTITION_LATE_MS)
		return false;
	if (r->own && r->own_epoch > p->producer_epoch) {
		/* Another process of this link, which took it: go on as that one does. */
		p->producer_epoch = r->own_epoch;
		p->stored_once = false;
	}
	if (r->own && r->own_epoch == p->producer_epoch) {
		p->sequence = r->own_next;
		p->writer_known = true;
	} else if (r->own || mirrored(p) == 0) {
		p->sequence = 0; /* an epoch that was taken and not used yet */
	} else if (p->ack_known) {
		p->sequence = p->ack_sequence;
	} else {
		return false;
	}
	p->own_gone_ms = 0;
	return true;
}

void partition_shared_aligned(struct partition *p, const struct align_result *r)
{
	int64_t now = clock_mono_ms(p->env->clock);
	if (find_sequence(p, r)) {
		partition_begin_copy(p, r->src, r->dst_end);
		return;
	}
	if (p->own_gone_ms == 0)
		p->own_gone_ms = now;
	bool late = p->sequence_fault_ms != 0 || now - p->own_gone_ms > PARTITION_LATE_MS;
	if (!late) {
		partition_fault(p, STATE_TARGET_UNAVAILABLE, ERR_KAFKA_OFFSET_OUT_OF_RANGE,
				"the last batch that this link wrote to %s-%d was deleted there "
				"(retention); requests of an earlier process may still be on their "
				"way: goes on in %" PRId64 " s with a new producer epoch",
				p->env->target_topic, p->index,
				(PARTITION_LATE_MS - (now - p->own_gone_ms)) / 1000 + 1);
		return;
	}
	p->own_gone_ms = 0;
	partition_take_producer(p, r->src, r->dst_end);
}

/* Look at everything behind our last record again: the target may not be the log that it was. */
static void forget_locals(struct partition *p)
{
	int64_t last = own_before(p, 0);
	if (last < 0 || last + 1 >= p->dst_acked)
		return;
	runs_truncate_target(p->runs, last + 1);
	runs_advance_source(p->runs, p->src_acked);
	p->dst_acked = runs_dst_end(p->runs);
}

void partition_shared_probed(struct partition *p, const struct probe_result *r)
{
	if (r->target_end < p->dst_acked) {
		char why[200];
		snprintf(why, sizeof why,
			 "the target ends at offset %" PRId64 ", it had acknowledged up to %" PRId64
			 ": copying again what it lost",
			 r->target_end, p->dst_acked);
		told_truncated(p, why);
		cut(p, r->target_end);
	}
	if (p->settle)
		forget_locals(p);
	struct align_result seen = {.src = p->src_acked, .dst_end = p->dst_acked};
	bool none = mirrored(p) == 0;
	bool tail = own_before(p, 0) == r->target_end - 1 && partition_sequence_from_tail(p, r);
	if (tail) {
		seen.own = true;
		seen.own_epoch = p->producer_epoch;
		seen.own_next = p->sequence;
	}
	if (r->target_end == p->dst_acked && (none || tail))
		partition_shared_aligned(p, &seen);
	else
		partition_align_shared(p, r, none ? 0 : p->ack_known ? p->ack_sequence : -1);
}

/* ---- turning it on ---- */

void partition_share(struct partition *p)
{
	p->shared = true;
	if (p->state != STATE_FOREIGN_WRITE)
		return;
	partition_set_state(p, STATE_STARTING, "");
	if (p->phase == PHASE_STOPPED)
		partition_probe(p);
}
