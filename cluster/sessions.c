/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All connections: how many, from where, and the sweep that ends those that stand still.
 *
 * Memory of requests is what was received of them; what a frame's length says costs nothing until
 * it comes (its pages are not touched before). Over the high mark no connection begins to read a
 * frame, and those in the middle of one finish it; but who then hardly gets on is disconnected, so
 * that a few who send half a frame and fall silent do not keep all others waiting. At half of the
 * high mark all read again. At twice the high mark the largest half frame goes. Requests that wait
 * for something to happen (a fetch for records, a member for its group) count apart; when they take
 * too much the largest goes.
 */
#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cluster/api.h"
#include "cluster/session.h"
#include "cluster/session_impl.h"
#include "lib/base/map.h"
#include "lib/base/mem.h"
#include "lib/net/sock.h"

/* No bound: see above. */
#define POOL_MAX (SIZE_MAX / 2)

enum {
	SWEEP_MS = 1000,
	LATE_MS = 1000, /* a sweep that comes later than this tells of a pause */
	POOL_KEEP = 8 << 20,
	HARD_SHARE = 2,            /* so many times queued_max ends the largest that arrives */
	PARKED_SHARE = 4,          /* requests that wait may take so many times queued_max */
	FRAME_STEP_MS = 30 * 1000, /* a frame that arrives must be complete, ... */
	FRAME_STEP = 256 << 10,    /* ... or got on by so many bytes, in this time */
	TAKEN_STEP = 64 << 10,     /* and answers be taken in such steps, in slow_reader_ms */
	STILL_STEP = 16 << 10,     /* while memory is short: so many bytes in a sweep, ... */
	STILL_MAX = 2,             /* ... or out after so many */
};

struct ip_count {
	int32_t n;
};

/* ---- addresses ---- */

static void peer_host(int fd, char out[SESSION_HOST_MAX])
{
	union {
		struct sockaddr any;
		struct sockaddr_in6 v6;
		struct sockaddr_storage all;
	} sa;
	socklen_t n = sizeof sa;
	snprintf(out, SESSION_HOST_MAX, "?");
	if (getpeername(fd, &sa.any, &n) == 0)
		sock_format_addr(&sa.any, false, out, SESSION_HOST_MAX);
}

/* Count the address; false when it has too many, or out of memory. */
static bool ip_enter(struct sessions *all, const char *host)
{
	struct ip_count *c = map_get(all->by_ip, bytes_str(host));
	if (c != NULL) {
		if (c->n >= all->options.max_per_ip)
			return false;
		c->n++;
		return true;
	}
	c = mem_zalloc(1, sizeof *c);
	if (c == NULL)
		return false;
	if (map_put(all->by_ip, bytes_str(host), c) != ERR_OK) {
		mem_free(c);
		return false;
	}
	c->n = 1;
	return true;
}

static void ip_leave(struct sessions *all, const char *host)
{
	struct ip_count *c = map_get(all->by_ip, bytes_str(host));
	assert(c != NULL && c->n > 0);
	if (--c->n == 0)
		mem_free(map_take(all->by_ip, bytes_str(host)));
}

static void refuse(struct sessions *all, int fd, const char *host, const char *limit)
{
	all->count.refused++;
	log_event(loop_log(all->options.loop), LOG_WARN, "connection_refused",
		  LOG_S("client", host), LOG_S("limit", limit));
	close(fd);
}

void sessions_accept(struct sessions *all, int fd, const struct endpoint *at)
{
	char host[SESSION_HOST_MAX];
	peer_host(fd, host);
	if (all->draining) {
		close(fd);
		return;
	}
	if (all->count.open >= (size_t)all->options.max) {
		refuse(all, fd, host, "max.connections");
		return;
	}
	if (!ip_enter(all, host)) {
		refuse(all, fd, host, "max.connections.per.ip");
		return;
	}
	struct session *s = session_new(all, fd, at, host);
	if (s == NULL) {
		ip_leave(all, host);
		log_event(loop_log(all->options.loop), LOG_WARN, "connection_failed",
			  LOG_S("client", host), LOG_S("reason", "out of memory"));
		return;
	}
	all->count.accepted++;
	all->count.open++;
	s->next = all->head;
	if (s->next != NULL)
		s->next->prev = s;
	all->head = s;
}

