/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What to do, topic by topic, when a named state is reached: stop and wait for a person (the
 * default), or go on by a rule. From the link's settings `on_STATE` and its list `policies`, whose
 * entries read "PATTERN STATE=ACTION [STATE=ACTION ...]". For each state the first entry counts
 * whose pattern matches the topic's name at the source and that names the state; the link's
 * `on_STATE` is for what no entry says.
 */
#ifndef FARSHORE_MIRROR_POLICY_H
#define FARSHORE_MIRROR_POLICY_H

#include <stdbool.h>

#include "lib/base/err.h"

/* clang-format off */
/* X(name, word, what is done by default, what can be done instead) */
#define POLICY_EVENTS(X) \
	X(DATA_LOSS,        "data_loss",        "stop", "record_and_continue") \
	X(TOPIC_RECREATED,  "topic_recreated",  "stop", "restart") \
	X(SOURCE_TRUNCATED, "source_truncated", "stop", "record_and_continue") \
	X(REFUSED,          "refused",          "stop", "dead_letter") \
	X(FOREIGN_WRITE,    "foreign_write",    "stop", "record_and_continue") \
	X(TOPIC_DELETED,    "topic_deleted",    "keep", "delete")

enum policy_event {
#define X(name, word, safe, other) ON_##name,
	POLICY_EVENTS(X)
#undef X
	ON_EVENTS
};
/* clang-format on */

/* The two words of each event, for the table of settings; ends with NULL. */
extern const char *const policy_words[ON_EVENTS][3];

/* A topic's own policy. */
struct policy {
	bool acts[ON_EVENTS]; /* true: the second word is in force */
	bool asked;           /* topic_deleted was said by an entry of `policies`, not only by the
				 link's setting */
};

struct policies;

/* `link_acts`: the link's settings, by event. `list`: a comma list of entries (NULL: none).
 * ERR_CONFIG: `why` names the entry, what is wrong and what may stand there; ERR_NOMEM. Everything
 * is copied. */
enum err policies_new(const bool link_acts[ON_EVENTS], const char *list, struct policies **out,
		      struct errmsg *why) ERR_MUST_USE;
void policies_free(struct policies *p); /* NULL is safe */

struct policy policies_of(const struct policies *p, const char *source_topic);

#endif
