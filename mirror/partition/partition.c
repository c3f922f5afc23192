/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A partition's life: phases, states, the sending side. The phases are drawn in partition.h.
 *
 * Invariants: in_flight units have consecutive `dst`, ending at dst_next; dst_acked <= dst_next;
 * src_acked <= src_next; the run table ends at (<= src_acked, dst_acked). Units move only waiting
 * -> in_flight -> freed.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "lib/base/mem.h"
#include "mirror/partition/align.h"
#include "mirror/partition/partition_priv.h"
#include "mirror/partition/rebatch_task.h"

enum {
	BACKOFF_MIN_MS = 100,
	BACKOFF_MAX_MS = 10 * 1000,
	REFUSED_RETRY_MS = 30 * 1000,
	SEQUENCE_FAULTS_MAX = 6,
	BEHIND_MS = 5 * 1000, /* behind for so long: CATCHING_UP */
	KNOWN_MS = 60 * 1000, /* far below producer.id.expiration.ms (1 day) */
	REPROBES_SILENT = 3,
};

struct partition *partition_new(const struct partition_env *env, int32_t index, size_t runs_budget)
{
	struct partition *p = mem_zalloc(1, sizeof *p);
	if (p == NULL)
		return NULL;
	p->runs = runs_new(runs_budget);
	if (p->runs == NULL) {
		mem_free(p);
		return NULL;
	}
	p->env = env;
	p->shared = env->two_way;
	p->runs_budget = runs_budget;
	p->index = index;
	p->phase = PHASE_IDLE;
	p->state = STATE_STARTING;
	p->since_ms = clock_wall_ms(env->clock);
	p->src_next = p->src_acked = p->dst_next = p->dst_acked = -1;
	p->source_hw = p->source_lso = p->source_start = -1;
	p->producer_id = -1;
	p->producer_epoch = -1;
	p->last_epoch = p->next_epoch = -1;
	p->fault_offset = -1;
	p->last_timestamp = -1;
	p->align_from = p->parting_end = p->foreign_first = p->compared_end = -1;
	unit_queue_init(&p->waiting);
	unit_queue_init(&p->in_flight);
	return p;
}

void partition_free(struct partition *p)
{
	if (p == NULL)
		return;
	partition_drop_waiting(p);
	unit_queue_clear(&p->in_flight);
	align_free(p->align);
	partition_policy_forget(p);
	partition_suspect_free(p);
	partition_takeover_leave(p);
	mem_free(p->takeover);
	runs_free(p->runs);
	meter_free(p->meter);
	mem_free(p);
}

void partition_set_state(struct partition *p, enum mirror_state to, const char *reason)
{
	enum mirror_state from = p->state;
	if (from == to && strcmp(p->reason.text, reason) == 0)
		return;
	assert(mirror_state_allowed(from, to));
	errmsg_set(&p->reason, ERR_OK, "%s", reason);
	if (from != to) {
		p->state = to;
		p->since_ms = clock_wall_ms(p->env->clock);
	}
	p->env->host->changed(p->env->host_ctx, p, from);
}

void partition_drop_waiting(struct partition *p)
{
	unit_queue_clear(&p->waiting);
	if (p->task != NULL) {
		rebatch_task_cancel(p->task);
		p->task = NULL;
	}
}

void partition_fetch_stop(struct partition *p)
{
	if (p->fetching) {
		p->fetching = false;
		p->env->host->fetch_stop(p->env->host_ctx, p);
	}
}

static void wait_and_probe(struct partition *p)
{
	p->phase = PHASE_WAIT;
	p->env->host->retry_in(p->env->host_ctx, p,
			       p->attempt == 0 ? 0
					       : clock_backoff_ms(p->env->clock, p->attempt - 1,
								  BACKOFF_MIN_MS, BACKOFF_MAX_MS));
	p->attempt++;
}

