/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client may send to the broker: the input is a row of frames (two bytes of length, then the
 * frame's bytes) that go through a socket into a whole broker on a temporary directory. Nothing may
 * crash, leak, or keep the broker from serving the next client: after each input the connection is
 * closed and all that it left behind must be gone.
 *
 * Topics and groups stay from input to input; now and then the broker begins anew.
 */
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cluster/broker.h"
#include "cluster/deadline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUTS_PER_BROKER = 2000, TURNS = 12, SETTLE_TURNS = 2000 };

/* Time is the system's; chance is a counter, so that inputs can name a fetch session. */
static int64_t mono_ms(void *ctx)
{
	(void)ctx;
	return clock_mono_ms(clock_system());
}

static int64_t wall_ms(void *ctx)
{
	(void)ctx;
	return clock_wall_ms(clock_system());
}

static uint64_t count(void *ctx)
{
	return ++*(uint64_t *)ctx;
}

static uint64_t chance;
static const struct clock fuzz_clock = {mono_ms, wall_ms, count, &chance};

static struct {
	struct loop *loop;
	struct broker *broker;
	struct broker_config config;
	char dir[64];
	unsigned inputs;
} f;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static void check(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fuzz_broker_request: %s\n", what);
	abort();
}

static void stop_broker(void)
{
	if (f.broker == NULL)
		return;
	broker_free(f.broker);
	f.broker = NULL;
	for (int i = 0; i < SETTLE_TURNS && worker_pool_pending(loop_pool(f.loop)) > 0; i++)
		loop_turn(f.loop, 1);
	loop_free(f.loop);
	broker_config_fini(&f.config);
	nftw(f.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void start_broker(void)
{
	static const char *const sets[] = {"log.fsync=never",
					   "offsets.topic.num.partitions=1",
					   "log.segment.bytes=64 KiB",
					   "group.initial.rebalance.delay.ms=0",
					   "auto.create.topics.enable=true",
					   "queued.max.request.bytes=1 MiB"};
	struct errmsg why = {{0}};
	snprintf(f.dir, sizeof f.dir, "/tmp/fuzz_broker_XXXXXX");
	check(mkdtemp(f.dir) != NULL, "no temporary directory");
	const struct broker_config_source src = {.data = f.dir,
						 .listen = "127.0.0.1:0",
						 .sets = sets,
						 .sets_n = sizeof sets / sizeof *sets};
	check(broker_config_load(&src, &f.config, stderr, &why) == ERR_OK, why.text);
	check(loop_new(1, &fuzz_clock, NULL, &f.loop, &why) == ERR_OK, why.text);
	check(broker_new(f.loop, &f.config, &f.broker, &why) == ERR_OK, why.text);
	f.inputs = 0;
}

static void send_all(int fd, const void *p, size_t n)
{
	const uint8_t *at = p;
	for (int tries = 0; n > 0 && tries < 100; tries++) {
		ssize_t done = send(fd, at, n, MSG_NOSIGNAL);
		if (done > 0) {
			at += done;
			n -= (size_t)done;
		} else if (errno != EAGAIN) {
			return;
		}
		loop_turn(f.loop, 0);
	}
}

/* Take what is answered, so that nothing waits for us. */
static void drain(int fd)
{
	static uint8_t sink[1 << 16];
	while (recv(fd, sink, sizeof sink, 0) > 0)
		continue;
}

static void play(int fd, const uint8_t *data, size_t size)
{
	while (size >= 2) {
		size_t n = be16_get(data);
		uint8_t prefix[4];
		data += 2;
		size -= 2;
		if (n > size)
			n = size;
		be32_put(prefix, (uint32_t)n);
		send_all(fd, prefix, sizeof prefix);
		send_all(fd, data, n);
		data += n;
		size -= n;
		for (int i = 0; i < TURNS; i++)
			loop_turn(f.loop, 0);
		/* Fetches that wait would only take time. */
		deadlines_expire(broker_fetch_deadlines(f.broker));
		loop_turn(f.loop, 0);
		drain(fd);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fds[2];
	if (f.broker == NULL) {
		start_broker();
		atexit(stop_broker);
	} else if (f.inputs++ >= INPUTS_PER_BROKER) {
		stop_broker();
		start_broker();
	}
	check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0,
	      "no socket");
	chance = 0;
	broker_serve(f.broker, fds[0]);
	play(fds[1], data, size);
	close(fds[1]);
	for (int i = 0; i < TURNS; i++)
		loop_turn(f.loop, 0);
	return 0;
}
