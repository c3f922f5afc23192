/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection: dialing, TLS handshake, frames both ways.
 *
 *     DIALING --> HANDSHAKE --> OPEN        any --> DEAD     on_dead is called
 *          \_____ (plain) _____/            any --> CLOSED   conn_close was called
 *
 * Invariants:
 * - The owner is called from the loop only: from a socket event, the timer, the dial's end or
 *   `work`, the connection's one deferred item. Public functions change state and defer the rest.
 * - Any call to the owner may come back as conn_close, conn_send or conn_pause. So after each one
 *   `state` is looked at before anything else; the memory itself stays until `work` runs.
 * - Output is written from `work`, so that all that is queued in one turn goes out in one system
 *   call; a socket event for writing is waited for only when the kernel's buffer is full.
 */
#include "lib/net/conn.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "lib/net/dial.h"
#include "lib/net/framer.h"
#include "lib/net/outq.h"
#include "lib/net/sock.h"
#include "lib/net/tls_stream.h"

enum {
	HOST_MAX = 255,        /* RFC 1035, section 2.3.4 */
	READ_BUDGET = 1 << 20, /* bytes per turn, so that one fast peer leaves room for others */
	WRITE_BUDGET = 4 << 20,
	IOVECS = 128,
	/*
	 * A near reader that is as fast as the writer empties the queue each time and sleeps.
	 * Waking it for every segment then costs the writer more than the bytes do, and a timer
	 * for every few segments (bbr paces) as much again. With a bound and without pacing the
	 * writer is the one that waits, and both move large pieces. NEAR_QUEUE in NEAR_US is some
	 * 800 MB/s.
	 */
	NEAR_US = 1000,
	NEAR_QUEUE = 384 * 1024,
	CHUNK = 128 * 1024, /* of a file that is sent by TLS */
};

enum state { DIALING, HANDSHAKE, OPEN, DEAD, CLOSED };

/* What `work` is asked to do. */
enum { WORK_READ = 1, WORK_WRITE = 2, WORK_TLS = 4, WORK_REFUSE = 8 };

/* What was read of the range of a file that TLS sends now: TLS must see the same bytes again until
 * they are written. */
struct chunk {
	size_t at, n; /* of `data`: not yet written */
	uint8_t data[CHUNK];
};

struct conn {
	struct loop *loop;
	const struct conn_events *events;
	void *arg;
	struct conn_options options;
	enum state state;
	bool client;
	bool paused;
	bool read_wants_write; /* TLS: reading goes on when the socket is writable */
	bool write_wants_read;
	bool write_blocked; /* the kernel's buffer is full */
	bool write_broken;  /* the peer takes no more; what it sent is still read */
	unsigned work_flags;
	int fd;
	struct tls_stream *tls;
	struct dial *dial;        /* while it runs */
	struct loop_timer *timer; /* until OPEN */
	struct loop_deferred work;
	struct event readable, writable;
	struct outq outq;
	struct chunk *chunk; /* while a range of a file comes next; NULL when none */
	uint64_t bytes_in, bytes_out;
	char *tls_host;
	char host[HOST_MAX + 1];  /* without brackets */
	char name[HOST_MAX + 10]; /* for messages */
	struct framer framer;
};

static void move(struct conn *c, enum state to)
{
	static const unsigned allowed[] = {
		[DIALING] = 1u << HANDSHAKE | 1u << OPEN | 1u << DEAD | 1u << CLOSED,
		[HANDSHAKE] = 1u << OPEN | 1u << DEAD | 1u << CLOSED,
		[OPEN] = 1u << DEAD | 1u << CLOSED,
		[DEAD] = 1u << CLOSED,
		[CLOSED] = 0,
	};
	assert(allowed[c->state] & 1u << to);
	c->state = to;
}

static void defer_work(struct conn *c, unsigned flags)
{
	c->work_flags |= flags;
	if (!c->work.pending)
		loop_defer(c->loop, &c->work);
}

/* Let go of the socket and of all that could call back. */
static void disconnect(struct conn *c)
{
	if (c->timer != NULL)
		loop_timer_stop(c->timer);
	dial_cancel(c->dial);
	c->dial = NULL;
	framer_fini(&c->framer);
	tls_stream_free(c->tls);
	c->tls = NULL;
	mem_free(c->chunk);
	c->chunk = NULL;
	if (c->fd >= 0) {
		event_del(&c->readable);
		event_del(&c->writable);
		close(c->fd);
	}
	c->fd = -1;
}

