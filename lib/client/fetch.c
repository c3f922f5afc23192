/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fetcher: one request at a time, built by the session's delta.
 *
 * Invariants: `round` is set from the send to the end of the last callback; it outlives the fetcher
 * if need be, since the completion of its call may come later. The request is sent from the loop,
 * never from inside the owner's calls.
 */
#include "lib/client/fetch.h"

#include <assert.h>

#include "lib/base/mem.h"
#include "lib/client/broker.h"
#include "lib/client/fetch_session.h"

enum {
	REQUEST_MAX = 64 * 1024 * 1024, /* bytes that a request's arrays may take */
	THROTTLE_MAX_MS = 30 * 1000, /* a broker cannot silence us for longer than that at once */
	VERSION_LAST_EPOCH = 12,
	VERSION_SESSIONS = 7,
	VERSION_NAMES_MAX = 12
};

struct round {
	struct fetcher *fetcher; /* NULL: freed meanwhile */
	struct arena arena;
	struct fetch_request req;
};

struct fetcher {
	struct client *client;
	struct loop *loop;
	struct fetcher_options o;
	struct fetch_events ev;
	void *arg;
	struct fetch_session *session;
	struct round *round;
	unsigned attempt;         /* failed rounds in a row */
	struct loop_timer *pause; /* back-off or throttling: no request while it runs */
	struct loop_deferred run;
};

static void fetcher_run_soon(struct fetcher *f)
{
	if (f->round == NULL && !f->run.pending && !loop_timer_armed(f->pause))
		loop_defer(f->loop, &f->run);
}

static void round_free(struct round *r)
{
	arena_fini(&r->arena);
	mem_free(r);
}

/* ---- answers ---- */

/* The broker knows who leads now (KIP-951). */
static void take_hint(struct fetcher *f, const struct fetch_part *part,
		      const struct fetch_response *r, const struct fetch_response_partition_data *p)
{
	int32_t leader = p->current_leader.leader_id;
	if (leader < 0 || p->current_leader.leader_epoch < 0)
		return;
	char host[256] = "";
	uint16_t port = 0;
	for (int32_t i = 0; i < r->node_endpoints_n; i++) {
		const struct fetch_response_node_endpoint *n = &r->node_endpoints[i];
		if (n->node_id != leader || !broker_host_valid(n->host) || n->port < 1 ||
		    n->port > UINT16_MAX)
			continue;
		memcpy(host, n->host.p, n->host.n);
		host[n->host.n] = '\0';
		port = (uint16_t)n->port;
		break;
	}
	client_leader_hint(f->client, fetch_session_topic(part), p->partition_index, leader,
			   p->current_leader.leader_epoch, port == 0 ? NULL : host, port);
}

static void deliver_partition(struct fetcher *f, struct fetch_part *part,
			      const struct rpc_reply *reply,
			      const struct fetch_response_partition_data *p)
{
	struct fetch_result result = {
		.error = err_from_kafka(p->error_code),
		.high_watermark = p->high_watermark,
		.last_stable_offset = p->last_stable_offset,
		.log_start_offset = p->log_start_offset,
		.records = p->records.data,
		.frame = reply->frame,
		.aborted = p->aborted_transactions,
		.aborted_n = p->aborted_transactions_n > 0 ? p->aborted_transactions_n : 0,
		.diverging_epoch = p->diverging_epoch.epoch,
		.diverging_end = p->diverging_epoch.end_offset,
		.preferred_read_replica = p->preferred_read_replica,
	};
	if (result.error != ERR_OK) {
		take_hint(f, part, reply->msg, p);
		fetch_session_pause(part);
	}
	f->ev.on_result(fetch_session_arg(part), &result);
}

