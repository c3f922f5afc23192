/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of the questions matters: first the table is read, then the ends of the logs. So a
 * target that ends where the table does holds nothing that the table does not know; one that ends
 * behind it may (the mirror is copying, or was killed), and answers beyond the table's end are
 * bounds; one that ends before it lost records.
 */
#include "tools/direct_impl.h"

#include <inttypes.h>
#include <stdio.h>

#include "lib/base/mem.h"
#include "lib/net/loop.h"
#include "lib/net/tls.h"
#include "mirror/clusters/connect.h"
#include "mirror/clusters/target_reader.h"
#include "mirror/config/naming.h"

enum {
	TURN_MS = 20,
	PAUSE_MS = 100,
	SOURCE_MS = 3000, /* for a source that may be gone */
	TABLE_BYTES = 64 << 20,
	PARTITIONS_MAX = 1000000,
	ARENA_BYTES = 256 << 20,
	LATEST = -1,
};

/* ---- waiting ---- */

struct direct_ask *direct_begin(struct direct *d)
{
	d->ask = (struct direct_ask){.done = false};
	return &d->ask;
}

static bool wait_until(struct direct *d, const bool *done, int64_t until)
{
	while (!*done && loop_now_ms(d->loop) < until)
		loop_turn(d->loop, TURN_MS);
	return *done;
}

enum err direct_wait(struct direct *d, struct direct_ask *ask, const char *what, struct errmsg *why)
{
	if (!wait_until(d, &ask->done, d->deadline))
		return errmsg_set(why, ERR_TIMEOUT, "%s: timed out", what);
	if (ask->err != ERR_OK)
		errmsg_set(why, ask->err, "%s: %s", what,
			   ask->why.text[0] != '\0' ? ask->why.text : err_text(ask->err));
	return ask->err;
}

bool direct_pause(struct direct *d)
{
	bool never = false;
	int64_t until = loop_now_ms(d->loop) + PAUSE_MS;
	wait_until(d, &never, until < d->deadline ? until : d->deadline);
	return loop_now_ms(d->loop) < d->deadline;
}

static void ask_end(struct direct_ask *ask, enum err e, const struct errmsg *why)
{
	ask->err = e;
	if (e != ERR_OK && why != NULL)
		ask->why = *why;
	ask->done = true;
}

/* ---- connecting ---- */

static void on_hello(void *arg, enum err e, const struct errmsg *why, const struct rpc_reply *reply)
{
	(void)reply;
	ask_end(arg, e, why);
}

static enum err side_open(struct direct *d, struct direct_side *s,
			  const struct cluster_config *config, struct errmsg *why)
{
	s->config = config;
	enum err e = connect_cluster(d->loop, config, NULL, &s->tls, &s->client, why);
	if (e != ERR_OK)
		return e;
	client_follow_all(s->client);
	wire_init(&wire_metadata_request, &s->hello_msg);
	const struct client_call call = {
		.node = CLIENT_ANY,
		.channel = CLIENT_CHANNEL_CONTROL,
		.api_key = WIRE_API_METADATA,
		.msg = &s->hello_msg,
		.done = on_hello,
		.arg = &s->hello,
	};
	client_call(s->client, &call);
	return ERR_OK;
}

/* Until the cluster answered and its metadata are known. */
static enum err side_wait(struct direct *d, struct direct_side *s, int64_t until,
			  struct errmsg *why)
{
	if (wait_until(d, &s->hello.done, until) && s->hello.err != ERR_OK)
		return errmsg_set(why, s->hello.err, "cluster %s: %s", s->config->name,
				  s->hello.why.text);
	while (client_metadata_version(s->client) == 0 && loop_now_ms(d->loop) < until)
		loop_turn(d->loop, TURN_MS);
	if (client_metadata_version(s->client) > 0)
		return ERR_OK;
	struct errmsg last = {""};
	client_ready(s->client, &last);
	return errmsg_set(why, ERR_TIMEOUT, "cluster %s: no answer in time%s%s", s->config->name,
			  last.text[0] != '\0' ? ": " : "", last.text);
}

