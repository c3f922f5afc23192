/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fetch sessions (KIP-227): what a broker remembers of our fetch, and the smallest request that
 * turns it into what we want. Pure: builds and reads message structs, does no I/O.
 *
 * One request is out at a time: build, then either accept or reset.
 */
#ifndef FARSHORE_CLIENT_FETCH_SESSION_H
#define FARSHORE_CLIENT_FETCH_SESSION_H

#include "lib/wire/messages.h"

struct fetch_session;
struct fetch_part;

/* Where to read a partition. */
struct fetch_want {
	int64_t offset;
	int32_t leader_epoch; /* -1 unknown */
	int32_t last_epoch;   /* -1 unknown */
	int32_t max_bytes;
};

/* `owner` is for fetch_session_owner. NULL when out of memory. */
struct fetch_session *fetch_session_new(void *owner);
void fetch_session_free(struct fetch_session *s); /* parts too; NULL is safe */

/* A partition, not wanted yet. `topic` is copied. NULL when out of memory. */
struct fetch_part *fetch_session_add(struct fetch_session *s, const char *topic,
				     const struct uuid *id, int32_t partition, void *arg);

/* The part is gone for its user; the session forgets it with the next request. */
void fetch_session_remove(struct fetch_part *p);

void fetch_session_want(struct fetch_part *p, const struct fetch_want *w);
void fetch_session_pause(struct fetch_part *p);

void *fetch_session_owner(const struct fetch_part *p);
void *fetch_session_arg(const struct fetch_part *p);
const char *fetch_session_topic(const struct fetch_part *p);
size_t fetch_session_parts(const struct fetch_session *s);
size_t fetch_session_wanted(const struct fetch_session *s);

/*
 * Fill in session id, epoch, topics and forgotten topics of `req`, whose arrays live in `a`. `*ids`
 * tells if versions with topic ids (13 and above) may be used; names are filled in as well.
 * ERR_NOMEM: nothing has changed.
 */
enum err fetch_session_build(struct fetch_session *s, struct arena *a, struct fetch_request *req,
			     bool *ids) ERR_MUST_USE;

/*
 * Check the answer to the request that was built, and take it in: the next request is incremental
 * if the broker keeps a session. ERR_OK: look at the partitions with fetch_session_find. An error
 * of the answer as a whole, or ERR_MALFORMED for an answer that does not fit the request: the
 * session is reset, the partitions must not be used.
 */
enum err fetch_session_accept(struct fetch_session *s, int16_t version,
			      const struct fetch_response *r, struct errmsg *why) ERR_MUST_USE;

/* The request's fate is unknown: begin with a full fetch again (and let the broker drop the old
 * session). */
void fetch_session_reset(struct fetch_session *s);

/* The part that an accepted answer is about; NULL if that was paused, moved or removed since the
 * request was built. */
struct fetch_part *fetch_session_find(const struct fetch_session *s, int16_t version,
				      const struct fetch_response_fetchable_topic_response *topic,
				      int32_t partition);

#endif
