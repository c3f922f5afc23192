/* SPDX-License-Identifier: Apache-2.0 */
/* DescribeGroups. A group that is not there is "Dead" without an error, from version 6 on with one
 * (KIP-1043). */
#include <stdio.h>

#include "cluster/api.h"
#include "cluster/broker.h"
#include "cluster/group/groups.h"

enum {
	NOT_FOUND_FROM = 6,
	/* READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS (AclEntry.supportedOperations) */
	GROUP_OPERATIONS = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11
};

static bool fill_missing(struct request *r, struct describe_groups_response_described_group *out)
{
	out->group_state = bytes_str(group_state_name(GROUP_DEAD));
	if (r->version < NOT_FOUND_FROM)
		return true;
	struct buf text;
	buf_init(&text, INT16_MAX);
	buf_put_str(&text, "Group ");
	buf_put(&text, out->group_id.p, out->group_id.n);
	buf_put_str(&text, " not found.");
	char *copy = arena_strndup(&r->arena, buf_bytes(&text));
	if (text.err == ERR_OK && copy != NULL)
		out->error_message = bytes_of(copy, text.len);
	buf_fini(&text);
	out->error_code = err_to_kafka(ERR_KAFKA_GROUP_ID_NOT_FOUND);
	return copy != NULL;
}

static bool fill(struct request *r, struct bytes id,
		 struct describe_groups_response_described_group *out)
{
	const struct describe_groups_request *q = r->msg;
	struct groups *g = broker_groups(r->broker);
	enum err e = groups_check(g, id);
	out->group_id = id;
	out->error_code = err_to_kafka(e);
	if (e != ERR_OK)
		return true;
	const struct group *group = groups_find(g, id);
	if (q->include_authorized_operations && (group != NULL || r->version < NOT_FOUND_FROM))
		out->authorized_operations = GROUP_OPERATIONS;
	if (group == NULL)
		return fill_missing(r, out);
	return group_describe(group, &r->arena, out) == ERR_OK;
}

void api_describe_groups(struct request *r)
{
	const struct describe_groups_request *q = r->msg;
	struct describe_groups_response *out = request_response(r);
	if (out == NULL)
		goto no_memory;
	out->groups = wire_array_new(&r->arena, &wire_describe_groups_response_described_group,
				     q->groups_n);
	if (out->groups == NULL)
		goto no_memory;
	out->groups_n = q->groups_n;
	for (int32_t i = 0; i < q->groups_n; i++)
		if (!fill(r, q->groups[i], &out->groups[i]))
			goto no_memory;
	request_answer(r, out);
	return;

no_memory:
	request_no_memory(r);
}
