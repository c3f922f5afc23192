/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fetch.
 *
 *      request --> parts --> read --> enough? --> answer
 *                             ^          \--> parked --(records, deadline)--> read once more
 *
 * What is asked for (the request's partitions, or a session's) becomes an array of parts. A read
 * goes over all of them and gives ranges of files, which the answer carries as they are. A request
 * that finds less than min_bytes is parked: it watches the logs, keeps a sum of what it would find,
 * and holds no files. It is answered by a last read, from the loop, never from inside a log's call.
 *
 * A session may be used by another request while this one is parked. Then its partitions may be
 * gone: fetch_sessions_current is asked before any part is looked at.
 */
#include "cluster/api.h"
#include "cluster/api/access.h"
#include "cluster/api/broker_settings.h"
#include "cluster/api/repeats.h"
#include "cluster/deadline.h"
#include "cluster/fetch_sessions.h"
#include "lib/wire/messages.h"

enum {
	IDS_FROM = 13,
	REPLICA_STATE_FROM = 15,
	LEADER_HINTS_FROM = 16, /* KIP-951 */
	READ_COMMITTED = 1,
	ESTIMATE_SLACK = 64 << 10, /* by which plog_bytes_from may be too large */
};

struct fetch;

struct part {
	/* What is asked for; names borrow from the request or from the session. */
	struct uuid topic_id;
	struct bytes name;
	int32_t index;
	int32_t max_bytes;
	int32_t current_epoch, last_fetched_epoch;
	int64_t offset;
	struct fetch_wish *wish; /* of an incremental request */
	/* What was read. */
	struct fetch_outcome outcome;
	struct plog_slice slice;
	int64_t found; /* bytes that count for min_bytes: read, or held back by a limit */
	int32_t leader, leader_epoch; /* with an error that tells them */
	int32_t diverging_epoch;
	int64_t diverging_end;
	bool told;
	/* While parked. */
	struct plog_watch watch;
	struct fetch *of;
	int64_t waiting_bytes;
	int64_t parked_start, parked_total, parked_bytes;
	bool fired;
};

struct fetch {
	struct request *r;
	const struct fetch_request *in;
	struct fetch_context context;
	struct part *parts;
	size_t parts_n;
	/* Of a full request: the part of each partition, in the order of the request. */
	uint32_t *slots;
	size_t slots_n;
	int64_t min_bytes, max_bytes;
	/* Of the last read. */
	int64_t bytes, found;
	bool at_once; /* an error or a divergence: no wait */
	/* While parked. */
	bool parked;
	bool ready; /* there is more than the read found */
	int64_t waiting_bytes;
	struct deadline deadline;
	struct loop_deferred look;
};

/* ---- what is asked for ---- */

static bool by_id(const struct fetch *f)
{
	return f->r->version >= IDS_FROM;
}

static struct partition *find(const struct fetch *f, const struct part *p)
{
	struct metadata *m = broker_metadata(f->r->broker);
	return by_id(f) ? metadata_partition_by_id(m, &p->topic_id, p->index)
			: metadata_partition(m, p->name, p->index);
}

static bool take_wishes(struct fetch *f)
{
	f->parts_n = fetch_sessions_size(&f->context);
	f->parts = arena_zalloc(&f->r->arena, f->parts_n, sizeof *f->parts);
	if (f->parts == NULL)
		return false;
	struct part *p = f->parts;
	for (struct fetch_wish *w = fetch_sessions_first(&f->context); w != NULL; w = w->next, p++)
		*p = (struct part){.topic_id = w->topic_id,
				   .name = w->name,
				   .index = w->partition,
				   .max_bytes = w->max_bytes,
				   .current_epoch = w->current_epoch,
				   .last_fetched_epoch = w->last_fetched_epoch,
				   .offset = w->offset,
				   .wish = w};
	return true;
}

