/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Kafka client for daemons: one object per cluster. It bootstraps from a list, keeps connections
 * with back-off, keeps metadata (brokers, leaders with epochs, topic ids) and sends typed requests
 * to the right broker. Asynchronous, one loop, no global state.
 *
 * Nothing is retried behind the caller's back but connecting and metadata: the caller knows whether
 * a request may be repeated.
 */
#ifndef FARSHORE_CLIENT_CLIENT_H
#define FARSHORE_CLIENT_CLIENT_H

#include "lib/net/rpc.h"
#include "lib/wire/messages.h"

struct client;

struct client_options {
	const char *name;             /* the cluster's alias, for messages */
	const char *const *bootstrap; /* "host:port" strings */
	size_t bootstrap_n;
	struct rpc_options rpc; /* deep-copied but for tls and the frame pool, which are borrowed */
	int64_t request_timeout_ms;  /* default deadline of a request */
	int64_t metadata_max_age_ms; /* refreshed at least this often */
	int64_t backoff_min_ms;      /* reconnect.backoff.ms */
	int64_t backoff_max_ms;      /* reconnect.backoff.max.ms */
	size_t metadata_max; /* bytes that a metadata answer may take when decoded (ERR_LIMIT) */
};

/* Deep-copies the options. Connects at once and keeps trying. ERR_CONFIG names the bootstrap entry
 * that is not "host:port"; ERR_NOMEM. */
enum err client_new(struct loop *l, const struct client_options *o, struct client **out,
		    struct errmsg *why) ERR_MUST_USE;

/* Cancels what is in flight (completions with ERR_CANCELED come from the loop), then frees. No
 * watcher is called any more. Fetchers are freed before. May be called from inside a completion or
 * the watcher. NULL is safe. */
void client_free(struct client *c);

const char *client_name(const struct client *c);

struct loop *client_loop(const struct client *c);
int64_t client_request_timeout_ms(const struct client *c);

/* A wait before retry number `attempt` (0, 1, ...), by the client's back-off settings. */
int64_t client_backoff_ms(const struct client *c, unsigned attempt);

/* Where a request goes. */
enum { CLIENT_ANY = -1, CLIENT_CONTROLLER = -2 }; /* or a broker's node id >= 0 */

/*
 * A channel keeps apart traffic that must not wait behind other traffic of the same broker: each
 * (node, channel) is a connection of its own. (A parked fetch blocks all later answers on its
 * connection.) Opened on first use.
 */
enum {
	CLIENT_CHANNEL_CONTROL = 0,
	CLIENT_CHANNEL_PRODUCE = 1,
	CLIENT_CHANNEL_FETCH = 2, /* and above: more fetchers */
	CLIENT_CHANNEL_GROUPS = 9 /* groups and their offsets; up to 15 for many commits at once */
};
enum { CLIENT_CHANNELS_MAX = 16 };

/*
 * Send `msg`, the request struct of `api_key`. Keep `msg` as it is, and alive, until `done`.
 * Completion exactly once and never from inside this call; see rpc_done.
 *
 * While the connection is being opened (or waits out its back-off) the request waits with it, until
 * the deadline (ERR_TIMEOUT). As soon as an attempt to connect fails, all requests that wait for
 * this connection fail with its reason (ERR_CONNECT, ERR_DNS, ERR_TLS, ERR_AUTH, ...), so that the
 * caller can show it; a request made after that waits for the next attempt. A request that was sent
 * when the connection died completes with the reason: it may have been carried out.
 *
 * CLIENT_ANY takes a broker whose control connection is ready, whatever `channel` says; without one
 * the request waits, and fails when every known address was tried in vain. CLIENT_CONTROLLER waits
 * for the first metadata; without a known controller any broker is asked, which answers
 * KAFKA_NOT_CONTROLLER. A node that the metadata does not have gives ERR_CONNECT and a refresh.
 *
 * Max versions of our own: none; min: the schema's.
 */
