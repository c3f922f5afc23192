/* SPDX-License-Identifier: Apache-2.0 */
/* Fetch, ListOffsets, OffsetForLeaderEpoch and DeleteRecords as a client sees them. */
#include "tests/unit/cluster/broker_rig.h"

#include <unistd.h>

#include "cluster/deadline.h"
#include "cluster/fetch_sessions.h"

enum { FETCH = WIRE_API_FETCH, NO_WAIT = 0, LONG_WAIT = 60 * 1000 };

static int setup(void **state)
{
	struct rig *r = calloc(1, sizeof *r);
	rig_init(r, NULL);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	rig_fini(*state);
	free(*state);
	return 0;
}

/* Whole batches in the records of an answer. */
static int32_t batches(const struct fetch_response_partition_data *p, int64_t *first, int64_t *last)
{
	struct batch_walk walk = {.left = p->records.data};
	struct batch_head h;
	struct bytes whole;
	struct errmsg why = {{0}};
	int32_t n = 0;
	assert_non_null(p->records.data.p); /* null is illegal for most clients */
	while (batch_walk_next(&walk, &h, &whole, &why) == BATCH_WALK_BATCH) {
		assert_true(batch_crc_ok(whole));
		*last = batch_last_offset(&h);
		if (n++ == 0)
			*first = h.base_offset;
	}
	return n;
}

static const struct fetch_response_partition_data *read_at(struct rig *r, int fd, int16_t version,
							   int64_t offset)
{
	struct rig_fetch f;
	struct fetch_request *m = rig_fetch(&f, "t", offset);
	f.topic.topic_id = r->topic_id;
	return rig_fetched(rig_call(r, fd, FETCH, version, m));
}

/* ---- one answer ---- */

static void records_are_read_in_every_version(void **state)
{
	struct rig *r = *state;
	int fd = rig_connect(r);
	int64_t first = -1, last = -1;
	rig_topic(r, fd, "t", 1);
	for (int i = 0; i < 3; i++)
		rig_write(r, fd, "t", 2, 10);
	for (int16_t v = 4; v <= 17; v++) {
		const struct fetch_response_partition_data *p = read_at(r, fd, v, 3);
		assert_int_equal(p->error_code, 0);
		assert_int_equal(p->high_watermark, 6);
		assert_int_equal(p->last_stable_offset, 6);
		assert_int_equal(p->log_start_offset, v < 5 ? -1 : 0);
		assert_int_equal(p->aborted_transactions_n, -1);
		/* The batch that holds the offset, whole, and the one after it. */
		assert_int_equal(batches(p, &first, &last), 2);
		assert_int_equal(first, 2);
		assert_int_equal(last, 5);
	}
	close(fd);
}

static void read_committed_is_told_of_no_aborted_transaction(void **state)
{
	struct rig *r = *state;
	struct rig_fetch f;
	int fd = rig_connect(r);
	rig_topic(r, fd, "t", 1);
	rig_write(r, fd, "t", 1, 10);
	rig_fetch(&f, "t", 0)->isolation_level = 1;
	assert_int_equal(rig_fetched(rig_call(r, fd, FETCH, 11, &f.m))->aborted_transactions_n, 0);
	close(fd);
}

static void limits_leave_the_first_batch_whole(void **state)
{
	struct rig *r = *state;
	struct rig_fetch f;
	int fd = rig_connect(r);
	int64_t first = -1, last = -1;
	rig_topic(r, fd, "t", 2);
	for (int i = 0; i < 4; i++)
		rig_write(r, fd, "t", 1, 1000);
	/* Of the partition: one byte gives one whole batch (KIP-74). */
	struct fetch_request *m = rig_fetch(&f, "t", 0);
	f.parts[0].partition_max_bytes = 1;
	const struct fetch_response_partition_data *p = rig_fetched(rig_call(r, fd, FETCH, 11, m));
	assert_int_equal(batches(p, &first, &last), 1);
	/* Of the answer, too; the second partition then gets nothing. */
	f.parts[0].partition_max_bytes = 1 << 20;
	f.parts[1] = f.parts[0];
	f.parts[1].partition = 1;
	f.topic.partitions_n = 2;
	m->max_bytes = 1;
	const struct fetch_response *a = rig_call(r, fd, FETCH, 11, m);
	assert_int_equal(a->responses[0].partitions_n, 2);
	assert_int_equal(batches(&a->responses[0].partitions[0], &first, &last), 1);
	assert_int_equal(batches(&a->responses[0].partitions[1], &first, &last), 0);
	/* Two and a half batches: the rest is cut off. */
	f.topic.partitions_n = 1;
	m->max_bytes = 1 << 20;
	f.parts[0].partition_max_bytes = 2600;
	p = rig_fetched(rig_call(r, fd, FETCH, 11, m));
	assert_int_equal(batches(p, &first, &last), 2);
	assert_true(p->records.data.n <= 2600);
	close(fd);
}

