/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records on their way to the log, and what happens when they are there.
 *
 * The table changes only when the log says "stored": a fetch never shows an offset that a crash
 * could take back. Changes of one partition come back in the order of the log, so the table always
 * is what a replay up to that point would make. While a change is under way its group cannot go
 * (entry->pending).
 */
#include <assert.h>

#include "cluster/group/groups_priv.h"
#include "lib/base/mem.h"

enum {
	ARENA_MAX = 128 << 20, /* bytes of a change in memory */
	RECORD_MAX = 1 << 20   /* of an encoded key or value: names and one text */
};

struct change {
	struct group_write write;
	struct groups *groups;
	struct groups_wait *wait;
	void (*fill)(struct change *c, struct entry *e);
	bool deletes; /* the group: nothing else is begun meanwhile */
	struct bytes group;
	struct arena arena; /* texts */
	struct group_record *records;
	size_t n, cap;
	size_t bytes; /* of the records in a batch, at most */
	enum err fault;
	struct change *next, **back; /* the coordinator's list */
};

static struct bytes keep(struct change *c, struct bytes b)
{
	char *copy = b.p == NULL ? NULL : arena_strndup(&c->arena, b);
	if (b.p != NULL && copy == NULL)
		c->fault = ERR_NOMEM;
	return copy == NULL ? bytes_of(NULL, 0) : bytes_of(copy, b.n);
}

struct change *change_new(struct groups *g, struct bytes group_id)
{
	struct change *c = mem_zalloc(1, sizeof *c);
	if (c == NULL)
		return NULL;
	arena_init(&c->arena, ARENA_MAX);
	c->groups = g;
	c->group = keep(c, group_id);
	if (c->fault != ERR_OK) {
		arena_fini(&c->arena);
		mem_free(c);
		return NULL;
	}
	return c;
}

void change_free(struct change *c)
{
	if (c == NULL)
		return;
	if (c->back != NULL) {
		*c->back = c->next;
		if (c->next != NULL)
			c->next->back = c->back;
	}
	if (c->wait != NULL)
		c->wait->slot = NULL;
	arena_fini(&c->arena);
	mem_free(c->records);
	mem_free(c);
}

size_t change_count(const struct change *c)
{
	return c->n;
}

struct groups *change_groups(const struct change *c)
{
	return c->groups;
}

/* ---- records ---- */

static struct group_record *add(struct change *c, enum group_record_type type)
{
	if (c->n == c->cap) {
		size_t cap = c->cap == 0 ? 4 : c->cap * 2;
		struct group_record *r = mem_resize(c->records, cap, sizeof *r);
		if (r == NULL) {
			c->fault = ERR_NOMEM;
			return NULL;
		}
		c->records = r;
		c->cap = cap;
	}
	struct group_record *r = &c->records[c->n++];
	*r = (struct group_record){.type = type, .deleted = true, .group = c->group};
	c->bytes += c->group.n + SHARD_RECORD_OVERHEAD;
	return r;
}

static struct group_record *add_offset(struct change *c, struct bytes topic, int32_t partition)
{
	enum { FIXED = 64 }; /* bytes of numbers and lengths in key and value */
	struct group_record *r = add(c, GROUP_RECORD_OFFSET);
	if (r == NULL)
		return NULL;
	r->offset_key.group = c->group;
	r->offset_key.partition = partition;
	/* Requests list the partitions of a topic together. */
	const struct group_record *before = r - 1;
	if (c->n > 1 && bytes_eq(before->offset_key.topic, topic))
		r->offset_key.topic = before->offset_key.topic;
	else
		r->offset_key.topic = keep(c, topic);
	c->bytes += topic.n + FIXED;
	return r;
}

void change_put_offset(struct change *c, const struct groups_offset *o, int64_t now,
		       int64_t expire_timestamp)
{
	struct group_record *r = add_offset(c, o->topic, o->partition);
	if (r == NULL)
		return;
	r->deleted = false;
	wire_init(&wire_offset_commit_value, &r->offset);
	r->offset.offset = o->offset;
	r->offset.leader_epoch = o->leader_epoch < 0 ? -1 : o->leader_epoch;
	r->offset.commit_timestamp = now;
	r->offset.expire_timestamp = expire_timestamp;
	r->offset.topic_id = o->topic_id;
	if (o->metadata.n > 0)
		r->offset.metadata = keep(c, o->metadata);
	c->bytes += o->metadata.n;
}

void change_remove_offset(struct change *c, struct bytes topic, int32_t partition)
{
	add_offset(c, topic, partition);
}

void change_remove_offsets(struct change *c, const struct offsets *o)
{
	size_t at = 0;
	struct bytes name;
	const struct offsets_topic *t;
	while ((t = offsets_next_topic(o, &at, &name)) != NULL) {
		int32_t partition;
		for (size_t i = 0; offsets_topic_at(t, i, &partition) != NULL; i++)
			change_remove_offset(c, name, partition);
	}
}

void change_remove_group(struct change *c)
{
	add(c, GROUP_RECORD_GROUP);
}

static enum err encode(const struct group_record *r, struct buf *key, struct buf *value)
{
	buf_clear(key);
	buf_clear(value);
	if (r->type == GROUP_RECORD_GROUP)
		return group_record_put_group_key(r->group, key);
	enum err e = group_record_put_offset_key(&r->offset_key, key);
	if (e == ERR_OK && !r->deleted)
		e = group_record_put_offset(&r->offset, value);
	return e;
}

