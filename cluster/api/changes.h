/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request that proposes changes of the metadata, several at once, and is answered when the last
 * of them is over. When the client goes away the changes go on.
 */
#ifndef FARSHORE_CLUSTER_API_CHANGES_H
#define FARSHORE_CLUSTER_API_CHANGES_H

#include "cluster/metadata/metadata.h"

struct changes;
struct request;

/* At most `max` changes; lives in the request's arena, takes its `state` and `cancel`. NULL: out of
 * memory. */
struct changes *changes_new(struct request *r, const void *response, size_t max);

/* A change to propose: `done(out, e)` is called when it is over. If it could not be proposed,
 * give it back with changes_drop. */
struct metadata_change *changes_add(struct changes *c, void (*done)(void *out, enum err e),
				    void *out);
void changes_drop(struct changes *c, struct metadata_change *change);

/* All are proposed: answer when they are over, now if there is none. */
void changes_finish(struct changes *c);

/* Out of memory on the way: what is proposed goes on, the connection is closed. `c` may be NULL. */
void changes_abandon(struct changes *c, struct request *r);

/* The text of an error in an answer: `why` in the arena, or when it is empty the error's own words;
 * ERR_OK gives null. */
struct bytes changes_text(struct request *r, enum err e, const struct errmsg *why);

#endif
