/* SPDX-License-Identifier: Apache-2.0 */
/* One sessionless Fetch per call (session epoch -1, KIP-227). */
#include "mirror/target_reader.h"

#include "lib/base/mem.h"

enum { READ_BYTES = 1 << 20, FETCH_VERSION_NAMES = 12, READ_COMMITTED = 1 };

struct read_call {
	void (*done)(void *arg, enum err e, struct bytes records, int64_t end);
	void (*committed)(void *arg, enum err e, const struct target_records *r);
	void *arg;
	struct fetch_request msg;
	struct fetch_request_fetch_topic topic;
	struct fetch_request_fetch_partition part;
	char name[];
};

static void on_read(void *arg, enum err e, const struct errmsg *why, const struct rpc_reply *reply)
{
	struct read_call *call = arg;
	struct target_records found = {.start = -1, .stable = -1, .end = -1};
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
	if (call->committed != NULL)
		call->committed(call->arg, e, &found);
	else
		call->done(call->arg, e, found.records, found.end);
	mem_free(call);
}

static struct read_call *read_call_new(const char *topic, int32_t partition, int64_t offset)
{
	size_t n = strlen(topic);
	struct read_call *call = mem_zalloc(1, sizeof *call + n + 1);
	if (call == NULL)
		return NULL;
	memcpy(call->name, topic, n);
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

static void read_call_send(struct client *c, struct read_call *call)
{
	const struct client_topic *t = client_topic(c, call->name);
	int32_t partition = call->part.partition;
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
}

enum err target_read(struct client *c, const char *topic, int32_t partition, int64_t offset,
		     void (*done)(void *arg, enum err e, struct bytes records, int64_t end),
		     void *arg)
{
	struct read_call *call = read_call_new(topic, partition, offset);
	if (call == NULL)
		return ERR_NOMEM;
	call->done = done;
	call->arg = arg;
	read_call_send(c, call);
	return ERR_OK;
}

enum err target_read_committed(struct client *c, const char *topic, int32_t partition,
			       int64_t offset,
			       void (*done)(void *arg, enum err e, const struct target_records *r),
			       void *arg)
{
	struct read_call *call = read_call_new(topic, partition, offset);
	if (call == NULL)
		return ERR_NOMEM;
	call->committed = done;
	call->arg = arg;
	call->msg.isolation_level = READ_COMMITTED;
	read_call_send(c, call);
	return ERR_OK;
}
