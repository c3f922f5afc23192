/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks at the client's metadata for the topic, asks for its creation if it is not there, looks
 * again. At most one creation and one write are under way.
 */
#include "mirror/clusters/own_topic.h"

#include <assert.h>
#include <stdio.h>

#include "lib/base/mem.h"
#include "mirror/config/naming.h"

enum {
	RETRY_MS = 5 * 1000,
	WATCH_MS = 100, /* how soon to look whether the cluster has what was just made */
	SETTINGS_MAX = 8,
	REASON_MAX = 200,
	PRODUCE_VERSION_NAMES = 12, /* the last one that names topics, not ids */
};

const struct own_topic_setting own_topic_compacted[OWN_TOPIC_COMPACTED_N] = {
	{"cleanup.policy", "compact"},
	{"segment.bytes", "16777216"},
};

struct own_topic {
	struct loop *loop;
	struct own_topic_options o;
	char name[TOPIC_NAME_MAX + 1];

	bool wanted, asked, stopped;
	uint64_t metadata; /* the client's version when it began to be wanted */
	int64_t since_ms;  /* monotonic, when that was */
	int64_t retry_ms;  /* monotonic: no creation, and no telling why not, before */
	struct loop_timer *timer;
	own_topic_done *ensured;
	void *ensured_arg;
	struct create_topics_request create;
	struct create_topics_request_creatable_topic create_topic;
	struct create_topics_request_creatable_topic_config create_settings[SETTINGS_MAX];

	bool writing;
	own_topic_done *written;
	void *written_arg;
	struct produce_request produce;
	struct produce_request_topic_produce_data topic_data;
	struct produce_request_partition_produce_data partition_data;
};

static void look(void *arg);

enum err own_topic_new(struct loop *l, const struct own_topic_options *o, struct own_topic **out)
{
	assert(o->settings_n <= SETTINGS_MAX);
	if (strlen(o->name) > TOPIC_NAME_MAX)
		return ERR_LIMIT;
	struct own_topic *t = mem_zalloc(1, sizeof *t);
	if (t == NULL)
		return ERR_NOMEM;
	t->loop = l;
	t->o = *o;
	snprintf(t->name, sizeof t->name, "%s", o->name);
	t->o.name = t->name;
	t->timer = loop_timer_new(l, look, t);
	if (t->timer == NULL || client_follow_topic(o->client, t->name) != ERR_OK) {
		own_topic_free(t);
		return ERR_NOMEM;
	}
	*out = t;
	return ERR_OK;
}

void own_topic_stop(struct own_topic *t)
{
	if (t == NULL)
		return;
	t->stopped = true;
	loop_timer_stop(t->timer);
}

void own_topic_free(struct own_topic *t)
{
	if (t == NULL)
		return;
	assert(!t->asked && !t->writing);
	loop_timer_free(t->timer);
	mem_free(t);
}

const char *own_topic_name(const struct own_topic *t)
{
	return t->name;
}

/* ---- creation ---- */

static void refused(struct own_topic *t, enum err e, struct bytes message)
{
	struct errmsg why;
	if (message.n == 0)
		message = bytes_str(err_text(e));
	t->retry_ms = loop_now_ms(t->loop) + RETRY_MS;
	log_event(loop_log(t->loop), LOG_WARN, "internal_topic_not_ready", LOG_S("link", t->o.link),
		  LOG_S("cluster", client_name(t->o.client)), LOG_S("topic", t->name),
		  LOG_S("error", err_name(e)), LOG_B("reason", message));
	errmsg_set(&why, e, "not ready: %.*s",
		   (int)(message.n < REASON_MAX ? message.n : REASON_MAX), (const char *)message.p);
	if (t->o.refused != NULL)
		t->o.refused(t->o.arg, e, &why);
}

static void on_created(void *arg, enum err e, const struct errmsg *why,
		       const struct rpc_reply *reply)
{
	struct own_topic *t = arg;
	struct bytes message = bytes_str(why != NULL ? why->text : NULL);
	t->asked = false;
	if (e == ERR_CANCELED || t->stopped)
		return;
	if (e == ERR_OK) {
		const struct create_topics_response *r = reply->msg;
		e = r->topics_n == 1 ? err_from_kafka(r->topics[0].error_code) : ERR_MALFORMED;
		message = r->topics_n == 1 ? r->topics[0].error_message : message;
		if (e != ERR_OK && e != ERR_KAFKA_TOPIC_ALREADY_EXISTS)
			refused(t, e, message);
	} else {
		/* A cluster that is not there is told by others. */
		t->retry_ms = loop_now_ms(t->loop) + WATCH_MS;
	}
	client_metadata_refresh(t->o.client);
	loop_timer_set(t->timer, WATCH_MS);
}

