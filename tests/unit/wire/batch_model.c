/* SPDX-License-Identifier: Apache-2.0 */
/* Written plainly on purpose: what it computes is what the library must compute. */
#include "tests/unit/wire/batch_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "batch_model: %s\n", what);
	abort();
}

struct rnd rnd_new(void)
{
	const char *text = getenv("FARSHORE_SEED");
	struct rnd r = {.state = text != NULL ? strtoull(text, NULL, 0) : (uint64_t)time(NULL)};

	printf("FARSHORE_SEED=%llu\n", (unsigned long long)r.state);
	fflush(stdout);
	return r;
}

/* splitmix64 */
uint64_t rnd_next(struct rnd *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

uint32_t rnd_below(struct rnd *r, uint32_t n)
{
	return (uint32_t)(rnd_next(r) >> 32) % n;
}

bool rnd_one_in(struct rnd *r, uint32_t n)
{
	return rnd_below(r, n) == 0;
}

void rnd_fill(struct rnd *r, uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)rnd_next(r);
}

void model_list_add(struct model_list *l, const struct record *r)
{
	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 16 : l->cap * 2;
		l->v = realloc(l->v, l->cap * sizeof *l->v);
		must(l->v != NULL, "out of memory");
	}
	l->v[l->n++] = *r;
}

void model_list_free(struct model_list *l)
{
	free(l->v);
	*l = (struct model_list){0};
}

/* Bytes that compress a little, or the null slice. */
static struct bytes model_field(struct rnd *rnd, struct arena *a, uint32_t size)
{
	uint32_t n = rnd_one_in(rnd, 8) ? 0 : rnd_below(rnd, size + 1);

	if (rnd_one_in(rnd, 8))
		return (struct bytes){0};
	uint8_t *p = arena_zalloc(a, n + 1, 1);
	must(p != NULL, "arena");
	for (uint32_t i = 0; i < n; i++)
		p[i] = rnd_one_in(rnd, 3) ? (uint8_t)rnd_next(rnd) : (uint8_t)('a' + i % 7);
	return bytes_of(p, n);
}

static void put_varint(struct buf *out, int64_t v)
{
	uint64_t u = v < 0 ? (uint64_t)~v * 2 + 1 : (uint64_t)v * 2;

	while (u > 127) {
		buf_put_u8(out, (uint8_t)(u % 128 + 128));
		u /= 128;
	}
	buf_put_u8(out, (uint8_t)u);
}

static void put_field(struct buf *out, struct bytes f)
{
	put_varint(out, f.p == NULL ? -1 : (int64_t)f.n);
	buf_put(out, f.p, f.n);
}

struct record model_record(struct rnd *rnd, struct arena *a, int8_t magic, uint32_t size)
{
	struct record r = {.timestamp = 1700000000000 + rnd_below(rnd, 100000)};
	struct buf headers;

	if (rnd_one_in(rnd, 50))
		r.timestamp = (int64_t)rnd_next(rnd);
	if (magic == 0)
		r.timestamp = -1;
	r.key = model_field(rnd, a, size / 4);
	r.value = model_field(rnd, a, size);
	if (magic < 2 || !rnd_one_in(rnd, 3))
		return r;
	buf_init(&headers, 1 << 20);
	r.headers_n = (int32_t)rnd_below(rnd, 4);
	for (int32_t i = 0; i < r.headers_n; i++) {
		struct bytes key = model_field(rnd, a, 10);
		put_field(&headers, key.p == NULL ? bytes_str("") : key);
		put_field(&headers, model_field(rnd, a, 10));
	}
	uint8_t *copy = arena_zalloc(a, headers.len + 1, 1);
	must(copy != NULL && headers.err == ERR_OK, "arena");
	if (headers.len > 0)
		memcpy(copy, headers.p, headers.len);
	r.headers = bytes_of(copy, headers.len);
	buf_fini(&headers);
	return r;
}

static uint32_t crc_bitwise(uint32_t poly, const uint8_t *p, size_t n)
{
	uint32_t crc = 0xffffffff;

	for (size_t i = 0; i < n; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = (crc & 1) != 0 ? crc >> 1 ^ poly : crc >> 1;
	}
	return ~crc;
}

uint32_t model_crc32c(const uint8_t *p, size_t n)
{
	return crc_bitwise(0x82f63b78, p, n);
}