struct client_call {
	int32_t node;
	uint8_t channel;
	int16_t api_key;
	int16_t max_version; /* 0: no limit of the caller's */
	const void *msg;
	int64_t timeout_ms; /* 0: the default */
	/* May be NULL. Called with `arg` when the connection is ready, just before `msg` is
	 * encoded in `version`: the chance to fit it to the version. Comes again if the connection
	 * turns out to be dead then. Must not call the client. */
	void (*prepare)(void *arg, int16_t version);
	rpc_done *done;
	void *arg;
};
void client_call(struct client *c, const struct client_call *call);

/* The version that a call would use on `node` (or CLIENT_ANY, CLIENT_CONTROLLER) now; -1 if there
 * is no ready connection on any channel, or no common version. */
int16_t client_version(const struct client *c, int32_t node, int16_t api_key);

/* True when a connection to (node, channel) is ready. */
bool client_connected(const struct client *c, int32_t node, uint8_t channel);

/* Open the connection that calls to (node, channel) will use, so that the first does not wait for
 * it. Nothing happens if it is open, or if the metadata do not have the node. */
void client_open(struct client *c, int32_t node, uint8_t channel);

/* Ready connections to any broker: 0 means that the cluster cannot be reached now; the reason is in
 * `why` (may be NULL). */
size_t client_ready(const struct client *c, struct errmsg *why);

/* Monotonic ms since when no broker is reachable; 0 when one is. */
int64_t client_down_since(const struct client *c);

/* ---- metadata ---- */

struct client_partition {
	int32_t leader;       /* node id; -1 none */
	int32_t leader_epoch; /* -1 unknown */
};

struct client_topic {
	const char *name;
	struct uuid id; /* zero when the broker has no ids */
	/* ERR_OK, or why the topic cannot be used (authorization ...). With an error, the id and
	 * the partitions are as last known, or none. ERR_MALFORMED: the broker named other
	 * partitions than 0..n-1. */
	enum err error;
	bool internal;
	int32_t partitions_n;
	const struct client_partition *partitions; /* by index */
};

/* Ask for fresh metadata soon (at most one request at a time; several asks are one). Rate limited
 * by the back-off after failures. The cache asks by itself when a topic is followed, a broker goes
 * away, and at metadata_max_age_ms; not because a partition has no leader or a topic an error: who
 * needs the partition asks. */
void client_metadata_refresh(struct client *c);

/* Which topics the cache follows: all of the cluster (for pattern subscriptions), or only those
 * added (for targets). Default: only those added. client_follow_topic: ERR_NOMEM. */
void client_follow_all(struct client *c);
enum err client_follow_topic(struct client *c, const char *topic) ERR_MUST_USE;
void client_unfollow_topic(struct client *c, const char *topic);

/* Called after each metadata answer that was applied (changed or not), from the loop. Replaces the
 * former watcher. */
void client_on_metadata(struct client *c, void (*fn)(void *arg), void *arg);

/* The node ids of the brokers, in order; the first `max` are put into `ids`. How many there are; 0
 * before the first answer. */
size_t client_brokers(const struct client *c, int32_t *ids, size_t max);

/* Number of answers applied so far; 0 before the first. */
uint64_t client_metadata_version(const struct client *c);

/* From the cache; NULL if unknown or gone. Valid until the loop turn ends.
 * Leader epochs of a topic id never go back. A cluster that answers with another cluster id than
 * the first answer had is not believed (its brokers count as unreachable, the reason says so). */
const struct client_topic *client_topic(const struct client *c, const char *name);
const struct client_topic *client_topic_by_id(const struct client *c, const struct uuid *id);

/* All topics of the cache, sorted by name. Valid until the loop turn ends. */
size_t client_topics(const struct client *c, const struct client_topic *const **out);

/* The leader moved, says a produce or fetch answer (KIP-951): put it into the cache (ignored if
 * `epoch` is older). The endpoint is added when `host` is not NULL. */
void client_leader_hint(struct client *c, const char *topic, int32_t partition, int32_t leader,
			int32_t epoch, const char *host, uint16_t port);

#endif
