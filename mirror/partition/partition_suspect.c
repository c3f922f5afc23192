/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which record of a refused batch does the target refuse? Where the policy is to park such records,
 * the range of source offsets that the batch covered is under suspicion, and is sent in trials, one
 * at a time: the range up to the first refusal is halved until one record is left, which is parked
 * (first durably in the dead-letter topic, then as a gap record, then by a stored run table that
 * has moved past it). After a refused record trials begin with one record and double, so that many
 * bad ones in a row cost one trial each.
 *
 * A trial goes alone, with nothing in flight, and what a target refuses for its content it has not
 * appended: so the next trial has the same sequence and the same place. Were that wrong, the answer
 * would show it (another offset, or a repetition), and the partition would probe.
 *
 * The table is stored after each parked record before anything else is sent: an alignment after a
 * crash counts source records from the table's end, and must not count one that was left out. With
 * it the producer's next epoch is stored: what a dead process sent as if the record were there is
 * refused by it.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "lib/base/mem.h"
#include "lib/wire/records.h"
#include "mirror/partition/partition_priv.h"
#include "mirror/partition/rebatch_task.h"

struct suspect {
	int64_t end;     /* the range is src_acked .. end-1 */
	int64_t bad_end; /* one below here is refused; -1: not known */
	int64_t span;    /* else: offsets of the next trial */
	int64_t trial_end;
	int32_t trial_epoch;
	const struct unit *trial; /* waits to be sent, or is in flight */
	int32_t sequence;         /* before it */
	int32_t parked_epoch;     /* leader epoch of the record that is being parked */
	bool parking;             /* the letter is on its way, the gap record not yet */
};

void partition_suspect_free(struct partition *p)
{
	mem_free(p->suspect);
	p->suspect = NULL;
}

void partition_suspect_left(struct partition *p)
{
	if (p->suspect == NULL)
		return;
	p->suspect->trial = NULL;
	p->suspect->parking = false;
}

/* Is it about the records, not about the topic or the cluster? */
bool partition_refuses_records(enum err e)
{
	return e == ERR_KAFKA_MESSAGE_TOO_LARGE || e == ERR_KAFKA_RECORD_LIST_TOO_LARGE ||
	       e == ERR_KAFKA_INVALID_RECORD || e == ERR_KAFKA_INVALID_TIMESTAMP;
}

bool partition_suspect_begin(struct partition *p, int64_t end)
{
	if (!partition_acts(p, STATE_REFUSED))
		return false;
	struct suspect *s = mem_zalloc(1, sizeof *s);
	if (s == NULL)
		return false;
	*s = (struct suspect){.end = end, .bad_end = end, .span = 1};
	partition_suspect_free(p);
	p->suspect = s;
	return true;
}

/* Fetch again from the position. */
static void again(struct partition *p)
{
	partition_fetch_stop(p);
	partition_drop_waiting(p);
	p->suspect->trial = NULL;
	p->src_next = p->src_acked;
	p->next_epoch = p->last_epoch;
	p->dst_next = p->dst_acked;
	if (p->src_acked >= p->suspect->end)
		partition_suspect_free(p);
}

void partition_suspect_landed(struct partition *p)
{
	struct suspect *s = p->suspect;
	if (s->bad_end >= 0 && p->src_acked >= s->bad_end)
		s->bad_end = -1;
	if (s->bad_end < 0 && s->span < INT32_MAX)
		s->span *= 2;
	again(p);
}

/* ---- parking ---- */

static void park(struct partition *p, const struct unit *u, enum err e, const char *detail)
{
	struct records_reader *rr;
	struct record r;
	struct errmsg why = {""};
	int64_t src = u->spans[0].src;
	struct gap *g = mem_zalloc(1, sizeof *g);
	enum err bad = g == NULL ? ERR_NOMEM
				 : records_reader_open(u->whole, p->env->decode_max, &rr, &why);
	if (bad == ERR_OK && !records_reader_next(rr, &r)) {
		bad = records_reader_error(rr, &why);
		bad = bad == ERR_OK ? ERR_MALFORMED : bad;
		records_reader_free(rr);
	}
	if (bad != ERR_OK) {
		mem_free(g);
		partition_suspect_free(p);
		partition_fault(p, STATE_REFUSED, bad,
				"the target refuses the record at source offset %" PRId64
				" (%s), and it cannot be read to be parked: %s",
				src, detail, why.text[0] != '\0' ? why.text : err_text(bad));
		return;
	}
	gap_init(g, ON_REFUSED, p->index);
	g->topic_id = p->stored_id;
	g->source_first = src;
	g->source_end = g->source_next = src + 1;
	g->target_next = p->dst_acked;
	g->count = 1;
	g->error = e;
	partition_policy_forget(p);
	p->gap = g;
	p->suspect->parked_epoch = u->leader_epoch;
	p->suspect->parking = true;
	errmsg_set(&why, e,
		   "the target refuses the record at source offset %" PRId64
		   " (%s); it is being parked in the dead-letter topic, as the policy says",
		   src, detail);
	partition_fetch_stop(p);
	partition_drop_waiting(p);
	p->suspect->trial = NULL;
	p->phase = PHASE_RECORD;
	partition_set_state(p, STATE_REFUSED, why.text);
	const struct dead_letter d = {
		.record = &r, .source_offset = src, .error = e, .detail = detail};
	p->env->host->park(p->env->host_ctx, p, &d);
	records_reader_free(rr);
}

