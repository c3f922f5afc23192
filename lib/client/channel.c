/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One channel.
 *
 *	          call, open               ready
 *	IDLE ------------------> CONNECTING ------> READY
 *	 ^ ^                      ^   |               | |
 *	 | |       back-off over, |   | failed        | | release or moved, with calls in flight
 *	 | |          still needed|   v               | v
 *	 | +------------------- BACKOFF <-------------+ DRAINING
 *	 |    not needed             died, still needed    |
 *	 +-------------------------------------------------+ all answered, or died
 *
 * Invariants: `rpc` is set in CONNECTING, READY and DRAINING only; `sent` is empty in the other
 * states but for calls that the rpc is about to complete; the back-off timer runs in BACKOFF only.
 * `attempt` is reset when a life that gave good answers ends, not by the connection, so that a peer
 * that accepts and closes, or that is rejected for its answers, is not called in a tight loop.
 */
#include "lib/client/channel.h"

#include <assert.h>

#include "lib/base/mem.h"

enum channel_state { IDLE, CONNECTING, READY, DRAINING, BACKOFF };

struct channel {
	struct loop *loop;
	const struct channel_config *cfg;
	const struct address *at;
	const struct channel_events *ev;
	void *arg;
	enum channel_state state;
	struct rpc *rpc;
	struct call_queue waiting;
	struct call_list sent;
	struct loop_timer *backoff;
	struct errmsg reason; /* of the last failure */
	unsigned attempt;
	int64_t ready_at; /* monotonic ms */
	bool wanted;      /* channel_open asked for a connection that has not come yet */
	bool answered;    /* this life gave a good answer */
	struct loop_deferred drained;
};

static void channel_connect(struct channel *ch);

static void channel_move(struct channel *ch, enum channel_state to)
{
	static const bool allowed[][5] = {
		[IDLE] = {[CONNECTING] = true},
		[CONNECTING] = {[READY] = true, [BACKOFF] = true, [IDLE] = true},
		[READY] = {[BACKOFF] = true, [DRAINING] = true, [IDLE] = true},
		[DRAINING] = {[IDLE] = true},
		[BACKOFF] = {[CONNECTING] = true, [IDLE] = true},
	};
	assert(allowed[ch->state][to]);
	ch->state = to;
}

static bool channel_needed(const struct channel *ch)
{
	return ch->wanted || ch->waiting.list.n > 0;
}

static void channel_drop_rpc(struct channel *ch)
{
	rpc_close(ch->rpc);
	ch->rpc = NULL;
}

static void channel_back_off(struct channel *ch)
{
	channel_move(ch, BACKOFF);
	int64_t wait = clock_backoff_ms(loop_clock(ch->loop), ch->attempt, ch->cfg->backoff_min_ms,
					ch->cfg->backoff_max_ms);
	if (ch->attempt < 32)
		ch->attempt++;
	loop_timer_set(ch->backoff, wait);
}

static void channel_go_idle(struct channel *ch)
{
	channel_move(ch, IDLE);
	if (channel_needed(ch))
		channel_connect(ch);
	else
		ch->ev->on_idle(ch->arg);
}

static void channel_on_drained(void *arg)
{
	struct channel *ch = arg;
	if (ch->state != DRAINING || ch->sent.n > 0)
		return;
	channel_drop_rpc(ch);
	channel_go_idle(ch);
}

/* From CONNECTING or READY, with the rpc closed. */
static void channel_failed(struct channel *ch, enum err e, const struct errmsg *why)
{
	struct errmsg reason = *why;
	ch->reason = reason;
	ch->wanted = false;
	channel_back_off(ch);
	call_queue_fail(&ch->waiting, e, &reason);
	ch->ev->on_failed(ch->arg, e, &reason);
}

static void channel_lost(struct channel *ch, const struct errmsg *why)
{
	ch->attempt = 0;
	if (channel_needed(ch))
		channel_back_off(ch);
	else
		channel_move(ch, IDLE);
	ch->ev->on_lost(ch->arg, why);
}

static void channel_on_dead(void *arg, enum err e, const struct errmsg *why)
{
	struct channel *ch = arg;
	struct errmsg reason = *why;
	/* No answer and a short life: a peer that accepts and then hangs up counts as unreachable.
	 */
	bool useless = ch->state == CONNECTING ||
		       (ch->state == READY && !ch->answered &&
			loop_now_ms(ch->loop) - ch->ready_at <= ch->cfg->backoff_max_ms);
	channel_drop_rpc(ch);
	if (ch->state == DRAINING)
		channel_go_idle(ch);
	else if (useless)
		channel_failed(ch, e, &reason);
	else
		channel_lost(ch, &reason);
}

/* A call was answered or failed; the channel, if it still has one, is told first. */
static void channel_on_done(void *arg, enum err e, const struct errmsg *why,
			    const struct rpc_reply *reply)
{
	struct call *call = arg;
	struct channel *ch = call->channel;
	rpc_done *done = call->spec.done;
	void *done_arg = call->spec.arg;
	struct errmsg reason;
	if (ch != NULL) {
		call_list_remove(&ch->sent, call);
		if (e == ERR_CANCELED) {
			/* Not by the user: we gave up this peer (channel_reject). */
			reason = ch->reason;
			why = &reason;
			e = ERR_CLOSED;
		}
		if (e == ERR_OK)
			ch->answered = true;
		/* Later: `reply` belongs to the rpc. */
		if (ch->state == DRAINING && ch->sent.n == 0 && !ch->drained.pending)
			loop_defer(ch->loop, &ch->drained);
	}
	mem_free(call);
	done(done_arg, e, why, reply);
}