/* The owner may do anything in its callbacks, so nothing is kept across them but the round. */
static void deliver(struct round *round, const struct rpc_reply *reply)
{
	const struct fetch_response *r = reply->msg;
	for (int32_t i = 0; i < r->responses_n; i++) {
		const struct fetch_response_fetchable_topic_response *t = &r->responses[i];
		for (int32_t j = 0; j < t->partitions_n && round->fetcher != NULL; j++) {
			struct fetcher *f = round->fetcher;
			struct fetch_part *part = fetch_session_find(
				f->session, reply->version, t, t->partitions[j].partition_index);
			if (part != NULL)
				deliver_partition(f, part, reply, &t->partitions[j]);
		}
	}
}

static bool is_session_error(enum err e)
{
	return e == ERR_KAFKA_FETCH_SESSION_ID_NOT_FOUND ||
	       e == ERR_KAFKA_INVALID_FETCH_SESSION_EPOCH ||
	       e == ERR_KAFKA_FETCH_SESSION_TOPIC_ID_ERROR;
}

/* How long to wait before the next request. Brokers drop sessions as they please (a cache of
 * limited size), so the first such loss costs no wait. */
static int64_t wait_after(struct fetcher *f, enum err e, const struct fetch_response *r)
{
	if (e != ERR_OK) {
		int64_t wait = client_backoff_ms(f->client, f->attempt);
		if (f->attempt == 0 && is_session_error(e))
			wait = 0;
		if (f->attempt < 32)
			f->attempt++;
		return wait;
	}
	f->attempt = 0;
	if (r->throttle_time_ms <= 0)
		return 0;
	return r->throttle_time_ms < THROTTLE_MAX_MS ? r->throttle_time_ms : THROTTLE_MAX_MS;
}

static void fetcher_on_done(void *arg, enum err e, const struct errmsg *why,
			    const struct rpc_reply *reply)
{
	struct round *round = arg;
	struct errmsg reason = {{0}};
	int64_t wait = 0;
	if (round->fetcher != NULL) {
		struct fetch_session *s = round->fetcher->session;
		if (e == ERR_OK) {
			e = fetch_session_accept(s, reply->version, reply->msg, &reason);
		} else {
			fetch_session_reset(s);
			reason = *why;
		}
		wait = wait_after(round->fetcher, e, reply == NULL ? NULL : reply->msg);
	}
	if (e == ERR_OK)
		deliver(round, reply);
	if (round->fetcher != NULL)
		round->fetcher->ev.on_round(round->fetcher->arg, e, e == ERR_OK ? NULL : &reason,
					    reply == NULL ? 0 : reply->frame->n);
	struct fetcher *f = round->fetcher;
	round_free(round);
	if (f == NULL)
		return;
	f->round = NULL;
	if (wait > 0)
		loop_timer_set(f->pause, wait);
	else
		fetcher_run_soon(f);
}

/* ---- requests ---- */

/* Fields that must not be set in older versions. */
static void fetcher_prepare(void *arg, int16_t version)
{
	struct fetch_request *req = &((struct round *)arg)->req;
	if (version < VERSION_SESSIONS)
		req->forgotten_topics_data_n = 0;
	if (version >= VERSION_LAST_EPOCH)
		return;
	for (int32_t i = 0; i < req->topics_n; i++) {
		for (int32_t j = 0; j < req->topics[i].partitions_n; j++)
			req->topics[i].partitions[j].last_fetched_epoch = -1;
	}
}

static struct round *round_new(struct fetcher *f, bool *ids)
{
	struct round *r = mem_zalloc(1, sizeof *r);
	if (r == NULL)
		return NULL;
	arena_init(&r->arena, REQUEST_MAX);
	struct fetch_request *req = &r->req;
	wire_init(&wire_fetch_request, req);
	req->max_wait_ms = f->o.max_wait_ms;
	req->min_bytes = f->o.min_bytes;
	req->max_bytes = f->o.max_bytes;
	req->isolation_level = f->o.read_committed ? 1 : 0;
	if (f->o.rack != NULL)
		req->rack_id = bytes_str(f->o.rack);
	if (fetch_session_build(f->session, &r->arena, req, ids) != ERR_OK) {
		round_free(r);
		return NULL;
	}
	r->fetcher = f;
	return r;
}

