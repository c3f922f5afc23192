/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The codec against frames of Apache Kafka 4.1 and its clients (fixtures/frames.txt): the same
 * bytes come back, and no damage to them does harm. Faults F11 (length cut at each byte), attacks
 * "arrays and varints" and "malicious broker".
 *
 * DAMAGE (from CMake) is how many values each byte is changed to: all 255 others in release builds,
 * a few where sanitizers make every decode slow.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/wire/layout.h"
#include "lib/wire/messages.h"
#include "tests/unit/wire/frames.h"

enum { ARENA_MAX = 1 << 20, OUT_MAX = 1 << 20 };

static struct frames frames;

static int setup(void **state)
{
	(void)state;
	frames = frames_load(TEST_DATA "/frames.txt");
	return frames.n == 0;
}

static int teardown(void **state)
{
	(void)state;
	frames_free(&frames);
	return 0;
}

/* What decoding one frame came to. */
struct result {
	enum err err;
	size_t header_n;
	struct errmsg why;
};

/* Decode a frame; if it is valid, encode it into `out`, which must work and, where `twice`, decode
 * and encode to the same bytes again. */
static struct result recode(const struct frames_item *f, struct wire_out *out, bool twice)
{
	struct result r = {.err = ERR_OK};
	const struct wire_message *m = frames_message(f);
	_Alignas(16) uint8_t msg[1024];
	struct arena a;

	assert_non_null(m);
	assert_true(m->body->size <= sizeof msg);
	r.err = frames_header(f, &r.header_n, &r.why);
	if (r.err != ERR_OK)
		return r;
	arena_init(&a, ARENA_MAX);
	struct bytes body = bytes_of(f->data + r.header_n, f->n - r.header_n);
	r.err = wire_decode(m, f->version, body, &a, msg, &r.why);
	if (r.err == ERR_OK) {
		buf_clear(&out->buf);
		assert_int_equal(wire_encode(m, f->version, msg, out, &r.why), ERR_OK);
	}
	arena_fini(&a);
	if (r.err != ERR_OK || !twice)
		return r;

	struct wire_out again;
	wire_out_init(&again, OUT_MAX, 0);
	arena_init(&a, ARENA_MAX);
	assert_int_equal(wire_decode(m, f->version, buf_bytes(&out->buf), &a, msg, &r.why), ERR_OK);
	assert_int_equal(wire_encode(m, f->version, msg, &again, &r.why), ERR_OK);
	assert_true(bytes_eq(buf_bytes(&again.buf), buf_bytes(&out->buf)));
	arena_fini(&a);
	wire_out_fini(&again);
	return r;
}

static void test_frames_come_back_byte_for_byte(void **state)
{
	(void)state;
	struct wire_out out;
	wire_out_init(&out, OUT_MAX, 0);
	for (size_t i = 0; i < frames.n; i++) {
		const struct frames_item *f = &frames.items[i];
		struct result r = recode(f, &out, true);
		if (r.err != ERR_OK)
			fail_msg("frame %zu: %s", i + 1, r.why.text);
		if (out.buf.len != f->n - r.header_n ||
		    memcmp(out.buf.p, f->data + r.header_n, out.buf.len) != 0)
			fail_msg("frame %zu: other bytes come back", i + 1);
	}
	wire_out_fini(&out);
	assert_int_equal(frames.n, 367);
}

static void test_headers_come_back_byte_for_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < frames.n; i++) {
		const struct frames_item *f = &frames.items[i];
		struct bytes in = bytes_of(f->data, f->n);
		struct wire_request_header h;
		struct wire_out out;
		int32_t id;
		size_t used;
		wire_out_init(&out, OUT_MAX, 0);
		if (f->request) {
			assert_int_equal(wire_get_request_header(in, &h, &used, NULL), ERR_OK);
			assert_int_equal(h.api_key, f->api_key);
			assert_int_equal(h.api_version, f->version);
			wire_put_request_header(&h, &out);
		} else {
			assert_int_equal(wire_get_response_header(in, f->api_key, f->version, &id,
								  &used, NULL),
					 ERR_OK);
			wire_put_response_header(f->api_key, f->version, id, &out);
		}
		assert_int_equal(out.buf.err, ERR_OK);
		assert_true(bytes_eq(buf_bytes(&out.buf), bytes_of(f->data, used)));
		wire_out_fini(&out);
	}
}

/* A proper prefix of a frame is never a frame: every byte counts. */
static void test_every_prefix_is_refused(void **state)
{
	(void)state;
	size_t tried = 0;
	struct wire_out out;
	wire_out_init(&out, OUT_MAX, 0);
	for (size_t i = 0; i < frames.n; i++) {
		for (size_t n = 0; n < frames.items[i].n; n++) {
			struct frames_item f = frames.items[i];
			f.n = n;
			f.data = malloc(n); /* of its own: an overrun is seen */
			memcpy(f.data, frames.items[i].data, n);
			struct result r = recode(&f, &out, false);
			free(f.data);
			if (r.err != ERR_MALFORMED)
				fail_msg("frame %zu cut at %zu gives %s", i + 1, n,
					 err_name(r.err));
			assert_true(r.why.text[0] != '\0');
			tried++;
		}
	}
	wire_out_fini(&out);
	printf("%zu prefixes\n", tried);
	assert_true(tried > 40000);
}

/* The k-th of the values to change a byte to: single bits and edges first. */
static uint8_t damage(uint8_t byte, unsigned k)
{
	static const uint8_t flips[] = {0x80, 0x01, 0xff, 0x7f, 0x40, 0x02};
	if (DAMAGE == 255)
		return (uint8_t)(byte + 1 + k);
	return byte ^ flips[k % sizeof flips];
}

static void test_every_damaged_byte_ends_cleanly(void **state)
{
	(void)state;
	size_t tried = 0, valid = 0;
	struct wire_out out;
	wire_out_init(&out, OUT_MAX, 0);
	for (size_t i = 0; i < frames.n; i++) {
		struct frames_item *f = &frames.items[i];
		for (size_t at = 0; at < f->n; at++) {
			uint8_t before = f->data[at];
			for (unsigned k = 0; k < DAMAGE; k++) {
				f->data[at] = damage(before, k);
				struct result r = recode(f, &out, k == 0);
				tried++;
				valid += r.err == ERR_OK;
				if (r.err != ERR_OK && r.err != ERR_MALFORMED &&
				    r.err != ERR_UNSUPPORTED && r.err != ERR_LIMIT)
					fail_msg("frame %zu, byte %zu: %s", i + 1, at,
						 err_name(r.err));
			}
			f->data[at] = before;
		}
	}
	wire_out_fini(&out);
	printf("%zu changes, %zu of them valid messages\n", tried, valid);
	assert_true(tried > 40000u * DAMAGE);
	assert_true(valid > 0 && valid < tried);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frames_come_back_byte_for_byte),
		cmocka_unit_test(test_headers_come_back_byte_for_byte),
		cmocka_unit_test(test_every_prefix_is_refused),
		cmocka_unit_test(test_every_damaged_byte_ends_cleanly),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
