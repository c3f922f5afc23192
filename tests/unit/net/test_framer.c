/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes to frames without a socket: any cut (F11), limits, foreign protocols. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lib/base/buf.h"
#include "lib/net/framer.h"

enum { FRAME_MAX = 100000 };

static void put_frame(struct buf *b, size_t n, unsigned seed)
{
	buf_put_be32(b, (uint32_t)n);
	for (size_t i = 0; i < n; i++)
		buf_put_u8(b, (uint8_t)(seed + i));
}

static void check_frame(const struct frame *f, size_t n, unsigned seed)
{
	assert_int_equal(f->n, n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(f->data[i], (uint8_t)(seed + i));
}

/* Copy up to `max` bytes to where the framer wants them, as a scattered read would. */
static size_t receive(struct framer *f, const uint8_t *p, size_t n, size_t max)
{
	struct iovec iov[2];
	size_t iov_n = framer_room(f, iov), put = 0;
	n = n < max ? n : max;
	for (size_t i = 0; i < iov_n && put < n; i++) {
		size_t step = iov[i].iov_len < n - put ? iov[i].iov_len : n - put;
		memcpy(iov[i].iov_base, p + put, step);
		put += step;
	}
	framer_fill(f, put);
	return put;
}

/* Feed everything in pieces of `piece` bytes; the frames must be those of `sizes`. */
static void feed(const struct buf *b, size_t piece, const size_t *sizes, size_t sizes_n)
{
	static struct framer f;
	size_t got = 0;
	framer_init(&f, FRAME_MAX, NULL);
	for (size_t at = 0; at < b->len;) {
		at += receive(&f, b->p + at, b->len - at, piece);
		for (;;) {
			struct errmsg why = {0};
			struct frame *frame;
			assert_int_equal(framer_next(&f, &frame, &why), ERR_OK);
			if (frame == NULL)
				break;
			assert_true(got < sizes_n);
			check_frame(frame, sizes[got], (unsigned)got);
			frame_unref(frame);
			got++;
		}
	}
	assert_int_equal(got, sizes_n);
	assert_true(framer_at_boundary(&f));
	framer_fini(&f);
}

static void any_piece_size_gives_the_same_frames(void **state)
{
	(void)state;
	static const size_t sizes[] = {1,
				       2,
				       3,
				       4,
				       5,
				       100,
				       FRAMER_STAGE - 5,
				       FRAMER_STAGE - 4,
				       FRAMER_STAGE - 3,
				       FRAMER_STAGE,
				       9000,
				       1,
				       20000,
				       7,
				       FRAME_MAX};
	enum { N = sizeof sizes / sizeof sizes[0] };
	struct buf b;
	buf_init(&b, 1 << 20);
	for (size_t i = 0; i < N; i++)
		put_frame(&b, sizes[i], (unsigned)i);
	assert_int_equal(b.err, ERR_OK);
	for (size_t piece = 1; piece <= 64; piece++)
		feed(&b, piece, sizes, N);
	for (size_t piece = FRAMER_STAGE - 8; piece <= FRAMER_STAGE + 8; piece++)
		feed(&b, piece, sizes, N);
	feed(&b, SIZE_MAX, sizes, N);
	buf_fini(&b);
}

/* Every pair of cuts through two small frames. */
static void any_two_cuts_give_the_same_frames(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 1000);
	put_frame(&b, 9, 0);
	put_frame(&b, 6, 1);
	for (size_t i = 0; i <= b.len; i++) {
		for (size_t j = i; j <= b.len; j++) {
			static struct framer f;
			const size_t cuts[] = {i, j, b.len};
			size_t at = 0, got = 0;
			framer_init(&f, FRAME_MAX, NULL);
			for (size_t k = 0; k < 3; k++) {
				at += receive(&f, b.p + at, cuts[k] - at, SIZE_MAX);
				struct frame *frame;
				while (framer_next(&f, &frame, NULL) == ERR_OK && frame != NULL) {
					check_frame(frame, got == 0 ? 9 : 6, (unsigned)got);
					frame_unref(frame);
					got++;
				}
			}
			assert_int_equal(got, 2);
			framer_fini(&f);
		}
	}
	buf_fini(&b);
}

static enum err first_word(uint32_t word, struct errmsg *why)
{
	static struct framer f;
	struct frame *frame;
	uint8_t head[4];
	be32_put(head, word);
	framer_init(&f, FRAME_MAX, NULL);
	assert_int_equal(receive(&f, head, 4, 4), 4);
	enum err e = framer_next(&f, &frame, why);
	assert_null(frame);
	framer_fini(&f);
	return e;
}

static bool begins_with_k(const uint8_t head[FRAMER_HEAD])
{
	return head[0] == 'k';
}

/* A frame over the limit is received if its first bytes are good, whatever the cuts. */
static void large_frames_are_admitted_by_their_head(void **state)
{
	(void)state;
	static struct framer f;
	static uint8_t bytes[4 + 2 * FRAMER_STAGE];
	for (size_t piece = 1; piece < 40; piece++) {
		struct frame *frame = NULL;
		struct errmsg why = {0};
		framer_init(&f, 100, NULL);
		framer_admit(&f, 2 * FRAMER_STAGE, begins_with_k);
		be32_put(bytes, 2 * FRAMER_STAGE);
		bytes[4] = 'k';
		for (size_t at = 0; at < sizeof bytes;) {
			at += receive(&f, bytes + at, sizeof bytes - at, piece);
			assert_int_equal(framer_next(&f, &frame, &why), ERR_OK);
			assert_int_equal(frame != NULL, at == sizeof bytes);
		}
		frame_unref(frame);
		bytes[4] = 'x';
		size_t at = 0;
		while (at < 4 + FRAMER_HEAD) {
			assert_int_equal(framer_next(&f, &frame, &why), ERR_OK);
			assert_null(frame);
			at += receive(&f, bytes + at, 4 + FRAMER_HEAD - at, piece);
		}
		assert_int_equal(framer_next(&f, &frame, &why), ERR_LIMIT);
		framer_fini(&f);
	}
}

