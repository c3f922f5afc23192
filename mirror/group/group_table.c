/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The groups of a link and their positions, as the source told them. No I/O.
 *
 * Ten thousand groups are asked about every few seconds and hardly any of them moved: an answer is
 * hashed, and only one whose hash is new is taken apart. The hash does not depend on the order of
 * topics and partitions, which is the broker's whim.
 *
 * A group's positions are sorted by the address of their topic, then by partition. Only positions
 * of topics that the link has a copy of are kept; of others only the number is.
 */
#include <stdlib.h>

#include "checkpoint/mm2_records.h"
#include "lib/base/mem.h"
#include "mirror/config/naming.h"
#include "mirror/group/group_impl.h"

enum { POSITIONS_FIRST = 4 };

/* ---- hashes ---- */

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15ULL;
	return h ^ h >> 29;
}

static uint64_t hash_bytes(uint64_t h, struct bytes s)
{
	size_t i = 0;
	for (; s.n - i >= 8; i += 8)
		h = mix(h, be64_get(s.p + i));
	for (; i < s.n; i++)
		h = mix(h, s.p[i]);
	return mix(h, s.n);
}

uint32_t group_metadata_hash(struct bytes metadata)
{
	return metadata.n == 0 ? 0 : (uint32_t)hash_bytes(1, metadata) | 1;
}

static uint64_t hash_offsets(uint64_t seed, const struct group_offsets *from)
{
	struct group_offsets o = *from;
	struct group_offset x;
	const uint8_t *last = NULL;
	uint64_t topic = 0, sum = seed;
	while (group_offsets_next(&o, &x)) {
		if (x.topic.p != last)
			topic = hash_bytes(seed, x.topic);
		last = x.topic.p;
		uint64_t h = mix(topic, (uint64_t)x.partition);
		h = mix(h, (uint64_t)x.offset);
		h = mix(h, (uint64_t)x.err);
		sum += x.metadata.n > 0 ? hash_bytes(h, x.metadata) : h;
	}
	return sum;
}

/* ---- topics ---- */

static struct group_topic *topic_add(struct groups *g, struct bytes source, const char *target,
				     bool copy)
{
	struct group_topic *t = mem_zalloc(1, sizeof *t);
	if (t == NULL)
		return NULL;
	t->source = mem_strndup(source);
	t->target = mem_strdup(target);
	t->copy = copy;
	if (t->source == NULL || t->target == NULL || group_translate_follow(g, t) != ERR_OK ||
	    map_put(g->targets, bytes_str(target), t) != ERR_OK)
		goto err_after_topic;
	if (map_put(g->topics, source, t) != ERR_OK)
		goto err_after_target;
	t->next = g->topic_list;
	g->topic_list = t;
	return t;
err_after_target:
	map_take(g->targets, bytes_str(target));
err_after_topic:
	mem_free(t->source);
	mem_free(t->target);
	mem_free(t);
	return NULL;
}

/* NULL: not mirrored; another topic has the same name on the target already; or no memory, then
 * `*e` says so. */
static struct group_topic *topic_of(struct groups *g, struct bytes source, enum err *e)
{
	char target[TOPIC_NAME_MAX + 1];
	bool copy = false;
	struct group_topic *t = map_get(g->topics, source);
	if (t != NULL || !group_translate_topic(g, source, target, &copy))
		return t;
	if (map_get(g->targets, bytes_str(target)) != NULL)
		return NULL;
	t = topic_add(g, source, target, copy);
	if (t == NULL)
		*e = ERR_NOMEM;
	return t;
}

/* ---- groups ---- */

struct group *group_table_find(const struct groups *g, struct bytes name)
{
	return map_get(g->by_name, name);
}

static void tell_exceeded(struct groups *g)
{
	uint64_t n = topic_filter_exceeded(g->filter);
	if (n > g->exceeded)
		log_event(loop_log(g->link->loop), LOG_WARN, "group_pattern_too_slow",
			  LOG_S("link", g->config->name), LOG_I("groups", n),
			  LOG_S("reason", "a pattern of groups or groups_exclude takes too many "
					  "steps on a name: the group is left out"));
	g->exceeded = n;
}

