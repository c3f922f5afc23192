/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A task is made on the loop, run once on a worker, finished on the loop. The worker reads the
 * input units (nobody else touches them meanwhile) and writes only the task's result.
 */
#include "mirror/partition/rebatch_task.h"

#include <assert.h>

#include "lib/base/mem.h"
#include "lib/wire/rebatch.h"

enum {
	GROUP_UNITS = 512,
	GROUP_BYTES = 256 << 10,
	/* Coalesce when so many requests of the partition are in flight already ... */
	COALESCE_IN_FLIGHT = 4,
	/* ... and at least so many batches wait that are smaller than this. */
	COALESCE_UNITS = 8,
	COALESCE_SMALL = 4 << 10,
};

struct rebatch_task {
	struct worker_job job; /* first */
	struct partition *p;   /* NULL when cancelled */
	struct unit_queue in;
	enum unit_cause cause;
	struct rebatch_options options;
	/* set by the worker */
	enum err err;
	struct errmsg why;
	struct rebatch out;
	struct frame *frame; /* a copy of out.bytes */
};

static bool small(const struct unit *u)
{
	return u->cause == UNIT_FORWARDED && u->whole.n < COALESCE_SMALL;
}

/* How many units from the head on belong into one task; 0: the head can be sent as it is. */
static size_t group_size(const struct partition *p)
{
	const struct unit *first = p->waiting.head;
	bool slow = first->raw;
	size_t n = 0, bytes = 0;

	if (!slow && (p->in_flight.n < COALESCE_IN_FLIGHT || p->waiting.n < COALESCE_UNITS))
		return 0;
	for (const struct unit *u = first; u != NULL && n < GROUP_UNITS; u = u->next) {
		bool fits = slow ? u->raw && u->cause == first->cause : small(u);
		if (!fits || batch_codec(&u->head) != batch_codec(&first->head) ||
		    (n > 0 && u->whole.n > GROUP_BYTES - bytes))
			break;
		bytes += u->whole.n;
		n++;
		if (bytes >= GROUP_BYTES || first->cause == UNIT_TOO_LARGE || p->rebatch_alone)
			break;
	}
	return slow || n >= COALESCE_UNITS ? n : 0;
}

static void task_run(struct worker_job *job)
{
	struct rebatch_task *t = (struct rebatch_task *)job;
	struct bytes in[GROUP_UNITS];
	size_t n = 0;

	for (const struct unit *u = t->in.head; u != NULL; u = u->next)
		in[n++] = u->whole;
	t->err = rebatch_encode(&t->out, in, n, &t->options, &t->why);
	if (t->err != ERR_OK)
		return;
	t->frame = frame_new(t->out.bytes.len);
	if (t->frame == NULL)
		t->err = ERR_NOMEM;
	else if (t->out.bytes.len > 0)
		memcpy(t->frame->data, t->out.bytes.p, t->out.bytes.len);
	buf_fini(&t->out.bytes);
}

static void task_done(struct worker_job *job)
{
	struct rebatch_task *t = (struct rebatch_task *)job;
	if (t->p == NULL)
		rebatch_task_free(t);
	else
		partition_on_rebatched(t->p, t);
}

/* A task for the first `n` units of the queue, which it takes. */
static struct rebatch_task *task_new(struct partition *p, size_t n)
{
	struct rebatch_task *t = mem_zalloc(1, sizeof *t);
	if (t == NULL)
		return NULL;
	const struct unit *first = p->waiting.head;
	t->job = (struct worker_job){.run = task_run, .done = task_done};
	t->p = p;
	t->cause = first->cause == UNIT_FORWARDED ? UNIT_COALESCED : first->cause;
	t->err = ERR_CANCELED;
	t->options = (struct rebatch_options){
		.trim_before = first->trim_before,
		.trim_from = INT64_MAX,
		.max_batch_bytes = (size_t)p->env->target_max_batch,
		.inflate_limit = p->env->decode_max,
	};
	rebatch_init(&t->out, p->env->decode_max + p->env->decode_max / 8);
	unit_queue_init(&t->in);
	while (n-- > 0)
		unit_queue_push(&t->in, unit_queue_pop(&p->waiting));
	return t;
}