enum err direct_open(const struct link_config *link, int64_t timeout_ms, struct direct **out,
		     struct errmsg *why)
{
	struct direct *d = mem_zalloc(1, sizeof *d);
	if (d == NULL)
		return errmsg_set(why, ERR_NOMEM, "out of memory");
	d->link = link;
	arena_init(&d->arena, ARENA_BYTES);
	enum err e = loop_new(1, clock_system(), NULL, &d->loop, why);
	if (e == ERR_OK) {
		d->deadline = loop_now_ms(d->loop) + timeout_ms;
		e = side_open(d, &d->target, link->target, why);
	}
	if (e == ERR_OK)
		e = side_open(d, &d->source, link->source, why);
	if (e == ERR_OK)
		e = side_wait(d, &d->target, d->deadline, why);
	if (e == ERR_OK) {
		/* Its problem is told when it matters. */
		int64_t until = loop_now_ms(d->loop) + SOURCE_MS;
		(void)!side_wait(d, &d->source, until < d->deadline ? until : d->deadline,
				 &d->source.problem);
	}
	if (e != ERR_OK)
		direct_close(d);
	else
		*out = d;
	return e;
}

void direct_close(struct direct *d)
{
	if (d == NULL)
		return;
	client_free(d->source.client);
	client_free(d->target.client);
	if (d->loop != NULL) {
		/* What is in flight completes now. */
		loop_turn(d->loop, 0);
		loop_turn(d->loop, 0);
	}
	tls_ctx_free(d->source.tls);
	tls_ctx_free(d->target.tls);
	run_store_free(d->store);
	loop_free(d->loop);
	mem_free(d->offsets);
	arena_fini(&d->arena);
	mem_free(d);
}

const char *direct_source_problem(const struct direct *d)
{
	return d->source.problem.text;
}

/* ---- the tables ---- */

/* The name at the target; false if there can be none. */
static bool remote_name(const struct direct *d, struct bytes topic, char out[TOPIC_NAME_MAX + 1])
{
	char name[TOPIC_NAME_MAX + 1];
	snprintf(name, sizeof name, "%.*s", (int)topic.n, (const char *)topic.p);
	return naming_remote(d->link, name, out) == ERR_OK;
}

static bool want(void *arg, struct bytes topic, int32_t partition)
{
	const struct direct *d = arg;
	char remote[TOPIC_NAME_MAX + 1];
	if (d->want_topic == NULL)
		return true;
	if (partition != d->want_partition)
		return false;
	return bytes_eq_str(topic, d->want_topic) ||
	       (remote_name(d, topic, remote) && strcmp(remote, d->want_topic) == 0);
}

static void on_lost(void *arg, const struct run_store_lost *lost)
{
	struct direct *d = arg;
	if (lost->topic.p == NULL || want(d, lost->topic, lost->partition))
		d->lost++;
}

static void on_read(void *arg, enum err e, const struct target_records *r)
{
	struct direct *d = arg;
	int64_t began = d->read_at;
	struct errmsg why = {""};
	if (e == ERR_KAFKA_OFFSET_OUT_OF_RANGE && r->start > began) {
		/* The oldest records are gone: the rest is what there is. */
		d->read_at = r->start;
		d->lost++;
		ask_end(&d->ask, ERR_OK, NULL);
		return;
	}
	d->read_end = r->end;
	if (e == ERR_OK)
		e = run_store_apply_records(d->store, r->records, &d->read_at, &why);
	if (e == ERR_OK && d->read_at == began && d->read_at < r->end)
		e = errmsg_set(&why, ERR_MALFORMED, "no whole batch at offset %" PRId64, began);
	ask_end(&d->ask, e, &why);
}

