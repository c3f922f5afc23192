/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is missing, asked by HTTP:
 *
 *   GET /v1/gaps [?link=] [&topic=]
 *
 *   {"links": [{"link", "topic", "loaded", "more", "gaps": [the records, oldest first]}]}
 *
 * The records are those of `<source>.gaps.internal` (docs/formats/gaps.md). "loaded": false while
 * those of before the start are still being read; "more": true if older ones are in the
 * topic alone.
 */
#ifndef FARSHORE_MIRROR_GAPS_API_H
#define FARSHORE_MIRROR_GAPS_API_H

#include "lib/net/http.h"
#include "mirror/link/link.h"

/* Owned by the caller; must outlive the server. */
struct gaps_api {
	struct link *const *links;
	size_t links_n;
};

/* Add the route. ERR_NOMEM. */
enum err gaps_api_serve(struct http_server *s, struct gaps_api *a) ERR_MUST_USE;

#endif