/* All answers are in: wait and probe again, or stop. */
static void drained_after_fault(struct partition *p)
{
	switch (p->state) {
	case STATE_DATA_LOSS:
	case STATE_TOPIC_RECREATED:
	case STATE_SOURCE_TRUNCATED:
	case STATE_PAUSED:
		if (partition_acts(p, p->state))
			wait_and_probe(p);
		else
			p->phase = PHASE_STOPPED;
		return;
	case STATE_FOREIGN_WRITE:
		p->phase = PHASE_STOPPED;
		if (partition_acts(p, p->state))
			partition_policy_foreign(p);
		return;
	case STATE_REFUSED:
		p->phase = PHASE_WAIT;
		p->env->host->retry_in(p->env->host_ctx, p,
				       p->suspect != NULL ? 0 : REFUSED_RETRY_MS);
		return;
	case STATE_ACTIVE:
	case STATE_CATCHING_UP:
	case STATE_STARTING:
	case STATE_TARGET_TRUNCATED:
	case STATE_SOURCE_UNAVAILABLE:
	case STATE_TARGET_UNAVAILABLE:
		wait_and_probe(p);
		return;
	case STATE_COUNT:
		break;
	}
	assert(false && "state out of range");
}

static void leave_copying(struct partition *p)
{
	partition_fetch_stop(p);
	p->origin_waits = false;
	partition_drop_waiting(p);
	align_free(p->align);
	p->align = NULL;
	p->compared_end = -1;
	partition_policy_forget(p);
	partition_suspect_left(p);
	partition_takeover_leave(p);
	if (p->in_flight.n > 0)
		p->phase = PHASE_DRAIN;
	else
		drained_after_fault(p);
}

void partition_fault(struct partition *p, enum mirror_state state, enum err cause, const char *fmt,
		     ...)
{
	struct errmsg why;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(why.text, sizeof why.text, fmt, ap);
	va_end(ap);

	/* The first fault says why; what follows from it while answers come in is not news. */
	bool first = p->phase != PHASE_DRAIN && p->phase != PHASE_STOPPED;
	if (!first && !(mirror_state_needs_person(state) && !mirror_state_needs_person(p->state)))
		return;
	p->last_fault = cause;
	p->end_known = false;
	p->counters.faults++;
	if (mirror_state_allowed(p->state, state))
		partition_set_state(p, state, why.text);
	if (first)
		leave_copying(p);
}

void partition_reprobe(struct partition *p, enum err cause)
{
	p->end_known = false;
	if (p->phase == PHASE_DRAIN || p->phase == PHASE_STOPPED)
		return;
	if (p->attempt >= REPROBES_SILENT) {
		bool source = cause == ERR_KAFKA_OFFSET_OUT_OF_RANGE ||
			      cause == ERR_KAFKA_INCONSISTENT_TOPIC_ID;
		partition_fault(p, source ? STATE_SOURCE_UNAVAILABLE : STATE_TARGET_UNAVAILABLE,
				cause, "the %s answers again and again: %s",
				source ? "source" : "target", err_text(cause));
		return;
	}
	p->last_fault = cause;
	p->counters.faults++;
	leave_copying(p);
}

void partition_start(struct partition *p, struct partition_stored *stored, int64_t link_pid,
		     int16_t link_epoch)
{
	assert(p->phase == PHASE_IDLE);
	/* Another process may have died a moment ago. */
	p->unsure_ms = clock_mono_ms(p->env->clock);
	p->producer_id = link_pid;
	p->producer_epoch = link_epoch;
	p->stored_id = p->env->source_id;
	if (stored != NULL) {
		runs_free(p->runs);
		p->runs = stored->runs;
		stored->runs = NULL;
		p->stored_id = stored->topic_id;
		p->last_epoch = stored->leader_epoch;
		if (stored->producer_id >= 0) {
			p->producer_id = stored->producer_id;
			p->producer_epoch = stored->producer_epoch;
		}
		p->src_acked = p->src_next = stored->src_end;
		p->dst_acked = p->dst_next = stored->dst_end;
		p->stored_once = true;
	}
	partition_probe(p);
}

void partition_probe(struct partition *p)
{
	if (p->held) {
		p->phase = PHASE_STOPPED;
		partition_set_state(p, STATE_PAUSED, p->held_why);
		return;
	}
	p->producer_asked = false;
	p->foreign_first = -1;
	p->phase = PHASE_PROBE;
	p->env->host->probe(p->env->host_ctx, p, p->last_epoch);
}