/* Java's consumer takes records without one whole batch for a fault of the broker and throws
 * (FetchCollector.java): what does not fit is left out, and comes first with the next fetch. */
static void a_batch_that_does_not_fit_is_left_out(void **state)
{
	struct rig *r = *state;
	struct rig_fetch f;
	int fd = rig_connect(r);
	int64_t first = -1, last = -1;
	rig_topic(r, fd, "t", 2);
	for (int32_t i = 0; i < 4; i++) {
		uint8_t b[RIG_BATCH_MAX];
		struct rig_produce p;
		size_t n = rig_batch(b, 1, 1000, clock_wall_ms(clock_system()));
		(void)rig_produce(&p, "t", -1, bytes_of(b, n));
		p.part.index = i % 2;
		assert_int_equal(
			rig_produced(rig_call(r, fd, WIRE_API_PRODUCE, 9, &p.m))->error_code, 0);
	}
	struct fetch_request *m = rig_fetch(&f, "t", 0);
	f.parts[1] = f.parts[0];
	f.parts[1].partition = 1;
	f.topic.partitions_n = 2;
	/* By the limit of the partition, then by that of the answer: 1 batch and a half. */
	for (int i = 0; i < 2; i++) {
		f.parts[0].partition_max_bytes = f.parts[1].partition_max_bytes =
			i == 0 ? 500 : 1 << 20;
		m->max_bytes = i == 0 ? 1 << 20 : 2600;
		const struct fetch_response *a = rig_call(r, fd, FETCH, 11, m);
		const struct fetch_response_partition_data *p = a->responses[0].partitions;
		assert_int_equal(batches(&p[0], &first, &last), 1 + i);
		assert_int_equal(batches(&p[1], &first, &last), 0);
		assert_int_equal(p[1].records.data.n, 0);
		assert_int_equal(p[1].high_watermark, 2);
	}
	/* What is held back counts for min_bytes: no wait for more. */
	f.parts[0].partition_max_bytes = f.parts[1].partition_max_bytes = 900;
	m->max_bytes = 1 << 20;
	m->min_bytes = 1700;
	m->max_wait_ms = LONG_WAIT;
	const struct fetch_response *at_once = rig_call(r, fd, FETCH, 11, m);
	assert_int_equal(batches(&at_once->responses[0].partitions[0], &first, &last), 1);
	close(fd);
}

/* As in Kafka: where it was named first, as it was named last. A million times are one. */
static void a_partition_named_again_counts_once(void **state)
{
	struct rig *r = *state;
	enum { MANY = 400 * 1000 };
	struct rig_fetch f;
	int fd = rig_connect(r);
	int64_t first = -1, last = -1;
	rig_topic(r, fd, "t", 2);
	for (int i = 0; i < 3; i++)
		rig_write(r, fd, "t", 1, 10);
	struct fetch_request *m = rig_fetch(&f, "t", 0);
	struct fetch_request_fetch_partition *many = calloc(MANY, sizeof *many);
	assert_non_null(many);
	for (int i = 0; i < MANY; i++)
		many[i] = f.parts[0];
	many[1].partition = 1;
	many[MANY - 1].fetch_offset = 2;
	struct fetch_request_fetch_topic topics[] = {f.topic, f.topic};
	topics[1].partitions = many;
	topics[1].partitions_n = MANY;
	topics[1].topic_id = topics[0].topic_id = r->topic_id;
	m->topics = topics;
	m->topics_n = 2;
	for (int16_t v = 12; v <= 13; v++)
		for (int32_t epoch = -1; epoch <= 0; epoch++) {
			m->session_epoch = epoch;
			const struct fetch_response *a = rig_call(r, fd, FETCH, v, m);
			assert_int_equal(a->responses_n, 1);
			assert_int_equal(a->responses[0].partitions_n, 2);
			assert_int_equal(a->responses[0].partitions[0].partition_index, 0);
			assert_int_equal(a->responses[0].partitions[1].partition_index, 1);
			assert_int_equal(batches(&a->responses[0].partitions[0], &first, &last), 1);
			assert_int_equal(first, 2);
			assert_int_equal(a->session_id != 0, epoch == 0);
		}
	free(many);
	close(fd);
}

