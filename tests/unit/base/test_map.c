/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/base/unit.h"

#include "lib/base/clock.h"
#include "lib/base/map.h"
#include "tests/unit/base/fail_alloc.h"

enum { KEYS = 700, STEPS = 200 * 1000 };

static struct bytes key_of(unsigned i, char text[32])
{
	return bytes_of(text, (size_t)snprintf(text, 32, "topic-%u", i));
}

static void put_get_replace_take(void **state)
{
	(void)state;
	int a, b;
	struct map *m = map_new();
	assert_null(map_get(m, bytes_str("x")));
	assert_null(map_take(m, bytes_str("x")));
	assert_int_equal(map_put(m, bytes_str("x"), &a), ERR_OK);
	assert_ptr_equal(map_get(m, bytes_str("x")), &a);
	assert_int_equal(map_put(m, bytes_str("x"), &b), ERR_OK);
	assert_ptr_equal(map_get(m, bytes_str("x")), &b);
	assert_int_equal(map_count(m), 1);
	assert_ptr_equal(map_take(m, bytes_str("x")), &b);
	assert_int_equal(map_count(m), 0);
	assert_null(map_get(m, bytes_str("x")));
	map_free(m);
	map_free(NULL);
}

static void keys_are_bytes(void **state)
{
	(void)state;
	int v[5];
	struct map *m = map_new();
	const struct bytes keys[] = {bytes_of("", 0), bytes_of("\0", 1), bytes_of("\0\0", 2),
				     bytes_of("a\0b", 3), bytes_of("a\0c", 3)};
	for (int i = 0; i < 5; i++)
		assert_int_equal(map_put(m, keys[i], &v[i]), ERR_OK);
	for (int i = 0; i < 5; i++)
		assert_ptr_equal(map_get(m, keys[i]), &v[i]);
	/* The null slice is the empty key. */
	assert_ptr_equal(map_get(m, bytes_str(NULL)), &v[0]);
	map_free(m);
}

static void keys_are_copied(void **state)
{
	(void)state;
	int v;
	char text[] = "topic";
	struct map *m = map_new();
	assert_int_equal(map_put(m, bytes_str(text), &v), ERR_OK);
	text[0] = 'x';
	assert_ptr_equal(map_get(m, bytes_str("topic")), &v);
	map_free(m);
}

/* FARSHORE_SEED replays a run. */
static uint64_t first_seed(void)
{
	const char *text = getenv("FARSHORE_SEED");
	const struct clock *c = clock_system();
	return text != NULL ? strtoull(text, NULL, 10) : c->random(c->ctx) | 1;
}

static uint64_t next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static void check_all(struct map *m, void *const model[KEYS])
{
	size_t at = 0, n = 0, expected = 0;
	struct bytes key;
	void *value;
	bool seen[KEYS] = {false};
	for (unsigned i = 0; i < KEYS; i++)
		expected += model[i] != NULL;
	assert_int_equal(map_count(m), expected);
	while (map_next(m, &at, &key, &value)) {
		char text[32] = {0};
		assert_true(key.n < sizeof text);
		memcpy(text, key.p, key.n);
		unsigned i = (unsigned)strtoul(text + 6, NULL, 10);
		assert_false(seen[i]);
		seen[i] = true;
		assert_ptr_equal(model[i], value);
		n++;
	}
	assert_int_equal(n, expected);
}

/* Random puts and takes beside a plain array; growth, tombstones and rehashes come by themselves.
 */
static void random_steps_against_a_model(void **state)
{
	(void)state;
	static char values[KEYS + 7];
	static void *model[KEYS];
	uint64_t seed = first_seed();
	print_message("seed %llu\n", (unsigned long long)seed);
	struct map *m = map_new();
	for (int step = 0; step < STEPS; step++) {
		char text[32];
		/* Phases of growing and of shrinking. */
		unsigned i = (unsigned)(next(&seed) % (step / 20000 % 2 == 0 ? KEYS : 40));
		bool put = next(&seed) % 10 < (step / 30000 % 2 == 0 ? 7u : 3u);
		struct bytes key = key_of(i, text);
		assert_ptr_equal(map_get(m, key), model[i]);
		if (put) {
			model[i] = &values[i + next(&seed) % 7];
			assert_int_equal(map_put(m, key, model[i]), ERR_OK);
		} else {
			assert_ptr_equal(map_take(m, key), model[i]);
			model[i] = NULL;
		}
		if (step % 1000 == 0)
			check_all(m, model);
	}
	check_all(m, model);
	map_free(m);
}

/* A queue's way of use: the table must clean its dead slots instead of growing or filling up. */
static void put_and_take_for_ever(void **state)
{
	(void)state;
	int v;
	char text[32];
	struct map *m = map_new();
	for (unsigned i = 0; i < 100000; i++) {
		assert_int_equal(map_put(m, key_of(i, text), &v), ERR_OK);
		if (i >= 3)
			assert_ptr_equal(map_take(m, key_of(i - 3, text)), &v);
	}
	assert_int_equal(map_count(m), 3);
	map_free(m);
}

static void take_while_iterating(void **state)
{
	(void)state;
	int v;
	char text[32];
	struct map *m = map_new();
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(map_put(m, key_of(i, text), &v), ERR_OK);
	size_t at = 0, n = 0;
	struct bytes key;
	while (map_next(m, &at, &key, NULL)) {
		assert_ptr_equal(map_take(m, key), &v);
		n++;
	}
	assert_int_equal(n, 1000);
	assert_int_equal(map_count(m), 0);
	at = 0;
	assert_false(map_next(m, &at, NULL, NULL));
	map_free(m);
}

static void out_of_memory_leaves_the_map_as_it_was(void **state)
{
	(void)state;
	int v;
	char text[32];
	fail_alloc_at(1);
	assert_null(map_new());
	fail_alloc_off();
	struct map *m = map_new();
	for (unsigned i = 0; i < 200; i++) {
		for (long n = 1;; n++) {
			fail_alloc_at(n);
			enum err e = map_put(m, key_of(i, text), &v);
			bool hit = fail_alloc_off();
			if (e == ERR_OK) {
				assert_false(hit);
				break;
			}
			assert_int_equal(e, ERR_NOMEM);
			assert_true(hit);
			assert_int_equal(map_count(m), i);
			assert_null(map_get(m, key_of(i, text)));
		}
	}
	for (unsigned i = 0; i < 200; i++)
		assert_ptr_equal(map_get(m, key_of(i, text)), &v);
	map_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(put_get_replace_take),
		cmocka_unit_test(keys_are_bytes),
		cmocka_unit_test(keys_are_copied),
		cmocka_unit_test(random_steps_against_a_model),
		cmocka_unit_test(put_and_take_for_ever),
		cmocka_unit_test(take_while_iterating),
		cmocka_unit_test(out_of_memory_leaves_the_map_as_it_was),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
