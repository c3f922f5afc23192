/* SPDX-License-Identifier: Apache-2.0 */
/* What the command line knows, for its parser and its manual. */
#ifndef FARSHORE_TOOLS_OPTIONS_TABLE_H
#define FARSHORE_TOOLS_OPTIONS_TABLE_H

#include <stddef.h>

#include "tools/options.h"

/* In the order of options_table_options. */
enum option_id {
	OPTION_URL,
	OPTION_LINK,
	OPTION_TOPIC,
	OPTION_GROUP,
	OPTION_BACK,
	OPTION_DIRECT,
	OPTION_CONFIG,
	OPTION_MM2,
	OPTION_SET,
	OPTION_ALL,
	OPTION_JSON,
	OPTION_WATCH,
	OPTION_TIMEOUT,
	OPTION_HELP,
	OPTION_VERSION,
	OPTION_MANUAL,
	OPTION_COUNT
};

struct command_row {
	enum command command;
	const char *name; /* one word or two */
	const char *arguments, *help;
	int words_min, words_max; /* after the name */
};

struct option_row {
	const char *name;
	const char *argument; /* NULL: none */
	bool may_omit;        /* the argument */
	unsigned commands;    /* bits 1 << command */
	const char *help;
};

struct exit_row {
	int code;
	const char *help;
};

enum { OPTIONS_COMMANDS = 4, OPTIONS_EXITS = 6 };

extern const struct command_row options_table_commands[OPTIONS_COMMANDS];
extern const struct option_row options_table_options[OPTION_COUNT];
extern const struct exit_row options_table_exits[OPTIONS_EXITS];

#define OPTIONS_PURPOSE                                                                            \
	"farshore asks a running farshore-mirror how its links are, and where offsets lie on the " \
	"other side."
#define OPTIONS_DEFAULT_URL "http://127.0.0.1:8380"
enum { OPTIONS_TIMEOUT_S = 10, OPTIONS_WATCH_S = 2, OPTIONS_SECONDS_MAX = 3600 };

#endif
