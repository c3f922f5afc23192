/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts the links, answers HTTP, watches the memory limit. On SIGTERM: the links stop fetching,
 * answers in flight are awaited, run tables are stored, all within drain_ms. On SIGHUP the
 * configuration is loaded again; the links keep the one that they were made from.
 */
#include "mirror/daemon.h"

#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "lib/net/http.h"
#include "mirror/http/control.h"
#include "mirror/http/gaps_api.h"
#include "mirror/http/groups_api.h"
#include "mirror/http/page.h"
#include "mirror/http/status.h"
#include "mirror/http/translate_api.h"
#include "mirror/link/link.h"
#include "mirror/link/memory.h"

enum {
	/* The program itself: libraries, decoded answers, tables; and what stands beside the bytes
	   of batches: units (a fifth, where batches are of 1 KiB), frames kept for the next one. */
	BASE_BYTES = 34 << 20,
	DEFAULT_BYTES = 64 << 20,
	PER_PARTITION_BYTES = 4 << 10,
	LEAST_BUFFER_BYTES = 8 << 20,
	PAGE_BYTES = 64 << 20,
	TICK_MS = 1000,
	DRAIN_POLL_MS = 5,
	WORKERS_END_MS = 300,
};

struct daemon {
	const struct mirror_config *config;
	const struct config_source *source;
	struct mirror_config reloaded; /* by the last SIGHUP */
	bool has_reloaded;
	size_t changes; /* that a reload found */
	struct loop *loop;
	struct memory *memory;
	struct http_server *http;
	struct link **links;
	size_t links_n;
	struct loop_timer *tick, *drain;
	int64_t drain_until;
	bool stopping;
	struct event *signals[3];
	struct status_source status;
	struct control control;
	struct translate_api translate;
	struct gaps_api gaps;
};

/* ---- HTTP ---- */

static void reply_page(struct http_request *req, const char *type, struct buf *page)
{
	if (page->err == ERR_OK) {
		http_reply_take(req, 200, type, page);
		return;
	}
	http_reply_text(req, 500, "the page does not fit into memory\n");
	buf_fini(page);
}

static void on_metrics(void *arg, struct http_request *req)
{
	struct daemon *d = arg;
	struct buf page;
	buf_init(&page, PAGE_BYTES);
	status_metrics(&d->status, &page);
	reply_page(req, "text/plain; version=0.0.4; charset=utf-8", &page);
}

static void on_links(void *arg, struct http_request *req)
{
	static const char *const names[] = {"link", "topics"};
	struct daemon *d = arg;
	const char *only = http_request_query(req, "link");
	const char *topics = http_request_query(req, "topics");
	bool known = only == NULL;
	for (size_t i = 0; i < d->links_n && !known; i++)
		known = strcmp(link_config(d->links[i])->name, only) == 0;
	struct buf page;
	bool good = http_request_only(req, names, 2) &&
		    (topics == NULL || strcmp(topics, "no") == 0 || strcmp(topics, "yes") == 0);
	if (!good || !known) {
		http_reply_text(req, known ? 400 : 404,
				known ? "Only the parameter link, and topics=no, are known here.\n"
				      : "There is no such link; /v1/links has them all.\n");
		return;
	}
	buf_init(&page, PAGE_BYTES);
	status_links(&d->status, only, topics == NULL || strcmp(topics, "no") != 0, &page);
	reply_page(req, "application/json", &page);
}

static void on_page(void *arg, struct http_request *req)
{
	struct daemon *d = arg;
	struct buf page;
	buf_init(&page, PAGE_BYTES);
	page_html(&d->status, &page);
	reply_page(req, "text/html; charset=utf-8", &page);
}

static void on_css(void *arg, struct http_request *req)
{
	(void)arg;
	http_reply(req, 200, "text/css; charset=utf-8", page_css());
}

static void on_livez(void *arg, struct http_request *req)
{
	(void)arg;
	http_reply_text(req, 200, "ok\n");
}

static void on_readyz(void *arg, struct http_request *req)
{
	struct daemon *d = arg;
	struct buf page;
	bool ready = !d->stopping;
	buf_init(&page, PAGE_BYTES);
	for (size_t i = 0; i < d->links_n; i++) {
		const char *reason;
		int64_t since;
		enum mirror_state s = link_state(d->links[i], &reason, &since);
		bool ok = link_ready(d->links[i]);
		ready = ready && ok;
		buf_printf(&page, "%s %s %s%s%s\n", link_config(d->links[i])->name,
			   ok ? "ready" : "not-ready", mirror_state_name(s),
			   reason[0] != '\0' ? ": " : "", reason);
	}
	http_reply(req, ready ? 200 : 503, "text/plain", buf_bytes(&page));
	buf_fini(&page);
}

