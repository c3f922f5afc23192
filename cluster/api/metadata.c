/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metadata: the broker, and topics with their partitions (KafkaApis.scala,
 * handleTopicMetadataRequest). Topics are asked for by name, from version 12 on also by id. Where
 * it is switched on, and the client allows it, a topic that does not exist is made: the answer
 * still says that it is unknown, and the client asks again.
 */
#include "cluster/api.h"
#include "cluster/broker.h"
#include "lib/base/mem.h"
#include "lib/wire/messages.h"

enum {
	IDS_FROM = 12, /* of topics asked for by id */
	/* All operations that there are on a topic and on the cluster
	 * (AclEntry.supportedOperations): there is no authorizer that would forbid one. */
	TOPIC_OPERATIONS = 3576,
	CLUSTER_OPERATIONS = 8096,
	/* Topics that one request may have made; for the others the client asks again anyway. */
	AUTO_CREATE_MAX = 100,
};

struct answer {
	struct request *r;
	const struct metadata_request *in;
	struct metadata_response *out;
	struct metadata *m;
	int32_t *self; /* this node, as a list of one */
	unsigned created;
};

/* A topic made on first use. */
struct auto_create {
	struct metadata_change change;
	struct broker *broker;
};

static void on_created(struct metadata_change *c, enum err e)
{
	struct auto_create *ac = (struct auto_create *)c;

	if (e != ERR_OK && e != ERR_CANCELED)
		log_event(broker_log(ac->broker), LOG_WARN, "auto_create_failed",
			  LOG_S("reason", err_text(e)));
	mem_free(ac);
}

/* Have the topic made. The error to answer: the topic is not there yet, or why it cannot be. */
static enum err auto_create(struct answer *a, struct bytes name)
{
	const struct metadata_new_topic t = {
		.name = name, .partitions = -1, .replication_factor = -1};
	struct errmsg why = {0};

	if (a->created++ >= AUTO_CREATE_MAX)
		return ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
	struct auto_create *ac = mem_zalloc(1, sizeof *ac);
	if (ac == NULL)
		return ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
	ac->change.done = on_created;
	ac->broker = a->r->broker;
	enum err e = metadata_create_topic(a->m, &t, &ac->change, &why);
	if (e == ERR_OK)
		return ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
	mem_free(ac);
	if (e == ERR_KAFKA_INVALID_TOPIC_EXCEPTION)
		return e;
	if (e != ERR_KAFKA_TOPIC_ALREADY_EXISTS)
		log_event(broker_log(a->r->broker), LOG_WARN, "auto_create_failed",
			  LOG_B("topic", name), LOG_S("reason", why.text));
	return ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
}

/* Why there is nothing to tell about the name. */
static enum err unknown_name(struct answer *a, struct bytes name)
{
	if (metadata_name_fault(name) != NULL)
		return ERR_KAFKA_INVALID_TOPIC_EXCEPTION;
	if (!broker_config(a->r->broker)->auto_create_topics || !a->in->allow_auto_topic_creation ||
	    metadata_is_internal(name))
		return ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
	return auto_create(a, name);
}

static bool put_partitions(struct answer *a, const struct topic *t,
			   struct metadata_response_metadata_response_topic *out)
{
	out->partitions = wire_array_new(
		&a->r->arena, &wire_metadata_response_metadata_response_partition, t->partitions_n);
	if (out->partitions == NULL)
		return false;
	out->partitions_n = t->partitions_n;
	for (int32_t i = 0; i < t->partitions_n; i++) {
		const struct partition *p = &t->partitions[i];
		struct metadata_response_metadata_response_partition *to = &out->partitions[i];
		bool offline = p->log == NULL || p->leader < 0;
		to->error_code = offline ? err_to_kafka(ERR_KAFKA_LEADER_NOT_AVAILABLE) : 0;
		to->partition_index = i;
		to->leader_id = offline ? -1 : p->leader;
		to->leader_epoch = p->leader_epoch;
		to->replica_nodes = to->isr_nodes = to->offline_replicas = a->self;
		to->replica_nodes_n = to->isr_nodes_n = 1;
		to->offline_replicas_n = offline ? 1 : 0;
	}
	return true;
}

