/* SPDX-License-Identifier: Apache-2.0 */
/* What MM2's sensors would say: case by case, and against sums over the last minute. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "mirror/partition/meter.h"
#include "tests/unit/rng.h"

static bool nearly(double a, double b)
{
	return fabs(a - b) <= 1e-9 * (fabs(a) + fabs(b)) + 1e-12;
}

static void assert_near(double a, double b)
{
	if (!nearly(a, b))
		fail_msg("%.17g is not %.17g", a, b);
}

static void test_one_batch(void **state)
{
	(void)state;
	struct meter *m = NULL;
	const struct meter_batch b = {.records = 10,
				      .bytes = 3000,
				      .first_timestamp = 1000,
				      .max_timestamp = 1900,
				      .fetched_ms = 2000,
				      .acked_ms = 2050};
	meter_add(&m, 500, &b);
	struct meter_view v = meter_read(m, 500);
	assert_int_equal(v.age.n, 10);
	assert_int_equal(v.age.min, 100);
	assert_int_equal(v.age.max, 1000);
	assert_near(v.age.sum / 10, 550);
	assert_int_equal(v.latency.min, 150);
	assert_int_equal(v.latency.max, 1050);
	assert_near(v.latency.sum / 10, 600);
	assert_true(m->timed);
	assert_int_equal(m->age, 100);
	assert_int_equal(m->latency, 150);
	/* As Kafka's Rate: over a sample at least. */
	assert_near(v.records_per_s, 10.0 / 30);
	assert_near(v.bytes_per_s, 100);
	assert_near(meter_read(m, 15500).records_per_s, 10.0 / 45);
	assert_near(meter_read(m, 30500).records_per_s, 10.0 / 30);
	assert_near(meter_read(m, 60499).bytes_per_s, 3000.0 / 59.999);
	/* After a minute nothing is left but the last values. */
	v = meter_read(m, 60500);
	assert_int_equal(v.age.n, 0);
	assert_int_equal(v.latency.n, 0);
	assert_near(v.records_per_s, 0);
	assert_near(v.bytes_per_s, 0);
	assert_int_equal(m->age, 100);
	meter_free(m);
}

/* Without a time, with a wrong one, with a clock that is behind the producer's. */
static void test_odd_times(void **state)
{
	(void)state;
	struct meter *m = NULL;
	struct meter_batch b = {.records = 3,
				.bytes = 30,
				.first_timestamp = -1,
				.max_timestamp = -1,
				.fetched_ms = 2000,
				.acked_ms = 2000};
	meter_add(&m, 0, &b);
	assert_false(m->timed);
	assert_int_equal(meter_read(m, 0).age.n, 0);
	assert_near(meter_read(m, 0).records_per_s, 0.1);
	b.max_timestamp = 1990;
	meter_add(&m, 0, &b);
	assert_int_equal(meter_read(m, 0).age.max, 10);
	/* The first record is the newest. */
	b.first_timestamp = 1995;
	meter_add(&m, 0, &b);
	assert_int_equal(meter_read(m, 0).age.max, 10);
	/* From the future. */
	b.first_timestamp = b.max_timestamp = 2500;
	meter_add(&m, 0, &b);
	assert_int_equal(meter_read(m, 0).age.min, -500);
	assert_int_equal(m->age, -500);
	assert_int_equal(meter_read(m, 0).age.max, 10);
	meter_free(m);
}

enum { BATCHES = 2000 };

struct past {
	int64_t at;
	struct meter_batch b;
};

/* What lies back less than 30 s is always in, what lies back more than 60 s never. */
static void check(const struct meter *m, const struct past *v, size_t n, int64_t now)
{
	struct meter_view got = meter_read(m, now);
	int64_t sure = 0, most = 0, sure_min = INT64_MAX, most_max = INT64_MIN;
	for (size_t i = 0; i < n; i++) {
		int64_t back = now - v[i].at;
		int64_t min = v[i].b.fetched_ms - v[i].b.max_timestamp;
		int64_t max = v[i].b.fetched_ms - v[i].b.first_timestamp;
		if (back < METER_SAMPLE_MS) {
			sure += v[i].b.records;
			sure_min = min < sure_min ? min : sure_min;
		}
		if (back < METER_SAMPLES * METER_SAMPLE_MS) {
			most += v[i].b.records;
			most_max = max > most_max ? max : most_max;
		}
	}
	assert_in_range(got.age.n, sure, most);
	assert_int_equal(got.latency.n, got.age.n);
	if (got.age.n == 0)
		return;
	if (sure > 0)
		assert_true(got.age.min <= sure_min);
	assert_true(got.age.max <= most_max);
	double mean = got.age.sum / (double)got.age.n;
	assert_true(mean >= (double)got.age.min && mean <= (double)got.age.max);
	assert_true(got.records_per_s >= (double)sure / 60 - 1e-9);
	assert_true(got.records_per_s <= (double)most / 30 + 1e-9);
}

static void test_random(void **state)
{
	(void)state;
	struct rng g = {rng_seed("meter")};
	struct past *past = calloc(BATCHES, sizeof *past);
	assert_non_null(past);
	struct meter *m = NULL;
	int64_t now = 100000, gap = 100;
	for (size_t n = 0; n < BATCHES; n++) {
		if (rng_one_in(&g, 50))
			gap = rng_one_in(&g, 4) ? 90000 : rng_in(&g, 1, 5000);
		now += rng_in(&g, 0, gap);
		int64_t first = now - rng_in(&g, 0, 10000);
		past[n] = (struct past){.at = now,
					.b = {.records = rng_in(&g, 1, 500),
					      .bytes = rng_in(&g, 1, 100000),
					      .first_timestamp = first,
					      .max_timestamp = first + rng_in(&g, 0, 5000),
					      .fetched_ms = now,
					      .acked_ms = now + rng_in(&g, 0, 100)}};
		meter_add(&m, now, &past[n].b);
		check(m, past, n + 1, now);
		check(m, past, n + 1, now + rng_in(&g, 0, 70000));
	}
	meter_free(m);
	free(past);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_batch),
		cmocka_unit_test(test_odd_times),
		cmocka_unit_test(test_random),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
