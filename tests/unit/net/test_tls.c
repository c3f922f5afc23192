/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS connections (F13): our client against our listener, and each of them against a peer made of
 * plain OpenSSL or of a plain socket. Certificates are made here.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/net/tls_impl.h"
#include "tests/unit/net/certs.h"
#include "tests/unit/net/peer.h"

static const struct cert_spec ca_spec = {"Test CA", NULL, -10, 100, true};
static const struct cert_spec good_spec = {"broker", "DNS:localhost,DNS:east-1,IP:127.0.0.1", -1,
					   30, false};

struct fixture {
	struct test_clock clock;
	struct loop *loop;
	struct log *log;
	int log_fds[2];
	struct certs certs;
	struct cert ca, other_ca, broker, client;
	const char *ca_pem;
	struct tls_ctx *client_tls, *server_tls;
	struct seen client_seen, server_seen; /* of our client and of our listener's connection */
	struct listener *listener;
	struct conn_options server_options;
};

static void on_accept(void *arg, int fd)
{
	struct fixture *f = arg;
	f->server_seen.conn =
		conn_accepted(f->loop, fd, &f->server_options, &seen_events, &f->server_seen);
	assert_non_null(f->server_seen.conn);
}

static int setup(void **state)
{
	struct errmsg why = {0};
	struct fixture *f = mem_zalloc(1, sizeof *f);
	test_clock_init(&f->clock);
	assert_int_equal(pipe2(f->log_fds, O_NONBLOCK), 0);
	f->log = log_new(f->log_fds[1], LOG_INFO, clock_system());
	assert_int_equal(loop_new(1, &f->clock.clock, f->log, &f->loop, &why), ERR_OK);
	seen_init(&f->client_seen, f->loop);
	seen_init(&f->server_seen, f->loop);
	certs_init(&f->certs);
	f->ca = certs_make(&f->certs, &ca_spec, NULL);
	f->other_ca = certs_make(&f->certs, &ca_spec, NULL);
	f->broker = certs_make(&f->certs, &good_spec, &f->ca);
	f->client =
		certs_make(&f->certs, &(struct cert_spec){"mirror", NULL, -1, 30, false}, &f->ca);
	f->ca_pem = certs_path(&f->certs, "ca.pem");
	certs_write_cert(f->ca_pem, &f->ca);
	certs_write_pem(certs_path(&f->certs, "broker.pem"), &f->broker, NULL);
	certs_write_pem(certs_path(&f->certs, "client.pem"), &f->client, NULL);
	assert_int_equal(listener_new(f->loop, "127.0.0.1", 0, on_accept, f, &f->listener, &why),
			 ERR_OK);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	seen_fini(&f->client_seen);
	seen_fini(&f->server_seen);
	listener_free(f->listener);
	tls_ctx_free(f->client_tls);
	tls_ctx_free(f->server_tls);
	loop_free(f->loop);
	log_free(f->log);
	close(f->log_fds[0]);
	close(f->log_fds[1]);
	certs_free(&f->ca);
	certs_free(&f->other_ca);
	certs_free(&f->broker);
	certs_free(&f->client);
	certs_fini(&f->certs);
	mem_free(f);
	return 0;
}

static struct tls_config client_config(struct fixture *f)
{
	return (struct tls_config){.ca_file = f->ca_pem};
}

static struct tls_config server_config(struct fixture *f)
{
	return (struct tls_config){.ca_file = f->ca_pem,
				   .cert_file = certs_path(&f->certs, "broker.pem"),
				   .server = true};
}

static struct tls_ctx *must_make(struct fixture *f, const struct tls_config *c)
{
	struct errmsg why = {0};
	struct tls_ctx *t = NULL;
	enum err e = tls_ctx_new(c, f->log, &t, &why);
	if (e != ERR_OK)
		print_error("%s\n", why.text);
	assert_int_equal(e, ERR_OK);
	return t;
}

/* Both sides' contexts; NULL for the standard ones. */
static void make_contexts(struct fixture *f, const struct tls_config *client,
			  const struct tls_config *server)
{
	struct tls_config c = client_config(f), s = server_config(f);
	tls_ctx_free(f->client_tls);
	tls_ctx_free(f->server_tls);
	f->client_tls = must_make(f, client != NULL ? client : &c);
	f->server_tls = must_make(f, server != NULL ? server : &s);
	f->server_options = peer_options();
	f->server_options.tls = f->server_tls;
}

/* Start a client to our listener, or to `port` of another. */
static void start_client(struct fixture *f, const char *host, uint16_t port)
{
	struct conn_options o = peer_options();
	o.tls = f->client_tls;
	o.tls_host = host;
	if (port == 0)
		port = listener_port(f->listener);
	f->client_seen.in_call = true;
	f->client_seen.conn =
		conn_connect(f->loop, "127.0.0.1", port, &o, &seen_events, &f->client_seen);
	f->client_seen.in_call = false;
}

