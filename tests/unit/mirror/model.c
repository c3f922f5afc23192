/* SPDX-License-Identifier: Apache-2.0 */
/* See model.h. Versions are held down to those that name topics: ids are the client's tests'. */
#include "tests/unit/mirror/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "mirror/link/memory.h"

enum {
	NODE = 1,
	OFFSET_OUT_OF_RANGE = 1,
	UNKNOWN_TOPIC = 3,
	FETCH_POLL_MS = 5,
	MEMORY_BYTES = 16 << 20,
	MODEL_PRODUCERS = 8,
	DECODE_BYTES = 1 << 20
};

/* ---- logs ---- */

struct model_topic *model_topic(struct model *m, const char *name)
{
	for (size_t i = 0; i < MODEL_TOPICS; i++)
		if (strcmp(m->topics[i].name, name) == 0)
			return &m->topics[i];
	return NULL;
}

static struct model_topic *topic_of(struct model *m, struct bytes name)
{
	for (size_t i = 0; i < MODEL_TOPICS; i++)
		if (name.n > 0 && bytes_eq_str(name, m->topics[i].name))
			return &m->topics[i];
	return NULL;
}

static struct model_log *log_of(struct model *m, struct bytes name, int32_t partition)
{
	struct model_topic *t = topic_of(m, name);
	return t == NULL || partition >= t->n ? NULL : &t->parts[partition];
}

static void topic_grow(struct model_topic *t, int32_t n)
{
	assert_true(n <= MODEL_PARTS);
	for (; t->n < n; t->n++)
		buf_init(&t->parts[t->n].bytes, MODEL_LOG_BYTES);
}

static struct model_topic *topic_make(struct model *m, struct bytes name, int32_t n)
{
	struct model_topic *t = model_topic(m, "");
	if (t == NULL)
		abort(); /* a test with more than MODEL_TOPICS topics */
	snprintf(t->name, sizeof t->name, "%.*s", (int)name.n, (const char *)name.p);
	snprintf(t->max_batch, sizeof t->max_batch, "1048588");
	topic_grow(t, n);
	return t;
}

/* Append batches as a leader does: offsets are its own. The first one's base offset. */
static int64_t log_append(struct model_log *l, struct bytes batches)
{
	struct batch_walk walk = {.left = batches};
	struct batch_head h;
	struct bytes whole;
	int64_t base = l->end;
	while (batch_walk_next(&walk, &h, &whole, NULL) == BATCH_WALK_BATCH) {
		size_t at = l->bytes.len;
		buf_put(&l->bytes, whole.p, whole.n);
		assert_int_equal(l->bytes.err, ERR_OK);
		h.base_offset = l->end;
		h.leader_epoch = 0;
		batch_head_put(l->bytes.p + at, &h);
		l->end += h.last_offset_delta + 1;
	}
	return base;
}

/* From the batch that holds `offset` on. */
static struct bytes log_read(const struct model_log *l, int64_t offset)
{
	struct batch_walk walk = {.left = buf_bytes(&l->bytes)};
	struct batch_head h;
	struct bytes whole;
	while (batch_walk_next(&walk, &h, &whole, NULL) == BATCH_WALK_BATCH)
		if (batch_last_offset(&h) >= offset)
			return bytes_of(whole.p, (size_t)(l->bytes.p + l->bytes.len - whole.p));
	return bytes_of("", 0);
}

static void append_built(struct model_log *l, struct batch_builder *b, int64_t producer)
{
	struct buf out;
	buf_init(&out, MODEL_LOG_BYTES);
	assert_int_equal(batch_builder_finish(b, &out), ERR_OK);
	if (producer >= 0) {
		struct batch_head h;
		uint8_t head[BATCH_HEAD];
		batch_head_get(out.p, &h);
		h.producer_id = producer;
		h.producer_epoch = 0;
		h.base_sequence = 0;
		batch_head_restamp(out.p, out.len - BATCH_HEAD, &h, head);
		memcpy(out.p, head, sizeof head);
	}
	log_append(l, buf_bytes(&out));
	batch_builder_fini(b);
	buf_fini(&out);
}

