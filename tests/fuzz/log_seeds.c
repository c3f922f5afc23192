/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the seeds of fuzz_produce_batch, fuzz_cleaner and fuzz_log_text. Argument: the folder,
 * which has a folder for each. */
#include <assert.h>
#include <stdio.h>

#include "cluster/log/producers.h"
#include "tests/unit/cluster_log/batches.h"

enum { SEED_MAX = 1 << 16 };

struct writer {
	const char *folder;
	int n;
};

static void write_seed(struct writer *w, const char *target, struct bytes seed)
{
	char path[4096];

	snprintf(path, sizeof path, "%s/%s/%02d", w->folder, target, w->n++);
	FILE *f = fopen(path, "wb");
	assert(f != NULL);
	size_t written = fwrite(seed.p, 1, seed.n, f);
	assert(written == seed.n);
	fclose(f);
}

/* A settings byte, then a batch. */
static void write_batch(struct writer *w, uint8_t settings, const struct batch_head *like)
{
	struct batch_head h = *like;
	struct buf b;

	buf_init(&b, SEED_MAX);
	buf_put_u8(&b, settings);
	batches_plain(&b, &h, 3);
	write_seed(w, "produce_batch", buf_bytes(&b));
	buf_fini(&b);
}

static void write_batches(struct writer *w)
{
	struct batch_head h = batches_head();

	for (int16_t codec = CODEC_NONE; codec <= CODEC_ZSTD; codec++) {
		h.attributes = codec;
		write_batch(w, 0xf0, &h); /* as it is */
		write_batch(w, 0xf1, &h); /* compacted */
		write_batch(w, 0xf2, &h); /* append time */
		write_batch(w, 0x03, &h); /* to no codec */
		write_batch(w, 0x40, &h); /* to zstd */
	}
	h.attributes = BATCH_CONTROL;
	write_batch(w, 0xf4, &h);
	h.attributes = 0;
	h.producer_id = 7;
	h.base_sequence = 0;
	write_batch(w, 0xf8, &h);
}

static void write_set(struct writer *w, enum batch_codec codec)
{
	static const struct batches_record first[] = {{"a", "1", 10, 0}, {"b", NULL, 20, 1}},
					   second[] = {{"a", "2", 30, 0},
						       {NULL, "3", 40, 1},
						       {"c", "4", 50, 4}};
	struct batch_head h = batches_head();
	struct buf b;

	buf_init(&b, SEED_MAX);
	h.attributes = (int16_t)codec;
	batches_make(&b, &h, first, 2);
	h.attributes |= BATCH_DELETE_HORIZON;
	h.base_timestamp = 100;
	h.producer_id = 2;
	batches_make(&b, &h, first, 2);
	batches_make(&b, &h, second, 3);
	h.attributes = BATCH_CONTROL | BATCH_TRANSACTIONAL;
	batches_make(&b, &h, first, 1);
	h.attributes = BATCH_LOG_APPEND_TIME;
	batches_make(&b, &h, second, 3);
	write_seed(w, "cleaner", buf_bytes(&b));
	buf_fini(&b);
}

static void write_text(struct writer *w, char which, const char *text)
{
	struct buf b;

	buf_init(&b, SEED_MAX);
	buf_put_u8(&b, (uint8_t)which);
	buf_put_str(&b, text);
	write_seed(w, "log_text", buf_bytes(&b));
	buf_fini(&b);
}

static void write_snapshot(struct writer *w)
{
	struct producers *p = producers_new(9);
	struct buf b;

	assert(p != NULL);
	buf_init(&b, SEED_MAX);
	buf_put_u8(&b, 3);
	for (int i = 0; i < 3; i++) {
		struct batch_head h = batches_head();
		h.producer_id = i;
		h.producer_epoch = 1;
		h.base_sequence = 5;
		h.base_offset = i;
		enum err e = producers_replay(p, &h);
		assert(e == ERR_OK);
	}
	enum err e = producers_encode(p, &b);
	assert(e == ERR_OK);
	write_seed(w, "log_text", buf_bytes(&b));
	buf_fini(&b);
	producers_free(p);
}

int main(int argc, char **argv)
{
	struct writer w = {.folder = argc > 1 ? argv[1] : "."};

	write_batches(&w);
	for (int codec = CODEC_NONE; codec <= CODEC_ZSTD; codec++)
		write_set(&w, (enum batch_codec)codec);
	write_text(&w, 0, "0\n2\norders 0 1042\na.b 1 77\n");
	write_text(&w, 1, "0\n2\n0 0\n3 1042\n");
	write_text(&w, 2,
		   "version=1\ncluster.id=5L6g3nShT-eMCtK--X86sw\nnode.id=1\n"
		   "directory.id=1CCPoxoeR9SLMNQYVzLW1A\n");
	write_text(&w, 2, "version: 0\ntopic_id: 1CCPoxoeR9SLMNQYVzLW1A");
	write_snapshot(&w);
	return 0;
}
