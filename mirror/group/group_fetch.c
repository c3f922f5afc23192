/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the committed offsets of many groups at one cluster: first the coordinators that are not
 * known are asked for, then each coordinator about as many of its groups at once as make an answer
 * of a moderate size.
 */
#include <stdlib.h>

#include "lib/base/mem.h"
#include "lib/client/coordinators.h"
#include "mirror/group/group_impl.h"

enum {
	BATCHES_OUT = 4,         /* requests on their way */
	BATCH_POSITIONS = 16384, /* expected in one answer: about 1 MiB */
	BATCH_GROUPS = 1000,     /* in one request */
	UNKNOWN_POSITIONS = 128, /* expected of a group that was never asked */
	COORDINATOR_TEXT_MAX = 128,
};

struct batch {
	struct group_fetch *f;
	size_t n;
	bool told[BATCH_GROUPS];
	struct group *groups[BATCH_GROUPS];
	const char *names[BATCH_GROUPS];
};

static void pump(struct group_fetch *f);

static int32_t *node_of(const struct group_fetch *f, struct group *group)
{
	return f->target ? &group->target_node : &group->source_node;
}

static bool coordinator_moved(enum err e)
{
	return e == ERR_KAFKA_NOT_COORDINATOR || e == ERR_KAFKA_COORDINATOR_NOT_AVAILABLE;
}

static void note(const struct group_fetch *f, struct group *group, enum err e)
{
	char text[COORDINATOR_TEXT_MAX];
	snprintf(text, sizeof text, "reading its offsets at the %s: %s",
		 f->target ? "target" : "source", err_text(e));
	group_set_problem(group, f->target ? GROUP_AT_TARGET : GROUP_AT_SOURCE, text);
	group->open = true;
}

/* ---- offsets ---- */

static void on_group(void *arg, size_t index, enum err e, struct group_offsets *o)
{
	struct batch *b = arg;
	struct group *group = b->groups[index];
	b->told[index] = true;
	if (coordinator_moved(e)) {
		*node_of(b->f, group) = -1;
		group->ask = !b->f->target;
	}
	if (e != ERR_OK)
		note(b->f, group, e);
	else
		group->alone = false;
	b->f->each(b->f->g, group, e, o);
}

/* The groups that a failed request left without an answer. */
static void batch_failed(struct batch *b, enum err e, const struct errmsg *why)
{
	for (size_t i = 0; i < b->n; i++) {
		if (b->told[i])
			continue;
		/* Perhaps all together were too much. */
		b->groups[i]->alone = b->n > 1 && e != ERR_CANCELED;
		*node_of(b->f, b->groups[i]) = -1;
		note(b->f, b->groups[i], e);
	}
	group_sync_problem(b->f->g, e,
			   b->f->target ? "reading offsets at the target"
					: "reading offsets at the source",
			   why == NULL ? err_text(e) : why->text);
}

static void on_batch(void *arg, enum err e, const struct errmsg *why)
{
	struct batch *b = arg;
	struct group_fetch *f = b->f;
	if (e != ERR_OK)
		batch_failed(b, e, why);
	mem_free(b);
	f->out--;
	pump(f);
}

static size_t expected(const struct group *group)
{
	if (group->alone)
		return BATCH_POSITIONS;
	return group->known ? (size_t)group->positions_n + (size_t)group->elsewhere + 1
			    : UNKNOWN_POSITIONS;
}

/* As many of the next groups of one coordinator as go into one request. */
static void batch_fill(struct group_fetch *f, struct batch *b)
{
	size_t sum = 0;
	int32_t node = *node_of(f, f->list[f->at]);
	while (f->at < f->n && b->n < BATCH_GROUPS) {
		struct group *group = f->list[f->at];
		size_t more = expected(group);
		if (*node_of(f, group) != node || (b->n > 0 && sum + more > BATCH_POSITIONS))
			break;
		sum += more;
		b->groups[b->n] = group;
		b->names[b->n++] = group->name;
		f->at++;
	}
}

