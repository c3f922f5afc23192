/* SPDX-License-Identifier: Apache-2.0 */
/* CreatePartitions: topics grow, each in a change of its own. */
#include <inttypes.h>

#include "cluster/api.h"
#include "cluster/api/access.h"
#include "cluster/api/assignment.h"
#include "cluster/api/changes.h"
#include "cluster/api/repeats.h"
#include "cluster/broker.h"
#include "lib/wire/messages.h"

struct growing {
	struct request *r;
	const struct create_partitions_request_create_partitions_topic *in;
	struct create_partitions_response_create_partitions_topic_result *out;
};

static void put_error(const struct growing *g, enum err e, const struct errmsg *why)
{
	g->out->error_code = access_code(e);
	g->out->error_message = changes_text(g->r, e, why);
}

static void on_done(void *arg, enum err e)
{
	put_error(arg, e, NULL);
}

/* One assignment for each partition that is added. */
static enum err check_assignments(const struct growing *g, const struct topic *t,
				  struct errmsg *why)
{
	int32_t self = broker_config(g->r->broker)->node_id;
	int32_t added = g->in->count - t->partitions_n;
	enum err e = ERR_OK;

	if (g->in->assignments_n < 0)
		return ERR_OK;
	if (g->in->assignments_n != added)
		return errmsg_set(why, ERR_KAFKA_INVALID_REPLICA_ASSIGNMENT,
				  "Attempted to add %" PRId32 " additional partition(s), but only "
				  "%" PRId32 " assignment(s) were specified.",
				  added, g->in->assignments_n);
	for (int32_t i = 0; i < added && e == ERR_OK; i++)
		e = assignment_check(self, g->in->assignments[i].broker_ids,
				     g->in->assignments[i].broker_ids_n, why);
	return e;
}

static enum err grow(struct growing *g, struct changes *c, struct errmsg *why)
{
	const struct create_partitions_request *in = g->r->msg;
	struct metadata *m = broker_metadata(g->r->broker);
	const struct topic *t = metadata_topic(m, g->in->name);

	if (t == NULL)
		return errmsg_set(why, ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
				  "This server does not host this topic-partition.");
	/* Whether it is an increase comes first. */
	enum err e = metadata_create_partitions(m, t, g->in->count, NULL, why);
	if (e == ERR_OK)
		e = check_assignments(g, t, why);
	if (e != ERR_OK || in->validate_only)
		return e;
	struct metadata_change *change = changes_add(c, on_done, g);
	e = metadata_create_partitions(m, t, g->in->count, change, why);
	if (e != ERR_OK)
		changes_drop(c, change);
	return e;
}

static bool grow_all(struct request *r, struct create_partitions_response *out, struct changes *c)
{
	const struct create_partitions_request *in = r->msg;
	size_t n = (size_t)in->topics_n;
	struct growing *all = arena_zalloc(&r->arena, n, sizeof *all);
	struct bytes *names = arena_zalloc(&r->arena, n, sizeof *names);

	if (all == NULL || names == NULL)
		return false;
	for (size_t i = 0; i < n; i++)
		names[i] = in->topics[i].name;
	const enum repeat *repeats = repeats_find(&r->arena, names, n);
	if (repeats == NULL)
		return false;
	for (size_t i = 0; i < n; i++) {
		struct errmsg why = {0};
		if (repeats[i] == REPEAT_AGAIN)
			continue;
		all[i] = (struct growing){r, &in->topics[i], &out->results[out->results_n++]};
		all[i].out->name = names[i];
		enum err e = repeats[i] == REPEAT_NONE ? grow(&all[i], c, &why)
						       : errmsg_set(&why, ERR_KAFKA_INVALID_REQUEST,
								    "Duplicate topic name.");
		if (e != ERR_OK)
			put_error(&all[i], e, &why);
	}
	return true;
}

void api_create_partitions(struct request *r)
{
	const struct create_partitions_request *in = r->msg;
	const struct wire_struct *s =
		&wire_create_partitions_response_create_partitions_topic_result;
	struct create_partitions_response *out = request_response(r);
	struct changes *c = out == NULL ? NULL : changes_new(r, out, (size_t)in->topics_n);

	if (c != NULL)
		out->results = wire_array_new(&r->arena, s, in->topics_n);
	if (c != NULL && out->results != NULL && grow_all(r, out, c))
		changes_finish(c);
	else
		changes_abandon(c, r);
}
