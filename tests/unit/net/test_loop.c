/* SPDX-License-Identifier: Apache-2.0 */
/* The event loop: turns, deferred work, timers on a clock that the test moves, the worker pool. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/net/loop.h"

/* A clock that moves only when told to. */
static int64_t fake_ms(void *ctx)
{
	return *(int64_t *)ctx;
}

static uint64_t fake_random(void *ctx)
{
	(void)ctx;
	return 0;
}

struct fixture {
	int64_t now;
	struct clock clock;
	struct loop *loop;
	char trace[256];
	size_t trace_n;
};

struct step {
	struct fixture *f;
	char name;
	struct loop_deferred d;
	struct loop_timer *t;
	struct step *other;
};

static void note(struct fixture *f, char c)
{
	assert_true(f->trace_n < sizeof f->trace - 1);
	f->trace[f->trace_n++] = c;
	f->trace[f->trace_n] = '\0';
}

static int setup(void **state)
{
	struct errmsg why = {0};
	struct fixture *f = mem_zalloc(1, sizeof *f);
	f->now = 1000000;
	f->clock = (struct clock){fake_ms, fake_ms, fake_random, &f->now};
	assert_int_equal(loop_new(2, &f->clock, NULL, &f->loop, &why), ERR_OK);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	loop_free(f->loop);
	mem_free(f);
	return 0;
}

static void note_step(void *arg)
{
	struct step *s = arg;
	note(s->f, s->name);
}

static void init_step(struct step *s, struct fixture *f, char name)
{
	*s = (struct step){.f = f, .name = name};
	s->d.fn = note_step;
	s->d.arg = s;
}

static void deferred_work_runs_once_in_order(void **state)
{
	struct fixture *f = *state;
	struct step s[3];
	for (int i = 0; i < 3; i++) {
		init_step(&s[i], f, (char)('a' + i));
		loop_defer(f->loop, &s[i].d);
		assert_true(s[i].d.pending);
	}
	assert_string_equal(f->trace, "");
	loop_turn(f->loop, 1000); /* does not wait: there is work */
	loop_turn(f->loop, 0);
	assert_string_equal(f->trace, "abc");
	assert_false(s[1].d.pending);
}

static void deferred_work_can_be_taken_back(void **state)
{
	struct fixture *f = *state;
	struct step s[3];
	for (int i = 0; i < 3; i++) {
		init_step(&s[i], f, (char)('a' + i));
		loop_defer(f->loop, &s[i].d);
	}
	loop_undefer(f->loop, &s[2].d);
	loop_undefer(f->loop, &s[0].d);
	loop_undefer(f->loop, &s[0].d);
	loop_defer(f->loop, &s[0].d);
	loop_turn(f->loop, 0);
	assert_string_equal(f->trace, "ba");
}

static void take_back_other(void *arg)
{
	struct step *s = arg;
	note(s->f, s->name);
	loop_undefer(s->f->loop, &s->other->d);
}

static void defer_again(void *arg)
{
	struct step *s = arg;
	note(s->f, s->name);
	loop_defer(s->f->loop, &s->d);
}

static void deferred_work_may_take_back_and_defer(void **state)
{
	struct fixture *f = *state;
	struct step a, b, c;
	init_step(&a, f, 'a');
	init_step(&b, f, 'b');
	init_step(&c, f, 'c');
	a.d.fn = take_back_other;
	a.other = &b;
	c.d.fn = defer_again;
	loop_defer(f->loop, &a.d);
	loop_defer(f->loop, &b.d);
	loop_defer(f->loop, &c.d);
	loop_turn(f->loop, 0);
	assert_string_equal(f->trace, "ac"); /* the new 'c' waits for the next turn */
	loop_turn(f->loop, 0);
	assert_string_equal(f->trace, "acc");
	loop_undefer(f->loop, &c.d);
}

