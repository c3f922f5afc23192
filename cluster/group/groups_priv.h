/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the coordinator, for groups*.c and change.c alone. */
#ifndef FARSHORE_CLUSTER_GROUP_GROUPS_PRIV_H
#define FARSHORE_CLUSTER_GROUP_GROUPS_PRIV_H

#include "cluster/group/groups.h"
#include "cluster/group/shard.h"
#include "cluster/group/table.h"

struct change;
struct groups_load;

enum part_state { PART_LOADING, PART_READY, PART_FAILED };

/* One partition of __consumer_offsets. */
struct groups_part {
	struct shard *shard;
	enum part_state state;
};

struct groups {
	struct groups_options o;
	struct group_config config;
	struct loop *loop;
	struct log *log;
	struct table *table; /* NULL as long as there are no parts */
	struct groups_part *parts;
	int32_t parts_n;
	struct groups_load *load;
	struct change *changes; /* under way */

	struct group_waiter *answers; /* to be given at the end of the turn */
	struct loop_deferred turn;

	/* The topic is being made. */
	bool creating;
	struct metadata_change creation;
	struct groups_wait *creators;
	struct loop_deferred created;
	enum err creation_error;

	struct loop_timer *expiry;
	int32_t expiry_part;
	uint64_t commits, expired;
};

/* ---- groups.c ---- */

struct groups_part *groups_part(const struct groups *g, struct bytes group_id);
/* Before anything that takes time: the group's timer. ERR_NOMEM. */
enum err groups_need_timer(struct entry *e) ERR_MUST_USE;
/* If the topic is there: make the parts and begin to load. ERR_NOMEM. */
enum err groups_open(struct groups *g) ERR_MUST_USE;

/* ---- groups_load.c ---- */

enum err groups_load_begin(struct groups *g) ERR_MUST_USE;
void groups_load_free(struct groups_load *l);

/* ---- groups_expire.c ---- */

enum err groups_expire_begin(struct groups *g) ERR_MUST_USE;
/* Tombstone what was committed for a topic that is gone, or was made anew under the same name. */
void groups_expire_topic(struct groups *g, struct bytes topic);
void groups_expire_stale(struct groups *g, struct entry *e);

/* ---- change.c ---- */

/*
 * Some records about one group on their way to the log. When they are stored they are applied to
 * the table, by the function that replay uses; then who waits is told.
 */
struct change *change_new(struct groups *g, struct bytes group_id);
void change_free(struct change *c);

/* A record; texts are copied. A fault sticks and shows in change_send. */
void change_put_offset(struct change *c, const struct groups_offset *o, int64_t now,
		       int64_t expire_timestamp);
void change_remove_offset(struct change *c, struct bytes topic, int32_t partition);
void change_remove_offsets(struct change *c, const struct offsets *o);
void change_remove_group(struct change *c);
size_t change_count(const struct change *c);
struct groups *change_groups(const struct change *c);

/* Append them; `w` (may be NULL) is told. The change is the coordinator's from now on; with an
 * error it is freed, and nothing was begun. */
enum err change_send(struct change *c, struct groups_wait *w) ERR_MUST_USE;
/* No records: only wait for what is under way for the group's partition. After an error (there was
 * no memory for a record) as change_send. */
enum err change_wait(struct change *c, struct groups_wait *w) ERR_MUST_USE;
/* The end of a group: nothing new is begun for it, what is under way is waited for, then `fill`
 * adds the records. */
void change_delete(struct change *c, struct groups_wait *w,
		   void (*fill)(struct change *c, struct entry *e));

/* The end of a group with nothing under way; the records are there already. */
void change_delete_now(struct change *c);

#endif
