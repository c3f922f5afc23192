/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One TLS connection. OpenSSL moves bytes through a BIO of ours, which is the socket but for two
 * things: it never raises SIGPIPE, and it keeps what the socket said (errno, end of stream, the
 * first bytes), from which the reason of a failure is told.
 *
 * The reason is written down at the moment of the failure, since OpenSSL's error queue belongs to
 * the thread, not to the connection.
 */
#include "lib/net/tls_stream.h"

#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/mem.h"
#include "lib/net/tls_impl.h"

enum {
	HOST_MAX = 255,
	RECORD_MAX = 16384, /* RFC 8446, section 5.1 */
	FIRST_BYTES = 2,
};

struct tls_stream {
	SSL *ssl;
	int fd;
	bool server;
	bool open;   /* the handshake is done */
	bool broken; /* no good-bye */
	bool eof;    /* the socket's stream ended */
	int sys;     /* errno of the socket's failure, 0 if none */
	size_t seen; /* bytes received, counted up to FIRST_BYTES */
	uint8_t first[FIRST_BYTES];
	enum err reason;
	struct errmsg verify; /* why the certificate was refused; "" if it was not */
	struct errmsg why;
	char host[HOST_MAX + 1];
};

int tls_stream_bio_read(BIO *b, char *p, int n)
{
	struct tls_stream *s = BIO_get_data(b);
	ssize_t got;
	BIO_clear_retry_flags(b);
	do
		got = recv(s->fd, p, (size_t)n, 0);
	while (got < 0 && errno == EINTR);
	if (got < 0 && errno == EAGAIN)
		BIO_set_retry_read(b);
	else if (got < 0)
		s->sys = errno;
	else if (got == 0)
		s->eof = true;
	for (ssize_t i = 0; i < got && s->seen < FIRST_BYTES; i++)
		s->first[s->seen++] = (uint8_t)p[i];
	return (int)got;
}

int tls_stream_bio_write(BIO *b, const char *p, int n)
{
	struct tls_stream *s = BIO_get_data(b);
	ssize_t put;
	BIO_clear_retry_flags(b);
	do
		put = send(s->fd, p, (size_t)n, MSG_NOSIGNAL);
	while (put < 0 && errno == EINTR);
	if (put < 0 && errno == EAGAIN)
		BIO_set_retry_write(b);
	else if (put < 0)
		s->sys = errno;
	return (int)put;
}

long tls_stream_bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
	(void)b;
	(void)num;
	(void)ptr;
	return cmd == BIO_CTRL_FLUSH;
}

int tls_stream_verified(int ok, X509_STORE_CTX *x)
{
	if (ok == 1)
		return 1;
	SSL *ssl = X509_STORE_CTX_get_ex_data(x, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_stream *s = SSL_get_app_data(ssl);
	tls_text_verify(x, s->host, &s->verify);
	return 0;
}

/* The name for the server (SNI is for names only, RFC 6066, section 3) and what its certificate
 * must say. */
static bool expect_host(struct tls_stream *s, const char *host, bool verify)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(s->ssl);
	ASN1_OCTET_STRING *ip = a2i_IPADDRESS(host);
	bool is_ip = ip != NULL;
	size_t n = strlen(host);
	ASN1_OCTET_STRING_free(ip);
	ERR_clear_error();
	if (n > HOST_MAX)
		return false;
	/* "name." is the same host; certificates do not have the dot. */
	if (n > 1 && host[n - 1] == '.')
		n--;
	memcpy(s->host, host, n);
	s->host[n] = '\0';
	if (!is_ip && SSL_set_tlsext_host_name(s->ssl, s->host) != 1)
		return false;
	if (!verify)
		return true;
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (is_ip)
		return X509_VERIFY_PARAM_set1_ip_asc(param, s->host) == 1;
	return X509_VERIFY_PARAM_set1_host(param, s->host, 0) == 1;
}

static enum err set_up(struct tls_stream *s, struct tls_ctx *t, const char *host, int64_t now_ms)
{
	s->ssl = SSL_new(tls_ctx_current(t, now_ms));
	if (s->ssl == NULL)
		return ERR_NOMEM;
	BIO *bio = BIO_new(tls_ctx_bio(t));
	if (bio == NULL)
		return ERR_NOMEM;
	BIO_set_data(bio, s);
	BIO_set_init(bio, 1);
	SSL_set_bio(s->ssl, bio, bio);
	if (SSL_set_app_data(s->ssl, s) != 1)
		return ERR_NOMEM;
	if (s->server) {
		SSL_set_accept_state(s->ssl);
		return ERR_OK;
	}
	SSL_set_connect_state(s->ssl);
	return expect_host(s, host, !tls_ctx_config(t)->no_verify_host) ? ERR_OK : ERR_TLS;
}

enum err tls_stream_new(struct tls_ctx *t, int fd, const char *host, int64_t now_ms,
			struct tls_stream **out, struct errmsg *why)
{
	struct tls_stream *s = mem_zalloc(1, sizeof *s);
	if (s == NULL)
		return errmsg_set(why, ERR_NOMEM, "out of memory for TLS");
	s->fd = fd;
	s->server = tls_ctx_config(t)->server;
	assert(s->server == (host == NULL));
	ERR_clear_error();
	enum err e = set_up(s, t, host, now_ms);
	if (e != ERR_OK) {
		errmsg_set(why, e,
			   e == ERR_NOMEM ? "out of memory for TLS"
					  : "not a host name that TLS can verify");
		s->broken = true;
		tls_stream_free(s);
		return e;
	}
	*out = s;
	return ERR_OK;
}

