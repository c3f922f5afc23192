/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two writers (topic_writer.h) and a ring of what is known. A record is answered when its ticket is
 * stored. A gap record that is refused is tried again for as long as it takes, and its partition
 * waits; a dead letter that is refused is dropped, and its partition stays REFUSED.
 *
 * After a crash between a dead letter and the stored run table the record is refused, and parked,
 * again. That its gap record is known proves nothing: another record may stand at that offset now
 * (a source that lost its tail, topics that were made again where there are no topic ids).
 */
#include "mirror/link/gaps.h"

#include <stdio.h>

#include "lib/base/map.h"
#include "lib/base/mem.h"
#include "lib/wire/records.h"
#include "lib/wire/varint.h"
#include "mirror/clusters/target_reader.h"
#include "mirror/clusters/topic_writer.h"
#include "mirror/config/naming.h"

enum {
	GAP_BATCH = 256 << 10,
	/* The largest dead letter: what one decompressed batch may have, and its headers. */
	LETTER_BATCH = (16 << 20) + (64 << 10),
	READ_DECODE_BYTES = 8 << 20,
	READ_RECORDS = 50000, /* how far back the records are read at the start */
	READ_RETRY_MS = 5000,
	LOOK_MS = 1000, /* while it has no leader */
	NOMEM_RETRY_MS = 1000,
	PATIENCE_MS = 3000, /* before a partition shows that its record is not written */
	HEADERS = 7,
	DETAIL_MAX = 300,
};

/* One known gap record. */
struct known {
	size_t key_n, value_n;
	uint8_t bytes[]; /* key, value */
};

/* A partition that waits for its ticket. */
struct wait {
	struct wait *next;
	struct slot *slot;
	uint64_t ticket;
	int64_t asked_ms;    /* monotonic */
	struct known *known; /* in `record_waits`: kept when it is stored */
	enum err err;        /* in `answers` */
};

struct gaps {
	struct link *link;
	struct topic_writer *records, *letters;
	struct wait *record_waits, *letter_waits;
	struct loop_deferred answer;
	struct wait *answers; /* about letters that cannot be written */

	struct known **ring; /* GAPS_KEPT places, allocated with the first record */
	size_t first, n;
	struct map *by_key; /* key -> struct known */
	bool more;

	bool loaded, reading, skipped;
	int64_t read_at;
	struct loop_timer *retry;
	struct buf key, value;
};

static const struct own_topic_setting letter_settings[] = {
	{"cleanup.policy", "delete"},
	{"retention.ms", "-1"},
	/* LETTER_BATCH and the batch's head, with room to spare. */
	{"max.message.bytes", "33554432"},
};

static void read_on(void *arg);

/* ---- what is known ---- */

static struct known **place(const struct gaps *g, size_t i)
{
	return &g->ring[(g->first + i) % GAPS_KEPT];
}

static bool make_room(struct gaps *g)
{
	if (g->ring == NULL)
		g->ring = mem_zalloc(GAPS_KEPT, sizeof(struct known *));
	if (g->ring == NULL)
		return false;
	if (g->n < GAPS_KEPT)
		return true;
	struct known *old = *place(g, 0);
	map_take(g->by_key, bytes_of(old->bytes, old->key_n));
	mem_free(old);
	g->first = (g->first + 1) % GAPS_KEPT;
	g->n--;
	g->more = true;
	return true;
}

static struct known *known_new(struct bytes key, struct bytes value)
{
	struct known *x = NULL;
	if (key.n <= GAP_KEY_MAX && value.n <= GAP_VALUE_MAX)
		x = mem_zalloc(1, sizeof *x + key.n + value.n);
	if (x == NULL)
		return NULL;
	x->key_n = key.n;
	x->value_n = value.n;
	memcpy(x->bytes, key.p, key.n);
	memcpy(x->bytes + key.n, value.p, value.n);
	return x;
}

/* Keep a record (NULL: there was no memory for it); a later one of the same key takes its place.
 * What cannot be kept is not shown, which `more` says. */
static void keep(struct gaps *g, struct known *x)
{
	if (x == NULL) {
		g->more = true;
		return;
	}
	struct bytes key = bytes_of(x->bytes, x->key_n);
	struct known *was = map_get(g->by_key, key);
	for (size_t i = 0; was != NULL && i < g->n; i++) {
		if (*place(g, i) != was)
			continue;
		*place(g, i) = x;
		/* The key is there, so this takes no memory that could lack. */
		if (map_put(g->by_key, key, x) != ERR_OK)
			map_take(g->by_key, key);
		mem_free(was);
		return;
	}
	if (!make_room(g) || map_put(g->by_key, key, x) != ERR_OK) {
		mem_free(x);
		g->more = true;
		return;
	}
	*place(g, g->n++) = x;
}

