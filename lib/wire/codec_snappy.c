/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snappy, which came to Kafka in the frame of the Java library "xerial":
 *
 * OFFSET SIZE
 *      0    8  82 53 4e 41 50 50 59 00
 *      8    4  version, 1
 *     12    4  least compatible version, 1
 *     16       blocks: 4 bytes of length (big-endian), then that many bytes of raw snappy
 *
 * A frame may start again between two blocks. Some clients send one raw block without a frame;
 * readers must take both.
 */
#include <snappy-c.h>

#include "lib/wire/codec_impl.h"

enum {
	XERIAL_HEAD = 16,
	XERIAL_BLOCK = 32 * 1024, /* what Kafka's producers use (SnappyCompression.java) */
	SNAPPY_RATIO_MAX = 22     /* a copy of 3 bytes gives 64 at most: more cannot be true */
};

static const uint8_t xerial_head[XERIAL_HEAD] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0,
						 0,    0,   0,   1,   0,   0,   0,   1};

/* Only the first 8 bytes are looked at, as in SnappyInputStream.java. */
static bool xerial_starts(struct bytes in)
{
	return in.n >= XERIAL_HEAD && memcmp(in.p, xerial_head, 8) == 0;
}

static enum err snappy_block(struct bytes in, struct buf *out, struct errmsg *why)
{
	const char *p = (const char *)in.p;
	size_t n = 0;

	if (snappy_uncompressed_length(p, in.n, &n) != SNAPPY_OK || n / SNAPPY_RATIO_MAX > in.n)
		return errmsg_set(why, ERR_MALFORMED, "a block's length cannot be true");
	if (n > out->max - out->len)
		return errmsg_set(why, ERR_LIMIT, "decompresses to more than %zu bytes", out->max);
	/* A block of nothing still has to be read, and needs some place to write to. */
	uint8_t nothing;
	uint8_t *to = n > 0 ? buf_extend(out, n) : &nothing;
	if (to == NULL)
		return errmsg_set(why, out->err, "%s", err_text(out->err));
	if (snappy_uncompress(p, in.n, (char *)to, &n) != SNAPPY_OK) {
		codec_give_back(out, n);
		return errmsg_set(why, ERR_MALFORMED, "a block is broken");
	}
	return ERR_OK;
}

enum err codec_snappy_decompress(struct bytes in, struct buf *out, struct errmsg *why)
{
	enum err e = ERR_OK;

	if (!xerial_starts(in))
		return snappy_block(in, out, why);
	while (in.n > 0 && e == ERR_OK) {
		if (xerial_starts(in)) {
			in = bytes_of(in.p + XERIAL_HEAD, in.n - XERIAL_HEAD);
			continue;
		}
		size_t n = in.n < 4 ? 0 : be32_get(in.p);
		if (in.n < 4 || n > in.n - 4)
			return errmsg_set(why, ERR_MALFORMED, "cut off");
		e = snappy_block(bytes_of(in.p + 4, n), out, why);
		in = bytes_of(in.p + 4 + n, in.n - 4 - n);
	}
	return e;
}

enum err codec_snappy_compress(struct bytes in, struct buf *out)
{
	buf_put(out, xerial_head, sizeof xerial_head);
	for (size_t at = 0; at < in.n; at += XERIAL_BLOCK) {
		size_t n = in.n - at < XERIAL_BLOCK ? in.n - at : XERIAL_BLOCK;
		size_t bound = snappy_max_compressed_length(n), used = bound;
		uint8_t *p = buf_extend(out, 4 + bound);
		if (p == NULL)
			return out->err;
		/* It fails only for lack of room. */
		if (snappy_compress((const char *)in.p + at, n, (char *)p + 4, &used) != SNAPPY_OK)
			return ERR_LIMIT;
		be32_put(p, (uint32_t)used);
		codec_give_back(out, bound - used);
	}
	return out->err;
}
