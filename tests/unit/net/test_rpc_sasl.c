/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Authentication over a connection: PLAIN and SCRAM against a scripted broker, refusals, sessions
 * that end (KIP-368), and that no secret gets into a message.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "lib/base/mem.h"
#include "tests/unit/net/rpc_rig.h"

enum { LONG_MS = 60000, TEXT = 512 };

#define PASSWORD "canary-s3cret"
#define SALT     "c2FsdHNhbHRzYWx0"

/* The broker's side. */
struct server {
	struct rig rig; /* first */
	const EVP_MD *md;
	const char *iterations;
	const char *error_message; /* refuse the last token with it */
	bool bad_signature;
	bool park; /* do not answer the handshake for now */
	int64_t lifetime_ms;
	unsigned authenticated;
	char mechanism[64];
	char first[TEXT]; /* client-first-bare, then what both sides sign */
	char nonce[TEXT];
	unsigned step;
};

static enum scripted_act server_handshake(void *arg, struct scripted_request *q, void *answer)
{
	struct server *s = arg;
	const struct sasl_handshake_request *m = q->msg;
	struct sasl_handshake_response *r = answer;
	if (s->park)
		return SCRIPTED_PARK;
	assert_int_equal(q->head.api_version, 1);
	snprintf(s->mechanism, sizeof s->mechanism, "%.*s", (int)m->mechanism.n,
		 (const char *)m->mechanism.p);
	s->step = 0;
	s->md = strcmp(s->mechanism, "SCRAM-SHA-512") == 0 ? EVP_sha512() : EVP_sha256();
	if (strcmp(s->mechanism, "PLAIN") != 0 && strncmp(s->mechanism, "SCRAM-", 6) != 0)
		r->error_code = 33;
	r->mechanisms = arena_zalloc(q->arena, 2, sizeof *r->mechanisms);
	r->mechanisms[0] = bytes_str("OAUTHBEARER");
	r->mechanisms[1] = bytes_str("GSS\nAPI");
	r->mechanisms_n = 2;
	return SCRIPTED_ANSWER;
}

static void server_hmac(const struct server *s, const uint8_t *key, size_t key_n, const char *text,
			uint8_t *out)
{
	unsigned n = 0;
	HMAC(s->md, key, (int)key_n, (const uint8_t *)text, strlen(text), out, &n);
}

/* "v=base64(ServerSignature)" for what was said. */
static void server_sign(const struct server *s, const char *text, char *out)
{
	uint8_t salted[64], key[64], signature[64];
	size_t n = (size_t)EVP_MD_get_size(s->md);
	int iterations = (int)strtol(s->iterations, NULL, 10);
	PKCS5_PBKDF2_HMAC(PASSWORD, (int)strlen(PASSWORD), (const uint8_t *)"saltsaltsalt", 12,
			  iterations > 0 ? iterations : 1, s->md, (int)n, salted);
	server_hmac(s, salted, n, "Server Key", key);
	server_hmac(s, key, n, text, signature);
	if (s->bad_signature)
		signature[0] ^= 1;
	memcpy(out, "v=", 2);
	EVP_EncodeBlock((uint8_t *)out + 2, signature, (int)n);
}

static void server_scram(struct server *s, struct bytes in, char *out, size_t out_n)
{
	char text[3 * TEXT];
	if (s->step++ == 0) {
		assert_true(in.n > 3 && memcmp(in.p, "n,,", 3) == 0);
		snprintf(s->first, sizeof s->first, "%.*s", (int)in.n - 3, (const char *)in.p + 3);
		const char *nonce = strstr(s->first, ",r=") + 3;
		snprintf(s->nonce, sizeof s->nonce, "%.100sserver", nonce);
		snprintf(out, out_n, "r=%.120s,s=" SALT ",i=%s", s->nonce, s->iterations);
		return;
	}
	const char *proof = memmem(in.p, in.n, ",p=", 3);
	assert_non_null(proof);
	snprintf(text, sizeof text, "%s,r=%s,s=" SALT ",i=%s,%.*s", s->first, s->nonce,
		 s->iterations, (int)(proof - (const char *)in.p), (const char *)in.p);
	server_sign(s, text, out);
}

