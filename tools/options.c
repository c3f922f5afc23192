/* SPDX-License-Identifier: Apache-2.0 */
/* Options may stand anywhere. Each belongs to some of the commands; one that the command does not
 * know is refused, so that nothing that was asked for is ignored. */
#include "tools/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "tools/options_table.h"

enum { FIRST_ID = 1000 }; /* above every character */

/* A number 0..max; false if the text is none. */
static bool number(const char *text, int64_t max, int64_t *out)
{
	size_t n = strspn(text, "0123456789");
	errno = 0;
	*out = strtoll(text, NULL, 10);
	return n > 0 && text[n] == '\0' && errno == 0 && *out <= max;
}

static enum err take_seconds(const char *name, const char *text, int64_t *ms, struct errmsg *why)
{
	int64_t seconds;
	if (!number(text, OPTIONS_SECONDS_MAX, &seconds) || seconds == 0)
		return errmsg_set(why, ERR_CONFIG, "--%s takes seconds from 1 to %d, not %s", name,
				  OPTIONS_SECONDS_MAX, text);
	*ms = seconds * 1000;
	return ERR_OK;
}

static enum err take_option(struct options *o, enum option_id id, const char *value,
			    struct errmsg *why)
{
	switch (id) {
	case OPTION_URL:
		o->url = value;
		return ERR_OK;
	case OPTION_LINK:
		o->link = value;
		return ERR_OK;
	case OPTION_TOPIC:
		o->topic = value;
		return ERR_OK;
	case OPTION_GROUP:
		o->group = value;
		return ERR_OK;
	case OPTION_DIRECT:
		o->direct = true;
		return ERR_OK;
	case OPTION_CONFIG:
	case OPTION_MM2:
		if (o->config_file != NULL)
			return errmsg_set(why, ERR_CONFIG, "give one of --config and --mm2, once");
		o->config_file = value;
		o->mm2 = id == OPTION_MM2;
		return ERR_OK;
	case OPTION_SET:
		if (o->sets_n == OPTIONS_SETS_MAX)
			return errmsg_set(why, ERR_CONFIG, "too many --set");
		o->sets[o->sets_n++] = value;
		return ERR_OK;
	case OPTION_BACK:
		o->back = true;
		return ERR_OK;
	case OPTION_ALL:
		o->all = true;
		return ERR_OK;
	case OPTION_JSON:
		o->json = true;
		return ERR_OK;
	case OPTION_WATCH:
		o->watch_ms = OPTIONS_WATCH_S * 1000;
		return value == NULL ? ERR_OK : take_seconds("watch", value, &o->watch_ms, why);
	case OPTION_TIMEOUT:
		return take_seconds("timeout", value, &o->timeout_ms, why);
	case OPTION_HELP:
		o->command = COMMAND_HELP;
		return ERR_OK;
	case OPTION_VERSION:
		o->command = COMMAND_VERSION;
		return ERR_OK;
	case OPTION_MANUAL:
		o->command = COMMAND_MANUAL;
		return ERR_OK;
	case OPTION_COUNT:
		break;
	}
	return ERR_OK;
}

/* How many of the words are the command's name; 0: another command. */
static int name_words(const char *name, int argc, char **argv)
{
	int n = 0;
	while (*name != '\0') {
		size_t len = strcspn(name, " ");
		if (n == argc || strlen(argv[n]) != len || strncmp(argv[n], name, len) != 0)
			return 0;
		name += len + (name[len] == ' ');
		n++;
	}
	return n;
}

