/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading goes step by step: the Connect group, the positions, the offset syncs on the target and
 * on the source. A step that fails is tried again, with its reason shown, for ever. What was read
 * is thrown away when no partition has wanted it for a while, so that a later takeover reads it
 * anew.
 *
 * Records that cannot be read are counted and the first is named; a partition that has no position
 * is taken over by walking all of it.
 */
#include "mirror/link/takeover.h"

#include <inttypes.h>
#include <stdio.h>

#include "lib/base/mem.h"
#include "lib/wire/records.h"
#include "mirror/clusters/target_reader.h"
#include "mirror/config/naming.h"
#include "mirror/link/takeover_book.h"
#include "mirror/partition/aborted.h"
#include "mirror/partition/retrace.h"

enum step { IDLE, GROUP, POSITIONS, SYNCS_AT_TARGET, SYNCS_AT_SOURCE, READY };

enum {
	METADATA_MS = 100,
	RETRY_MS = 2000,
	DECODE_BYTES = 8 << 20,
	KEPT_TICKS = 60,
	/* Walks at a time, by the memory of their parts; one is always let in. */
	WALKS_BYTES = 16 << 20,
	WALKS_MAX = 64,
	RECORD_BYTES = 50,
	WALK_BYTES_MIN = 64 << 10,
	API_FIND_COORDINATOR = 10,
	API_DESCRIBE_GROUPS = 15,
	FIND_COORDINATOR_ONE = 3, /* the last version that asks for one key */
	DESCRIBE_GROUPS_STATE = 5 /* the last version that calls an unknown group Dead */
};

struct takeover {
	struct link *link;
	enum step step;
	const char *wait;
	char wait_text[256];
	struct takeover_book *book;
	struct loop_timer *timer;
	unsigned attempt, idle_ticks;

	struct slot *line, **line_tail;
	size_t walks, walks_bytes;

	/* What is read now. */
	struct client *client;
	char topic[TOPIC_NAME_MAX + 1];
	int32_t partition;
	int64_t at;
	uint64_t metadata_before;
	size_t unreadable;

	struct find_coordinator_request find;
	struct describe_groups_request describe;
	struct bytes group_key;
	char group[TOPIC_NAME_MAX + 1];
};

static void go(struct takeover *t);

static void on_timer(void *arg)
{
	go(arg);
}

enum err takeover_new(struct link *k, struct takeover **out)
{
	struct takeover *t = mem_zalloc(1, sizeof *t);
	if (t == NULL)
		return ERR_NOMEM;
	t->link = k;
	t->line_tail = &t->line;
	t->wait = "reading what it left behind";
	t->timer = loop_timer_new(k->loop, on_timer, t);
	if (t->timer == NULL) {
		mem_free(t);
		return ERR_NOMEM;
	}
	*out = t;
	return ERR_OK;
}

void takeover_free(struct takeover *t)
{
	if (t == NULL)
		return;
	takeover_book_free(t->book);
	loop_timer_free(t->timer);
	mem_free(t);
}

/* ---- the line ---- */

static void line_add(struct takeover *t, struct slot *slot)
{
	if (slot->takeover_waits)
		return;
	slot->takeover_waits = true;
	slot->takeover_next = NULL;
	*t->line_tail = slot;
	t->line_tail = &slot->takeover_next;
}

void takeover_forget(struct takeover *t, struct slot *slot)
{
	for (struct slot **at = &t->line; *at != NULL; at = &(*at)->takeover_next) {
		if (*at != slot)
			continue;
		*at = slot->takeover_next;
		if (*at == NULL)
			t->line_tail = at;
		break;
	}
	slot->takeover_waits = false;
}

/* Those in front ask again. */
static void line_wake(struct takeover *t)
{
	size_t n = t->walks < WALKS_MAX ? WALKS_MAX - t->walks : 0;
	while (t->line != NULL && n-- > 0 && t->walks_bytes < WALKS_BYTES) {
		struct slot *slot = t->line;
		takeover_forget(t, slot);
		if (slot->p->phase == PHASE_WAIT)
			loop_timer_set(slot->retry, 0);
	}
}