void tls_stream_free(struct tls_stream *s)
{
	if (s == NULL)
		return;
	ERR_clear_error();
	if (s->open && !s->broken)
		(void)SSL_shutdown(s->ssl);
	SSL_free(s->ssl);
	ERR_clear_error();
	mem_free(s);
}

static bool first_bytes_are_tls(const struct tls_stream *s)
{
	/* Content type 20..24 and major version 3 (RFC 8446, section 5.1). */
	return s->seen < FIRST_BYTES ||
	       (s->first[0] >= 20 && s->first[0] <= 24 && s->first[1] == 3);
}

static enum err explain_end(struct tls_stream *s)
{
	if (s->open)
		return errmsg_set(&s->why, ERR_CLOSED, "closed by the peer%s",
				  s->eof ? " without ending TLS" : "");
	if (s->seen == 0)
		return errmsg_set(&s->why, ERR_TLS,
				  "closed by the peer before it said anything in TLS; %s",
				  s->server ? "a port probe?" : "is this a plaintext listener?");
	return errmsg_set(&s->why, ERR_TLS, "closed by the peer during the TLS handshake");
}

static enum err explain_failure(struct tls_stream *s)
{
	unsigned long error = ERR_peek_error();
	if (s->verify.text[0] != '\0')
		return errmsg_set(&s->why, ERR_TLS, "%s", s->verify.text);
	/* A plaintext broker takes our first bytes for a frame length and closes with a reset. */
	if (!s->open && sock_peer_left(s->sys))
		return explain_end(s);
	if (s->sys != 0)
		return sock_reason(s->sys, &s->why);
	if (!s->open && !first_bytes_are_tls(s))
		return errmsg_set(&s->why, ERR_TLS, "the peer does not speak TLS; %s",
				  s->server ? "a client with security.protocol=PLAINTEXT?"
					    : "this looks like a plaintext listener");
	if (ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE)
		return errmsg_set(&s->why, ERR_NOMEM, "out of memory in TLS");
	return errmsg_set(&s->why, ERR_TLS, "%s", tls_text_failure(error, s->server));
}

/* What an OpenSSL call came to; `rc` is its result. */
static enum sock_io outcome(struct tls_stream *s, int rc)
{
	switch (SSL_get_error(s->ssl, rc)) {
	case SSL_ERROR_NONE:
		return SOCK_OK;
	case SSL_ERROR_WANT_READ:
		return SOCK_WANT_READ;
	case SSL_ERROR_WANT_WRITE:
		return SOCK_WANT_WRITE;
	case SSL_ERROR_ZERO_RETURN:
		s->reason = explain_end(s);
		return SOCK_EOF;
	default:
		break;
	}
	s->broken = true;
	s->reason = s->eof && s->verify.text[0] == '\0' ? explain_end(s) : explain_failure(s);
	ERR_clear_error();
	errno = s->sys;
	return s->eof ? SOCK_EOF : SOCK_FAILED;
}

/* Forget what belongs to the call before: one that failed to write may be followed by one that
 * reads the peer's alert. */
static void begin(struct tls_stream *s)
{
	ERR_clear_error();
	s->sys = 0;
}

enum sock_io tls_stream_handshake(struct tls_stream *s)
{
	begin(s);
	enum sock_io io = outcome(s, SSL_do_handshake(s->ssl));
	if (io == SOCK_OK)
		s->open = true;
	return io;
}

enum sock_io tls_stream_read(struct tls_stream *s, void *p, size_t n, size_t *got)
{
	begin(s);
	return outcome(s, SSL_read_ex(s->ssl, p, n, got));
}

/* Copy from the front of the pieces until `room` is full. */
static size_t gather(const struct iovec *iov, size_t iov_n, uint8_t *p, size_t room)
{
	size_t n = 0;
	for (size_t i = 0; i < iov_n && n < room; i++) {
		size_t step = iov[i].iov_len < room - n ? iov[i].iov_len : room - n;
		memcpy(p + n, iov[i].iov_base, step);
		n += step;
	}
	return n;
}

/*
 * A piece that fills a record is encrypted from where it lies; smaller ones are first put together,
 * so that a record does not carry four bytes. After SOCK_WANT_WRITE OpenSSL holds a finished record
 * and wants at least its bytes offered again: the pieces only ever grow at the end, so what is
 * offered next begins with them, whichever way it is put together.
 */
enum sock_io tls_stream_writev(struct tls_stream *s, const struct iovec *iov, size_t iov_n,
			       size_t *put)
{
	uint8_t merged[RECORD_MAX];
	const void *p = iov[0].iov_base;
	size_t n = iov[0].iov_len;
	if (n < RECORD_MAX && iov_n > 1) {
		n = gather(iov, iov_n, merged, sizeof merged);
		p = merged;
	}
	begin(s);
	enum sock_io io = outcome(s, SSL_write_ex(s->ssl, p, n, put));
	/* A good-bye in the middle of a record would be noise. */
	s->broken |= io == SOCK_WANT_WRITE;
	return io;
}

bool tls_stream_pending(const struct tls_stream *s)
{
	return SSL_has_pending(s->ssl) == 1;
}

enum err tls_stream_why(const struct tls_stream *s, struct errmsg *why)
{
	*why = s->why;
	return s->reason;
}
