/* SPDX-License-Identifier: Apache-2.0 */
/* The metadata as its own files see it: the image, the log, and the changes on their way. */
#ifndef FARSHORE_CLUSTER_METADATA_METADATA_PRIV_H
#define FARSHORE_CLUSTER_METADATA_METADATA_PRIV_H

#include "cluster/metadata/image.h"
#include "lib/base/buf.h"
#include "lib/net/loop.h"

/*
 * A change on its way: appended, not applied yet. It owns the batch, so that what is applied is
 * read from the very bytes that were stored.
 *
 *   queued in order -> stored (plog_wait) -> applied record by record -> logs made or
 *   deleted -> done
 */
struct proposal {
	struct metadata *metadata;
	struct metadata_change *change; /* NULL: the proposer went away */
	struct buf batch;
	int64_t base;    /* offset of its first record */
	int64_t end;     /* offset after its last */
	int64_t applied; /* offset of the next record to apply */
	struct plog_wait wait;
	bool waiting;
	/* Partitions that it added and whose logs are still to be opened. */
	struct uuid opening;
	int32_t open_next, open_end;
	/* Logs of the topic that it removed and that are still to be deleted; owned. */
	struct plog **doomed;
	int32_t doomed_n;
	/* What it will have done, so that others do not try it again meanwhile. */
	char *creating;       /* a topic of this name */
	struct uuid topic_id; /* the topic that it changes; zero: none */
	int32_t partitions;   /* ... to so many partitions; 0: not that */
	bool deleting;        /* ... or deletes */
	bool altering;        /* it changes configurations */
	struct proposal *next;
};

/* What a change is about, given with it to propose_change. */
struct propose_about {
	const char *creating;
	struct uuid topic_id;
	int32_t partitions;
	bool deleting;
	bool altering;
};

struct registration; /* register.c */
struct producer_ids; /* producer_ids.c */

struct metadata {
	struct store *store;
	struct loop *loop;
	int32_t node_id;
	int32_t default_partitions;
	void (*on_topic_deleted)(void *arg, const struct topic *t);
	void *on_topic_deleted_arg;

	struct plog *log;
	struct image image;
	/* Proposals in the order of their offsets; `tail` points at the last `next`. */
	struct proposal *head, **tail;
	struct map *creating; /* names of topics on their way -> proposal */
	struct loop_deferred settle;
	struct loop_timer *retry; /* goes on with the first proposal */
	bool failed;              /* a sync failed: everything on its way ends with an error */
	bool truncate_due; /* the log has records that were given up; cut before the next append */

	struct registration *registration;
	struct producer_ids *ids;
	struct loop_timer *reopen; /* tries partitions that are offline again */
};

/* ---- metadata.c ---- */

/* An id that no topic has. */
void metadata_random_id(const struct metadata *m, struct uuid *out);

/* ---- propose.c ---- */

enum err propose_init(struct metadata *m) ERR_MUST_USE;
/* Ends everything on its way with ERR_CANCELED. */
void propose_fini(struct metadata *m);
/* metadata_propose, with what the change is about (NULL: nothing others care for). */
enum err propose_change(struct metadata *m, const struct metadata_record *records, size_t n,
			const struct propose_about *about, struct metadata_change *c,
			struct errmsg *why) ERR_MUST_USE;
/* The offset that the first record of the next proposal gets, if it is the next. */
int64_t propose_next_offset(const struct metadata *m);

/* ---- partition_logs.c: the image's partitions and the store ---- */

/* Hear of what the image changes from now on. */
void partition_logs_follow(struct metadata *m);
/* After the replay: remove what deleted topics left behind, open the rest. */
void partition_logs_open_all(struct metadata *m);
/* Delete and open some of the logs as an applied proposal asks for; true when none is left. */
bool partition_logs_follow_some(struct metadata *m, struct proposal *p);
enum err partition_logs_init(struct metadata *m) ERR_MUST_USE;
void partition_logs_fini(struct metadata *m);

/* ---- replay.c ---- */

enum err replay_run(struct metadata *m, struct errmsg *why) ERR_MUST_USE;

/* ---- register.c ---- */

enum err register_start(struct metadata *m, const struct metadata_options *o) ERR_MUST_USE;
void register_fini(struct metadata *m);
/* Of the registration that was proposed last, applied or not; -1: none. */
int64_t register_epoch(const struct metadata *m);

/* ---- producer_ids.c ---- */

enum err producer_ids_init(struct metadata *m) ERR_MUST_USE;
void producer_ids_fini(struct metadata *m);

#endif
