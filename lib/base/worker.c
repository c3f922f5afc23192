/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two lists under one lock: waiting and finished. The eventfd is written when the finished list
 * stops being empty and read by reap, which takes the whole list at once.
 */
#include "lib/base/worker.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/base/mem.h"

enum { MAX_THREADS = 16 };

struct queue {
	struct worker_job *head;
	struct worker_job **tail;
};

struct worker_pool {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct queue waiting;
	struct queue finished;
	bool stopping;
	int fd;
	unsigned threads;
	unsigned pending; /* loop thread only */
	pthread_t ids[MAX_THREADS];
};

static void queue_init(struct queue *q)
{
	q->head = NULL;
	q->tail = &q->head;
}

static void queue_push(struct queue *q, struct worker_job *job)
{
	job->next = NULL;
	*q->tail = job;
	q->tail = &job->next;
}

static struct worker_job *queue_pop(struct queue *q)
{
	struct worker_job *job = q->head;
	if (job != NULL) {
		q->head = job->next;
		if (q->head == NULL)
			q->tail = &q->head;
	}
	return job;
}

static void finish(struct worker_pool *p, struct worker_job *job)
{
	bool first = p->finished.head == NULL;
	queue_push(&p->finished, job);
	if (first) {
		const uint64_t one = 1;
		/* The counter cannot overflow: at most one write per reap. */
		ssize_t ignored = write(p->fd, &one, sizeof one);
		(void)ignored;
	}
}

static void *worker_main(void *arg)
{
	struct worker_pool *p = arg;
	pthread_mutex_lock(&p->lock);
	for (;;) {
		while (p->waiting.head == NULL && !p->stopping)
			pthread_cond_wait(&p->wake, &p->lock);
		if (p->stopping)
			break;
		struct worker_job *job = queue_pop(&p->waiting);
		pthread_mutex_unlock(&p->lock);
		job->run(job);
		pthread_mutex_lock(&p->lock);
		finish(p, job);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

static void stop_threads(struct worker_pool *p)
{
	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	pthread_cond_broadcast(&p->wake);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->threads; i++)
		pthread_join(p->ids[i], NULL);
}

static void pool_destroy(struct worker_pool *p)
{
	stop_threads(p);
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	close(p->fd);
	mem_free(p);
}

enum err worker_pool_new(unsigned threads, struct worker_pool **out, struct errmsg *why)
{
	struct worker_pool *p = mem_zalloc(1, sizeof *p);
	if (p == NULL)
		return errmsg_set(why, ERR_NOMEM, "worker pool: out of memory");
	queue_init(&p->waiting);
	queue_init(&p->finished);
	p->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (p->fd < 0) {
		enum err e = errmsg_set(why, ERR_IO, "worker pool: eventfd: %s", strerror(errno));
		mem_free(p);
		return e;
	}
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->wake, NULL);
	if (threads > MAX_THREADS)
		threads = MAX_THREADS;
	for (; p->threads < threads; p->threads++) {
		int rc = pthread_create(&p->ids[p->threads], NULL, worker_main, p);
		if (rc != 0) {
			enum err e =
				errmsg_set(why, ERR_IO, "worker pool: thread: %s", strerror(rc));
			pool_destroy(p);
			return e;
		}
	}
	*out = p;
	return ERR_OK;
}

void worker_pool_submit(struct worker_pool *p, struct worker_job *job)
{
	p->pending++;
	pthread_mutex_lock(&p->lock);
	queue_push(&p->waiting, job);
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
}

int worker_pool_fd(const struct worker_pool *p)
{
	return p->fd;
}

static void complete_all(struct worker_pool *p, struct worker_job *job)
{
	while (job != NULL) {
		struct worker_job *next = job->next;
		p->pending--;
		job->done(job);
		job = next;
	}
}

void worker_pool_reap(struct worker_pool *p)
{
	uint64_t count;
	ssize_t ignored = read(p->fd, &count, sizeof count);
	(void)ignored;
	pthread_mutex_lock(&p->lock);
	struct worker_job *job = p->finished.head;
	queue_init(&p->finished);
	pthread_mutex_unlock(&p->lock);
	complete_all(p, job);
}

unsigned worker_pool_pending(const struct worker_pool *p)
{
	return p->pending;
}

void worker_pool_free(struct worker_pool *p)
{
	if (p == NULL)
		return;
	stop_threads(p);
	p->threads = 0;
	while (p->finished.head != NULL || p->waiting.head != NULL) {
		struct worker_job *finished = p->finished.head, *waiting = p->waiting.head;
		queue_init(&p->finished);
		queue_init(&p->waiting);
		complete_all(p, finished);
		complete_all(p, waiting);
	}
	pool_destroy(p);
}
