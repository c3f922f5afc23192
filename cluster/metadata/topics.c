/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making, growing and deleting topics: the checks and words of Kafka's ReplicationControlManager,
 * and the records.
 *
 * Checks are made against the image and what is on its way to it, so that a record that is proposed
 * here can always be applied.
 */
#include <inttypes.h>
#include <stdio.h>

#include "cluster/metadata/metadata_priv.h"
#include "cluster/metadata/topic_config.h"
#include "lib/base/arena.h"
#include "lib/wire/messages.h"
#include "lib/wire/wire.h"

enum {
	NAME_MAX_BYTES = 249,
	/* A PartitionRecord of 10 000 and the configurations. */
	ARENA_MAX = 16 << 20,
	/* The version of PartitionRecord at metadata.version 27 (MetadataVersion.java). */
	PARTITION_RECORD_VERSION = 2,
};

/* ---- names ---- */

static bool name_byte_ok(uint8_t b)
{
	return (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9') ||
	       b == '.' || b == '_' || b == '-';
}

const char *metadata_name_fault(struct bytes name)
{
	if (name.n == 0)
		return "the empty string is not allowed";
	if (bytes_eq_str(name, "."))
		return "'.' is not allowed";
	if (bytes_eq_str(name, ".."))
		return "'..' is not allowed";
	if (name.n > NAME_MAX_BYTES)
		return "it is longer than the max allowed length 249";
	for (size_t i = 0; i < name.n; i++)
		if (!name_byte_ok(name.p[i]))
			return "it contains one or more characters other than ASCII alphanumerics, "
			       "'.', '_' and '-'";
	return NULL;
}

enum err metadata_check_name(struct bytes name, struct errmsg *why)
{
	const char *fault = metadata_name_fault(name);
	char shown[NAME_MAX_BYTES + 1];
	size_t n = name.n < NAME_MAX_BYTES ? name.n : NAME_MAX_BYTES;

	if (fault == NULL)
		return ERR_OK;
	for (size_t i = 0; i < n; i++)
		shown[i] = (char)(name.p[i] < ' ' || name.p[i] > '~' ? '?' : name.p[i]);
	shown[n] = 0;
	if (n == 0 || name.n > NAME_MAX_BYTES || fault[0] == '\'')
		return errmsg_set(why, ERR_KAFKA_INVALID_TOPIC_EXCEPTION,
				  "Topic name is invalid: %s", fault);
	return errmsg_set(why, ERR_KAFKA_INVALID_TOPIC_EXCEPTION, "Topic name is invalid: '%s' %s",
			  shown, fault + strlen("it "));
}

bool metadata_is_internal(struct bytes name)
{
	return bytes_eq_str(name, "__consumer_offsets") ||
	       bytes_eq_str(name, "__transaction_state") ||
	       bytes_eq_str(name, "__cluster_metadata");
}

/* Names that differ in '.' and '_' only have the same metrics in Kafka (Topic.hasCollision). */
static bool collides(struct bytes a, struct bytes b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++) {
		uint8_t x = a.p[i] == '.' ? '_' : a.p[i], y = b.p[i] == '.' ? '_' : b.p[i];
		if (x != y)
			return false;
	}
	return true;
}

static enum err check_collision(const struct metadata *m, struct bytes name, struct errmsg *why)
{
	struct bytes other;
	size_t at = 0;
	void *value;

	if (memchr(name.p, '.', name.n) == NULL && memchr(name.p, '_', name.n) == NULL)
		return ERR_OK;
	for (size_t i = 0; i < m->image.topics_n; i++) {
		other = bytes_str(m->image.sorted[i]->name);
		if (collides(name, other))
			goto collision;
	}
	while (map_next(m->creating, &at, &other, &value))
		if (collides(name, other))
			goto collision;
	return ERR_OK;
collision:
	return errmsg_set(why, ERR_KAFKA_INVALID_TOPIC_EXCEPTION,
			  "Topic '%.*s' collides with existing topic: %.*s", (int)name.n,
			  (const char *)name.p, (int)other.n, (const char *)other.p);
}

/* ---- creating ---- */

static enum err check_new_name(const struct metadata *m, struct bytes name, struct errmsg *why)
{
	enum err e = metadata_check_name(name, why);

	if (e != ERR_OK)
		return e;
	if (image_find(&m->image, name) != NULL || map_get(m->creating, name) != NULL)
		return errmsg_set(why, ERR_KAFKA_TOPIC_ALREADY_EXISTS,
				  "Topic '%.*s' already exists.", (int)name.n,
				  (const char *)name.p);
	return check_collision(m, name, why);
}

