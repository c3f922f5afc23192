/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lz4 frames (lz4_Frame_format.md). Kafka's readers take one frame and independent blocks of up to
 * 4 MiB; so do we, and take dependent blocks too.
 *
 * Writers of magic 0 computed the head's checksum over the wrong bytes, and readers of magic 0
 * ignore it ever since (KAFKA-3160). The library does not, so such a head is read from a copy that
 * has the right one.
 */
#include <lz4frame.h>

#include "lib/wire/codec_impl.h"

enum {
	LZ4_HEAD_MIN = 7, /* magic 4, FLG 1, BD 1, checksum 1 */
	LZ4_HEAD_MAX = 19,
	LZ4_FLG_CONTENT_SIZE = 0x08, /* 8 more bytes */
	LZ4_FLG_DICT_ID = 0x01,      /* 4 more bytes */
	KAFKA_DEFAULT_LEVEL = 9      /* Lz4Compression.java */
};

struct lz4_reader {
	LZ4F_dctx *dctx;
	uint8_t head[LZ4_HEAD_MAX]; /* read in place of the input's first head_n bytes */
	size_t head_n;
	size_t head_at;
};

static uint32_t lz4_rotate(uint32_t v, unsigned by)
{
	return v << by | v >> (32 - by);
}

/* XXH32 with seed 0 of less than 16 bytes, little-endian (xxhash specification, steps 1 "short",
 * 5, 6 and 7). */
static uint32_t lz4_xxh32_short(const uint8_t *p, size_t n)
{
	const uint32_t prime1 = 0x9e3779b1, prime2 = 0x85ebca77, prime3 = 0xc2b2ae3d,
		       prime4 = 0x27d4eb2f, prime5 = 0x165667b1;
	uint32_t h = prime5 + (uint32_t)n;

	for (; n >= 4; p += 4, n -= 4) {
		uint32_t word = __builtin_bswap32(be32_get(p));
		h = lz4_rotate(h + word * prime3, 17) * prime4;
	}
	for (; n > 0; p++, n--)
		h = lz4_rotate(h + *p * prime5, 11) * prime1;
	h = (h ^ h >> 15) * prime2;
	h = (h ^ h >> 13) * prime3;
	return h ^ h >> 16;
}

/* Prepare the corrected copy of the head. A head that is cut off or of no known form is left to the
 * library to refuse. */
static void lz4_reader_mend(struct lz4_reader *r, struct bytes in)
{
	if (in.n < LZ4_HEAD_MIN)
		return;
	size_t n = LZ4_HEAD_MIN;
	n += (in.p[4] & LZ4_FLG_CONTENT_SIZE) != 0 ? 8 : 0;
	n += (in.p[4] & LZ4_FLG_DICT_ID) != 0 ? 4 : 0;
	if (n > in.n)
		return;
	memcpy(r->head, in.p, n);
	r->head[n - 1] = (uint8_t)(lz4_xxh32_short(r->head + 4, n - 5) >> 8);
	r->head_n = n;
}

static enum codec_step lz4_step(void *state, struct codec_io *io, const char **fault)
{
	struct lz4_reader *r = state;
	bool in_head = r->head_at < r->head_n;
	size_t in_n = in_head ? r->head_n - r->head_at : io->in_n;
	size_t out_n = io->out_n;
	size_t rc = LZ4F_decompress(r->dctx, io->out, &out_n,
				    in_head ? r->head + r->head_at : io->in, &in_n, NULL);

	if (LZ4F_isError(rc)) {
		*fault = LZ4F_getErrorName(rc);
		return CODEC_STEP_BAD;
	}
	if (in_head)
		r->head_at += in_n;
	io->in += in_n;
	io->in_n -= in_n;
	io->out_n -= out_n;
	return rc == 0 ? CODEC_STEP_END : CODEC_STEP_MORE;
}

enum err codec_lz4_decompress(void **context, int8_t magic, struct bytes in, struct buf *out,
			      struct errmsg *why)
{
	struct lz4_reader r = {.dctx = *context};

	if (r.dctx == NULL && LZ4F_isError(LZ4F_createDecompressionContext(&r.dctx, LZ4F_VERSION)))
		return errmsg_set(why, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	*context = r.dctx;
	LZ4F_resetDecompressionContext(r.dctx);
	if (magic == 0)
		lz4_reader_mend(&r, in);
	struct codec_stream s = {.state = &r, .step = lz4_step, .concatenated = false};
	return codec_stream_run(&s, in, out, why);
}

void codec_lz4_free(void *context)
{
	LZ4F_freeDecompressionContext(context);
}

/* The frame's head, its blocks, its end mark. The result of a call, or an error's code. */
static size_t lz4_frame_put(LZ4F_cctx *c, const LZ4F_preferences_t *prefs, struct bytes in,
			    struct buf *out)
{
	uint8_t *p = buf_extend(out, LZ4F_HEADER_SIZE_MAX);
	size_t n = p == NULL ? 0 : LZ4F_compressBegin(c, p, LZ4F_HEADER_SIZE_MAX, prefs);

	if (p == NULL || LZ4F_isError(n))
		return n;
	codec_give_back(out, LZ4F_HEADER_SIZE_MAX - n);
	for (size_t at = 0; at < in.n; at += CODEC_PIECE) {
		size_t piece = in.n - at < CODEC_PIECE ? in.n - at : CODEC_PIECE;
		size_t bound = LZ4F_compressBound(piece, prefs);
		p = buf_extend(out, bound);
		n = p == NULL ? 0 : LZ4F_compressUpdate(c, p, bound, in.p + at, piece, NULL);
		if (p == NULL || LZ4F_isError(n))
			return n;
		codec_give_back(out, bound - n);
	}
	size_t bound = LZ4F_compressBound(0, prefs);
	p = buf_extend(out, bound);
	n = p == NULL ? 0 : LZ4F_compressEnd(c, p, bound, NULL);
	if (p != NULL && !LZ4F_isError(n))
		codec_give_back(out, bound - n);
	return n;
}

enum err codec_lz4_compress(int level, struct bytes in, struct buf *out)
{
	/* KafkaLZ4BlockOutputStream.java: 64 KiB, independent blocks, no checksums; its default
	 * level, 9, is the fast compressor. */
	const LZ4F_preferences_t prefs = {
		.frameInfo = {.blockSizeID = LZ4F_max64KB, .blockMode = LZ4F_blockIndependent},
		.compressionLevel = level == KAFKA_DEFAULT_LEVEL ? 0 : level,
		.autoFlush = 1,
	};
	LZ4F_cctx *c;

	if (LZ4F_isError(LZ4F_createCompressionContext(&c, LZ4F_VERSION)))
		return ERR_NOMEM;
	size_t n = lz4_frame_put(c, &prefs, in, out);
	LZ4F_freeCompressionContext(c);
	/* With enough room for the result, memory is all that can fail. */
	if (LZ4F_isError(n))
		return ERR_NOMEM;
	return out->err;
}