/* For each partition of the request the place, in the request, where it is named first. */
static const uint32_t *first_named(const struct fetch *f)
{
	struct arena *a = &f->r->arena;
	const struct fetch_request_fetch_topic *topics = f->in->topics;
	size_t topics_n = (size_t)f->in->topics_n, at = 0;
	struct {
		uint32_t topic;
		int32_t index;
	} *pairs = arena_zalloc(a, f->slots_n, sizeof *pairs);
	struct bytes *keys = arena_zalloc(a, f->slots_n + topics_n, sizeof *keys);
	if (pairs == NULL || keys == NULL)
		return NULL;
	for (size_t i = 0; i < topics_n; i++)
		keys[i] = by_id(f) ? bytes_of(topics[i].topic_id.b, sizeof topics[i].topic_id.b)
				   : topics[i].topic;
	const uint32_t *first = repeats_first(a, keys, topics_n);
	if (first == NULL)
		return NULL;
	for (size_t i = 0; i < topics_n; i++)
		for (int32_t k = 0; k < topics[i].partitions_n; k++, at++) {
			pairs[at].topic = first[i];
			pairs[at].index = topics[i].partitions[k].partition;
			keys[at] = bytes_of(&pairs[at], sizeof pairs[at]);
		}
	return repeats_first(a, keys, f->slots_n);
}

/* A partition that is named again counts where it was named first, as it was named last
 * (FetchRequest.fetchData): nobody is to have one read a million times by one request. */
static bool take_request(struct fetch *f)
{
	for (int32_t i = 0; i < f->in->topics_n; i++)
		f->slots_n += (size_t)f->in->topics[i].partitions_n;
	const uint32_t *first = first_named(f);
	f->slots = arena_zalloc(&f->r->arena, f->slots_n, sizeof *f->slots);
	if (first == NULL || f->slots == NULL)
		return false;
	for (size_t i = 0; i < f->slots_n; i++)
		f->slots[i] = first[i] == i ? (uint32_t)f->parts_n++ : f->slots[first[i]];
	f->parts = arena_zalloc(&f->r->arena, f->parts_n, sizeof *f->parts);
	if (f->parts == NULL)
		return false;
	size_t at = 0;
	for (int32_t i = 0; i < f->in->topics_n; i++) {
		const struct fetch_request_fetch_topic *t = &f->in->topics[i];
		for (int32_t k = 0; k < t->partitions_n; k++, at++) {
			const struct fetch_request_fetch_partition *p = &t->partitions[k];
			f->parts[f->slots[at]] =
				(struct part){.topic_id = t->topic_id,
					      .name = t->topic,
					      .index = p->partition,
					      .max_bytes = p->partition_max_bytes,
					      .current_epoch = p->current_leader_epoch,
					      .last_fetched_epoch = p->last_fetched_epoch,
					      .offset = p->fetch_offset};
		}
	}
	return true;
}

/* ---- reading ---- */

static void release_files(void *arg)
{
	struct fetch *f = arg;
	for (size_t i = 0; i < f->parts_n; i++) {
		plog_file_unref(f->parts[i].slice.file);
		f->parts[i].slice = (struct plog_slice){.file = NULL};
	}
}

/* Does the client's last record exist in our log? (KIP-595; Partition.readRecords) */
static enum err check_divergence(struct part *p, const struct partition *from)
{
	int32_t epoch;
	int64_t end;
	if (p->last_fetched_epoch < 0)
		return ERR_OK;
	plog_epoch_end(from->log, p->last_fetched_epoch, from->leader_epoch, &epoch, &end);
	if (epoch < 0 || end < 0 || p->offset < plog_start(from->log))
		return ERR_KAFKA_OFFSET_OUT_OF_RANGE;
	if (epoch < p->last_fetched_epoch || end < p->offset) {
		p->outcome.diverging = true;
		p->diverging_epoch = epoch;
		p->diverging_end = end;
	}
	return ERR_OK;
}

static enum err read_log(struct part *p, struct plog *log, size_t max, bool whole_first)
{
	struct errmsg why = {{0}};
	p->outcome.high_watermark = plog_high_watermark(log);
	p->outcome.start = plog_start(log);
	if (p->outcome.diverging)
		return ERR_OK;
	if (p->offset < plog_start(log) || p->offset > plog_end(log))
		return ERR_KAFKA_OFFSET_OUT_OF_RANGE;
	if (p->offset >= p->outcome.high_watermark || (max == 0 && !whole_first))
		return ERR_OK;
	return plog_read(log, p->offset, max, whole_first, &p->slice, &why);
}

