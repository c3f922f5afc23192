/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/cluster/broker_rig.h"

#include <errno.h>
#include <ftw.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/mem.h"

enum { SETS_MAX = 16, ARENA_MAX = 64 << 20, PATIENCE = 4000 };

/* ---- the broker ---- */

static void start(struct rig *r, const char *const *sets)
{
	struct errmsg why = {{0}};
	const char *all[SETS_MAX] = {"log.fsync=never", "offsets.topic.num.partitions=1"};
	struct broker_config_source src = {
		.data = r->dir, .listen = "127.0.0.1:0", .sets = all, .sets_n = 2};
	while (sets != NULL && *sets != NULL)
		all[src.sets_n++] = *sets++;
	if (broker_config_load(&src, &r->config, stderr, &why) != ERR_OK ||
	    loop_new(2, clock_system(), NULL, &r->loop, &why) != ERR_OK ||
	    broker_new(r->loop, &r->config, &r->broker, &why) != ERR_OK)
		fail_msg("%s", why.text);
}

static void on_stopped(void *arg)
{
	*(bool *)arg = true;
}

static void stop(struct rig *r)
{
	bool stopped = false;
	broker_stop(r->broker, on_stopped, &stopped);
	for (int i = 0; !stopped && i < PATIENCE; i++)
		loop_turn(r->loop, 1);
	assert_true(stopped);
	broker_free(r->broker);
	while (worker_pool_pending(loop_pool(r->loop)) > 0)
		loop_turn(r->loop, 1);
	loop_free(r->loop);
	broker_config_fini(&r->config);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

void rig_init(struct rig *r, const char *const *sets)
{
	*r = (struct rig){.client_id = "rig"};
	arena_init(&r->arena, ARENA_MAX);
	/* In memory where there is such a place: a start syncs what it makes. */
	snprintf(r->dir, sizeof r->dir, "/dev/shm/test_broker_XXXXXX");
	if (mkdtemp(r->dir) == NULL) {
		snprintf(r->dir, sizeof r->dir, "/tmp/test_broker_XXXXXX");
		assert_non_null(mkdtemp(r->dir));
	}
	start(r, sets);
}

void rig_fini(struct rig *r)
{
	stop(r);
	arena_fini(&r->arena);
	nftw(r->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void rig_restart(struct rig *r, const char *const *sets)
{
	stop(r);
	start(r, sets);
}

/* ---- clients ---- */

int rig_connect(struct rig *r)
{
	int fds[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
	broker_serve(r->broker, fds[0]);
	return fds[1];
}

void rig_run(struct rig *r, int turns)
{
	while (turns-- > 0)
		loop_turn(r->loop, 0);
}

static void write_all(struct rig *r, int fd, const uint8_t *p, size_t n)
{
	for (int i = 0; n > 0 && i < PATIENCE; i++) {
		ssize_t done = send(fd, p, n, MSG_NOSIGNAL);
		if (done > 0) {
			p += done;
			n -= (size_t)done;
		} else if (errno != EAGAIN) {
			return;
		}
		loop_turn(r->loop, 0);
	}
}

int32_t rig_send(struct rig *r, int fd, int16_t key, int16_t version, const void *msg)
{
	const struct wire_request_header h = {.api_key = key,
					      .api_version = version,
					      .correlation_id = ++r->correlation,
					      .client_id = bytes_str(r->client_id)};
	struct wire_out out;
	struct errmsg why = {{0}};
	uint8_t prefix[4];
	wire_out_init(&out, 16 << 20, 0);
	wire_put_request_header(&h, &out);
	if (wire_encode(wire_request(key), version, msg, &out, &why) != ERR_OK)
		fail_msg("%s", why.text);
	be32_put(prefix, (uint32_t)out.buf.len);
	write_all(r, fd, prefix, sizeof prefix);
	write_all(r, fd, out.buf.p, out.buf.len);
	wire_out_fini(&out);
	return r->correlation;
}

/* False: the connection ended. */
static bool read_all(struct rig *r, int fd, uint8_t *p, size_t n)
{
	for (int i = 0; n > 0; i++) {
		ssize_t got = recv(fd, p, n, 0);
		if (got > 0) {
			p += got;
			n -= (size_t)got;
			continue;
		}
		if (got == 0 || errno != EAGAIN)
			return false;
		if (i > PATIENCE)
			fail_msg("no answer");
		loop_turn(r->loop, 1);
	}
	return true;
}

void *rig_receive(struct rig *r, int fd, int16_t key, int16_t version)
{
	uint8_t prefix[4];
	struct errmsg why = {{0}};
	int32_t correlation;
	size_t used;
	if (!read_all(r, fd, prefix, sizeof prefix))
		return NULL;
	size_t n = be32_get(prefix);
	uint8_t *frame = arena_zalloc(&r->arena, n, 1);
	void *msg = wire_array_new(&r->arena, wire_response(key)->body, 1);
	assert_non_null(frame);
	assert_non_null(msg);
	assert_true(read_all(r, fd, frame, n));
	if (wire_get_response_header(bytes_of(frame, n), key, version, &correlation, &used, &why) !=
		    ERR_OK ||
	    wire_decode(wire_response(key), version, bytes_of(frame + used, n - used), &r->arena,
			msg, &why) != ERR_OK)
		fail_msg("%s", why.text);
	return msg;
}

bool rig_answered(struct rig *r, int fd)
{
	uint8_t b;
	rig_run(r, 8);
	return recv(fd, &b, 1, MSG_PEEK) > 0;
}

void *rig_call(struct rig *r, int fd, int16_t key, int16_t version, const void *msg)
{
	rig_send(r, fd, key, version, msg);
	return rig_receive(r, fd, key, version);
}

/* ---- requests ---- */

void rig_topic(struct rig *r, int fd, const char *name, int32_t partitions)
{
	struct create_topics_request m;
	struct create_topics_request_creatable_topic t = {
		.name = bytes_str(name), .num_partitions = partitions, .replication_factor = 1};
	wire_init(wire_request(WIRE_API_CREATE_TOPICS), &m);
	m.topics = &t;
	m.topics_n = 1;
	m.timeout_ms = 10000;
	const struct create_topics_response *a = rig_call(r, fd, WIRE_API_CREATE_TOPICS, 7, &m);
	assert_non_null(a);
	assert_int_equal(a->topics_n, 1);
	assert_int_equal(a->topics[0].error_code, 0);
	r->topic_id = a->topics[0].topic_id;
}

static uint8_t *put_varint(uint8_t *p, int64_t v)
{
	uint64_t u = (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
	for (; u >= 0x80; u >>= 7)
		*p++ = (uint8_t)(u | 0x80);
	*p++ = (uint8_t)u;
	return p;
}

/* attributes, timestamp delta, offset delta, no key, value, no headers */
static uint8_t *put_record(uint8_t *p, int32_t index, size_t value)
{
	uint8_t body[16], *at = body;
	*at++ = 0;
	at = put_varint(at, 0);
	at = put_varint(at, index);
	at = put_varint(at, -1);
	at = put_varint(at, (int64_t)value);
	size_t head = (size_t)(at - body);
	p = put_varint(p, (int64_t)(head + value + 1));
	memcpy(p, body, head);
	memset(p + head, 'v', value);
	p += head + value;
	*p++ = 0;
	return p;
}

size_t rig_batch(uint8_t out[RIG_BATCH_MAX], int32_t count, size_t value, int64_t timestamp)
{
	assert_true(BATCH_HEAD + (size_t)count * (value + 24) <= RIG_BATCH_MAX);
	uint8_t *p = out + BATCH_HEAD;
	for (int32_t i = 0; i < count; i++)
		p = put_record(p, i, value);
	const struct batch_head h = {.leader_epoch = -1,
				     .last_offset_delta = count - 1,
				     .base_timestamp = timestamp,
				     .max_timestamp = timestamp,
				     .producer_id = -1,
				     .producer_epoch = -1,
				     .base_sequence = -1,
				     .count = count};
	size_t n = (size_t)(p - out);
	batch_head_seal(out, n - BATCH_HEAD, &h);
	return n;
}

const struct produce_request *rig_produce(struct rig_produce *p, const char *topic, int16_t acks,
					  struct bytes records)
{
	p->part = (struct produce_request_partition_produce_data){.records.data = records};
	p->topic = (struct produce_request_topic_produce_data){
		.name = bytes_str(topic), .partition_data = &p->part, .partition_data_n = 1};
	wire_init(wire_request(WIRE_API_PRODUCE), &p->m);
	p->m.acks = acks;
	p->m.timeout_ms = 10000;
	p->m.topic_data = &p->topic;
	p->m.topic_data_n = 1;
	return &p->m;
}

const struct produce_response_partition_produce_response *rig_produced(const void *answer)
{
	const struct produce_response *a = answer;
	assert_non_null(a);
	assert_int_equal(a->responses_n, 1);
	assert_int_equal(a->responses[0].partition_responses_n, 1);
	return a->responses[0].partition_responses;
}

int64_t rig_write(struct rig *r, int fd, const char *topic, int32_t count, size_t value)
{
	uint8_t batch[RIG_BATCH_MAX];
	struct rig_produce p;
	size_t n = rig_batch(batch, count, value, clock_wall_ms(clock_system()));
	const struct produce_response_partition_produce_response *a = rig_produced(rig_call(
		r, fd, WIRE_API_PRODUCE, 9, rig_produce(&p, topic, -1, bytes_of(batch, n))));
	assert_int_equal(a->error_code, 0);
	return a->base_offset;
}

struct fetch_request *rig_fetch(struct rig_fetch *f, const char *topic, int64_t offset)
{
	for (int32_t i = 0; i < 4; i++)
		f->parts[i] =
			(struct fetch_request_fetch_partition){.partition = i,
							       .current_leader_epoch = -1,
							       .last_fetched_epoch = -1,
							       .log_start_offset = -1,
							       .fetch_offset = offset,
							       .high_watermark = INT64_MAX,
							       .partition_max_bytes = 1 << 20};
	f->topic = (struct fetch_request_fetch_topic){
		.topic = bytes_str(topic), .partitions = f->parts, .partitions_n = 1};
	wire_init(wire_request(WIRE_API_FETCH), &f->m);
	f->m.min_bytes = 1;
	f->m.topics = &f->topic;
	f->m.topics_n = 1;
	return &f->m;
}

const struct fetch_response_partition_data *rig_fetched(const void *answer)
{
	const struct fetch_response *a = answer;
	assert_non_null(a);
	assert_int_equal(a->error_code, 0);
	assert_int_equal(a->responses_n, 1);
	assert_int_equal(a->responses[0].partitions_n, 1);
	return a->responses[0].partitions;
}
