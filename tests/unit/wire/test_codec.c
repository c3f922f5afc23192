/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compression as Kafka frames it: round trips, foreign framings, damage at every byte, and bombs
 * (gzip, zstd, lz4, snappy), which must end at the limit with little memory taken.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <cmocka.h>
#include <snappy-c.h>

#include "lib/wire/records.h"
#include "tests/unit/wire/batch_model.h"

static const enum batch_codec packers[] = {CODEC_GZIP, CODEC_SNAPPY, CODEC_LZ4, CODEC_ZSTD};
enum { PACKERS = sizeof packers / sizeof *packers };

/* Input ends at the end of this, where a page begins that nobody may touch: the libraries are not
 * built with ASan. */
enum { GUARDED = 16 << 20, PAGE = 4096 };

static uint8_t *guarded;

static int set_up(void **state)
{
	(void)state;
	guarded = mmap(NULL, GUARDED + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);
	if (guarded == MAP_FAILED)
		return -1;
	return mprotect(guarded + GUARDED, PAGE, PROT_NONE);
}

/* Decompress from memory that ends behind the input; the result replaces `out`. */
static enum err unpack(enum batch_codec codec, int8_t magic, struct bytes in, struct buf *out,
		       struct errmsg *why)
{
	assert_true(in.n <= GUARDED);
	uint8_t *at = guarded + GUARDED - in.n;
	if (in.n > 0)
		memcpy(at, in.p, in.n);
	buf_clear(out);
	enum err e = codec_decompress(codec, magic, bytes_of(at, in.n), out, why);
	assert_true(out->len <= out->max && out->cap <= out->max);
	return e;
}

static void test_round_trip(void **state)
{
	static const size_t sizes[] = {0, 1, 7, 100, 32767, 32768, 32769, 65536, 300000, 5000000};
	struct rnd rnd = rnd_new();
	uint8_t *plain = malloc(5000000);
	struct buf packed, out;

	(void)state;
	assert_non_null(plain);
	buf_init(&packed, 1 << 24);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes * 2; i++) {
		size_t n = sizes[i / 2];
		if (i % 2 == 0)
			rnd_fill(&rnd, plain, n);
		else
			memset(plain, 'z', n);
		for (int c = -1; c < PACKERS; c++) {
			enum batch_codec codec = c < 0 ? CODEC_NONE : packers[c];
			buf_clear(&packed);
			buf_put_str(&packed, "before");
			assert_int_equal(codec_compress(codec, bytes_of(plain, n), &packed),
					 ERR_OK);
			/* The limit may be met exactly. */
			buf_init(&out, n);
			struct bytes in = bytes_of(packed.p + 6, packed.len - 6);
			assert_int_equal(unpack(codec, 2, in, &out, NULL), ERR_OK);
			assert_int_equal(out.len, n);
			if (n > 0)
				assert_memory_equal(out.p, plain, n);
			buf_fini(&out);
			if (n == 0)
				continue;
			buf_init(&out, n - 1);
			assert_int_equal(unpack(codec, 2, in, &out, NULL), ERR_LIMIT);
			buf_fini(&out);
		}
	}
	buf_fini(&packed);
	free(plain);
}

/* Levels are obeyed: more work, fewer bytes, and all of them can be read. */
static void test_levels(void **state)
{
	static const struct {
		enum batch_codec codec;
		int low, high;
	} cases[] = {{CODEC_GZIP, 1, 9}, {CODEC_LZ4, 1, 12}, {CODEC_ZSTD, -10, 19}};
	enum { N = 200000 };
	struct rnd rnd = rnd_new();
	uint8_t *plain = malloc(N);
	struct buf low, high, back;

	(void)state;
	assert_non_null(plain);
	rnd_fill(&rnd, plain, N);
	for (size_t i = 0; i < N; i++) /* words of few letters, which repeat far apart */
		plain[i] = (uint8_t)(i % 7 == 0 ? ' ' : 'a' + plain[i] % 4);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		buf_init(&low, N * 2);
		buf_init(&high, N * 2);
		assert_int_equal(
			codec_compress_at(cases[i].codec, cases[i].low, bytes_of(plain, N), &low),
			ERR_OK);
		assert_int_equal(
			codec_compress_at(cases[i].codec, cases[i].high, bytes_of(plain, N), &high),
			ERR_OK);
		assert_true(high.len < low.len);
		buf_init(&back, N);
		assert_int_equal(unpack(cases[i].codec, 2, buf_bytes(&high), &back, NULL), ERR_OK);
		assert_true(bytes_eq(buf_bytes(&back), bytes_of(plain, N)));
		buf_fini(&back);
		buf_fini(&low);
		buf_fini(&high);
	}
	free(plain);
}

