/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Periodic work walks over all logs; a log with nothing to do costs a few loads.
 *
 * A clean stop goes through these steps: no more appends; the cleaner comes to rest; every log
 * commits its bytes, indexes and producers; then the checkpoints and, if nothing failed, the mark.
 */
#include "cluster/log/store_timers.h"

#include <assert.h>

#include "cluster/log/checkpoints.h"
#include "cluster/log/cleaner.h"
#include "cluster/log/plog_impl.h"
#include "lib/base/mem.h"

enum {
	CHECKPOINT_MS = 60 * 1000,  /* Kafka's log.flush.offset.checkpoint.interval.ms */
	EXPIRY_MS = 10 * 60 * 1000, /* producer.id.expiration.check.interval.ms */
	FLUSH_MS = 1000
};

struct store_closing {
	void (*done)(void *arg, enum err e);
	void *arg;
	struct loop_deferred step;
	bool writing; /* the last checkpoints */
	enum err e;
};

static int64_t wall(const struct store *s)
{
	return clock_wall_ms(loop_clock(s->loop));
}

static int64_t sync_period(const struct store *s)
{
	return s->options.fsync == STORE_FSYNC_INTERVAL && s->options.fsync_interval_ms > 0
		       ? s->options.fsync_interval_ms
		       : FLUSH_MS;
}

static void on_sync(void *arg)
{
	struct store *s = arg;
	int64_t now = wall(s);

	for (struct plog *l = s->first; l != NULL; l = l->next) {
		if (l->deleted || l->flush_at == 0)
			continue;
		if (s->options.fsync == STORE_FSYNC_INTERVAL ||
		    now - l->flush_at >= l->config.flush_ms)
			commit_soon(l, COMMIT_ALL);
	}
	loop_timer_set(s->sync_timer, sync_period(s));
}

static void on_repair(void *arg)
{
	struct store *s = arg;

	for (struct plog *l = s->first; l != NULL; l = l->next) {
		bool retry = l->writes_failed || l->kick_scope != COMMIT_NONE;
		l->writes_failed = false;
		if (l->failed)
			plog_repair(l);
		else if (retry && !l->deleted)
			commit_soon(l, COMMIT_ROLLED);
	}
}

void store_repair_soon(struct store *s)
{
	if (s->repair_timer != NULL && !loop_timer_armed(s->repair_timer))
		loop_timer_set(s->repair_timer, STORE_REPAIR_MS);
}

static void step_soon(struct store *s);

static void on_checkpointed(struct store *s, enum err e)
{
	(void)e; /* logged, and tried again the next time */
	step_soon(s);
}

static void on_checkpoint(void *arg)
{
	struct store *s = arg;

	if (s->checkpoints_dirty && !checkpoints_running(s->checkpoints) &&
	    checkpoints_write(s->checkpoints, false, on_checkpointed) != ERR_OK)
		s->checkpoints_dirty = true;
	loop_timer_set(s->checkpoint_timer, CHECKPOINT_MS);
}

static void on_retention(void *arg)
{
	struct store *s = arg;
	int64_t now = wall(s);

	for (struct plog *l = s->first; l != NULL; l = l->next)
		retention_apply(l, now);
	loop_timer_set(s->retention_timer, s->options.retention_check_interval_ms);
}

static void tell_displaced(struct plog *l)
{
	uint64_t n = producers_displaced(l->producers);

	if (n > l->displaced_told)
		log_event(l->store->log, LOG_WARN, "producers_displaced",
			  LOG_S("partition", l->name),
			  LOG_I("producers", (int64_t)(n - l->displaced_told)),
			  LOG_I("maximum", PLOG_PRODUCERS_MAX),
			  LOG_S("reason", "too many idempotent producers: what these retry may be "
					  "stored twice"));
	l->displaced_told = n;
}

static void on_expiry(void *arg)
{
	struct store *s = arg;
	int64_t now = wall(s);

	for (struct plog *l = s->first; l != NULL; l = l->next) {
		if (l->producers == NULL)
			continue;
		producers_expire(l->producers, now, s->options.producer_id_expiration_ms);
		tell_displaced(l);
	}
	loop_timer_set(s->expiry_timer, EXPIRY_MS);
}

static void step(void *arg);

