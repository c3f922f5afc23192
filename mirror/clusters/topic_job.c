/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is asked of the clusters about a link's topics: their configurations, creation, growth. A
 * job is one batch of steps of one kind, and ends with a scan.
 */
#include <stdlib.h>

#include "lib/base/mem.h"
#include "mirror/clusters/topic_configs.h"
#include "mirror/clusters/topics_priv.h"

enum {
	ARENA_BYTES = 16 << 20,
	TOPIC_RESOURCE = 2,
	DEFAULT_MAX_BATCH = 1048588,
	API_CREATE_TOPICS = 19,
	API_DESCRIBE_CONFIGS = 32,
	API_CREATE_PARTITIONS = 37,
	API_INCREMENTAL_ALTER_CONFIGS = 44,
};

struct topic_job *topic_job_new(struct topics *t, enum topic_step step)
{
	struct topic_job *j = mem_zalloc(1, sizeof *j);
	if (j == NULL)
		return NULL;
	j->owner = t;
	j->step = step;
	arena_init(&j->arena, ARENA_BYTES);
	return j;
}

void topic_job_free(struct topic_job *j)
{
	arena_fini(&j->arena);
	mem_free(j);
}

static void text_of(struct errmsg *why, const char *what, enum err e, struct bytes message)
{
	if (message.n > 0)
		errmsg_set(why, e, "%s: %s: %.*s", what, err_name(e),
			   (int)(message.n < 200 ? message.n : 200), (const char *)message.p);
	else
		errmsg_set(why, e, "%s: %s", what, err_text(e));
}

static void job_end(struct topic_job *j)
{
	struct topics *t = j->owner;
	topic_job_free(j);
	if (t != NULL) {
		t->job = NULL;
		topics_scan_soon(t);
	}
}

/* The request of a whole job failed. */
static void job_failed(struct topic_job *j, const char *what, enum err e, const struct errmsg *why)
{
	struct topics *t = j->owner;
	struct errmsg text;
	errmsg_set(&text, e, "%s: %s", what, why != NULL ? why->text : err_text(e));
	for (size_t i = 0; i < j->n; i++)
		topics_problem(t, j->items[i], e, &text);
	job_end(j);
}

/* The end of a job's request. True: the answer is there to be read. Else the job is gone, because
 * the request failed or nobody waits for it any more. */
static bool job_answered(struct topic_job *j, const char *what, enum err e,
			 const struct errmsg *why)
{
	if (j->owner == NULL)
		topic_job_free(j);
	else if (e != ERR_OK)
		job_failed(j, what, e, why);
	else
		return true;
	return false;
}

static void job_call(struct topic_job *j, struct client *c, int32_t node, int16_t api,
		     rpc_done *done)
{
	const struct client_call cc = {
		.node = node,
		.channel = CLIENT_CHANNEL_CONTROL,
		.api_key = api,
		.msg = &j->msg,
		.done = done,
		.arg = j,
	};
	client_call(c, &cc);
}

static size_t job_find(const struct topic_job *j, struct bytes name, bool source)
{
	for (size_t i = 0; i < j->n; i++)
		if (bytes_eq_str(name,
				 source ? j->items[i]->source_name : j->items[i]->target_name))
			return i;
	return j->n;
}

static enum err build_describe(struct topic_job *j, bool source)
{
	wire_init(&wire_describe_configs_request, &j->msg.describe);
	struct describe_configs_request_describe_configs_resource *r = wire_array_new(
		&j->arena, &wire_describe_configs_request_describe_configs_resource, (int32_t)j->n);
	if (r == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < j->n; i++) {
		r[i].resource_type = TOPIC_RESOURCE;
		r[i].resource_name =
			bytes_str(source ? j->items[i]->source_name : j->items[i]->target_name);
		r[i].configuration_keys_n = -1;
	}
	j->msg.describe.resources = r;
	j->msg.describe.resources_n = (int32_t)j->n;
	return ERR_OK;
}

