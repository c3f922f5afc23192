/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ListGroups. Filters ignore case (GroupMetadataManager.listGroups). All groups here are of the
 * type "classic"; another type matches none, and a name that is no type at all does not either.
 */
#include <strings.h>

#include "cluster/api.h"
#include "cluster/broker.h"
#include "cluster/group/groups.h"

#define TYPE "classic"

static bool passes(const struct bytes *filter, int32_t n, const char *name)
{
	for (int32_t i = 0; i < n; i++) {
		struct bytes s = bytes_trim(filter[i]);
		if (s.n == strlen(name) && strncasecmp((const char *)s.p, name, s.n) == 0)
			return true;
	}
	return n <= 0;
}

static bool matches(const struct list_groups_request *q, const struct group *g)
{
	return passes(q->states_filter, q->states_filter_n, group_state_name(group_state(g))) &&
	       passes(q->types_filter, q->types_filter_n, TYPE);
}

static bool fill(struct request *r, struct list_groups_response *out)
{
	const struct groups *all = broker_groups(r->broker);
	const struct group *g;
	size_t at = 0;
	int32_t n = 0;
	while ((g = groups_next(all, &at)) != NULL)
		n += matches(r->msg, g);
	out->groups = wire_array_new(&r->arena, &wire_list_groups_response_listed_group, n);
	if (out->groups == NULL)
		return false;
	at = 0;
	while (out->groups_n < n && (g = groups_next(all, &at)) != NULL) {
		if (!matches(r->msg, g))
			continue;
		struct list_groups_response_listed_group *to = &out->groups[out->groups_n++];
		to->group_id = group_id(g);
		if (group_protocol_type(g).p != NULL)
			to->protocol_type = group_protocol_type(g);
		to->group_state = bytes_str(group_state_name(group_state(g)));
		to->group_type = bytes_str(TYPE);
	}
	return true;
}

void api_list_groups(struct request *r)
{
	struct list_groups_response *out = request_response(r);
	bool fits = out != NULL;
	if (fits && !groups_ready(broker_groups(r->broker)))
		out->error_code = err_to_kafka(ERR_KAFKA_COORDINATOR_LOAD_IN_PROGRESS);
	else if (fits)
		fits = fill(r, out);
	if (fits)
		request_answer(r, out);
	else
		request_no_memory(r);
}
