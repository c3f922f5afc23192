/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Latency at a fixed rate, and idle consumers.
 *
 * A record is due at a fixed time and its latency counts from then, whether or not it could be sent
 * at once: a broker that stalls pays for all the records that it holds up. With a second reader, of
 * a mirrored topic, what the mirror adds is how much later than the first reader it sees a record.
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

/* A consumer that waits for the paced records. */
struct reader {
	struct pace *pace;
	const struct load_topic *topic;
	struct load_conn *conn;
	int64_t fetched; /* records */
	int64_t *ns;     /* latencies */
	int64_t *offsets;
	struct buf frame;
};

struct pace {
	const struct load_topic *topic;
	const struct load_options *options;
	struct load_loop *loop;
	struct load_conn *producer;
	struct reader near, far;   /* far: only with options->far */
	struct buf frames[FRAMES]; /* of the records that are not acknowledged yet */
	int64_t begin_ns;
	int64_t period_ns;
	int64_t sent, acked; /* records */
	int64_t *ack_ns;     /* latencies */
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
		load_batch_stamped(p->options->shape.record_bytes,
				   (uint64_t)(p->options->first + p->sent), &batch);
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

static void on_record(struct reader *r, uint64_t stamp)
{
	const struct load_options *o = r->pace->options;
	int64_t number = (int64_t)stamp - o->first;
	if (number < 0)
		return; /* of an earlier run */
	if (number >= o->records || r->ns[number] != 0)
		load_die("%s: record %" PRIu64 " is of somebody else, or came twice",
			 r->topic->name, stamp);
	r->ns[number] = load_now_ns() - due_ns(r->pace, number);
	r->fetched++;
}

static void on_batch(void *arg, int32_t partition, const struct batch_head *h, struct bytes whole)
{
	struct reader *r = arg;
	int32_t stamps = 0;
	uint64_t stamp;
	r->offsets[partition] = batch_last_offset(h) + 1;
	for (size_t at = 0; load_batch_stamp(whole, &at, &stamp); stamps++)
		on_record(r, stamp);
	if (stamps != h->count && r->pace->options->first == 0)
		load_die("%s: partition %d has a record of somebody else", r->topic->name,
			 partition);
}

static void fetch_more(struct reader *r)
{
	struct load_fetch f = {.step = 1,
			       .offsets = r->offsets,
			       .max_wait_ms = r->pace->options->max_wait_ms,
			       .max_bytes = 50 << 20,
			       .partition_max_bytes = 1 << 20};
	load_fetch_frame(r->topic, &f, &r->frame);
	load_conn_queue(r->conn, buf_bytes(&r->frame));
	load_conn_flush(r->conn);
}

static void on_fetched(struct load_conn *c, struct bytes answer)
{
	struct reader *r = c->owner;
	struct pace *p = r->pace;
	int64_t records = p->options->records;
	load_fetch_read(r->topic, answer, &p->arena,
			&(struct load_reader){.on_batch = on_batch, .arg = r});
	if (r->fetched < records)
		fetch_more(r);
	p->loop->done = p->near.fetched == records &&
			(p->options->far == NULL || p->far.fetched == records);
}

static void reader_open(struct reader *r, struct pace *p, struct load_loop *l,
			const struct load_topic *t)
{
	*r = (struct reader){.pace = p, .topic = t};
	r->ns = mem_zalloc((size_t)p->options->records, sizeof *r->ns);
	r->offsets = mem_zalloc((size_t)t->partitions, sizeof *r->offsets);
	if (r->ns == NULL || r->offsets == NULL)
		load_die("out of memory");
	r->conn = load_conn_open(l, on_fetched, r);
}

static void reader_close(struct reader *r)
{
	if (r->conn == NULL)
		return;
	load_conn_close(r->conn);
	buf_fini(&r->frame);
	mem_free(r->ns);
	mem_free(r->offsets);
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
	fetch_more(&p->near);
	if (p->far.conn != NULL)
		fetch_more(&p->far);
	while (!l->done) {
		uint64_t ticks;
		if (load_loop_turn(l, -1) != NULL && read(timer, &ticks, sizeof ticks) < 0 &&
		    errno != EAGAIN)
			load_die("timer: %s", strerror(errno));
		send_due(p);
	}
	close(timer);
}

static void print_paced(struct pace *p, int64_t records)
{
	printf("{\"records\": %" PRId64 ", ", records);
	if (p->far.conn != NULL) {
		for (int64_t i = 0; i < records; i++)
			p->far.ns[i] -= p->near.ns[i];
		print_latency("added", p->far.ns, records);
	}
	print_latency("ack", p->ack_ns, records);
	print_latency("fetch", p->near.ns, records);
	printf("\"client_cpu_s\": %.3f}\n", load_cpu_s());
}

void load_pace(struct load_loop *l, const struct load_topic *t, const struct load_options *o)
{
	struct pace *p = mem_zalloc(1, sizeof *p);
	if (p == NULL)
		load_die("out of memory");
	p->topic = t;
	p->options = o;
	p->loop = l;
	p->period_ns = SECOND / o->rate;
	p->ack_ns = mem_zalloc((size_t)o->records, sizeof *p->ack_ns);
	if (p->ack_ns == NULL)
		load_die("out of memory");
	p->producer = load_conn_open(l, on_acked, p);
	reader_open(&p->near, p, l, t);
	struct load_loop far = *l; /* one epoll for both brokers */
	struct load_topic far_topic = {0};
	if (o->far != NULL) {
		load_address(&far, o->far);
		load_topic_find(&far, o->far_topic, &far_topic);
		reader_open(&p->far, p, &far, &far_topic);
	}
	run_paced(l, p);
	/* The consumer can be first. */
	while (p->acked < o->records)
		load_loop_turn(l, -1);

	print_paced(p, o->records);
	load_conn_close(p->producer);
	reader_close(&p->near);
	reader_close(&p->far);
	for (int i = 0; i < FRAMES; i++)
		buf_fini(&p->frames[i]);
	arena_fini(&p->arena);
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
