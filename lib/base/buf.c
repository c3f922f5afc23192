/* SPDX-License-Identifier: Apache-2.0 */
/* Growth doubles, never past max; invariant: len <= cap <= max. One byte more than `cap` is
 * allocated: room for the NUL that vsnprintf writes. */
#include "lib/base/buf.h"

#include <stdio.h>

#include "lib/base/mem.h"

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){.max = max};
}

void buf_fini(struct buf *b)
{
	mem_free(b->p);
	*b = (struct buf){.max = b->max};
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	b->err = ERR_OK;
}

static bool buf_reserve(struct buf *b, size_t n)
{
	if (b->err != ERR_OK)
		return false;
	if (n <= b->cap - b->len)
		return true;
	if (n > b->max - b->len) {
		b->err = ERR_LIMIT;
		return false;
	}
	size_t cap = b->cap < 64 ? 64 : b->cap;
	while (cap < b->len + n && cap <= b->max / 2)
		cap *= 2;
	if (cap < b->len + n || cap > b->max)
		cap = b->max;
	uint8_t *p = cap == SIZE_MAX ? NULL : mem_resize(b->p, cap + 1, 1);
	if (p == NULL) {
		b->err = ERR_NOMEM;
		return false;
	}
	b->p = p;
	b->cap = cap;
	return true;
}

uint8_t *buf_extend(struct buf *b, size_t n)
{
	if (!buf_reserve(b, n))
		return NULL;
	uint8_t *at = b->p + b->len;
	b->len += n;
	return at;
}

void buf_put(struct buf *b, const void *p, size_t n)
{
	if (n == 0)
		return;
	uint8_t *at = buf_extend(b, n);
	if (at != NULL)
		memcpy(at, p, n);
}

void buf_put_u8(struct buf *b, uint8_t v)
{
	buf_put(b, &v, 1);
}

void buf_put_be16(struct buf *b, uint16_t v)
{
	uint8_t *at = buf_extend(b, 2);
	if (at != NULL)
		be16_put(at, v);
}

void buf_put_be32(struct buf *b, uint32_t v)
{
	uint8_t *at = buf_extend(b, 4);
	if (at != NULL)
		be32_put(at, v);
}

void buf_put_be64(struct buf *b, uint64_t v)
{
	uint8_t *at = buf_extend(b, 8);
	if (at != NULL)
		be64_put(at, v);
}

void buf_put_str(struct buf *b, const char *s)
{
	buf_put(b, s, strlen(s));
}

void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	va_list twice;
	va_copy(twice, ap);
	int n = vsnprintf(NULL, 0, fmt, twice);
	va_end(twice);
	if (n < 0) {
		b->err = ERR_MALFORMED;
		return;
	}
	uint8_t *at = buf_extend(b, (size_t)n);
	if (at != NULL)
		vsnprintf((char *)at, (size_t)n + 1, fmt, ap);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	buf_vprintf(b, fmt, ap);
	va_end(ap);
}
