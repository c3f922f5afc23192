/* SPDX-License-Identifier: Apache-2.0 */
/* ApiVersions, Produce, InitProducerId as a client sees them. */
#include "tests/unit/cluster/broker_rig.h"

#include <unistd.h>

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

/* ---- ApiVersions ---- */

static const struct api_versions_response *versions(struct rig *r, int16_t version,
						    const char *software)
{
	struct api_versions_request m;
	int fd = rig_connect(r);
	wire_init(wire_request(WIRE_API_API_VERSIONS), &m);
	m.client_software_name = m.client_software_version = bytes_str(software);
	const struct api_versions_response *a = rig_call(r, fd, WIRE_API_API_VERSIONS, version, &m);
	assert_non_null(a);
	close(fd);
	return a;
}

static void what_is_served_is_advertised(void **state)
{
	struct rig *r = *state;
	for (int16_t v = 0; v <= 4; v++) {
		const struct api_versions_response *a = versions(r, v, "rig-1.0");
		assert_int_equal(a->error_code, 0);
		assert_int_equal(a->api_keys[0].api_key, WIRE_API_PRODUCE);
		/* librdkafka before 2.11 compresses nothing otherwise (KAFKA-18659). */
		assert_int_equal(a->api_keys[0].min_version, 0);
		assert_int_equal(a->api_keys[0].max_version, 13);
		for (int32_t i = 1; i < a->api_keys_n; i++)
			assert_true(a->api_keys[i - 1].api_key < a->api_keys[i].api_key);
		assert_int_equal(a->finalized_features_n, v >= 3);
	}
	const struct api_versions_response *a = versions(r, 4, "rig");
	assert_true(bytes_eq_str(a->finalized_features[0].name, "metadata.version"));
	assert_int_equal(a->supported_features[0].min_version, 7);
}

