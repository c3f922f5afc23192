/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests over one connection to a broker: opens it, authenticates if asked (SASL), learns the
 * broker's versions (ApiVersions), then sends requests and matches answers. Any number in flight;
 * answers come in request order (a Kafka rule), each is checked against its correlation id. Every
 * request has a deadline.
 *
 * An rpc is one life of one connection: when it dies, every request in flight and every later one
 * completes with an error, and the owner makes a new one after a back-off of its choice.
 */
#ifndef FARSHORE_NET_RPC_H
#define FARSHORE_NET_RPC_H

#include "lib/net/conn.h"

struct rpc;

enum {
	RPC_DECODE_MAX = 64 * 1024 * 1024, /* default of rpc_options.decode_max */
	RPC_SETUP_TIMEOUT_MS = 30000       /* default of rpc_options.setup_timeout_ms */
};

/* SASL: NULL mechanism means none. Strings are borrowed for the life of the rpc. */
struct rpc_sasl {
	const char *mechanism; /* PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 */
	const char *username;
	const char *password;
};

struct rpc_options {
	struct conn_options conn;
	const char *client_id; /* borrowed for the life of the rpc; NULL: none */
	struct rpc_sasl sasl;
	/* Bytes that the arrays of one answer may take when decoded; 0: RPC_DECODE_MAX. */
	size_t decode_max;
	/* Deadline of each request of the opening talk (ApiVersions, SASL), counted from when it is
	 * sent; 0: RPC_SETUP_TIMEOUT_MS. */
	int64_t setup_timeout_ms;
};

/* A decoded answer, valid during the callback only. To keep slices of `msg` alive, take a reference
 * of `frame` (strings, bytes and records borrow from it; arrays do not: they go with the arena). */
struct rpc_reply {
	int16_t api_key;
	int16_t version;
	const void *msg; /* the response struct of messages.h */
	struct frame *frame;
};

/*
 * Completion of one request, exactly once, never from inside rpc_call.
 * e == ERR_OK: `reply` is set; error codes inside the message are the caller's to read.
 * Otherwise `reply` is NULL and `why` says what happened, beginning with "host:port: ":
 * ERR_TIMEOUT (the rpc dies too: order is lost), ERR_MALFORMED (the answer did not decode; the rpc
 * dies), ERR_LIMIT or ERR_NOMEM (the answer is larger than decode_max, or memory is short; the rpc
 * lives on), ERR_CANCELED (rpc_close), or what killed the connection.
 */
typedef void rpc_done(void *arg, enum err e, const struct errmsg *why,
		      const struct rpc_reply *reply);

struct rpc_events {
	/* Versions known, authenticated: requests flow. At most once. */
	void (*on_ready)(void *arg);
	/* At most once, after the completions of all requests in flight; then call rpc_close.
	 * `e`: conn_events.on_dead's, and ERR_AUTH, ERR_MALFORMED, ERR_TIMEOUT, ERR_UNSUPPORTED,
	 * ERR_CONFIG (unusable SASL settings). */
	void (*on_dead)(void *arg, enum err e, const struct errmsg *why);
};

/* Connect to `host` and `port` and open the talk: ApiVersions, then SASL. With SASL sessions that
 * end (connections.max.reauth.ms, KIP-368) the rpc authenticates again by itself in time; requests
 * made meanwhile wait for it. `events` and `arg` are kept. NULL only when out of memory. */
struct rpc *rpc_open(struct loop *l, const char *host, uint16_t port, const struct rpc_options *o,
		     const struct rpc_events *events, void *arg);

/*
 * Send a request that has an answer (so no Produce with acks=0): `msg` is the request struct of API
 * `api_key`, encoded now, so it need not outlive the call, but for records of 1 KiB and more: these
 * are not copied and must live until the completion (hold their frames until then). The version is
 * the highest that the broker, the schema and `max_version` share (INT16_MAX for no limit of one's
 * own); it must be >= `min_version`. `timeout_ms` runs from now. `why` may be NULL. Returns ERR_OK
 * if `done` will be called; any other error means that it will not: ERR_CLOSED (not rpc_ready: the
 * owner waits for on_ready, or the rpc is dead), ERR_UNSUPPORTED (no common version, or a field
 * that is set does not exist in it), ERR_LIMIT (too large for a frame), ERR_NOMEM.
 */
enum err rpc_call(struct rpc *r, int16_t api_key, int16_t min_version, int16_t max_version,
		  const void *msg, int64_t timeout_ms, rpc_done *done, void *arg,
		  struct errmsg *why) ERR_MUST_USE;

bool rpc_ready(const struct rpc *r);

/* The version that rpc_call would use, or -1 if there is no common one. */
int16_t rpc_version(const struct rpc *r, int16_t api_key, int16_t max_version);

size_t rpc_in_flight(const struct rpc *r); /* requests of rpc_call without a completion */

/* "host:port", for messages; lives as long as the rpc. */
const char *rpc_name(const struct rpc *r);

/* For its byte counters; NULL once the rpc is dead. */
const struct conn *rpc_conn(const struct rpc *r);

/* Close and free; requests in flight complete with ERR_CANCELED (from the loop, not from inside
 * this call). NULL is safe. */
void rpc_close(struct rpc *r);

#endif