static enum err check_counts(const struct metadata_new_topic *t, struct errmsg *why)
{
	if (t->partitions == 0 || t->partitions < -1)
		return errmsg_set(why, ERR_KAFKA_INVALID_PARTITIONS,
				  "Number of partitions was set to an invalid non-positive value.");
	if (t->partitions > METADATA_PARTITIONS_MAX)
		return errmsg_set(why, ERR_KAFKA_POLICY_VIOLATION,
				  "Excessively large number of partitions per request.");
	if (t->replication_factor == 0 || t->replication_factor < -1)
		return errmsg_set(why, ERR_KAFKA_INVALID_REPLICATION_FACTOR,
				  "Replication factor must be larger than 0, or -1 to use the "
				  "default value.");
	if (t->replication_factor > 1)
		return errmsg_set(why, ERR_KAFKA_INVALID_REPLICATION_FACTOR,
				  "Unable to replicate the partition %d time(s): The target "
				  "replication factor of %d cannot be reached because only 1 "
				  "broker(s) are registered.",
				  t->replication_factor, t->replication_factor);
	return ERR_OK;
}

static enum err check_new_config(const struct metadata_config_value *v, struct plog_config *c,
				 struct errmsg *why)
{
	const struct topic_config *tc = topic_config_find(v->name);

	if (tc == NULL)
		return errmsg_set(why, ERR_KAFKA_INVALID_CONFIG, "Unknown topic config name: %.*s",
				  (int)(v->name.n < 200 ? v->name.n : 200),
				  (const char *)v->name.p);
	if (v->value.p == NULL)
		return errmsg_set(why, ERR_KAFKA_INVALID_CONFIG,
				  "Null value not supported for topic configs: %s", tc->name);
	enum err e = topic_config_check(tc, tc->name, v->value, why);
	if (e == ERR_OK)
		topic_config_apply(tc, v->value, c);
	return e;
}

static enum err check_new_configs(const struct metadata *m, const struct metadata_new_topic *t,
				  struct errmsg *why)
{
	struct plog_config c;
	enum err e = ERR_OK;

	image_log_defaults(&m->image, &c);
	for (size_t i = 0; i < t->configs_n && e == ERR_OK; i++)
		e = check_new_config(&t->configs[i], &c, why);
	return e == ERR_OK ? topic_config_check_all(&c, why) : e;
}

/* What the records of partitions first .. first + n - 1 share. */
struct partition_batch {
	struct metadata *m;
	struct uuid topic_id;
	int32_t first, n;
};

static enum err add_partitions(const struct partition_batch *b, struct arena *a,
			       struct metadata_record *records)
{
	struct partition_record *bodies = wire_array_new(a, wire_partition_record.body, b->n);
	int32_t *node = arena_zalloc(a, 1, sizeof *node);
	struct uuid *dir = arena_zalloc(a, 1, sizeof *dir);

	if (bodies == NULL || node == NULL || dir == NULL)
		return ERR_NOMEM;
	*node = b->m->node_id;
	*dir = store_directory_id(b->m->store);
	for (int32_t i = 0; i < b->n; i++) {
		struct partition_record *r = &bodies[i];
		r->partition_id = b->first + i;
		r->topic_id = b->topic_id;
		r->replicas = r->isr = node;
		r->replicas_n = r->isr_n = 1;
		r->leader = *node;
		r->leader_epoch = 0;
		r->partition_epoch = 0;
		r->directories = dir;
		r->directories_n = 1;
		records[i] = (struct metadata_record){&wire_partition_record,
						      PARTITION_RECORD_VERSION, r};
	}
	return ERR_OK;
}

/* The configurations, each once: of several values for one name the last counts. */
static enum err add_configs(const struct metadata_new_topic *t, struct arena *a,
			    struct metadata_record *records, size_t *n)
{
	struct config_record *bodies =
		wire_array_new(a, wire_config_record.body, (int32_t)t->configs_n);

	if (bodies == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < t->configs_n; i++) {
		bool again = false;
		for (size_t k = i + 1; k < t->configs_n && !again; k++)
			again = bytes_eq(t->configs[k].name, t->configs[i].name);
		if (again)
			continue;
		bodies[i].resource_type = RESOURCE_TOPIC;
		bodies[i].resource_name = t->name;
		bodies[i].name = t->configs[i].name;
		bodies[i].value = t->configs[i].value;
		records[(*n)++] = (struct metadata_record){&wire_config_record, 0, &bodies[i]};
	}
	return ERR_OK;
}