bool partition_suspect_parking(const struct partition *p)
{
	return p->suspect != NULL && p->suspect->parking;
}

void partition_on_parked(struct partition *p, enum err e, const struct errmsg *why)
{
	if (p->phase != PHASE_RECORD || !partition_suspect_parking(p))
		return;
	p->suspect->parking = false;
	if (e == ERR_OK) {
		struct gap g = *p->gap;
		g.reason = p->reason.text;
		p->counters.dead_letters++;
		p->env->host->record(p->env->host_ctx, p, &g);
		return;
	}
	int64_t src = p->gap->source_first;
	partition_suspect_free(p);
	partition_fault(p, STATE_REFUSED, e,
			"the target refuses the record at source offset %" PRId64
			", and it cannot be parked: %s; tried again every 30 s",
			src, why->text);
}

void partition_suspect_recorded(struct partition *p)
{
	struct suspect *s = p->suspect;
	p->src_acked = p->gap->source_end;
	p->last_epoch = s->parked_epoch;
	runs_advance_source(p->runs, p->src_acked);
	partition_policy_forget(p);
	s->bad_end = -1;
	s->span = 1;
	p->attempt = 0;
	again(p);
	/* What a dead process sent behind the record has the sequences that ours would have now. */
	partition_take_producer(p, p->src_acked, p->dst_acked);
}

/* ---- trials ---- */

/* The trial was refused by the target, or is larger than the target takes. */
void partition_suspect_refused(struct partition *p, const struct unit *u, enum err e,
			       const char *detail)
{
	struct suspect *s = p->suspect;
	p->sequence = s->sequence;
	p->dst_next = p->dst_acked;
	if (u->head.count == 1) {
		park(p, u, e, detail);
		return;
	}
	s->bad_end = u->src_end;
	again(p);
}

static int64_t next_end(const struct suspect *s, int64_t from)
{
	int64_t span = s->bad_end > from ? (s->bad_end - from) / 2 : s->span;
	if (span < 1)
		span = 1;
	return span < s->end - from ? from + span : s->end;
}

struct unit *partition_suspect_next(struct partition *p)
{
	struct suspect *s = p->suspect;
	struct unit *head = p->waiting.head;
	if (p->in_flight.n > 0)
		return NULL;
	if (s->trial == head) {
		s->sequence = p->sequence;
		return head;
	}
	/* What precedes the head holds nothing to copy. */
	int64_t from =
		head->head.base_offset > p->src_acked ? head->head.base_offset : p->src_acked;
	if (from >= s->end) {
		partition_suspect_free(p);
		return head;
	}
	s->trial_end = next_end(s, from);
	s->trial_epoch = head->leader_epoch;
	if (s->trial_end > head->src_end)
		s->trial_end = head->src_end;
	struct rebatch_task *task = rebatch_task_trial(p, s->trial_end);
	if (task == NULL) {
		partition_fault(p, STATE_TARGET_UNAVAILABLE, ERR_NOMEM, "slow path: out of memory");
		return NULL;
	}
	p->task = task;
	p->env->host->rebatch(p->env->host_ctx, p, task);
	return NULL;
}

void partition_suspect_rebatched(struct partition *p, struct rebatch_task *task)
{
	struct suspect *s = p->suspect;
	struct unit_queue out;
	struct errmsg why = {""};
	int64_t src = p->src_acked;

	unit_queue_init(&out);
	enum err e = rebatch_task_result(task, &out, &why);
	if (e == ERR_OK && out.n > 1) {
		/* More than the slow path puts into one batch: take less. */
		s->bad_end = s->trial_end;
		unit_queue_clear(&out);
		again(p);
		return;
	}
	if (e != ERR_OK) {
		partition_suspect_free(p);
		partition_fault(p, e == ERR_NOMEM ? STATE_TARGET_UNAVAILABLE : STATE_REFUSED, e,
				"looking for the record that the target refuses, at source offset "
				"%" PRId64 ": %s",
				src, why.text[0] != '\0' ? why.text : err_text(e));
		return;
	}
	partition_drop_waiting(p);
	if (out.n == 0) {
		p->src_acked = s->trial_end;
		p->last_epoch = s->trial_epoch;
		runs_advance_source(p->runs, p->src_acked);
		p->env->host->store(p->env->host_ctx, p, false);
		again(p);
		return;
	}
	struct unit *u = unit_queue_pop(&out);
	u->src_end = s->trial_end;
	if (u->whole.n > (size_t)p->env->target_max_batch) {
		char detail[100];
		snprintf(detail, sizeof detail,
			 "MESSAGE_TOO_LARGE: %zu bytes, max.message.bytes is %d", u->whole.n,
			 (int)p->env->target_max_batch);
		s->sequence = p->sequence;
		partition_suspect_refused(p, u, ERR_KAFKA_MESSAGE_TOO_LARGE, detail);
		unit_free(u);
		return;
	}
	unit_queue_push(&p->waiting, u);
	s->trial = u;
}
