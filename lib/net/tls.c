/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS contexts that follow their files. A context is built from scratch each time and replaces the
 * old one only when it is complete; connections that use the old one keep it (OpenSSL counts
 * references).
 *
 * The stamps are taken before the files are read, so a change meanwhile shows at the next look. A
 * failed attempt is not repeated until a stamp changes again: writing the certificate and then the
 * key leaves one attempt that fails (they do not belong together) and one that works.
 */
#include "lib/net/tls.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/mem.h"
#include "lib/net/tls_impl.h"

enum {
	FILES = 3,
	LOOK_EVERY_MS = 1000,
	READ_BUFFER = 64 * 1024,
};

struct stamp {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime;
};

struct tls_ctx {
	struct tls_config config; /* strings are ours */
	struct log *log;
	BIO_METHOD *bio;
	SSL_CTX *ssl;
	struct stamp stamps[FILES];
	int64_t looked_ms;
	bool looked;
};

static void take_stamps(const struct tls_config *c, struct stamp stamps[FILES])
{
	const char *const files[FILES] = {c->ca_file, c->cert_file, c->key_file};
	memset(stamps, 0, FILES * sizeof stamps[0]);
	for (int i = 0; i < FILES; i++) {
		struct stat st;
		if (files[i] == NULL || stat(files[i], &st) != 0)
			continue;
		stamps[i].dev = st.st_dev;
		stamps[i].ino = st.st_ino;
		stamps[i].size = st.st_size;
		stamps[i].mtime = st.st_mtim;
	}
}

static bool stamps_equal(const struct stamp a[FILES], const struct stamp b[FILES])
{
	for (int i = 0; i < FILES; i++)
		if (a[i].dev != b[i].dev || a[i].ino != b[i].ino || a[i].size != b[i].size ||
		    a[i].mtime.tv_sec != b[i].mtime.tv_sec ||
		    a[i].mtime.tv_nsec != b[i].mtime.tv_nsec)
			return false;
	return true;
}

static int verify_mode(const struct tls_config *c)
{
	if (!c->server || c->client_cert == TLS_CLIENT_CERT_OPTIONAL)
		return SSL_VERIFY_PEER;
	if (c->client_cert == TLS_CLIENT_CERT_REQUIRED)
		return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	return SSL_VERIFY_NONE;
}

static void set_modes(SSL_CTX *ssl, const struct tls_config *c)
{
	static const unsigned char id[] = "farshore";
	SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_read_ahead(ssl, 1);
	SSL_CTX_set_default_read_buffer_len(ssl, READ_BUFFER);
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
	/* Tickets of clients with certificates are refused without one. */
	SSL_CTX_set_session_id_context(ssl, id, sizeof id - 1);
	SSL_CTX_set_verify(ssl, verify_mode(c), tls_stream_verified);
}

static enum err build(const struct tls_config *c, SSL_CTX **out, struct errmsg *why)
{
	enum err e = errmsg_set(why, ERR_NOMEM, "TLS: out of memory");
	ERR_clear_error();
	SSL_CTX *ssl = SSL_CTX_new(c->server ? TLS_server_method() : TLS_client_method());
	if (ssl == NULL)
		return e;
	set_modes(ssl, c);
	if (SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) != 1)
		goto err_after_ssl;
	if (c->ciphers != NULL && SSL_CTX_set_cipher_list(ssl, c->ciphers) != 1) {
		e = errmsg_set(why, ERR_CONFIG, "TLS: no usable cipher in '%s'", c->ciphers);
		goto err_after_ssl;
	}
	if (c->server && c->cert_file == NULL) {
		e = errmsg_set(why, ERR_CONFIG, "TLS: a listener needs a certificate and a key");
		goto err_after_ssl;
	}
	e = tls_store_load(c, ssl, why);
	if (e != ERR_OK)
		goto err_after_ssl;
	ERR_clear_error();
	*out = ssl;
	return ERR_OK;

err_after_ssl:
	SSL_CTX_free(ssl);
	ERR_clear_error();
	return e;
}

