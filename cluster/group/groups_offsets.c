/* SPDX-License-Identifier: Apache-2.0 */
/* Commit, delete, fetch: what a request asks for becomes a change (change.c). */
#include "cluster/group/groups_priv.h"
#include "cluster/group/utf16.h"

static enum err find(const struct groups *g, struct bytes group_id, struct entry **out)
{
	*out = NULL;
	enum err e = groups_check(g, group_id);
	if (e != ERR_OK)
		return e;
	*out = table_find(g->table, group_id);
	return *out != NULL && (*out)->deleting ? ERR_KAFKA_COORDINATOR_NOT_AVAILABLE : ERR_OK;
}

enum err groups_settle(struct groups *g, struct bytes group_id, struct groups_wait *w)
{
	enum err e = groups_check(g, group_id);
	if (e != ERR_OK)
		return e;
	struct change *c = change_new(g, group_id);
	if (c == NULL)
		return ERR_KAFKA_COORDINATOR_NOT_AVAILABLE;
	return change_wait(c, w);
}

/* May it commit? A group that is not there yet is made for who brings no generation: a consumer
 * that is assigned by hand, or an administrator. */
static enum err may_commit(struct groups *g, const struct offset_commit_request *q, int16_t version,
			   struct entry **entry)
{
	enum { GROUP_ID_NOT_FOUND_FROM = 9 };
	enum err e = find(g, q->group_id, entry);
	if (e != ERR_OK)
		return e;
	if (*entry != NULL)
		return group_commit((*entry)->group, q);
	if (q->generation_id_or_member_epoch >= 0)
		return version >= GROUP_ID_NOT_FOUND_FROM ? ERR_KAFKA_GROUP_ID_NOT_FOUND
							  : ERR_KAFKA_ILLEGAL_GENERATION;
	return ERR_OK;
}

static enum err need_entry(struct groups *g, struct bytes group_id, struct entry **entry)
{
	if (table_room(g->table) != ERR_OK)
		return ERR_KAFKA_COORDINATOR_NOT_AVAILABLE;
	if (*entry != NULL || table_add(g->table, group_id, entry) == ERR_OK)
		return ERR_OK;
	log_event(g->log, LOG_WARN, "group_refused", LOG_B("group", group_id),
		  LOG_I("groups", table_groups(g->table)), LOG_I("bytes", table_bytes(g->table)));
	return ERR_KAFKA_COORDINATOR_NOT_AVAILABLE;
}

static void put_offsets(struct change *c, const struct offset_commit_request *q,
			struct groups_offset *offsets, size_t n)
{
	struct groups *g = change_groups(c);
	int64_t now = clock_wall_ms(loop_clock(g->loop));
	/* Versions 2 to 4 may bring a retention of their own. */
	int64_t expire = q->retention_time_ms < 0 || q->retention_time_ms > INT64_MAX - now
				 ? -1
				 : now + q->retention_time_ms;
	for (size_t i = 0; i < n; i++) {
		struct groups_offset *o = &offsets[i];
		if (o->error != ERR_OK)
			continue;
		if (o->metadata.n > (size_t)g->o.offset_metadata_max &&
		    utf16_length(o->metadata) > (size_t)g->o.offset_metadata_max)
			o->error = ERR_KAFKA_OFFSET_METADATA_TOO_LARGE;
		else
			change_put_offset(c, o, now, expire);
	}
}

enum err groups_commit(struct groups *g, const struct offset_commit_request *q, int16_t version,
		       struct groups_offset *offsets, size_t n, struct groups_wait *w)
{
	struct entry *entry;
	enum err e = may_commit(g, q, version, &entry);
	if (e != ERR_OK)
		return e;
	struct change *c = change_new(g, q->group_id);
	if (c == NULL)
		return ERR_KAFKA_COORDINATOR_NOT_AVAILABLE;
	put_offsets(c, q, offsets, n);
	if (change_count(c) == 0)
		return change_wait(c, w);
	e = need_entry(g, q->group_id, &entry);
	if (e != ERR_OK) {
		change_free(c);
		return e;
	}
	e = change_send(c, w);
	if (e != ERR_OK)
		table_remove_unused(g->table, entry);
	return e;
}

const struct offsets *groups_offsets(const struct groups *g, struct bytes group_id)
{
	const struct entry *e = g->table == NULL ? NULL : table_find(g->table, group_id);
	return e == NULL ? NULL : e->offsets;
}

/* ---- deleting ---- */

static bool has_members(const struct group *g)
{
	return group_state(g) != GROUP_EMPTY && group_state(g) != GROUP_DEAD;
}

/* Refuse the topics that the members consume. False: no memory. */
static bool mark_subscribed(const struct group *g, struct groups_offset *offsets, size_t n)
{
	struct map *topics = map_new();
	if (topics == NULL)
		return false;
	/* A consumer group whose topics cannot be told is taken to consume all of them
	 * (ClassicGroup.isSubscribedToTopic). */
	bool known = !has_members(g) || group_subscribed(g, topics);
	for (size_t i = 0; i < n; i++)
		if (offsets[i].error == ERR_OK &&
		    (!known || map_get(topics, offsets[i].topic) != NULL))
			offsets[i].error = ERR_KAFKA_GROUP_SUBSCRIBED_TO_TOPIC;
	map_free(topics);
	return true;
}

enum err groups_delete_offsets(struct groups *g, struct bytes group_id,
			       struct groups_offset *offsets, size_t n, struct groups_wait *w)
{
	struct entry *entry;
	enum err e = group_id.n == 0 ? ERR_KAFKA_INVALID_GROUP_ID : find(g, group_id, &entry);
	if (e != ERR_OK)
		return e;
	if (entry == NULL)
		return ERR_KAFKA_GROUP_ID_NOT_FOUND;
	if (has_members(entry->group) && !group_is_consumer(entry->group))
		return ERR_KAFKA_NON_EMPTY_GROUP;
	struct change *c = change_new(g, group_id);
	if (c == NULL || !mark_subscribed(entry->group, offsets, n)) {
		change_free(c);
		return ERR_KAFKA_COORDINATOR_NOT_AVAILABLE;
	}
	/* A tombstone whether or not there is an offset: one may be on its way. */
	for (size_t i = 0; i < n; i++)
		if (offsets[i].error == ERR_OK)
			change_remove_offset(c, offsets[i].topic, offsets[i].partition);
	if (change_count(c) > 0)
		return change_send(c, w);
	return change_wait(c, w);
}

static void fill_deletion(struct change *c, struct entry *e)
{
	if (e->offsets != NULL)
		change_remove_offsets(c, e->offsets);
	change_remove_group(c);
}

enum err groups_delete(struct groups *g, struct bytes group_id, struct groups_wait *w)
{
	struct entry *entry;
	enum err e = find(g, group_id, &entry);
	if (e != ERR_OK)
		return e;
	if (entry == NULL)
		return ERR_KAFKA_GROUP_ID_NOT_FOUND;
	if (has_members(entry->group))
		return ERR_KAFKA_NON_EMPTY_GROUP;
	struct change *c = change_new(g, group_id);
	if (c == NULL)
		return ERR_KAFKA_COORDINATOR_NOT_AVAILABLE;
	change_delete(c, w, fill_deletion);
	return ERR_OK;
}
