/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All brokers of one cluster, and the rule that one control connection stands at all times: to a
 * broker that the metadata named, or while there is none, to an entry of the bootstrap list.
 */
#ifndef FARSHORE_CLIENT_BROKERS_H
#define FARSHORE_CLIENT_BROKERS_H

#include "lib/client/broker.h"

struct brokers;

/* Called from the loop or from inside brokers functions: they may note, send and defer. */
struct brokers_events {
	/* A control connection is ready. */
	void (*on_ready)(void *arg);
	/* No broker can be reached: every address was tried since the last connection. */
	void (*on_unreachable)(void *arg, enum err e, const struct errmsg *why);
	/* A broker that the metadata named went away or refuses: its partitions may have moved. */
	void (*on_trouble)(void *arg);
};

/* Parses the bootstrap list ("host:port" each) and starts to connect. `cfg` and `ev` are borrowed.
 * ERR_CONFIG with the bad entry in `why`; ERR_NOMEM. */
enum err brokers_new(struct loop *l, const struct channel_config *cfg,
		     const struct client_options *o, const struct brokers_events *ev, void *arg,
		     struct brokers **out, struct errmsg *why) ERR_MUST_USE;

/* Close all connections: no event comes after this. Calls complete with ERR_CANCELED. */
void brokers_close(struct brokers *bs);
/* After brokers_close, when no caller of it is on the stack any more. NULL is safe. */
void brokers_free(struct brokers *bs);

/* Make the set of known brokers that of `list`, which is sorted by id, without duplicates.
 * ERR_NOMEM: some are missing, ask again later. */
enum err brokers_apply(struct brokers *bs, const struct endpoint *list, size_t n) ERR_MUST_USE;

/* Add or move one broker. ERR_NOMEM. */
enum err brokers_hint(struct brokers *bs, const struct endpoint *at) ERR_MUST_USE;

/* Drop what is known and begin with the bootstrap list again (KIP-1102). */
void brokers_rebootstrap(struct brokers *bs);

/* A known broker, or NULL. */
struct broker *brokers_find(const struct brokers *bs, int32_t id);

/* A ready control channel to any broker, known ones first, in turn; NULL when there is none. */
struct channel *brokers_any(struct brokers *bs);
const struct channel *brokers_any_peek(const struct brokers *bs);

/* The peer at the other end of control channel `ch` cannot be used: see channel_reject. Nothing
 * happens if there is no such channel any more. */
void brokers_reject(struct brokers *bs, const struct channel *ch, enum err e,
		    const struct errmsg *why);

/* Ready connections of all kinds. `why` (may be NULL) gets the last reason when there are none,
 * or that none has answered yet. */
size_t brokers_ready(const struct brokers *bs, struct errmsg *why);

/* Monotonic ms since when there is no ready connection; 0 when there is one. */
int64_t brokers_down_since(const struct brokers *bs);

/* The last reason for which a connection failed; empty when one is ready. Lives as long as `bs`. */
const struct errmsg *brokers_reason(const struct brokers *bs);

#endif
