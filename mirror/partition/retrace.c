/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk of retrace.h. For each part of the target (retrace_part.h):
 *
 *   LOAD      read it
 *   FORWARD   the source from the position on: what is copied
 *   BELOW     if something is not explained: the source below the position, nearest first
 *   AHEAD     then the source beyond it
 *   AGAIN     then, if the source has lost records, the target below the part
 *   judge     every record; then the next part
 *
 * Records that stand before the first one copied, while the source has lost its beginning, are
 * `gone` and not searched for, but for those of the first part of a target that has lost its
 * beginning, too: who knows which lost more.
 *
 * The walk begins anew, from the starts of both logs, if the anchor proves wrong, if the target
 * turns out to stamp its records, or if it must be read with holes (`holes`: records are assigned,
 * not followed): when the target lacks the source's beginning, or what is believed to be copied.
 */
#include "mirror/partition/retrace.h"

#include <assert.h>
#include <inttypes.h>

#include "lib/base/mem.h"
#include "lib/wire/batch.h"
#include "lib/wire/records.h"
#include "mirror/partition/aborted.h"
#include "mirror/partition/retrace_part.h"

enum stage { LOAD, FORWARD, BELOW, AHEAD, AGAIN, DONE, MISMATCH };

enum { BELOW_SLACK = 64 << 10 };

struct retrace {
	struct retrace_options o;
	enum stage stage;
	bool anchored;      /* began at the anchor */
	bool proven;        /* and the pair was seen to be one */
	bool holes;         /* source records may be missing on the target */
	bool no_timestamps; /* records are compared without */
	bool again;         /* begin anew when the present feed ends */
	bool to_end;        /* FORWARD came to the end of the source */
	bool source_seen;   /* the source has visible records */
	struct retrace_part part;
	struct runs *runs;
	int64_t position;     /* source offsets below are on the target */
	int64_t forward_from; /* the position when the part began */
	int64_t target_next;  /* LOAD */
	int64_t source_next;  /* FORWARD, BELOW, AHEAD */
	int64_t source_to;    /* exclusive; INT64_MAX: to the end */
	int64_t below, step;  /* BELOW: what is searched already begins here; size of the next */
	int64_t again_next;   /* AGAIN */
	int64_t judged;       /* target offsets below are */
	bool in_double;       /* the last record judged was doubled */
	int32_t epoch;        /* of the batch under way */
	size_t head;          /* records of the part before the first that is copied */
	bool first;           /* no part was judged yet */
	struct retrace_result result;
};

/* ---- life ---- */

/* Begin from the anchor or from the starts. */
static enum err begin(struct retrace *a, bool anchored)
{
	struct runs *runs = runs_new(a->o.runs_budget);
	if (runs == NULL)
		return ERR_NOMEM;
	runs_free(a->runs);
	a->runs = runs;
	a->stage = LOAD;
	a->anchored = anchored;
	a->proven = !anchored;
	a->again = false;
	a->first = true;
	a->in_double = false;
	a->source_seen = false;
	a->position = anchored ? a->o.anchor_src : a->o.src_start;
	a->target_next = a->judged = anchored ? a->o.anchor_dst : a->o.dst_start;
	a->result = (struct retrace_result){.epoch = -1, .from_start = !anchored};
	retrace_part_clear(&a->part);
	const struct runs_past unknown = {a->o.src_start, a->o.dst_start, a->o.anchor_src,
					  a->o.anchor_dst, RUNS_UNCOUNTED};
	return anchored ? runs_restore(runs, &unknown) : ERR_OK;
}

/* A pair within both logs, as far as they are known. */
static bool anchor_fits(const struct retrace_options *o)
{
	return o->anchor_src >= o->src_start && o->anchor_dst >= o->dst_start &&
	       o->anchor_dst < o->dst_end && !o->compacted;
}

enum err retrace_new(const struct retrace_options *o, struct retrace **out)
{
	assert(o->src_start >= 0 && o->dst_start >= 0 && o->dst_start <= o->dst_end);
	*out = NULL;
	struct retrace *a = mem_zalloc(1, sizeof *a);
	if (a == NULL)
		return ERR_NOMEM;
	a->o = *o;
	a->holes = o->compacted;
	retrace_part_init(&a->part, o->part_max == 0 ? RETRACE_PART : o->part_max);
	enum err e = begin(a, anchor_fits(o));
	if (e == ERR_OK && o->dst_start == o->dst_end)
		e = retrace_end_target(a);
	if (e != ERR_OK) {
		retrace_free(a);
		return e;
	}
	*out = a;
	return ERR_OK;
}

