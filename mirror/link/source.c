/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The source side of a link. Each source broker has up to three lanes, each a fetcher on a
 * connection of its own:
 *
 *   tail  caught-up partitions wait there in one parked request (long poll), so a new record
 *         arrives at once
 *   live  where many wait, those that records come to wait apart. A broker looks at every
 *         partition of a session for each answer: with 10 000 of them some 10 ms of its CPU, which
 *         each record would pay for. For the same reason a crowded tail lane parks longer; so who
 *         comes to it while its request is out waits in the live lane until that comes back
 *   bulk  partitions that are behind; its requests are never parked, so they cannot hold each
 *         other up
 *
 * A partition is fetched from when it asks, once; it asks again when it has room. A bulk request
 * goes out when the memory for its answer was granted. Its size grows while answers come back full
 * from far away (few, large answers).
 *
 * Invariants: an armed slot is in exactly one lane's request; a lane has at most one request under
 * way.
 */
#include <inttypes.h>

#include "lib/base/mem.h"
#include "mirror/link/link_parts.h"

enum {
	LANE_TAIL,
	LANE_BULK,
	LANE_LIVE,
	TAIL_BYTES = 1 << 20, /* of an answer to a parked request */
	BULK_BYTES_MIN = 4 << 20,
	BULK_BYTES_MAX = 16 << 20,
	PART_BYTES_MIN = 1 << 20,
	CROWD = 200,              /* a lane with more partitions is crowded */
	CROWD_WAIT_MS = 5 * 1000, /* a crowded tail lane parks for so long */
	LIVE_WAIT_MS = 100,       /* what comes to the live lane waits for the answer under way */
	LIVE_MS = 30 * 1000,      /* without a record for so long: not live any more */
	FAR_MS = 20, /* no answer ever came sooner: the broker is far away, a larger request pays */
};

struct fetch_lane {
	struct source *source;
	struct fetch_lane *next;
	int32_t node;
	int kind;
	struct fetcher *fetcher;
	struct slot *queue; /* want to be in the next request */
	size_t reserved;    /* memory granted for the answer */
	int32_t bytes;      /* size of the next request's answer */
	int64_t heard_ms;   /* when the last answer came, or the first request after a pause left */
	bool silent;
	int64_t began_ms, shortest_ms; /* of the round under way; of all rounds */
	struct slot **armed;           /* in the request under way */
	size_t armed_n, armed_cap;
	struct memory_waiter waiter;
	struct loop_deferred kick;
};

struct source {
	struct link *link;
	struct fetch_lane *lanes;
	struct slot *homeless; /* no leader known; tried again with the next metadata */
};

static const struct fetch_events lane_events;

static const struct client_topic *source_topic(struct source *s, const struct slot *slot)
{
	return client_topic(s->link->source_client, slot->topic->source_name);
}

static int32_t source_leader(struct source *s, const struct slot *slot, int32_t *epoch)
{
	const struct client_topic *t = source_topic(s, slot);
	if (t == NULL || slot->p->index >= t->partitions_n)
		return -1;
	*epoch = t->partitions[slot->p->index].leader_epoch;
	return t->partitions[slot->p->index].leader;
}

enum err source_new(struct link *k, struct source **out)
{
	struct source *s = mem_zalloc(1, sizeof *s);
	if (s == NULL)
		return ERR_NOMEM;
	s->link = k;
	*out = s;
	return ERR_OK;
}

/* ---- lanes ---- */

static void lane_kick(void *arg);
static void lane_wake(void *arg);

static struct fetch_lane *lane_find(const struct source *s, int32_t node, int kind)
{
	for (struct fetch_lane *f = s->lanes; f != NULL; f = f->next)
		if (f->node == node && f->kind == kind)
			return f;
	return NULL;
}

static bool lane_crowded(const struct fetch_lane *f)
{
	return fetcher_parts(f->fetcher) > CROWD;
}

/* For how long its next request may be parked. */
static int32_t lane_wait_ms(const struct fetch_lane *f)
{
	int32_t set = f->source->link->config->source->fetch_max_wait_ms;
	if (f->kind == LANE_BULK)
		return 0;
	if (f->kind == LANE_TAIL)
		return lane_crowded(f) && set < CROWD_WAIT_MS ? CROWD_WAIT_MS : set;
	return !lane_crowded(f) && set > LIVE_WAIT_MS ? LIVE_WAIT_MS : set;
}

