/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CreateTopics: each topic is a change of its own, and the answer comes when all of them are stored
 * and applied (ReplicationControlManager.java; KIP-525 for the configurations in the answer).
 */
#include <inttypes.h>

#include "cluster/api.h"
#include "cluster/api/access.h"
#include "cluster/api/assignment.h"
#include "cluster/api/changes.h"
#include "cluster/api/config_answer.h"
#include "cluster/api/repeats.h"
#include "cluster/broker.h"
#include "lib/wire/messages.h"

enum { DETAILS_FROM = 5 };

/* One topic of the request and its place in the answer. */
struct creating {
	struct request *r;
	const struct create_topics_request_creatable_topic *in;
	struct create_topics_response_creatable_topic_result *out;
	struct metadata_new_topic topic;
};

static void put_error(const struct creating *t, enum err e, const struct errmsg *why)
{
	t->out->error_code = access_code(e);
	t->out->error_message = changes_text(t->r, e, why);
}

/* ---- assignments ---- */

/* Partitions 0 .. n-1, each once. */
static enum err check_numbers(const struct creating *t, struct errmsg *why)
{
	int32_t n = t->in->assignments_n;
	bool *seen = arena_zalloc(&t->r->arena, (size_t)n, sizeof *seen);

	if (seen == NULL)
		return ERR_NOMEM;
	for (int32_t i = 0; i < n; i++) {
		int32_t index = t->in->assignments[i].partition_index;
		if (index < 0 || index >= n)
			return errmsg_set(why, ERR_KAFKA_INVALID_REPLICA_ASSIGNMENT,
					  "partitions should be a consecutive 0-based integer "
					  "sequence");
		if (seen[index])
			return errmsg_set(why, ERR_KAFKA_INVALID_REPLICA_ASSIGNMENT,
					  "Found multiple manual partition assignments for "
					  "partition %" PRId32,
					  index);
		seen[index] = true;
	}
	return ERR_OK;
}

static enum err check_assignments(struct creating *t, struct errmsg *why)
{
	const struct create_topics_request_creatable_topic *in = t->in;
	int32_t self = broker_config(t->r->broker)->node_id;

	if (in->assignments_n <= 0)
		return ERR_OK;
	if (in->replication_factor != -1)
		return errmsg_set(why, ERR_KAFKA_INVALID_REQUEST,
				  "A manual partition assignment was specified, but replication "
				  "factor was not set to -1.");
	if (in->num_partitions != -1)
		return errmsg_set(why, ERR_KAFKA_INVALID_REQUEST,
				  "A manual partition assignment was specified, but numPartitions "
				  "was not set to -1.");
	enum err e = check_numbers(t, why);
	for (int32_t i = 0; i < in->assignments_n && e == ERR_OK; i++)
		e = assignment_check(self, in->assignments[i].broker_ids,
				     in->assignments[i].broker_ids_n, why);
	t->topic.partitions = in->assignments_n;
	return e;
}

/* ---- the answer ---- */

/* What the request sets for a configuration; of several values the last counts. */
static const char *own_value(const struct creating *t, const char *name)
{
	for (int32_t i = t->in->configs_n - 1; i >= 0; i--)
		if (bytes_eq_str(t->in->configs[i].name, name))
			return arena_strndup(&t->r->arena, t->in->configs[i].value);
	return NULL;
}

static bool put_configs(const struct creating *t)
{
	size_t n;
	const struct topic_config *all = topic_config_all(&n);
	const struct wire_struct *s = &wire_create_topics_response_creatable_topic_configs;

	t->out->configs = wire_array_new(&t->r->arena, s, (int32_t)n);
	if (t->out->configs == NULL)
		return false;
	t->out->configs_n = (int32_t)n;
	for (size_t i = 0; i < n; i++) {
		struct create_topics_response_creatable_topic_configs *out = &t->out->configs[i];
		struct config_chain chain;
		config_chain_of(t->r->broker, &all[i], own_value(t, all[i].name), &chain);
		const char *value = arena_strndup(&t->r->arena, bytes_str(chain.links[0].value));
		if (value == NULL)
			return false;
		out->name = bytes_str(all[i].name);
		out->value = bytes_str(value);
		out->config_source = (int8_t)chain.links[0].source;
	}
	return true;
}

