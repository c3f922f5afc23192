/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection of a client.
 *
 *      frame --> begin --> handler ... answered --> its turn --> conn_send --> sent
 *         \--> waiting (one, reading paused)
 *
 * Invariants:
 * - `head` lists the requests that were begun and are not yet handed to the connection, in order.
 *   Only answered requests at the front leave it, so answers leave in the order of the requests.
 * - At most one frame waits to be begun; while it does the connection is not read.
 * - A session ends in two steps. `closing` is set at once and nothing is begun or sent any more;
 * the
 *   connection is closed, and what runs is cancelled, from the loop: a handler may hang up from
 *   anywhere. The memory stays until the last answer was released (`refs`).
 * - `all` is not touched once the session has left its list.
 */
#include "cluster/session.h"

#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cluster/api.h"
#include "cluster/session_impl.h"
#include "lib/base/mem.h"
#include "lib/net/sock.h"

enum {
	FIRST_FRAME_MAX = 64 << 10, /* before the first valid request, unless its head is good */
	ARENA_LEAST = 64 << 10,     /* of a decoded request ... */
	ARENA_PER_BYTE = 32,        /* ... that may grow by so many bytes for each of its own, */
	ARENA_MOST = 64 << 20,      /* up to this */
	ARENA_ANSWER = 256 << 20,   /* and to this with the answer */
	IN_FLIGHT_BYTES_MAX = 16 << 20, /* of a connection: further requests wait */
	IN_FLIGHT_MAX = 1024,
	UNSENT_MAX = 1 << 20, /* of answers: the client is to take them before it asks for more */
	HANDSHAKE_MS = 10 * 1000,
	USER_TIMEOUT_MS = 30 * 1000,
};

enum { REQUEST_RUNS, REQUEST_ANSWERED };

/* ---- requests ---- */

static void unref(struct session *s)
{
	assert(s->refs > 0);
	if (--s->refs == 0)
		mem_free(s);
}

/* A frame is of no use any more. NULL is safe. */
static void drop_frame(struct session *s, struct frame *f)
{
	if (f == NULL)
		return;
	s->all->queued -= f->n;
	frame_unref(f);
	if (s->all->throttled)
		sessions_check_memory(s->all);
}

/* A request that waits, such as a fetch, may do so for long: it counts apart, so that it does not
 * keep others from being read. */
static void park(struct session *s, struct request *r)
{
	if (r->status != REQUEST_RUNS || r->api->key == WIRE_API_PRODUCE)
		return;
	s->parked = r->frame->n + r->arena.used;
	s->all->parked += s->parked;
	s->all->queued -= r->frame->n;
	sessions_check_parked(s->all);
}

static void unpark(struct session *s, const struct request *r)
{
	if (s->parked == 0 || r->api->key == WIRE_API_PRODUCE)
		return;
	s->all->queued += r->frame->n;
	s->all->parked -= s->parked;
	s->parked = 0;
}

static void drop_request_frame(struct session *s, struct request *r)
{
	if (r->frame != NULL) {
		unpark(s, r);
		s->in_flight_bytes -= r->frame->n;
	}
	drop_frame(s, r->frame);
	r->frame = NULL;
}

static void request_free(struct request *r)
{
	wire_out_fini(&r->answer);
	arena_fini(&r->arena);
	mem_free(r);
}

/* The answer was sent, or never will be. */
static void on_sent(void *arg)
{
	struct request *r = arg;
	struct session *s = r->session;
	if (r->release != NULL)
		r->release(r->release_arg);
	request_free(r);
	if (!s->closing && s->paused)
		session_wake(s);
	unref(s);
}

/* Let go of a request without an answer. */
static void discard(struct session *s, struct request *r)
{
	drop_request_frame(s, r);
	if (r->release != NULL)
		r->release(r->release_arg);
	request_free(r);
}

