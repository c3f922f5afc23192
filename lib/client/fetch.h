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
	/* From the partition's error code. With an error the partition is paused until the owner
	 * resumes it; a leader that came with it (KIP-951) is in the metadata cache already. */
	enum err error;
	int64_t high_watermark;
	int64_t last_stable_offset;
	int64_t log_start_offset;
	struct bytes records; /* borrowed from `frame`; take a reference to keep it */
	struct frame *frame;
	const struct fetch_response_aborted_transaction *aborted;
	int32_t aborted_n;       /* 0 when null */
	int32_t diverging_epoch; /* KIP-595 truncation detection; -1 none */
	int64_t diverging_end;
	/* With a rack: the leader sends nothing and wants this node to be asked (KIP-392); -1 none.
	 */
	int32_t preferred_read_replica;
};

struct fetch_events {
	/* One call per partition that the answer names. The owner then sets the next offset or
	 * pauses the partition; if it does neither the same offset is read again at once. Any
	 * function of this header may be called, fetcher_free too. */
	void (*on_result)(void *part_arg, const struct fetch_result *r);
	/* The request as a whole ended: after the on_result calls of a good answer (ERR_OK, `why`
	 * NULL), or with an error (connection, timeout, session, an answer that does not fit the
	 * request), and then without on_result calls. The fetcher goes on by itself, after an error
	 * with a back-off; the owner may refresh metadata. `bytes`: size of the answer. */
	void (*on_round)(void *arg, enum err e, const struct errmsg *why, size_t bytes);
};

struct fetcher_options {
	int32_t node;
	uint8_t channel;
	int32_t max_wait_ms; /* 0: answers at once (bulk); may be changed later */
	int32_t min_bytes;
	int32_t max_bytes; /* of one answer; may be changed later */
	bool read_committed;
	const char *rack; /* client.rack; NULL none; borrowed */
};

/* `o` and `ev` are copied. A request goes out when at least one partition is wanted, at the end of
 * the loop turn, so that all changes of a turn make one request. While it is out, partitions
 * resumed meanwhile wait for the next one. NULL when out of memory. */
struct fetcher *fetcher_new(struct client *c, const struct fetcher_options *o,
			    const struct fetch_events *ev, void *arg);
/* Drops the request in flight: no callback comes after this. Parts are freed too. */
void fetcher_free(struct fetcher *f);

/* Add a partition, paused; not one that is there. `topic` is copied, `id` zero if unknown. A topic
 * that was made again is another topic: do not want partitions of both. NULL when out of memory. */
struct fetch_part *fetcher_add(struct fetcher *f, const char *topic, const struct uuid *id,
			       int32_t partition, void *part_arg);
/* Remove; `p` is invalid then, and results for it that are still to come are dropped. */
void fetcher_remove(struct fetcher *f, struct fetch_part *p);

/* Want records from `offset`; `max_bytes` for this partition; `leader_epoch` current epoch of the
 * leader or -1; `last_epoch` epoch of the last record fetched or -1. Takes effect with the next
 * request (a request in flight for another offset of it is ignored when answered). */
void fetch_part_resume(struct fetch_part *p, int64_t offset, int32_t leader_epoch,
		       int32_t last_epoch, int32_t max_bytes);
/* Not wanted for now. */
void fetch_part_pause(struct fetch_part *p);

/* For the requests to come. */
void fetcher_set_max_bytes(struct fetcher *f, int32_t max_bytes);
void fetcher_set_wait(struct fetcher *f, int32_t max_wait_ms);

/* True while a request is sent and its on_round is still to come. */
bool fetcher_in_flight(const struct fetcher *f);
size_t fetcher_parts(const struct fetcher *f);

#endif
