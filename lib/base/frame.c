/* SPDX-License-Identifier: Apache-2.0 */
/* Reference-counted blocks; see frame.h. */
#include "lib/base/frame.h"

#include "lib/base/mem.h"

struct frame *frame_new(size_t n)
{
	if (n > SIZE_MAX - sizeof(struct frame))
		return NULL;
	struct frame *f = mem_alloc(sizeof *f + n);
	if (f == NULL)
		return NULL;
	f->refs = 1;
	f->n = n;
	f->on_free = NULL;
	f->arg = NULL;
	return f;
}

void frame_unref(struct frame *f)
{
	if (f == NULL || --f->refs > 0)
		return;
	if (f->on_free != NULL)
		f->on_free(f->arg, f->n);
	mem_free(f);
}
