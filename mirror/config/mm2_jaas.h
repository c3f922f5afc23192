/* SPDX-License-Identifier: Apache-2.0 */
/* Reader of sasl.jaas.config values, as far as a user name and a password are in them. */
#ifndef FARSHORE_MIRROR_MM2_JAAS_H
#define FARSHORE_MIRROR_MM2_JAAS_H

#include "lib/base/arena.h"
#include "lib/base/err.h"

struct mm2_jaas {
	const char *module; /* class name */
	const char *username, *password;
	bool token; /* tokenauth=true: a delegation token */
};

/* One login module: `Class required name="value" ...;`. Text lives in the arena. ERR_CONFIG: `why`
 * says what is wrong without quoting any value. ERR_NOMEM. */
enum err mm2_jaas_parse(const char *text, struct arena *a, struct mm2_jaas *out,
			struct errmsg *why) ERR_MUST_USE;

#endif
