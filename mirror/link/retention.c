/* SPDX-License-Identifier: Apache-2.0 */
/* One round of questions every POLL_MS: ListOffsets for up to ASK_MAX such partitions of a leader,
 * one after the other. Nothing is kept of a partition but what its slot holds. */
#include "mirror/link/retention.h"

#include "lib/base/map.h"
#include "lib/base/mem.h"

enum {
	POLL_MS = 5000,
	ASK_MAX = 1000, /* partitions in one request */
	EARLIEST = -2,
};

struct retention {
	struct link *link;
	int64_t due_ms;
	bool busy;
	uint32_t round;
	struct arena arena;
	struct list_offsets_request msg;
};

enum err retention_new(struct link *k, struct retention **out)
{
	struct retention *r = mem_zalloc(1, sizeof *r);
	if (r == NULL)
		return ERR_NOMEM;
	r->link = k;
	*out = r;
	return ERR_OK;
}

void retention_free(struct retention *r)
{
	mem_free(r);
}

/* ---- warning ---- */

static void judge(struct retention *r, struct slot *slot, int64_t now)
{
	const struct partition *p = slot->p;
	double limit = (double)r->link->config->retention_warning_ms / 1000;
	if (partition_lag_records(p) <= 0) {
		headroom_clear(&slot->headroom);
		slot->headroom_seconds = -1;
		return;
	}
	slot->headroom_seconds =
		headroom_update(&slot->headroom, now, p->source_start, p->src_acked);
	if (p->src_acked < p->source_start ||
	    !headroom_warn(&slot->headroom, now, slot->headroom_seconds, limit))
		return;
	log_event(loop_log(r->link->loop), LOG_WARN, "retention_near",
		  LOG_S("link", r->link->config->name), LOG_S("topic", slot->topic->source_name),
		  LOG_I("partition", p->index), LOG_I("seconds", slot->headroom_seconds),
		  LOG_I("source_position", p->src_acked), LOG_I("source_start", p->source_start),
		  LOG_I("source_end", p->source_hw), LOG_S("state", mirror_state_name(p->state)),
		  LOG_S("reason",
			"at the present rates the source will delete records before they "
			"are copied: speed the copy up, or keep records for longer there"));
}

/* ---- asking ---- */

/* Does this one wait, and nothing tells where its log starts? */
static bool is_blind(const struct slot *slot)
{
	const struct partition *p = slot->p;
	return !p->fetching && p->phase != PHASE_IDLE && p->src_acked >= 0 &&
	       partition_lag_records(p) > 0;
}

static int32_t leader_of(const struct retention *r, const struct slot *slot)
{
	const struct client_topic *t =
		client_topic(r->link->source_client, slot->topic->source_name);
	if (t == NULL || slot->p->index >= t->partitions_n)
		return -1;
	return t->partitions[slot->p->index].leader;
}

static void ask_next(struct retention *r);

static void on_answer(void *arg, enum err e, const struct errmsg *why,
		      const struct rpc_reply *reply)
{
	struct retention *r = arg;
	(void)why;
	r->busy = false;
	r->link->calls--;
	arena_fini(&r->arena);
	if (r->link->stopping)
		return;
	const struct list_offsets_response *a = e == ERR_OK ? reply->msg : NULL;
	for (int32_t i = 0; a != NULL && i < a->topics_n; i++) {
		const struct topic_entry *t = map_get(r->link->entries, a->topics[i].name);
		for (int32_t k = 0; t != NULL && k < a->topics[i].partitions_n; k++) {
			int32_t index = a->topics[i].partitions[k].partition_index;
			if (index < 0 || index >= t->slots_n ||
			    a->topics[i].partitions[k].error_code != 0)
				continue;
			partition_on_source_start(t->slots[index]->p,
						  a->topics[i].partitions[k].offset);
		}
	}
	ask_next(r);
}

/* Put blind partitions of one leader that were not asked about in this round into the request. */
static int32_t gather(struct retention *r,
		      struct list_offsets_request_list_offsets_partition *parts)
{
	struct list_offsets_request *m = &r->msg;
	int32_t node = -1, n = 0;
	size_t at = 0;
	void *v;
	while (n < ASK_MAX && map_next(r->link->entries, &at, NULL, &v)) {
		const struct topic_entry *t = v;
		int32_t first = n;
		for (int32_t i = 0; !t->gone && i < t->slots_n && n < ASK_MAX; i++) {
			struct slot *slot = t->slots[i];
			if (slot->start_asked == r->round || !is_blind(slot))
				continue;
			int32_t leader = leader_of(r, slot);
			if (leader < 0 || (node >= 0 && leader != node))
				continue;
			slot->start_asked = r->round;
			node = leader;
			parts[n].partition_index = i;
			parts[n++].timestamp = EARLIEST;
		}
		if (n == first)
			continue;
		m->topics[m->topics_n].name = bytes_str(t->source_name);
		m->topics[m->topics_n].partitions = &parts[first];
		m->topics[m->topics_n++].partitions_n = n - first;
	}
	return node;
}

static void ask_next(struct retention *r)
{
	struct link *k = r->link;
	arena_init(&r->arena, 4 << 20);
	wire_init(&wire_list_offsets_request, &r->msg);
	r->msg.replica_id = -1;
	r->msg.topics =
		wire_array_new(&r->arena, &wire_list_offsets_request_list_offsets_topic, ASK_MAX);
	struct list_offsets_request_list_offsets_partition *parts = wire_array_new(
		&r->arena, &wire_list_offsets_request_list_offsets_partition, ASK_MAX);
	int32_t node = r->msg.topics != NULL && parts != NULL ? gather(r, parts) : -1;
	if (node < 0) {
		arena_fini(&r->arena);
		return;
	}
	const struct client_call cc = {
		.node = node,
		.channel = CLIENT_CHANNEL_CONTROL,
		.api_key = WIRE_API_LIST_OFFSETS,
		.msg = &r->msg,
		.done = on_answer,
		.arg = r,
	};
	r->busy = true;
	k->calls++;
	client_call(k->source_client, &cc);
}

void retention_tick(struct retention *r)
{
	int64_t now = loop_now_ms(r->link->loop);
	if (r->link->config->retention_warning_ms == 0 || r->link->stopping)
		return;
	bool blind = false;
	size_t at = 0;
	void *v;
	while (map_next(r->link->entries, &at, NULL, &v)) {
		const struct topic_entry *t = v;
		for (int32_t i = 0; i < t->slots_n; i++) {
			judge(r, t->slots[i], now);
			blind = blind || is_blind(t->slots[i]);
		}
	}
	if (!blind || r->busy || now < r->due_ms || client_ready(r->link->source_client, NULL) == 0)
		return;
	r->due_ms = now + POLL_MS;
	r->round++;
	ask_next(r);
}
