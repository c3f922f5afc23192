/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A produced batch is checked from the outside in: that it is one batch, its head, its checksum,
 * then the records as far as they can be seen without decompressing, or all of them where the topic
 * asks for more. Rules: requests/ProduceRequest.java (validateRecords), UnifiedLog.java
 * (analyzeAndValidateRecords), LogValidator.java.
 *
 * Stricter than Kafka 4.1 in three places, none of which a client library comes to. Bytes behind
 * the batch are refused; Kafka cuts off what is too short to be a batch. Offsets of records have to
 * be 0..n-1; Kafka stores an uncompressed batch with any. The LogAppendTime bit is refused also in
 * a topic of producers' times, where Kafka clears it and so changes the times that readers see.
 * Where Kafka answers UNKNOWN_SERVER_ERROR (an unknown codec, a payload that does not decompress),
 * the error here says what is wrong. The delete horizon bit is cleared: it is the cleaner's.
 */
#include "cluster/log/validate.h"

#include <inttypes.h>

#include "lib/wire/records.h"
#include "lib/wire/varint.h"

enum {
	INFLATE_MIN = 32 * 1024 * 1024,
	INFLATE_TIMES = 16, /* max_message_bytes */
	INFLATE_LIMIT = 1024 * 1024 * 1024,
	CODEC_HEADROOM = 128 * 1024, /* codec_compress wants more room than it writes */
	LENGTH_AT = 8,
	MAGIC_AT = 16,
	CHECKED_AT = 21, /* where the bytes begin that the checksum covers */
	LENGTH_MIN = 14, /* of a record of magic 0: LegacyRecord.java, RECORD_OVERHEAD_V0 */
	HEADER_MIN = 2   /* a record header with an empty key and no value */
};

struct check {
	const struct plog_config *c;
	const struct validate_input *in;
	struct batch_head h;
	struct errmsg *why;
	/* What the walk over the records finds. */
	int64_t max_timestamp;
	int32_t no_key;   /* the first record that lacks one; -1 */
	int32_t bad_time; /* the first record whose timestamp is refused; -1 */
	int32_t bad_record;
};

size_t validate_inflate_max(const struct plog_config *c)
{
	int64_t max = INFLATE_MIN;

	if (c->max_message_bytes > max / INFLATE_TIMES)
		max = c->max_message_bytes < INFLATE_LIMIT / INFLATE_TIMES
			      ? c->max_message_bytes * INFLATE_TIMES
			      : INFLATE_LIMIT;
	return (size_t)max;
}

/* Exactly one batch of magic 2, whose head is read then (ByteBufferLogInputStream.java). */
static enum err check_frame(struct check *k)
{
	struct bytes b = k->in->batch;

	if (b.n <= MAGIC_AT)
		return errmsg_set(k->why, ERR_KAFKA_INVALID_RECORD, "there is no record batch");
	int32_t length = (int32_t)be32_get(b.p + LENGTH_AT);
	int8_t magic = (int8_t)b.p[MAGIC_AT];
	if (length < LENGTH_MIN || magic < 0 || magic > 2)
		return errmsg_set(k->why, ERR_KAFKA_CORRUPT_MESSAGE,
				  "no batch has length %" PRId32 " and magic %d", length, magic);
	if ((uint32_t)length > b.n - BATCH_OVERHEAD)
		return errmsg_set(k->why, ERR_KAFKA_INVALID_RECORD,
				  "the record batch is cut off: %zu of %" PRId64 " bytes", b.n,
				  (int64_t)length + BATCH_OVERHEAD);
	if (magic != 2)
		return errmsg_set(k->why, ERR_KAFKA_INVALID_RECORD,
				  "record batches must have magic 2, not %d", magic);
	if ((uint32_t)length < b.n - BATCH_OVERHEAD)
		return errmsg_set(k->why, ERR_KAFKA_INVALID_RECORD,
				  "there must be exactly one record batch for a partition");
	if (b.n < BATCH_HEAD)
		return errmsg_set(k->why, ERR_KAFKA_CORRUPT_MESSAGE,
				  "the batch of %zu bytes is shorter than its head", b.n);
	batch_head_get(b.p, &k->h);
	return ERR_OK;
}

static enum err check_size(const struct check *k, size_t size)
{
	if (!k->in->internal && (uint64_t)size > (uint64_t)k->c->max_message_bytes)
		return errmsg_set(k->why, ERR_KAFKA_MESSAGE_TOO_LARGE,
				  "the record batch of %zu bytes is larger than max.message.bytes, "
				  "%" PRId64,
				  size, k->c->max_message_bytes);
	return ERR_OK;
}

