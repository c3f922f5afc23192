/* SPDX-License-Identifier: Apache-2.0 */
/* gzip by zlib. Several members in a row are one stream, as for java.util.zip.GZIPInputStream. */
#include <limits.h>

#define ZLIB_CONST
#include <zlib.h>

#include "lib/base/mem.h"
#include "lib/wire/codec_impl.h"

/* 15 bits of window, the largest there is; +16 chooses the gzip frame and no other. */
enum { GZIP_WINDOW_BITS = 15 + 16, GZIP_MEM_LEVEL = 8 };

static uInt gzip_clamp(size_t n)
{
	return n < UINT_MAX ? (uInt)n : UINT_MAX;
}

static enum codec_step gzip_step(void *state, struct codec_io *io, const char **fault)
{
	z_stream *z = state;
	uInt in_n = gzip_clamp(io->in_n), out_n = gzip_clamp(io->out_n);

	z->next_in = io->in;
	z->avail_in = in_n;
	z->next_out = io->out;
	z->avail_out = out_n;
	int rc = inflate(z, Z_NO_FLUSH);
	io->in += in_n - z->avail_in;
	io->in_n -= in_n - z->avail_in;
	io->out_n -= out_n - z->avail_out;
	switch (rc) {
	case Z_STREAM_END:
		inflateReset(z);
		return CODEC_STEP_END;
	case Z_OK:
	case Z_BUF_ERROR:
		return CODEC_STEP_MORE;
	default:
		*fault = z->msg != NULL ? z->msg : "broken";
		return CODEC_STEP_BAD;
	}
}

static z_stream *gzip_new(void)
{
	z_stream *z = mem_zalloc(1, sizeof *z);

	if (z == NULL)
		return NULL;
	if (inflateInit2(z, GZIP_WINDOW_BITS) != Z_OK) {
		mem_free(z);
		return NULL;
	}
	return z;
}

enum err codec_gzip_decompress(void **context, struct bytes in, struct buf *out, struct errmsg *why)
{
	if (*context == NULL)
		*context = gzip_new();
	if (*context == NULL || inflateReset(*context) != Z_OK)
		return errmsg_set(why, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	struct codec_stream s = {.state = *context, .step = gzip_step, .concatenated = true};
	return codec_stream_run(&s, in, out, why);
}

void codec_gzip_free(void *context)
{
	if (context == NULL)
		return;
	inflateEnd(context);
	mem_free(context);
}

enum err codec_gzip_compress(int level, struct bytes in, struct buf *out)
{
	z_stream z = {.zalloc = Z_NULL};
	int rc = Z_OK;

	if (in.n > UINT_MAX)
		return ERR_LIMIT;
	if (deflateInit2(&z, level == 0 ? Z_DEFAULT_COMPRESSION : level, Z_DEFLATED,
			 GZIP_WINDOW_BITS, GZIP_MEM_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
		return ERR_NOMEM;
	z.next_in = in.p;
	z.avail_in = (uInt)in.n;
	/* With room for output it cannot fail, and ends when all is written. */
	while (rc == Z_OK) {
		size_t room;
		z.next_out = codec_room(out, &room);
		if (z.next_out == NULL)
			break;
		z.avail_out = (uInt)room;
		rc = deflate(&z, Z_FINISH);
		codec_give_back(out, z.avail_out);
	}
	deflateEnd(&z);
	return out->err;
}
