/* SPDX-License-Identifier: Apache-2.0 */
/* A client's connection: the order of requests and answers, what is refused, and the limits. */
#include "tests/unit/cluster/session_rig.h"

#include <sys/socket.h>
#include <unistd.h>

enum { PRODUCE = WIRE_API_PRODUCE, FETCH = WIRE_API_FETCH, LIST = WIRE_API_LIST_OFFSETS };

static struct rig *new_rig(struct sessions_options o)
{
	struct rig *r = calloc(1, sizeof *r);
	rig_init(r, &o);
	return r;
}

static struct rig *plain_rig(void)
{
	return new_rig((struct sessions_options){.max = 0});
}

static void free_rig(struct rig *r)
{
	rig_fini(r);
	free(r);
}

/* ---- order ---- */

static void answers_leave_in_the_order_of_requests(void **state)
{
	(void)state;
	struct rig *r = plain_rig();
	int fd = rig_connect(r);
	for (int32_t i = 1; i <= 3; i++)
		rig_send(r, fd, PRODUCE, 7, i, 10);
	assert_int_equal(r->begun_n, 3); /* Produce follows Produce without waiting */
	rig_reply(r, 3);
	rig_reply(r, 2);
	assert_int_equal(rig_answer(r, fd), -1);
	rig_reply(r, 1);
	for (int32_t i = 1; i <= 3; i++)
		assert_int_equal(rig_answer(r, fd), i);
	close(fd);
	free_rig(r);
}

static void all_but_produce_wait_for_what_is_before(void **state)
{
	(void)state;
	struct rig *r = plain_rig();
	int fd = rig_connect(r);
	rig_send(r, fd, PRODUCE, 7, 1, 10);
	rig_send(r, fd, LIST, 3, 2, 0);
	rig_send(r, fd, PRODUCE, 7, 3, 10);
	rig_send(r, fd, FETCH, 4, 4, 0);
	rig_send(r, fd, PRODUCE, 7, 5, 10);
	assert_int_equal(r->begun_n, 1);
	assert_int_equal(rig_answer(r, fd), -1);
	rig_reply(r, 1);
	assert_int_equal(rig_answer(r, fd), 1);
	assert_int_equal(rig_answer(r, fd), 2);
	assert_int_equal(r->begun_n, 1);
	rig_reply(r, 3);
	assert_int_equal(rig_answer(r, fd), 3);
	assert_int_equal(r->begun_n, 1);
	rig_reply(r, 4);
	assert_int_equal(rig_answer(r, fd), 4);
	rig_reply(r, 5);
	assert_int_equal(rig_answer(r, fd), 5);
	close(fd);
	free_rig(r);
}

/* Many small requests in one packet: all are begun, one after the other. */
static void a_burst_is_taken_in_turn(void **state)
{
	(void)state;
	struct rig *r = plain_rig();
	int fd = rig_connect(r);
	for (int32_t i = 0; i < 100; i++)
		rig_send(r, fd, LIST, 3, i, 0);
	for (int32_t i = 0; i < 100; i++)
		assert_int_equal(rig_answer(r, fd), i);
	close(fd);
	free_rig(r);
}

static void without_an_answer_the_next_one_follows(void **state)
{
	(void)state;
	struct rig *r = plain_rig();
	int fd = rig_connect(r);
	rig_send(r, fd, PRODUCE, 7, 1, 10);
	rig_send(r, fd, PRODUCE, 7, 2, 10);
	rig_reply(r, 2);
	rig_finish(r, 1);
	assert_int_equal(rig_answer(r, fd), 2);
	close(fd);
	free_rig(r);
}

/* ---- ends ---- */

static void a_client_that_leaves_cancels_its_requests(void **state)
{
	(void)state;
	struct rig *r = plain_rig();
	struct sessions_count n;
	int fd = rig_connect(r);
	rig_send(r, fd, PRODUCE, 7, 1, 10);
	rig_send(r, fd, PRODUCE, 7, 2, 10);
	rig_send(r, fd, PRODUCE, 7, 3, 10);
	rig_reply(r, 2); /* not its turn: it goes with the others, without a cancel */
	close(fd);
	rig_run(r);
	assert_int_equal(r->canceled, 2);
	sessions_count(r->all, &n);
	assert_int_equal(n.open, 0);
	assert_int_equal(n.queued_bytes, 0);
	free_rig(r);
}

