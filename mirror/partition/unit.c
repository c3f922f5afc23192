/* SPDX-License-Identifier: Apache-2.0 */
/* Units and their queues. Invariant: the spans' counts sum up to the batch's record count. */
#include "mirror/partition/unit.h"

#include <assert.h>

#include "lib/base/mem.h"

static const char *const causes[UNIT_CAUSES_N] = {
#define X(name, text) text,
	UNIT_CAUSES(X)
#undef X
};

const char *unit_cause_name(enum unit_cause c)
{
	return causes[c];
}

struct unit *unit_new(struct frame *frame, struct bytes whole, const struct batch_head *head)
{
	struct unit *u = mem_zalloc(1, sizeof *u);
	if (u == NULL)
		return NULL;
	u->frame = frame_ref(frame);
	u->whole = whole;
	u->head = *head;
	u->src_end = batch_last_offset(head) + 1;
	u->leader_epoch = head->leader_epoch;
	u->one = (struct unit_span){.src = head->base_offset, .n = head->count};
	u->spans = &u->one;
	u->spans_n = 1;
	return u;
}

enum err unit_set_spans(struct unit *u, const struct unit_span *spans, size_t n)
{
	struct unit_span *copy = &u->one;
	if (n > 1) {
		copy = mem_zalloc(n, sizeof *copy);
		if (copy == NULL)
			return ERR_NOMEM;
	}
	int64_t records = 0;
	for (size_t i = 0; i < n; i++) {
		copy[i] = spans[i];
		records += spans[i].n;
	}
	assert(records == u->head.count);
	if (u->spans != &u->one)
		mem_free(u->spans);
	u->spans = copy;
	u->spans_n = n;
	return ERR_OK;
}

void unit_free(struct unit *u)
{
	if (u == NULL)
		return;
	frame_unref(u->frame);
	if (u->spans != &u->one)
		mem_free(u->spans);
	mem_free(u);
}

void unit_stamp(struct unit *u, int64_t producer_id, int16_t producer_epoch, int32_t sequence)
{
	struct batch_head h = u->head;
	h.base_offset = 0;
	h.leader_epoch = -1;
	/* A delete horizon is the source cleaner's note to itself (KIP-534); a broker refuses it
	 * from clients. */
	h.attributes &= (int16_t) ~(BATCH_TRANSACTIONAL | BATCH_DELETE_HORIZON);
	h.producer_id = producer_id;
	h.producer_epoch = producer_epoch;
	h.base_sequence = sequence;
	batch_head_restamp(u->whole.p, u->whole.n - BATCH_HEAD, &h, u->stamped);
}

void unit_queue_init(struct unit_queue *q)
{
	*q = (struct unit_queue){.head = NULL};
	q->tail = &q->head;
}

void unit_queue_push(struct unit_queue *q, struct unit *u)
{
	u->next = NULL;
	*q->tail = u;
	q->tail = &u->next;
	q->n++;
	q->bytes += u->whole.n;
}

struct unit *unit_queue_pop(struct unit_queue *q)
{
	struct unit *u = q->head;
	if (u == NULL)
		return NULL;
	q->head = u->next;
	if (q->head == NULL)
		q->tail = &q->head;
	q->n--;
	q->bytes -= u->whole.n;
	u->next = NULL;
	return u;
}

void unit_queue_clear(struct unit_queue *q)
{
	struct unit *u;
	while ((u = unit_queue_pop(q)) != NULL)
		unit_free(u);
}
