/* SPDX-License-Identifier: Apache-2.0 */
/* The codec's rules one by one, against bytes written down by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/wire/messages.h"

enum { ARENA_MAX = 1 << 20, OUT_MAX = 1 << 20 };

/* What each test works with. */
struct box {
	struct arena a;
	struct wire_out out;
	struct errmsg why;
};

static int setup(void **state)
{
	struct box *b = calloc(1, sizeof *b);
	if (b == NULL)
		return 1;
	arena_init(&b->a, ARENA_MAX);
	wire_out_init(&b->out, OUT_MAX, 0);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct box *b = *state;
	arena_fini(&b->a);
	wire_out_fini(&b->out);
	free(b);
	return 0;
}

/* "00 0a ..." against the output. */
static void assert_hex(const struct wire_out *out, const char *hex)
{
	struct buf text;
	buf_init(&text, OUT_MAX);
	for (size_t i = 0; i < out->buf.len; i++)
		buf_printf(&text, "%s%02x", i == 0 ? "" : " ", out->buf.p[i]);
	buf_put_u8(&text, '\0');
	assert_string_equal((const char *)text.p, hex);
	buf_fini(&text);
}

static void assert_encodes(struct box *b, const struct wire_message *m, int16_t version,
			   const void *msg, const char *hex)
{
	buf_clear(&b->out.buf);
	if (wire_encode(m, version, msg, &b->out, &b->why) != ERR_OK)
		fail_msg("%s", b->why.text);
	assert_hex(&b->out, hex);
}

#define BYTES(...) bytes_of((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void test_lookup(void **state)
{
	(void)state;
	assert_string_equal(wire_request(1)->name, "FetchRequest");
	assert_string_equal(wire_response(1)->name, "FetchResponse");
	assert_ptr_equal(wire_request(WIRE_API_PRODUCE), &wire_produce_request);
	assert_null(wire_request(-1));
	assert_null(wire_request(INT16_MIN));
	assert_null(wire_request(93));
	assert_null(wire_response(INT16_MAX));
	assert_string_equal(wire_api_name(WIRE_API_API_VERSIONS), "ApiVersions");
	assert_string_equal(wire_api_name(4), "LeaderAndIsr");
	assert_string_equal(wire_api_name(93), "unknown");
	assert_string_equal(wire_api_name(-1), "unknown");

	assert_true(wire_request(4)->min_version > wire_request(4)->max_version);
	assert_int_equal(wire_fetch_request.min_version, 4);
	assert_int_equal(wire_fetch_request.max_version, 18);
	assert_int_equal(wire_fetch_request.flexible_from, 12);
	assert_int_equal(wire_sasl_handshake_request.flexible_from, INT16_MAX);
	assert_false(wire_fetch_request.latest_unstable);
	assert_true(wire_offset_commit_request.latest_unstable);
	assert_int_equal(wire_partition_record.api_key, -1);
	assert_int_equal(wire_partition_record.record_type, 3);
	assert_int_equal(wire_group_metadata_key.record_type, 2);
	assert_int_equal(wire_fetch_request.record_type, -1);
	assert_int_equal(wire_consumer_protocol_subscription.record_type, -1);
}

