/* SPDX-License-Identifier: Apache-2.0 */
/* Where the mirror is: as it was said, as its configuration has it, or where it is by default. */
#include "tools/command.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/options_table.h"
#include "tools/say.h"

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
	/* A file that cannot be read is as bad a command line as one with a mistake. */
	return e == ERR_OK || e == ERR_NOMEM ? e : ERR_CONFIG;
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

/* The screen anew on a terminal; else one answer after another. */
int command_show(const struct options *o, const struct command_place *p,
		 int (*show)(const struct options *o, struct api *api))
{
	const struct timespec pause = {.tv_sec = o->watch_ms / 1000,
				       .tv_nsec = o->watch_ms % 1000 * 1000000};
	if (p->api == NULL) {
		say("the mirror of this configuration serves no HTTP (http.listen is empty)");
		return EXIT_FAILED;
	}
	if (o->watch_ms == 0)
		return show(o, p->api);
	while (!ferror(stdout)) {
		if (isatty(STDOUT_FILENO))
			fputs("\033[H\033[2J", stdout);
		(void)show(o, p->api);
		if (!o->json)
			fputc('\n', stdout);
		fflush(stdout);
		nanosleep(&pause, NULL);
	}
	return EXIT_FAILED;
}