enum err direct_load(struct direct *d, const char *topic, int32_t partition, struct errmsg *why)
{
	char name[TOPIC_NAME_MAX + 1];
	const struct run_store_config c = {.budget = TABLE_BYTES,
					   .max_partitions = PARTITIONS_MAX,
					   .want = want,
					   .lost = on_lost,
					   .arg = d};
	d->want_topic = topic;
	d->want_partition = partition;
	d->store = run_store_new(&c);
	enum err e = d->store == NULL ? errmsg_set(why, ERR_NOMEM, "out of memory")
				      : naming_runs_topic(d->link, name);
	if (e != ERR_OK)
		return e;
	if (client_topic(d->target.client, name) == NULL)
		return errmsg_set(why, ERR_NOT_FOUND,
				  "cluster %s has no topic %s, the run tables of link %s: nothing "
				  "was mirrored, or its name is another",
				  d->target.config->name, name, d->link->name);
	d->read_end = INT64_MAX;
	while (d->read_at < d->read_end) {
		struct direct_ask *ask = direct_begin(d);
		e = target_read(d->target.client, name, 0, d->read_at, on_read, d);
		if (e != ERR_OK)
			return errmsg_set(why, e, "out of memory");
		e = direct_wait(d, ask, name, why);
		if (e == ERR_OK)
			continue;
		/* Its leader may just move. */
		if (!ask->done || !err_retriable(e) || e == ERR_NOMEM || !direct_pause(d))
			return e;
		d->read_end = INT64_MAX;
		client_metadata_refresh(d->target.client);
	}
	return ERR_OK;
}

unsigned direct_lost(const struct direct *d)
{
	return d->lost;
}

/* ---- the ends of the logs ---- */

static void on_end(void *arg, enum err e, const struct errmsg *why, const struct rpc_reply *reply)
{
	struct direct *d = arg;
	if (e == ERR_OK) {
		const struct list_offsets_response *r = reply->msg;
		if (r->topics_n != 1 || r->topics[0].partitions_n != 1)
			e = ERR_MALFORMED;
		else
			e = err_from_kafka(r->topics[0].partitions[0].error_code);
		if (e == ERR_OK)
			d->end = r->topics[0].partitions[0].offset;
	}
	ask_end(&d->ask, e, why);
}

/* ERR_NOT_FOUND: there is no such partition. */
static enum err ask_end_of(struct direct *d, const struct direct_side *s, const char *topic,
			   int32_t partition, int64_t *out, struct errmsg *why)
{
	char what[TOPIC_NAME_MAX + 100];
	enum err e;
	snprintf(what, sizeof what, "cluster %s, %s-%d", s->config->name, topic, partition);
	do {
		const struct client_topic *t = client_topic(s->client, topic);
		if (t != NULL && t->error != ERR_OK)
			return errmsg_set(why, t->error, "%s: %s", what, err_text(t->error));
		if (t == NULL || partition >= t->partitions_n)
			return errmsg_set(why, ERR_NOT_FOUND, "%s: there is no such partition",
					  what);
		struct direct_ask *ask = direct_begin(d);
		wire_init(&wire_list_offsets_request, &d->ends_msg);
		d->ends_msg.replica_id = -1;
		d->ends_msg.topics = &d->ends_topic;
		d->ends_msg.topics_n = 1;
		d->ends_topic = (struct list_offsets_request_list_offsets_topic){
			.name = bytes_str(topic), .partitions = &d->ends_part, .partitions_n = 1};
		d->ends_part = (struct list_offsets_request_list_offsets_partition){
			.partition_index = partition,
			.current_leader_epoch = -1,
			.timestamp = LATEST};
		const struct client_call call = {
			.node = t->partitions[partition].leader,
			.channel = CLIENT_CHANNEL_CONTROL,
			.api_key = WIRE_API_LIST_OFFSETS,
			.msg = &d->ends_msg,
			.done = on_end,
			.arg = d,
		};
		if (call.node >= 0) {
			client_call(s->client, &call);
			e = direct_wait(d, ask, what, why);
		} else {
			e = errmsg_set(why, ERR_NO_LEADER, "%s: %s", what, err_text(ERR_NO_LEADER));
		}
		if (e == ERR_OK) {
			*out = d->end;
			return ERR_OK;
		}
		client_metadata_refresh(s->client);
	} while (err_retriable(e) && direct_pause(d));
	return e;
}

/* ---- one partition ---- */

static const struct run_entry *find_entry(const struct direct *d, const char *topic, bool at_target,
					  int32_t partition)
{
	size_t at = 0;
	const struct run_entry *e;
	if (!at_target)
		return run_store_get(d->store, bytes_str(topic), partition);
	while ((e = run_store_next(d->store, &at)) != NULL) {
		char remote[TOPIC_NAME_MAX + 1];
		if (e->info.partition == partition && remote_name(d, e->info.topic, remote) &&
		    strcmp(remote, topic) == 0)
			return e;
	}
	return NULL;
}

