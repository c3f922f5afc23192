/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The run tables of the link in the other direction, followed as it writes them.
 *
 * Link R goes from cluster B to cluster A; the forward link F goes from A to B and stores its run
 * tables on B, in `A.offset-runs.internal`. R reads that topic, which lies on its own source, from
 * the beginning and then for ever (one parked request on a channel of its own). So R knows which
 * records of B are copies of A's, and where they came from: for topics that both links copy under
 * equal names (origin.h), and to translate offsets of copied topics backwards.
 *
 * F may run in another process, or not at all.
 */
#ifndef FARSHORE_MIRROR_REVERSE_H
#define FARSHORE_MIRROR_REVERSE_H

#include "checkpoint/store.h"
#include "lib/client/client.h"

struct reverse;

struct reverse_options {
	struct loop *loop;
	struct client *client; /* of the cluster on which the forward link stores: R's source */
	const char *link;      /* R's name, for the log; borrowed */
	const char *topic;     /* "<A>.offset-runs.internal"; copied */
	size_t budget;         /* bytes of one partition's table */
};

/* The channel of its connection: not one that anybody else uses with the same client. */
enum { REVERSE_CHANNEL = 8 };

/* Begins to follow at once. ERR_NOMEM. */
enum err reverse_new(const struct reverse_options *o, struct reverse **out) ERR_MUST_USE;
/* Follow no more; what was read can still be asked for. Before the client is freed. NULL is safe.
 */
void reverse_stop(struct reverse *r);
/* Stops it, too. NULL is safe. */
void reverse_free(struct reverse *r);

/* The client applied new metadata: find the topic, go after its leader. */
void reverse_on_metadata(struct reverse *r);

/*
 * True once the tables were read to their end and name the forward link's producer (every link
 * stores it before it copies anything). Stays true. False: `why` (may be NULL) says what it waits
 * for, in words for an operator.
 */
bool reverse_ready(const struct reverse *r, struct errmsg *why);

/* Everything below this offset of the followed topic was read. */
int64_t reverse_read_to(const struct reverse *r);

/* The topic and the node that leads it now; -1: not known. */
const char *reverse_topic(const struct reverse *r);
int32_t reverse_leader(const struct reverse *r);

/* What is stored of a partition, by the forward link's *source* topic; NULL: nothing. Valid until
 * the loop turn ends. */
const struct run_entry *reverse_entry(const struct reverse *r, const char *topic,
				      int32_t partition);

/* Did the forward link ever write with this producer? What was true once stays true. */
bool reverse_wrote(const struct reverse *r, int64_t producer_id);

/* Told, from the loop, whenever records were taken. */
struct reverse_watch {
	void (*fn)(void *arg);
	void *arg;
	struct reverse_watch *next; /* the reverse table's own */
};
/* `w` is the caller's and must stay until reverse_unwatch or reverse_free. */
void reverse_watch(struct reverse *r, struct reverse_watch *w);
void reverse_unwatch(struct reverse *r, struct reverse_watch *w);

#endif
