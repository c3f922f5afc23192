/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/mirror/model_groups.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { NODE = 1, COORDINATOR_NOT_AVAILABLE = 15, UNKNOWN_MEMBER_ID = 25, NON_EMPTY_GROUP = 68 };

struct model_group *model_groups_find(struct model_groups *g, const char *name)
{
	for (int i = 0; i < MODEL_GROUPS; i++)
		if (strcmp(g->groups[i].name, name) == 0)
			return &g->groups[i];
	return NULL;
}

static struct model_group *find(struct model_groups *g, struct bytes name)
{
	char text[32];
	snprintf(text, sizeof text, "%.*s", (int)name.n, (const char *)name.p);
	return model_groups_find(g, text);
}

static struct model_group *make(struct model_groups *g, const char *name)
{
	struct model_group *x = model_groups_find(g, name);
	if (x != NULL)
		return x;
	x = model_groups_find(g, "");
	if (x == NULL)
		abort(); /* a test with more than MODEL_GROUPS groups */
	*x = (struct model_group){.state = "Empty", .type = "classic", .protocol = "consumer"};
	snprintf(x->name, sizeof x->name, "%s", name);
	return x;
}

static struct model_position *position(struct model_group *x, const char *topic, int32_t partition)
{
	for (int i = 0; i < x->n; i++)
		if (strcmp(x->at[i].topic, topic) == 0 && x->at[i].partition == partition)
			return &x->at[i];
	if (x->n == MODEL_POSITIONS)
		abort(); /* a test with more than MODEL_POSITIONS positions */
	struct model_position *p = &x->at[x->n++];
	snprintf(p->topic, sizeof p->topic, "%s", topic);
	p->partition = partition;
	p->offset = -1;
	return p;
}

void model_groups_commit(struct model_groups *g, const char *name, const char *topic,
			 int64_t offset, const char *metadata)
{
	struct model_position *p = position(make(g, name), topic, 0);
	p->offset = offset;
	p->epoch = 7;
	snprintf(p->metadata, sizeof p->metadata, "%s", metadata);
}

void model_groups_remove(struct model_groups *g, const char *name)
{
	struct model_group *x = model_groups_find(g, name);
	assert_non_null(x);
	*x = (struct model_group){.n = 0};
}

int64_t model_groups_offset(struct model_groups *g, const char *name, const char *topic)
{
	struct model_group *x = model_groups_find(g, name);
	for (int i = 0; x != NULL && i < x->n; i++)
		if (strcmp(x->at[i].topic, topic) == 0)
			return x->at[i].offset;
	return -1;
}

/* ---- answers ---- */

static enum scripted_act on_list(void *arg, struct scripted_request *q, void *answer)
{
	struct model_groups *g = arg;
	struct list_groups_response *a = answer;
	if (g->list_errors > 0) {
		g->list_errors--;
		a->error_code = g->error;
		return SCRIPTED_ANSWER;
	}
	a->groups = wire_array_new(q->arena, &wire_list_groups_response_listed_group, MODEL_GROUPS);
	for (int i = 0; i < MODEL_GROUPS && !g->hide; i++) {
		const struct model_group *x = &g->groups[i];
		if (x->name[0] == '\0')
			continue;
		a->groups[a->groups_n].group_id = bytes_str(x->name);
		a->groups[a->groups_n].group_state = bytes_str(x->state);
		a->groups[a->groups_n].group_type = bytes_str(x->type);
		a->groups[a->groups_n++].protocol_type = bytes_str(x->protocol);
	}
	return SCRIPTED_ANSWER;
}

static enum scripted_act on_find(void *arg, struct scripted_request *q, void *answer)
{
	struct model_groups *g = arg;
	const struct find_coordinator_request *r = q->msg;
	struct find_coordinator_response *a = answer;
	a->coordinators = wire_array_new(q->arena, &wire_find_coordinator_response_coordinator,
					 r->coordinator_keys_n);
	a->coordinators_n = r->coordinator_keys_n;
	for (int32_t i = 0; i < r->coordinator_keys_n; i++) {
		a->coordinators[i].key = r->coordinator_keys[i];
		a->coordinators[i].node_id = g->silent ? -1 : NODE;
		a->coordinators[i].error_code = g->silent ? COORDINATOR_NOT_AVAILABLE : 0;
	}
	return SCRIPTED_ANSWER;
}

