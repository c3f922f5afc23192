/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client: routes calls to connections and keeps the metadata cache.
 *
 * Invariants: completions and the watcher are the last thing that a function does, because they may
 * free the client; client_free closes everything at once and frees the memory from the loop, so
 * that callers on the stack still find it. Old metadata stay until the turn ends, because users may
 * hold topics of them.
 */
#include "lib/client/client.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "lib/base/mem.h"
#include "lib/client/metadata.h"
#include "lib/client/refresher.h"

/* Calls whose completion must be told although there was no memory for them. A turn of the loop
 * makes far fewer. */
enum { STARVED_MAX = 1024 };

struct starved {
	rpc_done *done;
	void *arg;
};

struct client {
	struct loop *loop;
	char *name;
	char *client_id;
	char *sasl[3]; /* mechanism, user name, password */
	struct channel_config channels;
	int64_t request_timeout_ms;
	size_t metadata_max;
	struct brokers *brokers;
	struct refresher *refresher;
	struct call_queue waiting; /* for any broker, or for the first metadata */
	struct metadata *metadata; /* NULL before the first answer */
	uint64_t version;
	char cluster_id[METADATA_CLUSTER_ID_MAX + 1]; /* of the first answer that had one */
	size_t skipped;                               /* topics and brokers left out last time */
	void (*watcher)(void *arg);
	void *watcher_arg;
	struct starved starved[STARVED_MAX];
	size_t starved_n;
	struct loop_deferred tell_starved;
	struct loop_deferred sweep;
	struct loop_deferred destroy;
};

/* ---- metadata ---- */

static void client_on_sweep(void *arg)
{
	struct client *c = arg;
	metadata_drop(c->metadata);
}

static void client_swap(struct client *c, struct metadata *m)
{
	metadata_keep(m, c->metadata);
	c->metadata = m;
	if (!c->sweep.pending)
		loop_defer(c->loop, &c->sweep);
}

static enum err client_check_cluster(struct client *c, const struct metadata *m, struct errmsg *why)
{
	const char *id = metadata_cluster_id(m);
	if (id == NULL)
		return ERR_OK;
	if (c->cluster_id[0] == '\0')
		snprintf(c->cluster_id, sizeof c->cluster_id, "%s", id);
	if (strcmp(c->cluster_id, id) == 0)
		return ERR_OK;
	return errmsg_set(
		why, ERR_KAFKA_INCONSISTENT_CLUSTER_ID,
		"this is cluster %s, but before it was cluster %s; if that is meant, restart", id,
		c->cluster_id);
}

static void client_log_skipped(struct client *c, const struct metadata *m)
{
	size_t topics = metadata_skipped_topics(m), brokers = metadata_skipped_brokers(m);
	if (topics + brokers != c->skipped && topics + brokers > 0)
		log_event(loop_log(c->loop), LOG_WARN, "metadata_entries_skipped",
			  LOG_S("cluster", c->name), LOG_I("topics", topics),
			  LOG_I("brokers", brokers),
			  LOG_S("reason", "bad name, address or duplicate"));
	c->skipped = topics + brokers;
}

static void client_send_waiting(struct client *c);

static enum err client_apply(void *arg, const struct metadata_response *r, struct errmsg *why)
{
	struct client *c = arg;
	enum err e = err_from_kafka(r->error_code);
	if (e == ERR_KAFKA_REBOOTSTRAP_REQUIRED) {
		log_event(loop_log(c->loop), LOG_INFO, "rebootstrap", LOG_S("cluster", c->name));
		brokers_rebootstrap(c->brokers);
	}
	if (e != ERR_OK)
		return errmsg_set(why, e, "metadata: %s", err_text(e));
	struct metadata *m;
	e = metadata_new(r, c->metadata, c->metadata_max, &m, why);
	if (e != ERR_OK)
		return e;
	e = client_check_cluster(c, m, why);
	if (e != ERR_OK) {
		metadata_free(m);
		return e;
	}
	client_log_skipped(c, m);
	client_swap(c, m);
	c->version++;
	const struct endpoint *list;
	size_t n = metadata_brokers(m, &list);
	if (brokers_apply(c->brokers, list, n) != ERR_OK)
		refresher_ask(c->refresher);
	client_send_waiting(c);
	if (c->watcher != NULL)
		c->watcher(c->watcher_arg);
	return ERR_OK;
}

