/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A position of MirrorMaker 2's source connector, as Kafka Connect keeps it in
 * `mm2-offsets.<source>.internal` (MirrorUtils.wrapPartition and wrapOffset, OffsetStorageWriter):
 *
 *   key    ["MirrorSourceConnector",{"cluster":"east","partition":0,"topic":"orders"}]
 *   value  {"offset":1233}     the last source offset whose copy was acknowledged
 */
#ifndef FARSHORE_MIRROR_MM2_POSITION_H
#define FARSHORE_MIRROR_MM2_POSITION_H

#include <stdint.h>

#include "lib/base/bytes.h"
#include "lib/base/err.h"

enum { MM2_POSITION_TOPIC_MAX = 249, MM2_POSITION_ALIAS_MAX = 249 };

struct mm2_position {
	char cluster[MM2_POSITION_ALIAS_MAX + 1]; /* the source's alias */
	char topic[MM2_POSITION_TOPIC_MAX + 1];   /* its name on the source */
	int32_t partition;
	int64_t offset; /* -1: the position was deleted */
};

/*
 * Decode a record that anybody may have written. The connector may have any name: its kind shows by
 * the fields. ERR_NOT_FOUND: a record of another connector (MM2 keeps those of its heartbeats and
 * checkpoints there, too). ERR_MALFORMED: no JSON, or not of this form; ERR_LIMIT: too large;
 * ERR_NOMEM. `why` tells.
 */
enum err mm2_position_decode(struct bytes key, struct bytes value, struct mm2_position *out,
			     struct errmsg *why) ERR_MUST_USE;

#endif
