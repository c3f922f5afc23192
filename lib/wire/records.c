/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record reader for all three formats.
 *
 * Magic 2 (DefaultRecord.java): length, attributes, timestamp delta, offset delta, key, value,
 * headers, with zigzag varints. Magic 0 and 1 (LegacyRecord.java): an entry is a record, or a
 * wrapper whose value is a compressed set of such entries:
 *
 * OFFSET SIZE  field of an old entry
 *      0    8  offset
 *      8    4  size of what follows
 *     12    4  CRC-32 (zlib's) over bytes 16..end
 *     16    1  magic
 *     17    1  attributes: 0-2 codec, 3 LogAppendTime (magic 1)
 *     18    8  timestamp (magic 1 only)
 *              key, value: 4 bytes of length (-1 null), then the bytes
 *
 * Invariants: p <= end, both inside the batch or inside `plain`; next_offset rises with each
 * record; after an error no record is given.
 */
#include "lib/wire/records_impl.h"

#include <inttypes.h>
#include <zlib.h>

#include "lib/base/mem.h"
#include "lib/wire/varint.h"

enum {
	OLD_HEAD = 12,
	OLD_CRC = 12,
	OLD_CHECKED = 16,
	OLD_MAGIC = 16,
	OLD_ATTRIBUTES = 17,
	OLD_REST = 18,
	HEADER_MIN = 2 /* a header with an empty key and no value */
};

static bool reader_fail(struct records_reader *rr, enum err e, const char *fault)
{
	rr->err = errmsg_set(&rr->why, e, "record at or after offset %" PRId64 ": %s",
			     rr->next_offset, fault);
	return false;
}

/* A length (varint, -1 is null) and that many bytes from [p, end): the byte behind, or NULL. */
static inline const uint8_t *field_get(const uint8_t *p, const uint8_t *end, struct bytes *field)
{
	int32_t n;

	p = varint_get_32(p, end, &n);
	if (p == NULL || n < -1 || n > end - p)
		return NULL;
	*field = n < 0 ? (struct bytes){0} : bytes_of(p, (size_t)n);
	return n < 0 ? p : p + n;
}

/* Check `n` headers that must fill [p, end) exactly. */
static bool headers_fill(const uint8_t *p, const uint8_t *end, int32_t n)
{
	struct bytes key, value;

	for (; n > 0; n--) {
		p = field_get(p, end, &key);
		if (p == NULL || key.p == NULL)
			return false;
		p = field_get(p, end, &value);
		if (p == NULL)
			return false;
	}
	return p == end;
}

/* Key, value and headers of the record whose body is [p, end). */
static const char *body_get(const uint8_t *p, const uint8_t *end, struct record *r)
{
	r->body = bytes_of(p, (size_t)(end - p));
	p = field_get(p, end, &r->key);
	if (p == NULL)
		return "the key does not fit in the record";
	p = field_get(p, end, &r->value);
	if (p == NULL)
		return "the value does not fit in the record";
	p = varint_get_32(p, end, &r->headers_n);
	if (p == NULL || r->headers_n < 0 || r->headers_n > (end - p) / HEADER_MIN)
		return "the header count cannot be true";
	r->headers = bytes_of(p, (size_t)(end - p));
	if (!headers_fill(p, end, r->headers_n))
		return "the headers do not fill the record";
	return NULL;
}

static bool reader_next_v2(struct records_reader *rr, struct record *r)
{
	int32_t length, offset_delta;
	int64_t timestamp_delta;

	if (rr->left == 0) {
		if (rr->p != rr->end)
			reader_fail(rr, ERR_MALFORMED, "bytes after the last record");
		return false;
	}
	const uint8_t *p = varint_get_32(rr->p, rr->end, &length);
	if (p == NULL || length < 0 || length > rr->end - p)
		return reader_fail(rr, ERR_MALFORMED, "the record does not fit in the batch");
	const uint8_t *end = p + length;
	p = length == 0 ? NULL : varint_get_64(p + 1, end, &timestamp_delta);
	p = p == NULL ? NULL : varint_get_32(p, end, &offset_delta);
	if (p == NULL)
		return reader_fail(rr, ERR_MALFORMED, "the record is too short");
	/* The delta is held against the range before it is added to anything. */
	if (offset_delta < 0 || offset_delta > rr->last_offset - rr->base_offset ||
	    rr->base_offset + offset_delta < rr->next_offset)
		return reader_fail(rr, ERR_MALFORMED, "the offset is out of order or range");
	const char *fault = body_get(p, end, r);
	if (fault != NULL)
		return reader_fail(rr, ERR_MALFORMED, fault);
	r->offset = rr->base_offset + offset_delta;
	/* Wraps as in Java, where a delta may point anywhere. */
	r->timestamp = rr->base_timestamp;
	if (!rr->one_timestamp)
		r->timestamp = (int64_t)((uint64_t)r->timestamp + (uint64_t)timestamp_delta);
	rr->p = end;
	rr->left--;
	rr->next_offset = r->offset + 1;
	return true;
}

/* A length (4 bytes, -1 is null) and that many bytes from [p, end): the byte behind, or NULL. */
static const uint8_t *old_field_get(const uint8_t *p, const uint8_t *end, struct bytes *field)
{
	if (end - p < 4)
		return NULL;
	int32_t n = (int32_t)be32_get(p);
	p += 4;
	if (n < -1 || n > end - p)
		return NULL;
	*field = n < 0 ? (struct bytes){0} : bytes_of(p, (size_t)n);
	return n < 0 ? p : p + n;
}

struct old_entry {
	int64_t offset;
	int8_t magic;
	uint8_t attributes;
	int64_t timestamp; /* -1 in magic 0 */
	struct bytes key;
	struct bytes value;
	struct bytes checked; /* what the checksum covers */
	uint32_t crc;
};

/* The entry at the start of [p, end): the byte behind, or NULL. The checksum is not looked at. */
static const uint8_t *old_entry_get(const uint8_t *p, const uint8_t *end, struct old_entry *e)
{
	if (end - p < OLD_REST)
		return NULL;
	int32_t size = (int32_t)be32_get(p + 8);
	if (size < OLD_REST - OLD_HEAD || size > end - p - OLD_HEAD)
		return NULL;
	end = p + OLD_HEAD + size;
	*e = (struct old_entry){
		.offset = (int64_t)be64_get(p),
		.magic = (int8_t)p[OLD_MAGIC],
		.attributes = p[OLD_ATTRIBUTES],
		.timestamp = -1,
		.checked = bytes_of(p + OLD_CHECKED, (size_t)(end - p) - OLD_CHECKED),
		.crc = be32_get(p + OLD_CRC),
	};
	p += OLD_REST;
	if (e->magic == 1) {
		if (end - p < 8)
			return NULL;
		e->timestamp = (int64_t)be64_get(p);
		p += 8;
	}
	p = old_field_get(p, end, &e->key);
	if (p != NULL)
		p = old_field_get(p, end, &e->value);
	return p == end ? end : NULL;
}

static bool old_entry_crc_ok(const struct old_entry *e)
{
	return crc32_z(0, e->checked.p, e->checked.n) == e->crc;
}

static bool reader_next_old(struct records_reader *rr, struct record *r)
{
	struct old_entry e;

	if (rr->p == rr->end)
		return false;
	const uint8_t *p = old_entry_get(rr->p, rr->end, &e);
	if (p == NULL)
		return reader_fail(rr, ERR_MALFORMED, "the record does not fit in the set");
	if (e.magic != rr->magic || (e.attributes & BATCH_CODEC_MASK) != 0)
		return reader_fail(rr, ERR_MALFORMED, "a set inside a set, or another format");
	if (!old_entry_crc_ok(&e))
		return reader_fail(rr, ERR_CORRUPT, "wrong checksum");
	if (e.offset < 0 || e.offset >= INT64_MAX - rr->base_offset ||
	    rr->base_offset + e.offset < rr->next_offset)
		return reader_fail(rr, ERR_MALFORMED, "the offset is out of order or range");
	*r = (struct record){
		.offset = rr->base_offset + e.offset,
		.timestamp = rr->one_timestamp ? rr->base_timestamp : e.timestamp,
		.key = e.key,
		.value = e.value,
	};
	rr->p = p;
	rr->next_offset = r->offset + 1;
	return true;
}

bool records_reader_next(struct records_reader *rr, struct record *r)
{
	if (rr->err != ERR_OK)
		return false;
	return rr->magic == 2 ? reader_next_v2(rr, r) : reader_next_old(rr, r);
}

static enum err reader_inflate(struct records_reader *rr, enum batch_codec codec,
			       struct bytes packed, size_t limit, struct errmsg *why)
{
	if (rr->plain.cap > limit)
		buf_fini(&rr->plain);
	rr->plain.max = limit;
	enum err e = codec_decompress_with(&rr->scratch, codec, rr->magic, packed, &rr->plain, why);
	rr->p = rr->plain.p;
	rr->end = rr->plain.p == NULL ? NULL : rr->plain.p + rr->plain.len;
	return e;
}

static enum err reader_start_v2(struct records_reader *rr, const struct batch_head *h,
				struct bytes whole, size_t limit, struct errmsg *why)
{
	if (!batch_crc_ok(whole))
		return errmsg_set(why, ERR_CORRUPT, "wrong checksum, the head says %08" PRIx32,
				  h->crc);
	rr->left = h->count;
	rr->base_offset = h->base_offset;
	rr->last_offset = batch_last_offset(h);
	rr->next_offset = h->base_offset;
	/* See batch_head_restamp on these two bits. */
	rr->one_timestamp = (h->attributes & BATCH_LOG_APPEND_TIME) != 0;
	rr->base_timestamp = rr->one_timestamp ? h->max_timestamp : h->base_timestamp;
	rr->p = whole.p + BATCH_HEAD;
	rr->end = whole.p + whole.n;
	if (h->count == 0 || batch_codec(h) == CODEC_NONE)
		return ERR_OK;
	return reader_inflate(rr, batch_codec(h), bytes_of(rr->p, whole.n - BATCH_HEAD), limit,
			      why);
}

/* The inner offset of the last entry of a set; -1 if it does not consist of whole entries. */
static int64_t old_set_last(const uint8_t *p, const uint8_t *end)
{
	struct old_entry e = {.offset = -1};

	while (p != NULL && p != end)
		p = old_entry_get(p, end, &e);
	return p == NULL ? -1 : e.offset;
}

static enum err reader_start_old(struct records_reader *rr, struct bytes whole, size_t limit,
				 struct errmsg *why)
{
	struct old_entry e;

	rr->p = whole.p;
	rr->end = whole.p + whole.n;
	if (old_entry_get(rr->p, rr->end, &e) != rr->end)
		return errmsg_set(why, ERR_MALFORMED, "key and value do not fill the entry");
	if (!old_entry_crc_ok(&e))
		return errmsg_set(why, ERR_CORRUPT, "wrong checksum, the entry says %08" PRIx32,
				  e.crc);
	enum batch_codec codec = (enum batch_codec)(e.attributes & BATCH_CODEC_MASK);
	if (codec == CODEC_NONE)
		return ERR_OK;
	if (codec == CODEC_ZSTD) /* came with magic 2 (KIP-110) */
		return errmsg_set(why, ERR_UNSUPPORTED, "zstd in format %d", rr->magic);
	enum err err = reader_inflate(rr, codec, e.value, limit, why);
	if (err != ERR_OK)
		return err;
	int64_t last = old_set_last(rr->p, rr->end);
	if (last < 0)
		return errmsg_set(why, ERR_MALFORMED, "the set inside is empty or broken");
	if (e.magic == 0)
		return ERR_OK;
	/* Inner offsets of magic 1 are relative, so that the last one stands for the wrapper's
	 * offset (KIP-31). Some old producers left the wrapper at 0, and readers take the inner
	 * ones as they are (AbstractLegacyRecordBatch.java). */
	if (e.offset != 0 && last > e.offset)
		return errmsg_set(why, ERR_MALFORMED, "the inner offsets pass the outer one");
	rr->base_offset = e.offset == 0 ? 0 : e.offset - last;
	rr->one_timestamp = (e.attributes & BATCH_LOG_APPEND_TIME) != 0;
	rr->base_timestamp = e.timestamp;
	return ERR_OK;
}

void records_reader_init(struct records_reader *rr)
{
	*rr = (struct records_reader){0};
	buf_init(&rr->plain, 0);
}

void records_reader_fini(struct records_reader *rr)
{
	buf_fini(&rr->plain);
	codec_scratch_fini(&rr->scratch);
}

/* Everything but the buffer and the codecs' contexts, and but the text, which only an error gives a
 * meaning. */
static void reader_reset(struct records_reader *rr, const struct batch_head *h)
{
	buf_clear(&rr->plain);
	rr->p = NULL;
	rr->end = NULL;
	rr->magic = h->magic;
	rr->attributes = h->attributes;
	rr->left = 0;
	rr->base_offset = 0;
	rr->last_offset = 0;
	rr->next_offset = 0;
	rr->base_timestamp = 0;
	rr->one_timestamp = false;
	rr->err = ERR_OK;
}

enum err records_reader_start(struct records_reader *rr, struct bytes whole, size_t limit,
			      struct errmsg *why)
{
	struct batch_walk w = {.left = whole};
	struct batch_head h = {0};
	struct bytes got = {0};
	enum err e = ERR_MALFORMED;
	enum batch_walk_result found = batch_walk_next(&w, &h, &got, why);

	reader_reset(rr, &h);
	if (found == BATCH_WALK_MALFORMED)
		return rr->err = e;
	if (found == BATCH_WALK_END || w.left.n != 0)
		errmsg_set(why, e, "not exactly one whole batch");
	else if (found == BATCH_WALK_BATCH)
		e = reader_start_v2(rr, &h, whole, limit, why);
	else
		e = reader_start_old(rr, whole, limit, why);
	rr->err = e;
	return e == ERR_OK ? e : errmsg_wrap(why, e, "batch at offset %" PRId64, h.base_offset);
}

void records_reader_start_bare(struct records_reader *rr, struct bytes payload, int32_t count,
			       int64_t base_timestamp)
{
	reader_reset(rr, &(struct batch_head){.magic = 2});
	rr->p = payload.p;
	rr->end = payload.p + payload.n;
	rr->left = count;
	rr->last_offset = count - 1;
	rr->base_timestamp = base_timestamp;
}

enum err records_reader_open(struct bytes whole, size_t limit, struct records_reader **out,
			     struct errmsg *why)
{
	struct records_reader *rr = mem_alloc(sizeof *rr);

	if (rr == NULL)
		return errmsg_set(why, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	records_reader_init(rr);
	enum err e = records_reader_start(rr, whole, limit, why);
	if (e != ERR_OK) {
		records_reader_free(rr);
		return e;
	}
	*out = rr;
	return ERR_OK;
}

enum err records_reader_error(const struct records_reader *rr, struct errmsg *why)
{
	return rr->err == ERR_OK ? ERR_OK : errmsg_set(why, rr->err, "%s", rr->why.text);
}

void records_reader_free(struct records_reader *rr)
{
	if (rr == NULL)
		return;
	records_reader_fini(rr);
	mem_free(rr);
}