static struct fetch_lane *lane_get(struct source *s, int32_t node, int kind)
{
	struct fetch_lane *f = lane_find(s, node, kind);
	if (f != NULL)
		return f;
	f = mem_zalloc(1, sizeof *f);
	if (f == NULL)
		return NULL;
	const struct cluster_config *c = s->link->config->source;
	int32_t bulk = c->fetch_max_bytes > 0 ? c->fetch_max_bytes : BULK_BYTES_MIN;
	f->bytes = kind == LANE_BULK ? bulk : TAIL_BYTES;
	const struct fetcher_options o = {
		.node = node,
		.channel = (uint8_t)(CLIENT_CHANNEL_FETCH + kind),
		.max_wait_ms = 0, /* lane_kick sets it */
		.min_bytes = kind == LANE_BULK ? 0 : 1,
		.max_bytes = f->bytes,
		.read_committed = c->read_committed,
		.rack = c->rack,
	};
	f->fetcher = fetcher_new(s->link->source_client, &o, &lane_events, f);
	if (f->fetcher == NULL) {
		mem_free(f);
		return NULL;
	}
	f->source = s;
	f->node = node;
	f->kind = kind;
	f->waiter = (struct memory_waiter){.wake = lane_wake, .arg = f};
	f->kick = (struct loop_deferred){.fn = lane_kick, .arg = f};
	if (kind != LANE_BULK)
		memory_stand(s->link->memory, TAIL_BYTES);
	f->next = s->lanes;
	s->lanes = f;
	return f;
}

/* The largest answer to ask for: two of them must fit, one that comes and one that goes. */
static int32_t lane_bytes_max(const struct fetch_lane *f)
{
	size_t half = memory_max(f->source->link->memory) / 2;
	return half < BULK_BYTES_MAX ? (int32_t)half : BULK_BYTES_MAX;
}

static void lane_kick_soon(struct fetch_lane *f)
{
	if (!f->kick.pending)
		loop_defer(f->source->link->loop, &f->kick);
}

static void lane_wake(void *arg)
{
	lane_kick_soon(arg);
}

static void slot_unqueue(struct slot **list, struct slot *slot)
{
	for (; *list != NULL; list = &(*list)->fetch_next) {
		if (*list != slot)
			continue;
		*list = slot->fetch_next;
		slot->fetch_queued = false;
		return;
	}
}

static void lane_disarm(struct fetch_lane *f, struct slot *slot)
{
	if (!slot->fetch_armed)
		return;
	slot->fetch_armed = false;
	struct slot *last = f->armed[--f->armed_n];
	f->armed[slot->fetch_at] = last;
	last->fetch_at = slot->fetch_at;
}

/* Take the partition out of its lane. */
static void slot_leave(struct source *s, struct slot *slot)
{
	struct fetch_lane *f = slot->fetch_lane;
	if (slot->fetch_queued)
		slot_unqueue(f != NULL ? &f->queue : &s->homeless, slot);
	if (f == NULL)
		return;
	lane_disarm(f, slot);
	fetcher_remove(f->fetcher, slot->fetch_part);
	slot->fetch_part = NULL;
	slot->fetch_lane = NULL;
}

static void lane_free(struct fetch_lane *f)
{
	struct link *k = f->source->link;
	loop_undefer(k->loop, &f->kick);
	memory_unwait(k->memory, &f->waiter);
	fetcher_free(f->fetcher);
	memory_give(k->memory, f->reserved);
	if (f->kind != LANE_BULK)
		memory_unstand(k->memory, TAIL_BYTES);
	mem_free(f->armed);
	mem_free(f);
}

void source_free(struct source *s)
{
	if (s == NULL)
		return;
	while (s->lanes != NULL) {
		struct fetch_lane *next = s->lanes->next;
		lane_free(s->lanes);
		s->lanes = next;
	}
	mem_free(s);
}

void source_prepare(struct source *s, const char *topic)
{
	struct client *c = s->link->source_client;
	const struct client_topic *t = client_topic(c, topic);
	for (int32_t i = 0; t != NULL && i < t->partitions_n; i++) {
		int32_t leader = t->partitions[i].leader;
		client_open(c, leader, CLIENT_CHANNEL_CONTROL); /* probes */
		client_open(c, leader, CLIENT_CHANNEL_FETCH + LANE_TAIL);
		client_open(c, leader, CLIENT_CHANNEL_FETCH + LANE_BULK);
	}
}

