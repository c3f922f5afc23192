/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/cluster/session_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

static int64_t rig_ms(void *ctx)
{
	return ((struct rig *)ctx)->now;
}

static uint64_t rig_random(void *ctx)
{
	(void)ctx;
	return 0;
}

/* ---- the table ---- */

/* Sessions hand on a pointer to a broker and do not look at it. */
static struct rig *rig_of(const struct request *q)
{
	return (struct rig *)(void *)q->broker;
}

static void forget(struct rig *r, const struct request *q)
{
	size_t i = 0;
	while (i < r->begun_n && r->begun[i] != q)
		i++;
	assert_true(i < r->begun_n);
	memmove(&r->begun[i], &r->begun[i + 1], (--r->begun_n - i) * sizeof *r->begun);
}

static void on_cancel(struct request *q)
{
	rig_of(q)->canceled++;
	forget(rig_of(q), q);
}

static void note(struct request *q)
{
	struct rig *r = rig_of(q);
	assert_true(r->begun_n < RIG_BEGUN_MAX);
	r->begun[r->begun_n++] = q;
	q->cancel = on_cancel;
}

/* Answers at once, as most handlers do. */
static void answer_now(struct request *q)
{
	rig_of(q)->without_message += q->msg == NULL;
	request_answer(q, request_response(q));
}

static const struct api apis[] = {
	{.key = WIRE_API_PRODUCE, .min = 3, .max = 9, .handle = note},
	{.key = WIRE_API_FETCH, .min = 4, .max = 12, .handle = note},
	{.key = WIRE_API_LIST_OFFSETS, .min = 1, .max = 7, .handle = answer_now},
	{.key = WIRE_API_API_VERSIONS, .min = 0, .max = 3, .handle = answer_now},
};
enum { APIS = sizeof apis / sizeof *apis };

const struct api *api_find(int16_t key)
{
	for (size_t i = 0; i < APIS; i++)
		if (apis[i].key == key)
			return &apis[i];
	return NULL;
}

const struct api *api_all(size_t *n)
{
	*n = APIS;
	return apis;
}

/* ---- the rig ---- */

void rig_init(struct rig *r, struct sessions_options *o)
{
	struct errmsg why = {{0}};
	memset(r, 0, sizeof *r);
	r->now = 1000000;
	r->clock = (struct clock){rig_ms, rig_ms, rig_random, r};
	r->endpoint = (struct endpoint){.name = "TEST", .host = "there", .port = 9};
	assert_int_equal(loop_new(1, &r->clock, NULL, &r->loop, &why), ERR_OK);
	o->loop = r->loop;
	o->broker = (struct broker *)(void *)r;
	o->max = o->max != 0 ? o->max : 1000;
	o->max_per_ip = o->max_per_ip != 0 ? o->max_per_ip : 1000;
	o->idle_ms = o->idle_ms != 0 ? o->idle_ms : 600 * 1000;
	o->slow_reader_ms = o->slow_reader_ms != 0 ? o->slow_reader_ms : 60 * 1000;
	o->request_max = o->request_max != 0 ? o->request_max : 1 << 20;
	o->queued_max = o->queued_max != 0 ? o->queued_max : 64 << 20;
	assert_int_equal(sessions_new(o, &r->all), ERR_OK);
}

void rig_fini(struct rig *r)
{
	sessions_free(r->all);
	rig_run(r);
	assert_int_equal(r->begun_n, 0);
	loop_free(r->loop);
}

