/* SPDX-License-Identifier: Apache-2.0 */
/* One map of entries, sums over them, and the rules of Kafka's replay (GroupMetadataManager.replay,
 * OffsetMetadataManager.replay). */
#include "cluster/group/table.h"

#include "cluster/group/utf16.h"
#include "lib/base/mem.h"

struct table {
	struct table_options o;
	struct map *entries;
	size_t bytes, members, offsets;
};

struct table *table_new(const struct table_options *o)
{
	struct table *t = mem_zalloc(1, sizeof *t);
	if (t == NULL)
		return NULL;
	t->o = *o;
	t->entries = map_new();
	if (t->entries == NULL) {
		mem_free(t);
		return NULL;
	}
	return t;
}

static void free_entry(struct table *t, struct entry *e)
{
	t->bytes -= e->bytes;
	t->members -= e->members;
	t->offsets -= e->offsets_n;
	if (t->o.forget != NULL)
		t->o.forget(e);
	group_free(e->group);
	offsets_free(e->offsets);
	mem_free(e);
}

void table_free(struct table *t)
{
	size_t at = 0;
	struct entry *e;
	if (t == NULL)
		return;
	while ((e = table_next(t, &at)) != NULL)
		free_entry(t, e);
	map_free(t->entries);
	mem_free(t);
}

int32_t table_shard(struct bytes group_id, int32_t shards)
{
	int32_t hash = utf16_hash(group_id);
	/* Utils.abs */
	int32_t positive = hash == INT32_MIN ? 0 : hash < 0 ? -hash : hash;
	return positive % shards;
}

struct entry *table_find(const struct table *t, struct bytes group_id)
{
	return group_id.p == NULL ? NULL : map_get(t->entries, group_id);
}

void table_count(struct table *t, struct entry *e)
{
	size_t bytes = sizeof *e + group_bytes(e->group);
	size_t offsets = 0;
	if (e->offsets != NULL) {
		bytes += offsets_bytes(e->offsets);
		offsets = offsets_count(e->offsets);
	}
	t->bytes += bytes - e->bytes;
	t->members += group_members(e->group) - e->members;
	t->offsets += offsets - e->offsets_n;
	e->bytes = bytes;
	e->members = group_members(e->group);
	e->offsets_n = offsets;
}

enum err table_room(const struct table *t)
{
	return t->bytes >= t->o.bytes_max ? ERR_LIMIT : ERR_OK;
}

/* What was admitted is in the log and has to be read again by each start: what was under way when
 * room ended may go beyond the bounds, but not to twice of them. */
static enum err record_room(const struct table *t)
{
	return t->bytes / 2 >= t->o.bytes_max ? ERR_LIMIT : ERR_OK;
}

static enum err add(struct table *t, struct bytes group_id, struct entry **out)
{
	struct entry *e = mem_zalloc(1, sizeof *e);
	if (e == NULL)
		return ERR_NOMEM;
	e->groups = t->o.groups;
	e->shard = t->o.shards == 0 ? 0 : table_shard(group_id, t->o.shards);
	e->group = group_new(group_id, t->o.config, t->o.host, e);
	if (e->group == NULL || map_put(t->entries, group_id, e) != ERR_OK) {
		group_free(e->group);
		mem_free(e);
		return ERR_NOMEM;
	}
	table_count(t, e);
	*out = e;
	return ERR_OK;
}

enum err table_add(struct table *t, struct bytes group_id, struct entry **out)
{
	if (map_count(t->entries) >= t->o.groups_max || table_room(t) != ERR_OK)
		return ERR_LIMIT;
	return add(t, group_id, out);
}

void table_remove(struct table *t, struct entry *e)
{
	map_take(t->entries, group_id(e->group));
	free_entry(t, e);
}

static bool has_offsets(const struct entry *e)
{
	return e->offsets != NULL && offsets_count(e->offsets) > 0;
}

