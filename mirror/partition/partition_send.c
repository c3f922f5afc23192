/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sending side of a partition: the next unit, the slow path for what cannot go as it is, and
 * what each answer means. Its invariants are partition.c's.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "mirror/partition/partition_priv.h"
#include "mirror/partition/rebatch_task.h"

enum { KNOWN_MS = 60 * 1000 /* far below producer.id.expiration.ms (1 day) */ };

/*
 * A broker takes any first sequence from a producer that it does not know: a new one, or one that
 * was idle for producer.id.expiration.ms (ProducerAppendInfo.checkSequence). Were the first of
 * several batches in flight refused, the second would land in its place. So until one was
 * acknowledged, batches go one by one.
 */
static bool must_go_alone(struct partition *p)
{
	if (p->in_flight.n > 0)
		return !p->writer_known || p->go_alone;
	if (clock_mono_ms(p->env->clock) - p->acked_ms > KNOWN_MS)
		p->writer_known = false;
	return false;
}

void partition_all_done(struct partition *p)
{
	if (!partition_drained(p) || p->src_next == p->src_acked)
		return;
	p->src_acked = p->src_next;
	p->last_epoch = p->next_epoch;
	if (p->align_lost)
		return;
	runs_advance_source(p->runs, p->src_next);
	p->env->host->store(p->env->host_ctx, p, false);
}

void partition_tell_ready(struct partition *p)
{
	if (p->waiting.n == 0 || p->ready_listed)
		return;
	p->ready_listed = true;
	p->env->host->ready(p->env->host_ctx, p);
}

struct unit *partition_next_unit(struct partition *p)
{
	p->ready_listed = false;
	if (p->phase != PHASE_COPY || p->task != NULL || p->waiting.head == NULL ||
	    must_go_alone(p))
		return NULL;
	if (p->suspect != NULL && partition_suspect_next(p) == NULL)
		return NULL;
	enum err e = ERR_OK;
	struct rebatch_task *task = p->suspect != NULL ? NULL : rebatch_task_of_queue(p, &e);
	if (e != ERR_OK) {
		partition_fault(p, STATE_TARGET_UNAVAILABLE, e, "slow path: %s", err_text(e));
		return NULL;
	}
	if (task != NULL) {
		p->task = task;
		p->env->host->rebatch(p->env->host_ctx, p, task);
		return NULL;
	}
	struct unit *u = unit_queue_pop(&p->waiting);
	u->dst = p->dst_next;
	unit_stamp(u, p->producer_id, p->producer_epoch, p->sequence);
	p->sequence = batch_sequence_add(p->sequence, u->head.count);
	p->dst_next += u->head.count;
	unit_queue_push(&p->in_flight, u);
	p->ready_listed = p->waiting.head != NULL;
	return u;
}

static void after_rebatch(struct partition *p)
{
	if (p->phase != PHASE_COPY)
		return;
	partition_all_done(p);
	partition_tell_ready(p);
	if (partition_held_bytes(p) <= p->env->queue_low)
		partition_want_more(p);
}

void partition_on_rebatched(struct partition *p, struct rebatch_task *task)
{
	assert(p->task == task);
	p->task = NULL;
	struct errmsg why = {""};
	int64_t src = rebatch_task_offset(task), src_end = rebatch_task_end(task);
	if (rebatch_task_frame(task) != NULL)
		p->env->host->count(p->env->host_ctx, rebatch_task_frame(task));
	if (p->suspect != NULL) {
		partition_suspect_rebatched(p, task);
		rebatch_task_free(task);
		after_rebatch(p);
		return;
	}
	enum err e = rebatch_task_result(task, &p->waiting, &why);
	/* Together they are too much to decode at once: one by one, then. */
	bool again = e == ERR_LIMIT && rebatch_task_inputs(task) > 1;
	if (again)
		rebatch_task_give_back(task, &p->waiting);
	rebatch_task_free(task);
	p->rebatch_alone = again || (p->rebatch_alone && e == ERR_OK && p->waiting.n > 0);
	if (again) {
		partition_tell_ready(p);
		return;
	}
	if (e == ERR_LIMIT || e == ERR_CORRUPT || e == ERR_MALFORMED || e == ERR_UNSUPPORTED) {
		if (e == ERR_LIMIT)
			partition_suspect_begin(p, src_end);
		partition_fault(p, STATE_REFUSED, e, "cannot pass on source offset %" PRId64 ": %s",
				src, why.text);
		return;
	}
	if (e != ERR_OK) {
		partition_fault(p, STATE_SOURCE_UNAVAILABLE, e,
				"slow path at source offset %" PRId64 ": %s", src, err_text(e));
		return;
	}
	after_rebatch(p);
}

static enum err append_spans(struct partition *p, const struct unit *u, int64_t base_offset)
{
	int64_t dst = base_offset;
	for (size_t i = 0; i < u->spans_n; i++) {
		enum err e = runs_append(p->runs, u->spans[i].src, dst, u->spans[i].n);
		if (e != ERR_OK)
			return e;
		dst += u->spans[i].n;
	}
	runs_advance_source(p->runs, u->src_end);
	return ERR_OK;
}

