/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both ways hold the target's tail as a list of hashes: all of T..L-1 to match or to verify, the
 * last batch else. Counting reads only heads, but for batches whose records' offsets are not plain
 * from the head and those that reach into the verified tail.
 *
 * Invariants: the runs found are T..dst_next-1 in order, without the target's holes; in count every
 * target offset below dst_next is accounted for; in match all of the list below `at` was matched or
 * passed over.
 */
#include "mirror/partition/align.h"

#include <assert.h>
#include <inttypes.h>

#include "lib/base/mem.h"
#include "lib/wire/batch.h"
#include "lib/wire/records.h"
#include "mirror/partition/aborted.h"
#include "mirror/partition/tail.h"

struct align {
	struct align_options o;
	enum align_need need;
	struct tail tail;
	size_t at;           /* match: list index to go on with */
	int64_t target_next; /* match, verify: next target offset to read */
	int64_t src_next;
	int64_t dst_next; /* count: the target offset of the next source record */
	/* shared: */
	struct batch_head batch; /* at hand */
	bool sequence_known;
	int32_t sequence; /* of the next record of ours */
	int16_t epoch;    /* then */
	int64_t skip;     /* records gone since the last of the list; -1: not known how many */
	size_t skip_at;   /* while the source is read: the next of the skips */
	struct runs *found;
	struct align_result result;
};

/* The object */

static void align_done(struct align *a, int64_t src)
{
	a->need = ALIGN_DONE;
	a->result.src = src;
	a->src_next = src;
}

static void mismatch(struct align *a)
{
	a->need = ALIGN_MISMATCH;
}

static void not_the_copy(struct align *a, int64_t target, int64_t source)
{
	errmsg_set(&a->result.detail, ERR_MALFORMED,
		   "the record at target offset %" PRId64
		   " is not the one at source offset %" PRId64 ", of which it should be the copy",
		   target, source);
}

/* All of the target that is wanted was read. */
static void target_end(struct align *a)
{
	const struct tail *t = &a->tail;
	bool all = a->o.match || a->o.verify;
	int64_t first = all ? a->o.dst : t->n > 0 ? tail_offset(t, 0) : a->o.dst_end;
	a->result.holes = (int64_t)t->n != a->o.dst_end - first;
	a->need = ALIGN_SOURCE;
	if (a->o.shared && t->n == 0 && t->skips_n == 0)
		align_done(a, a->o.src);
}

/* Was our newest batch seen? Then the rest of the target needs no look. */
static void shared_stop(struct align *a)
{
	if (a->need != ALIGN_TARGET || !a->o.last_known || !a->sequence_known ||
	    a->target_next < a->o.dst || a->target_next >= a->o.dst_end ||
	    a->epoch != a->o.last_epoch || a->sequence != batch_sequence_add(a->o.last_sequence, 1))
		return;
	a->o.dst_end = a->result.dst_end = a->target_next;
	a->result.complete = true;
}

/* Read the last batch that is ours first, if the target still has that place; then go on at T. */
static void shared_begin(struct align *a)
{
	if (a->o.anchor >= a->o.target_start && a->o.anchor < a->o.dst)
		a->target_next = a->o.anchor;
	else if (a->target_next < a->o.target_start)
		a->target_next = a->o.target_start;
	a->sequence_known = a->o.sequence >= 0;
	a->sequence = a->o.sequence;
	a->epoch = a->o.producer_epoch;
	shared_stop(a);
	if (a->target_next >= a->o.dst_end)
		target_end(a);
}

enum err align_new(const struct align_options *o, struct align **out)
{
	assert(o->src >= 0 && o->dst >= 0 && o->dst + !o->shared <= o->dst_end);
	size_t max = o->records_max == 0 ? ALIGN_RECORDS_MAX : o->records_max;
	*out = NULL;
	bool all = o->match || o->verify || o->shared;
	if (all && !o->shared && (uint64_t)(o->dst_end - o->dst) > max)
		return ERR_LIMIT;
	struct align *a = mem_zalloc(1, sizeof *a);
	if (a == NULL)
		return ERR_NOMEM;
	/* What is found goes to the partition's table in the end, whose budget counts. */
	a->found = runs_new(SIZE_MAX);
	if (a->found == NULL) {
		mem_free(a);
		return ERR_NOMEM;
	}
	a->o = *o;
	a->need = ALIGN_TARGET;
	a->o.verify = o->verify || (o->shared && !o->match);
	a->tail.max = max;
	a->target_next = all ? o->dst : o->dst_end - 1;
	a->src_next = o->src;
	a->dst_next = o->dst;
	a->result.dst_end = o->dst_end;
	if (o->shared)
		shared_begin(a);
	*out = a;
	return ERR_OK;
}