static void test_defaults(void **state)
{
	struct box *b = *state;
	struct fetch_request f;
	struct create_topics_request c;
	struct broker_heartbeat_response hb;
	struct describe_topic_partitions_request d;
	memset(&f, 0xa5, sizeof f);
	wire_init(&wire_fetch_request, &f);
	assert_null(f.cluster_id.p);
	assert_int_equal(f.replica_id, -1);
	assert_int_equal(f.replica_state.replica_id, -1);
	assert_true(f.replica_state.replica_epoch == -1);
	assert_int_equal(f.max_wait_ms, 0);
	assert_int_equal(f.max_bytes, INT32_MAX);
	assert_int_equal(f.session_epoch, -1);
	assert_int_equal(f.topics_n, 0);
	assert_null(f.topics);
	assert_non_null(f.rack_id.p);
	assert_int_equal(f.rack_id.n, 0);

	wire_init(&wire_create_topics_request, &c);
	assert_int_equal(c.timeout_ms, 60000);
	wire_init(&wire_broker_heartbeat_response, &hb);
	assert_true(hb.is_fenced);
	assert_false(hb.is_caught_up);
	wire_init(&wire_describe_topic_partitions_request, &d);
	assert_false(d.cursor_present);

	struct fetch_request_fetch_partition *p =
		wire_array_new(&b->a, &wire_fetch_request_fetch_partition, 3);
	assert_non_null(p);
	for (int i = 0; i < 3; i++) {
		assert_true(p[i].high_watermark == INT64_MAX);
		assert_int_equal(p[i].current_leader_epoch, -1);
		assert_true(uuid_is_zero(&p[i].replica_directory_id));
	}
	assert_non_null(wire_array_new(&b->a, &wire_fetch_request_fetch_partition, 0));
	assert_null(wire_array_new(&b->a, &wire_fetch_request_fetch_partition, -1));
	assert_null(wire_array_new(&b->a, &wire_fetch_request_fetch_partition, INT32_MAX));
}

/* The decoder gives the default where the version lacks a field or no tag came. */
static void test_absent_fields_decode_to_defaults(void **state)
{
	struct box *b = *state;
	struct list_offsets_response r;
	struct produce_response pr;
	struct bytes v1 = BYTES(0, 0, 0, 1, 0, 1, 't', 0, 0, 0, 1, 0, 0, 0, 5, 0, 3, 0, 0, 0, 0, 0,
				0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 9);
	memset(&r, 0xa5, sizeof r);
	assert_int_equal(wire_decode(&wire_list_offsets_response, 1, v1, &b->a, &r, &b->why),
			 ERR_OK);
	assert_int_equal(r.throttle_time_ms, 0);
	assert_int_equal(r.topics_n, 1);
	assert_true(bytes_eq_str(r.topics[0].name, "t"));
	assert_int_equal(r.topics[0].partitions[0].partition_index, 5);
	assert_int_equal(r.topics[0].partitions[0].error_code, 3);
	assert_true(r.topics[0].partitions[0].timestamp == 7);
	assert_true(r.topics[0].partitions[0].offset == 9);
	assert_int_equal(r.topics[0].partitions[0].leader_epoch, -1);

	/* One topic "t", one partition; no tags anywhere. */
	struct bytes v10 = BYTES(2, 2, 't', 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0xff, 0xff,
				 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0,
				 0, 0, 0, 0, 0, 0, 0);
	memset(&pr, 0xa5, sizeof pr);
	if (wire_decode(&wire_produce_response, 10, v10, &b->a, &pr, &b->why) != ERR_OK)
		fail_msg("%s", b->why.text);
	assert_int_equal(pr.responses[0].partition_responses[0].current_leader.leader_id, -1);
	assert_true(pr.responses[0].partition_responses[0].base_offset == 8);
	assert_null(pr.responses[0].partition_responses[0].error_message.p);
	assert_int_equal(pr.node_endpoints_n, 0);
}

static void test_plain_and_compact_forms(void **state)
{
	struct box *b = *state;
	struct metadata_request m;
	struct metadata_request_metadata_request_topic *t =
		wire_array_new(&b->a, &wire_metadata_request_metadata_request_topic, 1);
	wire_init(&wire_metadata_request, &m);
	t->name = bytes_str("abc");
	m.topics = t;
	m.topics_n = 1;
	assert_encodes(b, &wire_metadata_request, 0, &m, "00 00 00 01 00 03 61 62 63");
	assert_encodes(b, &wire_metadata_request, 4, &m, "00 00 00 01 00 03 61 62 63 01");
	assert_encodes(b, &wire_metadata_request, 9, &m, "02 04 61 62 63 00 01 00 00 00");
	assert_encodes(
		b, &wire_metadata_request, 12, &m,
		"02 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 04 61 62 63 00 01 00 00");
}