/* A full buffer is told, also when it was full before; but the buffer need not fit the worst case
 * of what compresses well. */
static void test_compress_limit(void **state)
{
	struct rnd rnd = rnd_new();
	uint8_t plain[1000];
	struct buf out;

	(void)state;
	rnd_fill(&rnd, plain, sizeof plain);
	for (int c = 0; c < PACKERS; c++) {
		buf_init(&out, 20);
		assert_int_equal(codec_compress(packers[c], bytes_of(plain, sizeof plain), &out),
				 ERR_LIMIT);
		assert_int_equal(codec_compress(packers[c], bytes_of(plain, 1), &out), ERR_LIMIT);
		buf_fini(&out);
	}
	uint8_t *zeros = calloc(1, 1 << 24);
	assert_non_null(zeros);
	for (int c = 0; c < PACKERS; c++) {
		buf_init(&out, 1 << 20);
		assert_int_equal(codec_compress(packers[c], bytes_of(zeros, 1 << 24), &out),
				 ERR_OK);
		buf_fini(&out);
	}
	free(zeros);
	buf_init(&out, 100);
	assert_int_equal(codec_compress((enum batch_codec)5, bytes_of(plain, 1), &out),
			 ERR_UNSUPPORTED);
	assert_int_equal(codec_decompress((enum batch_codec)7, 2, bytes_of(plain, 1), &out, NULL),
			 ERR_UNSUPPORTED);
	buf_fini(&out);
}

/* Streams without an end mark (snappy) may be cut between two blocks; all others never. */
static void test_cut_anywhere(void **state)
{
	struct rnd rnd = rnd_new();
	static uint8_t plain[40000];
	struct buf packed, out;

	(void)state;
	for (size_t i = 0; i < sizeof plain; i++)
		plain[i] = rnd_one_in(&rnd, 200) ? (uint8_t)rnd_next(&rnd) : 'x';
	buf_init(&packed, 1 << 20);
	buf_init(&out, sizeof plain);
	for (int c = 0; c < PACKERS; c++) {
		buf_clear(&packed);
		assert_int_equal(codec_compress(packers[c], bytes_of(plain, sizeof plain), &packed),
				 ERR_OK);
		for (size_t cut = 0; cut < packed.len; cut++) {
			enum err e = unpack(packers[c], 2, bytes_of(packed.p, cut), &out, NULL);
			if (packers[c] == CODEC_SNAPPY && e == ERR_OK)
				assert_int_equal(out.len % 32768, 0);
			else
				assert_int_equal(e, ERR_MALFORMED);
		}
	}
	buf_fini(&packed);
	buf_fini(&out);
}

/* Null is nothing, and nothing is no stream. */
static void test_null(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 100);
	for (int c = 0; c < PACKERS; c++)
		assert_int_equal(codec_decompress(packers[c], 0, (struct bytes){0}, &out, NULL),
				 ERR_MALFORMED);
	assert_int_equal(codec_decompress(CODEC_NONE, 2, (struct bytes){0}, &out, NULL), ERR_OK);
	assert_int_equal(out.len, 0);
	buf_fini(&out);
}

/* Any single byte may change: an error or other bytes, within the limit. */
static void test_flip_anywhere(void **state)
{
	struct rnd rnd = rnd_new();
	static uint8_t plain[3000];
	struct buf packed, out;

	(void)state;
	for (size_t i = 0; i < sizeof plain; i++)
		plain[i] = rnd_one_in(&rnd, 20) ? (uint8_t)rnd_next(&rnd) : (uint8_t)(i / 50);
	buf_init(&packed, 1 << 20);
	buf_init(&out, 2 * sizeof plain);
	for (int c = 0; c < PACKERS; c++) {
		buf_clear(&packed);
		assert_int_equal(codec_compress(packers[c], bytes_of(plain, sizeof plain), &packed),
				 ERR_OK);
		for (size_t i = 0; i < packed.len; i++) {
			for (int k = 0; k < 4; k++) {
				uint8_t was = packed.p[i];
				packed.p[i] ^= (uint8_t)(1 + rnd_below(&rnd, 255));
				enum err e = unpack(packers[c], (int8_t)(k % 3), buf_bytes(&packed),
						    &out, NULL);
				assert_true(e == ERR_OK || e == ERR_MALFORMED || e == ERR_LIMIT);
				packed.p[i] = was;
			}
		}
	}
	buf_fini(&packed);
	buf_fini(&out);
}

static long peak_kib(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_maxrss;
}

static void expect_bomb(enum batch_codec codec, struct bytes bomb, size_t limit, enum err want)
{
	struct errmsg why = {0};
	struct buf out;

	buf_init(&out, limit);
	long before = peak_kib();
	enum err e = unpack(codec, 2, bomb, &out, &why);
	if (e != want)
		fail_msg("codec %d: %s %s", codec, err_name(e), why.text);
	assert_true(peak_kib() - before < 32 * 1024);
	buf_fini(&out);
}

