/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fetcher: keeps one Fetch request going to one broker over one channel, for a changing set of
 * partitions, with an incremental fetch session (KIP-227), topic ids where the broker offers them
 * (KIP-516), and read_committed. It knows no policy: the owner says which partitions are wanted and
 * at which offset, gets what came, and says the next offset.
 */
#ifndef FARSHORE_CLIENT_FETCH_H
#define FARSHORE_CLIENT_FETCH_H

#include "lib/client/client.h"

struct fetcher;
struct fetch_part; /* one partition in a fetcher */

/* One partition's share of an answer, valid during the callback. */
struct fetch_result {
	enum err error; /* from the partition's error code */
	int64_t high_watermark;
	int64_t last_stable_offset;
	int64_t log_start_offset;
	struct bytes records; /* borrowed from `frame`; take a reference to keep it */
	struct frame *frame;
	const struct fetch_response_aborted_transaction *aborted;
	int32_t aborted_n;       /* 0 when null */
	int32_t diverging_epoch; /* KIP-595 truncation detection; -1 none */
	int64_t diverging_end;
};

struct fetch_events {
	/* One call per partition that the answer names. The owner then sets the next offset or
	 * pauses the partition. */
	void (*on_result)(void *part_arg, const struct fetch_result *r);
	/* The request as a whole ended: after the on_result calls of a good answer, or with an
	 * error (connection, timeout, session). The fetcher goes on by itself after a back-off; the
	 * owner may refresh metadata. */
	void (*on_round)(void *arg, enum err e, const struct errmsg *why, size_t bytes);
};

struct fetcher_options {
	int32_t node;
	uint8_t channel;
	int32_t max_wait_ms; /* 0: answers at once (bulk) */
	int32_t min_bytes;
	int32_t max_bytes; /* of one answer; may be changed later */
	bool read_committed;
	const char *rack; /* client.rack; NULL none; borrowed */
};

struct fetcher *fetcher_new(struct client *c, const struct fetcher_options *o,
			    const struct fetch_events *ev, void *arg);
/* Drops the request in flight: no callback comes after this. Parts are freed too. */
void fetcher_free(struct fetcher *f);

/* Add a partition, paused. `topic` is copied, `id` zero if unknown. NULL when out of memory. */
struct fetch_part *fetcher_add(struct fetcher *f, const char *topic, const struct uuid *id,
			       int32_t partition, void *part_arg);
/* Remove and free; results for it that are still to come are dropped. */
void fetcher_remove(struct fetcher *f, struct fetch_part *p);

/* Want records from `offset`; `max_bytes` for this partition; `leader_epoch` current epoch of the
 * leader or -1; `last_epoch` epoch of the last record fetched or -1. Takes effect with the next
 * request (a request in flight for another offset of it is ignored when answered). */
void fetch_part_resume(struct fetch_part *p, int64_t offset, int32_t leader_epoch,
		       int32_t last_epoch, int32_t max_bytes);
/* Not wanted for now. */
void fetch_part_pause(struct fetch_part *p);

void fetcher_set_max_bytes(struct fetcher *f, int32_t max_bytes);
size_t fetcher_parts(const struct fetcher *f);

#endif