void align_free(struct align *a)
{
	if (a == NULL)
		return;
	runs_free(a->found);
	tail_fini(&a->tail);
	mem_free(a);
}

enum align_need align_need(const struct align *a)
{
	return a->need;
}

int64_t align_target_next(const struct align *a)
{
	return a->target_next;
}

int64_t align_source_next(const struct align *a)
{
	return a->src_next;
}

const struct align_result *align_result(const struct align *a)
{
	assert(a->need == ALIGN_DONE || a->need == ALIGN_MISMATCH);
	return &a->result;
}

/* Records */

/* One record of a batch; false ends the batch (not an error by itself). */
struct each {
	bool (*record)(struct align *a, const struct record *r, bool no_timestamp, enum err *e);
	int64_t from; /* records below this offset are passed over */
};

static enum err decode_batch(struct align *a, struct bytes whole, bool no_timestamp,
			     const struct each *each, struct errmsg *why)
{
	struct records_reader *rr;
	enum err e = records_reader_open(whole, a->o.decode_max, &rr, why);
	if (e != ERR_OK)
		return e;
	struct record r;
	bool more = true;
	while (more && e == ERR_OK && records_reader_next(rr, &r))
		if (r.offset >= each->from)
			more = each->record(a, &r, no_timestamp, &e);
	if (e == ERR_LIMIT)
		errmsg_set(why, e, "more than %zu target records to hold", a->tail.max);
	else if (e != ERR_OK)
		errmsg_set(why, e, "%s", err_text(e));
	else if (more)
		e = records_reader_error(rr, why);
	records_reader_free(rr);
	return e;
}

/* The last offset of what batch_walk_next found, magic 2 or older. */
static int64_t last_offset(const struct batch_head *h)
{
	return h->magic < 2 ? h->base_offset : batch_last_offset(h);
}

/* The target */

/* There is no room for the batch's records: explain what is held, and the rest another time. */
static bool shared_part(struct align *a, const struct batch_head *h)
{
	if (a->tail.n == 0 || h->count <= 0 || (size_t)h->count <= a->tail.max - a->tail.n)
		return false;
	a->o.dst_end = a->result.dst_end = h->base_offset;
	target_end(a);
	return true;
}

/* The next sequence of ours that is there is this one: those before it are gone. */
static void shared_sequence(struct align *a, int32_t sequence, int16_t epoch)
{
	if (a->sequence_known && epoch != a->epoch)
		a->sequence = 0; /* each epoch of ours begins with it */
	int64_t gone = ((uint32_t)sequence - (uint32_t)a->sequence) & INT32_MAX;
	if (!a->sequence_known)
		a->skip = -1; /* whether some of ours stood before it cannot be seen */
	else if (a->skip >= 0)
		a->skip += gone;
	if (a->skip > 0 && a->tail.n == 0 && a->o.anchor >= a->o.target_start &&
	    a->o.dst > a->o.anchor + 1)
		a->need = ALIGN_STALE;
	a->sequence_known = true;
	a->sequence = sequence;
	a->epoch = epoch;
}

/* A batch of a shared target: are its records wanted? What is not ours is passed over. */
static bool shared_own(struct align *a, const struct batch_head *h, int64_t last)
{
	bool anchor = a->o.anchor >= h->base_offset && a->o.anchor <= last;
	bool own = h->magic >= 2 && h->producer_id == a->o.producer_id && h->base_sequence >= 0;
	/* T is where a batch ended: if one of ours stands across it, the log is another one. */
	bool across = h->base_offset < a->o.dst && last >= a->o.dst;
	if (anchor ? !own : own && across)
		a->need = ALIGN_LOST;
	if (!own || a->need == ALIGN_LOST)
		return false;
	if (last >= a->o.dst && shared_part(a, h))
		return false;
	a->result.own = true;
	a->result.own_epoch = h->producer_epoch;
	a->result.own_next = batch_sequence_add(h->base_sequence, h->last_offset_delta + 1);
	if (last < a->o.dst) {
		a->sequence_known = true;
		a->sequence = a->result.own_next;
		a->epoch = h->producer_epoch;
		return false;
	}
	if (across) {
		a->sequence_known = true;
		a->sequence =
			batch_sequence_add(h->base_sequence, (int32_t)(a->o.dst - h->base_offset));
		a->epoch = h->producer_epoch;
	}
	return true;
}

