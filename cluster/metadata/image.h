/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image: what the metadata records say, applied one by one. Pure memory: it opens no log and
 * writes nothing, so that replays, fuzzing and the model test drive it alone. What must happen
 * outside (logs opened and deleted, settings handed on) it tells through `struct image_events`.
 */
#ifndef FARSHORE_CLUSTER_METADATA_IMAGE_H
#define FARSHORE_CLUSTER_METADATA_IMAGE_H

#include "cluster/metadata/metadata.h"

/* Levels of metadata.version (MetadataVersion.java): from 3.3-IV3, the first that Kafka 4.1
 * takes, to 4.1-IV1, which a new cluster gets. */
enum { METADATA_VERSION_MIN = 7, METADATA_VERSION = 27 };

/* ConfigResource.Type of Kafka. */
enum { RESOURCE_TOPIC = 2, RESOURCE_BROKER = 4, RESOURCE_BROKER_LOGGER = 8 };

/* A topic and what only this folder knows of it. */
struct image_topic {
	struct topic t; /* the first member: a `struct topic *` of the image is one of these */
	char *name;
	int32_t partitions_cap;
	/* Changes on their way (the proposals' bookkeeping). */
	int32_t partitions_wanted; /* 0: none on their way */
	bool deleting;
};

/* Called while a record is applied; any may be NULL. */
struct image_events {
	void (*partition_added)(void *arg, struct partition *p);
	/* The topic goes away after the call. */
	void (*topic_removed)(void *arg, struct topic *t);
	void (*topic_configured)(void *arg, struct topic *t);
	/* A dynamic broker setting changed; every topic's log_config is new. */
	void (*broker_configured)(void *arg);
	void *arg;
};

struct image {
	int32_t node_id;
	struct plog_config log_defaults; /* of the broker's start */
	struct image_events events;

	int64_t offset; /* of the last record applied; -1: none */
	struct map *by_name, *by_id;
	struct image_topic **sorted; /* by name */
	size_t topics_n, topics_cap;
	struct map *broker_configs;  /* of this broker: name -> char * */
	struct map *cluster_configs; /* of all brokers */

	int64_t broker_epoch; /* -1: not registered */
	bool broker_fenced;
	int16_t metadata_version; /* 0: none yet */
	int64_t next_producer_id;

	/* Ids of removed topics, kept only while a replay asks for it (image_remember_removed). */
	struct map *removed;
};

/* ERR_NOMEM. */
enum err image_init(struct image *im, int32_t node_id,
		    const struct plog_config *log_defaults) ERR_MUST_USE;
void image_fini(struct image *im);

/*
 * Apply the record at `offset`, as it was framed. All or nothing.
 * ERR_MALFORMED, ERR_UNSUPPORTED: it cannot be right, or needs a newer version; `why` names what.
 * ERR_NOMEM: the same call may succeed later.
 */
enum err image_apply(struct image *im, int64_t offset, struct bytes value,
		     struct errmsg *why) ERR_MUST_USE;

struct image_topic *image_find(const struct image *im, struct bytes name);
struct image_topic *image_find_id(const struct image *im, const struct uuid *id);
/* Where `name` stands in `sorted`, or would stand. */
size_t image_position(const struct image *im, struct bytes name);

/* From now on note the ids of removed topics; NOMEM: they are not noted. */
enum err image_remember_removed(struct image *im) ERR_MUST_USE;
bool image_was_removed(const struct image *im, const struct uuid *id);
void image_forget_removed(struct image *im);

/* What a topic gets that sets nothing: the start's settings under the dynamic ones. */
void image_log_defaults(const struct image *im, struct plog_config *out);

#endif