void model_append_by(struct model *m, const char *topic, int32_t partition, int n, int64_t producer)
{
	struct model_log *l = &model_topic(m, topic)->parts[partition];
	struct batch_builder b;
	uint8_t value[8];
	batch_builder_init(&b, CODEC_NONE, MODEL_LOG_BYTES);
	for (int i = 0; i < n; i++) {
		be64_put(value, (uint64_t)(l->end + i));
		const struct record r = {.timestamp = 1000 + l->end + i,
					 .value = bytes_of(value, sizeof value)};
		assert_int_equal(batch_builder_add(&b, &r), ERR_OK);
	}
	append_built(l, &b, producer);
}

void model_append(struct model *m, const char *topic, int32_t partition, int n)
{
	model_append_by(m, topic, partition, n, -1);
}

void model_append_pair(struct model *m, const char *topic, struct bytes key, struct bytes value)
{
	struct batch_builder b;
	const struct record r = {.timestamp = 1, .key = key, .value = value};
	batch_builder_init(&b, CODEC_NONE, MODEL_LOG_BYTES);
	assert_int_equal(batch_builder_add(&b, &r), ERR_OK);
	append_built(&model_topic(m, topic)->parts[0], &b, -1);
}

size_t model_each_record(struct bytes batches, model_record_fn *fn, void *arg)
{
	struct batch_walk walk = {.left = batches};
	struct batch_head h;
	struct bytes whole;
	size_t n = 0;
	while (batch_walk_next(&walk, &h, &whole, NULL) == BATCH_WALK_BATCH) {
		struct records_reader *rr;
		struct record r;
		struct errmsg why;
		assert_int_equal(records_reader_open(whole, DECODE_BYTES, &rr, &why), ERR_OK);
		for (; records_reader_next(rr, &r); n++)
			fn(arg, &r);
		assert_int_equal(records_reader_error(rr, &why), ERR_OK);
		records_reader_free(rr);
	}
	assert_int_equal(walk.left.n, 0);
	return n;
}

void model_make(struct model *m, const char *topic)
{
	topic_make(m, bytes_str(topic), 1);
}

static void topic_remove(struct model_topic *t)
{
	for (int32_t k = 0; k < t->n; k++)
		buf_fini(&t->parts[k].bytes);
	*t = (struct model_topic){.name = ""};
}

void model_remove(struct model *m, const char *topic)
{
	topic_remove(model_topic(m, topic));
}

/* ---- answers ---- */

static enum scripted_act twist(struct model *m, struct scripted_request *q, void *answer)
{
	scripted_handler *fn = m->twists[q->head.api_key];
	if (fn == NULL)
		return SCRIPTED_ANSWER;
	m->twisted++;
	return fn(m->twist_arg, q, answer);
}

static void describe_topic(const struct model_topic *t, struct bytes name,
			   struct scripted_request *q,
			   struct metadata_response_metadata_response_topic *to)
{
	to->name = name;
	if (t == NULL) {
		to->error_code = UNKNOWN_TOPIC;
		return;
	}
	to->topic_id = t->id;
	to->partitions =
		wire_array_new(q->arena, &wire_metadata_response_metadata_response_partition, t->n);
	to->partitions_n = t->n;
	for (int32_t i = 0; i < t->n; i++) {
		to->partitions[i].partition_index = i;
		to->partitions[i].leader_id = NODE;
		to->partitions[i].leader_epoch = 0;
	}
}

