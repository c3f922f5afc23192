/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source positions to target positions. A table is believed once its partition was seen to copy
 * since the process started (the ends of both logs were compared with it then), and not while the
 * partition's state says that it may be wrong.
 */
#include <stdio.h>

#include "mirror/group_impl.h"
#include "mirror/naming.h"

bool group_translate_topic(struct groups *g, struct bytes topic, char out[])
{
	const struct topic_entry *t = map_get(g->link->entries, topic);
	if (t == NULL)
		return false;
	snprintf(out, TOPIC_NAME_MAX + 1, "%s", t->target_name);
	return true;
}

static enum group_skip judge(const struct slot *slot)
{
	switch (slot->p->state) {
	case STATE_ACTIVE:
	case STATE_CATCHING_UP:
		return GROUP_SKIP_NONE;
	case STATE_STARTING:
		return GROUP_SKIP_NOT_READY;
	case STATE_PAUSED:
	case STATE_SOURCE_UNAVAILABLE:
	case STATE_TARGET_UNAVAILABLE:
	case STATE_REFUSED:
	case STATE_DATA_LOSS:
		return slot->settled ? GROUP_SKIP_NONE : GROUP_SKIP_NOT_READY;
	case STATE_TARGET_TRUNCATED:
	case STATE_TOPIC_RECREATED:
	case STATE_SOURCE_TRUNCATED:
	case STATE_FOREIGN_WRITE:
	case STATE_COUNT:
		break;
	}
	return GROUP_SKIP_DOUBTFUL;
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* Source offsets from `offset` on that lie before the copy's begin, and still stand there: a link
 * that starts with the latest records never copies them. */
static int64_t before_begin(const struct partition *p, int64_t offset)
{
	struct runs_past past;
	if (!p->env->start_latest)
		return 0;
	runs_past_at(p->runs, 0, &past);
	int64_t begin = past.src >= 0 ? past.src : runs_src_start(p->runs);
	int64_t from = later(offset, p->source_start);
	return begin > from ? begin - from : 0;
}

void group_translate(const struct groups *g, const struct group_topic *t, int32_t partition,
		     int64_t offset, struct group_translation *out)
{
	*out = (struct group_translation){.skip = GROUP_SKIP_NOT_READY, .source_end = -1};
	if (t->entry == NULL || partition < 0 || partition >= t->entry->slots_n)
		return;
	const struct slot *slot = t->entry->slots[partition];
	const struct partition *p = slot->p;
	struct runs_answer a;
	out->why = p->reason.text[0] != '\0' ? p->reason.text : NULL;
	out->skip = judge(slot);
	if (out->skip == GROUP_SKIP_NONE && !runs_forward(p->runs, offset, &a))
		out->skip = GROUP_SKIP_NOT_READY;
	if (out->skip != GROUP_SKIP_NONE)
		return;
	out->offset = a.offset;
	out->exact = a.exact;
	out->max_behind = a.max_behind;
	int64_t most = a.offset;
	if (p->env->two_way && !two_way_bound(g->link, slot, offset, &most)) {
		out->skip = GROUP_SKIP_REVERSE_UNKNOWN;
		return;
	}
	if (most < a.offset) {
		out->offset = most;
		out->exact = false;
		out->max_behind += a.offset - most;
	}
	out->pending = a.pending;
	out->uncopied = before_begin(p, offset);
	out->source_end = p->source_hw;
	int64_t unread = p->source_hw - later(offset, runs_src_end(p->runs));
	out->unread = unread > 0 ? unread : 0;
}