/* ---- calls ---- */

static void client_on_starved(void *arg)
{
	struct client *c = arg;
	struct errmsg why;
	errmsg_set(&why, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	/* Those that are added meanwhile wait for the next turn. */
	for (size_t n = c->starved_n; n > 0; n--) {
		struct starved s = c->starved[0];
		c->starved_n--;
		memmove(c->starved, c->starved + 1, c->starved_n * sizeof s);
		s.done(s.arg, ERR_NOMEM, &why, NULL);
	}
}

static void client_starve(struct client *c, const struct client_call *spec)
{
	assert(c->starved_n < STARVED_MAX);
	c->starved[c->starved_n++] = (struct starved){spec->done, spec->arg};
	if (!c->tell_starved.pending)
		loop_defer(c->loop, &c->tell_starved);
}

static void client_send_to(struct broker *b, struct call *call)
{
	struct channel *ch = broker_channel(b, call->spec.channel);
	if (ch == NULL)
		call_fail(call, ERR_NOMEM, NULL);
	else
		channel_call(ch, call);
}

/* Send if there is a connection to send on; false: it must wait. */
static bool client_try_any(struct client *c, struct call *call)
{
	if (call->spec.node == CLIENT_CONTROLLER) {
		if (c->metadata == NULL)
			return false;
		struct broker *b = brokers_find(c->brokers, metadata_controller(c->metadata));
		if (b != NULL) {
			client_send_to(b, call);
			return true;
		}
	}
	struct channel *ch = brokers_any(c->brokers);
	if (ch == NULL)
		return false;
	channel_call(ch, call);
	return true;
}

static void client_send_waiting(struct client *c)
{
	for (size_t n = c->waiting.list.n; n > 0; n--) {
		struct call *call = call_queue_take(&c->waiting);
		if (!client_try_any(c, call))
			call_queue_add(&c->waiting, call);
	}
}

static void client_send_to_node(struct client *c, struct call *call)
{
	struct broker *b = brokers_find(c->brokers, call->spec.node);
	if (b != NULL) {
		client_send_to(b, call);
		return;
	}
	struct errmsg why;
	errmsg_set(&why, ERR_CONNECT, "broker %" PRId32 " is not in the metadata of cluster %s",
		   call->spec.node, c->name);
	call_fail(call, ERR_CONNECT, &why);
	refresher_ask(c->refresher);
}

void client_call(struct client *c, const struct client_call *call)
{
	struct client_call spec = *call;
	if (spec.timeout_ms == 0)
		spec.timeout_ms = c->request_timeout_ms;
	struct call *copy = call_new(c->loop, &spec);
	if (copy == NULL)
		client_starve(c, &spec);
	else if (spec.node >= 0)
		client_send_to_node(c, copy);
	else if (!client_try_any(c, copy))
		call_queue_add(&c->waiting, copy);
}

/* ---- events of the brokers ---- */

static void client_on_ready(void *arg)
{
	struct client *c = arg;
	refresher_kick(c->refresher);
	client_send_waiting(c);
}

static void client_on_unreachable(void *arg, enum err e, const struct errmsg *why)
{
	struct client *c = arg;
	call_queue_fail(&c->waiting, e, why);
}

static void client_on_trouble(void *arg)
{
	struct client *c = arg;
	refresher_ask(c->refresher);
}

/* ---- life ---- */

static bool copy_string(char **copy, const char **s)
{
	if (*s == NULL)
		return true;
	*copy = mem_strdup(*s);
	*s = *copy;
	return *copy != NULL;
}

static enum err client_copy_options(struct client *c, const struct client_options *o)
{
	c->channels = (struct channel_config){.cluster = o->name,
					      .rpc = o->rpc,
					      .backoff_min_ms = o->backoff_min_ms,
					      .backoff_max_ms = o->backoff_max_ms};
	struct rpc_options *rpc = &c->channels.rpc;
	/* The name to verify is each broker's own. */
	rpc->conn.tls_host = NULL;
	if (rpc->decode_max == 0)
		rpc->decode_max = o->metadata_max;
	c->request_timeout_ms = o->request_timeout_ms;
	c->metadata_max = o->metadata_max;
	bool ok = copy_string(&c->name, &c->channels.cluster) &&
		  copy_string(&c->client_id, &rpc->client_id) &&
		  copy_string(&c->sasl[0], &rpc->sasl.mechanism) &&
		  copy_string(&c->sasl[1], &rpc->sasl.username) &&
		  copy_string(&c->sasl[2], &rpc->sasl.password);
	return ok ? ERR_OK : ERR_NOMEM;
}

static enum err client_start(struct client *c, const struct client_options *o, struct errmsg *why)
{
	static const struct brokers_events events = {client_on_ready, client_on_unreachable,
						     client_on_trouble};
	enum err e = brokers_new(c->loop, &c->channels, o, &events, c, &c->brokers, why);
	if (e != ERR_OK)
		return e;
	struct refresher_options ro = {.brokers = c->brokers,
				       .cluster = c->name,
				       .timeout_ms = o->request_timeout_ms,
				       .max_age_ms = o->metadata_max_age_ms,
				       .backoff_min_ms = o->backoff_min_ms,
				       .backoff_max_ms = o->backoff_max_ms};
	c->refresher = refresher_new(c->loop, &ro, client_apply, c);
	if (c->refresher == NULL)
		goto err_after_brokers;
	if (call_queue_init(&c->waiting, c->loop, brokers_reason(c->brokers)) != ERR_OK)
		goto err_after_refresher;
	return ERR_OK;

err_after_refresher:
	refresher_close(c->refresher);
	refresher_free(c->refresher);
err_after_brokers:
	brokers_close(c->brokers);
	brokers_free(c->brokers);
	return errmsg_set(why, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
}

static void client_free_strings(struct client *c)
{
	if (c->sasl[2] != NULL)
		explicit_bzero(c->sasl[2], strlen(c->sasl[2]));
	for (size_t i = 0; i < 3; i++)
		mem_free(c->sasl[i]);
	mem_free(c->client_id);
	mem_free(c->name);
}

static void client_on_destroy(void *arg)
{
	struct client *c = arg;
	metadata_free(c->metadata);
	refresher_free(c->refresher);
	brokers_free(c->brokers);
	client_free_strings(c);
	mem_free(c);
}

enum err client_new(struct loop *l, const struct client_options *o, struct client **out,
		    struct errmsg *why)
{
	assert(o->name != NULL);
	struct client *c = mem_zalloc(1, sizeof *c);
	if (c == NULL)
		return errmsg_set(why, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	c->loop = l;
	c->tell_starved = (struct loop_deferred){.fn = client_on_starved, .arg = c};
	c->sweep = (struct loop_deferred){.fn = client_on_sweep, .arg = c};
	c->destroy = (struct loop_deferred){.fn = client_on_destroy, .arg = c};
	enum err e = client_copy_options(c, o);
	if (e != ERR_OK)
		errmsg_set(why, e, "%s", err_text(e));
	else
		e = client_start(c, o, why);
	if (e != ERR_OK)
		goto err_after_alloc;
	*out = c;
	return ERR_OK;

err_after_alloc:
	client_free_strings(c);
	mem_free(c);
	return errmsg_wrap(why, e, "cluster %s", o->name);
}

void client_free(struct client *c)
{
	if (c == NULL)
		return;
	c->watcher = NULL;
	refresher_close(c->refresher);
	call_queue_fail(&c->waiting, ERR_CANCELED, NULL);
	call_queue_fini(&c->waiting);
	brokers_close(c->brokers);
	loop_undefer(c->loop, &c->sweep);
	/* After the completions that are deferred already. */
	loop_defer(c->loop, &c->destroy);
}

const char *client_name(const struct client *c)
{
	return c->name;
}

struct loop *client_loop(const struct client *c)
{
	return c->loop;
}

int64_t client_request_timeout_ms(const struct client *c)
{
	return c->request_timeout_ms;
}

int64_t client_backoff_ms(const struct client *c, unsigned attempt)
{
	return clock_backoff_ms(loop_clock(c->loop), attempt, c->channels.backoff_min_ms,
				c->channels.backoff_max_ms);
}

/* ---- questions about connections ---- */

static int16_t broker_version(const struct broker *b, int16_t api_key)
{
	for (unsigned i = 0; i < CLIENT_CHANNELS_MAX; i++) {
		const struct channel *ch = broker_peek(b, (uint8_t)i);
		if (ch != NULL && channel_ready(ch))
			return channel_version(ch, api_key);
	}
	return -1;
}

int16_t client_version(const struct client *c, int32_t node, int16_t api_key)
{
	const struct broker *b = NULL;
	if (node == CLIENT_CONTROLLER && c->metadata != NULL)
		b = brokers_find(c->brokers, metadata_controller(c->metadata));
	else if (node >= 0)
		b = brokers_find(c->brokers, node);
	if (b != NULL)
		return broker_version(b, api_key);
	const struct channel *ch = node < 0 ? brokers_any_peek(c->brokers) : NULL;
	return ch == NULL ? -1 : channel_version(ch, api_key);
}

bool client_connected(const struct client *c, int32_t node, uint8_t channel)
{
	const struct broker *b = brokers_find(c->brokers, node);
	const struct channel *ch = b == NULL ? NULL : broker_peek(b, channel);
	return ch != NULL && channel_ready(ch);
}

void client_open(struct client *c, int32_t node, uint8_t channel)
{
	struct broker *b = brokers_find(c->brokers, node);
	struct channel *ch = b == NULL ? NULL : broker_channel(b, channel);
	if (ch != NULL)
		channel_open(ch);
}

size_t client_ready(const struct client *c, struct errmsg *why)
{
	return brokers_ready(c->brokers, why);
}

int64_t client_down_since(const struct client *c)
{
	return brokers_down_since(c->brokers);
}

/* ---- questions about metadata ---- */

void client_metadata_refresh(struct client *c)
{
	refresher_ask(c->refresher);
}

void client_follow_all(struct client *c)
{
	refresher_follow_all(c->refresher);
}

enum err client_follow_topic(struct client *c, const char *topic)
{
	return refresher_follow(c->refresher, topic);
}

void client_unfollow_topic(struct client *c, const char *topic)
{
	refresher_unfollow(c->refresher, topic);
}

void client_on_metadata(struct client *c, void (*fn)(void *arg), void *arg)
{
	c->watcher = fn;
	c->watcher_arg = arg;
}

size_t client_brokers(const struct client *c, int32_t *ids, size_t max)
{
	const struct endpoint *list;
	size_t n = c->metadata == NULL ? 0 : metadata_brokers(c->metadata, &list);
	for (size_t i = 0; i < n && i < max; i++)
		ids[i] = list[i].id;
	return n;
}

uint64_t client_metadata_version(const struct client *c)
{
	return c->version;
}

const struct client_topic *client_topic(const struct client *c, const char *name)
{
	return c->metadata == NULL ? NULL : metadata_topic(c->metadata, name);
}

const struct client_topic *client_topic_by_id(const struct client *c, const struct uuid *id)
{
	return c->metadata == NULL ? NULL : metadata_topic_by_id(c->metadata, id);
}

size_t client_topics(const struct client *c, const struct client_topic *const **out)
{
	*out = NULL;
	return c->metadata == NULL ? 0 : metadata_topics(c->metadata, out);
}

void client_leader_hint(struct client *c, const char *topic, int32_t partition, int32_t leader,
			int32_t epoch, const char *host, uint16_t port)
{
	if (c->metadata == NULL || leader < 0)
		return;
	struct endpoint at = {.id = leader, .host = bytes_str(host), .port = port};
	if (port > 0 && broker_host_valid(at.host) && brokers_hint(c->brokers, &at) != ERR_OK)
		return;
	if (brokers_find(c->brokers, leader) != NULL)
		metadata_set_leader(c->metadata, topic, partition, leader, epoch);
}
