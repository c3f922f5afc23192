/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the record reader: its struct, so that the slow path can open thousands of small batches
 * without an allocation each. Not for use outside lib/wire/records.c and rebatch.c.
 */
#ifndef FARSHORE_WIRE_RECORDS_IMPL_H
#define FARSHORE_WIRE_RECORDS_IMPL_H

#include "lib/wire/codec_impl.h"

struct records_reader {
	struct buf plain; /* the decompressed payload, if it was compressed */
	struct codec_scratch scratch;
	const uint8_t *p; /* what is left to read */
	const uint8_t *end;
	int8_t magic;
	int16_t attributes;
	int32_t left;        /* magic 2: records that must still come */
	int64_t base_offset; /* offset = base_offset + delta (magic 2) or inner offset (old) */
	int64_t last_offset; /* magic 2: none may pass it; old formats: no bound */
	int64_t next_offset; /* the least offset that the next record may have */
	int64_t base_timestamp;
	bool one_timestamp; /* LogAppendTime: every record has base_timestamp */
	enum err err;       /* sticky */
	struct errmsg why;
};

/* An empty reader, which records_reader_start opens, again and again. */
void records_reader_init(struct records_reader *rr);
void records_reader_fini(struct records_reader *rr);

/* As records_reader_open. After an error the reader has no records. */
enum err records_reader_start(struct records_reader *rr, struct bytes whole, size_t limit,
			      struct errmsg *why) ERR_MUST_USE;

/* Read encoded records of magic 2 that have no head: offsets are 0 to count - 1. */
void records_reader_start_bare(struct records_reader *rr, struct bytes payload, int32_t count,
			       int64_t base_timestamp);

#endif
