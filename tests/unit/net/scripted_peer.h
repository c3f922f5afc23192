/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A broker that plays a script, for tests: it listens on loopback in the test's own loop, decodes
 * requests, asks the test's handlers for answers, and misbehaves where told. Link `scripted_peer`.
 *
 * As a real broker it deals with the requests of one connection one after the other: an answer that
 * is delayed or parked holds up those behind it.
 *
 * Nothing here tolerates failure: a test that runs out of memory on purpose makes the peer before
 * and keeps its hands off it (see oom_at in test_rpc.c).
 */
#ifndef FARSHORE_TESTS_SCRIPTED_PEER_H
#define FARSHORE_TESTS_SCRIPTED_PEER_H

#include "lib/net/conn.h"
#include "lib/wire/messages.h"

struct scripted_peer;

/* What becomes of a request. */
enum scripted_act {
	SCRIPTED_ANSWER,   /* send the answer */
	SCRIPTED_RAW,      /* send the frame `raw` of the request instead */
	SCRIPTED_BYTES,    /* write the bytes `raw` as they are, whatever frames they are (not over
			      TLS) */
	SCRIPTED_SILENT,   /* send nothing, ever; later requests are dealt with */
	SCRIPTED_PARK,     /* ask the handler again after scripted_peer_unpark */
	SCRIPTED_WRONG_ID, /* the answer, with another correlation id */
	SCRIPTED_TWICE,    /* the answer, two times */
	SCRIPTED_GARBAGE,  /* a frame of bytes that decode as nothing */
	SCRIPTED_CUT,      /* half of the answer's frame, then close (not over TLS) */
	SCRIPTED_CLOSE     /* close the connection */
};

struct scripted_request {
	struct scripted_peer *peer;
	unsigned connection; /* 1, 2, ... in the order of accepting */
	unsigned n;          /* 1 for the first request of this API at this peer, ... */
	struct wire_request_header head;
	const void *msg;     /* the request struct */
	struct frame *frame; /* where its slices live; take a reference to keep them */
	struct arena *arena; /* for the answer's arrays */
	int64_t delay_ms;    /* the handler may set it: wait before acting */
	struct bytes raw;    /* for SCRIPTED_RAW: a frame without its length prefix; copied. For
				SCRIPTED_BYTES: see there */
};

/* Fill in `answer`, the response struct of the API, which comes with all its defaults. */
typedef enum scripted_act scripted_handler(void *arg, struct scripted_request *q, void *answer);

struct scripted_options {
	uint16_t port;       /* 0: any */
	struct tls_ctx *tls; /* NULL: plain. Borrowed */
};

/* `o` may be NULL. */
struct scripted_peer *scripted_peer_new(struct loop *l, const struct scripted_options *o);
void scripted_peer_free(struct scripted_peer *p); /* closes all; NULL is safe */

uint16_t scripted_peer_port(const struct scripted_peer *p);

/*
 * Who answers `api_key`. A request of an API without a handler closes the connection and counts as
 * unexpected. ApiVersions has a built-in handler, which answers with the ranges of
 * scripted_peer_versions (at first: all of the schemas), and with error 35 as KIP-511 says.
 */
void scripted_peer_on(struct scripted_peer *p, int16_t api_key, scripted_handler *fn, void *arg);

/* Offer `api_key` in versions `min`..`max` only; min > max: not at all. */
void scripted_peer_versions(struct scripted_peer *p, int16_t api_key, int16_t min, int16_t max);

/* Offer nothing any more, to start from an empty list. */
void scripted_peer_versions_none(struct scripted_peer *p);

/* The built-in ApiVersions handler, for handlers that wrap it; `arg` is the peer. */
enum scripted_act scripted_peer_api_versions(void *arg, struct scripted_request *q, void *answer);

/* Ask the handlers of parked requests again. */
void scripted_peer_unpark(struct scripted_peer *p);

/* Close all connections. The listener stays. */
void scripted_peer_hang_up(struct scripted_peer *p);

/* Stop and start to accept connections: while deaf, they are accepted and closed at once. */
void scripted_peer_deaf(struct scripted_peer *p, bool deaf);

/* The frame (without length prefix) that SCRIPTED_ANSWER would send; the caller calls
 * wire_out_fini. */
void scripted_encode(const struct scripted_request *q, const void *answer, struct wire_out *out);

/* Counters. */
unsigned scripted_peer_connections(const struct scripted_peer *p); /* open now */
unsigned scripted_peer_accepted(const struct scripted_peer *p);    /* since the start */
unsigned scripted_peer_seen(const struct scripted_peer *p, int16_t api_key);
int16_t scripted_peer_last_version(const struct scripted_peer *p, int16_t api_key); /* or -1 */
unsigned scripted_peer_unexpected(const struct scripted_peer *p);

#endif
