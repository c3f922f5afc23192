/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events are taken in the order of their time. What a partition asked for carries a token, so that
 * an answer that nobody waits for any more is dropped, as link.c and its parts do. Requests belong
 * to their connection and not to the process: they are handled whether or not somebody listens.
 */
#include "tests/unit/mirror_partition/sim_world.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lib/wire/records.h"
#include "mirror/partition/rebatch_task.h"

enum {
	LINK_PRODUCER = 7,
	FOREIGN_PRODUCER = 666,
	STEPS_MAX = 400000,
	QUIET_MS = 60 * 1000,
	LIFE_MIN_MS = 2100 /* a store that is late is so by less */
};

static const struct partition_host host;

/* ---- time, chance, events ---- */

static int64_t clock_now(void *ctx)
{
	const struct sim_world *w = ctx;
	return w->now;
}

static uint64_t clock_random(void *ctx)
{
	struct sim_world *w = ctx;
	return rng_u64(&w->g);
}

static bool chance(struct sim_world *w, int64_t n)
{
	return !w->calm && rng_one_in(&w->g, n);
}

static void tell(struct sim_world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void tell(struct sim_world *w, const char *fmt, ...)
{
	if (!w->trace)
		return;
	va_list ap;
	va_start(ap, fmt);
	printf("%8" PRId64 " ", w->now);
	vprintf(fmt, ap);
	printf("\n");
	va_end(ap);
}

static struct sim_event *at(struct sim_world *w, int64_t due, enum event_kind kind, void *what)
{
	if (w->events_n == w->events_cap) {
		w->events_cap = w->events_cap == 0 ? 64 : 2 * w->events_cap;
		w->events = realloc(w->events, w->events_cap * sizeof *w->events);
		assert_non_null(w->events);
	}
	struct sim_event *e = &w->events[w->events_n++];
	*e = (struct sim_event){.due = due,
				.order = w->order++,
				.kind = kind,
				.token = w->tokens[kind],
				.what = what};
	return e;
}

static struct sim_event *after(struct sim_world *w, int64_t ms, enum event_kind kind, void *what)
{
	return at(w, w->now + ms, kind, what);
}

/* The time of an answer. */
static int64_t delay(struct sim_world *w)
{
	return rng_in(&w->g, 0, rng_one_in(&w->g, 10) ? 10 * w->slow : w->slow);
}

/* ---- what the partition asks ---- */

static void enter(struct sim_world *w)
{
	if (w->enter != NULL)
		w->enter(w);
}

static void leave(struct sim_world *w)
{
	if (w->leave != NULL)
		w->leave(w);
}

static void host_probe(void *ctx, struct partition *p, int32_t epoch)
{
	struct sim_world *w = ctx;
	(void)p;
	frame_unref(w->probe.tail_frame);
	w->probe = (struct probe_result){.epoch_end = -1};
	w->tokens[EV_PROBE]++;
	w->tokens[EV_PROBE_TAIL]++;
	w->probe_open = 4;
	for (int q = 0; q < 4; q++) {
		struct sim_event *e = after(w, delay(w), EV_PROBE, NULL);
		e->number = (int64_t)q << 32 | (uint32_t)epoch;
	}
}

static void host_fetch(void *ctx, struct partition *p, int64_t offset, bool behind)
{
	struct sim_world *w = ctx;
	(void)p, (void)behind;
	w->fetch_offset = offset;
	w->fetch_id = w->env.source_id;
	w->fetch_told = false;
	w->tokens[EV_FETCH]++;
	after(w, delay(w), EV_FETCH, NULL);
}

static void host_fetch_stop(void *ctx, struct partition *p)
{
	struct sim_world *w = ctx;
	(void)p;
	w->tokens[EV_FETCH]++;
	w->tokens[EV_FETCHED]++;
}

static void queue_ready(struct sim_world *w)
{
	if (w->ready_queued)
		return;
	w->ready_queued = true;
	after(w, rng_in(&w->g, 0, 1), EV_READY, NULL);
}

static void host_ready(void *ctx, struct partition *p)
{
	(void)p;
	queue_ready(ctx);
}

static void host_store(void *ctx, struct partition *p, bool now)
{
	struct sim_world *w = ctx;
	(void)p;
	w->urgent = w->urgent || now;
	w->dirty = true;
	after(w, now ? 0 : 1000, EV_STORE, NULL);
}

static void host_new_producer(void *ctx, struct partition *p)
{
	struct sim_world *w = ctx;
	(void)p;
	struct sim_event *e = after(w, delay(w), EV_PRODUCER, NULL);
	e->err = chance(w, 10) ? ERR_KAFKA_COORDINATOR_LOAD_IN_PROGRESS : ERR_OK;
	e->number = w->next_producer++;
}

static void host_rebatch(void *ctx, struct partition *p, struct rebatch_task *task)
{
	struct sim_world *w = ctx;
	(void)p;
	after(w, delay(w), EV_REBATCH, task);
}

static void frame_freed(void *arg, size_t n)
{
	struct sim_world *w = arg;
	w->held -= n;
}

static void host_count(void *ctx, struct frame *frame)
{
	struct sim_world *w = ctx;
	if (frame->on_free != NULL)
		return;
	w->held += frame->n;
	frame->on_free = frame_freed;
	frame->arg = w;
}

static void host_retry_in(void *ctx, struct partition *p, int64_t ms)
{
	struct sim_world *w = ctx;
	(void)p;
	w->tokens[EV_TIMER]++;
	after(w, ms, EV_TIMER, NULL);
}

static bool host_read_target(void *ctx, struct partition *p, int64_t offset)
{
	struct sim_world *w = ctx;
	if (chance(w, 50)) {
		host_retry_in(ctx, p, 1000);
		return false;
	}
	after(w, delay(w), EV_READ_TARGET, NULL)->number = offset;
	return true;
}

static void host_refresh(void *ctx, struct partition *p, bool source)
{
	struct sim_world *w = ctx;
	(void)p;
	if (source)
		after(w, delay(w), EV_METADATA, NULL);
}

static void host_changed(void *ctx, struct partition *p, enum mirror_state from)
{
	struct sim_world *w = ctx;
	tell(w, "%s -> %s at %" PRId64 ", %" PRId64 ": %s", mirror_state_name(from),
	     mirror_state_name(p->state), p->src_acked, p->dst_acked, p->reason.text);
	w->seen |= 1U << p->state;
	if (mirror_state_needs_person(p->state))
		assert_true(p->reason.text[0] != '\0');
	if (p->state == STATE_REFUSED)
		w->env.target_max_batch = (int32_t)w->target.max_batch;
}

static bool is_shared(const struct sim_world *w)
{
	return w->mode == SIM_SHARED || w->mode == SIM_SHARED_LOSES;
}

/* A producer is unknown at first, and asked about. */
static enum origin_verdict host_origin(void *ctx, struct partition *p, const struct batch_head *h)
{
	struct sim_world *w = ctx;
	(void)p;
	assert_true(is_shared(w));
	if (h->producer_id < 0)
		return ORIGIN_LOCAL;
	assert_true(h->producer_id < SIM_PRODUCERS || h->producer_id == SIM_COPIER);
	if (!(w->origins >> (h->producer_id % 64) & 1)) {
		after(w, delay(w), EV_ORIGIN, NULL)->number = h->producer_id % 64;
		return ORIGIN_UNKNOWN;
	}
	return h->producer_id == SIM_COPIER ? ORIGIN_COPY : ORIGIN_LOCAL;
}

/* ---- gap records and dead letters ---- */

static void host_record(void *ctx, struct partition *p, const struct gap *gap)
{
	struct sim_world *w = ctx;
	(void)p;
	leave(w);
	assert_true(gap->reason[0] != '\0');
	w->gap_asked = (struct sim_gap){.g = *gap};
	while (!uuid_eq(&w->topics[w->gap_asked.topic], &gap->topic_id))
		assert_true(++w->gap_asked.topic <= w->truth.topic);
	if (gap->cause == ON_TOPIC_RECREATED)
		assert_false(uuid_eq(&gap->topic_id, &gap->new_topic_id));
	w->asked_landed = false;
	/* Durable at once, and the answer is late or never comes; or not before the answer. */
	if (rng_one_in(&w->g, 2))
		sim_gaps_land(w);
	w->tokens[EV_RECORDED]++;
	after(w, delay(w), EV_RECORDED, NULL);
	enter(w);
}

static void host_park(void *ctx, struct partition *p, const struct dead_letter *d)
{
	struct sim_world *w = ctx;
	leave(w);
	assert_true(d->record->value.n >= 8);
	w->letter_asked = (int64_t)be64_get(d->record->value.p);
	assert_true(d->source_offset == w->truth.v[w->letter_asked].offset);
	assert_true(record_hash(d->record) == w->truth.v[w->letter_asked].hash);
	assert_true(p->src_acked <= d->source_offset);
	w->asked_landed = false;
	if (rng_one_in(&w->g, 2))
		sim_gaps_land_letter(w);
	w->tokens[EV_PARKED]++;
	after(w, delay(w), EV_PARKED, NULL);
	enter(w);
}

static void on_recorded(struct sim_world *w, bool letter)
{
	const struct errmsg why = {"no leader"};
	bool refused = chance(w, 10);
	if (refused && !letter)
		after(w, 1000, EV_RECORDED, NULL);
	else if (!refused && !w->asked_landed && letter)
		sim_gaps_land_letter(w);
	else if (!refused && !w->asked_landed)
		sim_gaps_land(w);
	enum err e = refused ? ERR_NO_LEADER : ERR_OK;
	enter(w);
	if (letter)
		partition_on_parked(w->p, e, &why);
	else
		partition_on_recorded(w->p, e, &why);
	leave(w);
}

static const struct partition_host host = {
	.record = host_record,
	.park = host_park,
	.probe = host_probe,
	.fetch = host_fetch,
	.fetch_stop = host_fetch_stop,
	.ready = host_ready,
	.store = host_store,
	.new_producer = host_new_producer,
	.rebatch = host_rebatch,
	.count = host_count,
	.read_target = host_read_target,
	.origin = host_origin,
	.retry_in = host_retry_in,
	.refresh = host_refresh,
	.changed = host_changed,
};

/* ---- connections to the target ---- */

static struct sim_conn *conn_of_process(struct sim_world *w)
{
	if (w->conns != NULL && !w->conns->dead)
		return w->conns;
	struct sim_conn *c = calloc(1, sizeof *c);
	assert_non_null(c);
	c->tail = &c->head;
	c->next = w->conns;
	w->conns = c;
	return c;
}

static struct sim_request *conn_pop(struct sim_conn *c)
{
	struct sim_request *r = c->head;
	c->head = r->next;
	if (c->head == NULL)
		c->tail = &c->head;
	c->waits = false;
	return r;
}

/* Drop the requests but for the first `keep`. */
static void conn_cut(struct sim_conn *c, int64_t keep)
{
	struct sim_request **at_end = &c->head;
	while (*at_end != NULL && keep-- > 0)
		at_end = &(*at_end)->next;
	struct sim_request *r = *at_end;
	*at_end = NULL;
	c->tail = at_end;
	while (r != NULL) {
		struct sim_request *next = r->next;
		free(r);
		r = next;
	}
	if (c->head == NULL)
		c->waits = false;
}

/* The connection is lost. Some of what was sent arrived and is handled, perhaps much later. */
static void conn_lose(struct sim_world *w, const char *why)
{
	struct sim_conn *c = w->conns;
	if (c == NULL || c->dead)
		return;
	tell(w, "connection lost: %s", why);
	c->dead = true;
	c->died = w->now;
	int64_t n = 0;
	for (struct sim_request *r = c->head; r != NULL; r = r->next)
		n++;
	conn_cut(c, rng_one_in(&w->g, 2) ? n : rng_in(&w->g, c->waits ? 1 : 0, n < 1 ? 1 : n));
	w->ready_waits = false;
	if (w->p == NULL)
		return;
	struct errmsg text;
	errmsg_set(&text, ERR_CLOSED, "%s", why);
	struct unit *units[64];
	size_t left = 0;
	for (struct unit *u = w->p->in_flight.head; u != NULL; u = u->next)
		units[left++] = u;
	/* The last may not even have been sent: then it ends first. */
	const struct produced closed = {.err = ERR_CLOSED, .why = &text, .base_offset = -1};
	if (left > 1 && rng_one_in(&w->g, 4))
		partition_on_produced(w->p, units[--left], &closed);
	for (size_t i = 0; i < left; i++)
		partition_on_produced(w->p, units[i], &closed);
	if (w->p->ready_listed)
		queue_ready(w);
}

static void send_unit(struct sim_world *w, struct unit *u)
{
	struct sim_conn *c = conn_of_process(w);
	struct sim_request *r = calloc(1, sizeof *r + u->whole.n);
	assert_non_null(r);
	r->n = u->whole.n;
	r->unit = u;
	r->topic = w->asked_topic;
	memcpy(r->bytes, u->stamped, BATCH_HEAD);
	memcpy(r->bytes + BATCH_HEAD, u->whole.p + BATCH_HEAD, u->whole.n - BATCH_HEAD);
	if (chance(w, 400))
		r->bytes[rng_in(&w->g, BATCH_HEAD, (int64_t)r->n - 1)] ^= 0x10;
	bool idle = c->head == NULL;
	*c->tail = r;
	c->tail = &r->next;
	tell(w, "send src %" PRId64 " n %d seq %d of %" PRId64 " for dst %" PRId64, u->spans[0].src,
	     u->head.count, (int)be32_get(u->stamped + 53), (int64_t)be64_get(u->stamped + 43),
	     u->dst);
	if (idle)
		after(w, delay(w), EV_BROKER, c);
}

static void on_ready(struct sim_world *w)
{
	w->ready_queued = false;
	if ((int64_t)w->p->in_flight.n >= w->in_flight_max) {
		w->ready_waits = true;
		return;
	}
	if (chance(w, 300)) {
		const struct errmsg why = {"no leader"};
		partition_on_send_failed(w->p, ERR_NO_LEADER, &why);
		return;
	}
	enter(w);
	struct unit *u = partition_next_unit(w->p);
	leave(w);
	if (u == NULL)
		return;
	send_unit(w, u);
	if (w->p->ready_listed)
		queue_ready(w);
}

/* ---- the target's broker ---- */

/* Nothing wrong may ever land: the record at `offset` must be the next one that the source
 * committed. */
static void check_copy(struct sim_world *w, int64_t offset)
{
	/* Late batches with records that the source has lost meanwhile cannot be kept out; only,
	 * nobody may call the outcome good (check_end). */
	if (w->mixed)
		return;
	if (w->goes_on) {
		sim_gaps_check_copy(w, offset);
		return;
	}
	const struct sim_copy *c = &w->target.copies[offset];
	int64_t before = offset - 1;
	while (before >= 0 && w->target.copies[before].id < 0)
		before--;
	int64_t last = before < 0 ? -1 : w->target.copies[before].id;
	const struct sim_known *r = &w->truth.v[c->id];
	w->mixed = r->lost || (last >= 0 && w->truth.v[last].lost);
	if (w->mixed)
		return;
	/* Copied again since retention had taken what could tell that it was there. */
	if (c->id <= last && before < w->target.start)
		return;
	if (c->id <= last)
		fail_msg("record %" PRId64 " (source offset %" PRId64 ") stands twice, at target "
			 "offset %" PRId64,
			 c->id, r->offset, offset);
	assert_true(c->id < (int64_t)w->truth.n);
	if (c->hash != r->hash)
		fail_msg("the record at target offset %" PRId64 " was changed", offset);
	if (r->fate != SIM_COMMITTED)
		fail_msg("source offset %" PRId64 " was not committed, and is at the target",
			 r->offset);
	for (int64_t id = last + 1; id < c->id; id++) {
		const struct sim_known *k = &w->truth.v[id];
		if (k->fate == SIM_ABORTED || k->gone || k->lost ||
		    (last < 0 && k->offset < w->source.start))
			continue;
		fail_msg("source offset %" PRId64 " is missing before target offset %" PRId64,
			 k->offset, offset);
	}
}

static void broker_answer(struct sim_world *w, struct sim_conn *c, enum err e, int64_t base)
{
	struct sim_request *r = conn_pop(c);
	struct unit *unit = r->unit;
	free(r);
	if (c->dead)
		return;
	int64_t due = w->now + delay(w);
	c->answered = due > c->answered ? due : c->answered;
	struct sim_event *ev = at(w, c->answered, EV_ANSWER, c);
	ev->err = e;
	ev->repeated = e == ERR_OK && c->repeated;
	ev->unit = unit;
	ev->number = base;
}

/* LogValidator looks at the records before the sequence is looked at. */
static bool refuses_batch(const struct sim_world *w, const struct sim_request *r)
{
	struct records_reader *rr;
	struct record x;
	struct errmsg why;
	bool refused = false;
	if (w->mode != SIM_REFUSED || !batch_crc_ok(bytes_of(r->bytes, r->n)))
		return false;
	assert_int_equal(records_reader_open(bytes_of(r->bytes, r->n), 1 << 20, &rr, &why), ERR_OK);
	while (records_reader_next(rr, &x))
		refused = refused || sim_world_refuses(w, (int64_t)be64_get(x.value.p));
	records_reader_free(rr);
	return refused;
}

static void broker_append(struct sim_world *w, struct sim_conn *c)
{
	static const enum err before[] = {ERR_KAFKA_NOT_LEADER_OR_FOLLOWER,
					  ERR_KAFKA_NOT_ENOUGH_REPLICAS,
					  ERR_KAFKA_KAFKA_STORAGE_ERROR};
	struct sim_request *r = c->head;
	int64_t base = -1, end = w->target.end;
	if (chance(w, 60)) {
		w->faults++;
		broker_answer(w, c, before[rng_in(&w->g, 0, 2)], -1);
		return;
	}
	enum err e = ERR_KAFKA_UNKNOWN_TOPIC_ID;
	if (r->topic == w->target_topic && refuses_batch(w, r))
		e = ERR_KAFKA_INVALID_RECORD;
	else if (r->topic == w->target_topic)
		e = sim_target_append(&w->target, bytes_of(r->bytes, r->n), &base);
	if (e != ERR_OK) {
		tell(w, "refused: %s", err_name(e));
		broker_answer(w, c, e, -1);
		return;
	}
	struct batch_head h;
	batch_head_get(r->bytes, &h);
	if (c->dead && w->target.end > end)
		w->zombies++;
	tell(w, "%s%s at %" PRId64 " n %d", c->dead ? "late, " : "",
	     w->target.end > end ? "landed" : "duplicate", base, h.count);
	for (int64_t o = end; o < w->target.end; o++)
		check_copy(w, o);
	c->base = base;
	c->need = base + h.count;
	c->repeated = w->target.end == end;
	c->waits = true;
}

/* One step of a connection at the broker: take the next request, or answer the one that waits for
 * the replicas. */
static void on_broker(struct sim_world *w, struct sim_conn *c)
{
	/* Nothing lives longer than that. */
	if (c->dead && w->now - c->died > w->env.request_lifetime_ms)
		conn_cut(c, 0);
	if (c->head == NULL)
		return;
	if (!c->waits)
		broker_append(w, c);
	if (c->waits && w->target.replicated >= c->need) {
		w->target.acknowledged = w->target.replicated;
		broker_answer(w, c, ERR_OK, c->base);
	} else if (c->waits && chance(w, 40)) {
		w->faults++;
		broker_answer(w, c,
			      rng_one_in(&w->g, 2) ? ERR_KAFKA_REQUEST_TIMED_OUT
						   : ERR_KAFKA_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
			      -1);
	}
	if (c->head == NULL)
		return;
	int64_t ms = rng_in(&w->g, 0, 3);
	if (c->dead && !w->calm)
		ms = rng_in(&w->g, 0, rng_one_in(&w->g, 3) ? 3000 : 300);
	after(w, ms, EV_BROKER, c);
}

static void on_replicate(struct sim_world *w)
{
	struct sim_target *t = &w->target;
	for (size_t i = 0; i < t->n; i++) {
		int64_t end = t->batches[i].head.base_offset + t->batches[i].head.count;
		if (end > t->replicated && (w->calm || !rng_one_in(&w->g, 3)))
			t->replicated = end;
		if (end > t->replicated)
			break;
	}
	after(w, rng_in(&w->g, 1, chance(w, 20) ? 2000 : 20), EV_REPLICATE, NULL);
}

static void on_answer(struct sim_world *w, const struct sim_event *e)
{
	struct sim_conn *c = e->what;
	if (c->dead || w->p == NULL)
		return;
	struct errmsg why;
	errmsg_set(&why, e->err, "%s", err_text(e->err));
	enter(w);
	const struct produced end = {
		.err = e->err, .why = &why, .base_offset = e->number, .repeated = e->repeated};
	partition_on_produced(w->p, e->unit, &end);
	leave(w);
	if (w->ready_waits) {
		w->ready_waits = false;
		queue_ready(w);
	}
}

/* An election at the target, after which its log ends at `end`. */
static void target_election(struct sim_world *w, int64_t end)
{
	tell(w, "target election, log %" PRId64 " -> %" PRId64, w->target.end, end);
	for (struct sim_conn *c = w->conns; c != NULL; c = c->next)
		conn_cut(c, 0);
	sim_target_truncate(&w->target, end);
	w->target.replicated = w->target.end;
	conn_lose(w, "the leader died");
}

/* ---- answers ---- */

/* As DescribeProducers answers; one time in three it does not. */
static void own_state(struct sim_world *w, struct probe_result *r)
{
	if (!is_shared(w) || rng_one_in(&w->g, 3))
		return;
	for (size_t i = 0; i < w->target.writers_n; i++) {
		const struct sim_writer *x = &w->target.writers[i];
		if (x->producer != w->p->producer_id)
			continue;
		r->own_known = true;
		r->own_sequence = x->last;
		r->own_epoch = x->epoch;
	}
}

static void probe_ends(struct sim_world *w, int q, int32_t epoch)
{
	struct probe_result *r = &w->probe;
	int32_t found;
	if (q == 0) {
		r->source_start = w->source.start;
	} else if (q == 1) {
		r->source_end = w->source.end;
		if (epoch >= 0)
			r->epoch_end = sim_source_epoch_end(&w->source, epoch, &found);
	} else if (q == 2) {
		r->target_start = w->target.start;
		own_state(w, r);
	} else {
		r->target_end = w->target.replicated;
		w->asked_topic = w->target_topic;
	}
	if (chance(w, 100)) {
		enum err *side = q < 2 ? &r->source_err : &r->target_err;
		*side = ERR_KAFKA_NOT_LEADER_OR_FOLLOWER;
		errmsg_set(&r->why, *side, "asking: %s", err_text(*side));
	}
}

static void probe_done(struct sim_world *w)
{
	tell(w,
	     "probe: source %" PRId64 "..%" PRId64 " epoch end %" PRId64 " target %" PRId64
	     "..%" PRId64,
	     w->probe.source_start, w->probe.source_end, w->probe.epoch_end, w->probe.target_start,
	     w->probe.target_end);
	struct frame *tail = w->probe.tail_frame;
	w->probe.tail_frame = NULL;
	struct probe_result r = w->probe;
	r.tail_frame = tail;
	enter(w);
	partition_on_probe(w->p, &r);
	leave(w);
	frame_unref(tail);
}

static void on_probe(struct sim_world *w, const struct sim_event *e)
{
	probe_ends(w, (int)(e->number >> 32), (int32_t)(uint32_t)e->number);
	if (--w->probe_open > 0)
		return;
	if (w->probe.source_err == ERR_OK && w->probe.target_err == ERR_OK &&
	    w->probe.target_end > w->probe.target_start)
		after(w, delay(w), EV_PROBE_TAIL, NULL);
	else
		probe_done(w);
}

/* As prober.c: the last whole batch of what a fetch from the last offset gives. */
static void on_probe_tail(struct sim_world *w)
{
	struct probe_result *r = &w->probe;
	r->tail_frame = sim_target_read(&w->target, r->target_end - 1, (size_t)rng_in(&w->g, 1, 3));
	if (r->tail_frame == NULL) {
		r->target_err = ERR_KAFKA_OFFSET_OUT_OF_RANGE;
		errmsg_set(&r->why, r->target_err, "the tail: %s", err_text(r->target_err));
	} else {
		struct batch_walk walk = {.left = bytes_of(r->tail_frame->data, r->tail_frame->n)};
		struct batch_head h;
		struct bytes whole;
		while (batch_walk_next(&walk, &h, &whole, NULL) == BATCH_WALK_BATCH)
			r->tail = whole;
	}
	probe_done(w);
}

static void drop_fetched(struct sim_world *w)
{
	sim_source_fetched(&w->fetched);
	w->fetched = (struct fetch_result){0};
}

/* At the source's broker. An answer with nothing new is not sent (KIP-227), but for the first. */
static void on_fetch(struct sim_world *w)
{
	struct fetch_result *r = &w->fetched;
	drop_fetched(w);
	if (!uuid_eq(&w->fetch_id, &w->source.id)) {
		*r = (struct fetch_result){.error = ERR_KAFKA_UNKNOWN_TOPIC_ID,
					   .diverging_epoch = -1};
	} else {
		sim_source_fetch(&w->source, w->fetch_offset, w->p->next_epoch,
				 rng_in(&w->g, 1, w->fetch_batches), r);
	}
	bool news = r->error != ERR_OK || r->records.n > 0 || r->diverging_epoch >= 0 ||
		    r->high_watermark != w->told_end || r->last_stable_offset != w->told_stable ||
		    r->log_start_offset != w->told_start;
	if (w->fetch_told && !news) {
		w->shrunk_told = w->shrunk;
		after(w, rng_in(&w->g, 1, 100), EV_FETCH, NULL);
		return;
	}
	w->shrunk_asked = w->shrunk;
	w->fetch_told = true;
	w->told_end = r->high_watermark;
	w->told_stable = r->last_stable_offset;
	w->told_start = r->log_start_offset;
	if (r->records.n > BATCH_HEAD && chance(w, 200)) {
		int64_t n = (int64_t)be32_get(r->records.p + 8) + BATCH_OVERHEAD;
		if (n > BATCH_HEAD && n <= (int64_t)r->records.n)
			r->frame->data[rng_in(&w->g, BATCH_HEAD, n - 1)] ^= 0x20;
	}
	after(w, delay(w), EV_FETCHED, NULL);
}

static void on_fetched(struct sim_world *w)
{
	struct fetch_result *r = &w->fetched;
	w->shrunk_told = w->shrunk_asked;
	enter(w);
	if (chance(w, 200)) {
		const struct errmsg why = {"connection closed"};
		w->faults++;
		partition_on_fetch_failed(w->p, ERR_CLOSED, &why);
	} else {
		if (chance(w, 200))
			r->error = ERR_KAFKA_NOT_LEADER_OR_FOLLOWER;
		partition_on_fetched(w->p, r);
	}
	leave(w);
	drop_fetched(w);
}

static void on_read_target(struct sim_world *w, int64_t offset)
{
	struct bytes none = {NULL, 0};
	if (chance(w, 30)) {
		partition_on_target_read(w->p, ERR_CLOSED, none, -1);
		return;
	}
	if (offset < w->target.start || offset > w->target.replicated) {
		partition_on_target_read(w->p, ERR_KAFKA_OFFSET_OUT_OF_RANGE, none, -1);
		return;
	}
	struct frame *f = sim_target_read(&w->target, offset, (size_t)rng_in(&w->g, 1, 4));
	enter(w);
	partition_on_target_read(w->p, ERR_OK, f == NULL ? none : bytes_of(f->data, f->n),
				 w->target.replicated);
	leave(w);
	frame_unref(f);
}

static void on_producer(struct sim_world *w, const struct sim_event *e)
{
	struct errmsg why;
	errmsg_set(&why, e->err, "%s", err_text(e->err));
	partition_on_producer(w->p, e->err, &why, e->err == ERR_OK ? e->number : -1, 0);
}

static void on_rebatch(struct sim_world *w, struct rebatch_task *task)
{
	struct worker_job *job = (struct worker_job *)task;
	enter(w);
	job->run(job);
	job->done(job);
	leave(w);
}

/* ---- the stored run table, as journal.c ---- */

static enum err sink_put(void *arg, struct bytes key, struct bytes value)
{
	struct sim_write *write = arg;
	assert_true(write->n < sizeof write->v / sizeof write->v[0]);
	leave(write->w);
	struct sim_entry *x = calloc(1, sizeof *x);
	enter(write->w);
	assert_non_null(x);
	assert_true(key.n + value.n <= sizeof x->bytes);
	x->key_n = key.n;
	x->value_n = value.p == NULL ? SIZE_MAX : value.n;
	memcpy(x->bytes, key.p, key.n);
	if (value.n > 0)
		memcpy(x->bytes + key.n, value.p, value.n);
	write->v[write->n++] = x;
	return ERR_OK;
}

static void write_free(struct sim_write *write)
{
	for (size_t i = 0; i < write->n; i++)
		free(write->v[i]);
	free(write);
}

static void on_store(struct sim_world *w)
{
	if (w->writing || !w->dirty)
		return;
	struct sim_write *write = calloc(1, sizeof *write);
	assert_non_null(write);
	write->w = w;
	const struct block_info info = {
		.topic = bytes_str(w->env.source_topic),
		.partition = w->p->index,
		.topic_id = w->p->stored_id,
		.leader_epoch = w->p->last_epoch,
		.producer_id = w->p->producer_id,
		.producer_epoch = w->p->producer_epoch,
	};
	const struct stored_sink sink = {.put = sink_put, .arg = write};
	size_t records = 0;
	w->dirty = false;
	enter(w);
	enum err e = stored_plan(w->stored, &info, w->p->runs, &sink, &records);
	leave(w);
	if (e != ERR_OK || records == 0)
		write_free(write);
	if (e != ERR_OK) {
		w->dirty = true;
		after(w, 500, EV_STORE, NULL);
	} else if (records > 0) {
		w->writing = true;
		after(w, delay(w), EV_STORE_LANDS, write);
	} else if (w->urgent) {
		w->urgent = false;
		partition_on_stored(w->p);
	}
}

static void on_store_lands(struct sim_world *w, const struct sim_event *e)
{
	struct sim_write *write = e->what;
	bool heard = e->token == w->tokens[EV_STORE_LANDS];
	bool lands = heard ? !chance(w, 20) : rng_one_in(&w->g, 2);
	for (size_t i = 0; lands && i < write->n; i++) {
		if (w->log_n == w->log_cap) {
			w->log_cap = w->log_cap == 0 ? 64 : 2 * w->log_cap;
			w->log = realloc(w->log, w->log_cap * sizeof *w->log);
			assert_non_null(w->log);
		}
		w->log[w->log_n++] = write->v[i];
		write->v[i] = NULL;
	}
	write_free(write);
	if (heard)
		after(w, delay(w), EV_STORED, NULL)->err =
			lands && !chance(w, 20) ? ERR_OK : ERR_TIMEOUT;
}

static void on_stored(struct sim_world *w, enum err e)
{
	w->writing = false;
	stored_done(w->stored, e == ERR_OK);
	if (e != ERR_OK)
		w->dirty = true;
	bool told = w->urgent && !w->dirty;
	w->urgent = w->urgent && !told;
	if (told) {
		enter(w);
		partition_on_stored(w->p);
		leave(w);
	}
	if (w->dirty)
		after(w, e != ERR_OK ? 500 : w->urgent ? 0 : 1000, EV_STORE, NULL);
}

enum err sim_world_load(struct sim_world *w, struct run_taken *taken)
{
	const struct run_store_config c = {.budget = w->p != NULL ? w->p->runs_budget : 1 << 16,
					   .max_partitions = 10};
	struct run_store *s = run_store_new(&c);
	assert_non_null(s);
	for (size_t i = 0; i < w->log_n; i++) {
		const struct sim_entry *x = w->log[i];
		struct bytes value = {NULL, 0};
		if (x->value_n != SIZE_MAX)
			value = bytes_of(x->bytes + x->key_n, x->value_n);
		assert_int_equal(run_store_apply(s, bytes_of(x->bytes, x->key_n), value), ERR_OK);
	}
	enum err e = run_store_take(s, bytes_str(w->env.source_topic), 0, taken);
	run_store_free(s);
	return e;
}

/* ---- the process ---- */

void sim_world_start(struct sim_world *w)
{
	struct run_taken taken;
	struct partition_stored from = {.runs = NULL};
	enum err e = sim_world_load(w, &taken);
	w->env.source_id = w->source.id;
	w->p = partition_new(&w->env, 0, 1 << 16);
	assert_non_null(w->p);
	if (e == ERR_OK) {
		w->stored = taken.stored;
		from = (struct partition_stored){
			.runs = taken.runs,
			.topic_id = taken.info.topic_id,
			.leader_epoch = taken.info.leader_epoch,
			.producer_id = taken.info.producer_id,
			.producer_epoch = taken.info.producer_epoch,
			.src_end = runs_src_end(taken.runs),
			.dst_end = runs_dst_end(taken.runs),
		};
		if (from.src_end < 0 || from.dst_end < 0) {
			runs_free(from.runs);
			from.runs = NULL;
		}
	} else {
		w->stored = stored_new();
	}
	tell(w, "start from %" PRId64 ", %" PRId64, from.runs != NULL ? from.src_end : -1,
	     from.runs != NULL ? from.dst_end : -1);
	w->origins = 0;
	w->ready_queued = w->ready_waits = w->dirty = w->urgent = w->writing = false;
	partition_start(w->p, from.runs != NULL ? &from : NULL, LINK_PRODUCER, 0);
}

void sim_world_crash(struct sim_world *w)
{
	if (w->p == NULL)
		return;
	tell(w, "crash");
	w->crashes++;
	partition_free(w->p);
	w->p = NULL;
	stored_free(w->stored);
	w->stored = NULL;
	frame_unref(w->probe.tail_frame);
	w->probe.tail_frame = NULL;
	drop_fetched(w);
	for (int k = 0; k < EV_KINDS; k++)
		if (k != EV_BROKER && k != EV_REPLICATE && k != EV_GROW && k != EV_CHAOS &&
		    k != EV_RESTART && k != EV_LOCAL)
			w->tokens[k]++;
	for (size_t i = 0; i < w->events_n; i++) {
		if (w->events[i].kind != EV_REBATCH)
			continue;
		struct worker_job *job = w->events[i].what;
		job->done(job); /* cancelled: frees itself */
		w->events[i--] = w->events[--w->events_n];
	}
	conn_lose(w, "crash");
}

static void tell_topic(struct sim_world *w)
{
	bool other = !uuid_eq(&w->env.source_id, &w->source.id);
	w->env.source_id = w->source.id;
	if (other && w->p != NULL)
		partition_on_source_topic(w->p, true, &w->env.source_id);
}

/* ---- faults ---- */

static void foreign_write(struct sim_world *w)
{
	struct batch_builder b;
	struct buf out;
	uint8_t value[8];
	batch_builder_init(&b, CODEC_NONE, 4096);
	buf_init(&out, 8192);
	int64_t n = rng_in(&w->g, 1, 3);
	for (int64_t i = 0; i < n; i++) {
		be64_put(value, (uint64_t)-1 - (uint64_t)w->foreign++);
		const struct record r = {.timestamp = 5, .value = bytes_of(value, sizeof value)};
		assert_int_equal(batch_builder_add(&b, &r), ERR_OK);
	}
	assert_int_equal(batch_builder_finish(&b, &out), ERR_OK);
	struct batch_head h;
	uint8_t head[BATCH_HEAD];
	batch_head_get(out.p, &h);
	h.producer_id = is_shared(w) ? -1 : FOREIGN_PRODUCER + w->foreign;
	h.producer_epoch = is_shared(w) ? -1 : 0;
	h.base_sequence = is_shared(w) ? -1 : 0;
	batch_head_restamp(out.p, out.len - BATCH_HEAD, &h, head);
	memcpy(out.p, head, sizeof head);
	int64_t base;
	assert_int_equal(sim_target_append(&w->target, buf_bytes(&out), &base), ERR_OK);
	tell(w, "foreign write at %" PRId64, base);
	batch_builder_fini(&b);
	buf_fini(&out);
}

static void recreate_source(struct sim_world *w)
{
	for (size_t i = 0; i < w->truth.n; i++)
		w->truth.v[i].lost = true;
	struct sim_source old = w->source;
	sim_source_fini(&w->source);
	sim_source_init(&w->source, &w->g, &w->truth, 0);
	assert_true(++w->truth.topic < 64);
	w->topics[w->truth.topic] = w->source.id;
	w->source.holes = old.holes;
	w->source.append_time = old.append_time;
	for (int64_t n = rng_in(&w->g, 0, 30); n > 0; n--)
		sim_source_append(&w->source);
	after(w, rng_in(&w->g, 0, 2000), EV_METADATA, NULL);
}

/* The end of the first batch of the target's last writer. (If all that it wrote is lost, the leader
 * does not know it any more and takes whatever comes next: that stops in FOREIGN_WRITE.) */
static int64_t writer_begins(const struct sim_target *t)
{
	int64_t producer = t->batches[t->n - 1].head.producer_id;
	size_t i = 0;
	while (t->batches[i].head.producer_id != producer)
		i++;
	return t->batches[i].head.base_offset + t->batches[i].head.count;
}

/* Retention reaches up to the batch before the last, or to some earlier one. */
static void retain_target(struct sim_world *w)
{
	struct sim_target *t = &w->target;
	if (t->n < 2)
		return;
	size_t i = rng_one_in(&w->g, 2) ? t->n - 1 : (size_t)rng_in(&w->g, 0, (int64_t)t->n - 1);
	sim_target_retain(t, t->batches[i].head.base_offset);
	tell(w, "retention: target starts at %" PRId64, t->start);
}

/* The first batch of this link must stay, or the leader does not know its producer any more. */
static int64_t own_begins(const struct sim_target *t)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->batches[i].head.producer_id == LINK_PRODUCER)
			return t->batches[i].head.base_offset + t->batches[i].head.count;
	return -1;
}