static void hanging_up_ends_the_others_too(void **state)
{
	(void)state;
	struct rig *r = plain_rig();
	int fd = rig_connect(r);
	rig_send(r, fd, PRODUCE, 7, 1, 10);
	rig_send(r, fd, PRODUCE, 7, 2, 10);
	request_hang_up(rig_take(r, 2), "test");
	assert_int_equal(r->canceled, 0); /* from the loop, not from inside the call */
	rig_reply(r, 1);                  /* a late answer goes nowhere */
	assert_true(rig_is_closed(r, fd));
	close(fd);
	free_rig(r);
}

static void on_release(void *arg)
{
	++*(size_t *)arg;
}

static void held_records_are_released_once(void **state)
{
	(void)state;
	struct rig *r = plain_rig();
	int a = rig_connect(r), b = rig_connect(r);
	rig_send(r, a, PRODUCE, 7, 1, 10);
	rig_send(r, b, PRODUCE, 7, 2, 10);
	rig_send(r, b, PRODUCE, 7, 3, 10);
	struct request *q = rig_take(r, 1);
	request_answer_held(q, request_response(q), on_release, &r->released);
	assert_int_equal(rig_answer(r, a), 1);
	assert_int_equal(r->released, 1);
	/* Not its turn, and the client leaves. */
	q = rig_take(r, 3);
	request_answer_held(q, request_response(q), on_release, &r->released);
	close(b);
	rig_run(r);
	assert_int_equal(r->released, 2);
	assert_int_equal(r->canceled, 1);
	close(a);
	free_rig(r);
}

/* ---- what is refused ---- */

static void expect_closed(int16_t key, int16_t version)
{
	struct rig *r = plain_rig();
	int fd = rig_connect(r);
	rig_send(r, fd, key, version, 1, 10);
	assert_true(rig_is_closed(r, fd));
	close(fd);
	free_rig(r);
}

/* SocketServer.scala: it does not answer. */
static void what_is_not_served_closes_the_connection(void **state)
{
	(void)state;
	expect_closed(PRODUCE, 10);
	expect_closed(LIST, 8);
	expect_closed(WIRE_API_METADATA, 4);
	struct rig *r = plain_rig();
	static const uint8_t bad[][16] = {
		{0, 0, 0, 10, 0, 99, 0, 0, 0, 0, 0, 1, 0xff, 0xff}, /* no such API */
		{0, 0, 0, 10, 0, 1, 0, 2, 0, 0, 0, 1, 0xff, 0xff},  /* Fetch v2 */
		{0, 0, 0, 4, 0, 1, 0, 4},                           /* not even a header */
		{0, 0, 0, 10, 0, 1, 0, 4, 0, 0, 0, 1, 0xff, 0xff},  /* a body that is cut short */
		{0, 0, 0, 0},
		{0xff, 0xff, 0xff, 0xff},
		{'G', 'E', 'T', ' ', '/', ' '},
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		int fd = rig_connect(r);
		rig_write(r, fd, bad[i], sizeof bad[i]);
		if (!rig_is_closed(r, fd))
			fail_msg("case %zu is still open", i);
		close(fd);
	}
	assert_int_equal(r->begun_n, 0);
	free_rig(r);
}

/* KIP-511 */
static void a_version_of_api_versions_to_come_is_answered(void **state)
{
	(void)state;
	struct rig *r = plain_rig();
	int fd = rig_connect(r);
	rig_send(r, fd, WIRE_API_API_VERSIONS, 99, 5, 0);
	assert_int_equal(rig_answer(r, fd), 5);
	assert_int_equal(r->without_message, 1);
	rig_send(r, fd, WIRE_API_API_VERSIONS, 3, 6, 0);
	assert_int_equal(rig_answer(r, fd), 6);
	assert_int_equal(r->without_message, 1);
	close(fd);
	free_rig(r);
}

/* ---- limits ---- */