/* Take the answer's configurations; a topic that could not be described is taken out of the job. */
static void take_described(struct topic_job *j, const struct describe_configs_response *r,
			   bool source)
{
	struct topics *t = j->owner;
	struct topic_configs *sets = source ? j->source : j->target;
	bool got[TOPIC_JOB_MAX] = {false};
	struct errmsg why[1];

	for (int32_t i = 0; i < r->results_n; i++) {
		size_t at = job_find(j, r->results[i].resource_name, source);
		if (at == j->n || got[at])
			continue;
		enum err e = err_from_kafka(r->results[i].error_code);
		if (e == ERR_OK)
			e = topic_configs_take(&sets[at], &r->results[i], &j->arena);
		if (e == ERR_OK) {
			got[at] = true;
			continue;
		}
		text_of(why,
			source ? "describing its configuration at the source"
			       : "describing its configuration at the target",
			e, r->results[i].error_message);
		topics_problem(t, j->items[at], e, why);
	}
	size_t n = 0;
	for (size_t i = 0; i < j->n; i++) {
		if (!got[i])
			continue;
		j->items[n] = j->items[i];
		j->source[n] = j->source[i];
		j->target[n] = j->target[i];
		n++;
	}
	j->n = n;
}

/* What one entry of an answer says of its topic: a refusal is the topic's problem. The item, if it
 * went well. */
static struct topic_item *item_answered(struct topic_job *j, struct bytes name, const char *what,
					int16_t code, struct bytes message)
{
	size_t at = job_find(j, name, false);
	if (at == j->n)
		return NULL;
	enum err e = err_from_kafka(code);
	if (e == ERR_OK)
		return j->items[at];
	struct errmsg why;
	text_of(&why, what, e, message);
	topics_problem(j->owner, j->items[at], e, &why);
	return NULL;
}

/* What must be known of the configurations at both ends. */
static void learn(struct topics *t, struct topic_item *x, const struct topic_configs *source,
		  const struct topic_configs *target)
{
	const char *policy = topic_configs_value(source, "cleanup.policy");
	const char *max = topic_configs_value(target, "max.message.bytes");
	/* Not told: assume the harder case. */
	x->compacted = policy == NULL || strstr(policy, "compact") != NULL;
	long long bytes = max == NULL ? 0 : strtoll(max, NULL, 10);
	x->target_max_batch = bytes > 0 && bytes <= INT32_MAX ? (int32_t)bytes : DEFAULT_MAX_BATCH;
	const char *stamps = topic_configs_value(target, "message.timestamp.type");
	x->target_stamps = stamps != NULL && strcmp(stamps, "LogAppendTime") == 0;
	x->target_configs = topic_configs_print(target);
	x->configs_known = true;
	x->configs_due_ms = loop_now_ms(t->loop) + t->link->sync_configs_ms;
}

/* ---- configuration of topics that exist on both sides ---- */

static void on_altered(void *arg, enum err e, const struct errmsg *why,
		       const struct rpc_reply *reply)
{
	struct topic_job *j = arg;
	if (e == ERR_UNSUPPORTED && j->owner != NULL) {
		j->owner->alter_unsupported = true;
		job_end(j);
		return;
	}
	if (!job_answered(j, "changing its configuration at the target", e, why))
		return;
	struct topics *t = j->owner;
	const struct incremental_alter_configs_response *r = reply->msg;
	for (int32_t i = 0; i < r->responses_n; i++) {
		const struct topic_item *x =
			item_answered(j, r->responses[i].resource_name,
				      "changing its configuration at the target",
				      r->responses[i].error_code, r->responses[i].error_message);
		if (x != NULL)
			log_event(loop_log(t->loop), LOG_INFO, "topic_config_changed",
				  LOG_S("link", t->link->name), LOG_S("topic", x->source_name),
				  LOG_S("target_topic", x->target_name));
	}
	job_end(j);
}

/* The differences of all topics of the job; *changed topics stay in the job. */
static enum err build_alter(struct topic_job *j)
{
	struct topics *t = j->owner;
	const struct config_rules rules = {.exclude = t->exclude,
					   .defaults_from_source = t->link->defaults_from_source};
	wire_init(&wire_incremental_alter_configs_request, &j->msg.alter);
	struct incremental_alter_configs_request_alter_configs_resource *res = wire_array_new(
		&j->arena, &wire_incremental_alter_configs_request_alter_configs_resource,
		(int32_t)j->n);
	if (res == NULL)
		return ERR_NOMEM;
	size_t changed = 0;
	for (size_t i = 0; i < j->n; i++) {
		struct config_change *d = arena_zalloc(&j->arena, j->source[i].n, sizeof *d);
		if (d == NULL)
			return ERR_NOMEM;
		size_t n = topic_configs_diff(&j->source[i], &j->target[i], &rules, d);
		if (n == 0)
			continue;
		struct incremental_alter_configs_request_alterable_config *c = wire_array_new(
			&j->arena, &wire_incremental_alter_configs_request_alterable_config,
			(int32_t)n);
		if (c == NULL)
			return ERR_NOMEM;
		for (size_t k = 0; k < n; k++) {
			c[k].name = bytes_str(d[k].name);
			c[k].config_operation = d[k].op;
			c[k].value = bytes_str(d[k].value);
		}
		res[changed].resource_type = TOPIC_RESOURCE;
		res[changed].resource_name = bytes_str(j->items[i]->target_name);
		res[changed].configs = c;
		res[changed].configs_n = (int32_t)n;
		j->items[changed++] = j->items[i];
	}
	j->n = changed;
	j->msg.alter.resources = res;
	j->msg.alter.resources_n = (int32_t)changed;
	return ERR_OK;
}