static void on_local(struct sim_world *w)
{
	if (w->calm)
		return;
	foreign_write(w);
	after(w, rng_in(&w->g, 1, rng_one_in(&w->g, 10) ? 2000 : 100), EV_LOCAL, NULL);
}

/* Near to what was copied, where it hurts. */
static int64_t lossy_end(struct sim_world *w)
{
	int64_t lo = w->source.end - (w->source.end - w->source.start) / 4;
	if (w->p != NULL && w->p->src_acked >= 0 && !rng_one_in(&w->g, 4))
		lo = w->p->src_acked - 40;
	if (lo < w->source.start)
		lo = w->source.start;
	return lo < w->source.end ? rng_in(&w->g, lo, w->source.end) : w->source.end;
}

/*
 * The process dies, nothing of it lands any more, and the source is compacted before the next one
 * starts. What landed and is not replicated yet stays: a batch of the changed records with as many
 * of them has the sequence of one that is there. (Batches that land after the compaction may follow
 * upon changed ones, and then records stand twice: see the limits in docs/adr/0001-*.)
 */
static void compact_source(struct sim_world *w)
{
	sim_world_crash(w);
	for (struct sim_conn *c = w->conns; c != NULL; c = c->next)
		conn_cut(c, 0);
	tell(w, "compaction");
	sim_source_compact(&w->source);
	after(w, rng_in(&w->g, 0, 100), EV_RESTART, NULL);
}

