/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does a target topic hold more than this link wrote there? After a failover the copy may be the
 * topic that producers use. What the run tables know is held against where the partitions end,
 * asked of their leaders now: partitions of a topic that is gone at the source look at nothing by
 * themselves.
 */
#ifndef FARSHORE_MIRROR_GONE_CHECK_H
#define FARSHORE_MIRROR_GONE_CHECK_H

#include "mirror/link/link_parts.h"

/* `why` is empty: the copy holds nothing else. Else it says what it holds, or why that cannot be
 * known. */
typedef void gone_check_done(void *arg, struct topic_entry *t, const struct errmsg *why);

/* `done` comes once, perhaps from inside the call; not if the link is stopped meanwhile. ERR_NOMEM:
 * it will not come. */
enum err gone_check(struct topic_entry *t, gone_check_done *done, void *arg) ERR_MUST_USE;

#endif
