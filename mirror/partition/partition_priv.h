/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the partition share: its life (partition.c), the sending (partition_send.c),
 * the resume procedure (partition_resume.c), the alignment (partition_align.c), the takeover
 * (partition_takeover.c), the intake of fetched batches (partition_intake.c). Not for others. */
#ifndef FARSHORE_MIRROR_PARTITION_PRIV_H
#define FARSHORE_MIRROR_PARTITION_PRIV_H

#include "mirror/partition/partition.h"

struct align_result;
struct align_options;

/* Requests of a dead process or connection, and batches above the high watermark, are gone or
 * visible after that long (replica.lag.time.max.ms and request timeouts: 30 s). */
enum { PARTITION_LATE_MS = 45 * 1000 };

/* Leave copying (or starting) for `state`. Waiting units are dropped, answers in flight are still
 * taken; then the partition waits and probes again, or stops if a person is needed. The detail is
 * formatted into the reason. */
void partition_fault(struct partition *p, enum mirror_state state, enum err cause, const char *fmt,
		     ...) __attribute__((format(printf, 4, 5)));

/* The one mover of states. */
void partition_set_state(struct partition *p, enum mirror_state to, const char *reason);

/* Ask for a probe. */
void partition_probe(struct partition *p);

/* The same, and STARTING because of `why`. */
void partition_look_again(struct partition *p, const char *why);

/* Everything is known: the next record to copy is `src`, it will land at `dst`. Stores the position
 * first if need be, then copies. */
void partition_begin_copy(struct partition *p, int64_t src, int64_t dst);

/* Ask the host for more records if there is room. */
void partition_want_more(struct partition *p);

void partition_fetch_stop(struct partition *p);

/* Drop what has not been sent. */
void partition_drop_waiting(struct partition *p);

/* All answers are in after a fault: wait and probe again, or stop. */
void partition_leave_drain(struct partition *p);

/* ACTIVE when nothing waits at the source; CATCHING_UP when that has not been so for a while. */
void partition_judge_progress(struct partition *p);

/* ---- partition_send.c ---- */
/* If everything fetched is done: the position is behind it, markers and aborted batches included.
 */
void partition_all_done(struct partition *p);
/* If there is something to send: tell the host, once. */
void partition_tell_ready(struct partition *p);

/* Take in the batches of a fetch answer while copying. */
void partition_intake(struct partition *p, const struct fetch_result *r);

/* The sequence that follows the target's last batch, if that batch is ours: else false. One of a
 * later epoch is ours too, and the epoch is taken over: a dead process stored its position late. */
bool partition_sequence_from_tail(struct partition *p, const struct probe_result *r);

/* Go on at (src, dst) with a new producer. */
void partition_take_producer(struct partition *p, int64_t src, int64_t dst);

/* Position (src, dst) is right: go on there. */
void partition_continue_at(struct partition *p, int64_t src, int64_t dst,
			   const struct probe_result *r);

/* Why the source does not have the topic; "" if nothing is known to be wrong. */
static inline const char *partition_trouble(const struct partition *p)
{
	return p->env->source_trouble != NULL ? p->env->source_trouble : "";
}

/* The source lost first .. end-1 before they were copied: each offset counts once, however often it
 * is found. */
static inline void partition_count_missing(struct partition *p, int64_t first, int64_t end)
{
	if (first < p->missing_end)
		first = p->missing_end;
	if (end <= first)
		return;
	p->counters.missing_records += (uint64_t)(end - first);
	p->missing_end = end;
}

/* The source's topic is another one than the run table's. */
static inline bool partition_other_source(const struct partition *p)
{
	const struct uuid *is = &p->env->source_id, *was = &p->stored_id;
	return !uuid_is_zero(is) && !uuid_is_zero(was) && !uuid_eq(is, was);
}

/* The target ends before the table does: cut the table, find out where to go on. */
void partition_target_truncated(struct partition *p, const struct probe_result *r);

/* The target is ahead of the table: find out what lies there. */
void partition_align_begin(struct partition *p, const struct probe_result *r);

/* The same where others may write too: find what is ours behind the last batch that the table
 * knows; `sequence`: that of the first record behind the table, -1: not known. */
void partition_align_shared(struct partition *p, const struct probe_result *r, int32_t sequence);

/* After a start, and the target ends where the table does: compare its last batch with the source's
 * records, which costs one fetch. False: there is nothing that can be compared so. */
bool partition_align_check(struct partition *p, const struct probe_result *r);

/* Does the policy say how to go on after this state? */
bool partition_acts(const struct partition *p, enum mirror_state s);

