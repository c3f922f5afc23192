/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The small files beside the segments, as a broken disk may give them back: byte 0 chooses which.
 * What is read well must come out the same when it is written and read again.
 */
#include <stdlib.h>

#include "cluster/log/checkpoint_file.h"
#include "cluster/log/epochs.h"
#include "cluster/log/meta_file.h"
#include "cluster/log/producers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void try_offsets(struct bytes file, struct buf *out)
{
	struct checkpoint_file_entry entry;
	size_t at = 0, n = 0;

	if (checkpoint_file_check(file, NULL) != ERR_OK)
		return;
	while (checkpoint_file_next(file, &at, &entry))
		n++;
	checkpoint_file_put_head(out, n);
	for (at = 0; checkpoint_file_next(file, &at, &entry);) {
		char topic[250];
		must(entry.topic.n < sizeof topic && entry.partition >= 0 && entry.offset >= 0);
		memcpy(topic, entry.topic.p, entry.topic.n);
		topic[entry.topic.n] = '\0';
		checkpoint_file_put(out, topic, entry.partition, entry.offset);
	}
	must(checkpoint_file_check(buf_bytes(out), NULL) == ERR_OK);
}

static void try_epochs(struct bytes file, struct buf *out)
{
	struct epochs e, back;

	epochs_init(&e);
	epochs_init(&back);
	if (epochs_decode(&e, file, NULL) == ERR_OK) {
		for (size_t i = 1; i < e.n; i++)
			must(e.v[i - 1].epoch < e.v[i].epoch && e.v[i - 1].start < e.v[i].start);
		epochs_encode(&e, out);
		must(epochs_decode(&back, buf_bytes(out), NULL) == ERR_OK && back.n == e.n);
		must(e.n == 0 || memcmp(&back.v[e.n - 1].start, &e.v[e.n - 1].start, 8) == 0);
	}
	epochs_fini(&e);
	epochs_fini(&back);
}

static void try_meta(struct bytes file, struct buf *out)
{
	struct meta_file m, back;
	struct uuid id, id_back;

	if (meta_file_decode(&m, file, NULL) == ERR_OK) {
		meta_file_encode(&m, out);
		must(meta_file_decode(&back, buf_bytes(out), NULL) == ERR_OK);
		must(m.node_id == back.node_id && uuid_eq(&m.directory_id, &back.directory_id));
		must(bytes_eq_str(bytes_str(m.cluster_id), back.cluster_id));
	}
	buf_clear(out);
	if (meta_file_decode_partition(&id, file, NULL) == ERR_OK) {
		meta_file_encode_partition(&id, out);
		must(meta_file_decode_partition(&id_back, buf_bytes(out), NULL) == ERR_OK);
		must(uuid_eq(&id, &id_back));
	}
}

/* The checksum is made right, so that the fuzzer gets behind it. */
static void try_snapshot(struct bytes file, struct buf *out)
{
	struct producers *p = producers_new(8);
	uint8_t *copy = malloc(file.n + 1);

	must(p != NULL && copy != NULL);
	memcpy(copy, file.p, file.n);
	if (file.n >= 6)
		be32_put(copy + 2, crc32c(0, copy + 6, file.n - 6));
	if (producers_decode(p, bytes_of(copy, file.n), NULL) == ERR_OK) {
		size_t n = producers_count(p);
		must(n <= 8 && producers_encode(p, out) == ERR_OK);
		must(producers_decode(p, buf_bytes(out), NULL) == ERR_OK);
		must(producers_count(p) == n);
	}
	free(copy);
	producers_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf out;

	if (size < 1)
		return 0;
	/* A block of its own, so that an overrun is seen. */
	uint8_t *copy = malloc(size);
	must(copy != NULL);
	memcpy(copy, data + 1, size - 1);
	struct bytes file = bytes_of(copy, size - 1);
	buf_init(&out, 1 << 24);
	switch (data[0] % 4) {
	case 0:
		try_offsets(file, &out);
		break;
	case 1:
		try_epochs(file, &out);
		break;
	case 2:
		try_meta(file, &out);
		break;
	default:
		try_snapshot(file, &out);
		break;
	}
	buf_fini(&out);
	free(copy);
	return 0;
}