static void offsets_outside_are_out_of_range(void **state)
{
	struct rig *r = *state;
	int fd = rig_connect(r);
	rig_topic(r, fd, "t", 1);
	rig_write(r, fd, "t", 2, 10);
	assert_int_equal(read_at(r, fd, 11, 2)->error_code, 0);
	assert_int_equal(read_at(r, fd, 11, 2)->records.data.n, 0);
	const struct fetch_response_partition_data *p = read_at(r, fd, 11, 3);
	assert_int_equal(p->error_code, 1);
	assert_int_equal(p->high_watermark, -1);
	assert_int_equal(p->records.data.n, 0);
	assert_int_equal(read_at(r, fd, 11, -1)->error_code, 1);
	close(fd);
}

static void what_is_not_there_is_said_by_name_or_id(void **state)
{
	struct rig *r = *state;
	struct rig_fetch f;
	int fd = rig_connect(r);
	rig_topic(r, fd, "t", 1);
	struct fetch_request *m = rig_fetch(&f, "other", 0);
	assert_int_equal(rig_fetched(rig_call(r, fd, FETCH, 12, m))->error_code, 3);
	f.topic.topic_id = r->topic_id;
	f.topic.topic_id.b[5] ^= 1;
	assert_int_equal(rig_fetched(rig_call(r, fd, FETCH, 13, m))->error_code, 100);
	f.topic.topic_id = r->topic_id;
	f.parts[0].partition = 9;
	assert_int_equal(rig_fetched(rig_call(r, fd, FETCH, 13, m))->error_code, 3);
	/* No other broker has a replica. */
	f.parts[0].partition = 0;
	m->replica_state.replica_id = 2;
	assert_int_equal(rig_fetched(rig_call(r, fd, FETCH, 15, m))->error_code, 6);
	close(fd);
}

/* KIP-320, KIP-595 */
static void leader_epochs_are_compared(void **state)
{
	struct rig *r = *state;
	struct rig_fetch f;
	int fd = rig_connect(r);
	rig_topic(r, fd, "t", 1);
	rig_write(r, fd, "t", 2, 10);
	struct fetch_request *m = rig_fetch(&f, "t", 0);
	f.parts[0].current_leader_epoch = 0;
	assert_int_equal(rig_fetched(rig_call(r, fd, FETCH, 12, m))->error_code, 0);
	f.parts[0].current_leader_epoch = 1;
	assert_int_equal(rig_fetched(rig_call(r, fd, FETCH, 12, m))->error_code, 75);
	f.parts[0].current_leader_epoch = -1;
	/* The client's last record is of an epoch that we do not know: it diverges at our end. */
	f.parts[0].last_fetched_epoch = 0;
	f.parts[0].fetch_offset = 2;
	const struct fetch_response_partition_data *p = rig_fetched(rig_call(r, fd, FETCH, 12, m));
	assert_int_equal(p->error_code, 0);
	assert_int_equal(p->diverging_epoch.epoch, -1);
	f.parts[0].fetch_offset = 5;
	p = rig_fetched(rig_call(r, fd, FETCH, 12, m));
	assert_int_equal(p->error_code, 0);
	assert_int_equal(p->diverging_epoch.epoch, 0);
	assert_int_equal(p->diverging_epoch.end_offset, 2);
	assert_int_equal(p->records.data.n, 0);
	close(fd);
}

/* ---- waiting ---- */

static void send_wait(struct rig *r, int fd, struct rig_fetch *f, int64_t offset, int32_t min)
{
	struct fetch_request *m = rig_fetch(f, "t", offset);
	m->max_wait_ms = LONG_WAIT;
	m->min_bytes = min;
	rig_send(r, fd, FETCH, 11, m);
}

