/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A round over one log goes back and forth between the pool (cleaner_round.c) and the loop:
 *
 *	pool  index the keys of the dirty part
 *	then, for each group of neighbouring segments that fit into one:
 *	pool  write BASE.log.cleaned and its indexes; sync them and the folder
 *	loop  rename .cleaned to .swap, the log last: from here on the new segment counts
 *	pool  sync the folder
 *	loop  rename the old segments to .deleted and .swap to its place; readers see the new
 *	      segment
 *
 * What a crash leaves of this is completed or undone by recovery.c. While a round runs, the
 * segments that it reads stay: no retention. A cut of the log (plog_truncate) ends the round.
 */
#include "cluster/log/cleaner.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "cluster/log/cleaner_round.h"
#include "cluster/log/reaper.h"
#include "cluster/log/store_timers.h"
#include "cluster/log/validate.h"
#include "lib/base/mem.h"

enum { COMMIT_WAIT_MS = 10 };

struct cleaner {
	struct store *store;
	struct loop_timer *timer;
	struct cleaner_round *round; /* NULL: at rest */
	bool stopping;
};

/* ---- choosing a log ---- */

struct candidate {
	struct plog *log;
	size_t segments; /* at the front, that may be cleaned */
	int64_t from, until;
	double ratio;
};

/* The first segments that may be cleaned: below the high watermark, not active, old enough. */
static size_t cleanable_segments(struct plog *l, int64_t wall_ms)
{
	int64_t hw = plog_high_watermark(l), lag = l->config.min_compaction_lag_ms;
	size_t n = 0;

	while (n + 1 < l->segments_n && l->segments[n + 1]->base <= hw) {
		struct segment *g = l->segments[n];
		if (g->index != NULL && !g->saved)
			break; /* a commit will write its index */
		if (lag > 0 &&
		    (segment_load_times(l, g, NULL) != ERR_OK || wall_ms - g->max_timestamp < lag))
			break;
		n++;
	}
	return n;
}

/* A record has been dirty for longer than max.compaction.lag.ms. */
static bool overdue(struct plog *l, int64_t from, int64_t wall_ms)
{
	ptrdiff_t i = plog_segment_at(l, from);

	if (l->config.max_compaction_lag_ms == INT64_MAX || i < 0)
		return false;
	struct segment *g = l->segments[i];
	return segment_load_first(l, g, NULL) == ERR_OK && g->first_timestamp >= 0 &&
	       wall_ms - g->first_timestamp > l->config.max_compaction_lag_ms;
}

static bool consider(struct plog *l, int64_t wall_ms, struct candidate *out)
{
	int64_t dirty = 0, clean = 0;

	if (l->deleted || l->failed || l->uncleanable || !l->config.cleanup_compact)
		return false;
	size_t n = cleanable_segments(l, wall_ms);
	if (n == 0)
		return false;
	*out = (struct candidate){
		.log = l,
		.segments = n,
		.from = l->cleaned,
		.until = l->segments[n]->base,
	};
	if (out->from < l->segments[0]->base || out->from > l->end)
		out->from = l->segments[0]->base;
	for (size_t i = 0; i < n; i++)
		*(l->segments[i]->next > out->from ? &dirty : &clean) += l->segments[i]->size;
	if (dirty == 0 || out->from >= out->until)
		return false;
	out->ratio = (double)dirty / (double)(dirty + clean);
	if (overdue(l, out->from, wall_ms)) {
		out->ratio += 1; /* before all that are only dirty */
		return true;
	}
	return out->ratio > l->config.min_cleanable_dirty_ratio;
}

/* ---- a round's life ---- */

static void run(struct worker_job *job)
{
	cleaner_round_run((struct cleaner_round *)job);
}

static void done(struct worker_job *job);

static void round_free(struct cleaner_round *r)
{
	cleaner_pass_free(r->pass);
	producers_free(r->producers);
	index_free(r->index);
	mem_free(r->sources);
	mem_free(r->folder);
	buf_fini(&r->out);
	buf_fini(&r->batch);
	mem_free(r);
}

static bool is_last(void *arg, const struct batch_head *h)
{
	struct cleaner_round *r = arg;

	return producers_is_last(r->producers, h);
}

static enum err copy_producers(struct cleaner_round *r, struct plog *l)
{
	struct buf b;

	enum err e = plog_load_producers(l, &r->why);
	if (e != ERR_OK)
		return e;
	r->producers = producers_new(PLOG_PRODUCERS_MAX);
	if (r->producers == NULL)
		return ERR_NOMEM;
	buf_init(&b, (size_t)64 * 1024 * 1024);
	e = producers_encode(l->producers, &b);
	if (e == ERR_OK)
		e = producers_decode(r->producers, buf_bytes(&b), &r->why);
	buf_fini(&b);
	return e;
}

