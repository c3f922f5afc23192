/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Check one produced batch as Kafka's UnifiedLog.analyzeAndValidateRecords and LogValidator do, and
 * make the head that is written in place of the producer's. What is checked of records inside a
 * compressed batch, and why not all of it: docs/adr/0004-the-broker-checks-heads-not-records.md.
 *
 * Pure: bytes in, bytes out. What depends on the producer's earlier batches is in producers.h.
 */
#ifndef FARSHORE_CLUSTER_LOG_VALIDATE_H
#define FARSHORE_CLUSTER_LOG_VALIDATE_H

#include "cluster/log/plog.h"
#include "lib/base/buf.h"

struct validate_input {
	struct bytes batch;   /* exactly one batch, as it came */
	int64_t base_offset;  /* to give it: the end of the log, >= 0 */
	int32_t leader_epoch; /* to stamp on it */
	int64_t now_ms;       /* wall clock */
	/* From the broker itself: control batches, no size limit but the segment's, no limits on
	 * timestamps. */
	bool internal;
};

struct validate_output {
	uint8_t head[BATCH_HEAD]; /* to write, with a checksum that is right for `payload` */
	struct bytes payload; /* what follows the head: of the input, or of the scratch buffer */
	struct batch_head h;  /* `head`, decoded: for producers_check, the indexes, the epochs */
	int64_t append_time;  /* ms, if the topic has LogAppendTime; else -1 */
	int32_t bad_record;   /* after ERR_KAFKA_INVALID_RECORD and _INVALID_TIMESTAMP: the index
				     of the first record that is wrong; -1: the batch as a whole */
};

/*
 * `scratch` is used (cleared first) where the topic asks for another codec than the producer's; its
 * max is set here. `out` borrows from it and from the input.
 *
 * The checks, in Kafka's order:
 *  ERR_KAFKA_INVALID_RECORD   no batch, more than one, bytes behind it, or magic 0 or 1
 *  ERR_KAFKA_CORRUPT_MESSAGE  a length or magic that no batch has
 *  ERR_KAFKA_INVALID_RECORD   base offset not 0
 *  ERR_KAFKA_MESSAGE_TOO_LARGE  larger than max_message_bytes; also, after the other checks, what
 *                             became too large by another codec, or decompresses to more than
 *                             validate_inflate_max
 *  ERR_KAFKA_CORRUPT_MESSAGE  checksum
 *  ERR_KAFKA_UNSUPPORTED_COMPRESSION_TYPE  no such codec
 *  ERR_KAFKA_INVALID_RECORD   no records, count and last offset differ, a control batch, a negative
 *                             sequence with a producer id
 *  ERR_KAFKA_INVALID_TXN_STATE  transactional
 *  ERR_KAFKA_INVALID_RECORD   records that do not fill the batch, offsets not 0..n-1, no key where
 *                             the topic is compacted
 *  ERR_KAFKA_INVALID_TIMESTAMP  out of the topic's range, or LogAppendTime set by the producer
 *  ERR_KAFKA_RECORD_LIST_TOO_LARGE  larger than a segment
 * ERR_NOMEM. `why` is for the client. After an error only out->bad_record is set.
 */
enum err validate_batch(const struct plog_config *c, const struct validate_input *in,
			struct buf *scratch, struct validate_output *out,
			struct errmsg *why) ERR_MUST_USE;

/* Most bytes that the records of one batch may have when they are decompressed: 32 MiB, or 16 times
 * max_message_bytes if that is more, and at most 1 GiB. Also right for cleaner_pass.h and
 * time_find.h. */
size_t validate_inflate_max(const struct plog_config *c);

#endif