static void on_target_described(void *arg, enum err e, const struct errmsg *why,
				const struct rpc_reply *reply)
{
	struct topic_job *j = arg;
	if (!job_answered(j, "describing its configuration at the target", e, why))
		return;
	struct topics *t = j->owner;
	take_described(j, reply->msg, false);
	for (size_t i = 0; i < j->n; i++) {
		learn(t, j->items[i], &j->source[i], &j->target[i]);
		topics_well(t, j->items[i]);
	}
	if (!t->link->sync_configs || t->alter_unsupported) {
		job_end(j);
		return;
	}
	e = build_alter(j);
	if (e != ERR_OK)
		job_failed(j, "comparing configurations", e, NULL);
	else if (j->n == 0)
		job_end(j);
	else
		job_call(j, t->target, CLIENT_CONTROLLER, API_INCREMENTAL_ALTER_CONFIGS,
			 on_altered);
}

/* ---- creation ---- */

/* A new topic has the settings that it was made with, and since KIP-525 the answer tells them all:
 * there is nothing to ask, nothing to compare. */
static void learn_created(struct topic_job *j, struct topic_item *x,
			  const struct create_topics_response_creatable_topic_result *r)
{
	struct topic_configs target;
	x->target_id = r->topic_id;
	if (topic_configs_take_created(&target, r, &j->arena) != ERR_OK || target.n == 0)
		return;
	learn(j->owner, x, &j->source[job_find(j, r->name, false)], &target);
	topics_well(j->owner, x);
}

static void created(struct topic_job *j,
		    const struct create_topics_response_creatable_topic_result *r)
{
	struct topics *t = j->owner;
	enum err e = err_from_kafka(r->error_code);
	bool there = e == ERR_KAFKA_TOPIC_ALREADY_EXISTS;
	struct topic_item *x = item_answered(j, r->name, "creating it at the target",
					     there ? 0 : r->error_code, r->error_message);
	if (x == NULL)
		return;
	x->retry_ms = loop_now_ms(t->loop) + TOPICS_WATCH_MS;
	if (there)
		return;
	learn_created(j, x, r);
	log_event(loop_log(t->loop), LOG_INFO, "topic_created", LOG_S("link", t->link->name),
		  LOG_S("topic", x->source_name), LOG_S("target_topic", x->target_name),
		  LOG_I("partitions", x->source_partitions));
}

static void on_created(void *arg, enum err e, const struct errmsg *why,
		       const struct rpc_reply *reply)
{
	struct topic_job *j = arg;
	if (!job_answered(j, "creating it at the target", e, why))
		return;
	struct topics *t = j->owner;
	const struct create_topics_response *r = reply->msg;
	for (int32_t i = 0; i < r->topics_n; i++)
		created(j, &r->topics[i]);
	client_metadata_refresh(t->target);
	if (!loop_timer_armed(t->soon))
		loop_timer_set(t->soon, TOPICS_WATCH_MS);
	job_end(j);
}