/* What the mode is about. */
static void mode_event(struct sim_world *w)
{
	struct sim_source *s = &w->source;
	struct sim_target *t = &w->target;
	switch (w->mode) {
	case SIM_EXACT:
	case SIM_REFUSED:
	case SIM_MODES:
		return;
	case SIM_COMPACTED:
		compact_source(w);
		return;
	case SIM_SHARED:
		retain_target(w);
		break;
	case SIM_SHARED_LOSES: {
		int64_t least = own_begins(t);
		if (least < t->start)
			least = t->start;
		if (own_begins(t) < 0 || least >= t->end)
			return;
		target_election(w, rng_in(&w->g, least, t->end));
		for (int64_t n = rng_in(&w->g, 0, 20); n > 0; n--)
			foreign_write(w);
		break;
	}
	case SIM_TARGET_LOSES:
		if (t->n < 2)
			return;
		target_election(w, rng_in(&w->g, writer_begins(t), t->end));
		break;
	case SIM_TARGET_EMPTIED:
		w->target_topic++;
		target_election(w, 0);
		break;
	case SIM_RETENTION:
		sim_source_retain(s, rng_in(&w->g, s->start, sim_source_stable(s)));
		tell(w, "retention: source starts at %" PRId64, s->start);
		break;
	case SIM_SOURCE_LOSES:
		/* While the epoch is not known a loss shows by the log's length alone, and not if
		 * it has grown since. */
		if (w->hit && (w->p == NULL || w->p->phase != PHASE_COPY || w->p->last_epoch < 0))
			return;
		sim_source_truncate(s, lossy_end(w));
		w->shrunk++;
		tell(w, "source truncated to %" PRId64, s->end);
		break;
	case SIM_RECREATED:
		tell(w, "source topic made again");
		recreate_source(w);
		w->shrunk++;
		break;
	case SIM_FOREIGN:
		foreign_write(w);
		break;
	}
	w->hit = true;
}