static enum scripted_act server_authenticate(void *arg, struct scripted_request *q, void *answer)
{
	struct server *s = arg;
	const struct sasl_authenticate_request *m = q->msg;
	struct sasl_authenticate_response *r = answer;
	char *out = arena_zalloc(q->arena, 1, TEXT);
	bool last = true;
	if (strcmp(s->mechanism, "PLAIN") == 0) {
		static const char good[] = "\0alice\0" PASSWORD;
		if (!bytes_eq(m->auth_bytes, bytes_of(good, sizeof good - 1))) {
			r->error_code = 58;
			r->error_message =
				bytes_str("Authentication failed: Invalid username or password");
			return SCRIPTED_ANSWER;
		}
	} else {
		last = s->step == 1;
		server_scram(s, m->auth_bytes, out, TEXT);
	}
	r->auth_bytes = bytes_str(out);
	if (last && s->error_message != NULL) {
		r->error_code = 58;
		r->error_message = bytes_str(s->error_message);
	} else if (last) {
		s->authenticated++;
		r->session_lifetime_ms = q->head.api_version >= 1 ? s->lifetime_ms : 0;
	}
	return SCRIPTED_ANSWER;
}

static int setup(void **state)
{
	struct server *s = mem_zalloc(1, sizeof *s);
	rig_init(&s->rig);
	s->iterations = "4096";
	s->rig.options.sasl = (struct rpc_sasl){"SCRAM-SHA-256", "alice", PASSWORD};
	scripted_peer_on(s->rig.peer, WIRE_API_SASL_HANDSHAKE, server_handshake, s);
	scripted_peer_on(s->rig.peer, WIRE_API_SASL_AUTHENTICATE, server_authenticate, s);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct server *s = *state;
	assert_null(strstr(s->rig.dead_why.text, PASSWORD));
	rig_fini(&s->rig);
	mem_free(s);
	return 0;
}

