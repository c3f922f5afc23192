/* SPDX-License-Identifier: Apache-2.0 */
/* Many deadlines on one timer: their order, and changes from inside of one. */
#include "tests/unit/base/unit.h"

#include "cluster/deadline.h"

struct fixture {
	int64_t now;
	struct clock clock;
	struct loop *loop;
	struct deadlines *all;
	char trace[64];
	size_t n;
};

struct one {
	struct deadline d; /* the first member */
	struct fixture *f;
	char name;
	struct one *clears, *sets;
};

static int64_t fake_ms(void *ctx)
{
	return *(int64_t *)ctx;
}

static uint64_t fake_random(void *ctx)
{
	(void)ctx;
	return 0;
}

static int setup(void **state)
{
	struct errmsg why = {{0}};
	struct fixture *f = calloc(1, sizeof *f);
	f->now = 5000;
	f->clock = (struct clock){fake_ms, fake_ms, fake_random, &f->now};
	assert_int_equal(loop_new(1, &f->clock, NULL, &f->loop, &why), ERR_OK);
	f->all = deadlines_new(f->loop);
	assert_non_null(f->all);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	deadlines_free(f->all);
	loop_free(f->loop);
	free(f);
	return 0;
}

static void fire(struct deadline *d)
{
	struct one *o = (struct one *)d;
	assert_null(d->of);
	o->f->trace[o->f->n++] = o->name;
	if (o->clears != NULL)
		deadline_clear(&o->clears->d);
	if (o->sets != NULL)
		deadline_set(o->f->all, &o->sets->d, 10);
}

static struct one make(struct fixture *f, char name)
{
	return (struct one){.d = {.fn = fire}, .f = f, .name = name};
}

static void run_until(struct fixture *f, int64_t now, const char *expected)
{
	f->now = now;
	for (int i = 0; i < 3; i++)
		loop_turn(f->loop, 0);
	f->trace[f->n] = '\0';
	assert_string_equal(f->trace, expected);
}

static void fires_in_the_order_of_time(void **state)
{
	struct fixture *f = *state;
	struct one a = make(f, 'a'), b = make(f, 'b'), c = make(f, 'c'), d = make(f, 'd');
	deadline_set(f->all, &c.d, 300);
	deadline_set(f->all, &a.d, 100);
	deadline_set(f->all, &d.d, 300);
	deadline_set(f->all, &b.d, 200);
	run_until(f, 5099, "");
	run_until(f, 5100, "a");
	run_until(f, 5299, "ab");
	run_until(f, 5300, "abcd");
}

static void cleared_ones_do_not_fire(void **state)
{
	struct fixture *f = *state;
	struct one a = make(f, 'a'), b = make(f, 'b'), c = make(f, 'c');
	deadline_set(f->all, &a.d, 100);
	deadline_set(f->all, &b.d, 200);
	deadline_set(f->all, &c.d, 300);
	deadline_clear(&a.d);
	deadline_clear(&a.d);
	deadline_clear(&c.d);
	run_until(f, 6000, "b");
	deadline_set(f->all, &a.d, -5);
	run_until(f, 6000, "ba");
}

static void a_deadline_may_change_others(void **state)
{
	struct fixture *f = *state;
	struct one a = make(f, 'a'), b = make(f, 'b'), c = make(f, 'c');
	a.clears = &b;
	a.sets = &c;
	deadline_set(f->all, &a.d, 100);
	deadline_set(f->all, &b.d, 100);
	run_until(f, 5100, "a");
	run_until(f, 5110, "ac");
}

static void expire_ends_all_waits_at_once(void **state)
{
	struct fixture *f = *state;
	struct one a = make(f, 'a'), b = make(f, 'b');
	deadline_set(f->all, &a.d, 1000);
	deadline_set(f->all, &b.d, 2000);
	deadlines_expire(f->all);
	assert_int_equal(f->n, 0);
	run_until(f, 5000, "ab");
	deadlines_expire(f->all);
	run_until(f, 9000, "ab");
}

static void what_is_left_is_forgotten(void **state)
{
	struct fixture *f = *state;
	struct one a = make(f, 'a');
	deadline_set(f->all, &a.d, 10);
	deadlines_free(f->all);
	f->all = deadlines_new(f->loop);
	deadline_clear(&a.d);
	run_until(f, 9000, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(fires_in_the_order_of_time, setup, teardown),
		cmocka_unit_test_setup_teardown(cleared_ones_do_not_fire, setup, teardown),
		cmocka_unit_test_setup_teardown(a_deadline_may_change_others, setup, teardown),
		cmocka_unit_test_setup_teardown(expire_ends_all_waits_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_left_is_forgotten, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
