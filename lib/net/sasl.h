/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client side of SASL PLAIN (RFC 4616), SCRAM-SHA-256 and SCRAM-SHA-512 (RFC 5802, RFC 7677):
 * messages in, messages out, no I/O.
 *
 * User names and passwords go out as the bytes they are, as Kafka's own clients do it: SASLprep is
 * not applied (it is the identity for ASCII; for other text both ends must hold the same UTF-8).
 *
 * Secrets never appear in an error text and are wiped from memory when they are no longer needed.
 */
#ifndef FARSHORE_NET_SASL_H
#define FARSHORE_NET_SASL_H

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/net/rpc.h"

struct sasl;

/* What the exchange waits for. */
enum sasl_todo {
	SASL_PUT,     /* the client's next message: sasl_put */
	SASL_TAKE,    /* the server's next message: sasl_take */
	SASL_COMPUTE, /* a slow computation: sasl_compute, on any one thread */
	SASL_DONE     /* the server accepted us and, with SCRAM, proved that it knows us */
};

enum {
	SASL_MESSAGE_MAX = 8192,    /* bytes of one message, either way */
	SASL_ITERATIONS_MIN = 4096, /* RFC 7677 section 4 */
	SASL_ITERATIONS_MAX = 1000000
};

/* Are the settings usable? ERR_CONFIG with the reason in `why`. */
enum err sasl_check(const struct rpc_sasl *c, struct errmsg *why) ERR_MUST_USE;

/*
 * One exchange; `c` is borrowed for its life. `nonce` is the client nonce, printable and without
 * comma, for tests; NULL takes a random one. ERR_CONFIG (sasl_check), ERR_NOMEM, ERR_IO (no random
 * numbers).
 */
enum err sasl_new(const struct rpc_sasl *c, const char *nonce, struct sasl **out,
		  struct errmsg *why) ERR_MUST_USE;
void sasl_free(struct sasl *s); /* NULL is safe */

enum sasl_todo sasl_todo(const struct sasl *s);

/* Append the client's next message. ERR_NOMEM, ERR_LIMIT. */
enum err sasl_put(struct sasl *s, struct buf *out) ERR_MUST_USE;

/* The server's message (PLAIN: empty). ERR_AUTH: the server is not to be trusted or refused us;
 * ERR_MALFORMED: not a SCRAM message; ERR_NOMEM. The exchange is over after an error. */
enum err sasl_take(struct sasl *s, struct bytes in, struct errmsg *why) ERR_MUST_USE;

/* Derive the keys: as long as the server's iteration count says (under a second at the limit), so
 * not on a loop's thread. Touches nothing but `s`. ERR_IO when the crypto library fails. */
enum err sasl_compute(struct sasl *s) ERR_MUST_USE;

#endif
