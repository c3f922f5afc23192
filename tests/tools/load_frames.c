/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encoding and decoding for the load generator. Correlation ids are always 0: answers come in the
 * order of the requests, and constant frames can be sent again and again.
 */
#include "tests/tools/load_frames.h"

enum { FRAME_MAX = 128 << 20, ARENA_MAX = 64 << 20 };

static const char CLIENT_ID[] = "kafka-load";

static void encode(const struct wire_message *m, int16_t version, const void *msg, struct buf *out)
{
	struct wire_out w;
	struct errmsg why;
	wire_out_init(&w, FRAME_MAX, 0);
	buf_put_be32(&w.buf, 0);
	wire_put_request_header(&(struct wire_request_header){.api_key = m->api_key,
							      .api_version = version,
							      .client_id = bytes_str(CLIENT_ID)},
				&w);
	if (wire_encode(m, version, msg, &w, &why) != ERR_OK)
		load_die("%s: %s", m->name, why.text);
	be32_put(w.buf.p, (uint32_t)(w.buf.len - 4));
	buf_fini(out);
	*out = w.buf;
	w.buf = (struct buf){0};
	wire_out_fini(&w);
}

static void decode(const struct wire_message *m, int16_t version, struct bytes answer,
		   struct arena *a, void *msg)
{
	int32_t correlation;
	size_t head;
	struct errmsg why;
	arena_fini(a);
	arena_init(a, ARENA_MAX);
	if (wire_get_response_header(answer, m->api_key, version, &correlation, &head, &why) !=
		    ERR_OK ||
	    wire_decode(m, version, bytes_of(answer.p + head, answer.n - head), a, msg, &why) !=
		    ERR_OK)
		load_die("%s: %s", m->name, why.text);
}

/* ---- finding out ---- */

struct finder {
	struct load_topic *topic;
	bool versions_known;
	struct arena arena;
};

static int16_t common(const struct api_versions_response *r, const struct wire_message *m)
{
	for (int32_t i = 0; i < r->api_keys_n; i++) {
		const struct api_versions_response_api_version *k = &r->api_keys[i];
		int16_t max = k->max_version < m->max_version ? k->max_version : m->max_version;
		if (k->api_key == m->api_key && max >= k->min_version && max >= m->min_version)
			return max;
	}
	load_die("%s: no common version", m->name);
}

static void on_versions(struct finder *f, struct bytes answer)
{
	struct api_versions_response r;
	decode(&wire_api_versions_response, 0, answer, &f->arena, &r);
	if (r.error_code != 0)
		load_die("ApiVersions: error %d", r.error_code);
	f->topic->produce = common(&r, &wire_produce_request);
	f->topic->fetch = common(&r, &wire_fetch_request);
	f->topic->metadata = common(&r, &wire_metadata_request);
}

static void on_metadata(struct finder *f, struct bytes answer)
{
	struct metadata_response r;
	decode(&wire_metadata_response, f->topic->metadata, answer, &f->arena, &r);
	if (r.topics_n != 1 || r.topics[0].error_code != 0)
		load_die("topic %s: error %d", f->topic->name,
			 r.topics_n == 1 ? r.topics[0].error_code : -1);
	if (r.topics[0].partitions_n < 1)
		load_die("topic %s has no partitions", f->topic->name);
	f->topic->id = r.topics[0].topic_id;
	f->topic->partitions = r.topics[0].partitions_n;
}

static void on_found(struct load_conn *c, struct bytes answer)
{
	struct finder *f = c->owner;
	if (f->versions_known)
		on_metadata(f, answer);
	else
		on_versions(f, answer);
	f->versions_known = true;
	c->loop->done = true;
}

void load_topic_find(struct load_loop *l, const char *name, struct load_topic *t)
{
	struct finder f = {.topic = t};
	struct buf frame = {0};
	struct load_conn *c = load_conn_open(l, on_found, &f);
	t->name = name;

	struct api_versions_request versions;
	wire_init(&wire_api_versions_request, &versions);
	encode(&wire_api_versions_request, 0, &versions, &frame);
	load_conn_queue(c, buf_bytes(&frame));
	load_conn_flush(c);
	load_loop_run(l);

	struct metadata_request_metadata_request_topic asked = {.name = bytes_str(name)};
	struct metadata_request metadata;
	wire_init(&wire_metadata_request, &metadata);
	metadata.topics = &asked;
	metadata.topics_n = 1;
	encode(&wire_metadata_request, t->metadata, &metadata, &frame);
	load_conn_queue(c, buf_bytes(&frame));
	load_conn_flush(c);
	load_loop_run(l);

	load_conn_close(c);
	buf_fini(&frame);
	arena_fini(&f.arena);
}

