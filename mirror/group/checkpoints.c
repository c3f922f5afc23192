/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MM2's checkpoints: `<source>.checkpoints.internal` on the target holds, for each group and
 * partition, the committed offset and its translation, which is what Java's RemoteClusterUtils
 * reads. Here it is also the memory of what this link has put where: it is read at the start.
 *
 * A checkpoint is written when it says something new. None is ever deleted, though the group may
 * be: MirrorClient.remoteConsumerOffsets (Kafka 4.1) fails on a null value, for all groups.
 */
#include "checkpoint/mm2_records.h"

#include "lib/base/mem.h"
#include "lib/wire/records.h"
#include "mirror/clusters/target_reader.h"
#include "mirror/clusters/topic_writer.h"
#include "mirror/config/naming.h"
#include "mirror/group/group_impl.h"

enum {
	BATCH_BYTES = 512 << 10,
	DECODE_BYTES = 8 << 20,
	WATCH_MS = 100, /* until the metadata say whether the topic is there */
	RETRY_MS = 1000,
	PASSES = 64,            /* whose latency is known, */
	LATENCY_MS = 60 * 1000, /* for so long */
};

struct pass {
	uint32_t n;
	uint64_t ticket; /* of its last record so far */
	int64_t began_ms;
	int64_t latency_ms; /* -1: not in the log yet */
};

struct checkpoints {
	struct groups *g;
	char topic[TOPIC_NAME_MAX + 1];
	struct topic_writer *writer;
	struct loop_timer *timer;
	void (*loaded)(struct groups *g);
	int64_t read_at;
	uint64_t lost; /* records that could not be read */
	uint64_t written;
	uint32_t pass;
	bool more; /* there was no room for all */
	struct pass passes[PASSES];
	struct buf key, value;
};

static void look(void *arg);
static void on_stored(void *arg, uint64_t ticket);

enum err checkpoints_new(struct groups *g, struct checkpoints **out)
{
	struct checkpoints *c = mem_zalloc(1, sizeof *c);
	if (c == NULL)
		return ERR_NOMEM;
	c->g = g;
	buf_init(&c->key, MM2_KEY_MAX);
	buf_init(&c->value, MM2_VALUE_MAX);
	enum err e = naming_checkpoints_topic(g->config, c->topic);
	c->timer = loop_timer_new(g->link->loop, look, c);
	if (e == ERR_OK && c->timer == NULL)
		e = ERR_NOMEM;
	const struct topic_writer_options o = {
		.topic =
			{
				.client = g->link->target_client,
				.link = g->config->name,
				.name = c->topic,
				.replication_factor = g->config->checkpoints_replication_factor,
				.settings = own_topic_compacted,
				.settings_n = OWN_TOPIC_COMPACTED_N,
				.timeout_ms = g->config->target->request_timeout_ms,
			},
		.batch_bytes = BATCH_BYTES,
		.stored = on_stored,
		.arg = c,
	};
	if (e == ERR_OK)
		e = topic_writer_new(g->link->loop, &o, &c->writer);
	if (e != ERR_OK) {
		checkpoints_free(c);
		return e;
	}
	*out = c;
	return ERR_OK;
}

void checkpoints_stop(struct checkpoints *c)
{
	loop_timer_stop(c->timer);
	topic_writer_stop(c->writer);
}

void checkpoints_free(struct checkpoints *c)
{
	if (c == NULL)
		return;
	topic_writer_free(c->writer);
	loop_timer_free(c->timer);
	buf_fini(&c->key);
	buf_fini(&c->value);
	mem_free(c);
}

void checkpoints_on_metadata(struct checkpoints *c)
{
	topic_writer_on_metadata(c->writer);
}

bool checkpoints_idle(const struct checkpoints *c)
{
	return topic_writer_idle(c->writer);
}

uint64_t checkpoints_written(const struct checkpoints *c)
{
	return c->written;
}

/* ---- reading ---- */