static enum err check_bytes(struct check *k)
{
	if (!k->in->internal && k->h.base_offset != 0)
		return errmsg_set(k->why, ERR_KAFKA_INVALID_RECORD,
				  "the base offset should be 0, but it is %" PRId64,
				  k->h.base_offset);
	enum err e = check_size(k, k->in->batch.n);
	if (e != ERR_OK)
		return e;
	if (!batch_crc_ok(k->in->batch))
		return errmsg_set(k->why, ERR_KAFKA_CORRUPT_MESSAGE,
				  "wrong checksum, the head says %08" PRIx32, k->h.crc);
	if (batch_codec(&k->h) > CODEC_ZSTD)
		return errmsg_set(k->why, ERR_KAFKA_UNSUPPORTED_COMPRESSION_TYPE,
				  "compression codec %d is not known", (int)batch_codec(&k->h));
	return ERR_OK;
}

/* LogValidator.validateBatch. */
static enum err check_head(struct check *k)
{
	const struct batch_head *h = &k->h;

	if (!batch_is_dense(h))
		return errmsg_set(k->why, ERR_KAFKA_INVALID_RECORD,
				  "the batch says it has %" PRId32 " records and %" PRId64
				  " offsets",
				  h->count, (int64_t)h->last_offset_delta + 1);
	if (k->in->batch.n == BATCH_HEAD)
		return errmsg_set(k->why, ERR_KAFKA_INVALID_RECORD,
				  "the batch says it has %" PRId32 " records, but has no bytes",
				  h->count);
	if (k->in->base_offset >= INT64_MAX - h->last_offset_delta)
		return errmsg_set(k->why, ERR_KAFKA_INVALID_RECORD, "there are no more offsets");
	if (k->in->internal)
		return ERR_OK;
	if ((h->attributes & BATCH_CONTROL) != 0)
		return errmsg_set(k->why, ERR_KAFKA_INVALID_RECORD,
				  "clients are not allowed to write control records");
	if (h->producer_id >= 0 && h->base_sequence < 0)
		return errmsg_set(k->why, ERR_KAFKA_INVALID_RECORD,
				  "invalid sequence %" PRId32 " of producer %" PRId64,
				  h->base_sequence, h->producer_id);
	if ((h->attributes & BATCH_TRANSACTIONAL) != 0)
		return errmsg_set(k->why, ERR_KAFKA_INVALID_TXN_STATE,
				  "this broker does not offer transactions");
	return ERR_OK;
}

static bool timestamp_in_range(const struct check *k, int64_t t)
{
	int64_t now = k->in->now_ms;

	/* The distance fits in 64 bits without a sign. */
	if (t > now)
		return (uint64_t)t - (uint64_t)now <= (uint64_t)k->c->timestamp_after_max_ms;
	return (uint64_t)now - (uint64_t)t <= (uint64_t)k->c->timestamp_before_max_ms;
}

/* LogValidator.validateTimestamp; -1 stands for "none". */
static bool timestamp_ok(const struct check *k, int64_t t)
{
	if (k->in->internal)
		return true;
	if ((k->h.attributes & BATCH_LOG_APPEND_TIME) != 0)
		return false;
	return k->c->log_append_time || t == -1 || timestamp_in_range(k, t);
}

static enum err timestamp_refuse(const struct check *k)
{
	if ((k->h.attributes & BATCH_LOG_APPEND_TIME) != 0)
		return errmsg_set(k->why, ERR_KAFKA_INVALID_TIMESTAMP,
				  "producers must not set the timestamp type to LogAppendTime");
	return errmsg_set(k->why, ERR_KAFKA_INVALID_TIMESTAMP,
			  "a timestamp is out of range: at most %" PRId64 " ms before and %" PRId64
			  " ms after the broker's clock",
			  k->c->timestamp_before_max_ms, k->c->timestamp_after_max_ms);
}

/* Skip a length (-1: null) and that many bytes; NULL if they are not there. */
static const uint8_t *field_skip(const uint8_t *p, const uint8_t *end, bool *null)
{
	int32_t n;

	p = varint_get_32(p, end, &n);
	if (p == NULL || n < -1 || n > end - p)
		return NULL;
	*null = n < 0;
	return n < 0 ? p : p + n;
}

static bool headers_fill(const uint8_t *p, const uint8_t *end)
{
	bool null;
	int32_t n;

	p = varint_get_32(p, end, &n);
	if (p == NULL || n < 0 || n > (end - p) / HEADER_MIN)
		return false;
	for (; n > 0; n--) {
		p = field_skip(p, end, &null);
		if (p == NULL || null)
			return false;
		p = field_skip(p, end, &null);
		if (p == NULL)
			return false;
	}
	return p == end;
}