int rig_connect(struct rig *r)
{
	int fds[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	sessions_accept(r->all, fds[0], &r->endpoint);
	rig_run(r);
	return fds[1];
}

void rig_run(struct rig *r)
{
	for (int i = 0; i < 8; i++)
		loop_turn(r->loop, 0);
}

void rig_pass(struct rig *r, int64_t ms)
{
	for (; ms > 0; ms -= 500) {
		r->now += ms < 500 ? ms : 500;
		rig_run(r);
	}
}

void rig_write(struct rig *r, int fd, const void *p, size_t n)
{
	const uint8_t *at = p;
	for (int tries = 0; n > 0 && tries < 1000; tries++) {
		ssize_t done = send(fd, at, n, MSG_NOSIGNAL);
		if (done > 0) {
			at += done;
			n -= (size_t)done;
		} else if (errno != EAGAIN) {
			break;
		}
		rig_run(r);
	}
}

static enum err encode(int16_t key, int16_t version, size_t size, struct wire_out *out)
{
	struct arena a;
	struct produce_request_partition_produce_data data;
	struct produce_request_topic_produce_data topic;
	uint8_t *bytes = calloc(1, size + 1);
	struct fetch_request_fetch_topic wanted;
	arena_init(&a, 4 << 20);
	void *msg = wire_array_new(&a, wire_request(key)->body, 1);
	if (key == WIRE_API_PRODUCE) {
		struct produce_request *p = msg;
		data = (struct produce_request_partition_produce_data){
			.records.data = bytes_of(bytes, size)};
		topic = (struct produce_request_topic_produce_data){
			.name = bytes_str("t"), .partition_data = &data, .partition_data_n = 1};
		p->topic_data = &topic;
		p->topic_data_n = 1;
	}
	if (key == WIRE_API_FETCH && size > 0) {
		struct fetch_request *f = msg;
		const struct wire_struct *parts = &wire_fetch_request_fetch_partition;
		wanted = (struct fetch_request_fetch_topic){.topic = bytes_str("t")};
		wanted.partitions_n = (int32_t)(size / 16); /* bytes of one, in version 4 */
		wanted.partitions = wire_array_new(&a, parts, wanted.partitions_n);
		f->topics = &wanted;
		f->topics_n = 1;
	}
	enum err e = wire_encode(wire_request(key), version, msg, out, NULL);
	arena_fini(&a);
	free(bytes);
	return e;
}

void rig_send(struct rig *r, int fd, int16_t key, int16_t version, int32_t correlation, size_t size)
{
	const struct wire_request_header h = {.api_key = key,
					      .api_version = version,
					      .correlation_id = correlation,
					      .client_id = bytes_str("rig")};
	struct wire_out out;
	uint8_t prefix[4];
	wire_out_init(&out, 16 << 20, 0);
	wire_put_request_header(&h, &out);
	if (version <= wire_request(key)->max_version)
		assert_int_equal(encode(key, version, size, &out), ERR_OK);
	be32_put(prefix, (uint32_t)out.buf.len);
	rig_write(r, fd, prefix, sizeof prefix);
	rig_write(r, fd, out.buf.p, out.buf.len);
	wire_out_fini(&out);
	rig_run(r);
}

int32_t rig_answer(struct rig *r, int fd)
{
	uint8_t head[8], rest[4096];
	rig_run(r);
	ssize_t n = recv(fd, head, sizeof head, MSG_PEEK);
	if (n == 0 || (n < 0 && errno == ECONNRESET))
		return -2;
	if (n < (ssize_t)sizeof head)
		return -1;
	assert_int_equal(recv(fd, head, sizeof head, 0), sizeof head);
	size_t left = be32_get(head) - 4;
	while (left > 0) {
		n = recv(fd, rest, left < sizeof rest ? left : sizeof rest, 0);
		if (n > 0)
			left -= (size_t)n;
		else
			rig_run(r);
	}
	return (int32_t)be32_get(head + 4);
}

bool rig_is_closed(struct rig *r, int fd)
{
	return rig_answer(r, fd) == -2;
}

struct request *rig_begun(struct rig *r, int32_t correlation)
{
	for (size_t i = 0; i < r->begun_n; i++)
		if (r->begun[i]->correlation_id == correlation)
			return r->begun[i];
	fail_msg("request %d was not begun", correlation);
	return NULL;
}

struct request *rig_take(struct rig *r, int32_t correlation)
{
	struct request *q = rig_begun(r, correlation);
	forget(r, q);
	return q;
}

void rig_reply(struct rig *r, int32_t correlation)
{
	struct request *q = rig_take(r, correlation);
	request_answer(q, request_response(q));
}

void rig_finish(struct rig *r, int32_t correlation)
{
	request_finish(rig_take(r, correlation));
}