static void test_null_rules(void **state)
{
	struct box *b = *state;
	struct metadata_request m, back;
	struct heartbeat_request h;
	wire_init(&wire_metadata_request, &m);
	m.topics_n = -1;
	assert_encodes(b, &wire_metadata_request, 1, &m, "ff ff ff ff");
	assert_encodes(b, &wire_metadata_request, 9, &m, "00 01 00 00 00");
	/* Version 0 knows no null: "all topics" must not turn into something else. */
	assert_int_equal(wire_encode(&wire_metadata_request, 0, &m, &b->out, &b->why),
			 ERR_UNSUPPORTED);
	assert_non_null(strstr(b->why.text, "MetadataRequest v0: Topics: "));
	struct bytes null_array = BYTES(0xff, 0xff, 0xff, 0xff);
	assert_int_equal(wire_decode(&wire_metadata_request, 1, null_array, &b->a, &back, &b->why),
			 ERR_OK);
	assert_int_equal(back.topics_n, -1);
	assert_int_equal(wire_decode(&wire_metadata_request, 0, null_array, &b->a, &back, &b->why),
			 ERR_MALFORMED);

	wire_init(&wire_heartbeat_request, &h);
	h.group_id = bytes_of(NULL, 0);
	assert_int_equal(wire_encode(&wire_heartbeat_request, 0, &h, &b->out, &b->why),
			 ERR_UNSUPPORTED);
	assert_non_null(strstr(b->why.text, "GroupId"));
	assert_int_equal(wire_decode(&wire_heartbeat_request, 4, BYTES(0, 0, 0, 0, 1, 1, 0, 0),
				     &b->a, &h, &b->why),
			 ERR_MALFORMED);
}

/* A field that the version lacks. */
static void test_ignorable_fields(void **state)
{
	struct box *b = *state;
	struct fetch_request f;
	wire_init(&wire_fetch_request, &f);
	f.rack_id = bytes_str("rack"); /* from 11 on, ignorable */
	assert_int_equal(wire_encode(&wire_fetch_request, 10, &f, &b->out, &b->why), ERR_OK);

	/* A replica must not turn into a consumer. */
	f.replica_state.replica_id = 3;
	size_t before = b->out.buf.len;
	assert_int_equal(wire_encode(&wire_fetch_request, 14, &f, &b->out, &b->why),
			 ERR_UNSUPPORTED);
	assert_non_null(strstr(b->why.text, "ReplicaState: set, but version 14 does not have it"));
	assert_int_equal(b->out.buf.len, before); /* the output is as it was */
	assert_int_equal(b->out.buf.err, ERR_OK);
	assert_int_equal(wire_encode(&wire_fetch_request, 15, &f, &b->out, &b->why), ERR_OK);

	wire_init(&wire_fetch_request, &f);
	struct fetch_request_fetch_topic *t =
		wire_array_new(&b->a, &wire_fetch_request_fetch_topic, 1);
	t->partitions = wire_array_new(&b->a, &wire_fetch_request_fetch_partition, 1);
	t->partitions_n = 1;
	t->partitions[0].last_fetched_epoch = 7; /* from 12 on */
	f.topics = t;
	f.topics_n = 1;
	assert_int_equal(wire_encode(&wire_fetch_request, 11, &f, &b->out, &b->why),
			 ERR_UNSUPPORTED);
	assert_non_null(strstr(b->why.text, "FetchRequest v11: Topics: "));
	assert_non_null(strstr(b->why.text, "LastFetchedEpoch"));
	assert_int_equal(wire_encode(&wire_fetch_request, 12, &f, &b->out, &b->why), ERR_OK);
}