void takeover_tick(struct takeover *t)
{
	if (t->step != READY)
		return;
	if (t->line != NULL)
		line_wake(t);
	if (t->walks > 0 || t->line != NULL)
		t->idle_ticks = 0;
	else if (++t->idle_ticks > KEPT_TICKS) {
		takeover_book_free(t->book);
		t->book = NULL;
		t->step = IDLE;
	}
}

/* ---- failing and waiting ---- */

static void again(struct takeover *t, const char *what, enum err e, const char *why)
{
	if (t->link->stopping)
		return;
	snprintf(t->wait_text, sizeof t->wait_text, "%.100s: %.140s", what,
		 why != NULL && why[0] != '\0' ? why : err_text(e));
	t->wait = t->wait_text;
	if (t->attempt++ == 0)
		log_event(loop_log(t->link->loop), LOG_WARN, "takeover_waits",
			  LOG_S("link", t->link->config->name), LOG_S("reason", t->wait));
	if (e != ERR_OK)
		client_metadata_refresh(t->link->target_client);
	loop_timer_set(t->timer, RETRY_MS);
	/* They show the reason. */
	for (struct slot *s = t->line; s != NULL; s = s->takeover_next)
		errmsg_set(&s->p->reason, e, "taking over from MirrorMaker 2: %s", t->wait);
}

static void next_step(struct takeover *t, enum step step)
{
	t->step = step;
	t->attempt = 0;
	t->client = NULL;
	go(t);
}

/* ---- the Connect group ---- */

/* Who may not ask cannot know; the target's end, which must stand still, is looked at anyway. */
static void group_unknown(struct takeover *t, enum err e)
{
	log_event(loop_log(t->link->loop), LOG_WARN, "takeover_unchecked",
		  LOG_S("link", t->link->config->name), LOG_S("group", t->group),
		  LOG_S("error", err_name(e)),
		  LOG_S("reason", "cannot see whether MirrorMaker 2 still runs; make sure that it "
				  "does not"));
	next_step(t, POSITIONS);
}

static void on_described(void *arg, enum err e, const struct errmsg *why,
			 const struct rpc_reply *reply)
{
	struct takeover *t = arg;
	int32_t members = 0;
	t->link->calls--;
	if (t->link->stopping)
		return;
	if (e == ERR_OK) {
		const struct describe_groups_response *r = reply->msg;
		e = r->groups_n == 1 ? err_from_kafka(r->groups[0].error_code) : ERR_MALFORMED;
		members = r->groups_n == 1 ? r->groups[0].members_n : 0;
	}
	if (e == ERR_KAFKA_GROUP_AUTHORIZATION_FAILED) {
		group_unknown(t, e);
	} else if (e != ERR_OK) {
		again(t, t->group, e, why != NULL ? why->text : NULL);
	} else if (members > 0) {
		char text[160];
		snprintf(text, sizeof text,
			 "MirrorMaker 2 still runs (%d members of group %.60s): stop it first",
			 members, t->group);
		again(t, "not begun", ERR_OK, text);
	} else {
		next_step(t, POSITIONS);
	}
}

static void on_coordinator(void *arg, enum err e, const struct errmsg *why,
			   const struct rpc_reply *reply)
{
	struct takeover *t = arg;
	struct link *k = t->link;
	int32_t node = -1;
	k->calls--;
	if (k->stopping)
		return;
	if (e == ERR_OK) {
		const struct find_coordinator_response *r = reply->msg;
		e = err_from_kafka(r->error_code);
		node = r->node_id;
	}
	if (e == ERR_KAFKA_GROUP_AUTHORIZATION_FAILED) {
		group_unknown(t, e);
		return;
	}
	if (e != ERR_OK) {
		again(t, t->group, e, why != NULL ? why->text : NULL);
		return;
	}
	wire_init(&wire_describe_groups_request, &t->describe);
	t->describe.groups = &t->group_key;
	t->describe.groups_n = 1;
	const struct client_call cc = {
		.node = node,
		.channel = CLIENT_CHANNEL_CONTROL,
		.api_key = API_DESCRIBE_GROUPS,
		.max_version = DESCRIBE_GROUPS_STATE,
		.msg = &t->describe,
		.done = on_described,
		.arg = t,
	};
	k->calls++;
	client_call(k->target_client, &cc);
}