static void channel_send(struct channel *ch, struct call *call)
{
	const struct client_call *s = &call->spec;
	struct errmsg why = {{0}};
	int64_t left = call->deadline - loop_now_ms(ch->loop);
	int16_t max = s->max_version == 0 ? INT16_MAX : s->max_version;
	int16_t version = rpc_version(ch->rpc, s->api_key, max);
	if (s->prepare != NULL && version >= 0)
		s->prepare(s->arg, version);
	enum err e = rpc_call(ch->rpc, s->api_key, call->min_version, max, s->msg,
			      left > 0 ? left : 1, channel_on_done, call, &why);
	if (e == ERR_OK) {
		call->channel = ch;
		call_list_add(&ch->sent, call);
	} else if (e == ERR_CLOSED) {
		/* The connection died and the loop has not said so yet. Nothing was sent: wait. */
		call_queue_add(&ch->waiting, call);
	} else {
		call_fail(call, e, &why);
	}
}

static void channel_on_ready(void *arg)
{
	struct channel *ch = arg;
	channel_move(ch, READY);
	ch->wanted = false;
	ch->ready_at = loop_now_ms(ch->loop);
	ch->reason.text[0] = '\0';
	for (size_t n = ch->waiting.list.n; n > 0; n--)
		channel_send(ch, call_queue_take(&ch->waiting));
	ch->ev->on_ready(ch->arg);
}

static void channel_connect(struct channel *ch)
{
	static const struct rpc_events events = {channel_on_ready, channel_on_dead};
	channel_move(ch, CONNECTING);
	ch->answered = false;
	ch->rpc = rpc_open(ch->loop, ch->at->host, ch->at->port, &ch->cfg->rpc, &events, ch);
	if (ch->rpc != NULL)
		return;
	struct errmsg why;
	errmsg_set(&why, ERR_NOMEM, "%s:%u: %s", ch->at->host, ch->at->port, err_text(ERR_NOMEM));
	channel_failed(ch, ERR_NOMEM, &why);
}

static void channel_on_backoff(void *arg)
{
	struct channel *ch = arg;
	if (channel_needed(ch)) {
		channel_connect(ch);
	} else {
		channel_move(ch, IDLE);
		ch->ev->on_idle(ch->arg);
	}
}

struct channel *channel_new(struct loop *l, const struct channel_config *cfg,
			    const struct address *at, const struct channel_events *ev, void *arg)
{
	struct channel *ch = mem_zalloc(1, sizeof *ch);
	if (ch == NULL)
		return NULL;
	ch->loop = l;
	ch->cfg = cfg;
	ch->at = at;
	ch->ev = ev;
	ch->arg = arg;
	ch->drained = (struct loop_deferred){.fn = channel_on_drained, .arg = ch};
	ch->backoff = loop_timer_new(l, channel_on_backoff, ch);
	if (ch->backoff == NULL)
		goto err_after_alloc;
	if (call_queue_init(&ch->waiting, l, &ch->reason) != ERR_OK)
		goto err_after_timer;
	return ch;

err_after_timer:
	loop_timer_free(ch->backoff);
err_after_alloc:
	mem_free(ch);
	return NULL;
}

void channel_free(struct channel *ch)
{
	if (ch == NULL)
		return;
	while (ch->sent.head != NULL) {
		struct call *call = ch->sent.head;
		call_list_remove(&ch->sent, call);
		call->channel = NULL;
	}
	call_queue_fail(&ch->waiting, ERR_CANCELED, NULL);
	call_queue_fini(&ch->waiting);
	loop_timer_free(ch->backoff);
	loop_undefer(ch->loop, &ch->drained);
	rpc_close(ch->rpc);
	mem_free(ch);
}

void channel_open(struct channel *ch)
{
	if (ch->state == READY)
		return;
	ch->wanted = true;
	if (ch->state == IDLE)
		channel_connect(ch);
}

void channel_call(struct channel *ch, struct call *call)
{
	/* Calls that already wait go first. */
	if (ch->state == READY && ch->waiting.list.n == 0) {
		channel_send(ch, call);
		return;
	}
	call_queue_add(&ch->waiting, call);
	if (ch->state == IDLE)
		channel_connect(ch);
}

void channel_release(struct channel *ch)
{
	ch->wanted = false;
	if (ch->state == READY && ch->sent.n > 0) {
		channel_move(ch, DRAINING);
		return;
	}
	if (ch->state == IDLE || ch->state == DRAINING)
		return;
	if (ch->answered)
		ch->attempt = 0;
	loop_timer_stop(ch->backoff);
	channel_drop_rpc(ch);
	channel_go_idle(ch);
}

void channel_retire(struct channel *ch, enum err e, const struct errmsg *why)
{
	call_queue_fail(&ch->waiting, e, why);
	channel_release(ch);
}

void channel_reject(struct channel *ch, enum err e, const struct errmsg *why)
{
	if (ch->state != READY)
		return;
	channel_drop_rpc(ch);
	channel_failed(ch, e, why);
}

void channel_moved(struct channel *ch)
{
	bool wanted = ch->wanted;
	ch->attempt = 0;
	channel_release(ch);
	if (wanted)
		channel_open(ch);
}

bool channel_ready(const struct channel *ch)
{
	return ch->state == READY && rpc_ready(ch->rpc);
}

bool channel_pending(const struct channel *ch)
{
	return ch->state == CONNECTING || (ch->state != READY && channel_needed(ch));
}

bool channel_idle(const struct channel *ch)
{
	return ch->state == IDLE || (ch->state == BACKOFF && !channel_needed(ch));
}

size_t channel_in_flight(const struct channel *ch)
{
	return ch->sent.n;
}

int16_t channel_version(const struct channel *ch, int16_t api_key)
{
	return channel_ready(ch) ? rpc_version(ch->rpc, api_key, INT16_MAX) : -1;
}
