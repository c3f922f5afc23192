/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which batches of a source partition are copies that the link in the other direction wrote, and
 * which were written there: where two links copy a topic both ways under equal names, only the
 * latter may be copied, or records would go round in circles.
 *
 * A batch is whole of one origin, and its head says who wrote it. It is a copy if its producer is
 * one of the forward link's (reverse.h), or if it lies in a run of the forward link's table. It is
 * local if it has no producer id, or if the table is complete there and has no run. Otherwise its
 * producer may be one that the forward link took just now: a link stores its producer in its table
 * before it writes with it, so the table is read to an end that was asked for after the batch was
 * fetched; what it does not name then is not a producer of the link, and never will be, since a
 * cluster gives a producer id only once. This is asked once for each producer, not for each batch.
 * See docs/adr/0007-*.
 */
#ifndef FARSHORE_MIRROR_ORIGIN_H
#define FARSHORE_MIRROR_ORIGIN_H

#include "lib/wire/batch.h"
#include "mirror/clusters/reverse.h"

struct origin;

enum origin_verdict {
	ORIGIN_LOCAL,
	ORIGIN_COPY,
	ORIGIN_UNKNOWN /* being asked; origin's watcher is told */
};

struct origin_options {
	struct loop *loop;
	struct client *client;   /* of the source */
	struct reverse *reverse; /* borrowed */
	/* What was unknown may be known now. From the loop. */
	void (*changed)(void *arg);
	void *arg;
};

/* ERR_NOMEM. */
enum err origin_new(const struct origin_options *o, struct origin **out) ERR_MUST_USE;
/* Before the reverse table and after the client (client_free, then the loop turned), so that no
 * answer is still to come. NULL is safe. */
void origin_free(struct origin *g);

/* Who wrote this batch of `topic` (the source's name; the forward link's source topic has the
 * same), fetched before this call? Old formats (magic 0, 1) are local: no link writes them. */
enum origin_verdict origin_of(struct origin *g, const char *topic, int32_t partition,
			      const struct batch_head *h);

/* Why answers are outstanding, in words for an operator; false: they come, or there are none. */
bool origin_problem(const struct origin *g, struct errmsg *why);

#endif
