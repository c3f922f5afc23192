/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A look-up outlives whoever asked for it: the job owns all that its thread touches, and is freed
 * by its own completion, cancelled or not.
 */
#include "lib/net/resolve.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/mem.h"

struct resolve {
	struct worker_job job; /* first: the pool's handle */
	char *host;
	uint16_t port;
	struct addrinfo *list;
	int rc, sys;        /* of getaddrinfo: its result, and errno for EAI_SYSTEM */
	resolve_done *done; /* NULL: cancelled */
	void *arg;
};

static int look_up(const char *host, uint16_t port, int flags, struct addrinfo **out)
{
	char service[8];
	const struct addrinfo hints = {.ai_family = AF_UNSPEC,
				       .ai_socktype = SOCK_STREAM,
				       .ai_flags = AI_NUMERICSERV | flags};
	snprintf(service, sizeof service, "%u", port);
	return getaddrinfo(host, service, &hints, out);
}

struct addrinfo *resolve_literal(const char *host, uint16_t port)
{
	struct addrinfo *list = NULL;
	return look_up(host, port, AI_NUMERICHOST, &list) == 0 ? list : NULL;
}

/* On a pool thread. */
static void run(struct worker_job *job)
{
	struct resolve *r = (struct resolve *)job;
	r->rc = look_up(r->host, r->port, 0, &r->list);
	r->sys = errno;
}

static void finish(struct worker_job *job)
{
	struct resolve *r = (struct resolve *)job;
	struct addrinfo *list = r->rc == 0 ? r->list : NULL;
	struct errmsg why = {0};
	if (list == NULL)
		errmsg_set(&why, ERR_DNS, "host name look-up failed: %s",
			   r->rc == EAI_SYSTEM ? strerror(r->sys) : gai_strerror(r->rc));
	if (r->done != NULL)
		r->done(r->arg, list, &why);
	else if (list != NULL)
		freeaddrinfo(list);
	mem_free(r->host);
	mem_free(r);
}

struct resolve *resolve_start(struct loop *l, const char *host, uint16_t port, resolve_done *done,
			      void *arg)
{
	struct resolve *r = mem_zalloc(1, sizeof *r);
	if (r == NULL)
		return NULL;
	r->host = mem_strdup(host);
	if (r->host == NULL) {
		mem_free(r);
		return NULL;
	}
	r->job.run = run;
	r->job.done = finish;
	r->port = port;
	r->done = done;
	r->arg = arg;
	r->rc = EAI_CANCELED; /* stands if the pool ends before the job ran */
	worker_pool_submit(loop_pool(l), &r->job);
	return r;
}

void resolve_cancel(struct resolve *r)
{
	r->done = NULL;
}
