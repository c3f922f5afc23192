/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values are random bytes, which no codec shrinks, or lines that look like JSON. They depend on the
 * seed alone, so that every broker gets the same ones.
 */
#include "tests/tools/load_batches.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "lib/base/mem.h"
#include "tests/tools/load_conn.h"

static const uint8_t MAGIC[8] = {'s', 't', 'a', 'm', 'p', 'e', 'd', ':'};

enum { BATCH_MAX = 32 << 20 };

/* splitmix64. */
static uint64_t next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void fill_random(uint8_t *p, size_t n, uint64_t *state)
{
	for (size_t i = 0; i < n; i += 8) {
		uint64_t v = next(state);
		memcpy(p + i, &v, n - i < 8 ? n - i : 8);
	}
}

static void fill_json(uint8_t *p, size_t n, uint64_t *state)
{
	static const char *const types[] = {"created", "paid", "shipped", "returned"};
	for (size_t at = 0; at < n;) {
		char item[160];
		int len = snprintf(item, sizeof item,
				   "{\"id\":\"%016" PRIx64 "\",\"type\":\"order.%s\",\"customer\":"
				   "{\"id\":%u,\"country\":\"DE\"},\"price\":%u.%02u,\"currency\":"
				   "\"EUR\"},",
				   next(state), types[next(state) % 4],
				   (unsigned)(next(state) % 1000000000),
				   (unsigned)(next(state) % 500), (unsigned)(next(state) % 100));
		size_t take = (size_t)len < n - at ? (size_t)len : n - at;
		memcpy(p + at, item, take);
		at += take;
	}
}

static void add(struct batch_builder *b, const uint8_t *value, size_t n)
{
	struct record r = {.timestamp = now_ms(), .value = bytes_of(value, n)};
	if (batch_builder_add(b, &r) != ERR_OK)
		load_die("the batch does not fit");
}

static void finish(struct batch_builder *b, struct buf *out)
{
	buf_fini(out);
	buf_init(out, BATCH_MAX);
	if (batch_builder_finish(b, out) != ERR_OK)
		load_die("the batch cannot be encoded");
	batch_builder_fini(b);
}

void load_batch_make(const struct load_shape *s, uint64_t seed, struct buf *out)
{
	struct batch_builder b;
	uint64_t state = seed;
	uint8_t *value = mem_alloc(s->record_bytes);
	if (value == NULL)
		load_die("out of memory");
	batch_builder_init(&b, s->codec, BATCH_MAX);
	for (int32_t i = 0; i < s->records; i++) {
		if (s->values == LOAD_VALUES_JSON)
			fill_json(value, s->record_bytes, &state);
		else
			fill_random(value, s->record_bytes, &state);
		add(&b, value, s->record_bytes);
	}
	finish(&b, out);
	mem_free(value);
}

void load_batch_stamped(size_t record_bytes, uint64_t stamp, struct buf *out)
{
	struct batch_builder b;
	uint64_t state = stamp;
	uint8_t *value = mem_alloc(record_bytes);
	if (value == NULL || record_bytes < 16)
		load_die("a stamped record takes 16 bytes");
	fill_random(value, record_bytes, &state);
	memcpy(value, MAGIC, sizeof MAGIC);
	be64_put(value + sizeof MAGIC, stamp);
	batch_builder_init(&b, CODEC_NONE, BATCH_MAX);
	add(&b, value, record_bytes);
	finish(&b, out);
	mem_free(value);
}

bool load_batch_stamp(struct bytes whole, size_t *at, uint64_t *stamp)
{
	const uint8_t *from = whole.p + (*at > BATCH_HEAD ? *at : BATCH_HEAD),
		      *end = whole.p + whole.n;
	const uint8_t *found =
		from < end ? memmem(from, (size_t)(end - from), MAGIC, sizeof MAGIC) : NULL;
	if (found == NULL || (size_t)(end - found) < sizeof MAGIC + 8)
		return false;
	*stamp = be64_get(found + sizeof MAGIC);
	*at = (size_t)(found - whole.p) + sizeof MAGIC + 8;
	return true;
}
