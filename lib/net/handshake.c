/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The opening talk as a state machine without I/O.
 *
 *   VERSIONS --(no SASL)------------------------------> READY
 *      |  ^ error 35: again, lower                        | handshake_again
 *      v  |                                               v
 *   (SASL) ----> MECHANISM ----> EXCHANGE ----> READY    MECHANISM ...
 *
 * SASL travels in SaslHandshake v1 and SaslAuthenticate (KIP-152). ApiVersions is asked once: a
 * broker answers the same before and after authentication.
 *
 * Sessions (KIP-368): when SaslAuthenticate v1 gives a lifetime, we authenticate again on the
 * living connection at 85..95 % of it, as Kafka's own clients do; requests in flight go on, and a
 * long pipeline is not torn down. No other request may be sent meanwhile: the owner holds them.
 *
 * Invariant: `sasl` exists in EXCHANGE only.
 */
#include "lib/net/handshake.h"

#include <assert.h>
#include <openssl/crypto.h>

#include "lib/base/mem.h"
#include "lib/net/sasl.h"
#include "lib/wire/messages.h"

enum {
	HANDSHAKE_ERROR_UNSUPPORTED_VERSION = 35,
	HANDSHAKE_ERROR_UNSUPPORTED_MECHANISM = 33,
	HANDSHAKE_ERROR_ILLEGAL_STATE = 34,
	/* A broker refuses to authenticate twice within a second (SaslServerAuthenticator). */
	RENEW_MIN_MS = 1000,
	TEXT_MAX = 160 /* bytes of a peer's text that go into a message */
};

enum handshake_state { HS_VERSIONS, HS_MECHANISM, HS_EXCHANGE, HS_READY, HS_STATES };

struct handshake {
	enum handshake_state state;
	const struct rpc_sasl *config;
	struct versions versions;
	int16_t ask_version; /* of the next ApiVersions */
	struct sasl *sasl;
	struct buf token; /* the message of the exchange that is being sent */
	int64_t session_ms;
	union {
		struct api_versions_request versions;
		struct sasl_handshake_request mechanism;
		struct sasl_authenticate_request authenticate;
	} msg;
};

static void handshake_move(struct handshake *h, enum handshake_state to)
{
	static const bool allowed[HS_STATES][HS_STATES] = {
		[HS_VERSIONS] = {[HS_VERSIONS] = true, [HS_MECHANISM] = true, [HS_READY] = true},
		[HS_MECHANISM] = {[HS_EXCHANGE] = true},
		[HS_EXCHANGE] = {[HS_READY] = true},
		[HS_READY] = {[HS_MECHANISM] = true},
	};
	assert(allowed[h->state][to]);
	h->state = to;
}

struct handshake *handshake_new(const struct rpc_sasl *sasl)
{
	struct handshake *h = mem_zalloc(1, sizeof *h);
	if (h == NULL)
		return NULL;
	h->config = sasl;
	h->ask_version = VERSIONS_FIRST_TRY;
	versions_init(&h->versions);
	buf_init(&h->token, SASL_MESSAGE_MAX);
	return h;
}

static void handshake_wipe_token(struct handshake *h)
{
	if (h->token.p != NULL)
		OPENSSL_cleanse(h->token.p, h->token.cap);
	buf_clear(&h->token);
}

static void handshake_drop_sasl(struct handshake *h)
{
	handshake_wipe_token(h);
	sasl_free(h->sasl);
	h->sasl = NULL;
}

void handshake_free(struct handshake *h)
{
	if (h == NULL)
		return;
	handshake_drop_sasl(h);
	buf_fini(&h->token);
	mem_free(h);
}

enum handshake_todo handshake_todo(const struct handshake *h)
{
	if (h->state == HS_READY)
		return HANDSHAKE_READY;
	if (h->state == HS_EXCHANGE && sasl_todo(h->sasl) == SASL_COMPUTE)
		return HANDSHAKE_COMPUTE;
	return HANDSHAKE_SEND;
}

enum err handshake_compute(struct handshake *h)
{
	return sasl_compute(h->sasl);
}

const struct versions *handshake_versions(const struct handshake *h)
{
	return &h->versions;
}

int64_t handshake_renew_ms(const struct handshake *h, uint64_t random)
{
	if (h->session_ms <= 0)
		return 0;
	int64_t percent = 85 + (int64_t)(random % 11);
	int64_t ms = h->session_ms / 100 * percent + h->session_ms % 100 * percent / 100;
	return ms < RENEW_MIN_MS ? RENEW_MIN_MS : ms;
}

