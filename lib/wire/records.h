/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records inside batches: decode (magic 0, 1 and 2, all codecs), compare, and build a batch. What
 * the mirror's slow path makes of it is in rebatch.h. Nothing here does I/O or touches shared
 * state: it runs on worker threads.
 *
 * Everything is bounded before it is believed: a decompressed payload never passes `limit` bytes,
 * zstd windows and lz4 blocks are capped, nesting of old sets is one level, and each length and
 * count is held against the bytes that are there.
 */
#ifndef FARSHORE_WIRE_RECORDS_H
#define FARSHORE_WIRE_RECORDS_H

#include "lib/base/buf.h"
#include "lib/wire/batch.h"

/* One record. Slices borrow from the batch that the reader was opened on and from the reader: they
 * live until either is freed. */
struct record {
	int64_t offset;
	int64_t timestamp; /* ms, as consumers see it; -1 when there is none (magic 0) */
	struct bytes key;
	struct bytes value;
	int32_t headers_n;
	struct bytes headers; /* magic 2: the raw headers, after their count */
	struct bytes body;    /* magic 2: the raw bytes from the key's length to the last header;
				 null in other formats */
};

struct records_reader;

/*
 * Open a whole batch (magic 2) or a whole entry of an old message set, exactly. The checksum is
 * checked first. `limit`: most bytes that the decompressed payload may have (ERR_LIMIT beyond); a
 * payload that is not compressed is read where it lies. `whole` must outlive the reader.
 * ERR_CORRUPT: checksum. ERR_MALFORMED, ERR_UNSUPPORTED (codec), ERR_NOMEM. `why` names the offset.
 */
enum err records_reader_open(struct bytes whole, size_t limit, struct records_reader **out,
			     struct errmsg *why) ERR_MUST_USE;

/*
 * The next record: true with `*r` set; false at the end or at an error, which records_reader_error
 * tells. Offsets rise strictly, within the batch's range; the number of records is the head's; the
 * last record ends where the payload ends: else ERR_MALFORMED, or ERR_CORRUPT for the checksum of a
 * record inside an old set.
 */
bool records_reader_next(struct records_reader *rr, struct record *r);

/* ERR_OK after the end; the error after which records_reader_next gave false. `why` may be NULL. */
enum err records_reader_error(const struct records_reader *rr, struct errmsg *why);

/* NULL is safe. */
void records_reader_free(struct records_reader *rr);

/* Iterate the headers of a record of magic 2. `*at` starts at 0. False at the end. Malformed
 * headers were refused by the reader already. A header's value may be null. */
bool record_header_next(const struct record *r, size_t *at, struct bytes *key, struct bytes *value);

/* Equal timestamp, key, value and headers (in order). Offsets do not count, nor does the format. */
bool record_equal(const struct record *a, const struct record *b);

/* 64 bits over what record_equal compares: equal records have equal hashes, in every build and on
 * every machine. Not for defence against those who make collisions: confirm with record_equal. */
uint64_t record_hash(const struct record *r);

/* Builds one batch of magic 2 with dense offsets 0..n-1, record by record. */
struct batch_builder {
	struct buf payload; /* encoded records, not yet compressed */
	size_t aim;         /* bytes of payload that the first record may pass, and no other; the
			       caller may change it at any time */
	int64_t first_timestamp;
	int64_t max_timestamp;
	int32_t count;
	enum batch_codec codec;
};

/* `max` bounds the encoded, uncompressed records in bytes; it is the aim, too. */
void batch_builder_init(struct batch_builder *b, enum batch_codec codec, size_t max);
void batch_builder_fini(struct batch_builder *b);

/* Forget the records, keep the memory. */
void batch_builder_clear(struct batch_builder *b);

/*
 * Append a copy of a record (its offset is ignored, its timestamp kept). A record of magic 2 is
 * copied as it is; one whose `body` is null is encoded from key, value and headers, where `headers`
 * are encoded already. ERR_LIMIT when it does not fit any more, and nothing was added: finish, then
 * add again; if the builder is empty, this record alone is over `max`. ERR_NOMEM.
 */
enum err batch_builder_add(struct batch_builder *b, const struct record *r) ERR_MUST_USE;

/*
 * Append the whole batch (head, then compressed records) to `out`: CreateTime, base offset 0,
 * leader epoch -1, no producer (id -1, epoch -1, sequence -1), CRC right. A producer is stamped
 * later with batch_head_restamp. At least one record was added. The builder keeps its records.
 * ERR_LIMIT (see codec_compress), ERR_NOMEM: `out` is as long as before.
 */
enum err batch_builder_encode(const struct batch_builder *b, struct buf *out) ERR_MUST_USE;

/* batch_builder_encode, then batch_builder_clear, whatever came of it. */
enum err batch_builder_finish(struct batch_builder *b, struct buf *out) ERR_MUST_USE;

/*
 * Compress `in` to the end of `out` as Kafka frames it (gzip stream, xerial snappy, lz4 frame, zstd
 * frame). ERR_LIMIT: the result passes out->max, or comes nearer than the worst case of a block of
 * 64 KiB. ERR_NOMEM, ERR_UNSUPPORTED.
 */
enum err codec_compress(enum batch_codec codec, struct bytes in, struct buf *out) ERR_MUST_USE;

/* The same at a level of Kafka's compression.*.level: gzip 1..9, lz4 1..17, zstd as the library has
 * them; 0 is the codec's default. Snappy has none. */
enum err codec_compress_at(enum batch_codec codec, int level, struct bytes in,
			   struct buf *out) ERR_MUST_USE;

/*
 * Decompress `in` to the end of `out`, which never holds more than out->max bytes (ERR_LIMIT
 * beyond). Memory grows with what comes out, never with a declared size. `magic` is that of the
 * batch: 0 takes lz4 frames whose head has a wrong checksum (KAFKA-3160). All of `in` must be used
 * (ERR_MALFORMED). ERR_UNSUPPORTED: no such codec. After an error `out` holds what came before it.
 */
enum err codec_decompress(enum batch_codec codec, int8_t magic, struct bytes in, struct buf *out,
			  struct errmsg *why) ERR_MUST_USE;

#endif
