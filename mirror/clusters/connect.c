/* SPDX-License-Identifier: Apache-2.0 */
#include "mirror/clusters/connect.h"

#include "lib/net/tls.h"

enum {
	METADATA_BYTES = 16 << 20,
	FRAME_BYTES = 24 << 20, /* largest answer of a broker: a batch may be larger than what was
				   asked for */
};

static enum err new_tls(const struct cluster_config *c, struct log *log, struct tls_ctx **tls,
			struct errmsg *why)
{
	const struct tls_config t = {
		.ca_file = c->ca_file,
		.ca_password = c->ca_password,
		.cert_file = c->cert_file,
		.key_file = c->key_file,
		.key_password = c->key_password,
		.ciphers = c->ciphers,
		.no_verify_host = !c->verify_host,
	};
	*tls = NULL;
	enum err e = c->tls ? tls_ctx_new(&t, log, tls, why) : ERR_OK;
	return e == ERR_OK ? e : errmsg_wrap(why, e, "cluster %s", c->name);
}

enum err connect_check(const struct cluster_config *c, struct errmsg *why)
{
	struct tls_ctx *tls;
	enum err e = new_tls(c, NULL, &tls, why);
	tls_ctx_free(tls);
	return e;
}

enum err connect_cluster(struct loop *l, const struct cluster_config *c, struct frame_pool *pool,
			 struct tls_ctx **tls, struct client **out, struct errmsg *why)
{
	enum err e = new_tls(c, loop_log(l), tls, why);
	if (e != ERR_OK)
		return e;
	const struct client_options o = {
		.name = c->name,
		.bootstrap = c->bootstrap,
		.bootstrap_n = c->bootstrap_n,
		.rpc =
			{
				.conn =
					{
						.frame_max = FRAME_BYTES,
						.pool = pool,
						.connect_timeout_ms = c->connect_timeout_ms,
						.user_timeout_ms = c->user_timeout_ms,
						.socket_buffer = c->socket_buffer,
						.tls = *tls,
					},
				.client_id = c->client_id,
				.sasl = {c->sasl_mechanism, c->sasl_username, c->sasl_password},
			},
		.request_timeout_ms = c->request_timeout_ms,
		.metadata_max_age_ms = c->metadata_max_age_ms,
		.backoff_min_ms = c->backoff_min_ms,
		.backoff_max_ms = c->backoff_max_ms,
		.metadata_max = METADATA_BYTES,
	};
	return client_new(l, &o, out, why);
}