static void timers_fire_by_the_clock_in_order(void **state)
{
	struct fixture *f = *state;
	static const int64_t in_ms[] = {500, 100, 300, 100, 0, 400, 200};
	struct step s[7];
	for (int i = 0; i < 7; i++) {
		init_step(&s[i], f, (char)('a' + i));
		s[i].t = loop_timer_new(f->loop, note_step, &s[i]);
		assert_false(loop_timer_armed(s[i].t));
		loop_timer_set(s[i].t, in_ms[i]);
		assert_true(loop_timer_armed(s[i].t));
	}
	loop_turn(f->loop, 0);
	assert_string_equal(f->trace, "e");
	f->now += 99;
	loop_turn(f->loop, 0);
	assert_string_equal(f->trace, "e");
	f->now += 1;
	loop_turn(f->loop, 0);
	assert_string_equal(f->trace, "ebd");
	loop_timer_stop(s[2].t);
	loop_timer_set(s[5].t, 10000); /* later than before */
	f->now += 1000;
	loop_turn(f->loop, 0);
	assert_string_equal(f->trace, "ebdga");
	assert_false(loop_timer_armed(s[0].t));
	for (int i = 0; i < 7; i++)
		loop_timer_free(s[i].t);
}

/* Random arming and stopping against the plain rule: sorted by deadline, then by order. */
static void many_timers_keep_order(void **state)
{
	enum { N = 300 };
	struct fixture *f = *state;
	struct step s[N];
	static int64_t deadline[N];
	uint64_t x = 88172645463325252u;
	for (int i = 0; i < N; i++) {
		init_step(&s[i], f, 'x');
		s[i].t = loop_timer_new(f->loop, note_step, &s[i]);
		deadline[i] = -1;
	}
	for (int round = 0; round < 3000; round++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		size_t i = x % N;
		if (x >> 60 == 0) {
			loop_timer_stop(s[i].t);
			deadline[i] = -1;
		} else {
			loop_timer_set(s[i].t, (int64_t)(x >> 20 & 1023));
			deadline[i] = f->now + (int64_t)(x >> 20 & 1023);
		}
		if (round % 30 != 0)
			continue;
		f->now += 10;
		size_t due = 0;
		for (int k = 0; k < N; k++) {
			due += deadline[k] >= 0 && deadline[k] <= f->now;
			deadline[k] = deadline[k] <= f->now ? -1 : deadline[k];
		}
		f->trace_n = 0;
		loop_turn(f->loop, 0);
		assert_int_equal(f->trace_n, due);
		for (int k = 0; k < N; k++)
			assert_int_equal(loop_timer_armed(s[k].t), deadline[k] >= 0);
	}
	for (int i = 0; i < N; i++)
		loop_timer_free(s[i].t);
}

static void rearm_at_once(void *arg)
{
	struct step *s = arg;
	note(s->f, s->name);
	loop_timer_set(s->t, 0);
}

static void free_itself(void *arg)
{
	struct step *s = arg;
	note(s->f, s->name);
	loop_timer_free(s->t);
}

static void timer_callbacks_may_rearm_and_free(void **state)
{
	struct fixture *f = *state;
	struct step a, b;
	init_step(&a, f, 'a');
	init_step(&b, f, 'b');
	a.t = loop_timer_new(f->loop, rearm_at_once, &a);
	b.t = loop_timer_new(f->loop, free_itself, &b);
	loop_timer_set(a.t, -5);
	loop_timer_set(b.t, 0);
	loop_turn(f->loop, 0);
	assert_true(f->trace_n <= 3); /* a turn ends although 'a' is always due */
	assert_non_null(strchr(f->trace, 'b'));
	loop_timer_free(a.t);
	loop_timer_free(NULL);
}

static void far_deadline_does_not_overflow(void **state)
{
	struct fixture *f = *state;
	struct step a;
	init_step(&a, f, 'a');
	a.t = loop_timer_new(f->loop, note_step, &a);
	loop_timer_set(a.t, INT64_MAX);
	loop_turn(f->loop, 1);
	assert_string_equal(f->trace, "");
	loop_timer_free(a.t);
}

static void stop_loop(void *arg)
{
	struct step *s = arg;
	note(s->f, s->name);
	loop_break(s->f->loop);
}

