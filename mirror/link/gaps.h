/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gap records and dead letters of a link: writes them to `<source>.gaps.internal` and
 * `<source>.dead-letters.internal` on the target, and keeps the newest gap records for who asks
 * (those of before are read back at the start).
 */
#ifndef FARSHORE_MIRROR_GAPS_H
#define FARSHORE_MIRROR_GAPS_H

#include "mirror/link/link_parts.h"

struct gaps;

/* Asks nothing yet. ERR_NOMEM, ERR_LIMIT (a topic's name). */
enum err gaps_new(struct link *k, struct gaps **out) ERR_MUST_USE;
/* After the link's clients were freed. NULL is safe. */
void gaps_free(struct gaps *g);
/* Before they are: nothing more is asked of them. NULL is safe. */
void gaps_stop(struct gaps *g);

/* Read back what is recorded, once the target's metadata are there. */
void gaps_on_metadata(struct gaps *g);

/* Write; partition_on_recorded follows, and partition_on_parked. Borrowed for the call. */
void gaps_record(struct gaps *g, struct slot *slot, const struct gap *gap);
void gaps_park(struct gaps *g, struct slot *slot, const struct dead_letter *d);

/* The slot will be gone: no answer to it any more. */
void gaps_forget(struct gaps *g, struct slot *slot);

/* How many records are known (the newest GAPS_KEPT at most), and the i-th, oldest first: the value
 * as it is stored, JSON; valid until the next turn of the loop. */
enum { GAPS_KEPT = 4096 };
size_t gaps_count(const struct gaps *g);
struct bytes gaps_at(const struct gaps *g, size_t i);
/* True if older records are in the topic, which are not kept here. */
bool gaps_more(const struct gaps *g);
/* The topic that they are in. */
const char *gaps_topic(const struct gaps *g);
/* False while they are being read back. */
bool gaps_loaded(const struct gaps *g);

#endif
