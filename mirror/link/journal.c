/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The run tables as stored on the target in `<source>.offset-runs.internal`: loaded once at the
 * start, written at least once a second while partitions move, at once for a partition that may not
 * send before its position is durable.
 *
 * One produce request at a time, so that records come to lie in the log in the order of the plans.
 * What was written twice (a retry) is harmless. Nothing is stored that the target has not
 * acknowledged.
 */
#include <assert.h>

#include "checkpoint/store.h"
#include "lib/base/mem.h"
#include "lib/wire/records.h"
#include "mirror/clusters/own_topic.h"
#include "mirror/clusters/target_reader.h"
#include "mirror/config/naming.h"
#include "mirror/link/link_parts.h"

enum {
	STORE_MS = 1000,
	RETRY_MS = 500,
	BATCH_BYTES = 768 << 10, /* of one write; below Kafka's default max.message.bytes */
	API_INIT_PRODUCER_ID = 22,
	PARTITIONS_MAX = 1000000,
};

struct journal {
	struct link *link;
	struct own_topic *own;
	const char *topic;       /* its name */
	struct run_store *store; /* while loading, and for partitions that have not started yet */
	int64_t read_at;
	unsigned lost;
	void (*loaded)(void *arg, enum err e, const struct errmsg *why);
	void *loaded_arg;

	struct slot *dirty, **dirty_tail;
	struct slot *writing; /* in the request under way */
	bool urgent, busy, stopped;
	struct loop_timer *timer;
	struct loop_deferred kick;
	struct batch_builder builder;
	struct buf batch;
	struct init_producer_id_request init;
};

static void write_some(void *arg);

static void on_timer(void *arg)
{
	struct journal *j = arg;
	if (!j->kick.pending)
		loop_defer(j->link->loop, &j->kick);
}

/* The link says what it waits for. */
static void on_not_ready(void *arg, enum err e, const struct errmsg *why)
{
	struct journal *j = arg;
	errmsg_set(&j->link->load_problem, e, "loading the run tables: %s: %s", j->topic,
		   why->text);
}

static enum err journal_topic(struct journal *j)
{
	const struct link_config *c = j->link->config;
	char name[TOPIC_NAME_MAX + 1];
	enum err e = naming_runs_topic(c, name);
	if (e != ERR_OK)
		return e;
	const struct own_topic_options o = {
		.client = j->link->target_client,
		.link = c->name,
		.name = name,
		.replication_factor = c->runs_replication_factor,
		.settings = own_topic_compacted,
		.settings_n = OWN_TOPIC_COMPACTED_N,
		.timeout_ms = c->target->request_timeout_ms,
		.refused = on_not_ready,
		.arg = j,
	};
	e = own_topic_new(j->link->loop, &o, &j->own);
	if (e == ERR_OK)
		j->topic = own_topic_name(j->own);
	return e;
}

enum err journal_new(struct link *k, struct journal **out)
{
	struct journal *j = mem_zalloc(1, sizeof *j);
	if (j == NULL)
		return ERR_NOMEM;
	j->link = k;
	j->dirty_tail = &j->dirty;
	j->kick = (struct loop_deferred){.fn = write_some, .arg = j};
	batch_builder_init(&j->builder, CODEC_NONE, BATCH_BYTES);
	buf_init(&j->batch, 2 * BATCH_BYTES);
	j->timer = loop_timer_new(k->loop, on_timer, j);
	enum err e = j->timer == NULL ? ERR_NOMEM : journal_topic(j);
	if (e != ERR_OK) {
		journal_free(j);
		return e;
	}
	*out = j;
	return ERR_OK;
}

void journal_stop(struct journal *j)
{
	if (j == NULL)
		return;
	j->stopped = true;
	loop_timer_stop(j->timer);
	own_topic_stop(j->own);
}

void journal_free(struct journal *j)
{
	if (j == NULL)
		return;
	loop_undefer(j->link->loop, &j->kick);
	loop_timer_free(j->timer);
	own_topic_free(j->own);
	run_store_free(j->store);
	batch_builder_fini(&j->builder);
	buf_fini(&j->batch);
	mem_free(j);
}

/* ---- loading ---- */

static void load_end(struct journal *j, enum err e, const struct errmsg *why)
{
	if (e != ERR_OK) {
		run_store_free(j->store);
		j->store = NULL;
	}
	j->loaded(j->loaded_arg, e, why);
}

