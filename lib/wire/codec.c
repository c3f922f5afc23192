/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The choice of a codec, and the loop that all stream decompressors share.
 *
 * Invariant: the buffer never holds more than its max, and it grows with what came out, not with
 * what a frame's head promises. A full buffer is told from a finished stream by one spare byte: a
 * decompressor that writes into it had more to give.
 */
#include "lib/wire/codec_impl.h"

enum { CODEC_ROOM_MIN = 16 * 1024 };

enum err codec_stream_run(const struct codec_stream *s, struct bytes in, struct buf *out,
			  struct errmsg *why)
{
	struct codec_io io = {.in = in.p, .in_n = in.n};
	const char *fault = "broken";

	for (;;) {
		uint8_t spare;
		size_t left = out->max - out->len;
		size_t room = out->len > CODEC_ROOM_MIN ? out->len : CODEC_ROOM_MIN;
		room = room < left ? room : left;
		io.out = room > 0 ? buf_extend(out, room) : &spare;
		if (io.out == NULL)
			return errmsg_set(why, out->err, "%s", err_text(out->err));
		io.out_n = room > 0 ? room : 1;

		size_t in_before = io.in_n, out_before = io.out_n;
		enum codec_step step = s->step(s->state, &io, &fault);
		size_t written = out_before - io.out_n;
		if (room > 0)
			codec_give_back(out, io.out_n);
		else if (written > 0)
			return errmsg_set(why, ERR_LIMIT, "decompresses to more than %zu bytes",
					  out->max);
		if (step == CODEC_STEP_BAD)
			return errmsg_set(why, ERR_MALFORMED, "%s", fault);
		if (step == CODEC_STEP_END && io.in_n == 0)
			return ERR_OK;
		if (step == CODEC_STEP_END && !s->concatenated)
			return errmsg_set(why, ERR_MALFORMED, "%zu bytes after the end", io.in_n);
		if (step == CODEC_STEP_MORE && io.in_n == in_before && written == 0)
			return errmsg_set(why, ERR_MALFORMED, "cut off");
	}
}

uint8_t *codec_room(struct buf *out, size_t *n)
{
	size_t left = out->max - out->len;

	*n = left == 0 || left > CODEC_PIECE ? CODEC_PIECE : left;
	return buf_extend(out, *n);
}

static enum err codec_none_copy(struct bytes in, struct buf *out, struct errmsg *why)
{
	buf_put(out, in.p, in.n);
	return out->err == ERR_OK ? ERR_OK : errmsg_set(why, out->err, "%s", err_text(out->err));
}

enum err codec_compress(enum batch_codec codec, struct bytes in, struct buf *out)
{
	return codec_compress_at(codec, 0, in, out);
}

enum err codec_compress_at(enum batch_codec codec, int level, struct bytes in, struct buf *out)
{
	if (out->err != ERR_OK)
		return out->err;
	switch (codec) {
	case CODEC_NONE:
		return codec_none_copy(in, out, NULL);
	case CODEC_GZIP:
		return codec_gzip_compress(level, in, out);
	case CODEC_SNAPPY:
		return codec_snappy_compress(in, out);
	case CODEC_LZ4:
		return codec_lz4_compress(level, in, out);
	case CODEC_ZSTD:
		return codec_zstd_compress(level, in, out);
	}
	return ERR_UNSUPPORTED;
}

enum err codec_decompress_with(struct codec_scratch *scratch, enum batch_codec codec, int8_t magic,
			       struct bytes in, struct buf *out, struct errmsg *why)
{
	enum err e = ERR_UNSUPPORTED;

	if (out->err != ERR_OK)
		return errmsg_set(why, out->err, "%s", err_text(out->err));
	if (in.p == NULL)
		in = bytes_str(""); /* no arithmetic on null below */
	switch (codec) {
	case CODEC_NONE:
		return codec_none_copy(in, out, why);
	case CODEC_GZIP:
		e = codec_gzip_decompress(&scratch->gzip, in, out, why);
		return e == ERR_OK ? ERR_OK : errmsg_wrap(why, e, "gzip");
	case CODEC_SNAPPY:
		e = codec_snappy_decompress(in, out, why);
		return e == ERR_OK ? ERR_OK : errmsg_wrap(why, e, "snappy");
	case CODEC_LZ4:
		e = codec_lz4_decompress(&scratch->lz4, magic, in, out, why);
		return e == ERR_OK ? ERR_OK : errmsg_wrap(why, e, "lz4");
	case CODEC_ZSTD:
		e = codec_zstd_decompress(&scratch->zstd, in, out, why);
		return e == ERR_OK ? ERR_OK : errmsg_wrap(why, e, "zstd");
	}
	return errmsg_set(why, e, "compression codec %d is not known", (int)codec);
}

void codec_scratch_fini(struct codec_scratch *s)
{
	codec_gzip_free(s->gzip);
	codec_lz4_free(s->lz4);
	codec_zstd_free(s->zstd);
	*s = (struct codec_scratch){0};
}

enum err codec_decompress(enum batch_codec codec, int8_t magic, struct bytes in, struct buf *out,
			  struct errmsg *why)
{
	struct codec_scratch scratch = {0};
	enum err e = codec_decompress_with(&scratch, codec, magic, in, out, why);

	codec_scratch_fini(&scratch);
	return e;
}