static void ask_group(struct takeover *t)
{
	struct link *k = t->link;
	snprintf(t->group, sizeof t->group, "%.200s-mm2", k->config->source->name);
	t->group_key = bytes_str(t->group);
	wire_init(&wire_find_coordinator_request, &t->find);
	t->find.key = t->group_key;
	const struct client_call cc = {
		.node = CLIENT_ANY,
		.channel = CLIENT_CHANNEL_CONTROL,
		.api_key = API_FIND_COORDINATOR,
		.max_version = FIND_COORDINATOR_ONE,
		.msg = &t->find,
		.done = on_coordinator,
		.arg = t,
	};
	k->calls++;
	client_call(k->target_client, &cc);
}

/* ---- internal topics ---- */

/* Nobody's record may stop the takeover: those that cannot be read are passed over, and named. */
static enum err take_record(struct takeover *t, const struct record *r)
{
	struct errmsg why = {""};
	enum err e = t->step == POSITIONS ? takeover_book_position(t->book, r->key, r->value, &why)
					  : takeover_book_sync(t->book, r->key, r->value, &why);
	if (e == ERR_OK || e == ERR_NOMEM)
		return e;
	if (t->unreadable++ == 0)
		log_event(loop_log(t->link->loop), LOG_WARN, "takeover_record_unreadable",
			  LOG_S("link", t->link->config->name), LOG_S("topic", t->topic),
			  LOG_I("partition", t->partition), LOG_I("offset", r->offset),
			  LOG_S("error", err_name(e)), LOG_S("reason", why.text));
	return ERR_OK;
}

static enum err take_batch(struct takeover *t, struct bytes whole, struct errmsg *why)
{
	struct records_reader *rr;
	enum err e = records_reader_open(whole, DECODE_BYTES, &rr, why);
	if (e != ERR_OK)
		return e;
	struct record r;
	while (e == ERR_OK && records_reader_next(rr, &r))
		if (r.offset >= t->at)
			e = take_record(t, &r);
	if (e == ERR_OK)
		e = records_reader_error(rr, why);
	records_reader_free(rr);
	return e;
}

static enum err take_batches(struct takeover *t, const struct target_records *r, struct errmsg *why)
{
	struct aborted_filter filter;
	enum err e = aborted_filter_init(&filter, r->aborted, r->aborted_n);
	if (e != ERR_OK)
		return e;
	struct batch_walk walk = {.left = r->records};
	struct batch_head h;
	struct bytes whole;
	enum batch_walk_result found = BATCH_WALK_END;
	while (e == ERR_OK &&
	       (found = batch_walk_next(&walk, &h, &whole, why)) == BATCH_WALK_BATCH) {
		enum aborted_verdict v = aborted_filter_next(&filter, &h, whole, why);
		if (v == ABORTED_MALFORMED)
			e = ERR_MALFORMED;
		else if (v == ABORTED_KEEP && h.count > 0)
			e = take_batch(t, whole, why);
		t->at = batch_last_offset(&h) + 1 > t->at ? batch_last_offset(&h) + 1 : t->at;
	}
	aborted_filter_fini(&filter);
	if (e == ERR_OK && (found == BATCH_WALK_MALFORMED || found == BATCH_WALK_OLD))
		e = ERR_MALFORMED;
	return e;
}

static void read_on(struct takeover *t);