static void talk(struct fixture *f)
{
	size_t got = f->server_seen.frames_n, back = f->client_seen.frames_n;
	send_pattern(&f->client_seen, 1000, 1);
	pump_until_frames(&f->server_seen, got + 1);
	send_pattern(&f->server_seen, 2000, 2);
	pump_until_frames(&f->client_seen, back + 1);
	assert_int_equal(f->server_seen.frames[got]->n, 1000);
	assert_true(pattern_ok(f->server_seen.frames[got]->data, 1000, 1));
	assert_true(pattern_ok(f->client_seen.frames[back]->data, 2000, 2));
}

static void hang_up(struct fixture *f)
{
	seen_fini(&f->client_seen);
	seen_fini(&f->server_seen);
	pump_a_while(f->loop);
	seen_init(&f->client_seen, f->loop);
	seen_init(&f->server_seen, f->loop);
}

static void expect_good(struct fixture *f, const char *host)
{
	start_client(f, host, 0);
	pump_until(f->loop, &f->client_seen.opened, 1);
	talk(f);
	hang_up(f);
}

#define assert_text(seen, part)                                                 \
	do {                                                                    \
		if (strstr((seen).why.text, part) == NULL)                      \
			fail_msg("'%s' is not in '%s'", part, (seen).why.text); \
	} while (0)

/* The client refuses our listener's certificate, in these words. */
static void expect_refused(struct fixture *f, const char *host, const char *words)
{
	start_client(f, host, 0);
	pump_until(f->loop, &f->client_seen.dead, 1);
	assert_int_equal(f->client_seen.opened, 0);
	assert_int_equal(f->client_seen.e, ERR_TLS);
	assert_text(f->client_seen, words);
	assert_text(f->client_seen, "127.0.0.1:");
	pump_until(f->loop, &f->server_seen.dead, 1);
	assert_int_equal(f->server_seen.e, ERR_TLS);
	hang_up(f);
}

static void serve(struct fixture *f, const struct cert_spec *spec, const struct cert *issuer)
{
	struct cert x = certs_make(&f->certs, spec, issuer);
	certs_write_pem(certs_path(&f->certs, "broker.pem"), &x, NULL);
	certs_free(&x);
	make_contexts(f, NULL, NULL);
}

/* Names and dates */

static void good_by_name_and_by_address(void **state)
{
	struct fixture *f = *state;
	make_contexts(f, NULL, NULL);
	expect_good(f, "localhost");
	expect_good(f, "east-1.");
	expect_good(f, NULL); /* 127.0.0.1, which the certificate has as an IP */
}

/* A range of a file, larger than what is read of it at once. */
static void file_range(void **state)
{
	enum { SIZE = 3000001 };
	struct fixture *f = *state;
	int fd = pattern_file(99, SIZE, 3);
	make_contexts(f, NULL, NULL);
	start_client(f, "localhost", 0);
	pump_until(f->loop, &f->client_seen.opened, 1);
	talk(f);
	size_t got = f->client_seen.frames_n;
	const struct wire_file range = {.fd = fd, .position = 99, .n = SIZE};
	assert_int_equal(send_file_range(&f->server_seen, range, NULL, NULL), ERR_OK);
	assert_int_equal(send_file_range(&f->server_seen, range, NULL, NULL), ERR_OK);
	pump_until_frames(&f->client_seen, got + 2);
	for (size_t i = got; i < got + 2; i++) {
		const struct frame *frame = f->client_seen.frames[i];
		assert_int_equal(frame->n, SIZE + 8);
		assert_memory_equal(frame->data, "head", 4);
		assert_true(pattern_ok(frame->data + 4, SIZE, 3));
		assert_memory_equal(frame->data + 4 + SIZE, "tail", 4);
	}
	close(fd);
	hang_up(f);
}

static void wrong_host_names_both(void **state)
{
	struct fixture *f = *state;
	make_contexts(f, NULL, NULL);
	expect_refused(f, "west-1",
		       "not for 'west-1' but for localhost, east-1, 127.0.0.1; use a name");
	expect_refused(f, "10.1.2.3", "not for '10.1.2.3' but for localhost");
	expect_refused(f, "localhos", "not for 'localhos'");
}

static void host_is_not_checked_when_told_so(void **state)
{
	struct fixture *f = *state;
	struct tls_config c = client_config(f);
	c.no_verify_host = true;
	make_contexts(f, &c, NULL);
	expect_good(f, "west-1");
}

static void no_names_at_all(void **state)
{
	struct fixture *f = *state;
	serve(f, &(struct cert_spec){"only-cn", NULL, -1, 30, false}, &f->ca);
	expect_refused(f, "localhost", "not for 'localhost' but for CN=only-cn");
}

static void hostile_names_are_escaped(void **state)
{
	struct fixture *f = *state;
	serve(f, &(struct cert_spec){"evil\nlevel=error", "DNS:a", -1, 30, false}, &f->other_ca);
	start_client(f, "localhost", 0);
	pump_until(f->loop, &f->client_seen.dead, 1);
	assert_null(strchr(f->client_seen.why.text, '\n'));
	pump_until(f->loop, &f->server_seen.dead, 1);
}

static void expired(void **state)
{
	struct fixture *f = *state;
	serve(f, &(struct cert_spec){"broker", "DNS:localhost", -20, 10, false}, &f->ca);
	expect_refused(f, "localhost", "certificate has expired (CN=broker, on 2");
	expect_refused(f, "localhost", "; renew it");
}

