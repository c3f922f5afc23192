/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes records to a topic of our own (own_topic.h): in order, in batches, one request at a time,
 * again and again until the cluster has them. The topic is made when the first record comes, and
 * again if it was deleted.
 *
 * At least once: after an unclear end a batch is written a second time, so readers must bear
 * repetitions (a compacted topic does).
 */
#ifndef FARSHORE_MIRROR_TOPIC_WRITER_H
#define FARSHORE_MIRROR_TOPIC_WRITER_H

#include "lib/wire/records.h"
#include "mirror/clusters/own_topic.h"

struct topic_writer;

struct topic_writer_options {
	struct own_topic_options topic; /* but for `refused` */
	/* Bytes of records in one batch, and as many may wait beside the batch under way. A record
	 * that is larger than that is refused (ERR_LIMIT). */
	size_t batch_bytes;
	int64_t linger_ms; /* how long the first record waits for others; 0: the end of the turn */
	/* All records up to this ticket are in the log for good. From the loop; may be NULL. */
	void (*stored)(void *arg, uint64_t ticket);
	/* The batch under way was refused, or could not be sent, or the topic cannot be made; it is
	 * tried again with back-off. Logged already (internal_topic_not_written, _not_ready). May
	 * be NULL. topic_writer_drop may be called. */
	void (*refused)(void *arg, enum err e, const struct errmsg *why);
	void *arg;
};

/* Nothing is asked of the cluster before the first record. ERR_NOMEM, ERR_LIMIT (the topic's name).
 * `o` is copied; what it points to is borrowed as own_topic.h says. */
enum err topic_writer_new(struct loop *l, const struct topic_writer_options *o,
			  struct topic_writer **out) ERR_MUST_USE;

/* Before the client is freed: see own_topic_stop. NULL is safe. */
void topic_writer_stop(struct topic_writer *w);

/* After the client was freed, as own_topic_free. What was not written is dropped. NULL is safe. */
void topic_writer_free(struct topic_writer *w);

/*
 * Queue a copy of the record (key, value, headers, timestamp; see batch_builder_add). `*ticket`
 * (may be NULL) is its number: 1, 2, ... ERR_LIMIT: as much waits as may wait: try again after
 * `stored`; if nothing waits, this record alone is too large. ERR_NOMEM. After an error nothing was
 * queued.
 */
enum err topic_writer_put(struct topic_writer *w, const struct record *r,
			  uint64_t *ticket) ERR_MUST_USE;

/* The same for a record of key and value alone, with the present time. A null value deletes. */
enum err topic_writer_put_pair(struct topic_writer *w, struct bytes key, struct bytes value,
			       uint64_t *ticket) ERR_MUST_USE;

/* The newest ticket up to which all is in the log; 0: nothing. */
uint64_t topic_writer_stored(const struct topic_writer *w);

/* True if nothing waits and nothing is under way. */
bool topic_writer_idle(const struct topic_writer *w);

/* Forget what waits and, if no request is out, the batch under way: their tickets will not be told,
 * later ones will. Not from inside `stored`. */
void topic_writer_drop(struct topic_writer *w);

const char *topic_writer_topic(const struct topic_writer *w);

/* See own_topic_on_metadata. */
void topic_writer_on_metadata(struct topic_writer *w);

#endif
