/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Offsets that nobody needs any more: expired ones (ClassicGroup.offsetExpirationCondition),
 * those of deleted topics, and groups that have nothing left
 * (GroupCoordinatorShard.cleanupGroupMetadata).
 *
 * Only groups with nothing under way are touched: a tombstone that is written behind a commit which
 * is not applied yet would take the commit away.
 */
#include "cluster/group/groups_priv.h"

enum { EXPIRED_MAX = 50000 }; /* offsets of a group in one round: they are one batch */

/* ---- one group ---- */

/* What may go in this group, and since when; false: nothing. */
static bool condition(const struct groups *g, const struct group *group, struct map *subscribed,
		      struct offsets_expiry *x)
{
	x->now = clock_wall_ms(loop_clock(g->loop));
	x->retention_ms = g->o.offsets_retention_ms;
	x->base = -1;
	if (group_state(group) == GROUP_EMPTY) {
		if (group_protocol_type(group).p != NULL)
			x->base = group_state_since(group);
		return true;
	}
	return group_state(group) == GROUP_STABLE && group_subscribed(group, subscribed);
}

static void remove_expired(struct change *c, const struct offsets *o, const struct map *subscribed,
			   const struct offsets_expiry *x)
{
	size_t at = 0;
	struct bytes name;
	const struct offsets_topic *t;
	while ((t = offsets_next_topic(o, &at, &name)) != NULL) {
		const struct committed_offset *o_at;
		int32_t partition;
		if (map_get(subscribed, name) != NULL)
			continue;
		for (size_t i = 0; (o_at = offsets_topic_at(t, i, &partition)) != NULL; i++)
			if (offsets_expired(o_at, x) && change_count(c) < EXPIRED_MAX)
				change_remove_offset(c, name, partition);
	}
}

static bool may_go(const struct entry *e, size_t removed)
{
	size_t offsets = e->offsets == NULL ? 0 : offsets_count(e->offsets);
	return offsets == removed && group_state(e->group) == GROUP_EMPTY &&
	       group_pending(e->group) == 0;
}

static void expire_group(struct groups *g, struct entry *e)
{
	struct offsets_expiry x;
	struct map *subscribed = map_new();
	struct change *c = change_new(g, group_id(e->group));
	if (subscribed == NULL || c == NULL) {
		map_free(subscribed);
		change_free(c);
		return; /* the next round will do */
	}
	if (e->offsets != NULL && condition(g, e->group, subscribed, &x))
		remove_expired(c, e->offsets, subscribed, &x);
	map_free(subscribed);
	size_t removed = change_count(c);
	bool goes = may_go(e, removed);
	if (goes)
		change_remove_group(c);
	if (change_count(c) == 0) {
		change_free(c);
		return;
	}
	log_event(g->log, LOG_INFO, goes ? "group_expired" : "group_offsets_expired",
		  LOG_B("group", group_id(e->group)), LOG_I("offsets", removed));
	g->expired += removed;
	if (goes)
		change_delete_now(c);
	else if (change_send(c, NULL) != ERR_OK)
		log_event(g->log, LOG_WARN, "group_offsets_not_expired",
			  LOG_B("group", group_id(e->group)));
}

/* ---- the round ---- */

static void expire_part(struct groups *g, int32_t part)
{
	size_t at = 0;
	struct entry *e;
	if (g->parts[part].state != PART_READY)
		return;
	while ((e = table_next(g->table, &at)) != NULL)
		if (e->shard == part && e->pending == 0 && !e->deleting)
			expire_group(g, e);
}

/* A partition per loop turn. */
static void on_timer(void *arg)
{
	struct groups *g = arg;
	if (g->expiry_part < g->parts_n)
		expire_part(g, g->expiry_part++);
	if (g->expiry_part < g->parts_n) {
		loop_timer_set(g->expiry, 0);
		return;
	}
	g->expiry_part = 0;
	loop_timer_set(g->expiry, g->o.offsets_retention_check_interval_ms);
}

enum err groups_expire_begin(struct groups *g)
{
	g->expiry = loop_timer_new(g->loop, on_timer, g);
	if (g->expiry == NULL)
		return ERR_NOMEM;
	loop_timer_set(g->expiry, g->o.offsets_retention_check_interval_ms);
	return ERR_OK;
}

/* ---- topics ---- */

static void remove_topic(struct groups *g, struct entry *e, struct bytes topic)
{
	int32_t partition;
	const struct offsets_topic *t = offsets_topic(e->offsets, topic);
	struct change *c = change_new(g, group_id(e->group));
	for (size_t i = 0; c != NULL && offsets_topic_at(t, i, &partition) != NULL; i++)
		change_remove_offset(c, topic, partition);
	if (c == NULL || change_send(c, NULL) != ERR_OK)
		log_event(g->log, LOG_WARN, "group_offsets_of_deleted_topic_stay",
			  LOG_B("group", group_id(e->group)), LOG_B("topic", topic));
}

void groups_expire_topic(struct groups *g, struct bytes topic)
{
	size_t at = 0;
	struct entry *e;
	while ((e = table_next(g->table, &at)) != NULL)
		if (g->parts[e->shard].state == PART_READY && e->offsets != NULL && !e->deleting &&
		    offsets_topic(e->offsets, topic) != NULL)
			remove_topic(g, e, topic);
}

/* The topic of these offsets was deleted, perhaps made anew, and the broker went down between its
 * deletion and the tombstones: the ids tell. One that is not there now may be made anew later. */
static bool is_stale(const struct groups *g, const struct offsets_topic *t, struct bytes name)
{
	int32_t partition;
	const struct topic *now = metadata_topic(g->o.metadata, name);
	const struct committed_offset *o = offsets_topic_at(t, 0, &partition);
	return o != NULL && !uuid_is_zero(&o->topic_id) &&
	       (now == NULL || !uuid_eq(&o->topic_id, &now->id));
}

void groups_expire_stale(struct groups *g, struct entry *e)
{
	size_t at = 0;
	struct bytes name;
	const struct offsets_topic *t;
	if (e->offsets == NULL)
		return;
	while ((t = offsets_next_topic(e->offsets, &at, &name)) != NULL)
		if (is_stale(g, t, name))
			remove_topic(g, e, name);
}
