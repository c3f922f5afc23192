/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unknown producers wait in two lists: `waiting` for the next question, `asked` for the answer of
 * the one under way. The question is where the followed table ends (ListOffsets, which after an
 * election is only answered when the end is known for sure, KIP-207); it is settled when the table
 * was read up to there.
 *
 * Invariants: an id is in at most one of the lists; `local` holds no producer of the forward link.
 */
#include "mirror/clusters/origin.h"

#include "lib/base/mem.h"
#include "mirror/clusters/id_set.h"

enum {
	LOCAL_MAX = 1 << 15, /* remembered; more are asked about again */
	ASK_MAX = 1024,      /* asked about together */
	API_LIST_OFFSETS = 2,
	LATEST = -1,
};

struct origin {
	struct loop *loop;
	struct client *client;
	struct reverse *reverse;
	void (*changed)(void *arg);
	void *arg;
	struct id_set local, waiting, asked;
	int64_t end; /* the answer: settled when all below it was read; -1: there is none yet */
	bool asking; /* the request is under way */
	unsigned attempt;
	struct errmsg problem;
	struct loop_timer *retry;
	struct reverse_watch watch;
	struct loop_deferred settle;
	struct list_offsets_request msg;
	struct list_offsets_request_list_offsets_topic topic;
	struct list_offsets_request_list_offsets_partition part;
};

/* ---- asking ---- */

static void ask(struct origin *g);

static void on_retry(void *arg)
{
	struct origin *g = arg;
	ask(g);
	/* There was no memory to note what should be asked: let them come again. */
	if (!g->asking && g->asked.n == 0)
		g->changed(g->arg);
}

static void failed(struct origin *g, enum err e, const char *what)
{
	errmsg_set(&g->problem, e, "asking where %s ends: %s", reverse_topic(g->reverse), what);
	client_metadata_refresh(g->client);
	loop_timer_set(g->retry, client_backoff_ms(g->client, g->attempt++));
}

/* Nobody new that was asked about wrote for the forward link. */
static void settle(void *arg)
{
	struct origin *g = arg;
	if (g->end < 0 || reverse_read_to(g->reverse) < g->end)
		return;
	for (size_t i = 0; i < g->asked.cap; i++) {
		int64_t id = g->asked.ids[i];
		if (id < 0 || reverse_wrote(g->reverse, id))
			continue;
		if (g->local.n == g->local.max)
			id_set_clear(&g->local);
		/* Without memory it is asked about again. */
		(void)!id_set_add(&g->local, id);
	}
	id_set_clear(&g->asked);
	g->end = -1;
	ask(g);
	g->changed(g->arg);
}

static void settle_soon(struct origin *g)
{
	if (!g->settle.pending)
		loop_defer(g->loop, &g->settle);
}

static void on_table(void *arg)
{
	struct origin *g = arg;
	if (g->end >= 0)
		settle_soon(g);
}

static void on_end(void *arg, enum err e, const struct errmsg *why, const struct rpc_reply *reply)
{
	struct origin *g = arg;
	g->asking = false;
	int64_t end = -1;
	if (e == ERR_OK) {
		const struct list_offsets_response *r = reply->msg;
		e = r->topics_n == 1 && r->topics[0].partitions_n == 1
			    ? err_from_kafka(r->topics[0].partitions[0].error_code)
			    : ERR_MALFORMED;
		if (e == ERR_OK) {
			end = r->topics[0].partitions[0].offset;
			e = end >= 0 ? ERR_OK : ERR_MALFORMED;
		}
		if (e != ERR_OK)
			why = NULL;
	}
	if (e == ERR_CANCELED)
		return;
	if (e != ERR_OK) {
		failed(g, e, why != NULL ? why->text : err_text(e));
		return;
	}
	g->attempt = 0;
	errmsg_set(&g->problem, ERR_OK, "%s", "");
	g->end = end;
	settle_soon(g);
}

