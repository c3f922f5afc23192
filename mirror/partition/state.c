/* SPDX-License-Identifier: Apache-2.0 */
/* Names and allowed moves of the states; the diagram is in state.h. */
#include "mirror/partition/state.h"

#include <stddef.h>

static const char *const names[STATE_COUNT] = {
#define X(name, person) #name,
	MIRROR_STATES(X)
#undef X
};

static const bool persons[STATE_COUNT] = {
#define X(name, person) person,
	MIRROR_STATES(X)
#undef X
};

const char *mirror_state_name(enum mirror_state s)
{
	return (unsigned)s < STATE_COUNT ? names[s] : "?";
}

bool mirror_state_needs_person(enum mirror_state s)
{
	return (unsigned)s < STATE_COUNT && persons[s];
}

bool mirror_state_moves(enum mirror_state s)
{
	return s == STATE_ACTIVE || s == STATE_CATCHING_UP;
}

bool mirror_state_allowed(enum mirror_state from, enum mirror_state to)
{
	if (from == to || to == STATE_PAUSED || from == STATE_PAUSED)
		return true;
	switch (from) {
	case STATE_ACTIVE:
	case STATE_CATCHING_UP:
	case STATE_STARTING:
		return true;
	case STATE_TARGET_TRUNCATED:
	case STATE_SOURCE_UNAVAILABLE:
	case STATE_TARGET_UNAVAILABLE:
	case STATE_REFUSED:
		/* Left through the resume procedure, which ends in copying or finds another fault.
		 * STARTING again, so that its text shows how a takeover goes on, only from a peer
		 * that is back. */
		return to != STATE_STARTING || from == STATE_SOURCE_UNAVAILABLE ||
		       from == STATE_TARGET_UNAVAILABLE;
	case STATE_TOPIC_RECREATED:
	case STATE_SOURCE_TRUNCATED:
	case STATE_FOREIGN_WRITE:
	case STATE_DATA_LOSS:
		/* A person acted: the target topic was made again. Or the policy goes on. */
		return to == STATE_STARTING;
	case STATE_PAUSED:
	case STATE_COUNT:
		break;
	}
	return false;
}
