/* SPDX-License-Identifier: Apache-2.0 */
/* M12: the budget of bytes in transit: the cap, the waiters' order, no deadlock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lib/base/frame.h"
#include "lib/net/loop.h"
#include "mirror/link/memory.h"

struct asker {
	struct memory *m;
	struct memory_waiter w;
	size_t want;
	int woken, served;
	int *order;
	int turn;
	struct asker *takes_off; /* takes another one's entry off when woken */
};

static void wake(void *arg)
{
	struct asker *a = arg;
	a->woken++;
	if (a->takes_off != NULL)
		memory_unwait(a->m, &a->takes_off->w);
	if (memory_take(a->m, a->want, &a->w)) {
		a->served++;
		a->turn = ++*a->order;
	}
}

static struct loop *loop_make(void)
{
	struct loop *l;
	struct errmsg why;
	assert_int_equal(loop_new(1, clock_system(), NULL, &l, &why), ERR_OK);
	return l;
}

static void ask(struct asker *a, struct memory *m, size_t want, int *order)
{
	*a = (struct asker){.m = m, .want = want, .order = order};
	a->w = (struct memory_waiter){.wake = wake, .arg = a};
}

static void cap_and_order(void **state)
{
	(void)state;
	struct loop *l = loop_make();
	struct memory *m = memory_new(l, 100);
	struct asker a, b, c;
	int order = 0;
	ask(&a, m, 60, &order);
	ask(&b, m, 50, &order);
	ask(&c, m, 40, &order);
	assert_true(memory_take(m, 100, &a.w));
	assert_false(memory_take(m, 60, &a.w));
	assert_false(memory_take(m, 60, &a.w)); /* listed once */
	assert_false(memory_take(m, 50, &b.w));
	assert_false(memory_take(m, 40, &c.w));
	memory_give(m, 100);
	assert_int_equal(a.woken, 0); /* never from inside */
	loop_turn(l, 0);
	assert_int_equal(a.turn, 1);
	assert_int_equal(b.served, 0); /* 60 + 50 > 100: waits again */
	assert_int_equal(c.turn, 2);
	assert_int_equal(memory_used(m), 100);
	assert_int_equal(memory_max(m), 100);
	memory_give(m, 60);
	loop_turn(l, 0);
	assert_int_equal(b.served, 1);
	memory_give(m, 90);
	memory_free(m);
	loop_free(l);
}

static void who_holds_nothing_is_served(void **state)
{
	(void)state;
	struct loop *l = loop_make();
	struct memory *m = memory_new(l, 100);
	struct asker a;
	int order = 0;
	ask(&a, m, 10, &order);
	assert_true(memory_take(m, 1000, &a.w)); /* larger than all */
	assert_false(memory_take(m, 10, &a.w));
	memory_give(m, 1000);
	loop_turn(l, 0);
	assert_int_equal(a.served, 1);
	memory_give(m, 10);
	memory_free(m);
	loop_free(l);
}

static void waiters_may_leave(void **state)
{
	(void)state;
	struct loop *l = loop_make();
	struct memory *m = memory_new(l, 100);
	struct asker a, b, c;
	int order = 0;
	ask(&a, m, 30, &order);
	ask(&b, m, 30, &order);
	ask(&c, m, 30, &order);
	a.takes_off = &b;
	assert_true(memory_take(m, 100, &a.w));
	assert_false(memory_take(m, 30, &a.w));
	assert_false(memory_take(m, 30, &b.w));
	assert_false(memory_take(m, 30, &c.w));
	memory_give(m, 100);
	loop_turn(l, 0);
	assert_int_equal(a.served, 1);
	assert_int_equal(b.woken, 0);
	assert_int_equal(c.served, 1);
	/* The last leaves: the list's end is right for who comes next. */
	assert_true(memory_take(m, 40, &b.w));
	assert_false(memory_take(m, 30, &b.w));
	assert_false(memory_take(m, 30, &c.w));
	memory_unwait(m, &c.w);
	memory_unwait(m, &c.w);
	assert_false(memory_take(m, 30, &c.w));
	memory_give(m, 100);
	loop_turn(l, 0);
	assert_int_equal(b.served, 1);
	assert_int_equal(c.served, 2);
	memory_give(m, 60);
	memory_free(m);
	loop_free(l);
}

/* What is set aside is not there for others; frames count until they are freed, once. */
static void standing_and_frames(void **state)
{
	(void)state;
	struct loop *l = loop_make();
	struct memory *m = memory_new(l, 100);
	struct asker a;
	int order = 0;
	ask(&a, m, 50, &order);
	memory_stand(m, 60);
	struct frame *f = frame_new(10);
	memory_count(m, f);
	memory_count(m, f);
	memory_count(m, NULL);
	size_t counted = memory_used(m);
	assert_true(counted >= 10);
	assert_false(memory_take(m, 50, &a.w)); /* 60 + 10 + 50 > 100 */
	frame_unref(frame_ref(f));
	loop_turn(l, 0);
	assert_int_equal(a.woken, 0);
	frame_unref(f);
	loop_turn(l, 0);
	assert_int_equal(a.served, 1); /* nothing else is held: served, whatever stands */
	memory_unstand(m, 60);
	memory_give(m, 50);
	memory_free(m);
	loop_free(l);
}

static void the_pool_has_the_limit(void **state)
{
	(void)state;
	struct loop *l = loop_make();
	struct memory *m = memory_new(l, 1 << 20);
	struct frame *f = frame_pool_get(memory_pool(m), 1 << 20);
	assert_non_null(f);
	assert_null(frame_pool_get(memory_pool(m), 64 << 20));
	frame_unref(f);
	memory_trim(m);
	memory_set_max(m, 128 << 20);
	f = frame_pool_get(memory_pool(m), 64 << 20);
	assert_non_null(f);
	frame_unref(f);
	memory_free(m);
	loop_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cap_and_order),
		cmocka_unit_test(who_holds_nothing_is_served),
		cmocka_unit_test(waiters_may_leave),
		cmocka_unit_test(standing_and_frames),
		cmocka_unit_test(the_pool_has_the_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
