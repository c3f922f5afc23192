/* SPDX-License-Identifier: Apache-2.0 */
/* DeleteRecords: the log begins at a higher offset from now on (ReplicaManager.deleteRecords). With
 * one replica that is done when it is on disk here. */
#include "cluster/api.h"
#include "cluster/api/access.h"
#include "lib/wire/messages.h"

static void delete_before(struct request *r,
			  const struct delete_records_request_delete_records_topic *topic,
			  const struct delete_records_request_delete_records_partition *in,
			  struct delete_records_response_delete_records_partition_result *out)
{
	struct errmsg why = {{0}};
	const struct partition *p =
		metadata_partition(broker_metadata(r->broker), topic->name, in->partition_index);
	out->partition_index = in->partition_index;
	out->low_watermark = -1;
	enum err e = access_check(r->broker, p, -1);
	if (e == ERR_OK && p->topic->internal)
		e = ERR_KAFKA_INVALID_TOPIC_EXCEPTION;
	if (e == ERR_OK)
		e = plog_delete_before(p->log, in->offset, &out->low_watermark, &why);
	out->error_code = access_code(e);
	if (e != ERR_OK)
		out->low_watermark = -1;
}

static bool delete_topic(struct request *r,
			 const struct delete_records_request_delete_records_topic *in,
			 struct delete_records_response_delete_records_topic_result *out)
{
	out->name = in->name;
	out->partitions = wire_array_new(
		&r->arena, &wire_delete_records_response_delete_records_partition_result,
		in->partitions_n);
	if (out->partitions == NULL)
		return false;
	out->partitions_n = in->partitions_n;
	for (int32_t i = 0; i < in->partitions_n; i++)
		delete_before(r, in, &in->partitions[i], &out->partitions[i]);
	return true;
}

void api_delete_records(struct request *r)
{
	const struct delete_records_request *in = r->msg;
	struct delete_records_response *out = request_response(r);
	bool fits = out != NULL;
	if (fits) {
		out->topics = wire_array_new(
			&r->arena, &wire_delete_records_response_delete_records_topic_result,
			in->topics_n);
		fits = out->topics != NULL;
	}
	for (int32_t i = 0; fits && i < in->topics_n; i++) {
		fits = delete_topic(r, &in->topics[i], &out->topics[i]);
		out->topics_n++;
	}
	if (fits)
		request_answer(r, out);
	else
		request_no_memory(r);
}
