/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Latency at a fixed rate, and idle consumers.
 *
 * A record is due at a fixed time and its latency counts from then, whether or not it could be sent
 * at once: a broker that stalls pays for all the records that it holds up.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "tests/tools/kafka_load.h"

static const int64_t SECOND = 1000000000;

enum { FRAMES = LOAD_QUEUE_MAX };

struct pace {
	const struct load_topic *topic;
	const struct load_options *options;
	struct load_conn *producer, *consumer;
	struct buf frames[FRAMES]; /* of the records that are not acknowledged yet */
	int64_t begin_ns;
	int64_t period_ns;
	int64_t sent, acked, fetched; /* records */
	int64_t *ack_ns, *fetch_ns;   /* latencies */
	int64_t *offsets;
	struct buf fetch_frame;
	struct arena arena;
};

static int64_t due_ns(const struct pace *p, int64_t number)
{
	return p->begin_ns + number * p->period_ns;
}

static void send_due(struct pace *p)
{
	for (; p->sent < p->options->records && due_ns(p, p->sent) <= load_now_ns(); p->sent++) {
		if (p->sent - p->acked == FRAMES)
			load_die("%d records wait for their acknowledgement", FRAMES);
		struct buf batch = {0}, *frame = &p->frames[p->sent % FRAMES];
		load_batch_stamped(p->options->shape.record_bytes, (uint64_t)p->sent, &batch);
		struct bytes whole = buf_bytes(&batch);
		load_produce_frame(p->topic, (int32_t)(p->sent % p->topic->partitions), 1, &whole,
				   frame);
		load_conn_queue(p->producer, buf_bytes(frame));
		buf_fini(&batch);
	}
	load_conn_flush(p->producer);
}

static void on_acked(struct load_conn *c, struct bytes answer)
{
	struct pace *p = c->owner;
	p->ack_ns[p->acked] = load_now_ns() - due_ns(p, p->acked);
	p->acked++;
	load_produce_check(p->topic, answer, &p->arena);
}

static void on_record(void *arg, int32_t partition, const struct batch_head *h, struct bytes whole)
{
	struct pace *p = arg;
	uint64_t number;
	p->offsets[partition] = batch_last_offset(h) + 1;
	if (!load_batch_stamp(whole, &number) || (int64_t)number >= p->options->records)
		load_die("partition %d has a record of somebody else", partition);
	p->fetch_ns[number] = load_now_ns() - due_ns(p, (int64_t)number);
	p->fetched++;
}

static void fetch_more(struct pace *p)
{
	struct load_fetch f = {.step = 1,
			       .offsets = p->offsets,
			       .max_wait_ms = p->options->max_wait_ms,
			       .max_bytes = 50 << 20,
			       .partition_max_bytes = 1 << 20};
	load_fetch_frame(p->topic, &f, &p->fetch_frame);
	load_conn_queue(p->consumer, buf_bytes(&p->fetch_frame));
	load_conn_flush(p->consumer);
}

static void on_fetched(struct load_conn *c, struct bytes answer)
{
	struct pace *p = c->owner;
	load_fetch_read(p->topic, answer, &p->arena,
			&(struct load_reader){.on_batch = on_record, .arg = p});
	if (p->fetched == p->options->records)
		c->loop->done = true;
	else
		fetch_more(p);
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

static void print_latency(const char *name, int64_t *ns, int64_t n)
{
	qsort(ns, (size_t)n, sizeof *ns, by_value);
	printf("\"%s_p50_ms\": %.3f, \"%s_p99_ms\": %.3f, \"%s_max_ms\": %.3f, ", name,
	       (double)ns[n / 2] / 1e6, name, (double)ns[n * 99 / 100] / 1e6, name,
	       (double)ns[n - 1] / 1e6);
}

static int start_timer(struct load_loop *l, int64_t period_ns)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	struct timespec t = {.tv_sec = period_ns / SECOND, .tv_nsec = period_ns % SECOND};
	if (fd < 0 || timerfd_settime(fd, 0, &(struct itimerspec){t, t}, NULL) != 0)
		load_die("timer: %s", strerror(errno));
	load_loop_watch(l, fd, l);
	return fd;
}

static void run_paced(struct load_loop *l, struct pace *p)
{
	int timer = start_timer(l, p->period_ns);
	p->begin_ns = load_now_ns();
	fetch_more(p);
	while (!l->done) {
		uint64_t ticks;
		if (load_loop_turn(l, -1) != NULL && read(timer, &ticks, sizeof ticks) < 0 &&
		    errno != EAGAIN)
			load_die("timer: %s", strerror(errno));
		send_due(p);
	}
	close(timer);
}

