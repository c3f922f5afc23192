/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metadata records as bytes: the frame that Kafka puts before each message
 * (MetadataRecordSerde.java, AbstractApiMessageSerde.java), and batches of them.
 *
 * A record has no key; its value is
 *     uvarint  frame version, 1
 *     uvarint  record type
 *     uvarint  version of the message
 *     ...      the message
 */
#ifndef FARSHORE_CLUSTER_METADATA_RECORD_FRAME_H
#define FARSHORE_CLUSTER_METADATA_RECORD_FRAME_H

#include "cluster/metadata/metadata.h"
#include "lib/base/buf.h"

enum {
	RECORD_FRAME_VERSION = 1,
	/* Most bytes of one batch of records, and so of one change. */
	RECORD_FRAME_BATCH_MAX = 16 << 20
};

/* A framed record, taken apart; `payload` borrows. */
struct record_frame {
	uint32_t type;
	int16_t version;
	struct bytes payload;
};

/* ERR_MALFORMED; ERR_UNSUPPORTED: another frame version. */
enum err record_frame_get(struct bytes value, struct record_frame *out,
			  struct errmsg *why) ERR_MUST_USE;

/* The records as one batch in `out` (initialised by the caller), created at `now_ms`. ERR_LIMIT:
 * more than RECORD_FRAME_BATCH_MAX bytes; ERR_NOMEM; and wire_encode's. */
enum err record_frame_batch(const struct metadata_record *records, size_t n, int64_t now_ms,
			    struct buf *out, struct errmsg *why) ERR_MUST_USE;

#endif
