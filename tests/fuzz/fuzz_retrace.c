/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk of a takeover, with record sets that a broker may send. Input: flags (1 compacted, 2
 * checksums are made right first, 4 an anchor at 0, 0), the logs' start and end (1 byte each: the
 * source's start, the target's start, its length), what is believed (1 byte), the number of aborted
 * transactions (1 byte) and 2 bytes for each (producer, first offset), the length of the target's
 * record set (2 bytes), that set, the source's record set.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/wire/batch.h"
#include "lib/wire/messages.h"
#include "mirror/partition/retrace.h"
#include "tests/fuzz/fuzz_batches.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	FLAG_COMPACTED = 1,
	FLAG_SEAL = 2,
	FLAG_ANCHOR = 4,
	ABORTED_MAX = 255,
	HEAD = 6,
	STEPS_MAX = 2000
};

/* Give it what it asks for, and say that there is no more when that did not help. */
static void drive(struct retrace *a, struct bytes target, struct bytes source,
		  const struct fetch_response_aborted_transaction *aborted, int32_t n)
{
	struct errmsg why = {""};
	for (int i = 0; i < STEPS_MAX; i++) {
		enum retrace_need need = retrace_need(a);
		bool of_target = need == RETRACE_TARGET;
		if (need == RETRACE_DONE || need == RETRACE_MISMATCH)
			return;
		int64_t before = of_target ? retrace_target_next(a) : retrace_source_next(a);
		enum err e = of_target ? retrace_feed_target(a, target, aborted, n, &why)
				       : retrace_feed_source(a, source, aborted, n, &why);
		if (e != ERR_OK)
			return;
		int64_t now = of_target ? retrace_target_next(a) : retrace_source_next(a);
		if (retrace_need(a) != need || now != before)
			continue;
		e = of_target ? retrace_end_target(a) : retrace_end_source(a);
		if (e != ERR_OK)
			return;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fetch_response_aborted_transaction aborted[ABORTED_MAX];
	if (size < HEAD + 2)
		return 0;
	size_t n = data[5];
	if (size - HEAD < 2 * n + 2)
		return 0;
	for (size_t i = 0; i < n; i++) {
		aborted[i].producer_id = data[HEAD + 2 * i];
		aborted[i].first_offset = data[HEAD + 2 * i + 1];
	}
	size_t at = HEAD + 2 * n;
	size_t target_n = be16_get(data + at);
	at += 2;
	if (target_n > size - at)
		return 0;
	uint8_t *sets = malloc(size - at + 1);
	assert(sets != NULL);
	memcpy(sets, data + at, size - at);
	size_t source_n = size - at - target_n;
	if (data[0] & FLAG_SEAL) {
		fuzz_seal_batches(sets, target_n);
		fuzz_seal_batches(sets + target_n, source_n);
	}
	bool anchor = data[0] & FLAG_ANCHOR;
	const struct retrace_options o = {
		.src_start = data[1],
		.dst_start = data[2],
		.dst_end = data[2] + data[3],
		.believed = (int64_t)data[4] - 1,
		.anchor_src = anchor ? data[1] : -1,
		.anchor_dst = anchor ? data[2] : -1,
		.compacted = data[0] & FLAG_COMPACTED,
		.decode_max = 1 << 16,
		.part_max = 16,
		.runs_budget = 1 << 16,
	};
	struct retrace *a;
	if (retrace_new(&o, &a) == ERR_OK) {
		drive(a, bytes_of(sets, target_n), bytes_of(sets + target_n, source_n), aborted,
		      (int32_t)n);
		if (retrace_need(a) == RETRACE_DONE) {
			int64_t src = retrace_result(a)->src;
			struct runs *runs = retrace_take_runs(a);
			assert(runs_src_end(runs) <= src && runs_dst_end(runs) <= o.dst_end);
			runs_free(runs);
		}
		retrace_free(a);
	}
	free(sets);
	return 0;
}
