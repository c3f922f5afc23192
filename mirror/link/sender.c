/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target side of a link: one lane per target broker, with many produce requests in flight on
 * its connection. A request takes one batch of each partition that has one ready (Kafka's rule: one
 * batch per partition and request), so depth comes from many requests. The broker handles a
 * connection in order, so answers come in the order of the units.
 *
 * Invariants: the units of a partition in flight are all in one lane; a partition changes lanes
 * only with nothing in flight.
 */
#include <assert.h>
#include <stdlib.h>

#include "lib/base/map.h"
#include "lib/base/mem.h"
#include "mirror/link/link_parts.h"

enum {
	ENTRIES_MAX = 256,     /* partitions in one request */
	UNSENT_MAX = 24 << 20, /* bytes in flight in one lane */
	PRODUCE_VERSION_NAMES =
		12, /* the last version that names topics; 13 and later use ids (KIP-516) */
};

struct send_lane {
	struct sender *sender;
	struct send_lane *next;
	int32_t node;
	struct slot *head, **tail; /* have units to send */
	int in_flight;             /* requests */
	size_t bytes;              /* of units in flight */
	int64_t heard_ms;          /* the last answer, or the first request after a pause */
	struct loop_deferred pump;
};

struct entry {
	struct slot *slot;
	struct unit *unit;
};

/* One produce request and all that it refers to. */
struct produce_call {
	struct send_lane *lane;
	struct produce_request msg;
	struct produce_request_topic_produce_data *topics;
	struct produce_request_partition_produce_data *partitions;
	size_t n, bytes;
	struct entry entries[];
};

struct sender {
	struct link *link;
	struct send_lane *lanes;
	struct slot *homeless;
	size_t in_flight;
	struct loop_deferred homeless_check;
};

enum err sender_new(struct link *k, struct sender **out)
{
	struct sender *s = mem_zalloc(1, sizeof *s);
	if (s == NULL)
		return ERR_NOMEM;
	s->link = k;
	*out = s;
	return ERR_OK;
}

void sender_free(struct sender *s)
{
	if (s == NULL)
		return;
	assert(s->in_flight == 0);
	while (s->lanes != NULL) {
		struct send_lane *next = s->lanes->next;
		loop_undefer(s->link->loop, &s->lanes->pump);
		mem_free(s->lanes);
		s->lanes = next;
	}
	mem_free(s);
}

size_t sender_in_flight(const struct sender *s)
{
	return s->in_flight;
}

static void lane_pump(void *arg);

static struct send_lane *lane_get(struct sender *s, int32_t node)
{
	for (struct send_lane *l = s->lanes; l != NULL; l = l->next)
		if (l->node == node)
			return l;
	struct send_lane *l = mem_zalloc(1, sizeof *l);
	if (l == NULL)
		return NULL;
	l->sender = s;
	l->node = node;
	l->tail = &l->head;
	l->pump = (struct loop_deferred){.fn = lane_pump, .arg = l};
	l->next = s->lanes;
	s->lanes = l;
	return l;
}

static void pump_soon(struct send_lane *l)
{
	if (!l->pump.pending)
		loop_defer(l->sender->link->loop, &l->pump);
}

static int32_t target_leader(struct sender *s, const struct slot *slot)
{
	const struct client_topic *t =
		client_topic(s->link->target_client, slot->topic->target_name);
	if (t == NULL || slot->p->index >= t->partitions_n)
		return -1;
	return t->partitions[slot->p->index].leader;
}

static void lane_push(struct send_lane *l, struct slot *slot)
{
	slot->send_lane = l;
	slot->send_queued = true;
	slot->send_next = NULL;
	*l->tail = slot;
	l->tail = &slot->send_next;
	pump_soon(l);
}

static struct slot *lane_pop(struct send_lane *l)
{
	struct slot *slot = l->head;
	if (slot == NULL)
		return NULL;
	l->head = slot->send_next;
	if (l->head == NULL)
		l->tail = &l->head;
	slot->send_queued = false;
	return slot;
}

void sender_ready(struct sender *s, struct slot *slot)
{
	if (slot->send_queued)
		return;
	if (slot->p->in_flight.n > 0 && slot->send_lane != NULL) {
		lane_push(slot->send_lane, slot);
		return;
	}
	int32_t node = target_leader(s, slot);
	struct send_lane *l = node < 0 ? NULL : lane_get(s, node);
	if (l != NULL) {
		lane_push(l, slot);
		return;
	}
	slot->send_lane = NULL;
	slot->send_queued = true;
	slot->send_next = s->homeless;
	s->homeless = slot;
	client_metadata_refresh(s->link->target_client);
}

void sender_prepare(struct sender *s, const char *topic)
{
	struct client *c = s->link->target_client;
	const struct client_topic *t = client_topic(c, topic);
	for (int32_t i = 0; t != NULL && i < t->partitions_n; i++)
		client_open(c, t->partitions[i].leader, CLIENT_CHANNEL_PRODUCE);
}

