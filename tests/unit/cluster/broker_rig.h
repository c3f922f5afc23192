/* SPDX-License-Identifier: Apache-2.0 */
/* A whole broker on a temporary directory, and clients of it on socket pairs, in one thread. */
#ifndef FARSHORE_TESTS_BROKER_RIG_H
#define FARSHORE_TESTS_BROKER_RIG_H

#include "tests/unit/base/unit.h"

#include "cluster/broker.h"
#include "lib/wire/batch.h"
#include "lib/wire/messages.h"

enum { RIG_BATCH_MAX = 4096 };

struct rig {
	struct loop *loop;
	struct broker *broker;
	struct broker_config config;
	struct arena arena; /* answers live here until rig_fini */
	const char *client_id;
	char dir[64];
	int32_t correlation;
	struct uuid topic_id; /* of the topic made last */
};

/* Settings as in --set, ended by NULL; fsync is "never" unless they say so. */
void rig_init(struct rig *r, const char *const *sets);
void rig_fini(struct rig *r);
/* Clean stop, and start on the same directory. */
void rig_restart(struct rig *r, const char *const *sets);

int rig_connect(struct rig *r);
void rig_run(struct rig *r, int turns);

/* Send; the answer comes with rig_receive. Returns the correlation id. */
int32_t rig_send(struct rig *r, int fd, int16_t key, int16_t version, const void *msg);
/* The next answer, decoded; waits for it. NULL: the connection was closed. */
void *rig_receive(struct rig *r, int fd, int16_t key, int16_t version);
/* True if an answer is there. */
bool rig_answered(struct rig *r, int fd);
/* Both. */
void *rig_call(struct rig *r, int fd, int16_t key, int16_t version, const void *msg);

/* Make a topic; it must not exist. */
void rig_topic(struct rig *r, int fd, const char *name, int32_t partitions);

/* A batch of `count` records of `value` bytes each, at this time. */
size_t rig_batch(uint8_t out[RIG_BATCH_MAX], int32_t count, size_t value, int64_t timestamp);

/* A request with one partition; the parts live in the struct. */
struct rig_produce {
	struct produce_request m;
	struct produce_request_topic_produce_data topic;
	struct produce_request_partition_produce_data part;
};
const struct produce_request *rig_produce(struct rig_produce *p, const char *topic, int16_t acks,
					  struct bytes records);
/* The one partition of its answer. */
const struct produce_response_partition_produce_response *rig_produced(const void *answer);

/* Append one batch to partition 0 and return its base offset; it must be taken. */
int64_t rig_write(struct rig *r, int fd, const char *topic, int32_t count, size_t value);

struct rig_fetch {
	struct fetch_request m;
	struct fetch_request_fetch_topic topic;
	struct fetch_request_fetch_partition parts[4];
};
/* Sessionless, one partition, no wait, large limits. */
struct fetch_request *rig_fetch(struct rig_fetch *f, const char *topic, int64_t offset);
const struct fetch_response_partition_data *rig_fetched(const void *answer);

#endif