/* The record at `p` (DefaultRecord.java, readFrom): the byte behind it, or NULL. */
static const uint8_t *record_skip(const uint8_t *p, const uint8_t *end, struct record *r)
{
	int32_t length, offset_delta;
	bool null;

	p = varint_get_32(p, end, &length);
	if (p == NULL || length < 1 || length > end - p)
		return NULL;
	end = p + length;
	p = varint_get_64(p + 1, end, &r->timestamp); /* behind the attributes: none are defined */
	if (p == NULL)
		return NULL;
	p = varint_get_32(p, end, &offset_delta);
	if (p == NULL)
		return NULL;
	r->offset = offset_delta;
	const uint8_t *key = p;
	p = field_skip(p, end, &null);
	if (p == NULL)
		return NULL;
	r->key.p = null ? NULL : key;
	p = field_skip(p, end, &null);
	return p != NULL && headers_fill(p, end) ? end : NULL;
}

/* A record that can be read may still be refused, and so may several
 * (LogValidator.validateRecord). */
static void check_record(struct check *k, int32_t i, const struct record *r)
{
	if (r->timestamp > k->max_timestamp)
		k->max_timestamp = r->timestamp;
	if (k->c->cleanup_compact && r->key.p == NULL) {
		if (k->no_key < 0)
			k->no_key = i;
	} else if (k->bad_time < 0 && !timestamp_ok(k, r->timestamp)) {
		k->bad_time = i;
	}
}

static enum err check_records(struct check *k, struct bytes plain)
{
	const uint8_t *p = plain.p, *end = plain.p + plain.n;

	for (int32_t i = 0; i < k->h.count; i++) {
		struct record r = {0};
		p = record_skip(p, end, &r);
		if (p == NULL)
			return errmsg_set(k->why, ERR_KAFKA_INVALID_RECORD,
					  "record %" PRId32 " of %" PRId32
					  " is malformed or cut off",
					  i, k->h.count);
		if (r.offset != i)
			return errmsg_set(k->why, ERR_KAFKA_INVALID_RECORD,
					  "record %" PRId32 " has offset delta %" PRId64, i,
					  r.offset);
		/* Wraps as in Java. */
		r.timestamp = (int64_t)((uint64_t)k->h.base_timestamp + (uint64_t)r.timestamp);
		check_record(k, i, &r);
	}
	if (p != end)
		return errmsg_set(k->why, ERR_KAFKA_INVALID_RECORD,
				  "%zu bytes after the last record", (size_t)(end - p));
	/* A timestamp outranks a key (LogValidator.processRecordErrors). */
	k->bad_record = k->bad_time >= 0 ? k->bad_time : k->no_key;
	if (k->bad_time >= 0)
		return timestamp_refuse(k);
	if (k->no_key >= 0)
		return errmsg_set(k->why, ERR_KAFKA_INVALID_RECORD,
				  "compacted topic cannot accept a message without a key");
	return ERR_OK;
}

/* The records are not looked at: what the head says of them. */
static enum err check_promises(struct check *k)
{
	k->max_timestamp = k->h.max_timestamp;
	if (timestamp_ok(k, k->h.base_timestamp) && timestamp_ok(k, k->h.max_timestamp))
		return ERR_OK;
	return timestamp_refuse(k);
}

static enum err inflate(struct check *k, struct bytes packed, struct buf *plain)
{
	struct errmsg text = {0};

	buf_clear(plain);
	plain->max = validate_inflate_max(k->c);
	enum err e = codec_decompress(batch_codec(&k->h), 2, packed, plain, &text);
	if (e == ERR_LIMIT)
		return errmsg_set(k->why, ERR_KAFKA_MESSAGE_TOO_LARGE, "%s", text.text);
	if (e == ERR_NOMEM)
		return errmsg_set(k->why, e, "%s", err_text(e));
	if (e != ERR_OK)
		return errmsg_set(k->why, ERR_KAFKA_INVALID_RECORD, "%s", text.text);
	return ERR_OK;
}

/* The records stay as they are encoded: their offset deltas are right already. */
static enum err deflate(struct check *k, enum batch_codec codec, struct bytes plain,
			struct buf *packed)
{
	buf_clear(packed);
	packed->max = validate_inflate_max(k->c) + CODEC_HEADROOM;
	enum err e = codec_compress_at(codec, k->c->compression_level, plain, packed);
	if (e == ERR_OK && packed->len > BATCH_PAYLOAD_MAX)
		e = ERR_LIMIT;
	if (e == ERR_LIMIT)
		return errmsg_set(k->why, ERR_KAFKA_MESSAGE_TOO_LARGE,
				  "compressed anew, the batch is too large");
	if (e != ERR_OK)
		return errmsg_set(k->why, e, "compressing the batch: %s", err_text(e));
	return ERR_OK;
}

/* Check the records of a compressed batch, or of one that is to be compressed, and give the payload
 * to store. */
