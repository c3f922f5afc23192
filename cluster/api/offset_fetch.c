/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OffsetFetch: one group (before version 8), or several. A partition without an offset is no
 * error: it has offset -1. There are no transactions, so no offset is ever unstable; but a client
 * that asks for stable ones (KIP-447) waits for the commits that are on their way to the log,
 * since those may be of the member whose partitions it takes over.
 */
#include "cluster/api.h"
#include "cluster/broker.h"
#include "cluster/group/groups.h"

enum { BATCHED_FROM = 8, ERROR_FROM = 2 };

struct fetch {
	struct groups_wait wait;
	struct request *r;
	/* The request as from version 8 on. */
	struct offset_fetch_request_offset_fetch_request_group *groups;
	int32_t groups_n, settled_n;
};

/* ---- the older request and answer, as if of one group ---- */

static bool unify(struct fetch *f)
{
	const struct offset_fetch_request *q = f->r->msg;
	f->groups = q->groups;
	f->groups_n = q->groups_n;
	if (f->r->version >= BATCHED_FROM)
		return true;
	struct arena *a = &f->r->arena;
	f->groups = wire_array_new(a, &wire_offset_fetch_request_offset_fetch_request_group, 1);
	if (f->groups == NULL)
		return false;
	f->groups_n = 1;
	f->groups->group_id = q->group_id;
	f->groups->topics_n = q->topics_n;
	if (q->topics_n <= 0)
		return true;
	const struct wire_struct *s = &wire_offset_fetch_request_offset_fetch_request_topics;
	f->groups->topics = wire_array_new(a, s, q->topics_n);
	if (f->groups->topics == NULL)
		return false;
	for (int32_t i = 0; i < q->topics_n; i++) {
		f->groups->topics[i].name = q->topics[i].name;
		f->groups->topics[i].partition_indexes = q->topics[i].partition_indexes;
		f->groups->topics[i].partition_indexes_n = q->topics[i].partition_indexes_n;
	}
	return true;
}

static bool answer_one(struct fetch *f, struct offset_fetch_response *out)
{
	const struct offset_fetch_response_offset_fetch_response_group *g = out->groups;
	struct arena *a = &f->r->arena;
	out->error_code = g->error_code;
	out->topics = wire_array_new(a, &wire_offset_fetch_response_offset_fetch_response_topic,
				     g->topics_n);
	if (out->topics == NULL)
		return false;
	out->topics_n = g->topics_n;
	for (int32_t i = 0; i < g->topics_n; i++) {
		struct offset_fetch_response_offset_fetch_response_topic *t = &out->topics[i];
		int32_t n = g->topics[i].partitions_n;
		t->name = g->topics[i].name;
		t->partitions = wire_array_new(
			a, &wire_offset_fetch_response_offset_fetch_response_partition, n);
		if (t->partitions == NULL)
			return false;
		t->partitions_n = n;
		for (int32_t k = 0; k < n; k++) {
			const struct offset_fetch_response_offset_fetch_response_partitions *p =
				&g->topics[i].partitions[k];
			t->partitions[k].partition_index = p->partition_index;
			t->partitions[k].committed_offset = p->committed_offset;
			t->partitions[k].committed_leader_epoch = p->committed_leader_epoch;
			t->partitions[k].metadata = p->metadata;
			t->partitions[k].error_code = p->error_code;
		}
	}
	out->groups = NULL;
	out->groups_n = 0;
	return true;
}

/* ---- looking up ---- */

static void fill(const struct committed_offset *c,
		 struct offset_fetch_response_offset_fetch_response_partitions *p)
{
	p->committed_offset = c == NULL ? -1 : c->offset;
	p->committed_leader_epoch = c == NULL ? -1 : c->leader_epoch;
	p->metadata = c == NULL || c->metadata.p == NULL ? bytes_str("") : c->metadata;
}

static bool fill_named(struct arena *a, const struct offsets *offsets,
		       const struct offset_fetch_request_offset_fetch_request_topics *from,
		       struct offset_fetch_response_offset_fetch_response_topics *to)
{
	int32_t n = from->partition_indexes_n < 0 ? 0 : from->partition_indexes_n;
	to->name = from->name;
	to->partitions =
		wire_array_new(a, &wire_offset_fetch_response_offset_fetch_response_partitions, n);
	if (to->partitions == NULL)
		return false;
	to->partitions_n = n;
	for (int32_t i = 0; i < n; i++) {
		int32_t partition = from->partition_indexes[i];
		to->partitions[i].partition_index = partition;
		fill(offsets == NULL ? NULL : offsets_get(offsets, from->name, partition),
		     &to->partitions[i]);
	}
	return true;
}

static bool fill_topic(struct arena *a, const struct offsets_topic *from,
		       struct offset_fetch_response_offset_fetch_response_topics *to)
{
	int32_t n = (int32_t)offsets_topic_count(from);
	to->partitions =
		wire_array_new(a, &wire_offset_fetch_response_offset_fetch_response_partitions, n);
	if (to->partitions == NULL)
		return false;
	to->partitions_n = n;
	for (int32_t i = 0; i < n; i++)
		fill(offsets_topic_at(from, (size_t)i, &to->partitions[i].partition_index),
		     &to->partitions[i]);
	return true;
}

