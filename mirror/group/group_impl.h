/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of group sync share; not for others (groups.h is).
 *
 *   group_table.c       the groups, their positions, the topics that these name
 *   group_translate.c   where a source position is on the target, by the link's run tables
 *   group_plan.c        what is to be done about a position: pure
 *   group_fetch.c       reads committed offsets of many groups, at either cluster
 *   group_commit.c      commits and deletes at the target
 *   group_sync.c        the round that calls all of these
 *   checkpoints.c       MM2's <source>.checkpoints.internal
 *   groups_status.c     /v1/groups and metrics
 */
#ifndef FARSHORE_MIRROR_GROUP_IMPL_H
#define FARSHORE_MIRROR_GROUP_IMPL_H

#include "lib/base/map.h"
#include "lib/client/group_offsets.h"
#include "mirror/group/group_translate.h"
#include "mirror/group/groups.h"
#include "mirror/link/link_parts.h"

struct checkpoints;
struct mm2_checkpoint;

enum {
	GROUP_NAME_MAX = 1024, /* bytes; Kafka knows no limit */
	GROUPS_MAX = 200000,
	GROUP_POSITIONS_MAX = 2000000 /* of all groups of a link */
};

/* A topic that positions name, and where its records are on the target. */
struct group_topic {
	struct group_topic *next;
	char *source;
	char *target;
	bool copy; /* it is a copy of the target's topic: translated by the reverse link's tables */
};

/* One group's committed offset of one partition. */
struct group_position {
	struct group_topic *topic;
	char *metadata; /* of the commit at the source; NULL: "" */
	int64_t source; /* committed at the source */
	int64_t target; /* committed at the target as last seen; -1: none; GROUP_UNSEEN */
	int64_t placed; /* what this link put there last; -1: nothing, or not known */
	int64_t told_source, told_target; /* of the last checkpoint; -1: none */
	uint32_t told_metadata;           /* hash */
	uint32_t told_pass;               /* in which it was */
	int32_t partition;
	uint32_t round; /* in which the source told it */
	enum group_skip skip : 8;
	/* 1: the source went back, seen in this round; 2: and was still there in the next. Two
	 * looks, since a topic that was made again looks the same until its new id is seen. */
	unsigned rewound : 2;
	unsigned metadata_differs : 1; /* the target has other metadata at this offset */
};
enum { GROUP_UNSEEN = -2 };

/* What a checkpoint says that was there when the process started. */
struct group_remembered {
	struct group_name *topic;
	int32_t partition;
	uint32_t metadata;
	int64_t source, target;
};

/* An interned name. */
struct group_name {
	struct group_name *next;
	char text[];
};

/* Where a group met a problem. */
enum group_step { GROUP_AT_SOURCE, GROUP_AT_TARGET, GROUP_AT_COMMIT };

enum group_target_state {
	GROUP_TARGET_UNKNOWN,
	GROUP_TARGET_ABSENT,
	GROUP_TARGET_EMPTY, /* or dead: there, without members */
	GROUP_TARGET_ACTIVE,
	GROUP_TARGET_OTHER /* not a consumer group */
};

struct group {
	char *name;
	char *problem; /* why nothing can be done about the group; NULL: nothing is wrong */
	struct group_position *positions; /* sorted by topic (address), partition */
	struct group_remembered *remembered;
	int32_t positions_n, positions_cap, remembered_n;
	int32_t elsewhere; /* positions of topics that are not mirrored */
	uint64_t hash;     /* of what the source told last */
	uint32_t topics_version;
	uint32_t listed;                  /* round in which the source listed it */
	int32_t source_node, target_node; /* coordinators; -1 unknown */
	int64_t verify_ms;                /* monotonic: look at the target again */
	int64_t hold_ms;                  /* monotonic: commit nothing before: it was refused */
	int64_t synced_ms;                /* wall: when the target was last seen in step; 0 never */
	enum group_target_state target_state : 8;
	enum group_step problem_at : 8;
	uint8_t gone; /* listings in a row in which the source had neither it nor an offset of it */
	bool known;   /* the source has told its offsets */
	bool ask;     /* the lister was not the coordinator: FindCoordinator decides */
	bool alone;   /* its answers are too large to share one */
	bool changed; /* since it was judged last */
	bool open;    /* to be judged in each round */
	bool due;     /* in this round's list of what to do at the target */
	bool waits;   /* until its members at the target leave */
	bool in_step; /* nothing is to be committed, nothing is in the way */
	bool fresh;   /* this round saw what the target has of it */
	bool tell;    /* there may be something for a checkpoint */
	bool ours;    /* all that the target has of it was put there by this link */
	bool source_active; /* has members, as far as the listing tells */
};

enum groups_phase {
	GROUPS_IDLE,
	GROUPS_LISTING,
	GROUPS_FETCHING,
	GROUPS_TARGET_LISTING,
	GROUPS_TARGET_FETCHING,
	GROUPS_COMMITTING,
	GROUPS_DELETING
};

/* A walk over groups that reads the offsets of all of them at one cluster. */
struct group_fetch {
	struct groups *g;
	struct client *client;
	bool target;
	struct group **list; /* the caller's; is sorted by coordinator */
	size_t n, at, out;
	const char **names; /* of those whose coordinator is asked for */
	struct group **asked;
	void (*each)(struct groups *g, struct group *group, enum err e, struct group_offsets *o);
	void (*done)(struct groups *g);
};

