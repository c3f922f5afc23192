/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One SASL exchange.
 *
 *   PLAIN   PUT -> TAKE -> DONE
 *   SCRAM   PUT (client-first) -> TAKE (server-first) -> COMPUTE -> PUT (client-final)
 *           -> TAKE (server-final) -> DONE
 *
 * SCRAM as in RFC 5802 section 3, without channel binding (gs2-header "n,,": Kafka offers no -PLUS
 * mechanism). What the server says is checked before it is used: our nonce comes first in its nonce
 * and something follows (RFC 5802 section 5.1), the iteration count is within bounds (a hostile
 * server could otherwise keep a thread busy for hours: CVE-2026-10143), the salt is small, and its
 * signature proves that it knows our keys.
 *
 * The password is copied, since sasl_compute may outlive the caller's copy; both it and the keys
 * are wiped in sasl_free.
 */
#include "lib/net/sasl.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "lib/base/mem.h"

enum {
	NONCE_BYTES = 24,      /* random bytes; base64 makes 32 characters of them */
	NONCE_MAX = 512,       /* characters of the combined nonce */
	SALT_MAX = 512,        /* bytes */
	CREDENTIAL_MAX = 1024, /* bytes of a user name or password */
	KEY_MAX = EVP_MAX_MD_SIZE
};

struct sasl_mechanism {
	const char *name;
	const EVP_MD *(*digest)(void); /* NULL: PLAIN */
};

static const struct sasl_mechanism mechanisms[] = {
	{"PLAIN", NULL},
	{"SCRAM-SHA-256", EVP_sha256},
	{"SCRAM-SHA-512", EVP_sha512},
};

struct sasl {
	const struct sasl_mechanism *mechanism;
	enum sasl_todo todo;
	bool final; /* SCRAM: client-first is done with */
	char *username;
	char *password;
	char nonce[NONCE_BYTES / 3 * 4 + 1];
	/* "client-first-bare,server-first,client-final-without-proof": what both sides sign. */
	struct buf signed_text;
	size_t final_at; /* where client-final-without-proof starts in it */
	uint8_t salt[SALT_MAX];
	size_t salt_n;
	int iterations;
	size_t key_n;
	uint8_t proof[KEY_MAX];
	uint8_t server_signature[KEY_MAX];
};

static const struct sasl_mechanism *sasl_find(const char *name)
{
	for (size_t i = 0; i < sizeof mechanisms / sizeof *mechanisms; i++)
		if (strcmp(mechanisms[i].name, name) == 0)
			return &mechanisms[i];
	return NULL;
}

enum err sasl_check(const struct rpc_sasl *c, struct errmsg *why)
{
	if (sasl_find(c->mechanism) == NULL)
		return errmsg_set(why, ERR_CONFIG,
				  "SASL mechanism \"%.64s\" is not supported: use PLAIN, "
				  "SCRAM-SHA-256 or SCRAM-SHA-512",
				  c->mechanism);
	if (c->username == NULL || c->username[0] == '\0')
		return errmsg_set(why, ERR_CONFIG, "SASL %s needs a user name", c->mechanism);
	if (c->password == NULL || c->password[0] == '\0')
		return errmsg_set(why, ERR_CONFIG, "SASL %s needs a password", c->mechanism);
	if (strlen(c->username) > CREDENTIAL_MAX || strlen(c->password) > CREDENTIAL_MAX)
		return errmsg_set(why, ERR_CONFIG,
				  "SASL user name or password is longer than %d bytes",
				  CREDENTIAL_MAX);
	return ERR_OK;
}

static enum err sasl_make_nonce(struct sasl *s, const char *nonce, struct errmsg *why)
{
	if (nonce != NULL) {
		size_t n = strlen(nonce);
		assert(n < sizeof s->nonce);
		memcpy(s->nonce, nonce, n + 1);
		return ERR_OK;
	}
	uint8_t raw[NONCE_BYTES];
	if (RAND_bytes(raw, sizeof raw) != 1)
		return errmsg_set(why, ERR_IO, "SASL: no random numbers");
	EVP_EncodeBlock((uint8_t *)s->nonce, raw, sizeof raw);
	return ERR_OK;
}