void partition_pause(struct partition *p, const char *why)
{
	p->held = true;
	p->held_why = why;
	if (p->phase == PHASE_STOPPED ||
	    (p->phase == PHASE_DRAIN && mirror_state_needs_person(p->state)))
		return;
	partition_set_state(p, STATE_PAUSED, why);
	if (p->phase != PHASE_DRAIN && p->phase != PHASE_IDLE)
		leave_copying(p);
}

void partition_resume(struct partition *p)
{
	p->held = false;
	if (p->state != STATE_PAUSED)
		return;
	partition_set_state(p, STATE_STARTING, "");
	if (p->phase == PHASE_STOPPED)
		partition_probe(p);
}

void partition_on_timer(struct partition *p)
{
	switch (p->phase) {
	case PHASE_WAIT:
	case PHASE_PROBE: /* there was no memory to ask */
	case PHASE_STORE:
	case PHASE_ALIGN:
		partition_fetch_stop(p);
		align_free(p->align);
		p->align = NULL;
		partition_probe(p);
		return;
	case PHASE_RECORD: /* there was no memory to ask */
		partition_policy_ask_again(p);
		return;
	case PHASE_TAKEOVER:
		partition_takeover_timer(p);
		return;
	case PHASE_IDLE:
	case PHASE_COPY:
	case PHASE_DRAIN:
	case PHASE_STOPPED:
		return;
	}
}

void partition_begin_copy(struct partition *p, int64_t src, int64_t dst)
{
	p->src_next = p->src_acked = src;
	p->next_epoch = p->last_epoch;
	p->dst_next = p->dst_acked = dst;
	p->ack_sequence = p->sequence;
	p->ack_known = true;
	p->own_back = 0;
	/* The table says where we are even if it holds no run yet. */
	if (!p->align_lost)
		runs_advance_source(p->runs, src);
	runs_advance_target(p->runs, dst);
	if (!p->stored_once) {
		p->phase = PHASE_STORE;
		p->env->host->store(p->env->host_ctx, p, true);
		return;
	}
	p->phase = PHASE_COPY;
	p->end_known = true;
	p->behind_since_ms = 0;
	/* If nothing waits, no answer may come that would say so (KIP-227). */
	partition_set_state(p, partition_behind(p) ? STATE_CATCHING_UP : STATE_ACTIVE, "");
	partition_want_more(p);
}

void partition_on_stored(struct partition *p)
{
	if (p->producer_asked)
		return;
	p->stored_once = true;
	if (p->phase == PHASE_STORE)
		partition_begin_copy(p, p->src_next, p->dst_next);
}

void partition_on_producer(struct partition *p, enum err e, const struct errmsg *why, int64_t id,
			   int16_t epoch)
{
	if (p->phase != PHASE_STORE || !p->producer_asked)
		return;
	p->producer_asked = false;
	if (e != ERR_OK) {
		partition_fault(p, STATE_TARGET_UNAVAILABLE, e,
				"no producer id from the target: %s", why->text);
		return;
	}
	p->producer_id = id;
	p->producer_epoch = epoch;
	p->sequence = 0;
	p->writer_known = false;
	p->stored_once = false;
	partition_begin_copy(p, p->src_next, p->dst_next);
}

void partition_on_source_topic(struct partition *p, bool exists, const struct uuid *id)
{
	if (p->phase == PHASE_IDLE || p->phase == PHASE_STOPPED)
		return;
	if (!exists) {
		if (p->state != STATE_SOURCE_UNAVAILABLE)
			partition_fault(p, STATE_SOURCE_UNAVAILABLE,
					ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION, "%s",
					partition_trouble(p));
		return;
	}
	if (!uuid_is_zero(id) && !uuid_is_zero(&p->stored_id) && !uuid_eq(id, &p->stored_id)) {
		if (partition_acts(p, STATE_TOPIC_RECREATED)) {
			partition_reprobe(p, ERR_KAFKA_INCONSISTENT_TOPIC_ID);
			return;
		}
		char was[23], is[23];
		uuid_format(&p->stored_id, was);
		uuid_format(id, is);
		partition_fault(p, STATE_TOPIC_RECREATED, ERR_KAFKA_INCONSISTENT_TOPIC_ID,
				"source topic %s was deleted and made again (id %s, was %s): its "
				"records are "
				"others now; nothing is copied until you decide: delete %s at the "
				"target to copy "
				"the new topic from its start",
				p->env->source_topic, is, was, p->env->target_topic);
	}
}

