/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source positions to target positions. A table is believed once its partition was seen to copy
 * since the process started (the ends of both logs were compared with it then), and not while the
 * partition's state says that it may be wrong.
 *
 * A topic of the source may itself be a copy from the target ("west.orders", going to west): then
 * the tables of the link in the other direction, which lie at the source, are asked backwards. They
 * may be a second old, so that a position past their end is clamped for so long.
 */
#include <stdio.h>

#include "mirror/clusters/reverse.h"
#include "mirror/config/naming.h"
#include "mirror/group/group_impl.h"

/* ---- topics ---- */

bool group_translate_topic(struct groups *g, struct bytes topic, char out[], bool *copy)
{
	const struct topic_entry *t = map_get(g->link->entries, topic);
	char name[TOPIC_NAME_MAX + 1];
	if (t != NULL) {
		snprintf(out, TOPIC_NAME_MAX + 1, "%s", t->target_name);
		/* The other link copies the same topic to here. */
		*copy = g->link->reverse != NULL;
		return true;
	}
	if (topic.n == 0 || topic.n > TOPIC_NAME_MAX || memchr(topic.p, '\0', topic.n) != NULL)
		return false;
	snprintf(name, sizeof name, "%.*s", (int)topic.n, (const char *)topic.p);
	const char *original = naming_original(g->config, name);
	if (original == NULL || naming_is_internal(g->config, name))
		return false;
	snprintf(out, TOPIC_NAME_MAX + 1, "%s", original);
	*copy = true;
	return true;
}

/* The reverse link's tables: the link's own if it copies both ways under equal names. */
static const struct reverse *reverse_of(const struct groups *g)
{
	return g->link->reverse != NULL ? g->link->reverse : g->reverse;
}

enum err group_translate_follow(struct groups *g, const struct group_topic *t)
{
	char topic[TOPIC_NAME_MAX + 1];
	if (!t->copy)
		return ERR_OK;
	enum err e = client_follow_topic(g->link->target_client, t->target);
	if (e != ERR_OK || reverse_of(g) != NULL)
		return e;
	/* The other link's source is our target. */
	const struct link_config other = {.source = g->config->target};
	e = naming_runs_topic(&other, topic);
	if (e != ERR_OK)
		return e;
	const struct reverse_options o = {
		.loop = g->link->loop,
		.client = g->link->source_client,
		.link = g->config->name,
		.topic = topic,
		.budget = g->config->runs_budget,
	};
	return reverse_new(&o, &g->reverse);
}

void group_translate_stop(struct groups *g)
{
	reverse_stop(g->reverse);
}

void group_translate_free(struct groups *g)
{
	reverse_free(g->reverse);
	g->reverse = NULL;
}

/* ---- by this link's tables ---- */

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

static void by_own(const struct topic_entry *t, int32_t partition, int64_t offset,
		   struct group_translation *out)
{
	if (t == NULL || partition < 0 || partition >= t->slots_n)
		return;
	const struct slot *slot = t->slots[partition];
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
	out->pending = a.pending;
	out->uncopied = before_begin(p, offset);
	out->source_end = p->source_hw;
	int64_t unread = p->source_hw - later(offset, runs_src_end(p->runs));
	out->unread = unread > 0 ? unread : 0;
}

/* ---- by the reverse link's tables ---- */

/* Has the target still the topic that was copied to here? */
static bool same_topic(const struct groups *g, const struct group_topic *t, int32_t partition,
		       const struct run_entry *e)
{
	const struct client_topic *c = client_topic(g->link->target_client, t->target);
	if (c == NULL || c->error != ERR_OK || partition >= c->partitions_n)
		return false;
	return uuid_is_zero(&c->id) || uuid_is_zero(&e->info.topic_id) ||
	       uuid_eq(&c->id, &e->info.topic_id);
}

static const struct run_entry *by_reverse(const struct groups *g, const struct group_topic *t,
					  int32_t partition, int64_t offset,
					  struct group_translation *out)
{
	const struct reverse *r = reverse_of(g);
	const struct run_entry *e = NULL;
	struct runs_answer a;
	out->skip = GROUP_SKIP_REVERSE_UNKNOWN;
	if (r != NULL && reverse_ready(r, NULL))
		e = reverse_entry(r, t->target, partition);
	if (e == NULL || !runs_backward(e->runs, offset, &a))
		return NULL;
	out->skip = same_topic(g, t, partition, e) ? GROUP_SKIP_NONE : GROUP_SKIP_DOUBTFUL;
	if (out->skip != GROUP_SKIP_NONE) {
		out->why = "the target does not have the topic, or not the one that was copied";
		return NULL;
	}
	out->offset = a.offset;
	out->exact = a.exact;
	out->max_behind = a.max_behind;
	out->pending = a.pending;
	return e;
}

/* ---- by both ---- */

static bool answer_both(const struct runs *own, const struct runs *reverse, bool quiet,
			int64_t offset, struct runs_answer *a, struct runs_answer *b)
{
	if (!runs_forward(own, offset, a) || !runs_backward(reverse, offset, b))
		return false;
	/* No record that this link copied lies at or behind `offset`, and what it copies next lands
	 * behind all that is known to be there. */
	if (quiet && a->offset >= runs_dst_end(own))
		a->offset = later(a->offset, runs_src_end(reverse));
	return true;
}

bool group_translate_both(const struct runs *own, const struct runs *reverse, bool quiet,
			  int64_t offset, struct group_translation *out)
{
	struct runs_answer a, b, first;
	if (!answer_both(own, reverse, quiet, offset, &a, &b))
		return false;
	bool clear = true;
	int64_t apart = 0;
	if (a.offset < b.offset) {
		apart = b.offset - a.offset;
		clear = runs_forward(reverse, a.offset, &first) && first.exact &&
			first.offset >= offset;
	} else if (b.offset < a.offset) {
		apart = a.offset - b.offset;
		clear = runs_backward(own, b.offset, &first) && first.exact &&
			first.offset >= offset;
	}
	out->offset = a.offset < b.offset ? a.offset : b.offset;
	out->exact = a.exact && b.exact && clear;
	out->max_behind =
		out->exact ? 0 : later(a.max_behind, b.max_behind) + (apart > 0 ? apart : 1);
	out->pending = later(a.pending, b.pending);
	return true;
}

void group_translate(const struct groups *g, const struct group_topic *t, int32_t partition,
		     int64_t offset, struct group_translation *out)
{
	struct group_translation reverse = {.source_end = -1};
	*out = (struct group_translation){.skip = GROUP_SKIP_NOT_READY, .source_end = -1};
	/* Looked up each time: topics come and go. */
	const struct topic_entry *own = map_get(g->link->entries, bytes_str(t->source));
	const struct run_entry *e = t->copy ? by_reverse(g, t, partition, offset, &reverse) : NULL;
	if (t->copy && own == NULL) {
		*out = reverse;
		return;
	}
	by_own(own, partition, offset, out);
	if (out->skip != GROUP_SKIP_NONE || !t->copy)
		return;
	if (e == NULL) {
		*out = reverse;
		return;
	}
	const struct partition *p = own->slots[partition]->p;
	bool quiet = p->phase == PHASE_COPY && p->in_flight.n == 0 &&
		     p->src_acked == runs_src_end(p->runs);
	if (!group_translate_both(p->runs, e->runs, quiet, offset, out))
		out->skip = GROUP_SKIP_NOT_READY;
}