static void a_strange_software_name_is_refused(void **state)
{
	static const char *const bad[] = {"", "-a", "a-", "a b", "a/b"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(versions(*state, 3, bad[i])->error_code, 42);
	assert_int_equal(versions(*state, 2, "")->error_code, 0);
}

/* franz-go begins with a version that Kafka 4.1 does not know (KIP-511). */
static void a_later_version_is_answered_in_version_0(void **state)
{
	struct rig *r = *state;
	static const uint8_t frame[] = {0, 0, 0, 12, 0, 18, 0, 5, 0, 0, 0, 7, 0xff, 0xff, 9, 9};
	int fd = rig_connect(r);
	assert_int_equal(write(fd, frame, sizeof frame), sizeof frame);
	const struct api_versions_response *a = rig_receive(r, fd, WIRE_API_API_VERSIONS, 0);
	assert_non_null(a);
	assert_int_equal(a->error_code, 35);
	assert_int_equal(a->api_keys_n, 1);
	assert_int_equal(a->api_keys[0].api_key, 18);
	assert_int_equal(a->api_keys[0].max_version, 4);
	close(fd);
}

/* ---- Produce ---- */

static struct bytes batch(uint8_t out[RIG_BATCH_MAX])
{
	return bytes_of(out, rig_batch(out, 2, 10, clock_wall_ms(clock_system())));
}

/* As Kafka without an authorizer: MirrorMaker 2 asks. */
static void there_are_no_acls(void **state)
{
	struct rig *r = *state;
	struct describe_acls_request m;
	int fd = rig_connect(r);
	wire_init(wire_request(WIRE_API_DESCRIBE_ACLS), &m);
	for (int16_t v = 1; v <= 3; v++) {
		const struct describe_acls_response *a =
			rig_call(r, fd, WIRE_API_DESCRIBE_ACLS, v, &m);
		assert_non_null(a);
		assert_int_equal(a->error_code, 54);
		assert_int_equal(a->resources_n, 0);
	}
	close(fd);
}

static void trailing_bytes_are_ignored(void **state)
{
	struct rig *r = *state;
	/* librdkafka 2.16: Metadata v13 for all topics. */
	static const uint8_t frame[] = {0, 0,    0,    18, 0, 3, 0, 13, 0, 0, 0,
					7, 0xff, 0xff, 0,  0, 0, 0, 0,  1, 0, 0};
	int fd = rig_connect(r);
	assert_int_equal(write(fd, frame, sizeof frame), sizeof frame);
	const struct metadata_response *a = rig_receive(r, fd, WIRE_API_METADATA, 13);
	assert_non_null(a);
	assert_int_equal(a->error_code, 0);
	close(fd);
}

static int16_t produce(struct rig *r, int fd, int16_t version, const struct produce_request *m)
{
	return rig_produced(rig_call(r, fd, WIRE_API_PRODUCE, version, m))->error_code;
}

static void batches_get_offsets_in_order(void **state)
{
	struct rig *r = *state;
	int fd = rig_connect(r);
	rig_topic(r, fd, "t", 1);
	for (int16_t v = 3; v <= 12; v++) {
		uint8_t b[RIG_BATCH_MAX];
		struct rig_produce p;
		int16_t acks = v % 2 ? 1 : -1;
		const struct produce_response_partition_produce_response *a = rig_produced(
			rig_call(r, fd, WIRE_API_PRODUCE, v, rig_produce(&p, "t", acks, batch(b))));
		assert_int_equal(a->error_code, 0);
		assert_int_equal(a->base_offset, (v - 3) * 2);
		assert_int_equal(a->log_append_time_ms, -1);
		assert_int_equal(a->log_start_offset, v < 5 ? -1 : 0);
	}
	close(fd);
}

static void by_id_from_version_13_on(void **state)
{
	struct rig *r = *state;
	int fd = rig_connect(r);
	uint8_t b[RIG_BATCH_MAX];
	struct rig_produce p;
	rig_topic(r, fd, "t", 1);
	(void)rig_produce(&p, "", -1, batch(b));
	p.topic.topic_id = r->topic_id;
	assert_int_equal(produce(r, fd, 13, &p.m), 0);
	p.part.index = 1;
	assert_int_equal(produce(r, fd, 13, &p.m), 3);
	p.topic.topic_id.b[0] ^= 1;
	assert_int_equal(produce(r, fd, 13, &p.m), 100);
	close(fd);
}

static void what_is_wrong_with_a_partition_is_said_of_it(void **state)
{
	struct rig *r = *state;
	int fd = rig_connect(r);
	uint8_t b[RIG_BATCH_MAX], two[2 * RIG_BATCH_MAX];
	struct rig_produce p;
	rig_topic(r, fd, "t", 1);
	struct bytes good = batch(b);
	assert_int_equal(produce(r, fd, 9, rig_produce(&p, "other", -1, good)), 3);
	(void)rig_produce(&p, "t", -1, good);
	p.part.index = 1;
	assert_int_equal(produce(r, fd, 9, &p.m), 3);
	assert_int_equal(produce(r, fd, 9, rig_produce(&p, "t", 2, good)), 21);
	assert_int_equal(produce(r, fd, 9, rig_produce(&p, "t", -2, good)), 21);
	/* Exactly one batch, of magic 2 (ProduceRequest.validateRecords). */
	assert_int_equal(produce(r, fd, 9, rig_produce(&p, "t", -1, bytes_str(""))), 87);
	assert_int_equal(produce(r, fd, 9, rig_produce(&p, "t", -1, (struct bytes){.p = NULL})),
			 87);
	assert_int_equal(produce(r, fd, 9, rig_produce(&p, "t", -1, bytes_of(b, good.n - 1))), 87);
	memcpy(two, b, good.n);
	memcpy(two + good.n, b, good.n);
	assert_int_equal(produce(r, fd, 9, rig_produce(&p, "t", -1, bytes_of(two, 2 * good.n))),
			 87);
	b[16] = 1;
	assert_int_equal(produce(r, fd, 9, rig_produce(&p, "t", -1, good)), 87);
	b[16] = 2;
	b[7] = 1; /* base offset 1 */
	assert_int_equal(produce(r, fd, 9, rig_produce(&p, "t", -1, good)), 87);
	b[0] = 0x80; /* a negative one */
	assert_int_equal(produce(r, fd, 9, rig_produce(&p, "t", -1, good)), 87);
	b[0] = b[7] = 0;
	b[16] = 3;
	assert_int_equal(produce(r, fd, 9, rig_produce(&p, "t", -1, good)), 2);
	b[16] = 2;
	b[good.n - 1] ^= 1; /* the checksum is of other bytes */
	assert_int_equal(produce(r, fd, 9, rig_produce(&p, "t", -1, good)), 2);
	b[good.n - 1] ^= 1;
	b[22] |= CODEC_ZSTD;
	assert_int_equal(produce(r, fd, 6, rig_produce(&p, "t", -1, good)), 76);
	b[22] = 0;
	assert_int_equal(produce(r, fd, 9, rig_produce(&p, "t", -1, good)), 0);
	close(fd);
}

/* The counts contradict each other, the checksum is right: INVALID_RECORD, which no client sends
 * again (LogValidator.validateBatch). */
static void counts_that_cannot_be_are_final(void **state)
{
	static const struct {
		int32_t last_delta, count;
	} cases[] = {{1, 3}, {1, 1}, {1, 0}, {1, -1}, {0, 2}, {5, 2}, {-1, 2}, {-1, 0}};
	struct rig *r = *state;
	int fd = rig_connect(r);
	uint8_t b[RIG_BATCH_MAX], bad[RIG_BATCH_MAX];
	struct rig_produce p;
	rig_topic(r, fd, "t", 1);
	struct bytes whole = batch(b);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct batch_head h;
		batch_head_get(b, &h);
		h.last_offset_delta = cases[i].last_delta;
		h.count = cases[i].count;
		batch_head_restamp(b, whole.n - BATCH_HEAD, &h, bad);
		memcpy(bad + BATCH_HEAD, b + BATCH_HEAD, whole.n - BATCH_HEAD);
		assert_true(batch_crc_ok(bytes_of(bad, whole.n)));
		(void)rig_produce(&p, "t", -1, bytes_of(bad, whole.n));
		assert_int_equal(produce(r, fd, 9, &p.m), 87);
	}
	close(fd);
}