static enum err fill_create(struct topic_job *j, struct create_topics_request_creatable_topic *c,
			    size_t i)
{
	struct topics *t = j->owner;
	const struct config_rules rules = {.exclude = t->exclude,
					   .defaults_from_source = t->link->defaults_from_source};
	c->name = bytes_str(j->items[i]->target_name);
	c->num_partitions = j->items[i]->source_partitions;
	c->replication_factor = t->link->replication_factor;
	struct config_change *d = arena_zalloc(&j->arena, j->source[i].n, sizeof *d);
	if (d == NULL)
		return ERR_NOMEM;
	size_t n = t->link->sync_configs ? topic_configs_diff(&j->source[i], NULL, &rules, d) : 0;
	c->configs = wire_array_new(&j->arena, &wire_create_topics_request_creatable_topic_config,
				    (int32_t)n);
	if (c->configs == NULL)
		return ERR_NOMEM;
	for (size_t k = 0; k < n; k++) {
		if (d[k].op != CONFIG_OP_SET)
			continue;
		c->configs[c->configs_n].name = bytes_str(d[k].name);
		c->configs[c->configs_n++].value = bytes_str(d[k].value);
	}
	return ERR_OK;
}

static enum err build_create(struct topic_job *j)
{
	wire_init(&wire_create_topics_request, &j->msg.create);
	struct create_topics_request_creatable_topic *c = wire_array_new(
		&j->arena, &wire_create_topics_request_creatable_topic, (int32_t)j->n);
	if (c == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < j->n; i++)
		if (fill_create(j, &c[i], i) != ERR_OK)
			return ERR_NOMEM;
	j->msg.create.topics = c;
	j->msg.create.topics_n = (int32_t)j->n;
	return ERR_OK;
}

static void on_source_described(void *arg, enum err e, const struct errmsg *why,
				const struct rpc_reply *reply)
{
	struct topic_job *j = arg;
	if (!job_answered(j, "describing its configuration at the source", e, why))
		return;
	struct topics *t = j->owner;
	take_described(j, reply->msg, true);
	if (j->n == 0) {
		job_end(j);
		return;
	}
	e = j->step == TOPIC_STEP_CREATE ? build_create(j) : build_describe(j, false);
	if (e != ERR_OK)
		job_failed(j, "asking about its configuration", e, NULL);
	else if (j->step == TOPIC_STEP_CREATE)
		job_call(j, t->target, CLIENT_CONTROLLER, API_CREATE_TOPICS, on_created);
	else
		job_call(j, t->target, CLIENT_ANY, API_DESCRIBE_CONFIGS, on_target_described);
}

/* ---- growing ---- */

static void on_grown(void *arg, enum err e, const struct errmsg *why, const struct rpc_reply *reply)
{
	struct topic_job *j = arg;
	if (!job_answered(j, "adding partitions at the target", e, why))
		return;
	struct topics *t = j->owner;
	const struct create_partitions_response *r = reply->msg;
	for (int32_t i = 0; i < r->results_n; i++) {
		struct topic_item *x =
			item_answered(j, r->results[i].name, "adding partitions at the target",
				      r->results[i].error_code, r->results[i].error_message);
		if (x != NULL)
			x->retry_ms = loop_now_ms(t->loop) + TOPICS_WATCH_MS;
	}
	client_metadata_refresh(t->target);
	if (!loop_timer_armed(t->soon))
		loop_timer_set(t->soon, TOPICS_WATCH_MS);
	job_end(j);
}

static enum err build_grow(struct topic_job *j)
{
	wire_init(&wire_create_partitions_request, &j->msg.grow);
	struct create_partitions_request_create_partitions_topic *c = wire_array_new(
		&j->arena, &wire_create_partitions_request_create_partitions_topic, (int32_t)j->n);
	if (c == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < j->n; i++) {
		c[i].name = bytes_str(j->items[i]->target_name);
		c[i].count = j->items[i]->source_partitions;
		c[i].assignments_n = -1;
	}
	j->msg.grow.topics = c;
	j->msg.grow.topics_n = (int32_t)j->n;
	j->msg.grow.timeout_ms = (int32_t)j->owner->link->target->request_timeout_ms;
	return ERR_OK;
}

/* ---- the start ---- */

void topic_job_start(struct topics *t, struct topic_job *j)
{
	enum err e = ERR_OK;
	t->job = j;
	if (j->step == TOPIC_STEP_GROW) {
		e = build_grow(j);
		if (e == ERR_OK)
			job_call(j, t->target, CLIENT_CONTROLLER, API_CREATE_PARTITIONS, on_grown);
	} else {
		e = build_describe(j, true);
		if (e == ERR_OK)
			job_call(j, t->source, CLIENT_ANY, API_DESCRIBE_CONFIGS,
				 on_source_described);
	}
	if (e != ERR_OK)
		job_failed(j, "asking", e, NULL);
}
