/* SPDX-License-Identifier: Apache-2.0 */
/* What is done about a position, by all that it depends on. M7. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/base/metrics.h"
#include "mirror/group/group_impl.h"

struct expected {
	int64_t target, placed; /* what is at the target, and what this link put there */
	int64_t translated, pending;
	unsigned rewound;
	bool differs, follow, active;
	bool commit, open;
	enum group_skip skip;
};

static void check(const struct expected *x)
{
	const struct group_position p = {
		.target = x->target,
		.placed = x->placed,
		.rewound = x->rewound & 3,
		.metadata_differs = x->differs,
	};
	const struct group_translation t = {
		.offset = x->translated, .exact = true, .pending = x->pending};
	struct group_plan plan = group_plan(&p, &t, x->follow, x->active);
	if (plan.commit != x->commit || plan.open != x->open || plan.skip != x->skip)
		fail_msg("target %lld, translated %lld: commit %d, open %d, \"%s\"",
			 (long long)x->target, (long long)x->translated, plan.commit, plan.open,
			 group_skip_word(plan.skip));
}

static void forward(void **state)
{
	(void)state;
	static const struct expected cases[] = {
		/* nothing there, never looked, behind */
		{.target = -1, .translated = 0, .commit = true, .open = true},
		{.target = GROUP_UNSEEN, .translated = 5, .commit = true, .open = true},
		{.target = 4, .translated = 5, .commit = true, .open = true},
		/* in step */
		{.target = 5, .translated = 5},
		{.target = 5, .translated = 5, .pending = 3, .open = true},
		{.target = 5, .translated = 5, .differs = true, .commit = true, .open = true},
		/* members at the target */
		{.target = 4,
		 .translated = 5,
		 .active = true,
		 .open = true,
		 .skip = GROUP_SKIP_TARGET_ACTIVE},
		{.target = 5, .translated = 5, .active = true},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		check(&cases[i]);
}

static void backward(void **state)
{
	(void)state;
	static const struct expected cases[] = {
		/* never, by itself */
		{.target = 6, .placed = 6, .translated = 5, .skip = GROUP_SKIP_TARGET_AHEAD},
		{.target = 6,
		 .placed = 6,
		 .translated = 5,
		 .follow = true,
		 .skip = GROUP_SKIP_TARGET_AHEAD},
		/* reset at the source: not unless asked for */
		{.target = 6,
		 .placed = 6,
		 .translated = 5,
		 .rewound = 2,
		 .skip = GROUP_SKIP_REWOUND},
		/* asked for: at the second look, and only from where this link put it */
		{.target = 6,
		 .placed = 6,
		 .translated = 5,
		 .rewound = 1,
		 .follow = true,
		 .open = true},
		{.target = 6,
		 .placed = 6,
		 .translated = 5,
		 .rewound = 2,
		 .follow = true,
		 .commit = true,
		 .open = true},
		{.target = 7,
		 .placed = 6,
		 .translated = 5,
		 .rewound = 2,
		 .follow = true,
		 .skip = GROUP_SKIP_TARGET_MOVED},
		{.target = 6,
		 .placed = 6,
		 .translated = 5,
		 .rewound = 2,
		 .follow = true,
		 .active = true,
		 .open = true,
		 .skip = GROUP_SKIP_TARGET_ACTIVE},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		check(&cases[i]);
}

/* Without a translation nothing is done, and it is looked at again. */
static void untranslated(void **state)
{
	(void)state;
	const struct group_position p = {.target = -1, .placed = -1};
	const struct group_translation t = {.skip = GROUP_SKIP_DOUBTFUL, .offset = 100};
	struct group_plan plan = group_plan(&p, &t, true, false);
	assert_false(plan.commit);
	assert_true(plan.open);
	assert_int_equal(plan.skip, GROUP_SKIP_DOUBTFUL);
}

static void words(void **state)
{
	(void)state;
	assert_string_equal(group_skip_word(GROUP_SKIP_NONE), "");
	for (int s = 1; s < GROUP_SKIPS_N; s++) {
		assert_true(strlen(group_skip_word((enum group_skip)s)) > 3);
		assert_true(strlen(group_skip_text((enum group_skip)s)) > 10);
	}
}

/* A page of metrics cannot hold the latency of each position of 10 000 groups: it says so. */
static void latencies_left_out(void **state)
{
	(void)state;
	struct cluster_config clusters[2] = {{.name = "a"}, {.name = "b"}};
	const struct link_config config = {.source = &clusters[0], .target = &clusters[1]};
	struct groups g = {.config = &config, .positions = 10000};
	struct link k = {.groups = &g};
	struct link *links[] = {&k};
	struct metrics m;
	struct buf page;
	buf_init(&page, 1 << 16);
	metrics_init(&m, &page);
	groups_mm2_metrics(links, 1, &m);
	buf_put_u8(&page, 0);
	assert_non_null(strstr((char *)page.p, "checkpoint_latency_ms"));
	assert_non_null(strstr((char *)page.p, "farshore_mm2_latencies_left_out 0\n"));
	buf_clear(&page);
	g.positions++;
	groups_mm2_metrics(links, 1, &m);
	buf_put_u8(&page, 0);
	assert_null(strstr((char *)page.p, "checkpoint_latency_ms"));
	assert_non_null(strstr((char *)page.p, "farshore_mm2_latencies_left_out 10001\n"));
	buf_fini(&page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(latencies_left_out),
		cmocka_unit_test(forward),
		cmocka_unit_test(backward),
		cmocka_unit_test(untranslated),
		cmocka_unit_test(words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
