/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Record batches (magic 2) as bytes: read the 61-byte head, walk a record set batch by batch,
 * re-stamp a head without touching the payload. Source: Kafka's DefaultRecordBatch.java and KIP-98.
 *
 * OFFSET SIZE  field
 *      0    8  base offset
 *      8    4  batch length: bytes after this field (total - 12)
 *     12    4  partition leader epoch (not covered by the checksum)
 *     16    1  magic, 2
 *     17    4  CRC-32C over bytes 21..end
 *     21    2  attributes: 0-2 codec, 3 LogAppendTime, 4 transactional, 5 control, 6 delete horizon
 *     23    4  last offset delta
 *     27    8  base timestamp
 *     35    8  max timestamp
 *     43    8  producer id
 *     51    2  producer epoch
 *     53    4  base sequence
 *     57    4  record count
 *     61       records, compressed as a whole
 */
#ifndef FARSHORE_WIRE_BATCH_H
#define FARSHORE_WIRE_BATCH_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"

enum {
	BATCH_HEAD = 61,
	BATCH_OVERHEAD = 12, /* base offset and length: what the length does not count */
	BATCH_PAYLOAD_MAX = INT32_MAX - (BATCH_HEAD - BATCH_OVERHEAD)
};

enum batch_codec { CODEC_NONE, CODEC_GZIP, CODEC_SNAPPY, CODEC_LZ4, CODEC_ZSTD };

enum {
	BATCH_CODEC_MASK = 0x07,
	BATCH_LOG_APPEND_TIME = 0x08,
	BATCH_TRANSACTIONAL = 0x10,
	BATCH_CONTROL = 0x20,
	BATCH_DELETE_HORIZON = 0x40
};

/* A batch head, decoded. */
struct batch_head {
	int64_t base_offset;
	int32_t length; /* as on the wire: total size - 12 */
	int32_t leader_epoch;
	int8_t magic;
	uint32_t crc;
	int16_t attributes;
	int32_t last_offset_delta;
	int64_t base_timestamp;
	int64_t max_timestamp;
	int64_t producer_id;
	int16_t producer_epoch;
	int32_t base_sequence;
	int32_t count;
};

static inline enum batch_codec batch_codec(const struct batch_head *h)
{
	return (enum batch_codec)(h->attributes & BATCH_CODEC_MASK);
}

/* Bytes of the whole batch. */
static inline size_t batch_size(const struct batch_head *h)
{
	return (size_t)h->length + BATCH_OVERHEAD;
}

static inline int64_t batch_last_offset(const struct batch_head *h)
{
	return h->base_offset + h->last_offset_delta;
}

/* True if every offset from base to last has a record: what a stock broker demands of a produced
 * batch. */
static inline bool batch_is_dense(const struct batch_head *h)
{
	return h->count > 0 && h->last_offset_delta == h->count - 1;
}

/* A cursor over the record set of a fetch response. */
struct batch_walk {
	struct bytes left;
};

/* What batch_walk_next found. */
enum batch_walk_result {
	BATCH_WALK_BATCH, /* a whole batch of magic 2 */
	BATCH_WALK_OLD,   /* an entry of magic 0 or 1: only base_offset (of a compressed entry: the
			     last inner record's), length, magic and attributes are set */
	BATCH_WALK_END,   /* nothing left, or only the start of a batch that the broker cut off:
			     that is what `left` holds then */
	BATCH_WALK_MALFORMED, /* lengths, counts or magic cannot be right; `why` says what and where
			       */
};

/* Give the next batch: its decoded head and all its bytes (borrowed). Heads are checked for sanity
 * (length, count and deltas in range and consistent with the size), payloads are not looked at. */
enum batch_walk_result batch_walk_next(struct batch_walk *w, struct batch_head *h,
				       struct bytes *whole, struct errmsg *why);

/* The codec of a batch or old entry of any format, unchecked; CODEC_NONE if it is too short to
 * say. */
enum batch_codec batch_entry_codec(struct bytes whole);

/* What cannot be right about a head of magic 2 by its own numbers (batch_walk_next's checks), or
 * NULL. For whoever reads heads without payloads. Static storage. */
const char *batch_head_fault(const struct batch_head *h);

/* Decode the 61 bytes at `p`, without checks. */
void batch_head_get(const uint8_t p[BATCH_HEAD], struct batch_head *h);

/* Encode into 61 bytes. */
void batch_head_put(uint8_t p[BATCH_HEAD], const struct batch_head *h);

/*
 * Re-stamp: write to `out` a head with the fields of `h`, whose checksum is right for the payload
 * that `old` head's checksum vouches for. The payload is not read: the new CRC follows from the old
 * CRC and both heads by linearity. So a payload that was damaged before stays damaged after, and
 * the receiver refuses it. `payload_n` is the number of bytes after the head; `h->crc`,
 * `h->length` and `h->magic` are ignored and computed. `out` may not overlap `old`.
 *
 * Two bits need care, since readers see more through them than the bit (DefaultRecordBatch.java,
 * KIP-534):
 *  - delete horizon (0x40): the base timestamp then holds the time at which tombstones may go, and
 *    not the first record's timestamp; but the records' timestamp deltas are relative to it all the
 *    same. So clear the bit and keep the base timestamp: every record keeps its timestamp.
 *  - LogAppendTime (0x08): every record's timestamp is max_timestamp, whatever its delta says. To
 *    clear the bit alone changes what readers see; such a batch must be rebuilt (rebatch.h).
 */
void batch_head_restamp(const uint8_t old[BATCH_HEAD], size_t payload_n, const struct batch_head *h,
			uint8_t out[BATCH_HEAD]);

/*
 * Write `h` in front of the `payload_n` bytes at `whole + BATCH_HEAD`, which the caller vouches
 * for: length, magic and checksum are computed over the bytes, the rest is as in `h`.
 */
void batch_head_seal(uint8_t *whole, size_t payload_n, const struct batch_head *h);

/* True if the CRC of a whole batch is right. Reads the payload. */
bool batch_crc_ok(struct bytes whole);

/* CRC-32C (Castagnoli) in the usual form: start with crc = 0. */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);

/* The CRC of A then B from crc(A), crc(B) and B's length. O(log n). */
uint32_t crc32c_combine(uint32_t crc_a, uint32_t crc_b, size_t n_b);

/* The difference (xor) of two checksums after `n` more bytes that are the same in both. O(log n).
 */
uint32_t crc32c_shift(uint32_t difference, size_t n);

/* base sequence + n (both >= 0) with Kafka's wrap: after 2147483647 comes 0. */
int32_t batch_sequence_add(int32_t sequence, int32_t n);

#endif