static enum scripted_act on_metadata(void *arg, struct scripted_request *q, void *answer)
{
	struct model *m = arg;
	const struct metadata_request *r = q->msg;
	struct metadata_response *a = answer;
	a->brokers = wire_array_new(q->arena, &wire_metadata_response_metadata_response_broker, 1);
	a->brokers_n = 1;
	a->brokers[0].node_id = NODE;
	a->brokers[0].host = bytes_str("127.0.0.1");
	a->brokers[0].port = scripted_peer_port(m->peer);
	a->controller_id = NODE;
	int32_t n = r->topics_n < 0 ? MODEL_TOPICS : r->topics_n;
	a->topics = wire_array_new(q->arena, &wire_metadata_response_metadata_response_topic, n);
	for (int32_t i = 0; i < n; i++) {
		struct bytes name =
			r->topics_n < 0 ? bytes_str(m->topics[i].name) : r->topics[i].name;
		if (name.n > 0)
			describe_topic(topic_of(m, name), name, q, &a->topics[a->topics_n++]);
	}
	return twist(m, q, answer);
}

static enum scripted_act on_configs(void *arg, struct scripted_request *q, void *answer)
{
	struct model *m = arg;
	const struct describe_configs_request *r = q->msg;
	struct describe_configs_response *a = answer;
	a->results = wire_array_new(
		q->arena, &wire_describe_configs_response_describe_configs_result, r->resources_n);
	a->results_n = r->resources_n;
	for (int32_t i = 0; i < r->resources_n; i++) {
		struct describe_configs_response_describe_configs_result *x = &a->results[i];
		struct model_topic *t = topic_of(m, r->resources[i].resource_name);
		x->resource_type = 2;
		x->resource_name = r->resources[i].resource_name;
		if (t == NULL) {
			x->error_code = UNKNOWN_TOPIC;
			continue;
		}
		x->configs = wire_array_new(
			q->arena, &wire_describe_configs_response_describe_configs_resource_result,
			2);
		x->configs_n = 2;
		x->configs[0].name = bytes_str("cleanup.policy");
		x->configs[0].value = bytes_str("delete");
		x->configs[0].config_source = CONFIG_FROM_DEFAULT;
		x->configs[1].name = bytes_str("max.message.bytes");
		x->configs[1].value = bytes_str(t->max_batch);
		x->configs[1].config_source = CONFIG_FROM_DEFAULT;
	}
	return twist(m, q, answer);
}

static enum scripted_act on_create(void *arg, struct scripted_request *q, void *answer)
{
	struct model *m = arg;
	const struct create_topics_request *r = q->msg;
	struct create_topics_response *a = answer;
	a->topics = wire_array_new(q->arena, &wire_create_topics_response_creatable_topic_result,
				   r->topics_n);
	a->topics_n = r->topics_n;
	for (int32_t i = 0; i < r->topics_n; i++) {
		struct create_topics_response_creatable_topic_result *x = &a->topics[i];
		x->name = r->topics[i].name;
		x->configs = wire_array_new(
			q->arena, &wire_create_topics_response_creatable_topic_configs, 2);
		x->configs_n = 2;
		x->configs[0].name = bytes_str("max.message.bytes");
		x->configs[0].value = bytes_str("1048588");
		x->configs[0].config_source = CONFIG_FROM_DEFAULT;
		x->configs[1].name = bytes_str("cleanup.policy");
		x->configs[1].value = bytes_str("delete");
		x->configs[1].config_source = CONFIG_FROM_DEFAULT;
	}
	enum scripted_act act = twist(m, q, answer);
	for (int32_t i = 0; i < a->topics_n && act == SCRIPTED_ANSWER; i++)
		if (a->topics[i].error_code == 0 && topic_of(m, a->topics[i].name) == NULL)
			topic_make(m, a->topics[i].name, r->topics[i].num_partitions);
	return act;
}

static enum scripted_act on_grow(void *arg, struct scripted_request *q, void *answer)
{
	struct model *m = arg;
	const struct create_partitions_request *r = q->msg;
	struct create_partitions_response *a = answer;
	a->results = wire_array_new(q->arena,
				    &wire_create_partitions_response_create_partitions_topic_result,
				    r->topics_n);
	a->results_n = r->topics_n;
	for (int32_t i = 0; i < r->topics_n; i++)
		a->results[i].name = r->topics[i].name;
	enum scripted_act act = twist(m, q, answer);
	for (int32_t i = 0; i < r->topics_n && act == SCRIPTED_ANSWER; i++)
		if (a->results[i].error_code == 0)
			topic_grow(topic_of(m, r->topics[i].name), r->topics[i].count);
	return act;
}

