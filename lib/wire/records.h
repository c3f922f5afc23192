/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records inside batches: the slow path. Decode (magic 0, 1 and 2, all codecs), and build new
 * batches: renumber a batch with holes, coalesce neighbours, split one that is too large, trim its
 * front, turn old formats into magic 2. Nothing here does I/O or touches shared state: it runs on
 * worker threads.
 *
 * Everything is bounded before it is believed: a decompressed payload never passes `limit` bytes
 * (RECORDS limits below), zstd windows and lz4 blocks are capped, nesting of old sets is one level.
 */
#ifndef FARSHORE_WIRE_RECORDS_H
#define FARSHORE_WIRE_RECORDS_H

#include "lib/base/buf.h"
#include "lib/wire/batch.h"

/* One record; slices borrow from the reader's buffers, until the next call of records_reader_next
 * at the latest for old formats, until records_reader_fini for magic 2. */
struct record {
	int64_t offset;
	int64_t timestamp; /* ms; -1 when there is none (magic 0) */
	struct bytes key;
	struct bytes value;
	int32_t headers_n;
	struct bytes headers; /* the raw header section after its count (magic 2) */
	struct bytes
		body; /* magic 2: the raw bytes after offsetDelta (key length .. end of headers) */
};

struct records_reader;

/*
 * Open a whole batch (magic 2, CRC checked) or a whole entry of an old message set. `limit`: most
 * bytes that the decompressed payload may have (ERR_LIMIT beyond). ERR_CORRUPT: checksum.
 * ERR_MALFORMED, ERR_UNSUPPORTED (codec), ERR_NOMEM.
 */
enum err records_reader_open(struct bytes whole, size_t limit, struct records_reader **out,
			     struct errmsg *why) ERR_MUST_USE;

/* The next record: true with `*r` set; false at the end or at an error, which records_reader_error
 * tells. */
bool records_reader_next(struct records_reader *rr, struct record *r);
enum err records_reader_error(const struct records_reader *rr, struct errmsg *why);
void records_reader_free(struct records_reader *rr);

/* Iterate the headers of a record of magic 2. `*at` starts at 0. False at the end. Malformed
 * headers were refused by the reader already. A header's value may be null. */
bool record_header_next(const struct record *r, size_t *at, struct bytes *key, struct bytes *value);

/* Builds one batch of magic 2 with dense offsets 0..n-1, record by record. */
struct batch_builder {
	struct buf payload; /* encoded records, not yet compressed */
	int64_t first_timestamp;
	int64_t max_timestamp;
	int32_t count;
	enum batch_codec codec;
	enum err err; /* sticky */
};

/* `max` bounds the encoded, uncompressed records in bytes. */
void batch_builder_init(struct batch_builder *b, enum batch_codec codec, size_t max);
void batch_builder_fini(struct batch_builder *b);

/* Append a record (its offset is ignored, timestamp kept). ERR_LIMIT when full: finish, clear, add
 * again. */
enum err batch_builder_add(struct batch_builder *b, const struct record *r) ERR_MUST_USE;

/*
 * Write the whole batch (head, then compressed records) to the end of `out`: CreateTime, base
 * offset 0, leader epoch -1, no producer (id -1, epoch -1, sequence -1), CRC right. A producer is
 * stamped later with batch_head_restamp. The builder is empty afterwards and may be used again.
 */
enum err batch_builder_finish(struct batch_builder *b, struct buf *out) ERR_MUST_USE;

/* Compress `in` to the end of `out` as Kafka frames it (gzip stream, xerial snappy, lz4 frame, zstd
 * frame). */
enum err codec_compress(enum batch_codec codec, struct bytes in, struct buf *out) ERR_MUST_USE;

/* Decompress `in` to the end of `out`, at most out->max bytes (ERR_LIMIT beyond). Memory grows with
 * what comes out, never with a declared size. `magic` chooses the lz4 frame checksum rule of old
 * sets (KAFKA-3160). */
enum err codec_decompress(enum batch_codec codec, int8_t magic, struct bytes in, struct buf *out,
			  struct errmsg *why) ERR_MUST_USE;

#endif
