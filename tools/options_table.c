/* SPDX-License-Identifier: Apache-2.0 */
/* Data alone. */
#include "tools/options_table.h"

#include <limits.h>

#define FOR(command)  (1U << COMMAND_##command)
#define FOR_TABLES    (FOR(LINK_STATUS) | FOR(LAG) | FOR(GROUPS))
#define FOR_QUESTIONS (FOR(TRANSLATE) | FOR_TABLES)

/* clang-format off */
const struct command_row options_table_commands[OPTIONS_COMMANDS] = {
	{COMMAND_TRANSLATE, "translate", "TOPIC PARTITION OFFSET... | --group GROUP",
		"Where do these offsets of the source lie at the target? With --back: where do these "
		"offsets of the target lie at the source? An answer is the position of the first "
		"mirrored record at or after the offset. It says \"exact\", or by how much it may be "
		"early, and how many offsets before it are not mirrored yet. TOPIC may be the name at "
		"the source or at the target. With --group: where do the group's committed offsets "
		"lie, those that it has at the source, with --back those that it has at the target?",
		0, INT_MAX},
	{COMMAND_LINK_STATUS, "link status", "[LINK]",
		"The links: state, since when, lag, and what is wrong with which partition.",
		0, 1},
	{COMMAND_LAG, "lag", "",
		"Partitions by how far the target is behind, the worst first.",
		0, 0},
	{COMMAND_GROUPS, "groups", "[GROUP]",
		"Consumer groups, and what a failover now would cost each: what it has not read and "
		"the target does not have (lost), what it would read again (repeated) or pass over "
		"(skipped), in offsets. With GROUP: the same for each of its positions.",
		0, 1},
};

const struct option_row options_table_options[OPTION_COUNT] = {
	[OPTION_URL] = {"url", "URL", false, FOR_QUESTIONS,
		"where the mirror answers; by default the http.listen of --config or --mm2, or "
		OPTIONS_DEFAULT_URL},
	[OPTION_LINK] = {"link", "A->B", false, FOR(TRANSLATE) | FOR(LAG) | FOR(GROUPS),
		"this link alone"},
	[OPTION_TOPIC] = {"topic", "TOPIC", false, FOR(LAG),
		"this topic alone, named as at the source or at the target"},
	[OPTION_BACK] = {"back", NULL, false, FOR(TRANSLATE),
		"from the target to the source"},
	[OPTION_GROUP] = {"group", "GROUP", false, FOR(TRANSLATE),
		"all committed offsets of this consumer group"},
	[OPTION_DIRECT] = {"direct", NULL, false, FOR(TRANSLATE),
		"ask the clusters of --config or --mm2 themselves, not the mirror"},
	[OPTION_CONFIG] = {"config", "FILE", false, FOR_QUESTIONS,
		"the mirror's native configuration: where it answers and, when it does not, how to "
		"reach the clusters"},
	[OPTION_MM2] = {"mm2", "FILE", false, FOR_QUESTIONS,
		"the same, an mm2.properties"},
	[OPTION_SET] = {"set", "PATH=VALUE", false, FOR_QUESTIONS,
		"override one setting of the file, as the mirror does (repeatable)"},
	[OPTION_ALL] = {"all", NULL, false, FOR_TABLES,
		"every row, not the worst alone"},
	[OPTION_JSON] = {"json", NULL, false, FOR_QUESTIONS,
		"JSON for programs instead of a table for people"},
	[OPTION_WATCH] = {"watch", "SECONDS", true, FOR_TABLES,
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
			 "something needs a person; groups: a failover now would lose, skip or "
			 "repeat records, or it cannot be told"},
	{EXIT_PENDING, "translate: exact, and records before it are not mirrored yet"},
	{EXIT_NOT_FOUND, "no such link, topic, partition or group, or no answer for it"},
};