struct rebatch_task *rebatch_task_of_queue(struct partition *p, enum err *e)
{
	*e = ERR_OK;
	size_t n = group_size(p);
	if (n == 0)
		return NULL;
	struct rebatch_task *t = task_new(p, n);
	if (t == NULL)
		*e = ERR_NOMEM;
	return t;
}

struct rebatch_task *rebatch_task_trial(struct partition *p, int64_t trim_from)
{
	struct rebatch_task *t = task_new(p, 1);
	if (t == NULL)
		return NULL;
	if (t->cause == UNIT_COALESCED)
		t->cause = UNIT_TRIMMED;
	t->options.trim_before = p->src_acked;
	t->options.trim_from = trim_from;
	t->options.max_batch_bytes = p->env->decode_max;
	return t;
}

void rebatch_task_start(struct rebatch_task *t, struct worker_pool *pool)
{
	worker_pool_submit(pool, &t->job);
}

int64_t rebatch_task_offset(const struct rebatch_task *t)
{
	return t->in.head->head.base_offset;
}

static const struct unit *last_unit(const struct unit_queue *q)
{
	const struct unit *u = q->head;
	while (u->next != NULL)
		u = u->next;
	return u;
}

int64_t rebatch_task_end(const struct rebatch_task *t)
{
	return last_unit(&t->in)->src_end;
}

struct frame *rebatch_task_frame(const struct rebatch_task *t)
{
	return t->frame;
}

static struct unit *unit_of_batch(const struct rebatch_task *t, const struct rebatch_batch *b)
{
	struct batch_head head;
	const uint8_t *at = t->frame->data + b->at;
	batch_head_get(at, &head);
	struct unit *u = unit_new(t->frame, bytes_of(at, b->size), &head);
	if (u == NULL)
		return NULL;
	u->cause = t->cause;
	u->fetched_ms = t->in.head->fetched_ms;
	const struct rebatch_span *last = &t->out.spans[b->spans_at + b->spans_n - 1];
	u->src_end = last->first + last->n;
	u->leader_epoch = -1;
	for (const struct unit *in = t->in.head; in != NULL && in->head.base_offset < u->src_end;
	     in = in->next)
		u->leader_epoch = in->leader_epoch;
	struct unit_span *spans = mem_zalloc(b->spans_n, sizeof *spans);
	if (spans == NULL) {
		unit_free(u);
		return NULL;
	}
	for (size_t i = 0; i < b->spans_n; i++) {
		spans[i].src = t->out.spans[b->spans_at + i].first;
		spans[i].n = t->out.spans[b->spans_at + i].n;
	}
	enum err e = unit_set_spans(u, spans, b->spans_n);
	mem_free(spans);
	if (e != ERR_OK) {
		unit_free(u);
		return NULL;
	}
	return u;
}

/* The rest of the queue follows `front`, which is empty afterwards. */
static void put_in_front(struct unit_queue *queue, struct unit_queue *front)
{
	struct unit *u;
	while ((u = unit_queue_pop(queue)) != NULL)
		unit_queue_push(front, u);
	while ((u = unit_queue_pop(front)) != NULL)
		unit_queue_push(queue, u);
}

enum err rebatch_task_result(struct rebatch_task *t, struct unit_queue *queue, struct errmsg *why)
{
	if (t->err != ERR_OK) {
		*why = t->why;
		return t->err;
	}
	struct unit_queue out;
	unit_queue_init(&out);
	for (size_t i = 0; i < t->out.batches_n; i++) {
		struct unit *u = unit_of_batch(t, &t->out.batches[i]);
		if (u == NULL) {
			unit_queue_clear(&out);
			return ERR_NOMEM;
		}
		if (i + 1 == t->out.batches_n) {
			u->src_end = last_unit(&t->in)->src_end;
			u->leader_epoch = last_unit(&t->in)->leader_epoch;
		}
		unit_queue_push(&out, u);
	}
	put_in_front(queue, &out);
	return ERR_OK;
}

size_t rebatch_task_inputs(const struct rebatch_task *t)
{
	return t->in.n;
}

void rebatch_task_give_back(struct rebatch_task *t, struct unit_queue *queue)
{
	put_in_front(queue, &t->in);
}

void rebatch_task_cancel(struct rebatch_task *t)
{
	t->p = NULL;
}

void rebatch_task_free(struct rebatch_task *t)
{
	unit_queue_clear(&t->in);
	frame_unref(t->frame);
	rebatch_fini(&t->out);
	mem_free(t);
}
