/* SPDX-License-Identifier: Apache-2.0 */
/* DeleteGroups: each group for itself; answered when all tombstones are stored. */
#include "cluster/api.h"
#include "cluster/api/repeats.h"
#include "cluster/broker.h"
#include "cluster/group/groups.h"

struct deletion {
	struct groups_wait wait;
	struct deletions *all;
	int16_t *error_code;
};

struct deletions {
	struct request *r;
	struct delete_groups_response *out;
	struct deletion *items;
	int32_t waiting;
};

static void ended(struct deletions *d)
{
	if (--d->waiting == 0)
		request_answer(d->r, d->out);
}

static void deleted(struct groups_wait *w, enum err e)
{
	struct deletion *one = (struct deletion *)w;
	*one->error_code = err_to_kafka(e);
	ended(one->all);
}

static void cancel(struct request *r)
{
	struct deletions *d = r->state;
	for (int32_t i = 0; i < d->out->results_n; i++)
		groups_wait_cancel(&d->items[i].wait);
}

/* Each group once, as a set. */
static bool make_answer(struct deletions *d)
{
	const struct delete_groups_request *q = d->r->msg;
	struct arena *a = &d->r->arena;
	int32_t n = q->groups_names_n;
	const enum repeat *repeats = repeats_find(a, q->groups_names, (size_t)n);
	d->out = request_response(d->r);
	d->items = arena_zalloc(a, (size_t)n, sizeof *d->items);
	if (d->out == NULL || d->items == NULL || repeats == NULL)
		return false;
	d->out->results = wire_array_new(a, &wire_delete_groups_response_deletable_group_result, n);
	if (d->out->results == NULL)
		return false;
	for (int32_t i = 0; i < n; i++) {
		if (repeats[i] == REPEAT_AGAIN)
			continue;
		int32_t at = d->out->results_n++;
		d->out->results[at].group_id = q->groups_names[i];
		d->items[at].wait.done = deleted;
		d->items[at].all = d;
		d->items[at].error_code = &d->out->results[at].error_code;
	}
	return true;
}

void api_delete_groups(struct request *r)
{
	struct groups *g = broker_groups(r->broker);
	struct deletions *d = arena_zalloc(&r->arena, 1, sizeof *d);
	if (d != NULL)
		d->r = r;
	if (d == NULL || !make_answer(d)) {
		request_no_memory(r);
		return;
	}
	r->state = d;
	r->cancel = cancel;
	d->waiting = d->out->results_n + 1;
	for (int32_t i = 0; i < d->out->results_n; i++) {
		struct deletion *one = &d->items[i];
		enum err e = groups_delete(g, d->out->results[i].group_id, &one->wait);
		if (e == ERR_OK)
			continue;
		*one->error_code = err_to_kafka(e);
		d->waiting--;
	}
	ended(d);
}