static void test_tagged_fields(void **state)
{
	struct box *b = *state;
	struct broker_registration_change_record r, back;
	struct uuid dir = {.b = {1}};
	wire_init(&wire_broker_registration_change_record, &r);
	r.broker_id = 1;
	r.broker_epoch = 2;
	assert_encodes(b, &wire_broker_registration_change_record, 2, &r,
		       "00 00 00 01 00 00 00 00 00 00 00 02 00");
	r.fenced = 1;
	r.log_dirs = &dir;
	r.log_dirs_n = 1;
	assert_encodes(b, &wire_broker_registration_change_record, 2, &r,
		       "00 00 00 01 00 00 00 00 00 00 00 02 02 00 01 01 02 11 02 01 00 00 00 00 00 "
		       "00 00 00 00 00 00 00 00 00 00");
	assert_int_equal(wire_decode(&wire_broker_registration_change_record, 2,
				     buf_bytes(&b->out.buf), &b->a, &back, &b->why),
			 ERR_OK);
	assert_int_equal(back.fenced, 1);
	assert_int_equal(back.in_controlled_shutdown, 0);
	assert_int_equal(back.log_dirs_n, 1);
	assert_true(uuid_eq(&back.log_dirs[0], &dir));
	/* Version 1 does not have LogDirs. */
	assert_int_equal(
		wire_encode(&wire_broker_registration_change_record, 1, &r, &b->out, &b->why),
		ERR_UNSUPPORTED);
}

/* A tagged field of more than 127 bytes: its size takes two bytes. */
static void test_large_tagged_field(void **state)
{
	struct box *b = *state;
	struct register_broker_record r, back;
	struct uuid dirs[9] = {{{0}}};
	wire_init(&wire_register_broker_record, &r);
	dirs[8].b[15] = 9;
	r.log_dirs = dirs;
	r.log_dirs_n = 9;
	assert_int_equal(wire_encode(&wire_register_broker_record, 3, &r, &b->out, &b->why),
			 ERR_OK);
	const uint8_t *p = b->out.buf.p + b->out.buf.len - 1 - 9 * 16 - 4;
	assert_int_equal(p[0], 1);    /* tags */
	assert_int_equal(p[1], 0);    /* tag 0 */
	assert_int_equal(p[2], 0x91); /* 145 bytes */
	assert_int_equal(p[3], 0x01);
	assert_int_equal(p[4], 10); /* 9 directories */
	assert_int_equal(wire_decode(&wire_register_broker_record, 3, buf_bytes(&b->out.buf), &b->a,
				     &back, &b->why),
			 ERR_OK);
	assert_int_equal(back.log_dirs[8].b[15], 9);
}

/* KIP-482. HeartbeatResponse v4: throttle, error, then the tags. */
static enum err decode_tags(struct box *b, struct bytes tags)
{
	struct heartbeat_response h;
	uint8_t body[64] = {0, 0, 0, 0, 0, 0};
	memcpy(body + 6, tags.p, tags.n);
	return wire_decode(&wire_heartbeat_response, 4, bytes_of(body, 6 + tags.n), &b->a, &h,
			   &b->why);
}

static void test_unknown_tags(void **state)
{
	struct box *b = *state;
	assert_int_equal(decode_tags(b, BYTES(0)), ERR_OK);
	assert_int_equal(decode_tags(b, BYTES(1, 0, 0)), ERR_OK);
	assert_int_equal(decode_tags(b, BYTES(2, 5, 1, 'x', 9, 2, 'y', 'z')), ERR_OK);
	assert_int_equal(decode_tags(b, BYTES(1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0)), ERR_OK);
	/* twice the same, descending, beyond the end, fewer than announced, more than fit */
	assert_int_equal(decode_tags(b, BYTES(2, 5, 0, 5, 0)), ERR_MALFORMED);
	assert_int_equal(decode_tags(b, BYTES(2, 5, 0, 4, 0)), ERR_MALFORMED);
	assert_int_equal(decode_tags(b, BYTES(1, 5, 2, 0)), ERR_MALFORMED);
	assert_int_equal(decode_tags(b, BYTES(2, 5, 0)), ERR_MALFORMED);
	assert_int_equal(decode_tags(b, BYTES(0xff, 0xff, 0xff, 0xff, 0x0f, 1, 0)), ERR_MALFORMED);
	assert_non_null(strstr(b->why.text, "HeartbeatResponse v4, byte 11: bad count of tags"));
	assert_int_equal(decode_tags(b, BYTES(1, 5, 0xff, 0xff, 0xff, 0xff, 0x0f)), ERR_MALFORMED);
}

