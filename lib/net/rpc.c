/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests and answers over one connection.
 *
 *   OPENING ---> READY <---> RENEWING (authenticating again; new requests are held back)
 *      |           |            |
 *      +-----------+------------+---> DEAD ---> CLOSED (any state may go here)
 *
 * Invariants:
 * - `flight` holds what was sent, in order: the next answer belongs to its head. `held` is empty
 *   outside of RENEWING.
 * - Each call completes once: it is taken off its list, freed, and then its `done` is called; so
 *   `done` may call anything, rpc_close included. An rpc is freed in a turn of its own (rpc_reap).
 * - The connection is closed before calls complete with an error: nothing reads their records any
 *   more.
 * - One timer serves all deadlines: it is never later than the nearest. It may be too early, since
 *   a completion does not move it.
 */
#include "lib/net/rpc.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <stdio.h>

#include "lib/base/mem.h"
#include "lib/net/handshake.h"

enum {
	SPLICE_MIN = 1024,                   /* rpc.h promises it */
	REQUEST_COPY_MAX = 64 * 1024 * 1024, /* bytes of a request but for its splices */
	SECRET_MAX = 16 * 1024               /* bytes of a request with a secret */
};

enum rpc_state { RPC_OPENING, RPC_READY, RPC_RENEWING, RPC_DEAD, RPC_CLOSED, RPC_STATES };

struct rpc_pending {
	struct rpc_pending *next;
	int16_t api_key;
	int16_t version;
	int32_t correlation_id;
	bool internal;       /* of the handshake */
	int64_t deadline_ms; /* monotonic */
	int64_t timeout_ms;  /* for messages */
	uint64_t end_at;     /* the connection's output counted in bytes, when this was queued */
	struct wire_out out; /* while it is held */
	rpc_done *done;
	void *arg;
};

struct rpc_list {
	struct rpc_pending *head;
	struct rpc_pending **tail;
};

/* The slow step of SCRAM, on a pool thread. It owns the handshake if the rpc goes first. */
struct rpc_job {
	struct worker_job job; /* first */
	struct rpc *rpc;       /* NULL: gone */
	struct handshake *handshake;
	enum err e;
};

struct rpc {
	struct loop *loop;
	struct conn *conn; /* NULL from DEAD on */
	char *name;
	enum rpc_state state;
	struct rpc_options options;
	struct rpc_events events;
	void *arg;
	struct handshake *handshake;
	struct rpc_job *job;
	struct rpc_list flight;
	struct rpc_list held;
	size_t in_flight;
	bool served; /* a request of rpc_call was answered */
	int32_t next_correlation_id;
	uint64_t queued; /* bytes given to the connection */
	struct loop_timer *deadline_timer;
	int64_t deadline_armed_ms; /* INT64_MAX: not armed */
	struct loop_timer *renew_timer;
	struct loop_deferred reap;
};

static void rpc_move(struct rpc *r, enum rpc_state to)
{
	static const bool allowed[RPC_STATES][RPC_STATES] = {
		[RPC_OPENING] = {[RPC_READY] = true, [RPC_DEAD] = true, [RPC_CLOSED] = true},
		[RPC_READY] = {[RPC_RENEWING] = true, [RPC_DEAD] = true, [RPC_CLOSED] = true},
		[RPC_RENEWING] = {[RPC_READY] = true, [RPC_DEAD] = true, [RPC_CLOSED] = true},
		[RPC_DEAD] = {[RPC_CLOSED] = true},
	};
	assert(allowed[r->state][to]);
	r->state = to;
}

static bool rpc_alive(const struct rpc *r)
{
	return r->state != RPC_DEAD && r->state != RPC_CLOSED;
}

bool rpc_ready(const struct rpc *r)
{
	return r->state == RPC_READY || r->state == RPC_RENEWING;
}

/* ---- lists of calls ---- */

static void list_init(struct rpc_list *l)
{
	l->head = NULL;
	l->tail = &l->head;
}

static void list_put(struct rpc_list *l, struct rpc_pending *p)
{
	p->next = NULL;
	*l->tail = p;
	l->tail = &p->next;
}