void handshake_again(struct handshake *h)
{
	handshake_move(h, HS_MECHANISM);
}

/* Printable ASCII of a peer's text, cut to a length that fits into a message. */
static void handshake_print(struct bytes text, char out[TEXT_MAX + 1])
{
	size_t n = text.n < TEXT_MAX ? text.n : TEXT_MAX;
	for (size_t i = 0; i < n; i++) {
		uint8_t c = text.p[i];
		out[i] = c >= 0x20 && c < 0x7f ? (char)c : '?';
	}
	out[n] = '\0';
}

/* ---- requests ---- */

static enum err handshake_pick(const struct handshake *h, int16_t api_key, int16_t *version,
			       struct errmsg *why)
{
	*version = versions_pick(&h->versions, api_key, INT16_MAX);
	if (*version >= 0)
		return ERR_OK;
	return errmsg_set(why, ERR_UNSUPPORTED,
			  "the broker does not offer %s: is this a SASL listener?",
			  wire_api_name(api_key));
}

static enum err handshake_put_versions(struct handshake *h, struct handshake_request *out)
{
	wire_init(&wire_api_versions_request, &h->msg.versions);
	/* Both must match [a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?, or the broker answers
	 * INVALID_REQUEST (KIP-511). */
	h->msg.versions.client_software_name = bytes_str("farshore");
	h->msg.versions.client_software_version = bytes_str(FARSHORE_VERSION);
	out->api_key = WIRE_API_API_VERSIONS;
	out->version = h->ask_version;
	out->msg = &h->msg.versions;
	return ERR_OK;
}

static enum err handshake_put_mechanism(struct handshake *h, struct handshake_request *out,
					struct errmsg *why)
{
	enum err e = sasl_check(h->config, why);
	if (e != ERR_OK)
		return e;
	out->api_key = WIRE_API_SASL_HANDSHAKE;
	e = handshake_pick(h, out->api_key, &out->version, why);
	if (e != ERR_OK)
		return e;
	/* With version 0 the exchange would travel without Kafka headers (before KIP-152). */
	if (out->version < 1)
		return errmsg_set(why, ERR_UNSUPPORTED,
				  "the broker is too old: no SaslHandshake v1");
	wire_init(&wire_sasl_handshake_request, &h->msg.mechanism);
	h->msg.mechanism.mechanism = bytes_str(h->config->mechanism);
	out->msg = &h->msg.mechanism;
	return ERR_OK;
}

static enum err handshake_put_token(struct handshake *h, struct handshake_request *out,
				    struct errmsg *why)
{
	out->api_key = WIRE_API_SASL_AUTHENTICATE;
	enum err e = handshake_pick(h, out->api_key, &out->version, why);
	if (e != ERR_OK)
		return e;
	handshake_wipe_token(h);
	/* Take the memory at once: growing would leave copies behind. */
	if (buf_extend(&h->token, SASL_MESSAGE_MAX) == NULL)
		return errmsg_set(why, h->token.err, "SASL: %s", err_text(h->token.err));
	buf_clear(&h->token);
	e = sasl_put(h->sasl, &h->token);
	if (e != ERR_OK)
		return errmsg_set(why, e, "SASL: cannot make the message: %s", err_text(e));
	wire_init(&wire_sasl_authenticate_request, &h->msg.authenticate);
	h->msg.authenticate.auth_bytes = buf_bytes(&h->token);
	out->msg = &h->msg.authenticate;
	out->secret = true;
	return ERR_OK;
}

enum err handshake_request(struct handshake *h, struct handshake_request *out, struct errmsg *why)
{
	assert(h->state != HS_READY);
	*out = (struct handshake_request){0};
	switch (h->state) {
	case HS_VERSIONS:
		return handshake_put_versions(h, out);
	case HS_MECHANISM:
		return handshake_put_mechanism(h, out, why);
	case HS_EXCHANGE:
		return handshake_put_token(h, out, why);
	case HS_READY:
	case HS_STATES:
		break;
	}
	return ERR_UNSUPPORTED;
}

/* ---- answers ---- */