static void bad_lengths_are_refused_with_the_number(void **state)
{
	(void)state;
	struct errmsg why = {0};
	assert_int_equal(first_word(0, &why), ERR_MALFORMED);
	assert_string_equal(why.text, "frame length 0");
	assert_int_equal(first_word(0xffffffff, &why), ERR_MALFORMED);
	assert_string_equal(why.text, "frame length -1");
	assert_int_equal(first_word(0x80000000, &why), ERR_MALFORMED);
	assert_non_null(strstr(why.text, "-2147483648"));
	assert_int_equal(first_word(INT32_MAX, &why), ERR_LIMIT);
	assert_non_null(strstr(why.text, "2147483647"));
	assert_int_equal(first_word(FRAME_MAX + 1, &why), ERR_LIMIT);
	assert_non_null(strstr(why.text, "100001"));
	assert_non_null(strstr(why.text, "100000"));
	assert_int_equal(first_word(FRAME_MAX, &why), ERR_OK);
}

static void other_protocols_are_named(void **state)
{
	(void)state;
	struct errmsg why = {0};
	assert_int_equal(first_word(0x15030300, &why), ERR_MALFORMED); /* a TLS alert */
	assert_non_null(strstr(why.text, "speaks TLS, and this side does not"));
	assert_int_equal(first_word(0x15030100, &why), ERR_MALFORMED);
	assert_non_null(strstr(why.text, "speaks TLS, and this side does not"));
	assert_int_equal(first_word(0x16030102, &why), ERR_MALFORMED); /* a TLS handshake */
	assert_non_null(strstr(why.text, "speaks TLS, and this side does not"));
	assert_int_equal(first_word(0x48545450, &why), ERR_MALFORMED);
	assert_non_null(strstr(why.text, "HTTP"));
}

/* After a good frame the same words are only a wrong length. */
static void other_protocols_are_named_at_the_start_only(void **state)
{
	(void)state;
	static struct framer f;
	struct errmsg why = {0};
	struct frame *frame;
	struct buf b;
	buf_init(&b, 100);
	put_frame(&b, 3, 0);
	buf_put_be32(&b, 0x15030300);
	framer_init(&f, FRAME_MAX, NULL);
	assert_int_equal(receive(&f, b.p, b.len, SIZE_MAX), b.len);
	assert_int_equal(framer_next(&f, &frame, &why), ERR_OK);
	check_frame(frame, 3, 0);
	frame_unref(frame);
	assert_int_equal(framer_next(&f, &frame, &why), ERR_LIMIT);
	framer_fini(&f);
	buf_fini(&b);
}

static void a_pool_at_its_limit_gives_no_frame(void **state)
{
	(void)state;
	static struct framer f;
	struct errmsg why = {0};
	struct frame *frame;
	struct buf b;
	struct frame_pool *pool = frame_pool_new(150, 0);
	assert_non_null(pool);
	buf_init(&b, 1000);
	put_frame(&b, 100, 0);
	put_frame(&b, 100, 1);
	framer_init(&f, FRAME_MAX, pool);
	assert_int_equal(receive(&f, b.p, b.len, SIZE_MAX), b.len);
	assert_int_equal(framer_next(&f, &frame, &why), ERR_OK);
	check_frame(frame, 100, 0);
	struct frame *none;
	assert_int_equal(framer_next(&f, &none, &why), ERR_NOMEM);
	assert_non_null(strstr(why.text, "100 bytes"));
	assert_null(none);
	framer_fini(&f);
	frame_unref(frame);
	frame_pool_free(pool);
	buf_fini(&b);
}

static void boundary_is_known(void **state)
{
	(void)state;
	static struct framer f;
	struct frame *frame;
	static const uint8_t bytes[] = {0, 0, 0, 2, 'a', 'b'};
	framer_init(&f, FRAME_MAX, NULL);
	for (size_t i = 0; i < sizeof bytes; i++) {
		assert_int_equal(framer_at_boundary(&f), i == 0);
		assert_int_equal(receive(&f, bytes + i, 1, 1), 1);
		assert_int_equal(framer_next(&f, &frame, NULL), ERR_OK);
		assert_int_equal(frame != NULL, i == 5);
	}
	assert_true(framer_at_boundary(&f));
	frame_unref(frame);
	framer_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_piece_size_gives_the_same_frames),
		cmocka_unit_test(any_two_cuts_give_the_same_frames),
		cmocka_unit_test(large_frames_are_admitted_by_their_head),
		cmocka_unit_test(bad_lengths_are_refused_with_the_number),
		cmocka_unit_test(other_protocols_are_named),
		cmocka_unit_test(other_protocols_are_named_at_the_start_only),
		cmocka_unit_test(a_pool_at_its_limit_gives_no_frame),
		cmocka_unit_test(boundary_is_known),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
