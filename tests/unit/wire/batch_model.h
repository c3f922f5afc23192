/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the tests of record batches: random records, a plain encoder that shares no code with
 * lib/wire (but for compression), and the batches that Kafka's own classes made
 * (tests/fixtures/batches.txt).
 */
#ifndef FARSHORE_TESTS_WIRE_BATCH_MODEL_H
#define FARSHORE_TESTS_WIRE_BATCH_MODEL_H

#include "lib/base/arena.h"
#include "lib/wire/records.h"

struct rnd {
	uint64_t state;
};

/* A generator whose seed is printed; the environment's FARSHORE_SEED replays one. */
struct rnd rnd_new(void);
uint64_t rnd_next(struct rnd *r);
/* 0 .. n-1 */
uint32_t rnd_below(struct rnd *r, uint32_t n);
bool rnd_one_in(struct rnd *r, uint32_t n);
void rnd_fill(struct rnd *r, uint8_t *p, size_t n);

/* Records in order; their bytes live in the arena of whoever made them. */
struct model_list {
	struct record *v;
	size_t n;
	size_t cap;
};

void model_list_add(struct model_list *l, const struct record *r);
void model_list_free(struct model_list *l);

/* A record with random key, value and, in magic 2, headers; sizes up to about `size`. */
struct record model_record(struct rnd *rnd, struct arena *a, int8_t magic, uint32_t size);

struct model_style {
	int8_t magic;
	enum batch_codec codec;
	bool log_append_time; /* readers see `append_time` in every record */
	int64_t append_time;
	bool horizon;           /* bit 6 and a base timestamp that is no record's */
	bool transactional;     /* bits that mean nothing to the payload */
	bool broken_lz4;        /* the head checksum of old writers, KAFKA-3160 */
	int32_t offsets_before; /* of records that compaction took, in front and behind */
	int32_t offsets_behind;
};

/* Encode the records as one batch (magic 2), one wrapper (old, compressed) or one entry each (old,
 * plain) at the end of `out`. */
void model_encode(const struct record *v, size_t n, const struct model_style *s, struct buf *out);

/* Make the checksum of a damaged batch or old entry right again. */
void model_seal(uint8_t *whole, size_t n);

/* CRC-32C bit by bit. */
uint32_t model_crc32c(const uint8_t *p, size_t n);

struct fixture_batch {
	char name[64];
	struct bytes whole; /* a block of its own, so that ASan sees an overrun */
	struct model_list records;
};

struct fixtures {
	struct fixture_batch *v;
	size_t n;
	struct arena arena;
};

struct fixtures fixtures_load(void);
void fixtures_free(struct fixtures *f);
const struct fixture_batch *fixtures_find(const struct fixtures *f, const char *name);

#endif
