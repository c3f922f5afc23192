/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ListConfigResources (KIP-1142): what DescribeConfigs can be asked about. Version 0 asks for
 * client metrics subscriptions only, which this broker does not have.
 */
#include <inttypes.h>
#include <stdio.h>

#include "cluster/api.h"
#include "cluster/broker.h"
#include "lib/wire/messages.h"

/* ConfigResource.Type. */
enum {
	TYPE_TOPIC = 2,
	TYPE_BROKER = 4,
	TYPE_BROKER_LOGGER = 8,
	TYPE_CLIENT_METRICS = 16,
	TYPE_GROUP = 32,
};

static bool is_type(int8_t t)
{
	return t == TYPE_TOPIC || t == TYPE_BROKER || t == TYPE_BROKER_LOGGER ||
	       t == TYPE_CLIENT_METRICS || t == TYPE_GROUP;
}

static bool wants(const struct list_config_resources_request *in, int8_t type)
{
	for (int32_t i = 0; i < in->resource_types_n; i++)
		if (in->resource_types[i] == type)
			return true;
	return in->resource_types_n == 0;
}

static bool all_known(const struct list_config_resources_request *in)
{
	for (int32_t i = 0; i < in->resource_types_n; i++)
		if (!is_type(in->resource_types[i]))
			return false;
	return true;
}

static void put(struct list_config_resources_response *out, const char *name, int8_t type)
{
	struct list_config_resources_response_config_resource *c =
		&out->config_resources[out->config_resources_n++];

	c->resource_name = bytes_str(name);
	c->resource_type = type;
}

static bool put_all(struct request *r, struct list_config_resources_response *out)
{
	const struct list_config_resources_request *in = r->msg;
	const struct wire_struct *s = &wire_list_config_resources_response_config_resource;
	size_t n;
	const struct topic *const *topics = metadata_topics(broker_metadata(r->broker), &n);
	char id[12];

	snprintf(id, sizeof id, "%" PRId32, broker_config(r->broker)->node_id);
	const char *node = arena_strndup(&r->arena, bytes_str(id));
	out->config_resources =
		n >= INT32_MAX ? NULL : wire_array_new(&r->arena, s, (int32_t)n + 1);
	if (out->config_resources == NULL || node == NULL)
		return false;
	if (wants(in, TYPE_BROKER))
		put(out, node, TYPE_BROKER);
	for (size_t i = 0; i < n && wants(in, TYPE_TOPIC); i++)
		put(out, topics[i]->name, TYPE_TOPIC);
	return true;
}

void api_list_config_resources(struct request *r)
{
	const struct list_config_resources_request *in = r->msg;
	struct list_config_resources_response *out = request_response(r);
	bool ok = out != NULL;

	if (ok && !all_known(in))
		out->error_code = err_to_kafka(ERR_KAFKA_UNSUPPORTED_VERSION);
	else if (ok && r->version > 0)
		ok = put_all(r, out);
	if (ok)
		request_answer(r, out);
	else
		request_no_memory(r);
}
