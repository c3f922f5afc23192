/* SPDX-License-Identifier: Apache-2.0 */
/* A group coordinator for a model's broker: it lists groups, keeps offsets, deletes groups, and
 * refuses where a test says so. */
#ifndef FARSHORE_TESTS_MIRROR_MODEL_GROUPS_H
#define FARSHORE_TESTS_MIRROR_MODEL_GROUPS_H

#include "tests/unit/mirror/model.h"

enum { MODEL_GROUPS = 8, MODEL_POSITIONS = 4 };

struct model_position {
	char topic[64];
	int32_t partition, epoch;
	int64_t offset;
	char metadata[16];
};

struct model_group {
	char name[32]; /* "": none */
	const char *state, *type, *protocol;
	struct model_position at[MODEL_POSITIONS];
	int n;
};

struct model_groups {
	struct model *m;
	struct model_group groups[MODEL_GROUPS];
	unsigned commits, deletes; /* requests */
	/* What goes wrong, for as many requests. */
	int fetch_errors, commit_errors, list_errors;
	int16_t error;
	int16_t part_error; /* of each partition that is fetched */
	bool hide;          /* the listing leaves groups out */
	bool loses_race;    /* a member joins between look and commit */
	bool silent;        /* FindCoordinator fails */
};

void model_groups_init(struct model_groups *g, struct model *m);
/* NULL: there is none. */
struct model_group *model_groups_find(struct model_groups *g, const char *name);
/* What a consumer commits. */
void model_groups_commit(struct model_groups *g, const char *name, const char *topic,
			 int64_t offset, const char *metadata);
void model_groups_remove(struct model_groups *g, const char *name);
/* The committed offset of partition 0; -1: none. */
int64_t model_groups_offset(struct model_groups *g, const char *name, const char *topic);

#endif