void sender_forget(struct sender *s, struct slot *slot)
{
	if (!slot->send_queued)
		return;
	struct send_lane *l = slot->send_lane;
	for (struct slot **at = l != NULL ? &l->head : &s->homeless; *at != NULL;
	     at = &(*at)->send_next) {
		if (*at != slot)
			continue;
		*at = slot->send_next;
		if (l != NULL && *at == NULL)
			l->tail = at;
		break;
	}
	slot->send_queued = false;
}

void sender_on_metadata(struct sender *s)
{
	struct slot *list = s->homeless;
	s->homeless = NULL;
	while (list != NULL) {
		struct slot *slot = list;
		list = slot->send_next;
		slot->send_queued = false;
		if (target_leader(s, slot) >= 0) {
			sender_ready(s, slot);
			continue;
		}
		const struct errmsg why = {"no leader"};
		partition_on_send_failed(slot->p, ERR_NO_LEADER, &why);
	}
}

static void lane_silent(struct sender *s, const struct send_lane *l, int64_t quiet)
{
	size_t at = 0;
	void *v;
	while (map_next(s->link->entries, &at, NULL, &v)) {
		const struct topic_entry *t = v;
		for (int32_t i = 0; i < t->slots_n; i++)
			if (t->slots[i]->send_lane == l && t->slots[i]->p->in_flight.n > 0)
				partition_on_silence(t->slots[i]->p, false, quiet);
	}
}

void sender_tick(struct sender *s)
{
	int64_t now = loop_now_ms(s->link->loop);
	for (const struct send_lane *l = s->lanes; l != NULL; l = l->next)
		if (l->in_flight > 0 &&
		    now - l->heard_ms > s->link->config->target->user_timeout_ms)
			lane_silent(s, l, now - l->heard_ms);
}

/* ---- answers ---- */

static const struct produce_response_partition_produce_response *
answer_of(const struct produce_response *r, const struct entry *e)
{
	for (int32_t i = 0; i < r->responses_n; i++) {
		const struct produce_response_topic_produce_response *topic = &r->responses[i];
		bool same = topic->name.n > 0
				    ? bytes_eq_str(topic->name, e->slot->topic->target_name)
				    : uuid_eq(&topic->topic_id, &e->slot->target_id);
		for (int32_t j = 0; same && j < topic->partition_responses_n; j++)
			if (topic->partition_responses[j].index == e->slot->p->index)
				return &topic->partition_responses[j];
	}
	return NULL;
}

static void entry_failed(const struct entry *e, enum err err, const struct errmsg *why)
{
	const struct produced end = {.err = err, .why = why, .base_offset = -1};
	partition_on_produced(e->slot->p, e->unit, &end);
}

/*
 * Did the target have the batch before? Then it gives the timestamp of the batch that it has
 * (UnifiedLog.append), where else there is none, unless it stamps records itself.
 */
static bool was_there(const struct entry *e,
		      const struct produce_response_partition_produce_response *a)
{
	return a->log_append_time_ms >= 0 && !e->slot->topic->target_stamps;
}

static void entry_answered(struct send_lane *l, const struct entry *e,
			   const struct produce_response *r)
{
	struct client *c = l->sender->link->target_client;
	const char *name = e->slot->topic->target_name;
	const struct produce_response_partition_produce_response *a = answer_of(r, e);
	struct errmsg why = {""};

	if (a == NULL) {
		errmsg_set(&why, ERR_MALFORMED, "the answer does not name %s-%d", name,
			   e->slot->p->index);
		entry_failed(e, ERR_MALFORMED, &why);
		return;
	}
	enum err err = err_from_kafka(a->error_code);
	if (a->error_message.n > 0)
		errmsg_set(&why, err, "%.*s",
			   (int)(a->error_message.n < 300 ? a->error_message.n : 300),
			   (const char *)a->error_message.p);
	else if (err != ERR_OK)
		errmsg_set(&why, err, "%s", err_text(err));
	if (a->current_leader.leader_id >= 0)
		client_leader_hint(c, name, e->slot->p->index, a->current_leader.leader_id,
				   a->current_leader.leader_epoch, NULL, 0);
	const struct produced end = {.err = err,
				     .why = &why,
				     .base_offset = a->base_offset,
				     .repeated = err == ERR_OK && was_there(e, a)};
	/* Or does it stamp records by now? */
	if (end.repeated)
		topics_recheck_config(l->sender->link->topics, e->slot->topic->source_name);
	partition_on_produced(e->slot->p, e->unit, &end);
}

static void call_free(struct produce_call *call)
{
	mem_free(call->topics);
	mem_free(call->partitions);
	mem_free(call);
}

static void on_produced(void *arg, enum err e, const struct errmsg *why,
			const struct rpc_reply *reply)
{
	struct produce_call *call = arg;
	struct send_lane *l = call->lane;

	l->heard_ms = loop_now_ms(l->sender->link->loop);
	l->in_flight--;
	l->sender->in_flight--;
	l->bytes -= call->bytes;
	for (size_t i = 0; i < call->n; i++) {
		if (e == ERR_OK)
			entry_answered(l, &call->entries[i], reply->msg);
		else
			entry_failed(&call->entries[i], e, why);
	}
	call_free(call);
	if (l->head != NULL)
		pump_soon(l);
}