void table_remove_unused(struct table *t, struct entry *e)
{
	const struct group *g = e->group;
	if (group_state(g) == GROUP_EMPTY && group_pending(g) == 0 && group_generation(g) == 0 &&
	    group_protocol_type(g).p == NULL && !has_offsets(e) && e->pending == 0 && !e->deleting)
		table_remove(t, e);
}

size_t table_groups(const struct table *t)
{
	return map_count(t->entries);
}

size_t table_members(const struct table *t)
{
	return t->members;
}

size_t table_offsets(const struct table *t)
{
	return t->offsets;
}

size_t table_bytes(const struct table *t)
{
	return t->bytes;
}

struct entry *table_next(const struct table *t, size_t *at)
{
	struct bytes key;
	void *value;
	return map_next(t->entries, at, &key, &value) ? value : NULL;
}

/* ---- records ---- */

static enum err need(struct table *t, struct bytes group_id, struct entry **out)
{
	*out = table_find(t, group_id);
	if (*out != NULL)
		return ERR_OK;
	if (map_count(t->entries) / 2 >= t->o.groups_max || record_room(t) != ERR_OK)
		return ERR_LIMIT;
	return add(t, group_id, out);
}

static enum err apply_group(struct table *t, const struct group_record *r, struct errmsg *why)
{
	struct entry *e;
	if (r->deleted) {
		e = table_find(t, r->group);
		if (e != NULL)
			table_remove(t, e);
		return ERR_OK;
	}
	enum err err = need(t, r->group, &e);
	if (err != ERR_OK)
		return err;
	err = record_room(t);
	if (err == ERR_OK)
		err = group_load(e->group, &r->metadata, why);
	table_count(t, e);
	if (err != ERR_OK)
		table_remove_unused(t, e);
	return err;
}

static enum err put_offset(struct table *t, const struct group_record *r, struct errmsg *why)
{
	struct entry *e;
	if (r->offset_key.partition < 0 || r->offset_key.topic.n == 0)
		return errmsg_set(why, ERR_MALFORMED, "an offset of no partition");
	enum err err = need(t, r->group, &e);
	if (err != ERR_OK)
		return err;
	struct committed_offset c = {.offset = r->offset.offset,
				     .leader_epoch = r->offset.leader_epoch,
				     .metadata = r->offset.metadata,
				     .commit_timestamp = r->offset.commit_timestamp,
				     .expire_timestamp = r->offset.expire_timestamp,
				     .topic_id = r->offset.topic_id};
	if (e->offsets == NULL && (e->offsets = offsets_new()) == NULL)
		err = ERR_NOMEM;
	else if (offsets_get(e->offsets, r->offset_key.topic, r->offset_key.partition) == NULL)
		err = record_room(t);
	if (err == ERR_OK)
		err = offsets_put(e->offsets, r->offset_key.topic, r->offset_key.partition, &c);
	table_count(t, e);
	if (err != ERR_OK)
		table_remove_unused(t, e);
	return err;
}

static void remove_offset(struct table *t, const struct group_record *r)
{
	struct entry *e = table_find(t, r->group);
	if (e == NULL || e->offsets == NULL)
		return;
	offsets_remove(e->offsets, r->offset_key.topic, r->offset_key.partition);
	table_count(t, e);
}

enum err table_apply(struct table *t, int32_t shard, const struct group_record *r,
		     struct errmsg *why)
{
	if (t->o.shards != 0 && table_shard(r->group, t->o.shards) != shard)
		return errmsg_set(why, ERR_MALFORMED, "its group belongs to partition %d",
				  table_shard(r->group, t->o.shards));
	switch (r->type) {
	case GROUP_RECORD_GROUP:
		return apply_group(t, r, why);
	case GROUP_RECORD_OFFSET:
		if (!r->deleted)
			return put_offset(t, r, why);
		remove_offset(t, r);
		return ERR_OK;
	case GROUP_RECORD_OTHER:
		return ERR_OK;
	}
	return ERR_OK;
}
