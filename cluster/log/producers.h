/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a log knows of its idempotent producers: of each its epoch and its last 5 batches, against
 * which the next one is held (Kafka's ProducerStateManager, ProducerAppendInfo and
 * ProducerStateEntry; KIP-98, KIP-360).
 *
 * Order of work: producers_check before the append, producers_commit after it. A failed append
 * leaves no trace. A replay of the log (recovery) calls producers_replay for each batch.
 *
 * Memory: about 300 bytes a producer (PRODUCERS_BYTES_EACH), and at most `max` producers: then one
 * is displaced, of those that wrote only once the one that did so longest ago, as long as these are
 * more than a quarter. A producer that is not known may go on with any sequence, so its writes
 * never fail for that; but a retry of a batch from before would be appended twice.
 */
#ifndef FARSHORE_CLUSTER_LOG_PRODUCERS_H
#define FARSHORE_CLUSTER_LOG_PRODUCERS_H

#include "cluster/log/plog.h"
#include "lib/base/buf.h"

enum {
	PRODUCERS_BATCHES = 5, /* ProducerStateEntry.NUM_BATCHES_TO_RETAIN */
	PRODUCERS_BYTES_EACH = 304
};

struct producers;

/* NULL: out of memory. `max` >= 1. */
struct producers *producers_new(size_t max);
void producers_free(struct producers *p); /* NULL is safe */

size_t producers_count(const struct producers *p);

/* How many were forgotten so far because there were too many. */
uint64_t producers_displaced(const struct producers *p);

/* An earlier batch. */
struct producers_batch {
	int32_t first_sequence;
	int32_t last_sequence;
	int64_t first_offset;
	int64_t last_offset;
	int64_t timestamp; /* its max timestamp: the append time, in a LogAppendTime topic */
};

/*
 * May a client's batch be appended? `h` has its offsets (validate_output.h). Without a producer id:
 * yes. Sets *duplicate, and then *earlier: append nothing and answer with that batch's offsets.
 * Makes room, so that producers_commit cannot fail.
 * ERR_KAFKA_INVALID_PRODUCER_EPOCH: the epoch is behind. ERR_KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER.
 * ERR_NOMEM.
 */
enum err producers_check(struct producers *p, const struct batch_head *h, bool *duplicate,
			 struct producers_batch *earlier, struct errmsg *why) ERR_MUST_USE;

/* The batch that was checked last was appended. */
void producers_commit(struct producers *p, const struct batch_head *h);

/* A batch that is in the log already (origin REPLICATION): taken as it is. ERR_NOMEM. */
enum err producers_replay(struct producers *p, const struct batch_head *h) ERR_MUST_USE;

/* Forget those whose last batch is `idle_ms` old or older. Returns how many. */
size_t producers_expire(struct producers *p, int64_t now_ms, int64_t idle_ms);

/*
 * Forget all batches that end at `offset` or later (the log was cut there). False: what some
 * producer had done before is no longer in memory, and it was forgotten whole: clear, load the
 * latest snapshot at or below `offset`, replay from there.
 */
bool producers_truncate(struct producers *p, int64_t offset);

/* Forget the producers whose last batch is below `offset`. Kafka does so only by what a restart
 * finds on disk, and keeps them in memory when the log start moves. */
void producers_remove_below(struct producers *p, int64_t offset);

void producers_clear(struct producers *p);

/* Iterate, in no order: start with *at = 0. False at the end. The state must
 * not change meanwhile. */
bool producers_next(const struct producers *p, size_t *at, struct plog_producer *out);

/* Compaction keeps the batch `h`, even if empty, since its producer's last sequence (or, of a
 * marker, epoch) stands in it (Cleaner.java, isBatchLastRecordOfProducer). */
bool producers_is_last(const struct producers *p, const struct batch_head *h);

/*
 * A snapshot file (ProducerStateManager.writeSnapshot): int16 version 1, then ProducerSnapshot,
 * whose checksum is CRC-32C over what follows it. Of each producer the last batch alone is kept, as
 * in Kafka. Appended to `out`; ERR_NOMEM, ERR_LIMIT.
 */
enum err producers_encode(const struct producers *p, struct buf *out) ERR_MUST_USE;

/* Replace the state by a snapshot's. Also a way to copy the state for another thread.
 * ERR_UNSUPPORTED: version. ERR_CORRUPT: checksum. ERR_MALFORMED. ERR_NOMEM. After an error the
 * state is empty. */
enum err producers_decode(struct producers *p, struct bytes file, struct errmsg *why) ERR_MUST_USE;

#endif
