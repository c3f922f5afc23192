/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Produced batches as a hostile client may send them. Byte 0 chooses the topic's settings; the
 * batch follows, whose length and checksum are made right first in most cases, so that the fuzzer
 * gets behind them. What is accepted must be a batch that the log can walk; where the broker has
 * looked at the records, the reader must be able to read them.
 */
#include <stdlib.h>

#include "cluster/log/time_find.h"
#include "cluster/log/validate.h"
#include "lib/wire/records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { COMPACT = 1, APPEND_TIME = 2, INTERNAL = 4, RAW = 8, CODEC_SHIFT = 4, END = 7000 };

static void must(bool ok)
{
	if (!ok)
		abort();
}

static int8_t codec_of(uint8_t settings)
{
	int codec = settings >> CODEC_SHIFT;

	return (int8_t)(codec <= CODEC_ZSTD ? codec : -1);
}

static void seal(uint8_t *p, size_t n)
{
	struct batch_head h;

	batch_head_get(p, &h);
	batch_head_seal(p, n - BATCH_HEAD, &h);
}

static void check_lookups(struct bytes whole)
{
	struct time_found found;
	enum err e = time_find_max(whole, 0, 1 << 20, &found, NULL);

	must(e == ERR_OK || e == ERR_NOT_FOUND || e == ERR_NOMEM);
	e = time_find_first(whole, END, 0, 1 << 20, &found, NULL);
	must(e == ERR_OK || e == ERR_NOT_FOUND || e == ERR_NOMEM);
	must(e != ERR_OK || found.offset >= END);
}

static void check_records(struct bytes whole, const struct batch_head *h, bool compact)
{
	struct records_reader *rr;
	struct record r;
	int64_t next = END;

	must(records_reader_open(whole, 64 << 20, &rr, NULL) == ERR_OK);
	for (; records_reader_next(rr, &r); next++)
		must(r.offset == next && (r.key.p != NULL || !compact));
	must(records_reader_error(rr, NULL) == ERR_OK);
	must(next == batch_last_offset(h) + 1);
	records_reader_free(rr);
}

static void check_accepted(const struct validate_output *out, uint8_t settings, bool looked)
{
	struct batch_head h;
	struct bytes whole;
	struct buf stored;

	buf_init(&stored, 256 << 20);
	buf_put(&stored, out->head, BATCH_HEAD);
	buf_put(&stored, out->payload.p, out->payload.n);
	struct batch_walk w = {.left = buf_bytes(&stored)};
	must(batch_walk_next(&w, &h, &whole, NULL) == BATCH_WALK_BATCH && w.left.n == 0);
	must(h.base_offset == END && batch_is_dense(&h) && batch_crc_ok(whole));
	if (looked)
		check_records(whole, &h, (settings & COMPACT) != 0);
	check_lookups(whole);
	buf_fini(&stored);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct validate_output out;
	struct buf scratch;

	if (size < 1)
		return 0;
	uint8_t settings = data[0];
	size_t n = size - 1;
	uint8_t *batch = malloc(n + 1);
	must(batch != NULL);
	memcpy(batch, data + 1, n);
	if (n >= BATCH_HEAD && (settings & RAW) == 0)
		seal(batch, n);
	const struct plog_config c = {
		.segment_bytes = 1 << 30,
		.max_message_bytes = 1 << 20,
		.cleanup_compact = (settings & COMPACT) != 0,
		.log_append_time = (settings & APPEND_TIME) != 0,
		.timestamp_before_max_ms = INT64_MAX,
		.timestamp_after_max_ms = INT64_MAX,
		.compression = codec_of(settings),
	};
	const struct validate_input in = {
		.batch = bytes_of(batch, n),
		.base_offset = END,
		.now_ms = 1700000000000,
		.internal = (settings & INTERNAL) != 0,
	};
	struct errmsg why = {0};
	buf_init(&scratch, 0);
	enum err e = validate_batch(&c, &in, &scratch, &out, &why);
	must(out.bad_record >= -1);
	if (e == ERR_OK) {
		enum batch_codec came = batch_entry_codec(in.batch);
		bool looked =
			came == CODEC_NONE || c.cleanup_compact || batch_codec(&out.h) != came;
		check_accepted(&out, settings, looked);
	} else {
		must(why.text[0] != '\0');
	}
	buf_fini(&scratch);
	free(batch);
	return 0;
}
