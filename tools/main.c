/* SPDX-License-Identifier: Apache-2.0 */
/* farshore: the operator's command. Exit codes: tools/options.h. */
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "tools/api.h"
#include "tools/report.h"
#include "tools/text.h"

/* One clear line; what others said is in it, so it is made safe. */
static void complain(const char *text)
{
	struct buf line;
	buf_init(&line, 4096);
	text_clean(&line, text);
	fprintf(stderr, "farshore: %.*s\n", (int)line.len, (const char *)line.p);
	buf_fini(&line);
}

static int failed(enum err e, const struct errmsg *why)
{
	complain(why->text);
	return e == ERR_NOT_FOUND ? EXIT_NOT_FOUND : e == ERR_CONFIG ? EXIT_USAGE : EXIT_FAILED;
}

static struct report report_for(const struct options *o)
{
	struct winsize size;
	struct report r = {.out = stdout, .json = o->json, .all = o->all};
	if (isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
		r.width = size.ws_col;
	return r;
}

/* All was printed only if nothing went wrong on the way out. */
static int printed(enum err e, int code)
{
	if (e == ERR_OK && fflush(stdout) == 0 && !ferror(stdout))
		return code;
	complain(e == ERR_OK ? "cannot write the answer" : err_text(e));
	return EXIT_FAILED;
}

/* ---- commands ---- */

/* One question; the answer's strings live as long as `kept`. */
static enum err translate_one(const struct options *o, struct api *api, size_t at, json_t *kept,
			      struct translation *out, struct errmsg *why)
{
	char partition[16];
	snprintf(partition, sizeof partition, "%" PRId32, o->partition);
	const struct api_parameter parameters[] = {
		{"topic", o->topic},
		{"partition", partition},
		{"offset", o->offsets[at]},
		{"direction",
		 translate_direction_name(o->back ? TRANSLATE_BACK : TRANSLATE_FORWARD)},
		{"link", o->link},
		{NULL, NULL}};
	json_t *root;
	enum err e = api_get(api, "/v1/translate", parameters, &root, why);
	if (e != ERR_OK)
		return e;
	if (json_array_append_new(kept, root) != 0)
		return errmsg_set(why, ERR_NOMEM, "out of memory");
	e = translate_from_json(root, out, why);
	return e == ERR_OK ? e : errmsg_wrap(why, e, "%s", api_url(api));
}

static int translate(const struct options *o, struct api *api)
{
	struct errmsg why = {"out of memory"};
	struct translation *list = mem_zalloc(o->offsets_n, sizeof *list);
	json_t *kept = json_array();
	int code = EXIT_FAILED;
	enum err e = list == NULL || kept == NULL ? ERR_NOMEM : ERR_OK;
	for (size_t i = 0; i < o->offsets_n && e == ERR_OK; i++)
		e = translate_one(o, api, i, kept, &list[i], &why);
	if (e == ERR_OK) {
		const struct report r = report_for(o);
		e = report_translations(&r, list, o->offsets_n, &code);
		code = printed(e, code);
	} else {
		code = failed(e, &why);
	}
	json_decref(kept);
	mem_free(list);
	return code;
}

/* `link status` and `lag`, once. */
static int show_links(const struct options *o, struct api *api)
{
	const struct api_parameter parameters[] = {{"link", o->link}, {NULL, NULL}};
	struct errmsg why = {""};
	struct intake in;
	json_t *root;
	int code = EXIT_FAILED;
	enum err e = api_get(api, "/v1/links", parameters, &root, &why);
	if (e != ERR_OK)
		return failed(e, &why);
	e = intake_links(root, &in, &why);
	if (e != ERR_OK) {
		errmsg_wrap(&why, e, "%s", api_url(api));
		return failed(e, &why);
	}
	const struct report r = report_for(o);
	if (o->command == COMMAND_LINK_STATUS)
		e = report_links(&r, &in, &code);
	else
		e = report_lag(&r, &in, o->topic, &code);
	code = printed(e, code);
	if (code == EXIT_NOT_FOUND)
		complain("no such topic is mirrored; farshore lag --all shows them all");
	intake_fini(&in);
	return code;
}

/* The screen anew on a terminal; else one answer after another. */
static int watch(const struct options *o, struct api *api)
{
	const struct timespec pause = {.tv_sec = o->watch_ms / 1000,
				       .tv_nsec = o->watch_ms % 1000 * 1000000};
	while (!ferror(stdout)) {
		if (isatty(STDOUT_FILENO))
			fputs("\033[H\033[2J", stdout);
		(void)show_links(o, api);
		if (!o->json)
			fputc('\n', stdout);
		fflush(stdout);
		nanosleep(&pause, NULL);
	}
	return EXIT_FAILED;
}

static int ask(const struct options *o)
{
	struct errmsg why = {""};
	struct api *api;
	enum err e = api_new(o->url, o->timeout_ms, &api, &why);
	if (e != ERR_OK)
		return failed(e, &why);
	int code = o->command == COMMAND_TRANSLATE ? translate(o, api)
		   : o->watch_ms > 0               ? watch(o, api)
						   : show_links(o, api);
	api_free(api);
	return code;
}

int main(int argc, char **argv)
{
	struct options o;
	struct errmsg why = {""};
	/* A closed pipe is an error of the write, told like others. */
	signal(SIGPIPE, SIG_IGN);
	if (options_parse(argc, argv, &o, &why) != ERR_OK) {
		complain(why.text);
		fputs("farshore --help tells more\n", stderr);
		return EXIT_USAGE;
	}
	switch (o.command) {
	case COMMAND_TRANSLATE:
	case COMMAND_LINK_STATUS:
	case COMMAND_LAG:
		return ask(&o);
	case COMMAND_HELP:
		options_help(stdout);
		break;
	case COMMAND_VERSION:
		printf("farshore %s\n", FARSHORE_VERSION);
		break;
	case COMMAND_MANUAL:
		options_manual(stdout);
		break;
	}
	return printed(ERR_OK, EXIT_OK);
}
