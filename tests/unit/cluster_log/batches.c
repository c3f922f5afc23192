/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/cluster_log/batches.h"

#include <assert.h>
#include <stdio.h>

#include "lib/wire/records.h"
#include "lib/wire/varint.h"

struct batch_head batches_head(void)
{
	return (struct batch_head){
		.leader_epoch = -1,
		.base_timestamp = 1000,
		.producer_id = -1,
		.producer_epoch = -1,
		.base_sequence = -1,
	};
}

static void varint(struct buf *b, int64_t v)
{
	uint8_t room[VARINT_MAX_64];

	buf_put(b, room, (size_t)(varint_put_64(room, v) - room));
}

static void field(struct buf *b, const char *s)
{
	varint(b, s == NULL ? -1 : (int64_t)strlen(s));
	if (s != NULL)
		buf_put(b, s, strlen(s));
}

static void record(struct buf *out, const struct batch_head *h, const struct batches_record *r)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	buf_put_u8(&b, 0);
	varint(&b, (int64_t)((uint64_t)r->timestamp - (uint64_t)h->base_timestamp));
	varint(&b, r->offset_delta);
	field(&b, r->key);
	field(&b, r->value);
	varint(&b, 0);
	varint(out, (int64_t)b.len);
	buf_put(out, b.p, b.len);
	buf_fini(&b);
}

struct bytes batches_make(struct buf *out, struct batch_head *h, const struct batches_record *v,
			  size_t n)
{
	struct buf plain;
	size_t start = out->len;

	buf_init(&plain, 1 << 24);
	h->max_timestamp = -1;
	h->last_offset_delta = 0;
	h->count = (int32_t)n;
	for (size_t i = 0; i < n; i++) {
		record(&plain, h, &v[i]);
		if (v[i].timestamp > h->max_timestamp)
			h->max_timestamp = v[i].timestamp;
		if (v[i].offset_delta > h->last_offset_delta)
			h->last_offset_delta = v[i].offset_delta;
	}
	buf_extend(out, BATCH_HEAD);
	enum err e = codec_compress(batch_codec(h), buf_bytes(&plain), out);
	assert(e == ERR_OK);
	buf_fini(&plain);
	batch_head_seal(out->p + start, out->len - start - BATCH_HEAD, h);
	return bytes_of(out->p + start, out->len - start);
}

struct bytes batches_plain(struct buf *out, struct batch_head *h, int32_t n)
{
	enum { MAX = 64 };
	static const char value[] = "a value that is long enough to be worth compressing";
	char keys[MAX][16];
	struct batches_record v[MAX];

	assert(n <= MAX);
	for (int32_t i = 0; i < n; i++) {
		snprintf(keys[i], sizeof keys[i], "key-%d", (int)i);
		v[i] = (struct batches_record){keys[i], value, h->base_timestamp + i, i};
	}
	return batches_make(out, h, v, (size_t)n);
}

void batches_stamp(struct bytes whole, const struct batch_head *h)
{
	batch_head_seal((uint8_t *)whole.p, whole.n - BATCH_HEAD, h);
}

void batches_seal(struct bytes whole)
{
	struct batch_head h;

	batch_head_get(whole.p, &h);
	batches_stamp(whole, &h);
}
