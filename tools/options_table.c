/* SPDX-License-Identifier: Apache-2.0 */
/* Data alone. */
#include "tools/options_table.h"

#include <limits.h>

#define FOR(command)  (1U << COMMAND_##command)
#define FOR_QUESTIONS (FOR(TRANSLATE) | FOR(LINK_STATUS) | FOR(LAG))

/* clang-format off */
const struct command_row options_table_commands[OPTIONS_COMMANDS] = {
	{COMMAND_TRANSLATE, "translate", "TOPIC PARTITION OFFSET...",
		"Where do these offsets of the source lie at the target? With --back: where do these "
		"offsets of the target lie at the source? An answer is the position of the first "
		"mirrored record at or after the offset. It says \"exact\", or by how much it may be "
		"early, and how many offsets before it are not mirrored yet. TOPIC may be the name at "
		"the source or at the target.",
		3, INT_MAX},
	{COMMAND_LINK_STATUS, "link status", "[LINK]",
		"The links: state, since when, lag, and what is wrong with which partition.",
		0, 1},
	{COMMAND_LAG, "lag", "",
		"Partitions by how far the target is behind, the worst first.",
		0, 0},
};

const struct option_row options_table_options[OPTION_COUNT] = {
	[OPTION_URL] = {"url", "URL", false, FOR_QUESTIONS,
		"where the daemon answers (its http.listen); by default " OPTIONS_DEFAULT_URL},
	[OPTION_LINK] = {"link", "A->B", false, FOR(TRANSLATE) | FOR(LAG),
		"this link alone"},
	[OPTION_TOPIC] = {"topic", "TOPIC", false, FOR(LAG),
		"this topic alone, named as at the source or at the target"},
	[OPTION_BACK] = {"back", NULL, false, FOR(TRANSLATE),
		"from the target to the source"},
	[OPTION_ALL] = {"all", NULL, false, FOR(LINK_STATUS) | FOR(LAG),
		"every row, not the worst alone"},
	[OPTION_JSON] = {"json", NULL, false, FOR_QUESTIONS,
		"JSON for programs instead of a table for people"},
	[OPTION_WATCH] = {"watch", "SECONDS", true, FOR(LINK_STATUS) | FOR(LAG),
		"again and again, every 2 seconds or as said"},
	[OPTION_TIMEOUT] = {"timeout", "SECONDS", false, FOR_QUESTIONS,
		"give up after so long; by default 10"},
	[OPTION_HELP] = {"help", NULL, false, ~0U, "print this"},
	[OPTION_VERSION] = {"version", NULL, false, ~0U, "print the version"},
	[OPTION_MANUAL] = {"manual", NULL, false, ~0U, "print the source of the manual page"},
};
/* clang-format on */

const struct exit_row options_table_exits[OPTIONS_EXITS] = {
	{EXIT_OK, "done; translate: exact, and all before it is mirrored"},
	{EXIT_FAILED, "the question could not be asked"},
	{EXIT_USAGE, "bad command line or configuration"},
	{EXIT_ATTENTION, "translate: a position may be early; link status: a link is not ready, or "
			 "something needs a person"},
	{EXIT_PENDING, "translate: exact, and records before it are not mirrored yet"},
	{EXIT_NOT_FOUND, "no such link, topic or partition, or no answer for it"},
};