static void die(struct conn *c, enum err e, struct errmsg *why)
{
	move(c, DEAD);
	disconnect(c);
	errmsg_wrap(why, e, "%s", c->name);
	outq_abort(&c->outq);
	outq_release_done(&c->outq);
	if (c->state == DEAD && c->events->on_dead != NULL)
		c->events->on_dead(c->arg, e, why);
}

static void die_of(struct conn *c, enum err e, const char *text)
{
	struct errmsg why = {0};
	errmsg_set(&why, e, "%s", text);
	die(c, e, &why);
}

/* The reason behind SOCK_EOF or SOCK_FAILED of the socket; errno is fresh. */
static enum err io_reason(const struct conn *c, enum sock_io io, struct errmsg *why)
{
	int saved = errno;
	if (c->tls != NULL)
		return tls_stream_why(c->tls, why);
	/* What a TLS listener does with a plaintext client; rpc.c asks whether the settings fit. */
	bool unheard = c->client && c->bytes_in == 0 && (io == SOCK_EOF || sock_peer_left(saved));
	if (unheard || (io == SOCK_EOF && framer_at_boundary(&c->framer)))
		return errmsg_set(why, ERR_CLOSED, "closed by the peer");
	if (io == SOCK_EOF)
		return errmsg_set(why, ERR_CLOSED, "closed by the peer in the middle of a frame");
	return sock_reason(saved, why);
}

/* Wait for what can make progress. Called at the end of each entry from the loop. */
static void update_interest(struct conn *c)
{
	bool in = false, out = false;
	switch (c->state) {
	case OPEN:
		in = (!c->paused && !c->read_wants_write) || c->write_wants_read;
		out = c->write_blocked || (!c->paused && c->read_wants_write);
		break;
	case HANDSHAKE:
		in = !c->read_wants_write;
		out = c->read_wants_write;
		break;
	case DIALING:
	case DEAD:
	case CLOSED:
		return;
	}
	int failed = 0;
	if (in != !!event_pending(&c->readable, EV_READ, NULL))
		failed |= in ? event_add(&c->readable, NULL) : event_del(&c->readable);
	if (out != !!event_pending(&c->writable, EV_WRITE, NULL))
		failed |= out ? event_add(&c->writable, NULL) : event_del(&c->writable);
	if (failed != 0)
		die_of(c, ERR_NOMEM, "out of memory");
}

/* Input */

/* Hand out the frames that are complete. False when reading must stop: paused, dead or closed. */
static bool deliver(struct conn *c)
{
	while (c->state == OPEN && !c->paused) {
		struct errmsg why = {0};
		struct frame *f;
		enum err e = framer_next(&c->framer, &f, &why);
		if (e != ERR_OK) {
			die(c, e, &why);
			return false;
		}
		if (f == NULL)
			return true;
		c->events->on_frame(c->arg, f);
	}
	return false;
}

static enum sock_io receive(struct conn *c, size_t *n, bool *drained)
{
	struct iovec iov[2];
	size_t iov_n = framer_room(&c->framer, iov);
	size_t room = iov[0].iov_len + (iov_n > 1 ? iov[1].iov_len : 0);
	enum sock_io io;
	if (c->tls != NULL)
		io = tls_stream_read(c->tls, iov[0].iov_base, iov[0].iov_len, n);
	else
		io = sock_readv(c->fd, iov, iov_n, n);
	/* A short read of a plain socket took all there was: no need to ask again. */
	*drained = c->tls == NULL && io == SOCK_OK && *n < room;
	return io;
}

static void read_frames(struct conn *c)
{
	size_t budget = READ_BUDGET, n = 0;
	bool drained = false;
	c->read_wants_write = false;
	while (deliver(c)) {
		if (drained)
			return;
		if (budget == 0) {
			/* The socket may have nothing more to say although TLS has. */
			if (c->tls != NULL && tls_stream_pending(c->tls))
				defer_work(c, WORK_READ);
			return;
		}
		enum sock_io io = receive(c, &n, &drained);
		if (io == SOCK_OK) {
			c->bytes_in += n;
			framer_fill(&c->framer, n);
			budget -= n < budget ? n : budget;
		} else if (io == SOCK_WANT_READ || io == SOCK_WANT_WRITE) {
			c->read_wants_write = io == SOCK_WANT_WRITE;
			return;
		} else {
			struct errmsg why = {0};
			enum err e = io_reason(c, io, &why);
			die(c, e, &why);
			return;
		}
	}
}

static void read_some(struct conn *c)
{
	read_frames(c);
	if (c->state == OPEN && c->framer.frame != NULL && c->events->on_part != NULL)
		c->events->on_part(c->arg, c->framer.got);
}

/* Output */

