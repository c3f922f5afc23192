/* SPDX-License-Identifier: Apache-2.0 */
/* F20: the Nth allocation inside the partition fails, N = 1, 2, ... until all have. Each simulated
 * run must end as if nothing had been: all copied once, nothing leaked (a sanitizer tells). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/base/fail_alloc.h"
#include "tests/unit/mirror_partition/sim_world.h"

enum { TRIES_MAX = 20000 };

/* Only what the partition does is to fail, not the world around it. */
static void enter(struct sim_world *w)
{
	if (w->fail_alloc > 0)
		fail_alloc_at(w->fail_alloc);
}

static void leave(struct sim_world *w)
{
	if (w->fail_alloc > 0)
		w->fail_alloc = fail_alloc_in;
	fail_alloc_off();
}

/* True if the Nth allocation came to pass. */
static bool run_one(enum sim_mode mode, bool goes_on, uint64_t seed, int64_t batches, long n)
{
	struct sim_world w;
	sim_world_init(&w, mode, seed);
	w.grow_left = batches;
	w.env.target_max_batch = 900;
	w.target.max_batch = 900;
	if (goes_on)
		sim_world_goes_on(&w);
	w.enter = enter;
	w.leave = leave;
	w.fail_alloc = n;
	sim_world_run(&w);
	bool came = w.fail_alloc == 0;
	assert_int_equal(w.p->state, STATE_ACTIVE);
	if (!w.p->shared && !goes_on)
		assert_int_equal(runs_dst_end(w.p->runs), w.target.end);
	assert_false(w.mixed);
	sim_world_fini(&w);
	return came;
}

static void loop_for(enum sim_mode mode, bool goes_on, uint64_t seed, int64_t batches)
{
	long n = 1;
	while (run_one(mode, goes_on, seed, batches, n))
		assert_true(++n < TRIES_MAX);
	printf("mode %d, seed %#llx: %ld allocations failed, one at a time\n", (int)mode,
	       (unsigned long long)seed, n - 1);
	assert_true(n > 100);
}

static void loop(enum sim_mode mode, uint64_t seed, int64_t batches)
{
	loop_for(mode, false, seed, batches);
}

static void every_allocation_may_fail(void **state)
{
	(void)state;
	loop(SIM_EXACT, 1, 20);
	loop(SIM_EXACT, 4, 40);
}

static void every_allocation_may_fail_while_matching(void **state)
{
	(void)state;
	loop(SIM_COMPACTED, 2, 30);
	loop(SIM_COMPACTED, 3, 30);
}

static void every_allocation_may_fail_among_others(void **state)
{
	(void)state;
	loop(SIM_SHARED, 1, 30);
	loop(SIM_SHARED, 5, 30);
}

static void every_allocation_may_fail_while_a_policy_goes_on(void **state)
{
	(void)state;
	loop_for(SIM_RETENTION, true, 1, 40);
	loop_for(SIM_RECREATED, true, 4, 20);
	loop_for(SIM_REFUSED, true, 2, 12);
	loop_for(SIM_SOURCE_LOSES, true, 3, 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_allocation_may_fail),
		cmocka_unit_test(every_allocation_may_fail_while_matching),
		cmocka_unit_test(every_allocation_may_fail_among_others),
		cmocka_unit_test(every_allocation_may_fail_while_a_policy_goes_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