void model_seal(uint8_t *whole, size_t n)
{
	if (n >= 61 && whole[16] == 2)
		be32_put(whole + 17, model_crc32c(whole + 21, n - 21));
	else if (n >= 18)
		be32_put(whole + 12, crc_bitwise(0xedb88320, whole + 16, n - 16));
}

static void compress(enum batch_codec codec, const struct buf *in, struct buf *out)
{
	must(in->err == ERR_OK && codec_compress(codec, buf_bytes(in), out) == ERR_OK, "compress");
}

static void encode_v2(const struct record *v, size_t n, const struct model_style *s,
		      struct buf *out)
{
	struct buf plain, one;
	size_t start = out->len;
	int64_t base = v[0].offset - s->offsets_before;
	int64_t base_time = s->horizon ? 1700000050000 : v[0].timestamp;
	int64_t max_time = v[0].timestamp;
	int attributes = (int)s->codec;

	buf_init(&plain, 1 << 26);
	buf_init(&one, 1 << 26);
	for (size_t i = 0; i < n; i++) {
		buf_clear(&one);
		buf_put_u8(&one, 0);
		put_varint(&one, (int64_t)((uint64_t)v[i].timestamp - (uint64_t)base_time));
		put_varint(&one, v[i].offset - base);
		put_field(&one, v[i].key);
		put_field(&one, v[i].value);
		put_varint(&one, v[i].headers_n);
		buf_put(&one, v[i].headers.p, v[i].headers.n);
		put_varint(&plain, (int64_t)one.len);
		buf_put(&plain, one.p, one.len);
		max_time = v[i].timestamp > max_time ? v[i].timestamp : max_time;
	}
	attributes |= s->log_append_time ? 0x08 : 0;
	attributes |= s->transactional ? 0x10 : 0;
	attributes |= s->horizon ? 0x40 : 0;
	buf_put_be64(out, (uint64_t)base);
	buf_put_be32(out, 0);
	buf_put_be32(out, 7); /* leader epoch */
	buf_put_u8(out, 2);
	buf_put_be32(out, 0);
	buf_put_be16(out, (uint16_t)attributes);
	buf_put_be32(out, (uint32_t)(v[n - 1].offset - base + s->offsets_behind));
	buf_put_be64(out, (uint64_t)base_time);
	buf_put_be64(out, (uint64_t)(s->log_append_time ? s->append_time : max_time));
	buf_put_be64(out, 4711);
	buf_put_be16(out, 3);
	buf_put_be32(out, 100);
	buf_put_be32(out, (uint32_t)n);
	compress(s->codec, &plain, out);
	must(out->err == ERR_OK, "encode");
	be32_put(out->p + start + 8, (uint32_t)(out->len - start - 12));
	model_seal(out->p + start, out->len - start);
	buf_fini(&plain);
	buf_fini(&one);
}

static void put_old_field(struct buf *out, struct bytes f)
{
	buf_put_be32(out, f.p == NULL ? UINT32_MAX : (uint32_t)f.n);
	buf_put(out, f.p, f.n);
}

static void encode_entry(const struct record *r, int64_t offset, int8_t magic, int attributes,
			 struct buf *out)
{
	size_t start = out->len;

	buf_put_be64(out, (uint64_t)offset);
	buf_put_be32(out, 0);
	buf_put_be32(out, 0);
	buf_put_u8(out, (uint8_t)magic);
	buf_put_u8(out, (uint8_t)attributes);
	if (magic == 1)
		buf_put_be64(out, (uint64_t)r->timestamp);
	put_old_field(out, r->key);
	put_old_field(out, r->value);
	must(out->err == ERR_OK, "encode");
	be32_put(out->p + start + 8, (uint32_t)(out->len - start - 12));
	model_seal(out->p + start, out->len - start);
}

static void encode_old(const struct record *v, size_t n, const struct model_style *s,
		       struct buf *out)
{
	int stamp = s->log_append_time ? 0x08 : 0;
	struct buf plain, packed;

