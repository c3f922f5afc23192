/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing byte buffer with a maximum and a sticky error: writers append without checking, and
 * look at `b->err` once at the end. After the first error (ERR_NOMEM, or ERR_LIMIT when `max` would
 * be passed) every append does nothing.
 */
#ifndef FARSHORE_BASE_BUF_H
#define FARSHORE_BASE_BUF_H

#include <stdarg.h>

#include "lib/base/bytes.h"
#include "lib/base/err.h"

struct buf {
	uint8_t *p;
	size_t len;
	size_t cap;
	size_t max; /* bytes; never grows past this */
	enum err err;
};

/* An empty buffer that may hold up to `max` bytes. Allocates nothing yet. */
void buf_init(struct buf *b, size_t max);

/* Free the memory; the buffer may be initialised again. */
void buf_fini(struct buf *b);

/* Forget content and error, keep the memory. */
void buf_clear(struct buf *b);

/* Room for `n` more bytes at the end, counted as content; NULL after an error. */
uint8_t *buf_extend(struct buf *b, size_t n);

void buf_put(struct buf *b, const void *p, size_t n);
void buf_put_u8(struct buf *b, uint8_t v);
void buf_put_be16(struct buf *b, uint16_t v);
void buf_put_be32(struct buf *b, uint32_t v);
void buf_put_be64(struct buf *b, uint64_t v);
void buf_put_str(struct buf *b, const char *s);

/* Append formatted text, without the NUL. */
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

/* The content as a slice, valid until the next append. */
static inline struct bytes buf_bytes(const struct buf *b)
{
	return (struct bytes){.p = b->p, .n = b->len};
}

#endif
