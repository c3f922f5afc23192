/* SPDX-License-Identifier: Apache-2.0 */
/* One sessionless Fetch per call (session epoch -1, KIP-227); and, where there is nothing at the
 * offset, a question where the log begins, which a Fetch that is out of range does not say. */
#include "mirror/clusters/target_reader.h"

#include "lib/base/mem.h"

enum { READ_BYTES = 1 << 20, FETCH_VERSION_NAMES = 12, READ_COMMITTED = 1, EARLIEST = -2 };

struct read_call {
	struct client *client;
	target_read_done *done;
	void *arg;
	struct fetch_request msg;
	struct fetch_request_fetch_topic topic;
	struct fetch_request_fetch_partition part;
	struct list_offsets_request start;
	struct list_offsets_request_list_offsets_topic start_topic;
	struct list_offsets_request_list_offsets_partition start_part;
	char name[];
};

static const struct target_records nothing = {.start = -1, .stable = -1, .end = -1};

static int32_t leader_of(const struct read_call *call)
{
	const struct client_topic *t = client_topic(call->client, call->name);
	int32_t partition = call->part.partition;
	return t != NULL && partition < t->partitions_n ? t->partitions[partition].leader
							: CLIENT_ANY;
}

static void on_start(void *arg, enum err e, const struct errmsg *why, const struct rpc_reply *reply)
{
	struct read_call *call = arg;
	struct target_records found = nothing;
	(void)why;
	if (e == ERR_OK) {
		const struct list_offsets_response *r = reply->msg;
		e = r->topics_n == 1 && r->topics[0].partitions_n == 1
			    ? err_from_kafka(r->topics[0].partitions[0].error_code)
			    : ERR_MALFORMED;
		if (e == ERR_OK)
			found.start = r->topics[0].partitions[0].offset;
	}
	call->done(call->arg, e == ERR_OK ? ERR_KAFKA_OFFSET_OUT_OF_RANGE : e, &found);
	mem_free(call);
}

static void ask_start(struct read_call *call)
{
	wire_init(&wire_list_offsets_request, &call->start);
	call->start.replica_id = -1;
	call->start.topics = &call->start_topic;
	call->start.topics_n = 1;
	call->start_topic = (struct list_offsets_request_list_offsets_topic){
		.name = bytes_str(call->name),
		.partitions = &call->start_part,
		.partitions_n = 1,
	};
	call->start_part = (struct list_offsets_request_list_offsets_partition){
		.partition_index = call->part.partition,
		.current_leader_epoch = -1,
		.timestamp = EARLIEST,
	};
	const struct client_call cc = {
		.node = leader_of(call),
		.channel = CLIENT_CHANNEL_CONTROL,
		.api_key = WIRE_API_LIST_OFFSETS,
		.msg = &call->start,
		.done = on_start,
		.arg = call,
	};
	client_call(call->client, &cc);
}

static void on_read(void *arg, enum err e, const struct errmsg *why, const struct rpc_reply *reply)
{
	struct read_call *call = arg;
	struct target_records found = nothing;
	(void)why;
	if (e == ERR_OK) {
		const struct fetch_response *r = reply->msg;
		e = err_from_kafka(r->error_code);
		if (e == ERR_OK && (r->responses_n != 1 || r->responses[0].partitions_n != 1))
			e = ERR_MALFORMED;
		if (e == ERR_OK) {
			const struct fetch_response_partition_data *x =
				&r->responses[0].partitions[0];
			e = err_from_kafka(x->error_code);
			if (e == ERR_OK)
				found = (struct target_records){
					.records = x->records.data,
					.aborted = x->aborted_transactions,
					.aborted_n = x->aborted_transactions_n,
					.start = x->log_start_offset,
					.stable = x->last_stable_offset,
					.end = x->high_watermark,
				};
		}
	}
	if (e == ERR_KAFKA_OFFSET_OUT_OF_RANGE) {
		ask_start(call);
		return;
	}
	call->done(call->arg, e, &found);
	mem_free(call);
}

static struct read_call *read_call_new(struct client *c, const char *topic, int32_t partition,
				       int64_t offset, target_read_done *done, void *arg)
{
	size_t n = strlen(topic);
	struct read_call *call = mem_zalloc(1, sizeof *call + n + 1);
	if (call == NULL)
		return NULL;
	memcpy(call->name, topic, n);
	call->client = c;
	call->done = done;
	call->arg = arg;
	wire_init(&wire_fetch_request, &call->msg);
	call->msg.min_bytes = 0;
	call->msg.max_bytes = READ_BYTES;
	call->msg.topics = &call->topic;
	call->msg.topics_n = 1;
	call->topic.topic = bytes_str(call->name);
	call->topic.partitions = &call->part;
	call->topic.partitions_n = 1;
	call->part = (struct fetch_request_fetch_partition){
		.partition = partition,
		.current_leader_epoch = -1,
		.fetch_offset = offset,
		.last_fetched_epoch = -1,
		.log_start_offset = -1,
		.partition_max_bytes = READ_BYTES,
		.high_watermark = INT64_MAX,
	};
	return call;
}

static void read_call_send(struct read_call *call)
{
	const struct client_call cc = {
		.node = leader_of(call),
		.channel = CLIENT_CHANNEL_CONTROL,
		.api_key = WIRE_API_FETCH,
		.max_version = FETCH_VERSION_NAMES,
		.msg = &call->msg,
		.done = on_read,
		.arg = call,
	};
	client_call(call->client, &cc);
}

enum err target_read(struct client *c, const char *topic, int32_t partition, int64_t offset,
		     target_read_done *done, void *arg)
{
	struct read_call *call = read_call_new(c, topic, partition, offset, done, arg);
	if (call == NULL)
		return ERR_NOMEM;
	read_call_send(call);
	return ERR_OK;
}

enum err target_read_committed(struct client *c, const char *topic, int32_t partition,
			       int64_t offset, target_read_done *done, void *arg)
{
	struct read_call *call = read_call_new(c, topic, partition, offset, done, arg);
	if (call == NULL)
		return ERR_NOMEM;
	call->msg.isolation_level = READ_COMMITTED;
	read_call_send(call);
	return ERR_OK;
}
