/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A listening socket. When the process has no descriptor left (EMFILE) the socket stays readable;
 * accepting then pauses for a moment instead of spinning.
 */
#include "lib/net/listener.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/mem.h"

enum {
	BACKLOG = 1024,
	ACCEPTS_PER_TURN = 64,
	PAUSE_MS = 100,
	HOST_MAX = 255,
};

struct listener {
	struct loop *loop;
	void (*on_accept)(void *arg, int fd);
	void *arg;
	int fd;
	uint16_t port;
	bool closed;
	struct event readable;
	struct loop_timer *resume;
	struct loop_deferred free; /* not from inside on_accept */
};

/* Errors of accept(2) that are over for this connection but not for the socket. */
static bool pauses(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static void on_resume(void *arg)
{
	struct listener *s = arg;
	if (event_add(&s->readable, NULL) != 0)
		loop_timer_set(s->resume, PAUSE_MS);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)what;
	struct listener *s = arg;
	for (int i = 0; i < ACCEPTS_PER_TURN && !s->closed; i++) {
		int got = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (got >= 0) {
			s->on_accept(s->arg, got);
			continue;
		}
		if (pauses(errno)) {
			log_event(loop_log(s->loop), LOG_WARN, "accept_paused",
				  LOG_I("port", s->port), LOG_S("reason", strerror(errno)));
			event_del(&s->readable);
			loop_timer_set(s->resume, PAUSE_MS);
			return;
		}
		if (errno == EAGAIN)
			return;
	}
}

static int bind_one(const struct addrinfo *a)
{
	const int on = 1, off = 0;
	int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol);
	if (fd < 0)
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	/* "::" also takes IPv4, whatever the system's default. */
	if (a->ai_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
	if (bind(fd, a->ai_addr, a->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
		int saved = errno;
		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

static enum err open_socket(const char *host, uint16_t port, int *fd, struct errmsg *why)
{
	char service[8], bare[HOST_MAX + 1];
	struct addrinfo *list;
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
				       .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	size_t n = strlen(host);
	bool brackets = n >= 2 && host[0] == '[' && host[n - 1] == ']';
	snprintf(service, sizeof service, "%u", port);
	snprintf(bare, sizeof bare, "%.*s", brackets ? (int)(n - 2) : HOST_MAX,
		 host + (brackets ? 1 : 0));
	int rc = getaddrinfo(n == 0 ? NULL : bare, service, &hints, &list);
	if (rc != 0)
		return errmsg_set(why, ERR_CONFIG, "cannot listen on %s:%u: %s", host, port,
				  gai_strerror(rc));
	*fd = -1;
	for (const struct addrinfo *a = list; a != NULL && *fd < 0; a = a->ai_next)
		*fd = bind_one(a);
	int error = errno;
	freeaddrinfo(list);
	if (*fd < 0)
		return errmsg_set(why, ERR_IO, "cannot listen on %s:%u: %s", host, port,
				  strerror(error));
	return ERR_OK;
}

static uint16_t bound_port(int fd)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} sa = {.v6 = {.sin6_family = AF_UNSPEC}};
	socklen_t n = sizeof sa;
	if (getsockname(fd, &sa.any, &n) != 0)
		return 0;
	return ntohs(sa.any.sa_family == AF_INET6 ? sa.v6.sin6_port : sa.v4.sin_port);
}

static void destroy(void *arg)
{
	mem_free(arg);
}

enum err listener_new(struct loop *l, const char *host, uint16_t port,
		      void (*on_accept)(void *arg, int fd), void *arg, struct listener **out,
		      struct errmsg *why)
{
	enum err e = errmsg_set(why, ERR_NOMEM, "listener: out of memory");
	struct listener *s = mem_zalloc(1, sizeof *s);
	if (s == NULL)
		return e;
	s->loop = l;
	s->on_accept = on_accept;
	s->arg = arg;
	s->free = (struct loop_deferred){.fn = destroy, .arg = s};
	s->resume = loop_timer_new(l, on_resume, s);
	if (s->resume == NULL)
		goto err_after_listener;
	e = open_socket(host, port, &s->fd, why);
	if (e != ERR_OK)
		goto err_after_timer;
	s->port = bound_port(s->fd);
	event_assign(&s->readable, loop_base(l), s->fd, EV_READ | EV_PERSIST, on_readable, s);
	if (event_add(&s->readable, NULL) != 0) {
		e = errmsg_set(why, ERR_NOMEM, "listener: out of memory");
		goto err_after_socket;
	}
	*out = s;
	return ERR_OK;

err_after_socket:
	close(s->fd);
err_after_timer:
	loop_timer_free(s->resume);
err_after_listener:
	mem_free(s);
	return e;
}

uint16_t listener_port(const struct listener *s)
{
	return s->port;
}

void listener_free(struct listener *s)
{
	if (s == NULL)
		return;
	s->closed = true;
	event_del(&s->readable);
	close(s->fd);
	loop_timer_free(s->resume);
	loop_defer(s->loop, &s->free);
}