void sessions_remove(struct sessions *all, struct session *s)
{
	if (s->prev != NULL)
		s->prev->next = s->next;
	else
		all->head = s->next;
	if (s->next != NULL)
		s->next->prev = s->prev;
	all->count.open--;
	ip_leave(all, s->host);
	sessions_check_memory(all);
}

/* ---- memory ---- */

void sessions_check_memory(struct sessions *all)
{
	size_t used = all->queued + all->arriving, high = all->options.queued_max;
	bool was = all->throttled;
	if (used >= high)
		all->throttled = true;
	else if (used < high / 2)
		all->throttled = false;
	if (was == all->throttled)
		return;
	log_event(loop_log(all->options.loop), LOG_INFO,
		  all->throttled ? "requests_held_back" : "requests_go_on", LOG_I("bytes", used),
		  LOG_I("queued_max", high));
	for (struct session *s = all->head; s != NULL; s = s->next)
		session_wake(s);
}

/* The largest part goes when together they pass the hard mark. */
static void check_arriving(struct sessions *all)
{
	struct session *largest = NULL;
	if ((all->queued + all->arriving) / HARD_SHARE <= all->options.queued_max)
		return;
	for (struct session *s = all->head; s != NULL; s = s->next)
		if (!s->closing && (largest == NULL || s->arriving > largest->arriving))
			largest = s;
	if (largest == NULL || largest->arriving == 0)
		return;
	all->arriving -= largest->arriving;
	largest->arriving = 0;
	session_end(largest, LOG_WARN, "session_hung_up",
		    "requests that arrive are too large together, and this is the largest");
}

void sessions_arrived(struct sessions *all, struct session *s, size_t bytes)
{
	all->arriving += bytes - s->arriving;
	s->arriving = bytes;
	sessions_check_memory(all);
	check_arriving(all);
}

void sessions_check_parked(struct sessions *all)
{
	struct session *largest = NULL;
	if (all->parked / PARKED_SHARE <= all->options.queued_max)
		return;
	for (struct session *s = all->head; s != NULL; s = s->next)
		if (!s->closing && (largest == NULL || s->parked > largest->parked))
			largest = s;
	if (largest != NULL && largest->parked > 0)
		session_end(largest, LOG_WARN, "session_hung_up",
			    "requests that wait are too large, and this is the largest");
}

/* ---- what stands still ---- */

/* True if a client has not taken its answers. */
static bool is_slow_reader(struct session *s, int64_t now)
{
	uint64_t out = conn_bytes_out(s->conn);
	if (conn_unsent(s->conn) == 0 || out - s->taken_out >= TAKEN_STEP) {
		s->taken_ms = now;
		s->taken_out = out;
	}
	return now - s->taken_ms >= s->all->options.slow_reader_ms;
}

/* True if a frame has begun and does not get on. */
static bool is_slow_writer(struct session *s, int64_t now)
{
	uint64_t in = conn_bytes_in(s->conn);
	if (s->paused || !conn_mid_frame(s->conn) || in - s->begun_in >= FRAME_STEP ||
	    s->active_ms > s->begun_ms) {
		s->begun_ms = now;
		s->begun_in = in;
	}
	return now - s->begun_ms >= FRAME_STEP_MS;
}

/* True if its half frame is in the way while memory is short. */
static bool is_in_the_way(struct session *s)
{
	uint64_t in = conn_bytes_in(s->conn);
	bool still = conn_mid_frame(s->conn) && !s->paused && in - s->swept_in < STILL_STEP;
	s->still = still ? s->still + 1 : 0;
	s->swept_in = in;
	return s->all->throttled && s->still >= STILL_MAX;
}

