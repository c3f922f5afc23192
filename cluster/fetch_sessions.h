/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fetch sessions (KIP-227; FetchSession.scala has the rules): what a client wants is kept here, so
 * that its next request names only what changed, and an answer only what is new. Pure memory, no
 * I/O.
 *
 * A session that was thrown out of the cache lives on for the request that uses it.
 */
#ifndef FARSHORE_CLUSTER_FETCH_SESSIONS_H
#define FARSHORE_CLUSTER_FETCH_SESSIONS_H

#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/wire/messages.h"

struct fetch_sessions;
struct fetch_session;

/* A partition of a session: what is wanted, and what was last told. */
struct fetch_wish {
	struct uuid topic_id; /* of sessions with ids; else `name` */
	struct bytes name;
	int32_t partition;
	int32_t max_bytes;
	int32_t current_epoch, last_fetched_epoch;
	int64_t offset;
	/* As last answered; -1: not yet. */
	int64_t high_watermark, start;
	struct fetch_wish *prev, *next; /* the order of serving */
};

/* What a request turned out to be. */
enum fetch_kind {
	FETCH_SESSIONLESS,
	FETCH_FULL,        /* may become a session when it is answered */
	FETCH_INCREMENTAL, /* the partitions are those of `session` */
	FETCH_REFUSED      /* answer `error` alone */
};

struct fetch_context {
	enum fetch_kind kind;
	enum err error;
	struct fetch_session *session; /* one reference; NULL but for FETCH_INCREMENTAL */
	int32_t epoch;                 /* that the session must still have at the answer */
};

/* A cache of up to `slots` sessions. NULL when out of memory. */
struct fetch_sessions *fetch_sessions_new(const struct clock *clock, int32_t slots);
/* No context may be in use. NULL is safe. */
void fetch_sessions_free(struct fetch_sessions *all);

/* Take a request in. Changes the session that it names. */
void fetch_sessions_begin(struct fetch_sessions *all, const struct fetch_request *in,
			  int16_t version, struct fetch_context *out);

/* The partitions of an incremental context in the order of serving; NULL at the end. */
struct fetch_wish *fetch_sessions_first(const struct fetch_context *c);
size_t fetch_sessions_size(const struct fetch_context *c);

/* False if another request used the session meanwhile: then its partitions may not be looked at,
 * and the answer is INVALID_FETCH_SESSION_EPOCH. True for what is not incremental. */
bool fetch_sessions_current(const struct fetch_context *c);

/* What is known of a partition at the answer. */
struct fetch_outcome {
	enum err error;
	int64_t high_watermark, start; /* -1 with an error */
	bool records, diverging;
};

/* Incremental: must the partition be in the answer? Notes what is told, and puts a partition with
 * records to the end of the order. */
bool fetch_sessions_tell(struct fetch_context *c, struct fetch_wish *w,
			 const struct fetch_outcome *o);

/*
 * The session id of the answer. A full request gets a session if there is room (0: none); its
 * wishes are `outcomes_n` in the order of the request's partitions.
 */
int32_t fetch_sessions_end(struct fetch_sessions *all, struct fetch_context *c,
			   const struct fetch_request *in, int16_t version,
			   const struct fetch_outcome *outcomes);

/* Drop the context's reference. */
void fetch_context_fini(struct fetch_context *c);

/* For metrics. */
struct fetch_sessions_count {
	size_t sessions, partitions;
	uint64_t evicted;
};
void fetch_sessions_count(const struct fetch_sessions *all, struct fetch_sessions_count *out);

#endif