/* The size of a known tag is the size of its value. Bytes: broker id, epoch, then one tag. */
static enum err decode_known_tag(struct box *b, struct bytes tags)
{
	struct broker_registration_change_record r;
	uint8_t body[64] = {0};
	memcpy(body + 12, tags.p, tags.n);
	return wire_decode(&wire_broker_registration_change_record, 0, bytes_of(body, 12 + tags.n),
			   &b->a, &r, &b->why);
}

static void test_known_tags_fill_their_size(void **state)
{
	struct box *b = *state;
	assert_int_equal(decode_known_tag(b, BYTES(1, 0, 1, 1)), ERR_OK);
	assert_int_equal(decode_known_tag(b, BYTES(1, 0, 1, 0)), ERR_OK); /* sent, but default */
	assert_int_equal(decode_known_tag(b, BYTES(1, 0, 0)), ERR_MALFORMED);
	assert_int_equal(decode_known_tag(b, BYTES(1, 0, 2, 1, 1)), ERR_MALFORMED);
	assert_int_equal(decode_known_tag(b, BYTES(2, 0, 1, 1, 0, 1, 1)), ERR_MALFORMED);
	/* A size that hides the tag after it. */
	assert_int_equal(decode_known_tag(b, BYTES(2, 0, 1, 1, 5, 0)), ERR_OK);
	assert_int_equal(decode_known_tag(b, BYTES(2, 0, 3, 1, 5, 0)), ERR_MALFORMED);
	assert_non_null(strstr(b->why.text, "tagged field longer than its value"));
	/* Tag 1 came with version 1: unknown in version 0, whatever it holds. */
	assert_int_equal(decode_known_tag(b, BYTES(1, 1, 3, 7, 7, 7)), ERR_OK);
}

/* KIP-893: nullable structs. */
static void test_nullable_structs(void **state)
{
	struct box *b = *state;
	struct describe_topic_partitions_request r, back;
	wire_init(&wire_describe_topic_partitions_request, &r);
	assert_encodes(b, &wire_describe_topic_partitions_request, 0, &r, "01 00 00 07 d0 ff 00");
	r.cursor_present = true;
	r.cursor.topic_name = bytes_str("t");
	r.cursor.partition_index = 4;
	assert_encodes(b, &wire_describe_topic_partitions_request, 0, &r,
		       "01 00 00 07 d0 01 02 74 00 00 00 04 00 00");
	assert_int_equal(wire_decode(&wire_describe_topic_partitions_request, 0,
				     buf_bytes(&b->out.buf), &b->a, &back, &b->why),
			 ERR_OK);
	assert_true(back.cursor_present);
	assert_int_equal(back.cursor.partition_index, 4);
	assert_int_equal(wire_decode(&wire_describe_topic_partitions_request, 0,
				     BYTES(1, 0, 0, 7, 0xd0, 0xff, 0), &b->a, &back, &b->why),
			 ERR_OK);
	assert_false(back.cursor_present);
	assert_int_equal(back.cursor.topic_name.n, 0);
}