/* A doubt that stays. ERR_NOMEM. */
static enum err doubt(struct direct *d, struct direct_partition *p, struct errmsg *why,
		      const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static enum err doubt(struct direct *d, struct direct_partition *p, struct errmsg *why,
		      const char *fmt, ...)
{
	char text[200];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	const char *kept = arena_strndup(&d->arena, bytes_str(text));
	if (kept == NULL)
		return errmsg_set(why, ERR_NOMEM, "out of memory");
	p->doubt = kept;
	return ERR_OK;
}

/* What the source has to say; if it cannot be asked, nothing. */
static enum err look_at_source(struct direct *d, const struct block_info *info,
			       struct direct_partition *p, struct errmsg *why)
{
	if (d->source.problem.text[0] != '\0')
		return ERR_OK;
	const struct client_topic *t = client_topic(d->source.client, p->topic);
	if (t == NULL)
		return doubt(d, p, why, "the source has this topic no more");
	if (!uuid_is_zero(&t->id) && !uuid_is_zero(&info->topic_id) &&
	    !uuid_eq(&t->id, &info->topic_id))
		return doubt(d, p, why,
			     "the source's topic was deleted and made again: the table is about "
			     "the one before");
	if (ask_end_of(d, &d->source, p->topic, p->partition, &p->source_end, why) != ERR_OK) {
		/* As if it was gone. */
		d->source.problem = *why;
		p->source_end = -1;
		return ERR_OK;
	}
	if (p->source_end < runs_src_end(p->runs))
		return doubt(d, p, why,
			     "the source ends at offset %" PRId64 ", copied was up to %" PRId64
			     ": it lost records, or its topic was made again",
			     p->source_end, runs_src_end(p->runs));
	return ERR_OK;
}

static enum err look_at_target(struct direct *d, struct direct_partition *p, struct errmsg *why)
{
	enum err e = ask_end_of(d, &d->target, p->target_topic, p->partition, &p->target_end, why);
	if (e == ERR_NOT_FOUND)
		return doubt(d, p, why, "the target has no such partition any more");
	if (e == ERR_OK && p->target_end < runs_dst_end(p->runs))
		return doubt(d, p, why,
			     "the target ends at offset %" PRId64 ", copied was up to %" PRId64
			     ": it lost records, or its topic was made again",
			     p->target_end, runs_dst_end(p->runs));
	return e;
}

enum err direct_find(struct direct *d, const char *topic, bool at_target, int32_t partition,
		     struct direct_partition *out, struct errmsg *why)
{
	char remote[TOPIC_NAME_MAX + 1];
	const struct run_entry *entry = find_entry(d, topic, at_target, partition);
	if (entry == NULL || !remote_name(d, entry->info.topic, remote))
		return errmsg_set(why, ERR_NOT_FOUND,
				  "link %s has no run table of %s-%d: it is not mirrored",
				  d->link->name, topic, partition);
	*out = (struct direct_partition){
		.topic = arena_strndup(&d->arena, entry->info.topic),
		.target_topic = arena_strndup(&d->arena, bytes_str(remote)),
		.partition = partition,
		.runs = entry->runs,
		.source_end = -1,
		.target_end = -1,
		.doubt = "",
	};
	if (out->topic == NULL || out->target_topic == NULL)
		return errmsg_set(why, ERR_NOMEM, "out of memory");
	enum err e = look_at_target(d, out, why);
	return e != ERR_OK || out->doubt[0] != '\0' ? e : look_at_source(d, &entry->info, out, why);
}

void direct_translate(const struct direct *d, const struct direct_partition *p,
		      enum translate_direction direction, int64_t offset, struct translation *out)
{
	const struct translate_facts facts = {
		.settled = p->target_end == runs_dst_end(p->runs),
		.other_end = direction == TRANSLATE_FORWARD ? p->target_end : p->source_end,
		.doubt = p->doubt,
		.state = "",
	};
	*out = (struct translation){.link = d->link->name,
				    .topic = p->topic,
				    .target_topic = p->target_topic,
				    .partition = p->partition};
	if (d->link->two_way) {
		out->state = "";
		out->direction = direction;
		out->offset = offset;
		translate_fail(out, "both sides write to this topic: a running mirror holds both "
				    "links' run tables against each other");
		return;
	}
	(void)translate_offset(p->runs, direction, offset, &facts, out);
}
