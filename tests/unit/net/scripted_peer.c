/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection of the peer keeps the frames it got in a queue and deals with the first one; `busy`
 * says why the first one waits. The socket is duplicated, since half a frame cannot be sent through
 * a conn.
 */
#include "tests/unit/net/scripted_peer.h"

#include <assert.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/mem.h"

enum { APIS = 128, FRAME_MAX = 256 * 1024 * 1024, UNSUPPORTED_VERSION = 35 };

struct peer_frame {
	struct peer_frame *next;
	struct frame *frame;
};

struct peer_conn {
	struct scripted_peer *peer;
	struct peer_conn *next;
	struct conn *conn;
	int raw_fd;
	unsigned number;
	struct peer_frame *head;
	struct peer_frame **tail;
	enum { IDLE, DELAYED, PARKED } busy;
	struct loop_timer *timer;
	struct loop_deferred step;
	/* What is done when the delay is over. */
	enum scripted_act act;
	struct wire_out out;
};

struct peer_api {
	scripted_handler *fn;
	void *arg;
	int16_t min, max;
	unsigned seen;
	int16_t last_version;
};

struct scripted_peer {
	struct loop *loop;
	struct listener *listener;
	struct tls_ctx *tls;
	struct peer_conn *conns;
	struct peer_api apis[APIS];
	unsigned accepted;
	unsigned unexpected;
	bool deaf;
};

static void peer_conn_free(struct peer_conn *c)
{
	struct peer_conn **at = &c->peer->conns;
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	while (c->head != NULL) {
		struct peer_frame *f = c->head;
		c->head = f->next;
		frame_unref(f->frame);
		mem_free(f);
	}
	loop_undefer(c->peer->loop, &c->step);
	loop_timer_free(c->timer);
	wire_out_fini(&c->out);
	conn_close(c->conn);
	close(c->raw_fd);
	mem_free(c);
}

/* ---- sending ---- */

static void encode_answer(const struct wire_request_header *h, int32_t correlation_id,
			  const void *answer, struct wire_out *out)
{
	struct errmsg why = {0};
	int16_t version = h->api_version;
	const struct wire_message *m = wire_response(h->api_key);
	const struct api_versions_response *v = answer;
	if (h->api_key == WIRE_API_API_VERSIONS && v->error_code == UNSUPPORTED_VERSION)
		version = 0; /* KIP-511 */
	wire_out_init(out, FRAME_MAX, 0);
	wire_put_response_header(h->api_key, version, correlation_id, out);
	enum err e = wire_encode(m, version, answer, out, &why);
	if (e != ERR_OK)
		fprintf(stderr, "scripted peer: answer to %s v%d: %s\n", wire_api_name(h->api_key),
			version, why.text);
	assert(e == ERR_OK && out->buf.err == ERR_OK);
}

void scripted_encode(const struct scripted_request *q, const void *answer, struct wire_out *out)
{
	encode_answer(&q->head, q->head.correlation_id, answer, out);
}

static void send_copy(struct peer_conn *c, const struct wire_out *out)
{
	struct wire_out copy;
	wire_out_init(&copy, FRAME_MAX, 0);
	buf_put(&copy.buf, out->buf.p, out->buf.len);
	enum err e = conn_send(c->conn, &copy, NULL, NULL);
	assert(e == ERR_OK || e == ERR_CLOSED);
	wire_out_fini(&copy);
}

static void send_raw(struct peer_conn *c, struct bytes b)
{
	ssize_t n = send(c->raw_fd, b.p, b.n, MSG_NOSIGNAL);
	assert(n == (ssize_t)b.n || n < 0); /* small, so never short */
}

static void send_half(struct peer_conn *c)
{
	uint8_t prefix[4];
	be32_put(prefix, (uint32_t)c->out.buf.len);
	send_raw(c, bytes_of(prefix, sizeof prefix));
	send_raw(c, bytes_of(c->out.buf.p, c->out.buf.len / 2));
}

