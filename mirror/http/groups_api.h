/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What consumer groups would meet at the target, by HTTP:
 *
 *   GET /v1/groups   ?link= &group= &positions=no    without positions: sums only
 */
#ifndef FARSHORE_MIRROR_GROUPS_API_H
#define FARSHORE_MIRROR_GROUPS_API_H

#include "lib/net/http.h"
#include "mirror/http/status.h"

/* Add the route; `s` is borrowed and may gain links later. ERR_NOMEM. */
enum err groups_api_serve(struct http_server *http, const struct status_source *s) ERR_MUST_USE;

#endif