/* TOPIC PARTITION OFFSET... */
static enum err take_question(struct options *o, int argc, char **argv, struct errmsg *why)
{
	int64_t value;
	if (o->group != NULL && argc == 0)
		return ERR_OK;
	if (o->group != NULL || argc < 3)
		return errmsg_set(why, ERR_CONFIG, "it is: farshore translate %s",
				  options_table_commands[COMMAND_TRANSLATE].arguments);
	o->topic = argv[0];
	if (!number(argv[1], INT32_MAX, &value))
		return errmsg_set(why, ERR_CONFIG, "PARTITION is a number from 0 on, not %s",
				  argv[1]);
	o->partition = (int32_t)value;
	o->offsets = argv + 2;
	o->offsets_n = (size_t)argc - 2;
	for (size_t i = 0; i < o->offsets_n; i++)
		if (!number(o->offsets[i], INT64_MAX, &value))
			return errmsg_set(why, ERR_CONFIG, "OFFSET is a number from 0 on, not %s",
					  o->offsets[i]);
	return ERR_OK;
}

static enum err take_words(struct options *o, int argc, char **argv, struct errmsg *why)
{
	const struct command_row *row = options_table_commands, *end = row + OPTIONS_COMMANDS;
	int n = 0;
	while (row < end && (n = name_words(row->name, argc, argv)) == 0)
		row++;
	if (row == end && argc == 0)
		return errmsg_set(why, ERR_CONFIG,
				  "say what to do: translate, link status, lag or groups");
	if (row == end)
		return errmsg_set(why, ERR_CONFIG,
				  "there is no command %s%s%s; there are: translate, link status, "
				  "lag, groups",
				  argv[0], argc > 1 ? " " : "", argc > 1 ? argv[1] : "");
	o->command = row->command;
	argc -= n;
	argv += n;
	if (argc < row->words_min || argc > row->words_max)
		return errmsg_set(why, ERR_CONFIG, "it is: farshore %s %s", row->name,
				  row->arguments);
	if (o->command == COMMAND_LINK_STATUS && argc == 1)
		o->link = argv[0];
	if (o->command == COMMAND_GROUPS && argc == 1)
		o->group = argv[0];
	return o->command == COMMAND_TRANSLATE ? take_question(o, argc, argv, why) : ERR_OK;
}

int64_t options_offset(const struct options *o, size_t i)
{
	int64_t offset = 0;
	(void)number(o->offsets[i], INT64_MAX, &offset);
	return offset;
}

enum err options_parse(int argc, char **argv, struct options *out, struct errmsg *why)
{
	struct option longs[OPTION_COUNT + 1] = {{NULL, 0, NULL, 0}};
	bool given[OPTION_COUNT] = {false};
	*out = (struct options){.timeout_ms = OPTIONS_TIMEOUT_S * 1000};
	for (int i = 0; i < OPTION_COUNT; i++) {
		const struct option_row *row = &options_table_options[i];
		longs[i] = (struct option){row->name,
					   row->argument == NULL ? no_argument
					   : row->may_omit       ? optional_argument
								 : required_argument,
					   NULL, FIRST_ID + i};
	}
	optind = 0; /* begin anew */
	opterr = 0;
	int id;
	while ((id = getopt_long(argc, argv, ":", longs, NULL)) != -1) {
		if (id == ':')
			return errmsg_set(why, ERR_CONFIG, "%s needs a value", argv[optind - 1]);
		if (id < FIRST_ID)
			return errmsg_set(why, ERR_CONFIG, "unknown option %s", argv[optind - 1]);
		given[id - FIRST_ID] = true;
		enum err e = take_option(out, (enum option_id)(id - FIRST_ID), optarg, why);
		if (e != ERR_OK || out->command >= COMMAND_HELP)
			return e;
	}
	enum err e = take_words(out, argc - optind, argv + optind, why);
	for (int i = 0; i < OPTION_COUNT && e == ERR_OK; i++)
		if (given[i] && (options_table_options[i].commands & 1U << out->command) == 0)
			return errmsg_set(why, ERR_CONFIG, "--%s has no meaning for this command",
					  options_table_options[i].name);
	if (e == ERR_OK && out->config_file == NULL && (out->direct || out->sets_n > 0))
		return errmsg_set(why, ERR_CONFIG, "--%s needs --config FILE or --mm2 FILE",
				  out->direct ? "direct" : "set");
	return e;
}
