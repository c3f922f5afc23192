/* SPDX-License-Identifier: Apache-2.0 */
/* DescribeProducers: the idempotent producers that partitions remember (KIP-664). */
#include "cluster/api.h"
#include "cluster/api/access.h"
#include "cluster/api/changes.h"
#include "cluster/broker.h"
#include "lib/wire/messages.h"

/* No coordinator wrote for the producer: there are no transactions. */
enum { NO_COORDINATOR = -1 };

static bool put_producers(struct request *r, struct plog *log,
			  struct describe_producers_response_partition_response *out)
{
	const struct wire_struct *s = &wire_describe_producers_response_producer_state;
	struct plog_producer p;
	size_t n = 0, at = 0;

	while (plog_producers(log, &at, &p))
		n++;
	out->active_producers = n > INT32_MAX ? NULL : wire_array_new(&r->arena, s, (int32_t)n);
	if (out->active_producers == NULL)
		return false;
	for (at = 0; (size_t)out->active_producers_n < n && plog_producers(log, &at, &p);) {
		struct describe_producers_response_producer_state *to =
			&out->active_producers[out->active_producers_n++];
		to->producer_id = p.producer_id;
		to->producer_epoch = p.epoch;
		to->last_sequence = p.last_sequence;
		to->last_timestamp = p.last_timestamp;
		to->coordinator_epoch = NO_COORDINATOR;
	}
	return true;
}

static bool put_partition(struct request *r, struct bytes topic, int32_t index,
			  struct describe_producers_response_partition_response *out)
{
	struct partition *p = metadata_partition(broker_metadata(r->broker), topic, index);
	struct errmsg why = {0};
	enum err e = metadata_check_name(topic, &why);

	if (e == ERR_OK)
		e = access_check(r->broker, p, -1);
	if (e == ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION)
		errmsg_set(&why, e, "This server does not host this topic-partition.");
	out->partition_index = index;
	out->error_code = access_code(e);
	out->error_message = changes_text(r, e, &why);
	return e != ERR_OK || put_producers(r, p->log, out);
}

static bool put_topic(struct request *r, const struct describe_producers_request_topic_request *in,
		      struct describe_producers_response_topic_response *out)
{
	const struct wire_struct *s = &wire_describe_producers_response_partition_response;

	out->name = in->name;
	out->partitions = wire_array_new(&r->arena, s, in->partition_indexes_n);
	if (out->partitions == NULL)
		return false;
	out->partitions_n = in->partition_indexes_n;
	for (int32_t i = 0; i < in->partition_indexes_n; i++)
		if (!put_partition(r, in->name, in->partition_indexes[i], &out->partitions[i]))
			return false;
	return true;
}

void api_describe_producers(struct request *r)
{
	const struct describe_producers_request *in = r->msg;
	const struct wire_struct *s = &wire_describe_producers_response_topic_response;
	struct describe_producers_response *out = request_response(r);
	bool ok = out != NULL;

	if (ok)
		out->topics = wire_array_new(&r->arena, s, in->topics_n);
	ok = ok && out->topics != NULL;
	for (int32_t i = 0; i < in->topics_n && ok; i++)
		ok = put_topic(r, &in->topics[i], &out->topics[out->topics_n++]);
	if (ok)
		request_answer(r, out);
	else
		request_no_memory(r);
}