/* Ask about all that wait, unless a question is under way. */
static void ask(struct origin *g)
{
	if (g->asking || g->end >= 0 || (g->waiting.n == 0 && g->asked.n == 0))
		return;
	if (g->waiting.n > 0) {
		/* After a failure both wait: the question is asked anew, for all. */
		for (size_t i = 0; i < g->asked.cap; i++)
			if (g->asked.ids[i] >= 0)
				(void)!id_set_add(&g->waiting, g->asked.ids[i]);
		struct id_set empty = g->asked;
		g->asked = g->waiting;
		g->waiting = empty;
		id_set_clear(&g->waiting);
	}
	if (reverse_leader(g->reverse) < 0) {
		failed(g, ERR_NO_LEADER, err_text(ERR_NO_LEADER));
		return;
	}
	wire_init(&wire_list_offsets_request, &g->msg);
	g->msg.replica_id = -1;
	g->msg.topics = &g->topic;
	g->msg.topics_n = 1;
	g->topic = (struct list_offsets_request_list_offsets_topic){
		.name = bytes_str(reverse_topic(g->reverse)),
		.partitions = &g->part,
		.partitions_n = 1,
	};
	g->part = (struct list_offsets_request_list_offsets_partition){
		.current_leader_epoch = -1,
		.timestamp = LATEST,
	};
	const struct client_call cc = {
		.node = reverse_leader(g->reverse),
		.channel = CLIENT_CHANNEL_CONTROL,
		.api_key = API_LIST_OFFSETS,
		.msg = &g->msg,
		.done = on_end,
		.arg = g,
	};
	g->asking = true;
	client_call(g->client, &cc);
}

/* ---- the verdict ---- */

/* Is the table complete at `offset`, and then: is there a run? */
static enum origin_verdict by_table(const struct run_entry *x, int64_t offset)
{
	struct runs_answer a, next;
	if (x == NULL || runs_count(x->runs) == 0 || offset < runs_dst_start(x->runs) ||
	    offset >= runs_dst_end(x->runs))
		return ORIGIN_UNKNOWN;
	if (!runs_backward(x->runs, offset, &a) || !a.exact || a.pending > 0)
		return ORIGIN_UNKNOWN;
	/* The first copy at or after `offset` is the copy of a.offset; is it at `offset`? */
	if (!runs_forward(x->runs, a.offset, &next) || !next.exact)
		return ORIGIN_UNKNOWN;
	return next.pending == 0 && next.offset == offset ? ORIGIN_COPY : ORIGIN_LOCAL;
}

enum origin_verdict origin_of(struct origin *g, const char *topic, int32_t partition,
			      const struct batch_head *h)
{
	if (h->magic < 2 || h->producer_id < 0)
		return ORIGIN_LOCAL;
	if (reverse_wrote(g->reverse, h->producer_id))
		return ORIGIN_COPY;
	enum origin_verdict v =
		by_table(reverse_entry(g->reverse, topic, partition), batch_last_offset(h));
	if (v != ORIGIN_UNKNOWN)
		return v;
	if (id_set_has(&g->local, h->producer_id))
		return ORIGIN_LOCAL;
	/* What was asked before this batch was fetched says nothing about it: it waits for the next
	 * question, but where the one under way is about this producer, which is as good: what the
	 * producer was when it wrote the first batch it is for the others. */
	if (!id_set_has(&g->asked, h->producer_id) &&
	    id_set_add(&g->waiting, h->producer_id) == ERR_OK)
		ask(g);
	else if (!g->asking && g->end < 0 && !loop_timer_armed(g->retry))
		loop_timer_set(g->retry, client_backoff_ms(g->client, g->attempt++));
	return ORIGIN_UNKNOWN;
}

bool origin_problem(const struct origin *g, struct errmsg *why)
{
	*why = g->problem;
	return g->problem.text[0] != '\0';
}

/* ---- life ---- */

enum err origin_new(const struct origin_options *o, struct origin **out)
{
	struct origin *g = mem_zalloc(1, sizeof *g);
	if (g == NULL)
		return ERR_NOMEM;
	g->loop = o->loop;
	g->client = o->client;
	g->reverse = o->reverse;
	g->changed = o->changed;
	g->arg = o->arg;
	g->end = -1;
	id_set_init(&g->local, LOCAL_MAX, loop_clock(o->loop));
	id_set_init(&g->waiting, ASK_MAX, loop_clock(o->loop));
	id_set_init(&g->asked, ASK_MAX, loop_clock(o->loop));
	g->settle = (struct loop_deferred){.fn = settle, .arg = g};
	g->retry = loop_timer_new(o->loop, on_retry, g);
	if (g->retry == NULL) {
		mem_free(g);
		return ERR_NOMEM;
	}
	g->watch = (struct reverse_watch){.fn = on_table, .arg = g};
	reverse_watch(o->reverse, &g->watch);
	*out = g;
	return ERR_OK;
}

void origin_free(struct origin *g)
{
	if (g == NULL)
		return;
	reverse_unwatch(g->reverse, &g->watch);
	loop_undefer(g->loop, &g->settle);
	loop_timer_free(g->retry);
	id_set_fini(&g->local);
	id_set_fini(&g->waiting);
	id_set_fini(&g->asked);
	mem_free(g);
}