void retrace_free(struct retrace *a)
{
	if (a == NULL)
		return;
	retrace_part_fini(&a->part);
	runs_free(a->runs);
	mem_free(a);
}

enum retrace_need retrace_need(const struct retrace *a)
{
	switch (a->stage) {
	case LOAD:
	case AGAIN:
		return RETRACE_TARGET;
	case FORWARD:
	case BELOW:
	case AHEAD:
		return RETRACE_SOURCE;
	case DONE:
		return RETRACE_DONE;
	case MISMATCH:
		break;
	}
	return RETRACE_MISMATCH;
}

int64_t retrace_target_next(const struct retrace *a)
{
	return a->stage == AGAIN ? a->again_next : a->target_next;
}

int64_t retrace_source_next(const struct retrace *a)
{
	return a->source_next;
}

int64_t retrace_done_to(const struct retrace *a)
{
	return a->judged;
}

const struct retrace_result *retrace_result(const struct retrace *a)
{
	assert(a->stage == DONE || a->stage == MISMATCH);
	return &a->result;
}

struct runs *retrace_take_runs(struct retrace *a)
{
	assert(a->stage == DONE);
	struct runs *runs = a->runs;
	a->runs = NULL;
	return runs;
}

void retrace_extend(struct retrace *a, int64_t dst_end)
{
	assert(a->stage == DONE && dst_end >= a->o.dst_end);
	a->o.dst_end = dst_end;
	a->stage = LOAD;
}

/* ---- the end ---- */

static void mismatch(struct retrace *a)
{
	a->stage = MISMATCH;
}

/* Nothing of the target is like anything that the source has. */
static enum err nothing_copied(struct retrace *a)
{
	bool empty = !a->source_seen && a->o.believed >= a->o.src_start;
	if (!empty && a->o.dst_start < a->o.dst_end) {
		errmsg_set(&a->result.detail, ERR_MALFORMED,
			   "none of the target's records (offsets %" PRId64 " to %" PRId64
			   ") is one that the source has",
			   a->o.dst_start, a->o.dst_end - 1);
		mismatch(a);
		return ERR_OK;
	}
	if (a->o.believed < 0) {
		errmsg_set(&a->result.detail, ERR_MALFORMED,
			   "the target's records are deleted, and no stored position says how far "
			   "they went");
		mismatch(a);
		return ERR_OK;
	}
	a->result.unverified = true;
	a->position = a->o.believed;
	int64_t from = a->o.src_start < a->position ? a->o.src_start : a->position;
	const struct runs_past unknown = {from, a->o.dst_start, a->position, a->o.dst_end,
					  RUNS_UNCOUNTED};
	struct runs *runs = runs_new(a->o.runs_budget);
	if (runs == NULL)
		return ERR_NOMEM;
	runs_free(a->runs);
	a->runs = runs;
	return runs_restore(runs, &unknown);
}

static enum err finish(struct retrace *a)
{
	struct retrace_result *r = &a->result;
	bool unlike = r->copied == 0 && r->ahead + r->gone > 0;
	bool lacks = r->ahead > 0 && a->position < a->o.believed;
	if (!a->holes && (unlike || lacks)) {
		a->holes = true;
		return begin(a, false);
	}
	enum err e = ERR_OK;
	a->stage = DONE;
	if (r->copied == 0 && (r->gone > 0 || a->o.dst_start == a->o.dst_end))
		e = nothing_copied(a);
	r->src = a->position;
	return e;
}

/* ---- judging a part ---- */

static void count_double(struct retrace *a, int64_t dst)
{
	struct retrace_result *r = &a->result;
	r->doubled++;
	if (!a->in_double)
		r->doubled_ranges_n++;
	if (r->doubled_ranges_n > RETRACE_RANGES)
		return;
	struct retrace_range *range = &r->doubled_ranges[r->doubled_ranges_n - 1];
	if (!a->in_double)
		range->first = dst;
	range->last = dst;
}