static enum scripted_act on_fetch(void *arg, struct scripted_request *q, void *answer)
{
	struct model_groups *g = arg;
	const struct offset_fetch_request *r = q->msg;
	struct offset_fetch_response *a = answer;
	bool fails = g->fetch_errors > 0 && g->fetch_errors-- > 0;
	a->groups = wire_array_new(
		q->arena, &wire_offset_fetch_response_offset_fetch_response_group, r->groups_n);
	a->groups_n = r->groups_n;
	for (int32_t i = 0; i < r->groups_n; i++) {
		const struct model_group *x = find(g, r->groups[i].group_id);
		a->groups[i].group_id = r->groups[i].group_id;
		a->groups[i].error_code = fails ? g->error : 0;
		if (x == NULL || fails)
			continue;
		a->groups[i].topics = wire_array_new(
			q->arena, &wire_offset_fetch_response_offset_fetch_response_topics, x->n);
		a->groups[i].topics_n = x->n;
		for (int k = 0; k < x->n; k++) {
			static const struct wire_struct *const part =
				&wire_offset_fetch_response_offset_fetch_response_partitions;
			struct offset_fetch_response_offset_fetch_response_partitions *p =
				wire_array_new(q->arena, part, 1);
			p->partition_index = x->at[k].partition;
			p->committed_offset = x->at[k].offset;
			p->error_code = g->part_error;
			p->committed_leader_epoch = x->at[k].epoch;
			p->metadata = bytes_str(x->at[k].metadata);
			a->groups[i].topics[k].name = bytes_str(x->at[k].topic);
			a->groups[i].topics[k].partitions = p;
			a->groups[i].topics[k].partitions_n = 1;
		}
	}
	return SCRIPTED_ANSWER;
}

static int16_t commit_one(struct model_groups *g, const struct offset_commit_request *r,
			  const char *topic,
			  const struct offset_commit_request_offset_commit_request_partition *from)
{
	char name[32];
	if (g->error != 0 && g->commit_errors > 0)
		return g->error;
	snprintf(name, sizeof name, "%.*s", (int)r->group_id.n, (const char *)r->group_id.p);
	struct model_group *x = make(g, name);
	if (g->loses_race)
		x->state = "Stable";
	if (strcmp(x->state, "Empty") != 0)
		return UNKNOWN_MEMBER_ID;
	struct model_position *p = position(x, topic, from->partition_index);
	p->offset = from->committed_offset;
	p->epoch = from->committed_leader_epoch;
	snprintf(p->metadata, sizeof p->metadata, "%.*s", (int)from->committed_metadata.n,
		 (const char *)from->committed_metadata.p);
	return 0;
}

static enum scripted_act on_commit(void *arg, struct scripted_request *q, void *answer)
{
	struct model_groups *g = arg;
	const struct offset_commit_request *r = q->msg;
	struct offset_commit_response *a = answer;
	char topic[64];
	g->commits++;
	assert_int_equal(r->generation_id_or_member_epoch, -1);
	assert_int_equal(r->member_id.n, 0);
	a->topics = wire_array_new(
		q->arena, &wire_offset_commit_response_offset_commit_response_topic, r->topics_n);
	a->topics_n = r->topics_n;
	for (int32_t i = 0; i < r->topics_n; i++) {
		int32_t n = r->topics[i].partitions_n;
		snprintf(topic, sizeof topic, "%.*s", (int)r->topics[i].name.n,
			 (const char *)r->topics[i].name.p);
		a->topics[i].name = r->topics[i].name;
		a->topics[i].partitions = wire_array_new(
			q->arena, &wire_offset_commit_response_offset_commit_response_partition, n);
		a->topics[i].partitions_n = n;
		for (int32_t k = 0; k < n; k++) {
			a->topics[i].partitions[k].partition_index =
				r->topics[i].partitions[k].partition_index;
			a->topics[i].partitions[k].error_code =
				commit_one(g, r, topic, &r->topics[i].partitions[k]);
		}
	}
	g->commit_errors -= g->commit_errors > 0;
	return SCRIPTED_ANSWER;
}

static enum scripted_act on_delete(void *arg, struct scripted_request *q, void *answer)
{
	struct model_groups *g = arg;
	const struct delete_groups_request *r = q->msg;
	struct delete_groups_response *a = answer;
	g->deletes++;
	a->results = wire_array_new(q->arena, &wire_delete_groups_response_deletable_group_result,
				    r->groups_names_n);
	a->results_n = r->groups_names_n;
	for (int32_t i = 0; i < r->groups_names_n; i++) {
		struct model_group *x = find(g, r->groups_names[i]);
		a->results[i].group_id = r->groups_names[i];
		assert_non_null(x);
		if (strcmp(x->state, "Empty") != 0)
			a->results[i].error_code = NON_EMPTY_GROUP;
		else
			*x = (struct model_group){.n = 0};
	}
	return SCRIPTED_ANSWER;
}

void model_groups_init(struct model_groups *g, struct model *m)
{
	static const struct {
		int16_t api, max;
		scripted_handler *fn;
	} apis[] = {
		{WIRE_API_LIST_GROUPS, 5, on_list},     {WIRE_API_FIND_COORDINATOR, 6, on_find},
		{WIRE_API_OFFSET_FETCH, 9, on_fetch},   {WIRE_API_OFFSET_COMMIT, 9, on_commit},
		{WIRE_API_DELETE_GROUPS, 2, on_delete},
	};
	*g = (struct model_groups){.m = m};
	for (size_t i = 0; i < sizeof apis / sizeof *apis; i++) {
		int16_t min = wire_request(apis[i].api)->min_version;
		scripted_peer_versions(m->peer, apis[i].api, min, apis[i].max);
		scripted_peer_on(m->peer, apis[i].api, apis[i].fn, g);
	}
}
