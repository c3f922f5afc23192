/* SPDX-License-Identifier: Apache-2.0 */
/* A map of topics; each has its partitions in an array, sorted by number. */
#include "cluster/group/offsets.h"

#include "lib/base/map.h"
#include "lib/base/mem.h"

struct slot {
	int32_t partition;
	struct committed_offset c; /* owns its metadata */
};

struct offsets_topic {
	struct slot *slots;
	size_t n, cap;
};

struct offsets {
	struct map *topics;
	size_t count, bytes;
};

enum { TOPIC_OVERHEAD = 96 }; /* bytes of a topic's slot in the map and of its allocations */

struct offsets *offsets_new(void)
{
	struct offsets *o = mem_zalloc(1, sizeof *o);
	if (o == NULL)
		return NULL;
	o->topics = map_new();
	if (o->topics == NULL) {
		mem_free(o);
		return NULL;
	}
	return o;
}

static void drop_metadata(struct offsets *o, struct committed_offset *c)
{
	o->bytes -= c->metadata.n;
	mem_free((void *)(uintptr_t)c->metadata.p);
	c->metadata = bytes_of(NULL, 0);
}

void offsets_free(struct offsets *o)
{
	size_t at = 0;
	struct bytes name;
	void *value;
	if (o == NULL)
		return;
	while (map_next(o->topics, &at, &name, &value)) {
		struct offsets_topic *t = value;
		for (size_t i = 0; i < t->n; i++)
			drop_metadata(o, &t->slots[i].c);
		mem_free(t->slots);
		mem_free(t);
	}
	map_free(o->topics);
	mem_free(o);
}

/* The first slot whose partition is not lower. */
static size_t lower_bound(const struct offsets_topic *t, int32_t partition)
{
	size_t lo = 0, hi = t->n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (t->slots[mid].partition < partition)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool holds(const struct offsets_topic *t, size_t i, int32_t partition)
{
	return i < t->n && t->slots[i].partition == partition;
}

static enum err insert(struct offsets *o, struct offsets_topic *t, size_t i, int32_t partition)
{
	if (t->n == t->cap) {
		size_t cap = t->cap == 0 ? 1 : t->cap * 2;
		struct slot *slots = mem_resize(t->slots, cap, sizeof *slots);
		if (slots == NULL)
			return ERR_NOMEM;
		o->bytes += (cap - t->cap) * sizeof *slots;
		t->slots = slots;
		t->cap = cap;
	}
	memmove(&t->slots[i + 1], &t->slots[i], (t->n - i) * sizeof t->slots[0]);
	t->slots[i] = (struct slot){.partition = partition};
	t->n++;
	o->count++;
	return ERR_OK;
}

static void remove_topic(struct offsets *o, struct bytes name, struct offsets_topic *t)
{
	map_take(o->topics, name);
	o->bytes -= sizeof *t + t->cap * sizeof t->slots[0] + name.n + TOPIC_OVERHEAD;
	mem_free(t->slots);
	mem_free(t);
}

static struct offsets_topic *add_topic(struct offsets *o, struct bytes name)
{
	struct offsets_topic *t = mem_zalloc(1, sizeof *t);
	if (t == NULL || map_put(o->topics, name, t) != ERR_OK) {
		mem_free(t);
		return NULL;
	}
	o->bytes += sizeof *t + name.n + TOPIC_OVERHEAD;
	return t;
}

enum err offsets_put(struct offsets *o, struct bytes topic, int32_t partition,
		     const struct committed_offset *c)
{
	uint8_t *metadata = NULL;
	if (c->metadata.n > 0) {
		metadata = mem_alloc(c->metadata.n);
		if (metadata == NULL)
			return ERR_NOMEM;
		memcpy(metadata, c->metadata.p, c->metadata.n);
	}
	struct offsets_topic *t = map_get(o->topics, topic);
	if (t == NULL && (t = add_topic(o, topic)) == NULL)
		goto err_after_metadata;
	size_t i = lower_bound(t, partition);
	if (!holds(t, i, partition) && insert(o, t, i, partition) != ERR_OK)
		goto err_after_topic;
	struct committed_offset *to = &t->slots[i].c;
	drop_metadata(o, to);
	*to = *c;
	to->metadata = bytes_of(metadata, c->metadata.n);
	o->bytes += c->metadata.n;
	return ERR_OK;

err_after_topic:
	if (t->n == 0)
		remove_topic(o, topic, t);
err_after_metadata:
	mem_free(metadata);
	return ERR_NOMEM;
}

bool offsets_remove(struct offsets *o, struct bytes topic, int32_t partition)
{
	struct offsets_topic *t = map_get(o->topics, topic);
	if (t == NULL)
		return false;
	size_t i = lower_bound(t, partition);
	if (!holds(t, i, partition))
		return false;
	drop_metadata(o, &t->slots[i].c);
	t->n--;
	o->count--;
	memmove(&t->slots[i], &t->slots[i + 1], (t->n - i) * sizeof t->slots[0]);
	if (t->n == 0)
		remove_topic(o, topic, t);
	return true;
}

const struct committed_offset *offsets_get(const struct offsets *o, struct bytes topic,
					   int32_t partition)
{
	const struct offsets_topic *t = map_get(o->topics, topic);
	if (t == NULL)
		return NULL;
	size_t i = lower_bound(t, partition);
	return holds(t, i, partition) ? &t->slots[i].c : NULL;
}

size_t offsets_count(const struct offsets *o)
{
	return o->count;
}

size_t offsets_topics(const struct offsets *o)
{
	return map_count(o->topics);
}

size_t offsets_bytes(const struct offsets *o)
{
	return sizeof *o + o->bytes;
}

const struct offsets_topic *offsets_next_topic(const struct offsets *o, size_t *at,
					       struct bytes *name)
{
	void *value;
	return map_next(o->topics, at, name, &value) ? value : NULL;
}

const struct offsets_topic *offsets_topic(const struct offsets *o, struct bytes name)
{
	return map_get(o->topics, name);
}

size_t offsets_topic_count(const struct offsets_topic *t)
{
	return t->n;
}

const struct committed_offset *offsets_topic_at(const struct offsets_topic *t, size_t i,
						int32_t *partition)
{
	if (i >= t->n)
		return NULL;
	*partition = t->slots[i].partition;
	return &t->slots[i].c;
}

bool offsets_expired(const struct committed_offset *c, const struct offsets_expiry *x)
{
	if (c->expire_timestamp != -1)
		return x->now >= c->expire_timestamp;
	int64_t base = x->base == -1 ? c->commit_timestamp : x->base;
	/* Both come from a record: a base of the far past must not overflow. */
	return base <= x->now && (uint64_t)x->now - (uint64_t)base >= (uint64_t)x->retention_ms;
}