static void a_fetch_waits_for_records(void **state)
{
	struct rig *r = *state;
	struct rig_fetch f;
	int writer = rig_connect(r), reader = rig_connect(r);
	int64_t first = -1, last = -1;
	rig_topic(r, writer, "t", 1);
	send_wait(r, reader, &f, 0, 1);
	assert_false(rig_answered(r, reader));
	rig_write(r, writer, "t", 1, 10);
	assert_true(rig_answered(r, reader));
	assert_int_equal(batches(rig_fetched(rig_receive(r, reader, FETCH, 11)), &first, &last), 1);
	close(writer);
	close(reader);
}

static void it_waits_for_as_many_bytes_as_it_asked_for(void **state)
{
	struct rig *r = *state;
	struct rig_fetch f;
	int writer = rig_connect(r), reader = rig_connect(r);
	int64_t first = -1, last = -1;
	rig_topic(r, writer, "t", 1);
	send_wait(r, reader, &f, 0, 2500);
	for (int i = 0; i < 2; i++) {
		rig_write(r, writer, "t", 1, 1000);
		assert_false(rig_answered(r, reader));
	}
	rig_write(r, writer, "t", 1, 1000);
	assert_true(rig_answered(r, reader));
	assert_int_equal(batches(rig_fetched(rig_receive(r, reader, FETCH, 11)), &first, &last), 3);
	close(writer);
	close(reader);
}

/* What lies before the offset does not count, though the index knows no nearer place. */
static void it_does_not_count_what_it_has(void **state)
{
	struct rig *r = *state;
	struct rig_fetch f;
	int writer = rig_connect(r), reader = rig_connect(r);
	int64_t first = -1, last = -1;
	rig_topic(r, writer, "t", 1);
	rig_write(r, writer, "t", 1, 3000);
	send_wait(r, reader, &f, 1, 2000);
	rig_write(r, writer, "t", 1, 10);
	assert_false(rig_answered(r, reader));
	rig_write(r, writer, "t", 1, 1900);
	assert_true(rig_answered(r, reader));
	assert_int_equal(batches(rig_fetched(rig_receive(r, reader, FETCH, 11)), &first, &last), 2);
	/* The same for one that begins with something. */
	send_wait(r, reader, &f, 2, 2500);
	assert_false(rig_answered(r, reader));
	rig_write(r, writer, "t", 1, 100);
	assert_false(rig_answered(r, reader));
	rig_write(r, writer, "t", 1, 400);
	assert_true(rig_answered(r, reader));
	assert_int_equal(batches(rig_fetched(rig_receive(r, reader, FETCH, 11)), &first, &last), 3);
	close(writer);
	close(reader);
}

static void when_the_wait_is_over_it_gets_what_there_is(void **state)
{
	struct rig *r = *state;
	struct rig_fetch f;
	int fd = rig_connect(r);
	rig_topic(r, fd, "t", 1);
	send_wait(r, fd, &f, 0, 1);
	assert_false(rig_answered(r, fd));
	deadlines_expire(broker_fetch_deadlines(r->broker));
	assert_int_equal(rig_fetched(rig_receive(r, fd, FETCH, 11))->records.data.n, 0);
	/* By the clock. */
	struct fetch_request *m = rig_fetch(&f, "t", 0);
	m->max_wait_ms = 50;
	int64_t began = loop_now_ms(r->loop);
	assert_int_equal(rig_fetched(rig_call(r, fd, FETCH, 11, m))->records.data.n, 0);
	assert_in_range(loop_now_ms(r->loop) - began, 49, 1000);
	close(fd);
}

static void delete_topic(struct rig *r, int fd)
{
	struct delete_topics_request m;
	struct bytes name = bytes_str("t");
	wire_init(wire_request(WIRE_API_DELETE_TOPICS), &m);
	m.topic_names = &name;
	m.topic_names_n = 1;
	m.timeout_ms = 10000;
	const struct delete_topics_response *a = rig_call(r, fd, WIRE_API_DELETE_TOPICS, 5, &m);
	assert_int_equal(a->responses[0].error_code, 0);
}

static void a_deleted_topic_ends_the_wait(void **state)
{
	struct rig *r = *state;
	struct rig_fetch f;
	int writer = rig_connect(r), reader = rig_connect(r);
	rig_topic(r, writer, "t", 1);
	send_wait(r, reader, &f, 0, 1);
	assert_false(rig_answered(r, reader));
	delete_topic(r, writer);
	assert_true(rig_answered(r, reader));
	assert_int_equal(rig_fetched(rig_receive(r, reader, FETCH, 11))->error_code, 3);
	close(writer);
	close(reader);
}

