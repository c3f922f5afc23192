/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The named states of a mirrored partition, and of a link (the worst of its partitions, or its
 * own).
 *
 *   STARTING -> CATCHING_UP <-> ACTIVE
 *                      +-> SOURCE_UNAVAILABLE --+   (retried by itself, with back-off)
 *                      +-> TARGET_UNAVAILABLE --+
 *                      +-> REFUSED -------------+   (retried every 30 s, and when the topic's
 *                                                     configuration at the target changed)
 *                      +-> DATA_LOSS, TOPIC_RECREATED, SOURCE_TRUNCATED, FOREIGN_WRITE
 *                          (stopped until a person decides: an emptied target topic is copied
 *                          afresh; or, by policy, left for STARTING once the gap record is
 *                          durable)
 *
 * TARGET_TRUNCATED is passed through: the lost tail is copied again from where the run table says.
 * PAUSED is an operator's wish and can come from and go to every state, but for those that are
 * stopped until a person decides: they stay to be seen.
 */
#ifndef FARSHORE_MIRROR_STATE_H
#define FARSHORE_MIRROR_STATE_H

#include <stdbool.h>

/* clang-format off */
/* X(name, needs a person): in order of badness, so that a link shows its worst partition. */
#define MIRROR_STATES(X) \
	X(ACTIVE,             false) \
	X(CATCHING_UP,        false) \
	X(STARTING,           false) \
	X(PAUSED,             false) \
	X(TARGET_TRUNCATED,   false) \
	X(SOURCE_UNAVAILABLE, false) \
	X(TARGET_UNAVAILABLE, false) \
	X(REFUSED,            true) \
	X(TOPIC_RECREATED,    true) \
	X(SOURCE_TRUNCATED,   true) \
	X(FOREIGN_WRITE,      true) \
	X(DATA_LOSS,          true)

enum mirror_state {
#define X(name, person) STATE_##name,
	MIRROR_STATES(X)
#undef X
	STATE_COUNT
};
/* clang-format on */

/* "ACTIVE", ... Static storage. */
const char *mirror_state_name(enum mirror_state s);

/* True if only a person can end this state (or, for REFUSED, mend its cause). */
bool mirror_state_needs_person(enum mirror_state s);

/* True if records flow in this state. */
bool mirror_state_moves(enum mirror_state s);

/* True if `to` may follow `from`. */
bool mirror_state_allowed(enum mirror_state from, enum mirror_state to);

#endif