/* ---- requests ---- */

static int entry_compare(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	if (x->slot->topic != y->slot->topic)
		return x->slot->topic < y->slot->topic ? -1 : 1;
	int id = memcmp(&x->slot->target_id, &y->slot->target_id, sizeof x->slot->target_id);
	if (id != 0)
		return id;
	return x->slot->p->index < y->slot->p->index ? -1 : x->slot->p->index > y->slot->p->index;
}

static bool same_topic(const struct entry *a, const struct entry *b)
{
	return a->slot->topic == b->slot->topic &&
	       uuid_eq(&a->slot->target_id, &b->slot->target_id);
}

/* One unit of each ready partition, as long as it fits. */
static void gather(struct send_lane *l, struct produce_call *call)
{
	size_t max = (size_t)l->sender->link->config->max_request_bytes;
	struct slot *again = NULL, **again_tail = &again;
	struct slot *slot;

	while (call->n < ENTRIES_MAX && call->bytes < max && (slot = lane_pop(l)) != NULL) {
		if (slot->p->in_flight.n == 0) {
			int32_t node = target_leader(l->sender, slot);
			if (node != l->node) {
				sender_ready(l->sender, slot);
				continue;
			}
		}
		struct unit *u = partition_next_unit(slot->p);
		if (u == NULL)
			continue;
		call->entries[call->n++] = (struct entry){.slot = slot, .unit = u};
		call->bytes += u->whole.n;
		if (slot->p->ready_listed) {
			slot->send_next = NULL;
			*again_tail = slot;
			again_tail = &slot->send_next;
		}
	}
	while (again != NULL) {
		slot = again;
		again = slot->send_next;
		lane_push(l, slot);
	}
}

static enum err build(struct produce_call *call, bool *ids)
{
	qsort(call->entries, call->n, sizeof call->entries[0], entry_compare);
	call->topics = mem_zalloc(call->n, sizeof *call->topics);
	call->partitions = mem_zalloc(call->n, sizeof *call->partitions);
	if (call->topics == NULL || call->partitions == NULL)
		return ERR_NOMEM;
	wire_init(&wire_produce_request, &call->msg);
	call->msg.acks = -1;
	call->msg.topic_data = call->topics;
	*ids = true;
	for (size_t i = 0; i < call->n; i++) {
		const struct entry *e = &call->entries[i];
		struct produce_request_topic_produce_data *t = NULL;
		if (i > 0 && same_topic(&call->entries[i - 1], e)) {
			t = &call->topics[call->msg.topic_data_n - 1];
		} else {
			t = &call->topics[call->msg.topic_data_n++];
			t->name = bytes_str(e->slot->topic->target_name);
			/* The topic that was probed, not one of the same name made since. */
			t->topic_id = e->slot->target_id;
			t->partition_data = &call->partitions[i];
			*ids = *ids && !uuid_is_zero(&t->topic_id);
		}
		t->partition_data_n++;
		call->partitions[i].index = e->slot->p->index;
		call->partitions[i].records.data = bytes_of(e->unit->stamped, BATCH_HEAD);
		call->partitions[i].records.more =
			bytes_of(e->unit->whole.p + BATCH_HEAD, e->unit->whole.n - BATCH_HEAD);
	}
	return ERR_OK;
}

static void call_failed(struct produce_call *call)
{
	const struct errmsg why = {"out of memory"};
	for (size_t i = 0; i < call->n; i++)
		entry_failed(&call->entries[i], ERR_NOMEM, &why);
	call_free(call);
}

static bool lane_send_one(struct send_lane *l)
{
	struct link *k = l->sender->link;
	struct produce_call *call =
		mem_zalloc(1, sizeof *call + ENTRIES_MAX * sizeof call->entries[0]);
	if (call == NULL)
		return false;
	call->lane = l;
	gather(l, call);
	bool ids = false;
	if (call->n == 0) {
		call_free(call);
		return false;
	}
	if (build(call, &ids) != ERR_OK) {
		call_failed(call);
		return false;
	}
	call->msg.timeout_ms = (int32_t)k->config->target->request_timeout_ms;
	if (l->in_flight++ == 0)
		l->heard_ms = loop_now_ms(k->loop);
	l->sender->in_flight++;
	l->bytes += call->bytes;
	const struct client_call cc = {
		.node = l->node,
		.channel = CLIENT_CHANNEL_PRODUCE,
		.api_key = 0,
		.max_version = ids ? 0 : PRODUCE_VERSION_NAMES,
		.msg = &call->msg,
		.timeout_ms = k->config->delivery_timeout_ms,
		.done = on_produced,
		.arg = call,
	};
	client_call(k->target_client, &cc);
	return true;
}

static void lane_pump(void *arg)
{
	struct send_lane *l = arg;
	int max = l->sender->link->config->max_in_flight;
	while (l->head != NULL && l->in_flight < max && l->bytes < UNSENT_MAX)
		if (!lane_send_one(l))
			break;
}