static void on_chaos(struct sim_world *w)
{
	after(w, rng_in(&w->g, 1, 100), EV_CHAOS, NULL);
	if (w->calm)
		return;
	switch (rng_in(&w->g, 0, 40)) {
	case 0:
	case 1:
		conn_lose(w, "connection reset");
		break;
	case 2:
		sim_world_crash(w);
		after(w, rng_in(&w->g, 0, rng_one_in(&w->g, 2) ? 20 : 3000), EV_RESTART, NULL);
		break;
	case 3:
		sim_source_elect(&w->source);
		tell(w, "source election, epoch from %" PRId64, w->source.end);
		break;
	case 4:
		target_election(w, rng_in(&w->g, w->target.replicated, w->target.end));
		break;
	case 5:
	case 6:
		if (w->mode == SIM_COMPACTED || w->mode == SIM_FOREIGN ||
		    w->mode == SIM_SHARED_LOSES || !w->hit || rng_one_in(&w->g, 4))
			mode_event(w);
		break;
	case 7:
		if (w->p != NULL && rng_one_in(&w->g, 3)) {
			tell(w, "pause");
			partition_pause(w->p, "paused");
			after(w, rng_in(&w->g, 0, 500), EV_RESUME, NULL);
		}
		break;
	case 8:
		if (w->mode != SIM_REFUSED && rng_one_in(&w->g, 3))
			w->target.max_batch = (size_t)rng_in(&w->g, 600, 4000);
		break;
	}
}