/* The topic that is asked for by id or by name, whatever the version has. */
static struct model_topic *topic_to_delete(struct model *m, const struct delete_topics_request *r,
					   int32_t i)
{
	if (r->topics_n == 0)
		return topic_of(m, r->topic_names[i]);
	for (size_t k = 0; k < MODEL_TOPICS; k++)
		if (m->topics[k].name[0] != '\0' &&
		    uuid_eq(&m->topics[k].id, &r->topics[i].topic_id))
			return &m->topics[k];
	return NULL;
}

static enum scripted_act on_delete(void *arg, struct scripted_request *q, void *answer)
{
	struct model *m = arg;
	const struct delete_topics_request *r = q->msg;
	struct delete_topics_response *a = answer;
	int32_t n = r->topics_n > 0 ? r->topics_n : r->topic_names_n;
	a->responses =
		wire_array_new(q->arena, &wire_delete_topics_response_deletable_topic_result, n);
	a->responses_n = n;
	for (int32_t i = 0; i < n; i++)
		if (topic_to_delete(m, r, i) == NULL)
			a->responses[i].error_code = UNKNOWN_TOPIC;
	enum scripted_act act = twist(m, q, answer);
	for (int32_t i = 0; i < n && act == SCRIPTED_ANSWER; i++)
		if (a->responses[i].error_code == 0)
			topic_remove(topic_to_delete(m, r, i));
	return act;
}

static enum scripted_act on_alter(void *arg, struct scripted_request *q, void *answer)
{
	const struct incremental_alter_configs_request *r = q->msg;
	struct incremental_alter_configs_response *a = answer;
	a->responses = wire_array_new(
		q->arena, &wire_incremental_alter_configs_response_alter_configs_resource_response,
		r->resources_n);
	a->responses_n = r->resources_n;
	for (int32_t i = 0; i < r->resources_n; i++) {
		a->responses[i].resource_type = r->resources[i].resource_type;
		a->responses[i].resource_name = r->resources[i].resource_name;
	}
	return twist(arg, q, answer);
}

static enum scripted_act on_list(void *arg, struct scripted_request *q, void *answer)
{
	struct model *m = arg;
	const struct list_offsets_request *r = q->msg;
	struct list_offsets_response *a = answer;
	a->topics = wire_array_new(
		q->arena, &wire_list_offsets_response_list_offsets_topic_response, r->topics_n);
	a->topics_n = r->topics_n;
	for (int32_t i = 0; i < r->topics_n; i++) {
		int32_t n = r->topics[i].partitions_n;
		a->topics[i].name = r->topics[i].name;
		a->topics[i].partitions = wire_array_new(
			q->arena, &wire_list_offsets_response_list_offsets_partition_response, n);
		a->topics[i].partitions_n = n;
		for (int32_t k = 0; k < n; k++) {
			int32_t index = r->topics[i].partitions[k].partition_index;
			const struct model_log *l = log_of(m, r->topics[i].name, index);
			a->topics[i].partitions[k].partition_index = index;
			a->topics[i].partitions[k].error_code = l == NULL ? UNKNOWN_TOPIC : 0;
			if (l != NULL)
				a->topics[i].partitions[k].offset =
					r->topics[i].partitions[k].timestamp == -1 ? l->end
										   : l->start;
		}
	}
	return twist(m, q, answer);
}