/* TopicRecord, ConfigRecords, PartitionRecords: Kafka's order. */
static enum err propose_topic(struct metadata *m, const struct metadata_new_topic *t,
			      struct arena *a, struct metadata_change *c, struct errmsg *why)
{
	int32_t partitions = t->partitions == -1 ? m->default_partitions : t->partitions;
	size_t n = 0;
	struct topic_record topic;
	struct propose_about about = {.creating = arena_strndup(a, t->name)};
	struct metadata_record *records =
		arena_zalloc(a, 1 + t->configs_n + (size_t)partitions, sizeof *records);

	if (records == NULL || about.creating == NULL)
		return ERR_NOMEM;
	wire_init(&wire_topic_record, &topic);
	topic.name = t->name;
	metadata_random_id(m, &topic.topic_id);
	records[n++] = (struct metadata_record){&wire_topic_record, 0, &topic};
	enum err e = add_configs(t, a, records, &n);
	if (e != ERR_OK)
		return e;
	const struct partition_batch b = {m, topic.topic_id, 0, partitions};
	e = add_partitions(&b, a, &records[n]);
	if (e != ERR_OK)
		return e;
	return propose_change(m, records, n + (size_t)partitions, &about, c, why);
}

enum err metadata_create_topic(struct metadata *m, const struct metadata_new_topic *t,
			       struct metadata_change *c, struct errmsg *why)
{
	struct arena a;
	enum err e = check_new_name(m, t->name, why);

	if (e == ERR_OK)
		e = check_counts(t, why);
	/* Names may come twice, but there are not more than so many. */
	if (e == ERR_OK && t->configs_n > 1000)
		e = errmsg_set(why, ERR_KAFKA_INVALID_CONFIG, "Too many configurations.");
	if (e == ERR_OK)
		e = check_new_configs(m, t, why);
	if (e != ERR_OK || c == NULL)
		return e;
	arena_init(&a, ARENA_MAX);
	errmsg_set(why, ERR_OK, "out of memory");
	e = propose_topic(m, t, &a, c, why);
	arena_fini(&a);
	return e;
}

/* ---- growing and deleting ---- */

static enum err check_not_internal(const struct topic *t, const char *what, struct errmsg *why)
{
	if (!t->internal)
		return ERR_OK;
	return errmsg_set(why, ERR_KAFKA_INVALID_TOPIC_EXCEPTION,
			  "Topic %s is the broker's own and cannot be %s.", t->name, what);
}

enum err metadata_create_partitions(struct metadata *m, const struct topic *t, int32_t count,
				    struct metadata_change *c, struct errmsg *why)
{
	const struct image_topic *it = (const struct image_topic *)t;
	int32_t have =
		it->partitions_wanted > t->partitions_n ? it->partitions_wanted : t->partitions_n;
	struct arena a;

	if (it->deleting)
		return errmsg_set(why, ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
				  "This server does not host this topic-partition.");
	if (count == have)
		return errmsg_set(why, ERR_KAFKA_INVALID_PARTITIONS,
				  "Topic already has %" PRId32 " partition(s).", have);
	if (count < have)
		return errmsg_set(why, ERR_KAFKA_INVALID_PARTITIONS,
				  "The topic %s currently has %" PRId32 " partition(s); %" PRId32
				  " would not be an increase.",
				  t->name, have, count);
	if (count - have > METADATA_PARTITIONS_MAX)
		return errmsg_set(why, ERR_KAFKA_POLICY_VIOLATION,
				  "Excessively large number of partitions per request.");
	enum err e = check_not_internal(t, "given more partitions", why);
	if (e != ERR_OK || c == NULL)
		return e;
	arena_init(&a, ARENA_MAX);
	const struct partition_batch b = {m, t->id, have, count - have};
	const struct propose_about about = {.topic_id = t->id, .partitions = count};
	struct metadata_record *records = arena_zalloc(&a, (size_t)b.n, sizeof *records);
	e = records == NULL ? ERR_NOMEM : add_partitions(&b, &a, records);
	if (e == ERR_OK)
		e = propose_change(m, records, (size_t)b.n, &about, c, why);
	arena_fini(&a);
	return e;
}

enum err metadata_delete_topic(struct metadata *m, const struct topic *t, struct metadata_change *c,
			       struct errmsg *why)
{
	const struct propose_about about = {.topic_id = t->id, .deleting = true};
	struct remove_topic_record r;

	if (((const struct image_topic *)t)->deleting)
		return errmsg_set(why, ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
				  "This server does not host this topic-partition.");
	enum err e = check_not_internal(t, "deleted", why);
	if (e != ERR_OK)
		return e;
	wire_init(&wire_remove_topic_record, &r);
	r.topic_id = t->id;
	const struct metadata_record record = {&wire_remove_topic_record, 0, &r};
	return propose_change(m, &record, 1, &about, c, why);
}
