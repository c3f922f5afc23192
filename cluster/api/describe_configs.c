/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DescribeConfigs: of topics everything that they have, with its source (ConfigHelper.scala). Of
 * this broker its settings; of all brokers (the empty name) only what was set for them while they
 * run. Groups and subscriptions to clients' metrics have none here, and are asked for by Kafka's
 * tools all the same.
 */
#include <inttypes.h>

#include "cluster/api.h"
#include "cluster/api/broker_settings.h"
#include "cluster/api/changes.h"
#include "cluster/broker.h"
#include "lib/wire/messages.h"

/* ConfigResource.Type. */
enum { TYPE_TOPIC = 2, TYPE_BROKER = 4, TYPE_CLIENT_METRICS = 16, TYPE_GROUP = 32 };

struct describe {
	struct request *r;
	const struct describe_configs_request *in;
	const struct describe_configs_request_describe_configs_resource *asked;
	struct describe_configs_response_describe_configs_result *out;
};

/* No list of names, or an empty one, asks for all. */
static bool is_asked(const struct describe *d, const char *name)
{
	for (int32_t i = 0; i < d->asked->configuration_keys_n; i++)
		if (bytes_eq_str(d->asked->configuration_keys[i], name))
			return true;
	return d->asked->configuration_keys_n <= 0;
}

static bool new_configs(struct describe *d, size_t n)
{
	const struct wire_struct *s =
		&wire_describe_configs_response_describe_configs_resource_result;

	d->out->configs = wire_array_new(&d->r->arena, s, (int32_t)n);
	return d->out->configs != NULL;
}

/* Values point into the metadata and the answer is encoded before they change; the two that are in
 * the chain itself are copied. */
static struct bytes value_of(struct describe *d, const struct config_link *link)
{
	return bytes_str(arena_strndup(&d->r->arena, bytes_str(link->value)));
}

static bool put_synonyms(struct describe *d, const struct config_chain *chain,
			 struct describe_configs_response_describe_configs_resource_result *out)
{
	const struct wire_struct *s = &wire_describe_configs_response_describe_configs_synonym;

	if (!d->in->include_synonyms)
		return true;
	out->synonyms = wire_array_new(&d->r->arena, s, (int32_t)chain->n);
	if (out->synonyms == NULL)
		return false;
	for (size_t i = 0; i < chain->n; i++) {
		struct describe_configs_response_describe_configs_synonym *to =
			&out->synonyms[out->synonyms_n++];
		to->name = bytes_str(chain->links[i].name);
		to->value = value_of(d, &chain->links[i]);
		to->source = (int8_t)chain->links[i].source;
		if (to->value.p == NULL)
			return false;
	}
	return true;
}

static bool put_chain(struct describe *d, const char *name, const struct topic_config *tc,
		      const struct config_chain *chain)
{
	struct describe_configs_response_describe_configs_resource_result *out =
		&d->out->configs[d->out->configs_n++];

	out->name = bytes_str(name);
	out->value = value_of(d, &chain->links[0]);
	out->config_source = (int8_t)chain->links[0].source;
	out->config_type = (int8_t)tc->type;
	out->documentation = d->in->include_documentation ? bytes_str(tc->doc) : bytes_of(NULL, 0);
	return out->value.p != NULL && put_synonyms(d, chain, out);
}

/* ---- a topic ---- */

static enum err describe_topic(struct describe *d, struct errmsg *why)
{
	struct bytes name = d->asked->resource_name;
	const struct topic *t = metadata_topic(broker_metadata(d->r->broker), name);
	enum err e = metadata_check_name(name, why);
	size_t n;
	const struct topic_config *all = topic_config_all(&n);

	if (e != ERR_OK)
		return e;
	if (t == NULL)
		return errmsg_set(why, ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
				  "The topic '%.*s' does not exist.", (int)name.n,
				  (const char *)name.p);
	if (!new_configs(d, n))
		return ERR_NOMEM;
	for (size_t i = 0; i < n; i++) {
		struct config_chain chain;
		if (!is_asked(d, all[i].name))
			continue;
		config_chain_of(d->r->broker, &all[i], map_get(t->configs, bytes_str(all[i].name)),
				&chain);
		if (!put_chain(d, all[i].name, &all[i], &chain))
			return ERR_NOMEM;
	}
	return ERR_OK;
}

/* ---- the broker ---- */

/* The one link of a read-only setting. */
static bool put_setting(struct describe *d, const struct broker_setting *s)
{
	struct config_chain chain = {.n = 0};

	if (s->topic != NULL) {
		config_chain_of(d->r->broker, s->topic, NULL, &chain);
		return put_chain(d, s->name, s->topic, &chain);
	}
	struct describe_configs_response_describe_configs_resource_result *out =
		&d->out->configs[d->out->configs_n++];
	out->name = bytes_str(s->name);
	out->value = bytes_str(s->value);
	out->read_only = s->read_only;
	out->is_sensitive = s->sensitive;
	out->config_source = (int8_t)s->source;
	out->config_type = s->type;
	out->documentation = d->in->include_documentation ? bytes_str(s->doc) : bytes_of(NULL, 0);
	if (s->value == NULL)
		return true;
	chain.links[chain.n++] = (struct config_link){s->name, s->value, s->source};
	return put_synonyms(d, &chain, out);
}

