/* SPDX-License-Identifier: Apache-2.0 */
/* farshore: the operator's command. Exit codes: tools/options.h. */
#include <signal.h>

#include "tools/command.h"
#include "tools/say.h"

static int ask(const struct options *o)
{
	struct errmsg why = {""};
	struct command_place place;
	enum err e = command_place_init(&place, o, &why);
	if (e != ERR_OK)
		return say_failed(e, &why);
	int code = o->command == COMMAND_TRANSLATE ? command_translate(o, &place)
		   : o->command == COMMAND_GROUPS  ? command_groups(o, &place)
						   : command_links(o, &place);
	command_place_fini(&place);
	return code;
}

int main(int argc, char **argv)
{
	struct options o;
	struct errmsg why = {""};
	/* A closed pipe is an error of the write, told like others. */
	signal(SIGPIPE, SIG_IGN);
	if (options_parse(argc, argv, &o, &why) != ERR_OK) {
		say("%s", why.text);
		fputs("farshore --help tells more\n", stderr);
		return EXIT_USAGE;
	}
	switch (o.command) {
	case COMMAND_TRANSLATE:
	case COMMAND_LINK_STATUS:
	case COMMAND_LAG:
	case COMMAND_GROUPS:
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
	return say_printed(ERR_OK, EXIT_OK);
}