static enum err handshake_take_versions(struct handshake *h, const struct api_versions_response *m,
					struct errmsg *why)
{
	if (m->error_code == HANDSHAKE_ERROR_UNSUPPORTED_VERSION) {
		int16_t next = versions_next_try(m, h->ask_version);
		if (next < 0)
			return errmsg_set(
				why, ERR_UNSUPPORTED,
				"the broker knows no version of ApiVersions that we know");
		h->ask_version = next;
		handshake_move(h, HS_VERSIONS);
		return ERR_OK;
	}
	if (m->error_code != 0) {
		enum err e = err_from_kafka(m->error_code);
		return errmsg_set(why, e, "ApiVersions was refused: %s", err_text(e));
	}
	versions_learn(&h->versions, m);
	handshake_move(h, h->config->mechanism == NULL ? HS_READY : HS_MECHANISM);
	return ERR_OK;
}

/* "PLAIN, SCRAM-SHA-512": what the broker offers, cut where it gets long. */
static void handshake_list(const struct sasl_handshake_response *m, char out[TEXT_MAX + 1])
{
	struct buf b;
	buf_init(&b, 2 * TEXT_MAX);
	for (int32_t i = 0; i < m->mechanisms_n && b.len < TEXT_MAX; i++) {
		buf_put_str(&b, i == 0 ? "" : ", ");
		size_t n = m->mechanisms[i].n < TEXT_MAX ? m->mechanisms[i].n : TEXT_MAX;
		buf_put(&b, m->mechanisms[i].p, n);
	}
	handshake_print(b.len > 0 ? buf_bytes(&b) : bytes_str("nothing"), out);
	buf_fini(&b);
}

static enum err handshake_take_mechanism(struct handshake *h,
					 const struct sasl_handshake_response *m,
					 struct errmsg *why)
{
	if (m->error_code == HANDSHAKE_ERROR_UNSUPPORTED_MECHANISM) {
		char offered[TEXT_MAX + 1];
		handshake_list(m, offered);
		return errmsg_set(why, ERR_AUTH,
				  "the broker does not offer SASL %s (it offers: %s)",
				  h->config->mechanism, offered);
	}
	if (m->error_code != 0)
		return errmsg_set(why, ERR_AUTH, "SASL %s was refused: %s%s", h->config->mechanism,
				  err_text(err_from_kafka(m->error_code)),
				  m->error_code == HANDSHAKE_ERROR_ILLEGAL_STATE
					  ? "; is this a listener without SASL?"
					  : "");
	enum err e = sasl_new(h->config, NULL, &h->sasl, why);
	if (e != ERR_OK)
		return e;
	handshake_move(h, HS_EXCHANGE);
	return ERR_OK;
}

/* The broker's reason, in quotes. Withheld if it repeats the password. */
static enum err handshake_refused(const struct handshake *h,
				  const struct sasl_authenticate_response *m, struct errmsg *why)
{
	const char *password = h->config->password;
	struct bytes text = m->error_message;
	if (text.n == 0)
		text = bytes_str(err_text(err_from_kafka(m->error_code)));
	else if (memmem(text.p, text.n, password, strlen(password)) != NULL)
		text = bytes_str("(text withheld: it holds a secret)");
	char printed[TEXT_MAX + 1];
	handshake_print(text, printed);
	return errmsg_set(why, ERR_AUTH, "SASL %s authentication of user \"%.64s\" failed: %s",
			  h->config->mechanism, h->config->username, printed);
}

static enum err handshake_take_token(struct handshake *h,
				     const struct sasl_authenticate_response *m, struct errmsg *why)
{
	handshake_wipe_token(h);
	if (m->error_code != 0)
		return handshake_refused(h, m, why);
	enum err e = sasl_take(h->sasl, m->auth_bytes, why);
	if (e != ERR_OK)
		return e;
	if (sasl_todo(h->sasl) != SASL_DONE)
		return ERR_OK;
	h->session_ms = m->session_lifetime_ms;
	handshake_drop_sasl(h);
	handshake_move(h, HS_READY);
	return ERR_OK;
}

enum err handshake_answer(struct handshake *h, const struct rpc_reply *reply, struct errmsg *why)
{
	assert(h->state != HS_READY);
	switch (h->state) {
	case HS_VERSIONS:
		return handshake_take_versions(h, reply->msg, why);
	case HS_MECHANISM:
		return handshake_take_mechanism(h, reply->msg, why);
	case HS_EXCHANGE:
		return handshake_take_token(h, reply->msg, why);
	case HS_READY:
	case HS_STATES:
		break;
	}
	return ERR_MALFORMED;
}
