/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a relay costs: frames from one socket to another, by bare read and write and by a pair of
 * connections, plain and TLS on the way out. Prints the relaying thread's CPU-seconds per GiB; the
 * source and the sink run on threads of their own.
 *
 *     relay_bench [MiB per case, default 2048]
 */
#include <errno.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "lib/net/conn.h"
#include "lib/net/tls.h"

enum {
	CHUNK = 256 * 1024,
	HIGH_WATER = 8 << 20,
	LOW_WATER = 4 << 20,
};

struct bench {
	size_t frame; /* payload bytes */
	size_t frames;
	int source, in; /* a connected pair */
	int sink;       /* listens on sink_port */
	uint16_t sink_port;
	SSL_CTX *sink_tls, *bare_tls;
	struct tls_ctx *conn_tls;
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int tcp_listen(uint16_t *port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof sa;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(fd, (const struct sockaddr *)&sa, n) != 0 || listen(fd, 1) != 0 ||
	    getsockname(fd, (struct sockaddr *)&sa, &n) != 0)
		die("listen");
	*port = ntohs(sa.sin_port);
	return fd;
}

static int tcp_connect(uint16_t port)
{
	const struct sockaddr_in sa = {.sin_family = AF_INET,
				       .sin_port = htons(port),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(fd, (const struct sockaddr *)&sa, sizeof sa) != 0)
		die("connect");
	return fd;
}

static void write_all(int fd, const uint8_t *p, size_t n)
{
	while (n > 0) {
		ssize_t put = send(fd, p, n, MSG_NOSIGNAL);
		if (put <= 0)
			die("send");
		p += put;
		n -= (size_t)put;
	}
}

static void *source_main(void *arg)
{
	struct bench *b = arg;
	uint8_t *p = mem_zalloc(1, b->frame + 4);
	be32_put(p, (uint32_t)b->frame);
	for (size_t i = 0; i < b->frames; i++)
		write_all(b->source, p, b->frame + 4);
	shutdown(b->source, SHUT_WR);
	mem_free(p);
	return NULL;
}

static void *sink_main(void *arg)
{
	struct bench *b = arg;
	uint8_t *p = mem_alloc(CHUNK);
	uint64_t left = (uint64_t)b->frames * (b->frame + 4);
	SSL *ssl = NULL;
	int fd = accept(b->sink, NULL, NULL);
	if (b->sink_tls != NULL) {
		ssl = SSL_new(b->sink_tls);
		SSL_set_fd(ssl, fd);
		if (SSL_accept(ssl) != 1)
			die("accept TLS");
	}
	while (left > 0) {
		ssize_t got = ssl != NULL ? SSL_read(ssl, p, CHUNK) : recv(fd, p, CHUNK, 0);
		if (got <= 0)
			break;
		left -= (uint64_t)got;
	}
	if (left > 0)
		fprintf(stderr, "%llu bytes were lost\n", (unsigned long long)left);
	close(fd);
	SSL_free(ssl);
	mem_free(p);
	return NULL;
}

static ssize_t recv_some(int fd, uint8_t *p)
{
	for (;;) {
		ssize_t got = recv(fd, p, CHUNK, 0);
		if (got >= 0 || errno != EAGAIN)
			return got;
		poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, -1);
	}
}

/* The limit: read what is there, write it. */
static void relay_bare(struct bench *b)
{
	uint8_t *p = mem_alloc(CHUNK);
	int out = tcp_connect(b->sink_port);
	ssize_t got;
	while ((got = recv_some(b->in, p)) > 0)
		write_all(out, p, (size_t)got);
	close(out);
	mem_free(p);
}

static void relay_bare_tls(struct bench *b)
{
	uint8_t *p = mem_alloc(CHUNK);
	ssize_t got;
	SSL *ssl = SSL_new(b->bare_tls);
	int out = tcp_connect(b->sink_port);
	SSL_set_fd(ssl, out);
	if (SSL_connect(ssl) != 1)
		die("connect TLS");
	while ((got = recv_some(b->in, p)) > 0)
		if (SSL_write(ssl, p, (int)got) <= 0)
			die("write TLS");
	/* Not a reset: that would overtake the last bytes. */
	SSL_shutdown(ssl);
	while (SSL_read(ssl, p, CHUNK) > 0)
		;
	SSL_free(ssl);
	close(out);
	mem_free(p);
}

/* By connections */

struct relay {
	struct bench *bench;
	struct loop *loop;
	struct conn *in, *out;
	size_t relayed;
};

struct passing {
	struct relay *relay;
	struct frame *frame;
};

static void on_passed(void *arg)
{
	struct passing *p = arg;
	struct relay *r = p->relay;
	frame_unref(p->frame);
	mem_free(p);
	if (r->out != NULL && conn_unsent(r->out) < LOW_WATER)
		conn_pause(r->in, false);
	if (++r->relayed == r->bench->frames)
		loop_break(r->loop);
}

