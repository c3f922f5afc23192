/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The topics of a link. A scan compares both clusters' metadata and finds, for every topic, the
 * next step:
 *
 *   missing at the target     -> describe the source's configuration, create with the same
 *                                partition count
 *   fewer partitions there    -> create partitions
 *   configuration not known   -> describe both sides, send the differences, learn what the mirror
 *                                must know
 *   all is well               -> tell the owner (on_ready), once per change
 *
 * Steps of one kind are batched into one request (a "job"); one job runs at a time, a scan follows
 * each. A topic whose step failed waits before it is tried again; the others go on.
 */
#include "mirror/clusters/topics.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/map.h"
#include "lib/base/mem.h"
#include "mirror/clusters/topic_configs.h"
#include "mirror/config/naming.h"

enum {
	JOB_TOPICS = 100,
	RETRY_MS = 5 * 1000,
	WATCH_MS = 100, /* how soon to look whether the target has what was just made */
	ARENA_BYTES = 16 << 20,
	TOPIC_RESOURCE = 2,
	DEFAULT_MAX_BATCH = 1048588,
	API_CREATE_TOPICS = 19,
	API_DESCRIBE_CONFIGS = 32,
	API_CREATE_PARTITIONS = 37,
	API_INCREMENTAL_ALTER_CONFIGS = 44,
};

enum step { STEP_NONE, STEP_CREATE, STEP_GROW, STEP_CONFIGS };

struct item {
	char *source_name, *target_name;
	struct uuid source_id;
	int32_t source_partitions;
	uint64_t seen; /* the scan that found it at the source */
	bool gone;
	bool configs_known; /* compacted and target_max_batch are true */
	bool compacted;
	int32_t target_max_batch;
	bool target_stamps;
	uint64_t target_configs;
	int64_t configs_due_ms, retry_ms; /* monotonic */
	struct uuid target_id;
	uint32_t target_made; /* times that the target topic was seen to be made again */
	bool has_problem;
	bool told;
	struct topic_info last_told;
};

/* One batch of steps of one kind under way. */
struct job {
	struct topics *owner;
	enum step step;
	struct item *items[JOB_TOPICS];
	struct topic_configs source[JOB_TOPICS], target[JOB_TOPICS];
	size_t n;
	struct arena arena;
	union {
		struct describe_configs_request describe;
		struct create_topics_request create;
		struct create_partitions_request grow;
		struct incremental_alter_configs_request alter;
	} msg;
};

struct topics {
	struct loop *loop;
	const struct link_config *link;
	struct client *source, *target;
	const struct topics_events *ev;
	void *arg;
	struct topic_filter *filter, *exclude;
	struct map *items; /* by source name */
	struct job *job;
	uint64_t scans;
	bool alter_unsupported;
	struct loop_timer *refresh, *soon;
	struct loop_deferred scan;
};

static void scan(void *arg);

/* ---- life ---- */

static void scan_soon(struct topics *t)
{
	if (!t->scan.pending)
		loop_defer(t->loop, &t->scan);
}

static void on_refresh(void *arg)
{
	struct topics *t = arg;
	client_metadata_refresh(t->source);
	client_metadata_refresh(t->target);
	loop_timer_set(t->refresh, t->link->refresh_topics_ms);
	scan_soon(t);
}

static void on_soon(void *arg)
{
	struct topics *t = arg;
	client_metadata_refresh(t->target);
	scan_soon(t);
}

enum err topics_new(struct loop *l, const struct link_config *link, struct client *source,
		    struct client *target, const struct topics_events *ev, void *arg,
		    struct topics **out, struct errmsg *why)
{
	struct topics *t = mem_zalloc(1, sizeof *t);
	if (t == NULL)
		return errmsg_set(why, ERR_NOMEM, "out of memory");
	t->loop = l;
	t->link = link;
	t->source = source;
	t->target = target;
	t->ev = ev;
	t->arg = arg;
	t->scan = (struct loop_deferred){.fn = scan, .arg = t};
	t->items = map_new();
	t->refresh = loop_timer_new(l, on_refresh, t);
	t->soon = loop_timer_new(l, on_soon, t);
	enum err e = ERR_OK;
	if (t->items == NULL || t->refresh == NULL || t->soon == NULL)
		e = errmsg_set(why, ERR_NOMEM, "out of memory");
	if (e == ERR_OK)
		e = topic_filter_new(link->topics, link->topics_exclude, &t->filter, why);
	if (e == ERR_OK)
		e = topic_filter_new(link->config_exclude, "", &t->exclude, why);
	if (e != ERR_OK) {
		topics_free(t);
		return errmsg_wrap(why, e, "link %s", link->name);
	}
	if (link->refresh_topics)
		loop_timer_set(t->refresh, link->refresh_topics_ms);
	*out = t;
	return ERR_OK;
}

