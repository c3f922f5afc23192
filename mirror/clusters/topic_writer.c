/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records wait in the builder; when no batch is under way the builder's content becomes the batch,
 * which stays as it is until the cluster has it.
 *
 *   IDLE -> (records) -> ENSURE the topic -> SEND -> stored: IDLE, or the next batch
 *                             ^                |
 *                             +---- back-off --+  refused, or an unclear end
 */
#include "mirror/clusters/topic_writer.h"

#include "lib/base/mem.h"

enum { RETRY_MIN_MS = 200, RETRY_MAX_MS = 10 * 1000, RETRY_UNKNOWN_MS = 100 };

struct topic_writer {
	struct loop *loop;
	struct topic_writer_options o;
	struct own_topic *topic;
	struct batch_builder builder; /* what waits */
	struct buf batch;             /* under way; empty: none is */
	uint64_t last, batch_last, stored;
	bool busy; /* the topic is being ensured, or the batch is sent */
	bool sent; /* a request is out */
	bool stopped;
	unsigned attempt;
	struct loop_timer *timer;
};

static void work(void *arg);

static void on_not_made(void *arg, enum err e, const struct errmsg *why)
{
	struct topic_writer *w = arg;
	if (w->o.refused != NULL)
		w->o.refused(w->o.arg, e, why);
}

enum err topic_writer_new(struct loop *l, const struct topic_writer_options *o,
			  struct topic_writer **out)
{
	struct topic_writer *w = mem_zalloc(1, sizeof *w);
	if (w == NULL)
		return ERR_NOMEM;
	w->loop = l;
	w->o = *o;
	w->o.topic.refused = on_not_made;
	w->o.topic.arg = w;
	batch_builder_init(&w->builder, CODEC_NONE, o->batch_bytes);
	buf_init(&w->batch, o->batch_bytes + BATCH_HEAD);
	w->timer = loop_timer_new(l, work, w);
	enum err e = w->timer == NULL ? ERR_NOMEM : own_topic_new(l, &w->o.topic, &w->topic);
	if (e != ERR_OK) {
		topic_writer_free(w);
		return e;
	}
	*out = w;
	return ERR_OK;
}

void topic_writer_stop(struct topic_writer *w)
{
	if (w == NULL)
		return;
	w->stopped = true;
	own_topic_stop(w->topic);
}

void topic_writer_free(struct topic_writer *w)
{
	if (w == NULL)
		return;
	own_topic_free(w->topic);
	loop_timer_free(w->timer);
	batch_builder_fini(&w->builder);
	buf_fini(&w->batch);
	mem_free(w);
}

/* ---- writing ---- */

static void retry(struct topic_writer *w, enum err e, const struct errmsg *why)
{
	bool gone = e == ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
	log_event(loop_log(w->loop), LOG_WARN, "internal_topic_not_written",
		  LOG_S("link", w->o.topic.link), LOG_S("topic", own_topic_name(w->topic)),
		  LOG_S("error", err_name(e)), LOG_S("reason", why->text));
	loop_timer_set(w->timer, gone ? RETRY_UNKNOWN_MS
				      : clock_backoff_ms(loop_clock(w->loop), w->attempt++,
							 RETRY_MIN_MS, RETRY_MAX_MS));
	if (w->o.refused != NULL)
		w->o.refused(w->o.arg, e, why);
}

static void on_written(void *arg, enum err e, const struct errmsg *why)
{
	struct topic_writer *w = arg;
	w->busy = w->sent = false;
	if (e == ERR_CANCELED || w->stopped)
		return;
	if (e != ERR_OK) {
		retry(w, e, why);
		return;
	}
	w->attempt = 0;
	w->stored = w->batch_last;
	buf_clear(&w->batch);
	if (w->builder.count > 0)
		loop_timer_set(w->timer, w->o.linger_ms);
	if (w->o.stored != NULL)
		w->o.stored(w->o.arg, w->stored);
}

static void on_ensured(void *arg, enum err e, const struct errmsg *why)
{
	struct topic_writer *w = arg;
	w->busy = false;
	if (e != ERR_OK) {
		retry(w, e, why);
		return;
	}
	if (w->batch.len == 0) {
		if (w->builder.count == 0)
			return;
		enum err full = batch_builder_encode(&w->builder, &w->batch);
		if (full != ERR_OK) {
			const struct errmsg text = {"out of memory"};
			buf_clear(&w->batch);
			retry(w, full, &text);
			return;
		}
		batch_builder_clear(&w->builder);
		w->batch_last = w->last;
	}
	w->busy = w->sent = true;
	own_topic_produce(w->topic, buf_bytes(&w->batch), on_written, w);
}

static void work(void *arg)
{
	struct topic_writer *w = arg;
	if (w->busy || w->stopped || (w->batch.len == 0 && w->builder.count == 0))
		return;
	w->busy = true;
	own_topic_ensure(w->topic, on_ensured, w);
}

/* ---- the owner's side ---- */

enum err topic_writer_put(struct topic_writer *w, const struct record *r, uint64_t *ticket)
{
	enum err e = batch_builder_add(&w->builder, r);
	if (e != ERR_OK)
		return e;
	w->last++;
	if (ticket != NULL)
		*ticket = w->last;
	if (!w->busy && w->batch.len == 0 && !loop_timer_armed(w->timer))
		loop_timer_set(w->timer, w->o.linger_ms);
	return ERR_OK;
}

enum err topic_writer_put_pair(struct topic_writer *w, struct bytes key, struct bytes value,
			       uint64_t *ticket)
{
	const struct record r = {
		.timestamp = clock_wall_ms(loop_clock(w->loop)),
		.key = key,
		.value = value,
	};
	return topic_writer_put(w, &r, ticket);
}

uint64_t topic_writer_stored(const struct topic_writer *w)
{
	return w->stored;
}

bool topic_writer_idle(const struct topic_writer *w)
{
	return w->builder.count == 0 && w->batch.len == 0;
}

void topic_writer_drop(struct topic_writer *w)
{
	batch_builder_clear(&w->builder);
	if (w->sent)
		return;
	buf_clear(&w->batch);
	if (w->busy)
		own_topic_leave(w->topic);
	w->busy = false;
}

const char *topic_writer_topic(const struct topic_writer *w)
{
	return own_topic_name(w->topic);
}

void topic_writer_on_metadata(struct topic_writer *w)
{
	own_topic_on_metadata(w->topic);
}
