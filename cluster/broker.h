/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broker as a whole: what handlers reach through `request->broker`. It owns the store, the
 * metadata, the group coordinator, the listeners and their sessions.
 */
#ifndef FARSHORE_CLUSTER_BROKER_H
#define FARSHORE_CLUSTER_BROKER_H

#include "cluster/config.h"
#include "cluster/log/store.h"
#include "cluster/metadata/metadata.h"
#include "lib/net/loop.h"

struct fetch_sessions;
struct groups;

struct broker;

struct loop *broker_loop(struct broker *b);
struct log *broker_log(struct broker *b);
const struct broker_config *broker_config(const struct broker *b);
struct store *broker_store(struct broker *b);
struct metadata *broker_metadata(struct broker *b);
struct groups *broker_groups(struct broker *b);
struct fetch_sessions *broker_fetch_sessions(struct broker *b);

/*
 * Open the data directory, replay metadata and groups, listen. ERR_CONFIG, ERR_IO, ERR_NOMEM:
 * `why` is one line for a person.
 */
enum err broker_new(struct loop *l, const struct broker_config *c, struct broker **out,
		    struct errmsg *why) ERR_MUST_USE;

/* Clean stop: no new requests, what runs is answered (bounded in time), the store is closed; then
 * `done(arg)`, from the loop. */
void broker_stop(struct broker *b, void (*done)(void *arg), void *arg);
void broker_free(struct broker *b);

#endif