static void a_client_that_leaves_is_forgotten(void **state)
{
	struct rig *r = *state;
	struct rig_fetch f;
	int writer = rig_connect(r), reader = rig_connect(r);
	rig_topic(r, writer, "t", 2);
	rig_fetch(&f, "t", 0);
	f.topic.partitions_n = 2;
	f.m.max_wait_ms = LONG_WAIT;
	rig_send(r, reader, FETCH, 11, &f.m);
	assert_false(rig_answered(r, reader));
	close(reader);
	rig_run(r, 8);
	rig_write(r, writer, "t", 1, 10);
	close(writer);
}

/* ---- sessions ---- */

static const struct fetch_response *session_fetch(struct rig *r, int fd, int32_t id, int32_t epoch,
						  int32_t partitions)
{
	struct rig_fetch f;
	struct fetch_request *m = rig_fetch(&f, "t", 0);
	f.topic.partitions_n = partitions;
	m->topics_n = partitions > 0;
	m->session_id = id;
	m->session_epoch = epoch;
	return rig_call(r, fd, FETCH, 12, m);
}

static void a_session_answers_what_changed(void **state)
{
	struct rig *r = *state;
	int fd = rig_connect(r);
	rig_topic(r, fd, "t", 2);
	const struct fetch_response *a = session_fetch(r, fd, 0, 0, 2);
	int32_t id = a->session_id;
	assert_int_not_equal(id, 0);
	assert_int_equal(a->responses[0].partitions_n, 2);
	a = session_fetch(r, fd, id, 1, 0);
	assert_int_equal(a->error_code, 0);
	assert_int_equal(a->session_id, id);
	assert_int_equal(a->responses_n, 0);
	rig_write(r, fd, "t", 1, 10);
	a = session_fetch(r, fd, id, 2, 0);
	assert_int_equal(a->responses_n, 1);
	assert_int_equal(a->responses[0].partitions_n, 1);
	assert_int_equal(a->responses[0].partitions[0].partition_index, 0);
	a = session_fetch(r, fd, id, 2, 0);
	assert_int_equal(a->error_code, 71);
	a = session_fetch(r, fd, id + 1, 1, 0);
	assert_int_equal(a->error_code, 70);
	assert_int_equal(a->session_id, 0);
	close(fd);
}

/* One session, two connections: the one that waits must not look at what the other changed. */
static void a_session_in_use_twice_is_noticed(void **state)
{
	struct rig *r = *state;
	struct rig_fetch f;
	int a = rig_connect(r), b = rig_connect(r);
	rig_topic(r, a, "t", 2);
	int32_t id = session_fetch(r, a, 0, 0, 2)->session_id;
	struct fetch_request *m = rig_fetch(&f, "t", 0);
	m->topics_n = 0;
	m->session_id = id;
	m->session_epoch = 1;
	m->max_wait_ms = LONG_WAIT;
	rig_send(r, a, FETCH, 12, m);
	assert_false(rig_answered(r, a));
	/* Drop both partitions: the session ends. */
	struct fetch_request_forgotten_topic gone = {
		.topic = bytes_str("t"), .partitions = (int32_t[]){0, 1}, .partitions_n = 2};
	m->session_epoch = 2;
	m->max_wait_ms = NO_WAIT;
	m->forgotten_topics_data = &gone;
	m->forgotten_topics_data_n = 1;
	assert_int_equal(((const struct fetch_response *)rig_call(r, b, FETCH, 12, m))->error_code,
			 0);
	rig_write(r, b, "t", 1, 10);
	deadlines_expire(broker_fetch_deadlines(r->broker));
	const struct fetch_response *late = rig_receive(r, a, FETCH, 12);
	assert_non_null(late);
	assert_int_equal(late->responses_n, 0);
	close(a);
	close(b);
}

/* ---- offsets ---- */

static const struct list_offsets_response_list_offsets_partition_response *
list(struct rig *r, int fd, int16_t version, int64_t timestamp)
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
	const struct list_offsets_response *a = rig_call(r, fd, WIRE_API_LIST_OFFSETS, version, &m);
	assert_int_equal(a->topics_n, 1);
	return a->topics[0].partitions;
}

