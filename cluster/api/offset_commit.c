/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OffsetCommit: answered when the offsets are stored. Partitions that are not there are refused one
 * by one (KafkaApis.handleOffsetCommitRequest).
 */
#include "cluster/api.h"
#include "cluster/broker.h"
#include "cluster/group/groups.h"

struct commit {
	struct groups_wait wait;
	struct request *r;
	struct offset_commit_response *out;
	struct groups_offset *offsets;
	size_t n;
};

static bool make_answer(struct commit *c)
{
	const struct offset_commit_request *q = c->r->msg;
	struct arena *a = &c->r->arena;
	c->out = request_response(c->r);
	if (c->out == NULL)
		return false;
	c->out->topics = wire_array_new(
		a, &wire_offset_commit_response_offset_commit_response_topic, q->topics_n);
	if (c->out->topics == NULL)
		return false;
	for (int32_t i = 0; i < q->topics_n; i++) {
		struct offset_commit_response_offset_commit_response_topic *t = &c->out->topics[i];
		const struct wire_struct *s =
			&wire_offset_commit_response_offset_commit_response_partition;
		t->name = q->topics[i].name;
		t->partitions = wire_array_new(a, s, q->topics[i].partitions_n);
		if (t->partitions == NULL)
			return false;
		t->partitions_n = q->topics[i].partitions_n;
		c->n += (size_t)t->partitions_n;
		for (int32_t k = 0; k < t->partitions_n; k++)
			t->partitions[k].partition_index =
				q->topics[i].partitions[k].partition_index;
	}
	c->out->topics_n = q->topics_n;
	return true;
}

static bool list_offsets(struct commit *c)
{
	const struct offset_commit_request *q = c->r->msg;
	struct metadata *m = broker_metadata(c->r->broker);
	c->offsets = arena_zalloc(&c->r->arena, c->n, sizeof *c->offsets);
	if (c->offsets == NULL)
		return false;
	struct groups_offset *o = c->offsets;
	for (int32_t i = 0; i < q->topics_n; i++) {
		struct bytes name = q->topics[i].name;
		const struct topic *t = metadata_topic(m, name);
		for (int32_t k = 0; k < q->topics[i].partitions_n; k++, o++) {
			const struct offset_commit_request_offset_commit_request_partition *p =
				&q->topics[i].partitions[k];
			*o = (struct groups_offset){.topic = name,
						    .partition = p->partition_index,
						    .offset = p->committed_offset,
						    .leader_epoch = p->committed_leader_epoch,
						    .metadata = p->committed_metadata};
			if (t == NULL || p->partition_index < 0 ||
			    p->partition_index >= t->partitions_n)
				o->error = ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
			else
				o->topic_id = t->id;
		}
	}
	return true;
}

static void answer(struct commit *c, enum err e)
{
	const struct groups_offset *o = c->offsets;
	for (int32_t i = 0; i < c->out->topics_n; i++) {
		for (int32_t k = 0; k < c->out->topics[i].partitions_n; k++, o++) {
			enum err own = o->error == ERR_OK ? e : o->error;
			c->out->topics[i].partitions[k].error_code = err_to_kafka(own);
		}
	}
	request_answer(c->r, c->out);
}

static void stored(struct groups_wait *w, enum err e)
{
	answer((struct commit *)w, e);
}

static void cancel(struct request *r)
{
	struct commit *c = r->state;
	groups_wait_cancel(&c->wait);
}

void api_offset_commit(struct request *r)
{
	const struct offset_commit_request *q = r->msg;
	struct commit *c = arena_zalloc(&r->arena, 1, sizeof *c);
	if (c != NULL) {
		c->wait.done = stored;
		c->r = r;
	}
	if (c == NULL || !make_answer(c) || !list_offsets(c)) {
		request_no_memory(r);
		return;
	}
	r->state = c;
	r->cancel = cancel;
	enum err e =
		groups_commit(broker_groups(r->broker), q, r->version, c->offsets, c->n, &c->wait);
	if (e != ERR_OK)
		answer(c, e);
}