/* ---- asking ---- */

static void slot_fail(struct slot *slot, enum err e, const struct errmsg *why)
{
	slot->fetch_nearer = false;
	partition_on_fetch_failed(slot->p, e, why);
}

static int lane_kind(const struct source *s, struct slot *slot, int32_t node)
{
	if (slot->fetch_behind)
		return LANE_BULK;
	const struct fetch_lane *tail = lane_find(s, node, LANE_TAIL);
	if (tail != NULL && slot->fetch_lane != tail && lane_crowded(tail) &&
	    fetcher_in_flight(tail->fetcher))
		slot->fetch_live = true;
	return slot->fetch_live ? LANE_LIVE : LANE_TAIL;
}

static void slot_homeless(struct source *s, struct slot *slot)
{
	slot->fetch_next = s->homeless;
	s->homeless = slot;
	slot->fetch_queued = true;
}

/* Into the lane's next request. A topic that was made again is asked for by its new id. */
static void slot_join(struct fetch_lane *f, struct slot *slot)
{
	if (slot->fetch_lane != f || !uuid_eq(&slot->fetch_id, &slot->topic->env.source_id))
		slot_leave(f->source, slot);
	if (slot->fetch_part == NULL) {
		slot->fetch_part = fetcher_add(f->fetcher, slot->topic->source_name,
					       &slot->topic->env.source_id, slot->p->index, slot);
		if (slot->fetch_part == NULL) {
			slot->fetch_behind = false;
			slot_homeless(f->source, slot);
			return;
		}
		slot->fetch_lane = f;
		slot->fetch_id = slot->topic->env.source_id;
	}
	slot->fetch_next = f->queue;
	f->queue = slot;
	slot->fetch_queued = true;
	lane_kick_soon(f);
}

static void slot_queue(struct source *s, struct slot *slot)
{
	int32_t epoch = -1, node = source_leader(s, slot, &epoch);
	if (slot->fetch_nearer)
		node = slot->fetch_replica;
	struct fetch_lane *f = node < 0 ? NULL : lane_get(s, node, lane_kind(s, slot, node));
	if (f != NULL) {
		slot_join(f, slot);
		return;
	}
	slot_leave(s, slot);
	slot_homeless(s, slot);
	client_metadata_refresh(s->link->source_client);
}

void source_fetch(struct source *s, struct slot *slot, int64_t offset, bool behind)
{
	slot->fetch_offset = offset;
	slot->fetch_behind = behind;
	if (slot->fetch_max < PART_BYTES_MIN)
		slot->fetch_max = PART_BYTES_MIN;
	if (!slot->fetch_queued)
		slot_queue(s, slot);
}

void source_stop(struct source *s, struct slot *slot)
{
	slot_leave(s, slot);
}

static bool lane_arm(struct fetch_lane *f, struct slot *slot, int32_t part_bytes)
{
	if (f->armed_n == f->armed_cap) {
		size_t cap = f->armed_cap == 0 ? 16 : f->armed_cap * 2;
		struct slot **armed = mem_resize(f->armed, cap, sizeof *armed);
		if (armed == NULL)
			return false;
		f->armed = armed;
		f->armed_cap = cap;
	}
	int32_t epoch = -1;
	source_leader(f->source, slot, &epoch);
	slot->fetch_at = f->armed_n;
	f->armed[f->armed_n++] = slot;
	slot->fetch_armed = true;
	fetch_part_resume(slot->fetch_part, slot->fetch_offset, epoch, slot->p->next_epoch,
			  slot->fetch_max > part_bytes ? slot->fetch_max : part_bytes);
	return true;
}

/* Memory for the next answer. A parked lane has its share set aside, but takes in nothing more
 * while all the rest is in use: then the target is slow. False: called again when there is room. */
static bool lane_grant(struct fetch_lane *f)
{
	struct memory *m = f->source->link->memory;
	if (f->kind != LANE_BULK)
		return memory_take(m, 0, &f->waiter);
	if (f->reserved > 0)
		return true;
	int32_t most = lane_bytes_max(f);
	if (f->bytes > most)
		f->bytes = most;
	if (!memory_take(m, (size_t)f->bytes, &f->waiter))
		return false;
	f->reserved = (size_t)f->bytes;
	fetcher_set_max_bytes(f->fetcher, f->bytes);
	return true;
}

