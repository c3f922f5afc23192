/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Partitions whose position changed are in a list; once a second it is walked. One batch is under
 * way at a time, and holds a partition once: a batch that is written twice after an unclear end
 * must not look as if a source went back (which makes OffsetSyncStore forget what it has).
 */
#include "mirror/link/offset_syncs.h"

#include "checkpoint/mm2_records.h"
#include "lib/base/mem.h"
#include "mirror/clusters/topic_writer.h"
#include "mirror/config/naming.h"
#include "mirror/link/link_parts.h"

enum {
	TICK_MS = 1000,
	DELAY_MS = 10 * 1000,
	BATCH_BYTES = 256 << 10,
	KEY_BYTES = 2 + TOPIC_NAME_MAX + 4,
	VALUE_BYTES = 16,
};

struct offset_syncs {
	struct link *link;
	struct topic_writer *writer;
	struct loop_timer *timer;
	struct slot *list, **tail;
	struct buf key, value;
	uint64_t put, stored; /* in the batch under way; written */
	bool failing;         /* the last write was refused */
	bool ending;          /* what waits is due */
};

/* ---- which ---- */

/* The last record that was copied; false: none. */
static bool last_record(const struct slot *slot, int64_t *up, int64_t *down)
{
	size_t n = runs_count(slot->p->runs);
	if (n == 0)
		return false;
	struct run run = runs_at(slot->p->runs, n - 1);
	*up = run.src + run.n - 1;
	*down = run.dst + run.n - 1;
	return true;
}

/* OffsetSyncWriter.PartitionState.update, for the records since the last sync as a whole. */
static bool is_due(const struct offset_syncs *s, const struct offset_sync_state *o, int64_t up,
		   int64_t down)
{
	if (!o->known || s->ending)
		return true;
	if (up < o->up || down < o->down || up - o->up != down - o->down)
		return true;
	if (down - o->down - 1 >= s->link->config->offset_lag_max)
		return true;
	return loop_now_ms(s->link->loop) - o->since_ms >= DELAY_MS;
}

/* ---- writing ---- */

static enum err put_sync(struct offset_syncs *s, const struct slot *slot, int64_t up, int64_t down)
{
	const struct mm2_offset_sync sync = {
		.topic = bytes_str(slot->topic->source_name),
		.partition = slot->p->index,
		.upstream = up,
		.downstream = down,
	};
	buf_clear(&s->key);
	buf_clear(&s->value);
	enum err e = mm2_records_encode_offset_sync(&sync, &s->key, &s->value);
	return e == ERR_OK ? topic_writer_put_pair(s->writer, buf_bytes(&s->key),
						   buf_bytes(&s->value), NULL)
			   : e;
}

/* True: the partition is done with, and leaves the list. */
static bool sync_slot(struct offset_syncs *s, struct slot *slot)
{
	struct offset_sync_state *o = &slot->sync;
	int64_t up, down;
	if (!last_record(slot, &up, &down) || (o->known && up == o->up && down == o->down))
		return true;
	/* ERR_LIMIT: the batch is full; ERR_NOMEM: later. */
	if (!is_due(s, o, up, down) || put_sync(s, slot, up, down) != ERR_OK)
		return false;
	o->known = true;
	o->up = up;
	o->down = down;
	s->put++;
	return true;
}

static void walk(struct offset_syncs *s)
{
	struct slot **at = &s->list;
	while (*at != NULL) {
		struct slot *slot = *at;
		if (!sync_slot(s, slot)) {
			at = &slot->sync.next;
			continue;
		}
		slot->sync.listed = false;
		*at = slot->sync.next;
	}
	s->tail = at;
}

static void on_timer(void *arg)
{
	struct offset_syncs *s = arg;
	if (topic_writer_idle(s->writer))
		walk(s);
	if (s->list != NULL)
		loop_timer_set(s->timer, TICK_MS);
}

static void on_stored(void *arg, uint64_t ticket)
{
	struct offset_syncs *s = arg;
	(void)ticket;
	s->failing = false;
	s->stored += s->put;
	s->put = 0;
}

