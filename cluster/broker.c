/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broker's parts, put together and taken apart.
 *
 *      SERVING --> DRAINING --> CLOSING --> CLOSED       broker_stop
 *
 * Draining: no request is begun; fetches that wait are answered at once; what else runs has
 * DRAIN_MS. Closing: the connections are closed, then the coordinator and the metadata, and the
 * store writes what makes the next start quick.
 */
#include "cluster/broker.h"

#include <sys/resource.h>

#include "cluster/deadline.h"
#include "cluster/fetch_sessions.h"
#include "cluster/group/groups.h"
#include "cluster/listeners.h"
#include "cluster/session.h"
#include "cluster/status.h"
#include "lib/base/mem.h"

enum {
	DRAIN_MS = 1000,
	DRAIN_POLL_MS = 5,
	OTHER_FILES = 64, /* descriptors that are neither connections nor logs */
};

struct broker {
	struct loop *loop;
	const struct broker_config *config;
	struct sessions *sessions;
	struct listeners *listeners;
	struct store *store;
	struct metadata *metadata;
	struct groups *groups;
	struct fetch_sessions *fetch_sessions;
	struct deadlines *produce_deadlines, *fetch_deadlines;
	struct status *status;
	/* The end. */
	struct loop_timer *drain;
	int64_t drain_until;
	struct loop_deferred close;
	void (*stopped)(void *arg);
	void *stopped_arg;
};

/* ---- start ---- */

/* As many descriptors as the system gives; what logs and the process itself need is not for
 * connections. */
static int32_t connections_max(const struct broker *b)
{
	struct rlimit lim;
	int32_t max = b->config->connections_max;
	if (getrlimit(RLIMIT_NOFILE, &lim) != 0)
		return max;
	lim.rlim_cur = lim.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &lim);
	if (getrlimit(RLIMIT_NOFILE, &lim) != 0 || lim.rlim_cur > INT32_MAX)
		return max;
	int64_t room = (int64_t)lim.rlim_cur - b->config->open_files_max - OTHER_FILES;
	if (room < OTHER_FILES)
		room = OTHER_FILES;
	return max < room ? max : (int32_t)room;
}

static enum err start_sessions(struct broker *b, struct errmsg *why)
{
	const struct broker_config *c = b->config;
	const struct sessions_options o = {
		.loop = b->loop,
		.broker = b,
		.max = connections_max(b),
		.max_per_ip = c->connections_max_per_ip,
		.idle_ms = c->connections_idle_ms,
		.slow_reader_ms = c->slow_reader_ms,
		.request_max = (size_t)c->request_max,
		.queued_max = (size_t)c->queued_request_max,
	};
	b->produce_deadlines = deadlines_new(b->loop);
	b->fetch_deadlines = deadlines_new(b->loop);
	b->fetch_sessions = fetch_sessions_new(loop_clock(b->loop), c->fetch_sessions_max);
	if (b->produce_deadlines == NULL || b->fetch_deadlines == NULL ||
	    b->fetch_sessions == NULL || sessions_new(&o, &b->sessions) != ERR_OK)
		return errmsg_set(why, ERR_NOMEM, "out of memory");
	return ERR_OK;
}

static enum err start_store(struct broker *b, struct errmsg *why)
{
	const struct broker_config *c = b->config;
	const struct store_options o = {
		.dir = c->data,
		.fsync = c->fsync,
		.fsync_interval_ms = c->fsync_interval_ms,
		.open_files_max = c->open_files_max,
		.retention_check_interval_ms = c->retention_check_interval_ms,
		.cleaner_backoff_ms = c->cleaner_backoff_ms,
		.cleaner_memory = c->cleaner_memory,
		.producer_id_expiration_ms = c->producer_id_expiration_ms,
		.node_id = c->node_id,
	};
	return store_open(b->loop, &o, &b->store, why);
}

