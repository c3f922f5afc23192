/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which batches of a read_committed fetch response are committed data: what Kafka's consumer
 * decides in CompletedFetch.nextFetchedRecord (KIP-98), batch by batch.
 *
 * A response lists the aborted transactions that overlap it: producer id and first offset. A
 * producer becomes "aborted" with the first batch that ends at or after that offset, and stops
 * being so at its abort marker. Transactional batches of an aborted producer are dropped; control
 * batches always are.
 */
#ifndef FARSHORE_MIRROR_ABORTED_H
#define FARSHORE_MIRROR_ABORTED_H

#include "lib/base/err.h"
#include "lib/wire/batch.h"

struct fetch_response_aborted_transaction;
struct aborted_producer;
struct aborted_start;

/* State of one partition of one response; the fields are aborted.c's. */
struct aborted_filter {
	struct aborted_start *starts;       /* by first offset; those before `at` were consumed */
	struct aborted_producer *producers; /* by id */
	size_t starts_n, at;
};

enum aborted_verdict {
	ABORTED_KEEP,         /* committed, or not part of a transaction */
	ABORTED_DROP,         /* data of an aborted transaction */
	ABORTED_DROP_CONTROL, /* a marker: not a record */
	ABORTED_MALFORMED     /* a marker that cannot be read: the response is not to be trusted */
};

/* `list` is the response's (borrowed for the call only), `n` its count; n <= 0 (null or none, or
 * read_uncommitted) drops control batches only and allocates nothing. ERR_NOMEM: the filter holds
 * nothing. */
enum err aborted_filter_init(struct aborted_filter *f,
			     const struct fetch_response_aborted_transaction *list,
			     int32_t n) ERR_MUST_USE;
void aborted_filter_fini(struct aborted_filter *f);

/* Decide about the next batch, in offset order, every batch of the response once. `whole` is all of
 * it; only a control batch's payload is read, after its checksum was checked. Entries of magic 0
 * and 1 have no producer: they are kept without asking. `why` is set for ABORTED_MALFORMED. */
enum aborted_verdict aborted_filter_next(struct aborted_filter *f, const struct batch_head *h,
					 struct bytes whole, struct errmsg *why) ERR_MUST_USE;

#endif
