/* SPDX-License-Identifier: Apache-2.0 */
/* OffsetForLeaderEpoch (KIP-101, KIP-320): where an epoch ends, for a client that looks whether its
 * position was truncated. An epoch that is not known is -1, -1 and no error. */
#include "cluster/api.h"
#include "cluster/api/access.h"
#include "lib/wire/messages.h"

static void look_up(struct request *r,
		    const struct offset_for_leader_epoch_request_offset_for_leader_topic *topic,
		    const struct offset_for_leader_epoch_request_offset_for_leader_partition *in,
		    struct offset_for_leader_epoch_response_epoch_end_offset *out)
{
	const struct partition *p =
		metadata_partition(broker_metadata(r->broker), topic->topic, in->partition);
	out->partition = in->partition;
	enum err e = access_check(r->broker, p, in->current_leader_epoch);
	out->error_code = access_code(e);
	if (e == ERR_OK)
		plog_epoch_end(p->log, in->leader_epoch, p->leader_epoch, &out->leader_epoch,
			       &out->end_offset);
}

static bool
look_up_topic(struct request *r,
	      const struct offset_for_leader_epoch_request_offset_for_leader_topic *in,
	      struct offset_for_leader_epoch_response_offset_for_leader_topic_result *out)
{
	out->topic = in->topic;
	out->partitions =
		wire_array_new(&r->arena, &wire_offset_for_leader_epoch_response_epoch_end_offset,
			       in->partitions_n);
	if (out->partitions == NULL)
		return false;
	out->partitions_n = in->partitions_n;
	for (int32_t i = 0; i < in->partitions_n; i++)
		look_up(r, in, &in->partitions[i], &out->partitions[i]);
	return true;
}

void api_offset_for_leader_epoch(struct request *r)
{
	const struct offset_for_leader_epoch_request *in = r->msg;
	struct offset_for_leader_epoch_response *out = request_response(r);
	bool fits = out != NULL;
	if (fits) {
		out->topics = wire_array_new(
			&r->arena,
			&wire_offset_for_leader_epoch_response_offset_for_leader_topic_result,
			in->topics_n);
		fits = out->topics != NULL;
	}
	for (int32_t i = 0; fits && i < in->topics_n; i++) {
		fits = look_up_topic(r, &in->topics[i], &out->topics[i]);
		out->topics_n++;
	}
	if (fits)
		request_answer(r, out);
	else
		request_no_memory(r);
}
