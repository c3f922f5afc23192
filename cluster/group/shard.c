/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes queue behind the batch that holds their records. A batch is filled while a loop turn
 * lasts, appended at its end, and done when the log says that it is stored. Batches are done in
 * the order of the log; a batch that could not be appended fails its writes at once.
 */
#include "cluster/group/shard.h"

#include <assert.h>

#include "lib/base/mem.h"
#include "lib/wire/records.h"

enum {
	BATCH_AIM = 1 << 20,  /* an operation begins a new batch beyond this */
	BATCH_MAX = 32 << 20, /* bytes of one operation */
	HEAD_ROOM = 1024      /* of the encoded batch over its records */
};

/* A batch on its way to the disk. */
struct flight {
	struct plog_wait wait;
	struct shard *shard;
	struct group_write *first, **last;
	bool ended;
	enum err result;
	struct flight *next, **back;
};

struct shard {
	struct loop *loop;
	struct metadata *metadata;
	int32_t index;
	/* The batch that is being filled, and who waits for it. */
	struct batch_builder builder;
	enum err fault; /* of an add; the batch is lost then */
	bool refused;   /* the operation that is being made is too large */
	struct group_write *first, **last;
	struct group_write *ended; /* have their result; told at the end of the turn */
	struct loop_deferred turn;
	struct flight *flights, **flights_last;
};

static void end_turn(void *arg);

struct shard *shard_new(struct loop *l, struct metadata *m, int32_t index)
{
	struct shard *s = mem_zalloc(1, sizeof *s);
	if (s == NULL)
		return NULL;
	s->loop = l;
	s->metadata = m;
	s->index = index;
	s->last = &s->first;
	s->flights_last = &s->flights;
	s->turn = (struct loop_deferred){.fn = end_turn, .arg = s};
	batch_builder_init(&s->builder, CODEC_NONE, BATCH_MAX);
	return s;
}

static void drop_flight(struct flight *f)
{
	plog_wait_cancel(&f->wait);
	*f->back = f->next;
	if (f->next != NULL)
		f->next->back = f->back;
	else
		f->shard->flights_last = f->back;
	mem_free(f);
}

void shard_free(struct shard *s)
{
	if (s == NULL)
		return;
	while (s->flights != NULL)
		drop_flight(s->flights);
	loop_undefer(s->loop, &s->turn);
	batch_builder_fini(&s->builder);
	mem_free(s);
}

int32_t shard_index(const struct shard *s)
{
	return s->index;
}

struct plog *shard_log(const struct shard *s)
{
	struct partition *p = metadata_partition(s->metadata, bytes_str(SHARD_TOPIC), s->index);
	return p == NULL ? NULL : p->log;
}

/* ---- completions ---- */

static enum err as_answer(enum err e)
{
	switch ((int)e) {
	case ERR_OK:
		return ERR_OK;
	case ERR_NOMEM:
	case ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION:
		return ERR_KAFKA_COORDINATOR_NOT_AVAILABLE;
	case ERR_IO:
	case ERR_KAFKA_KAFKA_STORAGE_ERROR:
		return ERR_KAFKA_NOT_COORDINATOR;
	default:
		return ERR_KAFKA_UNKNOWN_SERVER_ERROR;
	}
}

static void finish(struct group_write *first)
{
	while (first != NULL) {
		struct group_write *w = first;
		first = w->next;
		w->next = NULL;
		size_t *pending = w->pending; /* `done` may free the write */
		w->done(w, as_answer(w->result));
		if (pending != NULL)
			--*pending;
	}
}

static void set_results(struct group_write *first, enum err e)
{
	for (struct group_write *w = first; w != NULL; w = w->next)
		w->result = e;
}

/* The log may tell of several batches in any order; here they end in the order of the log. */
static void stored(struct plog_wait *wait, enum err e)
{
	struct flight *f = (struct flight *)wait;
	struct shard *s = f->shard;
	if (e != ERR_OK)
		log_event(loop_log(s->loop), LOG_ERROR, "group_records_not_stored",
			  LOG_S("topic", SHARD_TOPIC), LOG_I("partition", s->index),
			  LOG_S("error", err_text(e)));
	f->ended = true;
	f->result = e;
	while (s->flights != NULL && s->flights->ended) {
		struct group_write *first = s->flights->first;
		set_results(first, s->flights->result);
		drop_flight(s->flights);
		finish(first);
	}
}

static struct group_write *take_writes(struct shard *s)
{
	struct group_write *list = s->first;
	s->first = NULL;
	s->last = &s->first;
	return list;
}

