/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames out by one sendmsg for many (plaintext) or by SSL_write, answers in by large reads.
 *
 * Invariants: queue[first] is the frame of which `sent` bytes are gone; epoll reports writability
 * exactly while want_write is set; in[0..in_len) starts at the length field of an answer.
 */
#include "tests/tools/load_conn.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/mem.h"

enum {
	EVENTS_MAX = 64,
	IOV_MAX_FRAMES = 32,
	READ_MIN = 256 * 1024,
	ANSWER_MAX = 256 << 20,
	IO_BLOCKED = -1,
	IO_END = 0
};

void load_die(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fputs("kafka-load: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

int64_t load_now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000 + t.tv_nsec;
}

void load_address(struct load_loop *l, char *address)
{
	char *colon = strrchr(address, ':');
	if (colon == NULL)
		load_die("%s: not HOST:PORT", address);
	*colon = '\0';
	l->host = address;
	l->port = colon + 1;
}

void load_loop_init(struct load_loop *l, char *address, const char *ca)
{
	*l = (struct load_loop){0};
	load_address(l, address);
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll < 0)
		load_die("epoll: %s", strerror(errno));
	if (ca == NULL)
		return;
	l->tls = SSL_CTX_new(TLS_client_method());
	if (l->tls == NULL || SSL_CTX_load_verify_locations(l->tls, ca, NULL) != 1)
		load_die("%s: %s", ca, ERR_error_string(ERR_get_error(), NULL));
	SSL_CTX_set_verify(l->tls, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_mode(l->tls, SSL_MODE_ENABLE_PARTIAL_WRITE |
					 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
					 SSL_MODE_RELEASE_BUFFERS);
}

void load_loop_fini(struct load_loop *l)
{
	SSL_CTX_free(l->tls);
	close(l->epoll);
}

static void watch(struct load_loop *l, int op, int fd, uint32_t events, void *tag)
{
	struct epoll_event e = {.events = events, .data.ptr = tag};
	if (epoll_ctl(l->epoll, op, fd, &e) != 0)
		load_die("epoll_ctl: %s", strerror(errno));
}

static int connect_tcp(const struct load_loop *l)
{
	struct addrinfo want = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC}, *found;
	int e = getaddrinfo(l->host, l->port, &want, &found);
	if (e != 0)
		load_die("%s: %s", l->host, gai_strerror(e));
	int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) != 0)
		load_die("connect to %s:%s: %s", l->host, l->port, strerror(errno));
	freeaddrinfo(found);
	int on = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	return fd;
}

struct load_conn *load_conn_open(struct load_loop *l, load_answer_fn *on_answer, void *owner)
{
	struct load_conn *c = mem_zalloc(1, sizeof *c);
	if (c == NULL)
		load_die("out of memory");
	c->loop = l;
	c->on_answer = on_answer;
	c->owner = owner;
	c->fd = connect_tcp(l);
	if (l->tls != NULL) {
		c->ssl = SSL_new(l->tls);
		if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1 || SSL_connect(c->ssl) != 1)
			load_die("tls: %s", ERR_error_string(ERR_get_error(), NULL));
	}
	int flags = fcntl(c->fd, F_GETFL);
	if (flags < 0 || fcntl(c->fd, F_SETFL, flags | O_NONBLOCK) != 0)
		load_die("fcntl: %s", strerror(errno));
	watch(l, EPOLL_CTL_ADD, c->fd, EPOLLIN, c);
	return c;
}

void load_conn_close(struct load_conn *c)
{
	SSL_free(c->ssl);
	close(c->fd);
	mem_free(c->in);
	mem_free(c);
}

void load_conn_queue(struct load_conn *c, struct bytes frame)
{
	if (c->count == LOAD_QUEUE_MAX)
		load_die("too many requests wait to be sent");
	c->queue[(c->first + c->count++) % LOAD_QUEUE_MAX] = frame;
}

