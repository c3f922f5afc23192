/* SPDX-License-Identifier: Apache-2.0 */
/* A listening socket; its connections are the callee's, usually for conn_accepted. */
#ifndef FARSHORE_NET_LISTENER_H
#define FARSHORE_NET_LISTENER_H

#include "lib/net/loop.h"

struct listener;

/*
 * Listen on `host` (a name, IPv4, IPv6 with or without brackets, "" for all addresses) and `port`
 * (0 picks one). A name is looked up at once, blocking: for start-up. on_accept gets each socket,
 * non-blocking and close-on-exec, and owns it; it may call listener_free.
 * ERR_CONFIG: no such host; ERR_IO: the address cannot be used; ERR_NOMEM.
 */
enum err listener_new(struct loop *l, const char *host, uint16_t port,
		      void (*on_accept)(void *arg, int fd), void *arg, struct listener **out,
		      struct errmsg *why) ERR_MUST_USE;

/* The port in use. */
uint16_t listener_port(const struct listener *s);

/* Stop listening and free. NULL is safe. */
void listener_free(struct listener *s);

#endif
