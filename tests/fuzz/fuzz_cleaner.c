/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compaction over hostile batches. The input is a record set; checksums and lengths are made right,
 * so that the fuzzer gets behind them. What comes out must be batches with the same offset ranges,
 * which read back if they were rewritten, and a second pass at the same time must find nothing more
 * to do but empty batches.
 */
#include <stdlib.h>

#include "cluster/log/cleaner_pass.h"
#include "lib/wire/records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_BATCHES = 32, LIMIT = 1 << 20, NOW = 1000000 };

struct set {
	struct bytes v[MAX_BATCHES];
	size_t n;
};

static void must(bool ok)
{
	if (!ok)
		abort();
}

static bool is_last(void *arg, const struct batch_head *h)
{
	(void)arg;
	return h->producer_id % 2 == 0;
}

/* Cut the input into batches, number them and seal them. */
static void cut(uint8_t *p, size_t n, struct set *s)
{
	int64_t next = 0;

	while (n >= BATCH_HEAD && s->n < MAX_BATCHES) {
		struct batch_head h;
		batch_head_get(p, &h);
		/* Two bytes of the length field, so that no input is too long. */
		size_t payload = be16_get(p + 10);
		if (payload >= BATCH_HEAD - BATCH_OVERHEAD)
			payload -= BATCH_HEAD - BATCH_OVERHEAD;
		if (payload > n - BATCH_HEAD)
			payload = n - BATCH_HEAD;
		h.base_offset = next;
		h.last_offset_delta &= 0xffff;
		if (h.count > h.last_offset_delta + 1)
			h.count = h.last_offset_delta + 1;
		batch_head_seal(p, payload, &h);
		next += (int64_t)h.last_offset_delta + 1;
		s->v[s->n++] = bytes_of(p, BATCH_HEAD + payload);
		p += BATCH_HEAD + payload;
		n -= BATCH_HEAD + payload;
	}
}

static int64_t end_of(const struct set *s)
{
	struct batch_head h;

	batch_head_get(s->v[s->n - 1].p, &h);
	return batch_last_offset(&h) + 1;
}

static void check_rewritten(struct bytes old, struct bytes new, const struct batch_head *h)
{
	struct records_reader *rr;
	struct batch_head was;
	struct record r;

	batch_head_get(old.p, &was);
	must(h->base_offset == was.base_offset && h->last_offset_delta == was.last_offset_delta);
	must(h->producer_id == was.producer_id && h->base_sequence == was.base_sequence);
	must(batch_crc_ok(new));
	if (bytes_eq(old, new))
		return;
	must(records_reader_open(new, 4 * LIMIT, &rr, NULL) == ERR_OK);
	while (records_reader_next(rr, &r))
		;
	must(records_reader_error(rr, NULL) == ERR_OK);
	records_reader_free(rr);
}

/* False: an input is refused. */
static bool pass(const struct set *s, int64_t end, struct buf *out, struct set *kept,
		 uint64_t *dropped)
{
	const struct cleaner_pass_options o = {
		.memory = CLEANER_PASS_MEMORY_MIN,
		.key = {3, 4},
		.until = end,
		.now_ms = NOW,
		.delete_retention_ms = 1000,
		.inflate_max = LIMIT,
		.is_last = is_last,
	};
	struct cleaner_pass *c;
	size_t at[MAX_BATCHES + 1] = {0};
	bool full = false, ok = true;

	must(cleaner_pass_new(&o, &c) == ERR_OK);
	for (size_t i = 0; i < s->n && ok && !full; i++)
		ok = cleaner_pass_index(c, s->v[i], &full, NULL) == ERR_OK;
	for (size_t i = 0; i < s->n && ok; i++) {
		struct batch_head h;
		ok = cleaner_pass_rewrite(c, s->v[i], out, &h, NULL) == ERR_OK;
		if (!ok || h.length == 0)
			continue;
		size_t from = at[kept->n];
		check_rewritten(s->v[i], bytes_of(out->p + from, out->len - from), &h);
		at[++kept->n] = out->len;
	}
	for (size_t i = 0; i < kept->n; i++)
		kept->v[i] = bytes_of(out->p + at[i], at[i + 1] - at[i]);
	const struct cleaner_pass_stats *stats = cleaner_pass_stats(c);
	*dropped = stats->records_read - stats->records_kept;
	cleaner_pass_free(c);
	return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct set s = {0}, once = {0}, twice = {0};
	struct buf first, second;
	uint64_t dropped;
	uint8_t *copy = malloc(size + 1);

	must(copy != NULL);
	memcpy(copy, data, size);
	cut(copy, size, &s);
	buf_init(&first, 64 << 20);
	buf_init(&second, 64 << 20);
	if (s.n > 0 && pass(&s, end_of(&s), &first, &once, &dropped) && once.n > 0) {
		must(pass(&once, end_of(&s), &second, &twice, &dropped));
		must(dropped == 0);
	}
	buf_fini(&first);
	buf_fini(&second);
	free(copy);
	return 0;
}