static enum err check_payload(struct check *k, enum batch_codec codec, struct buf *scratch,
			      struct bytes *payload)
{
	struct buf plain;
	enum err e;

	buf_init(&plain, 0);
	struct bytes records = *payload;
	if (batch_codec(&k->h) != CODEC_NONE) {
		struct buf *to = codec == CODEC_NONE ? scratch : &plain;
		e = inflate(k, *payload, to);
		records = to->p == NULL ? bytes_str("") : buf_bytes(to);
		if (e != ERR_OK)
			goto done;
	}
	e = check_records(k, records);
	if (e != ERR_OK || codec == batch_codec(&k->h))
		goto done;
	if (codec != CODEC_NONE) {
		e = deflate(k, codec, records, scratch);
		records = buf_bytes(scratch);
	}
	*payload = records;
	if (e == ERR_OK)
		e = check_size(k, BATCH_HEAD + payload->n);
done:
	buf_fini(&plain);
	return e;
}

static enum batch_codec target_codec(const struct check *k)
{
	if (k->c->compression < CODEC_NONE || k->c->compression > CODEC_ZSTD)
		return batch_codec(&k->h);
	/* Control records are never compressed (LogValidator.java). */
	return k->h.attributes & BATCH_CONTROL ? CODEC_NONE : (enum batch_codec)k->c->compression;
}

/* As batch_head_seal, where the payload does not lie behind the head. */
static void seal_apart(struct bytes payload, const struct batch_head *h, uint8_t head[BATCH_HEAD])
{
	struct batch_head sealed = *h;

	sealed.length = (int32_t)payload.n + BATCH_HEAD - BATCH_OVERHEAD;
	batch_head_put(head, &sealed);
	sealed.crc = crc32c(0, head + CHECKED_AT, BATCH_HEAD - CHECKED_AT);
	sealed.crc = crc32c(sealed.crc, payload.p, payload.n);
	batch_head_put(head, &sealed);
}

/* The head to write. The checksum is computed anew only over what the broker itself compressed. */
static void stamp(const struct check *k, enum batch_codec codec, struct validate_output *out)
{
	const uint8_t *old = k->in->batch.p;
	struct batch_head h = k->h;

	h.base_offset = k->in->base_offset;
	h.leader_epoch = k->in->leader_epoch;
	h.max_timestamp = k->max_timestamp;
	h.attributes = (int16_t)((h.attributes & ~BATCH_CODEC_MASK) | (int)codec);
	if (!k->in->internal)
		h.attributes &= (int16_t)~BATCH_DELETE_HORIZON;
	out->append_time = -1;
	if (k->c->log_append_time) {
		h.attributes |= BATCH_LOG_APPEND_TIME;
		h.max_timestamp = k->in->now_ms;
		out->append_time = k->in->now_ms;
	}
	if (codec != batch_codec(&k->h)) {
		seal_apart(out->payload, &h, out->head);
	} else if (h.attributes != k->h.attributes || h.max_timestamp != k->h.max_timestamp) {
		batch_head_restamp(old, out->payload.n, &h, out->head);
	} else {
		batch_head_put(out->head, &h); /* only what the checksum does not cover */
	}
	batch_head_get(out->head, &out->h);
}

static enum err check_batch(struct check *k, struct buf *scratch, struct validate_output *out)
{
	enum err e = check_frame(k);

	if (e == ERR_OK)
		e = check_bytes(k);
	if (e == ERR_OK)
		e = check_head(k);
	if (e != ERR_OK)
		return e;
	enum batch_codec codec = target_codec(k), came = batch_codec(&k->h);
	out->payload = bytes_of(k->in->batch.p + BATCH_HEAD, k->in->batch.n - BATCH_HEAD);
	if (came != CODEC_NONE && codec == came && !k->c->cleanup_compact)
		e = check_promises(k);
	else
		e = check_payload(k, codec, scratch, &out->payload);
	if (e != ERR_OK)
		return e;
	if ((uint64_t)out->payload.n + BATCH_HEAD > (uint64_t)k->c->segment_bytes)
		return errmsg_set(
			k->why, ERR_KAFKA_RECORD_LIST_TOO_LARGE,
			"the record batch of %zu bytes is larger than a segment, %" PRId64,
			out->payload.n + BATCH_HEAD, k->c->segment_bytes);
	stamp(k, codec, out);
	return ERR_OK;
}

enum err validate_batch(const struct plog_config *c, const struct validate_input *in,
			struct buf *scratch, struct validate_output *out, struct errmsg *why)
{
	struct check k = {
		.c = c,
		.in = in,
		.why = why,
		.max_timestamp = -1,
		.no_key = -1,
		.bad_time = -1,
		.bad_record = -1,
	};
	enum err e = check_batch(&k, scratch, out);

	out->bad_record = k.bad_record;
	return e;
}