/* All epochs but 0 are unknown. */
static enum scripted_act on_epoch(void *arg, struct scripted_request *q, void *answer)
{
	struct model *m = arg;
	const struct offset_for_leader_epoch_request *r = q->msg;
	struct offset_for_leader_epoch_response *a = answer;
	a->topics = wire_array_new(
		q->arena, &wire_offset_for_leader_epoch_response_offset_for_leader_topic_result,
		r->topics_n);
	a->topics_n = r->topics_n;
	for (int32_t i = 0; i < r->topics_n; i++) {
		int32_t n = r->topics[i].partitions_n;
		a->topics[i].topic = r->topics[i].topic;
		a->topics[i].partitions = wire_array_new(
			q->arena, &wire_offset_for_leader_epoch_response_epoch_end_offset, n);
		a->topics[i].partitions_n = n;
		for (int32_t k = 0; k < n; k++) {
			int32_t index = r->topics[i].partitions[k].partition;
			const struct model_log *l = log_of(m, r->topics[i].topic, index);
			a->topics[i].partitions[k].partition = index;
			a->topics[i].partitions[k].leader_epoch = 0;
			a->topics[i].partitions[k].error_code = l == NULL ? UNKNOWN_TOPIC : 0;
			if (l != NULL)
				a->topics[i].partitions[k].end_offset = l->end;
		}
	}
	return twist(m, q, answer);
}

static bool fetch_part(struct model *m, struct bytes topic,
		       const struct fetch_request_fetch_partition *from,
		       struct fetch_response_partition_data *to)
{
	const struct model_log *l = log_of(m, topic, from->partition);
	to->partition_index = from->partition;
	to->records.data = bytes_of("", 0);
	if (l == NULL) {
		to->error_code = UNKNOWN_TOPIC;
		return true;
	}
	if (from->fetch_offset < l->start || from->fetch_offset > l->end) {
		/* Kafka says nothing more of the log then. */
		to->error_code = OFFSET_OUT_OF_RANGE;
		to->high_watermark = to->last_stable_offset = to->log_start_offset = -1;
		return true;
	}
	to->high_watermark = to->last_stable_offset = l->end;
	to->log_start_offset = l->start;
	to->records.data = log_read(l, from->fetch_offset);
	return to->records.data.n > 0;
}

/* Without sessions, so each request names what it wants. */
static enum scripted_act on_fetch(void *arg, struct scripted_request *q, void *answer)
{
	struct model *m = arg;
	const struct fetch_request *r = q->msg;
	struct fetch_response *a = answer;
	bool any = false;
	a->responses = wire_array_new(q->arena, &wire_fetch_response_fetchable_topic_response,
				      r->topics_n);
	a->responses_n = r->topics_n;
	for (int32_t i = 0; i < r->topics_n; i++) {
		int32_t n = r->topics[i].partitions_n;
		a->responses[i].topic = r->topics[i].topic;
		a->responses[i].partitions =
			wire_array_new(q->arena, &wire_fetch_response_partition_data, n);
		a->responses[i].partitions_n = n;
		for (int32_t k = 0; k < n; k++)
			any |= fetch_part(m, r->topics[i].topic, &r->topics[i].partitions[k],
					  &a->responses[i].partitions[k]);
	}
	q->delay_ms = any || r->max_wait_ms == 0 ? 0 : FETCH_POLL_MS;
	return twist(m, q, answer);
}

static enum scripted_act on_produce(void *arg, struct scripted_request *q, void *answer)
{
	struct model *m = arg;
	const struct produce_request *r = q->msg;
	struct produce_response *a = answer;
	a->responses = wire_array_new(q->arena, &wire_produce_response_topic_produce_response,
				      r->topic_data_n);
	a->responses_n = r->topic_data_n;
	for (int32_t i = 0; i < r->topic_data_n; i++) {
		int32_t n = r->topic_data[i].partition_data_n;
		a->responses[i].name = r->topic_data[i].name;
		a->responses[i].partition_responses = wire_array_new(
			q->arena, &wire_produce_response_partition_produce_response, n);
		a->responses[i].partition_responses_n = n;
		for (int32_t k = 0; k < n; k++) {
			int32_t index = r->topic_data[i].partition_data[k].index;
			struct model_log *l = log_of(m, r->topic_data[i].name, index);
			a->responses[i].partition_responses[k].index = index;
			if (l == NULL)
				a->responses[i].partition_responses[k].error_code = UNKNOWN_TOPIC;
			else
				a->responses[i].partition_responses[k].base_offset = l->end;
		}
	}
	enum scripted_act act = twist(m, q, answer);
	for (int32_t i = 0; i < a->responses_n && act == SCRIPTED_ANSWER; i++)
		for (int32_t k = 0; k < a->responses[i].partition_responses_n; k++)
			if (a->responses[i].partition_responses[k].error_code == 0)
				log_append(log_of(m, r->topic_data[i].name,
						  r->topic_data[i].partition_data[k].index),
					   r->topic_data[i].partition_data[k].records.data);
	return act;
}

