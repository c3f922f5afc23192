/* SPDX-License-Identifier: Apache-2.0 */
/* Where a position lies on the other side, for groups and for who asks by HTTP. No I/O. */
#ifndef FARSHORE_MIRROR_GROUP_TRANSLATE_H
#define FARSHORE_MIRROR_GROUP_TRANSLATE_H

#include "checkpoint/runs.h"
#include "mirror/group/groups.h"

/* The source position `offset` as it is on the target. */
struct group_translation {
	enum group_skip skip; /* not GROUP_SKIP_NONE: there is no answer, the rest says nothing */
	int64_t offset;
	bool exact;
	int64_t max_behind; /* see runs.h */
	int64_t pending;    /* source offsets between the mirrored end and the position */
	int64_t uncopied; /* source offsets from the position on that lie before the copy's begin */
	int64_t source_end; /* the source's high watermark as last seen; -1 unknown */
	int64_t unread;  /* source offsets that are not mirrored and that the group has not read */
	const char *why; /* detail of `skip`, or NULL; valid until the loop turn ends */
};

/*
 * Two links copy a topic both ways under one name: the source's log has records of its own, which
 * this link copies (`own`), and copies of the target's (`reverse`, the other link's table, from the
 * target to here); the target's log has both in another order. All that the group has not read lies
 * at the target at or after the earlier of the two answers; what lies between them may have been
 * read. The earlier one is exact if no record there comes from before the group's position.
 * `quiet`: nothing that this link sent is still on its way. Fills in the offset and how sure it
 * is; false: one of the tables is empty.
 */
bool group_translate_both(const struct runs *own, const struct runs *reverse, bool quiet,
			  int64_t offset, struct group_translation *out);

#endif