static void fetcher_on_run(void *arg)
{
	struct fetcher *f = arg;
	bool ids;
	if (f->round != NULL || loop_timer_armed(f->pause) || fetch_session_wanted(f->session) == 0)
		return;
	f->round = round_new(f, &ids);
	if (f->round == NULL) {
		struct errmsg why;
		errmsg_set(&why, ERR_NOMEM, "fetch: %s", err_text(ERR_NOMEM));
		loop_timer_set(f->pause, wait_after(f, ERR_NOMEM, NULL));
		f->ev.on_round(f->arg, ERR_NOMEM, &why, 0);
		return;
	}
	const struct client_call call = {
		.node = f->o.node,
		.channel = f->o.channel,
		.api_key = WIRE_API_FETCH,
		.max_version = ids ? 0 : VERSION_NAMES_MAX,
		.msg = &f->round->req,
		.timeout_ms = f->o.max_wait_ms + client_request_timeout_ms(f->client),
		.prepare = fetcher_prepare,
		.done = fetcher_on_done,
		.arg = f->round,
	};
	client_call(f->client, &call);
}

static void fetcher_on_pause_over(void *arg)
{
	fetcher_run_soon(arg);
}

/* ---- life ---- */

struct fetcher *fetcher_new(struct client *c, const struct fetcher_options *o,
			    const struct fetch_events *ev, void *arg)
{
	struct fetcher *f = mem_zalloc(1, sizeof *f);
	if (f == NULL)
		return NULL;
	f->client = c;
	f->loop = client_loop(c);
	f->o = *o;
	f->ev = *ev;
	f->arg = arg;
	f->run = (struct loop_deferred){.fn = fetcher_on_run, .arg = f};
	f->session = fetch_session_new(f);
	if (f->session == NULL)
		goto err_after_alloc;
	f->pause = loop_timer_new(f->loop, fetcher_on_pause_over, f);
	if (f->pause == NULL)
		goto err_after_session;
	return f;

err_after_session:
	fetch_session_free(f->session);
err_after_alloc:
	mem_free(f);
	return NULL;
}

void fetcher_free(struct fetcher *f)
{
	if (f == NULL)
		return;
	if (f->round != NULL)
		f->round->fetcher = NULL;
	loop_undefer(f->loop, &f->run);
	loop_timer_free(f->pause);
	fetch_session_free(f->session);
	mem_free(f);
}

struct fetch_part *fetcher_add(struct fetcher *f, const char *topic, const struct uuid *id,
			       int32_t partition, void *part_arg)
{
	return fetch_session_add(f->session, topic, id, partition, part_arg);
}

void fetcher_remove(struct fetcher *f, struct fetch_part *p)
{
	assert(fetch_session_owner(p) == f);
	fetch_session_remove(p);
}

void fetch_part_resume(struct fetch_part *p, int64_t offset, int32_t leader_epoch,
		       int32_t last_epoch, int32_t max_bytes)
{
	const struct fetch_want want = {.offset = offset,
					.leader_epoch = leader_epoch,
					.last_epoch = last_epoch,
					.max_bytes = max_bytes};
	fetch_session_want(p, &want);
	fetcher_run_soon(fetch_session_owner(p));
}

void fetch_part_pause(struct fetch_part *p)
{
	fetch_session_pause(p);
}

void fetcher_set_max_bytes(struct fetcher *f, int32_t max_bytes)
{
	f->o.max_bytes = max_bytes;
}

void fetcher_set_wait(struct fetcher *f, int32_t max_wait_ms)
{
	f->o.max_wait_ms = max_wait_ms;
}

bool fetcher_in_flight(const struct fetcher *f)
{
	return f->round != NULL;
}

size_t fetcher_parts(const struct fetcher *f)
{
	return fetch_session_parts(f->session);
}