static void send_answer(struct session *s, struct request *r)
{
	drop_request_frame(s, r);
	/* A held answer points into files only; its arena has what `release` needs. */
	if (r->release == NULL)
		arena_fini(&r->arena);
	if (r->answer.buf.len == 0) {
		discard(s, r);
		return;
	}
	s->refs++;
	enum err e = conn_send(s->conn, &r->answer, on_sent, r);
	if (e == ERR_OK)
		return;
	s->refs--;
	discard(s, r);
	if (e != ERR_CLOSED)
		session_end(s, LOG_WARN, "session_failed", err_text(e));
}

/* Hand answered requests to the connection, as far as it is their turn. */
static void flush(struct session *s)
{
	while (!s->closing && s->head != NULL && s->head->status == REQUEST_ANSWERED) {
		struct request *r = s->head;
		s->head = r->next;
		if (s->head == NULL)
			s->tail = &s->head;
		s->in_flight--;
		s->others -= r->api->key != WIRE_API_PRODUCE;
		send_answer(s, r);
	}
}

static void append(struct session *s, struct request *r)
{
	r->next = NULL;
	*s->tail = r;
	s->tail = &r->next;
	s->in_flight++;
	s->others += r->api->key != WIRE_API_PRODUCE;
	s->in_flight_bytes += r->frame->n;
}

static void unlink_request(struct session *s, struct request *r)
{
	struct request **at = &s->head;
	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	if (s->tail == &r->next)
		s->tail = at;
	s->in_flight--;
	s->others -= r->api->key != WIRE_API_PRODUCE;
}

void session_answered(struct session *s, struct request *r)
{
	assert(r->status == REQUEST_RUNS);
	r->status = REQUEST_ANSWERED;
	r->cancel = NULL;
	/* While a frame is begun the rest follows when the handler returned; from elsewhere the
	 * answer is queued now, and what waits behind it begins from the loop. */
	if (s->busy || s->closing)
		return;
	flush(s);
	session_wake(s);
}

void session_hang_up(struct session *s, struct request *r, const char *why)
{
	assert(r->status == REQUEST_RUNS);
	session_end(s, LOG_WARN, "session_hung_up", why);
	unlink_request(s, r);
	discard(s, r);
}

/* ---- beginning ---- */

static struct request *new_request(struct session *s, struct frame *f)
{
	struct request *r = mem_zalloc(1, sizeof *r);
	if (r == NULL)
		return NULL;
	size_t arena = f->n < ARENA_MOST / ARENA_PER_BYTE ? f->n * ARENA_PER_BYTE : ARENA_MOST;
	arena_init(&r->arena, arena > ARENA_LEAST ? arena : ARENA_LEAST);
	wire_out_init(&r->answer, 0, 0);
	r->broker = s->all->options.broker;
	r->session = s;
	r->frame = f;
	r->received_ms = loop_now_ms(s->all->options.loop);
	r->status = REQUEST_RUNS;
	return r;
}

/* The header, and whether this broker serves it. An ApiVersions of a version to come is answered so
 * that the client learns ours (KIP-511): it has no message then. Kafka, too, closes the connection
 * on all others (SocketServer.scala). */
static enum err take_header(struct request *r, struct bytes *body, struct errmsg *why)
{
	struct wire_request_header h;
	struct bytes in = bytes_of(r->frame->data, r->frame->n);
	size_t used;
	enum err e = wire_get_request_header(in, &h, &used, why);
	if (e != ERR_OK && h.api_key != WIRE_API_API_VERSIONS)
		return e;
	r->api = in.n < 8 ? NULL : api_find(h.api_key);
	if (r->api == NULL)
		return errmsg_set(why, ERR_UNSUPPORTED, "%s (key %d) is not served",
				  wire_api_name(h.api_key), h.api_key);
	r->version = h.api_version;
	r->correlation_id = h.correlation_id;
	bool served = h.api_version >= r->api->min && h.api_version <= r->api->max;
	if (!served && h.api_key == WIRE_API_API_VERSIONS) {
		r->version = 0;
		*body = (struct bytes){.p = NULL};
		return ERR_OK;
	}
	if (!served)
		return errmsg_set(why, ERR_UNSUPPORTED, "%s v%d is not served",
				  wire_api_name(h.api_key), h.api_version);
	r->client_id = h.client_id;
	*body = bytes_of(in.p + used, in.n - used);
	return e;
}

