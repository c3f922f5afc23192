/* SPDX-License-Identifier: Apache-2.0 */
/* OffsetDelete (KIP-496): what no member consumes; answered when the tombstones are stored. */
#include "cluster/api.h"
#include "cluster/broker.h"
#include "cluster/group/groups.h"

struct deletion {
	struct groups_wait wait;
	struct request *r;
	struct offset_delete_response *out;
	struct groups_offset *offsets;
	size_t n;
};

static bool make_answer(struct deletion *d)
{
	const struct offset_delete_request *q = d->r->msg;
	struct arena *a = &d->r->arena;
	d->out = request_response(d->r);
	if (d->out == NULL)
		return false;
	d->out->topics = wire_array_new(
		a, &wire_offset_delete_response_offset_delete_response_topic, q->topics_n);
	if (d->out->topics == NULL)
		return false;
	d->out->topics_n = q->topics_n;
	for (int32_t i = 0; i < q->topics_n; i++) {
		struct offset_delete_response_offset_delete_response_topic *t = &d->out->topics[i];
		int32_t n = q->topics[i].partitions_n;
		t->name = q->topics[i].name;
		t->partitions = wire_array_new(
			a, &wire_offset_delete_response_offset_delete_response_partition, n);
		if (t->partitions == NULL)
			return false;
		t->partitions_n = n;
		d->n += (size_t)n;
		for (int32_t k = 0; k < n; k++)
			t->partitions[k].partition_index =
				q->topics[i].partitions[k].partition_index;
	}
	return true;
}

/* Partitions that do not exist are refused one by one (KafkaApis.handleOffsetDeleteRequest). */
static bool list_offsets(struct deletion *d)
{
	const struct offset_delete_request *q = d->r->msg;
	struct metadata *m = broker_metadata(d->r->broker);
	d->offsets = arena_zalloc(&d->r->arena, d->n, sizeof *d->offsets);
	if (d->offsets == NULL)
		return false;
	struct groups_offset *o = d->offsets;
	for (int32_t i = 0; i < q->topics_n; i++) {
		const struct topic *t = metadata_topic(m, q->topics[i].name);
		for (int32_t k = 0; k < q->topics[i].partitions_n; k++, o++) {
			o->topic = q->topics[i].name;
			o->partition = q->topics[i].partitions[k].partition_index;
			if (t == NULL || o->partition < 0 || o->partition >= t->partitions_n)
				o->error = ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
		}
	}
	return true;
}

/* An error of the group stands alone, without topics. */
static void answer(struct deletion *d, enum err e)
{
	const struct groups_offset *o = d->offsets;
	d->out->error_code = err_to_kafka(e);
	if (e != ERR_OK)
		d->out->topics_n = 0;
	for (int32_t i = 0; i < d->out->topics_n; i++)
		for (int32_t k = 0; k < d->out->topics[i].partitions_n; k++, o++)
			d->out->topics[i].partitions[k].error_code = err_to_kafka(o->error);
	request_answer(d->r, d->out);
}

static void stored(struct groups_wait *w, enum err e)
{
	answer((struct deletion *)w, e);
}

static void cancel(struct request *r)
{
	struct deletion *d = r->state;
	groups_wait_cancel(&d->wait);
}

void api_offset_delete(struct request *r)
{
	const struct offset_delete_request *q = r->msg;
	struct deletion *d = arena_zalloc(&r->arena, 1, sizeof *d);
	if (d != NULL) {
		d->wait.done = stored;
		d->r = r;
	}
	if (d == NULL || !make_answer(d) || !list_offsets(d)) {
		request_no_memory(r);
		return;
	}
	r->state = d;
	r->cancel = cancel;
	enum err e = groups_delete_offsets(broker_groups(r->broker), q->group_id, d->offsets, d->n,
					   &d->wait);
	if (e != ERR_OK)
		answer(d, e);
}