static void test_each_mechanism(void **state)
{
	struct server *s = *state;
	static const char *const names[] = {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"};
	for (int16_t version = 0; version <= 2; version++)
		for (int i = 0; i < 3; i++) {
			struct rig_call call = {0};
			s->rig.options.sasl.mechanism = names[i];
			scripted_peer_versions(s->rig.peer, WIRE_API_SASL_AUTHENTICATE, 0, version);
			rig_open_ready(&s->rig);
			assert_string_equal(s->mechanism, names[i]);
			assert_int_equal(rig_metadata(&s->rig, &call, LONG_MS), ERR_OK);
			rig_wait(&s->rig, &call.done, 1);
			assert_int_equal(call.e, ERR_OK);
			rig_close(&s->rig);
		}
	assert_int_equal(s->authenticated, 9);
	assert_int_equal(scripted_peer_unexpected(s->rig.peer), 0);
}

static void expect_death(struct server *s, enum err e, const char *says)
{
	rig_open(&s->rig);
	rig_wait(&s->rig, &s->rig.dead, 1);
	assert_int_equal(s->rig.dead_e, e);
	assert_int_equal(s->rig.ready, 0);
	rig_says(s->rig.dead_why.text, rpc_name(s->rig.rpc));
	rig_says(s->rig.dead_why.text, says);
	assert_null(strstr(s->rig.dead_why.text, PASSWORD));
	assert_int_equal(scripted_peer_seen(s->rig.peer, WIRE_API_METADATA), 0);
	rig_close(&s->rig);
}

static void test_wrong_password(void **state)
{
	struct server *s = *state;
	s->rig.options.sasl = (struct rpc_sasl){"PLAIN", "alice", "wrong"};
	expect_death(s, ERR_AUTH, "user \"alice\" failed: Authentication failed: Invalid username");
	s->rig.options.sasl = (struct rpc_sasl){"SCRAM-SHA-256", "alice", "wrong"};
	expect_death(s, ERR_AUTH, "signature is wrong");
}

static void test_refusal_text_of_the_broker(void **state)
{
	struct server *s = *state;
	s->rig.options.sasl.mechanism = "PLAIN";
	s->error_message = "Disabled\nlevel=error event=forged";
	expect_death(s, ERR_AUTH, "Disabled?level=error");
	s->error_message = "no user alice with password " PASSWORD;
	expect_death(s, ERR_AUTH, "withheld");
	s->error_message = "";
	expect_death(s, ERR_AUTH, "failed: ");
}

static void test_mechanism_that_the_broker_lacks(void **state)
{
	struct server *s = *state;
	s->rig.options.sasl.mechanism = "PLAIN";
	scripted_peer_versions(s->rig.peer, WIRE_API_SASL_HANDSHAKE, 0, -1);
	expect_death(s, ERR_UNSUPPORTED, "does not offer SaslHandshake");
	scripted_peer_versions(s->rig.peer, WIRE_API_SASL_HANDSHAKE, 0, 0);
	expect_death(s, ERR_UNSUPPORTED, "SaslHandshake v1");
	scripted_peer_versions(s->rig.peer, WIRE_API_SASL_HANDSHAKE, 0, 1);
	scripted_peer_versions(s->rig.peer, WIRE_API_SASL_AUTHENTICATE, 0, -1);
	expect_death(s, ERR_UNSUPPORTED, "does not offer SaslAuthenticate");
}

static enum scripted_act refuse_mechanism(void *arg, struct scripted_request *q, void *answer)
{
	struct sasl_handshake_response *r = answer;
	server_handshake(arg, q, answer);
	r->error_code = 33;
	return SCRIPTED_ANSWER;
}

static enum scripted_act refuse_state(void *arg, struct scripted_request *q, void *answer)
{
	(void)arg;
	(void)q;
	((struct sasl_handshake_response *)answer)->error_code = 34;
	return SCRIPTED_ANSWER;
}

static void test_offered_mechanisms_are_listed(void **state)
{
	struct server *s = *state;
	scripted_peer_on(s->rig.peer, WIRE_API_SASL_HANDSHAKE, refuse_mechanism, s);
	expect_death(s, ERR_AUTH,
		     "does not offer SASL SCRAM-SHA-256 (it offers: OAUTHBEARER, GSS?API)");
	scripted_peer_on(s->rig.peer, WIRE_API_SASL_HANDSHAKE, refuse_state, s);
	expect_death(s, ERR_AUTH, "is this a listener without SASL?");
}

static void test_unusable_settings(void **state)
{
	struct server *s = *state;
	s->rig.options.sasl.mechanism = "GSSAPI";
	expect_death(s, ERR_CONFIG, "\"GSSAPI\" is not supported");
	s->rig.options.sasl = (struct rpc_sasl){"PLAIN", "", "x"};
	expect_death(s, ERR_CONFIG, "user name");
	assert_int_equal(scripted_peer_seen(s->rig.peer, WIRE_API_SASL_HANDSHAKE), 0);
}

static void test_servers_that_lie(void **state)
{
	struct server *s = *state;
	s->bad_signature = true;
	expect_death(s, ERR_AUTH, "signature is wrong");
	s->bad_signature = false;
	s->iterations = "1";
	expect_death(s, ERR_AUTH, "iteration count");
	s->iterations = "100000000";
	expect_death(s, ERR_AUTH, "iteration count");
}

/* The largest count that we accept must not stop the loop, and the rpc may go before it is done. */
static void test_close_while_keys_are_derived(void **state)
{
	struct server *s = *state;
	s->iterations = "500000";
	rig_open(&s->rig);
	while (scripted_peer_seen(s->rig.peer, WIRE_API_SASL_AUTHENTICATE) == 0 ||
	       worker_pool_pending(loop_pool(s->rig.loop)) == 0)
		loop_turn(s->rig.loop, 5);
	int64_t t = clock_mono_ms(clock_system());
	rig_close(&s->rig);
	assert_true(clock_mono_ms(clock_system()) - t < 100);
	assert_int_equal(worker_pool_pending(loop_pool(s->rig.loop)), 1);
	while (worker_pool_pending(loop_pool(s->rig.loop)) > 0)
		loop_turn(s->rig.loop, 10);
	assert_int_equal(s->rig.ready + s->rig.dead, 0);
}

static void test_connection_lost_while_keys_are_derived(void **state)
{
	struct server *s = *state;
	s->iterations = "500000";
	rig_open(&s->rig);
	while (worker_pool_pending(loop_pool(s->rig.loop)) == 0)
		loop_turn(s->rig.loop, 5);
	scripted_peer_hang_up(s->rig.peer);
	rig_wait(&s->rig, &s->rig.dead, 1);
	while (worker_pool_pending(loop_pool(s->rig.loop)) > 0)
		loop_turn(s->rig.loop, 10);
	assert_int_equal(s->rig.dead, 1);
}

/* ---- sessions that end ---- */

static void test_session_is_renewed(void **state)
{
	struct server *s = *state;
	struct rig_call before = {0}, held[3] = {0};
	s->lifetime_ms = 3600 * 1000;
	rig_open_ready(&s->rig);
	assert_int_equal(s->authenticated, 1);
	s->rig.skew_ms += 3600 * 1000 * 84 / 100;
	rig_settle(&s->rig);
	assert_int_equal(s->authenticated, 1);

	/* While the broker thinks about the handshake, requests are held and do not disturb it. */
	s->park = true;
	s->rig.skew_ms += 3600 * 1000 * 12 / 100;
	loop_turn(s->rig.loop, 0);
	while (scripted_peer_seen(s->rig.peer, WIRE_API_SASL_HANDSHAKE) < 2)
		loop_turn(s->rig.loop, 1);
	assert_true(rpc_ready(s->rig.rpc));
	for (int i = 0; i < 3; i++)
		assert_int_equal(rig_metadata(&s->rig, &held[i], LONG_MS), ERR_OK);
	assert_int_equal(rpc_in_flight(s->rig.rpc), 3);
	rig_settle(&s->rig);
	assert_int_equal(scripted_peer_seen(s->rig.peer, WIRE_API_METADATA), 0);
	s->park = false;
	scripted_peer_unpark(s->rig.peer);
	rig_wait(&s->rig, &held[2].done, 1);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(held[i].e, ERR_OK);
		assert_int_equal(held[i].order, held[0].order + (unsigned)i);
	}
	assert_int_equal(s->authenticated, 2);
	assert_int_equal(s->rig.ready, 1);
	assert_int_equal(scripted_peer_accepted(s->rig.peer), 1);

	/* And once more. */
	s->rig.skew_ms += 3600 * 1000;
	rig_wait(&s->rig, &s->authenticated, 3);
	rig_settle(&s->rig);
	assert_int_equal(rig_metadata(&s->rig, &before, LONG_MS), ERR_OK);
	rig_wait(&s->rig, &before.done, 1);
	assert_int_equal(before.e, ERR_OK);
	assert_int_equal(s->rig.dead, 0);
}

