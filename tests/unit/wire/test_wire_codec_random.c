/* SPDX-License-Identifier: Apache-2.0 */
/* Properties that hold for every message in every version, on random values. A failure prints
 * FARSHORE_SEED: put it into the environment to repeat the run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/wire/message.h"

enum { ARENA_MAX = 16 << 20, OUT_MAX = 16 << 20, ROUNDS = 8 };

static struct message_rng rng;

static void round_trip(const struct wire_message *m, int16_t version)
{
	struct arena a;
	struct errmsg why = {{0}};
	struct wire_out out, again;
	arena_init(&a, ARENA_MAX);
	wire_out_init(&out, OUT_MAX, 0);
	wire_out_init(&again, OUT_MAX, 0);

	void *msg = message_new(m, version, &a, &rng);
	void *back = arena_zalloc(&a, 1, m->body->size);
	assert_non_null(msg);
	assert_non_null(back);
	memset(back, 0xa5, m->body->size); /* the decoder sets every field */
	if (wire_encode(m, version, msg, &out, &why) != ERR_OK)
		fail_msg("%s", why.text);
	if (wire_decode(m, version, buf_bytes(&out.buf), &a, back, &why) != ERR_OK)
		fail_msg("%s", why.text);
	if (!message_eq(m, msg, back))
		fail_msg("%s v%d: another message comes back", m->name, version);
	assert_int_equal(wire_encode(m, version, back, &again, &why), ERR_OK);
	assert_true(bytes_eq(buf_bytes(&out.buf), buf_bytes(&again.buf)));

	wire_out_fini(&again);
	wire_out_fini(&out);
	arena_fini(&a);
}

static void test_random_messages_come_back(void **state)
{
	(void)state;
	size_t pairs = 0;
	const struct wire_message *m;
	for (size_t i = 0; (m = wire_message_at(i)) != NULL; i++) {
		for (int v = m->min_version; v <= m->max_version; v++, pairs++) {
			for (int round = 0; round < ROUNDS; round++)
				round_trip(m, (int16_t)v);
		}
	}
	printf("%zu pairs of message and version\n", pairs);
	assert_true(pairs > 500);
}

/* Cut anywhere, a random message is refused; with a byte too many as well. */
static void cut_and_stretch(const struct wire_message *m, int16_t version)
{
	struct arena a;
	struct wire_out out;
	struct errmsg why;
	arena_init(&a, ARENA_MAX);
	wire_out_init(&out, OUT_MAX, 0);
	void *msg = message_new(m, version, &a, &rng);
	void *back = arena_zalloc(&a, 1, m->body->size);
	assert_non_null(msg);
	assert_non_null(back);
	assert_int_equal(wire_encode(m, version, msg, &out, &why), ERR_OK);

	size_t n = out.buf.len, step = n / 64 + 1;
	for (size_t cut = 0; cut < n; cut += step) {
		uint8_t *copy = malloc(cut + 1);
		memcpy(copy, out.buf.p, cut);
		assert_int_equal(wire_decode(m, version, bytes_of(copy, cut), &a, back, &why),
				 ERR_MALFORMED);
		free(copy);
	}
	buf_put_u8(&out.buf, 0);
	assert_int_equal(wire_decode(m, version, buf_bytes(&out.buf), &a, back, &why),
			 ERR_MALFORMED);
	size_t used;
	assert_int_equal(wire_decode_prefix(m, version, buf_bytes(&out.buf), &a, back, &used, &why),
			 ERR_OK);
	assert_int_equal(used, n);
	wire_out_fini(&out);
	arena_fini(&a);
}

static void test_cut_messages_are_refused(void **state)
{
	(void)state;
	const struct wire_message *m;
	for (size_t i = 0; (m = wire_message_at(i)) != NULL; i++) {
		for (int v = m->min_version; v <= m->max_version; v++)
			cut_and_stretch(m, (int16_t)v);
	}
}

static void test_defaults_are_encodable_in_every_version(void **state)
{
	(void)state;
	const struct wire_message *m;
	for (size_t i = 0; (m = wire_message_at(i)) != NULL; i++) {
		for (int v = m->min_version; v <= m->max_version; v++) {
			struct arena a;
			struct wire_out out;
			struct errmsg why;
			arena_init(&a, ARENA_MAX);
			wire_out_init(&out, OUT_MAX, 0);
			void *msg = arena_zalloc(&a, 1, m->body->size);
			void *back = arena_zalloc(&a, 1, m->body->size);
			wire_init(m, msg);
			enum err e = wire_encode(m, (int16_t)v, msg, &out, &why);
			if (e != ERR_OK)
				fail_msg("%s", why.text);
			assert_int_equal(
				wire_decode(m, (int16_t)v, buf_bytes(&out.buf), &a, back, &why),
				ERR_OK);
			assert_true(message_eq(m, msg, back));
			wire_out_fini(&out);
			arena_fini(&a);
		}
	}
}

/* A field that a version lacks is refused by name when it is set, or dropped if ignorable. */
static size_t absent_fields(const struct wire_message *m, int16_t version)
{
	size_t tried = 0;
	struct arena a;
	struct wire_out empty;
	struct errmsg why;
	arena_init(&a, ARENA_MAX);
	wire_out_init(&empty, OUT_MAX, 0);
	void *msg = arena_zalloc(&a, 1, m->body->size);
	wire_init(m, msg);
	assert_int_equal(wire_encode(m, version, msg, &empty, &why), ERR_OK);
	for (size_t i = 0; i < m->body->fields_n; i++) {
		const struct wire_field *f = &m->body->fields[i];
		bool plain_struct = f->type == WIRE_STRUCT && !f->array && !wire_field_optional(f);
		if (wire_versions_has(f->versions, version) || plain_struct)
			continue;
		struct wire_out out;
		wire_out_init(&out, OUT_MAX, 0);
		message_spoil(f, msg, &a);
		enum err e = wire_encode(m, version, msg, &out, &why);
		assert_int_equal(e, f->ignorable ? ERR_OK : ERR_UNSUPPORTED);
		if (e == ERR_OK)
			assert_true(bytes_eq(buf_bytes(&out.buf), buf_bytes(&empty.buf)));
		else
			assert_non_null(strstr(why.text, f->name));
		wire_init(m, msg);
		wire_out_fini(&out);
		tried++;
	}
	wire_out_fini(&empty);
	arena_fini(&a);
	return tried;
}

static void test_fields_that_a_version_lacks(void **state)
{
	(void)state;
	size_t tried = 0;
	const struct wire_message *m;
	for (size_t i = 0; (m = wire_message_at(i)) != NULL; i++) {
		for (int v = m->min_version; v <= m->max_version; v++)
			tried += absent_fields(m, (int16_t)v);
	}
	printf("%zu fields that a version lacks\n", tried);
	assert_true(tried > 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_messages_come_back),
		cmocka_unit_test(test_cut_messages_are_refused),
		cmocka_unit_test(test_defaults_are_encodable_in_every_version),
		cmocka_unit_test(test_fields_that_a_version_lacks),
	};
	rng.state = message_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