/* Each bomb is 256 MiB or more of zeros; the limit is 1 MiB. Bombs are made of few bytes. */
static void test_bombs(void **state)
{
	size_t piece = 1 << 22;
	uint8_t *zeros = calloc(1, piece);
	struct buf one, bomb;

	(void)state;
	assert_non_null(zeros);
	buf_init(&one, 1 << 24);
	buf_init(&bomb, 1 << 24);
	for (int c = 0; c < PACKERS; c++) {
		enum batch_codec codec = packers[c];
		buf_clear(&one);
		buf_clear(&bomb);
		assert_int_equal(codec_compress(codec, bytes_of(zeros, piece), &one), ERR_OK);
		/* Frames after frames, but for lz4, where Kafka reads one. */
		for (int i = 0; i < (codec == CODEC_LZ4 ? 1 : 64); i++)
			buf_put(&bomb, one.p, one.len);
		assert_int_equal(bomb.err, ERR_OK);
		expect_bomb(codec, buf_bytes(&bomb), 1 << 20, ERR_LIMIT);
		expect_bomb(codec, buf_bytes(&bomb), 0, ERR_LIMIT);
	}
	buf_fini(&one);
	buf_fini(&bomb);
	free(zeros);
}

/* Heads that promise what they do not have. */
static void test_declared_sizes(void **state)
{
	/* zstd: window 2^31; window 2^27 and nothing in it; content size 2^62. */
	static const uint8_t window31[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00};
	static const uint8_t window27[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x88, 0x01, 0x00, 0x00};
	static const uint8_t content62[] = {0x28, 0xb5, 0x2f, 0xfd, 0xc0, 0x88, 0, 0, 0,
					    0,    0,    0,    0,    0x40, 9,    0, 0, 'a'};
	/* raw snappy: 4 GiB - 1, then one literal; xerial: the same in a block. */
	static const uint8_t raw4g[] = {0xff, 0xff, 0xff, 0xff, 0x0f, 0x00, 'a'};
	static const uint8_t xerial4g[] = {0x82, 'S', 'N',  'A',  'P',  'P',  'Y',  0, 0,
					   0,    0,   1,    0,    0,    0,    1,    0, 0,
					   0,    7,   0xff, 0xff, 0xff, 0xff, 0x0f, 0, 'a'};
	static const uint8_t xerial_long[] = {0x82, 'S',  'N',  'A',  'P', 'P', 'Y', 0,
					      0,    0,    0,    1,    0,   0,   0,   1,
					      0x7f, 0xff, 0xff, 0xff, 1,   0,   'a'};

	(void)state;
	expect_bomb(CODEC_ZSTD, bytes_of(window31, sizeof window31), 1 << 20, ERR_MALFORMED);
	expect_bomb(CODEC_ZSTD, bytes_of(window27, sizeof window27), 1 << 20, ERR_OK);
	expect_bomb(CODEC_ZSTD, bytes_of(content62, sizeof content62), 1 << 20, ERR_MALFORMED);
	expect_bomb(CODEC_SNAPPY, bytes_of(raw4g, sizeof raw4g), SIZE_MAX / 2, ERR_MALFORMED);
	expect_bomb(CODEC_SNAPPY, bytes_of(xerial4g, sizeof xerial4g), SIZE_MAX / 2, ERR_MALFORMED);
	expect_bomb(CODEC_SNAPPY, bytes_of(xerial_long, sizeof xerial_long), 1 << 20,
		    ERR_MALFORMED);
}

static void expect_plain(enum batch_codec codec, int8_t magic, const struct buf *packed,
			 const char *want)
{
	struct errmsg why = {0};
	struct buf out;

	buf_init(&out, 1 << 20);
	enum err e = unpack(codec, magic, buf_bytes(packed), &out, &why);
	if (want == NULL) {
		assert_int_equal(e, ERR_MALFORMED);
	} else {
		struct bytes got = out.len == 0 ? bytes_str("") : buf_bytes(&out);
		if (e != ERR_OK || !bytes_eq_str(got, want))
			fail_msg("%s: %s", err_name(e), why.text);
	}
	buf_fini(&out);
}

static void pack(enum batch_codec codec, const char *text, struct buf *out)
{
	assert_int_equal(codec_compress(codec, bytes_str(text), out), ERR_OK);
}

