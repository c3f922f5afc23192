/* SPDX-License-Identifier: Apache-2.0 */
/* What the scan (topics.c) and the requests that follow from it (topic_job.c) share. */
#ifndef FARSHORE_MIRROR_TOPICS_PRIV_H
#define FARSHORE_MIRROR_TOPICS_PRIV_H

#include "mirror/clusters/topic_configs.h"
#include "mirror/clusters/topics.h"

enum {
	TOPIC_JOB_MAX = 100,  /* topics in one request */
	TOPICS_WATCH_MS = 100 /* how soon to look whether the target has what was just made */
};

enum topic_step { TOPIC_STEP_NONE, TOPIC_STEP_CREATE, TOPIC_STEP_GROW, TOPIC_STEP_CONFIGS };

struct topic_item {
	char *source_name, *target_name;
	struct uuid source_id;
	int32_t source_partitions;
	uint64_t seen; /* the scan that found it at the source */
	bool gone;
	bool configs_known; /* compacted and target_max_batch are true */
	bool compacted;
	int32_t target_max_batch;
	bool target_stamps;
	uint64_t target_configs;
	int64_t configs_due_ms, retry_ms; /* monotonic */
	struct uuid target_id;
	uint32_t target_made; /* times that the target topic was seen to be made again */
	bool has_problem;
	bool told;
	struct topic_info last_told;
};

/* One batch of steps of one kind under way. */
struct topic_job {
	struct topics *owner;
	enum topic_step step;
	struct topic_item *items[TOPIC_JOB_MAX];
	struct topic_configs source[TOPIC_JOB_MAX], target[TOPIC_JOB_MAX];
	size_t n;
	struct arena arena;
	union {
		struct describe_configs_request describe;
		struct create_topics_request create;
		struct create_partitions_request grow;
		struct incremental_alter_configs_request alter;
	} msg;
};

struct topics {
	struct loop *loop;
	const struct link_config *link;
	struct client *source, *target;
	const struct topics_events *ev;
	void *arg;
	struct topic_filter *filter, *exclude;
	struct map *items; /* by source name */
	struct topic_job *job;
	uint64_t scans;
	bool alter_unsupported;
	bool told_same; /* that both clusters are one */
	struct loop_timer *refresh, *soon;
	struct loop_deferred scan;
};

/* ---- topics.c ---- */
void topics_scan_soon(struct topics *t);
/* A topic's step failed: it is told, and tried again in a while. */
void topics_problem(struct topics *t, struct topic_item *x, enum err e, const struct errmsg *why);
/* A topic's step went well: told if there was a problem. */
void topics_well(struct topics *t, struct topic_item *x);

/* ---- topic_job.c ---- */
/* Without topics yet: the caller puts up to TOPIC_JOB_MAX of them into `items`. NULL: out of
 * memory. */
struct topic_job *topic_job_new(struct topics *t, enum topic_step step);
/* One that was not started. */
void topic_job_free(struct topic_job *j);
/* Ask. It frees itself when it is over, also if its owner is gone by then (owner NULL). */
void topic_job_start(struct topics *t, struct topic_job *j);

#endif
