/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What partitions ask of their link: each request goes to the part that does it, or becomes a call
 * whose answer goes back to the partition.
 */
#include "lib/base/mem.h"
#include "mirror/clusters/target_reader.h"
#include "mirror/link/gaps.h"
#include "mirror/link/link_parts.h"
#include "mirror/link/takeover.h"
#include "mirror/partition/rebatch_task.h"

enum {
	RETRY_MS = 1000, /* without memory to ask */
	TRANSACTION_MS = 60 * 1000,
	API_INIT_PRODUCER_ID = 22,
};

static struct slot *slot_of(const struct partition *p)
{
	return p->host_data;
}

static void host_probe(void *ctx, struct partition *p, int32_t epoch)
{
	struct link *k = ctx;
	prober_ask(k->prober, slot_of(p), epoch);
}

static void host_fetch(void *ctx, struct partition *p, int64_t offset, bool behind)
{
	struct link *k = ctx;
	source_fetch(k->source, slot_of(p), offset, behind);
}

static void host_fetch_stop(void *ctx, struct partition *p)
{
	struct link *k = ctx;
	source_stop(k->source, slot_of(p));
}

static void host_ready(void *ctx, struct partition *p)
{
	struct link *k = ctx;
	sender_ready(k->sender, slot_of(p));
}

static void host_store(void *ctx, struct partition *p, bool now)
{
	struct link *k = ctx;
	k->last_progress_ms = loop_now_ms(k->loop);
	journal_mark(k->journal, slot_of(p), now);
	offset_syncs_mark(k->syncs, slot_of(p));
}

/* An answer for one partition that asked for a producer id. */
struct producer_call {
	struct link *link;
	struct slot *slot;
	struct init_producer_id_request msg;
};

static void on_producer_id(void *arg, enum err e, const struct errmsg *why,
			   const struct rpc_reply *reply)
{
	struct producer_call *call = arg;
	struct errmsg text = {""};
	int64_t id = -1;
	int16_t epoch = -1;
	if (e == ERR_OK) {
		const struct init_producer_id_response *r = reply->msg;
		e = err_from_kafka(r->error_code);
		id = r->producer_id;
		epoch = r->producer_epoch;
		if (e == ERR_OK && id < 0)
			e = ERR_MALFORMED;
		errmsg_set(&text, e, "%s", err_text(e));
	} else {
		text = *why;
	}
	call->link->calls--;
	partition_on_producer(call->slot->p, e, &text, id, epoch);
	mem_free(call);
}

static void host_new_producer(void *ctx, struct partition *p)
{
	struct link *k = ctx;
	struct producer_call *call = mem_zalloc(1, sizeof *call);
	if (call == NULL) {
		loop_timer_set(slot_of(p)->retry, RETRY_MS);
		return;
	}
	call->link = k;
	call->slot = slot_of(p);
	wire_init(&wire_init_producer_id_request, &call->msg);
	call->msg.transactional_id = (struct bytes){NULL, 0};
	call->msg.transaction_timeout_ms = TRANSACTION_MS;
	const struct client_call cc = {
		.node = CLIENT_ANY,
		.channel = CLIENT_CHANNEL_CONTROL,
		.api_key = API_INIT_PRODUCER_ID,
		.msg = &call->msg,
		.done = on_producer_id,
		.arg = call,
	};
	k->calls++;
	client_call(k->target_client, &cc);
}

static void host_count(void *ctx, struct frame *frame)
{
	struct link *k = ctx;
	memory_count(k->memory, frame);
}

static void host_rebatch(void *ctx, struct partition *p, struct rebatch_task *task)
{
	struct link *k = ctx;
	(void)p;
	rebatch_task_start(task, loop_pool(k->loop));
}

static void on_target_read(void *arg, enum err e, const struct target_records *r)
{
	struct slot *slot = arg;
	slot->topic->link->calls--;
	partition_on_target_read(slot->p, e, r->records, r->end);
}

static bool host_read_target(void *ctx, struct partition *p, int64_t offset)
{
	struct link *k = ctx;
	struct slot *slot = slot_of(p);
	if (target_read(k->target_client, slot->topic->target_name, p->index, offset,
			on_target_read, slot) != ERR_OK) {
		loop_timer_set(slot->retry, RETRY_MS);
		return false;
	}
	k->calls++;
	return true;
}

static enum origin_verdict host_origin(void *ctx, struct partition *p, const struct batch_head *h)
{
	return two_way_origin(ctx, slot_of(p), h);
}