/* ---- producing ---- */

void load_produce_frame(const struct load_topic *t, int32_t first, int32_t n,
			const struct bytes *batches, struct buf *out)
{
	struct arena a;
	arena_init(&a, ARENA_MAX);
	struct produce_request_topic_produce_data data = {
		.name = bytes_str(t->name),
		.topic_id = t->id,
		.partition_data =
			wire_array_new(&a, &wire_produce_request_partition_produce_data, n),
		.partition_data_n = n};
	if (data.partition_data == NULL)
		load_die("out of memory");
	for (int32_t i = 0; i < n; i++) {
		data.partition_data[i].index = (first + i) % t->partitions;
		data.partition_data[i].records.data = batches[i];
	}
	struct produce_request r;
	wire_init(&wire_produce_request, &r);
	r.acks = -1;
	r.timeout_ms = 30000;
	r.topic_data = &data;
	r.topic_data_n = 1;
	encode(&wire_produce_request, t->produce, &r, out);
	arena_fini(&a);
}

void load_produce_check(const struct load_topic *t, struct bytes answer, struct arena *a)
{
	struct produce_response r;
	decode(&wire_produce_response, t->produce, answer, a, &r);
	for (int32_t i = 0; i < r.responses_n; i++)
		for (int32_t k = 0; k < r.responses[i].partition_responses_n; k++) {
			const struct produce_response_partition_produce_response *p =
				&r.responses[i].partition_responses[k];
			if (p->error_code != 0)
				load_die("produce to %s-%d: error %d", t->name, p->index,
					 p->error_code);
		}
}

/* ---- fetching ---- */

void load_fetch_frame(const struct load_topic *t, const struct load_fetch *f, struct buf *out)
{
	struct arena a;
	arena_init(&a, ARENA_MAX);
	int32_t n = (t->partitions - f->first + f->step - 1) / f->step;
	struct fetch_request_fetch_topic topic = {
		.topic = bytes_str(t->name),
		.topic_id = t->id,
		.partitions = wire_array_new(&a, &wire_fetch_request_fetch_partition, n),
		.partitions_n = n};
	if (topic.partitions == NULL)
		load_die("out of memory");
	for (int32_t i = 0; i < n; i++) {
		struct fetch_request_fetch_partition *p = &topic.partitions[i];
		p->partition = f->first + i * f->step;
		p->fetch_offset = f->offsets[p->partition];
		p->partition_max_bytes = f->partition_max_bytes;
	}
	struct fetch_request r;
	wire_init(&wire_fetch_request, &r);
	r.max_wait_ms = f->max_wait_ms;
	r.min_bytes = 1;
	r.max_bytes = f->max_bytes;
	r.topics = &topic;
	r.topics_n = 1;
	encode(&wire_fetch_request, t->fetch, &r, out);
	arena_fini(&a);
}

static void read_batches(struct bytes records, int32_t partition, const struct load_reader *to)
{
	struct batch_walk walk = {.left = records};
	struct batch_head head;
	struct bytes whole;
	struct errmsg why;
	enum batch_walk_result found;
	while ((found = batch_walk_next(&walk, &head, &whole, &why)) == BATCH_WALK_BATCH)
		to->on_batch(to->arg, partition, &head, whole);
	if (found != BATCH_WALK_END)
		load_die("partition %d: %s", partition, why.text);
}

void load_fetch_read(const struct load_topic *t, struct bytes answer, struct arena *a,
		     const struct load_reader *to)
{
	struct fetch_response r;
	decode(&wire_fetch_response, t->fetch, answer, a, &r);
	if (r.error_code != 0)
		load_die("fetch from %s: error %d", t->name, r.error_code);
	for (int32_t i = 0; i < r.responses_n; i++)
		for (int32_t k = 0; k < r.responses[i].partitions_n; k++) {
			const struct fetch_response_partition_data *p =
				&r.responses[i].partitions[k];
			if (p->error_code != 0)
				load_die("fetch from %s-%d: error %d", t->name, p->partition_index,
					 p->error_code);
			if (p->partition_index < 0 || p->partition_index >= t->partitions)
				load_die("fetch from %s: partition %d was not asked for", t->name,
					 p->partition_index);
			if (to->high != NULL)
				to->high[p->partition_index] = p->high_watermark;
			read_batches(p->records.data, p->partition_index, to);
		}
}