static enum err http_start(struct daemon *d, struct errmsg *why)
{
	static const struct {
		const char *path;
		http_handler *fn;
	} routes[] = {{"/", on_page},       {"/style.css", on_css}, {"/metrics", on_metrics},
		      {"/livez", on_livez}, {"/readyz", on_readyz}, {"/v1/links", on_links}};
	if (d->config->http_listen[0] == '\0')
		return ERR_OK;
	enum err e = http_server_new(d->loop, d->config->http_listen, &d->http, why);
	if (e != ERR_OK)
		return errmsg_wrap(why, e, "http.listen");
	for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
		e = http_server_route(d->http, routes[i].path, routes[i].fn, d);
		if (e != ERR_OK)
			return errmsg_set(why, e, "http: out of memory");
	}
	e = control_serve(d->http, &d->control);
	if (e == ERR_OK)
		e = translate_api_serve(d->http, &d->translate);
	if (e == ERR_OK)
		e = groups_api_serve(d->http, &d->status);
	if (e == ERR_OK)
		e = gaps_api_serve(d->http, &d->gaps);
	if (e != ERR_OK)
		return errmsg_set(why, e, "http: out of memory");
	log_event(loop_log(d->loop), LOG_INFO, "http_listening",
		  LOG_S("listen", d->config->http_listen),
		  LOG_I("port", http_server_port(d->http)));
	return ERR_OK;
}

/* ---- memory ---- */

/* What is left for batches in transit when the program itself and the partitions' tables had
 * theirs. */
static void set_memory(struct daemon *d)
{
	size_t partitions = 0;
	for (size_t i = 0; i < d->links_n; i++)
		partitions += link_partitions(d->links[i]);
	size_t own = BASE_BYTES + partitions * PER_PARTITION_BYTES;
	size_t max = d->config->memory_max;
	if (max == 0)
		max = DEFAULT_BYTES + partitions * PER_PARTITION_BYTES;
	memory_set_max(d->memory, max > own + LEAST_BUFFER_BYTES ? max - own : LEAST_BUFFER_BYTES);
}

static void on_tick(void *arg)
{
	struct daemon *d = arg;
	set_memory(d);
	memory_trim(d->memory);
	loop_timer_set(d->tick, TICK_MS);
}

/* ---- reload ---- */

static void on_changed(void *arg, const char *path, bool reloads)
{
	struct daemon *d = arg;
	d->changes++;
	log_event(loop_log(d->loop), reloads ? LOG_INFO : LOG_WARN, "setting_changed",
		  LOG_S("setting", path), LOG_S("in_force", reloads ? "now" : "after a restart"));
}

/* What an operator paused stays so, unless the setting itself changed. */
static void take_over(struct daemon *d, const struct mirror_config *was,
		      const struct mirror_config *is)
{
	enum log_level level;
	if (log_level_parse(is->log_level, &level))
		log_set_level(loop_log(d->loop), level);
	for (size_t i = 0; i < was->links_n; i++) {
		const struct link_config *a = &was->links[i], *b = mirror_config_link(is, a->name);
		struct link *k = NULL;
		for (size_t n = 0; n < d->links_n; n++)
			if (link_config(d->links[n]) == mirror_config_link(d->config, a->name))
				k = d->links[n];
		if (b != NULL && k != NULL && a->paused != b->paused)
			link_hold_by_setting(k, b->paused);
		if (b != NULL && k != NULL && link_set_policies(k, b) != ERR_OK)
			log_event(loop_log(d->loop), LOG_ERROR, "out_of_memory",
				  LOG_S("link", a->name), LOG_S("what", "taking over policies"));
	}
}

static void reload(struct daemon *d)
{
	struct mirror_config fresh;
	struct errmsg why = {""};
	const struct mirror_config *was = d->has_reloaded ? &d->reloaded : d->config;
	enum err e = mirror_config_load(d->source, &fresh, stderr, &why);
	if (e != ERR_OK) {
		log_event(loop_log(d->loop), LOG_ERROR, "reload_failed",
			  LOG_S("error", err_name(e)), LOG_S("reason", why.text));
		return;
	}
	d->changes = 0;
	mirror_config_compare(was, &fresh, on_changed, d);
	take_over(d, was, &fresh);
	log_event(loop_log(d->loop), LOG_INFO, "reloaded", LOG_S("file", d->source->file),
		  LOG_I("changes", d->changes));
	if (d->has_reloaded)
		mirror_config_fini(&d->reloaded);
	d->reloaded = fresh;
	d->has_reloaded = true;
}

/* ---- the end ---- */

static void on_drain(void *arg)
{
	struct daemon *d = arg;
	bool done = true;
	for (size_t i = 0; i < d->links_n; i++)
		done = link_stopped(d->links[i]) && done;
	bool late = loop_now_ms(d->loop) >= d->drain_until;
	if (!done && !late) {
		loop_timer_set(d->drain, DRAIN_POLL_MS);
		return;
	}
	log_event(loop_log(d->loop), done ? LOG_INFO : LOG_WARN, "drained",
		  LOG_S("complete", done ? "yes" : "no"),
		  LOG_S("reason", done ? ""
				       : "answers or stores are still out after the setting drain; "
					 "the next start "
					 "finds the exact position by itself"));
	loop_break(d->loop);
}

