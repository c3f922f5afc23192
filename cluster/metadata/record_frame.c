/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of metadata records; see record_frame.h. */
#include "cluster/metadata/record_frame.h"

#include "lib/wire/records.h"
#include "lib/wire/wire.h"

/* An unsigned varint of at most 32 bits; false when there is none
 * (ByteUtils.readUnsignedVarint). */
static bool uvarint_get(struct bytes *in, uint32_t *out)
{
	uint32_t v = 0;

	for (unsigned shift = 0; shift < 35; shift += 7) {
		if (in->n == 0)
			return false;
		uint8_t b = *in->p;
		in->p++;
		in->n--;
		if (shift == 28 && b > 0x0f)
			return false;
		v |= (uint32_t)(b & 0x7f) << shift;
		if (b < 0x80) {
			*out = v;
			return true;
		}
	}
	return false;
}

static void uvarint_put(struct buf *b, uint32_t v)
{
	for (; v >= 0x80; v >>= 7)
		buf_put_u8(b, (uint8_t)(v | 0x80));
	buf_put_u8(b, (uint8_t)v);
}

enum err record_frame_get(struct bytes value, struct record_frame *out, struct errmsg *why)
{
	uint32_t frame = 0, type = 0, version = 0;

	if (value.p == NULL || !uvarint_get(&value, &frame))
		return errmsg_set(why, ERR_MALFORMED, "the record is empty");
	if (frame != RECORD_FRAME_VERSION)
		return errmsg_set(why, ERR_UNSUPPORTED, "frame version %u; this version knows %d",
				  frame, RECORD_FRAME_VERSION);
	if (!uvarint_get(&value, &type) || !uvarint_get(&value, &version) || version > INT16_MAX)
		return errmsg_set(why, ERR_MALFORMED, "the record's frame is damaged");
	*out = (struct record_frame){.type = type, .version = (int16_t)version, .payload = value};
	return ERR_OK;
}

/* Encode one record into `out`, which is empty. */
static enum err frame_put(const struct metadata_record *r, struct wire_out *out, struct errmsg *why)
{
	uvarint_put(&out->buf, RECORD_FRAME_VERSION);
	uvarint_put(&out->buf, (uint32_t)r->message->record_type);
	uvarint_put(&out->buf, (uint32_t)r->version);
	return wire_encode(r->message, r->version, r->body, out, why);
}

enum err record_frame_batch(const struct metadata_record *records, size_t n, int64_t now_ms,
			    struct buf *out, struct errmsg *why)
{
	struct batch_builder builder;
	struct wire_out one;
	enum err e = ERR_OK;

	batch_builder_init(&builder, CODEC_NONE, RECORD_FRAME_BATCH_MAX);
	wire_out_init(&one, RECORD_FRAME_BATCH_MAX, 0);
	for (size_t i = 0; i < n && e == ERR_OK; i++) {
		buf_clear(&one.buf);
		e = frame_put(&records[i], &one, why);
		if (e == ERR_OK)
			e = one.buf.err;
		if (e != ERR_OK) {
			errmsg_wrap(why, e, "%s", records[i].message->name);
			break;
		}
		e = batch_builder_add(&builder, &(struct record){.timestamp = now_ms,
								 .value = buf_bytes(&one.buf)});
	}
	if (e == ERR_OK)
		e = batch_builder_finish(&builder, out);
	if (e == ERR_LIMIT)
		errmsg_set(why, e, "the change is larger than %d bytes", RECORD_FRAME_BATCH_MAX);
	wire_out_fini(&one);
	batch_builder_fini(&builder);
	return e;
}