static void topic_done(struct takeover *t)
{
	switch (t->step) {
	case POSITIONS:
		next_step(t, SYNCS_AT_TARGET);
		return;
	case SYNCS_AT_TARGET:
		next_step(t, SYNCS_AT_SOURCE);
		return;
	case SYNCS_AT_SOURCE:
		next_step(t, READY);
		return;
	case IDLE:
	case GROUP:
	case READY:
		return;
	}
}

static void partition_done(struct takeover *t)
{
	const struct client_topic *x = client_topic(t->client, t->topic);
	t->partition++;
	t->at = 0;
	if (x != NULL && t->partition < x->partitions_n)
		read_on(t);
	else
		topic_done(t);
}

static void on_records(void *arg, enum err e, const struct target_records *r)
{
	struct takeover *t = arg;
	struct errmsg why = {""};
	t->link->calls--;
	if (t->link->stopping)
		return;
	int64_t before = t->at;
	if (e == ERR_KAFKA_OFFSET_OUT_OF_RANGE && r->start > t->at) {
		t->at = r->start;
		read_on(t);
		return;
	}
	if (e == ERR_OK)
		e = take_batches(t, r, &why);
	if (e != ERR_OK)
		again(t, t->topic, e, why.text);
	else if (t->at >= r->end || (t->at == before && t->at >= r->stable))
		partition_done(t);
	else if (t->at > before)
		read_on(t);
	else
		again(t, t->topic, ERR_MALFORMED, "reading it");
}

static void read_on(struct takeover *t)
{
	enum err e = target_read_committed(t->client, t->topic, t->partition, t->at, on_records, t);
	if (e != ERR_OK)
		again(t, t->topic, e, NULL);
	else
		t->link->calls++;
}

/* Begin with a topic, once the metadata say whether it is there. */
static void read_topic(struct takeover *t, struct client *c, enum err named)
{
	if (named != ERR_OK) {
		topic_done(t);
		return;
	}
	if (t->client == NULL) {
		t->client = c;
		t->partition = 0;
		t->at = 0;
		t->metadata_before = client_metadata_version(c);
		enum err e = client_follow_topic(c, t->topic);
		if (e != ERR_OK) {
			t->client = NULL;
			again(t, t->topic, e, NULL);
			return;
		}
		client_metadata_refresh(c);
	}
	if (client_metadata_version(c) == t->metadata_before) {
		loop_timer_set(t->timer, METADATA_MS);
		return;
	}
	const struct client_topic *x = client_topic(c, t->topic);
	if (x == NULL || x->error == ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION)
		topic_done(t);
	else if (x->error != ERR_OK && x->error != ERR_KAFKA_LEADER_NOT_AVAILABLE)
		again(t, t->topic, x->error, NULL);
	else if (x->partitions_n == 0)
		loop_timer_set(t->timer, METADATA_MS);
	else
		read_on(t);
}

/* ---- step by step ---- */

static void ready(struct takeover *t)
{
	t->idle_ticks = 0;
	log_event(loop_log(t->link->loop), LOG_INFO, "takeover_begins",
		  LOG_S("link", t->link->config->name),
		  LOG_I("positions", takeover_book_positions(t->book)),
		  LOG_I("unreadable", t->unreadable));
	line_wake(t);
}

static void go(struct takeover *t)
{
	struct link *k = t->link;
	if (k->stopping)
		return;
	switch (t->step) {
	case IDLE:
		takeover_book_free(t->book);
		t->unreadable = 0;
		t->book = takeover_book_new(k->config->source->name);
		if (t->book == NULL)
			again(t, "not begun", ERR_NOMEM, NULL);
		else
			next_step(t, GROUP);
		return;
	case GROUP:
		ask_group(t);
		return;
	case POSITIONS:
		t->wait = "reading what it left behind";
		snprintf(t->topic, sizeof t->topic, "%s", k->config->take_over_offsets);
		if (t->topic[0] == '\0')
			snprintf(t->topic, sizeof t->topic, "mm2-offsets.%.200s.internal",
				 k->config->source->name);
		read_topic(t, k->target_client, ERR_OK);
		return;
	case SYNCS_AT_TARGET:
		read_topic(t, k->target_client,
			   naming_offset_syncs_topic(k->config, k->config->source->name, t->topic));
		return;
	case SYNCS_AT_SOURCE:
		read_topic(t, k->source_client,
			   naming_offset_syncs_topic(k->config, k->config->target->name, t->topic));
		return;
	case READY:
		ready(t);
		return;
	}
}