/* A client's timeout is for other replicas, and there are none. */
static void a_timeout_of_nothing_is_enough(void **state)
{
	static const char *const always[] = {"log.fsync=always", NULL};
	struct rig *r = *state;
	rig_restart(r, always);
	int fd = rig_connect(r);
	uint8_t b[RIG_BATCH_MAX];
	struct rig_produce p;
	rig_topic(r, fd, "t", 1);
	for (int32_t ms = -1; ms <= 1; ms++) {
		(void)rig_produce(&p, "t", -1, batch(b));
		p.m.timeout_ms = ms;
		assert_int_equal(produce(r, fd, 9, &p.m), 0);
	}
	close(fd);
}

static void bad_records_are_named(void **state)
{
	struct rig *r = *state;
	int fd = rig_connect(r);
	uint8_t b[RIG_BATCH_MAX];
	struct rig_produce p;
	rig_topic(r, fd, "t", 1);
	/* A day ahead: further than log.message.timestamp.after.max.ms. */
	size_t n = rig_batch(b, 3, 10, clock_wall_ms(clock_system()) + 24 * 3600 * 1000);
	const struct produce_response_partition_produce_response *a = rig_produced(
		rig_call(r, fd, WIRE_API_PRODUCE, 9, rig_produce(&p, "t", -1, bytes_of(b, n))));
	assert_int_equal(a->error_code, 32);
	assert_int_equal(a->base_offset, -1);
	assert_true(a->error_message.n > 0);
	assert_int_equal(a->record_errors_n, 3);
	for (int32_t i = 0; i < 3; i++)
		assert_int_equal(a->record_errors[i].batch_index, i);
	close(fd);
}

static void the_brokers_own_topics_are_for_tools(void **state)
{
	struct rig *r = *state;
	int fd = rig_connect(r);
	uint8_t b[RIG_BATCH_MAX];
	struct rig_produce p;
	struct find_coordinator_request m;
	wire_init(wire_request(WIRE_API_FIND_COORDINATOR), &m);
	m.key = bytes_str("g");
	const struct find_coordinator_response *a = NULL;
	for (int i = 0; i < 50 && (a == NULL || a->error_code != 0); i++)
		a = rig_call(r, fd, WIRE_API_FIND_COORDINATOR, 3, &m);
	assert_int_equal(a->error_code, 0);
	struct bytes good = batch(b);
	assert_int_equal(produce(r, fd, 9, rig_produce(&p, "__consumer_offsets", -1, good)), 17);
	r->client_id = "__admin_client";
	/* Allowed, but such a record needs a key: the topic is compacted. */
	assert_int_equal(produce(r, fd, 9, rig_produce(&p, "__consumer_offsets", -1, good)), 87);
	r->client_id = "rig";
	close(fd);
}