static bool target_record(struct align *a, const struct record *r, bool no_timestamp, enum err *e)
{
	if (r->offset >= a->o.dst_end)
		return false;
	if (a->o.shared) {
		const struct batch_head *h = &a->batch;
		shared_sequence(
			a,
			batch_sequence_add(h->base_sequence, (int32_t)(r->offset - h->base_offset)),
			h->producer_epoch);
		if (a->need != ALIGN_TARGET)
			return false;
		if (a->skip != 0) {
			*e = tail_add_skip(&a->tail, a->skip);
			if (*e != ERR_OK)
				return false;
		}
		a->skip = 0;
		a->sequence = batch_sequence_add(a->sequence, 1);
	}
	*e = tail_add(&a->tail, r, no_timestamp);
	return *e == ERR_OK;
}

/* `last` is done: where to read next. Behind the batch with the anchor that is T. */
static void target_passed(struct align *a, int64_t last)
{
	if (last >= a->target_next)
		a->target_next = last + 1;
	if (a->o.shared && a->target_next < a->o.dst)
		a->target_next = a->o.dst;
}

static enum err target_batch(struct align *a, const struct batch_head *h, struct bytes whole,
			     struct errmsg *why)
{
	int64_t last = last_offset(h);
	if (a->o.shared) {
		bool beyond = h->base_offset >= a->o.dst_end;
		if (last < a->target_next)
			return ERR_OK;
		if (beyond || !shared_own(a, h, last)) {
			target_passed(a, beyond ? h->base_offset - 1 : last);
			return ERR_OK;
		}
	}
	if (last < a->o.dst || h->base_offset >= a->o.dst_end)
		return ERR_OK;
	if (h->magic >= 2 && (h->attributes & BATCH_CONTROL)) {
		errmsg_set(&a->result.detail, ERR_MALFORMED,
			   "target offset %" PRId64 " holds a transaction marker, which this link "
			   "does not write",
			   h->base_offset);
		mismatch(a);
		return ERR_OK;
	}
	if (a->o.verify && !a->o.shared && !a->o.any_producer &&
	    (h->magic < 2 || h->producer_id != a->o.producer_id ||
	     h->producer_epoch > a->o.producer_epoch)) {
		errmsg_set(&a->result.detail, ERR_MALFORMED,
			   "the batch at target offset %" PRId64 " is of another producer",
			   h->base_offset);
		a->result.foreign = true;
		mismatch(a);
		return ERR_OK;
	}
	bool all = (a->o.match || a->o.verify) && a->target_next > a->o.dst;
	const struct each each = {target_record, all ? a->target_next : a->o.dst};
	bool no_timestamp = h->attributes & BATCH_LOG_APPEND_TIME;
	enum err e = ERR_OK;
	a->batch = *h;
	if (last >= each.from)
		e = decode_batch(a, whole, no_timestamp, &each, why);
	if (e == ERR_OK && a->o.shared)
		shared_sequence(a, a->result.own_next, h->producer_epoch);
	target_passed(a, last);
	return e;
}

enum err align_feed_target(struct align *a, struct bytes records, struct errmsg *why)
{
	assert(a->need == ALIGN_TARGET);
	struct batch_walk walk = {.left = records};
	struct batch_head h;
	struct bytes whole;
	enum err e = ERR_OK;
	while (e == ERR_OK && a->need == ALIGN_TARGET) {
		enum batch_walk_result found = batch_walk_next(&walk, &h, &whole, why);
		if (found == BATCH_WALK_MALFORMED)
			e = ERR_MALFORMED;
		else if (found == BATCH_WALK_END)
			break;
		else
			e = target_batch(a, &h, whole, why);
		if (e == ERR_OK && a->o.shared)
			shared_stop(a);
	}
	if (e != ERR_OK)
		return errmsg_wrap(why, e, "the target's tail");
	if (a->need == ALIGN_TARGET && a->target_next >= a->o.dst_end) {
		/* Records that were sent after the last that is left. */
		if (a->o.shared && a->skip > 0)
			e = tail_add_skip(&a->tail, a->skip);
		target_end(a);
	}
	return e;
}

void align_end_target(struct align *a)
{
	assert(a->need == ALIGN_TARGET);
	target_end(a);
}

/* Count */

/* Up to source offset `src`, target offset dst_next, all is as it should be; there it is not. */
static void parted(struct align *a, int64_t src)
{
	a->result.parted = true;
	a->result.src = src;
	a->result.dst_end = a->dst_next;
	mismatch(a);
}