static void not_yet_valid(void **state)
{
	struct fixture *f = *state;
	serve(f, &(struct cert_spec){"broker", "DNS:localhost", 5, 10, false}, &f->ca);
	expect_refused(f, "localhost", "certificate is not yet valid (CN=broker, before 2");
}

static void wrong_ca(void **state)
{
	struct fixture *f = *state;
	struct cert lonely =
		certs_make(&f->certs, &(struct cert_spec){"another CA", NULL, -1, 30, true}, NULL);
	serve(f, &good_spec, &lonely);
	expect_refused(f, "localhost", "issued by CN=another CA; is that CA in the trust store?");
	certs_free(&lonely);
}

static void self_signed(void **state)
{
	struct fixture *f = *state;
	serve(f, &good_spec, NULL);
	expect_refused(f, "localhost", "is that CA in the trust store?");
}

static void revoked(void **state)
{
	struct fixture *f = *state;
	certs_write_crl(f->ca_pem, &f->ca, &f->client);
	make_contexts(f, NULL, NULL);
	expect_good(f, "localhost"); /* not the one on the list */
	certs_write_crl(f->ca_pem, &f->ca, &f->broker);
	make_contexts(f, NULL, NULL);
	expect_refused(f, "localhost", "certificate revoked (CN=broker)");
}

/* Client certificates */

static void with_client_cert(struct fixture *f, struct tls_config *c, struct tls_config *s)
{
	*c = client_config(f);
	*s = server_config(f);
	c->cert_file = certs_path(&f->certs, "client.pem");
	s->client_cert = TLS_CLIENT_CERT_REQUIRED;
}

static void client_certificate_given(void **state)
{
	struct fixture *f = *state;
	struct tls_config c, s;
	with_client_cert(f, &c, &s);
	make_contexts(f, &c, &s);
	expect_good(f, "localhost");
	expect_good(f, "localhost");
}

/* With TLS 1.3 the client is told only after its own handshake is done: by an alert, which must not
 * be lost although the client writes meanwhile. */
static void expect_client_refused(struct fixture *f, const char *client_words,
				  const char *server_words)
{
	start_client(f, "localhost", 0);
	for (unsigned i = 0; i < 4; i++)
		send_pattern(&f->client_seen, 1 << 20, i);
	pump_until(f->loop, &f->client_seen.dead, 1);
	pump_until(f->loop, &f->server_seen.dead, 1);
	assert_int_equal(f->client_seen.e, ERR_TLS);
	assert_text(f->client_seen, client_words);
	assert_int_equal(f->server_seen.e, ERR_TLS);
	assert_text(f->server_seen, server_words);
	assert_int_equal(f->server_seen.frames_n, 0);
	hang_up(f);
}

static void client_certificate_missing(void **state)
{
	struct fixture *f = *state;
	struct tls_config c, s;
	with_client_cert(f, &c, &s);
	c.cert_file = NULL;
	make_contexts(f, &c, &s);
	expect_client_refused(f, "the peer requires a client certificate; set the key store",
			      "the client sent no certificate");
}

static void client_certificate_of_another_ca(void **state)
{
	struct fixture *f = *state;
	struct tls_config c, s;
	struct cert x =
		certs_make(&f->certs, &(struct cert_spec){"who", NULL, -1, 30, false}, NULL);
	with_client_cert(f, &c, &s);
	certs_write_pem(c.cert_file, &x, NULL);
	make_contexts(f, &c, &s);
	expect_client_refused(f, "the CA of our certificate", "CN=who");
	certs_free(&x);
}

static void client_certificate_expired(void **state)
{
	struct fixture *f = *state;
	struct tls_config c, s;
	struct cert x =
		certs_make(&f->certs, &(struct cert_spec){"old", NULL, -9, 3, false}, &f->ca);
	with_client_cert(f, &c, &s);
	certs_write_pem(c.cert_file, &x, NULL);
	make_contexts(f, &c, &s);
	expect_client_refused(f, "refused our certificate: expired", "has expired (CN=old");
	certs_free(&x);
}

static void client_certificate_optional(void **state)
{
	struct fixture *f = *state;
	struct tls_config c, s;
	with_client_cert(f, &c, &s);
	s.client_cert = TLS_CLIENT_CERT_OPTIONAL;
	make_contexts(f, &c, &s);
	expect_good(f, "localhost");
	c.cert_file = NULL;
	make_contexts(f, &c, &s);
	expect_good(f, "localhost");
}

/* Rotation */

static bool logged(struct fixture *f, const char *words)
{
	char text[4096];
	ssize_t n = read(f->log_fds[0], text, sizeof text - 1);
	text[n > 0 ? n : 0] = '\0';
	return strstr(text, words) != NULL;
}

static void new_files_are_used_by_new_connections(void **state)
{
	struct fixture *f = *state;
	const char *path = certs_path(&f->certs, "broker.pem");
	struct cert west = certs_make(
		&f->certs, &(struct cert_spec){"west", "DNS:west-1", -1, 9, false}, &f->ca);
	make_contexts(f, NULL, NULL);
	expect_good(f, "localhost");
	start_client(f, "localhost", 0);
	pump_until(f->loop, &f->client_seen.opened, 1);
	certs_write_pem(path, &west, NULL);
	f->clock.ahead_ms += 1100;
	talk(f); /* the old connection lives on */
	hang_up(f);
	expect_good(f, "west-1");
	assert_true(logged(f, "event=tls_files_reloaded"));
	expect_refused(f, "localhost", "not for 'localhost' but for west-1");
	certs_free(&west);
}