/* In a tag the marker counts as part of the value. */
static void test_tagged_nullable_struct(void **state)
{
	struct box *b = *state;
	struct consumer_group_member_metadata_value v, back;
	wire_init(&wire_consumer_group_member_metadata_value, &v);
	v.instance_id = v.rack_id = v.subscribed_topic_regex = v.server_assignor =
		bytes_of(NULL, 0);
	assert_encodes(b, &wire_consumer_group_member_metadata_value, 0, &v,
		       "00 00 01 01 01 00 ff ff ff ff 00 00");
	/* Present is not the default, whatever is in it. */
	v.classic_member_metadata_present = true;
	assert_encodes(b, &wire_consumer_group_member_metadata_value, 0, &v,
		       "00 00 01 01 01 00 ff ff ff ff 00 01 00 07 01 00 00 00 00 01 00");
	v.classic_member_metadata.session_timeout_ms = 5;
	assert_encodes(b, &wire_consumer_group_member_metadata_value, 0, &v,
		       "00 00 01 01 01 00 ff ff ff ff 00 01 00 07 01 00 00 00 05 01 00");
	assert_int_equal(wire_decode(&wire_consumer_group_member_metadata_value, 0,
				     buf_bytes(&b->out.buf), &b->a, &back, &b->why),
			 ERR_OK);
	assert_true(back.classic_member_metadata_present);
	assert_int_equal(back.classic_member_metadata.session_timeout_ms, 5);
}

static void test_limits_of_strings(void **state)
{
	struct box *b = *state;
	struct heartbeat_request h;
	uint8_t *text = calloc(1, 40000);
	wire_init(&wire_heartbeat_request, &h);
	h.group_id = bytes_of(text, INT16_MAX);
	assert_int_equal(wire_encode(&wire_heartbeat_request, 0, &h, &b->out, &b->why), ERR_OK);
	h.group_id.n++;
	assert_int_equal(wire_encode(&wire_heartbeat_request, 4, &h, &b->out, &b->why), ERR_LIMIT);
	assert_int_equal(wire_encode(&wire_heartbeat_request, 0, &h, &b->out, &b->why), ERR_LIMIT);
	assert_int_equal(b->out.buf.err, ERR_OK);

	/* 32768 + 1 as a varint, with all the bytes there */
	text[0] = 0x81;
	text[1] = 0x80;
	text[2] = 0x02;
	assert_int_equal(
		wire_decode(&wire_heartbeat_request, 4, bytes_of(text, 40000), &b->a, &h, &b->why),
		ERR_MALFORMED);
	assert_non_null(strstr(b->why.text, "GroupId: bad length (32768"));
	assert_int_equal(
		wire_decode(&wire_heartbeat_request, 0, BYTES(0xff, 0xfe), &b->a, &h, &b->why),
		ERR_MALFORMED);
	free(text);
}

static void test_output_maximum(void **state)
{
	struct box *b = *state;
	struct heartbeat_request h;
	struct wire_out out;
	wire_init(&wire_heartbeat_request, &h);
	h.group_id = bytes_str("a group's name");
	wire_out_init(&out, 10, 0);
	assert_int_equal(wire_encode(&wire_heartbeat_request, 0, &h, &out, &b->why), ERR_LIMIT);
	assert_non_null(strstr(b->why.text, "HeartbeatRequest v0: GroupId: "));
	assert_int_equal(out.buf.len, 0);
	assert_int_equal(out.buf.err, ERR_LIMIT); /* sticky */
	h.group_id = bytes_str("");
	assert_int_equal(wire_encode(&wire_heartbeat_request, 0, &h, &out, &b->why), ERR_LIMIT);
	buf_clear(&out.buf);
	assert_int_equal(wire_encode(&wire_heartbeat_request, 0, &h, &out, NULL), ERR_OK);
	wire_out_fini(&out);
}