void partition_on_source_trouble(struct partition *p)
{
	if (p->state == STATE_SOURCE_UNAVAILABLE && partition_trouble(p)[0] != '\0')
		partition_set_state(p, STATE_SOURCE_UNAVAILABLE, partition_trouble(p));
}

void partition_on_source_start(struct partition *p, int64_t offset)
{
	if (offset > p->source_start)
		p->source_start = offset;
}

void partition_on_target_topic(struct partition *p)
{
	p->target_made_again = true;
	p->tail_checked = false;
	if (p->phase == PHASE_COPY || p->phase == PHASE_TAKEOVER) {
		partition_reprobe(p, ERR_KAFKA_UNKNOWN_TOPIC_ID);
	} else if (p->phase == PHASE_STOPPED && mirror_state_needs_person(p->state)) {
		partition_set_state(p, STATE_STARTING, "the target topic was made again");
		partition_probe(p);
	}
}

void partition_on_target_config(struct partition *p)
{
	if (p->state == STATE_REFUSED && p->phase == PHASE_WAIT)
		p->env->host->retry_in(p->env->host_ctx, p, 0);
}

void partition_want_more(struct partition *p)
{
	if (p->phase != PHASE_COPY || p->fetching || p->origin_waits ||
	    partition_held_bytes(p) >= p->env->queue_high)
		return;
	/* What follows a trial would only be fetched again. */
	if (p->suspect != NULL && !partition_drained(p))
		return;
	p->fetching = true;
	p->env->host->fetch(p->env->host_ctx, p, p->src_next,
			    p->source_lso < 0 || p->src_next < p->source_lso);
}

/* ---- sending ---- */

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

/* Everything fetched is done: the position is behind it, markers and aborted batches included. */
static void all_done(struct partition *p)
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

static void tell_ready(struct partition *p)
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
	all_done(p);
	tell_ready(p);
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
		tell_ready(p);
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

/* ACTIVE when nothing waits at the source; CATCHING_UP when that has not been so for a while. */
static void judge_progress(struct partition *p)
{
	if (p->phase != PHASE_COPY)
		return;
	bool behind = partition_behind(p);
	int64_t now = clock_mono_ms(p->env->clock);
	if (!behind) {
		p->behind_since_ms = 0;
		partition_set_state(p, STATE_ACTIVE, "");
		return;
	}
	if (p->behind_since_ms == 0)
		p->behind_since_ms = now;
	if (!mirror_state_moves(p->state) || now - p->behind_since_ms > BEHIND_MS)
		partition_set_state(p, STATE_CATCHING_UP, "");
}

void partition_on_silence(struct partition *p, bool source, int64_t ms)
{
	char why[100];
	if (p->phase != PHASE_COPY)
		return;
	snprintf(why, sizeof why,
		 "the %s holds the connection but has not answered for %" PRId64 " s",
		 source ? "source" : "target", ms / 1000);
	if (mirror_state_moves(p->state))
		partition_set_state(p, source ? STATE_SOURCE_UNAVAILABLE : STATE_TARGET_UNAVAILABLE,
				    why);
}

void partition_on_heard(struct partition *p)
{
	judge_progress(p);
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
			drained_after_fault(p);
		return;
	}
	if (p->phase != PHASE_COPY)
		return;
	all_done(p);
	judge_progress(p);
	tell_ready(p);
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

/* ---- fetching ---- */

