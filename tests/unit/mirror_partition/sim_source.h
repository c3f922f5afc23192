/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model of a source partition: a log of record batches as a Kafka leader keeps it, with
 * transactions, aborts, markers, holes, leader epochs, retention, compaction and truncation. Every
 * record has content of its own, so that a copy can be told from every other.
 */
#ifndef FARSHORE_TESTS_SIM_SOURCE_H
#define FARSHORE_TESTS_SIM_SOURCE_H

#include "lib/base/frame.h"
#include "lib/client/fetch.h"
#include "lib/wire/batch.h"
#include "lib/wire/messages.h"
#include "tests/unit/rng.h"

enum sim_fate { SIM_OPEN, SIM_COMMITTED, SIM_ABORTED, SIM_MARKER };

struct sim_record {
	int64_t offset;
	int64_t id; /* index in struct sim_truth */
	int64_t timestamp;
};

/* All records that ever were at the source, in the order in which they came. */
struct sim_truth {
	struct sim_known {
		int64_t offset;
		uint64_t hash; /* record_hash, as a reader of the log sees it */
		enum sim_fate fate;
		bool gone;     /* compacted away */
		bool lost;     /* truncated, or its topic was deleted */
		int64_t topic; /* which of the source's topics: 0, 1, ... */
	} * v;
	size_t n, cap;
	int64_t topic; /* the present one */
};

struct sim_batch {
	uint8_t *p;
	size_t n;
	int64_t base, last;
	int64_t producer; /* -1: no transaction */
	enum sim_fate fate;
	struct batch_head head;
	struct sim_record *records;
	size_t records_n;
};

/* Its batches must never be copied: to the truth they are as good as aborted. */
enum { SIM_COPIER = 77 };

enum { SIM_PRODUCERS = 3, SIM_EPOCHS = 64, SIM_TXNS = 512 };

struct sim_txn {
	int64_t producer, first, last;
};

struct sim_source {
	struct rng *g;
	struct uuid id;
	bool holes;        /* batches are made with holes, too */
	bool plain;        /* no transactions */
	bool append_time;  /* some batches are stamped by the broker */
	bool copies;       /* some batches are what the link in the other direction wrote */
	int64_t value_max; /* bytes of filler */
	int64_t keys;      /* so many keys */
	struct sim_truth *truth;
	struct sim_batch *batches;
	size_t n, cap;
	int64_t start, end;
	struct {
		bool open;
		int64_t first;
	} txns[SIM_PRODUCERS];
	struct sim_txn aborted[SIM_TXNS];
	size_t aborted_n;
	struct {
		int32_t epoch;
		int64_t start;
	} epochs[SIM_EPOCHS];
	size_t epochs_n;
	int32_t newest_epoch; /* no epoch comes twice, also not after a truncation */
};

void sim_source_init(struct sim_source *s, struct rng *g, struct sim_truth *truth, int64_t start);
void sim_source_fini(struct sim_source *s);

/* One more batch of data, or the end of a transaction. */
void sim_source_append(struct sim_source *s);
/* End all transactions. */
void sim_source_settle(struct sim_source *s);
int64_t sim_source_stable(const struct sim_source *s); /* last stable offset */

void sim_source_elect(struct sim_source *s);
/* An unclean election: the log ends at `end` (or a little before), in a new epoch. */
void sim_source_truncate(struct sim_source *s, int64_t end);
void sim_source_retain(struct sim_source *s, int64_t start);
/* Drop records whose key comes again later; whole batches go where nothing is left. */
void sim_source_compact(struct sim_source *s);

/* The end of a leader epoch as OffsetForLeaderEpoch answers; -1 unknown. */
int64_t sim_source_epoch_end(const struct sim_source *s, int32_t epoch, int32_t *found);

/* What a read_committed fetch gives; free with sim_source_fetched. */
void sim_source_fetch(struct sim_source *s, int64_t offset, int32_t last_epoch, int64_t batches,
		      struct fetch_result *r);
void sim_source_fetched(struct fetch_result *r);

#endif