/* The peer may have said why before it closed: an error answer, a TLS alert. Read on to the end of
 * its stream, which is near, and die of that. */
static void write_failed(struct conn *c, enum sock_io io)
{
	struct errmsg why = {0};
	int saved = errno;
	enum err e = io_reason(c, io, &why);
	if (c->paused || !sock_peer_left(saved)) {
		die(c, e, &why);
		return;
	}
	c->write_broken = true;
	defer_work(c, WORK_READ);
}

/* The next part of a range of a file, read into the chunk. */
static enum err load_chunk(struct conn *c, const struct wire_file *file)
{
	if (c->chunk == NULL) {
		c->chunk = mem_alloc(sizeof *c->chunk);
		if (c->chunk == NULL)
			return ERR_NOMEM;
		c->chunk->n = 0;
	}
	if (c->chunk->n > 0)
		return ERR_OK;
	size_t want = file->n < CHUNK ? file->n : CHUNK;
	ssize_t got;
	do
		got = pread(file->fd, c->chunk->data, want, file->position);
	while (got < 0 && errno == EINTR);
	if (got == 0)
		errno = ENODATA;
	if (got <= 0)
		return ERR_IO;
	c->chunk->at = 0;
	c->chunk->n = (size_t)got;
	return ERR_OK;
}

/* A file that cannot be read in the middle of an answer leaves no way to go on. */
static void file_failed(struct conn *c, enum err e, int error)
{
	struct errmsg why = {0};
	errmsg_set(&why, e, "the file to be sent cannot be read: %s",
		   e == ERR_NOMEM ? err_text(e) : strerror(error));
	die(c, e, &why);
}

static enum sock_io transmit_file_tls(struct conn *c, const struct wire_file *file, size_t *n)
{
	enum err e = load_chunk(c, file);
	if (e != ERR_OK) {
		file_failed(c, e, errno);
		return SOCK_FAILED;
	}
	struct chunk *chunk = c->chunk;
	struct iovec iov = {.iov_base = chunk->data + chunk->at, .iov_len = chunk->n};
	enum sock_io io = tls_stream_writev(c->tls, &iov, 1, n);
	if (io == SOCK_OK) {
		chunk->at += *n;
		chunk->n -= *n;
	}
	return io;
}

static enum sock_io transmit_file(struct conn *c, const struct wire_file *file, size_t *n,
				  bool *full)
{
	if (c->tls != NULL)
		return transmit_file_tls(c, file, n);
	size_t want = file->n < WRITE_BUDGET ? file->n : WRITE_BUDGET;
	enum sock_io io = sock_sendfile(c->fd, file->fd, file->position, want, n);
	*full = io == SOCK_OK && *n < want;
	if (io == SOCK_FAILED && !sock_peer_left(errno) && errno != ETIMEDOUT)
		file_failed(c, ERR_IO, errno);
	return io;
}

static enum sock_io transmit(struct conn *c, size_t *n, bool *full)
{
	struct iovec iov[IOVECS];
	struct wire_file file;
	if (outq_peek_file(&c->outq, &file))
		return transmit_file(c, &file, n, full);
	mem_free(c->chunk);
	c->chunk = NULL;
	size_t iov_n = outq_peek(&c->outq, iov, IOVECS), offered = 0;
	if (c->tls != NULL)
		return tls_stream_writev(c->tls, iov, iov_n, n);
	for (size_t i = 0; i < iov_n; i++)
		offered += iov[i].iov_len;
	enum sock_io io = sock_writev(c->fd, iov, iov_n, offered < c->outq.bytes, n);
	*full = io == SOCK_OK && *n < offered;
	return io;
}

static void write_some(struct conn *c)
{
	size_t budget = WRITE_BUDGET, n = 0;
	bool full = false;
	c->write_blocked = c->write_wants_read = false;
	while (c->outq.bytes > 0 && !c->write_broken) {
		if (full) {
			c->write_blocked = true;
			return;
		}
		if (budget == 0) {
			defer_work(c, WORK_WRITE);
			return;
		}
		enum sock_io io = transmit(c, &n, &full);
		if (io == SOCK_OK) {
			c->bytes_out += n;
			outq_advance(&c->outq, n);
			outq_release_done(&c->outq);
			if (c->state != OPEN)
				return;
			budget -= n < budget ? n : budget;
		} else if (io == SOCK_WANT_READ || io == SOCK_WANT_WRITE) {
			c->write_wants_read = io == SOCK_WANT_READ;
			c->write_blocked = io == SOCK_WANT_WRITE;
			return;
		} else {
			if (c->state == OPEN)
				write_failed(c, io);
			return;
		}
	}
	mem_free(c->chunk);
	c->chunk = NULL;
}

