/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets that a configuration names instead of holding: in the environment or in a file. Messages
 * name the variable or the file, never what is in it. */
#ifndef FARSHORE_BASE_CONFIG_SECRET_H
#define FARSHORE_BASE_CONFIG_SECRET_H

#include "lib/base/arena.h"
#include "lib/base/err.h"

enum { CONFIG_SECRET_MAX = 64 * 1024 }; /* bytes of a secret, or of a file with one */

/* "${env:NAME}" gives the variable, anything else itself. `*out` is borrowed from `value` or lives
 * in the arena. ERR_CONFIG (no such variable, or empty), ERR_NOMEM. */
enum err config_secret_resolve(struct arena *a, const char *value, const char **out,
			       struct errmsg *why) ERR_MUST_USE;

/* The first line of a file. ERR_CONFIG (cannot be read, empty, too large), ERR_NOMEM. */
enum err config_secret_read(struct arena *a, const char *file, const char **out,
			    struct errmsg *why) ERR_MUST_USE;

#endif