size_t gaps_count(const struct gaps *g)
{
	return g->n;
}

struct bytes gaps_at(const struct gaps *g, size_t i)
{
	const struct known *x = *place(g, i);
	return bytes_of(x->bytes + x->key_n, x->value_n);
}

bool gaps_more(const struct gaps *g)
{
	return g->more;
}

const char *gaps_topic(const struct gaps *g)
{
	return topic_writer_topic(g->records);
}

bool gaps_loaded(const struct gaps *g)
{
	return g->loaded;
}

/* ---- reading back ---- */

static enum err keep_batch(struct gaps *g, struct bytes whole, struct errmsg *why)
{
	struct records_reader *rr;
	struct record r;
	enum err e = records_reader_open(whole, READ_DECODE_BYTES, &rr, why);
	if (e != ERR_OK)
		return e;
	/* Others could write there: what is no JSON object is not shown as one. */
	while (records_reader_next(rr, &r))
		if (r.key.n > 0 && r.value.n > 1 && r.value.p[0] == '{')
			keep(g, known_new(r.key, r.value));
	e = records_reader_error(rr, why);
	records_reader_free(rr);
	return e;
}

static void read_failed(struct gaps *g, enum err e, const struct errmsg *why)
{
	log_event(loop_log(g->link->loop), LOG_WARN, "gap_records_not_read",
		  LOG_S("link", g->link->config->name),
		  LOG_S("topic", topic_writer_topic(g->records)), LOG_I("offset", g->read_at),
		  LOG_S("error", err_name(e)),
		  LOG_S("reason", why->text[0] != '\0' ? why->text : err_text(e)));
}

/* Those of a batch; what cannot be read is told, and passed over. ERR_NOMEM. */
static enum err take_batch(struct gaps *g, struct bytes whole, const struct batch_head *h)
{
	struct errmsg why = {""};
	if ((h->attributes & BATCH_CONTROL) || h->count == 0)
		return ERR_OK;
	enum err e = keep_batch(g, whole, &why);
	if (e == ERR_OK || e == ERR_NOMEM)
		return e;
	read_failed(g, e, &why);
	g->more = true;
	return ERR_OK;
}

static enum err take_batches(struct gaps *g, const struct target_records *r, struct errmsg *why)
{
	int64_t began = g->read_at;
	struct batch_walk w = {.left = r->records};
	struct batch_head h;
	struct bytes whole;
	enum err e = ERR_OK;
	while (e == ERR_OK && batch_walk_next(&w, &h, &whole, why) == BATCH_WALK_BATCH) {
		if (batch_last_offset(&h) < g->read_at)
			continue;
		e = take_batch(g, whole, &h);
		if (e == ERR_OK)
			g->read_at = batch_last_offset(&h) + 1;
	}
	return e == ERR_OK && g->read_at < r->end && g->read_at == began ? ERR_MALFORMED : e;
}

static void on_read(void *arg, enum err e, const struct target_records *r)
{
	struct gaps *g = arg;
	struct errmsg why = {""};
	g->reading = false;
	g->link->calls--;
	if (g->link->stopping)
		return;
	bool deleted = e == ERR_KAFKA_OFFSET_OUT_OF_RANGE && r->start > g->read_at;
	bool skip = e == ERR_OK && !g->skipped && r->end - g->read_at > READ_RECORDS;
	if (deleted || skip) {
		g->more = true;
		g->skipped = g->skipped || skip;
		g->read_at = deleted ? r->start : r->end - READ_RECORDS;
		read_on(g);
		return;
	}
	if (e == ERR_OK)
		e = take_batches(g, r, &why);
	if (e != ERR_OK) {
		read_failed(g, e, &why);
		if (e == ERR_KAFKA_OFFSET_OUT_OF_RANGE)
			g->read_at = 0; /* the topic was made again */
		client_metadata_refresh(g->link->target_client);
		loop_timer_set(g->retry, READ_RETRY_MS);
	} else if (g->read_at >= r->end) {
		g->loaded = true;
	} else {
		read_on(g);
	}
}

