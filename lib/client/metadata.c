/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metadata snapshots. Everything lives in the snapshot's arena and dies with it. The answer is
 * hostile: names, addresses, indexes and counts are checked before use; the arena bounds the rest.
 */
#include "lib/client/metadata.h"

#include <stdlib.h>

#include "lib/base/mem.h"

struct topics {
	const struct client_topic **p;
	size_t n;
};

struct metadata {
	struct arena arena;
	struct metadata *former;
	struct endpoint *brokers;
	size_t brokers_n;
	struct topics by_name;
	struct topics by_id; /* those that have one */
	int32_t controller;
	const char *cluster_id;
	size_t skipped_topics;
	size_t skipped_brokers;
};

/* Arena memory for `n` items, also for none. */
static void *room(struct metadata *m, size_t n, size_t size)
{
	return arena_zalloc(&m->arena, n > 0 ? n : 1, size);
}

bool metadata_topic_name_valid(struct bytes name)
{
	if (name.p == NULL || name.n == 0 || name.n > METADATA_TOPIC_NAME_MAX)
		return false;
	if (bytes_eq_str(name, ".") || bytes_eq_str(name, ".."))
		return false;
	for (size_t i = 0; i < name.n; i++) {
		uint8_t c = name.p[i];
		bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			  (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
		if (!ok)
			return false;
	}
	return true;
}

/* ---- brokers ---- */

static int compare_brokers(const void *a, const void *b)
{
	const struct endpoint *x = a, *y = b;
	return (x->id > y->id) - (x->id < y->id);
}

static struct endpoint *find_broker(const struct metadata *m, int32_t id)
{
	struct endpoint key = {.id = id};
	if (m->brokers_n == 0)
		return NULL;
	return bsearch(&key, m->brokers, m->brokers_n, sizeof key, compare_brokers);
}

static enum err take_brokers(struct metadata *m, const struct metadata_response *r)
{
	size_t n = r->brokers_n > 0 ? (size_t)r->brokers_n : 0;
	m->brokers = room(m, n, sizeof *m->brokers);
	if (m->brokers == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct metadata_response_metadata_response_broker *b = &r->brokers[i];
		if (b->node_id < 0 || b->port < 1 || b->port > UINT16_MAX ||
		    !broker_host_valid(b->host))
			continue;
		char *host = arena_strndup(&m->arena, b->host);
		if (host == NULL)
			return ERR_NOMEM;
		m->brokers[m->brokers_n++] = (struct endpoint){
			.id = b->node_id, .host = bytes_str(host), .port = (uint16_t)b->port};
	}
	if (m->brokers_n > 0)
		qsort(m->brokers, m->brokers_n, sizeof *m->brokers, compare_brokers);
	size_t kept = 0;
	for (size_t i = 0; i < m->brokers_n; i++) {
		if (kept == 0 || m->brokers[kept - 1].id != m->brokers[i].id)
			m->brokers[kept++] = m->brokers[i];
	}
	m->brokers_n = kept;
	m->skipped_brokers = n - kept;
	return ERR_OK;
}

/* ---- topics ---- */

static int compare_names(const void *a, const void *b)
{
	const struct client_topic *const *x = a, *const *y = b;
	return strcmp((*x)->name, (*y)->name);
}

static int compare_ids(const void *a, const void *b)
{
	const struct client_topic *const *x = a, *const *y = b;
	return memcmp((*x)->id.b, (*y)->id.b, sizeof(struct uuid));
}

static const struct client_topic *find_topic(const struct topics *t, const struct client_topic *key,
					     int (*compare)(const void *, const void *))
{
	if (t->n == 0)
		return NULL;
	const struct client_topic **hit = bsearch(&key, t->p, t->n, sizeof *t->p, compare);
	return hit == NULL ? NULL : *hit;
}

/* Sort and drop the second of two equal ones: a broker does not send such. Returns how many. */
static size_t sort_topics(struct topics *t, int (*compare)(const void *, const void *))
{
	size_t kept = 0;
	if (t->n > 0)
		qsort(t->p, t->n, sizeof *t->p, compare);
	for (size_t i = 0; i < t->n; i++) {
		if (kept == 0 || compare(&t->p[kept - 1], &t->p[i]) != 0)
			t->p[kept++] = t->p[i];
	}
	size_t dropped = t->n - kept;
	t->n = kept;
	return dropped;
}

/* What is known of the topic under this id, if it is the same topic as before. */
static const struct client_topic *same_topic(const struct metadata *old, const char *name,
					     const struct uuid *id)
{
	const struct client_topic *was = old == NULL ? NULL : metadata_topic(old, name);
	if (was == NULL || uuid_is_zero(&was->id) || !uuid_eq(&was->id, id))
		return NULL;
	return was;
}

/* Put the answer's partitions to their indexes; false if they are not 0..n-1. */
static bool place_partitions(const struct metadata *m,
			     const struct metadata_response_metadata_response_topic *t,
			     struct client_partition *parts)
{
	enum { UNSEEN = INT32_MIN };
	for (int32_t i = 0; i < t->partitions_n; i++)
		parts[i].leader = UNSEEN;
	for (int32_t i = 0; i < t->partitions_n; i++) {
		int32_t at = t->partitions[i].partition_index;
		if (at < 0 || at >= t->partitions_n || parts[at].leader != UNSEEN)
			return false;
		int32_t leader = t->partitions[i].leader_id;
		int32_t epoch = t->partitions[i].leader_epoch;
		parts[at].leader = find_broker(m, leader) == NULL ? -1 : leader;
		parts[at].leader_epoch = epoch < 0 ? -1 : epoch;
	}
	return true;
}

/* KIP-320: an answer of a broker that lags behind does not take us back. */
static void keep_newer(const struct client_topic *was, struct client_topic *topic,
		       struct client_partition *parts, int32_t named)
{
	for (int32_t i = 0; i < was->partitions_n && i < topic->partitions_n; i++) {
		bool older = parts[i].leader_epoch >= 0 &&
			     parts[i].leader_epoch < was->partitions[i].leader_epoch;
		if (i >= named || older)
			parts[i] = was->partitions[i];
	}
}

static enum err take_partitions(struct metadata *m, const struct metadata *old,
				const struct metadata_response_metadata_response_topic *t,
				struct client_topic *topic)
{
	const struct client_topic *was = same_topic(old, topic->name, &topic->id);
	int32_t n = t->partitions_n;
	/* Partitions of a topic are never taken away: a shorter answer is an older one. */
	if (was != NULL && was->partitions_n > n)
		n = was->partitions_n;
	struct client_partition *parts = room(m, (size_t)n, sizeof *parts);
	if (parts == NULL)
		return ERR_NOMEM;
	if (t->partitions_n < 1 || !place_partitions(m, t, parts)) {
		topic->error = ERR_MALFORMED;
		return ERR_OK;
	}
	topic->partitions = parts;
	topic->partitions_n = n;
	if (was != NULL)
		keep_newer(was, topic, parts, t->partitions_n);
	return ERR_OK;
}

/* A topic with an error: what is known of it stays visible behind the error. */
static enum err keep_known(struct metadata *m, const struct metadata *old,
			   struct client_topic *topic)
{
	const struct client_topic *was = old == NULL ? NULL : metadata_topic(old, topic->name);
	if (was == NULL || uuid_is_zero(&was->id))
		return ERR_OK;
	if (!uuid_is_zero(&topic->id) && !uuid_eq(&topic->id, &was->id))
		return ERR_OK;
	size_t n = (size_t)was->partitions_n;
	struct client_partition *parts = room(m, n, sizeof *parts);
	if (parts == NULL)
		return ERR_NOMEM;
	if (n > 0)
		memcpy(parts, was->partitions, n * sizeof *parts);
	topic->id = was->id;
	topic->internal = was->internal;
	topic->partitions = parts;
	topic->partitions_n = was->partitions_n;
	return ERR_OK;
}

static enum err take_topic(struct metadata *m, const struct metadata *old,
			   const struct metadata_response_metadata_response_topic *t)
{
	struct client_topic *topic = arena_zalloc(&m->arena, 1, sizeof *topic);
	if (topic == NULL)
		return ERR_NOMEM;
	topic->name = arena_strndup(&m->arena, t->name);
	if (topic->name == NULL)
		return ERR_NOMEM;
	topic->id = t->topic_id;
	topic->internal = t->is_internal;
	topic->error = err_from_kafka(t->error_code);
	enum err e = topic->error == ERR_OK ? take_partitions(m, old, t, topic)
					    : keep_known(m, old, topic);
	if (e != ERR_OK)
		return e;
	m->by_name.p[m->by_name.n++] = topic;
	return ERR_OK;
}

static enum err take_topics(struct metadata *m, const struct metadata *old,
			    const struct metadata_response *r)
{
	size_t n = r->topics_n > 0 ? (size_t)r->topics_n : 0;
	m->by_name.p = room(m, n, sizeof *m->by_name.p);
	m->by_id.p = room(m, n, sizeof *m->by_id.p);
	if (m->by_name.p == NULL || m->by_id.p == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < n; i++) {
		if (!metadata_topic_name_valid(r->topics[i].name)) {
			m->skipped_topics++;
			continue;
		}
		enum err e = take_topic(m, old, &r->topics[i]);
		if (e != ERR_OK)
			return e;
	}
	m->skipped_topics += sort_topics(&m->by_name, compare_names);
	for (size_t i = 0; i < m->by_name.n; i++) {
		if (!uuid_is_zero(&m->by_name.p[i]->id))
			m->by_id.p[m->by_id.n++] = m->by_name.p[i];
	}
	sort_topics(&m->by_id, compare_ids);
	return ERR_OK;
}

/* ---- the snapshot ---- */

static enum err take_cluster(struct metadata *m, const struct metadata_response *r)
{
	m->controller = find_broker(m, r->controller_id) == NULL ? -1 : r->controller_id;
	if (r->cluster_id.p == NULL || r->cluster_id.n == 0 ||
	    r->cluster_id.n > METADATA_CLUSTER_ID_MAX)
		return ERR_OK;
	m->cluster_id = arena_strndup(&m->arena, r->cluster_id);
	return m->cluster_id == NULL ? ERR_NOMEM : ERR_OK;
}

enum err metadata_new(const struct metadata_response *r, const struct metadata *old, size_t max,
		      struct metadata **out, struct errmsg *why)
{
	struct metadata *m = mem_zalloc(1, sizeof *m);
	if (m == NULL)
		return errmsg_set(why, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	arena_init(&m->arena, max);
	enum err e = take_brokers(m, r);
	if (e == ERR_OK && m->brokers_n == 0) {
		e = errmsg_set(why, ERR_MALFORMED, "metadata: no usable broker among %d",
			       r->brokers_n);
		goto err_after_alloc;
	}
	if (e == ERR_OK)
		e = take_cluster(m, r);
	if (e == ERR_OK)
		e = take_topics(m, old, r);
	if (e != ERR_OK) {
		/* The arena does not tell its own limit from the machine's. */
		e = errmsg_set(why, ERR_LIMIT,
			       "metadata: %d brokers and %d topics do not fit in %zu bytes",
			       r->brokers_n, r->topics_n, max);
		goto err_after_alloc;
	}
	*out = m;
	return ERR_OK;

err_after_alloc:
	metadata_free(m);
	return e;
}

void metadata_free(struct metadata *m)
{
	while (m != NULL) {
		struct metadata *former = m->former;
		arena_fini(&m->arena);
		mem_free(m);
		m = former;
	}
}

void metadata_keep(struct metadata *m, struct metadata *former)
{
	m->former = former;
}

void metadata_drop(struct metadata *m)
{
	metadata_free(m->former);
	m->former = NULL;
}

size_t metadata_brokers(const struct metadata *m, const struct endpoint **out)
{
	*out = m->brokers;
	return m->brokers_n;
}

int32_t metadata_controller(const struct metadata *m)
{
	return m->controller;
}

const char *metadata_cluster_id(const struct metadata *m)
{
	return m->cluster_id;
}

size_t metadata_skipped_topics(const struct metadata *m)
{
	return m->skipped_topics;
}

size_t metadata_skipped_brokers(const struct metadata *m)
{
	return m->skipped_brokers;
}

const struct client_topic *metadata_topic(const struct metadata *m, const char *name)
{
	struct client_topic key = {.name = name};
	return find_topic(&m->by_name, &key, compare_names);
}

const struct client_topic *metadata_topic_by_id(const struct metadata *m, const struct uuid *id)
{
	struct client_topic key = {.id = *id};
	return find_topic(&m->by_id, &key, compare_ids);
}

size_t metadata_topics(const struct metadata *m, const struct client_topic *const **out)
{
	*out = m->by_name.p;
	return m->by_name.n;
}

void metadata_set_leader(struct metadata *m, const char *topic, int32_t partition, int32_t leader,
			 int32_t epoch)
{
	const struct client_topic *t = metadata_topic(m, topic);
	if (t == NULL || partition < 0 || partition >= t->partitions_n)
		return;
	/* The arena's memory is this snapshot's own; only its users see it as constant. */
	struct client_partition *p = (struct client_partition *)&t->partitions[partition];
	if (epoch > p->leader_epoch)
		*p = (struct client_partition){.leader = leader, .leader_epoch = epoch};
}
