/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The topics of one link: finds those to mirror at the source, makes them at the target with the
 * same partition count and configuration, grows them, and keeps the configuration in step (only
 * differences are sent). MM2's rules; see naming.h.
 *
 * It tells its owner which topics are ready to be written. It never deletes a topic and never
 * shrinks one.
 */
#ifndef FARSHORE_MIRROR_TOPICS_H
#define FARSHORE_MIRROR_TOPICS_H

#include "lib/client/client.h"
#include "mirror/config/config.h"

struct topics;

/* A topic that is ready at both ends. Strings live as long as the topic is followed. */
struct topic_info {
	const char *source_name, *target_name;
	struct uuid source_id;    /* zero when the broker has none */
	int32_t partitions;       /* that exist at both ends */
	bool compacted;           /* source cleanup.policy contains compact */
	int32_t target_max_batch; /* target's max.message.bytes */
	bool target_stamps;       /* target's message.timestamp.type is LogAppendTime */
	uint32_t target_made;     /* grows when the target topic was made again */
	uint64_t target_configs;  /* another number: the target topic's configuration changed */
};

struct topics_events {
	/* The source has a topic that is to be mirrored; it will take a while until it is ready. */
	void (*on_found)(void *arg, const char *source_name);
	/* The topic became ready, or what is said of it changed (more partitions, another id, other
	 * limits). */
	void (*on_ready)(void *arg, const struct topic_info *t);
	/* The source has it no more. It may come back (on_ready, perhaps with another id). */
	void (*on_gone)(void *arg, const char *source_name);
	/* A topic cannot be made ready: `why` says topic, what and what to do; retried by itself.
	 * ERR_OK: it is mended. */
	void (*on_problem)(void *arg, const char *source_name, enum err e,
			   const struct errmsg *why);
};

/* `link` and the clients are borrowed. Starts to work at once. */
enum err topics_new(struct loop *l, const struct link_config *link, struct client *source,
		    struct client *target, const struct topics_events *ev, void *arg,
		    struct topics **out, struct errmsg *why) ERR_MUST_USE;
void topics_free(struct topics *t);

/* Look now, not at the next interval (a leader change or a fault may mean that something moved). */
void topics_refresh(struct topics *t);

/* Read the target topic's configuration again (a batch was refused). */
void topics_recheck_config(struct topics *t, const char *source_name);

/* Called by the owner when either client applied new metadata. */
void topics_on_metadata(struct topics *t);

#endif
