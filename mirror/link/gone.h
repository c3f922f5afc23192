/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Topics that the source does not list any more. A listing leaves out what the user may not
 * describe, so each is asked for by its name: deleted, or hidden? Partitions show which. Where the
 * policy says so, the copy of a topic that stays deleted is deleted too.
 *
 * A copy is deleted only if the source, reachable all the time, has answered more than once over
 * `topic_deleted_wait` that there is no such topic; if no part of it is paused; if this link has
 * filled the target topic, that is still the very one (topic id), and it holds nothing else. With a
 * link in the other direction under equal names (two_way) only an entry of `policies` can ask for
 * it, since a deletion there would go back; what others wrote does not keep it then.
 */
#ifndef FARSHORE_MIRROR_GONE_H
#define FARSHORE_MIRROR_GONE_H

#include "mirror/link/link_parts.h"

struct gone;

enum err gone_new(struct link *k, struct gone **out) ERR_MUST_USE;
/* After the link's clients were freed. NULL is safe. */
void gone_free(struct gone *g);

/* The source lists the topic no more, or again. */
void gone_begin(struct gone *g, struct topic_entry *t);
void gone_end(struct topic_entry *t);

/* Once a second. */
void gone_tick(struct gone *g);

#endif