static enum err make_pass(struct cleaner_round *r, struct store *s, const struct candidate *k)
{
	const struct clock *clock = loop_clock(s->loop);
	size_t memory = s->options.cleaner_memory;
	const struct cleaner_pass_options o = {
		.memory = memory < CLEANER_PASS_MEMORY_MIN ? CLEANER_PASS_MEMORY_MIN : memory,
		.key = {clock->random(clock->ctx), clock->random(clock->ctx)},
		.from = k->from,
		.until = k->until,
		.now_ms = clock_wall_ms(clock),
		.delete_retention_ms = k->log->config.delete_retention_ms,
		.inflate_max = validate_inflate_max(&k->log->config),
		.is_last = is_last,
		.arg = r,
	};

	return cleaner_pass_new(&o, &r->pass);
}

static enum err round_new(struct cleaner *c, const struct candidate *k, struct cleaner_round **out)
{
	char folder[DISKIO_PATH];
	struct plog *l = k->log;
	struct cleaner_round *r = mem_zalloc(1, sizeof *r);

	if (r == NULL)
		return ERR_NOMEM;
	r->job = (struct worker_job){.run = run, .done = done};
	r->owner = c;
	r->log = l;
	r->loop = c->store->loop;
	r->disk = c->store->disk;
	r->cuts = l->cuts;
	r->config = l->config;
	r->from = k->from;
	buf_init(&r->out, (size_t)INT32_MAX + 1024 * 1024);
	buf_init(&r->batch, (size_t)INT32_MAX + BATCH_OVERHEAD);
	plog_path_folder(l, folder);
	r->folder = mem_strdup(folder);
	r->sources = mem_zalloc(k->segments, sizeof *r->sources);
	enum err e = r->folder == NULL || r->sources == NULL ? ERR_NOMEM : copy_producers(r, l);
	if (e == ERR_OK)
		e = make_pass(r, c->store, k);
	if (e != ERR_OK) {
		round_free(r);
		return e;
	}
	for (size_t i = 0; i < k->segments; i++)
		r->sources[i] = (struct cleaner_source){.base = l->segments[i]->base,
							.next = l->segments[i + 1]->base,
							.size = l->segments[i]->size};
	r->sources_n = k->segments;
	*out = r;
	return ERR_OK;
}

static void submit(struct cleaner_round *r, enum cleaner_step step)
{
	r->step = step;
	r->running = true;
	worker_pool_submit(loop_pool(r->loop), &r->job);
}

static void look(void *arg)
{
	struct cleaner *c = arg;
	struct candidate best = {0}, k;
	int64_t now = clock_wall_ms(loop_clock(c->store->loop));

	for (struct plog *l = c->store->first; l != NULL; l = l->next)
		if (consider(l, now, &k) && (best.log == NULL || k.ratio > best.ratio))
			best = k;
	if (best.log == NULL || round_new(c, &best, &c->round) != ERR_OK) {
		loop_timer_set(c->timer, c->store->options.cleaner_backoff_ms);
		return;
	}
	best.log->cleaning = true;
	submit(c->round, CLEANER_INDEX);
}

/* The round is over; look for more work at once if it did some. */
static void round_end(struct cleaner *c, bool worked)
{
	struct cleaner_round *r = c->round;
	struct plog *l = r->log;

	if (l != NULL)
		l->cleaning = false;
	round_free(r);
	c->round = NULL;
	if (c->stopping)
		store_timers_cleaner_idle(c->store, l);
	else
		loop_timer_set(c->timer, worked ? 0 : c->store->options.cleaner_backoff_ms);
}

static void round_failed(struct cleaner *c)
{
	struct cleaner_round *r = c->round;

	if (r->log != NULL && r->e != ERR_CANCELED) {
		/* What is damaged stays so; for the rest another time may do. */
		r->log->uncleanable = r->e == ERR_CORRUPT || r->e == ERR_MALFORMED;
		log_event(c->store->log, LOG_ERROR, "log_compaction_failed",
			  LOG_S("partition", r->log->name), LOG_S("error", err_name(r->e)),
			  LOG_S("reason", r->why.text));
	}
	round_end(c, false);
}

static void round_finished(struct cleaner *c)
{
	struct cleaner_round *r = c->round;
	const struct cleaner_pass_stats *s = cleaner_pass_stats(r->pass);

	r->log->cleaned = cleaner_pass_end(r->pass);
	c->store->checkpoints_dirty = true;
	log_event(c->store->log, LOG_INFO, "log_compacted", LOG_S("partition", r->log->name),
		  LOG_I("from", r->from), LOG_I("until", r->log->cleaned),
		  LOG_I("bytes_read", s->bytes_read), LOG_I("bytes_kept", s->bytes_kept),
		  LOG_I("records_read", s->records_read), LOG_I("records_kept", s->records_kept),
		  LOG_I("unreadable", s->unreadable), LOG_I("size", r->log->size));
	round_end(c, true);
}

