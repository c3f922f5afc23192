/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A link between two clusters of one scripted broker each, in the test's own loop. The brokers keep
 * logs in memory and answer as Kafka does; a test changes any answer by a twist. Time can be moved
 * ahead.
 */
#ifndef FARSHORE_TESTS_MIRROR_MODEL_H
#define FARSHORE_TESTS_MIRROR_MODEL_H

#include "lib/base/buf.h"
#include "lib/base/mem.h"
#include "lib/wire/records.h"
#include "mirror/clusters/topic_configs.h"
#include "mirror/link/link_parts.h"
#include "tests/unit/net/scripted_peer.h"

enum { MODEL_TOPICS = 4, MODEL_PARTS = 1100, MODEL_APIS = 64, MODEL_LOG_BYTES = 1 << 20 };

struct model_log {
	struct buf bytes; /* whole batches */
	int64_t start, end;
};

struct model_topic {
	char name[64];  /* "": no topic */
	struct uuid id; /* zero: the cluster has none */
	int32_t n;
	struct model_log parts[MODEL_PARTS];
	char max_batch[16]; /* max.message.bytes */
};

struct model {
	struct scripted_peer *peer;
	struct model_topic topics[MODEL_TOPICS];
	int64_t next_producer;
	/* Called when the answer is filled in, to change it; by API key. */
	scripted_handler *twists[MODEL_APIS];
	void *twist_arg;
	unsigned twisted; /* calls of twists */
};

struct pair {
	struct loop *loop;
	struct clock clock;
	int64_t skew_ms;
	struct log *log; /* into a file in memory */
	int log_fd;
	struct memory *memory;
	struct model source, target;
	char addresses[2][32];
	const char *bootstrap[2];
	struct cluster_config clusters[2];
	struct link_config config;
	struct link *link;
	const char *wanted; /* what is waited for: a part of the log, or of a reason */
};

/* Both brokers; the source has topic "t" with `partitions`, the target nothing. The link is not made
 * yet. */
void pair_init(struct pair *p, int32_t partitions);
void pair_fini(struct pair *p);
void pair_start(struct pair *p);
/* End the link in an orderly way. */
void pair_stop(struct pair *p);
/* The same, and free all. */
void pair_end(struct pair *p);

struct model_topic *model_topic(struct model *m, const char *name);
/* One batch of `n` records at the end of a partition; each value is its number. */
void model_append(struct model *m, const char *topic, int32_t partition, int n);
/* The same by a producer, as the idempotent one that it is. */
void model_append_by(struct model *m, const char *topic, int32_t partition, int n,
		     int64_t producer);
/* One record of these bytes. */
void model_append_pair(struct model *m, const char *topic, struct bytes key, struct bytes value);
/* A topic of one partition. */
void model_make(struct model *m, const char *topic);
/* Delete it. */
void model_remove(struct model *m, const char *topic);
/* Call `fn` for each record of these batches, which must be whole and right; how many there are. */
typedef void model_record_fn(void *arg, const struct record *r);
size_t model_each_record(struct bytes batches, model_record_fn *fn, void *arg);
/* Change the answers of an API from now on; NULL: no more. */
void model_twist(struct model *m, int16_t api, scripted_handler *fn, void *arg);

/* Turn the loop until `fn` says so (10 s at most), moving time ahead by `step_ms` a turn. */
void pair_wait(struct pair *p, bool (*fn)(struct pair *p), int64_t step_ms);
/* Until all is copied; until the log has `part`; until the first partition's reason has it. */
void pair_wait_copied(struct pair *p, int64_t step_ms);
void pair_wait_logged(struct pair *p, const char *part, int64_t step_ms);
void pair_wait_reason(struct pair *p, const char *part, int64_t step_ms);
/* Let that much time pass. */
void pair_pass(struct pair *p, int64_t ms, int64_t step_ms);
/* All of "t" is at the target, and the state of each partition is ACTIVE. */
bool pair_copied(struct pair *p);
/* The first partition of "t"; NULL before there is one. */
const struct partition *pair_partition(const struct pair *p);
unsigned pair_logged(const struct pair *p, const char *part);
bool pair_has_reason(const struct pair *p, const char *part);

#endif
