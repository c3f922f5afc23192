/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probes: where do both logs of a partition begin and end, and what is the target's last batch.
 * Many partitions are asked about in one request per broker and question, since at a start (or
 * after a broker's death) all of them ask at once.
 *
 * The questions of one probe: source earliest and latest (ListOffsets), the end of a source leader
 * epoch (OffsetForLeaderEpoch, KIP-101/320), target earliest and latest, for a shared partition
 * what the target remembers of our producer (DescribeProducers, KIP-664; it may say nothing); then,
 * if the target has records, its last batch (a Fetch outside any session). A probe is answered when
 * nothing is left to ask.
 */
#include <assert.h>

#include "lib/base/mem.h"
#include "lib/wire/batch.h"
#include "mirror/link/link_parts.h"

enum question {
	Q_SOURCE_START,
	Q_SOURCE_END,
	Q_EPOCH,
	Q_TARGET_START,
	Q_TARGET_END,
	Q_OWN,
	Q_TAIL,
	QUESTIONS
};

enum {
	ASK_MAX = 2000,   /* partitions in one request */
	ASK_OWN_MAX = 50, /* an answer names all producers of a partition */
	TAIL_PART_BYTES =
		64 << 10, /* a larger batch comes alone, as the first of an answer (KIP-74) */
	TAIL_BYTES = 4 << 20,
	NOMEM_RETRY_MS = 1000,
	LATEST = -1,
	EARLIEST = -2,
	/* Fetch requests name topics up to here; later versions use ids (KIP-516), which a probe
	   need not have. */
	FETCH_VERSION_NAMES = 12,
};

struct probe {
	struct probe *next;
	struct slot *slot; /* NULL: nobody waits any more */
	int32_t epoch;
	struct uuid target_id; /* when it was asked: what is sent later must go to that topic */
	unsigned open;         /* questions not yet answered */
	bool todo[QUESTIONS];
	bool busy[QUESTIONS];
	struct probe_result r;
};

struct prober {
	struct link *link;
	struct probe *probes;
	struct loop_deferred send;
	size_t calls;
};

/* One request: the probes that it asks about, in the order of its partitions. */
struct ask {
	struct prober *prober;
	enum question q;
	size_t n;
	struct probe *probes[ASK_MAX]; /* NULL: answered */
	size_t hint;                   /* the one that the answer's next partition should be of */
	struct arena arena;
	union {
		struct list_offsets_request list;
		struct offset_for_leader_epoch_request epoch;
		struct fetch_request fetch;
		struct describe_producers_request own;
	} msg;
};

/* What an answer says of one partition. */
struct entry {
	struct bytes topic;
	int32_t partition;
	enum err err;
	int64_t offset;    /* -1: not known (an epoch's end) */
	struct bytes tail; /* the last batch */
	const struct describe_producers_response_producer_state *producers;
	int32_t producers_n;
};

static void send_all(void *arg);
static const struct client_topic *topic_of(struct prober *b, const struct probe *pr,
					   enum question q);

enum err prober_new(struct link *k, struct prober **out)
{
	struct prober *b = mem_zalloc(1, sizeof *b);
	if (b == NULL)
		return ERR_NOMEM;
	b->link = k;
	b->send = (struct loop_deferred){.fn = send_all, .arg = b};
	*out = b;
	return ERR_OK;
}

static void probe_free(struct probe *pr)
{
	frame_unref(pr->r.tail_frame);
	mem_free(pr);
}

void prober_free(struct prober *b)
{
	if (b == NULL)
		return;
	assert(b->calls == 0);
	loop_undefer(b->link->loop, &b->send);
	while (b->probes != NULL) {
		struct probe *next = b->probes->next;
		probe_free(b->probes);
		b->probes = next;
	}
	mem_free(b);
}

static bool is_source(enum question q)
{
	return q == Q_SOURCE_START || q == Q_SOURCE_END || q == Q_EPOCH;
}

void prober_ask(struct prober *b, struct slot *slot, int32_t epoch)
{
	/* An older question that was left for a fault: its answer is not wanted any more. */
	prober_forget(b, slot);
	struct probe *pr = mem_zalloc(1, sizeof *pr);
	if (pr == NULL) {
		/* Without memory for a probe the partition asks again in a while. */
		loop_timer_set(slot->retry, NOMEM_RETRY_MS);
		return;
	}
	pr->slot = slot;
	pr->epoch = epoch;
	pr->r.epoch_end = -1;
	for (int q = 0; q < Q_TAIL; q++) {
		pr->todo[q] = q == Q_EPOCH ? epoch >= 0 : q != Q_OWN || slot->p->shared;
		pr->open += pr->todo[q];
	}
	const struct client_topic *t = topic_of(b, pr, Q_TARGET_END);
	if (t != NULL)
		pr->target_id = t->id;
	pr->next = b->probes;
	b->probes = pr;
	slot->probe = pr;
	if (!b->send.pending)
		loop_defer(b->link->loop, &b->send);
}

void prober_forget(struct prober *b, struct slot *slot)
{
	(void)b;
	if (slot->probe != NULL) {
		slot->probe->slot = NULL;
		slot->probe = NULL;
	}
}

/* ---- answers ---- */

static void probe_error(struct probe *pr, enum question q, enum err e, const char *text)
{
	if (q == Q_OWN)
		return; /* then it is not known */
	enum err *side = is_source(q) ? &pr->r.source_err : &pr->r.target_err;
	if (pr->r.source_err == ERR_OK && pr->r.target_err == ERR_OK)
		errmsg_set(&pr->r.why, e, "%s: %s",
			   is_source(q) ? "asking the source" : "asking the target", text);
	*side = e;
}

static bool probe_failed(const struct probe *pr)
{
	return pr->r.source_err != ERR_OK || pr->r.target_err != ERR_OK;
}

static void question_done(struct prober *b, struct probe *pr, enum question q)
{
	pr->busy[q] = false;
	pr->open--;
	if (pr->open == 0 && q != Q_TAIL && !probe_failed(pr) && pr->slot != NULL &&
	    pr->r.target_end > pr->r.target_start) {
		pr->todo[Q_TAIL] = true;
		pr->open = 1;
	}
	if (!b->send.pending)
		loop_defer(b->link->loop, &b->send);
}

static bool asked_for(const struct ask *a, const struct probe *pr, const struct entry *e)
{
	if (pr == NULL || pr->slot == NULL || pr->slot->p->index != e->partition)
		return false;
	const struct topic_entry *t = pr->slot->topic;
	return bytes_eq_str(e->topic, is_source(a->q) ? t->source_name : t->target_name);
}

/* Take the probe that the entry answers out of the ask; NULL: nobody asked. Answers mostly come in
 * the order of the questions. */
static struct probe *take_asked(struct ask *a, const struct entry *e)
{
	size_t at = a->hint;
	if (at >= a->n || !asked_for(a, a->probes[at], e))
		for (at = 0; at < a->n && !asked_for(a, a->probes[at], e);)
			at++;
	if (at == a->n)
		return NULL;
	struct probe *pr = a->probes[at];
	a->probes[at] = NULL;
	a->hint = at + 1;
	return pr;
}

static void store_own(struct probe *pr, const struct entry *e)
{
	for (int32_t i = 0; pr->slot != NULL && i < e->producers_n; i++) {
		if (e->producers[i].producer_id != pr->slot->p->producer_id ||
		    e->producers[i].last_sequence < 0 || e->producers[i].producer_epoch < 0 ||
		    e->producers[i].producer_epoch > INT16_MAX)
			continue;
		pr->r.own_known = true;
		pr->r.own_sequence = e->producers[i].last_sequence;
		pr->r.own_epoch = (int16_t)e->producers[i].producer_epoch;
	}
}

/* Put what was answered into the probe. */
static enum err store(struct probe *pr, enum question q, const struct entry *e)
{
	switch (q) {
	case Q_SOURCE_START:
		pr->r.source_start = e->offset;
		return ERR_OK;
	case Q_SOURCE_END:
		pr->r.source_end = e->offset;
		return ERR_OK;
	case Q_EPOCH:
		pr->r.epoch_end = e->offset;
		return ERR_OK;
	case Q_TARGET_START:
		pr->r.target_start = e->offset;
		return ERR_OK;
	case Q_TARGET_END:
		pr->r.target_end = e->offset;
		return ERR_OK;
	case Q_OWN:
		store_own(pr, e);
		return ERR_OK;
	case Q_TAIL:
		if (e->tail.p == NULL)
			return ERR_MALFORMED;
		/* A copy, so that the whole answer is not kept for one batch. */
		pr->r.tail_frame = frame_new(e->tail.n);
		if (pr->r.tail_frame == NULL)
			return ERR_NOMEM;
		memcpy(pr->r.tail_frame->data, e->tail.p, e->tail.n);
		pr->r.tail = bytes_of(pr->r.tail_frame->data, e->tail.n);
		return ERR_OK;
	case QUESTIONS:
		break;
	}
	assert(false && "question out of range");
	return ERR_MALFORMED;
}

/* Hand an entry to the probe that asked, which is taken out of the ask. */
static void take_entry(struct ask *a, const struct entry *x)
{
	struct probe *pr = take_asked(a, x);
	if (pr == NULL)
		return;
	enum err e = x->err == ERR_OK ? store(pr, a->q, x) : x->err;
	if (e != ERR_OK)
		probe_error(pr, a->q, e, err_text(e));
	question_done(a->prober, pr, a->q);
}

/* ---- each kind of answer ---- */

static void take_list(struct ask *a, const struct list_offsets_response *r)
{
	for (int32_t t = 0; t < r->topics_n; t++) {
		for (int32_t i = 0; i < r->topics[t].partitions_n; i++) {
			const struct list_offsets_response_list_offsets_partition_response *x =
				&r->topics[t].partitions[i];
			struct entry e = {.topic = r->topics[t].name,
					  .partition = x->partition_index,
					  .err = err_from_kafka(x->error_code),
					  .offset = x->offset};
			if (e.err == ERR_OK && e.offset < 0)
				e.err = ERR_MALFORMED;
			take_entry(a, &e);
		}
	}
}

static void take_epoch(struct ask *a, const struct offset_for_leader_epoch_response *r)
{
	for (int32_t t = 0; t < r->topics_n; t++) {
		for (int32_t i = 0; i < r->topics[t].partitions_n; i++) {
			const struct offset_for_leader_epoch_response_epoch_end_offset *x =
				&r->topics[t].partitions[i];
			bool known = x->leader_epoch >= 0 && x->end_offset >= 0;
			take_entry(a, &(struct entry){.topic = r->topics[t].topic,
						      .partition = x->partition,
						      .err = err_from_kafka(x->error_code),
						      .offset = known ? x->end_offset : -1});
		}
	}
}

static void take_own(struct ask *a, const struct describe_producers_response *r)
{
	for (int32_t t = 0; t < r->topics_n; t++) {
		for (int32_t i = 0; i < r->topics[t].partitions_n; i++) {
			const struct describe_producers_response_partition_response *x =
				&r->topics[t].partitions[i];
			take_entry(a, &(struct entry){.topic = r->topics[t].name,
						      .partition = x->partition_index,
						      .err = err_from_kafka(x->error_code),
						      .producers = x->active_producers,
						      .producers_n = x->active_producers_n});
		}
	}
}

/* The last whole batch of a record set. */
static struct bytes last_batch(struct bytes records)
{
	struct batch_walk w = {.left = records};
	struct batch_head h;
	struct bytes whole, last = {NULL, 0};
	while (batch_walk_next(&w, &h, &whole, NULL) == BATCH_WALK_BATCH)
		last = whole;
	return last;
}

/* Passes over partitions for which there was no room in this answer: they are asked about again. */
static void take_tail(struct ask *a, const struct fetch_response *r)
{
	for (int32_t t = 0; t < r->responses_n; t++) {
		for (int32_t i = 0; i < r->responses[t].partitions_n; i++) {
			const struct fetch_response_partition_data *x =
				&r->responses[t].partitions[i];
			const struct entry e = {.topic = r->responses[t].topic,
						.partition = x->partition_index,
						.err = err_from_kafka(x->error_code),
						.tail = last_batch(x->records.data)};
			if (e.err != ERR_OK || e.tail.p != NULL)
				take_entry(a, &e);
		}
	}
}

static void take_answer(struct ask *a, const void *msg)
{
	if (a->q == Q_TAIL)
		take_tail(a, msg);
	else if (a->q == Q_EPOCH)
		take_epoch(a, msg);
	else if (a->q == Q_OWN)
		take_own(a, msg);
	else
		take_list(a, msg);
}

static void ask_free(struct ask *a)
{
	arena_fini(&a->arena);
	mem_free(a);
}

static void on_answer(void *arg, enum err e, const struct errmsg *why,
		      const struct rpc_reply *reply)
{
	struct ask *a = arg;
	struct prober *b = a->prober;
	size_t before = 0, after = 0;

	b->calls--;
	for (size_t i = 0; i < a->n; i++)
		before += a->probes[i] != NULL;
	if (e == ERR_OK) {
		if (a->q == Q_TAIL)
			e = err_from_kafka(((const struct fetch_response *)reply->msg)->error_code);
		take_answer(a, reply->msg);
	}
	for (size_t i = 0; i < a->n; i++)
		after += a->probes[i] != NULL;
	for (size_t i = 0; i < a->n; i++) {
		struct probe *pr = a->probes[i];
		if (pr == NULL)
			continue;
		pr->busy[a->q] = false;
		if (a->q == Q_TAIL && e == ERR_OK && after < before) {
			pr->todo[Q_TAIL] =
				true; /* there was no room for it: it comes nearer to the front */
			continue;
		}
		probe_error(pr, a->q, e != ERR_OK ? e : ERR_MALFORMED,
			    e != ERR_OK && why != NULL ? why->text
						       : "the answer does not name the partition");
		question_done(b, pr, a->q);
	}
	ask_free(a);
	if (!b->send.pending)
		loop_defer(b->link->loop, &b->send);
}

/* ---- questions ---- */

static const struct client_topic *topic_of(struct prober *b, const struct probe *pr,
					   enum question q)
{
	const struct topic_entry *t = pr->slot->topic;
	return is_source(q) ? client_topic(b->link->source_client, t->source_name)
			    : client_topic(b->link->target_client, t->target_name);
}

static int32_t leader_of(struct prober *b, const struct probe *pr, enum question q)
{
	const struct client_topic *t = topic_of(b, pr, q);
	if (t == NULL || pr->slot->p->index >= t->partitions_n)
		return -1;
	return t->partitions[pr->slot->p->index].leader;
}

static struct bytes name_of(const struct ask *a, size_t i)
{
	const struct topic_entry *t = a->probes[i]->slot->topic;
	return bytes_str(is_source(a->q) ? t->source_name : t->target_name);
}

/* True if the i-th probe is of another topic than the one before. (Probes of one topic lie
 * together: topics start as a whole.) */
static bool new_topic(const struct ask *a, size_t i)
{
	return i == 0 || a->probes[i]->slot->topic != a->probes[i - 1]->slot->topic;
}

static enum err build_list(struct ask *a)
{
	struct list_offsets_request *m = &a->msg.list;
	wire_init(&wire_list_offsets_request, m);
	m->replica_id = -1;
	m->topics = wire_array_new(&a->arena, &wire_list_offsets_request_list_offsets_topic,
				   (int32_t)a->n);
	struct list_offsets_request_list_offsets_partition *parts = wire_array_new(
		&a->arena, &wire_list_offsets_request_list_offsets_partition, (int32_t)a->n);
	if (m->topics == NULL || parts == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < a->n; i++) {
		if (new_topic(a, i)) {
			m->topics[m->topics_n].name = name_of(a, i);
			m->topics[m->topics_n++].partitions = &parts[i];
		}
		m->topics[m->topics_n - 1].partitions_n++;
		parts[i].partition_index = a->probes[i]->slot->p->index;
		parts[i].timestamp =
			a->q == Q_SOURCE_START || a->q == Q_TARGET_START ? EARLIEST : LATEST;
	}
	return ERR_OK;
}

static enum err build_epoch(struct ask *a)
{
	struct offset_for_leader_epoch_request *m = &a->msg.epoch;
	wire_init(&wire_offset_for_leader_epoch_request, m);
	m->topics = wire_array_new(&a->arena,
				   &wire_offset_for_leader_epoch_request_offset_for_leader_topic,
				   (int32_t)a->n);
	struct offset_for_leader_epoch_request_offset_for_leader_partition *parts = wire_array_new(
		&a->arena, &wire_offset_for_leader_epoch_request_offset_for_leader_partition,
		(int32_t)a->n);
	if (m->topics == NULL || parts == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < a->n; i++) {
		if (new_topic(a, i)) {
			m->topics[m->topics_n].topic = name_of(a, i);
			m->topics[m->topics_n++].partitions = &parts[i];
		}
		m->topics[m->topics_n - 1].partitions_n++;
		parts[i].partition = a->probes[i]->slot->p->index;
		parts[i].current_leader_epoch = -1;
		parts[i].leader_epoch = a->probes[i]->epoch;
	}
	return ERR_OK;
}

static enum err build_tail(struct ask *a)
{
	struct fetch_request *m = &a->msg.fetch;
	wire_init(&wire_fetch_request, m);
	m->max_wait_ms = 0;
	m->min_bytes = 0;
	m->max_bytes = TAIL_BYTES;
	m->topics = wire_array_new(&a->arena, &wire_fetch_request_fetch_topic, (int32_t)a->n);
	struct fetch_request_fetch_partition *parts =
		wire_array_new(&a->arena, &wire_fetch_request_fetch_partition, (int32_t)a->n);
	if (m->topics == NULL || parts == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < a->n; i++) {
		if (new_topic(a, i)) {
			m->topics[m->topics_n].topic = name_of(a, i);
			m->topics[m->topics_n++].partitions = &parts[i];
		}
		m->topics[m->topics_n - 1].partitions_n++;
		parts[i].partition = a->probes[i]->slot->p->index;
		parts[i].fetch_offset = a->probes[i]->r.target_end - 1;
		parts[i].partition_max_bytes = TAIL_PART_BYTES;
	}
	return ERR_OK;
}

static enum err build_own(struct ask *a)
{
	struct describe_producers_request *m = &a->msg.own;
	wire_init(&wire_describe_producers_request, m);
	m->topics = wire_array_new(&a->arena, &wire_describe_producers_request_topic_request,
				   (int32_t)a->n);
	int32_t *parts = arena_zalloc(&a->arena, a->n, sizeof *parts);
	if (m->topics == NULL || parts == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < a->n; i++) {
		if (new_topic(a, i)) {
			m->topics[m->topics_n].name = name_of(a, i);
			m->topics[m->topics_n++].partition_indexes = &parts[i];
		}
		m->topics[m->topics_n - 1].partition_indexes_n++;
		parts[i] = a->probes[i]->slot->p->index;
	}
	return ERR_OK;
}

static enum err build(struct ask *a)
{
	arena_init(&a->arena, 8 << 20);
	if (a->q == Q_OWN)
		return build_own(a);
	if (a->q == Q_TAIL)
		return build_tail(a);
	return a->q == Q_EPOCH ? build_epoch(a) : build_list(a);
}

static int16_t api_of(enum question q)
{
	return q == Q_TAIL ? 1 : q == Q_EPOCH ? 23 : q == Q_OWN ? 61 : 2;
}

static void ask_send(struct prober *b, struct ask *a, int32_t node)
{
	struct client *c = is_source(a->q) ? b->link->source_client : b->link->target_client;
	if (build(a) != ERR_OK) {
		const struct errmsg why = {"out of memory"};
		b->calls++;
		on_answer(a, ERR_NOMEM, &why, NULL);
		return;
	}
	b->calls++;
	const struct client_call cc = {
		.node = node,
		.channel = CLIENT_CHANNEL_CONTROL,
		.api_key = api_of(a->q),
		.max_version = a->q == Q_TAIL ? FETCH_VERSION_NAMES : 0,
		.msg = &a->msg,
		.done = on_answer,
		.arg = a,
	};
	client_call(c, &cc);
}

/* Put all open questions of kind `q` for the leader of the first such probe into one request; false
 * when there is none. */
static bool send_one(struct prober *b, enum question q)
{
	const size_t most = q == Q_OWN ? ASK_OWN_MAX : ASK_MAX;
	struct ask *a = NULL;
	int32_t node = -1;
	for (struct probe *pr = b->probes; pr != NULL; pr = pr->next) {
		if (!pr->todo[q] || pr->slot == NULL || (a != NULL && a->n == most))
			continue;
		int32_t leader = leader_of(b, pr, q);
		if (a != NULL && leader != node)
			continue;
		pr->todo[q] = false;
		if (leader < 0) {
			probe_error(pr, q, ERR_NO_LEADER, err_text(ERR_NO_LEADER));
			question_done(b, pr, q);
			continue;
		}
		if (a == NULL) {
			a = mem_zalloc(1, sizeof *a);
			if (a == NULL) {
				probe_error(pr, q, ERR_NOMEM, err_text(ERR_NOMEM));
				question_done(b, pr, q);
				return false;
			}
			a->prober = b;
			a->q = q;
			node = leader;
		}
		pr->busy[q] = true;
		a->probes[a->n++] = pr;
	}
	if (a == NULL)
		return false;
	ask_send(b, a, node);
	return true;
}

static bool probe_idle(const struct probe *pr)
{
	for (int q = 0; q < QUESTIONS; q++)
		if (pr->busy[q])
			return false;
	return pr->open == 0 || pr->slot == NULL;
}

/* Hand out finished probes. */
static void deliver(struct prober *b)
{
	struct probe *done = NULL;
	for (struct probe **at = &b->probes; *at != NULL;) {
		struct probe *pr = *at;
		if (!probe_idle(pr)) {
			at = &pr->next;
			continue;
		}
		*at = pr->next;
		pr->next = done;
		done = pr;
	}
	while (done != NULL) {
		struct probe *pr = done;
		done = pr->next;
		if (pr->slot != NULL) {
			pr->slot->probe = NULL;
			/* gone.c asks later which topic it was that was copied to. */
			if (!probe_failed(pr))
				pr->slot->target_id = pr->target_id;
			partition_on_probe(pr->slot->p, &pr->r);
		}
		probe_free(pr);
	}
}

static void send_all(void *arg)
{
	struct prober *b = arg;
	for (int q = 0; q < QUESTIONS; q++)
		while (send_one(b, (enum question)q))
			;
	deliver(b);
}
