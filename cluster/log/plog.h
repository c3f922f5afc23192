/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of one partition, in Kafka's files: segments of record batches (magic 2) with offset and
 * time indexes, the leader epoch cache, the state of idempotent producers.
 *
 * Offsets: start <= high watermark <= end. `start` moves up by retention and DeleteRecords; `end`
 * is the next offset to be written. With one replica the high watermark is the end, or, under
 * fsync=always, what is on disk: no consumer (and no mirror) ever sees a record that a power cut
 * can take back.
 *
 * Used on the loop's thread only. Callbacks come from the loop, never from inside a function of
 * this header.
 */
#ifndef FARSHORE_CLUSTER_LOG_PLOG_H
#define FARSHORE_CLUSTER_LOG_PLOG_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/wire/batch.h"

struct plog;

/* What topic configurations say about a log (Kafka's TopicConfig.java has the names). -1 in the
 * retention fields: no limit. */
struct plog_config {
	int64_t segment_bytes;
	int64_t segment_ms;
	int64_t segment_index_bytes;
	int64_t index_interval_bytes;
	int64_t retention_ms;
	int64_t retention_bytes;
	bool cleanup_delete, cleanup_compact; /* cleanup.policy */
	int64_t delete_retention_ms;
	int64_t min_compaction_lag_ms, max_compaction_lag_ms;
	double min_cleanable_dirty_ratio;
	int64_t max_message_bytes; /* of a batch */
	bool log_append_time;      /* message.timestamp.type */
	int64_t timestamp_before_max_ms, timestamp_after_max_ms;
	int8_t compression;               /* enum batch_codec, or -1: as the producer sent it */
	int compression_level;            /* 0: the codec's default */
	int64_t flush_messages, flush_ms; /* INT64_MAX: by log.fsync alone */
};

/* Kafka's defaults. */
void plog_config_init(struct plog_config *c);

/* Takes effect from the next append or maintenance on. */
void plog_configure(struct plog *l, const struct plog_config *c);

/* "orders-3": for messages. */
const char *plog_name(const struct plog *l);
struct uuid plog_topic_id(const struct plog *l);

int64_t plog_start(const struct plog *l);
int64_t plog_high_watermark(const struct plog *l);
int64_t plog_end(const struct plog *l);
/* Bytes of all segments. */
int64_t plog_size(const struct plog *l);
/* ERR_OK, or why appends are refused for now (after an I/O error); reads go on. */
enum err plog_health(const struct plog *l);

/* ---- writing ---- */

struct plog_append {
	int32_t leader_epoch; /* >= 0; stamped into the batch and noted in the epoch cache */
	bool internal; /* from the broker itself (group and metadata records): control batches and
			  no size limit */
};

struct plog_appended {
	int64_t base_offset; /* of the batch; of the earlier one if it is a duplicate */
	int64_t last_offset;
	int64_t append_time; /* ms, of a LogAppendTime topic; of a duplicate: the earlier batch's
				largest timestamp; else -1 */
	bool duplicate;      /* an idempotent producer sent it before: nothing was appended */
	int32_t bad_record;  /* index of the record that is wrong, with ERR_KAFKA_INVALID_RECORD and
				ERR_KAFKA_INVALID_TIMESTAMP; -1: the batch as a whole */
};

/*
 * Validate one batch as Kafka's LogValidator and ProducerAppendInfo do, give it offsets and append
 * it, in one writev. Nothing is changed when it fails, the producers' state included.
 * `why` is the text for the client's ErrorMessage.
 *
 * ERR_KAFKA_CORRUPT_MESSAGE, _MESSAGE_TOO_LARGE, _RECORD_LIST_TOO_LARGE, _INVALID_RECORD,
 * _INVALID_TIMESTAMP, _UNSUPPORTED_COMPRESSION_TYPE, _UNSUPPORTED_FOR_MESSAGE_FORMAT,
 * _OUT_OF_ORDER_SEQUENCE_NUMBER, _INVALID_PRODUCER_EPOCH: as in Kafka.
 * ERR_KAFKA_INVALID_TXN_STATE: the batch is transactional, which this broker does not offer.
 * ERR_KAFKA_KAFKA_STORAGE_ERROR: disk full or failing; the same append may succeed later. For a
 * second after such an error all appends get it, so that what a producer has in flight fails as a
 * whole and comes again in order.
 */
enum err plog_append(struct plog *l, struct bytes batch, const struct plog_append *how,
		     struct plog_appended *out, struct errmsg *why) ERR_MUST_USE;

/* Somebody who waits until everything below `offset` counts as stored (see enum store_fsync).
 * The memory is the caller's and must live until `done` or plog_wait_cancel. */
struct plog_wait {
	int64_t offset;
	/* ERR_OK; ERR_KAFKA_KAFKA_STORAGE_ERROR: the sync failed, the records are not acknowledged;
	 * ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION: the log was deleted. */
	void (*done)(struct plog_wait *w, enum err e);
	struct plog_wait *next, **back; /* the log's */
};
void plog_wait_stored(struct plog *l, struct plog_wait *w);
void plog_wait_cancel(struct plog_wait *w); /* safe if it is not waiting */

