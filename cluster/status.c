/* SPDX-License-Identifier: Apache-2.0 */
/* A page is made when it is asked for, by a walk over what the broker's parts count anyway. */
#include "cluster/status.h"

#include <inttypes.h>
#include <stdio.h>

#include "cluster/api.h"
#include "cluster/fetch_sessions.h"
#include "cluster/group/groups.h"
#include "cluster/groups_json.h"
#include "cluster/session.h"
#include "lib/base/mem.h"
#include "lib/base/metrics.h"
#include "lib/net/http.h"

enum { PAGE_MAX = 64 << 20 };

struct status {
	struct broker *broker;
	const struct sessions *sessions;
	struct http_server *http;
	bool stopping;
};

static void one(struct metrics *m, const char *name, enum metrics_type type, const char *help,
		int64_t value)
{
	metrics_family(m, name, type, help);
	metrics_int(m, NULL, value);
}

static void put_sessions(struct metrics *m, const struct status *s)
{
	struct sessions_count c;
	sessions_count(s->sessions, &c);
	one(m, "farshore_broker_connections", METRICS_GAUGE, "Open connections.", (int64_t)c.open);
	one(m, "farshore_broker_connections_accepted_total", METRICS_COUNTER,
	    "Connections accepted.", (int64_t)c.accepted);
	one(m, "farshore_broker_connections_refused_total", METRICS_COUNTER,
	    "Connections closed at once by a limit.", (int64_t)c.refused);
	metrics_family(m, "farshore_broker_connections_ended_total", METRICS_COUNTER,
		       "Connections that the broker ended, by reason.");
	metrics_int(m, METRICS_LABELS({"reason", "idle"}), (int64_t)c.closed_idle);
	metrics_int(m, METRICS_LABELS({"reason", "slow"}), (int64_t)c.closed_slow);
	metrics_int(m, METRICS_LABELS({"reason", "malformed"}), (int64_t)c.closed_malformed);
	one(m, "farshore_broker_received_bytes_total", METRICS_COUNTER,
	    "Bytes received from clients.", (int64_t)c.bytes_in);
	one(m, "farshore_broker_sent_bytes_total", METRICS_COUNTER, "Bytes sent to clients.",
	    (int64_t)c.bytes_out);
	one(m, "farshore_broker_queued_request_bytes", METRICS_GAUGE,
	    "Bytes of requests in memory.", (int64_t)c.queued_bytes);
	one(m, "farshore_broker_waiting_request_bytes", METRICS_GAUGE,
	    "Bytes of requests that wait, such as fetches.", (int64_t)c.waiting_bytes);
	metrics_family(m, "farshore_broker_requests_total", METRICS_COUNTER,
		       "Requests begun, by API.");
	size_t n;
	const struct api *apis = api_all(&n);
	for (size_t i = 0; i < n; i++)
		metrics_int(m, METRICS_LABELS({"api", wire_api_name(apis[i].key)}),
			    (int64_t)sessions_requests(s->sessions, i));
}

static void put_fetch_sessions(struct metrics *m, const struct status *s)
{
	struct fetch_sessions_count c;
	fetch_sessions_count(broker_fetch_sessions(s->broker), &c);
	one(m, "farshore_broker_fetch_sessions", METRICS_GAUGE, "Fetch sessions.",
	    (int64_t)c.sessions);
	one(m, "farshore_broker_fetch_session_partitions", METRICS_GAUGE,
	    "Partitions of all fetch sessions.", (int64_t)c.partitions);
	one(m, "farshore_broker_fetch_sessions_evicted_total", METRICS_COUNTER,
	    "Fetch sessions that had to make room.", (int64_t)c.evicted);
}

static void put_groups(struct metrics *m, const struct status *s)
{
	struct groups_count c;
	groups_count(broker_groups(s->broker), &c);
	one(m, "farshore_broker_groups", METRICS_GAUGE, "Consumer groups.", (int64_t)c.groups);
	one(m, "farshore_broker_group_members", METRICS_GAUGE, "Members of all groups.",
	    (int64_t)c.members);
	one(m, "farshore_broker_group_offsets", METRICS_GAUGE, "Committed offsets that are kept.",
	    (int64_t)c.offsets);
	one(m, "farshore_broker_group_bytes", METRICS_GAUGE, "Memory of groups and offsets.",
	    (int64_t)c.bytes);
	one(m, "farshore_broker_offset_commits_total", METRICS_COUNTER, "Offset commits.",
	    (int64_t)c.commits);
	one(m, "farshore_broker_offsets_expired_total", METRICS_COUNTER, "Offsets that expired.",
	    (int64_t)c.expired);
}

/* One family over all partitions. */
static void put_family(struct metrics *m, const struct status *s, const char *name,
		       const char *help, int64_t (*value)(const struct plog *l))
{
	size_t n;
	const struct topic *const *topics = metadata_topics(broker_metadata(s->broker), &n);
	metrics_family(m, name, METRICS_GAUGE, help);
	for (size_t i = 0; i < n; i++)
		for (int32_t k = 0; k < topics[i]->partitions_n; k++) {
			char index[16];
			const struct plog *log = topics[i]->partitions[k].log;
			snprintf(index, sizeof index, "%" PRId32, k);
			if (log != NULL)
				metrics_int(m,
					    METRICS_LABELS({"topic", topics[i]->name},
							   {"partition", index}),
					    value(log));
		}
}