static void load_failed(struct journal *j, enum err e, const char *what)
{
	struct errmsg why;
	errmsg_set(&why, e, "%s: %s: %s", j->topic, what, err_text(e));
	load_end(j, e, &why);
}

static void on_lost(void *arg, const struct run_store_lost *lost)
{
	struct journal *j = arg;
	j->lost++;
	log_event(loop_log(j->link->loop), LOG_WARN, "run_table_damaged",
		  LOG_S("link", j->link->config->name), LOG_S("stored_in", j->topic),
		  LOG_B("topic", lost->topic), LOG_I("partition", lost->partition),
		  LOG_I("first_offset", lost->first_src), LOG_S("error", err_name(lost->err)),
		  LOG_S("lost", lost->what));
}

static void read_on(struct journal *j);
static void find_producer(struct journal *j);

/*
 * The topic begins at `start`: retention or a person deleted its oldest records. A partition whose
 * table is gone with them stops when it finds its target filled. Not so where others write there,
 * too: it would copy everything once more.
 */
static void lost_its_beginning(struct journal *j, int64_t start)
{
	static const char cause[] =
		"its oldest records were deleted; it must be compacted (cleanup.policy=compact), "
		"and its records be left alone";
	if (j->link->config->two_way) {
		load_failed(j, ERR_KAFKA_OFFSET_OUT_OF_RANGE,
			    "its oldest records were deleted; without them a link that copies both "
			    "ways cannot know what is copied already: delete it to begin again");
		return;
	}
	log_event(loop_log(j->link->loop), LOG_WARN, "run_tables_cut",
		  LOG_S("link", j->link->config->name), LOG_S("stored_in", j->topic),
		  LOG_I("begins_at", start), LOG_S("reason", cause));
	j->read_at = start;
	read_on(j);
}

static void on_read(void *arg, enum err e, const struct target_records *r)
{
	struct journal *j = arg;
	j->link->calls--;
	if (j->link->stopping)
		return;
	int64_t began = j->read_at;
	struct errmsg why = {""};
	if (e == ERR_KAFKA_OFFSET_OUT_OF_RANGE && r->start > began) {
		lost_its_beginning(j, r->start);
		return;
	}
	if (e == ERR_OK)
		e = run_store_apply_records(j->store, r->records, &j->read_at, &why);
	if (e != ERR_OK)
		load_failed(j, e, why.text[0] != '\0' ? why.text : "reading it");
	else if (j->read_at >= r->end)
		find_producer(j);
	else if (j->read_at > began)
		read_on(j);
	else
		load_failed(j, ERR_MALFORMED, "reading it");
}

static void read_on(struct journal *j)
{
	enum err e = target_read(j->link->target_client, j->topic, 0, j->read_at, on_read, j);
	if (e != ERR_OK)
		load_failed(j, e, "reading it");
	else
		j->link->calls++;
}

static void on_topic_there(void *arg, enum err e, const struct errmsg *why)
{
	struct journal *j = arg;
	if (e != ERR_OK) {
		load_end(j, e, why);
		return;
	}
	const struct run_store_config c = {
		.budget = j->link->config->runs_budget,
		.max_partitions = PARTITIONS_MAX,
		.lost = on_lost,
		.arg = j,
	};
	run_store_free(j->store);
	j->store = run_store_new(&c);
	j->read_at = 0;
	if (j->store == NULL)
		load_failed(j, ERR_NOMEM, "reading it");
	else
		read_on(j);
}

void journal_load(struct journal *j, void (*done)(void *arg, enum err e, const struct errmsg *why),
		  void *arg)
{
	j->loaded = done;
	j->loaded_arg = arg;
	own_topic_ensure(j->own, on_topic_there, j);
}

void journal_on_metadata(struct journal *j)
{
	own_topic_on_metadata(j->own);
}