enum err sasl_new(const struct rpc_sasl *c, const char *nonce, struct sasl **out,
		  struct errmsg *why)
{
	enum err e = sasl_check(c, why);
	if (e != ERR_OK)
		return e;
	struct sasl *s = mem_zalloc(1, sizeof *s);
	if (s == NULL)
		return errmsg_set(why, ERR_NOMEM, "SASL: %s", err_text(ERR_NOMEM));
	s->mechanism = sasl_find(c->mechanism);
	s->todo = SASL_PUT;
	buf_init(&s->signed_text, 3 * (size_t)SASL_MESSAGE_MAX);
	s->username = mem_strdup(c->username);
	s->password = mem_strdup(c->password);
	if (s->username == NULL || s->password == NULL) {
		e = errmsg_set(why, ERR_NOMEM, "SASL: %s", err_text(ERR_NOMEM));
		goto err_after_new;
	}
	e = sasl_make_nonce(s, nonce, why);
	if (e != ERR_OK)
		goto err_after_new;
	*out = s;
	return ERR_OK;

err_after_new:
	sasl_free(s);
	return e;
}

void sasl_free(struct sasl *s)
{
	if (s == NULL)
		return;
	if (s->password != NULL)
		OPENSSL_cleanse(s->password, strlen(s->password));
	mem_free(s->password);
	mem_free(s->username);
	buf_fini(&s->signed_text);
	OPENSSL_cleanse(s, sizeof *s);
	mem_free(s);
}

enum sasl_todo sasl_todo(const struct sasl *s)
{
	return s->todo;
}

/* ---- the client's messages ---- */

/* RFC 4616: authzid NUL authcid NUL passwd. An authzid is not sent: who acts is who logs in
 * (CVE-2017-12610). */
static void sasl_put_plain(const struct sasl *s, struct buf *out)
{
	buf_put_u8(out, 0);
	buf_put_str(out, s->username);
	buf_put_u8(out, 0);
	buf_put_str(out, s->password);
}

/* "n=user,r=nonce"; "," and "=" of the name are escaped (RFC 5802 section 5.1). */
static void sasl_put_first_bare(const struct sasl *s, struct buf *out)
{
	buf_put_str(out, "n=");
	for (const char *p = s->username; *p != '\0'; p++) {
		if (*p == ',')
			buf_put_str(out, "=2C");
		else if (*p == '=')
			buf_put_str(out, "=3D");
		else
			buf_put_u8(out, (uint8_t)*p);
	}
	buf_put_str(out, ",r=");
	buf_put_str(out, s->nonce);
}

static void sasl_put_base64(struct buf *out, const uint8_t *p, size_t n)
{
	/* One more than needed: EVP_EncodeBlock writes a NUL. */
	uint8_t *at = buf_extend(out, (n + 2) / 3 * 4 + 1);
	if (at == NULL)
		return;
	EVP_EncodeBlock(at, p, (int)n);
	out->len--;
}

static void sasl_put_final(const struct sasl *s, struct buf *out)
{
	struct bytes text = buf_bytes(&s->signed_text);
	buf_put(out, text.p + s->final_at, text.n - s->final_at);
	buf_put_str(out, ",p=");
	sasl_put_base64(out, s->proof, s->key_n);
}

enum err sasl_put(struct sasl *s, struct buf *out)
{
	assert(s->todo == SASL_PUT);
	if (s->mechanism->digest == NULL) {
		sasl_put_plain(s, out);
	} else if (s->final) {
		sasl_put_final(s, out);
	} else {
		sasl_put_first_bare(s, &s->signed_text);
		buf_put_str(out, "n,,");
		buf_put(out, s->signed_text.p, s->signed_text.len);
		if (s->signed_text.err != ERR_OK)
			return s->signed_text.err;
	}
	s->todo = SASL_TAKE;
	return out->err;
}

/* ---- the server's messages ---- */

