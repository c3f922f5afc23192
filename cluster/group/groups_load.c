/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The replay of __consumer_offsets, partition after partition, a slice per loop turn. What a record
 * does is table_apply's business; what happens with bad ones is said in replay.h. A partition that
 * cannot be read (an I/O error, no memory) answers COORDINATOR_NOT_AVAILABLE and is tried again.
 */
#include "cluster/group/groups_priv.h"
#include "cluster/group/replay.h"
#include "lib/base/mem.h"

enum {
	SLICE_MS = 5,         /* of a loop turn */
	RETRY_MS = 10 * 1000, /* after a partition failed */
};

struct groups_load {
	struct groups *groups;
	struct loop_timer *timer;
	struct plog_reader *reader; /* of parts[at]; NULL: not begun */
	struct replay replay;
	int32_t at;
	int64_t begun_ms;
};

static enum err apply(void *arg, const struct group_record *r, struct errmsg *why)
{
	struct groups_load *l = arg;
	return table_apply(l->groups->table, l->at, r, why);
}

/* The groups of the partition begin to live. */
static enum err start_groups(struct groups_load *l)
{
	struct groups *g = l->groups;
	size_t at = 0;
	struct entry *e;
	while ((e = table_next(g->table, &at)) != NULL)
		if (e->shard == l->at && group_members(e->group) > 0 &&
		    groups_need_timer(e) != ERR_OK)
			return ERR_NOMEM;
	g->parts[l->at].state = PART_READY;
	at = 0;
	while ((e = table_next(g->table, &at)) != NULL) {
		if (e->shard != l->at)
			continue;
		group_loaded(e->group);
		groups_expire_stale(g, e);
		table_count(g->table, e);
	}
	return ERR_OK;
}

/* What was read of a partition that failed does not count. */
static void drop_groups(struct groups_load *l)
{
	struct groups *g = l->groups;
	size_t at = 0;
	struct entry *e;
	while ((e = table_next(g->table, &at)) != NULL)
		if (e->shard == l->at)
			table_remove(g->table, e);
}

static void end_part(struct groups_load *l, enum err e, const struct errmsg *why)
{
	struct groups *g = l->groups;
	const struct replay *r = &l->replay;
	if (e == ERR_OK)
		e = start_groups(l);
	if (e != ERR_OK) {
		drop_groups(l);
		g->parts[l->at].state = PART_FAILED;
		log_event(g->log, LOG_ERROR, "groups_not_loaded", LOG_I("partition", l->at),
			  LOG_S("error", err_text(e)), LOG_S("why", why->text));
	} else if (r->applied + r->skipped + r->bad > 0) {
		log_event(g->log, LOG_INFO, "groups_loaded", LOG_I("partition", l->at),
			  LOG_I("records", r->applied), LOG_I("skipped", r->skipped),
			  LOG_I("bad", r->bad), LOG_I("ms", loop_now_ms(g->loop) - l->begun_ms));
	}
	plog_reader_free(l->reader);
	l->reader = NULL;
}

static enum err begin_part(struct groups_load *l, struct errmsg *why)
{
	struct plog *log = shard_log(l->groups->parts[l->at].shard);
	if (log == NULL)
		return errmsg_set(why, ERR_IO, "the partition is offline");
	l->begun_ms = loop_now_ms(l->groups->loop);
	l->replay = (struct replay){
		.apply = apply, .arg = l, .log = l->groups->log, .partition = l->at};
	return plog_reader_open(log, plog_start(log), &l->reader, why);
}

static bool is_empty(const struct groups_load *l)
{
	const struct plog *log = shard_log(l->groups->parts[l->at].shard);
	return log != NULL && plog_start(log) == plog_end(log);
}

/* One batch, or the end of the partition. */
static void step(struct groups_load *l)
{
	struct batch_head head;
	struct bytes whole;
	struct errmsg why = {{0}};
	enum err e = ERR_OK;
	if (l->reader == NULL) {
		if (is_empty(l)) {
			l->groups->parts[l->at].state = PART_READY;
			return;
		}
		e = begin_part(l, &why);
	}
	if (e == ERR_OK)
		e = plog_reader_next(l->reader, &head, &whole, &why);
	if (e == ERR_OK)
		e = replay_batch(&l->replay, &head, whole);
	if (e == ERR_NOT_FOUND)
		end_part(l, ERR_OK, &why);
	else if (e != ERR_OK)
		end_part(l, e, &why);
}

/* Partitions that are to be read come first, those that failed are tried when time has passed. */
static bool next_part(struct groups_load *l, enum part_state state)
{
	struct groups *g = l->groups;
	for (int32_t i = 0; i < g->parts_n; i++) {
		if (g->parts[i].state != state)
			continue;
		l->at = i;
		return true;
	}
	return false;
}

static void run(struct groups_load *l)
{
	struct groups *g = l->groups;
	int64_t until = loop_now_ms(g->loop) + SLICE_MS;
	while (l->reader != NULL || next_part(l, PART_LOADING)) {
		step(l);
		if (loop_now_ms(g->loop) >= until) {
			loop_timer_set(l->timer, 0);
			return;
		}
	}
	if (next_part(l, PART_FAILED))
		loop_timer_set(l->timer, RETRY_MS);
}

static void on_timer(void *arg)
{
	struct groups_load *l = arg;
	/* The retry: all that failed are to be read once more. */
	if (l->reader == NULL && !next_part(l, PART_LOADING))
		while (next_part(l, PART_FAILED))
			l->groups->parts[l->at].state = PART_LOADING;
	run(l);
}

enum err groups_load_begin(struct groups *g)
{
	struct groups_load *l = mem_zalloc(1, sizeof *l);
	if (l == NULL)
		return ERR_NOMEM;
	l->groups = g;
	l->timer = loop_timer_new(g->loop, on_timer, l);
	if (l->timer == NULL) {
		mem_free(l);
		return ERR_NOMEM;
	}
	g->load = l;
	/* Empty partitions, all of a new topic, are there at once. */
	run(l);
	return ERR_OK;
}

void groups_load_free(struct groups_load *l)
{
	if (l == NULL)
		return;
	plog_reader_free(l->reader);
	loop_timer_free(l->timer);
	mem_free(l);
}
