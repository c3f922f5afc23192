/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A channel: the connection for one kind of traffic to one broker, through all its lives. It
 * connects when a call needs it, waits with full jitter after a failure, and follows the broker to
 * a new address. One rpc is one life.
 */
#ifndef FARSHORE_CLIENT_CHANNEL_H
#define FARSHORE_CLIENT_CHANNEL_H

#include "lib/client/call.h"

struct channel;

/* Where a broker is. */
struct address {
	char *host;
	uint16_t port;
};

/* What all channels of a client share. */
struct channel_config {
	const char *cluster; /* alias, for log lines */
	struct rpc_options rpc;
	int64_t backoff_min_ms;
	int64_t backoff_max_ms;
};

/* Called from the loop or from inside channel functions: they may note and defer, not call users.
 */
struct channel_events {
	void (*on_ready)(void *arg);
	/* An attempt to connect failed (or a connection died before it was of any use). */
	void (*on_failed)(void *arg, enum err e, const struct errmsg *why);
	/* A connection that had worked is gone. */
	void (*on_lost)(void *arg, const struct errmsg *why);
	/* Closed, with nothing in flight and nothing waiting. */
	void (*on_idle)(void *arg);
};

/* `cfg`, `at` and `ev` are borrowed; `at` may change, see channel_moved. Nothing is connected yet.
 * NULL when out of memory. */
struct channel *channel_new(struct loop *l, const struct channel_config *cfg,
			    const struct address *at, const struct channel_events *ev, void *arg);

/* Waiting calls and calls in flight complete with ERR_CANCELED from the loop. NULL is safe. */
void channel_free(struct channel *ch);

/* Connect although nothing waits; now, or when the back-off is over. */
void channel_open(struct channel *ch);

/* Send now or when ready; takes the call. Calls wait while the channel connects; if an attempt
 * fails they fail with its reason. */
void channel_call(struct channel *ch, struct call *call);

/* Close as soon as nothing is in flight. A later call connects again. */
void channel_release(struct channel *ch);

/* Fail what waits, then as channel_release. */
void channel_retire(struct channel *ch, enum err e, const struct errmsg *why);

/* The peer cannot be used (it gave nonsense): close at once, count it as a failed attempt. */
void channel_reject(struct channel *ch, enum err e, const struct errmsg *why);

/* `at` changed: new calls go to the new place, those in flight end at the old one. */
void channel_moved(struct channel *ch);

bool channel_ready(const struct channel *ch);
bool channel_pending(const struct channel *ch); /* connecting, or will after the back-off */
bool channel_idle(const struct channel *ch);    /* closed and nothing waits */
size_t channel_in_flight(const struct channel *ch);
int16_t channel_version(const struct channel *ch, int16_t api_key); /* -1: not ready, or none */

#endif