/* Cut "x=value" off the front of `in`; false if the next attribute is not `name`. */
static bool sasl_attribute(struct bytes *in, char name, struct bytes *value)
{
	if (in->n < 2 || in->p[0] != (uint8_t)name || in->p[1] != '=')
		return false;
	const uint8_t *comma = memchr(in->p, ',', in->n);
	size_t n = comma == NULL ? in->n : (size_t)(comma - in->p);
	*value = bytes_of(in->p + 2, n - 2);
	size_t skip = comma == NULL ? n : n + 1;
	*in = bytes_of(in->p + skip, in->n - skip);
	return true;
}

/* Strict base64 (RFC 4648 section 4, padded); -1 if it is not, or longer than `max` decoded. */
static int sasl_get_base64(struct bytes in, uint8_t *out, size_t max)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	if (in.n == 0 || in.n % 4 != 0 || in.n / 4 > max / 3 + 1)
		return -1;
	size_t pad = in.p[in.n - 1] != '=' ? 0 : in.p[in.n - 2] != '=' ? 1 : 2;
	uint32_t acc = 0;
	size_t n = 0;
	for (size_t i = 0; i < in.n; i++) {
		const char *digit = in.p[i] == '\0' ? NULL : strchr(digits, in.p[i]);
		if (digit == NULL && i < in.n - pad)
			return -1;
		acc = acc << 6 | (uint32_t)(i < in.n - pad ? digit - digits : 0);
		if (i % 4 != 3)
			continue;
		size_t take = i + 1 == in.n ? 3 - pad : 3;
		if (take > max - n)
			return -1;
		for (size_t k = 0; k < take; k++)
			out[n++] = (uint8_t)(acc >> (16 - 8 * k));
		acc = 0;
	}
	return (int)n;
}

/* The server's nonce: ours, then at least one character of its own, all printable. */
static bool sasl_nonce_good(const struct sasl *s, struct bytes nonce)
{
	size_t ours = strlen(s->nonce);
	if (nonce.n <= ours || nonce.n > NONCE_MAX || memcmp(nonce.p, s->nonce, ours) != 0)
		return false;
	for (size_t i = 0; i < nonce.n; i++)
		if (nonce.p[i] < 0x21 || nonce.p[i] > 0x7e)
			return false;
	return true;
}

/* A decimal number without sign or leading zero, or -1. */
static int sasl_get_iterations(struct bytes in)
{
	if (in.n == 0 || in.n > 9 || in.p[0] == '0')
		return -1;
	int v = 0;
	for (size_t i = 0; i < in.n; i++) {
		if (in.p[i] < '0' || in.p[i] > '9')
			return -1;
		v = v * 10 + (in.p[i] - '0');
	}
	return v;
}

/* server-first: "r=nonce,s=salt,i=iterations" and extensions, which are ignored. (A mandatory
 * extension would come first, as "m=", and is refused as no nonce.) */
static enum err sasl_take_first(struct sasl *s, struct bytes in, struct errmsg *why)
{
	struct bytes rest = in, nonce, salt, count;
	if (!sasl_attribute(&rest, 'r', &nonce) || !sasl_attribute(&rest, 's', &salt) ||
	    !sasl_attribute(&rest, 'i', &count))
		return errmsg_set(why, ERR_MALFORMED, "%s: the server's first message is malformed",
				  s->mechanism->name);
	if (!sasl_nonce_good(s, nonce))
		return errmsg_set(why, ERR_AUTH, "%s: the server's nonce does not extend ours",
				  s->mechanism->name);
	int salt_n = sasl_get_base64(salt, s->salt, sizeof s->salt);
	if (salt_n <= 0)
		return errmsg_set(why, ERR_MALFORMED, "%s: the salt is malformed or too long",
				  s->mechanism->name);
	s->salt_n = (size_t)salt_n;
	s->iterations = sasl_get_iterations(count);
	if (s->iterations < SASL_ITERATIONS_MIN || s->iterations > SASL_ITERATIONS_MAX)
		return errmsg_set(why, ERR_AUTH,
				  "%s: the server's iteration count is not in %d..%d",
				  s->mechanism->name, SASL_ITERATIONS_MIN, SASL_ITERATIONS_MAX);

