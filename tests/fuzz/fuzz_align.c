/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Alignment and the filter of aborted transactions, with record sets that a broker may send. Input:
 * flags (1 match, 2 checksums are made right first), T and L (1 byte each), the number of aborted
 * transactions (1 byte) and 2 bytes for each (producer, first offset), the length of the target's
 * record set (2 bytes), that set, the source's record set.
 */
#include <assert.h>
#include <stdlib.h>

#include "lib/wire/batch.h"
#include "lib/wire/messages.h"
#include "mirror/partition/align.h"
#include "tests/fuzz/fuzz_batches.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FLAG_MATCH = 1, FLAG_SEAL = 2, ABORTED_MAX = 255 };

static void drive(struct align *a, struct bytes target, struct bytes source,
		  const struct fetch_response_aborted_transaction *aborted, int32_t aborted_n)
{
	struct errmsg why = {""};
	if (align_feed_target(a, target, &why) != ERR_OK)
		return;
	if (align_need(a) == ALIGN_TARGET)
		align_end_target(a);
	if (align_need(a) != ALIGN_SOURCE ||
	    align_feed_source(a, source, aborted, aborted_n, &why) != ERR_OK)
		return;
	if (align_need(a) == ALIGN_SOURCE)
		align_end_source(a);
}

static void check(const struct align *a, int64_t dst, int64_t dst_end)
{
	if (align_need(a) != ALIGN_DONE)
		return;
	struct runs *table = runs_new(1 << 20);
	assert(table != NULL && runs_begin(table, 0, dst) == ERR_OK);
	enum err e = align_apply(a, table);
	assert(e == ERR_OK);
	assert(runs_dst_end(table) == dst_end && runs_src_end(table) == align_result(a)->src);
	runs_free(table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 4 || size - 4 < (size_t)data[3] * 2 + 2)
		return 0;
	struct fetch_response_aborted_transaction aborted[ABORTED_MAX];
	const uint8_t *p = data + 4;
	for (int i = 0; i < data[3]; i++, p += 2) {
		aborted[i].producer_id = p[0];
		aborted[i].first_offset = p[1];
	}
	size_t target_n = be16_get(p);
	p += 2;
	size_t left = size - (size_t)(p - data);
	if (target_n > left)
		return 0;
	uint8_t *copy = malloc(left + 1);
	assert(copy != NULL);
	memcpy(copy, p, left);
	if (data[0] & FLAG_SEAL) {
		fuzz_seal_batches(copy, target_n);
		fuzz_seal_batches(copy + target_n, left - target_n);
	}
	const struct align_options o = {.dst = data[1],
					.dst_end = (int64_t)data[1] + 1 + data[2],
					.match = data[0] & FLAG_MATCH,
					.decode_max = 1 << 20};
	struct align *a;
	if (align_new(&o, &a) == ERR_OK) {
		drive(a, bytes_of(copy, target_n), bytes_of(copy + target_n, left - target_n),
		      aborted, data[3]);
		check(a, o.dst, o.dst_end);
		align_free(a);
	}
	free(copy);
	return 0;
}