/* Opening */

static void opened(struct conn *c)
{
	move(c, OPEN);
	loop_timer_free(c->timer);
	c->timer = NULL;
	defer_work(c, WORK_READ | WORK_WRITE);
	if (c->client && c->events->on_open != NULL)
		c->events->on_open(c->arg);
}

static void handshake(struct conn *c)
{
	struct errmsg why = {0};
	enum sock_io io = tls_stream_handshake(c->tls);
	c->read_wants_write = io == SOCK_WANT_WRITE;
	if (io == SOCK_OK) {
		opened(c);
	} else if (io == SOCK_EOF || io == SOCK_FAILED) {
		enum err e = tls_stream_why(c->tls, &why);
		die(c, e, &why);
	}
}

static void start_tls(struct conn *c)
{
	struct errmsg why = {0};
	const char *host = c->tls_host != NULL ? c->tls_host : c->host;
	if (c->state != HANDSHAKE)
		move(c, HANDSHAKE);
	enum err e = tls_stream_new(c->options.tls, c->fd, c->client ? host : NULL,
				    loop_now_ms(c->loop), &c->tls, &why);
	if (e != ERR_OK)
		die(c, e, &why);
	else
		handshake(c);
}

/* Entries from the loop */

static void on_event(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	struct conn *c = arg;
	switch (c->state) {
	case HANDSHAKE:
		handshake(c);
		break;
	case OPEN:
		if (what & (c->read_wants_write ? EV_WRITE : EV_READ))
			read_some(c);
		if (c->state == OPEN && what & (c->write_wants_read ? EV_READ : EV_WRITE))
			write_some(c);
		break;
	case DIALING:
	case DEAD:
	case CLOSED:
		break;
	}
	update_interest(c);
}

static void adopt_socket(struct conn *c, int fd)
{
	c->fd = fd;
	event_assign(&c->readable, loop_base(c->loop), fd, EV_READ | EV_PERSIST, on_event, c);
	event_assign(&c->writable, loop_base(c->loop), fd, EV_WRITE | EV_PERSIST, on_event, c);
}

static void on_dialed(void *arg, int fd, enum err e, struct errmsg *why)
{
	struct conn *c = arg;
	c->dial = NULL;
	if (e != ERR_OK) {
		die(c, e, why);
		return;
	}
	adopt_socket(c, fd);
	if (c->options.tls != NULL)
		start_tls(c);
	else
		opened(c);
	update_interest(c);
}

static void on_timer(void *arg)
{
	struct conn *c = arg;
	struct errmsg why = {0};
	char at[80] = "TLS handshake";
	if (c->dial != NULL)
		dial_describe(c->dial, at, sizeof at);
	errmsg_set(&why, ERR_TIMEOUT, "no answer within %lld ms (%s)",
		   (long long)c->options.connect_timeout_ms, at);
	die(c, ERR_TIMEOUT, &why);
}

static void destroy(struct conn *c)
{
	outq_release_done(&c->outq);
	loop_timer_free(c->timer);
	mem_free(c->tls_host);
	mem_free(c);
}

static void on_work(void *arg)
{
	struct conn *c = arg;
	unsigned flags = c->work_flags;
	c->work_flags = 0;
	if (c->state == CLOSED) {
		destroy(c);
		return;
	}
	if (flags & WORK_REFUSE)
		die_of(c, ERR_DNS, "the host name is longer than 255 bytes");
	if (flags & WORK_TLS && c->state == HANDSHAKE)
		start_tls(c);
	if (flags & WORK_WRITE && c->state == OPEN)
		write_some(c);
	if (flags & WORK_READ && c->state == OPEN)
		read_some(c);
	/* Nobody is going to read the rest of its words. */
	if (c->write_broken && c->paused && c->state == OPEN)
		die_of(c, ERR_CLOSED, "closed by the peer");
	update_interest(c);
}

/* The interface */

static struct conn *new_conn(struct loop *l, const struct conn_options *o,
			     const struct conn_events *events, void *arg)
{
	struct conn *c = mem_alloc(sizeof *c);
	if (c == NULL)
		return NULL;
	memset(c, 0, offsetof(struct conn, framer));
	c->loop = l;
	c->events = events;
	c->arg = arg;
	c->options = *o;
	c->options.tls_host = NULL;
	c->fd = -1;
	c->work.fn = on_work;
	c->work.arg = c;
	outq_init(&c->outq);
	framer_init(&c->framer, o->frame_max, o->pool);
	if (o->admits != NULL)
		framer_admit(&c->framer, o->large_max, o->admits);
	c->timer = loop_timer_new(l, on_timer, c);
	if (c->timer == NULL)
		goto err_after_conn;
	if (o->tls_host != NULL) {
		c->tls_host = mem_strdup(o->tls_host);
		if (c->tls_host == NULL)
			goto err_after_timer;
	}
	if (o->connect_timeout_ms > 0)
		loop_timer_set(c->timer, o->connect_timeout_ms);
	return c;

err_after_timer:
	loop_timer_free(c->timer);
err_after_conn:
	mem_free(c);
	return NULL;
}