static void acks_0_has_no_answer_and_no_mercy(void **state)
{
	struct rig *r = *state;
	int fd = rig_connect(r);
	uint8_t b[RIG_BATCH_MAX];
	struct rig_produce p;
	rig_topic(r, fd, "t", 1);
	rig_send(r, fd, WIRE_API_PRODUCE, 9, rig_produce(&p, "t", 0, batch(b)));
	assert_int_equal(produce(r, fd, 9, rig_produce(&p, "t", 1, batch(b))), 0);
	rig_send(r, fd, WIRE_API_PRODUCE, 9, rig_produce(&p, "other", 0, batch(b)));
	assert_null(rig_receive(r, fd, WIRE_API_PRODUCE, 9));
	close(fd);
	fd = rig_connect(r);
	assert_int_equal(rig_write(r, fd, "t", 1, 1), 4); /* both of acks 0 and 1 are there */
	close(fd);
}

/* ---- producer ids ---- */

static const struct init_producer_id_response *init(struct rig *r, int fd, const char *transaction,
						    int64_t id, int16_t epoch)
{
	struct init_producer_id_request m;
	wire_init(wire_request(WIRE_API_INIT_PRODUCER_ID), &m);
	m.transactional_id = bytes_str(transaction);
	m.producer_id = id;
	m.producer_epoch = epoch;
	return rig_call(r, fd, WIRE_API_INIT_PRODUCER_ID, 4, &m);
}

static void every_producer_gets_an_id_of_its_own(void **state)
{
	struct rig *r = *state;
	int fd = rig_connect(r);
	const struct init_producer_id_response *a = init(r, fd, NULL, -1, -1);
	assert_int_equal(a->error_code, 0);
	assert_int_equal(a->producer_epoch, 0);
	const struct init_producer_id_response *b = init(r, fd, NULL, a->producer_id, 0);
	assert_int_equal(b->error_code, 0);
	assert_int_not_equal(a->producer_id, b->producer_id);
	close(fd);
	rig_restart(r, NULL);
	fd = rig_connect(r);
	const struct init_producer_id_response *c = init(r, fd, NULL, -1, -1);
	assert_true(c->producer_id > b->producer_id);
	close(fd);
}

/* Clients take 53 for final, and stop. */
static void a_transactional_id_is_refused_for_good(void **state)
{
	struct rig *r = *state;
	int fd = rig_connect(r);
	uint8_t b[RIG_BATCH_MAX];
	struct rig_produce p;
	rig_topic(r, fd, "t", 1);
	assert_int_equal(init(r, fd, "tx", -1, -1)->error_code, 53);
	assert_int_equal(init(r, fd, "", -1, -1)->error_code, 42);
	assert_int_equal(init(r, fd, NULL, 7, -1)->error_code, 42);
	(void)rig_produce(&p, "t", -1, batch(b));
	p.m.transactional_id = bytes_str("tx");
	assert_int_equal(produce(r, fd, 9, &p.m), 53);
	/* A batch that says so without it. */
	(void)rig_produce(&p, "t", -1, batch(b));
	b[22] |= BATCH_TRANSACTIONAL;
	assert_int_not_equal(produce(r, fd, 9, &p.m), 0);
	close(fd);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_is_served_is_advertised),
		TEST(a_strange_software_name_is_refused),
		TEST(a_later_version_is_answered_in_version_0),
		TEST(there_are_no_acls),
		TEST(trailing_bytes_are_ignored),
		TEST(batches_get_offsets_in_order),
		TEST(by_id_from_version_13_on),
		TEST(what_is_wrong_with_a_partition_is_said_of_it),
		TEST(counts_that_cannot_be_are_final),
		TEST(a_timeout_of_nothing_is_enough),
		TEST(bad_records_are_named),
		TEST(the_brokers_own_topics_are_for_tools),
		TEST(acks_0_has_no_answer_and_no_mercy),
		TEST(every_producer_gets_an_id_of_its_own),
		TEST(a_transactional_id_is_refused_for_good),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