static void on_grow(struct sim_world *w)
{
	for (int64_t n = rng_in(&w->g, 1, 6); n > 0 && w->grow_left > 0; n--, w->grow_left--)
		sim_source_append(&w->source);
	if (w->grow_left > 0)
		after(w, rng_in(&w->g, 1, rng_one_in(&w->g, 10) ? 2000 : 100), EV_GROW, NULL);
}

/* ---- the run ---- */

static void take(struct sim_world *w, const struct sim_event *e)
{
	switch (e->kind) {
	case EV_BROKER:
		on_broker(w, e->what);
		return;
	case EV_STORE_LANDS:
		on_store_lands(w, e);
		return;
	case EV_REPLICATE:
		on_replicate(w);
		return;
	case EV_GROW:
		on_grow(w);
		return;
	case EV_CHAOS:
		on_chaos(w);
		return;
	case EV_LOCAL:
		on_local(w);
		return;
	case EV_RESTART:
		if (w->p == NULL)
			sim_world_start(w);
		return;
	case EV_METADATA:
		tell_topic(w);
		return;
	default:
		break;
	}
	if (w->p == NULL || e->token != w->tokens[e->kind])
		return;
	switch (e->kind) {
	case EV_PROBE:
		on_probe(w, e);
		return;
	case EV_PROBE_TAIL:
		on_probe_tail(w);
		return;
	case EV_FETCH:
		on_fetch(w);
		return;
	case EV_FETCHED:
		on_fetched(w);
		return;
	case EV_READ_TARGET:
		on_read_target(w, e->number);
		return;
	case EV_PRODUCER:
		on_producer(w, e);
		return;
	case EV_TIMER:
		partition_on_timer(w->p);
		return;
	case EV_READY:
		on_ready(w);
		return;
	case EV_REBATCH:
		on_rebatch(w, e->what);
		return;
	case EV_STORE:
		on_store(w);
		return;
	case EV_STORED:
		on_stored(w, e->err);
		return;
	case EV_RECORDED:
	case EV_PARKED:
		on_recorded(w, e->kind == EV_PARKED);
		return;
	case EV_ANSWER:
		on_answer(w, e);
		return;
	case EV_RESUME:
		partition_resume(w->p);
		return;
	case EV_ORIGIN:
		w->origins |= 1ULL << e->number;
		enter(w);
		partition_on_origin(w->p);
		leave(w);
		return;
	default:
		return;
	}
}

