/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Record batch heads: decode, encode, walk a record set, re-stamp. Nothing here reads a payload but
 * batch_crc_ok and batch_head_seal.
 *
 * Invariant of the walk: what it hands out lies inside the record set, and its head's numbers can
 * be added and subtracted in 64 bits without overflow, the offset after the last one included.
 */
#include "lib/wire/batch.h"

#include <assert.h>
#include <inttypes.h>

enum {
	AT_BASE_OFFSET = 0,
	AT_LENGTH = 8,
	AT_LEADER_EPOCH = 12,
	AT_MAGIC = 16, /* the same place in all formats */
	AT_CRC = 17,
	AT_ATTRIBUTES = 21,
	AT_LAST_OFFSET_DELTA = 23,
	AT_BASE_TIMESTAMP = 27,
	AT_MAX_TIMESTAMP = 35,
	AT_PRODUCER_ID = 43,
	AT_PRODUCER_EPOCH = 51,
	AT_BASE_SEQUENCE = 53,
	AT_COUNT = 57,
	AT_OLD_ATTRIBUTES =
		17,      /* magic 0 and 1: offset 8, length 4, crc 4, magic 1, attributes 1 */
	BATCH_PEEK = 18, /* bytes that show the magic and, in old formats, the attributes */
	RECORD_MIN = 7   /* the smallest record: 6 varints of one byte and the attributes */
};

static_assert(AT_COUNT + 4 == BATCH_HEAD, "the head is 61 bytes");

void batch_head_get(const uint8_t p[BATCH_HEAD], struct batch_head *h)
{
	*h = (struct batch_head){
		.base_offset = (int64_t)be64_get(p + AT_BASE_OFFSET),
		.length = (int32_t)be32_get(p + AT_LENGTH),
		.leader_epoch = (int32_t)be32_get(p + AT_LEADER_EPOCH),
		.magic = (int8_t)p[AT_MAGIC],
		.crc = be32_get(p + AT_CRC),
		.attributes = (int16_t)be16_get(p + AT_ATTRIBUTES),
		.last_offset_delta = (int32_t)be32_get(p + AT_LAST_OFFSET_DELTA),
		.base_timestamp = (int64_t)be64_get(p + AT_BASE_TIMESTAMP),
		.max_timestamp = (int64_t)be64_get(p + AT_MAX_TIMESTAMP),
		.producer_id = (int64_t)be64_get(p + AT_PRODUCER_ID),
		.producer_epoch = (int16_t)be16_get(p + AT_PRODUCER_EPOCH),
		.base_sequence = (int32_t)be32_get(p + AT_BASE_SEQUENCE),
		.count = (int32_t)be32_get(p + AT_COUNT),
	};
}

void batch_head_put(uint8_t p[BATCH_HEAD], const struct batch_head *h)
{
	be64_put(p + AT_BASE_OFFSET, (uint64_t)h->base_offset);
	be32_put(p + AT_LENGTH, (uint32_t)h->length);
	be32_put(p + AT_LEADER_EPOCH, (uint32_t)h->leader_epoch);
	p[AT_MAGIC] = (uint8_t)h->magic;
	be32_put(p + AT_CRC, h->crc);
	be16_put(p + AT_ATTRIBUTES, (uint16_t)h->attributes);
	be32_put(p + AT_LAST_OFFSET_DELTA, (uint32_t)h->last_offset_delta);
	be64_put(p + AT_BASE_TIMESTAMP, (uint64_t)h->base_timestamp);
	be64_put(p + AT_MAX_TIMESTAMP, (uint64_t)h->max_timestamp);
	be64_put(p + AT_PRODUCER_ID, (uint64_t)h->producer_id);
	be16_put(p + AT_PRODUCER_EPOCH, (uint16_t)h->producer_epoch);
	be32_put(p + AT_BASE_SEQUENCE, (uint32_t)h->base_sequence);
	be32_put(p + AT_COUNT, (uint32_t)h->count);
}

/* What is wrong with the numbers of a head of magic 2, or NULL. `payload` is the number of bytes
 * after the head. */
static const char *numbers_fault(const struct batch_head *h, int64_t payload)
{
	if (h->last_offset_delta < 0)
		return "the last offset delta is negative";
	if (h->base_offset >= INT64_MAX - h->last_offset_delta)
		return "the offset after it does not fit in 63 bits";
	if (h->count < 0)
		return "the record count is negative";
	if (h->count > (int64_t)h->last_offset_delta + 1)
		return "there are more records than offsets";
	if (h->count == 0)
		return payload == 0 ? NULL : "there are bytes but no records";
	if (payload == 0)
		return "there are records but no bytes";
	if (batch_codec(h) == CODEC_NONE && h->count > payload / RECORD_MIN)
		return "there are more records than fit in the bytes";
	return NULL;
}