	if (s->codec == CODEC_NONE) {
		for (size_t i = 0; i < n; i++) {
			struct record r = v[i];
			r.timestamp = s->log_append_time ? s->append_time : r.timestamp;
			encode_entry(&r, r.offset, s->magic, stamp, out);
		}
		return;
	}
	buf_init(&plain, 1 << 26);
	buf_init(&packed, 1 << 26);
	for (size_t i = 0; i < n; i++)
		encode_entry(&v[i], s->magic == 1 ? v[i].offset - v[0].offset : v[i].offset,
			     s->magic, 0, &plain);
	compress(s->codec, &plain, &packed);
	if (s->broken_lz4)
		packed.p[6] = (uint8_t)(packed.p[6] + 1);
	struct record wrapper = {
		.timestamp = s->log_append_time ? s->append_time : v[n - 1].timestamp,
		.value = buf_bytes(&packed),
	};
	encode_entry(&wrapper, v[n - 1].offset, s->magic, (int)s->codec | stamp, out);
	buf_fini(&plain);
	buf_fini(&packed);
}

void model_encode(const struct record *v, size_t n, const struct model_style *s, struct buf *out)
{
	if (s->magic == 2)
		encode_v2(v, n, s, out);
	else
		encode_old(v, n, s, out);
}

static int hex_digit(int c)
{
	return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* Read a field of hex up to a blank, a comma, "=" or the end of the line. */
static struct bytes read_hex(struct arena *a, const char **at)
{
	size_t n = strcspn(*at, " ,=\n");
	const char *p = *at;

	*at += n;
	if (*p == '-')
		return (struct bytes){0};
	if (*p == '.')
		return bytes_of("", 0);
	uint8_t *out = arena_zalloc(a, n / 2, 1);
	must(out != NULL && n % 2 == 0, "batches.txt: hex");
	for (size_t i = 0; i < n / 2; i++)
		out[i] = (uint8_t)(hex_digit(p[2 * i]) * 16 + hex_digit(p[2 * i + 1]));
	return bytes_of(out, n / 2);
}

static void read_record(struct arena *a, const char *at, struct model_list *l)
{
	struct record r = {0};
	struct buf headers;
	char *end;

	r.offset = strtoll(at, &end, 10);
	r.timestamp = strtoll(end, &end, 10);
	at = end + 1;
	r.key = read_hex(a, &at);
	at++;
	r.value = read_hex(a, &at);
	at++;
	buf_init(&headers, 1 << 16);
	while (*at != '-' && *at != '\n') {
		put_field(&headers, read_hex(a, &at));
		at++;
		put_field(&headers, read_hex(a, &at));
		at += *at == ',';
		r.headers_n++;
	}
	uint8_t *copy = arena_zalloc(a, headers.len + 1, 1);
	must(copy != NULL, "arena");
	if (headers.len > 0)
		memcpy(copy, headers.p, headers.len);
	r.headers = bytes_of(copy, headers.len);
	buf_fini(&headers);
	model_list_add(l, &r);
}

struct fixtures fixtures_load(void)
{
	struct fixtures f = {0};
	FILE *in = fopen(TEST_DATA "/batches.txt", "r");
	char *line = NULL;
	size_t cap = 0;

	must(in != NULL, "cannot read batches.txt");
	arena_init(&f.arena, 1 << 24);
	while (getline(&line, &cap, in) > 0) {
		if (strncmp(line, "record ", 7) == 0) {
			must(f.n > 0, "batches.txt: a record before a batch");
			read_record(&f.arena, line + 7, &f.v[f.n - 1].records);
			continue;
		}
		must(strncmp(line, "batch ", 6) == 0, "batches.txt: bad line");
		f.v = realloc(f.v, (f.n + 1) * sizeof *f.v);
		must(f.v != NULL, "out of memory");
		struct fixture_batch *b = &f.v[f.n++];
		*b = (struct fixture_batch){0};
		const char *at = line + 6;
		size_t n = strcspn(at, " ");
		snprintf(b->name, sizeof b->name, "%.*s", (int)n, at);
		at += n + 1;
		struct bytes hex = read_hex(&f.arena, &at);
		uint8_t *own = malloc(hex.n);
		must(own != NULL, "out of memory");
		memcpy(own, hex.p, hex.n);
		b->whole = bytes_of(own, hex.n);
	}
	free(line);
	fclose(in);
	return f;
}

void fixtures_free(struct fixtures *f)
{
	for (size_t i = 0; i < f->n; i++) {
		free((void *)(uintptr_t)f->v[i].whole.p);
		model_list_free(&f->v[i].records);
	}
	free(f->v);
	arena_fini(&f->arena);
}

const struct fixture_batch *fixtures_find(const struct fixtures *f, const char *name)
{
	for (size_t i = 0; i < f->n; i++)
		if (strcmp(f->v[i].name, name) == 0)
			return &f->v[i];
	must(false, name);
	return NULL;
}
