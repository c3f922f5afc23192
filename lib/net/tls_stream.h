/* SPDX-License-Identifier: Apache-2.0 */
/* TLS over one connected, non-blocking socket. No events here: the owner waits for what is wanted.
 */
#ifndef FARSHORE_NET_TLS_STREAM_H
#define FARSHORE_NET_TLS_STREAM_H

#include "lib/net/sock.h"
#include "lib/net/tls.h"

struct tls_stream;

/* `fd` is borrowed. `host` is the name or the address to verify (client side; NULL on the server
 * side). Re-reads the context's files if they changed. ERR_NOMEM, ERR_TLS. */
enum err tls_stream_new(struct tls_ctx *t, int fd, const char *host, int64_t now_ms,
			struct tls_stream **out, struct errmsg *why) ERR_MUST_USE;

/* Says good-bye to the peer if the socket takes it at once. NULL is safe. */
void tls_stream_free(struct tls_stream *s);

/* After SOCK_FAILED or SOCK_EOF of one of these, tls_stream_why says what happened. */
enum sock_io tls_stream_handshake(struct tls_stream *s);
enum sock_io tls_stream_read(struct tls_stream *s, void *p, size_t n, size_t *got);
/* May write less than there is. The bytes offered next must start with those not yet written. */
enum sock_io tls_stream_writev(struct tls_stream *s, const struct iovec *iov, size_t iov_n,
			       size_t *put);

/* True if bytes were read from the socket that tls_stream_read did not give yet: the socket will
 * not become readable for them. */
bool tls_stream_pending(const struct tls_stream *s);

/* The reason of the last failure: ERR_TLS, ERR_CLOSED, ERR_TIMEOUT (the socket's) or ERR_NOMEM. */
enum err tls_stream_why(const struct tls_stream *s, struct errmsg *why);

#endif
