/* SPDX-License-Identifier: Apache-2.0 */
/* A group's coordinator is found, asked for all that the group committed, and each position is
 * translated by itself: a topic that this link does not mirror is told, not left out. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/mem.h"
#include "lib/client/coordinators.h"
#include "lib/client/group_offsets.h"
#include "lib/client/metadata.h"
#include "mirror/config/naming.h"
#include "tools/direct_impl.h"

enum { OFFSETS_MAX = 1000000, WHAT_MAX = 400 };

static void group_failed(struct direct *d, enum err e)
{
	if (d->ask.err == ERR_OK)
		d->ask.err = e;
}

static void asked(void *arg, enum err e, const struct errmsg *why)
{
	struct direct *d = arg;
	if (e != ERR_OK) {
		d->ask.err = e;
		d->ask.why = *why;
	}
	d->ask.done = true;
}

static void on_coordinator(void *arg, size_t index, enum err e, int32_t node)
{
	struct direct *d = arg;
	(void)index;
	d->coordinator = node;
	if (e != ERR_OK)
		group_failed(d, e);
}

/* Keep one committed offset. */
static enum err keep(struct direct *d, const struct group_offset *o)
{
	if (o->offset < 0 && o->err == ERR_OK)
		return ERR_OK; /* none is committed */
	if (d->offsets_n == OFFSETS_MAX)
		return ERR_LIMIT;
	if (o->partition < 0 || !metadata_topic_name_valid(o->topic))
		return ERR_MALFORMED;
	if (d->offsets_n == d->offsets_cap) {
		size_t cap = d->offsets_cap == 0 ? 64 : 2 * d->offsets_cap;
		struct direct_offset *more = mem_resize(d->offsets, cap, sizeof *more);
		if (more == NULL)
			return ERR_NOMEM;
		d->offsets = more;
		d->offsets_cap = cap;
	}
	const char *topic = arena_strndup(&d->arena, o->topic);
	if (topic == NULL)
		return ERR_NOMEM;
	d->offsets[d->offsets_n++] = (struct direct_offset){topic, o->partition, o->offset, o->err};
	return ERR_OK;
}

static void on_offsets(void *arg, size_t index, enum err e, struct group_offsets *o)
{
	struct direct *d = arg;
	struct group_offset one;
	(void)index;
	while (e == ERR_OK && group_offsets_next(o, &one))
		e = keep(d, &one);
	if (e != ERR_OK)
		group_failed(d, e);
}

/* One attempt: find the coordinator, ask it. */
static enum err fetch_once(struct direct *d, struct direct_side *s, const char *group,
			   const char *what, struct errmsg *why)
{
	static const struct coordinators_events find = {.on_group = on_coordinator,
							.on_done = asked};
	static const struct group_offsets_events fetch = {.on_group = on_offsets, .on_done = asked};
	const char *const *groups = &d->group;
	d->group = group;
	d->coordinator = -1;
	d->offsets_n = 0;
	struct direct_ask *ask = direct_begin(d);
	enum err e = coordinators_find(s->client, CLIENT_CHANNEL_CONTROL, groups, 1, &find, d);
	if (e != ERR_OK)
		return errmsg_set(why, e, "%s: %s", what, err_text(e));
	e = direct_wait(d, ask, what, why);
	if (e != ERR_OK)
		return e;
	ask = direct_begin(d);
	e = group_offsets_fetch(s->client, CLIENT_CHANNEL_CONTROL, d->coordinator, groups, 1,
				&fetch, d);
	if (e != ERR_OK)
		return errmsg_set(why, e, "%s: %s", what, err_text(e));
	return direct_wait(d, ask, what, why);
}

static enum err fetch(struct direct *d, struct direct_side *s, const char *group,
		      struct errmsg *why)
{
	char what[WHAT_MAX];
	enum err e;
	snprintf(what, sizeof what, "cluster %s, group %s", s->config->name, group);
	do
		e = fetch_once(d, s, group, what, why);
	while (e != ERR_OK && e != ERR_NOMEM && err_retriable(e) && direct_pause(d));
	if (e == ERR_OK && d->offsets_n == 0)
		return errmsg_set(why, ERR_NOT_FOUND, "%s: it has committed no offsets there",
				  what);
	return e;
}

static int by_place(const void *a, const void *b)
{
	const struct direct_offset *x = a, *y = b;
	int order = strcmp(x->topic, y->topic);
	return order != 0 ? order : (x->partition > y->partition) - (x->partition < y->partition);
}

/* Why a topic has no table. */
static const char *not_mirrored(struct direct *d, const char *topic,
				enum translate_direction direction)
{
	char text[DIRECT_TEXT_MAX];
	if (direction == TRANSLATE_BACK)
		return "it is no copy that this link made";
	if (!naming_is_cycle(d->link, topic))
		return "it is not mirrored by this link";
	snprintf(text, sizeof text, "it is a copy from %s: ask link %s->%s with --back",
		 d->link->target->name, d->link->target->name, d->link->source->name);
	return arena_strndup(&d->arena, bytes_str(text));
}

static enum err translate_one(struct direct *d, const struct direct_offset *o,
			      enum translate_direction direction, struct translation *out,
			      struct errmsg *why)
{
	bool back = direction == TRANSLATE_BACK;
	struct direct_partition p;
	*out = (struct translation){.link = d->link->name,
				    .topic = back ? "" : o->topic,
				    .target_topic = back ? o->topic : "",
				    .state = "",
				    .partition = o->partition,
				    .direction = direction,
				    .offset = o->offset < 0 ? 0 : o->offset};
	if (o->err != ERR_OK) {
		translate_fail(out, err_text(o->err));
		return ERR_OK;
	}
	enum err e = direct_find(d, o->topic, back, o->partition, &p, why);
	if (e == ERR_NOT_FOUND) {
		translate_fail(out, not_mirrored(d, o->topic, direction));
		return out->problem != NULL ? ERR_OK : errmsg_set(why, ERR_NOMEM, "out of memory");
	}
	if (e == ERR_OK)
		direct_translate(d, &p, direction, o->offset, out);
	return e;
}

enum err direct_group(struct direct *d, const char *group, enum translate_direction direction,
		      struct translation **list, size_t *n, struct errmsg *why)
{
	struct direct_side *s = direction == TRANSLATE_BACK ? &d->target : &d->source;
	if (s->problem.text[0] != '\0') {
		*why = s->problem;
		return ERR_CONNECT;
	}
	enum err e = fetch(d, s, group, why);
	if (e != ERR_OK)
		return e;
	if (d->offsets_n > 1)
		qsort(d->offsets, d->offsets_n, sizeof *d->offsets, by_place);
	struct translation *out = mem_zalloc(d->offsets_n, sizeof *out);
	if (out == NULL)
		return errmsg_set(why, ERR_NOMEM, "out of memory");
	for (size_t i = 0; i < d->offsets_n && e == ERR_OK; i++)
		e = translate_one(d, &d->offsets[i], direction, &out[i], why);
	if (e != ERR_OK) {
		mem_free(out);
		return e;
	}
	*list = out;
	*n = d->offsets_n;
	return ERR_OK;
}
