/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the command lines of the daemons have in common: the options that all of them know, one way
 * to say that a command line is wrong, and the log from its first line to the exit code: 0 stopped,
 * 1 could not run, 2 bad command line or configuration.
 */
#ifndef FARSHORE_BASE_PROGRAM_H
#define FARSHORE_BASE_PROGRAM_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "lib/base/err.h"

struct log;

struct program {
	const char *name;
	const char *usage;           /* for --help */
	void (*describe)(FILE *out); /* prints all settings, for --help-config */
};

enum { PROGRAM_GO_ON = -1, PROGRAM_EXIT_CONFIG = 2, PROGRAM_SETS_MAX = 256 };

/* What the common options said. The texts are those of argv. */
struct program_options {
	const char *sets[PROGRAM_SETS_MAX]; /* --set, "path=value" each */
	size_t sets_n;
	bool check; /* --check-config */
};

/* The common rows of a table for getopt_long; a program's own options have other numbers. */
enum {
	PROGRAM_OPT_SET = 1000,
	PROGRAM_OPT_CHECK,
	PROGRAM_OPT_HELP_CONFIG,
	PROGRAM_OPT_VERSION,
	PROGRAM_OPT_HELP,
	PROGRAM_OPT_OWN /* the first of a program's own */
};

#define PROGRAM_OPTIONS                                                      \
	{"set", required_argument, NULL, PROGRAM_OPT_SET},                   \
		{"check-config", no_argument, NULL, PROGRAM_OPT_CHECK},      \
		{"help-config", no_argument, NULL, PROGRAM_OPT_HELP_CONFIG}, \
		{"version", no_argument, NULL, PROGRAM_OPT_VERSION},         \
	{                                                                    \
		"help", no_argument, NULL, PROGRAM_OPT_HELP                  \
	}

/* What getopt_long gave and the program itself does not know. PROGRAM_GO_ON, or the exit code: what
 * was asked for is printed, or what is wrong is said. */
int program_take_option(const struct program *p, struct program_options *o, int opt);

/* Say on stderr what is wrong with the command line. PROGRAM_EXIT_CONFIG. */
int program_bad_usage(const struct program *p, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* A log to stderr. `level`: as the setting log.level has it. NULL: out of memory, and that is said.
 */
struct log *program_log_new(const struct program *p, const char *level);

/* Log how it ended: `e` is what the program came back with, `why` tells of an error. Frees the log
 * and gives the exit code. */
int program_log_end(struct log *log, enum err e, const struct errmsg *why);

#endif
