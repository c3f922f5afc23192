/* SPDX-License-Identifier: Apache-2.0 */
/* Thin over the C library, so that tests make the Nth allocation fail by wrapping malloc at link
 * time. */
#include "lib/base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void *mem_alloc(size_t n)
{
	return malloc(n == 0 ? 1 : n);
}

void *mem_zalloc(size_t count, size_t size)
{
	if (size != 0 && count > SIZE_MAX / size)
		return NULL;
	size_t n = count * size;
	return calloc(1, n == 0 ? 1 : n);
}

void *mem_resize(void *p, size_t count, size_t size)
{
	if (size != 0 && count > SIZE_MAX / size)
		return NULL;
	size_t n = count * size;
	return realloc(p, n == 0 ? 1 : n);
}

void mem_free(void *p)
{
	free(p);
}

char *mem_strdup(const char *s)
{
	return mem_strndup(bytes_str(s));
}

char *mem_strndup(struct bytes s)
{
	char *out = mem_alloc(s.n + 1);
	if (out == NULL)
		return NULL;
	if (s.n > 0)
		memcpy(out, s.p, s.n);
	out[s.n] = '\0';
	return out;
}
