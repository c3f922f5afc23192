/* SPDX-License-Identifier: Apache-2.0 */
/* Host names to addresses, on the worker pool. */
#ifndef FARSHORE_NET_RESOLVE_H
#define FARSHORE_NET_RESOLVE_H

#include <netdb.h>

#include "lib/net/loop.h"

struct resolve;

/* `list` is the callee's (freeaddrinfo), NULL when there is none; `why` then says why not. */
typedef void resolve_done(void *arg, struct addrinfo *list, const struct errmsg *why);

/* The address that `host` is when it is a literal IPv4 or IPv6 address (without brackets); NULL
 * otherwise. Does not block. */
struct addrinfo *resolve_literal(const char *host, uint16_t port);

/* Look up `host`; `done` comes once, from the loop. NULL when out of memory. */
struct resolve *resolve_start(struct loop *l, const char *host, uint16_t port, resolve_done *done,
			      void *arg);

/* `done` will not be called. A look-up cannot be interrupted: it ends on its thread, alone. */
void resolve_cancel(struct resolve *r);

#endif