/* Reached by the resume procedure after a probe, where the policy acts. */
void partition_policy_data_loss(struct partition *p, const struct probe_result *r);
void partition_policy_recreated(struct partition *p, const struct probe_result *r);
/* The source's log ends, or parts from what was copied, at `end` or before. */
void partition_policy_truncated(struct partition *p, int64_t end, int64_t target_end,
				const char *why);
/* Others wrote to foreign_first .. foreign_end-1 of the target; answers are in. */
void partition_policy_foreign(struct partition *p);
/* The alignment with the new topic is done; `equal`: what the target holds is its copy. */
void partition_policy_compared(struct partition *p, bool equal);
/* True: something sent before may still arrive; the loss that `state` names is not passed yet. */
bool partition_policy_late(struct partition *p, enum mirror_state state, const char *why);
/* The alignment that looked for the place where they part is done; or another one found that what
 * this link wrote is not what the source has. */
void partition_policy_parted(struct partition *p);

/* ---- partition_suspect.c ---- */
bool partition_refuses_records(enum err e);
/* Search in src_acked .. end-1 for the record that the target refuses, from the next copying on.
 * False: the policy does not want that (or there is no memory). */
bool partition_suspect_begin(struct partition *p, int64_t end);
void partition_suspect_free(struct partition *p);
/* Copying was left: the trial, if there was one, is no more. */
void partition_suspect_left(struct partition *p);
/* The unit at the head of `waiting` if it is a trial (or nothing is suspected any more); NULL: not
 * yet. */
struct unit *partition_suspect_next(struct partition *p);
void partition_suspect_rebatched(struct partition *p, struct rebatch_task *task);
void partition_suspect_refused(struct partition *p, const struct unit *u, enum err e,
			       const char *detail);
void partition_suspect_landed(struct partition *p);
bool partition_suspect_parking(const struct partition *p);
void partition_suspect_recorded(struct partition *p);

/* The host could not take the record (or the dead letter). */
void partition_policy_ask_again(struct partition *p);

/* Forget what was to be recorded. */
void partition_policy_forget(struct partition *p);

/* Probe again without a visible fault: something raced with us, and the target's tail will tell
 * what. */
void partition_reprobe(struct partition *p, enum err cause);

/* Begin an alignment with these options. */
void partition_align_with(struct partition *p, const struct align_options *o);

/* Feed a fetch answer to the alignment. */
void partition_align_feed(struct partition *p, const struct fetch_result *r);

/* The first of `u`'s records landed at `base`: the table and the position grow. */
void partition_landed(struct partition *p, struct unit *u, int64_t base);

/* What of a fetch answer may be taken in: all before the first batch whose origin is not known yet.
 * Then `origin_waits` is set, and fetching goes on with partition_on_origin. */
struct bytes partition_known(struct partition *p, const struct fetch_result *r);

/* Is this batch a copy that the other link wrote? It was in what partition_known gave. */
bool partition_is_copy(void *p, const struct batch_head *h);

/* The alignment needs something. */
void partition_align_step(struct partition *p);

/* ---- partition_shared.c ---- */
/* The decision after a probe that found both sides well. */
void partition_shared_probed(struct partition *p, const struct probe_result *r);
/* Nothing of ours was ever there: begin. */
void partition_shared_begin(struct partition *p, int64_t src, int64_t dst);
/* The alignment found what there is of ours: go on. */
void partition_shared_aligned(struct partition *p, const struct align_result *r);
/* Our last batch is not where it was: look further back. */
void partition_shared_lost(struct partition *p);
/* Records of ours may stand below where the table is complete: look again from the last it knows.
 */
void partition_shared_stale(struct partition *p);
/* A batch was appended at `base` by the answer. True: it is the one that is next by its sequence,
 * and lies behind all that is known. */
bool partition_shared_in_order(struct partition *p, const struct unit *u, int64_t base);

/* ---- partition_takeover.c ---- */
/* Nothing is stored, and the target has records: take over what MirrorMaker 2 copied. */
void partition_takeover_begin(struct partition *p, const struct probe_result *r);
/* Feed a fetch answer to the takeover. */
void partition_takeover_feed(struct partition *p, const struct fetch_result *r);
void partition_takeover_timer(struct partition *p);
/* Leave a takeover that is under way. */
void partition_takeover_leave(struct partition *p);

/* Nothing waits and nothing is in flight: everything fetched is done. */
static inline bool partition_drained(const struct partition *p)
{
	return p->waiting.n == 0 && p->in_flight.n == 0 && p->task == NULL;
}

#endif