static void files_are_not_looked_at_all_the_time(void **state)
{
	struct fixture *f = *state;
	struct cert west = certs_make(
		&f->certs, &(struct cert_spec){"west", "DNS:west-1", -1, 9, false}, &f->ca);
	make_contexts(f, NULL, NULL);
	expect_good(f, "localhost");
	int64_t start = loop_now_ms(f->loop);
	certs_write_pem(certs_path(&f->certs, "broker.pem"), &west, NULL);
	expect_good(f, "localhost");
	if (loop_now_ms(f->loop) - start > 900) /* the machine is too slow to tell */
		skip();
	certs_free(&west);
}

static void broken_files_leave_the_old_in_use(void **state)
{
	struct fixture *f = *state;
	struct tls_config s = server_config(f);
	s.cert_file = certs_path(&f->certs, "split.crt");
	s.key_file = certs_path(&f->certs, "split.key");
	certs_write_cert(s.cert_file, &f->broker);
	certs_write_key(s.key_file, &f->broker);
	make_contexts(f, NULL, &s);
	expect_good(f, "localhost");
	/* The certificate first, the key a moment later, as tools do. */
	struct cert west = certs_make(
		&f->certs, &(struct cert_spec){"west", "DNS:west-1", -1, 9, false}, &f->ca);
	certs_write_cert(s.cert_file, &west);
	f->clock.ahead_ms += 1100;
	expect_good(f, "localhost");
	assert_true(logged(f, "event=tls_files_rejected"));
	f->clock.ahead_ms += 1100;
	expect_good(f, "localhost");
	assert_false(logged(f, "event=tls_files_rejected")); /* said once */
	certs_write_key(s.key_file, &west);
	f->clock.ahead_ms += 1100;
	expect_good(f, "west-1");
	unlink(s.key_file);
	f->clock.ahead_ms += 1100;
	expect_good(f, "west-1");
	assert_true(logged(f, "No such file"));
	certs_free(&west);
}

/* Stores */

static void pkcs12_stores(void **state)
{
	struct fixture *f = *state;
	const char *trust = certs_path(&f->certs, "trust.p12"),
		   *keys = certs_path(&f->certs, "keys.p12"),
		   *client = certs_path(&f->certs, "client.p12");
	certs_write_pkcs12(trust, NULL, &f->ca, "trust-me");
	certs_write_pkcs12(keys, &f->broker, &f->ca, "secret");
	certs_write_pkcs12(client, &f->client, NULL, "");
	struct tls_config c = {.ca_file = trust,
			       .ca_password = "trust-me",
			       .cert_file = client,
			       .key_password = NULL};
	struct tls_config s = {.ca_file = trust,
			       .ca_password = "trust-me",
			       .cert_file = keys,
			       .key_password = "secret",
			       .server = true,
			       .client_cert = TLS_CLIENT_CERT_REQUIRED};
	make_contexts(f, &c, &s);
	expect_good(f, "localhost");
}

static void encrypted_key(void **state)
{
	struct fixture *f = *state;
	struct tls_config s = server_config(f);
	certs_write_pem(s.cert_file, &f->broker, "secret");
	s.key_password = "secret";
	make_contexts(f, NULL, &s);
	expect_good(f, "localhost");
}

static void expect_bad_config(struct fixture *f, const struct tls_config *c, const char *words)
{
	struct errmsg why = {0};
	struct tls_ctx *t = NULL;
	assert_int_equal(tls_ctx_new(c, f->log, &t, &why), ERR_CONFIG);
	if (strstr(why.text, words) == NULL)
		fail_msg("'%s' is not in '%s'", words, why.text);
	assert_null(t);
	assert_int_equal(ERR_peek_error(), 0);
}

static void jks_is_refused_with_the_command(void **state)
{
	struct fixture *f = *state;
	static const uint8_t magic[] = {0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2};
	const char *jks = certs_path(&f->certs, "trust.jks");
	char words[300];
	certs_write(jks, magic, sizeof magic);
	snprintf(words, sizeof words,
		 "convert it: keytool -importkeystore -srckeystore %s -destkeystore trust.p12 "
		 "-deststoretype PKCS12",
		 jks);
	expect_bad_config(f, &(struct tls_config){.ca_file = jks}, words);
	expect_bad_config(f, &(struct tls_config){.ca_file = f->ca_pem, .cert_file = jks}, words);
}