static void create(struct own_topic *t)
{
	wire_init(&wire_create_topics_request, &t->create);
	for (size_t i = 0; i < t->o.settings_n; i++)
		t->create_settings[i] = (struct create_topics_request_creatable_topic_config){
			.name = bytes_str(t->o.settings[i].name),
			.value = bytes_str(t->o.settings[i].value)};
	t->create_topic = (struct create_topics_request_creatable_topic){
		.name = bytes_str(t->name),
		.num_partitions = 1,
		.replication_factor = t->o.replication_factor,
		.configs = t->create_settings,
		.configs_n = (int32_t)t->o.settings_n,
	};
	t->create.topics = &t->create_topic;
	t->create.topics_n = 1;
	t->create.timeout_ms = (int32_t)t->o.timeout_ms;
	const struct client_call cc = {
		.node = CLIENT_CONTROLLER,
		.channel = CLIENT_CHANNEL_CONTROL,
		.api_key = WIRE_API_CREATE_TOPICS,
		.msg = &t->create,
		.done = on_created,
		.arg = t,
	};
	t->asked = true;
	client_call(t->o.client, &cc);
}

/* A client that follows all topics does not have one that is not there. Of two answers since it is
 * wanted the first may have been on its way. */
static bool is_missing(const struct own_topic *t, const struct client_topic *g)
{
	if (g == NULL)
		return client_metadata_version(t->o.client) >= t->metadata + 2;
	return g->error == ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
}

/* It is there and cannot be used. Who may not see it stays so until somebody acts; what a cluster
 * mends by itself is told when that takes long. */
static void tell_unusable(struct own_topic *t, const struct client_topic *g)
{
	int64_t now = loop_now_ms(t->loop);
	enum err e = g->error != ERR_OK ? g->error : ERR_NO_LEADER;
	const char *text = "";
	if (now < t->retry_ms || (err_retriable(e) && now < t->since_ms + RETRY_MS))
		return;
	if (e == ERR_KAFKA_TOPIC_AUTHORIZATION_FAILED)
		text = "TOPIC_AUTHORIZATION_FAILED: this user needs Describe, Read and Write on "
		       "it, and Create until it is there";
	refused(t, e, bytes_str(text));
}

/* The next step towards a topic with a leader. */
static void look(void *arg)
{
	struct own_topic *t = arg;
	if (!t->wanted || t->asked || t->stopped)
		return;
	const struct client_topic *g = client_topic(t->o.client, t->name);
	if (g != NULL && g->error == ERR_OK && g->partitions_n > 0 &&
	    g->partitions[0].leader >= 0) {
		const struct errmsg none = {""};
		t->wanted = false;
		loop_timer_stop(t->timer);
		t->ensured(t->ensured_arg, ERR_OK, &none);
		return;
	}
	bool missing = is_missing(t, g);
	if (missing && loop_now_ms(t->loop) >= t->retry_ms) {
		create(t);
		return;
	}
	if (!missing && g != NULL)
		tell_unusable(t, g);
	client_metadata_refresh(t->o.client);
	loop_timer_set(t->timer, WATCH_MS);
}

void own_topic_on_metadata(struct own_topic *t)
{
	if (t->wanted && !t->asked && !t->stopped)
		loop_timer_set(t->timer, 0);
}

void own_topic_ensure(struct own_topic *t, own_topic_done *done, void *arg)
{
	if (t->stopped)
		return;
	t->ensured = done;
	t->ensured_arg = arg;
	t->wanted = true;
	t->metadata = client_metadata_version(t->o.client);
	t->since_ms = loop_now_ms(t->loop);
	if (!t->asked)
		loop_timer_set(t->timer, 0);
}

void own_topic_leave(struct own_topic *t)
{
	t->wanted = false;
}

/* ---- writing ---- */

static void on_produced(void *arg, enum err e, const struct errmsg *why,
			const struct rpc_reply *reply)
{
	struct own_topic *t = arg;
	struct errmsg text = {""};
	t->writing = false;
	if (e == ERR_OK) {
		const struct produce_response *r = reply->msg;
		e = r->responses_n == 1 && r->responses[0].partition_responses_n == 1
			    ? err_from_kafka(r->responses[0].partition_responses[0].error_code)
			    : ERR_MALFORMED;
		if (e != ERR_OK)
			errmsg_set(&text, e, "%s", err_text(e));
	} else {
		text = *why;
	}
	if (e != ERR_OK && e != ERR_CANCELED && !t->stopped)
		client_metadata_refresh(t->o.client);
	t->written(t->written_arg, e, &text);
}

void own_topic_produce(struct own_topic *t, struct bytes batch, own_topic_done *done, void *arg)
{
	assert(!t->writing && !t->stopped);
	const struct client_topic *g = client_topic(t->o.client, t->name);
	wire_init(&wire_produce_request, &t->produce);
	t->produce.acks = -1;
	t->produce.timeout_ms = (int32_t)t->o.timeout_ms;
	t->produce.topic_data = &t->topic_data;
	t->produce.topic_data_n = 1;
	t->topic_data =
		(struct produce_request_topic_produce_data){.name = bytes_str(t->name),
							    .partition_data = &t->partition_data,
							    .partition_data_n = 1};
	t->partition_data =
		(struct produce_request_partition_produce_data){.records = {.data = batch}};
	const struct client_call cc = {
		.node = g != NULL && g->partitions_n > 0 ? g->partitions[0].leader : CLIENT_ANY,
		.channel = CLIENT_CHANNEL_CONTROL,
		.api_key = WIRE_API_PRODUCE,
		.max_version = PRODUCE_VERSION_NAMES,
		.msg = &t->produce,
		.done = on_produced,
		.arg = t,
	};
	t->writing = true;
	t->written = done;
	t->written_arg = arg;
	client_call(t->o.client, &cc);
}
