/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where does an offset lie on the other side, asked by HTTP:
 *
 *   GET /v1/translate?topic= &partition= &offset= [&direction=forward|back] [&link=]
 *
 * The answer is that of checkpoint/translate.h, from the run tables in memory. The topic may be
 * named as at the source or as at the target; the offset is one of the source, with direction=back
 * of the target.
 */
#ifndef FARSHORE_MIRROR_TRANSLATE_API_H
#define FARSHORE_MIRROR_TRANSLATE_API_H

#include "lib/net/http.h"
#include "mirror/link/link.h"

/* Owned by the caller; must outlive the server. */
struct translate_api {
	struct link *const *links;
	size_t links_n;
};

/* Add the route. ERR_NOMEM. */
enum err translate_api_serve(struct http_server *s, struct translate_api *t) ERR_MUST_USE;

#endif