/* All of them in one operation. */
static enum err write_records(struct change *c, struct shard *s)
{
	struct buf key, value;
	enum err e = c->fault;
	buf_init(&key, RECORD_MAX);
	buf_init(&value, RECORD_MAX);
	/* Encode each once before the first is added: an operation has no way back. */
	for (size_t i = 0; e == ERR_OK && i < c->n; i++)
		e = encode(&c->records[i], &key, &value);
	if (e == ERR_OK)
		e = shard_begin(s, c->bytes);
	for (size_t i = 0; e == ERR_OK && i < c->n; i++) {
		const struct group_record *r = &c->records[i];
		e = encode(r, &key, &value);
		shard_add(s, buf_bytes(&key), r->deleted ? bytes_of(NULL, 0) : buf_bytes(&value));
	}
	buf_fini(&key);
	buf_fini(&value);
	return e;
}

/* ---- stored ---- */

/* The topic was deleted while its offset was on the way: the offset must not outlive it. */
static bool outlived(const struct groups *g, const struct group_record *r)
{
	if (r->type != GROUP_RECORD_OFFSET || r->deleted || uuid_is_zero(&r->offset.topic_id))
		return false;
	const struct topic *t = metadata_topic(g->o.metadata, r->offset_key.topic);
	return t == NULL || !uuid_eq(&t->id, &r->offset.topic_id);
}

static void remove_outlived(struct change *c)
{
	struct change *tombstones = change_new(c->groups, c->group);
	for (size_t i = 0; tombstones != NULL && i < c->n; i++)
		if (outlived(c->groups, &c->records[i]))
			change_remove_offset(tombstones, c->records[i].offset_key.topic,
					     c->records[i].offset_key.partition);
	if (tombstones == NULL || change_send(tombstones, NULL) != ERR_OK)
		log_event(c->groups->log, LOG_WARN, "group_offsets_of_deleted_topic_stay",
			  LOG_B("group", c->group));
}

static enum err apply(struct change *c, int32_t shard)
{
	struct groups *g = c->groups;
	enum err e = ERR_OK;
	bool late = false;
	for (size_t i = 0; e == ERR_OK && i < c->n; i++) {
		struct group_record *r = &c->records[i];
		late = late || outlived(g, r);
		g->commits += r->type == GROUP_RECORD_OFFSET && !r->deleted;
		e = table_apply(g->table, shard, r, NULL);
	}
	if (late)
		remove_outlived(c);
	/* It is in the log but not in memory: whoever committed it tries again. */
	return e == ERR_OK ? e : ERR_KAFKA_COORDINATOR_NOT_AVAILABLE;
}

static void tell(struct change *c, enum err e)
{
	struct groups_wait *w = c->wait;
	change_free(c);
	if (w != NULL)
		w->done(w, e);
}

static void stored(struct group_write *w, enum err e)
{
	struct change *c = (struct change *)w;
	struct groups *g = c->groups;
	struct entry *entry = table_find(g->table, c->group);
	assert(entry != NULL && entry->pending > 0);
	entry->pending--;
	if (e == ERR_OK)
		e = apply(c, entry->shard);
	entry = table_find(g->table, c->group);
	if (entry != NULL) {
		if (c->deletes)
			entry->deleting = false;
		table_remove_unused(g->table, entry);
	}
	tell(c, e);
}

static enum err send(struct change *c)
{
	struct groups *g = c->groups;
	struct entry *entry = table_find(g->table, c->group);
	enum err e = write_records(c, g->parts[entry->shard].shard);
	if (e != ERR_OK)
		return e == ERR_NOMEM ? ERR_KAFKA_COORDINATOR_NOT_AVAILABLE
				      : ERR_KAFKA_UNKNOWN_SERVER_ERROR;
	c->write.done = stored;
	entry->pending++;
	shard_end(g->parts[entry->shard].shard, &c->write);
	return ERR_OK;
}

/* What was under way is stored: now the records can be chosen. */
static void settled(struct group_write *w, enum err e)
{
	struct change *c = (struct change *)w;
	struct entry *entry = table_find(c->groups->table, c->group);
	assert(entry != NULL && entry->pending > 0);
	entry->pending--;
	if (e == ERR_OK) {
		c->fill(c, entry);
		e = send(c);
	}
	if (e == ERR_OK)
		return;
	entry->deleting = false;
	tell(c, e);
}

static void enlist(struct change *c, struct groups_wait *w)
{
	struct groups *g = c->groups;
	c->wait = w;
	if (w != NULL)
		w->slot = &c->wait;
	c->next = g->changes;
	c->back = &g->changes;
	if (c->next != NULL)
		c->next->back = &c->next;
	g->changes = c;
}

enum err change_send(struct change *c, struct groups_wait *w)
{
	enum err e = send(c);
	if (e == ERR_OK)
		enlist(c, w);
	else
		change_free(c);
	return e;
}

static void waited(struct group_write *w, enum err e)
{
	tell((struct change *)w, e);
}

enum err change_wait(struct change *c, struct groups_wait *w)
{
	/* That there is no record in it may be for want of memory. */
	if (c->fault != ERR_OK) {
		change_free(c);
		return ERR_KAFKA_COORDINATOR_NOT_AVAILABLE;
	}
	c->write.done = waited;
	enlist(c, w);
	shard_end(groups_part(c->groups, c->group)->shard, &c->write);
	return ERR_OK;
}

void change_delete(struct change *c, struct groups_wait *w,
		   void (*fill)(struct change *c, struct entry *e))
{
	struct entry *entry = table_find(c->groups->table, c->group);
	c->fill = fill;
	c->deletes = true;
	c->write.done = settled;
	entry->pending++;
	enlist(c, w);
	entry->deleting = true;
	shard_end(c->groups->parts[entry->shard].shard, &c->write);
}

void change_delete_now(struct change *c)
{
	struct entry *entry = table_find(c->groups->table, c->group);
	assert(entry->pending == 0);
	c->deletes = true;
	if (change_send(c, NULL) == ERR_OK)
		entry->deleting = true;
}