void sim_world_step(struct sim_world *w)
{
	size_t first = 0;
	for (size_t i = 1; i < w->events_n; i++) {
		const struct sim_event *a = &w->events[i], *b = &w->events[first];
		if (a->due < b->due || (a->due == b->due && a->order < b->order))
			first = i;
	}
	struct sim_event e = w->events[first];
	w->events[first] = w->events[--w->events_n];
	if (e.due > w->now)
		w->now = e.due;
	w->steps++;
	take(w, &e);
}

/* Nothing is left to do: all is copied and stored, or the partition has stopped. */
static bool settled(const struct sim_world *w)
{
	for (const struct sim_conn *c = w->conns; c != NULL; c = c->next)
		if (c->head != NULL)
			return false;
	if (w->p == NULL || w->dirty || w->writing || w->target.replicated < w->target.end)
		return false;
	if (w->p->phase == PHASE_STOPPED)
		return w->p->state != STATE_PAUSED;
	/* Looked at again and again, and still no way to go on. */
	if (w->p->state == STATE_SOURCE_TRUNCATED && w->p->phase == PHASE_WAIT &&
	    w->p->attempt > 12)
		return true;
	/* A source that is as long as it was may be another one, which the next fetch shows. */
	return w->p->phase == PHASE_COPY && w->p->state == STATE_ACTIVE &&
	       w->p->src_acked == w->source.end && w->shrunk_told == w->shrunk;
}