static void on_committed_read(void *arg, enum err e, const struct target_records *r)
{
	struct slot *slot = arg;
	struct link *k = slot->topic->link;
	k->calls--;
	k->last_progress_ms = loop_now_ms(k->loop);
	partition_on_takeover_read(slot->p, e, r);
}

static bool host_read_committed(void *ctx, struct partition *p, int64_t offset)
{
	struct link *k = ctx;
	struct slot *slot = slot_of(p);
	if (target_read_committed(k->target_client, slot->topic->target_name, p->index, offset,
				  on_committed_read, slot) != ERR_OK) {
		loop_timer_set(slot->retry, RETRY_MS);
		return false;
	}
	k->calls++;
	return true;
}

static bool host_takeover_begin(void *ctx, struct partition *p, struct takeover_words *out)
{
	struct link *k = ctx;
	return takeover_begin(k->takeover, slot_of(p), out);
}

static void host_takeover_end(void *ctx, struct partition *p, const struct retrace_result *result)
{
	struct link *k = ctx;
	takeover_end(k->takeover, slot_of(p), result);
}

static void host_retry_in(void *ctx, struct partition *p, int64_t ms)
{
	(void)ctx;
	loop_timer_set(slot_of(p)->retry, ms);
}

static void host_refresh(void *ctx, struct partition *p, bool source)
{
	struct link *k = ctx;
	(void)p;
	if (!k->stopping)
		client_metadata_refresh(source ? k->source_client : k->target_client);
}

static void host_record(void *ctx, struct partition *p, const struct gap *gap)
{
	struct link *k = ctx;
	gaps_record(k->gaps, slot_of(p), gap);
}

static void host_park(void *ctx, struct partition *p, const struct dead_letter *d)
{
	struct link *k = ctx;
	gaps_park(k->gaps, slot_of(p), d);
}

static enum log_level state_level(enum mirror_state from, enum mirror_state to)
{
	if (mirror_state_needs_person(to))
		return LOG_ERROR;
	if (from == STATE_STARTING && to == STATE_STARTING)
		return LOG_DEBUG;
	if (to == STATE_SOURCE_UNAVAILABLE || to == STATE_TARGET_UNAVAILABLE ||
	    to == STATE_TARGET_TRUNCATED)
		return LOG_WARN;
	return mirror_state_moves(to) && (mirror_state_moves(from) || from == STATE_STARTING)
		       ? LOG_DEBUG
		       : LOG_INFO;
}

/* Is the run table what both logs agree with? See group_translate.c. */
static void settle(struct slot *slot, enum mirror_state to)
{
	if (mirror_state_moves(to))
		slot->settled = true;
	else if (to == STATE_STARTING || to == STATE_TARGET_TRUNCATED ||
		 (mirror_state_needs_person(to) && to != STATE_REFUSED && to != STATE_DATA_LOSS))
		slot->settled = false;
}

static void host_changed(void *ctx, struct partition *p, enum mirror_state from)
{
	struct link *k = ctx;
	settle(slot_of(p), p->state);
	if (k->stopping)
		return;
	/* The first after a start, though nothing may be copied for a while. */
	if (from == STATE_STARTING && mirror_state_moves(p->state))
		offset_syncs_mark(k->syncs, slot_of(p));
	if (p->state == STATE_REFUSED)
		topics_recheck_config(k->topics, p->env->source_topic);
	log_event(loop_log(k->loop), state_level(from, p->state), "partition_state",
		  LOG_S("link", k->config->name), LOG_S("topic", p->env->source_topic),
		  LOG_I("partition", p->index), LOG_S("state", mirror_state_name(p->state)),
		  LOG_S("from", mirror_state_name(from)), LOG_I("source_position", p->src_acked),
		  LOG_I("target_position", p->dst_acked), LOG_S("reason", p->reason.text));
}

const struct partition_host link_host = {
	.probe = host_probe,
	.fetch = host_fetch,
	.fetch_stop = host_fetch_stop,
	.ready = host_ready,
	.store = host_store,
	.new_producer = host_new_producer,
	.rebatch = host_rebatch,
	.count = host_count,
	.read_target = host_read_target,
	.origin = host_origin,
	.read_committed = host_read_committed,
	.takeover_begin = host_takeover_begin,
	.takeover_end = host_takeover_end,
	.retry_in = host_retry_in,
	.refresh = host_refresh,
	.record = host_record,
	.park = host_park,
	.changed = host_changed,
};
