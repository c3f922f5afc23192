/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the seeds of fuzz_log_files, pieces of a data directory. Argument: the folder. */
#include <assert.h>
#include <stdio.h>

#include "cluster/log/epochs.h"
#include "cluster/log/meta_file.h"
#include "cluster/log/producers.h"
#include "tests/unit/cluster_log/batches.h"

enum { SEED_MAX = 1 << 16 };

/* As in fuzz_log_files.c. */
enum name {
	LOG_0,
	INDEX_0,
	TIMES_0,
	LOG_5,
	INDEX_5,
	TIMES_5,
	LOG_9,
	SNAPSHOT_5,
	EPOCHS,
	METADATA,
	POINTS,
	STARTS,
	CLEANED,
	META,
	MARK,
	SWAP_0
};

static void put(struct buf *out, enum name name, struct bytes b)
{
	buf_put_u8(out, (uint8_t)name);
	buf_put_be16(out, (uint16_t)b.n);
	buf_put(out, b.p, b.n);
}

/* Two batches from `base` on: five offsets. */
static void put_log(struct buf *out, enum name name, int64_t base)
{
	struct batch_head h = batches_head();
	struct buf b;

	buf_init(&b, SEED_MAX);
	h.base_offset = base;
	h.leader_epoch = 2;
	h.producer_id = 7;
	h.producer_epoch = 0;
	h.base_sequence = (int32_t)base;
	batches_plain(&b, &h, 3);
	h.base_offset = base + 3;
	h.base_sequence += 3;
	h.attributes = CODEC_LZ4;
	batches_plain(&b, &h, 2);
	put(out, name, buf_bytes(&b));
	buf_fini(&b);
}

static void put_small(struct buf *out)
{
	struct meta_file m = {.cluster_id = "seed", .node_id = 1, .directory_id = {{9}}};
	static const struct uuid id = {{1}};
	struct producers *p = producers_new(10);
	struct epochs e;
	struct buf b;
	bool changed;

	buf_init(&b, SEED_MAX);
	epochs_init(&e);
	meta_file_encode(&m, &b);
	put(out, META, buf_bytes(&b));
	buf_clear(&b);
	meta_file_encode_partition(&id, &b);
	put(out, METADATA, buf_bytes(&b));
	buf_clear(&b);
	enum err err = epochs_assign(&e, 2, 0, &changed);
	assert(err == ERR_OK);
	epochs_encode(&e, &b);
	put(out, EPOCHS, buf_bytes(&b));
	buf_clear(&b);
	assert(p != NULL);
	err = producers_encode(p, &b);
	assert(err == ERR_OK);
	put(out, SNAPSHOT_5, buf_bytes(&b));
	producers_free(p);
	epochs_fini(&e);
	buf_fini(&b);
}

static void put_indexes(struct buf *out, enum name entries, enum name times)
{
	struct buf b;

	buf_init(&b, SEED_MAX);
	buf_put_be32(&b, 4);
	buf_put_be32(&b, 250);
	put(out, entries, buf_bytes(&b));
	buf_clear(&b);
	buf_put_be64(&b, 1002);
	buf_put_be32(&b, 2);
	put(out, times, buf_bytes(&b));
	buf_fini(&b);
}

static void write_seed(const char *folder, int n, const struct buf *b)
{
	char path[4096];

	snprintf(path, sizeof path, "%s/%02d", folder, n);
	FILE *f = fopen(path, "wb");
	assert(f != NULL);
	size_t written = fwrite(b->p, 1, b->len, f);
	assert(written == b->len);
	fclose(f);
}

int main(int argc, char **argv)
{
	assert(argc == 2);
	for (int n = 0; n < 16; n++) {
		struct buf b;
		buf_init(&b, SEED_MAX);
		put_log(&b, LOG_0, 0);
		put_log(&b, LOG_5, 5);
		if ((n & 1) != 0)
			put_small(&b);
		if ((n & 2) != 0) {
			put_indexes(&b, INDEX_0, TIMES_0);
			put_indexes(&b, INDEX_5, TIMES_5);
		}
		if ((n & 4) != 0) {
			put(&b, MARK, bytes_str("{}"));
			put(&b, POINTS, bytes_str("0\n1\nt 0 10\n"));
			put(&b, STARTS, bytes_str("0\n1\nt 0 4\n"));
		}
		if ((n & 8) != 0)
			put_log(&b, SWAP_0, 0);
		write_seed(argv[1], n, &b);
		buf_fini(&b);
	}
	return 0;
}
