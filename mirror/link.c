/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A link: wires the parts together. Topics become ready (topics.c), their partitions start once the
 * stored run tables are loaded (journal.c), records flow source.c -> partition -> sender.c,
 * positions go to journal.c.
 */
#include "mirror/link.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "checkpoint/stored.h"
#include "lib/base/map.h"
#include "lib/base/mem.h"
#include "lib/net/tls.h"
#include "mirror/link_priv.h"
#include "mirror/naming.h"
#include "mirror/rebatch_task.h"
#include "mirror/target_reader.h"

enum {
	TICK_MS = 1000,
	LOAD_RETRY_MS =
		50, /* a target that has just started needs a moment for its first producer id */
	STALL_MS = 30 * 1000, /* no record copied for so long although some wait: not ready */
	METADATA_BYTES = 16 << 20,
	FRAME_BYTES = 24 << 20, /* largest answer of a broker: a batch may be larger than what was
				   asked for */
	DECODE_BYTES = 16 << 20,
	DEFAULT_MAX_BATCH = 1048588, /* Kafka's message.max.bytes */
};

static const struct partition_host host;

/* ---- what partitions ask ---- */

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
		loop_timer_set(slot_of(p)->retry, TICK_MS);
		return;
	}
	call->link = k;
	call->slot = slot_of(p);
	wire_init(&wire_init_producer_id_request, &call->msg);
	call->msg.transactional_id = (struct bytes){NULL, 0};
	call->msg.transaction_timeout_ms = 60 * 1000;
	const struct client_call cc = {
		.node = CLIENT_ANY,
		.channel = CLIENT_CHANNEL_CONTROL,
		.api_key = 22,
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

static void on_target_read(void *arg, enum err e, struct bytes records, int64_t end)
{
	struct slot *slot = arg;
	slot->topic->link->calls--;
	partition_on_target_read(slot->p, e, records, end);
}

static bool host_read_target(void *ctx, struct partition *p, int64_t offset)
{
	struct link *k = ctx;
	struct slot *slot = slot_of(p);
	if (target_read(k->target_client, slot->topic->target_name, p->index, offset,
			on_target_read, slot) != ERR_OK) {
		loop_timer_set(slot->retry, TICK_MS);
		return false;
	}
	k->calls++;
	return true;
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

static enum log_level state_level(enum mirror_state from, enum mirror_state to)
{
	if (mirror_state_needs_person(to))
		return LOG_ERROR;
	if (to == STATE_SOURCE_UNAVAILABLE || to == STATE_TARGET_UNAVAILABLE ||
	    to == STATE_TARGET_TRUNCATED)
		return LOG_WARN;
	return mirror_state_moves(to) && (mirror_state_moves(from) || from == STATE_STARTING)
		       ? LOG_DEBUG
		       : LOG_INFO;
}

static void host_changed(void *ctx, struct partition *p, enum mirror_state from)
{
	struct link *k = ctx;
	if (k->stopping)
		return;
	if (p->last_fault == ERR_KAFKA_MESSAGE_TOO_LARGE && p->state == STATE_REFUSED)
		topics_recheck_config(k->topics, p->env->source_topic);
	log_event(loop_log(k->loop), state_level(from, p->state), "partition_state",
		  LOG_S("link", k->config->name), LOG_S("topic", p->env->source_topic),
		  LOG_I("partition", p->index), LOG_S("state", mirror_state_name(p->state)),
		  LOG_S("from", mirror_state_name(from)), LOG_I("source_position", p->src_acked),
		  LOG_I("target_position", p->dst_acked), LOG_S("reason", p->reason.text));
}

static const struct partition_host host = {
	.probe = host_probe,
	.fetch = host_fetch,
	.fetch_stop = host_fetch_stop,
	.ready = host_ready,
	.store = host_store,
	.new_producer = host_new_producer,
	.rebatch = host_rebatch,
	.count = host_count,
	.read_target = host_read_target,
	.retry_in = host_retry_in,
	.refresh = host_refresh,
	.changed = host_changed,
};

/* ---- topics and partitions ---- */

static void slot_free(struct slot *slot)
{
	if (slot == NULL)
		return;
	loop_timer_free(slot->retry);
	stored_free(slot->stored);
	partition_free(slot->p);
	mem_free(slot);
}

static void slot_start(struct link *k, struct slot *slot)
{
	struct partition_stored stored;
	enum err e = journal_take(k->journal, slot, &stored);
	if (e == ERR_OK || e == ERR_NOT_FOUND)
		partition_start(slot->p, e == ERR_OK ? &stored : NULL, k->producer_id,
				k->producer_epoch);
	else
		loop_timer_set(slot->retry, TICK_MS);
}

static void slot_retry(void *arg)
{
	struct slot *slot = arg;
	if (slot->p->phase == PHASE_IDLE)
		slot_start(slot->topic->link, slot);
	else
		partition_on_timer(slot->p);
}

static struct slot *slot_new(struct topic_entry *t, int32_t index)
{
	struct slot *slot = mem_zalloc(1, sizeof *slot);
	if (slot == NULL)
		return NULL;
	slot->topic = t;
	slot->p = partition_new(&t->env, index, t->link->config->runs_budget);
	slot->retry = loop_timer_new(t->link->loop, slot_retry, slot);
	if (slot->p == NULL || slot->retry == NULL) {
		slot_free(slot);
		return NULL;
	}
	slot->p->host_data = slot;
	return slot;
}

static void entry_free(struct topic_entry *t)
{
	for (int32_t i = 0; i < t->slots_n; i++)
		slot_free(t->slots[i]);
	mem_free(t->slots);
	mem_free(t->source_name);
	mem_free(t->target_name);
	mem_free(t);
}

static struct topic_entry *entry_new(struct link *k, const struct topic_info *info)
{
	struct topic_entry *t = mem_zalloc(1, sizeof *t);
	if (t == NULL)
		return NULL;
	t->link = k;
	t->source_name = mem_strdup(info->source_name);
	t->target_name = mem_strdup(info->target_name);
	if (t->source_name == NULL || t->target_name == NULL ||
	    map_put(k->entries, bytes_str(t->source_name), t) != ERR_OK) {
		entry_free(t);
		return NULL;
	}
	size_t budget = memory_max(k->memory);
	t->env = (struct partition_env){
		.source_topic = t->source_name,
		.target_topic = t->target_name,
		.start_latest = k->config->start_latest,
		.read_committed = k->config->source->read_committed,
		.target_max_batch = DEFAULT_MAX_BATCH,
		.queue_high = budget / 2,
		.queue_low = budget / 4,
		.decode_max = DECODE_BYTES,
		.clock = loop_clock(k->loop),
		.host = &host,
		.host_ctx = k,
	};
	return t;
}

static enum err entry_grow(struct link *k, struct topic_entry *t, int32_t n)
{
	if (n <= t->slots_n)
		return ERR_OK;
	struct slot **slots = mem_resize(t->slots, (size_t)n, sizeof *slots);
	if (slots == NULL)
		return ERR_NOMEM;
	t->slots = slots;
	while (t->slots_n < n) {
		struct slot *slot = slot_new(t, t->slots_n);
		if (slot == NULL)
			return ERR_NOMEM;
		t->slots[t->slots_n++] = slot;
		if (k->started && !k->stopping)
			slot_start(k, slot);
	}
	return ERR_OK;
}

static void on_topic_ready(void *arg, const struct topic_info *info)
{
	struct link *k = arg;
	struct topic_entry *t = map_get(k->entries, bytes_str(info->source_name));
	bool fresh = t == NULL;
	if (fresh)
		t = entry_new(k, info);
	if (t == NULL) {
		log_event(loop_log(k->loop), LOG_ERROR, "out_of_memory",
			  LOG_S("link", k->config->name), LOG_S("topic", info->source_name));
		topics_refresh(k->topics);
		return;
	}
	bool other_id = !uuid_eq(&t->env.source_id, &info->source_id);
	t->env.source_id = info->source_id;
	t->env.compacted = info->compacted;
	t->env.target_max_batch = info->target_max_batch;
	bool made_again = !fresh && t->target_made != info->target_made;
	t->target_made = info->target_made;
	bool was_gone = t->gone;
	t->gone = false;
	errmsg_set(&t->problem, ERR_OK, "%s", "");
	for (int32_t i = 0; (other_id || was_gone) && i < t->slots_n; i++)
		partition_on_source_topic(t->slots[i]->p, true, &info->source_id);
	for (int32_t i = 0; made_again && i < t->slots_n; i++)
		partition_on_target_topic(t->slots[i]->p);
	if (fresh || info->partitions > t->slots_n)
		log_event(loop_log(k->loop), LOG_INFO, fresh ? "topic_mirrored" : "topic_grew",
			  LOG_S("link", k->config->name), LOG_S("topic", t->source_name),
			  LOG_S("target_topic", t->target_name),
			  LOG_I("partitions", info->partitions));
	if (entry_grow(k, t, info->partitions) != ERR_OK)
		topics_refresh(k->topics);
}

static void on_topic_gone(void *arg, const char *source_name)
{
	struct link *k = arg;
	struct topic_entry *t = map_get(k->entries, bytes_str(source_name));
	if (t == NULL || t->gone)
		return;
	t->gone = true;
	for (int32_t i = 0; i < t->slots_n; i++)
		partition_on_source_topic(t->slots[i]->p, false, NULL);
}

static void on_topic_problem(void *arg, const char *source_name, enum err e,
			     const struct errmsg *why)
{
	struct link *k = arg;
	struct topic_entry *t = map_get(k->entries, bytes_str(source_name));
	if (t != NULL)
		errmsg_set(&t->problem, e, "%s", e == ERR_OK ? "" : why->text);
	if (e != ERR_OK)
		log_event(loop_log(k->loop), LOG_WARN, "topic_not_ready",
			  LOG_S("link", k->config->name), LOG_S("topic", source_name),
			  LOG_S("error", err_name(e)), LOG_S("reason", why->text));
}

static const struct topics_events topic_events = {
	.on_ready = on_topic_ready,
	.on_gone = on_topic_gone,
	.on_problem = on_topic_problem,
};

/* ---- life ---- */

static void on_source_metadata(void *arg)
{
	struct link *k = arg;
	topics_on_metadata(k->topics);
	source_on_metadata(k->source);
}

static void on_target_metadata(void *arg)
{
	struct link *k = arg;
	topics_on_metadata(k->topics);
	sender_on_metadata(k->sender);
}

static void load_again(void *arg);

static void on_loaded(void *arg, enum err e, const struct errmsg *why)
{
	struct link *k = arg;
	if (k->stopping)
		return;
	if (e != ERR_OK) {
		log_event(loop_log(k->loop), LOG_WARN, "run_tables_not_loaded",
			  LOG_S("link", k->config->name), LOG_S("error", err_name(e)),
			  LOG_S("reason", why->text));
		errmsg_set(&k->load_problem, e, "loading the run tables: %s", why->text);
		loop_timer_set(k->load_retry,
			       clock_backoff_ms(loop_clock(k->loop), k->load_attempt++,
						LOAD_RETRY_MS, 10 * TICK_MS));
		return;
	}
	errmsg_set(&k->load_problem, ERR_OK, "%s", "");
	k->started = true;
	k->last_progress_ms = loop_now_ms(k->loop);
	log_event(loop_log(k->loop), LOG_INFO, "link_started", LOG_S("link", k->config->name),
		  LOG_I("topics", map_count(k->entries)), LOG_I("producer_id", k->producer_id));
	size_t at = 0;
	void *v;
	while (map_next(k->entries, &at, NULL, &v)) {
		struct topic_entry *t = v;
		for (int32_t i = 0; i < t->slots_n; i++)
			slot_start(k, t->slots[i]);
	}
}

static void load_again(void *arg)
{
	struct link *k = arg;
	journal_load(k->journal, on_loaded, k);
}

static void link_judge(struct link *k);

static void on_tick(void *arg)
{
	struct link *k = arg;
	source_tick(k->source);
	sender_tick(k->sender);
	link_judge(k);
	loop_timer_set(k->tick, TICK_MS);
}

static enum err make_client(struct link *k, const struct cluster_config *c, struct tls_ctx **tls,
			    struct client **out, struct errmsg *why)
{
	if (c->tls) {
		const struct tls_config t = {
			.ca_file = c->ca_file,
			.ca_password = c->ca_password,
			.cert_file = c->cert_file,
			.key_file = c->key_file,
			.key_password = c->key_password,
			.ciphers = c->ciphers,
			.no_verify_host = !c->verify_host,
		};
		enum err e = tls_ctx_new(&t, loop_log(k->loop), tls, why);
		if (e != ERR_OK)
			return errmsg_wrap(why, e, "cluster %s", c->name);
	}
	const struct client_options o = {
		.name = c->name,
		.bootstrap = c->bootstrap,
		.bootstrap_n = c->bootstrap_n,
		.rpc =
			{
				.conn =
					{
						.frame_max = FRAME_BYTES,
						.pool = memory_pool(k->memory),
						.connect_timeout_ms = c->connect_timeout_ms,
						.user_timeout_ms = c->user_timeout_ms,
						.socket_buffer = c->socket_buffer,
						.tls = *tls,
					},
				.client_id = c->client_id,
				.sasl = {c->sasl_mechanism, c->sasl_username, c->sasl_password},
			},
		.request_timeout_ms = c->request_timeout_ms,
		.metadata_max_age_ms = c->metadata_max_age_ms,
		.backoff_min_ms = c->backoff_min_ms,
		.backoff_max_ms = c->backoff_max_ms,
		.metadata_max = METADATA_BYTES,
	};
	return client_new(k->loop, &o, out, why);
}

static enum err link_parts(struct link *k, struct errmsg *why)
{
	enum err e = source_new(k, &k->source);
	if (e == ERR_OK)
		e = sender_new(k, &k->sender);
	if (e == ERR_OK)
		e = prober_new(k, &k->prober);
	if (e == ERR_OK)
		e = journal_new(k, &k->journal);
	if (e != ERR_OK)
		return errmsg_set(why, e, "link %s: %s", k->config->name, err_text(e));
	return topics_new(k->loop, k->config, k->source_client, k->target_client, &topic_events, k,
			  &k->topics, why);
}

enum err link_new(struct loop *l, const struct link_config *config, struct memory *memory,
		  struct link **out, struct errmsg *why)
{
	struct link *k = mem_zalloc(1, sizeof *k);
	if (k == NULL)
		return errmsg_set(why, ERR_NOMEM, "out of memory");
	k->loop = l;
	k->config = config;
	k->memory = memory;
	k->producer_id = -1;
	k->state = STATE_STARTING;
	k->since_ms = clock_wall_ms(loop_clock(l));
	k->entries = map_new();
	k->tick = loop_timer_new(l, on_tick, k);
	k->load_retry = loop_timer_new(l, load_again, k);
	enum err e =
		k->entries == NULL || k->tick == NULL || k->load_retry == NULL
			? errmsg_set(why, ERR_NOMEM, "out of memory")
			: make_client(k, config->source, &k->source_tls, &k->source_client, why);
	if (e == ERR_OK)
		e = make_client(k, config->target, &k->target_tls, &k->target_client, why);
	if (e == ERR_OK)
		e = link_parts(k, why);
	if (e != ERR_OK) {
		link_free(k);
		return e;
	}
	client_follow_all(k->source_client);
	client_on_metadata(k->source_client, on_source_metadata, k);
	client_on_metadata(k->target_client, on_target_metadata, k);
	journal_load(k->journal, on_loaded, k);
	loop_timer_set(k->tick, TICK_MS);
	*out = k;
	return ERR_OK;
}

void link_stop(struct link *k)
{
	k->stopping = true;
	size_t at = 0;
	void *v;
	while (map_next(k->entries, &at, NULL, &v)) {
		struct topic_entry *t = v;
		for (int32_t i = 0; i < t->slots_n; i++) {
			partition_pause(t->slots[i]->p);
			sender_forget(k->sender, t->slots[i]);
		}
	}
}

bool link_stopped(struct link *k)
{
	return sender_in_flight(k->sender) == 0 && journal_flush(k->journal);
}

/* Everything in flight completes once the clients are gone; until then the slots must live. */
static void settle(struct link *k)
{
	client_free(k->source_client);
	client_free(k->target_client);
	k->source_client = k->target_client = NULL;
	loop_turn(k->loop, 0);
	loop_turn(k->loop, 0);
}

static void forget_slots(struct link *k)
{
	size_t at = 0;
	void *v;
	while (k->entries != NULL && k->journal != NULL && map_next(k->entries, &at, NULL, &v)) {
		struct topic_entry *t = v;
		for (int32_t i = 0; i < t->slots_n; i++) {
			sender_forget(k->sender, t->slots[i]);
			prober_forget(k->prober, t->slots[i]);
			journal_forget(k->journal, t->slots[i]);
			loop_timer_stop(t->slots[i]->retry);
		}
	}
}

void link_free(struct link *k)
{
	if (k == NULL)
		return;
	k->stopping = true;
	if (k->journal != NULL && k->sender != NULL && k->prober != NULL && k->source != NULL)
		link_stop(k);
	topics_free(k->topics);
	source_free(k->source);
	forget_slots(k);
	settle(k);
	/* What completed meanwhile may have asked again. */
	forget_slots(k);
	sender_free(k->sender);
	prober_free(k->prober);
	journal_free(k->journal);
	size_t at = 0;
	void *v;
	while (k->entries != NULL && map_next(k->entries, &at, NULL, &v))
		entry_free(v);
	map_free(k->entries);
	loop_timer_free(k->tick);
	loop_timer_free(k->load_retry);
	tls_ctx_free(k->source_tls);
	tls_ctx_free(k->target_tls);
	mem_free(k);
}

/* ---- status ---- */

static void link_set_state(struct link *k, enum mirror_state to, const char *reason)
{
	if (k->state == to && strcmp(k->reason.text, reason) == 0)
		return;
	enum mirror_state from = k->state;
	errmsg_set(&k->reason, ERR_OK, "%s", reason);
	k->state = to;
	if (from == to)
		return;
	k->since_ms = clock_wall_ms(loop_clock(k->loop));
	log_event(loop_log(k->loop),
		  mirror_state_needs_person(to)                    ? LOG_ERROR
		  : mirror_state_moves(to) || to == STATE_STARTING ? LOG_INFO
								   : LOG_WARN,
		  "link_state", LOG_S("link", k->config->name),
		  LOG_S("state", mirror_state_name(to)), LOG_S("from", mirror_state_name(from)),
		  LOG_S("reason", reason));
}

/* The link is as bad as its worst partition, or cannot reach a cluster. */
static void link_judge(struct link *k)
{
	struct errmsg why = {""};
	if (client_ready(k->source_client, &why) == 0 && client_down_since(k->source_client) > 0) {
		link_set_state(k, STATE_SOURCE_UNAVAILABLE, why.text);
		return;
	}
	if (client_ready(k->target_client, &why) == 0 && client_down_since(k->target_client) > 0) {
		link_set_state(k, STATE_TARGET_UNAVAILABLE, why.text);
		return;
	}
	if (!k->started) {
		link_set_state(k, STATE_STARTING, k->load_problem.text);
		return;
	}
	enum mirror_state worst = STATE_ACTIVE;
	const struct partition *of = NULL;
	bool lag = false;
	size_t at = 0;
	void *v;
	while (map_next(k->entries, &at, NULL, &v)) {
		struct topic_entry *t = v;
		for (int32_t i = 0; i < t->slots_n; i++) {
			const struct partition *p = t->slots[i]->p;
			lag = lag || partition_behind(p);
			if (p->state > worst) {
				worst = p->state;
				of = p;
			}
		}
	}
	if (!lag)
		k->last_progress_ms = loop_now_ms(k->loop);
	if (of != NULL && !mirror_state_moves(worst))
		errmsg_set(&why, ERR_OK, "%s-%d: %s", of->env->source_topic, of->index,
			   of->reason.text);
	link_set_state(k, worst, why.text);
}

const struct link_config *link_config(const struct link *k)
{
	return k->config;
}

enum mirror_state link_state(const struct link *k, const char **reason, int64_t *since_ms)
{
	*reason = k->reason.text;
	*since_ms = k->since_ms;
	return k->state;
}

bool link_ready(const struct link *k)
{
	if (!k->started || client_ready(k->source_client, NULL) == 0 ||
	    client_ready(k->target_client, NULL) == 0)
		return false;
	return loop_now_ms(k->loop) - k->last_progress_ms < STALL_MS;
}

size_t link_partitions(const struct link *k)
{
	size_t n = 0, at = 0;
	void *v;
	while (map_next(k->entries, &at, NULL, &v))
		n += (size_t)((struct topic_entry *)v)->slots_n;
	return n;
}

static int by_name(const void *a, const void *b)
{
	const struct topic_entry *const *x = a, *const *y = b;
	return strcmp((*x)->source_name, (*y)->source_name);
}

struct topic_entry **link_topics_sorted(const struct link *k, size_t *n)
{
	*n = 0;
	size_t count = map_count(k->entries);
	if (count == 0)
		return NULL;
	struct topic_entry **out = mem_zalloc(count, sizeof *out);
	size_t at = 0;
	void *v;
	while (out != NULL && map_next(k->entries, &at, NULL, &v))
		out[(*n)++] = v;
	if (out != NULL)
		qsort(out, *n, sizeof *out, by_name);
	return out;
}
