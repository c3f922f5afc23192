/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zstd. Frames may follow frames. The window of a frame is capped at 2^27 bytes, the library's own
 * default and what Kafka's readers take; its memory is touched only as far as output fills it.
 * Compression is at the library's default level, as Kafka's, unless one is asked for.
 */
#include <zstd.h>

#include "lib/wire/codec_impl.h"

enum { ZSTD_WINDOW_LOG_CAP = 27 };

static enum codec_step zstd_step(void *state, struct codec_io *io, const char **fault)
{
	ZSTD_inBuffer in = {.src = io->in, .size = io->in_n};
	ZSTD_outBuffer out = {.dst = io->out, .size = io->out_n};
	size_t rc = ZSTD_decompressStream(state, &out, &in);

	io->in += in.pos;
	io->in_n -= in.pos;
	io->out_n -= out.pos;
	if (ZSTD_isError(rc)) {
		*fault = ZSTD_getErrorName(rc);
		return CODEC_STEP_BAD;
	}
	return rc == 0 ? CODEC_STEP_END : CODEC_STEP_MORE;
}

enum err codec_zstd_decompress(void **context, struct bytes in, struct buf *out, struct errmsg *why)
{
	if (*context == NULL)
		*context = ZSTD_createDCtx();
	/* The first call on a new context, too, starts a session. */
	if (*context == NULL || ZSTD_isError(ZSTD_DCtx_reset(*context, ZSTD_reset_session_only)) ||
	    ZSTD_isError(
		    ZSTD_DCtx_setParameter(*context, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_CAP)))
		return errmsg_set(why, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	struct codec_stream s = {.state = *context, .step = zstd_step, .concatenated = true};
	return codec_stream_run(&s, in, out, why);
}

void codec_zstd_free(void *context)
{
	ZSTD_freeDCtx(context);
}

enum err codec_zstd_compress(int level, struct bytes in, struct buf *out)
{
	ZSTD_CCtx *c = ZSTD_createCCtx();
	ZSTD_inBuffer from = {.src = in.p, .size = in.n};
	size_t left = 1;

	if (c == NULL)
		return ERR_NOMEM;
	(void)ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, level); /* is bounded there */
	/* All input is there at the first call, which makes its size part of the frame's head. With
	 * room for output, memory is all that can fail. */
	while (left > 0 && !ZSTD_isError(left)) {
		size_t room;
		ZSTD_outBuffer to = {.dst = codec_room(out, &room)};
		if (to.dst == NULL)
			break;
		to.size = room;
		left = ZSTD_compressStream2(c, &to, &from, ZSTD_e_end);
		codec_give_back(out, room - to.pos);
	}
	ZSTD_freeCCtx(c);
	if (ZSTD_isError(left))
		return ERR_NOMEM;
	return out->err;
}