static void bad_stores_are_named(void **state)
{
	struct fixture *f = *state;
	const char *path = certs_path(&f->certs, "bad"), *p12 = certs_path(&f->certs, "bad.p12"),
		   *client = certs_path(&f->certs, "client.pem");
	struct tls_config c = {.ca_file = path};
	expect_bad_config(f, &c, "bad: No such file or directory");
	certs_write(path, "hello", 5);
	expect_bad_config(f, &c, "bad is neither PEM nor PKCS#12");
	certs_write(path, "", 0);
	expect_bad_config(f, &c, "bad is neither PEM nor PKCS#12");
	certs_write(path, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 59);
	expect_bad_config(f, &c, "a certificate cannot be read");
	certs_write_key(path, &f->client);
	expect_bad_config(f, &c, "bad: no certificate found");
	c.ca_file = f->certs.dir;
	expect_bad_config(f, &c, "is not a file");
	certs_write_pkcs12(p12, &f->client, NULL, "secret");
	c = (struct tls_config){.ca_file = f->ca_pem, .cert_file = p12};
	expect_bad_config(f, &c, "bad.p12: a password is needed");
	c.key_password = "guess";
	expect_bad_config(f, &c, "bad.p12: wrong password");
	certs_write(p12, "\x30\x82\x01\x00garbage", 11);
	expect_bad_config(f, &c, "bad.p12: not a usable PKCS#12 store");
	c = (struct tls_config){.ca_file = f->ca_pem, .cert_file = f->ca_pem};
	expect_bad_config(f, &c, "ca.pem: no private key found");
	c.key_file = client;
	expect_bad_config(f, &c, "client.pem: the private key does not belong to the certificate");
	certs_write_pem(path, &f->client, "secret");
	c = (struct tls_config){.ca_file = f->ca_pem, .cert_file = path};
	expect_bad_config(f, &c, "bad: the private key is encrypted and no password is set");
	c.key_password = "guess";
	expect_bad_config(f, &c, "bad: the private key cannot be decrypted: wrong password?");
	c = (struct tls_config){.ca_file = f->ca_pem, .key_file = client};
	expect_bad_config(f, &c, "client.pem: a key without a certificate");
	c = (struct tls_config){.ca_file = f->ca_pem, .server = true};
	expect_bad_config(f, &c, "a listener needs a certificate");
	c = (struct tls_config){.ca_file = f->ca_pem, .ciphers = "NONSENSE"};
	expect_bad_config(f, &c, "no usable cipher in 'NONSENSE'");
}

static void system_trust_store(void **state)
{
	struct fixture *f = *state;
	make_contexts(f, &(struct tls_config){.ca_file = NULL}, NULL);
	expect_refused(f, "localhost", "is that CA in the trust store?");
}

static int trusted(struct fixture *f, const struct tls_config *c)
{
	struct tls_ctx *t = must_make(f, c);
	X509_STORE *store = SSL_CTX_get_cert_store(tls_ctx_current(t, 0));
	int n = sk_X509_OBJECT_num(X509_STORE_get0_objects(store));
	tls_ctx_free(t);
	return n;
}

/* The system's store is read by those who check certificates: it takes tens of milliseconds. */
static void system_trust_store_only_where_needed(void **state)
{
	struct fixture *f = *state;
	struct tls_config listener = server_config(f);
	listener.ca_file = NULL;
	assert_int_equal(setenv("SSL_CERT_FILE", f->ca_pem, 1), 0);
	assert_int_equal(trusted(f, &(struct tls_config){.ca_file = NULL}), 1);
	assert_int_equal(trusted(f, &listener), 0);
	listener.client_cert = TLS_CLIENT_CERT_OPTIONAL;
	assert_int_equal(trusted(f, &listener), 1);
	unsetenv("SSL_CERT_FILE");
}

/* A peer of plain OpenSSL on a socket, driven by the test */

struct raw {
	SSL_CTX *ctx;
	SSL *ssl;
	int fd;
};

static void raw_start(struct fixture *f, struct raw *r, bool server, int version,
		      const char *ciphers)
{
	r->ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
	SSL_CTX_set_security_level(r->ctx, 0);
	SSL_CTX_set_min_proto_version(r->ctx, TLS1_VERSION);
	SSL_CTX_set_max_proto_version(r->ctx, version);
	assert_int_equal(SSL_CTX_set_cipher_list(r->ctx, ciphers), 1);
	if (server) {
		assert_int_equal(SSL_CTX_use_certificate(r->ctx, f->broker.x), 1);
		assert_int_equal(SSL_CTX_use_PrivateKey(r->ctx, f->broker.key), 1);
	}
	r->ssl = SSL_new(r->ctx);
	assert_int_equal(SSL_set_fd(r->ssl, r->fd), 1);
	if (server)
		SSL_set_accept_state(r->ssl);
	else
		SSL_set_connect_state(r->ssl);
}

