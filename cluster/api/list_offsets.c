/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ListOffsets: where a log begins and ends, and where a time lies
 * (Partition.fetchOffsetForTimestamp, ReplicaManager.fetchOffset). Nothing is found above the high
 * watermark; nothing found is offset -1 and no error. There is no tiered storage: the local log
 * begins where the log does, and nothing is tiered.
 *
 * A partition that is named more than once is refused each time (KafkaApis.scala,
 * duplicatePartitions): a look-up by time reads a batch, and nobody is to have it read a million
 * times by one request.
 */
#include <assert.h>

#include "cluster/api.h"
#include "cluster/api/access.h"
#include "cluster/api/repeats.h"
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
	assert(p != NULL); /* access_check was content */
	switch (timestamp) {
	case LATEST:
		out->offset = plog_high_watermark(p->log);
		out->leader_epoch = p->leader_epoch;
		return ERR_OK;
	case EARLIEST:
	case EARLIEST_LOCAL:
		out->offset = plog_start(p->log);
		out->leader_epoch = plog_epoch_at(p->log, out->offset);
		/* Where the next record comes to lie; a leader notes its epoch when it begins. */
		if (out->leader_epoch < 0 && out->offset == plog_end(p->log))
			out->leader_epoch = p->leader_epoch;
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

/* The partitions that are asked for, in the order of the request. */
struct wanted {
	const struct partition **partitions; /* NULL: there is no such one */
	const enum repeat *repeats;
	size_t at; /* the next one */
};

static bool find_wanted(struct request *r, const struct list_offsets_request *in, struct wanted *w)
{
	struct metadata *m = broker_metadata(r->broker);
	size_t n = 0, at = 0;
	for (int32_t i = 0; i < in->topics_n; i++)
		n += (size_t)in->topics[i].partitions_n;
	w->partitions = arena_zalloc(&r->arena, n + 1, sizeof *w->partitions);
	struct bytes *keys = arena_zalloc(&r->arena, n + 1, sizeof *keys);
	if (w->partitions == NULL || keys == NULL)
		return false;
	for (int32_t i = 0; i < in->topics_n; i++) {
		const struct list_offsets_request_list_offsets_topic *t = &in->topics[i];
		for (int32_t k = 0; k < t->partitions_n; k++, at++) {
			w->partitions[at] =
				metadata_partition(m, t->name, t->partitions[k].partition_index);
			keys[at] = bytes_of(&w->partitions[at], sizeof w->partitions[at]);
		}
	}
	w->repeats = repeats_find(&r->arena, keys, n + 1);
	return w->repeats != NULL;
}

static void list(struct request *r, struct wanted *w,
		 const struct list_offsets_request_list_offsets_partition *in,
		 struct list_offsets_response_list_offsets_partition_response *out)
{
	struct plog_found found = {-1, -1, -1};
	const struct partition *p = w->partitions[w->at];
	bool repeated = p != NULL && w->repeats[w->at] != REPEAT_NONE;
	w->at++;
	out->partition_index = in->partition_index;
	enum err e = repeated                                     ? ERR_KAFKA_INVALID_REQUEST
		     : r->version < supported_from(in->timestamp) ? ERR_KAFKA_UNSUPPORTED_VERSION
								  : ERR_OK;
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

static bool list_topic(struct request *r, struct wanted *w,
		       const struct list_offsets_request_list_offsets_topic *in,
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
		list(r, w, &in->partitions[i], &out->partitions[i]);
	return true;
}

void api_list_offsets(struct request *r)
{
	const struct list_offsets_request *in = r->msg;
	struct list_offsets_response *out = request_response(r);
	struct wanted w = {0};
	bool fits = out != NULL && find_wanted(r, in, &w);
	if (fits) {
		out->topics = wire_array_new(
			&r->arena, &wire_list_offsets_response_list_offsets_topic_response,
			in->topics_n);
		fits = out->topics != NULL;
	}
	for (int32_t i = 0; fits && i < in->topics_n; i++) {
		fits = list_topic(r, &w, &in->topics[i], &out->topics[i]);
		out->topics_n++;
	}
	if (fits)
		request_answer(r, out);
	else
		request_no_memory(r);
}
