/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions to the daemon's JSON API. One GET each: bounded in time and size, no redirects, no
 * proxy for this host. What answers need not be a Farshore mirror.
 */
#ifndef FARSHORE_TOOLS_API_H
#define FARSHORE_TOOLS_API_H

#include <jansson.h>

#include "lib/base/err.h"

struct api;

/* `url` such as "http://127.0.0.1:8380", with a path before the API's if a proxy has one.
 * ERR_CONFIG: it cannot be used, `why` says how it should look. ERR_NOMEM. */
enum err api_new(const char *url, int64_t timeout_ms, struct api **out,
		 struct errmsg *why) ERR_MUST_USE;
void api_free(struct api *a); /* NULL is safe */

/* Where it asks, for messages: the URL without a password. */
const char *api_url(const struct api *a);

struct api_parameter {
	const char *name, *value; /* a NULL value is left out */
};

enum { API_ANSWER_MAX = 64 << 20 };

/*
 * GET `path` with these parameters (the last has a NULL name). ERR_OK: the answer is a JSON object,
 * the caller's. Otherwise `why` says what and where:
 * ERR_CONNECT, ERR_DNS, ERR_TLS: nobody answers there. ERR_TIMEOUT, ERR_IO, ERR_LIMIT.
 * ERR_NOT_FOUND (404), ERR_CONFIG (400), ERR_UNSUPPORTED (any other status): `why` has the answer's
 * own words. ERR_MALFORMED: not JSON; something else than a Farshore mirror listens there.
 */
enum err api_get(struct api *a, const char *path, const struct api_parameter *parameters,
		 json_t **out, struct errmsg *why) ERR_MUST_USE;

#endif