void load_pace(struct load_loop *l, const struct load_topic *t, const struct load_options *o)
{
	struct pace *p = mem_zalloc(1, sizeof *p);
	if (p == NULL)
		load_die("out of memory");
	p->topic = t;
	p->options = o;
	p->period_ns = SECOND / o->rate;
	p->ack_ns = mem_zalloc((size_t)o->records, sizeof *p->ack_ns);
	p->fetch_ns = mem_zalloc((size_t)o->records, sizeof *p->fetch_ns);
	p->offsets = mem_zalloc((size_t)t->partitions, sizeof *p->offsets);
	if (p->ack_ns == NULL || p->fetch_ns == NULL || p->offsets == NULL)
		load_die("out of memory");
	p->producer = load_conn_open(l, on_acked, p);
	p->consumer = load_conn_open(l, on_fetched, p);
	run_paced(l, p);
	/* The consumer can be first. */
	while (p->acked < o->records)
		load_loop_turn(l, -1);

	printf("{\"records\": %" PRId64 ", ", o->records);
	print_latency("ack", p->ack_ns, o->records);
	print_latency("fetch", p->fetch_ns, o->records);
	printf("\"client_cpu_s\": %.3f}\n", load_cpu_s());
	load_conn_close(p->producer);
	load_conn_close(p->consumer);
	for (int i = 0; i < FRAMES; i++)
		buf_fini(&p->frames[i]);
	buf_fini(&p->fetch_frame);
	arena_fini(&p->arena);
	mem_free(p->offsets);
	mem_free(p->fetch_ns);
	mem_free(p->ack_ns);
	mem_free(p);
}

/* ---- idle consumers ---- */

struct idler {
	struct load_conn *conn;
	struct buf frame;
	const struct load_topic *topic;
	struct arena *arena;
	int64_t answers, batches;
};

static void on_nothing_wanted(void *arg, int32_t partition, const struct batch_head *h,
			      struct bytes whole)
{
	(void)arg, (void)h, (void)whole;
	load_die("partition %d is not empty", partition);
}

static void on_idle(struct load_conn *c, struct bytes answer)
{
	struct idler *i = c->owner;
	load_fetch_read(i->topic, answer, i->arena,
			&(struct load_reader){.on_batch = on_nothing_wanted});
	i->answers++;
	load_conn_queue(c, buf_bytes(&i->frame));
	load_conn_flush(c);
}

void load_idle(struct load_loop *l, const struct load_topic *t, const struct load_options *o)
{
	struct arena arena = {0};
	struct idler *idlers = mem_zalloc(o->connections, sizeof *idlers);
	int64_t *offsets = mem_zalloc((size_t)t->partitions, sizeof *offsets);
	if (idlers == NULL || offsets == NULL)
		load_die("out of memory");
	for (unsigned i = 0; i < o->connections; i++) {
		/* Each reads one partition. */
		struct load_fetch f = {.first = (int32_t)i % t->partitions,
				       .step = t->partitions,
				       .offsets = offsets,
				       .max_wait_ms = o->max_wait_ms,
				       .max_bytes = 50 << 20,
				       .partition_max_bytes = 1 << 20};
		idlers[i] = (struct idler){.topic = t, .arena = &arena};
		load_fetch_frame(t, &f, &idlers[i].frame);
		idlers[i].conn = load_conn_open(l, on_idle, &idlers[i]);
		load_conn_queue(idlers[i].conn, buf_bytes(&idlers[i].frame));
		load_conn_flush(idlers[i].conn);
	}
	puts("{\"idle\": true}");
	fflush(stdout);
	int64_t end = load_now_ns() + o->seconds * SECOND, answers = 0;
	for (int64_t now; (now = load_now_ns()) < end;)
		load_loop_turn(l, (int)((end - now) / 1000000) + 1);
	for (unsigned i = 0; i < o->connections; i++) {
		answers += idlers[i].answers;
		load_conn_close(idlers[i].conn);
		buf_fini(&idlers[i].frame);
	}
	printf("{\"answers\": %" PRId64 ", \"client_cpu_s\": %.3f}\n", answers, load_cpu_s());
	arena_fini(&arena);
	mem_free(idlers);
	mem_free(offsets);
}