static void on_frame(void *arg, struct frame *f)
{
	struct relay *r = arg;
	struct passing *p = mem_alloc(sizeof *p);
	struct wire_out out;
	*p = (struct passing){.relay = r, .frame = f};
	wire_out_init(&out, 1000, 1);
	out.splices = mem_alloc(sizeof *out.splices);
	out.splices[0] = (struct wire_splice){.at = 0, .bytes = bytes_of(f->data, f->n)};
	out.splices_n = out.splices_cap = 1;
	out.splice_bytes = f->n;
	if (conn_send(r->out, &out, on_passed, p) != ERR_OK)
		die("conn_send");
	if (conn_unsent(r->out) > HIGH_WATER)
		conn_pause(r->in, true);
}

static void on_dead(void *arg, enum err e, const struct errmsg *why)
{
	struct relay *r = arg;
	(void)e;
	if (r->relayed < r->bench->frames && conn_unsent(r->out) == 0) {
		fprintf(stderr, "%s\n", why->text);
		exit(1);
	}
}

static void relay_conn(struct bench *b)
{
	static const struct conn_events events = {.on_frame = on_frame, .on_dead = on_dead};
	struct relay r = {.bench = b};
	struct errmsg why = {0};
	struct conn_options o = {.frame_max = 64 << 20};
	if (loop_new(1, clock_system(), NULL, &r.loop, &why) != ERR_OK)
		die("loop");
	r.in = conn_accepted(r.loop, dup(b->in), &o, &events, &r);
	o.tls = b->conn_tls;
	r.out = conn_connect(r.loop, "127.0.0.1", b->sink_port, &o, &events, &r);
	loop_run(r.loop);
	conn_close(r.in);
	conn_close(r.out);
	loop_free(r.loop);
}

/* Certificate for the TLS cases; nobody verifies it. */
static SSL_CTX *new_sink_tls(const char *pem)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	if (SSL_CTX_use_certificate_chain_file(ctx, pem) != 1 ||
	    SSL_CTX_use_PrivateKey_file(ctx, pem, SSL_FILETYPE_PEM) != 1)
		die(pem);
	return ctx;
}

static double seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void run(const char *name, struct bench *b, void (*relay)(struct bench *b))
{
	pthread_t source, sink;
	struct rusage before, after;
	struct timespec t0, t1;
	b->sink = tcp_listen(&b->sink_port);
	b->source = tcp_connect(b->sink_port);
	b->in = accept4(b->sink, NULL, NULL, SOCK_NONBLOCK);
	getrusage(RUSAGE_THREAD, &before);
	clock_gettime(CLOCK_MONOTONIC, &t0);
	pthread_create(&source, NULL, source_main, b);
	pthread_create(&sink, NULL, sink_main, b);
	relay(b);
	getrusage(RUSAGE_THREAD, &after);
	pthread_join(source, NULL);
	pthread_join(sink, NULL);
	clock_gettime(CLOCK_MONOTONIC, &t1);
	close(b->source);
	close(b->in);
	close(b->sink);
	double gib = (double)b->frames * (double)b->frame / (1 << 30);
	double user = seconds(after.ru_utime) - seconds(before.ru_utime);
	double sys = seconds(after.ru_stime) - seconds(before.ru_stime);
	double wall = (double)(t1.tv_sec - t0.tv_sec) + (double)(t1.tv_nsec - t0.tv_nsec) / 1e9;
	printf("%-10s %9zu %8.3f %8.3f %8.3f %8.0f %9ld\n", name, b->frame, (user + sys) / gib,
	       user / gib, sys / gib, gib * 1024 / wall, after.ru_minflt - before.ru_minflt);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static const size_t sizes[] = {1024, 16384, 131072, 1 << 20, 4 << 20, 16 << 20};
	size_t mib = argc > 1 ? (size_t)strtoul(argv[1], NULL, 10) : 2048;
	const char *pem = argc > 2 ? argv[2] : NULL;
	printf("%-10s %9s %8s %8s %8s %8s %9s\n", "relay", "frame", "cpu s/GiB", "user", "sys",
	       "MiB/s", "faults");
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		struct bench b = {.frame = sizes[i], .frames = (mib << 20) / sizes[i]};
		if (sizes[i] == 1024)
			b.frames /= 8;
		run("bare", &b, relay_bare);
		run("conn", &b, relay_conn);
		if (pem == NULL || sizes[i] < 131072)
			continue;
		b.sink_tls = new_sink_tls(pem);
		b.bare_tls = SSL_CTX_new(TLS_client_method());
		run("bare TLS", &b, relay_bare_tls);
		const struct tls_config c = {.ca_file = pem, .no_verify_host = true};
		struct errmsg why = {0};
		if (tls_ctx_new(&c, NULL, &b.conn_tls, &why) != ERR_OK) {
			fprintf(stderr, "%s\n", why.text);
			return 1;
		}
		run("conn TLS", &b, relay_conn);
		tls_ctx_free(b.conn_tls);
		SSL_CTX_free(b.bare_tls);
		SSL_CTX_free(b.sink_tls);
	}
	return 0;
}
