/* SPDX-License-Identifier: Apache-2.0 */
/*
 * broker_seeds FRAMES FOLDER: writes the seeds of fuzz_broker_request: every request of FRAMES by
 * itself, and talks that reach further: a topic is made, written, read by a session, committed to,
 * and deleted.
 */
#include <stdio.h>
#include <stdlib.h>

#include "lib/wire/batch.h"
#include "lib/wire/messages.h"
#include "tests/unit/wire/frames.h"

enum { SEED_MAX = 1 << 18, VALUE = 40 };

struct seeds {
	const char *folder;
	size_t n;
	struct buf talk;
	int32_t correlation;
};

static void give_up(const char *what)
{
	fprintf(stderr, "broker_seeds: %s\n", what);
	exit(1);
}

static void put_frame(struct buf *out, const void *p, size_t n)
{
	if (n > UINT16_MAX)
		give_up("a frame is too long");
	buf_put_be16(out, (uint16_t)n);
	buf_put(out, p, n);
}

/* Write what was collected, and begin anew. */
static void write_seed(struct seeds *s)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%04zu", s->folder, s->n++);
	FILE *f = fopen(path, "wb");
	if (f == NULL || s->talk.err != ERR_OK ||
	    fwrite(s->talk.p, 1, s->talk.len, f) != s->talk.len || fclose(f) != 0)
		give_up(path);
	buf_clear(&s->talk);
}

/* The next request of the talk. */
static void say(struct seeds *s, int16_t key, int16_t version, const void *msg)
{
	struct wire_out out;
	struct errmsg why = {{0}};
	const struct wire_request_header h = {.api_key = key,
					      .api_version = version,
					      .correlation_id = ++s->correlation,
					      .client_id = bytes_str("seed")};
	wire_out_init(&out, SEED_MAX, 0);
	wire_put_request_header(&h, &out);
	if (wire_encode(wire_request(key), version, msg, &out, &why) != ERR_OK)
		give_up(why.text);
	put_frame(&s->talk, out.buf.p, out.buf.len);
	wire_out_fini(&out);
}

/* ---- requests ---- */

static void create_topic(struct seeds *s, int16_t version)
{
	struct create_topics_request m;
	struct create_topics_request_creatable_topic t = {
		.name = bytes_str("t"), .num_partitions = 2, .replication_factor = 1};
	wire_init(wire_request(WIRE_API_CREATE_TOPICS), &m);
	m.topics = &t;
	m.topics_n = 1;
	m.timeout_ms = 1000;
	say(s, WIRE_API_CREATE_TOPICS, version, &m);
}

static void delete_topic(struct seeds *s)
{
	struct delete_topics_request m;
	struct bytes name = bytes_str("t");
	wire_init(wire_request(WIRE_API_DELETE_TOPICS), &m);
	m.topic_names = &name;
	m.topic_names_n = 1;
	say(s, WIRE_API_DELETE_TOPICS, 5, &m);
}

static void metadata(struct seeds *s, int16_t version)
{
	struct metadata_request m;
	struct metadata_request_metadata_request_topic t = {.name = bytes_str("t")};
	wire_init(wire_request(WIRE_API_METADATA), &m);
	m.topics = &t;
	m.topics_n = 1;
	m.allow_auto_topic_creation = true;
	say(s, WIRE_API_METADATA, version, &m);
}

/* One record with a key and a value. */
static size_t make_batch(uint8_t *out, int64_t producer, int32_t sequence)
{
	uint8_t *p = out + BATCH_HEAD;
	const size_t body = 1 + 1 + 1 + 1 + 1 + 1 + VALUE + 1;
	*p++ = (uint8_t)(body << 1);
	memset(p, 0, 3);
	p += 3; /* attributes, timestamp delta, offset delta */
	*p++ = 1 << 1;
	*p++ = 'k';
	*p++ = VALUE << 1;
	memset(p, 'v', VALUE);
	p += VALUE;
	*p++ = 0; /* headers */
	const struct batch_head h = {.leader_epoch = -1,
				     .producer_id = producer,
				     .producer_epoch = producer < 0 ? -1 : 0,
				     .base_sequence = sequence,
				     .base_timestamp = 1,
				     .max_timestamp = 1,
				     .count = 1};
	size_t n = (size_t)(p - out);
	batch_head_seal(out, n - BATCH_HEAD, &h);
	return n;
}

static void produce(struct seeds *s, int16_t version, int16_t acks, int64_t producer,
		    int32_t sequence)
{
	uint8_t batch[BATCH_HEAD + 64];
	struct produce_request m;
	struct produce_request_partition_produce_data d = {.index = 0};
	struct produce_request_topic_produce_data t = {
		.name = bytes_str("t"), .partition_data = &d, .partition_data_n = 1};
	d.records.data = bytes_of(batch, make_batch(batch, producer, sequence));
	wire_init(wire_request(WIRE_API_PRODUCE), &m);
	m.acks = acks;
	m.timeout_ms = 1000;
	m.topic_data = &t;
	m.topic_data_n = 1;
	say(s, WIRE_API_PRODUCE, version, &m);
}

static void fetch(struct seeds *s, int16_t version, int32_t session, int32_t epoch, int32_t wait)
{
	struct fetch_request m;
	struct fetch_request_fetch_partition p[2] = {{.partition = 0, .partition_max_bytes = 1000},
						     {.partition = 1, .partition_max_bytes = 1000}};
	struct fetch_request_fetch_topic t = {
		.topic = bytes_str("t"), .partitions = p, .partitions_n = 2};
	for (int i = 0; i < 2; i++)
		p[i].current_leader_epoch = p[i].last_fetched_epoch = -1;
	for (int i = 0; i < 2; i++)
		p[i].high_watermark = INT64_MAX;
	wire_init(wire_request(WIRE_API_FETCH), &m);
	m.max_wait_ms = wait;
	m.min_bytes = 1;
	if (version >= 7) {
		m.session_id = session;
		m.session_epoch = epoch;
	}
	m.topics = &t;
	m.topics_n = 1;
	say(s, WIRE_API_FETCH, version, &m);
}