static void a_large_first_frame_must_begin_like_a_request(void **state)
{
	(void)state;
	struct rig *r = plain_rig();
	static const uint8_t other[] = {0, 1, 0x86, 0xa0, 0, 77, 0, 3, 0, 0, 0, 1};
	static const uint8_t old[] = {0, 1, 0x86, 0xa0, 0, 0, 0, 2, 0, 0, 0, 1};
	int fd = rig_connect(r);
	rig_write(r, fd, other, sizeof other - 1);
	assert_int_equal(rig_answer(r, fd), -1);
	rig_write(r, fd, other + sizeof other - 1, 1);
	assert_true(rig_is_closed(r, fd));
	close(fd);
	fd = rig_connect(r);
	rig_write(r, fd, old, sizeof old);
	assert_true(rig_is_closed(r, fd));
	close(fd);
	fd = rig_connect(r);
	rig_send(r, fd, PRODUCE, 7, 9, 100000);
	rig_reply(r, 9);
	assert_int_equal(rig_answer(r, fd), 9);
	close(fd);
	fd = rig_connect(r);
	rig_send(r, fd, LIST, 3, 1, 0);
	rig_send(r, fd, PRODUCE, 7, 2, 100000);
	rig_reply(r, 2);
	assert_int_equal(rig_answer(r, fd), 1);
	assert_int_equal(rig_answer(r, fd), 2);
	rig_send(r, fd, PRODUCE, 7, 3, 1 << 20); /* over request_max */
	assert_true(rig_is_closed(r, fd));
	close(fd);
	free_rig(r);
}

static void connections_are_bounded(void **state)
{
	(void)state;
	struct rig *r = new_rig((struct sessions_options){.max = 3});
	struct sessions_count n;
	int fd[4];
	for (int i = 0; i < 4; i++)
		fd[i] = rig_connect(r);
	assert_true(rig_is_closed(r, fd[3]));
	assert_int_equal(rig_answer(r, fd[2]), -1);
	close(fd[0]);
	close(fd[3]);
	rig_run(r);
	fd[0] = rig_connect(r);
	assert_int_equal(rig_answer(r, fd[0]), -1);
	sessions_count(r->all, &n);
	assert_int_equal(n.open, 3);
	assert_int_equal(n.refused, 1);
	for (int i = 0; i < 3; i++)
		close(fd[i]);
	free_rig(r);
	/* All of them come from one address here. */
	r = new_rig((struct sessions_options){.max_per_ip = 1});
	fd[0] = rig_connect(r);
	fd[1] = rig_connect(r);
	assert_true(rig_is_closed(r, fd[1]));
	close(fd[0]);
	rig_run(r);
	fd[0] = rig_connect(r);
	assert_int_equal(rig_answer(r, fd[0]), -1);
	close(fd[0]);
	close(fd[1]);
	free_rig(r);
}

static void idle_connections_are_closed(void **state)
{
	(void)state;
	struct rig *r = new_rig((struct sessions_options){.idle_ms = 10 * 1000});
	int idle = rig_connect(r), busy = rig_connect(r), parked = rig_connect(r);
	rig_send(r, parked, FETCH, 4, 1, 0);
	for (int i = 0; i < 5; i++) {
		rig_pass(r, 3000);
		rig_send(r, busy, LIST, 3, i, 0);
		assert_int_equal(rig_answer(r, busy), i);
	}
	assert_true(rig_is_closed(r, idle));
	assert_int_equal(rig_answer(r, parked), -1);
	rig_reply(r, 1);
	assert_int_equal(rig_answer(r, parked), 1);
	rig_pass(r, 12000);
	assert_true(rig_is_closed(r, busy));
	assert_true(rig_is_closed(r, parked));
	close(idle);
	close(busy);
	close(parked);
	free_rig(r);
}

/* One byte a second. */
static void a_frame_must_get_on(void **state)
{
	(void)state;
	struct rig *r = plain_rig();
	struct sessions_count n;
	int slow = rig_connect(r), good = rig_connect(r);
	for (int i = 0; i < 40; i++) {
		rig_write(r, slow, i == 0 ? "\0\0\1\0" : "x", i == 0 ? 4 : 1);
		rig_send(r, good, LIST, 3, i, 0);
		assert_int_equal(rig_answer(r, good), i);
		rig_pass(r, 1000);
	}
	assert_true(rig_is_closed(r, slow));
	sessions_count(r->all, &n);
	assert_int_equal(n.closed_slow, 1);
	close(slow);
	close(good);
	free_rig(r);
}

