/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DescribeTopicPartitions (KIP-966): topics in the order of their names, a page at a time. A page
 * has a limit of partitions; the cursor says where the next one begins, in the middle of a topic
 * or at the start of one (DescribeTopicPartitionsRequestHandler.java).
 */
#include <stdlib.h>

#include "cluster/api.h"
#include "cluster/broker.h"
#include "lib/wire/messages.h"

enum {
	PAGE_MAX = 2000,         /* max.request.partition.size.limit of Kafka */
	TOPIC_OPERATIONS = 3576, /* as in Metadata */
};

struct page {
	struct request *r;
	const struct describe_topic_partitions_request *in;
	struct describe_topic_partitions_response *out;
	int32_t *self; /* this node, as a list of one */
	int32_t left;  /* partitions that still fit */
};

static int compare(struct bytes a, struct bytes b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int order = n == 0 ? 0 : memcmp(a.p, b.p, n);

	return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

static int compare_names(const void *a, const void *b)
{
	return compare(*(const struct bytes *)a, *(const struct bytes *)b);
}

static void put_partition(
	const struct page *pg, const struct partition *p,
	struct describe_topic_partitions_response_describe_topic_partitions_response_partition *to)
{
	bool offline = p->log == NULL || p->leader < 0;

	to->error_code = offline ? err_to_kafka(ERR_KAFKA_LEADER_NOT_AVAILABLE) : 0;
	to->partition_index = p->index;
	to->leader_id = offline ? -1 : p->leader;
	to->leader_epoch = p->leader_epoch;
	to->replica_nodes = to->isr_nodes = to->offline_replicas = pg->self;
	to->replica_nodes_n = to->isr_nodes_n = 1;
	to->offline_replicas_n = offline ? 1 : 0;
	to->eligible_leader_replicas_n = to->last_known_elr_n = 0;
}

/* The next answer's topic; it has room, since each of the names takes one. */
static struct describe_topic_partitions_response_describe_topic_partitions_response_topic *
next_topic(struct page *pg, struct bytes name)
{
	struct describe_topic_partitions_response_describe_topic_partitions_response_topic *t;

	t = &pg->out->topics[pg->out->topics_n++];
	t->name = name;
	t->topic_authorized_operations = TOPIC_OPERATIONS;
	return t;
}

static void put_cursor(struct page *pg, struct bytes name, int32_t index)
{
	pg->out->next_cursor_present = true;
	pg->out->next_cursor.topic_name = name;
	pg->out->next_cursor.partition_index = index;
}

/* A topic's partitions from `first` on; false when memory ran out. */
static bool put_topic(struct page *pg, const struct topic *t, int32_t first)
{
	const struct wire_struct *s;
	int32_t n = first < t->partitions_n ? t->partitions_n - first : 0;
	int32_t fits = n < pg->left ? n : pg->left;
	struct describe_topic_partitions_response_describe_topic_partitions_response_topic *out =
		next_topic(pg, bytes_str(t->name));

	out->topic_id = t->id;
	out->is_internal = t->internal;
	s = &wire_describe_topic_partitions_response_describe_topic_partitions_response_partition;
	out->partitions = wire_array_new(&pg->r->arena, s, fits);
	if (out->partitions == NULL)
		return false;
	out->partitions_n = fits;
	for (int32_t i = 0; i < fits; i++)
		put_partition(pg, &t->partitions[first + i], &out->partitions[i]);
	pg->left -= fits;
	if (fits < n)
		put_cursor(pg, out->name, first + fits);
	return true;
}

static void put_unknown(struct page *pg, struct bytes name)
{
	enum err e = metadata_name_fault(name) == NULL ? ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION
						       : ERR_KAFKA_INVALID_TOPIC_EXCEPTION;

	next_topic(pg, name)->error_code = err_to_kafka(e);
}

/* The names that are asked for, or all, in order; from the cursor on. */
static struct bytes *names_of(struct page *pg, size_t *n)
{
	const struct topic *const *all = metadata_topics(broker_metadata(pg->r->broker), n);
	bool everything = pg->in->topics_n <= 0;
	size_t count = everything ? *n : (size_t)pg->in->topics_n, kept = 0;
	struct bytes *names = arena_zalloc(&pg->r->arena, count, sizeof *names);

	if (names == NULL)
		return NULL;
	for (size_t i = 0; i < count; i++)
		names[i] = everything ? bytes_str(all[i]->name) : pg->in->topics[i].name;
	if (!everything)
		qsort(names, count, sizeof *names, compare_names);
	for (size_t i = 0; i < count; i++) {
		bool again = kept > 0 && compare(names[kept - 1], names[i]) == 0;
		bool before =
			pg->in->cursor_present && compare(names[i], pg->in->cursor.topic_name) < 0;
		if (!again && !before)
			names[kept++] = names[i];
	}
	*n = kept;
	return names;
}

static bool put_page(struct page *pg)
{
	const struct wire_struct *s =
		&wire_describe_topic_partitions_response_describe_topic_partitions_response_topic;
	const struct metadata *m = broker_metadata(pg->r->broker);
	size_t n = 0;
	struct bytes *names = names_of(pg, &n);

	pg->out->topics = names == NULL || n > INT32_MAX
				  ? NULL
				  : wire_array_new(&pg->r->arena, s, (int32_t)n);
	if (pg->out->topics == NULL)
		return false;
	for (size_t i = 0; i < n && !pg->out->next_cursor_present; i++) {
		const struct topic *t = metadata_topic(m, names[i]);
		bool at_cursor = pg->in->cursor_present && i == 0 &&
				 compare(names[i], pg->in->cursor.topic_name) == 0;
		int32_t first = at_cursor ? pg->in->cursor.partition_index : 0;
		if (pg->left == 0)
			put_cursor(pg, names[i], first);
		else if (t == NULL)
			put_unknown(pg, names[i]);
		else if (!put_topic(pg, t, first))
			return false;
	}
	return true;
}

/* A cursor that cannot be: Kafka answers so for the topics that were asked for. */
static bool put_bad_cursor(struct page *pg)
{
	const struct wire_struct *s =
		&wire_describe_topic_partitions_response_describe_topic_partitions_response_topic;
	int32_t n = pg->in->topics_n < 0 ? 0 : pg->in->topics_n;

	pg->out->topics = wire_array_new(&pg->r->arena, s, n);
	if (pg->out->topics == NULL)
		return false;
	pg->out->topics_n = n;
	for (int32_t i = 0; i < n; i++) {
		pg->out->topics[i].name = pg->in->topics[i].name;
		pg->out->topics[i].error_code = err_to_kafka(ERR_KAFKA_INVALID_REQUEST);
	}
	return true;
}

/* Its partition cannot be, or its topic is none of those that are asked for. */
static bool is_bad_cursor(const struct describe_topic_partitions_request *in)
{
	bool found = in->topics_n <= 0;

	if (!in->cursor_present)
		return false;
	for (int32_t i = 0; i < in->topics_n && !found; i++)
		found = bytes_eq(in->topics[i].name, in->cursor.topic_name);
	return !found || in->cursor.partition_index < 0;
}

void api_describe_topic_partitions(struct request *r)
{
	struct page pg = {.r = r, .in = r->msg, .out = request_response(r)};
	int32_t limit = pg.in->response_partition_limit;

	pg.left = limit < 1 ? 1 : limit > PAGE_MAX ? PAGE_MAX : limit;
	pg.self = arena_zalloc(&r->arena, 1, sizeof *pg.self);
	if (pg.out == NULL || pg.self == NULL) {
		request_no_memory(r);
		return;
	}
	*pg.self = broker_config(r->broker)->node_id;
	if (is_bad_cursor(pg.in) ? put_bad_cursor(&pg) : put_page(&pg))
		request_answer(r, pg.out);
	else
		request_no_memory(r);
}