static void on_signal(evutil_socket_t sig, short what, void *arg)
{
	struct daemon *d = arg;
	(void)what;
	if (d->stopping)
		return;
	if (sig == SIGHUP) {
		reload(d);
		return;
	}
	d->stopping = true;
	log_event(loop_log(d->loop), LOG_INFO, "stopping",
		  LOG_S("signal", sig == SIGTERM ? "SIGTERM" : "SIGINT"));
	for (size_t i = 0; i < d->links_n; i++)
		link_stop(d->links[i]);
	d->drain_until = loop_now_ms(d->loop) + d->config->drain_ms;
	loop_timer_set(d->drain, 0);
}

static void on_late_signal(int sig)
{
	(void)sig;
}

static const int signal_list[] = {SIGTERM, SIGINT, SIGHUP};

static void signal_set(sigset_t *set)
{
	sigemptyset(set);
	for (size_t i = 0; i < 3; i++)
		sigaddset(set, signal_list[i]);
}

void daemon_signals_block(void)
{
	sigset_t set;
	signal_set(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

/* Blocked signals that came meanwhile are delivered by the last step. */
static enum err signals_start(struct daemon *d, struct errmsg *why)
{
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < 3; i++) {
		/* What is restored at the end: a second signal must not kill an orderly end. (To
		 * ignore a signal would also drop one that is pending.) */
		signal(signal_list[i], on_late_signal);
		d->signals[i] = evsignal_new(loop_base(d->loop), signal_list[i], on_signal, d);
		if (d->signals[i] == NULL || evsignal_add(d->signals[i], NULL) != 0)
			return errmsg_set(why, ERR_NOMEM, "signals: out of memory");
	}
	sigset_t set;
	signal_set(&set);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	return ERR_OK;
}

/* ---- start ---- */

static enum err links_start(struct daemon *d, struct errmsg *why)
{
	d->links = mem_zalloc(d->config->links_n, sizeof *d->links);
	if (d->links == NULL)
		return errmsg_set(why, ERR_NOMEM, "out of memory");
	d->status = (struct status_source){
		.links = d->links,
		.memory = d->memory,
		.clock = loop_clock(d->loop),
		.started_ms = clock_wall_ms(loop_clock(d->loop)),
		.mm2 = d->config->metrics_mm2,
	};
	d->control = (struct control){.links = d->links, .stopping = &d->stopping};
	d->translate = (struct translate_api){.links = d->links};
	d->gaps = (struct gaps_api){.links = d->links};
	for (; d->links_n < d->config->links_n; d->links_n++) {
		enum err e = link_new(d->loop, &d->config->links[d->links_n], d->memory,
				      &d->links[d->links_n], why);
		if (e != ERR_OK)
			return e;
		d->status.links_n = d->links_n + 1;
		d->control.links_n = d->translate.links_n = d->gaps.links_n = d->links_n + 1;
	}
	return ERR_OK;
}

/* Jobs hold frames, and their completions belong to this loop. A name look-up cannot be
 * interrupted and may take long: then the process ends without tidying up, all that matters is
 * stored. */
static void wait_for_workers(struct daemon *d)
{
	int64_t until = loop_now_ms(d->loop) + WORKERS_END_MS;
	while (worker_pool_pending(loop_pool(d->loop)) > 0) {
		if (loop_now_ms(d->loop) >= until && d->stopping) {
			log_event(loop_log(d->loop), LOG_INFO, "stopped", LOG_I("code", 0),
				  LOG_S("reason", "a host name look-up is still out"));
			_exit(EXIT_SUCCESS);
		}
		loop_turn(d->loop, DRAIN_POLL_MS);
	}
}

static void daemon_fini(struct daemon *d)
{
	http_server_free(d->http);
	for (size_t i = 0; i < d->links_n; i++)
		link_free(d->links[i]);
	wait_for_workers(d);
	mem_free(d->links);
	for (size_t i = 0; i < 3; i++)
		if (d->signals[i] != NULL)
			event_free(d->signals[i]);
	loop_timer_free(d->tick);
	loop_timer_free(d->drain);
	memory_free(d->memory);
	loop_free(d->loop);
	if (d->has_reloaded)
		mirror_config_fini(&d->reloaded);
}

enum err daemon_run(const struct mirror_config *config, const struct config_source *source,
		    struct log *log, struct errmsg *why)
{
	struct daemon d = {.config = config, .source = source};
	enum err e = loop_new(config->workers, clock_system(), log, &d.loop, why);
	if (e != ERR_OK)
		return e;
	d.memory = memory_new(d.loop, DEFAULT_BYTES - BASE_BYTES);
	d.tick = loop_timer_new(d.loop, on_tick, &d);
	d.drain = loop_timer_new(d.loop, on_drain, &d);
	if (d.memory == NULL || d.tick == NULL || d.drain == NULL)
		e = errmsg_set(why, ERR_NOMEM, "out of memory");
	if (e == ERR_OK) {
		set_memory(&d);
		e = signals_start(&d, why);
	}
	if (e == ERR_OK)
		e = http_start(&d, why);
	if (e == ERR_OK)
		e = links_start(&d, why);
	if (e == ERR_OK) {
		loop_timer_set(d.tick, TICK_MS);
		loop_run(d.loop);
	}
	daemon_fini(&d);
	return e;
}