static enum err decode(struct request *r, struct errmsg *why)
{
	struct bytes body = {0};
	enum err e = take_header(r, &body, why);
	if (e != ERR_OK || body.p == NULL)
		return e;
	const struct wire_message *m = wire_request(r->api->key);
	void *msg = wire_array_new(&r->arena, m->body, 1);
	if (msg == NULL)
		return errmsg_set(why, ERR_NOMEM, "out of memory");
	r->msg = msg;
	/* Like Kafka, do not mind what follows: librdkafka 2.16 leaves bytes behind a Metadata
	 * request for all topics. */
	size_t used = 0;
	e = wire_decode_prefix(m, r->version, body, &r->arena, msg, &used, why);
	return e == ERR_OK ? e
			   : errmsg_wrap(why, e, "%s v%d", wire_api_name(r->api->key), r->version);
}

/* Takes the frame. */
static void begin(struct session *s, struct frame *f)
{
	struct errmsg why = {{0}};
	struct request *r = new_request(s, f);
	if (r == NULL) {
		drop_frame(s, f);
		session_end(s, LOG_WARN, "session_failed", "out of memory");
		return;
	}
	enum err e = decode(r, &why);
	if (e != ERR_OK) {
		drop_frame(s, f);
		request_free(r);
		s->all->count.closed_malformed++;
		session_end(s, LOG_WARN, "request_refused", why.text);
		return;
	}
	assert(r->api != NULL);
	r->arena.max = ARENA_ANSWER;
	if (!s->trusted) {
		s->trusted = true;
		conn_set_frame_max(s->conn, s->all->options.request_max);
	}
	append(s, r);
	s->all->requests[r->api - s->all->apis]++;
	s->busy = true;
	r->api->handle(r);
	s->busy = false;
	flush(s);
	/* Others than Produce are alone: what is left is this one, and it waits. */
	if (s->head != NULL && !s->closing)
		park(s, s->head);
}

/* Requests follow each other one at a time, but for Produce after Produce. */
static bool may_begin(const struct session *s, const struct frame *f)
{
	if (s->head == NULL)
		return true;
	bool produce = f->n >= 2 && be16_get(f->data) == WIRE_API_PRODUCE;
	return produce && s->others == 0 && s->in_flight < IN_FLIGHT_MAX &&
	       s->in_flight_bytes < IN_FLIGHT_BYTES_MAX;
}

static void update_pause(struct session *s)
{
	bool pause = s->all->draining || s->waiting != NULL || conn_unsent(s->conn) > UNSENT_MAX ||
		     (s->all->throttled && !conn_mid_frame(s->conn));
	if (pause != s->paused)
		conn_pause(s->conn, pause);
	s->paused = pause;
}

/* Begin what waits, if its time has come. */
static void pump(struct session *s)
{
	flush(s);
	if (!s->closing && s->waiting != NULL && !s->all->draining && may_begin(s, s->waiting)) {
		struct frame *f = s->waiting;
		s->waiting = NULL;
		begin(s, f);
	}
	if (s->closing)
		return;
	if (s->all->draining && s->head == NULL && conn_unsent(s->conn) == 0)
		session_end(s, LOG_DEBUG, "session_closed", "the broker stops");
	else
		update_pause(s);
}

/* ---- the connection ---- */

static void on_frame(void *arg, struct frame *f)
{
	struct session *s = arg;
	if (s->closing) {
		frame_unref(f);
		return;
	}
	s->active_ms = loop_now_ms(s->all->options.loop);
	s->all->queued += f->n;
	s->all->arriving -= s->arriving;
	s->arriving = 0;
	assert(s->waiting == NULL);
	if (!s->all->draining && may_begin(s, f))
		begin(s, f);
	else
		s->waiting = f;
	sessions_check_memory(s->all);
	if (!s->closing)
		update_pause(s);
}

