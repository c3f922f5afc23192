/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What MirrorMaker 2 (MM2) says about the partitions that a link takes over from it: its stored
 * positions (`mm2-offsets.<source>.internal`) and its offset syncs, and whether it still runs. Read
 * when the first partition asks; a partition that has a run table never does.
 *
 * Partitions that must wait (until that is read, until MM2 is stopped, until others are done: the
 * memory of all takeovers together is bounded) stand in line.
 */
#ifndef FARSHORE_MIRROR_TAKEOVER_H
#define FARSHORE_MIRROR_TAKEOVER_H

#include "mirror/link/link_parts.h"

struct takeover;

enum err takeover_new(struct link *k, struct takeover **out) ERR_MUST_USE;
/* After the link's clients were freed. NULL is safe. */
void takeover_free(struct takeover *t);

/* See struct partition_host. */
bool takeover_begin(struct takeover *t, struct slot *slot, struct takeover_words *words);
void takeover_end(struct takeover *t, struct slot *slot, const struct retrace_result *result);
void takeover_forget(struct takeover *t, struct slot *slot);

/* Once a second. */
void takeover_tick(struct takeover *t);

#endif