static void break_ends_run(void **state)
{
	struct fixture *f = *state;
	struct step a, b;
	init_step(&a, f, 'a');
	init_step(&b, f, 'b');
	a.d.fn = stop_loop;
	loop_break(f->loop); /* forgotten */
	loop_defer(f->loop, &a.d);
	loop_defer(f->loop, &b.d);
	loop_run(f->loop);
	assert_string_equal(f->trace, "a");
	loop_turn(f->loop, 0);
	assert_string_equal(f->trace, "ab");
}

/* With the system's clock: a run waits for a timer, not much less and not forever. */
static void run_waits_for_a_timer(void **state)
{
	(void)state;
	struct errmsg why = {0};
	struct fixture f = {.now = 0};
	struct step a;
	assert_int_equal(loop_new(1, clock_system(), NULL, &f.loop, &why), ERR_OK);
	init_step(&a, &f, 'a');
	a.t = loop_timer_new(f.loop, stop_loop, &a);
	int64_t start = loop_now_ms(f.loop);
	loop_timer_set(a.t, 30);
	loop_run(f.loop);
	assert_true(loop_now_ms(f.loop) - start >= 30);
	start = loop_now_ms(f.loop);
	loop_timer_set(a.t, 20);
	loop_run(f.loop);
	assert_true(loop_now_ms(f.loop) - start >= 20);
	assert_string_equal(f.trace, "aa");
	loop_timer_free(a.t);
	loop_free(f.loop);
}

static void turn_waits_no_longer_than_told(void **state)
{
	(void)state;
	struct errmsg why = {0};
	struct loop *l;
	assert_int_equal(loop_new(1, clock_system(), NULL, &l, &why), ERR_OK);
	int64_t start = loop_now_ms(l);
	loop_turn(l, 20);
	int64_t took = loop_now_ms(l) - start;
	assert_true(took >= 15 && took < 5000);
	loop_free(l);
}

struct job {
	struct worker_job job;
	unsigned ran, done;
};

static void job_run(struct worker_job *j)
{
	((struct job *)j)->ran++;
}

static void job_done(struct worker_job *j)
{
	((struct job *)j)->done++;
}

static void pool_jobs_complete_on_the_loop(void **state)
{
	struct fixture *f = *state;
	struct job j = {.job = {.run = job_run, .done = job_done}};
	worker_pool_submit(loop_pool(f->loop), &j.job);
	for (int i = 0; i < 1000 && j.done == 0; i++)
		loop_turn(f->loop, 10);
	assert_int_equal(j.ran, 1);
	assert_int_equal(j.done, 1);
}

static void free_completes_what_is_left(void **state)
{
	(void)state;
	struct errmsg why = {0};
	struct fixture f = {.now = 0};
	struct step a;
	struct job j = {.job = {.run = job_run, .done = job_done}};
	assert_int_equal(loop_new(1, clock_system(), NULL, &f.loop, &why), ERR_OK);
	init_step(&a, &f, 'a');
	loop_defer(f.loop, &a.d);
	worker_pool_submit(loop_pool(f.loop), &j.job);
	loop_free(f.loop);
	assert_string_equal(f.trace, "a");
	assert_int_equal(j.done, 1);
	loop_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(deferred_work_runs_once_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(deferred_work_can_be_taken_back, setup, teardown),
		cmocka_unit_test_setup_teardown(deferred_work_may_take_back_and_defer, setup,
						teardown),
		cmocka_unit_test_setup_teardown(timers_fire_by_the_clock_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(many_timers_keep_order, setup, teardown),
		cmocka_unit_test_setup_teardown(timer_callbacks_may_rearm_and_free, setup,
						teardown),
		cmocka_unit_test_setup_teardown(far_deadline_does_not_overflow, setup, teardown),
		cmocka_unit_test_setup_teardown(break_ends_run, setup, teardown),
		cmocka_unit_test(run_waits_for_a_timer),
		cmocka_unit_test(turn_waits_no_longer_than_told),
		cmocka_unit_test_setup_teardown(pool_jobs_complete_on_the_loop, setup, teardown),
		cmocka_unit_test(free_completes_what_is_left),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
