/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A partition's life: phases, states, what the host tells of the source. The phases are drawn in
 * partition.h. The sending side is partition_send.c.
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
	BEHIND_MS = 5 * 1000, /* behind for so long: CATCHING_UP */
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

void partition_leave_drain(struct partition *p)
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
		partition_leave_drain(p);
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

void partition_look_again(struct partition *p, const char *why)
{
	partition_set_state(p, STATE_STARTING, why);
	partition_probe(p);
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

/* A topic that was made again looks like one that lost records until its new id is known. */
static bool was_taken_for_a_loss(const struct partition *p)
{
	return p->phase == PHASE_STOPPED && !p->held && partition_other_source(p) &&
	       (p->state == STATE_SOURCE_TRUNCATED || p->state == STATE_DATA_LOSS);
}

void partition_on_source_topic(struct partition *p, bool exists, const struct uuid *id)
{
	if (exists && was_taken_for_a_loss(p)) {
		partition_look_again(p, "the source topic was made again");
		return;
	}
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
		partition_look_again(p, "the target topic was made again");
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

/* ---- progress ---- */

void partition_judge_progress(struct partition *p)
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
	partition_judge_progress(p);
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
	partition_all_done(p);
	partition_judge_progress(p);
	partition_tell_ready(p);
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