/* A checkpoint that cannot be read is no more than a memory that is lost: reading goes on. */
static void count_lost(struct checkpoints *c, int32_t records, enum err e, const struct errmsg *why)
{
	if (c->lost == 0)
		log_event(loop_log(c->g->link->loop), LOG_WARN, "checkpoint_not_read",
			  LOG_S("link", c->g->config->name), LOG_S("topic", c->topic),
			  LOG_S("error", err_name(e)), LOG_S("reason", why->text));
	c->lost += (uint32_t)records;
}

static enum err take_record(struct checkpoints *c, const struct record *r)
{
	struct mm2_checkpoint m;
	struct errmsg why = {""};
	enum err e = mm2_records_decode_checkpoint(r->key, r->value, &m, &why);
	if (e == ERR_NOT_FOUND)
		return ERR_OK;
	if (e != ERR_OK) {
		count_lost(c, 1, e, &why);
		return ERR_OK;
	}
	return group_table_remember(c->g, &m);
}

/* ERR_NOMEM: it is to be read again. */
static enum err take_batch(struct checkpoints *c, const struct batch_head *h, struct bytes whole)
{
	struct records_reader *rr = NULL;
	struct record r;
	struct errmsg why = {""};
	uint64_t lost = c->lost;
	int32_t left = h->count;
	enum err e = records_reader_open(whole, DECODE_BYTES, &rr, &why);
	for (; e == ERR_OK && records_reader_next(rr, &r); left--)
		e = take_record(c, &r);
	if (e == ERR_OK)
		e = records_reader_error(rr, &why);
	records_reader_free(rr);
	if (e == ERR_NOMEM) {
		c->lost = lost;
		return e;
	}
	if (e != ERR_OK)
		count_lost(c, left, e, &why);
	return ERR_OK;
}

static void load_end(struct checkpoints *c)
{
	if (c->lost > 0)
		log_event(loop_log(c->g->link->loop), LOG_WARN, "checkpoints_not_read",
			  LOG_S("link", c->g->config->name), LOG_S("topic", c->topic),
			  LOG_I("records", c->lost));
	c->loaded(c->g);
}

static void load_again(struct checkpoints *c, enum err e, const char *why)
{
	log_event(loop_log(c->g->link->loop), LOG_WARN, "checkpoints_not_loaded",
		  LOG_S("link", c->g->config->name), LOG_S("topic", c->topic),
		  LOG_S("error", err_name(e)), LOG_S("reason", why));
	client_metadata_refresh(c->g->link->target_client);
	loop_timer_set(c->timer, RETRY_MS);
}

static void on_read(void *arg, enum err e, const struct target_records *r)
{
	struct checkpoints *c = arg;
	struct errmsg why = {""};
	struct batch_walk w = {.left = r->records};
	struct batch_head h;
	struct bytes whole;
	int64_t began = c->read_at;
	if (c->g->stopping)
		return;
	while (e == ERR_OK && batch_walk_next(&w, &h, &whole, &why) == BATCH_WALK_BATCH) {
		if (!(h.attributes & BATCH_CONTROL) && h.count > 0)
			e = take_batch(c, &h, whole);
		if (e == ERR_OK)
			c->read_at = batch_last_offset(&h) + 1;
	}
	bool deleted = e == ERR_KAFKA_OFFSET_OUT_OF_RANGE && r->start > began;
	if (e == ERR_KAFKA_OFFSET_OUT_OF_RANGE)
		c->read_at = deleted ? r->start : 0; /* else the topic was made again */
	if (e == ERR_OK && c->read_at >= r->end)
		load_end(c);
	else if (deleted || (e == ERR_OK && c->read_at > began))
		look(c);
	else
		load_again(c, e == ERR_OK ? ERR_MALFORMED : e,
			   why.text[0] != '\0' ? why.text : err_text(e));
}

/* The next piece of the topic, if there is one. */
static void look(void *arg)
{
	struct checkpoints *c = arg;
	struct client *client = c->g->link->target_client;
	if (c->g->stopping)
		return;
	const struct client_topic *t = client_topic(client, c->topic);
	if (t != NULL && t->error == ERR_KAFKA_UNKNOWN_TOPIC_OR_PARTITION) {
		load_end(c);
		return;
	}
	if (t == NULL || t->error != ERR_OK || t->partitions_n == 0) {
		client_metadata_refresh(client);
		loop_timer_set(c->timer, WATCH_MS);
		return;
	}
	enum err e = target_read(client, c->topic, 0, c->read_at, on_read, c);
	if (e != ERR_OK)
		load_again(c, e, err_text(e));
}

