/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes the message codec: whatever decodes must encode, in at most one round, to bytes that
 * decode and encode to themselves. fuzz_wire.h describes the input; wire_seeds.c makes the seeds.
 */
#include "tests/fuzz/fuzz_wire.h"

#include <assert.h>

#include "lib/wire/layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA_MAX = 4 << 20, OUT_MAX = 4 << 20, MSG_MAX = 1024 };

/* Decode, and encode what came out; false if it is malformed. */
static bool recode(const struct wire_message *m, int16_t version, struct bytes body,
		   struct wire_out *out)
{
	_Alignas(16) uint8_t msg[MSG_MAX];
	struct errmsg why;
	struct arena a;

	assert(m->body->size <= sizeof msg);
	wire_out_init(out, OUT_MAX, 0);
	arena_init(&a, ARENA_MAX);
	bool ok = wire_decode(m, version, body, &a, msg, &why) == ERR_OK;
	if (ok) {
		enum err e = wire_encode(m, version, msg, out, &why);
		assert(e == ERR_OK);
	}
	assert(a.used <= ARENA_MAX);
	arena_fini(&a);
	return ok;
}

static void check(const struct wire_message *m, int16_t version, struct bytes body)
{
	struct wire_out once, twice;
	if (m == NULL)
		return;
	if (recode(m, version, body, &once)) {
		bool ok = recode(m, version, buf_bytes(&once.buf), &twice);
		assert(ok);
		assert(bytes_eq(buf_bytes(&once.buf), buf_bytes(&twice.buf)));
		wire_out_fini(&twice);
	}
	wire_out_fini(&once);
}

static void check_request(struct bytes frame)
{
	struct wire_request_header h;
	size_t used;
	if (wire_get_request_header(frame, &h, &used, NULL) != ERR_OK)
		return;
	assert(used <= frame.n);
	check(wire_request(h.api_key), h.api_version, bytes_of(frame.p + used, frame.n - used));
}

static void check_response(int16_t api_key, int16_t version, struct bytes frame)
{
	int32_t id;
	size_t used;
	if (wire_get_response_header(frame, api_key, version, &id, &used, NULL) != ERR_OK)
		return;
	assert(used <= frame.n);
	check(wire_response(api_key), version, bytes_of(frame.p + used, frame.n - used));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 4)
		return 0;
	uint16_t number = be16_get(data + 1);
	int16_t version = (int8_t)data[3];
	if (data[0] == FUZZ_WIRE_REQUEST)
		check_request(bytes_of(data + 1, size - 1));
	else if (data[0] == FUZZ_WIRE_RESPONSE)
		check_response((int16_t)number, version, bytes_of(data + 4, size - 4));
	else if (data[0] == FUZZ_WIRE_MESSAGE)
		check(wire_message_at(number), version, bytes_of(data + 4, size - 4));
	return 0;
}