static void init_producer(struct seeds *s, const char *transaction)
{
	struct init_producer_id_request m;
	wire_init(wire_request(WIRE_API_INIT_PRODUCER_ID), &m);
	m.transactional_id = bytes_str(transaction);
	say(s, WIRE_API_INIT_PRODUCER_ID, 4, &m);
}

static void list_offsets(struct seeds *s, int64_t timestamp)
{
	struct list_offsets_request m;
	struct list_offsets_request_list_offsets_partition p = {.current_leader_epoch = -1,
								.timestamp = timestamp};
	struct list_offsets_request_list_offsets_topic t = {
		.name = bytes_str("t"), .partitions = &p, .partitions_n = 1};
	wire_init(wire_request(WIRE_API_LIST_OFFSETS), &m);
	m.replica_id = -1;
	m.topics = &t;
	m.topics_n = 1;
	say(s, WIRE_API_LIST_OFFSETS, 9, &m);
}

static void delete_records(struct seeds *s)
{
	struct delete_records_request m;
	struct delete_records_request_delete_records_partition p = {.offset = -1};
	struct delete_records_request_delete_records_topic t = {
		.name = bytes_str("t"), .partitions = &p, .partitions_n = 1};
	wire_init(wire_request(WIRE_API_DELETE_RECORDS), &m);
	m.topics = &t;
	m.topics_n = 1;
	say(s, WIRE_API_DELETE_RECORDS, 2, &m);
}

static void epoch_end(struct seeds *s)
{
	struct offset_for_leader_epoch_request m;
	struct offset_for_leader_epoch_request_offset_for_leader_partition p = {
		.current_leader_epoch = -1};
	struct offset_for_leader_epoch_request_offset_for_leader_topic t = {
		.topic = bytes_str("t"), .partitions = &p, .partitions_n = 1};
	wire_init(wire_request(WIRE_API_OFFSET_FOR_LEADER_EPOCH), &m);
	m.topics = &t;
	m.topics_n = 1;
	say(s, WIRE_API_OFFSET_FOR_LEADER_EPOCH, 4, &m);
}

static void join_group(struct seeds *s, int16_t version)
{
	struct join_group_request m;
	struct join_group_request_join_group_request_protocol p = {
		.name = bytes_str("range"), .metadata = bytes_of("\0\0\0\0\0\1\0\1t\0\0\0\0", 13)};
	wire_init(wire_request(WIRE_API_JOIN_GROUP), &m);
	m.group_id = bytes_str("g");
	m.session_timeout_ms = 10000;
	m.rebalance_timeout_ms = 10000;
	m.protocol_type = bytes_str("consumer");
	m.protocols = &p;
	m.protocols_n = 1;
	say(s, WIRE_API_JOIN_GROUP, version, &m);
}

static void commit(struct seeds *s)
{
	struct offset_commit_request m;
	struct offset_commit_request_offset_commit_request_partition p = {
		.committed_offset = 1, .committed_leader_epoch = -1};
	struct offset_commit_request_offset_commit_request_topic t = {
		.name = bytes_str("t"), .partitions = &p, .partitions_n = 1};
	p.committed_metadata = bytes_str("");
	wire_init(wire_request(WIRE_API_OFFSET_COMMIT), &m);
	m.group_id = bytes_str("g2");
	m.topics = &t;
	m.topics_n = 1;
	say(s, WIRE_API_OFFSET_COMMIT, 7, &m);
}

/* ---- talks ---- */

static void write_talks(struct seeds *s)
{
	create_topic(s, 7);
	metadata(s, 12);
	produce(s, 9, -1, -1, -1);
	produce(s, 7, 1, -1, -1);
	produce(s, 3, 0, -1, -1);
	fetch(s, 4, 0, -1, 0);
	list_offsets(s, -1);
	list_offsets(s, -3);
	list_offsets(s, 1);
	epoch_end(s);
	write_seed(s);

	create_topic(s, 5);
	fetch(s, 12, 0, 0, 0);
	fetch(s, 12, 1, 1, 100); /* parked, if the session is the first */
	fetch(s, 12, 1, 2, 0);
	fetch(s, 12, 1, 2, 0);
	write_seed(s);

	create_topic(s, 7);
	init_producer(s, NULL);
	produce(s, 9, -1, 0, 0);
	produce(s, 9, -1, 0, 1);
	produce(s, 9, -1, 0, 1);
	produce(s, 9, -1, 0, 7);
	delete_records(s);
	fetch(s, 11, 0, -1, 0);
	delete_topic(s);
	produce(s, 9, -1, 0, 8);
	write_seed(s);

	init_producer(s, "transaction");
	join_group(s, 2);
	write_seed(s);
	create_topic(s, 7);
	commit(s);
	delete_topic(s);
	join_group(s, 9);
	write_seed(s);
}

int main(int argc, char **argv)
{
	if (argc != 3)
		give_up("usage: broker_seeds FRAMES FOLDER");
	struct seeds s = {.folder = argv[2]};
	buf_init(&s.talk, SEED_MAX);
	struct frames all = frames_load(argv[1]);
	for (size_t i = 0; i < all.n; i++) {
		if (!all.items[i].request || all.items[i].n > UINT16_MAX)
			continue;
		put_frame(&s.talk, all.items[i].data, all.items[i].n);
		write_seed(&s);
	}
	frames_free(&all);
	write_talks(&s);
	buf_fini(&s.talk);
	return 0;
}