/* ---- reading ---- */

/* A file that is open, counted by reference, so that a range of it can be sent after the segment
 * was deleted or closed. */
struct plog_file;
void plog_file_unref(struct plog_file *f); /* NULL is safe */

/* Whole batches (the last one may be cut off, as Kafka's answers are) as a range of a file. */
struct plog_slice {
	struct plog_file *file; /* one reference, the caller's; NULL when n == 0 */
	int fd;                 /* of `file` */
	int64_t position;       /* in the file */
	size_t n;               /* bytes; 0: nothing at or above the offset below the bound */
	bool too_large;         /* n is 0 because the first batch has more than `max` bytes */
};

/*
 * Find the records from `offset` on, below the high watermark: up to `max` bytes, from one segment.
 * The first batch is the one that holds `offset` or the first after it. It is given whole, even if
 * it is larger with `whole_first`, else not at all: consumers take the beginning of a batch alone
 * for a fault of the broker (FetchCollector.java). The last batch may be cut off. Reads indexes and
 * a few batch heads, no records.
 * ERR_KAFKA_OFFSET_OUT_OF_RANGE: below the start or above the end (between the high watermark and
 * the end: no bytes). ERR_KAFKA_KAFKA_STORAGE_ERROR.
 */
enum err plog_read(struct plog *l, int64_t offset, size_t max, bool whole_first,
		   struct plog_slice *out, struct errmsg *why) ERR_MUST_USE;

/* Somebody who waits for the high watermark to move. Called once, then forgotten; also when the log
 * fails or is deleted (look again then). The memory is the caller's. */
struct plog_watch {
	void (*fn)(struct plog_watch *w);
	struct plog_watch *next, **back; /* the log's */
};
void plog_watch(struct plog *l, struct plog_watch *w);
void plog_unwatch(struct plog_watch *w); /* safe if it is not watching */

/* Bytes between `offset` and the high watermark, as far as the log knows without reading: for a
 * fetch that waits for min.bytes. May be too large by a batch. */
int64_t plog_bytes_from(struct plog *l, int64_t offset);

/* Read batch by batch in memory, for replays: blocking. */
struct plog_reader;
enum err plog_reader_open(struct plog *l, int64_t from, struct plog_reader **out,
			  struct errmsg *why) ERR_MUST_USE;
/* The next whole batch below the end that stood when the reader was opened; its bytes live until
 * the next call. ERR_OK with head->count and whole; ERR_NOT_FOUND at the end; ERR_CORRUPT,
 * ERR_IO. */
enum err plog_reader_next(struct plog_reader *r, struct batch_head *head, struct bytes *whole,
			  struct errmsg *why) ERR_MUST_USE;
void plog_reader_free(struct plog_reader *r);

/* ---- questions ---- */

struct plog_found {
	int64_t offset;    /* -1: none */
	int64_t timestamp; /* of that record */
	int32_t leader_epoch;
};

/* The first record with a timestamp >= `timestamp` (ListOffsets by time). Looks into one batch. */
enum err plog_find_time(struct plog *l, int64_t timestamp, struct plog_found *out,
			struct errmsg *why) ERR_MUST_USE;
/* The record with the largest timestamp, the first of equals (KIP-734). */
enum err plog_find_max_time(struct plog *l, struct plog_found *out,
			    struct errmsg *why) ERR_MUST_USE;

/* OffsetForLeaderEpoch: the largest epoch <= `epoch` and where it ends; -1, -1 when undefined
 * (LeaderEpochFileCache.endOffsetFor). `current` is the epoch of the leader now. */
void plog_epoch_end(struct plog *l, int32_t epoch, int32_t current, int32_t *found, int64_t *end);
/* The epoch that the record at `offset` was written in; -1: unknown. */
int32_t plog_epoch_at(struct plog *l, int64_t offset);

/* An idempotent producer, for DescribeProducers. */
struct plog_producer {
	int64_t producer_id;
	int16_t epoch;
	int32_t last_sequence;
	int64_t last_timestamp;
};
/* Iterate: start with *at = 0. False at the end. */
bool plog_producers(struct plog *l, size_t *at, struct plog_producer *out);

/* ---- maintenance ---- */

/* DeleteRecords: the start becomes `offset` (-1: the high watermark).
 * ERR_KAFKA_OFFSET_OUT_OF_RANGE: below the start (Kafka: keeps it) or above the high watermark.
 * ERR_KAFKA_POLICY_VIOLATION: not for a log whose cleanup.policy is not delete. The new start is on
 * disk when this returns OK. */
enum err plog_delete_before(struct plog *l, int64_t offset, int64_t *start,
			    struct errmsg *why) ERR_MUST_USE;

/* Drop everything from `offset` on (a follower's divergence). */
enum err plog_truncate(struct plog *l, int64_t offset, struct errmsg *why) ERR_MUST_USE;

#endif
