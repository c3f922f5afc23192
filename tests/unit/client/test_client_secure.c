/* SPDX-License-Identifier: Apache-2.0 */
/* TLS and SASL through the client: the options reach each connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/net/tls.h"
#include "tests/unit/client/cluster.h"
#include "tests/unit/net/certs.h"

struct pki {
	struct certs certs;
	struct cert ca;
	struct tls_ctx *server;
	struct tls_ctx *client;
};

/* `san`: the names that the broker's certificate is for. */
static void pki_init(struct pki *p, const char *san)
{
	struct errmsg why = {0};
	certs_init(&p->certs);
	p->ca = certs_make(&p->certs, &(struct cert_spec){"CA", NULL, -1, 30, true}, NULL);
	struct cert broker =
		certs_make(&p->certs, &(struct cert_spec){"broker", san, -1, 30, false}, &p->ca);
	certs_write_cert(certs_path(&p->certs, "ca.pem"), &p->ca);
	certs_write_pem(certs_path(&p->certs, "broker.pem"), &broker, NULL);
	certs_free(&broker);
	struct tls_config server = {.cert_file = certs_path(&p->certs, "broker.pem"),
				    .server = true};
	struct tls_config client = {.ca_file = certs_path(&p->certs, "ca.pem")};
	assert_int_equal(tls_ctx_new(&server, NULL, &p->server, &why), ERR_OK);
	assert_int_equal(tls_ctx_new(&client, NULL, &p->client, &why), ERR_OK);
}

static void pki_fini(struct pki *p)
{
	tls_ctx_free(p->server);
	tls_ctx_free(p->client);
	certs_free(&p->ca);
	certs_fini(&p->certs);
}

/* A cluster of one broker with TLS. */
static void tls_cluster(struct cluster *t, struct pki *p)
{
	cluster_init(t, 0);
	t->server_tls = p->server;
	cluster_restart(t, 0);
	t->peers_n = 1;
	t->options.rpc.conn.tls = p->client;
	/* What is to be verified is each broker's own name. */
	t->options.rpc.conn.tls_host = "elsewhere";
}

static void test_tls(void **state)
{
	(void)state;
	struct pki p;
	struct cluster t;
	struct fate f = {0};
	pki_init(&p, "IP:127.0.0.1");
	tls_cluster(&t, &p);
	cluster_client_ready(&t);
	fate_call(&f, &t, 0, CLIENT_CHANNEL_PRODUCE, 0);
	cluster_wait(&t, &f.done, 1);
	assert_int_equal(f.e, ERR_OK);
	cluster_fini(&t);
	pki_fini(&p);
}

/* F13: the certificate is for another host. */
static void test_tls_wrong_host(void **state)
{
	(void)state;
	struct pki p;
	struct cluster t;
	struct fate f = {0};
	pki_init(&p, "DNS:elsewhere");
	tls_cluster(&t, &p);
	cluster_client(&t);
	fate_call(&f, &t, CLIENT_ANY, 0, 0);
	cluster_wait(&t, &f.done, 1);
	assert_int_equal(f.e, ERR_TLS);
	for (int i = 0; i < 10; i++)
		cluster_settle(&t);
	assert_int_equal(t.applied, 0);
	assert_int_equal(cluster_logged(&t, "broker_unreachable"), 1);
	cluster_fini(&t);
	pki_fini(&p);
}

/* F13: no plain text where TLS is asked for, and the other way round. */
static void test_tls_to_plain(void **state)
{
	(void)state;
	struct pki p;
	struct cluster t;
	struct fate f = {0};
	pki_init(&p, "IP:127.0.0.1");
	cluster_init(&t, 1);
	t.options.rpc.conn.tls = p.client;
	cluster_client(&t);
	fate_call(&f, &t, CLIENT_ANY, 0, 2000);
	cluster_wait(&t, &f.done, 1);
	assert_int_not_equal(f.e, ERR_OK);
	assert_int_equal(t.applied, 0);
	cluster_fini(&t);
	pki_fini(&p);
}

/* ---- SASL ---- */

static enum scripted_act answer_handshake(void *arg, struct scripted_request *q, void *answer)
{
	(void)arg;
	struct sasl_handshake_response *r = answer;
	r->mechanisms = arena_zalloc(q->arena, 1, sizeof *r->mechanisms);
	r->mechanisms_n = 1;
	r->mechanisms[0] = bytes_str("PLAIN");
	return SCRIPTED_ANSWER;
}

static enum scripted_act answer_authenticate(void *arg, struct scripted_request *q, void *answer)
{
	(void)arg;
	static const char expected[] = "\0anna\0secret";
	const struct sasl_authenticate_request *r = q->msg;
	struct sasl_authenticate_response *a = answer;
	if (!bytes_eq(r->auth_bytes, bytes_of(expected, sizeof expected - 1))) {
		a->error_code = 58;
		a->error_message = bytes_str("go away");
	}
	a->auth_bytes = bytes_str("");
	return SCRIPTED_ANSWER;
}

static void sasl_client(struct cluster *t, const char *password)
{
	/* The strings die before the first connection is made: the client has its own. */
	char mechanism[] = "PLAIN", user[] = "anna", secret[16];
	snprintf(secret, sizeof secret, "%s", password);
	cluster_init(t, 1);
	scripted_peer_on(t->peers[0], WIRE_API_SASL_HANDSHAKE, answer_handshake, NULL);
	scripted_peer_on(t->peers[0], WIRE_API_SASL_AUTHENTICATE, answer_authenticate, NULL);
	t->options.rpc.sasl = (struct rpc_sasl){mechanism, user, secret};
	cluster_client(t);
	memset(mechanism, 'x', sizeof mechanism);
	memset(user, 'x', sizeof user);
	memset(secret, 'x', sizeof secret);
	t->options.rpc.sasl = (struct rpc_sasl){NULL, NULL, NULL};
}

static void test_sasl(void **state)
{
	(void)state;
	struct cluster t;
	sasl_client(&t, "secret");
	cluster_wait(&t, &t.applied, 1);
	cluster_fini(&t);
}

static void test_sasl_refused(void **state)
{
	(void)state;
	struct cluster t;
	struct fate f = {0};
	sasl_client(&t, "guess");
	fate_call(&f, &t, CLIENT_ANY, 0, 0);
	cluster_wait(&t, &f.done, 1);
	assert_int_equal(f.e, ERR_AUTH);
	assert_null(strstr(f.why.text, "guess"));
	assert_int_equal(cluster_logged(&t, "guess"), 0);
	cluster_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tls),          cmocka_unit_test(test_tls_wrong_host),
		cmocka_unit_test(test_tls_to_plain), cmocka_unit_test(test_sasl),
		cmocka_unit_test(test_sasl_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
