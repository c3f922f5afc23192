/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Nth allocation fails, N = 1, 2, ... until none does: while the broker starts, and while it
 * serves a client's talk. A start ends with a reason or serves; a client is answered or
 * disconnected; the next client is served.
 */
#include "tests/unit/base/fail_alloc.h"
#include "tests/unit/cluster/broker_rig.h"

#include <ftw.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cluster/deadline.h"

enum { N_MAX = 5000, TALK_MAX = 1 << 16, TURNS = 12 };

/* ---- the talk ---- */

static void say(struct buf *talk, int16_t key, int16_t version, const void *msg)
{
	struct wire_out out;
	const struct wire_request_header h = {.api_key = key,
					      .api_version = version,
					      .correlation_id = 1,
					      .client_id = bytes_str("oom")};
	wire_out_init(&out, TALK_MAX, 0);
	wire_put_request_header(&h, &out);
	assert_int_equal(wire_encode(wire_request(key), version, msg, &out, NULL), ERR_OK);
	buf_put_be32(talk, (uint32_t)out.buf.len);
	buf_put(talk, out.buf.p, out.buf.len);
	wire_out_fini(&out);
}

static void make_talk(struct buf *talk)
{
	uint8_t batch[RIG_BATCH_MAX];
	struct rig_produce p;
	struct rig_fetch f;
	struct api_versions_request versions;
	struct init_producer_id_request init;
	struct metadata_request metadata;
	buf_init(talk, TALK_MAX);
	wire_init(wire_request(WIRE_API_API_VERSIONS), &versions);
	versions.client_software_name = versions.client_software_version = bytes_str("oom");
	say(talk, WIRE_API_API_VERSIONS, 3, &versions);
	wire_init(wire_request(WIRE_API_METADATA), &metadata);
	metadata.topics_n = -1;
	say(talk, WIRE_API_METADATA, 12, &metadata);
	wire_init(wire_request(WIRE_API_INIT_PRODUCER_ID), &init);
	init.transactional_id = (struct bytes){.p = NULL};
	say(talk, WIRE_API_INIT_PRODUCER_ID, 4, &init);
	size_t n = rig_batch(batch, 2, 10, clock_wall_ms(clock_system()));
	say(talk, WIRE_API_PRODUCE, 9, rig_produce(&p, "t", -1, bytes_of(batch, n)));
	say(talk, WIRE_API_PRODUCE, 9, rig_produce(&p, "other", 1, bytes_of(batch, n)));
	struct fetch_request *m = rig_fetch(&f, "t", 0);
	f.topic.partitions_n = 2;
	m->session_epoch = 0;
	say(talk, WIRE_API_FETCH, 12, m);
	m->session_epoch = -1;
	f.parts[0].fetch_offset = INT32_MAX; /* out of range */
	say(talk, WIRE_API_FETCH, 12, m);
	f.topic.partitions_n = 1;
	f.parts[0].partition = 1;
	f.parts[0].fetch_offset = 0; /* empty: it waits */
	m->max_wait_ms = 60 * 1000;
	say(talk, WIRE_API_FETCH, 12, m);
	assert_int_equal(talk->err, ERR_OK);
}

static void drain(int fd)
{
	uint8_t sink[4096];
	while (recv(fd, sink, sizeof sink, 0) > 0)
		continue;
}

static void play(struct rig *r, const struct buf *talk)
{
	int fds[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	broker_serve(r->broker, fds[0]);
	(void)!send(fds[1], talk->p, talk->len, MSG_NOSIGNAL);
	for (int i = 0; i < TURNS; i++) {
		loop_turn(r->loop, 0);
		drain(fds[1]);
	}
	deadlines_expire(broker_fetch_deadlines(r->broker));
	rig_run(r, TURNS);
	close(fds[1]);
	rig_run(r, TURNS);
}

static void a_client_is_answered_or_disconnected(void **state)
{
	(void)state;
	struct rig r;
	struct buf talk;
	rig_init(&r, NULL);
	int fd = rig_connect(&r);
	rig_topic(&r, fd, "t", 2);
	close(fd);
	make_talk(&talk);
	play(&r, &talk);
	long n = 1;
	for (bool hit = true; hit && n < N_MAX; n++) {
		fail_alloc_at(n);
		play(&r, &talk);
		hit = fail_alloc_off();
		fd = rig_connect(&r);
		rig_write(&r, fd, "t", 1, 1);
		close(fd);
	}
	assert_in_range(n, 20, N_MAX - 1);
	buf_fini(&talk);
	rig_fini(&r);
}

/* ---- the start ---- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

/* Start on the directory and stop at once. */
static enum err start(const char *dir, long n, bool *hit)
{
	static const char *const sets[] = {"log.fsync=never", "http.listen=127.0.0.1:0"};
	const struct broker_config_source src = {
		.data = dir, .listen = "127.0.0.1:0", .sets = sets, .sets_n = 2};
	struct broker_config config;
	struct broker *broker = NULL;
	struct errmsg why = {{0}};
	struct loop *loop;
	assert_int_equal(broker_config_load(&src, &config, stderr, &why), ERR_OK);
	assert_int_equal(loop_new(1, clock_system(), NULL, &loop, &why), ERR_OK);
	fail_alloc_at(n);
	enum err e = broker_new(loop, &config, &broker, &why);
	*hit = fail_alloc_off();
	if (e != ERR_OK)
		assert_true(why.text[0] != '\0');
	broker_free(broker);
	while (worker_pool_pending(loop_pool(loop)) > 0)
		loop_turn(loop, 1);
	loop_free(loop);
	broker_config_fini(&config);
	return e;
}

static void a_start_ends_with_a_reason_or_serves(void **state)
{
	(void)state;
	/* Hundreds of starts: in memory, where there is such a place, since each syncs what it
	 * makes. The directory is new each time: a start leaves records that the next one reads. */
	bool hit = true;
	long n = 1, failed = 0;
	for (; hit && n < N_MAX; n++) {
		char memory[] = "/dev/shm/test_broker_oom_XXXXXX";
		char disk[] = "/tmp/test_broker_oom_XXXXXX";
		char *dir = mkdtemp(memory);
		if (dir == NULL)
			dir = mkdtemp(disk);
		assert_non_null(dir);
		failed += start(dir, n, &hit) != ERR_OK;
		nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	}
	assert_in_range(n, 20, N_MAX - 1);
	assert_true(failed > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_client_is_answered_or_disconnected),
		cmocka_unit_test(a_start_ends_with_a_reason_or_serves),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
