/* SPDX-License-Identifier: Apache-2.0 */
/* wire_gen SCHEMAS HEADER SOURCE: turns the facts of schemas.txt into messages.h and messages.c.
 * Runs while Farshore is built. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/wire/gen/emit.h"

enum { FILE_MAX = 16 * 1024 * 1024 };

/* The file's text, NUL-terminated, at the end of `out`. */
static enum err file_read(const char *path, struct buf *out, struct errmsg *why)
{
	FILE *f = fopen(path, "rb");
	if (f == NULL)
		return errmsg_set(why, ERR_IO, "%s: %s", path, strerror(errno));
	char block[4096];
	size_t n;
	while ((n = fread(block, 1, sizeof block, f)) > 0)
		buf_put(out, block, n);
	bool bad = ferror(f) != 0;
	fclose(f);
	buf_put_u8(out, '\0');
	return bad ? errmsg_set(why, ERR_IO, "%s: cannot be read", path) : out->err;
}

static enum err file_write(const char *path, const struct buf *in, struct errmsg *why)
{
	if (in->err != ERR_OK)
		return errmsg_set(why, in->err, "%s: %s", path, err_text(in->err));
	FILE *f = fopen(path, "wb");
	if (f == NULL)
		return errmsg_set(why, ERR_IO, "%s: %s", path, strerror(errno));
	bool bad = fwrite(in->p, 1, in->len, f) != in->len;
	bad = fclose(f) != 0 || bad;
	return bad ? errmsg_set(why, ERR_IO, "%s: cannot be written", path) : ERR_OK;
}

static enum err generate(char **argv, struct arena *a, struct buf *bufs, struct errmsg *why)
{
	struct schema_message *first;
	enum err e = file_read(argv[1], &bufs[0], why);
	if (e != ERR_OK)
		return e;
	e = schema_parse((char *)bufs[0].p, a, &first, why);
	for (struct schema_message *m = first; e == ERR_OK && m != NULL; m = m->next)
		e = schema_check(m, why);
	if (e != ERR_OK)
		return errmsg_wrap(why, e, "%s", argv[1]);
	emit_header(first, &bufs[1]);
	emit_source(first, &bufs[2]);
	e = file_write(argv[2], &bufs[1], why);
	return e == ERR_OK ? file_write(argv[3], &bufs[2], why) : e;
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: wire_gen SCHEMAS HEADER SOURCE\n");
		return 2;
	}
	struct arena a;
	struct buf bufs[3];
	struct errmsg why = {{0}};
	arena_init(&a, FILE_MAX);
	for (size_t i = 0; i < 3; i++)
		buf_init(&bufs[i], FILE_MAX);
	enum err e = generate(argv, &a, bufs, &why);
	for (size_t i = 0; i < 3; i++)
		buf_fini(&bufs[i]);
	arena_fini(&a);
	if (e != ERR_OK)
		fprintf(stderr, "wire_gen: %s\n", why.text);
	return e != ERR_OK;
}
