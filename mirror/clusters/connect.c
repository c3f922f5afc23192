/* SPDX-License-Identifier: Apache-2.0 */
#include "mirror/clusters/connect.h"

#include "lib/net/tls.h"

enum {
	METADATA_BYTES = 16 << 20,
	FRAME_BYTES = 24 << 20, /* largest answer of a broker: a batch may be larger than what was
				   asked for */
};

enum err connect_cluster(struct loop *l, const struct cluster_config *c, struct frame_pool *pool,
			 struct tls_ctx **tls, struct client **out, struct errmsg *why)
{
	*tls = NULL;
	if (c->tls) {
		const struct tls_config t = {
			.ca_file = c->ca_file,
			.ca_password = c->ca_password,
			.cert_file = c->cert_file,
			.key_file = c->key_file,
			.key_password = c->key_password,
			.ciphers = c->ciphers,
			.no_verify_host = !c->verify_host,
		};
		enum err e = tls_ctx_new(&t, loop_log(l), tls, why);
		if (e != ERR_OK)
			return errmsg_wrap(why, e, "cluster %s", c->name);
	}
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
