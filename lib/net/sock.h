/* SPDX-License-Identifier: Apache-2.0 */
/* Non-blocking stream sockets: options, connect, scattered reads and writes. No events here. */
#ifndef FARSHORE_NET_SOCK_H
#define FARSHORE_NET_SOCK_H

#include <netdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "lib/base/err.h"

/* What came of a read, a write or a handshake, plain or TLS. */
enum sock_io {
	SOCK_OK,
	SOCK_WANT_READ, /* nothing moved; try again when readable */
	SOCK_WANT_WRITE,
	SOCK_EOF,
	SOCK_FAILED, /* errno is set, or 0 if it was not the socket that failed */
};

struct sock_options {
	int64_t user_timeout_ms; /* 0: the system's */
	int buffer;              /* SO_SNDBUF and SO_RCVBUF; 0: the system's tuning */
};

/* TCP_NODELAY, keepalive and TCP_USER_TIMEOUT so that a silent peer is dead after about
 * user_timeout_ms, buffers. What the socket does not know (a Unix socket) is skipped. */
void sock_tune(int fd, const struct sock_options *o);

/*
 * For a writer of much to a peer whose round trip, as the kernel measured it so far, is below
 * `near_us` microseconds: SO_SNDBUF is `queue` bytes, and nothing is paced. False for a peer
 * further away, which needs the system's own tuning to fill the line, and for what is not TCP.
 */
bool sock_tune_near(int fd, int queue, int64_t near_us);

/* Start to connect: done, or failed (sock_error), when the socket becomes writable. Returns the
 * descriptor (close-on-exec), or -1 with errno. */
int sock_connect(const struct addrinfo *a, const struct sock_options *o);

/* The pending error of a socket (SO_ERROR), 0 if none. */
int sock_error(int fd);

/* `*n` is set with SOCK_OK only, and is then not zero. No SIGPIPE. `more`: the next write follows
 * at once, so a part of a packet may wait for it (MSG_MORE). */
enum sock_io sock_readv(int fd, struct iovec *iov, size_t iov_n, size_t *n);
enum sock_io sock_writev(int fd, struct iovec *iov, size_t iov_n, bool more, size_t *n);

/* Send up to `max` bytes of a file from `position`, without a copy through memory. A file that ends
 * before gives SOCK_FAILED with ENODATA. */
enum sock_io sock_sendfile(int fd, int file, int64_t position, size_t max, size_t *n);

/* True for the errors that say: the peer closed, perhaps with a reset. */
bool sock_peer_left(int error);

/* What a failed read or write means: ERR_TIMEOUT when the peer fell silent, else ERR_CLOSED. */
enum err sock_reason(int error, struct errmsg *why);

/* "10.0.0.1" / "10.0.0.1:9092" / "[::1]:9092" into `out`; "?" for what is not an address. */
void sock_format_addr(const struct sockaddr *sa, bool with_port, char *out, size_t n);

/* The peer of a connected socket as above, with its port; "local socket" for a Unix socket. */
void sock_format_peer(int fd, char *out, size_t n);

#endif