static struct rpc_pending *list_take(struct rpc_list *l)
{
	struct rpc_pending *p = l->head;
	if (p == NULL)
		return NULL;
	l->head = p->next;
	if (l->head == NULL)
		l->tail = &l->head;
	return p;
}

/* `p` is off its list. */
static void rpc_complete(struct rpc *r, struct rpc_pending *p, enum err e, const struct errmsg *why,
			 const struct rpc_reply *reply)
{
	rpc_done *done = p->done;
	void *arg = p->arg;
	if (!p->internal) {
		r->in_flight--;
		r->served = r->served || e == ERR_OK;
	}
	wire_out_fini(&p->out);
	mem_free(p);
	done(arg, e, why, reply);
}

static void rpc_fail_all(struct rpc *r, enum err e, const struct errmsg *why)
{
	struct rpc_pending *p;
	while ((p = list_take(&r->flight)) != NULL || (p = list_take(&r->held)) != NULL)
		rpc_complete(r, p, e, why, NULL);
}

/* ---- the end ---- */

static void rpc_hang_up(struct rpc *r)
{
	loop_timer_stop(r->deadline_timer);
	loop_timer_stop(r->renew_timer);
	conn_close(r->conn);
	r->conn = NULL;
}

/* Only from callbacks of the loop, since completions come from here. */
static void rpc_die(struct rpc *r, enum err e, const struct errmsg *cause)
{
	if (!rpc_alive(r))
		return;
	struct errmsg why = *cause; /* it may be part of what is closed now */
	rpc_move(r, RPC_DEAD);
	rpc_hang_up(r);
	rpc_fail_all(r, e, &why);
	if (r->state == RPC_DEAD)
		r->events.on_dead(r->arg, e, &why);
}

static void rpc_free(struct rpc *r)
{
	if (r->job != NULL)
		r->job->rpc = NULL; /* the job frees the handshake */
	else
		handshake_free(r->handshake);
	loop_timer_free(r->deadline_timer);
	loop_timer_free(r->renew_timer);
	mem_free(r->name);
	mem_free(r);
}

static void rpc_reap(void *arg)
{
	struct rpc *r = arg;
	struct errmsg why;
	errmsg_set(&why, ERR_CANCELED, "%s: %s", r->name, err_text(ERR_CANCELED));
	rpc_fail_all(r, ERR_CANCELED, &why);
	rpc_free(r);
}

void rpc_close(struct rpc *r)
{
	if (r == NULL)
		return;
	rpc_move(r, RPC_CLOSED);
	rpc_hang_up(r);
	loop_defer(r->loop, &r->reap);
}

/* ---- deadlines ---- */

static void rpc_arm_deadline(struct rpc *r, int64_t at_ms)
{
	if (at_ms >= r->deadline_armed_ms)
		return;
	int64_t in_ms = at_ms - loop_now_ms(r->loop);
	r->deadline_armed_ms = at_ms;
	loop_timer_set(r->deadline_timer, in_ms < 0 ? 0 : in_ms);
}

static const struct rpc_pending *rpc_earliest(const struct rpc *r)
{
	const struct rpc_pending *best = r->flight.head;
	for (const struct rpc_pending *p = r->flight.head; p != NULL; p = p->next)
		if (p->deadline_ms < best->deadline_ms)
			best = p;
	for (const struct rpc_pending *p = r->held.head; p != NULL; p = p->next)
		if (best == NULL || p->deadline_ms < best->deadline_ms)
			best = p;
	return best;
}

static void rpc_on_deadline(void *arg)
{
	struct rpc *r = arg;
	r->deadline_armed_ms = INT64_MAX;
	const struct rpc_pending *p = rpc_earliest(r);
	if (p == NULL)
		return;
	if (p->deadline_ms > loop_now_ms(r->loop)) {
		rpc_arm_deadline(r, p->deadline_ms);
		return;
	}
	struct errmsg why;
	errmsg_set(&why, ERR_TIMEOUT, "%s: no answer to %s v%d within %lld ms", r->name,
		   wire_api_name(p->api_key), p->version, (long long)p->timeout_ms);
	rpc_die(r, ERR_TIMEOUT, &why);
}

/* ---- sending ---- */

struct rpc_secret {
	size_t n;
	uint8_t data[];
};

