/* SPDX-License-Identifier: Apache-2.0 */
/* Records that are sent from where they lie, and headers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/wire/messages.h"

enum { OUT_MAX = 1 << 20, PARTS = 40 };

static struct produce_request_partition_produce_data parts[PARTS];
static struct produce_request_topic_produce_data topic;
static struct produce_request request;
static uint8_t head[61], payload[2000];

static int setup(void **state)
{
	(void)state;
	memset(head, 'h', sizeof head);
	memset(payload, 'p', sizeof payload);
	wire_init(&wire_produce_request, &request);
	for (int32_t i = 0; i < PARTS; i++) {
		parts[i] = (struct produce_request_partition_produce_data){.index = i};
		parts[i].records.data = bytes_of(head, sizeof head);
		parts[i].records.more = bytes_of(payload, sizeof payload - (size_t)i);
	}
	topic = (struct produce_request_topic_produce_data){
		.name = bytes_str("t"), .partition_data = parts, .partition_data_n = PARTS};
	request.topic_data = &topic;
	request.topic_data_n = 1;
	return 0;
}

/* What a connection sends: the buffer with the splices in their places. */
static struct buf joined(const struct wire_out *o)
{
	struct buf all;
	size_t at = 0;
	buf_init(&all, 1 << 20);
	for (size_t i = 0; i < o->splices_n; i++) {
		buf_put(&all, o->buf.p + at, o->splices[i].at - at);
		buf_put(&all, o->splices[i].bytes.p, o->splices[i].bytes.n);
		at = o->splices[i].at;
	}
	buf_put(&all, o->buf.p + at, o->buf.len - at);
	return all;
}

static void encode_both(int16_t version, size_t splice_min, size_t splices)
{
	struct wire_out copied, spliced;
	struct errmsg why;
	wire_out_init(&copied, 1 << 20, 0);
	wire_out_init(&spliced, OUT_MAX, splice_min);
	assert_int_equal(wire_encode(&wire_produce_request, version, &request, &copied, &why),
			 ERR_OK);
	assert_int_equal(wire_encode(&wire_produce_request, version, &request, &spliced, &why),
			 ERR_OK);
	assert_int_equal(copied.splices_n, 0);
	assert_int_equal(spliced.splices_n, splices);
	struct buf all = joined(&spliced);
	assert_int_equal(spliced.buf.len + spliced.splice_bytes, copied.buf.len);
	assert_true(bytes_eq(buf_bytes(&all), buf_bytes(&copied.buf)));
	buf_fini(&all);
	wire_out_fini(&spliced);
	wire_out_fini(&copied);
}

/* A range of a file has its length in the message and its place among the splices. */
static void test_file_ranges_are_noted(void **state)
{
	(void)state;
	struct fetch_response_partition_data part[2];
	struct fetch_response_fetchable_topic_response of;
	struct fetch_response response, back;
	struct wire_out out;
	struct arena arena;
	wire_init(&wire_fetch_response, &response);
	memset(part, 0, sizeof part);
	part[0].records.file = (struct wire_file){.fd = 7, .position = 1000, .n = sizeof payload};
	part[1].records.data = bytes_of(head, sizeof head);
	of = (struct fetch_response_fetchable_topic_response){
		.topic = bytes_str("t"), .partitions = part, .partitions_n = 2};
	response.responses = &of;
	response.responses_n = 1;
	wire_out_init(&out, OUT_MAX, 0);
	assert_int_equal(wire_encode(&wire_fetch_response, 12, &response, &out, NULL), ERR_OK);
	assert_int_equal(out.splices_n, 1);
	assert_int_equal(out.splice_bytes, sizeof payload);
	assert_int_equal(out.splices[0].file.fd, 7);
	assert_int_equal(out.splices[0].file.position, 1000);
	out.splices[0].bytes = bytes_of(payload, sizeof payload);
	struct buf all = joined(&out);
	arena_init(&arena, OUT_MAX);
	assert_int_equal(
		wire_decode(&wire_fetch_response, 12, buf_bytes(&all), &arena, &back, NULL),
		ERR_OK);
	const struct fetch_response_partition_data *got = back.responses[0].partitions;
	assert_true(bytes_eq(got[0].records.data, bytes_of(payload, sizeof payload)));
	assert_true(bytes_eq(got[1].records.data, bytes_of(head, sizeof head)));
	arena_fini(&arena);
	buf_fini(&all);
	wire_out_fini(&out);
}

static void test_splices_join_to_the_same_bytes(void **state)
{
	(void)state;
	for (int16_t v = 3; v <= 13; v++) {
		encode_both(v, 1024, PARTS);
		encode_both(v, 1, 2 * PARTS);
		encode_both(v, 1990, 11); /* payloads of 1990..2000 bytes */
		encode_both(v, 5000, 0);
	}
}

