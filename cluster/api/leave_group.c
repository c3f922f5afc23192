/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LeaveGroup: one member (before version 3), or several, by an administrator, too. Answered when
 * what followed from it is stored: the record of a group that is now empty.
 */
#include "cluster/api.h"
#include "cluster/broker.h"
#include "cluster/group/groups.h"

enum { BATCHED_FROM = 3 };

struct leave {
	struct groups_wait wait;
	struct request *r;
	struct leave_group_response *out;
};

static void settled(struct groups_wait *w, enum err e)
{
	struct leave *l = (struct leave *)w;
	if (e != ERR_OK)
		l->out->error_code = err_to_kafka(e);
	request_answer(l->r, l->out);
}

static void cancel(struct request *r)
{
	struct leave *l = r->state;
	groups_wait_cancel(&l->wait);
}

/* The request as from version 3 on. */
static bool unify(struct request *r, struct leave_group_request *q)
{
	*q = *(const struct leave_group_request *)r->msg;
	if (r->version >= BATCHED_FROM)
		return true;
	q->members = wire_array_new(&r->arena, &wire_leave_group_request_member_identity, 1);
	if (q->members == NULL)
		return false;
	q->members->member_id = q->member_id;
	q->members_n = 1;
	return true;
}

static bool fill(struct request *r, const struct leave_group_request *q, const enum err *errors,
		 struct leave_group_response *out)
{
	if (r->version < BATCHED_FROM) {
		out->error_code = err_to_kafka(errors[0]);
		return true;
	}
	out->members =
		wire_array_new(&r->arena, &wire_leave_group_response_member_response, q->members_n);
	if (out->members == NULL)
		return false;
	out->members_n = q->members_n;
	for (int32_t i = 0; i < q->members_n; i++) {
		out->members[i].member_id = q->members[i].member_id;
		out->members[i].group_instance_id = q->members[i].group_instance_id;
		out->members[i].error_code = err_to_kafka(errors[i]);
	}
	return true;
}

void api_leave_group(struct request *r)
{
	struct leave_group_request q;
	struct groups *g = broker_groups(r->broker);
	struct leave *l = arena_zalloc(&r->arena, 1, sizeof *l);
	struct leave_group_response *out = request_response(r);
	if (l == NULL || out == NULL || !unify(r, &q))
		goto no_memory;
	enum err *errors = arena_zalloc(&r->arena, (size_t)q.members_n, sizeof *errors);
	if (errors == NULL)
		goto no_memory;
	l->wait.done = settled;
	l->r = r;
	l->out = out;
	enum err e = groups_leave(g, &q, errors);
	if (e == ERR_OK && !fill(r, &q, errors, out))
		goto no_memory;
	r->state = l;
	r->cancel = cancel;
	if (e == ERR_OK)
		e = groups_settle(g, q.group_id, &l->wait);
	if (e == ERR_OK)
		return;
	out->error_code = err_to_kafka(e);
	request_answer(r, out);
	return;

no_memory:
	request_no_memory(r);
}