/* A request that the broker has not answered yet does not stand in the way. */
static enum scripted_act park_metadata(void *arg, struct scripted_request *q, void *answer)
{
	(void)q;
	(void)answer;
	return *(const bool *)arg ? SCRIPTED_PARK : SCRIPTED_ANSWER;
}

static void test_renewal_behind_a_parked_request(void **state)
{
	struct server *s = *state;
	struct rig_call parked = {0}, held = {0};
	bool park = true;
	s->lifetime_ms = 100000;
	scripted_peer_on(s->rig.peer, WIRE_API_METADATA, park_metadata, &park);
	rig_open_ready(&s->rig);
	assert_int_equal(rig_metadata(&s->rig, &parked, 10 * LONG_MS), ERR_OK);
	rig_settle(&s->rig);
	s->rig.skew_ms += 96000;
	rig_settle(&s->rig);
	assert_int_equal(rig_metadata(&s->rig, &held, 10 * LONG_MS), ERR_OK);
	rig_settle(&s->rig);
	park = false;
	scripted_peer_unpark(s->rig.peer);
	rig_wait(&s->rig, &held.done, 1);
	assert_int_equal(parked.e, ERR_OK);
	assert_int_equal(held.e, ERR_OK);
	assert_int_equal(s->authenticated, 2);
}

