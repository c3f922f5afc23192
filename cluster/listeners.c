/* SPDX-License-Identifier: Apache-2.0 */
/* One struct for each listener; its endpoint is what sessions borrow. */
#include "cluster/listeners.h"

#include "lib/base/mem.h"
#include "lib/net/listener.h"
#include "lib/net/tls.h"

struct one {
	struct sessions *all;
	struct listener *socket;
	struct tls_ctx *tls;
	struct endpoint endpoint;
	uint16_t port;
};

struct listeners {
	size_t n;
	struct one list[];
};

static void on_accept(void *arg, int fd)
{
	struct one *o = arg;
	sessions_accept(o->all, fd, &o->endpoint);
}

/* NULL for a listener without TLS. */
static enum err open_tls(struct log *log, const struct listener_config *c, struct tls_ctx **out,
			 struct errmsg *why)
{
	const struct tls_config tls = {
		.ca_file = c->ca_file,
		.cert_file = c->cert_file,
		.key_file = c->key_file,
		.server = true,
		.client_cert = c->client_auth == CLIENT_AUTH_REQUIRED    ? TLS_CLIENT_CERT_REQUIRED
			       : c->client_auth == CLIENT_AUTH_REQUESTED ? TLS_CLIENT_CERT_OPTIONAL
									 : TLS_CLIENT_CERT_NONE,
	};
	*out = NULL;
	if (c->protocol != LISTENER_SSL)
		return ERR_OK;
	return tls_ctx_new(&tls, log, out, why);
}

enum err listeners_check(const struct broker_config *c, struct errmsg *why)
{
	for (size_t i = 0; i < c->listeners_n; i++) {
		struct tls_ctx *tls;
		enum err e = open_tls(NULL, &c->listeners[i], &tls, why);
		tls_ctx_free(tls);
		if (e != ERR_OK)
			return errmsg_wrap(why, e, "listeners.%s", c->listeners[i].name);
	}
	return ERR_OK;
}

static enum err open_one(struct loop *l, const struct listener_config *c, struct one *o,
			 struct errmsg *why)
{
	enum err e = open_tls(loop_log(l), c, &o->tls, why);
	if (e == ERR_OK)
		e = listener_new(l, c->host, c->port, on_accept, o, &o->socket, why);
	if (e != ERR_OK)
		return errmsg_wrap(why, e, "listeners.%s", c->name);
	o->port = listener_port(o->socket);
	o->endpoint = (struct endpoint){
		.name = c->name,
		.host = c->advertised_host,
		.port = c->advertised_port != 0 ? c->advertised_port : o->port,
		.tls = o->tls,
	};
	return ERR_OK;
}

enum err listeners_new(struct loop *l, const struct broker_config *c, struct sessions *all,
		       struct listeners **out, struct errmsg *why)
{
	enum err e = ERR_OK;
	struct listeners *ls = mem_zalloc(1, sizeof *ls + c->listeners_n * sizeof ls->list[0]);
	if (ls == NULL)
		return errmsg_set(why, ERR_NOMEM, "out of memory");
	for (size_t i = 0; e == ERR_OK && i < c->listeners_n; i++) {
		ls->list[ls->n].all = all;
		e = open_one(l, &c->listeners[i], &ls->list[ls->n++], why);
	}
	if (e != ERR_OK) {
		listeners_free(ls);
		return e;
	}
	*out = ls;
	return ERR_OK;
}

void listeners_stop(struct listeners *ls)
{
	for (size_t i = 0; i < ls->n; i++) {
		listener_free(ls->list[i].socket);
		ls->list[i].socket = NULL;
	}
}

void listeners_free(struct listeners *ls)
{
	if (ls == NULL)
		return;
	listeners_stop(ls);
	for (size_t i = 0; i < ls->n; i++)
		tls_ctx_free(ls->list[i].tls);
	mem_free(ls);
}

size_t listeners_n(const struct listeners *ls)
{
	return ls->n;
}

const struct endpoint *listeners_endpoint(const struct listeners *ls, size_t i)
{
	return &ls->list[i].endpoint;
}

uint16_t listeners_port(const struct listeners *ls, size_t i)
{
	return ls->list[i].port;
}
