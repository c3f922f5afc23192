/* SPDX-License-Identifier: Apache-2.0 */
/* Metadata over a fake store, on a clock that the test moves. */
#ifndef FARSHORE_TESTS_METADATA_RIG_H
#define FARSHORE_TESTS_METADATA_RIG_H

#include "cluster/metadata/metadata.h"
#include "fake_log.h"

struct rig {
	int64_t now;
	uint64_t random;
	struct clock clock;
	struct loop *loop;
	struct fake_disk *disk;
	struct metadata *m;
	struct plog_config defaults;
	struct errmsg why; /* of the last call */
	int deleted;       /* calls of on_topic_deleted */
	char deleted_name[256];
	bool on_disk_when_deleted; /* the topic's folders were still there */
};

/* cmocka's setup and teardown; the metadata are not open yet. */
int rig_setup(void **state);
int rig_teardown(void **state);

enum err rig_open(struct rig *g);
/* Open, and let the registration be stored. */
void rig_start(struct rig *g);
/* Kill the process; `keep` of the batches that were not synced survive. */
void rig_crash(struct rig *g, size_t keep);
/* Some turns of the loop, in which what can happen happens. */
void rig_turns(struct rig *g);
/* Move the clock, and the timers with it. */
void rig_sleep(struct rig *g, int64_t ms);

/* A change whose end is noted. */
struct wish {
	struct metadata_change change;
	int calls;
	enum err e;
};
void wish_init(struct wish *w);

/* Propose, and wait for the end. */
enum err rig_create(struct rig *g, const char *name, int32_t partitions);
enum err rig_create_with(struct rig *g, const char *name, const char *config, const char *value);
enum err rig_delete(struct rig *g, const char *name);
enum err rig_grow(struct rig *g, const char *name, int32_t partitions);
/* `value` NULL: delete. `type` 2 or 4. */
enum err rig_alter(struct rig *g, int8_t type, const char *resource, const char *name,
		   const char *value);
const struct topic *rig_topic(const struct rig *g, const char *name);

#endif