/* A failed message takes back its splices, not those of the message before it. */
static void test_failure_takes_back_splices(void **state)
{
	(void)state;
	struct wire_out out;
	struct errmsg why;
	wire_out_init(&out, OUT_MAX, 1024);
	assert_int_equal(wire_encode(&wire_produce_request, 9, &request, &out, &why), ERR_OK);
	size_t len = out.buf.len, bytes = out.splice_bytes;
	topic.name = bytes_of(NULL, 0);
	parts[PARTS - 1].records.data = bytes_of(NULL, 0);
	parts[PARTS - 1].records.more = bytes_of(NULL, 0);
	assert_int_equal(wire_encode(&wire_produce_request, 9, &request, &out, &why),
			 ERR_UNSUPPORTED);
	assert_int_equal(out.buf.len, len);
	assert_int_equal(out.splices_n, PARTS);
	assert_int_equal(out.splice_bytes, bytes);
	wire_out_fini(&out);
	assert_int_equal(out.splices_n, 0);
	assert_int_equal(out.splice_bytes, 0);
}

/* The fault comes after splices of the same message were noted. */
static void test_late_failure_takes_back_splices(void **state)
{
	(void)state;
	struct wire_out out;
	struct errmsg why;
	wire_out_init(&out, OUT_MAX, 1024);
	struct produce_request_topic_produce_data two[2] = {topic, topic};
	two[1].name = bytes_of(NULL, 0);
	request.topic_data = two;
	request.topic_data_n = 2;
	assert_int_equal(wire_encode(&wire_produce_request, 9, &request, &out, &why),
			 ERR_UNSUPPORTED);
	assert_int_equal(out.buf.len, 0);
	assert_int_equal(out.splices_n, 0);
	assert_int_equal(out.splice_bytes, 0);
	wire_out_fini(&out);
}

/* Lengths are checked, the bytes are not touched: these slices are far longer than their memory. */
static void test_longer_than_a_frame(void **state)
{
	(void)state;
	struct wire_out out;
	struct errmsg why;
	wire_out_init(&out, OUT_MAX, 1024);
	topic.partition_data_n = 1;
	parts[0].records.data = bytes_of(payload, INT32_MAX);
	parts[0].records.more = bytes_of(payload, 1);
	assert_int_equal(wire_encode(&wire_produce_request, 9, &request, &out, &why), ERR_LIMIT);
	assert_non_null(strstr(why.text, "records are too long"));
	parts[0].records.data = bytes_of(payload, (size_t)INT32_MAX + 1);
	assert_int_equal(wire_encode(&wire_produce_request, 9, &request, &out, &why), ERR_LIMIT);
	topic.partition_data_n = 2;
	for (int i = 0; i < 2; i++) {
		parts[i].records.data = bytes_of(payload, 1 << 30);
		parts[i].records.more = bytes_of(NULL, 0);
	}
	assert_int_equal(wire_encode(&wire_produce_request, 9, &request, &out, &why), ERR_LIMIT);
	assert_non_null(strstr(why.text, "longer than a frame can be"));
	assert_int_equal(out.splices_n, 0);
	topic.partition_data_n = 1;
	assert_int_equal(wire_encode(&wire_produce_request, 9, &request, &out, &why), ERR_OK);
	wire_out_fini(&out);
}

static void test_decoded_records_borrow(void **state)
{
	(void)state;
	struct wire_out out;
	struct errmsg why;
	struct arena a;
	struct produce_request back;
	wire_out_init(&out, 1 << 20, 0);
	arena_init(&a, 1 << 20);
	assert_int_equal(wire_encode(&wire_produce_request, 9, &request, &out, &why), ERR_OK);
	assert_int_equal(
		wire_decode(&wire_produce_request, 9, buf_bytes(&out.buf), &a, &back, &why),
		ERR_OK);
	struct bytes got = back.topic_data[0].partition_data[7].records.data;
	assert_int_equal(got.n, sizeof head + sizeof payload - 7);
	assert_true(got.p > out.buf.p && got.p + got.n <= out.buf.p + out.buf.len);
	assert_null(back.topic_data[0].partition_data[7].records.more.p);
	arena_fini(&a);
	wire_out_fini(&out);
}

static void assert_header(struct wire_request_header h, const char *want, size_t want_n)
{
	struct wire_out out;
	struct wire_request_header back;
	size_t used;
	wire_out_init(&out, OUT_MAX, 0);
	wire_put_request_header(&h, &out);
	assert_true(bytes_eq(buf_bytes(&out.buf), bytes_of(want, want_n)));
	buf_put_str(&out.buf, "body");
	assert_int_equal(wire_get_request_header(buf_bytes(&out.buf), &back, &used, NULL), ERR_OK);
	assert_int_equal(used, want_n);
	assert_int_equal(back.api_key, h.api_key);
	assert_int_equal(back.api_version, h.api_version);
	assert_int_equal(back.correlation_id, h.correlation_id);
	assert_true(bytes_eq(back.client_id, h.client_id));
	for (size_t n = 0; n < want_n; n++)
		assert_int_equal(wire_get_request_header(bytes_of(want, n), &back, &used, NULL),
				 ERR_MALFORMED);
	wire_out_fini(&out);
}

