/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A link: wires the parts together. Topics become ready (topics.c), their partitions start once the
 * stored run tables are loaded (journal.c), records flow source.c -> partition -> sender.c,
 * positions go to journal.c.
 */
#include "mirror/link/link.h"

#include "checkpoint/stored.h"
#include "lib/base/map.h"
#include "lib/base/mem.h"
#include "lib/net/tls.h"
#include "mirror/clusters/connect.h"
#include "mirror/group/groups.h"
#include "mirror/link/gaps.h"
#include "mirror/link/gone.h"
#include "mirror/link/heartbeats.h"
#include "mirror/link/link_parts.h"
#include "mirror/link/retention.h"
#include "mirror/link/takeover.h"

enum {
	TICK_MS = 1000,
	LOAD_RETRY_MS =
		50, /* a target that has just started needs a moment for its first producer id */
	DECODE_BYTES = 16 << 20,
	DEFAULT_MAX_BATCH = 1048588, /* Kafka's message.max.bytes */
};

static const char HELD_BY_SETTING[] = "paused by the setting `paused`";

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
	slot->headroom_seconds = -1;
	slot->p = partition_new(&t->env, index, t->link->config->runs_budget);
	slot->retry = loop_timer_new(t->link->loop, slot_retry, slot);
	if (slot->p == NULL || slot->retry == NULL) {
		slot_free(slot);
		return NULL;
	}
	slot->p->host_data = slot;
	if (t->held != NULL)
		partition_pause(slot->p, t->held);
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
	t->held = k->held;
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
		.take_over = k->config->take_over != TAKE_OVER_NO,
		.read_committed = k->config->source->read_committed,
		.two_way = k->config->two_way,
		.target_max_batch = DEFAULT_MAX_BATCH,
		.request_lifetime_ms = k->config->request_lifetime_ms,
		.queue_high = budget / 2,
		.queue_low = budget / 4,
		.decode_max = DECODE_BYTES,
		.source_trouble = t->source_trouble.text,
		.policy = policies_of(k->policies, t->source_name),
		.clock = loop_clock(k->loop),
		.host = &link_host,
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

/* While the topic is being made at the target, the connections that it will need are opened. */
static void on_topic_found(void *arg, const char *source_name)
{
	struct link *k = arg;
	source_prepare(k->source, source_name);
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
	bool other_configs = !fresh && t->target_configs != info->target_configs;
	t->target_made = info->target_made;
	t->target_configs = info->target_configs;
	t->target_stamps = info->target_stamps;
	bool was_gone = t->gone;
	t->gone = false;
	gone_end(t);
	errmsg_set(&t->problem, ERR_OK, "%s", "");
	for (int32_t i = 0; (other_id || was_gone) && i < t->slots_n; i++)
		partition_on_source_topic(t->slots[i]->p, true, &info->source_id);
	for (int32_t i = 0; made_again && i < t->slots_n; i++)
		partition_on_target_topic(t->slots[i]->p);
	for (int32_t i = 0; other_configs && i < t->slots_n; i++)
		partition_on_target_config(t->slots[i]->p);
	if (fresh || info->partitions > t->slots_n)
		log_event(loop_log(k->loop), LOG_INFO, fresh ? "topic_mirrored" : "topic_grew",
			  LOG_S("link", k->config->name), LOG_S("topic", t->source_name),
			  LOG_S("target_topic", t->target_name),
			  LOG_I("partitions", info->partitions));
	sender_prepare(k->sender, t->target_name);
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
	gone_begin(k->gone, t);
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
	.on_found = on_topic_found,
	.on_ready = on_topic_ready,
	.on_gone = on_topic_gone,
	.on_problem = on_topic_problem,
};

/* ---- life ---- */

static void on_source_metadata(void *arg)
{
	struct link *k = arg;
	topics_on_metadata(k->topics);
	two_way_on_metadata(k);
	groups_on_metadata(k->groups);
	source_on_metadata(k->source);
	heartbeats_on_metadata(k->heartbeats, true);
	offset_syncs_on_metadata(k->syncs, true);
}

