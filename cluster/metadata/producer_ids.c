/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Producer ids, in blocks of 1000: a ProducerIdsRecord moves the mark behind a block, and only
 * when it is stored are ids of the block given out (ProducerIdControlManager.java). What is left
 * of a block at a stop is lost, so no id is ever given twice.
 */
#include "cluster/metadata/metadata_priv.h"
#include "lib/base/mem.h"
#include "lib/wire/messages.h"
#include "lib/wire/wire.h"

enum { BLOCK = 1000 };

struct producer_ids {
	struct metadata *m;
	int64_t next, end; /* ids that may be given */
	int64_t wanted;    /* where the block that is on its way ends; 0: none is */
	struct metadata_change change;
	struct loop_deferred serve;
	struct metadata_producer_id *head, **tail;
};

/* Answer the first waiter. */
static void answer(struct producer_ids *ids, enum err e, int64_t id)
{
	struct metadata_producer_id *p = ids->head;

	ids->head = p->next;
	if (ids->head == NULL)
		ids->tail = &ids->head;
	p->next = NULL;
	p->done(p, e, id);
}

/* Those who wait now; who comes meanwhile is tried again. */
static void fail_waiting(struct producer_ids *ids, enum err e)
{
	struct metadata_producer_id *list = ids->head;

	ids->head = NULL;
	ids->tail = &ids->head;
	while (list != NULL) {
		struct metadata_producer_id *p = list;
		list = p->next;
		p->next = NULL;
		p->done(p, e, -1);
	}
}

static void on_block(struct metadata_change *c, enum err e)
{
	struct producer_ids *ids =
		(struct producer_ids *)((char *)c - offsetof(struct producer_ids, change));
	int64_t end = ids->wanted;

	ids->wanted = 0;
	if (e == ERR_CANCELED)
		return; /* producer_ids_fini answers */
	if (e != ERR_OK) {
		fail_waiting(ids, e);
		return;
	}
	ids->next = end - BLOCK;
	ids->end = end;
	if (!ids->serve.pending)
		loop_defer(ids->m->loop, &ids->serve);
}

static void want_block(struct producer_ids *ids)
{
	struct metadata *m = ids->m;
	struct producer_ids_record r;
	struct errmsg why = {0};

	wire_init(&wire_producer_ids_record, &r);
	r.broker_id = m->node_id;
	r.broker_epoch = register_epoch(m);
	/* Kafka ends at the same place: ids are positive. */
	if (m->image.next_producer_id > INT64_MAX - BLOCK) {
		fail_waiting(ids, ERR_KAFKA_UNKNOWN_SERVER_ERROR);
		return;
	}
	r.next_producer_id = m->image.next_producer_id + BLOCK;
	const struct metadata_record record = {&wire_producer_ids_record, 0, &r};
	enum err e = metadata_propose(m, &record, 1, &ids->change, &why);
	if (e != ERR_OK) {
		log_event(loop_log(m->loop), LOG_WARN, "producer_ids_failed",
			  LOG_S("reason", why.text));
		fail_waiting(ids, e);
		return;
	}
	ids->wanted = r.next_producer_id;
}

static void serve(void *arg)
{
	struct producer_ids *ids = arg;

	while (ids->head != NULL && ids->next < ids->end)
		answer(ids, ERR_OK, ids->next++);
	if (ids->head != NULL && ids->wanted == 0)
		want_block(ids);
}

void metadata_producer_id(struct metadata *m, struct metadata_producer_id *p)
{
	struct producer_ids *ids = m->ids;

	p->next = NULL;
	*ids->tail = p;
	ids->tail = &p->next;
	if (!ids->serve.pending)
		loop_defer(m->loop, &ids->serve);
}

void metadata_producer_id_cancel(struct metadata *m, struct metadata_producer_id *p)
{
	struct producer_ids *ids = m->ids;

	for (struct metadata_producer_id **at = &ids->head; *at != NULL; at = &(*at)->next) {
		if (*at != p)
			continue;
		*at = p->next;
		if (*at == NULL)
			ids->tail = at;
		p->next = NULL;
		return;
	}
}

enum err producer_ids_init(struct metadata *m)
{
	struct producer_ids *ids = mem_zalloc(1, sizeof *ids);

	if (ids == NULL)
		return ERR_NOMEM;
	ids->m = m;
	ids->tail = &ids->head;
	ids->change.done = on_block;
	ids->serve = (struct loop_deferred){.fn = serve, .arg = ids};
	m->ids = ids;
	return ERR_OK;
}

void producer_ids_fini(struct metadata *m)
{
	struct producer_ids *ids = m->ids;

	if (ids == NULL)
		return;
	loop_undefer(m->loop, &ids->serve);
	fail_waiting(ids, ERR_CANCELED);
	mem_free(ids);
}
