/* SPDX-License-Identifier: Apache-2.0 */
/* A client of a cluster as the configuration describes it. */
#ifndef FARSHORE_MIRROR_CONNECT_H
#define FARSHORE_MIRROR_CONNECT_H

#include "lib/client/client.h"
#include "mirror/config/config.h"

struct tls_ctx;

/* `c` and `pool` (NULL: plain memory) are borrowed. Free the client, turn the loop, then free
 * `*tls` (NULL where the cluster has none), also after an error. ERR_CONFIG: a certificate that
 * cannot be read, an address that is none; ERR_NOMEM. */
enum err connect_cluster(struct loop *l, const struct cluster_config *c, struct frame_pool *pool,
			 struct tls_ctx **tls, struct client **out,
			 struct errmsg *why) ERR_MUST_USE;

/* Reads the certificates as connect_cluster would. ERR_CONFIG: file and reason; ERR_NOMEM. */
enum err connect_check(const struct cluster_config *c, struct errmsg *why) ERR_MUST_USE;

#endif
