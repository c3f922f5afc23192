/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fetcher on the leader of the followed topic, one long poll at a time; its records go to a
 * run_store. Everything starts over (a fresh store, from offset 0) when the topic was made again or
 * lost records: the tables are then what the topic holds now. The producers that were seen stay
 * known, since what they wrote stays a copy.
 *
 * Invariants: `store` holds the records below `read_at`; a fetcher exists only with a leader.
 */
#include "mirror/clusters/reverse.h"

#include <inttypes.h>

#include "lib/base/mem.h"
#include "lib/client/fetch.h"
#include "lib/wire/records.h"
#include "mirror/clusters/id_set.h"

enum {
	WAIT_MS = 5 * 1000, /* of a parked request: records come at once, so it may be long */
	FETCH_BYTES = 1 << 20,
	DECODE_BYTES = 8 << 20,
	PARTITIONS_MAX = 1000000,
	PRODUCERS_MAX = 1 << 20,
};

struct reverse {
	struct loop *loop;
	struct client *client;
	const char *link;
	char *topic;
	size_t budget;
	struct run_store *store;
	struct id_set producers; /* that the forward link writes with, or did */
	int64_t read_at;
	bool read; /* to the end, once */
	bool ready;
	struct fetcher *fetcher;
	struct fetch_part *part;
	int32_t leader, leader_epoch;
	struct uuid topic_id;
	struct errmsg problem;
	struct loop_timer *retry;
	unsigned attempt; /* tries in a row that found nothing to read */
	struct reverse_watch *watches;
	bool changed; /* since the watchers were told */
};

/* ---- what the records say ---- */

static void on_lost(void *arg, const struct run_store_lost *lost)
{
	struct reverse *r = arg;
	log_event(loop_log(r->loop), LOG_WARN, "run_table_damaged", LOG_S("link", r->link),
		  LOG_S("stored_in", r->topic), LOG_B("topic", lost->topic),
		  LOG_I("partition", lost->partition), LOG_I("first_offset", lost->first_src),
		  LOG_S("error", err_name(lost->err)), LOG_S("lost", lost->what));
}

static enum err add_producer(struct reverse *r, int64_t id)
{
	return id < 0 ? ERR_OK : id_set_add(&r->producers, id);
}

/* A link's record, or a partition's: both name a producer. What is not valid was reported by the
 * store. */
static enum err note_producer(struct reverse *r, struct bytes key, struct bytes value)
{
	enum block_kind kind;
	struct errmsg why;
	if (value.p == NULL || block_key_kind(key, &kind, &why) != ERR_OK)
		return ERR_OK;
	if (kind == BLOCK_LINK) {
		struct block_link link;
		if (block_decode_link_key(key, &link, &why) != ERR_OK ||
		    block_decode_link_value(value, &link, &why) != ERR_OK)
			return ERR_OK;
		enum err e = add_producer(r, link.producer_id);
		r->ready = r->ready || (e == ERR_OK && link.member.n == 0);
		return e;
	}
	struct block_info info;
	if (block_decode_key(key, &info, &why) != ERR_OK)
		return ERR_OK;
	const struct run_entry *x = run_store_get(r->store, info.topic, info.partition);
	return x == NULL ? ERR_OK : add_producer(r, x->info.producer_id);
}

static enum err apply_batch(struct reverse *r, struct bytes whole, struct errmsg *why)
{
	struct records_reader *rr;
	enum err e = records_reader_open(whole, DECODE_BYTES, &rr, why);
	if (e != ERR_OK)
		return e;
	struct record x;
	while (e == ERR_OK && records_reader_next(rr, &x)) {
		e = run_store_apply(r->store, x.key, x.value);
		if (e == ERR_OK)
			e = note_producer(r, x.key, x.value);
	}
	if (e == ERR_OK)
		e = records_reader_error(rr, why);
	else
		errmsg_set(why, e, "%s", err_text(e));
	records_reader_free(rr);
	return e;
}

static enum err apply(struct reverse *r, struct bytes records, struct errmsg *why)
{
	struct batch_walk w = {.left = records};
	struct batch_head h;
	struct bytes whole;
	enum batch_walk_result found;
	while ((found = batch_walk_next(&w, &h, &whole, why)) == BATCH_WALK_BATCH) {
		if (batch_last_offset(&h) < r->read_at)
			continue;
		if (!(h.attributes & BATCH_CONTROL) && h.count > 0) {
			enum err e = apply_batch(r, whole, why);
			if (e != ERR_OK)
				return e;
			r->changed = true;
		}
		r->read_at = batch_last_offset(&h) + 1;
	}
	return found == BATCH_WALK_END ? ERR_OK : ERR_MALFORMED;
}