static void rpc_wipe_secret(void *arg)
{
	struct rpc_secret *s = arg;
	OPENSSL_cleanse(s->data, s->n);
	mem_free(s);
}

/* Send a message that holds a secret: the connection gets it as one splice that is ours, so that it
 * can be wiped when it was written. `out` is wiped here in any case. */
static enum err rpc_send_secret(struct conn *c, struct wire_out *out)
{
	size_t n = out->buf.len;
	struct wire_out sealed;
	wire_out_init(&sealed, 0, 0);
	struct rpc_secret *s = mem_alloc(sizeof *s + n);
	sealed.splices = mem_zalloc(1, sizeof *sealed.splices);
	enum err e = ERR_NOMEM;
	if (s != NULL && sealed.splices != NULL) {
		s->n = n;
		memcpy(s->data, out->buf.p, n);
		sealed.splices[0].bytes = bytes_of(s->data, n);
		sealed.splices_n = sealed.splices_cap = 1;
		sealed.splice_bytes = n;
		e = conn_send(c, &sealed, rpc_wipe_secret, s);
		if (e != ERR_OK)
			OPENSSL_cleanse(s->data, n);
	}
	if (e != ERR_OK) {
		mem_free(s);
		wire_out_fini(&sealed);
	}
	OPENSSL_cleanse(out->buf.p, out->buf.cap);
	return e;
}

/* Hand `out` to the connection; then `p` is in flight. */
static enum err rpc_transmit(struct rpc *r, struct rpc_pending *p, struct wire_out *out,
			     bool secret)
{
	uint64_t n = 4 + out->buf.len + out->splice_bytes;
	enum err e = secret ? rpc_send_secret(r->conn, out) : conn_send(r->conn, out, NULL, NULL);
	if (e != ERR_OK)
		return e;
	r->queued += n;
	p->end_at = r->queued;
	list_put(&r->flight, p);
	return ERR_OK;
}

static enum err rpc_encode(const struct rpc *r, const struct rpc_pending *p, const void *msg,
			   struct wire_out *out, struct errmsg *why)
{
	struct wire_request_header head = {
		.api_key = p->api_key,
		.api_version = p->version,
		.correlation_id = p->correlation_id,
		.client_id = bytes_str(r->options.client_id),
	};
	wire_put_request_header(&head, out);
	enum err e = wire_encode(wire_request(p->api_key), p->version, msg, out, why);
	if (e == ERR_OK && out->buf.err != ERR_OK)
		e = errmsg_set(why, out->buf.err, "%s", err_text(out->buf.err));
	if (e != ERR_OK)
		errmsg_wrap(why, e, "%s: request %s v%d", r->name, wire_api_name(p->api_key),
			    p->version);
	return e;
}

/* What is sent, to whom it is answered; `version` is settled. */
struct rpc_send {
	int16_t api_key;
	int16_t version;
	const void *msg;
	bool internal;
	bool secret;
	int64_t timeout_ms;
	rpc_done *done;
	void *arg;
};

static struct rpc_pending *rpc_pending_new(struct rpc *r, const struct rpc_send *s)
{
	struct rpc_pending *p = mem_zalloc(1, sizeof *p);
	if (p == NULL)
		return NULL;
	int64_t timeout_ms = s->timeout_ms < 1 ? 1 : s->timeout_ms;
	if (timeout_ms > INT32_MAX)
		timeout_ms = INT32_MAX;
	p->api_key = s->api_key;
	p->version = s->version;
	p->correlation_id = r->next_correlation_id;
	p->internal = s->internal;
	p->timeout_ms = timeout_ms;
	p->deadline_ms = loop_now_ms(r->loop) + timeout_ms;
	p->done = s->done;
	p->arg = s->arg;
	wire_out_init(&p->out, 0, 0);
	return p;
}

