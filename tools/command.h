/* SPDX-License-Identifier: Apache-2.0 */
/* The commands: ask, print, give the exit code. */
#ifndef FARSHORE_TOOLS_COMMAND_H
#define FARSHORE_TOOLS_COMMAND_H

#include "mirror/config/config.h"
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

int command_groups(const struct options *o, const struct command_place *p);

/* Show what a running mirror says; with --watch again and again. For command_links and such. */
int command_show(const struct options *o, const struct command_place *p,
		 int (*show)(const struct options *o, struct api *api));

/* `translate --group` by the mirror: printed, `*code` is the exit code. ERR_NOT_FOUND: it follows
 * no such group; other errors as api_get. Nothing was printed then. For command_translate. */
enum err command_group_answers(const struct options *o, struct api *api, int *code,
			       struct errmsg *why) ERR_MUST_USE;

/* `translate` by the clusters themselves; for command_translate. */
int command_direct(const struct options *o, const struct command_place *p);

#endif
