/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of `farshore`: commands, options and exit codes in one table, from which parser,
 * --help and manual page come.
 */
#ifndef FARSHORE_TOOLS_OPTIONS_H
#define FARSHORE_TOOLS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/base/err.h"

enum command {
	COMMAND_TRANSLATE,
	COMMAND_LINK_STATUS,
	COMMAND_LAG,
	COMMAND_GROUPS,
	COMMAND_HELP,
	COMMAND_VERSION,
	COMMAND_MANUAL /* the source of docs/farshore.1 */
};

/* Exit codes; stable, for scripts. 3: translate: a position may be early; link status: something
 * needs a person; groups: a failover now would cost something. 4: translate: exact, and records
 * before it are not mirrored yet. 5: no such link, topic, partition or group; or no answer. */
enum {
	EXIT_OK = 0,
	EXIT_FAILED = 1, /* the question could not be asked */
	EXIT_USAGE = 2,  /* bad command line or configuration */
	EXIT_ATTENTION = 3,
	EXIT_PENDING = 4,
	EXIT_NOT_FOUND = 5
};

enum { OPTIONS_SETS_MAX = 64 };

/* Strings are those of argv. */
struct options {
	enum command command;
	const char *url;                  /* NULL: not said */
	const char *link, *topic, *group; /* NULL: not said */
	int32_t partition;
	char **offsets; /* numbers as text, see options_offset */
	size_t offsets_n;
	bool back, json, all;
	bool direct;             /* ask the clusters, not the daemon */
	const char *config_file; /* of the mirror; NULL: not said */
	bool mm2;                /* it is an mm2.properties */
	const char *sets[OPTIONS_SETS_MAX];
	size_t sets_n;
	int64_t watch_ms; /* 0: once */
	int64_t timeout_ms;
};

/* ERR_CONFIG: `why` says what is wrong. */
enum err options_parse(int argc, char **argv, struct options *out, struct errmsg *why) ERR_MUST_USE;

/* The i-th offset that was given, 0 <= i < offsets_n. */
int64_t options_offset(const struct options *o, size_t i);

void options_help(FILE *out);
void options_manual(FILE *out);

#endif
