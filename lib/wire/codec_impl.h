/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the codecs: one loop that decompresses a stream into a bounded buffer, and what each
 * library plugs into it. Not for use outside lib/wire/codec*.c and records*.
 */
#ifndef FARSHORE_WIRE_CODEC_IMPL_H
#define FARSHORE_WIRE_CODEC_IMPL_H

#include "lib/wire/records.h"

/* Input not yet read and output not yet written; a step advances both. */
struct codec_io {
	const uint8_t *in;
	size_t in_n;
	uint8_t *out;
	size_t out_n;
};

/* Compressors work in pieces, so that a buffer's maximum has to fit the result and not the worst
 * case of the whole input. */
enum { CODEC_PIECE = 64 * 1024 };

enum codec_step {
	CODEC_STEP_MORE, /* wants more input or more room */
	CODEC_STEP_END,  /* a frame is complete; what follows, if allowed, is another one */
	CODEC_STEP_BAD   /* not a stream of this codec; the text is set */
};

struct codec_stream {
	void *state;
	enum codec_step (*step)(void *state, struct codec_io *io, const char **fault);
	bool concatenated; /* frames may follow frames */
};

/* Decompression contexts, made when first needed and used again: for many small batches they would
 * cost more than the work itself. Zero-initialise; codec_scratch_fini frees. */
struct codec_scratch {
	void *gzip;
	void *lz4;
	void *zstd;
};

/* codec_decompress with contexts that stay. */
enum err codec_decompress_with(struct codec_scratch *scratch, enum batch_codec codec, int8_t magic,
			       struct bytes in, struct buf *out, struct errmsg *why) ERR_MUST_USE;
void codec_scratch_fini(struct codec_scratch *s);

/* Run the steps over `in`, appending to `out`, at most out->max bytes. */
enum err codec_stream_run(const struct codec_stream *s, struct bytes in, struct buf *out,
			  struct errmsg *why) ERR_MUST_USE;

/* Room for what a compressor writes next: as buf_extend, but takes less than CODEC_PIECE if `out`
 * is nearly full; NULL with ERR_LIMIT if it is full. `*n` is how much. */
uint8_t *codec_room(struct buf *out, size_t *n);

/* Give back the unused end of what buf_extend just gave. */
static inline void codec_give_back(struct buf *out, size_t unused)
{
	out->len -= unused;
}

/* Level 0 is the default. The decompressors make `*context` if it is NULL, and leave it fit for the
 * next call after any outcome. The free functions take NULL. */
enum err codec_gzip_compress(int level, struct bytes in, struct buf *out) ERR_MUST_USE;
enum err codec_gzip_decompress(void **context, struct bytes in, struct buf *out,
			       struct errmsg *why) ERR_MUST_USE;
void codec_gzip_free(void *context);
enum err codec_snappy_compress(struct bytes in, struct buf *out) ERR_MUST_USE;
enum err codec_snappy_decompress(struct bytes in, struct buf *out, struct errmsg *why) ERR_MUST_USE;
enum err codec_lz4_compress(int level, struct bytes in, struct buf *out) ERR_MUST_USE;
enum err codec_lz4_decompress(void **context, int8_t magic, struct bytes in, struct buf *out,
			      struct errmsg *why) ERR_MUST_USE;
void codec_lz4_free(void *context);
enum err codec_zstd_compress(int level, struct bytes in, struct buf *out) ERR_MUST_USE;
enum err codec_zstd_decompress(void **context, struct bytes in, struct buf *out,
			       struct errmsg *why) ERR_MUST_USE;
void codec_zstd_free(void *context);

#endif
