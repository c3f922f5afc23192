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
#include "mirror/takeover.h"

#include <inttypes.h>
#include <stdio.h>

#include "checkpoint/mm2_records.h"
#include "lib/base/map.h"
#include "lib/base/mem.h"
#include "lib/wire/records.h"
#include "mirror/aborted.h"
#include "mirror/mm2_position.h"
#include "mirror/naming.h"
#include "mirror/retrace.h"
#include "mirror/target_reader.h"

enum step { IDLE, GROUP, POSITIONS, SYNCS_AT_TARGET, SYNCS_AT_SOURCE, READY };

enum {
	METADATA_MS = 100,
	RETRY_MS = 2000,
	DECODE_BYTES = 8 << 20,
	WORDS_MAX = 1 << 20,
	KEY_MAX = 4 + MM2_TOPIC_MAX,
	KEPT_TICKS = 60,
	COMPARED_MAX = 1 << 20, /* records compared before the position, if syncs allow it */
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

/* What is known of one partition. */
struct words {
	int64_t believed; /* one above the stored position; -1 */
	int64_t src, dst; /* the last pair of offsets at or below it; -1 */
	/* Older ones, from where on all is compared; -1. The first is half to a whole
	 * COMPARED_MAX behind the last, the second follows to take its place. */
	int64_t early_src, early_dst, next_src, next_dst;
};

struct takeover {
	struct link *link;
	enum step step;
	const char *wait;
	char wait_text[256];
	struct map *words;
	struct loop_timer *timer;
	unsigned attempt, idle_ticks;
	bool running_told;

	struct slot *line, **line_tail;
	size_t walks, walks_bytes;

	/* What is read now. */
	struct client *client;
	char topic[TOPIC_NAME_MAX + 1];
	int32_t partition;
	int64_t at;
	uint64_t metadata_before;
	size_t positions, syncs, unreadable;

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

static void words_free(struct takeover *t)
{
	size_t at = 0;
	void *v;
	while (t->words != NULL && map_next(t->words, &at, NULL, &v))
		mem_free(v);
	map_free(t->words);
	t->words = NULL;
}

void takeover_free(struct takeover *t)
{
	if (t == NULL)
		return;
	words_free(t);
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
		words_free(t);
		t->step = IDLE;
	}
}

/* ---- words ---- */

static struct bytes key_of(struct bytes topic, int32_t partition, uint8_t out[KEY_MAX])
{
	be32_put(out, (uint32_t)partition);
	memcpy(out + 4, topic.p, topic.n);
	return bytes_of(out, 4 + topic.n);
}

static struct words *words_find(struct takeover *t, struct bytes topic, int32_t partition)
{
	uint8_t key[KEY_MAX];
	if (t->words == NULL || topic.n > MM2_TOPIC_MAX)
		return NULL;
	return map_get(t->words, key_of(topic, partition, key));
}

static enum err words_add(struct takeover *t, struct bytes topic, int32_t partition,
			  struct words **out)
{
	uint8_t key[KEY_MAX];
	*out = words_find(t, topic, partition);
	if (*out != NULL)
		return ERR_OK;
	if (map_count(t->words) >= WORDS_MAX)
		return ERR_LIMIT;
	struct words *w = mem_zalloc(1, sizeof *w);
	if (w == NULL)
		return ERR_NOMEM;
	*w = (struct words){-1, -1, -1, -1, -1, -1, -1};
	enum err e = map_put(t->words, key_of(topic, partition, key), w);
	if (e != ERR_OK) {
		mem_free(w);
		return e;
	}
	*out = w;
	return ERR_OK;
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

static enum err take_position(struct takeover *t, const struct record *r, struct errmsg *why)
{
	struct mm2_position p;
	struct words *w;
	enum err e = mm2_position_decode(r->key, r->value, &p, why);
	if (e != ERR_OK)
		return e == ERR_NOT_FOUND ? ERR_OK : e;
	if (strcmp(p.cluster, t->link->config->source->name) != 0)
		return ERR_OK;
	e = words_add(t, bytes_str(p.topic), p.partition, &w);
	if (e != ERR_OK)
		return errmsg_set(why, e, "%s", err_text(e));
	w->believed = p.offset < 0 ? -1 : p.offset + 1;
	t->positions++;
	return ERR_OK;
}

/* Of a partition's pairs at or below the stored position the last one counts, in the log's order;
 * and of those that lie not too far behind it, the first. */
static void take_pair(struct words *w, int64_t src, int64_t dst)
{
	if (src >= w->believed)
		return;
	bool back = w->src >= 0 && (src < w->src || dst < w->dst);
	w->src = src;
	w->dst = dst;
	if (w->early_src < 0 || back) {
		w->early_src = w->next_src = src;
		w->early_dst = w->next_dst = dst;
	} else if (dst - w->early_dst > COMPARED_MAX) {
		w->early_src = w->next_src;
		w->early_dst = w->next_dst;
		w->next_src = src;
		w->next_dst = dst;
	} else if (w->next_dst == w->early_dst && dst - w->early_dst > COMPARED_MAX / 2) {
		w->next_src = src;
		w->next_dst = dst;
	}
}

static enum err take_sync(struct takeover *t, const struct record *r, struct errmsg *why)
{
	struct mm2_offset_sync s;
	enum err e = mm2_records_decode_offset_sync(r->key, r->value, &s, why);
	if (e == ERR_NOT_FOUND)
		return ERR_OK;
	if (e != ERR_OK)
		return e;
	struct words *w = words_find(t, s.topic, s.partition);
	if (w != NULL)
		take_pair(w, s.upstream, s.downstream);
	t->syncs++;
	return ERR_OK;
}

/* Nobody's record may stop the takeover: those that cannot be read are passed over, and named. */
static enum err take_record(struct takeover *t, const struct record *r)
{
	struct errmsg why = {""};
	enum err e = t->step == POSITIONS ? take_position(t, r, &why) : take_sync(t, r, &why);
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
		  LOG_S("link", t->link->config->name), LOG_I("positions", t->positions),
		  LOG_I("offset_syncs", t->syncs), LOG_I("unreadable", t->unreadable));
	line_wake(t);
}

static void go(struct takeover *t)
{
	struct link *k = t->link;
	if (k->stopping)
		return;
	switch (t->step) {
	case IDLE:
		words_free(t);
		t->positions = t->syncs = t->unreadable = 0;
		t->words = map_new();
		if (t->words == NULL)
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
	const struct words *w = words_find(t, bytes_str(slot->topic->source_name), slot->p->index);
	if (w != NULL)
		words->believed = w->believed;
	if (w != NULL && t->link->config->take_over != TAKE_OVER_RUNS) {
		words->anchor_src = w->early_src;
		words->anchor_dst = w->early_dst;
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
	const struct words *w = words_find(t, bytes_str(slot->topic->source_name), slot->p->index);
	log_event(loop_log(t->link->loop), r->ahead > 0 || r->unverified ? LOG_WARN : LOG_INFO,
		  "taken_over", LOG_S("link", t->link->config->name),
		  LOG_S("topic", slot->topic->source_name), LOG_I("partition", slot->p->index),
		  LOG_I("source_position", r->src), LOG_I("target_position", slot->p->dst_acked),
		  LOG_I("mm2_position", w == NULL ? -1 : w->believed), LOG_I("copied", r->copied),
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
