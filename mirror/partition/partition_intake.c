/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes from the source: walk the batch heads of a fetch answer, drop what readers would not
 * see, turn every other batch into a unit and say whether it can be forwarded as it is. No record
 * is looked at here.
 */
#include <inttypes.h>

#include "mirror/partition/aborted.h"
#include "mirror/partition/partition_priv.h"

/* Why this batch cannot be sent as it is; UNIT_FORWARDED if it can. */
static enum unit_cause cause_of(const struct partition *p, const struct batch_head *h, size_t size)
{
	if (h->attributes & BATCH_LOG_APPEND_TIME)
		return UNIT_LOG_APPEND_TIME;
	if (!batch_is_dense(h))
		return UNIT_HOLES;
	if (h->base_offset < p->src_next)
		return UNIT_TRIMMED;
	if (size > (size_t)p->env->target_max_batch)
		return UNIT_TOO_LARGE;
	return UNIT_FORWARDED;
}

static enum err intake_unit(struct partition *p, struct frame *frame, struct bytes whole,
			    const struct batch_head *h, enum unit_cause cause)
{
	struct unit *u = unit_new(frame, whole, h);
	if (u == NULL)
		return ERR_NOMEM;
	u->cause = cause;
	u->raw = cause != UNIT_FORWARDED;
	u->trim_before = p->src_next;
	u->fetched_ms = clock_mono_ms(p->env->clock);
	p->src_next = u->src_end;
	p->next_epoch = h->leader_epoch;
	unit_queue_push(&p->waiting, u);
	return ERR_OK;
}

/* An entry of an old message set: its offset is that of the last message inside. */
static enum err intake_old(struct partition *p, struct frame *frame, struct bytes whole,
			   struct batch_head *h)
{
	if (h->base_offset < p->src_next)
		return ERR_OK;
	h->leader_epoch = -1;
	h->last_offset_delta = 0;
	h->count = 0;
	return intake_unit(p, frame, whole, h, UNIT_OLD_FORMAT);
}

static enum err intake_batch(struct partition *p, struct aborted_filter *aborted,
			     struct frame *frame, struct bytes whole, const struct batch_head *h,
			     struct errmsg *why)
{
	/* The filter sees every batch, also those before our position: a fetch gives whole batches.
	 */
	enum aborted_verdict verdict = aborted_filter_next(aborted, h, whole, why);
	if (verdict == ABORTED_MALFORMED)
		return ERR_MALFORMED;
	if (batch_last_offset(h) < p->src_next)
		return ERR_OK;
	bool copy = verdict == ABORTED_KEEP && partition_is_copy(p, h);
	if (verdict == ABORTED_KEEP && h->count > 0 && !copy)
		return intake_unit(p, frame, whole, h, cause_of(p, h, whole.n));
	if (verdict == ABORTED_DROP_CONTROL)
		p->counters.control_batches++;
	else if (verdict == ABORTED_DROP)
		p->counters.aborted_batches++;
	else if (copy)
		p->counters.copy_batches++;
	p->src_next = batch_last_offset(h) + 1;
	p->next_epoch = h->leader_epoch;
	return ERR_OK;
}

/* ---- what the link in the other direction wrote ---- */

static enum origin_verdict origin(struct partition *p, const struct batch_head *h)
{
	if (!p->env->two_way || h->magic < 2 || (h->attributes & BATCH_CONTROL))
		return ORIGIN_LOCAL;
	return p->env->host->origin(p->env->host_ctx, p, h);
}

struct bytes partition_known(struct partition *p, const struct fetch_result *r)
{
	struct batch_walk walk = {.left = r->records};
	struct batch_head h;
	struct bytes whole;
	enum batch_walk_result found;
	if (!p->env->two_way)
		return r->records;
	while ((found = batch_walk_next(&walk, &h, &whole, NULL)) == BATCH_WALK_BATCH ||
	       found == BATCH_WALK_OLD) {
		if (found == BATCH_WALK_OLD || batch_last_offset(&h) < p->src_next ||
		    origin(p, &h) != ORIGIN_UNKNOWN)
			continue;
		p->origin_waits = true;
		return bytes_of(r->records.p, (size_t)(whole.p - r->records.p));
	}
	/* What is cut off or malformed behind them is for those who take them in. */
	return r->records;
}

bool partition_is_copy(void *arg, const struct batch_head *h)
{
	return origin(arg, h) == ORIGIN_COPY;
}

void partition_on_origin(struct partition *p)
{
	if (!p->origin_waits)
		return;
	p->origin_waits = false;
	if (p->phase == PHASE_ALIGN)
		partition_align_step(p);
	else
		partition_want_more(p);
}

void partition_intake(struct partition *p, const struct fetch_result *r)
{
	struct aborted_filter aborted;
	enum err e = aborted_filter_init(&aborted, r->aborted, r->aborted_n);
	if (e != ERR_OK) {
		partition_fault(p, STATE_SOURCE_UNAVAILABLE, e, "aborted transactions: %s",
				err_text(e));
		return;
	}
	struct batch_walk walk = {.left = partition_known(p, r)};
	enum batch_walk_result found = BATCH_WALK_END;
	struct batch_head h;
	struct bytes whole;
	struct errmsg why = {""};

	while (e == ERR_OK) {
		found = batch_walk_next(&walk, &h, &whole, &why);
		if (found == BATCH_WALK_BATCH)
			e = intake_batch(p, &aborted, r->frame, whole, &h, &why);
		else if (found == BATCH_WALK_OLD)
			e = intake_old(p, r->frame, whole, &h);
		else
			break;
	}
	aborted_filter_fini(&aborted);
	if (e != ERR_OK && e != ERR_MALFORMED)
		partition_fault(p, STATE_SOURCE_UNAVAILABLE, e, "taking in fetched batches: %s",
				err_text(e));
	else if (e == ERR_MALFORMED || found == BATCH_WALK_MALFORMED)
		partition_fault(p, STATE_SOURCE_UNAVAILABLE, ERR_MALFORMED,
				"the source's answer after offset %" PRId64
				" is not a valid record set: %s",
				p->src_next, why.text);
}