static void put_details(const struct creating *t)
{
	int32_t n = t->topic.partitions;

	if (t->r->version < DETAILS_FROM)
		return;
	t->out->num_partitions = n != -1 ? n : broker_config(t->r->broker)->num_partitions;
	t->out->replication_factor = 1;
	if (!put_configs(t))
		t->out->configs_n = 0;
}

static void on_done(void *arg, enum err e)
{
	const struct creating *t = arg;
	const struct topic *made = metadata_topic(broker_metadata(t->r->broker), t->in->name);

	if (e != ERR_OK) {
		put_error(t, e, NULL);
		return;
	}
	if (made != NULL)
		t->out->topic_id = made->id;
	put_details(t);
}

/* ---- the request ---- */

static void create(struct changes *c, struct creating *t, bool validate_only)
{
	struct metadata *m = broker_metadata(t->r->broker);
	struct errmsg why = {0};
	enum err e = check_assignments(t, &why);

	if (e == ERR_OK && metadata_is_internal(t->in->name) &&
	    metadata_topic(m, t->in->name) == NULL)
		e = errmsg_set(&why, ERR_KAFKA_INVALID_TOPIC_EXCEPTION,
			       "The broker makes its own topics itself.");
	if (e != ERR_OK) {
		put_error(t, e, &why);
		return;
	}
	if (validate_only) {
		e = metadata_create_topic(m, &t->topic, NULL, &why);
		if (e == ERR_OK)
			put_details(t);
		else
			put_error(t, e, &why);
		return;
	}
	struct metadata_change *change = changes_add(c, on_done, t);
	e = metadata_create_topic(m, &t->topic, change, &why);
	if (e == ERR_OK)
		return;
	changes_drop(c, change);
	put_error(t, e, &why);
}

static enum err new_topic(struct creating *t)
{
	const struct create_topics_request_creatable_topic *in = t->in;
	struct metadata_config_value *configs =
		arena_zalloc(&t->r->arena, (size_t)in->configs_n, sizeof *configs);

	if (configs == NULL)
		return ERR_NOMEM;
	for (int32_t i = 0; i < in->configs_n; i++)
		configs[i] =
			(struct metadata_config_value){in->configs[i].name, in->configs[i].value};
	t->topic = (struct metadata_new_topic){
		.name = in->name,
		.partitions = in->num_partitions,
		.replication_factor = in->replication_factor,
		.configs = configs,
		.configs_n = (size_t)in->configs_n,
	};
	return ERR_OK;
}

/* One topic after the other; a name that comes twice is refused, in one answer. */
static bool create_all(struct request *r, struct create_topics_response *out, struct changes *c)
{
	const struct create_topics_request *in = r->msg;
	size_t n = (size_t)in->topics_n;
	struct bytes *names = arena_zalloc(&r->arena, n, sizeof *names);
	struct creating *all = arena_zalloc(&r->arena, n, sizeof *all);

	if (names == NULL || all == NULL)
		return false;
	for (size_t i = 0; i < n; i++)
		names[i] = in->topics[i].name;
	const enum repeat *repeats = repeats_find(&r->arena, names, n);
	if (repeats == NULL)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (repeats[i] == REPEAT_AGAIN)
			continue;
		struct creating *t = &all[i];
		*t = (struct creating){
			.r = r, .in = &in->topics[i], .out = &out->topics[out->topics_n++]};
		t->out->name = names[i];
		t->out->error_message = bytes_of(NULL, 0);
		if (new_topic(t) != ERR_OK)
			return false;
		if (repeats[i] == REPEAT_NONE)
			create(c, t, in->validate_only);
		else
			put_error(t, ERR_KAFKA_INVALID_REQUEST,
				  &(struct errmsg){"Duplicate topic name."});
	}
	return true;
}

void api_create_topics(struct request *r)
{
	const struct create_topics_request *in = r->msg;
	struct create_topics_response *out = request_response(r);
	const struct wire_struct *s = &wire_create_topics_response_creatable_topic_result;
	struct changes *c = out == NULL ? NULL : changes_new(r, out, (size_t)in->topics_n);

	if (c != NULL)
		out->topics = wire_array_new(&r->arena, s, in->topics_n);
	if (c != NULL && out->topics != NULL && create_all(r, out, c))
		changes_finish(c);
	else
		changes_abandon(c, r);
}
