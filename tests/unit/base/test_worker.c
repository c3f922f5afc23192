/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/base/unit.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "lib/base/worker.h"
#include "tests/unit/base/fail_alloc.h"

enum { JOBS = 2000 };

struct job {
	struct worker_job job;
	struct worker_pool *pool;
	atomic_int *gate; /* run waits until it is not 0 */
	atomic_uint ran;
	unsigned done;
	unsigned order;
	unsigned *counter;
	struct job *then; /* submitted from done */
	pthread_t thread;
};

static void run(struct worker_job *w)
{
	struct job *j = (struct job *)w;
	while (j->gate != NULL && atomic_load(j->gate) == 0)
		sched_yield();
	atomic_fetch_add(&j->ran, 1);
	j->thread = pthread_self();
}

static void done(struct worker_job *w)
{
	struct job *j = (struct job *)w;
	j->done++;
	if (j->counter != NULL)
		j->order = (*j->counter)++;
	if (j->then != NULL)
		worker_pool_submit(j->pool, &j->then->job);
}

static struct job *job_init(struct job *j, struct worker_pool *p)
{
	memset(j, 0, sizeof *j);
	j->job.run = run;
	j->job.done = done;
	j->pool = p;
	return j;
}

static struct worker_pool *pool_new(unsigned threads)
{
	struct worker_pool *p;
	struct errmsg why;
	assert_int_equal(worker_pool_new(threads, &p, &why), ERR_OK);
	return p;
}

static void wait_until_done(struct worker_pool *p)
{
	while (worker_pool_pending(p) > 0) {
		struct pollfd fd = {.fd = worker_pool_fd(p), .events = POLLIN};
		assert_int_equal(poll(&fd, 1, 10000), 1);
		worker_pool_reap(p);
	}
}

static void each_job_runs_and_completes_once(void **state)
{
	(void)state;
	static struct job jobs[JOBS];
	for (unsigned threads = 1; threads <= 16; threads += 5) {
		struct worker_pool *p = pool_new(threads);
		for (unsigned i = 0; i < JOBS; i++) {
			worker_pool_submit(p, &job_init(&jobs[i], p)->job);
			assert_int_equal(jobs[i].done, 0);
			if (i % 64 == 0)
				worker_pool_reap(p);
		}
		wait_until_done(p);
		for (unsigned i = 0; i < JOBS; i++) {
			assert_int_equal(atomic_load(&jobs[i].ran), 1);
			assert_int_equal(jobs[i].done, 1);
			assert_false(pthread_equal(jobs[i].thread, pthread_self()));
		}
		worker_pool_free(p);
	}
}

static void one_thread_keeps_the_order(void **state)
{
	(void)state;
	static struct job jobs[200];
	unsigned counter = 0;
	struct worker_pool *p = pool_new(1);
	for (unsigned i = 0; i < 200; i++) {
		job_init(&jobs[i], p)->counter = &counter;
		worker_pool_submit(p, &jobs[i].job);
	}
	assert_true(worker_pool_pending(p) <= 200);
	wait_until_done(p);
	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(jobs[i].order, i);
	worker_pool_free(p);
}

static void done_may_submit(void **state)
{
	(void)state;
	static struct job jobs[50];
	struct worker_pool *p = pool_new(2);
	for (unsigned i = 0; i < 50; i++)
		job_init(&jobs[i], p);
	for (unsigned i = 0; i < 49; i++)
		jobs[i].then = &jobs[i + 1];
	worker_pool_submit(p, &jobs[0].job);
	wait_until_done(p);
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(jobs[i].done, 1);
	worker_pool_free(p);
}

/* A job that runs is waited for; those behind it complete without a run; what they submit too. */
static void free_completes_all(void **state)
{
	(void)state;
	static struct job jobs[20], late;
	atomic_int gate = 0;
	struct worker_pool *p = pool_new(1);
	for (unsigned i = 0; i < 20; i++) {
		job_init(&jobs[i], p)->gate = &gate;
		worker_pool_submit(p, &jobs[i].job);
	}
	jobs[19].then = job_init(&late, p);
	atomic_store(&gate, 1);
	worker_pool_free(p);
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(jobs[i].done, 1);
		assert_true(atomic_load(&jobs[i].ran) <= 1);
	}
	assert_int_equal(late.done, 1);
	worker_pool_free(NULL);
}

static void reap_with_nothing_finished(void **state)
{
	(void)state;
	struct worker_pool *p = pool_new(1);
	worker_pool_reap(p);
	struct pollfd fd = {.fd = worker_pool_fd(p), .events = POLLIN};
	assert_int_equal(poll(&fd, 1, 0), 0);
	worker_pool_free(p);
}

static void out_of_memory(void **state)
{
	(void)state;
	struct worker_pool *p;
	struct errmsg why = {{0}};
	fail_alloc_at(1);
	assert_int_equal(worker_pool_new(1, &p, &why), ERR_NOMEM);
	assert_true(fail_alloc_off());
	assert_non_null(strstr(why.text, "out of memory"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_job_runs_and_completes_once),
		cmocka_unit_test(one_thread_keeps_the_order),
		cmocka_unit_test(done_may_submit),
		cmocka_unit_test(free_completes_all),
		cmocka_unit_test(reap_with_nothing_finished),
		cmocka_unit_test(out_of_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
