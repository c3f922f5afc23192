/* SPDX-License-Identifier: Apache-2.0 */
/* What is gathered of MM2's positions and offset syncs. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "checkpoint/mm2_records.h"
#include "mirror/link/takeover_book.h"

static void position(struct takeover_book *b, const char *alias, const char *topic, int partition,
		     int64_t offset)
{
	char key[200], value[60];
	struct errmsg why;
	snprintf(key, sizeof key,
		 "[\"MirrorSourceConnector\",{\"cluster\":\"%s\",\"partition\":%d,\"topic\":\"%s\"}"
		 "]",
		 alias, partition, topic);
	snprintf(value, sizeof value, "{\"offset\":%" PRId64 "}", offset);
	struct bytes v = offset < 0 ? (struct bytes){NULL, 0} : bytes_str(value);
	assert_int_equal(takeover_book_position(b, bytes_str(key), v, &why), ERR_OK);
}

static void pair(struct takeover_book *b, const char *topic, int32_t partition, int64_t src,
		 int64_t dst)
{
	struct buf key, value;
	struct errmsg why;
	buf_init(&key, MM2_KEY_MAX);
	buf_init(&value, MM2_VALUE_MAX);
	const struct mm2_offset_sync s = {bytes_str(topic), partition, src, dst};
	assert_int_equal(mm2_records_encode_offset_sync(&s, &key, &value), ERR_OK);
	assert_int_equal(takeover_book_sync(b, buf_bytes(&key), buf_bytes(&value), &why), ERR_OK);
	buf_fini(&key);
	buf_fini(&value);
}

static void expect(const struct takeover_book *b, const char *topic, int32_t partition,
		   int64_t believed, int64_t src, int64_t dst)
{
	struct takeover_word w = takeover_book_find(b, topic, partition);
	assert_int_equal(w.believed, believed);
	assert_int_equal(w.src, src);
	assert_int_equal(w.dst, dst);
}

static void positions(void **state)
{
	(void)state;
	struct takeover_book *b = takeover_book_new("east");
	position(b, "east", "a", 0, 41);
	position(b, "east", "a", 1, 7);
	position(b, "north", "a", 0, 99);
	position(b, "east", "a", 0, 42);
	position(b, "east", "a", 1, -1);
	expect(b, "a", 0, 43, -1, -1);
	expect(b, "a", 1, -1, -1, -1);
	expect(b, "a", 2, -1, -1, -1);
	expect(b, "b", 0, -1, -1, -1);
	assert_int_equal(takeover_book_positions(b), 2);
	struct errmsg why = {""};
	assert_int_equal(takeover_book_position(b, bytes_str("x"), bytes_str("y"), &why),
			 ERR_MALFORMED);
	assert_int_equal(takeover_book_sync(b, bytes_str("x"), bytes_str("y"), &why),
			 ERR_MALFORMED);
	takeover_book_free(b);
	takeover_book_free(NULL);
}

static void pairs_below_the_position(void **state)
{
	(void)state;
	struct takeover_book *b = takeover_book_new("east");
	position(b, "east", "a", 0, 500);
	pair(b, "b", 0, 1, 1); /* nothing is known of it */
	pair(b, "a", 0, 501, 501);
	expect(b, "a", 0, 501, -1, -1);
	pair(b, "a", 0, 10, 12);
	pair(b, "a", 0, 500, 510);
	expect(b, "a", 0, 501, 10, 12);
	/* It went back, and copied again: what doubled is found from the older pair on. */
	pair(b, "a", 0, 400, 600);
	expect(b, "a", 0, 501, 10, 12);
	/* The target was made again. */
	pair(b, "a", 0, 450, 3);
	expect(b, "a", 0, 501, 450, 3);
	takeover_book_free(b);
}

/* Whatever the distance between pairs: the one to begin at is not too old, and as old as it may. */
static void not_all_is_compared(void **state)
{
	(void)state;
	const int64_t max = TAKEOVER_COMPARED_MAX;
	for (int64_t step = 100; step < 3 * max; step = step * 3 + 1) {
		struct takeover_book *b = takeover_book_new("east");
		position(b, "east", "a", 0, INT64_MAX / 2);
		for (int64_t at = 0; at < 5 * max; at += step) {
			pair(b, "a", 0, at, at);
			int64_t behind = at - takeover_book_find(b, "a", 0).dst;
			assert_true(behind >= 0 && behind <= max);
			if (step < max / 8 && at > max)
				assert_true(behind >= max / 2 - 2 * step);
		}
		takeover_book_free(b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(positions),
		cmocka_unit_test(pairs_below_the_position),
		cmocka_unit_test(not_all_is_compared),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
