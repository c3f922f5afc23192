/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trust stores and key stores from files: PEM and PKCS#12, told apart by content. Java's own JKS is
 * refused with the command that converts it. Whatever was read from a key store is wiped.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "lib/net/tls_impl.h"

enum { FILE_MAX = 16 << 20 };

enum format { PEM, PKCS12_STORE, JKS, UNKNOWN };

struct blob {
	uint8_t *p;
	size_t n;
};

/* What a store holds; `key` and `cert` NULL when it has none. */
struct content {
	EVP_PKEY *key;
	X509 *cert;
	STACK_OF(X509) * chain;
};

struct password {
	const char *text;
	bool asked;
};

static void free_blob(struct blob *b)
{
	if (b->p != NULL)
		OPENSSL_cleanse(b->p, b->n);
	mem_free(b->p);
	b->p = NULL;
}

static void free_content(struct content *c)
{
	EVP_PKEY_free(c->key);
	X509_free(c->cert);
	sk_X509_pop_free(c->chain, X509_free);
}

static enum err no_memory(struct errmsg *why, const char *path)
{
	return errmsg_set(why, ERR_NOMEM, "%s: out of memory", path);
}

static enum err read_all(int fd, const char *path, struct blob *out, struct errmsg *why)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return errmsg_set(why, ERR_CONFIG, "cannot read %s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return errmsg_set(why, ERR_CONFIG, "%s is not a file", path);
	if (st.st_size > FILE_MAX)
		return errmsg_set(why, ERR_CONFIG, "%s is too large for a key or trust store",
				  path);
	out->p = mem_alloc((size_t)st.st_size);
	out->n = 0;
	if (out->p == NULL)
		return no_memory(why, path);
	while (out->n < (size_t)st.st_size) {
		ssize_t got = read(fd, out->p + out->n, (size_t)st.st_size - out->n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return errmsg_set(why, ERR_CONFIG, "cannot read %s: %s", path,
					  strerror(errno));
		if (got == 0)
			break;
		out->n += (size_t)got;
	}
	return ERR_OK;
}

static enum err read_file(const char *path, struct blob *out, struct errmsg *why)
{
	*out = (struct blob){NULL, 0};
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return errmsg_set(why, ERR_CONFIG, "cannot read %s: %s", path, strerror(errno));
	enum err e = read_all(fd, path, out, why);
	close(fd);
	if (e != ERR_OK)
		free_blob(out);
	return e;
}

static enum format detect(const struct blob *b)
{
	static const char begin[] = "-----BEGIN ";
	/* Java's KeyStore formats: JKS and JCEKS begin with these words. */
	if (b->n >= 4 && (be32_get(b->p) == 0xfeedfeed || be32_get(b->p) == 0xcececece))
		return JKS;
	/* PKCS#12 (RFC 7292) is a DER or BER sequence. */
	if (b->n >= 2 && b->p[0] == 0x30 && (b->p[1] & 0x80) != 0)
		return PKCS12_STORE;
	if (b->n > 0 && memmem(b->p, b->n, begin, sizeof begin - 1) != NULL)
		return PEM;
	return UNKNOWN;
}

static enum err refuse_format(enum format f, const char *path, struct errmsg *why)
{
	const char *slash = strrchr(path, '/'), *base = slash == NULL ? path : slash + 1;
	size_t n = strlen(base);
	if (n > 4 && strcmp(base + n - 4, ".jks") == 0)
		n -= 4;
	if (f == JKS)
		return errmsg_set(why, ERR_CONFIG,
				  "%s is a JKS store, which only Java reads; convert it: keytool "
				  "-importkeystore -srckeystore %s -destkeystore %.*s.p12 "
				  "-deststoretype PKCS12",
				  path, path, (int)n, base);
	return errmsg_set(why, ERR_CONFIG, "%s is neither PEM nor PKCS#12", path);
}

/* PEM */

/* pem_password_cb. Never lets OpenSSL ask at the terminal. */
static int give_password(char *buf, int size, int writing, void *arg)
{
	(void)writing;
	struct password *pw = arg;
	pw->asked = true;
	size_t n = pw->text == NULL ? 0 : strlen(pw->text);
	if (pw->text == NULL || n > (size_t)size)
		return -1;
	memcpy(buf, pw->text, n);
	return (int)n;
}

/* The reason of a key that could not be read. */
static enum err key_failed(const struct password *pw, const char *path, struct errmsg *why)
{
	if (pw->asked && pw->text == NULL)
		return errmsg_set(why, ERR_CONFIG,
				  "%s: the private key is encrypted and no password is set", path);
	if (pw->asked)
		return errmsg_set(why, ERR_CONFIG,
				  "%s: the private key cannot be decrypted: wrong password?", path);
	return errmsg_set(why, ERR_CONFIG, "%s: no private key found", path);
}

static enum err pem_key(const struct blob *b, const char *path, const char *password,
			EVP_PKEY **out, struct errmsg *why)
{
	struct password pw = {.text = password};
	BIO *bio = BIO_new_mem_buf(b->p, (int)b->n);
	if (bio == NULL)
		return no_memory(why, path);
	*out = PEM_read_bio_PrivateKey(bio, NULL, give_password, &pw);
	BIO_free(bio);
	return *out == NULL ? key_failed(&pw, path, why) : ERR_OK;
}

/* The certificates in order: the first is our own, the others its chain. */
static enum err pem_chain(const struct blob *b, const char *path, struct content *out,
			  struct errmsg *why)
{
	struct password pw = {.text = NULL};
	X509 *x;
	BIO *bio = BIO_new_mem_buf(b->p, (int)b->n);
	out->chain = sk_X509_new_null();
	if (bio == NULL || out->chain == NULL) {
		BIO_free(bio);
		return no_memory(why, path);
	}
	out->cert = PEM_read_bio_X509_AUX(bio, NULL, give_password, &pw);
	while (out->cert != NULL && (x = PEM_read_bio_X509(bio, NULL, give_password, &pw)) != NULL)
		if (sk_X509_push(out->chain, x) <= 0) {
			X509_free(x);
			BIO_free(bio);
			return no_memory(why, path);
		}
	BIO_free(bio);
	unsigned long last = ERR_peek_last_error();
	if (out->cert == NULL || ERR_GET_REASON(last) != PEM_R_NO_START_LINE)
		return errmsg_set(why, ERR_CONFIG, "%s: %s", path,
				  out->cert == NULL ? "no certificate found"
						    : "a certificate cannot be read");
	ERR_clear_error();
	return ERR_OK;
}

/* PKCS#12 */

static enum err pkcs12_failed(const char *path, const char *password, struct errmsg *why)
{
	unsigned long first = ERR_peek_error();
	if (ERR_GET_LIB(first) == ERR_LIB_PKCS12 &&
	    ERR_GET_REASON(first) == PKCS12_R_MAC_VERIFY_FAILURE)
		return errmsg_set(why, ERR_CONFIG, "%s: %s", path,
				  password == NULL ? "a password is needed" : "wrong password");
	/* RC2-40, which Java 8 and "openssl pkcs12" 1.x wrote, is in no default provider. */
	if (ERR_GET_LIB(first) == ERR_LIB_EVP)
		return errmsg_set(why, ERR_CONFIG,
				  "%s: encrypted with an obsolete cipher; write it anew: openssl "
				  "pkcs12 -legacy -in OLD -nodes | openssl pkcs12 -export -out NEW",
				  path);
	const char *text = ERR_reason_error_string(first);
	return errmsg_set(why, ERR_CONFIG, "%s: not a usable PKCS#12 store: %s", path,
			  text == NULL ? "damaged" : text);
}

static enum err pkcs12_content(const struct blob *b, const char *path, const char *password,
			       struct content *out, struct errmsg *why)
{
	const unsigned char *p = b->p;
	PKCS12 *store = d2i_PKCS12(NULL, &p, (long)b->n);
	if (store == NULL)
		return pkcs12_failed(path, password, why);
	int ok = PKCS12_parse(store, password, &out->key, &out->cert, &out->chain);
	PKCS12_free(store);
	return ok == 1 ? ERR_OK : pkcs12_failed(path, password, why);
}

/* Key stores */

static enum err key_from_file(const char *path, const char *password, EVP_PKEY **out,
			      struct errmsg *why)
{
	struct blob b;
	enum err e = read_file(path, &b, why);
	if (e != ERR_OK)
		return e;
	enum format f = detect(&b);
	e = f == PEM ? pem_key(&b, path, password, out, why)
		     : errmsg_set(why, ERR_CONFIG, "%s: a separate key file must be PEM", path);
	free_blob(&b);
	return e;
}

static enum err key_store_content(const struct tls_config *c, struct content *out,
				  struct errmsg *why)
{
	struct blob b;
	enum err e = read_file(c->cert_file, &b, why);
	if (e != ERR_OK)
		return e;
	enum format f = detect(&b);
	if (f == PEM) {
		e = pem_chain(&b, c->cert_file, out, why);
		if (e == ERR_OK && c->key_file == NULL)
			e = pem_key(&b, c->cert_file, c->key_password, &out->key, why);
	} else if (f == PKCS12_STORE) {
		e = pkcs12_content(&b, c->cert_file, c->key_password, out, why);
	} else {
		e = refuse_format(f, c->cert_file, why);
	}
	free_blob(&b);
	if (e == ERR_OK && c->key_file != NULL && out->key == NULL)
		e = key_from_file(c->key_file, c->key_password, &out->key, why);
	return e;
}

static enum err use_key_store(const struct tls_config *c, SSL_CTX *ctx, struct errmsg *why)
{
	struct content in = {NULL, NULL, NULL};
	enum err e = key_store_content(c, &in, why);
	if (e != ERR_OK)
		goto err_after_content;
	if (in.key == NULL || in.cert == NULL) {
		e = errmsg_set(why, ERR_CONFIG, "%s: %s", c->cert_file,
			       in.key == NULL ? "no private key found" : "no certificate found");
		goto err_after_content;
	}
	if (X509_check_private_key(in.cert, in.key) != 1) {
		e = errmsg_set(why, ERR_CONFIG,
			       "%s: the private key does not belong to the certificate",
			       c->key_file != NULL ? c->key_file : c->cert_file);
		goto err_after_content;
	}
	if (SSL_CTX_use_cert_and_key(ctx, in.cert, in.key, in.chain, 1) != 1) {
		const char *text = ERR_reason_error_string(ERR_peek_error());
		e = errmsg_set(why, ERR_CONFIG, "%s: %s", c->cert_file,
			       text == NULL ? "not usable" : text);
	}

err_after_content:
	free_content(&in);
	return e;
}

/* Trust stores */

static bool trust(SSL_CTX *ctx, const struct tls_config *c, X509 *x)
{
	if (X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), x) != 1)
		return false;
	/* The list that a listener shows to clients, so that they choose the right certificate. */
	return !c->server || SSL_CTX_add_client_CA(ctx, x) == 1;
}