/* ---- groups and swaps ---- */

/* Cleaner.groupSegmentsBySize: neighbours whose sizes and offsets fit into one segment. */
static bool next_group(struct cleaner_round *r)
{
	int64_t end = cleaner_pass_end(r->pass), bytes = 0;

	r->group += r->group_n;
	r->group_n = 0;
	for (size_t i = r->group; i < r->sources_n; i++) {
		const struct cleaner_source *x = &r->sources[i];
		if (x->base >= end)
			break;
		if (r->group_n > 0 && (bytes > r->config.segment_bytes - x->size ||
				       x->next - r->sources[r->group].base > INT32_MAX ||
				       bytes / (r->config.index_interval_bytes + 1) * INDEX_ENTRY >
					       r->config.segment_index_bytes))
			break;
		bytes += x->size;
		r->group_n++;
	}
	return r->group_n > 0;
}

static enum err rename_all(struct cleaner_round *r, const char *from, const char *to)
{
	static const char *const kinds[] = {"index", "timeindex", "log"};

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		char a[DISKIO_PATH], b[DISKIO_PATH], suffix[32];
		(void)snprintf(suffix, sizeof suffix, "%s%s", kinds[i], from);
		cleaner_round_path(r, r->sources[r->group].base, suffix, a);
		(void)snprintf(suffix, sizeof suffix, "%s%s", kinds[i], to);
		cleaner_round_path(r, r->sources[r->group].base, suffix, b);
		if (r->disk->rename(r->disk->ctx, a, b) != 0 && errno != ENOENT)
			return errmsg_set(&r->why, ERR_IO, "%s: rename: %s", a, strerror(errno));
	}
	return ERR_OK;
}

/* False: the file is there still, under its name. */
static bool retire_file(const struct cleaner_round *r, struct reaper *reaper, int64_t base,
			const char *kind)
{
	char from[DISKIO_PATH], to[DISKIO_PATH], suffix[32], name[64];

	(void)snprintf(suffix, sizeof suffix, "%s.deleted", kind);
	(void)snprintf(name, sizeof name, "%020" PRId64 ".%s", base, suffix);
	cleaner_round_path(r, base, kind, from);
	cleaner_round_path(r, base, suffix, to);
	if (r->disk->rename(r->disk->ctx, from, to) != 0)
		return errno == ENOENT;
	if (reaper != NULL && reaper_add(reaper, name) != ERR_OK)
		(void)r->disk->unlink(r->disk->ctx, to);
	return true;
}

/* The old segments behind the first go before the new one takes its place: it may reach over
 * them. */
static enum err retire_old(struct cleaner_round *r, struct reaper *reaper)
{
	static const char *const kinds[] = {"index", "timeindex", "txnindex", "snapshot", "log"};

	for (size_t i = 1; i < r->group_n; i++) {
		int64_t base = r->sources[r->group + i].base;
		bool gone = true;
		for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
			gone = retire_file(r, reaper, base, kinds[k]);
		if (!gone) /* the log, which is the last */
			return errmsg_set(&r->why, ERR_IO, "%020" PRId64 ".log: rename: %s", base,
					  strerror(errno));
	}
	return ERR_OK;
}

/* The group's segments become one. */
static void replace_segments(struct cleaner_round *r)
{
	struct plog *l = r->log;
	ptrdiff_t at = plog_segment_at(l, r->sources[r->group].base);
	struct segment *g = l->segments[at];

	l->size += r->size - g->size;
	g->size = r->size;
	g->next = r->sources[r->group + r->group_n - 1].next;
	g->max_timestamp = r->max_timestamp;
	g->max_timestamp_offset = r->max_timestamp_offset;
	g->first_timestamp = r->first_timestamp;
	g->times_known = g->saved = true;
	g->dirty = false;
	index_free(g->index);
	g->index = NULL;
	files_close(&g->log_file);
	files_close(&g->index_file);
	for (size_t i = 1; i < r->group_n; i++)
		plog_drop_segment(l, (size_t)at + 1);
	l->folder_dirty = true;
}

/* The new files are .swap and that is on disk: put them in place. May be done again after an
 * error. */
static enum err finish_swap(struct cleaner_round *r)
{
	struct reaper *reaper = reaper_new(r->loop, r->disk, r->folder);

	enum err e = retire_old(r, reaper);
	if (e == ERR_OK)
		e = rename_all(r, ".swap", "");
	if (e == ERR_OK) {
		r->swapping = false;
		replace_segments(r);
	}
	reaper_start(reaper, true);
	return e;
}

