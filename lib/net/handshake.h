/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The talk that opens a connection to a broker: ApiVersions (with the fall-back of KIP-511), then
 * SASL if asked, and SASL again before the session ends (KIP-368). It says what to send and is told
 * the answers; it does no I/O.
 */
#ifndef FARSHORE_NET_HANDSHAKE_H
#define FARSHORE_NET_HANDSHAKE_H

#include "lib/net/rpc.h"
#include "lib/net/versions.h"

struct handshake;

enum handshake_todo {
	HANDSHAKE_SEND,    /* handshake_request, send it, then handshake_answer */
	HANDSHAKE_COMPUTE, /* handshake_compute, off the loop, then look again */
	HANDSHAKE_READY    /* requests may flow */
};

struct handshake_request {
	int16_t api_key;
	int16_t version;
	const void *msg; /* valid until the next call of this module */
	bool secret;     /* the encoded bytes must be wiped after use */
};

/* `sasl` is borrowed, its mechanism may be NULL. NULL when out of memory. */
struct handshake *handshake_new(const struct rpc_sasl *sasl);
void handshake_free(struct handshake *h); /* NULL is safe */

enum handshake_todo handshake_todo(const struct handshake *h);

/* What to send now. ERR_NOMEM, ERR_CONFIG, ERR_IO, ERR_UNSUPPORTED (no common version). */
enum err handshake_request(struct handshake *h, struct handshake_request *out,
			   struct errmsg *why) ERR_MUST_USE;

/* The decoded answer to it. ERR_AUTH, ERR_UNSUPPORTED, ERR_MALFORMED, ERR_NOMEM, or the broker's
 * error: the connection is of no use then. */
enum err handshake_answer(struct handshake *h, const struct rpc_reply *reply,
			  struct errmsg *why) ERR_MUST_USE;

/* Touches nothing that the other functions may touch meanwhile: none of them may be called until
 * it returned. */
enum err handshake_compute(struct handshake *h) ERR_MUST_USE;

/* When ready: how long until handshake_again must start, in ms; 0 for never. `random` spreads the
 * moment, so that many connections do not meet. */
int64_t handshake_renew_ms(const struct handshake *h, uint64_t random);

/* Ready -> authenticate once more. */
void handshake_again(struct handshake *h);

const struct versions *handshake_versions(const struct handshake *h);

#endif