/* Certificates, and revocation lists: where there is one, the certificates of a chain are held
 * against it. */
static enum err trust_pem(const struct blob *b, const struct tls_config *c, SSL_CTX *ctx,
			  struct errmsg *why)
{
	struct password pw = {.text = NULL};
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	int certs = 0;
	bool ok = true;
	BIO *bio = BIO_new_mem_buf(b->p, (int)b->n);
	if (bio == NULL)
		return no_memory(why, c->ca_file);
	STACK_OF(X509_INFO) *all = PEM_X509_INFO_read_bio(bio, NULL, give_password, &pw);
	BIO_free(bio);
	if (all == NULL)
		return errmsg_set(why, ERR_CONFIG, "%s: a certificate cannot be read", c->ca_file);
	for (int i = 0; i < sk_X509_INFO_num(all) && ok; i++) {
		X509_INFO *info = sk_X509_INFO_value(all, i);
		if (info->x509 != NULL) {
			ok = trust(ctx, c, info->x509);
			certs++;
		}
		if (info->crl != NULL && ok)
			ok = X509_STORE_add_crl(store, info->crl) == 1 &&
			     X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK) == 1;
	}
	sk_X509_INFO_pop_free(all, X509_INFO_free);
	if (!ok)
		return no_memory(why, c->ca_file);
	if (certs == 0)
		return errmsg_set(why, ERR_CONFIG, "%s: no certificate found", c->ca_file);
	return ERR_OK;
}