/* ---- following ---- */

static void problem(struct reverse *r, enum err e, const char *what)
{
	if (strcmp(r->problem.text, what) == 0)
		return;
	errmsg_set(&r->problem, e, "%s", what);
	if (e != ERR_OK)
		log_event(loop_log(r->loop), LOG_WARN, "reverse_table_not_read",
			  LOG_S("link", r->link), LOG_S("stored_in", r->topic),
			  LOG_S("error", err_name(e)), LOG_S("reason", what));
}

static void leave(struct reverse *r)
{
	if (r->fetcher != NULL)
		fetcher_free(r->fetcher);
	r->fetcher = NULL;
	r->part = NULL;
	r->leader = -1;
}

static void again_soon(struct reverse *r)
{
	leave(r);
	client_metadata_refresh(r->client);
	loop_timer_set(r->retry, client_backoff_ms(r->client, r->attempt++));
}

/* Read it all again. */
static enum err begin(struct reverse *r)
{
	const struct run_store_config c = {
		.budget = r->budget,
		.max_partitions = PARTITIONS_MAX,
		.lost = on_lost,
		.arg = r,
	};
	struct run_store *fresh = run_store_new(&c);
	if (fresh == NULL)
		return ERR_NOMEM;
	run_store_free(r->store);
	r->store = fresh;
	r->read_at = 0;
	r->read = false;
	r->changed = true;
	return ERR_OK;
}

static void begin_again(struct reverse *r, enum err why, const char *what)
{
	log_event(loop_log(r->loop), LOG_WARN, "reverse_table_read_again", LOG_S("link", r->link),
		  LOG_S("stored_in", r->topic), LOG_S("reason", what));
	enum err e = begin(r);
	if (e != ERR_OK)
		problem(r, e, err_text(e));
	else if (why != ERR_OK)
		problem(r, why, what);
	again_soon(r);
}

static void tell(struct reverse *r)
{
	if (!r->changed)
		return;
	r->changed = false;
	for (struct reverse_watch *w = r->watches, *next; w != NULL; w = next) {
		next = w->next;
		w->fn(w->arg);
	}
}

static void on_result(void *part_arg, const struct fetch_result *f)
{
	struct reverse *r = part_arg;
	struct errmsg why = {""};
	if (f->error == ERR_KAFKA_OFFSET_OUT_OF_RANGE) {
		/* While it does not begin at 0 it may lack what nobody can do without. */
		begin_again(r, f->error,
			    "it lost records; if its oldest were deleted (it must be compacted), "
			    "the other link has to begin again with a new one");
		return;
	}
	enum err e = f->error != ERR_OK ? f->error : apply(r, f->records, &why);
	if (e == ERR_NOMEM) {
		begin_again(r, ERR_OK, "out of memory");
		return;
	}
	if (e != ERR_OK) {
		/* What the tables say without a batch that cannot be read is not known: it is met
		 * again and again until somebody mends it. */
		problem(r, e, why.text[0] != '\0' ? why.text : err_text(e));
		again_soon(r);
		return;
	}
	r->attempt = 0;
	problem(r, ERR_OK, "");
	if (!r->read && r->read_at >= f->high_watermark)
		r->read = r->changed = true;
	fetch_part_resume(r->part, r->read_at, r->leader_epoch, -1, FETCH_BYTES);
}

static void on_round(void *arg, enum err e, const struct errmsg *why, size_t bytes)
{
	struct reverse *r = arg;
	(void)bytes;
	if (e != ERR_OK) {
		problem(r, e, why->text);
		client_metadata_refresh(r->client);
	}
	tell(r);
}

static const struct fetch_events events = {.on_result = on_result, .on_round = on_round};

static void follow(struct reverse *r, const struct client_topic *t)
{
	const struct fetcher_options o = {
		.node = t->partitions[0].leader,
		.channel = REVERSE_CHANNEL,
		.max_wait_ms = WAIT_MS,
		.min_bytes = 1,
		.max_bytes = FETCH_BYTES,
	};
	leave(r);
	r->fetcher = fetcher_new(r->client, &o, &events, r);
	if (r->fetcher != NULL)
		r->part = fetcher_add(r->fetcher, r->topic, &t->id, 0, r);
	if (r->part == NULL) {
		problem(r, ERR_NOMEM, err_text(ERR_NOMEM));
		again_soon(r);
		return;
	}
	r->leader = o.node;
	r->leader_epoch = t->partitions[0].leader_epoch;
	r->topic_id = t->id;
	fetch_part_resume(r->part, r->read_at, r->leader_epoch, -1, FETCH_BYTES);
}