/* A record that is no copy of the next source record. False: nothing explains it. */
static bool judge_other(struct retrace *a, size_t i)
{
	struct retrace_result *r = &a->result;
	unsigned seen = retrace_part_seen(&a->part, i);
	bool lost = i < a->head || (a->holes && (a->o.compacted || a->o.src_start > 0));
	bool twice = (seen & RETRACE_SEEN) != 0 || (seen == 0 && retrace_part_repeats(&a->part, i));
	if (twice)
		count_double(a, a->part.dst[i]);
	else if (seen & RETRACE_ABORTED)
		r->aborted++;
	else if (seen & RETRACE_AHEAD)
		r->ahead++;
	else if (lost)
		r->gone++;
	else
		return false;
	a->in_double = twice;
	return true;
}

static enum err judge_copied(struct retrace *a, size_t i)
{
	enum err e = runs_append(a->runs, a->part.src[i], a->part.dst[i], 1);
	if (e != ERR_OK)
		return e;
	a->result.copied++;
	a->in_double = false;
	if (a->holes)
		a->position = a->part.src[i] + 1;
	return ERR_OK;
}

static enum err judge(struct retrace *a)
{
	const struct retrace_part *p = &a->part;
	bool lacks_head = !a->holes && a->first && a->o.dst_start > 0;
	for (size_t i = 0; i < p->n; i++) {
		bool copied = p->src[i] >= 0 && (!a->holes || p->src[i] >= a->position);
		enum err e = ERR_OK;
		if (copied) {
			e = judge_copied(a, i);
		} else if (!judge_other(a, i)) {
			errmsg_set(&a->result.detail, ERR_MALFORMED,
				   "the record at target offset %" PRId64
				   " is neither a copy of one that the source has nor of an "
				   "earlier one",
				   p->dst[i]);
			mismatch(a);
			return ERR_OK;
		}
		if (e != ERR_OK)
			return e;
		a->judged = p->dst[i] + 1;
	}
	if (lacks_head && a->result.ahead > 0) {
		a->holes = true;
		return begin(a, false);
	}
	a->first = false;
	retrace_part_clear(&a->part);
	a->stage = LOAD;
	return a->target_next >= a->o.dst_end ? finish(a) : ERR_OK;
}

/* ---- what to search next ---- */

static void search(struct retrace *a, enum stage stage, int64_t from, int64_t to)
{
	a->stage = stage;
	a->source_next = from;
	a->source_to = to;
}

/* The present stage is over; what comes next. */
static enum err advance(struct retrace *a)
{
	bool forward = a->stage == FORWARD;
	if (forward) {
		bool lost_head =
			!a->holes && !a->anchored && a->result.copied == 0 && a->o.src_start > 0;
		size_t copied = 0;
		while (copied < a->part.n && a->part.src[copied] < 0)
			copied++;
		a->head = lost_head ? copied : 0;
		bool search_head = a->first && a->o.dst_start > 0;
		retrace_part_settle(&a->part, search_head ? 0 : a->head);
		a->below = a->forward_from;
		a->step = 2 * (int64_t)a->part.n + BELOW_SLACK;
	}
	if (a->part.unseen == 0)
		return judge(a);
	if ((forward || a->stage == BELOW) && a->below > a->o.src_start) {
		int64_t to = a->below;
		a->below = to - a->o.src_start < a->step ? a->o.src_start : to - a->step;
		a->step = a->step < INT64_MAX / 8 ? 4 * a->step : a->step;
		search(a, BELOW, a->below, to);
	} else if ((forward || a->stage == BELOW) && !a->to_end) {
		search(a, AHEAD, a->position, INT64_MAX);
	} else if (a->stage != AGAIN && a->o.src_start > 0 && !a->o.compacted &&
		   a->part.dst[0] > a->o.dst_start) {
		a->stage = AGAIN;
		a->again_next = a->o.dst_start;
	} else {
		return judge(a);
	}
	return ERR_OK;
}

/* The part is full, or the target ends. */
static enum err loaded(struct retrace *a)
{
	if (a->part.n == 0)
		return finish(a);
	enum err e = retrace_part_index(&a->part);
	a->forward_from = a->position;
	a->to_end = false;
	search(a, FORWARD, a->position, INT64_MAX);
	return e;
}