/* Bytes sent, or IO_BLOCKED. */
static ssize_t write_some(struct load_conn *c)
{
	struct iovec iov[IOV_MAX_FRAMES];
	struct msghdr m = {.msg_iov = iov};
	for (unsigned i = 0; i < c->count && i < IOV_MAX_FRAMES; i++) {
		struct bytes f = c->queue[(c->first + i) % LOAD_QUEUE_MAX];
		size_t skip = i == 0 ? c->sent : 0;
		iov[m.msg_iovlen++] =
			(struct iovec){.iov_base = (void *)(f.p + skip), .iov_len = f.n - skip};
	}
	if (c->ssl != NULL) {
		size_t n;
		ERR_clear_error();
		int ok = SSL_write_ex(c->ssl, iov[0].iov_base, iov[0].iov_len, &n);
		if (ok == 1)
			return (ssize_t)n;
		if (SSL_get_error(c->ssl, ok) == SSL_ERROR_WANT_WRITE)
			return IO_BLOCKED;
		load_die("tls write: %s", ERR_error_string(ERR_get_error(), NULL));
	}
	ssize_t n = sendmsg(c->fd, &m, MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		load_die("send: %s", strerror(errno));
	return n < 0 ? IO_BLOCKED : n;
}

void load_conn_flush(struct load_conn *c)
{
	while (c->count > 0) {
		ssize_t n = write_some(c);
		if (n == IO_BLOCKED)
			break;
		size_t left = (size_t)n;
		while (c->count > 0 && left >= c->queue[c->first].n - c->sent) {
			left -= c->queue[c->first].n - c->sent;
			c->sent = 0;
			c->first = (c->first + 1) % LOAD_QUEUE_MAX;
			c->count--;
		}
		c->sent += left;
	}
	bool want = c->count > 0;
	if (want != c->want_write) {
		watch(c->loop, EPOLL_CTL_MOD, c->fd, want ? EPOLLIN | EPOLLOUT : EPOLLIN, c);
		c->want_write = want;
	}
}

/* Bytes read, IO_END or IO_BLOCKED. */
static ssize_t read_some(struct load_conn *c)
{
	if (c->ssl != NULL) {
		size_t n;
		ERR_clear_error();
		int ok = SSL_read_ex(c->ssl, c->in + c->in_len, c->in_cap - c->in_len, &n);
		if (ok == 1)
			return (ssize_t)n;
		int why = SSL_get_error(c->ssl, ok);
		return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? IO_BLOCKED
										 : IO_END;
	}
	ssize_t n = recv(c->fd, c->in + c->in_len, c->in_cap - c->in_len, 0);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		load_die("recv: %s", strerror(errno));
	return n < 0 ? IO_BLOCKED : n;
}

/* Hand over the whole answers, and say how long the next one is with its length field. */
static size_t take_answers(struct load_conn *c)
{
	size_t at = 0, need = 0;
	while (c->in_len - at >= 4) {
		size_t size = be32_get(c->in + at);
		if (size > ANSWER_MAX)
			load_die("an answer of %zu bytes", size);
		if (c->in_len - at - 4 < size) {
			need = size + 4;
			break;
		}
		c->on_answer(c, bytes_of(c->in + at + 4, size));
		at += size + 4;
	}
	c->in_len -= at;
	memmove(c->in, c->in + at, c->in_len);
	return need;
}

static void on_readable(struct load_conn *c)
{
	for (size_t need = READ_MIN;;) {
		if (need < READ_MIN)
			need = READ_MIN;
		if (need > c->in_cap) {
			uint8_t *grown = mem_resize(c->in, need, 1);
			if (grown == NULL)
				load_die("out of memory");
			c->in = grown;
			c->in_cap = need;
		}
		ssize_t n = read_some(c);
		if (n == IO_BLOCKED)
			return;
		if (n == IO_END)
			load_die("the broker closed the connection");
		c->in_len += (size_t)n;
		need = take_answers(c);
	}
}

void load_loop_watch(struct load_loop *l, int fd, void *tag)
{
	/* Odd pointers are tags: connections are aligned. */
	watch(l, EPOLL_CTL_ADD, fd, EPOLLIN, (uint8_t *)tag + 1);
}

void *load_loop_turn(struct load_loop *l, int timeout_ms)
{
	struct epoll_event events[EVENTS_MAX];
	void *tag = NULL;
	int n = epoll_wait(l->epoll, events, EVENTS_MAX, timeout_ms);
	if (n < 0 && errno != EINTR)
		load_die("epoll_wait: %s", strerror(errno));
	for (int i = 0; i < n; i++) {
		if (((uintptr_t)events[i].data.ptr & 1) != 0) {
			tag = (uint8_t *)events[i].data.ptr - 1;
			continue;
		}
		struct load_conn *c = events[i].data.ptr;
		if ((events[i].events & EPOLLOUT) != 0)
			load_conn_flush(c);
		if ((events[i].events & ~(uint32_t)EPOLLOUT) != 0)
			on_readable(c);
	}
	return tag;
}

void load_loop_run(struct load_loop *l)
{
	while (!l->done)
		load_loop_turn(l, -1);
	l->done = false;
}