/* A name that can be a C string, and that a log line can hold. */
static bool name_usable(struct bytes name)
{
	return name.n > 0 && name.n <= GROUP_NAME_MAX && memchr(name.p, '\0', name.n) == NULL;
}

static bool name_wanted(struct groups *g, struct bytes name)
{
	char text[GROUP_NAME_MAX + 1];
	memcpy(text, name.p, name.n);
	text[name.n] = '\0';
	bool wanted = topic_filter_match(g->filter, text);
	tell_exceeded(g);
	return wanted;
}

static void tell_limit(struct groups *g, const char *what)
{
	if (!g->limit_told)
		log_event(loop_log(g->link->loop), LOG_WARN, "groups_limit",
			  LOG_S("link", g->config->name), LOG_S("reason", what));
	g->limit_told = true;
}

static struct group *group_new(struct groups *g, struct bytes name)
{
	if (g->all_n == g->all_cap) {
		size_t cap = g->all_cap == 0 ? 64 : 2 * g->all_cap;
		struct group **all = mem_resize(g->all, cap, sizeof *all);
		if (all == NULL)
			return NULL;
		g->all = all;
		g->all_cap = cap;
	}
	struct group *group = mem_zalloc(1, sizeof *group);
	if (group == NULL)
		return NULL;
	group->name = mem_strndup(name);
	if (group->name == NULL || map_put(g->by_name, name, group) != ERR_OK) {
		mem_free(group->name);
		mem_free(group);
		return NULL;
	}
	group->source_node = group->target_node = -1;
	g->all[g->all_n++] = group;
	return group;
}

struct group *group_table_get(struct groups *g, struct bytes name)
{
	struct group *group = map_get(g->by_name, name);
	if (group != NULL)
		return group;
	if (!name_usable(name)) {
		tell_limit(g,
			   "a group is left out whose name is empty, has a NUL byte or is longer "
			   "than 1024 bytes");
		return NULL;
	}
	if (!name_wanted(g, name))
		return NULL;
	if (g->all_n >= GROUPS_MAX) {
		tell_limit(g, "there are more than 200000 groups: the others are left out; narrow "
			      "the setting groups");
		return NULL;
	}
	return group_new(g, name);
}

static void group_free(struct group *group)
{
	for (int32_t i = 0; i < group->positions_n; i++)
		mem_free(group->positions[i].metadata);
	mem_free(group->positions);
	mem_free(group->remembered);
	mem_free(group->problem);
	mem_free(group->name);
	mem_free(group);
}

void group_table_remove(struct groups *g, struct group *group)
{
	map_take(g->by_name, bytes_str(group->name));
	for (size_t i = 0; i < g->all_n; i++) {
		if (g->all[i] != group)
			continue;
		memmove(&g->all[i], &g->all[i + 1], (g->all_n - i - 1) * sizeof(struct group *));
		g->all_n--;
		break;
	}
	g->positions -= (size_t)group->positions_n;
	group_free(group);
}

void group_table_fini(struct groups *g)
{
	for (size_t i = 0; i < g->all_n; i++)
		group_free(g->all[i]);
	mem_free(g->all);
	while (g->topic_list != NULL) {
		struct group_topic *t = g->topic_list;
		g->topic_list = t->next;
		mem_free(t->source);
		mem_free(t->target);
		mem_free(t);
	}
	while (g->name_list != NULL) {
		struct group_name *next = g->name_list->next;
		mem_free(g->name_list);
		g->name_list = next;
	}
	map_free(g->by_name);
	map_free(g->topics);
	map_free(g->targets);
	map_free(g->names);
}

void group_set_problem(struct group *group, enum group_step step, const char *text)
{
	group->problem_at = step;
	if (group->problem != NULL && strcmp(text, group->problem) == 0)
		return;
	mem_free(group->problem);
	group->problem = mem_strdup(text);
}

