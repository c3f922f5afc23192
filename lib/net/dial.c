/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One address at a time, in the order of the look-up. Each gets an equal share of the time that is
 * left, so that a first address that swallows packets does not take the time of the second. A
 * literal address needs no look-up and no worker.
 *
 * Invariant: `done` is called in one place, from an event, after the dial freed itself.
 */
#include "lib/net/dial.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "lib/net/resolve.h"

struct dial {
	struct loop *loop;
	struct dial_options options;
	dial_done *done;
	void *arg;
	struct resolve *resolve;       /* while it runs */
	struct addrinfo *addrs, *addr; /* all, and the one being tried */
	struct loop_timer *share;
	struct loop_deferred start;
	struct event writable;
	int fd;
	int error; /* why the address before failed */
	char tried[INET6_ADDRSTRLEN];
	char *host;
};

static void drop_socket(struct dial *d)
{
	if (d->fd < 0)
		return;
	event_del(&d->writable);
	close(d->fd);
	d->fd = -1;
}

void dial_cancel(struct dial *d)
{
	if (d == NULL)
		return;
	drop_socket(d);
	if (d->resolve != NULL)
		resolve_cancel(d->resolve);
	if (d->addrs != NULL)
		freeaddrinfo(d->addrs);
	loop_undefer(d->loop, &d->start);
	loop_timer_free(d->share);
	mem_free(d->host);
	mem_free(d);
}

static void finish(struct dial *d, enum err e, struct errmsg *why)
{
	dial_done *done = d->done;
	void *arg = d->arg;
	int fd = e == ERR_OK ? d->fd : -1;
	if (e == ERR_OK) {
		event_del(&d->writable);
		d->fd = -1;
	}
	dial_cancel(d);
	done(arg, fd, e, why);
}

static const char *advice(int error)
{
	switch (error) {
	case ECONNREFUSED:
		return "; is a broker listening there?";
	case ENETUNREACH:
	case EHOSTUNREACH:
		return "; check the route and the firewall";
	default:
		return "";
	}
}

/* No address is left: tell about the last one. */
static void fail(struct dial *d)
{
	struct errmsg why = {0};
	const char *text = strerror(d->error), *hint = advice(d->error);
	if (strcmp(d->tried, d->host) == 0)
		errmsg_set(&why, ERR_CONNECT, "%s%s", text, hint);
	else
		errmsg_set(&why, ERR_CONNECT, "%s: %s%s", d->tried, text, hint);
	finish(d, ERR_CONNECT, &why);
}

static void arm_share(struct dial *d)
{
	int64_t addresses = 1;
	for (const struct addrinfo *a = d->addr->ai_next; a != NULL; a = a->ai_next)
		addresses++;
	if (addresses > 1 && d->options.deadline_ms != INT64_MAX)
		loop_timer_set(d->share,
			       (d->options.deadline_ms - loop_now_ms(d->loop)) / addresses);
}

static void on_writable(evutil_socket_t fd, short what, void *arg);

/* Try `addr` and those after it until one takes time. */
static void try_addresses(struct dial *d)
{
	struct errmsg why = {0};
	for (; d->addr != NULL; d->addr = d->addr->ai_next) {
		sock_format_addr(d->addr->ai_addr, false, d->tried, sizeof d->tried);
		d->fd = sock_connect(d->addr, &d->options.sock);
		if (d->fd < 0) {
			d->error = errno;
			continue;
		}
		arm_share(d);
		event_assign(&d->writable, loop_base(d->loop), d->fd, EV_WRITE, on_writable, d);
		if (event_add(&d->writable, NULL) != 0) {
			errmsg_set(&why, ERR_NOMEM, "out of memory");
			finish(d, ERR_NOMEM, &why);
		}
		return;
	}
	fail(d);
}

static void try_next(struct dial *d, int error)
{
	loop_timer_stop(d->share);
	drop_socket(d);
	d->error = error;
	d->addr = d->addr->ai_next;
	try_addresses(d);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)what;
	struct dial *d = arg;
	struct errmsg why = {0};
	int error = sock_error(fd);
	if (error != 0)
		try_next(d, error);
	else
		finish(d, ERR_OK, &why);
}

static void on_share_over(void *arg)
{
	try_next(arg, ETIMEDOUT);
}

static void on_resolved(void *arg, struct addrinfo *list, const struct errmsg *why)
{
	struct dial *d = arg;
	d->resolve = NULL;
	if (list == NULL) {
		struct errmsg copy = *why;
		finish(d, ERR_DNS, &copy);
		return;
	}
	d->addrs = d->addr = list;
	try_addresses(d);
}

static void on_start(void *arg)
{
	try_addresses(arg);
}

struct dial *dial_start(struct loop *l, const char *host, uint16_t port,
			const struct dial_options *o, dial_done *done, void *arg)
{
	struct dial *d = mem_zalloc(1, sizeof *d);
	if (d == NULL)
		return NULL;
	d->loop = l;
	d->options = *o;
	d->done = done;
	d->arg = arg;
	d->fd = -1;
	d->start = (struct loop_deferred){.fn = on_start, .arg = d};
	d->host = mem_strdup(host);
	d->share = loop_timer_new(l, on_share_over, d);
	if (d->host == NULL || d->share == NULL)
		goto err_after_dial;
	d->addrs = d->addr = resolve_literal(host, port);
	if (d->addrs != NULL) {
		loop_defer(l, &d->start);
		return d;
	}
	d->resolve = resolve_start(l, host, port, on_resolved, d);
	if (d->resolve != NULL)
		return d;

err_after_dial:
	dial_cancel(d);
	return NULL;
}

void dial_describe(const struct dial *d, char *out, size_t n)
{
	if (d->addrs == NULL)
		snprintf(out, n, "host name look-up");
	else
		snprintf(out, n, "TCP connect to %s", d->tried);
}
