/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages made to harm: counts and lengths that lie, varints that overflow, tag bombs, small
 * messages that ask for much memory; and memory that runs out. Attacks "arrays / varints" and
 * "malicious broker" (CVE-2026-111108, CVE-2026-111115), fault F20.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/wire/layout.h"
#include "lib/wire/messages.h"

/* The linker puts these before mem_alloc and mem_resize: the n-th call from now fails. */
static long calls_left = -1;

static bool call_fails(void)
{
	return calls_left >= 0 && calls_left-- == 0;
}

void *__real_mem_alloc(size_t n);
void *__wrap_mem_alloc(size_t n);
void *__wrap_mem_alloc(size_t n)
{
	return call_fails() ? NULL : __real_mem_alloc(n);
}

void *__real_mem_resize(void *p, size_t count, size_t size);
void *__wrap_mem_resize(void *p, size_t count, size_t size);
void *__wrap_mem_resize(void *p, size_t count, size_t size)
{
	return call_fails() ? NULL : __real_mem_resize(p, count, size);
}

/* Decode into a message of any type; the arena's use must stay within `max`. */
static enum err try_decode(const struct wire_message *m, int16_t version, struct bytes in,
			   size_t max, size_t *used)
{
	_Alignas(16) uint8_t msg[1024];
	struct errmsg why = {{0}};
	struct arena a;
	assert_true(m->body->size <= sizeof msg);
	arena_init(&a, max);
	enum err e = wire_decode(m, version, in, &a, msg, &why);
	assert_true(a.used <= max);
	*used = a.used;
	assert_true(e == ERR_OK || why.text[0] != '\0');
	arena_fini(&a);
	return e;
}

#define BYTES(...) bytes_of((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* Refused before anything is allocated. */
static void refused(const struct wire_message *m, int16_t version, struct bytes in)
{
	size_t used;
	assert_int_equal(try_decode(m, version, in, SIZE_MAX / 2, &used), ERR_MALFORMED);
	assert_int_equal(used, 0);
}

