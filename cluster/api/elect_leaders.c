/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ElectLeaders: each partition has one replica, which leads it, so there is never anything to
 * elect. A request for all partitions gets no word about those where nothing is needed, as in
 * Kafka.
 */
#include <inttypes.h>

#include "cluster/api.h"
#include "cluster/api/changes.h"
#include "cluster/broker.h"
#include "lib/wire/messages.h"

enum { PREFERRED = 0, UNCLEAN = 1 };

static void elect(struct request *r, struct bytes topic,
		  struct elect_leaders_response_partition_result *out)
{
	const struct partition *p =
		metadata_partition(broker_metadata(r->broker), topic, out->partition_id);
	struct errmsg why = {0};
	enum err e;

	if (metadata_topic(broker_metadata(r->broker), topic) == NULL)
		e = errmsg_set(&why, ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION, "No such topic as %.*s",
			       (int)(topic.n < 249 ? topic.n : 249), (const char *)topic.p);
	else if (p == NULL)
		e = errmsg_set(&why, ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
			       "No such partition as %.*s-%" PRId32,
			       (int)(topic.n < 249 ? topic.n : 249), (const char *)topic.p,
			       out->partition_id);
	else if (p->log == NULL)
		e = errmsg_set(&why, ERR_KAFKA_ELIGIBLE_LEADERS_NOT_AVAILABLE,
			       "The partition's only replica is offline.");
	else
		e = errmsg_set(&why, ERR_KAFKA_ELECTION_NOT_NEEDED,
			       "Leader election not needed for topic partition.");
	out->error_code = err_to_kafka(e);
	out->error_message = changes_text(r, e, &why);
}

static bool put_topic(struct request *r, const struct elect_leaders_request_topic_partitions *in,
		      struct elect_leaders_response_replica_election_result *out)
{
	out->topic = in->topic;
	out->partition_result = wire_array_new(
		&r->arena, &wire_elect_leaders_response_partition_result, in->partitions_n);
	if (out->partition_result == NULL)
		return false;
	out->partition_result_n = in->partitions_n;
	for (int32_t i = 0; i < in->partitions_n; i++) {
		out->partition_result[i].partition_id = in->partitions[i];
		elect(r, in->topic, &out->partition_result[i]);
	}
	return true;
}

static bool put_topics(struct request *r, struct elect_leaders_response *out)
{
	const struct elect_leaders_request *in = r->msg;
	const struct wire_struct *s = &wire_elect_leaders_response_replica_election_result;
	int32_t n = in->topic_partitions_n;

	if (n < 0)
		return true;
	out->replica_election_results = wire_array_new(&r->arena, s, n);
	if (out->replica_election_results == NULL)
		return false;
	out->replica_election_results_n = n;
	for (int32_t i = 0; i < n; i++)
		if (!put_topic(r, &in->topic_partitions[i], &out->replica_election_results[i]))
			return false;
	return true;
}

void api_elect_leaders(struct request *r)
{
	const struct elect_leaders_request *in = r->msg;
	struct elect_leaders_response *out = request_response(r);
	bool ok = out != NULL;

	if (ok && in->election_type != PREFERRED && in->election_type != UNCLEAN)
		/* Version 0 has no field for it, and only preferred elections. */
		out->error_code = err_to_kafka(ERR_KAFKA_INVALID_REQUEST);
	else if (ok)
		ok = put_topics(r, out);
	if (ok)
		request_answer(r, out);
	else
		request_no_memory(r);
}