static bool fill_all(struct arena *a, const struct offsets *offsets,
		     struct offset_fetch_response_offset_fetch_response_group *out)
{
	size_t at = 0;
	struct bytes name;
	const struct offsets_topic *t;
	int32_t n = offsets == NULL ? 0 : (int32_t)offsets_topics(offsets);
	out->topics =
		wire_array_new(a, &wire_offset_fetch_response_offset_fetch_response_topics, n);
	if (out->topics == NULL)
		return false;
	while (out->topics_n < n && (t = offsets_next_topic(offsets, &at, &name)) != NULL) {
		out->topics[out->topics_n].name = name;
		if (!fill_topic(a, t, &out->topics[out->topics_n++]))
			return false;
	}
	return true;
}

/* An error of the group: before version 2 each partition has it, later the group itself. */
static bool fill_error(struct fetch *f, enum err e,
		       const struct offset_fetch_request_offset_fetch_request_group *from,
		       struct offset_fetch_response_offset_fetch_response_group *out)
{
	out->error_code = err_to_kafka(e);
	if (f->r->version >= ERROR_FROM || from->topics_n <= 0)
		return true;
	out->topics = wire_array_new(&f->r->arena,
				     &wire_offset_fetch_response_offset_fetch_response_topics,
				     from->topics_n);
	if (out->topics == NULL)
		return false;
	for (int32_t i = 0; i < from->topics_n; i++) {
		if (!fill_named(&f->r->arena, NULL, &from->topics[i], &out->topics[i]))
			return false;
		for (int32_t k = 0; k < out->topics[i].partitions_n; k++)
			out->topics[i].partitions[k].error_code = err_to_kafka(e);
	}
	out->topics_n = from->topics_n;
	return true;
}

static bool fill_group(struct fetch *f,
		       const struct offset_fetch_request_offset_fetch_request_group *from,
		       struct offset_fetch_response_offset_fetch_response_group *out)
{
	struct groups *g = broker_groups(f->r->broker);
	enum err e = groups_check(g, from->group_id);
	out->group_id = from->group_id;
	if (e != ERR_OK)
		return fill_error(f, e, from, out);
	const struct offsets *offsets = groups_offsets(g, from->group_id);
	if (from->topics_n < 0)
		return fill_all(&f->r->arena, offsets, out);
	out->topics = wire_array_new(&f->r->arena,
				     &wire_offset_fetch_response_offset_fetch_response_topics,
				     from->topics_n);
	if (out->topics == NULL)
		return false;
	out->topics_n = from->topics_n;
	for (int32_t i = 0; i < from->topics_n; i++)
		if (!fill_named(&f->r->arena, offsets, &from->topics[i], &out->topics[i]))
			return false;
	return true;
}

static void answer(struct fetch *f)
{
	struct request *r = f->r;
	struct offset_fetch_response *out = request_response(r);
	if (out == NULL)
		goto no_memory;
	out->groups = wire_array_new(
		&r->arena, &wire_offset_fetch_response_offset_fetch_response_group, f->groups_n);
	if (out->groups == NULL)
		goto no_memory;
	out->groups_n = f->groups_n;
	for (int32_t i = 0; i < f->groups_n; i++)
		if (!fill_group(f, &f->groups[i], &out->groups[i]))
			goto no_memory;
	if (r->version < BATCHED_FROM && !answer_one(f, out))
		goto no_memory;
	request_answer(r, out);
	return;

no_memory:
	request_no_memory(r);
}

/* ---- waiting ---- */

static void settle_next(struct fetch *f);

static void settled(struct groups_wait *w, enum err e)
{
	struct fetch *f = (struct fetch *)w;
	/* What failed to be stored is not shown, and that is all. */
	(void)e;
	settle_next(f);
}

/* One group after the other; most clients ask for one. */
static void settle_next(struct fetch *f)
{
	struct groups *g = broker_groups(f->r->broker);
	while (f->settled_n < f->groups_n) {
		struct bytes id = f->groups[f->settled_n++].group_id;
		if (groups_settle(g, id, &f->wait) == ERR_OK)
			return;
	}
	answer(f);
}

static void cancel(struct request *r)
{
	struct fetch *f = r->state;
	groups_wait_cancel(&f->wait);
}

void api_offset_fetch(struct request *r)
{
	const struct offset_fetch_request *q = r->msg;
	struct fetch *f = arena_zalloc(&r->arena, 1, sizeof *f);
	if (f == NULL) {
		request_no_memory(r);
		return;
	}
	f->r = r;
	f->wait.done = settled;
	if (!unify(f)) {
		request_no_memory(r);
		return;
	}
	r->state = f;
	r->cancel = cancel;
	if (q->require_stable)
		settle_next(f);
	else
		answer(f);
}
