/* SPDX-License-Identifier: Apache-2.0 */
/* One question at a time, about up to GONE_MAX topics; then one deletion at a time: a look at what
 * the copy holds, and the deletion. */
#include "mirror/link/gone.h"

#include <stdio.h>

#include "lib/base/map.h"
#include "lib/base/mem.h"
#include "mirror/config/naming.h"
#include "mirror/link/gone_check.h"

enum {
	GONE_MAX = 100,
	ASK_MAX_MS = 5000,
	ASK_MIN_MS = 500,
	SIGHTINGS = 3,
	BY_ID_VERSION = 6, /* DeleteTopics that names topics by id (KIP-516) */
};

struct gone {
	struct link *link;
	bool busy;
	size_t after; /* entries of the map that the last question covered */
	int64_t ask_ms;
	struct arena arena;
	struct metadata_request ask;
	struct delete_topics_request del;
	struct delete_topics_request_delete_topic_state del_topic;
	struct bytes del_name;
	struct uuid del_id;
	char deleting[TOPIC_NAME_MAX + 1]; /* source name */
};

enum err gone_new(struct link *k, struct gone **out)
{
	struct gone *g = mem_zalloc(1, sizeof *g);
	if (g == NULL)
		return ERR_NOMEM;
	g->link = k;
	*out = g;
	return ERR_OK;
}

void gone_free(struct gone *g)
{
	mem_free(g);
}

/* ---- what partitions show ---- */

static void trouble(struct topic_entry *t, const struct errmsg *text)
{
	if (strcmp(text->text, t->source_trouble.text) == 0)
		return;
	t->source_trouble = *text;
	for (int32_t i = 0; i < t->slots_n; i++)
		partition_on_source_trouble(t->slots[i]->p);
}

void gone_begin(struct gone *g, struct topic_entry *t)
{
	struct errmsg why;
	t->gone_seen = 0;
	t->gone_since_ms = -1;
	t->gone_told = false;
	g->ask_ms = 0;
	errmsg_set(&why, ERR_OK, "the source does not list topic %s any more", t->source_name);
	trouble(t, &why);
}

void gone_end(struct topic_entry *t)
{
	t->gone_seen = 0;
	t->gone_since_ms = -1;
	t->gone_deleted = false;
	errmsg_set(&t->source_trouble, ERR_OK, "%s", "");
}

/* ---- asking ---- */

/* What the source says of a topic that is asked for by its name. */
static void take_answer(struct gone *g, struct topic_entry *t, enum err e)
{
	struct errmsg why;
	int64_t now = loop_now_ms(g->link->loop);
	if (e == ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION) {
		if (t->gone_seen++ == 0)
			t->gone_since_ms = now;
		errmsg_set(&why, ERR_OK, "topic %s was deleted at the source; waiting for it",
			   t->source_name);
		if (!t->gone_told)
			trouble(t, &why);
		return;
	}
	t->gone_seen = 0;
	t->gone_since_ms = -1;
	t->gone_told = false;
	if (e == ERR_OK) {
		client_metadata_refresh(g->link->source_client);
		return;
	}
	if (e == ERR_KAFKA_TOPIC_AUTHORIZATION_FAILED)
		errmsg_set(&why, e,
			   "the source does not show topic %s to this user "
			   "(TOPIC_AUTHORIZATION_FAILED): Describe and Read on it are needed",
			   t->source_name);
	else
		errmsg_set(&why, e, "the source says of topic %s: %s", t->source_name, err_text(e));
	trouble(t, &why);
}

/* Nothing is sure while the source cannot be asked. */
static void begin_again(struct gone *g)
{
	size_t at = 0;
	void *v;
	while (map_next(g->link->entries, &at, NULL, &v))
		((struct topic_entry *)v)->gone_seen = 0;
}

static void on_answer(void *arg, enum err e, const struct errmsg *why,
		      const struct rpc_reply *reply)
{
	struct gone *g = arg;
	(void)why;
	g->busy = false;
	g->link->calls--;
	arena_fini(&g->arena);
	if (g->link->stopping)
		return;
	if (e != ERR_OK) {
		begin_again(g);
		return;
	}
	const struct metadata_response *r = reply->msg;
	for (int32_t i = 0; i < r->topics_n; i++) {
		struct topic_entry *t = map_get(g->link->entries, r->topics[i].name);
		if (t != NULL && t->gone)
			take_answer(g, t, err_from_kafka(r->topics[i].error_code));
	}
}