static void test_close_and_death_with_held_requests(void **state)
{
	struct server *s = *state;
	for (int death = 0; death < 3; death++) {
		struct rig_call held[2] = {0};
		unsigned before = scripted_peer_seen(s->rig.peer, WIRE_API_SASL_HANDSHAKE);
		s->lifetime_ms = 10000;
		s->park = false;
		rig_open_ready(&s->rig);
		s->park = true;
		s->rig.skew_ms += 10000;
		while (scripted_peer_seen(s->rig.peer, WIRE_API_SASL_HANDSHAKE) < before + 2)
			loop_turn(s->rig.loop, 1);
		assert_int_equal(rig_metadata(&s->rig, &held[0], 2000), ERR_OK);
		assert_int_equal(rig_metadata(&s->rig, &held[1], LONG_MS), ERR_OK);
		if (death == 0)
			rig_close(&s->rig);
		else if (death == 1)
			scripted_peer_hang_up(s->rig.peer);
		else
			s->rig.skew_ms += 2100; /* the deadline of a held request */
		rig_wait(&s->rig, &held[1].done, 1);
		assert_int_equal(held[0].done, 1);
		const enum err expected[] = {ERR_CANCELED, ERR_CLOSED, ERR_TIMEOUT};
		assert_int_equal(held[0].e, expected[death]);
		assert_int_equal(held[1].e, expected[death]);
		if (s->rig.rpc != NULL)
			rig_close(&s->rig);
	}
}

static void test_session_that_cannot_be_renewed(void **state)
{
	struct server *s = *state;
	s->lifetime_ms = 10000;
	rig_open_ready(&s->rig);
	s->error_message = "user was deleted";
	s->rig.skew_ms += 10000;
	rig_wait(&s->rig, &s->rig.dead, 1);
	assert_int_equal(s->rig.dead_e, ERR_AUTH);
	rig_says(s->rig.dead_why.text, "user was deleted");
}

/* Odd lifetimes of a hostile broker: never sooner than a second, negative is none. */
static void test_odd_lifetimes(void **state)
{
	struct server *s = *state;
	static const int64_t lifetimes[] = {1, -1, INT64_MIN, INT64_MAX};
	for (int i = 0; i < 4; i++) {
		s->authenticated = 0;
		s->lifetime_ms = lifetimes[i];
		rig_open_ready(&s->rig);
		s->rig.skew_ms += 900;
		rig_settle(&s->rig);
		assert_int_equal(s->authenticated, 1);
		s->rig.skew_ms += 200;
		if (i == 0)
			rig_wait(&s->rig, &s->authenticated, 2);
		rig_settle(&s->rig);
		assert_int_equal(s->authenticated, i == 0 ? 2 : 1);
		rig_close(&s->rig);
	}
}

int main(void)
{
#define SERVER(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		SERVER(test_each_mechanism),
		SERVER(test_wrong_password),
		SERVER(test_refusal_text_of_the_broker),
		SERVER(test_mechanism_that_the_broker_lacks),
		SERVER(test_offered_mechanisms_are_listed),
		SERVER(test_unusable_settings),
		SERVER(test_servers_that_lie),
		SERVER(test_close_while_keys_are_derived),
		SERVER(test_connection_lost_while_keys_are_derived),
		SERVER(test_session_is_renewed),
		SERVER(test_renewal_behind_a_parked_request),
		SERVER(test_close_and_death_with_held_requests),
		SERVER(test_session_that_cannot_be_renewed),
		SERVER(test_odd_lifetimes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