static void on_refused(void *arg, enum err e, const struct errmsg *why)
{
	struct offset_syncs *s = arg;
	(void)e;
	(void)why;
	s->failing = true;
}

/* ---- the link's side ---- */

static enum err make_writer(struct offset_syncs *s)
{
	struct link *k = s->link;
	const struct link_config *c = k->config;
	bool source = c->offset_syncs_at_source;
	char name[TOPIC_NAME_MAX + 1];
	enum err e = naming_offset_syncs_topic(c, source ? c->target->name : c->source->name, name);
	if (e != ERR_OK)
		return e;
	const struct topic_writer_options o = {
		.topic = {.client = source ? k->source_client : k->target_client,
			  .link = c->name,
			  .name = name,
			  .replication_factor = c->offset_syncs_replication_factor,
			  .settings = own_topic_compacted,
			  .settings_n = OWN_TOPIC_COMPACTED_N,
			  .timeout_ms = (source ? c->source : c->target)->request_timeout_ms},
		.batch_bytes = BATCH_BYTES,
		.stored = on_stored,
		.refused = on_refused,
		.arg = s,
	};
	return topic_writer_new(k->loop, &o, &s->writer);
}

enum err offset_syncs_new(struct link *k, struct offset_syncs **out)
{
	*out = NULL;
	if (!k->config->emit_offset_syncs)
		return ERR_OK;
	struct offset_syncs *s = mem_zalloc(1, sizeof *s);
	if (s == NULL)
		return ERR_NOMEM;
	s->link = k;
	s->tail = &s->list;
	buf_init(&s->key, KEY_BYTES);
	buf_init(&s->value, VALUE_BYTES);
	s->timer = loop_timer_new(k->loop, on_timer, s);
	enum err e = s->timer == NULL ? ERR_NOMEM : make_writer(s);
	if (e != ERR_OK) {
		offset_syncs_free(s);
		return e;
	}
	*out = s;
	return ERR_OK;
}

void offset_syncs_stop(struct offset_syncs *s)
{
	if (s == NULL)
		return;
	loop_timer_stop(s->timer);
	topic_writer_stop(s->writer);
}

void offset_syncs_free(struct offset_syncs *s)
{
	if (s == NULL)
		return;
	loop_timer_free(s->timer);
	topic_writer_free(s->writer);
	buf_fini(&s->key);
	buf_fini(&s->value);
	mem_free(s);
}

void offset_syncs_mark(struct offset_syncs *s, struct slot *slot)
{
	if (s == NULL || slot->sync.listed)
		return;
	slot->sync.listed = true;
	slot->sync.next = NULL;
	slot->sync.since_ms = loop_now_ms(s->link->loop);
	*s->tail = slot;
	s->tail = &slot->sync.next;
	if (!loop_timer_armed(s->timer))
		loop_timer_set(s->timer, TICK_MS);
}

void offset_syncs_forget(struct offset_syncs *s, struct slot *slot)
{
	if (s == NULL || !slot->sync.listed)
		return;
	for (struct slot **at = &s->list; *at != NULL; at = &(*at)->sync.next) {
		if (*at != slot)
			continue;
		*at = slot->sync.next;
		if (*at == NULL)
			s->tail = at;
		break;
	}
	slot->sync.listed = false;
}

bool offset_syncs_flush(struct offset_syncs *s)
{
	if (s == NULL)
		return true;
	const struct client *c = s->link->config->offset_syncs_at_source ? s->link->source_client
									 : s->link->target_client;
	if (s->failing || client_ready(c, NULL) == 0)
		return true;
	s->ending = true;
	if (topic_writer_idle(s->writer))
		walk(s);
	return topic_writer_idle(s->writer) && s->list == NULL;
}

void offset_syncs_on_metadata(struct offset_syncs *s, bool source)
{
	if (s != NULL && source == s->link->config->offset_syncs_at_source)
		topic_writer_on_metadata(s->writer);
}

uint64_t offset_syncs_count(const struct offset_syncs *s)
{
	return s == NULL ? 0 : s->stored;
}