/* The next up to GONE_MAX topics that are gone; more are asked about the next time. */
static int32_t gather(struct gone *g, struct metadata_request_metadata_request_topic *topics)
{
	size_t at = 0, i = 0;
	int32_t n = 0;
	void *v;
	while (n < GONE_MAX && map_next(g->link->entries, &at, NULL, &v)) {
		const struct topic_entry *t = v;
		if (!t->gone || i++ < g->after)
			continue;
		topics[n++].name = bytes_str(t->source_name);
	}
	g->after = n == GONE_MAX ? g->after + GONE_MAX : 0;
	return n;
}

static void ask(struct gone *g)
{
	struct link *k = g->link;
	arena_init(&g->arena, 1 << 20);
	wire_init(&wire_metadata_request, &g->ask);
	g->ask.topics =
		wire_array_new(&g->arena, &wire_metadata_request_metadata_request_topic, GONE_MAX);
	if (g->ask.topics != NULL)
		g->ask.topics_n = gather(g, g->ask.topics);
	if (g->ask.topics == NULL || g->ask.topics_n == 0) {
		arena_fini(&g->arena);
		return;
	}
	g->ask.allow_auto_topic_creation = false;
	const struct client_call cc = {
		.node = CLIENT_ANY,
		.channel = CLIENT_CHANNEL_CONTROL,
		.api_key = WIRE_API_METADATA,
		.msg = &g->ask,
		.done = on_answer,
		.arg = g,
	};
	g->busy = true;
	k->calls++;
	client_call(k->source_client, &cc);
}

/* ---- deleting ---- */

/* It stays, and is looked at again after another wait. */
static void keep(struct gone *g, struct topic_entry *t, enum err e, const char *reason)
{
	struct errmsg told;
	errmsg_set(&told, ERR_OK,
		   "topic %s was deleted at the source; its copy is not deleted, as the policy "
		   "would have it: %.200s",
		   t->source_name, reason);
	if (strcmp(told.text, t->source_trouble.text) != 0)
		log_event(loop_log(g->link->loop), LOG_WARN, "topic_not_deleted",
			  LOG_S("link", g->link->config->name), LOG_S("topic", t->source_name),
			  LOG_S("target_topic", t->target_name),
			  LOG_S("error", e == ERR_OK ? "" : err_name(e)), LOG_S("reason", reason));
	t->gone_seen = 0;
	t->gone_told = true;
	trouble(t, &told);
}

static void on_deleted(void *arg, enum err e, const struct errmsg *why,
		       const struct rpc_reply *reply)
{
	struct gone *g = arg;
	struct errmsg text = {""};
	g->busy = false;
	g->link->calls--;
	if (g->link->stopping)
		return;
	if (e == ERR_OK) {
		const struct delete_topics_response *r = reply->msg;
		e = r->responses_n == 1 ? err_from_kafka(r->responses[0].error_code)
					: ERR_MALFORMED;
		errmsg_set(&text, e, "%s", err_text(e));
	} else {
		text = *why;
	}
	struct topic_entry *t = map_get(g->link->entries, bytes_str(g->deleting));
	if (t == NULL)
		return;
	if (e != ERR_OK && e != ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION &&
	    e != ERR_KAFKA_UNKNOWN_TOPIC_ID) {
		keep(g, t, e, text.text);
		return;
	}
	log_event(loop_log(g->link->loop), LOG_WARN, "topic_deleted",
		  LOG_S("link", g->link->config->name), LOG_S("topic", t->source_name),
		  LOG_S("target_topic", t->target_name));
	client_metadata_refresh(g->link->target_client);
	if (!t->gone)
		return;
	struct errmsg told;
	t->gone_deleted = t->gone_told = true;
	errmsg_set(&told, ERR_OK,
		   "topic %s was deleted at the source, and its copy %s too, as the policy says; "
		   "waiting for it",
		   t->source_name, t->target_name);
	trouble(t, &told);
}

/* Did this link write there, and to this very topic? NULL: yes; else why not. */
static const char *not_ours(const struct link *k, const struct topic_entry *t, struct uuid *id)
{
	const struct client_topic *now = client_topic(k->target_client, t->target_name);
	bool wrote = false;
	if (now == NULL || now->error != ERR_OK)
		return "the target does not show it";
	*id = now->id;
	for (int32_t i = 0; i < t->slots_n; i++) {
		const struct slot *s = t->slots[i];
		wrote = wrote || runs_count(s->p->runs) > 0;
		if (!uuid_is_zero(&s->target_id) && !uuid_eq(&s->target_id, id))
			return "it is not the topic that this link filled";
	}
	return wrote ? NULL : "this link wrote nothing there";
}

