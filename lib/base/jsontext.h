/* SPDX-License-Identifier: Apache-2.0 */
/* Text and pages of the JSON API. */
#ifndef FARSHORE_BASE_JSONTEXT_H
#define FARSHORE_BASE_JSONTEXT_H

#include <jansson.h>

#include "lib/base/buf.h"

enum { JSONTEXT_MAX = sizeof(((struct errmsg *)0)->text) };

/* Text for JSON, into `out`, which is returned: what a broker sent (or what was cut in the middle
 * of a character) may not be UTF-8. Cut at JSONTEXT_MAX. */
const char *jsontext_clean(const char *text, char out[JSONTEXT_MAX]);

/* Append the compact form of `root` to `out`, whose error tells if it did not fit; `root` NULL
 * counts as out of memory. */
void jsontext_put(const json_t *root, struct buf *out);

#endif
