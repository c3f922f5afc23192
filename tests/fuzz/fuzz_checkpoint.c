/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stored run tables: a log of records as a loader meets it, then a writer that goes on from what
 * was loaded. Input: records of key length (2 bytes), value length (2 bytes, 0xffff: deletion),
 * key, value. If the first byte is odd, checksums are made right first, so that what lies behind
 * them is reached.
 */
#include <assert.h>
#include <stdlib.h>

#include "checkpoint/store.h"
#include "lib/wire/batch.h"
#include "tests/fuzz/fuzz_checkpoint.h"

enum { VALUE_MAX = 65536 };

static enum err sink(void *arg, struct bytes key, struct bytes value)
{
	/* What a writer gives, a loader takes. */
	return run_store_apply(arg, key, value);
}

static bool take(struct bytes *in, size_t n, struct bytes *out)
{
	if (n > in->n)
		return false;
	*out = bytes_of(in->p, n);
	in->p += n;
	in->n -= n;
	return true;
}

static bool next_record(struct bytes *in, struct bytes *key, struct bytes *value)
{
	struct bytes head;
	if (!take(in, 4, &head) || !take(in, be16_get(head.p), key))
		return false;
	uint16_t n = be16_get(head.p + 2);
	*value = (struct bytes){0};
	return n == FUZZ_DELETION || take(in, n, value);
}

static void apply(struct run_store *s, struct bytes key, struct bytes value, bool seal)
{
	static uint8_t copy[VALUE_MAX];
	if (seal && value.n > 4) {
		memcpy(copy, value.p, value.n);
		be32_put(copy, crc32c(crc32c(0, key.p, key.n), copy + 4, value.n - 4));
		value = bytes_of(copy, value.n);
	}
	assert(run_store_apply(s, key, value) == ERR_OK);
}

/* Every table answers, and can be written again. */
static void use(struct run_store *from, struct run_store *to)
{
	for (;;) {
		size_t at = 0;
		const struct run_entry *e = run_store_next(from, &at);
		if (e == NULL)
			return;
		char topic[BLOCK_NAME_MAX];
		struct bytes name = bytes_of(topic, e->info.topic.n);
		memcpy(topic, e->info.topic.p, name.n);
		struct runs_answer a;
		for (int64_t o = -1; o < 200; o += 10)
			if (runs_forward(e->runs, o, &a))
				assert(a.max_behind >= 0 && a.pending >= 0);
		struct run_taken t;
		assert(run_store_take(from, name, e->info.partition, &t) == ERR_OK);
		size_t n;
		if (runs_src_end(t.runs) >= 0)
			runs_truncate_source(t.runs, runs_src_end(t.runs) / 2);
		assert(stored_plan(t.stored, &t.info, t.runs, &(struct stored_sink){sink, to},
				   &n) == ERR_OK);
		if (stored_busy(t.stored))
			stored_done(t.stored, true);
		runs_free(t.runs);
		stored_free(t.stored);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	const struct run_store_config config = {.budget = 4096, .max_partitions = 4};
	struct run_store *s = run_store_new(&config);
	struct run_store *to = run_store_new(&config);
	struct bytes in = bytes_of(data + 1, size - 1);
	struct bytes key, value;
	while (next_record(&in, &key, &value))
		apply(s, key, value, data[0] & 1);
	use(s, to);
	run_store_free(s);
	run_store_free(to);
	return 0;
}