static void read_on(void *arg)
{
	struct gaps *g = arg;
	if (g->loaded || g->reading || g->link->stopping)
		return;
	const struct client_topic *t =
		client_topic(g->link->target_client, topic_writer_topic(g->records));
	if (t != NULL && t->error == ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION) {
		g->loaded = true; /* nothing was ever recorded */
		return;
	}
	if (t == NULL || t->error != ERR_OK || t->partitions_n == 0 ||
	    t->partitions[0].leader < 0) {
		loop_timer_set(g->retry, LOOK_MS);
		return;
	}
	if (target_read(g->link->target_client, topic_writer_topic(g->records), 0, g->read_at,
			on_read, g) != ERR_OK) {
		loop_timer_set(g->retry, READ_RETRY_MS);
		return;
	}
	g->reading = true;
	g->link->calls++;
}

void gaps_on_metadata(struct gaps *g)
{
	topic_writer_on_metadata(g->records);
	topic_writer_on_metadata(g->letters);
	if (!loop_timer_armed(g->retry))
		read_on(g);
}

/* ---- writing ---- */

static struct wait *wait_add(struct wait **list, struct slot *slot, uint64_t ticket)
{
	struct wait *w = mem_zalloc(1, sizeof *w);
	if (w == NULL)
		return NULL;
	w->slot = slot;
	w->ticket = ticket;
	w->next = *list;
	*list = w;
	return w;
}

/* Take those up to `ticket` off the list. */
static struct wait *wait_take(struct wait **list, uint64_t ticket)
{
	struct wait *taken = NULL;
	for (struct wait **at = list; *at != NULL;) {
		struct wait *w = *at;
		if (w->ticket > ticket) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		w->next = taken;
		taken = w;
	}
	return taken;
}

static void forget(struct wait *list, const struct slot *slot)
{
	for (; list != NULL; list = list->next)
		if (list->slot == slot)
			list->slot = NULL;
}

typedef void answer_fn(struct partition *p, enum err e, const struct errmsg *why);

static void answer_all(struct wait *list, answer_fn *fn, enum err e, const struct errmsg *why)
{
	while (list != NULL) {
		struct wait *w = list;
		list = w->next;
		if (w->slot != NULL)
			fn(w->slot->p, e, why);
		mem_free(w);
	}
}

/* As the record has it: an empty range is no range. */
static void log_gap(struct gaps *g, const struct slot *slot, const struct gap *gap)
{
	bool some = gap->source_end < 0 || gap->source_end > gap->source_first;
	log_event(loop_log(g->link->loop), LOG_WARN, "gap_recorded",
		  LOG_S("link", g->link->config->name), LOG_S("topic", slot->topic->source_name),
		  LOG_I("partition", gap->partition), LOG_S("cause", gap_cause_name(gap->cause)),
		  LOG_I("source_first", some ? gap->source_first : -1),
		  LOG_I("source_last", some && gap->source_end >= 0 ? gap->source_end - 1 : -1),
		  LOG_I("count", gap->count), LOG_I("source_next", gap->source_next),
		  LOG_I("target_next", gap->target_next), LOG_I("target_first", gap->target_first),
		  LOG_I("target_last", gap->target_end < 0 ? -1 : gap->target_end - 1),
		  LOG_S("recorded_in", topic_writer_topic(g->records)),
		  LOG_S("reason", slot->p->reason.text));
}

static void on_recorded(void *arg, uint64_t ticket)
{
	struct gaps *g = arg;
	const struct errmsg none = {""};
	struct wait *list = wait_take(&g->record_waits, ticket);
	for (struct wait *w = list; w != NULL; w = w->next) {
		keep(g, w->known);
		if (w->slot != NULL && w->slot->p->gap != NULL)
			log_gap(g, w->slot, w->slot->p->gap);
	}
	answer_all(list, partition_on_recorded, ERR_OK, &none);
}

static void on_record_refused(void *arg, enum err e, const struct errmsg *why)
{
	struct gaps *g = arg;
	struct errmsg text;
	errmsg_set(&text, e, "%s: %.300s", topic_writer_topic(g->records), why->text);
	/* A topic that was just made is refused for a moment. */
	int64_t now = loop_now_ms(g->link->loop);
	for (struct wait *w = g->record_waits; w != NULL; w = w->next)
		if (w->slot != NULL && now - w->asked_ms > PATIENCE_MS)
			partition_on_recorded(w->slot->p, e, &text);
}

static void on_parked(void *arg, uint64_t ticket)
{
	struct gaps *g = arg;
	const struct errmsg none = {""};
	answer_all(wait_take(&g->letter_waits, ticket), partition_on_parked, ERR_OK, &none);
}