static void on_topic_deleted(void *arg, const struct topic *t)
{
	struct broker *b = arg;
	if (b->groups != NULL)
		groups_topic_deleted(b->groups, t);
}

static enum err start_metadata(struct broker *b, struct errmsg *why)
{
	size_t n = listeners_n(b->listeners);
	struct metadata_listener *told = mem_zalloc(n, sizeof *told);
	if (told == NULL)
		return errmsg_set(why, ERR_NOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		const struct endpoint *at = listeners_endpoint(b->listeners, i);
		told[i] = (struct metadata_listener){.name = at->name,
						     .host = at->host,
						     .port = at->port,
						     .tls = at->tls != NULL};
	}
	const struct metadata_options o = {
		.store = b->store,
		.loop = b->loop,
		.node_id = b->config->node_id,
		.rack = b->config->rack,
		.default_partitions = b->config->num_partitions,
		.log_defaults = &b->config->log,
		.listeners = told,
		.listeners_n = n,
		.on_topic_deleted = on_topic_deleted,
		.arg = b,
	};
	enum err e = metadata_open(&o, &b->metadata, why);
	mem_free(told);
	return e;
}

static enum err start_groups(struct broker *b, struct errmsg *why)
{
	const struct broker_config *c = b->config;
	const struct groups_options o = {
		.loop = b->loop,
		.metadata = b->metadata,
		.offsets_partitions = c->offsets_partitions,
		.offsets_retention_ms = c->offsets_retention_ms,
		.offsets_retention_check_interval_ms = c->offsets_retention_check_interval_ms,
		.offset_metadata_max = c->offset_metadata_max,
		.initial_rebalance_delay_ms = c->group_initial_rebalance_delay_ms,
		.min_session_timeout_ms = c->group_min_session_timeout_ms,
		.max_session_timeout_ms = c->group_max_session_timeout_ms,
		.max_size = c->group_max_size,
	};
	return groups_new(&o, &b->groups, why);
}

static void log_ready(const struct broker *b)
{
	size_t topics = 0;
	(void)metadata_topics(b->metadata, &topics);
	for (size_t i = 0; i < listeners_n(b->listeners); i++) {
		const struct endpoint *at = listeners_endpoint(b->listeners, i);
		log_event(loop_log(b->loop), LOG_INFO, "listening", LOG_S("listener", at->name),
			  LOG_I("port", listeners_port(b->listeners, i)),
			  LOG_S("protocol", at->tls != NULL ? "SSL" : "PLAINTEXT"),
			  LOG_S("advertised_host", at->host), LOG_I("advertised_port", at->port));
	}
	log_event(loop_log(b->loop), LOG_INFO, "broker_ready",
		  LOG_S("cluster_id", store_cluster_id(b->store)),
		  LOG_I("node_id", b->config->node_id), LOG_S("data", b->config->data),
		  LOG_I("topics", topics));
}

static void on_drain(void *arg);
static void close_store(void *arg);

static enum err start(struct broker *b, struct errmsg *why)
{
	b->close = (struct loop_deferred){.fn = close_store, .arg = b};
	b->drain = loop_timer_new(b->loop, on_drain, b);
	if (b->drain == NULL)
		return errmsg_set(why, ERR_NOMEM, "out of memory");
	enum err e = start_sessions(b, why);
	if (e == ERR_OK)
		e = start_store(b, why);
	/* Bound before the logs are read, so that an address in use is known at once. */
	if (e == ERR_OK)
		e = listeners_new(b->loop, b->config, b->sessions, &b->listeners, why);
	if (e == ERR_OK)
		e = start_metadata(b, why);
	if (e == ERR_OK)
		e = start_groups(b, why);
	if (e == ERR_OK)
		e = status_new(b->loop, b, b->sessions, &b->status, why);
	return e;
}