static void go_on(struct cleaner *c)
{
	struct cleaner_round *r = c->round;

	if (r->log == NULL || r->log->cuts != r->cuts || atomic_load(&r->stop)) {
		r->e = ERR_CANCELED;
		round_failed(c);
	} else if (next_group(r)) {
		submit(r, CLEANER_WRITE);
	} else {
		round_finished(c);
	}
}

/* The swap's second half, as soon as it may be: after the sync, and when no commit writes an index
 * that the new one takes the place of. A rename that should work and does not is tried again; until
 * then the log's files are in between. */
static void swap(struct cleaner *c)
{
	struct cleaner_round *r = c->round;

	if (!r->swapping || r->log == NULL) {
		go_on(c);
		return;
	}
	bool ready = r->synced && !commit_writes_index(r->log);
	if ((ready && finish_swap(r) == ERR_OK) || c->stopping)
		go_on(c); /* after a stop, the next start finishes what is left */
	else if (!r->synced)
		submit(r, CLEANER_SYNC);
	else
		loop_timer_set(c->timer, ready ? STORE_REPAIR_MS : COMMIT_WAIT_MS);
}

static void on_timer(void *arg)
{
	struct cleaner *c = arg;

	if (c->round != NULL)
		swap(c);
	else
		look(c);
}

static void wrote(struct cleaner *c)
{
	struct cleaner_round *r = c->round;

	if (!r->changed || r->log->cuts != r->cuts) {
		cleaner_round_discard(r);
		go_on(c);
		return;
	}
	r->e = rename_all(r, ".cleaned", ".swap");
	if (r->e != ERR_OK) {
		cleaner_round_discard(r);
		round_failed(c);
		return;
	}
	r->swapping = true;
	r->synced = false;
	submit(r, CLEANER_SYNC);
}

static void done(struct worker_job *job)
{
	struct cleaner_round *r = (struct cleaner_round *)job;
	struct cleaner *c = r->owner;

	r->running = false;
	if (c == NULL) {
		round_free(r);
		return;
	}
	if (r->log == NULL) {
		round_failed(c);
		return;
	}
	switch (r->step) {
	case CLEANER_INDEX:
		r->group = r->group_n = 0;
		if (r->e != ERR_OK || cleaner_pass_end(r->pass) <= r->from)
			round_failed(c);
		else
			go_on(c);
		break;
	case CLEANER_WRITE:
		if (r->e != ERR_OK)
			round_failed(c);
		else
			wrote(c);
		break;
	case CLEANER_SYNC:
		/* Without the sync the renames that follow might reach the disk before those that
		 * came first, and then a crash would take both. */
		r->synced = r->e == ERR_OK;
		if (r->synced || c->stopping)
			swap(c);
		else
			loop_timer_set(c->timer, STORE_REPAIR_MS);
		break;
	}
}

/* ---- the cleaner ---- */

struct cleaner *cleaner_new(struct store *s)
{
	struct cleaner *c = mem_zalloc(1, sizeof *c);

	if (c == NULL)
		return NULL;
	c->store = s;
	c->timer = loop_timer_new(s->loop, on_timer, c);
	if (c->timer == NULL) {
		mem_free(c);
		return NULL;
	}
	loop_timer_set(c->timer, s->options.cleaner_backoff_ms);
	return c;
}

void cleaner_free(struct cleaner *c)
{
	if (c == NULL)
		return;
	if (c->round != NULL) {
		c->round->owner = NULL;
		atomic_store(&c->round->stop, true);
		if (!c->round->running)
			round_free(c->round);
	}
	loop_timer_free(c->timer);
	mem_free(c);
}

void cleaner_stop(struct cleaner *c)
{
	c->stopping = true;
	loop_timer_stop(c->timer);
	if (c->round == NULL)
		return;
	atomic_store(&c->round->stop, true);
	if (!c->round->running)
		swap(c);
}

bool cleaner_busy(const struct cleaner *c)
{
	return c->round != NULL;
}

void cleaner_abandon(struct cleaner *c, struct plog *l)
{
	if (c->round == NULL || c->round->log != l)
		return;
	c->round->log = NULL;
	atomic_store(&c->round->stop, true);
	if (!c->round->running)
		round_failed(c);
}

enum err cleaner_settle(struct cleaner *c, struct plog *l, struct errmsg *why)
{
	struct cleaner_round *r = c->round;

	if (r == NULL || r->log != l || !r->swapping)
		return ERR_OK;
	if (commit_writes_index(l))
		return errmsg_set(why, ERR_IO, "%s: a sync is under way", l->name);
	enum err e = diskio_sync_dir(r->disk, r->folder, why);
	if (e == ERR_OK && finish_swap(r) != ERR_OK)
		e = errmsg_set(why, ERR_IO, "%s: %s", l->name, r->why.text);
	return e;
}