static enum err describe_settings(struct describe *d)
{
	size_t n;
	const struct broker_setting *all = broker_settings_all(d->r->broker, &d->r->arena, &n);

	if (all == NULL || !new_configs(d, n))
		return ERR_NOMEM;
	for (size_t i = 0; i < n; i++)
		if (is_asked(d, all[i].name) && !put_setting(d, &all[i]))
			return ERR_NOMEM;
	return ERR_OK;
}

/* What was set for all brokers. */
static enum err describe_cluster_default(struct describe *d)
{
	const struct map *set = metadata_broker_configs(broker_metadata(d->r->broker), true);
	size_t n;
	const struct topic_config *all = topic_config_all(&n);

	if (!new_configs(d, n))
		return ERR_NOMEM;
	for (size_t i = 0; i < n; i++) {
		const char *name = all[i].broker;
		const char *value = name == NULL ? NULL : map_get(set, bytes_str(name));
		if (value == NULL || !is_asked(d, name))
			continue;
		const struct config_chain chain = {
			.links = {{name, value, CONFIG_SOURCE_CLUSTER}},
			.n = 1,
		};
		if (!put_chain(d, name, &all[i], &chain))
			return ERR_NOMEM;
	}
	return ERR_OK;
}

static enum err describe_broker(struct describe *d, struct errmsg *why)
{
	struct bytes id = d->asked->resource_name;
	int32_t self = broker_config(d->r->broker)->node_id;
	bool digits = id.n <= 10;
	int64_t node = 0;

	if (id.n == 0)
		return describe_cluster_default(d);
	for (size_t i = 0; i < id.n && digits; i++) {
		digits = id.p[i] >= '0' && id.p[i] <= '9';
		node = node * 10 + (id.p[i] - '0');
	}
	if (!digits)
		return errmsg_set(why, ERR_KAFKA_INVALID_REQUEST,
				  "Broker id must be an integer, but it is: %.*s",
				  (int)(id.n < 100 ? id.n : 100), (const char *)id.p);
	if (node != self)
		return errmsg_set(why, ERR_KAFKA_INVALID_REQUEST,
				  "Unexpected broker id, expected %" PRId32
				  " or empty string, but received %" PRId64,
				  self, node);
	return describe_settings(d);
}

/* ---- what has no configurations ---- */

static enum err describe_none(const struct describe *d, const char *what, struct errmsg *why)
{
	if (d->asked->resource_name.n > 0)
		return ERR_OK;
	return errmsg_set(why, ERR_KAFKA_INVALID_REQUEST, "%s name must not be empty", what);
}

/* ---- the request ---- */

/* False when memory ran out. */
static bool describe_one(struct describe *d)
{
	struct errmsg why = {0};
	enum err e;

	d->out->resource_type = d->asked->resource_type;
	d->out->resource_name = d->asked->resource_name;
	if (d->asked->resource_type == TYPE_TOPIC)
		e = describe_topic(d, &why);
	else if (d->asked->resource_type == TYPE_BROKER)
		e = describe_broker(d, &why);
	else if (d->asked->resource_type == TYPE_GROUP)
		e = describe_none(d, "Group", &why);
	else if (d->asked->resource_type == TYPE_CLIENT_METRICS)
		e = describe_none(d, "Client metrics subscription", &why);
	else
		e = errmsg_set(&why, ERR_KAFKA_INVALID_REQUEST,
			       "This broker has no configurations of resource type %d",
			       d->asked->resource_type);
	d->out->error_code = err_to_kafka(e);
	if (e != ERR_OK) /* else the empty text, as Kafka has it */
		d->out->error_message = changes_text(d->r, e, &why);
	return e != ERR_NOMEM;
}

void api_describe_configs(struct request *r)
{
	const struct describe_configs_request *in = r->msg;
	const struct wire_struct *s = &wire_describe_configs_response_describe_configs_result;
	struct describe_configs_response *out = request_response(r);
	bool ok = out != NULL;

	if (ok)
		out->results = wire_array_new(&r->arena, s, in->resources_n);
	ok = ok && out->results != NULL;
	for (int32_t i = 0; i < in->resources_n && ok; i++) {
		struct describe d = {r, in, &in->resources[i], &out->results[out->results_n++]};
		ok = describe_one(&d);
	}
	if (ok)
		request_answer(r, out);
	else
		request_no_memory(r);
}