enum err broker_new(struct loop *l, const struct broker_config *c, struct broker **out,
		    struct errmsg *why)
{
	struct broker *b = mem_zalloc(1, sizeof *b);
	if (b == NULL)
		return errmsg_set(why, ERR_NOMEM, "out of memory");
	b->loop = l;
	b->config = c;
	enum err e = start(b, why);
	if (e != ERR_OK) {
		broker_free(b);
		return e;
	}
	log_ready(b);
	*out = b;
	return ERR_OK;
}

/* ---- end ---- */

static void on_store_closed(void *arg, enum err e)
{
	struct broker *b = arg;
	if (e != ERR_OK)
		log_event(loop_log(b->loop), LOG_ERROR, "store_not_closed",
			  LOG_S("error", err_name(e)),
			  LOG_S("reason", "the next start checks the logs"));
	b->stopped(b->stopped_arg);
}

static void close_store(void *arg)
{
	struct broker *b = arg;
	groups_free(b->groups);
	b->groups = NULL;
	metadata_free(b->metadata);
	b->metadata = NULL;
	store_close(b->store, on_store_closed, b);
}

static void on_drain(void *arg)
{
	struct broker *b = arg;
	struct sessions_count count;
	sessions_count(b->sessions, &count);
	if (count.open > 0 && loop_now_ms(b->loop) < b->drain_until) {
		loop_timer_set(b->drain, DRAIN_POLL_MS);
		return;
	}
	log_event(loop_log(b->loop), LOG_INFO, "drained", LOG_I("connections_left", count.open));
	sessions_free(b->sessions);
	b->sessions = NULL;
	/* What the connections held is released at the end of this turn. */
	loop_defer(b->loop, &b->close);
}

void broker_stop(struct broker *b, void (*done)(void *arg), void *arg)
{
	b->stopped = done;
	b->stopped_arg = arg;
	b->drain_until = loop_now_ms(b->loop) + DRAIN_MS;
	status_stop(b->status);
	listeners_stop(b->listeners);
	sessions_drain(b->sessions);
	deadlines_expire(b->fetch_deadlines);
	loop_timer_set(b->drain, 0);
}

void broker_free(struct broker *b)
{
	if (b == NULL)
		return;
	status_free(b->status);
	if (b->listeners != NULL)
		listeners_stop(b->listeners);
	if (b->sessions != NULL) {
		sessions_free(b->sessions);
		/* Answers on their way hold files of the store until the end of a turn. */
		if (b->metadata != NULL)
			loop_turn(b->loop, 0);
	}
	loop_undefer(b->loop, &b->close);
	loop_timer_free(b->drain);
	groups_free(b->groups);
	metadata_free(b->metadata);
	store_free(b->store);
	listeners_free(b->listeners);
	fetch_sessions_free(b->fetch_sessions);
	deadlines_free(b->produce_deadlines);
	deadlines_free(b->fetch_deadlines);
	mem_free(b);
}

void broker_serve(struct broker *b, int fd)
{
	sessions_accept(b->sessions, fd, listeners_endpoint(b->listeners, 0));
}

uint16_t broker_port(const struct broker *b, size_t listener)
{
	return listeners_port(b->listeners, listener);
}

/* ---- the parts ---- */

struct loop *broker_loop(struct broker *b)
{
	return b->loop;
}

struct log *broker_log(struct broker *b)
{
	return loop_log(b->loop);
}

const struct broker_config *broker_config(const struct broker *b)
{
	return b->config;
}

struct store *broker_store(struct broker *b)
{
	return b->store;
}

struct metadata *broker_metadata(struct broker *b)
{
	return b->metadata;
}

struct groups *broker_groups(struct broker *b)
{
	return b->groups;
}

struct fetch_sessions *broker_fetch_sessions(struct broker *b)
{
	return b->fetch_sessions;
}

struct deadlines *broker_produce_deadlines(struct broker *b)
{
	return b->produce_deadlines;
}

struct deadlines *broker_fetch_deadlines(struct broker *b)
{
	return b->fetch_deadlines;
}