static void test_versions_are_checked(void **state)
{
	struct box *b = *state;
	struct fetch_request f;
	static const int16_t bad[] = {-1, 3, 19, INT16_MAX, INT16_MIN};
	wire_init(&wire_fetch_request, &f);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_int_equal(wire_encode(&wire_fetch_request, bad[i], &f, &b->out, &b->why),
				 ERR_UNSUPPORTED);
		assert_int_equal(
			wire_decode(&wire_fetch_request, bad[i], BYTES(0), &b->a, &f, &b->why),
			ERR_UNSUPPORTED);
	}
	assert_int_equal(wire_decode(wire_request(4), 0, BYTES(0), &b->a, &f, NULL),
			 ERR_UNSUPPORTED);
	assert_int_equal(wire_decode(&wire_fetch_request, 4, bytes_of(NULL, 0), &b->a, &f, NULL),
			 ERR_MALFORMED);
}

static void test_left_over_bytes(void **state)
{
	struct box *b = *state;
	struct heartbeat_response h;
	size_t used;
	struct bytes in = BYTES(0, 0, 0, 1, 0, 2, 0xee);
	assert_int_equal(wire_decode(&wire_heartbeat_response, 1, in, &b->a, &h, &b->why),
			 ERR_MALFORMED);
	assert_non_null(strstr(b->why.text, "byte 6: 1 bytes left over"));
	assert_int_equal(
		wire_decode_prefix(&wire_heartbeat_response, 1, in, &b->a, &h, &used, &b->why),
		ERR_OK);
	assert_int_equal(used, 6);
	assert_int_equal(h.error_code, 2);
}

/* Metadata of 10 000 partitions, the largest message that the mirror meets every few minutes. */
static void test_large_metadata(void **state)
{
	struct box *b = *state;
	enum { PARTITIONS = 10000 };
	struct metadata_response m, back;
	int32_t replicas[3] = {1, 2, 3};
	struct arena a;
	arena_init(&a, 16 << 20);
	wire_init(&wire_metadata_response, &m);
	m.topics = wire_array_new(&a, &wire_metadata_response_metadata_response_topic, 1);
	m.topics_n = 1;
	m.topics->name = bytes_str("orders");
	struct metadata_response_metadata_response_partition *p =
		wire_array_new(&a, &wire_metadata_response_metadata_response_partition, PARTITIONS);
	for (int32_t i = 0; i < PARTITIONS; i++) {
		p[i].partition_index = i;
		p[i].replica_nodes = p[i].isr_nodes = replicas;
		p[i].replica_nodes_n = p[i].isr_nodes_n = 3;
	}
	m.topics->partitions = p;
	m.topics->partitions_n = PARTITIONS;
	assert_int_equal(wire_encode(&wire_metadata_response, 12, &m, &b->out, &b->why), ERR_OK);
	assert_int_equal(wire_decode(&wire_metadata_response, 12, buf_bytes(&b->out.buf), &a, &back,
				     &b->why),
			 ERR_OK);
	assert_int_equal(back.topics[0].partitions_n, PARTITIONS);
	for (int32_t i = 0; i < PARTITIONS; i++) {
		assert_int_equal(back.topics[0].partitions[i].partition_index, i);
		assert_int_equal(back.topics[0].partitions[i].isr_nodes[2], 3);
	}
	arena_fini(&a);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_lookup),
		T(test_defaults),
		T(test_absent_fields_decode_to_defaults),
		T(test_plain_and_compact_forms),
		T(test_null_rules),
		T(test_ignorable_fields),
		T(test_tagged_fields),
		T(test_large_tagged_field),
		T(test_unknown_tags),
		T(test_known_tags_fill_their_size),
		T(test_nullable_structs),
		T(test_tagged_nullable_struct),
		T(test_limits_of_strings),
		T(test_output_maximum),
		T(test_versions_are_checked),
		T(test_left_over_bytes),
		T(test_large_metadata),
	};
#undef T
	return cmocka_run_group_tests(tests, NULL, NULL);
}
