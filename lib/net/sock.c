/* SPDX-License-Identifier: Apache-2.0 */
/* Thin over the system calls; everything here is stateless. */
#include "lib/net/sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

static void set_int(int fd, int level, int name, int value)
{
	(void)setsockopt(fd, level, name, &value, sizeof value);
}

/*
 * TCP_USER_TIMEOUT ends a connection whose data stay unacknowledged; one with nothing in flight is
 * ended by keepalive. The first probe goes out after a third of the budget, and the kernel gives up
 * at the first probe after the whole of it (tcp(7): the user timeout overrides the probe count).
 */
static void tune_keepalive(int fd, int64_t timeout_ms)
{
	if (timeout_ms > INT32_MAX)
		timeout_ms = INT32_MAX;
	int idle = (int)(timeout_ms / 3000), interval = (int)(timeout_ms / 6000);
	idle = idle < 1 ? 1 : idle;
	interval = interval < 1 ? 1 : interval;
	int64_t probes = (timeout_ms / 1000 - idle) / interval;
	set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle);
	set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, interval);
	set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, probes < 1 ? 1 : (int)probes);
	set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)timeout_ms);
}

void sock_tune(int fd, const struct sock_options *o)
{
	set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (o->user_timeout_ms > 0)
		tune_keepalive(fd, o->user_timeout_ms);
	if (o->buffer > 0) {
		set_int(fd, SOL_SOCKET, SO_SNDBUF, o->buffer);
		set_int(fd, SOL_SOCKET, SO_RCVBUF, o->buffer);
	}
}

bool sock_tune_near(int fd, int queue, int64_t near_us)
{
	static const char steady[] = "reno"; /* every kernel has it */
	struct tcp_info info;
	socklen_t n = sizeof info;
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) != 0 || info.tcpi_rtt >= near_us)
		return false;
	set_int(fd, SOL_SOCKET, SO_SNDBUF, queue);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, steady, sizeof steady - 1);
	return true;
}

int sock_connect(const struct addrinfo *a, const struct sock_options *o)
{
	int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol);
	if (fd < 0)
		return -1;
	sock_tune(fd, o);
	if (connect(fd, a->ai_addr, a->ai_addrlen) != 0 && errno != EINPROGRESS && errno != EINTR) {
		int saved = errno;
		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

int sock_error(int fd)
{
	int value = 0;
	socklen_t n = sizeof value;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &n) != 0)
		return errno;
	return value;
}

enum sock_io sock_readv(int fd, struct iovec *iov, size_t iov_n, size_t *n)
{
	ssize_t got;
	do
		got = readv(fd, iov, (int)iov_n);
	while (got < 0 && errno == EINTR);
	if (got == 0)
		return SOCK_EOF;
	if (got < 0)
		return errno == EAGAIN ? SOCK_WANT_READ : SOCK_FAILED;
	*n = (size_t)got;
	return SOCK_OK;
}

enum sock_io sock_writev(int fd, struct iovec *iov, size_t iov_n, bool more, size_t *n)
{
	const struct msghdr msg = {.msg_iov = iov, .msg_iovlen = iov_n};
	ssize_t put;
	do
		put = sendmsg(fd, &msg, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
	while (put < 0 && errno == EINTR);
	if (put < 0)
		return errno == EAGAIN ? SOCK_WANT_WRITE : SOCK_FAILED;
	*n = (size_t)put;
	return SOCK_OK;
}

enum sock_io sock_sendfile(int fd, int file, int64_t position, size_t max, size_t *n)
{
	ssize_t put;
	off_t at;
	do {
		at = position;
		put = sendfile(fd, file, &at, max);
	} while (put < 0 && errno == EINTR);
	if (put == 0)
		errno = ENODATA;
	if (put <= 0)
		return put < 0 && errno == EAGAIN ? SOCK_WANT_WRITE : SOCK_FAILED;
	*n = (size_t)put;
	return SOCK_OK;
}

bool sock_peer_left(int error)
{
	return error == ECONNRESET || error == EPIPE;
}

enum err sock_reason(int error, struct errmsg *why)
{
	if (error == ETIMEDOUT)
		return errmsg_set(why, ERR_TIMEOUT, "the peer fell silent: %s", strerror(error));
	return errmsg_set(why, ERR_CLOSED, "%s", strerror(error));
}

void sock_format_addr(const struct sockaddr *sa, bool with_port, char *out, size_t n)
{
	char ip[INET6_ADDRSTRLEN] = "?";
	unsigned port = 0;
	bool v6 = sa->sa_family == AF_INET6;
	if (v6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sa;
		inet_ntop(AF_INET6, &in6->sin6_addr, ip, sizeof ip);
		port = ntohs(in6->sin6_port);
	} else if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)sa;
		inet_ntop(AF_INET, &in->sin_addr, ip, sizeof ip);
		port = ntohs(in->sin_port);
	}
	if (with_port)
		snprintf(out, n, v6 ? "[%s]:%u" : "%s:%u", ip, port);
	else
		snprintf(out, n, "%s", ip);
}

void sock_format_peer(int fd, char *out, size_t n)
{
	struct sockaddr_storage sa = {.ss_family = AF_UNSPEC};
	socklen_t len = sizeof sa;
	if (getpeername(fd, (struct sockaddr *)&sa, &len) != 0)
		snprintf(out, n, "unknown peer");
	else if (sa.ss_family == AF_UNIX)
		snprintf(out, n, "local socket");
	else
		sock_format_addr((const struct sockaddr *)&sa, true, out, n);
}
