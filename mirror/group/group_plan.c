/* SPDX-License-Identifier: Apache-2.0 */
/* What is to be done about one position at the target. Pure: the rules of groups.h stand here. */
#include "mirror/group/group_impl.h"

const char *group_skip_word(enum group_skip s)
{
	static const char *const words[] = {
#define X(name, word, text) word,
		GROUP_SKIPS(X)
#undef X
	};
	return words[s];
}

const char *group_skip_text(enum group_skip s)
{
	static const char *const texts[] = {
#define X(name, word, text) text,
		GROUP_SKIPS(X)
#undef X
	};
	return texts[s];
}

/* The target is further than the translation. */
static struct group_plan plan_back(const struct group_position *p, bool follow_rewinds)
{
	if (p->rewound == 0)
		return (struct group_plan){.skip = GROUP_SKIP_TARGET_AHEAD};
	if (!follow_rewinds)
		return (struct group_plan){.skip = GROUP_SKIP_REWOUND};
	if (p->target != p->placed)
		return (struct group_plan){.skip = GROUP_SKIP_TARGET_MOVED};
	return (struct group_plan){.commit = p->rewound == 2, .open = true};
}

struct group_plan group_plan(const struct group_position *p, const struct group_translation *t,
			     bool follow_rewinds, bool active)
{
	struct group_plan plan = {.skip = t->skip, .open = true};
	if (t->skip != GROUP_SKIP_NONE)
		return plan;
	plan.open = false;
	if (p->target == GROUP_UNSEEN || p->target < t->offset)
		plan.commit = true;
	else if (p->target == t->offset)
		plan.commit = p->metadata_differs;
	else
		plan = plan_back(p, follow_rewinds);
	if (plan.commit && active)
		return (struct group_plan){.skip = GROUP_SKIP_TARGET_ACTIVE, .open = true};
	plan.open = plan.open || plan.commit || t->pending > 0;
	return plan;
}