static enum batch_walk_result batch_walk_fault(const struct batch_head *h, const char *fault,
					       struct errmsg *why)
{
	errmsg_set(why, ERR_MALFORMED,
		   "batch at offset %" PRId64 ": %s (magic %d, length %" PRId32
		   ", last offset delta %" PRId32 ", records %" PRId32 ")",
		   h->base_offset, fault, h->magic, h->length, h->last_offset_delta, h->count);
	return BATCH_WALK_MALFORMED;
}

/* The least length field of a format: LegacyRecord.java's RECORD_OVERHEAD_V0 and _V1, and the head
 * of magic 2. -1: no such format. */
static int32_t batch_length_min(int8_t magic)
{
	switch (magic) {
	case 0:
		return 14;
	case 1:
		return 22;
	case 2:
		return BATCH_HEAD - BATCH_OVERHEAD;
	default:
		return -1;
	}
}

const char *batch_head_fault(const struct batch_head *h)
{
	int32_t min = batch_length_min(2);

	if (h->magic != 2)
		return "no such format";
	if (h->length < min)
		return "the length is less than a head";
	if (h->base_offset < 0 || h->base_offset == INT64_MAX)
		return "the offset is out of range";
	return numbers_fault(h, h->length - min);
}

enum batch_walk_result batch_walk_next(struct batch_walk *w, struct batch_head *h,
				       struct bytes *whole, struct errmsg *why)
{
	const uint8_t *p = w->left.p;

	if (w->left.n < BATCH_PEEK)
		return BATCH_WALK_END;
	*h = (struct batch_head){
		.base_offset = (int64_t)be64_get(p + AT_BASE_OFFSET),
		.length = (int32_t)be32_get(p + AT_LENGTH),
		.magic = (int8_t)p[AT_MAGIC],
	};
	int32_t min = batch_length_min(h->magic);
	if (min < 0)
		return batch_walk_fault(h, "no such format", why);
	if (h->length < min)
		return batch_walk_fault(h, "the length is less than a head", why);
	if (h->base_offset < 0 || h->base_offset == INT64_MAX)
		return batch_walk_fault(h, "the offset is out of range", why);
	/* Fetch responses end in the middle of a batch where the byte limit of the request was. */
	if (batch_size(h) > w->left.n)
		return BATCH_WALK_END;
	if (h->magic == 2) {
		batch_head_get(p, h);
		const char *fault = numbers_fault(h, h->length - min);
		if (fault != NULL)
			return batch_walk_fault(h, fault, why);
	} else {
		h->attributes = p[AT_OLD_ATTRIBUTES];
	}
	*whole = bytes_of(p, batch_size(h));
	w->left = bytes_of(p + whole->n, w->left.n - whole->n);
	return h->magic == 2 ? BATCH_WALK_BATCH : BATCH_WALK_OLD;
}

enum batch_codec batch_entry_codec(struct bytes whole)
{
	if (whole.n < BATCH_PEEK)
		return CODEC_NONE;
	size_t at = whole.p[AT_MAGIC] < 2 ? AT_OLD_ATTRIBUTES : AT_ATTRIBUTES + 1;
	if (at >= whole.n)
		return CODEC_NONE;
	return (enum batch_codec)(whole.p[at] & BATCH_CODEC_MASK);
}

void batch_head_restamp(const uint8_t old[BATCH_HEAD], size_t payload_n, const struct batch_head *h,
			uint8_t out[BATCH_HEAD])
{
	const size_t covered = BATCH_HEAD - AT_ATTRIBUTES;
	struct batch_head stamped = *h;

	assert(payload_n <= BATCH_PAYLOAD_MAX);
	stamped.length = (int32_t)payload_n + BATCH_HEAD - BATCH_OVERHEAD;
	stamped.magic = 2;
	/* The CRC is affine: two messages of one length and one tail differ in their checksums by
	 * the difference of their fronts, shifted over the tail. */
	uint32_t front = crc32c(0, old + AT_ATTRIBUTES, covered);
	uint32_t crc = be32_get(old + AT_CRC);
	batch_head_put(out, &stamped);
	front ^= crc32c(0, out + AT_ATTRIBUTES, covered);
	be32_put(out + AT_CRC, crc ^ crc32c_shift(front, payload_n));
}

void batch_head_seal(uint8_t *whole, size_t payload_n, const struct batch_head *h)
{
	struct batch_head sealed = *h;

	assert(payload_n <= BATCH_PAYLOAD_MAX);
	sealed.length = (int32_t)payload_n + BATCH_HEAD - BATCH_OVERHEAD;
	sealed.magic = 2;
	batch_head_put(whole, &sealed);
	be32_put(whole + AT_CRC,
		 crc32c(0, whole + AT_ATTRIBUTES, BATCH_HEAD - AT_ATTRIBUTES + payload_n));
}

bool batch_crc_ok(struct bytes whole)
{
	if (whole.n < BATCH_HEAD)
		return false;
	return be32_get(whole.p + AT_CRC) ==
	       crc32c(0, whole.p + AT_ATTRIBUTES, whole.n - AT_ATTRIBUTES);
}

int32_t batch_sequence_add(int32_t sequence, int32_t n)
{
	return (int32_t)(((int64_t)sequence + n) & INT32_MAX);
}
