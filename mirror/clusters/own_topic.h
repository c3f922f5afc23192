/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A topic of our own at one cluster, with one partition: makes sure that it is there, and writes
 * batches to it, one at a time. Run tables, MM2's internal topics and the like are kept in such
 * topics.
 *
 * It is stopped before its client is freed, so that it asks nothing of one that is gone, and freed
 * after it (client_free, then the loop turned), so that no answer is still to come.
 */
#ifndef FARSHORE_MIRROR_OWN_TOPIC_H
#define FARSHORE_MIRROR_OWN_TOPIC_H

#include "lib/client/client.h"

struct own_topic;

struct own_topic_setting {
	const char *name, *value;
};

struct own_topic_options {
	struct client *client;                    /* borrowed */
	const char *link;                         /* its name, for the log; borrowed */
	const char *name;                         /* copied */
	int16_t replication_factor;               /* if it is made; -1: the cluster's default */
	const struct own_topic_setting *settings; /* if it is made; borrowed */
	size_t settings_n;
	int64_t timeout_ms; /* of a request */
	/* It cannot be made, seen or led: told every few seconds while own_topic_ensure waits, from
	 * the loop. Logged already (internal_topic_not_ready). May be NULL. */
	void (*refused)(void *arg, enum err e, const struct errmsg *why);
	void *arg;
};

/* `e` ERR_OK, or why not, in words for an operator. */
typedef void own_topic_done(void *arg, enum err e, const struct errmsg *why);

/* The settings of a compacted topic in small segments (only closed ones are compacted, and every
 * start reads all). */
enum { OWN_TOPIC_COMPACTED_N = 2 };
extern const struct own_topic_setting own_topic_compacted[OWN_TOPIC_COMPACTED_N];

/* ERR_NOMEM, ERR_LIMIT: the name is longer than Kafka allows. Asks nothing yet. */
enum err own_topic_new(struct loop *l, const struct own_topic_options *o,
		       struct own_topic **out) ERR_MUST_USE;
/* The client is about to be freed: nothing more is asked of it, and `done` of own_topic_ensure does
 * not come any more. A write that is out ends with its answer, or ERR_CANCELED. NULL is safe. */
void own_topic_stop(struct own_topic *t);
void own_topic_free(struct own_topic *t);

const char *own_topic_name(const struct own_topic *t);

/* Make it if it is not there, and wait until it has a leader. `done` comes once, from the loop;
 * until then refusals are told and tried again, for ever. A second call before `done` replaces it.
 */
void own_topic_ensure(struct own_topic *t, own_topic_done *done, void *arg);

/* Wait no more: `done` does not come. Also from inside `refused`. */
void own_topic_leave(struct own_topic *t);

/* The client applied new metadata: go on at once. Optional, it looks by itself ten times a second
 * while it waits. */
void own_topic_on_metadata(struct own_topic *t);

/* Append `batch` (whole, any base offset) with acks=all; it must stay as it is until `done`, which
 * comes once, from the loop. One at a time. After an error it may or may not be in the log; the
 * metadata are refreshed. ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION: see own_topic_ensure. */
void own_topic_produce(struct own_topic *t, struct bytes batch, own_topic_done *done, void *arg);

#endif
