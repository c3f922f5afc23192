/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates, keys and stores made on the spot, in a folder that is removed again. */
#ifndef FARSHORE_TESTS_NET_CERTS_H
#define FARSHORE_TESTS_NET_CERTS_H

#include <openssl/evp.h>
#include <openssl/x509.h>

enum { CERTS_FILES = 32 };

struct certs {
	char dir[64];
	char paths[CERTS_FILES][128];
	size_t paths_n;
	long serial;
};

struct cert {
	X509 *x;
	EVP_PKEY *key;
};

struct cert_spec {
	const char *name;   /* common name */
	const char *san;    /* as in openssl's configuration: "DNS:a,IP:127.0.0.1"; NULL: none */
	int from_day, days; /* validity, from today */
	bool ca;
};

void certs_init(struct certs *c);
void certs_fini(struct certs *c); /* removes the files and the folder */

/* `issuer` NULL: self-signed. */
struct cert certs_make(struct certs *c, const struct cert_spec *spec, const struct cert *issuer);
void certs_free(struct cert *cert);

/* "<folder>/<file>"; lives as long as `c`. The same file gives the same string. */
const char *certs_path(struct certs *c, const char *file);

void certs_write(const char *path, const void *p, size_t n);
void certs_write_pem(const char *path, const struct cert *cert, const char *key_password);
void certs_write_cert(const char *path, const struct cert *cert);
void certs_write_key(const char *path, const struct cert *cert);
/* A PKCS#12 with key and certificate (and `ca` as its chain), or with `ca` alone. */
void certs_write_pkcs12(const char *path, const struct cert *cert, const struct cert *ca,
			const char *password);
/* The CA's certificate and a list that revokes `revoked`. */
void certs_write_crl(const char *path, const struct cert *ca, const struct cert *revoked);

#endif
