/* SPDX-License-Identifier: Apache-2.0 */
/* What a consumer's JoinGroup metadata say: the topics that it subscribes to. */
#ifndef FARSHORE_CLUSTER_GROUP_SUBSCRIPTION_H
#define FARSHORE_CLUSTER_GROUP_SUBSCRIPTION_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/base/map.h"

/*
 * Add the topics to `out` as keys. The bytes are a client's and are read as Kafka's
 * ClassicGroup.computeSubscribedTopics does: a version, then version 0 of
 * ConsumerProtocolSubscription, which every later version begins with.
 * ERR_MALFORMED: nothing is known of its topics. ERR_NOMEM.
 */
enum err subscription_topics(struct bytes metadata, struct map *out) ERR_MUST_USE;

#endif