/* For MM2's metrics: times are those of now, less what passed since it came. */
static void measure(struct partition *p, const struct unit *u)
{
	int64_t wall = clock_wall_ms(p->env->clock);
	const struct meter_batch b = {
		.records = u->head.count,
		.bytes = (int64_t)u->whole.n,
		.first_timestamp = u->head.base_timestamp,
		.max_timestamp = u->head.max_timestamp,
		.fetched_ms = wall - (p->acked_ms - u->fetched_ms),
		.acked_ms = wall,
	};
	meter_add(&p->meter, p->acked_ms, &b);
}

void partition_landed(struct partition *p, struct unit *u, int64_t base_offset)
{
	enum err e = append_spans(p, u, base_offset);
	/* The order of units makes a refusal by the table impossible; memory can run out. The next
	 * probe finds what landed. */
	if (e != ERR_OK) {
		runs_truncate_source(p->runs, p->src_acked);
		runs_truncate_target(p->runs, p->dst_acked);
		runs_advance_source(p->runs, p->src_acked);
		runs_advance_target(p->runs, p->dst_acked);
		partition_fault(p, STATE_SOURCE_UNAVAILABLE, e, "run table: %s", err_text(e));
		return;
	}
	p->src_acked = u->src_end;
	p->dst_acked = base_offset + u->head.count;
	p->ack_sequence = batch_sequence_add(p->ack_sequence, u->head.count);
	p->last_epoch = u->leader_epoch;
	p->last_timestamp = u->head.max_timestamp;
	p->writer_known = true;
	p->align_lost = false;
	p->attempt = 0;
	p->fault_repeats = 0;
	p->sequence_fault_ms = 0;
	p->acked_ms = clock_mono_ms(p->env->clock);
	p->go_alone = p->go_alone && p->acked_ms < p->alone_until_ms;
	p->counters.records += (uint64_t)u->head.count;
	p->counters.bytes += u->whole.n;
	p->counters.batches[u->cause]++;
	measure(p, u);
	p->env->host->store(p->env->host_ctx, p, false);
	if (p->suspect != NULL && p->phase == PHASE_COPY)
		partition_suspect_landed(p);
}

/* What a refused batch means for the partition. */
static void unit_refused(struct partition *p, const struct unit *u, enum err e,
			 const struct errmsg *why)
{
	const char *detail = why != NULL && why->text[0] != '\0' ? why->text : err_text(e);
	int64_t src = u->spans[0].src;

	if (p->fault_offset == src && p->last_fault == e)
		p->fault_repeats++;
	else
		p->fault_repeats = 0;
	p->fault_offset = src;
	if (partition_refuses_records(e) && p->suspect != NULL) {
		char text[sizeof why->text + 40];
		snprintf(text, sizeof text, "%s: %s", err_name(e) + strlen("KAFKA_"), detail);
		partition_suspect_refused(p, u, e, text);
		return;
	}
	if (partition_refuses_records(e))
		partition_suspect_begin(p, u->src_end);
	switch ((int)e) {
	case ERR_KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER:
	case ERR_KAFKA_DUPLICATE_SEQUENCE_NUMBER:
	case ERR_KAFKA_UNKNOWN_PRODUCER_ID:
	case ERR_KAFKA_INVALID_PRODUCER_EPOCH:
	case ERR_KAFKA_PRODUCER_FENCED:
	case ERR_KAFKA_INVALID_PRODUCER_ID_MAPPING:
		if (p->sequence_fault_ms == 0)
			p->sequence_fault_ms = clock_mono_ms(p->env->clock);
		partition_reprobe(p, e);
		return;
	case ERR_KAFKA_CORRUPT_MESSAGE:
		partition_fault(
			p, p->fault_repeats < 4 ? STATE_TARGET_UNAVAILABLE : STATE_REFUSED, e,
			"the target refused the batch at source offset %" PRId64
			" (%d records): CORRUPT_MESSAGE: its bytes changed between the source's "
			"disk and the target, so its checksum is wrong; it was not copied and is "
			"fetched again",
			src, u->head.count);
		return;
	case ERR_KAFKA_MESSAGE_TOO_LARGE:
	case ERR_KAFKA_RECORD_LIST_TOO_LARGE:
	case ERR_KAFKA_INVALID_RECORD:
	case ERR_KAFKA_INVALID_TIMESTAMP:
	case ERR_KAFKA_UNSUPPORTED_COMPRESSION_TYPE:
	case ERR_KAFKA_UNSUPPORTED_FOR_MESSAGE_FORMAT:
	case ERR_KAFKA_POLICY_VIOLATION:
	case ERR_KAFKA_INVALID_REQUEST:
	case ERR_KAFKA_INVALID_TOPIC_EXCEPTION:
		partition_fault(p, STATE_REFUSED, e,
				"the target refused the batch at source offset %" PRId64
				" (%zu bytes): %s: %s",
				src, u->whole.n, err_name(e) + strlen("KAFKA_"), detail);
		return;
	default:
		p->env->host->refresh(p->env->host_ctx, p, false);
		if (e == ERR_KAFKA_TOPIC_AUTHORIZATION_FAILED)
			partition_fault(
				p, STATE_TARGET_UNAVAILABLE, e,
				"writing to the target: TOPIC_AUTHORIZATION_FAILED: this user "
				"needs Write on topic %s",
				p->env->target_topic);
		else
			partition_fault(p, STATE_TARGET_UNAVAILABLE, e, "writing to the target: %s",
					detail);
	}
}

