/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS settings and contexts (OpenSSL, TLS 1.2 and later). A context re-reads its files when they
 * change on disk, so that a renewed certificate is used by the next connection without a restart;
 * files that cannot be read then leave the old context in use and are logged.
 */
#ifndef FARSHORE_NET_TLS_H
#define FARSHORE_NET_TLS_H

#include "lib/base/err.h"
#include "lib/base/log.h"

/* All strings are borrowed during tls_ctx_new only; NULL where not set. */
struct tls_config {
	/* PEM, or PKCS#12 (found by content). NULL: the system's store; a listener that asks for no
	 * certificate reads none. */
	const char *ca_file;
	const char *ca_password;  /* of a PKCS#12 trust store */
	const char *cert_file;    /* PEM chain, or PKCS#12 with chain and key */
	const char *key_file;     /* PEM; NULL: in cert_file */
	const char *key_password; /* of the key or the PKCS#12 key store */
	const char *ciphers;      /* OpenSSL list for TLS 1.2, NULL: default */
	bool no_verify_host;      /* ssl.endpoint.identification.algorithm= (empty) */
	bool server;              /* for accepting connections */
	enum {
		TLS_CLIENT_CERT_NONE,
		TLS_CLIENT_CERT_OPTIONAL,
		TLS_CLIENT_CERT_REQUIRED
	} client_cert;
};

struct tls_ctx;

/* ERR_CONFIG with file and reason in `why` (a JKS store is named as such, with the keytool command
 * that converts it). */
enum err tls_ctx_new(const struct tls_config *c, struct log *log, struct tls_ctx **out,
		     struct errmsg *why) ERR_MUST_USE;
void tls_ctx_free(struct tls_ctx *t);

#endif