static enum err trust_pkcs12(const struct blob *b, const struct tls_config *c, SSL_CTX *ctx,
			     struct errmsg *why)
{
	struct content in = {NULL, NULL, NULL};
	enum err e = pkcs12_content(b, c->ca_file, c->ca_password, &in, why);
	int certs = 0;
	bool ok = true;
	if (e != ERR_OK)
		return e;
	if (in.cert != NULL) {
		ok = trust(ctx, c, in.cert);
		certs++;
	}
	for (int i = 0; i < sk_X509_num(in.chain) && ok; i++, certs++)
		ok = trust(ctx, c, sk_X509_value(in.chain, i));
	free_content(&in);
	if (!ok)
		return no_memory(why, c->ca_file);
	if (certs == 0)
		return errmsg_set(why, ERR_CONFIG, "%s: no certificate found", c->ca_file);
	return ERR_OK;
}

static enum err use_trust_store(const struct tls_config *c, SSL_CTX *ctx, struct errmsg *why)
{
	struct blob b;
	if (c->ca_file == NULL) {
		/* A listener that asks for no certificate has none to check; reading the system's
		 * store takes it tens of milliseconds. */
		if (c->server && c->client_cert == TLS_CLIENT_CERT_NONE)
			return ERR_OK;
		if (SSL_CTX_set_default_verify_paths(ctx) != 1)
			return errmsg_set(why, ERR_CONFIG, "TLS: no system trust store");
		return ERR_OK;
	}
	enum err e = read_file(c->ca_file, &b, why);
	if (e != ERR_OK)
		return e;
	enum format f = detect(&b);
	if (f == PEM)
		e = trust_pem(&b, c, ctx, why);
	else if (f == PKCS12_STORE)
		e = trust_pkcs12(&b, c, ctx, why);
	else
		e = refuse_format(f, c->ca_file, why);
	free_blob(&b);
	return e;
}

enum err tls_store_load(const struct tls_config *c, SSL_CTX *ctx, struct errmsg *why)
{
	enum err e = use_trust_store(c, ctx, why);
	if (e == ERR_OK && c->cert_file != NULL)
		e = use_key_store(c, ctx, why);
	if (e == ERR_OK && c->cert_file == NULL && c->key_file != NULL)
		e = errmsg_set(why, ERR_CONFIG, "%s: a key without a certificate", c->key_file);
	return e;
}