static bool led(const struct client_topic *t)
{
	return t != NULL && t->error == ERR_OK && t->partitions_n > 0 &&
	       t->partitions[0].leader >= 0;
}

static void go(struct reverse *r)
{
	const struct client_topic *t = client_topic(r->client, r->topic);
	if (!led(t)) {
		if (t != NULL && t->error != ERR_OK)
			problem(r, t->error, err_text(t->error));
		again_soon(r);
		return;
	}
	if (r->fetcher != NULL && r->leader == t->partitions[0].leader &&
	    uuid_eq(&r->topic_id, &t->id)) {
		r->leader_epoch = t->partitions[0].leader_epoch;
		return;
	}
	bool made_again = !uuid_is_zero(&r->topic_id) && !uuid_eq(&r->topic_id, &t->id);
	r->topic_id = t->id;
	if (made_again)
		begin_again(r, ERR_OK, "the topic was deleted and made again");
	else
		follow(r, t);
}

static void on_retry(void *arg)
{
	struct reverse *r = arg;
	go(r);
}

void reverse_on_metadata(struct reverse *r)
{
	if (r->retry == NULL)
		return;
	/* After a problem the next try waits for its time. */
	bool waits = r->fetcher == NULL && r->problem.text[0] != '\0';
	if (!waits && led(client_topic(r->client, r->topic)))
		go(r);
}

/* ---- life ---- */

enum err reverse_new(const struct reverse_options *o, struct reverse **out)
{
	struct reverse *r = mem_zalloc(1, sizeof *r);
	if (r == NULL)
		return ERR_NOMEM;
	r->loop = o->loop;
	r->client = o->client;
	r->link = o->link;
	r->budget = o->budget;
	r->leader = r->leader_epoch = -1;
	id_set_init(&r->producers, PRODUCERS_MAX, loop_clock(o->loop));
	r->topic = mem_strdup(o->topic);
	r->retry = loop_timer_new(o->loop, on_retry, r);
	if (r->topic == NULL || r->retry == NULL || begin(r) != ERR_OK ||
	    client_follow_topic(o->client, o->topic) != ERR_OK) {
		reverse_free(r);
		return ERR_NOMEM;
	}
	loop_timer_set(r->retry, 0);
	*out = r;
	return ERR_OK;
}

void reverse_stop(struct reverse *r)
{
	if (r == NULL)
		return;
	leave(r);
	loop_timer_free(r->retry);
	r->retry = NULL;
}

void reverse_free(struct reverse *r)
{
	if (r == NULL)
		return;
	reverse_stop(r);
	run_store_free(r->store);
	id_set_fini(&r->producers);
	mem_free(r->topic);
	mem_free(r);
}

/* ---- reading ---- */

bool reverse_ready(const struct reverse *r, struct errmsg *why)
{
	if (r->ready && r->read)
		return true;
	if (why == NULL)
		return false;
	if (r->problem.text[0] != '\0')
		errmsg_set(why, ERR_OK, "reading %s at the source: %s", r->topic, r->problem.text);
	else if (r->read)
		errmsg_set(why, ERR_OK,
			   "waiting for the link in the other direction: it has not begun, %s "
			   "does not name its producer yet",
			   r->topic);
	else
		errmsg_set(why, ERR_OK,
			   "waiting for the link in the other direction: %s is not there or not "
			   "read to its end yet",
			   r->topic);
	return false;
}

int64_t reverse_read_to(const struct reverse *r)
{
	return r->read_at;
}

const char *reverse_topic(const struct reverse *r)
{
	return r->topic;
}

int32_t reverse_leader(const struct reverse *r)
{
	return r->leader;
}

const struct run_entry *reverse_entry(const struct reverse *r, const char *topic, int32_t partition)
{
	return run_store_get(r->store, bytes_str(topic), partition);
}

bool reverse_wrote(const struct reverse *r, int64_t producer_id)
{
	return id_set_has(&r->producers, producer_id);
}

void reverse_watch(struct reverse *r, struct reverse_watch *w)
{
	w->next = r->watches;
	r->watches = w;
}

void reverse_unwatch(struct reverse *r, struct reverse_watch *w)
{
	for (struct reverse_watch **at = &r->watches; *at != NULL; at = &(*at)->next) {
		if (*at != w)
			continue;
		*at = w->next;
		return;
	}
}
