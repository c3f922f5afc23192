/* SPDX-License-Identifier: Apache-2.0 */
/* From a host name to a connected TCP socket: look-up, then each address in order. */
#ifndef FARSHORE_NET_DIAL_H
#define FARSHORE_NET_DIAL_H

#include "lib/net/loop.h"
#include "lib/net/sock.h"

struct dial;

struct dial_options {
	struct sock_options sock;
	int64_t deadline_ms; /* by loop_now_ms; INT64_MAX: none */
};

/* `fd` is the callee's, non-blocking; -1 with ERR_DNS, ERR_CONNECT or ERR_NOMEM and `why`. The dial
 * is gone when this is called. */
typedef void dial_done(void *arg, int fd, enum err e, struct errmsg *why);

/* Dial `host`, a name or an address without brackets. The deadline is the owner's to watch; here it
 * only bounds the share of each address. `done` comes once, from the loop. NULL when out of memory.
 */
struct dial *dial_start(struct loop *l, const char *host, uint16_t port,
			const struct dial_options *o, dial_done *done, void *arg);

/* What it waits for: "host name look-up", "TCP connect to 10.0.0.1". */
void dial_describe(const struct dial *d, char *out, size_t n);

/* Give up; `done` will not be called. NULL is safe. */
void dial_cancel(struct dial *d);

#endif