/* Who pauses a topic, or a part of it, wants nothing of it to change. */
static bool is_held(const struct topic_entry *t)
{
	bool held = t->held != NULL;
	for (int32_t i = 0; i < t->slots_n; i++)
		held = held || t->slots[i]->p->held;
	return held;
}

static bool due(const struct link *k, struct topic_entry *t)
{
	if (!t->gone || t->gone_deleted || !t->env.policy.acts[ON_TOPIC_DELETED] ||
	    (k->config->two_way && !t->env.policy.asked))
		return false;
	if (is_held(t))
		t->gone_seen = 0;
	return t->gone_seen >= SIGHTINGS && client_ready(k->source_client, NULL) > 0 &&
	       loop_now_ms(k->loop) - t->gone_since_ms >= k->config->topic_deleted_wait_ms;
}

static void delete_copy(struct gone *g, struct topic_entry *t, const struct uuid *id)
{
	struct link *k = g->link;
	bool by_id = !uuid_is_zero(id) && client_version(k->target_client, CLIENT_CONTROLLER,
							 WIRE_API_DELETE_TOPICS) >= BY_ID_VERSION;
	wire_init(&wire_delete_topics_request, &g->del);
	if (by_id) {
		g->del_topic.topic_id = *id;
		g->del.topics = &g->del_topic;
		g->del.topics_n = 1;
	} else {
		g->del_name = bytes_str(t->target_name);
		g->del.topic_names = &g->del_name;
		g->del.topic_names_n = 1;
	}
	g->del.timeout_ms = (int32_t)k->config->target->request_timeout_ms;
	snprintf(g->deleting, sizeof g->deleting, "%s", t->source_name);
	const struct client_call cc = {
		.node = CLIENT_CONTROLLER,
		.channel = CLIENT_CHANNEL_CONTROL,
		.api_key = WIRE_API_DELETE_TOPICS,
		.max_version = by_id ? 0 : BY_ID_VERSION - 1,
		.msg = &g->del,
		.done = on_deleted,
		.arg = g,
	};
	g->busy = true;
	k->calls++;
	client_call(k->target_client, &cc);
}

static void on_checked(void *arg, struct topic_entry *t, const struct errmsg *why)
{
	struct gone *g = arg;
	struct uuid id;
	g->busy = false;
	if (!due(g->link, t))
		return;
	if (why->text[0] != '\0')
		keep(g, t, ERR_OK, why->text);
	else if (not_ours(g->link, t, &id) == NULL && uuid_eq(&id, &g->del_id))
		delete_copy(g, t, &id);
}

/* Under equal names both ways the other link's records are there, too: that is what was asked
 * for. */
static void delete_or_keep(struct gone *g, struct topic_entry *t)
{
	const char *why = not_ours(g->link, t, &g->del_id);
	if (why != NULL) {
		keep(g, t, ERR_OK, why);
		return;
	}
	if (g->link->config->two_way) {
		delete_copy(g, t, &g->del_id);
		return;
	}
	g->busy = true;
	if (gone_check(t, on_checked, g) != ERR_OK)
		g->busy = false; /* the next tick */
}

static void delete_next(struct gone *g)
{
	size_t at = 0;
	void *v;
	while (!g->busy && map_next(g->link->entries, &at, NULL, &v))
		if (due(g->link, v))
			delete_or_keep(g, v);
}

void gone_tick(struct gone *g)
{
	int64_t now = loop_now_ms(g->link->loop);
	int64_t every = g->link->config->topic_deleted_wait_ms / (SIGHTINGS + 1);
	every = every > ASK_MAX_MS ? ASK_MAX_MS : every < ASK_MIN_MS ? ASK_MIN_MS : every;
	if (g->busy || g->link->stopping || !g->link->started)
		return;
	delete_next(g);
	if (g->busy)
		return;
	if (client_down_since(g->link->source_client) > 0) {
		begin_again(g);
		return;
	}
	if (now < g->ask_ms)
		return;
	g->ask_ms = now + every;
	ask(g);
}
