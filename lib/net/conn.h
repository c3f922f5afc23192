/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection that carries Kafka frames (int32 length, then bytes), plain or TLS, client or server
 * side.
 *
 * Received frames are whole, in one block, counted by reference. A frame's length is checked
 * against `frame_max` before anything is allocated. Output is a queue of messages written with
 * writev; slices that are not copied are kept alive by the message. Ranges of files go out by
 * sendfile on a plain connection; it knows no MSG_NOSIGNAL, so such a process ignores SIGPIPE.
 *
 * Callbacks are never called from inside a function of this header. After conn_close no callback of
 * conn_events comes; the memory is freed, and queued messages are released, at the end of the loop
 * turn.
 */
#ifndef FARSHORE_NET_CONN_H
#define FARSHORE_NET_CONN_H

#include "lib/base/frame.h"
#include "lib/net/listener.h"
#include "lib/net/loop.h"
#include "lib/wire/wire.h"

struct conn;
struct tls_ctx;

struct conn_events {
	/* Connected (and TLS done): messages flow. Client side only. */
	void (*on_open)(void *arg);
	/* A whole frame without its length prefix. The callee owns one reference. */
	void (*on_frame)(void *arg, struct frame *f);
	/* So many bytes of a frame are there, and more are to come: after each read that leaves one
	 * incomplete. NULL: not told. */
	void (*on_part)(void *arg, size_t bytes);
	/* The connection is dead: refused, reset, closed by the peer, TLS failure, over the frame
	 * limit ... Called at most once, after the queued messages were released; the owner then
	 * calls conn_close. `e`: ERR_DNS, ERR_CONNECT, ERR_TLS, ERR_CLOSED, ERR_LIMIT,
	 * ERR_MALFORMED, ERR_TIMEOUT, ERR_IO (a file that was to be sent), ERR_NOMEM. `why` says
	 * the host, the port and the reason in one line for a person ("east-1:9093: certificate has
	 * expired ..."). */
	void (*on_dead)(void *arg, enum err e, const struct errmsg *why);
};

struct conn_options {
	size_t frame_max; /* bytes, 1..INT32_MAX; larger frames kill the connection (ERR_LIMIT) */
	/* Frames over `frame_max`, up to `large_max`, are received if `admits` says yes to their
	 * first 8 bytes. NULL: none. */
	size_t large_max;
	bool (*admits)(const uint8_t head[8]);
	/* Where received frames come from, counted by their declared size (ERR_NOMEM when it is at
	 * its limit). Borrowed; NULL: plain memory. */
	struct frame_pool *pool;
	int64_t connect_timeout_ms; /* name look-up, TCP and TLS together */
	int64_t user_timeout_ms; /* TCP_USER_TIMEOUT and the keepalive budget: a silent peer is dead
				    after this */
	int socket_buffer;    /* SO_SNDBUF and SO_RCVBUF in bytes; 0: the system's own tuning, but
				    a bounded send queue to an accepted peer on the same network */
	struct tls_ctx *tls;  /* NULL: plain. Borrowed */
	const char *tls_host; /* name to verify; NULL: the host connected to. Borrowed during the
				    call */
};

/* Start to connect to `host` (name, IPv4, or IPv6 with or without brackets) and `port`. All
 * addresses of the name are tried in order. `events` and `arg` are kept. NULL only when out of
 * memory. */
struct conn *conn_connect(struct loop *l, const char *host, uint16_t port,
			  const struct conn_options *o, const struct conn_events *events,
			  void *arg);

/* Serve an accepted, non-blocking socket (owned from now on). For TLS the handshake is done first,
 * within connect_timeout_ms. NULL when out of memory (the socket is closed). */
struct conn *conn_accepted(struct loop *l, int fd, const struct conn_options *o,
			   const struct conn_events *events, void *arg);

/*
 * Queue one message: the content of `out` (taken: `out` is empty and reusable afterwards), with the
 * length prefix put before it. When the message was written or the connection ended, `release(arg)`
 * is called once (from the loop, not from inside this call); `release` may be NULL. Messages are
 * accepted before the connection is open and sent when it is. ERR_CLOSED if the connection is dead;
 * ERR_NOMEM; ERR_LIMIT for more than INT32_MAX bytes; the sticky error of `out->buf`. After an
 * error release is not called and `out` is untouched.
 */
enum err conn_send(struct conn *c, struct wire_out *out, void (*release)(void *arg),
		   void *arg) ERR_MUST_USE;

/* Bytes queued and not yet handed to the kernel. */
size_t conn_unsent(const struct conn *c);

/* Stop or go on reading (back-pressure): while paused no frame is delivered. The end of the peer is
 * then noticed only when the connection is resumed or written to. */
void conn_pause(struct conn *c, bool paused);

/* Change `frame_max` for frames that begin from now on. */
void conn_set_frame_max(struct conn *c, size_t frame_max);

/* True if a frame has begun to arrive and is not complete. */
bool conn_mid_frame(const struct conn *c);

/* "host:port" for messages; lives as long as the connection. */
const char *conn_name(const struct conn *c);

/* Total bytes moved, for metrics. */
uint64_t conn_bytes_in(const struct conn *c);
uint64_t conn_bytes_out(const struct conn *c);

/* Close and free. NULL is safe. Queued messages are released. */
void conn_close(struct conn *c);

#endif