static void a_large_frame_may_take_its_time(void **state)
{
	(void)state;
	struct rig *r = plain_rig();
	int fd = rig_connect(r);
	static uint8_t block[20 << 10];
	rig_send(r, fd, LIST, 3, 1, 0);
	assert_int_equal(rig_answer(r, fd), 1);
	rig_write(r, fd, "\0\x0f\0\0", 4); /* 983040 bytes */
	for (int i = 0; i < 47; i++) {
		rig_write(r, fd, block, sizeof block); /* 20 KiB/s: 960 KiB in 48 s */
		rig_pass(r, 1000);
		assert_int_equal(rig_answer(r, fd), -1);
	}
	close(fd);
	free_rig(r);
}

static uint8_t fill[4 << 20];

/* An answer that the socket's buffer cannot hold. */
static void send_large_answer(struct rig *r, int32_t correlation)
{
	struct request *q = rig_take(r, correlation);
	struct fetch_response *out = request_response(q);
	struct fetch_response_fetchable_topic_response topic = {.topic = bytes_str("t")};
	struct fetch_response_partition_data part = {.records.data = bytes_of(fill, sizeof fill),
						     .preferred_read_replica = -1};
	wire_init(wire_response(WIRE_API_FETCH), out);
	out->responses = &topic;
	out->responses_n = 1;
	topic.partitions = &part;
	topic.partitions_n = 1;
	part.diverging_epoch.epoch = part.current_leader.leader_id = -1;
	part.diverging_epoch.end_offset = part.current_leader.leader_epoch = -1;
	part.snapshot_id.end_offset = part.snapshot_id.epoch = -1;
	request_answer(q, out);
	rig_run(r);
}

static void slow_readers_are_disconnected(void **state)
{
	(void)state;
	struct rig *r = new_rig((struct sessions_options){.slow_reader_ms = 5000});
	struct sessions_count n;
	static uint8_t block[64 << 10];
	int slow = rig_connect(r), steady = rig_connect(r);
	rig_send(r, slow, FETCH, 4, 1, 0);
	rig_send(r, steady, FETCH, 4, 2, 0);
	send_large_answer(r, 1);
	send_large_answer(r, 2);
	for (int i = 0; i < 12; i++) {
		(void)!recv(slow, block, 100, 0);
		for (int k = 0; k < 4; k++) /* some system's buffers are handed on in large steps */
			(void)!recv(steady, block, sizeof block, 0);
		rig_pass(r, 1000);
	}
	sessions_count(r->all, &n);
	assert_int_equal(n.closed_slow, 1);
	assert_int_equal(n.open, 1);
	rig_run(r);
	close(slow);
	close(steady);
	free_rig(r);
}

/* Such as SIGSTOP, or a machine that has no time for it. */
static void a_pause_of_the_broker_is_nobodys_fault(void **state)
{
	(void)state;
	struct rig *r = new_rig((struct sessions_options){.slow_reader_ms = 5000, .idle_ms = 8000});
	struct sessions_count n;
	int reader = rig_connect(r), writer = rig_connect(r), idle = rig_connect(r);
	rig_send(r, reader, FETCH, 4, 1, 0);
	send_large_answer(r, 1);
	rig_write(r, writer, "\0\0\1\0", 4);
	rig_pass(r, 2000);
	r->now += 77 * 1000;
	rig_run(r);
	sessions_count(r->all, &n);
	assert_int_equal(n.open, 3);
	assert_int_equal(rig_answer(r, reader), 1);
	rig_pass(r, 10 * 1000);
	assert_true(rig_is_closed(r, idle));
	close(reader);
	close(writer);
	close(idle);
	free_rig(r);
}

/* Requests of a client that takes no answers are not begun. */
static void a_client_must_take_answers_before_it_asks_on(void **state)
{
	(void)state;
	struct rig *r = plain_rig();
	int fd = rig_connect(r);
	rig_send(r, fd, FETCH, 4, 1, 0);
	send_large_answer(r, 1);
	rig_send(r, fd, FETCH, 4, 2, 0);
	assert_int_equal(r->begun_n, 0);
	assert_int_equal(rig_answer(r, fd), 1);
	rig_run(r);
	assert_int_equal(r->begun_n, 1);
	rig_reply(r, 2);
	assert_int_equal(rig_answer(r, fd), 2);
	close(fd);
	free_rig(r);
}

