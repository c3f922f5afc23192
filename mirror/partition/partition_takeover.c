/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A partition whose target was filled by MirrorMaker 2 (MM2), and of which nothing is stored: walk
 * both logs (retrace.h), take over what was found as if this link had copied it. Runs in
 * PHASE_TAKEOVER only, up to where a new producer is asked for; from there on the partition is like
 * a new one: its position is stored before the first record is sent.
 *
 * Nothing begins while somebody else still writes: when all is explained, the target's end must not
 * move for SETTLE_MS. What it grew by meanwhile is explained, too; if it goes on growing, the
 * takeover goes on waiting.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "lib/base/mem.h"
#include "mirror/clusters/target_reader.h"
#include "mirror/partition/partition_priv.h"
#include "mirror/partition/retrace.h"

enum {
	SETTLE_MS = 1000,
	GROWS_MS = 5000, /* between looks at a target that grows */
	GROWS_TOLD = 2,  /* looks after which it is said */
	OPEN_MS = 1000,  /* between looks at an open transaction */
	RETRY_MS = 5000, /* a record that an open transaction may explain */
};

enum settle { WALKS, SETTLES, LOOKS };

struct partition_takeover {
	struct retrace *retrace; /* NULL: it is over */
	enum settle settle;
	int64_t start, end; /* the target's offsets that are looked at */
	unsigned grew;
	bool begun; /* the host was told so, and not yet of the end */
	bool found; /* `result` is there */
	struct retrace_result result;
};

static void takeover_step(struct partition *p);

/* The state's text, without a line in the log for each step. */
static void say(struct partition *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct partition *p, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(p->reason.text, sizeof p->reason.text, fmt, ap);
	va_end(ap);
}

static void tell_end(struct partition *p, const struct retrace_result *result)
{
	struct partition_takeover *t = p->takeover;
	if (!t->begun)
		return;
	t->begun = false;
	p->env->host->takeover_end(p->env->host_ctx, p, result);
}

void partition_takeover_leave(struct partition *p)
{
	struct partition_takeover *t = p->takeover;
	if (t == NULL || t->retrace == NULL)
		return;
	retrace_free(t->retrace);
	t->retrace = NULL;
	tell_end(p, NULL);
}

/* STARTING, unless it is left with a fault shown: then only its text changes. */
static void show_starting(struct partition *p, const char *why)
{
	if (mirror_state_allowed(p->state, STATE_STARTING))
		partition_set_state(p, STATE_STARTING, why);
	else
		say(p, "%s", why);
}

static void wait_and_probe(struct partition *p, const char *why, int64_t ms)
{
	show_starting(p, why);
	p->phase = PHASE_WAIT;
	if (ms > 0)
		p->env->host->retry_in(p->env->host_ctx, p, ms);
}

void partition_takeover_begin(struct partition *p, const struct probe_result *r)
{
	struct takeover_words words = {r->target_end - r->target_start, -1, -1, -1, ""};
	if (p->takeover == NULL)
		p->takeover = mem_zalloc(1, sizeof *p->takeover);
	if (p->takeover == NULL) {
		partition_fault(p, STATE_TARGET_UNAVAILABLE, ERR_NOMEM, "takeover: out of memory");
		return;
	}
	if (!p->env->host->takeover_begin(p->env->host_ctx, p, &words)) {
		char why[200];
		snprintf(why, sizeof why, "taking over from MirrorMaker 2: %s", words.wait);
		wait_and_probe(p, why, 0);
		return;
	}
	*p->takeover = (struct partition_takeover){
		.begun = true, .start = r->target_start, .end = r->target_end};
	const struct retrace_options o = {
		.src_start = r->source_start,
		.dst_start = r->target_start,
		.dst_end = r->target_end,
		.believed = words.believed,
		.anchor_src = words.anchor_src,
		.anchor_dst = words.anchor_dst,
		.compacted = p->env->compacted,
		.decode_max = p->env->decode_max,
		.runs_budget = p->runs_budget,
	};
	enum err e = retrace_new(&o, &p->takeover->retrace);
	if (e != ERR_OK) {
		tell_end(p, NULL);
		partition_fault(p, STATE_TARGET_UNAVAILABLE, e, "takeover: %s", err_text(e));
		return;
	}
	show_starting(p, "taking over from MirrorMaker 2");
	p->phase = PHASE_TAKEOVER;
	takeover_step(p);
}

