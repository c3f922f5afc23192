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

struct deadlines;
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
/* Of requests that wait: Produce for the disk, Fetch for records. */
struct deadlines *broker_produce_deadlines(struct broker *b);
struct deadlines *broker_fetch_deadlines(struct broker *b);

/*
 * Open the data directory, replay metadata and groups, listen. ERR_CONFIG, ERR_IO, ERR_NOMEM:
 * `why` is one line for a person.
 */
enum err broker_new(struct loop *l, const struct broker_config *c, struct broker **out,
		    struct errmsg *why) ERR_MUST_USE;

/* Serve a connected, non-blocking socket as if it had come in by the first listener (tests). */
void broker_serve(struct broker *b, int fd);

/* The port that a listener has, in the order of the configuration. */
uint16_t broker_port(const struct broker *b, size_t listener);

/* Clean stop: no new requests, what runs is answered (bounded in time), the store is closed; then
 * `done(arg)`, from the loop. */
void broker_stop(struct broker *b, void (*done)(void *arg), void *arg);
void broker_free(struct broker *b);

#endif