enum err journal_take(struct journal *j, struct slot *slot, struct partition_stored *out)
{
	struct run_taken t;
	enum err e =
		run_store_take(j->store, bytes_str(slot->topic->source_name), slot->p->index, &t);
	if (e == ERR_NOT_FOUND && slot->stored == NULL) {
		slot->stored = stored_new();
		return slot->stored == NULL ? ERR_NOMEM : ERR_NOT_FOUND;
	}
	if (e != ERR_OK)
		return e;
	slot->stored = t.stored;
	if (runs_src_end(t.runs) < 0 || runs_dst_end(t.runs) < 0) {
		runs_free(t.runs);
		return ERR_NOT_FOUND;
	}
	*out = (struct partition_stored){
		.runs = t.runs,
		.topic_id = t.info.topic_id,
		.leader_epoch = t.info.leader_epoch,
		.producer_id = t.info.producer_id,
		.producer_epoch = t.info.producer_epoch,
		.src_end = runs_src_end(t.runs),
		.dst_end = runs_dst_end(t.runs),
	};
	return ERR_OK;
}

/* ---- the link's producer id ---- */

static void send_batch(struct journal *j, own_topic_done *done)
{
	j->busy = true;
	own_topic_produce(j->own, buf_bytes(&j->batch), done, j);
}

static enum err add_record(struct journal *j, struct bytes key, struct bytes value)
{
	const struct record r = {
		.timestamp = clock_wall_ms(loop_clock(j->link->loop)),
		.key = key,
		.value = value,
	};
	return batch_builder_add(&j->builder, &r);
}

static enum err finish_batch(struct journal *j)
{
	buf_clear(&j->batch);
	return batch_builder_finish(&j->builder, &j->batch);
}

static void on_link_stored(void *arg, enum err e, const struct errmsg *why)
{
	struct journal *j = arg;
	(void)why;
	j->busy = false;
	if (j->link->stopping)
		return;
	if (e != ERR_OK) {
		load_failed(j, e, "storing the producer id");
		return;
	}
	const struct errmsg none = {""};
	load_end(j, ERR_OK, &none);
}

static void on_producer(void *arg, enum err e, const struct errmsg *why,
			const struct rpc_reply *reply)
{
	struct journal *j = arg;
	struct link *k = j->link;
	(void)why;
	k->calls--;
	if (k->stopping)
		return;
	if (e == ERR_OK) {
		const struct init_producer_id_response *r = reply->msg;
		e = err_from_kafka(r->error_code);
		k->producer_id = r->producer_id;
		k->producer_epoch = r->producer_epoch;
	}
	if (e == ERR_OK && k->producer_id < 0)
		e = ERR_MALFORMED;
	struct buf key, value;
	buf_init(&key, BLOCK_KEY_MAX);
	buf_init(&value, BLOCK_VALUE_MAX);
	const struct block_link l = {.member = bytes_str(""),
				     .producer_id = k->producer_id,
				     .producer_epoch = k->producer_epoch};
	if (e == ERR_OK)
		e = block_encode_link(&l, &key, &value);
	batch_builder_clear(&j->builder);
	if (e == ERR_OK)
		e = add_record(j, buf_bytes(&key), buf_bytes(&value));
	if (e == ERR_OK)
		e = finish_batch(j);
	buf_fini(&key);
	buf_fini(&value);
	if (e != ERR_OK)
		load_failed(j, e, "no producer id from the target");
	else
		send_batch(j, on_link_stored);
}

static void find_producer(struct journal *j)
{
	struct link *k = j->link;
	struct block_link l;
	if (run_store_link(j->store, bytes_str(""), &l)) {
		k->producer_id = l.producer_id;
		k->producer_epoch = l.producer_epoch;
		const struct errmsg none = {""};
		load_end(j, ERR_OK, &none);
		return;
	}
	wire_init(&wire_init_producer_id_request, &j->init);
	j->init.transactional_id = (struct bytes){NULL, 0};
	j->init.transaction_timeout_ms = 60 * 1000;
	const struct client_call cc = {
		.node = CLIENT_ANY,
		.channel = CLIENT_CHANNEL_CONTROL,
		.api_key = API_INIT_PRODUCER_ID,
		.msg = &j->init,
		.done = on_producer,
		.arg = j,
	};
	k->calls++;
	client_call(k->target_client, &cc);
}

/* ---- writing ---- */

static void list_dirty(struct journal *j, struct slot *slot)
{
	slot->journal_dirty = true;
	slot->journal_next = NULL;
	*j->dirty_tail = slot;
	j->dirty_tail = &slot->journal_next;
}

void journal_mark(struct journal *j, struct slot *slot, bool now)
{
	slot->journal_urgent = slot->journal_urgent || now;
	if (!slot->journal_dirty)
		list_dirty(j, slot);
	if (now) {
		j->urgent = true;
		if (!j->kick.pending)
			loop_defer(j->link->loop, &j->kick);
	} else if (!loop_timer_armed(j->timer)) {
		loop_timer_set(j->timer, STORE_MS);
	}
}