/* Put all that wait into the next request. */
static void lane_kick(void *arg)
{
	struct fetch_lane *f = arg;
	struct link *k = f->source->link;

	if (f->queue == NULL || (f->kind == LANE_BULK && fetcher_in_flight(f->fetcher)))
		return;
	if (!lane_grant(f))
		return;
	fetcher_set_wait(f->fetcher, lane_wait_ms(f));
	int32_t waiting = 1;
	for (struct slot *slot = f->queue->fetch_next; slot != NULL; slot = slot->fetch_next)
		waiting++;
	int32_t part_bytes = f->kind == LANE_BULK ? f->bytes / waiting : PART_BYTES_MIN;
	struct slot *list = f->queue;
	f->queue = NULL;
	while (list != NULL) {
		struct slot *slot = list;
		list = slot->fetch_next;
		slot->fetch_queued = false;
		if (!lane_arm(f, slot, part_bytes)) {
			const struct errmsg why = {"out of memory"};
			slot_fail(slot, ERR_NOMEM, &why);
		}
	}
	f->began_ms = loop_now_ms(k->loop);
	if (!fetcher_in_flight(f->fetcher))
		f->heard_ms = f->began_ms;
}

/* ---- answers ---- */

static void note_records(struct fetch_lane *f, struct slot *slot)
{
	slot->fetch_records_ms = loop_now_ms(f->source->link->loop);
	if (f->kind == LANE_TAIL && lane_crowded(f))
		slot->fetch_live = true;
}

/* No request of the tail lane is out: those of the live lane that are quiet go there. */
static void lane_take_quiet(struct fetch_lane *tail)
{
	const struct fetch_lane *live = lane_find(tail->source, tail->node, LANE_LIVE);
	int64_t now = loop_now_ms(tail->source->link->loop);
	for (size_t i = live == NULL ? 0 : live->armed_n; i-- > 0;) {
		struct slot *slot = live->armed[i];
		if (now - slot->fetch_records_ms < LIVE_MS)
			continue;
		slot->fetch_live = false;
		slot_join(tail, slot);
	}
}

/* The tail lane does that when its request comes back; here, if it has none. */
static void live_tick(const struct fetch_lane *live)
{
	struct fetch_lane *tail = lane_get(live->source, live->node, LANE_TAIL);
	if (tail != NULL && !fetcher_in_flight(tail->fetcher))
		lane_take_quiet(tail);
}

static void on_result(void *part_arg, const struct fetch_result *r)
{
	struct slot *slot = part_arg;
	struct fetch_lane *f = slot->fetch_lane;
	struct partition *p = slot->p;

	memory_count(f->source->link->memory, r->frame);
	lane_disarm(f, slot);
	fetch_part_pause(slot->fetch_part);
	if (r->error == ERR_OK && r->records.n > 0)
		note_records(f, slot);
	/* The leader sends us to a replica in our rack (KIP-392); any trouble there sends us
	 * back. */
	slot->fetch_nearer =
		r->error == ERR_OK && (r->preferred_read_replica >= 0 || slot->fetch_nearer);
	if (r->error == ERR_OK && r->preferred_read_replica >= 0) {
		slot->fetch_replica = r->preferred_read_replica;
		slot_queue(f->source, slot);
		return;
	}
	/* An empty answer although more is there: the next batch is larger than what was asked for.
	 */
	if (r->error == ERR_OK && r->records.n == 0 && f->kind == LANE_BULK) {
		if (slot->fetch_max < BULK_BYTES_MAX)
			slot->fetch_max *= 2;
	} else {
		slot->fetch_max = PART_BYTES_MIN;
	}
	partition_on_fetched(p, r);
}

static void adapt_size(struct fetch_lane *f, size_t bytes)
{
	int64_t took = loop_now_ms(f->source->link->loop) - f->began_ms;
	if (f->shortest_ms == 0 || took < f->shortest_ms)
		f->shortest_ms = took;
	int32_t cap = lane_bytes_max(f);
	if (bytes >= (size_t)f->bytes / 4 * 3 && f->shortest_ms > FAR_MS && f->bytes < cap &&
	    f->source->link->config->source->fetch_max_bytes == 0)
		f->bytes = f->bytes > cap / 2 ? cap : f->bytes * 2;
}

