/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One broker, or one entry of the bootstrap list (then its id is unknown): its address and its
 * channels. Says once, when it changes, that it cannot be reached and why, and that it can again.
 */
#ifndef FARSHORE_CLIENT_BROKER_H
#define FARSHORE_CLIENT_BROKER_H

#include "lib/client/channel.h"

struct broker;

enum { BROKER_ID_UNKNOWN = -1 };

/* As channel_events, with the broker and the channel that it is about. */
struct broker_events {
	void (*on_ready)(void *arg, struct broker *b, uint8_t channel);
	void (*on_failed)(void *arg, struct broker *b, uint8_t channel, enum err e,
			  const struct errmsg *why);
	void (*on_lost)(void *arg, struct broker *b, const struct errmsg *why);
	void (*on_idle)(void *arg, struct broker *b);
};

/* Where a broker is told to be: `host` is a slice of an answer, or of the user's list. */
struct endpoint {
	int32_t id;
	struct bytes host;
	uint16_t port;
};

/* A host name or address as it may stand in an answer: 1..255 printable characters, no space. */
bool broker_host_valid(struct bytes host);

/* `cfg` and `ev` are borrowed. NULL when out of memory. */
struct broker *broker_new(struct loop *l, const struct channel_config *cfg,
			  const struct endpoint *at, const struct broker_events *ev, void *arg);
void broker_free(struct broker *b); /* NULL is safe */

int32_t broker_id(const struct broker *b);

/* True if it is told to be at this address. */
bool broker_is_at(const struct broker *b, const struct endpoint *at);

/* A seed turned out to be this broker of the cluster. */
void broker_identify(struct broker *b, int32_t id);

/* Follow the broker to where it is now; nothing happens if it is there. ERR_NOMEM: it stays. */
enum err broker_move(struct broker *b, const struct endpoint *to) ERR_MUST_USE;

/* The channel, made on first use; NULL when out of memory. `channel` < CLIENT_CHANNELS_MAX. */
struct channel *broker_channel(struct broker *b, uint8_t channel);

/* The channel if it was ever used, else NULL. */
struct channel *broker_peek(const struct broker *b, uint8_t channel);

/* Say that it came to a cluster that was known already. */
void broker_joined(const struct broker *b);

/* No longer part of the cluster: what waits fails, connections close when idle. */
void broker_retire(struct broker *b);

/* All its channels are idle. */
bool broker_idle(const struct broker *b);

/* Number of ready connections. */
size_t broker_ready(const struct broker *b);

#endif
