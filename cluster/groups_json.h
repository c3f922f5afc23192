/* SPDX-License-Identifier: Apache-2.0 */
/* What /v1/groups shows: consumer groups, their committed offsets and their lag. */
#ifndef FARSHORE_CLUSTER_GROUPS_JSON_H
#define FARSHORE_CLUSTER_GROUPS_JSON_H

#include "cluster/broker.h"
#include "lib/base/buf.h"

/*
 * Append {"groups":[{group, state, protocol_type, members, offsets:[{topic, partition, offset, end,
 * lag}]}]}. `end` is the high watermark; it and `lag` are -1 where the partition is not there (any
 * more). Bytes of a name that are not UTF-8 become "?". `only` NULL: all groups. The error of `out`
 * says if it did not fit.
 */
void groups_json(const struct groups *g, const struct metadata *m, const char *only,
		 struct buf *out);

#endif
