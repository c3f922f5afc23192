/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of TLS share: tls.c (contexts), tls_store.c (files), tls_text.c (words for people)
 * and tls_stream.c (one connection). */
#ifndef FARSHORE_NET_TLS_IMPL_H
#define FARSHORE_NET_TLS_IMPL_H

#include <openssl/ssl.h>

#include "lib/net/tls.h"

/* The newest usable context, borrowed: SSL_new takes its own reference. Looks at the files at most
 * once a second. */
SSL_CTX *tls_ctx_current(struct tls_ctx *t, int64_t now_ms);

/* The socket BIO of the streams: like OpenSSL's, but without SIGPIPE. */
const BIO_METHOD *tls_ctx_bio(const struct tls_ctx *t);

const struct tls_config *tls_ctx_config(const struct tls_ctx *t);

/* The BIO's calls, with the stream as BIO data (tls_stream.c). */
int tls_stream_bio_read(BIO *b, char *p, int n);
int tls_stream_bio_write(BIO *b, const char *p, int n);
long tls_stream_bio_ctrl(BIO *b, int cmd, long num, void *ptr);
/* The certificate check's last word (SSL_verify_cb). */
int tls_stream_verified(int ok, X509_STORE_CTX *x);

/* Read the trust store and the key store of `c` into `ctx`. ERR_CONFIG, ERR_NOMEM. */
enum err tls_store_load(const struct tls_config *c, SSL_CTX *ctx, struct errmsg *why) ERR_MUST_USE;

/* Why the peer's certificate was refused. `host` is the name it should have had (client side). */
void tls_text_verify(X509_STORE_CTX *x, const char *host, struct errmsg *why);

/* What an OpenSSL error (ERR_peek_error) means to a person. `server`: we are the accepting side. */
const char *tls_text_failure(unsigned long error, bool server);

#endif