static void test_counts_that_lie(void **state)
{
	(void)state;
	/* int32 counts: 2^31-1, -2, -2^31, one more than there is */
	refused(&wire_metadata_request, 1, BYTES(0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0));
	refused(&wire_metadata_request, 1, BYTES(0xff, 0xff, 0xff, 0xfe));
	refused(&wire_metadata_request, 1, BYTES(0x80, 0, 0, 0));
	refused(&wire_metadata_request, 1, BYTES(0, 0, 0, 2, 0, 1, 'a'));
	/* three elements of at least two bytes do not fit into five bytes */
	refused(&wire_metadata_request, 1, BYTES(0, 0, 0, 3, 0, 0, 0, 0, 0));
	/* compact counts: 2^32-2, 2^31, what the bytes left cannot hold */
	refused(&wire_metadata_request, 9, BYTES(0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0));
	refused(&wire_metadata_request, 9, BYTES(0x81, 0x80, 0x80, 0x80, 0x08, 0, 0, 0));
	refused(&wire_metadata_request, 9, BYTES(5, 1, 0, 1, 0, 0));
	/* arrays of numbers and of strings */
	refused(&wire_describe_groups_request, 0, BYTES(0, 0, 0, 2, 0, 0, 0));
	refused(&wire_describe_groups_request, 5, BYTES(4, 1, 1));
	refused(&wire_list_transactions_request, 0, BYTES(1, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
}

static void test_varints_that_overflow(void **state)
{
	(void)state;
	/* What follows is a whole message: only the varint is wrong. */
	refused(&wire_metadata_request, 9, BYTES(0x80, 0x80, 0x80, 0x80, 0x10, 1, 0, 0, 0));
	refused(&wire_metadata_request, 9, BYTES(0x81, 0x80, 0x80, 0x80, 0x10, 1, 0, 0, 0));
	refused(&wire_metadata_request, 9, BYTES(0x81, 0x80, 0x80, 0x80, 0x80, 1, 0, 0, 0));
	refused(&wire_metadata_request, 9, BYTES(0x81, 0x80, 0x80, 0x80, 0x80, 0, 1, 0, 0, 0));
	refused(&wire_metadata_request, 9, BYTES(0xff, 0xff, 0xff, 0xff, 0xff, 0x01));
	refused(&wire_metadata_request, 9, BYTES(0x80));
	/* A long form of a small number is odd, but no lie: zero topics, no flags, no tags. */
	size_t used;
	assert_int_equal(try_decode(&wire_metadata_request, 9, BYTES(0x81, 0x80, 0, 1, 0, 0, 0),
				    1024, &used),
			 ERR_OK);
}

static void test_lengths_that_lie(void **state)
{
	(void)state;
	/* SaslAuthenticate: bytes of 2^31-1, -2, and one more than there is */
	refused(&wire_sasl_authenticate_request, 0, BYTES(0x7f, 0xff, 0xff, 0xff, 'x'));
	refused(&wire_sasl_authenticate_request, 0, BYTES(0xff, 0xff, 0xff, 0xfe, 'x'));
	refused(&wire_sasl_authenticate_request, 0, BYTES(0, 0, 0, 2, 'x'));
	refused(&wire_sasl_authenticate_request, 2, BYTES(0xff, 0xff, 0xff, 0xff, 0x0f, 'x'));
	refused(&wire_sasl_authenticate_request, 2, BYTES(3, 'x'));
	/* strings */
	refused(&wire_sasl_handshake_request, 0, BYTES(0x7f, 0xff, 'x'));
	refused(&wire_sasl_handshake_request, 0, BYTES(0xff, 0xff));
	refused(&wire_heartbeat_request, 4, BYTES(0xff, 0xff, 0xff, 0xff, 0x0f, 'x'));
}

/* A tag bomb: 2^32-1 tags, and as many empty tags as the bytes allow. */
static void test_tag_bombs(void **state)
{
	(void)state;
	refused(&wire_api_versions_request, 3, BYTES(1, 1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0));
	enum { TAGS = 8192 };
	static uint8_t body[5 + 3 * TAGS];
	size_t n = 0, used;
	body[n++] = 1;
	body[n++] = 1;
	body[n++] = TAGS % 128 | 0x80;
	body[n++] = TAGS / 128;
	for (unsigned i = 0; i < TAGS; i++) {
		body[n++] = (uint8_t)(i % 128 | 0x80);
		body[n++] = (uint8_t)(i / 128);
		body[n++] = 0;
	}
	assert_int_equal(try_decode(&wire_api_versions_request, 3, bytes_of(body, n), 1024, &used),
			 ERR_OK);
	assert_int_equal(used, 0);
}

/* Elements of few bytes on the wire that are large in memory: the arena's maximum holds. */
static void test_the_arena_bounds_memory(void **state)
{
	(void)state;
	enum { BODY = 1 << 20 };
	size_t used;
	uint8_t *body = calloc(1, BODY);
	assert_non_null(body);
	/* Metadata v0: no brokers; as many topics as fit, each without a name or partitions. */
	be32_put(body + 4, (BODY - 8) / 8);
	struct bytes in = bytes_of(body, BODY);
	assert_int_equal(try_decode(&wire_metadata_response, 0, in, 1 << 20, &used), ERR_LIMIT);
	assert_int_equal(try_decode(&wire_metadata_response, 0, in, 64 << 20, &used), ERR_OK);
	/* Nested: topics that each announce what all the bytes left could hold. */
	for (size_t at = 8; at + 8 <= BODY; at += 8)
		be32_put(body + at + 4, (uint32_t)((BODY - at) / 64));
	enum err e = try_decode(&wire_metadata_response, 0, in, 1 << 20, &used);
	assert_true(e == ERR_LIMIT || e == ERR_MALFORMED);
	free(body);
}

/* Every message against bodies of one repeated byte, in all versions. */
static void test_monotonous_bodies(void **state)
{
	(void)state;
	static const uint8_t fill[] = {0x00, 0x01, 0x02, 0x7f, 0x80, 0x81, 0xff};
	uint8_t body[300];
	size_t tried = 0, used;
	for (int16_t key = 0; wire_request(key) != NULL; key++) {
		const struct wire_message *both[2] = {wire_request(key), wire_response(key)};
		for (size_t i = 0; i < 2 * sizeof fill; i++) {
			const struct wire_message *m = both[i % 2];
			memset(body, fill[i / 2], sizeof body);
			for (int v = m->min_version; v <= m->max_version; v++, tried++) {
				enum err e = try_decode(m, (int16_t)v, bytes_of(body, sizeof body),
							1 << 20, &used);
				assert_true(e == ERR_OK || e == ERR_MALFORMED || e == ERR_LIMIT);
			}
		}
	}
	assert_true(tried > 3000);
}

static const struct bytes *metadata_body(struct buf *b)
{
	static struct bytes in;
	buf_put_be32(b, 40); /* brokers */
	for (uint32_t i = 0; i < 40; i++) {
		buf_put_be32(b, i);
		buf_put(b, "\0\1h", 3);
		buf_put_be32(b, 9092);
	}
	buf_put_be32(b, 40); /* topics */
	for (uint32_t i = 0; i < 40; i++) {
		buf_put(b, "\0\0\0\1t\0\0\0\1", 9);     /* no error, a name, one partition */
		buf_put(b, "\0\0\0\0\0\0\0\0\0\1", 10); /* no error, index 0, leader 1 */
		buf_put(b, "\0\0\0\1\0\0\0\1", 8);      /* replicas */
		buf_put(b, "\0\0\0\1\0\0\0\1", 8);      /* isr */
	}
	in = buf_bytes(b);
	return &in;
}

/* F20: the n-th allocation fails, n = 0, 1, 2, ... until none does. */
static void test_decoder_out_of_memory(void **state)
{
	(void)state;
	struct buf b;
	size_t used;
	buf_init(&b, 1 << 20);
	const struct bytes *in = metadata_body(&b);
	enum err e = ERR_NOMEM;
	long n;
	for (n = 0; e == ERR_NOMEM; n++) {
		calls_left = n;
		e = try_decode(&wire_metadata_response, 0, *in, 1 << 20, &used);
	}
	assert_int_equal(e, ERR_OK);
	assert_true(n > 3);
	calls_left = -1;
	/* And by the arena's maximum, a byte more each time. */
	size_t max, refusals = 0;
	for (max = 0; (e = try_decode(&wire_metadata_response, 0, *in, max, &used)) != ERR_OK;
	     max++) {
		assert_int_equal(e, ERR_LIMIT);
		refusals++;
	}
	assert_true(refusals > 1000);
	buf_fini(&b);
}

static void test_encoder_out_of_memory(void **state)
{
	(void)state;
	static uint8_t payload[64];
	struct produce_request_partition_produce_data parts[50] = {{0}};
	struct produce_request_topic_produce_data topic = {
		.name = bytes_str("orders"), .partition_data = parts, .partition_data_n = 50};
	struct produce_request r;
	struct errmsg why;
	for (int i = 0; i < 50; i++)
		parts[i].records.data = bytes_of(payload, sizeof payload);
	wire_init(&wire_produce_request, &r);
	r.topic_data = &topic;
	r.topic_data_n = 1;
	enum err e = ERR_NOMEM;
	long n;
	for (n = 0; e == ERR_NOMEM; n++) {
		struct wire_out out;
		wire_out_init(&out, 1 << 20, 32);
		calls_left = n;
		e = wire_encode(&wire_produce_request, 9, &r, &out, &why);
		calls_left = -1;
		if (e == ERR_NOMEM) {
			assert_int_equal(out.buf.len, 0);
			assert_int_equal(out.splices_n, 0);
			assert_int_equal(out.splice_bytes, 0);
			assert_non_null(strstr(why.text, "ProduceRequest v9"));
		}
		wire_out_fini(&out);
	}
	assert_int_equal(e, ERR_OK);
	assert_true(n > 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts_that_lie),
		cmocka_unit_test(test_varints_that_overflow),
		cmocka_unit_test(test_lengths_that_lie),
		cmocka_unit_test(test_tag_bombs),
		cmocka_unit_test(test_the_arena_bounds_memory),
		cmocka_unit_test(test_monotonous_bodies),
		cmocka_unit_test(test_decoder_out_of_memory),
		cmocka_unit_test(test_encoder_out_of_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
