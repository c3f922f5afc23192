/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All groups in memory, by id: members and committed offsets. table_apply is the one door for
 * records, at replay and at run time, so that a restart finds what was there before.
 */
#ifndef FARSHORE_CLUSTER_GROUP_TABLE_H
#define FARSHORE_CLUSTER_GROUP_TABLE_H

#include "cluster/group/group.h"
#include "cluster/group/group_record.h"
#include "cluster/group/offsets.h"

struct table;

struct entry {
	struct group *group;
	struct offsets *offsets; /* NULL: nothing was ever committed */
	int32_t shard;           /* the partition that its records are in */
	size_t pending;          /* changes under way to the log: it may not go */
	bool deleting;           /* it is about to be deleted: nothing new is begun */
	/* The host's. */
	struct groups *groups;
	struct loop_timer *timer;
	/* The table's. */
	size_t bytes, members, offsets_n;
};

struct table_options {
	const struct group_config *config;
	const struct group_host *host;   /* `arg` of its calls is the entry */
	struct groups *groups;           /* given to the entries */
	void (*forget)(struct entry *e); /* the entry goes: drop what the host keeps in it */
	int32_t shards;                  /* 0: records of any partition are taken */
	size_t groups_max, bytes_max;
};

/* NULL when out of memory. */
struct table *table_new(const struct table_options *o);
/* NULL is safe. */
void table_free(struct table *t);

/* The partition of a group (GroupCoordinatorService.partitionFor). */
int32_t table_shard(struct bytes group_id, int32_t shards);

struct entry *table_find(const struct table *t, struct bytes group_id);

/* An empty group. ERR_LIMIT: too many groups or too much memory; ERR_NOMEM. */
enum err table_add(struct table *t, struct bytes group_id, struct entry **out) ERR_MUST_USE;
void table_remove(struct table *t, struct entry *e);
/* Remove it if nothing speaks for it: no members, no offsets, no record, nothing under way. */
void table_remove_unused(struct table *t, struct entry *e);

/* After the group or its offsets changed: count its memory anew. */
void table_count(struct table *t, struct entry *e);
/* ERR_LIMIT: no memory for more. */
enum err table_room(const struct table *t) ERR_MUST_USE;

size_t table_groups(const struct table *t);
size_t table_members(const struct table *t);
size_t table_offsets(const struct table *t);
size_t table_bytes(const struct table *t);

/* Iterate: start with *at = 0; entries may be removed only when they were just given. */
struct entry *table_next(const struct table *t, size_t *at);

/* A stored record. `shard`: where it was found. ERR_MALFORMED: it cannot be; ERR_NOMEM, ERR_LIMIT:
 * nothing was changed. */
enum err table_apply(struct table *t, int32_t shard, const struct group_record *r,
		     struct errmsg *why) ERR_MUST_USE;

#endif