/* ---- records ---- */

static uint64_t hash_of(const struct retrace *a, const struct record *r)
{
	struct record copy = *r;
	if (a->no_timestamps)
		copy.timestamp = 0;
	return record_hash(&copy);
}

/* What to do with a record of a batch; false ends the batch. */
typedef bool record_fn(struct retrace *a, const struct record *r, enum retrace_seen how,
		       enum err *e);

static bool on_loaded(struct retrace *a, const struct record *r, enum retrace_seen how, enum err *e)
{
	(void)how;
	if (r->offset >= a->o.dst_end) {
		a->target_next = r->offset;
		return false;
	}
	*e = retrace_part_add(&a->part, hash_of(a, r), r->offset);
	if (*e == ERR_LIMIT)
		*e = ERR_OK;
	else if (*e == ERR_OK)
		a->target_next = r->offset + 1;
	return *e == ERR_OK && a->part.n < a->part.max;
}

static bool on_again(struct retrace *a, const struct record *r, enum retrace_seen how, enum err *e)
{
	(void)how, (void)e;
	if (r->offset < a->part.dst[0])
		retrace_part_see(&a->part, hash_of(a, r), RETRACE_SEEN);
	a->again_next = r->offset + 1;
	return a->again_next < a->part.dst[0] && a->part.unseen > 0;
}

/* The anchor's source record must be the part's first. */
static bool prove(struct retrace *a, const struct record *r, uint64_t hash)
{
	a->proven = r->offset == a->o.anchor_src && a->part.dst[0] == a->o.anchor_dst &&
		    a->part.hash[0] == hash;
	a->again = !a->proven;
	return a->proven;
}

static bool forward_record(struct retrace *a, const struct record *r, uint64_t hash)
{
	if (!a->proven && !prove(a, r, hash))
		return false;
	if (a->holes) {
		retrace_part_assign(&a->part, hash, r->offset);
		return a->part.unseen > 0;
	}
	if (!retrace_part_follow(&a->part, hash, r->offset))
		return false;
	a->position = r->offset + 1;
	a->result.epoch = a->epoch;
	return a->part.from < a->part.n;
}

static bool on_source(struct retrace *a, const struct record *r, enum retrace_seen how, enum err *e)
{
	(void)e;
	if (r->offset >= a->source_to)
		return false;
	uint64_t hash = hash_of(a, r);
	if (how == RETRACE_ABORTED) {
		retrace_part_see(&a->part, hash, how);
		return true;
	}
	a->source_seen = true;
	if (a->stage == FORWARD)
		return forward_record(a, r, hash);
	if (a->holes)
		retrace_part_assign(&a->part, hash, r->offset);
	else
		retrace_part_see(&a->part, hash, a->stage == AHEAD ? RETRACE_AHEAD : RETRACE_SEEN);
	return a->part.unseen > 0;
}

/* ---- batches ---- */

/* The batches of a feed, and what is done with each record at or beyond `*next`. */
struct feed {
	record_fn *record;
	int64_t *next;
	bool target;
	bool more; /* false: a record ended it */
};

/* The last offset of what batch_walk_next found, magic 2 or older. */
static int64_t last_offset(const struct batch_head *h)
{
	return h->magic < 2 ? h->base_offset : batch_last_offset(h);
}

static enum err feed_records(struct retrace *a, struct feed *f, struct bytes whole,
			     enum retrace_seen how, struct errmsg *why)
{
	struct records_reader *rr;
	enum err e = records_reader_open(whole, a->o.decode_max, &rr, why);
	if (e != ERR_OK)
		return e;
	struct record r;
	int64_t from = *f->next;
	while (f->more && e == ERR_OK && records_reader_next(rr, &r))
		if (r.offset >= from)
			f->more = f->record(a, &r, how, &e);
	if (e != ERR_OK)
		errmsg_set(why, e, "%s", err_text(e));
	else if (f->more)
		e = records_reader_error(rr, why);
	records_reader_free(rr);
	return e;
}