static void on_part(void *arg, size_t bytes)
{
	struct session *s = arg;
	if (!s->closing)
		sessions_arrived(s->all, s, bytes);
}

static void on_dead(void *arg, enum err e, const struct errmsg *why)
{
	struct session *s = arg;
	if (s->closing)
		return;
	bool quiet = e == ERR_CLOSED;
	s->all->count.closed_malformed += e == ERR_MALFORMED || e == ERR_LIMIT;
	session_end(s, quiet ? LOG_DEBUG : LOG_WARN, quiet ? "session_closed" : "session_failed",
		    why->text);
}

static void close_now(struct session *s)
{
	struct sessions *all = s->all;
	all->count.bytes_in += conn_bytes_in(s->conn);
	all->count.bytes_out += conn_bytes_out(s->conn);
	while (s->head != NULL) {
		struct request *r = s->head;
		s->head = r->next;
		if (r->status == REQUEST_RUNS && r->cancel != NULL)
			r->cancel(r);
		discard(s, r);
	}
	drop_frame(s, s->waiting);
	s->waiting = NULL;
	all->arriving -= s->arriving;
	s->arriving = 0;
	loop_undefer(all->options.loop, &s->work);
	sessions_remove(all, s);
	conn_close(s->conn);
	s->conn = NULL;
	unref(s);
}

static void on_work(void *arg)
{
	struct session *s = arg;
	if (!s->closing)
		pump(s);
	/* The pump may have ended it, and asked for another turn. */
	if (s->closing)
		close_now(s);
}

void session_wake(struct session *s)
{
	if (!s->work.pending)
		loop_defer(s->all->options.loop, &s->work);
}

void session_end(struct session *s, enum log_level level, const char *event, const char *why)
{
	if (s->closing)
		return;
	s->closing = true;
	log_event(loop_log(s->all->options.loop), level, event, LOG_S("client", conn_name(s->conn)),
		  LOG_S("listener", s->endpoint->name), LOG_S("reason", why));
	session_wake(s);
}

void session_close(struct session *s)
{
	s->closing = true;
	close_now(s);
}

/* A client may open a connection and begin with a large Produce. What is not the head of a request
 * that is served is not received. */
static bool admits(const uint8_t head[8])
{
	const struct api *api = api_find((int16_t)be16_get(head));
	int16_t version = (int16_t)be16_get(head + 2);
	return api != NULL && version >= api->min && version <= api->max;
}

struct session *session_new(struct sessions *all, int fd, const struct endpoint *at,
			    const char *host)
{
	static const struct conn_events events = {
		.on_frame = on_frame, .on_part = on_part, .on_dead = on_dead};
	const struct conn_options o = {
		.frame_max = all->options.request_max < FIRST_FRAME_MAX ? all->options.request_max
									: FIRST_FRAME_MAX,
		.large_max = all->options.request_max,
		.admits = admits,
		.pool = all->pool,
		.connect_timeout_ms = HANDSHAKE_MS,
		.user_timeout_ms = USER_TIMEOUT_MS,
		.tls = at->tls,
	};
	struct session *s = mem_zalloc(1, sizeof *s);
	if (s == NULL) {
		close(fd);
		return NULL;
	}
	s->all = all;
	s->endpoint = at;
	s->refs = 1;
	s->tail = &s->head;
	s->work = (struct loop_deferred){.fn = on_work, .arg = s};
	s->active_ms = s->taken_ms = s->begun_ms = loop_now_ms(all->options.loop);
	snprintf(s->host, sizeof s->host, "%s", host);
	s->conn = conn_accepted(all->options.loop, fd, &o, &events, s);
	if (s->conn == NULL) {
		mem_free(s);
		return NULL;
	}
	return s;
}

const char *session_host(const struct session *s)
{
	return s->host;
}

const struct endpoint *session_endpoint(const struct session *s)
{
	return s->endpoint;
}