static void fetch_refused(struct partition *p, const struct fetch_result *r)
{
	switch ((int)r->error) {
	case ERR_KAFKA_OFFSET_OUT_OF_RANGE:
		/* Retention overtook the mirror, or the source was truncated: the probe tells
		 * which. */
		partition_reprobe(p, r->error);
		return;
	case ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION:
	case ERR_KAFKA_UNKNOWN_TOPIC_ID:
	case ERR_KAFKA_INCONSISTENT_TOPIC_ID:
	default:
		p->env->host->refresh(p->env->host_ctx, p, true);
		if (r->error == ERR_KAFKA_TOPIC_AUTHORIZATION_FAILED)
			partition_fault(p, STATE_SOURCE_UNAVAILABLE, r->error,
					"reading from the source: TOPIC_AUTHORIZATION_FAILED: this "
					"user needs Read on topic %s",
					p->env->source_topic);
		else
			partition_fault(p, STATE_SOURCE_UNAVAILABLE, r->error,
					"reading from the source: %s", err_text(r->error));
	}
}

void partition_on_fetch_failed(struct partition *p, enum err e, const struct errmsg *why)
{
	p->fetching = false;
	if (p->phase != PHASE_COPY && p->phase != PHASE_ALIGN && p->phase != PHASE_TAKEOVER)
		return;
	p->env->host->refresh(p->env->host_ctx, p, true);
	partition_fault(p, STATE_SOURCE_UNAVAILABLE, e, "reading from the source: %s", why->text);
}

void partition_on_send_failed(struct partition *p, enum err e, const struct errmsg *why)
{
	p->ready_listed = false;
	if (p->phase != PHASE_COPY)
		return;
	p->env->host->refresh(p->env->host_ctx, p, false);
	partition_fault(p, STATE_TARGET_UNAVAILABLE, e, "writing to the target: %s", why->text);
}

void partition_on_fetched(struct partition *p, const struct fetch_result *r)
{
	p->fetching = false;
	if (p->phase != PHASE_COPY && p->phase != PHASE_ALIGN && p->phase != PHASE_TAKEOVER)
		return;
	if (r->error != ERR_OK) {
		fetch_refused(p, r);
		return;
	}
	p->source_hw = r->high_watermark;
	p->source_lso = p->env->read_committed && r->last_stable_offset >= 0 ? r->last_stable_offset
									     : r->high_watermark;
	p->source_start = r->log_start_offset;
	if (r->diverging_epoch >= 0 && partition_acts(p, STATE_SOURCE_TRUNCATED)) {
		partition_reprobe(p, ERR_KAFKA_OFFSET_OUT_OF_RANGE);
		return;
	}
	if (r->diverging_epoch >= 0) {
		partition_fault(p, STATE_SOURCE_TRUNCATED, ERR_KAFKA_OFFSET_OUT_OF_RANGE,
				"the source's log ends leader epoch %d at offset %" PRId64
				", but records up to %" PRId64
				" were copied: the source lost records "
				"(unclean leader election?)",
				r->diverging_epoch, r->diverging_end, p->src_next);
		return;
	}
	if (p->phase == PHASE_ALIGN) {
		partition_align_feed(p, r);
		return;
	}
	if (p->phase == PHASE_TAKEOVER) {
		partition_takeover_feed(p, r);
		return;
	}
	partition_intake(p, r);
	if (p->phase != PHASE_COPY)
		return;
	all_done(p);
	judge_progress(p);
	tell_ready(p);
	partition_want_more(p);
}

/* ---- reading ---- */

bool partition_behind(const struct partition *p)
{
	return p->source_lso < 0 || p->src_acked < p->source_lso;
}

int64_t partition_lag_records(const struct partition *p)
{
	if (p->source_hw < 0 || p->src_acked < 0)
		return -1;
	return p->source_hw > p->src_acked ? p->source_hw - p->src_acked : 0;
}

double partition_lag_seconds(const struct partition *p, int64_t wall_ms)
{
	if (partition_lag_records(p) <= 0 || p->last_timestamp < 0 || wall_ms <= p->last_timestamp)
		return 0;
	return (double)(wall_ms - p->last_timestamp) / 1000.0;
}