static void wipe(const char *secret)
{
	char *s = (char *)(uintptr_t)secret;
	if (s != NULL)
		OPENSSL_cleanse(s, strlen(s));
	mem_free(s);
}

static void fini_config(struct tls_config *c)
{
	mem_free((char *)(uintptr_t)c->ca_file);
	mem_free((char *)(uintptr_t)c->cert_file);
	mem_free((char *)(uintptr_t)c->key_file);
	mem_free((char *)(uintptr_t)c->ciphers);
	wipe(c->ca_password);
	wipe(c->key_password);
}

/* Replace the borrowed string in `*s` by a copy; NULL stays. */
static bool own(const char **s, const char *from)
{
	*s = from == NULL ? NULL : mem_strdup(from);
	return from == NULL || *s != NULL;
}

static bool copy_config(struct tls_config *to, const struct tls_config *from)
{
	bool ok = true;
	*to = *from;
	ok &= own(&to->ca_file, from->ca_file);
	ok &= own(&to->ca_password, from->ca_password);
	ok &= own(&to->cert_file, from->cert_file);
	ok &= own(&to->key_file, from->key_file);
	ok &= own(&to->key_password, from->key_password);
	ok &= own(&to->ciphers, from->ciphers);
	return ok;
}

static BIO_METHOD *new_bio_method(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "farshore socket");
	if (m == NULL)
		return NULL;
	BIO_meth_set_read(m, tls_stream_bio_read);
	BIO_meth_set_write(m, tls_stream_bio_write);
	BIO_meth_set_ctrl(m, tls_stream_bio_ctrl);
	return m;
}

enum err tls_ctx_new(const struct tls_config *c, struct log *log, struct tls_ctx **out,
		     struct errmsg *why)
{
	enum err e = errmsg_set(why, ERR_NOMEM, "TLS: out of memory");
	struct tls_ctx *t = mem_zalloc(1, sizeof *t);
	if (t == NULL)
		return e;
	t->log = log;
	if (!copy_config(&t->config, c))
		goto err_after_config;
	t->bio = new_bio_method();
	if (t->bio == NULL)
		goto err_after_config;
	take_stamps(&t->config, t->stamps);
	e = build(&t->config, &t->ssl, why);
	if (e != ERR_OK)
		goto err_after_bio;
	*out = t;
	return ERR_OK;

err_after_bio:
	BIO_meth_free(t->bio);
err_after_config:
	fini_config(&t->config);
	mem_free(t);
	return e;
}

void tls_ctx_free(struct tls_ctx *t)
{
	if (t == NULL)
		return;
	SSL_CTX_free(t->ssl);
	BIO_meth_free(t->bio);
	fini_config(&t->config);
	mem_free(t);
}

static void reload(struct tls_ctx *t)
{
	struct errmsg why = {0};
	SSL_CTX *fresh = NULL;
	const char *file = t->config.cert_file != NULL ? t->config.cert_file : t->config.ca_file;
	enum err e = build(&t->config, &fresh, &why);
	if (e != ERR_OK) {
		log_event(t->log, LOG_WARN, "tls_files_rejected", LOG_S("reason", why.text),
			  LOG_S("action", "the certificates read before stay in use"));
		return;
	}
	SSL_CTX_free(t->ssl);
	t->ssl = fresh;
	log_event(t->log, LOG_INFO, "tls_files_reloaded", LOG_S("file", file));
}

SSL_CTX *tls_ctx_current(struct tls_ctx *t, int64_t now_ms)
{
	struct stamp now[FILES];
	if (t->looked && now_ms - t->looked_ms < LOOK_EVERY_MS)
		return t->ssl;
	t->looked = true;
	t->looked_ms = now_ms;
	take_stamps(&t->config, now);
	if (!stamps_equal(now, t->stamps)) {
		memcpy(t->stamps, now, sizeof now);
		reload(t);
	}
	return t->ssl;
}

const BIO_METHOD *tls_ctx_bio(const struct tls_ctx *t)
{
	return t->bio;
}

const struct tls_config *tls_ctx_config(const struct tls_ctx *t)
{
	return &t->config;
}