/* Source records src .. src+n-1 became the next n target records. */
static enum err count_found(struct align *a, int64_t src, int64_t n)
{
	enum err e = runs_append(a->found, src, a->dst_next, n);
	if (e != ERR_OK)
		return e;
	a->dst_next += n;
	a->result.records += n;
	return ERR_OK;
}

static bool count_record(struct align *a, const struct record *r, bool no_timestamp, enum err *e)
{
	(void)no_timestamp;
	size_t i;
	if (a->dst_next == a->o.dst_end) {
		align_done(a, r->offset);
		return false;
	}
	if (tail_find(&a->tail, a->dst_next, &i)) {
		struct tail_hashes h = tail_hashes_of(&a->tail, r);
		if (!tail_is(&a->tail, i, &h)) {
			not_the_copy(a, a->dst_next, r->offset);
			parted(a, r->offset);
			return false;
		}
		a->result.verified++;
	}
	*e = count_found(a, r->offset, 1);
	return *e == ERR_OK;
}

static enum err count_batch(struct align *a, const struct batch_head *h, struct bytes whole,
			    struct errmsg *why)
{
	int64_t last = last_offset(h);
	int64_t src = a->src_next > h->base_offset ? a->src_next : h->base_offset;
	int64_t n = last - src + 1;
	int64_t unverified_end = a->tail.n > 0 ? tail_offset(&a->tail, 0) : a->o.dst_end;
	int64_t dst = a->dst_next;
	enum err e = ERR_OK;
	if (h->magic >= 2 && batch_is_dense(h) && n <= unverified_end - a->dst_next) {
		e = count_found(a, src, n);
	} else {
		const struct each each = {count_record, src};
		e = decode_batch(a, whole, false, &each, why);
	}
	a->result.inside = a->dst_next > dst;
	if (a->need == ALIGN_MISMATCH && !a->result.inside)
		a->result.src = a->src_next;
	if (e == ERR_OK && a->need == ALIGN_SOURCE) {
		a->result.inside = false;
		a->src_next = last + 1;
		if (a->dst_next == a->o.dst_end)
			align_done(a, a->src_next);
	}
	return e;
}

/* Shared and match: the list is worked off from its start */

/* The source record is the one at list index `at`. */
static enum err listed_found(struct align *a, const struct record *r)
{
	enum err e = runs_append(a->found, r->offset, tail_offset(&a->tail, a->at), 1);
	if (e != ERR_OK)
		return e;
	a->at++;
	a->result.records++;
	a->result.verified++;
	return ERR_OK;
}

static bool shared_all(const struct align *a)
{
	return a->at == a->tail.n && a->skip_at == a->tail.skips_n;
}

/* The next record of ours must be this one, unless it is one of those that are gone. */
static bool shared_record(struct align *a, const struct record *r, bool no_timestamp, enum err *e)
{
	(void)no_timestamp;
	const struct tail *t = &a->tail;
	if (shared_all(a)) {
		align_done(a, r->offset);
		return false;
	}
	struct tail_skip *skip = a->skip_at < t->skips_n ? &t->skips[a->skip_at] : NULL;
	struct tail_hashes h = tail_hashes_of(t, r);
	bool is = a->at < t->n && tail_is(t, a->at, &h);
	if (skip != NULL && skip->at == a->at && (skip->n > 0 || !is)) {
		a->result.records++;
		if (skip->n > 0 && --skip->n == 0)
			a->skip_at++;
		return true;
	}
	if (skip != NULL && skip->at == a->at)
		a->skip_at++;
	if (!is) {
		not_the_copy(a, tail_offset(t, a->at), r->offset);
		mismatch(a);
		return false;
	}
	*e = listed_found(a, r);
	return *e == ERR_OK;
}

static enum err shared_batch(struct align *a, const struct batch_head *h, struct bytes whole,
			     struct errmsg *why)
{
	const struct each each = {shared_record, a->src_next};
	enum err e = decode_batch(a, whole, false, &each, why);
	if (e == ERR_OK && a->need == ALIGN_SOURCE) {
		a->src_next = last_offset(h) + 1;
		if (shared_all(a))
			align_done(a, a->src_next);
	}
	return e;
}

static bool match_record(struct align *a, const struct record *r, bool no_timestamp, enum err *e)
{
	(void)no_timestamp;
	const struct tail *t = &a->tail;
	struct tail_hashes h = tail_hashes_of(t, r);
	size_t i = a->at;
	while (i < t->n && !tail_is(t, i, &h))
		i++;
	a->result.compacted_away += (int64_t)(i - a->at);
	a->at = i;
	if (i == t->n) {
		align_done(a, r->offset);
		return false;
	}
	*e = listed_found(a, r);
	if (*e != ERR_OK)
		return false;
	if (a->at == t->n)
		align_done(a, r->offset + 1);
	return a->need == ALIGN_SOURCE;
}

