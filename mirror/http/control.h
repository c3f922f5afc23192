/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an operator can do to running links by HTTP:
 *
 *   POST /v1/links/{link}/pause    ?topic= &partition=   hold a link, a topic or a partition
 *   POST /v1/links/{link}/resume   ?topic= &partition=
 *
 * What was done lasts until the opposite is asked for or the process ends.
 */
#ifndef FARSHORE_MIRROR_CONTROL_H
#define FARSHORE_MIRROR_CONTROL_H

#include "lib/net/http.h"
#include "mirror/link/link.h"

/* Owned by the caller; must outlive the server. */
struct control {
	struct link *const *links;
	size_t links_n;
	const bool *stopping;
};

/* Add the routes. ERR_NOMEM. */
enum err control_serve(struct http_server *s, struct control *c) ERR_MUST_USE;

#endif