static void on_letter_refused(void *arg, enum err e, const struct errmsg *why)
{
	struct gaps *g = arg;
	struct errmsg text;
	int64_t since = loop_now_ms(g->link->loop) - PATIENCE_MS;
	bool early = true;
	for (const struct wait *w = g->letter_waits; w != NULL; w = w->next)
		early = early && w->asked_ms > since;
	if (early && err_retriable(e))
		return; /* it is tried again: a leader that moves, say */
	errmsg_set(&text, e, "%s: %.300s", topic_writer_topic(g->letters), why->text);
	topic_writer_drop(g->letters);
	answer_all(wait_take(&g->letter_waits, UINT64_MAX), partition_on_parked, e, &text);
}

static void on_answers(void *arg)
{
	struct gaps *g = arg;
	struct wait *list = g->answers;
	g->answers = NULL;
	while (list != NULL) {
		struct wait *w = list;
		struct errmsg why;
		list = w->next;
		errmsg_set(&why, w->err, "%s: %s", topic_writer_topic(g->letters),
			   w->err == ERR_LIMIT ? "the record is too large, or too much waits"
					       : err_text(w->err));
		if (w->slot != NULL)
			partition_on_parked(w->slot->p, w->err, &why);
		mem_free(w);
	}
}

/* Answer about a letter without writing. */
static void answer_soon(struct gaps *g, struct slot *slot, enum err e)
{
	struct wait *w = wait_add(&g->answers, slot, 0);
	if (w == NULL) {
		loop_timer_set(slot->retry, NOMEM_RETRY_MS);
		return;
	}
	w->err = e;
	if (!g->answer.pending)
		loop_defer(g->link->loop, &g->answer);
}

static struct gap_place place_of(const struct gaps *g, const struct slot *slot)
{
	return (struct gap_place){
		.link = g->link->config->name,
		.source_topic = slot->topic->source_name,
		.target_topic = slot->topic->target_name,
		.time_ms = clock_wall_ms(loop_clock(g->link->loop)),
	};
}

static enum err encode(struct gaps *g, struct slot *slot, const struct gap *gap)
{
	struct gap_place at = place_of(g, slot);
	buf_clear(&g->key);
	buf_clear(&g->value);
	enum err e = gap_key(gap, &at, &g->key);
	return e == ERR_OK ? gap_value(gap, &at, &g->value) : e;
}

void gaps_record(struct gaps *g, struct slot *slot, const struct gap *gap)
{
	uint64_t ticket;
	enum err e = encode(g, slot, gap);
	if (e == ERR_OK)
		e = topic_writer_put_pair(g->records, buf_bytes(&g->key), buf_bytes(&g->value),
					  &ticket);
	/* The answer to an earlier record of the partition says nothing of this one. */
	forget(g->record_waits, slot);
	struct wait *w = e == ERR_OK ? wait_add(&g->record_waits, slot, ticket) : NULL;
	if (w == NULL) {
		/* No memory, or very much waits: the partition asks again. */
		loop_timer_set(slot->retry, NOMEM_RETRY_MS);
		return;
	}
	w->asked_ms = loop_now_ms(g->link->loop);
	w->known = known_new(buf_bytes(&g->key), buf_bytes(&g->value));
}

/* One header as magic 2 encodes it. */
static void put_header(struct buf *b, const char *name, const char *value)
{
	uint8_t v[VARINT_MAX_64];
	size_t n = strlen(name), m = strlen(value);
	buf_put(b, v, (size_t)(varint_put_64(v, (int64_t)n) - v));
	buf_put(b, name, n);
	buf_put(b, v, (size_t)(varint_put_64(v, (int64_t)m) - v));
	buf_put(b, value, m);
}

static void put_number(struct buf *b, const char *name, int64_t value)
{
	char text[24];
	snprintf(text, sizeof text, "%lld", (long long)value);
	put_header(b, name, text);
}

/* The record as it was, with headers that say where it comes from. */
static enum err put_letter(struct gaps *g, const struct slot *slot, const struct dead_letter *d,
			   uint64_t *ticket)
{
	char detail[DETAIL_MAX];
	struct record r = *d->record;
	struct buf headers;
	buf_init(&headers, LETTER_BATCH);
	buf_put(&headers, r.headers.p, r.headers.n);
	put_header(&headers, "farshore.link", g->link->config->name);
	put_header(&headers, "farshore.topic", slot->topic->source_name);
	put_number(&headers, "farshore.partition", slot->p->index);
	put_number(&headers, "farshore.offset", d->source_offset);
	put_number(&headers, "farshore.timestamp", r.timestamp);
	put_header(&headers, "farshore.error", err_name(d->error));
	snprintf(detail, sizeof detail, "%s", d->detail);
	put_header(&headers, "farshore.reason", detail);
	r.headers = buf_bytes(&headers);
	r.headers_n += HEADERS;
	r.body = (struct bytes){NULL, 0};
	enum err e = headers.err == ERR_OK ? topic_writer_put(g->letters, &r, ticket) : headers.err;
	buf_fini(&headers);
	return e;
}

