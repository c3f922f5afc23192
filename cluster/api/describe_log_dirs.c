/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DescribeLogDirs: the one data directory, the sizes of its partitions and of its file system
 * (KIP-827). Partitions that are unknown or offline are left out, as in Kafka.
 */
#include "cluster/api.h"
#include "cluster/broker.h"
#include "lib/wire/messages.h"

struct answer {
	struct request *r;
	struct describe_log_dirs_response_describe_log_dirs_result *dir;
};

static struct describe_log_dirs_response_describe_log_dirs_topic *
new_topic(struct answer *a, struct bytes name, int32_t partitions)
{
	struct describe_log_dirs_response_describe_log_dirs_topic *t =
		&a->dir->topics[a->dir->topics_n];

	t->name = name;
	t->partitions = wire_array_new(&a->r->arena,
				       &wire_describe_log_dirs_response_describe_log_dirs_partition,
				       partitions);
	return t->partitions == NULL ? NULL : t;
}

static void put_partition(struct describe_log_dirs_response_describe_log_dirs_topic *t,
			  const struct partition *p)
{
	if (p == NULL || p->log == NULL)
		return;
	struct describe_log_dirs_response_describe_log_dirs_partition *out =
		&t->partitions[t->partitions_n++];
	out->partition_index = p->index;
	out->partition_size = plog_size(p->log);
}

/* Topics of which nothing can be told are left out. */
static void keep_topic(struct answer *a)
{
	if (a->dir->topics[a->dir->topics_n].partitions_n > 0)
		a->dir->topics_n++;
}

static bool new_topics(struct answer *a, size_t n)
{
	const struct wire_struct *s = &wire_describe_log_dirs_response_describe_log_dirs_topic;

	a->dir->topics = n >= INT32_MAX ? NULL : wire_array_new(&a->r->arena, s, (int32_t)n + 1);
	return a->dir->topics != NULL;
}

static bool put_all(struct answer *a)
{
	size_t n;
	const struct topic *const *all = metadata_topics(broker_metadata(a->r->broker), &n);

	if (!new_topics(a, n))
		return false;
	for (size_t i = 0; i < n; i++) {
		struct describe_log_dirs_response_describe_log_dirs_topic *t =
			new_topic(a, bytes_str(all[i]->name), all[i]->partitions_n);
		if (t == NULL)
			return false;
		for (int32_t k = 0; k < all[i]->partitions_n; k++)
			put_partition(t, &all[i]->partitions[k]);
		keep_topic(a);
	}
	return true;
}

static bool put_asked(struct answer *a)
{
	const struct describe_log_dirs_request *in = a->r->msg;
	const struct metadata *m = broker_metadata(a->r->broker);

	if (!new_topics(a, (size_t)in->topics_n))
		return false;
	for (int32_t i = 0; i < in->topics_n; i++) {
		const struct describe_log_dirs_request_describable_log_dir_topic *q =
			&in->topics[i];
		struct describe_log_dirs_response_describe_log_dirs_topic *t =
			new_topic(a, q->topic, q->partitions_n);
		if (t == NULL)
			return false;
		for (int32_t k = 0; k < q->partitions_n; k++)
			put_partition(t, metadata_partition(m, q->topic, q->partitions[k]));
		keep_topic(a);
	}
	return true;
}

void api_describe_log_dirs(struct request *r)
{
	const struct describe_log_dirs_request *in = r->msg;
	struct describe_log_dirs_response *out = request_response(r);
	struct answer a = {.r = r};

	if (out != NULL)
		a.dir = wire_array_new(
			&r->arena, &wire_describe_log_dirs_response_describe_log_dirs_result, 1);
	if (a.dir == NULL || !(in->topics_n < 0 ? put_all(&a) : put_asked(&a))) {
		request_no_memory(r);
		return;
	}
	struct store *s = broker_store(r->broker);
	a.dir->log_dir = bytes_str(store_dir(s));
	store_space(s, &a.dir->total_bytes, &a.dir->usable_bytes);
	out->results = a.dir;
	out->results_n = 1;
	request_answer(r, out);
}
