/* SPDX-License-Identifier: Apache-2.0 */
/* `link status` and `lag`: what a running mirror says of itself. */
#include "tools/command.h"
#include "tools/say.h"

static int show_links(const struct options *o, struct api *api)
{
	const struct api_parameter parameters[] = {{"link", o->link}, {NULL, NULL}};
	struct errmsg why = {""};
	struct intake in;
	json_t *root;
	int code = EXIT_FAILED;
	enum err e = api_get(api, "/v1/links", parameters, &root, &why);
	if (e != ERR_OK)
		return say_failed(e, &why);
	e = intake_links(root, &in, &why);
	if (e != ERR_OK) {
		errmsg_wrap(&why, e, "%s", api_url(api));
		return say_failed(e, &why);
	}
	const struct report r = say_report(o);
	if (o->command == COMMAND_LINK_STATUS)
		e = report_links(&r, &in, &code);
	else
		e = report_lag(&r, &in, o->topic, &code);
	code = say_printed(e, code);
	if (code == EXIT_NOT_FOUND)
		say("no such topic is mirrored; farshore lag --all shows them all");
	intake_fini(&in);
	return code;
}

int command_links(const struct options *o, const struct command_place *p)
{
	return command_show(o, p, show_links);
}
