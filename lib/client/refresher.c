/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metadata requests of a client. A request and all that it borrows live in a round, which
 * outlives the refresher if need be: its completion may come after refresher_free.
 */
#include "lib/client/refresher.h"

#include "lib/base/map.h"
#include "lib/base/mem.h"

enum { ROUND_MAX = 64 * 1024 * 1024 }; /* bytes of one request's names */

struct round {
	struct refresher *owner;       /* NULL: nobody wants it any more */
	const struct channel *channel; /* that carries it; may be gone: compare only */
	struct arena arena;
	struct metadata_request req;
};

struct refresher {
	struct loop *loop;
	struct refresher_options o;
	refresher_apply *apply;
	void *arg;
	struct map *followed; /* topic name -> the refresher itself, which stands for "yes" */
	bool follow_all;
	bool wanted;
	bool closed;
	struct round *round; /* in flight */
	unsigned attempt;    /* failures in a row */
	int64_t next_at;     /* no request before; monotonic ms */
	int64_t stale_at;    /* a request at the latest then */
	struct loop_timer *timer;
	struct loop_deferred run;
	struct errmsg reason; /* of the last failure; empty after a good answer */
};

static void refresher_run_soon(struct refresher *r)
{
	if (!r->closed && !r->run.pending)
		loop_defer(r->loop, &r->run);
}

static void round_free(struct round *round)
{
	if (round == NULL)
		return;
	arena_fini(&round->arena);
	mem_free(round);
}

/* In version 0 an empty list would mean all topics; the call's min_version keeps that away. */
static bool round_fill(struct round *round, const struct refresher *r)
{
	struct metadata_request *req = &round->req;
	wire_init(&wire_metadata_request, req);
	req->allow_auto_topic_creation = false;
	if (r->follow_all) {
		req->topics_n = -1;
		return true;
	}
	size_t n = map_count(r->followed), i = 0, at = 0;
	if (n == 0)
		return true;
	req->topics = wire_array_new(&round->arena, &wire_metadata_request_metadata_request_topic,
				     (int32_t)n);
	if (req->topics == NULL)
		return false;
	req->topics_n = (int32_t)n;
	for (struct bytes name; i < n && map_next(r->followed, &at, &name, NULL); i++) {
		/* A copy: the map may change before the request is encoded. */
		char *copy = arena_strndup(&round->arena, name);
		if (copy == NULL)
			return false;
		req->topics[i].name = bytes_of(copy, name.n);
	}
	return true;
}

static void refresher_failed(struct refresher *r, const struct errmsg *why)
{
	r->wanted = true;
	r->next_at =
		loop_now_ms(r->loop) + clock_backoff_ms(loop_clock(r->loop), r->attempt,
							r->o.backoff_min_ms, r->o.backoff_max_ms);
	if (r->attempt < 32)
		r->attempt++;
	if (strcmp(r->reason.text, why->text) != 0) {
		r->reason = *why;
		log_event(loop_log(r->loop), LOG_WARN, "metadata_failed",
			  LOG_S("cluster", r->o.cluster), LOG_S("reason", why->text));
	}
}

static void refresher_succeeded(struct refresher *r)
{
	int64_t now = loop_now_ms(r->loop);
	if (r->reason.text[0] != '\0')
		log_event(loop_log(r->loop), LOG_INFO, "metadata_recovered",
			  LOG_S("cluster", r->o.cluster));
	r->reason.text[0] = '\0';
	r->attempt = 0;
	r->next_at = now + r->o.backoff_min_ms;
	r->stale_at = now + r->o.max_age_ms;
}

static void refresher_on_done(void *arg, enum err e, const struct errmsg *why,
			      const struct rpc_reply *reply)
{
	struct round *round = arg;
	struct refresher *r = round->owner;
	const struct channel *ch = round->channel;
	round_free(round);
	if (r == NULL)
		return;
	r->round = NULL;
	struct errmsg reason = {{0}};
	if (e == ERR_OK)
		e = r->apply(r->arg, reply->msg, &reason);
	else
		reason = *why;
	if (r->closed)
		return;
	if (e == ERR_MALFORMED || e == ERR_LIMIT || e == ERR_KAFKA_INCONSISTENT_CLUSTER_ID)
		brokers_reject(r->o.brokers, ch, e, &reason);
	if (e == ERR_OK)
		refresher_succeeded(r);
	else
		refresher_failed(r, &reason);
	refresher_run_soon(r);
}