/* ---- what partitions ask ---- */

static size_t walk_bytes(const struct takeover_words *w)
{
	int64_t n = w->records < RETRACE_PART ? w->records : RETRACE_PART;
	size_t bytes = (size_t)n * RECORD_BYTES;
	return bytes > WALK_BYTES_MIN ? bytes : WALK_BYTES_MIN;
}

bool takeover_begin(struct takeover *t, struct slot *slot, struct takeover_words *words)
{
	size_t bytes = walk_bytes(words);
	if (t->step == IDLE)
		go(t);
	if (t->step != READY) {
		words->wait = t->wait;
		line_add(t, slot);
		return false;
	}
	if (t->walks > 0 && (t->walks >= WALKS_MAX || t->walks_bytes + bytes > WALKS_BYTES)) {
		words->wait = "others come first, to bound the memory";
		line_add(t, slot);
		return false;
	}
	struct takeover_word w =
		takeover_book_find(t->book, slot->topic->source_name, slot->p->index);
	words->believed = w.believed;
	if (t->link->config->take_over != TAKE_OVER_RUNS) {
		words->anchor_src = w.src;
		words->anchor_dst = w.dst;
	}
	slot->takeover_bytes = bytes;
	t->walks++;
	t->walks_bytes += bytes;
	log_event(loop_log(t->link->loop), LOG_DEBUG, "takeover_walk",
		  LOG_S("link", t->link->config->name), LOG_S("topic", slot->topic->source_name),
		  LOG_I("partition", slot->p->index), LOG_I("mm2_position", words->believed),
		  LOG_I("anchor_source", words->anchor_src),
		  LOG_I("anchor_target", words->anchor_dst));
	return true;
}

static void tell_result(struct takeover *t, const struct slot *slot, const struct retrace_result *r)
{
	char ranges[RETRACE_RANGES * 48] = "";
	size_t n = r->doubled_ranges_n < RETRACE_RANGES ? r->doubled_ranges_n : RETRACE_RANGES;
	for (size_t i = 0, at = 0; i < n; i++)
		at += (size_t)snprintf(ranges + at, sizeof ranges - at, "%s%" PRId64 "-%" PRId64,
				       i > 0 ? "," : "", r->doubled_ranges[i].first,
				       r->doubled_ranges[i].last);
	struct takeover_word w =
		takeover_book_find(t->book, slot->topic->source_name, slot->p->index);
	log_event(loop_log(t->link->loop), r->ahead > 0 || r->unverified ? LOG_WARN : LOG_INFO,
		  "taken_over", LOG_S("link", t->link->config->name),
		  LOG_S("topic", slot->topic->source_name), LOG_I("partition", slot->p->index),
		  LOG_I("source_position", r->src), LOG_I("target_position", slot->p->dst_acked),
		  LOG_I("mm2_position", w.believed), LOG_I("copied", r->copied),
		  LOG_I("doubled", r->doubled), LOG_I("doubled_ranges", r->doubled_ranges_n),
		  LOG_S("doubled_at", ranges), LOG_I("aborted", r->aborted), LOG_I("gone", r->gone),
		  LOG_I("ahead", r->ahead), LOG_S("runs", r->from_start ? "all" : "from_here"),
		  LOG_S("verified", r->unverified ? "no" : "yes"));
}

void takeover_end(struct takeover *t, struct slot *slot, const struct retrace_result *result)
{
	t->walks--;
	t->walks_bytes -= slot->takeover_bytes;
	if (result != NULL && !t->link->stopping)
		tell_result(t, slot, result);
	if (!t->link->stopping)
		line_wake(t);
}