static void fail_armed(struct fetch_lane *f, enum err e, const struct errmsg *why)
{
	while (f->armed_n > 0) {
		struct slot *slot = f->armed[f->armed_n - 1];
		lane_disarm(f, slot);
		fetch_part_pause(slot->fetch_part);
		slot_fail(slot, e, why);
	}
}

/* Bulk partitions that the answer did not name have nothing more: they go and wait with the
 * caught-up ones. Unless the answer was full: then it is their turn next. */
static void retire_armed(struct fetch_lane *f, bool full)
{
	while (f->armed_n > 0) {
		struct slot *slot = f->armed[f->armed_n - 1];
		lane_disarm(f, slot);
		fetch_part_pause(slot->fetch_part);
		slot->fetch_behind = full;
		slot_queue(f->source, slot);
	}
}

static void on_round(void *arg, enum err e, const struct errmsg *why, size_t bytes)
{
	struct fetch_lane *f = arg;
	f->heard_ms = loop_now_ms(f->source->link->loop);
	for (size_t i = 0; f->silent && i < f->armed_n; i++)
		partition_on_heard(f->armed[i]->p);
	f->silent = false;
	if (e != ERR_OK) {
		fail_armed(f, e, why);
	} else if (f->kind == LANE_BULK) {
		bool full = bytes >= (size_t)f->bytes / 4 * 3;
		adapt_size(f, bytes);
		retire_armed(f, full);
	}
	if (f->kind == LANE_TAIL) {
		lane_take_quiet(f);
		fetcher_set_wait(f->fetcher, lane_wait_ms(f));
	}
	if (f->kind == LANE_BULK) {
		memory_give(f->source->link->memory, f->reserved);
		f->reserved = 0;
	}
	if (f->queue != NULL)
		lane_kick_soon(f);
}

static const struct fetch_events lane_events = {.on_result = on_result, .on_round = on_round};

/* ---- leaders ---- */

static void rehome(struct source *s)
{
	struct slot *list = s->homeless;
	s->homeless = NULL;
	while (list != NULL) {
		struct slot *slot = list;
		list = slot->fetch_next;
		slot->fetch_queued = false;
		int32_t epoch = -1;
		if (source_leader(s, slot, &epoch) >= 0) {
			slot_queue(s, slot);
			continue;
		}
		const struct errmsg why = {"no leader"};
		slot_fail(slot, ERR_NO_LEADER, &why);
	}
}

void source_tick(struct source *s)
{
	const struct cluster_config *c = s->link->config->source;
	int64_t now = loop_now_ms(s->link->loop);
	for (struct fetch_lane *f = s->lanes; f != NULL; f = f->next) {
		int64_t quiet = now - f->heard_ms;
		if (f->kind == LANE_LIVE)
			live_tick(f);
		if (!fetcher_in_flight(f->fetcher) || quiet < lane_wait_ms(f) + c->user_timeout_ms)
			continue;
		f->silent = true;
		for (size_t i = 0; i < f->armed_n; i++)
			partition_on_silence(f->armed[i]->p, true, quiet);
	}
}

/* Lanes to brokers that lead nothing of ours any more. */
static void drop_empty_lanes(struct source *s)
{
	for (struct fetch_lane **at = &s->lanes; *at != NULL;) {
		struct fetch_lane *f = *at;
		if (fetcher_parts(f->fetcher) > 0 || fetcher_in_flight(f->fetcher)) {
			at = &f->next;
			continue;
		}
		*at = f->next;
		lane_free(f);
	}
}

void source_on_metadata(struct source *s)
{
	rehome(s);
	for (struct fetch_lane *f = s->lanes; f != NULL; f = f->next) {
		for (size_t i = f->armed_n; i-- > 0;) {
			if (i >= f->armed_n)
				continue;
			struct slot *slot = f->armed[i];
			int32_t epoch = -1, node = source_leader(s, slot, &epoch);
			if (node == f->node || node < 0 || slot->fetch_nearer)
				continue;
			slot_leave(s, slot);
			slot_queue(s, slot);
		}
	}
	drop_empty_lanes(s);
}
