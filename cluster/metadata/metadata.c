/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metadata as a whole: open (replay, logs, registration), and what others read from the image.
 */
#include "cluster/metadata/metadata.h"

#include "cluster/metadata/metadata_priv.h"
#include "lib/base/mem.h"

#define METADATA_TOPIC "__cluster_metadata"

/* The metadata log keeps everything, and is synced with every change whatever log.fsync says: it is
 * small, and what it loses takes whole topics along. */
static void log_config(struct plog_config *c)
{
	plog_config_init(c);
	c->retention_ms = -1;
	c->retention_bytes = -1;
	c->cleanup_delete = false;
	c->cleanup_compact = false;
	c->flush_messages = 1;
}

/* A random uuid as Java's (version 4), not one that Kafka prints with a leading dash, which command
 * lines would take for an option (Uuid.java). */
void metadata_random_id(const struct metadata *m, struct uuid *out)
{
	const struct clock *c = loop_clock(m->loop);

	do {
		be64_put(out->b, c->random(c->ctx));
		be64_put(out->b + 8, c->random(c->ctx));
		out->b[6] = (uint8_t)((out->b[6] & 0x0f) | 0x40);
		out->b[8] = (uint8_t)((out->b[8] & 0x3f) | 0x80);
	} while (out->b[0] >> 2 == 62 || image_find_id(&m->image, out) != NULL);
}

/* Replay, then the logs of what it gave. */
static enum err load(struct metadata *m, struct errmsg *why)
{
	static const struct uuid no_id;
	struct plog_config c;

	log_config(&c);
	enum err e = store_log(m->store, METADATA_TOPIC, 0, &no_id, &c, true, &m->log, why);
	if (e != ERR_OK)
		return errmsg_wrap(why, e, "%s", METADATA_TOPIC);
	e = image_remember_removed(&m->image);
	if (e == ERR_OK)
		e = replay_run(m, why);
	if (e != ERR_OK)
		return e;
	partition_logs_follow(m);
	partition_logs_open_all(m);
	image_forget_removed(&m->image);
	return ERR_OK;
}

enum err metadata_open(const struct metadata_options *o, struct metadata **out, struct errmsg *why)
{
	struct metadata *m = mem_zalloc(1, sizeof *m);

	if (m == NULL)
		return errmsg_set(why, ERR_NOMEM, "out of memory");
	m->store = o->store;
	m->loop = o->loop;
	m->node_id = o->node_id;
	m->default_partitions = o->default_partitions > 0 ? o->default_partitions : 1;
	m->on_topic_deleted = o->on_topic_deleted;
	m->on_topic_deleted_arg = o->arg;
	errmsg_set(why, ERR_NOMEM, "out of memory");
	enum err e = image_init(&m->image, o->node_id, o->log_defaults);
	if (e == ERR_OK)
		e = propose_init(m);
	if (e == ERR_OK)
		e = partition_logs_init(m);
	if (e == ERR_OK)
		e = producer_ids_init(m);
	if (e == ERR_OK)
		e = load(m, why);
	if (e == ERR_OK)
		e = register_start(m, o);
	if (e != ERR_OK) {
		metadata_free(m);
		return e;
	}
	*out = m;
	return ERR_OK;
}

void metadata_free(struct metadata *m)
{
	if (m == NULL)
		return;
	propose_fini(m);
	producer_ids_fini(m);
	register_fini(m);
	partition_logs_fini(m);
	image_fini(&m->image);
	mem_free(m);
}

/* ---- the image ---- */

const struct topic *metadata_topic(const struct metadata *m, struct bytes name)
{
	const struct image_topic *it = image_find(&m->image, name);

	return it == NULL ? NULL : &it->t;
}

const struct topic *metadata_topic_by_id(const struct metadata *m, const struct uuid *id)
{
	const struct image_topic *it = image_find_id(&m->image, id);

	return it == NULL ? NULL : &it->t;
}

static struct partition *partition_of(struct image_topic *it, int32_t index)
{
	if (it == NULL || index < 0 || index >= it->t.partitions_n)
		return NULL;
	return &it->t.partitions[index];
}

struct partition *metadata_partition(const struct metadata *m, struct bytes name, int32_t index)
{
	return partition_of(image_find(&m->image, name), index);
}

struct partition *metadata_partition_by_id(const struct metadata *m, const struct uuid *id,
					   int32_t index)
{
	return partition_of(image_find_id(&m->image, id), index);
}

const struct topic *const *metadata_topics(const struct metadata *m, size_t *n)
{
	/* A topic is the first member of its image_topic, so the pointers are the same. */
	*n = m->image.topics_n;
	return (const struct topic *const *)(const void *)m->image.sorted;
}

const struct map *metadata_broker_configs(const struct metadata *m, bool cluster_default)
{
	return cluster_default ? m->image.cluster_configs : m->image.broker_configs;
}

void metadata_log_defaults(const struct metadata *m, struct plog_config *out)
{
	image_log_defaults(&m->image, out);
}

int64_t metadata_broker_epoch(const struct metadata *m)
{
	return m->image.broker_epoch;
}

int64_t metadata_offset(const struct metadata *m)
{
	return m->image.offset;
}

int16_t metadata_version(const struct metadata *m)
{
	return m->image.metadata_version;
}