void gaps_park(struct gaps *g, struct slot *slot, const struct dead_letter *d)
{
	uint64_t ticket;
	forget(g->letter_waits, slot);
	forget(g->answers, slot);
	enum err e = put_letter(g, slot, d, &ticket);
	struct wait *w = e == ERR_OK ? wait_add(&g->letter_waits, slot, ticket) : NULL;
	if (w == NULL) {
		answer_soon(g, slot, e == ERR_OK ? ERR_NOMEM : e);
		return;
	}
	w->asked_ms = loop_now_ms(g->link->loop);
	log_event(loop_log(g->link->loop), LOG_WARN, "dead_letter",
		  LOG_S("link", g->link->config->name), LOG_S("topic", slot->topic->source_name),
		  LOG_I("partition", slot->p->index), LOG_I("offset", d->source_offset),
		  LOG_S("error", err_name(d->error)), LOG_S("reason", d->detail),
		  LOG_S("parked_in", topic_writer_topic(g->letters)));
}

void gaps_forget(struct gaps *g, struct slot *slot)
{
	forget(g->record_waits, slot);
	forget(g->letter_waits, slot);
	forget(g->answers, slot);
}

/* ---- life ---- */

static enum err make_writer(struct gaps *g, const char *suffix, bool letters,
			    struct topic_writer **out)
{
	const struct link_config *c = g->link->config;
	char name[TOPIC_NAME_MAX + 1];
	enum err e = naming_source_topic(c, suffix, name);
	if (e != ERR_OK)
		return e;
	const struct topic_writer_options o = {
		.topic =
			{
				.client = g->link->target_client,
				.link = c->name,
				.name = name,
				.replication_factor = c->runs_replication_factor,
				.settings = letters ? letter_settings : own_topic_compacted,
				.settings_n =
					letters ? sizeof letter_settings / sizeof *letter_settings
						: (size_t)OWN_TOPIC_COMPACTED_N,
				.timeout_ms = c->target->request_timeout_ms,
			},
		.batch_bytes = letters ? LETTER_BATCH : GAP_BATCH,
		.stored = letters ? on_parked : on_recorded,
		.refused = letters ? on_letter_refused : on_record_refused,
		.arg = g,
	};
	return topic_writer_new(g->link->loop, &o, out);
}

enum err gaps_new(struct link *k, struct gaps **out)
{
	struct gaps *g = mem_zalloc(1, sizeof *g);
	if (g == NULL)
		return ERR_NOMEM;
	g->link = k;
	g->answer = (struct loop_deferred){.fn = on_answers, .arg = g};
	buf_init(&g->key, GAP_KEY_MAX);
	buf_init(&g->value, GAP_VALUE_MAX);
	g->by_key = map_new();
	g->retry = loop_timer_new(k->loop, read_on, g);
	enum err e = g->by_key == NULL || g->retry == NULL ? ERR_NOMEM : ERR_OK;
	if (e == ERR_OK)
		e = make_writer(g, ".gaps.internal", false, &g->records);
	if (e == ERR_OK)
		e = make_writer(g, ".dead-letters.internal", true, &g->letters);
	if (e != ERR_OK) {
		gaps_free(g);
		return e;
	}
	*out = g;
	return ERR_OK;
}

static void free_waits(struct wait *list)
{
	while (list != NULL) {
		struct wait *next = list->next;
		mem_free(list->known);
		mem_free(list);
		list = next;
	}
}

void gaps_stop(struct gaps *g)
{
	if (g == NULL)
		return;
	loop_timer_stop(g->retry);
	topic_writer_stop(g->records);
	topic_writer_stop(g->letters);
}

void gaps_free(struct gaps *g)
{
	if (g == NULL)
		return;
	loop_undefer(g->link->loop, &g->answer);
	loop_timer_free(g->retry);
	topic_writer_free(g->records);
	topic_writer_free(g->letters);
	free_waits(g->record_waits);
	free_waits(g->letter_waits);
	free_waits(g->answers);
	for (size_t i = 0; i < g->n; i++)
		mem_free(*place(g, i));
	mem_free(g->ring);
	map_free(g->by_key);
	buf_fini(&g->key);
	buf_fini(&g->value);
	mem_free(g);
}
