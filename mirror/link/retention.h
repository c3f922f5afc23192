/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches how near the source's retention comes to what is not copied yet, and warns before it
 * overtakes (event retention_near; headroom.h). Fetch answers tell where a log starts; partitions
 * that wait and fetch nothing (the target is away, an operator paused them) are asked about every
 * few seconds, many in one request.
 */
#ifndef FARSHORE_MIRROR_RETENTION_H
#define FARSHORE_MIRROR_RETENTION_H

#include "mirror/link/link_parts.h"

struct retention;

enum err retention_new(struct link *k, struct retention **out) ERR_MUST_USE;
/* After the link's clients were freed. NULL is safe. */
void retention_free(struct retention *r);

/* Once a second. */
void retention_tick(struct retention *r);

#endif
