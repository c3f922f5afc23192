/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image of the metadata log: one function per record type.
 *
 * A record is checked in full before anything changes, and all memory that it needs is taken first,
 * so that it is applied as a whole or not at all. Records come from our own proposals or from the
 * disk: the checks hold for both, since a record that cannot be right must stop a start and not be
 * lived with.
 *
 * Invariants: by_name, by_id and sorted hold the same topics; partitions of a topic are 0..n-1.
 */
#include "cluster/metadata/image.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cluster/metadata/record_frame.h"
#include "cluster/metadata/topic_config.h"
#include "lib/base/mem.h"
#include "lib/wire/messages.h"
#include "lib/wire/wire.h"

/* What a decoded record may take: a partition's replica lists and the like are small. */
enum { DECODE_MAX = 1 << 20 };

struct apply {
	struct image *im;
	int64_t offset;
	const void *msg;
	struct errmsg *why;
};

static struct bytes id_key(const struct uuid *id)
{
	return bytes_of(id->b, sizeof id->b);
}

static void free_values(struct map *m)
{
	size_t at = 0;
	struct bytes key;
	void *value;

	while (m != NULL && map_next(m, &at, &key, &value))
		mem_free(value);
	map_free(m);
}

static void topic_free(struct image_topic *it)
{
	if (it == NULL)
		return;
	free_values(it->t.configs);
	mem_free(it->t.partitions);
	mem_free(it->name);
	mem_free(it);
}

enum err image_init(struct image *im, int32_t node_id, const struct plog_config *log_defaults)
{
	*im = (struct image){
		.node_id = node_id,
		.log_defaults = *log_defaults,
		.offset = -1,
		.broker_epoch = -1,
		.broker_fenced = true,
		.by_name = map_new(),
		.by_id = map_new(),
		.broker_configs = map_new(),
		.cluster_configs = map_new(),
	};
	if (im->by_name != NULL && im->by_id != NULL && im->broker_configs != NULL &&
	    im->cluster_configs != NULL)
		return ERR_OK;
	image_fini(im);
	return ERR_NOMEM;
}

void image_fini(struct image *im)
{
	for (size_t i = 0; i < im->topics_n; i++)
		topic_free(im->sorted[i]);
	mem_free(im->sorted);
	map_free(im->by_name);
	map_free(im->by_id);
	free_values(im->broker_configs);
	free_values(im->cluster_configs);
	map_free(im->removed);
	*im = (struct image){.offset = -1};
}

struct image_topic *image_find(const struct image *im, struct bytes name)
{
	return name.p == NULL ? NULL : map_get(im->by_name, name);
}

struct image_topic *image_find_id(const struct image *im, const struct uuid *id)
{
	return map_get(im->by_id, id_key(id));
}

