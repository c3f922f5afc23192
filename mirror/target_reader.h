/* SPDX-License-Identifier: Apache-2.0 */
/* Reads records of a target partition outside any fetch session: for the alignment after a crash.
 */
#ifndef FARSHORE_MIRROR_TARGET_READER_H
#define FARSHORE_MIRROR_TARGET_READER_H

#include "lib/client/client.h"

/* One Fetch from `offset`. `done` comes once, from the loop: the record set (borrowed; whole
 * batches, perhaps a cut one at the end) and the partition's high watermark. ERR_NOMEM: `done` will
 * not come. */
enum err target_read(struct client *c, const char *topic, int32_t partition, int64_t offset,
		     void (*done)(void *arg, enum err e, struct bytes records, int64_t end),
		     void *arg) ERR_MUST_USE;

#endif