static void test_request_headers(void **state)
{
	(void)state;
	struct wire_request_header h = {
		.api_key = 1, .api_version = 11, .correlation_id = 7, .client_id = bytes_str("me")};
	assert_header(h, "\0\1\0\13\0\0\0\7\0\2me", 12);
	h.api_version = 12; /* flexible: tags, but the client id as ever */
	assert_header(h, "\0\1\0\14\0\0\0\7\0\2me\0", 13);
	h.client_id = bytes_of(NULL, 0);
	assert_header(h, "\0\1\0\14\0\0\0\7\377\377\0", 11);
	/* A version of ApiVersions that nobody knows still has a readable header (KIP-511). */
	h = (struct wire_request_header){
		.api_key = 18, .api_version = 99, .correlation_id = -2, .client_id = bytes_str("")};
	assert_header(h, "\0\22\0\143\377\377\377\376\0\0\0", 11);
}

static void test_header_of_an_unknown_api(void **state)
{
	(void)state;
	static const int16_t keys[] = {-1, 4, 93, INT16_MAX};
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		uint8_t in[] = {0, 0, 0, 5, 0, 0, 1, 2, 0xff, 0xff};
		struct wire_request_header h;
		size_t used;
		be16_put(in, (uint16_t)keys[i]);
		assert_int_equal(wire_get_request_header(bytes_of(in, sizeof in), &h, &used, NULL),
				 ERR_UNSUPPORTED);
		assert_int_equal(h.api_key, keys[i]);
		assert_int_equal(h.api_version, 5);
		assert_int_equal(h.correlation_id, 258);
		assert_null(h.client_id.p);
	}
}

static void test_response_headers(void **state)
{
	(void)state;
	struct wire_out out;
	int32_t id;
	size_t used;
	wire_out_init(&out, OUT_MAX, 0);
	wire_put_response_header(WIRE_API_FETCH, 11, 0x01020304, &out);
	assert_int_equal(out.buf.len, 4);
	buf_clear(&out.buf);
	wire_put_response_header(WIRE_API_FETCH, 12, 0x01020304, &out);
	assert_int_equal(out.buf.len, 5);
	assert_int_equal(
		wire_get_response_header(buf_bytes(&out.buf), WIRE_API_FETCH, 12, &id, &used, NULL),
		ERR_OK);
	assert_int_equal(id, 0x01020304);
	assert_int_equal(used, 5);
	/* Always version 0 for ApiVersions (KIP-511). */
	assert_int_equal(wire_get_response_header(buf_bytes(&out.buf), WIRE_API_API_VERSIONS, 4,
						  &id, &used, NULL),
			 ERR_OK);
	assert_int_equal(used, 4);
	buf_clear(&out.buf);
	wire_put_response_header(WIRE_API_API_VERSIONS, 4, 1, &out);
	assert_int_equal(out.buf.len, 4);
	/* Unknown tags are skipped. */
	struct bytes tagged = bytes_of("\0\0\0\1\1\7\2xxBODY", 13);
	assert_int_equal(wire_get_response_header(tagged, WIRE_API_FETCH, 12, &id, &used, NULL),
			 ERR_OK);
	assert_int_equal(used, 9);
	assert_int_equal(wire_get_response_header(bytes_of("\0\0\0", 3), WIRE_API_FETCH, 11, &id,
						  &used, NULL),
			 ERR_MALFORMED);
	wire_out_fini(&out);
}

/* A header that cannot be written sticks. */
static void test_header_over_the_maximum(void **state)
{
	(void)state;
	struct wire_out out;
	wire_out_init(&out, 3, 0);
	wire_put_response_header(WIRE_API_FETCH, 12, 1, &out);
	assert_int_equal(out.buf.err, ERR_LIMIT);
	wire_out_fini(&out);
	wire_out_init(&out, 1 << 20, 0);
	static uint8_t id[INT16_MAX + 1];
	struct wire_request_header h = {.api_key = 1, .client_id = bytes_of(id, sizeof id)};
	wire_put_request_header(&h, &out);
	assert_int_equal(out.buf.err, ERR_LIMIT);
	wire_out_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_splices_join_to_the_same_bytes, setup),
		cmocka_unit_test_setup(test_file_ranges_are_noted, setup),
		cmocka_unit_test_setup(test_failure_takes_back_splices, setup),
		cmocka_unit_test_setup(test_late_failure_takes_back_splices, setup),
		cmocka_unit_test_setup(test_longer_than_a_frame, setup),
		cmocka_unit_test_setup(test_decoded_records_borrow, setup),
		cmocka_unit_test(test_request_headers),
		cmocka_unit_test(test_header_of_an_unknown_api),
		cmocka_unit_test(test_response_headers),
		cmocka_unit_test(test_header_over_the_maximum),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