/* Members, frames and xerial heads may follow one another; anything else may not follow. */
static void test_concatenated(void **state)
{
	struct buf b;

	(void)state;
	for (int c = 0; c < PACKERS; c++) {
		enum batch_codec codec = packers[c];
		buf_init(&b, 1 << 20);
		pack(codec, "first ", &b);
		pack(codec, "second", &b);
		expect_plain(codec, 2, &b, codec == CODEC_LZ4 ? NULL : "first second");
		buf_clear(&b);
		pack(codec, "first", &b);
		buf_put_str(&b, "garbage behind the end");
		expect_plain(codec, 2, &b, NULL);
		buf_fini(&b);
	}
}

/* librdkafka and others send one raw block. */
static void test_snappy_raw(void **state)
{
	char raw[64];
	size_t n = sizeof raw;
	struct buf b;

	(void)state;
	assert_int_equal(snappy_compress("raw raw raw raw", 15, raw, &n), SNAPPY_OK);
	buf_init(&b, 1 << 10);
	buf_put(&b, raw, n);
	expect_plain(CODEC_SNAPPY, 2, &b, "raw raw raw raw");
	buf_put_u8(&b, 0);
	expect_plain(CODEC_SNAPPY, 2, &b, NULL);
	buf_clear(&b);
	buf_put_u8(&b, 0); /* a block of nothing */
	expect_plain(CODEC_SNAPPY, 2, &b, "");
	buf_fini(&b);
}

/* KAFKA-3160: in magic 0 the checksum of the frame's head is not looked at, later it is. Also with
 * a content size, which makes the head longer. */
static void test_lz4_broken_head(void **state)
{
	static const uint8_t sized[] = {0x04, 0x22, 0x4d, 0x18, 0x68, 0x40, 3, 0, 0,
					0,    0,    0,    0,    0,    0xff, 3, 0, 0,
					0x80, 'a',  'b',  'c',  0,    0,    0, 0};
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 10);
	pack(CODEC_LZ4, "frame", &b);
	for (int8_t magic = 0; magic <= 2; magic++)
		expect_plain(CODEC_LZ4, magic, &b, "frame");
	b.p[6] ^= 0x55;
	expect_plain(CODEC_LZ4, 0, &b, "frame");
	expect_plain(CODEC_LZ4, 1, &b, NULL);
	expect_plain(CODEC_LZ4, 2, &b, NULL);
	buf_clear(&b);
	buf_put(&b, sized, sizeof sized);
	expect_plain(CODEC_LZ4, 0, &b, "abc");
	expect_plain(CODEC_LZ4, 1, &b, NULL);
	b.p[6] = 4; /* the content size lies */
	expect_plain(CODEC_LZ4, 0, &b, NULL);
	buf_fini(&b);
}

/* What we write is what Kafka's readers expect of a producer. */
static void test_framing(void **state)
{
	static uint8_t plain[70000];
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	assert_int_equal(codec_compress(CODEC_SNAPPY, bytes_of(plain, sizeof plain), &b), ERR_OK);
	assert_memory_equal(b.p, "\x82SNAPPY\0\0\0\0\1\0\0\0\1", 16);
	size_t blocks = 0, at = 16;
	for (; at < b.len; at += 4 + be32_get(b.p + at), blocks++) {
		size_t n;
		assert_int_equal(
			snappy_uncompressed_length((char *)b.p + at + 4, be32_get(b.p + at), &n),
			SNAPPY_OK);
		assert_true(n <= 32 * 1024);
	}
	assert_int_equal(at, b.len);
	assert_int_equal(blocks, 3);
	buf_clear(&b);
	assert_int_equal(codec_compress(CODEC_LZ4, bytes_of(plain, sizeof plain), &b), ERR_OK);
	assert_memory_equal(b.p, "\x04\x22\x4d\x18", 4);
	assert_int_equal(b.p[4], 0x60); /* version 1, independent blocks, no checksums, no size */
	assert_int_equal(b.p[5], 0x40); /* blocks of 64 KiB */
	buf_clear(&b);
	assert_int_equal(codec_compress(CODEC_GZIP, bytes_of(plain, sizeof plain), &b), ERR_OK);
	assert_memory_equal(b.p, "\x1f\x8b\x08", 3);
	buf_clear(&b);
	assert_int_equal(codec_compress(CODEC_ZSTD, bytes_of(plain, sizeof plain), &b), ERR_OK);
	assert_memory_equal(b.p, "\x28\xb5\x2f\xfd", 4);
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bombs),           cmocka_unit_test(test_declared_sizes),
		cmocka_unit_test(test_levels),          cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_compress_limit),  cmocka_unit_test(test_cut_anywhere),
		cmocka_unit_test(test_flip_anywhere),   cmocka_unit_test(test_concatenated),
		cmocka_unit_test(test_snappy_raw),      cmocka_unit_test(test_null),
		cmocka_unit_test(test_lz4_broken_head), cmocka_unit_test(test_framing),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}