/* Do what the handler said; false when no request can be dealt with now. */
static bool act_now(struct peer_conn *c)
{
	bool past_conn =
		c->act == SCRIPTED_CUT || c->act == SCRIPTED_CLOSE || c->act == SCRIPTED_BYTES;
	if (past_conn && conn_unsent(c->conn) > 0) {
		/* Answers to earlier requests go out first. */
		c->busy = DELAYED;
		loop_timer_set(c->timer, 1);
		return false;
	}
	switch (c->act) {
	case SCRIPTED_TWICE:
		send_copy(c, &c->out);
		send_copy(c, &c->out);
		break;
	case SCRIPTED_ANSWER:
	case SCRIPTED_RAW:
	case SCRIPTED_WRONG_ID:
	case SCRIPTED_GARBAGE:
		send_copy(c, &c->out);
		break;
	case SCRIPTED_BYTES:
		send_raw(c, buf_bytes(&c->out.buf));
		break;
	case SCRIPTED_CUT:
		send_half(c);
		peer_conn_free(c);
		return false;
	case SCRIPTED_CLOSE:
		peer_conn_free(c);
		return false;
	case SCRIPTED_SILENT:
	case SCRIPTED_PARK:
		break;
	}
	wire_out_fini(&c->out);
	return true;
}

/* ---- dealing with requests ---- */

static void prepare(struct peer_conn *c, struct scripted_request *q, const void *answer)
{
	wire_out_init(&c->out, FRAME_MAX, 0);
	if (c->act == SCRIPTED_RAW || c->act == SCRIPTED_BYTES)
		buf_put(&c->out.buf, q->raw.p, q->raw.n);
	else if (c->act == SCRIPTED_GARBAGE)
		for (int i = 0; i < 64; i++)
			buf_put_u8(&c->out.buf, 0xee);
	else if (c->act == SCRIPTED_WRONG_ID)
		encode_answer(&q->head, q->head.correlation_id + 1, answer, &c->out);
	else if (c->act == SCRIPTED_ANSWER || c->act == SCRIPTED_TWICE || c->act == SCRIPTED_CUT)
		scripted_encode(q, answer, &c->out);
}

/* Decode the first request of the queue. False: nothing but the header is known. */
static bool decode_request(struct peer_conn *c, struct scripted_request *q, struct arena *a)
{
	struct errmsg why = {0};
	struct frame *f = c->head->frame;
	struct bytes in = bytes_of(f->data, f->n);
	size_t used = 0;
	*q = (struct scripted_request){
		.peer = c->peer, .connection = c->number, .frame = f, .arena = a};
	if (wire_get_request_header(in, &q->head, &used, &why) != ERR_OK)
		return false;
	const struct wire_message *m = wire_request(q->head.api_key);
	void *msg = wire_array_new(a, m->body, 1);
	assert(msg != NULL);
	q->msg = msg;
	enum err e = wire_decode(m, q->head.api_version, bytes_of(in.p + used, in.n - used), a, msg,
				 &why);
	if (e != ERR_OK && q->head.api_key != WIRE_API_API_VERSIONS)
		fprintf(stderr, "scripted peer: %s v%d: %s\n", wire_api_name(q->head.api_key),
			q->head.api_version, why.text);
	return e == ERR_OK;
}

static enum scripted_act run_handler(struct peer_conn *c, struct scripted_request *q, bool decoded,
				     void *answer)
{
	struct scripted_peer *p = c->peer;
	int16_t key = q->head.api_key;
	if (key < 0 || key >= APIS || p->apis[key].fn == NULL ||
	    (!decoded && key != WIRE_API_API_VERSIONS)) {
		p->unexpected++;
		return SCRIPTED_CLOSE;
	}
	struct peer_api *api = &p->apis[key];
	if (c->busy != PARKED)
		api->seen++;
	api->last_version = q->head.api_version;
	q->n = api->seen;
	return api->fn(api->arg, q, answer);
}

