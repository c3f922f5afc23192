/* SPDX-License-Identifier: Apache-2.0 */
/* See certs.h. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/x509v3.h>

#include <cmocka.h>

#include "tests/unit/net/certs.h"

enum { DAY = 24 * 60 * 60 };

void certs_init(struct certs *c)
{
	memset(c, 0, sizeof *c);
	snprintf(c->dir, sizeof c->dir, "/tmp/farshore-test-XXXXXX");
	assert_non_null(mkdtemp(c->dir));
}

void certs_fini(struct certs *c)
{
	for (size_t i = 0; i < c->paths_n; i++)
		unlink(c->paths[i]);
	assert_int_equal(rmdir(c->dir), 0);
}

const char *certs_path(struct certs *c, const char *file)
{
	char path[128];
	snprintf(path, sizeof path, "%s/%s", c->dir, file);
	for (size_t i = 0; i < c->paths_n; i++)
		if (strcmp(c->paths[i], path) == 0)
			return c->paths[i];
	assert_true(c->paths_n < CERTS_FILES);
	return memcpy(c->paths[c->paths_n++], path, sizeof path);
}

static void add_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(e);
	assert_int_equal(X509_add_ext(x, e, -1), 1);
	X509_EXTENSION_free(e);
}

struct cert certs_make(struct certs *c, const struct cert_spec *spec, const struct cert *issuer)
{
	struct cert out = {.x = X509_new(), .key = EVP_EC_gen("P-256")};
	assert_non_null(out.x);
	assert_non_null(out.key);
	X509_NAME *name = X509_get_subject_name(out.x);
	X509_set_version(out.x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(out.x), ++c->serial);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)spec->name, -1,
				   -1, 0);
	X509_gmtime_adj(X509_getm_notBefore(out.x), (long)spec->from_day * DAY - 60);
	X509_gmtime_adj(X509_getm_notAfter(out.x), (long)(spec->from_day + spec->days) * DAY);
	X509_set_pubkey(out.x, out.key);
	X509_set_issuer_name(out.x, X509_get_subject_name(issuer != NULL ? issuer->x : out.x));
	add_extension(out.x, out.x, NID_basic_constraints,
		      spec->ca ? "critical,CA:TRUE" : "CA:FALSE");
	if (spec->ca)
		add_extension(out.x, out.x, NID_key_usage, "keyCertSign,cRLSign");
	if (spec->san != NULL)
		add_extension(out.x, out.x, NID_subject_alt_name, spec->san);
	assert_true(X509_sign(out.x, issuer != NULL ? issuer->key : out.key, EVP_sha256()) > 0);
	return out;
}

void certs_free(struct cert *cert)
{
	X509_free(cert->x);
	EVP_PKEY_free(cert->key);
}

void certs_write(const char *path, const void *p, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, n), n);
	close(fd);
}

/* Write what is in a memory BIO. */
static void write_bio(const char *path, BIO *bio)
{
	char *p;
	long n = BIO_get_mem_data(bio, &p);
	assert_true(n > 0);
	certs_write(path, p, (size_t)n);
	BIO_free(bio);
}

static void put_key(BIO *bio, const struct cert *cert, const char *password)
{
	const EVP_CIPHER *cipher = password == NULL ? NULL : EVP_aes_128_cbc();
	int n = password == NULL ? 0 : (int)strlen(password);
	assert_int_equal(
		PEM_write_bio_PKCS8PrivateKey(bio, cert->key, cipher, password, n, NULL, NULL), 1);
}

void certs_write_pem(const char *path, const struct cert *cert, const char *key_password)
{
	BIO *bio = BIO_new(BIO_s_mem());
	assert_int_equal(PEM_write_bio_X509(bio, cert->x), 1);
	put_key(bio, cert, key_password);
	write_bio(path, bio);
}

void certs_write_cert(const char *path, const struct cert *cert)
{
	BIO *bio = BIO_new(BIO_s_mem());
	assert_int_equal(PEM_write_bio_X509(bio, cert->x), 1);
	write_bio(path, bio);
}

void certs_write_key(const char *path, const struct cert *cert)
{
	BIO *bio = BIO_new(BIO_s_mem());
	put_key(bio, cert, NULL);
	write_bio(path, bio);
}

void certs_write_pkcs12(const char *path, const struct cert *cert, const struct cert *ca,
			const char *password)
{
	STACK_OF(X509) *chain = sk_X509_new_null();
	BIO *bio = BIO_new(BIO_s_mem());
	if (ca != NULL)
		sk_X509_push(chain, ca->x);
	PKCS12 *store = PKCS12_create(password, NULL, cert != NULL ? cert->key : NULL,
				      cert != NULL ? cert->x : NULL, chain, 0, 0, 0, 0, 0);
	assert_non_null(store);
	assert_int_equal(i2d_PKCS12_bio(bio, store), 1);
	write_bio(path, bio);
	PKCS12_free(store);
	sk_X509_free(chain);
}

void certs_write_crl(const char *path, const struct cert *ca, const struct cert *revoked)
{
	X509_CRL *crl = X509_CRL_new();
	X509_REVOKED *entry = X509_REVOKED_new();
	ASN1_TIME *now = X509_gmtime_adj(NULL, -60), *later = X509_gmtime_adj(NULL, DAY);
	BIO *bio = BIO_new(BIO_s_mem());
	X509_CRL_set_version(crl, 1);
	X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca->x));
	X509_CRL_set1_lastUpdate(crl, now);
	X509_CRL_set1_nextUpdate(crl, later);
	X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(revoked->x));
	X509_REVOKED_set_revocationDate(entry, now);
	X509_CRL_add0_revoked(crl, entry);
	assert_true(X509_CRL_sign(crl, ca->key, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_bio_X509(bio, ca->x), 1);
	assert_int_equal(PEM_write_bio_X509_CRL(bio, crl), 1);
	write_bio(path, bio);
	X509_CRL_free(crl);
	ASN1_TIME_free(now);
	ASN1_TIME_free(later);
}
