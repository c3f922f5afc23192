/* SPDX-License-Identifier: Apache-2.0 */
/* The commands: ask, print, give the exit code. */
#ifndef FARSHORE_TOOLS_COMMAND_H
#define FARSHORE_TOOLS_COMMAND_H

#include "mirror/config.h"
#include "tools/api.h"
#include "tools/options.h"

/* Whom to ask. */
struct command_place {
	struct mirror_config config; /* of the mirror, if `has_config` */
	bool has_config;
	struct api *api; /* NULL: the mirror serves no HTTP, or is not to be asked */
};

/* Where to look, by the options. ERR_CONFIG: the URL or the file cannot be used; ERR_IO, ERR_NOMEM.
 * After an error nothing needs command_place_fini. */
enum err command_place_init(struct command_place *p, const struct options *o,
			    struct errmsg *why) ERR_MUST_USE;
void command_place_fini(struct command_place *p);

int command_translate(const struct options *o, const struct command_place *p);

/* `link status` and `lag`. */
int command_links(const struct options *o, const struct command_place *p);

/* `translate` by the clusters themselves; for command_translate. */
int command_direct(const struct options *o, const struct command_place *p);

#endif
