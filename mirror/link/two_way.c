/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a link does that copies topics both ways together with another one, under equal names: it
 * follows the run tables that the other stores at its source, and leaves out what the other wrote.
 * (What changes at the target is in partition_shared.c.)
 *
 * A partition for which a batch's origin is not known yet waits in a list of the link.
 */
#include "mirror/config/naming.h"
#include "mirror/link/link_parts.h"

/* Those that wait ask again; who is told "unknown" again comes into the new list. */
static void on_origin(void *arg)
{
	struct link *k = arg;
	struct slot *list = k->origin_slots;
	k->origin_slots = NULL;
	while (list != NULL) {
		struct slot *slot = list;
		list = slot->origin_next;
		slot->origin_queued = false;
		partition_on_origin(slot->p);
	}
}

enum origin_verdict two_way_origin(struct link *k, struct slot *slot, const struct batch_head *h)
{
	enum origin_verdict v = origin_of(k->origin, slot->topic->source_name, slot->p->index, h);
	if (v == ORIGIN_UNKNOWN && !slot->origin_queued) {
		slot->origin_queued = true;
		slot->origin_next = k->origin_slots;
		k->origin_slots = slot;
	}
	return v;
}

static void on_reverse(void *arg)
{
	struct link *k = arg;
	k->two_way_begin(k);
}

enum err two_way_new(struct link *k, void (*begin)(struct link *k))
{
	char topic[TOPIC_NAME_MAX + 1];
	if (!k->config->two_way)
		return ERR_OK;
	/* That of the link in the other direction, whose source is our target. */
	const struct link_config other = {.source = k->config->target};
	enum err e = naming_runs_topic(&other, topic);
	if (e != ERR_OK)
		return e;
	const struct reverse_options r = {
		.loop = k->loop,
		.client = k->source_client,
		.link = k->config->name,
		.topic = topic,
		.budget = k->config->runs_budget,
	};
	e = reverse_new(&r, &k->reverse);
	if (e != ERR_OK)
		return e;
	k->two_way_begin = begin;
	k->reverse_watch = (struct reverse_watch){.fn = on_reverse, .arg = k};
	reverse_watch(k->reverse, &k->reverse_watch);
	const struct origin_options o = {
		.loop = k->loop,
		.client = k->source_client,
		.reverse = k->reverse,
		.changed = on_origin,
		.arg = k,
	};
	return origin_new(&o, &k->origin);
}

void two_way_stop(struct link *k)
{
	reverse_stop(k->reverse);
}

void two_way_free(struct link *k)
{
	origin_free(k->origin);
	reverse_free(k->reverse);
	k->origin = NULL;
	k->reverse = NULL;
}

void two_way_on_metadata(struct link *k)
{
	if (k->reverse != NULL)
		reverse_on_metadata(k->reverse);
}

bool two_way_ready(const struct link *k, struct errmsg *why)
{
	return k->reverse == NULL || reverse_ready(k->reverse, why);
}

bool two_way_problem(const struct link *k, struct errmsg *why)
{
	return k->origin != NULL && origin_problem(k->origin, why);
}