/* True when done, false when it failed. */
static bool raw_step(struct fixture *f, struct raw *r, int rc)
{
	int error = SSL_get_error(r->ssl, rc);
	ERR_clear_error();
	loop_turn(f->loop, 2);
	return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

static bool raw_handshake(struct fixture *f, struct raw *r)
{
	int rc;
	ERR_clear_error();
	while ((rc = SSL_do_handshake(r->ssl)) != 1)
		if (!raw_step(f, r, rc))
			return false;
	return true;
}

static void raw_write(struct fixture *f, struct raw *r, const void *p, int n)
{
	int rc;
	while ((rc = SSL_write(r->ssl, p, n)) <= 0)
		assert_true(raw_step(f, r, rc));
}

static void raw_read(struct fixture *f, struct raw *r, uint8_t *p, size_t n)
{
	while (n > 0) {
		int rc = SSL_read(r->ssl, p, n > 5000 ? 5000 : (int)n);
		if (rc > 0) {
			p += rc;
			n -= (size_t)rc;
		} else {
			assert_true(raw_step(f, r, rc));
		}
	}
}

static void raw_end(struct raw *r)
{
	SSL_free(r->ssl);
	SSL_CTX_free(r->ctx);
	close(r->fd);
}

/* Our client against a raw listener; the listener's end is in r->fd. */
static int raw_accept(struct fixture *f, struct raw *r, const char *host)
{
	uint16_t port;
	int listening = peer_listen(&port);
	make_contexts(f, NULL, NULL);
	start_client(f, host, port);
	r->fd = peer_accept(f->loop, listening);
	return listening;
}

/* Our listener's side against a raw client. */
static void raw_connect(struct fixture *f, struct raw *r)
{
	int fds[2];
	peer_pair(fds);
	make_contexts(f, NULL, NULL);
	r->fd = fds[0];
	on_accept(f, fds[1]);
}

static void old_versions_are_refused(void **state)
{
	struct fixture *f = *state;
	struct raw r;
	int listening = raw_accept(f, &r, "localhost");
	raw_start(f, &r, true, TLS1_1_VERSION, "ALL:@SECLEVEL=0");
	assert_false(raw_handshake(f, &r));
	pump_until(f->loop, &f->client_seen.dead, 1);
	assert_int_equal(f->client_seen.e, ERR_TLS);
	assert_text(f->client_seen, "no TLS version from 1.2 up");
	raw_end(&r);
	close(listening);
	raw_connect(f, &r);
	raw_start(f, &r, false, TLS1_1_VERSION, "ALL:@SECLEVEL=0");
	assert_false(raw_handshake(f, &r));
	pump_until(f->loop, &f->server_seen.dead, 1);
	assert_int_equal(f->server_seen.e, ERR_TLS);
	assert_text(f->server_seen, "the client offers no TLS version from 1.2 up");
	raw_end(&r);
}

static void no_common_cipher(void **state)
{
	struct fixture *f = *state;
	struct raw r;
	struct tls_config s = server_config(f);
	s.ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384";
	raw_connect(f, &r);
	hang_up(f);
	raw_end(&(struct raw){.fd = r.fd});
	make_contexts(f, NULL, &s);
	int fds[2];
	peer_pair(fds);
	r.fd = fds[0];
	on_accept(f, fds[1]);
	raw_start(f, &r, false, TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256");
	assert_false(raw_handshake(f, &r));
	pump_until(f->loop, &f->server_seen.dead, 1);
	assert_text(f->server_seen, "no cipher in common");
	raw_end(&r);
}

static int remember_name(SSL *ssl, int *alert, void *arg)
{
	(void)alert;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	snprintf(arg, 64, "%s", name == NULL ? "(none)" : name);
	return SSL_TLSEXT_ERR_OK;
}

static void server_name_is_sent_for_names_only(void **state)
{
	struct fixture *f = *state;
	static const char *const hosts[][2] = {
		{"localhost", "localhost"}, {"east-1.", "east-1"}, {"127.0.0.1", "(none)"}};
	for (int i = 0; i < 3; i++) {
		struct raw r;
		char name[64] = "";
		int listening = raw_accept(f, &r, hosts[i][0]);
		raw_start(f, &r, true, TLS1_3_VERSION, "ALL");
		SSL_CTX_set_tlsext_servername_callback(r.ctx, remember_name);
		SSL_CTX_set_tlsext_servername_arg(r.ctx, name);
		assert_true(raw_handshake(f, &r));
		pump_until(f->loop, &f->client_seen.opened, 1);
		assert_string_equal(name, hosts[i][1]);
		raw_end(&r);
		close(listening);
		hang_up(f);
	}
}

/* F13: the stream ends without the good-bye of TLS; and with it. */
static void ends_of_a_stream(void **state)
{
	struct fixture *f = *state;
	static const uint8_t frame[] = {0, 0, 0, 1, 9};
	for (int clean = 0; clean < 2; clean++) {
		struct raw r;
		int listening = raw_accept(f, &r, "localhost");
		raw_start(f, &r, true, TLS1_3_VERSION, "ALL");
		assert_true(raw_handshake(f, &r));
		raw_write(f, &r, frame, sizeof frame);
		if (clean)
			SSL_shutdown(r.ssl);
		raw_end(&r);
		pump_until(f->loop, &f->client_seen.dead, 1);
		assert_int_equal(f->client_seen.frames_n, 1);
		assert_int_equal(f->client_seen.e, ERR_CLOSED);
		assert_text(f->client_seen,
			    clean ? "closed by the peer" : "by the peer without ending TLS");
		close(listening);
		hang_up(f);
	}
}

/* F11 inside TLS: a record per byte, both versions. */
static void a_record_per_byte(void **state)
{
	struct fixture *f = *state;
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
	for (int v = 0; v < 2; v++) {
		struct raw r;
		uint8_t bytes[60], got[1004];
		raw_connect(f, &r);
		raw_start(f, &r, false, versions[v], "ALL");
		assert_true(raw_handshake(f, &r));
		for (unsigned i = 0; i < 3; i++) {
			be32_put(bytes + 20 * i, 16);
			pattern_fill(bytes + 20 * i + 4, 16, i);
		}
		for (size_t i = 0; i < sizeof bytes; i++)
			raw_write(f, &r, bytes + i, 1);
		pump_until_frames(&f->server_seen, 3);
		for (unsigned i = 0; i < 3; i++)
			assert_true(pattern_ok(f->server_seen.frames[i]->data, 16, i));
		send_pattern(&f->server_seen, 1000, 5);
		raw_read(f, &r, got, sizeof got);
		assert_true(pattern_ok(got + 4, 1000, 5));
		raw_end(&r);
		hang_up(f);
	}
}

/* The peer renews its keys and wants ours renewed: an answer is due while we only read. */
static void key_update(void **state)
{
	struct fixture *f = *state;
	struct raw r;
	static const uint8_t frame[] = {0, 0, 0, 1, 9};
	uint8_t got[104];
	raw_connect(f, &r);
	raw_start(f, &r, false, TLS1_3_VERSION, "ALL");
	assert_true(raw_handshake(f, &r));
	for (unsigned i = 1; i <= 5; i++) {
		assert_int_equal(SSL_key_update(r.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
		raw_write(f, &r, frame, sizeof frame);
		pump_until_frames(&f->server_seen, i);
		send_pattern(&f->server_seen, 100, i);
		raw_read(f, &r, got, sizeof got);
		assert_true(pattern_ok(got + 4, 100, i));
	}
	raw_end(&r);
}

/* F10: messages of all sizes to a peer that reads slowly: each record that the socket did not take
 * is offered again after more was queued behind it. */
static void slow_reader_gets_every_byte(void **state)
{
	enum { N = 300 };
	struct fixture *f = *state;
	struct raw r;
	int fds[2];
	make_contexts(f, NULL, NULL);
	peer_pair(fds);
	r.fd = fds[0];
	f->server_options.socket_buffer = 8192;
	on_accept(f, fds[1]);
	raw_start(f, &r, false, TLS1_3_VERSION, "ALL");
	assert_true(raw_handshake(f, &r));
	for (unsigned i = 0; i < N; i++) {
		send_pattern(&f->server_seen, i % 5 == 0 ? 100000 + i : 1 + i * 7, i);
		loop_turn(f->loop, 0);
	}
	assert_true(conn_unsent(f->server_seen.conn) > 1000000);
	uint8_t *got = mem_alloc(200000);
	for (unsigned i = 0; i < N; i++) {
		size_t n = i % 5 == 0 ? 100000 + i : 1 + i * 7;
		raw_read(f, &r, got, n + 4);
		assert_int_equal(be32_get(got), n);
		assert_true(pattern_ok(got + 4, n, i));
	}
	mem_free(got);
	raw_end(&r);
}

/* Plain against TLS */

static void plaintext_peer_of_a_tls_client(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *bytes;
		size_t n;
		const char *words;
	} cases[] = {
		{"\0\0\0\1x\0\0\0\1x\0\0\0\1x", 15, "looks like a plaintext listener"},
		{"HTTP/1.1 400 Bad Request\r\n\r\n", 28, "does not speak TLS"},
		{"", 0, "is this a plaintext listener?"},
		{"\x15\x03\x03\0\2\2\x28", 7, "the peer refused the handshake"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct raw r;
		uint8_t hello[100];
		int listening = raw_accept(f, &r, "localhost");
		peer_recv(f->loop, r.fd, hello, sizeof hello);
		peer_send(f->loop, r.fd, cases[i].bytes, cases[i].n);
		shutdown(r.fd, SHUT_WR);
		pump_until(f->loop, &f->client_seen.dead, 1);
		assert_int_equal(f->client_seen.e, ERR_TLS);
		assert_text(f->client_seen, cases[i].words);
		close(r.fd);
		close(listening);
		hang_up(f);
	}
}

/* As a plaintext broker does: it reads a length, finds it absurd and closes. */
static void reset_during_the_handshake(void **state)
{
	struct fixture *f = *state;
	struct raw r;
	uint8_t length[4];
	int listening = raw_accept(f, &r, "localhost");
	peer_recv(f->loop, r.fd, length, sizeof length);
	close(r.fd); /* with bytes unread: a reset */
	pump_until(f->loop, &f->client_seen.dead, 1);
	assert_int_equal(f->client_seen.e, ERR_TLS);
	assert_text(f->client_seen, "is this a plaintext listener?");
	close(listening);
}

static void plaintext_client_of_a_tls_listener(void **state)
{
	struct fixture *f = *state;
	struct conn_options o = peer_options();
	make_contexts(f, NULL, NULL);
	f->client_seen.conn = conn_connect(f->loop, "127.0.0.1", listener_port(f->listener), &o,
					   &seen_events, &f->client_seen);
	send_pattern(&f->client_seen, 50, 0);
	pump_until(f->loop, &f->server_seen.dead, 1);
	assert_int_equal(f->server_seen.e, ERR_TLS);
	assert_text(f->server_seen, "does not speak TLS; a client with security.protocol=PLAIN");
	/* OpenSSL closes without a word; Java's TLS sends an alert (test_conn). */
	pump_until(f->loop, &f->client_seen.dead, 1);
	assert_int_equal(f->client_seen.e, ERR_CLOSED);
	assert_text(f->client_seen, "closed by the peer");
}

static void tls_client_of_a_plaintext_listener(void **state)
{
	struct fixture *f = *state;
	make_contexts(f, NULL, NULL);
	f->server_options.tls = NULL;
	start_client(f, "localhost", 0);
	pump_until(f->loop, &f->client_seen.dead, 1);
	pump_until(f->loop, &f->server_seen.dead, 1);
	assert_text(f->server_seen, "speaks TLS");
	assert_int_equal(f->client_seen.e, ERR_TLS);
	assert_text(f->client_seen, "is this a plaintext listener?");
}

static void silent_peer_times_out(void **state)
{
	struct fixture *f = *state;
	struct raw r;
	int listening = raw_accept(f, &r, "localhost");
	pump_a_while(f->loop);
	f->clock.ahead_ms += 30000;
	pump_until(f->loop, &f->client_seen.dead, 1);
	assert_int_equal(f->client_seen.e, ERR_TIMEOUT);
	assert_text(f->client_seen, "no answer within 30000 ms (TLS handshake)");
	close(r.fd);
	close(listening);
	hang_up(f);
	raw_connect(f, &r); /* and a client that says nothing to our listener */
	pump_a_while(f->loop);
	f->clock.ahead_ms += 30000;
	pump_until(f->loop, &f->server_seen.dead, 1);
	assert_int_equal(f->server_seen.e, ERR_TIMEOUT);
	close(r.fd);
}

/* Bulk and re-entry */

static void large_frames_both_ways(void **state)
{
	enum { SIZE = 16 << 20 };
	struct fixture *f = *state;
	make_contexts(f, NULL, NULL);
	start_client(f, "localhost", 0);
	pump_until(f->loop, &f->client_seen.opened, 1);
	talk(f);
	for (unsigned i = 0; i < 2; i++) {
		send_pattern(&f->client_seen, SIZE, i);
		send_pattern(&f->server_seen, SIZE + 3, 5 + i);
	}
	pump_until_frames(&f->client_seen, 3);
	pump_until_frames(&f->server_seen, 3);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(pattern_ok(f->server_seen.frames[1 + i]->data, SIZE, i));
		assert_true(pattern_ok(f->client_seen.frames[1 + i]->data, SIZE + 3, 5 + i));
	}
}

static void close_it(struct seen *s)
{
	struct conn *c = s->conn;
	s->conn = NULL;
	s->then = NULL;
	conn_close(c);
}

static void close_in_callbacks(void **state)
{
	struct fixture *f = *state;
	make_contexts(f, NULL, NULL);
	f->client_seen.then = close_it;
	start_client(f, "localhost", 0);
	pump_until(f->loop, &f->client_seen.opened, 1);
	pump_until(f->loop, &f->server_seen.dead, 1);
	assert_int_equal(f->server_seen.e, ERR_CLOSED);
	hang_up(f);
	start_client(f, "localhost", 0);
	pump_until(f->loop, &f->client_seen.opened, 1);
	f->server_seen.then = close_it;
	send_pattern(&f->client_seen, 100, 0);
	send_pattern(&f->client_seen, 100, 1);
	pump_until(f->loop, &f->client_seen.dead, 1);
	assert_int_equal(f->server_seen.frames_n, 1);
	hang_up(f);
	start_client(f, "localhost", 0);
	conn_close(f->client_seen.conn);
	f->client_seen.conn = NULL;
	pump_a_while(f->loop);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(good_by_name_and_by_address),
		T(file_range),
		T(wrong_host_names_both),
		T(host_is_not_checked_when_told_so),
		T(no_names_at_all),
		T(hostile_names_are_escaped),
		T(expired),
		T(not_yet_valid),
		T(wrong_ca),
		T(self_signed),
		T(revoked),
		T(client_certificate_given),
		T(client_certificate_missing),
		T(client_certificate_of_another_ca),
		T(client_certificate_expired),
		T(client_certificate_optional),
		T(new_files_are_used_by_new_connections),
		T(files_are_not_looked_at_all_the_time),
		T(broken_files_leave_the_old_in_use),
		T(pkcs12_stores),
		T(encrypted_key),
		T(jks_is_refused_with_the_command),
		T(bad_stores_are_named),
		T(system_trust_store),
		T(system_trust_store_only_where_needed),
		T(old_versions_are_refused),
		T(no_common_cipher),
		T(server_name_is_sent_for_names_only),
		T(ends_of_a_stream),
		T(a_record_per_byte),
		T(key_update),
		T(slow_reader_gets_every_byte),
		T(plaintext_peer_of_a_tls_client),
		T(reset_during_the_handshake),
		T(plaintext_client_of_a_tls_listener),
		T(tls_client_of_a_plaintext_listener),
		T(silent_peer_times_out),
		T(large_frames_both_ways),
		T(close_in_callbacks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