static enum err rpc_send(struct rpc *r, const struct rpc_send *s, struct errmsg *why)
{
	struct wire_out out;
	enum err e;
	wire_out_init(&out, s->secret ? SECRET_MAX : REQUEST_COPY_MAX, SPLICE_MIN);
	struct rpc_pending *p = rpc_pending_new(r, s);
	if (p == NULL) {
		e = errmsg_set(why, ERR_NOMEM, "%s: %s", r->name, err_text(ERR_NOMEM));
		goto err_after_out;
	}
	/* A secret must not be left behind in memory that was outgrown. */
	if (s->secret && buf_extend(&out.buf, SECRET_MAX) != NULL)
		buf_clear(&out.buf);
	e = rpc_encode(r, p, s->msg, &out, why);
	if (e != ERR_OK)
		goto err_after_pending;
	if (r->state == RPC_RENEWING && !s->internal) {
		p->out = out;
		list_put(&r->held, p);
	} else {
		e = rpc_transmit(r, p, &out, s->secret);
		if (e != ERR_OK) {
			errmsg_set(why, e, "%s: %s", r->name, err_text(e));
			goto err_after_pending;
		}
		wire_out_fini(&out);
	}
	r->next_correlation_id =
		r->next_correlation_id == INT32_MAX ? 0 : r->next_correlation_id + 1;
	if (!s->internal)
		r->in_flight++;
	rpc_arm_deadline(r, p->deadline_ms);
	return ERR_OK;

err_after_pending:
	mem_free(p);
err_after_out:
	if (s->secret && out.buf.p != NULL)
		OPENSSL_cleanse(out.buf.p, out.buf.cap);
	wire_out_fini(&out);
	return e;
}

int16_t rpc_version(const struct rpc *r, int16_t api_key, int16_t max_version)
{
	return versions_pick(handshake_versions(r->handshake), api_key, max_version);
}

enum err rpc_call(struct rpc *r, int16_t api_key, int16_t min_version, int16_t max_version,
		  const void *msg, int64_t timeout_ms, rpc_done *done, void *arg,
		  struct errmsg *why)
{
	if (!rpc_ready(r))
		return errmsg_set(why, ERR_CLOSED, "%s: not connected", r->name);
	int16_t version = rpc_version(r, api_key, max_version);
	if (version < 0 || version < min_version)
		return errmsg_set(why, ERR_UNSUPPORTED,
				  "%s: the broker has no version of %s (key %d) that we can use",
				  r->name, wire_api_name(api_key), api_key);
	return rpc_send(r,
			&(struct rpc_send){.api_key = api_key,
					   .version = version,
					   .msg = msg,
					   .timeout_ms = timeout_ms,
					   .done = done,
					   .arg = arg},
			why);
}

/* ---- the handshake ---- */

static void rpc_advance(struct rpc *r);

static void rpc_die_in_handshake(struct rpc *r, enum err e, struct errmsg *why)
{
	errmsg_wrap(why, e, "%s", r->name);
	rpc_die(r, e, why);
}

static void rpc_on_handshake_answer(void *arg, enum err e, const struct errmsg *why,
				    const struct rpc_reply *reply)
{
	struct rpc *r = arg;
	if (!rpc_alive(r))
		return;
	if (e != ERR_OK) {
		rpc_die(r, e, why);
		return;
	}
	struct errmsg detail = {0};
	e = handshake_answer(r->handshake, reply, &detail);
	if (e != ERR_OK)
		rpc_die_in_handshake(r, e, &detail);
	else
		rpc_advance(r);
}

static void rpc_send_handshake(struct rpc *r)
{
	struct handshake_request q;
	struct errmsg why = {0};
	enum err e = handshake_request(r->handshake, &q, &why);
	if (e != ERR_OK) {
		rpc_die_in_handshake(r, e, &why);
		return;
	}
	e = rpc_send(r,
		     &(struct rpc_send){.api_key = q.api_key,
					.version = q.version,
					.msg = q.msg,
					.internal = true,
					.secret = q.secret,
					.timeout_ms = r->options.setup_timeout_ms,
					.done = rpc_on_handshake_answer,
					.arg = r},
		     &why);
	if (e != ERR_OK)
		rpc_die(r, e, &why);
}

static void rpc_job_run(struct worker_job *job)
{
	struct rpc_job *j = (struct rpc_job *)job;
	j->e = handshake_compute(j->handshake);
}

static void rpc_job_done(struct worker_job *job)
{
	struct rpc_job *j = (struct rpc_job *)job;
	struct rpc *r = j->rpc;
	enum err e = j->e;
	if (r == NULL)
		handshake_free(j->handshake);
	else
		r->job = NULL;
	mem_free(j);
	if (r == NULL || !rpc_alive(r))
		return;
	struct errmsg why;
	errmsg_set(&why, e, "SCRAM: the computation failed");
	if (e != ERR_OK)
		rpc_die_in_handshake(r, e, &why);
	else
		rpc_advance(r);
}

