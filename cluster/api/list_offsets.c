/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ListOffsets: where a log begins and ends, and where a time lies
 * (Partition.fetchOffsetForTimestamp, ReplicaManager.fetchOffset). Nothing is found above the high
 * watermark; nothing found is offset -1 and no error. There is no tiered storage: the local log
 * begins where the log does, and nothing is tiered.
 */
#include "cluster/api.h"
#include "cluster/api/access.h"
#include "lib/wire/messages.h"

/* ListOffsetsRequest.java */
enum {
	LATEST = -1,
	EARLIEST = -2,
	MAX_TIMESTAMP = -3,
	EARLIEST_LOCAL = -4,
	LATEST_TIERED = -5,
	EPOCHS_FROM = 4,
};

/* The first version that may ask so; INT16_MAX: none. */
static int16_t supported_from(int64_t timestamp)
{
	switch (timestamp) {
	case LATEST:
	case EARLIEST:
		return 1;
	case MAX_TIMESTAMP:
		return 7;
	case EARLIEST_LOCAL:
		return 8;
	case LATEST_TIERED:
		return 9;
	default:
		return timestamp >= 0 ? 1 : INT16_MAX;
	}
}

static enum err look_up(const struct partition *p, int64_t timestamp, struct plog_found *out)
{
	struct errmsg why = {{0}};
	enum err e;
	switch (timestamp) {
	case LATEST:
		out->offset = plog_high_watermark(p->log);
		out->leader_epoch = p->leader_epoch;
		return ERR_OK;
	case EARLIEST:
	case EARLIEST_LOCAL:
		out->offset = plog_start(p->log);
		out->leader_epoch = plog_epoch_at(p->log, out->offset);
		return ERR_OK;
	case LATEST_TIERED:
		return ERR_OK;
	case MAX_TIMESTAMP:
		e = plog_find_max_time(p->log, out, &why);
		break;
	default:
		e = plog_find_time(p->log, timestamp, out, &why);
	}
	if (e == ERR_OK && out->offset >= plog_high_watermark(p->log))
		*out = (struct plog_found){-1, -1, -1};
	return e;
}

static void list(struct request *r, const struct list_offsets_request_list_offsets_topic *topic,
		 const struct list_offsets_request_list_offsets_partition *in,
		 struct list_offsets_response_list_offsets_partition_response *out)
{
	struct plog_found found = {-1, -1, -1};
	const struct partition *p =
		metadata_partition(broker_metadata(r->broker), topic->name, in->partition_index);
	out->partition_index = in->partition_index;
	enum err e =
		r->version < supported_from(in->timestamp) ? ERR_KAFKA_UNSUPPORTED_VERSION : ERR_OK;
	if (e == ERR_OK)
		e = access_check(r->broker, p, in->current_leader_epoch);
	if (e == ERR_OK)
		e = look_up(p, in->timestamp, &found);
	out->error_code = access_code(e);
	if (e != ERR_OK)
		return;
	out->offset = found.offset;
	out->timestamp = found.timestamp;
	if (r->version >= EPOCHS_FROM)
		out->leader_epoch = found.leader_epoch;
}

static bool list_topic(struct request *r, const struct list_offsets_request_list_offsets_topic *in,
		       struct list_offsets_response_list_offsets_topic_response *out)
{
	out->name = in->name;
	out->partitions = wire_array_new(
		&r->arena, &wire_list_offsets_response_list_offsets_partition_response,
		in->partitions_n);
	if (out->partitions == NULL)
		return false;
	out->partitions_n = in->partitions_n;
	for (int32_t i = 0; i < in->partitions_n; i++)
		list(r, in, &in->partitions[i], &out->partitions[i]);
	return true;
}

void api_list_offsets(struct request *r)
{
	const struct list_offsets_request *in = r->msg;
	struct list_offsets_response *out = request_response(r);
	bool fits = out != NULL;
	if (fits) {
		out->topics = wire_array_new(
			&r->arena, &wire_list_offsets_response_list_offsets_topic_response,
			in->topics_n);
		fits = out->topics != NULL;
	}
	for (int32_t i = 0; fits && i < in->topics_n; i++) {
		fits = list_topic(r, &in->topics[i], &out->topics[i]);
		out->topics_n++;
	}
	if (fits)
		request_answer(r, out);
	else
		request_no_memory(r);
}