static void write_at(struct rig *r, int fd, int64_t timestamp)
{
	uint8_t b[RIG_BATCH_MAX];
	struct rig_produce p;
	size_t n = rig_batch(b, 2, 10, timestamp);
	assert_int_equal(rig_produced(rig_call(r, fd, WIRE_API_PRODUCE, 9,
					       rig_produce(&p, "t", -1, bytes_of(b, n))))
				 ->error_code,
			 0);
}

static void offsets_are_found_by_time(void **state)
{
	struct rig *r = *state;
	int fd = rig_connect(r);
	rig_topic(r, fd, "t", 1);
	/* Both ends of an empty log; a consumer that begins there knows the leader's epoch. */
	assert_int_equal(list(r, fd, 7, -2)->leader_epoch, 0);
	assert_int_equal(list(r, fd, 8, -4)->leader_epoch, 0);
	assert_int_equal(list(r, fd, 7, -1)->leader_epoch, 0);
	int64_t now = clock_wall_ms(clock_system());
	write_at(r, fd, now - 3000);
	write_at(r, fd, now - 1000);
	write_at(r, fd, now - 2000);
	assert_int_equal(list(r, fd, 7, -1)->offset, 6);
	assert_int_equal(list(r, fd, 7, -1)->timestamp, -1);
	assert_int_equal(list(r, fd, 7, -1)->leader_epoch, 0);
	assert_int_equal(list(r, fd, 7, -2)->offset, 0);
	assert_int_equal(list(r, fd, 7, -3)->offset, 2);
	assert_int_equal(list(r, fd, 7, -3)->timestamp, now - 1000);
	assert_int_equal(list(r, fd, 8, -4)->offset, 0);
	assert_int_equal(list(r, fd, 9, -5)->offset, -1);
	assert_int_equal(list(r, fd, 9, -5)->error_code, 0);
	assert_int_equal(list(r, fd, 1, now - 2500)->offset, 2);
	assert_int_equal(list(r, fd, 1, now - 2500)->timestamp, now - 1000);
	assert_int_equal(list(r, fd, 1, 0)->offset, 0);
	/* Nothing so late: no error, no offset. */
	assert_int_equal(list(r, fd, 1, now)->error_code, 0);
	assert_int_equal(list(r, fd, 1, now)->offset, -1);
	assert_int_equal(list(r, fd, 1, now)->timestamp, -1);
	/* ReplicaManager.isListOffsetsTimestampUnsupported */
	assert_int_equal(list(r, fd, 6, -3)->error_code, 35);
	assert_int_equal(list(r, fd, 7, -4)->error_code, 35);
	assert_int_equal(list(r, fd, 8, -5)->error_code, 35);
	assert_int_equal(list(r, fd, 10, -6)->error_code, 35);
	close(fd);
}

/* Each look-up by time reads a batch: not a million of them for one request (as in Kafka). */
static void a_partition_is_listed_once(void **state)
{
	struct rig *r = *state;
	int fd = rig_connect(r);
	rig_topic(r, fd, "t", 2);
	write_at(r, fd, clock_wall_ms(clock_system()));
	struct list_offsets_request m;
	struct list_offsets_request_list_offsets_partition p[] = {
		{.partition_index = 0, .current_leader_epoch = -1, .timestamp = -1},
		{.partition_index = 1, .current_leader_epoch = -1, .timestamp = -1},
		{.partition_index = 0, .current_leader_epoch = -1, .timestamp = 0},
		{.partition_index = 7, .current_leader_epoch = -1, .timestamp = -1},
		{.partition_index = 7, .current_leader_epoch = -1, .timestamp = -1},
	};
	static const int16_t want[] = {42, 0, 42, 3, 3};
	struct list_offsets_request_list_offsets_topic t = {
		.name = bytes_str("t"), .partitions = p, .partitions_n = 5};
	wire_init(wire_request(WIRE_API_LIST_OFFSETS), &m);
	m.replica_id = -1;
	m.topics = &t;
	m.topics_n = 1;
	const struct list_offsets_response *a = rig_call(r, fd, WIRE_API_LIST_OFFSETS, 7, &m);
	assert_int_equal(a->topics[0].partitions_n, 5);
	for (int i = 0; i < 5; i++)
		assert_int_equal(a->topics[0].partitions[i].error_code, want[i]);
	close(fd);
}

