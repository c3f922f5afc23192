/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Throughput: produce and consume as fast as the broker takes and gives.
 *
 * The generator shares the machine with the broker that it measures, so it does next to nothing per
 * request: the frames to produce are made before the clock starts, and of what is fetched only the
 * heads of batches are looked at.
 */
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>

#include "lib/base/mem.h"
#include "tests/tools/kafka_load.h"

enum { FRAMES_BYTES = 16 << 20, FRAMES_MAX = 4096 };

double load_cpu_s(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* ---- produce ---- */

struct produce {
	const struct load_topic *topic;
	struct buf *frames;
	unsigned frames_n;
	int64_t stored;          /* bytes of batches in one frame */
	int64_t to_send, to_ack; /* requests */
	unsigned next;
	struct arena arena;
};

static void send_next(struct produce *p, struct load_conn *c)
{
	if (p->to_send == 0)
		return;
	p->to_send--;
	load_conn_queue(c, buf_bytes(&p->frames[p->next++ % p->frames_n]));
	load_conn_flush(c);
}

static void on_produced(struct load_conn *c, struct bytes answer)
{
	struct produce *p = c->owner;
	load_produce_check(p->topic, answer, &p->arena);
	c->loop->done = --p->to_ack == 0;
	send_next(p, c);
}

/* A few MiB of different requests: more than a CPU's cache, so that they come from memory as a
 * client's would. */
static void make_frames(struct produce *p, const struct load_options *o)
{
	int32_t per = o->partitions_per_request;
	struct bytes *batches = mem_zalloc((size_t)per, sizeof *batches);
	struct buf *made = mem_zalloc((size_t)per, sizeof *made);
	p->frames = mem_zalloc(FRAMES_MAX, sizeof *p->frames);
	if (batches == NULL || made == NULL || p->frames == NULL)
		load_die("out of memory");
	size_t bytes = 0;
	for (uint64_t seed = 1; p->frames_n < FRAMES_MAX && bytes < FRAMES_BYTES; p->frames_n++) {
		p->stored = 0;
		for (int32_t i = 0; i < per; i++) {
			load_batch_make(&o->shape, seed++, &made[i]);
			batches[i] = buf_bytes(&made[i]);
			p->stored += (int64_t)made[i].len;
		}
		int32_t first = (int32_t)((int64_t)p->frames_n * per % p->topic->partitions);
		load_produce_frame(p->topic, first, per, batches, &p->frames[p->frames_n]);
		bytes += p->frames[p->frames_n].len;
	}
	for (int32_t i = 0; i < per; i++)
		buf_fini(&made[i]);
	mem_free(made);
	mem_free(batches);
}

void load_produce(struct load_loop *l, const struct load_topic *t, const struct load_options *o)
{
	struct produce p = {.topic = t};
	struct load_conn *conns[LOAD_QUEUE_MAX];
	if (o->connections > LOAD_QUEUE_MAX)
		load_die("at most %d connections", LOAD_QUEUE_MAX);
	make_frames(&p, o);
	p.to_send = p.to_ack = o->bytes / p.stored + 1;
	int64_t requests = p.to_ack;
	for (unsigned i = 0; i < o->connections; i++)
		conns[i] = load_conn_open(l, on_produced, &p);

	double cpu = load_cpu_s();
	int64_t begin = load_now_ns();
	for (unsigned k = 0; k < o->in_flight; k++)
		for (unsigned i = 0; i < o->connections; i++)
			send_next(&p, conns[i]);
	load_loop_run(l);
	double seconds = (double)(load_now_ns() - begin) / 1e9;

	int64_t batches = requests * o->partitions_per_request;
	printf("{\"bytes\": %" PRId64 ", \"records\": %" PRId64 ", \"batches\": %" PRId64
	       ", \"batch_bytes\": %" PRId64
	       ", \"seconds\": %.4f, \"client_cpu_s\": %.3f, \"version\": %d}\n",
	       requests * p.stored, batches * o->shape.records, batches,
	       p.stored / o->partitions_per_request, seconds, load_cpu_s() - cpu, t->produce);
	for (unsigned i = 0; i < o->connections; i++)
		load_conn_close(conns[i]);
	for (unsigned i = 0; i < p.frames_n; i++)
		buf_fini(&p.frames[i]);
	mem_free(p.frames);
	arena_fini(&p.arena);
}

/* ---- consume ---- */

struct consumer {
	struct consume *all;
	struct load_fetch fetch;
	struct buf frame;
	struct load_conn *conn;
	unsigned passes_left;
};

struct consume {
	const struct load_topic *topic;
	int64_t *offsets, *high; /* by partition */
	unsigned running;        /* consumers that are not at the end of their last pass */
	int64_t records, bytes, batches, answers;
	struct arena arena;
};

static void on_batch(void *arg, int32_t partition, const struct batch_head *h, struct bytes whole)
{
	struct consume *all = arg;
	if (batch_last_offset(h) < all->offsets[partition])
		return;
	if (h->base_offset != all->offsets[partition])
		load_die("partition %d: batch at %" PRId64 ", expected %" PRId64, partition,
			 h->base_offset, all->offsets[partition]);
	all->offsets[partition] = batch_last_offset(h) + 1;
	all->records += h->count;
	all->bytes += (int64_t)whole.n;
	all->batches++;
}

static void fetch_next(struct consumer *k)
{
	load_fetch_frame(k->all->topic, &k->fetch, &k->frame);
	load_conn_queue(k->conn, buf_bytes(&k->frame));
	load_conn_flush(k->conn);
}

static bool is_at_end(const struct consumer *k)
{
	const struct consume *all = k->all;
	for (int32_t i = k->fetch.first; i < all->topic->partitions; i += k->fetch.step)
		if (all->offsets[i] < all->high[i])
			return false;
	return true;
}

static void begin_pass(struct consumer *k)
{
	for (int32_t i = k->fetch.first; i < k->all->topic->partitions; i += k->fetch.step)
		k->all->offsets[i] = 0;
	k->passes_left--;
}

static void on_fetched(struct load_conn *c, struct bytes answer)
{
	struct consumer *k = c->owner;
	struct consume *all = k->all;
	const struct load_reader reader = {.on_batch = on_batch, .arg = all, .high = all->high};
	all->answers++;
	load_fetch_read(all->topic, answer, &all->arena, &reader);
	if (is_at_end(k)) {
		if (k->passes_left == 0) {
			c->loop->done = --all->running == 0;
			return;
		}
		begin_pass(k);
	}
	fetch_next(k);
}

static void print_consumed(const struct load_topic *t, const struct consume *all, double seconds,
			   double cpu)
{
	printf("{\"bytes\": %" PRId64 ", \"records\": %" PRId64 ", \"batches\": %" PRId64
	       ", \"answers\": %" PRId64
	       ", \"seconds\": %.4f, \"client_cpu_s\": %.3f, \"version\": %d}\n",
	       all->bytes, all->records, all->batches, all->answers, seconds, cpu, t->fetch);
}

void load_consume(struct load_loop *l, const struct load_topic *t, const struct load_options *o)
{
	struct consume all = {.topic = t, .running = o->connections};
	struct consumer *consumers = mem_zalloc(o->connections, sizeof *consumers);
	if (o->connections > (unsigned)t->partitions)
		load_die("topic %s: %u connections for %d partitions", t->name, o->connections,
			 t->partitions);
	all.offsets = mem_zalloc((size_t)t->partitions, sizeof *all.offsets);
	all.high = mem_zalloc((size_t)t->partitions, sizeof *all.high);
	if (all.offsets == NULL || all.high == NULL || consumers == NULL)
		load_die("out of memory");
	for (unsigned i = 0; i < o->connections; i++) {
		consumers[i] =
			(struct consumer){.all = &all,
					  .fetch = {.first = (int32_t)i,
						    .step = (int32_t)o->connections,
						    .offsets = all.offsets,
						    .max_wait_ms = o->max_wait_ms,
						    .max_bytes = 50 << 20,
						    .partition_max_bytes = 1 << 20},
					  .conn = load_conn_open(l, on_fetched, &consumers[i]),
					  .passes_left = o->passes};
		begin_pass(&consumers[i]);
	}
	double cpu = load_cpu_s();
	int64_t begin = load_now_ns();
	for (unsigned i = 0; i < o->connections; i++)
		fetch_next(&consumers[i]);
	load_loop_run(l);
	print_consumed(t, &all, (double)(load_now_ns() - begin) / 1e9, load_cpu_s() - cpu);
	for (unsigned i = 0; i < o->connections; i++) {
		load_conn_close(consumers[i].conn);
		buf_fini(&consumers[i].frame);
	}
	mem_free(consumers);
	mem_free(all.offsets);
	mem_free(all.high);
	arena_fini(&all.arena);
}
