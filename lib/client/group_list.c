/* SPDX-License-Identifier: Apache-2.0 */
/* One ListGroups to each broker, all at once. */
#include "lib/client/group_list.h"

#include "lib/base/mem.h"

struct group_listing {
	struct group_list_events ev;
	void *arg;
	struct list_groups_request msg;
	size_t open; /* brokers that have not answered */
	enum err err;
	struct errmsg why;
	struct group_asked *asked;
};

/* One broker's share. */
struct group_asked {
	struct group_listing *l;
	int32_t node;
};

static void group_told(struct group_listing *l, int32_t node, const struct list_groups_response *r)
{
	for (int32_t i = 0; i < r->groups_n; i++) {
		const struct list_groups_response_listed_group *g = &r->groups[i];
		const struct group_list_entry e = {
			.group = g->group_id,
			.protocol_type = g->protocol_type,
			.state = g->group_state,
			.type = g->group_type,
			.node = node,
		};
		l->ev.on_group(l->arg, &e);
	}
}

static void on_listed(void *arg, enum err e, const struct errmsg *why,
		      const struct rpc_reply *reply)
{
	struct group_asked *a = arg;
	struct group_listing *l = a->l;
	struct errmsg told = {""};
	if (e == ERR_OK) {
		const struct list_groups_response *r = reply->msg;
		e = err_from_kafka(r->error_code);
		if (e == ERR_OK)
			group_told(l, a->node, r);
		else
			errmsg_set(&told, e, "broker %d: %s", (int)a->node, err_text(e));
	} else {
		told = *why;
	}
	if (e != ERR_OK && l->err == ERR_OK) {
		l->err = e;
		errmsg_set(&l->why, e, "listing groups: %.300s", told.text);
	}
	if (--l->open > 0)
		return;
	l->ev.on_done(l->arg, l->err, &l->why);
	mem_free(l->asked);
	mem_free(l);
}

enum err group_list(struct client *c, uint8_t channel, const struct group_list_events *ev,
		    void *arg)
{
	size_t n = client_brokers(c, NULL, 0);
	if (n == 0)
		return ERR_CONNECT;
	struct group_listing *l = mem_zalloc(1, sizeof *l);
	struct group_asked *asked = mem_zalloc(n, sizeof *asked);
	int32_t *ids = mem_zalloc(n, sizeof *ids);
	if (l == NULL || asked == NULL || ids == NULL) {
		mem_free(l);
		mem_free(asked);
		mem_free(ids);
		return ERR_NOMEM;
	}
	l->ev = *ev;
	l->arg = arg;
	l->open = client_brokers(c, ids, n);
	l->asked = asked;
	wire_init(&wire_list_groups_request, &l->msg);
	for (size_t i = 0; i < n; i++) {
		asked[i] = (struct group_asked){.l = l, .node = ids[i]};
		const struct client_call call = {
			.node = ids[i],
			.channel = channel,
			.api_key = WIRE_API_LIST_GROUPS,
			.msg = &l->msg,
			.done = on_listed,
			.arg = &asked[i],
		};
		client_call(c, &call);
	}
	mem_free(ids);
	return ERR_OK;
}
