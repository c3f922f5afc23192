/* SPDX-License-Identifier: Apache-2.0 */
/* Replicas that clients choose themselves: with one node there is one choice. */
#ifndef FARSHORE_CLUSTER_API_ASSIGNMENT_H
#define FARSHORE_CLUSTER_API_ASSIGNMENT_H

#include "lib/base/err.h"

/* The brokers of one partition, against node `self`. ERR_KAFKA_INVALID_REPLICA_ASSIGNMENT with the
 * words of ReplicationControlManager.java. */
enum err assignment_check(int32_t self, const int32_t *brokers, int32_t n,
			  struct errmsg *why) ERR_MUST_USE;

#endif