static void read_part(struct fetch *f, struct part *p, int64_t room)
{
	const struct partition *from = find(f, p);
	bool replica = (f->r->version >= REPLICA_STATE_FROM ? f->in->replica_state.replica_id
							    : f->in->replica_id) >= 0;
	p->outcome = (struct fetch_outcome){.high_watermark = -1, .start = -1};
	enum err e = access_check(f->r->broker, from, p->current_epoch);
	if (e == ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION && by_id(f) &&
	    metadata_topic_by_id(broker_metadata(f->r->broker), &p->topic_id) == NULL)
		e = ERR_KAFKA_UNKNOWN_TOPIC_ID;
	/* No other broker has a replica. */
	if (e == ERR_OK && replica)
		e = ERR_KAFKA_NOT_LEADER_OR_FOLLOWER;
	if (e == ERR_OK)
		e = check_divergence(p, from);
	int64_t max = p->max_bytes < 0 ? 0 : p->max_bytes;
	if (max > room)
		max = room;
	if (e == ERR_OK)
		e = read_log(p, from->log, (size_t)max, f->bytes == 0);
	if (e != ERR_OK)
		p->outcome = (struct fetch_outcome){.error = e, .high_watermark = -1, .start = -1};
	if (from != NULL) {
		p->leader = from->leader;
		p->leader_epoch = from->leader_epoch;
	}
	p->outcome.records = p->slice.n > 0;
	/* DelayedFetch.scala counts bytes and does not look for batches. */
	p->found = p->slice.too_large ? max : (int64_t)p->slice.n;
}

/* The first partition with records may be larger than all limits, so that a client gets on
 * (KIP-74); a batch that does not fit for those before it comes with the next fetch. */
static void read_all(struct fetch *f)
{
	f->bytes = f->found = 0;
	f->at_once = false;
	for (size_t i = 0; i < f->parts_n; i++) {
		struct part *p = &f->parts[i];
		int64_t room = f->max_bytes > f->bytes ? f->max_bytes - f->bytes : 0;
		read_part(f, p, room);
		f->bytes += (int64_t)p->slice.n;
		f->found += p->found;
		f->at_once = f->at_once || p->outcome.error != ERR_OK || p->outcome.diverging;
	}
}

/* ---- the answer ---- */

static bool same_topic(const struct fetch *f, const struct part *a, const struct part *b)
{
	return by_id(f) ? uuid_eq(&a->topic_id, &b->topic_id) : bytes_eq(a->name, b->name);
}

static void put_part(const struct fetch *f, const struct part *p,
		     struct fetch_response_partition_data *out)
{
	out->partition_index = p->index;
	out->error_code = access_code(p->outcome.error);
	out->high_watermark = p->outcome.high_watermark;
	out->last_stable_offset = p->outcome.high_watermark;
	out->log_start_offset = p->outcome.start;
	/* No transactions: nothing was aborted. Null says that it was not asked for. */
	out->aborted_transactions_n = f->in->isolation_level == READ_COMMITTED ? 0 : -1;
	out->records.data = bytes_str("");
	if (p->slice.n > 0)
		out->records.file = (struct wire_file){
			.fd = p->slice.fd, .position = p->slice.position, .n = p->slice.n};
	if (p->outcome.diverging) {
		out->diverging_epoch.epoch = p->diverging_epoch;
		out->diverging_epoch.end_offset = p->diverging_end;
	}
	bool hint = p->outcome.error == ERR_KAFKA_NOT_LEADER_OR_FOLLOWER ||
		    p->outcome.error == ERR_KAFKA_FENCED_LEADER_EPOCH;
	if (hint && f->r->version >= LEADER_HINTS_FROM) {
		out->current_leader.leader_id = p->leader;
		out->current_leader.leader_epoch = p->leader_epoch;
	}
}

/* Which partitions are in the answer; how many. */
static size_t tell(struct fetch *f)
{
	size_t n = 0;
	for (size_t i = 0; i < f->parts_n; i++) {
		struct part *p = &f->parts[i];
		p->told = p->wish == NULL || fetch_sessions_tell(&f->context, p->wish, &p->outcome);
		n += p->told;
	}
	return n;
}