struct groups {
	struct link *link;
	const struct link_config *config;
	struct topic_filter *filter;
	struct map *by_name; /* -> struct group */
	struct map *topics;  /* source name -> struct group_topic */
	struct map *targets; /* target name -> struct group_topic */
	struct map *names;   /* -> struct group_name */
	struct group_topic *topic_list;
	struct group_name *name_list;
	struct group **all; /* those of `by_name` */
	size_t all_n, all_cap;
	size_t positions; /* of all groups */
	uint32_t topics_version;
	uint64_t seed;

	struct loop_timer *timer;
	enum groups_phase phase;
	bool begun, stopping;
	uint32_t round;
	int64_t round_ms;                    /* monotonic: when it began */
	int64_t list_ms, commit_ms, tell_ms; /* monotonic: next time for each */
	uint32_t whole_round;                /* in which a listing was complete last */
	bool round_failed;
	size_t topics_n; /* that the link had when it was looked at last */
	bool commit_now;
	struct group **due;
	size_t due_n, due_at, due_out;
	struct group_fetch fetch;
	struct checkpoints *checkpoints;
	struct reverse *reverse; /* made when a copy of a target's topic is met; see there */

	struct errmsg problem; /* of the last round as a whole; "" if none */
	int64_t done_ms;       /* wall: the end of the last round without one; 0 never */
	uint64_t committed, deleted, refused, rounds;
	struct map *others; /* names of groups of other kinds that were told */
	bool limit_told;
	uint64_t exceeded; /* matches over PCRE2's limits that were told */
};

/* ---- group_table.c ---- */
/* The group of this name, made if it is not there and its name matches. NULL: it does not match,
 * its name cannot be used, a limit is reached (told), or no memory. */
struct group *group_table_get(struct groups *g, struct bytes name);
struct group *group_table_find(const struct groups *g, struct bytes name);
void group_table_remove(struct groups *g, struct group *group);
void group_table_fini(struct groups *g);
/* Take over what the source told of a group. */
void group_table_take(struct groups *g, struct group *group, struct group_offsets *o);
/* What a checkpoint of before the start says. */
enum err group_table_remember(struct groups *g, const struct mm2_checkpoint *m) ERR_MUST_USE;
/* A position by its topic's name on the target; NULL: none. */
struct group_position *group_table_target(struct groups *g, struct group *group,
					  struct bytes target_topic, int32_t partition);
/* What this link put at the target for the group; -1: nothing. */
int64_t group_table_placed(struct groups *g, struct group *group, struct bytes target_topic,
			   int32_t partition);
/* `text` is copied; what was said before is forgotten. */
void group_set_problem(struct group *group, enum group_step step, const char *text);
/* The step went well: a problem of it is over. */
void group_clear_problem(struct group *group, enum group_step step);
uint32_t group_metadata_hash(struct bytes metadata);

/* ---- group_translate.c ---- */
/* The name on the target of source topic `topic`, which may itself be a copy of the target's
 * (`*copy`); false: the target has nothing of it. */
bool group_translate_topic(struct groups *g, struct bytes topic, char out[], bool *copy);
/* Such a topic was met: follow what the translation needs. ERR_NOMEM: try again. */
enum err group_translate_follow(struct groups *g, const struct group_topic *t) ERR_MUST_USE;
void group_translate_stop(struct groups *g);
void group_translate_free(struct groups *g);
void group_translate(const struct groups *g, const struct group_topic *t, int32_t partition,
		     int64_t offset, struct group_translation *out);

/* ---- group_plan.c ---- */
struct group_plan {
	bool commit;
	bool open; /* look again in the next round */
	enum group_skip skip;
};
/* What to do about a position, as the target was last seen. `active`: the group has members
 * there. */
struct group_plan group_plan(const struct group_position *p, const struct group_translation *t,
			     bool follow_rewinds, bool active);

/* ---- group_fetch.c ---- */
/* Read the offsets of all groups in `f->list`; f->each once at most for each, then f->done, once,
 * perhaps from inside this call. Errors of whole requests are noted in the groups and in
 * g->problem. */
void group_fetch_start(struct group_fetch *f);

/* ---- group_commit.c ---- */
/* Both end with a call of group_sync_written, perhaps from inside. */
/* Commit what is planned for the round's due groups. */
void group_commit_start(struct groups *g);
/* Delete those of the round's due groups that are gone at the source and ours at the target. */
void group_delete_start(struct groups *g);

/* ---- group_sync.c ---- */
void group_sync_written(struct groups *g);
/* Translate and plan all positions; true if one is to be committed now. */
bool group_sync_judge(struct groups *g, struct group *group);
/* The round met a problem that is not one group's. */
void group_sync_problem(struct groups *g, enum err e, const char *doing, const char *why);

/* ---- checkpoints.c ---- */
enum err checkpoints_new(struct groups *g, struct checkpoints **out) ERR_MUST_USE;
/* Before the target's client is freed, and after. */
void checkpoints_stop(struct checkpoints *c);
void checkpoints_free(struct checkpoints *c);
/* Read what is there; `done` comes once it is read (at once if there is no such topic). */
void checkpoints_load(struct checkpoints *c, void (*done)(struct groups *g));
/* Tell what changed, as far as there is room. */
void checkpoints_tell(struct checkpoints *c);
/* True if the last checkpoint of the position says something else; see `told_*`. */
bool checkpoints_due(const struct group_position *p, const struct group_translation *t);
/* How long the checkpoints of a pass took to be in the log; -1: not known (any more). */
int64_t checkpoints_latency_ms(const struct checkpoints *c, uint32_t pass);
bool checkpoints_idle(const struct checkpoints *c);
uint64_t checkpoints_written(const struct checkpoints *c);
void checkpoints_on_metadata(struct checkpoints *c);

#endif