/* ---- the end ---- */

static void takeover_done(struct partition *p)
{
	struct partition_takeover *t = p->takeover;
	t->result = *retrace_result(t->retrace);
	t->found = true;
	runs_free(p->runs);
	p->runs = retrace_take_runs(t->retrace);
	retrace_free(t->retrace);
	t->retrace = NULL;
	p->stored_id = p->env->source_id;
	p->last_epoch = t->result.epoch;
	p->attempt = 0;
	p->src_acked = p->src_next = t->result.src;
	p->dst_acked = p->dst_next = t->end;
	tell_end(p, &t->result);
	show_starting(p, "");
	partition_take_producer(p, t->result.src, t->end);
}

static void takeover_mismatch(struct partition *p)
{
	struct errmsg detail = retrace_result(p->takeover->retrace)->detail;
	if (p->source_lso < p->source_hw) {
		char why[300];
		snprintf(
			why, sizeof why,
			"taking over from MirrorMaker 2: %.200s; waiting for the transactions that "
			"are open at the source",
			detail.text);
		partition_takeover_leave(p);
		wait_and_probe(p, why, RETRY_MS);
		return;
	}
	partition_fault(p, STATE_FOREIGN_WRITE, ERR_KAFKA_INVALID_PRODUCER_ID_MAPPING,
			"cannot take over %s-%d from MirrorMaker 2: %s: another writer is in the "
			"partition, or it is no copy of %s; nothing was written; delete the target "
			"topic to copy it afresh, or mirror to another name",
			p->env->target_topic, p->index, detail.text, p->env->source_topic);
}

static void takeover_fault(struct partition *p, enum err e, const struct errmsg *why)
{
	partition_fault(p, STATE_TARGET_UNAVAILABLE, e, "taking over from MirrorMaker 2: %s",
			why->text[0] != '\0' ? why->text : err_text(e));
}

/* ---- the walk ---- */

static void read_target(struct partition *p, int64_t offset)
{
	/* What a walk that was left has asked for does not fit this one. */
	p->target_stale = p->target_reading;
	if (p->target_reading)
		return;
	p->target_reading = p->env->host->read_committed(p->env->host_ctx, p, offset);
}

static void takeover_step(struct partition *p)
{
	struct partition_takeover *t = p->takeover;
	switch (retrace_need(t->retrace)) {
	case RETRACE_TARGET:
		read_target(p, retrace_target_next(t->retrace));
		return;
	case RETRACE_SOURCE:
		p->src_next = retrace_source_next(t->retrace);
		p->next_epoch = -1;
		p->fetching = true;
		p->env->host->fetch(p->env->host_ctx, p, p->src_next, true);
		return;
	case RETRACE_DONE:
		if (t->settle == LOOKS) {
			read_target(p, t->end);
			return;
		}
		t->settle = SETTLES;
		p->env->host->retry_in(p->env->host_ctx, p,
				       t->grew < GROWS_TOLD ? SETTLE_MS : GROWS_MS);
		return;
	case RETRACE_MISMATCH:
		takeover_mismatch(p);
		return;
	}
}

void partition_takeover_timer(struct partition *p)
{
	if (p->takeover->settle == SETTLES)
		p->takeover->settle = LOOKS;
	takeover_step(p);
}

static void show_progress(struct partition *p)
{
	struct partition_takeover *t = p->takeover;
	if (t->grew < GROWS_TOLD)
		say(p,
		    "taking over from MirrorMaker 2: compared up to target offset %" PRId64
		    " of %" PRId64,
		    retrace_done_to(t->retrace), t->end);
}

