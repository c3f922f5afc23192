/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/base/unit.h"

#include <math.h>

#include "lib/base/metrics.h"

struct page {
	struct buf text;
	struct metrics m;
};

static void page_init(struct page *p)
{
	buf_init(&p->text, 64 * 1024);
	metrics_init(&p->m, &p->text);
}

static void assert_page(struct page *p, const char *expected)
{
	buf_put_u8(&p->text, '\0');
	assert_int_equal(p->text.err, ERR_OK);
	assert_string_equal((const char *)p->text.p, expected);
	buf_fini(&p->text);
}

static void counters_and_gauges(void **state)
{
	(void)state;
	struct page p;
	page_init(&p);
	metrics_family(&p.m, "farshore_records_total", METRICS_COUNTER, "Records copied.");
	metrics_int(&p.m, METRICS_LABELS({"link", "a->b"}, {"topic", "t"}), INT64_MAX);
	metrics_int(&p.m, METRICS_LABELS({"link", "a->c"}), 0);
	metrics_family(&p.m, "farshore_lag_seconds", METRICS_GAUGE, "Lag.");
	metrics_double(&p.m, NULL, 0.25);
	metrics_double(&p.m, NULL, -3);
	metrics_int(&p.m, NULL, INT64_MIN);
	assert_page(&p, "# HELP farshore_records_total Records copied.\n"
			"# TYPE farshore_records_total counter\n"
			"farshore_records_total{link=\"a->b\",topic=\"t\"} 9223372036854775807\n"
			"farshore_records_total{link=\"a->c\"} 0\n"
			"# HELP farshore_lag_seconds Lag.\n"
			"# TYPE farshore_lag_seconds gauge\n"
			"farshore_lag_seconds 0.25\n"
			"farshore_lag_seconds -3\n"
			"farshore_lag_seconds -9223372036854775808\n");
}

static void odd_numbers(void **state)
{
	(void)state;
	struct page p;
	page_init(&p);
	metrics_family(&p.m, "x", METRICS_GAUGE, "x");
	metrics_double(&p.m, NULL, (double)NAN);
	metrics_double(&p.m, NULL, (double)INFINITY);
	metrics_double(&p.m, NULL, -(double)INFINITY);
	metrics_double(&p.m, NULL, 1e100);
	assert_page(&p, "# HELP x x\n# TYPE x gauge\nx NaN\nx +Inf\nx -Inf\nx 1e+100\n");
}

/* A topic's or broker's text must not end a line, close a quote or break the encoding. */
static void labels_are_escaped(void **state)
{
	(void)state;
	struct page p;
	page_init(&p);
	metrics_family(&p.m, "x", METRICS_GAUGE, "back\\slash \"quote\"\nline");
	metrics_int(&p.m, METRICS_LABELS({"a", "q\"} 1\nfake 2"}), 1);
	metrics_int(&p.m, METRICS_LABELS({"a", "b\\"}, {"b", "gr\xc3\xbc\xff"}), 2);
	metrics_int(&p.m, METRICS_LABELS({"a", NULL}), 3);
	assert_page(&p, "# HELP x back\\\\slash \"quote\"\\nline\n# TYPE x gauge\n"
			"x{a=\"q\\\"} 1\\nfake 2\"} 1\n"
			"x{a=\"b\\\\\",b=\"gr\xc3\xbc?\"} 2\n"
			"x{a=\"\"} 3\n");
}

static void histograms_are_cumulative(void **state)
{
	(void)state;
	static const double bounds[] = {0.005, 0.1, 2.5};
	struct metrics_histogram h;
	struct page p;
	page_init(&p);
	metrics_histogram_init(&h, bounds, 3);
	metrics_histogram_add(&h, 0.005);
	metrics_histogram_add(&h, 0.001);
	metrics_histogram_add(&h, 0.05);
	metrics_histogram_add(&h, 2.6);
	metrics_family(&p.m, "latency_seconds", METRICS_HISTOGRAM, "Latency.");
	metrics_histogram(&p.m, METRICS_LABELS({"link", "l"}), &h);
	metrics_histogram_init(&h, NULL, 0);
	metrics_histogram_add(&h, 7);
	metrics_histogram(&p.m, NULL, &h);
	assert_page(&p, "# HELP latency_seconds Latency.\n# TYPE latency_seconds histogram\n"
			"latency_seconds_bucket{link=\"l\",le=\"0.005\"} 2\n"
			"latency_seconds_bucket{link=\"l\",le=\"0.1\"} 3\n"
			"latency_seconds_bucket{link=\"l\",le=\"2.5\"} 3\n"
			"latency_seconds_bucket{link=\"l\",le=\"+Inf\"} 4\n"
			"latency_seconds_sum{link=\"l\"} 2.656\n"
			"latency_seconds_count{link=\"l\"} 4\n"
			"latency_seconds_bucket{le=\"+Inf\"} 1\n"
			"latency_seconds_sum 7\n"
			"latency_seconds_count 1\n");
}

static void nan_lands_in_the_last_bucket(void **state)
{
	(void)state;
	static const double bounds[] = {1};
	struct metrics_histogram h;
	metrics_histogram_init(&h, bounds, 1);
	metrics_histogram_add(&h, (double)NAN);
	assert_int_equal(h.counts[0], 0);
	assert_int_equal(h.counts[1], 1);
}

static void a_full_buffer_is_the_buffers_error(void **state)
{
	(void)state;
	struct page p;
	page_init(&p);
	p.text.max = 40;
	metrics_family(&p.m, "x", METRICS_GAUGE, "x");
	for (int i = 0; i < 100; i++)
		metrics_int(&p.m, METRICS_LABELS({"a", "b"}), i);
	assert_int_equal(p.text.err, ERR_LIMIT);
	assert_true(p.text.len <= 40);
	buf_fini(&p.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counters_and_gauges),
		cmocka_unit_test(odd_numbers),
		cmocka_unit_test(labels_are_escaped),
		cmocka_unit_test(histograms_are_cumulative),
		cmocka_unit_test(nan_lands_in_the_last_bucket),
		cmocka_unit_test(a_full_buffer_is_the_buffers_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