/* What the answer for the oldest unit in flight means. */
static void unit_answered(struct partition *p, struct unit *u, const struct errmsg *why)
{
	enum err e = u->answer;
	int64_t base = u->answer_base;

	if (p->shared && e == ERR_OK) {
		if (!u->answer_repeated && partition_shared_in_order(p, u, base)) {
			partition_landed(p, u, base);
			return;
		}
		/* It stands there since an earlier request, or behind one whose end is not known,
		 * or the target's log is shorter than it was: only a look tells. If retention has
		 * removed what it repeats, no look does. */
		p->settle = true;
		if (p->sequence_fault_ms == 0)
			p->sequence_fault_ms = clock_mono_ms(p->env->clock);
		partition_reprobe(p, ERR_KAFKA_DUPLICATE_SEQUENCE_NUMBER);
	} else if (e == ERR_OK && u->answer_repeated && base == u->dst) {
		/* It stands there since an earlier request. The source may have changed since then,
		 * and a batch of as many records has the same sequence: only a look tells. */
		p->settle = true;
		partition_reprobe(p, ERR_KAFKA_DUPLICATE_SEQUENCE_NUMBER);
	} else if (e == ERR_OK && base == u->dst && u->dst == p->dst_acked) {
		partition_landed(p, u, base);
	} else if (e == ERR_OK && p->phase == PHASE_COPY && base > u->dst) {
		int64_t foreign = base - u->dst;
		partition_landed(p, u, base);
		p->foreign_first = base - foreign;
		p->foreign_end = base;
		partition_fault(
			p, STATE_FOREIGN_WRITE, ERR_KAFKA_INVALID_PRODUCER_ID_MAPPING,
			"%" PRId64
			" records that this link did not write stand in %s-%d at offset %" PRId64
			": stop the other writer, then restart the mirror; nothing was lost",
			foreign, p->env->target_topic, p->index, base - foreign);
	} else if (e == ERR_OK && p->phase == PHASE_COPY && base < u->dst) {
		partition_fault(p, STATE_FOREIGN_WRITE, ERR_KAFKA_INVALID_PRODUCER_ID_MAPPING,
				"a batch for offset %" PRId64 " of %s-%d landed at %" PRId64
				": the target topic was deleted and made again while it was "
				"written; delete it "
				"once more to copy it from the start",
				u->dst, p->env->target_topic, p->index, base);
	} else if (e == ERR_OK) {
		/* After a fault: the probe reads what is true. */
		partition_reprobe(p, ERR_KAFKA_DUPLICATE_SEQUENCE_NUMBER);
	} else if (p->phase != PHASE_DRAIN) {
		unit_refused(p, u, e, why);
	} else {
		p->end_known = false;
	}
}

/* After answers were taken: leave DRAIN, or go on. */
static void after_answers(struct partition *p)
{
	if (p->phase == PHASE_DRAIN) {
		if (p->in_flight.n == 0)
			partition_leave_drain(p);
		return;
	}
	if (p->phase != PHASE_COPY)
		return;
	partition_all_done(p);
	partition_judge_progress(p);
	partition_tell_ready(p);
	if (partition_held_bytes(p) <= p->env->queue_low)
		partition_want_more(p);
}

void partition_on_produced(struct partition *p, struct unit *u, const struct produced *a)
{
	assert(!u->answered);
	u->answered = true;
	u->answer = a->err;
	u->answer_base = a->base_offset;
	u->answer_repeated = a->repeated;
	if (a->err != ERR_OK)
		p->unsure_ms = clock_mono_ms(p->env->clock);
	/* Requests of one connection end in order, but one that could not be sent at all ends at
	 * once. */
	while (p->in_flight.head != NULL && p->in_flight.head->answered) {
		struct unit *oldest = unit_queue_pop(&p->in_flight);
		const struct errmsg later = {""};
		unit_answered(p, oldest, oldest == u ? a->why : &later);
		unit_free(oldest);
	}
	after_answers(p);
}

void partition_on_send_failed(struct partition *p, enum err e, const struct errmsg *why)
{
	p->ready_listed = false;
	if (p->phase != PHASE_COPY)
		return;
	p->env->host->refresh(p->env->host_ctx, p, false);
	partition_fault(p, STATE_TARGET_UNAVAILABLE, e, "writing to the target: %s", why->text);
}
