/* SPDX-License-Identifier: Apache-2.0 */
/* One sessionless Fetch per call (session epoch -1, KIP-227). */
#include "mirror/target_reader.h"

#include "lib/base/mem.h"

enum { READ_BYTES = 1 << 20, FETCH_VERSION_NAMES = 12 };

struct read_call {
	void (*done)(void *arg, enum err e, struct bytes records, int64_t end);
	void *arg;
	struct fetch_request msg;
	struct fetch_request_fetch_topic topic;
	struct fetch_request_fetch_partition part;
	char name[];
};

static void on_read(void *arg, enum err e, const struct errmsg *why, const struct rpc_reply *reply)
{
	struct read_call *call = arg;
	struct bytes records = {NULL, 0};
	int64_t end = -1;
	(void)why;
	if (e == ERR_OK) {
		const struct fetch_response *r = reply->msg;
		e = err_from_kafka(r->error_code);
		if (e == ERR_OK && (r->responses_n != 1 || r->responses[0].partitions_n != 1))
			e = ERR_MALFORMED;
		if (e == ERR_OK) {
			e = err_from_kafka(r->responses[0].partitions[0].error_code);
			records = r->responses[0].partitions[0].records.data;
			end = r->responses[0].partitions[0].high_watermark;
		}
	}
	call->done(call->arg, e, records, end);
	mem_free(call);
}

enum err target_read(struct client *c, const char *topic, int32_t partition, int64_t offset,
		     void (*done)(void *arg, enum err e, struct bytes records, int64_t end),
		     void *arg)
{
	size_t n = strlen(topic);
	struct read_call *call = mem_zalloc(1, sizeof *call + n + 1);
	if (call == NULL)
		return ERR_NOMEM;
	memcpy(call->name, topic, n);
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
	const struct client_topic *t = client_topic(c, topic);
	const struct client_call cc = {
		.node = t != NULL && partition < t->partitions_n ? t->partitions[partition].leader
								 : CLIENT_ANY,
		.channel = CLIENT_CHANNEL_CONTROL,
		.api_key = 1,
		.max_version = FETCH_VERSION_NAMES,
		.msg = &call->msg,
		.done = on_read,
		.arg = call,
	};
	client_call(c, &cc);
	return ERR_OK;
}