static enum err match_batch(struct align *a, const struct batch_head *h, struct bytes whole,
			    struct errmsg *why)
{
	const struct each each = {match_record, a->src_next};
	enum err e = decode_batch(a, whole, false, &each, why);
	if (e == ERR_OK && a->need == ALIGN_SOURCE)
		a->src_next = last_offset(h) + 1;
	return e;
}

/* The source */

static enum err source_batch(struct align *a, struct aborted_filter *aborted,
			     const struct batch_head *h, struct bytes whole, struct errmsg *why)
{
	enum aborted_verdict verdict = ABORTED_KEEP;
	if (h->magic >= 2)
		verdict = aborted_filter_next(aborted, h, whole, why);
	if (verdict == ABORTED_MALFORMED)
		return ERR_MALFORMED;
	if (last_offset(h) < a->src_next)
		return ERR_OK;
	if (verdict != ABORTED_KEEP || (h->magic >= 2 && h->count == 0) ||
	    (a->o.is_copy != NULL && a->o.is_copy(a->o.arg, h))) {
		a->src_next = last_offset(h) + 1;
		return ERR_OK;
	}
	if (a->o.match)
		return match_batch(a, h, whole, why);
	return a->o.shared ? shared_batch(a, h, whole, why) : count_batch(a, h, whole, why);
}

enum err align_feed_source(struct align *a, struct bytes records,
			   const struct fetch_response_aborted_transaction *aborted,
			   int32_t aborted_n, struct errmsg *why)
{
	assert(a->need == ALIGN_SOURCE);
	struct aborted_filter filter;
	enum err e = aborted_filter_init(&filter, aborted, aborted_n);
	if (e != ERR_OK)
		return errmsg_set(why, e, "aborted transactions: %s", err_text(e));
	struct batch_walk walk = {.left = records};
	struct batch_head h;
	struct bytes whole;
	while (e == ERR_OK && a->need == ALIGN_SOURCE) {
		enum batch_walk_result found = batch_walk_next(&walk, &h, &whole, why);
		if (found == BATCH_WALK_MALFORMED)
			e = ERR_MALFORMED;
		else if (found == BATCH_WALK_END)
			break;
		else
			e = source_batch(a, &filter, &h, whole, why);
	}
	aborted_filter_fini(&filter);
	return e == ERR_OK ? e : errmsg_wrap(why, e, "the source's records");
}

void align_end_source(struct align *a)
{
	assert(a->need == ALIGN_SOURCE);
	if (a->o.match) {
		a->result.compacted_away += (int64_t)(a->tail.n - a->at);
		a->at = a->tail.n;
		align_done(a, a->src_next);
		return;
	}
	int64_t copied = a->o.shared ? (int64_t)a->tail.n : a->o.dst_end - a->o.dst;
	int64_t found = a->o.shared ? (int64_t)a->at : a->dst_next - a->o.dst;
	errmsg_set(&a->result.detail, ERR_MALFORMED,
		   "the target holds %" PRId64 " records from offset %" PRId64
		   " on, the source only %" PRId64 " from offset %" PRId64 " on",
		   copied, a->o.dst, found, a->o.src);
	parted(a, a->src_next);
}

/* The result */

enum err align_apply(const struct align *a, struct runs *table)
{
	assert(a->need == ALIGN_DONE || (a->need == ALIGN_MISMATCH && a->result.parted));
	if (runs_src_end(table) != a->o.src || runs_dst_end(table) != a->o.dst)
		return ERR_MALFORMED;
	struct runs_cursor c;
	struct run run;
	runs_cursor_init(&c, a->found, 0);
	while (runs_cursor_next(&c, &run)) {
		enum err e = runs_append(table, run.src, run.dst, run.n);
		if (e != ERR_OK) {
			/* By both sides: in a table without runs the first may have been put
			 * behind a gap. */
			runs_truncate_source(table, a->o.src);
			runs_truncate_target(table, a->o.dst);
			runs_advance_source(table, a->o.src);
			runs_advance_target(table, a->o.dst);
			return e;
		}
	}
	runs_advance_source(table, a->result.src);
	runs_advance_target(table, a->need == ALIGN_MISMATCH ? a->result.dst_end : a->o.dst_end);
	return ERR_OK;
}
