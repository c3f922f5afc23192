/* SPDX-License-Identifier: Apache-2.0 */
/* Where the mirror is: as it was said, as its configuration has it, or where it is by default. */
#include "tools/command.h"

#include <stdio.h>
#include <string.h>

#include "tools/options_table.h"

enum { URL_MAX = 512 };

static enum err load(struct command_place *p, const struct options *o, struct errmsg *why)
{
	const struct config_source source = {
		.file = o->config_file, .mm2 = o->mm2, .sets = o->sets, .sets_n = o->sets_n};
	/* Warnings are the mirror's to print. */
	FILE *nowhere = fopen("/dev/null", "we");
	if (nowhere == NULL)
		return errmsg_set(why, ERR_IO, "/dev/null cannot be opened");
	enum err e = mirror_config_load(&source, &p->config, nowhere, why);
	fclose(nowhere);
	p->has_config = e == ERR_OK;
	return e;
}

/* The URL of a mirror that listens there; "" if it does not. */
static void url_of(const char *listen, char out[URL_MAX])
{
	out[0] = '\0';
	if (listen[0] != '\0')
		snprintf(out, URL_MAX, "http://%s%s", listen[0] == ':' ? "127.0.0.1" : "", listen);
}

enum err command_place_init(struct command_place *p, const struct options *o, struct errmsg *why)
{
	char url[URL_MAX] = OPTIONS_DEFAULT_URL;
	*p = (struct command_place){.has_config = false};
	enum err e = o->config_file == NULL ? ERR_OK : load(p, o, why);
	if (e != ERR_OK)
		return e;
	if (p->has_config)
		url_of(p->config.http_listen, url);
	const char *where = o->url != NULL ? o->url : url;
	if (!o->direct && where[0] != '\0')
		e = api_new(where, o->timeout_ms, &p->api, why);
	if (e != ERR_OK)
		command_place_fini(p);
	return e;
}

void command_place_fini(struct command_place *p)
{
	api_free(p->api);
	if (p->has_config)
		mirror_config_fini(&p->config);
}