static int64_t is_failing(const struct plog *l)
{
	return plog_health(l) != ERR_OK;
}

static void put_logs(struct metrics *m, const struct status *s)
{
	int64_t total, usable;
	put_family(m, s, "farshore_broker_log_start_offset", "First offset of the log.",
		   plog_start);
	put_family(m, s, "farshore_broker_log_high_watermark", "Readers see what is below.",
		   plog_high_watermark);
	put_family(m, s, "farshore_broker_log_end_offset", "The next offset to be written.",
		   plog_end);
	put_family(m, s, "farshore_broker_log_bytes", "Size of the log.", plog_size);
	put_family(m, s, "farshore_broker_log_failing", "1 while the log takes no records.",
		   is_failing);
	store_space(broker_store(s->broker), &total, &usable);
	one(m, "farshore_broker_disk_bytes", METRICS_GAUGE, "Size of the file system.", total);
	one(m, "farshore_broker_disk_usable_bytes", METRICS_GAUGE, "What is left of it.", usable);
}

static void reply_page(struct http_request *req, const char *type, struct buf *page)
{
	if (page->err == ERR_OK)
		http_reply(req, 200, type, buf_bytes(page));
	else
		http_reply_text(req, 500, "the page does not fit into memory\n");
	buf_fini(page);
}

static void on_metrics(void *arg, struct http_request *req)
{
	struct status *s = arg;
	struct buf page;
	struct metrics m;
	if (s->stopping) {
		http_reply_text(req, 503, "stopping\n");
		return;
	}
	buf_init(&page, PAGE_MAX);
	metrics_init(&m, &page);
	put_sessions(&m, s);
	put_fetch_sessions(&m, s);
	put_groups(&m, s);
	put_logs(&m, s);
	reply_page(req, "text/plain; version=0.0.4; charset=utf-8", &page);
}

static void on_groups(void *arg, struct http_request *req)
{
	struct status *s = arg;
	struct buf page;
	if (s->stopping) {
		http_reply_text(req, 503, "stopping\n");
		return;
	}
	buf_init(&page, PAGE_MAX);
	groups_json(broker_groups(s->broker), broker_metadata(s->broker),
		    http_request_query(req, "group"), &page);
	reply_page(req, "application/json", &page);
}

static void on_livez(void *arg, struct http_request *req)
{
	(void)arg;
	http_reply_text(req, 200, "ok\n");
}

/* Logs that take no records, and partitions whose log is not open. */
static size_t unhealthy(const struct status *s)
{
	size_t n, bad = 0;
	const struct topic *const *topics = metadata_topics(broker_metadata(s->broker), &n);
	for (size_t i = 0; i < n; i++)
		for (int32_t k = 0; k < topics[i]->partitions_n; k++) {
			const struct plog *log = topics[i]->partitions[k].log;
			bad += log == NULL || plog_health(log) != ERR_OK;
		}
	return bad;
}

static void on_readyz(void *arg, struct http_request *req)
{
	struct status *s = arg;
	char text[96];
	if (s->stopping) {
		http_reply_text(req, 503, "stopping\n");
		return;
	}
	if (!groups_ready(broker_groups(s->broker))) {
		http_reply_text(req, 503, "committed offsets are being read\n");
		return;
	}
	size_t bad = unhealthy(s);
	snprintf(text, sizeof text,
		 bad == 0 ? "ok\n" : "%zu partitions take no records (disk); see the log\n", bad);
	http_reply_text(req, bad == 0 ? 200 : 503, text);
}

static enum err add_routes(struct status *s)
{
	enum err e = http_server_route(s->http, "/metrics", on_metrics, s);
	if (e == ERR_OK)
		e = http_server_route(s->http, "/v1/groups", on_groups, s);
	if (e == ERR_OK)
		e = http_server_route(s->http, "/livez", on_livez, s);
	if (e == ERR_OK)
		e = http_server_route(s->http, "/readyz", on_readyz, s);
	return e;
}

enum err status_new(struct loop *l, struct broker *b, const struct sessions *all,
		    struct status **out, struct errmsg *why)
{
	const char *listen = broker_config(b)->http_listen;
	struct status *s = mem_zalloc(1, sizeof *s);
	if (s == NULL)
		return errmsg_set(why, ERR_NOMEM, "out of memory");
	s->broker = b;
	s->sessions = all;
	*out = s;
	if (listen == NULL || *listen == '\0')
		return ERR_OK;
	enum err e = http_server_new(l, listen, &s->http, why);
	if (e == ERR_OK && add_routes(s) != ERR_OK)
		e = errmsg_set(why, ERR_NOMEM, "out of memory");
	if (e != ERR_OK) {
		status_free(s);
		*out = NULL;
		return errmsg_wrap(why, e, "http.listen");
	}
	log_event(loop_log(l), LOG_INFO, "http_listening", LOG_S("listen", listen),
		  LOG_I("port", http_server_port(s->http)));
	return ERR_OK;
}

void status_stop(struct status *s)
{
	s->stopping = true;
}

void status_free(struct status *s)
{
	if (s == NULL)
		return;
	http_server_free(s->http);
	mem_free(s);
}