static void settle(struct sim_world *w, const char *what)
{
	int64_t began = w->now;
	while (!settled(w)) {
		sim_world_step(w);
		if (w->now - began < 20 * QUIET_MS && w->steps < STEPS_MAX)
			continue;
		fail_msg("%s: stuck in phase %d, %s (%s), at %" PRId64 " of %" PRId64
			 ", target %" PRId64 " of %" PRId64,
			 what, w->p != NULL ? (int)w->p->phase : -1,
			 w->p != NULL ? mirror_state_name(w->p->state) : "dead",
			 w->p != NULL ? w->p->reason.text : "", w->p != NULL ? w->p->src_acked : -1,
			 w->source.end, w->p != NULL ? w->p->dst_acked : -1, w->target.end);
	}
}

void sim_world_run(struct sim_world *w)
{
	sim_world_start(w);
	after(w, 0, EV_GROW, NULL);
	after(w, 0, EV_REPLICATE, NULL);
	after(w, 50, EV_CHAOS, NULL);
	if (is_shared(w))
		after(w, rng_in(&w->g, 0, 500), EV_LOCAL, NULL);
	while (w->grow_left > 0)
		sim_world_step(w);
	for (int64_t until = w->now + rng_in(&w->g, 0, 3000); w->now < until;)
		sim_world_step(w);
	if (w->mode != SIM_EXACT && w->mode != SIM_REFUSED && !w->hit)
		mode_event(w);
	w->calm = true;
	if (w->p == NULL)
		after(w, 0, EV_RESTART, NULL);
	else
		after(w, 0, EV_RESUME, NULL);
	/* Something to copy comes at the end, so that what the target lost is noticed. */
	w->source.copies = false;
	w->source.plain = w->source.plain || is_shared(w);
	for (int i = 0; i < 3; i++)
		sim_source_append(&w->source);
	sim_source_settle(&w->source);
	settle(w, "the end");
}

