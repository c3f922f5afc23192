/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Record sets as a hostile broker may send them: walk, re-stamp, decode, re-encode. Checksums are
 * made right first, so that the fuzzer gets behind them. Byte 0 chooses the target's batch limit,
 * byte 1 the trim range; the record set follows. What comes out must be batches that read back.
 */
#include <stdlib.h>
#include <zlib.h>

#include "lib/wire/rebatch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_IN = 16, LIMIT = 1 << 20 };

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void seal(uint8_t *p, const struct batch_head *h, size_t n)
{
	struct batch_head same;

	if (h->magic < 2) {
		be32_put(p + 12, (uint32_t)crc32_z(0, p + 16, n - 16));
		return;
	}
	batch_head_get(p, &same);
	batch_head_seal(p, n - BATCH_HEAD, &same);
	/* A re-stamped head is right in front of the same payload. */
	uint8_t old[BATCH_HEAD];
	memcpy(old, p, BATCH_HEAD);
	same.producer_id ^= 0x1234567;
	batch_head_restamp(old, n - BATCH_HEAD, &same, p);
	must(batch_crc_ok(bytes_of(p, n)));
}

/* Read a batch to its end; the number of records, or -1 for an error. */
static int64_t read_all(struct bytes whole)
{
	struct records_reader *rr;
	struct errmsg why = {0};
	struct bytes key, value;
	struct record r;
	int64_t count = 0;

	if (records_reader_open(whole, LIMIT, &rr, &why) != ERR_OK)
		return -1;
	for (; records_reader_next(rr, &r); count++) {
		size_t at = 0;
		while (record_header_next(&r, &at, &key, &value))
			;
		must(record_equal(&r, &r));
		record_hash(&r);
	}
	enum err e = records_reader_error(rr, &why);
	records_reader_free(rr);
	return e == ERR_OK ? count : -1;
}

static void rebatch_all(const struct bytes *in, size_t in_n, uint8_t size, uint8_t trim)
{
	struct rebatch_options o = {
		.trim_before = trim,
		.trim_from = trim % 2 == 0 ? INT64_MAX : 3 * trim,
		.max_batch_bytes = BATCH_HEAD + 1 + (size_t)size * 8,
		.inflate_limit = LIMIT,
	};
	struct errmsg why = {0};
	struct rebatch rb;
	int64_t read = 0, told = 0;

	rebatch_init(&rb, 4 * LIMIT);
	if (rebatch_encode(&rb, in, in_n, &o, &why) == ERR_OK) {
		for (size_t i = 0; i < rb.batches_n; i++) {
			const struct rebatch_batch *b = &rb.batches[i];
			must(b->size <= o.max_batch_bytes);
			int64_t n = read_all(bytes_of(rb.bytes.p + b->at, b->size));
			must(n == b->count && n > 0);
			read += n;
		}
		for (size_t i = 0; i < rb.spans_n; i++)
			told += rb.spans[i].n;
		must(read == told);
	}
	rebatch_fini(&rb);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	uint8_t *own = malloc(size);
	must(own != NULL);
	memcpy(own, data, size);

	struct batch_walk w = {.left = bytes_of(own + 2, size - 2)};
	struct bytes in[MAX_IN], whole;
	struct errmsg why = {0};
	struct batch_head h;
	size_t in_n = 0;
	while (in_n < MAX_IN) {
		enum batch_walk_result found = batch_walk_next(&w, &h, &whole, &why);
		if (found == BATCH_WALK_END || found == BATCH_WALK_MALFORMED)
			break;
		seal(own + (whole.p - own), &h, whole.n);
		in[in_n++] = whole;
		read_all(whole);
		rebatch_all(&whole, 1, own[0], own[1]);
	}
	if (in_n > 1)
		rebatch_all(in, in_n, own[0], own[1]);
	free(own);
	return 0;
}
