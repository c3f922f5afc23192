/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Builds a batch of magic 2: records are encoded as they come, compressed as a whole at the end.
 *
 * Invariants: payload holds `count` encoded records with offset deltas 0..count-1 and timestamp
 * deltas relative to first_timestamp; it never fails for lack of room half way through a record.
 */
#include <assert.h>

#include "lib/wire/records.h"
#include "lib/wire/varint.h"

void batch_builder_init(struct batch_builder *b, enum batch_codec codec, size_t max)
{
	max = max < BATCH_PAYLOAD_MAX ? max : BATCH_PAYLOAD_MAX;
	*b = (struct batch_builder){.codec = codec, .aim = max};
	buf_init(&b->payload, max);
}

void batch_builder_fini(struct batch_builder *b)
{
	buf_fini(&b->payload);
}

void batch_builder_clear(struct batch_builder *b)
{
	buf_clear(&b->payload);
	b->count = 0;
}

static size_t field_size(struct bytes field)
{
	return field.p == NULL ? 1 : varint_size((int64_t)field.n) + field.n;
}

static uint8_t *field_put(uint8_t *p, struct bytes field)
{
	p = varint_put_64(p, field.p == NULL ? -1 : (int64_t)field.n);
	if (field.n > 0)
		memcpy(p, field.p, field.n);
	return p + field.n;
}

/* The size of key, value and headers as encoded. Slices in memory cannot add up to an overflow. */
static size_t body_size(const struct record *r)
{
	if (r->body.p != NULL)
		return r->body.n;
	return field_size(r->key) + field_size(r->value) + varint_size(r->headers_n) + r->headers.n;
}

static void body_put(uint8_t *p, const struct record *r)
{
	if (r->body.p != NULL) {
		memcpy(p, r->body.p, r->body.n);
		return;
	}
	p = field_put(p, r->key);
	p = field_put(p, r->value);
	p = varint_put_64(p, r->headers_n);
	if (r->headers.n > 0)
		memcpy(p, r->headers.p, r->headers.n);
}

enum err batch_builder_add(struct batch_builder *b, const struct record *r)
{
	/* Wraps as in Java, and back in the reader. */
	int64_t delta = (int64_t)((uint64_t)r->timestamp - (uint64_t)b->first_timestamp);
	delta = b->count == 0 ? 0 : delta;
	size_t length = 1 + varint_size(delta) + varint_size(b->count) + body_size(r);
	size_t cost = varint_size((int64_t)length) + length;
	size_t max = b->count == 0 || b->aim > b->payload.max ? b->payload.max : b->aim;

	if (b->payload.err != ERR_OK)
		return b->payload.err;
	if (b->payload.len > max || cost > max - b->payload.len || b->count == INT32_MAX)
		return ERR_LIMIT;
	uint8_t *p = buf_extend(&b->payload, cost);
	if (p == NULL)
		return b->payload.err;
	p = varint_put_64(p, (int64_t)length);
	*p++ = 0; /* attributes: none are defined */
	p = varint_put_64(p, delta);
	p = varint_put_64(p, b->count);
	body_put(p, r);
	if (b->count == 0 || r->timestamp > b->max_timestamp)
		b->max_timestamp = r->timestamp;
	if (b->count == 0)
		b->first_timestamp = r->timestamp;
	b->count++;
	return ERR_OK;
}

enum err batch_builder_encode(const struct batch_builder *b, struct buf *out)
{
	size_t start = out->len;

	assert(b->count > 0);
	if (buf_extend(out, BATCH_HEAD) == NULL)
		return out->err;
	enum err e = codec_compress(b->codec, buf_bytes(&b->payload), out);
	if (e == ERR_OK && out->len - start - BATCH_HEAD > BATCH_PAYLOAD_MAX)
		e = ERR_LIMIT;
	if (e != ERR_OK) {
		out->len = start;
		return e;
	}
	struct batch_head h = {
		.leader_epoch = -1,
		.attributes = (int16_t)b->codec,
		.last_offset_delta = b->count - 1,
		.base_timestamp = b->first_timestamp,
		.max_timestamp = b->max_timestamp,
		.producer_id = -1,
		.producer_epoch = -1,
		.base_sequence = -1,
		.count = b->count,
	};
	batch_head_seal(out->p + start, out->len - start - BATCH_HEAD, &h);
	return ERR_OK;
}

enum err batch_builder_finish(struct batch_builder *b, struct buf *out)
{
	enum err e = batch_builder_encode(b, out);

	batch_builder_clear(b);
	return e;
}