static void rpc_compute(struct rpc *r)
{
	struct rpc_job *j = mem_zalloc(1, sizeof *j);
	if (j == NULL) {
		struct errmsg why;
		errmsg_set(&why, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
		rpc_die_in_handshake(r, ERR_NOMEM, &why);
		return;
	}
	j->job.run = rpc_job_run;
	j->job.done = rpc_job_done;
	j->rpc = r;
	j->handshake = r->handshake;
	j->e = ERR_CANCELED; /* a pool that stops skips `run` */
	r->job = j;
	worker_pool_submit(loop_pool(r->loop), &j->job);
}

/* Send what was held back while we authenticated again. */
static enum err rpc_send_held(struct rpc *r, struct errmsg *why)
{
	while (r->held.head != NULL) {
		struct rpc_pending *p = list_take(&r->held);
		struct wire_out out = p->out;
		wire_out_init(&p->out, 0, 0);
		enum err e = rpc_transmit(r, p, &out, false);
		wire_out_fini(&out);
		if (e != ERR_OK) {
			errmsg_set(why, e, "%s: %s", r->name, err_text(e));
			rpc_complete(r, p, e, why, NULL);
			return e;
		}
	}
	return ERR_OK;
}

static void rpc_become_ready(struct rpc *r)
{
	bool first = r->state == RPC_OPENING;
	uint64_t random = loop_clock(r->loop)->random(loop_clock(r->loop)->ctx);
	int64_t renew_ms = handshake_renew_ms(r->handshake, random);
	if (renew_ms > 0)
		loop_timer_set(r->renew_timer, renew_ms);
	rpc_move(r, RPC_READY);
	struct errmsg why;
	enum err e = rpc_send_held(r, &why);
	if (e != ERR_OK)
		rpc_die(r, e, &why);
	else if (first)
		r->events.on_ready(r->arg);
}

static void rpc_advance(struct rpc *r)
{
	switch (handshake_todo(r->handshake)) {
	case HANDSHAKE_SEND:
		rpc_send_handshake(r);
		break;
	case HANDSHAKE_COMPUTE:
		rpc_compute(r);
		break;
	case HANDSHAKE_READY:
		rpc_become_ready(r);
		break;
	}
}

static void rpc_on_renew(void *arg)
{
	struct rpc *r = arg;
	if (r->state != RPC_READY)
		return;
	rpc_move(r, RPC_RENEWING);
	handshake_again(r->handshake);
	rpc_advance(r);
}

/* ---- answers ---- */

/* Does the frame answer the head of the flight? `*used` is the length of its header. */
static enum err rpc_match(const struct rpc *r, struct bytes in, size_t *used, struct errmsg *why)
{
	const struct rpc_pending *p = r->flight.head;
	if (p == NULL)
		return errmsg_set(why, ERR_MALFORMED, "an answer came that nobody asked for");
	int32_t id = 0;
	enum err e = wire_get_response_header(in, p->api_key, p->version, &id, used, why);
	if (e != ERR_OK)
		return errmsg_wrap(why, e, "answer to %s v%d: bad header",
				   wire_api_name(p->api_key), p->version);
	if (id != p->correlation_id)
		return errmsg_set(why, ERR_MALFORMED,
				  "answer to %s v%d has correlation id %d, expected %d",
				  wire_api_name(p->api_key), p->version, id, p->correlation_id);
	/* The request's records are still being read: completing it now would free them. */
	if (p->end_at > r->queued - conn_unsent(r->conn))
		return errmsg_set(why, ERR_MALFORMED, "%s v%d was answered before it was sent",
				  wire_api_name(p->api_key), p->version);
	return ERR_OK;
}

/* Decode the body into a struct of the arena. */
static enum err rpc_decode(const struct rpc_pending *p, struct bytes body, struct arena *a,
			   struct rpc_reply *reply, struct errmsg *why)
{
	const struct wire_message *m = wire_response(p->api_key);
	void *msg = wire_array_new(a, m->body, 1);
	if (msg == NULL)
		return errmsg_set(why, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	reply->api_key = p->api_key;
	reply->version = p->version;
	reply->msg = msg;
	if (p->api_key == WIRE_API_API_VERSIONS)
		return versions_decode(body, &reply->version, a, msg, why);
	return wire_decode(m, p->version, body, a, msg, why);
}

static void rpc_on_frame(void *arg, struct frame *f)
{
	struct rpc *r = arg;
	struct errmsg why = {0};
	struct rpc_reply reply = {.frame = f};
	struct bytes in = bytes_of(f->data, f->n);
	size_t used = 0;
	struct arena a;
	arena_init(&a, r->options.decode_max);

	enum err e = rpc_match(r, in, &used, &why);
	if (e != ERR_OK) {
		errmsg_wrap(&why, e, "%s", r->name);
		rpc_die(r, e, &why);
		goto out;
	}
	struct rpc_pending *p = r->flight.head;
	e = rpc_decode(p, bytes_of(in.p + used, in.n - used), &a, &reply, &why);
	if (e != ERR_OK)
		errmsg_wrap(&why, e, "%s: answer to %s v%d did not decode", r->name,
			    wire_api_name(p->api_key), p->version);
	/* Too large for us or for now is no fault of the stream: the next answer may be read. */
	if (e != ERR_OK && e != ERR_LIMIT && e != ERR_NOMEM) {
		rpc_die(r, e, &why);
		goto out;
	}
	list_take(&r->flight);
	rpc_complete(r, p, e, &why, e == ERR_OK ? &reply : NULL);
out:
	arena_fini(&a);
	frame_unref(f);
}

/* ---- the connection ---- */

static void rpc_on_open(void *arg)
{
	rpc_advance(arg);
}

static void rpc_on_conn_dead(void *arg, enum err e, const struct errmsg *why)
{
	struct rpc *r = arg;
	struct errmsg hint = *why;
	if (e == ERR_CLOSED && !r->served) {
		/* What brokers do with a client that came to the wrong listener. One for SASL
		 * answers ApiVersions before it finds out. */
		size_t n = strlen(hint.text);
		snprintf(hint.text + n, sizeof hint.text - n,
			 " before it answered a request; do TLS and SASL settings fit this port?");
	}
	rpc_die(r, e, &hint);
}

struct rpc *rpc_open(struct loop *l, const char *host, uint16_t port, const struct rpc_options *o,
		     const struct rpc_events *events, void *arg)
{
	static const struct conn_events conn_events = {
		.on_open = rpc_on_open,
		.on_frame = rpc_on_frame,
		.on_dead = rpc_on_conn_dead,
	};
	struct rpc *r = mem_zalloc(1, sizeof *r);
	if (r == NULL)
		return NULL;
	r->loop = l;
	r->options = *o;
	if (r->options.decode_max == 0)
		r->options.decode_max = RPC_DECODE_MAX;
	if (r->options.setup_timeout_ms == 0)
		r->options.setup_timeout_ms = RPC_SETUP_TIMEOUT_MS;
	r->events = *events;
	r->arg = arg;
	r->deadline_armed_ms = INT64_MAX;
	r->reap = (struct loop_deferred){.fn = rpc_reap, .arg = r};
	list_init(&r->flight);
	list_init(&r->held);
	r->handshake = handshake_new(&r->options.sasl);
	r->deadline_timer = loop_timer_new(l, rpc_on_deadline, r);
	r->renew_timer = loop_timer_new(l, rpc_on_renew, r);
	if (r->handshake == NULL || r->deadline_timer == NULL || r->renew_timer == NULL)
		goto err_after_new;
	r->conn = conn_connect(l, host, port, &o->conn, &conn_events, r);
	if (r->conn == NULL)
		goto err_after_new;
	r->name = mem_strdup(conn_name(r->conn));
	if (r->name == NULL)
		goto err_after_connect;
	return r;

err_after_connect:
	conn_close(r->conn);
err_after_new:
	rpc_free(r);
	return NULL;
}

size_t rpc_in_flight(const struct rpc *r)
{
	return r->in_flight;
}

const char *rpc_name(const struct rpc *r)
{
	return r->name;
}

const struct conn *rpc_conn(const struct rpc *r)
{
	return r->conn;
}
