/* SPDX-License-Identifier: Apache-2.0 */
/* What the handlers of partitions ask first. */
#ifndef FARSHORE_CLUSTER_API_ACCESS_H
#define FARSHORE_CLUSTER_API_ACCESS_H

#include "cluster/broker.h"

/*
 * May this broker serve the partition for a client that believes in `current_epoch` (-1: does not
 * say)? `p` may be NULL. ERR_OK: its log is open. ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
 * _KAFKA_STORAGE_ERROR, _FENCED_LEADER_EPOCH, _UNKNOWN_LEADER_EPOCH, _NOT_LEADER_OR_FOLLOWER, in
 * the order in which Kafka looks (Partition.scala, getLocalLog).
 */
enum err access_check(struct broker *b, const struct partition *p,
		      int32_t current_epoch) ERR_MUST_USE;

/* The Kafka code to answer; an error of ours counts as one of storage: the client tries again. */
int16_t access_code(enum err e);

#endif