static void reading_stops_at_the_high_mark(void **state)
{
	(void)state;
	/* What is not read must fit into the socket's buffer. */
	enum { N = 8, SIZE = 100 << 10, HIGH = 400 << 10 };
	struct rig *r = new_rig((struct sessions_options){.queued_max = HIGH});
	struct sessions_count n;
	int fd[N];
	for (int i = 0; i < N; i++) {
		fd[i] = rig_connect(r);
		rig_send(r, fd[i], LIST, 3, 100, 0);
		assert_int_equal(rig_answer(r, fd[i]), 100);
	}
	for (int i = 0; i < N; i++)
		rig_send(r, fd[i], PRODUCE, 7, i, SIZE);
	sessions_count(r->all, &n);
	assert_in_range(n.queued_bytes, HIGH, HIGH + SIZE + 1000);
	assert_in_range(r->begun_n, 4, 5);
	/* Below half of it all read on. */
	for (int32_t i = 0; i < N; i++) {
		rig_run(r);
		rig_reply(r, i);
		assert_int_equal(rig_answer(r, fd[i]), i);
	}
	for (int i = 0; i < N; i++)
		close(fd[i]);
	free_rig(r);
}

/* What a length announces costs nothing; who sends half a frame and stops is in the way only until
 * memory is short. */
static void half_frames_do_not_stop_the_others(void **state)
{
	(void)state;
	enum { N = 6, HIGH = 400 << 10, HALF = 90 << 10 };
	struct rig *r = new_rig((struct sessions_options){.queued_max = HIGH});
	static uint8_t block[HALF];
	int half[N], good = rig_connect(r);
	for (int i = 0; i < N; i++) {
		half[i] = rig_connect(r);
		rig_send(r, half[i], LIST, 3, 100, 0);
		assert_int_equal(rig_answer(r, half[i]), 100);
		rig_write(r, half[i], "\0\x0f\0\0", 4); /* 960 KiB */
	}
	rig_pass(r, 1500);
	rig_send(r, good, LIST, 3, 1, 0);
	assert_int_equal(rig_answer(r, good), 1);
	for (int i = 0; i < N; i++)
		rig_write(r, half[i], block, HALF);
	rig_pass(r, 1500); /* the sweep sees that memory is short */
	rig_send(r, good, LIST, 3, 2, 0);
	assert_int_equal(rig_answer(r, good), -1);
	rig_pass(r, 2500);
	for (int i = 0; i < N; i++)
		assert_true(rig_is_closed(r, half[i]));
	assert_int_equal(rig_answer(r, good), 2);
	for (int i = 0; i < N; i++)
		close(half[i]);
	close(good);
	free_rig(r);
}

/* Requests that wait for long do not stop the others, and are bounded themselves. */
static void large_requests_that_wait_are_bounded(void **state)
{
	(void)state;
	enum { N = 6, HIGH = 200 << 10, SIZE = 150 << 10 };
	struct rig *r = new_rig((struct sessions_options){.queued_max = HIGH});
	struct sessions_count n;
	int fd[N], good = rig_connect(r), closed = 0;
	for (int i = 0; i < N; i++) {
		fd[i] = rig_connect(r);
		rig_send(r, fd[i], FETCH, 4, i, SIZE);
		rig_send(r, good, LIST, 3, i, 0);
		assert_int_equal(rig_answer(r, good), i);
	}
	sessions_count(r->all, &n);
	assert_in_range(n.waiting_bytes, HIGH, 5 * HIGH);
	assert_true(n.queued_bytes < HIGH);
	for (int i = 0; i < N; i++)
		closed += rig_is_closed(r, fd[i]);
	assert_in_range(closed, 1, N - 1);
	for (int i = 0; i < N; i++)
		close(fd[i]);
	rig_run(r);
	sessions_count(r->all, &n);
	assert_int_equal(n.waiting_bytes, 0);
	assert_int_equal(n.queued_bytes, 0);
	close(good);
	free_rig(r);
}