static void an_epoch_ends_where_the_log_does(void **state)
{
	struct rig *r = *state;
	int fd = rig_connect(r);
	struct offset_for_leader_epoch_request m;
	struct offset_for_leader_epoch_request_offset_for_leader_partition p = {
		.current_leader_epoch = -1};
	struct offset_for_leader_epoch_request_offset_for_leader_topic t = {
		.topic = bytes_str("t"), .partitions = &p, .partitions_n = 1};
	rig_topic(r, fd, "t", 1);
	rig_write(r, fd, "t", 2, 10);
	wire_init(wire_request(WIRE_API_OFFSET_FOR_LEADER_EPOCH), &m);
	m.topics = &t;
	m.topics_n = 1;
	const struct offset_for_leader_epoch_response *a =
		rig_call(r, fd, WIRE_API_OFFSET_FOR_LEADER_EPOCH, 4, &m);
	assert_int_equal(a->topics[0].partitions[0].error_code, 0);
	assert_int_equal(a->topics[0].partitions[0].leader_epoch, 0);
	assert_int_equal(a->topics[0].partitions[0].end_offset, 2);
	p.leader_epoch = 5;
	a = rig_call(r, fd, WIRE_API_OFFSET_FOR_LEADER_EPOCH, 4, &m);
	assert_int_equal(a->topics[0].partitions[0].error_code, 0);
	assert_int_equal(a->topics[0].partitions[0].leader_epoch, -1);
	assert_int_equal(a->topics[0].partitions[0].end_offset, -1);
	p.partition = 4;
	a = rig_call(r, fd, WIRE_API_OFFSET_FOR_LEADER_EPOCH, 4, &m);
	assert_int_equal(a->topics[0].partitions[0].error_code, 3);
	close(fd);
}

static const struct delete_records_response_delete_records_partition_result *
delete_before(struct rig *r, int fd, const char *topic, int64_t offset)
{
	struct delete_records_request m;
	struct delete_records_request_delete_records_partition p = {.offset = offset};
	struct delete_records_request_delete_records_topic t = {
		.name = bytes_str(topic), .partitions = &p, .partitions_n = 1};
	wire_init(wire_request(WIRE_API_DELETE_RECORDS), &m);
	m.topics = &t;
	m.topics_n = 1;
	m.timeout_ms = 10000;
	const struct delete_records_response *a = rig_call(r, fd, WIRE_API_DELETE_RECORDS, 2, &m);
	return a->topics[0].partitions;
}

static void deleted_records_stay_deleted(void **state)
{
	struct rig *r = *state;
	int fd = rig_connect(r);
	rig_topic(r, fd, "t", 1);
	for (int i = 0; i < 3; i++)
		rig_write(r, fd, "t", 2, 10);
	assert_int_equal(delete_before(r, fd, "other", 1)->error_code, 3);
	assert_int_equal(delete_before(r, fd, "t", 7)->error_code, 1);
	assert_int_equal(delete_before(r, fd, "t", 3)->low_watermark, 3);
	assert_int_equal(read_at(r, fd, 11, 2)->error_code, 1);
	assert_int_equal(read_at(r, fd, 11, 3)->log_start_offset, 3);
	close(fd);
	rig_restart(r, NULL);
	fd = rig_connect(r);
	assert_int_equal(read_at(r, fd, 11, 2)->error_code, 1);
	assert_int_equal(delete_before(r, fd, "t", -1)->low_watermark, 6);
	assert_int_equal(list(r, fd, 7, -2)->offset, 6);
	close(fd);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(records_are_read_in_every_version),
		TEST(read_committed_is_told_of_no_aborted_transaction),
		TEST(limits_leave_the_first_batch_whole),
		TEST(a_batch_that_does_not_fit_is_left_out),
		TEST(a_partition_named_again_counts_once),
		TEST(offsets_outside_are_out_of_range),
		TEST(what_is_not_there_is_said_by_name_or_id),
		TEST(leader_epochs_are_compared),
		TEST(a_fetch_waits_for_records),
		TEST(it_waits_for_as_many_bytes_as_it_asked_for),
		TEST(it_does_not_count_what_it_has),
		TEST(when_the_wait_is_over_it_gets_what_there_is),
		TEST(a_deleted_topic_ends_the_wait),
		TEST(a_client_that_leaves_is_forgotten),
		TEST(a_session_answers_what_changed),
		TEST(a_session_in_use_twice_is_noticed),
		TEST(offsets_are_found_by_time),
		TEST(a_partition_is_listed_once),
		TEST(an_epoch_ends_where_the_log_does),
		TEST(deleted_records_stay_deleted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