static void item_free(struct item *x)
{
	mem_free(x->source_name);
	mem_free(x->target_name);
	mem_free(x);
}

static void job_free(struct job *j)
{
	arena_fini(&j->arena);
	mem_free(j);
}

void topics_free(struct topics *t)
{
	if (t == NULL)
		return;
	loop_undefer(t->loop, &t->scan);
	loop_timer_free(t->refresh);
	loop_timer_free(t->soon);
	size_t at = 0;
	void *v;
	while (t->items != NULL && map_next(t->items, &at, NULL, &v))
		item_free(v);
	map_free(t->items);
	topic_filter_free(t->filter);
	topic_filter_free(t->exclude);
	/* A job under way frees itself when its answer comes. */
	if (t->job != NULL)
		t->job->owner = NULL;
	mem_free(t);
}

void topics_refresh(struct topics *t)
{
	client_metadata_refresh(t->source);
	client_metadata_refresh(t->target);
}

void topics_on_metadata(struct topics *t)
{
	scan_soon(t);
}

void topics_recheck_config(struct topics *t, const char *source_name)
{
	struct item *x = map_get(t->items, bytes_str(source_name));
	if (x != NULL) {
		x->configs_known = false;
		scan_soon(t);
	}
}

/* ---- problems ---- */

static void item_problem(struct topics *t, struct item *x, enum err e, const struct errmsg *why)
{
	x->retry_ms = loop_now_ms(t->loop) + RETRY_MS;
	loop_timer_set(t->soon, RETRY_MS);
	x->has_problem = true;
	t->ev->on_problem(t->arg, x->source_name, e, why);
}

static void item_well(struct topics *t, struct item *x)
{
	if (!x->has_problem)
		return;
	x->has_problem = false;
	t->ev->on_problem(t->arg, x->source_name, ERR_OK, NULL);
}

static void text_of(struct errmsg *why, const char *what, enum err e, struct bytes message)
{
	if (message.n > 0)
		errmsg_set(why, e, "%s: %s: %.*s", what, err_name(e),
			   (int)(message.n < 200 ? message.n : 200), (const char *)message.p);
	else
		errmsg_set(why, e, "%s: %s", what, err_text(e));
}

/* ---- jobs ---- */

static void job_end(struct job *j)
{
	struct topics *t = j->owner;
	job_free(j);
	if (t != NULL) {
		t->job = NULL;
		scan_soon(t);
	}
}

/* The request of a whole job failed. */
static void job_failed(struct job *j, const char *what, enum err e, const struct errmsg *why)
{
	struct topics *t = j->owner;
	struct errmsg text;
	errmsg_set(&text, e, "%s: %s", what, why != NULL ? why->text : err_text(e));
	for (size_t i = 0; i < j->n; i++)
		item_problem(t, j->items[i], e, &text);
	job_end(j);
}

/* The end of a job's request. True: the answer is there to be read. Else the job is gone, because
 * the request failed or nobody waits for it any more. */
static bool job_answered(struct job *j, const char *what, enum err e, const struct errmsg *why)
{
	if (j->owner == NULL)
		job_free(j);
	else if (e != ERR_OK)
		job_failed(j, what, e, why);
	else
		return true;
	return false;
}

static void job_call(struct job *j, struct client *c, int32_t node, int16_t api, rpc_done *done)
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

static size_t job_find(const struct job *j, struct bytes name, bool source)
{
	for (size_t i = 0; i < j->n; i++)
		if (bytes_eq_str(name,
				 source ? j->items[i]->source_name : j->items[i]->target_name))
			return i;
	return j->n;
}