void group_clear_problem(struct group *group, enum group_step step)
{
	if (group->problem == NULL || group->problem_at != step)
		return;
	mem_free(group->problem);
	group->problem = NULL;
}

/* ---- positions ---- */

static int compare(const struct group_topic *t, int32_t partition, const struct group_position *p)
{
	if (t != p->topic)
		return (uintptr_t)t < (uintptr_t)p->topic ? -1 : 1;
	return partition < p->partition ? -1 : partition > p->partition;
}

static int by_place(const void *a, const void *b)
{
	const struct group_position *x = a;
	return compare(x->topic, x->partition, b);
}

/* Among the first `n`. */
static struct group_position *position_find(struct group *group, int32_t n,
					    const struct group_topic *t, int32_t partition)
{
	int32_t low = 0, high = n;
	while (low < high) {
		int32_t mid = low + (high - low) / 2;
		int c = compare(t, partition, &group->positions[mid]);
		if (c == 0)
			return &group->positions[mid];
		if (c < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

/* Most groups have few positions: the array grows to what is needed. */
static struct group_position *position_new(struct groups *g, struct group *group)
{
	if (g->positions >= GROUP_POSITIONS_MAX) {
		tell_limit(g, "the groups have more than 2000000 positions: the others are left "
			      "out; narrow the setting groups");
		return NULL;
	}
	if (group->positions_n == group->positions_cap) {
		int32_t cap = group->positions_cap == 0 ? 1 : 2 * group->positions_cap;
		struct group_position *to = mem_resize(group->positions, (size_t)cap, sizeof *to);
		if (to == NULL)
			return NULL;
		group->positions = to;
		group->positions_cap = cap;
	}
	g->positions++;
	struct group_position *p = &group->positions[group->positions_n++];
	*p = (struct group_position){
		.target = GROUP_UNSEEN,
		.placed = -1,
		.source = -1,
		.told_source = -1,
		.told_target = -1,
	};
	return p;
}

/* What a checkpoint of an earlier process says of a position that is new to this one. */
static void position_recall(struct groups *g, const struct group *group, struct group_position *p)
{
	for (int32_t i = 0; i < group->remembered_n; i++) {
		const struct group_remembered *r = &group->remembered[i];
		if (r->partition != p->partition || strcmp(r->topic->text, p->topic->target) != 0)
			continue;
		p->told_source = r->source;
		p->told_target = r->target;
		p->told_metadata = r->metadata;
		p->placed = g->config->sync_group_offsets ? r->target : -1;
		p->source = r->source;
		return;
	}
}

static enum err position_set_metadata(struct group_position *p, struct bytes metadata)
{
	if (metadata.n == 0 ? p->metadata == NULL
			    : p->metadata != NULL && bytes_eq_str(metadata, p->metadata))
		return ERR_OK;
	char *copy = NULL;
	if (metadata.n > 0 && (copy = mem_strndup(metadata)) == NULL)
		return ERR_NOMEM;
	mem_free(p->metadata);
	p->metadata = copy;
	p->metadata_differs = true;
	return ERR_OK;
}

static enum err position_take(struct groups *g, struct group *group, int32_t sorted,
			      const struct group_offset *x)
{
	enum err e = ERR_OK;
	struct group_topic *t = topic_of(g, x->topic, &e);
	if (t == NULL) {
		group->elsewhere++;
		return e;
	}
	struct group_position *p = position_find(group, sorted, t, x->partition);
	/* An error about one partition says nothing new of it. */
	if (x->err != ERR_OK || x->offset < 0) {
		if (p != NULL && x->err != ERR_OK)
			p->round = g->round;
		return ERR_OK;
	}
	if (p == NULL) {
		p = position_new(g, group);
		if (p == NULL)
			return ERR_NOMEM;
		p->topic = t;
		p->partition = x->partition;
		position_recall(g, group, p);
	}
	if (x->offset < p->source)
		p->rewound = 1;
	p->source = x->offset;
	p->round = g->round;
	return position_set_metadata(p, x->metadata);
}

/* Positions that the source no longer has: what was committed at the target stays there. */
static void drop_unseen(struct groups *g, struct group *group)
{
	int32_t kept = 0;
	for (int32_t i = 0; i < group->positions_n; i++) {
		struct group_position *p = &group->positions[i];
		if (p->round == g->round)
			group->positions[kept++] = *p;
		else
			mem_free(p->metadata);
	}
	g->positions -= (size_t)(group->positions_n - kept);
	group->positions_n = kept;
}

void group_table_take(struct groups *g, struct group *group, struct group_offsets *o)
{
	uint64_t hash = hash_offsets(g->seed, o);
	group->known = true;
	if (hash == group->hash && group->topics_version == g->topics_version)
		return;
	/* A group that is gone keeps its positions: they tell what is ours at the target. */
	if (hash == g->seed && group->listed != g->round)
		return;
	struct group_offset x;
	enum err e = ERR_OK;
	int32_t sorted = group->positions_n;
	group->elsewhere = 0;
	while (e == ERR_OK && group_offsets_next(o, &x))
		e = position_take(g, group, sorted, &x);
	if (e == ERR_OK)
		drop_unseen(g, group);
	if (group->positions_n > 1)
		qsort(group->positions, (size_t)group->positions_n, sizeof *group->positions,
		      by_place);
	group->changed = true;
	/* Without memory the same answer is taken again next time. */
	group->hash = e == ERR_OK ? hash : 0;
	group->topics_version = g->topics_version;
}

/* ---- by names on the target ---- */

struct group_position *group_table_target(struct groups *g, struct group *group,
					  struct bytes target_topic, int32_t partition)
{
	const struct group_topic *t = map_get(g->targets, target_topic);
	return t == NULL ? NULL : position_find(group, group->positions_n, t, partition);
}

int64_t group_table_placed(struct groups *g, struct group *group, struct bytes target_topic,
			   int32_t partition)
{
	const struct group_position *p = group_table_target(g, group, target_topic, partition);
	if (p != NULL)
		return p->placed;
	for (int32_t i = 0; i < group->remembered_n; i++)
		if (group->remembered[i].partition == partition &&
		    bytes_eq_str(target_topic, group->remembered[i].topic->text))
			return g->config->sync_group_offsets ? group->remembered[i].target : -1;
	return -1;
}

static struct group_name *name_intern(struct groups *g, struct bytes text)
{
	struct group_name *n = map_get(g->names, text);
	if (n != NULL)
		return n;
	n = mem_zalloc(1, sizeof *n + text.n + 1);
	if (n == NULL)
		return NULL;
	memcpy(n->text, text.p, text.n);
	if (map_put(g->names, text, n) != ERR_OK) {
		mem_free(n);
		return NULL;
	}
	n->next = g->name_list;
	g->name_list = n;
	return n;
}

enum err group_table_remember(struct groups *g, const struct mm2_checkpoint *m)
{
	struct group *group = group_table_get(g, m->group);
	if (group == NULL)
		return ERR_OK;
	struct group_name *n = name_intern(g, m->topic);
	if (n == NULL)
		return ERR_NOMEM;
	struct group_remembered *r = NULL;
	for (int32_t i = 0; i < group->remembered_n && r == NULL; i++)
		if (group->remembered[i].topic == n &&
		    group->remembered[i].partition == m->partition)
			r = &group->remembered[i];
	if (r == NULL) {
		int32_t count = group->remembered_n;
		/* Room for 4, 8, 16, ...: full at each power of two. */
		if (count == 0 || (count >= POSITIONS_FIRST && (count & (count - 1)) == 0)) {
			size_t cap = count == 0 ? POSITIONS_FIRST : 2 * (size_t)count;
			r = mem_resize(group->remembered, cap, sizeof *r);
			if (r == NULL)
				return ERR_NOMEM;
			group->remembered = r;
		}
		r = &group->remembered[group->remembered_n++];
	}
	*r = (struct group_remembered){
		.topic = n,
		.partition = m->partition,
		.source = m->upstream,
		.target = m->downstream,
		.metadata = group_metadata_hash(m->metadata),
	};
	return ERR_OK;
}
