/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JoinGroup: parked until the rebalance is through. When the connection ends meanwhile the member
 * stays until its session ends, as in Kafka.
 */
#include "cluster/api.h"
#include "cluster/broker.h"
#include "cluster/group/groups.h"

enum { NULL_PROTOCOL_FROM = 7 };

struct join {
	struct group_join join;
	struct request *r;
};

static void send(struct request *r, struct join_group_response *out)
{
	if (out->protocol_name.p == NULL && r->version < NULL_PROTOCOL_FROM)
		out->protocol_name = bytes_str("");
	request_answer(r, out);
}

static void answered(struct group_waiter *w)
{
	struct join *j = (struct join *)w;
	struct request *r = j->r;
	/* The answer lives in it, and `j` is gone with the request. */
	struct arena arena = j->join.arena;
	if (j->join.fault == ERR_OK)
		send(r, &j->join.answer);
	else
		request_no_memory(r);
	arena_fini(&arena);
}

static void cancel(struct request *r)
{
	struct join *j = r->state;
	group_join_fini(&j->join);
}

/* "/127.0.0.1", as Java prints an address; tools show it. */
static struct bytes client_host(struct request *r)
{
	const char *host = request_client_host(r);
	size_t n = strlen(host);
	char *text = arena_zalloc(&r->arena, n + 2, 1);
	if (text == NULL)
		return bytes_str("/");
	text[0] = '/';
	memcpy(text + 1, host, n + 1);
	return bytes_of(text, n + 1);
}

void api_join_group(struct request *r)
{
	const struct join_group_request *q = r->msg;
	struct join *j = arena_zalloc(&r->arena, 1, sizeof *j);
	if (j == NULL) {
		request_no_memory(r);
		return;
	}
	group_join_init(&j->join);
	j->join.waiter.answered = answered;
	j->join.request = q;
	j->join.version = r->version;
	j->join.client_id = r->client_id;
	j->join.client_host = client_host(r);
	j->r = r;
	r->state = j;
	r->cancel = cancel;
	enum err e = groups_join(broker_groups(r->broker), &j->join);
	if (e == ERR_OK)
		return;
	group_join_fini(&j->join);
	j->join.answer.error_code = err_to_kafka(e);
	j->join.answer.member_id = q->member_id;
	j->join.answer.protocol_name = bytes_of(NULL, 0);
	send(r, &j->join.answer);
}