static enum scripted_act on_producer_id(void *arg, struct scripted_request *q, void *answer)
{
	struct model *m = arg;
	struct init_producer_id_response *a = answer;
	a->producer_id = m->next_producer++;
	a->producer_epoch = 0;
	return twist(m, q, answer);
}

/* The last batch of each producer. */
static void list_producers(const struct model_log *l, struct arena *arena,
			   struct describe_producers_response_partition_response *out)
{
	struct batch_walk walk = {.left = buf_bytes(&l->bytes)};
	struct batch_head h;
	struct bytes whole;
	out->active_producers = wire_array_new(
		arena, &wire_describe_producers_response_producer_state, MODEL_PRODUCERS);
	while (batch_walk_next(&walk, &h, &whole, NULL) == BATCH_WALK_BATCH) {
		int32_t i = 0;
		while (i < out->active_producers_n &&
		       out->active_producers[i].producer_id != h.producer_id)
			i++;
		if (h.producer_id < 0 || i == MODEL_PRODUCERS)
			continue;
		out->active_producers[i].producer_id = h.producer_id;
		out->active_producers[i].producer_epoch = h.producer_epoch;
		out->active_producers[i].last_sequence =
			batch_sequence_add(h.base_sequence, h.count - 1);
		if (i == out->active_producers_n)
			out->active_producers_n++;
	}
}

static enum scripted_act on_producers(void *arg, struct scripted_request *q, void *answer)
{
	struct model *m = arg;
	const struct describe_producers_request *r = q->msg;
	struct describe_producers_response *a = answer;
	a->topics = wire_array_new(q->arena, &wire_describe_producers_response_topic_response,
				   r->topics_n);
	a->topics_n = r->topics_n;
	for (int32_t i = 0; i < r->topics_n; i++) {
		int32_t n = r->topics[i].partition_indexes_n;
		a->topics[i].name = r->topics[i].name;
		a->topics[i].partitions = wire_array_new(
			q->arena, &wire_describe_producers_response_partition_response, n);
		a->topics[i].partitions_n = n;
		for (int32_t k = 0; k < n; k++) {
			int32_t index = r->topics[i].partition_indexes[k];
			const struct model_log *l = log_of(m, r->topics[i].name, index);
			a->topics[i].partitions[k].partition_index = index;
			a->topics[i].partitions[k].error_code = l == NULL ? UNKNOWN_TOPIC : 0;
			if (l != NULL)
				list_producers(l, q->arena, &a->topics[i].partitions[k]);
		}
	}
	return twist(m, q, answer);
}

