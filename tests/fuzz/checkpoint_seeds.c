/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the seeds of fuzz_checkpoint: logs as a writer leaves them. Argument: the folder. */
#include <assert.h>
#include <stdio.h>

#include "checkpoint/stored.h"
#include "tests/fuzz/fuzz_checkpoint.h"

static enum err put(void *arg, struct bytes key, struct bytes value)
{
	struct buf *out = arg;
	buf_put_be16(out, (uint16_t)key.n);
	buf_put_be16(out, value.p == NULL ? FUZZ_DELETION : (uint16_t)value.n);
	buf_put(out, key.p, key.n);
	buf_put(out, value.p, value.n);
	return out->err;
}

static void plan(struct stored *s, const struct block_info *info, struct runs *r, struct buf *out)
{
	size_t n;
	const struct stored_sink sink = {put, out};
	enum err e = stored_plan(s, info, r, &sink, &n);
	assert(e == ERR_OK);
	if (n > 0)
		stored_done(s, true);
}

static void append(struct runs *r, int runs, int64_t n)
{
	for (int i = 0; i < runs; i++) {
		int64_t dst = runs_dst_end(r);
		enum err e = runs_append(r, runs_src_end(r) + 1, dst < 0 ? 0 : dst, n);
		assert(e == ERR_OK);
	}
}

/* One history: how many steps of it this seed holds. */
static void history(int steps, struct buf *out)
{
	struct block_info info = {.topic = bytes_str("t"), .topic_id = {{1}}, .producer_id = 9};
	struct runs *r = runs_new(1 << 20);
	struct stored *s = stored_new();
	assert(r != NULL && s != NULL);
	for (int i = 0; i < steps; i++) {
		if (i == 2)
			runs_truncate_target(r, runs_dst_end(r) / 2);
		else if (i == 4)
			runs_prune_below(r, runs_src_end(r) / 2);
		else if (i == 6)
			runs_clear(r);
		else
			append(r, i % 2 == 0 ? 3 : 600, 10 + i);
		plan(s, &info, r, out);
	}
	struct buf key, value;
	buf_init(&key, BLOCK_KEY_MAX);
	buf_init(&value, 64);
	enum err e = block_encode_link(&(struct block_link){bytes_str("m"), 7, 1}, &key, &value);
	assert(e == ERR_OK);
	e = put(out, buf_bytes(&key), buf_bytes(&value));
	assert(e == ERR_OK);
	buf_fini(&key);
	buf_fini(&value);
	runs_free(r);
	stored_free(s);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	for (int i = 1; i <= 8; i++) {
		char path[4096];
		snprintf(path, sizeof path, "%s/history-%d", argv[1], i);
		struct buf out;
		buf_init(&out, 1 << 20);
		buf_put_u8(&out, (uint8_t)(i & 1));
		history(i, &out);
		FILE *f = fopen(path, "wb");
		if (f == NULL || fwrite(out.p, 1, out.len, f) != out.len || fclose(f) != 0) {
			fprintf(stderr, "%s: cannot write\n", path);
			return 1;
		}
		buf_fini(&out);
	}
	return 0;
}