static bool put_parts(struct fetch *f, struct fetch_response *out)
{
	struct arena *a = &f->r->arena;
	size_t n = tell(f);
	struct fetch_response_partition_data *data =
		wire_array_new(a, &wire_fetch_response_partition_data, (int32_t)n);
	/* Neighbours of one topic stand together. */
	struct fetch_response_fetchable_topic_response *topics =
		wire_array_new(a, &wire_fetch_response_fetchable_topic_response, (int32_t)n);
	if (data == NULL || topics == NULL)
		return false;
	const struct part *before = NULL;
	out->responses = topics;
	for (size_t i = 0; i < f->parts_n; i++) {
		const struct part *p = &f->parts[i];
		if (!p->told)
			continue;
		if (before == NULL || !same_topic(f, before, p)) {
			topics = &out->responses[out->responses_n++];
			topics->topic = p->name;
			topics->topic_id = p->topic_id;
			topics->partitions = data;
		}
		put_part(f, p, data++);
		topics->partitions_n++;
		before = p;
	}
	return true;
}

/* What a session remembers of a full request. */
static const struct fetch_outcome *outcomes(struct fetch *f)
{
	struct fetch_outcome *list = arena_zalloc(&f->r->arena, f->slots_n + 1, sizeof *list);
	for (size_t i = 0; list != NULL && i < f->slots_n; i++)
		list[i] = f->parts[f->slots[i]].outcome;
	return list;
}

static void unpark(struct fetch *f)
{
	if (!f->parked)
		return;
	f->parked = false;
	deadline_clear(&f->deadline);
	loop_undefer(broker_loop(f->r->broker), &f->look);
	for (size_t i = 0; i < f->parts_n; i++)
		plog_unwatch(&f->parts[i].watch);
}

static void fail(struct fetch *f)
{
	release_files(f);
	fetch_context_fini(&f->context);
	request_no_memory(f->r);
}

static void answer(struct fetch *f)
{
	struct request *r = f->r;
	struct fetch_response *out = request_response(r);
	if (out == NULL) {
		fail(f);
		return;
	}
	if (f->context.kind == FETCH_REFUSED) {
		out->error_code = err_to_kafka(f->context.error);
	} else {
		const struct fetch_outcome *told =
			f->context.kind == FETCH_FULL ? outcomes(f) : NULL;
		if (!put_parts(f, out) || (f->context.kind == FETCH_FULL && told == NULL)) {
			fail(f);
			return;
		}
		out->session_id = fetch_sessions_end(broker_fetch_sessions(r->broker), &f->context,
						     f->in, r->version, told);
	}
	/* The names of a session's partitions are encoded, or copied, by this call; the session
	 * may go after it. */
	struct fetch_context context = f->context;
	f->context.session = NULL;
	if (f->bytes > 0)
		request_answer_held(r, out, release_files, f);
	else
		request_answer(r, out);
	fetch_context_fini(&context);
}

/* Another request used the session: this one's partitions are no longer there. */
static void answer_outdated(struct fetch *f)
{
	fetch_context_fini(&f->context);
	f->context = (struct fetch_context){.kind = FETCH_REFUSED,
					    .error = ERR_KAFKA_INVALID_FETCH_SESSION_EPOCH};
	f->parts_n = 0;
	f->bytes = 0;
	answer(f);
}

static void finish(struct fetch *f)
{
	unpark(f);
	if (!fetch_sessions_current(&f->context)) {
		answer_outdated(f);
		return;
	}
	read_all(f);
	answer(f);
}

/* ---- waiting ---- */

static void on_moved(struct plog_watch *w)
{
	struct part *p = (struct part *)((char *)w - offsetof(struct part, watch));
	p->fired = true;
	if (!p->of->look.pending)
		loop_defer(broker_loop(p->of->r->broker), &p->of->look);
}

/* What a read would find now: what it found, and what became visible since. */
static int64_t bytes_now(const struct part *p, struct plog *log)
{
	int64_t start = plog_start(log);
	int64_t n = start == p->parked_start
			    ? p->parked_bytes + plog_bytes_from(log, start) - p->parked_total
			    : plog_bytes_from(log, p->offset);
	return n < p->max_bytes ? n : p->max_bytes;
}