static enum err build_describe(struct job *j, bool source)
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
static void take_described(struct job *j, const struct describe_configs_response *r, bool source)
{
	struct topics *t = j->owner;
	struct topic_configs *sets = source ? j->source : j->target;
	bool got[JOB_TOPICS] = {false};
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
		item_problem(t, j->items[at], e, why);
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
static struct item *item_answered(struct job *j, struct bytes name, const char *what, int16_t code,
				  struct bytes message)
{
	size_t at = job_find(j, name, false);
	if (at == j->n)
		return NULL;
	enum err e = err_from_kafka(code);
	if (e == ERR_OK)
		return j->items[at];
	struct errmsg why;
	text_of(&why, what, e, message);
	item_problem(j->owner, j->items[at], e, &why);
	return NULL;
}

/* What must be known of the configurations at both ends. */
static void learn(struct topics *t, struct item *x, const struct topic_configs *source,
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
	struct job *j = arg;
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
		const struct item *x =
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
static enum err build_alter(struct job *j)
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
	struct job *j = arg;
	if (!job_answered(j, "describing its configuration at the target", e, why))
		return;
	struct topics *t = j->owner;
	take_described(j, reply->msg, false);
	for (size_t i = 0; i < j->n; i++) {
		learn(t, j->items[i], &j->source[i], &j->target[i]);
		item_well(t, j->items[i]);
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
static void learn_created(struct job *j, struct item *x,
			  const struct create_topics_response_creatable_topic_result *r)
{
	struct topic_configs target;
	x->target_id = r->topic_id;
	if (topic_configs_take_created(&target, r, &j->arena) != ERR_OK || target.n == 0)
		return;
	learn(j->owner, x, &j->source[job_find(j, r->name, false)], &target);
	item_well(j->owner, x);
}

static void created(struct job *j, const struct create_topics_response_creatable_topic_result *r)
{
	struct topics *t = j->owner;
	enum err e = err_from_kafka(r->error_code);
	bool there = e == ERR_KAFKA_TOPIC_ALREADY_EXISTS;
	struct item *x = item_answered(j, r->name, "creating it at the target",
				       there ? 0 : r->error_code, r->error_message);
	if (x == NULL)
		return;
	x->retry_ms = loop_now_ms(t->loop) + WATCH_MS;
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
	struct job *j = arg;
	if (!job_answered(j, "creating it at the target", e, why))
		return;
	struct topics *t = j->owner;
	const struct create_topics_response *r = reply->msg;
	for (int32_t i = 0; i < r->topics_n; i++)
		created(j, &r->topics[i]);
	client_metadata_refresh(t->target);
	if (!loop_timer_armed(t->soon))
		loop_timer_set(t->soon, WATCH_MS);
	job_end(j);
}

static enum err fill_create(struct job *j, struct create_topics_request_creatable_topic *c,
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

static enum err build_create(struct job *j)
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
	struct job *j = arg;
	if (!job_answered(j, "describing its configuration at the source", e, why))
		return;
	struct topics *t = j->owner;
	take_described(j, reply->msg, true);
	if (j->n == 0) {
		job_end(j);
		return;
	}
	e = j->step == STEP_CREATE ? build_create(j) : build_describe(j, false);
	if (e != ERR_OK)
		job_failed(j, "asking about its configuration", e, NULL);
	else if (j->step == STEP_CREATE)
		job_call(j, t->target, CLIENT_CONTROLLER, API_CREATE_TOPICS, on_created);
	else
		job_call(j, t->target, CLIENT_ANY, API_DESCRIBE_CONFIGS, on_target_described);
}

/* ---- growing ---- */

static void on_grown(void *arg, enum err e, const struct errmsg *why, const struct rpc_reply *reply)
{
	struct job *j = arg;
	if (!job_answered(j, "adding partitions at the target", e, why))
		return;
	struct topics *t = j->owner;
	const struct create_partitions_response *r = reply->msg;
	for (int32_t i = 0; i < r->results_n; i++) {
		struct item *x =
			item_answered(j, r->results[i].name, "adding partitions at the target",
				      r->results[i].error_code, r->results[i].error_message);
		if (x != NULL)
			x->retry_ms = loop_now_ms(t->loop) + WATCH_MS;
	}
	client_metadata_refresh(t->target);
	if (!loop_timer_armed(t->soon))
		loop_timer_set(t->soon, WATCH_MS);
	job_end(j);
}

static enum err build_grow(struct job *j)
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

/* ---- the scan ---- */

static struct item *item_get(struct topics *t, const struct client_topic *s)
{
	struct item *x = map_get(t->items, bytes_str(s->name));
	if (x != NULL)
		return x;
	char target[TOPIC_NAME_MAX + 1];
	struct errmsg why;
	if (naming_remote(t->link, s->name, target) != ERR_OK) {
		errmsg_set(&why, ERR_LIMIT,
			   "its name on the target would be longer than %d characters",
			   TOPIC_NAME_MAX);
		t->ev->on_problem(t->arg, s->name, ERR_LIMIT, &why);
		return NULL;
	}
	x = mem_zalloc(1, sizeof *x);
	if (x == NULL)
		return NULL;
	x->source_name = mem_strdup(s->name);
	x->target_name = mem_strdup(target);
	if (x->source_name == NULL || x->target_name == NULL ||
	    client_follow_topic(t->target, target) != ERR_OK ||
	    map_put(t->items, bytes_str(s->name), x) != ERR_OK) {
		item_free(x);
		return NULL;
	}
	client_metadata_refresh(t->target);
	t->ev->on_found(t->arg, x->source_name);
	return x;
}

/* Find what the source has. */
static void scan_source(struct topics *t)
{
	const struct client_topic *const *list;
	size_t n = client_topics(t->source, &list);
	t->scans++;
	for (size_t i = 0; i < n; i++) {
		const struct client_topic *s = list[i];
		if (!naming_should_mirror(t->link, t->filter, s->name))
			continue;
		/* A topic that is there but cannot be read (authorization ...) is not gone. */
		struct item *x =
			s->error == ERR_OK ? item_get(t, s) : map_get(t->items, bytes_str(s->name));
		if (x == NULL)
			continue;
		x->seen = t->scans;
		if (s->error != ERR_OK)
			continue;
		x->gone = false;
		x->source_id = s->id;
		x->source_partitions = s->partitions_n;
	}
	size_t at = 0;
	void *v;
	while (map_next(t->items, &at, NULL, &v)) {
		struct item *x = v;
		if (x->seen == t->scans || x->gone)
			continue;
		x->gone = true;
		x->told = false;
		t->ev->on_gone(t->arg, x->source_name);
	}
}

/* A topic that was just made: its leaders may be a moment away. */
static bool still_coming(const struct item *x, const struct client_topic *g, int64_t now)
{
	for (int32_t i = 0; !x->told && now < x->retry_ms && i < g->partitions_n; i++)
		if (g->partitions[i].leader < 0)
			return true;
	return false;
}

static void tell(struct topics *t, struct item *x, int32_t partitions)
{
	const struct topic_info info = {
		.source_name = x->source_name,
		.target_name = x->target_name,
		.source_id = x->source_id,
		.partitions = partitions,
		.compacted = x->compacted,
		.target_max_batch = x->target_max_batch,
		.target_stamps = x->target_stamps,
		.target_made = x->target_made,
		.target_configs = x->target_configs,
	};
	const struct topic_info *was = &x->last_told;
	if (x->told && was->partitions == partitions && was->compacted == x->compacted &&
	    was->target_max_batch == x->target_max_batch && was->target_made == x->target_made &&
	    was->target_configs == x->target_configs && uuid_eq(&was->source_id, &x->source_id))
		return;
	x->told = true;
	x->last_told = info;
	t->ev->on_ready(t->arg, &info);
}

/* The next step of a topic; tells the owner when there is something ready. */
static enum step item_step(struct topics *t, struct item *x, int64_t now)
{
	const struct client_topic *g = client_topic(t->target, x->target_name);
	if (x->gone || g == NULL)
		return STEP_NONE;
	bool may = now >= x->retry_ms;
	if (g->error == ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION) {
		/* Also what was just made is unknown until the next metadata. */
		if (!may)
			return STEP_NONE;
		if (x->configs_known)
			x->target_made++;
		x->configs_known = false;
		return STEP_CREATE;
	}
	if (g->error != ERR_OK && g->error != ERR_KAFKA_LEADER_NOT_AVAILABLE) {
		struct errmsg why;
		errmsg_set(&why, g->error, "the target says: %s", err_text(g->error));
		if (may)
			item_problem(t, x, g->error, &why);
		return STEP_NONE;
	}
	if (g->partitions_n == 0)
		return STEP_NONE;
	if (!uuid_is_zero(&x->target_id) && !uuid_eq(&x->target_id, &g->id)) {
		x->target_made++;
		x->configs_known = false;
	}
	x->target_id = g->id;
	if (!x->configs_known || (t->link->sync_configs && now >= x->configs_due_ms))
		return may ? STEP_CONFIGS : STEP_NONE;
	if (still_coming(x, g, now))
		return STEP_NONE;
	tell(t, x, x->source_partitions < g->partitions_n ? x->source_partitions : g->partitions_n);
	return x->source_partitions > g->partitions_n && may ? STEP_GROW : STEP_NONE;
}

static void job_start(struct topics *t, struct job *j)
{
	enum err e = ERR_OK;
	t->job = j;
	if (j->step == STEP_GROW) {
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

static struct job *job_new(struct topics *t, enum step step)
{
	struct job *j = mem_zalloc(1, sizeof *j);
	if (j == NULL)
		return NULL;
	j->owner = t;
	j->step = step;
	arena_init(&j->arena, ARENA_BYTES);
	return j;
}

static void scan(void *arg)
{
	struct topics *t = arg;
	int64_t now = loop_now_ms(t->loop);
	if (client_metadata_version(t->source) > 0)
		scan_source(t);
	if (client_metadata_version(t->target) == 0)
		return;
	struct job *jobs[STEP_CONFIGS + 1] = {NULL};
	size_t at = 0;
	void *v;
	while (map_next(t->items, &at, NULL, &v)) {
		struct item *x = v;
		enum step s = item_step(t, x, now);
		if (s == STEP_NONE || t->job != NULL)
			continue;
		if (jobs[s] == NULL)
			jobs[s] = job_new(t, s);
		if (jobs[s] != NULL && jobs[s]->n < JOB_TOPICS)
			jobs[s]->items[jobs[s]->n++] = x;
	}
	for (int s = STEP_CREATE; s <= STEP_CONFIGS; s++) {
		if (jobs[s] == NULL)
			continue;
		if (t->job == NULL)
			job_start(t, jobs[s]);
		else
			job_free(jobs[s]);
	}
}
