/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One pass of compaction over a log, batch by batch (Kafka's Cleaner.java, MemoryRecords.filterTo;
 * KIP-534 for the delete horizon). The caller reads and writes the segments.
 *
 * Phase 1, cleaner_pass_index: every batch from the first dirty offset up to the first uncleanable
 * one, in order. The last offset of each key is noted in a table of bounded memory; where the table
 * is full, the pass ends: see cleaner_pass_end.
 * Phase 2, cleaner_pass_rewrite: every batch from the log's start (also those that are clean
 * already) up to cleaner_pass_end. What it gives is the new content of the segments.
 *
 * A record is dropped when the same key comes again below cleaner_pass_end, when it has no key, or
 * when it is a tombstone whose batch is past its delete horizon. Offsets, the batch's first and
 * last offset, its producer, sequence and leader epoch never change.
 *
 * Control and transactional batches go through as they are, and keys in them displace nothing:
 * which of them are aborted is not known here.
 *
 * Pure: runs on a worker thread.
 */
#ifndef FARSHORE_CLUSTER_LOG_CLEANER_PASS_H
#define FARSHORE_CLUSTER_LOG_CLEANER_PASS_H

#include "lib/base/buf.h"
#include "lib/wire/batch.h"

enum { CLEANER_PASS_MEMORY_MIN = 64 * 1024 };

struct cleaner_pass_options {
	size_t memory;   /* bytes for the table (>= CLEANER_PASS_MEMORY_MIN); 32 bytes a key */
	uint64_t key[2]; /* random: the table's hash is keyed, so that nobody can make collisions */
	int64_t from;    /* first dirty offset: what is below was cleaned before */
	int64_t until;   /* first uncleanable offset; more than `from` */
	int64_t now_ms;
	int64_t delete_retention_ms;
	size_t inflate_max; /* bytes that one batch may decompress to: validate_inflate_max */
	/* True: keep this batch even without records (producers_is_last). */
	bool (*is_last)(void *arg, const struct batch_head *h);
	void *arg;
};

struct cleaner_pass_stats {
	uint64_t batches_read, batches_kept;
	uint64_t records_read, records_kept;
	uint64_t bytes_read, bytes_kept;
	uint64_t no_key;     /* records that were dropped for having none */
	uint64_t tombstones; /* dropped past their horizon */
	/* Batches kept as they are, since their payload cannot be read though the checksum is
	 * right, or is over inflate_max: only their producer can have made them so. */
	uint64_t unreadable;
	uint64_t keys;
};

struct cleaner_pass;

/* ERR_NOMEM. The options are copied. */
enum err cleaner_pass_new(const struct cleaner_pass_options *o,
			  struct cleaner_pass **out) ERR_MUST_USE;
void cleaner_pass_free(struct cleaner_pass *c); /* NULL is safe */

/*
 * Phase 1: exactly one whole batch. *full: the table took no more; stop.
 * ERR_CORRUPT: checksum; ERR_MALFORMED: head, or offsets that do not rise. ERR_NOMEM. After an
 * error the pass must be given up; the segments stand as they were.
 */
enum err cleaner_pass_index(struct cleaner_pass *c, struct bytes batch, bool *full,
			    struct errmsg *why) ERR_MUST_USE;

/*
 * The first offset that this pass does not clean: `until`, or where the table was full. It may lie
 * inside a batch, whose later records are kept then. Call it after phase 1. More than `from`, if
 * any batch was indexed: each pass makes headway.
 */
int64_t cleaner_pass_end(const struct cleaner_pass *c);

/*
 * Phase 2: append what is left of a batch to `out`: nothing, the same bytes, or a new batch. `h` is
 * its head when something was appended; `h->length` is 0 otherwise.
 * ERR_CORRUPT, ERR_MALFORMED, as above. ERR_LIMIT: out->max (codec_compress wants 80 KiB more than
 * it writes). ERR_NOMEM. `out` is as long as before then.
 */
enum err cleaner_pass_rewrite(struct cleaner_pass *c, struct bytes batch, struct buf *out,
			      struct batch_head *h, struct errmsg *why) ERR_MUST_USE;

const struct cleaner_pass_stats *cleaner_pass_stats(const struct cleaner_pass *c);

#endif