void checkpoints_load(struct checkpoints *c, void (*done)(struct groups *g))
{
	c->loaded = done;
	look(c);
}

/* ---- writing ---- */

/* Is there something new to tell? A table that forgot old runs gives a worse answer than it gave
 * before: that is not news. */
bool checkpoints_due(const struct group_position *p, const struct group_translation *t)
{
	if (p->source != p->told_source ||
	    group_metadata_hash(bytes_str(p->metadata)) != p->told_metadata)
		return true;
	return t->exact ? t->offset != p->told_target : t->offset > p->told_target;
}

static enum err put(struct checkpoints *c, const struct group *group, struct group_position *p,
		    const struct group_translation *t)
{
	const struct mm2_checkpoint m = {
		.group = bytes_str(group->name),
		.topic = bytes_str(p->topic->target),
		.partition = p->partition,
		.upstream = p->source,
		.downstream = t->offset,
		.metadata = bytes_str(p->metadata == NULL ? "" : p->metadata),
	};
	struct pass *pass = &c->passes[c->pass % PASSES];
	buf_clear(&c->key);
	buf_clear(&c->value);
	enum err e = mm2_records_encode_checkpoint(&m, &c->key, &c->value);
	if (e == ERR_OK)
		e = topic_writer_put_pair(c->writer, buf_bytes(&c->key), buf_bytes(&c->value),
					  &pass->ticket);
	if (e != ERR_OK)
		return e;
	p->told_source = p->source;
	p->told_target = t->offset;
	p->told_metadata = group_metadata_hash(m.metadata);
	p->told_pass = c->pass;
	c->written++;
	return ERR_OK;
}

static enum err tell_group(struct checkpoints *c, struct group *group)
{
	for (int32_t i = 0; i < group->positions_n; i++) {
		struct group_position *p = &group->positions[i];
		struct group_translation t;
		group_translate(c->g, p->topic, p->partition, p->source, &t);
		if (t.skip != GROUP_SKIP_NONE || !checkpoints_due(p, &t))
			continue;
		enum err e = put(c, group, p, &t);
		if (e != ERR_OK)
			return e;
	}
	group->tell = false;
	return ERR_OK;
}

/* What has no room now is told when there is some again. */
static void tell(struct checkpoints *c)
{
	struct groups *g = c->g;
	c->more = false;
	for (size_t i = 0; i < g->all_n && !c->more; i++) {
		struct group *group = g->all[i];
		if (group->tell && group->gone == 0)
			c->more = tell_group(c, group) != ERR_OK;
	}
}

void checkpoints_tell(struct checkpoints *c)
{
	c->pass++;
	c->passes[c->pass % PASSES] = (struct pass){
		.n = c->pass,
		.began_ms = loop_now_ms(c->g->link->loop),
		.latency_ms = -1,
	};
	tell(c);
}

static void on_stored(void *arg, uint64_t ticket)
{
	struct checkpoints *c = arg;
	int64_t now = loop_now_ms(c->g->link->loop);
	for (size_t i = 0; i < PASSES; i++) {
		struct pass *p = &c->passes[i];
		if (p->ticket > 0 && p->ticket <= ticket && p->latency_ms < 0)
			p->latency_ms = now - p->began_ms;
	}
	/* In the middle of a round its end does it. */
	if (c->more && !c->g->stopping && c->g->phase == GROUPS_IDLE)
		tell(c);
}

int64_t checkpoints_latency_ms(const struct checkpoints *c, uint32_t pass)
{
	const struct pass *p = &c->passes[pass % PASSES];
	bool known = pass > 0 && p->n == pass &&
		     loop_now_ms(c->g->link->loop) - p->began_ms < LATENCY_MS;
	return known ? p->latency_ms : -1;
}