static bool refresher_send(struct refresher *r, struct channel *ch)
{
	struct round *round = mem_zalloc(1, sizeof *round);
	if (round == NULL)
		return false;
	arena_init(&round->arena, ROUND_MAX);
	round->owner = r;
	round->channel = ch;
	if (!round_fill(round, r))
		goto err_after_round;
	struct client_call spec = {.node = CLIENT_ANY,
				   .api_key = WIRE_API_METADATA,
				   .msg = &round->req,
				   .timeout_ms = r->o.timeout_ms,
				   .done = refresher_on_done,
				   .arg = round};
	struct call *call = call_new(r->loop, &spec);
	if (call == NULL)
		goto err_after_round;
	call->min_version = 1;
	r->round = round;
	r->wanted = false;
	channel_call(ch, call);
	return true;

err_after_round:
	round_free(round);
	return false;
}

static void refresher_on_run(void *arg)
{
	struct refresher *r = arg;
	if (r->closed || r->round != NULL)
		return;
	int64_t now = loop_now_ms(r->loop);
	if (now >= r->stale_at)
		r->wanted = true;
	int64_t at = r->wanted ? r->next_at : r->stale_at;
	if (at > now) {
		loop_timer_set(r->timer, at - now);
		return;
	}
	struct channel *ch = brokers_any(r->o.brokers);
	if (ch == NULL || refresher_send(r, ch))
		return;
	struct errmsg why;
	errmsg_set(&why, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	refresher_failed(r, &why);
	refresher_run_soon(r);
}

static void refresher_on_timer(void *arg)
{
	refresher_run_soon(arg);
}

struct refresher *refresher_new(struct loop *l, const struct refresher_options *o,
				refresher_apply *apply, void *arg)
{
	struct refresher *r = mem_zalloc(1, sizeof *r);
	if (r == NULL)
		return NULL;
	r->loop = l;
	r->o = *o;
	r->apply = apply;
	r->arg = arg;
	r->wanted = true;
	r->stale_at = INT64_MAX;
	r->run = (struct loop_deferred){.fn = refresher_on_run, .arg = r};
	r->followed = map_new();
	if (r->followed == NULL)
		goto err_after_alloc;
	r->timer = loop_timer_new(l, refresher_on_timer, r);
	if (r->timer == NULL)
		goto err_after_map;
	return r;

err_after_map:
	map_free(r->followed);
err_after_alloc:
	mem_free(r);
	return NULL;
}

void refresher_close(struct refresher *r)
{
	r->closed = true;
	if (r->round != NULL)
		r->round->owner = NULL;
	r->round = NULL;
	loop_undefer(r->loop, &r->run);
	loop_timer_free(r->timer);
	r->timer = NULL;
}

void refresher_free(struct refresher *r)
{
	if (r == NULL)
		return;
	map_free(r->followed);
	mem_free(r);
}

void refresher_ask(struct refresher *r)
{
	r->wanted = true;
	refresher_run_soon(r);
}

void refresher_kick(struct refresher *r)
{
	/* What failed for want of a broker need not wait longer. */
	if (r->attempt > 0)
		r->next_at = 0;
	refresher_run_soon(r);
}

/* New topics do not wait out the pause after a good answer. */
static void refresher_ask_now(struct refresher *r)
{
	if (r->attempt == 0)
		r->next_at = 0;
	refresher_ask(r);
}

void refresher_follow_all(struct refresher *r)
{
	if (r->follow_all)
		return;
	r->follow_all = true;
	refresher_ask_now(r);
}

enum err refresher_follow(struct refresher *r, const char *topic)
{
	struct bytes name = bytes_str(topic);
	if (map_get(r->followed, name) != NULL)
		return ERR_OK;
	if (map_count(r->followed) >= INT32_MAX)
		return ERR_NOMEM;
	enum err e = map_put(r->followed, name, r);
	if (e == ERR_OK && !r->follow_all)
		refresher_ask_now(r);
	return e;
}

void refresher_unfollow(struct refresher *r, const char *topic)
{
	map_take(r->followed, bytes_str(topic));
}