static void empty_batch(struct shard *s)
{
	batch_builder_fini(&s->builder);
	batch_builder_init(&s->builder, CODEC_NONE, BATCH_MAX);
	s->fault = ERR_OK;
}

/* ---- the batch ---- */

static enum err append(struct shard *s, struct plog **log, int64_t *end, struct errmsg *why)
{
	struct buf whole;
	struct partition *p = metadata_partition(s->metadata, bytes_str(SHARD_TOPIC), s->index);
	if (s->fault != ERR_OK)
		return s->fault;
	if (p == NULL || p->log == NULL)
		return errmsg_set(why, ERR_KAFKA_KAFKA_STORAGE_ERROR, "the partition is offline");
	buf_init(&whole, BATCH_MAX + HEAD_ROOM);
	enum err e = batch_builder_encode(&s->builder, &whole);
	if (e == ERR_OK) {
		struct plog_append how = {.leader_epoch = p->leader_epoch, .internal = true};
		struct plog_appended done;
		e = plog_append(p->log, buf_bytes(&whole), &how, &done, why);
		*log = p->log;
		*end = done.last_offset + 1;
	}
	buf_fini(&whole);
	return e;
}

static void add_flight(struct shard *s, struct flight *f)
{
	f->shard = s;
	f->first = s->first;
	f->last = s->first == NULL ? &f->first : s->last;
	take_writes(s);
	f->back = s->flights_last;
	*s->flights_last = f;
	s->flights_last = &f->next;
}

/* Who waits for this batch is told so at the end of the turn. */
static void complete_batch(struct shard *s, enum err e)
{
	struct group_write **last = &s->ended;
	while (*last != NULL)
		last = &(*last)->next;
	*last = take_writes(s);
	set_results(*last, e);
	if (s->ended != NULL && !s->turn.pending)
		loop_defer(s->loop, &s->turn);
}

static void write_batch(struct shard *s)
{
	struct errmsg why = {{0}};
	struct plog *log = NULL;
	int64_t end = 0;
	struct flight *f = mem_zalloc(1, sizeof *f);
	enum err e = f == NULL ? ERR_NOMEM : append(s, &log, &end, &why);
	empty_batch(s);
	if (e == ERR_OK) {
		add_flight(s, f);
		f->wait.offset = end;
		f->wait.done = stored;
		plog_wait_stored(log, &f->wait);
		return;
	}
	mem_free(f);
	log_event(loop_log(s->loop), LOG_ERROR, "group_records_not_written",
		  LOG_S("topic", SHARD_TOPIC), LOG_I("partition", s->index),
		  LOG_S("error", err_text(e)), LOG_S("why", why.text));
	complete_batch(s, e);
}

/* Nothing to append: whoever waits, waits for the last batch under way. */
static void queue_waiters(struct shard *s)
{
	if (s->first == NULL)
		return;
	if (s->flights == NULL) {
		complete_batch(s, ERR_OK);
		return;
	}
	struct flight *f = s->flights;
	while (f->next != NULL)
		f = f->next;
	*f->last = s->first;
	f->last = s->last;
	take_writes(s);
}

static void end_turn(void *arg)
{
	struct shard *s = arg;
	if (s->builder.count > 0 || s->fault != ERR_OK)
		write_batch(s);
	else
		queue_waiters(s);
	struct group_write *ended = s->ended;
	s->ended = NULL;
	loop_undefer(s->loop, &s->turn);
	finish(ended);
}

enum err shard_begin(struct shard *s, size_t bytes)
{
	if (bytes > BATCH_MAX)
		return ERR_KAFKA_UNKNOWN_SERVER_ERROR;
	size_t room = bytes < BATCH_AIM ? BATCH_AIM - bytes : 0;
	if (s->builder.count > 0 && s->builder.payload.len > room)
		write_batch(s);
	return ERR_OK;
}

void shard_add(struct shard *s, struct bytes key, struct bytes value)
{
	struct record r = {
		.timestamp = clock_wall_ms(loop_clock(s->loop)), .key = key, .value = value};
	s->builder.aim = BATCH_MAX;
	if (s->fault == ERR_OK)
		s->fault = batch_builder_add(&s->builder, &r);
}

void shard_refuse(struct shard *s)
{
	s->refused = true;
}

void shard_end(struct shard *s, struct group_write *w)
{
	w->next = NULL;
	if (s->refused) {
		s->refused = false;
		w->result = ERR_KAFKA_UNKNOWN_SERVER_ERROR;
		w->next = s->ended;
		s->ended = w;
		if (!s->turn.pending)
			loop_defer(s->loop, &s->turn);
		return;
	}
	*s->last = w;
	s->last = &w->next;
	if (!s->turn.pending)
		loop_defer(s->loop, &s->turn);
}