/* Watch the log of a part; false if it cannot be. */
static bool watch(struct fetch *f, struct part *p, struct plog **log)
{
	struct partition *from = find(f, p);
	if (access_check(f->r->broker, from, p->current_epoch) != ERR_OK)
		return false;
	*log = from->log;
	plog_watch(from->log, &p->watch);
	return true;
}

/* The log moved. True if the wait is over. */
static bool look_at(struct fetch *f, struct part *p)
{
	struct plog *log;
	if (!watch(f, p, &log))
		return true;
	if (f->min_bytes <= 1)
		return plog_high_watermark(log) > p->offset;
	int64_t bytes = bytes_now(p, log);
	f->waiting_bytes += bytes - p->waiting_bytes;
	p->waiting_bytes = bytes;
	return f->waiting_bytes >= f->min_bytes;
}

/* Begin to watch, from what the read found on. True if there is much more than that: a read stops
 * at the end of a segment, and what lies behind it is to be had without a wait (DelayedFetch.scala,
 * case F). */
static bool watch_first(struct fetch *f, struct part *p)
{
	struct plog *log;
	int64_t found = p->waiting_bytes;
	p->of = f;
	p->watch.fn = on_moved;
	if (!watch(f, p, &log))
		return true;
	if (f->min_bytes <= 1)
		return false;
	p->parked_start = plog_start(log);
	p->parked_total = plog_bytes_from(log, p->parked_start);
	p->parked_bytes = found;
	return found > 0 && found < p->max_bytes &&
	       plog_bytes_from(log, p->offset) > found + ESTIMATE_SLACK;
}

static void on_look(void *arg)
{
	struct fetch *f = arg;
	bool wait = !f->ready && fetch_sessions_current(&f->context);
	for (size_t i = 0; wait && i < f->parts_n; i++) {
		if (!f->parts[i].fired)
			continue;
		f->parts[i].fired = false;
		wait = !look_at(f, &f->parts[i]);
	}
	if (!wait)
		finish(f);
}

static void on_deadline(struct deadline *d)
{
	finish((struct fetch *)((char *)d - offsetof(struct fetch, deadline)));
}

static void on_cancel(struct request *r)
{
	struct fetch *f = r->state;
	unpark(f);
	fetch_context_fini(&f->context);
}

static void park(struct fetch *f)
{
	struct request *r = f->r;
	for (size_t i = 0; i < f->parts_n; i++)
		f->parts[i].waiting_bytes = f->parts[i].found;
	f->waiting_bytes = f->found;
	release_files(f);
	f->parked = true;
	f->deadline.fn = on_deadline;
	f->look = (struct loop_deferred){.fn = on_look, .arg = f};
	r->state = f;
	r->cancel = on_cancel;
	deadline_set(broker_fetch_deadlines(r->broker), &f->deadline, f->in->max_wait_ms);
	for (size_t i = 0; i < f->parts_n; i++)
		f->ready = watch_first(f, &f->parts[i]) || f->ready;
	if (f->ready)
		loop_defer(broker_loop(r->broker), &f->look);
}

/* ---- the request ---- */

static bool enough(const struct fetch *f)
{
	return f->in->max_wait_ms <= 0 || f->parts_n == 0 || f->found >= f->min_bytes || f->at_once;
}

void api_fetch(struct request *r)
{
	struct fetch *f = arena_zalloc(&r->arena, 1, sizeof *f);
	if (f == NULL) {
		request_no_memory(r);
		return;
	}
	f->r = r;
	f->in = r->msg;
	f->max_bytes = f->in->max_bytes < FETCH_MAX_BYTES ? f->in->max_bytes : FETCH_MAX_BYTES;
	f->min_bytes = f->in->min_bytes < f->max_bytes ? f->in->min_bytes : f->max_bytes;
	fetch_sessions_begin(broker_fetch_sessions(r->broker), f->in, r->version, &f->context);
	if (f->context.kind == FETCH_REFUSED) {
		answer(f);
		return;
	}
	if (!(f->context.kind == FETCH_INCREMENTAL ? take_wishes(f) : take_request(f))) {
		f->parts_n = 0;
		fail(f);
		return;
	}
	read_all(f);
	if (enough(f))
		answer(f);
	else
		park(f);
}