size_t image_position(const struct image *im, struct bytes name)
{
	size_t low = 0, high = im->topics_n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		struct bytes other = bytes_str(im->sorted[mid]->name);
		size_t n = name.n < other.n ? name.n : other.n;
		int order = n == 0 ? 0 : memcmp(other.p, name.p, n);
		if (order < 0 || (order == 0 && other.n < name.n))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* ---- removed topics ---- */

enum err image_remember_removed(struct image *im)
{
	im->removed = map_new();
	return im->removed == NULL ? ERR_NOMEM : ERR_OK;
}

bool image_was_removed(const struct image *im, const struct uuid *id)
{
	return im->removed != NULL && map_get(im->removed, id_key(id)) != NULL;
}

void image_forget_removed(struct image *im)
{
	map_free(im->removed);
	im->removed = NULL;
}

/* ---- configurations ---- */

void image_log_defaults(const struct image *im, struct plog_config *out)
{
	*out = im->log_defaults;
	topic_config_apply_map(im->cluster_configs, true, out);
	topic_config_apply_map(im->broker_configs, true, out);
	topic_config_apply_level(im->cluster_configs, out);
	topic_config_apply_level(im->broker_configs, out);
}

static void topic_configure(const struct image *im, struct topic *t)
{
	struct plog_config *c = &t->log_config;

	*c = im->log_defaults;
	topic_config_apply_map(im->cluster_configs, true, c);
	topic_config_apply_map(im->broker_configs, true, c);
	topic_config_apply_map(t->configs, false, c);
	topic_config_apply_level(im->cluster_configs, c);
	topic_config_apply_level(im->broker_configs, c);
	topic_config_apply_level(t->configs, c);
}

static enum err config_value_ok(const struct apply *a, const struct config_record *r,
				const struct topic_config *tc)
{
	enum err e = ERR_OK;

	if (tc == NULL)
		return errmsg_set(a->why, ERR_UNSUPPORTED,
				  "configuration %.*s is not known to this version",
				  (int)(r->name.n < 80 ? r->name.n : 80), (const char *)r->name.p);
	/* A null takes the configuration away. */
	if (r->value.p != NULL)
		e = topic_config_check(tc, tc->name, r->value, a->why);
	return e == ERR_OK ? ERR_OK : ERR_MALFORMED;
}

/* Put or take one value. */
static enum err config_set(struct map *m, const struct config_record *r)
{
	char *value = NULL;

	if (r->value.p == NULL) {
		mem_free(map_take(m, r->name));
		return ERR_OK;
	}
	value = mem_strndup(r->value);
	if (value == NULL)
		return ERR_NOMEM;
	char *old = map_get(m, r->name);
	if (map_put(m, r->name, value) != ERR_OK) {
		mem_free(value);
		return ERR_NOMEM;
	}
	mem_free(old);
	return ERR_OK;
}

static enum err apply_topic_config(const struct apply *a, const struct config_record *r)
{
	struct image_topic *it = image_find(a->im, r->resource_name);

	if (it == NULL)
		return errmsg_set(a->why, ERR_MALFORMED, "its topic does not exist");
	enum err e = config_value_ok(a, r, topic_config_find(r->name));
	if (e == ERR_OK)
		e = config_set(it->t.configs, r);
	if (e != ERR_OK)
		return e;
	topic_configure(a->im, &it->t);
	if (a->im->events.topic_configured != NULL)
		a->im->events.topic_configured(a->im->events.arg, &it->t);
	return ERR_OK;
}

static enum err apply_broker_config(const struct apply *a, const struct config_record *r)
{
	struct image *im = a->im;
	char own[12];

	snprintf(own, sizeof own, "%" PRId32, im->node_id);
	if (r->resource_name.n != 0 && !bytes_eq_str(r->resource_name, own))
		return errmsg_set(a->why, ERR_MALFORMED, "it is for another broker than node %s",
				  own);
	enum err e = config_value_ok(a, r, topic_config_by_broker(r->name));
	if (e == ERR_OK)
		e = config_set(r->resource_name.n == 0 ? im->cluster_configs : im->broker_configs,
			       r);
	if (e != ERR_OK)
		return e;
	for (size_t i = 0; i < im->topics_n; i++)
		topic_configure(im, &im->sorted[i]->t);
	if (im->events.broker_configured != NULL)
		im->events.broker_configured(im->events.arg);
	return ERR_OK;
}

static enum err apply_config(const struct apply *a)
{
	const struct config_record *r = a->msg;

	if (r->resource_type == RESOURCE_TOPIC)
		return apply_topic_config(a, r);
	if (r->resource_type == RESOURCE_BROKER)
		return apply_broker_config(a, r);
	return errmsg_set(a->why, ERR_UNSUPPORTED,
			  "configurations of resource type %d are not known to this version",
			  r->resource_type);
}

/* ---- topics and partitions ---- */

static enum err topic_new(const struct topic_record *r, struct image_topic **out)
{
	struct image_topic *it = mem_zalloc(1, sizeof *it);

	if (it == NULL)
		return ERR_NOMEM;
	it->name = mem_strndup(r->name);
	it->t.configs = map_new();
	if (it->name == NULL || it->t.configs == NULL) {
		topic_free(it);
		return ERR_NOMEM;
	}
	it->t.name = it->name;
	it->t.id = r->topic_id;
	it->t.internal = metadata_is_internal(r->name);
	*out = it;
	return ERR_OK;
}

static enum err reserve_sorted(struct image *im)
{
	if (im->topics_n < im->topics_cap)
		return ERR_OK;
	size_t cap = im->topics_cap == 0 ? 16 : im->topics_cap * 2;
	struct image_topic **grown = mem_resize(im->sorted, cap, sizeof *grown);
	if (grown == NULL)
		return ERR_NOMEM;
	im->sorted = grown;
	im->topics_cap = cap;
	return ERR_OK;
}

static enum err apply_topic(const struct apply *a)
{
	const struct topic_record *r = a->msg;
	struct image *im = a->im;
	const char *fault = metadata_name_fault(r->name);
	struct image_topic *it = NULL;

	if (fault != NULL)
		return errmsg_set(a->why, ERR_MALFORMED, "the topic's name is not allowed: %s",
				  fault);
	if (uuid_is_zero(&r->topic_id))
		return errmsg_set(a->why, ERR_MALFORMED, "the topic id is zero");
	if (image_find(im, r->name) != NULL || image_find_id(im, &r->topic_id) != NULL)
		return errmsg_set(a->why, ERR_MALFORMED, "the topic exists already");
	enum err e = reserve_sorted(im);
	if (e == ERR_OK)
		e = topic_new(r, &it);
	if (e != ERR_OK)
		return e;
	e = map_put(im->by_name, r->name, it);
	if (e != ERR_OK)
		goto err_after_topic;
	e = map_put(im->by_id, id_key(&r->topic_id), it);
	if (e != ERR_OK)
		goto err_after_name;
	size_t at = image_position(im, r->name);
	memmove(&im->sorted[at + 1], &im->sorted[at],
		(im->topics_n - at) * sizeof(struct image_topic *));
	im->sorted[at] = it;
	im->topics_n++;
	topic_configure(im, &it->t);
	return ERR_OK;

err_after_name:
	map_take(im->by_name, r->name);
err_after_topic:
	topic_free(it);
	return e;
}

static enum err apply_remove_topic(const struct apply *a)
{
	const struct remove_topic_record *r = a->msg;
	struct image *im = a->im;
	struct image_topic *it = image_find_id(im, &r->topic_id);

	if (it == NULL)
		return errmsg_set(a->why, ERR_MALFORMED, "the topic does not exist");
	if (im->removed != NULL && map_put(im->removed, id_key(&r->topic_id), im) != ERR_OK)
		return ERR_NOMEM;
	if (im->events.topic_removed != NULL)
		im->events.topic_removed(im->events.arg, &it->t);
	size_t at = image_position(im, bytes_str(it->name));
	im->topics_n--;
	memmove(&im->sorted[at], &im->sorted[at + 1],
		(im->topics_n - at) * sizeof(struct image_topic *));
	map_take(im->by_name, bytes_str(it->name));
	map_take(im->by_id, id_key(&r->topic_id));
	topic_free(it);
	return ERR_OK;
}

/* One replica, this node. */
static bool is_own(const struct image *im, const int32_t *nodes, int32_t n)
{
	return n == 1 && nodes[0] == im->node_id;
}

static enum err reserve_partition(struct image_topic *it)
{
	if (it->t.partitions_n < it->partitions_cap)
		return ERR_OK;
	int32_t cap = it->partitions_cap == 0              ? 1
		      : it->partitions_cap > INT32_MAX / 2 ? INT32_MAX
							   : it->partitions_cap * 2;
	struct partition *grown = mem_resize(it->t.partitions, (size_t)cap, sizeof *grown);
	if (grown == NULL)
		return ERR_NOMEM;
	it->t.partitions = grown;
	it->partitions_cap = cap;
	return ERR_OK;
}

static enum err apply_partition(const struct apply *a)
{
	const struct partition_record *r = a->msg;
	struct image *im = a->im;
	struct image_topic *it = image_find_id(im, &r->topic_id);

	if (it == NULL)
		return errmsg_set(a->why, ERR_MALFORMED, "the partition's topic does not exist");
	if (r->partition_id != it->t.partitions_n || r->partition_id == INT32_MAX)
		return errmsg_set(a->why, ERR_MALFORMED,
				  "partition %" PRId32 " of topic %s does not follow the %" PRId32
				  " that are there",
				  r->partition_id, it->name, it->t.partitions_n);
	if (!is_own(im, r->replicas, r->replicas_n) || !is_own(im, r->isr, r->isr_n) ||
	    r->removing_replicas_n > 0 || r->adding_replicas_n > 0)
		return errmsg_set(a->why, ERR_UNSUPPORTED,
				  "partition %s-%" PRId32 " has other replicas than node %" PRId32
				  ", and this version keeps one",
				  it->name, r->partition_id, im->node_id);
	if ((r->leader != im->node_id && r->leader != -1) || r->leader_epoch < 0 ||
	    r->partition_epoch < 0)
		return errmsg_set(a->why, ERR_MALFORMED,
				  "partition %s-%" PRId32 " has an impossible leader or epoch",
				  it->name, r->partition_id);
	if (reserve_partition(it) != ERR_OK)
		return ERR_NOMEM;
	struct partition *p = &it->t.partitions[it->t.partitions_n++];
	*p = (struct partition){
		.topic = &it->t,
		.index = r->partition_id,
		.leader = r->leader,
		.leader_epoch = r->leader_epoch,
		.partition_epoch = r->partition_epoch,
		.log_error = ERR_KAFKA_KAFKA_STORAGE_ERROR,
	};
	if (im->events.partition_added != NULL)
		im->events.partition_added(im->events.arg, p);
	return ERR_OK;
}

/* PartitionRegistration.merge: a leader that is given raises the leader epoch, be it the same. */
static enum err apply_partition_change(const struct apply *a)
{
	const struct partition_change_record *r = a->msg;
	struct image *im = a->im;
	struct image_topic *it = image_find_id(im, &r->topic_id);
	enum { NO_CHANGE = -2 };

	if (it == NULL || r->partition_id < 0 || r->partition_id >= it->t.partitions_n)
		return errmsg_set(a->why, ERR_MALFORMED, "the partition does not exist");
	struct partition *p = &it->t.partitions[r->partition_id];
	if ((r->isr_n >= 0 && !is_own(im, r->isr, r->isr_n)) ||
	    (r->replicas_n >= 0 && !is_own(im, r->replicas, r->replicas_n)) ||
	    r->adding_replicas_n > 0 || r->removing_replicas_n > 0)
		return errmsg_set(a->why, ERR_UNSUPPORTED,
				  "partition %s-%" PRId32 " gets other replicas than node %" PRId32
				  ", and this version keeps one",
				  it->name, r->partition_id, im->node_id);
	if ((r->leader != NO_CHANGE && r->leader != -1 && r->leader != im->node_id) ||
	    p->leader_epoch == INT32_MAX || p->partition_epoch == INT32_MAX)
		return errmsg_set(a->why, ERR_MALFORMED,
				  "partition %s-%" PRId32 " gets an impossible leader or epoch",
				  it->name, r->partition_id);
	if (r->leader != NO_CHANGE) {
		p->leader = r->leader;
		p->leader_epoch++;
	}
	p->partition_epoch++;
	return ERR_OK;
}

/* ---- the broker, features, producer ids ---- */

static enum err apply_feature(const struct apply *a)
{
	const struct feature_level_record *r = a->msg;

	if (!bytes_eq_str(r->name, "metadata.version"))
		return errmsg_set(a->why, ERR_UNSUPPORTED,
				  "feature %.*s is not known to this version",
				  (int)(r->name.n < 80 ? r->name.n : 80), (const char *)r->name.p);
	if (r->feature_level < METADATA_VERSION_MIN || r->feature_level > METADATA_VERSION)
		return errmsg_set(a->why, ERR_UNSUPPORTED,
				  "metadata.version %d; this version knows %d to %d",
				  r->feature_level, METADATA_VERSION_MIN, METADATA_VERSION);
	a->im->metadata_version = r->feature_level;
	return ERR_OK;
}

static enum err apply_register_broker(const struct apply *a)
{
	const struct register_broker_record *r = a->msg;

	if (r->broker_id != a->im->node_id)
		return errmsg_set(a->why, ERR_UNSUPPORTED,
				  "it registers broker %" PRId32 " in the metadata of node %" PRId32
				  ", and this version has one",
				  r->broker_id, a->im->node_id);
	if (r->broker_epoch != a->offset)
		return errmsg_set(a->why, ERR_MALFORMED,
				  "broker epoch %" PRId64 " is not its offset", r->broker_epoch);
	a->im->broker_epoch = r->broker_epoch;
	a->im->broker_fenced = r->fenced;
	return ERR_OK;
}

static enum err own_epoch(const struct apply *a, int32_t id, int64_t epoch)
{
	if (id != a->im->node_id || epoch != a->im->broker_epoch || epoch < 0)
		return errmsg_set(a->why, ERR_MALFORMED,
				  "broker %" PRId32 " with epoch %" PRId64 " is not registered", id,
				  epoch);
	return ERR_OK;
}

static enum err apply_registration_change(const struct apply *a)
{
	const struct broker_registration_change_record *r = a->msg;
	enum err e = own_epoch(a, r->broker_id, r->broker_epoch);

	/* 1 fences, -1 unfences, 0 leaves it (BrokerRegistrationFencingChange.java). */
	if (e == ERR_OK && (r->fenced < -1 || r->fenced > 1))
		return errmsg_set(a->why, ERR_MALFORMED, "fencing change %d", r->fenced);
	if (e == ERR_OK && r->fenced != 0)
		a->im->broker_fenced = r->fenced > 0;
	return e;
}

static enum err apply_fence(const struct apply *a)
{
	const struct fence_broker_record *r = a->msg;
	enum err e = own_epoch(a, r->id, r->epoch);

	if (e == ERR_OK)
		a->im->broker_fenced = true;
	return e;
}

static enum err apply_unfence(const struct apply *a)
{
	const struct unfence_broker_record *r = a->msg;
	enum err e = own_epoch(a, r->id, r->epoch);

	if (e == ERR_OK)
		a->im->broker_fenced = false;
	return e;
}

static enum err apply_producer_ids(const struct apply *a)
{
	const struct producer_ids_record *r = a->msg;

	if (r->next_producer_id < a->im->next_producer_id)
		return errmsg_set(a->why, ERR_MALFORMED,
				  "producer ids go back from %" PRId64 " to %" PRId64,
				  a->im->next_producer_id, r->next_producer_id);
	a->im->next_producer_id = r->next_producer_id;
	return ERR_OK;
}

static enum err apply_nothing(const struct apply *a)
{
	(void)a;
	return ERR_OK;
}

/* ---- dispatch ---- */

/* The records that this version writes or can take; what is not here stops a start. */
static const struct {
	const struct wire_message *message;
	enum err (*apply)(const struct apply *a);
} handlers[] = {
	{&wire_register_broker_record, apply_register_broker},
	{&wire_topic_record, apply_topic},
	{&wire_partition_record, apply_partition},
	{&wire_config_record, apply_config},
	{&wire_partition_change_record, apply_partition_change},
	{&wire_fence_broker_record, apply_fence},
	{&wire_unfence_broker_record, apply_unfence},
	{&wire_remove_topic_record, apply_remove_topic},
	{&wire_feature_level_record, apply_feature},
	{&wire_producer_ids_record, apply_producer_ids},
	{&wire_broker_registration_change_record, apply_registration_change},
	{&wire_no_op_record, apply_nothing},
};

enum { HANDLERS_N = sizeof handlers / sizeof handlers[0] };

/* Room for the struct of any of them. */
union any_record {
	struct register_broker_record a;
	struct topic_record b;
	struct partition_record c;
	struct config_record d;
	struct partition_change_record e;
	struct fence_broker_record f;
	struct unfence_broker_record g;
	struct remove_topic_record h;
	struct feature_level_record i;
	struct producer_ids_record j;
	struct broker_registration_change_record k;
	struct no_op_record l;
};

static enum err decode_and_apply(struct image *im, size_t which, const struct record_frame *f,
				 struct apply *a)
{
	const struct wire_message *m = handlers[which].message;
	union any_record msg;
	struct arena arena;

	arena_init(&arena, DECODE_MAX);
	enum err e = wire_decode(m, f->version, f->payload, &arena, &msg, a->why);
	if (e == ERR_LIMIT)
		e = errmsg_set(a->why, ERR_MALFORMED, "it is too large");
	if (e == ERR_OK) {
		a->msg = &msg;
		e = handlers[which].apply(a);
	}
	arena_fini(&arena);
	if (e == ERR_OK)
		im->offset = a->offset;
	else
		errmsg_wrap(a->why, e, "%s", m->name);
	return e;
}

enum err image_apply(struct image *im, int64_t offset, struct bytes value, struct errmsg *why)
{
	struct record_frame f;
	enum err e = record_frame_get(value, &f, why);

	if (e != ERR_OK)
		return e;
	for (size_t i = 0; i < HANDLERS_N; i++) {
		const struct wire_message *m = handlers[i].message;
		if ((uint32_t)m->record_type != f.type)
			continue;
		if (f.version < m->min_version || f.version > m->max_version)
			return errmsg_set(why, ERR_UNSUPPORTED,
					  "%s version %d; this version knows %d to %d", m->name,
					  f.version, m->min_version, m->max_version);
		struct apply a = {.im = im, .offset = offset, .why = why};
		return decode_and_apply(im, i, &f, &a);
	}
	return errmsg_set(why, ERR_UNSUPPORTED,
			  "record type %" PRIu32 " is not known to this version", f.type);
}
