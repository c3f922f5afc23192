/* SPDX-License-Identifier: Apache-2.0 */
/* As coordinators.c: fitted to the version when the connection is known, what a request did not
 * ask about goes into the next. */
#include "lib/client/group_offsets.h"

#include "lib/base/mem.h"

enum {
	ALL_TOPICS_FROM = 2, /* before that topics must be named */
	BATCHED_FROM = 8,
	NAMES_UP_TO = 9, /* later versions name topics by id (KIP-848) */
	MESSAGE_MAX = 64 << 20
};

struct group_offsets_call {
	struct client *client;
	uint8_t channel;
	int32_t node;
	const char *const *groups;
	size_t n;
	size_t at;    /* the first that is not answered */
	size_t asked; /* how many the request is about */
	bool *told;
	struct group_offsets_events ev;
	void *arg;
	struct arena arena;
	struct offset_fetch_request msg;
	struct offset_fetch_request_offset_fetch_request_group *items;
};

bool group_offsets_next(struct group_offsets *o, struct group_offset *out)
{
	const struct offset_fetch_response *r = o->msg;
	if (o->group < 0) {
		for (; o->topic < r->topics_n; o->topic++, o->partition = 0) {
			if (o->partition >= r->topics[o->topic].partitions_n)
				continue;
			const struct offset_fetch_response_offset_fetch_response_partition *x =
				&r->topics[o->topic].partitions[o->partition++];
			*out = (struct group_offset){r->topics[o->topic].name,
						     x->partition_index,
						     x->committed_offset,
						     x->committed_leader_epoch,
						     x->metadata,
						     err_from_kafka(x->error_code)};
			return true;
		}
		return false;
	}
	const struct offset_fetch_response_offset_fetch_response_group *g = &r->groups[o->group];
	for (; o->topic < g->topics_n; o->topic++, o->partition = 0) {
		if (o->partition >= g->topics[o->topic].partitions_n)
			continue;
		const struct offset_fetch_response_offset_fetch_response_partitions *x =
			&g->topics[o->topic].partitions[o->partition++];
		*out = (struct group_offset){g->topics[o->topic].name,
					     x->partition_index,
					     x->committed_offset,
					     x->committed_leader_epoch,
					     x->metadata,
					     err_from_kafka(x->error_code)};
		return true;
	}
	return false;
}

static void prepare(void *arg, int16_t version)
{
	struct group_offsets_call *f = arg;
	wire_init(&wire_offset_fetch_request, &f->msg);
	if (version < BATCHED_FROM) {
		f->asked = 1;
		f->msg.group_id = bytes_str(f->groups[f->at]);
		f->msg.topics_n = version >= ALL_TOPICS_FROM ? -1 : 0;
		return;
	}
	f->asked = f->n - f->at;
	for (size_t i = 0; i < f->asked; i++) {
		f->items[i].group_id = bytes_str(f->groups[f->at + i]);
		f->items[i].topics_n = -1;
	}
	f->msg.groups = f->items;
	f->msg.groups_n = (int32_t)f->asked;
}

static void tell(struct group_offsets_call *f, size_t i, enum err e, const void *msg, int32_t group)
{
	struct group_offsets o = {.msg = msg, .group = group};
	f->told[i] = true;
	f->ev.on_group(f->arg, f->at + i, e, &o);
}

/* Answers come in the order of the questions; one that does not is searched for. */
static void tell_all(struct group_offsets_call *f, const struct offset_fetch_response *r)
{
	size_t hint = 0;
	for (int32_t k = 0; k < r->groups_n; k++) {
		struct bytes id = r->groups[k].group_id;
		size_t i = hint;
		if (i >= f->asked || !bytes_eq_str(id, f->groups[f->at + i]))
			for (i = 0; i < f->asked && !bytes_eq_str(id, f->groups[f->at + i]);)
				i++;
		hint = i + 1;
		if (i < f->asked && !f->told[i])
			tell(f, i, err_from_kafka(r->groups[k].error_code), r, k);
	}
	static const struct offset_fetch_response none;
	for (size_t i = 0; i < f->asked; i++)
		if (!f->told[i])
			tell(f, i, ERR_MALFORMED, &none, -1);
}

static void send(struct group_offsets_call *f);

static void on_fetched(void *arg, enum err e, const struct errmsg *why,
		       const struct rpc_reply *reply)
{
	struct group_offsets_call *f = arg;
	if (e == ERR_OK) {
		const struct offset_fetch_response *r = reply->msg;
		memset(f->told, 0, f->asked * sizeof *f->told);
		if (reply->version >= BATCHED_FROM)
			tell_all(f, r);
		else
			tell(f, 0,
			     reply->version >= ALL_TOPICS_FROM ? err_from_kafka(r->error_code)
							       : ERR_UNSUPPORTED,
			     r, -1);
		f->at += f->asked;
		if (f->at < f->n) {
			send(f);
			return;
		}
	}
	f->ev.on_done(f->arg, e, why);
	arena_fini(&f->arena);
	mem_free(f);
}

static void send(struct group_offsets_call *f)
{
	const struct client_call call = {
		.node = f->node,
		.channel = f->channel,
		.api_key = WIRE_API_OFFSET_FETCH,
		.max_version = NAMES_UP_TO,
		.msg = &f->msg,
		.prepare = prepare,
		.done = on_fetched,
		.arg = f,
	};
	client_call(f->client, &call);
}

enum err group_offsets_fetch(struct client *c, uint8_t channel, int32_t node,
			     const char *const *groups, size_t n,
			     const struct group_offsets_events *ev, void *arg)
{
	struct group_offsets_call *f = mem_zalloc(1, sizeof *f);
	if (f == NULL)
		return ERR_NOMEM;
	*f = (struct group_offsets_call){.client = c,
					 .channel = channel,
					 .node = node,
					 .groups = groups,
					 .n = n,
					 .ev = *ev,
					 .arg = arg};
	arena_init(&f->arena, MESSAGE_MAX);
	f->told = arena_zalloc(&f->arena, n, sizeof *f->told);
	f->items = wire_array_new(&f->arena, &wire_offset_fetch_request_offset_fetch_request_group,
				  (int32_t)n);
	if (f->told == NULL || f->items == NULL) {
		arena_fini(&f->arena);
		mem_free(f);
		return ERR_NOMEM;
	}
	send(f);
	return ERR_OK;
}
