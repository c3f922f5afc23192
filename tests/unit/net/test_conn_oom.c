/* SPDX-License-Identifier: Apache-2.0 */
/*
 * F20: the Nth allocation fails, N = 1, 2, ... until a whole conversation goes through untouched.
 * Each time nothing leaks (the sanitizer looks), each message is released once if it was taken, and
 * the end is either an answer or an error that says "out of memory".
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/net/tls.h"
#include "tests/unit/net/certs.h"
#include "tests/unit/net/peer.h"

void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t count, size_t n);
void *__wrap_realloc(void *p, size_t n);
void *__real_malloc(size_t n);
void *__real_calloc(size_t count, size_t n);
void *__real_realloc(void *p, size_t n);

static unsigned long countdown; /* 0: never */
static bool failed;

static bool fails(void)
{
	if (countdown == 0 || --countdown > 0)
		return false;
	failed = true;
	return true;
}

void *__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t count, size_t n)
{
	return fails() ? NULL : __real_calloc(count, n);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails() ? NULL : __real_realloc(p, n);
}

struct side {
	struct conn *conn;
	unsigned frames, dead, sent, released;
	bool nomem; /* it was told so */
};

struct scene {
	struct loop *loop;
	struct tls_ctx *client_tls, *server_tls;
	struct side client, server;
};

static void on_release(void *arg)
{
	((struct side *)arg)->released++;
}

static void say(struct side *s)
{
	struct wire_out out;
	wire_out_init(&out, 100000, 0);
	for (int i = 0; i < 100; i++)
		buf_put_str(&out.buf, "hello, hello");
	enum err e = conn_send(s->conn, &out, on_release, s);
	s->sent += e == ERR_OK;
	s->nomem |= e == ERR_NOMEM;
	wire_out_fini(&out);
}

static void on_open(void *arg)
{
	say(arg);
}

static void on_server_frame(void *arg, struct frame *f)
{
	struct side *s = arg;
	s->frames++;
	frame_unref(f);
	say(s);
}

static void on_client_frame(void *arg, struct frame *f)
{
	struct side *s = arg;
	s->frames++;
	assert_int_equal(f->n, 1200);
	frame_unref(f);
}

static void on_dead(void *arg, enum err e, const struct errmsg *why)
{
	struct side *s = arg;
	(void)why;
	s->dead++;
	s->nomem |= e == ERR_NOMEM;
}

static const struct conn_events client_events = {
	.on_open = on_open, .on_frame = on_client_frame, .on_dead = on_dead};
static const struct conn_events server_events = {.on_frame = on_server_frame, .on_dead = on_dead};

static void on_accept(void *arg, int fd)
{
	struct scene *sc = arg;
	struct conn_options o = peer_options();
	o.tls = sc->server_tls;
	sc->server.conn = conn_accepted(sc->loop, fd, &o, &server_events, &sc->server);
	sc->server.nomem |= sc->server.conn == NULL;
}

static bool ended(const struct side *s)
{
	return s->frames > 0 || s->dead > 0 || s->nomem;
}

static void converse(struct scene *sc, const char *host, uint16_t port)
{
	struct conn_options o = peer_options();
	o.tls = sc->client_tls;
	o.tls_host = "localhost";
	sc->client.conn = conn_connect(sc->loop, host, port, &o, &client_events, &sc->client);
	sc->client.nomem |= sc->client.conn == NULL;
	int64_t end = clock_mono_ms(clock_system()) + 5000;
	while (!ended(&sc->client) && !ended(&sc->server) && clock_mono_ms(clock_system()) < end)
		loop_turn(sc->loop, 20);
	while (!ended(&sc->client) && clock_mono_ms(clock_system()) < end) {
		if (sc->server.dead > 0 || sc->server.nomem) {
			conn_close(sc->server.conn);
			sc->server.conn = NULL;
		}
		loop_turn(sc->loop, 20);
	}
	assert_true(ended(&sc->client));
	conn_close(sc->client.conn);
	conn_close(sc->server.conn);
}

/* One run; true if it went through without a failed allocation. */
static bool run(struct scene *sc, const char *host, unsigned long nth)
{
	struct errmsg why = {0};
	struct listener *listener = NULL;
	memset(&sc->client, 0, sizeof sc->client);
	memset(&sc->server, 0, sizeof sc->server);
	failed = false;
	countdown = nth;
	enum err e = loop_new(1, clock_system(), NULL, &sc->loop, &why);
	if (e == ERR_OK) {
		e = listener_new(sc->loop, "127.0.0.1", 0, on_accept, sc, &listener, &why);
		if (e == ERR_OK)
			converse(sc, host, listener_port(listener));
		listener_free(listener);
		loop_free(sc->loop);
	}
	countdown = 0;
	assert_int_equal(sc->client.sent, sc->client.released);
	assert_int_equal(sc->server.sent, sc->server.released);
	if (!failed) {
		assert_int_equal(e, ERR_OK);
		assert_int_equal(sc->client.frames, 1);
		return true;
	}
	assert_true(e == ERR_NOMEM || sc->client.nomem || sc->server.nomem ||
		    sc->client.frames == 1);
	return false;
}

static void run_all(struct scene *sc, const char *host)
{
	unsigned long n = 1;
	while (!run(sc, host, n))
		n++;
	assert_true(n > 8);
	print_message("%lu allocations\n", n - 1);
}

static void plain_conversation(void **state)
{
	(void)state;
	struct scene sc = {.loop = NULL};
	run_all(&sc, "127.0.0.1");
}

static void plain_conversation_by_name(void **state)
{
	(void)state;
	struct scene sc = {.loop = NULL};
	run_all(&sc, "localhost");
}

static void tls_conversation(void **state)
{
	(void)state;
	struct scene sc = {.loop = NULL};
	struct errmsg why = {0};
	struct certs certs;
	certs_init(&certs);
	const char *ca_pem = certs_path(&certs, "ca.pem"), *pem = certs_path(&certs, "b.pem");
	struct cert ca = certs_make(&certs, &(struct cert_spec){"CA", NULL, -1, 9, true}, NULL);
	struct cert broker =
		certs_make(&certs, &(struct cert_spec){"b", "DNS:localhost", -1, 9, false}, &ca);
	certs_write_cert(ca_pem, &ca);
	certs_write_pem(pem, &broker, "pw");
	const struct tls_config c = {.ca_file = ca_pem};
	const struct tls_config s = {
		.ca_file = ca_pem, .cert_file = pem, .key_password = "pw", .server = true};
	enum err e;
	for (unsigned long n = 1;; n++) {
		countdown = n;
		failed = false;
		e = tls_ctx_new(&s, NULL, &sc.server_tls, &why);
		countdown = 0;
		if (!failed)
			break;
		assert_int_equal(e, ERR_NOMEM);
	}
	assert_int_equal(e, ERR_OK);
	assert_int_equal(tls_ctx_new(&c, NULL, &sc.client_tls, &why), ERR_OK);
	run_all(&sc, "127.0.0.1");
	tls_ctx_free(sc.client_tls);
	tls_ctx_free(sc.server_tls);
	certs_free(&ca);
	certs_free(&broker);
	certs_fini(&certs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_conversation),
		cmocka_unit_test(plain_conversation_by_name),
		cmocka_unit_test(tls_conversation),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
