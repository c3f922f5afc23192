/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a batch of __consumer_offsets says, record by record. What is on the disk is not believed:
 * sizes are bounded, a record that cannot be read is left out, with one line that names its offset,
 * and what stands around it counts. So one damaged record costs one group its last change, not the
 * partition its coordinator.
 */
#ifndef FARSHORE_CLUSTER_GROUP_REPLAY_H
#define FARSHORE_CLUSTER_GROUP_REPLAY_H

#include "cluster/group/group_record.h"
#include "lib/base/log.h"
#include "lib/wire/batch.h"

struct replay {
	/* ERR_OK; ERR_NOMEM and ERR_LIMIT end the replay; every other error is a bad record, and
	 * `why` says what is wrong with it. */
	enum err (*apply)(void *arg, const struct group_record *r, struct errmsg *why);
	void *arg;
	struct log *log;   /* may be NULL */
	int32_t partition; /* for log lines */
	/* Counted. */
	uint64_t applied, skipped, bad;
};

/* ERR_NOMEM, ERR_LIMIT: it was not read to its end. All else that is wrong with it is counted and
 * logged. */
enum err replay_batch(struct replay *r, const struct batch_head *head,
		      struct bytes whole) ERR_MUST_USE;

#endif