static void drop_head(struct peer_conn *c)
{
	struct peer_frame *f = c->head;
	c->head = f->next;
	if (c->head == NULL)
		c->tail = &c->head;
	frame_unref(f->frame);
	mem_free(f);
}

static void peer_conn_step(void *arg)
{
	struct peer_conn *c = arg;
	while (c->head != NULL && c->busy != DELAYED) {
		struct scripted_request q;
		struct arena a;
		arena_init(&a, FRAME_MAX);
		bool decoded = decode_request(c, &q, &a);
		const struct wire_message *m = wire_response(q.head.api_key);
		void *answer = m == NULL ? NULL : wire_array_new(&a, m->body, 1);
		c->act = run_handler(c, &q, decoded, answer);
		c->busy = IDLE;
		if (c->act == SCRIPTED_PARK) {
			c->busy = PARKED;
			arena_fini(&a);
			return;
		}
		prepare(c, &q, answer);
		arena_fini(&a);
		drop_head(c);
		if (q.delay_ms > 0) {
			c->busy = DELAYED;
			loop_timer_set(c->timer, q.delay_ms);
		} else if (!act_now(c)) {
			return;
		}
	}
}

static void on_delay_over(void *arg)
{
	struct peer_conn *c = arg;
	c->busy = IDLE;
	if (act_now(c))
		peer_conn_step(c);
}

/* ---- connections ---- */

static void on_frame(void *arg, struct frame *f)
{
	struct peer_conn *c = arg;
	struct peer_frame *pf = mem_zalloc(1, sizeof *pf);
	assert(pf != NULL);
	pf->frame = f;
	*c->tail = pf;
	c->tail = &pf->next;
	if (c->busy == IDLE && !c->step.pending)
		loop_defer(c->peer->loop, &c->step);
}

static void on_dead(void *arg, enum err e, const struct errmsg *why)
{
	(void)e;
	(void)why;
	peer_conn_free(arg);
}

static void on_accept(void *arg, int fd)
{
	static const struct conn_events events = {.on_frame = on_frame, .on_dead = on_dead};
	struct scripted_peer *p = arg;
	struct conn_options o = {.frame_max = FRAME_MAX,
				 .connect_timeout_ms = 10000,
				 .user_timeout_ms = 10000,
				 .tls = p->tls};
	p->accepted++;
	if (p->deaf) {
		close(fd);
		return;
	}
	struct peer_conn *c = mem_zalloc(1, sizeof *c);
	assert(c != NULL);
	c->peer = p;
	c->number = p->accepted;
	c->tail = &c->head;
	c->step = (struct loop_deferred){.fn = peer_conn_step, .arg = c};
	c->timer = loop_timer_new(p->loop, on_delay_over, c);
	c->raw_fd = dup(fd);
	c->conn = conn_accepted(p->loop, fd, &o, &events, c);
	assert(c->timer != NULL && c->raw_fd >= 0 && c->conn != NULL);
	wire_out_init(&c->out, FRAME_MAX, 0);
	c->next = p->conns;
	p->conns = c;
}

void scripted_peer_hang_up(struct scripted_peer *p)
{
	while (p->conns != NULL)
		peer_conn_free(p->conns);
}

void scripted_peer_unpark(struct scripted_peer *p)
{
	for (struct peer_conn *c = p->conns; c != NULL; c = c->next)
		if (c->busy == PARKED && !c->step.pending)
			loop_defer(p->loop, &c->step);
}

void scripted_peer_deaf(struct scripted_peer *p, bool deaf)
{
	p->deaf = deaf;
}

/* ---- the script ---- */

static void put_range(struct api_versions_response *m, int16_t key, int16_t min, int16_t max)
{
	struct api_versions_response_api_version *row = &m->api_keys[m->api_keys_n++];
	row->api_key = key;
	row->min_version = min;
	row->max_version = max;
}