enum err store_timers_start(struct store *s)
{
	/* Made now, so that a stop cannot fail for want of memory. */
	s->close = mem_zalloc(1, sizeof *s->close);
	if (s->close == NULL)
		return ERR_NOMEM;
	s->close->step = (struct loop_deferred){.fn = step, .arg = s};
	s->sync_timer = loop_timer_new(s->loop, on_sync, s);
	s->repair_timer = loop_timer_new(s->loop, on_repair, s);
	s->checkpoint_timer = loop_timer_new(s->loop, on_checkpoint, s);
	s->retention_timer = loop_timer_new(s->loop, on_retention, s);
	s->expiry_timer = loop_timer_new(s->loop, on_expiry, s);
	if (s->sync_timer == NULL || s->repair_timer == NULL || s->checkpoint_timer == NULL ||
	    s->retention_timer == NULL || s->expiry_timer == NULL)
		return ERR_NOMEM;
	if (!store_always(s))
		loop_timer_set(s->sync_timer, sync_period(s));
	loop_timer_set(s->checkpoint_timer, CHECKPOINT_MS);
	loop_timer_set(s->retention_timer, s->options.retention_check_interval_ms);
	loop_timer_set(s->expiry_timer, EXPIRY_MS);
	return ERR_OK;
}

static void stop_timers(struct store *s)
{
	struct loop_timer **const timers[] = {&s->sync_timer, &s->repair_timer,
					      &s->checkpoint_timer, &s->retention_timer,
					      &s->expiry_timer};

	for (size_t i = 0; i < sizeof timers / sizeof *timers; i++) {
		loop_timer_free(*timers[i]);
		*timers[i] = NULL;
	}
}

void store_timers_stop(struct store *s)
{
	stop_timers(s);
	if (s->close == NULL)
		return;
	loop_undefer(s->loop, &s->close->step);
	mem_free(s->close);
	s->close = NULL;
}

/* ---- the clean stop ---- */

static void closed(struct store *s, enum err e)
{
	struct store_closing *c = s->close;

	if (c->e == ERR_OK)
		c->e = e;
	c->done(c->arg, c->e);
}

/* Every log came to rest, some perhaps without success: those are looked at by the next start. */
static void step(void *arg)
{
	struct store *s = arg;
	struct store_closing *c = s->close;

	if (c->writing || cleaner_busy(s->cleaner) || checkpoints_running(s->checkpoints))
		return;
	for (const struct plog *l = s->first; l != NULL; l = l->next) {
		if (l->deleted)
			continue;
		if (commit_running(l) || l->kick.pending)
			return;
	}
	for (const struct plog *l = s->first; l != NULL; l = l->next)
		if (!l->deleted && (l->failed || l->risk_until > 0 || l->end != l->recovery_point ||
				    !commit_settled(l, COMMIT_FINAL)))
			c->e = ERR_IO;
	c->writing = true;
	if (checkpoints_write(s->checkpoints, c->e == ERR_OK, closed) != ERR_OK)
		closed(s, ERR_NOMEM);
}

static void step_soon(struct store *s)
{
	if (s->closing && !s->close->step.pending)
		loop_defer(s->loop, &s->close->step);
}

void store_log_settled(struct store *s)
{
	step_soon(s);
}

/* The round may have put segments in place after the log's last commit. */
void store_timers_cleaner_idle(struct store *s, struct plog *l)
{
	if (s->closing && l != NULL && !l->deleted && !l->failed &&
	    !commit_settled(l, COMMIT_FINAL))
		commit_soon(l, COMMIT_FINAL);
	step_soon(s);
}

void store_close(struct store *s, void (*done)(void *arg, enum err e), void *arg)
{
	assert(!s->closing);
	s->closing = true;
	stop_timers(s);
	s->close->done = done;
	s->close->arg = arg;
	cleaner_stop(s->cleaner);
	for (struct plog *l = s->first; l != NULL; l = l->next) {
		l->writes_failed = false;
		if (l->deleted)
			continue;
		if (l->failed)
			plog_repair(l);
		else if (segment_drop_excess(l, plog_active(l), NULL) != ERR_OK)
			s->close->e = ERR_IO; /* the next start looks at it */
		if (!commit_settled(l, COMMIT_FINAL))
			commit_soon(l, COMMIT_FINAL);
	}
	step_soon(s);
}