void journal_forget(struct journal *j, struct slot *slot)
{
	for (struct slot **at = &j->dirty; *at != NULL; at = &(*at)->journal_next) {
		if (*at != slot)
			continue;
		*at = slot->journal_next;
		if (*at == NULL)
			j->dirty_tail = at;
		slot->journal_dirty = false;
		break;
	}
	for (struct slot **at = &j->writing; *at != NULL; at = &(*at)->journal_writing_next) {
		if (*at != slot)
			continue;
		*at = slot->journal_writing_next;
		break;
	}
}

/* The end of a write: those that failed are listed again. */
static void on_written(void *arg, enum err e, const struct errmsg *why)
{
	struct journal *j = arg;
	j->busy = false;
	struct slot *list = j->writing;
	j->writing = NULL;
	while (list != NULL) {
		struct slot *slot = list;
		list = slot->journal_writing_next;
		stored_done(slot->stored, e == ERR_OK);
		if (e != ERR_OK) {
			if (!slot->journal_dirty)
				list_dirty(j, slot);
			continue;
		}
		bool told = slot->journal_urgent && !slot->journal_dirty;
		slot->journal_urgent = slot->journal_urgent && !told;
		if (told)
			partition_on_stored(slot->p);
	}
	if (e != ERR_OK && !j->link->stopping)
		log_event(loop_log(j->link->loop), LOG_WARN, "run_table_not_stored",
			  LOG_S("link", j->link->config->name), LOG_S("stored_in", j->topic),
			  LOG_S("error", err_name(e)), LOG_S("reason", why->text));
	if (e != ERR_OK)
		loop_timer_set(j->timer, RETRY_MS);
	else if (j->urgent)
		on_timer(j);
	else if (j->dirty != NULL && !loop_timer_armed(j->timer))
		loop_timer_set(j->timer, STORE_MS);
}

static enum err sink_put(void *arg, struct bytes key, struct bytes value)
{
	return add_record(arg, key, value);
}

/* Put one partition's records into the batch. False: it does not fit any more. */
static bool plan(struct journal *j, struct slot *slot)
{
	const struct partition *p = slot->p;
	const struct block_info info = {
		.topic = bytes_str(slot->topic->source_name),
		.partition = p->index,
		.topic_id = p->stored_id,
		.leader_epoch = p->last_epoch,
		.producer_id = p->producer_id,
		.producer_epoch = p->producer_epoch,
	};
	const struct stored_sink sink = {.put = sink_put, .arg = j};
	size_t records = 0;
	enum err e = stored_plan(slot->stored, &info, p->runs, &sink, &records);
	if (e != ERR_OK)
		return false;
	if (records > 0) {
		slot->journal_writing_next = j->writing;
		j->writing = slot;
		return true;
	}
	if (slot->journal_urgent) {
		slot->journal_urgent = false;
		partition_on_stored(slot->p);
	}
	return true;
}

static void write_some(void *arg)
{
	struct journal *j = arg;
	if (j->busy || j->stopped || j->dirty == NULL)
		return;
	j->urgent = false;
	batch_builder_clear(&j->builder);
	while (j->dirty != NULL) {
		struct slot *slot = j->dirty;
		if (j->builder.payload.len > BATCH_BYTES / 2)
			break;
		j->dirty = slot->journal_next;
		if (j->dirty == NULL)
			j->dirty_tail = &j->dirty;
		slot->journal_dirty = false;
		if (plan(j, slot))
			continue;
		list_dirty(j, slot);
		break;
	}
	for (const struct slot *s = j->dirty; s != NULL; s = s->journal_next)
		j->urgent = j->urgent || s->journal_urgent;
	if (j->writing == NULL) {
		if (j->dirty != NULL)
			loop_timer_set(j->timer, RETRY_MS);
		return;
	}
	if (finish_batch(j) == ERR_OK) {
		send_batch(j, on_written);
		return;
	}
	const struct errmsg why = {"out of memory"};
	on_written(j, ERR_NOMEM, &why);
}

bool journal_flush(struct journal *j)
{
	if (!j->busy && j->dirty != NULL)
		write_some(j);
	return !j->busy && j->dirty == NULL;
}