static struct sock_options socket_options(const struct conn_options *o)
{
	return (struct sock_options){.user_timeout_ms = o->user_timeout_ms,
				     .buffer = o->socket_buffer};
}

/* Take the brackets from "[::1]". False if the name is too long; it is cut then. */
static bool copy_host(struct conn *c, const char *host, uint16_t port)
{
	size_t n = strlen(host);
	if (n >= 2 && host[0] == '[' && host[n - 1] == ']') {
		host++;
		n -= 2;
	}
	bool fits = n <= HOST_MAX;
	if (!fits)
		n = HOST_MAX;
	memcpy(c->host, host, n);
	c->host[n] = '\0';
	bool v6 = strchr(c->host, ':') != NULL;
	snprintf(c->name, sizeof c->name, v6 ? "[%s]:%u" : "%s:%u", c->host, port);
	return fits;
}

struct conn *conn_connect(struct loop *l, const char *host, uint16_t port,
			  const struct conn_options *o, const struct conn_events *events, void *arg)
{
	struct dial_options d = {.sock = socket_options(o), .deadline_ms = INT64_MAX};
	struct conn *c = new_conn(l, o, events, arg);
	if (c == NULL)
		return NULL;
	c->client = true;
	c->state = DIALING;
	if (!copy_host(c, host, port)) {
		defer_work(c, WORK_REFUSE);
		return c;
	}
	if (o->connect_timeout_ms > 0)
		d.deadline_ms = loop_now_ms(l) + o->connect_timeout_ms;
	c->dial = dial_start(l, c->host, port, &d, on_dialed, c);
	if (c->dial == NULL) {
		destroy(c);
		return NULL;
	}
	return c;
}

struct conn *conn_accepted(struct loop *l, int fd, const struct conn_options *o,
			   const struct conn_events *events, void *arg)
{
	const struct sock_options so = socket_options(o);
	struct conn *c = new_conn(l, o, events, arg);
	if (c == NULL) {
		close(fd);
		return NULL;
	}
	c->state = HANDSHAKE;
	sock_format_peer(fd, c->name, sizeof c->name);
	sock_tune(fd, &so);
	if (o->socket_buffer == 0)
		(void)sock_tune_near(fd, NEAR_QUEUE, NEAR_US);
	adopt_socket(c, fd);
	if (o->tls != NULL)
		defer_work(c, WORK_TLS);
	else
		opened(c);
	return c;
}

enum err conn_send(struct conn *c, struct wire_out *out, void (*release)(void *arg), void *arg)
{
	assert(c->state != CLOSED);
	if (c->state == DEAD)
		return ERR_CLOSED;
	enum err e = outq_push(&c->outq, out, release, arg);
	if (e == ERR_OK && c->state == OPEN && !c->write_blocked && !c->write_wants_read)
		defer_work(c, WORK_WRITE);
	return e;
}

size_t conn_unsent(const struct conn *c)
{
	return c->outq.bytes;
}

void conn_pause(struct conn *c, bool paused)
{
	if (c->paused == paused)
		return;
	c->paused = paused;
	/* Also to go on with frames that were received already, or to stop waiting. */
	if (c->state == OPEN)
		defer_work(c, paused ? 0 : WORK_READ);
}

void conn_set_frame_max(struct conn *c, size_t frame_max)
{
	assert(frame_max >= 1 && frame_max <= INT32_MAX);
	c->framer.frame_max = frame_max;
}

bool conn_mid_frame(const struct conn *c)
{
	return c->fd >= 0 && !framer_at_boundary(&c->framer);
}

const char *conn_name(const struct conn *c)
{
	return c->name;
}

uint64_t conn_bytes_in(const struct conn *c)
{
	return c->bytes_in;
}

uint64_t conn_bytes_out(const struct conn *c)
{
	return c->bytes_out;
}

void conn_close(struct conn *c)
{
	if (c == NULL)
		return;
	move(c, CLOSED);
	disconnect(c);
	outq_abort(&c->outq);
	defer_work(c, 0);
}
