/* SPDX-License-Identifier: Apache-2.0 */
/* SyncGroup: parked until the leader's assignment is stored. */
#include "cluster/api.h"
#include "cluster/broker.h"
#include "cluster/group/groups.h"

struct sync {
	struct group_sync sync;
	struct request *r;
};

static void answered(struct group_waiter *w)
{
	struct sync *s = (struct sync *)w;
	struct request *r = s->r;
	/* The answer lives in it, and `s` is gone with the request. */
	struct arena arena = s->sync.arena;
	if (s->sync.fault == ERR_OK)
		request_answer(r, &s->sync.answer);
	else
		request_no_memory(r);
	arena_fini(&arena);
}

static void cancel(struct request *r)
{
	struct sync *s = r->state;
	group_sync_fini(&s->sync);
}

/* From version 5 on a client must say what it believes the group to be (KIP-559). */
static enum err check(const struct request *r)
{
	enum { PROTOCOL_FROM = 5 };
	const struct sync_group_request *q = r->msg;
	if (r->version >= PROTOCOL_FROM &&
	    (q->protocol_type.p == NULL || q->protocol_name.p == NULL))
		return ERR_KAFKA_INCONSISTENT_GROUP_PROTOCOL;
	return ERR_OK;
}

void api_sync_group(struct request *r)
{
	struct sync *s = arena_zalloc(&r->arena, 1, sizeof *s);
	if (s == NULL) {
		request_no_memory(r);
		return;
	}
	group_sync_init(&s->sync);
	s->sync.waiter.answered = answered;
	s->sync.request = r->msg;
	s->r = r;
	r->state = s;
	r->cancel = cancel;
	enum err e = check(r);
	if (e == ERR_OK)
		e = groups_sync(broker_groups(r->broker), &s->sync);
	if (e == ERR_OK)
		return;
	group_sync_fini(&s->sync);
	s->sync.answer.error_code = err_to_kafka(e);
	request_answer(r, &s->sync.answer);
}