static void on_target_metadata(void *arg)
{
	struct link *k = arg;
	topics_on_metadata(k->topics);
	journal_on_metadata(k->journal);
	gaps_on_metadata(k->gaps);
	sender_on_metadata(k->sender);
	heartbeats_on_metadata(k->heartbeats, false);
	offset_syncs_on_metadata(k->syncs, false);
	groups_on_metadata(k->groups);
}

static void load_again(void *arg);
static void begin(struct link *k);

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
	k->loaded = true;
	begin(k);
}

/* All tables are there: partitions start. */
static void begin(struct link *k)
{
	if (!k->loaded || k->started || k->stopping || !two_way_ready(k, NULL))
		return;
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
	groups_start(k->groups);
}

static void load_again(void *arg)
{
	struct link *k = arg;
	journal_load(k->journal, on_loaded, k);
}

static void on_tick(void *arg)
{
	struct link *k = arg;
	source_tick(k->source);
	sender_tick(k->sender);
	gone_tick(k->gone);
	retention_tick(k->retention);
	takeover_tick(k->takeover);
	link_judge(k);
	loop_timer_set(k->tick, TICK_MS);
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
	if (e == ERR_OK)
		e = gaps_new(k, &k->gaps);
	if (e == ERR_OK)
		e = gone_new(k, &k->gone);
	if (e == ERR_OK)
		e = retention_new(k, &k->retention);
	if (e == ERR_OK)
		e = two_way_new(k, begin);
	if (e == ERR_OK)
		e = heartbeats_new(k, &k->heartbeats);
	if (e == ERR_OK)
		e = offset_syncs_new(k, &k->syncs);
	if (e == ERR_OK)
		e = takeover_new(k, &k->takeover);
	if (e != ERR_OK)
		return errmsg_set(why, e, "link %s: %s", k->config->name, err_text(e));
	e = groups_new(k, &k->groups, why);
	if (e != ERR_OK)
		return e;
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
	k->held = config->paused ? HELD_BY_SETTING : NULL;
	k->since_ms = clock_wall_ms(loop_clock(l));
	k->entries = map_new();
	k->tick = loop_timer_new(l, on_tick, k);
	k->load_retry = loop_timer_new(l, load_again, k);
	enum err e = k->entries == NULL || k->tick == NULL || k->load_retry == NULL
			     ? errmsg_set(why, ERR_NOMEM, "out of memory")
			     : connect_cluster(l, config->source, memory_pool(memory),
					       &k->source_tls, &k->source_client, why);
	if (e == ERR_OK)
		e = connect_cluster(l, config->target, memory_pool(memory), &k->target_tls,
				    &k->target_client, why);
	if (e == ERR_OK)
		e = policies_new(config->on, config->policies, &k->policies, why);
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

static size_t topic_hold(struct topic_entry *t, int32_t partition, const char *why)
{
	size_t n = 0;
	if (partition < 0)
		t->held = why;
	for (int32_t i = 0; i < t->slots_n; i++) {
		if (partition >= 0 && i != partition)
			continue;
		if (why != NULL)
			partition_pause(t->slots[i]->p, why);
		else
			partition_resume(t->slots[i]->p);
		n++;
	}
	return n;
}

enum err link_hold(struct link *k, const char *topic, int32_t partition, const char *why, size_t *n)
{
	struct topic_entry *t = NULL;
	*n = 0;
	if (topic != NULL) {
		t = map_get(k->entries, bytes_str(topic));
		if (t == NULL || partition >= t->slots_n)
			return ERR_NOT_FOUND;
		*n = topic_hold(t, partition, why);
	} else {
		k->held = why;
		size_t at = 0;
		void *v;
		while (map_next(k->entries, &at, NULL, &v))
			*n += topic_hold(v, -1, why);
	}
	log_event(loop_log(k->loop), LOG_INFO, why != NULL ? "paused" : "resumed",
		  LOG_S("link", k->config->name), LOG_S("topic", topic == NULL ? "" : topic),
		  LOG_I("partition", partition), LOG_I("partitions", *n),
		  LOG_S("reason", why == NULL ? "" : why));
	k->last_progress_ms = loop_now_ms(k->loop);
	link_judge(k);
	return ERR_OK;
}

void link_hold_by_setting(struct link *k, bool paused)
{
	size_t n;
	/* The whole link is always found. */
	(void)!link_hold(k, NULL, -1, paused ? HELD_BY_SETTING : NULL, &n);
}

enum err link_set_policies(struct link *k, const struct link_config *c)
{
	struct policies *fresh;
	struct errmsg why = {""};
	enum err e = policies_new(c->on, c->policies, &fresh, &why);
	if (e != ERR_OK)
		return e;
	policies_free(k->policies);
	k->policies = fresh;
	size_t at = 0;
	void *v;
	while (map_next(k->entries, &at, NULL, &v)) {
		struct topic_entry *t = v;
		t->env.policy = policies_of(fresh, t->source_name);
		for (int32_t i = 0; i < t->slots_n; i++)
			partition_on_policy(t->slots[i]->p);
	}
	return ERR_OK;
}

void link_stop(struct link *k)
{
	k->stopping = true;
	heartbeats_stop(k->heartbeats);
	groups_stop(k->groups);
	size_t at = 0;
	void *v;
	while (map_next(k->entries, &at, NULL, &v)) {
		struct topic_entry *t = v;
		for (int32_t i = 0; i < t->slots_n; i++) {
			partition_pause(t->slots[i]->p, "the mirror is stopping");
			sender_forget(k->sender, t->slots[i]);
		}
	}
}

bool link_stopped(struct link *k)
{
	return sender_in_flight(k->sender) == 0 && journal_flush(k->journal) &&
	       offset_syncs_flush(k->syncs) && groups_stopped(k->groups);
}

/* Nothing may be asked any more of what is about to be freed. */
static void asking_stop(struct link *k)
{
	if (k->tick != NULL)
		loop_timer_stop(k->tick);
	if (k->load_retry != NULL)
		loop_timer_stop(k->load_retry);
	journal_stop(k->journal);
	heartbeats_stop(k->heartbeats);
	offset_syncs_stop(k->syncs);
	groups_halt(k->groups);
	gaps_stop(k->gaps);
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
	while (k->entries != NULL && k->gaps != NULL && k->takeover != NULL &&
	       map_next(k->entries, &at, NULL, &v)) {
		struct topic_entry *t = v;
		for (int32_t i = 0; i < t->slots_n; i++) {
			sender_forget(k->sender, t->slots[i]);
			prober_forget(k->prober, t->slots[i]);
			journal_forget(k->journal, t->slots[i]);
			offset_syncs_forget(k->syncs, t->slots[i]);
			gaps_forget(k->gaps, t->slots[i]);
			takeover_forget(k->takeover, t->slots[i]);
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
	asking_stop(k);
	topics_free(k->topics);
	source_free(k->source);
	two_way_stop(k);
	forget_slots(k);
	settle(k);
	/* What completed meanwhile may have asked again. */
	forget_slots(k);
	sender_free(k->sender);
	prober_free(k->prober);
	journal_free(k->journal);
	two_way_free(k);
	heartbeats_free(k->heartbeats);
	offset_syncs_free(k->syncs);
	groups_free(k->groups);
	gaps_free(k->gaps);
	gone_free(k->gone);
	retention_free(k->retention);
	policies_free(k->policies);
	size_t at = 0;
	void *v;
	while (k->entries != NULL && map_next(k->entries, &at, NULL, &v))
		entry_free(v);
	takeover_free(k->takeover);
	map_free(k->entries);
	loop_timer_free(k->tick);
	loop_timer_free(k->load_retry);
	tls_ctx_free(k->source_tls);
	tls_ctx_free(k->target_tls);
	mem_free(k);
}

const struct link_config *link_config(const struct link *k)
{
	return k->config;
}