void sim_world_init(struct sim_world *w, enum sim_mode mode, uint64_t seed)
{
	*w = (struct sim_world){.mode = mode, .g = {seed}, .next_producer = 1000};
	w->clock = (struct clock){clock_now, clock_now, clock_random, w};
	w->now = 1000000;
	w->slow = rng_in(&w->g, 1, rng_one_in(&w->g, 3) ? 200 : 20);
	w->in_flight_max = rng_in(&w->g, 1, 24);
	w->fetch_batches = rng_in(&w->g, 1, rng_one_in(&w->g, 3) ? 40 : 8);
	w->grow_left = rng_in(&w->g, 20, 150);
	int64_t start = rng_one_in(&w->g, 2) ? 0 : rng_in(&w->g, 1, 100000);
	sim_source_init(&w->source, &w->g, &w->truth, start);
	w->topics[0] = w->source.id;
	w->refused_share = (uint64_t)rng_in(&w->g, 1, 40);
	w->source.holes = mode == SIM_COMPACTED || rng_one_in(&w->g, 3);
	w->source.append_time = rng_one_in(&w->g, 3);
	w->source.plain = mode == SIM_SOURCE_LOSES || rng_one_in(&w->g, 3);
	w->source.copies = is_shared(w);
	w->source.value_max = rng_one_in(&w->g, 3) ? 500 : 40;
	if (mode == SIM_COMPACTED)
		w->source.keys = rng_in(&w->g, 5, 200);
	for (int64_t n = rng_in(&w->g, 0, 40); n > 0; n--)
		sim_source_append(&w->source);
	sim_target_init(&w->target, &w->g,
			(size_t)(rng_one_in(&w->g, 3) ? rng_in(&w->g, 700, 5000) : 1 << 20));
	w->env = (struct partition_env){
		.source_topic = "orders",
		.target_topic = "eu.orders",
		.compacted = mode == SIM_COMPACTED,
		.read_committed = true,
		.two_way = is_shared(w),
		.target_max_batch = (int32_t)w->target.max_batch,
		.request_lifetime_ms = rng_one_in(&w->g, 4)
					       ? 45 * 1000
					       : rng_in(&w->g, LIFE_MIN_MS, 2 * LIFE_MIN_MS),
		.queue_high = (size_t)rng_in(&w->g, 2000, 100000),
		.decode_max = 1 << 20,
		.clock = &w->clock,
		.host = &host,
		.host_ctx = w,
	};
	w->env.queue_low = w->env.queue_high / 2;
	/* So many that the list hardly ever grows, least of all while an allocation is to fail. */
	w->events_cap = 4096;
	w->events = malloc(w->events_cap * sizeof *w->events);
	assert_non_null(w->events);
	w->told_end = w->told_stable = w->told_start = -1;
	for (int64_t n = is_shared(w) ? rng_in(&w->g, 0, 5) : 0; n > 0; n--)
		foreign_write(w);
}

void sim_world_goes_on(struct sim_world *w)
{
	w->goes_on = true;
	for (int ev = 0; ev < ON_EVENTS; ev++)
		w->env.policy.acts[ev] = true;
	if (w->mode == SIM_REFUSED) {
		/* Each refused record takes several round trips. */
		w->grow_left /= 4;
		w->slow = w->slow > 20 ? 20 : w->slow;
	}
	if (w->mode == SIM_REFUSED && rng_one_in(&w->g, 2)) {
		/* Some records are larger than the target takes. */
		w->source.value_max = 500;
		w->target.max_batch = (size_t)rng_in(&w->g, 350, 500);
		w->env.target_max_batch = (int32_t)w->target.max_batch;
	}
}

void sim_world_fini(struct sim_world *w)
{
	w->trace = false;
	sim_world_crash(w);
	drop_fetched(w);
	assert_int_equal(w->held, 0);
	for (size_t i = 0; i < w->events_n; i++)
		if (w->events[i].kind == EV_STORE_LANDS)
			write_free(w->events[i].what);
	free(w->events);
	while (w->conns != NULL) {
		struct sim_conn *next = w->conns->next;
		conn_cut(w->conns, 0);
		free(w->conns);
		w->conns = next;
	}
	for (size_t i = 0; i < w->log_n; i++)
		free(w->log[i]);
	free(w->log);
	sim_source_fini(&w->source);
	sim_target_fini(&w->target);
	free(w->truth.v);
	free(w->gaps);
	free(w->parked);
}
