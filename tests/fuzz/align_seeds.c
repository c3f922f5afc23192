/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the seeds of fuzz_align, or of fuzz_retrace: a small source and its copy, counted and
 * matched, with an aborted transaction. Arguments: the folder, and "retrace" for the latter. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "lib/wire/records.h"

enum { SOURCE_MAX = 1 << 16 };

/* A batch of records first .. first+n-1 at `base`, as producer `producer`. */
static void batch(struct buf *out, enum batch_codec codec, int first, int n, int64_t base,
		  int64_t producer)
{
	struct batch_builder b;
	batch_builder_init(&b, codec, SOURCE_MAX);
	for (int i = first; i < first + n; i++) {
		uint8_t value = (uint8_t)i;
		const struct record r = {.timestamp = i,
					 .key = bytes_str("key"),
					 .value = bytes_of(&value, 1),
					 .headers = bytes_of("", 0)};
		enum err added = batch_builder_add(&b, &r);
		assert(added == ERR_OK);
	}
	size_t at = out->len;
	enum err e = batch_builder_finish(&b, out);
	assert(e == ERR_OK);
	struct batch_head h;
	uint8_t head[BATCH_HEAD];
	batch_head_get(out->p + at, &h);
	h.base_offset = base;
	if (producer >= 0) {
		h.producer_id = producer;
		h.attributes |= BATCH_TRANSACTIONAL;
	}
	batch_head_restamp(out->p + at, out->len - at - BATCH_HEAD, &h, head);
	memcpy(out->p + at, head, sizeof head);
	batch_builder_fini(&b);
}

static void abort_marker(struct buf *out, int64_t base, int64_t producer)
{
	const uint8_t record[] = {32, 0, 0, 0, 8, 0, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0};
	struct batch_head h = {.base_offset = base,
			       .length = BATCH_HEAD - BATCH_OVERHEAD + sizeof record,
			       .magic = 2,
			       .attributes = BATCH_TRANSACTIONAL | BATCH_CONTROL,
			       .producer_id = producer,
			       .base_sequence = -1,
			       .count = 1};
	uint8_t bytes[BATCH_HEAD + sizeof record];
	batch_head_put(bytes, &h);
	memcpy(bytes + BATCH_HEAD, record, sizeof record);
	h.crc = crc32c(0, bytes + 21, sizeof bytes - 21);
	batch_head_put(bytes, &h);
	buf_put(out, bytes, sizeof bytes);
}

static int write_seed(const char *dir, bool retrace, uint8_t flags, uint8_t records)
{
	struct buf target, source, out;
	buf_init(&target, SOURCE_MAX);
	buf_init(&source, SOURCE_MAX);
	buf_init(&out, 4 * SOURCE_MAX);
	batch(&target, CODEC_LZ4, 0, 4, 0, -1);
	batch(&target, CODEC_NONE, 4, records - 4, 4, -1);
	batch(&source, CODEC_NONE, 0, 3, 10, -1);
	batch(&source, CODEC_GZIP, 100, 2, 13, 3);
	abort_marker(&source, 15, 3);
	batch(&source, CODEC_ZSTD, 3, 7, 16, 3);
	const uint8_t of_align[] = {flags, 0, (uint8_t)(records - 1), 1, 3, 13};
	const uint8_t of_retrace[] = {flags, 10, 0, records, 0, 1, 3, 13};
	if (retrace)
		buf_put(&out, of_retrace, sizeof of_retrace);
	else
		buf_put(&out, of_align, sizeof of_align);
	buf_put_be16(&out, (uint16_t)target.len);
	buf_put(&out, target.p, target.len);
	buf_put(&out, source.p, source.len);
	char path[4096];
	snprintf(path, sizeof path, "%s/%u-%u", dir, flags, records);
	FILE *f = fopen(path, "wb");
	bool ok = f != NULL && fwrite(out.p, 1, out.len, f) == out.len;
	if (f == NULL || fclose(f) != 0 || !ok)
		fprintf(stderr, "%s: cannot write\n", path);
	buf_fini(&target);
	buf_fini(&source);
	buf_fini(&out);
	return ok ? 0 : 1;
}

int main(int argc, char **argv)
{
	if (argc != 2 && (argc != 3 || strcmp(argv[2], "retrace") != 0))
		return 2;
	bool retrace = argc == 3;
	int failed = 0;
	for (uint8_t flags = 0; flags < (retrace ? 8 : 4); flags++)
		for (uint8_t records = 6; records <= 10; records += 2)
			failed |= write_seed(argv[1], retrace, flags, records);
	return failed;
}