/* Half frames together pass twice the high mark: at once the largest goes, and no other. */
static void the_largest_half_frame_goes(void **state)
{
	(void)state;
	enum { N = 3, HIGH = 100 << 10, HALF = 60 << 10 };
	struct rig *r = new_rig((struct sessions_options){.queued_max = HIGH});
	static uint8_t block[HALF + 20000];
	int half[N];
	for (int i = 0; i < N; i++) {
		half[i] = rig_connect(r);
		rig_send(r, half[i], LIST, 3, 100, 0);
		assert_int_equal(rig_answer(r, half[i]), 100);
		rig_write(r, half[i], "\0\x0f\0\0", 4);
		rig_write(r, half[i], block, 1000);
	}
	for (int i = 0; i < N; i++) {
		rig_write(r, half[i], block, i == 1 ? sizeof block : HALF);
		rig_run(r);
	}
	assert_int_equal(rig_answer(r, half[0]), -1);
	assert_true(rig_is_closed(r, half[1]));
	assert_int_equal(rig_answer(r, half[2]), -1);
	for (int i = 0; i < N; i++)
		close(half[i]);
	free_rig(r);
}

static void one_connection_cannot_take_all(void **state)
{
	(void)state;
	struct rig *r = plain_rig();
	int fd = rig_connect(r);
	rig_send(r, fd, LIST, 3, 0, 0);
	for (int32_t i = 1; i <= 30; i++)
		rig_send(r, fd, PRODUCE, 7, i, 1000000);
	assert_in_range(r->begun_n, 16, 18); /* 16 MiB */
	assert_int_equal(rig_answer(r, fd), 0);
	for (int32_t i = 1; i <= 17; i++)
		rig_reply(r, i);
	for (int32_t i = 1; i <= 17; i++)
		assert_int_equal(rig_answer(r, fd), i);
	close(fd);
	rig_run(r);
	free_rig(r);
}

static void a_drain_answers_what_runs(void **state)
{
	(void)state;
	struct rig *r = plain_rig();
	struct sessions_count n;
	int idle = rig_connect(r), busy = rig_connect(r);
	rig_send(r, busy, PRODUCE, 7, 1, 10);
	sessions_drain(r->all);
	rig_run(r);
	assert_true(rig_is_closed(r, idle));
	rig_send(r, busy, PRODUCE, 7, 2, 10);
	assert_int_equal(r->begun_n, 1);
	rig_reply(r, 1);
	assert_int_equal(rig_answer(r, busy), 1);
	assert_true(rig_is_closed(r, busy));
	int late = rig_connect(r);
	assert_true(rig_is_closed(r, late));
	sessions_count(r->all, &n);
	assert_int_equal(n.open, 0);
	close(idle);
	close(busy);
	close(late);
	free_rig(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_leave_in_the_order_of_requests),
		cmocka_unit_test(all_but_produce_wait_for_what_is_before),
		cmocka_unit_test(a_burst_is_taken_in_turn),
		cmocka_unit_test(without_an_answer_the_next_one_follows),
		cmocka_unit_test(a_client_that_leaves_cancels_its_requests),
		cmocka_unit_test(hanging_up_ends_the_others_too),
		cmocka_unit_test(held_records_are_released_once),
		cmocka_unit_test(what_is_not_served_closes_the_connection),
		cmocka_unit_test(a_version_of_api_versions_to_come_is_answered),
		cmocka_unit_test(a_large_first_frame_must_begin_like_a_request),
		cmocka_unit_test(connections_are_bounded),
		cmocka_unit_test(idle_connections_are_closed),
		cmocka_unit_test(a_frame_must_get_on),
		cmocka_unit_test(a_large_frame_may_take_its_time),
		cmocka_unit_test(slow_readers_are_disconnected),
		cmocka_unit_test(a_pause_of_the_broker_is_nobodys_fault),
		cmocka_unit_test(a_client_must_take_answers_before_it_asks_on),
		cmocka_unit_test(reading_stops_at_the_high_mark),
		cmocka_unit_test(half_frames_do_not_stop_the_others),
		cmocka_unit_test(large_requests_that_wait_are_bounded),
		cmocka_unit_test(the_largest_half_frame_goes),
		cmocka_unit_test(one_connection_cannot_take_all),
		cmocka_unit_test(a_drain_answers_what_runs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
