/* SPDX-License-Identifier: Apache-2.0 */
/* A ListOffsets to one leader after the other, until each partition that the target topic has was
 * answered for. */
#include "mirror/link/gone_check.h"

#include <inttypes.h>

#include "lib/base/mem.h"

enum { ASK_MAX = 1000, LATEST = -1 };

struct check {
	struct topic_entry *t;
	gone_check_done *done;
	void *arg;
	struct arena arena;
	struct list_offsets_request msg;
	struct list_offsets_request_list_offsets_topic topic;
	int32_t n;
	bool seen[]; /* by partition */
};

static void finish(struct check *c, const char *what, enum err e, const char *text)
{
	struct errmsg why = {""};
	if (what != NULL)
		errmsg_set(&why, e, "%s: %s", what, text);
	gone_check_done *done = c->done;
	struct topic_entry *t = c->t;
	void *arg = c->arg;
	mem_free(c);
	done(arg, t, &why);
}

static void unknown(struct check *c, enum err e, const char *text)
{
	client_metadata_refresh(c->t->link->target_client);
	finish(c, "it cannot be told whether others wrote to it", e,
	       text != NULL && text[0] != '\0' ? text : err_text(e));
}

/* Below this offset all is ours, as far as is known. */
static int64_t written_to(const struct topic_entry *t, int32_t partition)
{
	int64_t end = partition < t->slots_n ? t->slots[partition]->p->dst_acked : 0;
	return end > 0 ? end : 0;
}

static bool among_others(const struct partition *p)
{
	struct runs_past past;
	runs_past_at(p->runs, runs_count(p->runs), &past);
	return p->shared || (past.n >= 0 && past.dst >= 0 && p->dst_acked - past.dst > past.n);
}

static void ask(struct check *c);

static void on_ends(void *arg, enum err e, const struct errmsg *why, const struct rpc_reply *reply)
{
	struct check *c = arg;
	struct link *k = c->t->link;
	k->calls--;
	arena_fini(&c->arena);
	if (k->stopping) {
		mem_free(c);
		return;
	}
	if (e != ERR_OK) {
		unknown(c, e, why->text);
		return;
	}
	const struct list_offsets_response *r = reply->msg;
	bool any = false;
	for (int32_t i = 0; r->topics_n == 1 && i < r->topics[0].partitions_n; i++) {
		int32_t at = r->topics[0].partitions[i].partition_index;
		int64_t end = r->topics[0].partitions[i].offset;
		e = err_from_kafka(r->topics[0].partitions[i].error_code);
		if (e != ERR_OK || at < 0 || at >= c->n || end < 0) {
			unknown(c, e == ERR_OK ? ERR_MALFORMED : e, NULL);
			return;
		}
		if (end > written_to(c->t, at)) {
			struct errmsg text;
			errmsg_set(&text, ERR_OK,
				   "partition %d ends at %" PRId64
				   ", and this link wrote up to %" PRId64,
				   at, end, written_to(c->t, at));
			finish(c, "others wrote to it", ERR_OK, text.text);
			return;
		}
		any = any || !c->seen[at];
		c->seen[at] = true;
	}
	if (any)
		ask(c);
	else
		unknown(c, ERR_MALFORMED, "the answer does not name the partition");
}

/* Those of one leader that were not answered for. */
static int32_t gather(struct check *c, struct list_offsets_request_list_offsets_partition *parts)
{
	const struct client_topic *x = client_topic(c->t->link->target_client, c->t->target_name);
	int32_t node = -1;
	for (int32_t i = 0; x != NULL && i < c->n && i < x->partitions_n; i++) {
		int32_t leader = x->partitions[i].leader;
		if (c->seen[i] || c->topic.partitions_n == ASK_MAX || (node >= 0 && leader != node))
			continue;
		if (leader < 0)
			return -1;
		node = leader;
		parts[c->topic.partitions_n++] =
			(struct list_offsets_request_list_offsets_partition){
				.partition_index = i,
				.current_leader_epoch = -1,
				.timestamp = LATEST,
			};
	}
	return node;
}

static void ask(struct check *c)
{
	struct link *k = c->t->link;
	int32_t i = 0;
	while (i < c->n && c->seen[i])
		i++;
	if (i == c->n) {
		finish(c, NULL, ERR_OK, NULL);
		return;
	}
	arena_init(&c->arena, 1 << 20);
	wire_init(&wire_list_offsets_request, &c->msg);
	struct list_offsets_request_list_offsets_partition *parts = wire_array_new(
		&c->arena, &wire_list_offsets_request_list_offsets_partition, ASK_MAX);
	c->topic = (struct list_offsets_request_list_offsets_topic){
		.name = bytes_str(c->t->target_name),
		.partitions = parts,
	};
	int32_t node = parts != NULL ? gather(c, parts) : -1;
	if (node < 0) {
		arena_fini(&c->arena);
		unknown(c, parts == NULL ? ERR_NOMEM : ERR_NO_LEADER, NULL);
		return;
	}
	c->msg.replica_id = -1;
	c->msg.topics = &c->topic;
	c->msg.topics_n = 1;
	const struct client_call cc = {
		.node = node,
		.channel = CLIENT_CHANNEL_CONTROL,
		.api_key = WIRE_API_LIST_OFFSETS,
		.msg = &c->msg,
		.done = on_ends,
		.arg = c,
	};
	k->calls++;
	client_call(k->target_client, &cc);
}

enum err gone_check(struct topic_entry *t, gone_check_done *done, void *arg)
{
	const struct client_topic *x = client_topic(t->link->target_client, t->target_name);
	int32_t n = x == NULL || x->partitions_n < t->slots_n ? t->slots_n : x->partitions_n;
	struct check *c = mem_zalloc(1, sizeof *c + (size_t)n * sizeof c->seen[0]);
	if (c == NULL)
		return ERR_NOMEM;
	c->t = t;
	c->done = done;
	c->arg = arg;
	c->n = n;
	for (int32_t i = 0; i < t->slots_n; i++) {
		if (!among_others(t->slots[i]->p))
			continue;
		struct errmsg text;
		errmsg_set(&text, ERR_OK, "partition %d holds their records among this link's", i);
		finish(c, "others wrote to it", ERR_OK, text.text);
		return ERR_OK;
	}
	ask(c);
	return ERR_OK;
}