static bool batch_send(struct group_fetch *f)
{
	static const struct group_offsets_events events = {on_group, on_batch};
	struct batch *b = mem_zalloc(1, sizeof *b);
	if (b == NULL)
		return false;
	b->f = f;
	batch_fill(f, b);
	if (group_offsets_fetch(f->client, CLIENT_CHANNEL_GROUPS, *node_of(f, b->groups[0]),
				b->names, b->n, &events, b) != ERR_OK) {
		mem_free(b);
		return false;
	}
	f->out++;
	return true;
}

static void pump(struct group_fetch *f)
{
	while (!f->g->stopping && f->at < f->n && f->out < BATCHES_OUT) {
		if (*node_of(f, f->list[f->at]) < 0) {
			f->at++;
			continue;
		}
		if (batch_send(f))
			continue;
		group_sync_problem(f->g, ERR_NOMEM, "reading offsets", err_text(ERR_NOMEM));
		f->at = f->n;
	}
	if (f->out == 0)
		f->done(f->g);
}

/* ---- coordinators ---- */

static int by_source(const void *a, const void *b)
{
	const struct group *const *x = a, *const *y = b;
	return (*x)->source_node < (*y)->source_node ? -1 : (*x)->source_node > (*y)->source_node;
}

static int by_target(const void *a, const void *b)
{
	const struct group *const *x = a, *const *y = b;
	return (*x)->target_node < (*y)->target_node ? -1 : (*x)->target_node > (*y)->target_node;
}

/* Mostly they are sorted already. */
static void sort(struct group_fetch *f)
{
	int (*by)(const void *, const void *) = f->target ? by_target : by_source;
	for (size_t i = 1; i < f->n; i++) {
		if (by(&f->list[i - 1], &f->list[i]) <= 0)
			continue;
		qsort(f->list, f->n, sizeof *f->list, by);
		return;
	}
}

static void begin(struct group_fetch *f)
{
	mem_free(f->names);
	mem_free(f->asked);
	f->names = NULL;
	f->asked = NULL;
	sort(f);
	pump(f);
}

static void on_coordinator(void *arg, size_t index, enum err e, int32_t node)
{
	struct group_fetch *f = arg;
	if (e == ERR_OK)
		*node_of(f, f->asked[index]) = node;
	else
		note(f, f->asked[index], e);
}

static void on_coordinators(void *arg, enum err e, const struct errmsg *why)
{
	struct group_fetch *f = arg;
	if (e != ERR_OK)
		group_sync_problem(f->g, e, "looking for coordinators",
				   why == NULL ? err_text(e) : why->text);
	begin(f);
}

void group_fetch_start(struct group_fetch *f)
{
	static const struct coordinators_events events = {on_coordinator, on_coordinators};
	size_t n = 0;
	f->at = f->out = 0;
	for (size_t i = 0; i < f->n; i++)
		n += *node_of(f, f->list[i]) < 0;
	if (n == 0) {
		begin(f);
		return;
	}
	f->names = mem_zalloc(n, sizeof *f->names);
	f->asked = mem_zalloc(n, sizeof(struct group *));
	enum err e = f->names == NULL || f->asked == NULL ? ERR_NOMEM : ERR_OK;
	n = 0;
	for (size_t i = 0; e == ERR_OK && i < f->n; i++) {
		if (*node_of(f, f->list[i]) >= 0)
			continue;
		f->asked[n] = f->list[i];
		f->names[n++] = f->list[i]->name;
	}
	if (e == ERR_OK)
		e = coordinators_find(f->client, CLIENT_CHANNEL_GROUPS, f->names, n, &events, f);
	if (e != ERR_OK) {
		group_sync_problem(f->g, e, "looking for coordinators", err_text(e));
		begin(f);
	}
}