static enum err feed_batch(struct retrace *a, struct feed *f, struct aborted_filter *filter,
			   const struct batch_head *h, struct bytes whole, struct errmsg *why)
{
	enum aborted_verdict verdict = ABORTED_KEEP;
	if (h->magic >= 2)
		verdict = aborted_filter_next(filter, h, whole, why);
	if (verdict == ABORTED_MALFORMED)
		return ERR_MALFORMED;
	if (last_offset(h) < *f->next)
		return ERR_OK;
	bool skip = verdict == ABORTED_DROP_CONTROL || (h->magic >= 2 && h->count == 0) ||
		    (verdict == ABORTED_DROP && f->target);
	if (f->target && !skip && (h->attributes & BATCH_LOG_APPEND_TIME) && !a->no_timestamps) {
		a->no_timestamps = true;
		a->again = true;
		f->more = false;
		return ERR_OK;
	}
	a->epoch = h->magic >= 2 ? h->leader_epoch : -1;
	enum err e = ERR_OK;
	if (!skip)
		e = feed_records(a, f, whole,
				 verdict == ABORTED_DROP ? RETRACE_ABORTED : RETRACE_SEEN, why);
	if (e == ERR_OK && f->more)
		*f->next = last_offset(h) + 1;
	return e;
}

static enum err feed(struct retrace *a, struct feed *f, struct bytes records,
		     const struct fetch_response_aborted_transaction *aborted, int32_t aborted_n,
		     struct errmsg *why)
{
	struct aborted_filter filter;
	enum err e = aborted_filter_init(&filter, aborted, aborted_n);
	if (e != ERR_OK)
		return errmsg_set(why, e, "aborted transactions: %s", err_text(e));
	struct batch_walk walk = {.left = records};
	struct batch_head h;
	struct bytes whole;
	f->more = true;
	while (e == ERR_OK && f->more) {
		enum batch_walk_result found = batch_walk_next(&walk, &h, &whole, why);
		if (found == BATCH_WALK_MALFORMED)
			e = ERR_MALFORMED;
		else if (found == BATCH_WALK_END)
			break;
		else
			e = feed_batch(a, f, &filter, &h, whole, why);
	}
	aborted_filter_fini(&filter);
	return e == ERR_OK
		       ? e
		       : errmsg_wrap(why, e,
				     f->target ? "the target's records" : "the source's records");
}

enum err retrace_feed_target(struct retrace *a, struct bytes records,
			     const struct fetch_response_aborted_transaction *aborted,
			     int32_t aborted_n, struct errmsg *why)
{
	assert(retrace_need(a) == RETRACE_TARGET);
	struct feed f = {.target = true};
	f.record = a->stage == LOAD ? on_loaded : on_again;
	f.next = a->stage == LOAD ? &a->target_next : &a->again_next;
	enum err e = feed(a, &f, records, aborted, aborted_n, why);
	if (e != ERR_OK)
		return e;
	if (a->again)
		return begin(a, a->anchored);
	if (a->stage == LOAD && (!f.more || a->target_next >= a->o.dst_end))
		return loaded(a);
	if (a->stage == AGAIN && (!f.more || a->again_next >= a->part.dst[0]))
		return advance(a);
	return ERR_OK;
}

enum err retrace_feed_source(struct retrace *a, struct bytes records,
			     const struct fetch_response_aborted_transaction *aborted,
			     int32_t aborted_n, struct errmsg *why)
{
	assert(retrace_need(a) == RETRACE_SOURCE);
	struct feed f = {.record = on_source, .next = &a->source_next};
	enum err e = feed(a, &f, records, aborted, aborted_n, why);
	if (e != ERR_OK)
		return e;
	if (a->again)
		return begin(a, false);
	return !f.more || a->source_next >= a->source_to ? advance(a) : ERR_OK;
}

enum err retrace_end_target(struct retrace *a)
{
	assert(retrace_need(a) == RETRACE_TARGET);
	if (a->stage == AGAIN)
		return advance(a);
	a->target_next = a->o.dst_end;
	return loaded(a);
}

enum err retrace_end_source(struct retrace *a)
{
	assert(retrace_need(a) == RETRACE_SOURCE);
	if (!a->proven)
		return begin(a, false);
	a->to_end = a->to_end || a->stage == FORWARD;
	return advance(a);
}