static bool put_topic(struct answer *a, const struct topic *t)
{
	struct metadata_response_metadata_response_topic *out = &a->out->topics[a->out->topics_n++];

	out->name = bytes_str(t->name);
	out->topic_id = t->id;
	out->is_internal = t->internal;
	if (a->in->include_topic_authorized_operations)
		out->topic_authorized_operations = TOPIC_OPERATIONS;
	return put_partitions(a, t, out);
}

static void put_error(struct answer *a, struct bytes name, const struct uuid *id, enum err e)
{
	struct metadata_response_metadata_response_topic *out = &a->out->topics[a->out->topics_n++];

	out->name = name;
	out->topic_id = *id;
	out->error_code = err_to_kafka(e);
	if (a->in->include_topic_authorized_operations && name.p != NULL)
		out->topic_authorized_operations = TOPIC_OPERATIONS;
}

/* One topic that was asked for; each is told once. */
static bool put_asked(struct answer *a, const struct metadata_request_metadata_request_topic *in,
		      struct map *told)
{
	static const struct uuid no_id;
	bool by_id = a->r->version >= IDS_FROM && !uuid_is_zero(&in->topic_id);
	struct bytes name = in->name.p == NULL ? bytes_str("") : in->name;
	struct bytes key = by_id ? bytes_of(in->topic_id.b, sizeof in->topic_id.b) : name;

	if (map_get(told, key) != NULL)
		return true;
	if (map_put(told, key, a) != ERR_OK)
		return false;
	const struct topic *t =
		by_id ? metadata_topic_by_id(a->m, &in->topic_id) : metadata_topic(a->m, name);
	if (t != NULL)
		return put_topic(a, t);
	if (by_id)
		put_error(a, bytes_of(NULL, 0), &in->topic_id, ERR_KAFKA_UNKNOWN_TOPIC_ID);
	else
		put_error(a, name, &no_id, unknown_name(a, name));
	return true;
}

static bool new_topics(struct answer *a, size_t n)
{
	a->out->topics = n > INT32_MAX
				 ? NULL
				 : wire_array_new(&a->r->arena,
						  &wire_metadata_response_metadata_response_topic,
						  (int32_t)n);
	return a->out->topics != NULL;
}

static bool put_all(struct answer *a)
{
	size_t n;
	const struct topic *const *all = metadata_topics(a->m, &n);

	if (!new_topics(a, n))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!put_topic(a, all[i]))
			return false;
	return true;
}

static bool put_topics(struct answer *a)
{
	const struct metadata_request *in = a->in;

	/* No list is all; in version 0 an empty one is, too. */
	if (in->topics_n < 0 || (in->topics_n == 0 && a->r->version == 0))
		return put_all(a);
	struct map *told = map_new();
	bool ok = told != NULL && new_topics(a, (size_t)in->topics_n);
	for (int32_t i = 0; i < in->topics_n && ok; i++)
		ok = put_asked(a, &in->topics[i], told);
	map_free(told);
	return ok;
}

static bool put_broker(struct answer *a)
{
	const struct broker_config *c = broker_config(a->r->broker);

	a->self = arena_zalloc(&a->r->arena, 1, sizeof *a->self);
	a->out->brokers =
		wire_array_new(&a->r->arena, &wire_metadata_response_metadata_response_broker, 1);
	if (a->self == NULL || a->out->brokers == NULL)
		return false;
	*a->self = c->node_id;
	a->out->brokers_n = 1;
	a->out->brokers->node_id = c->node_id;
	a->out->brokers->host = bytes_str(request_advertised_host(a->r));
	a->out->brokers->port = request_advertised_port(a->r);
	a->out->brokers->rack = bytes_str(c->rack);
	a->out->cluster_id = bytes_str(store_cluster_id(broker_store(a->r->broker)));
	a->out->controller_id = c->node_id;
	if (a->in->include_cluster_authorized_operations)
		a->out->cluster_authorized_operations = CLUSTER_OPERATIONS;
	return true;
}

void api_metadata(struct request *r)
{
	struct answer a = {
		.r = r, .in = r->msg, .out = request_response(r), .m = broker_metadata(r->broker)};

	if (a.out != NULL && put_broker(&a) && put_topics(&a))
		request_answer(r, a.out);
	else
		request_no_memory(r);
}