static bool is_idle(const struct session *s, int64_t now)
{
	return s->head == NULL && s->waiting == NULL && conn_unsent(s->conn) == 0 &&
	       now - s->active_ms >= s->all->options.idle_ms;
}

static void look_at(struct session *s, int64_t now)
{
	struct sessions_count *count = &s->all->count;
	if (is_in_the_way(s)) {
		count->closed_slow++;
		session_end(s, LOG_WARN, "session_slow",
			    "a request does not get on while memory for requests is short");
	} else if (is_slow_reader(s, now)) {
		count->closed_slow++;
		session_end(s, LOG_WARN, "session_slow", "the client does not take its answers");
	} else if (is_slow_writer(s, now)) {
		count->closed_slow++;
		session_end(s, LOG_WARN, "session_slow", "a request does not arrive completely");
	} else if (is_idle(s, now)) {
		count->closed_idle++;
		session_end(s, LOG_DEBUG, "session_closed", "idle");
	}
}

/* The process itself stood still: nobody is to blame for that time. */
static void forgive(struct session *s, int64_t now)
{
	s->active_ms = s->taken_ms = s->begun_ms = now;
	s->still = 0;
}

static int64_t sweep_ms(const struct sessions *all)
{
	int64_t ms = SWEEP_MS;
	if (all->options.idle_ms / 4 < ms)
		ms = all->options.idle_ms / 4;
	if (all->options.slow_reader_ms / 4 < ms)
		ms = all->options.slow_reader_ms / 4;
	return ms < 10 ? 10 : ms;
}

static void on_sweep(void *arg)
{
	struct sessions *all = arg;
	int64_t now = loop_now_ms(all->options.loop);
	bool late = now - all->swept_ms > sweep_ms(all) + LATE_MS;
	all->swept_ms = now;
	for (struct session *s = all->head; s != NULL; s = s->next) {
		if (late)
			forgive(s, now);
		if (!s->closing)
			look_at(s, now);
	}
	sessions_check_memory(all);
	if (frame_pool_used(all->pool) == 0)
		frame_pool_trim(all->pool);
	loop_timer_set(all->sweep, sweep_ms(all));
}

/* ---- the whole ---- */

enum err sessions_new(const struct sessions_options *o, struct sessions **out)
{
	struct sessions *all = mem_zalloc(1, sizeof *all);
	if (all == NULL)
		return ERR_NOMEM;
	size_t apis_n;
	all->options = *o;
	all->swept_ms = loop_now_ms(o->loop);
	all->apis = api_all(&apis_n);
	assert(apis_n <= SESSION_APIS_MAX);
	all->pool = frame_pool_new(POOL_MAX, POOL_KEEP);
	all->by_ip = map_new();
	all->sweep = loop_timer_new(o->loop, on_sweep, all);
	if (all->pool == NULL || all->by_ip == NULL || all->sweep == NULL) {
		sessions_free(all);
		return ERR_NOMEM;
	}
	loop_timer_set(all->sweep, sweep_ms(all));
	*out = all;
	return ERR_OK;
}

void sessions_free(struct sessions *all)
{
	if (all == NULL)
		return;
	while (all->head != NULL)
		session_close(all->head);
	loop_timer_free(all->sweep);
	map_free(all->by_ip);
	frame_pool_free(all->pool);
	mem_free(all);
}

void sessions_drain(struct sessions *all)
{
	all->draining = true;
	for (struct session *s = all->head; s != NULL; s = s->next)
		session_wake(s);
}

uint64_t sessions_requests(const struct sessions *all, size_t api)
{
	return all->requests[api];
}

void sessions_count(const struct sessions *all, struct sessions_count *out)
{
	*out = all->count;
	out->queued_bytes = all->queued + all->arriving;
	out->waiting_bytes = all->parked;
	for (const struct session *s = all->head; s != NULL; s = s->next) {
		out->bytes_in += conn_bytes_in(s->conn);
		out->bytes_out += conn_bytes_out(s->conn);
	}
}
