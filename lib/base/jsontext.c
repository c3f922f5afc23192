/* SPDX-License-Identifier: Apache-2.0 */
/* jansson takes nothing but UTF-8, and writes to a callback. */
#include "lib/base/jsontext.h"

const char *jsontext_clean(const char *text, char out[JSONTEXT_MAX])
{
	struct bytes in = bytes_str(text);
	size_t at = 0, to = 0;
	while (at < in.n) {
		size_t n = bytes_utf8(in, at);
		size_t wide = n == 0 ? 1 : n;
		if (wide > JSONTEXT_MAX - 1 - to)
			break;
		if (n == 0)
			out[to] = '?';
		else
			memcpy(out + to, text + at, n);
		to += wide;
		at += wide;
	}
	out[to] = '\0';
	return out;
}

static int put(const char *p, size_t n, void *arg)
{
	struct buf *out = arg;
	buf_put(out, p, n);
	return out->err == ERR_OK ? 0 : -1;
}

void jsontext_put(const json_t *root, struct buf *out)
{
	if (root == NULL || json_dump_callback(root, put, out, JSON_COMPACT) != 0)
		out->err = out->err == ERR_OK ? ERR_NOMEM : out->err;
}