static void model_init(struct model *m, struct loop *l)
{
	static const struct {
		int16_t api, max;
		scripted_handler *fn;
	} apis[] = {
		{WIRE_API_METADATA, 12, on_metadata},
		{WIRE_API_DESCRIBE_CONFIGS, 4, on_configs},
		{WIRE_API_CREATE_TOPICS, 7, on_create},
		{WIRE_API_CREATE_PARTITIONS, 3, on_grow},
		{WIRE_API_DELETE_TOPICS, 6, on_delete},
		{WIRE_API_INCREMENTAL_ALTER_CONFIGS, 1, on_alter},
		{WIRE_API_LIST_OFFSETS, 7, on_list},
		{WIRE_API_OFFSET_FOR_LEADER_EPOCH, 4, on_epoch},
		{WIRE_API_FETCH, 12, on_fetch},
		{WIRE_API_PRODUCE, 12, on_produce},
		{WIRE_API_INIT_PRODUCER_ID, 5, on_producer_id},
		{WIRE_API_DESCRIBE_PRODUCERS, 0, on_producers},
	};
	m->peer = scripted_peer_new(l, NULL);
	m->next_producer = 4000;
	for (size_t i = 0; i < sizeof apis / sizeof *apis; i++) {
		int16_t min = wire_request(apis[i].api)->min_version;
		scripted_peer_versions(m->peer, apis[i].api, min, apis[i].max);
		scripted_peer_on(m->peer, apis[i].api, apis[i].fn, m);
	}
}

static void model_fini(struct model *m)
{
	scripted_peer_free(m->peer);
	for (size_t i = 0; i < MODEL_TOPICS; i++)
		topic_remove(&m->topics[i]);
}

void model_twist(struct model *m, int16_t api, scripted_handler *fn, void *arg)
{
	assert_true(api < MODEL_APIS);
	m->twists[api] = fn;
	m->twist_arg = arg;
	m->twisted = 0;
}

/* ---- the pair ---- */

static int64_t pair_mono_ms(void *ctx)
{
	return clock_mono_ms(clock_system()) + ((const struct pair *)ctx)->skew_ms;
}

static int64_t pair_wall_ms(void *ctx)
{
	return clock_wall_ms(clock_system()) + ((const struct pair *)ctx)->skew_ms;
}

static uint64_t pair_random(void *ctx)
{
	(void)ctx;
	return 7;
}

static void configure(struct pair *p)
{
	static const char *const names[] = {"east", "west"};
	for (int i = 0; i < 2; i++) {
		const struct model *m = i == 0 ? &p->source : &p->target;
		snprintf(p->addresses[i], sizeof p->addresses[i], "127.0.0.1:%u",
			 scripted_peer_port(m->peer));
		p->bootstrap[i] = p->addresses[i];
		p->clusters[i] = (struct cluster_config){
			.name = names[i],
			.bootstrap = &p->bootstrap[i],
			.bootstrap_n = 1,
			.client_id = "test",
			.request_timeout_ms = 5000,
			.connect_timeout_ms = 5000,
			.metadata_max_age_ms = 300000,
			.backoff_min_ms = 10,
			.backoff_max_ms = 100,
			.user_timeout_ms = 5000,
			.fetch_max_wait_ms = 100,
			.read_committed = true,
		};
	}
	p->config = (struct link_config){
		.name = "east->west",
		.source = &p->clusters[0],
		.target = &p->clusters[1],
		.topics = "t",
		.topics_exclude = "",
		.separator = ".",
		.internal_separator = true,
		.replication_factor = 1,
		.runs_replication_factor = 1,
		.config_exclude = "",
		.refresh_topics = true,
		.sync_configs = true,
		.refresh_topics_ms = 200,
		.sync_configs_ms = 1000,
		.max_request_bytes = 1 << 20,
		.max_in_flight = 8,
		.delivery_timeout_ms = 5000,
		.runs_budget = 64 << 10,
	};
}

void pair_init(struct pair *p, int32_t partitions)
{
	struct errmsg why = {0};
	*p = (struct pair){.skew_ms = 0};
	p->clock = (struct clock){pair_mono_ms, pair_wall_ms, pair_random, p};
	p->log_fd = memfd_create("log", 0);
	p->log = log_new(p->log_fd, LOG_DEBUG, clock_system());
	assert_true(p->log_fd >= 0 && p->log != NULL);
	assert_int_equal(loop_new(1, &p->clock, p->log, &p->loop, &why), ERR_OK);
	p->memory = memory_new(p->loop, MEMORY_BYTES);
	assert_non_null(p->memory);
	model_init(&p->source, p->loop);
	model_init(&p->target, p->loop);
	topic_make(&p->source, bytes_str("t"), partitions);
	configure(p);
}