	struct buf *text = &s->signed_text;
	buf_put_u8(text, ',');
	buf_put(text, in.p, in.n);
	buf_put_u8(text, ',');
	s->final_at = text->len;
	buf_put_str(text, "c=biws,r="); /* base64 of "n,,": no channel binding */
	buf_put(text, nonce.p, nonce.n);
	if (text->err != ERR_OK)
		return errmsg_set(why, text->err, "%s: %s", s->mechanism->name,
				  err_text(text->err));
	s->todo = SASL_COMPUTE;
	return ERR_OK;
}

/* server-final: "v=signature", or "e=reason". */
static enum err sasl_take_final(struct sasl *s, struct bytes in, struct errmsg *why)
{
	struct bytes rest = in, value;
	uint8_t signature[KEY_MAX];
	if (sasl_attribute(&rest, 'e', &value))
		return errmsg_set(why, ERR_AUTH, "%s: the server refused: wrong user or password?",
				  s->mechanism->name);
	if (!sasl_attribute(&rest, 'v', &value))
		return errmsg_set(why, ERR_MALFORMED, "%s: the server's last message is malformed",
				  s->mechanism->name);
	int n = sasl_get_base64(value, signature, sizeof signature);
	if (n < 0 || (size_t)n != s->key_n ||
	    CRYPTO_memcmp(signature, s->server_signature, s->key_n) != 0)
		return errmsg_set(why, ERR_AUTH,
				  "%s: the server's signature is wrong: it does not know the "
				  "password's keys",
				  s->mechanism->name);
	s->todo = SASL_DONE;
	return ERR_OK;
}

enum err sasl_take(struct sasl *s, struct bytes in, struct errmsg *why)
{
	assert(s->todo == SASL_TAKE);
	if (in.n > SASL_MESSAGE_MAX)
		return errmsg_set(why, ERR_MALFORMED, "SASL: a message of %zu bytes", in.n);
	if (s->mechanism->digest == NULL) {
		s->todo = SASL_DONE;
		return ERR_OK;
	}
	return s->final ? sasl_take_final(s, in, why) : sasl_take_first(s, in, why);
}

/* ---- keys ---- */

static bool sasl_hmac(const struct sasl *s, const uint8_t *key, struct bytes in, uint8_t *out)
{
	unsigned n = 0;
	return HMAC(s->mechanism->digest(), key, (int)s->key_n, in.p, in.n, out, &n) != NULL &&
	       n == s->key_n;
}

/* RFC 5802 section 3, "Salted Password" to "ServerSignature". */
enum err sasl_compute(struct sasl *s)
{
	assert(s->todo == SASL_COMPUTE);
	const EVP_MD *md = s->mechanism->digest();
	struct bytes text = buf_bytes(&s->signed_text);
	struct {
		uint8_t salted[KEY_MAX], client[KEY_MAX], stored[KEY_MAX], server[KEY_MAX];
		uint8_t signature[KEY_MAX];
	} k;
	s->key_n = (size_t)EVP_MD_get_size(md);

	bool ok = PKCS5_PBKDF2_HMAC(s->password, (int)strlen(s->password), s->salt, (int)s->salt_n,
				    s->iterations, md, (int)s->key_n, k.salted) == 1 &&
		  sasl_hmac(s, k.salted, bytes_str("Client Key"), k.client) &&
		  EVP_Digest(k.client, s->key_n, k.stored, NULL, md, NULL) == 1 &&
		  sasl_hmac(s, k.stored, text, k.signature) &&
		  sasl_hmac(s, k.salted, bytes_str("Server Key"), k.server) &&
		  sasl_hmac(s, k.server, text, s->server_signature);
	if (ok) {
		for (size_t i = 0; i < s->key_n; i++)
			s->proof[i] = k.client[i] ^ k.signature[i];
		s->final = true;
		s->todo = SASL_PUT;
	}
	OPENSSL_cleanse(&k, sizeof k);
	return ok ? ERR_OK : ERR_IO;
}