void partition_takeover_feed(struct partition *p, const struct fetch_result *r)
{
	struct retrace *a = p->takeover->retrace;
	int64_t before = retrace_source_next(a);
	struct errmsg why = {""};
	enum err e = retrace_feed_source(a, r->records, r->aborted, r->aborted_n, &why);
	if (e == ERR_OK && retrace_need(a) == RETRACE_SOURCE && retrace_source_next(a) == before &&
	    before >= p->source_lso)
		e = retrace_end_source(a);
	if (e != ERR_OK) {
		takeover_fault(p, e, &why);
		return;
	}
	show_progress(p);
	takeover_step(p);
}

/* All is explained; was anything written meanwhile? */
static void look(struct partition *p, const struct target_records *r)
{
	struct partition_takeover *t = p->takeover;
	if (r->end < t->end) {
		const struct errmsg why = {"the target lost records meanwhile"};
		takeover_fault(p, ERR_KAFKA_OFFSET_OUT_OF_RANGE, &why);
		return;
	}
	t->settle = WALKS;
	if (r->end > t->end) {
		t->grew++;
		if (t->grew >= GROWS_TOLD)
			show_starting(p, "taking over from MirrorMaker 2: the target still "
					 "grows: stop MirrorMaker 2, or whoever else writes to "
					 "it");
		t->end = r->end;
		retrace_extend(t->retrace, r->end);
		takeover_step(p);
		return;
	}
	takeover_done(p);
}

/* A transaction at the target is open: what it wrote counts or not, later. */
static void wait_open(struct partition *p, const struct target_records *r)
{
	say(p,
	    "taking over from MirrorMaker 2: waiting for the end of a transaction at the target, "
	    "open "
	    "from offset %" PRId64 " on",
	    r->stable);
	p->env->host->retry_in(p->env->host_ctx, p, OPEN_MS);
}

static void take_records(struct partition *p, const struct target_records *r)
{
	struct partition_takeover *t = p->takeover;
	struct errmsg why = {""};
	int64_t before = retrace_target_next(t->retrace);
	enum err e = retrace_feed_target(t->retrace, r->records, r->aborted, r->aborted_n, &why);
	bool nothing = e == ERR_OK && retrace_need(t->retrace) == RETRACE_TARGET &&
		       retrace_target_next(t->retrace) == before;
	if (nothing && before < r->end && before >= r->stable) {
		wait_open(p, r);
		return;
	}
	if (nothing && before >= r->end)
		e = retrace_end_target(t->retrace);
	if (e != ERR_OK) {
		takeover_fault(p, e, &why);
		return;
	}
	show_progress(p);
	takeover_step(p);
}

/* The other kind of read may end late, when this walk or that of partition_align.c asked already:
 * it is passed on as what it is then, stale. */
void partition_on_takeover_read(struct partition *p, enum err e, const struct target_records *r)
{
	bool stale = p->target_stale;
	p->target_reading = p->target_stale = false;
	if (p->phase == PHASE_ALIGN) {
		p->target_stale = stale;
		partition_on_target_read(p, e, (struct bytes){NULL, 0}, -1);
		return;
	}
	if (p->phase != PHASE_TAKEOVER)
		return;
	if (stale) {
		takeover_step(p);
		return;
	}
	if (e != ERR_OK) {
		const struct errmsg why = {""};
		p->env->host->refresh(p->env->host_ctx, p, false);
		takeover_fault(p, e, &why);
	} else if (p->takeover->settle != LOOKS) {
		take_records(p, r);
	} else if (r->stable >= 0 && r->stable < r->end) {
		wait_open(p, r);
	} else {
		look(p, r);
	}
}

/* ---- reading ---- */

const struct retrace_result *partition_taken_over(const struct partition *p)
{
	return p->takeover != NULL && p->takeover->found ? &p->takeover->result : NULL;
}

double partition_takeover_progress(const struct partition *p)
{
	const struct partition_takeover *t = p->takeover;
	if (t == NULL || t->retrace == NULL || p->phase != PHASE_TAKEOVER)
		return -1;
	int64_t all = t->end - t->start;
	return all == 0 ? 1 : (double)(retrace_done_to(t->retrace) - t->start) / (double)all;
}