void pair_start(struct pair *p)
{
	struct errmsg why = {0};
	if (link_new(p->loop, &p->config, p->memory, &p->link, &why) != ERR_OK)
		fail_msg("%s", why.text);
}

static bool stopped(struct pair *p)
{
	return link_stopped(p->link);
}

void pair_stop(struct pair *p)
{
	link_stop(p->link);
	pair_wait(p, stopped, 0);
	link_free(p->link);
	p->link = NULL;
}

void pair_fini(struct pair *p)
{
	link_free(p->link);
	model_fini(&p->source);
	model_fini(&p->target);
	memory_free(p->memory);
	loop_free(p->loop);
	log_free(p->log);
	close(p->log_fd);
}

void pair_end(struct pair *p)
{
	pair_stop(p);
	pair_fini(p);
}

static char *log_text(const struct pair *p)
{
	off_t size = lseek(p->log_fd, 0, SEEK_END);
	char *text = calloc(1, (size_t)size + 1);
	assert_non_null(text);
	assert_int_equal(pread(p->log_fd, text, (size_t)size, 0), size);
	return text;
}

unsigned pair_logged(const struct pair *p, const char *part)
{
	char *text = log_text(p);
	unsigned hits = 0;
	for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part))
		hits++;
	free(text);
	return hits;
}

void pair_wait(struct pair *p, bool (*fn)(struct pair *p), int64_t step_ms)
{
	int64_t end = clock_mono_ms(clock_system()) + 10000;
	while (!fn(p)) {
		if (clock_mono_ms(clock_system()) > end) {
			char *text = log_text(p);
			fputs(text, stderr); /* print_error cuts it */
			free(text);
			fail_msg("nothing came of it in 10 s");
		}
		loop_turn(p->loop, 2);
		p->skew_ms += step_ms;
	}
}

const struct partition *pair_partition(const struct pair *p)
{
	size_t n;
	struct topic_entry **list = link_topics_sorted(p->link, &n);
	const struct partition *found = n > 0 && list[0]->slots_n > 0 ? list[0]->slots[0]->p : NULL;
	mem_free(list);
	return found;
}

static bool entry_copied(const struct topic_entry *t, const struct model_topic *from)
{
	if (t->slots_n < from->n)
		return false;
	for (int32_t i = 0; i < from->n; i++)
		if (t->slots[i]->p->state != STATE_ACTIVE ||
		    t->slots[i]->p->src_acked != from->parts[i].end)
			return false;
	return true;
}

bool pair_copied(struct pair *p)
{
	size_t n;
	struct topic_entry **list = link_topics_sorted(p->link, &n);
	bool done = n == 1 && entry_copied(list[0], model_topic(&p->source, "t"));
	mem_free(list);
	return done;
}

void pair_wait_copied(struct pair *p, int64_t step_ms)
{
	pair_wait(p, pair_copied, step_ms);
}

static bool is_logged(struct pair *p)
{
	return pair_logged(p, p->wanted) > 0;
}

void pair_wait_logged(struct pair *p, const char *part, int64_t step_ms)
{
	p->wanted = part;
	pair_wait(p, is_logged, step_ms);
}

bool pair_has_reason(const struct pair *p, const char *part)
{
	return strstr(pair_partition(p)->reason.text, part) != NULL;
}

static bool has_wanted_reason(struct pair *p)
{
	return pair_has_reason(p, p->wanted);
}

void pair_wait_reason(struct pair *p, const char *part, int64_t step_ms)
{
	p->wanted = part;
	pair_wait(p, has_wanted_reason, step_ms);
}

void pair_pass(struct pair *p, int64_t ms, int64_t step_ms)
{
	for (int64_t end = p->skew_ms + ms; p->skew_ms < end; p->skew_ms += step_ms)
		loop_turn(p->loop, 2);
}