enum scripted_act scripted_peer_api_versions(void *arg, struct scripted_request *q, void *answer)
{
	const struct scripted_peer *p = arg;
	const struct peer_api *self = &p->apis[WIRE_API_API_VERSIONS];
	struct api_versions_response *m = answer;
	m->api_keys = wire_array_new(q->arena, &wire_api_versions_response_api_version, APIS);
	assert(m->api_keys != NULL);
	m->api_keys_n = 0;
	if (q->head.api_version > self->max || q->head.api_version < self->min) {
		m->error_code = UNSUPPORTED_VERSION;
		/* Brokers that know version 3 know KIP-511 too: older ones list nothing. */
		if (self->max >= 3)
			put_range(m, WIRE_API_API_VERSIONS, self->min, self->max);
		return SCRIPTED_ANSWER;
	}
	for (int16_t key = 0; key < APIS; key++)
		if (p->apis[key].min <= p->apis[key].max)
			put_range(m, key, p->apis[key].min, p->apis[key].max);
	return SCRIPTED_ANSWER;
}

void scripted_peer_on(struct scripted_peer *p, int16_t api_key, scripted_handler *fn, void *arg)
{
	assert(api_key >= 0 && api_key < APIS);
	p->apis[api_key].fn = fn;
	p->apis[api_key].arg = arg;
}

void scripted_peer_versions(struct scripted_peer *p, int16_t api_key, int16_t min, int16_t max)
{
	assert(api_key >= 0 && api_key < APIS);
	p->apis[api_key].min = min;
	p->apis[api_key].max = max;
}

void scripted_peer_versions_none(struct scripted_peer *p)
{
	for (int16_t key = 0; key < APIS; key++)
		scripted_peer_versions(p, key, 0, -1);
}

static void offer_all(struct scripted_peer *p)
{
	for (int16_t key = 0; key < APIS; key++) {
		const struct wire_message *m = wire_request(key);
		p->apis[key].last_version = -1;
		if (m == NULL)
			scripted_peer_versions(p, key, 0, -1);
		else
			scripted_peer_versions(p, key, m->min_version, m->max_version);
	}
}

struct scripted_peer *scripted_peer_new(struct loop *l, const struct scripted_options *o)
{
	struct errmsg why = {0};
	struct scripted_peer *p = mem_zalloc(1, sizeof *p);
	assert(p != NULL);
	p->loop = l;
	p->tls = o == NULL ? NULL : o->tls;
	offer_all(p);
	scripted_peer_on(p, WIRE_API_API_VERSIONS, scripted_peer_api_versions, p);
	enum err e = listener_new(l, "127.0.0.1", o == NULL ? 0 : o->port, on_accept, p,
				  &p->listener, &why);
	if (e != ERR_OK)
		fprintf(stderr, "scripted peer: %s\n", why.text);
	assert(e == ERR_OK);
	return p;
}

void scripted_peer_free(struct scripted_peer *p)
{
	if (p == NULL)
		return;
	scripted_peer_hang_up(p);
	listener_free(p->listener);
	mem_free(p);
}

uint16_t scripted_peer_port(const struct scripted_peer *p)
{
	return listener_port(p->listener);
}

/* ---- counters ---- */

unsigned scripted_peer_connections(const struct scripted_peer *p)
{
	unsigned n = 0;
	for (const struct peer_conn *c = p->conns; c != NULL; c = c->next)
		n++;
	return n;
}

unsigned scripted_peer_accepted(const struct scripted_peer *p)
{
	return p->accepted;
}

unsigned scripted_peer_seen(const struct scripted_peer *p, int16_t api_key)
{
	return p->apis[api_key].seen;
}

int16_t scripted_peer_last_version(const struct scripted_peer *p, int16_t api_key)
{
	return p->apis[api_key].last_version;
}

unsigned scripted_peer_unexpected(const struct scripted_peer *p)
{
	return p->unexpected;
}
